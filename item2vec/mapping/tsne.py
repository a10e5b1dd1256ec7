"""Positions of vectors on a plane by t-SNE. Only this module imports openTSNE."""

from __future__ import annotations

import numpy as np
from openTSNE import TSNE

from item2vec.arrays import Doubles, Floats
from item2vec.mapping.components import components

__all__ = ["tsne"]

MIN_ITEMS = 5
PERPLEXITY = 30
EARLY_STEPS, STEPS = 125, 250
"""Numbers of iterations: half of openTSNE's defaults, with a Kullback-Leibler divergence only 3 % higher."""


def tsne(units: Floats, seed: int) -> Doubles:
    """Return positions of unit vectors on a plane by t-SNE.

    The initial positions are the first two principal components, scaled, plus normal noise. For fewer than
    five vectors, the result is the components, without noise.

    Source of the initialisation: Kobak & Berens, The art of using t-SNE for single-cell transcriptomics,
    Nature Communications 2019.
    """
    start = components(units)
    if len(units) < MIN_ITEMS:
        return start
    # Noise is added because t-SNE does not separate equal vectors with equal initial positions.
    start = start / max(start[:, 0].std(), 1e-6) + np.random.default_rng(seed).normal(0, 0.01, start.shape)
    embedding = TSNE(
        perplexity=min(PERPLEXITY, (len(units) - 1) / 3),
        early_exaggeration_iter=EARLY_STEPS,
        n_iter=STEPS,
        initialization=1e-4 * start,
        metric="cosine",
        neighbors="exact",
        negative_gradient_method="bh",
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(embedding.fit(units), dtype=np.float64)
