"""The check of each exercise: CHECKS[name](learner) is "" where it is passed, else what is wrong.

`learner` is the module that the reader has written. Gradients are examined by the doctor; all else
is compared with what is wanted, and with what the well-known mistakes would give.
"""

import copy
import functools
import sys
import time

import numpy as np

from minijepa import gauges, jepa, layers, losses, optimizers
from minijepa.exercises.doctor import describe, examine, told_nothing
from minijepa.jepa import TREATMENTS
from minijepa.layers import Embedding, Linear, ReLU, Sequential, perceptron
from minijepa.modules import Module
from minijepa.predictors import Rollout
from minijepa.worlds.words import Words

CHECKS = {}
K, T, B, V, E, L = 2, 3, 5, 7, 11, 13                  # all different: a size tells a factor
SECONDS = 15                                           # that a training may take


class Fail(Exception):
    """The exercise is not passed; the text says why."""


def exercise(check):
    """Enter a check, which raises Fail, into CHECKS under its name."""
    @functools.wraps(check)
    def report(learner):
        try:
            with np.errstate(all="ignore"):
                check(learner)
        except Fail as fail:
            return str(fail)
        return ""

    CHECKS[check.__name__] = report
    return report


# --- what all of them need ------------------------------------------------------------------------

def named(learner, name):
    """The class or function of this name in the learner's file."""
    if not hasattr(learner, name):
        raise Fail(f"there is no {name} in {learner.__name__}.py: keep the names that were given")
    return getattr(learner, name)


def built(learner, original, *args):
    """The learner's layer, and the original's forward on the same parameters."""
    layer = named(learner, type(original).__name__)(*args)
    same_parameters(layer, original)
    for name, parameter in original.named_parameters().items():
        parameter.value = layer.named_parameters()[name].value
    return layer, original.forward


def same_parameters(layer, original):
    """The learner's layer must have the original's parameters: a check would miss others."""
    if not isinstance(layer, Module):
        raise Fail(f"{type(layer).__name__} must stay a Module, as it was given")
    theirs, wanted = ({name: part.value.shape for name, part in each.named_parameters().items()}
                      for each in (layer, original))
    if theirs != wanted:
        raise Fail(f"the parameters of {type(layer).__name__} are {theirs}, wanted {wanted}: the "
                   "constructor was given and should stay")


def judge(what, layer, *inputs, right, mistake=None, **more):
    """Let the doctor examine the layer; mistake() gives the line for a known mistake, or "".

    right: the package's own forward, which the learner's should still be.
    """
    try:
        report = examine(layer, *inputs, rng=np.random.default_rng(1),
                         reference=lambda *inputs: right(*inputs)[0], **more)
    except Exception as error:
        error.during = what                            # the runner says it beside the line
        raise
    if report.passed:
        return
    try:
        line = mistake() if mistake else ""
    except Exception:                                  # too odd to compare: the report says how
        line = ""
    for finding in report.findings:
        finding.pattern = [] if line else finding.pattern                      # a cause says more
    raise Fail(f"{what}:{line}\n{report}")


def calls_apart(what, forward, first, second, parameters):
    """The backward of one call must give the same when another call has come in between."""
    y, backward = forward(*first)
    dy = np.random.default_rng(1).standard_normal(np.shape(y))
    alone = all_gradients(backward, dy, parameters)
    backward = forward(*first)[1]
    forward(*second)
    if not agree(all_gradients(backward, dy, parameters), alone, 1e-9):
        raise Fail(f"{what}: the gradient is another one when forward is called again before "
                   "backward.\n    diagnosis: the wrong saved value: what forward saved was "
                   "overwritten by the next forward (in self?).\n    Keep it in a local variable "
                   "of forward, which the backward of that call sees")


def all_gradients(backward, dy, parameters):
    """What backward(dy) returns, and what it leaves in the parameters, in one vector."""
    for parameter in parameters:
        parameter.grad[...] = 0
    returned = backward(dy.copy())
    returned = returned if isinstance(returned, tuple) else (returned,)
    arrays = [*returned, *(parameter.grad for parameter in parameters)]
    return np.concatenate([x.ravel() for x in arrays if isinstance(x, np.ndarray)])


def agree(got, wanted, tolerance):
    """Whether two arrays are equal to within tolerance · the largest entry; NaN where NaN."""
    is_number = isinstance(got, (np.ndarray, np.generic, float, int))
    if not is_number or np.shape(got) != np.shape(wanted):
        return False
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    if not np.array_equal(np.isfinite(got), np.isfinite(wanted)):
        return False
    finite = np.isfinite(wanted)
    scale = np.abs(wanted[finite]).max(initial=0)
    return bool((np.abs(got - wanted)[finite] <= tolerance * scale).all())


def named_mistake(got, wanted, mistakes, tolerance):
    """The line that names the mistake {text: what it would give} that gives just this, or ""."""
    found = [text for text, result in mistakes.items()
             if agree(got, result, tolerance) and not agree(wanted, result, tolerance)]
    if not found:
        return ""
    if len(found) > 1 or not np.isfinite(got).all():   # NaN fits whatever gives NaN
        return "\n    possibly: " + ", or ".join(found)
    return f"\n    This is what one gets if {found[0]}."


def compare(what, got, wanted, mistakes=None, tolerance=1e-9):
    """Raise Fail unless got is the array wanted, with the worst entry and a mistake that fits."""
    wanted = np.asarray(wanted)
    if isinstance(got, (int, float)) and not wanted.shape:
        got = np.array(got)
    if not isinstance(got, (np.ndarray, np.generic)):
        asked = f"a NumPy array of shape {wanted.shape}" if wanted.shape else "a number"
        raise Fail(f"{what}: WRONG, it is {describe(got)}; wanted {asked}")
    got = np.asarray(got)
    if got.dtype.kind not in "fiub":
        raise Fail(f"{what}: WRONG, its dtype is {got.dtype}; wanted numbers")
    if agree(got, wanted, tolerance):
        return
    mistake = named_mistake(got, wanted, mistakes or {}, tolerance)
    if got.shape != wanted.shape:
        raise Fail(f"{what}: WRONG, its shape is {got.shape}, wanted {wanted.shape}{mistake}")
    difference = np.nan_to_num(np.abs(got.astype(np.float64) - wanted), nan=np.inf, posinf=np.inf)
    worst = np.unravel_index(np.argmax(difference), wanted.shape)
    where = f"entry {list(map(int, worst))}: " if wanted.shape else ""
    raise Fail(f"{what}: WRONG\n    {where}yours {got[worst] + 0:.6g}, "
               f"wanted {wanted[worst] + 0:.6g}{mistake}")


def compare_path(what, got, wanted, mistakes, tolerance=1e-9):
    """compare, for the values after each step; a mistake must fit all of the path."""
    fits = {text: path for text, path in mistakes.items()
            if all(agree(mine, other, tolerance) for mine, other in zip(got, path))}
    for number, (mine, right) in enumerate(zip(got, wanted)):
        compare(f"{what} after step {number + 1}", mine, right,
                {text: path[number] for text, path in fits.items()}, tolerance)


def unchanged(what, arrays, kept):
    for array, before in zip(arrays, kept):
        if not np.array_equal(array, before):
            raise Fail(f"{what} is written into, and should stay as it was: others still need it")


# --- the gradients --------------------------------------------------------------------------------

@exercise
def finite_differences(learner):
    central_difference = named(learner, "central_difference")
    rng = np.random.default_rng(0)
    for shape, index, epsilon in [((5,), (3,), 1e-2), ((3, 4), (2, 1), 1e-5),
                                  ((2, 3, 2), (1, 0, 1), 1e-3), ((1,), (0,), 1e-4)]:
        x, weight = rng.standard_normal(shape) / 3, rng.standard_normal(shape)
        original, seen = x.copy(), []

        def at(x):
            return float(np.sum(weight * np.exp(2 * x)) + np.sum(x) ** 3)

        def f():
            seen.append(x.copy())
            return at(x)

        what = f"central_difference, x of shape {shape}, index {index}, ε = {epsilon:g}"
        got = central_difference(f, x, index, epsilon)
        wanted, mistakes = differences(at, original, index, epsilon)
        compare(what, got, wanted, mistakes, tolerance=1e-12 / epsilon)
        put_back(what, x, original)
        if any(np.count_nonzero(each != original) > 1 for each in seen):
            raise Fail(f"{what}: f saw other entries of x moved than x[index]")

    x = np.linspace(0.1, 0.7, 7)
    for index in np.ndindex(x.shape):                  # x bit for bit at every entry
        before, what = x.copy(), f"f = Σ x², index {index}, with the default ε"
        got = central_difference(lambda: float(np.sum(x**2)), x, index)
        compare(what, got, 2 * before[index], tolerance=1e-8)
        put_back(what, x, before)


def differences(f, x, index, epsilon):
    """The right one, and {the mistake in words: what it gives}."""
    e = np.zeros(x.shape)
    e[index] = epsilon
    default = 1e-5 * e / epsilon
    here, right, left = f(x), f(x + e), f(x - e)
    return (right - left) / (2 * epsilon), {
        "only one side is measured: (f(x + ε) − f(x)) / ε": (right - here) / epsilon,
        "only one side is measured: (f(x) − f(x − ε)) / ε": (here - left) / epsilon,
        "f(x + ε) − f(x) is divided by 2ε: the second value was not taken at x − ε":
            (right - here) / (2 * epsilon),
        "f(x) − f(x − ε) is divided by 2ε: the first value was not taken at x + ε":
            (here - left) / (2 * epsilon),
        "f was called before x was moved, or x was moved in a copy that f does not read": 0.0,
        "it is divided by ε and not by 2ε, though the two points are 2ε apart":
            (right - left) / epsilon,
        "the difference is not divided by 2ε": right - left,
        "it is divided by 2 and not by 2ε": (right - left) / 2,
        "it is multiplied by 2ε in place of divided": (right - left) * 2 * epsilon,
        "it is divided by 2 and multiplied by ε: (… / 2 * ε) lacks its parentheses":
            (right - left) / 2 * epsilon,
        "the two are exchanged: f(x − ε) − f(x + ε)": (left - right) / (2 * epsilon),
        "all entries of x are moved and not just x[index]":
            (f(x + epsilon) - f(x - epsilon)) / (2 * epsilon),
        "x + ε and x + 2ε were compared: x was not put back in between":
            (f(x + 2 * e) - right) / (2 * epsilon),
        "the argument epsilon is ignored": (f(x + default) - f(x - default)) / 2e-5,
    }


def put_back(what, x, before):
    """x must be what it was, bit for bit."""
    if x.tobytes() == before.tobytes():
        return
    place = np.unravel_index(np.argmax(np.abs(x - before)), x.shape)
    why = ("put back the value that was there" if abs(x[place] - before[place]) > 1e-12 else
           "it is right but for rounding, since x + ε − ε is not always x: keep the value, and put "
           "that back")
    raise Fail(f"{what}: the slope is right, but x is not put back as it was\n"
               f"    entry {list(map(int, place))} was {float(before[place])!r} and now is "
               f"{float(x[place])!r}: {why}")


@exercise
def relu(learner):
    rng = np.random.default_rng(0)
    layer, right = built(learner, ReLU())
    for shape in (B, E), (1,), (K, T, B):
        judge(f"ReLU, x of shape {shape}", layer, rng.standard_normal(shape), right=right)
    dx = layer.forward(np.array([-1.0, 0.0, 2.0, -0.0]))[1](np.array([3.0, 5.0, 7.0, -11.0]))
    compare("ReLU at the kink: dx for x = [-1, 0, 2, 0] and dy = [3, 5, 7, -11]", dx, [0, 0, 7, 0],
            {"dx is dy at x = 0, where it should be 0: x > 0, not x >= 0": [0, 5, 7, -11]})


@exercise
def linear(learner):
    rng = np.random.default_rng(0)
    for outputs, shapes in (L, [(B, E), (1, E), (B, T, E), (K, B, T, E)]), (E, [(B, E)]):
        args = E, outputs, rng, np.float64
        layer, right = built(learner, Linear(*args), *args)
        for shape in shapes:
            square = " with as many outputs as inputs" if outputs == E else ""
            judge(f"Linear{square}, x of shape {shape}", layer, rng.standard_normal(shape),
                  right=right)


@exercise
def mse(learner):
    rng = np.random.default_rng(0)
    loss = named(learner, "mse")
    for shape in (B, L), (1, L), (K, B, T):
        prediction, target = rng.standard_normal((2, *shape))
        sizes = dict(zip(["batch size", "feature size"] if len(shape) == 2 else
                         ["number of steps", "batch size", "feature size"], shape))
        judge(f"mse, two arrays of shape {shape}", loss, prediction, target, sizes=sizes,
              right=losses.mse)
    wanted = losses.mse(prediction, target)[1]()
    got = loss(prediction, target)[1]()
    for name, mine, right in zip(("dprediction", "dtarget"), got, wanted):
        compare(f"mse, backward() without an argument, {name}", mine, right)


@exercise
def mean(learner):
    rng = np.random.default_rng(0)
    layer, right = built(learner, layers.Mean())
    for batch, tokens in (B, T), (1, T), (B, 1):
        x = rng.standard_normal((batch, tokens, E))
        judge(f"Mean without a mask, x of shape {x.shape}", layer, x, right=right)
    for lengths, tokens in ([2, 1, 3, 2, 1], 7), ([4, 7, 2, 6, 5], 7), ([2], 3):
        mask = np.arange(tokens) < np.array(lengths)[:, None]                  # (B, T)
        x = rng.standard_normal((*mask.shape, E))
        judge(f"Mean of sentences of {lengths} tokens, x of shape {x.shape}", layer, x, mask,
              right=right)
    calls_apart("Mean", layer.forward, (x, mask), (x, mask[:, ::-1].copy()), [])


@exercise
def embedding(learner):
    rng = np.random.default_rng(0)
    args = V, E, rng, np.float64
    layer, right = built(learner, Embedding(*args), *args)
    cases = {
        "ids that all differ": np.array([4, 0, 6, 2]),
        "one id": np.array([3]),
        "ids of which some occur several times": np.array([[1, 4, 1], [0, 1, 6]]),
        "ids of three dimensions": rng.integers(0, V, (K, B, T)),
        "ids that are all the same": np.full((2, 3), 5),
    }
    for what, ids in cases.items():
        judge(f"Embedding, {what}, of shape {ids.shape}", layer, ids, right=right)
    calls_apart("Embedding", layer.forward, (ids,), ((ids + 1) % V,), [layer.weight])


@exercise
def sequential(learner):
    rng = np.random.default_rng(0)
    shared = Linear(E, E, rng, np.float64)
    cases = {
        "one layer": [Linear(E, L, rng, np.float64)],
        "three layers of the same width": [Linear(E, E, rng, np.float64) for _ in range(3)],
        "Linear, ReLU, Linear of the same width": perceptron(E, E, E, rng, np.float64).layers,
        "Linear, ReLU, Linear, ReLU, Linear": [*perceptron(E, B, L, rng, np.float64).layers,
                                               ReLU(), Linear(L, K, rng, np.float64)],
        "the same layer in two places": [shared, ReLU(), shared],
        "no layer at all: the output is the input": [],
    }
    for what, parts in cases.items():
        x = rng.standard_normal((B, E))
        layer, right = built(learner, Sequential(*parts), *parts)
        judge(f"Sequential, {what}", layer, x, right=right,
              mistake=lambda: mistake_in_sequential(layer, parts, x))


def mistake_in_sequential(layer, parts, x):
    """The usual mistake that gives the learner's gradients, where there is one."""
    backwards, y = [], x
    for part in parts:
        y, backward = part.forward(y)
        backwards.append(backward)
    if y.shape != x.shape or not parts:                # else a wrong order does not even run
        return ""
    dy = np.random.default_rng(2).standard_normal(y.shape)
    parameters = layer.named_parameters().values()

    def gradient(backward):
        return all_gradients(backward, dy, parameters)

    def through(chain):
        return gradient(functools.partial(functools.reduce, lambda dx, undo: undo(dx), chain))

    mistakes = {
        "the backwards are called in the order of the layers: the last layer must come first":
            through(backwards),
        "only the last layer's backward is called": through(backwards[-1:]),
        "only the first layer's backward is called": through(backwards[:1]),
        "the last layer is left out": through(backwards[-2::-1]),
        "the first layer is left out": through(backwards[:0:-1]),
        "no backward is called": through([]),
        "every backward is given dy, and not what the one before it returned":
            gradient(lambda dy: [undo(dy) for undo in backwards][0]),
        "what the backwards return is added up: they follow one another":
            gradient(lambda dy: sum(undo(dy) for undo in backwards)),
    }
    return named_mistake(gradient(layer.forward(x)[1]), through(backwards[::-1]), mistakes, 1e-9)


@exercise
def used_twice(learner):
    rng = np.random.default_rng(0)
    s_x, other = rng.standard_normal((2, B, E))
    for steps in 1, 2, 3:
        net = perceptron(E, L, E, rng, np.float64)
        rollout, original = named(learner, "Rollout")(net, steps), Rollout(net, steps)
        same_parameters(rollout, original)
        sizes = {"batch size": B, "number of steps": steps, "feature size": E, "hidden size": L}
        what = f"Rollout with steps = {steps}"
        returned = rollout.forward(s_x)[1](np.ones((steps, B, E)))
        if not told_nothing(returned):
            raise Fail(f"{what}: backward must return two things, ds_x and None (there is no z); "
                       f"it returned {describe(returned)}")
        judge(what, rollout, s_x, sizes=sizes, right=original.forward,
              mistake=lambda: mistake_in_rollout(rollout, original, s_x))
        calls_apart(what, rollout.forward, (s_x,), (other,), net.named_parameters().values())


def mistake_in_rollout(rollout, original, s_x):
    """The usual mistake that gives the learner's gradients, where there is one."""
    dy = np.random.default_rng(2).standard_normal((original.steps, *s_x.shape))

    def gradient(backward):
        return all_gradients(backward, dy, original.named_parameters().values())

    s, backwards = s_x, []
    for _ in range(original.steps):
        s, backward = original.net.forward(s)
        backwards.append(backward)
    mistakes = {text: gradient(mistaken)
                for text, mistaken in mistaken_rollouts(backwards).items()}
    wanted, got = (gradient(each.forward(s_x)[1]) for each in (original, rollout))
    return named_mistake(got, wanted, mistakes, 1e-9)


def mistaken_rollouts(backwards):
    """{the mistake in words: a function of dpredictions -> ds_x that makes it}"""
    def chained(chain, dy):
        ds = 0
        for d, undo in zip(dy, chain):
            ds = undo(d + ds)
        return ds

    def without(dropped):
        def backward(dy):
            dy[dropped] = 0
            return chained(backwards[::-1], dy[::-1])
        return backward

    return {
        "the chain is cut between the steps: ŝ_k also gets a gradient through ŝ_(k+1)":
            lambda dy: [undo(d) for undo, d in zip(backwards, dy)][0],
        "each step's gradient goes straight to s_x, not through the steps before it":
            lambda dy: sum(undo(d) for undo, d in zip(backwards, dy)),
        "only the last step's dprediction is used": without(slice(0, -1)),
        "only the first step's dprediction is used": without(slice(1, None)),
        "the gradient toward s_x is not returned":
            lambda dy: 0 * chained(backwards[::-1], dy[::-1]),
        "dpredictions is read from the first step to the last, the backwards from the last to the "
        "first": lambda dy: chained(backwards[::-1], dy),
        "the backwards are called from the first step to the last: the last must come first":
            lambda dy: chained(backwards, dy),
        "the backward of one step is used for all of them: each forward has returned its own":
            lambda dy: chained(backwards[:1] * len(dy), dy[::-1]),
    }


# --- the optimizers -------------------------------------------------------------------------------

def follow(what, build, path, gradients, rates, mistakes):
    """Take a step for each gradient, and compare the values after each with path's.

    build(value, grad, rate) -> the optimizer; mistakes: {text: the path that it would give}.
    """
    value, grad = np.zeros_like(gradients[0]), np.zeros_like(gradients[0])
    optimizer, reached = build(value, grad, rates[0]), []
    for gradient, rate in zip(gradients, rates):
        grad[:], optimizer.learning_rate = gradient, rate
        optimizer.step()
        if optimizer.value is not value:
            raise Fail(f"{what}: self.value is another vector after step(). The layers look into "
                       "the one that was given: change it in place, with self.value -= … or "
                       "self.value[:] = …")
        if optimizer.grad is not grad or not np.array_equal(grad, gradient):
            raise Fail(f"{what}: step() changes self.grad, which should stay as it was; make a new "
                       "array")
        reached.append(value.copy())
    if not value.any():
        raise Fail(f"{what}: step() leaves the values as they were")
    compare_path(f"{what}, the values", reached, path, mistakes, 1e-7)


def goes_on(what, build, gradients):
    """An optimizer that is given another's state must go on where that one was."""
    def walk(optimizer, gradients):
        for gradient in gradients:
            optimizer.grad[:] = gradient
            optimizer.step()
        return optimizer

    zeros = np.zeros_like(gradients[0])
    kept = walk(build(zeros.copy(), zeros.copy(), 0.1), gradients[:3])
    fresh = build(kept.value.copy(), zeros.copy(), 0.1)
    state = kept.state
    if not isinstance(state, dict) or set(state) != set(fresh.state):
        raise Fail(f"{what}: self.state must keep its names, {', '.join(fresh.state)}: a "
                   "checkpoint stores them")
    fresh.state = {name: np.array(array) for name, array in state.items()}
    value = walk(fresh, gradients[3:]).value
    if not agree(value, walk(kept, gradients[3:]).value, 1e-9):
        raise Fail(f"{what}: another {what} that is given self.state does not go on where this one "
                   "was: something that is remembered between the steps is not in self.state")


def sgd_path(gradients, rates, momentum, keep=1.0, take=1.0, nesterov=False, sign=-1, late=False,
             folded=False):
    """The values after each step; the arguments after momentum are what mistakes change."""
    velocity, value, path = 0, 0, []
    for grad, rate in zip(gradients, rates):
        before = velocity
        velocity = keep * momentum * velocity + take * grad * (rate if folded else 1)
        used = grad + momentum * velocity if nesterov else before if late else velocity
        value = value + sign * (1 if folded else rate) * used
        path.append(value + 0 * grad)
    return path


@exercise
def sgd(learner):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((6, L))
    for momentum, rates in [(0.9, [0.1, 0.1, 0.1, 0.05, 0.05, 0.02]), (0.5, [0.03] * 6),
                            (0.0, [0.1] * 6)]:
        path = functools.partial(sgd_path, gradients, rates)
        mistakes = {
            "the velocity is forgotten: velocity = grad, without momentum·velocity":
                path(momentum, keep=0.0),
            "the gradient is multiplied by 1 − momentum, as in an average":
                path(momentum, take=1 - momentum),
            "the gradient is multiplied by momentum too": path(momentum, take=momentum),
            "momentum is left out of the velocity, which only grows": path(1.0),
            "momentum and 1 − momentum are exchanged": path(1 - momentum),
            "the argument momentum is ignored, and 0.9 is used": path(0.9),
            "the argument momentum is ignored, and 0 is used": path(0.0),
            "the momentum is Nesterov's: the step is −learning_rate·(grad + momentum·velocity)":
                path(momentum, nesterov=True),
            "the step goes uphill: the sign of the step is wrong": path(momentum, sign=1),
            "the step is taken with the velocity of the step before": path(momentum, late=True),
            "learning_rate is left out": sgd_path(gradients, np.ones(6), momentum),
            "learning_rate is a part of the velocity, so that a change of it comes too late":
                path(momentum, folded=True),
            "learning_rate is applied twice": sgd_path(gradients, np.square(rates), momentum),
        }

        def build(value, grad, rate):
            return named(learner, "SGD")(value, grad, rate, momentum)

        follow(f"SGD with momentum {momentum}", build, path(momentum), gradients, rates, mistakes)
    goes_on("SGD", lambda value, grad, rate: named(learner, "SGD")(value, grad, rate, 0.9),
            gradients)


def adam_path(gradients, rate, betas, epsilon, correct="mv", stored="", first=1, counted=True,
              times=False, swapped=False, power=2, late=False, sign=-1,
              average=lambda old, new, beta: beta * old + (1 - beta) * new,
              root=lambda v_hat, epsilon, scale: np.sqrt(v_hat) + epsilon):
    """The values after each step; the arguments after epsilon are what mistakes change."""
    beta1, beta2 = betas[::-1] if swapped else betas
    m, v = np.zeros((2, len(gradients[0])))
    value, path = 0, []
    for number, grad in enumerate(gradients):
        t = first + number * counted
        before = m, v
        m, v = average(m, grad, beta1), average(v, grad**power, beta2)
        m_hat, v_hat = before if late else (m, v)
        m_scale, v_scale = (1 - (beta * t if times else beta**t) for beta in (beta1, beta2))
        m_hat, v_hat = (m_hat / m_scale if "m" in correct else m_hat,
                        v_hat / v_scale if "v" in correct else v_hat)
        m, v = m_hat if "m" in stored else m, v_hat if "v" in stored else v
        value = value + sign * rate * m_hat / root(v_hat, epsilon, v_scale)
        path.append(value)
    return path


ADAM_MISTAKES = {
    "the bias correction is missing": {"correct": ""},
    "only m is corrected, not v": {"correct": "m"},
    "only v is corrected, not m": {"correct": "v"},
    "t is counted after it is used: it is 0 in the first step": {"first": 0},
    "t begins at 2: it is counted twice in the first step": {"first": 2},
    "t is not counted: it is 1 in every step": {"counted": False},
    "β·t stands in place of βᵗ": {"times": True},
    "ε stands inside the root":
        {"root": lambda v_hat, epsilon, scale: np.sqrt(v_hat + epsilon)},
    "ε is added to √v before its correction, and not to √v̂":
        {"root": lambda v_hat, epsilon, scale: np.sqrt(v_hat) + epsilon / np.sqrt(scale)},
    "ε is left out": {"epsilon": 0.0},
    "the argument epsilon is ignored": {"epsilon": 1e-8},
    "the argument betas is ignored": {"betas": (0.9, 0.999)},
    "β₁ and β₂ are exchanged": {"swapped": True},
    "β and 1 − β are exchanged":
        {"average": lambda old, new, beta: (1 - beta) * old + beta * new},
    "the gradient is added without its share 1 − β":
        {"average": lambda old, new, beta: beta * old + new},
    "v averages the gradient and not its square": {"power": 1},
    "the root of v̂ is missing": {"root": lambda v_hat, epsilon, scale: v_hat + epsilon},
    "the corrected m̂ and v̂ are kept as m and v: each step then corrects them again":
        {"stored": "mv"},
    "the corrected m̂ is kept as m: each step then corrects it again": {"stored": "m"},
    "the corrected v̂ is kept as v: each step then corrects it again": {"stored": "v"},
    "the step is taken with the m and v of the step before": {"late": True},
    "the step goes uphill: its sign is wrong": {"sign": 1},
    "learning_rate is left out": {"rate": 1.0},
    "m and v are not kept from step to step":
        {"average": lambda old, new, beta: (1 - beta) * new},
}


@exercise
def adam(learner):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((6, L)) * np.logspace(-10, 1, L)           # from tiny to large
    gradients[:, 6] = 0                                # and one whose gradient is always 0
    for betas, epsilon in [((0.9, 0.999), 1e-8), ((0.8, 0.95), 1e-4), ((0.5, 0.9), 1e-8)]:
        right = {"rate": 0.1, "betas": betas, "epsilon": epsilon}
        path = adam_path(gradients, **right)
        mistakes = {text: adam_path(gradients, **{**right, **change})
                    for text, change in ADAM_MISTAKES.items()}

        def build(value, grad, rate):
            return named(learner, "Adam")(value, grad, rate, betas, epsilon)

        follow(f"Adam with β = {betas}, ε = {epsilon:g}", build, path, gradients, [0.1] * 6,
               mistakes)
    goes_on("Adam", lambda value, grad, rate: named(learner, "Adam")(value, grad, rate), gradients)


# --- the JEPA -------------------------------------------------------------------------------------

def batch(rng):
    """x and y of a small word world: sentences of 1 to 3 words, repeated words, K = 2 targets."""
    mask = np.arange(T) < np.array([3, 1, 2, 3, 2])[:, None]                   # (B, T)
    return (rng.integers(0, V, (B, T)), mask), rng.integers(0, V, (K, B))


def small(model, treatment, tau=0.9):
    """A small ToyJEPA of this class in float64; its target encoder is not a copy of the other."""
    rng = np.random.default_rng(0)
    model = model(V, rng, 3, 5, 2, np.float64, treatment, tau)
    model.predictor.steps = K
    model.target_encoder.value += 0.3 * rng.standard_normal(model.target_encoder.value.shape)
    for part in model.context_encoder, model.target_encoder, model.predictor.net:
        part.layers[0].bias.value[::2] = 1             # some hidden units awake, others asleep
        part.layers[0].bias.value[1::2] = -1
    return model


def gradient_of(model, x, y):
    model.grad[:] = 0
    model.forward(x, y)[1]()
    return model.grad.copy()


def judge_step(model, treatment):
    """All gradients of a whole step; the targets are held fixed where the gradient is stopped."""
    rng = np.random.default_rng(1)
    (x, y), original = batch(rng), small(jepa.ToyJEPA, treatment)
    same_parameters(model, original)
    original.value[:] = model.value
    held = copy.copy(model)                            # the same parameters, another encode_target
    if treatment != "joint":
        encoded = model.encode_target(y)
        held.encode_target = lambda y: encoded
    judge(f"the step, treatment {treatment!r}", model, x, y, numeric_forward=held.forward,
          sizes={"batch size": B, "number of steps": K, "number of tokens": T},
          right=original.forward, mistake=lambda: mistake_in_step(model, original, x, y))


def mistake_in_step(model, original, x, y):
    """The usual mistake about the two branches that gives the learner's gradient, if there is."""
    wanted = gradient_of(original, x, y)
    joint, stopped = (gradient_of_treatment(original, x, y, other)
                      for other in ("joint", "stopgrad"))
    embedding, context = (place_of(original.value, part.value)
                          for part in (original.embedding, original.context_encoder))

    def without(gradient, *places):
        left = wanted.copy()
        for place in places:
            left[place] -= gradient[place]
        return left

    mistakes = {
        "the gradient is not stopped: it flows into the target branch": joint,
        "no gradient comes to the target branch: in 'joint' it should flow into both": stopped,
        "the gradient flows into the target branch alone; the predictor and the context encoder "
        "get none": joint - stopped,
        "the two gradients of mse are exchanged, or have the opposite sign": -wanted,
        "nothing flows back at all": 0 * wanted,
        "no gradient comes from the context branch to the embedding": without(stopped, embedding),
        "no gradient comes to the context encoder, and through it to the embedding":
            without(stopped, embedding, context),
        "no gradient comes from the target branch to the embedding":
            without(joint - stopped, embedding),
    }
    return named_mistake(gradient_of(model, x, y), wanted, mistakes, 1e-9)


def gradient_of_treatment(model, x, y, treatment):
    other = small(jepa.ToyJEPA, treatment)
    other.value[:] = model.value
    return gradient_of(other, x, y)


@exercise
def stop_gradient(learner):
    own = named(learner, "JEPA")
    if not issubclass(own, jepa.JEPA) or not {"forward", "update_target"} <= set(vars(own)):
        raise Fail("JEPA must stay a minijepa.jepa.JEPA, with its own forward and update_target")

    class Model(jepa.ToyJEPA, own):
        """The article's encoders; forward and update_target are the learner's."""

    for treatment in TREATMENTS[::-1]:
        judge_step(small(Model, treatment), treatment)
    for treatment in TREATMENTS:
        for tau in 0.9, 0.6:
            judge_update(small(Model, treatment, tau), treatment, tau)


def judge_update(model, treatment, tau):
    """The target encoder after three updates, while the context encoder moves on."""
    rng = np.random.default_rng(1)
    what = f"update_target, treatment {treatment!r}, τ = {tau}"
    target, context = model.target_encoder.value, model.context_encoder.value
    updates = mistaken_updates(tau)
    mistakes, wanted = {text: target.copy() for text in updates}, target.copy()
    outside = np.delete(np.arange(len(model.value)), place_of(model.value, target, context))
    rest = model.value[outside]
    for _ in range(3):
        context[:] = rng.standard_normal(context.shape)
        online, before = context.copy(), model.value.copy()
        model.update_target()
        if treatment == "ema":
            wanted = tau * wanted + (1 - tau) * online
        mistakes = {text: updates[text](reached, online) for text, reached in mistakes.items()}
        seen = [part.value.ravel() for part in model.target_encoder.named_parameters().values()]
        moved = not np.array_equal(model.value, before)
        if (model.target_encoder.value is not target and not moved
                or not agree(np.concatenate(seen), target, 0)):
            raise Fail(f"{what}: the target is replaced by a new array instead of being changed in "
                       "place. The layers look into the vector that was there, and do not see the "
                       "new one: target[:] = …")
        if not np.array_equal(context, online):
            raise Fail(f"{what}: the context encoder was changed; only the target encoder should "
                       "follow")
        compare(f"{what}: the target encoder's values", target, wanted, mistakes)
        if not np.array_equal(model.value[outside], rest):
            raise Fail(f"{what}: other parameters than the target encoder's were changed")


def mistaken_updates(tau):
    """{the mistake in words: a function of the two that gives the new target}"""
    return {
        "τ and 1 − τ are exchanged": lambda target, online: (1 - tau) * target + tau * online,
        "the target is copied from the context encoder: target = online":
            lambda target, online: online,
        "the share of the context encoder is missing: target = τ·target":
            lambda target, online: tau * target,
        "target is added in full: target + (1 − τ)·online":
            lambda target, online: target + (1 - tau) * online,
        "the share of online is 1: τ·target + online": lambda target, online: tau * target + online,
        "self.tau is ignored, and 0.99 stands in its place":
            lambda target, online: 0.99 * target + 0.01 * online,
        "the mean of the two is taken": lambda target, online: (target + online) / 2,
        "the target moves away: target − (1 − τ)·(online − target)":
            lambda target, online: target - (1 - tau) * (online - target),
        "update_target does nothing": lambda target, online: target,
        "the target is updated here too, and should not be: only 'ema' averages":
            lambda target, online: tau * target + (1 - tau) * online,
    }


def place_of(vector, *stretches):
    """The indices in a vector of stretches that are views into it."""
    indices = np.arange(len(vector))
    starts = ((each.ctypes.data - vector.ctypes.data) // vector.itemsize for each in stretches)
    return np.concatenate([indices[start:start + len(each)]
                           for start, each in zip(starts, stretches)])


PARTS = ("embedding", "relu", "linear", "mean", "mse", "sequential", "used_twice", "adam",
         "stop_gradient")


def blame_a_part():
    """Raise Fail if a file that jepa_step imports does not pass its check, or leaves float32."""
    for name in PARTS:
        part = sys.modules.get(name)
        if part is not None and CHECKS[name](part):
            raise Fail(f"jepa_step stands on your {name}.py, and that does not pass its own check: "
                       f"mend it first\n    python -m minijepa.exercises check {name}")
    f32 = np.float32
    rng = np.random.default_rng(0)
    x3, ones = rng.standard_normal((B, T, E), f32), np.ones((B, T), bool)
    tries = {
        "linear": lambda module: module.Linear(E, L, rng).forward(x3)[1](np.ones((B, T, L), f32)),
        "relu": lambda module: module.ReLU().forward(x3)[1](x3),
        "mean": lambda module: module.Mean().forward(x3, ones)[1](x3[:, 0]),
        "mse": lambda module: module.mse(x3, x3 + 1)[1]()[0],
    }
    for name, attempt in tries.items():
        part = sys.modules.get(name)
        if part is not None and attempt(part).dtype != f32:
            raise Fail(f"training runs in float32, and the backward in your {name}.py gives "
                       f"{attempt(part).dtype} for it: make its arrays with np.zeros_like(x), or "
                       "with dtype=x.dtype")


def with_own_parts(check):
    """Where the check fails, or the learner's code raises, ask first whether a part is to blame."""
    @functools.wraps(check)
    def checked(learner):
        try:
            check(learner)
        except NotImplementedError:
            raise
        except Exception:
            blame_a_part()
            raise
    return checked


@exercise
@with_own_parts
def jepa_step(learner):
    started = time.perf_counter()
    ToyJEPA, step, Adam = (named(learner, name) for name in ("ToyJEPA", "step", "Adam"))
    for treatment in TREATMENTS[::-1]:
        judge_step(small(ToyJEPA, treatment), treatment)
    judge_steps(step)

    rng = np.random.default_rng(0)
    world = Words(rng)
    model = ToyJEPA(len(world.vocabulary), rng)
    optimizer = Adam(model.value, model.grad, learning_rate=3e-3)
    for epoch in range(1, 61):
        for x, y, _ in world.batches(32, rng):
            step(model, optimizer, x, y)
            if time.perf_counter() - started > SECONDS:
                raise Fail("all gradients and steps are right, but the training is slow: not done "
                           f"after {SECONDS} s, in epoch {epoch}. Look for a loop over entries in "
                           "your layers, and write it as one operation on whole arrays")
        rate = world.measure(model)["hits"]
        if rate == 1 and epoch >= 20:
            return
    raise Fail("all gradients and steps are right, but after 60 epochs in the word world the share "
               f"of hits is {rate:.2f}, wanted 1.00: are the sizes, the start and the treatment "
               "(ema) of ToyJEPA those given?")


def step_in_order(order, model, optimizer, x, y):
    """A step from its parts: z zero, f forward, b backward, o optimizer, t target."""
    loss = None
    for part in order:
        if part == "z":
            model.grad[:] = 0
        elif part == "f":
            loss, backward = model.forward(x, y)
        elif part == "b":
            backward()
        elif part == "o":
            optimizer.step()
        elif part == "t":
            model.update_target()
    return loss


MISTAKEN_ORDERS = {
    "the gradients are never zeroed: those of all steps add up": "fbot",
    "the gradients are zeroed between backward and the optimizer step": "fbzot",
    "the target is updated before the optimizer step": "zfbto",
    "the target is never updated": "zfbo",
    "the optimizer step is missing": "zfbt",
    "backward is not called": "zft",
    "the optimizer step comes before backward": "zfobt",
    "backward is called twice": "zfbbot",
    "the optimizer steps twice": "zfboot",
    "the target is updated twice": "zfbott",
}


def training(step):
    """Four steps on the package's model and Adam: the model, its values and losses after each."""
    rng = np.random.default_rng(1)
    model = small(jepa.ToyJEPA, "ema")
    optimizer = optimizers.Adam(model.value, model.grad, 0.02)
    path, losses = [], []
    for _ in range(4):
        losses.append(step(model, optimizer, *batch(rng)))
        path.append(model.value.copy())
    return model, path, losses


def judge_steps(step):
    """Some steps of training against the same steps done right."""
    def in_order(order):
        return training(functools.partial(step_in_order, order))

    model, path, returned = training(step)
    if model.grad.base is not model.embedding.weight.grad.base:
        raise Fail("step: model.grad was replaced by a new vector, which the layers do not see: "
                   "model.grad[:] = 0")
    _, right, wanted = in_order("zfbot")
    compare_path("step: all values of the model", path, right,
                 {text: in_order(order)[1] for text, order in MISTAKEN_ORDERS.items()})
    after = in_order("zfbotf")[2]
    late = "the loss is that after the update; wanted is the one whose gradient was taken"
    for number, loss in enumerate(returned):
        compare(f"step: the loss that step {number + 1} returns", loss, wanted[number],
                {late: after[number]})


# --- what the latents look like -------------------------------------------------------------------

def norms(rows):
    return np.linalg.norm(rows, axis=1, keepdims=True)


@exercise
def retrieval(learner):
    rng = np.random.default_rng(0)
    judge_cosines(named(learner, "cosine_similarity"), rng)
    retrieve = named(learner, "retrieve")
    predictions, latents = rng.standard_normal((B, E)), rng.standard_normal((401, E))
    latents *= rng.uniform(0.5, 3, (len(latents), 1))
    for count in 1, 3, 150, len(latents):
        kept = predictions.copy(), latents.copy()
        got = retrieve(predictions, latents, count) if count > 1 else retrieve(predictions, latents)
        unchanged("retrieve: predictions or latents", (predictions, latents), kept)
        judge_ids(f"retrieve, count = {count}", got, predictions, latents, count)
    latents[2] = 0
    judge_ids("retrieve, count = 300, with a row of zeros in latents",
              retrieve(predictions, latents, 300), predictions, latents, 300)


def judge_cosines(cosine_similarity, rng):
    for dtype, tolerance in (np.float64, 1e-6), (np.float32, 1e-5):
        a, b = (rng.standard_normal((n, E)).astype(dtype) for n in (B, V))
        for spread, lengths in (0, ""), (4, ", rows from tiny to large"):
            a, b = (rows * np.logspace(-spread, spread, len(rows), dtype=dtype)[:, None]
                    for rows in (a, b))
            kept = a.copy(), b.copy()
            got = cosine_similarity(a, b)
            unchanged("cosine_similarity: a or b", (a, b), kept)
            wanted, mistakes = cosines(a, b)
            compare(f"cosine_similarity, {np.dtype(dtype)}{lengths}", got, wanted, mistakes,
                    tolerance)
        a[1], b[4] = 0, 0
        got = cosine_similarity(a, b)
        wanted[1], wanted[:, 4] = 0, 0
        nan = wanted.copy()
        nan[1], nan[:, 4] = np.nan, np.nan
        compare("cosine_similarity, with a row of zeros in a and in b (0, not NaN)", got, wanted,
                {"0 is divided by 0": nan}, tolerance)


def cosines(a, b):
    """The right ones, and {the mistake in words: what it gives}."""
    dot, unit_a, unit_b = a @ b.T, a / norms(a), b / norms(b)
    return np.array([[row @ other / np.sqrt(row @ row) / np.sqrt(other @ other) for other in b]
                     for row in a]), {
        "nothing is divided by the lengths: this is a·b": dot,
        "only a is divided by its length": unit_a @ b.T,
        "only b is divided by its length": a @ unit_b.T,
        "it is divided by |a|²|b|²": dot / norms(a)**2 / norms(b).T**2,
        "it is divided by √|a|√|b|": dot / norms(a)**0.5 / norms(b).T**0.5,
        "the columns are scaled and not the rows: axis=1":
            (a / np.linalg.norm(a, axis=0)) @ (b / np.linalg.norm(b, axis=0)).T,
        "all of a and all of b are divided by one length: axis=1 is missing":
            dot / np.linalg.norm(a) / np.linalg.norm(b),
        "the rows are divided by the sum of their entries' sizes, not by their length":
            dot / np.abs(a).sum(1)[:, None] / np.abs(b).sum(1),
        "the axes are exchanged: (V, N) and not (N, V)": unit_b @ unit_a.T,
        "the distance 1 − cosine is returned": 1 - unit_a @ unit_b.T,
        "the sign is wrong": -unit_a @ unit_b.T,
        "1e-8 is added to each length, which makes short rows shorter":
            (a / (norms(a) + 1e-8)) @ (b / (norms(b) + 1e-8)).T,
        "1e-8 is added to the product of the lengths, which makes short rows shorter":
            dot / (norms(a) * norms(b).T + 1e-8),
    }


def judge_ids(what, got, predictions, latents, count):
    """The ids must be those of the largest cosines, best first."""
    def best(scores):
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]

    similarity = gauges.cosine_similarity(predictions, latents)
    wanted = best(similarity)
    distances = ((predictions[:, None] - latents) ** 2).sum(axis=2)
    mistakes = {
        "the order is that of the smallest cosine first": best(-similarity),
        "the best come last": wanted[:, ::-1],
        "the largest are taken, but the best comes last":
            np.argsort(similarity, axis=1)[:, -count:],
        "the nearest by the dot product are taken, not by cosine": best(predictions @ latents.T),
        "the nearest by distance are taken, not by cosine": best(-distances),
        "the cosines are returned, not the ids": np.take_along_axis(similarity, wanted, axis=1),
        "the axis of count is missing: (N, 1), also for a count of 1": wanted[:, 0],
        "the argument count is ignored": best(similarity)[:, :1],
        "each latent's nearest prediction is looked for":
            np.argsort(-similarity.T, axis=1)[:, :count],
        "axis=1 is missing: the predictions are sorted for each latent":
            np.argsort(-similarity, axis=0)[:, :count],
    }
    if isinstance(got, np.ndarray) and got.shape == wanted.shape and got.dtype.kind in "iu" \
            and 0 <= got.min() and got.max() < len(latents) \
            and all(len(set(row)) == count for row in got.tolist()):
        scores = [np.take_along_axis(similarity, ids, axis=1) for ids in (got, wanted)]
        if agree(*scores, 1e-12):
            return                                     # ties may stand in any order
    compare(f"{what}: the ids", got, wanted, mistakes)
    raise Fail(f"{what}: WRONG, the ids are of dtype {got.dtype}; wanted whole numbers")


def entropy_rank(sigma, log=np.log, exponential=np.exp, sign=-1, power=1, share=True):
    """exp(−Σ p log p); the arguments after sigma are what mistakes change."""
    sigma = np.asarray(sigma, np.float64) ** power
    p = sigma[sigma > 1e-12 * sigma.max(initial=0)]
    p = p / p.sum() if share else p
    return exponential(sign * (p * log(p)).sum())


def effective_ranks(latents):
    """The right one, and {the mistake in words: what it gives}."""
    def sigma(matrix):
        return np.linalg.svd(matrix, compute_uv=False)

    centred = latents - latents.mean(axis=0)
    right = sigma(centred)
    p = right / right.sum()
    return entropy_rank(right), {
        "the latents are not centred": entropy_rank(sigma(latents)),
        "the rows are centred and not the columns: axis=0":
            entropy_rank(sigma(latents - latents.mean(axis=1, keepdims=True))),
        "one mean of all numbers is taken away, not that of each column: axis=0":
            entropy_rank(sigma(latents - latents.mean())),
        "the columns are divided by their std too":
            entropy_rank(sigma(centred / (latents.std(axis=0) + 1e-300))),
        "σ² stands in place of σ (the eigenvalues of the covariance)": entropy_rank(right, power=2),
        "the logarithm is that of base 2, and the exponential is not":
            entropy_rank(right, log=np.log2),
        "the logarithm is that of base 10, and the exponential is not":
            entropy_rank(right, log=np.log10),
        "exp is missing: this is the entropy itself": entropy_rank(right, exponential=float),
        "a sign is wrong: exp(+Σ p log p)": entropy_rank(right, sign=1),
        "a sign is wrong and exp is missing: this is Σ p log p":
            entropy_rank(right, sign=1, exponential=float),
        "the σ are not divided by their sum": entropy_rank(right, share=False),
        "the σ are divided by the largest and not by their sum":
            np.exp(-sum(q * np.log(q) for q in right / right[0] if q > 1e-12)),
        "the singular values above 0 are counted: this is the rank": float((p > 1e-9).sum()),
        "the participation ratio (Σσ)² / Σσ² is taken": 1 / (p**2).sum(),
        "the participation ratio of σ² is taken": (right**2).sum() ** 2 / (right**4).sum(),
        "0·log 0 is computed, which is NaN: it has to count as 0": np.nan,
    }


@exercise
def effective_rank(learner):
    rank = named(learner, "effective_rank")
    rng = np.random.default_rng(0)
    spread = np.logspace(0, -2, E)
    # ±1 along 3 of 7 axes: 3 equal σ, 4 exactly 0
    round_cloud = np.zeros((2 * T, V))
    round_cloud[np.arange(2 * T), np.arange(2 * T) // 2] = [1, -1] * T
    cases = {
        "a cloud that is longer in some directions": rng.standard_normal((31, E)) * spread + 0.3,
        "a cloud far from the origin":
            rng.standard_normal((31, E)) * spread + 100 * rng.standard_normal(E),
        "fewer points than dimensions": rng.standard_normal((B, E)) + 2,
        "3 equal directions of 7, the other singular values exactly 0": round_cloud,
        "points on a line": np.linspace(-1, 2, 9)[:, None] * rng.standard_normal(E) + 1,
        "two points": rng.standard_normal((2, E)),
    }
    for what, latents in cases.items():
        kept = latents.copy()
        got, (wanted, mistakes) = rank(latents), effective_ranks(latents)
        compare(f"effective_rank, {what} {latents.shape}", got, wanted, mistakes, 1e-4)
        unchanged("effective_rank: latents", [latents], [kept])
    got = rank(np.tile([1.0, -2.0, 0.5], (8, 1)))
    compare("effective_rank, all 8 latents the same point", got, 0.0,
            {"0 is divided by 0: where all σ are 0, the answer is 0.0": np.nan,
             "one point is counted as one direction": 1.0})


# --- what keeps them from collapsing --------------------------------------------------------------

@exercise
def variance_hinge(learner):
    rng = np.random.default_rng(0)
    loss = named(learner, "variance_hinge")
    spread = np.array([0.2, 3.0, 0.5, 1.7, 0.9])       # narrow dimensions, and wide ones
    for N, L, floor, epsilon in [(12, 5, 1.0, 1e-4), (2, 3, 1.0, 1e-4), (9, 1, 4.0, 1e-4),
                                 (12, 5, 2.0, 0.3), (12, 5, 0.005, 1e-4)]:
        latents = spread[:L] * rng.standard_normal((N, L)) + 0.4
        judge_penalty(f"latents of shape {(N, L)}, floor = {floor:g}, ε = {epsilon:g}", loss,
                      losses.variance_hinge, mistakes_in_variance_hinge, latents, floor, epsilon)
    compare("variance_hinge, backward() without an argument", loss(latents, 2.0)[1](),
            losses.variance_hinge(latents, 2.0)[1]())


def judge_penalty(what, loss, original, mistakes, latents, *more):
    """The gradient of a function of latents; original is the package's own."""
    N, L = latents.shape

    def mistake():
        got, wanted = (function(latents, *more)[1](1.0) for function in (loss, original))
        return named_mistake(got, wanted, mistakes(latents, *more), 1e-9)

    judge(f"{original.__name__}, {what}", loss, latents, *more, right=original, mistake=mistake,
          sizes={"number of latents": N, "number of dimensions": L, "N − 1": N - 1})


def mistakes_in_variance_hinge(latents, floor, epsilon):
    """{text: the gradient that it would give}."""
    (N, L), centred = latents.shape, latents - latents.mean(axis=0)
    var = (centred * centred).sum(axis=0) / (N - 1)
    std = np.sqrt(var + epsilon)
    below = (std < floor) / L
    right = -centred * below / std / (N - 1)
    return {
        "every dimension gets a gradient: one whose std is above the floor should get none":
            -centred / L / std / (N - 1),
        "the hinge is the wrong way round: the dimensions above the floor get a gradient, not "
        "those below": -centred * (std > floor) / L / std / (N - 1),
        "the variance is divided by N − 1 in the forward, and by N here": right * (N - 1) / N,
        "the derivative of the root is missing: dVar = dstd / (2·std)": 2 * std * right,
        "it is not divided by std, as the derivative of the root is": std * right,
        "it is divided by Var + ε and not by its root, std": right / std,
        "the latents stand where centred belongs: their mean was taken away first":
            -latents * below / std / (N - 1),
        "the argument floor is ignored, and 1 is used": -centred * (std < 1) / L / std / (N - 1),
        "ε is left out of the root: std has it in": right * std / np.sqrt(var),
        "all entries of a dimension get the same: how far each is from the mean is left out":
            -np.ones_like(centred) * below / std / (N - 1),
    }


@exercise
def covariance_penalty(learner):
    rng = np.random.default_rng(0)
    loss = named(learner, "covariance_penalty")
    for what, N, L in [("", 10, 7), ("two latents, ", 2, 3), ("one dimension, ", 9, 1),
                       ("repeated dimensions, ", 10, 4)]:
        latents = rng.standard_normal((N, L)) @ rng.uniform(0.3, 1, (L, L)) + 0.4
        if what.startswith("repeated"):
            latents[:, 2:] = latents[:, :2] * [1, -1]
        judge_penalty(f"{what}latents of shape {(N, L)}", loss, losses.covariance_penalty,
                      mistakes_in_covariance_penalty, latents)
    compare("covariance_penalty, backward() without an argument", loss(latents)[1](),
            losses.covariance_penalty(latents)[1]())


def mistakes_in_covariance_penalty(latents):
    """{text: the gradient that it would give}."""
    (N, L), centred = latents.shape, latents - latents.mean(axis=0)
    covariance = centred.T @ centred / (N - 1)
    off_diagonal = covariance - np.diag(np.diag(covariance))
    scale = 4 / (L * (N - 1))
    return {
        "the diagonal is left in: the loss does not see the variances":
            centred @ covariance * scale,
        "C is divided by N − 1 in the forward, and by N here":
            centred @ off_diagonal * (4 / (L * N)),
        "the latents stand where centred belongs: their mean was taken away first":
            latents @ off_diagonal * scale,
        "the derivative of C² is taken as C²: it is 2·C":
            centred @ off_diagonal**2 * (2 / (L * (N - 1))),
        "only the pairs with i < j are counted: C_ij goes to both of the two, and so does C_ji":
            centred @ np.triu(off_diagonal) * scale,
        "only the pairs with i > j are counted: C_ij goes to both of the two, and so does C_ji":
            centred @ np.tril(off_diagonal) * scale,
        "it is divided by the number of pairs, L·(L − 1), where the forward divides by L":
            centred @ off_diagonal * (scale / max(L - 1, 1)),
    }


@exercise
def bug9(learner):
    judge_steps(named(learner, "step"))


CHECKS.update(bug1=linear, bug2=mse, bug3=embedding, bug4=mean, bug5=relu, bug6=used_twice,
              bug7=adam, bug8=stop_gradient)
