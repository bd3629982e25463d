"""The tables over seeds: what is shown is what the runs gave, and other numbers are told."""

import json
import re
from pathlib import Path

import pytest
import tables

from minijepa.options import UserError
from minijepa.train import train

RUNS = [{"seed": seed, "seconds": 1.0, "hidden_rmse": rmse,
         "probes": {"this model": {"hidden_rmse": rmse, "velocity_r2": r2},
                    "the mean": {"hidden_rmse": 1.0}}}
        for seed, rmse, r2 in ((3, 0.2, 0.9), (4, 0.6, 0.5), (7, 0.4, 0.7))]
REPORT = {"arguments": ["video", "--compare"], "seeds": "3-4,7", "runs": RUNS}


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(REPORT), encoding="utf-8")
    return str(path)


def test_the_seeds_are_those_written():
    assert tables.seeds_of("3-4,7") == [3, 4, 7]
    assert tables.seeds_of("0-9,40-41")[-3:] == [9, 40, 41]


def test_the_mean_and_the_worst_are_shown(kept, capsys):
    tables.main(["show", kept])
    about, heading, model, mean = capsys.readouterr().out.splitlines()
    assert about == "python -m minijepa.train video --compare, seeds 3-4,7: mean [worst]"
    assert heading.split() == ["probes", "hidden", "px", "velocity", "R²"]
    assert model.split() == ["this", "model", "0.400", "[0.600]", "0.700", "[0.500]"]
    assert mean.split() == ["the", "mean", "1.000", "[1.000]"]
    tables.main(["show", kept, "velocity_r2"])
    assert "hidden" not in capsys.readouterr().out


@pytest.mark.parametrize("number, seed", [(0, 3), (1, 4), (2, 7), (10**9, 4)])
@pytest.mark.parametrize("changed", [None, "this model", "the mean"])
def test_a_row_that_comes_out_otherwise_is_told(kept, number, seed, changed, monkeypatch, capsys):
    def made_anew(asked, arguments):
        assert arguments == ["video"] and asked == seed
        new = json.loads(json.dumps(next(run for run in RUNS if run["seed"] == seed)))
        new["seconds"] = 99.0
        if changed:
            new["probes"][changed]["hidden_rmse"] *= 2.5
        return new

    monkeypatch.setattr(tables, "numbers_of", made_anew)
    assert tables.main(["again", kept, str(number)]) == bool(changed)
    out = capsys.readouterr().out
    assert f"seed {seed}: " in out
    assert (f"probes: {changed}: hidden_rmse was" in out) == bool(changed)


def test_a_table_is_made_from_what_the_command_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tables.main(["make", "made.json", "2-3", "words", "--epochs", "1"])
    made = json.loads((tmp_path / "made.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in made["runs"]] == [2, 3]
    assert made["arguments"] == ["words", "--epochs", "1"]
    for run in made["runs"]:
        _, history = train("words", {"epochs": 1, "seed": run["seed"]})
        assert run["hits"] == pytest.approx(history[-1]["hits"], rel=1e-4)
    assert "this model" in capsys.readouterr().out
    with pytest.raises(UserError, match="wanted make, show or again"):
        tables.main([])


def test_a_table_of_plans_is_made_by_the_command_and_the_clock_may_be_another(
        tmp_path, monkeypatch, capsys):
    def played(command, check):
        assert command[1:6] == ["-m", "minijepa.plan", "--map", "corner", "--seed"] and check
        row = {"same": 1.0, "other": 0.1 * int(command[6]), "ms": 7.0 + clock}
        report = {"seconds": 3.0 + clock, "result": {"success": {"this model": row}}}
        Path(command[-1]).write_text(json.dumps(report), encoding="utf-8")

    clock, path = 0, str(tmp_path / "plans.json")
    monkeypatch.setattr(tables.subprocess, "run", played)
    tables.main(["make", path, "4,8", "plan", "--map", "corner"])
    about, titles, row = capsys.readouterr().out.splitlines()[2:]
    assert about == "python -m minijepa.plan --map corner, seeds 4,8: mean [worst]"
    assert re.split(r"\s{2,}", titles) == ["success", "same room", "other room", "ms a plan"]
    assert re.split(r"\s{2,}", row) == ["this model", "1.00 [1.00]", "0.60 [0.40]", "7.0 [7.0]"]
    clock = 100
    assert not tables.main(["again", path, "1"])
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    kept["runs"][1]["success"]["this model"]["other"] = 0.4
    Path(path).write_text(json.dumps(kept), encoding="utf-8")
    assert tables.main(["again", path, "1"])
    assert "success: this model: other was 0.4, is 0.8" in capsys.readouterr().out
