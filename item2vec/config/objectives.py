"""The objectives of training, and the type of a field that holds the settings of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from item2vec.config.relatives import LSA, GloVe
from item2vec.config.tables import EASE, LinkProp, Transitions
from item2vec.config.training import OBJECTIVES, TrainConfig

__all__ = [
    "EASE",
    "LSA",
    "OBJECTIVES",
    "SETTINGS_OF_TRAINING",
    "GloVe",
    "LinkProp",
    "Training",
    "Transitions",
]

SETTINGS_OF_TRAINING = tuple(
    dict.fromkeys(name for settings in OBJECTIVES.values() for name in settings.model_fields)
)
"""Names of the settings of all objectives."""


def _from_mapping(settings: object) -> object:
    return TrainConfig(**settings) if isinstance(settings, Mapping) else settings


Training = Annotated[SerializeAsAny[TrainConfig], BeforeValidator(_from_mapping)]
"""Type of a field that holds the settings of any objective."""
