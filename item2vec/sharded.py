"""Public names for sharded corpora: the classes that read and write a corpus, and ``shard_of`` for users."""

from __future__ import annotations

from item2vec.sentences import ShardedSentences
from item2vec.shards.writer import ShardWriter, shard_of

__all__ = ["ShardWriter", "ShardedSentences", "shard_of"]
