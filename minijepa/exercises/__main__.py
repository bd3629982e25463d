"""python -m minijepa.exercises: the list, start, check, hint, solution, mistakes, watch."""

import difflib
import json
import os
import re
import shlex
import time

from minijepa.checkpoint import write_file
from minijepa.exercises.checks import ORDER, exercise, mistakes, solution, stub
from minijepa.exercises.runner import name_of, verdict
from minijepa.options import Parser, UserError, run

DESCRIPTION = """Write the backward passes yourself; finite differences tell if they are right.

  (no command)      the list: what is done, and what is next
  start             copy the exercise files to --dir; a file that is there stays as it is
  check [NAME …]    check all exercises, or some; exit code 1 unless all pass
  hint NAME         one hint more each time
  solution NAME     the lines of the package, which may stand in the file as they are
  mistakes NAME     the museum: what others get wrong, and how it is told
  watch             check the next unsolved exercise whenever its file is saved"""


class Progress:
    """What is done and how many hints were shown, kept in the exercises' own folder."""

    def __init__(self, folder):
        self.path = os.path.join(folder, ".progress.json")
        self.passed, self.hints = set(), {}
        if not os.path.lexists(self.path):
            return
        if not os.path.isfile(self.path):              # a pipe, say, to which nobody writes
            raise UserError(f"{self.path} is not a file: remove it")
        try:
            with open(self.path, encoding="utf-8") as file:
                stored = json.load(file)
            self.passed = set(stored["passed"])
            self.hints = {name: count for name, count in stored["hints"].items()
                          if isinstance(count, int) and count > 0}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass                                       # damaged: begin again

    def save(self):
        stored = {"passed": [name for name in ORDER if name in self.passed], "hints": self.hints}
        write_file(self.path, lambda file: file.write(json.dumps(stored, indent=1).encode()))

    def next(self):
        return next((name for name in ORDER if name not in self.passed), None)


def file_of(folder, name):
    """The path of an exercise's file, which must be there."""
    path = os.path.join(folder, name + ".py")
    if not os.path.isfile(path):
        raise UserError(f"{path} is not there: {command('start', folder)} copies it")
    return path


def command(words, folder):
    """A command line to copy, with --dir where it is needed."""
    where = "" if folder == "exercises" else f" --dir {shlex.quote(folder)}"
    return f"python -m minijepa.exercises {words}{where}"


def show_next(folder, progress):
    following = progress.next()
    print("\nAll done." if following is None else
          f"\nNext: edit {os.path.join(folder, following)}.py, then "
          f"{command(f'check {following}', folder)}")


def show_list(folder, progress):
    for name in ORDER:
        mark = "x" if name in progress.passed else " "
        print(f"  [{mark}] {name:<19} {exercise(name).TITLE}")
    if os.path.isdir(folder):
        show_next(folder, progress)
    else:
        print(f"\nTo begin: {command('start', folder)}")


def start(folder, progress):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    kept = 0
    for name in ORDER:
        path = os.path.join(folder, name + ".py")
        if os.path.lexists(path):
            kept += 1
        else:                                          # whole, or not at all
            write_file(path, lambda file, name=name: file.write(stub(name).encode()))
    copied = len(ORDER) - kept
    print(f"{copied} file{'' if copied == 1 else 's'} copied to {folder}"
          + (f", {kept} that were there are as they were" if kept else ""))
    show_next(folder, progress)


def untouched(path, name):
    """Whether the file is still as it was copied."""
    with open(path, "rb") as mine:
        return mine.read() == stub(name).encode()


def without_cause(report):
    """What is wrong, and where: for a hunt that has only begun."""
    cause = r"    (diagnosis: |possibly: |(\S+: t|T)his is what |no cause |    |Keep )"
    lines = [line for line in report.split("\n") if not re.match(cause, line)]
    return "\n".join([*lines, "(The cause, as far as it can be told: after a hint, or once you "
                              "have changed the file.)"])


def check_one(folder, name, progress, show_output):
    """Check one, keep the result, print its line: the report, empty when it passed."""
    path = os.path.join(folder, name + ".py")
    if os.path.isfile(path):
        status, report = verdict(path, show_output)
        if status == "wrong" and name.startswith("bug") and untouched(path, name):
            status = "bug"
            report = report if progress.hints.get(name) else without_cause(report)
    else:
        status, report = "missing", f"{path} is not there: {command('start', folder)} copies it"
    progress.passed.discard(name)
    if status == "passed":
        progress.passed.add(name)
    progress.save()
    said = {"todo": "your turn", "wrong": "WRONG", "bug": "not found yet"}
    print(f"{name:<19} {said.get(status, status)}", flush=True)
    return report


def check(folder, names, progress):
    if not os.path.isdir(folder):
        raise UserError(f"the folder {folder} is not there: {command('start', folder)} makes it")
    reports = {}
    for name in names or ORDER:
        reports[name] = check_one(folder, name, progress, show_output=len(names) == 1)
    failed = [name for name in reports if reports[name]]
    if failed:
        print(f"\n{reports[failed[0]]}\n\nA hint: {command(f'hint {failed[0]}', folder)}")
        return 1
    if len(names) == 1:
        print(f"\nWhat others get wrong here: {command(f'mistakes {names[0]}', folder)}")
    show_next(folder, progress)


def hints_of(name):
    return [" ".join(text.split()) for text in exercise(name).HINTS.split("\n\n")]


def hint(name, folder, progress):
    hints = hints_of(name)
    shown = min(progress.hints.get(name, 0) + 1, len(hints))
    for number, text in enumerate(hints[:shown], 1):
        print(f"{number}. {text}")
    left = len(hints) - shown
    print(f"({left} more: ask again)" if left else
          f"(that was the last; the package's own lines: {command(f'solution {name}', folder)})")
    progress.hints[name] = shown
    progress.save()


def show_mistakes(name):
    """The museum: each mistake's sentence, and what makes it, beside the package's lines."""
    sentence = None
    for mistake in mistakes(name):
        if mistake.sentence != sentence:
            sentence = mistake.sentence
            print(f"\n{sentence}")
        before, after = solution(name).split("\n"), mistake.code.split("\n")
        if not mistake.edits:
            before = stub(name).split("\n")
        for line in difflib.unified_diff(before, after, n=0, lineterm=""):
            if not line.startswith(("---", "+++", "@@")):
                print(f"    {line[0]} {line[1:].strip()}")


def watch(folder, progress):
    """Check the next unsolved exercise, and again whenever its file is saved."""
    while (name := progress.next()) is not None:
        path = file_of(folder, name)
        seen = os.stat(path).st_mtime_ns               # before the check: a save during it counts
        report = check_one(folder, name, progress, show_output=True)
        if report:
            print(f"\n{report}\n\nwatching {path}: save it to check it again, Ctrl-C to stop",
                  flush=True)
            while not os.path.exists(path) or os.stat(path).st_mtime_ns == seen:
                time.sleep(0.2)
    print("All done.")


def main(argv=None):
    parser = Parser("minijepa.exercises", DESCRIPTION)
    parser.add_argument("command", nargs="?", default="list",
                        choices=["list", "start", "check", "hint", "solution", "mistakes", "watch"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an exercise")
    parser.add_argument("--dir", default="exercises",
                        help="the folder of your files (default: exercises)")
    arguments = parser.parse_args(argv)
    what, folder = arguments.command, arguments.dir
    names = list(map(name_of, arguments.names))        # exercises/relu.py is relu
    for name in names:
        if name not in ORDER:
            close = difflib.get_close_matches(name, ORDER, 1)
            raise UserError(f"there is no exercise {name!r}"
                            + (f"; did you mean {close[0]!r}?" if close else ""))
    if what in ("hint", "solution", "mistakes") and len(names) != 1:
        raise UserError(f"{what} needs the name of one exercise: {', '.join(ORDER)}")
    if names and what not in ("check", "hint", "solution", "mistakes"):
        raise UserError(f"{what} takes no name, was given {names[0]!r}")
    progress = Progress(folder)

    if what == "list":
        return show_list(folder, progress)
    if what == "start":
        return start(folder, progress)
    if what == "check":
        return check(folder, names, progress)
    if what == "solution":
        return print(solution(names[0]))
    if what == "mistakes":
        return show_mistakes(names[0])
    file_of(folder, names[0] if names else progress.next() or ORDER[0])
    return hint(names[0], folder, progress) if what == "hint" else watch(folder, progress)


if __name__ == "__main__":
    run(main)
