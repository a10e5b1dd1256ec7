"""Comparison of a model with the baselines (``Study``), and the HTML page of a study (``write_report``).

Only this package imports jinja2. The extra ``report`` installs jinja2, openTSNE, matplotlib and plotly.
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

    The page works without a network and without scripts. An existing file is replaced atomically. With the
    same versions of the libraries, equal arguments give equal pages.

    Parameters
    ----------
    study
        Evaluations of a model and of the baselines.
    path
        File of the page.
    now
        Date and time on the page; by default the page has neither.
    seed
        Seed of the map of the items, and of the selection of example queries.
    run
        Report of a nightly run (``Retrained.report``). The page then begins with the outcome of the run, and
        contains the gates of the run and the drift from the served version. By default, the page describes
        the evaluation only.

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
