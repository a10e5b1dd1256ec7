"""Interactions, items and graphs from files, DataFrames and SQL; the only door to pandas and pyarrow."""

from __future__ import annotations

from item2vec.readers.edges import read_edges
from item2vec.readers.faults import Fault
from item2vec.readers.interactions import read_interactions, to_frame
from item2vec.readers.items import open_items, read_items, write_items

__all__ = [
    "Fault",
    "open_items",
    "read_edges",
    "read_interactions",
    "read_items",
    "to_frame",
    "write_items",
]
