"""Progress bars in the terminal, drawn by rich."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]

_DRAWING = threading.Lock()


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Yield a function to be called after each step with a short status text.

    ``total`` is the number of steps, or ``None`` if it is unknown. The bar is drawn on stderr if stderr is a
    terminal and no other bar is being drawn. A training within a longer task therefore draws no second bar.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance("ndcg .10")
    ...     advance("ndcg .12")
    """
    if not sys.stderr.isatty() or not _DRAWING.acquire(blocking=False):
        yield lambda _status: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(description, total=total, status="")
            yield lambda status: bars.update(task, advance=1, status=status)
    finally:
        _DRAWING.release()
