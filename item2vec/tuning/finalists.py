"""Comparison of the finalists with the default: train all of them again, and test the gains for significance.

A finalist is one of the best configurations of the search. The gain of a finalist is its metric minus the
metric of the default, on the same validation queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, stdtrit

from item2vec.arrays import Doubles, Offsets
from item2vec.config import Config
from item2vec.evaluation.bootstrap import intervals, sums_by_cluster
from item2vec.progress import progress_bar
from item2vec.tuning.problem import Problem, users_of
from item2vec.tuning.trial import Trial
from item2vec.tuning.workers import Workers

__all__ = [
    "Decision",
    "Estimate",
    "decide",
    "lower_bounds",
    "n_rounds",
    "train_rounds",
    "unused_queries",
    "users_of_rounds",
]

LEVEL = 0.95
N_DRAWS = 2000
SEEDS = 2


@dataclass(frozen=True)
class Estimate:
    """Mean over validation queries, with a 95 % confidence interval by the bootstrap over users.

    If the interval is unknown, ``low`` and ``high`` are NaN.

    >>> Estimate(0.25, 0.2, 0.3)
    0.2500 (0.2000 to 0.3000)
    """

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        bounds = "" if self.interval is None else f" ({self.low:.4f} to {self.high:.4f})"
        return f"{self.value:.4f}{bounds}"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the interval; ``None`` if they are unknown."""
        return None if np.isnan(self.low) else (self.low, self.high)

    @classmethod
    def of(cls, values: Doubles, clusters: Offsets, *, least: float = 0.0, bounded: bool = True) -> Estimate:
        """Estimate the mean of ``values``, one value per query. ``clusters`` contains the user of each query.

        If ``bounded``, the values lie between ``least`` and 1. Otherwise, they can be any numbers.

        >>> Estimate.of(np.zeros(100), np.arange(100))
        0.0000 (0.0000 to 0.0362)
        """
        bounds = intervals({"metric": values}, clusters, least=least, bounded=["metric"] if bounded else [])
        low, high = bounds["metric"]
        return cls(float(values.mean()), low, high)


@dataclass(frozen=True)
class Decision:
    """The chosen configuration, and its comparison with the default.

    ``gain`` is the gain of the chosen configuration. If the default is kept, ``gain`` is the gain of the best
    configuration that was compared with the default, or ``None`` if there was no comparison.
    """

    config: Config
    default: Estimate
    chosen: Estimate
    gain: Estimate | None


def n_rounds(problem: Problem) -> int:
    """Return the number of rounds: one per fold, but at least two, so that at least two seeds are used."""
    return max(SEEDS, len(problem.folds))


def train_rounds(workers: Workers, problem: Problem, candidates: Mapping[int, Config]) -> list[list[Trial]]:
    """Train the default (candidate 0) and the finalists again, and return the finished trials of each round.

    Each round has a different seed and, if there are several folds, a different fold. After each round,
    finalists whose mean over the rounds so far is not above the mean of the default are removed. A finalist
    that does not finish the first round is removed, too. The first round is discarded if the default or all
    finalists do not finish it. A later round is discarded if any remaining candidate does not finish it. No
    round follows a discarded round, or the removal of the last finalist.
    """
    rounds: list[list[Trial]] = []
    remaining = dict(candidates)
    with progress_bar("finals", n_rounds(problem)) as advance:
        for step in range(n_rounds(problem)):
            configs = {number: _reseeded(config, step + 1) for number, config in remaining.items()}
            trials = workers.train_again(problem, configs, step % len(problem.folds))
            finished = [trial for trial in trials if trial.values is not None]
            if len(finished) < 2 or finished[0].number or (rounds and len(finished) < len(remaining)):
                break
            rounds.append(finished)
            means = {trial.number: np.mean(_values(rounds, trial.number)) for trial in finished}
            remaining = {n: candidates[n] for n, mean in means.items() if n == 0 or mean > means[0]}
            advance(f"{problem.metric}@{problem.k} {max(means.values()):.4f}")
            if len(remaining) == 1:
                break
    return rounds


def users_of_rounds(problem: Problem, rounds: Sequence[Sequence[Trial]]) -> Offsets:
    """Return the user of each query of all rounds."""
    folds = [problem.folds[step % len(problem.folds)] for step in range(len(rounds))]
    return np.concatenate([np.empty(0, np.int64), *map(users_of, folds)])


def unused_queries(problem: Problem, default: Trial) -> tuple[list[list[Trial]], Offsets]:
    """Return a pair: a list of one round, which compares two tastes; and the user of each query of the round.

    The round compares the default taste with the best taste of trial 0. It contains the queries of the search
    whose users have no query in ``few``, because the queries in ``few`` were used to choose the taste.
    The list is empty if there are no such queries, the default taste is the best taste, or this process did
    not run trial 0.
    """
    rows = problem.unused_rows()
    trials = [
        replace(trial, values=trial.values[rows])
        for trial in (default, *default.others)
        if trial.values is not None
    ]
    return [trials] if len(trials) > 1 and len(rows) else [], users_of(problem.searched)[rows]


def decide(
    candidates: Mapping[int, Config],
    rounds: Sequence[Sequence[Trial]],
    clusters: Offsets,
    seed: int,
    *,
    bounded: bool = True,
) -> Decision:
    """Choose the finalist with the highest significant mean gain; if no gain is significant, the default.

    The finalists of the last round are compared on the queries of all rounds. ``clusters`` contains the user
    of each query. The error level is multiplied by the share of the finalists that reached the last round,
    because these finalists were selected on the same queries. ``bounded`` states whether the metric lies
    between 0 and 1.
    """
    default_values = _values(rounds, 0)
    numbers = [trial.number for trial in rounds[-1] if trial.number]
    gains = np.column_stack([_values(rounds, number) - default_values for number in numbers])
    means = gains.mean(axis=0)
    error_level = (1 - LEVEL) * len(numbers) / (len(candidates) - 1)
    significant = lower_bounds(gains, clusters, seed=seed, level=1 - error_level) > 0
    best = int(np.argmax(np.where(significant, means, -np.inf) if significant.any() else means))
    chosen = numbers[best] if significant.any() else 0
    return Decision(
        candidates[chosen],
        Estimate.of(default_values, clusters, bounded=bounded),
        Estimate.of(_values(rounds, chosen), clusters, bounded=bounded),
        Estimate.of(gains[:, best], clusters, least=-1.0, bounded=bounded),
    )


def lower_bounds(gains: Doubles, clusters: Offsets, *, seed: int, level: float = LEVEL) -> Doubles:
    """Return simultaneous lower confidence bounds of the mean gains of all finalists.

    ``gains`` has the shape queries × finalists. ``clusters`` contains the user of each query. ``level`` is
    the confidence level.

    A bound is the mean minus a multiple of its standard error. Standard errors are computed from sums per
    user, because the queries of one user are not independent. The multiple is the ``level`` quantile of the
    maximum of the standardised errors over all finalists, by the multiplier bootstrap with normal
    multipliers. This quantile is replaced by the equally probable quantile of the t distribution with n - 1
    degrees of freedom, where n is the number of users, because the errors themselves are estimated. With
    one user, they cannot be estimated, and the bounds are -inf.

    Sources: White, A reality check for data snooping, Econometrica 68, 2000; Chernozhukov, Chetverikov &
    Kato, Annals of Statistics 41, 2013; on few clusters: Cameron, Gelbach & Miller, Review of Economics and
    Statistics 90, 2008.

    >>> gains = np.array([[0.0, 1.0], [0.0, 0.5], [0.0, 1.0], [0.0, 0.5]])
    >>> lower_bounds(gains, np.arange(4), seed=1) > 0
    array([False,  True])
    """
    means: Doubles = gains.mean(axis=0)
    sums, _ = sums_by_cluster(gains - means, clusters)
    n = len(sums)
    if n == 1:
        return np.full_like(means, -np.inf)
    errors = np.sqrt((sums**2).sum(axis=0))
    draws = np.random.default_rng(seed).standard_normal((N_DRAWS, n)) @ sums
    largest = np.divide(draws, errors, out=np.zeros_like(draws), where=errors > 0).max(axis=1)
    multiple = stdtrit(n - 1, ndtr(np.quantile(largest, level))) * np.sqrt(n / (n - 1))
    bounds: Doubles = means - multiple * errors / len(gains)
    return bounds


def _reseeded(config: Config, step: int) -> Config:
    return config.replace(train=config.train.replace(seed=(config.train.seed + step) % 2**32))


def _values(rounds: Sequence[Sequence[Trial]], number: int) -> Doubles:
    """Return the metric of a candidate for each query of all rounds."""
    trials = [trial for trials in rounds for trial in trials if trial.number == number]
    return np.concatenate([trial.values for trial in trials if trial.values is not None])
