"""Reads the solutions beside this file, as README.txt says they are written, and checks them."""

import contextlib
import importlib.util
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STUBS = Path(importlib.util.find_spec("minijepa.exercises").origin).parent / "stubs"
NAMES = sorted(path.stem for path in HERE.glob("*.txt") if path.stem != "README")
TURN = 'raise NotImplementedError("your turn")'


@dataclass
class Solution:
    exercise: str
    title: str
    right: bool
    source: str
    says: list = field(default_factory=list)
    map: bool = False

    def __str__(self):
        return f"{self.exercise}-{self.title}"


def indented(text, width):
    return "\n".join(" " * width + line if line else "" for line in text.split("\n"))


def filled(stub, text):
    """The stub with each `raise` replaced by a part of the text, in order."""
    parts = re.split(r"\n# next\n", text)
    lines = stub.split("\n")
    places = [number for number, line in enumerate(lines) if line.strip() == TURN]
    assert len(places) == len(parts), f"{len(places)} places for {len(parts)} parts"
    for number, part in zip(places, parts):
        lines[number] = indented(part, len(lines[number]) - len(lines[number].lstrip()))
    return "\n".join(lines)


def edited(stub, text):
    """The stub with the lines marked - replaced by those marked + after them."""
    lines = stub.split("\n")
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n?)+)", text + "\n", re.M):
        old, new = ([line[2:] for line in block.strip("\n").split("\n")] for block in (old, new))
        if not any(old):
            continue                                   # the stub as it stands
        wanted = [line.strip() for line in old]
        found = [at for at in range(len(lines))
                 if [line.strip() for line in lines[at:at + len(old)]] == wanted]
        assert len(found) == 1, f"{old} is {len(found)} times in the stub"
        width = len(lines[found[0]]) - len(lines[found[0]].lstrip())
        lines[found[0]:found[0] + len(old)] = indented("\n".join(new), width).split("\n")
    return "\n".join(lines)


def stub_of(name):
    """The file of an exercise as it is given."""
    return (STUBS / f"{name}.py").read_text(encoding="utf-8")


def read(name, folder=HERE):
    """The solutions of one exercise."""
    text = (folder / f"{name}.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^### (right|wrong): (.+)\n", text, flags=re.M)
    for kind, title, body in zip(parts[::3], parts[1::3], parts[2::3]):
        marks = re.findall(r"^### (says|map)(?:: (.*))?$", body, re.M)
        code = re.sub(r"^### .*\n", "", body, flags=re.M).strip("\n")
        if code.startswith(("import ", "from ")):
            source = code + "\n"
        else:
            source = (edited if code.startswith("-") else filled)(stub_of(name), code)
        yield Solution(name, title, kind == "right", source,
                       [says for mark, says in marks if mark == "says"], ("map", "") in marks)


SOLUTIONS = [solution for name in NAMES for solution in read(name)]
FURTHER = [solution for path in sorted(HERE.glob("further/*.txt"))
           for solution in read(path.stem, HERE / "further")]


@contextlib.contextmanager
def imported(name, source, folder):
    """The learner's file as a module, among the learner's other files; forgotten afterwards."""
    path = Path(folder) / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    before, modules = list(sys.path), set(sys.modules)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:], sys.dont_write_bytecode = before, writes
        for added in sys.modules.keys() - modules:
            if added in NAMES:
                del sys.modules[added]


def report_on(solution, folder):
    """What the check says of a solution, or the error that it raises; "" where it passes."""
    from minijepa.exercises.checks import CHECKS

    try:
        with (imported(solution.exercise, solution.source, folder) as module,
              np.errstate(all="ignore")):
            return CHECKS[solution.exercise](module)
    except Exception as error:                         # the runner says where
        return f"{type(error).__name__}: {error}{getattr(error, 'museum', '')}"
