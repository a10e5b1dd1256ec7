"""Settings for building training sentences from interactions, and histories from the events of users."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from item2vec.config.settings import Finite, Settings
from item2vec.durations import DEFAULT_GAP, EPOCH, seconds_of
from item2vec.errors import (
    ConfigError,
    short_repr,
)

__all__ = ["AdapterConfig", "AdapterSection", "Days", "Duration", "Least"]

Least = Annotated[int, Field(ge=1)]
Days = Annotated[Finite, Field(gt=0)]

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def _check_duration(text: str, about: ValidationInfo) -> str:
    seconds_of(text, str(about.field_name))
    return text


def _parse_time(time: Any) -> Any:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(time) if isinstance(time, str) else time
    return time


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _check_events(events: Any) -> Any:
    given = dict(events) if isinstance(events, Mapping) else {}
    weights = {name: n.item() if isinstance(n, np.generic) else n for name, n in given.items()}
    has_names = isinstance(events, tuple | Mapping) and all(isinstance(name, str) for name in events)
    if not has_names or not all(type(n) in {int, float} and abs(n) < math.inf for n in weights.values()):
        raise ValueError(
            f"events is {short_repr(events)}; expected names such as ['play'], or names "
            "with finite weights such as {'click': 1, 'purchase': 5, 'dislike': -1}"
        )
    return {name: float(n) for name, n in weights.items()} if weights else events


def _check_seen_events(events: Any) -> Any:
    is_list = isinstance(events, tuple | list) and all(isinstance(name, str) for name in events)
    if events is not None and not is_list:
        raise ValueError(f"seen_events is {short_repr(events)}; expected names such as ['play']")
    return events


Duration = Annotated[str, AfterValidator(_check_duration)]
Events = Annotated[tuple[str, ...] | dict[str, float], BeforeValidator(_check_events)]
Time = Annotated[datetime, BeforeValidator(_parse_time), AfterValidator(_utc)]
"""A datetime, or ISO 8601 text. A time without a time zone is UTC."""


class AdapterConfig(Settings):
    """Settings for building sentences and histories from interactions.

    A model contains these settings. ``events``, ``since`` (or ``days``), ``group_by``, ``collapse_repeats``
    and ``max_length`` apply to training sentences and to histories, both in ``Engine`` and in evaluation.
    ``seen_events`` applies to recommendations only. All other settings apply to training sentences only. For
    example, ``kind="sessions"`` splits the training data of a user into visits, but does not split a history:
    the decay of the taste gives recent visits more weight.

    Examples
    --------
    >>> AdapterConfig(kind="sessions", gap="2h").gap
    '2h'
    """

    kind: Literal["histories", "sessions"] = "histories"
    """Training sentence: the whole history of a user (histories), or one visit (sessions)."""
    gap: Duration = DEFAULT_GAP
    """Maximum pause within a visit (sessions). Not used if interactions have a session column."""
    days: Days | None = None
    """Use only interactions within this number of days before the last interaction."""
    since: Time | None = None
    """Use only interactions from this time on. If ``days`` is set, item2vec train and item2vec retrain store
    the time at which these days start as ``since`` in the model."""
    events: Events | None = None
    """Use only events with these names, such as ["play", "purchase"]. A mapping, such as
    {click = 1, purchase = 5}, also multiplies the weights of interactions by a factor per event name. Events
    of negative weight, such as {dislike = -1}, are dislikes: training drops these events, tastes move away
    from the disliked items, and the disliked items are not recommended."""
    seen_events: Annotated[tuple[str, ...] | None, BeforeValidator(_check_seen_events)] = None
    """Names of the events that mark an item as seen, so that it is not recommended. By default all events of
    the user mark items as seen, independently of ``events`` and ``days``."""
    group_by: str | None = None
    """Attribute, such as "artist", whose values replace the items in sentences and histories. Items without
    the attribute are dropped."""
    min_item_count: Least = 1
    """Minimum number of interactions of an item in training; rarer items are dropped."""
    min_user_count: Least = 1
    """Minimum number of interactions of a user in training; other users are dropped."""
    core: bool = False
    """Whether min_item_count and min_user_count are applied repeatedly until neither drops an interaction
    (k-core). Otherwise each is applied once, min_item_count first."""
    min_length: Least = 1
    """Minimum number of items in a training sentence; shorter sentences are dropped."""
    max_length: Least | None = None
    """Maximum number of items in a training sentence or history; the newest items are kept."""
    drop_longer_than: Least | None = None
    """Maximum number of interactions in a training sentence; longer sentences, such as sentences of
    robots, are dropped."""
    collapse_repeats: bool = False
    """Merge consecutive repeats of an item into one."""
    ordered: bool = True
    """Whether the order of the items in a training sentence has a meaning. If not, sentences are treated as
    sets."""

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if self.days is not None and self.since is not None:
            raise ValueError("days and since are both set; set only one of them")
        return self

    def resolved(self, timestamps: npt.NDArray[Any] | None) -> AdapterConfig:
        """Return the settings with ``days`` replaced by ``since``: the newest timestamp minus ``days``.

        ``timestamps`` holds the timestamps of all interactions, in microseconds; ``None`` if there is no
        timestamp column. If ``days`` is ``None`` or there are no interactions, the settings are returned
        unchanged.

        Raises
        ------
        ConfigError
            If ``days`` is set, and the interactions have no timestamps.

        Examples
        --------
        >>> AdapterConfig(days=1).resolved(np.array([0, 3 * 86_400_000_000])).since.day
        3
        """
        if self.days is not None and timestamps is None:
            raise ConfigError(
                f"days is {self.days:g}, and the interactions have no timestamps; expected timestamps: add a "
                "column of timestamps, or remove days from AdapterConfig or from [adapter] in item2vec.toml"
            )
        if self.days is None or timestamps is None or not len(timestamps):
            return self
        newest = EPOCH + timedelta(microseconds=int(np.max(timestamps)))
        reach = (newest - EARLIEST).days
        return self.replace(days=None, since=newest - timedelta(days=min(self.days, reach)))


class AdapterSection(AdapterConfig):
    """Settings of the section ``[adapter]`` of item2vec.toml.

    >>> AdapterSection(corpus="corpus", max_length=50).adapter() == AdapterConfig(max_length=50)
    True
    """

    corpus: Annotated[str, Field(min_length=1)] | None = None
    """Folder written by item2vec prepare, from which nightly runs train in place of the store's interactions.
    item2vec prepare applies the other settings of [adapter] to the folder. The nightly run applies these
    settings to histories only."""

    def adapter(self) -> AdapterConfig:
        """Return the settings as an ``AdapterConfig``, without ``corpus``."""
        return AdapterConfig(**{name: value for name, value in self.given().items() if name != "corpus"})
