"""The exercises: right solutions pass, wrong ones are told why; a right gradient is not blamed.

The solutions, right and wrong, are in tests/exercises.
"""

import re
import shutil
import warnings

import numpy as np
import pytest
from exercises.solutions import NAMES, SOLUTIONS, FURTHER, STUBS, imported, report_on, stub_of
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.exercises import checks
from minijepa.exercises.checks import CHECKS, ORDER, exercise, mistakes, solution
from minijepa.exercises.doctor import examine
from minijepa.gradcheck import held_forward
from minijepa.jepa import TREATMENTS, ToyJEPA
from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential
from minijepa.losses import mse
from minijepa.modules import Module, Parameter

seeds = st.integers(0, 2**32 - 1)
some = settings(deadline=None, max_examples=40)
f64 = np.float64
BUGS = [name for name in NAMES if name.startswith("bug")]

# A second or more each
LONG = ("jepa_step", "stop_gradient", "adam", "used_twice", "sequential", "rollout", "bug6", "bug7",
        "bug8", "bug9")
RIGHT = [s for s in SOLUTIONS if s.right]
right = pytest.mark.parametrize("solution", [
    pytest.param(s, marks=pytest.mark.slow if s.exercise in LONG else ()) for s in RIGHT], ids=str)
# One wrong solution of each exercise; all others are long
WRONG = [s for s in SOLUTIONS if not s.right]
FIRST = {s.exercise: s for s in reversed(WRONG)}
wrong = pytest.mark.parametrize("solution", [
    pytest.param(s, marks=() if s is FIRST[s.exercise] and s.exercise not in LONG
                 else pytest.mark.slow) for s in WRONG],
    ids=str)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a right file for every exercise."""
    folder = tmp_path_factory.mktemp("learner")
    for each in reversed(SOLUTIONS):                   # so that the first right one stays
        if each.right:
            (folder / f"{each.exercise}.py").write_text(each.source, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Two mistakes at once are not looked for long."""
    monkeypatch.setattr(checks, "PATIENCE", 0.3)


@pytest.fixture
def desk(folder, tmp_path):
    """A copy of that folder for one test: a check imports the files beside the one checked."""
    shutil.copytree(folder, tmp_path / "desk")
    return tmp_path / "desk"


# The solutions

@right
def test_a_right_solution_passes(solution, desk):
    assert report_of(solution, desk) == ""


REPORTS = {}


def report_of(solution, desk):
    """The report on a solution, made once."""
    if str(solution) not in REPORTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            REPORTS[str(solution)] = report_on(solution, desk)
    return REPORTS[str(solution)]


def causes(report):
    """What the report names as a cause, each on a line of its own."""
    museum = r"(?:[\w. ]+: t|T)his is what one gets if "
    return re.findall(rf"^ *(?:diagnosis: |possibly: |{museum})(.*)$", report, re.M)


@wrong
def test_a_wrong_solution_is_told_why(solution, desk):
    report = report_of(solution, desk)
    assert report
    for words in solution.says:
        assert re.search(words, report), f"{words!r} is not in\n{report}"
    for cause in causes(report):
        asked = any(re.search(words, cause) for words in solution.says)
        assert asked, f"a false cause: {cause}\n{report}"
    unknown = report.count("no cause that I know fits")
    assert unknown <= (0 if "his is what one gets if" in report else 1)
    assert not re.search(r"(yours|differences|wanted) -0\b(?!\.)", report)
    if solution.map:
        assert unknown and ("(. agrees" in report or "off: all of them" in report)


def test_every_exercise_has_solutions_enough():
    assert set(NAMES) == set(ORDER) == set(CHECKS) == {path.stem for path in STUBS.glob("*.py")}
    for name in NAMES:
        rights = {s.source for s in SOLUTIONS if s.exercise == name and s.right}
        wrongs = {s.source for s in SOLUTIONS if s.exercise == name and not s.right}
        assert len(rights) >= (2 if name in BUGS else 3)
        assert len(wrongs) >= (3 if name in BUGS else 5)
    assert len(NAMES) - len(BUGS) >= 16 and len(BUGS) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    "its shape is", "transposed|axes swapped", "without `return`", "NaN or infinity",
    "the opposite sign", "batch size", "feature size", "2: counted twice",
    "1/2: the 2", "divided by it once too often", "zero everywhere",
    "right for some", "repeated ids", "the first is lost", "dy is left out",
    "padding is not masked", "in place", "writes into dy", "wrong saved value", "kink",
    "float32 noise",
])
def test_every_kind_of_diagnosis_is_asked_for_by_a_solution(words, desk):
    shown = [s for s in SOLUTIONS
             if not s.right and s.exercise in ("relu", "linear", "mse", "mean", "embedding")]
    assert any(re.search(words, report_of(solution, desk)) for solution in shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_does_not_pass(name, desk):
    with imported(name, stub_of(name), desk) as module:
        if name in BUGS:
            assert CHECKS[name](module)
        else:
            with pytest.raises(NotImplementedError, match="your turn"):
                CHECKS[name](module)


@pytest.mark.parametrize("name", [name for name in BUGS if "naive check" in stub_of(name)])
def test_a_bug_passes_the_naive_check_in_its_own_file(name, capsys):
    exec(compile(stub_of(name), name, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "naive check: passed\n"


@pytest.mark.parametrize("name", NAMES)
def test_hints_are_there_and_their_code_can_be_typed(name):
    hints = exercise(name).HINTS.strip().split("\n\n")
    assert len(hints) >= 2 and all(hints)
    typed = r"\[[^\]]*−|(np|self)\.\S*[^;]*−|(epsilon|beta1|beta2|tau) −|− (epsilon|beta|tau)"
    found = re.search(typed, " ".join(hints).replace("\n", " "))
    assert not found, f"a minus that is none in Python: {found[0]}"


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in NAMES])
def test_a_solution_is_the_packages_own_lines_and_passes(name, desk):
    with imported(name, solution(name), desk) as module:
        assert CHECKS[name](module) == ""
    for part in solution(name).split("# minijepa/")[1:]:
        path, _, shown = part.partition("\n")
        source = (STUBS.parents[1] / path).read_text(encoding="utf-8")
        for line in shown.splitlines():
            assert line in source.splitlines() or re.match(r"class \w+\(minijepa\.", line)


# The museum

QUICK = ("told", "bug10")
MUSEUM = [name for name in NAMES if not hasattr(exercise(name), "LIKE")]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in MUSEUM])
def test_each_mistake_is_wrong_and_is_told_by_its_own_sentence(name, desk, monkeypatch):
    """That of another may stand beside it where both give the same; no more than three do."""
    unknown = []
    for mistake in mistakes(name)[::4 if name in LONG else 1]:
        module = checks.made(name, mistake.code)
        with np.errstate(all="ignore"), checks.poisoned():
            diagnosis = checks.Diagnosis(name, module)
            said = diagnosis.explain()
        assert diagnosis.wrong, f"this is right: {mistake.sentence}\n{mistake.code}"
        named = [sentence for sentences in said.values() for sentence in sentences]
        if mistake.sentence not in named or len(named) > 3:
            unknown.append((mistake.sentence, named))
    assert not unknown


@pytest.mark.slow
def test_what_was_written_after_the_museum_is_wrong_and_gets_its_cause(desk):
    """A count: which cause it is was read by hand, once."""
    unknown = []
    for each in FURTHER[::4]:
        kept = (desk / f"{each.exercise}.py").read_text(encoding="utf-8")
        report = report_of(each, desk)
        (desk / f"{each.exercise}.py").write_text(kept, encoding="utf-8")
        assert report, each
        # what was written into, and an error with its line, are causes in themselves
        if not causes(report) and not re.search(r"is written into|\w+Error: ", report):
            unknown.append(str(each))
    assert len(FURTHER) >= 240 and len(unknown) <= 2, unknown


# A right gradient gets no diagnosis

def smooth(forward, slope):
    """A layer of one function, entry by entry."""
    class Smooth(Module):
        def forward(self, x):
            return forward(x), lambda dy: dy * slope(x)
    return Smooth()


class Softmax(Module):
    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        return p, lambda dy: p * (dy - (dy * p).sum(axis=-1, keepdims=True))


class LayerNorm(Module):
    """Normalised along the last axis, with a gain and an offset."""

    def __init__(self, size, rng):
        self.gain = Parameter(rng.uniform(0.5, 2, size))
        self.offset = Parameter(rng.standard_normal(size))

    def forward(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 0.1)
        normal = centred * scale

        def backward(dy):
            before = tuple(range(x.ndim - 1))
            self.gain.grad += (dy * normal).sum(axis=before)
            self.offset.grad += dy.sum(axis=before)
            d = dy * self.gain.value
            along = normal * (d * normal).mean(axis=-1, keepdims=True)
            return (d - d.mean(axis=-1, keepdims=True) - along) * scale

        return normal * self.gain.value + self.offset.value, backward


class Halved(Module):
    """The first half of the features alone goes on: the gradient of the others is 0."""

    def forward(self, x):
        half = (x.shape[-1] + 1) // 2

        def backward(dy):
            dx = np.zeros_like(x)
            dx[..., :half] = dy
            return dx

        return x[..., :half].copy(), backward


SMOOTH = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x)**2),
    "sin": (np.sin, np.cos),
    "exp": (lambda x: np.exp(-x**2), lambda x: -2 * x * np.exp(-x**2)),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),
    "square": (lambda x: np.sin(x)**2, lambda x: np.sin(2 * x)),  # x² repeated is too steep
    "negative": (np.negative, lambda x: -np.ones_like(x)),
    "same": (np.copy, np.ones_like),
    "nothing": (np.zeros_like, np.zeros_like),
    "third": (lambda x: x / 3, lambda x: np.full_like(x, 1 / 3)),
}


def random_layers(rng, size):
    """Some layers for features of this size, and the same one twice at times."""
    layers = []
    for _ in range(rng.integers(1, 5)):
        kind = rng.choice(["linear", "relu", "softmax", "norm", "halved", "again", *SMOOTH])
        if kind == "linear":
            out = int(rng.integers(1, 5))
            layers.append(Linear(size, out, rng, f64))
            size = out
        elif kind == "norm":
            layers.append(LayerNorm(size, rng))
        elif kind == "halved":
            layers.append(Halved())
            size = (size + 1) // 2
        elif kind == "again":
            square = Linear(size, size, rng, f64)
            layers += [square, smooth(*SMOOTH["tanh"]), square]
        elif kind in SMOOTH:
            layers.append(smooth(*SMOOTH[kind]))
        else:
            layers.append({"relu": ReLU, "softmax": Softmax}[kind]())
    return Sequential(*layers)


def right_layers(rng):
    """Layers with right backwards, on random small shapes: (layer, inputs)."""
    def size(high):
        return int(rng.integers(1, high))

    normal = rng.standard_normal
    features = size(5)
    for lead in ((), (size(5),), (size(4), size(4)), (features,)):
        yield random_layers(rng, features), [normal((*lead, features))]
    shape = tuple(rng.integers(1, 5, rng.integers(1, 4)))
    yield mse, [normal(shape), normal(shape)]
    yield ReLU(), [normal(shape)]
    B, T, E, V = size(5), size(5), size(5), size(7)
    mask = rng.random((B, T)) < 0.6
    mask[np.arange(B), rng.integers(0, T, B)] = True
    yield Mean(), [normal((B, T, E)), mask]
    yield Mean(), [normal((B, T, E))]
    for shape in tuple(rng.integers(1, 4, rng.integers(1, 4))), (B, T):
        yield Embedding(V, E, rng, f64), [rng.integers(0, V, shape)]


@given(seeds)
@some
def test_a_right_gradient_passes_and_gets_no_diagnosis(seed):
    rng = np.random.default_rng(seed)
    for layer, inputs in right_layers(rng):
        report = examine(layer, *inputs, rng=rng)
        assert report.passed and report.diagnoses == [], report
        assert "WRONG" not in str(report) and "no cause" not in str(report)


@given(seeds, st.sampled_from(TREATMENTS))
@settings(deadline=None, max_examples=6)
def test_a_right_step_gets_no_diagnosis(seed, treatment):
    rng = np.random.default_rng(seed)
    model = ToyJEPA(4, rng, 2, 3, 2, f64, treatment)
    model.predictor.steps = 2
    model.target_encoder.value += 0.1 * rng.standard_normal(model.target_encoder.value.shape)
    x, y = (rng.integers(0, 4, (3, 2)), np.ones((3, 2), bool)), rng.integers(0, 4, (2, 3))
    report = examine(model, x, y, rng=rng, numeric_forward=held_forward(model, y))
    assert report.passed and report.diagnoses == [], report


@pytest.mark.parametrize("x", [[0.0, 1.0, -1.0], [3e-6, 2.0, -9e-6], [0.0, 0.0, 0.0]])
def test_a_right_gradient_at_a_kink_gets_no_diagnosis(x):
    report = examine(ReLU(), np.array(x), rng=np.random.default_rng(0))
    assert report.passed and report.diagnoses == [] and "kink" in str(report)


# A wrong one never passes

def spoiled(g, rng, kind):
    """The gradient g with something done to it: None where that would leave it as it is."""
    bad = g.copy()
    if kind == "one entry":
        bad.flat[rng.integers(g.size)] += np.abs(g).max() * rng.uniform(0.01, 2)
    elif kind == "some entries":
        bad = np.where(rng.random(g.shape) < 0.5, g * rng.uniform(-2, 0.9, g.shape), g)
    elif kind == "all entries":
        bad = g * rng.uniform(0.1, 3)
    elif kind == "another order":
        bad = rng.permutation(g.ravel()).reshape(g.shape)
    elif kind == "noise":
        bad = g + 1e-5 * np.abs(g).max() * rng.standard_normal(g.shape)
    elif kind == "flipped":
        bad = np.flip(g)
    elif kind == "nothing":
        bad = np.zeros_like(g)
    return bad


@given(seeds, st.sampled_from(["one entry", "some entries", "all entries", "another order", "noise",
                               "flipped", "nothing"]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_wrong_gradient_never_passes_and_is_always_answered(seed, kind, in_weight):
    rng = np.random.default_rng(seed)
    changed = []

    def spoil(right):
        """The same mistake in every call."""
        bad = spoiled(right, np.random.default_rng(seed), kind)
        changed.append(np.abs(bad - right).max() > 3e-7 * np.abs(right).max())
        return bad

    class Spoiled(Linear):
        def forward(self, x):
            y, undo = super().forward(x)

            def backward(dy):
                before = self.weight.grad.copy()
                dx = undo(dy)
                if not in_weight:
                    return spoil(dx)
                self.weight.grad[...] = before + spoil(self.weight.grad - before)
                return dx

            return y, backward

    B, inputs, outputs = rng.integers(1, 5, 3)
    report = examine(Spoiled(inputs, outputs, rng, f64), rng.standard_normal((B, inputs)), rng=rng)
    if changed[0]:
        assert not report.passed
        for finding in report.findings:
            assert finding.passed == (finding.name != ("weight" if in_weight else "dx"))
            assert finding.passed or finding.diagnoses or finding.pattern


# The doctor, called from Python on one's own layer

class Scale(Module):
    """y = scale·x, one scale for each feature; `alter` spoils the gradients."""

    def __init__(self, size, rng, alter=lambda dx, dscale: (dx, dscale)):
        self.scale, self.alter = Parameter(rng.standard_normal(size)), alter

    def forward(self, x):
        def backward(dy):
            dx, dscale = self.alter(dy * self.scale.value, (dy * x).sum(axis=0))
            self.scale.grad += dscale
            return dx

        return x * self.scale.value, backward


def examine_scale(*alter, shape=(5, 3), **given):
    rng = np.random.default_rng(0)
    return examine(Scale(shape[-1], rng, *alter), rng.standard_normal(shape), rng=rng, **given)


def test_the_report_names_each_array_and_its_verdict():
    report = examine_scale()
    assert report.passed
    assert [finding.name for finding in report.findings] == ["dx", "scale"]
    error = r"right, relative error \S+e-\d+"
    assert re.fullmatch(rf"dx \(5, 3\): {error}\nscale \(3,\): {error}", str(report))


def test_the_report_gives_the_worst_entry_and_how_many_are_off():
    def alter(dx, dscale):
        dx[1, 2] *= 50
        dx[3, 0] *= 1.01
        return dx, dscale

    report = examine_scale(alter)
    rng = np.random.default_rng(0)
    scale, _, dy = (rng.standard_normal(shape) for shape in ((3,), (5, 3), (5, 3)))
    wanted = dy[1, 2] * scale[2]
    text = str(report)
    assert "dx (5, 3): WRONG, relative error" in text and "2 of 15 entries are off" in text
    found = re.search(r"worst entry \[1, 2\]: yours (\S+), finite differences (\S+)", text)
    assert float(found[1]) == pytest.approx(50 * wanted, rel=1e-4)
    assert float(found[2]) == pytest.approx(wanted, rel=1e-4)
    assert "scale (3,): right" in text
    assert report.diagnoses == [] and "no cause that I know fits" in text
    assert report.findings[0].pattern[:5] == ["...", "..x", "...", "x..", "..."]


def test_only_the_first_of_the_arrays_that_nothing_explains_has_a_map():
    def alter(dx, dscale):
        dx[1, 2] *= 50
        dscale[1] *= 50
        return dx, dscale

    report = examine_scale(alter)
    assert not any(finding.passed for finding in report.findings) and report.diagnoses == []
    text = str(report)
    assert text.count("no cause that I know fits") == text.count("(. agrees") == 1
    assert text.index("(. agrees") < text.index("scale (3,): WRONG")


def test_a_map_of_nothing_but_errors_is_one_line():
    report = examine_scale(lambda dx, dscale: (dx + 0.3 * np.roll(dx, 1, axis=1), dscale))
    last = str(report.findings[0]).splitlines()[-1]
    assert last == "    no cause that I know fits; the entries that are off: all of them"


def test_zero_has_no_sign():
    rng = np.random.default_rng(0)
    report = examine(lambda x: (np.sum(x), lambda dy: np.full_like(x, -0.0)),
                     rng.standard_normal(3), rng=rng)
    assert re.search(r"yours 0, finite differences \S+", str(report))


@pytest.mark.parametrize("factor, words", [
    (-1, r"^the opposite sign"),
    (5, r"batch size \(5\): a sum where a mean was asked"),
    (1 / 5, r"1 / batch size \(5\): divided by it once too often"),
    (3, r"feature size \(3\): a sum where a mean was asked"),
    (15, r"batch size \(5\) × feature size \(3\): a sum"),
    (2, r"That is 2: counted twice"),
    (0.5, r"That is 1/2: the 2 of the square is missing"),
    (-2, r"the opposite sign, and off by a constant factor.*2: counted twice"),
    (1.37, r"none of the sizes at hand, batch size 5, feature size 3"),
])
def test_a_constant_factor_is_named_against_the_sizes_at_hand(factor, words):
    report = examine_scale(lambda dx, dscale: (factor * dx, dscale))
    assert len(report.diagnoses) == 1 and re.search(words, report.diagnoses[0]), report
    assert "    diagnosis: " in str(report) and "possibly" not in str(report)


def test_a_factor_that_two_sizes_explain_is_worded_as_a_possibility():
    report = examine_scale(lambda dx, dscale: (2 * dx, dscale), shape=(2, 3))
    assert len(report.diagnoses) > 1 and not report.passed
    assert str(report).count("    possibly: ") == len(report.diagnoses)
    assert "diagnosis:" not in str(report)
    assert any("counted twice" in cause for cause in report.diagnoses)
    assert any("batch size (2)" in cause for cause in report.diagnoses)


def test_the_sizes_may_be_given():
    report = examine_scale(lambda dx, dscale: (7 * dx, dscale), sizes={"number of heads": 7})
    assert "number of heads (7): a sum where a mean was asked" in report.diagnoses[0]


def test_the_right_forward_may_be_given():
    assert examine_scale(reference=lambda x: x * np.random.default_rng(0).standard_normal(3)).passed
    report = examine_scale(reference=lambda x: x)
    assert not report.passed and "the forward was given and should stay" in report.diagnoses[0]


def test_float32_is_told_apart_from_an_error():
    rng = np.random.default_rng(0)
    report = examine(Linear(3, 2, rng), rng.standard_normal((2, 3)).astype(np.float32), rng=rng)
    assert not report.passed
    assert "the check needs float64 and was given float32" in report.diagnoses[0]
    report = examine_scale(lambda dx, dscale: (dx.astype(np.float32).astype(f64), dscale))
    assert not report.passed and "float32 noise" in report.diagnoses[0]
    report = examine_scale(lambda dx, dscale: (dx * 1.01, dscale))
    assert "float precision cannot do this" in str(report) and "float32 noise" not in str(report)


def test_the_inputs_and_parameters_are_put_back_bit_for_bit():
    for alter in (lambda dx, dscale: (dx, dscale)), (lambda dx, dscale: (dx * 1.1, dscale[::-1])):
        rng = np.random.default_rng(0)
        layer, x = Scale(3, rng, alter), rng.standard_normal((5, 3))
        before = x.tobytes(), layer.scale.value.tobytes()
        examine(layer, x, rng=rng)
        assert (x.tobytes(), layer.scale.value.tobytes()) == before


@pytest.mark.parametrize("result, words", [
    (lambda x: x, "forward must return two things.*it returned a ndarray"),
    (lambda x: None, "forward must return two things.*nothing"),
    (lambda x: (x.copy(), lambda dy: None), "ends without `return`"),
    (lambda x: (x.copy(), lambda dy: dy.tolist()), "a gradient is a NumPy array of the shape"),
    (lambda x: (x.copy(), lambda dy: (dy, dy)), "a gradient is a NumPy array of the shape"),
    (lambda x: (x.copy(), lambda dy: dy[0]), "averaged away|the shape of what it belongs to"),
    (lambda x: (2 * x, lambda dy: 2 * dy.T), "transposed"),
])
def test_what_cannot_be_measured_is_said_in_words(result, words):
    x = np.random.default_rng(1).standard_normal((2, 3))
    report = examine(result, x, rng=np.random.default_rng(0))
    assert not report.passed and len(report.diagnoses) == 1
    assert re.search(words, report.diagnoses[0])


def test_dy_may_not_be_written_into_even_where_the_numbers_are_right():
    def forward(x):
        def backward(dy):
            dy *= 3
            return dy
        return 3 * x, backward

    report = examine(forward, np.ones((2, 3)), rng=np.random.default_rng(0))
    assert not report.passed and len(report.diagnoses) == 1
    assert "writes into dy" in report.diagnoses[0]


def test_a_wrong_gradient_next_to_a_kink_is_judged_by_its_other_entries():
    def twice(x):
        y, undo = ReLU().forward(x)
        return y, lambda dy: 2 * undo(dy)

    report = examine(twice, np.array([[0.0, 1.0, -1.0], [2.0, -3.0, 4.0]]),
                     rng=np.random.default_rng(0), sizes={"b": 5})
    assert not report.passed and "2: counted twice" in str(report)


def test_what_is_added_apart_from_dy_is_told():
    report = examine_scale(lambda dx, dscale: (dx, dscale + 0.1))
    assert "something is added that does not come from dy" in report.diagnoses[0]


@pytest.mark.parametrize("value", [1, np.float64(2.0)])
def test_a_loss_may_be_a_number(value):
    def square(x):
        return np.sum(x**2), lambda dy: 2 * x * dy

    assert examine(square, np.array([1.0, -2.0]) * value, rng=np.random.default_rng(0)).passed
    report = examine(lambda x: (np.sum(x**2), lambda dy: 2 * x), np.array([1.0, -2.0]),
                     rng=np.random.default_rng(0))
    assert "all ones only" in str(report)


def test_a_domain_is_not_left():
    """What is asked of another x keeps to numbers that were given: log takes no negative ones."""
    x = np.random.default_rng(0).uniform(1, 2, (3, 4))
    assert examine(lambda x: (np.log(x), lambda dy: dy / x), x, rng=np.random.default_rng(0)).passed
    report = examine(lambda x: (np.log(x), lambda dy: dy * 0.7), x, rng=np.random.default_rng(0))
    assert not report.passed and "does not change with x" in report.diagnoses[0]
