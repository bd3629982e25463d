"""The commands, as a user meets them: a mistake gets one line and exit code 2, nothing is lost."""

import importlib.util
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minijepa import ask, cli, gradcheck, train
from minijepa.options import UserError, run
from minijepa.worlds import words

ROOT = Path(__file__).parents[1]
FILES = {
    "empty.txt": b"",
    "dots.txt": b"...\n!!!\n",
    "latin.txt": b"caf\xe9 au lait\n" * 6,
    "binary.txt": b"a b\0c\n" * 6,
    "one.txt": b"a b\nc d\n\nhello!\n",
    "four.txt": b"a b\nb c\nc d\nd e\n",
    "same.txt": b"a b c\n" * 50,
    "five.txt": b"a b\nb c\nc d\nd e\ne f\n",
    "text.npz": b"not a checkpoint",
    "kept": b"the old model",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the files above and a folder, `folder`, to work in."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    os.mkdir("folder")
    return tmp_path


def assert_as_it_was(folder):
    assert {path.name for path in folder.iterdir()} == {*FILES, "folder"}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert os.listdir(folder / "folder") == []


def assert_one_line(err):
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1


def command(module, *argv, before="", env=(), **kwargs):
    """Start `python -m minijepa.…` as another process, in the shell."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **dict(env)}
    quoted = " ".join(f"'{word}'" for word in (sys.executable, "-m", module, *argv))
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
    return subprocess.Popen(["sh", "-c", f"{before} exec {quoted}"], env=env, text=True, **kwargs)


def outcome(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


# Mistakes. In this table a run starts the command just as `python -m` does, in this process.

MISTAKES = [
    ("train --corpus missing.txt", "missing.txt No such file"),
    ("train --corpus folder", "folder directory"),
    ("train --corpus empty.txt", "empty.txt at least 5"),
    ("train --corpus dots.txt", "at least 5"),
    ("train --corpus four.txt", "at least 5 has 4"),
    ("train --corpus same.txt", "at least 5 has 1"),
    ("train --corpus latin.txt", "latin.txt UTF-8"),
    ("train --corpus binary.txt", "binary.txt binary"),
    ("train --corpus one.txt", "one.txt line 4: hello"),
    ("train --corpus a\nb.txt", "No such file"),
    ("train --epochs 0", "--epochs 1 '0'"),
    ("train --epochs 1.5", "--epochs whole '1.5'"),
    ("train --epochs 1e3", "--epochs whole '1e3'"),
    ("train --epochs 99999999999", "--epochs"),
    ("train --learning-rate 0", "--learning-rate above 0"),
    ("train --learning-rate inf", "--learning-rate 'inf'"),
    ("train --tau 1.1", "--tau at most 1 '1.1'"),
    ("train --seed -1", "--seed '-1'"),
    ("train --seed τ", "--seed τ"),
    ("train --latent-dim 1000000000", "memory"),
    ("train --dtype float16", "--dtype float32 float64 'float16'"),
    ("train --treatment teacher", "--treatment ema joint"),
    ("train --epoch 3", "--epoch --help"),
    ("train --bogus", "--bogus --help"),
    ("train --epochs", "--epochs"),
    ("train words extra", "extra"),
    ("train --save missing/model.npz", "missing folder does not exist"),
    ("train --save folder", "folder; name a file"),
    ("train --save kept/model.npz", "folder does not exist"),
    ("train --save folder/", "folder; name a file"),
    ("train --json missing/run.json", "missing folder does not exist"),
    ("train --json folder", "folder; name a file"),
    ("train --resume missing.npz", "missing.npz No such file"),
    ("train --resume folder", "folder directory"),
    ("train --resume text.npz", "text.npz not a checkpoint"),
    ("train --resume empty.txt", "not a checkpoint"),
    ("ask", "prompt"),
    ("ask the cat", "one blank has 0"),
    ("ask __ saw __", "one blank has 2"),
    ("ask __", "a word beside"),
    ("ask !!! __", "a word beside"),
    ("ask the horze climbed __", "'horze' 'horse'"),
    ("ask naïve __", "'naïve'"),
    ("ask the __ --top 0", "--top '0'"),
    ("ask the __ --top many", "--top 'many'"),
    ("ask the __ --model missing.npz", "missing.npz No such file"),
    ("ask the __ --model folder", "directory"),
    ("ask the __ --model text.npz", "not a checkpoint"),
    ("ask the __ --bogus", "--bogus --help"),
    ("gradcheck --bogus", "--bogus --help"),
    ("gradcheck extra", "extra"),
]


def answer_to_a_mistake(main, argv, capsys):
    """What was printed, and the one line of the answer."""
    with pytest.raises(SystemExit) as stopped:
        run(lambda: main(argv))
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert_one_line(err)
    return out, err


@pytest.mark.parametrize("line, fragments", MISTAKES)
def test_a_mistake_gets_one_line_and_exit_code_2(line, fragments, folder, capsys):
    name, *argv = line.split(" ")
    if name == "train" and "--save" not in argv:
        argv += ["--save", "kept"]
    main = {"train": cli, "ask": ask, "gradcheck": gradcheck}[name].main
    out, err = answer_to_a_mistake(main, argv, capsys)
    assert out == ""                                   # it is found before anything has begun
    assert all(fragment in err for fragment in fragments.split())
    assert_as_it_was(folder)


@pytest.mark.parametrize("argv, fragments, lines", [
    (["--batch-size", "673"], "--batch-size 672 673", 2),
    (["--corpus", "five.txt"], "--batch-size at most 8 32", 2),
    (["--learning-rate", "1e6", "--json", "run.json"], "--learning-rate (it was 1e+06)", 3),
])
def test_what_shows_only_later_leaves_nothing_either(argv, fragments, lines, folder, capsys):
    """What only the world can know is found before the first row, a loss that diverges after."""
    out, err = answer_to_a_mistake(cli.main, [*argv, "--save", "kept"], capsys)
    assert len(out.splitlines()) == lines              # what there is, the titles; a row
    assert all(fragment in err for fragment in fragments.split())
    assert_as_it_was(folder)


def test_a_command_that_succeeds_exits_with_what_it_returns(capsys):
    for value, code in ((None, None), (1, 1)):
        with pytest.raises(SystemExit) as stopped:
            run(lambda value=value: value)
        assert stopped.value.code == code
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_before_anything_has_begun(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(words, "grammar", interrupted)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: cli.main(["--save", "kept"]))
    assert stopped.value.code == 130 and capsys.readouterr() == ("", "")
    assert Path("kept").read_bytes() == FILES["kept"]


# What only another process can show

def test_a_mistake_in_another_process():
    code, out, err = outcome(command("minijepa.train", "--epochs", "0"))
    assert (code, out) == (2, "")
    assert_one_line(err)


def long_run(*argv):
    """A run of 3000 epochs of one step that has shown the rows of 0 and 300, and goes on."""
    process = command("minijepa.train", "--epochs", "3000", "--batch-size", "672", *argv,
                      "--embed-dim", "4", "--hidden-dim", "4", "--latent-dim", "4")
    shown = [process.stdout.readline() for _ in range(4)]
    assert shown[3].split()[0] == "300"
    return process


def saved_epochs(path):
    with np.load(path) as archive:
        return int(archive["state/epoch"])


def test_ctrl_c_ends_with_130_and_the_last_epoch_saved(folder):
    # in the background it is ignored, which a child would inherit
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = long_run("--save", "stopped.npz")
    signal.signal(signal.SIGINT, ours)
    process.send_signal(signal.SIGINT)
    code, out, err = outcome(process)
    assert (code, err) == (130, "")
    epochs = int(re.search(r"stopped; (\d+) epochs are done", out)[1])
    assert epochs >= 300 and saved_epochs("stopped.npz") == epochs
    os.remove("stopped.npz")
    assert_as_it_was(folder)                           # no temporary file is left


def test_a_reader_that_has_read_enough_is_no_mistake():
    process = long_run("--save", "stopped.npz")
    process.stdout.close()                             # as `| head -4` does; the next row is of 600
    assert process.wait(60) == 141 and process.stderr.read() == ""
    process.stderr.close()
    assert saved_epochs("stopped.npz") == 600


def test_help_that_nobody_reads():
    read, write = os.pipe()
    os.close(read)
    process = command("minijepa.train", "--help", stdout=write, env={"PYTHONUNBUFFERED": ""})
    code, _, err = outcome(process)
    os.close(write)
    assert (code, err) == (141, "")


def test_a_full_disk_keeps_the_old_model(folder):
    code, out, err = outcome(command("minijepa.train", "--epochs", "1", "--save", "kept",
                                     before="ulimit -f 20;"))
    assert code == 2 and "kept" in err and "too large" in err
    assert_one_line(err)
    assert_as_it_was(folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_under_the_output():
    with open("/dev/full", "w") as full:
        code, _, err = outcome(command("minijepa.ask", "the cat __", stdout=full))
    assert code == 2 and "No space left" in err
    assert_one_line(err)


def test_a_closed_output_and_a_terminal_that_knows_only_ascii():
    process = command("minijepa.train", "--epochs", "1", "--save", "m.npz", before="exec >&-;")
    code, _, err = outcome(process)
    assert (code, err, saved_epochs("m.npz")) == (0, "", 1)
    code, out, err = outcome(command("minijepa.train", "--help", env={"PYTHONIOENCODING": "ascii"}))
    assert (code, err) == (0, "") and r"\u03c4" in out


# What is answered

def test_the_list_of_commands_names_those_that_there_are(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["minijepa"])
    with pytest.raises(SystemExit):
        runpy.run_module("minijepa", run_name="__main__")
    named = re.findall(r"python -m (minijepa\.\w+)", capsys.readouterr().out)
    assert {"minijepa.train", "minijepa.ask", "minijepa.gradcheck"} <= set(named)
    for module in named:
        assert importlib.util.find_spec(module) is not None
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
            for loaded in module, f"{module}.__main__":    # of a package the latter
                patch.delitem(sys.modules, loaded, raising=False)
            patch.setattr(sys, "argv", [module, "--help"])
            runpy.run_module(module, run_name="__main__")
        assert stopped.value.code == 0
        assert f"usage: python -m {module}" in capsys.readouterr().out


def answer(capsys, *argv):
    """What ask prints: [(cosine, word), …]"""
    assert ask.main(list(argv)) is None
    lines = capsys.readouterr().out.splitlines()
    assert all(re.fullmatch(r"[ -]\d\.\d{3}  \w+", line) for line in lines)
    return [(float(line.split()[0]), line.split()[1]) for line in lines]


def test_ask_trains_the_standard_model_on_the_spot(capsys):
    found = answer(capsys, "The cat climbed up the __.")
    assert {word for _, word in found[:4]} == {"tree", "stairs", "sofa", "wall"} and len(found) == 5
    assert [cosine for cosine, _ in found] == sorted((cosine for cosine, _ in found), reverse=True)
    cli.main(["--quiet", "--save", "model.npz"])
    model = "--model", "model.npz"
    assert answer(capsys, "the", "cat", "climbed", "up", "the", "__", *model) == found
    two = answer(capsys, "the child __ the door", *model, "--top", "2")
    assert {word for _, word in two} == {"opened", "closed"}
    assert len(answer(capsys, "__ cat climbed", *model, "--top", "1000")) == 59


def test_ask_finds_a_mistake_before_it_trains(monkeypatch):
    monkeypatch.setattr(train.Training, "rows", lambda self: pytest.fail("it trains"))
    with pytest.raises(UserError, match="'horze'"):
        ask.main(["the horze __"])


def test_ask_a_model_of_a_readers_corpus(capsys):
    words = "ärgs öl üb maß".split()
    Path("lügen.txt").write_text("".join(f"{a} mag {b}\n" for a in words for b in words),
                                 encoding="utf-8")
    cli.main(["--quiet", "--corpus", "lügen.txt", "--batch-size", "4", "--save", "modell-ü.npz"])
    found = answer(capsys, "Öl __ üb!", "--model", "modell-ü.npz")
    assert found[0][1] == "mag" and {word for _, word in found} == {"mag", *words}
    out, err = answer_to_a_mistake(ask.main, ["the __", "--model", "modell-ü.npz"], capsys)
    assert "'the'" in err
