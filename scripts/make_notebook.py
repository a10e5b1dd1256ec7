#!/usr/bin/env python3
"""Execute docs/notebook.ipynb in place, with light outputs: a figure is JSON and SVG, without plotly.js.

Requires Chromium, which draws the SVG. Usage: make_notebook.py
"""

import json
import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH = 760
DRAW = """async ([figure, width]) => {
    const drawn = await Plotly.newPlot(document.body, figure.data, {...figure.layout, width});
    const url = await Plotly.toImage(drawn, {format: "svg"});
    return decodeURIComponent(url.slice(url.indexOf(",") + 1));
}"""


def main():
    """Execute the notebook, and write it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    setup = nbformat.v4.new_code_cell("import plotly.io\nplotly.io.renderers.default = 'plotly_mimetype'")
    notebook.cells.insert(0, setup)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    notebook.cells.pop(0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=get_plotlyjs())
        for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
            cell.execution_count = number + 1
            cell.metadata.pop("execution", None)
            cell.outputs = [light(output, page, number + 1) for output in cell.outputs if shown(output)]
        browser.close()
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, NOTEBOOK)


def shown(output):
    """Return whether an output is kept: not warnings, which name paths of the machine, nor removed bars."""
    return output.name == "stdout" if output.output_type == "stream" else any(output.data.values())


def light(output, page, number):
    """Return an output with a figure's SVG, and without its template of colours."""
    if "execution_count" in output:
        output.execution_count = number
    figure = output.get("data", {}).get(PLOTLY)
    if figure is not None:
        figure = json.loads(json.dumps(figure))
        figure["layout"].pop("template", None)
        output.data = {PLOTLY: figure, "image/svg+xml": page.evaluate(DRAW, [figure, WIDTH])}
    return output


if __name__ == "__main__":
    main()
