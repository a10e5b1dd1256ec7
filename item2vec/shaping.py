"""The steps shared by training sentences and histories: event filter, grouping, repeats, truncation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Floats
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.interactions import microseconds
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = [
    "Grouping",
    "check_least",
    "check_shape",
    "group_collapse_truncate",
    "grouping_of",
    "shape_histories",
    "shape_training_sentences",
]

Grouping = Mapping[str, str] | tuple[Items, str]
"""A mapping from item ids to group ids, or items and the name of an attribute that holds the group id."""


def shape_training_sentences(
    sentences: Sentences,
    *,
    min_length: int,
    max_length: int | None,
    collapse_repeats: bool,
    group_by: Grouping | None,
) -> Sentences:
    """Group, collapse and truncate; then drop sentences shorter than ``min_length``, and unused ids."""
    n_tokens = len(sentences.tokens)
    sentences = group_collapse_truncate(
        sentences, max_length=max_length, collapse_repeats=collapse_repeats, group_by=group_by
    )
    if group_by is not None and n_tokens and not len(sentences.tokens):
        raise InputError(f"none of {n_tokens:,} tokens has a group; expected a mapping from item ids")
    if bool((sentences.lengths < min_length).any()):
        sentences = sentences.take(sentences.lengths >= min_length)
    return _without_unused(sentences)


def group_collapse_truncate(
    sentences: Sentences, *, max_length: int | None, collapse_repeats: bool, group_by: Grouping | None
) -> Sentences:
    """Replace items by their groups, collapse adjacent repeats, keep the last ``max_length`` tokens.

    The steps are applied in this order. The number of sentences stays the same; some may become empty.

    >>> lists = Sentences.of([["a", "a", "b", "c"]])
    >>> artists = {"a": "x", "b": "y", "c": "z"}
    >>> list(group_collapse_truncate(lists, max_length=2, collapse_repeats=True, group_by=artists))
    [['y', 'z']]
    """
    if group_by is not None:
        sentences = _grouped(sentences, group_by)
    if collapse_repeats and len(sentences.tokens):
        sentences = _collapsed(sentences)
    if max_length is not None and bool((sentences.lengths > max_length).any()):
        ends = np.repeat(sentences.offsets[1:], sentences.lengths)
        sentences = sentences.keep(ends - np.arange(len(sentences.tokens)) <= max_length)
    return sentences


def shape_histories(
    every: Sentences,
    event: Codes | None,
    events: Vocabulary | None,
    adapter: AdapterConfig,
    items: Items | None = None,
) -> Sentences:
    """Turn all events of users into the histories that a model reads.

    Filters events by name and time, applies event weights, then groups, collapses and truncates. Serving and
    evaluation both call this function, and therefore read the same history.

    Parameters
    ----------
    every
        One sentence per user with all of his or her events, oldest first; empty for a user without events.
    event, events
        The event of each token as a code of ``events``; ``None`` if events have no names.
    adapter
        The settings. Those of training alone (``kind``, ``gap`` and the minimum counts) are ignored.
    items
        The items with the attribute named by ``adapter.group_by``.

    Examples
    --------
    >>> shop = Sentences.of([["a", "b", "c"]])
    >>> clicks = AdapterConfig(events={"click": 1, "purchase": 5})
    >>> histories = shape_histories(
    ...     shop, np.array([0, 1, 2]), Vocabulary(("click", "view", "purchase")), clicks)
    >>> histories[0], histories.weights
    (['a', 'c'], array([1., 5.], dtype=float32))
    """
    kept = np.ones(len(every.tokens), dtype=bool)
    if adapter.since is not None and every.timestamps is not None:
        kept &= every.timestamps >= microseconds([adapter.since])[0]
    if adapter.events is not None and event is not None and events is not None:
        weight_of = _event_weights(adapter.events, events)
        kept &= weight_of[event] >= 0
        if isinstance(adapter.events, Mapping):
            base = np.float32(1) if every.weights is None else every.weights
            every = dataclasses.replace(every, weights=np.maximum(weight_of[event], 0) * base)
    return group_collapse_truncate(
        every if bool(kept.all()) else every.keep(kept),
        max_length=adapter.max_length,
        collapse_repeats=adapter.collapse_repeats,
        group_by=grouping_of(adapter, items),
    )


def grouping_of(adapter: AdapterConfig, items: Items | None) -> Grouping | None:
    """Return the grouping by the attribute ``adapter.group_by``, or ``None`` if that is not set.

    Raises
    ------
    ConfigError
        If ``group_by`` is set, but there are no items.
    """
    if adapter.group_by is None:
        return None
    if items is None:
        raise ConfigError(f"group_by={adapter.group_by!r} needs items with attributes; pass items=")
    return items, adapter.group_by


def _event_weights(selected: Iterable[str] | Mapping[str, float], events: Vocabulary) -> Floats:
    """Return the weight of each event by its code; -1 for an event that is filtered out."""
    weights = np.full(len(events), -1, dtype=np.float32)
    for name in selected:
        if name in events:
            weights[events.code(name)] = selected[name] if isinstance(selected, Mapping) else 1
    return weights


def check_shape(min_length: int, max_length: int | None, group_by: Grouping | None) -> None:
    """Raise ``ConfigError`` for arguments that ``shape_training_sentences`` cannot apply."""
    check_least("min_length", min_length, 1)
    if max_length is not None:
        check_least("max_length", max_length, min_length)
    is_pair = isinstance(group_by, tuple) and len(group_by) == 2 and isinstance(group_by[0], Items)
    if not (is_pair or isinstance(group_by, Mapping | None)):
        raise ConfigError(
            f"group_by is {group_by!r}; expected a mapping from item ids, or (items, attribute name)"
        )


def check_least(name: str, value: int, least: int) -> None:
    """Raise ``ConfigError`` unless a setting is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least {least}")


def _collapsed(sentences: Sentences) -> Sentences:
    """Replace each run of equal tokens by its last one, with the largest weight of the run."""
    is_first = np.ones(len(sentences.tokens) + 1, dtype=bool)
    is_first[1:-1] = sentences.tokens[1:] != sentences.tokens[:-1]
    is_first[sentences.offsets] = True
    kept = sentences.keep(is_first[1:])  # the last token of a run precedes the first of the next
    if sentences.weights is None:
        return kept
    largest = np.maximum.reduceat(sentences.weights, np.flatnonzero(is_first[:-1]))
    return dataclasses.replace(kept, weights=largest)


def _grouped(sentences: Sentences, group_by: Grouping) -> Sentences:
    groups: list[Any] = (
        [group_by[0].about(id_).get(group_by[1]) for id_ in sentences.vocabulary.ids]
        if isinstance(group_by, tuple)
        else [group_by.get(id_) for id_ in sentences.vocabulary.ids]
    )
    for id_, group in zip(sentences.vocabulary.ids, groups, strict=True):
        if not isinstance(group, str | None):
            raise InputTypeError(f"the group of item {id_!r} is {group!r}; expected one id as text, or none")
    group_ids = [group for group in groups if group is not None]
    vocabulary = Vocabulary.of(group_ids)
    code_of = np.full(len(groups), -1, dtype=np.int32)
    code_of[[group is not None for group in groups]] = vocabulary.encode(group_ids)
    kept = sentences.keep(code_of[sentences.tokens] >= 0)
    return dataclasses.replace(kept, vocabulary=vocabulary, tokens=code_of[kept.tokens])


def _without_unused(sentences: Sentences) -> Sentences:
    used = sentences.counts() > 0
    if bool(used.all()):
        return sentences
    code_of = np.cumsum(used, dtype=np.int32) - np.int32(1)
    vocabulary = sentences.vocabulary.take(np.flatnonzero(used))
    return dataclasses.replace(sentences, vocabulary=vocabulary, tokens=code_of[sentences.tokens])
