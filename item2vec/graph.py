"""A graph as compressed sparse rows: the neighbours of a node are one slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.types import Codes, Floats, Offsets, Vocabulary

__all__ = ["Graph"]


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Nodes and their neighbours: ``neighbours[offsets[v]:offsets[v + 1]]``, rising, without repeats.

    ``offsets`` is int64 (n nodes + 1), ``neighbours`` int32, ``weights`` float32 and positive (one an edge),
    or ``None`` where all edges weigh the same. An undirected graph holds each edge in both directions (a self
    loop once).

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
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))
        object.__setattr__(self, "neighbours", read_only(self.neighbours, np.int32))
        if self.weights is not None:
            object.__setattr__(self, "weights", read_only(self.weights, np.float32))
            check_edge_weights(self.weights)

    @classmethod
    def of(
        cls,
        edges: list[tuple[str, str]] | list[tuple[str, str, float]],
        *,
        directed: bool = False,
    ) -> Graph:
        """Make a graph from ``(source, target)`` or ``(source, target, weight)`` tuples."""
        nodes = Vocabulary(tuple(dict.fromkeys(node for edge in edges for node in edge[:2])))
        weights = np.array([edge[2] for edge in edges if len(edge) > 2], dtype=np.float32)
        if len(weights) not in (0, len(edges)):
            raise InputError("some edges have a weight and some have none; expected all or none")
        return cls.from_codes(
            nodes,
            nodes.encode(edge[0] for edge in edges),
            nodes.encode(edge[1] for edge in edges),
            weights if len(weights) else None,
            directed=directed,
        )

    @classmethod
    def from_codes(
        cls,
        nodes: Vocabulary,
        source: Codes,
        target: Codes,
        weights: npt.NDArray[np.float32] | None = None,
        *,
        directed: bool = False,
    ) -> Graph:
        """Make a graph from edges as node codes; an edge named more than once is one edge of summed weight.

        Without weights, naming an edge twice (or in both directions, where undirected) changes nothing.
        """
        if weights is not None:
            check_edge_weights(weights)
        if not directed:
            apart = source != target
            source, target = (
                np.concatenate((source, target[apart])),
                np.concatenate((target, source[apart])),
            )
            weights = None if weights is None else np.concatenate((weights, weights[apart]))
        key = source.astype(np.int64) * len(nodes) + target
        if weights is None:
            edge = np.unique(key)
        else:
            edge, place = np.unique(key, return_inverse=True)
            weights = np.bincount(place, weights, minlength=len(edge)).astype(np.float32)
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
        """The number of edges; an undirected edge counts once."""
        if self.directed:
            return len(self.neighbours)
        source = np.repeat(np.arange(len(self)), self.degrees)
        loops = int(np.count_nonzero(source == self.neighbours))
        return (len(self.neighbours) - loops) // 2 + loops

    def neighbours_of(self, node: str) -> list[str]:
        """Return the ids of a node's neighbours."""
        row = self.nodes.code(node)
        return self.nodes.decode(self.neighbours[self.offsets[row] : self.offsets[row + 1]])


def check_edge_weights(weights: npt.NDArray[np.float32]) -> None:
    """Refuse edge weights that are not finite and positive."""
    good = np.isfinite(weights) & (weights > 0)
    if not bool(good.all()):
        edge = int(np.flatnonzero(~good)[0])
        raise InputError(f"weight of edge {edge} is {weights[edge]}; expected a finite number > 0")
