"""The video world against its physics written out frame by frame, its probes against least squares.
"""

import json
import math
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.gradcheck import check
from minijepa.layers import Linear, ReLU, Sequential
from minijepa.losses import VICReg, no_regularizer
from minijepa.modules import Module
from minijepa.options import UserError
from minijepa.train import Training, main, options_of, train
from minijepa.worlds.video import AHEAD, FRAME, LAMPS, PROBED, STEPS, NextFrame, Video, film, window_seen

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=15)
SMALL = ["video", "--hidden-dim", "8", "--latent-dim", "4", "--batch-size", "4"]
MEASURED = [
    "relative_loss", "latent_std", "effective_rank", "hidden_rmse", "reappear_rmse",
    "position_rmse", "velocity_r2", "lamps_r2"
]
READ = ["position_rmse", "velocity_r2", "hidden_rmse", "reappear_rmse", "lamps_r2"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def world():
    return Video(np.random.default_rng(0))


@pytest.fixture(scope="module")
def short():
    """Two epochs at the world's own settings: (world, model, history)."""
    training = Training.start("video", {"epochs": 2})
    history = list(training.rows())
    return training.world, training.model, history


def films(seed, count=40, length=60, dtype=np.float64):
    return film(count, length, np.random.default_rng(seed), dtype)


def strip(films):
    return films.frames[:, :, :24]


# Physics

@given(seeds)
@few
def test_the_ball_rolls_on_at_its_speed_and_turns_back_at_the_ends(seed):
    """Frame by frame from where it starts; 1.5 and 22.5 are where the middle of 3 pixels touches an
    end."""
    made = films(seed)
    for positions, velocities in zip(made.position, made.velocity):
        position, velocity = positions[0], velocities[0]
        for t in range(len(positions)):
            assert positions[t] == pytest.approx(position, abs=1e-9)
            assert velocities[t] == pytest.approx(velocity, abs=1e-12)
            position += velocity
            if position > 22.5:
                position, velocity = 45 - position, -velocity
            elif position < 1.5:
                position, velocity = 3 - position, -velocity


@given(seeds)
@few
def test_speed_and_place_stay_within_their_bounds(seed):
    made = films(seed)
    speed = np.abs(made.velocity)
    assert (0.6 <= speed).all() and (speed <= 1.4).all()
    np.testing.assert_allclose(speed, speed[:, :1] + np.zeros(60), rtol=0, atol=1e-12)
    assert (1.5 <= made.position).all() and (made.position <= 22.5).all()


def test_every_film_of_some_length_bounces_at_both_ends():
    # 0.6 · 90 = 54 pixels, more than there and back
    made = films(0, 200, 90)
    turns = np.diff(np.sign(made.velocity), axis=1)
    assert (turns > 0).any(axis=1).all() and (turns < 0).any(axis=1).all()


def test_starts_speeds_and_directions_are_spread_evenly():
    made = films(0, 20_000, 1)
    for values, low, high in (made.position[:, 0], 1.5, 22.5), (np.abs(made.velocity[:,
                                                                                     0]), 0.6, 1.4):
        share = (values - low) / (high - low)
        np.testing.assert_allclose(np.quantile(share, np.linspace(0.1, 0.9, 9)),
                                   np.linspace(0.1, 0.9, 9), rtol=0,
                                   atol=0.015)  # 4 standard errors
    assert abs((made.velocity > 0).mean() - 0.5) < 0.015
    assert abs(np.corrcoef(made.position[:, 0], made.velocity[:, 0])[0, 1]) < 0.03


@given(seeds)
@few
def test_each_pixel_shows_how_much_of_it_the_ball_covers(seed):
    """The length of the ball to the left of pixel + 1, less that to the left of pixel; behind the
    chair nothing."""
    made = films(seed, 10, 30)
    for n, t in np.ndindex(10, 30):
        begin = made.position[n, t] - 1.5
        length_left_of = lambda place: min(max(place - begin, 0), 3)
        for pixel in range(24):
            wanted = 0 if 9 <= pixel <= 14 else length_left_of(pixel + 1) - length_left_of(pixel)
            assert strip(made)[n, t, pixel] == pytest.approx(wanted, abs=1e-12)


def test_known_frames():
    made = films(0, 500, 60)
    for n, t in np.argwhere(np.abs(made.position - 4.75) < 0.2)[:50]:
        shift = made.position[n, t] - 4.75             # from 3.25 to 6.25: a quarter of pixel 6
        np.testing.assert_allclose(
            strip(made)[n, t, 2:8], [
                max(-shift - 0.25, 0), 0.75 - shift if shift > -0.25 else 1, 1, 1,
                min(0.25 + shift, 1) if shift > -0.25 else 0, 0
            ], rtol=0, atol=1e-12)


@given(seeds)
@few
def test_three_pixels_of_ball_where_nothing_is_covered_and_never_any_on_the_chair(seed):
    made = films(seed)
    total = strip(made).sum(axis=2)
    clear = (made.position + 1.5 <= 9) | (made.position - 1.5 >= 15)
    np.testing.assert_allclose(total[clear], 3, rtol=0, atol=1e-12)
    assert (total[~clear] < 3).all()
    assert not strip(made)[:, :, 9:15].any()
    assert (0 <= strip(made)).all() and (strip(made) <= 1).all()


@given(seeds)
@few
def test_the_ball_is_hidden_just_when_nothing_of_it_is_seen(seed):
    made = films(seed)
    assert made.hidden.shape == made.position.shape
    assert np.array_equal(made.hidden, strip(made).sum(axis=2) < 1e-12)
    assert np.array_equal(made.hidden, (10.5 <= made.position) & (made.position <= 13.5))
    assert made.hidden.any()


# Lamps

def test_lamps_are_on_or_off_evenly_and_tell_nothing():
    made = films(0, 3000, 20)
    lamps = made.frames[:, :, 24:]
    assert made.frames.shape == (3000, 20, 28) and FRAME == 28 and lamps.shape[2] == LAMPS == 4
    assert set(np.unique(lamps)) == {0, 1}
    bound = 4 / math.sqrt(60_000)                      # 4 standard errors
    np.testing.assert_allclose(lamps.mean(axis=(0, 1)), 0.5, rtol=0, atol=bound / 2)

    columns = [lamps[:, 1:, i].ravel()
               for i in range(4)] + [lamps[:, :-1, i].ravel() for i in range(4)]
    columns += [made.position[:, 1:].ravel(), made.velocity[:, 1:].ravel()]
    correlation = np.corrcoef(columns)
    for i in range(4):
        # with the others, with the frame before, with the ball
        for j in range(10):
            assert j == i or abs(correlation[i, j]) < bound * 1.1


# Films, windows, batches

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_generator_alone_makes_the_films(dtype):
    one, same, other = films(1, 5, 9, dtype), films(1, 5, 9, dtype), films(2, 5, 9, dtype)
    assert one.frames.dtype == dtype and one.frames.shape == (5, 9,
                                                              28) and one.position.shape == (5, 9)
    assert np.array_equal(one.frames, same.frames) and np.array_equal(one.velocity, same.velocity)
    assert not np.array_equal(one.position, other.position)
    assert np.array_equal(one.frames, films(1, 5, 9).frames.astype(dtype))
    assert len(np.unique(one.position[:, 0])) == 5     # each film is another one


@given(seeds, st.integers(1, 5), st.integers(3, 8))
@few
def test_a_window_is_three_frames_side_by_side(seed, count, length):
    made = films(seed, count, length)
    windows = made.windows
    assert windows.shape == (count, length - 2, 84)
    for n in range(count):
        for t in range(length - 2):
            three = [made.frames[n, t + i] for i in range(3)]
            assert np.array_equal(windows[n, t], [number for frame in three for number in frame])


@given(seeds)
@few
def test_a_window_is_seen_where_none_of_its_frames_is_hidden(seed):
    hidden = np.random.default_rng(seed).random((4, 9)) < 0.3
    seen = window_seen(hidden)
    assert seen.shape == (4, 7)
    for n, t in np.ndindex(4, 7):
        assert seen[n, t] == (not any(hidden[n, t + i] for i in range(3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epoch_is_fifty_batches_of_new_films(dtype):
    world = Video(np.random.default_rng(0), dtype=dtype)
    batches = list(world.batches(3, np.random.default_rng(7)))
    assert len(batches) == STEPS == 50
    rng = np.random.default_rng(7)
    for x, y in batches:
        made = film(3, 15, rng, dtype)
        assert x.shape == (3, 84) and y.shape == (12, 3, 84) and x.dtype == y.dtype == dtype
        assert x.flags.c_contiguous and y.flags.c_contiguous
        for b in range(3):
            for k in range(13):
                window = np.concatenate([
                    made.frames[b, k], made.frames[b, k + 1], made.frames[b, k + 2]
                ])
                assert np.array_equal((x if k == 0 else y[k - 1])[b], window.astype(dtype))
    starts = [tuple(row) for x, _ in batches for row in x.tolist()]
    assert len(set(starts)) == 150


def test_the_held_out_films_are_a_matter_of_the_seed_and_are_not_the_probed_ones():
    one, same, other = (Video(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one.probed.frames.shape == one.held_out.frames.shape == (PROBED, 15, 28)
    assert np.array_equal(one.held_out.frames, same.held_out.frames)
    assert not np.array_equal(one.held_out.frames, other.held_out.frames)
    assert not set(one.probed.position[:, 0]) & set(one.held_out.position[:, 0])
    assert one.probed.frames.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_world_is_restored_with_the_same_films(dtype):
    world = Video(np.random.default_rng(3), dtype=dtype)
    again = Video.restore({name: np.array(value) for name, value in world.state().items()})
    for one, other in (world.probed, again.probed), (world.held_out, again.held_out):
        assert one.frames.dtype == dtype and np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.position, other.position)


# What is measured

def probe(x, y, x_test):
    """Least squares with a small ridge, by lstsq on the rows together with √(N·ridge) rows for the
    ridge."""
    x, y, x_test = (np.asarray(each, np.float64) for each in (x, y, x_test))
    x_mean, y_mean, (N, D) = x.mean(axis=0), y.mean(axis=0), x.shape
    rows = np.concatenate([x - x_mean, math.sqrt(N * 1e-6) * np.eye(D)])
    wanted = np.concatenate([y - y_mean, np.zeros((D, *y.shape[1:]))])
    return (x_test - x_mean) @ np.linalg.lstsq(rows, wanted, rcond=None)[0] + y_mean


def root_mean_square(errors):
    return math.sqrt(math.fsum(error**2 for error in errors) / len(errors))


def explained(y, predicted):
    return 1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean(axis=0)) ** 2)


def read_by_hand(world, fit, test):
    """What the probes read, window by window.

    fit, test: (latents (N, 13, D), rolled out (N, 12, D)).
    """
    rows = {"seen": ([], []), "all": ([], [])}
    for side, (films, (latents, _)) in enumerate([(world.probed, fit), (world.held_out, test)]):
        for n in range(PROBED):
            for t in range(13):
                frames = films.frames[n, t:t + 3, :24]
                row = (latents[n, t], films.position[n, t + 2], films.velocity[n, t + 2],
                       films.frames[n, t + 2, 24:])
                rows["all"][side].append(row)
                if (frames.sum(axis=1) > 0).all():
                    rows["seen"][side].append(row)
    found = {}
    (z, position, velocity, _), (z_test, position_test, velocity_test, _) = (
        map(np.array, zip(*side)) for side in rows["seen"])
    found["position_rmse"] = root_mean_square(probe(z, position, z_test) - position_test)
    found["velocity_r2"] = explained(velocity_test, probe(z, velocity, z_test))
    (z, _, _, lamps), (z_test, _, _, lamps_test) = (map(np.array, zip(*side))
                                                    for side in rows["all"])
    found["lamps_r2"] = explained(lamps_test.astype(float), probe(z, lamps, z_test))

    def in_sight(films, n, frame):
        return films.frames[n, frame, :24].sum() > 0

    begins = [[n for n in range(PROBED) if all(in_sight(films, n, frame) for frame in range(3))]
              for films in (world.probed, world.held_out)]
    hidden, back = [], []
    for k in range(12):                                # step k + 1 ends at frame k + 3
        belief = probe(fit[1][begins[0], k], world.probed.position[begins[0], k + 3],
                       test[1][begins[1], k])
        for n, believed in zip(begins[1], belief):
            error = believed - world.held_out.position[n, k + 3]
            if not in_sight(world.held_out, n, k + 3):
                hidden.append(error)
            elif not in_sight(world.held_out, n, k + 2):
                back.append(error)
    return {
        **found, "hidden_rmse": root_mean_square(hidden), "reappear_rmse": root_mean_square(back)
    }


def test_measure_is_what_it_says_for_a_model_of_random_values(world):
    training = Training(
        world, {
            **{name: option.default
               for name, option in options_of(Video).items()}, "hidden_dim": 7, "latent_dim": 5
        }, np.random.default_rng(5))
    model = training.model
    measured = world.measure(model)
    assert set(measured) == set(MEASURED) == set(world.columns)

    def relu(v):
        return np.where(v > 0, v, 0)

    p = {
        name: parameter.value.astype(np.float64)
        for name, parameter in model.named_parameters().items()
    }
    net = lambda name, v: relu(v @ p[f"{name}.0.weight"].T + p[f"{name}.0.bias"]) @ p[f"{name}.2.weight"].T + \
        p[f"{name}.2.bias"]
    both = []
    for films in world.probed, world.held_out:
        latents = np.stack([
            net("context_encoder", films.frames[:, t:t + 3].reshape(PROBED, 84)) for t in range(13)
        ], 1)
        rolled = [latents[:, 0]]
        for _ in range(12):
            rolled.append(rolled[-1] + net("predictor.net", rolled[-1]))
        both.append((latents, np.stack(rolled[1:], 1)))
    wanted = read_by_hand(world, *both)
    targets, predictions = (each.reshape(-1, 5) for each in (both[1][0][:, 1:], both[1][1]))
    variances = targets.var(axis=0)
    wanted["relative_loss"] = np.mean((predictions - targets) ** 2) / variances.mean()
    wanted["latent_std"] = np.sqrt(variances).mean()
    shares = np.sqrt(np.linalg.eigvalsh(np.cov(targets.T)))
    shares /= shares.sum()
    wanted["effective_rank"] = math.exp(-(shares * np.log(shares)).sum())
    for name in MEASURED:                              # the model works in float32
        assert measured[name] == pytest.approx(wanted[name], rel=2e-4, abs=2e-5), name


class Oracle:
    """Stands in for a model: its latent of a window, and what it rolls out, are made of the truth.
    """

    def __init__(self, world, latent, ahead):
        self.world, self.latent, self.ahead = world, latent, ahead

    def films_of(self, windows):
        first = windows[:, 0] if windows.ndim == 3 else windows
        return next(films for films in (self.world.probed, self.world.held_out)
                    if np.array_equal(films.windows[:, 0], first))

    def encode_target(self, windows):
        return self.latent(self.films_of(windows)), None

    def predict(self, x, steps):
        films = self.films_of(x)
        return np.stack([self.ahead(films, k) for k in range(1, steps + 1)]), None


def test_a_model_that_knows_where_the_ball_is_measures_no_error(world):
    def latent(films):                                 # (N, 13, 2) of the newest frame
        return np.stack(
            [3 * films.position[:, 2:] - 7, films.velocity[:, 2:] + films.position[:, 2:]], axis=2)

    oracle = Oracle(world, latent, lambda films, k: latent(films)[:, k])
    measured = world.measure(oracle)
    assert measured["relative_loss"] == 0
    for name in "position_rmse", "hidden_rmse", "reappear_rmse":
        # a ridge of 1e-6 on a variance of 50 and of some 0.7
        assert measured[name] < 1e-4
    assert measured["velocity_r2"] > 1 - 1e-4 and abs(measured["lamps_r2"]) < 0.005


def test_a_model_that_looks_at_the_lamps_tells_them_and_nothing_else(world):
    lamps = lambda films: films.frames[:, 2:, 24:]
    measured = world.measure(Oracle(world, lamps, lambda films, k: lamps(films)[:, k]))
    assert measured["lamps_r2"] > 1 - 1e-4 and abs(measured["velocity_r2"]) < 0.01
    assert measured["hidden_rmse"] > 0.8 and measured["position_rmse"] > 4


def test_a_belief_that_is_off_by_a_known_noise_is_measured_as_that(world):
    """The probe of each step is fitted to what is rolled out, and a noise of its own stays: 0.5 px,
    here."""
    rng = np.random.default_rng(0)
    noise = {
        id(films): 0.5 * rng.standard_normal((PROBED, 13))
        for films in (world.probed, world.held_out)
    }

    def latent(films):
        return np.stack([films.position[:, 2:] + noise[id(films)]], axis=2)

    measured = world.measure(Oracle(world, latent, lambda films, k: latent(films)[:, k]))
    for name in "hidden_rmse", "reappear_rmse", "position_rmse":
        assert measured[name] == pytest.approx(0.5, rel=0.1)


def test_the_probe_of_each_step_is_fitted_to_what_is_rolled_out(world):
    """A rollout that drifts by 2 px a step, and turns round, is still read aright: step by step."""
    drifted = lambda films, k: np.stack([(films.position[:, k + 2] + 2.0 * k) * (-1) ** k], axis=1)
    latent = lambda films: np.stack([films.position[:, 2:]], axis=2)
    assert world.measure(Oracle(world, latent, drifted))["hidden_rmse"] < 1e-4


# The models

def test_one_encoder_stands_on_both_sides_when_joint_and_two_when_not(world):
    def build(**given):
        config = {**{name: option.default for name, option in options_of(Video).items()}, **given}
        return world.build(config, np.random.default_rng(0), no_regularizer)

    shared = build(target="joint")
    assert shared.target_encoder is shared.context_encoder
    for treatment in "ema", "stopgrad":
        model = build(target=treatment)
        assert model.target_encoder is not model.context_encoder
        assert not np.shares_memory(model.target_encoder.value, model.context_encoder.value)
        assert np.array_equal(model.target_encoder.value,
                              model.context_encoder.value) == (treatment == "ema")
    assert shared.encode_context(np.zeros((3, 84), np.float32))[0].shape == (3, 16)


class Step(Module):
    """A step of training as a layer: windows are given, nothing is wanted toward them."""

    def __init__(self, model):
        self.model = model

    def forward(self, batch):
        return self.model.forward(*batch)


def small_step(world, **given):
    """A small float64 model, and a batch of 4 films with 3 windows ahead."""
    config = {
        **{name: option.default
           for name, option in options_of(Video).items()}, "hidden_dim": 5, "latent_dim": 3,
        "dtype": "float64", **given
    }
    model = world.build(config, np.random.default_rng(0), VICReg(1, 0.3))
    windows = films(0, 4, 6).windows.transpose(1, 0, 2)
    return Step(model), (np.ascontiguousarray(windows[0]), np.ascontiguousarray(windows[1:]))


def test_the_gradients_of_a_whole_step_with_one_encoder(world):
    step, batch = small_step(world, target="joint")
    gradients = check(step, batch, rng=np.random.default_rng(1))
    # the encoder's under two names
    assert len(gradients) == 12 and all(gradient.passed for gradient in gradients)
    assert all(gradient.analytic.any() for gradient in gradients)


# The pixel predictor

def test_the_next_frame_takes_the_place_of_the_oldest():
    rng = np.random.default_rng(0)
    net = Linear(84, 28, rng, np.float64)
    x = rng.standard_normal((5, 84))
    y, _ = NextFrame(net).forward(x)
    for b in range(5):
        frames = [x[b, 28:56], x[b, 56:], net.weight.value @ x[b] + net.bias.value]
        np.testing.assert_allclose(y[b], np.concatenate(frames), rtol=0, atol=1e-12)


def test_the_gradients_of_the_next_frame():
    rng = np.random.default_rng(0)
    net = Sequential(Linear(84, 3, rng, np.float64), ReLU(), Linear(3, 28, rng, np.float64))
    gradients = check(NextFrame(net), rng.standard_normal((3, 84)), rng=rng)
    assert len(gradients) == 5 and all(gradient.passed and gradient.analytic.any()
                                       for gradient in gradients)


@pytest.mark.parametrize("target", ["joint", "stopgrad", "ema"])
def test_the_gradients_of_a_whole_step_of_the_pixel_predictor(world, target):
    """There is no encoder to treat in this way or that, and none whose latents a regularizer would
    ask of."""
    step, batch = small_step(world, predict="pixels", target=target)
    gradients = check(step, batch, rng=np.random.default_rng(1))
    assert len(gradients) == 8 and all(gradient.passed and gradient.analytic.any()
                                       for gradient in gradients)
    x, y = batch
    prediction, errors = x, []
    for target in y:
        prediction = step.model.predictor.forward(prediction)[0]
        errors.append(np.mean((prediction - target) ** 2))
    assert step.forward(batch)[0] == pytest.approx(np.mean(errors), rel=1e-12)


def test_the_pixel_predictor_is_of_the_same_size(few_films):
    """The same layers: its encoder's and then the predictor's, which gives a frame in place of a
    latent."""
    sizes = []
    for predict in "latents", "pixels":
        model = Training.start("video", {"predict": predict}).model
        sizes.append([
            p.value.shape for name, p in model.named_parameters().items() if "target" not in name
        ])
    latents, pixels = sizes
    assert len(latents) == len(pixels) == 8
    assert pixels[:6] == latents[:6] and pixels[6:] == [(28, latents[6][1]), (28,)]


# Training

def test_a_short_training_improves_on_the_untrained_encoder(short):
    _, _, (first, *_, last) = short
    assert first["epoch"] == 0 and last["epoch"] == 2
    for name in "loss", "relative_loss", "position_rmse", "hidden_rmse", "reappear_rmse":
        assert last[name] < 0.95 * first[name], name
    assert last["velocity_r2"] > first["velocity_r2"] + 0.2 and last[
        "latent_std"] > 2 * first["latent_std"]


@pytest.fixture
def few_films(monkeypatch):
    """Short epochs, and probes fitted on few films, where it does not matter how well anything is
    learned."""
    monkeypatch.setattr("minijepa.worlds.video.PROBED", 150)
    monkeypatch.setattr("minijepa.worlds.video.STEPS", 8)


def run(*options, name="run.npz"):
    main([*SMALL, "--quiet", "--save", name, "--json", "run.json", *map(str, options)])
    with open(name, "rb") as file, open("run.json", encoding="utf-8") as report:
        return file.read(), json.load(report)


def stop_after(epochs, *options):
    """Ctrl-C in the middle of the epoch that follows."""
    epoch_loss, done = Training.epoch_loss, []

    def interrupted(self, rng, learn=True):
        if learn:
            done.append(None)
            if len(done) > epochs:
                self.model.value += 1
                raise KeyboardInterrupt
        return epoch_loss(self, rng, learn)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "epoch_loss", interrupted)
        run(*options)


@pytest.mark.parametrize(
    "options", [["--decay", 1], [], ["--decay", 0.5, "--target", "ema", "--regularizer", "sigreg"],
                ["--predict", "pixels"]])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(options, few_films):
    whole, report = run("--epochs", 4, *options)
    assert run("--epochs", 4, *options)[0] == whole
    stop_after(2, "--epochs", 4, *options)
    assert Training.load("run.npz", "video").epoch == 2
    resumed, resumed_report = run("--resume", "run.npz")
    assert resumed == whole and resumed_report["result"] == report["result"]
    assert resumed_report["history"] == report["history"][2:]


def test_the_schedule_belongs_to_the_planned_total(few_films):
    assert options_of(Video)["decay"].default > 0      # the world's own
    stop_after(1, "--epochs", 3)
    with open("run.npz", "rb") as file:
        before = file.read()
    with np.load("run.npz") as archive:
        assert json.loads(str(archive["state/config"]))["epochs"] == 3
    for total in 2, 5:
        with pytest.raises(UserError, match=rf"run.npz was planned for 3 epochs.*--epochs {total} "
                                            r"is another training"):
            main([*SMALL, "--resume", "run.npz", "--save", "run.npz", "--epochs", str(total)])
    with open("run.npz", "rb") as file:
        assert file.read() == before
    run("--resume", "run.npz", "--epochs", 3)
    assert Training.load("run.npz", "video").epoch == 3


def test_another_seed_and_another_world_are_told_apart(few_films):
    one, report = run("--epochs", 1)
    other, other_report = run("--epochs", 1, "--seed", 1)
    assert one != other and report["result"] != other_report["result"]
    with pytest.raises(UserError, match="run.npz is of the world video, not words"):
        main(["--resume", "run.npz", "--epochs", "2"])


def test_python_trains_it_too(few_films):
    model, history = train("video",
                           {"epochs": 1, "hidden_dim": 8, "latent_dim": 4, "batch_size": 4})
    assert history == run("--epochs", 1)[1]["history"]
    assert list(history[0])[:2] == ["epoch", "loss"] and set(
        history[0]) == {"epoch", "loss", *MEASURED}
    assert model.encode_context(np.zeros((1, 84), np.float32))[0].shape == (1, 4)


@pytest.mark.parametrize("options, fragments", [
    (["--hidden-dim", "0"], ["--hidden-dim", "'0'"]),
    (["--latent-dim", "1.5"], ["--latent-dim", "whole", "'1.5'"]),
    (["--predict", "frames"], ["--predict", "latents, pixels", "'frames'"]),
    (["--decay", "1.1"], ["--decay", "at most 1", "'1.1'"]),
    (["--decay", "-0.1"], ["--decay", "'-0.1'"]),
    (["--regularizer", "lejepa"], ["--regularizer", "vicreg", "'lejepa'"]),
    (["--covariance-weight", "nan"], ["--covariance-weight", "'nan'"]),
    (["--batch-size", "0"], ["--batch-size", "'0'"]),
    (["--regularizer", "vicreg", "--batch-size", "1"], ["--batch-size", "at least 2"]),
    (["--corpus", "text.txt"], ["unrecognized arguments", "--corpus"]),
    (["--embed-dim", "3"], ["--embed-dim"]),
    (["--save", "no/where.npz"], ["no/where.npz"]),
    (["--resume", "missing.npz"], ["missing.npz"]),
])
def test_what_cannot_be_used_is_refused_in_a_line(options, fragments):
    with pytest.raises(UserError) as caught:
        main(["video", *options])
    assert "\n" not in str(caught.value)
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert os.listdir() == []


@pytest.mark.parametrize("option", ["--show", "--compare", "--predict"])
def test_the_words_have_no_film_to_show(option):
    with pytest.raises(UserError, match=f"unrecognized arguments: {option}"):
        main(["words", option])


# What is shown

def test_the_film_that_is_shown_is_seen_at_first_goes_behind_the_chair_and_comes_out(short):
    world, model, _ = short
    film = world.passing_film()
    position = world.held_out.position
    chosen = [n for n in range(PROBED)
              if not any(10.5 <= place <= 13.5 for place in (*position[n, :3], position[n, -1]))
              and sum(10.5 <= place <= 13.5 for place in position[n, 3:]) >= 3]
    assert film == chosen[0]
    head, columns, *lines = world.show(model).splitlines()
    assert "three frames" in head and columns.split() == ["step", "px", "off"] and len(lines) == 24
    believed = world.believed(model)[film]
    for k, (above, below) in enumerate(zip(lines[::2], lines[1::2])):
        truth, notes = position[film, k + 3], []
        number, reality, *notes = above.split()
        belief, off = below.split()
        assert int(number) == k + 1 and len(reality) == len(belief) == 24
        assert notes == (["hidden"] if 10.5 <= truth <= 13.5 else [])
        assert reality[int(truth)] == "o" and belief[min(max(int(believed[k]), 0), 23)] == "x"
        for row, mark in (reality, "o"), (belief, "x"):
            chair = "".join("▒" if 9 <= pixel <= 14 else "·" for pixel in range(24))
            assert row.count(mark) == 1 and all(a == b for a, b in zip(row, chair) if a != mark)
        assert float(off) == pytest.approx(believed[k] - truth, abs=0.00501)
    assert any(line.endswith("hidden") for line in lines) and not lines[-2].endswith("hidden")


def test_what_the_latent_believes_is_the_probe_of_each_step(short):
    world, model, _ = short
    rolled = [model.predict(np.ascontiguousarray(films.windows[:, 0]), AHEAD)[0].astype(np.float64)
              for films in (world.probed, world.held_out)]                     # (K, N, latent)
    seen = ((world.probed.position[:, :3] < 10.5) |
            (world.probed.position[:, :3] > 13.5)).all(axis=1)
    believed = world.believed(model)
    assert believed.shape == (PROBED, 12)
    for k in range(12):
        wanted = probe(rolled[0][k][seen], world.probed.position[seen, k + 3], rolled[1][k])
        np.testing.assert_allclose(believed[:, k], wanted, rtol=0, atol=1e-3)


def test_the_report_stands_beside_honest_baselines(short):
    world, model, history = short
    config = {**{name: option.default for name, option in options_of(Video).items()}, "epochs": 2}
    other = SimpleNamespace(**{name: getattr(model, name) for name in ("encode_target", "predict")})
    text, findings = world.report(model, config, {"another": other})
    baselines = findings["baselines"]
    width = config["latent_dim"]
    assert list(baselines) == [
        "another", "untrained encoder", f"PCA of the input to {width}", "raw input", "the mean"
    ]
    assert all(sorted(row) == sorted(READ) for row in baselines.values())
    own = {name: history[-1][name] for name in READ}
    assert baselines["another"] == pytest.approx(own, rel=1e-9)

    heading, *lines = text.splitlines()
    order = [name for name in world.columns if name in READ]
    assert re.split(r"\s{2,}", heading) == [
        "held out, by linear probe", *(world.columns[name][0] for name in order)
    ]
    for (what, row), line in zip({"this model": own, **baselines}.items(), lines, strict=True):
        assert line.startswith(what)
        assert [float(cell) for cell in line[len(what):].split()] == pytest.approx(
            [row[name] for name in order], abs=0.000501)

    mean = baselines["the mean"]
    seen = [((films.position[:, None, :] < 10.5) | (films.position[:, None, :] > 13.5))[:, 0]
            for films in (world.probed, world.held_out)]
    whole = [np.stack([each[:, t:t + 3].all(axis=1) for t in range(13)], axis=1) for each in seen]
    middle = world.probed.position[:, 2:][whole[0]].mean()
    assert mean["position_rmse"] == pytest.approx(
        root_mean_square(world.held_out.position[:, 2:][whole[1]] - middle), rel=1e-9)
    for name in "velocity_r2", "lamps_r2":
        assert -0.01 < mean[name] <= 0
    assert baselines["raw input"]["lamps_r2"] > 0.999 and baselines["raw input"][
        "position_rmse"] < 0.3


def test_the_raw_input_and_its_principal_components_are_read_as_a_model_is(short):
    """No rollout: the first window stays, and the probe of each step must look ahead by itself."""
    world, model, _ = short
    config = {
        **{name: option.default
           for name, option in options_of(Video).items()}, "latent_dim": 5
    }
    baselines = world.report(model, config, {})[1]["baselines"]
    windows = [films.windows.astype(np.float64) for films in (world.probed, world.held_out)]
    rows = windows[0].reshape(-1, 84)
    vectors = np.linalg.eigh(np.cov(rows.T))[1][:, ::-1][:, :5]
    for what, features in {"raw input": windows,
                           "PCA of the input to 5":
                               [(each - rows.mean(axis=0)) @ vectors for each in windows]}.items():
        fit, test = ((each, each[:, :1].repeat(12, axis=1)) for each in features)
        wanted = read_by_hand(world, fit, test)
        for name in READ:
            assert baselines[what][name] == pytest.approx(wanted[name], rel=1e-4,
                                                          abs=1e-5), (what, name)


def test_the_untrained_encoder_is_that_of_the_start(short):
    world, model, history = short
    config = {**{name: option.default for name, option in options_of(Video).items()}, "epochs": 2}
    baselines = world.report(model, config, {})[1]["baselines"]
    start = {name: history[0][name] for name in READ}
    fresh = Training.start("video", {}).model
    again = world.build(config, np.random.default_rng(config["seed"]), no_regularizer)
    assert baselines["untrained encoder"] == pytest.approx(
        {name: world.measure(again)[name]
         for name in READ}, rel=1e-9)
    assert [p.value.shape for p in again.named_parameters().values()] == \
        [p.value.shape for p in fresh.named_parameters().values()]
    for name in "position_rmse", "hidden_rmse":
        # another draw than that of the run, of the same kind
        assert baselines["untrained encoder"][name] == pytest.approx(start[name], rel=0.3)


def test_what_the_command_prints_and_writes(capsys, few_films):
    main([*SMALL, "--epochs", "1", "--show", "--compare", "--json", "run.json"])
    out, err = capsys.readouterr()
    with open("run.json", encoding="utf-8") as file:
        made = json.load(file)
    about, header, *rows = out.splitlines()
    assert err == "" and "\r" not in out and about.startswith("video: a strip of 24 pixels and 4 "
                                                              "lamps")
    names = list(made["history"][0])
    assert set(names) == {"epoch", "loss", *MEASURED}
    for line, row in zip(rows, made["history"]):
        values = [row["epoch"], row["loss"], *(row[name] for name in Video.columns)]
        assert [float(cell) for cell in line.split()] == pytest.approx(values, abs=0.00501)
    assert rows[2].startswith("held out, by linear probe") and rows[3].startswith("this model")
    assert rows[4].startswith("pixel predictor") and out.count("o reality, x what the latent "
                                                               "believes") == 1
    assert list(made["result"]["baselines"]) == [
        "pixel predictor", "untrained encoder", "PCA of the input to 4", "raw input", "the mean"
    ]
    assert {name: value for name, value in made["result"].items() if name != "baselines"} == \
        {name: value for name, value in made["history"][-1].items() if name != "epoch"}
    assert made["config"]["world"] == "video" and made["config"]["predict"] == "latents"


def test_the_comparison_is_trained_in_the_same_way(few_films):
    main([*SMALL, "--epochs", "1", "--compare", "--quiet", "--json", "run.json"])
    with open("run.json", encoding="utf-8") as file:
        made = json.load(file)
    _, history = train(
        "video",
        {"epochs": 1, "hidden_dim": 8, "latent_dim": 4, "batch_size": 4, "predict": "pixels"})
    pixels = made["result"]["baselines"]["pixel predictor"]
    assert pixels == pytest.approx({name: history[-1][name] for name in READ}, rel=1e-9)
