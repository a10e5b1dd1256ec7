"""Read the columns of a ``Table``, batch by batch, into arrays without bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from item2vec.arrays import Mask
from item2vec.readers.columns import Column, Values
from item2vec.readers.faults import Fault, FaultReport
from item2vec.readers.table import Batch, Table, positions_of

__all__ = ["faults_of", "read_columns", "valid_rows"]


def read_columns(table: Table, parsers: Mapping[str, Column], report: FaultReport) -> dict[str, Any]:
    """Read the columns of a table for which there is a parser. Return the parsed columns without bad rows.

    The keys of ``parsers`` and of the result are parameters of the reader, such as ``"user"``.

    Raises
    ------
    InputError
        If the table cannot be read; if a column does not exist, exists several times, has a type that its
        parser does not support, or contains text that is not UTF-8; if the timestamps have no common unit, or
        later rows show that the first timestamps are invalid (see ``TimeColumn.conclude``); if a row is bad
        and ``report`` raises the first fault; or if ``report`` skips bad rows, but all rows are bad, or the
        share of bad rows is larger than ``report`` allows.
    """
    positions = positions_of(table, {parameter: column.name for parameter, column in parsers.items()})
    columns = list(parsers.values())
    with ThreadPoolExecutor(len(columns)) as threads:  # in parallel: Arrow releases the GIL
        batches = table.batches(positions)
        report.finish(sum(_append(batch, table.row_kind, columns, report, threads) for batch in batches))
        return dict(zip(parsers, threads.map(lambda column: column.finish(), columns), strict=True))


def _append(
    batch: Batch, row_kind: str, columns: Sequence[Column], report: FaultReport, threads: ThreadPoolExecutor
) -> int:
    """Append the valid rows of a batch to the columns, report the bad rows, and count the valid rows."""
    parsed, n_rows = valid_rows(batch, row_kind, columns, report, threads)
    for column, values in zip(columns, parsed, strict=True):
        column.append(values)
    return n_rows


def valid_rows(
    batch: Batch, row_kind: str, columns: Sequence[Column], report: FaultReport, threads: ThreadPoolExecutor
) -> tuple[list[Any], int]:
    """Return the parsed columns of the valid rows of a batch, and the number of valid rows.

    The faults of the bad rows are added to ``report``, which may raise the first fault.
    """
    parsed = list(threads.map(lambda column, values: column.parse(values), columns, batch.columns))
    masks = [is_bad for _, is_bad in parsed]
    bad = np.logical_or.reduce(masks)
    if batch.faults or bad.any():
        report.add([*batch.faults, *faults_of(batch, row_kind, columns, masks)])
        good = [_kept(values, ~bad) for values in batch.columns]
        parsed = [column.parse(values) for column, values in zip(columns, good, strict=True)]
    return [values for values, _ in parsed], len(bad) - int(np.count_nonzero(bad))


def faults_of(batch: Batch, row_kind: str, columns: Sequence[Column], bad: Sequence[Mask]) -> Iterator[Fault]:
    """Yield one fault per bad row: the description of the first bad value of the row.

    ``bad`` holds the mask of the bad rows of each column.
    """
    for row in np.flatnonzero(np.logical_or.reduce(bad)).tolist():
        first = next(i for i, is_bad in enumerate(bad) if is_bad[row])
        column, value = columns[first], batch.columns[first][row]
        value = _python_value(value) if isinstance(value, pa.Scalar) else value
        number = batch.numbers[row]
        expected, remedies = column.expected_for(value)
        name, error = column.name, column.error
        yield Fault.of_value(batch.source, row_kind, number, name, value, expected, error, remedies)


def _python_value(scalar: pa.Scalar) -> Any:
    """Return a scalar as a Python object; a date or time that Python cannot represent becomes an integer."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return scalar.value


def _kept(values: Values, keep: Mask) -> Values:
    return values.filter(pa.array(keep)) if isinstance(values, pa.Array) else list(compress(values, keep))
