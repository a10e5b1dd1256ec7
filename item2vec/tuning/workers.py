"""Execution of trials in parallel threads, within a time budget."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from item2vec.config import Config, TrainConfig
from item2vec.progress import progress_bar
from item2vec.tuning.journal import Journal
from item2vec.tuning.problem import Problem
from item2vec.tuning.sampler import Sampler, family_of
from item2vec.tuning.trial import Earlier, Limits, Trial, run_trial

__all__ = ["Clock", "Workers"]

OUT_OF_TIME = "the budget is used up"


class Clock:
    """Clock of a time budget in seconds. The budget is infinite if ``budget`` is ``None``."""

    def __init__(self, budget: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self.budget = float("inf") if budget is None else budget
        self.now = now
        self._started = now()

    def left(self, reserved: float = 0.0) -> float:
        """Return the remaining budget, minus ``reserved``, in seconds; negative if less is left."""
        return self.budget - reserved - (self.now() - self._started)


class Workers:
    """Pool of threads that runs up to ``jobs`` trials concurrently.

    The pool collects the results in the order in which the trials were started, even if a later trial ends
    first. ``free`` lists the taste settings that ``run_trials`` tunes.
    """

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
        """Run trials until there are ``n_trials``, or only the reserved part of the budget remains.

        If ``n_trials`` is ``None``, only the budget limits the number of trials. ``reserve`` returns the
        reserved part in seconds. Trial 0 is run even if no budget is left. Finished trials are added to the
        journal. Trials that were ended because of the budget are returned.

        The suggestion for trial n uses only the results of the trials up to n - journal.lag, even if later
        trials have finished. If a single process runs the study, suggestions therefore do not depend on the
        speed of the machine. For the same reason, the result of trial n - journal.lag is awaited before trial
        n is suggested. In a new study, the lag is twice the number of workers, so that workers rarely wait.
        """
        end = math.inf if n_trials is None else n_trials
        unfinished = []

        def tasks() -> Iterator[Callable[[], Trial]]:
            while (number := journal.claim()) < end:
                if number > 0 and self.clock.left(reserve()) <= 0:
                    break
                seen = [trial for trial in journal.trials if trial.number <= number - journal.lag]
                sampler.observe(seen)
                config = sampler.suggest(number)
                family = [trial for trial in seen if family_of(trial.config) == family_of(config)]
                earlier = Earlier.of(family, config.taste, self._free)
                limits = Limits(partial(self._reason_to_stop, number, reserve), self.clock.now)
                yield partial(run_trial, problem, number, config, self._free, earlier, limits)
            journal.release(number)

        with progress_bar("tuning", n_trials) as advance:
            for trial in self._in_order(tasks(), journal.lag):
                if trial.state == "unfinished":
                    unfinished.append(trial)
                    journal.release(trial.number)
                else:
                    journal.add(trial)
                best = max((t.score for t in journal.trials if t.state != "failed"), default=0.0)
                advance(f"best {problem.metric}@{problem.k} {best:.4f}")
        return unfinished

    def train_again(self, problem: Problem, configs: Mapping[int, Config], fold: int) -> list[Trial]:
        """Train numbered configurations on a fold until the budget is used up, and return the trials.

        Configurations with equal training settings but different tastes are trained once.
        """
        limits = Limits(partial(self._reason_to_stop, None, lambda: 0.0), self.clock.now)
        same_training: dict[TrainConfig, dict[int, Config]] = {}
        for number, config in configs.items():
            same_training.setdefault(config.train, {})[number] = config

        def tasks() -> Iterator[Callable[[], Trial]]:
            for (number, config), *rest in (group.items() for group in same_training.values()):
                tastes = {number: config.taste for number, config in rest}
                yield partial(run_trial, problem, number, config, (), limits=limits, fold=fold, tastes=tastes)

        trials = self._in_order(tasks(), 2 * self.jobs)
        return [one for trial in trials for one in (trial, *trial.others)]

    def _reason_to_stop(
        self, number: int | None, reserve: Callable[[], float], remaining: float
    ) -> str | None:
        """Return the reason to end a trial, or ``None`` to continue it.

        ``remaining`` is the estimated time that the trial still needs, in seconds. ``number`` is ``None`` in
        the finals. Trial 0 of the search is ended only if the run is cancelled.
        """
        if self._cancelled.is_set():
            return OUT_OF_TIME
        if number == 0:
            return None
        left = self.clock.left(reserve())
        if left <= 0:
            return OUT_OF_TIME
        if remaining > (limit := min(self.clock.budget / 2, left)):
            return f"the training needs {remaining:.0f} s more, but the budget allows {limit:.0f} s"
        return None

    def _in_order(self, tasks: Iterator[Callable[[], Trial]], n_ahead: int) -> Iterator[Trial]:
        """Yield the results of tasks in the order of the tasks.

        At most ``n_ahead`` tasks are submitted before the result of the oldest one is awaited.
        """
        running: deque[Future[Trial]] = deque()
        self._cancelled.clear()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for task in tasks:
                    running.append(pool.submit(task))
                    if len(running) == n_ahead:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                self._cancelled.set()
