"""Settings of tastes and scores."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from item2vec.arguments import checked
from item2vec.config.settings import Decay, Decays, Finite, Learned, Settings
from item2vec.config.tables import TableConfig
from item2vec.config.training import PLAIN_DECAY, TrainConfig

__all__ = ["TasteConfig"]

PartWeight = Annotated[Finite, Field(ge=0, le=1e6)]
TABLE_MIXTURE, BESIDE_TABLE = 1.0, 0.001
"""Defaults of ``mixture`` and of the part weight if the model is a table of neighbours. The table then
determines the ranking. The vectors order only items that have equal weights, or no weight, in the table."""
Bonus = Annotated[Finite, Field(ge=0, le=1e6)]


class TasteConfig(Settings):
    """Settings of tastes and scores: weights of history items, the kind of score, and additions to scores.

    Examples
    --------
    >>> TasteConfig(score="output", decay=0.5).last_n is None
    True
    """

    score: Literal["cosine", "output"] | None = None
    """Score of an item: inner product of the taste and the item's output vector (output), or cosine of the
    taste and the item's input vector (cosine). The default is output if there are output vectors, otherwise
    cosine."""
    decay: Decay | Learned | Decays | None = None
    """Exponential decay per position: the n-th most recent item has weight decay^(n-1); 1.0 gives the plain
    mean. "learned" uses the weights that next_item learned. Several values, such as 0.5 and 0.9, apply to
    equal parts of vectors, one value per part. The default is ``context_decay`` for next_item, 0.5 for
    transitions, 1 for linkprop and ease, and 0.7 for other objectives. A single number for transitions,
    linkprop or ease is also the decay of their table."""
    part_weights: Annotated[tuple[PartWeight, ...], Field(min_length=1)] | None = None
    """Weight of each part of the vectors in a score, one per ``decay``. The default is 1; with the default
    ``context_decay`` of next_item, it is 0.5 for the part with decay 0.3. For transitions, linkprop and ease
    with the default mixture, it is 0.001, so that the table determines the ranking."""
    half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Age in days at which the weight of a history item is halved, if the history has timestamps."""
    last_n: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of history items in a taste; the newest known items are used."""
    repeat_bonus: Bonus = 0.0
    """Number added to the score of each item of the history, if seen items may be recommended: with
    filter_seen=False, or if the adapter has seen_events."""
    mixture: Bonus | None = None
    """Weight of the item–item model in the blended score: adds mixture · log(1 + p / 0.0001) to the score of
    an item, where p is the item's share of the neighbour weights of the history, at least 0. With 0, a
    trained model has no table. The default is 1 for transitions, linkprop and ease, and 0 for other
    objectives."""
    popularity: Bonus = 0.0
    """Weight of the popularity prior in scores: adds popularity · log(1 + c) to the score of an item, where
    c is the number of its tokens in training, discounted by age if popularity_half_life is set. With 0, the
    prior ranks items only for histories without a known item."""
    popularity_half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Age in days at which the count of a token in the popularity prior is halved, if the training data have
    timestamps. The default is 7 days if popularity is 0. If popularity is above 0, counts are not
    discounted by default."""

    @checked
    def as_trained(self, train: TrainConfig | None, *, has_output: bool, has_table: bool = False) -> Self:
        """Return a copy in which unset fields whose default depends on the training have this default.

        These fields are score, decay, part_weights and mixture. ``train`` holds the settings of training;
        ``None`` if they are unknown, as for a word2vec file. ``has_output`` and ``has_table`` state whether
        the model has output vectors, and whether it has a table of neighbours. An unset mixture gets a
        default only if there is a table and the objective is transitions, linkprop or ease. Otherwise, it
        stays unset, which means 0. Unset part_weights stay unset, which means 1 for each part, unless the
        training has default weights for this decay, or the mixture gets its default and decay is one value.

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
        mixture = self.mixture
        if mixture is None and has_table:
            mixture = self.mixture_for(train) or None
            if mixture and weights is None and not isinstance(decay, tuple):
                weights = (BESIDE_TABLE,)
        if (score, decay, weights, mixture) == (self.score, self.decay, self.part_weights, self.mixture):
            return self  # validation would take longer than a taste
        return self.replace(score=score, decay=decay, part_weights=weights, mixture=mixture)

    @checked
    def mixture_for(self, train: TrainConfig | None) -> float:
        """Return ``mixture`` or, if unset, its default: 1 for transitions, linkprop and ease, otherwise 0.

        >>> from item2vec import TrainConfig
        >>> TasteConfig().mixture_for(TrainConfig(objective="ease")), TasteConfig().mixture_for(None)
        (1.0, 0.0)
        """
        if self.mixture is None:
            return TABLE_MIXTURE if isinstance(train, TableConfig) else 0.0
        return self.mixture

    @model_validator(mode="after")
    def _check_part_weights(self) -> Self:
        n_parts = len(self.decay) if isinstance(self.decay, tuple) else 1
        if self.part_weights is None or self.decay is None:
            return self
        if len(self.part_weights) != n_parts or not any(self.part_weights):
            raise ValueError(
                f"part_weights is {self.part_weights}; expected one weight per part of decay={self.decay} "
                f"({n_parts}), and at least one weight above 0"
            )
        return self
