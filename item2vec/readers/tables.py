"""``open_table`` chooses the table class of a source. Table classes for Parquet, Arrow, pandas and SQL.

The classes for delimited text and JSON lines are in ``text.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from item2vec.errors import InputError, InputTypeError
from item2vec.opening import missing_file, reading
from item2vec.readers.columns import Values
from item2vec.readers.faults import short_repr
from item2vec.readers.table import BATCH_ROWS, Batch, Table
from item2vec.readers.text import DelimitedFile, JsonLinesFile

__all__ = ["open_table"]

_ARROW_ROWS = 1 << 21
_PARQUET_MAGIC = b"PAR1"


def open_table(
    source: Any,
    *,
    wanted: Iterable[str],
    sep: str | None,
    columns: Sequence[str] | None,
    encoding: str,
    connection: Any,
) -> Table:
    """Return the table of a file, folder, DataFrame or select.

    ``wanted`` holds column names, from which the separator of delimited text is detected.
    """
    path = Path(source) if isinstance(source, str | PathLike) else None
    if path is not None and not (path.is_dir() or _is_parquet(path) or _is_json(path)):
        return DelimitedFile(path, wanted=wanted, sep=sep, columns=columns, encoding=encoding)
    if sep is not None or columns is not None:
        name = path or type(source).__name__
        given = " and ".join(
            f"{n}=" for n, value in (("sep", sep), ("columns", columns)) if value is not None
        )
        raise InputError(
            f"{given} can be used only with delimited text, but {name} has named columns; remove {given}"
        )
    if path is not None:
        return JsonLinesFile(path, encoding) if _is_json(path) else ParquetFiles(path)
    if hasattr(source, "compile") and hasattr(source, "selected_columns"):
        return SelectTable(source, connection)
    if isinstance(source, pd.DataFrame):
        return PandasTable(source)
    if hasattr(source, "__arrow_c_stream__"):
        return ArrowTable(source)
    raise InputTypeError(
        f"cannot read rows from {type(source).__name__}; expected the path of a file, a DataFrame (pandas, "
        "polars, Arrow) or a SQLAlchemy select with connection="
    )


class ParquetFiles:
    """Table of a Parquet file, or of all Parquet files in a folder in the order of file names."""

    row_kind = "row"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._paths = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not self._paths:
            raise InputError(
                f"{path} is a folder without .parquet files; pass a file, or a folder of Parquet files"
            )
        with _reading_arrow(self._paths[0]), pq.ParquetFile(self._paths[0]) as file:
            self.names: list[str] = file.schema_arrow.names

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches. Row numbers restart at 0 in each file."""
        names = [self.names[position] for position in positions]
        for path in self._paths:
            with _reading_arrow(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
                missing = [name for name in names if name not in file.schema_arrow.names]
                if missing:
                    raise InputError(
                        f"{path} has no column {missing[0]!r}; expected the columns of {self._paths[0]}: "
                        "use files with equal columns"
                    )
                n_rows = 0
                batches = _one_ahead(file.iter_batches(batch_size=_ARROW_ROWS, columns=names))
                for batch in _numbered(str(path), batches, names):
                    n_rows += len(batch.numbers or ())
                    yield batch
                if n_rows != file.metadata.num_rows:
                    raise InputError(
                        f"{path} has {n_rows:,} rows; expected {file.metadata.num_rows:,}, as in the metadata"
                        ": use another copy of the file"
                    )


class ArrowTable:
    """Table of an object that exports an Arrow stream. Reading consumes the stream."""

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
        slices = (
            batch.slice(start, _ARROW_ROWS)
            for batch in self._reader
            for start in range(0, batch.num_rows, _ARROW_ROWS)
        )
        yield from _numbered(self.name, slices, positions)


class PandasTable:
    """Table of a pandas DataFrame, without the index."""

    name = "DataFrame"
    row_kind = "row"

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.names = [str(name) for name in frame.columns]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches. Columns of dtype object are lists."""
        for start in range(0, len(self._frame), _ARROW_ROWS):
            rows = self._frame.iloc[start : start + _ARROW_ROWS]
            columns = [_of_series(rows.iloc[:, position]) for position in positions]
            yield Batch(self.name, range(start, start + len(rows)), columns)


class SelectTable:
    """Table of a SQLAlchemy select, streamed from an engine or a connection."""

    name = "SELECT"
    row_kind = "row"

    def __init__(self, select: Any, connection: Any) -> None:
        if not (hasattr(connection, "execute") or hasattr(connection, "connect")):
            raise InputTypeError(
                f"connection is {short_repr(connection)}; expected a SQLAlchemy engine or connection: "
                "pass connection= to execute the select"
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
            start = 0
            for rows in result.partitions():
                columns = [[row[position] for row in rows] for position in positions]
                yield Batch(self.name, range(start, start + len(rows)), columns)
                start += len(rows)


def _one_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches. A thread decodes the next batch while the caller processes the current batch."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = thread.submit(next, batches, None)
            yield batch


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
    """Cast string views, which polars exports, to large strings, which Arrow can filter."""
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _without_views(array.dictionary))
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if pa.types.is_binary_view(array.type) else array


@contextlib.contextmanager
def _reading_arrow(path: Path) -> Iterator[None]:
    try:
        with reading(path):
            yield
    except pa.ArrowException as error:
        raise InputError(
            f"{path} is not a complete Parquet file: {error}; use another copy of the file"
        ) from error


def _is_json(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        raise missing_file(path)
    with reading(path), path.open("rb") as file:
        return path.suffix == ".parquet" or file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
