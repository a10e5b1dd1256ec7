"""Public names for sharded corpora: classes to read and write a corpus, and the shard of a user."""

from __future__ import annotations

from item2vec.sentences import ShardedSentences
from item2vec.shards.writer import ShardWriter, shard_of

__all__ = ["ShardWriter", "ShardedSentences", "shard_of"]
