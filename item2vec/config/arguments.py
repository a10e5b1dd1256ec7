"""Types of settings as keyword arguments: editors complete the names, and type checkers check the types.

The classes of settings define names, types, defaults and ranges. A test compares this file with the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from item2vec.config.settings import Learned

__all__ = ["ModelSettings", "TrainSettings"]


class TrainSettings(TypedDict, total=False):
    """The settings of all objectives, by name. An objective accepts only its own settings.

    >>> settings: TrainSettings = {"objective": "skipgram", "vector_size": 64}
    """

    objective: Literal["next_item", "skipgram", "cbow", "lsa", "glove", "transitions", "linkprop", "ease"]
    backend: Literal["gensim", "numba"]
    vector_size: int
    window: int | Literal["full"]
    min_count: int
    negative: int
    ns_exponent: float
    alpha: float
    min_alpha: float
    epochs: int
    workers: int
    seed: int
    patience: int | None
    similarity: Literal["cosine", "inner"]
    temperature: float
    context_decay: Sequence[float | Learned]
    tied: int
    dropout: float
    weight_decay: float
    attributes: Sequence[str]
    attributes_only: float
    sample: float
    hs: bool
    shrink_windows: bool
    forward_only: bool
    cbow_mean: bool
    matrix: Literal["items", "sentences"]
    weighting: Literal["raw", "tfidf", "ppmi"]
    power: float
    x_max: float
    x_exponent: float
    max_neighbours: int
    fade: float
    smoothing: float
    max_items: int
    l2: float


class ModelSettings(TrainSettings, total=False):
    """The settings of training, of ``TasteConfig`` and of the index, by name.

    >>> settings: ModelSettings = {"epochs": 5, "decay": 0.8, "index": "exact"}
    """

    score: Literal["cosine", "output"] | None
    decay: float | Learned | Sequence[float | Learned] | None
    part_weights: Sequence[float] | None
    half_life: float | None
    last_n: int | None
    repeat_bonus: float
    mixture: float | None
    popularity: float
    popularity_half_life: float | None
    index: Literal["auto", "exact", "faiss", "annoy"]
