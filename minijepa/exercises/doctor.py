"""The doctor: what is wrong with a gradient, in words.

    from minijepa.exercises.doctor import examine
    print(examine(MyLayer(), x, rng=np.random.default_rng(0)))

gradcheck measures; the doctor asks further questions of a gradient that is wrong (another dy,
another x, one example at a time) and names a cause only where the answers leave no other.
"""

import ast
import contextlib
import inspect
import itertools
import textwrap
from dataclasses import dataclass, field

import numpy as np

from minijepa.gradcheck import TOLERANCE, compare, numeric_gradient, parameters_of, rounding

CLOSE = 1e-6            # two gradients agree, relative to the largest entry
ALL_OFF = "all of them"


def same(a, b):
    """Whether two arrays agree, relative to their largest entry."""
    if np.shape(a) != np.shape(b):
        return False
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= CLOSE * scale)


@dataclass
class Finding:
    """What is said of one array, or of the call as a whole."""

    name: str
    passed: bool
    measured: list = field(default_factory=list)       # the verdict, the worst entry
    diagnoses: list = field(default_factory=list)      # causes; if several, each is a possibility
    pattern: list = field(default_factory=list)        # a map of the errors, where no cause fits

    def __str__(self):
        label = "diagnosis" if len(self.diagnoses) == 1 else "possibly"
        lines = [*self.measured, *(f"    {label}: {diagnosis}" for diagnosis in self.diagnoses)]
        if self.pattern == [ALL_OFF]:
            lines.append(f"    no cause that I know fits; the entries that are off: {ALL_OFF}")
        elif self.pattern:
            lines.append("    no cause that I know fits; where yours and finite differences agree:")
            lines += [f"        {line}" for line in self.pattern]
        return "\n".join(lines)


@dataclass
class Report:
    """The findings for one layer on one set of inputs."""

    findings: list

    @property
    def passed(self):
        return all(finding.passed for finding in self.findings)

    @property
    def diagnoses(self):
        return [diagnosis for finding in self.findings for diagnosis in finding.diagnoses]

    def __str__(self):
        return "\n".join(map(str, self.findings))

    def __post_init__(self):
        for finding in [finding for finding in self.findings if finding.pattern][1:]:
            finding.pattern = []                       # one map is enough to begin with


@contextlib.contextmanager
def poisoned(value=np.nan):
    """Fill what np.empty and np.empty_like give: a gap that is never filled then shows."""
    kept = np.empty, np.empty_like

    def poison(make):
        def empty(*args, **options):
            array = make(*args, **options)
            if array.dtype.kind in "fc":
                array.fill(value)
            return array
        return empty

    np.empty, np.empty_like = map(poison, kept)
    try:
        yield
    finally:
        np.empty, np.empty_like = kept


def examine(layer, *inputs, rng, sizes=None, reference=None, numeric_forward=None):
    """Examine every gradient of a layer, a loss or a step: a `Report`, which prints as text.

    layer and inputs are those of `gradcheck.check`. sizes: {name: size} of what is at hand, to name
    a constant factor by. reference(*inputs) -> y: the right forward, if it was to stay.
    """
    return Examination(layer, inputs, rng, sizes, reference, numeric_forward).report()


class Examination:
    """One layer, one set of inputs, and the questions that can be asked of them."""

    def __init__(self, layer, inputs, rng, sizes=None, reference=None, numeric_forward=None,
                 floor=0.0, twice=True, ask=True, truth=None):
        self.floor, self.twice, self.asks, self.truth = floor, twice, ask, truth
        self.forward = getattr(layer, "forward", layer)
        self.parameters = parameters_of(layer)
        self.inputs, self.rng, self.reference = inputs, rng, reference
        self.numeric_forward = numeric_forward or self.forward
        self.floats = [i for i, x in enumerate(inputs) if is_array(x, "f")]
        self.masks = [x for x in flat(inputs) if is_array(x, "b")]
        self.ids = [x for x in flat(inputs) if is_array(x, "iu")]
        self.given_sizes = sizes

    # --- running it ------------------------------------------------------------------------------

    def call(self, inputs):
        """forward(*inputs), which must be (y, backward)."""
        result = self.forward(*inputs)
        if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
            raise Wrong("forward", "forward must return two things, y and the function backward; "
                        f"it returned {describe(result)}")
        return result

    def gradients(self, dy, backward=None):
        """What backward returns, and leaves where nothing was before: {name: what is there}."""
        for parameter in self.parameters.values():
            parameter.grad[...] = 0
        backward = backward or self.call(self.inputs)[1]
        return self.collect(backward(np.array(dy)))

    def collect(self, returned):
        if len(self.floats) > 1:
            if not isinstance(returned, tuple) or len(returned) != len(self.floats):
                raise Wrong("backward", f"backward must return a tuple of {len(self.floats)} "
                            f"gradients, one for each input; it returned {describe(returned)}")
        elif self.floats:
            returned = (returned[0] if told_nothing(returned) else returned,)
        else:
            returned = ()
        found = {self.input_name(i): dx for i, dx in zip(self.floats, returned)}
        found.update({name: parameter.grad for name, parameter in self.parameters.items()})
        return {name: np.array(a) if isinstance(a, (np.ndarray, np.generic)) else a
                for name, a in found.items()}

    def input_name(self, index):
        return "dx" if len(self.floats) == 1 else f"gradient of input {self.floats.index(index)}"

    def numeric(self, dy, name):
        """The central differences of Σ y·dy for one array, and that sum as a function.

        Where the truth is known, a function of dy, it stands in their place.
        """
        if self.truth:
            return self.truth(dy)[name], lambda: 0.0

        def projected():
            return float(np.sum(self.numeric_forward(*self.inputs)[0] * dy))
        return numeric_gradient(projected, self.array(name)), projected

    def array(self, name):
        for i in self.floats:
            if name == self.input_name(i):
                return self.inputs[i]
        return self.parameters[name].value

    # --- the visit -------------------------------------------------------------------------------

    def report(self):
        try:
            return Report(self.examine())
        except Wrong as error:
            return Report([wrong(error.name, f"{error.name}: WRONG", error.diagnosis)])

    def examine(self):
        for name in [*(self.input_name(i) for i in self.floats), *self.parameters]:
            if self.array(name).dtype != np.float64:
                raise Wrong(name, "the check needs float64 and was given "
                            f"{self.array(name).dtype}: in float32, noise alone is 1e-3 and hides "
                            "what is wrong. Build the layer and its inputs in float64")
        kept = [np.array(x) if isinstance(x, np.ndarray) else x for x in self.inputs]
        y, backward = self.call(self.inputs)
        self.y, self.backward = np.asarray(y), backward
        if self.reference is not None:
            wanted = np.asarray(self.reference(*kept))
            if not same(self.y, wanted):
                shape = f" (shape {self.y.shape}, wanted {wanted.shape})"
                raise Wrong("forward", "the forward was given and should stay: y is no longer what "
                            "it was" + (shape if self.y.shape != wanted.shape else ""))
        self.unchanged(kept, "forward")
        values = {name: parameter.value.copy() for name, parameter in self.parameters.items()}
        self.dy = np.array(self.rng.standard_normal(self.y.shape))
        self.sizes = self.given_sizes or self.sizes_at_hand()

        grads = {name: parameter.grad for name, parameter in self.parameters.items()}
        for grad in grads.values():
            grad[...] = 0
        dy = self.dy.copy()
        returned = backward(dy)
        findings = []
        if dy.shape != self.dy.shape or not np.array_equal(dy, self.dy):
            findings.append(wrong(
                "dy", "dy: WRONG, it is not what it was before the call",
                "backward writes into dy, the array that it is given. Others still need it (a "
                "layer that feeds two places gives both the same dy): make a new array instead"))
        self.unchanged(kept, "backward")
        for name, value in values.items():
            if not np.array_equal(self.parameters[name].value, value):
                self.parameters[name].value[...] = value
                raise Wrong(name, f"backward changes {name}.value in place: it only adds to "
                            f"{name}.grad, and the optimizer does the rest")
        self.analytic = self.collect(returned)
        for name, a in self.analytic.items():
            findings.append(self.look_at(name, a))
        if all(finding.passed for finding in findings):
            findings += self.further_calls(grads)
        if self.twice and all(finding.passed for finding in findings):
            findings += self.second_call()
        return findings

    def unchanged(self, kept, who):
        for x, before in zip(self.inputs, kept):
            if isinstance(x, np.ndarray) and x.shape != before.shape:
                x.shape = before.shape
                raise Wrong("x", f"{who} gives its input x another shape in place (x.shape = …): "
                            "the caller's array has it too. Use x.reshape, which leaves x alone")
            if isinstance(x, np.ndarray) and not np.array_equal(x, before):
                x[...] = before
                raise Wrong("x", f"{who} changes its input x in place: the caller's array is no "
                            "longer what it was. Make a new array instead")

    def look_at(self, name, a):
        """The finding for one array."""
        n, projected = self.numeric(self.dy, name)
        if not isinstance(a, np.ndarray):
            if a is not None:
                return wrong(name, f"{name}: WRONG, {describe(a)} was returned", "a gradient is a "
                             f"NumPy array of the shape of what it belongs to: here {n.shape}")
            return wrong(name, f"{name}: WRONG, nothing was returned (None)",
                         "None stands in its place in the tuple that backward returns"
                         if len(self.floats) > 1 else why_none(self.backward))
        if a.shape != n.shape:
            return wrong(name, f"{name}: WRONG, its shape is {a.shape}, wanted {n.shape}",
                         self.wrong_shape(a, n))
        if a.dtype.kind in "cO":
            return wrong(name, f"{name}: WRONG, its dtype is {a.dtype}, wanted {n.dtype}",
                         "complex numbers: look for 1j, or for a power or root of complex numbers"
                         if a.dtype.kind == "c" else "an array of Python objects, not of numbers: "
                         "look for dtype=object, or an array made of None or of unequal lists")
        if a.dtype != n.dtype and a.dtype.kind != "f":
            return wrong(name, f"{name}: WRONG, its dtype is {a.dtype}, wanted {n.dtype}",
                         f"numbers were rounded to {a.dtype}: make the array with dtype=x.dtype")
        floor = max(rounding(self.y, self.dy), self.floor)
        gradient = compare(name, projected, self.array(name), a.astype(np.float64), n, floor=floor)
        near = ", ".join(map(str, gradient.kinks))
        if gradient.passed and a.dtype == n.dtype and not in_float32(a):
            kink = f" (a kink next to {near}: differences cannot tell there)" if near else ""
            return Finding(name, True, [f"{name} {n.shape}: right, relative error "
                                        f"{gradient.error:.1e}{kink}"])
        smooth = np.ones(n.shape, bool)
        for index in gradient.kinks:
            smooth[index] = False
        allowed = max(TOLERANCE * np.abs(np.concatenate([a.ravel(), n.ravel()])).max(), floor)
        off = smooth & ~(np.abs(a - n) < allowed)
        error = np.where(smooth, np.nan_to_num(np.abs(a - n), nan=np.inf), -1)
        worst = np.unravel_index(np.argmax(error), n.shape)
        measured = [f"{name} {n.shape}: WRONG, relative error {gradient.error:.1e}, "
                    f"{off.sum()} of {n.size} entries are off",
                    f"    worst entry {list(map(int, worst))}: yours {a[worst] + 0:.6g}, "
                    f"finite differences {n[worst] + 0:.6g}"]
        if gradient.error > 1e-3:
            measured.append("    float precision cannot do this: rounding stays below 1e-7 here")
        if near:
            measured.append(f"    a kink next to {near}: left out of this")
        diagnoses = self.diagnose(name, a, n, smooth, off) if self.asks else []
        return Finding(name, False, measured, diagnoses,
                       [] if diagnoses else error_map(a, n, smooth, off))

    # --- the questions, the most telling first ---------------------------------------------------

    def wrong_shape(self, a, n):
        if any(same(a.transpose(axes), n) for axes in itertools.permutations(range(a.ndim))):
            return "transposed: the right numbers, with the axes swapped"
        if a.size == n.size and same(a.reshape(n.shape), n):
            return f"the right numbers, in another shape: reshape to that of its array, {n.shape}"
        for axis in range(a.ndim):
            for axes in (axis,), tuple(range(axis + 1)):
                if same(a.sum(axis=axes), n):
                    along = ", ".join(map(str, axes))
                    return (f"not summed: what was used for each place along axis {along} gets a "
                            "gradient from each, and they add up")
        for axis in range(n.ndim):
            for part in n.sum(axis=axis), n.mean(axis=axis):
                if same(a.ravel(), part.ravel()):
                    return f"axis {axis} of the gradient was summed or averaged away"
        if a.T.shape == n.shape:
            return "the axes are swapped, and the numbers are not the right ones either"
        return f"a gradient has the shape of what it belongs to: here {n.shape}"

    def diagnose(self, name, a, n, smooth, off):
        """The causes that the evidence leaves: one, or several, or none where nothing fits."""
        if not np.isfinite(a).all():
            bad = list(map(int, np.argwhere(~np.isfinite(a))[0]))
            return [f"NaN or infinity, first at {bad}: look for a division by zero, a root or "
                    "logarithm of something not above 0, an overflow, or np.empty that was never "
                    "filled"]
        if in_float32(a) and same_to(a, n, 1e-4):
            return ["float32 noise: right but for rounding to float32 on the way. x is float64 and "
                    "so must be all that is computed from it; look for astype, np.float32 or "
                    "dtype="]
        a = a.astype(np.float64)
        if same_to(a, n, 1e-5):
            return ["float32 noise: some of it was computed in float32; look for astype, "
                    "np.float32 or dtype=",
                    "a small number was added that does not belong there, such as an ε against "
                    "division by zero",
                    "the differences are not precise enough: y is very large, or very curved, here"]
        if not a.any():
            is_parameter = name in self.parameters
            return ["zero everywhere: nothing was "
                    + ("added to the gradient of this parameter" if is_parameter else "passed on")]
        if not n.any():
            if self.numeric_forward != self.forward and name.startswith("target_encoder"):
                return ["the gradient flows into the target branch: the stop-gradient is missing"]
            return ["the output does not depend on this array at all: its gradient is exactly "
                    "zero, yours is not"]
        fit = np.where(smooth, n, 0)
        own = np.where(smooth, a, 0)
        for question in (self.ask_dy, self.ask_linear, self.ask_factor, self.ask_axes,
                         self.ask_padding, self.ask_repeated_ids, self.ask_examples,
                         self.ask_slices, self.ask_x):
            answer = question(name, own, fit, off)
            if answer:
                return answer
        return []

    def ask_dy(self, name, a, n, off):
        """Another dy: does yours change at all?"""
        other = np.array(self.rng.standard_normal(self.y.shape))
        if same(self.gradients(other)[name], self.analytic[name]):
            ones = np.ones_like(self.dy)
            right = same(self.gradients(ones)[name], self.numeric(ones, name)[0])
            only = ("; it is right for a dy of all ones only, which is why such a check does not "
                    "see it")
            return ["the upstream gradient dy is ignored: with another dy yours stays the same"
                    + (only if right else "")]

    def ask_linear(self, name, a, n, off):
        """Every backward is linear in dy."""
        if self.gradients(0 * self.dy)[name].any():
            return ["something is added that does not come from dy: with a dy of zeros yours is "
                    "not zero, as every gradient is"]
        if not same(self.gradients(-2.5 * self.dy)[name], -2.5 * self.analytic[name]):
            return ["the wrong saved value, or dy used twice: yours is not linear in dy, as every "
                    "backward is (−2.5·dy should give −2.5 times the gradient). Perhaps dy stands "
                    "where something from the forward belongs, such as the mask x > 0"]

    def ask_factor(self, name, a, n, off):
        """One factor for all entries, and for another dy too?"""
        factor = float(np.sum(a * n) / np.sum(n * n)) if n.any() else 0
        if factor and same(a, factor * n):
            other = np.array(self.rng.standard_normal(self.y.shape))
            mine, true = self.gradients(other)[name], self.numeric(other, name)[0]
            if same(np.where(a != 0, mine, 0), factor * np.where(n != 0, true, 0)):
                return self.name_factor(factor)

    def name_factor(self, factor):
        if abs(factor + 1) < CLOSE:
            return ["the opposite sign: every entry is −1 times what it should be"]
        sign = "the opposite sign, and " if factor < 0 else ""
        size = abs(factor)
        prefix = (f"{sign}off by a constant factor: yours is everywhere {size:.6g} times "
                  "what it should be")
        causes = [cause for value, cause in self.factors() if abs(size / value - 1) < CLOSE]
        if not causes:
            return [f"{prefix}; that is none of the sizes at hand, {self.list_sizes()}"]
        return [f"{prefix}. That is {cause}" for cause in causes]

    def factors(self):
        """(value, what it would mean) for 2, 1/2, the sizes at hand, and their products."""
        yield 2.0, "2: counted twice, or the 2 of a square that is there already"
        yield 0.5, "1/2: the 2 of the square is missing, or one of two equal parts"
        for count in (1, 2):
            for group in itertools.combinations(self.sizes.items(), count):
                size = int(np.prod([value for _, value in group]))
                text = " × ".join(f"{name} ({value})" for name, value in group)
                if size > 1:
                    summed, divided = "a sum where a mean was asked", "divided by it once too often"
                    many, without = "and a 2 too many", "without the 2 of the square"
                    yield float(size), f"{text}: {summed}"
                    yield 1 / size, f"1 / {text}: {divided}"
                    yield 2.0 * size, f"2 × {text}: {summed}, {many}"
                    yield size / 2, f"{text} / 2: {summed}, {without}"
                    yield 2 / size, f"2 / {text}: {divided}, {many}"
                    yield 1 / (2 * size), f"1 / (2 × {text}): {divided}, {without}"

    def sizes_at_hand(self):
        """{name: size} from the shapes of the first input and of the output."""
        arrays = [x for x in flat(self.inputs) if is_array(x)]
        sizes = {}
        if arrays and arrays[0].ndim:
            shape = arrays[0].shape
            sizes["batch size"] = shape[0]
            if arrays[0].ndim > 2 or self.ids and arrays[0].ndim > 1:
                sizes["number of tokens"] = shape[1]
            if arrays[0].dtype.kind == "f" and arrays[0].ndim > 1:
                sizes["feature size"] = shape[-1]
        if self.y.ndim > 1 and self.y.shape[-1] not in sizes.values():
            sizes["output size"] = self.y.shape[-1]
        return sizes

    def list_sizes(self):
        return ", ".join(f"{name} {size}" for name, size in self.sizes.items()) or "none"

    def ask_axes(self, name, a, n, off):
        """The right numbers with the axes swapped? (A square array hides it in the shape.)"""
        if a.ndim == 2 and a.shape[0] == a.shape[1] and same(a.T, n):
            return ["transposed: the right numbers, with the axes swapped; the array is square, so "
                    "the shape does not show it"]

    def ask_padding(self, name, a, n, off):
        for mask in self.masks:
            if a.shape[: mask.ndim] != mask.shape or mask.all():
                continue
            padding = ~mask
            if not off[mask].any():
                return ["padding is not masked: right at every token that is there, but the places "
                        "that are only padding get a gradient, and should get none"]
            count, length = mask.sum(axis=1), mask.shape[1]
            share = (count / length)[(slice(None),) + (None,) * (a.ndim - 1)]
            seen = np.where(padding[(...,) + (None,) * (a.ndim - mask.ndim)], 0, a)
            gets = "; and padding, which should get no gradient, gets one"
            for times, divisor in (share, "the length with its padding"), (share * length, "1"):
                if same(seen, times * n):
                    return ["padding is not masked in the count: each sentence is divided by "
                            f"{divisor} instead of by its own number of tokens"
                            + (gets if a[padding].any() else "")]

    def ask_repeated_ids(self, name, a, n, off):
        """Are the rows that are off just those of the ids that occur more than once?"""
        shapes = [ids.shape for ids in self.ids]
        if name not in self.parameters or shapes != [self.y.shape[:-1]]:
            return
        ids, places, counts = np.unique(self.ids[0].ravel()[::-1], return_index=True,
                                        return_counts=True)
        wrong_rows = set(np.flatnonzero(off.reshape(len(n), -1).any(axis=1)))
        if wrong_rows and wrong_rows <= set(ids[counts > 1]):
            last = np.zeros_like(self.dy)
            rows = last.reshape(-1, last.shape[-1])[::-1]
            rows[places] = self.dy.reshape(rows.shape)[::-1][places]
            if same(a, self.numeric(last, name)[0]):
                return ["repeated ids overwrite each other where they should add up: yours is the "
                        "gradient from the last place of each id alone. `grad[ids] += dy` keeps "
                        "only one of them"]
            if (counts == 1).any():
                return ["right for each id that occurs once, wrong for those of the repeated ids: "
                        "they should get the sum over all their places"]

    def ask_examples(self, name, a, n, off):
        """Along some axis, are some places wholly right and the others not?"""
        if a.ndim == 0 or a.size < 2:
            return
        for axis in range(a.ndim):
            others = tuple(k for k in range(a.ndim) if k != axis)
            wrong, trivial = off.any(axis=others), ~(n.any(axis=others))
            right = ~wrong & ~trivial
            wholly = (off | (n == 0)).all(axis=others)[wrong].all()
            zero = not a[(slice(None),) * axis + (np.flatnonzero(wrong),)].any()
            if wrong.any() and right.any() and wholly and (zero or a.ndim > 1):
                what = self.axis_name(name, a, axis)
                return [f"right for some {what} only: right at {ranges(right)}, "
                        f"{'zero' if zero else 'wrong'} at {ranges(wrong)} along axis {axis}"]

    def axis_name(self, name, a, axis):
        if name in self.parameters:
            return "rows" if axis == 0 else "columns"
        if a.ndim == 1:
            return "entries"
        return "examples" if axis == 0 else f"places of axis {axis}"

    def ask_slices(self, name, a, n, off):
        """Is yours what one slice of dy alone gives (the last one: overwritten), or all but one?"""
        for axis in range(self.dy.ndim):
            size = self.dy.shape[axis]
            for place in {size - 1, 0} if size > 1 else ():
                part = np.zeros_like(self.dy)
                where = (slice(None),) * axis + (place,)
                part[where] = self.dy[where]
                alone = self.numeric(part, name)[0]
                which = "last" if place else "first"
                one = f"the {which} of the {size} along axis {axis} of dy"
                if same(a, alone):
                    causes = ["the others are left out", "overwritten where it should add up"]
                    return [f"{cause}: yours is the gradient from {one} alone"
                            for cause in causes[:2 if place else 1]]
                if alone.any() and same(a, n - alone):
                    return [f"{one} is left out"]

    def ask_x(self, name, a, n, off):
        """Another x: the true gradient changes; does yours?"""
        if not self.floats:
            return
        kept = [self.inputs[i].copy() for i in self.floats]
        for i in self.floats:
            self.inputs[i][...] = self.rng.permuted(self.inputs[i])
        mine, true = self.gradients(self.dy)[name], self.numeric(self.dy, name)[0]
        for i, x in zip(self.floats, kept):
            self.inputs[i][...] = x
        if same(mine, self.analytic[name]) and not same(true, n):
            return ["yours does not change with x, and the true gradient does: what depends on x "
                    "is left out, or is the wrong saved value, not from the x of this call"]

    # --- a right gradient, called again ----------------------------------------------------------

    def further_calls(self, grads):
        """Right once; is it right when called again, and when another forward comes in between?"""
        findings = []
        for name, parameter in self.parameters.items():
            if parameter.grad is not grads[name]:
                findings.append(wrong(
                    name, f"{name}.grad: WRONG, it is another array than before", "overwritten "
                    f"where it should add up: {name}.grad was replaced by a new array, so the flat "
                    "vector of all gradients no longer sees it. Add into it with +="))
        if findings:
            return findings
        _, backward = self.call(self.inputs)
        self.gradients(self.dy, backward=backward)
        again = self.collect(self.call(self.inputs)[1](self.dy.copy()))
        for name in self.parameters:
            if not same(again[name], 2 * self.analytic[name]):
                once = same(again[name], self.analytic[name])
                findings.append(wrong(
                    name, f"{name}.grad: WRONG after a second call", "overwritten where it should "
                    "add up: a second backward should add to what is there (a layer used twice has "
                    "two paths to the loss), and "
                    + ("the first is lost. Use += in place of =" if once else
                       "here it gives something else")))
        if findings:
            return findings
        other = [self.rng.permuted(x) if is_array(x, "fiu") else x[..., ::-1] if is_array(x, "b")
                 else x for x in self.inputs]
        _, backward = self.call(self.inputs)
        self.call(other)                               # a second use, before the first is undone
        for name, a in self.gradients(self.dy, backward=backward).items():
            if not isinstance(a, np.ndarray) or not same(a, self.analytic[name]):
                return [wrong(
                    name, f"{name}: WRONG when another forward comes before its backward", "the "
                    "wrong saved value: what forward saved was overwritten by the next forward (in "
                    "self?). Keep it in a local variable of forward, which the backward of that "
                    "call sees")]
        return []

    def second_call(self):
        """backward only reads what forward has saved: called again, it gives the same again."""
        _, backward = self.call(self.inputs)
        first = self.gradients(self.dy, backward)
        for name, a in self.gradients(self.dy, backward).items():
            if not isinstance(a, np.ndarray) or not same(a, first[name]):
                return [wrong(
                    name, f"{name}: WRONG when the same backward is called once more", "backward "
                    "overwrites what forward has saved (an operation in place: *=, -=, [...] = ). "
                    "It may only read it: make a new array instead")]
        return []


def why_none(backward):
    """How a backward comes to give None."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(backward)))
        returns = any(isinstance(node, ast.Return) and node.value is not None
                      and not getattr(node.value, "value", 0) is None for node in ast.walk(tree))
    except (OSError, SyntaxError, TypeError):
        returns = False
    if returns:
        return ("what stands after `return` is None: a call that works in place, such as "
                "np.add.at, np.copyto, fill or sort, gives None and not the array")
    return "the function backward ends without `return`"


def wrong(name, verdict, diagnosis):
    """The finding where the cause is plain."""
    return Finding(name, False, [verdict], [diagnosis])


class Wrong(Exception):
    """Nothing further can be measured."""

    def __init__(self, name, diagnosis):
        super().__init__(diagnosis)
        self.name, self.diagnosis = name, diagnosis


def in_float32(a):
    """Whether all entries are numbers of float32, as no sum of random dy is by chance."""
    with np.errstate(over="ignore"):
        return bool(a.any() and np.array_equal(a, a.astype(np.float32)))


def same_to(a, n, tolerance):
    return a.shape == n.shape and np.abs(a - n).max() <= tolerance * np.abs(n).max()


def is_array(x, kinds="biuf"):
    return isinstance(x, np.ndarray) and x.dtype.kind in kinds


def told_nothing(returned):
    """Whether it is (ds_x, None), as of a predictor: it was told no z that has a gradient."""
    return isinstance(returned, tuple) and len(returned) == 2 and returned[1] is None


def flat(values):
    """The values with tuples taken apart."""
    for value in values:
        yield from flat(value) if isinstance(value, tuple) else (value,)


def describe(value):
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


def ranges(wanted):
    """[True, True, False, True] -> "0-1, 3"."""
    places = np.flatnonzero(wanted)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def error_map(a, n, smooth, off, rows=12, columns=40):
    """A map of the errors, a character for each entry."""
    marks = np.select([~smooth, ~off, same_entries(a, -n), a == 0], list("^.-0"), "x")
    if (marks == "x").all():
        return [ALL_OFF]
    table = marks.reshape(-1, marks.shape[-1]) if marks.ndim else marks.reshape(1, 1)
    lines = ["".join(row[:columns]) + ("…" if len(row) > columns else "") for row in table[:rows]]
    if len(table) > rows:
        lines.append("…")
    return lines + ["(. agrees   - opposite sign   0 yours is zero   ^ kink   x anything else)"]


def same_entries(a, b):
    return np.abs(a - b) <= CLOSE * np.maximum(np.abs(a), np.abs(b))
