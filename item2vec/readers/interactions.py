"""Interactions from any table, and back to a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import pandas as pd
import pyarrow as pa

from item2vec.arrays import Codes
from item2vec.interactions import Interactions
from item2vec.readers.collecting import read_columns
from item2vec.readers.columns import Column, IdColumn, TimeColumn, WeightColumn
from item2vec.readers.faults import Fault, FaultReport, OnError
from item2vec.readers.tables import open_table
from item2vec.types import Vocabulary

__all__ = ["read_interactions", "to_frame"]


def read_interactions(  # noqa: PLR0913 (a column each)
    source: str | PathLike[str] | Any,
    *,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    weight: str | None = None,
    event: str | None = None,
    session: str | None = None,
    sep: str | None = None,
    columns: Sequence[str] | None = None,
    encoding: str = "utf-8",
    on_error: OnError = "raise",
    on_skip: Callable[[Fault], None] | None = None,
    connection: Any = None,
) -> Interactions:
    """Read who had what, and when; rows in their order, codes in order of first appearance.

    Parameters
    ----------
    source
        The path of delimited text (any suffix), JSON lines (``.jsonl``, ``.ndjson``, ``.json``) or Parquet
        (``.parquet``, or a folder of such files), text also compressed with gzip; a DataFrame of pandas,
        polars or anything else that exports an Arrow stream; a SQLAlchemy select.
    user, item, timestamp, weight, event, session
        The names of the columns; ``None`` for one that there is not. A header cell ``user_id:token`` also
        answers to ``user_id``. Every row needs a value in each column that is named.
    sep, columns, encoding
        Of delimited text: the separator (``None``: tab, comma, semicolon or pipe, as the first line has it),
        the names of the columns where the file has no header, and the encoding.
    on_error, on_skip
        ``"raise"`` at the first bad row, or ``"skip"`` bad rows: their number and the first three are logged
        as a warning (logger ``item2vec.readers``), and ``on_skip`` is called with each ``Fault``.
    connection
        The SQLAlchemy engine or connection that runs a select; its own errors pass through.

    Notes
    -----
    Ids are text, byte for byte: ``01``, ``NA`` and blanks around an id stay as they are; only an empty id is
    a missing one. Whole numbers in JSON, DataFrames and Parquet are written out (``7`` is ``"7"``), also
    where pandas made floats of them because some are missing.

    Timestamps are ISO 8601 text, typed timestamps, or epoch numbers; without a zone they are UTC. Text that
    is a number is an epoch number, never a date (``20240101``). The largest one tells the unit of all:
    seconds below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds.

    Text and Parquet are read a batch at a time. A text file with quotes, or with a bad row, takes a slower
    and more careful pass.

    Raises
    ------
    InputError
        If there is no such file or column, the file is empty, damaged or in another encoding, or a row is bad
        (``InvalidIdError`` for an id); the message names the file, the line or row, and the value.

    Examples
    --------
    >>> import pandas as pd
    >>> when = ["2024-01-01", "2024-01-02T12:30Z"]
    >>> listens = pd.DataFrame({"who": ["ann", "bob"], "song": [7, 7], "at": when})
    >>> read_interactions(listens, user="who", item="song", timestamp="at")
    Interactions(2 rows, 2 users, 1 items, 2024-01-01 00:00:00 to 2024-01-02 12:30:00)
    """
    wanted: dict[str, tuple[str | None, Callable[[str], Column]]] = {
        "user": (user, IdColumn),
        "item": (item, IdColumn),
        "timestamp": (timestamp, TimeColumn),
        "weight": (weight, WeightColumn),
        "event": (event, IdColumn),
        "session": (session, IdColumn),
    }
    named = {parameter: kind(column) for parameter, (column, kind) in wanted.items() if column is not None}
    table = open_table(
        source,
        wanted=[column.name for column in named.values()],
        sep=sep,
        columns=columns,
        encoding=encoding,
        connection=connection,
    )
    fields: dict[str, Any] = {}
    for parameter, read in read_columns(table, named, FaultReport(table.name, on_error, on_skip)).items():
        if isinstance(read, tuple):
            fields[parameter], fields[f"{parameter}s"] = read
        else:
            fields[parameter] = read
    return Interactions(**fields)


def to_frame(interactions: Interactions) -> pd.DataFrame:
    """Return interactions as a DataFrame, which ``read_interactions`` reads back.

    Columns: ``user_id item_id`` (str), and where they are known ``timestamp`` (datetime64[us, UTC]),
    ``weight`` (float32), ``event session`` (str).

    >>> plays = Interactions.of(user=["ann", "bob"], item=["x", "y"], weight=[1, 2])
    >>> to_frame(plays)
      user_id item_id  weight
    0     ann       x     1.0
    1     bob       y     2.0
    """
    columns: dict[str, Any] = {
        "user_id": _ids(interactions.users, interactions.user),
        "item_id": _ids(interactions.items, interactions.item),
    }
    if interactions.timestamp is not None:
        columns["timestamp"] = pd.Series(interactions.timestamp.view("datetime64[us]")).dt.tz_localize("UTC")
    if interactions.weight is not None:
        columns["weight"] = interactions.weight
    if interactions.event is not None and interactions.events is not None:
        columns["event"] = _ids(interactions.events, interactions.event)
    if interactions.session is not None and interactions.sessions is not None:
        columns["session"] = _ids(interactions.sessions, interactions.session)
    return pd.DataFrame(columns)


def _ids(vocabulary: Vocabulary, codes: Codes) -> pd.Series[str]:
    return pd.Series(pa.array(vocabulary.ids, pa.large_string()).take(pa.array(codes)), dtype="str")
