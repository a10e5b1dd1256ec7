"""Tasks of ``prepare`` in the executors: convert rows to sentences, and write the shards of the corpus.

The sentences of a shard are first written with codes that are valid in this shard only: the code of an item
is its position in the list of the shard's items. Later, these codes are replaced by the codes of the items in
the vocabulary of the corpus.

The files of a task have temporary names until they are complete. If Spark repeats a task, or runs it twice at
the same time, the first complete files of a shard are kept. The file of the vocabulary is replaced by a file
with the same ids and counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from item2vec.adapters.histories import chosen_interactions
from item2vec.adapters.shards import sentences_of_users
from item2vec.config import AdapterConfig
from item2vec.interactions import Interactions
from item2vec.shaping import shape_by
from item2vec.sharded import ShardWriter
from item2vec.spark.blocks import groups_by, interactions_of, row_blocks
from item2vec.spark.parts import Part, read_counts, write_counts
from item2vec.types import Vocabulary

__all__ = [
    "VOCABULARY",
    "ItemCounter",
    "ItemReader",
    "PartWriter",
    "ShardFinisher",
    "VocabularyReader",
    "VocabularyWriter",
]

VOCABULARY = "vocabulary.arrow"
ROWS_PER_BATCH = 1 << 16

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class _Reader:
    """Converts rows to ``Interactions``.

    If the rows have an event column, the vocabulary ``events`` contains every name in ``adapter.events``,
    even names that do not occur in these rows.
    """

    adapter: AdapterConfig
    time_unit: str | None

    def read(self, table: pa.Table) -> Interactions:
        read = interactions_of(table, self.time_unit)
        if self.adapter.events is None or read.events is None:
            return read
        # A selected event may occur only in the rows of other tasks.
        events = Vocabulary.of([*read.events.ids, *self.adapter.events])
        return dataclasses.replace(read, events=events)


@dataclass(frozen=True)
class ItemCounter(_Reader):
    """Counts the interactions of each item, after the filters by time and event."""

    schema: ClassVar = "item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the counts of the items, separately for each block of rows."""
        for table in row_blocks(batches):
            kept = chosen_interactions(self.read(table), self.adapter)
            counts = np.bincount(kept.item, minlength=len(kept.items))
            yield from _batches(item=pa.array(kept.items.ids, pa.string()), count=pa.array(counts))


@dataclass(frozen=True)
class PartWriter(_Reader):
    """Writes the sentences of each shard as a ``Part``. Rows are sorted by shard, then by user."""

    folder: Path

    schema: ClassVar = "shard int, n_sentences bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield a row per shard: the shard, and the number of its sentences."""
        for table in groups_by("shard", batches):
            part = Part(self.folder, table["shard"][0].as_py())
            interactions = self.read(table)
            whole, owners = sentences_of_users(chosen_interactions(interactions, self.adapter), self.adapter)
            cut, numbers = shape_by(whole, self.adapter)
            part.write(cut, whole.counts(), interactions.users.decode(owners[numbers]))
            yield from _batches(
                shard=pa.array([part.shard], pa.int32()),
                n_sentences=pa.array([len(cut)], pa.int64()),
            )


@dataclass(frozen=True)
class ItemReader:
    """Reads the items of shards. Each input row is a position in the tuple ``shards``."""

    folder: Path
    shards: tuple[int, ...]

    schema: ClassVar = "shard int, own bigint, item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield a row per shard and item with a count above 0; ``own`` is the item's code in the shard."""
        for position in _numbers(batches):
            shard = self.shards[position]
            items = Part(self.folder, shard).items()
            own = np.flatnonzero(items["count"].to_numpy())
            yield from _batches(
                shard=pa.array(np.full(len(own), shard, np.int32)),
                own=pa.array(own),
                item=items["id"].take(pa.array(own)),
                count=items["count"].take(pa.array(own)),
            )


@dataclass(frozen=True)
class VocabularyWriter:
    """Writes all rows as an Arrow file. The rows are sorted, and in a single partition."""

    folder: Path

    schema: ClassVar = "n bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Write the file, and yield the number of ids."""
        yield from _batches(n=pa.array([write_counts(self.folder / VOCABULARY, batches)], pa.int64()))


@dataclass(frozen=True)
class VocabularyReader:
    """Reads blocks of ``BLOCK`` ids of the vocabulary. Each input row is the code of a block's first id."""

    folder: Path

    schema: ClassVar = "item string, code bigint"
    BLOCK: ClassVar = 1 << 17

    def __call__(self, batches: Batches) -> Batches:
        """Yield the ids of the blocks, with their codes."""
        ids = read_counts(self.folder / VOCABULARY)["id"]
        for start in _numbers(batches):
            block = ids.slice(start, self.BLOCK)
            yield from _batches(item=block, code=pa.array(np.arange(start, start + len(block))))


@dataclass(frozen=True)
class ShardFinisher:
    """Writes shards with the item codes of the corpus.

    The input has a row per shard and item: ``own`` is the code of the item in the shard, and ``code`` is the
    code of the item in the vocabulary of the corpus. The rows are sorted by ``shard``, then by ``own``.
    """

    folder: Path
    writer: ShardWriter

    schema: ClassVar = "shard int"

    def __call__(self, batches: Batches) -> Batches:
        """Write the shards, and yield a row per finished shard."""
        for table in groups_by("shard", batches):
            shard = table["shard"][0].as_py()
            code_of = np.full(table["own"][-1].as_py() + 1, -1, dtype=np.int32)
            code_of[table["own"].to_numpy()] = table["code"].to_numpy()
            part = Part(self.folder, shard)
            arrays = part.arrays()
            arrays["tokens"] = code_of[arrays["tokens"]]
            self.writer.write(shard, **arrays, users=part.users())
            yield from _batches(shard=pa.array([shard], pa.int32()))


def _numbers(batches: Batches) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _batches(**columns: pa.Array | pa.ChunkedArray) -> Batches:
    yield from pa.table(columns).to_batches(max_chunksize=ROWS_PER_BATCH)
