"""Offline evaluation: measure how well a model predicts held-out items, and compare models.

A split holds out the targets of queries from the data. ``evaluate`` requests a ranking for each query from a
model, and computes metrics of the rankings. ``table`` and ``compare`` compare models, such as a trained model
and the baselines.

A model is any object with the method ``recommend_many`` (see ``Model``). A metric is a name from ``METRICS``
or a function (see ``Metric``). ``Study.of`` in ``report/study.py`` evaluates a model and all baselines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from item2vec.deprecated import module_getattr
from item2vec.evaluation.analogies import AnalogyAccuracy, AnalogySection, evaluate_analogies
from item2vec.evaluation.baselines import (
    ItemKNN,
    MarkovChain,
    Popularity,
    Random,
    RecentPopularity,
)
from item2vec.evaluation.evaluate import METRICS, Metric, evaluate
from item2vec.evaluation.item_models import EASE, LinkPropagation, Transitions, baselines
from item2vec.evaluation.leaks import find_leaks
from item2vec.evaluation.links import AdamicAdar, CommonNeighbours, HiddenEdges, cosines, hide_edges
from item2vec.evaluation.models import Model
from item2vec.evaluation.rankings import Rankings
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.segments import Segment, by_coldness, segments
from item2vec.evaluation.sentence_splits import k_fold, leave_last_out, prefix_split, random_split
from item2vec.evaluation.significance import Comparison, compare
from item2vec.evaluation.split import Split
from item2vec.evaluation.table import Table, table
from item2vec.evaluation.temporal_splits import temporal_folds, temporal_split

if not TYPE_CHECKING:
    __getattr__ = module_getattr(globals(), {"apart": "by_coldness", "Answers": "Rankings"})

__all__ = [
    "EASE",
    "METRICS",
    "AdamicAdar",
    "AnalogyAccuracy",
    "AnalogySection",
    "CommonNeighbours",
    "Comparison",
    "Evaluation",
    "HiddenEdges",
    "ItemKNN",
    "LinkPropagation",
    "MarkovChain",
    "Metric",
    "Model",
    "Popularity",
    "Random",
    "Rankings",
    "RecentPopularity",
    "Segment",
    "Split",
    "Table",
    "Transitions",
    "baselines",
    "by_coldness",
    "compare",
    "cosines",
    "evaluate",
    "evaluate_analogies",
    "find_leaks",
    "hide_edges",
    "k_fold",
    "leave_last_out",
    "prefix_split",
    "random_split",
    "segments",
    "table",
    "temporal_folds",
    "temporal_split",
]
