"""Build training sentences from playlists, interactions, pairs of item and context, and walks on a graph."""

from __future__ import annotations

from item2vec.adapters.histories import histories, sessions
from item2vec.adapters.pairs import pairs
from item2vec.adapters.playlists import playlists
from item2vec.adapters.shards import save_shards
from item2vec.adapters.walks import save_walks, walks

__all__ = ["histories", "pairs", "playlists", "save_shards", "save_walks", "sessions", "walks"]
