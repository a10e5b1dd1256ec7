"""Evaluation of a model on the queries of a split."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast, get_args

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles
from item2vec.errors import ConfigError, InputError, InputTypeError, LeakWarning, short_repr
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY, BeyondAccuracy
from item2vec.evaluation.leaks import find_leaks, trained_beyond
from item2vec.evaluation.rankings import Model, Rankings, Ties, rank_all
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.split import Split
from item2vec.metrics.accuracy import ACCURACY
from item2vec.types import as_history, check_k
from item2vec.vectors import ItemVectors

__all__ = ["METRICS", "evaluate"]


METRICS = (*ACCURACY, *BEYOND_ACCURACY)
"""Names of all metrics, without a cut-off."""


@checked
def evaluate(
    model: Model,
    split: Split,
    *,
    k: int | Sequence[int] = 10,
    metrics: Iterable[str] = METRICS,
    filter_seen: bool | None = None,
    ties: Ties | None = None,
) -> Evaluation:
    """Request recommendations for all queries of a split, and compute metrics.

    Rankings are requested from ``recommend_many``, which applies the index and the filters of the model. They
    have one rank more than the largest ``k``. Smaller cut-offs use the first ranks of the same rankings. A
    target that the model does not return is a miss.

    If the model has an attribute ``exact`` that is another model (a ``Recommender`` with exact search), that
    model is evaluated too. The difference between the two results is the loss by approximate search.

    Parameters
    ----------
    model
        Any object with the method ``recommend_many``.
    split
        Training part and queries.
    k
        One or several cut-offs.
    metrics
        Names from ``METRICS``, without a cut-off; all metrics by default.
    filter_seen
        Whether recommendations exclude the items of the history; ``split.filter_seen`` by default. ``False``
        also disables the exclusion of ``split.seen``.
    ties
        Rank of targets among items of equal score: last (``"against"``), first (``"for"``), or in the order
        of the model (``"as answered"``). The default is the attribute ``ties`` of the model: ``"for"`` for
        popularity, ``"as answered"`` for the other baselines. For models without the attribute it is
        ``"against"``.

    Raises
    ------
    InputError
        If there is no query, a query has no target, or the model does not return one ranking per query.
    ConfigError
        If a metric or ``ties`` is unknown.

    Warns
    -----
    LeakWarning
        If queries occur in the training part together with their target, or the model was trained on more
        than the training part. ``Evaluation.leaks`` contains these messages and the message of the split.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split
    >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["a"], ["c"]]), "by hand")
    >>> evaluate(Popularity(train), split, k=2, metrics=["hr", "mrr"])
    Evaluation(2 queries: hr@2 1.0000, mrr@2 0.7500)
    """
    if not callable(getattr(model, "recommend_many", None)):
        raise InputTypeError(f"model is {short_repr(model)}; expected a model, with recommend_many")
    cutoffs = _cutoffs(k)
    names = _metric_names(metrics)
    _check_queries(split)
    rule = _tie_rule(getattr(model, "ties", "against") if ties is None else ties)
    if filter_seen is not None:
        split = replace(split, filter_seen=filter_seen, seen=split.seen if filter_seen else None)
    rankings = rank_all(model, split, max(cutoffs), ties=rule)
    per_query, means = _measure(rankings, split, names, cutoffs)
    users = np.arange(len(split)) if split.users is None else split.users
    leaks = _leaks(model, split)
    evaluation = Evaluation(means, per_query, rankings, users, split.fingerprints(), leaks=leaks)
    exact = getattr(model, "exact", None)
    if exact is None or exact is model:
        return evaluation
    exact_rankings = rank_all(exact, split, max(cutoffs), ties=rule)
    return replace(evaluation, exact=_measure(exact_rankings, split, names, cutoffs)[1])


def _cutoffs(k: int | Sequence[int]) -> list[int]:
    cutoffs = [check_k(cutoff) for cutoff in (k if isinstance(k, Iterable) else [k])]
    if not cutoffs:
        raise InputError("k is empty; expected at least one cut-off, such as 10")
    return cutoffs


def _tie_rule(ties: object) -> Ties:
    if ties not in get_args(Ties):
        raise ConfigError(f"ties is {ties!r}; expected one of {', '.join(get_args(Ties))}")
    return cast(Ties, ties)


def _metric_names(metrics: Iterable[str]) -> list[str]:
    names = [metrics] if isinstance(metrics, str) else list(as_history(metrics, "metrics"))
    for name in names:
        if not isinstance(name, str) or name not in METRICS:
            raise ConfigError(f"unknown metric {name!r}; expected one of {', '.join(METRICS)}")
    return names


def _check_queries(split: Split) -> None:
    if not len(split):
        raise InputError(
            f"{split!r} has no query; expected at least one: use longer sentences or repeats=True"
        )
    if not split.targets.lengths.all():
        query = int(np.argmin(split.targets.lengths))
        raise InputError(f"query {query} has no target; expected at least one target per query")


def _measure(
    rankings: Rankings, split: Split, names: Sequence[str], cutoffs: Sequence[int]
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return the values of each metric per query, and its mean, for each cut-off."""
    beyond_accuracy = BeyondAccuracy(rankings, split)
    per_query: dict[str, Doubles] = {}
    means: dict[str, float] = {}
    for cutoff in cutoffs:
        for name in names:
            if name in ACCURACY:
                value: Doubles | float = ACCURACY[name](rankings.hits, rankings.n_targets, cutoff)
            else:
                value = beyond_accuracy.measure(name, cutoff)
            means[f"{name}@{cutoff}"] = float(np.mean(value))
            if isinstance(value, np.ndarray):
                per_query[f"{name}@{cutoff}"] = value
    return per_query, means


def _leaks(model: Model, split: Split) -> tuple[str, ...]:
    """Return the messages of all leaks, and emit a warning for each leak except ``split.leak``.

    The function that made the split has already emitted the warning of ``split.leak``.
    """
    vectors = getattr(model, "vectors", None)
    excess = trained_beyond(vectors, split.train) if isinstance(vectors, ItemVectors) else None
    leaks = [*find_leaks(split), *([excess] if excess else [])]
    for leak in leaks:
        warnings.warn(leak, LeakWarning, stacklevel=4)
    return (*([split.leak] if split.leak else []), *leaks)
