"""The configuration of a model: training, taste and index."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from item2vec.config.objectives import SETTINGS_OF_TRAINING, Training
from item2vec.config.settings import Settings, nearest
from item2vec.config.taste import TasteConfig
from item2vec.config.training import NextItem, TrainConfig

__all__ = ["Config"]


class Config(Settings):
    """The configuration of a model: training, taste and index.

    Examples
    --------
    >>> Config(taste=TasteConfig(decay=0.5)).train.objective
    'next_item'
    """

    train: Training = Field(default_factory=TrainConfig)
    """Settings of training."""
    taste: TasteConfig = Field(default_factory=TasteConfig)
    """Settings of tastes and scores."""
    index: Literal["auto", "exact", "faiss", "annoy"] = "auto"
    """Index for search: exact, approximate (faiss, annoy), or auto. auto is exact below 50,000 items, if
    exact search is as fast as faiss, or if faiss is not installed; otherwise auto is faiss."""

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy with some settings of training, taste or index changed, by name.

        >>> changed = Config().with_settings(epochs=5, last_n=3, index="exact")
        >>> changed.train.epochs, changed.taste.last_n, changed.index
        (5, 3, 'exact')
        """
        parts: dict[str, dict[str, Any]] = {"train": {}, "taste": {}, "index": {}}
        for name, value in settings.items():
            parts[_part_of(name)][name] = value
        train, taste = self.train.replace(**parts["train"]), self.taste.replace(**parts["taste"])
        return self.replace(train=train, taste=taste, **parts["index"])

    def to_toml(self) -> str:
        """Return the configuration as text for ``item2vec.toml``, without ``workers`` and ``None`` values.

        >>> print(Config(taste=TasteConfig(decay=0.5)).to_toml().splitlines()[-4:])
        ['[taste]', 'decay = 0.5', 'repeat_bonus = 0.0', 'popularity = 0.0']
        """
        lines = [f'index = "{self.index}"']
        for section, settings in (("train", self.train), ("taste", self.taste)):
            lines += ["", f"[{section}]"]
            for name, value in settings.model_dump(exclude_none=True, exclude={"workers"}).items():
                lines.append(f"{name} = {json.dumps(value)}")
        return "\n".join(lines) + "\n"

    @model_validator(mode="after")
    def _check_taste(self) -> Self:
        """Check that the taste can be computed from vectors of this training."""
        taste = self.taste.as_trained(self.train, has_output=self.train.has_output)
        decay = taste.decay if isinstance(taste.decay, tuple) else (taste.decay,)
        size = self.train.vector_size
        if size % len(decay):
            raise ValueError(
                f"vector_size is {size}; expected a multiple of {len(decay)}, the number of parts in "
                f"decay={taste.decay}"
            )
        if "learned" in decay and not self._learns_positions(len(decay)):
            raise ValueError(
                f"decay is {taste.decay}; expected numbers, because this training learns no position weights "
                f"for its {len(decay)} parts: train next_item with a context_decay of {len(decay)} elements "
                'that contains "learned"'
            )
        if self.taste.score == "output" and not self.train.has_output:
            raise ValueError(
                "score='output' needs output vectors, and negative=0 trains none; set negative to at least 1"
            )
        return self

    def _learns_positions(self, n_parts: int) -> bool:
        """Return whether training learns position weights for vectors of this number of parts."""
        train = self.train
        return (
            isinstance(train, NextItem)
            and "learned" in train.context_decay
            and len(train.context_decay) == n_parts
        )


def _part_of(name: str) -> str:
    """Return the section of a setting: "train", "taste" or "index".

    An unknown name is assigned to the section of the most similar name, or to "train" if none is similar.
    """
    taste = TasteConfig.model_fields
    near = name if name in SETTINGS_OF_TRAINING else nearest(name, (*SETTINGS_OF_TRAINING, *taste, "index"))
    return "taste" if near in taste else "index" if near == "index" else "train"
