"""The default configuration of each objective, and the predefined configurations of the first trials."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from item2vec.config import Config, NextItem
from item2vec.config.settings import Learned
from item2vec.errors import ConfigError

__all__ = ["Decays", "Objective", "decays_of", "first_configs", "starts_of"]

Objective = Literal["next_item", "skipgram", "cbow", "lsa", "glove", "transitions", "linkprop", "ease"]
Decays = tuple[float | Learned, ...]

OBJECTIVES: tuple[Objective, ...] = ("next_item", "skipgram", "cbow")
COUNTING: tuple[Objective, ...] = ("lsa", "glove", "transitions", "linkprop", "ease")
"""Objectives based on counts, which are searched only if ``objective`` is fixed to one of them."""

FIRST_TRIALS: tuple[tuple[Objective, Mapping[str, Any]], ...] = (
    ("next_item", {}),
    ("skipgram", {}),
    ("next_item", {"context_decay": (0.98,), "tied": 1}),
    ("next_item", {"context_decay": ("learned", "learned"), "dropout": 0.1}),
    ("cbow", {}),
    ("next_item", {"similarity": "inner", "tied": 0, "context_decay": (0.3, 0.8, 0.98)}),
    ("skipgram", {"window": 20, "shrink_windows": False}),
    ("next_item", {"context_decay": ("learned", 0.98, "learned"), "tied": 2, "epochs": 25}),
    ("skipgram", {"window": 5, "vector_size": 128, "forward_only": True}),
    ("lsa", {}),
    ("lsa", {"matrix": "sentences"}),
    ("lsa", {"forward_only": True, "vector_size": 128}),
    ("glove", {}),
    ("glove", {"x_max": 3.0}),
    ("transitions", {}),
    ("transitions", {"window": 2}),
    ("transitions", {"window": 10, "smoothing": 20.0}),
    ("linkprop", {}),
    ("linkprop", {"max_neighbours": 1000}),
    ("ease", {}),
    ("ease", {"l2": 50.0}),
    ("ease", {"l2": 1000.0}),
)
"""Objective of each of the first trials, and the settings that differ from the default of the objective.

Each configuration suits a different kind of data.
"""


def starts_of(fixed: Mapping[str, Any]) -> dict[Objective, Config]:
    """Return the default configuration of each objective, with the fixed settings applied.

    Objectives that do not have all fixed settings, or do not allow a fixed value, are omitted. If
    ``objective`` is fixed, all other objectives are omitted. The objectives of ``COUNTING`` are included only
    in this case. The order is the order of ``OBJECTIVES``. Unless ``backend`` is fixed, skip-gram and CBOW
    use the faster numba backend if it supports the settings.

    Raises
    ------
    ConfigError
        If all objectives are omitted.
    """
    starts: dict[Objective, Config] = {}
    first_error: ConfigError | None = None
    chosen = fixed.get("objective")
    for objective in (*OBJECTIVES, *COUNTING):
        if chosen != objective and (chosen is not None or objective in COUNTING):
            continue
        for backend in ({"backend": "numba"}, {}) if objective in {"skipgram", "cbow"} else ({},):
            try:
                starts[objective] = Config().with_settings(**{"objective": objective, **backend, **fixed})
                break
            except ConfigError as error:
                first_error = first_error or error
    if not starts:
        raise first_error or ConfigError(
            f"objective is {fixed['objective']!r}; expected one of {', '.join((*OBJECTIVES, *COUNTING))}"
        )
    return starts


def decays_of(config: Config) -> Decays:
    """Return ``context_decay`` (one value per part) of next_item, or an empty tuple for other objectives."""
    return config.train.context_decay if isinstance(config.train, NextItem) else ()


def first_configs(starts: Mapping[Objective, Config], fixed: Mapping[str, Any]) -> Iterator[Config]:
    """Yield the configurations of ``FIRST_TRIALS``, with the fixed settings in place of their own.

    A configuration is omitted if its objective is not in ``starts``, if all its changes are to fixed
    settings, or if it is invalid. ``context_decay`` is not changed if the decay of all parts in ``starts`` is
    1, which is the default for unordered sentences.
    """
    for objective, changes in FIRST_TRIALS:
        free = {name: value for name, value in changes.items() if name not in fixed}
        if objective in starts and (free or not changes):
            if set(decays_of(starts[objective])) == {1.0}:
                free.pop("context_decay", None)
            with contextlib.suppress(ConfigError):
                yield starts[objective].with_settings(**free)
