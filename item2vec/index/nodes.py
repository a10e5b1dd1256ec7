"""Annoy's file, node by node: its layout, and the checks without which a bad file ends the process.

A file is an array of nodes of one size. First come the items, each with its vector; then the nodes of the
trees, every one after its children; at the end once more the roots. A node with few descendants lists them
where others keep their vector. Annoy believes all of this and follows any number it finds, so a file is
looked through here, in NumPy, before Annoy sees it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes
from item2vec.errors import CorruptBundleError

__all__ = ["Nodes", "check_trees", "map_nodes", "node_bytes"]

Nodes = npt.NDArray[np.void]

NODES_AT_ONCE = 1 << 16


def node_bytes(size: int) -> int:
    """Return the bytes of a node of Annoy's angular metric with vectors of this size."""
    return _layout(size).itemsize


def map_nodes(file: BinaryIO, size: int, n_bytes: int) -> Nodes:
    """Map the nodes of a file read-only, after checking that it has exactly ``n_bytes``."""
    found = os.fstat(file.fileno()).st_size
    if found != n_bytes or n_bytes < 1 or n_bytes % node_bytes(size):
        raise CorruptBundleError(
            f"{_name(file)} is {found:,} bytes; expected {n_bytes:,}, a multiple of {node_bytes(size)}"
        )
    try:
        return np.asarray(np.memmap(file, dtype=_layout(size), mode="r"))
    except OSError as error:
        raise CorruptBundleError(f"{_name(file)} cannot be mapped: {error.strerror}") from error


def check_trees(nodes: Nodes, n_items: int, n_trees: int) -> None:
    """Refuse nodes that would lead Annoy out of the file, or round in circles."""
    numbers = nodes.view("<i4").reshape(len(nodes), -1)
    sound = len(nodes) >= n_items + n_trees and bool(
        (numbers[:n_items, 0] == 1).all() and (numbers[-n_trees:, 0] == n_items).all()
    )
    for start in range(n_items, len(nodes), NODES_AT_ONCE):
        sound = sound and _leads_down(numbers[start : start + NODES_AT_ONCE], start, n_items)
    if not sound:
        raise CorruptBundleError(
            f"the index is not {n_trees} trees over {n_items:,} items; it is damaged, or not an Annoy file"
        )


def _leads_down(numbers: Codes, start: int, n_items: int) -> bool:
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
