"""The training loop: it learns, it collapses where it should, it goes on where it stopped."""

import contextlib
import json
import os
import re

import numpy as np
import pytest

from minijepa import checkpoint
from minijepa.cli import main
from minijepa.losses import SIGReg, VICReg, no_regularizer
from minijepa.options import UserError
from minijepa.train import Training, train, train_epoch
from minijepa.worlds.words import Words

SMALL = ["--embed-dim", "5", "--hidden-dim", "7", "--latent-dim", "3", "--quiet"]
STORY = "".join(f"the {a} {v} the {t}\n" for a in ("cat", "dog", "owl") for v in ("saw", "met")
                for t in ("sun", "moon", "sea", "wind"))
COLUMNS = ["epoch", "loss", "relative_loss", "std", "effective_rank", "hits"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def story(name="story.txt", text=STORY):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def run(*options):
    """Train on the command line: the bytes of the checkpoint and the --json report."""
    main([*SMALL, "--save", "run.npz", "--json", "run.json", *map(str, options)])
    return contents("run.npz"), report("run.json")


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def report(path):
    return json.loads(contents(path), parse_constant=lambda constant: pytest.fail(constant))


# What it learns

@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_defaults_reach_every_held_out_word(seed):
    _, history = train(config={"seed": seed})
    first, last = history[0], history[-1]
    assert first["epoch"] == 0 and first["hits"] < 0.3 and first["relative_loss"] > 0.9
    assert last["epoch"] == 60 and last["hits"] == 1.0 and last["relative_loss"] < 0.2
    assert 12 <= last["effective_rank"] <= 18 and last["std"] >= 0.5


@pytest.mark.parametrize("tau", [1, 0.5])
def test_the_frozen_target_never_moves_and_the_trained_one_does(tau):
    start = Training.start("words", {"tau": tau}).model.target_encoder.value
    end = train(config={"tau": tau, "epochs": 1})[0].target_encoder.value
    assert np.array_equal(start, end) == (tau == 1)


def test_the_loss_of_epoch_0_is_the_mean_over_all_training_examples():
    training = Training.start("words", {"dtype": "float64"})
    model, world = training.model, training.world
    words, losses = np.split(world.tokens, world.starts[1:]), []
    for sentence in words[:-(len(words) // 5)]:
        for place, word in enumerate(sentence):
            if world.vocabulary[word] not in ("the", "up", "on"):
                context = np.delete(sentence, place)[None]
                s_hat = model.predict((context, np.ones(context.shape, bool)))[0][0, 0]
                losses.append(np.mean((s_hat - model.encode_target(np.array([word]))[0][0])**2))
    assert len(losses) == 672
    assert next(training.rows())["loss"] == pytest.approx(np.mean(losses), rel=1e-12)


# The regularizers and the falling rate

def test_the_regularizer_is_the_one_that_was_asked_for_with_its_weights():
    def regularizer(**given):
        return Training.start("words", given).model.regularizer

    assert regularizer() is no_regularizer
    vicreg = regularizer(regularizer="vicreg", variance_weight=3, covariance_weight=0.5)
    sigreg = regularizer(regularizer="sigreg", sigreg_weight=0.3)
    assert isinstance(vicreg, VICReg) and isinstance(sigreg, SIGReg)
    assert (vicreg.variance_weight, vicreg.covariance_weight, sigreg.weight) == (3, 0.5, 0.3)


@pytest.mark.slow
def test_the_regularizers_keep_jointly_trained_branches_from_collapsing():
    given = {"treatment": "joint", "epochs": 20, "learning_rate": 1e-2}
    stds = {name: train(config={**given, "regularizer": name})[1][-1]["std"]
            for name in ("none", "vicreg", "sigreg")}
    assert stds["none"] < 0.01 and stds["vicreg"] > 0.5 and stds["sigreg"] > 0.5


@pytest.mark.parametrize("epochs, decay, wanted", [
    (4, 0, [1, 1, 1, 1]), (4, 0.5, [1, 1, 1, 1 / 2]), (4, 1, [1, 3 / 4, 2 / 4, 1 / 4]),
    (10, 0.3, [1, 1, 1, 1, 1, 1, 1, 1, 2 / 3, 1 / 3]), (5, 0.1, [1, 1, 1, 1, 1]),
])
def test_the_rate_falls_in_a_line_over_the_last_part_of_the_training(epochs, decay, wanted):
    rates = []
    training = Training.start(
        "words", {"epochs": epochs, "decay": decay, "learning_rate": 0.002, "batch_size": 64})
    list(training.rows(progress=lambda training: rates.append(training.optimizer.learning_rate)))
    assert rates == pytest.approx([0.002 * share for share in wanted], rel=1e-12)


def test_a_falling_rate_was_planned_for_one_total():
    with ctrl_c(after=2):
        run("--epochs", 5, "--decay", 0.5)
    before = contents("run.npz")
    for epochs in 4, 6:
        with pytest.raises(UserError, match=f"run.npz was planned for 5 epochs.*--epochs {epochs} "
                                            "is another training"):
            main(["--resume", "run.npz", "--save", "run.npz", "--epochs", str(epochs)])
    assert contents("run.npz") == before
    with ctrl_c(after=1):
        run("--epochs", 5, "--resume", "run.npz")      # the planned total may be said again
    assert Training.load("run.npz", "words").epoch == 3


def test_a_step_learns_and_returns_the_loss_from_before_it():
    training = Training.start("words", {})
    model, (x, y, _) = training.model, next(training.world.batches(32, np.random.default_rng(1)))
    wanted, backward = model.forward(x, y)
    backward()
    gradient, target = model.grad.copy(), model.target_encoder.value.copy()
    model.grad[:] = 7                                  # what an earlier step has left
    steps = train_epoch(training.world, model, training.optimizer, 32, np.random.default_rng(1))
    assert next(steps) == (float(wanted), 32)
    assert np.array_equal(model.grad, gradient) and model.forward(x, y)[0] < wanted
    average = 0.99 * target + 0.01 * model.context_encoder.value
    np.testing.assert_allclose(model.target_encoder.value, average, rtol=0, atol=1e-6)


def test_without_a_predictor_the_prediction_is_the_contexts_own_latent():
    model, history = train(config={"epochs": 1, "predictor": "none"})
    assert not [name for name in model.named_parameters() if name.startswith("predictor")]
    x = np.array([[1, 2, 3]]), np.ones((1, 3), bool)
    assert np.array_equal(model.predict(x)[0][0], model.encode_context(x)[0])


def test_vicreg_takes_an_epoch_whose_last_batch_is_a_single_example():
    # 672 = 11 · 61 + 1
    _, history = train(config={"epochs": 1, "batch_size": 61, "regularizer": "vicreg"})
    assert np.isfinite(history[-1]["loss"])


# Going on from a checkpoint

@pytest.mark.parametrize("options", [
    "--optimizer sgd --dtype float64 --treatment joint", "--treatment stopgrad", "--decay 0.8",
    "--regularizer vicreg --treatment joint", "--regularizer sigreg --decay 1 --optimizer sgd",
])
def test_an_interrupted_run_goes_on_to_the_same_bytes(options):
    """And to the epochs first asked for."""
    whole, whole_report = run("--epochs", 5, *options.split())
    with ctrl_c(after=2):
        run("--epochs", 5, *options.split())
    assert Training.load("run.npz", "words").epoch == 2
    resumed, resumed_report = run("--resume", "run.npz")
    assert resumed == whole
    for key in "config", "result":
        assert resumed_report[key] == whole_report[key]
    assert resumed_report["history"] == whole_report["history"][2:]


@pytest.mark.parametrize("again", [True, False])
def test_a_corpus_goes_on_the_same_with_or_without_naming_it(again):
    options = ["--corpus", story(), "--batch-size", 5]
    whole, whole_report = run("--epochs", 7, *options)
    run("--epochs", 3, *options)
    if not again:
        os.remove("story.txt")                         # the checkpoint holds all that is needed
    resumed, resumed_report = run("--epochs", 7, "--resume", "run.npz", *(options if again else []))
    assert resumed == whole
    assert resumed_report["result"] == whole_report["result"]


@pytest.mark.parametrize("options, fragments", [
    (["--epochs", 3], ["3 epochs done already", "--epochs"]),
    (["--epochs", 2], ["3 epochs done already", "--epochs"]),
    ([], ["3 epochs done already"]),
    (["--epochs", 7, "--seed", 1], ["--seed 1", "0"]),
    (["--epochs", 7, "--learning-rate", "1e-3"], ["--learning-rate 1e-3", "0.003"]),
    (["--epochs", 7, "--treatment", "joint"], ["--treatment joint", "ema"]),
    (["--epochs", 7, "--dtype", "float64"], ["--dtype float64", "float32"]),
    (["--epochs", 7, "--latent-dim", 32], ["--latent-dim 32", "3"]),
    (["--epochs", 7, "--regularizer", "vicreg"], ["--regularizer vicreg", "none"]),
    (["--epochs", 7, "--decay", "0.5"], ["--decay 0.5", "0.0"]),
    (["--epochs", 7, "--predictor", "none"], ["--predictor none", "mlp"]),
    (["--epochs", 7, "--corpus", "story.txt"], ["--corpus story.txt", "contradicts"]),
])
def test_the_stored_configuration_rules(options, fragments):
    story()
    before, _ = run("--epochs", 3)
    with pytest.raises(UserError) as caught:
        main(["--resume", "run.npz", "--save", "run.npz", *map(str, options)])
    for fragment in ["run.npz", *fragments]:
        assert fragment in str(caught.value)
    assert contents("run.npz") == before


def test_another_corpus_is_refused_on_resume():
    run("--epochs", 1, "--batch-size", 5, "--corpus", story())
    with pytest.raises(UserError, match="--corpus other.txt contradicts run.npz"):
        run("--epochs", 2, "--resume", "run.npz", "--corpus",
            story("other.txt", STORY + "one more line\n"))


# What is drawn, and what is shown

def test_nothing_is_drawn_between_the_model_and_the_first_epoch():
    training = Training.start("words", {"seed": 4})
    rng = np.random.default_rng(4)
    Words(rng).build(training.config, rng, no_regularizer)
    next(training.rows())
    assert training.rng.bit_generator.state == rng.bit_generator.state


def test_sgd_has_momentum_and_both_optimizers_the_learning_rate():
    sgd = Training.start("words", {"optimizer": "sgd", "learning_rate": 0.5}).optimizer
    adam = Training.start("words", {"learning_rate": 0.25}).optimizer
    assert (sgd.momentum, sgd.learning_rate, adam.learning_rate) == (0.9, 0.5, 0.25)


@pytest.mark.parametrize("epochs, wanted", [
    (1, [0, 1]), (7, list(range(8))), (10, list(range(11))), (20, list(range(0, 21, 2))),
    (25, [*range(0, 25, 3), 25]),
])
def test_about_ten_rows_the_first_untrained_the_last_at_the_end(epochs, wanted):
    _, history = train(config={"epochs": epochs, "batch_size": 64})
    assert [row["epoch"] for row in history] == wanted


# What is written and printed

def test_the_json_report():
    _, made = run("--epochs", 2, "--treatment", "stopgrad")
    assert made["config"] == {
        "world": "words", "epochs": 2, "batch_size": 32, "learning_rate": 0.003,
        "optimizer": "adam", "treatment": "stopgrad", "tau": 0.99, "regularizer": "none",
        "variance_weight": 1.0, "covariance_weight": 0.2, "sigreg_weight": 0.1, "decay": 0.0,
        "dtype": "float32", "seed": 0, "embed_dim": 5, "hidden_dim": 7, "latent_dim": 3,
        "predictor": "mlp", "corpus": None}
    del made["result"]["probes"]
    assert [list(row) for row in made["history"]] == [COLUMNS] * 3
    assert made["history"][-1] == {"epoch": 2, **made["result"]}


def test_the_probe_stands_beside_its_baselines():
    """Least squares on one-hot concepts: of the words that are left, and of nothing at all."""
    main(["--epochs", "20", "--quiet", "--json", "run.json"])
    rates = {what: row["hits"] for what, row in report("run.json")["result"]["probes"].items()}
    world = Training.start("words", {}).world

    def bags_and_concepts(places):
        bags = np.zeros((len(places), len(world.vocabulary) + 1))
        for bag, place in zip(bags, places):
            start = world.starts[world.sentence[place]]
            for other in range(start, start + world.lengths[world.sentence[place]]):
                bag[world.tokens[other]] += other != place
        bags[:, -1] = 1                                # the constant
        return bags, world.concepts[world.tokens[places]]

    (bags, concept), (held_out, wanted) = map(bags_and_concepts, (world.training, world.held_out))
    weight = np.linalg.lstsq(bags, np.eye(len(world.vocabulary))[concept], rcond=1e-9)[0]
    raw = np.mean((held_out @ weight).argmax(axis=1) == wanted)
    assert rates["raw input"] == pytest.approx(raw, abs=1e-12)
    assert rates["most frequent"] == np.mean(wanted == np.bincount(concept).argmax())
    assert rates["most frequent"] < 0.2 < rates["this model"] and rates["raw input"] > 0.9


def test_a_corpus_is_known_by_its_text_not_its_path():
    os.mkdir("folder")
    (first, first_report), (second, second_report) = (
        run("--epochs", 1, "--batch-size", 5, "--corpus", story(name))
        for name in ("letters.txt", "folder/other.txt"))
    assert first == second and first_report["config"] == second_report["config"]
    assert set(first_report["result"]) >= {"hits", "top5_hits"}
    for text in (json.dumps(first_report), str(checkpoint.load("run.npz")[1]["config"])):
        assert "letters" not in text and "other" not in text and os.getcwd() not in text


def test_quiet_prints_nothing(capsys):
    run("--epochs", 1)
    assert capsys.readouterr() == ("", "")


def test_what_is_printed(capsys):
    main(["--epochs", "3", "--json", "run.json"])
    out, err = capsys.readouterr()
    assert err == "" and "\r" not in out
    about, header, *rest = out.splitlines()
    assert about.startswith("words: 280 sentences")
    assert re.split(r"\s{2,}", header.strip()) == [
        "epoch", "loss", "relative loss", "std", "effective rank", "held-out hits"]
    for line, row in zip(rest, report("run.json")["history"], strict=False):
        numbers = [float(cell) for cell in line.split()]
        assert numbers == pytest.approx([row[key] for key in COLUMNS], abs=0.0051)
    assert rest[3].split()[0] == "3" and rest[4] == "the cat climbed up the __"
    nearest = re.findall(r"(\w+) (-?\d\.\d\d)", rest[5])
    cosines = [float(cosine) for _, cosine in nearest]
    assert len(nearest) == 5 and cosines == sorted(cosines, reverse=True)


def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch):
    main(["--epochs", "12"])
    piped = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["--epochs", "12"])
    shown = capsys.readouterr().out
    assert "\r\033[Kepoch 11 of 12" in shown
    assert re.sub(r".*\r\033\[K", "", shown) == piped    # each is erased before a row


# From Python

def test_a_world_that_was_made_can_be_trained_in():
    (model, history), (again, history_again) = (
        train(Words(np.random.default_rng(5)), {"epochs": 2, "latent_dim": 3}) for _ in range(2))
    assert history == history_again and np.array_equal(model.value, again.value)
    assert [row["epoch"] for row in history] == [0, 1, 2] and model.value.dtype == np.float32
    assert model.encode_target(np.array([0]))[0].shape == (1, 3)


def test_train_returns_what_the_command_line_reports():
    sizes = {"embed_dim": 5, "hidden_dim": 7, "latent_dim": 3}
    _, history = train("words", {"epochs": 2, "corpus": None, **sizes})
    assert history == run("--epochs", 2)[1]["history"]


@pytest.mark.parametrize("name, values", {
    "epochs": [0, 2.5, None, True, 10**10], "batch_size": [0, 673], "seed": [-1, 2**64 + 1],
    "learning_rate": [0, -1, float("nan"), float("inf"), "fast", [1]], "tau": [-0.1, 1.5],
    "decay": [-0.1, 1.5], "variance_weight": [-1], "covariance_weight": [-1, float("inf")],
    "sigreg_weight": [-1, "x"], "dtype": [np.float16, "float16"], "treatment": ["teacher", None],
    "optimizer": [None, "rmsprop"], "regularizer": ["VICReg"], "predictor": ["linear"],
    "embed_dim": [0], "hidden_dim": [0], "latent_dim": [0, -3],
}.items())
def test_a_value_that_cannot_be_used(name, values):
    for value in values:
        with pytest.raises(UserError) as caught:
            train("words", {name: value})
        message = str(caught.value)
        assert f"--{name.replace('_', '-')}: wanted " in message and "\n" not in message
        assert message.endswith(f"was given {value!r}")


@pytest.mark.parametrize("config, fragments", [
    ({"epoch": 3}, ["'epoch'", "'epochs'"]),
    ({"corpus": "missing.txt"}, ["missing.txt"]),
    ({"regularizer": "vicreg", "batch_size": 1},
     ["--regularizer vicreg", "--batch-size", "at least 2"]),
])
def test_a_config_that_cannot_be_used(config, fragments):
    with pytest.raises(UserError) as caught:
        train("words", config)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)
    assert all(fragment in str(caught.value) for fragment in fragments)


# When it goes wrong

@pytest.mark.parametrize("dtype, rate", [("float32", 1e6), ("float32", 1e300), ("float64", 1e30)])
@pytest.mark.parametrize("treatment", ["ema", "stopgrad", "joint"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_loss_that_diverges_stops_the_run(optimizer, treatment, dtype, rate):
    config = {"optimizer": optimizer, "treatment": treatment, "dtype": dtype, "learning_rate": rate}
    with pytest.raises(UserError, match=r"finite in epoch 1 at step \d+: lower --learning-rate"):
        train(config=config)


@contextlib.contextmanager
def ctrl_c(after):
    """Ctrl-C in the middle of the epoch that follows so many whole ones."""
    epochs = []

    def interrupted(world, model, optimizer, batch_size, rng):
        epochs.append(None)
        for number, step in enumerate(train_epoch(world, model, optimizer, batch_size, rng)):
            if len(epochs) > after and number == 1:
                raise KeyboardInterrupt
            yield step

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("minijepa.train.train_epoch", interrupted)
        yield


def test_ctrl_c_saves_the_last_finished_epoch(capsys):
    run("--epochs", 2)
    wanted, wanted_state = checkpoint.load("run.npz")
    with ctrl_c(after=2):
        main([*SMALL[:-1], "--save", "stopped.npz", "--json", "stopped.json"])
    out = capsys.readouterr().out
    assert "2 epochs are done" in out and "--resume stopped.npz" in out
    parameters, state = checkpoint.load("stopped.npz")
    assert all(np.array_equal(parameters[name], wanted[name]) for name in wanted)
    assert state["rng"] == wanted_state["rng"] and state["epoch"] == 2
    assert not os.path.exists("stopped.json")


def test_ctrl_c_before_the_first_epoch_keeps_the_file_that_was_there():
    before, _ = run("--epochs", 1)
    with ctrl_c(after=0):
        run()
    assert contents("run.npz") == before


@pytest.mark.parametrize("where", ["numpy.savez", "minijepa.worlds.words.Words.report"])
def test_ctrl_c_after_the_last_epoch_still_saves_it(where):
    wanted, _ = run("--epochs", 2)
    os.remove("run.npz")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        def once(*args, **kwargs):
            patch.undo()
            raise KeyboardInterrupt

        patch.setattr(where, once)
        run("--epochs", 2)
    assert contents("run.npz") == wanted


@pytest.mark.parametrize("options", [
    ["--save", "a", "--json", "./a"], ["--json", "run.npz", "--resume", "run.npz", "--epochs", "2"],
    ["--save", "story.txt", "--corpus", "story.txt"], ["--json", "link", "--corpus", "story.txt"],
])
def test_nothing_that_is_read_or_written_is_overwritten(options):
    story()
    os.symlink("story.txt", "link")
    before, _ = run("--epochs", 1)
    with pytest.raises(UserError, match="overwritten"):
        main([*options, "--quiet"])
    assert contents("run.npz") == before and contents("story.txt") == STORY.encode()
    assert not os.path.exists("a")


def test_a_checkpoint_may_be_resumed_into_itself():
    wanted, _ = run("--epochs", 3)
    run("--epochs", 2)
    assert run("--epochs", 3, "--resume", "run.npz")[0] == wanted
