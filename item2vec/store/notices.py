"""Log warnings about ingested interactions whose order, timestamps or users are probably wrong."""

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
"""A warning is logged if more than this share of the pairs of consecutive events of a user have equal
timestamps, or if one user has more than this share of all events."""
MANY = 0.1
"""A warning is logged if a user whose id is in ``MISSING`` has more than this share of all events."""
MISSING = {"", "-", "?", "null", "na", "n/a", "nan", "none", "nil", "unknown", "undefined", "anonymous"}


def log_notices(
    interactions: Interactions, moments: Moments, events: Events, *, by_default: bool, now: datetime
) -> None:
    """Log a warning for each implausible property of interactions that are being ingested.

    A warning is logged for each of these properties:

    - Repeats are merged although the caller did not choose to merge them (``by_default``).
    - Timestamps are not before ``latest_plausible(now)``.
    - Most pairs of consecutive events of the same user have equal timestamps.
    - Of at least ``ENOUGH_EVENTS`` rows, most belong to one user, or more than a tenth belong to a user with
      an id such as ``NULL``.
    """
    n_merged = len(interactions) - len(events)
    if n_merged and by_default:
        merged = InputError(
            f"{n_merged:,} of {len(interactions):,} rows repeat the user, item, event name and timestamp of "
            "an earlier row; each was merged into the earlier row, and the weights were added",
            remedies=[Remedy("repeats", "keep", "to store each row as an event, pass {}")],
        )
        log.warning("%s", merged)  # the command line renders the remedy as a flag
    if interactions.timestamp is not None:
        _log_future(interactions, now)
        tied_share = moments.tied_share(events.n_repeats)
        if tied_share > MOST:
            log.warning(
                "%.0f %% of the pairs of consecutive events of the same user have equal timestamps; these "
                "events are stored in the order of their rows: if the source has finer timestamps, use them",
                100 * tied_share,
            )
    if len(interactions) >= ENOUGH_EVENTS:
        _log_busy_users(interactions)


def _log_future(interactions: Interactions, now: datetime) -> None:
    assert interactions.timestamp is not None
    end = latest_plausible(now)
    ahead = np.flatnonzero(interactions.timestamp >= microseconds_of(end))
    if not len(ahead):
        return
    first = int(ahead[0])
    log.warning(
        "%s of %s events are dated in the future, from %s on; these events are stored, but training and "
        "recommendations ignore them; the first of these events: user %r, item %r, %s",
        f"{len(ahead):,}",
        f"{len(interactions):,}",
        end.isoformat(timespec="seconds"),
        interactions.users.ids[interactions.user[first]],
        interactions.items.ids[interactions.item[first]],
        np.datetime64(int(interactions.timestamp[first]), "us").astype("datetime64[s]"),
    )


def _log_busy_users(interactions: Interactions) -> None:
    shares = np.bincount(interactions.user) / len(interactions)
    for code in np.flatnonzero(shares > MANY).tolist():
        user, share = interactions.users.ids[code], float(shares[code])
        is_marker = user.strip().casefold() in MISSING
        if is_marker or share > MOST:
            log.warning(
                "user %r has %s of %s events (%.0f %%); %s: if several people share this id, omit its rows",
                user,
                f"{round(share * len(interactions)):,}",
                f"{len(interactions):,}",
                100 * share,
                "this id often stands for a missing user" if is_marker else "check the column of user ids",
            )
