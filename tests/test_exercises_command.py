"""python -m minijepa.exercises: the commands, and learners' files that misbehave."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from exercises.solutions import NAMES, SOLUTIONS, STUBS, stub_of

from minijepa.exercises import __main__ as command
from minijepa.exercises import runner
from minijepa.exercises.checks import ORDER, exercise, mistakes
from minijepa.options import UserError

pytestmark = pytest.mark.slow              # each check is a process of its own

RIGHT = {solution.exercise: solution.source for solution in reversed(SOLUTIONS) if solution.right}
TITLES = {name: exercise(name).TITLE for name in ORDER}
HINTS = {name: command.hints_of(name) for name in ORDER}
NEXT = ("\nNext: edit exercises/finite_differences.py, then "
        "python -m minijepa.exercises check finite_differences\n")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))        # for the processes that are started
    return tmp_path


@pytest.fixture
def files(desk, capsys):
    """The folder `exercises` as start makes it."""
    command.main(["start"])
    capsys.readouterr()
    return desk / "exercises"


@pytest.fixture
def quick(monkeypatch):
    """Checks that pass at once and start no process, but for files that say otherwise."""
    def verdict(path, show_output):
        with open(path, encoding="utf-8") as file:
            return ("passed", "") if "# solved" in file.read() else (
                "todo", f"{os.path.basename(path)}, line 1: your turn")

    monkeypatch.setattr(command, "verdict", verdict)


def run(capsys, *argv):
    """main(argv): its exit code and what it printed."""
    code = command.main(list(argv))
    return code or 0, capsys.readouterr().out


def solve(files, *names):
    for name in names:
        (files / f"{name}.py").write_text("# solved\n")


# list and start

def test_the_list_of_an_empty_folder_says_how_to_begin(desk, capsys):
    code, out = run(capsys)
    assert code == 0 and os.listdir(desk) == []
    lines = out.splitlines()
    assert [line.split()[2] for line in lines[:len(ORDER)]] == ORDER
    assert all(line.startswith("  [ ] ") and TITLES[name] in line
               for name, line in zip(ORDER, lines))
    assert lines[-1] == "To begin: python -m minijepa.exercises start"


def test_the_first_exercises_are_those_of_the_walkthrough_and_the_bugs_come_last():
    assert ORDER[:16] == [
        "finite_differences", "relu", "linear", "mse", "mean", "embedding", "sequential",
        "used_twice", "sgd", "adam", "stop_gradient", "jepa_step", "retrieval", "effective_rank",
        "variance_hinge", "covariance_penalty"
    ]
    assert ORDER[16:22] == ["told", "rollout", "smallest", "infonce", "cem", "blocks"]
    assert ORDER[22:] == [f"bug{number}" for number in range(1, len(ORDER) - 21)]


def test_start_copies_every_stub_and_says_so(desk, capsys):
    code, out = run(capsys, "start")
    assert code == 0 and out == f"{len(ORDER)} files copied to exercises\n{NEXT}"
    assert sorted(os.listdir("exercises")) == sorted(f"{name}.py" for name in ORDER)
    for name in ORDER:
        file = f"{name}.py"
        assert (desk / "exercises" / file).read_bytes() == (STUBS / file).read_bytes()
    assert "Next: edit exercises/finite_differences.py" in run(capsys)[1]


def test_start_never_overwrites_and_adds_what_is_missing(files, capsys):
    (files / "relu.py").write_text("mine\n")
    (files / "linear.py").unlink()
    (files / "mse.py").unlink()
    (files / "mse.py").symlink_to("nowhere")
    (files / "notes.txt").write_text("mine too\n")
    code, out = run(capsys, "start")
    kept = f"{len(ORDER) - 1} that were there are as they were"
    assert (code, out) == (0, f"1 file copied to exercises, {kept}\n{NEXT}")
    assert (files / "relu.py").read_text() == "mine\n"
    assert (files / "notes.txt").read_text() == "mine too\n"
    assert (files / "linear.py").read_bytes() == (STUBS / "linear.py").read_bytes()
    assert os.readlink(files / "mse.py") == "nowhere"


def test_all_commands_take_another_folder(desk, capsys, quick):
    folder = str(desk / "a folder" / "mine")
    assert run(capsys, "start", "--dir", folder)[0] == 0
    assert sorted(os.listdir(folder)) == sorted(f"{name}.py" for name in ORDER)
    solve(desk / "a folder" / "mine", "relu")
    code, out = run(capsys, "check", "relu", "--dir", folder)
    assert code == 0 and out.startswith(f"{'relu':<19} passed\n\nWhat others get wrong here: ")
    assert out.endswith(f"python -m minijepa.exercises check finite_differences --dir '{folder}'\n")
    assert "[x] relu" in run(capsys, "--dir", folder)[1] and "[ ] relu" in run(capsys)[1]
    assert run(capsys, "hint", "relu", "--dir", folder)[0] == 0
    assert os.listdir(desk) == ["a folder"]


@pytest.mark.parametrize("argv, words", [
    (["begin"], "invalid choice: 'begin'"),
    (["check", "relo"], "there is no exercise 'relo'; did you mean 'relu'?"),
    (["check", "../relo.py"], "there is no exercise 'relo'; did you mean 'relu'?"),
    (["check", "relu", "relo"], "there is no exercise 'relo'"),
    (["hint"], "hint needs the name of one exercise: finite_differences, relu"),
    (["hint", "relu", "mse"], "hint needs the name of one exercise"),
    (["solution"], "solution needs the name of one exercise"),
    (["start", "relu"], "start takes no name, was given 'relu'"),
    (["list", "relu"], "list takes no name"),
    (["watch", "relu"], "watch takes no name"),
    (["--folder=x"], "unrecognized arguments: --folder=x"),
    (["check"], "the folder exercises is not there: python -m minijepa.exercises start makes it"),
    (["check", "relu"], "the folder exercises is not there"),
    (["hint", "relu"], "exercises/relu.py is not there"),
    (["watch"], "exercises/finite_differences.py is not there"),
    (["check", "relu", "--dir", "else"],
     "else is not there: python -m minijepa.exercises start --dir else makes it"),
    (["hint", "relu", "--dir", "a b"],
     "a b/relu.py is not there: python -m minijepa.exercises start --dir 'a b' copies it"),
])
def test_a_mistake_is_answered_in_one_line(desk, argv, words):
    with pytest.raises(UserError) as caught:
        command.main(argv)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(desk) == []


def test_some_exercises_may_be_checked_by_name_or_by_file(files, capsys, quick):
    solve(files, "relu")
    code, out = run(capsys, "check", "exercises/relu.py", "linear")
    assert code == 1 and out.startswith(f"{'relu':<19} passed\n{'linear':<19} your turn\n\n")
    assert out.endswith("A hint: python -m minijepa.exercises hint linear\n")


def test_a_file_that_is_missing_and_a_bug_that_is_untouched_are_called_so(files, capsys):
    (files / "relu.py").unlink()
    code, out = run(capsys, "check", "relu", "bug1")
    assert code == 1 and out.startswith(f"{'relu':<19} missing\n{'bug1':<19} not found yet\n\n")
    assert "exercises/relu.py is not there: python -m minijepa.exercises start copies it" in out
    with open(files / "bug1.py", "a") as file:
        file.write("# mine\n")
    assert run(capsys, "check", "bug1")[1].startswith(f"{'bug1':<19} WRONG\n")


def test_a_folder_that_cannot_be_written_is_answered_in_one_line(desk):
    (desk / "exercises").write_text("a file")
    with pytest.raises(UserError, match="cannot write to exercises: "):
        command.main(["start"])


# check, hint, solution

def test_check_prints_a_line_each_and_the_details_of_the_first_that_fails(files, capsys, quick):
    solve(files, *ORDER[:2])
    code, out = run(capsys, "check")
    assert code == 1
    lines = out.splitlines()
    assert lines[:len(ORDER)] == [f"{name:<19} passed" for name in ORDER[:2]] + [
        f"{name:<19} your turn" for name in ORDER[2:]]
    assert lines[len(ORDER):] == ["", "linear.py, line 1: your turn", "",
                                  "A hint: python -m minijepa.exercises hint linear"]


def test_what_passed_is_remembered_and_what_no_longer_passes_is_not(files, capsys, quick):
    solve(files, "relu", "adam")
    run(capsys, "check", "relu")
    run(capsys, "check", "adam")
    out = run(capsys)[1]
    assert out.count("[x]") == 2 and "[x] relu" in out and "[x] adam" in out
    (files / "adam.py").write_text("broken\n")
    assert run(capsys, "check", "adam")[0] == 1
    out = run(capsys)[1]
    assert out.count("[x]") == 1 and "[x] relu" in out


def test_all_done(files, capsys, quick):
    solve(files, *ORDER)
    code, out = run(capsys, "check")
    assert code == 0 and out == "".join(f"{name:<19} passed\n" for name in ORDER) + "\nAll done.\n"
    out = run(capsys)[1]
    assert out.count("[x]") == len(ORDER) and out.endswith("All done.\n")
    assert run(capsys, "watch") == (0, "All done.\n")


def test_hints_come_one_more_each_time_and_are_remembered(files, capsys):
    for shown in range(1, len(HINTS["linear"]) + 1):
        out = run(capsys, "hint", "linear")[1]
        for number, text in enumerate(HINTS["linear"], 1):
            assert (f"{number}. {text}\n" in out) == (number <= shown)
        left = len(HINTS["linear"]) - shown
        assert f"({left} more: ask again)" in out if left else "(that was the last; " in out
    assert run(capsys, "hint", "linear")[1] == out     # no more than there are
    assert run(capsys, "hint", "relu")[1].startswith(f"1. {HINTS['relu'][0]}\n")
    assert "2. " not in run(capsys, "hint", "mse")[1]


def test_hints_survive_a_check(files, capsys, quick):
    run(capsys, "hint", "linear")
    run(capsys, "check")
    assert "2. " in run(capsys, "hint", "linear")[1]


def test_a_solution_can_be_put_in_the_place_of_the_file(files, capsys):
    for name in "adam", "bug8", "retrieval":           # the others: test_exercises.py
        (files / f"{name}.py").write_text(run(capsys, "solution", name)[1], encoding="utf-8")
        assert run(capsys, "check", name)[0] == 0


def test_the_museum_shows_each_mistake_and_what_makes_it(desk, capsys):
    code, out = run(capsys, "mistakes", "relu")
    assert code == 0 and os.listdir(desk) == []
    for mistake in mistakes("relu"):
        assert f"\n{mistake.sentence}\n" in out
    assert "    - return dy * (x > 0)\n    + return dy * (x >= 0)\n" in out


def test_a_hunt_begins_without_the_cause(files, capsys):
    """`check bugN` as a first act says that it is wrong, and where; the cause comes later."""
    first = run(capsys, "check", "bug1")[1]
    assert "bias (13,): WRONG" in first and "dy is left out" not in first
    assert "diagnosis" not in first and "what one gets" not in first
    run(capsys, "hint", "bug1")
    assert "This is what one gets if the bias gets the number of rows" in run(
        capsys, "check", "bug1")[1]


@pytest.mark.parametrize("content", [
    b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b'{"passed": 3}', b'{"passed": [], "hints": 3}',
    b'{"passed": [[]], "hints": {}}', b'{"passed": ["relu"], "hints": {"relu": "many"}}',
    b'{"hints": {"relu": 1}}', b'{"passed": {}, "hints": []}',
    b'{"passed": ["no such"], "hints": {"no such": 1}}', b'{"passed": [], "hints": {"relu": -7}}',
    b'{"passed": [], "hints": {"relu": null}}', b"[" * 100_000,
    b'{"passed": [], "hints": {"relu": 1.5}}',
])
def test_damaged_progress_is_begun_again(files, capsys, quick, content):
    solve(files, "relu")
    (files / ".progress.json").write_bytes(content)
    assert run(capsys)[0] == 0
    assert "1. " in run(capsys, "hint", "relu")[1]
    (files / ".progress.json").write_bytes(content)
    assert run(capsys, "check", "relu")[0] == 0
    assert json.loads((files / ".progress.json").read_text())["passed"] == ["relu"]
    assert "[x] relu" in run(capsys)[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_progress_that_is_a_pipe_is_answered_in_one_line(files):
    os.mkfifo(files / ".progress.json")
    with pytest.raises(UserError, match="is not a file: remove it"):
        command.main([])


def test_a_full_disk_leaves_no_half_of_a_file(desk, monkeypatch, capsys):
    """What could not be written whole is not there, and the next start copies it."""
    def half(path, write):
        raise UserError(f"cannot write to {path}: No space left on device")

    monkeypatch.setattr(command, "write_file", half)
    with pytest.raises(UserError, match="No space left"):
        command.main(["start"])
    assert os.listdir("exercises") == []
    monkeypatch.undo()
    monkeypatch.chdir(desk)
    assert run(capsys, "start")[1].startswith(f"{len(ORDER)} files copied")


def test_progress_is_kept_inside_the_folder(files, capsys, quick):
    before = set(os.listdir(files))
    run(capsys, "hint", "relu")
    run(capsys, "check", "relu")
    assert set(os.listdir(files)) - before == {".progress.json"}
    assert os.listdir(files.parent) == ["exercises"]


# watch

def test_watch_checks_again_when_the_file_is_saved(files, capsys, quick, monkeypatch):
    """It goes through the exercises as they are solved, and ends when all are."""
    sleeps = []

    def sleep(seconds):
        """Each wait is one save of the file that is waited for: half of it, and then all of it."""
        assert len(sleeps) < 3 * len(ORDER), "it does not see that the file was saved"
        assert seconds <= 1
        path = files / f"{ORDER[len(sleeps) // 2]}.py"
        path.write_text("not yet\n" if len(sleeps) % 2 == 0 else "# solved\n")
        os.utime(path, ns=(len(sleeps), len(sleeps) + 1))
        sleeps.append(path)

    monkeypatch.setattr(command.time, "sleep", sleep)
    code, out = run(capsys, "watch")
    assert code == 0 and out.endswith("All done.\n")
    for name in ORDER:
        assert out.count(f"{name:<19} your turn\n") == 2 and out.count(f"{name:<19} passed\n") == 1
        assert f"watching {os.path.join('exercises', name)}.py" in out


def test_watch_waits_for_a_file_that_an_editor_moves_away(files, capsys, quick, monkeypatch):
    solve(files, *ORDER[1:])
    run(capsys, "check")
    path, content = files / f"{ORDER[0]}.py", "# solved\n"
    steps = iter([path.unlink, lambda: None, lambda: path.write_text(content)])
    monkeypatch.setattr(command.time, "sleep", lambda seconds: next(steps)())
    code, out = run(capsys, "watch")
    assert code == 0 and out.endswith("All done.\n")


def test_watch_in_a_process_of_its_own(files):
    """What is saved is checked again; Ctrl-C ends it with exit code 130 and no traceback."""
    process = subprocess.Popen([sys.executable, "-m", "minijepa.exercises", "watch"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    guard = threading.Timer(40, process.kill)          # what it does not print is not waited for
    guard.start()

    def lines_until_it_waits():
        lines = []
        for line in iter(process.stdout.readline, ""):
            lines.append(line.strip())
            if line.startswith("watching "):
                return lines
        raise AssertionError(f"it ended: {lines}")

    try:
        assert f"{ORDER[0]:<19} your turn" in lines_until_it_waits()
        (files / f"{ORDER[0]}.py").write_text(RIGHT[ORDER[0]], encoding="utf-8")
        seen = lines_until_it_waits()
        assert f"{ORDER[0]:<19} passed" in seen and f"{ORDER[1]:<19} your turn" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130 and process.stderr.read() == ""
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def test_watch_sees_what_is_saved_while_it_checks(files, capsys, monkeypatch):
    """A check takes a second, and a file saved meanwhile is checked again."""
    solve(files, *ORDER[1:])
    checked = []

    def verdict(path, show_output):
        """The first look finds the file unsolved, and it is saved before the answer is there."""
        checked.append(os.path.basename(path))
        if len(checked) == 1:
            with open(path, "w", encoding="utf-8") as file:
                file.write("# solved\n")
            os.utime(path, ns=(1, 1))
            return "todo", "your turn"
        return "passed", ""

    def sleep(seconds):
        raise AssertionError("it waits, and the file was saved already")

    monkeypatch.setattr(command, "verdict", verdict)
    monkeypatch.setattr(command.time, "sleep", sleep)
    assert run(capsys, "watch")[0] == 0
    assert checked == [f"{name}.py" for name in [ORDER[0], *ORDER]]


# The learner's process

def verdict(folder, source, name="relu", show_output=False):
    """The verdict on a file with this source."""
    path = folder / f"{name}.py"
    if isinstance(source, str):
        source = source.encode()
    if source is not None:
        path.write_bytes(source)
    return runner.verdict(str(path), show_output)


def relu(body="return dy * (x > 0)", top="", forward=""):
    """A file for relu, as the learner might have it; body is the backward, from line 12 on."""
    above = ["import numpy as np", "from minijepa.modules import Module", "", top or "#", "", "",
             "class ReLU(Module):", "    def forward(self, x):", "        y = np.maximum(x, 0)",
             f"        {forward or '#'}", "        def backward(dy):"]
    return "\n".join([*above, textwrap.indent(body, 12 * " "), "        return y, backward", ""])


def test_a_right_file_passes(desk):
    assert verdict(desk, relu()) == ("passed", "")


def test_a_stub_is_the_readers_turn(desk):
    status, text = verdict(desk, stub_of("relu"))
    line = stub_of("relu").split("raise NotImplementedError")[0].count("\n") + 1
    assert (status, text) == ("todo", f"relu.py, line {line}: your turn")


@pytest.mark.parametrize("source, words", [
    (relu("return dy * (x > 0"), r"relu.py, line 1[23]: .*\(Python cannot read the file\)"),
    ("def f(:\n", r"relu.py, line 1: invalid syntax"),
    ("  x = 1\n y = 2\n", r"relu.py, line \d: .*indent"),
    ("x = '\u00e9'\n".encode("latin-1"), r"relu.py(, line \d+)?: .*(UTF-8|utf-8|decode)"),
    (b"x = 1\n\x00y = 2\n", r"relu.py(, line \d+)?: .*null byte"),
    (relu(top="import no_such_module"),
     r"relu.py, line 4.*ModuleNotFoundError: No module named 'no_such_module'"),
    (relu(top="from minijepa.modules import Modul"), r"relu.py, line 4.*ImportError"),
    (relu(top="1 / 0"), r"relu.py, line 4.*ZeroDivisionError: division by zero"),
    (relu(top="exit()"), r"relu.py, line 4.*it calls exit\(\)"),
    (relu(top="import sys; sys.exit(0)"), r"relu.py, line 4.*it calls exit\(\)"),
    (relu("exit()"), r"relu.py, line 12, in backward: it calls exit\(\)"),
    (relu("raise SystemExit"), r"relu.py, line 12, in backward: it calls exit\(\)"),
    (relu("raise KeyboardInterrupt"), r"relu.py, line 12, in backward: KeyboardInterrupt"),
    (relu("import os\nos._exit(0)"),
     r"relu.py: it ended the process before the check was done \(exit code 0\)"),
    (relu("import os\nos._exit(3)"), r"relu.py: it ended the process.*exit code 3"),
    (relu("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
     r"relu.py: it ended the process.*exit code -9"),
    (relu("return dy * (z > 0)"),
     r"relu.py, line 12, in backward: NameError: name 'z' is not defined"),
    (relu("return dy @ x"), r"relu.py, line 12, in backward: ValueError: matmul"),
    (relu("raise RuntimeError('one\\ntwo')"), r"relu.py, line 12, in backward: RuntimeError: one"),
    (relu("return backward(dy)"), r"relu.py, line 12, in backward: RecursionError"),
    (relu("raise Exception"), r"relu.py, line 12, in backward: Exception"),
    (relu("raise MemoryError"), r"relu.py, line 12, in backward: MemoryError"),
    (relu("class Odd(BaseException): pass\nraise Odd('very')"), r"line 13, in backward: Odd: ver"),
    (relu("raise GeneratorExit"), r"relu.py, line 12, in backward: GeneratorExit"),
    (relu("class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd"),
     r"line 14, in backward: Odd: \(its message cannot be printed\)"),
    (relu("raise ValueError('x' * 1_000_000)"), r"ValueError: x{300,400} …"),
    (relu("return np.ones(3 * 2**30)"), r"line 12, in backward: _?\w*MemoryError"),
    (relu(top="import gc, json; json.dump = None"), r"it ended the process"),
    (relu(top="import shutil, sys, os; shutil.rmtree(os.path.dirname(sys.argv[2]))"),
     r"it ended the process"),
    *((relu(top=f"import sys, os; open(sys.argv[2], 'w').write({forged}); os._exit(0)"),
       r"it ended the process") for forged in ("'[' * 100000", "'[1, {}]'", "'passed'")),
])
def test_a_file_that_misbehaves_is_answered_about_that_file(desk, source, words):
    status, text = verdict(desk, source)
    assert status == "wrong" and re.search(words, text), text
    assert "Traceback" not in text and "runner.py" not in text and "checks.py" not in text


@pytest.mark.slow
@pytest.mark.parametrize("source", [
    relu(top="while True: pass"),
    relu("while True: pass"),
    relu("import time\nwhile True:\n    try: time.sleep(100)\n    except BaseException: pass"),
])
def test_a_loop_that_does_not_end_is_ended_and_its_line_told(desk, source, monkeypatch):
    """With 2 s in the place of 20, in the process of the learner too."""
    start_process = subprocess.Popen
    program = "from minijepa.exercises import runner; runner.SECONDS = 2; runner.main()"

    def start_with_less_time(argv, **more):
        assert argv[:3] == [sys.executable, "-m", "minijepa.exercises.runner"]
        return start_process([sys.executable, "-c", program, *argv[3:]], **more)

    monkeypatch.setattr(runner, "SECONDS", 2)
    monkeypatch.setattr(runner.subprocess, "Popen", start_with_less_time)
    start = time.monotonic()
    status, text = verdict(desk, source)
    assert time.monotonic() - start < 10
    line = source.split("while True")[0].count("\n") + 1
    assert status == "wrong" and "still running after 2 s, and was ended" in text
    assert text.startswith(tuple(f"relu.py, line {line + more}: " for more in range(6)))


def test_a_check_may_take_20_seconds():
    assert runner.SECONDS == 20


def test_a_flood_of_prints_is_cut_off(desk, capfd):
    status = verdict(desk, relu("print('hello ' * 100_000)\nreturn dy * (x > 0)"), show_output=True)
    assert status == ("passed", "")
    out = capfd.readouterr().out
    assert len(out) < 30_000 and "it prints more than is shown" in out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_what_is_forked_ends_with_the_check(desk):
    top = ("import os, time; child = os.fork(); open(__file__ + '.pid', 'a').write(f'{child} ')"
           " if child else time.sleep(600)")
    assert verdict(desk, relu(top=top)) == ("passed", "")
    child = int((desk / "relu.py.pid").read_text().split()[0])
    for _ in range(50):                                # until it is reaped by whoever inherits it
        try:
            if "Z" in Path(f"/proc/{child}/stat").read_text():
                return
        except FileNotFoundError:
            return
        time.sleep(0.1)
    raise AssertionError("it is still running")


def test_with_its_output_closed_a_check_still_ends_with_its_exit_code(files):
    (files / "relu.py").write_text(relu())
    for names, code in (["relu"], 0), (["linear"], 1):
        line = f"{sys.executable} -m minijepa.exercises check {names[0]} >&-"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "")


def test_threads_that_go_on_do_not_hold_up_the_check(desk):
    top = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    start = time.monotonic()
    assert verdict(desk, relu(top=top)) == ("passed", "")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("top", [
    "print('hello ' * 500000)",
    "import sys; sys.stdout.write('x' * 3000000); sys.stderr.write('y' * 3000000)",
    "import os; os.write(1, b'raw' * 1000000)",
    "import sys; sys.stdout = sys.stderr = None",
    "import sys; sys.stdout.close()",
    "import sys; sys.stdin.read()",
    "import warnings; warnings.simplefilter('error')",
    "import os; os.chdir('/')",
    "import numpy; numpy.random.seed(0); numpy.seterr(all='raise')",
])
def test_what_a_right_file_prints_or_sets_does_not_matter(desk, capfd, top):
    assert verdict(desk, relu(top=top)) == ("passed", "")
    assert capfd.readouterr() == ("", "")


def test_a_print_is_shown_where_one_exercise_is_checked(desk, capfd):
    assert verdict(desk, relu("print('shape', dy.shape)\nreturn dy * (x > 0)"),
                   show_output=True) == ("passed", "")
    assert "shape (5, " in capfd.readouterr().out


def test_a_library_of_the_same_name_in_the_folder_is_the_learners(desk):
    """A mistake in a file that is imported is told with that file's name."""
    (desk / "helper.py").write_text("\n\n1 / 0\n")
    status, text = verdict(desk, relu(top="import helper"))
    assert status == "wrong"
    assert text.startswith("helper.py, line 3") and "ZeroDivisionError" in text


def test_no_bytecode_and_no_other_file_is_left(desk):
    (desk / "helper.py").write_text("slope = 1\n")
    assert verdict(desk, relu(top="import helper")) == ("passed", "")
    assert set(os.listdir(desk)) <= {"relu.py", "helper.py", "__pycache__"}


@pytest.mark.slow
def test_the_others_still_run_when_one_is_broken(files, capsys):
    """On the stubs: one ends its process, one is solved, one is no Python, the rest untouched."""
    (files / "linear.py").write_text("import os\nos._exit(1)\n")
    (files / "relu.py").write_text(relu())
    (files / "mse.py").unlink()
    code, out = run(capsys, "check", "relu")
    more = "\nWhat others get wrong here: python -m minijepa.exercises mistakes relu\n"
    assert (code, out) == (0, f"{'relu':<19} passed\n{more}{NEXT}")
    (files / "mse.py").write_text("def mse(:\n")
    code, out = run(capsys, "check")
    assert code == 1
    lines = out.splitlines()[:len(ORDER)]
    told = {line.split()[0]: line[20:] for line in lines}
    assert list(told) == ORDER
    assert told["relu"] == "passed" and told["linear"] == told["mse"] == "WRONG"
    for name in ORDER:
        if name not in ("relu", "linear", "mse", "jepa_step"):                 # it imports them
            assert told[name] == ("not found yet" if name.startswith("bug") else "your turn")
    assert f"{ORDER[0]}.py, line" in out
    assert f"A hint: python -m minijepa.exercises hint {ORDER[0]}" in out


@pytest.mark.slow
def test_the_whole_set_solved(desk, capsys):
    """From an empty folder to all done, and within the time that is promised."""
    run(capsys, "start")
    for name in NAMES:
        (desk / "exercises" / f"{name}.py").write_text(RIGHT[name], encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "minijepa.exercises", "check"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(f"{name:<19} passed\n" for name in ORDER) + "\nAll done.\n"
    out = run(capsys)[1]
    assert out.count("[x]") == len(ORDER) and out.endswith("All done.\n")


def test_the_command_ends_with_its_exit_code_and_one_line_for_a_mistake(desk):
    done = subprocess.run([sys.executable, "-m", "minijepa.exercises", "check"],
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch("error: the folder exercises .*\n", done.stderr)
