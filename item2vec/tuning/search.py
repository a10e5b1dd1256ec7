"""What to try next: the one door to Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from item2vec.tuning.trial import Trial

__all__ = ["SPACE", "Search"]

SPACE: dict[str, BaseDistribution] = {
    "objective": CategoricalDistribution(["skipgram", "cbow"]),
    "vector_size": IntDistribution(32, 128, step=32),
    "window": IntDistribution(1, 30, log=True),
    "epochs": IntDistribution(5, 80, log=True),
    "sample": CategoricalDistribution([0.0, 1e-2, 1e-3, 1e-4]),
    "negative": IntDistribution(2, 20, log=True),
    "ns_exponent": FloatDistribution(-1.0, 1.0, step=0.25),
    "alpha": FloatDistribution(0.01, 0.1, log=True),
    "shrink_windows": CategoricalDistribution([True, False]),
}
"""The settings of training that are searched, and their ranges."""

FIRST: tuple[dict[str, Any], ...] = (
    {},
    {"window": 3, "epochs": 40},
    {"window": 20, "epochs": 30},
    {"window": 10, "epochs": 40, "ns_exponent": -0.5},
    {"objective": "cbow", "window": 10, "epochs": 40, "alpha": 0.05},
    {"window": 5, "epochs": 60, "ns_exponent": 0.25, "negative": 15},
)
"""What is tried before anything is known: settings that suit one kind of data or another."""


class Search:
    """Suggests settings by the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).

    A suggestion depends on the seed, the trial's number and the trials that were shown, on nothing else.
    """

    def __init__(self, fixed: Mapping[str, Any], start: Mapping[str, Any], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = {name: range_ for name, range_ in SPACE.items() if name not in fixed}
        self._start = start
        self._seed = seed
        self._study = optuna.create_study(direction="maximize")

    def show(self, trials: Sequence[Trial]) -> None:
        """Take in the outcome of trials."""
        for trial in trials:
            params = {name: getattr(trial.config.train, name) for name in self._space}
            stopped = trial.state == "stopped"
            self._study.add_trial(
                create_trial(
                    params=params,
                    distributions=self._space,
                    value=None if stopped and not trial.rungs else trial.score,
                    intermediate_values=dict(enumerate(trial.rungs)),
                    state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
                )
            )

    def suggest(self, number: int) -> dict[str, Any]:
        """Return the settings of a trial by name."""
        if number < len(FIRST):
            first = {**self._start, **FIRST[number]}
            return {name: first[name] for name in self._space}
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed * 100_003 + number, multivariate=True, n_startup_trials=len(FIRST)
        )
        found = self._study.ask(self._space).params
        if "alpha" in found:
            found["alpha"] = float(f"{found['alpha']:.3g}")
        return found
