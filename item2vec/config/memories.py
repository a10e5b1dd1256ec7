"""The memories of next_item: how far back each part of the vectors reads, by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from item2vec.config.settings import Learned

__all__ = ["DEFAULT_PART_WEIGHTS", "MEMORIES", "fitting_memory", "size_of_parts", "tied_parts"]

NUMBERS_PER_PART = 128
MEMORIES: tuple[tuple[float | Learned, ...], ...] = (
    ("learned", 0.98, 0.3),
    ("learned", "learned"),
    ("learned",),
)
"""next_item's ``context_decay`` by default: the first of these that cuts ``vector_size`` into equal parts of
two numbers or more."""
DEFAULT_PART_WEIGHTS = (1.0, 1.0, 0.5)
"""How much the parts of the first of ``MEMORIES`` count: the next item wants short memories, the next weeks
long ones."""


def fitting_memory(vector_size: int) -> tuple[float | Learned, ...]:
    """Return the first of ``MEMORIES`` that cuts so many numbers into equal parts of two or more.

    >>> fitting_memory(384), fitting_memory(64), fitting_memory(25)
    (('learned', 0.98, 0.3), ('learned', 'learned'), ('learned',))
    """
    fitting = (one for one in MEMORIES if vector_size % len(one) == 0 and vector_size >= 2 * len(one))
    return next(fitting, MEMORIES[-1])


def size_of_parts(settings: Mapping[str, Any]) -> int:
    """Return the ``vector_size`` by default: 128 numbers for each part."""
    return NUMBERS_PER_PART * len(settings["context_decay"])


def tied_parts(settings: Mapping[str, Any]) -> int:
    """Return how many parts are tied by default: half of them."""
    return len(settings["context_decay"]) // 2
