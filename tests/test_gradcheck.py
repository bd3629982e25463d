"""The gradient check itself: right gradients pass, wrong ones have no way through."""

import re
import runpy
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa import gradcheck
from minijepa.gradcheck import EPSILON, Gradient, central_difference, check, check_step, main
from minijepa.jepa import TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential
from minijepa.losses import mse

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=25)


def by_name(gradients):
    return {g.name: g for g in gradients}


class Altered(Linear):
    """Linear with something else in the place of one of its gradients."""

    def __init__(self, rng, sizes=(3, 4), **alter):
        super().__init__(*sizes, rng, np.float64)
        self.alter = alter

    def forward(self, x):
        y, undo = super().forward(x)

        def backward(dy):
            dx = undo(dy)
            for name in self.alter.keys() & {"weight", "bias"}:
                grad = getattr(self, name).grad
                grad[...] = self.alter[name](grad.copy())
            return self.alter["dx"](dx) if "dx" in self.alter else dx

        return y, backward


def one_entry_off(gradient):
    gradient = gradient.copy()
    gradient.flat[-1] *= 1.001
    return gradient


MISTAKES = {
    "another sign": lambda g: -g,
    "twice": lambda g: 2 * g,
    "a millionth too much": lambda g: g * (1 + 1e-6),
    "nothing": lambda g: 0 * g,
    "divided by the batch": lambda g: g / 2,
    "rolled": lambda g: np.roll(g, 1),
    "one entry off": one_entry_off,
    "NaN": lambda g: np.full_like(g, np.nan),
    "one NaN": lambda g: np.where(g == g.max(), np.nan, g),
}


@given(seeds)
@few
def test_right_gradients_pass(seed):
    rng = np.random.default_rng(seed)
    for layer, inputs in [(Linear(3, 4, rng, np.float64), [rng.standard_normal((2, 3))]),
                          (Embedding(5, 3, rng, np.float64), [rng.integers(0, 5, (2, 4))]),
                          (Mean(), [rng.standard_normal((2, 3, 4)), np.arange(3) < [[1], [3]]]),
                          (mse, [rng.standard_normal((2, 3)), rng.standard_normal((2, 3))])]:
        gradients = check(layer, *inputs, rng=rng)
        assert gradients and all(g.passed and not g.kinks for g in gradients)


@pytest.mark.parametrize("of", [lambda layer: layer, lambda layer: layer.forward])
def test_gradients_are_listed_inputs_first_then_parameters_by_name(of):
    """A method is checked with the parameters of its module."""
    rng = np.random.default_rng(0)
    gradients = check(of(Linear(3, 4, rng, np.float64)), rng.standard_normal((2, 3)), rng=rng)
    assert [g.name for g in gradients] == ["input 0", "weight", "bias"]
    assert all(g.passed for g in gradients)
    gradients = check(mse, np.zeros(2), np.ones(2), rng=rng)
    assert [g.name for g in gradients] == ["input 0", "input 1"]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("place, name", [("dx", "input 0"), ("weight", "weight"), ("bias", "bias")])
def test_a_wrong_gradient_fails_and_no_other(mistake, place, name):
    rng = np.random.default_rng(0)
    layer = Altered(rng, **{place: MISTAKES[mistake]})
    gradients = check(layer, rng.standard_normal((2, 3)), rng=rng)
    assert [g.name for g in gradients if not g.passed] == [name]
    assert not any(g.kinks for g in gradients)


def test_a_transposed_gradient_fails():
    rng = np.random.default_rng(0)
    gradients = check(Altered(rng, (3, 3), weight=np.transpose), rng.standard_normal((2, 3)),
                      rng=rng)
    assert [g.name for g in gradients if not g.passed] == ["weight"]


def writes_into_dy(dy):
    dy *= 3
    return dy


@pytest.mark.parametrize("forward", [
    lambda x: (3 * x, lambda dy: 3 * np.ones_like(dy)),            # ignores dy
    lambda x: (x.copy(), writes_into_dy),
])
def test_a_gradient_that_ignores_dy_or_writes_into_it_fails(forward):
    gradient, = check(forward, np.ones((2, 3)), rng=np.random.default_rng(0))
    assert not gradient.passed


def test_a_gradient_that_does_not_add_up_repeated_ids_fails():
    class LastOneWins(Embedding):
        def forward(self, ids):
            def backward(dy):
                self.weight.grad[ids] += dy
            return self.weight.value[ids], backward

    layer = LastOneWins(4, 3, np.random.default_rng(0), np.float64)
    assert check(layer, np.array([0, 3]), rng=np.random.default_rng(0))[0].passed
    assert not check(layer, np.array([3, 3]), rng=np.random.default_rng(0))[0].passed


@pytest.mark.parametrize("factor", [2, 3])
def test_a_number_without_dimensions_can_be_checked(factor):
    gradient, = check(lambda x: (x * x, lambda dy: factor * x * dy), np.array(3.0),
                      rng=np.random.default_rng(0))
    assert gradient.passed == (factor == 2)


def test_each_check_starts_anew_and_what_was_measured_stays():
    rng = np.random.default_rng(0)
    layer, x = Linear(3, 4, rng, np.float64), rng.standard_normal((2, 3))
    layer.weight.grad += 5                             # left from before
    first = check(layer, x, rng=rng)
    kept = [g.analytic.copy() for g in first]
    assert all(g.passed for g in [*first, *check(layer, x, rng=rng)])
    assert all(np.array_equal(g.analytic, analytic) for g, analytic in zip(first, kept))


def test_the_gradients_are_those_of_the_layer():
    """What is reported is the array itself, not just a verdict about it."""
    x = np.array([[1.0, -2.0, 3.0]])
    gradient, = check(lambda x: (np.sum(x**2), lambda dy: 2 * x * dy), x,
                      rng=np.random.default_rng(0))
    dy = np.random.default_rng(0).standard_normal()
    np.testing.assert_allclose(gradient.analytic, 2 * x * dy, rtol=1e-15)
    np.testing.assert_allclose(gradient.numeric, 2 * x * dy, rtol=1e-8)


# The error

@pytest.mark.parametrize("analytic, numeric, kinks, error", [
    ([1.0, 2.0], [1.5, 4.0], [], 2 / 4),
    ([8.0, -2.0], [4.0, -2.0], [], 4 / 8),
    ([-8.0, 2.0], [-8.0, 4.0], [], 2 / 8),             # the largest entry sets the scale
    ([0.25, -0.125], [0.5, -0.125], [], 0.25 / 0.5),
    ([1.0, 2.0], [-1.0, -2.0], [], 2.0),
    ([0.0, 0.0], [0.0, 3.0], [], 1.0),
    ([0.0, 3.0], [0.0, 0.0], [], 1.0),
    ([0.0, 0.0], [0.0, 0.0], [], 0.0),
    ([9.0, 2.0], [1.0, 2.0], [(0,)], 0.0),
    ([9.0, 2.0], [1.0, 4.0], [(0,)], 2 / 4),
    ([9.0, 2.0], [1.0, 4.0], [(0,), (1,)], 0.0),
])
def test_the_error_is_relative_to_the_largest_entry(analytic, numeric, kinks, error):
    gradient = Gradient("it", np.array(analytic), np.array(numeric), kinks)
    assert gradient.error == error
    assert gradient.passed == (error == 0)


def test_the_kinks_of_a_matrix_are_single_entries():
    analytic, numeric = np.array([[[9.0, 2.0], [2.0, 2.0]], [[1.0, 2.0], [4.0, 2.0]]])
    assert Gradient("it", analytic, numeric, [(0, 0)]).error == 2 / 4


@pytest.mark.parametrize("off, passed", [(0.99e-7, True), (1e-7, False), (1.01e-7, False)])
def test_an_error_passes_below_one_ten_millionth(off, passed):
    assert Gradient("it", np.array([1.0, off]), np.array([1.0, 0.0]), []).passed == passed


@pytest.mark.parametrize("analytic, numeric", [
    ([np.nan, 1.0], [1.0, 1.0]),
    ([np.nan, np.nan], [1.0, 1.0]),
    ([1.0, 1.0], [1.0, np.nan]),
    ([0.0, 0.0], [0.0, np.nan]),
    ([np.nan, 0.0], [np.nan, 0.0]),
])
def test_a_nan_never_passes(analytic, numeric):
    assert not Gradient("it", np.array(analytic), np.array(numeric), []).passed


def test_two_gradients_of_zero_agree_exactly():
    zeros = lambda x: (np.zeros_like(x), np.zeros_like)
    gradient, = check(zeros, np.ones((2, 3)), rng=np.random.default_rng(0))
    assert gradient.error == 0.0 and gradient.passed and not gradient.kinks


# Differences

def test_the_central_difference_is_exact_for_a_parabola():
    x = np.array([[2.0, 3.0], [5.0, 7.0]])
    slope = central_difference(lambda: np.sum(x**2), x, (1, 0), epsilon=0.5)
    assert slope == 2 * 5.0
    assert central_difference(lambda: np.sum(x**3), x, (0, 1), epsilon=0.5) == 3 * 9 + 0.25


@pytest.mark.parametrize("x, chosen, epsilon", [(2.0, {"epsilon": 0.1}, 0.1), (1e-3, {}, 1e-5)])
def test_epsilon_is_a_hundred_thousandth_unless_chosen(x, chosen, epsilon):
    """The difference of x⁵ is 5x⁴ + 10x²ε² + ε⁴; what is left without the term in ε² is −4ε⁴."""
    fifth = lambda x: (np.sum(x**5), lambda dy: 5 * x**4 * dy)
    gradient, = check(fifth, np.array([x]), rng=np.random.default_rng(0), **chosen)
    assert gradient.error == pytest.approx(4 * epsilon**4 / (5 * x**4), rel=1e-4)


def test_a_strong_curvature_is_taken_out_and_excuses_nothing():
    """Of sin(1000 x) the difference is off by 1e-4/6 of the slope, 170 times the tolerance."""
    def steep(factor):
        return lambda x: (np.sin(1000 * x), lambda dy: factor * 1000 * np.cos(1000 * x) * dy)

    x = np.random.default_rng(0).uniform(-1, 1, (2, 3))
    right, = check(steep(1), x, rng=np.random.default_rng(0))
    assert right.passed and not right.kinks
    for factor in 2, 1 - 1e-6, 1 + 1e-4 / 6:
        wrong, = check(steep(factor), x, rng=np.random.default_rng(0))
        error = abs(1 - factor) / max(1, factor)
        assert wrong.error == pytest.approx(error, rel=0.1) and not wrong.passed


# A small gradient beside a large output

def offset(slope, wrong=lambda dx: dx):
    """y = 1 + slope·x, of which the digits of slope·x are mostly lost in the 1."""
    return lambda x: (1 + slope * x, lambda dy: wrong(slope * dy))


@pytest.mark.parametrize("slope", [1e-5, 1e-6, 1e-8])
def test_a_small_gradient_that_drowns_in_rounding_passes(slope):
    passed = [check(offset(slope), np.random.default_rng(seed).standard_normal((2, 3)),
                    rng=np.random.default_rng(seed))[0] for seed in range(50)]
    assert all(g.passed and not g.kinks for g in passed)
    drowned = [np.abs(g.analytic - g.numeric).max() / np.abs(g.analytic).max() for g in passed]
    assert max(drowned) > 1e-7                         # where the tolerance alone is too little


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("mistake",
                         sorted(set(MISTAKES) - {"a millionth too much", "one entry off"}))
def test_a_small_wrong_gradient_fails_all_the_same(size, mistake):
    """The floor is 4·2⁻⁵³·Σ|y·dy| / ε, some 1e-10 here: a ten-thousandth of a gradient of 1e-6."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((2, 3))
        gradient, = check(offset(size, MISTAKES[mistake]), x, rng=rng)
        assert not gradient.passed and not gradient.kinks


@pytest.mark.parametrize("term", [lambda x: 0 * x, lambda x: 1e-5 * x**2, lambda x: -2e-5 * x])
def test_a_missing_term_of_a_hundred_thousandth_fails_beside_an_output_of_one(term):
    def forward(x):
        return 1 + 1e-5 * x + 1e-5 * x**3, lambda dy: dy * (1e-5 + term(x))    # 3e-5·x² is due

    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert not check(forward, rng.standard_normal((2, 3)), rng=rng)[0].passed


def test_the_floor_is_four_roundings_of_the_terms_over_epsilon():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3))
    for epsilon in 1e-5, 1e-3:
        dy = np.random.default_rng(1).standard_normal((2, 3))
        gradient, = check(offset(1.0), x, rng=np.random.default_rng(1), epsilon=epsilon)
        floor = 4 * 2.0**-53 * np.sum(np.abs((1 + x) * dy)) / epsilon
        assert gradient.floor == pytest.approx(floor, rel=1e-12)


def test_the_differences_may_be_taken_of_another_forward():
    rng = np.random.default_rng(0)
    twice = lambda x: (2 * x, None)
    once_and_twice = lambda x: (x, lambda dy: 2 * dy)
    assert not check(once_and_twice, np.ones(3), rng=rng)[0].passed
    assert check(once_and_twice, np.ones(3), rng=rng, numeric_forward=twice)[0].passed


@given(seeds)
@few
def test_inputs_and_parameters_are_put_back_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    layers = Sequential(Linear(3, 4, rng, np.float64), ReLU(), Linear(4, 2, rng, np.float64))
    x = rng.standard_normal((2, 3)) * 10.0 ** rng.integers(-300, 3, (2, 3))
    x[0, 0] = -0.0
    arrays = [x] + [p.value for p in layers.named_parameters().values()]
    before = [array.tobytes() for array in arrays]
    check(layers, x, rng=rng)
    assert [array.tobytes() for array in arrays] == before


# Kinks

def kinked(alter=lambda dx: dx, scale=1):
    """scale · ReLU, with its gradient altered."""
    def forward(x):
        y, backward = ReLU().forward(x)
        return scale * y, lambda dy: alter(backward(scale * dy))
    return forward


NEAR_ZERO = np.array([[0.0, 1.0, -1.0], [0.3 * EPSILON, 2.0, -0.9 * EPSILON]])
NEAR_KINKS = [(0, 0), (1, 0), (1, 2)]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_kinks_are_found_and_named(scale):
    """Whatever the size of the gradients."""
    gradient, = check(kinked(scale=scale), NEAR_ZERO.copy(), rng=np.random.default_rng(0))
    assert gradient.kinks == NEAR_KINKS and gradient.passed
    assert all(type(i) is int for index in gradient.kinks for i in index)


def test_another_kink_further_off_does_not_hide_the_near_one():
    def forward(x):
        near, near_backward = ReLU().forward(x)
        far, far_backward = ReLU().forward(x - 4.5 * EPSILON)
        return near + 20 * far, lambda dy: near_backward(dy) + 20 * far_backward(dy)

    gradient, = check(forward, np.array([0.3 * EPSILON, 1.0]), rng=np.random.default_rng(0))
    assert gradient.kinks == [(0,)] and gradient.passed


@pytest.mark.parametrize("x, epsilon, kinks", [
    ([0.3e-3, 1.5e-3, -0.3e-3, 1.0], 1e-3, [(0,), (2,)]),
    ([1.1e-5, -1.1e-5, 1.9e-5, -1.9e-5, 3e-5, -3e-5], 1e-5, []),
])
def test_how_near_a_kink_is_depends_on_epsilon(x, epsilon, kinks):
    gradient, = check(ReLU(), np.array(x), rng=np.random.default_rng(0), epsilon=epsilon)
    assert gradient.kinks == kinks and gradient.passed


@pytest.mark.parametrize("x, mistake", [
    *((np.full(6, 0.3 * EPSILON), MISTAKES[name]) for name in ("another sign", "twice", "NaN")),
    *((np.array([each, -each]) * EPSILON, lambda dx: dx + 0.001) for each in (1.5, 1.9, 2.5, 3.5)),
])
def test_a_kink_is_no_excuse_for_a_wrong_gradient(x, mistake):
    """0.3 ε to its right the gradient is dy; further off, the difference does not reach it."""
    gradient, = check(kinked(mistake), x, rng=np.random.default_rng(0))
    assert not gradient.passed and not gradient.kinks


@pytest.mark.parametrize("mistake", ["another sign", "twice", "a millionth too much", "NaN"])
def test_kinks_do_not_excuse_their_neighbours(mistake):
    gradient, = check(kinked(MISTAKES[mistake]), NEAR_ZERO.copy(), rng=np.random.default_rng(0))
    assert not gradient.passed


@pytest.mark.parametrize("curvature", [1e2, 1e4, -1e4])
def test_curvature_is_not_taken_for_a_kink(curvature):
    """Where a parabola is steep, slopes to the left and the right differ much, and it is smooth."""
    x = np.array([-0.3, 0.1, 0.2, 0.5])
    jump = 2 * EPSILON * abs(curvature)

    def parabola(wrong):
        return lambda x: (np.sum(curvature / 2 * x**2), lambda dy: (curvature * x + wrong) * dy)

    right, = check(parabola(0), x, rng=np.random.default_rng(0))
    assert right.passed and not right.kinks
    for wrong in 0.1 * jump, 0.5 * jump, -0.9 * jump:
        gradient, = check(parabola(wrong), x, rng=np.random.default_rng(0))
        assert not gradient.passed and not gradient.kinks


def test_kinks_are_found_in_parameters_too():
    """The second hidden unit sits at its kink, so its bias and its weights do."""
    layers = Sequential(Linear(2, 3, np.random.default_rng(0), np.float64), ReLU())
    layers.layers[0].weight.value[:] = [[1, 2], [1, -1], [2, 1]]
    layers.layers[0].bias.value[:] = 0
    gradients = by_name(check(layers, np.array([[1.0, 1.0]]), rng=np.random.default_rng(0)))
    assert gradients["0.weight"].kinks == [(1, 0), (1, 1)]
    assert gradients["0.bias"].kinks == [(1,)]
    assert all(g.passed for g in gradients.values())


# What backward must return

@pytest.mark.parametrize("backward, error, words", [
    (lambda dy: (dy, dy), ValueError, "backward: wanted 1 gradients, was given 2"),
    (lambda dy: (), ValueError, "backward: wanted 1 gradients, was given 0"),
    (lambda dy: None, ValueError, "backward: wanted 1 gradients, was given 0"),
    (lambda dy: 3.0, TypeError, "{}: wanted a NumPy array, was given float"),
    (lambda dy: dy.T, ValueError, "{}: wanted shape (2, 3), was given (3, 2)"),
    (lambda dy: dy[:1], ValueError, "{}: wanted shape (2, 3), was given (1, 3)"),
    (lambda dy: dy.astype(np.float32), TypeError, "{}: wanted dtype float64, was given float32"),
])
def test_backward_must_return_one_gradient_for_each_input(backward, error, words):
    with pytest.raises(error) as caught:
        check(lambda x: (x.copy(), backward), np.ones((2, 3)), rng=np.random.default_rng(0))
    assert str(caught.value) == words.format("backward's gradient of input 0")


def test_a_loss_must_return_both_gradients_and_the_check_wants_float64():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="backward: wanted 2 gradients, was given 1"):
        check(lambda a, b: (a + b, lambda dy: dy), np.ones(3), np.ones(3), rng=rng)
    rounded, words = lambda x: (x.astype(np.float64), lambda dy: dy), "float64, was given float32"
    with pytest.raises(TypeError, match=f"the check of input 0: wanted dtype {words}"):
        check(rounded, np.ones(3, np.float32), rng=rng)


def test_the_gradient_of_a_parameter_must_have_its_shape():
    class Odd(Linear):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.bias.grad = np.zeros((1, 4))

    layer = Odd(3, 4, np.random.default_rng(0), np.float64)
    with pytest.raises(ValueError, match=r"backward's gradient of bias: wanted shape \(4,\)"):
        check(layer, np.ones((2, 3)), rng=np.random.default_rng(0))


# A whole step

def step(treatment):
    model = ToyJEPA(5, np.random.default_rng(0), 2, 3, 4, np.float64, treatment)
    model.predictor.steps = 3
    x = np.array([[0, 1], [2, 3]]), np.ones((2, 2), bool)
    return model, x, np.array([[1, 4], [4, 2], [0, 0]])


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_step_passes_and_the_stopped_target_encoder_gets_exactly_nothing(treatment):
    model, x, y = step(treatment)
    before = model.encode_target(y)[0]
    gradients = by_name(check_step(model, x, y, rng=np.random.default_rng(1)))
    assert gradients.keys() == model.named_parameters().keys()
    assert all(g.passed for g in gradients.values())
    for name, g in gradients.items():
        if name.startswith("target_encoder."):
            assert (g.error == 0.0 and not g.analytic.any()) == (treatment != "joint")
    # the targets were held for the check alone
    assert np.array_equal(model.encode_target(y[::-1])[0], before[::-1])


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_step_that_treats_the_target_in_another_way_fails(treatment):
    """The gradients of `joint` are wrong where the gradient should stop, and the reverse."""
    class Mistaken(ToyJEPA):
        def forward(self, x, y, z=None):
            declared = self.treatment
            self.treatment = "stopgrad" if treatment == "joint" else "joint"
            loss, undo = super().forward(x, y, z)
            wrong, self.treatment = self.treatment, declared

            def backward(dloss):
                self.treatment = wrong
                undo(dloss)
                self.treatment = declared

            return loss, backward

    model, x, y = step(treatment)
    model.__class__, model.regularize_target = Mistaken, True      # something to go wrong in
    failed = {g.name for g in check_step(model, x, y, rng=np.random.default_rng(1)) if not g.passed}
    assert failed == {name for name in model.named_parameters()
                      if name.startswith(("embedding.", "target_encoder."))}


# The standard checks

def standard_inputs(monkeypatch, seed):
    """The (model, x, y) of the three steps, and all ids that a layer is given; nothing measured."""
    steps, layers = [], []
    monkeypatch.setattr(gradcheck, "check_step", lambda *step, rng: steps.append(step[:3]) or [])
    monkeypatch.setattr(gradcheck, "check", lambda _, *inputs, rng: layers.extend(inputs) or [])
    list(gradcheck.standard_checks(np.random.default_rng(seed)))
    return steps, [x for x in layers if x.dtype.kind == "i"]


def test_the_sizes_of_a_step_are_different_primes(monkeypatch):
    """No axis can be taken for another, nor for two others flattened into one."""
    steps, _ = standard_inputs(monkeypatch, 0)
    assert {model.treatment for model, _, _ in steps} == set(TREATMENTS)
    for model, (ids, mask), y in steps:
        assert ids.shape == mask.shape and len(ids) == y.shape[1]
        sizes = [*ids.shape, *model.embedding.weight.value.shape,
                 *model.predictor.net.layers[0].weight.value.shape]
        assert len(set(sizes)) == 6
        assert all(n > 1 and all(n % d for d in range(2, n)) for n in sizes)
        # that of ema is checked away from its start
        assert (model.target_encoder.value != model.context_encoder.value).all()


def test_every_word_and_every_length_of_sentence_is_checked(monkeypatch):
    lengths, context, targets, *told = set(), set(), set(), set(), set()
    for seed in range(25):
        steps, ids = standard_inputs(monkeypatch, seed)
        for seen, there in zip(told, ids, strict=True):                # Embedding; Each
            seen |= set(there.flat)
        for model, (ids, mask), y in steps:
            lengths |= set(mask.sum(axis=1))
            context |= set(ids.flat)
            targets |= set(y.flat)
    assert lengths == set(range(1, mask.shape[1] + 1))
    words = set(range(len(model.embedding.weight.value)))
    assert [context, targets, *told] == [words] * 4


# The command

def rows(text):
    """(what, gradient of, error, line) of each row between the header and the closing line."""
    header, *lines, _ = text.splitlines()
    name, shape = header.index("gradient of"), header.index("shape")
    return [(line[:name].strip(), line[name:shape].strip(),
             re.search(r"\d\.\de[+-]\d\d", line).group(), line) for line in lines]


def test_the_command_passes_and_shows_every_gradient(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    table = rows(text)
    assert list(dict.fromkeys(what for what, *_ in table)) == [
        what for what, _ in gradcheck.standard_checks(np.random.default_rng(0))]
    assert all(float(error) < 1e-7 for _, _, error, _ in table)
    assert "WRONG" not in text
    assert text.splitlines()[-1].startswith(f"{len(table)} gradients, 0 wrong")
    names = set(ToyJEPA(2, np.random.default_rng(0)).named_parameters())
    for treatment in TREATMENTS:
        errors = {name: error for what, name, error, _ in table if what == f"step, {treatment}"}
        assert errors.keys() == names
        for name, error in errors.items():
            stopped = treatment != "joint" and name.startswith("target_encoder.")
            assert (error == "0.0e+00") == stopped


def test_the_command_fails_where_a_backward_is_broken(capsys, monkeypatch):
    right = Mean.forward

    def broken(self, *inputs):
        y, backward = right(self, *inputs)
        return y, lambda dy: 2 * backward(dy)

    monkeypatch.setattr(Mean, "forward", broken)
    assert main([]) == 1
    text = capsys.readouterr().out
    wrong = {(what, name) for what, name, _, line in rows(text) if line.endswith("  WRONG")}
    assert wrong >= {("Mean", "input 0")} | {(f"step, {t}", "embedding.weight") for t in TREATMENTS}
    assert {name for _, name in wrong} == {"input 0", "embedding.weight"}
    assert f" gradients, {len(wrong)} wrong" in text.splitlines()[-1]


def test_the_command_names_the_kinks(capsys, monkeypatch):
    def with_a_kink(rng):
        yield "ReLU", check(ReLU(), NEAR_ZERO.copy(), rng=rng)

    monkeypatch.setattr(gradcheck, "standard_checks", with_a_kink)
    assert main([]) == 0
    assert "(kink at (0, 0), (1, 0), (1, 2))" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
def test_the_sweep_falls_with_truncation_and_rises_with_rounding(seed):
    epsilon, double, single = np.transpose(gradcheck.epsilon_sweep(np.random.default_rng(seed)))
    np.testing.assert_allclose(epsilon, [10.0**-k for k in range(1, 13)])
    np.testing.assert_allclose(double[:3] / double[1:4], 100, rtol=0.03)       # as ε²
    assert epsilon[double.argmin()] == pytest.approx(EPSILON) and double.min() < 1e-9
    assert (double[5:] > double[4:-1]).all() and double[-1] > 1e5 * double.min()
    assert single.min() > 1e4 * double.min()           # whose best is at a larger ε
    assert epsilon[single.argmin()] > 3 * EPSILON


def test_the_command_takes_no_arguments_and_answers_a_mistake_with_exit_code_2(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gradcheck", "everything"])
    monkeypatch.delitem(sys.modules, "minijepa.gradcheck")
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("minijepa.gradcheck", run_name="__main__")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: unrecognized arguments: everything")
