"""Messages of the warnings of a tuning study: too small a budget, or too few users."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from item2vec.arrays import Offsets
from item2vec.tuning.trial import Trial

__all__ = ["best_unconfirmed", "budget_warnings", "user_warnings"]

ENOUGH_USERS = 10


def user_warnings(clusters: Offsets) -> tuple[str, ...]:
    """Return the message of the warning that the data have few users; an empty tuple if there are enough.

    ``clusters`` contains the user of each query of the search.

    >>> len(user_warnings(np.array([0, 1, 1]))), user_warnings(np.arange(10))
    (1, ())
    """
    n = len(np.unique(clusters))
    if n >= ENOUGH_USERS:
        return ()
    return (
        f"the number of users (or sentences) with validation queries is {n}; expected at least "
        f"{ENOUGH_USERS}, because with fewer, only large gains are significant (with one, no gain is): use "
        "data of more users",
    )


def best_unconfirmed(finalists: Sequence[Trial], default: Trial) -> str:
    """Return the part of a warning that names the best finalist, if its score is above that of the default.

    The finalists were not trained again.
    """
    best = max(finalists, key=lambda trial: trial.score, default=default)
    if best.score <= default.score:
        return ""
    name = "another taste of trial 0" if best.number < 0 else f"trial {best.number}"
    return (
        f": the score of {name} on validation, {best.score:.4f} (default {default.score:.4f}), was not "
        "confirmed by a second training"
    )


def budget_warnings(
    unfinished: Sequence[str], unconfirmed: str | None, *, sufficient: float
) -> tuple[str, ...]:
    """Return the messages of the warnings that the budget was too small; an empty tuple if it was not.

    ``unfinished`` holds the searched objectives without a finished trial. ``unconfirmed`` is the result of
    ``best_unconfirmed``; ``None`` if another configuration was compared with the default. ``sufficient`` is
    the estimate of a sufficient budget in seconds.
    """
    texts = []
    if unfinished:
        texts.append(f"the budget was too small to finish any trial of {', '.join(unfinished)}")
    if unconfirmed is not None:
        about = f"the budget was too small to compare any other configuration with the default{unconfirmed}"
        texts.append(about)
    minutes = math.ceil(sufficient / 60)
    return tuple(f"{text}; about {minutes} min would suffice at the current load" for text in texts)
