"""Comparison of a model with the baselines (``Study``), and its HTML page (``write_report``).

Only this package imports jinja2, which the extra ``report`` installs with openTSNE.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec.arguments import checked
from item2vec.errors import MissingExtraError
from item2vec.outputs import output
from item2vec.report.study import OURS, Study

__all__ = ["OURS", "Study", "check_extra", "write_report"]

LIBRARIES = {"jinja2", "openTSNE"}


def check_extra() -> None:
    """Raise ``MissingExtraError`` if a library that a report needs is not installed.

    Call this function before a long training, so that a missing library is detected early.

    >>> check_extra()
    """
    try:
        importlib.import_module("item2vec.report.page")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in LIBRARIES:
            raise
        raise MissingExtraError(
            f"{missing} is not installed; a report needs it: pip install 'item2vec[report]'"
        ) from error


@checked
def write_report(
    study: Study,
    path: str | PathLike[str],
    *,
    now: datetime | None = None,
    seed: int = 1,
    run: Mapping[str, Any] | None = None,
) -> None:
    """Write a study as a self-contained HTML page.

    The page works without a network and without scripts. An existing file is replaced atomically. Equal
    arguments give equal pages. ``now`` is the date and time on the page; by default the page has neither.
    ``run`` is the report of a nightly run (``Retrained.report``). With ``run``, the page begins with the
    outcome of the run, and contains its gates and the drift from the served version.

    Raises
    ------
    MissingExtraError
        If jinja2 or openTSNE is not installed.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import fit
    >>> from item2vec.evaluation.temporal_splits import temporal_split
    >>> from item2vec.readers import read_interactions
    >>> listens = read_interactions("sample_data/listens.csv.gz")
    >>> split = temporal_split(listens.take(listens.item < 300))  # fewer items, to save time
    >>> study = Study.of(fit(split.train, vector_size=16, epochs=1), split)
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(study, path)
    >>> "<h1>" in path.read_text()
    True
    """
    check_extra()
    from item2vec.report.page import render

    content = render(study, now=now, seed=seed, run=run).encode()
    with output(Path(path)) as file:
        file.write(content)
