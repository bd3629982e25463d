"""The video world: its physics written out frame by frame, its probes against least squares."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.gradcheck import check, check_step
from minijepa.layers import Linear, ReLU, Sequential
from minijepa.losses import VICReg
from minijepa.train import Training
from minijepa.worlds.films import impossible, is_behind, pairs, passing, roll, shoot
from minijepa.worlds.video import NextFrame, Video

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=15)
READ = ["hidden_rmse", "behind_rmse", "reappear_rmse", "position_rmse", "velocity_r2", "lamps_r2"]
COUNT = 300                                            # of the films that probes are fitted on here


def films(seed, count=40, length=60, q=0.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return shoot(*roll(count, length, rng), rng, q, dtype)


def strip(films):
    return films.frames[:, :, :24]


@pytest.fixture(scope="module", autouse=True)
def few_films():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minijepa.worlds.video.PROBED", COUNT)
        yield


@pytest.fixture(scope="module")
def world():
    return Video(np.random.default_rng(0), dtype="float64", hidden_dim=7, latent_dim=5)


@pytest.fixture(scope="module")
def model(world):
    return Training.start(world, {}).model


@pytest.fixture(scope="module")
def pixels(world):
    return world.build({**world.config, "predict": "pixels"}, np.random.default_rng(1), None)


# Physics

@given(seeds)
@few
def test_the_ball_rolls_on_at_its_speed_and_turns_back_at_the_ends(seed):
    """Frame by frame; 1.5 and 22.5 are where the middle of 3 pixels touches an end."""
    for positions, velocities in zip(*roll(40, 60, np.random.default_rng(seed))):
        position, velocity = positions[0], velocities[0]
        assert 0.6 <= abs(velocity) <= 1.4 and 1.5 <= position <= 22.5
        for t in range(len(positions)):
            assert positions[t] == pytest.approx(position, abs=1e-9)
            assert velocities[t] == pytest.approx(velocity, abs=1e-12)
            position += velocity
            if position > 22.5:
                position, velocity = 45 - position, -velocity
            elif position < 1.5:
                position, velocity = 3 - position, -velocity


def test_starts_speeds_and_directions_are_spread_evenly():
    position, velocity = (each[:, 0] for each in roll(20_000, 1, np.random.default_rng(0)))
    tenths = np.linspace(0.1, 0.9, 9)
    for values, low, high in (position, 1.5, 22.5), (np.abs(velocity), 0.6, 1.4):
        share = (values - low) / (high - low)          # 0.015 is 4 standard errors
        np.testing.assert_allclose(np.quantile(share, tenths), tenths, rtol=0, atol=0.015)
    assert abs((velocity > 0).mean() - 0.5) < 0.015
    assert abs(np.corrcoef(position, velocity)[0, 1]) < 0.03


@given(seeds)
@few
def test_each_pixel_shows_how_much_of_it_the_ball_covers_and_none_behind_the_chair(seed):
    made = films(seed, 10, 30)
    for n, t in np.ndindex(10, 30):
        begin, wanted = made.position[n, t] - 1.5, np.zeros(24)
        for pixel in [pixel for pixel in range(24) if not 9 <= pixel <= 14]:
            wanted[pixel] = max(0, min(pixel + 1, begin + 3) - max(pixel, begin))
        np.testing.assert_allclose(strip(made)[n, t], wanted, rtol=0, atol=1e-12)
    assert np.array_equal(made.hidden, strip(made).sum(axis=2) < 1e-12)


def test_lamps_are_on_or_off_evenly_and_tell_nothing():
    made = films(0, 3000, 20)
    lamps, bound = made.frames[:, :, 24:], 4 / math.sqrt(60_000)               # 4 standard errors
    assert set(np.unique(lamps)) == {0, 1}
    np.testing.assert_allclose(lamps.mean(axis=(0, 1)), 0.5, rtol=0, atol=bound / 2)
    columns = [lamps[:, t:19 + t, i].ravel() for t in (1, 0) for i in range(4)]
    columns += [made.position[:, 1:].ravel(), made.velocity[:, 1:].ravel()]
    correlation = np.corrcoef(columns)[:4]             # with each other, before, and the ball
    correlation[np.arange(4), np.arange(4)] = 0
    assert np.abs(correlation).max() < bound * 1.1


# Glitter

@given(seeds, st.sampled_from([0.25, 0.5, 1.0]))
@few
def test_glitter_is_one_sign_a_frame_and_changes_nothing_else(seed, q):
    plain, glittering = films(seed, 60, 40), films(seed, 60, 40, q)
    assert np.array_equal(plain.position, glittering.position)
    assert np.array_equal(plain.frames[:, :, 24:], glittering.frames[:, :, 24:])
    assert np.array_equal(np.abs(strip(glittering)), strip(plain))
    dark = (strip(glittering) < 0).any(axis=2)
    assert not (strip(glittering)[dark] > 0).any()     # not a sign for each pixel
    seen = ~plain.hidden                               # half of what glitters; 6 standard errors
    assert abs(dark[seen].mean() - q / 2) < 6 * math.sqrt(q / 2 * (1 - q / 2) / seen.sum())
    both = seen[:, 1:] & seen[:, :-1]                  # and by chance anew in each frame
    along = np.corrcoef(dark[:, 1:][both], dark[:, :-1][both])[0, 1]
    assert abs(along) < 6 / math.sqrt(both.sum())


@given(seeds)
@few
def test_without_glitter_only_the_lamps_are_drawn(seed):
    rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
    made = shoot(*roll(5, 9, rng), rng, 0, np.float64)
    roll(5, 9, same)
    assert np.array_equal(made.frames[:, :, 24:], same.integers(0, 2, (5, 9, 4)))
    assert rng.bit_generator.state == same.bit_generator.state
    assert not np.signbit(made.frames).any()


# Windows and batches

@given(seeds, st.integers(1, 5), st.integers(3, 8))
@few
def test_a_window_is_three_frames_side_by_side(seed, count, length):
    made = films(seed, count, length)
    windows, (seen, behind) = made.windows, made.in_windows()
    assert windows.shape == (count, length - 2, 84)
    for n, t in np.ndindex(count, length - 2):
        assert np.array_equal(windows[n, t], made.frames[n, t:t + 3].ravel())
        hidden = [10.5 <= position <= 13.5 for position in made.position[n, t:t + 3]]
        assert (seen[n, t], behind[n, t]) == (not any(hidden), all(hidden))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epoch_is_fifty_batches_of_new_films(dtype):
    world = Video(np.random.default_rng(0), dtype=dtype, q=0.5)
    batches, rng = list(world.batches(3, np.random.default_rng(7))), np.random.default_rng(7)
    assert len(batches) == 50
    for x, y, z in batches:
        windows = shoot(*roll(3, 15, rng), rng, 0.5, dtype).windows
        assert z is None and x.dtype == y.dtype == dtype
        assert np.array_equal(x, windows[:, 0])
        assert np.array_equal(y.transpose(1, 0, 2), windows[:, 1:])
    assert len({x.tobytes() for x, _, _ in batches}) == 50
    assert not set(world.probed_films.position[:, 0]) & set(world.held_out.position[:, 0])


# What is measured

def probe(x, y, x_test):
    """Least squares with a small ridge: √(N·ridge) rows for the ridge below the others."""
    x, y, x_test = (np.asarray(each, np.float64) for each in (x, y, x_test))
    x_mean, y_mean, (N, D) = x.mean(axis=0), y.mean(axis=0), x.shape
    rows = np.concatenate([x - x_mean, math.sqrt(N * 1e-6) * np.eye(D)])
    wanted = np.concatenate([y - y_mean, np.zeros((D, *y.shape[1:]))])
    return (x_test - x_mean) @ np.linalg.lstsq(rows, wanted, rcond=None)[0] + y_mean


def root_mean_square(errors):
    return math.sqrt(math.fsum(error**2 for error in errors) / len(errors))


def explained(y, predicted):
    return 1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean(axis=0)) ** 2)


def in_sight(films, n, *frames):
    return all(films.frames[n, frame, :24].any() for frame in frames)


def read_by_hand(world, fit, test):
    """What the probes read, window by window; each side: latents (N, 13, D), rolled (N, 12, D)."""
    sides = [(world.probed_films, *fit), (world.held_out, *test)]
    rows = {"seen": ([], []), "all": ([], [])}
    for side, (films, latents, _) in enumerate(sides):
        for n, t in np.ndindex(COUNT, 13):
            row = (latents[n, t], films.position[n, t + 2], films.velocity[n, t + 2],
                   films.frames[n, t + 2, 24:])
            rows["all"][side].append(row)
            if in_sight(films, n, t, t + 1, t + 2):
                rows["seen"][side].append(row)
    (z, *y), (z_test, *y_test) = (map(np.array, zip(*side)) for side in rows["seen"])
    (a, *_, lamps), (a_test, *_, lamps_test) = (map(np.array, zip(*side)) for side in rows["all"])
    errors = {"hidden_rmse": [], "behind_rmse": [], "reappear_rmse": []}
    begins = [[n for n in range(COUNT) if in_sight(films, n, 0, 1, 2)] for films, *_ in sides]
    films = world.held_out
    for k in range(12):                                # step k + 1 ends at frame k + 3
        belief = probe(fit[1][begins[0], k], world.probed_films.position[begins[0], k + 3],
                       test[1][begins[1], k])
        for n, believed in zip(begins[1], belief):
            error = believed - films.position[n, k + 3]
            if not in_sight(films, n, k + 3):
                errors["hidden_rmse"].append(error)
                if not in_sight(films, n, k + 2) and not in_sight(films, n, k + 1):
                    errors["behind_rmse"].append(error)
            elif not in_sight(films, n, k + 2):
                errors["reappear_rmse"].append(error)
    return {**{key: root_mean_square(each) for key, each in errors.items()},
            "position_rmse": root_mean_square(probe(z, y[0], z_test) - y_test[0]),
            "velocity_r2": explained(y_test[1], probe(z, y[1], z_test)),
            "lamps_r2": explained(lamps_test, probe(a, lamps, a_test))}


def rolled_by_hand(model, films):
    """(latents, rolled out) of a small model, from its parameters alone."""
    p = {name: parameter.value for name, parameter in model.named_parameters().items()}

    def net(name, v):
        hidden = np.maximum(v @ p[f"{name}.0.weight"].T + p[f"{name}.0.bias"], 0)
        return hidden @ p[f"{name}.2.weight"].T + p[f"{name}.2.bias"]

    latents = np.stack([net("context_encoder", films.frames[:, t:t + 3].reshape(COUNT, 84))
                        for t in range(13)], axis=1)
    rolled = [latents[:, 0]]
    for _ in range(12):
        rolled.append(rolled[-1] + net("predictor.net", rolled[-1]))
    return latents, np.stack(rolled[1:], axis=1)


def test_measure_is_what_it_says(world, model):
    both = [rolled_by_hand(model, films) for films in (world.probed_films, world.held_out)]
    wanted = read_by_hand(world, *both)
    targets, predictions = (each.reshape(-1, 5) for each in (both[1][0][:, 1:], both[1][1]))
    variances = targets.var(axis=0)
    shares = np.sqrt(np.linalg.eigvalsh(np.cov(targets.T)))
    shares /= shares.sum()
    wanted |= {"relative_loss": np.mean((predictions - targets) ** 2) / variances.mean(),
               "std": np.sqrt(variances).mean(),
               "effective_rank": math.exp(-(shares * np.log(shares)).sum())}
    assert world.measure(model) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.slow
def test_the_rows_of_the_table_are_what_they_say(world, model, pixels):
    rows = world.probes(model, world.config, {"pixel predictor": pixels})
    windows = [films.windows for films in (world.probed_films, world.held_out)]

    def still(features):                               # no rollout: the first window stays
        return [(each, each[:, :1].repeat(12, axis=1)) for each in features]

    flat = windows[0].reshape(-1, 84)
    vectors = np.linalg.eigh(np.cov(flat.T))[1][:, ::-1][:, :5]
    latents = [rolled_by_hand(model, films)[0] for films in (world.probed_films, world.held_out)]

    def narrow(pixels_of):                             # the pixel predictor's narrowest layer
        first, second = (pixels.predictor.net.net.layers[i] for i in (0, 2))
        hidden = np.maximum(pixels_of @ first.weight.value.T + first.bias.value, 0)
        return hidden @ second.weight.value.T + second.bias.value

    painted = [pixels.predict(each[:, 0])[0].transpose(1, 0, 2) for each in windows]
    wanted = {"raw input": still(windows), "raw input after abs()": still(map(np.abs, windows)),
              "PCA of the input to 5": still([(each - flat.mean(axis=0)) @ vectors
                                              for each in windows]),
              "this model, not rolled out": [(each, each[:, 1:]) for each in latents],
              "pixel predictor": list(zip(windows, painted)),
              "pixel predictor, bottleneck": [(narrow(each), narrow(ahead))
                                              for each, ahead in zip(windows, painted)]}
    for what, sides in wanted.items():
        assert rows[what] == pytest.approx(read_by_hand(world, *sides), rel=1e-4, abs=1e-5), what
    mean, (seen, _) = rows["the mean"], world.held_out.in_windows()
    middle = world.probed_films.position[:, 2:][world.probed_films.in_windows()[0]].mean()
    assert mean["position_rmse"] == pytest.approx(
        root_mean_square(world.held_out.position[:, 2:][seen] - middle), rel=1e-9)
    assert all(list(row) == READ for row in rows.values())


class Oracle:
    """Stands in for a model: its latents of windows, and those rolled out, are made of the truth.

    latent(films, frame): (N, D); drift(latent, k): what is rolled out k steps ahead.
    """

    def __init__(self, world, latent, drift=lambda latent, k: latent):
        self.world, self.latent, self.drift = world, latent, drift

    def films_of(self, x):
        return next(films for films in (self.world.probed_films, self.world.held_out)
                    if np.array_equal(films.windows[:, 0], x))

    def encode_target(self, windows):
        films = self.films_of(windows[:, 0])
        return np.stack([self.latent(films, frame) for frame in range(2, 15)], axis=1), None

    def predict(self, x):
        films = self.films_of(x)
        return np.stack([self.drift(self.latent(films, k + 2), k) for k in range(1, 13)]), None


def test_a_model_that_knows_where_the_ball_is_measures_no_error(world):
    """Even where its rollout drifts by 2 px a step and turns round: it is probed step by step."""
    def latent(films, t):
        return np.stack([3 * films.position[:, t] - 7, films.velocity[:, t]], axis=1)

    for drift in (lambda latent, k: latent), (lambda latent, k: (latent + 2.0 * k) * (-1) ** k):
        read = world.probe(Oracle(world, latent, drift))
        assert max(read["hidden_rmse"], read["reappear_rmse"], read["position_rmse"]) < 1e-4
        assert read["velocity_r2"] > 1 - 1e-4 and abs(read["lamps_r2"]) < 0.01

    # And one that looks at the lamps alone
    read = world.probe(Oracle(world, lambda films, t: films.frames[:, t, 24:]))
    assert read["lamps_r2"] > 1 - 1e-4 and abs(read["velocity_r2"]) < 0.02
    assert read["hidden_rmse"] > 0.8 and read["position_rmse"] > 4


# The models

def test_the_untrained_encoder_is_that_of_the_seed_also_of_a_pixel_predictor(world):
    again = world.build({**world.config, "seed": 3}, np.random.default_rng(3), VICReg(1, 0.1))
    for predict in "latents", "pixels":
        start = world.untrained({**world.config, "seed": 3, "predict": predict})
        assert np.array_equal(start.value, again.value)


def test_one_encoder_stands_on_both_sides_when_joint_and_two_when_not(world):
    for treatment in "joint", "stopgrad", "ema":
        model = world.build({**world.config, "treatment": treatment}, np.random.default_rng(0),
                            VICReg(1, 0.1))
        assert (model.target_encoder is model.context_encoder) == (treatment == "joint")
        if treatment != "joint":
            same = np.array_equal(model.target_encoder.value, model.context_encoder.value)
            assert same == (treatment == "ema")


def test_the_next_frame_takes_the_place_of_the_oldest():
    rng = np.random.default_rng(0)
    net, x = Linear(84, 28, rng, np.float64), rng.standard_normal((5, 84))
    wanted = np.concatenate([x[:, 28:], x @ net.weight.value.T + net.bias.value], axis=1)
    np.testing.assert_allclose(NextFrame(net).forward(x)[0], wanted, rtol=0, atol=1e-12)
    net = Sequential(Linear(84, 3, rng, np.float64), ReLU(), Linear(3, 28, rng, np.float64))
    gradients = check(NextFrame(net), rng.standard_normal((3, 84)), rng=rng)
    assert len(gradients) == 5 and all(gradient.passed for gradient in gradients)


def test_the_pixel_predictor_is_of_the_same_size_and_learns_frames(world):
    config, rng = {**world.config, "hidden_dim": 3, "latent_dim": 2}, np.random.default_rng(0)
    model, pixels = (world.build({**config, "predict": predict}, rng, VICReg(1, 0.1))
                     for predict in ("latents", "pixels"))
    shapes = [[p.value.shape for name, p in each.named_parameters().items()
               if not name.startswith("target")] for each in (model, pixels)]
    assert shapes[1][:6] == shapes[0][:6] and shapes[1][6:] == [(28, 3), (28,)]
    x, *y = films(0, 3, 15).windows.transpose(1, 0, 2)
    errors = pixels.predict(x)[0] - y
    assert pixels.forward(x, np.array(y))[0] == pytest.approx(np.mean(errors**2), rel=1e-12)
    gradients = check_step(pixels, x, np.array(y), rng=np.random.default_rng(1))
    assert len(gradients) == 8 and all(gradient.passed for gradient in gradients)


# Surprise

def test_the_impossible_is_as_possible_until_the_ball_is_hidden():
    made = films(3, 400, 40, q=1.0)
    numbers, enters, leaves = passing(made)
    for n in range(400):                               # by hand, which ones pass
        behind = [t for t in range(40) if 10.5 <= made.position[n, t] <= 13.5]
        once = len(behind) >= 3 and len(behind) == behind[-1] - behind[0] + 1
        passes = once and behind[0] >= 3 and behind[-1] + 1 + 3 < 40
        assert passes == (n in numbers)
        if passes:
            at = list(numbers).index(n)
            assert (enters[at], leaves[at]) == (behind[0], behind[-1] + 1)

    kinds = pairs(made, seed=5, q=1.0)
    assert list(kinds) == ["possible", "comes back", "never comes", "3 frames late", "2 px ahead"]
    for kind, made_so in kinds.items():
        for at, n in enumerate(numbers):
            same = made_so.position[at] == made.position[n]
            assert same[:enters[at]].all() and same.all() == (kind == "possible")
            assert np.array_equal(made_so.frames[at, :enters[at]],
                                  kinds["possible"].frames[at, :enters[at]])
    assert len({kind.frames[:, :, 24:].tobytes() for kind in kinds.values()}) == 1


def test_each_kind_of_impossible_film_is_what_it_says():
    made = films(4, 400, 15)
    numbers, enters, leaves = passing(made)
    kinds = impossible(made.position[numbers], made.velocity[numbers], enters, leaves)
    for at, n in enumerate(numbers):
        true, enter, leave = made.position[n], enters[at], leaves[at]
        back, never, late, ahead = (kind[at] for kind in kinds.values())
        assert (np.sign(back[leave:] - 12) == np.sign(true[enter - 1] - 12)).all()
        np.testing.assert_allclose(back[enter:] - 12, 12 - true[enter:], rtol=0, atol=1e-12)
        assert is_behind(never[enter:]).all()
        assert is_behind(late[enter:leave + 3]).all()
        assert np.array_equal(late[leave + 3:], true[leave:12])
        assert np.array_equal(ahead[:leave], true[:leave])
        assert not is_behind(late[-1])                 # it does come back
        place, velocity = true[leave], made.velocity[n, leave]
        for step in range(200):                        # 2 px further on its way, in small steps
            place += velocity / abs(velocity) / 100
            if not 1.5 <= place <= 22.5:
                place, velocity = min(max(place, 3 - place), 45 - place), -velocity
        for frame in range(leave, 15):
            assert ahead[frame] == pytest.approx(place, abs=1e-9)
            place += velocity
            if not 1.5 <= place <= 22.5:
                place, velocity = min(max(place, 3 - place), 45 - place), -velocity


def test_surprise_counts_the_pairs(world, model, pixels):
    for each in model, pixels:
        sums = {}
        for kind, made in pairs(world.held_out, world.seed, 1.0).items():
            windows = made.windows
            s_y = each.encode_target(windows)[0]
            predicted = each.predict(np.ascontiguousarray(windows[:, 0]))[0]
            sums[kind] = [sum(np.mean((predicted[k, n] - s_y[n, k + 1]) ** 2) for k in range(12))
                          for n in range(len(windows))]
        for kind, found in world.surprise(each).items():
            ratios = np.array(sums[kind]) / sums["possible"]
            higher = np.mean([a > b for a, b in zip(sums[kind], sums["possible"])])
            assert found == pytest.approx({"pairs": higher, "times": np.median(ratios)}, rel=1e-9)
        assert len(sums) == 5 and sums.keys() - world.surprise(each).keys() == {"possible"}
    text, findings = world.report(model, world.config, {"pixel predictor": pixels})
    wanted = {f"{label}: {kind}": numbers for label, each in
              {"this model": model, "pixel predictor": pixels}.items()
              for kind, numbers in world.surprise(each).items()}
    assert findings["surprise"] == wanted
    for line, (what, row) in zip(text.splitlines()[-8:], wanted.items()):
        share, times = line.removeprefix(what).split()
        assert float(share[:-1]) == pytest.approx(100 * row["pairs"], abs=0.0501)
        assert float(times) == pytest.approx(row["times"], abs=0.00501)


# What is shown

def test_the_film_that_is_shown_is_drawn_frame_by_frame(world, model):
    film, position = world.film, world.held_out.position
    assert film == passing(world.held_out)[0][0]
    head, columns, *lines = world.show(model, {}).splitlines()
    assert "three frames" in head and columns.split() == ["step", "px", "off"]
    believed = world.believed(model)[film]
    (_, fit), (_, rolled) = (rolled_by_hand(model, films)
                             for films in (world.probed_films, world.held_out))
    seen = [in_sight(world.probed_films, n, 0, 1, 2) for n in range(COUNT)]
    for k in range(12):
        places = world.probed_films.position[seen, k + 3]
        assert believed[k] == pytest.approx(probe(fit[seen, k], places, rolled[film:film + 1, k]))
    chair = "".join("▒" if 9 <= pixel <= 14 else "·" for pixel in range(24))
    for k, (above, below) in enumerate(zip(lines[:24:2], lines[1:24:2])):
        truth = position[film, k + 3]
        number, reality, *notes = above.split()
        belief, off = below.split()
        covered = any(truth - 1.5 < pixel + 1 and pixel < truth + 1.5 for pixel in range(9, 15))
        wanted = ["hidden"] if 10.5 <= truth <= 13.5 else ["partly", "hidden"] if covered else []
        assert int(number) == k + 1 and notes == wanted
        assert reality[int(truth)] == "o" and belief[min(max(int(believed[k]), 0), 23)] == "x"
        for row, mark in (reality, "o"), (belief, "x"):
            assert row.count(mark) == 1 and all(a == b for a, b in zip(row, chair) if a != mark)
        assert float(off) == pytest.approx(believed[k] - truth, abs=0.00501)
    energies = world.energies(model)
    assert len(lines) == 25 + len(energies)
    for line, (kind, steps) in zip(lines[25:], energies.items()):
        assert line.startswith(kind)
        assert [float(cell) for cell in line[len(kind):].split()] == pytest.approx(
            list(steps[0]), abs=0.00501)


def test_a_short_training_improves_on_the_untrained_encoder():
    first, *_, last = Training.start("video", {"epochs": 2, "q": 0}).rows()
    for name in "loss", "relative_loss", "position_rmse":
        assert last[name] < 0.95 * first[name], name
    assert last["velocity_r2"] > first["velocity_r2"] + 0.1 and last["std"] > 2 * first["std"]
