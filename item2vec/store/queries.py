"""Query interactions for training and histories for serving, count rows, and delete users."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from item2vec.arguments import checked
from item2vec.arrays import Codes, Floats, Offsets
from item2vec.durations import SECOND
from item2vec.errors import InputError
from item2vec.interactions import Interactions, read_only
from item2vec.store.connect import undamaged
from item2vec.store.first_users import delete_first_users
from item2vec.store.ingest import NO_EVENT, has_timestamps
from item2vec.store.tables import impression, interaction, item, recommendation, user_account
from item2vec.types import Vocabulary

__all__ = [
    "Ahead",
    "History",
    "days_before_the_last",
    "forget_user",
    "latest_plausible",
    "read_ahead",
    "read_histories",
    "read_history",
    "read_interactions",
    "read_snapshot",
    "summary",
]

Columns = dict[str, list[npt.NDArray[Any]]]
"""The chunks of each column, by column name."""

ROWS_PER_FETCH = 10_000
ALL = 2**63 - 1
NO_SESSION = "none"
FIRST = datetime(1, 1, 1, tzinfo=UTC)
ALLOWED_AHEAD = timedelta(days=1)
DTYPES = {
    "user": np.int32,
    "item": np.int32,
    "event": np.int32,
    "weight": np.float32,
    "session": np.int32,
    "timestamp": np.int64,
}


@dataclass(frozen=True, eq=False)
class History:
    """History of a user: items, oldest first, with timestamps, weights and event names.

    ``timestamps`` (int64) are microseconds since 1970, or ``None`` if the events have no timestamps. Events
    with equal timestamps, or without timestamps, are ordered by their positions in their ingestions, then by
    event key. The name of an event without a name is ``"none"``.

    >>> len(History([], np.empty(0, np.int64), np.empty(0, np.float32), []))
    0
    """

    items: list[str]
    timestamps: Offsets | None
    weights: Floats
    events: list[str]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Ahead:
    """Number of interactions at or after a time; and the earliest of them: user, item and timestamp.

    >>> Ahead(1, "ann", "x", datetime(2099, 1, 1, tzinfo=UTC)).timestamp.year
    2099
    """

    n: int
    user: str
    item: str
    timestamp: datetime


@checked
def latest_plausible(now: datetime) -> datetime:
    """Return the earliest implausible time: timestamps at or after this time are wrong.

    The time is one day after ``now``, because clocks and time zones may differ by up to a day. Settings such
    as ``days`` and ``half_life`` count back from the newest event, so an event with a wrong timestamp must
    not be the newest.

    >>> latest_plausible(datetime(2024, 1, 1, tzinfo=UTC)).isoformat()
    '2024-01-02T00:00:00+00:00'
    """
    return min(now, datetime.max.replace(tzinfo=now.tzinfo) - ALLOWED_AHEAD) + ALLOWED_AHEAD


def read_history(
    connection: sa.Connection, user: str, limit: int | None, since: datetime | None = None
) -> History:
    """Return the newest ``limit`` interactions of a user, oldest first.

    If ``limit`` is ``None``, all interactions are returned. With ``since``, only interactions at or after
    this time are returned. The history of an unknown user is empty.
    """
    parameters: dict[str, Any] = {"user": user, "limit": ALL if limit is None else limit}
    statement = _history(connection.dialect.name)
    if since is not None:
        parameters["since"], statement = _aware(since), _history_since(connection.dialect.name)
    with undamaged(connection):
        rows = connection.execute(statement, parameters).all()[::-1]
        dated = all(row[4] for row in rows)
        return History(
            [row[0] for row in rows],
            read_only([row[1] for row in rows], np.int64) if dated else None,
            read_only([row[2] for row in rows], np.float32),
            [row[3] for row in rows],
        )


def read_histories(
    connection: sa.Connection, users: Sequence[str], since: datetime | None = None
) -> list[History]:
    """Return the history of each user from ``since`` on.

    If ``since`` is ``None``, or the events of the store have no timestamps, whole histories are returned.
    """
    if since is not None and has_timestamps(connection) is False:
        since = None
    return [read_history(connection, user, None, since) for user in users]


def read_interactions(
    connection: sa.Connection, start: datetime | None, end: datetime | None, events: Sequence[str] | None
) -> Interactions:
    """Return interactions ordered by user id, time, position, event key and source.

    ``start`` (inclusive) and ``end`` (exclusive) select by time, and ``events`` selects by event name.
    ``None`` selects all interactions.

    The query orders rows by the row numbers of users. Chunks of rows are converted to arrays. At the end,
    the codes of users, items, events and sessions are renumbered in ascending order of ids, and the rows are
    sorted by user.

    Raises
    ------
    InputError
        If ``start`` or ``end`` is given, and the interactions in the store have no timestamps.
    """
    _disable_timeout(connection)
    dated = has_timestamps(connection) is not False
    if not dated and (start is not None or end is not None):
        raise InputError(
            "the interactions in the store have no timestamps; a selection by time requires "
            "timestamps: omit the selection, or ingest the interactions with timestamps into another store"
        )
    c = interaction.c
    timestamp_column = _microseconds(connection.dialect.name)
    statement = sa.select(c.user_id, c.item_id, c.event, c.weight, c.session, timestamp_column).order_by(
        c.user_id, c.occurred_at, c.position, c.event_key, c.source
    )
    if start is not None:
        statement = statement.where(c.occurred_at >= _aware(start))
    if end is not None:
        statement = statement.where(c.occurred_at < _aware(end))
    if events is not None:
        statement = statement.where(c.event.in_(events))
    with undamaged(connection):
        users, items = _Numbered.read(connection, user_account), _Numbered.read(connection, item)
        event_names, session_names = _Texts(), _Texts()
        columns: Columns = {name: [np.empty(0, dtype)] for name, dtype in DTYPES.items()}
        result = connection.execute(statement.execution_options(yield_per=ROWS_PER_FETCH))
        for rows in result.partitions():
            user, item_, event, weight, session, timestamp = zip(*rows, strict=True)
            columns["user"].append(users.codes(user))
            columns["item"].append(items.codes(item_))
            columns["event"].append(event_names.codes(event))
            columns["weight"].append(np.array(weight, dtype=np.float32))
            columns["session"].append(session_names.codes([name or NO_SESSION for name in session]))
            columns["timestamp"].append(np.array(timestamp, dtype=np.int64))
        names = {"user": users.ids, "item": items.ids, "event": [*event_names.code_of]}
        found = _assemble(columns, {**names, "session": [*session_names.code_of]})
        return found if dated else dataclasses.replace(found, timestamp=None)


def read_snapshot(
    connection: sa.Connection, days: float | None, end: datetime | None, events: Sequence[str] | None
) -> Interactions:
    """Return the interactions before ``end``; with ``days``, only those of the last ``days`` days.

    The days are counted back from the newest interaction before ``end``, whatever its event name is. If the
    interactions in the store have no timestamps, ``end`` is ignored, and ``days`` raises ``InputError``.
    """
    start = None if days is None else days_before_the_last(connection, days, end)
    return read_interactions(connection, start, end if has_timestamps(connection) else None, events)


def read_ahead(connection: sa.Connection, start: datetime) -> Ahead | None:
    """Return the number of interactions at or after ``start``, and the earliest of these interactions.

    Interactions without a timestamp are not counted. Return ``None`` if no interaction is counted.
    """
    _disable_timeout(connection)
    c = interaction.c
    is_ahead = (c.occurred_at >= _aware(start)) & (c.dated == sa.true())
    first = (
        sa.select(user_account.c.external_id, item.c.external_id, c.occurred_at)
        .select_from(interaction.join(user_account).join(item))
        .where(is_ahead)
        .order_by(c.occurred_at, c.user_id, c.position, c.event_key, c.source)
        .limit(1)
    )
    with undamaged(connection):
        n = connection.scalar(sa.select(sa.func.count()).select_from(interaction).where(is_ahead))
        return Ahead(n, *connection.execute(first).one()) if n else None


def days_before_the_last(
    connection: sa.Connection, days: float, end: datetime | None = None
) -> datetime | None:
    """Return the time of the newest interaction before ``end``, minus ``days`` days.

    Return ``None`` if there is no such interaction. A time before year 1 is replaced by the start of year 1.
    """
    _disable_timeout(connection)
    statement = sa.select(sa.func.max(interaction.c.occurred_at))
    if end is not None:
        statement = statement.where(interaction.c.occurred_at < _aware(end))
    last = connection.scalar(statement)
    if last is None:
        return None
    return FIRST if days > (last - FIRST).days else last - timedelta(days=days)


def forget_user(connection: sa.Connection, user: str) -> int:
    """Delete a user and all rows of the user in all tables; return the number of deleted interactions."""
    is_user = user_account.c.external_id == user
    number = connection.scalar(sa.select(user_account.c.id).where(is_user).with_for_update())
    if number is None:
        return 0
    delete_first_users(connection, number)
    for table in (recommendation, impression):
        connection.execute(sa.delete(table).where(table.c.user_id == number))
    deleted = connection.execute(sa.delete(interaction).where(interaction.c.user_id == number)).rowcount
    connection.execute(sa.delete(user_account).where(user_account.c.id == number))
    return deleted


def summary(connection: sa.Connection) -> dict[str, Any]:
    """Return the numbers of interactions, users, items and inactive items, and the first and last timestamp.

    The timestamps are ISO 8601 text in UTC; they are ``None`` if no interaction has a timestamp.
    """
    dated = interaction.c.dated == sa.true()
    bounds = (bound(interaction.c.occurred_at).filter(dated) for bound in (sa.func.min, sa.func.max))
    with undamaged(connection):
        n_interactions, first, last = connection.execute(sa.select(sa.func.count(), *bounds)).one()
    n_users = connection.scalar(sa.select(sa.func.count(user_account.c.id)))
    n_items, n_inactive = connection.execute(
        sa.select(sa.func.count(), sa.func.count().filter(item.c.active == sa.false()))
    ).one()
    return {
        "n_interactions": n_interactions,
        "n_users": n_users,
        "n_items": n_items,
        "n_inactive": n_inactive,
        "first": first and first.isoformat(),
        "last": last and last.isoformat(),
    }


@dataclass(frozen=True)
class _Numbered:
    """Row numbers of a table, ascending, and the external id of each row."""

    numbers: Offsets
    ids: list[str]

    @classmethod
    def read(cls, connection: sa.Connection, table: sa.Table) -> _Numbered:
        rows = connection.execute(sa.select(table.c.id, table.c.external_id).order_by(table.c.id)).all()
        return cls(np.array([row[0] for row in rows], dtype=np.int64), [row[1] for row in rows])

    def codes(self, numbers: Sequence[int]) -> Codes:
        queried = np.array(numbers, dtype=np.int64)
        codes = np.searchsorted(self.numbers, queried)
        if not np.array_equal(self.numbers.take(codes, mode="clip"), queried):
            raise LookupError("an interaction refers to a user or item that does not exist")
        return codes.astype(np.int32)


@dataclass(frozen=True)
class _Texts:
    """Distinct strings, with codes in order of first appearance."""

    code_of: dict[str, int] = field(default_factory=dict)

    def codes(self, texts: Sequence[str]) -> Codes:
        for text in dict.fromkeys(texts):
            self.code_of.setdefault(text, len(self.code_of))
        return np.array([self.code_of[text] for text in texts], dtype=np.int32)


def _assemble(chunks: Columns, names: dict[str, list[str]]) -> Interactions:
    """Concatenate the chunks of each column, renumber codes in ascending order of ids, and sort rows by user.

    Columns of events, sessions and weights are dropped if they contain only the default value.
    """
    columns = {name: np.concatenate(chunks.pop(name)) for name in DTYPES}
    vocabularies = {}
    for name, ids in names.items():
        columns[name], vocabularies[f"{name}s"] = _ranked(columns[name], ids)
    order = np.argsort(columns["user"], kind="stable")
    for name in DTYPES:
        columns[name] = columns[name][order]
    for name, default in (("event", NO_EVENT), ("session", NO_SESSION)):
        if set(vocabularies[f"{name}s"]) <= {default}:
            del columns[name], vocabularies[f"{name}s"]
    if (columns["weight"] == 1).all():
        del columns["weight"]
    return Interactions(**columns, **vocabularies)  # type: ignore[arg-type]


def _ranked(codes: Codes, ids: Sequence[str]) -> tuple[Codes, Vocabulary]:
    """Renumber codes in ascending order of ids. Ids that do not occur are dropped."""
    present = sorted(np.unique(codes).tolist(), key=ids.__getitem__)
    rank = np.zeros(len(ids), dtype=np.int32)
    rank[present] = np.arange(len(present), dtype=np.int32)
    return rank[codes], Vocabulary(tuple(ids[code] for code in present))


@cache
def _history_since(dialect: str) -> sa.Select[Any]:
    return _history(dialect).where(interaction.c.occurred_at >= sa.bindparam("since"))


@cache
def _history(dialect: str) -> sa.Select[Any]:
    """Return the SELECT statement for a user's history.

    The statement is cached, because building it takes longer than executing it.
    """
    c = interaction.c
    newest_first = [column.desc() for column in (c.occurred_at, c.position, c.event_key, c.source)]
    return (
        sa.select(item.c.external_id, _microseconds(dialect), c.weight, c.event, c.dated)
        .select_from(interaction.join(user_account).join(item))
        .where(user_account.c.external_id == sa.bindparam("user"))
        .order_by(*newest_first)
        .limit(sa.bindparam("limit", type_=sa.BigInteger))
    )


def _disable_timeout(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _microseconds(dialect: str) -> sa.ColumnElement[int]:
    """Return ``occurred_at`` in microseconds since 1970; a ``datetime`` object per row would be slower."""
    if dialect == "sqlite":
        return sa.type_coerce(interaction.c.occurred_at, sa.BigInteger)
    return sa.cast(sa.extract("epoch", interaction.c.occurred_at) * SECOND, sa.BigInteger)


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
