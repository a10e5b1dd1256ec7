"""Positions of items on a plane, for catalogues of any size."""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Floats, Rows
from item2vec.errors import ConfigError
from item2vec.mapping.components import components
from item2vec.mapping.extras import require
from item2vec.matrices import unit_rows
from item2vec.vectors import ItemVectors

__all__ = [
    "METHODS",
    "Method",
    "available_method",
    "beside",
    "compared_matrix",
    "layout",
    "place",
    "used_method",
]

Method = Literal["tsne", "umap", "pca"]
METHODS = ("tsne", "umap", "pca")
LIBRARIES = {"tsne": ("openTSNE", "report"), "umap": ("umap", "maps")}
"""For each method that needs a library: the module to import, and the extra that installs this module."""

MIN_ITEMS = 100
LANDMARKS = 3_000
NEAREST = 8
SHARPNESS = 20.0
BLOCK = 1_024


def available_method() -> Method:
    """Return ``"tsne"``, or ``"pca"`` if openTSNE is not installed.

    >>> available_method()
    'tsne'
    """
    return "pca" if importlib.util.find_spec("openTSNE") is None else "tsne"


def used_method(method: Method, n_items: int) -> Method:
    """Return the method that places this number of items: ``"pca"`` below 100 items.

    >>> used_method("tsne", 99), used_method("tsne", 100)
    ('pca', 'tsne')
    """
    return "pca" if n_items < MIN_ITEMS else method


@checked
def layout(vectors: ItemVectors, *, method: Method = "tsne", seed: int = 1) -> Floats:
    """Return the position of each item in the unit square (float32, n items × 2).

    Similar items are close. An item without a vector of the compared kind (see ``vectors``) has the position
    NaN. Equal arguments give equal positions. t-SNE and UMAP place up to 3,000 items, sampled with
    probabilities proportional to their counts plus 1. Each other item is placed near the weighted mean of the
    positions of its eight most similar sampled items, so that the computing time grows linearly with the
    number of items.

    Parameters
    ----------
    vectors
        Item vectors. The input vectors are compared by cosine, or the output vectors if fewer items lack an
        output vector than an input vector.
    method
        ``"tsne"``, ``"umap"``, or ``"pca"``: the first two principal components of all items. If fewer than
        100 items have a vector, every method returns these components.
    seed
        Seed of the sample and of the method.

    Raises
    ------
    ConfigError
        If the method is unknown.
    MissingExtraError
        If the library of the method is not installed.

    Notes
    -----
    Sources: van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008; openTSNE: Poličar, Stražar &
    Zupan, Journal of Statistical Software 2024; McInnes, Healy & Melville, UMAP: Uniform Manifold
    Approximation and Projection, 2018.

    Examples
    --------
    >>> from item2vec import adapters, train
    >>> vectors = train(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]] * 9), vector_size=8)
    >>> positions = layout(vectors)
    >>> positions.shape, bool((positions >= 0).all() and (positions <= 1).all())
    ((4, 2), True)
    """
    return place(compared_matrix(vectors), vectors.counts, method=method, seed=seed)


def compared_matrix(vectors: ItemVectors) -> Floats:
    """Return the matrix that ``layout`` reads: the input vectors or the output vectors.

    The output vectors are returned if fewer items lack an output vector than an input vector.
    """
    if vectors.output is None or vectors.has_input.all():
        return vectors.input
    n_output = np.count_nonzero(vectors.output.any(axis=1))
    return vectors.output if n_output > np.count_nonzero(vectors.has_input) else vectors.input


def place(matrix: Floats, counts: Doubles, *, method: Method, seed: int) -> Floats:
    """Return the positions of rows with these counts, as ``layout`` does; a row of zeros gets NaN."""
    _check(method)
    result = np.full((len(matrix), 2), np.nan, dtype=np.float32)
    known = np.flatnonzero(matrix.any(axis=1))
    if not len(known):
        return result
    if len(known) < len(matrix):
        matrix, counts = matrix[known], counts[known]
    if used_method(method, len(known)) == "pca":
        positions = components(matrix)
    else:
        positions = _spread(matrix, _landmarks(counts, seed), method, seed)
    low, high = positions.min(axis=0), positions.max(axis=0)
    result[known] = (positions - (low + high) / 2) / ((high - low).max() or 1.0) + 0.5
    return result


def beside(matrix: Floats, counts: Doubles, positions: Floats) -> Floats:
    """Return positions (float32, n × 2) in which rows with the position NaN are placed between other rows.

    Up to 3,000 rows with a position are sampled as in ``layout``. A row without a position gets the weighted
    mean of the positions of its eight most similar sampled rows. It keeps NaN if it is a row of zeros, or if
    no row has a position.

    >>> rows, two = np.array([[1, 0], [0, 1], [1, 0]], np.float32), np.array([[0, 0], [1, 1]], np.float32)
    >>> beside(rows, np.ones(3), np.append(two, [[np.nan, np.nan]], axis=0))[2].round(3)
    array([0., 0.], dtype=float32)
    """
    is_placed = np.isfinite(positions).all(axis=1)
    placed, others = np.flatnonzero(is_placed), np.flatnonzero(~is_placed & matrix.any(axis=1))
    filled = positions.astype(np.float32)
    if not len(placed):
        return filled
    landmarks = placed[_landmarks(counts[placed], seed=1)]
    units, places = unit_rows(matrix[landmarks]), positions[landmarks].astype(np.float64)
    for start in range(0, len(others), BLOCK):
        rows = others[start : start + BLOCK]
        filled[rows] = _between(unit_rows(matrix[rows]), units, places)
    return filled


def _check(method: str) -> None:
    if method not in METHODS:
        raise ConfigError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    if method not in LIBRARIES:
        return
    module, extra = LIBRARIES[method]
    require(module, f"method={method!r}", extra=extra)


def _landmarks(counts: Doubles, seed: int) -> Rows:
    if len(counts) <= LANDMARKS:
        return np.arange(len(counts))
    weights = counts + 1
    random = np.random.default_rng(seed)
    return np.sort(random.choice(len(counts), LANDMARKS, replace=False, p=weights / weights.sum()))


def _spread(matrix: Floats, landmarks: Rows, method: Method, seed: int) -> Doubles:
    """Place the landmarks by t-SNE or UMAP, and all other rows between landmarks, with added noise."""
    units = unit_rows(matrix[landmarks])
    placed = _by_method(units, method, seed)
    positions = np.empty((len(matrix), 2))
    positions[landmarks] = placed
    others = np.setdiff1d(np.arange(len(matrix)), landmarks)
    random = np.random.default_rng(seed)
    spread = 0.004 * (np.ptp(placed, axis=0).max() or 1.0)
    for start in range(0, len(others), BLOCK):
        rows = others[start : start + BLOCK]
        positions[rows] = _between(unit_rows(matrix[rows]), units, placed)
        positions[rows] += random.normal(0, spread, (len(rows), 2))
    return positions


def _between(units: Floats, landmarks: Floats, placed: Doubles) -> Doubles:
    """Return, per row, the mean position of its 8 most similar landmarks, weighted by exp(20 · cosine)."""
    cosines = units @ landmarks.T
    n = min(NEAREST, len(landmarks))
    nearest = np.argpartition(cosines, len(landmarks) - n, axis=1)[:, -n:]
    similarity = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
    weights = np.exp(SHARPNESS * (similarity - similarity.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    means: Doubles = np.einsum("ij,ijk->ik", weights, placed[nearest])
    return means


def _by_method(units: Floats, method: Method, seed: int) -> Doubles:
    if method == "umap":
        from item2vec.mapping.umap import umap

        return umap(units, seed)
    from item2vec.mapping.tsne import tsne

    return tsne(units, seed)
