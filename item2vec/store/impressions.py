"""Record, read and delete impressions.

An impression records that an item was shown to a user, with the time and the version of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from item2vec.errors import InputError
from item2vec.store.connect import Mode
from item2vec.store.ids import insert_into, numbers_of
from item2vec.store.tables import impression, item, user_account
from item2vec.store.types import utc
from item2vec.types import as_history, check_ids

__all__ = ["Impressions"]


class Impressions:
    """The impressions of a store, available as ``Store.impressions``. Each call is one transaction.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, timedelta
    >>> from item2vec.store import Store
    >>> folder, now = tempfile.TemporaryDirectory(), datetime(2024, 1, 8, tzinfo=UTC)
    >>> with Store(f"sqlite:///{folder.name}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     store.impressions.record(["ann"], [["x", "y"]], version="g1", now=now)
    ...     store.impressions.since(["ann", "bob"], now - timedelta(days=7))
    ...     store.impressions.delete(before=now + timedelta(days=90))
    2
    [['x', 'y'], []]
    2
    >>> folder.cleanup()
    """

    def __init__(
        self,
        transaction: Callable[[Mode, Callable[[sa.Connection], Any]], Any],
        insert_items: Callable[[Callable[[sa.Connection], Any]], Any],
    ) -> None:
        self._transaction = transaction
        self._insert_items = insert_items

    def record(
        self, users: Iterable[str], items: Iterable[Iterable[str]], *, version: str | None, now: datetime
    ) -> int:
        """Record that each user was shown a list of items at ``now``; return the number of new rows.

        Unknown users and items are added to the store. ``version`` is the id of the model version that
        recommended the items; ``None`` if the model has no version.

        Raises
        ------
        InputError
            If ``items`` does not have one list per user, an id is invalid, or ``now`` has no time zone.
        """
        names = as_history(users, "users")
        shown = [as_history(own, "items") for own in as_history(items, "items")]
        if len(names) != len(shown):
            raise InputError(f"items has {len(shown)} lists for {len(names)} users; expected one per user")
        pairs = [(user, one) for user, own in zip(names, shown, strict=True) for one in own]
        check_ids([*names, *(one for _, one in pairs), *([] if version is None else [version])])
        row = {"version": version, "shown_at": utc(now)}
        if not pairs:
            return 0
        recorded: int = self._insert_items(partial(_insert, pairs=pairs, row=row))
        return recorded

    def since(self, users: Iterable[str], start: datetime) -> list[list[str]]:
        """Return, for each user, the distinct ids of the items shown at ``start`` or later, sorted.

        A user without such impressions, or an unknown user, has an empty list. Raise ``InputError`` if
        ``start`` has no time zone.
        """
        names = as_history(users, "users")
        check_ids(names)
        found: list[list[str]] = self._transaction("read", partial(_select, users=names, start=utc(start)))
        return found

    def delete(self, *, before: datetime) -> int:
        """Delete all impressions with a time before ``before``; return the number of deleted rows.

        Raise ``InputError`` if ``before`` has no time zone.
        """
        deleted: int = self._transaction("write", partial(_delete, before=utc(before)))
        return deleted


def _insert(connection: sa.Connection, pairs: Sequence[tuple[str, str]], row: dict[str, Any]) -> int:
    columns = {}
    for name, table, ids in (
        ("user_id", user_account, [user for user, _ in pairs]),
        ("item_id", item, [one for _, one in pairs]),
    ):
        distinct = list(dict.fromkeys(ids))
        number_of = dict(zip(distinct, numbers_of(connection, table, distinct).tolist(), strict=True))
        columns[name] = [number_of[id_] for id_ in ids]
    keys = sorted(set(zip(columns["user_id"], columns["item_id"], strict=True)))
    rows = [{**row, "user_id": user, "item_id": one} for user, one in keys]
    # An item that is shown to a user twice in the same microsecond is one impression.
    insert = insert_into(connection, impression).on_conflict_do_nothing().returning(impression.c.item_id)
    return len(connection.execute(insert, rows).all())


def _select(connection: sa.Connection, users: Sequence[str], start: datetime) -> list[list[str]]:
    c = impression.c
    statement = (
        sa.select(item.c.external_id)
        .select_from(impression.join(user_account).join(item))
        .where(user_account.c.external_id == sa.bindparam("user"), c.shown_at >= start)
        .distinct()
        .order_by(item.c.external_id)
    )
    return [list(connection.scalars(statement, {"user": user})) for user in users]


def _delete(connection: sa.Connection, before: datetime) -> int:
    return connection.execute(sa.delete(impression).where(impression.c.shown_at < before)).rowcount
