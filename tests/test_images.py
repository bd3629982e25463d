"""The world of images: its digits, stripes and cards against slow references, and what it shows."""

import importlib.resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minijepa.gauges import choose_ridge, linear_probe
from minijepa.layers import Sequential
from minijepa.train import Training
from minijepa.worlds.base import Features
from minijepa.worlds.digits import (cover, cut, enlarge, ink_of, ink_of_cells, join, read_digits,
                                    stripe)
from minijepa.worlds.images import Images

seeds = st.integers(0, 2**32)


def small(**given):
    return Training.start(Images, {"hidden_dim": 6, "latent_dim": 4, "batch_size": 8, **given})


@pytest.fixture(scope="module")
def world():
    return Images(np.random.default_rng(0))


# The digits

def test_the_digits_are_those_of_the_test_set_of_uci():
    digits, labels = read_digits()
    assert digits.shape == (1797, 8, 8) and digits.min() == 0 and digits.max() == 16
    # How many there are of each, as their documentation counts them
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0] and labels[0] == 0


def test_the_file_is_small_and_names_its_source_and_licence():
    folder = importlib.resources.files("minijepa.worlds")
    assert len((folder / "digits.npz").read_bytes()) < 100_000
    about = (folder / "digits.txt").read_text(encoding="utf-8")
    assert all(word in about for word in ("Alpaydin", "CC BY 4.0", "load_digits", "10.24432"))


@given(seeds)
def test_blocks_are_where_they_are_in_the_picture(seed):
    picture = np.random.default_rng(seed).random((2, 16, 16))
    blocks = cut(picture)
    for place in range(16):
        row, column = 4 * (place // 4), 4 * (place % 4)
        assert (blocks[:, place] == picture[:, row:row + 4, column:column + 4].reshape(2, 16)).all()
    assert (join(blocks) == picture).all()


@given(seeds)
def test_each_pixel_of_a_digit_becomes_a_cell(seed):
    digit = np.random.default_rng(seed).integers(0, 17, (1, 8, 8))
    picture = join(enlarge(digit))[0]
    for row in range(16):
        for column in range(16):
            assert picture[row, column] == digit[0, row // 2, column // 2] / 16


# Stripes

@given(seeds, st.sampled_from(["float32", "float64"]))
def test_without_the_dial_the_stripes_are_known(seed, dtype):
    ink = np.random.default_rng(seed).random((3, 16, 16)).astype(dtype)
    seen = join(stripe(ink, np.random.default_rng(0), q=0))
    wave = {0: 1, 1: 0, 2: -1, 3: 0}
    wanted = join(ink) * [[wave[(row + column) % 4] for column in range(16)] for row in range(16)]
    assert seen.dtype == dtype and np.allclose(seen, wanted, rtol=0, atol=1e-6)


@given(seeds)
def test_whatever_the_phase_the_energy_of_a_cell_is_its_ink(seed):
    rng = np.random.default_rng(seed)
    cells = rng.random((2, 8, 8))
    blocks = cut(cells.repeat(2, axis=1).repeat(2, axis=2))
    seen = stripe(blocks, rng, q=1)
    inks = ink_of_cells(seen)
    # cells are counted block by block
    wanted = [[cells[n, 2 * (place // 4) + row, 2 * (place % 4) + column]
               for place in range(16) for row in range(2) for column in range(2)] for n in range(2)]
    assert np.allclose(inks, wanted, rtol=0, atol=1e-12)
    for n in range(2):
        for place in range(16):
            energy = 2 * sum(pixel**2 for pixel in seen[n, place]) / 16
            assert ink_of(seen)[n, place] == pytest.approx(np.sqrt(energy))
    assert np.allclose(ink_of_cells(seen.reshape(2, -1)), inks)                # a raw input


@pytest.mark.parametrize("q", [0, 0.3, 1])
def test_q_says_how_many_blocks_have_a_random_phase(q):
    ink, N = np.ones((4000, 1, 16)), 4000
    seen = stripe(ink, np.random.default_rng(1), q)
    known = stripe(ink[:1], np.random.default_rng(1), 0)
    share = 1 - np.isclose(seen, known).all(axis=2).mean()
    assert abs(share - q) <= 5 * np.sqrt(q * (1 - q) / N)
    if q == 1:                                         # what cannot be known averages to nothing
        assert abs(seen.mean(axis=0)).max() < 5 * np.sqrt(1 / N)


def test_noise_has_the_standard_deviation_that_was_asked_for():
    nothing = np.zeros((200, 16, 16))
    seen = stripe(nothing, np.random.default_rng(0), 1, 0.3)
    assert seen.std() == pytest.approx(0.3, rel=0.02) and not stripe(
        nothing, np.random.default_rng(0), 1).any()


# Cards

@given(seeds)
def test_half_of_the_blocks_are_covered_and_are_the_targets(seed):
    rng = np.random.default_rng(seed)
    blocks = rng.random((5, 16, 16)) * 0.9
    before = blocks.copy()
    x, y, z = cover(blocks, rng)
    assert (blocks == before).all() and y.shape == (8, 5, 16) and z.shape == (8, 5)
    for n in range(5):
        hidden = set(z[:, n].tolist())
        assert len(hidden) == 8 and hidden <= set(range(16))
        for place in range(16):
            assert (x[n, place] == (1 if place in hidden else blocks[n, place])).all()
        for k in range(8):
            assert (y[k, n] == blocks[n, z[k, n]]).all()


def test_every_place_is_covered_as_often():
    _, _, z = cover(np.zeros((8000, 16, 16)), np.random.default_rng(0))
    assert abs(np.bincount(z.ravel()) / 8000 - 0.5).max() < 5 * np.sqrt(0.25 / 8000)


# The ridge of the probe

@given(seeds, st.integers(4, 12), st.integers(1, 14))
def test_the_ridge_is_that_which_errs_least_on_what_is_left_out(seed, N, D):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, D)) + 3
    y = x[:, :1] + rng.standard_normal((N, 2))
    errors = {}
    for times in (0.01, 0.1, 1.0):
        ridge = times * x.var(axis=0).mean()
        # N probes, each fitted without one row, but centred with it, as the formula has it
        centred, answers, total = x - x.mean(axis=0), y - y.mean(axis=0), 0
        weight = np.linalg.inv(centred.T @ centred + N * ridge * np.eye(D))
        hat = centred @ weight @ centred.T + 1 / N
        for n in range(N):
            others = np.arange(N) != n
            one = np.column_stack([np.ones(N), centred])
            penalty = N * ridge * np.diag([0, *np.ones(D)])
            fitted = np.linalg.solve(one[others].T @ one[others] + penalty,
                                     one[others].T @ answers[others])
            left_out = answers[n] - one[n] @ fitted
            assert np.allclose(left_out, (answers - hat @ answers)[n] / (1 - hat[n, n]))
            total += (left_out**2).sum()
        errors[times] = total
    chosen = choose_ridge(x, y, tuple(errors)) / x.var(axis=0).mean()
    assert errors[min(errors, key=lambda times: abs(times - chosen))] == pytest.approx(
        min(errors.values()))


def test_the_ridge_of_something_constant_is_a_number():
    x, y = np.ones((6, 3)), np.eye(6)[:, :2]
    assert np.isfinite(linear_probe(x, y, choose_ridge(x, y))(x)).all()


# The world

def names(blocks):
    """For each digit, whatever its stripes, the 64 numbers from 0 to 16 that it was made of."""
    return list(map(bytes, np.round(16 * ink_of_cells(blocks)).astype(np.uint8)))


def all_names():
    return names(stripe(enlarge(read_digits()[0]), np.random.default_rng(0), 0))


def test_a_fifth_is_held_out_and_never_trained_on(world):
    assert len(world.held_out) == len(world.truth) == 359 and len(set(world.train)) == 1438
    every = all_names()
    trained = {every[number] for number in world.train}
    assert set(names(world.held_out)) == set(every) - trained
    assert names(world.known) == [every[number] for number in world.train]
    x, y, z = next(world.batches(64, np.random.default_rng(1)))
    for n in range(64):
        x[n, z[:, n]] = y[:, n]
    assert set(names(x)) <= trained


def test_a_probe_is_fitted_on_ten_of_each_class_of_the_training(world):
    of = {name: (number, label)
          for number, (name, label) in enumerate(zip(all_names(), read_digits()[1]))}
    numbers, classes = np.array([of[name] for name in names(world.labelled)]).T
    assert (classes.reshape(10, 100) == world.labels).all() and set(numbers) <= set(world.train)
    for draw, those in zip(world.labels, numbers.reshape(10, 100)):
        assert np.bincount(draw).tolist() == [10] * 10 and len(set(those)) == 100


def test_accuracy_is_the_share_of_held_out_digits_that_are_named(world):
    digit = {**dict(zip(map(bytes, world.labelled), world.labels.ravel())),
             **dict(zip(map(bytes, world.held_out), world.truth))}
    wrong = set(map(bytes, world.held_out[:100]))      # are called the next digit

    def told(x):
        blocks = x.reshape(-1, 16, 16)
        return np.eye(10)[[(digit[bytes(each)] + (bytes(each) in wrong)) % 10 for each in blocks]]

    assert world.probe(Features(world, told)) == {"accuracy": pytest.approx(259 / 359)}


def test_s_x_is_the_mixture_of_the_latents_of_all_blocks(world):
    model = small().model
    s_x = model.encode_context(world.held_out[:3])[0]
    for n in range(3):
        latents = [model.context_encoder.forward(block[None])[0][0] for block in world.held_out[n]]
        wanted = model.mixer.forward(np.concatenate(latents)[None])[0][0]
        assert np.allclose(s_x[n], wanted, atol=1e-6)


def test_what_a_target_is_does_not_know_its_place_or_the_seen_blocks(world):
    """Each hidden block is encoded alone; the prediction is told where it is."""
    model, (x, y, z) = small().model, (each[..., :4] if each.ndim == 2 else each[..., :4, :]
                                       for each in world.task)
    x = world.task[0][:4]
    s_y = model.encode_target(y)[0]
    assert np.allclose(s_y[2, 1], model.encode_target(y[2:3, 1:2])[0][0, 0], atol=1e-6)
    before = model.predict(x, z)[0]
    z = z.copy()
    z[3] = (z[3] + 1) % 16
    changed = abs(model.predict(x, z)[0] - before).max(axis=2) > 0
    assert changed[3].all() and not changed[[0, 1, 2, 4, 5, 6, 7]].any()


@pytest.mark.parametrize("changes, moves, same", [
    ({"tau": 1}, False, False), ({"tau": 0}, True, True), ({}, True, False),
    ({"treatment": "joint"}, True, True)])
def test_how_the_target_encoder_learns(changes, moves, same):
    training = small(epochs=1, **changes)
    start = training.model.target_encoder.value.copy()
    list(training.rows())
    target, context = (each.value for each in (training.model.target_encoder,
                                               training.model.context_encoder))
    assert (target != start).any() == moves and (target == context).all() == same


def test_the_masked_autoencoder_is_the_same_network_with_pixels_in_the_place_of_latents(world):
    jepa, mae = small().model, small(predict="pixels").model
    shapes = [{name: each.value.shape for name, each in model.named_parameters().items()
               if not name.startswith("target_encoder")} for model in (jepa, mae)]
    differ = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert shapes[0].keys() == shapes[1].keys()
    assert differ == {"predictor.net.2.weight", "predictor.net.2.bias"}
    assert isinstance(mae.target_encoder, Sequential)
    x, y, z = next(world.batches(5, np.random.default_rng(0)))
    pixels = mae.predict(x, z)[0]
    assert pixels.shape == y.shape == (8, 5, 16)
    assert mae.forward(x, y, z)[0] == pytest.approx(((pixels - y)**2).mean(), rel=1e-5)


# What is shown

@pytest.fixture(scope="module")
def trained():
    """A JEPA and a masked autoencoder, after a few epochs."""
    training = Training.start(Images, {"epochs": 8, "seed": 3})
    rows = list(training.rows())
    other = Training.start(Images, {"epochs": 1, "seed": 3, "predict": "pixels"})
    list(other.rows())
    return training, rows, {"masked autoencoder": other.model}


@pytest.mark.slow
def test_it_learns_what_the_pixels_do_not_tell(trained):
    training, rows, _ = trained
    found = training.world.probes(training.model, training.config, {})
    ours = found.pop("this model")["accuracy"]
    for other in ("untrained encoder", "raw input", "PCA of the input to 32", "the mean"):
        assert ours > found[other]["accuracy"] + 0.2
    assert rows[-1]["accuracy"] == ours


@pytest.mark.slow
def test_what_is_imagined_is_the_nearest_block_of_the_training(trained):
    training, _, others = trained
    world = training.world
    known = world.known.reshape(-1, 16)
    x, _, z = world.task
    for model in (training.model, *others.values()):
        imagined = world.imagine(model)
        predictions, latents = model.predict(x, z)[0], model.encode_target(known)[0]
        for k, n in [(0, 0), (3, 100), (7, 358)]:
            distances = ((latents.astype(float) - predictions[k, n])**2).sum(axis=1)
            got = (known == imagined[k, n]).all(axis=1)
            assert distances[got].min() == pytest.approx(distances.min(), rel=1e-3)


@pytest.mark.slow
def test_the_table_of_ink_counts_what_is_right(trained):
    training, _, others = trained
    world = training.world
    _, y, z = world.task
    rows = world.report(training.model, training.config, others)[1]["ink"]
    assert list(rows) == ["this model", "masked autoencoder", "the mean ink of the place"]
    mean = [np.mean([np.sqrt(2 * np.mean(digit[place]**2)) for digit in world.known])
            for place in range(16)]
    imagined = ink_of(world.imagine(training.model))
    guesses = {"this model": lambda k, n: imagined[k, n],
               "the mean ink of the place": lambda k, n: mean[z[k, n]]}
    for label, guess in guesses.items():
        right = [abs(guess(k, n) - np.sqrt(2 * np.mean(y[k, n]**2))) < 0.15
                 for k in range(8) for n in range(359)]
        # One in a thousand may lie on the edge, and be rounded to the other side
        assert rows[label]["right"] == pytest.approx(np.mean(right), abs=1e-3)


@pytest.mark.slow
def test_the_pictures_show_what_was_seen_and_what_is_laid_under_the_card(trained):
    training, _, others = trained
    world = training.world
    x, y, z = world.task
    shown = world.pictures(training.model, others)
    assert list(shown) == ["seen", "the truth", "imagined", "masked autoencoder"]
    assert (shown["the truth"] == join(world.held_out[:4])).all()
    mush, imagined = others["masked autoencoder"].predict(x, z)[0], world.imagine(training.model)
    for n in range(4):
        for place in range(16):
            row, column = 4 * (place // 4), 4 * (place % 4)
            of = {title: picture[n, row:row + 4, column:column + 4].ravel()
                  for title, picture in shown.items()}
            if place in z[:, n]:
                k = z[:, n].tolist().index(place)
                assert (of["seen"] == 1).all() and (of["masked autoencoder"] == mush[k, n]).all()
                assert (of["imagined"] == imagined[k, n]).all()
            else:
                assert all((each == x[n, place]).all() for each in of.values())


@pytest.mark.slow
def test_a_digit_is_drawn_in_characters(trained):
    training, _, others = trained
    titles, *rows = training.world.show(training.model, others).splitlines()
    assert titles.split("  ")[0] == "seen" and titles.endswith("masked autoencoder")
    assert len(rows) == 16 and {len(row) for row in rows} == {4 * 32 + 3 * 2}
    truth = [row[34:66] for row in rows]
    for row, pixels in zip(truth, join(training.world.held_out[:1])[0]):
        for column, pixel in enumerate(pixels):
            assert row[2 * column] == row[2 * column + 1]
            off = [abs(shade - pixel) for shade in (-1, -0.5, 0, 0.5, 1)]
            assert row[2 * column] == "▒░·▓█"[off.index(min(off))]


@pytest.mark.slow
def test_the_pictures_are_drawn_side_by_side(trained):
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed: pip "
                                                          "install 'minijepa[plot]'")
    training, _, others = trained
    world, figure = training.world, plt.figure()
    axes = figure.subplots()
    world.plot_imagined(axes, training.model, others)
    shown, pictures = axes.images[0].get_array(), world.pictures(training.model, others)
    assert shown.shape == (4 * 17, 4 * 17)
    for column, picture in enumerate(pictures.values()):
        for row in range(4):
            tile = shown[17 * row:17 * row + 16, 17 * column:17 * column + 16]
            assert (np.asarray(tile) == picture[row]).all()
    axes = figure.subplots()
    world.plot_neighbours(axes, training.model, others)
    shown = np.asarray(axes.images[0].get_array())
    pixels = world.known.reshape(len(world.known), -1)
    latents = training.model.encode_context(world.known)[0]
    for row, of, own in ((0, latents, training.model.encode_context(world.held_out)[0]),
                         (2, pixels, world.held_out.reshape(359, -1))):
        for digit in range(2):
            distances = ((of.astype(float) - own[digit])**2).sum(axis=1)
            nearest = join(world.known[[distances.argmin()]])[0]
            tile = shown[17 * (row + digit):17 * (row + digit) + 16]
            assert (tile[:, :16] == join(world.held_out)[digit]).all()
            assert (tile[:, 17:33] == nearest).all()
    plt.close(figure)


# Why a target that never learned teaches

@given(seeds)
def test_a_linear_target_says_nothing_that_can_be_known_and_a_relu_does(seed):
    """Over the phase a linear function of a block is 0 on average; a ReLU's grows with the ink."""
    rng = np.random.default_rng(seed)
    weight, ink = rng.standard_normal(16), rng.random(16) + 0.1
    phases = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    stripes = (np.arange(16) // 4 + np.arange(16) % 4) * np.pi / 2
    u = np.array([ink * np.cos(phase + stripes) @ weight for phase in phases])
    assert abs(u.mean()) < 1e-12 * abs(u).max() + 1e-15
    assert abs(np.tanh(u).mean()) < 1e-12 + abs(u).max() * 1e-13                # any odd function
    assert np.maximum(2 * u, 0).mean() > 1.5 * np.maximum(u, 0).mean() > 0
