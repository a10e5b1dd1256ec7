"""``read_edges`` reads a ``Graph`` from a file, a table, tuples, or a graph of networkx or igraph."""

from __future__ import annotations

import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Floats, Mask
from item2vec.errors import ConfigError, InputError, InvalidIdError, Remedy, listed, short_repr
from item2vec.graph import Graph
from item2vec.layouts import suffix_of
from item2vec.lines import MAX_LINE, check_max_line
from item2vec.readers.collecting import read_columns
from item2vec.readers.columns import Column, IdColumn, Values, WeightColumn
from item2vec.readers.edge_rows import EdgeLines, Row, tuple_rows
from item2vec.readers.faults import Fault, FaultReport
from item2vec.readers.graph_files import GraphRows, read_graph_file
from item2vec.readers.graph_objects import graph_of_object
from item2vec.readers.table import Table, bare
from item2vec.readers.tables import open_table
from item2vec.readers.text import DelimitedFile
from item2vec.types import Vocabulary, check_ids

__all__ = ["EdgeRows", "EdgeTable", "find_edges", "read_edges"]

_PARAMETERS = ("source_column", "target_column", "weight")
_NUMBER = re.compile(r"\s*[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?\s*")
_LOG = logging.getLogger("item2vec.readers")


@checked
def read_edges(
    source: str | PathLike[str] | Any,
    *,
    source_column: str = "source",
    target_column: str = "target",
    weight: str | bool | None = None,
    directed: bool | None = None,
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    format: Literal["auto", "edges", "lines", "adjacency"] = "auto",  # noqa: A002 (named as in networkx)
    encoding: str = "utf-8",
    quotes: bool = True,
    max_line: int = MAX_LINE,
    connection: Any = None,
) -> Graph:
    r"""Read a graph. Nodes are in the order in which they first appear in the source.

    Parameters
    ----------
    source
        One of: a graph of networkx or igraph; tuples ``(source, target)``, ``(source, target, weight)``, or
        ``(node,)`` for a node without edges; the path of an edge list, an adjacency list, a GraphML file or a
        Pajek file; a table in any source that ``read_interactions`` supports.
    source_column, target_column
        Names of the columns of source nodes and of target nodes in a table.
    weight
        Name of the column or edge attribute of weights. ``None``: the third field of lines and tuples, and
        the column or attribute ``weight``, if there is one. ``False``: the edges have no weights.
    directed
        Whether the edges are directed. ``None``: a graph of networkx or igraph, a GraphML file and a Pajek
        file state whether they are directed; edges from any other source are undirected.
    format
        Format of a text file that is neither GraphML nor Pajek. ``"edges"``: a table, or an edge list without
        a header. The file is a table if it contains JSON lines, if its suffix is ``.csv`` or ``.tsv``, if
        ``columns`` or the name of a weight column is given, if the name of a node column is not the default,
        or if the first line contains the names of both node columns. ``"lines"``: an edge list, with lines
        ``a b`` or ``a b weight``. ``"adjacency"``: an adjacency list, with lines
        ``node neighbour neighbour …``. ``"auto"``: ``"adjacency"`` for the suffix ``.adjlist``, otherwise
        ``"edges"``, except that a ``.csv`` or ``.tsv`` file is also an edge list if its first line has two or
        three fields, one of which is a number. A line of an edge list or adjacency list may be a single node.
        Blank lines and lines that start with ``#`` are skipped.
    sep
        Separator between ids; ``" "`` means any number of spaces and tabs. ``None``: the separator is
        detected from the first 1,000 lines. The candidates are ``" "``, tab, comma, semicolon and pipe. For
        an edge list, the first candidate is chosen with which each line is an edge or a single node; for an
        adjacency list, the first candidate that occurs. The space does not qualify if it follows a comma,
        semicolon or pipe in any of these lines. For a table, see ``read_interactions``. Only ``\n`` ends a
        line of an edge list or adjacency list.
    columns, encoding, quotes, max_line, connection
        See ``read_interactions``.

    Raises
    ------
    InputError
        For the same reasons as in ``read_interactions``; if a weight is not a finite number > 0, or only
        some edges have a weight (except in Pajek files, where a missing weight is 1); or if the file is in a
        graph format that ``read_edges`` does not support.
    InputTypeError
        If ``source``, another argument or a tuple has an unsupported type.
    ConfigError
        If ``directed=True`` is given for a graph or file that states that it is undirected.

    Examples
    --------
    >>> read_edges([("ann", "bob"), ("bob", "cy"), ("dee",)])
    Graph(4 nodes, 2 edges, undirected, degrees 0 to 2)
    """
    return find_edges(
        source,
        source_column=source_column,
        target_column=target_column,
        weight=weight,
        directed=directed,
        columns=columns,
        sep=sep,
        format=format,
        encoding=encoding,
        quotes=quotes,
        max_line=max_line,
        connection=connection,
    ).graph()


@checked
def find_edges(
    source: str | PathLike[str] | Any,
    *,
    source_column: str = "source",
    target_column: str = "target",
    weight: str | bool | None = None,
    directed: bool | None = None,
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    format: Literal["auto", "edges", "lines", "adjacency"] = "auto",  # noqa: A002 (named as in networkx)
    encoding: str = "utf-8",
    quotes: bool = True,
    max_line: int = MAX_LINE,
    connection: Any = None,
) -> EdgeRows | EdgeTable:
    """Open a source of edges. The method ``graph`` of the result reads the edges.

    For the arguments and errors, see ``read_edges``.
    """
    if format not in ("auto", "edges", "lines", "adjacency"):
        raise InputError(f"format is {format!r}; expected 'auto', 'edges', 'lines' or 'adjacency'")
    if weight is True:
        raise InputError("weight is True; expected the name of a column or edge attribute, False or None")
    check_max_line(max_line)
    path = Path(source) if isinstance(source, str | PathLike) else None
    name, with_weights = str(path or type(source).__name__), weight is not False
    if path is None:
        stated = graph_of_object(source, weight)
    else:
        stated = read_graph_file(path, encoding, weight, max_line) if format in {"auto", "edges"} else None
    if stated is not None:
        row_kind = "edge" if path is None else "line"
        return EdgeRows(name, row_kind, stated.rows, _direction(name, stated, directed))
    if path is None and not _is_table(source):
        return EdgeRows(name, "row", tuple_rows(source, with_weights=with_weights), bool(directed))
    lines = None if path is None else EdgeLines(path, sep, encoding, quotes, max_line)
    if lines and (format == "adjacency" or (format == "auto" and suffix_of(lines.path) == ".adjlist")):
        return EdgeRows(name, "line", lines.adjacencies(), bool(directed))
    if lines and format == "lines":
        return EdgeRows(name, "line", lines.pairs(with_weights=with_weights), bool(directed))
    wanted = [source_column, target_column, *([weight] if isinstance(weight, str) else [])]
    table = open_table(
        source,
        wanted=wanted,
        sep=sep,
        columns=columns,
        encoding=encoding,
        connection=connection,
        quotes=quotes,
        max_line=max_line,
    )
    if lines and columns is None and _is_edge_list(table, lines.path, wanted, detect=format == "auto"):
        return EdgeRows(name, "line", lines.pairs(with_weights=with_weights), bool(directed))
    column = _weight_column(table, wanted) if weight is None else weight or None
    parsers: dict[str, Column] = {
        "source_column": IdColumn(source_column),
        "target_column": IdColumn(target_column),
        **({"weight": _EdgeWeights(str(column))} if column else {}),
    }
    return EdgeTable(table, parsers, bool(directed))


class _EdgeWeights(WeightColumn):
    """Parser of edge weights: positive numbers that are finite as float32."""

    expected = "a finite number > 0 (float32)"

    def parse(self, values: Values) -> tuple[Floats, Mask]:
        """Return the weights of a batch as float32, and a mask of the bad rows."""
        weights, bad = super().parse(values)
        return weights, bad | (weights == 0)


class EdgeRows(NamedTuple):
    """Edges from lines, tuples or a graph. Each row is a node and the neighbours of the node.

    ``name`` and ``row_kind`` locate a row in messages, as in ``Fault``.
    """

    name: str
    row_kind: str
    rows: Iterable[Row]
    directed: bool

    def checked(self) -> Iterator[Row]:
        """Yield the rows. Raise ``InputError`` for an invalid id, or if only some edges have a weight."""
        weighted: bool | None = None
        for number, ids, weight in self.rows:
            self._check_ids(number, ids)
            if len(ids) > 1:
                weighted = (weight is not None) if weighted is None else weighted
                if weighted != (weight is not None):
                    raise self._mixed(number, weight)
            yield number, ids, weight

    def graph(self) -> Graph:
        """Return the graph of the rows."""
        code_of: dict[str, int] = {}
        ends, weights = array("i"), array("f")
        for number, ids, weight in self.rows:
            try:
                codes = [code_of[id_] for id_ in ids]
            except KeyError:
                self._check_ids(number, ids)
                codes = [code_of.setdefault(id_, len(code_of)) for id_ in ids]
            for neighbour in codes[1:]:
                ends.append(codes[0])
                ends.append(neighbour)
            if weight is not None:
                weights.append(weight)
            if len(codes) > 1 and len(weights) not in (0, len(ends) // 2):
                raise self._mixed(number, weight)
        pairs = np.array(ends, dtype=np.int32).reshape(-1, 2)
        return Graph.from_codes(
            Vocabulary(tuple(code_of)),
            pairs[:, 0],
            pairs[:, 1],
            np.array(weights, dtype=np.float32) if weights else None,
            directed=self.directed,
        )

    def _check_ids(self, number: int, ids: Sequence[str]) -> None:
        is_node = self.row_kind == "edge" and len(ids) == 1  # graph objects have rows of nodes and of edges
        row_kind = "node" if is_node else self.row_kind
        for id_ in ids:
            try:
                check_ids((id_,))
            except InvalidIdError as error:
                expected = IdColumn.expected
                fault = Fault.of_value(self.name, row_kind, number, "node", id_, expected, InvalidIdError)
                raise fault.exception() from error

    def _mixed(self, number: int, weight: float | None) -> InputError:
        found = f"an edge with{'out' if weight is None else ''} a weight"
        return Fault(self.name, self.row_kind, number, found, "weights on all edges or on none").exception()


class EdgeTable(NamedTuple):
    """Edges as rows of a table, and the parsers of the columns of nodes and weights."""

    table: Table
    parsers: Mapping[str, Column]
    directed: bool

    def graph(self) -> Graph:
        """Return the graph of the rows."""
        fields = read_columns(self.table, self.parsers, FaultReport(self.table.name, "raise", None))
        (source, sources), (target, targets) = fields["source_column"], fields["target_column"]
        nodes = Vocabulary(tuple(dict.fromkeys((*sources.ids, *targets.ids))))
        ends = np.column_stack((source, nodes.encode(targets.ids)[target])).ravel()
        first_seen = np.empty(len(nodes), dtype=np.int64)
        first_seen[ends[::-1]] = np.arange(len(ends))[::-1]
        order = np.argsort(first_seen)
        rank = np.empty(len(nodes), dtype=np.int32)
        rank[order] = np.arange(len(nodes))
        return Graph.from_codes(
            nodes.take(order), rank[ends[::2]], rank[ends[1::2]], fields.get("weight"), directed=self.directed
        )


def _is_table(source: object) -> bool:
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "selected_columns")


def _is_edge_list(table: Table, path: Path, wanted: Sequence[str], *, detect: bool) -> bool:
    """Return whether a text file is an edge list: the first line does not contain the names in ``wanted``.

    With ``detect``, a number in a first line of two or three fields is evidence that there is no header.

    Raise ``InputError`` if a name is missing in a file that must be a table: its suffix is ``.csv`` or
    ``.tsv``, or the caller gave the name of a weight column or other names of the node columns.
    """
    if not isinstance(table, DelimitedFile) or {*wanted} <= {*table.names, *map(bare, table.names)}:
        return False
    is_data = detect and len(table.names) in (2, 3) and any(map(_NUMBER.fullmatch, table.names))
    if wanted == ["source", "target"] and (is_data or suffix_of(path) not in {".csv", ".tsv"}):
        return True
    missing = next(column for column in wanted if column not in {*table.names, *map(bare, table.names)})
    cut = ", …" if len(table.names) > 20 else ""
    raise InputError(
        f"{path} has no column {missing!r}; found {', '.join(map(short_repr, table.names[:20]))}{cut}",
        remedies=[
            Remedy(_PARAMETERS[wanted.index(missing)], text="name the column with {}"),
            Remedy("format", "lines", "pass {} if there is no header"),
        ],
    )


def _direction(name: str, stated: GraphRows, directed: bool | None) -> bool:
    if directed and not stated.directed:
        raise ConfigError(
            f"{name} is undirected; expected a directed graph, because directed is set",
            remedies=[Remedy("directed", text="omit directed", otherwise="omit --directed")],
        )
    return stated.directed if directed is None else directed


def _weight_column(table: Table, ends: Sequence[str]) -> str | None:
    """Return the name of the column ``weight``, in upper or lower case, and log the choice.

    Return ``None`` if there is no such column, or if a column of nodes is missing. ``ends`` holds the names
    of the columns of source and target nodes.
    """
    others = [column for column in map(bare, table.names) if column not in ends]
    if len(others) + len(ends) > len(table.names):
        return None  # a column of nodes is missing
    found = next((column for column in others if column.casefold() == "weight"), None)
    if found:
        _LOG.info("%s: column %r holds the weights of edges", table.name, found)
    elif others:
        _LOG.warning(
            "%s: no column 'weight'; the edges have no weights, and the columns %s are not used",
            table.name,
            listed(others),
        )
    return found
