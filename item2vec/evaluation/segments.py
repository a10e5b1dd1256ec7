"""Metrics by segment: queries grouped by history length, by popularity of the target, and by coldness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Mask
from item2vec.errors import InputError
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.split import Split
from item2vec.evaluation.targets import liked_counts

__all__ = ["Segment", "by_coldness", "segments"]


LENGTHS = (0, 1, 2, 5, 10, 20, 50)
"""Minimum history length of each segment."""
_COLDNESS = ("warm", "cold users", "cold items")


@dataclass(frozen=True, slots=True)
class Segment:
    """Metrics of one group of queries, such as the queries with 50 or more history items.

    ``by`` is the criterion by which the queries are grouped, such as ``"history length"``. ``name`` is the
    name of the group, such as ``"50 or more"``. ``metrics`` contains the means over the group.

    >>> Segment("history length", "50 or more", 12, {"hr@10": 0.25}).metrics["hr@10"]
    0.25
    """

    by: str
    name: str
    n_queries: int
    metrics: Mapping[str, float]


@checked
def segments(evaluation: Evaluation, split: Split) -> list[Segment]:
    """Return the metrics by history length, by popularity of the target, and by coldness.

    History length is the number of items of the history, without dislikes. For popularity, the items of the
    training part are sorted by frequency, and split into head, torso and tail, each with about a third of the
    training tokens. Items that are not in the training part belong to the tail. A query belongs to the group
    of its first target. For coldness (``by="known"``), the groups are the parts that ``by_coldness`` returns.

    Empty segments, and metrics without values per query, are omitted.

    Raises
    ------
    InputError
        If the evaluation and the split have different numbers of queries.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split, evaluate, segments
    >>> train = Sentences.of([["a", "b"], ["a", "c"], ["a", "d"]])
    >>> split = Split(train, Sentences.of([["b"], []]), Sentences.of([["a"], ["d"]]), "by hand")
    >>> for segment in segments(evaluate(Popularity(train), split, k=1), split):
    ...     print(segment.by, "|", segment.name, "|", segment.metrics["hr@1"])
    history length | 0 | 0.0
    history length | 1 | 1.0
    popularity | head | 1.0
    popularity | tail | 0.0
    known | warm | 1.0
    known | cold users | 0.0
    """
    if evaluation.n_queries != len(split):
        raise InputError(
            f"the evaluation has {evaluation.n_queries:,} queries and the split has {len(split):,}; "
            "expected the split that was evaluated"
        )
    coldness = zip(_COLDNESS, _coldness(split), strict=True)
    return [
        Segment(by, name, int(mask.sum()), _means(evaluation, mask))
        for by, groups in (
            ("history length", _by_length(split)),
            ("popularity", _by_popularity(split)),
            ("known", coldness),
        )
        for name, mask in groups
        if mask.any()
    ]


@checked
def by_coldness(split: Split) -> dict[str, Split]:
    """Divide the queries of a split into three splits: ``"warm"``, ``"cold users"`` and ``"cold items"``.

    A query belongs to ``"cold users"`` if no item of its history is in the training part. Other queries
    belong to ``"cold items"`` if none of their targets is in the training part, because a model that is
    trained on sentences alone, without attributes of items, cannot recommend such targets. All remaining
    queries are ``"warm"``. Empty parts are omitted.

    Source: Schein et al., Methods and Metrics for Cold-Start Recommendations, SIGIR 2002.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> train = Sentences.of([["a", "b"]])
    >>> histories, targets = Sentences.of([["a"], ["z"], ["b"]]), Sentences.of([["b"], ["a"], ["z"]])
    >>> split = Split(train, histories, targets, "by hand")
    >>> {name: list(part.targets) for name, part in by_coldness(split).items()}
    {'warm': [['b']], 'cold users': [['a']], 'cold items': [['z']]}
    """
    parts = zip(_COLDNESS, _coldness(split), strict=True)
    return {name: split.take(mask) for name, mask in parts if mask.any()}


def _coldness(split: Split) -> tuple[Mask, Mask, Mask]:
    """Return the masks of ``"warm"``, ``"cold users"`` and ``"cold items"`` queries."""
    cold_user, cold_item = split.cold_users(), split.cold_items()
    return ~cold_user & ~cold_item, cold_user, cold_item & ~cold_user


def _means(evaluation: Evaluation, mask: Mask) -> dict[str, float]:
    return {name: float(values[mask].mean()) for name, values in evaluation.per_query.items()}


def _by_length(split: Split) -> Iterator[tuple[str, Mask]]:
    lengths = split.histories.liked.lengths
    for least, beyond in pairwise(LENGTHS):
        name = str(least) if beyond == least + 1 else f"{least} to {beyond - 1}"
        yield name, (lengths >= least) & (lengths < beyond)
    yield f"{LENGTHS[-1]} or more", lengths >= LENGTHS[-1]


def _by_popularity(split: Split) -> Iterator[tuple[str, Mask]]:
    counts = liked_counts(split.train)
    order = np.argsort(-counts, kind="stable")
    more_popular = np.empty(len(counts))
    more_popular[order] = np.cumsum(counts[order]) - counts[order]
    third_of_item = np.minimum(3 * more_popular // max(counts.sum(), 1), 2)
    code_of = split.targets.vocabulary.codes_in(split.train.vocabulary)
    first_targets = code_of[split.targets.tokens[split.targets.offsets[:-1]]]
    third = np.append(third_of_item, 2)[first_targets]
    for number, name in enumerate(("head", "torso", "tail")):
        yield name, third == number
