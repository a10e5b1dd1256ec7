"""Evaluation of a model on the queries of a split."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast, get_args

import numpy as np

from item2vec.arguments import as_array, checked
from item2vec.arrays import Doubles, Mask, Offsets
from item2vec.errors import ConfigError, InputError, InputTypeError, LeakWarning, Remedy, short_repr
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY, BeyondAccuracy
from item2vec.evaluation.leaks import find_leaks, trained_beyond
from item2vec.evaluation.models import Model
from item2vec.evaluation.rankings import Rankings, Ties, rank_all
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.split import Split
from item2vec.interactions import read_only
from item2vec.metrics.accuracy import ACCURACY
from item2vec.types import as_history, check_k
from item2vec.vectors import ItemVectors

__all__ = ["METRICS", "Metric", "evaluate", "metrics_by_name", "values_of"]


METRICS = (*ACCURACY, *BEYOND_ACCURACY)
"""Names of all built-in metrics, without a cut-off: ``hr``, not ``hr@10``."""
Metric = Callable[[Mask, Offsets, int], Doubles]
"""A custom metric: a function of ``hits``, ``n_targets`` and ``k`` that returns one finite number per query.

``hits`` (bool, n queries × k ranks, best first) marks the ranks with a target. ``n_targets`` (int64, n) is
the number of targets of each query. ``k`` is the cut-off. The ``__name__`` of the function is the name of the
metric.
"""


@checked
def evaluate(
    model: Model,
    split: Split,
    *,
    k: int | Sequence[int] = 10,
    metrics: Iterable[str | Metric] = METRICS,
    filter_seen: bool | None = None,
    ties: Ties | None = None,
) -> Evaluation:
    """Request recommendations for all queries of a split, and compute metrics.

    The rankings are the results of ``recommend_many`` of the model. A ``Recommender`` thus uses its own index
    and filters, as in production. Rankings contain one item more than the largest cut-off k, to detect ties
    at k. Unless ``ties`` is ``"as answered"``, rankings are extended up to 32 · k while the tie persists. All
    cut-offs use the same rankings. A target that is absent from the ranking is a miss.

    If the model has an attribute ``exact`` that is another model, the other model is evaluated, too. For a
    ``Recommender`` with an approximate index, ``exact`` is the same model with exhaustive search. The
    difference between ``Evaluation.exact`` and ``Evaluation.metrics`` is then the metric loss due to
    approximate search.

    Parameters
    ----------
    model
        Any object with the method ``recommend_many``, see ``Model``.
    split
        Training part and queries.
    k
        One or several cut-offs. A metric with the cut-off ``k`` depends only on the first ``k`` ranks.
    metrics
        Names from ``METRICS``, without a cut-off, and functions (see ``Metric``). By default, all of
        ``METRICS``.
    filter_seen
        Whether recommendations exclude seen items; ``split.filter_seen`` by default. ``False`` also admits
        the items of the history and of ``split.seen``.
    ties
        Order of targets and other items of equal score: targets last (``"against"``), targets first
        (``"for"``), or the order of the model (``"as answered"``). The default is the attribute ``ties`` of
        the model: ``"for"`` for ``Popularity``, ``"as answered"`` for the other baselines. For models without
        the attribute, the default is ``"against"``.

    Raises
    ------
    InputError
        If ``k`` is empty or below 1, there is no query, a query has no target, the model has no method
        ``recommend_many`` or returns an invalid ranking, or a custom metric does not return a finite number
        per query. If a single query is the cause, the message contains the index of this query.
    ConfigError
        If a metric or ``ties`` is unknown, or a custom metric has no valid name or the name of another
        metric.

    Warns
    -----
    LeakWarning
        If more queries than expected occur in the training part together with their target (see
        ``find_leaks``), or the model was trained on more than the training part. ``Evaluation.leaks``
        contains the messages of these warnings, and ``split.leak``.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split
    >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["a"], ["c"]]), "by hand")
    >>> evaluate(Popularity(train), split, k=2, metrics=["hr", "mrr"])
    Evaluation(2 queries: hr@2 1.0000, mrr@2 0.7500)
    >>> def first(hits, n_targets, k):
    ...     return hits[:, 0].astype(float)
    >>> evaluate(Popularity(train), split, k=2, metrics=[first]).per_query["first@2"]
    array([1., 0.])
    """
    if not callable(getattr(model, "recommend_many", None)):
        raise InputTypeError(f"model is {short_repr(model)}; expected an object with a method recommend_many")
    cutoffs = _cutoffs(k)
    chosen = metrics_by_name(metrics)
    _check_queries(split)
    rule = _tie_rule(getattr(model, "ties", "against") if ties is None else ties)
    if filter_seen is not None:
        split = replace(split, filter_seen=filter_seen, seen=split.seen if filter_seen else None)
    rankings = rank_all(model, split, max(cutoffs), ties=rule)
    per_query, means = _measure(rankings, split, chosen, cutoffs)
    users = np.arange(len(split)) if split.users is None else split.users
    leaks = _leaks(model, split)
    evaluation = Evaluation(
        means,
        per_query,
        rankings,
        users,
        split.fingerprints(),
        leaks=leaks,
        model=type(model).__name__,
        user_ids=split.user_ids,
    )
    exact = getattr(model, "exact", None)
    if exact is None or exact is model:
        return evaluation
    exact_rankings = rank_all(exact, split, max(cutoffs), ties=rule)
    return replace(evaluation, exact=_measure(exact_rankings, split, chosen, cutoffs)[1])


def _cutoffs(k: int | Sequence[int]) -> list[int]:
    cutoffs = [check_k(cutoff) for cutoff in (k if isinstance(k, Iterable) else [k])]
    if not cutoffs:
        raise InputError("k is empty; expected at least one cut-off, such as 10")
    return cutoffs


def _tie_rule(ties: object) -> Ties:
    if ties not in get_args(Ties):
        raise ConfigError(f"ties is {ties!r}; expected one of {', '.join(map(repr, get_args(Ties)))}")
    return cast(Ties, ties)


def metrics_by_name(metrics: Iterable[str | Metric]) -> dict[str, Metric | None]:
    """Return the function of each metric by name; ``None`` for metrics beyond accuracy.

    Raises
    ------
    ConfigError
        If a metric is unknown, or a function has no valid name or the name of another metric.
    """
    chosen: dict[str, Metric | None] = {}
    for metric in [metrics] if isinstance(metrics, str) else as_history(metrics, "metrics"):
        if isinstance(metric, str) and metric in METRICS:
            chosen[metric] = ACCURACY.get(metric)
        elif callable(metric):
            name = getattr(metric, "__name__", "")
            if not name.isidentifier():
                found = f"the name {name!r}" if name else "no name"
                raise ConfigError(
                    f"metric {short_repr(metric)} has {found}; expected a function made by def, because the "
                    "name of the function is the name of the metric"
                )
            namesake = ACCURACY.get(name) if name in METRICS else chosen.get(name, metric)
            if namesake is not metric:
                raise ConfigError(
                    f"two metrics have the name {name!r}; expected distinct names: rename the function"
                )
            chosen[name] = metric
        else:
            raise ConfigError(
                f"unknown metric {short_repr(metric)}; expected one of {', '.join(METRICS)}, without a "
                "cut-off (use the argument k), or a function"
            )
    return chosen


def _check_queries(split: Split) -> None:
    if not len(split):
        raise InputError(
            f"{split!r} has no query; expected at least one: use sentences with more items than are held out",
            remedies=[Remedy("repeats", True, "or set {}")],
        )
    if not split.targets.lengths.all():
        query = int(np.argmin(split.targets.lengths))
        raise InputError(f"query {query} has no target; expected at least one target per query")


def _measure(
    rankings: Rankings, split: Split, metrics: Mapping[str, Metric | None], cutoffs: Sequence[int]
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return two dicts by metric and cut-off, such as ``hr@10``: the values per query; and the means.

    A metric of the whole catalogue has no values per query. Its single value is in the dict of the means.
    """
    beyond_accuracy = BeyondAccuracy(rankings, split)
    per_query: dict[str, Doubles] = {}
    means: dict[str, float] = {}
    for cutoff in cutoffs:
        for name, function in metrics.items():
            value: Doubles | float
            if function is None:
                value = beyond_accuracy.measure(name, cutoff)
            else:
                value = values_of(name, function, rankings.hits, rankings.n_targets, cutoff)
            means[f"{name}@{cutoff}"] = float(np.mean(value))
            if isinstance(value, np.ndarray):
                per_query[f"{name}@{cutoff}"] = value
    return per_query, means


def values_of(name: str, function: Metric, hits: Mask, n_targets: Offsets, k: int) -> Doubles:
    """Return the values of the metric ``function`` at cut-off ``k``, one per query.

    Raises
    ------
    InputError
        If ``function`` does not return one finite number per query. The message contains ``name``.
    """
    hits = read_only(hits[:, :k], np.bool_)
    returned = function(hits, read_only(n_targets, np.int64), k)
    try:
        values: Doubles = as_array(returned, np.float64)
    except InputError as error:
        raise type(error)(f"metric {name!r}: {error}") from None
    if values.shape != (len(hits),):
        found = f"metric {name!r} returned an array of shape {values.shape}"
        raise InputError(f"{found}; expected ({len(hits)},), one number per query")
    if not np.isfinite(values).all():
        query = int(np.argmin(np.isfinite(values)))
        found = f"metric {name!r} returned {values[query]} for query {query}"
        raise InputError(f"{found}; expected a finite number")
    return values


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
