"""Confidence intervals by the bootstrap over clusters of queries."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import numpy as np

from item2vec.arrays import Doubles, Offsets
from item2vec.errors import InputError
from item2vec.metrics.accuracy import ACCURACY
from item2vec.shaping import check_least

__all__ = ["CELLS_PER_BLOCK", "NOISE", "intervals", "sums_by_cluster"]

N_RESAMPLES = 1000
CELLS_PER_BLOCK = 1 << 22
NOISE = 1e-12
"""Bound of the rounding errors of float64 sums: smaller differences count as 0."""
BOUNDED = (*ACCURACY, "diversity", "serendipity")
"""Names of the metrics whose values per query lie between 0 and 1."""


def intervals(
    per_query: Mapping[str, Doubles],
    clusters: Offsets,
    *,
    level: float = 0.95,
    seed: int = 1,
    least: float = 0.0,
    bounded: Container[str] = BOUNDED,
) -> dict[str, tuple[float, float]]:
    """Return the confidence interval of the mean of each metric, by the percentile cluster bootstrap.

    The queries of a cluster (one user or session) are not independent. Each of 1,000 resamples therefore
    draws whole clusters with replacement. Sources: Efron & Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13; for clusters: Cameron, Gelbach & Miller, Review of Economics and Statistics 2008.

    If all clusters have the same mean, for example 0 hits, the bootstrap interval has width 0. For metrics in
    ``bounded``, the interval is then widened, because clusters with other values between ``least`` and 1 may
    exist, but be too rare for the sample. The lower limit moves towards ``least``, and the upper limit
    towards 1, by the share ``p = 1 - ((1 - level) / 2) ** (1 / n)`` of the distance. p is the exact two-sided
    binomial limit for 0 events in n clusters, about 3.7 / n at 95 %. (The rule of three, 3 / n, approximates
    the one-sided limit: Hanley & Lippman-Hand, JAMA 1983.) Intervals of other metrics keep width 0.

    Intervals are too narrow if there are few clusters or few hits. In simulations, 95 % intervals contained
    the true mean in 94 % of the data sets with 30 clusters, 91 % with 10 clusters, 85 % with 5 clusters, and
    90 % with 3 or 4 expected hits.

    Parameters
    ----------
    per_query
        Values (float64, one per query) of each metric, by the name of the metric.
    clusters
        Cluster number of each query (int64).
    level
        Confidence level, above 0 and below 1: the intended share of intervals that contain the true mean.
    seed
        Seed of the resampling.
    least
        Smallest possible value of the metrics in ``bounded``: 0, or -1 for differences of metrics.
    bounded
        Names, without cut-offs, of the metrics whose values lie between ``least`` and 1.

    Raises
    ------
    InputError
        If ``level`` is out of range.
    ConfigError
        If ``seed`` is below 0.

    Examples
    --------
    >>> values = {"hr@10": np.array([0.0, 1.0] * 50), "mrr@10": np.zeros(100)}
    >>> {name: (low, round(high, 3)) for name, (low, high) in intervals(values, np.arange(100)).items()}
    {'hr@10': (0.4, 0.6), 'mrr@10': (0.0, 0.036)}
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a number above 0 and below 1, such as 0.95")
    if not per_query:
        return {}
    sums, n_queries = sums_by_cluster(np.column_stack(list(per_query.values())), clusters)
    means = [
        weights @ sums / (weights @ n_queries)[:, None]
        for weights in _resamples(len(sums), N_RESAMPLES, seed)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    rare_share = 1 - ((1 - level) / 2) ** (1 / len(sums))
    is_bounded = np.array([name.partition("@")[0] in bounded for name in per_query])
    constant = is_bounded & (np.ptp(sums / n_queries[:, None], axis=0) < NOISE)
    low = np.where(constant, low - rare_share * (low - least), low)
    high = np.where(constant, high + rare_share * (1 - high), high)
    return {name: (float(a), float(b)) for name, a, b in zip(per_query, low, high, strict=True)}


def sums_by_cluster(values: Doubles, clusters: Offsets) -> tuple[Doubles, Doubles]:
    """Return a pair of arrays: the sum of the values, and the number of queries, of each cluster.

    The sums have the shape clusters × metrics. Clusters are in ascending order of their numbers. ``values``
    has the shape queries × metrics. ``clusters`` contains the cluster number of each query.

    >>> sums_by_cluster(np.array([[1.0], [0.0], [1.0]]), np.array([7, 7, 9]))
    (array([[1.],
           [1.]]), array([2., 1.]))
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    n_queries: Doubles = np.bincount(numbers).astype(np.float64)
    sums = np.column_stack([np.bincount(numbers, column).astype(np.float64) for column in values.T])
    return sums, n_queries


def _resamples(n: int, n_resamples: int, seed: int) -> Iterator[Doubles]:
    """Yield blocks of resamples: the number of times that each of ``n`` clusters is drawn (resamples × n)."""
    check_least("seed", seed, 0)
    random = np.random.default_rng(seed)
    step = max(1, CELLS_PER_BLOCK // n)
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        drawn = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
