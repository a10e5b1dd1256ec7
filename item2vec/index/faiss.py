"""The FAISS index. Only this module imports FAISS.

FAISS validates the files that it reads, and rejects links to nodes that do not exist. FAISS reads a file from
a memory map that this module opens. Therefore processes share the memory, and the file cannot be exchanged
between its validation and its use.
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Floats, Rows
from item2vec.errors import CorruptBundleError, InputError, MissingExtraError, Remedy, short_repr
from item2vec.files import unreadable, write_bytes
from item2vec.index.directions import direction_of, directions, scale_of
from item2vec.index.groups import GroupedIndex, Groups
from item2vec.index.search import MAX_NORM, as_matrix
from item2vec.index.tuning import Yardstick
from item2vec.matrices import row_norms, sample_rows

__all__ = ["Description", "FaissIndex", "check_faiss", "why_missing"]

FILE = "index.faiss"
LINKS = 16
BUILD_EFFORT = 128
SPARE = 10
WIDE = 10
MOST = 8
SLOPE_BEYOND = 1.25
SCANNED_PER_STEP = 120
SAMPLED_ITEMS = 1000
SELF_RETRIEVED = (
    0.98  # required share of sampled items; for clustered rows, 0.999 would take a multiple of the effort
)
CHECKED_ROWS = 1000
ONE_THREAD_BELOW_ROWS = 5_000
MAX_INT32 = 2**31 - 1
ROUNDING = 1e-3
SAME_COSINE = 1e-3

Bytes = npt.NDArray[np.uint8]


def why_missing() -> str | None:
    """Return the reason why FAISS cannot be imported, or ``None`` if it can be imported."""
    try:
        _faiss()
    except ImportError as error:
        return f"FAISS cannot be imported ({error})"
    return None


def check_faiss() -> None:
    """Raise ``MissingExtraError`` if FAISS cannot be imported."""
    if (reason := why_missing()) is not None:
        raise MissingExtraError(
            f"{reason}, and index='faiss' requires it; run: pip install faiss-cpu",
            remedies=[Remedy("index", "exact", otherwise="train the model with --index exact")],
        )


@dataclass(frozen=True)
class Description:
    """The parameters of a saved index, which ``load`` needs. They are part of the manifest of a bundle."""

    faiss: str
    """The version and the compiler options of the FAISS library that built the index."""
    rows: int
    dimensions: int
    nodes: int
    """The number of distinct rows; each has one node."""
    scale: float | None
    """The largest norm of a row, or 1 if all rows are zero; ``None`` if all norms are 1. See ``scale_of``."""
    links: int
    """M: the maximum number of links of a node per level; twice as many on the lowest level."""
    effort: int
    """efSearch: the number of best nodes to keep during a search for ``k`` results."""
    wide_effort: int
    """efSearch for ``10 * k`` results, needed because a search with filters requests more than ``k``."""
    k: int
    """The number of results for which ``effort`` was tuned."""
    recall: float
    """Recall@k against exact search, measured with this ``effort``."""
    seed: int
    bytes: int
    """The size of ``index.faiss`` in bytes."""
    kind: str = "faiss"

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Description:
        """Return the description with these fields, after checking every number that is passed to FAISS.

        The values of ``faiss``, ``recall``, ``seed`` and ``kind`` are not checked.

        Raises
        ------
        CorruptBundleError
            If a field is missing or unknown, or the value of another field is invalid.
        """
        counts = ("rows", "dimensions", "nodes", "links", "effort", "wide_effort", "k", "bytes")
        scale = fields.get("scale", 0)
        is_valid = (
            set(fields) == {field.name for field in dataclasses.fields(cls)}
            and all(type(fields[name]) is int and fields[name] >= 1 for name in counts)
            and fields["nodes"] <= fields["rows"]
            and fields["effort"] <= fields["wide_effort"] <= MAX_INT32
            and (scale is None or (type(scale) is float and 0 < scale < MAX_NORM))
        )
        if not is_valid:
            raise CorruptBundleError(
                f"the description of the index is {short_repr(fields)}; expected the fields that save() "
                "wrote: use another copy of the bundle, or save the model again"
            )
        return cls(**fields)

    def effort_for(self, n: int) -> int:
        """Return the effort for ``n`` results.

        For up to ``k`` results, it is ``effort``. From ``k`` to ``10 * k`` results, it is interpolated
        linearly between ``effort`` and ``wide_effort``. For more results, it is extrapolated, and grows by at
        least 1.25 per result.
        """
        many = WIDE * self.k
        slope = (self.wide_effort - self.effort) / (many - self.k)
        measured = slope * max(0, min(n, many) - self.k)
        return int(self.effort + measured + max(SLOPE_BEYOND, slope) * max(0, n - many))


@dataclass(frozen=True, eq=False, repr=False)
class FaissIndex(GroupedIndex):
    """Approximate index: a hierarchical navigable small world graph over the distinct rows.

    Source: Malkov & Yashunin, Efficient and robust approximate nearest neighbor search using HNSW graphs,
    2018.

    The nodes hold vectors of equal norm (see ``directions``). In a graph of the original rows, ranked by
    inner product, rows with small norms would be unreachable. The vectors are stored as 16-bit floats, which
    suffice because ``find_many`` computes exact scores of candidates. The graph does not depend on the number
    of threads that build it.
    """

    kind: ClassVar[str] = "faiss"
    matrix: Floats
    largest_norm: float
    description: Description
    content: Bytes
    graph: Any
    groups: Groups

    @classmethod
    def build(cls, matrix: Floats, *, queries: Floats | None, recall: float, k: int, seed: int) -> FaissIndex:
        """Build the graph, and increase the effort until the index reaches ``recall`` (see ``_tuned``).

        The recall of the ``k`` best rows is measured with a sample of ``queries``; if ``queries`` is ``None``
        or empty, with a sample of the rows. It is always reached: if the necessary effort makes a search
        slower than a scan, the index requests a scan, which is exact.
        """
        faiss, matrix = _faiss(), as_matrix(matrix)
        scale, groups = scale_of(matrix), Groups.of(matrix)
        content = _graph_bytes(matrix, groups.first, scale, seed)
        description = Description(
            faiss=f"{faiss.__version__} {faiss.get_compile_options().strip()}",
            rows=len(matrix),
            dimensions=matrix.shape[1],
            nodes=groups.n_groups,
            scale=scale,
            links=LINKS,
            effort=1,
            wide_effort=1,
            k=min(k, len(matrix)),
            recall=0.0,
            seed=seed,
            bytes=len(content),
        )
        return cls._open(content, matrix, groups, description)._tuned(queries, recall)

    @classmethod
    def load(cls, folder: Path, matrix: Floats, description: dict[str, Any], prefix: str = "") -> FaissIndex:
        """Memory-map a saved index of this matrix.

        A file that is truncated, in another format, or built from other vectors is rejected. This method
        compares a sample of 1,000 vectors, so that it does not detect every damaged vector, nor a damaged
        link to an existing node. Such damage would make searches miss rows; the checksums of the bundle
        detect it.

        Raises
        ------
        CorruptBundleError
            If a file or the description is missing or damaged, or was made for another matrix. The index can
            be rebuilt from the matrix.
        InputError
            If the matrix is invalid (see ``as_matrix``).
        """
        matrix = as_matrix(matrix)
        saved = Description.read(description)
        if (saved.rows, saved.dimensions) != matrix.shape:
            raise CorruptBundleError(
                f"the index has shape ({saved.rows}, {saved.dimensions}); expected {matrix.shape}, the shape "
                "of the matrix: use another copy of the bundle, or rebuild the index"
            )
        groups = Groups.load(folder, saved.rows, saved.nodes, prefix)
        path = folder / f"{prefix}{FILE}"
        return cls._open(_mapped(path, saved.bytes), matrix, groups, saved, path.name)

    @classmethod
    def _open(
        cls, content: Bytes, matrix: Floats, groups: Groups, description: Description, name: str = FILE
    ) -> FaissIndex:
        graph = _graph_of(content, name)
        _check_graph(graph, matrix, groups, description, name)
        return cls(matrix, float(row_norms(matrix).max()), description, content, graph, groups)

    @property
    def is_slower_than_a_scan(self) -> bool:
        """Whether a search for ``k`` results takes longer than a scan of all rows."""
        return self.description.effort * SCANNED_PER_STEP > self.description.rows

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:
        """Return the rows of about the ``n`` best nodes, or ``None`` to request a scan.

        A scan is requested if ``n_scanned`` is below 120 times the effort: a scan is then faster.
        """
        # FAISS keeps at least as many nodes as it returns.
        effort = max(self.description.effort_for(n), n + SPARE)
        if effort * SCANNED_PER_STEP > n_scanned:
            return None
        nodes = self._nearest(direction_of(query, self.description.scale), n + SPARE, effort)[0]
        return self.groups.rows_of(nodes, n)

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """Write ``index.faiss`` and ``groups.npy`` with this prefix, flush both; return the description."""
        write_bytes(folder / f"{prefix}{FILE}", self.content.data)
        self.groups.save(folder, prefix)
        return dataclasses.asdict(self.description)

    def _nearest(self, direction: Floats, n: int, effort: int) -> tuple[Rows, Floats]:
        """Return the up to ``n`` best nodes by cosine, best first, and the cosines of these nodes."""
        n, settings = min(n, self.description.nodes), _settings(effort)
        cosines, nodes = self.graph.search(direction[None], n, params=settings)
        found = nodes[0] >= 0
        return nodes[0][found], cosines[0][found]

    def _tuned(self, queries: Floats | None, recall: float) -> FaissIndex:
        """Return the index with efforts that suffice for ``k`` and for ``10 * k`` results.

        The efforts are increased in small steps. The measured recall minus two standard errors must reach
        ``recall``. Unless a scan is faster, queries with the vectors of sampled nodes must also retrieve at
        least 98 % of these nodes. If the effort for ``k`` suffices for more results, ``k`` is raised to the
        number of these results, at most to 8 times its value. The reason is that a search with a filter
        requests more results than it returns, and should take no higher effort than necessary.
        """
        random, k = np.random.default_rng(self.description.seed), self.description.k
        yardstick = Yardstick.of(self.matrix, queries, k=WIDE * MOST * k, random=random)
        items = sample_rows(random, self.description.nodes, SAMPLED_ITEMS)
        plain, effort = yardstick.within(k), k
        while True:
            index = self._with(effort=effort, wide_effort=effort)
            measured, certain = plain.recall(index)
            if certain >= recall and (index.is_slower_than_a_scan or index._retrieves(items)):
                break
            effort += 1 + effort // 8
        step = max(1, k // 2)
        for further in range(k + step, MOST * k + 1, step):
            mean, certain = yardstick.within(further).recall(index._with(k=further))
            if certain < recall:
                break
            k, measured = further, mean
        many, wide = yardstick.within(WIDE * k), max(effort, WIDE * k)
        while many.recall(self._with(k=k, effort=effort, wide_effort=wide))[1] < recall:
            wide += 1 + wide // 8
        return self._with(k=k, effort=effort, wide_effort=wide, recall=measured)

    def _with(self, **changes: Any) -> FaissIndex:
        return dataclasses.replace(self, description=dataclasses.replace(self.description, **changes))

    def _retrieves(self, items: Rows) -> bool:
        """Return whether queries with the vectors of these nodes retrieve at least 98 % of the nodes.

        A node also counts as retrieved if its cosine to each result is above 0.999, because the results then
        are near-duplicates of the node.
        """
        rows = directions(self.matrix[self.groups.first[items]], self.description.scale)
        n, hits = self.description.k + SPARE, 0
        for item, direction in zip(items.tolist(), rows, strict=True):
            nodes, cosines = self._nearest(direction, n, self.description.effort)
            hits += item in nodes or cosines[-1] > 1 - SAME_COSINE
        return bool(hits >= SELF_RETRIEVED * len(items))


def _faiss() -> ModuleType:
    """Return the module ``faiss``. It is imported at its first use, because the import takes 0.1 s."""
    import faiss

    module: ModuleType = faiss
    return module


@lru_cache(maxsize=1024)
def _settings(effort: int) -> Any:
    """Return the settings of a search; they are cached, which is safe because FAISS does not modify them."""
    return _faiss().SearchParametersHNSW(efSearch=effort)


def _graph_bytes(matrix: Floats, first: Rows, scale: float | None, seed: int) -> Bytes:
    """Build a graph over the distinct rows, and return it in the format of FAISS's files."""
    faiss = _faiss()
    rows = directions(matrix if len(first) == len(matrix) else matrix[first], scale)
    kind, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    try:
        graph = faiss.IndexHNSWSQ(rows.shape[1], kind, LINKS, metric)
        graph.hnsw.efConstruction = BUILD_EFFORT
        graph.hnsw.rng = faiss.RandomGenerator(seed & MAX_INT32)
        graph.train(rows[:1])
        # The worker threads of OpenMP belong to the thread that started them. They do not exist in a forked
        # process, where a second build on the same thread would wait for them forever.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_add, graph, rows).result()
        content: Bytes = faiss.serialize_index(graph)
    except (MemoryError, RuntimeError) as error:
        raise InputError(
            f"FAISS could not build the index ({error!s:.200})",
            remedies=[
                Remedy("index", "exact", "build the model with {}", "train the model with --index exact")
            ],
        ) from error
    return content


def _add(graph: Any, rows: Floats) -> None:
    if len(rows) < ONE_THREAD_BELOW_ROWS:
        _faiss().omp_set_num_threads(1)
    graph.add(rows)


def _mapped(path: Path, n_bytes: int) -> Bytes:
    """Map a file read-only, after checking its size."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == n_bytes:
                return np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))
    except OSError as error:
        raise unreadable(path, error) from error
    raise CorruptBundleError(
        f"{path.name} has {size:,} bytes; expected {n_bytes:,}: use another copy of the bundle, or "
        "rebuild the index"
    )


def _graph_of(content: Bytes, name: str) -> Any:
    """Return the graph in the file ``name``; the graph refers to the memory of ``content``."""
    faiss = _faiss()
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), len(content))
    try:
        return faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
    except (MemoryError, RuntimeError) as error:
        raise CorruptBundleError(
            f"{name} is damaged, or not an index of FAISS ({error!s:.200}): use another copy of the "
            "bundle, or rebuild the index"
        ) from error


def _check_graph(graph: Any, matrix: Floats, groups: Groups, description: Description, name: str) -> None:
    """Raise ``CorruptBundleError`` unless graph and groups match the description and the matrix.

    The vectors of up to 1,000 evenly spaced rows are compared with the vectors of their nodes. Each number
    may differ by up to 0.001, because the nodes store 16-bit floats.
    """
    faiss = _faiss()
    expected = (description.dimensions + (description.scale is not None), description.nodes)
    is_valid = (
        isinstance(graph, faiss.IndexHNSWSQ)
        and (graph.d, graph.ntotal) == expected
        and graph.metric_type == faiss.METRIC_INNER_PRODUCT
        and groups.is_valid
    )
    if is_valid:
        rows = np.linspace(0, len(matrix) - 1, num=CHECKED_ROWS).astype(np.intp)
        vectors = graph.reconstruct_batch(groups.codes[rows].astype(np.int64))
        wanted = directions(matrix[rows], description.scale)
        is_valid = np.allclose(vectors, wanted, rtol=0, atol=ROUNDING)
    if not is_valid:
        raise CorruptBundleError(
            f"{name} is another kind of index, or was built over other vectors or other groups of equal "
            "vectors; expected an HNSW graph over the vectors of the matrix: use another copy of the "
            "bundle, or rebuild the index"
        )
