"""LSA: truncated singular value decomposition of a weighted matrix of counts."""

from __future__ import annotations

import logging

import numpy as np
from scipy.sparse import csr_array, diags_array, linalg

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.config import LSA
from item2vec.config.tables import TableConfig
from item2vec.errors import TrainingError
from item2vec.training.cooccurrence import in_sentences, in_windows, linear, uniform
from item2vec.training.corpus import Corpus
from item2vec.vectors import ItemVectors

__all__ = ["factorise", "factors", "vectors_with_weight"]

log = logging.getLogger(__name__)

DENSE_ELEMENTS = 250_000
"""Maximum number of elements of a matrix that is decomposed as a dense matrix."""
MIN_CAPTURED = 1e-4
"""Largest projection of a row that counts as a rounding error, as a share of the norm of the row.

If the norm of the projection of a row onto the kept singular vectors is at most this share of the norm of the
row, the row has no weight in the kept dimensions."""


def factorise(corpus: Corpus, config: LSA) -> ItemVectors:
    """Return the vectors of the items: the ``factors`` of the matrix of weighted counts.

    Items whose input and output vectors are zero (see ``factors``) are left out, and their number is logged.

    Raises
    ------
    TrainingError
        If all weighted counts are 0.
    """
    counts = in_sentences(corpus) if config.matrix == "sentences" else _in_windows(corpus, config)
    matrix = weighted(counts, config)
    if not matrix.count_nonzero():
        advice = "lower negative, or set" if config.negative > 1 else "set"
        raise TrainingError(
            f"all weights of weighting={config.weighting!r} are 0; expected at least one above 0; "
            f"{advice} weighting='raw'"
        )
    input_, output = factors(matrix, config, of_sentences=config.matrix == "sentences")
    why = f"they have no weight in the first {config.vector_size} dimensions; raise vector_size"
    return vectors_with_weight(input_, output, corpus, config, why)[0]


def vectors_with_weight(
    input_: Floats, output: Floats, corpus: Corpus, config: LSA | TableConfig, why: str
) -> tuple[ItemVectors, Rows]:
    """Return a pair: vectors of items with a non-zero input or output vector; and the rows of the items.

    The rows are indices of ``input_`` and ``output``. The number of all other items is logged with the reason
    ``why``.
    """
    kept = np.flatnonzero(input_.any(axis=1) | output.any(axis=1))
    if len(kept) < len(input_):
        left_out = len(input_) - len(kept)
        log.warning("%s of %s items left out: %s", f"{left_out:,}", f"{len(input_):,}", why)
    vectors = ItemVectors(
        corpus.vocabulary.take(kept),
        input_[kept],
        output[kept],
        corpus.counts[kept],
        config,
        tokens_read=corpus.n_tokens,
        read_share=corpus.read_share,
    )
    return vectors, kept


def factors(
    matrix: csr_array, config: LSA | TableConfig, *, of_sentences: bool = False
) -> tuple[Floats, Floats]:
    """Return input and output vectors, computed by the truncated SVD of a matrix with a row per item.

    Let M ≈ U Σ Vᵀ be the singular value decomposition, truncated to the ``vector_size`` largest singular
    values, and p the setting ``power``. For an item–item matrix, the input vectors are U Σ^p and the output
    vectors V Σ^(1-p), so that inner products of input and output vectors approximate M for each p. For an
    item–sentence matrix, input and output vectors are both U Σ^p, and their inner products approximate
    (M Mᵀ)^p. The sign of each dimension is chosen such that, in its column of U, the entry of the largest
    absolute value is positive.

    A dimension is 0 in all vectors if its singular value is at most 1e-8 times the largest singular value, or
    if the decomposition has no singular value for the dimension. The input vector of an item is zero if the
    projection of its row of M onto the kept dimensions has at most 1e-4 times the norm of the row. The same
    holds for the output vector of an item–item matrix and the item's column of M.
    """
    left, values, right = decomposed(matrix, config)
    input_ = _vectors(left, values, config.power, _norms(matrix))
    if of_sentences:
        return input_, input_
    return input_, _vectors(right, values, 1 - config.power, _norms(csr_array(matrix.T)))


def weighted(counts: csr_array, config: LSA) -> csr_array:
    """Return the counts of items (rows) in contexts (columns), weighted as ``config.weighting`` specifies.

    ``raw`` does not change the counts. ``tfidf`` gives ``count * (log((1 + n) / (1 + m)) + 1)``. In an
    item–item matrix, m of n items occur near the context; in an item–sentence matrix, m of n sentences
    contain the item. ``ppmi`` gives ``max(0, log(p(i, c) / (p(i) p(c))) - log(negative))``, where p(c) is
    proportional to the count of the context to the power ``ns_exponent``.

    Examples
    --------
    >>> counts = csr_array(np.array([[4.0, 0.0], [1.0, 3.0]]))
    >>> weighted(counts, LSA(ns_exponent=1.0)).toarray().round(3)  # log(32 / 20), log(24 / 12)
    array([[0.47 , 0.   ],
           [0.   , 0.693]])
    """
    if config.weighting == "raw":
        return counts
    if config.weighting == "tfidf":
        by_item = config.matrix == "sentences"
        n = counts.shape[by_item]
        present = np.diff((counts if by_item else counts.tocsc()).indptr)
        scale = diags_array(np.log((1 + n) / (1 + present)) + 1)
        return csr_array(scale @ counts if by_item else counts @ scale)
    of_items, of_contexts = counts.sum(axis=1), counts.sum(axis=0)
    of_contexts = np.where(of_contexts > 0, of_contexts, 1) ** config.ns_exponent * (of_contexts > 0)
    entries = counts.tocoo()
    rows, columns = entries.coords
    ratios = entries.data * of_contexts.sum() / (of_items[rows] * of_contexts[columns])
    data = np.maximum(np.log(ratios) - np.log(config.negative), 0)
    weights = csr_array((data, (rows, columns)), counts.shape)
    weights.eliminate_zeros()
    return weights


def _in_windows(corpus: Corpus, config: LSA) -> csr_array:
    window = None if config.window == "full" else config.window
    weight_of = linear(window) if window is not None and config.shrink_windows else uniform
    return in_windows(corpus, config.seed, window, weight_of, forward_only=config.forward_only)


def decomposed(matrix: csr_array, config: LSA | TableConfig) -> tuple[Doubles, Doubles, Doubles]:
    """Return three arrays: the left singular vectors; the singular values; and the right singular vectors.

    Singular values are in descending order, and singular vectors are columns. There are ``vector_size`` of
    each. If the decomposition has fewer, the arrays are padded with zeros.
    """
    is_small = matrix.shape[0] * matrix.shape[1] <= DENSE_ELEMENTS
    size = min(config.vector_size, min(matrix.shape) - (not is_small))
    if is_small:
        left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        start = np.random.default_rng([config.seed, 2]).standard_normal(min(matrix.shape))
        left, values, right = linalg.svds(matrix, k=size, v0=start)
    order = np.argsort(-values, kind="stable")[:size]
    left, values, right = left[:, order], values[order], right[order].T
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(size)])
    missing = (0, config.vector_size - size)
    return (
        np.pad(left * signs, ((0, 0), missing)),
        np.pad(values, missing),
        np.pad(right * signs, ((0, 0), missing)),
    )


def _vectors(singular: Doubles, values: Doubles, power: float, norms: Doubles) -> Floats:
    """Return singular vectors times the singular values to the power ``power`` (float32, rows × dimensions).

    ``norms`` are the norms of the rows of the decomposed matrix, or of the columns for right singular
    vectors. Row i of ``singular * values`` is the projection of row (or column) i onto the kept dimensions.
    If the norm of the projection is at most ``MIN_CAPTURED * norms[i]``, row i of the result is 0. A
    dimension is 0 if its singular value is at most ``MIN_CAPTURED**2`` times the largest singular value. Such
    a singular value counts as a rounding error.
    """
    kept = values > values[0] * MIN_CAPTURED**2
    captured = np.sqrt(np.square(singular * values).sum(axis=1))
    scaled = singular * np.where(kept, values, 0) ** power * kept
    scaled[captured <= MIN_CAPTURED * norms] = 0
    vectors: Floats = scaled.astype(np.float32)
    return vectors


def _norms(matrix: csr_array) -> Doubles:
    norms: Doubles = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return norms
