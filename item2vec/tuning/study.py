"""Searches the settings of training and taste, within a budget, on validation carved from the sentences."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec.config import OBJECTIVES, Config, TasteConfig
from item2vec.durations import seconds_of
from item2vec.errors import ConfigError, InputTypeError, TrainingError
from item2vec.progress import progress_bar
from item2vec.sentences import Sentences
from item2vec.tuning.journal import Journal
from item2vec.tuning.problem import Carve, Problem, carve
from item2vec.tuning.search import Search, family_of, scaled
from item2vec.tuning.trial import NOTHING_KNOWN, Known, Trial, run_trial

__all__ = ["Tuning", "tune"]

TASTE = ("score", "decay", "last_n")
MAX_TOKENS = 1_000_000
FULL_EPOCHS_TOKENS = 250_000
FINALISTS = 4
SEARCH_SHARE = 0.7
OUT_OF_TIME = "the budget is used up"


@dataclass(frozen=True)
class Tuning:
    """What tuning found: the best configuration, its score on validation, and all trials in their order.

    ``metric`` is the name of the score, such as ``ndcg@10``; ``finals`` are the best trials, best first, once
    more with another seed and all sentences.

    >>> Tuning(Config(), 0.25, "ndcg@10", ())
    Tuning(0 trials, ndcg@10 0.2500 on validation)
    """

    config: Config
    score: float
    metric: str
    trials: tuple[Trial, ...]
    finals: tuple[Trial, ...] = ()

    def __repr__(self) -> str:
        return f"Tuning({len(self.trials)} trials, {self.metric} {self.score:.4f} on validation)"


def tune(
    sentences: Sentences,
    *,
    budget: str | float | timedelta | None = None,
    trials: int | None = None,
    metric: str = "ndcg@10",
    seed: int = 1,
    split: Carve | None = None,
    filter_seen: bool | None = None,
    study: str | PathLike[str] | None = None,
    jobs: int | None = None,
    max_tokens: int = MAX_TOKENS,
    **fixed: Any,
) -> Tuning:
    """Find settings that suit these sentences; nothing else is looked at.

    Validation is carved from the sentences: the last item of each, or, where order means nothing, a random
    tenth of its items. Settings of training are suggested by Optuna; for every training, the taste (score,
    decay, history length) that suits its vectors best is found without training again. A trial that is below
    the median of the earlier ones at a quarter, half or three quarters of its epochs is stopped (Golovin et
    al., Google Vizier, KDD 2017). In the end the best four are trained once more with another seed, since
    the best of many owes something to luck, and both scores count.

    Skip-gram, CBOW and next_item are looked at first, each with settings that suit one kind of data or
    another; then the family that leads, word2vec's or next_item, is searched. What is ``fixed`` may rule one
    out: ``sample`` and ``hs`` are not known to next_item. Word2vec is trained by ``backend="numba"`` unless
    ``hs`` or a backend is given; next_item is read as it was trained.

    The first trial is the start as it is: the defaults, and what is ``fixed``; it is let run to its end,
    whatever the budget, so that nothing worse on validation is returned. Where there are more than 250,000
    tokens, the others have fewer epochs in proportion, and in the end the best are trained with as many
    more as they were denied, if the budget allows. (A sample of the sentences would mislead: with fewer
    tokens an item, other settings win.) Beyond ``max_tokens`` a sample of whole sentences is searched
    nevertheless, and all of them are used in the end (Chamberlain et al., Tuning word2vec for large scale
    recommendation systems, RecSys 2020).

    Parameters
    ----------
    budget
        How long it may take: text such as ``"5min"``, a ``timedelta``, or seconds; five minutes if neither it
        nor ``trials`` is given. A trial that would take more than half of it is stopped.
    trials
        How many configurations to try. With this and without a budget, the same sentences, settings, ``seed``
        and ``jobs`` give the same result.
    metric
        What to maximise: ``hr``, ``recall``, ``precision``, ``ndcg``, ``mrr`` or ``map`` at a cut-off.
    split
        A function that carves validation from the sentences in another way, such as ``prefix_split``.
    filter_seen
        Whether items of a history are left out of its answers; as the split says unless told otherwise.
    study
        A file that remembers the trials; called again with it, a search that was stopped or killed goes on.
    jobs
        Trainings at a time; as many as there are cores unless told otherwise.
    max_tokens
        The size of the sample that is tuned on.
    fixed
        Settings of ``TrainConfig`` and ``TasteConfig`` that are given, and so not searched.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, or ``study`` is the file of another search.
    InputError
        If no question can be carved from the sentences.
    TrainingError
        If no trial could be finished within the budget.

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
    if not isinstance(sentences, Sentences):
        raise InputTypeError(f"tune reads Sentences, found {type(sentences).__name__}; see item2vec.adapters")
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int) or trials < 1):
        raise ConfigError(f"trials is {trials!r}; expected a whole number of at least 1")
    if trials is None and budget is None:
        budget = "5min"
    base = _start({"seed": seed, **fixed})
    clock = _Clock(None if budget is None else seconds_of(budget, "budget"))
    how = partial(carve, sentences, metric, split=split, filter_seen=filter_seen, seed=seed)
    problem = how(max_tokens=max_tokens)
    free = tuple(name for name in TASTE if name not in fixed)
    team = _Team(jobs or len(os.sched_getaffinity(0)), clock, free)
    about = {
        "sentences": problem.fingerprint(),
        "seed": seed,
        "jobs": team.jobs,
        "first": base.train.objective,
        "fixed": {name: repr(fixed[name]) for name in sorted(fixed)},
    }
    journal = Journal(None if study is None else Path(study), about)
    share = min(1.0, FULL_EPOCHS_TOKENS / max(len(problem.split.train.tokens), 1))
    decays = {} if sentences.ordered else {"context_decay": "that of no order"}
    search = Search({**decays, **fixed}, base, seed, share)
    team.search(problem, search, journal, base, trials)
    leaders = sorted((t for t in journal.trials if t.state == "complete"), key=lambda t: -t.score)[:FINALISTS]
    if not leaders:
        raise TrainingError(f"no trial came to an end; the last one: {journal.trials[-1].reason}")
    whole = how(max_tokens=len(sentences.tokens))
    finals = team.repeat(whole, leaders, 1.0 if "epochs" in fixed else share)
    best, score = _best(leaders, finals, sampled=len(sentences.tokens) > max_tokens)
    config = best.replace(train=best.train.replace(seed=base.train.seed, workers=base.train.workers))
    return Tuning(config, score, metric, tuple(journal.trials), finals)


def _start(given: Mapping[str, Any]) -> Config:
    """Return the defaults of the first objective that takes what is given, by the quicker backend."""
    names = given.keys() - TasteConfig.model_fields
    known = [name for name, settings in OBJECTIVES.items() if names <= settings.model_fields.keys()]
    tried = itertools.product(known, ({"backend": "numba"}, {}))
    for objective, backend in tried:
        with contextlib.suppress(ConfigError):
            return Config().with_settings(**{"objective": objective, **backend, **given})
    return Config().with_settings(**{"objective": known[-1], **given} if known else given)


class _Clock:
    """How much of the budget is left; all of it, for ever, where there is none."""

    def __init__(self, budget: float | None) -> None:
        self.budget = float("inf") if budget is None else budget
        self._started = time.monotonic()

    def left(self, until: float = 1.0) -> float:
        """Return the seconds until this share of the budget is used up."""
        return self.budget * until - (time.monotonic() - self._started)


class _Team:
    """Runs trials, several at a time, and hands them back in the order in which they were started."""

    def __init__(self, jobs: int, clock: _Clock, free: Sequence[str]) -> None:
        self.jobs = jobs
        self._clock = clock
        self._free = free
        self._cancelled = threading.Event()

    def search(
        self,
        problem: Problem,
        search: Search,
        journal: Journal,
        base: Config,
        n_trials: int | None,
    ) -> None:
        """Try suggestion after suggestion, and write what came of each into the journal.

        A suggestion rests on the trials up to ``2 * jobs`` before it, whichever of the later ones have ended
        by then, so that it does not depend on how quick this machine is, and no worker waits for another.
        """

        def tasks() -> Iterator[Callable[[], Trial]]:
            n_shown = 0
            for number in itertools.count(len(journal.trials)):
                out_of_time = number > 0 and self._clock.left(SEARCH_SHARE) <= 0
                if out_of_time or number == n_trials:
                    return
                seen = journal.trials[: max(0, number - 2 * self.jobs + 1)]
                search.show(seen[n_shown:])
                n_shown = len(seen)
                config = search.suggest(number)
                alike = [trial for trial in seen if family_of(trial.config) == family_of(config)]
                known = Known.of(alike, base.taste, self._free)
                ends = self._end_of(SEARCH_SHARE, number)
                yield partial(run_trial, problem, number, config, self._free, known, ends)

        with progress_bar("tuning", n_trials) as advance:
            for trial in self._in_order(tasks()):
                if trial.reason != OUT_OF_TIME:
                    journal.add(trial)
                best = max((t.score for t in journal.trials), default=0.0)
                advance(f"best {problem.metric}@{problem.k} {best:.4f}")

    def repeat(self, problem: Problem, trials: Sequence[Trial], share: float) -> tuple[Trial, ...]:
        """Train these trials anew with another seed and all their epochs, as long as the budget lasts."""
        ends = self._end_of(1.0, None)
        tasks = (
            partial(run_trial, problem, trial.number, _again(trial, share), self._free, NOTHING_KNOWN, ends)
            for trial in trials
        )
        with progress_bar("once more", len(trials)) as advance:
            repeated = []
            for trial in self._in_order(tasks):
                repeated.append(trial)
                advance(f"{problem.metric}@{problem.k} {trial.score:.4f}")
        return tuple(repeated)

    def _end_of(self, until: float, number: int | None) -> Callable[[float], str | None]:
        """Return a function that tells why a trial is to end, if it is; the very first is let run."""

        def ends(rest: float) -> str | None:
            if self._cancelled.is_set():
                return OUT_OF_TIME
            if number == 0:
                return None
            if self._clock.left(until) <= 0:
                return OUT_OF_TIME
            if rest > min(self._clock.budget / 2, self._clock.left(until)):
                return f"too slow for what is left of the budget: {rest:.0f} s to go"
            return None

        return ends

    def _in_order(self, tasks: Iterator[Callable[[], Trial]]) -> Iterator[Trial]:
        running: deque[Future[Trial]] = deque()
        self._cancelled.clear()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for task in tasks:
                    running.append(pool.submit(task))
                    if len(running) == 2 * self.jobs:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                self._cancelled.set()


def _again(trial: Trial, share: float) -> Config:
    train = trial.config.train
    epochs = train.epochs if trial.number == 0 else scaled(train.epochs, 1 / share)
    return trial.config.replace(train=train.replace(seed=train.seed + 1, epochs=epochs))


def _best(leaders: Sequence[Trial], finals: Sequence[Trial], *, sampled: bool) -> tuple[Config, float]:
    """Return the best configuration and its score: the mean of both, where it was trained twice alike.

    Scores on a sample count only where there are no others.
    """
    first = {trial.number: trial for trial in leaders}
    candidates = []
    for final in finals:
        if final.state == "complete":
            trial = first[final.number]
            alike = not sampled and trial.config.train.epochs == final.config.train.epochs
            candidates.append((final.config, (final.score + trial.score) / 2 if alike else final.score))
            if alike:
                del first[final.number]
    if not (sampled and candidates):
        candidates += [(trial.config, trial.score) for trial in first.values()]
    return max(candidates, key=lambda candidate: candidate[1])
