"""Durations as text: "45s", "30min", "2h", "1d"."""

from __future__ import annotations

import re
from datetime import timedelta

from item2vec.errors import ConfigError

__all__ = ["seconds_of"]

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def seconds_of(duration: str | float | timedelta, name: str) -> float:
    """Return a duration in seconds; ``name`` is the name of the setting, for the error message.

    >>> seconds_of("30min", "gap")
    1800.0
    >>> seconds_of("a", "gap")
    Traceback (most recent call last):
    item2vec.errors.ConfigError: gap is 'a'; expected a time above 0, such as '45s', '30min', '2h' or '1d'
    """
    seconds: object = duration
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str):
        match = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})\s*", duration.casefold(), re.ASCII)
        seconds = float(match[1]) * UNITS[match[2]] if match else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e12:
        raise ConfigError(
            f"{name} is {duration!r}; expected a time above 0, such as '45s', '30min', '2h' or '1d'"
        )
    return float(seconds)
