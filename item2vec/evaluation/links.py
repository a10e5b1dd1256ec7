"""Link prediction: evaluation of models on hidden edges of a graph, and baselines by common neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from item2vec.arguments import check_fields, check_rows, checked
from item2vec.arrays import Codes, Doubles
from item2vec.errors import InputError
from item2vec.evaluation.baselines import Baseline, Histories
from item2vec.evaluation.split import Split
from item2vec.graph import Graph
from item2vec.interactions import read_only
from item2vec.kernels.compiled import view_of
from item2vec.kernels.cooccurrence import SparseRows, best_sums
from item2vec.matrices import row_products
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import check_least
from item2vec.vectors import ItemVectors

__all__ = ["AdamicAdar", "CommonNeighbours", "HiddenEdges", "cosines", "hide_edges"]

PairScores = Callable[[Sequence[str], Sequence[str]], npt.NDArray[np.floating]]
"""A function of the source ids and the target ids of pairs of nodes. It returns a score per pair."""


@dataclass(frozen=True, eq=False, repr=False)
class HiddenEdges:
    """A graph from which edges were hidden, and the hidden edges, for a model to predict. See ``hide_edges``.

    Attributes
    ----------
    known
        The graph of all nodes and the known edges: the edges that are not hidden.
    sources, targets
        The codes of the source node and of the target node of each hidden edge (int32); at least one edge.

    Examples
    --------
    >>> path = Graph.of([("ann", "bob"), ("bob", "cy"), ("cy", "dan")])
    >>> edges = HiddenEdges(path, path.nodes.encode(["ann"]), path.nodes.encode(["cy"]))
    >>> edges.split().targets[0]
    ['cy']
    >>> edges.auc(CommonNeighbours(path).score_pairs)  # hidden ann–cy: 1; no edge ann–dan: 0, bob–dan: 1
    0.65
    """

    known: Graph
    sources: Codes
    targets: Codes

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("sources", "targets"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int32))
            check_rows(getattr(self, name), len(self.known), name)
        if self.sources.ndim != 1 or self.sources.shape != self.targets.shape:
            raise InputError(
                f"sources has shape {self.sources.shape}, targets has shape {self.targets.shape}; expected "
                "one-dimensional arrays of equal length, with one code per edge"
            )
        if not len(self.sources):
            raise InputError("sources and targets are empty; expected at least one hidden edge")

    def __repr__(self) -> str:
        return f"HiddenEdges({len(self.sources):,} edges, hidden from {self.known!r})"

    @checked
    def split(self, train: Sentences | None = None) -> Split:
        """Return a split for ``evaluate``: each query is a node, and the targets are its hidden neighbours.

        In a directed graph, only the source of a hidden edge is a query. The history is the node itself. The
        node and its known neighbours are not recommended. A node whose edges are all hidden is neither a
        query nor a target. ``Split.dropped`` contains the number of pairs of a query and a target that are
        omitted for this reason. An undirected edge makes two pairs.

        Parameters
        ----------
        train
            The training part of the split: the walks on which the model was trained. If it is ``None``, the
            training part has one sentence per node, which contains the known neighbours of the node.
        """
        adjacency = Sentences(self.known.nodes, self.known.neighbours, self.known.offsets, ordered=False)
        nodes, others = self.sources, self.targets
        if not self.known.directed:
            nodes, others = np.concatenate((nodes, others)), np.concatenate((others, self.sources))
        connected = np.bincount(self.known.neighbours, minlength=len(self.known)) + self.known.degrees > 0
        kept = connected[nodes] & connected[others]
        nodes, others = nodes[kept], others[kept]
        order = np.lexsort((others, nodes))
        queries, counts = np.unique(nodes, return_counts=True)
        return Split(
            adjacency if train is None else train,
            Sentences(self.known.nodes, queries, np.arange(len(queries) + 1)),
            Sentences(self.known.nodes, others[order], offsets_of(counts), ordered=False),
            "hidden edges",
            seen=adjacency.take(queries),
            dropped={"edges of nodes without a known edge": int(np.count_nonzero(~kept))},
        )

    @checked
    def auc(self, score: PairScores, *, negatives: int = 10, seed: int = 7) -> float:
        """Return an estimate of AUC, the probability that a hidden edge scores higher than a non-edge.

        A non-edge is a pair of different nodes without a known or hidden edge. Non-edges are drawn uniformly
        at random, with replacement. Each hidden edge is compared with all drawn non-edges. Equal scores count
        one half.

        Source: Fawcett, An introduction to ROC analysis, 2006, section 7; Grover & Leskovec, node2vec, KDD
        2016, section 4.4.

        Parameters
        ----------
        score
            A function of lists of source ids and target ids that returns a score per pair, such as the result
            of ``cosines``.
        negatives
            Number of drawn non-edges, as a multiple of the number of hidden edges.
        seed
            Seed of the random pairs.

        Raises
        ------
        InputError
            If ``score`` does not return a finite number per pair, or every pair of different nodes has an
            edge.
        ConfigError
            If ``negatives`` is below 1, or ``seed`` is below 0.
        """
        check_least("negatives", negatives, 1)
        check_least("seed", seed, 0)
        positive = self._scores(score, self.sources, self.targets)
        negative = np.sort(self._scores(score, *self._pairs_without_edge(negatives * len(positive), seed)))
        ranks = [np.searchsorted(negative, positive, side) for side in ("left", "right")]
        return float(np.mean(ranks) / len(negative))

    def _scores(self, score: PairScores, sources: Codes, targets: Codes) -> Doubles:
        nodes = self.known.nodes
        scores = np.asarray(score(nodes.decode(sources), nodes.decode(targets)), dtype=np.float64)
        if scores.shape != sources.shape:
            raise InputError(
                f"score returned an array of shape {scores.shape} for {len(sources)} pairs; expected a "
                "finite number per pair"
            )
        if not bool(np.isfinite(scores).all()):
            pair = int(np.argmin(np.isfinite(scores)))
            raise InputError(
                f"score returned {scores[pair]} for the pair {nodes.ids[sources[pair]]!r}, "
                f"{nodes.ids[targets[pair]]!r}; expected a finite number per pair"
            )
        return scores

    def _pairs_without_edge(self, n: int, seed: int) -> tuple[Codes, Codes]:
        """Draw ``n`` pairs of different nodes without a known or hidden edge, with replacement.

        Return a pair of arrays: the codes of the source nodes; and the codes of the target nodes.
        """
        n_nodes = len(self.known)
        known = np.repeat(np.arange(n_nodes), self.known.degrees) * n_nodes + self.known.neighbours
        hidden = self.sources.astype(np.int64) * n_nodes + self.targets
        back = np.empty(0, np.int64)
        if not self.known.directed:
            back = self.targets.astype(np.int64) * n_nodes + self.sources
        edges = np.unique(np.concatenate((known, hidden, back)))
        n_possible = n_nodes * (n_nodes - 1) - np.count_nonzero(edges // n_nodes != edges % n_nodes)
        if not n_possible:
            raise InputError("every pair of nodes has an edge; expected at least one pair without an edge")
        random = np.random.default_rng(seed)
        drawn = np.empty(0, np.int64)
        while len(drawn) < n:
            pairs = random.integers(n_nodes**2, size=2 * n)
            is_free = (pairs // n_nodes != pairs % n_nodes) & ~np.isin(pairs, edges)
            drawn = np.concatenate((drawn, pairs[is_free]))
        return (drawn[:n] // n_nodes).astype(np.int32), (drawn[:n] % n_nodes).astype(np.int32)


@checked
def hide_edges(graph: Graph, *, share: float = 0.1, seed: int = 7) -> HiddenEdges:
    """Hide a random share of the edges of a graph. Self-loops are removed: they are neither hidden nor known.

    Raises
    ------
    InputError
        If ``share`` is not above 0 and below 1, or no edge or every edge would be hidden.
    ConfigError
        If ``seed`` is below 0.

    Examples
    --------
    >>> friends = Graph.of([("ann", "bob"), ("bob", "cy"), ("cy", "ann"), ("cy", "dan")])
    >>> hide_edges(friends, share=0.25)
    HiddenEdges(1 edges, hidden from Graph(4 nodes, 3 edges, undirected, degrees 1 to 3))
    """
    check_least("seed", seed, 0)
    if not 0 < share < 1:
        raise InputError(f"share is {share}; expected a share of the edges: a number above 0 and below 1")
    source = np.repeat(np.arange(len(graph), dtype=np.int32), graph.degrees)
    once = source != graph.neighbours if graph.directed else source < graph.neighbours
    source, target = source[once], graph.neighbours[once]
    weights = None if graph.weights is None else graph.weights[once]
    hidden = np.zeros(len(source), dtype=bool)
    hidden[np.random.default_rng(seed).permutation(len(source))[: round(share * len(source))]] = True
    if not hidden.any() or hidden.all():
        raise InputError(
            f"{np.count_nonzero(hidden)} of {len(source)} edges would be hidden; expected at least one "
            "hidden and one known edge: change share, or use a graph with more edges"
        )
    known = Graph.from_codes(
        graph.nodes,
        source[~hidden],
        target[~hidden],
        None if weights is None else weights[~hidden],
        directed=graph.directed,
    )
    return HiddenEdges(known, source[hidden], target[hidden])


def cosines(vectors: ItemVectors) -> PairScores:
    """Return a function for ``HiddenEdges.auc`` that scores a pair of nodes by the cosine of their vectors.

    Input vectors are compared. The score of a pair is 0 if one of the two nodes has no input vector, or is
    not in the vocabulary of ``vectors``.

    >>> from item2vec import Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("ann", "bob")), np.array([[1, 0], [3, 4]]), None, np.ones(2))
    >>> cosines(vectors)(["ann", "ann"], ["bob", "cy"]).round(2)
    array([0.6, 0. ])
    """

    def score(sources: Sequence[str], targets: Sequence[str]) -> Doubles:
        unit = np.concatenate((vectors.unit_input, np.zeros((1, vectors.input.shape[1]), np.float32)))
        rows = vectors.vocabulary.encode(sources), vectors.vocabulary.encode(targets)
        return row_products(unit[rows[0]], unit[rows[1]])

    return score


class _Neighbours(Baseline):
    """Base class of the baselines that sum a weight over the common neighbours of two nodes.

    In a directed graph, a common neighbour is the middle node of a path of two edges from the first node to
    the second. ``vocabulary`` contains the nodes that have an edge, in either direction. ``counts`` holds,
    for each of these nodes, the number of edges that lead to the node.
    """

    def __init__(self, graph: Graph) -> None:
        adjacency = Sentences(graph.nodes, graph.neighbours, graph.offsets, ordered=False)
        n_incoming = adjacency.counts()
        self._set_vocabulary(graph.nodes, n_incoming, n_incoming + graph.degrees > 0)
        self._friends = self._numbered(adjacency.take(graph.nodes.encode(self.vocabulary.ids)))
        self._weight_of = self._weights(self._friends.lengths.astype(np.float64))
        tokens, offsets = self._friends.tokens, self._friends.offsets
        weights = np.repeat(self._weight_of, self._friends.lengths)
        self._rows = SparseRows(tokens, view_of(weights), offsets[:-1], offsets[1:])

    @abstractmethod
    def _weights(self, degrees: Doubles) -> Doubles:
        """Return the weight of each node as a common neighbour, given the degrees of the nodes."""

    def score_pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Doubles:
        """Return the score of each pair of nodes, for ``HiddenEdges.auc``.

        The score is 0 if one of the two nodes is not in ``vocabulary``. ``InputError`` is raised if
        ``sources`` and ``targets`` differ in length.
        """
        first, second = self.vocabulary.encode(sources), self.vocabulary.encode(targets)
        if len(first) != len(second):
            raise InputError(f"found {len(first)} sources and {len(second)} targets; expected equal numbers")
        scores = np.zeros(len(first))
        known = np.flatnonzero((first >= 0) & (second >= 0))
        order = known[np.argsort(first[known], kind="stable")]
        for pairs in np.split(order, np.flatnonzero(np.diff(first[order])) + 1):
            if len(pairs):
                scores[pairs] = self._sums(int(first[pairs[0]]))[second[pairs]]
        return scores

    def _sums(self, node: int) -> Doubles:
        """Return, for each node, the sum of the weights of its common neighbours with ``node`` (float64)."""
        middle = self._friends[node : node + 1].tokens
        paths = self._friends.take(middle)
        weights = np.repeat(self._weight_of[middle], paths.lengths)
        return np.bincount(paths.tokens, weights, minlength=len(self.vocabulary)).astype(np.float64)

    def _candidates(self, histories: Histories) -> SparseRows:
        middle = self._friends.take(histories.codes)
        offsets = view_of(middle.offsets[histories.offsets])
        return best_sums(middle.tokens, offsets, np.ones(len(middle.tokens)), self._rows, histories.n_needed)


class CommonNeighbours(_Neighbours):
    """Recommend the nodes that have the most neighbours in common with the nodes of the history.

    The score of a node is the number of neighbours that the node and a node of the history have in common,
    summed over the nodes of the history. In a directed graph, a common neighbour is the middle node of a path
    of two edges from a node of the history to the recommended node.

    Source: Liben-Nowell & Kleinberg, The link-prediction problem for social networks, 2007.

    Examples
    --------
    >>> friends = Graph.of([("ann", "bob"), ("bob", "cy"), ("ann", "dan"), ("dan", "cy"), ("dan", "eve")])
    >>> [tuple(item) for item in CommonNeighbours(friends).recommend_many([["ann"]], k=2)[0]]
    [('cy', 2.0), ('eve', 1.0)]
    >>> CommonNeighbours(friends).score_pairs(["ann", "ann"], ["cy", "eve"])
    array([2., 1.])
    """

    @checked
    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)

    def _weights(self, degrees: Doubles) -> Doubles:
        return np.ones(len(degrees))


class AdamicAdar(_Neighbours):
    """Recommend nodes by the Adamic-Adar index: the sum of 1 / log(degree) over the common neighbours.

    The score of a node is this sum over the neighbours that the node and a node of the history have in
    common, added up over the nodes of the history. In a directed graph, the degree is the number of outgoing
    edges. A common neighbour of degree 1, which is possible in directed graphs only, has weight 1.

    Source: Adamic & Adar, Friends and neighbors on the Web, Social Networks 2003.

    Examples
    --------
    >>> friends = Graph.of([("ann", "bob"), ("bob", "cy"), ("ann", "dan"), ("dan", "cy"), ("dan", "eve")])
    >>> AdamicAdar(friends).score_pairs(["ann"], ["cy"]).round(4)  # 1 / log(2) + 1 / log(3)
    array([2.3529])
    """

    @checked
    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)

    def _weights(self, degrees: Doubles) -> Doubles:
        # In an undirected graph, a node of degree 1 is not a common neighbour of two nodes.
        logarithms = np.log(np.maximum(degrees, 1))
        return np.divide(1.0, logarithms, out=np.ones(len(degrees)), where=degrees > 1)
