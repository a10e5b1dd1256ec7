"""Prepare sharded corpora, and read graphs, from files that may be larger than the memory.

``preparing.prepare`` calls, in this order::

    readers.staging     uses Parquet files of valid rows as they are; converts other sources to a Parquet file
      │
      ▼
    database.py         checks the values with DuckDB; counts items and users; assigns codes to ids
      │
      ▼
    buckets.py          writes one file per shard, with codes instead of ids; reads one such file at a
      │                 time, and uses the adapters to build sentences from its rows
      ▼
    sharded.ShardWriter writes one shard after the other

``graphs.read_graph`` merges the edges in files with ``database.EdgeDatabase``, and returns a graph in memory.
No other package imports duckdb.
"""

from __future__ import annotations

from item2vec.corpus.graphs import read_graph
from item2vec.corpus.preparing import prepare

__all__ = ["prepare", "read_graph"]
