"""Offline evaluation by the same calls that serve: a model is whatever has ``recommend_many``."""

from __future__ import annotations

from item2vec.evaluation.baselines import (
    ItemKNN,
    MarkovChain,
    Popularity,
    Random,
    RecentPopularity,
)
from item2vec.evaluation.evaluate import METRICS, Evaluation, evaluate
from item2vec.evaluation.item_models import EASE, LinkPropagation, Transitions, baselines
from item2vec.evaluation.leaks import find_leaks
from item2vec.evaluation.rankings import Model, Rankings
from item2vec.evaluation.segments import Segment, segments
from item2vec.evaluation.significance import Comparison, compare
from item2vec.evaluation.split import Split
from item2vec.evaluation.splits import by_coldness, k_fold, leave_last_out, prefix_split, random_split
from item2vec.evaluation.temporal import temporal_folds, temporal_split

__all__ = [
    "EASE",
    "METRICS",
    "Comparison",
    "Evaluation",
    "ItemKNN",
    "LinkPropagation",
    "MarkovChain",
    "Model",
    "Popularity",
    "Random",
    "Rankings",
    "RecentPopularity",
    "Segment",
    "Split",
    "Transitions",
    "baselines",
    "by_coldness",
    "compare",
    "evaluate",
    "find_leaks",
    "k_fold",
    "leave_last_out",
    "prefix_split",
    "random_split",
    "segments",
    "temporal_folds",
    "temporal_split",
]
