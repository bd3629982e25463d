"""Check one exercise file in a process of its own: it may loop for ever, print, or call exit().

    python -m minijepa.exercises.runner FILE VERDICT
"""

import faulthandler
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback

import numpy as np

SECONDS = 20            # a check that takes longer is ended


def name_of(path):
    """The exercise of a file."""
    return os.path.splitext(os.path.basename(path))[0]


def verdict(path, show_output):
    """Check the file in another process: (status, text), the status passed, todo or wrong."""
    file = os.path.basename(path)
    with tempfile.TemporaryDirectory() as folder:
        out, trace = os.path.join(folder, "verdict"), os.path.join(folder, "trace")
        command = [sys.executable, "-m", "minijepa.exercises.runner", path, out, trace]
        quiet = None if show_output else subprocess.DEVNULL
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=quiet, stderr=quiet,
                                  timeout=SECONDS + 10).returncode
        except subprocess.TimeoutExpired:
            code = "killed"
        if os.path.exists(out):
            with open(out, encoding="utf-8") as stream:
                return tuple(json.load(stream))
        with open(trace, encoding="utf-8", errors="replace") as stream:
            where = re.search(rf'File "[^"]*{re.escape(file)}", line (\d+)', stream.read())
        if where:
            return "wrong", (f"{file}, line {where[1]}: still running after {SECONDS} s, and was "
                             "ended: look for a loop that does not end")
        return "wrong", f"{file}: it ended the process before the check was done (exit code {code})"


def blame(error, path):
    """One line about the learner's file: where in it the error arose, and what it is."""
    folder = os.path.dirname(os.path.abspath(path))
    if isinstance(error, SyntaxError) and error.filename:
        return (f"{os.path.basename(error.filename)}, line {error.lineno}: {error.msg} "
                "(Python cannot read the file)")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if os.path.dirname(os.path.abspath(frame.filename)) == folder
              and not frame.filename.startswith("<")]
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SystemExit):
        what = "it calls exit()"
    if not frames:
        return f"{os.path.basename(path)}: {what}"
    where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"
    if isinstance(error, NotImplementedError):
        return f"{where}: {error}"
    during = f" (for {error.during})" if hasattr(error, "during") else ""
    return f"{where}, in {frames[-1].name}: {what}{during}"


def check(path):
    """Import the file and check it: (status, text)."""
    from minijepa.exercises.checks import CHECKS

    name = name_of(path)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))                 # for its imports
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        learner = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(learner)
        with np.errstate(all="ignore"):
            report = CHECKS[name](learner)
    except NotImplementedError as error:
        return "todo", blame(error, path)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return "wrong", blame(error, path)
    return ("wrong", report) if report else ("passed", "")


def main():
    path, out, trace = sys.argv[1:]
    with open(trace, "w") as stream:
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=stream)
        result = check(path)
        faulthandler.cancel_dump_traceback_later()
    with open(out + ".part", "w", encoding="utf-8") as stream:
        json.dump(result, stream)
    os.replace(out + ".part", out)
    sys.stdout.flush()
    os._exit(0)                                        # whatever the file left running


if __name__ == "__main__":
    main()
