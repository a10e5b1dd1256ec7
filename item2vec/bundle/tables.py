"""Write the table of neighbours to a bundle, and open it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from item2vec.bundle.manifest import Manifest
from item2vec.errors import CorruptBundleError
from item2vec.files import open_array, write_array
from item2vec.neighbours import NeighbourTable

__all__ = ["open_neighbours", "write_neighbours"]

NAMES = ("offsets", "items", "weights")


def write_neighbours(table: NeighbourTable | None, folder: Path) -> None:
    """Write the three files of the table, if there is one."""
    if table is not None:
        for name in NAMES:
            write_array(folder / f"neighbours_{name}.npy", getattr(table, name))


def open_neighbours(path: Path, manifest: Manifest) -> NeighbourTable | None:
    """Memory-map the table of neighbours; return ``None`` if the bundle has no table."""
    listed = {f"neighbours_{name}.npy" for name in NAMES} & manifest.files.keys()
    if not listed and manifest.neighbours_decay is None:
        return None
    if len(listed) < len(NAMES) or manifest.neighbours_decay is None:
        raise CorruptBundleError(
            f"{path / 'manifest.json'} lists {sorted(listed)} and neighbours_decay="
            f"{manifest.neighbours_decay}; expected the three files of a table of neighbours and a decay, or "
            "neither: use another copy of the bundle"
        )
    offsets = open_array(path / "neighbours_offsets.npy", np.int64, (manifest.n_items + 1,))
    n = int(offsets[-1])
    items = open_array(path / "neighbours_items.npy", np.int32, (n,))
    weights = open_array(path / "neighbours_weights.npy", np.float32, (n,))
    return NeighbourTable(offsets, items, weights, manifest.neighbours_decay)
