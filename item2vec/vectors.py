"""Item vectors, the result of training; files of word2vec and GloVe."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from item2vec.arguments import check_fields, check_rows, checked
from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.curve import Epoch, chart_of
from item2vec.errors import InputError
from item2vec.figures import draw
from item2vec.interactions import read_only
from item2vec.matrices import finite_rows, unit_rows
from item2vec.notebook import html_table
from item2vec.ranking import top_k
from item2vec.types import Recommendation, Vocabulary, as_history, check_k
from item2vec.word2vec_files import counts_beside, read_counts, read_vectors, write_counts, write_vectors

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from item2vec.config.training import TrainConfig

__all__ = ["Epoch", "ItemVectors"]

log = logging.getLogger(__name__)

SHOWN = 5
"""Number of items in the HTML of vectors."""


@dataclass(frozen=True, eq=False, repr=False)
class ItemVectors:
    """The input and output matrices of word2vec, one row per item, most frequent item first.

    gensim's training loss is not recorded. It varies between runs with several workers, and its float32 sum
    stops changing near 2**27.

    Attributes
    ----------
    vocabulary
        The items, in the order of the rows.
    input
        Input vectors (float32, n items × dimensions). Similar items have a high cosine. A row of zeros means
        that the item has no input vector, see ``has_input`` and ``has_vector``.
    output
        Output vectors (same shape), or ``None`` after hierarchical softmax. The inner product of the input
        vector of one item and the output vector of another is high if the second item occurs near the first.
    counts
        Number of tokens of each item (float64, n items). If the sentences have weights, the sum of weights.
    config
        The settings of training.
    curve
        The training loss of each epoch, and the validation metrics, if there are validation data. Empty for
        vectors that were not trained by item2vec.
    tokens_read
        Number of tokens read over all epochs; ``None`` if unknown.
    read_share
        Expected share of tokens read per epoch; below 1 if weights are unequal; ``None`` if unknown.
    positions
        Learned weight of a history item by position, newest first, for each part of the vectors (float32,
        parts × positions); ``None`` if not learned.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, there is an output matrix and an item has neither an input
        nor an output vector, or no item has an input vector.

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

    @cached_property
    def has_input(self) -> Mask:
        """Whether each item has an input vector (bool, n items).

        If only earlier items are context (next_item, ``forward_only``), an item that occurs only at the end
        of sentences has no input vector. After a single epoch of skip-gram or CBOW, this also holds for an
        item that occurs only in the first windows. Such an item can be recommended by its output vector, and
        is ignored in histories.
        """
        return read_only(self.input.any(axis=1), np.bool_)

    @cached_property
    def has_vector(self) -> Mask:
        """Whether each item has an input or an output vector (bool, n items).

        Files of vectors may contain rows of zeros. Such an item is never recommended, and has no similar
        items.
        """
        has_output = self.output is not None and self.output.any(axis=1)
        return read_only(self.has_input | has_output, np.bool_)

    def with_vector(self, eligible: Mask | None) -> Mask | None:
        """Return a mask of items without those that have no vector; ``None`` stands for all items."""
        if bool(self.has_vector.all()):
            return eligible
        return self.has_vector if eligible is None else eligible & self.has_vector

    @cached_property
    def unit_input(self) -> Floats:
        """The input vectors, scaled to length 1. An item without an input vector has a row of zeros."""
        return read_only(unit_rows(self.input), np.float32)

    @cached_property
    def unit_output(self) -> Floats:
        """The output vectors, scaled to length 1. An item without an output vector has a row of zeros.

        Raises
        ------
        InputError
            If there is no output matrix.
        """
        if self.output is None:
            raise InputError("the vectors have no output matrix; expected one: train with negative sampling")
        return read_only(unit_rows(self.output), np.float32)

    def similarity_matrix(self, rows: Rows) -> Floats:
        """Return the unit vectors for comparing the items of ``rows`` with all items (n items × dimensions).

        These are the input vectors, or the output vectors if an item of ``rows`` has no input vector.

        Raises
        ------
        InputError
            If an item of ``rows`` has no vector.
        """
        check_rows(rows, len(self))
        if not self.has_vector[rows].all():
            item = self.vocabulary.ids[rows[int(np.argmin(self.has_vector[rows]))]]
            raise InputError(
                f"item {item!r} has no vector: its row is zero; expected an item with a vector, which can be "
                "compared"
            )
        return self.unit_input if self.has_input[rows].all() else self.unit_output

    def similarity(self, item: str, other: str) -> float:
        """Return the cosine of two items' input vectors; of output vectors if an item has no input vector."""
        rows = np.array([self.vocabulary.code(item), self.vocabulary.code(other)], dtype=np.intp)
        unit, other_unit = self.similarity_matrix(rows)[rows]
        return float(unit @ other_unit)

    def similar_items(self, item: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items with the highest cosine of input vectors to an item, best first.

        The item itself is left out. If it has no input vector, output vectors are compared.
        """
        return self.analogy(positive=[item], k=k)

    @checked
    def analogy(
        self, *, positive: Iterable[str], negative: Iterable[str] = (), k: int = 10
    ) -> list[Recommendation]:
        """Return the ``k`` items nearest to the positive items minus the negative ones (3CosAdd).

        The query is the sum of the positive minus the negative items' unit vectors. All these items are left
        out of the result.
        Source: Mikolov et al., Linguistic Regularities in Continuous Space Word Representations, NAACL 2013,
        section 4.
        """
        check_k(k)
        target, named = self.analogy_target(positive, negative)
        scores = self.similarity_matrix(named) @ target
        scores[named] = -np.inf
        scores[~self.has_vector] = -np.inf
        rows = top_k(scores, k)
        ids = self.vocabulary.decode(rows)
        return [Recommendation(item, float(score)) for item, score in zip(ids, scores[rows], strict=True)]

    def analogy_target(self, positive: Iterable[str], negative: Iterable[str]) -> tuple[Floats, Rows]:
        """Return the unit query vector of an analogy, and the rows of its positive and negative items.

        The score of an item is the inner product of the query and the item's row in ``similarity_matrix``.
        """
        signs = [(1, id_) for id_ in as_history(positive, "positive")]
        signs += [(-1, id_) for id_ in as_history(negative, "negative")]
        if not signs or signs[0][0] < 0:
            raise InputError("positive is empty; expected at least one positive item")
        rows = np.array([self.vocabulary.code(id_) for _, id_ in signs], dtype=np.intp)
        weights = np.array([sign for sign, _ in signs], dtype=np.float32)
        target = weights @ self.similarity_matrix(rows)[rows]
        norm = np.linalg.norm(target)
        if norm < 1e-6:
            raise InputError(
                "the positive and negative items cancel each other out; expected a non-zero sum of vectors"
            )
        return target / norm, rows

    @checked
    def take(self, rows: npt.NDArray[Any]) -> ItemVectors:
        """Return the vectors of these rows, in this order."""
        check_rows(rows, len(self))
        return dataclasses.replace(
            self,
            vocabulary=self.vocabulary.take(rows),
            input=self.input[rows],
            output=None if self.output is None else self.output[rows],
            counts=self.counts[rows],
        )

    @checked
    def save_word2vec(self, path: str | PathLike[str], *, binary: bool = False) -> None:
        """Write the input vectors in word2vec's text or binary format, and the counts beside them.

        The counts are written to a file with the suffix ``.vocab`` in the layout of gensim's ``fvocab``
        ("id count" per line). gensim reads only whole counts. Existing files are overwritten. The vectors are
        compressed if the suffix of the path is ``.gz``. Items without an input vector are left out, and a
        warning is logged.

        In this format, a blank ends an id. An id with white space is therefore written as ``%:`` and the
        percent-encoded id, such as ``%:new%20order``. ``load`` and ``load_word2vec`` decode such ids.

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
        r"""Read input vectors in the formats of word2vec (text or binary) and GloVe, as is or compressed.

        A row of zeros is kept: its item has no vector. A row whose id occurs in an earlier row is dropped,
        and a warning is logged. Ids are kept as they are, except ids that ``save_word2vec`` has encoded.

        Parameters
        ----------
        path
            The file. Its first line may contain the number of rows and the number of dimensions; without
            such a line, the file has GloVe's format, whose ids may contain blanks.
        limit
            Maximum number of rows to read; the rest of the file is not checked. ``None``: all rows.
        binary
            Whether the file has word2vec's binary format. ``None``: detected by the content.
        vocab
            File of counts with a line "id count" per item, as written by ``save_word2vec``, gensim
            (``fvocab``) or word2vec.c (``-save-vocab``). ``None``: the file with the name of ``path`` and the
            suffix ``.vocab``, if it exists; otherwise all counts are 1.
        encoding
            Encoding of ids.

        Raises
        ------
        InputError
            If a file cannot be read or is malformed. The message names the line, or the row of a binary file.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "glove.txt"
        ...     _ = file.write_text("the 0.1 0.2\nof 0.3 0.4\nand 0.5 0.6\n")
        ...     ItemVectors.load(file, limit=2).vocabulary
        Vocabulary(2 ids: 'the', 'of')
        """
        vocabulary, matrix = read_vectors(Path(path), binary=binary, limit=limit, encoding=encoding)
        beside = counts_beside(Path(path)) if vocab is None else Path(vocab)
        has_counts = vocab is not None or beside.is_file()
        counts = read_counts(beside, vocabulary, encoding) if has_counts else np.ones(len(vocabulary))
        try:
            return cls(vocabulary, matrix, None, counts)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    @checked
    def load_word2vec(cls, path: str | PathLike[str], *, binary: bool = False) -> ItemVectors:
        """Return the result of ``load`` for a file in word2vec's text or binary format."""
        return cls.load(path, binary=binary)


def _fault(vectors: ItemVectors) -> str | None:
    n_items = len(vectors.vocabulary)
    for name, matrix in (("input", vectors.input), ("output", vectors.output)):
        if matrix is None:
            continue
        if matrix.ndim != 2 or len(matrix) != n_items or matrix.shape != vectors.input.shape:
            return f"{name} has shape {matrix.shape}; expected {n_items} rows, one per item"
        finite = finite_rows(matrix)
        if not bool(finite.all()):
            return f"{name} vector of {vectors.vocabulary.ids[int(np.argmin(finite))]!r} is not finite"
    if vectors.counts.shape != (n_items,) or not bool(
        np.all(np.isfinite(vectors.counts) & (vectors.counts >= 0))
    ):
        return "counts is invalid; expected one finite number >= 0 per item"
    if vectors.positions is not None and (problem := _positions_problem(vectors.positions, vectors.input)):
        return problem
    if vectors.output is not None and not bool(vectors.has_vector.all()):
        item = vectors.vocabulary.ids[int(np.argmin(vectors.has_vector))]
        return f"input vector of {item!r} is zero, and so is its output vector"
    return None if bool(vectors.has_input.any()) else "no item has an input vector"


def _positions_problem(positions: Floats, matrix: Floats) -> str | None:
    size = matrix.shape[1]
    if positions.ndim != 2 or 0 in positions.shape or size % len(positions):
        return f"positions has shape {positions.shape}; expected one row per part of the {size} dimensions"
    if not bool((np.isfinite(positions) & (positions >= 0)).all()):
        return f"positions contains {positions.min()}; expected finite weights >= 0"
    if not bool((positions[:, 0] > 0).all()):
        return "positions has weight 0 for the newest item; expected a weight above 0"
    return None
