"""How good answers are: did they name what truly came next, and what else can be said of them.

Answers are arrays of one row a question and one column a place, best first. Metrics of a question come as one
number a question (float64), so that means, intervals and segments are all made of the same numbers.
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
