"""Offline evaluation by the same calls that serve: a model is whatever has ``recommend_many``."""

from __future__ import annotations

from item2vec.evaluation.baselines import Popularity
from item2vec.evaluation.evaluate import Evaluation, Model, evaluate
from item2vec.evaluation.splits import Split, leave_last_out

__all__ = ["Evaluation", "Model", "Popularity", "Split", "evaluate", "leave_last_out"]
