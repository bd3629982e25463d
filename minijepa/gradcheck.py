"""Finite differences against backward: it measures; nothing is taken on trust.

    python -m minijepa.gradcheck

For a random upstream gradient dy, L = Σ y·dy is a number, and what backward(dy) returns must be
its gradient:  ∂L/∂x_i ≈ (L(x + ε·e_i) − L(x − ε·e_i)) / 2ε,  in float64, entry by entry.
"""

import copy
from dataclasses import dataclass

import numpy as np

from minijepa.jepa import TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential, perceptron
from minijepa.losses import (covariance_penalty, cross_entropy, infonce, mse, sigreg, smallest,
                             unit, variance_hinge)
from minijepa.modules import Module, expect
from minijepa.options import Parser, run
from minijepa.predictors import Each, Residual, Rollout, Told

EPSILON = 1e-5          # smaller: round-off grows as 1/ε; larger: curvature, as ε², and more kinks
TOLERANCE = 1e-7        # a right gradient is at about 1e-9, a wrong one at 1e-2 or more


def largest(*arrays):
    """The largest |entry|; NaN where there is one."""
    return float(np.max([np.abs(array).max(initial=0) for array in arrays]))


@dataclass
class Gradient:
    """What was measured for one array: backward's gradient, the numeric one, the kinks."""

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    kinks: list             # indices of the entries that a kink spoils: the slope jumps there
    floor: float = 0.0      # a difference up to this may be the rounding of f

    @property
    def error(self):
        """max|analytic − numeric| / max(max|analytic|, max|numeric|, floor / TOLERANCE), no kinks.

        It is below TOLERANCE where no difference exceeds the floor; 0 where both are 0.
        """
        smooth = np.ones(self.numeric.shape, bool)
        for index in self.kinks:
            smooth[index] = False
        analytic, numeric = self.analytic[smooth], self.numeric[smooth]
        scale = max(largest(analytic, numeric), self.floor / TOLERANCE)
        return 0.0 if scale == 0 else np.abs(analytic - numeric).max(initial=0) / scale

    @property
    def passed(self):
        return bool(self.error < TOLERANCE)            # a NaN is not below anything


def rounding(y, dy, epsilon=EPSILON):
    """How much of a central difference of Σ y·dy may be rounding: 4u·Σ|y·dy| / ε, with u = 2⁻⁵³.

    The sum, and each y in it, is rounded a few times, by at most u of its size each time: say
    4u·Σ|y·dy| for each of two sums, whose difference is divided by 2ε.
    """
    return 2 * np.finfo(np.float64).eps * float(np.sum(np.abs(y * dy))) / epsilon     # eps is 2u


def shifted(f, x, index, shift):
    """f() with one entry of x moved by shift; x is put back as it was."""
    kept = x[index]
    x[index] = kept + shift
    value = f()
    x[index] = kept
    return value


def central_difference(f, x, index, epsilon=EPSILON):
    """(f(x + ε) − f(x − ε)) / 2ε for one entry of x."""
    return (shifted(f, x, index, epsilon) - shifted(f, x, index, -epsilon)) / (2 * epsilon)


def slope_jump(f, x, index, epsilon):
    """|slope to the right of x − slope to its left|: ε·|f″| where f is smooth, more at a kink."""
    return abs(shifted(f, x, index, epsilon) - 2 * f() + shifted(f, x, index, -epsilon)) / epsilon


def disagreements(analytic, numeric, floor):
    """The entries whose difference neither the tolerance nor rounding accounts for."""
    threshold = max(TOLERANCE * largest(analytic, numeric), floor)
    return list(map(tuple, np.argwhere(np.abs(analytic - numeric) > threshold)))


def kinks(f, x, analytic, numeric, epsilon=EPSILON, floor=0.0):
    """The entries where a kink of f (ReLU at 0) near x accounts for what differs.

    The slope must jump by as much as there is to explain, and, unlike what curvature does to it,
    must not double when ε does. Only f is asked: a wrong backward finds no excuse here.
    """
    difference = np.abs(analytic - numeric)
    found = []
    for index in disagreements(analytic, numeric, floor):
        near, far = slope_jump(f, x, index, 2 * epsilon), slope_jump(f, x, index, 4 * epsilon)
        # a kink within ε makes it 1 to 1.5 times as much, curvature twice
        if difference[index] <= near and far < 1.75 * near:
            found.append(tuple(map(int, index)))
    return found


def numeric_gradient(f, x, epsilon=EPSILON):
    """The central difference of f for every entry of x, in the shape of x."""
    numeric = np.empty_like(x)
    for index in np.ndindex(x.shape):
        numeric[index] = central_difference(f, x, index, epsilon)
    return numeric


def compare(name, f, x, analytic, numeric, epsilon=EPSILON, floor=0.0):
    """The `Gradient` of f by x: kinks are found, and what else disagrees is measured once more.

    The truncation error of D(ε), the central difference, is ε²·f‴/6 + O(ε⁴), so that
    (4·D(ε) − D(2ε)) / 3 is without its first term: curvature is no excuse, it is taken out.
    """
    near = kinks(f, x, analytic, numeric, epsilon, floor)
    for index in disagreements(analytic, numeric, floor):
        if index not in near:
            numeric[index] += (numeric[index] - central_difference(f, x, index, 2 * epsilon)) / 3
    return Gradient(name, analytic, numeric, near, floor)


def parameters_of(layer):
    """The named parameters of a Module, or of that of a method; {} for a function."""
    module = getattr(layer, "__self__", layer)
    return module.named_parameters() if isinstance(module, Module) else {}


def check(layer, *inputs, rng, numeric_forward=None, epsilon=EPSILON):
    """Measure every gradient of a layer, a loss or a whole step: a list of `Gradient`.

    layer: a Module, or a function or method that returns (y, backward). inputs: float64 arrays
    are perturbed in place and put back, anything else (ids, masks) is passed on; backward returns
    one gradient for each float64 array, bare where there is one, None for all else.
    numeric_forward: the forward of which the differences are taken, where it is not its own.
    """
    forward = layer.forward if isinstance(layer, Module) else layer
    parameters = parameters_of(layer)
    floats = [x for x in inputs if isinstance(x, np.ndarray) and x.dtype.kind == "f"]

    arrays = {f"input {number}": x for number, x in enumerate(floats)}
    arrays.update({name: parameter.value for name, parameter in parameters.items()})
    for name, x in arrays.items():
        expect(f"the check of {name}", x, x.shape, np.float64)

    y, backward = forward(*inputs)
    dy = np.array(rng.standard_normal(np.shape(y)))    # never all ones: that hides a dy left out
    for parameter in parameters.values():
        parameter.grad[...] = 0
    returned = backward(dy.copy())  # which it may not write into: one thing at a time
    returned = returned if isinstance(returned, tuple) else (returned,)
    returned = [gradient for gradient in returned if gradient is not None]
    if len(returned) != len(floats):
        raise ValueError(f"backward: wanted {len(floats)} gradients, was given {len(returned)}")
    analytics = [*returned, *(parameter.grad.copy() for parameter in parameters.values())]

    def projected():
        return float(np.sum((numeric_forward or forward)(*inputs)[0] * dy))

    floor = rounding(y, dy, epsilon)
    gradients = []
    for (name, x), analytic in zip(arrays.items(), analytics):
        expect(f"backward's gradient of {name}", analytic, x.shape, np.float64)
        numeric = numeric_gradient(projected, x, epsilon)
        gradients.append(compare(name, projected, x, analytic, numeric, epsilon, floor))
    return gradients


def held_forward(model, y):
    """The forward of a JEPA step, the energy's s_y held fixed where its gradient is stopped.

    Differences would otherwise see the targets move while a parameter is perturbed, through the
    embedding that both branches share: what the stop-gradient declares not to be followed.
    """
    held = copy.copy(model)                            # the same parameters, another distance
    if model.treatment != "joint":
        s_y = model.encode_target(y)[0]
        held.distance = lambda predictions, _: model.distance(predictions, s_y)
    return held.forward


def check_step(model, x, y, z=None, *, rng):
    """Check a whole JEPA step, stop-gradient and all: the gradients of its parameters."""
    held = held_forward(model, y)
    return check(Closed(model, (x, y, z)), rng=rng, numeric_forward=lambda: held(x, y, z))


class Closed(Module):
    """A module whose inputs are given: data are not differentiated."""

    def __init__(self, module, inputs):
        self.module, self.inputs = module, inputs

    def parts(self):
        return self.module.parts()

    def forward(self):
        return self.module.forward(*self.inputs)


def standard_checks(rng):
    """Every layer, loss and the whole step, on small sizes, all different: (name, gradients)."""
    K, T, B, V, E, H, L = 2, 3, 5, 7, 11, 13, 17
    normal, f64 = rng.standard_normal, np.float64
    mask = np.arange(T) < rng.integers(1, T + 1, B)[:, None]  # (B, T): 1 to T tokens

    yield "Embedding", check(Embedding(V, E, rng, f64), rng.integers(0, V, (B, T)), rng=rng)
    yield "Linear", check(Linear(E, H, rng, f64), normal((B, T, E)), rng=rng)
    yield "ReLU", check(ReLU(), normal((B, H)), rng=rng)
    yield "Mean", check(Mean(), normal((B, T, E)), mask, rng=rng)
    yield "Sequential", check(perceptron(E, H, L, rng, f64), normal((B, E)), rng=rng)
    yield "Residual", check(Residual(perceptron(E, H, E, rng, f64)), normal((B, E)), rng=rng)
    yield "mse", check(mse, normal((B, L)), normal((B, L)), rng=rng)
    rollout = Rollout(Residual(Told(perceptron(L + T, H, L, rng, f64), Sequential())))
    yield "Rollout, told", check(rollout, normal((B, L)), normal((K, B, T)), rng=rng)
    each = Each(Told(perceptron(L + E, H, T, rng, f64), Embedding(V, E, rng, f64)))
    yield "Each, told ids", check(each, normal((B, L)), rng.integers(0, V, (K, B)), rng=rng)
    directions = normal((L, H)) / np.sqrt(L)
    yield "variance_hinge", check(variance_hinge, normal((B, L)), rng=rng)
    yield "covariance_penalty", check(covariance_penalty, normal((B, L)), rng=rng)
    yield "sigreg", check(lambda latents: sigreg(latents, directions), normal((B, L)), rng=rng)
    for treatment in TREATMENTS:
        model = ToyJEPA(V, rng, E, H, L, f64, treatment)
        if treatment == "ema":                         # as in training, where the two differ
            model.target_encoder.value += 0.1 * normal(model.target_encoder.value.shape)
        x = rng.integers(0, V, (B, T)), mask
        yield f"step, {treatment}", check_step(model, x, rng.integers(0, V, (1, B)), rng=rng)
    for name, energy, K in (("smallest", lambda s_hat, s: smallest(s_hat, s, soft=0.3), 3),
                            ("cross_entropy", cross_entropy, 1), ("infonce", infonce, 1)):
        yield name, check(energy, normal((K, B, L)), normal((1, B, L)), rng=rng)
    yield "unit", check(unit, normal((B, L)), rng=rng)


def epsilon_sweep(rng):
    """The relative error for ε from 1e-1 to 1e-12, in float64 and float32: [(ε, error, error)].

    Of the variance hinge, whose root is curved: the other layers are straight but for kinks, and
    show no truncation. ε is relative to latents of about 1.
    """
    latents = rng.uniform(-0.5, 0.5, (5, 3))
    analytic = variance_hinge(latents)[1](1)
    rows = []
    for epsilon in 10.0 ** -np.arange(1, 13):
        errors = []
        for dtype in (np.float64, np.float32):
            x = latents.astype(dtype)
            numeric = numeric_gradient(lambda: variance_hinge(x)[0], x, dtype(epsilon))
            errors.append(Gradient("latents", analytic, numeric.astype(np.float64), []).error)
        rows.append((epsilon, *errors))
    return rows


def print_sweep(rng):
    print("relative error of the central difference of the variance hinge, over ε\n")
    print(f"{'ε':>7}  {'float64':>8} {'':<26} {'float32':>8}")

    def bar(error):
        return f"{error:8.1e} {'#' * max(0, round(2 * (12 + np.log10(error)))):<26}"

    for epsilon, *errors in epsilon_sweep(rng):
        chosen = "  <- chosen" if np.isclose(epsilon, EPSILON) else ""
        print(f"{epsilon:7.0e}  {' '.join(map(bar, errors)).rstrip()}{chosen}")
    print("\nabove the bottom of each V: truncation, the curvature that a difference cannot see, "
          "falls as ε²;\n"
          "below it: round-off, the digits that f(x + ε) − f(x − ε) loses, rises as 1/ε")


def main(argv=None):
    parser = Parser("minijepa.gradcheck", __doc__)
    parser.add_argument("--epsilon-sweep", action="store_true",
                        help="print the error over ε, in float64 and float32")
    if parser.parse_args(argv).epsilon_sweep:
        return print_sweep(np.random.default_rng(0))
    wrong = checked = 0
    print(f"{'what':<18} {'gradient of':<26} {'shape':<10} {'error':>8}")
    for what, gradients in standard_checks(np.random.default_rng(0)):
        for g in gradients:
            verdict = "" if g.passed else "  WRONG"
            if g.kinks:
                verdict += f"  (kink at {', '.join(map(str, g.kinks))})"
            shape = "×".join(map(str, g.numeric.shape))
            print(f"{what:<18} {g.name:<26} {shape:<10} {g.error:8.1e}{verdict}")
            wrong, checked = wrong + (not g.passed), checked + 1
    print(f"{checked} gradients, {wrong} wrong (relative error not below {TOLERANCE:.0e})")
    return 1 if wrong else 0


if __name__ == "__main__":
    run(main)
