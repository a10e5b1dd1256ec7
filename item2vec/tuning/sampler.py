"""Search spaces, and suggestions of configurations by Optuna. Only this module imports Optuna."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from item2vec.config import CBOW, Config, NextItem, SkipGram
from item2vec.tuning.starts import Decays, Objective, decays_of, first_configs
from item2vec.tuning.trial import Trial

__all__ = ["Sampler", "family_of", "scaled", "searched"]

Space = Mapping[str, BaseDistribution]

SEARCHED_DECAYS: tuple[Decays, ...] = (
    ("learned", 0.98, 0.3),
    ("learned", "learned"),
    ("learned", 0.98),
    ("learned", 0.98, "learned"),
    ("learned", "learned", "learned"),
    (0.3, 0.8, 0.98),
    (0.98, 0.9),
    (0.98,),
    (0.3,),
)
"""Values of ``context_decay`` in the search space."""


def _name_of(decays: Decays) -> str:
    return " ".join(map(str, decays))


_DECAYS_NAMED = {_name_of(decays): decays for decays in SEARCHED_DECAYS}


WORD2VEC: Space = {
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
NEXT_ITEM: Space = {
    "memory": CategoricalDistribution([_name_of(decays) for decays in SEARCHED_DECAYS]),
    "tied": IntDistribution(0, 2),
    "similarity": CategoricalDistribution(["cosine", "inner"]),
    "temperature": FloatDistribution(0.05, 0.2, log=True),
    "part_size": IntDistribution(64, 256, step=64),
    "epochs": IntDistribution(5, 40, log=True),
    "dropout": FloatDistribution(0.0, 0.6, step=0.1),
    "weight_decay": FloatDistribution(1e-4, 3e-2, log=True),
    "ns_exponent": FloatDistribution(0.0, 1.0, step=0.25),
    "alpha": FloatDistribution(0.04, 0.2, log=True),
}
LSA: Space = {
    "matrix": CategoricalDistribution(["items", "sentences"]),
    "weighting": CategoricalDistribution(["ppmi", "tfidf", "raw"]),
    "power": FloatDistribution(0.0, 1.0, step=0.25),
    "vector_size": IntDistribution(32, 256, step=32),
    "window": IntDistribution(1, 50, log=True),
    "forward_only": CategoricalDistribution([False, True]),
    "ns_exponent": FloatDistribution(0.0, 1.0, step=0.25),
}
GLOVE: Space = {
    "vector_size": IntDistribution(32, 128, step=32),
    "window": IntDistribution(1, 50, log=True),
    "epochs": IntDistribution(5, 80, log=True),
    "x_max": FloatDistribution(1.0, 100.0, log=True),
    "forward_only": CategoricalDistribution([False, True]),
    "alpha": FloatDistribution(0.03, 0.3, log=True),
}
TRANSITIONS: Space = {
    "window": IntDistribution(1, 20, log=True),
    "fade": FloatDistribution(0.3, 1.0, step=0.1),
    "smoothing": FloatDistribution(0.5, 50.0, log=True),
    "max_neighbours": IntDistribution(50, 1000, log=True),
}
LINKPROP: Space = {
    "max_neighbours": IntDistribution(20, 2000, log=True),
    "max_items": IntDistribution(50, 2000, log=True),
}
EASE: Space = {
    "l2": FloatDistribution(5.0, 5000.0, log=True),
    "max_neighbours": IntDistribution(50, 1000, log=True),
}
SPACES = {
    "word2vec": WORD2VEC,
    "next_item": NEXT_ITEM,
    "lsa": LSA,
    "glove": GLOVE,
    "transitions": TRANSITIONS,
    "linkprop": LINKPROP,
    "ease": EASE,
}


def scaled(epochs: int, share: float) -> int:
    """Return the number of epochs multiplied by ``share``, rounded, but at least 1.

    >>> scaled(40, 0.25), scaled(40, 0.001)
    (10, 1)
    """
    return max(1, round(epochs * share))


class Sampler:
    """Suggest configurations by the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).

    The first trials cover all objectives of ``starts``. Later suggestions belong to the family of the best
    observed trial. A suggestion depends only on the parameters of the sampler, the number of the trial and
    the observed trials.

    Parameters
    ----------
    starts
        Default configuration of each objective. Trial 0 has the first of these configurations.
    fixed
        Settings that are not searched.
    seed
        Seed of the suggestions.
    share
        Share of the epochs of a configuration that a trial trains (above 0, up to 1). Trial 0 trains all
        epochs. If ``epochs`` is fixed, all trials train all epochs.
    n_tokens
        Number of tokens of the data, on which the default number of epochs depends.
    ordered
        Whether the order of items in a sentence is meaningful.
    """

    def __init__(
        self,
        starts: Mapping[Objective, Config],
        fixed: Mapping[str, Any],
        seed: int,
        *,
        share: float = 1.0,
        n_tokens: int = 0,
        ordered: bool = True,
    ) -> None:
        starts = {
            objective: start.replace(train=start.train.for_data(n_tokens, ordered=ordered))
            for objective, start in starts.items()
        }
        self.default = next(iter(starts.values()))
        self._first = list(dict.fromkeys([self.default, *first_configs(starts, fixed)]))
        self._families = {
            family_of(start): _Family(start, fixed, share) for start in reversed(list(starts.values()))
        }
        self._share = 1.0 if "epochs" in fixed else share
        self._seed = seed
        self._leader: Trial | None = None
        self._observed: set[int] = set()

    @property
    def n_first(self) -> int:
        """Number of the first trials, whose configurations are predefined, not suggested by the estimator."""
        return len(self._first)

    @property
    def searches(self) -> bool:
        """Whether other configurations follow the first ones; false if all searched settings are fixed."""
        return any(family.searches for family in self._families.values())

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives of the first trials."""
        return tuple(dict.fromkeys(config.train.objective for config in self._first))

    def observe(self, trials: Sequence[Trial]) -> None:
        """Add the results of trials. Trials that were already added are ignored."""
        for trial in trials:
            if trial.number in self._observed:
                continue
            self._observed.add(trial.number)
            best = max((trial, *trial.others), key=lambda one: one.score)
            failed = trial.state == "failed"  # its score is 0, which may be above all other scores
            if not failed and (self._leader is None or best.score > self._leader.score):
                self._leader = best
            if trial.number > 0 or self._share == 1:  # else trial 0 has more epochs than the space allows
                self._families[family_of(trial.config)].observe(replace(trial, score=best.score))

    def suggest(self, number: int) -> Config:
        """Return the configuration of trial ``number``."""
        if number < len(self._first):
            config = self._first[number]
            return config if number == 0 else with_epochs(config, self._share)
        leader = self.default if self._leader is None else self._leader.config
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        return self._families[family_of(leader)].suggest(seed)


def with_epochs(config: Config, share: float) -> Config:
    """Return the configuration with its number of epochs multiplied by ``share``.

    If the search space of the family has no ``epochs``, the configuration is returned unchanged.
    """
    if share == 1 or "epochs" not in SPACES[family_of(config)]:
        return config
    return config.with_settings(epochs=scaled(config.train.epochs, share))


class _Family:
    """Search space and observed trials of one family of objectives."""

    def __init__(self, start: Config, fixed: Mapping[str, Any], share: float) -> None:
        space: dict[str, Any] = dict(SPACES[family_of(start)])
        self._lowest_alpha = 0.0
        if "epochs" in space:
            fewest, most = (scaled(epochs, share) for epochs in (space["epochs"].low, space["epochs"].high))
            space["epochs"] = IntDistribution(fewest, max(most, fewest + 1), log=True)
        if isinstance(start.train, NextItem | SkipGram | CBOW):
            self._lowest_alpha = max(space["alpha"].low, start.train.min_alpha)
            highest = max(self._lowest_alpha, space["alpha"].high)
            space["alpha"] = FloatDistribution(self._lowest_alpha, highest, log=True)
        unsearched = set(fixed)
        if isinstance(start.train, SkipGram | CBOW) and start.train.backend == "gensim":
            unsearched.add("forward_only")
        if "vector_size" in fixed:
            unsearched |= {"part_size", "memory"}
        has_parts = "part_weights" in fixed or isinstance(fixed.get("decay"), tuple | list | str)
        if "context_decay" in fixed or has_parts or set(decays_of(start)) == {1.0}:
            unsearched.add("memory")
        self._space = {name: range_ for name, range_ in space.items() if name not in unsearched}
        self._start = start
        self._trials: list[FrozenTrial] = []

    @property
    def searches(self) -> bool:
        """Whether the search space has a setting that is not fixed."""
        return bool(self._space)

    def observe(self, trial: Trial) -> None:
        settings = _parameters_of(trial.config)
        stopped = trial.state == "stopped"
        score = trial.score
        reached = {step: rung for step, rung in enumerate(trial.rungs) if rung is not None}
        if trial.state == "failed":
            score = min((one.value for one in self._trials if one.value is not None), default=0.0)
        with contextlib.suppress(ValueError):  # raised if a first trial is outside the space
            self._trials.append(
                create_trial(
                    params={name: settings[name] for name in self._space},
                    distributions=self._space,
                    value=None if stopped and not reached else score,
                    intermediate_values=reached,
                    state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
                )
            )

    def suggest(self, seed: int) -> Config:
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=3)
        # A new Optuna study is created for each suggestion, because a shared one would depend on earlier
        # suggestions, which are unknown after a resumption.
        with _quiet():
            study = optuna.create_study(direction="maximize", sampler=sampler)
            study.add_trials(self._trials)
            settings = study.ask(self._space).params
        for name in {"alpha", "weight_decay", "smoothing", "l2"} & set(settings):
            settings[name] = float(f"{settings[name]:.3g}")
        if "alpha" in settings:
            settings["alpha"] = max(settings["alpha"], self._lowest_alpha)
        decays = decays_of(self._start)
        if "memory" in settings:
            decays = settings["context_decay"] = _DECAYS_NAMED[settings.pop("memory")]
        if "tied" in settings:
            settings["tied"] = min(settings["tied"], len(decays))
        if "part_size" in settings:
            settings["vector_size"] = settings.pop("part_size") * len(decays)
        return self._start.with_settings(**settings)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Optuna's log messages below the level of errors, and restore its level at exit."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def family_of(config: Config) -> str:
    """Return the family of a configuration: a group of objectives that are searched together.

    >>> family_of(Config().with_settings(objective="cbow"))
    'word2vec'
    """
    return "word2vec" if isinstance(config.train, SkipGram | CBOW) else config.train.objective


def searched(config: Config) -> dict[str, Any]:
    """Return the training settings of a configuration that its family searches.

    The objective and ``vector_size`` are always included, and ``context_decay`` for next_item.

    >>> searched(Config().with_settings(objective="cbow"))["window"]
    10
    """
    names = {"objective", "vector_size", *SPACES[family_of(config)]}
    if decays_of(config):
        names.add("context_decay")
    return {name: value for name, value in config.train.model_dump().items() if name in names}


def _parameters_of(config: Config) -> dict[str, Any]:
    """Return the searched training settings of a configuration, by their names in the search space."""
    settings = searched(config)
    if decays := decays_of(config):
        settings |= {"memory": _name_of(decays), "part_size": settings["vector_size"] // len(decays)}
    return settings
