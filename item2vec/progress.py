"""Progress bars on the terminal: the one door to rich."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]

_DRAWING = threading.Lock()


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Yield a function to call after each of ``total`` steps (``None``: unknown), with a few words of news.

    A bar is drawn on stderr if that is a terminal, and nothing at all if it is not, or while another one is
    drawn: a training that is part of longer work leaves the terminal to that.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance("ndcg .10")
    ...     advance("ndcg .12")
    """
    if not sys.stderr.isatty() or not _DRAWING.acquire(blocking=False):
        yield lambda _news: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[news]}"),
    )
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(description, total=total, news="")
            yield lambda news: bars.update(task, advance=1, news=news)
    finally:
        _DRAWING.release()
