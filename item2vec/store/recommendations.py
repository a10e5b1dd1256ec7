"""Write the table ``recommendation``: the recommendations of a model version for the users of the store.

The users are processed in blocks. A block is a range of row numbers of users, so that blocks do not change if
users are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import sqlalchemy as sa

from item2vec.answers import Answers
from item2vec.store.ids import numbers_of
from item2vec.store.store import Store
from item2vec.store.tables import item, recommendation, user_account
from item2vec.types import check_ids

__all__ = [
    "UserRange",
    "count_users",
    "largest_rank",
    "last_user",
    "replace_recommendations",
    "users_of",
    "without_recommendations",
]

UserRange = tuple[int, int]
"""First and last row number of the users of a block, both inclusive."""


def last_user(store: Store) -> int:
    """Return the largest ``id`` of the table ``user_account``; 0 if the table is empty."""
    highest = sa.select(sa.func.coalesce(sa.func.max(user_account.c.id), 0))
    return store._data("read", lambda connection: int(connection.scalars(highest).one()))


def count_users(store: Store, last: int) -> int:
    """Return the number of users with row numbers up to and including ``last``."""
    count = sa.select(sa.func.count()).where(user_account.c.id <= last)
    return store._data("read", lambda connection: connection.scalars(count).one())


def largest_rank(store: Store, version: str) -> int:
    """Return the largest rank of the recommendations of a version; 0 if there are none."""
    c = recommendation.c
    largest = sa.select(sa.func.coalesce(sa.func.max(c.rank), 0)).where(c.version == version)
    return store._data("read", lambda connection: int(connection.scalars(largest).one()))


def users_of(store: Store, numbers: UserRange) -> dict[str, int]:
    """Return a mapping from user ids to row numbers for the users in a range, sorted by row number."""
    return store._data("read", partial(_users, numbers=numbers))


def without_recommendations(store: Store, version: str, numbers: UserRange) -> dict[str, int]:
    """Return the same mapping as ``users_of``, without the users who have recommendations of this version."""
    return store._data("read", partial(_users, numbers=numbers, version=version))


def replace_recommendations(store: Store, version: str, numbers: Mapping[str, int], answers: Answers) -> int:
    """Replace the recommendations of a model version for a block of users, in one transaction.

    ``numbers`` maps user ids to row numbers, in the order of the users of ``answers``, and must not be empty.
    A user who has been deleted meanwhile is skipped. Items that are not in the store are inserted. Return the
    number of inserted recommendations.
    """
    check_ids([version])
    work = partial(_replace, version=version, numbers=[*numbers.values()], answers=answers)
    return store._insert_items(work)


def _users(connection: sa.Connection, numbers: UserRange, version: str | None = None) -> dict[str, int]:
    c = user_account.c
    statement = sa.select(c.external_id, c.id).where(c.id.between(*numbers)).order_by(c.id)
    if version is not None:
        own = (recommendation.c.user_id == c.id) & (recommendation.c.version == version)
        statement = statement.where(~sa.exists().where(own))
    return {row[0]: row[1] for row in connection.execute(statement)}


def _replace(
    connection: sa.Connection,
    version: str,
    numbers: Sequence[int],
    answers: Answers,
) -> int:
    c = recommendation.c
    present = set(_users(connection, (min(numbers), max(numbers))).values())
    delete = sa.delete(recommendation).where(c.version == version, c.user_id == sa.bindparam("user"))
    connection.execute(delete, [{"user": number} for number in numbers])
    used = sorted(set(answers.items[answers.items >= 0].tolist()))
    row_of = dict(
        zip(used, numbers_of(connection, item, answers.vocabulary.decode(used)).tolist(), strict=True)
    )
    rows = [
        {"version": version, "user_id": number, "rank": rank, "item_id": row_of[code], "score": score}
        for number, codes, scores in zip(
            numbers, answers.items.tolist(), answers.scores.tolist(), strict=True
        )
        if number in present
        for rank, (code, score) in enumerate(zip(codes, scores, strict=True), start=1)
        if code >= 0
    ]
    if rows:
        connection.execute(sa.insert(recommendation), rows)
    return len(rows)
