"""Column types that return the same Python values on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from item2vec.durations import EPOCH, microseconds_of
from item2vec.errors import InputError

__all__ = ["Boolean", "Int64", "Json", "Key", "UTCDateTime", "utc"]

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Type of ids: text that is compared byte by byte. ``tables.py`` adds a CHECK constraint on the length."""

Boolean = sa.Boolean().with_variant(sa.Integer(), "sqlite")
"""Boolean type: an integer on SQLite, because STRICT tables have no boolean type."""


class Int64(sa.types.TypeDecorator[int]):
    """Signed 64-bit integer. A number out of range raises ``InputError`` on both databases.

    >>> Int64().process_bind_param(2**63, None)
    Traceback (most recent call last):
    item2vec.errors.InputError: 9223372036854775808 is out of range; expected a signed 64-bit integer
    """

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type for the dialect. SQLite generates ids only for the type INTEGER."""
        return dialect.type_descriptor(sa.Integer() if dialect.name == "sqlite" else sa.BigInteger())

    def process_bind_param(self, value: int | None, dialect: sa.Dialect | None) -> int | None:  # noqa: ARG002
        """Raise ``InputError`` if the value is out of range, before a driver raises ``OverflowError``."""
        if value is not None and not -(2**63) <= value < 2**63:
            raise InputError(f"{value} is out of range; expected a signed 64-bit integer")
        return value


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """Aware ``datetime``: ``timestamptz`` on PostgreSQL, integer microseconds since 1970 on SQLite.

    SQLite has no timestamp type, and its driver drops the time zone of a ``datetime``. Integers are compared
    exactly, and need a third of the space of text.

    >>> UTCDateTime().process_bind_param(datetime(2024, 1, 1), None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    item2vec.errors.InputError: 2024-01-01 00:00:00 has no time zone; expected a datetime with a time ...
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type for the dialect."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Integer())
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect | None) -> datetime | int | None:
        """Return a ``datetime`` in UTC, or microseconds on SQLite; raise ``InputError`` for a naive one."""
        time = None if value is None else utc(value)
        if time is None or dialect is None or dialect.name != "sqlite":
            return time
        return microseconds_of(time)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return an aware ``datetime`` in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return EPOCH + timedelta(microseconds=value)
        time: datetime = value
        return time.astimezone(UTC)


class Json(sa.JSON):
    """JSON stored as text: TEXT on SQLite, ``json`` on PostgreSQL.

    ``jsonb`` is unsuitable, because it would return 1e300 as an integer of 301 digits.
    """


@compiles(Json, "sqlite")
def _json_on_sqlite(*_: Any, **__: Any) -> str:
    return "TEXT"


def utc(time: datetime) -> datetime:
    """Convert an aware ``datetime`` to UTC; raise ``InputError`` for a naive ``datetime``."""
    if time.utcoffset() is None:
        raise InputError(
            f"{time} has no time zone; expected a datetime with a time zone, such as datetime.now(UTC)"
        )
    return time.astimezone(UTC)
