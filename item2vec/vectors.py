"""Item vectors, the result of training; reading and writing of word2vec files."""

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

from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.matrices import unit_rows
from item2vec.ranking import top_k
from item2vec.types import Recommendation, Vocabulary, as_history, check_k

if TYPE_CHECKING:
    from item2vec.config.training import TrainConfig

__all__ = ["Epoch", "ItemVectors"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of a training curve: the validation metrics after an epoch.

    >>> Epoch(epoch=1, hr=0.25, ndcg=0.125).ndcg
    0.125
    """

    epoch: int
    hr: float
    ndcg: float


@dataclass(frozen=True, eq=False, repr=False)
class ItemVectors:
    """The input and output matrices of word2vec, one row per item, most frequent item first.

    Attributes
    ----------
    vocabulary
        The items, in the order of the rows.
    input
        Input vectors (float32, n items × dimensions). Similar items have a high cosine. A row of zeros means
        that the item has no input vector, see ``has_input``.
    output
        Output vectors (same shape), or ``None`` after hierarchical softmax. The inner product of the input
        vector of one item and the output vector of another is high if the second item occurs near the first.
    counts
        Number of tokens of each item (float64, n items). If the sentences have weights, the sum of weights.
    config
        The settings of training.
    curve
        The validation metrics of each epoch; empty without validation data.
    tokens_read
        Number of tokens read over all epochs; ``None`` if unknown.
    read_share
        Expected share of tokens read per epoch; below 1 if weights are unequal; ``None`` if unknown.
    positions
        Learned weight of a history item by position, newest first, for each part of the vectors (float32,
        parts × positions); ``None`` if not learned.

    gensim's training loss is not recorded. It varies between runs with several workers, and its float32 sum
    stops changing near 2**27.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, or an item has neither an input nor an output vector.

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

    @cached_property
    def has_input(self) -> Mask:
        """Whether each item has an input vector (bool, n items).

        If only earlier items are context (next_item, ``forward_only``), an item that occurs only at the end
        of sentences has no input vector. It can be recommended by its output vector, and is ignored in
        histories.
        """
        return read_only(self.input.any(axis=1), np.bool_)

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
        """
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

    def take(self, rows: npt.NDArray[Any]) -> ItemVectors:
        """Return the vectors of these rows, in this order."""
        return dataclasses.replace(
            self,
            vocabulary=self.vocabulary.take(rows),
            input=self.input[rows],
            output=None if self.output is None else self.output[rows],
            counts=self.counts[rows],
        )

    def save_word2vec(self, path: str | PathLike[str], *, binary: bool = False) -> None:
        """Write the input vectors in word2vec's text or binary format.

        In this format, a space ends an id. White space and ``%`` in ids are therefore percent-encoded;
        ``load_word2vec`` decodes them. An existing file is overwritten. Items without an input vector are
        left out, and a warning is logged.
        """
        known = np.flatnonzero(self.has_input)
        if len(known) < len(self):
            skipped = len(self) - len(known)
            log.warning("%s leaves out %d of %d items: they have no input vector", path, skipped, len(self))
        ids = [_encode_id(id_).encode() for id_ in self.vocabulary.decode(known)]
        rows = self.input[known].astype("<f4", copy=False)
        with Path(path).open("wb") as file:
            file.write(f"{len(ids)} {self.input.shape[1]}\n".encode())
            for id_, row in zip(ids, rows, strict=True):
                numbers = row.tobytes() if binary else " ".join(map(repr, row.tolist())).encode()
                file.write(id_ + b" " + numbers + b"\n")

    @classmethod
    def load_word2vec(cls, path: str | PathLike[str], *, binary: bool = False) -> ItemVectors:
        """Read input vectors in word2vec's format, as written by ``save_word2vec``, gensim or word2vec.c.

        The format has no counts; they are set to 1.

        Raises
        ------
        InputError
            If the file cannot be read or is malformed. For text files, the message names the line.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        header, _, body = content.partition(b"\n")
        try:
            n_items, size = map(int, header.split())
            if min(n_items, size) < 1 or n_items * size > len(body):
                raise ValueError(
                    f"line 1 declares {n_items} × {size} numbers; expected at least 1 × 1, and at most one "
                    f"number per byte of the rest of the file ({len(body):,} bytes)"
                )
            ids, rows = (_binary_rows if binary else _text_rows)(body, n_items, size)
            vocabulary = Vocabulary(tuple(_decode_id(id_.decode()) for id_ in ids))
        except ValueError as error:
            kind = "binary" if binary else "text"
            raise InputError(f"{path} is not in word2vec's {kind} format: {error}") from error
        return cls(vocabulary, rows, None, np.ones(n_items))


def _fault(vectors: ItemVectors) -> str | None:
    n_items = len(vectors.vocabulary)
    for name, matrix in (("input", vectors.input), ("output", vectors.output)):
        if matrix is None:
            continue
        if matrix.ndim != 2 or len(matrix) != n_items or matrix.shape != vectors.input.shape:
            return f"{name} has shape {matrix.shape}; expected {n_items} rows, one per item"
        finite = np.isfinite(matrix).all(axis=1)
        if not bool(finite.all()):
            return f"{name} vector of {vectors.vocabulary.ids[int(np.argmin(finite))]!r} is not finite"
    if vectors.counts.shape != (n_items,) or not bool(
        np.all(np.isfinite(vectors.counts) & (vectors.counts >= 0))
    ):
        return "counts is invalid; expected one finite number >= 0 per item"
    if vectors.positions is not None and (problem := _positions_problem(vectors.positions, vectors.input)):
        return problem
    has_vector = (
        vectors.has_input if vectors.output is None else vectors.has_input | vectors.output.any(axis=1)
    )
    if not bool(has_vector.all()):
        output_too = "" if vectors.output is None else ", and so is its output vector"
        return f"input vector of {vectors.vocabulary.ids[int(np.argmin(has_vector))]!r} is zero{output_too}"
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


_TO_ENCODE = {ord(blank): f"%{ord(blank):02X}" for blank in "% \t\n\r\x0b\x0c"}


def _encode_id(id_: str) -> str:
    return id_.translate(_TO_ENCODE)


def _decode_id(id_: str) -> str:
    for blank, code in _TO_ENCODE.items():
        if blank != ord("%"):
            id_ = id_.replace(code, chr(blank))
    return id_.replace("%25", "%")


def _text_rows(body: bytes, n_items: int, size: int) -> tuple[list[bytes], Floats]:
    lines = body.rstrip(b"\r\n").split(b"\n")
    if len(lines) != n_items:
        raise ValueError(f"found {len(lines)} rows; line 1 declares {n_items}")
    ids: list[bytes] = []
    rows: Floats = np.empty((n_items, size), np.float32)
    for row, line in enumerate(lines):
        id_, *numbers = line.rstrip(b"\r ").split(b" ")
        if len(numbers) != size:
            raise ValueError(f"line {row + 2} has {len(numbers)} numbers; expected {size}")
        try:
            with np.errstate(over="ignore"):  # __post_init__ rejects infinite numbers
                rows[row] = numbers
        except ValueError as error:
            raise ValueError(f"line {row + 2}: {error}") from error
        ids.append(id_)
    return ids, rows


def _binary_rows(body: bytes, n_items: int, size: int) -> tuple[list[bytes], Floats]:
    ids: list[bytes] = []
    rows: Floats = np.empty((n_items, size), np.float32)
    start = 0
    for row in range(n_items):
        blank = body.index(b" ", start)
        ids.append(body[start:blank].lstrip(b"\n"))
        rows[row] = np.frombuffer(body, dtype="<f4", count=size, offset=blank + 1)
        start = blank + 1 + 4 * size
    if body[start:].strip(b"\n"):
        raise ValueError(f"found more than the {n_items} rows that line 1 declares")
    return ids, rows
