"""How interactions become training sentences, and a user's events the history that a model reads."""

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


def _duration(text: str) -> str:
    seconds_of(text, "the time")
    return text


def _parsed(time: Any) -> Any:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(time) if isinstance(time, str) else time
    return time


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _choice(events: Any) -> Any:
    weights = dict(events) if isinstance(events, Mapping) else {}
    is_choice = isinstance(events, tuple | Mapping) and all(isinstance(name, str) for name in events)
    if not is_choice or not all(type(n) in {int, float} and 0 <= n < math.inf for n in weights.values()):
        raise ValueError(
            f"events is {events!r}; expected names such as ['play'], or names with weights >= 0 such as "
            "{'click': 1, 'purchase': 5}"
        )
    return {name: float(n) for name, n in weights.items()} if weights else events


Duration = Annotated[str, AfterValidator(_duration)]
Events = Annotated[tuple[str, ...] | dict[str, float], BeforeValidator(_choice)]
Time = Annotated[datetime, BeforeValidator(_parsed), AfterValidator(_utc)]
"""A datetime, or ISO text; UTC where it names no zone."""


class AdapterConfig(Settings):
    """How interactions become sentences, for training and for serving.

    A model keeps these settings. ``Engine`` applies ``events``, ``since``, ``group_by``,
    ``collapse_repeats`` and ``max_length`` to the history of a user, and evaluation to the histories of a
    split, so that both read what the model was trained on. The other settings concern training alone. In
    particular, sessions cut training sentences; a history stays whole, and decay weights its recent visits.

    Examples
    --------
    >>> AdapterConfig(kind="sessions", gap="2h").gap
    '2h'
    """

    kind: Literal["histories", "sessions"] = "histories"
    """Unit of a training sentence: a user's whole history (histories), or one visit (sessions)."""
    gap: Duration = DEFAULT_GAP
    """sessions: a pause longer than this ends a visit, where interactions have no session column."""
    days: Days | None = None
    """Only the newest so many days, counted from the last interaction."""
    since: Time | None = None
    """Only interactions from this time on. A nightly run sets it from ``days`` in the model it publishes."""
    events: Events | None = None
    """Only these events, such as ["play", "purchase"]. A mapping, such as {click = 1, purchase = 5}, also
    multiplies the weights of their interactions."""
    seen_events: tuple[str, ...] | None = None
    """Events that make an item a seen one, which answers leave out. By default every event of the user does,
    whatever ``events`` and ``days`` say."""
    group_by: str | None = None
    """Attribute whose values become the items of the sentences, such as "artist". Items without it are
    dropped."""
    min_item_count: Least = 1
    """Items with fewer interactions are left out of training."""
    min_user_count: Least = 1
    """Users with fewer interactions are left out of training."""
    min_length: Least = 1
    """Sentences with fewer items are left out of training."""
    max_length: Least | None = None
    """Only the newest so many items of a sentence."""
    collapse_repeats: bool = False
    """Adjacent repeats of an item count once."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.days is not None and self.since is not None:
            raise ValueError("days and since are both given; expected one of them")
        return self

    def resolved(self, timestamps: npt.NDArray[Any] | None) -> AdapterConfig:
        """Return the settings with ``days`` turned into ``since``, given all timestamps (microseconds).

        >>> AdapterConfig(days=1).resolved(np.array([0, 3 * 86_400_000_000])).since.day
        3
        """
        if self.days is None or timestamps is None or not len(timestamps):
            return self
        newest = EPOCH + timedelta(microseconds=int(np.max(timestamps)))
        reach = (newest - EARLIEST).days
        return self.replace(days=None, since=newest - timedelta(days=min(self.days, reach)))
