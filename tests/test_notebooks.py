"""A real kernel: progress bars and the display of values. The notebook of the documentation is executed."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
BARS = """
import IPython.display, item2vec.progress as progress
from item2vec import Sentences, evaluation, fit
progress._SECONDS_PER_UPDATE = 0
shown = []
update = IPython.display.DisplayHandle.update
def record(self, data, **options):
    shown.append(data["text/html"])
    update(self, data, **options)
IPython.display.DisplayHandle.update = record
playlists = Sentences.of([["a", "b", "c"], ["b", "c", "d"]] * 9)
model = fit(playlists, vector_size=8, epochs=3, workers=1)
"""
VALUES = """
split = evaluation.leave_last_out(playlists, repeats=True)
evaluation.evaluate(model, split, k=1)
"""


def executed(*cells):
    """Return the outputs of each cell in one kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.fixture(scope="module")
def outputs():
    return executed(BARS, "print(*shown, sep='\\n')", VALUES, "model.vectors")


@pytest.mark.slow
def test_a_kernel_shows_a_bar_and_removes_it(outputs):
    (bar,), (printed,) = outputs[:2]
    assert bar.data == {"text/plain": "", "text/html": ""}
    *steps, last = printed.text.split("\n")[:-1]
    assert [step.partition(" loss ")[0] for step in steps] == [
        f'training <progress value="{n}" max="3"></progress> {n}/3' for n in (1, 2, 3)
    ]
    assert last == ""


@pytest.mark.slow
def test_a_kernel_displays_html(outputs):
    for cell in outputs[2:]:
        (result,) = [output for output in cell if output.output_type == "execute_result"]
        assert result.data["text/html"].startswith("<table>")
        assert result.data["text/plain"]


@pytest.mark.slow
def test_the_notebook_of_the_documentation_runs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()


def test_the_notebook_of_the_documentation_is_executed_and_light():
    assert NOTEBOOK.stat().st_size < 300_000
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]  # warnings name local paths
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) == 3
    assert "Plotly.register" not in NOTEBOOK.read_text()
