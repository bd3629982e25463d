"""SGD and Adam against their formulas, one number at a time."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.optimizers import SGD, Adam

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=25)


def sgd_by_hand(value, grads, learning_rate=1e-3, momentum=0.0):
    velocity = 0.0
    for grad in grads:
        velocity = momentum * velocity + grad
        value = value - learning_rate * velocity
    return value


def adam_by_hand(value, grads, learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8):
    (beta1, beta2), m, v = betas, 0.0, 0.0
    for t, grad in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad * grad
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        value = value - learning_rate * m_hat / (sqrt(v_hat) + epsilon)
    return value


def start_and_gradients(seed, steps=100, scale=1.0):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 6))
    return rng.standard_normal(size), scale * rng.standard_normal((steps, size))


def run(make, start, gradients, dtype=np.float64):
    value, grad = start.astype(dtype), np.zeros(start.shape, dtype)
    optimizer = make(value, grad)
    for g in gradients:
        grad[:] = g
        optimizer.step()
    return value, optimizer


def follows(make, by_hand, start, gradients, *options):
    value, _ = run(lambda v, g: make(v, g, *options), start, gradients)
    expected = [by_hand(x, column, *options) for x, column in zip(start, gradients.T)]
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


@given(seeds, st.sampled_from([(), (1e-3, 0.0), (0.03, 0.5), (0.2, 0.9)]))
@few
def test_sgd_follows_its_formula_for_100_steps(seed, options):
    """The defaults, here and below, are PyTorch's."""
    follows(SGD, sgd_by_hand, *start_and_gradients(seed), *options)


@given(seeds, st.sampled_from([1e-3, 0.03, 0.2]),
       st.sampled_from([(0.9, 0.999), (0.5, 0.7), (0.0, 0.9)]), st.sampled_from([1e-8, 1e-3]),
       st.sampled_from([1.0, 1e-4, 1e-8]))
@few
def test_adam_follows_its_formula_for_100_steps(seed, learning_rate, betas, epsilon, scale):
    """Small gradients are where epsilon, and where it stands, can be seen."""
    follows(Adam, adam_by_hand, *start_and_gradients(seed, scale=scale), learning_rate, betas,
            epsilon)
    follows(Adam, adam_by_hand, *start_and_gradients(seed, scale=scale))


def test_adams_first_step_has_the_length_of_the_learning_rate():
    """Thanks to the bias correction, and whatever the size of the gradient."""
    start, first = np.zeros(4), np.array([1e3, -1e3, 1e-3, -1e-3])
    value, _ = run(lambda v, g: Adam(v, g, 0.1), start, [first])
    np.testing.assert_allclose(value, [-0.1, 0.1, -0.1, 0.1], rtol=1.1e-5)


optimizers = pytest.mark.parametrize("make", [
    lambda value, grad: SGD(value, grad, 0.03, 0.9),
    lambda value, grad: Adam(value, grad, 0.03),
])


@optimizers
def test_float32_stays_float32_and_follows_float64(make):
    start, gradients = start_and_gradients(1)
    single, optimizer = run(make, start, gradients, np.float32)
    double, _ = run(make, start, gradients, np.float64)
    arrays = [array for array in optimizer.state.values() if array.ndim]
    assert arrays and all(array.dtype == np.float32 for array in (single, *arrays))
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-5)


@optimizers
def test_a_step_writes_into_the_vector_itself_and_not_into_the_gradient(make):
    value, grad = np.ones(3), np.array([1.0, -2.0, 3.0])
    view = value[1:]
    optimizer = make(value, grad)
    optimizer.step()
    assert optimizer.value is value and optimizer.grad is grad
    assert view[0] > 1 > view[1]                       # downhill, and seen through the view
    assert np.array_equal(grad, [1, -2, 3])


@optimizers
def test_the_state_is_all_that_a_continuation_needs(make):
    start, gradients = start_and_gradients(2)
    in_one_go, _ = run(make, start, gradients)
    half_way, stopped = run(make, start, gradients[:50])
    grad = np.zeros_like(half_way)
    continued = make(half_way, grad)
    for name, kept in stopped.state.items():
        continued.state[name][...] = kept
    for g in gradients[50:]:
        grad[:] = g
        continued.step()
    assert np.array_equal(half_way, in_one_go)


def test_the_state_is_kept_under_the_names_of_the_formulas():
    grad = np.array([1.0, -2.0])
    sgd, adam = SGD(np.zeros(2), grad, momentum=0.5), Adam(np.zeros(2), grad)
    for optimizer in sgd, adam:
        optimizer.step()
        optimizer.step()
    np.testing.assert_allclose(sgd.state["velocity"], 1.5 * grad, rtol=1e-12)
    np.testing.assert_allclose(adam.state["m"], (0.09 + 0.1) * grad, rtol=1e-12)
    np.testing.assert_allclose(adam.state["v"], (0.000999 + 0.001) * grad**2, rtol=1e-12)
    assert adam.state["t"] == 2


@pytest.mark.parametrize("size", [2**14, 3 * 2**14 + 5])
def test_adam_treats_every_entry_of_a_long_vector_alike(size):
    """It works through a long vector in blocks."""
    rng = np.random.default_rng(0)
    follows(Adam, adam_by_hand, rng.standard_normal(size), rng.standard_normal((2, size)))
