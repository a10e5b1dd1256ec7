"""``prepare``: the executors write the events of a Spark DataFrame as sharded sentences."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from item2vec.adapters.histories import EVERYTHING
from item2vec.arguments import checked_except
from item2vec.config import AdapterConfig
from item2vec.errors import (
    BundleExistsError,
    ConfigError,
    InputError,
    NothingToTrainError,
    listed,
    refusing_unwritable,
    short_repr,
)
from item2vec.sentences import Sentences
from item2vec.shaping import DISLIKED, dislikes_of, log_unknown_events
from item2vec.sharded import ShardedSentences, ShardWriter
from item2vec.shards.locks import locked
from item2vec.shards.writer import check_absent
from item2vec.spark.blocks import interactions_of
from item2vec.spark.frames import (
    check_frame,
    check_time_unit,
    chosen,
    functions,
    map_batches,
    original_errors,
    rows_of,
)
from item2vec.spark.parts import read_counts
from item2vec.spark.shards import (
    VOCABULARY,
    ItemCounter,
    ItemReader,
    PartWriter,
    ShardFinisher,
    VocabularyReader,
    VocabularyWriter,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["prepare"]

MOST_SHARDS = 100_000
UNSUPPORTED = {"core": False, "group_by": None}
"""Unsupported settings, each with the only accepted value. ``core`` would need all events, and ``group_by``
would need the attributes of the items."""


@checked_except("df")
def prepare(
    df: DataFrame,
    *,
    out: str | PathLike[str],
    shards: int = 64,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    weight: str | None = None,
    event: str | None = None,
    session: str | None = None,
    time_unit: str | None = None,
    adapter: AdapterConfig = EVERYTHING,
) -> ShardedSentences:
    """Write the sentences of a Spark DataFrame of events as a sharded corpus, and open it.

    ``adapters.save_shards`` writes the same files: the shard of a user follows from the MD5 of the id, and
    the executors call the same functions for the rows of each shard. The driver of Spark receives no
    interactions; it copies the vocabulary from file to file.

    An executor reads the rows of a shard into memory: about 60 bytes per event and the ids of the shard.
    Choose ``shards`` such that each shard has 5 to 20 million events.

    Parameters
    ----------
    df
        The events, with a row per interaction.
    out
        Folder to create, on a file system that all machines see under the same path. Until the corpus is
        complete, its files are in the folders ``.NAME.parts`` and ``.NAME.partial`` beside it, where NAME is
        the name of ``out``. If the driver is killed, the next call with the same ``out`` removes them.
    shards
        Number of shards of the corpus: 1 to 100,000.
    user, item, timestamp, weight, event, session
        Names of the columns; ``None`` omits an optional column. Every row needs a value in each named column.
        Ids, events and sessions are text or integers, weights are numbers, and ``timestamp`` is a column of
        Spark timestamps, dates or numbers. Rows with equal timestamps keep their order in ``df``. If ``df``
        is read from several files, the rows have the order in which Spark reads the files.
    time_unit
        Unit of a numeric ``timestamp`` column: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``. ``None`` for Spark
        timestamps and dates.
    adapter
        Settings of the sentences; the default is ``AdapterConfig()``. ``core`` and ``group_by`` are not
        supported.

    Raises
    ------
    InputTypeError, InputError
        If ``df`` is not a Spark DataFrame, a column is missing or has an unsupported type, ``time_unit`` does
        not fit the type of the timestamps, ``shards`` is out of range, ``adapter.events`` contains an event
        that does not occur in ``df`` and whose weight is not negative, or a row is invalid, such as a row
        with an empty id. In all cases, ``out`` is not created.
    ConfigError
        If ``adapter`` sets ``core`` or ``group_by``, or sets ``days`` without a timestamp column, or if
        ``time_unit`` is unknown.
    NothingToTrainError
        If the settings of ``adapter`` select no interaction.
    BundleExistsError
        If ``out`` exists.
    LockHeldError
        If another call, in this or another process, prepares the same folder.
    WriteError
        If ``out`` cannot be created.
    MissingExtraError
        If pyspark is not installed.

    Examples
    --------
    >>> events = spark.read.parquet("events/")  # doctest: +SKIP
    >>> frequent = AdapterConfig(min_item_count=5)
    >>> corpus = prepare(events, out="corpus", shards=256, adapter=frequent)  # doctest: +SKIP
    >>> vectors = item2vec.train(corpus)  # doctest: +SKIP
    """
    _check_available(adapter)
    if not 1 <= shards <= MOST_SHARDS:
        raise InputError(f"shards is {shards}; expected 1 to {MOST_SHARDS:,}")
    check_time_unit(time_unit)
    columns = chosen(user=user, item=item, timestamp=timestamp, weight=weight, event=event, session=session)
    path = Path(out).absolute()
    try:
        check_absent(path)
    except BundleExistsError:
        shutil.rmtree(_work_folder(path), ignore_errors=True)  # a killed driver may have left it
        raise
    check_frame(df, columns, time_unit)
    with _temporary_folder(path) as folder, original_errors():
        _Preparation(df, columns, adapter, time_unit, shards, folder).write(path)
    written = Sentences.open(path)
    assert isinstance(written, ShardedSentences)
    return written


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Lock and empty the work folder of ``path``; yield a new folder in it, and remove both at the end.

    The new folder has a unique name, because tasks of a killed driver may still write to its folder.
    """
    work = _work_folder(path)
    with refusing_unwritable(path):
        work.mkdir(parents=True, exist_ok=True)
        lock = locked(work)
    try:
        with refusing_unwritable(path):
            for leftover in work.iterdir():
                shutil.rmtree(leftover, ignore_errors=True)
            folder = work / uuid.uuid4().hex
            folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _work_folder(path: Path) -> Path:
    return path.parent / f".{path.name}.parts"


@dataclass(frozen=True)
class _Preparation:
    """The Spark jobs of ``prepare``, in the order in which they run."""

    df: DataFrame
    columns: Mapping[str, str]
    adapter: AdapterConfig
    time_unit: str | None
    n_shards: int
    folder: Path

    def write(self, path: Path) -> None:
        """Run the jobs, and write the corpus to ``path``."""
        adapter = self._resolved()
        self._check_events()
        sizes = self._write_sentences(self._rows(adapter), adapter)
        n_items = self._write_vocabulary(tuple(sizes))
        if not n_items:
            raise NothingToTrainError(
                "the adapter settings select no interaction of df; expected at least one: check events, "
                "since, days, the minimum counts, min_length and drop_longer_than"
            )
        with_weights = "weight" in self.columns or isinstance(adapter.events, Mapping)
        columns = ["weights"] * with_weights + ["timestamps"] * ("timestamp" in self.columns)
        with ShardWriter(
            path,
            read_counts(self.folder / VOCABULARY).to_batches(),
            ordered=adapter.ordered,
            columns=columns,
            n_shards=self.n_shards,
            source=self.folder.name,  # unique: the events of another call may differ
        ) as writer:
            try:
                self._finish(writer, tuple(shard for shard in sizes if sizes[shard]), n_items)
            except BaseException:
                shutil.rmtree(writer.folder, ignore_errors=True)
                raise

    def _resolved(self) -> AdapterConfig:
        """Return the settings with ``since`` in place of ``days``, relative to the newest timestamp."""
        if self.adapter.days is None:
            return self.adapter
        if "timestamp" not in self.columns:
            return self.adapter.resolved(None)
        f = functions()
        newest = rows_of(self.df, self.columns).agg(f.max("timestamp").alias("timestamp"))
        other = [f.lit("-").alias("user"), f.lit("-").alias("item"), f.lit(True).alias("present")]
        last = newest.dropna().select("timestamp", *other).toArrow()
        return self.adapter.resolved(interactions_of(last, self.time_unit).timestamp)

    def _check_events(self) -> None:
        """Raise ``InputError`` if a name in ``adapter.events``, of a weight of at least 0, occurs in no row.

        If a name of negative weight occurs in no row, a warning is logged. The events of all rows are known,
        also those of rare items.
        """
        events = self.adapter.events
        if events is None or "event" not in self.columns:  # without the column, the tasks raise an error
            return
        rows = rows_of(self.df, self.columns).select("event").distinct().collect()
        found = {row.event for row in rows} - {None}
        disliked = dislikes_of(events)
        log_unknown_events(disliked, sorted(found), DISLIKED)
        if unknown := [name for name in events if name not in found | disliked]:
            raise InputError(
                f"unknown event {short_repr(unknown[0])}; expected an event of these interactions: "
                f"{listed(sorted(found))}"
            )

    def _rows(self, adapter: AdapterConfig) -> DataFrame:
        """Return all rows of the items that are frequent enough.

        An item is frequent enough if it has at least ``min_item_count`` interactions after the adapter's
        filters by time and event. If ``min_item_count`` is 1, all rows are returned.
        """
        rows = rows_of(self.df, self.columns)
        if adapter.min_item_count == 1:
            return rows
        f = functions()
        every = adapter.replace(min_item_count=1, min_user_count=1)
        counter = ItemCounter(every, self.time_unit)
        counts = map_batches(rows, counter).groupBy("item").agg(f.sum("count").alias("n"))
        return rows.join(
            counts.where(f.col("n") >= adapter.min_item_count).select("item"), "item", "left_semi"
        )

    def _write_sentences(self, rows: DataFrame, adapter: AdapterConfig) -> dict[int, int]:
        """Write the sentences of each shard as a ``Part``; return the number of sentences by shard."""
        f = functions()
        digest = f.conv(f.substring(f.md5(f.col("user").cast("binary")), 1, 8), 16, 10).cast("bigint")
        # Rows of a null user are assigned to shard 0; the task that reads this shard raises an error.
        shard = f.coalesce((digest % self.n_shards).cast("int"), f.lit(0))
        arranged = rows.withColumn("shard", shard).repartition(self.n_shards, "shard")
        arranged = arranged.sortWithinPartitions("shard", "user", "row")
        task = PartWriter(adapter.replace(min_item_count=1), self.time_unit, self.folder)
        done = map_batches(arranged, task).collect()
        return {row.shard: row.n_sentences for row in done}

    def _write_vocabulary(self, shards: tuple[int, ...]) -> int:
        """Write the distinct ids of all shards in descending order of count; return the number of ids."""
        f = functions()
        writer = VocabularyWriter(self.folder)
        counts = self._items_of(shards).groupBy("item")
        counts = counts.agg(f.sum("count").alias("count"))
        ordered = counts.repartition(1).sortWithinPartitions(f.desc("count"), "item")
        rows = map_batches(ordered, writer).collect()
        return sum(row.n for row in rows)

    def _items_of(self, shards: tuple[int, ...]) -> DataFrame:
        """Return a DataFrame of the items of these shards, with one row per shard and item."""
        n = len(shards)
        positions = self.df.sparkSession.range(0, n, 1, max(1, n))
        return map_batches(positions, ItemReader(self.folder, shards))

    def _finish(self, writer: ShardWriter, shards: tuple[int, ...], n_items: int) -> None:
        """Write the non-empty shards, with codes of the vocabulary; then the empty ones and the manifest."""
        vocabulary, finisher = VocabularyReader(self.folder), ShardFinisher(self.folder, writer)
        codes = map_batches(self.df.sparkSession.range(0, n_items, vocabulary.BLOCK), vocabulary)
        own = self._items_of(shards).join(codes, "item")
        own = own.select("shard", "own", "code")
        own = own.repartition(self.n_shards, "shard").sortWithinPartitions("shard", "own")
        map_batches(own, finisher).collect()
        empty = {name: np.zeros(0) for name in writer.columns}
        for number in sorted(set(range(self.n_shards)) - {*shards}):
            writer.write(number, np.zeros(0, np.int32), np.zeros(1, np.int64), **empty, users=())
        writer.finish()


def _check_available(adapter: AdapterConfig) -> None:
    """Raise ``ConfigError`` if ``core`` or ``group_by`` is set."""
    for name, value in UNSUPPORTED.items():
        if (found := getattr(adapter, name)) != value:
            raise ConfigError(
                f"{name} is {short_repr(found)}; expected {value}, because spark.prepare does not support "
                f"{name}"
            )
