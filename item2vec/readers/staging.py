"""Convert interactions to Parquet files, for programs that process more rows than fit into memory.

Parquet files whose column types are suitable are not converted. The rows of any other source are read by the
rules of ``read_interactions``, batch by batch, and written to a new Parquet file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from item2vec.arguments import check_fields
from item2vec.errors import InputError
from item2vec.lines import MAX_LINE
from item2vec.readers.collecting import valid_rows
from item2vec.readers.columnar import ParquetFile
from item2vec.readers.columns import Column, IdColumn, WeightColumn, are_ids
from item2vec.readers.faults import MAX_BAD, Fault, FaultReport, OnError
from item2vec.readers.table import Batch, Table, positions_of
from item2vec.readers.tables import open_table, parquet_files
from item2vec.readers.times import TimeColumn

__all__ = ["InteractionFormat", "StagedRows", "plain_columns", "write_batches", "write_table"]

_MIN_ROWS = 1 << 17
"""Minimum number of rows of a row group, except for the last row group."""

_IDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
_WEIGHTS = (pa.types.is_integer, pa.types.is_float32, pa.types.is_float64)


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Rows of interactions in Parquet files.

    ``columns`` maps the parameters of ``read_interactions`` (``"user"``, …) to names of columns of the files.
    ``unit`` is the unit of integer timestamps, and ``None`` for typed timestamps. Without timestamps, it has
    no meaning.
    """

    files: tuple[Path, ...]
    columns: Mapping[str, str]
    unit: str | None
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class InteractionFormat:
    """The parameters of ``read_interactions``, except ``source`` and ``connection``."""

    user: str = "user_id"
    item: str = "item_id"
    timestamp: str | None = "timestamp"
    weight: str | None = None
    event: str | None = None
    session: str | None = None
    sep: str | None = None
    columns: Sequence[str] | None = None
    encoding: str = "utf-8"
    quotes: bool = True
    time_unit: str | None = None
    time_format: str | None = None
    on_error: OnError = "raise"
    on_skip: Callable[[Fault], None] | None = None
    max_bad: float = MAX_BAD
    max_line: int = MAX_LINE

    def __post_init__(self) -> None:
        check_fields(self)

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of ``read_interactions``."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def as_found(self, sources: Sequence[Any]) -> StagedRows | None:
        """Return the rows of Parquet files that need no conversion, or ``None`` for any other sources.

        Files need a conversion if ``time_format`` is given, if ``plain_columns`` returns ``None`` for the
        files, or if the integer timestamps of the first batch have no common unit. The values in the rows are
        not checked, except for these timestamps.
        """
        files = parquet_files(sources, self.encoding)
        if not files or self.time_format is not None:
            return None
        parsers = self._parsers()
        found = plain_columns(files, parsers)
        if found is None:
            return None
        columns, types, n_rows = found
        unit = None
        if "timestamp" in types and pa.types.is_integer(types["timestamp"]):
            unit = _unit_of(ParquetFile(files[0]), columns["timestamp"], parsers["timestamp"])
            if unit is None:
                return None
        return StagedRows(tuple(files), columns, unit, n_rows)

    def converted(self, sources: Sequence[Any], path: Path) -> StagedRows:
        """Read rows by the rules of ``read_interactions``, and write them to a new Parquet file.

        The columns are named like the parameters. Timestamps are in microseconds.

        Raises
        ------
        InputError
            See ``read_interactions``.
        """
        parsers = self._parsers()
        table = open_table(
            sources[0] if len(sources) == 1 else list(sources),
            wanted=[column.name for column in parsers.values()],
            sep=self.sep,
            columns=self.columns,
            encoding=self.encoding,
            connection=None,
            quotes=self.quotes,
            max_line=self.max_line,
        )
        report = FaultReport(table.name, self.on_error, self.on_skip, self.max_bad)
        n_rows = write_table(table, parsers, path, report)
        return StagedRows((path,), {name: name for name in parsers}, "us", n_rows)

    def _parsers(self) -> dict[str, Column]:
        kinds: dict[str, Callable[[str], Column]] = {
            "user": IdColumn,
            "item": IdColumn,
            "timestamp": partial(TimeColumn, unit=self.time_unit, form=self.time_format),
            "weight": WeightColumn,
            "event": IdColumn,
            "session": IdColumn,
        }
        return {
            name: kind(getattr(self, name)) for name, kind in kinds.items() if getattr(self, name) is not None
        }


def plain_columns(
    files: Sequence[Path], parsers: Mapping[str, Column]
) -> tuple[dict[str, str], dict[str, pa.DataType], int] | None:
    """Return a triple: the column names and the column types of Parquet files, and the number of rows.

    The names and types are mappings by parameter, for the columns in ``parsers``. The result is ``None`` if
    the name or the type of such a column differs between the files, if its type requires a conversion of the
    values, or if a file has two columns whose names differ only in upper and lower case. Raise ``InputError``
    if a file cannot be read, or lacks a column in ``parsers``.
    """
    columns: dict[str, str] = {}
    types: dict[str, pa.DataType] = {}
    n_rows = 0
    for file in files:
        table = ParquetFile(file)
        wanted = {parameter: column.name for parameter, column in parsers.items()}
        names = [table.names[position] for position in positions_of(table, wanted)]
        found = {parameter: table.types[name] for parameter, name in zip(parsers, names, strict=True)}
        if file == files[0]:
            columns, types = dict(zip(parsers, names, strict=True)), found
        folded = [name.casefold() for name in table.names]
        if len({*folded}) < len(folded):  # DuckDB ignores the case of column names
            return None
        if found != types or names != [*columns.values()] or not _are_plain(found):
            return None
        n_rows += table.n_rows
    return columns, types, n_rows


def write_table(table: Table, parsers: Mapping[str, Column], path: Path, report: FaultReport) -> int:
    """Write the parsed columns of a table to a new Parquet file. Return the number of rows written.

    Bad rows are added to ``report``, and not written. For errors, see ``collecting.read_columns``.
    """
    positions = positions_of(table, {parameter: column.name for parameter, column in parsers.items()})
    columns = list(parsers.values())
    schema = pa.schema([(name, _type_of(column)) for name, column in parsers.items()])
    with ThreadPoolExecutor(len(columns)) as threads:

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in table.batches(positions):
                arrays = _without_faults(batch, columns)
                if arrays is None:
                    parsed, _ = valid_rows(batch, table.row_kind, columns, report, threads)
                    arrays = [_array_of(*pair) for pair in zip(columns, parsed, strict=True)]
                for column, array in zip(columns, arrays, strict=True):
                    if isinstance(column, TimeColumn):
                        column.count(array.to_numpy())
                yield pa.record_batch(arrays, schema)

        n_rows = write_batches(batches(), schema, path)
    report.finish(n_rows)
    for column in columns:
        if isinstance(column, TimeColumn):
            column.conclude()
    return n_rows


def write_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write batches to a new Parquet file, in large row groups. Return the number of rows."""
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
        for rows in _joined(batches, schema):
            writer.write_table(rows)
            n_rows += len(rows)
    return n_rows


def _are_plain(types: Mapping[str, pa.DataType]) -> bool:
    for parameter, kind in types.items():
        if parameter == "timestamp":
            is_plain = pa.types.is_integer(kind) or (
                pa.types.is_timestamp(kind) and kind.unit in ("ms", "us")
            )
        else:
            kinds = _WEIGHTS if parameter == "weight" else _IDS
            is_plain = any(is_kind(kind) for is_kind in kinds)
        if not is_plain:
            return False
    return True


def _unit_of(table: ParquetFile, name: str, column: Column) -> str | None:
    """Return the unit of integer timestamps: the given unit, or the one inferred from the first batch.

    Return ``None`` if the integers are not epoch numbers in a common unit.
    """
    assert isinstance(column, TimeColumn)
    batch = next(table.batches([table.names.index(name)]), None)
    try:
        if batch is not None:
            column.parse(batch.columns[0])
    except InputError:
        return None  # ``converted`` raises the error again, unless an earlier row is bad
    return column.unit


def _type_of(column: Column) -> pa.DataType:
    if isinstance(column, TimeColumn):
        return pa.int64()
    return pa.float32() if isinstance(column, WeightColumn) else pa.large_string()


def _without_faults(batch: Batch, columns: Sequence[Column]) -> list[pa.Array] | None:
    """Return the arrays of a batch if its ids are text and all rows are valid, and ``None`` otherwise."""
    arrays: list[pa.Array] = []
    for column, values in zip(columns, batch.columns, strict=True):
        if isinstance(column, IdColumn):
            if not isinstance(values, pa.Array) or not are_ids(values):
                return None
            arrays.append(values.cast(pa.large_string()))
        else:
            parsed, is_bad = column.parse(values)
            if is_bad.any():
                return None
            arrays.append(pa.array(parsed))
    return None if batch.faults else arrays


def _array_of(column: Column, parsed: Any) -> pa.Array:
    if not isinstance(column, IdColumn):
        return pa.array(parsed)
    indices, ids = parsed
    return ids.take(pa.array(indices)).cast(pa.large_string())


def _joined(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of batches in tables of at least ``_MIN_ROWS`` rows, except for the last table."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _MIN_ROWS:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    yield pa.Table.from_batches(waiting, schema)
