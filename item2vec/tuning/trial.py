"""One trial: train with some settings, find the taste that suits the vectors, measure; or give up early."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from item2vec.config import Config, NextItem, TasteConfig
from item2vec.errors import InputError, NothingToTrainError, TrainingError
from item2vec.training import train
from item2vec.tuning.problem import Problem
from item2vec.vectors import ItemVectors

__all__ = ["NOTHING_KNOWN", "Known", "Trial", "run_trial"]

RUNGS = (1 / 4, 1 / 2, 3 / 4)
FEWEST_TO_COMPARE = 4
COARSE = (1.0, 0.8, 0.5)
FINER = {1.0: (0.95, 0.9), 0.8: (0.9, 0.65), 0.5: (0.65, 0.35, 0.2)}
HISTORY_LENGTHS = (3, 10, 30)


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    ``score`` is the metric on validation; of a trial that was stopped, what it had reached by then, and 0 if
    it had nothing to show. ``rungs`` are the scores at a quarter, a half and three quarters of its epochs.

    >>> Trial(0, Config(), "complete", 0.25).score
    0.25
    """

    number: int
    config: Config
    state: Literal["complete", "stopped", "failed"]
    score: float
    rungs: tuple[float, ...] = ()
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Known:
    """What a trial may know of earlier ones: the best taste for each score, and the scores at each rung."""

    tastes: tuple[TasteConfig, ...]
    rungs: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, trials: Sequence[Trial], fixed: TasteConfig, free: Sequence[str]) -> Known:
        """Gather what these trials found out; where nothing is known yet, a plain taste of each score."""
        best: dict[str | None, Trial] = {}
        for trial in trials:
            score = trial.config.taste.score
            if trial.state == "complete" and (score not in best or trial.score > best[score].score):
                best[score] = trial
        scores = ("output", "cosine") if "score" in free else (fixed.score,)
        tastes = [best[s].config.taste if s in best else fixed.replace(score=s) for s in scores]
        rungs = [tuple(t.rungs[i] for t in trials if len(t.rungs) > i) for i in range(len(RUNGS))]
        return cls(tuple(tastes), tuple(rungs))


NOTHING_KNOWN = Known((), ((),) * len(RUNGS))


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """Ends a training that is not worth going on with."""


@dataclass
class _Watch:
    """Looks at a training after each epoch, and ends it when it falls behind or takes too long."""

    problem: Problem
    known: Known
    epochs: int
    taste: TasteConfig | None
    ends: Callable[[float], str | None]
    started: float = field(default_factory=time.monotonic)
    rungs: list[float] = field(default_factory=list)

    def __call__(self, epoch: int, vectors: ItemVectors) -> None:
        rest = (time.monotonic() - self.started) / epoch * (self.epochs - epoch)
        reason = self.ends(rest) if rest else None
        if reason:
            raise _Stopped(reason)
        rung = len(self.rungs)
        if rung == len(RUNGS) or epoch < RUNGS[rung] * self.epochs or epoch == self.epochs:
            return
        known = self.known.tastes if self.taste is None else (self.taste,)
        tastes = [t for t in known if t.score == "cosine" or vectors.output is not None]
        if not tastes:
            return
        self.rungs.append(max(self.problem.score(vectors, taste, few=True) for taste in tastes))
        earlier = self.known.rungs[rung]
        if len(earlier) >= FEWEST_TO_COMPARE and self.rungs[-1] < median(earlier):
            raise _Stopped(f"below the median of {len(earlier)} trials after {epoch} of {self.epochs} epochs")


def run_trial(
    problem: Problem,
    number: int,
    config: Config,
    free: Sequence[str],
    known: Known,
    ends: Callable[[float], str | None] = lambda _: None,
) -> Trial:
    """Train on the problem's training part with one worker, and return what came of it.

    ``free`` names the settings of the taste that may be chosen; ``ends`` is asked after each epoch, with the
    seconds that the rest will take, why to stop, if so. The same arguments give the same trial. Vectors of
    next_item are read as they were trained.
    """
    as_trained = isinstance(config.train, NextItem)
    watch = _Watch(problem, known, config.train.epochs, config.taste if as_trained else None, ends)

    def ended(state: Literal["complete", "stopped", "failed"], score: float, reason: str = "") -> Trial:
        seconds = time.monotonic() - watch.started
        return Trial(number, config, state, score, tuple(watch.rungs), reason, seconds)

    if reason := ends(0.0):
        return ended("stopped", 0.0, reason)
    try:
        alone = config.train.replace(workers=1)
        vectors = train(problem.split.train, config=alone, after_epoch=watch)
        if not as_trained:
            config = config.replace(taste=_best_taste(problem, vectors, config.taste, free))
        return ended("complete", problem.score(vectors, config.taste))
    except _Stopped as stopped:
        return ended("stopped", watch.rungs[-1] if watch.rungs else 0.0, str(stopped))
    except (TrainingError, NothingToTrainError, InputError) as error:
        return ended("failed", 0.0, str(error))


def _best_taste(
    problem: Problem, vectors: ItemVectors, fixed: TasteConfig, free: Sequence[str]
) -> TasteConfig:
    """Return the taste that scores best on a few questions; one training serves all tastes."""
    tried: dict[TasteConfig, float] = {}

    def best_of(tastes: Iterator[TasteConfig]) -> TasteConfig:
        for taste in tastes:
            if taste not in tried:
                tried[taste] = problem.score(vectors, taste, few=True)
        return max(tried, key=lambda taste: tried[taste])

    scores = [fixed.score] if "score" not in free else ["cosine"] + ["output"] * (vectors.output is not None)
    decays = COARSE if "decay" in free else (fixed.decay,)
    best = best_of(fixed.replace(score=score, decay=decay) for score in scores for decay in decays)
    if "decay" in free and isinstance(best.decay, float):
        best = best_of(best.replace(decay=decay) for decay in FINER[best.decay])
    if "last_n" in free:
        best = best_of(best.replace(last_n=n) for n in HISTORY_LENGTHS)
    return best
