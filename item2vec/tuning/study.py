"""Searches the settings of training and taste, within a budget, on validation carved from the data."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec.adapters import histories
from item2vec.config import AdapterConfig, Config
from item2vec.durations import seconds_of
from item2vec.errors import ConfigError, TrainingError, TuningWarning
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.tuning.finalists import Decision, Estimate, decide, n_rounds, play
from item2vec.tuning.journal import Journal
from item2vec.tuning.problem import Adapter, Problem, Protocol, make_problem
from item2vec.tuning.sampler import Sampler, starts_of, with_epochs
from item2vec.tuning.trial import Trial
from item2vec.tuning.workers import Clock, Workers

__all__ = ["Tuning", "tune"]

WITHOUT_TRAINING = ("part_weights", "repeat_bonus", "mixture", "popularity", "popularity_half_life")
TASTE = ("score", "decay", "half_life", "last_n", *WITHOUT_TRAINING)
MAX_TOKENS = 1_000_000
FULL_EPOCHS_TOKENS = 250_000
FINALISTS = 4
MOST_FOR_FINALS = 0.5
SLACK = 1.2


@dataclass(frozen=True)
class Tuning:
    """The result of tuning: the configuration to use, the default beside it, and all trials in their order.

    ``metric`` is the name of the score, such as ``ndcg@10``, ``protocol`` how queries were held back.
    ``default`` and ``chosen`` estimate the metric of the default configuration and of ``config``, with their
    intervals, and ``gain`` the difference of the chosen one, or, where the default is kept, of the best
    finalist; ``None`` where the budget allowed no comparison. ``finals`` are the trainings that decided.
    ``unfinished`` names objectives of which no trial came to an end, and ``warnings`` says what that means.

    >>> Tuning(Config(), "ndcg@10", "last", (), Estimate(0.2, 0.1, 0.3), Estimate(0.25, 0.15, 0.35), None)
    Tuning(0 trials, protocol 'last', ndcg@10 0.2500 (0.1500 to 0.3500), default 0.2000 (0.1000 to 0.3000))
    """

    config: Config
    metric: str
    protocol: Protocol
    trials: tuple[Trial, ...]
    default: Estimate
    chosen: Estimate
    gain: Estimate | None
    finals: tuple[Trial, ...] = ()
    unfinished: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The metric of the chosen configuration on validation."""
        return self.chosen.value

    def __repr__(self) -> str:
        parts = [f"{len(self.trials)} trials", f"protocol {self.protocol!r}", f"{self.metric} {self.chosen}"]
        parts.append(f"default {self.default}")
        if self.gain is not None:
            parts.append(f"gain {self.gain}")
        return f"Tuning({', '.join([*parts, *self.warnings])})"


def tune(  # noqa: PLR0913 - each has a name and a default
    data: Sentences | Interactions,
    *,
    budget: str | float | timedelta | None = None,
    trials: int | None = None,
    metric: str = "ndcg@10",
    protocol: Protocol | None = None,
    repeats: bool | None = None,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
    seed: int = 1,
    study: str | PathLike[str] | None = None,
    jobs: int | None = None,
    max_tokens: int = MAX_TOKENS,
    now: Callable[[], float] = time.monotonic,
    **fixed: Any,
) -> Tuning:
    """Find settings that suit these data, and return the default unless others are shown to be better.

    Validation is carved from the data by the protocol, which is to be the one that will judge the model.
    Settings of training are suggested by Optuna; for every training, the taste that suits its vectors best is
    found without training again: score and decay (not of next_item, which is read as it was trained), history
    length, half-life, weights of parts, repeat bonus, mixture and popularity prior. A trial that is below the
    median of the earlier ones at a quarter, half or three quarters of its epochs is stopped (Golovin et al.,
    Google Vizier, KDD 2017).

    Trial 0 is the default: next_item's defaults with what is ``fixed``, or skip-gram's where next_item does
    not know that. It runs to its end, whatever the budget. Then each objective is looked at, with settings
    that suit one kind of data or another, and the family that leads, word2vec's or next_item, is searched.
    Word2vec is trained by ``backend="numba"`` unless ``hs`` or a backend is given.

    The best of many owes something to luck. So the best four are trained anew beside the default, with two
    other seeds at least, and where there are fewer than 5,000 questions on several folds. A finalist replaces
    the default only if its gain is above 0 with 95 % confidence, by a paired test over users that allows for
    the number of finalists.

    Where there are more than 250,000 tokens, all trials but the first have fewer epochs in proportion, and
    finalists have as many more as they were denied. (A sample of the sentences would mislead: with fewer
    tokens an item, other settings win.) Beyond ``max_tokens`` a sample of whole sentences is searched
    nevertheless, and the finals use all of them (Chamberlain et al., Tuning word2vec for large scale
    recommendation systems, RecSys 2020).

    Parameters
    ----------
    budget
        How long it may take: text such as ``"5min"``, a ``timedelta``, or seconds; five minutes if neither it
        nor ``trials`` is given. A trial that would take more than half of it is ended.
    trials
        How many configurations to try. With this and without a budget, the same data, settings, ``seed`` and
        ``jobs`` give the same result.
    metric
        What to maximise: ``hr``, ``recall``, ``precision``, ``ndcg``, ``mrr`` or ``map`` at a cut-off.
    protocol
        ``"temporal"``: all new items of each user after a cut-off, as ``temporal_split`` (the default where
        there are timestamps). ``"last"``: the last item of each sentence, of few and long ones the last few
        (the default of other sentences whose order means something). ``"prefix"``: every next item of the
        last tenth of the sentences. ``"random"``: a random tenth of each sentence (where order means
        nothing).
    repeats
        Whether items of a history may be answers again: yes in ``"prefix"``, not in the others by default.
    adapter
        How interactions become sentences: settings (``AdapterConfig``), as of a nightly run, or a function,
        such as ``functools.partial(adapters.sessions, gap="2h")``.
    items
        Where ``group_by`` of the adapter's settings looks up its attribute.
    study
        A file that remembers the trials. A search that was stopped or killed goes on when it is given again,
        also with another number of ``jobs``, and several processes may search together.
    jobs
        Trainings at a time; as many as there are cores by default.
    max_tokens
        The size of the sample that is searched on.
    now
        The clock that the budget is measured by, in seconds.
    fixed
        Settings of ``TrainConfig`` and ``TasteConfig`` that are given, and so not searched. They may rule an
        objective out.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, or ``study`` is the file of another search.
    InputError
        If no question can be carved from the data.
    TrainingError
        If the default cannot be trained.

    Warns
    -----
    TuningWarning
        If the budget was too small to finish each objective once or to compare any finalist with the default.

    Examples
    --------
    >>> from item2vec import adapters, fit
    >>> playlists = adapters.playlists([["a", "b", "c", "d"], ["b", "c", "d"], ["a", "c", "d"]] * 10)
    >>> found = tune(playlists, trials=2, vector_size=8, epochs=2, jobs=1)
    >>> len(found.trials), found.config.train.vector_size
    (2, 8)
    >>> fit(playlists, found.config).recommend(["a", "b"], k=1)[0].item in {"c", "d"}
    True
    """
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int) or trials < 1):
        raise ConfigError(f"trials is {trials!r}; expected a whole number of at least 1")
    if trials is None and budget is None:
        budget = "5min"
    starts = starts_of({"seed": seed, **fixed})
    clock = Clock(None if budget is None else seconds_of(budget, "budget"), now)
    carved = partial(
        make_problem,
        data,
        metric,
        protocol=protocol,
        repeats=repeats,
        adapter=adapter,
        items=items,
        seed=seed,
    )
    problem = carved(max_tokens=max_tokens)
    n_tokens = len(data) if isinstance(data, Interactions) else len(data.tokens)
    whole = problem if n_tokens <= max_tokens else carved(max_tokens=n_tokens)
    share = 1.0 if "epochs" in fixed else min(1.0, FULL_EPOCHS_TOKENS / len(problem.folds[0].train.tokens))
    free = tuple(name for name in TASTE if name not in fixed)
    reread = problem.timed or not {*WITHOUT_TRAINING}.isdisjoint(free)
    sampler = Sampler(starts, fixed, seed, share=share, ordered=problem.ordered, reread=reread)
    workers = Workers(jobs or len(os.sched_getaffinity(0)), clock, free)
    plan = _Plan(sampler, whole, share, max(1.0, n_tokens / max_tokens), workers)
    about = {
        "data": problem.fingerprint(),
        "protocol": problem.protocol,
        "seed": seed,
        "fixed": {name: repr(fixed[name]) for name in sorted(fixed)},
    }
    with closing(Journal(None if study is None else Path(study), about, lag=2 * workers.jobs)) as journal:
        tried = _search(plan, problem, journal, trials)
    found = _conclude(plan, problem, tried, seed)
    for text in found.warnings:
        warnings.warn(text, TuningWarning, stacklevel=2)
    return found


def _search(plan: _Plan, problem: Problem, journal: Journal, n_trials: int | None) -> list[Trial]:
    """Run the trials of the search, and return them in their order; also those that were not finished.

    Other processes may run some of them. The default is waited for, and so is each of a given number of
    trials if there is no budget, so that all processes come to the same result.
    """
    workers = plan.workers

    def run(n: int | None) -> list[Trial]:
        return workers.run_trials(
            problem, plan.sampler, journal, n, reserve=lambda: plan.reserve(journal.trials)
        )

    unfinished = run(n_trials)
    n_needed = 1 if n_trials is None or math.isfinite(workers.clock.budget) else n_trials
    while journal.settle(n_needed):
        unfinished += run(n_needed)
    return sorted([*journal.trials, *unfinished], key=lambda trial: trial.number)


def _conclude(plan: _Plan, problem: Problem, tried: Sequence[Trial], seed: int) -> Tuning:
    default = tried[0]
    if default.state != "complete":
        raise TrainingError(f"the default cannot be trained: {default.reason}")
    finalists = plan.finalists(tried)
    players = {0: plan.sampler.default} | {trial.number: trial.config for trial in finalists}
    rounds = play(plan.workers, plan.problem, players) if finalists else []
    decision = decide(plan.problem, players, rounds, seed) if rounds else _kept(problem, default)
    seen = {trial.config.train.objective for trial in tried if trial.state != "unfinished"}
    missed = tuple(objective for objective in plan.sampler.objectives if objective not in seen)
    told: tuple[str, ...] = ()
    if math.isfinite(plan.workers.clock.budget):
        told = _warnings(missed, compared=bool(rounds), enough=plan.enough(default))
    return Tuning(
        decision.config,
        f"{problem.metric}@{problem.k}",
        problem.protocol,
        tuple(tried),
        decision.default,
        decision.chosen,
        decision.gain,
        tuple(trial for one in rounds for trial in one),
        missed,
        told,
    )


@dataclass(frozen=True)
class _Plan:
    """How finalists are chosen, and how long it takes to train them anew.

    ``problem`` is that of the finals, where a finalist has its epochs divided by ``share``, and ``growth``
    times the tokens of a trial.
    """

    sampler: Sampler
    problem: Problem
    share: float
    growth: float
    workers: Workers

    def finalists(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the best trials, with all their epochs, as many as the budget allows; one at least."""
        leaders = self._leaders(trials)
        while len(leaders) > 1 and self._seconds(trials[0], leaders) > self.workers.clock.left():
            leaders.pop()
        return leaders

    def reserve(self, trials: Sequence[Trial]) -> float:
        """Return the seconds to keep for the finals: what they need, but not more than half of the budget."""
        needed = self._seconds(trials[0], self._leaders(trials)) if trials else 0.0
        return min(needed, MOST_FOR_FINALS * self.workers.clock.budget)

    def enough(self, default: Trial) -> float:
        """Return the seconds that the first look and the finals of one finalist would have taken."""
        return SLACK * self.sampler.n_first * default.seconds / self.workers.jobs + self._seconds(
            default, [default]
        )

    def _leaders(self, trials: Sequence[Trial]) -> list[Trial]:
        best: dict[Config, Trial] = {}
        for trial in sorted(trials, key=lambda trial: -trial.score):
            config = trial.config if trial.number == 0 else with_epochs(trial.config, 1 / self.share)
            if trial.state == "complete" and config != self.sampler.default:
                seconds = trial.seconds / (self.share if trial.number else 1.0)
                best.setdefault(config, replace(trial, config=config, seconds=seconds))
        return list(best.values())[:FINALISTS]

    def _seconds(self, default: Trial, leaders: Sequence[Trial]) -> float:
        a_round = default.seconds + sum(trial.seconds for trial in leaders)
        return SLACK * n_rounds(self.problem) * a_round * self.growth / self.workers.jobs


def _kept(problem: Problem, default: Trial) -> Decision:
    """Return the default, uncompared; a trial of an earlier process is known by its score alone."""
    if default.values is None:
        estimate = Estimate(default.score, math.nan, math.nan)
    else:
        estimate = Estimate.of(default.values, problem.users(0))
    return Decision(default.config, estimate, estimate, None)


def _warnings(missed: Sequence[str], *, compared: bool, enough: float) -> tuple[str, ...]:
    """Return what a budget was too small for, and which one would do."""
    found = [f"the budget was too small to finish any trial of {', '.join(missed)}"] if missed else []
    if not compared:
        found.append("the budget was too small to compare any other configuration with the default")
    minutes = math.ceil(enough / 60)
    return tuple(f"{text}; about {minutes} min would do on this machine, as busy as it is" for text in found)
