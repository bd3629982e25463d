"""What holds in every world: those of the package, and one in a reader's own file."""

import copy
import json
import math
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minijepa import checkpoint
from minijepa.cli import main
from minijepa.gradcheck import check_step
from minijepa.losses import VICReg
from minijepa.options import TRAINING, UserError, printable
from minijepa.train import Training, train
from minijepa.worlds import WORLDS, world_class
from minijepa.worlds.base import World
from minijepa.worlds.digits import read_digits

CIRCLE = str(Path(__file__).with_name("circle.py"))
NAMES = [*WORLDS, CIRCLE]
every_world = pytest.mark.parametrize("name", NAMES, ids=[*WORLDS, "circle"])
# Of what takes long the first world and the reader's own at once, the others with -m slow
every_world_at_length = pytest.mark.parametrize("name", [
    pytest.param(name, id=id, marks=[] if id in ("words", "circle") else pytest.mark.slow)
    for name, id in zip(NAMES, [*WORLDS, "circle"])])

# An option of a world that makes it small, where it has one
SMALL = {"embed_dim": 3, "hidden_dim": 6, "latent_dim": 4, "batch_size": 8}
# And what no option says: batches in an epoch, films held out
FEWER = {"minijepa.worlds.video.STEPS": 10, "minijepa.worlds.video.PROBED": 200,
         "minijepa.worlds.images.STEPS": 10, "minijepa.worlds.images.DRAWS": 2,
         "minijepa.worlds.images.read_digits": lambda: [each[:300] for each in read_digits()],
         "minijepa.worlds.rooms.STEPS": 10, "minijepa.worlds.rooms.PROBED": 200,
         "minijepa.worlds.futures.STEPS": 10, "minijepa.worlds.futures.HELD_OUT": 100,
         "minijepa.worlds.questions.STEPS": 10, "minijepa.worlds.questions.PICTURES": 100,
         "minijepa.worlds.questions.FRAMES": 30}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, number in FEWER.items():
        monkeypatch.setattr(name, number)


def small(name, **given):
    """The options that make the world of that name small, and those given."""
    options = world_class(name).all_options()
    return {**{key: value for key, value in SMALL.items() if key in options}, **given}


def start(name, **given):
    return Training.start(world_class(name), small(name, **given))


def arrays(thing):
    """The arrays in x, y or z, which may be a tuple of them."""
    if isinstance(thing, tuple):
        return [array for part in thing for array in arrays(part)]
    return [] if thing is None else [np.asarray(thing)]


def same(a, b):
    return a.keys() == b.keys() and all(
        np.asarray(a[key]).tobytes() == np.asarray(b[key]).tobytes() for key in a)


def one_line(caught, *fragments):
    message = str(caught.value)
    assert "\n" not in message and all(fragment in message for fragment in fragments), message


# The gradient, and the numbers

@every_world_at_length
def test_the_gradient_of_a_whole_step_is_right(name):
    """Under the world's own treatment, energy and regularizer."""
    training, rng = start(name, dtype="float64"), np.random.default_rng(0)
    model, (x, y, z) = training.model, next(training.world.batches(5, rng))
    if model.treatment == "ema":                       # as in training, where the two differ
        model.target_encoder.value += 0.1 * rng.standard_normal(model.target_encoder.value.shape)
    # which may draw at random: each time the same
    regularizer = model.regularizer
    model.regularizer = lambda latents: copy.deepcopy(regularizer)(latents)
    gradients = {g.name: g for g in check_step(model, x, y, z, rng=rng)}
    assert all(g.passed
               for g in gradients.values()), [g for g in gradients.values() if not g.passed]
    for part in ("context_encoder", "predictor"):
        assert any(g.analytic.any() for key, g in gradients.items() if key.startswith(part))


@every_world
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_kept(name, dtype):
    training = start(name, dtype=dtype, epochs=1)
    list(training.rows())
    model, (x, y, z) = training.model, next(training.world.batches(5, training.rng))
    loss, _ = model.forward(x, y, z)
    found = [
        *arrays((x, y, z)), loss,
        model.predict(x, z)[0],
        model.encode_target(y)[0], model.value, model.grad,
        *(v for v in training.optimizer.state.values() if v.ndim)
    ]
    assert {array.dtype.name for array in found if array.dtype.kind == "f"} == {dtype}


@every_world
def test_a_batch_is_as_large_as_asked_for(name):
    training = start(name)
    batches = list(training.world.batches(7, np.random.default_rng(0)))
    assert all(y.shape[1] == 7 for x, y, z in batches[:-1]) and 1 <= batches[-1][1].shape[1] <= 7
    for x, y, z in batches[:1] + batches[-1:]:
        predictions, s_y = training.model.predict(x, z)[0], training.model.encode_target(y)[0]
        assert len(predictions) == len(y) or len(y) == 1       # K targets, or one for K predictions
        assert predictions.shape[1] == s_y.shape[1] == y.shape[1] and len(s_y) == len(y)
        assert z is None or z.shape[:2] == predictions.shape[:2]


# The same again

@every_world
def test_a_seed_gives_the_same_bytes_and_another_one_does_not(name):
    files = []
    for seed in 3, 3, 4:
        training = start(name, seed=seed, epochs=2)
        history = list(training.rows())
        checkpoint.save("run.npz", *training.finished)
        files.append((Path("run.npz").read_bytes(), history))
    assert files[0] == files[1]
    assert files[0][0] != files[2][0] and files[0][1] != files[2][1]


@every_world_at_length
@pytest.mark.parametrize("way", ["interrupted", "longer"])
def test_three_epochs_and_four_more_are_seven(name, way):
    """Stopped at 3 of the 7 that were planned, or planned for 3 and then gone on with to 7."""
    kind = world_class(name)
    falling = {"decay": 0, "soft": 0}                  # what falls over the epochs that are planned
    given = {key: value for key, value in falling.items() if key in kind.all_options()}
    given = {"seed": 5, **(given if way == "longer" else {})}
    whole = start(name, epochs=7, **given)
    history = list(whole.rows())
    part = start(name, epochs=7 if way == "interrupted" else 3, **given)
    for row in part.rows():
        if row["epoch"] == 3:
            break
    checkpoint.save("part.npz", *part.finished)
    resumed = Training.resume("part.npz", kind, {"epochs": 7} if way == "longer" else {})
    assert resumed.epoch == 3 and resumed.world.describe() == part.world.describe()
    rows = list(resumed.rows())
    assert rows == history[3:] and len(rows) == 5
    for one, other in zip(whole.finished, resumed.finished):
        assert same(one, other)
    text, findings = resumed.world.report(resumed.model, resumed.config, {})
    assert (text, findings) == whole.world.report(whole.model, whole.config, {})


@every_world
def test_constructing_neither_trains_nor_measures(name, monkeypatch):
    kind = world_class(name)
    for method in ("batches", "measure"):
        monkeypatch.setattr(kind, method, lambda *given: pytest.fail("not yet"))
    training = Training.start(kind, small(name))
    assert training.epoch == 0 and math.isnan(training.loss)


@every_world_at_length
def test_measuring_draws_nothing_and_changes_nothing(name):
    training = start(name, epochs=1)
    list(training.rows())
    world, model, before = training.world, training.model, training.state()
    legacy = str(np.random.get_state())
    first = world.measure(model)
    assert first.keys() == world.columns.keys()
    assert all(isinstance(number, float) and math.isfinite(number) for number in first.values())
    others = {label: start(name, seed=1, **changes).model
              for label, changes in {"another": {}, **world_class(name).comparisons}.items()}
    report = world.report(model, training.config, others)
    assert world.measure(model) == first and world.report(model, training.config, others) == report
    assert str(np.random.get_state()) == legacy
    for one, other in zip(before, training.state()):
        assert same(one, other)
    list(world.batches(5, np.random.default_rng(7)))   # nor does what was trained on change it
    assert world.measure(model) == first


@every_world_at_length
def test_the_schedule_is_told_how_much_is_done(name, monkeypatch):
    kind, done = world_class(name), []
    schedule = kind.schedule
    monkeypatch.setattr(
        kind, "schedule",
        lambda self, model, share: done.append(share) or schedule(self, model, share))
    training = Training.start(kind, small(name, epochs=4))
    list(training.rows())
    assert done == [0, 0.25, 0.5, 0.75]


# Settings

@every_world
def test_a_world_has_all_options_of_the_training_and_its_own(name):
    kind = world_class(name)
    options = kind.all_options()
    assert list(options) == [*TRAINING, *kind.options] and not TRAINING.keys() & kind.options.keys()
    assert kind.defaults.keys() <= TRAINING.keys()
    config = start(name).config
    assert config["world"] == kind.name and list(config)[1:] == list(options)
    for key, option in options.items():
        assert key in SMALL or config[key] == option.default
        assert option.default is None or option.read(str(option.default)) == option.default
    for changes in kind.comparisons.values():
        assert Training.start(kind, small(name, **changes)).model


@every_world
def test_a_value_that_an_option_cannot_take_is_named_with_the_option(name):
    for key in world_class(name).all_options():
        flag = "--" + key.replace("_", "-")
        for value in ("no/such/thing", "nan", ""):
            with pytest.raises(UserError) as caught:
                train(world_class(name), small(name, **{key: value}))
            one_line(caught, value)
            assert flag in str(caught.value) or f"cannot read the {key} {value}" in str(
                caught.value)
            with pytest.raises(UserError) as again:
                main([name, f"{flag}={value}"])
            assert str(again.value) == str(caught.value)
        with pytest.raises(UserError) as caught:
            train(world_class(name), {key + "x": 1})
        one_line(caught, f"there is no option '{key}x'", "did you mean")


@every_world
def test_help_shows_every_option_with_its_default_and_choices(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for key, option in world_class(name).all_options().items():
        choices = getattr(option.read, "choices", None)
        value = "{" + ",".join(choices) + "}" if choices else "X"
        default = "" if option.default is None else f" (default: {option.default})"
        described = f"{' '.join(option.help.split())}{default}"
        assert f"--{key.replace('_', '-')} {value} {described}" in shown
    for extra, text in world_class(name).extras.items():
        assert f"--{extra} {text}" in shown
    assert ("--compare" in shown) == bool(world_class(name).comparisons)


# Checkpoints

@every_world
def test_what_is_saved_is_loaded(name):
    training = start(name, epochs=1, seed=2)
    last = list(training.rows())[-1]
    checkpoint.save("model.npz", *training.finished)
    loaded = Training.load("model.npz", name)
    assert loaded.row() == last and loaded.config == training.config
    for one, other in zip(training.finished, loaded.state()):
        assert same(one, other)
    parameters, state = checkpoint.load("model.npz")
    assert list(parameters) == list(training.model.named_parameters())
    assert not any("/" in key for key in parameters)


@pytest.mark.slow
@every_world
def test_a_run_that_is_killed_goes_on_from_its_last_save_to_the_same_bytes(name):
    """Saved after every epoch, and killed, as the power cut does, amid the fourth save."""
    kind = world_class(name)
    given = small(name, epochs=6, seed=5)
    whole = Training.start(kind, given)
    list(whole.rows())
    child = f"""
import os, signal, sys
sys.path[:0] = {str(Path(CIRCLE).parent)!r}, {str(Path(CIRCLE).parents[1])!r}
import pytest, test_worlds
from minijepa import checkpoint, cli
for name, number in test_worlds.FEWER.items():
    pytest.MonkeyPatch().setattr(name, number)
cli.SAVE_EVERY, fsync, synced = 0, os.fsync, []
def sync(handle):
    synced.append(fsync(handle))
    if len(synced) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.os.fsync = sync
cli.main(sys.argv[1:])
"""
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    done = subprocess.run([sys.executable, "-c", child, name, *flags, "--save", "run.npz"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(Path().glob("run.npz.*.part"))) == 1
    resumed = Training.resume("run.npz", kind, {})
    assert resumed.epoch == 3
    main([name, "--quiet", "--resume", "run.npz", "--save", "run.npz"])
    assert not list(Path().glob("*.part"))
    for one, other in zip(whole.finished, checkpoint.load("run.npz")):
        assert same(one, other)


def forgeries(training):
    """Arrays of a checkpoint in the place of its own, each of them a lie: [(what, changes)]."""
    parameters, state = training.finished
    config = json.loads(state["config"])
    lies = {"epoch": [-1, 2**63 - 1, 1.5, "1", True, np.zeros(2, int), np.zeros((), "i8,i8")],
            "optimizer/t": [-1, 2**63 - 1, 1.5], "optimizer/v": [np.zeros(3)],
            "loss": ["none", np.zeros(2)],
            "rng": ["", "{}", "[" * 9999, state["rng"].replace("PCG64", "MT19937"),
                    state["rng"].replace('"state": ', '"state": -')]}
    for key, values in lies.items():
        yield from (({f"state/{key}": value}) for value in values)
    for key in checkpoint.under(state, "world/"):
        values = [1.5, -1, "one", 1e300, np.full(5, 255, np.uint8), np.zeros(0), np.zeros((2, 2))]
        if key != "is_corpus":
            yield from ({f"state/world/{key}": value} for value in values)
    for key, option in world_class(training.world.name if training.world.name in WORLDS
                                   else CIRCLE).all_options().items():
        if option.default is not None:
            for value in (None, [], {}, "\x1b[31m", "x" * 9999, -1, 10**400, float("nan")):
                yield {"state/config": json.dumps({**config, key: value})}
            missing = {name: value for name, value in config.items() if name != key}
            yield {"state/config": json.dumps(missing)}
        if key.endswith("_dim"):
            yield from ({"state/config": json.dumps({**config, key: value})}
                        for value in (config[key] + 1, 5 * 10**8))
    for name, array in parameters.items():
        yield from ({name: lie} for lie in (array * np.nan, array[..., None], array.astype("i4")))
    with np.errstate(over="ignore"):
        yield {name: np.sign(array) * np.float32(1e38) for name, array in parameters.items()}
    yield {"\x1b[31mred": np.zeros(3)}


@every_world_at_length
def test_a_forged_checkpoint_is_refused_in_a_line(name, recwarn, monkeypatch):
    """From the arrays on; tests/test_checkpoint.py has the files."""
    training = start(name, epochs=1)
    list(training.rows())
    parameters, state = training.finished
    whole = {**parameters, **{f"state/{key}": value for key, value in state.items()}}
    for changes in forgeries(training):
        arrays = {key: np.asarray(value) for key, value in {**whole, **changes}.items()}
        parts = ({key: x for key, x in arrays.items() if not key.startswith("state/")},
                 checkpoint.under(arrays, "state/"))
        monkeypatch.setattr(checkpoint, "load", lambda path: parts)
        with pytest.raises(UserError) as caught:
            Training.load("forged.npz", name)
            pytest.fail(f"{changes} was loaded")
        shown = printable(str(caught.value))
        assert shown.isprintable() and len(shown) < 500
    assert [str(each.message) for each in recwarn] == []


def test_a_world_that_keeps_more_and_cannot_restore_it_says_so():
    path = changed(("    def batches", "    def state(self):\n        return {'more': 1}\n\n"
                                       "    def batches"))
    main([path, "--quiet", "--epochs", "1", "--save", "run.npz"])
    with pytest.raises(UserError) as caught:
        main([path, "--quiet", "--epochs", "2", "--resume", "run.npz"])
    one_line(caught, "the world circle lacks the method restore(state, config)")
    both = changed(("    def batches", "    def state(self):\n"
                    "        return {'more': self.seed}\n\n"
                    "    @classmethod\n    def restore(cls, state, config):\n"
                    "        return super().restore({'seed': state['more']}, config)\n\n"
                    "    def batches"))
    main([both, "--quiet", "--epochs", "1", "--save", "run.npz"])
    assert Training.load("run.npz", both).epoch == 1


@every_world
def test_a_checkpoint_of_another_world_is_refused(name):
    other = NAMES[NAMES.index(name) - 1]
    training = start(other)
    checkpoint.save("other.npz", *training.state())
    with pytest.raises(UserError) as caught:
        main([name, "--resume", "other.npz"])
    one_line(caught, f"other.npz is of the world {world_class(other).name}, not "
                     f"{world_class(name).name}")


# What is printed, written and drawn

@every_world_at_length
@pytest.mark.parametrize("compare", [False, True])
def test_the_table_of_probes_and_the_json_tell_the_same(name, compare, capsys, monkeypatch):
    kind, added = world_class(name), {}
    more_probes = kind.more_probes
    monkeypatch.setattr(kind, "more_probes",
                        lambda self, *models: added.update(more_probes(self, *models)) or added)
    compare = compare and bool(kind.comparisons)
    flags = [word for key, value in small(name, epochs=1).items()
             for word in (f"--{key.replace('_', '-')}", str(value))]
    flags += [f"--{extra}" for extra in kind.extras] + ["--compare"] * compare
    main([name, *flags, "--json", "run.json"])
    out, err = capsys.readouterr()
    assert err == "" and out.startswith(f"{kind.name}: ")
    made = json.loads(Path("run.json").read_text(encoding="utf-8"),
                      parse_constant=lambda constant: pytest.fail(constant))
    assert list(made) == ["config", "history", "result", "seconds"] and made["seconds"] > 0
    columns = made["history"][0].keys() - {"epoch", "loss"}
    assert columns >= kind.columns.keys()
    assert made["result"].items() >= {key: made["history"][-1][key]
                                      for key in ["loss", *columns]}.items()
    rows = made["result"]["probes"]
    labels = ["this model", *kind.comparisons] if compare else ["this model"]
    wanted = [
        *labels, "untrained encoder", "PCA of the input to …", "raw input", *kind.handmade,
        kind.guess
    ]
    found = [re.sub(r"(PCA of the input to) \d+", r"\1 …", what) for what in rows]
    assert found == [*wanted, *added]
    titles = {key: title for key, (title, _) in kind.columns.items()}
    heading, = [line for line in out.splitlines() if line.startswith("held out, linear probe of "
                                                                     "the")]
    assert f"linear probe of the {kind.probed} " in heading
    below = out[out.index(heading) + len(heading) + 1:].splitlines()
    for line, (what, row) in zip(below, rows.items()):
        assert row.keys() == rows["this model"].keys() and row.keys() <= columns
        assert re.match(re.escape(what) + "   ", line)
        numbers = [float(cell) for cell in line[len(what):].split()]
        shown = [row[key] for key in kind.columns if key in row]
        assert numbers == pytest.approx(shown, abs=0.00501)
    assert heading.endswith("  ".join(titles[key] for key in kind.columns if key in row))
    for key, value in rows["this model"].items():      # where the model itself is measured with it
        assert made["result"][key] == value or name == "words"


@every_world
def test_a_picture_is_drawn(name):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install "
                                             "'minijepa[plot]'")
    flags = [word for key, value in small(name, epochs=1).items()
             for word in (f"--{key.replace('_', '-')}", str(value))]
    for path in ("run.svg", "again.svg"):
        main([name, *flags, "--quiet", "--plot", path])
    drawn = Path("run.svg").read_bytes()
    assert b"<svg" in drawn and Path("again.svg").read_bytes() == drawn


@pytest.mark.slow
def test_a_film_is_drawn_by_a_world_that_moves_and_refused_by_others():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install "
                                             "'minijepa[plot]'")
    from PIL import Image

    flags = "--epochs 1 --hidden-dim 8 --latent-dim 4 --quiet --compare --plot film.gif".split()
    main(["video", *flags])
    film = Image.open("film.gif")
    assert film.n_frames == 45 and film.info["loop"] == 0                      # 3 films of 15
    assert Path("film.gif").stat().st_size < 400_000
    with pytest.raises(UserError, match="film.gif: wanted .*svg"):
        main(["--plot", "film.gif"])


@every_world
def test_a_world_says_what_is_trained_on_in_a_line(name):
    assert re.fullmatch(r"\S.*\S", start(name).world.describe())


# A world in a reader's own file

def changed(*pairs, name="mine.py"):
    """The reader's file, with something else in the place of a text: its path."""
    text = Path(CIRCLE).read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize("member, message", [
    ("name", "the world Circle lacks name"), ("columns", "the world Circle lacks columns"),
    ("build", "the world Circle lacks the method build"),
    ("batches", "the world Circle lacks the method batches"),
    ("measure", "the world Circle lacks the method measure"),
])
def test_a_missing_member_is_named(member, message):
    before = f"    def {member}(" if f"def {member}(" in Path(
        CIRCLE).read_text() else f"    {member} = "
    path = changed((before, before.replace(member, "another_" + member)))
    with pytest.raises(UserError) as caught:
        main([path])
    one_line(caught, message)
    with pytest.raises(UserError, match=message):      # and in a class from Python
        train(type("Circle", (World,), {key: part for key, part in vars(world_class(CIRCLE)).items()
                                        if key != member}))


MISTAKES = {
    "two classes": ([("class Circle", "class Other(World):\n    pass\n\n\nclass Circle")],
                    "mine.py: wanted one class that is a minijepa.worlds.base.World, found Other, "
                    "Circle"),
    "no class": ([("class Circle(World)", "class Circle")], "found none"),
    "a taken name":
        ([('"circle"', '"words"')], "mine.py: the name 'words' is taken; choose another"),
    "no Python":
        ([("class Circle(World):", "class Circle(World)")], "mine.py, line 13: expected ':'"),
    "no z": ([
        ("yield self.draw(size, rng)", "yield self.draw(size, rng)[:2]")
    ], "circle.batches: wanted (x, y, z), z None where nothing is told; was given tuple of 2"),
    "no tuple": ([("yield self.draw(size, rng)", "yield self.draw(size, rng)[1]")],
                 "circle.batches: wanted (x, y, z)"),
    "y without K": ([("yield self.draw(size, rng)",
                      "x, y, z = self.draw(size, rng)\n            yield x, y[0], z")], "circle"),
    "y of one dimension": ([("yield self.draw(size, rng)",
                             "x, y, z = self.draw(size, rng)\n            yield x, y[0, :, 0], z")],
                           "circle.batches: wanted y as an array (K, B, …), K targets for each of "
                           "the B examples; was given (8,)"),
    "y a list": ([("yield self.draw(size, rng)",
                   "x, y, z = self.draw(size, rng)\n            yield x, list(y), z")],
                 "circle.batches: wanted y as an array (K, B, …)"),
    "y of another batch": ([("yield self.draw(size, rng)",
                             "x, y, z = self.draw(size, rng)\n            yield x, y[:, 1:], z")],
                           "circle: wanted predictions (K, B, latent) for y (3, 7, 2); the model "
                           "gives (3, 8, 4), and targets (3, 7, 4)"),
    "x of another width": ([("net(2), net(2)", "net(3), net(3)")],
                           "circle: its model cannot take its batches: Linear: wanted shape (..., "
                           "3)"),
    "another dtype": ([('.astype(self.config["dtype"])', "")],
                      "circle: its model cannot take its batches: Linear: wanted dtype float32"),
    "no batch":
        ([("range(3)", "range(0)")], "circle.batches: wanted at least one batch, was given none"),
    "a column too few": ([('"std": std(s_y), ', "")],
                         "circle.measure: wanted relative_loss, std, place_r2, as in its columns; "
                         "was given relative_loss, place_r2"),
    "a column too many": ([('"std": std(s_y), ', '"std": std(s_y), "more": 1.0, ')],
                          "was given relative_loss, std, more, place_r2"),
    "not finite": ([("std(s_y), ", 'float("nan"), ')], "lower --learning-rate"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_world_is_answered_in_a_line(mistake):
    pairs, message = MISTAKES[mistake]
    with pytest.raises(UserError) as caught:
        main([changed(*pairs), "--save", "model.npz"])
    one_line(caught, message)
    assert not Path("model.npz").exists()


@pytest.mark.parametrize("name, message", [
    ("missing.py", "there is no file missing.py"),
    ("wrods", f"there is no world 'wrods': wanted {', '.join(WORLDS)}"),
])
def test_a_world_that_is_not_there(name, message):
    for attempt in (lambda: main([name]), lambda: train(name),
                    lambda: Training.load("model.npz", name)):
        with pytest.raises(UserError) as caught:
            attempt()
        one_line(caught, message)


def test_a_file_is_trained_saved_and_resumed_by_its_name():
    path = changed()
    main([path, "--quiet", "--epochs", "2", "--save", "model.npz", "--json", "run.json"])
    main([path, "--quiet", "--epochs", "4", "--resume", "model.npz", "--save", "more.npz"])
    assert Training.load("more.npz", path).epoch == 4
    config = json.loads(Path("run.json").read_text())["config"]
    assert (config["world"], config["batch_size"], config["regularizer"]) == ("circle", 8, "sigreg")
    assert str(Path.cwd()) not in Path("run.json").read_text()


# A world that is made in Python

def test_a_world_that_was_made_keeps_its_seed_and_its_options():
    Circle = world_class(CIRCLE)

    def once(seed, **given):
        world = Circle(np.random.default_rng(seed), latent_dim=3)
        return world, *train(world, {"epochs": 2, **given})

    world, model, history = once(5)
    other, again, history_again = once(5)
    assert history == history_again and np.array_equal(model.value, again.value)
    assert model.encode_target(world.held_out[1])[0].shape == (3, 40, 3)       # its own option
    assert once(5, latent_dim=2)[1].encode_target(world.held_out[1])[0].shape == (3, 40, 2)
    assert np.array_equal(world.held_out[0], other.held_out[0])
    assert not np.array_equal(world.held_out[0], once(6)[0].held_out[0])
    wide, _, _ = once(5, dtype="float64")              # configured anew, and the same world
    np.testing.assert_allclose(wide.held_out[0], world.held_out[0], rtol=1e-6)
    assert wide.held_out[0].dtype == np.float64
    with pytest.raises(UserError, match="--latent-dim"):
        Circle(latent_dim=0)
    assert np.array_equal(Circle().held_out[0], Circle(np.random.default_rng(0)).held_out[0])


def test_the_probes_of_the_baselines_are_least_squares():
    training = Training.start(world_class(CIRCLE), {"latent_dim": 1, "seed": 3})
    world = training.world
    x, other = world.probed_points[0], world.held_out[0]
    rows = world.probes(training.model, training.config, {"twin": training.model})
    assert rows["twin"] == rows["this model"] == world.probe(training.model)
    assert rows["raw input"]["place_r2"] > 0.999       # what is asked for is the input itself
    mean = other - x.mean(axis=0)
    spread = ((other - other.mean(axis=0)) ** 2).sum()
    assert rows["the mean"]["place_r2"] == pytest.approx(1 - (mean**2).sum() / spread, abs=1e-6)
    vectors = np.linalg.eigh(np.cov(x.T))[1][:, ::-1]
    left = mean @ vectors[:, 1]                        # of PCA to 1 the other direction is lost
    assert rows["PCA of the input to 1"]["place_r2"] == pytest.approx(1 - (left**2).sum() / spread,
                                                                      abs=1e-4)
    untrained = world.build(training.config, np.random.default_rng(3), VICReg(1, 1))
    assert rows["untrained encoder"] == world.probe(untrained)


def test_a_world_without_a_probe_reports_nothing():
    Circle = world_class(
        changed(("**self.probe(model)", '"place_r2": 0.0'), ("def probe(", "def unused(")))
    training = Training.start(Circle, {"epochs": 1})
    assert training.world.report(training.model, training.config, {}) == ("", {})
    assert training.world.describe() == "A point on a circle, and where three turns take it."
