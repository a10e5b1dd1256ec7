"""``read_edges`` reads a ``Graph`` from an edge list, an adjacency list, tuples or a table."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from item2vec.errors import InputError, InputTypeError, InvalidIdError, Remedy
from item2vec.graph import Graph
from item2vec.opening import open_text, reading
from item2vec.readers.collecting import read_columns
from item2vec.readers.columns import Column, IdColumn, WeightColumn, id_text
from item2vec.readers.faults import Fault, FaultReport, short_repr
from item2vec.readers.table import Table, bare
from item2vec.readers.tables import open_table
from item2vec.readers.text import DelimitedFile
from item2vec.types import Vocabulary, check_ids

__all__ = ["read_edges"]

_NAME_AS_ADJACENCY = "rename a file of nodes and their neighbours to end in .adjlist"
_BLANKS = re.compile(r"[ \t]+")


def read_edges(
    source: str | PathLike[str] | Any,
    *,
    source_column: str = "source",
    target_column: str = "target",
    weight: str | None = None,
    directed: bool = False,
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    format: Literal["auto", "edges", "adjacency"] = "auto",  # noqa: A002 (named as on the command line)
    encoding: str = "utf-8",
    connection: Any = None,
) -> Graph:
    r"""Read a graph. Nodes are in order of first appearance.

    Parameters
    ----------
    source
        One of: tuples ``(source, target)``, ``(source, target, weight)``, or ``(node,)`` for a node without
        edges; the path of a text file; a table that ``read_interactions`` supports.
    source_column, target_column, weight
        Names of the columns of a table. ``weight=None``: the edges have no weights.
    directed
        Whether the edges are directed.
    format
        Format of a text file. ``"edges"``: a table if the suffix is ``.csv`` or ``.tsv``, or if the first
        line or ``columns`` names the columns; otherwise one edge per line, ``a b`` or ``a b weight``.
        ``"adjacency"``: lines ``node neighbour neighbour …``. ``"auto"``: adjacency list for the suffix
        ``.adjlist``, otherwise edges. A line of an edge list or adjacency list may be a single node. Blank
        lines and lines that start with ``#`` are skipped.
    sep
        Separator between ids. ``None``: blanks and tabs or, if the first line contains neither, a comma,
        semicolon or pipe. Only ``\n`` ends a line of an edge list or adjacency list.
    columns, encoding, connection
        See ``read_interactions``.

    Raises
    ------
    InputError
        For the same reasons as in ``read_interactions``; or if a weight is not a finite number > 0, or only
        some edges have a weight.

    Examples
    --------
    >>> read_edges([("ann", "bob"), ("bob", "cy"), ("dee",)])
    Graph(4 nodes, 2 edges, undirected, degrees 0 to 2)
    """
    if format not in ("auto", "edges", "adjacency"):
        raise InputError(f"format is {format!r}; expected 'auto', 'edges' or 'adjacency'")
    kinds: dict[str, tuple[str | None, Callable[[str], Column]]] = {
        "source_column": (source_column, IdColumn),
        "target_column": (target_column, IdColumn),
        "weight": (weight, WeightColumn),
    }
    parsers = {parameter: kind(column) for parameter, (column, kind) in kinds.items() if column is not None}
    wanted = [column.name for column in parsers.values()]
    if isinstance(source, str | PathLike):
        path = Path(source)
        if format == "adjacency" or (format == "auto" and _ends_in(path, ".adjlist")):
            return _graph(str(path), "line", _adjacencies(path, sep, encoding), directed)
    elif not (hasattr(source, "__arrow_c_stream__") or hasattr(source, "selected_columns")):
        return _graph(type(source).__name__, "row", _tuples(source), directed)
    table = open_table(
        source, wanted=wanted, sep=sep, columns=columns, encoding=encoding, connection=connection
    )
    if isinstance(table, DelimitedFile) and columns is None and wanted == ["source", "target"]:
        path = Path(source)
        if not _ends_in(path, ".csv", ".tsv") and not {*wanted} <= {*map(bare, table.names)}:
            return _graph(table.name, "line", _pairs(path, sep, encoding), directed)
    return _graph_of_table(table, parsers, directed)


_Row = tuple[int, list[str], float | None]
"""The line or row number, a node followed by its neighbours, and the weight of the edges."""


def _graph(source: str, row_kind: str, rows: Iterable[_Row], directed: bool) -> Graph:
    code_of: dict[str, int] = {}
    ends, weights = array("i"), array("f")
    for number, ids, weight in rows:
        try:
            codes = [code_of[id_] for id_ in ids]
        except KeyError:
            _check_ids(source, row_kind, number, ids)
            codes = [code_of.setdefault(id_, len(code_of)) for id_ in ids]
        for neighbour in codes[1:]:
            ends.append(codes[0])
            ends.append(neighbour)
        if weight is not None:
            weights.append(weight)
        if len(codes) > 1 and len(weights) not in (0, len(ends) // 2):
            found = f"an edge with{'out' if weight is None else ''} a weight"
            raise InputError(str(Fault(source, row_kind, number, found, "weights on all edges or on none")))
    pairs = np.array(ends, dtype=np.int32).reshape(-1, 2)
    return Graph.from_codes(
        Vocabulary(tuple(code_of)),
        pairs[:, 0],
        pairs[:, 1],
        np.array(weights, dtype=np.float32) if weights else None,
        directed=directed,
    )


def _graph_of_table(table: Table, parsers: Mapping[str, Column], directed: bool) -> Graph:
    fields = read_columns(table, parsers, FaultReport(table.name, "raise", None))
    (source, sources), (target, targets) = fields["source_column"], fields["target_column"]
    nodes = Vocabulary(tuple(dict.fromkeys((*sources.ids, *targets.ids))))
    ends = np.column_stack((source, nodes.encode(targets.ids)[target])).ravel()
    first_seen = np.empty(len(nodes), dtype=np.int64)
    first_seen[ends[::-1]] = np.arange(len(ends))[::-1]
    order = np.argsort(first_seen)
    rank = np.empty(len(nodes), dtype=np.int32)
    rank[order] = np.arange(len(nodes))
    return Graph.from_codes(
        nodes.take(order), rank[ends[::2]], rank[ends[1::2]], fields.get("weight"), directed=directed
    )


def _adjacencies(path: Path, sep: str | None, encoding: str) -> Iterator[_Row]:
    for number, ids in _lines(path, sep, encoding):
        yield number, ids, None


def _pairs(path: Path, sep: str | None, encoding: str) -> Iterator[_Row]:
    name = str(path)
    for number, fields in _lines(path, sep, encoding):
        if len(fields) > 3:
            found = f"{len(fields)} fields ({', '.join(map(short_repr, fields[:5]))}, …)"
            remedy = Remedy(
                "format", "adjacency", "pass {} for a node and its neighbours", _NAME_AS_ADJACENCY
            )
            expected = "an edge 'a b' or 'a b weight'"
            raise Fault(name, "line", number, found, expected, remedies=(remedy,)).exception()
        yield number, fields[:2], _weight(name, "line", number, fields[2]) if len(fields) == 3 else None


def _tuples(source: Iterable[Any]) -> Iterator[_Row]:
    name = type(source).__name__
    if not isinstance(source, Iterable):
        raise InputTypeError(f"cannot read edges from {name}; expected a path, a table, or tuples of two ids")
    for number, edge in enumerate(source):
        if isinstance(edge, str) or not isinstance(edge, Iterable) or not 1 <= len(edge := tuple(edge)) <= 3:
            expected = "(source, target), (source, target, weight) or (node,)"
            raise InputTypeError(str(Fault(name, "row", number, short_repr(edge), expected)))
        ids = [id_text(node) for node in edge[:2]]
        if None in ids:
            node = edge[ids.index(None)]
            raise InvalidIdError(
                str(Fault(name, "row", number, f"node {short_repr(node)}", IdColumn.expected))
            )
        weight = _weight(name, "row", number, edge[2]) if len(edge) == 3 else None
        yield number, [id_ for id_ in ids if id_ is not None], weight


def _weight(source: str, row_kind: str, number: int, value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(
            str(Fault(source, row_kind, number, f"weight {short_repr(value)}", "a finite number > 0"))
        )
    return weight


def _check_ids(source: str, row_kind: str, number: int, ids: Sequence[str]) -> None:
    for id_ in ids:
        try:
            check_ids((id_,))
        except InvalidIdError as error:
            fault = Fault.of_value(source, row_kind, number, "node", id_, IdColumn.expected, InvalidIdError)
            raise fault.exception() from error


def _lines(path: Path, sep: str | None, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the stripped fields of each line; skip comments and blank lines."""
    first = True
    with reading(path), open_text(path, encoding, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            text = line.removesuffix("\n").removesuffix("\r").strip(" \t")
            if not text or text.startswith("#"):
                continue
            if first and sep is None and not _BLANKS.search(text):
                sep = next((mark for mark in ",;|" if mark in text), None)
            first = False
            if sep is None:
                yield number, _BLANKS.split(text)
            else:
                yield number, [field.strip(" \t") for field in text.split(sep)]
    if first:
        raise InputError(f"{path} contains no edges; expected lines 'a b' or 'a b weight'")


def _ends_in(path: Path, *suffixes: str) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(suffixes)
