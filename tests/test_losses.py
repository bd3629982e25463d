"""The losses and the regularisers: the formulas in another form, and finite differences."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa import losses
from minijepa.losses import (SIGReg, Smallest, VICReg, covariance_penalty, cross_entropy, infonce,
                             mse, no_regularizer, sigreg, smallest, unit, variance_hinge)

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
shapes = st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True).map(tuple)
few = settings(deadline=None, max_examples=30)

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def pair(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, *shape)).astype(dtype)


@given(seeds, dtypes, shapes, st.sampled_from([1, -2, 0.3, np.float32(1.7), np.float64(2.5)]))
@few
def test_mse_and_its_gradients_entry_by_entry(seed, dtype, shape, dloss):
    prediction, target = pair(seed, shape, dtype)
    loss, backward = mse(prediction, target)
    dprediction, dtarget = backward(dloss)
    assert loss.dtype == dprediction.dtype == dtarget.dtype == dtype and np.shape(loss) == ()
    assert dprediction.shape == dtarget.shape == shape
    total, absolute = 0.0, {np.float32: 2e-7, np.float64: 1e-15}[dtype]        # near zero
    for place in np.ndindex(shape):
        difference = float(prediction[place]) - float(target[place])
        total += difference**2
        expected = float(dloss) * 2 * difference / np.prod(shape)
        assert dprediction[place] == pytest.approx(expected, rel=TOLERANCE[dtype], abs=absolute)
        assert dtarget[place] == pytest.approx(-expected, rel=TOLERANCE[dtype], abs=absolute)
    assert loss == pytest.approx(total / np.prod(shape), rel=TOLERANCE[dtype])


@given(seeds, shapes)
@few
def test_a_step_along_any_direction_changes_the_loss_by_the_gradient(seed, shape):
    """The loss is quadratic, so central differences are exact, however long the step."""
    prediction, target = pair(seed, shape, np.float64)
    along, across = pair(seed + 1, shape, np.float64)
    dprediction, dtarget = mse(prediction, target)[1]()
    ahead = mse(prediction + along, target + across)[0]
    behind = mse(prediction - along, target - across)[0]
    expected = np.sum(dprediction * along) + np.sum(dtarget * across)
    assert (ahead - behind) / 2 == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_mse_writes_into_nothing_and_dloss_is_one_unless_given():
    prediction, target = pair(0, (2, 3), np.float64)
    kept = prediction.copy(), target.copy()
    loss, backward = mse(prediction, target)
    assert np.array_equal(backward(3), backward(3)) and np.array_equal(backward(), backward(1))
    assert np.array_equal(prediction, kept[0]) and np.array_equal(target, kept[1])
    loss, backward = mse(prediction, prediction.copy())
    assert loss == 0 and not np.any(backward())


@pytest.mark.parametrize("target, error, words", [
    *((np.zeros(shape), ValueError, f"shape (2, 3), was given {shape}")
      for shape in [(3, 2), (1, 3), (3,), (1, 2, 3)]),                         # or would broadcast
    (np.zeros((2, 3), np.float32), TypeError, "dtype float64, was given float32"),
])
def test_mse_refuses_a_target_of_another_shape_or_dtype(target, error, words):
    with pytest.raises(error) as caught:
        mse(np.zeros((2, 3)), target)
    assert str(caught.value) == f"mse's target: wanted {words}"


# ---- the energies of several futures, and of an answer among others

def smallest_formula(predictions, target, soft):
    K, B, L = predictions.shape
    d = [[sum((float(predictions[k, b, i]) - float(target[0, b, i])) ** 2 for i in range(L)) / L
          for k in range(K)] for b in range(B)]
    return sum((1 - soft) * min(row) + soft * sum(row) / K for row in d) / B


def infonce_formula(a, b, temperature):
    """Both directions, row by row, with numbers of Python."""
    a, b = (x.reshape(-1, x.shape[-1]).astype(float) for x in (a, b))
    cosine = [[float(x @ y) / math.sqrt(float(x @ x) * float(y @ y)) for y in b] for x in a]
    N, total = len(a), 0.0
    for i in range(N):
        for others in ([cosine[i][j] for j in range(N)], [cosine[j][i] for j in range(N)]):
            total += math.log(sum(math.exp(c / temperature) for c in others))
            total -= cosine[i][i] / temperature
    return total / (2 * N)


def slopes(f, x, shift=1e-6):
    """(f(x) − f(x − ε), f(x + ε) − f(x)) / ε: each entry's slope to the left and to the right."""
    left, right = np.empty_like(x), np.empty_like(x)
    for place in np.ndindex(x.shape):
        kept, here = x[place], f()
        x[place] = kept + shift
        right[place] = (f() - here) / shift
        x[place] = kept - shift
        left[place] = (here - f()) / shift
        x[place] = kept
    return left, right


@given(seeds, dtypes, st.integers(1, 4), st.integers(1, 5), st.integers(1, 6),
       st.sampled_from([0.0, 0.3, 1.0]))
@few
def test_smallest_is_the_winners_distance_and_a_share_of_all(seed, dtype, K, B, L, soft):
    predictions, target = pair(seed, (K, B, L), dtype)[0], pair(seed + 1, (1, B, L), dtype)[0]
    loss, backward = smallest(predictions, target, soft)
    assert loss.dtype == dtype == backward()[0].dtype == backward()[1].dtype
    assert loss == pytest.approx(smallest_formula(predictions, target, soft), rel=TOLERANCE[dtype])
    assert Smallest(soft)(predictions, target)[0] == loss
    if K == 1:                                         # then there is nothing to choose
        assert loss == pytest.approx(mse(predictions, target)[0], rel=TOLERANCE[dtype])


def test_only_the_winner_learns_and_with_a_soft_part_a_little_all():
    predictions, target = np.array([[[0.0, 0]], [[3, 0]], [[9, 0]]]), np.array([[[2.0, 0]]])
    loss, backward = smallest(predictions, target)
    assert loss == 0.5                                 # of 4, 1 and 49, over L = 2
    assert backward()[0][:, 0, 0].tolist() == [0, 1, 0]
    assert backward()[1].tolist() == [[[-1, 0]]]
    loss, backward = smallest(predictions, target, soft=0.3)
    assert loss == pytest.approx(0.7 * 0.5 + 0.3 * 54 / 6)
    np.testing.assert_allclose(backward()[0][:, 0, 0], [-0.2, 0.8, 0.7])


@pytest.mark.parametrize("tied", [2, 3])
@pytest.mark.parametrize("soft", [0.0, 0.3])
def test_where_several_tie_the_first_wins_and_the_gradient_is_between_the_slopes(tied, soft):
    """The minimum has a kink there: finite differences to the left and to the right differ."""
    rng = np.random.default_rng(tied)
    target = rng.standard_normal((1, 2, 3))
    predictions = target + rng.permuted(np.ones((4, 2, 3)) * [1, 2, 3], axis=2)
    predictions[tied:] += 5                            # these are further off
    loss, backward = smallest(predictions, target, soft)
    gradients = backward()
    assert (gradients[0][1:] == 0).all() == (soft == 0) and gradients[0][0].all()
    for x, gradient in zip((predictions, target), gradients):
        left, right = slopes(lambda: smallest(predictions, target, soft)[0], x)
        below, above = np.minimum(left, right) - 1e-5, np.maximum(left, right) + 1e-5
        assert (below <= gradient).all() and (gradient <= above).all()
    left, right = slopes(lambda: smallest(predictions, target, soft)[0], predictions)
    assert (np.abs(right - left)[:tied] > 0.1).all()
    np.testing.assert_allclose(left[tied:], right[tied:], atol=1e-4)


def test_twins_that_tie_part_as_soon_as_one_of_them_wins():
    twins, target = np.ones((2, 3, 4)), np.zeros((1, 3, 4))
    dpredictions, _ = smallest(twins, target)[1]()
    assert dpredictions[0].any() and not dpredictions[1].any()


@given(seeds, dtypes, st.integers(1, 6), st.integers(2, 5), st.sampled_from([0.05, 0.2, 1.0]))
@few
def test_infonce_is_the_mean_of_both_cross_entropies(seed, dtype, N, L, temperature):
    prediction, target = pair(seed, (1, N, L), dtype)
    loss, backward = infonce(prediction, target, temperature)
    assert loss.dtype == dtype
    assert all(d.dtype == dtype and d.shape == (1, N, L) for d in backward())
    expected = infonce_formula(prediction, target, temperature)
    close = {np.float32: {"rel": 1e-3, "abs": 1e-4}, np.float64: {"rel": 1e-9}}[dtype]
    assert loss == pytest.approx(expected, **close)
    longer = infonce(3 * prediction, target / 5, temperature)[0]               # cosine: no lengths
    assert longer == pytest.approx(loss, rel=1e-3, abs=1e-4)


def test_infonce_of_known_latents():
    apart = np.eye(3)[None]
    assert infonce(apart, apart, 0.5)[0] == pytest.approx(math.log(math.exp(2) + 2) - 2)
    alike = np.ones((1, 5, 3))
    loss, backward = infonce(alike, alike)
    assert loss == pytest.approx(math.log(5)) and np.allclose(backward(), 0, atol=1e-12)
    assert infonce(apart, apart)[0] == infonce(apart, apart, 0.07)[0]
    huge = infonce(apart, apart, 1e-3)
    assert huge[0] < 1e-9 and np.isfinite(huge[1]()).all()       # exp does not overflow


@given(seeds, dtypes, st.integers(1, 6), st.integers(1, 5))
@few
def test_cross_entropy_is_minus_the_log_of_the_right_class(seed, dtype, N, C):
    logits, rng = 3 * pair(seed, (1, N, C), dtype)[0], np.random.default_rng(seed)
    right = rng.integers(C, size=N)
    loss, backward = cross_entropy(logits, np.eye(C, dtype=dtype)[right][None])
    expected = -sum(float(row[c]) - math.log(sum(math.exp(float(x)) for x in row))
                    for row, c in zip(logits[0], right)) / N
    assert loss.dtype == dtype and loss == pytest.approx(expected, rel=1e-4, abs=1e-6)
    # a shift of all logits changes nothing
    np.testing.assert_allclose(backward(3)[0].sum(axis=-1), 0, atol=1e-6)


ENERGIES = {"smallest": (smallest, 3), "smallest, soft": (lambda p, s: smallest(p, s, 0.4), 3),
            "infonce": (infonce, 1), "infonce, cold": (lambda p, s: infonce(p, s, 0.07), 1),
            "infonce, hot": (lambda p, s: infonce(p, s, 5.0), 1),
            "cross_entropy": (cross_entropy, 1)}


@pytest.mark.parametrize("name", ENERGIES)
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_an_energy_is_its_slope_entry_by_entry(name, seed):
    energy, K = ENERGIES[name]
    predictions, _ = pair(seed, (K, 4, 5), np.float64)
    target, _ = pair(seed + 9, (1, 4, 5), np.float64)
    kept = predictions.copy(), target.copy()
    gradients = energy(predictions, target)[1](-1.7)
    assert np.array_equal(predictions, kept[0]) and np.array_equal(target, kept[1])
    for x, gradient in zip((predictions, target), gradients):
        left, right = slopes(lambda: energy(predictions, target)[0], x)
        np.testing.assert_allclose(gradient, -1.7 * (left + right) / 2, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("energy, shapes", [
    (smallest, [(3, 4, 5), (3, 4, 5)]), (smallest, [(3, 4, 5), (1, 5, 4)]),
    (infonce, [(1, 4, 5), (4, 5)]), (cross_entropy, [(4, 5), (1, 5)])])
def test_an_energy_refuses_shapes_that_differ_even_where_they_would_broadcast(energy, shapes):
    with pytest.raises(ValueError, match=f"{energy.__name__}'s target: wanted shape"):
        energy(*map(np.ones, shapes))
    with pytest.raises(TypeError, match="wanted dtype float64, was given float32"):
        energy(np.ones((1, 4, 5)), np.ones((1, 4, 5), np.float32))


def test_unit_is_each_latent_over_its_length_and_bears_a_zero():
    u, backward = unit(np.array([[[3.0, 4.0]], [[0.0, 0.0]]]))
    np.testing.assert_allclose(u, [[0.6, 0.8], [0, 0]], atol=1e-9)
    dlatents = backward(np.ones((2, 2)))
    assert dlatents.shape == (2, 1, 2) and np.isfinite(dlatents).all()


# ---- the regularisers

def cloud(seed, N, L, dtype=np.float64):
    """Latents of which some dimensions are narrow and some wide, off the origin, and correlated."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((N, L)) @ (np.eye(L) + 0.3 * rng.standard_normal((L, L)))
    return (mixed * 10 ** rng.uniform(-1, 0.5, L) + rng.standard_normal(L)).astype(dtype)


def directions_for(seed, L, M):
    found = np.random.default_rng(seed).standard_normal((L, M))
    return found / np.sqrt((found**2).sum(axis=0))


def hinge_formula(z, floor=1.0, epsilon=1e-4):
    deviations = [math.sqrt(np.var(column, ddof=1) + epsilon) for column in z.T]
    return sum(max(0.0, floor - deviation) for deviation in deviations) / len(deviations)


def covariance_formula(z):
    L = z.shape[1]
    C = np.cov(z, rowvar=False, ddof=1).reshape(L, L)
    return sum(C[i, j] ** 2 for i in range(L) for j in range(L) if i != j) / L


def distance(u, t):
    """|mean of e^(itu) − e^(−t²/2)|² e^(−t²/2), in complex numbers."""
    characteristic = sum(cmath.exp(1j * t * value) for value in u) / len(u)
    return abs(characteristic - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2)


def trapezoids(u, knots, reach):
    """N ∫ distance dt over [−reach, reach], by 2·(knots − 1) trapezoids."""
    t = [reach * k / (knots - 1) for k in range(-(knots - 1), knots)]
    heights = [distance(u, each) for each in t]
    return len(u) * sum((one + other) / 2 * reach / (knots - 1)
                        for one, other in zip(heights, heights[1:]))


def epps_pulley(u, reach=3.0):
    """N ∫ distance dt over [−reach, reach] by Gauss-Legendre quadrature: exact but for rounding."""
    t, weight = np.polynomial.legendre.leggauss(80)
    return len(u) * sum(w * reach * distance(u, each * reach) for each, w in zip(t, weight))


clouds = st.tuples(seeds, st.integers(2, 9), st.integers(1, 6))


@given(clouds, dtypes, st.sampled_from([(), (0.4, 1e-4), (3.0, 0.2)]))
@few
def test_the_variance_hinge_is_what_each_deviation_lacks(shape, dtype, limits):
    z = cloud(*shape, dtype)
    loss, backward = variance_hinge(z, *limits)
    expected = hinge_formula(z.astype(np.float64), *limits)
    assert loss.dtype == backward().dtype == dtype
    assert loss == pytest.approx(expected, rel=20 * TOLERANCE[dtype], abs=TOLERANCE[dtype])


def test_the_hinge_of_known_latents():
    z = np.array([[3.0, 1.0], [0.0, 1.0], [-3.0, 1.0]])     # variances 9 and 0, dividing by N − 1
    assert variance_hinge(z, floor=5, epsilon=0)[0] == (2 + 5) / 2
    assert variance_hinge(z, floor=5, epsilon=16)[0] == (0 + 1) / 2            # √25 and √16
    loss, backward = variance_hinge(z, floor=1, epsilon=0.25)
    assert loss == 0.25 and not backward().any()            # one wide enough, the other one point


@pytest.mark.parametrize("floor, below", [(1.0, [0]), (2.0, [0, 1]), (4.0, [0, 1, 2]), (0.3, [])])
def test_only_dimensions_below_the_floor_are_pushed_apart(floor, below):
    """Of two latents ± a the deviation is √2·a, here 0.5, 1.5, 3; the slope by a is −√2/3."""
    z = np.array([[1.0], [-1.0]]) * [0.5, 1.5, 3.0] / math.sqrt(2)
    slope = variance_hinge(z, floor, epsilon=0)[1](1)
    wanted = np.zeros((2, 3))
    wanted[:, below] = [[-math.sqrt(2) / 6], [math.sqrt(2) / 6]]
    np.testing.assert_allclose(slope, wanted, rtol=0, atol=1e-15)


@given(clouds, dtypes)
@few
def test_the_covariance_penalty_is_the_squares_off_the_diagonal(shape, dtype):
    z = cloud(*shape, dtype)
    loss, backward = covariance_penalty(z)
    expected = covariance_formula(z.astype(np.float64))
    assert np.asarray(loss).dtype == backward().dtype == dtype
    assert loss == pytest.approx(expected, rel=50 * TOLERANCE[dtype], abs=TOLERANCE[dtype])


def test_the_covariance_penalty_of_known_latents():
    z = np.array([[1.0, 2.0, 7.0], [-1.0, -2.0, 7.0]])      # C_12 = 4, no other off the diagonal
    assert covariance_penalty(z)[0] == 2 * 4**2 / 3
    assert covariance_penalty(z[:, :1])[0] == 0             # one dimension has no other


@given(clouds, dtypes, st.sampled_from([(5, 2.0), (17, 3.0), (32, 4.5)]))
@settings(deadline=None, max_examples=15)
def test_sigreg_is_the_mean_over_the_directions_of_the_trapezoids(shape, dtype, rule):
    z, directions = cloud(*shape, dtype), directions_for(shape[0], shape[2], 3).astype(dtype)
    loss, backward = sigreg(z, directions, *rule)
    u = z.astype(np.float64) @ directions.astype(np.float64)
    expected = sum(trapezoids(column, *rule) for column in u.T) / 3
    assert loss.dtype == backward().dtype == dtype
    assert loss == pytest.approx(expected, rel=50 * TOLERANCE[dtype])


@pytest.mark.parametrize("seed", range(4))
def test_sigreg_with_many_knots_is_the_integral_and_with_its_own_nearly(seed):
    """The trapezoidal rule errs by h²/12 · (the jump of the slope between the ends), h = 3/16."""
    z, directions = cloud(seed, 6, 4), directions_for(seed, 4, 2)
    exact = np.mean([epps_pulley(column) for column in (z @ directions).T])
    assert sigreg(z, directions, knots=4097)[0] == pytest.approx(exact, rel=1e-6)
    assert sigreg(z, directions)[0] == sigreg(z, directions, 17, 3.0)[0]
    assert sigreg(z, directions)[0] == pytest.approx(exact, rel=4e-3)


def test_sigreg_of_latents_that_are_all_zero():
    """N·∫ (1 − e^(−t²/2))² e^(−t²/2) dt = N·√2π·(1 − 2/√2 + 1/√3), but for the tails."""
    zeros = np.zeros((7, 3))
    whole = 7 * math.sqrt(2 * math.pi) * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    assert sigreg(zeros, directions_for(0, 3, 5), 2001, 12.0)[0] == pytest.approx(whole, rel=1e-12)
    assert not sigreg(zeros, directions_for(0, 3, 5))[1]().any()               # by symmetry


# Each case: the regulariser on (N, L) as a function of the latents alone.
REGULARIZERS = {
    "variance_hinge": variance_hinge,
    "variance_hinge, another floor": lambda z: variance_hinge(z, 2.0, 0.3),
    "covariance_penalty": covariance_penalty,
    "sigreg": lambda z: sigreg(z, directions_for(3, z.shape[1], 4).astype(z.dtype)),
    "sigreg, 6": lambda z: sigreg(z, directions_for(3, z.shape[1], 1).astype(z.dtype), 6, 2.0),
    "VICReg": VICReg(0.7, 0.3),
    "SIGReg": lambda z: SIGReg(np.random.default_rng(5), 0.3, 4)(z),
}
every_regularizer = pytest.mark.parametrize("name", REGULARIZERS)


@every_regularizer
@pytest.mark.parametrize("seed, N, L", [(0, 6, 4), (1, 2, 3), (2, 9, 1)])
def test_the_gradient_of_a_regularizer_is_its_slope_entry_by_entry(name, seed, N, L):
    regularizer, z = REGULARIZERS[name], cloud(seed, N, L)
    gradient = regularizer(z)[1](-1.7)
    assert gradient.shape == z.shape
    for place in np.ndindex(z.shape):
        values = []
        for shift in 1e-5, -1e-5:
            moved = z.copy()
            moved[place] += shift
            values.append(regularizer(moved)[0])
        slope = -1.7 * (values[0] - values[1]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert np.array_equal(regularizer(z)[1](), regularizer(z)[1](1))


@every_regularizer
def test_a_regularizer_keeps_float32_and_writes_into_nothing(name):
    z = cloud(0, 7, 3, np.float32)
    kept = z.copy()
    loss, backward = REGULARIZERS[name](z)
    for dloss in 1, -2.5, np.float64(0.3), np.float32(3):
        first, second = backward(dloss), backward(dloss)
        assert first.dtype == np.float32 and first.any() and np.array_equal(first, second)
    assert np.asarray(loss).dtype == np.float32 or isinstance(loss, float)
    assert np.array_equal(z, kept)
    wide = REGULARIZERS[name](z.astype(np.float64))
    assert loss == pytest.approx(wide[0], rel=1e-4)
    np.testing.assert_allclose(backward(), wide[1](), rtol=0, atol=2e-5 * np.abs(wide[1]()).max())


both_classes = pytest.mark.parametrize("name", ["VICReg", "SIGReg"])


@both_classes
@pytest.mark.parametrize("shape", [(5, 6, 3), (2, 3, 5, 3)])
def test_leading_dimensions_make_more_latents(name, shape):
    z = cloud(0, 30, 3)
    loss, backward = REGULARIZERS[name](z)
    folded, folded_backward = REGULARIZERS[name](z.reshape(shape))
    assert folded == loss
    assert np.array_equal(folded_backward(2), backward(2).reshape(shape))


@pytest.mark.parametrize("variance, covariance", [(1.0, 0.05), (0.0, 3.0), (25.0, 0.0), (0.7, 0.2)])
def test_vicreg_is_its_two_terms_with_their_weights(variance, covariance):
    z = cloud(1, 8, 4)
    loss, backward = VICReg(variance, covariance)(z)
    assert loss == pytest.approx(variance * hinge_formula(z) + covariance * covariance_formula(z),
                                 rel=1e-12)
    expected = 3 * (variance * variance_hinge(z)[1]() + covariance * covariance_penalty(z)[1]())
    np.testing.assert_allclose(backward(3), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("regularizer, z", [(VICReg(1, 1), np.ones((1, 1, 3), np.float32)),
                                            (no_regularizer, cloud(0, 5, 3))])
def test_a_single_latent_has_no_variance_and_no_regularizer_asks_for_nothing(regularizer, z):
    loss, backward = regularizer(z)
    for gradient in backward(), backward(2):
        assert np.array_equal(gradient, np.zeros_like(z)) and gradient.dtype == z.dtype
    assert loss == 0 and loss.dtype == z.dtype


@pytest.fixture
def seen(monkeypatch):
    """The directions that SIGReg draws."""
    seen = []
    monkeypatch.setattr(losses, "sigreg",
                        lambda z, directions: seen.append(directions) or sigreg(z, directions))
    return seen


def test_sigreg_draws_directions_of_length_one_anew_at_each_call(seen):
    z = cloud(0, 6, 4, np.float32)
    regularizer = SIGReg(np.random.default_rng(0), weight=0.25, directions=33)
    values = [regularizer(z) for _ in range(2)]
    for directions, (loss, backward) in zip(seen, values, strict=True):
        assert directions.shape == (4, 33) and directions.dtype == np.float32
        lengths = (directions.astype(np.float64)**2).sum(axis=0)
        np.testing.assert_allclose(lengths, 1, rtol=0, atol=1e-6)
        plain, plain_backward = sigreg(z, directions)
        assert loss == pytest.approx(0.25 * plain, rel=1e-6)
        np.testing.assert_allclose(backward(2), 0.5 * plain_backward(), rtol=1e-5, atol=1e-9)
    assert not np.array_equal(*seen)
    assert SIGReg(np.random.default_rng(0), 0.25, 33)(z)[0] == values[0][0]    # of rng alone
    SIGReg(np.random.default_rng(0), 0.25)(z)
    assert seen[-1].shape == (4, 64)                        # unless told otherwise


def test_the_directions_favour_no_axis(seen):
    """Of a direction on the sphere the second moments are 1/3 each, and 0 for pairs."""
    SIGReg(np.random.default_rng(0), 1, directions=20_000)(np.zeros((2, 3)))
    np.testing.assert_allclose(seen[0] @ seen[0].T / 20_000, np.eye(3) / 3, rtol=0, atol=0.01)
    np.testing.assert_allclose(seen[0].mean(axis=1), 0, rtol=0, atol=0.02)


# What they are for

@pytest.mark.parametrize("N", [5, 50])
def test_a_standard_normal_sample_has_the_statistic_that_theory_gives(N):
    """Its expectation is ∫ (1 − e^(−t²)) e^(−t²/2) dt over [−3, 3], whatever N: about 1.05."""
    t, weight = np.polynomial.legendre.leggauss(80)
    expected = sum(3 * weight * (1 - np.exp(-(3 * t)**2)) * np.exp(-(3 * t)**2 / 2))
    u = np.random.default_rng(0).standard_normal((N, 4000))        # each along its own axis
    drawn = [sigreg(u[:, at:at + 500], np.eye(500))[0] for at in range(0, 4000, 500)]
    assert np.mean(drawn) == pytest.approx(expected, rel=0.05)     # 4,000 draws: ± 0.015


@pytest.mark.parametrize("spoil", [
    lambda z: z + 1, lambda z: 2.5 * z, lambda z: z / 3, lambda z: 1e-3 * z,
    lambda z: np.sign(z) + z / 10, lambda z: np.where(np.arange(z.shape[1]) == 0, 0, z),
    lambda z: z[:, :1].repeat(z.shape[1], axis=1),
], ids=["shifted", "wide", "narrow", "collapsed", "bimodal", "a dead dimension", "a line"])
def test_sigreg_is_small_for_a_standard_normal_sample_and_larger_for_others(spoil):
    samples = np.random.default_rng(0).standard_normal((8, 400, 6))
    directions = directions_for(0, 6, 64)
    good = np.mean([sigreg(z, directions)[0] for z in samples])
    assert good < 1.5 and all(sigreg(spoil(z), directions)[0] > 2 * good for z in samples)


def descend(regularizer, z, rate, steps):
    for _ in range(steps):
        z = z - rate * regularizer(z)[1]()
    return z


def test_descending_the_variance_hinge_pulls_a_collapsed_cloud_apart():
    start = 5 + 1e-3 * np.random.default_rng(0).standard_normal((20, 3))
    end = descend(variance_hinge, start, rate=3.0, steps=400)
    assert (start.std(axis=0, ddof=1) < 2e-3).all()
    np.testing.assert_allclose(end.std(axis=0, ddof=1), 1, rtol=0, atol=0.06)
    np.testing.assert_allclose(end.mean(axis=0), start.mean(axis=0), rtol=0, atol=1e-9)


def test_descending_the_covariance_penalty_makes_a_repeated_dimension_another_one():
    rng = np.random.default_rng(0)
    start = rng.standard_normal((50, 1)) * [1, -1, 1] + 0.1 * rng.standard_normal((50, 3))
    end = descend(covariance_penalty, start, rate=1.0, steps=2000)
    before, after = (np.abs(np.corrcoef(z, rowvar=False)[np.triu_indices(3, 1)])
                     for z in (start, end))
    assert before.min() > 0.97 and after.max() < 0.1


@both_classes
def test_descending_a_whole_regularizer_spreads_a_line_over_all_directions(name):
    rng = np.random.default_rng(0)
    line = np.outer(rng.standard_normal(60), [0.2, 0.2, -0.2, 0.1]) + 0.5
    line += 0.02 * rng.standard_normal((60, 4))
    regularizer, rate = (VICReg(1, 1), 20.0) if name == "VICReg" else (SIGReg(rng, 1.0, 32), 0.5)
    end = descend(regularizer, line, rate, steps=400)
    np.testing.assert_allclose(np.cov(end, rowvar=False), np.eye(4), rtol=0, atol=0.2)
    assert np.linalg.svd(line - line.mean(axis=0), compute_uv=False)[1] < 0.1 * 60**0.5
