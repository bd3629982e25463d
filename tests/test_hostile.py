"""Nothing lost, nothing half, no traceback: files, signals, forged checkpoints, odd commands."""

import copy
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from minijepa import ask, checkpoint, cli, dial
from minijepa.options import UserError, printable, run
from minijepa.train import Training, train_epoch
from minijepa.worlds.corpus import Corpus
from minijepa.worlds.words import Words

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}


def command(*arguments, **options):
    """python -m minijepa.…: the finished process, with its output as text."""
    return subprocess.run([sys.executable, "-m", *map(str, arguments)], text=True, env=ENVIRONMENT,
                          capture_output=True, timeout=120, **options)


def one_line(done):
    """The one line of a mistake's answer."""
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    return done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "words.npz"
    cli.main(["--epochs", "1", "--quiet", "--save", str(path)])
    return path


@pytest.fixture
def saved(trained):
    """The arrays of a small checkpoint."""
    with np.load(trained) as archive:
        return dict(archive)


# --- a trained model is not lost ------------------------------------------------------------------

@pytest.mark.parametrize("failure", [MemoryError, np.linalg.LinAlgError, ZeroDivisionError])
def test_the_model_is_saved_before_the_report_that_fails(tmp_path, monkeypatch, failure):
    def report(*_):
        raise failure

    monkeypatch.setattr(Words, "report", report)
    with pytest.raises(failure):
        cli.main(["--epochs", "2", "--quiet", "--save", str(tmp_path / "a.npz")])
    assert Training.load(tmp_path / "a.npz").epoch == 2


@pytest.mark.parametrize("failure", [MemoryError, np.linalg.LinAlgError, RuntimeError])
def test_the_model_is_saved_where_the_last_row_fails(tmp_path, monkeypatch, capsys, failure):
    measure = Words.measure
    rows = []

    def measured(*given):
        rows.append(None)
        if len(rows) == 3:                             # of the epochs 0, 1 and 2
            raise failure
        return measure(*given)

    monkeypatch.setattr(Words, "measure", measured)
    with pytest.raises(failure):
        cli.main(["--epochs", "2", "--save", str(tmp_path / "a.npz")])
    assert "2 epochs are done\nsaved to" in capsys.readouterr().out
    assert Training.load(tmp_path / "a.npz").epoch == 2


@pytest.mark.parametrize("where", ["value", "optimizer"])
def test_what_is_not_finite_replaces_no_model(tmp_path, monkeypatch, where):
    """The last step of epoch 3 makes a number infinite, which no loss shows any more."""
    def spoilt(world, model, optimizer, *given):
        yield from train_epoch(world, model, optimizer, *given)
        epochs.append(None)
        if len(epochs) == 3:
            (model.value if where == "value" else optimizer.state["v"])[0] = np.inf

    path, epochs = tmp_path / "a.npz", []
    monkeypatch.setattr("minijepa.train.train_epoch", spoilt)
    monkeypatch.setattr(cli, "SAVE_EVERY", 0)
    with pytest.raises(UserError, match="finite in epoch 3"):
        cli.main(["--epochs", "9", "--quiet", "--save", str(path)])
    assert Training.load(path).epoch == 2


def test_a_long_training_is_saved_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "SAVE_EVERY", 0)
    epochs, save = [], checkpoint.save
    monkeypatch.setattr(checkpoint, "save",
                        lambda path, *state: epochs.append(state[1]["epoch"]) or save(path, *state))
    cli.main(["--epochs", "4", "--quiet", "--save", str(tmp_path / "a.npz")])
    assert epochs == [1, 2, 3, 4, 4]


def test_a_disk_that_is_full_on_the_way_does_not_end_the_training(tmp_path, monkeypatch):
    save, tries = checkpoint.save, []

    def full(path, *state):
        tries.append(None)
        if len(tries) < 4:
            raise UserError("cannot write a.npz: No space left on device")
        save(path, *state)

    monkeypatch.setattr(cli, "SAVE_EVERY", 0)
    monkeypatch.setattr(checkpoint, "save", full)
    cli.main(["--epochs", "3", "--quiet", "--save", str(tmp_path / "a.npz")])
    assert len(tries) == 4 and Training.load(tmp_path / "a.npz").epoch == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_keeps_what_is_done(tmp_path, number):
    path = tmp_path / "a.npz"
    command = [sys.executable, "-u", "-m", "minijepa.train", "--epochs", "100000", "--save", path]
    heeded = lambda: signal.signal(number, signal.SIG_DFL)     # what runs behind & ignores Ctrl-C
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
                          preexec_fn=heeded) as process:
        while "     0  " not in process.stdout.readline():     # trains
            pass
        time.sleep(0.5)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and f"saved to {path}" in output
    assert Training.load(path).epoch >= 1


@pytest.fixture
def handlers():
    """Those of the signals, as they were."""
    numbers = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def test_a_second_signal_does_not_end_what_the_first_began(handlers):
    """A terminal that is closed sends SIGHUP twice."""
    saved = []

    def main():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(9)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            saved.append(True)

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 130 and saved == [True]


def test_what_is_ignored_stays_so(handlers):
    """nohup has SIGHUP ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: os.kill(os.getpid(), signal.SIGHUP) or time.sleep(0.01))
    assert stopped.value.code is None


def test_ctrl_c_during_the_imports_shows_no_traceback(tmp_path):
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run([sys.executable, "-m", "minijepa.train"], capture_output=True, text=True,
                          env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(
                              [str(tmp_path), ENVIRONMENT["PYTHONPATH"]])}, timeout=60,
                          preexec_fn=lambda: signal.signal(signal.SIGINT,
                                                           signal.default_int_handler))
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_measurement_that_fails_is_answered_in_a_line(capsys):
    def main():
        np.linalg.solve(np.zeros((2, 2)), np.ones(2))

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 2
    assert re.fullmatch("error: .*Singular matrix.*learning-rate\n", capsys.readouterr().err)


@pytest.mark.slow
def test_a_comparison_has_the_settings_of_the_run_that_is_resumed(tmp_path, monkeypatch):
    seen = []
    start = Training.start.__func__

    def spy(cls, world, given):
        seen.append(given)
        return start(cls, world, {**given, "epochs": 1})

    path = str(tmp_path / "v.npz")
    cli.main(["video", "--epochs", "1", "--decay", "0", "--hidden-dim", "9", "--quiet",
              "--save", path])
    monkeypatch.setattr(Training, "start", classmethod(spy))
    cli.main(["video", "--resume", path, "--epochs", "2", "--compare", "--quiet"])
    assert seen and all(given["hidden_dim"] == 9 for given in seen)


# --- files ----------------------------------------------------------------------------------------

def test_a_link_that_somebody_planted_is_not_followed(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "a"
    victim.write_text("precious")
    for pid in range(os.getpid(), os.getpid() + 3):
        (tmp_path / f"a.{pid}.part").symlink_to(victim)
    checkpoint.write_file(path, lambda file: file.write(b"new"))
    assert victim.read_text() == "precious" and path.read_bytes() == b"new"


def test_the_temporary_name_cannot_be_guessed_and_the_file_is_new(tmp_path):
    names = set()
    for _ in range(3):
        checkpoint.write_file(tmp_path / "a", lambda file: names.add(
            next(name for name in os.listdir(tmp_path) if name.endswith(".part"))))
    assert len(names) == 3


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_overwriting_keeps_the_mode(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    checkpoint.write_file(path, lambda file: file.write(b"new"))
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == b"new"


def test_a_new_file_has_the_mode_that_any_has(tmp_path):
    (tmp_path / "b").write_text("")
    checkpoint.write_file(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_what_a_killed_run_left_goes_with_the_next_save_of_the_same_file(tmp_path):
    others = ["a.npz.not_mine.part", "a.npz.notes.part", "other.npz.k2j4_1ab.part"]
    for name in ("a.npz.k2j4_1ab.part", *others[1:]):
        (tmp_path / name).write_text("half")
    (tmp_path / others[0]).mkdir()                     # which no save can remove
    checkpoint.write_file(tmp_path / "a.npz", lambda file: file.write(b"whole"))
    assert sorted(os.listdir(tmp_path)) == ["a.npz", *others]


def test_two_who_save_the_same_file_both_succeed(tmp_path):
    """One takes the other's part for what a killed run has left."""
    path, tries = tmp_path / "a", []

    def write(file):
        tries.append(None)
        file.write(b"one")
        if len(tries) == 1:
            checkpoint.write_file(path, lambda file: file.write(b"other"))

    checkpoint.write_file(path, write)
    assert len(tries) == 2 and path.read_bytes() == b"one" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("missing", ["chmod", "fsync of a folder"])
def test_what_a_file_system_lacks_loses_no_model(tmp_path, monkeypatch, missing):
    real = os.fsync

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    def refuse_folder(handle):
        return refuse() if stat.S_ISDIR(os.fstat(handle).st_mode) else real(handle)

    monkeypatch.setattr(os, missing.split()[0], refuse if missing == "chmod" else refuse_folder)
    checkpoint.write_file(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


def test_a_socket_is_refused_before_the_training(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        path = os.path.relpath(tmp_path / "s")
        server.bind(path)
        with pytest.raises(UserError, match="it is a socket"):
            checkpoint.check_writable(path)


def test_two_outputs_of_one_name_are_refused_and_numbers_are_no_names(tmp_path):
    done = command("minijepa.collapse", "--json", "a.svg", "--plot", "a.svg", cwd=tmp_path)
    assert "named twice" in one_line(done)
    done = command("minijepa.train", "--save", "1", "--epochs", "1", "--quiet", "--json=--",
                   cwd=tmp_path)
    assert done.returncode == 0 and sorted(os.listdir(tmp_path)) == ["--", "1"]


def test_the_file_of_a_world_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    circle = os.path.join(os.path.dirname(__file__), "circle.py")
    with open(circle, encoding="utf-8") as file:
        text = file.read().replace('"latent_dim": Option', '"q": Option(0, whole(0), ""),\n'
                                   '               "latent_dim": Option').replace(
            "    columns", '    dial, comparisons = {"place_r2": 1}, {"wide": {}}\n    columns')
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    for main, argv in ((cli.main, ["mine.py", "--save", "mine.py"]),
                       (cli.main, ["mine.py", "--json", "./mine.py"]),
                       (dial.main, ["mine.py", "--json", "mine.py"])):
        with pytest.raises(UserError, match="named twice"):
            main(argv)
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == text


def test_what_is_resumed_may_be_saved_under_another_spelling(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npz").write_bytes(trained.read_bytes())
    cli.main(["--resume", "./a.npz", "--epochs", "2", "--quiet", "--save", "a.npz"])
    assert Training.load("a.npz").epoch == 2


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = command("minijepa.train", "--resume", tmp_path / "pipe")
    assert "not a checkpoint" in one_line(done)


# --- forged checkpoints ---------------------------------------------------------------------------

def config(old, new):
    """Another text in the place of one in the stored configuration."""
    return "state/config", lambda text: np.array(str(text).replace(old, new))


def letters(text):
    return np.frombuffer(text, np.uint8)


FORGED = {                                   # {what: (key, another array, a function, or None)}
    "epoch at the end": ("state/epoch", np.array(2**63 - 1)),
    "epoch below 0": ("state/epoch", np.array(-2**63)),
    "epoch that is text": ("state/epoch", np.array("1")),
    "epoch that is a fraction": ("state/epoch", np.array(1.5)),
    "epoch in words": ("state/epoch", np.array("three")),
    "no epoch": ("state/epoch", None),
    "t at the end": ("state/optimizer/t", np.array(2**63 - 1)),
    "no state of the optimizer": ("state/optimizer/v", None),
    "a structured version": ("state/format_version", np.zeros((), "i8,i8")),
    "a version that is text": ("state/format_version", np.array("2")),
    "sentences of another kind": ("state/world/sentences", np.array([1.5, 2.5])),
    "sentences that are no text": ("state/world/sentences", np.full(99, 255, np.uint8)),
    "escape sequences": ("state/world/sentences", letters(b"the \x1b[31mcat\nthe dog")),
    "one word": ("state/world/sentences", letters(b"the\ncat")),
    "a word too many": ("state/world/sentences", lambda text: np.append(text, letters(b" moon"))),
    "half a sentence": ("state/world/sentences", lambda text: text[:5]),
    "no sentence": ("state/world/sentences", np.zeros(0, np.uint8)),
    "no sentences": ("state/world/sentences", None),
    "a config that is a list": ("state/config", np.array("[]")),
    "a config that is no JSON": ("state/config", np.array("not JSON")),
    "a deep config": ("state/config", np.array("[" * 99999)),
    "no config": ("state/config", None),
    "no batch": config('"batch_size": 32', '"batch_size": -1'),
    "a rate in words": config('"learning_rate": 0.003', '"learning_rate": "x"'),
    "tau that is null": config('"tau": 0.99', '"tau": null'),
    "no epochs": config('"epochs": 1, ', ""),
    "another optimizer": config('"adam"', '"sgd"'),
    "another size": config('"latent_dim": 32', '"latent_dim": 33'),
    "an enormous size": config('"latent_dim": 32', '"latent_dim": 3000000'),
    "another world": config('"words"', '"worlds"'),
    "a world's name in colour": ("state/config",
                                 np.array(json.dumps({"world": "\x1b[31mred" * 9999}))),
    "no generator": ("state/rng", None),
    "an empty generator": ("state/rng", np.array("{}")),
    "a generator of another kind": (
        "state/rng", lambda text: np.array(str(text).replace('"PCG64"', '"MT19937"'))),
    "no parameter": ("predictor.0.bias", None),
    "a parameter of another shape": ("predictor.0.bias", lambda bias: bias[:-1]),
    "a parameter of another dtype": ("predictor.0.bias", lambda bias: bias.astype(np.float64)),
    "a parameter that is not finite": ("predictor.0.bias", lambda bias: bias * np.float32(np.nan)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_checkpoint_is_answered_in_a_line(saved, tmp_path, name):
    key, change = FORGED[name]
    kept = saved.pop(key)
    if change is not None:
        saved[key] = change(kept) if callable(change) else change
        assert not (saved[key].dtype == kept.dtype and np.array_equal(saved[key], kept))
    np.savez(tmp_path / "forged.npz", **saved)
    with pytest.raises(UserError) as error:
        Training.load(tmp_path / "forged.npz")
    shown = printable(str(error.value))
    assert "forged.npz" in shown and shown.isprintable() and len(shown) < 500


def test_a_model_that_is_not_finite_is_said_to_be(saved, tmp_path):
    huge = {name: np.sign(x) * np.float32(1e38) for name, x in saved.items()
            if not name.startswith("state/")}
    np.savez(tmp_path / "huge.npz", **{**saved, **huge})
    for argv in (["minijepa.train", "--epochs", "2", "--resume"],
                 ["minijepa.ask", "the cat climbed up the __", "--model"]):
        done = command(*argv, tmp_path / "huge.npz")
        assert "not finite" in one_line(done) and done.stdout == ""


def test_a_compressed_archive_is_refused_by_what_it_declares(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state/format_version.npy", b"\0" * 10**7)
    with pytest.raises(UserError, match="compressed"):
        checkpoint.load(path)


def test_an_archive_whose_members_overlap_is_refused_by_what_it_declares(saved, tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez(path, **saved)
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        for number in range(999):                      # each names the same bytes
            member = copy.copy(largest)
            member.filename = f"state/{number}.npy"
            archive.filelist.append(member)
        archive._didModify = True                      # or the list would not be written
    with pytest.raises(UserError, match="unpacks to more than it is"):
        checkpoint.load(path)


# --- the command line -----------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    ["minijepa.train", "--epochs=--"], ["minijepa.train", "--optimizer=--"], ["minijepa", "bogus"],
    ["minijepa.train", "--plot", "x.pgf"], ["minijepa.train", "nowhere"],
    ["minijepa.train", "nowhere.py"], ["minijepa.train", "--resume=--"],
    ["minijepa.ask", "--model=--", "the __"], ["minijepa.train", "--epochs", "1" * 5000],
    ["minijepa.ask", "the \udcff __"], ["minijepa.ask", "the 😀 \udcff __"],
])
def test_an_odd_command_line_is_answered_in_a_line(arguments, tmp_path):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    assert len(one_line(command(*arguments, cwd=tmp_path))) < 500
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_a_mistake_exits_with_2_though_nobody_can_be_told(stderr):
    if stderr.endswith("full") and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    script = f'"{sys.executable}" -m minijepa.train --epochs 0 {stderr}'
    assert subprocess.run(["sh", "-c", script], stdout=subprocess.DEVNULL,
                          env=ENVIRONMENT).returncode == 2


def test_a_message_is_printable_and_at_most_a_line():
    assert printable("a\x1b[31m\nb\tc\x00") == "a�[31m b c�"
    assert len(printable("x" * 10**6)) < 500


def test_asking_without_a_model_says_that_it_trains(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(Training, "rows", lambda self: [])
    ask.main(["the cat climbed up the __"])
    assert "no --model: training the standard one" in capsys.readouterr().out


def test_words_of_a_text_are_shown_in_a_line():
    long = "x" * 9999
    sentences = [[one, long, *["the"] * 999, other] for one in "abcdef" for other in "uvwxyz"]
    training = Training.start("words", {"corpus": Corpus(sentences, "")})
    shown = training.world.answers(training.model)
    assert long[:40] + " …" in shown and max(map(len, shown.splitlines())) < 500


@pytest.mark.slow
def test_fifty_thousand_words_are_reported_within_200_mib():
    import tracemalloc

    rng, V = np.random.default_rng(0), 50_000
    ids = rng.permutation(np.concatenate([np.arange(V), rng.zipf(1.3, 4 * V) % V]))
    sentences = [[f"w{id}" for id in part] for part in np.array_split(ids, V // 2)]
    training = Training.start("words", {"corpus": Corpus(sentences, "")})
    assert len(training.world.vocabulary) == V
    tracemalloc.start()
    text, _ = training.world.report(training.model, training.config, {})
    training.world.measure(training.model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20
    assert "(measured on 1000 held-out examples; raw input: counts of the 500 most" in text


def test_the_picture_shows_frequent_words_only(monkeypatch):
    class Axes:
        def __init__(self):
            self.words, self.points = [], 0

        def annotate(self, words, *_, **__):           # up to five of a group
            self.words += words.split()

        def plot(self, x, y, *dots, **__):
            self.points += len(x) * (not dots)         # predictions are dots

        def get_xlim(self):
            return 0, 1

        def set(self, *_, **__):
            pass

        get_ylim, axis = get_xlim, set

    every, few = Axes(), Axes()
    world = Words()
    model = Training.start(world, {}).model
    world.plot_latents(every, model, {})
    assert every.points == len(world.content)
    assert set(every.words) == {world.vocabulary[index] for index in world.content}
    monkeypatch.setattr("minijepa.worlds.words.COUNTED", 9)
    world = Words()
    world.plot_latents(few, model, {})
    often = np.argsort(-np.bincount(world.tokens), kind="stable")[:9]
    often = sorted(world.vocabulary[index] for index in often if index in world.content)
    assert few.points == len(often) and sorted(few.words) == often


def test_latents_are_brought_to_length_one_only_once(monkeypatch):
    world, calls = Words(), []
    model = Training.start(world, {}).model
    real = sys.modules["minijepa.gauges"].unit_rows
    counted = lambda rows: calls.append(len(rows)) or real(rows)
    monkeypatch.setattr("minijepa.worlds.words.unit_rows", counted)
    monkeypatch.setattr("minijepa.gauges.unit_rows", counted)
    monkeypatch.setattr("minijepa.worlds.words.BLOCK", 61)
    world.measure(model)
    assert calls.count(len(world.vocabulary)) == 1


def test_a_large_vocabulary_is_compared_in_parts(monkeypatch):
    world = Words()
    model = Training.start(world, {}).model
    whole = world.measure(model)
    monkeypatch.setattr("minijepa.worlds.words.BLOCK", 61)
    assert world.measure(model) == whole


def test_the_raw_input_counts_frequent_words_only(monkeypatch):
    world = Words()
    x, _ = world.examples(world.training[:50])
    every = world.raw(x)
    monkeypatch.setattr("minijepa.worlds.words.COUNTED", 7)
    few = Words().raw(x)
    frequent = np.sort(np.argsort(-np.bincount(world.tokens), kind="stable")[:7])
    assert np.array_equal(few, every[:, frequent])
