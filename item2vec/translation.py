"""Vectors of two catalogues in one space, by known pairs of items: a linear map, or joint sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from item2vec.arguments import check_fields, checked
from item2vec.arrays import Codes, Doubles, Floats, Offsets, Rows
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.interactions import read_only
from item2vec.matrices import unit_rows
from item2vec.ranking import top_k
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import check_least
from item2vec.types import Recommendation, Vocabulary, as_history, check_k
from item2vec.vectors import ItemVectors

__all__ = ["Translation", "align", "join_catalogues"]

NEIGHBOURS = 10
"""Number of nearest neighbours in the mean cosines of CSLS; see ``Translation.translate``."""
ROWS_PER_BLOCK = 1 << 10

Pairs = Iterable[tuple[str, str]]
Method = Literal["procrustes", "ridge"]


@dataclass(frozen=True, eq=False, repr=False)
class Translation:
    """A linear map from the vectors of one catalogue to the vectors of another; the result of ``align``.

    Attributes
    ----------
    source, target
        The vectors of both catalogues.
    matrix
        The map (float32, dimensions of source × dimensions of target). It applies to centred input vectors:
        scaled to length 1, minus the mean of the catalogue, and scaled to length 1 again (Artetxe, Labaka &
        Agirre, EMNLP 2016).

    Examples
    --------
    >>> shop_a = ItemVectors(Vocabulary(("a1", "a2", "a3")), np.array([[1, 0], [0, 1], [0.8, 0.6]]), None,
    ...     np.ones(3))
    >>> shop_b = ItemVectors(Vocabulary(("b1", "b2", "b3")), np.array([[0, 1], [-1, 0], [-0.6, 0.8]]), None,
    ...     np.ones(3))
    >>> translation = align(shop_a, shop_b, [("a1", "b1"), ("a2", "b2")])
    >>> [item for item, score in translation.translate("a3", k=1)]
    ['b3']
    >>> translation.precision([("a3", "b3")], k=[1])
    {'precision@1': 1.0}
    """

    source: ItemVectors
    target: ItemVectors
    matrix: Floats

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "matrix", read_only(self.matrix, np.float32))
        expected = (self.source.input.shape[1], self.target.input.shape[1])
        if self.matrix.shape != expected:
            raise InputError(
                f"matrix has shape {self.matrix.shape}; expected {expected}, source × target dimensions"
            )
        if not bool(np.isfinite(self.matrix).all()):
            raise InputError("matrix contains a number that is not finite; expected finite numbers")

    def __repr__(self) -> str:
        return f"Translation({len(self.source):,} → {len(self.target):,} items)"

    @cached_property
    def mapped(self) -> Floats:
        """The source items as unit vectors of the target space; zero for items without an input vector."""
        return read_only(unit_rows(_centred(self.source) @ self.matrix), np.float32)

    @cached_property
    def centred_target(self) -> Floats:
        """The centred vectors of the target items; zero for items without an input vector."""
        return read_only(_centred(self.target), np.float32)

    @checked
    def translate(self, item: str, *, k: int = 10, csls: bool = True) -> list[Recommendation]:
        """Return the ``k`` target items nearest to a source item, best first.

        Let cos(x, y) be the cosine of the mapped vector of the source item x and the centred vector of a
        target item y. If ``csls`` is true, the score is 2 cos(x, y) - r(x) - r(y), where r is the mean cosine
        of an item and its 10 nearest neighbours in the other catalogue. The two means lower the scores of
        hubs, the items that are near to very many others. If ``csls`` is false, the score is cos(x, y).
        Target items without an input vector are left out. Source: Conneau et al., Word Translation Without
        Parallel Data, ICLR 2018, section 2.3.

        Raises
        ------
        UnknownItemError
            If the source catalogue does not contain the item.
        InputError
            If the item has no input vector, or ``k`` is not an integer of at least 1.
        """
        check_k(k)
        row = self.source.vocabulary.code(item)
        if not self.source.has_input[row]:
            raise InputError(
                f"item {short_repr(item)} has no input vector; expected an item with an input vector"
            )
        scores = self._scores(np.array([row]), csls=csls)[0]
        rows = top_k(scores, k)
        ids = self.target.vocabulary.decode(rows)
        return [Recommendation(id_, float(score)) for id_, score in zip(ids, scores[rows], strict=True)]

    @checked
    def precision(self, pairs: Pairs, *, k: Sequence[int] = (1, 10), csls: bool = True) -> dict[str, float]:
        """Return, for each ``k``, the share of pairs whose target is among the ``k`` best translations.

        The key of the share for ``k=10`` is ``"precision@10"``. A source item may have several targets; each
        pair counts. Pass pairs that ``align`` did not use. Other target items with the same score count as
        better than the target. ``csls`` selects the score, as in ``translate``.

        Raises
        ------
        UnknownItemError
            If an item of a pair is unknown.
        InputError
            If there are no pairs, a pair is not two ids, an item of a pair has no input vector, or an element
            of ``k`` is invalid.
        """
        cuts = [check_k(cut) for cut in as_history(k, "k")]
        sources, targets = _rows_of(pairs, self.source, self.target)
        ranks = np.empty(len(sources), dtype=np.intp)
        for start in range(0, len(sources), ROWS_PER_BLOCK):
            block = slice(start, start + ROWS_PER_BLOCK)
            scores = self._scores(sources[block], csls=csls)
            own = np.take_along_axis(scores, targets[block, None], axis=1)
            ranks[block] = (scores >= own).sum(axis=1)
        return {f"precision@{cut}": float((ranks <= cut).mean()) for cut in cuts}

    @checked
    def in_target_space(self) -> ItemVectors:
        """Return the source items as vectors of the target space, with the counts of the source."""
        return ItemVectors(self.source.vocabulary, self.mapped, None, self.source.counts)

    def _scores(self, rows: Rows, *, csls: bool) -> Floats:
        """Return the scores of all target items for source rows (float32, n rows × n target items)."""
        scores: Floats = self.mapped[rows] @ self.centred_target.T
        if csls:
            # The term of the source item does not change the order of its targets; it makes the scores of
            # different source items comparable.
            scores = 2 * scores - _neighbourhood(scores)[:, None] - self._target_neighbourhood
        scores[:, ~self.target.has_input] = -np.inf
        return scores

    @cached_property
    def _target_neighbourhood(self) -> Floats:
        """Mean cosine of each target item and its ``NEIGHBOURS`` nearest mapped source items (float32)."""
        unit, mapped = self.centred_target, self.mapped[self.source.has_input]
        blocks = [
            _neighbourhood(unit[start : start + ROWS_PER_BLOCK] @ mapped.T)
            for start in range(0, len(unit), ROWS_PER_BLOCK)
        ]
        return np.concatenate(blocks)


@checked
def align(
    source: ItemVectors,
    target: ItemVectors,
    pairs: Pairs,
    *,
    method: Method = "procrustes",
    penalty: float = 1.0,
) -> Translation:
    """Learn a linear map from one catalogue's vectors to another's, from known pairs of items.

    Parameters
    ----------
    source, target
        The vectors of both catalogues, trained independently.
    pairs
        Pairs of a source and a target item that are the same product, song or page.
    method
        "procrustes": the orthogonal map (rotation or reflection) that minimises the squared distance of the
        pairs' centred vectors; it preserves cosines within the source, and requires equal dimensions
        (Schönemann, 1966; Xing et al., NAACL 2015). "ridge": the linear map that minimises the squared
        distance plus ``penalty`` times the squared norm of the map; the dimensions may differ (Mikolov et
        al., Exploiting Similarities among Languages for Machine Translation, 2013).
    penalty
        Weight of the squared norm of the map, for "ridge".

    Raises
    ------
    UnknownItemError
        If an item of a pair is unknown.
    InputError
        If there are no pairs, a pair is not two ids, an item of a pair has no input vector, ``method`` is
        unknown, ``penalty`` is negative or not finite, or ``method`` is "procrustes" and the dimensions
        differ.
    """
    if method not in {"procrustes", "ridge"}:
        raise InputError(f"method is {short_repr(method)}; expected 'procrustes' or 'ridge'")
    if not 0 <= penalty < np.inf:
        raise InputError(f"penalty is {penalty}; expected a finite number of at least 0")
    sizes = source.input.shape[1], target.input.shape[1]
    if method == "procrustes" and sizes[0] != sizes[1]:
        raise InputError(
            f"the vectors have {sizes[0]} and {sizes[1]} dimensions; expected equal numbers for "
            "method='procrustes': set method='ridge'"
        )
    rows, target_rows = _rows_of(pairs, source, target)
    x = _centred(source)[rows].astype(np.float64)
    y = _centred(target)[target_rows].astype(np.float64)
    matrix = _rotation(x, y) if method == "procrustes" else _ridge(x, y, penalty)
    return Translation(source, target, matrix.astype(np.float32))


@checked
def join_catalogues(
    source: Sentences, target: Sentences, pairs: Pairs, *, swap: float = 0.5, seed: int = 1
) -> Sentences:
    """Return the sentences of both catalogues, with items of pairs exchanged at random.

    Vectors trained on the result are in one space, in which the items of a pair are near each other, because
    they share contexts. The two vocabularies must be disjoint: prefix the ids, such as "a:1" and "b:1".

    Source: Gouws & Søgaard, Simple task-specific bilingual word embeddings, NAACL 2015.

    Parameters
    ----------
    source, target
        The sentences of both catalogues.
    pairs
        Pairs of a source and a target item. An item of several pairs is replaced by one of its partners, at
        random.
    swap
        Probability that a token whose item is in a pair is replaced.
    seed
        Seed of the random number generator.

    Raises
    ------
    InputError
        If an item occurs in both catalogues, ``swap`` is not a probability, or a pair is not two ids.
    ConfigError
        If ``seed`` is negative.
    UnknownItemError
        If an item of a pair occurs in neither catalogue.

    Examples
    --------
    >>> shop_a, shop_b = Sentences.of([["a1", "a2"]]), Sentences.of([["b1", "b2"]])
    >>> list(join_catalogues(shop_a, shop_b, [("a1", "b1")], swap=1.0))
    [['b1', 'a2'], ['a1', 'b2']]
    """
    check_least("seed", seed, 0)
    if not 0 <= swap <= 1:
        raise InputError(f"swap is {swap}; expected a probability, from 0 to 1")
    known = set(source.vocabulary.ids)
    if shared := next((item for item in target.vocabulary.ids if item in known), None):
        raise InputError(
            f"item {short_repr(shared)} occurs in both catalogues; expected disjoint ids: prefix them"
        )
    both = source + target
    partners = _partners(both.vocabulary, _checked_pairs(pairs))
    random = np.random.default_rng(seed)
    tokens = both.tokens.copy()
    swapped = np.flatnonzero(random.random(len(tokens)) < swap)
    n_choices = np.diff(partners.offsets)[tokens[swapped]]
    swapped, n_choices = swapped[n_choices > 0], n_choices[n_choices > 0]
    tokens[swapped] = partners.codes[partners.offsets[tokens[swapped]] + random.integers(n_choices)]
    return dataclasses.replace(both, tokens=tokens)


def _centred(vectors: ItemVectors) -> Floats:
    """Return unit input vectors minus their mean, scaled to length 1 again; zero rows stay zero."""
    unit = vectors.unit_input
    mean = unit[vectors.has_input].mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit_rows(np.where(vectors.has_input[:, None], unit - mean, np.float32(0)))


def _rotation(x: Doubles, y: Doubles) -> Doubles:
    """Return the orthogonal matrix R that minimises the Frobenius norm of x R - y."""
    left, _, right = np.linalg.svd(x.T @ y)
    return np.asarray(left @ right)


def _ridge(x: Doubles, y: Doubles, penalty: float) -> Doubles:
    covariance = x.T @ x + penalty * np.eye(x.shape[1])
    return np.asarray(np.linalg.lstsq(covariance, x.T @ y)[0])


def _neighbourhood(cosines: Floats) -> Floats:
    """Return the mean of the largest ``NEIGHBOURS`` cosines of each row (float32, n rows)."""
    n = min(NEIGHBOURS, cosines.shape[1])
    return np.asarray(np.partition(cosines, -n, axis=1)[:, -n:].mean(axis=1))


def _rows_of(pairs: Pairs, source: ItemVectors, target: ItemVectors) -> tuple[Rows, Rows]:
    """Return a pair of arrays: the row of the source item of each pair; and the row of the target item.

    An error is raised if there are no pairs, or an item is unknown or has no input vector.
    """
    checked_pairs = _checked_pairs(pairs)
    if not checked_pairs:
        raise InputError("pairs is empty; expected at least one pair of a source and a target item")
    rows = []
    for vectors, items in zip((source, target), zip(*checked_pairs, strict=True), strict=True):
        codes = vectors.vocabulary.encode(items)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            vectors.vocabulary.code(items[unknown[0]])  # raises the error that names the closest ids
        without = np.flatnonzero(~vectors.has_input[codes])
        if len(without):
            raise InputError(f"item {items[without[0]]!r} of a pair has no input vector; leave the pair out")
        rows.append(codes.astype(np.intp))
    return rows[0], rows[1]


def _checked_pairs(pairs: Pairs) -> list[tuple[str, str]]:
    checked_pairs = []
    for pair in as_history(pairs, "pairs"):
        items = as_history(pair, "a pair")
        if len(items) != 2 or not all(isinstance(item, str) for item in items):
            raise InputTypeError(
                f"a pair is {short_repr(pair)}; expected two ids: a source item and a target item"
            )
        checked_pairs.append((items[0], items[1]))
    return checked_pairs


class _Partners(NamedTuple):
    """The codes of the items that may replace each item: ``codes[offsets[code]:offsets[code + 1]]``."""

    offsets: Offsets
    codes: Codes


def _partners(vocabulary: Vocabulary, pairs: Sequence[tuple[str, str]]) -> _Partners:
    """Return, for each item, the items that may replace it: its partners in the pairs (0 or more items)."""
    ends = [[vocabulary.code(first), vocabulary.code(second)] for first, second in pairs]
    one, other = np.array([*ends, *(end[::-1] for end in ends)], dtype=np.int32).reshape(-1, 2).T
    counts = np.bincount(one, minlength=len(vocabulary))
    return _Partners(offsets_of(counts), other[np.argsort(one, kind="stable")])
