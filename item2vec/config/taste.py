"""How a history becomes a taste."""

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
    """What comes next: inner product with the output vectors (output); or near the taste in input space
    (cosine). By default output, if there are output vectors."""
    decay: Decay | Learned | Decays | None = None
    """Weight of an item for each step back in the history; 1.0 is the plain mean. "learned" reads with the
    weights that next_item learned. Several, such as 0.5 and 0.9, read as many equal parts of the vectors. By
    default ``context_decay`` of next_item, else 0.7."""
    part_weights: Annotated[tuple[PartWeight, ...], Field(min_length=1)] | None = None
    """How much each part of the vectors counts in a score, one weight for each ``decay``. By default all
    count the same, but for the shortest of next_item's default memories, which counts half."""
    half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Days after which an item weighs half, where the history comes with timestamps."""
    last_n: Annotated[int, Field(ge=1)] | None = None
    """Only the newest so many known items of a history count."""
    repeat_bonus: Bonus = 0.0
    """Added to the score of each item of the history, if seen items may be recommended."""
    mixture: Bonus = 0.0
    """Weight of the table of neighbours in the score: adds mixture · log(1 + p / 0.0001), where p is the
    item's share of the neighbours of the history. 0 builds no table."""
    popularity: Bonus = 0.0
    """Weight of the popularity prior in the score: adds popularity · log(1 + c), where c is the number of
    the item's tokens in training, recent ones above all if there is a popularity_half_life. 0 counts
    nothing."""
    popularity_half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Days after which a token counts half in the popularity prior, where training comes with timestamps. By
    default all tokens count alike."""

    def as_trained(self, train: TrainConfig | None, *, has_output: bool) -> Self:
        """Return the taste with the score and the decay that vectors of this training are read with.

        ``train`` is ``None`` for vectors whose training is not known, as those of a word2vec file.

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
    def _weights_fit(self) -> Self:
        n_parts = len(self.decay) if isinstance(self.decay, tuple) else 1
        if self.part_weights is None or self.decay is None:
            return self
        if len(self.part_weights) != n_parts or not any(self.part_weights):
            raise ValueError(
                f"part_weights is {self.part_weights}; expected a weight for each of the {n_parts} parts "
                f"that decay={self.decay} reads, one of them above 0"
            )
        return self
