"""Adapters: playlists, histories, sessions and walks over graphs become sentences."""

from __future__ import annotations

from item2vec.adapters.histories import histories, sessions
from item2vec.adapters.playlists import playlists
from item2vec.adapters.walks import walks

__all__ = ["histories", "playlists", "sessions", "walks"]
