"""Warnings about interactions whose order, dates or users are probably wrong."""

from __future__ import annotations

import logging
from datetime import datetime

import numpy as np

from item2vec.durations import microseconds_of
from item2vec.errors import InputError, Remedy
from item2vec.interactions import Interactions
from item2vec.store.ingest import Events
from item2vec.store.moments import Moments
from item2vec.store.queries import latest_plausible

__all__ = ["log_notices"]

log = logging.getLogger("item2vec.store")

ENOUGH_EVENTS = 100
MOST = 0.5
"""Largest share of neighbouring events with equal timestamps, or of events of one user, without a warning."""
MANY = 0.1
"""Largest share of events, without a warning, of a user whose id is in ``MISSING``."""
MISSING = {"", "-", "?", "null", "na", "n/a", "nan", "none", "nil", "unknown", "undefined", "anonymous"}


def log_notices(
    interactions: Interactions, moments: Moments, events: Events, *, by_default: bool, now: datetime
) -> None:
    """Log a warning for each implausible property of interactions that are being ingested.

    The properties are: repeats that are merged because the caller did not choose a policy (``by_default``);
    timestamps from ``latest_plausible(now)`` on; equal timestamps of most neighbouring events of a user; and,
    among at least ``ENOUGH_EVENTS`` events, one user with most of the events, or with more than a tenth of
    the events and an id such as ``NULL``.
    """
    n_merged = len(interactions) - len(events)
    if n_merged and by_default:
        merged = InputError(
            f"{n_merged:,} of {len(interactions):,} rows repeat the user, item, event and timestamp of an "
            "earlier row, and were merged into it with the sum of the weights",
            remedies=[Remedy("repeats", "keep", "to store each as an event, pass {}")],
        )
        log.warning("%s", merged)  # the command line renders the remedy as a flag
    if interactions.timestamp is not None:
        _log_future(interactions, now)
        tied_share = moments.tied_share(events.n_repeats)
        if tied_share > MOST:
            log.warning(
                "%.0f %% of neighbouring events of a user have equal timestamps; such events are in the "
                "order of their rows: use finer timestamps if the source has finer timestamps",
                100 * tied_share,
            )
    if len(interactions) >= ENOUGH_EVENTS:
        _log_busiest_user(interactions)


def _log_future(interactions: Interactions, now: datetime) -> None:
    assert interactions.timestamp is not None
    end = latest_plausible(now)
    ahead = np.flatnonzero(interactions.timestamp >= microseconds_of(end))
    if not len(ahead):
        return
    first = int(ahead[0])
    log.warning(
        "%s of %s events are dated in the future, from %s on; they are stored, but training and "
        "recommendations ignore them; the first: user %r, item %r, %s",
        f"{len(ahead):,}",
        f"{len(interactions):,}",
        end.isoformat(timespec="seconds"),
        interactions.users.ids[interactions.user[first]],
        interactions.items.ids[interactions.item[first]],
        np.datetime64(int(interactions.timestamp[first]), "us").astype("datetime64[s]"),
    )


def _log_busiest_user(interactions: Interactions) -> None:
    counts = np.bincount(interactions.user)
    busiest, n = int(counts.argmax()), int(counts.max())
    user, share = interactions.users.ids[busiest], n / len(interactions)
    is_marker = user.strip().casefold() in MISSING
    if share > (MANY if is_marker else MOST):
        log.warning(
            "user %r has %s of %s events (%.0f %%); %s: omit these rows if they belong to several people",
            user,
            f"{n:,}",
            f"{len(interactions):,}",
            100 * share,
            "this id often stands for a missing user" if is_marker else "check the column of user ids",
        )
