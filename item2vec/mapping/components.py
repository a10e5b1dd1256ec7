"""The first two principal components, from which layouts start."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Floats

__all__ = ["components"]


def components(units: Floats) -> Floats:
    """Return the coordinates of rows (n × dimensions) along their first two principal components (n × 2).

    >>> components(np.array([[0, 1], [0, 3]], dtype=np.float32)).shape
    (2, 2)
    """
    left, scales, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    coordinates: Floats = np.pad(left * scales, ((0, 0), (0, 1)))[:, :2]
    return coordinates
