"""Tasks of ``prepare`` in the executors: from rows to sentences, and from the codes of a shard to common codes.

The files of a task have temporary names until they are complete. If Spark repeats a task, or runs it twice at
the same time, the first complete result is kept.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from item2vec.adapters.histories import chosen_interactions, training_sentences
from item2vec.config import AdapterConfig
from item2vec.errors import BundleExistsError
from item2vec.interactions import Interactions
from item2vec.sentences import Sentences
from item2vec.sharded import ShardWriter
from item2vec.spark.blocks import groups_by, interactions_of, row_blocks
from item2vec.types import Vocabulary

__all__ = [
    "CodeReader",
    "IdReader",
    "ItemCounter",
    "SentenceWriter",
    "ShardFinisher",
    "VocabularyWriter",
    "open_counts",
]

log = logging.getLogger(__name__)

VOCABULARY = "vocabulary.arrow"
ROWS_PER_BATCH = 1 << 16

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class _Reader:
    """Reads rows as interactions, with the names of all selected events."""

    adapter: AdapterConfig
    time_unit: str | None

    def read(self, table: pa.Table) -> Interactions:
        read = interactions_of(table, self.time_unit)
        if self.adapter.events is None or read.events is None:
            return read
        # An event that does not occur in these rows may occur in others.
        events = Vocabulary.of([*read.events.ids, *self.adapter.events])
        return dataclasses.replace(read, events=events)


@dataclass(frozen=True)
class ItemCounter(_Reader):
    """Counts the interactions of each item, after the filters by time and event."""

    SCHEMA: ClassVar = "item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the counts of blocks of rows."""
        for table in row_blocks(batches):
            kept = chosen_interactions(self.read(table), self.adapter)
            counts = np.bincount(kept.item, minlength=len(kept.items))
            yield from _batches(
                item=pa.array(kept.items.ids, pa.string()), count=pa.array(counts, pa.int64())
            )


@dataclass(frozen=True)
class SentenceWriter(_Reader):
    """Writes the sentences of each shard, whose rows are consecutive and sorted by user.

    A shard has codes of its own, in the order of first appearance.
    """

    folder: Path

    SCHEMA: ClassVar = "shard int, n_sentences bigint, events array<string>"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the number of sentences of each shard, and the events of its rows."""
        for table in groups_by("shard", batches):
            shard = table["shard"][0].as_py()
            interactions = self.read(table)
            sentences = training_sentences(interactions, self.adapter)
            with _kept_if_complete(shard):
                sentences.save(self.folder / str(shard))
            yield from _batches(
                shard=pa.array([shard], pa.int32()),
                n_sentences=pa.array([len(sentences)], pa.int64()),
                events=pa.array([_events_of(interactions)], pa.list_(pa.string())),
            )


@dataclass(frozen=True)
class IdReader:
    """Reads the ids and counts of shards, by positions in ``numbers``."""

    folder: Path
    numbers: tuple[int, ...]

    SCHEMA: ClassVar = "shard int, own bigint, item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the ids of the shards, with the codes that the shards use."""
        for position in _numbers(batches):
            shard = self.numbers[position]
            sentences = Sentences.open(self.folder / str(shard))
            n = len(sentences.vocabulary)
            yield from _batches(
                shard=pa.array(np.full(n, shard, np.int32)),
                own=pa.array(np.arange(n)),
                item=pa.array(sentences.vocabulary.ids, pa.string()),
                count=pa.array(sentences.counts()),
            )


@dataclass(frozen=True)
class VocabularyWriter:
    """Writes the rows of its only partition, which are sorted, as an Arrow file."""

    folder: Path

    SCHEMA: ClassVar = "n bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Write the file, and yield the number of ids."""
        yield from _batches(n=pa.array([self.write(batches)], pa.int64()))

    def write(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Write the file, and return the number of ids."""
        temporary = self.folder / f"{uuid.uuid4().hex}.tmp"
        schema = pa.schema([("id", pa.string()), ("count", pa.int64())])
        n = 0
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch.cast(schema))
                n += batch.num_rows
        temporary.replace(self.folder / VOCABULARY)
        return n


@dataclass(frozen=True)
class CodeReader:
    """Reads the codes of ids, by the first codes of blocks of ``BLOCK`` codes."""

    folder: Path

    SCHEMA: ClassVar = "item string, code bigint"
    BLOCK: ClassVar = 1 << 17

    def __call__(self, batches: Batches) -> Batches:
        """Yield the ids of the blocks, with their codes."""
        ids = open_counts(self.folder)["id"]
        for start in _numbers(batches):
            block = ids.slice(start, self.BLOCK)
            yield from _batches(item=block, code=pa.array(np.arange(start, start + len(block))))


@dataclass(frozen=True)
class ShardFinisher:
    """Writes shards with common codes, from rows with the common code of each own code, in their order."""

    folder: Path
    writer: ShardWriter

    SCHEMA: ClassVar = "shard int"

    def __call__(self, batches: Batches) -> Batches:
        """Write the shards, and yield their numbers."""
        for table in groups_by("shard", batches):
            shard = table["shard"][0].as_py()
            sentences = Sentences.open(self.folder / str(shard))
            tokens = table["code"].to_numpy().astype(np.int32)[sentences.tokens]
            self.writer.write(shard, tokens, sentences.offsets, sentences.weights, sentences.timestamps)
            yield from _batches(shard=pa.array([shard], pa.int32()))


def open_counts(folder: Path) -> pa.Table:
    """Return the ids and counts of the common vocabulary, memory-mapped."""
    with pa.memory_map(str(folder / VOCABULARY)) as file:
        return pa.ipc.open_file(file).read_all()


def _events_of(interactions: Interactions) -> list[str]:
    """Return the names of the events that occur."""
    if interactions.event is None or interactions.events is None:
        return []
    return interactions.events.decode(np.unique(interactions.event))


def _numbers(batches: Batches) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _batches(**columns: pa.Array | pa.ChunkedArray) -> Batches:
    yield from pa.table(columns).to_batches(max_chunksize=ROWS_PER_BATCH)


@contextmanager
def _kept_if_complete(shard: int) -> Iterator[None]:
    """Accept that another execution of the task was faster."""
    try:
        yield
    except BundleExistsError:
        log.info("another execution of the task has written shard %d", shard)
