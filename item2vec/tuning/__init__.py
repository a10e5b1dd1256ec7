"""Tuning: search settings that suit the data, measured on validation queries held out from it."""

from __future__ import annotations

from item2vec.tuning.finalists import Estimate
from item2vec.tuning.study import Tuning, tune
from item2vec.tuning.trial import Trial

__all__ = ["Estimate", "Trial", "Tuning", "tune"]
