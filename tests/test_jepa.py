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


def check_slopes(gradient, x, f, factor=1):
    """The gradient is the slope of f by each entry of x, which is moved and put back."""
    for index in np.ndindex(x.shape):
        kept, found = x[index], []
        for shift in 1e-5, -1e-5:
            x[index] = kept + shift
            found.append(f())
        x[index] = kept
        slope = factor * (found[0] - found[1]) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-9), index


# Forward

@given(seeds, dtypes, sizes, treatments)
@few
def test_a_step_is_the_model_written_word_by_word(seed, dtype, shape, treatment):
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, treatment, dtype, steps=shape[0]), batch(rng, *shape)
    p = values(model)
    agree(model.encode_context(x)[0], context_latents(p, x), dtype)
    agree(model.encode_target(y)[0], target_latents(p, y), dtype)
    agree(model.predict(x)[0], rollout(p, x, len(y)), dtype)
    agree(model.forward(x, y)[0],
          mean_distance(rollout(p, x, len(y)), target_latents(p, y)), dtype)


@given(seeds, dtypes, sizes, st.integers(1, 4))
@few
def test_the_padding_does_not_matter(seed, dtype, shape, extra):
    """Neither which words are in it nor how long it is."""
    rng = np.random.default_rng(seed)
    model, ((ids, mask), _) = toy(rng, dtype=dtype), batch(rng, *shape)
    s_x = model.encode_context((ids, mask))[0]
    others = np.where(mask, ids, rng.integers(0, V, ids.shape))
    assert np.array_equal(model.encode_context((others, mask))[0], s_x)
    longer = (np.pad(x, ((0, 0), (0, extra))) for x in (ids, mask))
    agree(model.encode_context(tuple(longer))[0], s_x, dtype)


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
        check_slopes(parameter.grad, p[name], loss)


@pytest.mark.parametrize("seed, K, B, T", [(0, 1, 4, 3), (1, 3, 2, 4)])
def test_the_gradient_of_predict_is_the_slope_of_its_projection(seed, K, B, T):
    rng = np.random.default_rng(seed)
    model, (x, _) = toy(rng, steps=K), batch(rng, K, B, T)
    p, dpredictions = values(model), rng.standard_normal((K, B, L))
    kept = dpredictions.copy()
    assert model.predict(x)[1](dpredictions) is None   # nothing was told
    assert np.array_equal(dpredictions, kept)
    for name, parameter in model.named_parameters().items():
        check_slopes(parameter.grad, p[name], lambda: np.sum(rollout(p, x, K) * dpredictions))


def step_gradients(treatment, seed, words=range(V), dtype=np.float64):
    rng = np.random.default_rng(seed)
    model, (x, y) = toy(rng, treatment, dtype, steps=2), batch(rng, 2, 4, 3, words)
    model.forward(x, y)[1]()
    return model, x, y


@each_treatment
@pytest.mark.parametrize("seed", range(5))
def test_gradient_flows_through_the_target_branch_only_when_joint(treatment, seed):
    """Into the target encoder, and into words that only the target branch reads."""
    model, _, y = step_gradients(treatment, seed, words=[0, 1, 2])
    only_targets = sorted(set(y.flat) - {0, 1, 2})
    assert model.target_encoder.grad.any() == (treatment == "joint") and only_targets
    moved = model.embedding.weight.grad.any(axis=1)
    assert moved[only_targets].any() == (treatment == "joint")


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


@pytest.mark.parametrize("regularizer", [no_regularizer, VICReg(1, 0.5)])
def test_one_object_may_be_both_encoders_when_joint(regularizer):
    """It is in the vector once, and its gradient is the sum of both branches' gradients."""
    rng = np.random.default_rng(0)
    apart = vector_jepa(rng, "joint", steps=2, regularizer=regularizer)
    apart.target_encoder.value[:] = apart.context_encoder.value
    x, y = rng.standard_normal((4, E)), rng.standard_normal((2, 4, E))
    loss, backward = apart.forward(x, y)
    backward()
    branches = apart.context_encoder.grad + apart.target_encoder.grad
    assert apart.context_encoder.grad.any() and apart.target_encoder.grad.any()

    same = JEPA(apart.context_encoder, apart.context_encoder, apart.predictor, "joint",
                regularizer=regularizer)
    assert same.value.size == apart.value.size - apart.target_encoder.value.size
    again, backward = same.forward(x, y)
    backward()
    agree(same.context_encoder.grad, branches, np.float64)
    assert again == loss and same.target_encoder is same.context_encoder


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
    fixed = model.encode_target(y)[0].copy()
    backward(-2)
    assert model.target_encoder.grad.any() == (treatment == "joint")

    def energy():
        s_y = model.encode_target(y)[0] if treatment == "joint" else fixed
        return distance(model.predict(x, z)[0], s_y)[0]

    assert loss == energy()
    check_slopes(model.grad, model.value, energy, factor=-2)


def test_predict_gives_the_gradient_of_what_it_is_told():
    """Planning by gradient: which action would bring the prediction nearer to the goal?"""
    rng = np.random.default_rng(0)
    model, x, _, z = told(rng, "ema")
    dy = rng.standard_normal((3, 4, L))
    dz = model.predict(x, z)[1](dy)
    assert dz.shape == z.shape
    check_slopes(dz, z, lambda: np.sum(model.predict(x, z)[0] * dy))


def test_the_distance_is_given_the_predictions_and_their_targets_in_this_order():
    rng, given = np.random.default_rng(0), []

    def distance(predictions, s_y):
        given.append((predictions, s_y))
        return mse(predictions, s_y)

    model, x, y, z = told(rng, "joint", distance=distance)
    model.forward(x, y, z)
    (predictions, s_y), = given
    assert np.array_equal(predictions, model.predict(x, z)[0])
    assert np.array_equal(s_y, model.encode_target(y)[0])


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


def test_the_defaults():
    """The predictor is there, ema with tau 0.99; the regularizer that is given is kept."""
    rng = np.random.default_rng(0)
    words, vectors = ToyJEPA(V, rng, regularizer=len), vector_jepa(rng, "ema", regularizer=len)
    plain = JEPA(vectors.context_encoder, vectors.target_encoder, vectors.predictor)
    for model in words, plain:
        assert (model.treatment, model.tau) == ("ema", 0.99)
        assert "predictor" in {name.split(".")[0] for name in model.named_parameters()}
    assert words.regularizer is vectors.regularizer is len
    loss, backward = plain.regularizer(np.ones((2, 3)))
    assert loss == 0 and not np.any(backward())


def test_another_perceptron_may_make_the_encoders_and_the_predictor():
    asked = []

    def straight(inputs, hidden, outputs, rng, dtype):
        asked.append((inputs, hidden, outputs, dtype))
        return Linear(inputs, outputs, rng, dtype)

    rng = np.random.default_rng(0)
    model = ToyJEPA(V, rng, E, H, L, np.float64, "joint", perceptron=straight)
    ((ids, mask), _), p = batch(rng, 1, 4, 3), values(model)
    assert sorted(asked) == [(L, H, L, np.float64), (E, H, L, np.float64), (E, H, L, np.float64)]
    assert list(p) == ["embedding.weight"] + [
        f"{part}.{name}" for part in ("context_encoder", "target_encoder", "predictor")
        for name in ("weight", "bias")]
    latent = p["embedding.weight"][ids[0, mask[0]]].mean(axis=0)
    for part in "context_encoder", "predictor":
        latent = p[f"{part}.weight"] @ latent + p[f"{part}.bias"]
    agree(model.predict((ids, mask))[0][0, 0], latent, np.float64)


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
def test_the_gradient_of_a_regularized_step_is_the_slope_of_the_loss(treatment):
    rng = np.random.default_rng(0)
    model, (x, y) = toy(rng, treatment, steps=2), batch(rng, 2, 5, 3)
    model.regularizer = VICReg(0.7, 0.4)
    p = values(model)
    fixed = target_latents(p, y)

    def penalty(s):
        C = np.cov(s.reshape(-1, L), rowvar=False)
        hinge = np.mean([max(0, 1 - np.sqrt(variance + 1e-4)) for variance in np.diag(C)])
        return 0.7 * hinge + 0.4 * 2 * C[0, 1] ** 2 / L

    def loss():
        targets = target_latents(p, y) if treatment == "joint" else fixed
        both = penalty(context_latents(p, x)) + (penalty(targets) if treatment == "joint" else 0)
        return mean_distance(rollout(p, x, 2), targets) + both

    value, backward = model.forward(x, y)
    agree(value, loss(), np.float64)
    backward()
    for name, parameter in model.named_parameters().items():
        check_slopes(parameter.grad, p[name], loss)


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


# Treatments of the target

@each_treatment
def test_only_ema_starts_the_target_as_a_copy(treatment):
    """And leaves the online encoder as it was drawn."""
    model, drawn = (ToyJEPA(V, np.random.default_rng(0), E, H, L, np.float64, each)
                    for each in (treatment, "joint"))
    copied = np.array_equal(model.target_encoder.value, model.context_encoder.value)
    assert copied == (treatment == "ema")
    assert not np.shares_memory(model.target_encoder.value, model.context_encoder.value)
    assert np.array_equal(model.context_encoder.value, drawn.context_encoder.value)


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


@pytest.mark.parametrize("treatment, words", [
    ("EMA", "JEPA: wanted a treatment of ema, stopgrad, joint, was given 'EMA'"),
    ("ema", "JEPA: an average needs an encoder of its own; one object for both goes with joint"),
])
def test_an_unknown_treatment_or_an_average_of_nothing_is_refused(treatment, words):
    encoder = Linear(3, 2, np.random.default_rng(0))
    with pytest.raises(ValueError) as caught:
        JEPA(encoder, encoder, Sequential(), treatment)
    assert str(caught.value) == words


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
    assert np.array_equal(one.value, same.value) and not np.array_equal(one.value, other.value)
    assert single.value.dtype == np.float32
    assert np.array_equal(single.value, one.value.astype(np.float32))
    assert (one.value != single.value).all()           # none went through float32 on the way


@each_treatment
@pytest.mark.parametrize("regularize_target", [False, True])
def test_an_optimizer_moves_all_that_a_gradient_reaches(treatment, regularize_target):
    model = toy(np.random.default_rng(0), treatment)
    model.regularize_target |= regularize_target       # as its constructor does
    values, gradients = model.trained()
    values[:], gradients[:] = 1, 2
    for name, parameter in model.named_parameters().items():
        moves = not name.startswith("target_encoder") or model.regularize_target
        assert (parameter.value == 1).all() == (parameter.grad == 2).all() == moves


@each_treatment
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_through_a_step(treatment, dtype):
    model, x, y = step_gradients(treatment, 0, dtype=dtype)
    Adam(model.value, model.grad).step()
    model.update_target()
    everything = [model.forward(x, y)[0], model.predict(x)[0], model.encode_target(y)[0],
                  model.value, model.grad]
    for parameter in model.named_parameters().values():
        everything += [parameter.value, parameter.grad]
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
