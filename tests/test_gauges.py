"""The gauges against formulas of another form, known values and invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.gauges import cosine_similarity, effective_rank, latent_std, relative_loss

some = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
dimensions = st.integers(1, 8)


def cloud(seed, dimension, points=None):
    """Points around a far centre, stretched differently in each direction: (N, L), N > 3·L."""
    rng = np.random.default_rng(seed)
    points = points or 3 * dimension + int(rng.integers(1, 20))
    return 3 * rng.standard_normal(dimension) + rng.uniform(0.2, 2, dimension) * \
        rng.standard_normal((points, dimension))


def rotation(seed, dimension):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))[0]


def rank_from_covariance(latents):
    """exp(entropy) of the shares of the standard deviations along the principal axes."""
    deviations = np.sqrt(np.linalg.eigvalsh(np.cov(latents.T, bias=True).reshape(2 * [latents.shape[1]])))
    shares = [deviation / sum(deviations) for deviation in deviations]
    return math.exp(-sum(share * math.log(share) for share in shares))


def deviations(latents):
    """The standard deviation of each dimension, entry by entry."""
    found = []
    for column in latents.T.tolist():
        mean = math.fsum(column) / len(column)
        found.append(math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(column)))
    return found


# ---- latent_std

@some
@given(seeds, dimensions)
def test_std_is_the_mean_over_dimensions(seed, dimension):
    latents = cloud(seed, dimension)
    assert latent_std(latents) == pytest.approx(sum(deviations(latents)) / dimension, rel=1e-12)


@some
@given(seeds, dimensions, st.floats(-10, 10), st.floats(-10, 10))
def test_std_ignores_a_shift_and_follows_a_scale(seed, dimension, shift, scale):
    latents = cloud(seed, dimension)
    assert latent_std(scale * latents + shift) == pytest.approx(abs(scale) * latent_std(latents), abs=1e-12)


def test_std_of_known_points():
    assert latent_std(np.array([[1.0, 5.0], [-1.0, 5.0]])) == 0.5       # 1 in one dimension, 0 in the other
    assert latent_std(np.array([[2.0, 3.0]])) == 0


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
    axes = np.eye(count, count + unused)
    latents = np.concatenate([axes, -axes]) @ rotation(seed, count + unused)
    assert effective_rank(latents) == pytest.approx(count, rel=1e-10)


@some
@given(seeds, dimensions)
def test_rank_of_a_line_is_one(seed, dimension):
    rng = np.random.default_rng(seed)
    line = rng.standard_normal(dimension) + np.outer(rng.standard_normal(9), rng.standard_normal(dimension))
    assert effective_rank(line) == pytest.approx(1, abs=1e-10)


@some
@given(seeds, st.integers(2, 8))
def test_rank_of_a_round_cloud_is_nearly_the_dimension(seed, dimension):
    points = np.random.default_rng(seed).standard_normal((5000, dimension))
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
    latents = np.array([[8, 0], [-8, 0], [0, 5e-324], [0, -5e-324]])
    assert effective_rank(latents) == 1


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
    loss = math.fsum((p - t) ** 2 for p, t in zip(predictions.ravel().tolist(), targets.ravel().tolist()))
    variance = sum(deviation**2 for deviation in deviations(targets))
    assert relative_loss(predictions, targets) == pytest.approx(loss / len(targets) / variance, rel=1e-12)


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
            dot = math.fsum(x * y for x, y in zip(row, other))
            assert similarity[i, j] == pytest.approx(dot / (math.hypot(*row) * math.hypot(*other)), abs=1e-14)


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
    np.testing.assert_allclose(cosine_similarity(a, b), [[0.6, -0.8, 1, 0], [0, 0, 0, 0]], rtol=0, atol=1e-15)


# ---- float32 is measured in float64

GAUGES = {
    "latent_std": lambda a, b: latent_std(a),
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
    others = (nearly_collapsed + 1e-4 * cloud(seed + 1, dimension, len(nearly_collapsed))).astype(np.float32)
    measured = GAUGES[gauge](nearly_collapsed, others)
    exact = GAUGES[gauge](nearly_collapsed.astype(np.float64), others.astype(np.float64))
    np.testing.assert_allclose(measured, exact, rtol=1e-12, atol=0)
    assert np.asarray(measured).dtype == np.float64


@every_gauge
def test_a_gauge_leaves_the_latents_as_they_are(gauge):
    a, b = cloud(0, 3, 5), cloud(1, 3, 5)
    before = a.copy(), b.copy()
    GAUGES[gauge](a, b)
    assert np.array_equal((a, b), before)
