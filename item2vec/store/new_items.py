"""Query the first users of items whose first interactions were ingested after a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from item2vec.store.connect import undamaged
from item2vec.store.ids import as_json, listed
from item2vec.store.store import Store
from item2vec.store.tables import first_user, interaction, item, user_account

__all__ = ["FirstUsers", "first_users"]

FirstUsers = dict[str, list[tuple[str, int]]]
"""Maps item ids to their first users: pairs of the user id, and the number of interactions of the user."""


def first_users(store: Store, items: Sequence[str], *, after: datetime) -> FirstUsers:
    """Return the first users of those items whose interactions were all ingested after a time.

    Other items are omitted, and so are items without interactions.
    """
    return store._data("read", partial(_read, items=items, after=after))


def _read(connection: sa.Connection, items: Sequence[str], after: datetime) -> FirstUsers:
    c, older = first_user.c, first_user.alias()
    is_older = (older.c.item_id == c.item_id) & (older.c.ingested_at <= after)
    n_interactions = (
        sa.select(sa.func.count())
        .select_from(interaction)
        .where(interaction.c.user_id == c.user_id)
        .scalar_subquery()
    )
    statement = (
        sa.select(item.c.external_id, user_account.c.external_id, n_interactions)
        .select_from(first_user)
        .join(item, item.c.id == c.item_id)
        .join(user_account, user_account.c.id == c.user_id)
        .where(item.c.external_id.in_(listed(connection)), ~sa.exists().where(is_older))
        .order_by(c.item_id, c.user_id)
    )
    found: FirstUsers = {}
    with undamaged(connection):
        for id_, user, n in connection.execute(statement, {"ids": as_json(items)}):
            found.setdefault(id_, []).append((user, n))
    return found
