"""``Geometry``: similarities, distances, neighbours and analogies of items, by cosines of vectors."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from item2vec.arguments import as_array, check_rows, checked
from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.direction import Direction
from item2vec.errors import InputError, short_repr
from item2vec.interactions import read_only
from item2vec.matrices import SMALLEST_NORM, row_norms, unit_rows
from item2vec.ranking import top_k
from item2vec.types import Recommendation, Vocabulary, as_history, check_k

__all__ = [
    "Geometry",
    "Method",
    "check_method",
    "finite_vector",
    "moved_query",
    "set_unit_input",
    "unit_query",
]

Method = Literal["3cosadd", "3cosmul"]
EPSILON = 1e-6
"""Added to the denominator of 3CosMul, as in gensim."""


class Geometry:
    """The base class of ``ItemVectors``, with methods that compare unit vectors.

    The methods compare input vectors. If an item in the arguments of a method has no input vector, the method
    compares output vectors.
    """

    vocabulary: Vocabulary
    input: Floats
    output: Floats | None

    @cached_property
    def has_input(self) -> Mask:
        """A mask of the items that have an input vector (bool, n items).

        If only earlier items are context (next_item, ``forward_only``), an item that occurs only at the end
        of sentences has no input vector. After a single epoch of skip-gram or CBOW, this also holds for an
        item that occurs only in the first windows of the epoch, because output vectors start at zero. An item
        without an input vector can be recommended by its output vector, and is ignored in histories.
        """
        return read_only(self.input.any(axis=1), np.bool_)

    @cached_property
    def has_vector(self) -> Mask:
        """A mask of the items that have an input or an output vector (bool, n items).

        An item without a vector is never recommended, and has no similar items. Files of vectors may contain
        such items, as rows of zeros.
        """
        has_output = self.output is not None and self.output.any(axis=1)
        return read_only(self.has_input | has_output, np.bool_)

    def with_vector(self, eligible: Mask | None) -> Mask | None:
        """Restrict a mask of items to items with a vector; ``None`` means all items."""
        if self._all_have_vectors:
            return eligible
        return self.has_vector if eligible is None else eligible & self.has_vector

    @cached_property
    def _all_have_vectors(self) -> bool:
        return bool(self.has_vector.all())

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
        """Return the matrix of unit vectors in which the items of ``rows`` are compared with all items.

        The matrix is ``unit_input`` (n items × dimensions), or ``unit_output`` if an item of ``rows`` has no
        input vector.

        Raises
        ------
        InputError
            If ``rows`` is not a list of row indices, or an item of ``rows`` has no vector.
        """
        check_rows(rows, len(self.input))
        if not self.has_vector[rows].all():
            item = self.vocabulary.ids[rows[int(np.argmin(self.has_vector[rows]))]]
            raise InputError(
                f"item {item!r} has no vector: its row is zero in each matrix; expected an item with a vector"
            )
        return self.unit_input if self.has_input[rows].all() else self.unit_output

    def similarity(self, item: str, other: str) -> float:
        """Return the cosine of the input vectors of two items.

        If one of the items has no input vector, the cosine of the output vectors is returned.
        """
        rows = np.array([self.vocabulary.code(item), self.vocabulary.code(other)], dtype=np.intp)
        unit, other_unit = self.similarity_matrix(rows)[rows]
        return float(unit @ other_unit)

    @checked
    def distances(self, item: str, others: Iterable[str] | None = None) -> Doubles:
        """Return the cosine distances (1 - cosine, from 0 to 2) of an item to others (float64).

        Input vectors are compared or, if ``item`` or an item of ``others`` has no input vector, output
        vectors. If ``others`` is ``None``, the result has a distance for each item of the vocabulary, in row
        order. The distance to an item that has no vector in the compared matrix is NaN. If ``item``, or an
        item of ``others``, has no vector at all, ``InputError`` is raised.
        """
        row = self.vocabulary.code(item)
        if others is None:
            rows, known = np.array([row], dtype=np.intp), None
        else:
            known = self._rows(others, "others")
            rows = np.append(known, row)
        units = self.similarity_matrix(rows)
        return _distances(units[row], units if known is None else units[known])

    @checked
    def closer_than(self, item: str, other: str) -> list[str]:
        """Return the items that are nearer to ``item`` than ``other`` is, without ``item``, in row order."""
        row, other_row = self.vocabulary.code(item), self.vocabulary.code(other)
        units = self.similarity_matrix(np.array([row, other_row], dtype=np.intp))
        distances = _distances(units[row], units)
        nearer = np.flatnonzero(distances < distances[other_row])
        return self.vocabulary.decode(nearer[nearer != row])

    def rank(self, item: str, other: str) -> int:
        """Return the rank of ``other`` among the neighbours of ``item``; the nearest neighbour has rank 1."""
        return len(self.closer_than(item, other)) + 1

    @checked
    def doesnt_match(self, items: Iterable[str]) -> str:
        """Return the item that is least similar to the mean of the unit vectors of all ``items``.

        Raises
        ------
        InputError
            If there are fewer than three items, or an item has no vector.
        """
        rows = self._rows(items, "items")
        if len(rows) < 3:
            raise InputError(f"items contains {len(rows)} ids; expected at least three")
        units = self.similarity_matrix(rows)[rows].astype(np.float64)
        (found,) = self.vocabulary.decode([rows[int(np.argmin(units @ units.mean(axis=0)))]])
        return found

    def similar_items(self, item: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items with the highest cosine of input vectors to an item, best first.

        The item itself is left out. If the item has no input vector, output vectors are compared.
        """
        return self.analogy(positive=[item], k=k)

    @checked
    def nearest(self, vector: npt.ArrayLike, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items whose input vectors have the highest cosine to a vector, best first.

        Raises
        ------
        InputError
            If the vector does not have one finite number per dimension, or is zero.
        """
        check_k(k)
        scores = self.unit_input @ unit_query(vector, self.input.shape[1])
        return self._best(scores, ~self.has_input, k)

    @checked
    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        method: Method = "3cosadd",
        direction: Direction | None = None,
        k: int = 10,
    ) -> list[Recommendation]:
        """Return the ``k`` items that are near to the positive items and far from the negative items.

        The best item comes first. The result excludes the positive and the negative items. Without negative
        items, the result consists of the items that are near to all positive items.

        Sources: Mikolov et al., Linguistic Regularities in Continuous Space Word Representations, NAACL 2013,
        section 4 (3CosAdd); Levy & Goldberg, Linguistic Regularities in Sparse and Explicit Word
        Representations, CoNLL 2014, equation 4 and footnote 7 (3CosMul).

        Parameters
        ----------
        positive, negative
            Ids of items; at least one positive item.
        method
            ``"3cosadd"``: the score is the cosine to the sum of the unit vectors of the positive items minus
            the unit vectors of the negative items. ``"3cosmul"``: the score is
            ``Π((1 + p) / 2) / (Π((1 + n) / 2) + 1e-6)``, where p runs over the cosines to the positive items,
            and n over the cosines to the negative items. No single large cosine dominates this score.
        direction
            A direction that is added to the sum of unit vectors after the sum is scaled to length 1; for
            3CosAdd only. ``None`` for no direction.

        Raises
        ------
        InputError
            If there is no positive item, the sum of the vectors for 3CosAdd has a norm below 1e-6, an item
            has no vector, ``method`` is unknown, or ``direction`` has another number of dimensions, has no
            output vector although output vectors are compared, or is combined with 3CosMul.
        UnknownItemError
            If an item is unknown.
        """
        check_k(k)
        check_method(method, with_direction=direction is not None)
        scores: npt.NDArray[Any]
        if method == "3cosmul":
            scores, named = self.analogy_products(positive, negative)
        else:
            target, named = self.analogy_target(positive, negative)
            if direction is not None:
                target = moved_query(target, direction, by_input=bool(self.has_input[named].all()))
            scores = self.similarity_matrix(named) @ target
        left_out = ~self.has_vector
        left_out[named] = True
        return self._best(scores, left_out, k)

    def analogy_target(self, positive: Iterable[str], negative: Iterable[str]) -> tuple[Floats, Rows]:
        """Return a pair of arrays: the unit query vector of an analogy; and the row indices of its items.

        The indices of the positive items come first. The score of an item is the inner product of the query
        vector and the vector of the item in the matrix that ``similarity_matrix`` returns for these indices.
        """
        rows, n_positive = self._analogy_rows(positive, negative)
        weights = np.where(np.arange(len(rows)) < n_positive, np.float32(1), np.float32(-1))
        target = weights @ self.similarity_matrix(rows)[rows]
        norm = np.linalg.norm(target)
        if norm < SMALLEST_NORM:
            raise InputError(
                "the positive and negative items cancel each other out; expected a non-zero sum of vectors"
            )
        return target / norm, rows

    def analogy_products(self, positive: Iterable[str], negative: Iterable[str]) -> tuple[Doubles, Rows]:
        """Return two arrays: the 3CosMul scores of all items; and the row indices of the query's items."""
        rows, n_positive = self._analogy_rows(positive, negative)
        units = self.similarity_matrix(rows)
        products: Doubles = np.ones((2, len(units)), np.float64)
        for place, row in enumerate(rows.tolist()):
            cosines = (units @ units[row]).astype(np.float64)
            products[int(place >= n_positive)] *= np.maximum((1 + cosines) / 2, 0)
        scores: Doubles = products[0] / (products[1] + EPSILON)
        return scores, rows

    @checked
    def direction(self, items_a: Iterable[str], items_b: Iterable[str]) -> Direction:
        """Return the direction from the mean unit vector of ``items_a`` to that of ``items_b``.

        Items without an input vector do not count towards the means of input vectors, and items without an
        output vector do not count towards those of output vectors.

        Raises
        ------
        InputError
            If a group has no item with an input vector.
        UnknownItemError
            If an item is unknown.
        """
        return self.direction_between(self._rows(items_a, "items_a"), self._rows(items_b, "items_b"))

    @checked
    def direction_between(self, rows_a: npt.NDArray[Any], rows_b: npt.NDArray[Any]) -> Direction:
        """Return the direction from the items at ``rows_a`` to the items at ``rows_b``; see ``direction``."""
        means = []
        for name, rows in (("first", rows_a), ("second", rows_b)):
            check_rows(rows, len(self.input))
            if not self.has_input[rows].any():
                raise InputError(
                    f"the {name} group of a direction has {len(self.has_input[rows])} items, and none has an "
                    "input vector; expected at least one item with an input vector in each group"
                )
            means.append(_mean(self.unit_input, rows))
        input_ = means[1] - means[0]
        if self.output is None:
            return Direction(input_, None)
        return Direction(input_, _mean(self.unit_output, rows_b) - _mean(self.unit_output, rows_a))

    def _rows(self, items: Iterable[str], name: str) -> Rows:
        return np.array([self.vocabulary.code(id_) for id_ in as_history(items, name)], dtype=np.intp)

    def _analogy_rows(self, positive: Iterable[str], negative: Iterable[str]) -> tuple[Rows, int]:
        rows, others = self._rows(positive, "positive"), self._rows(negative, "negative")
        if not len(rows):
            raise InputError("positive is empty; expected at least one positive item")
        return np.concatenate((rows, others)), len(rows)

    def _best(self, scores: Floats | Doubles, left_out: Mask, k: int) -> list[Recommendation]:
        scores[left_out] = -np.inf
        rows = top_k(scores, k)
        ids = self.vocabulary.decode(rows)
        return [Recommendation(item, float(score)) for item, score in zip(ids, scores[rows], strict=True)]


def set_unit_input(vectors: Geometry, matrix: Floats) -> None:
    """Set ``unit_input`` of vectors to a known matrix, such as a memory map, instead of computing it."""
    vars(vectors)["unit_input"] = read_only(matrix, np.float32)


def check_method(method: str, *, with_direction: bool) -> None:
    """Raise ``InputError`` if the method of an analogy is unknown, or is 3CosMul with a direction."""
    if method not in get_args(Method):
        raise InputError(f"method is {short_repr(method)}; expected '3cosadd' or '3cosmul'")
    if method == "3cosmul" and with_direction:
        raise InputError("method is '3cosmul', which takes no direction; expected method='3cosadd'")


def finite_vector(vector: npt.ArrayLike, size: int) -> Floats:
    """Return a vector as an array (float32, dimensions); raise ``InputError`` for an invalid vector.

    >>> finite_vector([3, 4], 2)
    array([3., 4.], dtype=float32)
    """
    array = as_array(vector, np.float32)
    if array.shape != (size,) or not bool(np.isfinite(array).all()):
        raise InputError(
            f"vector is {short_repr(vector)}, of shape {array.shape}; expected {size} finite numbers, one "
            "per dimension"
        )
    return array


def unit_query(vector: npt.ArrayLike, size: int) -> Floats:
    """Return a vector scaled to length 1 (float32, dimensions).

    Raise ``InputError`` for a vector that is zero, or that ``finite_vector`` does not accept.

    >>> unit_query([3, 4], 2)
    array([0.6, 0.8], dtype=float32)
    """
    query = finite_vector(vector, size)
    norm = row_norms(query[None])[0]
    if norm == 0:
        raise InputError("the query vector is zero; expected at least one number other than 0")
    unit: Floats = (query / norm).astype(np.float32)
    return unit


def moved_query(target: Floats, direction: Direction, *, by_input: bool) -> Floats:
    """Return the sum of a query and a direction, scaled to length 1.

    The direction of input vectors is added if ``by_input`` is true; otherwise, that of output vectors. If
    there is no such direction, it has another number of dimensions, or the sum is zero, ``InputError`` is
    raised.
    """
    step = direction.input if by_input else direction.output
    if step is None or step.shape != target.shape:
        found = "no output vector" if step is None else f"{len(step)} dimensions"
        raise InputError(
            f"the direction has {found}; expected a direction of the same model, of {len(target)} dimensions"
        )
    return unit_query(target + step, len(target))


def _distances(unit: Floats, units: Floats) -> Doubles:
    """Return the cosine distances of a unit vector to the rows of ``units``; NaN for a row of zeros."""
    found: Doubles = np.maximum(1 - (units @ unit).astype(np.float64), 0)
    return np.where(units.any(axis=1), found, np.nan)


def _mean(units: Floats, rows: npt.NDArray[Any]) -> Floats:
    """Return the mean of the non-zero vectors of ``units`` at ``rows``; zeros if there are none."""
    own = units[rows]
    present = own[own.any(axis=1)]
    mean: Floats = present.sum(axis=0, dtype=np.float64).astype(np.float32) / np.float32(max(1, len(present)))
    return mean
