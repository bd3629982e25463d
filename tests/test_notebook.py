"""walkthrough.md as a notebook: its cells run from top to end in a fresh kernel.

That they print what is shown is in test_walkthrough.py; here each training has two epochs.
"""

import pytest
from documents import ROOT, Document

SHORT = """
import os, sys
sys.path.insert(0, os.environ["CHECKOUT"])
from minijepa.train import Training
start = Training.start
Training.start = classmethod(lambda cls, world, given: start(world, {**given, "epochs": 2}))
"""


@pytest.mark.slow
def test_the_walkthrough_is_a_notebook_that_runs(tmp_path, monkeypatch):
    why = "pip install 'minijepa[notebook]'"
    jupytext = pytest.importorskip("jupytext", reason=why)
    nbclient = pytest.importorskip("nbclient", reason=why)
    pytest.importorskip("ipykernel", reason=why)
    monkeypatch.setenv("CHECKOUT", str(ROOT))
    notebook = jupytext.read(ROOT / "walkthrough.md")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    blocks = [block for block in Document(ROOT / "walkthrough.md").blocks
              if block.language == "python" and block.file is None]
    assert [cell.source.strip() for cell in cells] == [block.text.strip() for block in blocks]
    notebook.cells.insert(0, cells[0].copy())
    notebook.cells[0].update(id="short", source=SHORT)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                            resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in cells)
