"""The columns of a table, read batch by batch, without the rows that are bad."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from item2vec.arrays import Mask
from item2vec.readers.columns import Column, Values
from item2vec.readers.faults import Fault, FaultReport
from item2vec.readers.opening import Batch, Table, positions_of
from item2vec.readers.text import DelimitedFile, NotPlainError

__all__ = ["faults_of", "read_columns"]


def read_columns(table: Table, named: Mapping[str, Column], report: FaultReport) -> dict[str, Any]:
    """Read these columns (parameter → column) of a table; return what each made of all its good rows."""
    positions = positions_of(table, {parameter: column.name for parameter, column in named.items()})
    if isinstance(table, DelimitedFile):
        quick = copy.deepcopy(list(named.values()))
        try:
            _collect(table.quick_batches(positions), table.row_kind, quick, None)
        except NotPlainError:
            quick.clear()
        else:
            return _finished(dict(zip(named, quick, strict=True)))
    n_read = _collect(table.batches(positions), table.row_kind, list(named.values()), report)
    report.log(n_read)
    return _finished(named)


def _finished(named: Mapping[str, Column]) -> dict[str, Any]:
    with ThreadPoolExecutor() as threads:
        return dict(zip(named, threads.map(lambda column: column.finish(), named.values()), strict=True))


def _collect(
    batches: Iterator[Batch], row_kind: str, columns: Sequence[Column], report: FaultReport | None
) -> int:
    """Fill the columns with the good rows, and return how many; without a report, no row may be bad."""
    n_read = 0
    for batch in batches:
        with ThreadPoolExecutor() as threads:  # Arrow works on the columns without Python's lock
            parsed = list(threads.map(lambda column, values: column.parse(values), columns, batch.columns))
        bad = np.logical_or.reduce([is_bad for _, is_bad in parsed])
        if batch.faults or bad.any():
            if report is None:
                raise NotPlainError
            report.add(
                [*batch.faults, *faults_of(batch, row_kind, columns, [is_bad for _, is_bad in parsed])]
            )
            good = [_kept(values, ~bad) for values in batch.columns]
            parsed = [column.parse(values) for column, values in zip(columns, good, strict=True)]
        for column, (values, _) in zip(columns, parsed, strict=True):
            column.append(values)
        n_read += len(bad) - int(np.count_nonzero(bad))
    return n_read


def faults_of(batch: Batch, row_kind: str, columns: Sequence[Column], bad: Sequence[Mask]) -> Iterator[Fault]:
    """Yield the fault of each bad row: that of its first column that is bad."""
    for row in np.flatnonzero(np.logical_or.reduce(bad)).tolist():
        which = next(i for i, is_bad in enumerate(bad) if is_bad[row])
        column, value = columns[which], batch.columns[which][row]
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        number = batch.numbers[row] if batch.numbers is not None else row
        yield Fault.of_value(
            batch.source, row_kind, number, column.name, value, column.expected, column.error
        )


def _kept(values: Values, keep: Mask) -> Values:
    return values.filter(pa.array(keep)) if isinstance(values, pa.Array) else list(compress(values, keep))
