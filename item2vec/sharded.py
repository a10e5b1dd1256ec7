"""Public names for sharded corpora.

``ShardedSentences`` reads a corpus, ``ShardWriter`` writes a corpus, and ``shard_of`` returns the number of
the shard that holds the sentences of a user.
"""

from __future__ import annotations

from item2vec.sentences import ShardedSentences
from item2vec.shards.writer import ShardWriter, shard_of

__all__ = ["ShardWriter", "ShardedSentences", "shard_of"]
