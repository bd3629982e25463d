"""The machinery behind test_walkthrough.py: what is true passes, each kind of untruth is found."""

import documents
import pytest
from documents import CHECKS, Document, main, parse_tolerance, same_text

TRUE = '''# One small document

See [below](#what-is-there) and the [other one](other.md#there),
$a_i = \\frac{1}{2}$, `minijepa/layers.py`.

<!-- file: FOLDER/code.py -->
```python .noeval
def forward(self, x):
    y = np.maximum(x, 0)
```

## What is there?

![a square](square.svg)

```python
import numpy as np
x = np.arange(3) / 7
x  # -> array([0.   , 0.143, 0.286])
for number in x:
    print(number)
# -> 0.0
# -> …
# -> 0.286
x.missing  # -> AttributeError: 'numpy.ndarray' object has no attribute 'missing'
```

```console
$ printf "1.50 0.33333 4e-11\\na\\nb\\n" > file.txt
$ cat file.txt
1.5 0.3333 2e-10
…
b
$ python -m minijepa
minijepa: a JEPA from scratch in plain NumPy. What there is to run, each with --help:
…
```

One third is 0.333; one seventh, 0.14, is the second of 3.
<!-- from: cat file.txt | 0.333 -->
<!-- from: python | 0.14 -->

One and a half, 1.5, doubled is 3.0. <!-- by hand -->
'''

UNTRUE = {         # by the check that finds it: (what is true, what stands there instead)
    "wrong_outputs": {
        "a number in the output": ("1.5 0.3333", "1.5 0.3533"),
        "a word in the output": ("…\nb", "…\nc"),
        "a whole number": ("1.5 0.3333 2e-10", "1 0.3333 2e-10"),
        "a rounding error that is none": ("0.3333 2e-10", "0.3333 2e-6"),
        "a line too many": ("…\nb", "a\na\nb"),
        "a result": ("0.143", "0.153"),
        "a printed result": ("# -> 0.286", "# -> 0.296"),
        "an error": ("x.missing  # -> AttributeError: 'numpy.ndarray' object has no attribute "
                     "'missing'", "x.missing"),
    },
    "wrong_blocks": {
        "a line of an excerpt": ("maximum(x, 0)", "maximum(x, 1)"),
        "a file of an excerpt": ("/code.py", "/coda.py"),
        "a language": ("```console", "```bash"),
        "an excerpt that would be a cell": ("```python .noeval", "```python"),
        "a block that would be no cell": ("```python\nimport", "```python .noeval\nimport"),
    },
    "wrong_numbers": {
        "a number in the prose": ("third is 0.333", "third is 0.337"),
        "a number in the prose and its comment": ("0.14, is", "0.16, is"),
        "a number from nowhere": ("second of 3.", "second of 3.2."),
    },
    "wrong_references": {
        "a link": ("other.md", "another.md"),
        "an anchor": ("(#what-is-there)", "(#what-is-here)"),
        "an anchor elsewhere": ("#there", "#here"),
        "a picture": ("square.svg", "circle.svg"),
        "words for a picture": ("![a square]", "![]"),
        "a module": ("-m minijepa\n", "-m minijepa.nothing\n"),
        "a file": ("`minijepa/layers.py`", "`minijepa/layer.py`"),
        "an unclosed <details>": ("One and", "<details>\n\nOne and"),
    },
    "wrong_formulas": {
        "a dollar": ("{2}$", "{2}"),
        "a command that is not rendered": ("\\frac", "\\fraction"),
        "a brace": ("{2}", "{2"),
    },
}


def write(folder, text):
    (folder / "other.md").write_text("# There")
    (folder / "square.svg").write_text("<svg/>")
    code = "class A:\n    def forward(self, x):\n        y = np.maximum(x, 0)\n"
    (folder / "code.py").write_text(code)
    (folder / "document.md").write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")
    return Document(folder / "document.md")


def test_what_is_true_passes(tmp_path):
    document = write(tmp_path, TRUE)
    assert [wrong for check in CHECKS for wrong in getattr(document, check)()] == []


def test_every_number_is_written_down_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LEDGER", tmp_path / "numbers.txt")
    said = "\n  ".join(write(tmp_path, TRUE).numbers())
    documents.LEDGER.write_text(f"document.md\n  {said}\n", encoding="utf-8")
    assert not list(write(tmp_path, TRUE).changed_numbers())
    for old, new in (("second of 3.", "second of 4."), ("is 0.333;", "is 0.33;"),
                     ("doubled is 3.0.", "doubled is three."),
                     ("1.5 0.3333", "1.5 0.3334")):
        assert TRUE.count(old) == 1
        assert list(write(tmp_path, TRUE.replace(old, new)).changed_numbers())


@pytest.mark.slow
@pytest.mark.parametrize("check, change", [(check, change) for check in UNTRUE
                                           for change in UNTRUE[check]])
def test_what_is_untrue_is_found(tmp_path, check, change):
    old, new = UNTRUE[check][change]
    assert TRUE.count(old) == 1
    assert list(getattr(write(tmp_path, TRUE.replace(old, new)), check)())


@pytest.mark.slow
def test_update_puts_the_outputs_right_and_nothing_else(tmp_path, capsys):
    path = tmp_path / "document.md"
    for change in ("a number in the output", "a result", "a printed result"):
        write(tmp_path, TRUE.replace(*UNTRUE["wrong_outputs"][change]))
        assert main([str(path)]) and not main(["--update", str(path)])
    shown = "x  # -> array([0.   , 0.143, 0.286])"
    before = write(tmp_path, TRUE.replace(shown, "float(x[1])  # ->")).text
    assert not main(["--update", str(path)])
    after = before.replace("x[1])  # ->", "x[1])  # -> 0.14285714285714285")
    assert path.read_text(encoding="utf-8") == after


@pytest.mark.parametrize("shown, run, same", [
    ("loss 1.64", "loss  1.67", True),
    ("loss 1.64", "loss 1.75", False),
    ("0.0006", "0.0007", True),
    ("0.0006", "0.0009", False),
    ("17 of 59", "18 of 59", False),
    ("tree 0.99  wall 0.98  sat 0.87", "wall 0.99  tree 0.98  sat 0.86", True),
    ("tree 0.99  wall 0.98  sat 0.87", "wall 0.99  tree 0.98  the 0.86", True),
    ("tree 0.99  wall 0.98  sat 0.87", "the 0.99  tree 0.98  sat 0.87", False),
    ("tree 0.99  wall 0.98  sat 0.87", "tree 0.99  wall 0.87  sat 0.98", False),
    (" 0.98  ball\n 0.97  leaf\nend", " 0.98  leaf\n 0.97  ball\nend", True),
    (" 0.98  ball\n 0.67  leaf\nend", " 0.98  leaf\n 0.67  ball\nend", False),
])
def test_what_is_the_same(shown, run, same):
    assert same_text(shown, run) is same


def test_tolerance_and_what_is_left_out():
    assert same_text("1.00", "1.08", parse_tolerance("10%"))
    assert not same_text("1.00", "1.08", parse_tolerance("5%"))
    assert same_text("1.10 1.00 1.00", "1.00 1.00 1.18", parse_tolerance("10% 1% 0.2"))
    assert not same_text("1.00 1.10 1.00", "1.00 1.00 1.18", parse_tolerance("10% 1% 0.2"))
    assert same_text("3.2 s for 1.5", "4.9 s for 1.5", ignore=[r"[\d.]+ s"])
