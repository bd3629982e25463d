"""The house stays as it is drawn: who may import whom, and how long a function is."""

import ast

import pytest
from documents import ROOT

# A file imports only from those above it. Between worlds: films, corpus and the like, before
# theirs.
ROOMS = ["modules", "layers", "losses", "optimizers", "predictors", "jepa", "gauges", "planning",
         "options", "checkpoint", "gradcheck", "worlds.base", "worlds.*", "worlds", "train",
         "figures", "cli", "ask", "plan", "collapse", "dial", "exercises", "exercises.*",
         "__main__"]
LAZY = {("train", "cli"), ("cli", "figures")}          # `python -m minijepa.train`; matplotlib
PACKAGE = ROOT / "minijepa"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "stubs" not in path.parts)


def module_of(path):
    """minijepa/worlds/video.py -> worlds.video; minijepa/worlds/__init__.py -> worlds"""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


def room(module):
    """Its place in ROOMS."""
    if module in ROOMS:
        return ROOMS.index(module)
    return ROOMS.index(module.split(".")[0] + ".*")


def imported(path):
    """The package's modules that a file imports, and whether at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("minijepa"):
            below = node.module.removeprefix("minijepa").removeprefix(".")
            for alias in node.names:
                inner = f"{below}.{alias.name}".removeprefix(".")
                as_file = PACKAGE.joinpath(*inner.split("."))
                is_module = as_file.with_suffix(".py").exists() or as_file.is_dir()
                yield inner if is_module else below, node in tree.body


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_only_from_those_above_it(path):
    here = module_of(path)
    if here == "__init__":
        return
    for module, at_the_top in imported(path):
        if (here, module) in LAZY and not at_the_top:
            continue
        beside = "." in here and here.split(".")[0] == module.split(".")[0]    # within one folder
        assert room(module) < room(here) or beside and room(module) == room(here), module


def test_nothing_is_imported_in_a_circle():
    above = {module_of(path): {module for module, top in imported(path) if top} for path in FILES}
    while above:
        free = [module for module, needs in above.items() if not needs & above.keys()]
        assert free, f"a circle among {sorted(above)}"
        for module in free:
            del above[module]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_function_is_no_longer_than_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
