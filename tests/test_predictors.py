"""The predictors against loops over single vectors, told nothing, ids and numbers."""

import numpy as np
import pytest

from minijepa.layers import Embedding, Linear, Sequential, perceptron
from minijepa.modules import Module
from minijepa.predictors import Each, Residual, Rollout, Told

K, B, L, E, H = 4, 3, 2, 5, 7                          # steps, batch, latent, told, hidden
V, M = 6, 8                                            # ids, another latent

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def told_net(outputs, ids, rng, dtype):
    tell = Embedding(V, E, rng, dtype) if ids else Sequential()
    return Told(perceptron(L + E, H, outputs, rng, dtype), tell)


# {name: (how it is made; what it is told: None, ids or numbers; all from s_x, or in turn; whether
# its net says what changes)}
CASES = {
    "Rollout": (lambda *a: Rollout(perceptron(L, H, L, *a), K), None, False, False),
    "Rollout(Residual)": (
        lambda *a: Rollout(Residual(perceptron(L, H, L, *a)), K), None, False, True),
}
for told in "ids", "numbers":
    ids = told == "ids"
    CASES |= {
        f"Rollout(Told), {told}": (
            lambda *a, ids=ids: Rollout(told_net(L, ids, *a)), told, False, False),
        f"Rollout(Residual(Told)), {told}": (
            lambda *a, ids=ids: Rollout(Residual(told_net(L, ids, *a))), told, False, True),
        f"Each(Told), {told}": (lambda *a, ids=ids: Each(told_net(M, ids, *a)), told, True, False),
    }
CASES["Each(Residual(Told)), numbers"] = (
    lambda *a: Each(Residual(told_net(L, False, *a))), "numbers", True, True)
every_predictor = pytest.mark.parametrize("name", CASES)


def case(name, seed=0, dtype=np.float64):
    """The predictor, s_x (B, L) and z (K, B, …) or None."""
    rng = np.random.default_rng(seed)
    predictor = CASES[name][0](rng, dtype)
    s_x = rng.standard_normal((B, L)).astype(dtype)
    numbers, ids = rng.standard_normal((K, B, E)).astype(dtype), rng.integers(0, V, (K, B))
    return predictor, s_x, {None: None, "ids": ids, "numbers": numbers}[CASES[name][1]]


def by_hand(name, parameters, s_x, z):
    """(K, B, …), one vector at a time, from the parameters in their order."""
    _, told, at_once, residual = CASES[name]
    W1, b1, W2, b2, *table = parameters

    def linear(W, b, v):
        return [b_i + sum(w * x for w, x in zip(row, v, strict=True)) for row, b_i in zip(W, b)]

    def net(s, z_kb):
        v = s if told is None else [*s, *(table[0][z_kb] if told == "ids" else z_kb)]
        y = linear(W2, b2, [max(0.0, h) for h in linear(W1, b1, v)])
        return [s_i + y_i for s_i, y_i in zip(s, y, strict=True)] if residual else y

    predictions = []
    for k in range(K):
        before = s_x if at_once or k == 0 else predictions[-1]
        predictions.append([net(before[b], None if z is None else z[k][b]) for b in range(B)])
    return np.array(predictions)


def values(predictor):
    return [p.value for p in predictor.named_parameters().values()]


@every_predictor
@both_dtypes
def test_predictions_are_those_of_a_loop(name, dtype):
    predictor, s_x, z = case(name, dtype=dtype)
    predictions, _ = predictor.forward(s_x, z)
    expected = by_hand(name, values(predictor), s_x, z)
    assert predictions.dtype == dtype and predictions.shape == expected.shape
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(predictions, expected, rtol=0,
                               atol=tolerance * np.abs(expected).max())


@every_predictor
@pytest.mark.parametrize("seed", [0, 1])
def test_every_gradient_is_the_slope_of_the_loop(name, seed):
    """Of s_x, of what is told, of every parameter."""
    predictor, s_x, z = case(name, seed)
    predictions, backward = predictor.forward(s_x, z)
    dy = np.random.default_rng(seed + 9).standard_normal(predictions.shape)
    ds_x, dz = backward(dy.copy())
    told = CASES[name][1]
    assert (dz is None) == (told != "numbers")
    arrays = [s_x, *values(predictor)] + ([z] if told == "numbers" else [])
    gradients = [ds_x, *(p.grad for p in predictor.named_parameters().values()), dz]
    parameters = values(predictor)
    for x, dx in zip(arrays, gradients):
        assert dx.shape == x.shape and dx.dtype == np.float64
        for index in np.ndindex(x.shape):
            kept, loss = x[index], []
            for shift in (1e-5, -1e-5):
                x[index] = kept + shift
                loss.append(np.sum(by_hand(name, parameters, s_x, z) * dy))
            x[index] = kept
            assert dx[index] == pytest.approx((loss[0] - loss[1]) / 2e-5, rel=1e-6, abs=1e-8), index


@every_predictor
@both_dtypes
def test_gradients_add_up_and_nothing_that_was_given_is_written_to(name, dtype):
    predictor, s_x, z = case(name, dtype=dtype)
    given = [s_x.copy(), None if z is None else z.copy(), *(v.copy() for v in values(predictor))]
    predictions, backward = predictor.forward(s_x, z)
    dy = np.random.default_rng(1).standard_normal(predictions.shape).astype(dtype)
    kept = dy.copy()
    first = backward(dy)
    once = [p.grad.copy() for p in predictor.named_parameters().values()]
    second = backward(dy)
    for one, two in zip(first, second, strict=True):
        assert (one is None and two is None) or one.dtype == dtype and np.array_equal(one, two)
    for p, grad in zip(predictor.named_parameters().values(), once):
        assert p.grad.dtype == dtype and grad.any()
        np.testing.assert_allclose(p.grad, 2 * grad, rtol=0, atol=1e-5 * np.abs(grad).max())
    assert np.array_equal(dy, kept)
    for before, now in zip(given, [s_x, z, *values(predictor)], strict=True):
        assert np.array_equal(before, now)


# Cases computed by hand

class Says(Module):
    """y = 2·s + 10·z, and what it was given; its gradients are 2·dy and 10·dy."""

    def __init__(self):
        self.given = []

    def forward(self, s, *z):
        self.given.append((s, *z))
        return 2 * s + sum(10 * z_k for z_k in z), lambda dy: (2 * dy, 10 * dy) if z else 2 * dy


def column(*numbers):
    return np.array(numbers, float)[:, None]


def test_a_rollout_stands_on_its_last_step():
    predictions, backward = Rollout(Says(), 3).forward(column(1, -1))
    assert predictions[..., 0].tolist() == [[2, -2], [4, -4], [8, -8]]
    ds, dz = backward(np.stack([column(1, 0), column(0, 1), column(100, 1000)]))
    assert dz is None and ds.tolist() == column(2 + 800, 4 + 8000).tolist()


def test_a_rollout_takes_one_step_unless_told_otherwise():
    assert Rollout(Says()).steps == 1 and len(Rollout(Says()).forward(column(1))[0]) == 1


def test_a_rollout_is_told_one_z_a_step_and_takes_as_many_steps():
    net = Says()
    told = np.stack([column(3), column(5)])
    predictions, backward = Rollout(net, steps=7).forward(column(1), told)
    assert [z.tolist() for _, z in net.given] == [[[3]], [[5]]]
    assert predictions.ravel().tolist() == [32, 114]           # 2·1 + 30, 2·32 + 50
    ds, dz = backward(np.stack([column(1), column(100)]))
    assert dz.ravel().tolist() == [10 * (1 + 200), 1000] and ds.tolist() == [[2 * (1 + 200)]]


def test_each_is_told_all_z_beside_the_one_s():
    told = np.stack([column(3, 4), column(5, 6)])
    predictions, backward = Each(Says()).forward(column(1, 2), told)
    assert predictions[..., 0].tolist() == [[32, 44], [52, 64]]
    ds, dz = backward(np.stack([column(1, 10), column(100, 1000)]))
    assert ds.tolist() == column(202, 2020).tolist()            # 2·(1 + 100), 2·(10 + 1000)
    assert dz[..., 0].tolist() == [[10, 100], [1000, 10_000]]


def test_told_puts_s_first_and_then_what_it_is_told():
    rng = np.random.default_rng(0)
    net, tell = Linear(3, 1, rng, np.float64), Embedding(3, 2, rng, np.float64)
    net.weight.value[:], net.bias.value[:] = [[1, 10, 100]], 0.5
    tell.weight.value[:] = [[2, 3], [4, 5], [6, 7]]
    y, backward = Told(net, tell).forward(column(1, 1, 9), np.array([2, 0, 2]))
    assert y.tolist() == column(761.5, 321.5, 769.5).tolist()
    ds, dz = backward(column(1, 2, 3))
    assert dz is None and ds.tolist() == column(1, 2, 3).tolist()
    assert tell.weight.grad.tolist() == [[20, 200], [0, 0], [40, 400]]          # id 2 twice: 1 + 3


def test_residual_adds_what_its_net_says():
    y, backward = Residual(Says()).forward(column(1, 2))
    assert y.tolist() == [[3], [6]] and backward(column(1, 5)).tolist() == [[3], [15]]
    y, backward = Residual(Says()).forward(column(1, 2), column(1, -1))
    assert y.tolist() == column(13, -4).tolist()
    ds, dz = backward(column(1, 5))
    assert ds.tolist() == column(3, 15).tolist() and dz.tolist() == column(10, 50).tolist()


@pytest.mark.parametrize("outputs", [1, 4])
def test_residual_refuses_a_net_whose_output_has_another_shape(outputs):
    with pytest.raises(ValueError) as caught:
        Residual(Linear(3, outputs, np.random.default_rng(0), np.float64)).forward(np.zeros((2, 3)))
    assert str(caught.value) == f"Residual's net: wanted shape (2, 3), was given (2, {outputs})"


@pytest.mark.parametrize("steps", [1, 3])
def test_a_rollout_wants_a_gradient_for_each_step(steps):
    _, backward = Rollout(Says(), 2).forward(column(1))
    with pytest.raises(ValueError):
        backward(np.ones((steps, 1, 1)))


# Names

@pytest.mark.parametrize("around", [Rollout, Each])
def test_a_predictor_around_a_net_has_the_nets_parameters_under_their_names(around):
    net = told_net(L, True, np.random.default_rng(0), np.float64)
    predictor = around(net)
    assert list(net.named_parameters()) == [
        "net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias", "tell.weight"]
    assert predictor.named_parameters() == net.named_parameters()
    assert predictor.children() == net.children()
    predictor.flatten()
    predictor.value[:] = 3
    assert all((v == 3).all() for v in values(net))
    plain = around(Linear(2, 2, np.random.default_rng(0)))
    assert list(plain.named_parameters()) == ["weight", "bias"]
