"""Convert the columns of results, such as recommendations, to DataFrames, Arrow tables and Parquet files.

A column is an array, or a pair ``(codes, texts)``; the value of a pair in row i is ``texts[codes[i]]``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from item2vec.arrays import Codes
from item2vec.errors import CorruptBundleError

__all__ = ["Column", "arrow_table", "count_rows", "data_frame", "write_parquet"]

Column = npt.NDArray[Any] | tuple[Codes, Sequence[str | None]]


def data_frame(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return a DataFrame with the given columns, by name.

    >>> data_frame({"item": (np.array([1, 1]), ["a", "b"]), "score": np.array([0.5, 0.25])})
      item  score
    0    b   0.50
    1    b   0.25
    """
    return pd.DataFrame({name: _values(column) for name, column in columns.items()})


def arrow_table(columns: Mapping[str, Column]) -> pa.Table:
    """Return an Arrow table with the given columns, by name.

    >>> arrow_table({"item": (np.array([1, 1]), ["a", "b"])})["item"].to_pylist()
    ['b', 'b']
    """
    return pa.table({name: _arrow(column) for name, column in columns.items()})


def write_parquet(file: BinaryIO, parts: Iterable[Mapping[str, Column]]) -> None:
    """Write the rows of several tables to an open file as Parquet, compressed with zstd.

    ``parts`` holds the columns of each table, and contains at least one table. All tables must have columns
    of the same names and types. Each table is written before the next one is taken from ``parts``.

    >>> import io
    >>> file = io.BytesIO()
    >>> write_parquet(file, [{"rank": np.array([1, 2])}, {"rank": np.array([1])}])
    >>> pq.read_table(file)["rank"].to_pylist()
    [1, 2, 1]
    """
    with contextlib.ExitStack() as stack:
        writer = None
        for columns in parts:
            table = arrow_table(columns)
            writer = writer or stack.enter_context(pq.ParquetWriter(file, table.schema, compression="zstd"))
            writer.write_table(table)


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file, read from the metadata at the end of the file.

    Raises
    ------
    CorruptBundleError
        If the file cannot be read, or is not a Parquet file.
    """
    try:
        n_rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptBundleError(
            f"{path} cannot be read as a Parquet file: {error}; remove it, and run again"
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
