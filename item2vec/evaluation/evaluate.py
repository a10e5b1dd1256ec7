"""Asks a model what came next, and counts how often it knew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from item2vec import metrics
from item2vec.errors import InputError
from item2vec.evaluation.splits import Split
from item2vec.sentences import Sentences
from item2vec.types import Recommendation, check_k

__all__ = ["Evaluation", "Model", "evaluate"]


class Model(Protocol):
    """Whatever answers many histories at once."""

    def recommend_many(
        self, histories: Sentences, *, k: int, filter_seen: bool
    ) -> Sequence[Sequence[Recommendation]]:
        """Return up to ``k`` recommendations for each history, best first."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Mean metrics over all questions, by name, such as ``hr@10``; and the rank of each target.

    ``ranks`` (float64, one a question) starts at 1; ``inf`` means not among those asked for.

    >>> Evaluation({"hr@10": 0.5}, 2, np.array([1, np.inf]))
    Evaluation(metrics={'hr@10': 0.5}, n_questions=2)
    """

    metrics: dict[str, float]
    n_questions: int
    ranks: npt.NDArray[np.float64] = field(repr=False, compare=False)


def evaluate(
    model: Model, split: Split, *, k: int | Sequence[int] = 10, filter_seen: bool = True
) -> Evaluation:
    """Ask a model every history of a split, and measure the rank it gives to what truly came next.

    Goes through ``recommend_many``, index and filters included. Ties count against the model: a target ranks
    last among items of the same score. A target that the model cannot return counts as a miss.

    Examples
    --------
    >>> from item2vec.evaluation import Popularity, leave_last_out
    >>> split = leave_last_out(Sentences.of([["a", "b"], ["c", "b", "a"], ["c", "b"]]))
    >>> evaluate(Popularity(split.train), split, k=2).metrics["mrr@2"]
    0.6666666666666666
    """
    cutoffs = [check_k(one) for one in ([k] if isinstance(k, int) else k)]
    if not len(split.targets):
        raise InputError(f"{split.protocol} leaves no question to ask; expected longer sentences")
    if bool((split.targets.lengths != 1).any()):
        raise InputError("a question has more than one target; expected exactly one")
    answers = model.recommend_many(split.histories, k=max(cutoffs) + 1, filter_seen=filter_seen)
    targets = split.targets.vocabulary.decode(split.targets.tokens)
    ranks = np.array([_rank(answer, target) for answer, target in zip(answers, targets, strict=True)])
    means = {
        f"{metric.__name__}@{cutoff}": float(metric(ranks, cutoff).mean())
        for cutoff in cutoffs
        for metric in (metrics.hr, metrics.ndcg, metrics.mrr)
    }
    return Evaluation(means, len(targets), ranks)


def _rank(answer: Sequence[Recommendation], target: str) -> float:
    """Return the position of the last item that scores as the target does; ``inf`` without the target."""
    score = next((one.score for one in answer if one.item == target), None)
    if score is None:
        return float("inf")
    return float(max(position for position, one in enumerate(answer, start=1) if one.score == score))
