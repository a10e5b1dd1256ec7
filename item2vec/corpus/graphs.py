"""``read_graph`` reads a graph from files that may be larger than the memory, and merges duplicate edges."""

from __future__ import annotations

import contextlib
import inspect
from functools import partial
from os import PathLike
from typing import Any, Literal

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Offsets
from item2vec.config.settings import either
from item2vec.corpus.preparing import DRIVERS, SHARE_OF_DATABASE, bytes_of, database_module
from item2vec.errors import ConfigError, InputTypeError, short_repr
from item2vec.graph import Graph
from item2vec.outputs import temporary_folder
from item2vec.readers.edge_staging import edges_as_found, stage_edges
from item2vec.readers.edges import find_edges

__all__ = ["read_graph"]

OPTIONS = sorted(inspect.signature(find_edges).parameters.keys() - {"source", "connection"})
"""Parameters of ``readers.read_edges`` that apply to files: all except ``source`` and ``connection``."""


@checked
def read_graph(
    source: str | PathLike[str],
    *,
    memory: str = "2GB",
    driver: Literal["duckdb", "memory"] = "duckdb",
    **options: Any,
) -> Graph:
    """Read a graph from files that may be larger than the memory, such as a log of edges with repeats.

    The graph equals that of ``readers.read_edges``: nodes are in order of first appearance, duplicate edges
    are merged, and their weights are summed. The weights are summed in another order, so that a sum may
    differ in the last bit. The graph must fit into memory: the ids of the nodes, and 4 bytes per neighbour of
    a node (8 with weights). The rows of the files need not fit.

    Parameters
    ----------
    source
        Path of a file, folder or pattern, as in ``readers.read_edges``. Tables are read column by column.
        Edge lists and adjacency lists are read line by line, which takes longer. GraphML and Pajek files must
        fit into memory.
    memory
        Approximate limit of the memory in addition to the graph, such as ``"2GB"``; at least ``"512MB"``.
        Each row group of a Parquet file must fit into this limit. Converted edges, and data that does not fit
        into the limit, are written to a temporary folder (``TMPDIR``). The driver ``"memory"`` has no limit.
    driver
        ``"duckdb"`` merges the edges with DuckDB (extra ``bigdata``). ``"memory"`` reads all edges into
        memory, as ``readers.read_edges`` does.
    options
        The direction, the columns and the format of the edges: the keyword arguments of
        ``readers.read_edges``, except ``connection``.

    Raises
    ------
    InputError
        For the same reasons as in ``readers.read_edges``, or if ``memory`` is not sufficient.
    InputTypeError
        If an option is unknown or has the wrong type.
    ConfigError
        If ``memory`` or ``driver`` is invalid, or ``directed`` is True for a graph that states that it is
        undirected.
    MissingExtraError
        If ``driver`` is ``"duckdb"``, and DuckDB is not installed.
    WriteError
        If DuckDB cannot read or write a file, or a temporary folder cannot be created.

    Examples
    --------
    >>> read_graph("sample_data/friends.csv")
    Graph(800 nodes, 3,000 edges, undirected, degrees 1 to 71)
    """
    if driver not in DRIVERS:
        raise ConfigError(f"driver is {short_repr(driver)}; expected {either(DRIVERS)}")
    limit = bytes_of(memory)
    if unknown := options.keys() - {*OPTIONS}:
        raise InputTypeError(f"unknown argument {min(unknown)!r}; expected some of {', '.join(OPTIONS)}")
    found = find_edges(source, **options)
    if driver == "memory":
        return found.graph()
    module = database_module()
    with temporary_folder() as folder, module.failures(folder, memory):
        open_ = partial(module.EdgeDatabase, folder, int(SHARE_OF_DATABASE * limit))
        staged = edges_as_found(source, found, options.get("encoding", "utf-8"))
        if staged is not None:
            with contextlib.closing(open_(staged)) as database:
                if database.is_valid():
                    return _graph(database, staged.directed)
        staged = stage_edges(found, folder / "edges.parquet")
        with contextlib.closing(open_(staged)) as database:
            return _graph(database, staged.directed)


def _graph(database: Any, directed: bool) -> Graph:
    nodes = database.nodes()
    n = database.merge(directed)
    neighbours = np.empty(n, np.int32)
    weights = np.empty(n, np.float32) if database.weighted else None
    degrees: Offsets = np.zeros(len(nodes) + 1, np.int64)
    start = 0
    for batch in database.edges(directed):
        part = slice(start, start + len(batch["source"]))
        neighbours[part] = batch["target"]
        if weights is not None:
            with np.errstate(over="ignore"):  # Graph raises an error for an infinite sum
                weights[part] = batch["weight"]
        np.add.at(degrees, batch["source"] + 1, 1)
        start = part.stop
    return Graph(nodes, np.cumsum(degrees), neighbours, weights, directed)
