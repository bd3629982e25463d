"""PyTorch gives the same numbers: outputs, gradients, training, checkpoints."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install 'minijepa[torch]'")

import torch.nn.functional as F
import torch_twin
from torch import nn

from minijepa.jepa import JEPA, TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, perceptron
from minijepa.losses import SIGReg, VICReg, covariance_penalty, mse, sigreg, variance_hinge
from minijepa.optimizers import SGD, Adam
from minijepa.predictors import Residual, Rollout
from minijepa.train import Training

torch.set_num_threads(1)

V, E, H, L = 11, 7, 13, 5           # words, embedding, hidden, latent: all different
B, T = 6, 4                         # batch, context words

both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])
treatments = pytest.mark.parametrize("treatment", TREATMENTS)
seeds = pytest.mark.parametrize("seed", range(5))


def assert_equal(ours, theirs, tolerance=None):
    """The same dtype and shape, and the same numbers but for the rounding of sums in another order.

    The tolerance is relative to the largest entry; by default 32 units in the last place.
    """
    ours, theirs = np.asarray(ours), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    if tolerance is None:
        tolerance = 32 * np.finfo(ours.dtype).eps
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def assert_equal_gradients(ours, twin):
    """Every parameter's gradient. What PyTorch gives none is exactly zero in ours."""
    theirs = dict(twin.named_parameters())
    assert list(ours.named_parameters()) == list(theirs)
    for name, parameter in ours.named_parameters().items():
        if theirs[name].grad is None:
            assert not parameter.grad.any(), name
        else:
            assert_equal(parameter.grad, theirs[name].grad)


def copy_parameters(ours, twin):
    """The twin in the dtype of ours and with a copy of its parameters."""
    named = {name: torch.tensor(p.value) for name, p in ours.named_parameters().items()}
    twin.to(next(iter(named.values())).dtype).load_state_dict(named)
    return twin


def compare(forward, twin, *inputs, rng):
    """Outputs, and the gradients of the inputs for a random upstream gradient."""
    tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    y, backward = forward(*inputs)
    their_y = twin(*tensors)
    assert_equal(y, their_y)
    dy = np.asarray(rng.standard_normal(np.shape(y)), np.asarray(y).dtype)
    their_y.backward(torch.tensor(dy))
    dx = backward(dy)
    dx = dx if isinstance(dx, tuple) else (dx,)
    for ours, x in zip(dx, tensors, strict=True):
        if x.requires_grad:
            assert_equal(ours, x.grad)


def compare_layer(layer, twin, *batches, rng):
    """Every batch in turn, and what all of them together left in the parameters' gradients."""
    copy_parameters(layer, twin)
    for inputs in batches:
        compare(layer.forward, twin, *inputs, rng=rng)
        assert_equal_gradients(layer, twin)


def normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


# ---- layers and losses

@both_dtypes
@seeds
def test_embedding_with_repeated_ids(dtype, seed):
    rng = np.random.default_rng(seed)
    few, many = rng.integers(0, V, (2, 3)), rng.integers(0, V, (B, 2, 10))     # several times each
    compare_layer(Embedding(V, E, rng, dtype), nn.Embedding(V, E), [few], [many], rng=rng)


@both_dtypes
@pytest.mark.parametrize("leading", [(), (1,), (B,), (B, T), (2, 1, B, T)])
def test_linear_with_any_leading_dimensions(dtype, leading):
    rng = np.random.default_rng(len(leading))
    batches = [[normal(rng, (*leading, E), dtype)] for _ in range(2)]
    compare_layer(Linear(E, H, rng, dtype), nn.Linear(E, H), *batches, rng=rng)


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


class TorchResidual(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return x + self.net(x)


@both_dtypes
@seeds
@pytest.mark.parametrize("residual", [False, True])
def test_a_perceptron_and_a_residual_one(dtype, seed, residual):
    rng = np.random.default_rng(seed)
    ours, twin = perceptron(E, H, E, rng, dtype), torch_twin.perceptron(E, H, E)
    if residual:
        ours, twin = Residual(ours), TorchResidual(twin)
    batches = [[normal(rng, (B, T, E), dtype)], [normal(rng, (B, E), dtype)]]
    compare_layer(ours, twin, *batches, rng=rng)


# ---- the regularisers, written as in the publications: (N, L) -> a number

def published_variance(z):
    """VICReg, algorithm 1."""
    return torch.mean(F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)))


def published_covariance(z):
    """VICReg, algorithm 1: off_diagonal(cov).pow_(2).sum() / D."""
    N, D = z.shape
    z = z - z.mean(dim=0)
    cov = (z.T @ z) / (N - 1)
    off_diagonal = cov.flatten()[:-1].view(D - 1, D + 1)[:, 1:].flatten()
    return off_diagonal.pow(2).sum() / D


def published_sigreg(z, A):
    """LeJEPA's SIGReg, with the directions A given: 17 knots from 0 to 3, weighted as of |t|."""
    t = torch.linspace(0, 3, 17, dtype=z.dtype)
    dt = 3 / 16
    weights = torch.full((17,), 2 * dt, dtype=z.dtype)
    weights[[0, -1]] = dt
    phi = torch.exp(-t.square() / 2)
    x_t = (z @ A).unsqueeze(-1) * t
    err = (x_t.cos().mean(0) - phi).square() + x_t.sin().mean(0).square()
    return ((err @ (weights * phi)) * z.size(0)).mean()


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
    for ours, theirs in [(variance_hinge, published_variance),
                         (covariance_penalty, published_covariance),
                         (lambda z: sigreg(z, A), lambda z: published_sigreg(z, torch.tensor(A)))]:
        compare(ours, theirs, latents(rng, N, dimension, dtype), rng=rng)


# ---- where training starts

def test_starting_values_are_drawn_as_pytorch_draws_them():
    torch.manual_seed(0)
    rng, quantiles = np.random.default_rng(0), np.linspace(0.05, 0.95, 19)
    pairs = [(Linear(50, 20_000, rng), nn.Linear(50, 20_000)),
             (Embedding(20_000, 10, rng), nn.Embedding(20_000, 10))]
    for ours, twin in pairs:
        for name, theirs in twin.named_parameters():
            drawn, expected = ours.named_parameters()[name].value, theirs.detach().numpy()
            np.testing.assert_allclose(np.quantile(drawn, quantiles),
                                       np.quantile(expected, quantiles),
                                       atol=0.05 * expected.std())     # 20,000 biases: ± 0.02
            if isinstance(twin, nn.Linear):            # uniform: the bounds too
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
    twin = torch_twin.ToyJEPA(V, treatment=treatment)
    for target, online in [(ours.target_encoder.value, ours.context_encoder.value),
                           (twin.target_encoder[0].weight, twin.context_encoder[0].weight)]:
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


def rollout_loss(twin, context_ids, mask, target_ids):
    """Mean over k of D(ŝ_k, s_k), one step at a time."""
    s, losses = twin.encode_context(context_ids, mask), []
    for ids in target_ids:
        s, s_y = twin.predictor(s), twin.encode_target(ids)
        losses.append(F.mse_loss(s, s_y if twin.treatment == "joint" else s_y.detach()))
    return torch.stack(losses).mean()


@treatments
@both_dtypes
@pytest.mark.parametrize("sizes", [(E, H, L), (32, 64, 32)])
@pytest.mark.parametrize("padded", [False, True])
def test_loss_and_gradients_of_the_step(treatment, dtype, sizes, padded):
    rng = np.random.default_rng(0)
    ours, twin = both_models(treatment, dtype, rng, sizes)
    context_ids, mask, target_ids = batch(rng, padded=padded)
    loss, backward = ours.forward((context_ids, mask), target_ids)
    backward()

    ids = torch.tensor(context_ids), torch.tensor(target_ids[0])
    predicted_target, true_target = twin(*ids, torch.tensor(mask)) if padded else twin(*ids)
    their_loss = F.mse_loss(predicted_target, true_target)
    their_loss.backward()
    assert_equal(loss, their_loss)
    assert_equal(ours.predict((context_ids, mask))[0][0], predicted_target)
    assert_equal(ours.encode_target(target_ids)[0][0], true_target)
    assert_equal_gradients(ours, twin)
    assert ours.target_encoder.grad.any() == (treatment == "joint")


@treatments
@both_dtypes
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_loss_and_gradients_of_a_rollout(treatment, dtype, steps):
    rng = np.random.default_rng(steps)
    ours, twin = both_models(treatment, dtype, rng)
    ours.predictor.steps = steps
    ours.predictor.value *= 2                          # so that the later predictions matter
    copy_parameters(ours, twin)
    context_ids, mask, target_ids = batch(rng, steps)
    loss, backward = ours.forward((context_ids, mask), target_ids)
    backward()
    their_loss = rollout_loss(twin, *map(torch.tensor, (context_ids, mask, target_ids)))
    their_loss.backward()
    assert_equal(loss, their_loss)
    assert_equal_gradients(ours, twin)


# ---- the whole step with a regulariser

def published_penalty(name, s, directions):
    """The regularisers below, on latents (..., L) taken as rows."""
    rows = s.reshape(-1, s.shape[-1])
    if name == "vicreg":
        return 0.8 * published_variance(rows) + 0.3 * published_covariance(rows)
    return 0.4 * published_sigreg(rows, directions)


def with_regularizer(ours, name, seed=4):
    """Our model with the regulariser, and the directions that its first two calls will draw."""
    ours.regularizer = (VICReg(0.8, 0.3) if name == "vicreg"
                        else SIGReg(np.random.default_rng(seed), 0.4, 9))
    rng, directions = np.random.default_rng(seed), []
    for _ in range(2):
        A = rng.standard_normal((L, 9)).astype(ours.value.dtype)
        directions.append(torch.tensor(A / np.sqrt((A * A).sum(axis=0))))
    return directions


regularizers = pytest.mark.parametrize("name", ["vicreg", "sigreg"])


@regularizers
@treatments
@both_dtypes
@pytest.mark.parametrize("steps", [1, 3])
def test_loss_and_gradients_of_the_step_with_a_regularizer(name, treatment, dtype, steps):
    """On s_x always; on s_y where the gradient flows into it."""
    rng = np.random.default_rng(steps)
    ours, twin = both_models(treatment, dtype, rng)
    ours.predictor.steps = steps
    directions = with_regularizer(ours, name)
    context_ids, mask, target_ids = batch(rng, steps)
    loss, backward = ours.forward((context_ids, mask), target_ids)
    backward()
    ids, there, targets = map(torch.tensor, (context_ids, mask, target_ids))
    their_loss = rollout_loss(twin, ids, there, targets)
    plain = their_loss.item()
    latents = [twin.encode_context(ids, there)]
    if treatment == "joint":
        latents.append(twin.encode_target(targets))
    for s, drawn in zip(latents, directions):
        their_loss = their_loss + published_penalty(name, s, drawn)
    their_loss.backward()
    assert_equal(loss, their_loss)
    assert loss > plain + 0.1                          # the regulariser has a part in it
    assert_equal_gradients(ours, twin)


class TorchVideo(nn.Module):
    """Windows of pixels: one encoder for both branches, and a predictor that says what changes."""

    def __init__(self):
        super().__init__()
        self.context_encoder = torch_twin.perceptron(E, H, L)
        self.predictor = TorchResidual(torch_twin.perceptron(L, H, L))


@regularizers
@both_dtypes
def test_one_encoder_for_both_branches_with_a_regularizer(name, dtype):
    rng = np.random.default_rng(0)
    K, encoder, twin = 4, perceptron(E, H, L, rng, dtype), TorchVideo()
    net = perceptron(L, H, L, rng, dtype)
    ours = JEPA(encoder, encoder, Rollout(Residual(net), K), "joint")
    named = {name: p for name, p in ours.named_parameters().items() if "target" not in name}
    tensors = {name: torch.tensor(p.value) for name, p in named.items()}
    twin.to(next(iter(tensors.values())).dtype).load_state_dict(tensors)
    directions = with_regularizer(ours, name)
    x, y = normal(rng, (B, E), dtype), normal(rng, (K, B, E), dtype)
    loss, backward = ours.forward(x, y)
    backward()

    s_x, s_y = twin.context_encoder(torch.tensor(x)), twin.context_encoder(torch.tensor(y))
    s, their_loss = s_x, (published_penalty(name, s_x, directions[0])
                          + published_penalty(name, s_y, directions[1]))
    for k in range(K):
        s = twin.predictor(s)
        their_loss = their_loss + F.mse_loss(s, s_y[k]) / K
    their_loss.backward()
    assert_equal(loss, their_loss)
    theirs = dict(twin.named_parameters())
    assert named.keys() == theirs.keys()
    for name, parameter in named.items():
        assert_equal(parameter.grad, theirs[name].grad)


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
    ours, twin = both_models(treatment, np.float64, rng, tau=0.9)
    our_optimizer = Ours(ours.value, ours.grad, **our_options)
    their_optimizer = Theirs(twin.parameters(), **their_options)
    start = ours.value.copy()
    for step in range(100):
        context_ids, mask, target_ids = batch(rng)
        ours.grad[:] = 0
        loss, backward = ours.forward((context_ids, mask), target_ids)
        backward()
        our_optimizer.step()
        ours.update_target()
        their_loss = torch_twin.training_step(
            twin, their_optimizer, *map(torch.tensor, (context_ids, target_ids[0], mask)))
        np.testing.assert_allclose(loss, their_loss.item(), rtol=0, atol=1e-11,
                                   err_msg=f"step {step}")
    for (name, parameter), theirs in zip(ours.named_parameters().items(),
                                         twin.state_dict().values(), strict=True):
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

    twin = torch_twin.ToyJEPA(V, E, H, L).to(torch.tensor(ours.value).dtype)
    torch_twin.load_checkpoint(twin, tmp_path / "model.npz")
    context_ids, mask, target_ids = batch(rng, padded=False)
    predicted_target, true_target = twin(torch.tensor(context_ids), torch.tensor(target_ids[0]))
    assert_equal(ours.predict((context_ids, mask))[0][0], predicted_target)
    assert_equal(ours.encode_target(target_ids)[0][0], true_target)


def test_a_trained_model_goes_on_in_pytorch(tmp_path):
    path = tmp_path / "model.npz"
    command = [sys.executable, "-m", "minijepa.train", "--epochs", "2", "--quiet", "--save", path]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True)
    training = Training.load(str(path))
    ours, number = training.model, {word: i for i, word in enumerate(training.world.vocabulary)}
    twin = torch_twin.ToyJEPA(len(number))
    torch_twin.load_checkpoint(twin, path)

    sentences = ["the cat climbed the tree", "the dog chased the ball", "the child opened the door"]
    ids = np.array([[number[word] for word in sentence.split()] for sentence in sentences])
    context_ids, target_ids = ids[:, :4], ids[:, 4]
    predicted_target, true_target = twin(torch.tensor(context_ids), torch.tensor(target_ids))
    assert_equal(ours.predict((context_ids, None))[0][0], predicted_target, tolerance=1e-6)
    assert_equal(ours.encode_target(target_ids)[0], true_target, tolerance=1e-6)
