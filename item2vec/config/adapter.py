"""Settings that turn interactions into training sentences, and the events of a user into a history."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from item2vec.config.settings import Finite, Settings
from item2vec.durations import DEFAULT_GAP, EPOCH, seconds_of

__all__ = ["AdapterConfig", "Days", "Duration", "Least"]

Least = Annotated[int, Field(ge=1)]
Days = Annotated[Finite, Field(gt=0)]

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def _check_duration(text: str) -> str:
    seconds_of(text, "the time")
    return text


def _parse_time(time: Any) -> Any:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(time) if isinstance(time, str) else time
    return time


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _check_events(events: Any) -> Any:
    weights = dict(events) if isinstance(events, Mapping) else {}
    has_names = isinstance(events, tuple | Mapping) and all(isinstance(name, str) for name in events)
    if not has_names or not all(type(n) in {int, float} and 0 <= n < math.inf for n in weights.values()):
        raise ValueError(
            f"events is {events!r}; expected names such as ['play'], or names with weights >= 0 such as "
            "{'click': 1, 'purchase': 5}"
        )
    return {name: float(n) for name, n in weights.items()} if weights else events


Duration = Annotated[str, AfterValidator(_check_duration)]
Events = Annotated[tuple[str, ...] | dict[str, float], BeforeValidator(_check_events)]
Time = Annotated[datetime, BeforeValidator(_parse_time), AfterValidator(_utc)]
"""A datetime, or ISO 8601 text; without a time zone, UTC."""


class AdapterConfig(Settings):
    """How interactions become sentences, for training and for serving.

    A model keeps these settings. ``Engine`` applies ``events``, ``since``, ``group_by``, ``collapse_repeats``
    and ``max_length`` to the history of a user, and evaluation to the histories of a split, so that histories
    look like training sentences. The other settings apply to training only. In particular, ``sessions``
    splits training sentences; a history stays whole, and decay gives recent visits more weight.

    Examples
    --------
    >>> AdapterConfig(kind="sessions", gap="2h").gap
    '2h'
    """

    kind: Literal["histories", "sessions"] = "histories"
    """Training sentence: the whole history of a user (histories), or one visit (sessions)."""
    gap: Duration = DEFAULT_GAP
    """sessions: a longer pause ends a visit, if interactions have no session column."""
    days: Days | None = None
    """Only interactions of this many days before the last interaction."""
    since: Time | None = None
    """Only interactions from this time on. A nightly run with ``days`` sets it in the model it publishes."""
    events: Events | None = None
    """Only events with these names, such as ["play", "purchase"]. A mapping, such as
    {click = 1, purchase = 5}, also multiplies the weights of the interactions."""
    seen_events: tuple[str, ...] | None = None
    """Events that mark an item as seen, so that it is not recommended. By default all events of the user,
    regardless of ``events`` and ``days``."""
    group_by: str | None = None
    """Attribute whose values replace the items in sentences, such as "artist". Items without it are
    dropped."""
    min_item_count: Least = 1
    """Minimum interactions of an item in training; rarer items are dropped."""
    min_user_count: Least = 1
    """Minimum interactions of a user in training; other users are dropped."""
    min_length: Least = 1
    """Minimum items of a training sentence; shorter ones are dropped."""
    max_length: Least | None = None
    """Maximum items of a sentence; the newest are kept."""
    collapse_repeats: bool = False
    """Count consecutive repeats of an item once."""

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if self.days is not None and self.since is not None:
            raise ValueError("days and since are both given; expected one of them")
        return self

    def resolved(self, timestamps: npt.NDArray[Any] | None) -> AdapterConfig:
        """Return the settings with ``days`` replaced by ``since``, given all timestamps (microseconds).

        >>> AdapterConfig(days=1).resolved(np.array([0, 3 * 86_400_000_000])).since.day
        3
        """
        if self.days is None or timestamps is None or not len(timestamps):
            return self
        newest = EPOCH + timedelta(microseconds=int(np.max(timestamps)))
        reach = (newest - EARLIEST).days
        return self.replace(days=None, since=newest - timedelta(days=min(self.days, reach)))
