"""Positions of items on a plane by t-SNE, for catalogues of any size."""

from __future__ import annotations

import importlib.util

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.mapping.components import components
from item2vec.vectors import ItemVectors

__all__ = ["layout"]

LANDMARKS = 3_000
NEAREST = 8
SHARPNESS = 20.0
BLOCK = 8_192


def layout(vectors: ItemVectors, *, seed: int = 1) -> Floats:
    """Return the position of each item in the unit square (float32, n items × 2).

    Up to 3,000 items, sampled in proportion to popularity, are placed by t-SNE of their unit vectors. Each
    other item is placed at the weighted mean of its eight most similar placed items. Without openTSNE, the
    first two principal components are used. Equal arguments give equal positions.

    Source: van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008; openTSNE: Poličar, Stražar &
    Zupan, Journal of Statistical Software 2024.

    Examples
    --------
    >>> from item2vec import adapters, train
    >>> vectors = train(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]] * 9), vector_size=8)
    >>> positions = layout(vectors)
    >>> positions.shape, bool((positions >= 0).all() and (positions <= 1).all())
    ((4, 2), True)
    """
    units = vectors.similarity_matrix(np.arange(len(vectors)))
    chosen = _landmarks(vectors, seed)
    placed = _placed(units[chosen], seed)
    positions = np.empty((len(units), 2))
    positions[chosen] = placed
    others = np.setdiff1d(np.arange(len(units)), chosen)
    random = np.random.default_rng(seed)
    spread = 0.004 * (np.ptp(placed, axis=0).max() or 1.0)
    for start in range(0, len(others), BLOCK):
        rows = others[start : start + BLOCK]
        positions[rows] = _between(units[rows], units[chosen], placed)
        positions[rows] += random.normal(0, spread, (len(rows), 2))
    low, high = positions.min(axis=0), positions.max(axis=0)
    scaled: Floats = ((positions - (low + high) / 2) / ((high - low).max() or 1.0) + 0.5).astype(np.float32)
    return scaled


def _landmarks(vectors: ItemVectors, seed: int) -> Rows:
    if len(vectors) <= LANDMARKS:
        return np.arange(len(vectors))
    weights = vectors.counts + 1
    random = np.random.default_rng(seed)
    return np.sort(random.choice(len(vectors), LANDMARKS, replace=False, p=weights / weights.sum()))


def _between(units: Floats, landmarks: Floats, placed: Doubles) -> Doubles:
    """Return the mean of the positions of the most similar landmarks, weighted by exp(20 · cosine)."""
    cosines = units @ landmarks.T
    nearest = np.argpartition(-cosines, min(NEAREST, cosines.shape[1] - 1), axis=1)[:, :NEAREST]
    similarity = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
    weights = np.exp(SHARPNESS * (similarity - similarity.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    means: Doubles = np.einsum("ij,ijk->ik", weights, placed[nearest])
    return means


def _placed(units: Floats, seed: int) -> Doubles:
    if importlib.util.find_spec("openTSNE") is None:
        return components(units).astype(np.float64)
    from item2vec.mapping.tsne import tsne

    return tsne(units, seed).astype(np.float64)
