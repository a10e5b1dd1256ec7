"""Paired comparison of two models on the same queries, with a significance test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles
from item2vec.errors import InputError
from item2vec.evaluation.bootstrap import CELLS_PER_BLOCK, NOISE, intervals, sums_by_cluster
from item2vec.evaluation.result import Evaluation

__all__ = ["Comparison", "compare"]

N_PERMUTATIONS = 9999


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference between two models in one metric.

    ``difference`` is the mean of the metric for the first model minus the mean for the second model. ``low``
    and ``high`` are the bounds of the 95 % confidence interval of the difference. ``p_value`` is the
    probability of an absolute difference at least as large, under the null hypothesis that the two models are
    exchangeable.

    >>> Comparison("ndcg@10", 0.5, 0.25, 0.75, 0.0001).difference
    0.5
    """

    metric: str
    difference: float
    low: float
    high: float
    p_value: float


@checked
def compare(first: Evaluation, second: Evaluation, metric: str = "ndcg@10", *, seed: int = 1) -> Comparison:
    """Compare the values per query of two models that were evaluated on the same queries.

    Histories, targets and users must be equal. The training parts may differ.

    The confidence interval of the mean difference per query is computed as in ``Evaluation.intervals``. The
    p-value is computed by a randomisation test: in each of 9,999 permutations, the values of the two models
    are swapped for a random subset of the users. The p-value is (m + 1) / 10,000, where m is the number of
    permutations whose absolute mean difference is at least the observed one. Source: Smucker, Allan &
    Carterette, A comparison of statistical significance tests for information retrieval evaluation, CIKM
    2007.

    Raises
    ------
    InputError
        If histories, targets or users differ, or one of the evaluations has no values per query for the
        metric.
    ConfigError
        If ``seed`` is below 0.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Random, Split, evaluate
    >>> train = Sentences.of([["a", "b"], ["a", "c"], ["a", "d"], ["a", "e"]])
    >>> split = Split(train, Sentences.of([["b"], ["c"], ["d"]]), Sentences.of([["a"]] * 3), "by hand")
    >>> popular, random = (evaluate(model(train), split, k=1) for model in (Popularity, Random))
    >>> compare(popular, popular, "hr@1")  # doctest: +ELLIPSIS
    Comparison(metric='hr@1', difference=0.0, low=-0.70..., high=0.70..., p_value=1.0)
    """
    for name, evaluation in (("first", first), ("second", second)):
        if metric not in evaluation.per_query:
            available = ", ".join(evaluation.per_query)
            found = f"metric {metric!r} has no values per query in the {name} evaluation"
            raise InputError(f"{found}; expected one of {available}")
    differing = [part for part in first.queries if first.queries[part] != second.queries[part]]
    if differing:
        raise InputError(
            f"the {' and '.join(differing)} of the two evaluations differ ({first.n_queries:,} and "
            f"{second.n_queries:,} queries); evaluate both models on one split"
        )
    gains = first.per_query[metric] - second.per_query[metric]
    low, high = intervals({metric: gains}, first.users, seed=seed, least=-1.0)[metric]
    p_value = _p_value(sums_by_cluster(gains[:, None], first.users)[0][:, 0], seed)
    return Comparison(metric, float(gains.mean()), low, high, p_value)


def _p_value(user_sums: Doubles, seed: int) -> float:
    """Return the p-value: the share of sign assignments whose absolute total is at least the observed one.

    In each assignment, the sums of the users have random signs, and the total is the sum over all users. The
    observed signs are counted as one of the assignments, so that the p-value is above 0.
    """
    unequal = user_sums[np.abs(user_sums) > NOISE]
    random = np.random.default_rng(seed)
    step = max(1, CELLS_PER_BLOCK // max(len(unequal), 1))
    total = unequal.sum()
    observed = abs(total) - NOISE * np.abs(unequal).sum()
    n_as_far = 0
    for start in range(0, N_PERMUTATIONS, step):
        kept = random.integers(0, 2, (min(step, N_PERMUTATIONS - start), len(unequal)), dtype=np.int8)
        n_as_far += int(np.count_nonzero(np.abs(2 * (kept @ unequal) - total) >= observed))
    return (1 + n_as_far) / (1 + N_PERMUTATIONS)
