"""PyTorch gives the same numbers: outputs, gradients, training, checkpoints, in every world."""

import functools
from itertools import islice, product

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install 'minijepa[torch]'")

import torch.nn.functional as F
import torch_twin
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_twin import tensors, twin

from minijepa.jepa import JEPA, TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential, perceptron
from minijepa.losses import (SIGReg, VICReg, covariance_penalty, cross_entropy, infonce, mse,
                             no_regularizer, sigreg, smallest, variance_hinge)
from minijepa.optimizers import SGD, Adam
from minijepa.predictors import Each, Residual, Rollout, Told
from minijepa.worlds import WORLDS
from minijepa.worlds.coarse import Coarse
from minijepa.worlds.scenes import VOCABULARY, Text
from minijepa.worlds.video import FRAME, Bottleneck, NextFrame

torch.set_num_threads(1)

V, E, H, L = 11, 7, 13, 5           # words, embedding, hidden, latent: all different
B, T = 6, 4                         # batch, context words

both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])
treatments = pytest.mark.parametrize("treatment", TREATMENTS)
seeds = pytest.mark.parametrize("seed", range(5))


def assert_equal(ours, theirs, tolerance=None):
    """The same dtype and shape, and the same numbers but for the rounding of sums in another order.

    By default that is 32 units in the last place of the largest entry; or a tolerance relative
    to it, or to 1.
    """
    ours, theirs = np.asarray(ours), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    largest = np.abs(theirs).max()
    atol = tolerance * max(1, largest) if tolerance else 32 * np.finfo(ours.dtype).eps * largest
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def assert_equal_gradients(ours, theirs, tolerance=None):
    """Every parameter's gradient. What PyTorch gives none is exactly zero in ours."""
    named = dict(theirs.named_parameters(remove_duplicate=False))
    assert list(ours.named_parameters()) == list(named)
    for name, parameter in ours.named_parameters().items():
        if named[name].grad is None:
            assert not parameter.grad.any(), name
        else:
            assert_equal(parameter.grad, named[name].grad, tolerance)


def copy_parameters(ours, listing):
    """The listing in the dtype of ours and with a copy of its parameters."""
    named = {name: torch.tensor(p.value) for name, p in ours.named_parameters().items()}
    listing.to(next(iter(named.values())).dtype).load_state_dict(named)
    return listing


def compare(forward, theirs, *inputs, rng):
    """Outputs, and the gradients of the inputs for a random upstream gradient."""
    given = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    y, backward = forward(*inputs)
    their_y = theirs(*given)
    assert_equal(y, their_y)
    dy = np.asarray(rng.standard_normal(np.shape(y)), np.asarray(y).dtype)
    their_y.backward(torch.tensor(dy))
    dx = backward(dy)
    dx = dx if isinstance(dx, tuple) else (dx,)
    for ours, x in zip(dx, given):
        if x.requires_grad:
            assert_equal(ours, x.grad)


def compare_module(ours, *batches, rng):
    """Every batch in turn, and what all of them together left in the parameters' gradients."""
    theirs = twin(ours)
    for inputs in batches:
        compare(ours.forward, theirs, *inputs, rng=rng)
        assert_equal_gradients(ours, theirs)


def normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


# ---- layers and losses

@both_dtypes
@seeds
def test_embedding_with_repeated_ids(dtype, seed):
    rng = np.random.default_rng(seed)
    few, many = rng.integers(0, V, (2, 3)), rng.integers(0, V, (B, 2, 10))     # several times each
    compare_module(Embedding(V, E, rng, dtype), [few], [many], rng=rng)


@both_dtypes
@pytest.mark.parametrize("leading", [(), (1,), (B,), (B, T), (2, 1, B, T)])
def test_linear_with_any_leading_dimensions(dtype, leading):
    rng = np.random.default_rng(len(leading))
    batches = [[normal(rng, (*leading, E), dtype)] for _ in range(2)]
    compare_module(Linear(E, H, rng, dtype), *batches, rng=rng)


@both_dtypes
def test_relu_and_its_kink(dtype):
    rng = np.random.default_rng(0)
    x = normal(rng, (B, T, E), dtype)
    x[::2, :, ::3] = 0
    x[1::2, :, ::3] = -0.0
    compare(ReLU().forward, nn.ReLU(), x, rng=rng)


@both_dtypes
@seeds
def test_mean_without_and_with_mask(dtype, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, (B, T, E), dtype)
    mask = rng.random((B, T)) < 0.5                    # holes anywhere, not only at the end
    mask[np.arange(B), rng.integers(0, T, B)] = True   # one word at least
    compare(Mean().forward, lambda x: x.mean(dim=1), x, rng=rng)
    compare(lambda x: Mean().forward(x, mask),
            lambda x: torch.stack([words[there].mean(dim=0)
                                   for words, there in zip(x, mask)]), x, rng=rng)


@both_dtypes
@pytest.mark.parametrize("shape", [(1,), (B, L), (3, B, L)])
def test_mse(dtype, shape):
    rng = np.random.default_rng(len(shape))
    compare(mse, F.mse_loss, normal(rng, shape, dtype), normal(rng, shape, dtype), rng=rng)


@both_dtypes
@seeds
@pytest.mark.parametrize("residual", [False, True])
def test_a_perceptron_and_a_residual_one(dtype, seed, residual):
    rng = np.random.default_rng(seed)
    ours = perceptron(E, H, E, rng, dtype)
    batches = [[normal(rng, (B, T, E), dtype)], [normal(rng, (B, E), dtype)]]
    compare_module(Residual(ours) if residual else ours, *batches, rng=rng)


PREDICTORS = {         # z as it is told, what makes it features, and how many
    "numbers": (lambda rng, dtype: normal(rng, (3, B, 2), dtype), lambda *_: Sequential(), 2),
    "numbers, mapped": (lambda rng, dtype: normal(rng, (3, B, 2), dtype),
                        lambda *arguments: Linear(2, E, *arguments), E),
    "ids": (lambda rng, dtype: rng.integers(0, V, (3, B)),
            lambda *arguments: Embedding(V, E, *arguments), E),
    "texts": (lambda rng, dtype: texts(rng, 3, B), lambda *arguments: Text(E, *arguments), E),
}


def texts(rng, *shape):
    """Words' ids, -1 where there is no word."""
    ids = rng.integers(0, len(VOCABULARY), (*shape, T))
    return np.where(np.arange(T) < rng.integers(1, T + 1, (*shape, 1)), ids, -1)


@both_dtypes
@pytest.mark.parametrize("told", PREDICTORS)
@pytest.mark.parametrize("around", [Rollout, Each])
def test_predictors_and_the_gradients_of_what_they_are_told(dtype, told, around):
    rng = np.random.default_rng(0)
    draw, tell, width = PREDICTORS[told]
    net = Told(perceptron(L + width, H, L, rng, dtype), tell(rng, dtype))
    ours = around(Residual(net) if around is Rollout else net)
    assert list(ours.named_parameters()) == list(ours.net.named_parameters())
    compare_module(ours, *([normal(rng, (B, L), dtype), draw(rng, dtype)] for _ in range(2)),
                   rng=rng)


@both_dtypes
def test_the_modules_of_single_worlds(dtype):
    rng = np.random.default_rng(0)
    compare_module(Text(E, rng, dtype), [texts(rng, B)], [texts(rng, 2, B)], rng=rng)
    frame = Sequential(*perceptron(3 * FRAME, H, L, rng, dtype).layers, ReLU(),
                       Linear(L, FRAME, rng, dtype))
    compare_module(NextFrame(frame), [normal(rng, (B, 3 * FRAME), dtype)], rng=rng)
    ours = JEPA(Sequential(), Sequential(), Rollout(NextFrame(frame), 3), "stopgrad")
    narrow, x = Bottleneck(ours), normal(rng, (B, 3 * FRAME), dtype)
    assert_equal(narrow.predict(x)[0], twin(narrow.encoder)(twin(ours).predict(torch.tensor(x))))


# ---- energies and regularisers, held against their published forms

@both_dtypes
@pytest.mark.parametrize("K", [1, 2, 5])
@pytest.mark.parametrize("soft", [0.0, 0.3, 1.0])
def test_the_smallest_of_several(dtype, K, soft):
    rng = np.random.default_rng(K)
    compare(lambda *both: smallest(*both, soft), lambda *both: torch_twin.smallest(*both, soft),
            normal(rng, (K, B, L), dtype), normal(rng, (1, B, L), dtype), rng=rng)


@both_dtypes
@pytest.mark.parametrize("shape", [(B, L), (1, B, L), (2, B, L)])
def test_infonce_and_cross_entropy(dtype, shape):
    rng = np.random.default_rng(len(shape))
    prediction, target = normal(rng, shape, dtype), normal(rng, shape, dtype)
    compare(lambda *both: infonce(*both, 0.2), lambda *both: torch_twin.infonce(*both, 0.2),
            prediction, target, rng=rng)
    share = np.exp(target)
    compare(cross_entropy, torch_twin.cross_entropy, prediction,
            share / share.sum(axis=-1, keepdims=True), rng=rng)


def latents(rng, N, dimension, dtype):
    """Some dimensions narrower than the floor and some wider, correlated, off the origin."""
    mixed = rng.standard_normal((N, dimension)) @ rng.standard_normal((dimension, dimension))
    wide = mixed * 10**rng.uniform(-1.5, 0.5, dimension)
    return (wide + rng.standard_normal(dimension)).astype(dtype)


def unit_directions(rng, dimension, count, dtype):
    A = rng.standard_normal((dimension, count))
    return (A / np.linalg.norm(A, axis=0)).astype(dtype)


@both_dtypes
@pytest.mark.parametrize("N, dimension", [(2, 3), (32, 5), (64, 32)])
def test_the_regularisers_as_published(dtype, N, dimension):
    rng = np.random.default_rng(N)
    A = unit_directions(rng, dimension, 11, dtype)
    for ours, theirs in [(variance_hinge, torch_twin.variance),
                         (covariance_penalty, torch_twin.covariance),
                         (lambda z: sigreg(z, A), lambda z: torch_twin.sigreg(z, torch.tensor(A)))]:
        compare(ours, theirs, latents(rng, N, dimension, dtype), rng=rng)


# ---- where training starts

def test_starting_values_are_drawn_as_pytorch_draws_them():
    torch.manual_seed(0)
    rng, quantiles = np.random.default_rng(0), np.linspace(0.05, 0.95, 19)
    pairs = [(Linear(50, 20_000, rng), nn.Linear(50, 20_000)),
             (Embedding(20_000, 10, rng), nn.Embedding(20_000, 10))]
    for ours, layer in pairs:
        for name, theirs in layer.named_parameters():
            drawn, expected = ours.named_parameters()[name].value, theirs.detach().numpy()
            np.testing.assert_allclose(np.quantile(drawn, quantiles),
                                       np.quantile(expected, quantiles),
                                       atol=0.05 * expected.std())     # 20,000 biases: ± 0.02
            if isinstance(layer, nn.Linear):           # uniform: the bounds too
                bound = 1 / np.sqrt(50)
                for values in (drawn, expected):
                    assert 0.999 * bound < values.max() <= bound * (1 + 1e-7)
                    assert 0.999 * bound < -values.min() <= bound * (1 + 1e-7)


@pytest.mark.parametrize("sizes", [(), (E, H, L)])
def test_names_shapes_and_order_are_those_of_the_state_dict(sizes):
    ours = ToyJEPA(V, np.random.default_rng(0), *sizes).named_parameters()
    theirs = torch_twin.ToyJEPA(V, *sizes).state_dict()
    assert ([(name, p.value.shape) for name, p in ours.items()]
            == [(name, tuple(tensor.shape)) for name, tensor in theirs.items()])


@treatments
def test_only_ema_starts_the_target_as_a_copy(treatment):
    ours = ToyJEPA(V, np.random.default_rng(0), treatment=treatment)
    listing = torch_twin.ToyJEPA(V, treatment=treatment)
    for target, online in [(ours.target_encoder.value, ours.context_encoder.value),
                           (listing.target_encoder[0].weight, listing.context_encoder[0].weight)]:
        assert (target == online).all() == (treatment == "ema")


# ---- the whole step

def both_models(treatment, dtype, rng, sizes=(E, H, L), tau=0.99):
    ours = ToyJEPA(V, rng, *sizes, dtype=dtype, treatment=treatment, tau=tau)
    # Under ema the two encoders start as one: move them apart, as training does.
    ours.target_encoder.value += 0.1 * normal(rng, ours.target_encoder.value.shape, dtype)
    return ours, copy_parameters(ours, torch_twin.ToyJEPA(V, *sizes, treatment=treatment, tau=tau))


def batch(rng, steps=1, padded=True):
    """context_ids (B, T), mask (B, T), target_ids (K, B)."""
    length = rng.integers(1, T + 1, B) if padded else np.full(B, T)
    mask = np.arange(T) < length[:, None]
    return rng.integers(0, V, (B, T)), mask, rng.integers(0, V, (steps, B))


@treatments
@both_dtypes
@pytest.mark.parametrize("sizes", [(E, H, L), (32, 64, 32)])
@pytest.mark.parametrize("padded", [False, True])
def test_loss_and_gradients_of_the_step(treatment, dtype, sizes, padded):
    rng = np.random.default_rng(0)
    ours, listing = both_models(treatment, dtype, rng, sizes)
    context_ids, mask, target_ids = batch(rng, padded=padded)
    loss, backward = ours.forward((context_ids, mask), target_ids)
    backward()

    ids = torch.tensor(context_ids), torch.tensor(target_ids[0])
    predicted_target, true_target = listing(*ids, torch.tensor(mask)) if padded else listing(*ids)
    their_loss = F.mse_loss(predicted_target, true_target)
    their_loss.backward()
    assert_equal(loss, their_loss)
    assert_equal(ours.predict((context_ids, mask))[0][0], predicted_target)
    assert_equal(ours.encode_target(target_ids)[0][0], true_target)
    assert_equal_gradients(ours, listing)
    assert ours.target_encoder.grad.any() == (treatment == "joint")


def regularizer_of(name, seed=4):
    return {"none": no_regularizer, "vicreg": VICReg(0.8, 0.3),
            "sigreg": SIGReg(np.random.default_rng(seed), 0.4, 9)}[name]


REGULARIZERS = ["none", "vicreg", "sigreg"]


def windows(rng, dtype, steps, regularizer):
    """As in the video world: one encoder for both branches, and a predictor of what changes."""
    encoder, net = perceptron(E, H, L, rng, dtype), perceptron(L, H, L, rng, dtype)
    ours = JEPA(encoder, encoder, Rollout(Residual(net), steps), "joint", regularizer=regularizer)
    return ours, (normal(rng, (B, E), dtype), normal(rng, (steps, B, E), dtype))


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@both_dtypes
@pytest.mark.parametrize("treatment", [*TREATMENTS, "one encoder"])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_loss_and_gradients_of_a_rollout(treatment, dtype, steps, regularizer):
    """The regulariser is asked of s_x always; of s_y where the gradient flows into it."""
    rng = np.random.default_rng(steps)
    if treatment == "one encoder":
        ours, inputs = windows(rng, dtype, steps, regularizer_of(regularizer))
    else:
        ours, _ = both_models(treatment, dtype, rng)
        ours.predictor.steps, ours.regularizer = steps, regularizer_of(regularizer)
        context_ids, mask, target_ids = batch(rng, steps)
        inputs = (context_ids, mask), target_ids
    ours.predictor.value *= 2                          # so that the later predictions matter
    theirs = twin(ours)
    loss, backward = ours.forward(*inputs)
    backward()
    their_loss = theirs(*tensors(inputs))
    their_loss.backward()
    assert_equal(loss, their_loss)
    assert_equal_gradients(ours, theirs)
    if regularizer != "none":                          # it has a part in it
        ours.regularizer = no_regularizer
        assert loss > ours.forward(*inputs)[0] + 0.1


# ---- every world

def cases():
    """(world, options, treatment, regulariser): all that it has, and what it is compared with."""
    for name, world in WORLDS.items():
        alike = name not in ("futures", "questions")   # encoders, so that there is an average
        yield from ((name, {}, *both) for both in
                    product(TREATMENTS if alike else TREATMENTS[1:], REGULARIZERS))
        for changes in world.comparisons.values():
            yield name, changes, world.all_options()["treatment"].default, "none"
    yield from (("words", {"predictor": "none"}, treatment, "none") for treatment in TREATMENTS)
    yield from (("coarse", {}, "joint", regularizer) for regularizer in REGULARIZERS)


@functools.cache
def world_of(name, **changes):
    if name != "coarse":
        return WORLDS[name](dtype="float64", **changes)
    rooms = world_of("rooms")
    return Coarse(rooms, rooms.untrained(rooms.config), **changes)


SHAPES = {"futures": {"ways": st.integers(1, 3), "values": st.integers(0, 4)},
          "coarse": {"ahead": st.integers(1, 3)}}
TRAINERS = [(Adam, torch.optim.Adam, {"learning_rate": 1e-2, "epsilon": 1e-6},
             {"lr": 1e-2, "eps": 1e-6}),
            (SGD, torch.optim.SGD, {"learning_rate": 1e-3, "momentum": 0.9},
             {"lr": 1e-3, "momentum": 0.9})]


@pytest.mark.parametrize("name, changes, treatment, regularizer", [*cases()])
@given(st.data())
@settings(deadline=None, max_examples=3)
def test_ten_steps_in_every_world(name, changes, treatment, regularizer, data):
    """The loss and all gradients of each step, and where it leads: to 1e-10."""
    drawn = data.draw(st.fixed_dictionaries(SHAPES.get(name, {})))
    world = world_of(name, **{**drawn, **changes})
    sizes = data.draw(st.fixed_dictionaries(
        {option: st.integers(1, 6) for option in world.options if option.endswith("_dim")}))
    config = {**world.config, "treatment": treatment, "tau": 0.9, **sizes, **changes}
    size, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 2**32 - 1))
    batches = [*islice(world.batches(size, np.random.default_rng(seed)), 10)]
    for Ours, Theirs, our_options, their_options in TRAINERS:
        ours = world.build(config, np.random.default_rng(seed), regularizer_of(regularizer))
        ours.value *= 0.5              # or, in steps of one hidden unit, a rollout may explode
        theirs = twin(ours)
        our_optimizer = Ours(ours.value, ours.grad, **our_options)
        their_optimizer = Theirs(torch_twin.trained(theirs), **their_options)
        for x, y, z in batches:
            loss, backward = ours.forward(x, y, z)
            ours.grad[:] = 0
            backward()
            our_optimizer.step()
            ours.update_target()
            their_loss = torch_twin.training_step(theirs, their_optimizer, *tensors((x, y, z)))
            assert_equal(loss, their_loss, tolerance=1e-10)
            assert_equal_gradients(ours, theirs, tolerance=1e-10)
        for part, value in theirs.state_dict().items():
            assert_equal(ours.named_parameters()[part].value, value, tolerance=1e-10)


# ---- a hundred steps

OPTIMIZERS = {
    "sgd, defaults": (SGD, torch.optim.SGD, {}, {}),
    "sgd": (SGD, torch.optim.SGD, {"learning_rate": 0.1}, {"lr": 0.1}),
    "sgd, momentum": (SGD, torch.optim.SGD, {"learning_rate": 0.05, "momentum": 0.9},
                      {"lr": 0.05, "momentum": 0.9}),
    "adam, defaults": (Adam, torch.optim.Adam, {}, {}),
    "adam": (Adam, torch.optim.Adam, {"learning_rate": 3e-3, "betas": (0.8, 0.95), "epsilon": 1e-4},
             {"lr": 3e-3, "betas": (0.8, 0.95), "eps": 1e-4}),
}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@optimizers
def test_hundred_steps_on_the_same_gradients(optimizer):
    rng = np.random.default_rng(0)
    Ours, Theirs, our_options, their_options = OPTIMIZERS[optimizer]
    value, grad = rng.standard_normal(50), np.zeros(50)
    theirs = torch.tensor(value, requires_grad=True)
    our_optimizer = Ours(value, grad, **our_options)
    their_optimizer = Theirs([theirs], **their_options)
    scale = 10 ** rng.uniform(-10, 1, 50)              # small enough for Adam's ε to count
    scale[:5] = 0                                      # and a parameter that never has a gradient
    for step in range(100):
        grad[:] = scale * rng.standard_normal(50)
        theirs.grad = torch.tensor(grad)
        our_optimizer.step()
        their_optimizer.step()
        np.testing.assert_allclose(value, theirs.detach().numpy(), rtol=0, atol=1e-12,
                                   err_msg=f"step {step}")


@treatments
@optimizers
def test_hundred_training_steps(treatment, optimizer):
    rng = np.random.default_rng(0)
    Ours, Theirs, our_options, their_options = OPTIMIZERS[optimizer]
    ours, listing = both_models(treatment, np.float64, rng, tau=0.9)
    our_optimizer = Ours(ours.value, ours.grad, **our_options)
    their_optimizer = Theirs(listing.parameters(), **their_options)
    start = ours.value.copy()
    for step in range(100):
        context_ids, mask, target_ids = batch(rng)
        ours.grad[:] = 0
        loss, backward = ours.forward((context_ids, mask), target_ids)
        backward()
        our_optimizer.step()
        ours.update_target()
        their_loss = torch_twin.training_step(
            listing, their_optimizer, *map(torch.tensor, (context_ids, target_ids[0], mask)))
        np.testing.assert_allclose(loss, their_loss.item(), rtol=0, atol=1e-11,
                                   err_msg=f"step {step}")
    for (name, parameter), theirs in zip(ours.named_parameters().items(),
                                         listing.state_dict().values(), strict=True):
        np.testing.assert_allclose(parameter.value, theirs.numpy(), rtol=0, atol=1e-11,
                                   err_msg=name)
    assert not np.allclose(ours.value, start, atol=1e-4)


# ---- a checkpoint goes on in PyTorch

@both_dtypes
def test_saved_parameters_load_and_give_equal_outputs(dtype, tmp_path):
    rng = np.random.default_rng(0)
    ours, _ = both_models("ema", dtype, rng)
    named = {name: parameter.value for name, parameter in ours.named_parameters().items()}
    np.savez(tmp_path / "model.npz", **named,
             **{"state/words": np.array(["cat", "tree"]), "state/t": np.array(7)})

    listing = torch_twin.ToyJEPA(V, E, H, L).to(torch.tensor(ours.value).dtype)
    torch_twin.load_checkpoint(listing, tmp_path / "model.npz")
    context_ids, mask, target_ids = batch(rng, padded=False)
    predicted_target, true_target = listing(torch.tensor(context_ids), torch.tensor(target_ids[0]))
    assert_equal(ours.predict((context_ids, mask))[0][0], predicted_target)
    assert_equal(ours.encode_target(target_ids)[0][0], true_target)
