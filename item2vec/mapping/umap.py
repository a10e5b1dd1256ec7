"""Positions of vectors on a plane by UMAP. Only this module imports umap."""

from __future__ import annotations

import warnings

import numpy as np

from item2vec.arrays import Doubles, Floats
from item2vec.mapping.components import components

__all__ = ["umap"]

NEIGHBOURS = 15


def umap(units: Floats, seed: int) -> Doubles:
    """Return positions of unit vectors on a plane by UMAP.

    The initial positions are the first two principal components, scaled, plus normal noise.

    Source: McInnes, Healy & Melville, UMAP: Uniform Manifold Approximation and Projection, 2018.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # umap warns that TensorFlow is not installed
        from umap import UMAP

    start = components(units)
    start = start / max(np.abs(start).max(), 1e-6) * 10
    start += np.random.default_rng(seed).normal(0, 1e-3, start.shape)
    model = UMAP(
        n_neighbors=min(NEIGHBOURS, len(units) - 1),
        metric="cosine",
        init=start.astype(np.float32),
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(units), dtype=np.float64)
