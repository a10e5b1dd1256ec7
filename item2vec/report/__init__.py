"""Comparison of a model with the baselines (``Study``), and an HTML page of it (``write_report``).

The only package that imports jinja2, plotly and openTSNE: the extra ``report``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec import files
from item2vec.errors import MissingExtraError, WriteError
from item2vec.report.study import OURS, Study

__all__ = ["OURS", "Study", "check_extra", "write_report"]

LIBRARIES = {"jinja2", "openTSNE", "plotly"}


def check_extra() -> None:
    """Raise ``MissingExtraError`` if a library that a report needs is not installed.

    Call it before a long training whose result will be reported.

    >>> check_extra()
    """
    try:
        importlib.import_module("item2vec.report.page")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in LIBRARIES:
            raise
        raise MissingExtraError(f"a report needs {missing}: pip install 'item2vec[report]'") from error


def write_report(
    study: Study,
    path: str | PathLike[str],
    *,
    now: datetime | None = None,
    seed: int = 1,
    run: Mapping[str, Any] | None = None,
) -> None:
    """Write a study as one self-contained HTML page.

    The page needs no network. An existing file is replaced atomically. The same study and seed give the same
    page, except for the date ``now``, which is omitted if not given. If ``run`` is the report of a nightly
    run (``Retrained.report``), its gates and the drift since the live version are shown at the top.

    Raises
    ------
    MissingExtraError
        If jinja2, plotly or openTSNE are not installed.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import fit
    >>> from item2vec.evaluation.temporal_splits import temporal_split
    >>> from item2vec.readers import read_interactions
    >>> listens = read_interactions("sample_data/listens.csv.gz")
    >>> split = temporal_split(listens.take(listens.item < 300))  # a part of the items, to be quick
    >>> study = Study.of(fit(split.train, vector_size=16, epochs=1), split)
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(study, path)
    >>> "<h1>" in path.read_text()
    True
    """
    check_extra()
    from item2vec.report.page import render

    content = render(study, now=now, seed=seed, run=run).encode()
    try:
        files.replace_bytes(Path(path), content)
    except OSError as error:
        raise WriteError(f"{path} could not be written: {error.strerror}") from error
