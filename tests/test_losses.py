"""The mean squared error against sums written out in loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.losses import mse

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
shapes = st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True).map(tuple)
few = settings(deadline=None, max_examples=30)

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def pair(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, *shape)).astype(dtype)


@given(seeds, dtypes, shapes)
@few
def test_mse_is_the_sum_of_squares_over_the_number_of_entries(seed, dtype, shape):
    prediction, target = pair(seed, shape, dtype)
    loss, _ = mse(prediction, target)
    total = 0.0
    for place in np.ndindex(shape):
        total += (float(prediction[place]) - float(target[place])) ** 2
    assert loss.dtype == dtype and np.shape(loss) == ()
    assert loss == pytest.approx(total / np.prod(shape), rel=TOLERANCE[dtype])


@given(seeds, dtypes, shapes, st.sampled_from([1, -2, 0.3, np.float32(1.7), np.float64(2.5)]))
@few
def test_the_gradients_are_two_differences_over_the_number_of_entries(seed, dtype, shape, dloss):
    prediction, target = pair(seed, shape, dtype)
    dprediction, dtarget = mse(prediction, target)[1](dloss)
    assert dprediction.dtype == dtarget.dtype == dtype
    assert dprediction.shape == dtarget.shape == shape
    for place in np.ndindex(shape):
        difference = float(prediction[place]) - float(target[place])
        expected = float(dloss) * 2 * difference / np.prod(shape)
        absolute = 2e-7 if dtype == np.float32 else 1e-15          # a difference near zero
        assert dprediction[place] == pytest.approx(expected, rel=TOLERANCE[dtype], abs=absolute)
        assert dtarget[place] == pytest.approx(-expected, rel=TOLERANCE[dtype], abs=absolute)


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


def test_dloss_is_one_unless_given():
    prediction, target = pair(0, (2, 3), np.float64)
    _, backward = mse(prediction, target)
    assert np.array_equal(backward()[0], backward(1)[0])


def test_equal_arrays_have_no_loss_and_no_gradient():
    x = pair(0, (2, 3), np.float32)[0]
    loss, backward = mse(x, x.copy())
    assert loss == 0 and not np.any(backward())


def test_nothing_that_was_given_is_written_to():
    prediction, target = pair(0, (2, 3), np.float64)
    kept = prediction.copy(), target.copy()
    _, backward = mse(prediction, target)
    first, second = backward(3), backward(3)
    assert np.array_equal(prediction, kept[0]) and np.array_equal(target, kept[1])
    assert np.array_equal(first, second)


@pytest.mark.parametrize("shape", [(3, 2), (1, 3), (3,), (1, 2, 3)])
def test_mse_refuses_shapes_that_differ_even_where_they_would_broadcast(shape):
    with pytest.raises(ValueError) as caught:
        mse(np.zeros((2, 3)), np.zeros(shape))
    assert str(caught.value) == f"mse's target: wanted shape (2, 3), was given {shape}"


def test_mse_refuses_dtypes_that_differ():
    words = "mse's target: wanted dtype float32, was given float64"
    with pytest.raises(TypeError, match=words):
        mse(np.zeros((2, 3), np.float32), np.zeros((2, 3)))
