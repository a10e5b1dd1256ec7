"""Build training sentences from interactions: one sentence per user (histories) or per session (sessions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from item2vec.arguments import checked_except
from item2vec.arrays import Offsets
from item2vec.config import AdapterConfig
from item2vec.durations import DEFAULT_GAP, SECOND, seconds_of
from item2vec.errors import ConfigError, InputError, InputTypeError, Remedy, short_repr
from item2vec.interactions import Interactions, reading_with
from item2vec.items import Items
from item2vec.kernels.cores import core_rows
from item2vec.kernels.grouping import group_rows, label_pairs, sort_groups
from item2vec.sentences import Sentences
from item2vec.shaping import (
    DISLIKED,
    Grouping,
    check_least,
    check_shape,
    dislikes_of,
    grouping_of,
    log_unknown_events,
    shape_histories,
    shape_training_sentences,
)

__all__ = [
    "by_session",
    "by_user",
    "chosen_interactions",
    "histories",
    "oldest_first",
    "sessions",
    "training_sentences",
    "user_histories",
]

EVERYTHING = AdapterConfig()
_SAME_NAMES = (
    "min_item_count",
    "min_user_count",
    "core",
    "min_length",
    "max_length",
    "drop_longer_than",
    "collapse_repeats",
    "ordered",
)
"""Fields of ``AdapterConfig`` that are parameters of ``histories`` and ``sessions`` with the same name."""

CHECKED_HERE = (
    *("interactions", "gap", "start", "end", "min_item_count", "min_user_count"),
    *("min_length", "max_length", "drop_longer_than", "group_by"),
)
"""Arguments that this module and ``check_shape`` check, so that ``checked_except`` need not check them."""


@checked_except(*CHECKED_HERE)
def histories(  # noqa: PLR0913 - all settings are keyword arguments with defaults
    interactions: Interactions,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    events: Iterable[str] | Mapping[str, float] | None = None,
    min_item_count: int = 1,
    min_user_count: int = 1,
    core: bool = False,
    min_length: int = 1,
    max_length: int | None = None,
    drop_longer_than: int | None = None,
    collapse_repeats: bool = False,
    group_by: Grouping | None = None,
    ordered: bool = True,
) -> Sentences:
    """Return one sentence per user: the items of the user's interactions, oldest first.

    Sentences are in ascending order of user codes. Users without interactions have no sentence. Items with
    equal timestamps, or without timestamps, are in the order of the rows. Each token has the weight and the
    timestamp of its interaction, if the interactions have them. A collapsed run of repeats has the largest
    weight and the last timestamp of the run.

    Parameters
    ----------
    interactions
        The interactions, such as the result of ``readers.read_interactions``.
    start, end
        Keep interactions with ``start <= timestamp < end``. ``None``: no limit. Naive datetimes are in UTC.
    events
        Names of the events to keep. ``None``: all events. A mapping, such as ``{"click": 1, "purchase": 5}``,
        also multiplies the weight of each interaction by the weight of its event. Events of negative weight
        are dislikes, and are dropped; if no interaction has the name of a dislike, a warning is logged.
    min_item_count, min_user_count
        After the filters above, drop items with fewer than ``min_item_count`` interactions; then drop users
        with fewer than ``min_user_count`` interactions.
    core
        True: repeat the two steps until neither drops an interaction (k-core). Each remaining item and user
        then has at least the minimum number of interactions. False: apply each step once.
    drop_longer_than
        After the filters above, drop sentences with more than ``drop_longer_than`` interactions, such as
        sentences of robots, and log the number of dropped sentences. The interactions of dropped sentences
        count towards ``min_item_count`` and ``min_user_count``.
    min_length, max_length, collapse_repeats, group_by, ordered
        See ``playlists``. ``max_length`` keeps the newest items.

    Raises
    ------
    InputTypeError
        If ``interactions`` is not an ``Interactions``; if ``events``, ``core``, ``collapse_repeats`` or
        ``ordered`` has the wrong type; or if a group in ``group_by`` is not text.
    InputError
        If ``start`` or ``end`` is given and there are no timestamps; if ``events`` is given and there is no
        event column, an event that is not a dislike is unknown, or its weight is not finite; or if no item
        has a group.
    ConfigError
        If another argument is invalid.

    Examples
    --------
    >>> listens = Interactions.of(user=["u", "v", "u"], item=["b", "b", "a"], timestamp=[2, 5, 1])
    >>> list(histories(listens))
    [['a', 'b'], ['b']]
    """
    check_shape(min_length, max_length, group_by, drop_longer_than)
    chosen = _filtered(interactions, start, end, events, min_item_count, min_user_count, core)
    rows, offsets = by_user(chosen)
    return shape_training_sentences(
        _sentences(chosen, rows, offsets, ordered),
        drop_longer_than=drop_longer_than,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
    )


@checked_except(*CHECKED_HERE)
def sessions(  # noqa: PLR0913 - all settings are keyword arguments with defaults
    interactions: Interactions,
    *,
    gap: str | float | timedelta | None = DEFAULT_GAP,
    start: datetime | None = None,
    end: datetime | None = None,
    events: Iterable[str] | Mapping[str, float] | None = None,
    min_item_count: int = 1,
    min_user_count: int = 1,
    core: bool = False,
    min_length: int = 1,
    max_length: int | None = None,
    drop_longer_than: int | None = None,
    collapse_repeats: bool = False,
    group_by: Grouping | None = None,
    ordered: bool = True,
) -> Sentences:
    """Return one sentence per session of a user: the items of the interactions, oldest first.

    If the interactions have a session column, the column defines the sessions, and ``gap`` is ignored. Equal
    session ids of two users are two sessions. Without a session column, a session ends at a pause longer than
    ``gap``: text such as ``"45s"``, ``"30min"``, ``"2h"`` or ``"1d"``, a ``timedelta``, or a number of
    seconds. Sentences are ordered by user, then by the first interaction. See ``histories`` for the other
    parameters and errors.

    Raises
    ------
    InputError
        If there is no session column, and ``gap`` is ``None`` or the interactions have no timestamps.

    Examples
    --------
    >>> listens = Interactions.of(user=["u"] * 3, item=["a", "b", "c"], timestamp=[0, 10_000_000, 99_000_000])
    >>> list(sessions(listens, gap="1min"))
    [['a', 'b'], ['c']]
    """
    check_shape(min_length, max_length, group_by, drop_longer_than)
    pause = None if gap is None else round(seconds_of(gap, "gap") * SECOND)
    chosen = _filtered(interactions, start, end, events, min_item_count, min_user_count, core)
    rows, offsets = by_session(chosen, pause)
    return shape_training_sentences(
        _sentences(chosen, rows, offsets, ordered),
        drop_longer_than=drop_longer_than,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
    )


def training_sentences(
    interactions: Interactions, adapter: AdapterConfig, items: Items | None = None
) -> Sentences:
    """Return the training sentences that the interactions yield with the settings ``adapter``.

    If ``adapter.group_by`` is not ``None``, ``items`` with an attribute of this name are required. A warning
    is logged for each name in ``adapter.seen_events`` that is not an event of the interactions.
    ``InputError`` is raised if ``adapter.seen_events`` is set and there is no event column.

    >>> visits = Interactions.of(user=["u"] * 3, item=["a", "b", "c"], timestamp=[0, 1, 3_600_000_000])
    >>> list(training_sentences(visits, AdapterConfig(kind="sessions", gap="30min")))
    [['a', 'b'], ['c']]
    """
    adapter = adapter.resolved(interactions.timestamp)
    if adapter.seen_events is not None:
        if interactions.events is None:
            raise InputError(
                f"seen_events is {short_repr(adapter.seen_events)}, and the interactions have no event "
                "column; without event names, Engine would treat no item as seen",
                remedies=[reading_with("event")],
            )
        log_unknown_events(adapter.seen_events, interactions.events.ids, "is in seen_events")
    options: dict[str, Any] = {
        "start": adapter.since,
        "events": adapter.events,
        "group_by": grouping_of(adapter, items),
    }
    options |= {name: getattr(adapter, name) for name in _SAME_NAMES}
    if adapter.kind == "histories":
        return histories(interactions, **options)
    return sessions(interactions, gap=adapter.gap, **options)


def chosen_interactions(interactions: Interactions, adapter: AdapterConfig) -> Interactions:
    """Return the interactions for training, after the filters by time, event and minimum counts."""
    adapter = adapter.resolved(interactions.timestamp)
    return _filtered(
        interactions,
        adapter.since,
        None,
        adapter.events,
        adapter.min_item_count,
        adapter.min_user_count,
        adapter.core,
    )


def user_histories(
    interactions: Interactions, adapter: AdapterConfig = EVERYTHING, items: Items | None = None
) -> Sentences:
    """Return one history per user, in the order of the user codes, with the settings ``adapter``.

    A history may be empty. ``items`` are required if ``adapter.group_by`` is not ``None``. See
    ``shaping.shape_histories``.

    >>> visits = Interactions.of(user=["u", "v", "u"], item=["a", "b", "c"], event=["view", "view", "buy"])
    >>> list(user_histories(visits, AdapterConfig(events=["buy"])))
    [['c'], []]
    """
    rows, offsets = oldest_first(interactions)
    event = None if interactions.event is None else interactions.event[rows]
    all_events = _sentences(interactions, rows, offsets, ordered=True)
    adapter = adapter.resolved(interactions.timestamp)
    return shape_histories(all_events, event, interactions.events, adapter, items)


def _filtered(
    interactions: Interactions,
    start: datetime | None,
    end: datetime | None,
    events: Iterable[str] | Mapping[str, float] | None,
    min_item_count: int,
    min_user_count: int,
    core: bool,
) -> Interactions:
    unchecked: object = interactions
    if not isinstance(unchecked, Interactions):
        found = type(unchecked).__name__
        raise InputTypeError(
            f"interactions is of type {found}; expected Interactions: use readers.read_interactions"
        )
    for name, time in (("start", start), ("end", end)):
        if not isinstance(time, datetime | None):
            raise ConfigError(f"{name} is {time!r}; expected a datetime")
    check_least("min_item_count", min_item_count, 1)
    check_least("min_user_count", min_user_count, 1)
    chosen = interactions
    if start is not None or end is not None:
        chosen = chosen.between(start, end)
    if events is not None:
        chosen = _of_events(chosen, events)
    if core and max(min_item_count, min_user_count) > 1:
        n_users, n_items = len(chosen.users), len(chosen.items)
        return chosen.take(
            core_rows(chosen.user, chosen.item, n_users, n_items, min_user_count, min_item_count)
        )
    for least, column, n in (
        (min_item_count, "item", len(chosen.items)),
        (min_user_count, "user", len(chosen.users)),
    ):
        if least > 1:
            codes = getattr(chosen, column)
            chosen = chosen.take(np.bincount(codes, minlength=n)[codes] >= least)
    return chosen


def _of_events(interactions: Interactions, events: Iterable[str] | Mapping[str, float]) -> Interactions:
    if not isinstance(events, Mapping):
        return interactions.of_events(events)
    disliked = dislikes_of(events)
    if interactions.events is not None:
        log_unknown_events(disliked, interactions.events.ids, DISLIKED)
    return interactions.with_event_weights({n: weight for n, weight in events.items() if n not in disliked})


def by_user(interactions: Interactions) -> tuple[Offsets, Offsets]:
    """Return a pair of arrays: row indices grouped by user, oldest first; and the offsets of these groups.

    Users without interactions have no group.

    >>> by_user(Interactions.of(user=["u", "v"], item=["a", "b"]).take(np.array([1])))
    (array([0]), array([0, 1]))
    """
    rows, offsets = oldest_first(interactions)
    return rows, offsets[np.diff(offsets, prepend=-1) > 0]  # a user without interactions has no sentence


def by_session(interactions: Interactions, pause: int | None) -> tuple[Offsets, Offsets]:
    """Return a pair of arrays: row indices grouped by session, oldest first; and the offsets of the groups.

    ``pause`` is the longest pause within a session, in microseconds. If there is a session column, ``pause``
    is ignored. Without a session column, raise ``InputError`` if ``pause`` is ``None`` or there are no
    timestamps.
    """
    rows, offsets = oldest_first(interactions)
    if interactions.session is not None and interactions.sessions is not None:
        label = label_pairs(offsets, interactions.session[rows], len(interactions.sessions))
        inner, offsets = group_rows(label, int(label.max(initial=-1)) + 1)
        rows = rows[inner]
    elif interactions.timestamp is None:
        raise InputError(
            "the interactions have neither a session column nor timestamps; expected one of them",
            remedies=[reading_with("session"), reading_with("timestamp")],
        )
    elif pause is None:
        raise InputError(
            "the interactions have no session column, and gap is None; expected a gap",
            remedies=[Remedy("gap", "30min"), reading_with("session")],
        )
    else:
        starts = np.ones(len(rows), dtype=bool)
        # The timestamps of a user are sorted: a difference may exceed the range of int64, but not of uint64.
        starts[1:] = np.diff(interactions.timestamp[rows]).view(np.uint64) > pause
        starts[offsets[:-1][offsets[:-1] < len(starts)]] = True
        offsets = np.append(np.flatnonzero(starts), len(starts))
    return rows, offsets


def oldest_first(interactions: Interactions) -> tuple[Offsets, Offsets]:
    """Return a pair of arrays: row indices grouped by user, oldest first; and the offsets of the groups.

    Each user has a group, which is empty for a user without interactions.

    >>> oldest_first(Interactions.of(user=["u", "v", "u"], item=["a", "b", "c"], timestamp=[2, 1, 1]))
    (array([2, 0, 1]), array([0, 2, 3]))
    """
    rows, offsets = group_rows(interactions.user, len(interactions.users))
    if interactions.timestamp is not None:
        sort_groups(rows, offsets, interactions.timestamp)
    return rows, offsets


def _sentences(interactions: Interactions, rows: Offsets, offsets: Offsets, ordered: bool) -> Sentences:
    weights = None if interactions.weight is None else interactions.weight[rows]
    timestamps = None if interactions.timestamp is None else interactions.timestamp[rows]
    return Sentences(
        interactions.items, interactions.item[rows], offsets, weights, timestamps, ordered=ordered
    )
