"""Convert the columns of results to DataFrames, Arrow tables and the content of Parquet files.

A column is an array, or codes and texts: ``(codes, texts)`` stands for ``texts[code]`` in each row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from item2vec.arrays import Codes
from item2vec.errors import CorruptBundleError

__all__ = ["Column", "arrow_table", "count_rows", "data_frame", "parquet"]

Column = npt.NDArray[Any] | tuple[Codes, Sequence[str | None]]


def data_frame(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return a DataFrame of columns.

    >>> data_frame({"item": (np.array([1, 1]), ["a", "b"]), "score": np.array([0.5, 0.25])})
      item  score
    0    b   0.50
    1    b   0.25
    """
    return pd.DataFrame({name: _values(column) for name, column in columns.items()})


def arrow_table(columns: Mapping[str, Column]) -> pa.Table:
    """Return an Arrow table of columns.

    >>> arrow_table({"item": (np.array([1, 1]), ["a", "b"])})["item"].to_pylist()
    ['b', 'b']
    """
    return pa.table({name: _arrow(column) for name, column in columns.items()})


def parquet(parts: Iterable[Mapping[str, Column]]) -> memoryview:
    """Return the content of a Parquet file with the rows of several tables, compressed by zstd.

    ``parts`` contains at least one table. All tables have the same columns.

    >>> content = parquet([{"rank": np.array([1, 2])}, {"rank": np.array([1])}])
    >>> pq.read_table(pa.BufferReader(content))["rank"].to_pylist()
    [1, 2, 1]
    """
    sink = pa.BufferOutputStream()
    with contextlib.ExitStack() as stack:
        writer = None
        for columns in parts:
            table = arrow_table(columns)
            writer = writer or stack.enter_context(pq.ParquetWriter(sink, table.schema, compression="zstd"))
            writer.write_table(table)
    return memoryview(sink.getvalue())


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file, read from the metadata at the end of the file.

    Raises
    ------
    CorruptBundleError
        If the file is not a Parquet file.
    """
    try:
        n_rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptBundleError(
            f"{path} is not a Parquet file: {error}; remove it, and run again"
        ) from error
    return n_rows


def _values(column: Column) -> npt.NDArray[Any]:
    if not isinstance(column, tuple):
        return column
    codes, texts = column
    return np.array(texts, dtype=object)[codes]


def _arrow(column: Column) -> pa.Array:
    if not isinstance(column, tuple):
        return pa.array(column)
    codes, texts = column
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, pa.string())).cast(pa.string())
