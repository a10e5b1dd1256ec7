"""What to try next: the one door to Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from item2vec.tuning.trial import Trial

__all__ = ["SPACE", "Search", "scaled"]

SPACE: dict[str, Any] = {
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
    {"window": 20},
    {"epochs": 20, "alpha": 0.1},
    {"window": 5, "vector_size": 128},
    {"objective": "cbow"},
    {"window": 3, "epochs": 60, "ns_exponent": 0.5},
)
"""What is tried before anything is known: settings that suit one kind of data or another."""


def scaled(epochs: int, share: float) -> int:
    """Return a share of so many epochs, at least one.

    >>> scaled(40, 0.25), scaled(40, 0.001)
    (10, 1)
    """
    return max(1, round(epochs * share))


class Search:
    """Suggests settings by the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).

    A suggestion depends on the seed, the trial's number and the trials that were shown, on nothing else.
    ``share`` (above 0, up to 1) is the part of the epochs that trials are to have, where there is much data;
    all but the first, which is the start as it is.
    """

    def __init__(
        self, fixed: Mapping[str, Any], start: Mapping[str, Any], seed: int, share: float = 1.0
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        fewest, most = (scaled(epochs, share) for epochs in (SPACE["epochs"].low, SPACE["epochs"].high))
        space = SPACE | {"epochs": IntDistribution(fewest, max(most, fewest + 1), log=True)}
        self._space = {name: range_ for name, range_ in space.items() if name not in fixed}
        self._start = start
        self._share = share
        self._seed = seed
        self._study = optuna.create_study(direction="maximize")

    def show(self, trials: Sequence[Trial]) -> None:
        """Take in the outcome of trials."""
        for trial in trials:
            if trial.number == 0 and self._share < 1:
                continue  # it had all its epochs, more than the range that is searched
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
            if number > 0:
                first["epochs"] = scaled(first["epochs"], self._share)
            return {name: first[name] for name in self._space}
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed * 100_003 + number, multivariate=True, n_startup_trials=len(FIRST)
        )
        found = self._study.ask(self._space).params
        if "alpha" in found:
            found["alpha"] = float(f"{found['alpha']:.3g}")
        return found
