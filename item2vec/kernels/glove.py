"""GloVe: weighted least squares on the logarithms of co-occurrence counts, by Adagrad."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.kernels.compiled import compiled

__all__ = ["Pairs", "State", "fit_pairs"]


class Pairs(NamedTuple):
    """The pairs of items with a count above 0: logarithms of the counts, and weights in the loss."""

    items: Codes
    contexts: Codes
    logs: Floats
    weights: Floats


class State(NamedTuple):
    """The matrices (float32, n items × dimensions) and biases (n items), and their Adagrad accumulators."""

    input: Floats
    output: Floats
    input_bias: Floats
    output_bias: Floats
    input_squares: Floats
    output_squares: Floats
    input_bias_squares: Floats
    output_bias_squares: Floats


@partial(compiled, fastmath={"contract", "reassoc"})
def fit_pairs(state: State, pairs: Pairs, order: Offsets, alpha: float) -> float:
    """Update the state in place, one pair after another; return the sum of the losses before the updates.

    ``order`` holds the indices of the pairs, in the order of the updates.

    The loss of a pair is ``weight / 2 * (input @ output + input_bias + output_bias - log) ** 2``. Each
    parameter changes by ``-alpha * gradient / sqrt(squares)``, then the square of the gradient is added to
    ``squares``, as in the authors' program. All gradients of a pair are computed from the values before its
    update.

    Source: Pennington, Socher & Manning, GloVe, EMNLP 2014, equation 8; Duchi, Hazan & Singer, JMLR 2011.

    Examples
    --------
    >>> one = np.ones((1, 1), np.float32)
    >>> state = State(one.copy(), one.copy(), *np.zeros((2, 1), np.float32), one.copy(), one.copy(),
    ...               *np.ones((2, 1), np.float32))
    >>> pairs = Pairs(*np.zeros((2, 1), np.int32), np.array([3], np.float32), np.array([0.5], np.float32))
    >>> fit_pairs(state, pairs, np.array([0]), 0.1)  # 0.5 / 2 * (1 - 3) ** 2
    1.0
    >>> state.input, state.input_squares  # the gradient is 0.5 * (1 - 3) = -1
    (array([[1.1]], dtype=float32), array([[2.]], dtype=float32))
    """
    loss = 0.0
    rate = np.float32(alpha)
    for at in order:
        item, context = pairs.items[at], pairs.contexts[at]
        row, column = state.input[item], state.output[context]
        row_squares, column_squares = state.input_squares[item], state.output_squares[context]
        error = state.input_bias[item] + state.output_bias[context] - pairs.logs[at]
        product = np.float32(0)
        for i in range(len(row)):
            product += row[i] * column[i]
        error += product
        slope = pairs.weights[at] * error
        loss += 0.5 * slope * error
        for i in range(len(row)):
            of_row, of_column = slope * column[i], slope * row[i]
            row[i] -= rate * of_row / np.sqrt(row_squares[i])
            column[i] -= rate * of_column / np.sqrt(column_squares[i])
            row_squares[i] += of_row * of_row
            column_squares[i] += of_column * of_column
        state.input_bias[item] -= rate * slope / np.sqrt(state.input_bias_squares[item])
        state.output_bias[context] -= rate * slope / np.sqrt(state.output_bias_squares[context])
        state.input_bias_squares[item] += slope * slope
        state.output_bias_squares[context] += slope * slope
    return loss
