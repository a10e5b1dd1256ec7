"""Ingestion of interactions in batches. Each event is stored once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from item2vec.arrays import Codes, Offsets
from item2vec.durations import microseconds_of
from item2vec.errors import InputError, Remedy
from item2vec.interactions import Interactions
from item2vec.store.ids import as_json, numbers_of
from item2vec.store.tables import item, user_account
from item2vec.types import Vocabulary, check_ids

__all__ = ["NO_EVENT", "Batch", "Ingested", "batches", "check_timestamps", "event_key"]

BatchFacts = tuple[str, datetime, int]  # source, ingested_at, batch_id

NO_EVENT = "none"
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, in microseconds


@dataclass(frozen=True, slots=True)
class Ingested:
    """Number of rows in a call, number of new rows, and number of duplicates.

    If several rows of a call are the same new event, the first row is new and the other rows are duplicates.

    >>> Ingested(n_rows=3, n_new=2, n_duplicate=1).n_new
    2
    """

    n_rows: int
    n_new: int
    n_duplicate: int


def event_key(user: str, item: str, event: str, timestamp: int) -> str:
    """Return the key that identifies an event: 32 hexadecimal digits.

    The first 16 digits are ``timestamp`` (microseconds since 1970) plus 2^63, so that events with similar
    timestamps are adjacent in the index. The last 16 digits are the BLAKE2b-64 hash of user, item and event,
    joined by NUL.

    >>> event_key("ann", "blue-monday", "none", 1_700_000_000_000_000)
    '80060a24181e4000d33544e5c7b3e3e9'
    """
    check_ids([user, item, event])
    what = blake2b(f"{user}\0{item}\0{event}".encode(), digest_size=8).hexdigest()
    return f"{timestamp + 2**63:016x}{what}"


def check_timestamps(interactions: Interactions) -> Offsets:
    """Return the timestamps; raise ``InputError`` if they are missing or outside the years 1 to 9999."""
    if interactions.timestamp is None:
        raise InputError(
            "the interactions have no timestamps; the store requires them",
            remedies=[Remedy("timestamp", text="pass {} when the interactions are read")],
        )
    invalid = (interactions.timestamp < EARLIEST) | (interactions.timestamp > LATEST)
    if invalid.any():
        row = int(invalid.argmax())
        raise InputError(
            f"timestamp in row {row} is {interactions.timestamp[row]}; expected microseconds since 1970, "
            "in the years 1 to 9999"
        )
    return interactions.timestamp


@dataclass(frozen=True)
class Batch:
    """Batch of events with distinct keys. ``user`` and ``item`` hold positions in ``users`` and ``items``."""

    users: list[str]
    user: npt.NDArray[np.integer[Any]]
    items: list[str]
    item: npt.NDArray[np.integer[Any]]
    timestamp: Offsets
    columns: dict[str, list[Any]]

    @classmethod
    def of(cls, rows: Interactions) -> Batch:
        """Create a batch from interactions, with the first row of each event key."""
        keys, first = _keys(rows)
        rows = rows.take(first)
        assert rows.timestamp is not None
        columns = {
            "event_key": keys,
            "event": _decoded(rows.events, rows.event, NO_EVENT, len(rows)),
            "weight": [1.0] * len(rows) if rows.weight is None else rows.weight.tolist(),
            "session": _decoded(rows.sessions, rows.session, None, len(rows)),
        }
        users, user = np.unique(rows.user, return_inverse=True)
        items, item = np.unique(rows.item, return_inverse=True)
        return cls(rows.users.decode(users), user, rows.items.decode(items), item, rows.timestamp, columns)

    def insert(self, connection: sa.Connection, facts: BatchFacts) -> int:
        """Insert new events with their users and items; return the number of new events."""
        user_id = numbers_of(connection, user_account, self.users)[self.user]
        item_id = numbers_of(connection, item, self.items)[self.item]
        # Rows are ordered by user, then by key, which starts with the timestamp, like the primary key. All
        # writers insert in this order, so that they cannot deadlock.
        order = np.argsort(user_id, kind="stable")
        rows = order.tolist()
        columns: dict[str, list[Any]] = {
            "user_id": user_id[order].tolist(),
            "item_id": item_id[order].tolist(),
            **{name: list(map(column.__getitem__, rows)) for name, column in self.columns.items()},
        }
        insert = _insert_sqlite if connection.dialect.name == "sqlite" else _insert_postgresql
        return insert(connection, columns, self.timestamp[order], facts)


def batches(interactions: Interactions, size: int) -> Iterator[Batch]:
    """Yield interactions in batches of at most ``size`` rows."""
    for start in range(0, len(interactions), size):
        yield Batch.of(interactions.take(slice(start, start + size)))


def _keys(rows: Interactions) -> tuple[list[str], Offsets]:
    """Return the distinct event keys, ascending, and the first row of each key. Vectorised ``event_key``."""
    assert rows.timestamp is not None
    users, items = rows.users.decode(rows.user), rows.items.decode(rows.item)
    events = _decoded(rows.events, rows.event, NO_EVENT, len(rows))
    hashes = b"".join(
        blake2b(f"{user}\0{item}\0{event}".encode(), digest_size=8).digest()
        for user, item, event in zip(users, items, events, strict=True)
    )
    key = np.empty((len(rows), 2), dtype=">u8")
    key[:, 0] = rows.timestamp.view(np.uint64) ^ np.uint64(2**63)
    key[:, 1] = np.frombuffer(hashes, dtype=">u8")
    order = np.lexsort((key[:, 1], key[:, 0]))  # stable, so that equal keys keep the row order
    key = key[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (key[1:] != key[:-1]).any(axis=1)
    text = key[new].tobytes().hex()
    return [text[at : at + 32] for at in range(0, len(text), 32)], order[new]


def _decoded(vocabulary: Vocabulary | None, codes: Codes | None, missing: Any, n_rows: int) -> list[Any]:
    return [missing] * n_rows if vocabulary is None or codes is None else vocabulary.decode(codes)


def _insert_sqlite(
    connection: sa.Connection, columns: Mapping[str, list[Any]], timestamp: Offsets, facts: BatchFacts
) -> int:
    source, ingested_at, batch_id = facts
    columns = {**columns, "occurred_at": timestamp.tolist()}
    names = ", ".join((*columns, "source", "ingested_at", "batch_id"))
    marks = ", ".join("?" * (len(columns) + 3))
    statement = f"INSERT INTO interaction ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    same = (source, microseconds_of(ingested_at), batch_id)
    rows = list(zip(*columns.values(), *(repeat(value, len(timestamp)) for value in same), strict=True))
    return connection.exec_driver_sql(statement, rows).rowcount


# Each column is bound as a JSON array, so that the number of parameters is independent of the number of rows.
# JSON arrays are several times faster than PostgreSQL arrays, which the driver encodes element by element.
POSTGRESQL_INSERT = sa.text("""
    WITH inserted AS (
        INSERT INTO interaction (
            user_id, item_id, occurred_at, event_key, event, weight, session, source, ingested_at, batch_id
        )
        SELECT
            CAST(user_id AS bigint), CAST(item_id AS bigint),
            CAST(occurred_at AS timestamp) AT TIME ZONE 'UTC',
            event_key, event, CAST(weight AS real), session,
            CAST(:source AS text), CAST(:ingested_at AS timestamptz), CAST(:batch_id AS bigint)
        FROM ROWS FROM (
            json_array_elements_text(CAST(:user_id AS json)),
            json_array_elements_text(CAST(:item_id AS json)),
            json_array_elements_text(CAST(:occurred_at AS json)),
            json_array_elements_text(CAST(:event_key AS json)),
            json_array_elements_text(CAST(:event AS json)),
            json_array_elements_text(CAST(:weight AS json)),
            json_array_elements_text(CAST(:session AS json))
        ) AS batch (user_id, item_id, occurred_at, event_key, event, weight, session)
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM inserted
""")


def _insert_postgresql(
    connection: sa.Connection, columns: Mapping[str, list[Any]], timestamp: Offsets, facts: BatchFacts
) -> int:
    source, ingested_at, batch_id = facts
    arrays = {**columns, "occurred_at": np.datetime_as_string(timestamp.astype("datetime64[us]")).tolist()}
    parameters = {name: as_json(column) for name, column in arrays.items()}
    same = {"source": source, "ingested_at": ingested_at, "batch_id": batch_id}
    n_new: int = connection.execute(POSTGRESQL_INSERT, {**parameters, **same}).scalar_one()
    return n_new
