"""The index of unit input vectors, for similar items: build it, write it to a bundle, and open it.

The index of a model with output scores holds output vectors, and a scan for similar items takes long if there
are many items. Each process would also compute its own copy of the unit vectors.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from item2vec import index as indexes
from item2vec.bundle.manifest import SIMILAR, UNITS, Manifest
from item2vec.bundle.parts import Parts
from item2vec.errors import CorruptBundleError
from item2vec.files import open_array, write_array
from item2vec.geometry import set_unit_input
from item2vec.index.building import Kind, build_for_neighbours
from item2vec.matrices import unit_rows
from item2vec.vectors import ItemVectors

__all__ = ["map_units", "open_similar", "with_similar_index", "write_similar"]

PREFIX = "similar_"
CHECKED_ROWS = 1000
ROUNDING = 1e-6


def with_similar_index(parts: Parts, *, kind: Kind, recall: float) -> Parts:
    """Return the model with an index of its unit input vectors.

    ``kind`` and ``recall`` are those of the model's index. If the model's index is exact, or itself holds the
    unit input vectors, the model is returned unchanged.

    Examples
    --------
    >>> from item2vec import ItemVectors, Recommender, Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), np.eye(2), np.ones(2))
    >>> parts = replace(Recommender(vectors, index="faiss").parts, similar_index=None)
    >>> with_similar_index(parts, kind="faiss", recall=0.95).similar_index.kind
    'faiss'
    """
    if parts.index.kind == "exact" or parts.unit_index is not None:
        return parts
    index = build_for_neighbours(parts.vectors.unit_input, kind=kind, recall=recall)
    return replace(parts, similar_index=index)


def write_similar(index: indexes.Index | None, folder: Path) -> dict[str, Any] | None:
    """Write the unit vectors and the index, if there is one; return the settings of the index."""
    if index is None:
        return None
    write_array(folder / UNITS, index.matrix)
    return index.save(folder, PREFIX)


def map_units(path: Path, manifest: Manifest, vectors: ItemVectors) -> bool:
    """Map the unit vectors as ``vectors.unit_input``, so that processes share them.

    Return whether the bundle contains unit vectors and an index of them.
    """
    if manifest.similar_index is None and not SIMILAR & manifest.files.keys():
        return False
    units = open_array(path / UNITS, np.float32, vectors.input.shape)
    rows = np.linspace(0, len(units) - 1, num=CHECKED_ROWS).astype(np.intp)
    if not np.allclose(units[rows], unit_rows(vectors.input[rows]), rtol=0, atol=ROUNDING):
        raise CorruptBundleError(
            f"{path / UNITS} contains other vectors; expected the vectors of input.npy, scaled to length 1: "
            "use another copy of the bundle"
        )
    set_unit_input(vectors, units)
    return True


def open_similar(path: Path, manifest: Manifest, vectors: ItemVectors) -> indexes.Index:
    """Open the index of ``vectors.unit_input``, which ``map_units`` has mapped."""
    return indexes.load(path, vectors.unit_input, manifest.similar_index or {}, PREFIX)
