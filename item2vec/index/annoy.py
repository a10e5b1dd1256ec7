"""The Annoy index, and the one door to Annoy.

Annoy answers anything it is asked, and ends the process on a bad file or number; so every number is checked
before it is passed in, and an index is always a file that was looked through first: one in memory after
``build``, one on disk after ``load``. The object that answers was loaded once and is never saved, built or
unloaded, so that threads may ask it while another one saves.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from annoy import AnnoyIndex as Forest

from item2vec.arrays import Codes, Doubles, Floats, Rows
from item2vec.errors import CorruptBundleError, InputError
from item2vec.files import open_array, write_array, write_bytes
from item2vec.index.exact import ExactIndex
from item2vec.index.nodes import Nodes, check_trees, map_nodes, node_bytes
from item2vec.index.search import MAX_NORM, Found, as_matrix, find_many, row_norms

__all__ = ["About", "AnnoyIndex"]

TREES = 20
SPARE = 10
MAX_DIMENSIONS = 4096
MAX_INT32 = 2**31 - 1
ROWS_AT_ONCE = 1 << 12
SLACK_BYTES = 1 << 25
SCANNED_PER_NODE = 10
UNIT_TOLERANCE = 1e-4
SAME_PLACE = 1e-3
SAMPLED_QUERIES = 256
SAMPLED_ITEMS = 1000


@dataclass(frozen=True)
class About:
    """What ``load`` must be told about an index: a part of the bundle's manifest."""

    annoy: str
    """How the Annoy that built it was compiled."""
    rows: int
    dimensions: int
    nodes: int
    """Distinct rows; each has one node."""
    scale: float | None
    """The length of the longest row, where lengths differ; see ``_directions``."""
    trees: int
    search_k: int
    """Nodes to look at for ``k`` results."""
    k: int
    recall: float
    """Recall@k against exact search, measured with this ``search_k``."""
    seed: int
    bytes: int
    """The size of ``index.ann``."""
    kind: str = "annoy"

    @classmethod
    def read(cls, told: dict[str, Any]) -> About:
        """Return a description that was saved, after checking every number that Annoy will be given."""
        counts = [
            told.get(name) for name in ("rows", "dimensions", "nodes", "trees", "search_k", "k", "bytes")
        ]
        scale = told.get("scale", 0)
        sound = (
            set(told) == {field.name for field in dataclasses.fields(cls)}
            and all(type(count) is int and count >= 1 for count in counts)
            and told["nodes"] <= told["rows"]
            and told["dimensions"] <= MAX_DIMENSIONS
            and told["search_k"] <= MAX_INT32
            and (scale is None or (type(scale) is float and 0 < scale < MAX_NORM))
        )
        if not sound:
            raise CorruptBundleError(f"the description of the index is damaged: {told!r:.200}")
        return cls(**told)


@dataclass(frozen=True, eq=False, repr=False)
class AnnoyIndex:
    """Finds candidates in a forest of random trees over the distinct rows.

    Inner products become angles by one more dimension, which gives all rows the same length (Bachrach et al.,
    Speeding up the Xbox recommender system using a Euclidean transformation for inner-product spaces, RecSys
    2014); rows of length 1 need none. Equal rows share one node: a crowd of equal vectors would otherwise
    fill whole subtrees, and hide other items.
    """

    kind: ClassVar[str] = "annoy"
    matrix: Floats
    largest_norm: float
    about: About
    forest: Forest
    nodes: Nodes
    groups: Codes
    members: Rows
    offsets: Rows

    @classmethod
    def build(cls, matrix: Floats, *, queries: Floats | None, recall: float, k: int, seed: int) -> AnnoyIndex:
        """Plant the trees, then look at as many nodes as the recall that is asked for takes."""
        matrix = as_matrix(matrix)
        if matrix.shape[1] > MAX_DIMENSIONS or TREES * len(matrix) > MAX_INT32:
            raise InputError(
                f"Annoy takes up to {MAX_DIMENSIONS} dimensions and {MAX_INT32 // TREES:,} rows; the vectors "
                f"have {matrix.shape[1]} and {len(matrix):,}: use the exact index"
            )
        norms = row_norms(matrix)
        scale = None if np.all(np.abs(norms - 1) < UNIT_TOLERANCE) else float(norms.max()) or 1.0
        groups, first = _distinct(matrix)
        with os.fdopen(os.memfd_create("index.ann"), "rb") as file:
            _plant(_path(file), matrix, first, scale, seed)
            about = About(
                annoy=str(Forest.__doc__),
                rows=len(matrix),
                dimensions=matrix.shape[1],
                nodes=len(first),
                scale=scale,
                trees=TREES,
                search_k=1,
                k=k,
                recall=0.0,
                seed=seed,
                bytes=os.fstat(file.fileno()).st_size,
            )
            index = cls._open(file, matrix, groups, about)
        return index._tuned(queries, recall)

    @classmethod
    def load(cls, folder: Path, matrix: Floats, about: dict[str, Any]) -> AnnoyIndex:
        """Map a saved index of this matrix.

        A file that is cut, foreign, of other vectors or other dimensions is refused, and none can end the
        process. A damaged split between two subtrees can not be told from a right one, and would lose
        candidates; against that the bundle compares checksums before it comes here.

        Raises
        ------
        CorruptBundleError
            If the files and the description do not belong to this matrix; build the index anew.
        """
        matrix = as_matrix(matrix)
        told = About.read(about)
        if (told.rows, told.dimensions) != matrix.shape:
            raise CorruptBundleError(
                f"the index is of {told.rows:,} × {told.dimensions} vectors; found {matrix.shape}"
            )
        groups = np.asarray(open_array(folder / "groups.npy", np.int32, (told.rows,)))
        try:
            with (folder / "index.ann").open("rb") as file:
                return cls._open(file, matrix, groups, told)
        except OSError as error:
            raise CorruptBundleError(f"{folder / 'index.ann'} cannot be read: {error.strerror}") from error

    @classmethod
    def _open(cls, file: BinaryIO, matrix: Floats, groups: Codes, about: About) -> AnnoyIndex:
        size = about.dimensions + (about.scale is not None)
        nodes = map_nodes(file, size, about.bytes)
        check_trees(nodes, about.nodes, about.trees)
        _check_vectors(nodes, matrix, groups, about)
        _reserve(2 * about.bytes)
        forest = Forest(size, "angular")
        forest.load(_path(file), prefault=True)
        if forest.get_n_items() != about.nodes or forest.get_n_trees() < about.trees:
            raise CorruptBundleError("Annoy reads another number of items or trees than the file holds")
        return cls(
            matrix=matrix,
            largest_norm=float(row_norms(matrix).max()),
            about=about,
            forest=forest,
            nodes=nodes,
            groups=groups,
            members=np.argsort(groups, kind="stable"),
            offsets=np.searchsorted(np.sort(groups), np.arange(about.nodes + 1)),
        )

    @property
    def is_slower_than_a_scan(self) -> bool:
        """Whether looking at all rows takes no longer than looking at the nodes that the recall takes."""
        return self.about.search_k * SCANNED_PER_NODE > self.about.rows

    def candidates(self, query: Floats, n: int) -> Rows | None:
        """Return the rows of the ``n`` best nodes found, or ``None`` where a scan of all rows is no slower.

        For more than the ``k`` results that the recall was measured with, more nodes are looked at.
        """
        effort = self.about.search_k * max(n, self.about.k) // self.about.k
        if n > self.about.k and effort * SCANNED_PER_NODE > self.about.rows:
            return None
        direction = (query / row_norms(query[None])[0]).tolist()
        if self.about.scale is not None:
            direction.append(0.0)
        nodes = self.forest.get_nns_by_vector(direction, n + SPARE, effort)
        return self._rows_of(np.array(nodes, dtype=np.intp), n)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``index.ann`` and ``groups.npy`` into an existing folder, flushed to the disk."""
        write_bytes(folder / "index.ann", self.nodes.data)
        write_array(folder / "groups.npy", self.groups)
        return dataclasses.asdict(self.about)

    def _rows_of(self, nodes: Rows, n: int) -> Rows:
        """Return the rows of nodes, of each the lowest ``n``: equal rows have equal scores."""
        if self.about.nodes == self.about.rows:
            return nodes
        starts = self.offsets[nodes]
        stops = np.minimum(self.offsets[nodes + 1], starts + n)
        return np.concatenate([self.members[a:b] for a, b in zip(starts, stops, strict=True)])

    def _tuned(self, queries: Floats | None, recall: float) -> AnnoyIndex:
        """Return the index with the first ``search_k`` that reaches the recall and finds every node."""
        rng = np.random.default_rng(self.about.seed)
        queries = self._questions(queries, rng)
        items = _sample(rng, self.about.nodes, SAMPLED_ITEMS)
        truth = find_many(ExactIndex(self.matrix, self.largest_norm), queries, k=self.about.k)
        everything = min(self.about.nodes * self.about.trees, MAX_INT32)
        search_k = self.about.k * self.about.trees
        while True:
            measured = self._with(min(search_k, everything))._recall(queries, truth)
            tuned = self._with(min(search_k, everything), float(measured.mean()))
            error = float(measured.std()) / len(measured) ** 0.5
            if tuned.about.recall - 2 * error >= recall and tuned._finds(items):
                return tuned
            if search_k >= everything:
                raise InputError(
                    f"Annoy reaches recall {tuned.about.recall:.3f} at best; {recall} was asked for: use the "
                    "exact index, or ask for less"
                )
            search_k += search_k // 2

    def _questions(self, queries: Floats | None, rng: np.random.Generator) -> Floats:
        if queries is None or not len(queries):
            rows = np.flatnonzero(self.matrix.any(axis=1))
            if not len(rows):
                return np.ones((1, self.about.dimensions), dtype=np.float32)
            return self.matrix[rows[_sample(rng, len(rows), SAMPLED_QUERIES)]]
        return queries[_sample(rng, len(queries), SAMPLED_QUERIES)]

    def _with(self, search_k: int, recall: float = 0.0) -> AnnoyIndex:
        return dataclasses.replace(
            self, about=dataclasses.replace(self.about, search_k=search_k, recall=recall)
        )

    def _recall(self, queries: Floats, truth: list[Found]) -> Doubles:
        """Return for each query the share of results that are as good as the exact ones, up to rounding."""
        rounding = 1e-6 * self.largest_norm * row_norms(queries)
        answers = find_many(self, queries, k=self.about.k)
        return np.array(
            [
                np.mean(found.scores >= best.scores[-1] - slack)
                for found, best, slack in zip(answers, truth, rounding, strict=True)
            ]
        )

    def _finds(self, items: Rows) -> bool:
        """Return whether all nodes but one in a thousand are found where they are.

        A node also counts as found where all that was found is as near to it as rounding can tell.
        """
        n = min(self.about.k + SPARE, self.about.nodes)
        hits = 0
        for item in items.tolist():
            nodes, distances = self.forest.get_nns_by_item(item, n, self.about.search_k, True)
            hits += item in nodes or distances[-1] < SAME_PLACE
        return bool(hits >= 0.999 * len(items))


def _plant(path: str, matrix: Floats, first: Rows, scale: float | None, seed: int) -> None:
    """Build the trees over the distinct rows, one thread and one seed for the same bytes, and write them."""
    size = matrix.shape[1] + (scale is not None)
    _reserve(3 * node_bytes(size) * (len(first) + 4 * TREES * (1 + len(first) // size)))
    forest = Forest(size, "angular")
    forest.set_seed(seed & MAX_INT32)
    for start in range(0, len(first), ROWS_AT_ONCE):
        part = _directions(matrix[first[start : start + ROWS_AT_ONCE]], scale)
        for place, vector in enumerate(part.tolist(), start):
            forest.add_item(place, vector)
    forest.build(TREES, n_jobs=1)
    forest.save(path)


def _directions(rows: Floats, scale: float | None) -> Floats:
    """Return rows as unit vectors whose angles order them as their inner products with any query do."""
    if scale is None:
        return rows
    scaled = rows / np.float32(scale)
    rest = np.sqrt(np.maximum(0, 1 - row_norms(scaled) ** 2))
    return np.column_stack((scaled, rest.astype(np.float32)))


def _distinct(matrix: Floats) -> tuple[Codes, Rows]:
    """Return the group of each row, and the first row of each group; groups are numbered by first row."""
    raw = (matrix + np.float32(0)).view(np.dtype((np.void, matrix.itemsize * matrix.shape[1])))  # -0.0 is 0.0
    _, first, group = np.unique(raw[:, 0], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), dtype=np.int32)
    rank[order] = np.arange(len(first))
    return rank[group], first[order]


def _check_vectors(nodes: Nodes, matrix: Floats, groups: Codes, about: About) -> None:
    """Refuse an index of other vectors: every row is compared with the vector of its node."""
    sound = np.array_equal(np.unique(groups), np.arange(about.nodes))
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        if sound:
            found, rows = nodes["vector"][groups[part]], _directions(matrix[part], about.scale)
            sound = np.allclose(found, rows, rtol=0, atol=1e-6)
    if not sound:
        raise CorruptBundleError("the index was built over other vectors, or other groups of equal vectors")


def _sample(rng: np.random.Generator, n: int, size: int) -> Rows:
    return np.sort(rng.choice(n, size=min(n, size), replace=False))


def _reserve(n_bytes: int) -> None:
    """Refuse what the system would: Annoy does not look whether it got the memory that it asked for."""
    n_bytes += SLACK_BYTES
    try:
        mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE).close()
    except OSError as error:
        raise InputError(
            f"Annoy needs about {n_bytes >> 20:,} MB of memory, which the system refuses; use the exact index"
        ) from error


def _path(file: BinaryIO) -> str:
    """Return a path that leads to this very file, whatever its name now means."""
    return f"/proc/self/fd/{file.fileno()}"
