"""The dial: its table beside runs counted by hand, what Ctrl-C keeps, and mistakes in a line."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tables
from circle import Circle

from minijepa import dial
from minijepa.options import Option, UserError, choice, number, run
from minijepa.train import Training
from minijepa.worlds import WORLDS
from minijepa.worlds.video import Video

RATES, SEEDS, Q = [1e-3, 2e-3, 4e-3], [7, 8, 9, 10], [0, 0.5, 1]
DIALLED = ["dialled", "--rates", "1e-3,2e-3,4e-3", "--seeds", "4", "--first", "7", "--q", "0,0.5,1"]
ONE_ROW = len(RATES) * len(SEEDS)                      # trainings


def drawn(q, learning_rate, seed, twin="no", epochs=2, **_):
    """Numbers by chance, other ones for each setting."""
    settings = [int(100 * q), twin == "yes", int(1e6 * learning_rate), seed, epochs]
    numbers = np.random.default_rng(settings).random(3)
    return dict(zip(("relative_loss", "std", "place_r2"), map(float, numbers)))


class Dialled(Circle):
    """A circle with a dial, whose numbers are known without any training."""

    name = "dialled"
    options = {**Circle.options, "q": Option(1.0, number(0, 1), "the dial"),
               "twin": Option("no", choice("no", "yes"), "another model")}
    defaults = {**Circle.defaults, "epochs": 2}
    comparisons = {"its twin": {"twin": "yes", "learning_rate": 0.5},
                   "a third that the dial leaves out": {"batch_size": 4}}
    dial = {"std": 1, "relative_loss": -1}

    def probe(self, model):
        return drawn(**self.config)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(WORLDS, "dialled", Dialled)
    monkeypatch.setattr("minijepa.worlds.video.STEPS", 2)
    monkeypatch.setattr("minijepa.worlds.video.PROBED", 100)


def command(*argv):
    """Its exit code."""
    with pytest.raises(SystemExit) as stopped:
        run(lambda: dial.main(list(argv)))
    return stopped.value.code


def read(path="dial.json"):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def median(four):
    return sum(sorted(four)[1:3]) / 2


def rows_by_hand(keys, epochs=2):
    """What the table should have; keys: the dial's."""
    rows = []
    for q in Q:
        for model, twin in {"JEPA": "no", "its twin": "yes"}.items():
            found = {}
            for rate in RATES:
                runs = [drawn(q, rate, seed, twin, epochs) for seed in SEEDS]
                found[rate] = {key: median([run[key] for run in runs]) for key in keys}
            first = {rate: found[rate][keys[0]] for rate in RATES}
            wanted = max(first.values()) if keys[0] == "std" else min(first.values())
            rate, = [rate for rate in RATES if first[rate] == wanted]
            rows.append({"q": q, "model": model, "rate": rate, **found[rate]})
    return rows


@pytest.mark.parametrize("keys", [["std", "relative_loss"], ["relative_loss", "std"]])
def test_the_table_has_the_medians_at_each_models_own_best_rate(keys, monkeypatch, capsys):
    monkeypatch.setattr(Dialled, "dial", {key: Dialled.dial[key] for key in keys})
    assert command(*DIALLED, "--json", "dial.json") is None
    out, report, wanted = capsys.readouterr().out, read(), rows_by_hand(keys)
    assert len({row["rate"] for row in wanted}) > 1    # or nothing would have to be chosen
    assert report["world"] == "dialled" and report["options"] == {
        "seeds": 4, "first": 7, "rates": RATES, "epochs": None, "q": Q}
    for row, by_hand in zip(report["rows"], wanted, strict=True):
        assert list(row) == ["q", "model", "rate", *keys, "runs"]
        twin = "yes" if row["model"] == "its twin" else "no"
        runs = [{"rate": rate, "seed": seed, **drawn(row["q"], rate, seed, twin)}
                for rate in RATES for seed in SEEDS]
        assert row == {**by_hand, "runs": [{key: run[key] for key in ("rate", "seed", *keys)}
                                           for run in runs]}

    about, titles, *lines = out.splitlines()
    assert about == "dialled: medians of 4 seeds, each model at its own best rate"
    shown = [Dialled.columns[key][0] for key in keys]
    assert re.split(r"\s{2,}", titles.strip()) == ["q", "model", "rate", *shown]
    for line, row in zip(lines, wanted, strict=True):
        q, model, *numbers = re.split(r"\s{2,}", line.strip())
        assert (float(q), model) == (row["q"], row["model"])
        assert list(map(float, numbers)) == pytest.approx(
            [row["rate"], *(row[key] for key in keys)], abs=0.0000501)
    assert tables.shown(report) == "\n".join([titles, *lines])


def test_epochs_are_those_asked_for(capsys):
    assert command("dialled", "--seeds", "1", "--rates", "1e-3", "--q", "0", "--epochs", "1",
                   "--json", "dial.json") is None
    numbers = [row["std"] for row in read()["rows"]]
    assert numbers == [drawn(0, 1e-3, 0, twin, 1)["std"] for twin in ("no", "yes")]
    assert read()["options"]["epochs"] == 1


def test_what_is_not_asked_for_is_the_default(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(dial, "measured", lambda world, given: asked.append(given) or {
        "std": 1.0, "relative_loss": 1.0})
    assert command("dialled") is None
    assert asked == [{"q": q, **twin, "learning_rate": rate, "seed": seed}
                     for q in (0, 0.25, 0.5, 0.75, 1) for twin in ({}, {"twin": "yes"})
                     for rate in (2e-3, 4e-3) for seed in (0, 1, 2)]
    assert os.listdir() == []


def test_the_ball_is_trained_as_minijepa_train_does(capsys):
    assert command("video", "--seeds", "1", "--first", "3", "--rates", "1e-3", "--epochs", "1",
                   "--q", "0,1", "--json", "dial.json") is None
    rows = read()["rows"]
    models = [("JEPA", {}), ("pixel predictor", {"predict": "pixels"})]
    settings = [(q, *model) for q in (0, 1) for model in models]
    for row, (q, label, changed) in zip(rows, settings, strict=True):
        *_, last = Training.start("video", {"q": q, "epochs": 1, "learning_rate": 1e-3, "seed": 3,
                                            **changed}).rows()
        numbers = {key: last[key] for key in Video.dial}
        assert row == {"q": q, "model": label, "rate": 1e-3, **numbers,
                       "runs": [{"rate": 1e-3, "seed": 3, **numbers}]}


# What is kept

def without_training(monkeypatch, stop=None, error=KeyboardInterrupt()):
    """The same numbers at once; in the training `stop`, counted from 1, the error is raised."""
    done = []

    def measured(world, given):
        done.append(given)
        if len(done) == stop:
            raise error
        return {key: drawn(**given)[key] for key in world.dial}

    monkeypatch.setattr(dial, "measured", measured)


@pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (UserError("too fast"), 2)])
@pytest.mark.parametrize("rows", [1, 3])
def test_an_interrupted_dial_keeps_the_rows_that_are_done(error, code, rows, monkeypatch, capsys):
    without_training(monkeypatch)
    assert command(*DIALLED, "--json", "whole.json") is None
    lines = capsys.readouterr().out.splitlines()
    without_training(monkeypatch, rows * ONE_ROW + 5, error)
    assert command(*DIALLED, "--json", "dial.json") == code
    out, err = capsys.readouterr()
    assert out.splitlines() == lines[:2 + rows]
    assert err == ("error: too fast\n" if code == 2 else "")
    assert read() == {**read("whole.json"), "rows": read("whole.json")["rows"][:rows]}
    assert sorted(os.listdir()) == ["dial.json", "whole.json"]


@pytest.mark.parametrize("count", [1, ONE_ROW])
def test_where_no_row_is_done_nothing_is_written(count, monkeypatch, capsys):
    Path("dial.json").write_text("kept")
    without_training(monkeypatch, count)
    assert command(*DIALLED, "--json", "dial.json", *PLOT) == 130
    assert os.listdir() == ["dial.json"] and Path("dial.json").read_text() == "kept"


def test_a_rate_that_is_too_high_is_named(capsys):
    assert command("dialled", "--rates", "1e-3,1e30", "--json", "dial.json") == 2
    assert re.fullmatch(r"error: the loss stopped being finite .*1e\+30.*\n",
                        capsys.readouterr().err)
    assert os.listdir() == []


# Pictures

try:
    import matplotlib  # noqa: F401
    PLOT = ["--plot", "dial.svg"]
except ImportError:
    PLOT = []
needs_matplotlib = pytest.mark.skipif(
    not PLOT, reason="matplotlib is not installed: pip install 'minijepa[plot]'")


@needs_matplotlib
def test_the_picture_shows_the_table_and_its_seeds(monkeypatch, capsys):
    from minijepa import figures

    kept = []
    without_training(monkeypatch)
    monkeypatch.setattr(figures, "write", lambda figure, path: kept.append((figure, path)))
    assert command(*DIALLED, "--json", "dial.json", "--plot", "dial.svg") is None
    (figure, path), = kept
    assert path == "dial.svg"
    for axes, key in zip(figure.axes, Dialled.dial, strict=True):
        assert axes.get_title() == Dialled.columns[key][0]
        lines = zip(axes.get_lines(), axes.collections, ["JEPA", "its twin"], strict=True)
        for line, shade, model in lines:
            rows = [row for row in read()["rows"] if row["model"] == model]
            assert line.get_label() == model and list(line.get_xdata()) == Q
            assert list(line.get_ydata()) == [row[key] for row in rows]
            corners = shade.get_paths()[0].vertices
            for row in rows:
                numbers = [run[key] for run in row["runs"] if run["rate"] == row["rate"]]
                shaded = corners[corners[:, 0] == row["q"], 1]
                assert (shaded.min(), shaded.max()) == (min(numbers), max(numbers))
    figures.need("dial.svg").close(figure)


@needs_matplotlib
def test_a_picture_is_drawn_also_of_an_interrupted_dial(monkeypatch, capsys):
    for path in "dial.svg", "again.svg":
        without_training(monkeypatch, 2 * ONE_ROW + 1)
        assert command(*DIALLED, "--plot", path) == 130
    assert Path("dial.svg").read_bytes() == Path("again.svg").read_bytes()
    assert b"<svg" in Path("dial.svg").read_bytes()


# Mistakes

MISTAKES = [
    ("dialled --seeds 0", "--seeds 1 '0'"), ("dialled --seeds many", "--seeds whole 'many'"),
    ("dialled --seeds 1001", "--seeds 1000 '1001'"), ("dialled --first -1", "--first '-1'"),
    ("dialled --rates 0", "--rates above 0 several '0'"),
    ("dialled --rates 1e-3,fast", "--rates '1e-3,fast'"), ("dialled --rates ,", "--rates ','"),
    ("dialled --rates nan", "--rates 'nan'"), ("dialled --q 1.1", "--q at most 1 '1.1'"),
    ("dialled --q 0,-0.5", "--q '0,-0.5'"), ("dialled --q 0;1", "--q commas '0;1'"),
    ("dialled --epochs 0", "--epochs '0'"), ("dialled --epochs", "--epochs"),
    ("dialled --seed 1", "--seed --help"), ("dialled extra", "extra"),
    ("--seeds 1", "world"), ("words", "words no dial video rooms"), ("bogus", "'bogus'"),
    ("no.py", "no.py"), (f"{Path(__file__).with_name('circle.py')}", "circle no dial video rooms"),
    ("dialled --json no/dial.json", "no/dial.json folder does not exist"),
    ("dialled --plot no/dial.svg", "no/dial.svg folder does not exist"),
    ("dialled --json a.svg --plot a.svg", "a.svg twice"),
    ("dialled --json kept", "kept folder; name a file"),
    pytest.param("dialled --json a --plot dial.txt", "dial.txt .svg .png", marks=needs_matplotlib),
]


@pytest.mark.parametrize("line, fragments", MISTAKES)
def test_a_mistake_gets_one_line_and_exit_code_2(line, fragments, monkeypatch, capsys):
    os.mkdir("kept")
    without_training(monkeypatch, 1, AssertionError("nothing should be trained"))
    assert command(*line.split(" ")) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    assert all(fragment in err for fragment in fragments.split()), err
    assert os.listdir() == ["kept"] and os.listdir("kept") == []


@pytest.mark.parametrize("member, value", [("dial", {}), ("options", Circle.options),
                                           ("comparisons", {})])
def test_a_world_that_lacks_what_a_dial_needs_is_refused(member, value, monkeypatch, capsys):
    monkeypatch.setattr(Dialled, member, value)
    without_training(monkeypatch, 1, AssertionError("nothing should be trained"))
    assert command("dialled") == 2
    assert re.fullmatch(r"error: the world dialled has no dial: wanted one of [a-z, ]+\n",
                        "".join(capsys.readouterr()).replace(", dialled", ""))


def test_without_matplotlib_a_picture_is_refused_at_once(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    without_training(monkeypatch, 1, AssertionError("nothing should be trained"))
    assert command("dialled", "--plot", "dial.svg", "--json", "dial.json") == 2
    out, err = capsys.readouterr()
    assert out == "" and err == "error: pictures need matplotlib: pip install 'minijepa[plot]'\n"
    assert os.listdir() == []
