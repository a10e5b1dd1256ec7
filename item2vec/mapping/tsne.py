"""Positions of vectors on a plane by t-SNE. Only this module imports openTSNE."""

from __future__ import annotations

import numpy as np
from openTSNE import TSNE

from item2vec.arrays import Floats
from item2vec.mapping.components import components

__all__ = ["tsne"]

MIN_ITEMS = 5
PERPLEXITY = 30


def tsne(units: Floats, seed: int) -> Floats:
    """Return positions on a plane, initialised with the first two principal components.

    Source of the initialisation: Kobak & Berens, The art of using t-SNE for single-cell transcriptomics,
    Nature Communications 2019.
    """
    n_items, start = len(units), components(units)
    if n_items < MIN_ITEMS:
        return start
    # Noise is added because t-SNE does not separate equal vectors with equal initial positions.
    start = start / max(start[:, 0].std(), 1e-6) + np.random.default_rng(seed).normal(0, 0.01, start.shape)
    embedding = TSNE(
        perplexity=min(PERPLEXITY, (n_items - 1) / 3),
        initialization=1e-4 * start,
        metric="cosine",
        neighbors="exact",
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(embedding.fit(units), dtype=np.float32)
