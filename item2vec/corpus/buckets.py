"""Write interactions, as integer codes, to a file per shard; build the sentences of a shard from its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.adapters.histories import chosen_interactions
from item2vec.adapters.shards import sentences_of_users
from item2vec.arrays import Codes
from item2vec.config import AdapterConfig
from item2vec.errors import CorruptBundleError
from item2vec.interactions import Interactions
from item2vec.sentences import Sentences
from item2vec.shaping import shape_by
from item2vec.types import Vocabulary

__all__ = ["BYTES_PER_ROW", "read_bucket", "sentences_of", "write_buckets"]

DTYPES = {
    "user": "<i4",
    "item": "<i4",
    "row": "<i8",
    "timestamp": "<i8",
    "weight": "<f4",
    "event": "<i4",
    "session": "<i8",
}
"""Dtype of each column. ``user`` is an index within the shard; ``row`` is the position in the source."""

BYTES_PER_ROW = 120
"""Approximate memory in bytes that ``sentences_of`` needs per row: record, columns and sorted copies."""

Records = npt.NDArray[Any]


def write_buckets(
    folder: Path, batches: Iterable[Mapping[str, npt.NDArray[Any]]], columns: Sequence[str], n_shards: int
) -> list[int]:
    """Write the rows of each shard to a file in a new folder. Return the number of rows per shard.

    A batch maps ``"shard"`` and each name in ``columns`` to an array with a value per row.
    """
    folder.mkdir()
    dtype = np.dtype([(name, DTYPES[name]) for name in columns])
    n_rows = np.zeros(n_shards, dtype=np.int64)
    for number in range(n_shards):
        _file(folder, number).touch()
    for batch in batches:
        shards = batch["shard"].astype(np.min_scalar_type(n_shards))  # NumPy sorts 16 bits by radix
        records = np.empty(len(shards), dtype)
        order = np.argsort(shards, kind="stable")
        for name in columns:
            records[name] = batch[name][order]
        sizes = np.bincount(shards, minlength=n_shards)
        n_rows += sizes
        ends = np.cumsum(sizes)
        for number in np.flatnonzero(sizes).tolist():
            with _file(folder, number).open("ab") as file:
                records[ends[number] - sizes[number] : ends[number]].tofile(file)
    for number in range(n_shards):
        with _file(folder, number).open("rb") as file:
            files.flush(file.fileno())
    return n_rows.tolist()


def read_bucket(folder: Path, number: int, columns: Sequence[str], n_rows: int) -> Records:
    """Return the rows of a shard in the order of the source.

    Raises
    ------
    CorruptBundleError
        If the file of the shard does not contain ``n_rows`` rows.
    """
    path = _file(folder, number)
    dtype = np.dtype([(name, DTYPES[name]) for name in columns])
    if path.stat().st_size != n_rows * dtype.itemsize:
        raise CorruptBundleError(
            f"{path} has {path.stat().st_size:,} bytes; expected {n_rows * dtype.itemsize:,}: "
            f"remove {folder.parent}, and run again"
        )
    records = np.fromfile(path, dtype)
    return records[np.argsort(records["row"], kind="stable")]


def sentences_of(
    records: Records, items: Vocabulary, events: Vocabulary | None, adapter: AdapterConfig
) -> tuple[Sentences, Codes]:
    """Return a pair: the sentences of a shard; and the user index of each sentence.

    The user index is the column ``user`` of ``records``. The settings of ``adapter`` determine the sentences.
    Tokens are codes of ``items``. Sentences are in ascending order of user indices. The minimum counts of
    ``adapter`` must be 1, because ``Database.choose`` has already applied the minimum counts to the rows of
    all shards.
    """
    named = {name: records[name] for name in records.dtype.names or ()}
    columns: dict[str, Any] = {name: named[name] for name in ("timestamp", "weight") if name in named}
    if "event" in named:
        assert events is not None
        # The names in ``adapter.events`` count as known, because ``prepare`` has already logged the dislikes
        # that do not occur; otherwise, these dislikes would be logged again for each shard.
        known = Vocabulary.of([*events.ids, *(adapter.events or ())])
        columns |= {"event": named["event"], "events": known}
    if "session" in named:
        distinct, codes = np.unique(named["session"], return_inverse=True)
        columns |= {"session": codes, "sessions": _numbers(len(distinct))}
    users = _numbers(int(named["user"].max(initial=-1)) + 1)
    interactions = Interactions(users, items, user=named["user"], item=named["item"], **columns)
    unshaped, owners = sentences_of_users(chosen_interactions(interactions, adapter), adapter)
    shaped, numbers = shape_by(unshaped, adapter)
    return shaped, owners[numbers]


def _numbers(n: int) -> Vocabulary:
    return Vocabulary(tuple(map(str, range(n))))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.rows"
