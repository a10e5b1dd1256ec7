"""What every adapter can do to its sentences at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = ["Unit", "check_least", "check_shape", "shaped"]

Unit = Mapping[str, str] | tuple[Items, str]


def shaped(
    sentences: Sentences,
    *,
    min_length: int,
    max_length: int | None,
    collapse_repeats: bool,
    unit: Unit | None,
) -> Sentences:
    """Return sentences of a coarser unit, without repeats side by side, within lengths; in this order.

    ``max_length`` keeps the last, newest tokens. Ids that no longer occur leave the vocabulary.
    """
    if unit is not None:
        sentences = _of_unit(sentences, unit)
    if collapse_repeats and len(sentences.tokens):
        sentences = _collapsed(sentences)
    if max_length is not None and bool((sentences.lengths > max_length).any()):
        ends = np.repeat(sentences.offsets[1:], sentences.lengths)
        sentences = sentences.keep(ends - np.arange(len(sentences.tokens)) <= max_length)
    if bool((sentences.lengths < min_length).any()):
        sentences = sentences.take(sentences.lengths >= min_length)
    return _without_unused(sentences)


def check_shape(min_length: int, max_length: int | None, unit: Unit | None) -> None:
    """Refuse what ``shaped`` cannot do, before anything is read."""
    check_least("min_length", min_length, 1)
    if max_length is not None:
        check_least("max_length", max_length, min_length)
    is_pair = isinstance(unit, tuple) and len(unit) == 2 and isinstance(unit[0], Items)
    if not (is_pair or isinstance(unit, Mapping | None)):
        raise ConfigError(f"unit is {unit!r}; expected a mapping from item ids, or (items, attribute name)")


def check_least(name: str, value: int, least: int) -> None:
    """Refuse a setting that is not a whole number, or below its least value."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least {least}")


def _collapsed(sentences: Sentences) -> Sentences:
    """Keep one of several equal tokens side by side, with the weight of the heaviest."""
    first = np.ones(len(sentences.tokens), dtype=bool)
    first[1:] = sentences.tokens[1:] != sentences.tokens[:-1]
    starts = sentences.offsets[:-1]
    first[starts[starts < len(first)]] = True
    kept = sentences.keep(first)
    if sentences.weights is None:
        return kept
    return dataclasses.replace(kept, weights=np.maximum.reduceat(sentences.weights, np.flatnonzero(first)))


def _of_unit(sentences: Sentences, unit: Unit) -> Sentences:
    units: list[Any] = (
        [unit[0].about(id_).get(unit[1]) for id_ in sentences.vocabulary.ids]
        if isinstance(unit, tuple)
        else [unit.get(id_) for id_ in sentences.vocabulary.ids]
    )
    for id_, one in zip(sentences.vocabulary.ids, units, strict=True):
        if not isinstance(one, str | None):
            raise InputTypeError(f"the unit of item {id_!r} is {one!r}; expected one id as text, or none")
    known = [one for one in units if one is not None]
    if not known and len(sentences.tokens):
        raise InputError(f"no item of {sentences!r} has a unit; expected a mapping from its ids")
    vocabulary = Vocabulary(tuple(dict.fromkeys(known)))
    code_of = vocabulary.encode(units)
    kept = sentences.keep(code_of[sentences.tokens] >= 0)
    return dataclasses.replace(kept, vocabulary=vocabulary, tokens=code_of[kept.tokens])


def _without_unused(sentences: Sentences) -> Sentences:
    used = sentences.counts() > 0
    if bool(used.all()):
        return sentences
    code_of = np.cumsum(used, dtype=np.int32) - np.int32(1)
    vocabulary = sentences.vocabulary.take(np.flatnonzero(used))
    return dataclasses.replace(sentences, vocabulary=vocabulary, tokens=code_of[sentences.tokens])
