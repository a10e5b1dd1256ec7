"""Vectors of new items, which occur in no training sentence, computed without training.

A ridge regression from the attributes of the trained items to their vectors predicts the vectors of an item
from its attributes. An item without a known attribute value gets the mean of the vectors of the items that
occurred together with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from item2vec.arrays import NO_ROWS, Doubles, Floats, Mask, Rows
from item2vec.errors import ConfigError
from item2vec.interactions import read_only
from item2vec.items import Items
from item2vec.vectors import ItemVectors

__all__ = ["AttributeRegression", "ColdVectors", "mean_vectors"]

PENALTY = 3.0
HALF_WEIGHT_COUNT = 3.0
MAX_VALUES = 2_000
MAX_ITEMS = 20_000
MAX_PAIRED = 12
MIN_PAIR_COUNT = 5
ROWS_PER_BLOCK = 1 << 10
SAMPLED_LENGTHS = 1 << 12

Value = frozenset[tuple[str, str | float]]
"""An attribute value (the name of the attribute and the value), or a pair of attribute values."""


class ColdVectors(NamedTuple):
    """Vectors of new items: ``input`` and ``output`` (float32, n rows × dimensions).

    ``positions`` holds, for each row, the index of the item among the items (or lists) that were passed in.
    Items that got no vector have no row. ``output`` is ``None`` if the model has no output matrix.
    """

    positions: Rows
    input: Floats
    output: Floats | None


@dataclass(frozen=True, eq=False, repr=False)
class AttributeRegression:
    """Ridge regression from the attribute values of items to their vectors.

    Features are a constant, an indicator per attribute value, and an indicator per pair of attribute values
    if at least five items have the pair. Each element of a list is a value, and each distinct number is a
    value. Items with more than 12 values have no pairs. Targets are the input and output vectors, which are
    split into equal parts (``n_parts`` of ``fit``). Each part is scaled to length 1. In the loss, an item of
    count c has the weight c / (c + 3), because its vectors are learned from c tokens.

    Each part of a predicted vector is scaled to the median length of this part in the trained vectors.
    Without this step, a predicted vector is much shorter than the trained vectors, and its inner products
    with user vectors are lower than those of the trained vectors.

    Attributes
    ----------
    features
        Maps each attribute value, or pair of values, to its row of ``weights``.
    weights
        The coefficients of the features, then of the constant (float32, (n features + 1) × parts × dimensions
        of a part). The parts of the input matrix precede the parts of the output matrix, if there is one.
    lengths
        The median length of each part of the input and output matrices, over a sample of at most 4,096 of
        the trained vectors (float64).
    has_output
        Whether the model has an output matrix.

    Examples
    --------
    >>> from item2vec.types import Vocabulary
    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c", "d")), rows, rows, np.ones(4))
    >>> songs = Items.of({"a": {"genre": "jazz"}, "b": {"genre": "jazz"}, "c": {"genre": "soul"}})
    >>> regression = AttributeRegression.fit(vectors, songs, penalty=0.1)
    >>> regression
    AttributeRegression(2 features)
    >>> new = regression.predict(Items.of({"e": {"genre": "pop"}, "f": {"genre": "soul"}}))
    >>> new.positions, new.output.round(1)
    (array([1]), array([[0., 1.]], dtype=float32))
    """

    features: Mapping[Value, int]
    weights: Floats
    lengths: Doubles
    has_output: bool

    @classmethod
    def fit(
        cls,
        vectors: ItemVectors,
        items: Items,
        *,
        n_parts: int = 1,
        penalty: float = PENALTY,
        max_values: int = MAX_VALUES,
    ) -> AttributeRegression:
        """Solve the regression over the trained items in ``items``: at most the first 20,000 in row order.

        After training, the first rows belong to the most frequent items. Trained items that lack a vector in
        one of the matrices are left out.

        Parameters
        ----------
        vectors
            The vectors of the trained items.
        items
            Items with attributes. Items that are not in the vocabulary of ``vectors`` are ignored.
        n_parts
            The number of equal parts of a vector that a score compares separately: one part per decay of the
            taste (``taste.decays``).
        penalty
            The factor of the squared norm of the coefficients in the loss, relative to the mean weight of an
            item.
        max_values
            The maximum number of features besides the constant. Values are chosen before pairs, and frequent
            features before rare ones. Time grows with the cube of this number.

        Raises
        ------
        ConfigError
            If ``penalty`` is not positive and finite, or ``max_values`` is below 1.
        """
        if not 0 < penalty < np.inf or max_values < 1:
            raise ConfigError(
                f"found penalty={penalty}, max_values={max_values}; expected a finite penalty above 0, and "
                "max_values of at least 1"
            )
        rows = vectors.vocabulary.encode(items.vocabulary.ids).astype(np.intp)
        described = np.flatnonzero((rows >= 0) & _complete(vectors)[rows])
        described = described[np.argsort(rows[described])[:MAX_ITEMS]]
        values, entries = _values(items, described)
        features = _most_frequent(values, entries, max_values)
        indicators = _indicators(values, entries, features, len(described))
        counts = np.maximum(vectors.counts[rows[described]], 1.0)
        reliability = counts / (counts + HALF_WEIGHT_COUNT)
        gram = _gram(indicators, reliability, len(features) + 1)
        gram[np.diag_indices_from(gram)] += penalty * (reliability.mean() if len(reliability) else 1.0)
        targets = _unit_parts(vectors, rows[described], n_parts)
        products = _products(targets * reliability[:, None, None], indicators, len(gram))
        weights = np.linalg.solve(gram, products.reshape(len(gram), -1)).reshape(products.shape)
        lengths = _median_lengths(vectors, n_parts)
        return cls(features, read_only(weights, np.float32), lengths, vectors.output is not None)

    def __repr__(self) -> str:
        return f"AttributeRegression({len(self.features):,} features)"

    def predict(self, items: Items) -> ColdVectors:
        """Predict the vectors of items from their attributes.

        An item that has none of the attribute values in ``features`` has no row in the result.
        """
        values, entries = _values(items, np.arange(len(items)))
        indicators = _indicators(values, entries, self.features, len(items))
        positions, starts, n_columns = np.unique(indicators.rows, return_index=True, return_counts=True)
        weights = self.weights[indicators.columns]
        sums = np.add.reduceat(weights, starts, axis=0) if len(items) else weights
        known = n_columns > 1
        return _cold(positions[known], sums[known], self.lengths, self.has_output)


def mean_vectors(vectors: ItemVectors, lists: Sequence[Rows], *, n_parts: int = 1) -> ColdVectors:
    """Return the mean of the vectors of each list of rows.

    Rows that lack a vector in one of the matrices are ignored. If all rows of a list are ignored, or the list
    is empty, the result has no row for the list.

    A vector is split into ``n_parts`` equal parts. Each part of a vector is scaled to length 1 before the
    mean is computed. Each part of a mean is scaled to the median length of this part in ``vectors``.

    >>> from item2vec.types import Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.array([[2, 0], [0, 4]]), None, np.ones(2))
    >>> mean_vectors(vectors, [np.array([0, 1]), np.array([], dtype=int)]).input.round(2)
    array([[2.12, 2.12]], dtype=float32)
    """
    complete = _complete(vectors)
    kept = [rows[complete[rows]] for rows in lists]
    positions = np.array([number for number, rows in enumerate(kept) if len(rows)], dtype=np.intp)
    lengths = _median_lengths(vectors, n_parts)
    sums = [_unit_parts(vectors, kept[position], n_parts).sum(axis=0) for position in positions.tolist()]
    shape = (-1, len(lengths), vectors.input.shape[1] // n_parts)
    parts = np.array(sums, dtype=np.float32).reshape(shape)
    return _cold(positions, parts, lengths, vectors.output is not None)


class _Indicators(NamedTuple):
    """A sparse matrix of zeros and ones: the distinct (row, column) pairs of the ones, sorted by row."""

    rows: Rows
    columns: Rows

    @classmethod
    def of(cls, rows: Rows, columns: Rows, n_columns: int) -> _Indicators:
        numbers = np.sort(rows * n_columns + columns)  # np.unique takes ten times as long
        return cls(*np.divmod(numbers[np.diff(numbers, prepend=-1) > 0], n_columns))


def _values(items: Items, described: Rows) -> tuple[list[Value], _Indicators]:
    """Return a pair: values and pairs of values; and their indicators (a row per item of ``described``)."""
    row_of = np.full(len(items), -1, dtype=np.intp)
    row_of[described] = np.arange(len(described))
    values: list[Value] = []
    rows, columns = [NO_ROWS], [NO_ROWS]
    for name in items.attribute_names:
        column = items.column(name)
        rows.append(row_of[column.rows])
        columns.append(column.codes + np.intp(len(values)))
        values += [frozenset({(name, number)}) for number in column.numbers]
        values += [frozenset({(name, text)}) for text in column.texts]
    own = np.concatenate(rows) >= 0
    single = _Indicators.of(np.concatenate(rows)[own], np.concatenate(columns)[own], max(1, len(values)))
    return _with_pairs(values, single)


def _with_pairs(values: list[Value], single: _Indicators) -> tuple[list[Value], _Indicators]:
    """Add the pairs of values of each row that has at most 12 values.

    Return a list and its indicators. The list contains the values, followed by the pairs of values.
    """
    few = np.bincount(single.rows)[single.rows] <= MAX_PAIRED
    owners, first, second = _partners(_Indicators(single.rows[few], single.columns[few]))
    kept = first < second
    numbers, pair_of = np.unique(first[kept] * len(values) + second[kept], return_inverse=True)
    pairs = [values[one] | values[other] for one, other in zip(*np.divmod(numbers, len(values)), strict=True)]
    rows = np.concatenate((single.rows, owners[kept]))
    columns = np.concatenate((single.columns, len(values) + pair_of))
    return values + pairs, _Indicators.of(rows, columns, max(1, len(values) + len(pairs)))


def _partners(indicators: _Indicators) -> tuple[Rows, Rows, Rows]:
    """Return all ordered pairs of columns of each row, including (c, c).

    The result is a tuple of arrays, one element per pair: rows; first columns; and second columns.
    """
    rows, columns = indicators
    n_columns = np.bincount(rows)
    partners = n_columns[rows]
    within = np.arange(partners.sum()) - np.repeat(np.cumsum(partners) - partners, partners)
    first_of_row = np.repeat((np.cumsum(n_columns) - n_columns)[rows], partners)
    return np.repeat(rows, partners), np.repeat(columns, partners), columns[first_of_row + within]


def _most_frequent(values: Sequence[Value], entries: _Indicators, n: int) -> dict[Value, int]:
    counts = np.bincount(entries.columns, minlength=len(values))
    is_pair = np.array([len(value) > 1 for value in values], dtype=bool)
    usable = np.flatnonzero(counts >= np.where(is_pair, MIN_PAIR_COUNT, 1))
    chosen = usable[np.lexsort((-counts[usable], is_pair[usable]))][:n]
    return {values[number]: position for position, number in enumerate(chosen.tolist())}


def _indicators(
    values: Sequence[Value], entries: _Indicators, features: Mapping[Value, int], n_rows: int
) -> _Indicators:
    """Renumber the columns of ``entries`` by ``features``; add the column of the constant to each row.

    Columns that are not in ``features`` become the column of the constant, and thereby have no effect.
    """
    n_features = len(features)
    columns = np.array([features.get(value, n_features) for value in values], dtype=np.intp)[entries.columns]
    rows = np.concatenate((entries.rows, np.arange(n_rows)))
    return _Indicators.of(rows, np.concatenate((columns, np.full(n_rows, n_features))), n_features + 1)


def _gram(indicators: _Indicators, weights: Doubles, n_features: int) -> Doubles:
    """Return, for each pair of features, the sum of the weights of the rows that have both features."""
    gram = np.zeros((n_features, n_features))
    for start in range(0, int(indicators.rows[-1]) + 1 if len(indicators.rows) else 0, ROWS_PER_BLOCK):
        part = slice(*np.searchsorted(indicators.rows, [start, start + ROWS_PER_BLOCK]))
        rows, first, second = _partners(_Indicators(indicators.rows[part] - start, indicators.columns[part]))
        np.add.at(gram, (first, second), weights[rows + start])
    return gram


def _products(targets: Doubles, indicators: _Indicators, n_features: int) -> Doubles:
    """Return, for each feature, the sum of the (weighted) targets of all rows that have the feature."""
    sums = np.zeros((n_features, *targets.shape[1:]))
    by_feature = np.argsort(indicators.columns, kind="stable")
    bounds = np.searchsorted(indicators.columns[by_feature], np.arange(1, n_features))
    for feature, entries in enumerate(np.split(by_feature, bounds)):
        sums[feature] = targets[indicators.rows[entries]].sum(axis=0)  # reduceat takes five times as long
    return sums


def _complete(vectors: ItemVectors) -> Mask:
    """Return a mask of the items that have a vector in each matrix: input, and output if present."""
    return vectors.has_input if vectors.output is None else vectors.has_input & vectors.output.any(axis=1)


def _parts(vectors: ItemVectors, rows: Rows, n_parts: int) -> Floats:
    """Return the parts of the vectors of rows (n rows × parts of all matrices × dimensions of a part)."""
    matrices = [vectors.input] if vectors.output is None else [vectors.input, vectors.output]
    shape = (len(rows), n_parts, vectors.input.shape[1] // n_parts)
    return np.concatenate([matrix[rows].reshape(shape) for matrix in matrices], axis=1)


def _unit_parts(vectors: ItemVectors, rows: Rows, n_parts: int) -> Floats:
    return _scaled(_parts(vectors, rows, n_parts), 1.0)


def _scaled(parts: Floats, lengths: Doubles | float) -> Floats:
    """Scale each part to the length given in ``lengths``. A part of zeros is unchanged."""
    current = _norms(parts)
    factors = (lengths / np.where(current > 0, current, 1.0)).astype(np.float32)
    scaled: Floats = parts * factors[:, :, None]
    return scaled


def _median_lengths(vectors: ItemVectors, n_parts: int) -> Doubles:
    """Return the median length of each part of the matrices, over a sample of evenly spaced rows."""
    rows = np.flatnonzero(_complete(vectors))
    parts = _parts(vectors, rows[:: -(-len(rows) // SAMPLED_LENGTHS) or 1], n_parts)
    return np.median(_norms(parts), axis=0) if len(parts) else np.zeros(parts.shape[1])


def _norms(parts: Floats) -> Doubles:
    norms: Doubles = np.sqrt(np.einsum("ijk,ijk->ij", parts, parts, dtype=np.float64))
    return norms


def _cold(positions: Rows, parts: Floats, lengths: Doubles, has_output: bool) -> ColdVectors:
    n_matrices = 1 + has_output
    size = parts.shape[1] * parts.shape[2] // n_matrices
    scaled = _scaled(parts, lengths).reshape(len(parts), n_matrices, size)
    return ColdVectors(positions, scaled[:, 0], scaled[:, 1] if has_output else None)
