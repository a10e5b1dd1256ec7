"""Which configuration to try next; the one door to Optuna."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from item2vec.config import Config, NextItem
from item2vec.config.settings import Learned
from item2vec.errors import ConfigError
from item2vec.tuning.trial import Trial

__all__ = ["Sampler", "family_of", "scaled", "searched", "starts_of"]

Objective = Literal["next_item", "skipgram", "cbow"]
Space = Mapping[str, BaseDistribution]
Memory = tuple[float | Learned, ...]

OBJECTIVES: tuple[Objective, ...] = ("next_item", "skipgram", "cbow")
SEARCHED_MEMORIES: tuple[Memory, ...] = (
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
"""What ``context_decay`` is searched among."""


def _name_of(memory: Memory) -> str:
    return " ".join(map(str, memory))


_MEMORY_NAMED = {_name_of(memory): memory for memory in SEARCHED_MEMORIES}


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
    "memory": CategoricalDistribution([_name_of(decays) for decays in SEARCHED_MEMORIES]),
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
SPACES = {"word2vec": WORD2VEC, "next_item": NEXT_ITEM}

FIRST: tuple[tuple[Objective, Mapping[str, Any]], ...] = (
    ("next_item", {}),
    ("skipgram", {}),
    ("next_item", {"context_decay": (0.98,), "tied": 1}),
    ("next_item", {"context_decay": ("learned", "learned"), "dropout": 0.1}),
    ("cbow", {}),
    ("next_item", {"similarity": "inner", "tied": 0, "context_decay": (0.3, 0.8, 0.98)}),
    ("skipgram", {"window": 20, "shrink_windows": False}),
    ("next_item", {"context_decay": ("learned", 0.98, "learned"), "tied": 2, "epochs": 25}),
    ("skipgram", {"window": 5, "vector_size": 128, "forward_only": True}),
)
"""What is tried before anything is known: settings that suit one kind of data or another."""


def scaled(epochs: int, share: float) -> int:
    """Return a share of so many epochs, at least one.

    >>> scaled(40, 0.25), scaled(40, 0.001)
    (10, 1)
    """
    return max(1, round(epochs * share))


def starts_of(fixed: Mapping[str, Any]) -> dict[Objective, Config]:
    """Return the defaults with what is fixed for each objective that knows it; next_item first if it does.

    Skip-gram and CBOW are trained by the quicker backend where it can.

    Raises
    ------
    ConfigError
        If no objective knows what is fixed, or a value is out of range.
    """
    found: dict[Objective, Config] = {}
    refused: ConfigError | None = None
    for objective in OBJECTIVES:
        if fixed.get("objective", objective) != objective:
            continue
        given: dict[str, Any] = {"objective": objective}
        for backend in ({"backend": "numba"}, {}) if objective != "next_item" else ({},):
            try:
                found[objective] = Config().with_settings(**{**given, **backend, **fixed})
                break
            except ConfigError as error:
                refused = refused or error
    if not found:
        raise refused or ConfigError(
            f"objective is {fixed['objective']!r}; tune knows {', '.join(OBJECTIVES)}"
        )
    return found


class Sampler:
    """Suggests settings by the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).

    After a first look at each objective, the family that leads is searched. A suggestion depends on the seed,
    the trial's number and the trials that were shown, on nothing else. ``share`` (above 0, up to 1) is the
    part of the epochs that trials have, where there is much data; all but the first, which is the default.
    ``reread``: there is more to choose in how next_item is read than the length of a history, so that the
    default is trained once more and read in the way that suits it best; word2vec's always is. A small budget
    has seen another objective before that.
    """

    def __init__(
        self,
        starts: Mapping[Objective, Config],
        fixed: Mapping[str, Any],
        seed: int,
        *,
        share: float = 1.0,
        ordered: bool = True,
        reread: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if not ordered and "next_item" in starts:
            start = starts["next_item"]
            starts = {**starts, "next_item": start.replace(train=start.train.without_order())}
        self.default = next(iter(starts.values()))
        looks = dict.fromkeys([self.default, *_possible(starts, fixed)])
        reread = reread or family_of(self.default) == "word2vec"
        self._first = [*list(looks)[:2], *[self.default] * reread, *list(looks)[2:]]
        self._families = {
            family_of(start): _Family(start, fixed, share) for start in reversed(list(starts.values()))
        }
        self._share = 1.0 if "epochs" in fixed else share
        self._seed = seed
        self._leader: Trial | None = None
        self._shown: set[int] = set()

    @property
    def n_first(self) -> int:
        """How many trials the first look takes."""
        return len(self._first)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives that are looked at."""
        return tuple(dict.fromkeys(config.train.objective for config in self._first))

    def observe(self, trials: Sequence[Trial]) -> None:
        """Take in the outcome of trials, each once."""
        for trial in trials:
            if trial.number in self._shown:
                continue
            self._shown.add(trial.number)
            if self._leader is None or trial.score > self._leader.score:
                self._leader = trial
            if trial.number > 0 or self._share == 1:  # the first has all its epochs, beyond what is searched
                self._families[family_of(trial.config)].observe(trial)

    def suggest(self, number: int) -> Config:
        """Return the configuration of a trial."""
        if number < len(self._first):
            config = self._first[number]
            return config if number == 0 else with_epochs(config, self._share)
        leader = self.default if self._leader is None else self._leader.config
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        return self._families[family_of(leader)].suggest(seed)


def with_epochs(config: Config, share: float) -> Config:
    """Return a configuration with a share of its epochs."""
    return config if share == 1 else config.with_settings(epochs=scaled(config.train.epochs, share))


class _Family:
    """The search among the settings of one family of objectives."""

    def __init__(self, start: Config, fixed: Mapping[str, Any], share: float) -> None:
        space: dict[str, Any] = dict(SPACES[family_of(start)])
        fewest, most = (scaled(epochs, share) for epochs in (space["epochs"].low, space["epochs"].high))
        self._lowest_alpha = max(space["alpha"].low, start.train.min_alpha)
        space["epochs"] = IntDistribution(fewest, max(most, fewest + 1), log=True)
        highest = max(self._lowest_alpha, space["alpha"].high)
        space["alpha"] = FloatDistribution(self._lowest_alpha, highest, log=True)
        given = set(fixed)
        if start.train.backend == "gensim":
            given.add("forward_only")
        if "vector_size" in fixed:
            given |= {"part_size", "memory"}
        if "context_decay" in fixed or set(memory_of(start)) == {1.0}:
            given.add("memory")
        self._space = {name: range_ for name, range_ in space.items() if name not in given}
        self._start = start
        self._trials: list[FrozenTrial] = []

    def observe(self, trial: Trial) -> None:
        settings = _terms_of(trial.config)
        stopped = trial.state == "stopped"
        with contextlib.suppress(ValueError):  # a configuration of the first look may be out of range
            self._trials.append(
                create_trial(
                    params={name: settings[name] for name in self._space},
                    distributions=self._space,
                    value=None if stopped and not trial.rungs else trial.score,
                    intermediate_values=dict(enumerate(trial.rungs)),
                    state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
                )
            )

    def suggest(self, seed: int) -> Config:
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=3)
        # A new study: suggestions would depend on earlier ones, too, which a resumed search has not made.
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(self._trials)
        found = study.ask(self._space).params
        for name in {"alpha", "weight_decay"} & set(found):
            found[name] = float(f"{found[name]:.3g}")
        if "alpha" in found:
            found["alpha"] = max(found["alpha"], self._lowest_alpha)
        memory = memory_of(self._start)
        if "memory" in found:
            memory = found["context_decay"] = _MEMORY_NAMED[found.pop("memory")]
        if "tied" in found:
            found["tied"] = min(found["tied"], len(memory))
        if "part_size" in found:
            found["vector_size"] = found.pop("part_size") * len(memory)
        return self._start.with_settings(**found)


def family_of(config: Config) -> str:
    """Return the family of a configuration's objective.

    >>> family_of(Config().with_settings(objective="cbow"))
    'word2vec'
    """
    return "next_item" if isinstance(config.train, NextItem) else "word2vec"


def memory_of(config: Config) -> Memory:
    """Return the ``context_decay`` of each part of next_item's vectors; none of another objective's."""
    return config.train.context_decay if isinstance(config.train, NextItem) else ()


def searched(config: Config) -> dict[str, Any]:
    """Return the settings of training that are searched in a configuration's family.

    >>> searched(Config().with_settings(objective="cbow"))["window"]
    10
    """
    names = {"objective", "vector_size", *SPACES[family_of(config)]}
    if memory_of(config):
        names.add("context_decay")
    return {name: value for name, value in config.train.model_dump().items() if name in names}


def _terms_of(config: Config) -> dict[str, Any]:
    """Return the settings of training in the terms of the search."""
    settings = searched(config)
    if memory := memory_of(config):
        settings |= {"memory": _name_of(memory), "part_size": settings["vector_size"] // len(memory)}
    return settings


def _possible(starts: Mapping[Objective, Config], fixed: Mapping[str, Any]) -> Iterator[Config]:
    """Yield each configuration of the first look that what is fixed allows."""
    for objective, changes in FIRST:
        free = {name: value for name, value in changes.items() if name not in fixed}
        if objective in starts and (free or not changes):
            if set(memory_of(starts[objective])) == {1.0}:
                free.pop("context_decay", None)
            with contextlib.suppress(ConfigError):
                yield starts[objective].with_settings(**free)
