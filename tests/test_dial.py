"""The dial: each model at its own best rate, medians over seeds, and nothing lost by Ctrl-C."""

import json
import os

import numpy as np
import pytest

from minijepa import dial
from minijepa.options import UserError
from minijepa.worlds.video import Video

SMALL = ["video", "--seeds", "3", "--rates", "1e-3,2e-3", "--q", "0,1"]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trainings(monkeypatch):
    """What is asked for, and numbers drawn for it in place of a training."""
    asked = []

    def drawn(world, given):
        asked.append(given)
        rng = np.random.default_rng([int(100 * given["q"]), int(1e4 * given["learning_rate"]),
                                     given["seed"], given.get("predict") == "pixels"])
        return {key: float(rng.random()) for key in world.dial}

    monkeypatch.setattr(dial, "measured", drawn)
    return asked


def test_each_model_is_shown_at_its_own_best_rate(trainings, capsys):
    dial.main([*SMALL, "--first", "5", "--epochs", "7", "--json", "dial.json"])
    with open("dial.json", encoding="utf-8") as file:
        report = json.load(file)
    _, heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["q", "model", "rate", "hidden", "px", "reappears", "px", "visible",
                               "px"]
    wanted = [(q, model) for q in (0, 1) for model in ("JEPA", "pixel predictor")]
    assert [(row["q"], row["model"]) for row in report["rows"]] == wanted
    assert len(trainings) == 2 * 2 * 2 * 3 and all(given["epochs"] == 7 for given in trainings)
    for row, line in zip(report["rows"], lines, strict=True):
        runs = row["runs"]
        assert sorted((run["rate"], run["seed"]) for run in runs) == [
            (rate, seed) for rate in (1e-3, 2e-3) for seed in (5, 6, 7)]
        middle = {rate: sorted(run["hidden_rmse"] for run in runs if run["rate"] == rate)[1]
                  for rate in (1e-3, 2e-3)}
        assert row["rate"] == min(middle, key=middle.get)
        for key in Video.dial:
            numbers = sorted(run[key] for run in runs if run["rate"] == row["rate"])
            assert row[key] == numbers[1]
        numbers = [row["rate"], *(row[key] for key in Video.dial)]
        assert [float(cell) for cell in line.split()[-4:]] == pytest.approx(numbers, abs=5.1e-4)
    assert dial.table(report).splitlines() == [heading, *lines]


def test_what_is_measured_is_a_training_of_the_world(monkeypatch):
    monkeypatch.setattr("minijepa.worlds.video.PROBED", 100)
    monkeypatch.setattr("minijepa.worlds.video.STEPS", 2)
    given = {"q": 0.5, "epochs": 1, "hidden_dim": 4, "latent_dim": 3, "seed": 3}
    found = dial.measured(Video, given)
    training = dial.Training.start(Video, given)
    *_, last = training.rows()
    assert found == {key: last[key] for key in Video.dial}


def test_ctrl_c_keeps_what_is_done(trainings, monkeypatch, capsys):
    best, done = dial.best, []

    def interrupted(*arguments):
        done.append(None)
        if len(done) > 3:
            raise KeyboardInterrupt
        return best(*arguments)

    monkeypatch.setattr(dial, "best", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dial.main([*SMALL, "--json", "dial.json"])
    with open("dial.json", encoding="utf-8") as file:
        assert len(json.load(file)["rows"]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_it_is_drawn(trainings):
    pytest.importorskip("matplotlib")
    dial.main([*SMALL, "--plot", "dial.svg"])
    with open("dial.svg", encoding="utf-8") as file:
        assert file.read().rstrip().endswith("</svg>")


@pytest.mark.parametrize("arguments, wanted", [
    (["words"], "no dial"), (["nothing"], "no world"), (["video", "--q", "2"], "--q"),
    (["video", "--rates", "1e-3,x"], "--rates"), (["video", "--seeds", "0"], "--seeds"),
    (["video", "--json", "no/where.json"], "no/where.json"), ([], "world"),
    (["video", "--json", "a.svg", "--plot", "a.svg"], "named twice"),
])
def test_a_mistake_is_answered_in_a_line_before_anything_is_trained(arguments, wanted, trainings):
    with pytest.raises(UserError, match=wanted) as caught:
        dial.main(arguments)
    assert "\n" not in str(caught.value) and not trainings and os.listdir() == []
