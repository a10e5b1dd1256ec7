"""Ranking metrics: accuracy with respect to known targets, and metrics beyond accuracy.

Rankings are arrays with one row per query and one column per rank, best first. ``coverage`` and ``gini``
return one value for all queries. All other metrics return one value per query (float64). The evaluation
computes means, confidence intervals and the results of segments from these values.
"""

from __future__ import annotations

from item2vec.metrics.accuracy import (
    ACCURACY,
    hits_of_ranks,
    hr,
    mean_average_precision,
    mrr,
    ndcg,
    precision,
    recall,
)
from item2vec.metrics.beyond_accuracy import coverage, diversity, gini, novelty, popularity_bias, serendipity

__all__ = [
    "ACCURACY",
    "coverage",
    "diversity",
    "gini",
    "hits_of_ranks",
    "hr",
    "mean_average_precision",
    "mrr",
    "ndcg",
    "novelty",
    "popularity_bias",
    "precision",
    "recall",
    "serendipity",
]
