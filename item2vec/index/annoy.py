"""The Annoy index. Only this module imports Annoy.

Annoy does not validate its arguments: an invalid file or number can crash the process. Therefore every number
is checked before it is passed to Annoy, and every file is validated before Annoy maps it: the temporary file
that ``build`` writes, and the saved file that ``load`` opens. After loading, Annoy's forest object is used
for queries only. ``save`` does not use this object, but copies the memory-mapped file, so that other threads
can query the index meanwhile.
"""

from __future__ import annotations

import dataclasses
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from item2vec.arrays import Floats, Rows
from item2vec.errors import (
    CorruptBundleError,
    InputError,
    InputTypeError,
    MissingExtraError,
    Remedy,
    short_repr,
)
from item2vec.files import unreadable, write_bytes
from item2vec.index.directions import direction_of, directions, scale_of
from item2vec.index.groups import GroupedIndex, Groups
from item2vec.index.nodes import Nodes, check_trees, map_nodes, node_bytes
from item2vec.index.openable import new_path, path_to, refusing_unwritable
from item2vec.index.search import MAX_NORM, as_matrix
from item2vec.index.tuning import Yardstick
from item2vec.matrices import row_norms, sample_rows

try:
    from annoy import AnnoyIndex as Forest

    WHY_MISSING = None
except ImportError as error:
    WHY_MISSING = f"Annoy cannot be imported ({error})"

__all__ = ["WHY_MISSING", "AnnoyIndex", "Description", "check_annoy"]

TREES = 20
SPARE = 10
MAX_DIMENSIONS = 4096
MAX_INT32 = 2**31 - 1
ROWS_AT_ONCE = 1 << 12
SLACK_BYTES = 1 << 25
SCANNED_PER_NODE = 10
SAME_VECTOR = 1e-3
SAMPLED_ITEMS = 1000


def check_annoy() -> None:
    """Raise ``MissingExtraError`` if Annoy cannot be imported."""
    if WHY_MISSING is not None:
        raise MissingExtraError(
            f"{WHY_MISSING}, and index='annoy' requires it: install a C++ compiler, then run: "
            "pip install annoy",
            remedies=[Remedy("index", "exact", otherwise="train the model with --index exact")],
        )


@dataclass(frozen=True)
class Description:
    """The parameters of a saved index, which ``load`` needs. They are part of the manifest of a bundle."""

    annoy: str
    """The compiler options of the Annoy library that built the index."""
    rows: int
    dimensions: int
    nodes: int
    """The number of distinct rows; each has one node."""
    scale: float | None
    """The largest norm of a row, or 1 if all rows are zero; ``None`` if all norms are 1. See ``scale_of``."""
    trees: int
    search_k: int
    """The number of nodes to inspect for ``k`` results."""
    k: int
    """The number of results for which ``search_k`` was tuned."""
    recall: float
    """Recall@k against exact search, measured with this ``search_k``."""
    seed: int
    bytes: int
    """The size of ``index.ann`` in bytes."""
    kind: str = "annoy"

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Description:
        """Return the description with these fields, after checking every number that is passed to Annoy.

        Raises
        ------
        CorruptBundleError
            If a field is missing, unknown or invalid.
        """
        counts = [
            fields.get(name) for name in ("rows", "dimensions", "nodes", "trees", "search_k", "k", "bytes")
        ]
        scale = fields.get("scale", 0)
        is_valid = (
            set(fields) == {field.name for field in dataclasses.fields(cls)}
            and all(type(count) is int and count >= 1 for count in counts)
            and fields["nodes"] <= fields["rows"]
            and fields["dimensions"] <= MAX_DIMENSIONS
            and fields["search_k"] <= MAX_INT32
            and (scale is None or (type(scale) is float and 0 < scale < MAX_NORM))
        )
        if not is_valid:
            raise CorruptBundleError(
                f"the description of the index is {short_repr(fields)}; expected the fields that save() "
                "wrote: use another copy of the bundle, or save the model again"
            )
        return cls(**fields)


@dataclass(frozen=True, eq=False, repr=False)
class AnnoyIndex(GroupedIndex):
    """Approximate index: a forest of random trees over the distinct rows.

    The rows get equal norms (see ``directions``). Equal rows share one node, because many equal vectors would
    fill whole subtrees and hide other items.
    """

    kind: ClassVar[str] = "annoy"
    matrix: Floats
    largest_norm: float
    description: Description
    forest: Forest
    nodes: Nodes
    groups: Groups

    @classmethod
    def build(cls, matrix: Floats, *, queries: Floats | None, recall: float, k: int, seed: int) -> AnnoyIndex:
        """Build the trees, and increase ``search_k`` until the index reaches ``recall`` (see ``_tuned``)."""
        matrix = as_matrix(matrix)
        if matrix.shape[1] > MAX_DIMENSIONS or TREES * len(matrix) > MAX_INT32:
            raise InputError(
                f"the matrix has {matrix.shape[1]} dimensions and {len(matrix):,} rows; expected at most "
                f"{MAX_DIMENSIONS} dimensions and {MAX_INT32 // TREES:,} rows: use the exact index"
            )
        scale, groups = scale_of(matrix), Groups.of(matrix)
        with new_path() as path:
            with refusing_unwritable():
                _build_trees(path, matrix, groups.first, scale, seed)
            description = Description(
                annoy=str(Forest.__doc__),
                rows=len(matrix),
                dimensions=matrix.shape[1],
                nodes=groups.n_groups,
                scale=scale,
                trees=TREES,
                search_k=1,
                k=k,
                recall=0.0,
                seed=seed,
                bytes=path.stat().st_size,
            )
            with path.open("rb") as file:
                index = cls._open(file, path, matrix, groups, description)
        return index._tuned(queries, recall)

    @classmethod
    def load(cls, folder: Path, matrix: Floats, description: dict[str, Any], prefix: str = "") -> AnnoyIndex:
        """Memory-map a saved index of this matrix.

        A file that is truncated, in another format, or built from other vectors is rejected, and no file can
        crash the process. This method does not detect a damaged split plane between two subtrees, which would
        make searches miss rows; the checksums of the bundle detect such damage.

        Raises
        ------
        CorruptBundleError
            If a file or the description is missing or damaged, or was made for another matrix. The index can
            be rebuilt from the matrix.
        InputError
            If the matrix is invalid (see ``as_matrix``), the memory does not suffice, or a temporary copy
            cannot be written.
        """
        matrix = as_matrix(matrix)
        saved = Description.read(description)
        if (saved.rows, saved.dimensions) != matrix.shape:
            raise CorruptBundleError(
                f"the index has shape ({saved.rows}, {saved.dimensions}); expected {matrix.shape}, the shape "
                "of the matrix: use another copy of the bundle, or rebuild the index"
            )
        groups = Groups.load(folder, saved.rows, saved.nodes, prefix)
        saved_path = folder / f"{prefix}index.ann"
        try:
            with saved_path.open("rb") as saved_file, path_to(saved_file) as (file, path):
                return cls._open(file, path, matrix, groups, saved)
        except OSError as error:
            raise unreadable(saved_path, error) from error

    @classmethod
    def _open(
        cls, file: BinaryIO, path: Path, matrix: Floats, groups: Groups, description: Description
    ) -> AnnoyIndex:
        """Validate an open file, then let Annoy map it by ``path``, which refers to the same file."""
        size = description.dimensions + (description.scale is not None)
        nodes = map_nodes(file, size, description.bytes)
        check_trees(nodes, description.nodes, description.trees)
        _check_vectors(nodes, matrix, groups, description)
        _reserve(2 * description.bytes)
        forest = Forest(size, "angular")
        forest.load(str(path), prefault=True)
        if forest.get_n_items() != description.nodes or forest.get_n_trees() < description.trees:
            raise CorruptBundleError(
                f"Annoy reads {forest.get_n_items():,} items and {forest.get_n_trees()} trees; expected "
                f"{description.nodes:,} items and at least {description.trees} trees: use another "
                "copy of the bundle, or rebuild the index"
            )
        return cls(
            matrix=matrix,
            largest_norm=float(row_norms(matrix).max()),
            description=description,
            forest=forest,
            nodes=nodes,
            groups=groups,
        )

    def __reduce__(self) -> NoReturn:
        raise InputTypeError(
            "an Annoy index cannot be pickled, because Annoy maps it from a file; expected a model with the "
            "exact or the FAISS index: use save() and Recommender.load instead of pickle"
        )

    @property
    def is_slower_than_a_scan(self) -> bool:
        """Whether inspecting ``search_k`` nodes takes longer than a scan of all rows."""
        return self.description.search_k * SCANNED_PER_NODE > self.description.rows

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:
        """Return the rows of about the ``n`` best nodes; ``None`` to request a scan.

        If ``n`` is larger than the ``k`` for which the index was tuned, proportionally more nodes are
        inspected, unless a scan of ``n_scanned`` rows is faster: a scan is then requested.
        """
        effort = self.description.search_k * max(n, self.description.k) // self.description.k
        if n > self.description.k and effort * SCANNED_PER_NODE > n_scanned:
            return None
        direction = direction_of(query, self.description.scale)
        nodes = self.forest.get_nns_by_vector(direction.tolist(), n + SPARE, effort)
        return self.groups.rows_of(np.array(nodes, dtype=np.intp), n)

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """Write ``index.ann`` and ``groups.npy`` with this prefix, flush both; return the description."""
        write_bytes(folder / f"{prefix}index.ann", self.nodes.data)
        self.groups.save(folder, prefix)
        return dataclasses.asdict(self.description)

    def _tuned(self, queries: Floats | None, recall: float) -> AnnoyIndex:
        """Increase ``search_k`` until the index reaches ``recall``, and return the index.

        The measured recall minus two standard errors must reach ``recall``. In addition, queries with the
        vectors of sampled nodes must retrieve at least 99.9 % of these nodes. ``InputError`` is raised if
        these conditions are not met even when all nodes are inspected.
        """
        rng = np.random.default_rng(self.description.seed)
        yardstick = Yardstick.of(self.matrix, queries, k=self.description.k, random=rng)
        items = sample_rows(rng, self.description.nodes, SAMPLED_ITEMS)
        all_nodes = min(self.description.nodes * self.description.trees, MAX_INT32)
        search_k = self.description.k * self.description.trees
        while True:
            measured, certain = yardstick.recall(self._with(min(search_k, all_nodes)))
            candidate = self._with(min(search_k, all_nodes), measured)
            if certain >= recall and candidate._retrieves(items):
                return candidate
            if search_k >= all_nodes:
                raise InputError(
                    f"Annoy reaches recall {measured:.3f} ({certain:.3f} after subtracting two standard "
                    f"errors) when it inspects all nodes; expected {recall} after the subtraction, and "
                    "99.9 % of sampled items retrieved by their own vectors: use the exact index, or a "
                    "lower recall"
                )
            search_k += search_k // 2

    def _with(self, search_k: int, recall: float = 0.0) -> AnnoyIndex:
        return dataclasses.replace(
            self, description=dataclasses.replace(self.description, search_k=search_k, recall=recall)
        )

    def _retrieves(self, items: Rows) -> bool:
        """Return whether queries with the vectors of these nodes retrieve at least 99.9 % of the nodes.

        A node also counts as retrieved if all results are at a distance below 0.001 from it, because the
        results then are near-duplicates of the node.
        """
        n = min(self.description.k + SPARE, self.description.nodes)
        hits = 0
        for item in items.tolist():
            nodes, distances = self.forest.get_nns_by_item(item, n, self.description.search_k, True)
            hits += item in nodes or distances[-1] < SAME_VECTOR
        return bool(hits >= 0.999 * len(items))


def _build_trees(path: Path, matrix: Floats, first: Rows, scale: float | None, seed: int) -> None:
    """Write a forest over the distinct rows to a file. One thread and the seed make the file reproducible."""
    size = matrix.shape[1] + (scale is not None)
    _reserve(3 * node_bytes(size) * (len(first) + 4 * TREES * (1 + len(first) // size)))
    forest = Forest(size, "angular")
    forest.set_seed(seed & MAX_INT32)
    for start in range(0, len(first), ROWS_AT_ONCE):
        part = directions(matrix[first[start : start + ROWS_AT_ONCE]], scale)
        for node, vector in enumerate(part.tolist(), start):
            forest.add_item(node, vector)
    forest.build(TREES, n_jobs=1)
    forest.save(str(path))


def _check_vectors(nodes: Nodes, matrix: Floats, groups: Groups, description: Description) -> None:
    """Raise ``CorruptBundleError`` unless the groups are valid, and each node has the direction of its rows.

    ``directions`` defines the direction of a row. Elements of the two vectors may differ by at most 1e-6.
    """
    is_valid = groups.is_valid
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        if is_valid:
            vectors, rows = nodes["vector"][groups.codes[part]], directions(matrix[part], description.scale)
            is_valid = np.allclose(vectors, rows, rtol=0, atol=1e-6)
    if not is_valid:
        raise CorruptBundleError(
            "the index was built over other vectors, or other groups of equal vectors; expected the vectors "
            "of the matrix: use another copy of the bundle, or rebuild the index"
        )


def _reserve(n_bytes: int) -> None:
    """Raise ``InputError`` if the system cannot allocate ``n_bytes`` plus 32 MiB of memory.

    Annoy does not check whether its own allocations succeed.
    """
    n_bytes += SLACK_BYTES
    try:
        mmap.mmap(-1, n_bytes, access=mmap.ACCESS_COPY).close()
    except OSError as error:
        raise InputError(
            f"Annoy needs about {n_bytes >> 20:,} MiB of memory, which the system cannot allocate; free "
            "memory",
            remedies=[
                Remedy(
                    "index", "exact", "or build the model with {}", "or train the model with --index exact"
                )
            ],
        ) from error
