"""Splits by time: train on the events before a cut-off, and predict the later items of each user."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from item2vec.adapters import histories
from item2vec.adapters.histories import training_sentences, user_histories
from item2vec.arguments import checked_except
from item2vec.arrays import Offsets
from item2vec.config import AdapterConfig
from item2vec.durations import SECOND, seconds_of
from item2vec.errors import InputError, InputTypeError, Remedy
from item2vec.evaluation.split import ColdTargets, Split
from item2vec.evaluation.targets import further_items, new_items
from item2vec.evaluation.temporal_shards import sampled_times, split_shards
from item2vec.evaluation.times import iso, span_of
from item2vec.interactions import Interactions, microseconds, reading_with
from item2vec.items import Items
from item2vec.sentences import Sentences, ShardedSentences

__all__ = ["Adapter", "temporal_folds", "temporal_split"]

Adapter = Callable[[Interactions], Sentences]


@checked_except("interactions", "min_history")
def temporal_split(
    interactions: Interactions | Sentences | ShardedSentences,
    *,
    at: datetime | str | None = None,
    fraction: float | None = None,
    until: datetime | str | None = None,
    repeats: bool = False,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> Split:
    """Train on the events before a cut-off, and predict the new items of each user after the cut-off.

    A history consists of the items that the user interacted with before the cut-off, oldest first, without
    items that an ``AdapterConfig`` drops. The history is empty for users without earlier events. The targets
    are the distinct items that the user interacted with at or after the cut-off, in order of time. Unless
    ``repeats`` is set, items that the user interacted with before the cut-off are not targets; an
    ``AdapterConfig`` can restrict this rule to events of some types. All events of the training part are
    before the cut-off.

    Source: Campos, Díez & Cantador, Time-aware recommender systems: a comprehensive survey and analysis of
    existing evaluation protocols, UMUAI 24, 2014 (community-centred, time-dependent ordering).

    Parameters
    ----------
    interactions
        Events with timestamps, or ``Sentences`` or ``ShardedSentences`` with timestamps, one sentence per
        user. Of sentences, ``fraction`` refers to a sample of one to two million events, or to all events if
        there are fewer, and ``adapter`` and ``items`` are not allowed. Of ``ShardedSentences``, about 100,000
        queries at most are evaluated, evenly spaced in each shard.
    at
        The cut-off: a ``datetime`` or ISO text such as ``"2024-05-01"``. A time without a zone is in UTC.
    fraction
        Share of the events that are in the test part, as an alternative to ``at``. Events from ``until`` on
        are not counted. The default is 0.1. Events with equal timestamps are in the same part, so the actual
        share is the nearest possible share.
    until
        Events at or after this time are ignored.
    repeats
        Whether items of the history can be targets. If so, recommendations do not exclude them.
    adapter
        Conversion of events to sentences; ``adapters.histories`` by default. An ``AdapterConfig`` applies to
        the training sentences, histories and targets, as in a nightly run and in ``Engine``. Targets are then
        the items of events whose type is in ``events``, without dislikes. Unless ``repeats`` is set, items of
        earlier events whose type is in ``seen_events`` are neither targets nor recommended. A function, such
        as ``functools.partial(adapters.sessions, gap="2h")``, applies to the training sentences only;
        histories and targets are then made from all events.
    items
        Items with the attribute that ``adapter.group_by`` specifies. Required if this setting is not
        ``None``.
    cold_targets, min_history
        See ``Split.filtered``.

    Raises
    ------
    InputError
        If ``at``, ``fraction`` or ``until`` is invalid, both ``at`` and ``fraction`` are given, ``adapter``
        or ``items`` is given with sentences, there are no events, there are no timestamps (without
        ``at``: fewer than two distinct timestamps), the training part or the test part is empty, no user has
        a new item, or every query is dropped because of ``cold_targets`` or ``min_history``.
    ConfigError
        If ``cold_targets``, ``min_history`` or a setting of the adapter is invalid.

    Examples
    --------
    >>> listens = Interactions.of(
    ...     user=["ann", "bob", "ann", "ann", "bob"], item=["a", "b", "b", "c", "b"],
    ...     timestamp=[datetime(2024, 1, day) for day in (1, 2, 3, 4, 5)])
    >>> split = temporal_split(listens, at="2024-01-04")
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    >>> split.dropped
    {'users without new items in the test part': 1}
    """
    if at is not None and fraction is not None:
        raise InputError(f"at is {at!r} and fraction is {fraction}; expected at most one of them")
    if isinstance(interactions, Sentences | ShardedSentences):
        timestamps = sampled_times(interactions)
    else:
        timestamps = _timestamps(interactions)
    end = None if until is None else _microseconds("until", until)
    if at is not None:
        cut = _microseconds("at", at)
    else:
        share = 0.1 if fraction is None else fraction
        (cut,) = _cuts(timestamps if end is None else timestamps[timestamps < end], [share])
    if isinstance(interactions, Sentences | ShardedSentences):
        if adapter is not histories or items is not None:
            raise InputError("adapter and items do not apply to sentences; expected neither")
        split = split_shards(interactions, cut, end, repeats)
    else:
        split = _split_at(interactions, cut, end, repeats, _Reader.of(adapter, items))
    return split.filtered(cold_targets=cold_targets, min_history=min_history)


@checked_except("interactions", "min_history")
def temporal_folds(
    interactions: Interactions,
    *,
    folds: int = 3,
    fraction: float | None = None,
    window: str | float | timedelta | None = None,
    repeats: bool = False,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> list[Split]:
    """Split by time into several folds (rolling origin): train on all events before each test window.

    The test windows are consecutive, and the last window ends with the last event. For the parameters that
    are not described here, and for further errors, see ``temporal_split``.

    Source: Tashman, Out-of-sample tests of forecasting accuracy: an analysis and review, International
    Journal of Forecasting 16, 2000.

    Parameters
    ----------
    folds
        Number of test windows.
    fraction
        Share of all events in each window, 0.1 by default. The windows can therefore differ in duration.
    window
        Length of each window, as an alternative to ``fraction``: text such as ``"7d"``, a ``timedelta``, or
        seconds. With ``"7d"``, the last window contains the seven days up to the last event, the second-last
        window the preceding seven days, and so on.

    Raises
    ------
    InputError
        If ``folds`` is below 1 or too large, a window would be empty, or both ``fraction`` and ``window`` are
        given.
    ConfigError
        If ``window`` is not a duration.

    Examples
    --------
    >>> listens = Interactions.of(
    ...     user=["ann"] * 4, item=["a", "b", "c", "d"],
    ...     timestamp=[datetime(2024, 1, day) for day in (1, 2, 3, 4)])
    >>> for fold in temporal_folds(listens, folds=2, fraction=0.25):
    ...     print(list(fold.train), list(fold.targets), fold.protocol)
    [['a', 'b']] [['c']] temporal from 2024-01-03T00:00:00 (fold 1 of 2)
    [['a', 'b', 'c']] [['d']] temporal from 2024-01-04T00:00:00 (fold 2 of 2)
    >>> [list(fold.targets) for fold in temporal_folds(listens, folds=1, window="2d")]
    [[['c', 'd']]]
    """
    if folds < 1:
        raise InputError(f"folds is {folds}; expected at least 1")
    if window is not None and fraction is not None:
        raise InputError(f"window is {window!r} and fraction is {fraction}; expected at most one of them")
    timestamps = _timestamps(interactions)
    if folds > max(len(timestamps), 1000):  # a very long list of cut-offs would not fit into memory
        raise InputError(f"folds is {folds}; expected at most the number of events ({len(timestamps):,})")
    if window is None:
        share = 0.1 if fraction is None else fraction
        cuts = _cuts(timestamps, [share * left for left in range(folds, 0, -1)])
    else:
        cuts = _calendar_cuts(timestamps, round(seconds_of(window, "window") * SECOND), folds)
    reader = _Reader.of(adapter, items)
    splits = [
        _split_at(interactions, cut, end, repeats, reader).filtered(
            cold_targets=cold_targets, min_history=min_history
        )
        for cut, end in zip(cuts, [*cuts[1:], None], strict=True)
    ]
    return [
        dataclasses.replace(split, protocol=f"{split.protocol} (fold {number} of {folds})")
        for number, split in enumerate(splits, start=1)
    ]


@dataclass(frozen=True)
class _Reader:
    """Conversion of events to sentences.

    The function ``train`` makes the training sentences. ``config`` and ``items`` determine the histories,
    targets and seen items.
    """

    config: AdapterConfig
    items: Items | None
    train: Adapter

    @classmethod
    def of(cls, adapter: Adapter | AdapterConfig, items: Items | None) -> _Reader:
        if isinstance(adapter, AdapterConfig):
            return cls(adapter, items, partial(training_sentences, adapter=adapter, items=items))
        return cls(AdapterConfig(), items, adapter)

    def histories(self, interactions: Interactions) -> Sentences:
        """Return the history of each user under the adapter settings."""
        return user_histories(interactions, self.config, self.items)

    def chosen(self, interactions: Interactions) -> Sentences:
        """Return, for each user, the items of events whose type is in ``config.events``, without dislikes."""
        return self._of(interactions, self.config.events).liked

    def seen(self, interactions: Interactions) -> Sentences:
        """Return, for each user, the items of events whose type is in ``config.seen_events``."""
        return self._of(interactions, self.config.seen_events)

    def _of(self, interactions: Interactions, events: Any) -> Sentences:
        config = AdapterConfig(events=events, group_by=self.config.group_by)
        return user_histories(interactions, config, self.items)


def _split_at(interactions: Interactions, cut: int, end: int | None, repeats: bool, reader: _Reader) -> Split:
    timestamps = _timestamps(interactions)
    if not len(timestamps):
        raise InputError("there are no events; expected events before and after the cut-off")
    before = timestamps < cut
    within = ~before if end is None else ~before & (timestamps < end)
    until = "" if end is None else f" until {iso(end)}"
    for name, part in (("training part before", before), ("test part from", within)):
        if not part.any():
            period = f"{iso(cut)}{until if part is within else ''}"
            raise InputError(
                f"the {name} {period} is empty; expected a cut-off within the data: the timestamps are "
                f"{' to '.join(span_of(timestamps))}"
            )
    past, future = interactions.take(before), interactions.take(within)
    train = reader.train(past)
    seen = None if repeats else reader.seen(past)
    targets = new_items(reader.chosen(future), seen)
    has_target = targets.lengths > 0
    if not len(train.tokens):
        raise InputError(
            f"the adapter makes 0 sentences from the {len(past):,} events before {iso(cut)}; expected at "
            "least one: check the settings of the adapter"
        )
    if not has_target.any():
        raise InputError(
            f"no user has a new item from {iso(cut)}{until or ' on'}; expected at least one: choose an "
            "earlier cut-off",
            remedies=[] if repeats else [Remedy("repeats", True, "or set {}")],
        )
    dropped = {
        "users without new items in the test part": len(np.unique(future.user)) - int(has_target.sum()),
        "events after the test part": len(interactions) - len(past) - len(future),
        "events omitted by the adapter": max(len(past) - len(train.tokens), 0),
    }
    history = reader.histories(past).take(has_target)
    filter_seen = not repeats and reader.config.seen_events is None
    return Split(
        train=train,
        histories=history,
        targets=targets.take(has_target),
        protocol=f"temporal from {iso(cut)}",
        users=np.flatnonzero(has_target),
        filter_seen=filter_seen,
        seen=None if seen is None else further_items(seen.take(has_target), history if filter_seen else None),
        spans={"train": span_of(timestamps[before]), "test": span_of(timestamps[within])},
        dropped={what: n for what, n in dropped.items() if n},
        user_ids=interactions.users,
    )


def _cuts(timestamps: Offsets, shares: list[float]) -> list[int]:
    """Return a cut-off for each share: about this share of the events is at or after the cut-off."""
    if any(not 0 < share < 1 for share in shares):
        raise InputError(
            f"the test part has a share of {max(shares):g} of the events; expected a share above 0 and below "
            "1, so that events remain for training: change fraction or folds"
        )
    distinct, first = np.unique(np.sort(timestamps), return_index=True)
    if len(distinct) < 2:
        raise InputError(
            f"the {len(timestamps):,} events have {len(distinct)} distinct timestamps; expected at least 2, "
            "because a split lies between two timestamps"
        )
    share_after = 1 - first[1:] / len(timestamps)
    cuts = [int(np.abs(share_after - share).argmin()) for share in shares]
    if len(set(cuts)) < len(cuts):
        raise InputError(
            f"two of the {len(cuts)} test windows start at the same timestamp (the events have "
            f"{len(distinct):,} distinct timestamps); expected a timestamp in each window: use fewer folds "
            "or a larger fraction"
        )
    return [int(distinct[1:][index]) for index in cuts]


def _calendar_cuts(timestamps: Offsets, window: int, folds: int) -> list[int]:
    """Return the first timestamp in each of ``folds`` consecutive windows up to the last event.

    ``window`` is the length of a window in microseconds. An event exactly at the start of a window belongs to
    the preceding window, so that a window of seven days contains seven dates. An empty window raises
    ``InputError``.
    """
    ordered = np.sort(timestamps)
    newest = int(ordered[-1]) if len(ordered) else 0
    bounds = [max(newest - left * window, np.iinfo(np.int64).min) for left in range(folds, -1, -1)]
    first = np.searchsorted(ordered, bounds, side="right")
    empty = np.flatnonzero(np.diff(first) == 0)
    if len(empty):
        fold = int(empty[0]) + 1
        raise InputError(
            f"the window of fold {fold} of {folds}, which ends at {iso(bounds[fold])}, contains no events; "
            "expected events in each window: use fewer folds or a longer window"
        )
    return [int(time) for time in ordered[first[:-1]]]


def _timestamps(interactions: Interactions) -> Offsets:
    value: object = interactions
    if not isinstance(value, Interactions):
        raise InputTypeError(
            f"found {type(value).__name__}; expected Interactions, such as the result of "
            "readers.read_interactions"
        )
    if interactions.timestamp is None:
        raise InputError(
            "the interactions have no timestamps; a split by time requires them",
            remedies=[reading_with("timestamp")],
        )
    return interactions.timestamp


def _microseconds(name: str, time: datetime | str) -> int:
    value: object = time
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise InputError(f"{name} is {time!r}; expected a datetime, or ISO text such as '2024-05-01 12:00'")
    return int(microseconds([value])[0])
