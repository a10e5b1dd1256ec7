"""Finalists against the default: trained anew, asked the same questions, compared user by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Doubles, Offsets
from item2vec.config import Config
from item2vec.evaluation.bootstrap import intervals
from item2vec.progress import progress_bar
from item2vec.tuning.problem import Problem
from item2vec.tuning.trial import Trial
from item2vec.tuning.workers import Workers

__all__ = ["Decision", "Estimate", "decide", "lower_bounds", "n_rounds", "play"]

LEVEL = 0.95
N_DRAWS = 2000
SEEDS = 2


@dataclass(frozen=True)
class Estimate:
    """A mean over validation questions, and its 95 % interval, by the bootstrap over users.

    >>> Estimate(0.25, 0.2, 0.3)
    0.2500 (0.2000 to 0.3000)
    """

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"

    @classmethod
    def of(cls, values: Doubles, clusters: Offsets, *, least: float = 0.0) -> Estimate:
        """Estimate the mean of values (one a question) that are at least ``least`` and at most 1.

        >>> Estimate.of(np.zeros(100), np.arange(100))
        0.0000 (0.0000 to 0.0362)
        """
        low, high = intervals({"": values}, clusters, least=least)[""]
        return cls(float(values.mean()), low, high)


@dataclass(frozen=True)
class Decision:
    """Which configuration is chosen, and by how much the best finalist differs from the default.

    ``gain`` is that of the chosen configuration, or, where the default is kept, of the finalist with the
    highest mean; ``None`` if no finalist was compared.
    """

    config: Config
    default: Estimate
    chosen: Estimate
    gain: Estimate | None


def n_rounds(problem: Problem) -> int:
    """Return how often finalists are trained: on each fold once, and with two seeds at least."""
    return max(SEEDS, len(problem.folds))


def play(workers: Workers, problem: Problem, players: Mapping[int, Config]) -> list[list[Trial]]:
    """Train the default (player 0) and the finalists anew; each round has a seed and a fold of its own.

    A finalist that is not above the default after a round drops out, and so does one that could not be
    finished. Rounds that the default or all finalists did not finish are left out.
    """
    rounds: list[list[Trial]] = []
    playing = dict(players)
    with progress_bar("finals", n_rounds(problem)) as advance:
        for step in range(n_rounds(problem)):
            anew = {number: _reseeded(config, step + 1) for number, config in playing.items()}
            trained = workers.train_again(problem, anew, step % len(problem.folds))
            ended = [trial for trial in trained if trial.values is not None]
            if len(ended) < 2 or ended[0].number or (rounds and len(ended) < len(playing)):
                break
            rounds.append(ended)
            means = {trial.number: np.mean(_values(rounds, trial.number)) for trial in ended}
            playing = {n: players[n] for n, mean in means.items() if n == 0 or mean > means[0]}
            advance(f"{problem.metric}@{problem.k} {max(means.values()):.4f}")
            if len(playing) == 1:
                break
    return rounds


def decide(
    problem: Problem, players: Mapping[int, Config], rounds: Sequence[Sequence[Trial]], seed: int
) -> Decision:
    """Choose the best finalist whose gain over the default exceeds the noise; else the default.

    The finalists compared are those of the last round, on the questions of all rounds; the error allowed is
    their share of what all finalists are allowed together, since the same questions decided who is left.
    """
    clusters = np.concatenate([problem.users(step % len(problem.folds)) for step in range(len(rounds))])
    of_default = _values(rounds, 0)
    numbers = [trial.number for trial in rounds[-1] if trial.number]
    gains = np.column_stack([_values(rounds, number) - of_default for number in numbers])
    means = gains.mean(axis=0)
    allowed = (1 - LEVEL) * len(numbers) / (len(players) - 1)
    sure = lower_bounds(gains, clusters, seed=seed, level=1 - allowed) > 0
    best = int(np.argmax(np.where(sure, means, -np.inf) if sure.any() else means))
    chosen = numbers[best] if sure.any() else 0
    return Decision(
        players[chosen],
        Estimate.of(of_default, clusters),
        Estimate.of(_values(rounds, chosen), clusters),
        Estimate.of(gains[:, best], clusters, least=-1.0),
    )


def lower_bounds(gains: Doubles, clusters: Offsets, *, seed: int, level: float = LEVEL) -> Doubles:
    """Return a bound for the mean of each column (questions × finalists), with confidence in all at once.

    Questions of one user are not independent, so users' sums are the units. The bound is the mean minus so
    many standard errors as the largest of all columns' standardised errors exceeds with the rest of the
    confidence, by the multiplier bootstrap. Sources: White, A reality check for data snooping, Econometrica
    68, 2000; Chernozhukov, Chetverikov & Kato, Annals of Statistics 41, 2013.

    >>> gains = np.array([[0.0, 1.0], [0.0, 0.5], [0.0, 1.0], [0.0, 0.5]])
    >>> lower_bounds(gains, np.arange(4), seed=1) > 0
    array([False,  True])
    """
    users = np.unique(clusters, return_inverse=True)[1]
    n_users = int(users.max()) + 1
    centred = gains - gains.mean(axis=0)
    sums = np.column_stack([np.bincount(users, column, minlength=n_users) for column in centred.T])
    errors = np.sqrt((sums**2).sum(axis=0))
    draws = np.random.default_rng(seed).standard_normal((N_DRAWS, n_users)) @ sums
    largest = np.divide(draws, errors, out=np.zeros_like(draws), where=errors > 0).max(axis=1)
    bounds: Doubles = gains.mean(axis=0) - np.quantile(largest, level) * errors / len(gains)
    return bounds


def _reseeded(config: Config, step: int) -> Config:
    return config.replace(train=config.train.replace(seed=(config.train.seed + step) % 2**32))


def _values(rounds: Sequence[Sequence[Trial]], number: int) -> Doubles:
    """Return the metric of each question of all rounds."""
    return np.concatenate(
        [t.values for one in rounds for t in one if t.number == number and t.values is not None]
    )
