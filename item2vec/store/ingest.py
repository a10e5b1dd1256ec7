"""Insert interactions into the database in batches, and skip events that are already stored.

An event is one interaction. Its position is its rank among the rows of one ingestion with the same user and
timestamp.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from item2vec.arguments import checked
from item2vec.arrays import Codes, Offsets
from item2vec.durations import EARLIEST, LATEST, microseconds_of
from item2vec.errors import ConfigError, InputError
from item2vec.interactions import Interactions
from item2vec.store.first_users import insert_first_users
from item2vec.store.ids import as_json, numbers_of
from item2vec.store.moments import Moments, Repeats, merged
from item2vec.store.tables import BatchFacts, interaction, item, user_account
from item2vec.store.values import check_dated
from item2vec.types import Vocabulary, check_ids

__all__ = ["NO_EVENT", "Batch", "Events", "Ingested", "RepeatPolicy", "event_key", "has_timestamps"]

RepeatPolicy = Literal["keep", "merge"]

NO_EVENT = "none"
FIRST_EVENT_LOCK = int.from_bytes(b"1stEvent")


@dataclass(frozen=True, slots=True)
class Ingested:
    """Row counts of one call of ``Store.ingest`` or ``Store.ingest_items``.

    A repeat is a row with the user, item, event name and timestamp of an earlier row. If repeats are kept,
    each repeat is also counted in ``n_new`` or ``n_duplicate``, and ``n_rows = n_new + n_duplicate``. If
    repeats are merged, ``n_rows = n_new + n_duplicate + n_repeats``.

    Parameters
    ----------
    n_rows
        Number of rows in the call.
    n_new
        Number of new events or new items.
    n_duplicate
        Number of events that were already stored, before the call or by an earlier row with the same key; or
        number of existing items.
    n_repeats
        Number of repeats; 0 for ``ingest_items``.
    n_changed
        Number of existing items that ``ingest_items`` has changed; 0 for ``ingest``.

    Examples
    --------
    >>> Ingested(n_rows=4, n_new=2, n_duplicate=1, n_repeats=1).n_new
    2
    """

    n_rows: int
    n_new: int
    n_duplicate: int
    n_repeats: int = 0
    n_changed: int = 0


@checked
def event_key(user: str, item: str, event: str, timestamp: int, occurrence: int = 0) -> str:
    """Return 32 hexadecimal digits that identify an event for which the caller passes no key.

    The first 16 digits are ``timestamp`` plus 2^63, so that events with similar timestamps are adjacent in
    the index. The last 16 digits are the BLAKE2b-64 hash of user, item and event name, joined by NUL. If
    ``occurrence`` is positive, another NUL and this number are appended to the hashed text.

    Parameters
    ----------
    user, item
        Ids of the user and the item.
    event
        Event name; ``"none"`` for an interaction without one.
    timestamp
        Microseconds since 1970-01-01 UTC; 0 without a timestamp.
    occurrence
        Number of earlier rows with the same user, item, event name and timestamp, for a repeat that is kept.

    Raises
    ------
    InvalidIdError
        If the user, item or event name is not a valid id.

    Examples
    --------
    >>> event_key("ann", "blue-monday", "none", 1_700_000_000_000_000)
    '80060a24181e4000d33544e5c7b3e3e9'
    """
    check_ids([user, item, event])
    what = blake2b(_hashed(user, item, event, occurrence).encode(), digest_size=8).hexdigest()
    return f"{timestamp + 2**63:016x}{what}"


def _hashed(user: str, item: str, event: str, occurrence: int) -> str:
    return f"{user}\0{item}\0{event}\0{occurrence}" if occurrence else f"{user}\0{item}\0{event}"


@dataclass(frozen=True, eq=False)
class Events:
    """Events of one call of ``ingest``, in the order of the rows of the call.

    Parameters
    ----------
    rows
        The events. If they have no timestamps, the column ``timestamp`` contains zeros.
    positions
        Rank of each event among the rows of the call with the same user and timestamp (int32).
    occurrence
        Number of earlier rows of the call with the same user, item, event name and timestamp, for each event
        (int64).
    dated
        Whether the events have timestamps.
    n_repeats
        Number of rows of the call that repeat an earlier row.
    keys
        The caller's key of each event; ``None`` if the caller passed no keys.
    """

    rows: Interactions
    positions: Codes
    occurrence: Offsets
    dated: bool
    n_repeats: int
    keys: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        rows: Interactions,
        moments: Moments,
        policy: RepeatPolicy | None,
        keys: Sequence[str] | None = None,
    ) -> Events:
        """Determine the positions of rows, and keep or merge repeats.

        If ``policy`` is ``None``, repeats are merged if the rows have timestamps. Without timestamps, repeats
        are kept, because they may be events at different times. With ``keys``, repeats are always kept.

        Raises
        ------
        InputError
            If a key or timestamp is invalid, or the number of keys is not the number of rows.
        ConfigError
            If the policy is unknown.
        """
        if keys is not None:
            check_ids(keys)
            if len(keys) != len(rows):
                raise InputError(f"found {len(keys):,} keys; expected one per row ({len(rows):,})")
            policy = "keep"
        if policy not in {*get_args(RepeatPolicy), None}:
            raise ConfigError(f"repeats is {policy!r}; expected 'keep' or 'merge'")
        dated = rows.timestamp is not None
        _check_timestamps(rows)
        positions, repeats = moments.positions(), Repeats.of(rows, moments)
        occurrence = repeats.occurrence
        if (policy or ("merge" if dated else "keep")) == "merge":
            first = occurrence == 0
            rows, positions, occurrence = merged(rows, repeats), positions[first], occurrence[first]
        if not dated:
            rows = dataclasses.replace(rows, timestamp=np.zeros(len(rows), dtype=np.int64))
        return cls(rows, positions, occurrence, dated, repeats.n, None if keys is None else tuple(keys))

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the events in batches of at most ``size`` events, in the order of the rows of the call."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            rows, occurrence = self.rows.take(part), self.occurrence[part]
            keys, order = _keys(rows, occurrence) if self.keys is None else _hashed_keys(self.keys[part])
            yield Batch.of(rows.take(order), self.positions[part][order], keys, self.dated)


def _check_timestamps(interactions: Interactions) -> None:
    """Raise ``InputError`` if a timestamp is outside the years 1 to 9999."""
    if interactions.timestamp is None:
        return
    invalid = (interactions.timestamp < EARLIEST) | (interactions.timestamp > LATEST)
    if invalid.any():
        row = int(invalid.argmax())
        raise InputError(
            f"timestamp in row {row} is {interactions.timestamp[row]}; expected microseconds since 1970, "
            "in the years 1 to 9999"
        )


def has_timestamps(connection: sa.Connection) -> bool | None:
    """Return whether the events of a store have timestamps; ``None`` if the store has no events."""
    dated = connection.scalar(sa.select(interaction.c.dated).limit(1))
    return None if dated is None else bool(dated)


def _check_kind(connection: sa.Connection, dated: bool) -> None:
    """Raise ``InputError`` if only one of the new events and the stored events have timestamps."""
    stored = has_timestamps(connection)
    if stored is None and connection.dialect.name == "postgresql":
        # The lock serialises writers to an empty store. SQLite has one writer at a time.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(FIRST_EVENT_LOCK)))
        stored = has_timestamps(connection)
    check_dated(dated, stored)


@dataclass(frozen=True)
class Batch:
    """Events of one transaction, in ascending order of their keys.

    ``users`` and ``items`` are distinct ids. ``user``, ``item`` and ``timestamp`` have one element per event;
    ``user`` and ``item`` are indices into ``users`` and ``items``. ``dated`` states whether the events have
    timestamps. ``columns`` contains further columns of the table ``interaction``, by name.
    """

    users: list[str]
    user: npt.NDArray[np.integer[Any]]
    items: list[str]
    item: npt.NDArray[np.integer[Any]]
    timestamp: Offsets
    dated: bool
    columns: dict[str, list[Any]]

    @classmethod
    def of(cls, rows: Interactions, positions: Codes, keys: list[str], dated: bool) -> Batch:
        """Create a batch from events that are in ascending order of their keys."""
        assert rows.timestamp is not None
        columns = {
            "event_key": keys,
            "position": positions.tolist(),
            "event": _decoded(rows.events, rows.event, NO_EVENT, len(rows)),
            "weight": [1.0] * len(rows) if rows.weight is None else rows.weight.tolist(),
            "session": _decoded(rows.sessions, rows.session, None, len(rows)),
        }
        users, user = np.unique(rows.user, return_inverse=True)
        items, item = np.unique(rows.item, return_inverse=True)
        ids = rows.users.decode(users), rows.items.decode(items)
        return cls(ids[0], user, ids[1], item, rows.timestamp, dated, columns)

    def insert(self, connection: sa.Connection, facts: BatchFacts) -> int:
        """Insert new events with their users and items; return the number of new events.

        An event that is already stored keeps its weight and session. Its position becomes the lower of the
        stored and the new position, so that positions do not depend on the order of ingestion. Raise
        ``InputError`` if events are already stored, and only these or only the new events have timestamps.
        """
        _check_kind(connection, self.dated)
        user_id = numbers_of(connection, user_account, self.users)[self.user]
        items = numbers_of(connection, item, self.items)
        item_id = items[self.item]
        # Rows are sorted by user, then by key, which is similar to the order of the primary key. All writers
        # insert in this order, so that they cannot deadlock.
        order = np.argsort(user_id, kind="stable")
        rows = order.tolist()
        columns: dict[str, list[Any]] = {
            "user_id": user_id[order].tolist(),
            "item_id": item_id[order].tolist(),
            **{name: list(map(column.__getitem__, rows)) for name, column in self.columns.items()},
        }
        same = {**facts._asdict(), "dated": self.dated}
        if connection.dialect.name == "sqlite":
            insert, lower_positions = _insert_sqlite, _lower_positions_sqlite
        else:
            insert, lower_positions = _insert_postgresql, _lower_positions_postgresql
        n_new = insert(connection, columns, self.timestamp[order], same)
        if n_new:
            own = items, self.item.astype(np.intp), user_id, facts.ingested_at
            insert_first_users(connection, *own, all_stored=n_new == len(rows))
        if n_new < len(rows):
            lower_positions(connection, columns, facts.source)
        return n_new


def _keys(rows: Interactions, occurrence: Offsets) -> tuple[list[str], Offsets]:
    """Return a pair: the event keys of all rows (see ``event_key``), ascending; and the row of each key."""
    assert rows.timestamp is not None
    users, items = rows.users.decode(rows.user), rows.items.decode(rows.item)
    events = _decoded(rows.events, rows.event, NO_EVENT, len(rows))
    hashes = b"".join(
        blake2b(_hashed(*what).encode(), digest_size=8).digest()
        for what in zip(users, items, events, occurrence.tolist(), strict=True)
    )
    key = np.empty((len(rows), 2), dtype=">u8")
    key[:, 0] = rows.timestamp.view(np.uint64) ^ np.uint64(2**63)
    key[:, 1] = np.frombuffer(hashes, dtype=">u8")
    order = np.lexsort((key[:, 1], key[:, 0]))
    text = key[order].tobytes().hex()
    return [text[at : at + 32] for at in range(0, len(text), 32)], order


def _hashed_keys(keys: Sequence[str]) -> tuple[list[str], Offsets]:
    """Return a pair: the hashes of the caller's keys, ascending, as event keys; and the row of each key."""
    hashed = [blake2b(key.encode(), digest_size=16).hexdigest() for key in keys]
    order = np.argsort(np.array(hashed), kind="stable")
    return [hashed[row] for row in order.tolist()], order


def _decoded(vocabulary: Vocabulary | None, codes: Codes | None, missing: Any, n_rows: int) -> list[Any]:
    return [missing] * n_rows if vocabulary is None or codes is None else vocabulary.decode(codes)


def _insert_sqlite(
    connection: sa.Connection,
    columns: Mapping[str, list[Any]],
    timestamp: Offsets,
    same: Mapping[str, Any],
) -> int:
    columns = {**columns, "occurred_at": timestamp.tolist()}
    same = {**same, "ingested_at": microseconds_of(same["ingested_at"])}
    names = ", ".join((*columns, *same))
    marks = ", ".join("?" * (len(columns) + len(same)))
    statement = f"INSERT INTO interaction ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    constants = (repeat(value, len(timestamp)) for value in same.values())
    rows = list(zip(*columns.values(), *constants, strict=True))
    return connection.exec_driver_sql(statement, rows).rowcount


def _lower_positions_sqlite(connection: sa.Connection, columns: Mapping[str, list[Any]], source: str) -> None:
    statement = "UPDATE interaction SET position = ? WHERE source = ? AND event_key = ? AND position > ?"
    position = columns["position"]
    rows = list(zip(position, repeat(source), columns["event_key"], position, strict=False))
    connection.exec_driver_sql(statement, rows)


# Each column is bound as a JSON array, so that the number of parameters is independent of the number of rows.
# JSON arrays are several times faster than PostgreSQL arrays, which the driver encodes element by element.
POSTGRESQL_INSERT = sa.text("""
    WITH inserted AS (
        INSERT INTO interaction (
            user_id, item_id, occurred_at, event_key, position, event, weight, session,
            source, ingested_at, batch_id, dated
        )
        SELECT
            CAST(user_id AS bigint), CAST(item_id AS bigint),
            CAST(occurred_at AS timestamp) AT TIME ZONE 'UTC',
            event_key, CAST(position AS integer), event, CAST(weight AS real), session,
            CAST(:source AS text), CAST(:ingested_at AS timestamptz), CAST(:batch_id AS bigint),
            CAST(:dated AS boolean)
        FROM ROWS FROM (
            json_array_elements_text(CAST(:user_id AS json)),
            json_array_elements_text(CAST(:item_id AS json)),
            json_array_elements_text(CAST(:occurred_at AS json)),
            json_array_elements_text(CAST(:event_key AS json)),
            json_array_elements_text(CAST(:position AS json)),
            json_array_elements_text(CAST(:event AS json)),
            json_array_elements_text(CAST(:weight AS json)),
            json_array_elements_text(CAST(:session AS json))
        ) AS batch (user_id, item_id, occurred_at, event_key, position, event, weight, session)
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM inserted
""")


LOWER_POSITIONS = sa.text("""
    UPDATE interaction SET position = CAST(batch.position AS integer)
    FROM ROWS FROM (
        json_array_elements_text(CAST(:event_key AS json)),
        json_array_elements_text(CAST(:position AS json))
    ) AS batch (event_key, position)
    WHERE interaction.source = :source AND interaction.event_key = batch.event_key
        AND interaction.position > CAST(batch.position AS integer)
""")


def _insert_postgresql(
    connection: sa.Connection,
    columns: Mapping[str, list[Any]],
    timestamp: Offsets,
    same: Mapping[str, Any],
) -> int:
    arrays = {**columns, "occurred_at": np.datetime_as_string(timestamp.astype("datetime64[us]")).tolist()}
    parameters = {name: as_json(column) for name, column in arrays.items()}
    n_new: int = connection.execute(POSTGRESQL_INSERT, {**parameters, **same}).scalar_one()
    return n_new


def _lower_positions_postgresql(
    connection: sa.Connection, columns: Mapping[str, list[Any]], source: str
) -> None:
    parameters = {name: as_json(columns[name]) for name in ("event_key", "position")}
    connection.execute(LOWER_POSITIONS, {**parameters, "source": source})
