"""Convert edges to Parquet files, for programs that read more rows than fit into memory.

Parquet files whose column types are suitable are not converted. The rows of any other source are read by the
rules of ``read_edges`` and written to a new Parquet file. Tables, edge lists, adjacency lists and tuples are
read batch by batch. The edges of a GraphML or Pajek file are all held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from item2vec.readers.edge_rows import Row
from item2vec.readers.edges import EdgeRows, EdgeTable
from item2vec.readers.faults import FaultReport
from item2vec.readers.staging import plain_columns, write_batches, write_table
from item2vec.readers.tables import parquet_files

__all__ = ["StagedEdges", "edges_as_found", "stage_edges"]

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class StagedEdges:
    """Edges in Parquet files.

    ``columns`` maps ``"source"``, ``"target"`` and, if the edges have weights, ``"weight"`` to names of
    columns of the files. A row with a null target is a node, possibly without edges.
    """

    files: tuple[Path, ...]
    columns: Mapping[str, str]
    directed: bool


def edges_as_found(source: Any, edges: EdgeRows | EdgeTable, encoding: str) -> StagedEdges | None:
    """Return the edges of Parquet files whose columns need no conversion, or ``None`` for any other source.

    The values in the rows are not checked.
    """
    files = parquet_files([source], encoding) if isinstance(edges, EdgeTable) else []
    found = plain_columns(files, edges.parsers) if isinstance(edges, EdgeTable) and files else None
    if found is None:
        return None
    return StagedEdges(tuple(files), _short(found[0]), edges.directed)


def stage_edges(edges: EdgeRows | EdgeTable, path: Path) -> StagedEdges:
    """Read edges by the rules of ``read_edges``, and write them to a new Parquet file.

    Raises
    ------
    InputError
        See ``read_edges``.
    """
    if isinstance(edges, EdgeTable):
        write_table(edges.table, edges.parsers, path, FaultReport(edges.table.name, "raise", None))
        return StagedEdges((path,), _short({name: name for name in edges.parsers}), edges.directed)
    rows = edges.checked()
    head: list[Row] = []
    for row in rows:
        head.append(row)
        if len(row[1]) > 1:
            break
    names = ["source", "target", *(["weight"] if head and head[-1][2] is not None else [])]
    types = {"source": pa.large_string(), "target": pa.large_string(), "weight": pa.float32()}
    schema = pa.schema([(name, types[name]) for name in names])
    write_batches(_batches(chain(head, rows), schema), schema, path)
    return StagedEdges((path,), {name: name for name in names}, edges.directed)


def _batches(rows: Iterator[Row], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    columns: tuple[list[Any], ...] = ([], [], [])
    for _, (node, *neighbours), weight in rows:
        ends: list[str | None] = [*neighbours] or [None]
        for neighbour in ends:
            for column, value in zip(columns, (node, neighbour, weight), strict=True):
                column.append(value)
        if len(columns[0]) >= _BATCH_ROWS:
            yield _batch(columns, schema)
            columns = ([], [], [])
    yield _batch(columns, schema)


def _batch(columns: tuple[list[Any], ...], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns[: len(schema)], schema, strict=True)
    ]
    return pa.record_batch(arrays, schema)


def _short(columns: Mapping[str, str]) -> dict[str, str]:
    """Remove the suffix ``_column`` of the parameters of ``read_edges`` from the keys of ``columns``."""
    return {parameter.removesuffix("_column"): column for parameter, column in columns.items()}
