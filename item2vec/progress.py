"""Progress bars: drawn by rich in terminals, and shown as an HTML element in notebooks."""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]

_DRAWING = threading.Lock()
_SECONDS_PER_UPDATE = 0.1


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Yield a function that the caller calls after each step, with a short status text.

    ``total`` is the number of steps, or ``None`` if it is unknown. In a notebook, the bar is drawn in the
    output of the cell; otherwise, on stderr if stderr is a terminal. Elsewhere, nothing is drawn, so that
    logs contain no bar. Only one bar is drawn at a time: a training run within a longer task draws no second
    bar.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance("ndcg .10")
    ...     advance("ndcg .12")
    """
    draw = _notebook_bar if _in_notebook() else _terminal_bar if sys.stderr.isatty() else None
    if draw is None or not _DRAWING.acquire(blocking=False):
        yield lambda _status: None
        return
    try:
        with draw(description, total) as advance:
            yield advance
    finally:
        _DRAWING.release()


@contextmanager
def _terminal_bar(description: str, total: int | None) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total, status="")
        yield lambda status: bars.update(task, advance=1, status=status)


@contextmanager
def _notebook_bar(description: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Draw a bar in the output of a cell, and remove the bar at the end. A saved notebook contains no bar.

    rich would draw the bar as a widget, which requires ipywidgets, and which a saved notebook keeps as text.
    """
    from IPython.display import display

    n_done, shown_at = 0, time.monotonic()
    handle = display(_bundle(description, total, 0, ""), raw=True, display_id=True)

    def advance(status: str) -> None:
        nonlocal n_done, shown_at
        n_done += 1
        now = time.monotonic()
        if now - shown_at >= _SECONDS_PER_UPDATE:
            shown_at = now
            handle.update(_bundle(description, total, n_done, status), raw=True)

    try:
        yield advance
    finally:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)


def _bundle(description: str, total: int | None, n_done: int, status: str) -> dict[str, str]:
    """Return a bar as HTML and as plain text, by MIME type.

    >>> _bundle("training", 4, 1, "loss < 2")["text/html"]
    'training <progress value="1" max="4"></progress> 1/4 loss &lt; 2'
    """
    counted = f"{n_done}/{total}" if total else str(n_done)
    value = f' value="{n_done}" max="{total}"' if total else ""
    text = f"{html.escape(description)} <progress{value}></progress> {counted} {html.escape(status)}"
    return {"text/plain": f"{description} {counted} {status}".rstrip(), "text/html": text.rstrip()}


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
