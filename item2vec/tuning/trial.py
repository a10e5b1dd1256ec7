"""Trial of one configuration: train the vectors, choose a taste for the vectors, and evaluate both.

A trial can be ended early, because its score is too low or the budget is used up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import median
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from item2vec.arrays import Doubles
from item2vec.config import Config, TasteConfig
from item2vec.errors import InputError, Item2VecError, NothingToTrainError, TrainingError
from item2vec.neighbours import NeighbourTable, table_for
from item2vec.taste import decays as decays_of
from item2vec.training import train_with_table
from item2vec.tuning.problem import Problem
from item2vec.vectors import ItemVectors

__all__ = [
    "DEFAULT_WITH_BEST_TASTE",
    "ERRORS",
    "NO_TRIALS",
    "Earlier",
    "Limits",
    "Trial",
    "best_taste",
    "run_trial",
]

ERRORS: tuple[type[Item2VecError], ...] = (TrainingError, NothingToTrainError, InputError)
"""Classes of the errors of a failed trial."""
RUNGS = (1 / 4, 1 / 2, 3 / 4)
MIN_TRIALS_TO_COMPARE = 4
COARSE = (1.0, 0.8, 0.5)
FINER = {1.0: (0.95, 0.9), 0.8: (0.9, 0.65), 0.5: (0.65, 0.35, 0.2)}
HISTORY_LENGTHS = (3, 10, 30)
HALF_LIVES = (1.0, 7.0, 30.0, 120.0)
REPEAT_BONUSES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
MIXTURES = (0.25, 0.5, 1.0, 2.0, 4.0)
PRIORS = (0.25, 1.0, 4.0, 16.0)
FINER_PRIORS = (0.5, 2.0)
PASSES = 2
PRIOR_HALF_LIVES = (1.0, 3.0, 7.0, 30.0)

DEFAULT_WITH_BEST_TASTE = -1
"""Number of the trial of the default training settings with their best taste."""

State = Literal["complete", "stopped", "unfinished", "failed"]


@dataclass(frozen=True)
class Trial:
    """One configuration and its result.

    ``state`` is ``"complete"``, ``"stopped"`` if the trial was worse than the median of earlier trials,
    ``"unfinished"`` if the budget did not suffice, or ``"failed"`` if the training raised an error.
    ``reason`` is the reason of a state other than ``"complete"``. ``score`` is the mean of the metric over
    the validation queries. For a trial that was ended early, ``score`` is the last intermediate score, or 0
    if there is none; for a failed trial, 0. ``rungs`` contains the intermediate scores after the first epoch
    that reaches a quarter, a half and three quarters of the epochs, as far as the trial was trained. If an
    epoch reaches several of these shares, its score is that of the largest share, and ``None`` stands for the
    others. ``seconds`` is the duration.

    >>> Trial(0, Config(), "complete", 0.25).score
    0.25
    """

    number: int
    config: Config
    state: State
    score: float
    rungs: tuple[float | None, ...] = ()
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
    values: Doubles | None = field(default=None, compare=False, repr=False)
    """Metric of each query (float64). ``None`` unless this process completed the trial."""
    others: tuple[Trial, ...] = ()
    """Trials of the same vectors with other tastes.

    If the best taste of trial 0 differs from the default taste, ``others`` of trial 0 contains a trial of the
    best taste, with the number -1.
    """
    error: type[Item2VecError] = field(default=TrainingError, compare=False, repr=False)
    """Class of the error of a failed trial."""


@dataclass(frozen=True)
class Earlier:
    """Results of earlier trials.

    ``tastes`` contains the best taste for each value of ``TasteConfig.score``. ``rungs`` contains, for each
    share of the epochs in ``RUNGS``, the intermediate scores of all trials that were evaluated at this
    share.
    """

    tastes: tuple[TasteConfig, ...]
    rungs: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, trials: Sequence[Trial], fixed: TasteConfig, free: Sequence[str]) -> Earlier:
        """Collect the best taste for each value of ``TasteConfig.score``, and the scores at each rung.

        ``free`` lists the taste settings that are tuned. If it does not contain ``"score"``, only the value
        of ``fixed`` is used. For a value without a complete trial, the taste is ``fixed`` with this value.
        """
        best: dict[str | None, Trial] = {}
        for trial in trials:
            score = trial.config.taste.score or "output"
            if trial.state == "complete" and (score not in best or trial.score > best[score].score):
                best[score] = trial
        scores = ("output", "cosine") if "score" in free else (fixed.score,)
        tastes = [best[s].config.taste if s in best else fixed.replace(score=s) for s in scores]
        rungs = tuple(
            tuple(score for trial in trials for score in trial.rungs[i : i + 1] if score is not None)
            for i in range(len(RUNGS))
        )
        return cls(tuple(tastes), rungs)


NO_TRIALS = Earlier((), ((),) * len(RUNGS))


@dataclass(frozen=True)
class Limits:
    """The condition that ends a training run early, and the clock.

    ``reason_to_stop`` is called with the estimated remaining time of a training run in seconds. It returns
    the reason to end the run, or ``None`` to continue the run. ``now`` returns the time of a monotonic clock
    in seconds.
    """

    reason_to_stop: Callable[[float], str | None] = lambda _: None
    now: Callable[[], float] = time.monotonic


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """Raised after an epoch to end the training of a trial early."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


@dataclass
class _Watch:
    """Callback after each epoch, to end a training run that is worse than others or takes too long."""

    problem: Problem
    earlier: Earlier
    epochs: int
    taste: TasteConfig | None
    limits: Limits
    started: float
    rungs: list[float | None] = field(default_factory=list)
    score: float = 0.0

    def __call__(self, epoch: int, vectors: ItemVectors) -> None:
        remaining = (self.limits.now() - self.started) / epoch * (self.epochs - epoch)
        reason = self.limits.reason_to_stop(remaining) if epoch < self.epochs else None
        if reason:
            raise _Stopped("unfinished", reason)
        n_passed = sum(epoch >= rung * self.epochs for rung in RUNGS)
        n_new = n_passed - len(self.rungs)
        if n_new == 0 or epoch == self.epochs:
            return
        candidates = self.earlier.tastes if self.taste is None else (self.taste,)
        tastes = [t for t in candidates if t.score == "cosine" or vectors.output is not None]
        if not tastes:
            return
        self.score = max(self.problem.score(vectors, taste, few=True) for taste in tastes)
        self.rungs += [None] * (n_new - 1) + [self.score]
        scores = self.earlier.rungs[n_passed - 1]
        if len(scores) >= MIN_TRIALS_TO_COMPARE and self.score < median(scores):
            raise _Stopped(
                "stopped",
                f"score below the median of {len(scores)} trials after {epoch} of {self.epochs} epochs",
            )


def run_trial(
    problem: Problem,
    number: int,
    config: Config,
    free: Sequence[str],
    earlier: Earlier = NO_TRIALS,
    limits: Limits = Limits(),
    fold: int | None = None,
    tastes: Mapping[int, TasteConfig] = MappingProxyType({}),
) -> Trial:
    """Train a configuration on a training part with one worker thread, and return the trial.

    The training part is that of a ``fold`` of the finals or, if ``fold`` is ``None``, that of the search.
    ``free`` lists the taste settings to tune (see ``best_taste``). The trial has the best taste found. Trial
    0 keeps its own taste; a different best taste is added to ``others`` of the trial. The numbered ``tastes``
    are evaluated with the same vectors and added to ``others``. Training is ended early if an intermediate
    score is below the median of at least four scores in ``earlier`` for the same share of the epochs, or if
    ``limits`` gives a reason. If ``TrainingError``, ``NothingToTrainError`` or ``InputError`` is raised, the
    returned trial is ``"failed"``. Equal arguments give equal trials, unless ``limits`` ends the training.
    """
    as_trained = config.train.objective == "next_item"
    fixed_taste = config.taste if as_trained or not free else None
    watch = _Watch(problem, earlier, config.train.epochs, fixed_taste, limits, limits.now())

    def ended(state: State, score: float, reason: str = "") -> Trial:
        seconds = limits.now() - watch.started
        return Trial(number, config, state, score, tuple(watch.rungs), reason, seconds)

    if reason := limits.reason_to_stop(0.0):
        return ended("unfinished", 0.0, reason)
    try:
        split = problem.searched if fold is None else problem.folds[fold]
        alone = config.replace(train=config.train.replace(workers=1))
        vectors, table = train_with_table(split.train, alone, items=problem.items, after_epoch=watch)
        if table is None and "mixture" in free:
            table = table_for(split.train, vectors.vocabulary)
        best = best_taste(problem, vectors, config, free, table)
        if number:
            config = config.replace(taste=best)
        elif best != config.taste:
            tastes = {**tastes, DEFAULT_WITH_BEST_TASTE: best}

        def complete(number: int, taste: TasteConfig) -> Trial:
            values = problem.values(vectors, taste, split, table)
            return Trial(number, config.replace(taste=taste), "complete", float(values.mean()), values=values)

        others = tuple(complete(other, taste) for other, taste in tastes.items())
        trial = complete(number, config.taste)
        seconds = limits.now() - watch.started
        return replace(trial, rungs=tuple(watch.rungs), seconds=seconds, others=others)
    except _Stopped as stopped:
        return ended(stopped.state, watch.score, str(stopped))
    except ERRORS as error:
        kind = next(kind for kind in ERRORS if isinstance(error, kind))
        return replace(ended("failed", 0.0, str(error)), error=kind)


def _part_weights(n_parts: int) -> list[tuple[float, ...]]:
    """Return part weights to try: weight 1 or 2 for each part, or weight 1 for one part and 0 for the others.

    Weight 2 for all parts is left out. For a single part, the list is empty.

    >>> _part_weights(2)
    [(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (1.0, 0.0), (0.0, 1.0)]
    """
    if n_parts == 1:
        return []
    twice = list(product((1.0, 2.0), repeat=n_parts))[:-1]
    return twice + [tuple(map(float, row)) for row in np.eye(n_parts)]


def best_taste(
    problem: Problem,
    vectors: ItemVectors,
    config: Config,
    free: Sequence[str],
    table: NeighbourTable | None = None,
) -> TasteConfig:
    """Return the taste with the best metric on the ``few`` queries, without further training.

    For each taste setting in ``free``, a few values are tried. Settings that are not in ``free`` keep their
    values in ``config``. The settings ``score`` and ``decay`` are tuned first, together and once; for
    next_item, these two settings are not tuned. All other settings in ``free`` are tuned one after another,
    in two passes, because the best value of a setting depends on the other settings. ``table`` is the table
    of neighbours of the training part.
    """
    fixed = config.taste
    score_of: dict[TasteConfig, float] = {}

    def best_of(tastes: Iterator[TasteConfig]) -> TasteConfig:
        for taste in tastes:
            if taste not in score_of:
                score_of[taste] = problem.score(vectors, taste, few=True, table=table)
        return max(score_of, key=lambda taste: score_of[taste])

    if not free:
        return fixed
    if config.train.objective == "next_item":
        free = [name for name in free if name not in {"score", "decay"}]
    scores = [fixed.score] if "score" not in free else ["cosine"] + ["output"] * (vectors.output is not None)
    decays = COARSE if "decay" in free else (fixed.decay,)
    best = best_of(fixed.replace(score=score, decay=decay) for score in scores for decay in decays)
    if "decay" in free and isinstance(best.decay, float):
        best = best_of(best.replace(decay=decay) for decay in FINER[best.decay])
    grids: dict[str, Iterable[Any]] = {
        "part_weights": _part_weights(len(decays_of(best))),
        "last_n": HISTORY_LENGTHS,
        "half_life": HALF_LIVES if problem.timed else (),
        "repeat_bonus": REPEAT_BONUSES if problem.repeats else (),
        "mixture": MIXTURES,
    }
    for _ in range(PASSES):
        for name in [name for name in grids if name in free]:
            best = best_of(best.replace(**{name: value}) for value in grids[name])
        best = best_of(_with_priors(best, free, timed=problem.timed))
        factors = FINER_PRIORS if "popularity" in free else ()
        best = best_of(best.replace(popularity=factor * best.popularity) for factor in factors)
    return best


def _with_priors(taste: TasteConfig, free: Sequence[str], *, timed: bool) -> Iterator[TasteConfig]:
    """Yield the taste with each combination of a weight and a half-life of the popularity prior.

    The weight and the half-life are varied only if ``free`` contains them. The half-life is varied only if
    ``timed`` is true and a weight is above 0.
    """
    weights = PRIORS if "popularity" in free else (taste.popularity,)
    half_lives = [taste.popularity_half_life]
    if "popularity_half_life" in free and timed and any(weights):
        half_lives += PRIOR_HALF_LIVES
    for weight, half_life in product(weights, half_lives):
        yield taste.replace(popularity=weight, popularity_half_life=half_life)
