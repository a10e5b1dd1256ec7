"""What to try next: the one door to Optuna."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from item2vec.config import Config, NextItem
from item2vec.errors import ConfigError
from item2vec.tuning.trial import Trial

__all__ = ["SPACES", "Search", "family_of", "scaled", "searched"]

WORD2VEC: Mapping[str, Any] = {
    "objective": CategoricalDistribution(["skipgram", "cbow"]),
    "vector_size": IntDistribution(32, 128, step=32),
    "window": IntDistribution(1, 50, log=True),
    "epochs": IntDistribution(5, 80, log=True),
    "sample": CategoricalDistribution([0.0, 1e-2, 1e-3, 1e-4]),
    "negative": IntDistribution(2, 20, log=True),
    "ns_exponent": FloatDistribution(-1.0, 1.0, step=0.25),
    "alpha": FloatDistribution(0.01, 0.1, log=True),
    "shrink_windows": CategoricalDistribution([True, False]),
    "forward_only": CategoricalDistribution([False, True]),
}
NEXT_ITEM: Mapping[str, Any] = {
    "short_decay": FloatDistribution(0.2, 0.8, step=0.05),
    "long_decay": FloatDistribution(0.5, 1.0, step=0.01),
    "vector_size": IntDistribution(128, 512, step=128),
    "epochs": IntDistribution(5, 40, log=True),
    "dropout": FloatDistribution(0.0, 0.6, step=0.1),
    "weight_decay": FloatDistribution(1e-4, 3e-2, log=True),
    "ns_exponent": FloatDistribution(0.0, 1.0, step=0.25),
    "alpha": FloatDistribution(0.04, 0.2, log=True),
}
SPACES = {"word2vec": WORD2VEC, "next_item": NEXT_ITEM}
"""The settings of training that are searched, and their ranges, for each family of objectives."""

FIRST: tuple[dict[str, Any], ...] = (
    {},
    {"objective": "skipgram"},
    {"objective": "next_item", "context_decay": (0.5, 0.97), "epochs": 25},
    {"objective": "next_item", "context_decay": (0.3, 0.7), "dropout": 0.1, "vector_size": 512},
    {"objective": "skipgram", "window": 20, "shrink_windows": False},
    {"objective": "skipgram", "window": 5, "vector_size": 128, "forward_only": True},
    {"objective": "next_item", "context_decay": (0.5, 0.8), "weight_decay": 0.001, "dropout": 0.4},
    {"objective": "cbow"},
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

    After a first look at each family of objectives, the family that leads is searched on. A suggestion
    depends on the seed, the trial's number and the trials that were shown, on nothing else. ``share`` (above
    0, up to 1) is the part of the epochs that trials are to have, where there is much data; all but the
    first, which is the start as it is.
    """

    def __init__(self, fixed: Mapping[str, Any], start: Config, seed: int, share: float = 1.0) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if start.train.backend == "gensim":
            fixed = {**fixed, "forward_only": False}
        self._first = list(dict.fromkeys([start, *_possible(start, FIRST[1:], fixed)]))
        self._families = {
            family: _Family(SPACES[family], fixed, start, share)
            for family in {family_of(config): None for config in self._first}
        }
        self._start = start
        self._share = share
        self._epochs_fixed = "epochs" in fixed
        self._seed = seed
        self._leader: Trial | None = None

    def show(self, trials: Sequence[Trial]) -> None:
        """Take in the outcome of trials."""
        for trial in trials:
            if self._leader is None or trial.score > self._leader.score:
                self._leader = trial
            if trial.number > 0 or self._share == 1:  # the first had all its epochs, beyond what is searched
                self._families[family_of(trial.config)].show(trial)

    def suggest(self, number: int) -> Config:
        """Return the configuration of a trial."""
        if number < len(self._first):
            config = self._first[number]
            if number == 0 or self._epochs_fixed:
                return config
            return config.with_settings(epochs=scaled(config.train.epochs, self._share))
        leader = self._start if self._leader is None else self._leader.config
        found = self._families[family_of(leader)].suggest(self._seed * 100_003 + number)
        return self._start.with_settings(**found)


class _Family:
    """The search among the settings of one family of objectives."""

    def __init__(
        self, space: Mapping[str, Any], fixed: Mapping[str, Any], start: Config, share: float
    ) -> None:
        fewest, most = (scaled(epochs, share) for epochs in (space["epochs"].low, space["epochs"].high))
        lowest, highest = max(space["alpha"].low, start.train.min_alpha), space["alpha"].high
        searched = {
            **space,
            "epochs": IntDistribution(fewest, max(most, fewest + 1), log=True),
            "alpha": FloatDistribution(lowest, max(lowest, highest), log=True),
        }
        given = set(fixed)
        if "context_decay" in given:
            given |= {"short_decay", "long_decay"}
        if isinstance(start.train, NextItem) and len(start.train.context_decay) != 2:
            given |= {"vector_size"}  # its range is that of two parts
        self._space = {name: range_ for name, range_ in searched.items() if name not in given}
        self._lowest_alpha = lowest
        self._next_item = space is NEXT_ITEM
        self._study = optuna.create_study(direction="maximize")

    def show(self, trial: Trial) -> None:
        train = trial.config.train.model_dump()
        if self._next_item and "short_decay" in self._space:
            train["short_decay"], train["long_decay"] = train["context_decay"]
        stopped = trial.state == "stopped"
        self._study.add_trial(
            create_trial(
                params={name: train[name] for name in self._space},
                distributions=self._space,
                value=None if stopped and not trial.rungs else trial.score,
                intermediate_values=dict(enumerate(trial.rungs)),
                state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
            )
        )

    def suggest(self, seed: int) -> dict[str, Any]:
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=3)
        found = self._study.ask(self._space).params
        for name in {"alpha", "weight_decay"} & set(found):
            found[name] = float(f"{found[name]:.3g}")
        if "alpha" in found:
            found["alpha"] = max(found["alpha"], self._lowest_alpha)
        if "short_decay" in found:
            decays = (found.pop("short_decay"), found.pop("long_decay"))
            found["context_decay"] = tuple(round(decay, 2) for decay in decays)
        return found | {"objective": "next_item"} if self._next_item else found


def family_of(config: Config) -> str:
    """Return the family of a configuration's objective.

    >>> family_of(Config())
    'next_item'
    """
    return "next_item" if isinstance(config.train, NextItem) else "word2vec"


def searched(config: Config) -> dict[str, Any]:
    """Return the settings of training that are searched in a configuration's family.

    >>> searched(Config())["epochs"]
    15
    """
    names = {"objective", *SPACES[family_of(config)]}
    if "short_decay" in names:
        names.add("context_decay")
    return {name: value for name, value in config.train.model_dump().items() if name in names}


def _possible(
    start: Config, changes: Sequence[Mapping[str, Any]], fixed: Mapping[str, Any]
) -> Iterator[Config]:
    """Yield the start with each change, where what is fixed allows it and the family searches it."""
    for change in changes:
        if "objective" in fixed and change.get("objective", fixed["objective"]) != fixed["objective"]:
            continue
        try:
            config = start.with_settings(**{n: value for n, value in change.items() if n not in fixed})
        except ConfigError:
            continue
        if change.keys() - {"objective", "context_decay"} <= SPACES[family_of(config)].keys():
            yield config
