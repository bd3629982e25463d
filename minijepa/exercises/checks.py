"""What a check is: CHECKS[name](learner) is "" where the exercise is passed, else what is wrong.

Each exercise is a file of `museum`: its title, hints, where the package has its solution, its
known mistakes, and its cases. A case looks at a module, and what is seen in the learner's must be
what is seen in the package's; gradients are examined by the doctor too. What is seen in each known
mistake then tells which of them the learner has made.
"""

import ast
import builtins
import contextlib
import functools
import importlib
import inspect
import itertools
import os
import re
import textwrap
import time
import types
from dataclasses import dataclass, field

import numpy as np

from minijepa.exercises.doctor import Examination, describe, poisoned
from minijepa.modules import Module

ORDER = """finite_differences relu linear mse mean embedding sequential used_twice sgd adam
stop_gradient jepa_step retrieval effective_rank variance_hinge covariance_penalty told rollout
smallest infonce cem blocks bug1 bug2 bug3 bug4 bug5 bug6 bug7 bug8 bug9 bug10""".split()
STUBS = os.path.join(os.path.dirname(__file__), "stubs")
BLOCK = r"((?:### .*\n)+)((?:(?!### ).*\n)*)"           # a sentence, and what makes that mistake
TURN = 'raise NotImplementedError("your turn")'
K, T, B, V, E, L = 2, 3, 5, 7, 11, 13                  # all different: a size tells a factor
PATIENCE = 3                                           # seconds that a diagnosis may take
EMPTY = "np.empty or np.empty_like is never filled: it holds whatever was in memory; use np.zeros"


class Fail(Exception):
    """The exercise is not passed; the text says why, and visit(ask) gives the doctor's report."""

    def __init__(self, text, visit=None):
        super().__init__(text)
        self.visit = visit


@functools.cache
def exercise(name):
    """What the museum's file of an exercise says; what it leaves out is as in its LIKE."""
    own = vars(importlib.import_module(f"minijepa.exercises.museum.{name}"))
    return types.SimpleNamespace(**{**vars(exercise(own["LIKE"])), **own} if "LIKE" in own else own)


# --- the package's own code, and what is made of it -----------------------------------------------

@functools.cache
def solution(name):
    """A whole file, of the package's own lines, that passes the exercise."""
    codes, needed = {}, {}
    for place in exercise(name).SOURCE.split():
        module, _, path = place.partition(":")
        home = importlib.import_module(module)
        found = functools.reduce(getattr, path.split("."), home)
        code, (owner, _, method) = inspect.getsource(found), path.partition(".")
        if not method:
            codes[path] = f"# {module.replace('.', '/')}.py\n{code}"
        elif owner in codes:
            codes[owner] += f"\n{code}"
        else:
            codes[owner] = (f"# {module.replace('.', '/')}.py\n"
                            f"class {owner}({module}.{owner}):\n{code}")
            needed[module] = f"import {module}"
        for node in ast.walk(ast.parse(textwrap.dedent(code))):
            used = isinstance(node, ast.Name) and node.id
            if used and hasattr(home, used) and used not in vars(builtins):
                value = getattr(home, used)
                needed[used] = (
                    f"import {value.__name__} as {used}" if inspect.ismodule(value) else
                    f"from {getattr(value, '__module__', module)} import {used}")
    imports = sorted({line for used, line in needed.items() if used not in codes})
    return "\n".join([*imports, "", "", "\n\n".join(codes.values())])


def stub(name):
    """The file of an exercise as it is given."""
    with open(os.path.join(STUBS, name + ".py"), encoding="utf-8") as file:
        return file.read()


def made(name, code):
    """A module of this source."""
    module = types.ModuleType(name)
    exec(compile(code, f"<{name}>", "exec"), vars(module))
    return module


@dataclass
class Mistake:
    """A wrong solution: the sentence that names it, and its source.

    edits: of the package's own lines, [(old, new)]; or lines for the gaps of the stub.
    """

    sentence: str
    code: str
    edits: list = field(default_factory=list)


@functools.cache
def mistakes(name):
    """The museum of an exercise, as MISTAKES has it.

    `### sentence`, then `old => new` for each change of the solution (old must be there once; \\n
    begins another line), or the lines for the gaps of the stub, with `# next` between them; `# or`
    between several ways to make the same mistake.
    """
    name, found = getattr(exercise(name), "LIKE", name), []
    for sentence, body in re.findall(BLOCK, exercise(name).MISTAKES):
        sentence = " ".join(sentence.replace("### ", "").split())
        for lines in body.strip("\n").split("\n# or\n"):
            joined = lines.replace("\\\n", "").replace("\n=>", " =>")
            if " =>" in joined:
                edits = [line.partition(" =>")[::2] for line in joined.split("\n")]
                found.append(Mistake(sentence, edited(solution(name), edits), edits))
            else:
                found.append(Mistake(sentence, filled(stub(name), lines)))
    return found


def edited(code, edits):
    """The code with each old replaced by its new, in which \\n begins another line."""
    places = []
    for old, new in edits:
        if code.count(old) != 1:
            raise ValueError(f"{old!r} is there {code.count(old)} times")
        start = code.index(old)
        line = code[code.rfind("\n", 0, start) + 1:].split("\n")[0]
        indent = line[:len(line) - len(line.lstrip())]
        places.append((start, old, new.removeprefix(" ").replace("\\n", "\n" + indent)))
    for start, old, new in sorted(places, reverse=True):
        if code[start:start + len(old)] != old:
            raise ValueError("two edits of one place")
        code = code[:start] + new + code[start + len(old):]
    return code


def filled(code, lines):
    """The stub with the parts of lines in the place of its gaps."""
    parts = lines.split("\n# next\n")
    for part in parts:
        line = next(line for line in code.split("\n") if line.strip() == TURN)
        code = code.replace(line, textwrap.indent(part, line[:-len(TURN)]), 1)
    return code


# --- what is looked at ----------------------------------------------------------------------------

class Case:
    """look(module) -> {what is seen: a value}, which must be the same as in the package's code.

    A fault that is seen is True. What begins with _ is not asked for, and only tells mistakes
    apart. What is seen under one group is explained together.
    """

    floor = 0.0

    def __init__(self, what, look, tolerance=1e-9, group=""):
        self.what, self.look, self.tolerance, self.group = what, look, tolerance, group

    def judge(self, learner, right, quick=False):
        """Raise Fail unless all is as it should be; quick: without finite differences."""
        seen = self.look(learner)
        for name, wanted in self.look(right).items():
            if name[0] != "_":
                compare(f"{self.what}: {name}", seen[name], wanted, self.tolerance)

    def group_of(self, name):
        return self.group


class Gradients(Case):
    """All gradients of a layer or a loss: build(module) makes it anew, always with one start.

    numeric(layer): the forward of which the differences are taken; more goes to the doctor, such as
    floor, how much of a gradient may be rounding where terms cancel, or sizes, to name a factor by.
    """

    def __init__(self, what, build, *inputs, group=None, numeric=None, floor=0.0, **more):
        super().__init__(what, self.gradients, group=group)
        self.build, self.inputs, self.numeric = build, inputs, numeric
        self.floor, self.more = floor, more

    def layer(self, module):
        """With the same parameters, whatever the constructor draws."""
        layer = self.build(module)
        if isinstance(layer, Module):
            rng = np.random.default_rng(3)
            for _, parameter in sorted(layer.named_parameters().items()):
                parameter.value[...] = rng.standard_normal(parameter.value.shape) / 2
        return layer

    def group_of(self, name):
        return name if self.group is None else self.group

    def visit(self, layer, **more):
        inputs = [x.copy() if isinstance(x, np.ndarray) else x for x in self.inputs]
        numeric = self.numeric and self.numeric(layer)
        return Examination(layer, inputs, np.random.default_rng(1), numeric_forward=numeric,
                           floor=self.floor, **self.more, **more)

    def gradients(self, module):
        """What backward gives for a random dy."""
        visit = self.visit(self.layer(module))
        y, backward = visit.call(visit.inputs)
        dy = np.array(np.random.default_rng(2).standard_normal(np.shape(y)))
        return visit.gradients(dy, backward)

    def judge(self, learner, right, quick=False):
        def report(ask):
            layer, original = self.layer(learner), self.layer(right)
            same_parameters(layer, original)
            forward = getattr(original, "forward", original)
            truth = self.visit(original).gradients if quick else None
            return self.visit(layer, ask=ask, truth=truth,
                              reference=lambda *inputs: forward(*inputs)[0]).report()

        try:
            passed = report(ask=False).passed
            seen = self.look(learner) if passed else {}
        except Exception as error:
            error.during = self.what                   # the runner says it beside the line
            raise
        if not passed:
            raise Fail(f"{self.what}:", report)
        for name, wanted in self.look(right).items():
            if not agree(seen[name], wanted, self.tolerance, self.floor):
                raise Fail(f"{self.what}: {name}: WRONG, though finite differences hardly show it\n"
                           "    diagnosis: float32 noise: some of it was computed in float32, or "
                           "a small number was added that does not belong there")


def same_parameters(layer, original):
    """The learner's layer must have the original's parameters: a check would miss others."""
    if not isinstance(original, Module):
        return
    what = type(layer).__name__
    if not isinstance(layer, Module):
        raise Fail(f"{what} must stay a Module, as it was given")
    theirs, wanted = ({name: part.value.shape for name, part in each.named_parameters().items()}
                      for each in (layer, original))
    if theirs != wanted:
        raise Fail(f"the parameters of {what} are {theirs}, wanted {wanted}: the constructor was "
                   "given and should stay")


def agree(got, wanted, tolerance, floor=0.0):
    """Whether two are equal, arrays to within tolerance · the largest entry; NaN where NaN."""
    if isinstance(wanted, (str, bool)):
        return type(got) is type(wanted) and got == wanted
    if not isinstance(wanted, (np.ndarray, np.generic, float, int)):
        return describe(got) == describe(wanted)
    is_number = isinstance(got, (np.ndarray, np.generic, float, int))
    if not is_number or np.shape(got) != np.shape(wanted) \
            or np.asarray(got).dtype.kind not in "fiub":
        return False
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(np.isfinite(got), finite):
        return False
    scale = np.abs(wanted[finite]).max(initial=0)
    return bool((np.abs(got - wanted)[finite] <= max(tolerance * scale, floor)).all())


def compare(what, got, wanted, tolerance):
    """Raise Fail unless got is what is wanted, with the worst entry of an array."""
    if agree(got, wanted, tolerance):
        return
    if isinstance(wanted, bool):
        raise Fail(f"WRONG, {what}")
    if isinstance(wanted, str):
        raise Fail(f"{what}: WRONG, {got}; wanted {wanted}")
    wanted = np.asarray(wanted)
    if isinstance(got, (int, float)) and not wanted.shape:
        got = np.array(got)
    if not isinstance(got, (np.ndarray, np.generic)):
        asked = f"a NumPy array of shape {wanted.shape}" if wanted.shape else "a number"
        raise Fail(f"{what}: WRONG, it is {describe(got)}; wanted {asked}"
                   + (": does it end without `return`?" if got is None else ""))
    if got.dtype.kind not in "fiub":
        raise Fail(f"{what}: WRONG, its dtype is {got.dtype}; wanted numbers")
    if got.shape != wanted.shape:
        raise Fail(f"{what}: WRONG, its shape is {got.shape}, wanted {wanted.shape}")
    difference = np.nan_to_num(np.abs(got.astype(np.float64) - wanted), nan=np.inf, posinf=np.inf)
    worst = np.unravel_index(np.argmax(difference), wanted.shape)
    where = f"entry {list(map(int, worst))}: " if wanted.shape else ""
    raise Fail(f"{what}: WRONG\n    {where}yours {got[worst] + 0:.6g}, "
               f"wanted {wanted[worst] + 0:.6g}")


# --- which mistake is it? -------------------------------------------------------------------------

def look(case, module):
    """What is seen in a case: {(group, name): value}; an error is seen too."""
    try:
        found = case.look(module)
    except Exception as error:
        said = str(error)
        found = {"raises": f"{type(error).__name__}: {said[:24]}", "_message": said}
    return {(case.group_of(name), name): value for name, value in found.items()}


@dataclass
class Fit:
    """How well a mistake fits: the groups that it misses; in how many cases it misses nothing."""

    sentence: str
    missed: set
    cases: int
    hints: bool             # what is seen beside, and not asked for, fits too


class Diagnosis:
    """The known mistakes that give just what the learner's code gives, for each group of it."""

    def __init__(self, name, learner):
        self.name, self.learner, self.cases = name, learner, list(exercise(name).cases())
        self.deadline = time.perf_counter() + PATIENCE
        self.seen = [(case, look(case, learner)) for case in self.cases]
        self.wrong, right = set(), made(name, solution(name))
        bad = [self.missed(case, mine, look(case, right))[0] for case, mine in self.seen]
        self.wrong = set().union(*bad)
        self.seen.sort(key=lambda each: not bad[self.cases.index(each[0])])    # a wrong one first
        self.bad = sum(map(bool, bad))

    def missed(self, case, mine, theirs):
        """The groups of which something differs; whether a hint (its name begins with _) does."""
        tolerance = max(case.tolerance, 1e-12)
        keys = [key for key in mine.keys() | theirs.keys() if not (
            key in mine and key in theirs and agree(mine[key], theirs[key], tolerance, case.floor))]
        groups = {group for group, name in keys if name[0] != "_"}
        if any(name == "raises" for _, name in keys):  # nothing else was seen
            groups |= self.wrong
        return groups, any(name[0] == "_" for _, name in keys)

    def fits(self, codes):
        """A Fit for each (sentence, code) that can be run, as far as it is of interest."""
        for sentence, code in codes:
            with contextlib.suppress(Exception):
                module, fit = made(self.name, code), Fit(sentence, set(), 0, True)
                for number, (case, mine) in enumerate(self.seen):
                    missed, hint = self.missed(case, mine, look(case, module))
                    fit.missed |= missed
                    fit.cases += not missed and number < self.bad
                    fit.hints &= not hint
                    if not fit.cases and fit.missed >= self.wrong:
                        break
                yield fit

    def explain(self):
        """{group: [sentence]}; "" is the group of all that is wrong."""
        if not self.wrong:
            return {}
        if has_nan([mine for _, mine in self.seen]):
            with poisoned(0.0):
                if not has_nan([look(case, self.learner) for case in self.cases]):
                    return {"": [EMPTY]}
        found = list(self.fits((each.sentence, each.code) for each in mistakes(self.name)))
        whole = [fit for fit in found if not fit.missed]
        if whole:
            return {"": sentences([fit for fit in whole if fit.hints] or whole)}
        said = {group: sentences([fit for fit in found if group not in fit.missed])
                for group in self.wrong}
        said = {group: each for group, each in said.items() if each}
        most = max([fit.cases for fit in found], default=0)
        near = sentences([fit for fit in found if fit.cases == most]) if most else []
        if not said and 2 * most < self.bad:
            said = {"": self.pairs()}
        return said if any(said.values()) else {"in this case": near} if near else {}

    def pairs(self):
        """Two mistakes at once that fit all that is wrong."""
        def codes():
            known = [mistake for mistake in mistakes(self.name) if mistake.edits]
            for first, second in itertools.combinations(known, 2):
                if time.perf_counter() > self.deadline or first.sentence == second.sentence:
                    continue
                with contextlib.suppress(ValueError):  # both change the same line
                    yield (f"{first.sentence}; and besides, {second.sentence}",
                           edited(solution(self.name), first.edits + second.edits))

        return sentences([fit for fit in self.fits(codes()) if not fit.missed])[:1]


def sentences(fits):
    return list(dict.fromkeys(fit.sentence for fit in fits))


def has_nan(seen):
    return any(isinstance(value, (np.ndarray, float)) and np.asarray(value).dtype.kind == "f"
               and np.isnan(value).any() for each in seen for value in each.values())


def explained(name, learner, fail):
    """The text of a Fail, with the mistakes that give just this; else the doctor is asked."""
    report, said = fail.visit and fail.visit(ask=False), {}
    silent = report and any(f.name in ("forward", "backward", "x") for f in report.findings)
    try:
        said = {} if silent else Diagnosis(name, learner).explain()
        if report and "" not in said:
            report = fail.visit(ask=True)
    except Exception:                                  # too odd to compare: the report says how
        pass
    lines = []
    for group, sentences in sorted(said.items()):
        begin = f"{group}: t" if group else "T"
        lines += [f"    possibly: {group + ': ' if group else ''}{each}" for each in sentences] \
            if len(sentences) > 1 else [f"    {begin}his is what one gets if {sentences[0]}."]
    for finding in report.findings if report else ():
        finding.pattern = [] if lines else finding.pattern                     # a cause says more
        if "" in said or finding.name in said:
            finding.diagnoses = []
    return "\n".join([str(fail), *lines, *([str(report)] if report else [])])


def named(learner, name):
    """Raise Fail unless the learner's file has all names that the package's solution has."""
    for needed in re.findall(r"^(?:class|def) (\w+)", stub(name), re.M):
        if not hasattr(learner, needed):
            raise Fail(f"there is no {needed} in {name}.py: keep the names that were given")


def passes(name, learner, quick=True):
    """Raise Fail, or what the learner's code raises, unless the module passes all cases."""
    named(learner, name)
    right = made(name, solution(name))
    with poisoned(), np.errstate(all="ignore"):
        for case in exercise(name).cases():
            case.judge(learner, right, quick)


def check(name, learner):
    """"" where the learner's module passes, else the report. What its code raises goes through."""
    try:
        passes(name, learner, quick=False)
    except NotImplementedError:
        raise
    except Fail as fail:
        with poisoned(), np.errstate(all="ignore"):
            return explained(name, learner, fail)
    except Exception as error:
        with poisoned(), np.errstate(all="ignore"):
            error.museum = explained(name, learner, Fail(""))
        raise
    return ""


CHECKS = {name: functools.partial(check, name) for name in ORDER}
