"""Every layer against sums written out in loops or einsum, in both dtypes."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa import gradcheck, layers, losses, predictors
from minijepa.jepa import JEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential, perceptron
from minijepa.modules import Module

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
few = settings(deadline=None, max_examples=30)
RNG = np.random.default_rng(0)


def sizes(count):
    """Sizes that are all different, so that no axis can stand in for another."""
    return st.lists(st.integers(1, 8), min_size=count, max_size=count, unique=True)


def leading(max_dims=3):
    return st.lists(st.integers(1, 5), max_size=max_dims).map(tuple)


def normal(rng, shape, dtype):
    return np.asarray(rng.standard_normal(shape), dtype)


def agree(actual, expected, dtype):
    """The same shape, exactly this dtype, and equal up to the rounding of that dtype."""
    expected = np.asarray(expected)
    size = max(1, np.abs(expected).max(initial=0))
    assert actual.dtype == dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0,
                               atol={np.float32: 5e-6, np.float64: 1e-13}[dtype] * size)


def f64(*arrays):
    return [array.astype(np.float64) for array in arrays]


# What holds for every layer that gradcheck checks, with its inputs

def standard_checks(seed):
    """[(what, layer, *inputs)] of gradcheck, in float64; nothing is measured."""
    found, last = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradcheck, "check", lambda *given, rng: last.append(given) or [])
        patch.setattr(gradcheck, "check_step", lambda *given, rng: last.append(given) or [])
        for what, _ in gradcheck.standard_checks(np.random.default_rng(seed)):
            found.append((what, *last.pop()))
    return found


def checked_layers(seed):
    return {what: (layer, inputs) for what, layer, *inputs in standard_checks(seed)
            if isinstance(layer, Module) and not isinstance(layer, JEPA)}


def case(what, dtype=np.float64, seed=0):
    layer, inputs = checked_layers(seed)[what]
    for p in layer.named_parameters().values():
        p.value, p.grad = p.value.astype(dtype), p.grad.astype(dtype)
    return layer, [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]


def undo(backward, dy):
    """The gradients that there are, as a list."""
    returned = backward(dy)
    returned = returned if isinstance(returned, tuple) else (returned,)
    return [dx for dx in returned if dx is not None]


def values(layer):
    return [p.value for p in layer.named_parameters().values()]


def gradients(layer):
    return [p.grad.copy() for p in layer.named_parameters().values()]


every_layer = pytest.mark.parametrize("what", checked_layers(0))
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def test_every_layer_and_every_loss_is_among_the_standard_checks():
    checked, parts = set(), [layer for layer, _ in checked_layers(0).values()]
    while parts:
        part = parts.pop()
        checked.add(type(part))
        parts += part.children().values()
        parts += [below for below in vars(part).values() if isinstance(below, Module)]

    def defined(room, is_one):
        return {part for part in vars(room).values() if is_one(part)
                and part.__module__ == room.__name__}

    wanted = defined(layers, inspect.isclass) | defined(predictors, inspect.isclass)
    assert {part for part in wanted if "forward" in vars(part)} <= checked
    names = {part.__name__ for part in defined(losses, inspect.isfunction)}
    assert names - {"no_regularizer"} <= {what for what, *_ in standard_checks(0)}


@every_layer
@both_dtypes
def test_the_dtype_is_kept(what, dtype):
    layer, inputs = case(what, dtype)
    y, backward = layer.forward(*inputs)
    dxs = undo(backward, normal(np.random.default_rng(0), y.shape, dtype))
    assert len(dxs) == sum(x.dtype.kind == "f" for x in inputs)
    everything = [y, *dxs, *values(layer), *gradients(layer)]
    assert {array.dtype for array in everything} == {np.dtype(dtype)}


@every_layer
@both_dtypes
def test_nothing_that_was_given_is_written_to(what, dtype):
    layer, inputs = case(what, dtype)
    y, backward = layer.forward(*inputs)
    dy = normal(np.random.default_rng(1), y.shape, dtype)
    given = [*inputs, *values(layer), y, dy]
    kept = [x.copy() for x in given]
    backward(dy)
    assert all(map(np.array_equal, given, kept))


@every_layer
@both_dtypes
def test_backward_called_twice_doubles_the_gradients(what, dtype):
    layer, inputs = case(what, dtype)
    y, backward = layer.forward(*inputs)
    dy = normal(np.random.default_rng(2), y.shape, dtype)
    first, once = undo(backward, dy), gradients(layer)
    assert all(map(np.array_equal, undo(backward, dy), first))
    for twice, grad in zip(gradients(layer), once):
        assert grad.any()
        agree(twice, 2 * grad, dtype)


@every_layer
def test_a_layer_used_twice_in_one_step_adds_up(what):
    """Backwards called after both forwards give what each use gives alone."""
    def used(*seeds):
        layer, _ = case(what)
        backwards = []
        for seed in seeds:
            y, backward = layer.forward(*case(what, seed=seed)[1])
            backwards.append((backward, normal(np.random.default_rng(seed), y.shape, np.float64)))
        return [undo(*each) for each in backwards], gradients(layer)

    (dx4,), alone4 = used(4)
    (dx5,), alone5 = used(5)
    both, together = used(4, 5)
    for one, other in zip(both, [dx4, dx5], strict=True):
        assert all(map(np.array_equal, one, other))
    for sum_of_both, one, other in zip(together, alone4, alone5, strict=True):
        agree(sum_of_both, one + other, np.float64)


of_layers = pytest.mark.parametrize("what", [what for what, (layer, _) in checked_layers(0).items()
                                             if type(layer).__module__ == layers.__name__])


@of_layers
@both_dtypes
def test_backward_refuses_a_gradient_of_another_shape_or_dtype(what, dtype):
    layer, inputs = case(what, dtype)
    y, backward = layer.forward(*inputs)
    for wrong in y.shape[::-1], y.shape[1:], (1, *y.shape[1:]), (2, *y.shape):
        with pytest.raises(ValueError) as caught:
            backward(np.zeros(wrong, dtype))
        assert str(caught.value).endswith(f".backward: wanted shape {y.shape}, was given {wrong}")
    other = np.dtype(np.float64 if dtype == np.float32 else np.float32)
    with pytest.raises(TypeError, match=f"wanted dtype {np.dtype(dtype)}, was given {other}"):
        backward(y.astype(other))


@pytest.mark.parametrize("forward, error, words", [
    (lambda: Linear(3, 4, RNG, np.float64).forward(np.zeros((3, 4))), ValueError,
     "Linear: wanted shape (..., 3), was given (3, 4)"),
    (lambda: Linear(3, 4, RNG, np.float64).forward(np.zeros((2, 3), np.float32)), TypeError,
     "Linear: wanted dtype float64, was given float32"),
    (lambda: Linear(3, 4, RNG).forward(np.zeros((2, 3))), TypeError,
     "Linear: wanted dtype float32, was given float64"),
    (lambda: Embedding(5, 3, RNG).forward(np.array([0, -1])), IndexError,
     "Embedding: wanted ids from 0 to 4, was given ids from -1 to 0"),
    (lambda: Embedding(5, 3, RNG).forward(np.array([2, 5])), IndexError,
     "Embedding: wanted ids from 0 to 4, was given ids from 2 to 5"),
    (lambda: Embedding(5, 3, RNG).forward(np.array([-7, 9])), IndexError,
     "Embedding: wanted ids from 0 to 4, was given ids from -7 to 9"),
    (lambda: Embedding(5, 3, RNG).forward(np.ones(2)), TypeError,
     "Embedding: wanted integer ids, was given float64"),
    (lambda: Embedding(5, 3, RNG).forward(np.ones(2, bool)), TypeError,
     "Embedding: wanted integer ids, was given bool"),
    (lambda: Mean().forward(np.zeros((2, 2, 3)), np.array([[True, True], [False, False]])),
     ValueError, "Mean: wanted at least one token in each sentence, was given none"),
    (lambda: Mean().forward(np.zeros((3, 5))), ValueError,
     "Mean: wanted shape (B, T, E), was given (3, 5)"),
    (lambda: Mean().forward(np.zeros((2, 3, 5, 7))), ValueError,
     "Mean: wanted shape (B, T, E), was given (2, 3, 5, 7)"),
    (lambda: Mean().forward(np.zeros((2, 3, 5)), np.ones((3, 2), bool)), ValueError,
     "Mean's mask: wanted shape (2, 3), was given (3, 2)"),
    (lambda: Mean().forward(np.zeros((2, 3, 5)), np.ones((1, 3), bool)), ValueError,
     "Mean's mask: wanted shape (2, 3), was given (1, 3)"),
    (lambda: Mean().forward(np.zeros((2, 3, 5)), np.ones((2, 3))), TypeError,
     "Mean's mask: wanted dtype bool, was given float64"),
])
def test_forward_refuses_what_does_not_fit(forward, error, words):
    with pytest.raises(error) as caught:
        forward()
    assert str(caught.value) == words


# Embedding

@given(seeds, dtypes, sizes(2), leading())
@few
def test_embedding_looks_up_rows_and_adds_up_repeated_ids(seed, dtype, table, shape):
    V, E = table
    rng = np.random.default_rng(seed)
    layer = Embedding(V, E, rng, dtype)
    ids = rng.integers(0, V, shape)
    y, backward = layer.forward(ids)
    assert y.shape == (*shape, E) and y.dtype == dtype
    for place in np.ndindex(shape):
        assert np.array_equal(y[place], layer.weight.value[ids[place]])

    dy = normal(rng, y.shape, dtype)
    expected = np.zeros((V, E))
    for place in np.ndindex(shape):
        for e in range(E):
            expected[ids[place], e] += dy[place][e]
    assert backward(dy) is None                        # ids have no gradient
    agree(layer.weight.grad, expected, dtype)


def test_embedding_adds_the_same_id_as_often_as_it_occurs():
    layer = Embedding(4, 2, np.random.default_rng(0), np.float64)
    _, backward = layer.forward(np.array([[2, 2], [0, 2]]))
    backward(np.array([[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]]))
    assert np.array_equal(layer.weight.grad, [[3, 30], [0, 0], [7, 70], [0, 0]])


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32,
                                  np.int64, np.uint64])
def test_embedding_takes_ids_of_any_integer_type(kind):
    """The place of a row in the table does not fit into a byte, though its id does."""
    layer = Embedding(120, 300, np.random.default_rng(0), np.float64)
    y, backward = layer.forward(np.array([3, 119], kind))
    backward(np.ones_like(y))
    assert np.flatnonzero(layer.weight.grad.any(axis=1)).tolist() == [3, 119]


def test_embedding_of_no_ids_is_empty():
    layer = Embedding(4, 3, np.random.default_rng(0))
    y, backward = layer.forward(np.zeros((0, 2), int))
    backward(y)
    assert y.shape == (0, 2, 3) and not layer.weight.grad.any()


def test_embedding_starts_as_standard_normal():
    weight = Embedding(300, 100, np.random.default_rng(0), np.float64).weight.value
    assert weight.shape == (300, 100)
    assert abs(weight.mean()) < 0.02                   # 3.5 standard errors of 30,000 draws
    assert abs(weight.std() - 1) < 0.015
    assert abs((weight**4).mean() - 3) < 0.2           # 1.8 if it were uniform


# Linear

@given(seeds, dtypes, sizes(2), leading())
@few
def test_linear_is_einsum_forward_and_backward(seed, dtype, features, shape):
    inputs, outputs = features
    rng = np.random.default_rng(seed)
    layer = Linear(inputs, outputs, rng, dtype)
    x = normal(rng, (*shape, inputs), dtype)
    dy = normal(rng, (*shape, outputs), dtype)
    y, backward = layer.forward(x)
    dx = backward(dy)

    W, b, x, dy = f64(layer.weight.value, layer.bias.value, x, dy)
    agree(y, np.einsum("oi,...i->...o", W, x) + b, dtype)
    agree(dx, np.einsum("oi,...o->...i", W, dy), dtype)
    dW, db = np.zeros((outputs, inputs)), np.zeros(outputs)
    for place in np.ndindex(shape):
        for o in range(outputs):
            db[o] += dy[place][o]
            for i in range(inputs):
                dW[o, i] += dy[place][o] * x[place][i]
    agree(layer.weight.grad, dW, dtype)
    agree(layer.bias.grad, db, dtype)


def test_linear_that_reads_data_leaves_out_the_gradient_of_the_data_alone():
    rng, dy = np.random.default_rng(0), np.random.default_rng(1).standard_normal((4, 5, 3))
    x = rng.standard_normal((4, 5, 2))
    asked, reads = (Linear(2, 3, np.random.default_rng(2), np.float64, reads_data=data)
                    for data in (False, True))
    assert asked.forward(x)[1](dy).shape == x.shape and reads.forward(x)[1](dy) is None
    for name, parameter in asked.named_parameters().items():
        same = reads.named_parameters()[name]
        assert np.array_equal(same.value, parameter.value)
        assert np.array_equal(same.grad, parameter.grad) and parameter.grad.any()


def test_linear_starts_uniform_within_one_over_root_of_the_inputs():
    layer = Linear(16, 5000, np.random.default_rng(0), np.float64)
    assert layer.weight.value.shape == (5000, 16) and layer.bias.value.shape == (5000,)
    for values in layer.weight.value, layer.bias.value:
        assert -0.25 <= values.min() < -0.249 and 0.249 < values.max() <= 0.25
        assert abs(values.mean()) < 0.008
        assert abs(values.std() - 0.25 / np.sqrt(3)) < 0.004


# Starting values

@pytest.mark.parametrize("make", [Embedding, Linear])
def test_starting_values_come_from_the_generator_alone(make):
    """Drawn in float64, and rounded to float32 unless told otherwise."""
    rng = np.random.default_rng(0)
    first, second = values(make(5, 3, rng, np.float64)), values(make(5, 3, rng, np.float64))
    again = values(make(5, 3, np.random.default_rng(0), np.float64))
    assert all(map(np.array_equal, again, first)) and not any(map(np.array_equal, first, second))
    for single, double in zip(values(make(5, 3, np.random.default_rng(0))), first):
        assert single.dtype == np.float32 and np.array_equal(single, double.astype(np.float32))


# ReLU

@given(seeds, dtypes, leading(4))
@few
def test_relu_passes_what_is_positive_and_its_gradient(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, shape, dtype), normal(rng, shape, dtype)
    y, backward = ReLU().forward(x)
    dx = backward(dy)
    assert y.dtype == dx.dtype == dtype and y.shape == dx.shape == shape
    for place in np.ndindex(shape):
        assert y[place] == (x[place] if x[place] > 0 else 0)
        assert dx[place] == (dy[place] if x[place] > 0 else 0)


@both_dtypes
def test_relu_gives_no_gradient_at_the_kink(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny], dtype)
    y, backward = ReLU().forward(x)
    assert np.array_equal(y, [0, 0, tiny, 0])
    assert np.array_equal(backward(np.array([3, 5, 7, 11], dtype)), [0, 0, 7, 0])


# Mean

def random_mask(rng, B, T):
    """At least one token in each row, anywhere in it."""
    mask = rng.random((B, T)) < 0.5
    mask[np.arange(B), rng.integers(0, T, B)] = True
    return mask


@given(seeds, dtypes, sizes(3), st.booleans())
@few
def test_mean_averages_over_the_tokens_that_are_there(seed, dtype, shape, masked):
    B, T, E = shape
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, (B, T, E), dtype), normal(rng, (B, E), dtype)
    mask = random_mask(rng, B, T) if masked else np.ones((B, T), bool)
    y, backward = Mean().forward(x, mask) if masked else Mean().forward(x)
    dx = backward(dy)

    expected_y, expected_dx = np.zeros((B, E)), np.zeros((B, T, E))
    for b in range(B):
        tokens = [t for t in range(T) if mask[b, t]]
        for t in tokens:
            for e in range(E):
                expected_y[b, e] += float(x[b, t, e]) / len(tokens)
                expected_dx[b, t, e] = float(dy[b, e]) / len(tokens)
    agree(y, expected_y, dtype)
    agree(dx, expected_dx, dtype)
    assert not dx[~mask].any()


@given(seeds, dtypes, sizes(3))
@few
def test_mean_ignores_the_values_of_the_padding(seed, dtype, shape):
    B, T, E = shape
    rng = np.random.default_rng(seed)
    x, mask = normal(rng, (B, T, E), dtype), random_mask(rng, B, T)
    other = np.where(mask[:, :, None], x, normal(rng, (B, T, E), dtype))
    assert np.array_equal(Mean().forward(x, mask)[0], Mean().forward(other, mask)[0])


# Sequential

@given(seeds, dtypes, sizes(4))
@few
def test_sequential_is_the_chain_rule(seed, dtype, features):
    B, inputs, hidden, outputs = features
    rng = np.random.default_rng(seed)
    first, second = Linear(inputs, hidden, rng, dtype), Linear(hidden, outputs, rng, dtype)
    x, dy = normal(rng, (B, inputs), dtype), normal(rng, (B, outputs), dtype)
    y, backward = Sequential(first, ReLU(), second).forward(x)
    dx = backward(dy)

    W1, b1, W2, b2, x, dy = f64(first.weight.value, first.bias.value,
                                second.weight.value, second.bias.value, x, dy)
    before = np.einsum("hi,bi->bh", W1, x) + b1
    after = np.where(before > 0, before, 0)
    dbefore = np.where(before > 0, np.einsum("oh,bo->bh", W2, dy), 0)
    agree(y, np.einsum("oh,bh->bo", W2, after) + b2, dtype)
    agree(dx, np.einsum("hi,bh->bi", W1, dbefore), dtype)
    agree(first.weight.grad, np.einsum("bh,bi->hi", dbefore, x), dtype)
    agree(first.bias.grad, np.einsum("bh->h", dbefore), dtype)
    agree(second.weight.grad, np.einsum("bo,bh->oh", dy, after), dtype)
    agree(second.bias.grad, np.einsum("bo->o", dy), dtype)


def test_sequential_names_its_layers_by_their_place():
    rng = np.random.default_rng(0)
    layers = Linear(2, 3, rng), ReLU(), Linear(3, 5, rng)
    sequential = Sequential(*layers)
    assert list(sequential.children()) == ["0", "1", "2"]
    assert list(sequential.named_parameters()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert sequential.named_parameters()["2.bias"] is layers[2].bias


def test_a_perceptron_is_linear_relu_linear_drawn_in_this_order():
    net = perceptron(3, 5, 2, np.random.default_rng(0), np.float64)
    rng = np.random.default_rng(0)
    first, second = Linear(3, 5, rng, np.float64), Linear(5, 2, rng, np.float64)
    assert [type(layer) for layer in net.layers] == [Linear, ReLU, Linear]
    for ours, wanted in zip(values(net), values(first) + values(second), strict=True):
        assert np.array_equal(ours, wanted)
    assert perceptron(3, 5, 2, rng).layers[0].weight.value.dtype == np.float32


def test_sequential_without_layers_changes_nothing():
    x, dy = np.ones((2, 3)), np.full((2, 3), 5.0)
    y, backward = Sequential().forward(x)
    assert np.array_equal(y, x) and np.array_equal(backward(dy), dy)
