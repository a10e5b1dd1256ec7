"""Read interactions, items and graphs from files, DataFrames and SQL selects.

Outside this package, only ``shards`` and ``spark`` need pyarrow, and no package needs pandas. Data passes
through the modules in this order::

    path, DataFrame, select
      │  tables.open_table       chooses a Table by the type of the source, or by the content of the file;
      │                          folders.py lists the files of a folder, parts.py joins several tables
      ▼
    Table                        table.py: the interface, positions of columns by name
      │  .batches()              text.py: delimited text, with the rules of quoting.py; json_lines.py;
      │                          columnar.py: Parquet, Arrow, …
      ▼
    Batch                        columns.py: ids → codes, weights; times.py: microseconds; masks of bad rows
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
