"""``read_interactions`` reads interactions from a table; ``to_frame`` converts them to a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import partial
from os import PathLike
from typing import Any

import pandas as pd
import pyarrow as pa

from item2vec.arguments import checked, checked_except
from item2vec.arrays import Codes
from item2vec.interactions import Interactions
from item2vec.lines import MAX_LINE
from item2vec.readers.collecting import read_columns
from item2vec.readers.columnar import QueryTable
from item2vec.readers.columns import Column, IdColumn, WeightColumn
from item2vec.readers.faults import MAX_BAD, Fault, FaultReport, OnError
from item2vec.readers.tables import open_table
from item2vec.readers.times import TimeColumn
from item2vec.types import Vocabulary

__all__ = ["read_interactions", "to_frame"]


@checked_except("user", "item", "timestamp", "weight", "event", "session", "encoding")
def read_interactions(  # noqa: PLR0913 (one parameter per column)
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
    quotes: bool = True,
    time_unit: str | None = None,
    time_format: str | None = None,
    on_error: OnError = "raise",
    on_skip: Callable[[Fault], None] | None = None,
    max_bad: float = MAX_BAD,
    max_line: int = MAX_LINE,
    connection: Any = None,
) -> Interactions:
    """Read interactions from a table. Rows keep their order. Ids are numbered in order of first appearance.

    Parameters
    ----------
    source
        One of:

        - The path of a file: delimited text (any suffix), JSON lines, Parquet, Arrow IPC or Feather 2.
          The format is recognised by the first bytes, and JSON lines also by the suffixes ``.json``,
          ``.jsonl`` and ``.ndjson``. Text may be compressed with gzip, bzip2, xz or zstd, or be the only file
          of a zip archive. Text in UTF-16 or UTF-32 is recognised by its byte order mark.
        - The path of a folder of such files. They are read in the order of their paths, and must have one
          format; files of delimited text must also have one suffix. Files and folders whose names begin
          with ``_`` or ``.``, and empty text files, are skipped. A subfolder ``key=value`` adds a column
          ``key`` (Hive partitioning; ``__HIVE_DEFAULT_PARTITION__`` is a missing value). Delta, Iceberg and
          Hudi tables are errors, because their files also contain deleted rows.
        - A pattern of paths, such as ``"events-*.csv"`` (``**`` for any number of folders), unless a file or
          folder has this name.
        - A DataFrame of pandas, polars or another library that exports Arrow streams; a SQLAlchemy select, or
          the text of a SQL query, with a ``connection``.
        - A list, tuple or iterator of paths, or of DataFrames or Arrow record batches.

        Several files or DataFrames are read as if their rows were concatenated. Each of them must have the
        columns that are read. A column that is missing in a further file of JSON lines has missing values.
    user, item, timestamp, weight, event, session
        Names of the columns. ``None`` omits an optional column, which is any column except ``user`` and
        ``item``. The name ``user_id`` also matches the header cell ``user_id:token``. Every row needs a value
        in each of these columns.
    sep, columns, encoding
        For delimited text: the separator, of one or several characters (``None``: tab, comma, semicolon,
        pipe, ``::`` or space, detected from the first line, or stated by Excel's line ``sep=;``), the column
        names of a file without a header, and the encoding. JSON lines also use ``encoding``.
    quotes
        For delimited text. True: a field may be enclosed in quotes, and may then contain separators and line
        breaks. False: quotes are ordinary characters.
    time_unit, time_format
        Unit of all epoch numbers (``"s"``, ``"ms"``, ``"us"`` or ``"ns"``), or format of all timestamps as in
        ``datetime.strptime``, such as ``"%d.%m.%Y %H:%M"``. At most one of them is given. If both are
        ``None``, the unit or format is detected by the rules in the notes.
    on_error, on_skip, max_bad
        ``on_error="raise"``: raise an error for the first bad row. ``on_error="skip"``: skip bad rows, log a
        warning with the number of bad rows and the first three faults (logger ``item2vec.readers``), and call
        ``on_skip`` with each ``Fault``. If no row is valid, or the share of bad rows is larger than
        ``max_bad``, raise an error that states the number of bad rows and the first three faults.
    max_line
        Largest length of a line of text, or of a row of several lines, in bytes. The limit bounds the memory
        that a damaged file can take.
    connection
        SQLAlchemy engine or connection that executes the select. The text of a query needs a connection.
        Errors of SQLAlchemy are not converted to ``InputError``.

    Notes
    -----
    Ids are text and are not changed: ``01`` and ``NA`` are valid ids, and spaces around an id belong to the
    id. Only null, NaN and the empty text are missing ids. Integers in JSON, DataFrames and Parquet become
    text (``7`` becomes ``"7"``), even if pandas stores them as floats because of missing values.

    Timestamps are ISO 8601 text, typed timestamps, or epoch numbers, from year 1 to 9999. Timestamps without
    a time zone are in UTC. The first batch with a valid timestamp determines whether the column holds dates
    or numbers, and the unit or layout of the numbers. A row that contradicts this decision, in any batch, is
    a bad row. The rules:

    - *Dates or numbers.* The kind of the column is the more frequent kind in the batch.
    - *Unit.* A unit (seconds, milliseconds, microseconds or nanoseconds) is plausible for an epoch number if
      the number is a date from 1990 to 2099 in this unit. The unit of the column is the one that is plausible
      for most numbers. If fewer than 90 % of the numbers are dates in this unit (from 1900 to 2199, but not
      within 48 days of 1970-01-01), there is no common unit, which is an error. Placeholders (see below) are
      not counted. If no unit is plausible for any number (counters such as 0, 1, 2), all numbers are read as
      seconds, and a warning is logged; it is an error if later numbers have a unit or a layout. ``time_unit``
      disables this rule.
    - *Layout.* Numbers such as 20240131 are dates if at least 90 % of the numbers are valid dates from 1900
      to 2100 in the layout ``%Y%m%d``, which ``%H``, ``%H%M`` or ``%H%M%S`` may follow. Placeholders are
      not counted, and a date within 48 days of 1970-01-01 is not counted as valid. ``time_unit`` and
      ``time_format`` disable this rule.
    - *Placeholders.* If at least 90 % of the other dates are from 1990 to 2099, a date on 0001-01-01,
      1753-01-01, 1899-12-30, 1900-01-01, 1969-12-31, 1970-01-01 (epoch number 0 or -1) or 9999-12-31 stands
      for a missing date, and the row is bad.
    - *Rounding.* Rows with a number that is rounded to more than a second are bad: float16 and float32
      numbers, and text such as 1.70E+12, if the last digit of each of the first 1,000 such texts of a batch
      is worth more than a second.

    A quote opens a field only at the start of a line or directly after a separator, and closes a field only
    at the end of a line or directly before a separator. If no quote closes a field in this way, the quotes of
    the line are ordinary characters. A quoted field that contains a line which is itself a row has a stray
    quote: the row is bad or, if the separator is a tab or several characters, the first line of the row is
    read as text, in which quotes are ordinary characters.

    Files are read in batches, and iterators of DataFrames one DataFrame at a time.

    Raises
    ------
    InputError
        If a file or column does not exist; if a file is empty, damaged or in another encoding; if an argument
        is invalid; or if a row is bad (``InvalidIdError`` for an id). The message for a bad row states the
        source, the line or row number, and the value.
    InputTypeError
        If an argument, such as ``source``, ``connection`` or the name of a column, has an unsupported type.

    Examples
    --------
    >>> import pandas as pd
    >>> times = ["2024-01-01", "2024-01-02T12:30Z"]
    >>> listens = pd.DataFrame({"listener": ["ann", "bob"], "song": [7, 7], "at": times})
    >>> read_interactions(listens, user="listener", item="song", timestamp="at")
    Interactions(2 rows, 2 users, 1 items, 2024-01-01 00:00:00 to 2024-01-02 12:30:00)
    """
    wanted: dict[str, tuple[str | None, Callable[[str], Column]]] = {
        "user": (user, IdColumn),
        "item": (item, IdColumn),
        "timestamp": (timestamp, partial(TimeColumn, unit=time_unit, form=time_format)),
        "weight": (weight, WeightColumn),
        "event": (event, IdColumn),
        "session": (session, IdColumn),
    }
    parsers = {
        parameter: kind(column)  # type: ignore[arg-type]  # open_table raises an error for None
        for parameter, (column, kind) in wanted.items()
        if column is not None or parameter in {"user", "item"}
    }
    table = open_table(
        source,
        wanted=[column.name for column in parsers.values()],
        sep=sep,
        columns=columns,
        encoding=encoding,
        connection=connection,
        quotes=quotes,
        max_line=max_line,
    )
    report = FaultReport(table.name, on_error, on_skip, max_bad)
    fields: dict[str, Any] = {}
    with closing(table) if isinstance(table, QueryTable) else nullcontext():
        parsed = read_columns(table, parsers, report)
    for parameter, column in parsed.items():
        if isinstance(column, tuple):
            fields[parameter], fields[f"{parameter}s"] = column
        else:
            fields[parameter] = column
    return Interactions(**fields)


@checked
def to_frame(interactions: Interactions) -> pd.DataFrame:
    """Convert interactions to a DataFrame that ``read_interactions`` can read.

    The columns are ``user_id`` and ``item_id`` (str) and, if the interactions have them, ``timestamp``
    (datetime64[us, UTC]), ``weight`` (float32), ``event`` and ``session`` (str).

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
