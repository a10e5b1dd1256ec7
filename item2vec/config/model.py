"""How to train and how to read a taste: every setting, its meaning and its range, checked before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from item2vec.config.settings import Settings

__all__ = ["Config", "TasteConfig", "TrainConfig"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Flag = Annotated[
    bool, BeforeValidator(lambda flag: {0: False, 1: True}.get(flag, flag) if type(flag) is int else flag)
]
"""True or False; gensim's 1 and 0 mean the same."""
Decay = Annotated[Finite, Field(gt=0, le=1)]
Decays = Annotated[tuple[Decay, ...], Field(min_length=1)]

DECAY = 0.7
WITHOUT_ORDER = (1.0, 1.0)
"""next_item's ``context_decay`` where the order in a sentence means nothing."""
NEXT_ITEM: Mapping[str, Any] = {
    "backend": "numba",
    "vector_size": 256,
    "window": 50,
    "negative": 512,
    "ns_exponent": 0.5,
    "alpha": 0.08,
    "epochs": 15,
}
"""The defaults of ``objective="next_item"`` that are not skip-gram's."""


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class TrainConfig(Settings):
    """How item vectors are trained. gensim's names keep gensim's meaning.

    Skip-gram's defaults are those that did best over eight sets of item sequences (docs/benchmarks.md), not
    gensim's, which are made for text: there are fewer tokens, and rare items matter.

    Examples
    --------
    >>> TrainConfig(vector_size=32).window
    10
    >>> TrainConfig(vectorsize=32)
    Traceback (most recent call last):
    item2vec.errors.ConfigError: unknown setting 'vectorsize'; did you mean 'vector_size'?
    """

    objective: Literal["skipgram", "cbow", "next_item"] = "skipgram"
    """Predict each neighbour from the item (skipgram), the item from its neighbours' mean (cbow), or the next
    item from the taste so far (next_item)."""
    backend: Literal["gensim", "numba"] = "gensim"
    """Which trainer runs: gensim's, or our own (numba), which is several times as fast. next_item: numba."""
    vector_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Numbers in an item's vector. next_item: 128 for each part of ``context_decay``."""
    window: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["full"] = 10
    """How far apart two items of a sentence may be to count as neighbours; ``"full"``: the whole sentence.
    next_item: 50, of which only those before."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """Items that occur less often are left out."""
    sample: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    """Frequency from which an item is randomly skipped more and more; 0 keeps every token.
    Not next_item's."""
    negative: Annotated[int, Field(ge=0, le=1000)] = 5
    """Random items told apart from each true neighbour; 0 only together with ``hs``. next_item: 512, shared
    by a block of 256 predictions."""
    ns_exponent: Annotated[Finite, Field(ge=-2, le=2)] = 0.25
    """Negatives are drawn in proportion to count ** ns_exponent; 0: evenly, below 0: rare ones more often.
    next_item: 0.5."""
    hs: Flag = False
    """Hierarchical softmax beside negative sampling; or alone (negative=0), then without output vectors.
    gensim only."""
    cbow_mean: Flag = True
    """In cbow, average the neighbours' vectors (True) or add them (False)."""
    shrink_windows: Flag = True
    """Draw each window's width anew from 1 to ``window``, so that near neighbours weigh more.
    Not next_item's."""
    forward_only: Flag = False
    """Only what comes before an item in a sentence is its neighbour. numba only; next_item always."""
    context_decay: Decays = (0.5, 0.9)
    """next_item: weight of an item for each step back. The vectors are cut into as many parts, each trained
    with its own: a short memory beside a long one."""
    dropout: Annotated[Finite, Field(ge=0, lt=1)] = 0.3
    """next_item: chance of an item to be overlooked, drawn anew for each prediction."""
    weight_decay: Annotated[Finite, Field(ge=0, lt=1)] = 0.003
    """next_item: how much a vector shrinks whenever it is changed, times the learning rate."""
    alpha: Annotated[Finite, Field(gt=0, le=1000)] = 0.05
    """Learning rate at the start. next_item: 0.08, by row-wise Adagrad."""
    min_alpha: Annotated[Finite, Field(ge=0)] = 0.0001
    """Learning rate at the end, at most ``alpha``; it falls linearly."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    """Passes over the sentences. next_item: 15."""
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=_cores)
    """Threads; all cores unless told otherwise. 1 is deterministic: same input and seed, same bytes."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of every random draw."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """With validation: stop after so many epochs without a better NDCG, and keep the best epoch's vectors."""

    @model_validator(mode="after")
    def _defaults_of_next_item(self) -> Self:
        if self.objective == "next_item":
            defaults = {name: value for name, value in NEXT_ITEM.items() if name not in self.model_fields_set}
            if "vector_size" in defaults:
                defaults["vector_size"] = 128 * len(self.context_decay)
            self.__dict__.update(defaults)
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        ours = self.backend == "numba" or self.objective == "next_item"
        if ours and self.hs:
            raise ValueError("hs=True is for backend='gensim' with skipgram or cbow; set hs=False")
        if not ours and self.forward_only:
            raise ValueError("forward_only=True is not known to gensim; set backend='numba'")
        if self.objective == "next_item":
            if self.backend == "gensim":
                raise ValueError(
                    "objective='next_item' is not known to gensim; set backend='numba' (item2vec.toml may "
                    "hold another)"
                )
            if self.sample:
                raise ValueError("objective='next_item' skips no items; set sample=0")
            n_parts = len(self.context_decay)
            if self.vector_size % n_parts:
                raise ValueError(
                    f"vector_size is {self.vector_size}; expected a multiple of {n_parts}, the number of "
                    f"parts in context_decay={self.context_decay}"
                )
        return self

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if not self.hs and self.negative == 0:
            raise ValueError("negative=0 trains nothing without hs=True; set negative to at least 1")
        return self

    @model_validator(mode="after")
    def _falling_rate(self) -> Self:
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha is {self.min_alpha}; expected at most alpha, which is {self.alpha}")
        return self

    @property
    def alpha_fall(self) -> float:
        """How much the learning rate falls in an epoch.

        >>> TrainConfig(alpha=0.5, min_alpha=0.25, epochs=5).alpha_fall
        0.05
        """
        return (self.alpha - self.min_alpha) / self.epochs

    @property
    def taste_decay(self) -> float | tuple[float, ...]:
        """How a taste reads such vectors unless told otherwise: next_item's as they were trained.

        >>> TrainConfig(objective="next_item", context_decay=(0.4, 0.8)).taste_decay
        (0.4, 0.8)
        """
        if self.objective != "next_item":
            return DECAY
        return self.context_decay if len(self.context_decay) > 1 else self.context_decay[0]


class TasteConfig(Settings):
    """How a history becomes a taste vector, and how items are scored against it.

    Examples
    --------
    >>> TasteConfig(score="output", decay=0.5).last_n is None
    True
    """

    score: Literal["cosine", "output"] = "output"
    """What comes next: inner product with the output vectors; or near the taste in input space (cosine)."""
    decay: Decay | Decays = DECAY
    """Weight of an item for each step back in the history; 1.0 is the plain mean. Several, such as
    0.5 and 0.9, read as many equal parts of the vectors. next_item: those of ``context_decay``."""
    half_life: Annotated[Finite, Field(gt=0)] | None = None
    """Days after which an item weighs half, where the history comes with timestamps."""
    last_n: Annotated[int, Field(ge=1)] | None = None
    """Only the newest so many known items of a history count."""


class Config(Settings):
    """A whole model's configuration: how to train it and how to read a taste from it.

    Examples
    --------
    >>> Config(taste=TasteConfig(decay=0.5)).train.objective
    'skipgram'
    """

    train: TrainConfig = Field(default_factory=TrainConfig)
    """How item vectors are trained."""
    taste: TasteConfig = Field(default_factory=TasteConfig)
    """How a history becomes a taste vector, and how items are scored against it."""
    index: Literal["auto", "exact", "annoy"] = "auto"
    """How the best items are found."""

    def with_settings(self, **settings: Any) -> Self:
        """Return the same configuration with some settings of training and taste changed, by name.

        >>> Config().with_settings(epochs=5, last_n=3).taste.last_n
        3
        """
        of_taste = {name: value for name, value in settings.items() if name in TasteConfig.model_fields}
        of_train = {name: value for name, value in settings.items() if name not in of_taste}
        return self.replace(train=self.train.replace(**of_train), taste=self.taste.replace(**of_taste))

    def to_toml(self) -> str:
        """Return the configuration as ``item2vec.toml`` holds it, without ``workers`` and what is ``None``.

        >>> print(Config(taste=TasteConfig(decay=0.5)).to_toml().splitlines()[-3:])
        ['[taste]', 'score = "output"', 'decay = 0.5']
        """
        lines = [f'index = "{self.index}"']
        for section, settings in (("train", self.train), ("taste", self.taste)):
            lines += ["", f"[{section}]"]
            for name, value in settings.model_dump(exclude_none=True, exclude={"workers"}).items():
                lines.append(f"{name} = {json.dumps(value)}")
        return "\n".join(lines) + "\n"

    @model_validator(mode="after")
    def _decay_as_trained(self) -> Self:
        if "decay" not in self.taste.model_fields_set and self.taste.decay != self.train.taste_decay:
            taste = self.taste.model_copy()
            taste.__dict__["decay"] = self.train.taste_decay  # and still counts as not given
            self.__dict__["taste"] = taste
        if isinstance(self.taste.decay, tuple) and self.train.vector_size % len(self.taste.decay):
            raise ValueError(
                f"decay={self.taste.decay} reads {len(self.taste.decay)} parts of the vectors; expected a "
                f"vector_size that is a multiple of it, found {self.train.vector_size}"
            )
        return self

    @model_validator(mode="after")
    def _output_vectors(self) -> Self:
        """Score by cosine where no output vectors are trained, unless told otherwise."""
        if self.taste.score == "output" and self.train.negative == 0:
            if "score" in self.taste.model_fields_set:
                raise ValueError(
                    "score='output' needs output vectors, and negative=0 trains none; set negative to at "
                    "least 1"
                )
            self.__dict__["taste"] = self.taste.replace(score="cosine")
        return self
