"""The table interface (``Table``, ``Batch``), and functions that find columns by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from item2vec.errors import InputError, InputTypeError, Remedy
from item2vec.readers.columns import Values
from item2vec.readers.faults import Fault, short_repr

__all__ = [
    "BATCH_ROWS",
    "Batch",
    "Table",
    "bare",
    "one_ahead",
    "positions_of",
]

BATCH_ROWS = 1 << 14

_Item = TypeVar("_Item")

_NAMES_COMPARED = 1000
_TYPED_CELL = re.compile(r"(.+):(?:token|float)(?:_seq)?")


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a table: the requested columns, and the faults of malformed rows.

    A row is malformed if it has a wrong number of fields or a stray quote, or if it is a line of JSON lines
    that is not a JSON object. ``columns`` does not contain malformed rows. ``source`` is the name of the
    table in messages. ``numbers`` holds the line or row number of each row in ``columns``. ``records`` holds
    the original objects of JSON lines, which may have different keys, and is ``None`` for any other table.
    """

    source: str
    numbers: Sequence[int]
    columns: Sequence[Values]
    faults: Sequence[Fault] = ()
    records: list[dict[str, Any]] | None = None


class Table(Protocol):
    """Table of rows with named columns, in a file, in memory or in a database.

    ``name`` and ``kind`` name the source and its format in messages. ``names`` holds the names of the
    columns. ``row_kind`` states how rows are numbered: ``"line"`` for line numbers from 1, ``"row"`` for row
    numbers from 0.
    """

    name: str
    kind: str
    row_kind: str
    names: list[str]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with the columns at the given positions of ``names``."""
        ...


def bare(cell: str) -> str:
    """Return a header cell without surrounding white space and without RecBole's type suffix.

    >>> bare("user_id:token"), bare(" item_id"), bare("a:b")
    ('user_id', 'item_id', 'a:b')
    """
    if not isinstance(cell, str):
        raise InputTypeError(
            f"a column name is {short_repr(cell)}, of type {type(cell).__name__}; expected text"
        )
    cell = cell.strip()
    typed = _TYPED_CELL.fullmatch(cell) if ":" in cell else None
    return typed[1] if typed else cell


def one_ahead(iterator: Iterator[_Item]) -> Iterator[_Item]:
    """Yield the elements of an iterator, in which no element is ``None``.

    A thread computes the next element while the caller processes the current one. The thread is not joined,
    because the garbage collector may close this generator in a thread that is starting another thread. Such
    a thread holds a lock of ``threading``, for which a join would wait forever.
    """
    thread = ThreadPoolExecutor(1)
    try:
        upcoming = thread.submit(next, iterator, None)
        while (element := upcoming.result()) is not None:
            upcoming = thread.submit(next, iterator, None)
            yield element
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def positions_of(table: Table, wanted: Mapping[str, str]) -> list[int]:
    """Return the position of each column in ``wanted``, which maps parameters to column names.

    A column name matches a header cell that is equal to the name. If there is no such cell, the name matches
    a cell for which ``bare`` returns the name. Raise ``InputError`` if a name matches no cell, or several
    cells.
    """
    return [_position(table, parameter, name) for parameter, name in wanted.items()]


def _position(table: Table, parameter: str, name: str) -> int:
    bare_names = [bare(cell) for cell in table.names]
    for names in (table.names, bare_names):
        if names.count(name) > 1:
            raise InputError(
                f"{table.name} has {names.count(name)} columns {name!r}; expected distinct names: "
                "rename the columns"
            )
        if name in names:
            return names.index(name)
    found = ", ".join(map(short_repr, bare_names[:20])) + (", …" if len(bare_names) > 20 else "")
    similar = difflib.get_close_matches(
        name.casefold(), [cell.casefold() for cell in bare_names[:_NAMES_COMPARED]], n=1
    )
    likely = next((cell for cell in bare_names if [cell.casefold()] == similar), None)
    if likely is not None:
        remedies = [Remedy(parameter, likely, "did you mean {}?")]
    else:
        remedies = [Remedy(parameter, text="name the column with {}")]
        if parameter == "timestamp":
            remedies.append(Remedy(parameter, None, "pass {} if there is none"))
    raise InputError(f"{table.name} has no column {name!r}; found {found or 'none'}", remedies=remedies)
