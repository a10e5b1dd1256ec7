"""Conversion of the timestamps of requests."""

from __future__ import annotations

from datetime import datetime

from item2vec.durations import PLAUSIBLE, SECOND, TICKS, microseconds_of
from item2vec.errors import InputError, short_repr

__all__ = ["instant"]


def instant(value: str | int) -> int:
    """Convert ISO 8601 text, or a number of s, ms, µs or ns since 1970, to microseconds since 1970.

    Text without a time zone is interpreted as UTC. The unit of a number is the unit in which the number is a
    date from 1990 to 2099. Raise ``InputError`` for any other number or text.

    >>> {instant(value) for value in ("2024-01-01T01:00+01:00", 1704067200, 1704067200000)}
    {1704067200000000}
    """
    if isinstance(value, str):
        try:
            return microseconds_of(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            raise InputError(
                f"timestamp is {short_repr(value)}; expected ISO 8601, such as 2024-02-29T12:00:00Z"
            ) from None
    for ticks in TICKS.values():
        if PLAUSIBLE[0] * ticks <= value < PLAUSIBLE[1] * ticks:
            return value * SECOND // ticks
    raise InputError(
        f"timestamp is {value}; expected ISO 8601, or a number of seconds, milliseconds, microseconds or "
        "nanoseconds since 1970, in the years 1990 to 2099"
    )
