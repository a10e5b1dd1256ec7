"""The layout of an Annoy file, and its validation before Annoy maps it.

A file is an array of nodes of equal size: first the items, each with its vector; then the nodes of the trees,
each after its children; at the end, a copy of the roots. A node with few descendants, a leaf, lists them in
the space in which other nodes store two children and a vector. Annoy follows the node numbers of a file
without checking them, so that a damaged file could crash the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes
from item2vec.errors import CorruptBundleError, reason_of

__all__ = ["Nodes", "check_trees", "map_nodes", "node_bytes"]

Nodes = npt.NDArray[np.void]

NODES_AT_ONCE = 1 << 16


def node_bytes(size: int) -> int:
    """Return the size of a node in bytes, for the angular metric and vectors of ``size`` dimensions."""
    return _layout(size).itemsize


def map_nodes(file: BinaryIO, size: int, n_bytes: int) -> Nodes:
    """Map the nodes of a file read-only, after checking that the file has exactly ``n_bytes``."""
    file_bytes = os.fstat(file.fileno()).st_size
    if file_bytes != n_bytes or n_bytes < 1 or n_bytes % node_bytes(size):
        raise CorruptBundleError(
            f"{_name(file)} has {file_bytes:,} bytes; expected {n_bytes:,}, as in the description of the "
            f"index, and a multiple of {node_bytes(size)}, the size of a node: use another copy of "
            "the bundle, or rebuild the index"
        )
    try:
        return np.asarray(np.memmap(file, dtype=_layout(size), mode="r"))
    except OSError as error:
        raise CorruptBundleError(
            f"{_name(file)} cannot be mapped into memory: {reason_of(error)}; free memory, or rebuild the "
            "index"
        ) from error


def check_trees(nodes: Nodes, n_items: int, n_trees: int) -> None:
    """Raise ``CorruptBundleError`` unless the nodes can be ``n_trees`` trees over ``n_items`` items.

    Each item must record one descendant, each root ``n_items`` descendants, and any other node from 1 to
    ``n_items`` descendants. Each child must precede its parent in the file, and the children of a leaf must
    be items. Whether each tree contains all items is not checked.
    """
    numbers = nodes.view("<i4").reshape(len(nodes), -1)
    is_valid = len(nodes) >= n_items + n_trees and bool(
        (numbers[:n_items, 0] == 1).all() and (numbers[-n_trees:, 0] == n_items).all()
    )
    for start in range(n_items, len(nodes), NODES_AT_ONCE):
        is_valid = is_valid and _children_precede(numbers[start : start + NODES_AT_ONCE], start, n_items)
    if not is_valid:
        raise CorruptBundleError(
            f"the index is damaged, or not an Annoy file; expected {n_trees} trees over {n_items:,} items: "
            "use another copy of the bundle, or rebuild the index"
        )


def _children_precede(numbers: Codes, start: int, n_items: int) -> bool:
    descendants, children = numbers[:, 0], numbers[:, 1:]
    is_leaf = descendants <= children.shape[1]
    n_children = np.where(is_leaf, descendants, 2)
    limit = np.where(is_leaf, n_items, np.arange(start, start + len(numbers)))
    inside = (children >= 0) & (children < limit[:, None])
    is_child = np.arange(children.shape[1]) < n_children[:, None]
    in_range = (descendants >= 1) & (descendants <= n_items)
    return bool(in_range.all() and (inside | ~is_child).all())


def _layout(size: int) -> np.dtype[Any]:
    return np.dtype([("descendants", "<i4"), ("children", "<i4", (2,)), ("vector", "<f4", (size,))])


def _name(file: BinaryIO) -> str:
    return Path(str(file.name)).name if isinstance(file.name, str) else "the index"
