"""Read interactions, items and graphs from files, DataFrames and the results of SQL queries.

At run time, only this package imports pandas, and only this package, ``shards`` and ``spark`` import pyarrow.
Data passes through the modules in this order::

    path, DataFrame, query
      │  tables.open_table       chooses a Table class by the type of the source, or by the content of a file;
      │                          folders.py lists the files of a folder, parts.py joins several tables
      ▼
    Table                        table.py: the interface, and the positions of columns by name
      │  .batches()              text.py: delimited text, with the rules of quoting.py; json_lines.py;
      │                          columnar.py: Parquet, Arrow, …
      ▼
    Batch                        columns.py parses ids to codes, and weights; times.py parses timestamps to
      │                          microseconds; both return masks of bad rows
      │  collecting.read_columns drops bad rows; faults.FaultReport raises faults as errors, or logs them
      ▼
    one array per column  ─▶     interactions.py → Interactions, items.py → Items, edges.py → Graph

A graph can also be read without a ``Table``: ``edge_rows.py`` parses edge lists and adjacency lists without a
header, and tuples; ``graph_files.py`` parses GraphML and Pajek files; ``graph_objects.py`` converts graphs of
networkx and igraph.
"""

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
