"""Runs trials, several at a time, within the budget."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from item2vec.config import Config
from item2vec.progress import progress_bar
from item2vec.tuning.journal import Journal
from item2vec.tuning.problem import Problem
from item2vec.tuning.sampler import Sampler, family_of
from item2vec.tuning.trial import Known, Limits, Trial, run_trial

__all__ = ["Clock", "Workers"]

OUT_OF_TIME = "the budget is used up"
Ends = Callable[[float], str | None]


class Clock:
    """How much of the budget is left; without a budget, infinitely much."""

    def __init__(self, budget: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self.budget = float("inf") if budget is None else budget
        self.now = now
        self._started = now()

    def left(self, reserved: float = 0.0) -> float:
        """Return the seconds that are left of the budget, of which some may be reserved."""
        return self.budget - reserved - (self.now() - self._started)


class Workers:
    """Runs trials, several at a time, and returns them in the order in which they were started."""

    def __init__(self, jobs: int, clock: Clock, free: Sequence[str]) -> None:
        self.jobs = jobs
        self.clock = clock
        self._free = free
        self._cancelled = threading.Event()

    def run_trials(
        self,
        problem: Problem,
        sampler: Sampler,
        journal: Journal,
        n_trials: int | None,
        reserve: Callable[[], float],
    ) -> list[Trial]:
        """Run trials until there are so many, or only what is to be reserved is left of the budget.

        Finished trials go into the journal; those that the budget ended are returned.

        A suggestion depends on the trials up to the journal's lag before it, whichever of the later ones have
        ended by then, so that it does not depend on how quick this machine is, and no worker waits for
        another.
        """
        most = math.inf if n_trials is None else n_trials
        unfinished = []

        def tasks() -> Iterator[Callable[[], Trial]]:
            while (number := journal.claim()) < most:
                if number > 0 and self.clock.left(reserve()) <= 0:
                    break
                seen = [trial for trial in journal.trials if trial.number <= number - journal.lag]
                sampler.observe(seen)
                config = sampler.suggest(number)
                alike = [trial for trial in seen if family_of(trial.config) == family_of(config)]
                known = Known.of(alike, config.taste, self._free)
                limits = Limits(partial(self._ends, number, reserve), self.clock.now)
                free = self._free if number > 0 else ()
                yield partial(run_trial, problem, number, config, free, known, limits)
            journal.release(number)

        with progress_bar("tuning", n_trials) as advance:
            for trial in self._in_order(tasks(), journal.lag):
                if trial.state == "unfinished":
                    unfinished.append(trial)
                    journal.release(trial.number)
                else:
                    journal.add(trial)
                best = max((t.score for t in journal.trials), default=0.0)
                advance(f"best {problem.metric}@{problem.k} {best:.4f}")
        return unfinished

    def train_again(self, problem: Problem, configs: Mapping[int, Config], fold: int) -> list[Trial]:
        """Train numbered configurations on a fold, as long as the budget lasts."""
        limits = Limits(partial(self._ends, None, lambda: 0.0), self.clock.now)
        tasks = (
            partial(run_trial, problem, number, config, (), limits=limits, fold=fold)
            for number, config in configs.items()
        )
        return list(self._in_order(tasks, 2 * self.jobs))

    def _ends(self, number: int | None, reserve: Callable[[], float], rest: float) -> str | None:
        """Return why a trial is to end, or ``None``; the very first runs to its end."""
        if self._cancelled.is_set():
            return OUT_OF_TIME
        if number == 0:
            return None
        left = self.clock.left(reserve())
        if left <= 0:
            return OUT_OF_TIME
        if rest > min(self.clock.budget / 2, left):
            return f"too slow for what is left of the budget: {rest:.0f} s to go"
        return None

    def _in_order(self, tasks: Iterator[Callable[[], Trial]], ahead: int) -> Iterator[Trial]:
        running: deque[Future[Trial]] = deque()
        self._cancelled.clear()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for task in tasks:
                    running.append(pool.submit(task))
                    if len(running) == ahead:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                self._cancelled.set()
