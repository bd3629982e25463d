"""The gauges against formulas of another form, known values and invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.gauges import (cosine_similarity, effective_rank, linear_probe, principal_components,
                             r_squared, relative_loss, retrieve, rmse, std)
from minijepa.losses import mse

some = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
dimensions = st.integers(1, 8)


def cloud(seed, dimension, points=None):
    """Points around a far centre, stretched differently in each direction: (N, L), N > 3·L."""
    rng = np.random.default_rng(seed)
    points = points or 3 * dimension + int(rng.integers(1, 20))
    centre, widths = 3 * rng.standard_normal(dimension), rng.uniform(0.2, 2, dimension)
    return centre + widths * rng.standard_normal((points, dimension))


def rotation(seed, dimension):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))[0]


def rank_from_covariance(latents):
    """exp(entropy) of the shares of the standard deviations along the principal axes."""
    covariance = np.cov(latents.T, bias=True).reshape(2 * [latents.shape[1]])
    deviations = np.sqrt(np.linalg.eigvalsh(covariance))
    return math.exp(-sum(share * math.log(share) for share in deviations / sum(deviations)))


def deviations(latents):
    """The standard deviation of each dimension, entry by entry."""
    found = []
    for column in latents.T.tolist():
        mean = math.fsum(column) / len(column)
        found.append(math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(column)))
    return found


# ---- std

@some
@given(seeds, dimensions)
def test_std_is_the_mean_over_dimensions(seed, dimension):
    latents = cloud(seed, dimension)
    assert std(latents) == pytest.approx(sum(deviations(latents)) / dimension, rel=1e-12)


@some
@given(seeds, dimensions, st.floats(-10, 10), st.floats(-10, 10))
def test_std_ignores_a_shift_and_follows_a_scale(seed, dimension, shift, scale):
    latents = cloud(seed, dimension)
    assert std(scale * latents + shift) == pytest.approx(abs(scale) * std(latents), abs=1e-12)


def test_std_of_known_points():
    assert std(np.array([[1.0, 5.0], [-1.0, 5.0]])) == 0.5         # 1 and 0
    assert std(np.array([[2.0, 3.0]])) == 0


# ---- effective_rank

@some
@given(seeds, dimensions)
def test_rank_from_the_eigenvalues_of_the_covariance(seed, dimension):
    latents = cloud(seed, dimension)
    assert effective_rank(latents) == pytest.approx(rank_from_covariance(latents), rel=1e-10)


@some
@given(seeds, dimensions, st.floats(0.01, 100), st.floats(-100, 100))
def test_rank_ignores_rotation_scale_shift_and_repetition(seed, dimension, scale, shift):
    latents = cloud(seed, dimension)
    moved = scale * np.repeat(latents, 2, axis=0) @ rotation(seed, dimension) + shift
    assert effective_rank(moved) == pytest.approx(effective_rank(latents), rel=1e-9)


@some
@given(seeds, st.integers(1, 6), st.integers(0, 4))
def test_rank_counts_equal_orthogonal_directions(seed, count, unused):
    """Of a line it is one."""
    axes = np.eye(count, count + unused)
    latents = np.concatenate([axes, -axes]) @ rotation(seed, count + unused)
    assert effective_rank(latents + 3) == pytest.approx(count, rel=1e-10)


@pytest.mark.parametrize("dimension", range(2, 9))
def test_rank_of_a_round_cloud_is_nearly_the_dimension(dimension):
    points = np.random.default_rng(0).standard_normal((5000, dimension))
    assert 0.99 * dimension < effective_rank(points) < dimension


@some
@given(seeds, st.integers(2, 5))
def test_rank_is_below_the_number_of_points(seed, points):
    assert 1 <= effective_rank(cloud(seed, 8, points)) <= points - 1 + 1e-9


@some
@given(seeds, st.integers(1, 9), dimensions, st.sampled_from([np.float32, np.float64]))
def test_rank_of_one_point_is_zero(seed, copies, dimension, dtype):
    point = np.random.default_rng(seed).standard_normal(dimension).astype(dtype)
    assert effective_rank(np.tile(point, (copies, 1))) == 0


def test_rank_with_a_direction_too_small_to_have_a_share():
    assert effective_rank(np.array([[8, 0], [-8, 0], [0, 5e-324], [0, -5e-324]])) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rank_of_what_is_not_finite_is_nan(value):
    latents = cloud(0, 3)
    latents[1, 2] = value
    with np.errstate(invalid="ignore"):                # inf − inf
        assert math.isnan(effective_rank(latents))


# ---- relative_loss

@some
@given(seeds, dimensions)
def test_relative_loss_entry_by_entry(seed, dimension):
    targets = cloud(seed, dimension)
    predictions = cloud(seed + 1, dimension, len(targets))
    pairs = zip(predictions.ravel().tolist(), targets.ravel().tolist())
    loss = math.fsum((p - t)**2 for p, t in pairs) / len(targets)
    variance = sum(deviation**2 for deviation in deviations(targets))
    assert relative_loss(predictions, targets) == pytest.approx(loss / variance, rel=1e-12)


@some
@given(seeds, dimensions)
def test_predicting_the_mean_target_gives_one_and_the_targets_zero(seed, dimension):
    targets = cloud(seed, dimension)
    mean = np.tile(targets.mean(axis=0), (len(targets), 1))
    assert relative_loss(mean, targets) == pytest.approx(1, rel=1e-12)
    assert relative_loss(targets, targets) == 0


@some
@given(seeds, dimensions, st.floats(1e-6, 1e6), st.floats(-1, 1))
def test_relative_loss_ignores_scale_shift_and_rotation(seed, dimension, scale, shift):
    targets = cloud(seed, dimension)
    predictions = cloud(seed + 1, dimension, len(targets))
    turn = rotation(seed, dimension)
    moved = relative_loss(scale * (predictions @ turn + shift), scale * (targets @ turn + shift))
    assert moved == pytest.approx(relative_loss(predictions, targets), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relative_loss_of_collapsed_targets_is_finite(dtype):
    targets = np.full((5, 3), 0.25, dtype)
    assert relative_loss(targets, targets) == 0
    assert 1e30 < relative_loss(targets + dtype(0.5), targets) < math.inf


# ---- cosine_similarity

@some
@given(seeds, dimensions, st.integers(1, 5), st.integers(1, 5))
def test_cosine_of_every_row_with_every_row(seed, dimension, N, V):
    a, b = cloud(seed, dimension, N), cloud(seed + 1, dimension, V)
    similarity = cosine_similarity(a, b)
    assert similarity.shape == (N, V)
    for i, row in enumerate(a.tolist()):
        for j, other in enumerate(b.tolist()):
            cosine = math.fsum(map(math.prod, zip(row, other)))
            cosine /= math.hypot(*row) * math.hypot(*other)
            assert similarity[i, j] == pytest.approx(cosine, abs=1e-14)


@some
@given(seeds, dimensions)
def test_cosine_ignores_rotation_and_length_but_not_the_sign(seed, dimension):
    a, b = cloud(seed, dimension, 4), cloud(seed + 1, dimension, 3)
    lengths = np.random.default_rng(seed).uniform(0.01, 100, (4, 1))
    turn = rotation(seed, dimension)
    turned = cosine_similarity(-lengths * a @ turn, b @ turn)
    np.testing.assert_allclose(turned, -cosine_similarity(a, b), rtol=0, atol=1e-13)


def test_cosine_of_known_rows():
    a = np.array([[3.0, 4.0], [0.0, 0.0]])
    b = np.array([[1.0, 0.0], [0.0, -2.0], [6.0, 8.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosine_similarity(a, b), [[0.6, -0.8, 1, 0], [0, 0, 0, 0]], rtol=0,
                               atol=1e-15)


# ---- retrieve

@some
@given(seeds, dimensions, st.integers(1, 6))
def test_retrieve_sorts_by_the_angle(seed, dimension, count):
    a, b = cloud(seed, dimension, 3), cloud(seed + 1, dimension, 6)
    found = retrieve(a, b, count)
    assert found.shape == (3, count)
    for row, ids in zip(a, found):
        cosines = np.array([row @ each / math.hypot(*row) / math.hypot(*each) for each in b])
        assert cosines[ids] == pytest.approx(np.sort(cosines)[::-1][:count], abs=1e-12)
        assert len(set(ids)) == count


def test_retrieve_gives_one_unless_told_otherwise_and_the_first_of_equals():
    latents = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    assert retrieve(np.array([[3.0, 0.1]]), latents).tolist() == [[1]]


# ---- linear_probe

def least_squares(x, y, ridge):
    """The same by another way: rows √(N·ridge) beside the data ask for weights of 0."""
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    N, D = x.shape
    rows = np.concatenate([x - x_mean, math.sqrt(N * ridge) * np.eye(D)])
    wanted = np.concatenate([y - y_mean, np.zeros((D, *y.shape[1:]))])
    weight = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return lambda x: (x - x_mean) @ weight + y_mean


@some
@given(seeds, dimensions, st.sampled_from([(), (1,), (3,)]), st.sampled_from([1e-6, 1e-2, 10.0]))
def test_the_probe_is_least_squares_with_a_ridge(seed, dimension, columns, ridge):
    rng = np.random.default_rng(seed)
    x = cloud(seed, dimension)
    y, other = rng.standard_normal((len(x), *columns)) + 2, cloud(seed + 1, dimension, 5)
    predicted = linear_probe(x, y, ridge)(other)
    assert predicted.shape == (5, *columns) and predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, least_squares(x, y, ridge)(other), rtol=0, atol=1e-8)


@some
@given(seeds, dimensions)
def test_the_probe_finds_a_linear_map_and_its_constant(seed, dimension):
    rng = np.random.default_rng(seed)
    x, weight = cloud(seed, dimension), rng.standard_normal((dimension, 2))
    other = cloud(seed + 1, dimension)
    predicted = linear_probe(x, x @ weight + [5, -3], ridge=1e-12)(other)
    np.testing.assert_allclose(predicted, other @ weight + [5, -3], rtol=0, atol=1e-6)


def test_the_ridge_of_the_probe_is_small_unless_told_otherwise():
    x, y = cloud(0, 3), cloud(1, 2, len(cloud(0, 3)))
    assert np.array_equal(linear_probe(x, y)(x), linear_probe(x, y, 1e-6)(x))
    far = linear_probe(x, y, 1e12)(x)                  # all that is left is the mean
    np.testing.assert_allclose(far, np.tile(y.mean(axis=0), (len(x), 1)), rtol=0, atol=1e-9)


def test_a_repeated_or_constant_feature_does_not_stop_the_probe():
    x = cloud(0, 3)
    more = np.concatenate([x, x[:, :1], np.full((len(x), 2), 7.0)], axis=1)
    y = x @ [1.0, 2.0, 3.0]
    np.testing.assert_allclose(linear_probe(more, y)(more), y, rtol=0, atol=1e-3)
    assert linear_probe(np.zeros((5, 1)), np.arange(5.0))(np.ones((2, 1))).tolist() == [2, 2]


# ---- principal_components

@some
@given(seeds, st.integers(2, 8), st.integers(1, 8))
def test_principal_components_are_the_eigenvectors_of_the_covariance(seed, dimension, count):
    count = min(count, dimension)
    x, other = cloud(seed, dimension), cloud(seed + 1, dimension)
    project = principal_components(x, count)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    projected = project(x)
    assert projected.shape == (len(x), count)
    np.testing.assert_allclose(np.atleast_2d(np.cov(projected.T, bias=True)),
                               np.diag(values[::-1][:count]), rtol=0, atol=1e-10 * values[-1])
    first = (other - x.mean(axis=0)) @ vectors[:, -1]              # but for its sign
    np.testing.assert_allclose(np.abs(project(other)[:, 0]), np.abs(first), rtol=0,
                               atol=1e-6 * np.abs(first).max())


def test_no_projection_to_as_many_dimensions_keeps_more():
    x = cloud(0, 6)
    kept = principal_components(x, 2)(x).var(axis=0).sum()
    for seed in range(50):
        assert (x @ rotation(seed, 6)[:, :2]).var(axis=0).sum() <= kept
    whole = principal_components(x, 6)(x).var(axis=0).sum()
    assert whole == pytest.approx(x.var(axis=0).sum(), rel=1e-12)


# ---- r_squared, rmse

@some
@given(seeds, dimensions)
def test_r_squared_and_rmse_entry_by_entry(seed, dimension):
    y = cloud(seed, dimension)
    predicted = y + cloud(seed + 1, dimension, len(y))
    pairs = list(zip(y.ravel().tolist(), predicted.ravel().tolist()))
    errors = math.fsum((true - guess) ** 2 for true, guess in pairs)
    spread = math.fsum(deviation**2 for deviation in deviations(y)) * len(y)
    assert r_squared(y, predicted) == pytest.approx(1 - errors / spread, rel=1e-11, abs=1e-11)
    assert rmse(y, predicted) == pytest.approx(math.sqrt(errors / len(pairs)), rel=1e-12)


def test_r_squared_and_rmse_of_known_predictions():
    y = np.array([[1.0, 10.0], [3.0, 30.0]])
    mean = np.array([[2.0, 20.0]]).repeat(2, axis=0)
    assert (r_squared(y, y), r_squared(y, mean), rmse(y, y)) == (1, 0, 0)
    assert r_squared(y, y[::-1]) == -3 and rmse(np.zeros(4), np.array([3.0, 3, -3, 3])) == 3


# ---- each gauge misleads when it stands alone, as its docstring says

def test_a_constant_cloud_with_numerical_dust_has_a_high_rank():
    """The rank says 14 of 16 directions; the std, that they are all rounding errors."""
    constant = np.random.default_rng(0).standard_normal(16) + np.zeros((200, 16))
    dust = constant + 1e-7 * np.random.default_rng(1).standard_normal((200, 16))
    assert effective_rank(dust.astype(np.float32)) > 14 and std(dust.astype(np.float32)) < 1e-6


def test_a_line_has_a_healthy_std():
    """The std says 1; the rank, that all dimensions say the same."""
    line = np.outer(np.random.default_rng(0).standard_normal(500), np.sign(np.arange(16) - 7.5))
    assert 0.9 < std(line) < 1.1 and effective_rank(line) < 1.001


def test_a_loss_goes_to_zero_when_the_latents_shrink_and_the_relative_loss_does_not():
    targets, bad = np.random.default_rng(0).standard_normal((2, 100, 8))       # no prediction
    losses, relative = zip(*((mse(size * bad, size * targets)[0],
                              relative_loss(size * bad, size * targets))
                             for size in (1, 1e-2, 1e-4)))
    assert losses[0] > 1 and losses[1] < 1e-3 and losses[2] < 1e-7
    assert relative == pytest.approx([relative[0]] * 3, rel=1e-9) and relative[0] > 1


def test_a_line_has_a_splendid_relative_loss():
    """What is left of the targets is easy to predict; the rank says how little that is."""
    rng = np.random.default_rng(0)
    full = rng.standard_normal((300, 8))
    predictable = full * ([1] + [0] * 7)
    line = predictable + 1e-3 * full
    assert relative_loss(predictable, full) > 0.5 and relative_loss(predictable, line) < 1e-4
    assert effective_rank(line) < 1.1


def test_a_probe_does_as_well_on_the_raw_input():
    """0.99 from the latents is no merit of theirs where the input gives as much, and PCA too."""
    rng = np.random.default_rng(0)
    x, x_test = rng.standard_normal((2, 400, 6)) * [5, 4, 3, 2, 1, 0.1]
    wanted = lambda x: x @ [1.0, -1.0, 0.5, 0, 0, 0]
    encoder = rng.standard_normal((6, 6))              # random: it has learned nothing
    features = {"encoder": lambda x: np.tanh(0.02 * x @ encoder), "raw": lambda x: x,
                "pca": principal_components(x, 4)}
    scores = {name: r_squared(wanted(x_test), linear_probe(f(x), wanted(x), 1e-9)(f(x_test)))
              for name, f in features.items()}
    assert min(scores.values()) > 0.98 and scores["raw"] >= scores["encoder"]


def test_retrieval_may_be_right_on_collapsed_latents():
    """All hits; yet the latents are a thousandth of what they were, about one point."""
    rng = np.random.default_rng(0)
    latents = 1e-3 * rng.standard_normal((40, 16))
    predictions = latents + 1e-4 * rng.standard_normal((40, 16))
    assert (retrieve(predictions, latents)[:, 0] == np.arange(40)).all() and std(latents) < 2e-3


def test_r_squared_hides_a_narrow_column_behind_a_wide_one():
    y = np.random.default_rng(0).standard_normal((100, 2)) * [100, 1]
    predicted = y * [1, -1]                            # of the second, the opposite
    assert r_squared(y, predicted) > 0.999 and r_squared(y[:, 1:], predicted[:, 1:]) < -2


def test_rmse_is_small_where_there_is_little_to_tell():
    y = 5 + 0.01 * np.random.default_rng(0).standard_normal(100)
    assert rmse(y, np.full(100, 5.0)) < 0.02 and r_squared(y, np.full(100, 5.0)) < 0.1


# ---- float32 is measured in float64

GAUGES = {
    "std": lambda a, b: std(a),
    "effective_rank": lambda a, b: effective_rank(a),
    "relative_loss": relative_loss,
    "cosine_similarity": cosine_similarity,
}
every_gauge = pytest.mark.parametrize("gauge", GAUGES)


@every_gauge
@some
@given(seed=seeds, dimension=st.integers(2, 8))
def test_float32_latents_are_measured_as_exactly_as_float64(gauge, seed, dimension):
    nearly_collapsed = (100 + 1e-4 * cloud(seed, dimension)).astype(np.float32)
    others = nearly_collapsed + 1e-4 * cloud(seed + 1, dimension, len(nearly_collapsed))
    latents = nearly_collapsed, others.astype(np.float32)
    measured = GAUGES[gauge](*latents)
    exact = GAUGES[gauge](*(each.astype(np.float64) for each in latents))
    np.testing.assert_allclose(measured, exact, rtol=1e-12, atol=0)
    assert np.asarray(measured).dtype == np.float64


@every_gauge
def test_a_gauge_leaves_the_latents_as_they_are(gauge):
    a, b = cloud(0, 3, 5), cloud(1, 3, 5)
    before = a.copy(), b.copy()
    GAUGES[gauge](a, b)
    assert np.array_equal((a, b), before)
