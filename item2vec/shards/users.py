"""The users of the sentences of a shard: an optional Arrow file with one id per sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from item2vec import files
from item2vec.errors import CorruptBundleError, InputError
from item2vec.shards.hashing import compact
from item2vec.shards.lazy import LazyShards
from item2vec.shards.manifest import USERS, Manifest, verify
from item2vec.types import as_history

__all__ = ["open_users", "write_users"]

_SCHEMA = pa.schema([("id", pa.string())])


def write_users(folder: Path, users: Any, n_sentences: int) -> None:
    """Write the user of each sentence to a new file in a folder.

    ``users`` is a sequence of ids or an Arrow array.

    Raises
    ------
    InputError
        If the number of ids differs from the number of sentences, if an id is null, or if an id cannot be
        converted to text. Integers of an Arrow array are converted. Integers of other sequences are invalid.
    """
    try:
        is_arrow = isinstance(users, pa.Array | pa.ChunkedArray)
        ids = users if is_arrow else pa.array(as_history(users, "users"), pa.string())
        table = pa.table({"id": ids}).cast(_SCHEMA).combine_chunks()
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise InputError(f"users cannot be written as ids: {error}; expected text") from error
    if len(table) != n_sentences or table["id"].null_count:
        raise InputError(
            f"{len(table):,} users ({table['id'].null_count:,} of them null) for {n_sentences:,} sentences; "
            "expected one id per sentence, and no null"
        )
    with (folder / USERS).open("xb") as file:
        with pa.ipc.new_file(file, _SCHEMA) as writer:
            for ids in filter(len, table["id"].chunks):
                writer.write_batch(pa.record_batch([compact(ids)], _SCHEMA))
        file.flush()
        files.flush(file.fileno())


def open_users(folder: Path, manifest: Manifest) -> LazyShards[tuple[str, ...]] | None:
    """Return the users of the sentences of each shard; ``None`` if the corpus has no users.

    The checksum of the file of a shard's users is verified each time the file is read.
    """
    if not all(USERS in shard.sha256 for shard in manifest.shards):
        return None

    def load(number: int) -> tuple[str, ...]:
        shard = manifest.shards[number]
        verify(folder / shard.name, {USERS: shard.sha256[USERS]})
        path = folder / shard.name / USERS
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all().cast(_SCHEMA)
        except (pa.ArrowException, ValueError) as error:
            raise CorruptBundleError(
                f"{path} is not an Arrow file of ids: {error}; use another copy"
            ) from error
        if len(table) != shard.n_sentences:
            raise CorruptBundleError(
                f"{path} has {len(table):,} users; expected {shard.n_sentences:,}: use another copy"
            )
        return tuple(table["id"].to_pylist())

    return LazyShards(len(manifest.shards), load)
