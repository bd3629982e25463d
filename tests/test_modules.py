"""Parameters, their names, and the one flat vector in which they live."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.jepa import ToyJEPA
from minijepa.layers import Linear, ReLU, Sequential
from minijepa.modules import Module, Parameter, expect

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])


class Twins(Module):
    """Two branches that share a layer, which the second branch has under another name."""

    def __init__(self, rng, dtype):
        shared = Linear(2, 3, rng, dtype)
        self.left = Sequential(shared, ReLU(), Linear(3, 5, rng, dtype))
        self.right = Sequential(shared)
        self.scale = Parameter(rng.standard_normal(7).astype(dtype))


def article_state_dict(V, E, H, L):
    """The keys of the article's PyTorch listing, in its order, with PyTorch's shapes."""
    return [
        ("embedding.weight", (V, E)),
        ("context_encoder.0.weight", (H, E)),
        ("context_encoder.0.bias", (H,)),
        ("context_encoder.2.weight", (L, H)),
        ("context_encoder.2.bias", (L,)),
        ("target_encoder.0.weight", (H, E)),
        ("target_encoder.0.bias", (H,)),
        ("target_encoder.2.weight", (L, H)),
        ("target_encoder.2.bias", (L,)),
        ("predictor.0.weight", (H, L)),
        ("predictor.0.bias", (H,)),
        ("predictor.2.weight", (L, H)),
        ("predictor.2.bias", (L,)),
    ]


@given(st.lists(st.integers(1, 9), min_size=4, max_size=4, unique=True))
@settings(deadline=None, max_examples=25)
def test_names_and_shapes_are_those_of_the_articles_state_dict(sizes):
    V, E, H, L = sizes
    model = ToyJEPA(V, np.random.default_rng(0), embed_dim=E, hidden_dim=H, latent_dim=L)
    named = [(name, p.value.shape) for name, p in model.named_parameters().items()]
    assert named == article_state_dict(V, E, H, L)


def test_default_sizes_are_the_articles():
    named = ToyJEPA(11, np.random.default_rng(0)).named_parameters()
    assert [(name, p.value.shape)
            for name, p in named.items()] == article_state_dict(11, 32, 64, 32)


def test_a_parameter_starts_with_a_gradient_of_zeros():
    for dtype in np.float32, np.float64:
        grad = Parameter(np.full((2, 3), 4, dtype)).grad
        assert grad.dtype == dtype and np.array_equal(grad, np.zeros((2, 3)))


@given(seeds, dtypes)
@settings(deadline=None, max_examples=25)
def test_flatten_keeps_every_value_shape_and_dtype(seed, dtype):
    model = Twins(np.random.default_rng(seed), dtype)
    before = {name: p.value.copy() for name, p in model.named_parameters().items()}
    assert model.flatten() is model
    after = model.named_parameters()
    assert after.keys() == before.keys()
    for name, kept in before.items():
        assert after[name].value.dtype == after[name].grad.dtype == dtype
        assert np.array_equal(after[name].value, kept)
        assert after[name].grad.shape == kept.shape
    assert model.value.dtype == model.grad.dtype == dtype


def test_the_vector_holds_the_parameters_in_the_order_of_their_names():
    model = Twins(np.random.default_rng(0), np.float64)
    names = ["scale", "left.0.weight", "left.0.bias", "left.2.weight", "left.2.bias"]
    expected = np.concatenate([model.named_parameters()[name].value.flatten() for name in names])
    assert np.array_equal(model.flatten().value, expected)


def test_parameters_are_views_into_the_flat_vectors():
    model = Twins(np.random.default_rng(0), np.float32).flatten()
    model.value[:] = np.arange(model.value.size)
    model.grad[:] = -np.arange(model.grad.size)
    seen = [model.scale, model.left.layers[0].weight, model.left.layers[0].bias,
            model.left.layers[2].weight, model.left.layers[2].bias]
    values = np.concatenate([p.value.flatten() for p in seen])
    assert np.array_equal(values, np.arange(model.value.size))
    assert np.array_equal(np.concatenate([p.grad.flatten() for p in seen]), -values)


def test_gradients_start_at_zero_and_zeroing_is_one_line():
    model = Twins(np.random.default_rng(0), np.float64).flatten()
    assert not model.grad.any()
    for p in model.named_parameters().values():
        p.grad += 1
    model.grad[:] = 0
    assert not any(p.grad.any() for p in model.named_parameters().values())


def test_a_shared_module_is_in_the_vector_once_and_has_both_names():
    model = Twins(np.random.default_rng(0), np.float64).flatten()
    named = model.named_parameters()
    assert named["left.0.weight"] is named["right.0.weight"]
    assert named["left.0.bias"] is named["right.0.bias"]
    assert model.value.size == model.grad.size == (2 * 3 + 3) + (3 * 5 + 5) + 7


def test_each_module_has_its_own_stretch_of_the_vectors():
    model = ToyJEPA(11, np.random.default_rng(0), 2, 3, 5, np.float64, "stopgrad")
    parts = [model.embedding, model.context_encoder, model.target_encoder, model.predictor]
    model.value[:] = 0
    for number, part in enumerate(parts, start=1):
        part.value[:] = number
        part.grad[:] = -number
    sizes = [11 * 2, 2 * 3 + 3 + 3 * 5 + 5, 2 * 3 + 3 + 3 * 5 + 5, 5 * 3 + 3 + 3 * 5 + 5]
    assert np.array_equal(model.value, np.repeat([1, 2, 3, 4], sizes))
    assert np.array_equal(model.grad, np.repeat([-1, -2, -3, -4], sizes))


def test_the_stretch_of_a_layer_is_its_weight_and_bias():
    model = ToyJEPA(11, np.random.default_rng(0), 2, 3, 5, np.float64)
    layer = model.predictor.net.layers[2]
    layer.value[:] = np.arange(3 * 5 + 5)
    assert np.array_equal(layer.weight.value, np.arange(15).reshape(5, 3))
    assert np.array_equal(layer.bias.value, np.arange(15, 20))


def test_a_shared_module_has_the_same_stretch_under_both_names():
    model = Twins(np.random.default_rng(0), np.float64).flatten()
    model.right.value[:] = 1
    expected = np.concatenate([model.scale.value, np.ones(2 * 3 + 3), model.left.layers[2].value])
    assert np.array_equal(model.value, expected)


def test_a_stretch_does_not_depend_on_the_order_of_the_names():
    first, second = (Linear(3, 3, np.random.default_rng(seed)) for seed in (0, 1))
    there, back = Sequential(first, second), Sequential(second, first)
    model = Sequential(Linear(2, 3, np.random.default_rng(2)), there, back).flatten()
    assert np.array_equal(there.value, back.value)
    assert np.array_equal(there.value, model.value[2 * 3 + 3:])


@pytest.mark.parametrize("shape, wanted", [
    ((2, 3), (2, 3)),
    ((), ()),
    ((3,), (..., 3)),
    ((7, 5, 3), (..., 3)),
    ((2, 3), (..., 2, 3)),
    ((5, 2, 3), (..., 2, 3)),
])
def test_expect_is_silent_where_the_shape_fits(shape, wanted):
    expect("it", np.zeros(shape), wanted, np.float64)


@pytest.mark.parametrize("shape, wanted, words", [
    ((3, 2), (2, 3), "it: wanted shape (2, 3), was given (3, 2)"),
    ((1, 3), (2, 3), "it: wanted shape (2, 3), was given (1, 3)"),           # would broadcast
    ((3,), (2, 3), "it: wanted shape (2, 3), was given (3,)"),
    ((7, 2, 3), (2, 3), "it: wanted shape (2, 3), was given (7, 2, 3)"),
    ((3, 4), (..., 3), "it: wanted shape (..., 3), was given (3, 4)"),
    ((3, 1), (..., 3), "it: wanted shape (..., 3), was given (3, 1)"),
    ((), (..., 3), "it: wanted shape (..., 3), was given ()"),
    ((3,), (..., 2, 3), "it: wanted shape (..., 2, 3), was given (3,)"),
    ((2, 5, 3), (..., 2, 3), "it: wanted shape (..., 2, 3), was given (2, 5, 3)"),
])
def test_expect_names_the_wanted_and_the_given_shape(shape, wanted, words):
    with pytest.raises(ValueError) as caught:
        expect("it", np.zeros(shape), wanted, np.float64)
    assert str(caught.value) == words


@pytest.mark.parametrize("given_dtype, wanted", [("float32", "float64"), ("float64", "float32"),
                                                 ("int64", "float32"), ("float64", "bool")])
def test_expect_names_the_wanted_and_the_given_dtype(given_dtype, wanted):
    with pytest.raises(TypeError) as caught:
        expect("it", np.zeros(3, given_dtype), (3,), wanted)
    assert str(caught.value) == f"it: wanted dtype {wanted}, was given {given_dtype}"


@pytest.mark.parametrize("thing, kind", [([1.0, 2.0], "list"), (None, "NoneType"), (1.0, "float")])
def test_expect_wants_an_array(thing, kind):
    with pytest.raises(TypeError) as caught:
        expect("it", thing, (2,), np.float64)
    assert str(caught.value) == f"it: wanted a NumPy array, was given {kind}"


def test_expect_takes_a_numpy_number_as_an_array_without_dimensions():
    expect("it", np.float32(1), (), np.float32)


class Branches(Module):
    """Two branches that begin with the same layer."""

    def __init__(self, rng):
        shared = Linear(3, 3, rng)                                             # 12 parameters
        self.one = Sequential(shared, Linear(3, 3, rng))
        self.two = Sequential(shared, Linear(3, 3, rng))


def test_a_stretch_never_holds_another_modules_parameters():
    model = Branches(np.random.default_rng(0)).flatten()
    assert model.value.size == 3 * 12 and model.one.value.size == 2 * 12
    # the other's layer lies between its two
    assert not hasattr(model.two, "value")
    model.two.layers[1].value[:] = 7
    assert (model.value == 7).sum() == 12 and not (model.one.value == 7).any()


def test_flatten_wants_one_dtype():
    rng = np.random.default_rng(0)
    mixed = Sequential(Linear(2, 3, rng, np.float64), Linear(3, 2, rng, np.float32))
    with pytest.raises(TypeError, match="wanted dtype float64, was given float32"):
        mixed.flatten()
