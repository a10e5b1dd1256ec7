"""Questions that every model must be able to answer."""

from __future__ import annotations

import math

import numpy as np

from item2vec.errors import CorruptBundleError
from item2vec.recommender import Recommender
from item2vec.types import Recommendation

__all__ = ["ask"]

ASKED = 32
ASKED_BRIEFLY = 4
K = 10


def ask(model: Recommender, *, briefly: bool = False) -> None:
    """Ask a model about items from the most to the least frequent one: what follows, and what is similar.

    ``briefly``: about few items and not for similar ones, as suits a process that answers requests meanwhile,
    and may never need the matrix of unit vectors that similarity takes.

    Raises
    ------
    CorruptBundleError
        If an answer is shorter than it must be, names an item twice, or has a score that is not finite.
    """
    n_items = len(model.vectors)
    rows = np.linspace(0, n_items - 1, min(ASKED_BRIEFLY if briefly else ASKED, n_items)).astype(int)
    asked = model.vocabulary.decode(np.unique(rows))
    expected = min(K, n_items - 1)
    for item in asked:
        if not briefly:
            _check(f"similar to {item!r}", model.similar_items(item, k=K), expected)
        _check(f"after {item!r}", model.recommend([item], k=K), expected)
    for item, answer in zip(asked, model.recommend_many([[item] for item in asked], k=K), strict=True):
        _check(f"after {item!r}, one of many", answer, expected)


def _check(question: str, answer: list[Recommendation], expected: int) -> None:
    distinct = {found.item for found in answer}
    if len(distinct) != expected or not all(math.isfinite(found.score) for found in answer):
        raise CorruptBundleError(f"{question}: {answer}; expected {expected} items with finite scores")
