"""Prepare sharded corpora of interactions in files that may be larger than the memory.

``preparing.prepare`` calls, in this order::

    readers.staging     Parquet files as they are; any other source is converted to one Parquet file
      │
      ▼
    database.py         DuckDB: checks the values; counts items; codes users, items and sessions
      │
      ▼
    buckets.py          one file of coded rows per shard
      │                 Interactions of one shard, in memory; the adapters cut their sentences
      ▼
    sharded.ShardWriter one shard after the other

No other package imports duckdb.
"""

from __future__ import annotations

from item2vec.corpus.preparing import prepare

__all__ = ["prepare"]
