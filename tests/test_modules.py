"""Parameters, their names, and the one flat vector in which they live."""

import numpy as np
import pytest

from minijepa.jepa import ToyJEPA
from minijepa.layers import Linear, ReLU, Sequential
from minijepa.modules import Module, Parameter, expect

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Twins(Module):
    """Two branches that share a layer, which the second branch has under another name."""

    def __init__(self, rng, dtype):
        shared = Linear(2, 3, rng, dtype)
        self.left = Sequential(shared, ReLU(), Linear(3, 5, rng, dtype))
        self.right = Sequential(shared)
        self.scale = Parameter(rng.standard_normal(7).astype(dtype))


@pytest.mark.parametrize("given, sizes", [((), (32, 64, 32)), ((2, 3, 5), (2, 3, 5)),
                                          ((9, 4, 1), (9, 4, 1))])
def test_names_and_shapes_are_those_of_the_articles_state_dict(given, sizes):
    """In its order, with PyTorch's shapes; the default sizes are the article's."""
    V, (E, H, L) = 11, sizes
    named = ToyJEPA(V, np.random.default_rng(0), *given).named_parameters()
    wanted = [("embedding.weight", (V, E))]
    for part, inputs in ("context_encoder", E), ("target_encoder", E), ("predictor", L):
        wanted += [(f"{part}.0.weight", (H, inputs)), (f"{part}.0.bias", (H,)),
                   (f"{part}.2.weight", (L, H)), (f"{part}.2.bias", (L,))]
    assert [(name, p.value.shape) for name, p in named.items()] == wanted


@both_dtypes
def test_a_parameter_starts_with_a_gradient_of_zeros(dtype):
    grad = Parameter(np.full((2, 3), 4, dtype)).grad
    assert grad.dtype == dtype and np.array_equal(grad, np.zeros((2, 3)))


@both_dtypes
def test_flatten_keeps_every_value_shape_and_dtype(dtype):
    model = Twins(np.random.default_rng(0), dtype)
    before = {name: p.value.copy() for name, p in model.named_parameters().items()}
    assert model.flatten() is model
    after = model.named_parameters()
    assert after.keys() == before.keys()
    for name, kept in before.items():
        assert after[name].value.dtype == after[name].grad.dtype == dtype
        assert np.array_equal(after[name].value, kept)
        assert np.array_equal(after[name].grad, np.zeros(kept.shape))
    assert model.value.dtype == model.grad.dtype == dtype and not model.grad.any()


def test_parameters_are_views_into_the_flat_vectors_in_the_order_of_their_names():
    model = Twins(np.random.default_rng(0), np.float64)
    names = ["scale", "left.0.weight", "left.0.bias", "left.2.weight", "left.2.bias"]

    def parts(which):
        named = model.named_parameters()
        return np.concatenate([getattr(named[name], which).flatten() for name in names])

    drawn = parts("value")
    assert np.array_equal(model.flatten().value, drawn)
    model.value[:] = np.arange(model.value.size)
    model.grad[:] = -np.arange(model.grad.size)
    assert np.array_equal(parts("value"), model.value)
    assert np.array_equal(parts("grad"), model.grad)


def test_a_shared_module_is_in_the_vector_once_and_has_both_names():
    model = Twins(np.random.default_rng(0), np.float64).flatten()
    named = model.named_parameters()
    assert named["left.0.weight"] is named["right.0.weight"]
    assert named["left.0.bias"] is named["right.0.bias"]
    assert model.value.size == model.grad.size == (2 * 3 + 3) + (3 * 5 + 5) + 7
    model.right.value[:] = 1                           # one stretch under both names
    expected = np.concatenate([model.scale.value, np.ones(2 * 3 + 3), model.left.layers[2].value])
    assert np.array_equal(model.value, expected)
    assert not hasattr(model.left.layers[1], "value")  # nor a stretch of no parameters


def test_each_module_has_its_own_stretch_of_the_vectors():
    model = ToyJEPA(11, np.random.default_rng(0), 2, 3, 5, np.float64, "stopgrad")
    # the target encoder, which the gradient may not reach, lies at the end
    parts = [model.embedding, model.context_encoder, model.predictor, model.target_encoder]
    model.value[:] = 0
    for number, part in enumerate(parts, start=1):
        part.value[:] = number
        part.grad[:] = -number
    sizes = [11 * 2, 2 * 3 + 3 + 3 * 5 + 5, 5 * 3 + 3 + 3 * 5 + 5, 2 * 3 + 3 + 3 * 5 + 5]
    assert np.array_equal(model.value, np.repeat([1, 2, 3, 4], sizes))
    assert np.array_equal(model.grad, np.repeat([-1, -2, -3, -4], sizes))
    layer = model.predictor.net.layers[2]
    layer.value[:] = np.arange(3 * 5 + 5)              # of a layer: its weight, its bias
    assert np.array_equal(layer.weight.value, np.arange(15).reshape(5, 3))
    assert np.array_equal(layer.bias.value, np.arange(15, 20))


def test_a_stretch_does_not_depend_on_the_order_of_the_names():
    first, second = (Linear(3, 3, np.random.default_rng(seed)) for seed in (0, 1))
    there, back = Sequential(first, second), Sequential(second, first)
    model = Sequential(Linear(2, 3, np.random.default_rng(2)), there, back).flatten()
    assert np.array_equal(there.value, back.value)
    assert np.array_equal(there.value, model.value[2 * 3 + 3:])


@pytest.mark.parametrize("shape, wanted", [
    ((2, 3), (2, 3)), ((), ()), ((3,), (..., 3)), ((7, 5, 3), (..., 3)), ((2, 3), (..., 2, 3)),
    ((5, 2, 3), (..., 2, 3)),
])
def test_expect_is_silent_where_the_shape_fits(shape, wanted):
    """A number of NumPy's is an array without dimensions."""
    expect("it", np.zeros(shape) if shape else np.float64(1), wanted, np.float64)


@pytest.mark.parametrize("given, wanted, words", [
    ((3, 2), (2, 3), "(2, 3)"), ((1, 3), (2, 3), "(2, 3)"),                    # would broadcast
    ((3,), (2, 3), "(2, 3)"), ((7, 2, 3), (2, 3), "(2, 3)"), ((3, 4), (..., 3), "(..., 3)"),
    ((3, 1), (..., 3), "(..., 3)"), ((), (..., 3), "(..., 3)"),
    ((3,), (..., 2, 3), "(..., 2, 3)"), ((2, 5, 3), (..., 2, 3), "(..., 2, 3)"),
])
def test_expect_names_the_wanted_and_the_given_shape(given, wanted, words):
    with pytest.raises(ValueError) as caught:
        expect("it", np.zeros(given), wanted, np.float64)
    assert str(caught.value) == f"it: wanted shape {words}, was given {given}"


@pytest.mark.parametrize("given, shape, dtype, words", [
    (np.zeros(3, np.float32), (3,), np.float64, "dtype float64, was given float32"),
    (np.zeros(3), (3,), "float32", "dtype float32, was given float64"),
    (np.zeros(3, int), (3,), "float32", "dtype float32, was given int64"),
    (np.zeros(3), (3,), bool, "dtype bool, was given float64"),
    ([1.0, 2.0], (2,), np.float64, "a NumPy array, was given list"),
    (None, (2,), np.float64, "a NumPy array, was given NoneType"),
    (1.0, (2,), np.float64, "a NumPy array, was given float"),
])
def test_expect_names_the_wanted_and_the_given_type(given, shape, dtype, words):
    with pytest.raises(TypeError) as caught:
        expect("it", given, shape, dtype)
    assert str(caught.value) == f"it: wanted {words}"


class Branches(Module):
    """Two branches that begin with the same layer."""

    def __init__(self, rng):
        shared = Linear(3, 3, rng)                                             # 12 parameters
        self.one = Sequential(shared, Linear(3, 3, rng))
        self.two = Sequential(shared, Linear(3, 3, rng))


def test_a_stretch_never_holds_another_modules_parameters():
    model = Branches(np.random.default_rng(0)).flatten()
    assert model.value.size == 3 * 12 and model.one.value.size == 2 * 12
    assert not hasattr(model.two, "value")             # the other's layer lies between its two
    model.two.layers[1].value[:] = 7
    assert (model.value == 7).sum() == 12 and not (model.one.value == 7).any()


def test_flatten_wants_one_dtype():
    rng = np.random.default_rng(0)
    mixed = Sequential(Linear(2, 3, rng, np.float64), Linear(3, 2, rng, np.float32))
    with pytest.raises(TypeError, match="wanted dtype float64, was given float32"):
        mixed.flatten()
