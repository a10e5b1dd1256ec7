"""Defaults of next_item that depend on other settings or on the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from item2vec.config.settings import Learned

__all__ = [
    "DEFAULT_PART_WEIGHTS",
    "FULL_EPOCHS_TOKENS",
    "MEMORIES",
    "defaults_for",
    "epochs_for",
    "fitting_memory",
    "size_of_parts",
    "tied_parts",
]

DIMENSIONS_PER_PART = 128
MEMORIES: tuple[tuple[float | Learned, ...], ...] = (
    ("learned", 0.98, 0.3),
    ("learned", "learned"),
    ("learned",),
)
"""Candidates for the default of ``context_decay``, in order of preference. The default is the first candidate
whose number of parts divides ``vector_size`` into at least two dimensions per part; otherwise the last."""
DEFAULT_PART_WEIGHTS = (1.0, 1.0, 0.5)
"""Weights of the parts of ``MEMORIES[0]`` in a score.

The part with decay 0.3 has half the weight of the other parts. It is best at predicting the next item; the
other parts are best at predicting the items of the next weeks.
"""
FULL_EPOCHS_TOKENS = 250_000
"""Number of tokens above which training needs fewer epochs, because an epoch has more updates."""
MIN_EPOCHS = 5
UNORDERED_WINDOW = 20
"""Default of ``window`` for unordered sentences."""


def fitting_memory(vector_size: int) -> tuple[float | Learned, ...]:
    """Return the default ``context_decay`` for a vector size.

    >>> fitting_memory(384), fitting_memory(64), fitting_memory(25)
    (('learned', 0.98, 0.3), ('learned', 'learned'), ('learned',))
    """
    fitting = (
        memory for memory in MEMORIES if vector_size % len(memory) == 0 and vector_size >= 2 * len(memory)
    )
    return next(fitting, MEMORIES[-1])


def size_of_parts(settings: Mapping[str, Any]) -> int:
    """Return the default ``vector_size``: 128 dimensions per part."""
    return DIMENSIONS_PER_PART * len(settings["context_decay"])


def tied_parts(settings: Mapping[str, Any]) -> int:
    """Return the default number of tied parts: half of the parts, rounded down."""
    return len(settings["context_decay"]) // 2


def epochs_for(n_tokens: int, epochs: int) -> int:
    """Return the number of epochs for this number of tokens; ``epochs`` is the number up to 250,000 tokens.

    Above 250,000 tokens, the number is ``epochs · sqrt(250,000 / n_tokens)``, rounded, but at least 5. If
    ``epochs`` is at most 5, it is returned unchanged.

    >>> epochs_for(250_000, 15), epochs_for(1_000_000, 15), epochs_for(10_000_000, 15)
    (15, 8, 5)
    """
    share = math.sqrt(FULL_EPOCHS_TOKENS / max(n_tokens, FULL_EPOCHS_TOKENS))
    return max(min(epochs, MIN_EPOCHS), round(share * epochs))


def defaults_for(n_tokens: int, epochs: int, n_parts: int, *, ordered: bool) -> dict[str, Any]:
    """Return the defaults that depend on the number of tokens and on the order of sentences.

    >>> defaults_for(1_000_000, 15, 2, ordered=False)
    {'epochs': 8, 'context_decay': (1.0, 1.0), 'window': 20}
    """
    defaults: dict[str, Any] = {"epochs": epochs_for(n_tokens, epochs)}
    if not ordered:
        defaults |= {"context_decay": (1.0,) * n_parts, "window": UNORDERED_WINDOW}
    return defaults
