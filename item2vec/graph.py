"""``Graph``: a graph in compressed sparse row (CSR) format, the input of random walks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from item2vec.arguments import as_array, check_fields, checked
from item2vec.arrays import Codes, Doubles, Floats, Offsets, Rows
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.interactions import read_only
from item2vec.types import Vocabulary, as_history

__all__ = ["Graph"]


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A graph in CSR format: ``neighbours[offsets[v]:offsets[v + 1]]`` are the neighbours of node ``v``.

    ``offsets`` (int64) has length n nodes + 1. ``neighbours`` (int32) holds node codes. The neighbours of a
    node are distinct and ascending. ``weights`` (float32) holds one positive edge weight per neighbour, or is
    ``None`` for an unweighted graph. An undirected graph stores each edge in both directions, but a self-loop
    only once.

    Examples
    --------
    >>> friends = Graph.of([("ann", "bob"), ("bob", "cy")])
    >>> friends
    Graph(3 nodes, 2 edges, undirected, degrees 1 to 2)
    >>> friends.neighbours_of("bob")
    ['ann', 'cy']
    """

    nodes: Vocabulary
    offsets: Offsets
    neighbours: Codes
    weights: Floats | None = None
    directed: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))
        object.__setattr__(self, "neighbours", read_only(self.neighbours, np.int32))
        if self.weights is not None:
            object.__setattr__(self, "weights", read_only(self.weights, np.float32))
        fault = _fault(self)
        if fault:
            raise InputError(f"graph is inconsistent: {fault}")
        _check_weights(self)

    @classmethod
    @checked
    def of(
        cls,
        edges: Iterable[tuple[str, str] | tuple[str, str, float]],
        *,
        directed: bool = False,
    ) -> Graph:
        """Create a graph from edges of node ids: ``(source, target)`` or ``(source, target, weight)``.

        Duplicate edges are merged as in ``from_codes``.

        Raises
        ------
        InputError
            If an edge has another form, only some edges have a weight, an id is invalid, or a weight, or a
            sum of weights, is not a finite number above 0.
        InputTypeError
            If ``edges`` is a dict, whose values would be ignored, or an edge is not a tuple or a list.
        """
        if isinstance(edges, dict):
            raise InputTypeError(
                f"edges is the mapping {short_repr(edges)}; expected a list of edges, such as "
                "[(source, target, weight) for (source, target), weight in edges.items()]"
            )
        rows: list[tuple[Any, ...]] = [tuple(as_history(edge, "an edge")) for edge in edges]
        if wrong := [row for row in rows if len(row) not in (2, 3)]:
            raise InputError(f"found the edge {short_repr(wrong[0])}; expected (source, target[, weight])")
        nodes = Vocabulary.of(node for edge in rows for node in edge[:2])
        weights = as_array([edge[2] for edge in rows if len(edge) > 2], np.float64)
        if len(weights) not in (0, len(rows)):
            raise InputError(
                f"{len(weights)} of {len(rows)} edges have a weight; expected weights on all edges or on none"
            )
        check_edge_weights(weights)
        return cls.from_codes(
            nodes,
            nodes.encode(edge[0] for edge in rows),
            nodes.encode(edge[1] for edge in rows),
            weights.astype(np.float32) if len(weights) else None,
            directed=directed,
        )

    @classmethod
    @checked
    def from_codes(
        cls,
        nodes: Vocabulary,
        source: Codes,
        target: Codes,
        weights: Floats | None = None,
        *,
        directed: bool = False,
    ) -> Graph:
        """Create a graph from the codes of source and target nodes.

        Duplicate edges are merged, and their weights are summed. In an undirected graph, the edges
        ``(a, b)`` and ``(b, a)`` are duplicates.

        Raises
        ------
        InputError
            If the arrays differ in length, a code is not the code of a node, or a weight, or a sum of
            weights, is not a finite number above 0.
        """
        for name, column in (("source", source), ("target", target), ("weights", weights)):
            if column is not None and column.shape != (len(source),):
                raise InputError(f"{name} has shape {column.shape}; expected ({len(source)},), as source")
        if weights is not None:
            check_edge_weights(weights)
        for end in (source, target):
            if len(end) and (end.min() < 0 or end.max() >= len(nodes)):
                raise InputError(
                    f"the node codes of edges range from {end.min()} to {end.max()}, outside "
                    f"0 … {len(nodes) - 1}; expected codes of nodes"
                )
        if not directed:
            is_no_loop = source != target
            source, target = (
                np.concatenate((source, target[is_no_loop])),
                np.concatenate((target, source[is_no_loop])),
            )
            weights = None if weights is None else np.concatenate((weights, weights[is_no_loop]))
        key = source.astype(np.int64) * len(nodes) + target
        if weights is not None:
            order = np.argsort(key, kind="stable")
            key, weights = key[order], weights[order]
        else:
            key = np.sort(key)
        first = np.ones(len(key), dtype=bool)
        first[1:] = key[1:] != key[:-1]
        edge = key[first]
        if weights is not None and len(weights):
            sums = np.add.reduceat(weights, np.flatnonzero(first), dtype=np.float64)
            with np.errstate(over="ignore"):  # an infinite sum is refused below
                weights = sums.astype(np.float32)
        offsets = np.searchsorted(edge, np.arange(len(nodes) + 1, dtype=np.int64) * len(nodes))
        neighbours = (edge % max(len(nodes), 1)).astype(np.int32)
        return cls(nodes, offsets.astype(np.int64), neighbours, weights, directed)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        degrees = f", degrees {self.degrees.min()} to {self.degrees.max()}" if len(self) else ""
        weighted = ", weighted" if self.weights is not None else ""
        return f"Graph({len(self):,} nodes, {self.n_edges:,} edges, {kind}{weighted}{degrees})"

    @property
    def degrees(self) -> Offsets:
        """The number of neighbours of each node."""
        return np.diff(self.offsets)

    @property
    def n_edges(self) -> int:
        """The number of edges. An undirected edge counts once."""
        if self.directed:
            return len(self.neighbours)
        source = np.repeat(np.arange(len(self)), self.degrees)
        loops = int(np.count_nonzero(source == self.neighbours))
        return (len(self.neighbours) - loops) // 2 + loops

    def neighbours_of(self, node: str) -> list[str]:
        """Return the ids of the neighbours of a node, in the order of their codes."""
        row = self.nodes.code(node)
        return self.nodes.decode(self.neighbours[self.offsets[row] : self.offsets[row + 1]])


def _fault(graph: Graph) -> str | None:
    n_nodes, offsets, neighbours = len(graph.nodes), graph.offsets, graph.neighbours
    if len(offsets) != n_nodes + 1 or offsets[0] != 0 or offsets[-1] != len(neighbours):
        expected = f"{n_nodes + 1} numbers, from 0 to {len(neighbours)}, the number of neighbours"
        return f"offsets are {short_repr(offsets)}, of length {len(offsets)}; expected {expected}"
    if n_nodes and int(graph.degrees.min()) < 0:
        return "offsets decrease; expected non-decreasing offsets"
    if len(neighbours) and (neighbours.min() < 0 or neighbours.max() >= n_nodes):
        found = f"neighbours range from {neighbours.min()} to {neighbours.max()}"
        return f"{found}, outside 0 … {n_nodes - 1}; expected codes of nodes"
    starts = np.zeros(len(neighbours) + 1, dtype=bool)
    starts[offsets] = True
    if not bool(np.all((np.diff(neighbours) > 0) | starts[1:-1])):
        return "the neighbours of a node are not strictly ascending; expected distinct, ascending codes"
    if graph.weights is not None and graph.weights.shape != neighbours.shape:
        return f"weights have shape {graph.weights.shape}; expected {neighbours.shape}, one per neighbour"
    return None


def check_edge_weights(weights: Floats | Doubles) -> None:
    """Raise ``InputError`` unless all edge weights are finite and above 0 as float32."""
    weights = weights.ravel()
    wrong = _wrong(weights)
    if len(wrong):
        edge = int(wrong[0])
        raise InputError(f"weight of edge {edge} is {weights[edge]}; expected a finite number > 0 (float32)")


def _check_weights(graph: Graph) -> None:
    """Raise ``InputError`` if a weight, such as a sum of weights, is not finite and above 0."""
    if graph.weights is None or not len(wrong := _wrong(graph.weights)):
        return
    place = int(wrong[0])
    source = int(np.searchsorted(graph.offsets, place, side="right")) - 1
    ends = graph.nodes.decode(np.array([source, graph.neighbours[place]]))
    raise InputError(
        f"the weight of the edge from {short_repr(ends[0])} to {short_repr(ends[1])} is "
        f"{graph.weights[place]}; expected a finite number > 0 (float32), also as the sum of the weights of "
        "duplicate edges"
    )


def _wrong(weights: Floats | Doubles) -> Rows:
    """Return the positions of the weights that are not finite and above 0 as float32."""
    with np.errstate(over="ignore"):
        narrow = weights.astype(np.float32)
    return np.flatnonzero(~(np.isfinite(narrow) & (narrow > 0)))
