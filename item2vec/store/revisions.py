"""Revision numbers of the table ``item``, by which readers find the rows that are new or have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from item2vec.store.tables import item

__all__ = ["last_revision", "next_revision", "watched"]

ADVISORY_LOCK = 0x17E3_CA7A  # an arbitrary key that other applications are unlikely to use

T = TypeVar("T")


def last_revision(connection: sa.Connection) -> int:
    """Return the revision of the last change of an item; 0 if there was no change."""
    return connection.scalar(sa.select(sa.func.max(item.c.revision))) or 0


def watched(connection: sa.Connection, work: Callable[[sa.Connection], T]) -> tuple[T, bool]:
    """Run ``work`` in a transaction; return its result, and whether items have been inserted or changed."""
    before = last_revision(connection)
    result = work(connection)
    return result, last_revision(connection) != before


def next_revision(connection: sa.Connection) -> int:
    """Return the revision for the changes of this transaction: the last revision plus 1.

    On PostgreSQL, an advisory lock serialises changes until commit. Without the lock, two transactions could
    use the same revision. A reader that reads between the two commits would then never read the changes of
    the later commit. SQLite serialises all writers.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    return last_revision(connection) + 1
