"""How item vectors are trained: one class of settings for each objective."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from item2vec.config.memories import (
    DEFAULT_PART_WEIGHTS,
    MEMORIES,
    fitting_memory,
    size_of_parts,
    tied_parts,
)
from item2vec.config.settings import Decays, Finite, Flag, Learned, Settings, nearest
from item2vec.errors import ConfigError

__all__ = [
    "CBOW",
    "DEFAULT_OBJECTIVE",
    "OBJECTIVES",
    "PLAIN_DECAY",
    "SETTINGS_OF_TRAINING",
    "NextItem",
    "SkipGram",
    "TrainConfig",
    "Training",
    "objectives_with",
    "of_its_objective",
]

VectorSize = Annotated[int, Field(ge=1, le=4096)]
Window = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["full"]
Exponent = Annotated[Finite, Field(ge=-2, le=2)]
Alpha = Annotated[Finite, Field(gt=0, le=1000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]

DEFAULT_OBJECTIVE = "next_item"
PLAIN_DECAY = 0.7
"""How a taste reads vectors that were not trained with a decay."""


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class TrainConfig(Settings):
    """How item vectors are trained: the settings of ``NextItem``, ``SkipGram`` or ``CBOW``.

    Called by this name, it makes the class of the objective, ``NextItem`` by default. gensim's names keep
    gensim's meaning. The defaults are those that did best over eight sets of item sequences
    (docs/benchmarks.md), not gensim's, which are made for text: there are fewer tokens, and rare items
    matter.

    Raises
    ------
    ConfigError
        If a setting is unknown, belongs to another objective, or is out of range.

    Examples
    --------
    >>> TrainConfig(epochs=5).objective
    'next_item'
    >>> TrainConfig(objective="skipgram", vector_size=32).window
    10
    >>> TrainConfig(objective="skipgram", dropout=0.2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    item2vec.errors.ConfigError: dropout is a setting of objective='next_item', not of 'skipgram'; ...
    """

    objective: str = DEFAULT_OBJECTIVE
    """What is predicted from what."""
    if TYPE_CHECKING:  # each objective defines these, with a default of its own
        backend: str
        vector_size: int
        window: int | Literal["full"]
        negative: int
        ns_exponent: float
        alpha: float
        epochs: int

    min_count: Annotated[int, Field(ge=1)] = 1
    """Items that occur less often are left out."""
    min_alpha: Annotated[Finite, Field(ge=0)] = 0.0001
    """Learning rate at the end, at most ``alpha``; it falls linearly."""
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=_cores)
    """Threads; all cores by default. 1 is deterministic: same input and seed, same bytes."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of every random draw."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """With validation: stop after so many epochs without a better NDCG, and keep the best epoch's vectors."""

    def __new__(cls, **settings: Any) -> Self:
        """Make an instance of the class of the objective."""
        return super().__new__(_class_of(settings) if cls is TrainConfig else cls)  # type: ignore[return-value]

    def __init__(self, **settings: Any) -> None:
        # The objective always counts as given, so that no dump or copy can lose it.
        super().__init__(**{"objective": type(self).model_fields["objective"].default, **settings})

    def replace(self, **changes: Any) -> Self:
        """Return the same settings with some changed, checked anew.

        Another ``objective`` makes the class of that objective, with what was given to this one and its own
        defaults for the rest. If it does not know a setting that was given, that is an error.

        >>> changed = NextItem(epochs=5).replace(objective="cbow")
        >>> type(changed).__name__, changed.epochs, changed.vector_size
        ('CBOW', 5, 64)
        """
        return TrainConfig(**{**self.given(), **changes})  # type: ignore[return-value]

    def without_order(self) -> Self:
        """Return the settings for sentences whose order means nothing."""
        return self

    @property
    def alpha_step(self) -> float:
        """How much the learning rate falls in an epoch.

        >>> TrainConfig(alpha=0.5, min_alpha=0.25, epochs=5).alpha_step
        0.05
        """
        return (self.alpha - self.min_alpha) / self.epochs

    @property
    def taste_decay(self) -> float | Learned | tuple[float | Learned, ...]:
        """How a taste reads such vectors by default: weight of an item for each step back."""
        return PLAIN_DECAY

    @property
    def part_weights(self) -> tuple[float, ...] | None:
        """How much each part of such vectors counts in a score by default; ``None``: all the same."""
        return None

    @classmethod
    def explain_unknown(cls, name: str) -> str:
        """Return what is wrong with a name that is none of these settings: also, whose setting it is."""
        own = cls.model_fields["objective"].default
        near = nearest(name, SETTINGS_OF_TRAINING)
        if others := objectives_with(name):
            return (
                f"{name} is a setting of objective={_either(others)}, not of {own!r}; leave it out, or set "
                f"objective={others[0]!r}"
            )
        if near is None or near in cls.model_fields:
            return super().explain_unknown(name)
        of = _either(objectives_with(near))
        return f"unknown setting {name!r}; did you mean {near!r}, a setting of objective={of}?"

    @model_validator(mode="after")
    def _falling_rate(self) -> Self:
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha is {self.min_alpha}; expected at most alpha, which is {self.alpha}")
        return self


class NextItem(TrainConfig):
    """Predict the next item from the taste so far: what serving computes is what is trained.

    The vectors are cut into parts, one for each ``context_decay``, and each part is trained by itself.

    Examples
    --------
    >>> NextItem().context_decay, NextItem(context_decay=(0.3, 0.8, 0.98)).vector_size
    (('learned', 0.98, 0.3), 384)
    """

    objective: Literal["next_item"] = "next_item"
    """Predict the next item from the taste so far."""
    backend: Literal["numba"] = "numba"
    """Which trainer runs: our own (numba)."""
    similarity: Literal["cosine", "inner"] = "cosine"
    """How a taste is compared with an item, part by part: cosine / temperature, or inner product."""
    temperature: Annotated[Finite, Field(gt=0, le=100)] = 0.07
    """Divides cosines in the softmax and in scores; not used with similarity='inner'."""
    context_decay: Decays = MEMORIES[0]
    """Weight of an item for each step back, one entry for each part of the vectors: a decay, or "learned",
    which learns a weight for each step back. A short memory stands beside long ones. Where ``vector_size`` is
    given and no multiple of three, two parts are learned by default, or one."""
    tied: Annotated[int, Field(ge=0)] = Field(default_factory=tied_parts)
    """How many parts, the first ones, have one matrix in both roles: input vectors are output vectors. By
    default half of them."""
    vector_size: VectorSize = Field(default_factory=size_of_parts)
    """Numbers in an item's vector: 128 for each part of ``context_decay``."""
    window: Window = 50
    """How many items before the next one are read; ``"full"``: all of them."""
    negative: Annotated[int, Field(ge=1, le=1000)] = 512
    """Negative samples, shared by a block of 256 predictions."""
    ns_exponent: Exponent = 0.5
    """Negatives are drawn in proportion to count ** ns_exponent. 0 is uniform; below 0 prefers rare items."""
    dropout: Annotated[Finite, Field(ge=0, lt=1)] = 0.3
    """Probability that an item of the history is dropped, drawn anew for each prediction."""
    weight_decay: Annotated[Finite, Field(ge=0, lt=1)] = 0.003
    """Weight decay of each vector that an update changes, times the learning rate."""
    alpha: Alpha = 0.08
    """Learning rate at the start, of row-wise Adagrad."""
    epochs: Epochs = 15
    """Passes over the sentences."""

    @property
    def taste_decay(self) -> float | Learned | tuple[float | Learned, ...]:
        """How a taste reads such vectors by default: as they were trained.

        >>> NextItem(context_decay=(0.4, 0.8)).taste_decay
        (0.4, 0.8)
        """
        return self.context_decay if len(self.context_decay) > 1 else self.context_decay[0]

    @property
    def part_weights(self) -> tuple[float, ...] | None:
        """How much each part counts in a score by default: of the default memories, the shortest counts less.

        >>> NextItem().part_weights, NextItem(context_decay=(0.4, 0.8)).part_weights
        ((1.0, 1.0, 0.5), None)
        """
        return DEFAULT_PART_WEIGHTS if self.context_decay == MEMORIES[0] else None

    def without_order(self) -> Self:
        """Return the settings for sentences whose order means nothing: unless ``context_decay`` is given, 1.

        >>> NextItem(epochs=5).without_order().context_decay
        (1.0, 1.0, 1.0)
        """
        if "context_decay" in self.given():
            return self
        return self.replace(context_decay=(1.0,) * len(self.context_decay))

    def given(self) -> dict[str, Any]:
        """Return the settings that were given; a memory that is the default does not count."""
        given = super().given()
        default = fitting_memory(self.vector_size) if "vector_size" in given else MEMORIES[0]
        return {n: value for n, value in given.items() if n != "context_decay" or value != default}

    @model_validator(mode="before")
    @classmethod
    def _memory_that_fits(cls, settings: Any) -> Any:
        size = settings.get("vector_size") if isinstance(settings, Mapping) else None
        if not isinstance(size, int) or size < 1 or "context_decay" in settings:
            return settings
        return {**settings, "context_decay": fitting_memory(size)}

    @field_validator("backend", mode="before")
    @classmethod
    def _known_backend(cls, backend: object) -> object:
        if backend == "gensim":
            raise ValueError(
                "objective='next_item' is not known to gensim; set backend='numba', or set "
                "objective='skipgram'"
            )
        return backend

    @model_validator(mode="after")
    def _equal_parts(self) -> Self:
        n_parts = len(self.context_decay)
        if self.vector_size % n_parts:
            raise ValueError(
                f"vector_size is {self.vector_size}; expected a multiple of {n_parts}, the number of "
                f"parts in context_decay={self.context_decay}"
            )
        if self.similarity == "cosine" and self.vector_size == n_parts:
            raise ValueError(
                f"vector_size is {self.vector_size}; expected at least {2 * n_parts}, two numbers for each "
                "part: a cosine compares directions"
            )
        if self.tied > n_parts:
            raise ValueError(
                f"tied is {self.tied}; expected at most {n_parts}, the number of parts in "
                f"context_decay={self.context_decay}"
            )
        return self


class Word2Vec(TrainConfig):
    """What skip-gram and CBOW (Mikolov et al., 2013) have in common: gensim's settings, and two of ours."""

    backend: Literal["gensim", "numba"] = "gensim"
    """Which trainer runs: gensim's, or our own (numba), which is several times as fast."""
    vector_size: VectorSize = 64
    """Numbers in an item's vector."""
    window: Window = 10
    """How far apart two items of a sentence may be to count as neighbours; ``"full"``: the whole sentence."""
    sample: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    """Subsampling threshold: items more frequent than this share of all tokens are randomly dropped.
    0 disables it."""
    negative: Annotated[int, Field(ge=0, le=1000)] = 5
    """Negative samples per positive pair; 0 only together with ``hs``."""
    ns_exponent: Exponent = 0.25
    """Negatives are drawn in proportion to count ** ns_exponent. 0 is uniform; below 0 prefers rare items."""
    hs: Flag = False
    """Hierarchical softmax beside negative sampling; or alone (negative=0), then without output vectors.
    gensim only."""
    shrink_windows: Flag = True
    """Draw each window's width anew from 1 to ``window``, so that near neighbours weigh more."""
    forward_only: Flag = False
    """Only what comes before an item in a sentence is its neighbour. numba only."""
    alpha: Alpha = 0.05
    """Learning rate at the start."""
    epochs: Epochs = 40
    """Passes over the sentences."""

    @model_validator(mode="after")
    def _known_to_the_backend(self) -> Self:
        if self.backend == "numba" and self.hs:
            raise ValueError("hs=True is for backend='gensim'; set hs=False, or set backend='gensim'")
        if self.backend == "gensim" and self.forward_only:
            raise ValueError("forward_only=True is not known to gensim; set backend='numba'")
        return self

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if not self.hs and self.negative == 0:
            raise ValueError("negative=0 trains nothing without hs=True; set negative to at least 1")
        return self


class SkipGram(Word2Vec):
    """Predict each neighbour from the item.

    >>> SkipGram().epochs
    40
    """

    objective: Literal["skipgram"] = "skipgram"
    """Predict each neighbour from the item."""


class CBOW(Word2Vec):
    """Predict the item from all its neighbours at once.

    >>> CBOW(cbow_mean=False).objective
    'cbow'
    """

    objective: Literal["cbow"] = "cbow"
    """Predict the item from all its neighbours at once."""
    cbow_mean: Flag = True
    """Average the neighbours' vectors (True) or add them (False)."""


OBJECTIVES: Mapping[str, type[TrainConfig]] = {"next_item": NextItem, "skipgram": SkipGram, "cbow": CBOW}
"""The settings of each objective."""
SETTINGS_OF_TRAINING = tuple(
    dict.fromkeys(name for settings in OBJECTIVES.values() for name in settings.model_fields)
)
"""The names of all settings of all objectives."""


def objectives_with(name: str) -> tuple[str, ...]:
    """Return the objectives that have a setting of this name.

    >>> objectives_with("sample")
    ('skipgram', 'cbow')
    """
    return tuple(objective for objective, settings in OBJECTIVES.items() if name in settings.model_fields)


def of_its_objective(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a bundle as they are today.

    item2vec 0.1.0 also wrote the settings of other objectives, and knew next_item by inner products only.

    >>> of_its_objective({"objective": "skipgram", "window": 5, "dropout": 0.3})
    {'objective': 'skipgram', 'window': 5}
    >>> of_its_objective({"objective": "next_item", "epochs": 5})
    {'similarity': 'inner', 'tied': 0, 'objective': 'next_item', 'epochs': 5}
    """
    made = _class_of(settings)
    foreign = set(SETTINGS_OF_TRAINING) - made.model_fields.keys()
    own = {name: value for name, value in settings.items() if name not in foreign}
    return {"similarity": "inner", "tied": 0, **own} if made is NextItem else own


def _made(settings: object) -> object:
    return TrainConfig(**settings) if isinstance(settings, Mapping) else settings


Training = Annotated[SerializeAsAny[TrainConfig], BeforeValidator(_made)]
"""The settings of one of the objectives, as a field: which one, its ``objective`` says."""


def _class_of(settings: Mapping[str, Any]) -> type[TrainConfig]:
    objective = settings.get("objective", DEFAULT_OBJECTIVE)
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        near = nearest(str(objective), OBJECTIVES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"objective is {objective!r}; expected {_either(OBJECTIVES)}{hint}")
    return OBJECTIVES[objective]


def _either(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
