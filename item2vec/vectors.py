"""``ItemVectors``: the result of training, or vectors read from a file of word2vec, GloVe or gensim."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from item2vec.arguments import check_fields, checked, row_indices
from item2vec.arrays import Doubles, Floats
from item2vec.curve import Epoch, chart_of
from item2vec.errors import CorruptBundleError, InputError, short_repr
from item2vec.figures import draw
from item2vec.geometry import Geometry
from item2vec.interactions import read_only
from item2vec.keyed_vectors import is_pickle, read_keyed_vectors
from item2vec.matrices import finite_rows
from item2vec.notebook import html_table
from item2vec.types import Vocabulary, as_history
from item2vec.vector_folders import is_folder_of_vectors, read_folder, write_folder
from item2vec.word2vec_files import (
    check_limit,
    counts_beside,
    read_counts,
    read_vectors,
    write_counts,
    write_vectors,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from item2vec.config.training import TrainConfig

__all__ = ["Epoch", "ItemVectors"]

log = logging.getLogger(__name__)

Unknown = Literal["mean", "zeros"]
SHOWN = 5
"""Number of items in the HTML of vectors."""


@dataclass(frozen=True, eq=False, repr=False)
class ItemVectors(Geometry):
    """Input and output vectors with one row per item; after training, the most frequent item is first.

    Attributes
    ----------
    vocabulary
        The items, in the order of the rows.
    input
        Input vectors (float32, n items × dimensions). Similar items have a high cosine. A row of zeros means
        that the item has no input vector, see ``has_input`` and ``has_vector``.
    output
        Output vectors (same shape), which have high inner products with the input vectors of co-occurring
        items. ``None`` after hierarchical softmax alone (``negative=0``), and for files of other libraries.
    counts
        Number of tokens of each item, or the sum of the positive token weights (float64, n items).
    config
        The settings of training; ``None`` for vectors that were not trained by item2vec.
    curve
        The training loss of each epoch, and the validation metrics, if there are validation data. Empty after
        ``load``, without training by item2vec, and for LSA and tables of neighbours without validation data.
    tokens_read
        Number of tokens read over all epochs; ``None`` if unknown.
    read_share
        Expected number of tokens that an epoch reads, divided by the number that it would read if all token
        weights >= 0 were equal; below 1 if one of these weights is below the median. ``None`` if unknown.
    positions
        Learned weight of a history item by position, newest first, for each part of the vectors (float32,
        parts × positions); ``None`` if no weights were learned.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, or a count or a learned weight is invalid. If no item has an
        input vector. With an output matrix, also if an item has neither an input nor an output vector.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = ItemVectors(
    ...     Vocabulary(("a", "b", "c")), np.array([[1, 0], [0.9, 0.1], [0, 1]]), None, np.array([3, 2, 1]))
    >>> vectors
    ItemVectors(3 items × 2 dimensions, input only)
    >>> [item for item, score in vectors.similar_items("a", k=2)]
    ['b', 'c']
    """

    vocabulary: Vocabulary
    input: Floats
    output: Floats | None
    counts: Doubles
    config: TrainConfig | None = None
    curve: tuple[Epoch, ...] = ()
    tokens_read: int | None = None
    read_share: float | None = None
    positions: Floats | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "input", read_only(self.input, np.float32))
        object.__setattr__(self, "counts", read_only(self.counts, np.float64))
        if self.output is not None:
            object.__setattr__(self, "output", read_only(self.output, np.float32))
        if self.positions is not None:
            object.__setattr__(self, "positions", read_only(self.positions, np.float32))
        fault = _fault(self)
        if fault:
            raise InputError(f"invalid item vectors: {fault}")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, item: object) -> bool:
        return item in self.vocabulary

    def __getitem__(self, item: str) -> Floats:
        """Return an item's input vector."""
        row: Floats = self.input[self.vocabulary.code(item)]
        return row

    def __repr__(self) -> str:
        kept = "input only" if self.output is None else "input and output"
        return f"ItemVectors({len(self):,} items × {self.input.shape[1]} dimensions, {kept})"

    def _repr_html_(self) -> str:
        rows = [[self.vocabulary.ids[row], float(self.counts[row])] for row in range(min(SHOWN, len(self)))]
        return html_table(repr(self), rows, ["most frequent items", "tokens"])

    def plot(self) -> go.Figure:
        """Return a plotly figure of ``curve``: training loss and validation metrics by epoch.

        Raises
        ------
        InputError
            If the curve is empty.
        MissingExtraError
            If plotly is not installed.
        """
        return draw(chart_of(self.curve))

    @checked
    def take(self, rows: npt.NDArray[Any]) -> ItemVectors:
        """Return the vectors of these rows, in this order. ``rows`` is a mask or an array of row indices."""
        rows = row_indices(rows, len(self))
        return dataclasses.replace(
            self,
            vocabulary=self.vocabulary.take(rows),
            input=self.input[rows],
            output=None if self.output is None else self.output[rows],
            counts=self.counts[rows],
        )

    @checked
    def select(self, items: Iterable[str]) -> ItemVectors:
        """Return the vectors of the known ids among ``items``, in this order; repeats are dropped.

        Raises
        ------
        InputError
            If no id is known, or no known item has an input vector.
        """
        codes = self.vocabulary.encode(items)
        known = np.array(list(dict.fromkeys(codes[codes >= 0].tolist())), dtype=np.intp)
        if not len(known):
            raise InputError(
                f"none of {len(codes):,} ids is known; expected ids such as {self.vocabulary.ids[0]!r}"
            )
        return self.take(known)

    @checked
    def embedding_matrix(
        self, items: Iterable[str], *, unknown: Unknown | None = "mean", padding: bool = True
    ) -> Floats:
        """Return an array for the embedding layer of another model, with a row per id of its vocabulary.

        Parameters
        ----------
        items
            The ids of the caller's vocabulary, in its order.
        unknown
            Values of an additional row for ids outside ``items``, and of the rows of ids in ``items`` without
            an input vector: ``"mean"`` of the input vectors, or ``"zeros"``. ``None``: there is no additional
            row, and every id must have an input vector.
        padding
            Whether to begin with a row of zeros, for padded sequences.

        Returns
        -------
        numpy.ndarray
            A new writeable, C-contiguous array (float32, rows × dimensions). The rows are: the padding (row
            0), the unknown row (row 1, or 0 without padding), then the ids. So with both rows, the i-th id,
            counted from 0, has row i + 2.

        Raises
        ------
        UnknownItemError
            If ``unknown`` is ``None`` and an id is unknown.
        InputError
            If ``unknown`` is ``None`` and an item has no input vector, or ``unknown`` has another value.

        Examples
        --------
        >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.array([[1, 0], [0, 1]]), None, np.ones(2))
        >>> vectors.embedding_matrix(["b", "new"])
        array([[0. , 0. ],
               [0.5, 0.5],
               [0. , 1. ],
               [0.5, 0.5]], dtype=float32)
        """
        if unknown not in (*get_args(Unknown), None):
            raise InputError(f"unknown is {short_repr(unknown)}; expected 'mean', 'zeros', or None")
        codes = self.vocabulary.encode(ids := as_history(items, "items"))
        missing = ~np.append(self.has_input, False)[codes]  # code -1 selects the appended flag
        if unknown is None and missing.any():
            item = ids[int(missing.argmax())]
            self.vocabulary.code(item)
            raise InputError(f"item {item!r} has no input vector; pass unknown='mean', or omit the item")
        first = int(padding) + int(unknown is not None)
        matrix = np.zeros((first + len(codes), self.input.shape[1]), np.float32)
        matrix[first:][~missing] = self.input[codes[~missing]]
        if unknown == "mean":
            matrix[first - 1] = self.input[self.has_input].mean(axis=0, dtype=np.float64)
            matrix[first:][missing] = matrix[first - 1]
        return matrix

    @checked
    def save(self, path: str | PathLike[str]) -> None:
        """Write the ids, arrays and settings of training to a new folder; ``load`` memory-maps the arrays.

        ``curve``, ``tokens_read`` and ``read_share`` are not saved. Memory-mapped vectors are read on demand,
        and processes share them. Convert a large file once: ``ItemVectors.load("glove.txt").save("glove")``.

        Raises
        ------
        BundleExistsError
            If the path exists.
        WriteError
            If a file cannot be written.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"input": self.input, "counts": self.counts}
        optional = {"output": self.output, "positions": self.positions}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        write_folder(Path(path), self.vocabulary.ids, arrays, self.config)

    @checked
    def save_word2vec(self, path: str | PathLike[str], *, binary: bool = False) -> None:
        """Write the input vectors in word2vec's text or binary format, and a count file beside them.

        The count file has the suffix ``.vocab`` after the whole name, and the layout of gensim's
        ``fvocab`` ("id count" per line). gensim reads only whole counts. Existing files are overwritten. The
        vectors are compressed if the suffix of the path is ``.gz``. Items without an input vector are left
        out, and a warning is logged.

        In word2vec's formats, a space ends an id. An id that contains white space, or starts with ``%:``, is
        therefore written as ``%:`` and the percent-encoded id (``%:new%20order``). ``load`` decodes such ids.

        Raises
        ------
        WriteError
            If a file cannot be written.
        """
        known = np.flatnonzero(self.has_input)
        if len(known) < len(self):
            skipped = len(self) - len(known)
            log.warning("%s leaves out %d of %d items: they have no input vector", path, skipped, len(self))
        kept = self if len(known) == len(self) else self.take(known)
        write_vectors(Path(path), kept.vocabulary.ids, kept.input, binary=binary)
        write_counts(counts_beside(Path(path)), kept.vocabulary.ids, kept.counts)

    @classmethod
    @checked
    def load(
        cls,
        path: str | PathLike[str],
        *,
        limit: int | None = None,
        binary: bool | None = None,
        vocab: str | PathLike[str] | None = None,
        encoding: str = "utf-8",
    ) -> ItemVectors:
        r"""Read vectors in the formats of word2vec, GloVe and gensim, or from a folder written by ``save``.

        The format is detected by the content: word2vec (text or binary), GloVe, or gensim's ``KeyedVectors``
        (read without unpickling; see ``item2vec.keyed_vectors``). These files may be compressed, and contain
        input vectors only.

        A row of zeros is kept: its item has no vector. A row whose id occurs in an earlier row is dropped,
        and a warning is logged. Ids are not changed, except ids that ``save_word2vec`` has encoded.

        Parameters
        ----------
        path
            The file or folder. For a folder, ``binary``, ``vocab`` and ``encoding`` are ignored. Line 1 of a
            text file may contain the number of rows and the number of dimensions. If it does not, the file
            has GloVe's format, whose ids may contain spaces. The matrices of a folder, and the file
            ``.vectors.npy`` that gensim writes beside large ``KeyedVectors``, are memory-mapped.
        limit
            Maximum number of rows to read; the rest of the file is not checked. ``None``: all rows.
        binary
            Whether the file has word2vec's binary format. ``None``: detected by the content.
        vocab
            File of counts with a line "id count" per item, as written by ``save_word2vec``, gensim
            (``fvocab``) or word2vec.c (``-save-vocab``). ``None``: the file with the name of ``path`` and the
            suffix ``.vocab``, if it exists; otherwise the counts of ``KeyedVectors``, or 1 for other formats.
        encoding
            Text encoding of the vector file and of the count file.

        Raises
        ------
        InputError
            If a file cannot be read or is malformed. The message names the line, or the row of a binary file.
        CorruptBundleError
            If a file of a folder is missing or damaged.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "glove.txt"
        ...     _ = file.write_text("the 0.1 0.2\nof 0.3 0.4\nand 0.5 0.6\n")
        ...     ItemVectors.load(file, limit=2).vocabulary
        Vocabulary(2 ids: 'the', 'of')
        """
        path = Path(path)
        check_limit(limit)
        if is_folder_of_vectors(path):
            return cls._from_folder(path, limit)
        if binary is None and is_pickle(path):
            vocabulary, matrix, counts = read_keyed_vectors(path, limit=limit)
        else:
            vocabulary, matrix = read_vectors(path, binary=binary, limit=limit, encoding=encoding)
            counts = np.ones(len(vocabulary))
        beside = counts_beside(path) if vocab is None else Path(vocab)
        if vocab is not None or beside.is_file():
            counts = read_counts(beside, vocabulary, encoding)
        try:
            return cls(vocabulary, matrix, None, counts)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def _from_folder(cls, path: Path, limit: int | None) -> ItemVectors:
        ids, arrays, config = read_folder(path)
        if limit is not None:
            arrays = {name: array if name == "positions" else array[:limit] for name, array in arrays.items()}
        fields: dict[str, Any] = {"output": None, **arrays}
        try:
            return cls(vocabulary=Vocabulary(ids[:limit]), config=config, **fields)
        except InputError as error:
            raise CorruptBundleError(f"{path}: {error}; use another copy") from error

    @classmethod
    @checked
    def load_word2vec(cls, path: str | PathLike[str], *, binary: bool = False) -> ItemVectors:
        """Return the result of ``load`` for a file in word2vec's text format, or binary if ``binary``."""
        return cls.load(path, binary=binary)


def _fault(vectors: ItemVectors) -> str | None:
    n_items = len(vectors.vocabulary)
    for name, matrix in (("input", vectors.input), ("output", vectors.output)):
        if matrix is None:
            continue
        if matrix.ndim != 2 or len(matrix) != n_items or matrix.shape != vectors.input.shape:
            expected = f"{n_items} rows, one per item, and equal dimensions of input and output"
            return f"{name} has shape {matrix.shape}; expected {expected}"
        finite = finite_rows(matrix)
        if not bool(finite.all()):
            return f"{name} vector of {vectors.vocabulary.ids[int(np.argmin(finite))]!r} is not finite"
    valid = np.isfinite(counts := vectors.counts) & (counts >= 0)
    if counts.shape != (n_items,) or not bool(valid.all()):
        found = f"has shape {counts.shape}" if valid.all() else f"contains {counts[~valid][0]}"
        return f"counts is invalid: it {found}; expected {n_items} finite numbers >= 0, one per item"
    if vectors.positions is not None and (problem := _positions_problem(vectors.positions, vectors.input)):
        return problem
    if vectors.output is not None and not bool(vectors.has_vector.all()):
        item = vectors.vocabulary.ids[int(np.argmin(vectors.has_vector))]
        return f"input vector of {item!r} is zero, and so is its output vector; expected one non-zero vector"
    return None if bool(vectors.has_input.any()) else "no item has an input vector; expected at least one"


def _positions_problem(positions: Floats, matrix: Floats) -> str | None:
    size = matrix.shape[1]
    if positions.ndim != 2 or 0 in positions.shape or size % len(positions):
        return f"positions has shape {positions.shape}; expected n rows of weights, where n divides {size}"
    if not bool((valid := np.isfinite(positions) & (positions >= 0)).all()):
        return f"positions contains {positions[~valid][0]}; expected finite weights >= 0"
    if not bool((positions[:, 0] > 0).all()):
        return "positions has weight 0 for the newest item; expected a weight above 0"
    return None
