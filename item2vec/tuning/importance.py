"""Importance of settings: the share of the variance of scores that a setting explains by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Doubles
from item2vec.tuning.sampler import searched
from item2vec.tuning.trial import Trial

__all__ = ["importances_of"]

FEWEST = 10
"""Smallest number of complete trials from which the importance of a setting is estimated."""
GROUPS = 4
"""Maximum number of groups into which more than four distinct values of a numeric setting are split."""


def importances_of(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the importance of each ``searched`` setting that differs between complete trials, largest first.

    The trials that have a setting are grouped by the value of the setting. Numeric values are grouped by
    quartiles if there are more than four distinct values. The importance is the share of the variance of the
    scores that lies between the groups, corrected for the number of groups (ε²; Kelley, An unbiased
    correlation ratio measure, PNAS 21, 1935). The importance is 0 if the share is not larger than the
    expected share of random groups. A setting is left out if it occurs in fewer than ten complete trials, or
    if all its values are equal. Settings of tastes are left out too, because each trial has the best taste
    for its vectors.

    Trials are not drawn at random: good values are tried more often. An importance is therefore a hint, not a
    test.

    >>> from item2vec.config import Config
    >>> config = Config().with_settings(objective="skipgram")
    >>> found = [
    ...     Trial(n, config.with_settings(window=2 + n % 2, negative=5 + n % 3), "complete", float(n % 2))
    ...     for n in range(12)
    ... ]
    >>> importances_of(found)
    {'window': 1.0, 'negative': 0.0}
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    rows = [(searched(trial.config), max(one.score for one in (trial, *trial.others))) for trial in complete]
    importances = {}
    for name in dict.fromkeys(name for settings, _ in rows for name in settings):
        own = [(settings[name], score) for settings, score in rows if name in settings]
        groups = _groups([value for value, _ in own])
        if len(own) >= FEWEST and groups.any():
            importances[name] = _explained(np.array([score for _, score in own]), groups)
    return dict(sorted(importances.items(), key=lambda pair: -pair[1]))


def _groups(values: Sequence[Any]) -> Codes:
    """Return the group of each value, numbered from 0."""
    distinct = list(dict.fromkeys(map(str, values)))
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not is_number or len(distinct) <= GROUPS:
        return np.array([distinct.index(str(value)) for value in values], np.int32)
    numbers = np.array(values, np.float64)
    quartiles = np.quantile(numbers, np.arange(1, GROUPS) / GROUPS)
    # A group ends at its limit, so that quartiles equal to the largest value would limit no group.
    limits = np.unique(np.minimum(quartiles, np.unique(numbers)[-2]))
    return np.unique(np.searchsorted(limits, numbers), return_inverse=True)[1].astype(np.int32)


def _explained(scores: Doubles, groups: Codes) -> float:
    """Return ε² of scores in groups, at least 0."""
    sizes = np.bincount(groups)
    centred = scores - scores.mean()
    total = float(centred @ centred)
    n_free = len(scores) - len(sizes)
    if total <= 0 or n_free <= 0:
        return 0.0
    between = float((np.bincount(groups, centred) ** 2 / sizes).sum())
    noise = (len(sizes) - 1) * (total - between) / n_free
    return max(0.0, (between - noise) / total)
