"""Tasks of ``prepare`` in the executors: from rows to sentences, and from codes of a shard to common codes.

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
    "VOCABULARY",
    "CodeReader",
    "CountReader",
    "ItemCounter",
    "SentenceWriter",
    "ShardFinisher",
    "VocabularyReader",
    "VocabularyWriter",
    "read_counts",
]

log = logging.getLogger(__name__)

VOCABULARY = "vocabulary.arrow"
COUNTS = pa.schema([("id", pa.string()), ("count", pa.int64())])
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

    schema: ClassVar = "item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the counts of blocks of rows."""
        for table in row_blocks(batches):
            yield from _batches(**_counts(chosen_interactions(self.read(table), self.adapter)))


@dataclass(frozen=True)
class SentenceWriter(_Reader):
    """Writes the sentences of each shard, whose rows are consecutive and sorted by user.

    A shard has codes of its own, in the order of first appearance. A second file holds the number of chosen
    interactions of each item, also if its sentences are cut.
    """

    folder: Path

    schema: ClassVar = "shard int, n_sentences bigint, events array<string>"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the number of each shard, its number of sentences, and the events of its rows."""
        for table in groups_by("shard", batches):
            shard = table["shard"][0].as_py()
            interactions = self.read(table)
            chosen = chosen_interactions(interactions, self.adapter)
            _write_counts(_counts_file(self.folder, shard), _batches(**_counts(chosen)))
            sentences = training_sentences(interactions, self.adapter)
            with _kept_if_complete(shard):
                sentences.save(_sentences_folder(self.folder, shard))
            yield from _batches(
                shard=pa.array([shard], pa.int32()),
                n_sentences=pa.array([len(sentences)], pa.int64()),
                events=pa.array([_events_of(interactions)], pa.list_(pa.string())),
            )


@dataclass(frozen=True)
class CountReader:
    """Reads the numbers of chosen interactions in the shards ``numbers``, by positions in ``numbers``."""

    folder: Path
    numbers: tuple[int, ...]

    schema: ClassVar = "item string, count bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the counts of the shards."""
        for position in _numbers(batches):
            counts = read_counts(_counts_file(self.folder, self.numbers[position]))
            yield from _batches(item=counts["id"], count=counts["count"])


@dataclass(frozen=True)
class CodeReader:
    """Reads the ids of the sentences of the shards ``numbers``, by positions in ``numbers``."""

    folder: Path
    numbers: tuple[int, ...]

    schema: ClassVar = "shard int, own bigint, item string"

    def __call__(self, batches: Batches) -> Batches:
        """Yield the ids of each shard, with the codes that the shard uses."""
        for position in _numbers(batches):
            shard = self.numbers[position]
            ids = Sentences.open(_sentences_folder(self.folder, shard)).vocabulary.ids
            yield from _batches(
                shard=pa.array(np.full(len(ids), shard, np.int32)),
                own=pa.array(np.arange(len(ids))),
                item=pa.array(ids, pa.string()),
            )


@dataclass(frozen=True)
class VocabularyWriter:
    """Writes the rows of its only partition, which are sorted, as an Arrow file."""

    folder: Path

    schema: ClassVar = "n bigint"

    def __call__(self, batches: Batches) -> Batches:
        """Write the file, and yield the number of ids."""
        yield from _batches(n=pa.array([self.write(batches)], pa.int64()))

    def write(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Write the file, and return the number of ids."""
        return _write_counts(self.folder / VOCABULARY, batches)


@dataclass(frozen=True)
class VocabularyReader:
    """Reads the codes of ids, by the first codes of blocks of ``BLOCK`` codes."""

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
    """Writes shards with common codes, from rows with the common code of each own code, in their order."""

    folder: Path
    writer: ShardWriter

    schema: ClassVar = "shard int"

    def __call__(self, batches: Batches) -> Batches:
        """Write the shards, and yield their numbers."""
        for table in groups_by("shard", batches):
            shard = table["shard"][0].as_py()
            sentences = Sentences.open(_sentences_folder(self.folder, shard))
            assert isinstance(sentences, Sentences)
            tokens = table["code"].to_numpy().astype(np.int32)[sentences.tokens]
            self.writer.write(shard, tokens, sentences.offsets, sentences.weights, sentences.timestamps)
            yield from _batches(shard=pa.array([shard], pa.int32()))


def read_counts(path: Path) -> pa.Table:
    """Return ids and counts, memory-mapped."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _sentences_folder(folder: Path, shard: int) -> Path:
    return folder / str(shard)


def _counts_file(folder: Path, shard: int) -> Path:
    return folder / f"{shard}.arrow"


def _counts(interactions: Interactions) -> dict[str, pa.Array]:
    """Return the items that occur, and their numbers of interactions."""
    counts = np.bincount(interactions.item, minlength=len(interactions.items))
    occur = pa.array(counts > 0)
    ids = pa.array(interactions.items.ids, pa.string())
    return {"item": ids.filter(occur), "count": pa.array(counts.astype(np.int64)).filter(occur)}


def _write_counts(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write items and counts as an Arrow file, whole or not at all; return the number of items."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    n_items = 0
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, COUNTS) as writer:
        for batch in batches:
            writer.write_batch(pa.record_batch([batch["item"], batch["count"]], COUNTS))
            n_items += batch.num_rows
    temporary.replace(path)
    return n_items


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
