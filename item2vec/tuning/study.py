"""Tuning study: search configurations within a budget, and compare the best ones with the default."""

from __future__ import annotations

import math
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
from item2vec.arguments import checked_except
from item2vec.config import AdapterConfig, Config, TasteConfig
from item2vec.config.defaults import FULL_EPOCHS_TOKENS
from item2vec.config.settings import plain
from item2vec.durations import seconds_of
from item2vec.errors import TuningWarning
from item2vec.evaluation.evaluate import Metric
from item2vec.files import check_locks
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.processes import usable_cpus
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.shaping import check_least
from item2vec.tuning.finalists import (
    Decision,
    Estimate,
    decide,
    n_rounds,
    train_rounds,
    unused_queries,
    users_of_rounds,
)
from item2vec.tuning.folds import Adapter, Protocol
from item2vec.tuning.journal import Journal
from item2vec.tuning.notices import best_unconfirmed, budget_warnings, user_warnings
from item2vec.tuning.problem import Problem, make_problem, n_readable, users_of
from item2vec.tuning.result import Tuning
from item2vec.tuning.sampler import Sampler, with_epochs
from item2vec.tuning.starts import starts_of
from item2vec.tuning.trial import Trial
from item2vec.tuning.workers import Clock, Workers

__all__ = ["tune"]

MAX_TOKENS = 1_000_000
FINALISTS = 4
MAX_SHARE_FOR_FINALS = 0.5
SLACK = 1.2


@checked_except("data", "budget", "trials", "seed", "jobs")
def tune(  # noqa: PLR0913 - keyword arguments with defaults
    data: Sentences | ShardedSentences | Interactions,
    *,
    budget: str | float | timedelta | None = None,
    trials: int | None = None,
    metric: str | Metric = "ndcg@10",
    k: int | None = None,
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
    """Search for settings that are significantly better than the default; otherwise, keep the default.

    Validation queries are held out from the data by ``protocol``, which should be the protocol of the final
    evaluation. Optuna suggests training settings. After each training run, the taste with the best score is
    searched. This requires no further training. The searched settings of a taste are score and decay (except
    for next_item), history length, half-life (with timestamps), weights of parts (with several parts), repeat
    bonus (with ``repeats``), mixture and popularity prior. A trial is stopped if its score after a quarter, a
    half or three quarters of its epochs is below the median of the scores of at least four earlier trials of
    the same family (similar to the median stopping rule of Golovin et al., Google Vizier, KDD 2017).

    Trial 0 is the default: next_item with the ``fixed`` settings or, if next_item does not have all of these
    settings, another objective that has them, such as skip-gram. Trial 0 is always finished, even if it
    exceeds the budget. The next trials cover next_item, skip-gram and CBOW, with settings that suit different
    kinds of data. Count-based objectives (lsa, glove, transitions, linkprop, ease) are searched only as the
    fixed ``objective``, such as ``objective="lsa"``. Further trials belong to the family of the best earlier
    trial: word2vec (skip-gram and CBOW) or next_item. Word2vec is trained with ``backend="numba"`` unless
    ``hs=True`` or a backend is fixed.

    The maximum over many trials is biased upwards. Therefore up to four of the best configurations (the
    finalists) and the default are trained again, in two or three rounds. Each round has another seed and, if
    there are fewer than 5,000 queries, another fold: the item before the last one, or an earlier time window.
    Finalists that are not better than the default are dropped after each round. If no finalist remains, no
    further round follows. Finalists with equal training settings but different tastes are trained once per
    round. A finalist replaces the default only if the lower 95 % confidence bound of its gain is above 0. The
    bounds are computed from the gain on each query, by a multiplier bootstrap over users, and corrected for
    the number of finalists and for the number of users: with a single user, the default is kept. If no round
    is completed, for example because the budget ends, trial 0 with its best taste is compared with trial 0
    with the default taste. This comparison uses only the queries of users whose queries were not used to
    choose the taste. The default is kept without a comparison if there are no such queries, if the default
    taste is the best taste, or if this process did not run trial 0.

    With more than 250,000 training tokens, all trials except trial 0 train proportionally fewer epochs,
    unless ``epochs`` is fixed. Finalists train all of their epochs. (Fewer sentences instead of fewer epochs
    would change the optimal settings, because there would be fewer tokens per item.) With more than
    ``max_tokens`` tokens, the search uses a sample of whole sentences or users, and the final comparison uses
    all data that are read (Chamberlain et al., Tuning word2vec for large scale recommendation systems, RecSys
    2020).

    Parameters
    ----------
    data
        Sentences or interactions. ``adapter`` converts interactions to sentences. Of ``ShardedSentences``, at
        most 50 million tokens are read into memory: whole sentences, drawn at random.
    budget
        Time limit: text such as ``"5min"``, a ``timedelta``, or seconds. Five minutes if neither ``budget``
        nor ``trials`` is specified. The limit is that of the whole call: the preparation of the validation
        queries, trial 0 (including the compilation of the training loops) and the final comparison count. A
        trial other than trial 0 is ended if its remaining training would take more than half of the budget,
        or more than is left for the search.
    trials
        Number of configurations to try; fewer if all training settings are fixed. If it is ``None``, only the
        budget limits the number. Without a budget, equal data, settings, ``seed`` and ``jobs`` give equal
        results if a single process runs the study.
    metric
        The metric to maximise: ``hr``, ``recall``, ``precision``, ``ndcg``, ``mrr`` or ``map`` at a cut-off,
        or a function, as in ``evaluate`` (see ``evaluation.Metric``), with the cut-off ``k``. Threads call
        the function concurrently. A stored study contains only the name of the function, so a different
        function of the same name is not detected when the study is resumed.
    k
        The cut-off if ``metric`` is a function; 10 by default. Not allowed if ``metric`` is a text.
    protocol
        Targets of the validation queries. ``"temporal"``: all new items of each user in the last tenth of the
        events, as in ``temporal_split`` (the default for data with timestamps, except sessions). ``"last"``:
        the last item of each sentence, as in ``leave_last_out`` (the default for other ordered sentences). If
        sentences are few and long, the search, but not the final comparison, uses the last few items.
        ``"prefix"``: the next item after every prefix of the last tenth of the sentences. ``"random"``: a
        random tenth of the items of each sentence (the default for other unordered sentences).

        Sentences count as sessions if most queries of a split by time would have no history, or if a corpus
        with user ids has several sentences of a user. The reason is logged, and such a corpus is never split
        by time.
    repeats
        Whether recommendations can contain items of the history; by default only for ``"prefix"``.
    adapter
        Conversion of interactions to sentences: settings (``AdapterConfig``), as in a nightly run, or a
        function, such as ``functools.partial(adapters.sessions, gap="2h")``. Not applied to sentences.
    items
        Items with the attributes that ``adapter.group_by`` and the fixed setting ``attributes`` of next_item
        specify. Required if one of these settings is set.
    seed
        Seed of validation queries, suggestions and training.
    study
        File for the trials. If the file contains a study, the study is resumed, even with a different number
        of ``jobs``. Several processes can run the same study together.
    jobs
        Number of concurrent training runs. The default is the number of processors that this process may use.
    max_tokens
        Maximum number of tokens in the sample that the search uses.
    now
        Function that returns the time in seconds, to measure the budget.
    fixed
        Settings of ``TrainConfig`` and ``TasteConfig`` that are not searched. Objectives that do not have all
        of these settings are excluded.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, or ``study`` has other data or settings.
    CorruptBundleError
        If ``study`` cannot be read as a study file.
    NothingToTrainError
        If fewer than two items, or no interaction, are left for the default configuration.
    InputError
        If ``data`` is neither sentences nor interactions, the cut-off of the metric is below 1, no query can
        be held out from the data, or a custom metric does not return a finite number per query.
    WriteError
        If ``study`` cannot be opened or written, for example because its folder does not exist.
    TrainingError
        If the default configuration cannot be trained.
    PlatformError
        If ``study`` is given, and the system has no POSIX file locks (Windows).

    Warns
    -----
    TuningWarning
        If the budget was too small to finish a trial of each searched objective, or to compare another
        configuration with the default (a call with the same ``study`` and a larger budget goes on), or if
        the comparison with the default has queries of fewer than ten users.

    Examples
    --------
    >>> from item2vec import adapters, fit
    >>> playlists = adapters.playlists([["a", "b", "c", "d"], ["b", "c", "d"], ["a", "c", "d"]] * 10)
    >>> tuning = tune(playlists, trials=2, vector_size=8, epochs=2, jobs=1)
    >>> len(tuning.trials), tuning.config.train.vector_size
    (2, 8)
    >>> fit(playlists, tuning.config).recommend(["a", "b"], k=1)[0].item in {"c", "d"}
    True
    """
    for name, count in (("trials", trials), ("jobs", jobs), ("max_tokens", max_tokens)):
        if count is not None:
            check_least(name, count, 1)
    if trials is None and budget is None:
        budget = "5min"
    if study is not None:
        check_locks()
    seed, fixed = plain(seed), {name: plain(value) for name, value in fixed.items()}
    starts = starts_of({"seed": seed, **fixed})
    clock = Clock(None if budget is None else seconds_of(budget, "budget"), now)
    hold_out = partial(
        make_problem,
        data,
        metric,
        k=k,
        protocol=protocol,
        repeats=repeats,
        adapter=adapter,
        items=items,
        seed=seed,
    )
    problem = hold_out(max_tokens=max_tokens)
    n_tokens = n_readable(data)
    whole = problem
    if n_tokens > max_tokens:
        whole = hold_out(max_tokens=n_tokens, protocol=problem.protocol)
    share = 1.0 if "epochs" in fixed else min(1.0, FULL_EPOCHS_TOKENS / problem.searched.train.n_tokens)
    free = tuple(name for name in TasteConfig.model_fields if name not in fixed)
    sampler = Sampler(starts, fixed, seed, share=share, n_tokens=n_tokens, ordered=problem.ordered)
    if not sampler.searches:
        trials = min(sampler.n_first, trials or sampler.n_first)
    workers = Workers(usable_cpus() if jobs is None else int(jobs), clock, free)
    growth = max(1.0, n_tokens / max_tokens)
    plan = _Plan(sampler=sampler, problem=whole, share=share, growth=growth, workers=workers)
    about = {
        "data": problem.fingerprint(),
        "protocol": problem.protocol,
        "seed": seed,
        "fixed": {name: repr(fixed[name]) for name in sorted(fixed)},
    }
    with closing(Journal(None if study is None else Path(study), about, lag=2 * workers.jobs)) as journal:
        all_trials = _search(plan, problem, journal, trials)
    tuning = _conclude(plan, problem, all_trials, seed, trials)
    for text in tuning.warnings:
        warnings.warn(text, TuningWarning, stacklevel=3)
    return tuning


def _search(plan: _Plan, problem: Problem, journal: Journal, n_trials: int | None) -> list[Trial]:
    """Run the trials of the search, and return all trials in order, including unfinished trials.

    Other processes may run some of the trials. This process waits until trial 0 is finished. If ``n_trials``
    is given without a budget, this process waits until all trials are finished, so that all processes return
    the same trials.
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


def _conclude(
    plan: _Plan, problem: Problem, trials: Sequence[Trial], seed: int, n_trials: int | None
) -> Tuning:
    default = trials[0]
    if default.state != "complete":
        raise default.error(f"the default configuration cannot be trained: {default.reason}")
    finalists = plan.finalists(trials)
    candidates = {0: plan.sampler.default} | {trial.number: trial.config for trial in finalists}
    rounds = train_rounds(plan.workers, plan.problem, candidates) if finalists else []
    compared, users = rounds, users_of_rounds(plan.problem, rounds)
    if not rounds:
        candidates = {trial.number: trial.config for trial in (default, *default.others)}
        compared, users = unused_queries(problem, default)
    bounded = problem.own is None
    if compared:
        decision = decide(candidates, compared, users, seed, bounded=bounded)
    else:
        decision = _keep_default(problem, default)
    messages = user_warnings(users_of(problem.searched))
    finished = [trial.config.train.objective for trial in trials if trial.state != "unfinished"]
    unfinished = tuple(objective for objective in plan.sampler.objectives if objective not in finished)
    if math.isfinite(plan.workers.clock.budget) and (n_trials is None or len(finished) < n_trials):
        messages += budget_warnings(
            unfinished,
            None if compared else best_unconfirmed(finalists, default),
            sufficient=plan.sufficient_budget(default),
        )
    return Tuning(
        config=decision.config,
        metric=f"{problem.metric}@{problem.k}",
        protocol=problem.protocol,
        trials=tuple(trials),
        default=decision.default,
        chosen=decision.chosen,
        gain=decision.gain,
        finals=tuple(trial for finals in rounds for trial in finals),
        unfinished=unfinished,
        warnings=messages,
    )


@dataclass(frozen=True)
class _Plan:
    """Choice of the finalists, and estimate of the time to train them again.

    ``problem`` is the validation problem of the finals. A training run in the finals has ``1 / share`` times
    the epochs and ``growth`` times the tokens of a trial of the search.
    """

    sampler: Sampler
    problem: Problem
    share: float
    growth: float
    workers: Workers

    def finalists(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return up to four of the best trials, as many as can be trained again in the remaining budget.

        The configurations of the returned trials have the full number of epochs. If there is a complete trial
        with another configuration than the default, at least one trial is returned.
        """
        leaders = self._leaders(trials)
        while len(leaders) > 1 and self._seconds(trials[0], leaders) > self.workers.clock.left():
            leaders.remove(max(leaders, key=lambda trial: (trial.seconds > 0, -trial.score)))
        return leaders

    def reserve(self, trials: Sequence[Trial]) -> float:
        """Return the estimated time of the finals in seconds, but at most half of the budget."""
        needed = self._seconds(trials[0], self._leaders(trials)) if trials else 0.0
        return min(needed, MAX_SHARE_FOR_FINALS * self.workers.clock.budget)

    def sufficient_budget(self, default: Trial) -> float:
        """Return the estimated time in seconds of the first trials and of finals with one finalist."""
        first_trials = SLACK * self.sampler.n_first * default.seconds / self.workers.jobs
        return first_trials + self._seconds(default, [default])

    def _leaders(self, trials: Sequence[Trial]) -> list[Trial]:
        best: dict[Config, Trial] = {}
        candidates = [one for trial in trials for one in (trial, *trial.others)]
        for trial in sorted(candidates, key=lambda trial: -trial.score):
            share = self.share if trial.number > 0 else 1.0
            config = with_epochs(trial.config, 1 / share)
            if trial.state == "complete" and config != self.sampler.default:
                best.setdefault(config, replace(trial, config=config, seconds=trial.seconds / share))
        return list(best.values())[:FINALISTS]

    def _seconds(self, default: Trial, leaders: Sequence[Trial]) -> float:
        per_round = default.seconds + sum(trial.seconds for trial in leaders)
        return SLACK * n_rounds(self.problem) * per_round * self.growth / self.workers.jobs


def _keep_default(problem: Problem, default: Trial) -> Decision:
    """Return the decision for the default, without a comparison.

    The confidence interval of the default is unknown (NaN) unless this process ran trial 0, because a study
    does not contain the values per query.
    """
    if default.values is None:
        estimate = Estimate(default.score, math.nan, math.nan)
    else:
        estimate = Estimate.of(default.values, users_of(problem.searched), bounded=problem.own is None)
    return Decision(default.config, estimate, estimate, None)
