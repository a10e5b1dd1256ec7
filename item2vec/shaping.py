"""Preprocessing shared by training sentences and histories: event filter, grouping, repeats, truncation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Floats, Rows
from item2vec.config import AdapterConfig
from item2vec.errors import (
    ConfigError,
    InputError,
    InputTypeError,
    Remedy,
    listed,
    short_repr,
)
from item2vec.interactions import microseconds
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = [
    "DISLIKED",
    "Grouping",
    "check_least",
    "check_shape",
    "dislikes_of",
    "group_collapse_truncate",
    "grouping_of",
    "log_unknown_events",
    "shape_by",
    "shape_histories",
    "shape_numbered",
    "shape_training_sentences",
    "without_unused",
]

log = logging.getLogger(__name__)

DISLIKED = "has a negative weight in events"

Grouping = Mapping[str, str] | tuple[Items, str]
"""A mapping from item ids to group ids, or ``(items, name)`` with the name of an attribute of the items."""


def shape_training_sentences(
    sentences: Sentences,
    *,
    min_length: int,
    max_length: int | None,
    collapse_repeats: bool,
    group_by: Grouping | None,
    drop_longer_than: int | None = None,
) -> Sentences:
    """Drop overlong sentences; apply ``group_collapse_truncate``; drop short sentences and unused ids.

    A sentence is overlong if it has more than ``drop_longer_than`` tokens. After ``group_collapse_truncate``,
    it is short if it has fewer than ``min_length`` tokens. If no token has a group in ``group_by``,
    ``InputError`` is raised.
    """
    shaped, _ = shape_numbered(
        sentences,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
        drop_longer_than=drop_longer_than,
    )
    return without_unused(shaped)


def shape_numbered(
    sentences: Sentences,
    *,
    min_length: int,
    max_length: int | None,
    collapse_repeats: bool,
    group_by: Grouping | None,
    drop_longer_than: int | None = None,
) -> tuple[Sentences, Rows]:
    """Shape sentences as ``shape_training_sentences`` does, but keep unused ids in the vocabulary.

    Return a pair: the remaining sentences; and the position of each remaining sentence in ``sentences``.
    """
    numbers = np.arange(len(sentences))
    if drop_longer_than is not None and bool((sentences.lengths > drop_longer_than).any()):
        numbers = np.flatnonzero(sentences.lengths <= drop_longer_than)
        sentences = _without_overlong(sentences, drop_longer_than)
    n_tokens = len(sentences.tokens)
    sentences = group_collapse_truncate(
        sentences, max_length=max_length, collapse_repeats=collapse_repeats, group_by=group_by
    )
    if group_by is not None and n_tokens and not len(sentences.tokens):
        raise InputError(
            f"none of {n_tokens:,} tokens has a group in group_by; expected a group for at least one item: "
            "check the name of the attribute, and that the item ids in group_by are those in the sentences"
        )
    if bool((sentences.lengths < min_length).any()):
        long_enough = sentences.lengths >= min_length
        sentences, numbers = sentences.take(long_enough), numbers[long_enough]
    return sentences, numbers


def shape_by(
    sentences: Sentences, adapter: AdapterConfig, group_by: Grouping | None = None
) -> tuple[Sentences, Rows]:
    """Return the result of ``shape_numbered`` for the settings of an adapter.

    >>> shape_by(Sentences.of([["a"], ["a", "b", "c"]]), AdapterConfig(min_length=2, max_length=2))
    (Sentences(1 sentences, 2 tokens, 3 items, lengths 2 to 2), array([1]))
    """
    return shape_numbered(
        sentences,
        min_length=adapter.min_length,
        max_length=adapter.max_length,
        collapse_repeats=adapter.collapse_repeats,
        group_by=group_by,
        drop_longer_than=adapter.drop_longer_than,
    )


def group_collapse_truncate(
    sentences: Sentences, *, max_length: int | None, collapse_repeats: bool, group_by: Grouping | None
) -> Sentences:
    """Replace items by their groups, collapse adjacent repeats, and keep the last ``max_length`` tokens.

    The steps are applied in this order. Items without a group are dropped if ``group_by`` is set. The number
    of sentences does not change; sentences may become empty.

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
    all_events: Sentences,
    event_codes: Codes | None,
    event_names: Vocabulary | None,
    adapter: AdapterConfig,
    items: Items | None = None,
) -> Sentences:
    """Convert all events of each user to the history of the user, which is the input of a model.

    Events are filtered by name and time, and weighted; then ``group_collapse_truncate`` is applied. Serving
    and evaluation both call this function, so that they read equal histories.

    Events are dislikes if their weight is negative, after multiplication by the weight in ``adapter.events``.
    Dislikes come first in the history, oldest first, with their negative weights. Their items are replaced by
    groups, too, but dislikes do not count towards ``max_length``, and are not collapsed.

    Parameters
    ----------
    all_events
        One sentence per user with all events of the user, oldest first. The sentence of a user without events
        is empty.
    event_codes, event_names
        The code of each token's event name, and the vocabulary of event names. Both are ``None`` if the
        events have no names; ``adapter.events`` is then ignored.
    adapter
        The adapter settings. Settings that apply only to training, such as ``kind``, ``gap``, ``min_length``,
        ``drop_longer_than`` and the minimum counts, are ignored. ``days`` is ignored, too; the caller must
        replace ``days`` by ``since`` (see ``AdapterConfig.resolved``).
    items
        The items with the attribute ``adapter.group_by``. They are required if this setting is not ``None``.

    Raises
    ------
    ConfigError
        If ``adapter.group_by`` is set and ``items`` is ``None``.
    InputTypeError
        If a group is neither text, an integer nor ``None``.

    Examples
    --------
    >>> shop = Sentences.of([["a", "b", "c"]])
    >>> clicks = AdapterConfig(events={"click": 1, "purchase": 5})
    >>> histories = shape_histories(
    ...     shop, np.array([0, 1, 2]), Vocabulary(("click", "view", "purchase")), clicks)
    >>> histories[0], histories.weights
    (['a', 'c'], array([1., 5.], dtype=float32))
    """
    kept = np.ones(len(all_events.tokens), dtype=bool)
    if adapter.since is not None and all_events.timestamps is not None:
        kept &= all_events.timestamps >= microseconds([adapter.since])[0]
    if adapter.events is not None and event_codes is not None and event_names is not None:
        weight_of = _event_weights(adapter.events, event_names)
        kept &= ~np.isnan(weight_of[event_codes])
        if isinstance(adapter.events, Mapping):
            base = np.float32(1) if all_events.weights is None else all_events.weights
            weights = np.nan_to_num(weight_of[event_codes]) * base
            all_events = dataclasses.replace(all_events, weights=weights)
    chosen = all_events if bool(kept.all()) else all_events.keep(kept)
    grouping = grouping_of(adapter, items)
    histories = group_collapse_truncate(
        chosen.liked,
        max_length=adapter.max_length,
        collapse_repeats=adapter.collapse_repeats,
        group_by=grouping,
    )
    if chosen.liked is chosen or chosen.weights is None:
        return histories
    dislikes = chosen.keep(chosen.weights < 0)
    return _joined(dislikes if grouping is None else _grouped(dislikes, grouping), histories)


def grouping_of(adapter: AdapterConfig, items: Items | None) -> Grouping | None:
    """Return the grouping by the attribute ``adapter.group_by``, or ``None`` if this setting is ``None``.

    Raises
    ------
    ConfigError
        If ``adapter.group_by`` is set and ``items`` is ``None``.
    """
    if adapter.group_by is None:
        return None
    if items is None:
        raise ConfigError(
            f"group_by={short_repr(adapter.group_by)} needs items with attributes; found no items",
            remedies=[Remedy("items", otherwise="omit group_by from [adapter]")],
        )
    return items, adapter.group_by


def _event_weights(selected: Iterable[str] | Mapping[str, float], event_names: Vocabulary) -> Floats:
    """Return the weight of each event code: NaN if the event is not selected.

    If ``selected`` is a list, which has no weights, each selected event has the weight 1.
    """
    weights = np.full(len(event_names), np.nan, dtype=np.float32)
    for name in selected:
        if name in event_names:
            weights[event_names.code(name)] = selected[name] if isinstance(selected, Mapping) else 1
    return weights


def dislikes_of(events: Iterable[str] | Mapping[str, float] | None) -> set[str]:
    """Return the names of the events of negative weight.

    >>> dislikes_of({"play": 1, "skip": -1}), dislikes_of(["play"])
    ({'skip'}, set())
    """
    weights = events.items() if isinstance(events, Mapping) else ()
    return {name for name, weight in weights if isinstance(weight, Real) and weight < 0}


def log_unknown_events(names: Iterable[str], known: Sequence[str], role: str) -> None:
    """Log a warning for each name that is not in ``known``, the events of the data.

    ``role`` is the part of the message that states where the settings contain the name, such as ``DISLIKED``.
    No error is raised, because the data may not contain such events yet, and training does not need them.
    """
    for name in sorted(set(names).difference(known)):
        log.warning(
            "no interaction has the event %s, which %s; found the events %s: check the name, unless there "
            "are no such events so far",
            short_repr(name),
            role,
            listed(known),
        )


def check_shape(
    min_length: int,
    max_length: int | None,
    group_by: Grouping | None,
    drop_longer_than: int | None = None,
) -> None:
    """Raise ``ConfigError`` if an argument of ``shape_training_sentences`` is invalid."""
    check_least("min_length", min_length, 1)
    if drop_longer_than is not None:
        check_least("drop_longer_than", drop_longer_than, min_length, " (min_length)")
    if max_length is not None:
        check_least("max_length", max_length, min_length, " (min_length)")
    is_pair = isinstance(group_by, tuple) and len(group_by) == 2 and isinstance(group_by[0], Items)
    if not (is_pair or isinstance(group_by, Mapping | None)):
        raise ConfigError(
            f"group_by is {short_repr(group_by)}; expected a mapping from item ids to "
            f"group ids, or (items, attribute)"
        )


def check_least(name: str, value: int, least: int, origin: str = "", *, most: float = 2**63 - 1) -> None:
    """Raise ``ConfigError`` unless ``value`` is an integer from ``least`` to ``most``.

    The message ends with ``origin``, such as the setting from which the bound comes.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name} is {short_repr(value)}; expected an integer of at least {least}{origin}")
    if value > most:
        raise ConfigError(f"{name} is {short_repr(value)}; expected an integer of at most {most}{origin}")


def _without_overlong(sentences: Sentences, most: int) -> Sentences:
    overlong = sentences.lengths > most
    log.info(
        "dropped %d of %d sentences (%d of %d interactions): each has more than %d interactions "
        "(drop_longer_than)",
        overlong.sum(),
        len(overlong),
        sentences.lengths[overlong].sum(),
        len(sentences.tokens),
        most,
    )
    return sentences.take(~overlong)


def _joined(first: Sentences, second: Sentences) -> Sentences:
    """Return the sentences of ``first``, each extended by the sentence of ``second`` at the same position."""
    both = first + second
    n = len(first)
    order = np.column_stack((np.arange(n), n + np.arange(n))).reshape(-1)
    return dataclasses.replace(both.take(order), offsets=first.offsets + second.offsets)


def _collapsed(sentences: Sentences) -> Sentences:
    """Replace each run of equal tokens by the last token of the run, with the largest weight of the run."""
    is_first = np.ones(len(sentences.tokens) + 1, dtype=bool)
    is_first[1:-1] = sentences.tokens[1:] != sentences.tokens[:-1]
    is_first[sentences.offsets] = True
    kept = sentences.keep(is_first[1:])  # the last token of a run precedes the first token of the next run
    if sentences.weights is None:
        return kept
    largest = np.maximum.reduceat(sentences.weights, np.flatnonzero(is_first[:-1]))
    return dataclasses.replace(kept, weights=largest)


def _grouped(sentences: Sentences, group_by: Grouping) -> Sentences:
    groups: list[Any] = (
        [_group_id(group_by[0].about(id_).get(group_by[1])) for id_ in sentences.vocabulary.ids]
        if isinstance(group_by, tuple)
        else [group_by.get(id_) for id_ in sentences.vocabulary.ids]
    )
    for id_, group in zip(sentences.vocabulary.ids, groups, strict=True):
        if not isinstance(group, str | None):
            raise InputTypeError(
                f"the group of item {short_repr(id_)} is {short_repr(group)}; expected an id as text, or None"
            )
    group_ids = [group for group in groups if group is not None]
    vocabulary = Vocabulary.of(group_ids)
    code_of = np.full(len(groups), -1, dtype=np.int32)
    code_of[[group is not None for group in groups]] = vocabulary.encode(group_ids)
    kept = sentences.keep(code_of[sentences.tokens] >= 0)
    return dataclasses.replace(kept, vocabulary=vocabulary, tokens=code_of[kept.tokens])


def _group_id(value: Any) -> Any:
    """Return an integer as text, and any other value unchanged.

    Readers convert the CSV field ``7`` to text if it is an id, and to a number if it is an attribute.
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def without_unused(sentences: Sentences) -> Sentences:
    """Return the sentences with a vocabulary of only the ids that occur, in unchanged order.

    >>> without_unused(Sentences.of([["a"], ["b"]])[1:]).vocabulary.ids
    ('b',)
    """
    used = sentences.counts() > 0
    if bool(used.all()):
        return sentences
    code_of = np.cumsum(used, dtype=np.int32) - np.int32(1)
    vocabulary = sentences.vocabulary.take(np.flatnonzero(used))
    return dataclasses.replace(sentences, vocabulary=vocabulary, tokens=code_of[sentences.tokens])
