"""Corpus preparation and batch recommendations on a Spark cluster. Training runs on one machine.

Only this package imports pyspark, which the extra ``spark`` installs. The data flow::

    DataFrame of events
      │  frames.py: checks the column types, numbers the rows
      ├─▶ preparing.py  rows by shard ─▶ sentences of each shard ─▶ vocabulary ─▶ shards   (shards.py)
      └─▶ answering.py  rows by user ─▶ histories ─▶ DataFrame of recommendations          (blocks.py)

The executors call item2vec on Arrow batches. ``blocks.py``, ``parts.py``, ``shards.py`` and the task of
``answering.py`` run there without pyspark. All machines need the same version of item2vec.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from item2vec.spark.answering import recommend
    from item2vec.spark.preparing import prepare

__all__ = ["prepare", "recommend"]

_MODULE_OF = {"prepare": "preparing", "recommend": "answering"}


def __getattr__(name: str) -> Any:
    # Imported on access, because a process of an executor needs only the module of its task.
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'item2vec.spark' has no attribute {name!r}; it has {__all__}")
    return getattr(importlib.import_module(f"item2vec.spark.{_MODULE_OF[name]}"), name)
