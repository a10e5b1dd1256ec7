"""Every setting, its meaning and its range, checked before any work."""

from __future__ import annotations

from item2vec.config.adapter import AdapterConfig
from item2vec.config.model import WITHOUT_ORDER, Config, TasteConfig, TrainConfig
from item2vec.config.nightly import (
    EvaluationConfig,
    GatesConfig,
    LimitsConfig,
    RetentionConfig,
    RetrainConfig,
)
from item2vec.config.settings import Settings

__all__ = [
    "WITHOUT_ORDER",
    "AdapterConfig",
    "Config",
    "EvaluationConfig",
    "GatesConfig",
    "LimitsConfig",
    "RetentionConfig",
    "RetrainConfig",
    "Settings",
    "TasteConfig",
    "TrainConfig",
]
