"""python -m minijepa.exercises: the list, and start, check, hint, solution, watch."""

import difflib
import importlib
import inspect
import json
import os
import shutil
import textwrap
import time

from minijepa.checkpoint import write_file
from minijepa.exercises.hints import HINTS, SOLUTIONS, TITLES
from minijepa.exercises.runner import verdict
from minijepa.options import Parser, UserError, run

STUBS = os.path.join(os.path.dirname(__file__), "stubs")

DESCRIPTION = """Write the backward passes yourself; finite differences tell you whether they are right.

  (no command)      the list: what is done, and what is next
  start             copy the exercise files to --dir; a file that is there stays as it is
  check [NAME]      check all exercises, or one; exit code 1 unless all pass
  hint NAME         one hint more each time
  solution NAME     the lines of the package
  watch             check the next unsolved exercise whenever its file is saved"""


class Progress:
    """What is done and how many hints were shown, kept in the exercises' own folder."""

    def __init__(self, folder):
        self.path = os.path.join(folder, ".progress.json")
        self.passed, self.hints = set(), {}
        try:
            with open(self.path, encoding="utf-8") as file:
                stored = json.load(file)
            self.passed = set(stored["passed"])
            self.hints = {name: count for name, count in stored["hints"].items() if count > 0}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass                                       # none yet, or damaged: begin again

    def save(self):
        stored = {"passed": [name for name in TITLES if name in self.passed], "hints": self.hints}
        write_file(self.path, lambda file: file.write(json.dumps(stored, indent=1).encode()))

    def next(self):
        return next((name for name in TITLES if name not in self.passed), None)


def file_of(folder, name):
    """The path of an exercise's file, which must be there."""
    path = os.path.join(folder, name + ".py")
    if not os.path.isfile(path):
        at = "" if folder == "exercises" else f" --dir {folder}"
        raise UserError(f"{path} is not there: python -m minijepa.exercises start{at} copies it")
    return path


def show_list(folder, progress):
    for name, title in TITLES.items():
        print(f"  [{'x' if name in progress.passed else ' '}] {name:<19} {title}")
    following = progress.next()
    if not os.path.isdir(folder):
        print("\nTo begin: python -m minijepa.exercises start")
    elif following:
        print(f"\nNext: edit {os.path.join(folder, following)}.py, then"
              f" python -m minijepa.exercises check {following}")
    else:
        print("\nAll done.")


def start(folder):
    try:
        os.makedirs(folder, exist_ok=True)
        kept = 0
        for name in TITLES:
            path = os.path.join(folder, name + ".py")
            if os.path.lexists(path):
                kept += 1
            else:
                shutil.copyfile(os.path.join(STUBS, name + ".py"), path)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    print(f"{len(TITLES) - kept} files copied to {folder}" + (f", {kept} that were there are as they were" if kept else ""))


def check_one(folder, name, progress, show_output):
    """Check one, keep the result, print its line: the report, empty when it passed."""
    status, report = verdict(file_of(folder, name), show_output)
    progress.passed.discard(name)
    if status == "passed":
        progress.passed.add(name)
    progress.save()
    print(f"{name:<19} {dict(passed='passed', todo='your turn', wrong='WRONG')[status]}", flush=True)
    return report


def check(folder, names, progress):
    reports = {}
    for name in names:
        reports[name] = check_one(folder, name, progress, show_output=len(names) == 1)
    failed = [name for name in names if reports[name]]
    if failed:
        print(f"\n{reports[failed[0]]}\n\nA hint: python -m minijepa.exercises hint {failed[0]}")
    return 1 if failed else 0


def hint(name, progress):
    shown = min(progress.hints.get(name, 0) + 1, len(HINTS[name]))
    for number, text in enumerate(HINTS[name][:shown], 1):
        print(f"{number}. {text}")
    left = len(HINTS[name]) - shown
    print(f"({left} more: ask again)" if left else f"(that was the last: python -m minijepa.exercises solution {name})")
    progress.hints[name] = shown
    progress.save()


def solution(name):
    """The package's own lines."""
    for place in SOLUTIONS[name]:
        module, _, path = place.partition(":")
        found = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        print(f"# {module.replace('.', '/')}.py\n{textwrap.dedent(inspect.getsource(found))}")


def watch(folder, progress):
    """Check the next unsolved exercise, and again whenever its file is saved."""
    while (name := progress.next()) is not None:
        path = file_of(folder, name)
        seen = os.stat(path).st_mtime_ns               # before the check: a save during it counts
        report = check_one(folder, name, progress, show_output=True)
        if report:
            print(f"\n{report}\n\nwatching {path}: save it to check it again, Ctrl-C to stop", flush=True)
            while not os.path.exists(path) or os.stat(path).st_mtime_ns == seen:
                time.sleep(0.2)
    print("All done.")


def main(argv=None):
    parser = Parser("minijepa.exercises", DESCRIPTION)
    parser.add_argument("command", nargs="?", default="list",
                        choices=["list", "start", "check", "hint", "solution", "watch"])
    parser.add_argument("name", nargs="?", help="of an exercise")
    parser.add_argument("--dir", default="exercises", help="the folder of your files (default: exercises)")
    arguments = parser.parse_args(argv)
    command, name, folder = arguments.command, arguments.name, arguments.dir
    if name is None and command in ("hint", "solution"):
        raise UserError(f"{command} needs the name of an exercise: {', '.join(TITLES)}")
    if name is not None and command not in ("check", "hint", "solution"):
        raise UserError(f"{command} takes no name, was given {name!r}")
    if name is not None and name not in TITLES:
        close = difflib.get_close_matches(name, TITLES, 1)
        raise UserError(f"there is no exercise {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    progress = Progress(folder)

    if command == "list":
        return show_list(folder, progress)
    if command == "start":
        return start(folder)
    if command == "check":
        return check(folder, [name] if name else list(TITLES), progress)
    if command == "solution":
        return solution(name)
    file_of(folder, name or progress.next() or next(iter(TITLES)))
    return hint(name, progress) if command == "hint" else watch(folder, progress)


if __name__ == "__main__":
    run(main)
