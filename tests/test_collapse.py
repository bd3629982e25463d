"""The gallery of collapses: its recipes, its rule, and the four sights that it is there for."""

import json
import math
import os
import re

import numpy as np
import pytest

from minijepa.collapse import RECIPES, VERDICTS, main, summarise, train_recipe
from minijepa.options import UserError
from minijepa.train import Training
from minijepa.worlds.words import Words

GAUGES = ["loss", "relative_loss", "std", "effective_rank", "hits"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recipe(**options):
    """The name of the recipe that has just these options."""
    name, = [name for name, given in RECIPES.items() if given == options]
    return name


def run_of(**options):
    """The first and the last row of the one run, of seed 0, of the recipe with these options."""
    history = train_recipe(RECIPES[recipe(**options)], seeds=1, epochs=60)[0]["history"]
    assert history[0]["epoch"] == 0 and history[-1]["epoch"] == 60
    return history[0], history[-1]


# The recipes

def test_there_are_at_most_ten_and_the_telling_ones_are_among_them():
    assert len(RECIPES) <= 10
    vicreg = {"treatment": "joint", "regularizer": "vicreg"}
    for options in ({}, {"tau": 0.0}, {"tau": 1.0}, {"treatment": "stopgrad"},
                    {"predictor": "none"}, {"treatment": "joint"},
                    {"treatment": "joint", "learning_rate": 1e-2}, vicreg,
                    {**vicreg, "covariance_weight": 0.0}, {**vicreg, "regularizer": "sigreg"}):
        assert recipe(**options)
    assert len({json.dumps(given, sort_keys=True) for given in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_that_the_word_world_takes_and_differs_from_the_defaults(name):
    options = Words.all_options()
    config = Training.start("words", {**RECIPES[name], "seed": 5}).config
    assert config["seed"] == 5
    assert all(config[key] == value != options[key].default for key, value in RECIPES[name].items())


# The rule

@pytest.mark.parametrize("std, rank, hits, relative, verdict", [
    (0.0, 25, 1.0, 0.1, "collapsed"),
    (0.0499, 25, 1.0, 0.1, "collapsed"),
    (0.01, 1, 0.1, 3.0, "collapsed"),
    (0.05, 3.99, 1.0, 0.1, "dimensional collapse"),
    (2.0, 1.2, 0.1, 0.9, "dimensional collapse"),
    (0.05, 4.0, 0.89, 0.1, "weak"),
    (1.0, 14, 0.0, 0.1, "weak"),
    (1.0, 14, 1.0, 0.51, "weak"),
    (0.05, 4.0, 0.9, 0.5, "healthy"),
    (1.0, 14, 1.0, 0.1, "healthy"),
])
def test_the_verdict_is_the_first_rule_that_fits(std, rank, hits, relative, verdict):
    last = {"epoch": 60, "loss": 0.1, "relative_loss": relative, "std": std, "effective_rank": rank,
            "hits": hits}
    assert summarise([{"history": [{**last, "epoch": 0, "loss": 3.0}, last]}])["verdict"] == verdict


def test_the_rules_are_stated_as_they_are_applied():
    """Each text, as in "held-out hits < 0.90 or relative loss > 0.5", read as it stands."""
    heading = {"std": "std", "effective rank": "effective_rank", "held-out hits": "hits",
               "relative loss": "relative_loss"}
    rng = np.random.default_rng(0)
    for word, rule, text in VERDICTS[:-1]:
        outcomes = set()
        for _ in range(500):
            row = {"std": rng.uniform(0, 0.1), "effective_rank": rng.uniform(1, 8),
                   "hits": rng.uniform(0.8, 1), "relative_loss": rng.uniform(0, 1)}
            stated = False
            for condition in text.split(" or "):
                name, sign, limit = re.fullmatch(r"(.+) ([<>]) (\S+)", condition).groups()
                number, limit = row[heading[name]], float(limit)
                stated |= number < limit if sign == "<" else number > limit
            assert rule(row) == stated, (word, row)
            outcomes.add(stated)
        assert outcomes == {True, False}
    word, rule, text = VERDICTS[-1]
    assert (word, rule({}), text) == ("healthy", True, "none of these")


def test_a_summary_is_of_medians_the_last_rows_and_the_first_loss():
    def history(first_loss, *last):
        rows = [first_loss, 9, 9, 9, 0], [8, 8, 8, 8, 0], last
        return {"history": [dict(zip(GAUGES, row)) for row in rows]}

    odd = [history(1.0, 0.1, 0.5, 1.0, 10, 0.7), history(7.0, 0.9, 0.1, 0.02, 12, 1.0),
           history(2.0, 0.2, 0.4, 0.8, 3, 0.95)]
    row = summarise(odd)
    assert {name: row[name] for name in GAUGES} == dict(zip(GAUGES, [0.2, 0.4, 0.8, 10, 0.95]))
    assert row["first_loss"] == 2.0 and row["verdict"] == "healthy"
    row = summarise(odd[:2])                           # of two, the mean of both
    assert row["std"] == pytest.approx(0.51) and row["first_loss"] == 4 and row["verdict"] == "weak"


# The runs

def test_every_seed_is_a_run_as_the_training_command_makes_it():
    given = RECIPES["joint"]
    runs = train_recipe(given, seeds=2, epochs=2)
    for seed, run in enumerate(runs):
        training = Training.start("words", {**given, "seed": seed, "epochs": 2})
        assert run["history"] == list(training.rows())
        latents = training.world.latents(training.model)[training.world.content].astype(np.float64)
        variances = np.linalg.eigvalsh(np.cov(latents.T, bias=True))[::-1] * len(latents)
        assert len(run["singular_values"]) == min(latents.shape)
        np.testing.assert_allclose(np.square(run["singular_values"]), variances, rtol=0,
                                   atol=1e-10 * variances[0])
        assert run["singular_values"] == sorted(run["singular_values"], reverse=True)
    assert runs[0] != runs[1]


JOINT = {"treatment": "joint"}


@pytest.mark.slow
@pytest.mark.parametrize("options, shown, verdict", [
    # the loss goes to zero while everything dies
    ({**JOINT, "learning_rate": 1e-2}, lambda first, last:
     last["loss"] < 1e-3 < 1e-2 < first["loss"] and last["std"] < 0.01 < 0.1 < first["std"]
     and last["hits"] < 0.5, "collapsed"),
    # the loss rises while the relative loss falls and the hits rise
    ({}, lambda first, last:
     last["loss"] > 1.2 * first["loss"] and last["relative_loss"] < 0.2 < 0.9
     < first["relative_loss"] and last["hits"] > 0.95 and first["hits"] < 0.3, "healthy"),
    # a high rank may be dust
    (JOINT, lambda first, last: last["effective_rank"] > 15 and last["std"] < 0.01, "collapsed"),
    # a healthy std may be a line
    ({**JOINT, "regularizer": "vicreg", "covariance_weight": 0.0}, lambda first, last:
     last["std"] > 0.5 and last["effective_rank"] < 4, "dimensional collapse"),
])
def test_what_it_must_show(options, shown, verdict):
    first, last = run_of(**options)
    assert shown(first, last), (first, last)
    assert summarise([{"history": [last]}])["verdict"] == verdict


# The command

def test_the_table_and_the_json_tell_the_same(capsys):
    main(["--seeds", "1", "--epochs", "2", "--json", "gallery.json"])
    out, err = capsys.readouterr()
    assert err == "" and "\r" not in out
    with open("gallery.json", encoding="utf-8") as file:
        made = json.load(file, parse_constant=lambda constant: pytest.fail(constant))
    about, heading, *lines, rule = out.splitlines()
    assert about == "the word world, 2 epochs, medians of 1 seeds"
    assert re.split(r"\s{2,}", heading.replace("recipe", "recipe  ", 1)) == [
        "recipe", "first loss", "last loss", "relative loss", "std", "effective rank",
        "held-out hits", "verdict"]
    assert made["options"] == {"seeds": 1, "epochs": 2}
    assert [result["recipe"] for result in made["recipes"]] == list(RECIPES)
    assert len(lines) == len(RECIPES)
    for line, result in zip(lines, made["recipes"]):
        name, summary, (run,) = result["recipe"], result["summary"], result["runs"]
        assert result["config"] == RECIPES[name] and line.startswith(name)
        assert [row["epoch"] for row in run["history"]] == [0, 1, 2]
        assert summary.items() >= {key: run["history"][-1][key] for key in GAUGES}.items()
        assert summary == summarise([run]) and summary["first_loss"] == run["history"][0]["loss"]
        cells = line[len(name):].split(maxsplit=6)
        numbers = [summary[key] for key in ("first_loss", *GAUGES)]
        assert [float(cell) for cell in cells[:6]] == pytest.approx(numbers, abs=0.00501)
        assert cells[6] == summary["verdict"]
        sigma = run["singular_values"]
        assert math.isfinite(sum(sigma)) and min(sigma) >= 0
    for word, _, text in VERDICTS:
        assert f"{word}: {text}" in rule


def test_three_seeds_and_sixty_epochs_unless_told_otherwise(monkeypatch, capsys):
    asked = []

    def quick(given, seeds, epochs):
        asked.append((given, seeds, epochs))
        rows = [{"epoch": epoch, **dict.fromkeys(GAUGES, 1.0)} for epoch in (0, epochs)]
        return [{"history": rows, "singular_values": [1.0]}] * seeds

    monkeypatch.setattr("minijepa.collapse.train_recipe", quick)
    main([])
    assert asked == [(given, 3, 60) for given in RECIPES.values()]
    piped = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main([])
    shown = capsys.readouterr().out
    for number, name in enumerate(RECIPES, 1):
        assert f"{number} of {len(RECIPES)}: {name}" in shown
    assert re.sub(r".*\r\033\[K", "", shown) == piped                # each is erased before its row


@pytest.mark.parametrize("options, fragments", [
    (["--seeds", "0"], ["--seeds", "1", "'0'"]),
    (["--seeds", "two"], ["--seeds", "whole", "'two'"]),
    (["--epochs", "0"], ["--epochs", "'0'"]),
    (["--epochs", "1.5"], ["--epochs", "'1.5'"]),
    (["--seed", "1"], ["unrecognized arguments", "--seed"]),
    (["--json"], ["--json"]),
    (["--json", "no/where.json"], ["no/where.json"]),
    (["joint"], ["unrecognized arguments: joint"]),
])
def test_what_cannot_be_used_is_refused_before_anything_is_trained(options, fragments, monkeypatch):
    monkeypatch.setattr("minijepa.collapse.train_recipe", lambda *given: pytest.fail("trained"))
    with pytest.raises(UserError) as caught:
        main(options)
    message = str(caught.value)
    assert "\n" not in message and all(fragment in message for fragment in fragments)
    assert os.listdir() == []
