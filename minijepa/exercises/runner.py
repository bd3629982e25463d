"""Check one exercise file in a process of its own: it may loop for ever, print, fork, or exit.

    python -m minijepa.exercises.runner FILE VERDICT TRACE
"""

import contextlib
import faulthandler
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback

from minijepa.exercises.checks import CHECKS, ORDER
from minijepa.exercises.doctor import poisoned
from minijepa.options import printable

SECONDS = 20            # a check that takes longer is ended
MEMORY = 2**31          # bytes more than it has at the start
SHOWN = 20_000          # characters of what it prints


def name_of(path):
    """The exercise of a file."""
    return os.path.splitext(os.path.basename(path))[0]


def verdict(path, show_output):
    """Check the file in another process: (status, text), the status passed, todo or wrong."""
    file = os.path.basename(path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out, trace = os.path.join(folder, "verdict"), os.path.join(folder, "trace")
        code = run_apart([sys.executable, "-m", "minijepa.exercises.runner", path, out, trace],
                         show_output)
        with contextlib.suppress(OSError, ValueError, RecursionError):
            with open(out, encoding="utf-8") as stream:
                status, text = json.load(stream)
            if status in ("passed", "todo", "wrong") and isinstance(text, str):
                return status, text
        where = None
        with contextlib.suppress(OSError):
            with open(trace, encoding="utf-8", errors="replace") as stream:
                where = re.search(rf'File "[^"]*{re.escape(file)}", line (\d+)', stream.read())
    if where or code is None:
        line = f", line {where[1]}" if where else ""
        return "wrong", (f"{file}{line}: still running after {SECONDS} s, and was ended: look for "
                         "a loop that does not end")
    return "wrong", f"{file}: it ended the process before the check was done (exit code {code})"


def run_apart(command, show_output):
    """Run it in a session of its own, which ends with it: the exit code, or None after too long."""
    shown = subprocess.DEVNULL
    with contextlib.suppress(AttributeError, OSError, ValueError):
        shown = sys.stdout.fileno() if show_output else shown
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=shown, stderr=shown,
                               start_new_session=True)
    try:
        return process.wait(timeout=SECONDS + 10)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)     # and what it has forked
        process.kill()
        process.wait()


class Shown(io.TextIOBase):
    """A stream that shows the beginning of what is written to it."""

    def __init__(self, stream):
        self.stream, self.left = stream, SHOWN

    def write(self, text):
        if self.left > 0:
            self.stream.write(text[:self.left])
            if len(text) >= self.left:
                self.stream.write("\n… (it prints more than is shown)\n")
            self.stream.flush()
        self.left -= len(text)
        return len(text)


def say(error):
    """An exception in one line, whatever its str does."""
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be printed)"
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def blame(error, path):
    """One line about the learner's file: where in it the error arose, and what it is."""
    file, folder = os.path.basename(path), os.path.dirname(os.path.abspath(path))
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        return (f"{os.path.basename(error.filename)}, line {error.lineno}: {printable(error.msg)} "
                "(Python cannot read the file)")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if os.path.dirname(os.path.abspath(frame.filename)) == folder
              and not frame.filename.startswith("<")]
    what = "it calls exit()" if isinstance(error, SystemExit) else say(error)
    if not frames:
        return f"{file}: {what}"
    last, own = frames[-1], [each for each in frames if os.path.basename(each.filename) == file]
    if isinstance(error, NotImplementedError):
        return (f"{os.path.basename(last.filename)}, line {last.lineno}: "
                f"{say(error).split(': ')[-1]}")
    inside = ""
    if own and own[-1] is not last and name_of(last.filename) in ORDER:    # a part that is right
        inside = f" (in {os.path.basename(last.filename)}, line {last.lineno}, which it calls)"
        last = own[-1]
    during = f" (for {error.during})" if hasattr(error, "during") else ""
    return (f"{os.path.basename(last.filename)}, line {last.lineno}, in {last.name}: {what}"
            f"{inside}{during}{getattr(error, 'museum', '')}")


def check(path):
    """Import the file and check it: (status, text)."""
    name = name_of(path)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))                 # for its imports
    try:
        with poisoned():
            spec = importlib.util.spec_from_file_location(name, path)
            learner = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(learner)
            report = CHECKS[name](learner)
    except NotImplementedError as error:
        return "todo", blame(error, path)
    except BaseException as error:
        return "wrong", blame(error, path)
    return ("wrong", report) if report else ("passed", "")


def limit_memory():
    """So that a mistake in a shape does not take the machine with it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)


def main():
    (path, out, trace), process = sys.argv[1:], os.getpid()
    sys.stdout = Shown(sys.stdout or open(os.devnull, "w"))
    limit_memory()
    with contextlib.suppress(Exception), open(trace, "w") as stream:
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=stream)
        result = check(path)
        faulthandler.cancel_dump_traceback_later()
        if os.getpid() == process:                     # and not what it has forked
            with open(out + ".part", "w", encoding="utf-8", errors="replace") as verdict_file:
                json.dump(result, verdict_file)
            os.replace(out + ".part", out)
    os._exit(0)                                        # whatever the file left running


if __name__ == "__main__":
    main()
