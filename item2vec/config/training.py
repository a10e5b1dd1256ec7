"""Settings of training: one class per objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ModelWrapValidatorHandler, field_validator, model_validator

from item2vec.arguments import checked
from item2vec.config.defaults import (
    DEFAULT_PART_WEIGHTS,
    MEMORIES,
    defaults_for,
    fitting_memory,
    size_of_parts,
    tied_parts,
)
from item2vec.config.settings import (
    Alpha,
    Decays,
    Epochs,
    Exponent,
    Finite,
    Flag,
    Learned,
    Names,
    Patience,
    Settings,
    VectorSize,
    Window,
    either,
    nearest,
)
from item2vec.errors import ConfigError
from item2vec.processes import usable_cpus

__all__ = [
    "CBOW",
    "DEFAULT_OBJECTIVE",
    "OBJECTIVES",
    "PLAIN_DECAY",
    "NextItem",
    "SkipGram",
    "TrainConfig",
    "class_of",
    "objectives_with",
    "with_objective",
]

Trained = TypeVar("Trained", bound="TrainConfig")
DEFAULT_OBJECTIVE = "next_item"
PLAIN_DECAY = 0.7
"""Default ``TasteConfig.decay`` of most objectives, and of vectors whose training settings are unknown."""
OBJECTIVES: dict[str, type[TrainConfig]] = {}
"""Settings class of each objective, in the order of definition; filled by ``with_objective``."""


class TrainConfig(Settings):
    """Settings of training: base class of the settings of each objective.

    ``TrainConfig(objective=…)`` creates an instance of the objective's class, by default ``NextItem``.
    In skip-gram and CBOW, settings with gensim's names have gensim's meaning. The defaults were chosen on up
    to eight data sets of item sequences (docs/benchmarks/defaults.md). gensim's defaults suit text, which has
    more tokens, and in which rare words matter less.

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
    """Training objective."""
    if TYPE_CHECKING:  # each objective defines these fields, with different defaults
        backend: str
        vector_size: int
        window: int | Literal["full"]
        negative: int
        ns_exponent: float
        alpha: float
        min_alpha: float
        epochs: int
        patience: int | None

    min_count: Annotated[int, Field(ge=1)] = 1
    """Minimum number of occurrences of an item; rarer items are dropped."""
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=usable_cpus)
    """Number of threads; all usable cores by default. With 1, equal data and seeds give equal vectors."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of the random number generators."""

    def __new__(cls, **settings: Any) -> Self:
        """Create an instance of the objective's class."""
        return super().__new__(class_of(settings) if cls is TrainConfig else cls)  # type: ignore[return-value]

    def __init__(self, **settings: Any) -> None:
        # The objective counts as set explicitly, so that every dump and copy includes it.
        super().__init__(**{"objective": type(self).model_fields["objective"].default, **settings})

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, validated again.

        With another ``objective``, the copy is an instance of the class of that objective. Settings that were
        set explicitly are kept, and all other settings have the defaults of the objective. An explicitly set
        setting that the objective does not have raises ``ConfigError``.

        >>> changed = NextItem(epochs=5).replace(objective="cbow")
        >>> type(changed).__name__, changed.epochs, changed.vector_size
        ('CBOW', 5, 64)
        """
        return TrainConfig(**{**self.given(), **changes})  # type: ignore[return-value]

    def for_data(self, n_tokens: int, *, ordered: bool) -> Self:  # noqa: ARG002
        """Return the settings with the defaults for this number of tokens, and for (un)ordered sentences."""
        return self

    @property
    def has_output(self) -> bool:
        """Whether training yields output vectors."""
        return True

    @property
    def taste_decay(self) -> float | Learned | tuple[float | Learned, ...]:
        """Default ``TasteConfig.decay`` for vectors of this training."""
        return PLAIN_DECAY

    @property
    def part_weights(self) -> tuple[float, ...] | None:
        """Default ``TasteConfig.part_weights`` for vectors of this training; ``None`` for equal weights."""
        return None

    @classmethod
    @checked
    def explain_unknown(cls, name: str) -> str:
        """Return the error message for an unknown name, with the objectives that have such a setting."""
        own = cls.model_fields["objective"].default
        near = nearest(name, [known for c in (cls, *OBJECTIVES.values()) for known in c.model_fields])
        if others := objectives_with(name):
            return (
                f"{name} is a setting of objective={either(others)}, not of {own!r}; leave it out, or set "
                f"objective={others[0]!r}"
            )
        if near is None or near in cls.model_fields:
            return super().explain_unknown(name)
        of = either(objectives_with(near))
        return f"unknown setting {name!r}; did you mean {near!r}, a setting of objective={of}?"


def with_objective(settings: type[Trained]) -> type[Trained]:
    """Decorate the settings class of an objective: add it to ``OBJECTIVES``."""
    OBJECTIVES[settings.model_fields["objective"].default] = settings
    return settings


class ByDescent(TrainConfig):
    """Settings of the objectives that are trained with a decreasing learning rate."""

    min_alpha: Annotated[Finite, Field(ge=0)] = 0.0001
    """Final learning rate, at most ``alpha``; the rate decreases linearly."""
    patience: Patience = None
    """Stop after this many epochs without a higher validation NDCG; return the best epoch. None: never."""

    @property
    def alpha_step(self) -> float:
        """Decrease of the learning rate per epoch."""
        return (self.alpha - self.min_alpha) / self.epochs

    @model_validator(mode="after")
    def _check_rates(self) -> Self:
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha is {self.min_alpha}; expected at most alpha, which is {self.alpha}")
        return self


@with_objective
class NextItem(ByDescent):
    """Settings of next_item, which predicts the next item from the taste of the preceding items.

    Serving computes the same taste. The vectors are split into equal parts, one per value of
    ``context_decay``, and each part is trained independently.

    Examples
    --------
    >>> NextItem().context_decay, NextItem(context_decay=(0.3, 0.8, 0.98)).vector_size
    (('learned', 0.98, 0.3), 384)
    """

    objective: Literal["next_item"] = "next_item"
    """Predict the next item from the history."""
    backend: Literal["numba"] = "numba"
    """Train with the compiled loops of item2vec (numba)."""
    similarity: Literal["cosine", "inner"] = "cosine"
    """Similarity of a taste and an item, per part: cosine / temperature, or inner product."""
    temperature: Annotated[Finite, Field(gt=0, le=100)] = 0.07
    """Divisor of cosines in the softmax and in scores; not used with similarity='inner'."""
    context_decay: Decays = MEMORIES[0]
    """Weights of history items, one entry per part of the vectors: an exponential decay per position, or
    "learned" (one learned weight per position, newest first). If ``vector_size`` is set and cannot be split
    into three parts, the default is two learned parts, or one learned part."""
    tied: Annotated[int, Field(ge=0)] = Field(default_factory=tied_parts)
    """Number of parts, counted from the first, that share one matrix for input and output vectors. By default
    half of the parts, rounded down."""
    vector_size: VectorSize = Field(default_factory=size_of_parts)
    """Dimensions of an item vector; by default 128 per part of ``context_decay``."""
    window: Window = 50
    """Maximum number of history items per prediction; ``"full"`` for all items. By default 50, or 20 for
    unordered sentences, of which each prediction reads a random subset."""
    negative: Annotated[int, Field(ge=1, le=1000)] = 512
    """Number of negative samples per block of 256 predictions; all items if there are at most as many."""
    ns_exponent: Exponent = 0.5
    """Sampling weight of negatives: count ** ns_exponent. 0 is uniform; values below 0 favour rare items."""
    dropout: Annotated[Finite, Field(ge=0, lt=1)] = 0.3
    """Probability that a history item is dropped, drawn independently for each prediction."""
    weight_decay: Annotated[Finite, Field(ge=0, lt=1)] = 0.003
    """Weight decay: an update multiplies each vector with a gradient by 1 - weight_decay · learning rate."""
    attributes: Names = ()
    """Attributes whose vectors are added to the vectors of the items. Each distinct value of an attribute, or
    element of a list, has its own vectors."""
    attributes_only: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    """Probability, per item and block, that an item is represented by the vectors of its attributes alone."""
    alpha: Alpha = 0.08
    """Initial learning rate of row-wise Adagrad."""
    epochs: Epochs = 15
    """Number of passes over the sentences. By default 15 up to 250,000 tokens; above, 15 · sqrt(250,000 /
    tokens), but at least 5."""

    @property
    def taste_decay(self) -> float | Learned | tuple[float | Learned, ...]:
        """Default ``TasteConfig.decay`` for vectors of this training: ``context_decay``.

        >>> NextItem(context_decay=(0.4, 0.8)).taste_decay
        (0.4, 0.8)
        """
        return self.context_decay if len(self.context_decay) > 1 else self.context_decay[0]

    @property
    def part_weights(self) -> tuple[float, ...] | None:
        """Default ``TasteConfig.part_weights`` of the default ``context_decay``; otherwise ``None``.

        >>> NextItem().part_weights, NextItem(context_decay=(0.4, 0.8)).part_weights
        ((1.0, 1.0, 0.5), None)
        """
        return DEFAULT_PART_WEIGHTS if self.context_decay == MEMORIES[0] else None

    @checked
    def for_data(self, n_tokens: int, *, ordered: bool) -> Self:
        """Return the settings for sentences of this size and kind; explicit settings do not change.

        Without order, ``context_decay`` is all 1, and ``window`` is 20. Many tokens need fewer ``epochs``.

        >>> NextItem().for_data(1_000_000, ordered=True).epochs
        8
        """
        defaults = defaults_for(n_tokens, self.epochs, len(self.context_decay), ordered=ordered)
        free = {n: v for n, v in defaults.items() if n not in self.model_fields_set and v != getattr(self, n)}
        return self.replace(**free)

    @model_validator(mode="wrap")
    @classmethod
    def _default_memory(cls, settings: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Set the default ``context_decay`` of a vector size. It does not count as set explicitly."""
        size = settings.get("vector_size") if isinstance(settings, Mapping) else None
        if not isinstance(size, int) or size < 1 or "context_decay" in settings:
            return validate(settings)
        validated = validate({**settings, "context_decay": fitting_memory(size)})
        validated.model_fields_set.remove("context_decay")
        return validated

    @field_validator("backend", mode="before")
    @classmethod
    def _check_backend_of_next_item(cls, backend: object) -> object:
        if backend == "gensim":
            raise ValueError(
                "backend='gensim' does not support objective='next_item'; set backend='numba', or set "
                "objective='skipgram'"
            )
        return backend

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        n_parts = len(self.context_decay)
        if self.vector_size % n_parts:
            raise ValueError(
                f"vector_size is {self.vector_size}; expected a multiple of {n_parts}, the number of "
                f"parts in context_decay={self.context_decay}"
            )
        if self.similarity == "cosine" and self.vector_size == n_parts:
            raise ValueError(
                f"vector_size is {self.vector_size}; expected at least {2 * n_parts} (2 per part), because "
                "the cosine of one-dimensional parts is always 1 or -1; or set similarity='inner'"
            )
        if self.tied > n_parts:
            raise ValueError(
                f"tied is {self.tied}; expected at most {n_parts}, the number of parts in "
                f"context_decay={self.context_decay}"
            )
        return self


class Word2Vec(ByDescent):
    """Settings of both skip-gram and CBOW (Mikolov et al., 2013)."""

    backend: Literal["gensim", "numba"] = "gensim"
    """Train with gensim, or with compiled loops (numba), which are several times as fast."""
    vector_size: VectorSize = 64
    """Dimensions of an item vector."""
    window: Window = 10
    """Maximum distance of neighbours, in positions of a sentence; ``"full"`` for the whole sentence."""
    sample: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    """Subsampling threshold. Tokens of items with more than this share of all tokens are dropped at random.
    0 disables subsampling."""
    negative: Annotated[int, Field(ge=0, le=1000)] = 5
    """Number of negative samples per positive pair; 0 requires ``hs``."""
    ns_exponent: Exponent = 0.25
    """Sampling weight of negatives: count ** ns_exponent. 0 is uniform; values below 0 favour rare items."""
    hs: Flag = False
    """Train by hierarchical softmax in addition to negative sampling. With negative=0, train by hierarchical
    softmax only, and without output vectors. Requires backend="gensim"."""
    shrink_windows: Flag = True
    """Draw the width of each window from 1 to ``window``, so that near neighbours have more weight."""
    forward_only: Flag = False
    """Use only earlier items of a sentence as neighbours of an item. Requires backend="numba"."""
    alpha: Alpha = 0.05
    """Initial learning rate."""
    epochs: Epochs = 40
    """Number of passes over the sentences."""

    @property
    def has_output(self) -> bool:
        """Whether training yields output vectors: hierarchical softmax alone does not."""
        return self.negative > 0

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.backend == "numba" and self.hs:
            raise ValueError("backend='numba' does not support hs=True; set hs=False or backend='gensim'")
        if self.backend == "gensim" and self.forward_only:
            raise ValueError("backend='gensim' does not support forward_only=True; set backend='numba'")
        if not self.hs and self.negative == 0:
            raise ValueError("negative=0 trains nothing without hs=True; set negative to at least 1")
        return self


@with_objective
class SkipGram(Word2Vec):
    """Settings of skip-gram, which predicts each neighbour of an item from the item.

    >>> SkipGram().epochs
    40
    """

    objective: Literal["skipgram"] = "skipgram"
    """Predict each neighbour of an item from the item."""


@with_objective
class CBOW(Word2Vec):
    """Settings of CBOW, which predicts an item from the mean or sum of its neighbours.

    >>> CBOW(cbow_mean=False).objective
    'cbow'
    """

    objective: Literal["cbow"] = "cbow"
    """Predict an item from the mean or sum of its neighbours."""
    cbow_mean: Flag = True
    """Use the mean (True) or the sum (False) of the vectors of the neighbours."""


@checked
def objectives_with(name: str) -> tuple[str, ...]:
    """Return the objectives that have a setting of this name.

    >>> objectives_with("sample")
    ('skipgram', 'cbow')
    """
    return tuple(objective for objective, settings in OBJECTIVES.items() if name in settings.model_fields)


def class_of(settings: Mapping[str, Any]) -> type[TrainConfig]:
    """Return the class of the settings of an objective, by default ``next_item``."""
    objective = settings.get("objective", DEFAULT_OBJECTIVE)
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        hint = f"; did you mean {near!r}?" if (near := nearest(str(objective), OBJECTIVES)) else ""
        raise ConfigError(f"objective is {objective!r}; expected {either(OBJECTIVES)}{hint}")
    return OBJECTIVES[objective]
