"""Progress bars on the terminal: the one door to rich."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call after each of ``total`` steps, with a few words on what is new.

    A bar is drawn on stderr if that is a terminal, and nothing at all if it is not.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance("ndcg .10")
    ...     advance("ndcg .12")
    """
    if not sys.stderr.isatty():
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total, news="")
        yield lambda news: bars.update(task, advance=1, news=news)
