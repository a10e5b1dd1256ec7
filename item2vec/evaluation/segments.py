"""For whom and for what a model works: the same metrics over parts of the questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from item2vec.arrays import Mask
from item2vec.errors import InputError
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.split import Split

__all__ = ["Segment", "by_coldness", "segments"]


LENGTHS = (0, 1, 2, 5, 10, 20, 50)


@dataclass(frozen=True, slots=True)
class Segment:
    """The metrics of one part of the questions, such as those with long histories.

    >>> Segment("history length", "50 or more", 12, {"hr@10": 0.25}).metrics["hr@10"]
    0.25
    """

    by: str
    name: str
    n_queries: int
    metrics: Mapping[str, float]


def segments(evaluation: Evaluation, split: Split) -> list[Segment]:
    """Return the metrics by history length, by popularity of the target, and of cold and warm questions.

    Popularity: the most frequent items that together have a third of the training tokens are the head, those
    with the next third the torso, all others the tail; a question goes by its first target. Cold users have
    no history item that the training part knows, cold items stand nowhere in it; a question that has both
    counts as a cold user's. Parts without questions are left out.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split, evaluate, segments
    >>> listened = Sentences.of([["a", "b"], ["a", "c"], ["a", "d"]])
    >>> split = Split(listened, Sentences.of([["b"], []]), Sentences.of([["a"], ["d"]]), "by hand")
    >>> for segment in segments(evaluate(Popularity(listened), split, k=1), split):
    ...     print(segment.by, "|", segment.name, "|", segment.metrics["hr@1"])
    history length | 0 | 0.0
    history length | 1 | 1.0
    popularity | head | 1.0
    popularity | tail | 0.0
    known | warm | 1.0
    known | cold user | 0.0
    """
    if evaluation.n_queries != len(split):
        raise InputError(
            f"the evaluation asked {evaluation.n_queries:,} questions and the split has {len(split):,}; "
            "expected the split that was evaluated"
        )
    return [
        Segment(by, name, int(mask.sum()), _means(evaluation, mask))
        for by, parts in (
            ("history length", _by_length(split)),
            ("popularity", _by_popularity(split)),
            ("known", _by_known(split)),
        )
        for name, mask in parts
        if mask.any()
    ]


def by_coldness(split: Split) -> dict[str, Split]:
    """Return the questions of a split apart: of cold users, for cold items, and warm ones; none is lost.

    ``"cold users"`` have no history item that is trained on; of the others, ``"cold items"`` have no target
    that is trained on, and no model that learns from sentences can find it. Empty parts are left out.

    Source: Schein et al., Methods and Metrics for Cold-Start Recommendations, SIGIR 2002.

    Examples
    --------
    >>> train = Sentences.of([["a", "b"]])
    >>> histories, targets = Sentences.of([["a"], ["z"], ["b"]]), Sentences.of([["b"], ["a"], ["z"]])
    >>> split = Split(train, histories, targets, "by hand")
    >>> {name: list(part.targets) for name, part in by_coldness(split).items()}
    {'warm': [['b']], 'cold users': [['a']], 'cold items': [['z']]}
    """
    cold_user = split.cold_users()
    cold_item = split.cold_items() & ~cold_user
    parts = {"warm": ~cold_user & ~cold_item, "cold users": cold_user, "cold items": cold_item}
    return {name: split.take(part) for name, part in parts.items() if part.any()}


def _means(evaluation: Evaluation, mask: Mask) -> dict[str, float]:
    return {name: float(values[mask].mean()) for name, values in evaluation.per_query.items()}


def _by_length(split: Split) -> Iterator[tuple[str, Mask]]:
    lengths = split.histories.lengths
    for least, beyond in pairwise(LENGTHS):
        name = str(least) if beyond == least + 1 else f"{least} to {beyond - 1}"
        yield name, (lengths >= least) & (lengths < beyond)
    yield f"{LENGTHS[-1]} or more", lengths >= LENGTHS[-1]


def _by_popularity(split: Split) -> Iterator[tuple[str, Mask]]:
    counts = split.train.counts()
    order = np.argsort(-counts, kind="stable")
    more_popular = np.empty(len(counts))
    more_popular[order] = np.cumsum(counts[order]) - counts[order]
    third = np.minimum(3 * more_popular // max(counts.sum(), 1), 2)
    code_of = split.train.vocabulary.encode(split.targets.vocabulary.ids)
    codes = code_of[split.targets.tokens[split.targets.offsets[:-1]]]
    of_question = np.append(third, 2)[codes]
    for part, name in enumerate(("head", "torso", "tail")):
        yield name, of_question == part


def _by_known(split: Split) -> Iterator[tuple[str, Mask]]:
    cold_user, cold_item = split.cold_users(), split.cold_items()
    yield "warm", ~cold_user & ~cold_item
    yield "cold user", cold_user
    yield "cold item", cold_item & ~cold_user
