"""Settings of the taste and of scores."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from item2vec.config.settings import Decay, Decays, Finite, Learned, Settings
from item2vec.config.training import PLAIN_DECAY, TrainConfig

__all__ = ["TasteConfig"]

PartWeight = Annotated[Finite, Field(ge=0, le=1e6)]
Bonus = Annotated[Finite, Field(ge=0, le=1e6)]


class TasteConfig(Settings):
    """How a history becomes a taste vector, and how items are scored against it.

    Examples
    --------
    >>> TasteConfig(score="output", decay=0.5).last_n is None
    True
    """

    score: Literal["cosine", "output"] | None = None
    """Score of an item: inner product of the taste with its output vector (output), or cosine with its input
    vector (cosine). By default output, if there are output vectors."""
    decay: Decay | Learned | Decays | None = None
    """Factor on the weight of a history item per step back; 1.0 is the plain mean. "learned" uses the weights
    that next_item learned. Several values, such as 0.5 and 0.9, apply to as many equal parts of the vectors.
    By default ``context_decay`` of next_item, else 0.7."""
    part_weights: Annotated[tuple[PartWeight, ...], Field(min_length=1)] | None = None
    """Weight of each part of the vectors in a score, one per ``decay``. By default 1 for each part, but 0.5
    for the shortest of next_item's default memories."""
    half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Age in days at which a history item weighs half, if the history has timestamps."""
    last_n: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of history items that count, the newest known ones."""
    repeat_bonus: Bonus = 0.0
    """Added to the score of each item of the history, if seen items may be recommended."""
    mixture: Bonus = 0.0
    """Weight of the table of neighbours in the score: adds mixture · log(1 + p / 0.0001), where p is the
    item's share of the neighbours of the history. With 0, no table is built."""
    popularity: Bonus = 0.0
    """Weight of the popularity prior in the score: adds popularity · log(1 + c), where c is the number of
    tokens of the item in training, discounted by age if popularity_half_life is set. With 0, no prior is
    counted."""
    popularity_half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Age in days at which a token counts half in the popularity prior, if training data have timestamps. By
    default all tokens count the same."""

    def as_trained(self, train: TrainConfig | None, *, has_output: bool) -> Self:
        """Return the taste with the defaults of score, decay and part weights for vectors of this training.

        ``train`` is ``None`` for vectors of unknown training, such as those of a word2vec file.

        >>> from item2vec import NextItem
        >>> taste = TasteConfig(last_n=5).as_trained(NextItem(context_decay=(0.4, 0.8)), has_output=True)
        >>> taste.score, taste.decay, taste.last_n
        ('output', (0.4, 0.8), 5)
        """
        score = self.score or ("output" if has_output else "cosine")
        decay = self.decay or (PLAIN_DECAY if train is None else train.taste_decay)
        weights = self.part_weights
        if weights is None and train is not None and decay == train.taste_decay:
            weights = train.part_weights
        return self.replace(score=score, decay=decay, part_weights=weights)

    @model_validator(mode="after")
    def _check_part_weights(self) -> Self:
        n_parts = len(self.decay) if isinstance(self.decay, tuple) else 1
        if self.part_weights is None or self.decay is None:
            return self
        if len(self.part_weights) != n_parts or not any(self.part_weights):
            raise ValueError(
                f"part_weights is {self.part_weights}; expected a weight for each of the {n_parts} parts "
                f"that decay={self.decay} reads, at least one above 0"
            )
        return self
