"""Rows in the executors: groups of consecutive rows, and their conversion to interactions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.interactions import Interactions
from item2vec.readers import read_interactions
from item2vec.types import Vocabulary

__all__ = ["groups_by", "interactions_of", "row_blocks", "user_blocks"]

COLUMNS = ("user", "item", "timestamp", "weight", "event", "session")
BLOCK_ROWS = 200_000


def groups_by(name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield one table per value of the column ``name``. The rows must be sorted by this column.

    >>> batches = pa.table({"shard": [1, 1, 4]}).to_batches(max_chunksize=1)
    >>> [table["shard"].to_pylist() for table in groups_by("shard", batches)]
    [[1, 1], [4]]
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        values = batch.column(name).to_numpy(zero_copy_only=False)
        starts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
        for start, stop in pairwise(starts):
            if start == stop:
                continue
            if waiting and waiting[0].column(name)[0] != batch.column(name)[start]:
                yield pa.Table.from_batches(waiting)
                waiting = []
            waiting.append(batch.slice(start, stop - start))
    if waiting:
        yield pa.Table.from_batches(waiting)


def row_blocks(batches: Iterable[pa.RecordBatch], size: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """Combine batches into tables of at least ``size`` rows; the last table may have fewer."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= size:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def user_blocks(batches: Iterable[pa.RecordBatch], size: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """Yield tables, each with all rows of one or more users. The rows of a user must be consecutive.

    As soon as at least ``size`` rows are in memory, a table of these rows is yielded, but without the rows of
    the last user: more rows of this user may follow in the next batch.

    >>> batches = pa.table({"user": ["a", "b", "b", "b", "c"]}).to_batches(max_chunksize=1)
    >>> [table["user"].to_pylist() for table in user_blocks(batches, size=3)]
    [['a'], ['b', 'b', 'b'], ['c']]
    """
    waiting: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        waiting.append(batch)
        n_rows += batch.num_rows
        if n_rows < size or not batch.num_rows:
            continue
        table = pa.Table.from_batches(waiting)
        start = pc.index(table["user"], table["user"][-1]).as_py()
        if start > 0:
            yield table.slice(0, start)
            waiting = table.slice(start).to_batches()
            n_rows -= start
    if n_rows:
        yield pa.Table.from_batches(waiting)


def interactions_of(table: pa.Table, time_unit: str | None) -> Interactions:
    """Return the rows as interactions. A row whose ``present`` is false adds its user, but no interaction.

    Users are in the order of their first interactions, followed by the users without interactions.
    """
    names = [name for name in COLUMNS if name in table.column_names]
    options: dict[str, Any] = {name: name if name in names else None for name in COLUMNS[2:]}
    present = table.filter(table["present"]).select(names)
    read = read_interactions(present, user="user", item="item", time_unit=time_unit, **options)
    if len(present) == len(table):
        return read
    absent = table.filter(pc.invert(table["present"]))
    users = Vocabulary.of([*read.users.ids, *absent["user"].to_pylist()])
    return dataclasses.replace(read, users=users, user=users.encode(read.users.ids)[read.user])
