"""The JEPA against the same model written word by word, in its three treatments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.jepa import JEPA, TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Sequential
from minijepa.losses import VICReg, mse, no_regularizer
from minijepa.optimizers import Adam
from minijepa.predictors import Each, Rollout, Told

V, E, H, L = 7, 3, 5, 2                                # words, features, hidden, latent

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
treatments = st.sampled_from(TREATMENTS)
sizes = st.permutations(range(1, 6)).map(lambda some: some[:3])
few = settings(deadline=None, max_examples=25)
each_treatment = pytest.mark.parametrize("treatment", TREATMENTS)


def toy(rng, treatment="ema", dtype=np.float64, tau=0.99, steps=1):
    """A model whose target encoder has values of its own, as it has in the midst of training."""
    model = ToyJEPA(V, rng, E, H, L, dtype, treatment, tau)
    model.predictor.steps = steps
    model.target_encoder.value += rng.normal(0, 0.3, model.target_encoder.value.shape).astype(dtype)
    return model


def batch(rng, K, B, T, words=range(V)):
    """x with 1 to T tokens a sentence, anywhere in it, and the targets y."""
    mask = rng.random((B, T)) < 0.5
    mask[np.arange(B), rng.integers(0, T, B)] = True
    return (rng.choice(words, (B, T)), mask), rng.integers(0, V, (K, B))


def values(model):
    return {name: p.value.astype(np.float64) for name, p in model.named_parameters().items()}


def perceptron(p, name, v):
    """One vector through one of the three networks."""
    hidden = p[f"{name}.0.weight"] @ v + p[f"{name}.0.bias"]
    hidden = np.array([max(h, 0.0) for h in hidden])
    return p[f"{name}.2.weight"] @ hidden + p[f"{name}.2.bias"]


def context_latents(p, x):
    latents = []
    for ids, there in zip(*x):
        rows = [p["embedding.weight"][i] for i, real in zip(ids, there) if real]
        latents.append(perceptron(p, "context_encoder", sum(rows) / len(rows)))
    return np.array(latents)                           # (B, L)


def target_latents(p, y):
    return np.array([[perceptron(p, "target_encoder", p["embedding.weight"][i]) for i in ids]
                     for ids in y])                    # (K, B, L)


def rollout(p, x, K):
    latents, steps = context_latents(p, x), []
    for _ in range(K):
        latents = np.array([perceptron(p, "predictor", s) for s in latents])
        steps.append(latents)
    return np.array(steps)                             # (K, B, L)


def mean_distance(predictions, targets):
    K, B = predictions.shape[:2]
    return sum(np.sum((predictions[k, b] - targets[k, b]) ** 2) / L
               for k in range(K) for b in range(B)) / (K * B)


def agree(actual, expected, dtype):
    expected = np.asarray(expected)
    tolerance = {np.float32: 1e-5, np.float64: 1e-12}[dtype] * max(1, np.abs(expected).max())
    assert actual.dtype == dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


# Forward

@given(seeds, dtypes, sizes)
@few
def test_encode_context_is_the_perceptron_of_the_mean_word(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    model, (x, _) = toy(rng, dtype=dtype), batch(rng, *shape)
    agree(model.encode_context(x)[0], context_latents(values(model), x), dtype)


@given(seeds, dtypes, sizes)
@few
def test_the_words_in_the_padding_do_not_matter(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    model, ((ids, mask), _) = toy(rng, dtype=dtype), batch(rng, *shape)
    others = np.where(mask, ids, rng.integers(0, V, ids.shape))
    assert np.array_equal(
        model.encode_context((ids, mask))[0],
        model.encode_context((others, mask))[0])


@given(seeds, dtypes, sizes, st.integers(1, 4))
@few
def test_more_padding_does_not_matter(seed, dtype, shape, extra):
    rng = np.random.default_rng(seed)
    model, ((ids, mask), _) = toy(rng, dtype=dtype), batch(rng, *shape)
    longer = (np.pad(ids, ((0, 0), (0, extra)), constant_values=V - 1),
              np.pad(mask, ((0, 0), (0, extra))))
    agree(model.encode_context(longer)[0], model.encode_context((ids, mask))[0], dtype)


@given(seeds, dtypes, sizes)
@few
def test_encode_target_is_the_perceptron_of_each_word(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    model, (_, y) = toy(rng, dtype=dtype), batch(rng, *shape)
    agree(model.encode_target(y)[0], target_latents(values(model), y), dtype)


@given(seeds, dtypes, sizes)
@few
def test_predict_rolls_the_predictor_out(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, dtype=dtype, steps=shape[0]), batch(rng, *shape)
    agree(model.predict(x)[0], rollout(values(model), x, len(y)), dtype)


def test_predict_takes_one_step_unless_told_otherwise():
    rng = np.random.default_rng(0)
    model, (x, _) = toy(rng), batch(rng, 1, 4, 3)
    agree(model.predict(x)[0], rollout(values(model), x, 1), np.float64)


@given(seeds, dtypes, sizes, treatments)
@few
def test_the_loss_is_the_mean_distance_over_all_steps(seed, dtype, shape, treatment):
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, treatment, dtype, steps=shape[0]), batch(rng, *shape)
    p = values(model)
    expected = mean_distance(rollout(p, x, len(y)), target_latents(p, y))
    agree(model.forward(x, y)[0], expected, dtype)


# Backward

@each_treatment
@pytest.mark.parametrize("seed, K, B, T", [(0, 1, 4, 3), (1, 3, 2, 4), (2, 2, 1, 5)])
def test_the_gradient_of_a_step_is_the_slope_of_the_loss(treatment, seed, K, B, T):
    """Where the gradient is stopped, the targets stay what they were as the parameters move."""
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, treatment, steps=K), batch(rng, K, B, T)
    p = values(model)
    fixed = target_latents(p, y)

    def loss():
        targets = target_latents(p, y) if treatment == "joint" else fixed
        return mean_distance(rollout(p, x, K), targets)

    model.forward(x, y)[1]()
    for name, parameter in model.named_parameters().items():
        for index in np.ndindex(parameter.grad.shape):
            kept = p[name][index]
            p[name][index] = kept + 1e-5
            ahead = loss()
            p[name][index] = kept - 1e-5
            behind = loss()
            p[name][index] = kept
            slope = (ahead - behind) / 2e-5
            assert parameter.grad[index] == pytest.approx(slope, rel=1e-6, abs=1e-9), (name, index)


@pytest.mark.parametrize("seed, K, B, T", [(0, 1, 4, 3), (1, 3, 2, 4)])
def test_the_gradient_of_predict_is_the_slope_of_its_projection(seed, K, B, T):
    rng = np.random.default_rng(seed)
    model, (x, _) = toy(rng, steps=K), batch(rng, K, B, T)
    p, dpredictions = values(model), rng.standard_normal((K, B, L))
    kept_dpredictions = dpredictions.copy()
    assert model.predict(x)[1](dpredictions) is None   # nothing was told
    assert np.array_equal(dpredictions, kept_dpredictions)
    for name, parameter in model.named_parameters().items():
        direction = rng.standard_normal(parameter.grad.shape)
        ahead = np.sum(rollout({**p, name: p[name] + 1e-6 * direction}, x, K) * dpredictions)
        behind = np.sum(rollout({**p, name: p[name] - 1e-6 * direction}, x, K) * dpredictions)
        slope = np.sum(parameter.grad * direction)
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-7, abs=1e-8), name


def step_gradients(treatment, seed, words=range(V), dtype=np.float64):
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, treatment, dtype, steps=2), batch(rng, 2, 4, 3, words)
    model.forward(x, y)[1]()
    return model, x, y


@pytest.mark.parametrize("treatment", ["ema", "stopgrad"])
@given(seed=seeds)
@few
def test_no_gradient_flows_through_a_stopped_target_branch(treatment, seed):
    """Not into the target encoder, and not into words that only the target branch reads."""
    model, _, y = step_gradients(treatment, seed, words=[0, 1, 2])
    assert not model.target_encoder.grad.any()
    assert not model.embedding.weight.grad[3:].any()


def test_the_target_branch_trains_encoder_and_embedding_when_joint():
    model, _, y = step_gradients("joint", 0, words=[0, 1, 2])
    only_targets = sorted(set(y.flat) - {0, 1, 2})
    assert only_targets
    assert model.target_encoder.grad.any()
    assert model.embedding.weight.grad[only_targets].any(axis=1).all()


def test_stopping_the_gradient_leaves_the_rest_as_it_is():
    joint, _, _ = step_gradients("joint", 0)
    stopped, _, _ = step_gradients("stopgrad", 0)
    assert stopped.predictor.grad.any() and stopped.context_encoder.grad.any()
    assert np.array_equal(stopped.predictor.grad, joint.predictor.grad)
    assert np.array_equal(stopped.context_encoder.grad, joint.context_encoder.grad)


@each_treatment
def test_gradients_of_several_steps_add_up(treatment):
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng, treatment, steps=2), batch(rng, 2, 4, 3)
    _, backward = model.forward(x, y)
    backward()
    once = model.grad.copy()
    backward()
    agree(model.grad, 2 * once, np.float64)
    model.grad[:] = 0
    backward(-3)
    agree(model.grad, -3 * once, np.float64)


# Vectors instead of words: the context is x itself, and no embedding is needed.
def vector_jepa(rng, treatment, steps=1, **options):
    encoder, other, net = (Linear(*size, rng, np.float64) for size in [(E, L), (E, L), (L, L)])
    return JEPA(encoder, other, Rollout(net, steps), treatment, **options)


def test_encoders_of_any_kind_will_do():
    rng = np.random.default_rng(0)
    model = vector_jepa(rng, "joint")
    x, y = rng.standard_normal((4, E)), rng.standard_normal((1, 4, E))
    encoder, target, predictor = model.context_encoder, model.target_encoder, model.predictor.net
    s_x = x @ encoder.weight.value.T + encoder.bias.value
    s_y = y @ target.weight.value.T + target.bias.value
    prediction = s_x @ predictor.weight.value.T + predictor.bias.value
    agree(model.encode_context(x)[0], s_x, np.float64)
    agree(model.encode_target(y)[0], s_y, np.float64)

    loss, backward = model.forward(x, y)
    backward()
    difference = 2 * (prediction - s_y[0]) / (4 * L)
    agree(loss, np.mean((prediction - s_y[0]) ** 2), np.float64)
    agree(target.weight.grad, -np.einsum("bl,be->le", difference, y[0]), np.float64)
    agree(encoder.weight.grad,
          np.einsum("bm,ml,be->le", difference, predictor.weight.value, x), np.float64)


def test_one_object_may_be_both_encoders_when_joint():
    """It is in the vector once, and its gradient is the sum of both branches' gradients."""
    rng = np.random.default_rng(0)
    apart = vector_jepa(rng, "joint", steps=2)
    apart.target_encoder.value[:] = apart.context_encoder.value
    x, y = rng.standard_normal((4, E)), rng.standard_normal((2, 4, E))
    apart.forward(x, y)[1]()
    branches = apart.context_encoder.grad + apart.target_encoder.grad

    same = JEPA(apart.context_encoder, apart.context_encoder, apart.predictor, "joint")
    assert same.value.size == apart.value.size - apart.target_encoder.value.size
    same.forward(x, y)[1]()
    agree(same.context_encoder.grad, branches, np.float64)


# What is told, and the energy

def told(rng, treatment, ids=False, **options):
    """Vectors, and a predictor that is told one of three things for each: predictions (3, B, L)."""
    tell = Embedding(3, H, rng, np.float64) if ids else Sequential()
    predictor = Each(Told(Linear(L + H, L, rng, np.float64), tell))
    model = JEPA(Linear(E, L, rng, np.float64), Linear(E, L, rng, np.float64), predictor, treatment,
                 **options)
    model.target_encoder.value += rng.normal(0, 0.3, model.target_encoder.value.shape)
    x, y = rng.standard_normal((4, E)), rng.standard_normal((3, 4, E))
    return model, x, y, rng.integers(0, 3, (3, 4)) if ids else rng.standard_normal((3, 4, H))


def smallest(predictions, s_y):
    """The energy of a latent variable: of each example's three predictions, the nearest counts."""
    energies = np.mean((predictions - s_y) ** 2, axis=2)                       # (K, B)
    best = energies.argmin(axis=0)
    chosen = (best[None] == np.arange(3)[:, None])[..., None] * (predictions - s_y)

    def backward(dloss=1):
        dpredictions = dloss * 2 * chosen / (L * 4)
        return dpredictions, -dpredictions

    return energies.min(axis=0).mean(), backward


@each_treatment
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("distance", [mse, smallest])
def test_the_gradient_of_a_step_that_is_told_z_under_any_energy(treatment, ids, distance):
    model, x, y, z = told(np.random.default_rng(0), treatment, ids, distance=distance)
    loss, backward = model.forward(x, y, z)
    assert loss == distance(model.predict(x, z)[0], model.encode_target(y)[0])[0]
    fixed = None if treatment == "joint" else model.encode_target(y)[0].copy()
    backward(-2)
    assert model.target_encoder.grad.any() == (treatment == "joint")

    def energy():
        return distance(
            model.predict(x, z)[0],
            model.encode_target(y)[0] if fixed is None else fixed)[0]

    for index in range(model.value.size):
        kept = model.value[index]
        model.value[index] = kept + 1e-5
        ahead = energy()
        model.value[index] = kept - 1e-5
        behind = energy()
        model.value[index] = kept
        assert model.grad[index] == pytest.approx(-2 * (ahead - behind) / 2e-5, rel=1e-6,
                                                  abs=1e-9), index


def test_predict_gives_the_gradient_of_what_it_is_told():
    """Planning by gradient: which action would bring the prediction nearer to the goal?"""
    rng = np.random.default_rng(0)
    model, x, _, z = told(rng, "ema")
    dy = rng.standard_normal((3, 4, L))
    dz = model.predict(x, z)[1](dy)
    assert dz.shape == z.shape
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-5
        slope = np.sum((model.predict(x, z + step)[0] - model.predict(x, z - step)[0]) * dy) / 2e-5
        assert dz[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_the_distance_is_given_the_predictions_and_their_targets_in_this_order():
    rng, given = np.random.default_rng(0), []

    def distance(predictions, s_y):
        given.append((predictions, s_y))
        return mse(predictions, s_y)

    model, x, y, z = told(rng, "joint", distance=distance)
    model.forward(x, y, z)
    (predictions, s_y), = given
    assert np.array_equal(predictions,
                          model.predict(x, z)[0]) and np.array_equal(s_y,
                                                                     model.encode_target(y)[0])


# Without a predictor

@pytest.mark.parametrize("K", [1, 2])
def test_without_a_predictor_the_context_latent_is_the_prediction(K):
    rng = np.random.default_rng(0)
    model = ToyJEPA(V, rng, E, H, L, np.float64, "stopgrad", with_predictor=False)
    model.predictor.steps = K
    x, y = batch(rng, K, 4, 3)
    s_x, encoder_backward = model.encode_context(x)
    assert set(values(model)) == {"embedding.weight"} | {
        f"{part}.{layer}" for part in ("context_encoder", "target_encoder")
        for layer in ("0.weight", "0.bias", "2.weight", "2.bias")}
    agree(model.predict(x)[0], [s_x] * K, np.float64)
    loss, backward = model.forward(x, y)
    targets = target_latents(values(model), y)
    agree(loss, mean_distance(np.array([s_x] * K), targets), np.float64)
    backward()
    gradient = model.grad.copy()
    model.grad[:] = 0
    encoder_backward(sum(2 * (s_x - target) for target in targets) / targets.size)
    agree(gradient, model.grad, np.float64)


def test_the_predictor_is_there_unless_told_otherwise():
    with_it, without = (ToyJEPA(V, np.random.default_rng(0), E, H, L, treatment="joint",
                                with_predictor=given) for given in (True, False))
    default = ToyJEPA(V, np.random.default_rng(0), E, H, L, treatment="joint")
    assert values(default).keys() == values(with_it).keys() and len(
        values(with_it)) == len(values(without)) + 4
    assert np.array_equal(default.value, with_it.value)


def test_another_perceptron_may_make_the_encoders_and_the_predictor():
    asked = []

    def straight(inputs, hidden, outputs, rng, dtype):
        asked.append((inputs, hidden, outputs, dtype))
        return Linear(inputs, outputs, rng, dtype)

    rng = np.random.default_rng(0)
    model = ToyJEPA(V, rng, E, H, L, np.float64, "joint", perceptron=straight)
    x, y = batch(rng, 1, 4, 3)
    assert sorted(asked) == [(L, H, L, np.float64), (E, H, L, np.float64), (E, H, L, np.float64)]
    assert list(model.named_parameters()) == ["embedding.weight"] + [
        f"{part}.{name}" for part in ("context_encoder", "target_encoder", "predictor")
        for name in ("weight", "bias")
    ]
    p = values(model)
    latents = p["predictor.weight"] @ (
        p["context_encoder.weight"] @ p["embedding.weight"][x[0][0, x[1][0]]].mean(axis=0) +
        p["context_encoder.bias"]) + p["predictor.bias"]
    agree(model.predict(x)[0][0, 0], latents, np.float64)


# The regulariser

class Recorder:
    """A regulariser, Σ weight · latents, that keeps what it was given and what its backward was."""

    def __init__(self):
        self.given, self.dlosses, self.weights = [], [], []

    def __call__(self, latents):
        weight = np.random.default_rng(len(self.given)).standard_normal(latents.shape)
        self.given.append(latents)
        self.weights.append(weight)

        def backward(dloss=1):
            self.dlosses.append(dloss)
            return dloss * weight

        return np.sum(weight * latents), backward


@each_treatment
@pytest.mark.parametrize("K", [1, 3])
def test_the_regularizer_is_given_s_x_always_and_s_y_only_where_gradient_flows(treatment, K):
    rng = np.random.default_rng(0)
    recorder = Recorder()
    model, (x, y) = toy(rng, treatment, steps=K), batch(rng, K, 4, 3)
    plain, plain_backward = model.forward(x, y)
    plain_backward(-2)
    without = model.grad.copy()
    model.regularizer = recorder
    loss, backward = model.forward(x, y)
    p = values(model)
    wanted = [context_latents(p, x)] + [target_latents(p, y)] * (treatment == "joint")
    assert len(recorder.given) == len(wanted)
    for asked, latents in zip(recorder.given, wanted):
        agree(asked, latents, np.float64)
    agree(loss, plain + sum(np.sum(w * s) for w, s in zip(recorder.weights, wanted)), np.float64)
    model.grad[:] = 0
    backward(-2)
    assert recorder.dlosses == [-2] * len(wanted)
    with_penalty = model.grad.copy()
    model.grad[:] = 0
    model.encode_context(x)[1](-2 * recorder.weights[0])
    if treatment == "joint":
        model.encode_target(y)[1](-2 * recorder.weights[1])
    agree(with_penalty, without + model.grad, np.float64)


@each_treatment
def test_a_regularizer_leaves_a_stopped_target_branch_without_gradient(treatment):
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng, treatment, steps=2), batch(rng, 2, 4, 3)
    model.regularizer = VICReg(1, 1)
    model.forward(x, y)[1]()
    assert model.target_encoder.grad.any() == (treatment
                                               == "joint") and model.context_encoder.grad.any()


@each_treatment
def test_the_gradient_of_a_regularized_step_is_the_slope_of_the_loss(treatment):
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng, treatment, steps=2), batch(rng, 2, 5, 3)
    model.regularizer = VICReg(0.7, 0.4)
    p = values(model)
    fixed = target_latents(p, y)

    def penalty(s):
        s = s.reshape(-1, L)
        C = np.cov(s, rowvar=False)
        hinge = np.mean([max(0, 1 - np.sqrt(variance + 1e-4)) for variance in np.diag(C)])
        return 0.7 * hinge + 0.4 * 2 * C[0, 1] ** 2 / L

    def loss(p):
        targets = target_latents(p, y) if treatment == "joint" else fixed
        both = penalty(context_latents(p, x)) + (penalty(targets) if treatment == "joint" else 0)
        return mean_distance(rollout(p, x, 2), targets) + both

    value, backward = model.forward(x, y)
    agree(value, loss(p), np.float64)
    backward()
    for name, parameter in model.named_parameters().items():
        for seed in range(3):
            direction = np.random.default_rng(seed).standard_normal(parameter.grad.shape)
            ahead, behind = (loss({**p, name: p[name] + shift * direction})
                             for shift in (1e-6, -1e-6))
            slope = np.sum(parameter.grad * direction)
            assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-6, abs=1e-8), name


def test_one_encoder_for_both_branches_is_regularized_through_both():
    rng = np.random.default_rng(0)
    apart = vector_jepa(rng, "joint", steps=3, regularizer=VICReg(1, 0.5))
    apart.target_encoder.value[:] = apart.context_encoder.value
    x, y = rng.standard_normal((4, E)), rng.standard_normal((3, 4, E))
    loss, backward = apart.forward(x, y)
    backward()
    branches = apart.context_encoder.grad + apart.target_encoder.grad
    assert apart.context_encoder.grad.any() and apart.target_encoder.grad.any()

    same = JEPA(apart.context_encoder, apart.context_encoder, apart.predictor, "joint",
                regularizer=VICReg(1, 0.5))
    again, backward = same.forward(x, y)
    backward()
    agree(same.context_encoder.grad, branches, np.float64)
    assert again == loss and same.target_encoder is same.context_encoder


@pytest.mark.parametrize("regularizer", [VICReg(1, 0.5), no_regularizer])
def test_a_regularized_target_encoder_is_taught_by_the_regularizer_alone(regularizer):
    rng = np.random.default_rng(0)
    model = vector_jepa(rng, "stopgrad", regularizer=regularizer, regularize_target=True)
    x, y = rng.standard_normal((4, E)), rng.standard_normal((1, 4, E))
    loss, backward = model.forward(x, y)
    backward(3)
    energy = mse(model.predict(x)[0], model.encode_target(y)[0])[0]
    s_y, target_backward = model.encode_target(y)
    assert loss == pytest.approx(energy + regularizer(model.encode_context(x)[0])[0] +
                                 regularizer(s_y)[0])
    found = model.target_encoder.grad.copy()
    model.target_encoder.grad[:] = 0
    target_backward(3 * regularizer(s_y)[1]())
    agree(found, model.target_encoder.grad, np.float64)
    assert found.any() == (regularizer is not no_regularizer) and model.context_encoder.grad.any()


def test_the_target_is_regularized_where_it_is_asked_for_or_joint():
    for treatment, asked, wanted in [("ema", False, False), ("stopgrad", False, False),
                                     ("joint", False, True), ("stopgrad", True, True),
                                     ("joint", True, True)]:
        model = vector_jepa(np.random.default_rng(0), treatment, regularize_target=asked)
        assert bool(model.regularize_target) == wanted


def test_there_is_no_regularizer_unless_one_is_given():
    model = vector_jepa(np.random.default_rng(0), "joint")
    latents = np.ones((2, 3))
    loss, backward = model.regularizer(latents)
    assert loss == 0 and not np.any(backward())
    kept = vector_jepa(np.random.default_rng(0), "joint", regularizer=len).regularizer
    assert kept is len and ToyJEPA(V, np.random.default_rng(0), regularizer=len).regularizer is len


# Treatments of the target

def test_the_default_is_ema_with_tau_099():
    model = vector_jepa(np.random.default_rng(0), treatment="ema")
    plain = JEPA(model.context_encoder, model.target_encoder, model.predictor)
    words = ToyJEPA(V, np.random.default_rng(0))
    assert model.tau == plain.tau == words.tau == 0.99
    assert plain.treatment == words.treatment == "ema"


@each_treatment
def test_only_ema_starts_the_target_as_a_copy(treatment):
    model = ToyJEPA(V, np.random.default_rng(0), E, H, L, np.float64, treatment)
    copied = np.array_equal(model.target_encoder.value, model.context_encoder.value)
    assert copied == (treatment == "ema")
    assert not np.shares_memory(model.target_encoder.value, model.context_encoder.value)


def test_the_copy_leaves_the_online_encoder_as_it_was_drawn():
    online = [
        ToyJEPA(V, np.random.default_rng(0), E, H, L, treatment=treatment).context_encoder.value
        for treatment in TREATMENTS
    ]
    assert np.array_equal(online[0], online[1]) and np.array_equal(online[0], online[2])


@given(seeds, dtypes, st.sampled_from([0.0, 0.25, 0.99, 1.0]))
@few
def test_ema_moves_the_target_towards_the_online_encoder(seed, dtype, tau):
    model = toy(np.random.default_rng(seed), "ema", dtype, tau=tau)
    target, online = model.target_encoder.value.copy(), model.context_encoder.value.copy()
    model.update_target()
    expected = [tau * float(t) + (1 - tau) * float(o) for t, o in zip(target, online)]
    agree(model.target_encoder.value, expected, dtype)
    assert np.array_equal(model.context_encoder.value, online)


@pytest.mark.parametrize("treatment", ["stopgrad", "joint"])
def test_other_treatments_have_no_update_of_the_target(treatment):
    model = toy(np.random.default_rng(0), treatment)
    before = model.value.copy()
    model.update_target()
    assert np.array_equal(model.value, before)


def test_an_unknown_treatment_is_refused_by_name():
    with pytest.raises(ValueError) as caught:
        vector_jepa(np.random.default_rng(0), "EMA")
    assert str(caught.value) == "JEPA: wanted a treatment of ema, stopgrad, joint, was given 'EMA'"


def test_targets_without_the_dimension_of_steps_are_refused():
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng), batch(rng, 1, 4, 3)
    with pytest.raises(ValueError, match=r"wanted shape \(1, 4, 2\), was given \(4, 2\)"):
        model.forward(x, y[0])


# Starting values and dtypes

def test_the_model_is_drawn_from_the_generator_alone():
    one, same = (ToyJEPA(V, np.random.default_rng(0), dtype=np.float64) for _ in range(2))
    single = ToyJEPA(V, np.random.default_rng(0))
    other = ToyJEPA(V, np.random.default_rng(1), dtype=np.float64)
    assert np.array_equal(one.value, same.value)
    assert single.value.dtype == np.float32
    assert np.array_equal(single.value, one.value.astype(np.float32))
    assert not np.array_equal(one.value, other.value)


def test_float64_values_are_drawn_in_float64():
    """None of them went through float32 on the way into the vector."""
    model = ToyJEPA(V, np.random.default_rng(0), dtype=np.float64)
    assert (model.value != model.value.astype(np.float32)).all()


@each_treatment
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_through_a_step(treatment, dtype):
    model, x, y = step_gradients(treatment, 0, dtype=dtype)
    Adam(model.value, model.grad).step()
    model.update_target()
    predictions, targets = model.predict(x)[0], model.encode_target(y)[0]
    everything = [model.forward(x, y)[0], predictions, targets, model.value, model.grad]
    everything += [p.value for p in model.named_parameters().values()]
    everything += [p.grad for p in model.named_parameters().values()]
    assert {array.dtype for array in everything} == {np.dtype(dtype)}


def test_both_dtypes_have_the_same_gradient():
    single, double = (step_gradients("joint", 0, dtype=dtype)[0]
                      for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single.grad, double.grad, rtol=0, atol=1e-5)


# Training

@each_treatment
def test_a_few_steps_of_adam_bring_the_loss_down(treatment):
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng, treatment, steps=2), batch(rng, 2, 6, 4)
    optimizer = Adam(model.value, model.grad, learning_rate=1e-2)
    losses = []
    for _ in range(60):
        loss, backward = model.forward(x, y)
        losses.append(loss)
        model.grad[:] = 0
        backward()
        optimizer.step()
        model.update_target()
    assert losses[-1] < 0.5 * losses[0]


def test_an_average_needs_an_encoder_of_its_own():
    encoder = Sequential(Linear(3, 2, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="an encoder of its own"):
        JEPA(encoder, encoder, Sequential(), "ema")
