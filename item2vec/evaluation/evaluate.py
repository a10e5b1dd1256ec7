"""Asks a model what came next, and tells how good its answers are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast, get_args

import numpy as np

from item2vec.arrays import Doubles
from item2vec.errors import ConfigError, InputError, LeakWarning
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY, BeyondAccuracy
from item2vec.evaluation.leaks import find_leaks, trained_beyond
from item2vec.evaluation.rankings import Model, Rankings, Ties, rank_all
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.split import Split
from item2vec.metrics.accuracy import ACCURACY
from item2vec.types import check_k
from item2vec.vectors import ItemVectors

__all__ = ["METRICS", "evaluate"]


METRICS = (*ACCURACY, *BEYOND_ACCURACY)
"""The names of all metrics; with a cut-off, ``ndcg@10``."""


def evaluate(
    model: Model,
    split: Split,
    *,
    k: int | Sequence[int] = 10,
    metrics: Iterable[str] = METRICS,
    filter_seen: bool | None = None,
    ties: Ties | None = None,
) -> Evaluation:
    """Ask a model every question of a split, and measure its answers.

    The model is asked through ``recommend_many``, index and filters included, for one place more than the
    largest ``k``; smaller cut-offs look at the first places of the same answers. If it has a property
    ``exact`` (as ``Recommender`` has) that is another model, that one is measured too, so that the loss by
    approximation is visible. A target that the model does not return is a miss, whatever the reason.

    Parameters
    ----------
    k
        One or several cut-offs.
    metrics
        Names from ``METRICS``, without a cut-off; all of them unless told otherwise.
    filter_seen
        Leave the items of a history out of its answer; as the split says unless told otherwise.
    ties
        Among items of equal score, targets stand last (``"against"``), first (``"for"``), or where the model
        put them (``"as answered"``). Unless told otherwise ties count against a model, so that no order among
        equals flatters it, or as its attribute ``ties`` says if it has one: for popularity, and for the
        other baselines as answered.

    Raises
    ------
    InputError
        If there is no question, a question has no target, or the model gives too few answers.
    ConfigError
        If a metric or ``ties`` is unknown.

    Warns
    -----
    LeakWarning
        If a question stands in the training part with its answer, or the model has learned from more than
        the training part; the texts are in ``Evaluation.leaks``, with the split's own.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split
    >>> listened = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(listened, Sentences.of([["c"], ["a"]]), Sentences.of([["a"], ["c"]]), "by hand")
    >>> evaluate(Popularity(listened), split, k=2, metrics=["hr", "mrr"])
    Evaluation(2 questions: hr@2 1.0000, mrr@2 0.7500)
    """
    cutoffs = _cutoffs(k)
    names = _checked(metrics)
    _check_questions(split)
    seen = split.filter_seen if filter_seen is None else filter_seen
    rule = _rule(getattr(model, "ties", "against") if ties is None else ties)
    rankings = rank_all(model, split, max(cutoffs), filter_seen=seen, ties=rule)
    per_query, metrics_ = _measure(rankings, split, names, cutoffs)
    users = np.arange(len(split)) if split.users is None else split.users
    evaluation = Evaluation(
        metrics_, per_query, rankings, users, split.fingerprints(), leaks=_leaks(model, split)
    )
    twin = getattr(model, "exact", None)
    if twin is None or twin is model:
        return evaluation
    by_scan = rank_all(twin, split, max(cutoffs), filter_seen=seen, ties=rule)
    return replace(evaluation, exact=_measure(by_scan, split, names, cutoffs)[1])


def _cutoffs(k: int | Sequence[int]) -> list[int]:
    cutoffs = [check_k(one) for one in (k if isinstance(k, Iterable) else [k])]
    if not cutoffs:
        raise InputError("k names no cut-off; expected at least one, such as 10")
    return cutoffs


def _rule(ties: object) -> Ties:
    if ties not in get_args(Ties):
        raise ConfigError(f"ties is {ties!r}; expected one of {', '.join(get_args(Ties))}")
    return cast(Ties, ties)


def _checked(metrics: Iterable[str]) -> list[str]:
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"unknown metric {name!r}; known are {', '.join(METRICS)}")
    return names


def _check_questions(split: Split) -> None:
    if not len(split):
        raise InputError(f"{split!r} leaves no question to ask; expected longer sentences, or repeats=True")
    if not split.targets.lengths.all():
        question = int(np.argmin(split.targets.lengths))
        raise InputError(f"question {question} has no target; expected at least one for each")


def _measure(
    rankings: Rankings, split: Split, names: Sequence[str], cutoffs: Sequence[int]
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return the values a question, and the value over all questions, of each metric at each cut-off."""
    lists = BeyondAccuracy(rankings, split)
    per_query: dict[str, Doubles] = {}
    overall: dict[str, float] = {}
    for cutoff in cutoffs:
        for name in names:
            accuracy = ACCURACY.get(name)
            value = (
                accuracy(rankings.hits, rankings.n_targets, cutoff)
                if accuracy
                else lists.measure(name, cutoff)
            )
            overall[f"{name}@{cutoff}"] = float(np.mean(value))
            if isinstance(value, np.ndarray):
                per_query[f"{name}@{cutoff}"] = value
    return per_query, overall


def _leaks(model: Model, split: Split) -> tuple[str, ...]:
    """Return all leaks that are known of, and warn of those that the split itself has not warned of."""
    vectors = getattr(model, "vectors", None)
    beyond = trained_beyond(vectors, split.train) if isinstance(vectors, ItemVectors) else None
    found = [*find_leaks(split), *([beyond] if beyond else [])]
    for leak in found:
        warnings.warn(leak, LeakWarning, stacklevel=3)
    return (*([split.leak] if split.leak else []), *found)
