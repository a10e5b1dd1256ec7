"""Load a bundle and answer from it: ``python -m item2vec.versions.canary FOLDER``."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from item2vec import bundle
from item2vec.errors import CorruptBundleError, Item2VecError
from item2vec.recommender import Recommender
from item2vec.types import Recommendation

__all__ = ["ask"]

ASKED = 32
K = 10


def ask(model: Recommender) -> None:
    """Ask a model about items from the most to the least frequent one.

    Raises
    ------
    CorruptBundleError
        If an answer is shorter than it must be, names an item twice, or has a score that is not finite.
    """
    n_items = len(model.vectors)
    rows = np.linspace(0, n_items - 1, min(ASKED, n_items)).astype(int)
    asked = model.vocabulary.decode(np.unique(rows))
    expected = min(K, n_items - 1)
    for item in asked:
        _check(f"similar to {item!r}", model.similar_items(item, k=K), expected)
        _check(f"after {item!r}", model.recommend([item], k=K), expected)
    for item, answer in zip(asked, model.recommend_many([[item] for item in asked], k=K), strict=True):
        _check(f"after {item!r}, one of many", answer, expected)


def _check(question: str, answer: list[Recommendation], expected: int) -> None:
    distinct = {found.item for found in answer}
    if len(distinct) != expected or not all(math.isfinite(found.score) for found in answer):
        raise CorruptBundleError(f"{question}: {answer}; expected {expected} items with finite scores")


if __name__ == "__main__":
    try:
        ask(Recommender.from_parts(bundle.read(Path(sys.argv[1]))))
    except Item2VecError as error:
        sys.exit(str(error))
