"""Rows of next_item: the row of an item is the sum of its own vector and the vectors of its attributes.

``W`` holds the own vectors of the items, ``A`` the vectors of the attributes, and ``attributes_of[i]`` the
codes of the attributes of item i. The gradients are ``drow``, ``dW`` and ``dA``::

    row[i] = kept[i] * W[i] + A[attributes_of[i]].sum(axis=0)
    dW[i] = kept[i] * drow[i]
    dA[a] = sum of drow[i] over the occurrences, in the block, of each item i that has attribute a

``kept[i]`` is 0 or 1, drawn per block. It is 0 with probability ``dropout`` if the item has attributes,
otherwise always 1. If it is 0, the item is represented by its attributes alone, like an item without
interactions (Volkovs et al., DropoutNet, NIPS 2017).

An item's own vector is updated once per occurrence of the item in the tokens of a run
(``kernels.histories``), as a target, or in the block's list of negatives. The vector of an attribute is
updated once per block, because an attribute may occur in most predictions of a block. Source of the sums:
Kula, Metadata Embeddings for User and Item Cold-start Recommendations (LightFM), CBRecSys 2015, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.dense import add, mean_square, vectorised
from item2vec.kernels.random import GOLDEN, HALF, mix

__all__ = [
    "Attributes",
    "Gradients",
    "add_gradient",
    "has_own",
    "learn",
    "learn_attributes",
    "no_gradients",
    "read_row",
    "sums_of",
]

TINY = np.float32(1e-10)


class Attributes(NamedTuple):
    """The attributes of the items, and the vectors of the attributes (n attributes × parts × dimensions).

    Item i has the attributes ``codes[offsets[i] : offsets[i + 1]]``. ``input`` and ``output`` are the vectors
    of the attributes. ``input_squares`` and ``output_squares`` (n attributes) are the Adagrad accumulators of
    one part. ``dropout`` is the setting ``attributes_only``.
    """

    offsets: Offsets
    codes: Codes
    input: Floats
    output: Floats
    input_squares: Floats
    output_squares: Floats
    dropout: float


class Gradients(NamedTuple):
    """Working memory: a sum of gradients per attribute of a block, and a list of attributes with a sum."""

    sums: Floats  # n attributes × dimensions
    has_sum: Codes  # n attributes, 0 or 1
    touched: Codes  # the attributes with a sum, in the first n_touched entries
    n_touched: Codes  # one number


@inlined
def no_gradients(attributes: Attributes) -> Gradients:
    """Return working memory for the gradients of a block. All gradients are 0."""
    n, size = attributes.input.shape[0], attributes.input.shape[2]
    sums = np.zeros((n, size), np.float32)
    return Gradients(sums, np.zeros(n, np.int32), np.empty(n, np.int32), np.zeros(1, np.int32))


@inlined
def has_own(attributes: Attributes, item: int, key: np.uint64) -> bool:
    """Return whether an item's own vector is included in the item's row, in the block with this key."""
    if attributes.dropout == 0 or attributes.offsets[item] == attributes.offsets[item + 1]:
        return True
    drawn = mix(key ^ GOLDEN * np.uint64(item + 1)) >> HALF
    return bool(drawn >= np.uint64(attributes.dropout * 2.0**32))


@inlined
def read_row(
    to: Floats, own: Floats, shared: Floats, attributes: Attributes, number: int, item: int, key: np.uint64
) -> None:
    """Write part ``number`` of the row of an item to ``to``, for the block with this key.

    ``own`` holds the items' own vectors, and ``shared`` the vectors of the attributes.
    """
    # no branch that contains a view of an array: numba would count references to the array atomically
    row, kept = own[item, number], np.float32(has_own(attributes, item, key))
    for d in range(len(to)):
        to[d] = kept * row[d]
    for place in range(attributes.offsets[item], attributes.offsets[item + 1]):
        add(to, shared[attributes.codes[place], number], np.float32(1))


@inlined
def add_gradient(
    gradients: Gradients, attributes: Attributes, item: int, gradient: Floats, factor: np.float32
) -> None:
    """Add ``factor * gradient``, the gradient of the row of an item, to the sums of the item's attributes."""
    for place in range(attributes.offsets[item], attributes.offsets[item + 1]):
        attribute = attributes.codes[place]
        if gradients.has_sum[attribute] == 0:
            gradients.has_sum[attribute] = 1
            gradients.touched[gradients.n_touched[0]] = attribute
            gradients.n_touched[0] += 1
        add(gradients.sums[attribute], gradient, factor)


@inlined
def learn_attributes(
    shared: Floats, squares: Floats, number: int, gradients: Gradients, rate: np.float32, shrink: np.float32
) -> None:
    """Take one Adagrad step for each attribute with a gradient, and set the gradients to zero."""
    for place in range(gradients.n_touched[0]):
        attribute = gradients.touched[place]
        gradient, one = gradients.sums[attribute], np.float32(1)
        square = mean_square(gradient)
        learn(shared[attribute, number], squares, attribute, gradient, square, one, rate, shrink)
        for d in range(len(gradient)):
            gradient[d] = 0
        gradients.has_sum[attribute] = 0
    gradients.n_touched[0] = 0


@vectorised
def learn(
    learned: Floats,
    squares: Floats,
    row: int,
    gradient: Floats,
    square: np.float32,
    factor: np.float32,
    rate: np.float32,
    shrink: np.float32,
) -> None:
    """Multiply the row by ``1 - shrink``, and take an Adagrad step with the gradient ``factor * gradient``.

    ``square`` is ``np.mean(gradient**2)``. If the gradient is 0, nothing changes.
    """
    if square * factor == 0:
        return
    squares[row] += square * factor * factor
    step = rate * factor / np.sqrt(squares[row] + TINY)
    for d in range(len(learned)):
        learned[d] = learned[d] * (np.float32(1) - shrink) - step * gradient[d]


@compiled
def sums_of(offsets: Offsets, codes: Codes, shared: Floats) -> Floats:
    """Return, for each item, the sum of the vectors of its attributes (n items × parts × dimensions).

    >>> sums_of(np.array([0, 2, 2]), np.int32([0, 1]), np.float32([[[1, 2]], [[3, 4]]])).tolist()
    [[[4.0, 6.0]], [[0.0, 0.0]]]
    """
    sums = np.zeros((len(offsets) - 1, shared.shape[1], shared.shape[2]), np.float32)
    for item in range(len(offsets) - 1):
        for place in range(offsets[item], offsets[item + 1]):
            for number in range(shared.shape[1]):
                add(sums[item, number], shared[codes[place], number], np.float32(1))
    return sums
