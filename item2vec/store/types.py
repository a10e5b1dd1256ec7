"""Column types that mean the same on SQLite and on PostgreSQL."""

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
"""An id, compared byte for byte; tables.py adds the CHECK of 1 to 512 bytes."""

Boolean = sa.Boolean().with_variant(sa.Integer(), "sqlite")
"""SQLite's STRICT tables know no boolean."""


class Int64(sa.types.TypeDecorator[int]):
    """A 64-bit whole number; one that does not fit is an ``InputError`` on every database.

    >>> Int64().process_bind_param(2**63, None)
    Traceback (most recent call last):
    item2vec.errors.InputError: 9223372036854775808 does not fit; expected a whole number of 64 bits
    """

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Call it INTEGER on SQLite, which numbers rows only under that name."""
        return dialect.type_descriptor(sa.Integer() if dialect.name == "sqlite" else sa.BigInteger())

    def process_bind_param(self, value: int | None, dialect: sa.Dialect | None) -> int | None:  # noqa: ARG002
        """Refuse what the column cannot hold; SQLite's driver would raise ``OverflowError``."""
        if value is not None and not -(2**63) <= value < 2**63:
            raise InputError(f"{value} does not fit; expected a whole number of 64 bits")
        return value


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment: aware in Python, ``timestamptz`` on PostgreSQL, whole microseconds since 1970 on SQLite.

    SQLite has no type for moments, and its driver drops the zone of a datetime that it stores as text. Whole
    numbers sort and compare exactly and are a third of the size.

    >>> UTCDateTime().process_bind_param(datetime(2024, 1, 1), None)
    Traceback (most recent call last):
    item2vec.errors.InputError: 2024-01-01 00:00:00 has no time zone; pass an aware datetime, such as UTC
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Choose the database's own type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Integer())
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect | None) -> datetime | int | None:
        """Refuse a naive moment; hand an aware one over as UTC."""
        moment = None if value is None else utc(value)
        if moment is None or dialect is None or dialect.name != "sqlite":
            return moment
        return microseconds_of(moment)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return an aware moment in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return EPOCH + timedelta(microseconds=value)
        moment: datetime = value
        return moment.astimezone(UTC)


class Json(sa.JSON):
    """JSON kept as it was written: text on SQLite, ``json`` on PostgreSQL.

    Not ``jsonb``, which would give 1e300 back as a whole number of 301 digits.
    """


@compiles(Json, "sqlite")
def _json_on_sqlite(*_: Any, **__: Any) -> str:
    return "TEXT"


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; a naive one is an ``InputError``, since nobody knows when it was."""
    if moment.utcoffset() is None:
        raise InputError(f"{moment} has no time zone; pass an aware datetime, such as UTC")
    return moment.astimezone(UTC)
