"""Open the manifest, the vocabulary and the users of a sharded corpus."""

from __future__ import annotations

from pathlib import Path

from item2vec.shards.arrow import open_vocabulary
from item2vec.shards.lazy import LazyShards
from item2vec.shards.manifest import Manifest, read_manifest
from item2vec.shards.users import open_users
from item2vec.types import Vocabulary

__all__ = ["read_corpus"]


def read_corpus(folder: Path) -> tuple[Manifest, Vocabulary, LazyShards[tuple[str, ...]] | None]:
    """Return a triple: the manifest; the vocabulary; and for each shard, the user of each sentence.

    The third element is ``None`` if the corpus has no users.

    Raises
    ------
    CorruptBundleError
        If the manifest or the vocabulary is damaged.
    """
    manifest = read_manifest(folder)
    return manifest, open_vocabulary(folder, manifest.n_items), open_users(folder, manifest)
