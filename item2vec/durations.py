"""Conversion of durations such as "30min" to seconds, and of datetimes to timestamps in microseconds."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta

from item2vec.errors import (
    ConfigError,
    InputError,
    InputTypeError,
    short_repr,
)

__all__ = [
    "DAY",
    "DEFAULT_GAP",
    "EARLIEST",
    "EPOCH",
    "LATEST",
    "PLAUSIBLE",
    "SECOND",
    "TICKS",
    "UNIT_NAMES",
    "microseconds_of",
    "moment_of",
    "seconds_of",
]

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
"""Units of durations, in seconds."""
SECOND = 1_000_000
"""One second in microseconds, the unit of all timestamps."""
DAY = UNITS["d"] * SECOND
"""One day in microseconds."""
DEFAULT_GAP = "30min"
"""Default maximum pause between two consecutive interactions of a session."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of timestamp 0."""
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first timestamp of year 1 and the last timestamp of year 9999, the range of ``datetime``."""
TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of Unix timestamps (epoch numbers). Each unit is mapped to its number per second."""
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
"""Names of the units of Unix timestamps, for messages."""
PLAUSIBLE = (631_152_000, 4_102_444_800)
"""Start of 1990 (inclusive) and start of 2100 (exclusive), in seconds since 1970-01-01 UTC.

A unit is plausible for a Unix timestamp if the timestamp, read in this unit, is a date in this period. A
timestamp has at most one plausible unit.
"""


def seconds_of(duration: str | float | timedelta, name: str) -> float:
    """Return a duration (text such as "30min", a number of seconds, or a timedelta) in seconds.

    ``name`` is the name of the setting in the error message.

    Raises
    ------
    ConfigError
        If the value is not a duration above 0 and below 1e12 seconds.

    Examples
    --------
    >>> seconds_of("30min", "gap")
    1800.0
    >>> seconds_of("a", "gap")
    Traceback (most recent call last):
    item2vec.errors.ConfigError: gap is 'a'; expected a duration above 0, such as '45s', '30min', '2h' or '1d'
    """
    seconds: object = duration
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str):
        match = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})\s*", duration.casefold(), re.ASCII)
        seconds = float(match[1]) * UNITS[match[2]] if match else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e12:
        expected = "above 0, such as '45s', '30min', '2h' or '1d'"
        if isinstance(seconds, int | float) and seconds >= 1e12:
            expected = "below 1e12 seconds"
        raise ConfigError(f"{name} is {short_repr(duration)}; expected a duration {expected}")
    return float(seconds)


def microseconds_of(time: datetime) -> int:
    """Return a datetime in microseconds since 1970-01-01 UTC; a naive datetime is interpreted as UTC.

    >>> microseconds_of(datetime(1970, 1, 1, 1, tzinfo=UTC))
    3600000000

    Raises
    ------
    InputTypeError
        If the value is not a ``datetime``.
    """
    if not isinstance(time, datetime):
        raise InputTypeError(f"a time is {short_repr(time)}; expected a datetime")
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def moment_of(moment: datetime | timedelta | str, name: str, now: datetime) -> int:
    """Return a time in microseconds since 1970-01-01 UTC. A time without a time zone is UTC.

    A ``timedelta``, or a duration such as ``"30d"``, is subtracted from ``now``. Other text must be an ISO
    8601 time. ``name`` is the name of the argument in the error message.

    >>> moment_of("1970-01-02", "since", now=EPOCH), moment_of("1s", "since", now=EPOCH)
    (86400000000, -1000000)

    Raises
    ------
    InputError
        If the value is neither a datetime, an ISO 8601 time, nor a duration above 0 and below 1e12 seconds.
    """
    time: object = moment
    if isinstance(moment, str):
        with contextlib.suppress(ValueError):
            time = datetime.fromisoformat(moment)
    if isinstance(time, datetime):
        return microseconds_of(time)
    try:
        return microseconds_of(now) - round(seconds_of(moment, name) * SECOND)  # type: ignore[arg-type]
    except ConfigError as error:
        raise InputError(
            f"{name} is {short_repr(moment)}; expected a datetime, ISO text such as '2024-05-01', or a "
            "duration before now such as '30d'"
        ) from error
