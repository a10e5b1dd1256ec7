"""Table classes for Parquet and Arrow IPC files, for DataFrames, and for the results of SQL queries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from item2vec.errors import InputError, InputTypeError, Remedy
from item2vec.kinds import ARROW, ARROW_STREAM, PARQUET, Kind
from item2vec.opening import reading
from item2vec.readers.columns import Values
from item2vec.readers.faults import short_repr
from item2vec.readers.table import BATCH_ROWS, Batch, one_ahead

__all__ = ["ArrowFile", "ArrowTable", "PandasTable", "ParquetFile", "QueryTable", "SelectTable"]

_ARROW_ROWS = 1 << 21


class ParquetFile:
    """Table of a Parquet file."""

    kind = PARQUET.name
    row_kind = "row"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        with _reading_arrow(path, PARQUET), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            self.names: list[str] = schema.names
            self.types = dict(zip(schema.names, schema.types, strict=True))
            self.n_rows: int = file.metadata.num_rows

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches.

        Raise ``InputError`` if the file cannot be read or is damaged, or if the number of rows differs from
        the number in the metadata of the file.
        """
        names = [self.names[position] for position in positions]
        with (
            _reading_arrow(self._path, PARQUET),
            pq.ParquetFile(self._path, page_checksum_verification=True) as file,
        ):
            n_rows = 0
            batches = one_ahead(file.iter_batches(batch_size=_ARROW_ROWS, columns=names))
            for batch in _numbered(self.name, batches, names):
                n_rows += len(batch.numbers or ())
                yield batch
            if n_rows != file.metadata.num_rows:
                raise InputError(
                    f"{self.name} has {n_rows:,} rows; expected {file.metadata.num_rows:,}, the number in "
                    "the metadata: use another copy of the file"
                )


class ArrowFile:
    """Table of a file in the Arrow IPC file format (Feather version 2) or stream format."""

    kind = ARROW.name
    row_kind = "row"

    def __init__(self, path: Path, kind: Kind) -> None:
        self.name = str(path)
        self._path, self._kind = path, kind
        with _reading_arrow(path, kind), pa.OSFile(str(path)) as file:
            self.names: list[str] = self._open(file).schema.names

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches. Arrow validates each batch, so that a damaged file is an error."""
        with _reading_arrow(self._path, self._kind), pa.OSFile(str(self._path)) as file:
            yield from _numbered(self.name, _sliced(self._valid_batches(file)), positions)

    def _valid_batches(self, file: pa.NativeFile) -> Iterator[pa.RecordBatch]:
        reader = self._open(file)
        batches = (
            reader if self._kind is ARROW_STREAM else map(reader.get_batch, range(reader.num_record_batches))
        )
        for batch in batches:
            batch.validate(full=True)
            yield batch

    def _open(self, file: pa.NativeFile) -> Any:
        return pa.ipc.open_stream(file) if self._kind is ARROW_STREAM else pa.ipc.open_file(file)


class ArrowTable:
    """Table of an object that exports an Arrow stream. Reading consumes the stream."""

    kind = "an Arrow table"
    row_kind = "row"

    def __init__(self, source: Any) -> None:
        self.name = type(source).__name__
        try:
            self._reader = pa.RecordBatchReader.from_stream(source)
        except (pa.ArrowException, TypeError) as error:
            raise InputTypeError(
                f"cannot read rows from {self.name}: {error}; expected a DataFrame"
            ) from error
        self.names: list[str] = self._reader.schema.names

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches."""
        yield from _numbered(self.name, _sliced(self._reader), positions)


class PandasTable:
    """Table of a pandas DataFrame, without the index."""

    kind = "a pandas DataFrame"
    row_kind = "row"

    def __init__(self, frame: pd.DataFrame) -> None:
        self.name = "DataFrame"
        self._frame = frame
        self.names = [str(name) for name in frame.columns]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches. A column of dtype object, or one that Arrow rejects, becomes a list."""
        for start in range(0, len(self._frame), _ARROW_ROWS):
            rows = self._frame.iloc[start : start + _ARROW_ROWS]
            columns = [_of_series(rows.iloc[:, position]) for position in positions]
            yield Batch(self.name, range(start, start + len(rows)), columns)


class SelectTable:
    """Table of a SQLAlchemy select, streamed from an engine or a connection."""

    name = "SELECT"
    kind = "a select"
    row_kind = "row"

    def __init__(self, select: Any, connection: Any) -> None:
        if not (hasattr(connection, "execute") or hasattr(connection, "connect")):
            raise InputTypeError(
                f"connection is {short_repr(connection)}; expected a SQLAlchemy engine or connection that "
                "executes the select",
                remedies=[Remedy("connection")],
            )
        self._select, self._connection = select, connection
        self.names = [str(name) for name in select.selected_columns.keys()]  # noqa: SIM118 (not a mapping)

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches of at most ``BATCH_ROWS`` rows."""
        with contextlib.ExitStack() as stack:
            connection = self._connection
            if not hasattr(connection, "execute"):
                connection = stack.enter_context(connection.connect())
            result = connection.execute(self._select, execution_options={"yield_per": BATCH_ROWS})
            stack.callback(result.close)
            yield from _batches_of(self.name, result, positions)


class QueryTable:
    """Table of the result of a SQL query, streamed from a SQLAlchemy connection.

    The query is executed once, with a server-side cursor if the database supports such cursors. Reading
    consumes the result.
    """

    name = "the query"
    kind = "a query"
    row_kind = "row"

    def __init__(self, query: str, connection: Any) -> None:
        if not hasattr(connection, "exec_driver_sql"):
            raise InputTypeError(
                f"connection is {short_repr(connection)}; expected a SQLAlchemy connection that executes "
                "the query",
                remedies=[Remedy("connection")],
            )
        # Without no_parameters, a driver would interpret % in the query as a placeholder for a parameter.
        options = {"yield_per": BATCH_ROWS, "no_parameters": True}
        self._result = connection.exec_driver_sql(query, execution_options=options)
        if not self._result.returns_rows:
            raise InputError("the query has no result set; expected a query that returns rows: pass a SELECT")
        self.names = [str(name) for name in self._result.keys()]  # noqa: SIM118 (not a mapping)

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches of at most ``BATCH_ROWS`` rows."""
        yield from _batches_of(self.name, self._result, positions)

    def close(self) -> None:
        """Close the result and the database cursor."""
        self._result.close()


def _batches_of(name: str, result: Any, positions: Sequence[int]) -> Iterator[Batch]:
    start = 0
    for rows in result.partitions(BATCH_ROWS):
        columns = [[row[position] for row in rows] for position in positions]
        yield Batch(name, range(start, start + len(rows)), columns)
        start += len(rows)


def _sliced(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _ARROW_ROWS):
            yield batch.slice(start, _ARROW_ROWS)


def _numbered(source: str, batches: Iterable[pa.RecordBatch], keys: Sequence[int | str]) -> Iterator[Batch]:
    start = 0
    for batch in batches:
        columns = [_without_views(batch.column(key)) for key in keys]
        yield Batch(source, range(start, start + batch.num_rows), columns)
        start += batch.num_rows


def _of_series(series: pd.Series[Any]) -> Values:
    if series.dtype == object:
        return series.tolist()
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError):
        return series.tolist()
    return _without_views(pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array)


def _without_views(array: pa.Array) -> pa.Array:
    """Cast an array of string or binary views to large strings or large binaries; return others unchanged.

    In a dictionary array, the values of the dictionary are cast. polars exports text as string views, and
    Arrow cannot filter views.
    """
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _without_views(array.dictionary))
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if pa.types.is_binary_view(array.type) else array


@contextlib.contextmanager
def _reading_arrow(path: Path, kind: Kind) -> Iterator[None]:
    try:
        with reading(path):
            yield
    except pa.ArrowException as error:
        raise InputError(
            f"{path} cannot be read as {kind.name}: {error}; use another copy of the file, or write the file "
            "again"
        ) from error
