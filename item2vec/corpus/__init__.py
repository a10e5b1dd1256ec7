"""Prepare sharded corpora, and read graphs, of files that may be larger than the memory.

``preparing.prepare`` calls, in this order::

    readers.staging     keeps Parquet files of valid rows; converts any other source to one Parquet file
      │
      ▼
    database.py         DuckDB: checks the values; counts items; codes users, items and sessions
      │
      ▼
    buckets.py          one file of coded rows per shard
      │                 Interactions of one shard, in memory; the adapters cut their sentences
      ▼
    sharded.ShardWriter one shard after the other

``graphs.read_graph`` merges the edges of files in ``database.EdgeDatabase``, into a graph in memory. No other
package imports duckdb.
"""

from __future__ import annotations

from item2vec.corpus.graphs import read_graph
from item2vec.corpus.preparing import prepare

__all__ = ["prepare", "read_graph"]
