"""The events that clients report: conversion to interactions, and storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from item2vec.durations import microseconds_of
from item2vec.interactions import Interactions
from item2vec.service.schemas import Event
from item2vec.store import Store
from item2vec.store.ingest import NO_EVENT

__all__ = ["stored"]

SOURCE = "http"


def stored(store: Store, events: Sequence[Event], *, now: datetime | None = None) -> tuple[int, int]:
    """Store events with the source ``"http"``. Return a pair: the numbers of new events and of repeats.

    An event with a key is a repeat if an event with this source and key is already stored. An event without a
    key is a repeat if an event with this source and the same user, item, event name and timestamp is already
    stored. A later event of the call is compared with the earlier ones, too. A repeat is not stored. If an
    event without a key is new, the weights of its repeats in the call are added to its weight, separately for
    events with and without a session.

    An event without a timestamp gets the timestamp ``now``, by default the current time.
    """
    now = now or datetime.now(UTC)
    groups: dict[tuple[bool, bool], list[Event]] = {}
    for event in events:
        groups.setdefault((event.key is not None, event.session is not None), []).append(event)
    n_new = 0
    for (has_keys, has_sessions), group in groups.items():
        keys = [str(event.key) for event in group] if has_keys else None
        rows = _interactions(group, has_sessions=has_sessions, now=now)
        n_new += store.ingest(rows, source=SOURCE, keys=keys, now=now).n_new
    return n_new, len(events) - n_new


def _interactions(events: Sequence[Event], *, has_sessions: bool, now: datetime) -> Interactions:
    weighted = any(event.weight is not None for event in events)
    return Interactions.of(
        user=[event.user for event in events],
        item=[event.item for event in events],
        timestamp=[microseconds_of(now) if event.timestamp is None else event.timestamp for event in events],
        weight=[1.0 if event.weight is None else event.weight for event in events] if weighted else None,
        event=[event.event or NO_EVENT for event in events],
        session=[str(event.session) for event in events] if has_sessions else None,
    )
