"""Tuning: search for the settings with the best score on validation queries held out from the data."""

from __future__ import annotations

from item2vec.tuning.finalists import Estimate
from item2vec.tuning.result import Tuning
from item2vec.tuning.study import tune
from item2vec.tuning.trial import Trial

__all__ = ["Estimate", "Trial", "Tuning", "tune"]
