"""Build training sentences by random walks on a graph."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from item2vec.arguments import checked_except
from item2vec.arrays import Codes, Offsets
from item2vec.errors import ConfigError
from item2vec.graph import Graph
from item2vec.interactions import read_only
from item2vec.kernels.alias import edge_alias_tables
from item2vec.kernels.walks import Csr, filter_of, walk
from item2vec.progress import progress_bar
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import check_least
from item2vec.sharded import ShardWriter
from item2vec.shards.writer import check_absent

__all__ = ["save_walks", "walks"]


@checked_except("walks_per_node", "walk_length", "p", "q", "seed")
def walks(
    edges: Graph | str | PathLike[str] | Iterable[tuple[Any, ...]] | Any,
    *,
    walks_per_node: int = 10,
    walk_length: int = 80,
    p: float = 1.0,
    q: float = 1.0,
    seed: int = 7,
    directed: bool | None = None,
) -> Sentences:
    """Return random walks on a graph. Each pass starts one walk at each node; the order of nodes is random.

    With ``p = q = 1``, the probability of a step is proportional to the edge weight (DeepWalk; Perozzi et
    al., KDD 2014). Otherwise, from the second step on, the edge weight is multiplied by ``1/p`` for a step
    back to the previous node, by 1 for a step to a neighbour of the previous node, and by ``1/q`` for all
    other steps (node2vec; Grover & Leskovec, KDD 2016).

    Parameters
    ----------
    edges
        A ``Graph``, or a source for ``readers.read_edges``: a file, a DataFrame, a graph of networkx or
        igraph, or tuples of source, target and optionally weight.
    walks_per_node
        Number of passes, which is the number of walks from each node.
    walk_length
        Maximum number of nodes in a walk. A walk ends early at a node without outgoing edges.
    p, q
        Return parameter and in-out parameter of node2vec, each from 1e-300 to 1e300.
    seed
        Seed of the random number generator, from 0 to 2**32 - 1. Results do not depend on the number of
        threads.
    directed
        Whether the edges are directed. True is an error for a graph or file that states that it is
        undirected. ``None``: a graph, a GraphML file and a Pajek file state whether they are directed; edges
        from any other source are undirected. For a ``Graph``, False has no effect.

    Raises
    ------
    ConfigError
        If a setting is out of range, ``directed`` is True for an undirected graph, or the walks do not fit
        into memory.
    InputError
        If the edges cannot be read (see ``readers.read_edges``).

    Examples
    --------
    >>> walks([("a", "b"), ("b", "c")], walks_per_node=2, walk_length=3)
    Sentences(6 sentences, 18 tokens, 3 items, lengths 3 to 3)
    """
    planned = _Walks.of(edges, directed, walks_per_node, walk_length, p, q, seed)
    ends = [0, planned.n]
    with _refusing_excess(planned.n * walk_length, "lower walks_per_node or walk_length"):
        (starts,) = planned.starts(ends)
        return Sentences(planned.graph.nodes, *planned.walker()(starts, 0))


@checked_except("walks_per_node", "walk_length", "p", "q", "seed", "shards")
def save_walks(
    edges: Graph | str | PathLike[str] | Iterable[tuple[Any, ...]] | Any,
    out: str | PathLike[str],
    *,
    shards: int = 8,
    walks_per_node: int = 10,
    walk_length: int = 80,
    p: float = 1.0,
    q: float = 1.0,
    seed: int = 7,
    directed: bool | None = None,
) -> None:
    """Write random walks on a graph as a sharded corpus, which ``Sentences.open`` reads.

    The sentences are those of ``walks`` with the same arguments, in the same order and with the same codes.
    Each shard contains consecutive walks; the numbers of walks per shard differ by at most one. Each shard is
    written before the walks of the next shard are made, so that only the graph, its lookup tables and one
    shard (4 bytes per node of a walk) are in memory. If no walk ends early, the files are those of
    ``walks(…).save(out, shards=shards)``. If the process is killed, the same call keeps the complete shards,
    and writes the others.

    Parameters
    ----------
    edges, walks_per_node, walk_length, p, q, seed, directed
        See ``walks``.
    out
        Folder to create. It must not exist.
    shards
        Number of shards: 1 to 100,000.

    Raises
    ------
    ConfigError
        If a setting is out of range, ``directed`` is True for an undirected graph, or the walks of a shard do
        not fit into memory.
    InputError
        If the edges cannot be read (see ``readers.read_edges``), or ``shards`` is above 100,000.
    BundleExistsError
        If ``out`` exists.
    LockHeldError
        If another writer, in this or another process, writes to the same folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_walks([("a", "b"), ("b", "c")], f"{folder}/corpus", shards=4, walk_length=3)
    ...     Sentences.open(f"{folder}/corpus")
    ShardedSentences(4 shards, 30 sentences, 90 tokens, 3 items)
    """
    check_least("shards", shards, 1)
    check_absent(Path(out))  # before the graph is read
    planned = _Walks.of(edges, directed, walks_per_node, walk_length, p, q, seed)
    ids = planned.graph.nodes.ids
    with ShardWriter(
        out, ids, np.zeros(len(ids), dtype=np.int64), n_shards=shards, source=planned.fingerprint()
    ) as writer:
        ends, missing = planned.ends(shards), {*writer.missing()}
        most = max(end - first for first, end in pairwise(ends)) * walk_length
        with (
            _refusing_excess(most, "raise shards, or lower walks_per_node or walk_length"),
            progress_bar("writing shards", total=len(missing)) as advance,
        ):
            walker = planned.walker()
            for number, starts in enumerate(planned.starts(ends)):
                if number in missing:
                    # The arrays are not assigned to variables, so that two shards are never in memory.
                    writer.write(number, *walker(starts, ends[number]))
                    advance("")
        writer.finish(recount=True)


@dataclass(frozen=True)
class _Walks:
    """The settings of walks on a graph. The walks of all passes are numbered from 0, pass by pass."""

    graph: Graph
    walks_per_node: int
    walk_length: int
    p: float
    q: float
    seed: int

    @classmethod
    def of(
        cls,
        edges: Any,
        directed: bool | None,
        walks_per_node: int,
        walk_length: int,
        p: float,
        q: float,
        seed: int,
    ) -> _Walks:
        """Check the settings, and read the graph from ``edges``. For errors, see ``walks``."""
        check_least("walks_per_node", walks_per_node, 1)
        check_least("walk_length", walk_length, 1, most=math.inf)
        check_least("seed", seed, 0)
        if seed >= 2**32:
            raise ConfigError(f"seed is {seed}; expected an integer below 2**32")
        for name, value in (("p", p), ("q", q)):
            _check_bias(name, value)
        return cls(
            _graph(edges, directed), int(walks_per_node), int(walk_length), float(p), float(q), int(seed)
        )

    @property
    def n(self) -> int:
        """Number of walks."""
        return len(self.graph) * self.walks_per_node

    def ends(self, n_shards: int) -> list[int]:
        """Return the bounds of the shards: shard ``s`` contains the walks ``ends[s]`` to ``ends[s + 1] - 1``.

        If no walk ends early, ``Sentences.save`` splits the walks at the same bounds.
        """
        n_tokens = self.n * self.walk_length
        return [-(-(n_tokens * shard // n_shards) // self.walk_length) for shard in range(n_shards + 1)]

    def starts(self, ends: list[int]) -> Iterator[Codes]:
        """Yield, for each shard with the bounds ``ends``, the start nodes of the walks of the shard.

        The start nodes of each pass are all nodes, in random order.
        """
        random = np.random.default_rng(self.seed)
        nodes = np.arange(len(self.graph), dtype=np.int32)
        rest = nodes[:0]
        for first, end in pairwise(ends):
            starts = np.empty(end - first, np.int32)
            n = 0
            while n < len(starts):
                rest = rest if len(rest) else random.permuted(nodes)
                part, rest = rest[: len(starts) - n], rest[len(starts) - n :]
                starts[n : n + len(part)] = part
                n += len(part)
            yield starts

    def walker(self) -> Callable[[Codes, int], tuple[Codes, Offsets]]:
        """Return a function that makes walks with consecutive indices.

        The function takes the start nodes of the walks, and the index of the first walk. It returns a pair of
        arrays: the nodes of all walks; and the offsets of the walks.
        """
        graph = _arrays(self.graph)
        edges = filter_of(graph, self.q)

        def walked(starts: Codes, first: int) -> tuple[Codes, Offsets]:
            tokens, lengths = walk(graph, edges, starts, first, self.walk_length, self.p, self.q, self.seed)
            return tokens, offsets_of(lengths)

        return walked

    def fingerprint(self) -> str:
        """Return a text that identifies the edges and the settings."""
        graph, digest = self.graph, hashlib.sha256()
        for array in (graph.offsets, graph.neighbours, graph.weights):
            if array is not None:
                digest.update(array.data)
        settings = (self.walks_per_node, self.walk_length, self.p, self.q, self.seed)
        return repr((digest.hexdigest(), graph.directed, graph.weights is not None, *settings))


@contextlib.contextmanager
def _refusing_excess(n_tokens: int, advice: str) -> Iterator[None]:
    try:
        if n_tokens > sys.maxsize // 8:
            raise MemoryError
        yield
    except MemoryError:
        raise ConfigError(
            f"the walks do not fit into memory: they may contain {n_tokens:,} nodes in total; {advice}"
        ) from None


def _check_bias(name: str, value: object) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 1e-300 <= value <= 1e300
    ):
        raise ConfigError(f"{name} is {value!r}; expected a number from 1e-300 to 1e300")


def _graph(edges: Any, directed: bool | None) -> Graph:
    if not isinstance(edges, Graph):
        from item2vec.readers import read_edges  # imports pandas, which a Graph does not need

        return read_edges(edges, directed=directed)
    if directed and not edges.directed:
        raise ConfigError(
            "directed is True for an undirected graph; omit directed, or create the graph with directed=True"
        )
    return edges


def _arrays(graph: Graph) -> Csr:
    if graph.weights is None:
        none = np.empty(0, np.float32)
        weights = read_only(none, np.float32)  # read-only, so that numba compiles one signature
        no_alias = np.empty(0, np.int32)
        return Csr(graph.offsets, graph.neighbours, graph.directed, weights, np.empty(0), none, no_alias)
    strength, keep, alias = edge_alias_tables(graph.offsets, graph.weights)
    return Csr(graph.offsets, graph.neighbours, graph.directed, graph.weights, strength, keep, alias)
