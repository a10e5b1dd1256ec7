"""Settings of models, data and nightly runs: classes that validate names, types and ranges when created."""

from __future__ import annotations

from item2vec.config.adapter import AdapterConfig, AdapterSection
from item2vec.config.arguments import ModelSettings, TrainSettings
from item2vec.config.ingest import IngestConfig
from item2vec.config.model import Config
from item2vec.config.nightly import (
    EvaluationConfig,
    GatesConfig,
    LimitsConfig,
    RetentionConfig,
    RetrainConfig,
)
from item2vec.config.objectives import (
    EASE,
    LSA,
    OBJECTIVES,
    SETTINGS_OF_TRAINING,
    GloVe,
    LinkProp,
    Training,
    Transitions,
)
from item2vec.config.saved import of_its_objective
from item2vec.config.settings import Settings
from item2vec.config.taste import TasteConfig
from item2vec.config.training import (
    CBOW,
    DEFAULT_OBJECTIVE,
    PLAIN_DECAY,
    NextItem,
    SkipGram,
    TrainConfig,
    objectives_with,
)

__all__ = [
    "CBOW",
    "DEFAULT_OBJECTIVE",
    "EASE",
    "LSA",
    "OBJECTIVES",
    "PLAIN_DECAY",
    "SETTINGS_OF_TRAINING",
    "AdapterConfig",
    "AdapterSection",
    "Config",
    "EvaluationConfig",
    "GatesConfig",
    "GloVe",
    "IngestConfig",
    "LimitsConfig",
    "LinkProp",
    "ModelSettings",
    "NextItem",
    "RetentionConfig",
    "RetrainConfig",
    "Settings",
    "SkipGram",
    "TasteConfig",
    "TrainConfig",
    "TrainSettings",
    "Training",
    "Transitions",
    "objectives_with",
    "of_its_objective",
]
