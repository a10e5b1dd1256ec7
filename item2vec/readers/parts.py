"""Tables of several files or DataFrames, whose rows are read as if they were concatenated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from item2vec.errors import InputError, listed
from item2vec.readers.columns import Values
from item2vec.readers.json_lines import JsonLinesFile
from item2vec.readers.table import Batch, Table
from item2vec.readers.text import DelimitedFile

__all__ = ["DelimitedParts", "Part", "joined"]

Part: TypeAlias = "tuple[Table, Mapping[str, str | None]]"
"""A table, and the values of its partition columns."""


class Parts:
    """Table of the rows of several tables, in their order.

    Parameters
    ----------
    name
        Name of the source, for messages.
    first
        The first part. It determines the columns of the table. Partition columns follow the other columns,
        and replace columns of the same name.
    parts
        Function that returns an iterator over all parts, including the first. The iterator opens a part only
        when the rows of the part are read.
    same_columns
        Whether it is an error if a part has a column that the first part lacks.
    """

    def __init__(
        self, name: str, first: Part, parts: Callable[[], Iterator[Part]], *, same_columns: bool
    ) -> None:
        self._first, self._keys = first[0], list(first[1])
        self._parts, self._same_columns = parts, same_columns
        self._own = [position for position, name in enumerate(self._first.names) if name not in first[1]]
        self.name, self.kind, self.row_kind = name, self._first.kind, self._first.row_kind
        self.names = [*(self._first.names[position] for position in self._own), *self._keys]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches. Line and row numbers start again in each part."""
        for table, partition in self._parts():
            self._check(table, partition)
            inner = {at: self._position(table, at) for at in positions if at < len(self._own)}
            read = [position for position in inner.values() if position is not None]
            for batch in table.batches(read or range(len(table.names))[:1]):
                yield self._completed(batch, positions, inner, partition)

    def _check(self, table: Table, partition: Mapping[str, str | None]) -> None:
        if table.kind != self.kind:
            raise InputError(
                f"{table.name} and {self._first.name} are of different kinds ({table.kind} and {self.kind}); "
                "expected files or DataFrames of one kind: convert them to one kind, or read them one by one"
            )
        if list(partition) != self._keys:
            raise InputError(
                f"{table.name} has the partition columns {listed(list(partition))}; expected "
                f"{listed(self._keys)}, as {self._first.name} has: use folders with equal partition columns"
            )
        further = [name for name in table.names if name not in self._first.names]
        if further and self._same_columns:
            raise InputError(
                f"{table.name} has a column {further[0]!r} that {self._first.name} lacks; expected only "
                f"columns of {self._first.name}: remove the column, or add it to {self._first.name}"
            )

    def _position(self, table: Table, at: int) -> int | None:
        """Return the position that the column at position ``at`` of this table has in a part.

        Return ``None`` if the part is a file of JSON lines that lacks the column. Raise ``InputError`` if the
        columns of any other part differ from those of the first part, and do not include the column exactly
        once.
        """
        if table.names == self._first.names:
            return self._own[at]
        name = self.names[at]
        if table.names.count(name) == 1:
            return table.names.index(name)
        if isinstance(table, JsonLinesFile):
            return None
        raise InputError(
            f"{table.name} has the columns {listed(table.names)}; expected one column {name!r}, as "
            f"{self._first.name} has: use files with equal columns"
        )

    def _completed(
        self,
        batch: Batch,
        positions: Sequence[int],
        inner: Mapping[int, int | None],
        partition: Mapping[str, str | None],
    ) -> Batch:
        """Return a batch of a part with the columns at ``positions`` of this table.

        ``inner`` maps positions of this table to the positions of the same columns in the part, or to
        ``None`` for columns that the part lacks. The lacking columns are null, and partition columns are
        constant.
        """
        n_rows = len(batch.columns[0]) if batch.columns else len(batch.numbers or ())
        own = iter(batch.columns)
        columns: list[Values] = [
            next(own) if inner.get(at) is not None else _constant(partition.get(self.names[at]), n_rows)
            for at in positions
        ]
        records = [{**record, **partition} for record in batch.records] if batch.records is not None else None
        return dataclasses.replace(batch, columns=columns, records=records)


class DelimitedParts(Parts):
    """Table of several delimited text files, read as if they were concatenated. All values are text."""


def joined(name: str, first: Part, parts: Callable[[], Iterator[Part]], *, same_columns: bool) -> Parts:
    """Return the table of several parts. See ``Parts`` for the arguments."""
    kind = DelimitedParts if isinstance(first[0], DelimitedFile) else Parts
    return kind(name, first, parts, same_columns=same_columns)


def _constant(value: str | None, n_rows: int) -> pa.Array:
    values = pa.array([value], pa.large_string())
    return pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), values).dictionary_decode()
