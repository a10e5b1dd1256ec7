"""How to train and how to read a taste: every setting, its meaning and its range, checked before any work."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from item2vec.errors import ConfigError

__all__ = ["Config", "TasteConfig", "TrainConfig"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Flag = Annotated[
    bool, BeforeValidator(lambda flag: {0: False, 1: True}.get(flag, flag) if type(flag) is int else flag)
]
"""True or False; gensim's 1 and 0 mean the same."""


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class Settings(BaseModel):
    """A frozen set of settings; unknown names and values out of range raise ``ConfigError``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**{name: _plain(value) for name, value in settings.items()})
        except ValidationError as error:
            raise ConfigError(_explain(error, type(self))) from None

    def replace(self, **changes: Any) -> Self:
        """Return the same settings with some changed, checked anew.

        >>> TrainConfig(epochs=5).replace(window=3).epochs
        5
        """
        return type(self)(**{**self.model_dump(exclude_unset=True), **changes})


class TrainConfig(Settings):
    """How item vectors are trained. gensim's names keep gensim's meaning.

    The defaults are those that did best over eight sets of item sequences (docs/benchmarks.md), not gensim's,
    which are made for text: there are fewer tokens, and rare items matter.

    Examples
    --------
    >>> TrainConfig(vector_size=32).window
    10
    >>> TrainConfig(vectorsize=32)
    Traceback (most recent call last):
    item2vec.errors.ConfigError: unknown setting 'vectorsize'; did you mean 'vector_size'?
    """

    objective: Literal["skipgram", "cbow"] = "skipgram"
    """Predict each neighbour from the item (skipgram), or the item from its neighbours' mean (cbow)."""
    backend: Literal["gensim"] = "gensim"
    """Which trainer runs."""
    vector_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Numbers in an item's vector."""
    window: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["full"] = 10
    """How far apart two items of a sentence may be to count as neighbours; ``"full"``: the whole sentence."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """Items that occur less often are left out."""
    sample: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    """Frequency from which an item is randomly skipped more and more; 0 keeps every token."""
    negative: Annotated[int, Field(ge=0, le=1000)] = 5
    """Random items told apart from each true neighbour; 0 only together with ``hs``."""
    ns_exponent: Annotated[Finite, Field(ge=-2, le=2)] = 0.25
    """Negatives are drawn in proportion to count ** ns_exponent; 0: evenly, below 0: rare ones more often."""
    hs: Flag = False
    """Hierarchical softmax beside negative sampling; or alone (negative=0), then without output vectors."""
    cbow_mean: Flag = True
    """In cbow, average the neighbours' vectors (True) or add them (False)."""
    shrink_windows: Flag = True
    """Draw each window's width anew from 1 to ``window``, so that near neighbours weigh more."""
    alpha: Annotated[Finite, Field(gt=0, le=1000)] = 0.05
    """Learning rate at the start."""
    min_alpha: Annotated[Finite, Field(ge=0)] = 0.0001
    """Learning rate at the end, at most ``alpha``; it falls linearly."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    """Passes over the sentences."""
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=_cores)
    """Threads; all cores unless told otherwise. 1 is deterministic: same input and seed, same bytes."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of every random draw."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """With validation: stop after so many epochs without a better NDCG, and keep the best epoch's vectors."""

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


class TasteConfig(Settings):
    """How a history becomes a taste vector, and how items are scored against it.

    Examples
    --------
    >>> TasteConfig(score="output", decay=0.5).last_n is None
    True
    """

    score: Literal["cosine", "output"] = "output"
    """What comes next: inner product with the output vectors; or near the taste in input space (cosine)."""
    decay: Annotated[Finite, Field(gt=0, le=1)] = 0.7
    """Weight of an item for each step back in the history; 1.0 is the plain mean."""
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


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into Python's own, which strict checking insists on."""
    return value.item() if isinstance(value, np.generic) else value


def _explain(error: ValidationError, settings: type[BaseModel]) -> str:
    """Return what is wrong with each setting; of one that may be several things, all that was expected."""
    messages: list[str] = []
    expected: dict[str, list[str]] = {}
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"][:1]))
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, settings.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(settings.model_fields)}"
            messages.append(f"unknown setting {name!r}; {hint}")
        elif fault["type"] == "value_error":
            messages.append(str(fault["ctx"]["error"]))
        else:
            told = (
                fault["msg"].removeprefix("Input should be ").replace("greater than or equal to", "at least")
            )
            near = difflib.get_close_matches(str(fault["input"]), _choices(fault.get("ctx")), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            expected.setdefault(f"{name} is {fault['input']!r}; expected ", []).append(told + hint)
    messages += [found + ", or ".join(told) for found, told in expected.items()]
    return "; ".join(messages)


def _choices(context: Mapping[str, Any] | None) -> list[str]:
    expected = str((context or {}).get("expected", ""))
    return [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
