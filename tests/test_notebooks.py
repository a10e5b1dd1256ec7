"""A real kernel: progress bars and the display of values. The notebook of the documentation is executed."""

import nbformat
import pytest
from nbclient import NotebookClient

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


def test_a_kernel_shows_a_bar_and_removes_it(outputs):
    (bar,), (printed,) = outputs[:2]
    assert bar.data == {"text/plain": "", "text/html": ""}
    *steps, last = printed.text.split("\n")[:-1]
    assert [step.partition(" loss ")[0] for step in steps] == [
        f'training <progress value="{n}" max="3"></progress> {n}/3' for n in (1, 2, 3)
    ]
    assert last == ""


def test_a_kernel_displays_html(outputs):
    for cell in outputs[2:]:
        (result,) = [output for output in cell if output.output_type == "execute_result"]
        assert result.data["text/html"].startswith("<table>")
        assert result.data["text/plain"]
