"""Splits by time: train on what came before a moment, and ask what each user did after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from item2vec.adapters import histories
from item2vec.adapters.histories import training_sentences, user_histories
from item2vec.arrays import Offsets
from item2vec.config import AdapterConfig
from item2vec.errors import InputError, InputTypeError
from item2vec.evaluation.split import Split
from item2vec.interactions import Interactions, microseconds
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = ["Adapter", "span_of", "temporal_folds", "temporal_split"]

Adapter = Callable[[Interactions], Sentences]


def temporal_split(
    interactions: Interactions,
    *,
    at: datetime | str | None = None,
    fraction: float | None = None,
    until: datetime | str | None = None,
    repeats: bool = False,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
) -> Split:
    """Train on what happened before a moment, and ask every user active after it what he or she had next.

    A history is all that a user had before the moment, oldest first; it is empty for users who came later.
    The targets are the distinct items that the user had from the moment on, in order. Nothing that happened
    at or after the moment is trained on.

    Parameters
    ----------
    at
        The moment: a ``datetime`` (naive: UTC) or ISO text, ``"2024-05-01"``.
    fraction
        Instead of ``at``: the share of the events to ask about, 0.1 if neither is given. Events of the same
        moment stay together, so that the share is met as closely as they allow.
    until
        Leave out what happened at or after this moment.
    repeats
        Whether items of the history may be targets again; recommendations are then not to leave them out.
    adapter
        How events become sentences. Settings (``AdapterConfig``) shape training sentences, histories and
        targets as a nightly run and ``Engine`` do: targets are items of ``events``, and answers leave out the
        items of ``seen_events``, which no question asks for. A function, such as
        ``functools.partial(adapters.sessions, gap="2h")``, makes the training sentences alone.
    items
        Where ``group_by`` of the settings looks up its attribute.

    Raises
    ------
    InputError
        If there are no timestamps, or nothing is left to train on or to ask.

    Source: Campos, Díez & Cantador, Time-aware recommender systems: a comprehensive survey and analysis of
    existing evaluation protocols, UMUAI 24, 2014 (community-centred, time-dependent ordering).

    Examples
    --------
    >>> listens = Interactions.of(
    ...     user=["ann", "bob", "ann", "ann", "bob"], item=["a", "b", "b", "c", "b"],
    ...     timestamp=[datetime(2024, 1, day) for day in (1, 2, 3, 4, 5)])
    >>> split = temporal_split(listens, at="2024-01-04")
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    >>> split.dropped
    {'users with nothing new in the asked part': 1}
    """
    if at is not None and fraction is not None:
        raise InputError(f"at is {at!r} and fraction {fraction}; expected one of the two")
    moments = _timestamps(interactions)
    end = None if until is None else _microseconds("until", until)
    if at is not None:
        cut = _microseconds("at", at)
    else:
        share = 0.1 if fraction is None else fraction
        (cut,) = _cuts(moments if end is None else moments[moments < end], [share])
    return _split_at(interactions, cut, end, repeats, _Reading.of(adapter, items))


def temporal_folds(
    interactions: Interactions,
    *,
    folds: int = 3,
    fraction: float = 0.1,
    repeats: bool = False,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
) -> list[Split]:
    """Split by time several times over (rolling origin): each fold trains on all that came before its window.

    The windows follow each other up to the last event, and each holds about the ``fraction`` of all events.
    The rest is as in ``temporal_split``.

    Source: Tashman, Out-of-sample tests of forecasting accuracy: an analysis and review, International
    Journal of Forecasting 16, 2000.

    Examples
    --------
    >>> listens = Interactions.of(
    ...     user=["ann"] * 4, item=["a", "b", "c", "d"],
    ...     timestamp=[datetime(2024, 1, day) for day in (1, 2, 3, 4)])
    >>> for fold in temporal_folds(listens, folds=2, fraction=0.25):
    ...     print(list(fold.train), list(fold.targets), fold.protocol)
    [['a', 'b']] [['c']] temporal from 2024-01-03T00:00:00 (fold 1 of 2)
    [['a', 'b', 'c']] [['d']] temporal from 2024-01-04T00:00:00 (fold 2 of 2)
    """
    if folds < 1:
        raise InputError(f"folds is {folds}; expected at least 1")
    cuts = _cuts(_timestamps(interactions), [fraction * left for left in range(folds, 0, -1)])
    reading = _Reading.of(adapter, items)
    splits = [
        _split_at(interactions, cut, end, repeats, reading)
        for cut, end in zip(cuts, [*cuts[1:], None], strict=True)
    ]
    return [
        dataclasses.replace(split, protocol=f"{split.protocol} (fold {number} of {folds})")
        for number, split in enumerate(splits, start=1)
    ]


def span_of(moments: Offsets) -> tuple[str, str]:
    """Return the first and the last of some moments (microseconds) as ISO text.

    >>> span_of(np.array([1_500_000, 0]))
    ('1970-01-01T00:00:00', '1970-01-01T00:00:01.500000')
    """
    return _iso(moments.min()), _iso(moments.max())


@dataclass(frozen=True)
class _Reading:
    """How events become sentences: settings, and a function for the training sentences."""

    config: AdapterConfig
    items: Items | None
    train: Adapter

    @classmethod
    def of(cls, adapter: Adapter | AdapterConfig, items: Items | None) -> _Reading:
        if isinstance(adapter, AdapterConfig):
            return cls(adapter, items, partial(training_sentences, adapter=adapter, items=items))
        return cls(AdapterConfig(), items, adapter)

    def histories(self, interactions: Interactions) -> Sentences:
        """Return the history of each user that a model reads."""
        return user_histories(interactions, self.config, self.items)

    def chosen(self, interactions: Interactions) -> Sentences:
        """Return all items of each user whose events a history may hold."""
        return self._of(interactions, self.config.events)

    def seen(self, interactions: Interactions) -> Sentences:
        """Return the items of each user that answers leave out."""
        return self._of(interactions, self.config.seen_events)

    def _of(self, interactions: Interactions, events: Any) -> Sentences:
        every = AdapterConfig(events=events, group_by=self.config.group_by)
        return user_histories(interactions, every, self.items)


def _split_at(
    interactions: Interactions, cut: int, end: int | None, repeats: bool, reading: _Reading
) -> Split:
    timestamps = _timestamps(interactions)
    before = timestamps < cut
    within = ~before if end is None else ~before & (timestamps < end)
    for name, part in (("train on before", before), ("ask about from", within)):
        if not part.any():
            until = "" if end is None else f" and until {_iso(end)}"
            raise InputError(
                f"nothing to {name} {_iso(cut)}{until}; expected a moment within the data, which run from "
                f"{' to '.join(span_of(timestamps))}"
            )
    known, later = interactions.take(before), interactions.take(within)
    train = reading.train(known)
    seen = None if repeats else reading.seen(known)
    targets = _targets(reading.chosen(later), seen)
    asking = targets.lengths > 0
    if not asking.any() or not len(train.tokens):
        raise InputError(
            f"no user has anything new from {_iso(cut)} on; expected an earlier moment, or repeats=True"
            if len(train.tokens)
            else f"the adapter made no sentence of the {len(known):,} events before {_iso(cut)}"
        )
    dropped = {
        "users with nothing new in the asked part": len(np.unique(later.user)) - int(asking.sum()),
        "events after the asked part": len(interactions) - len(known) - len(later),
        "events that the adapter left out": max(len(known) - len(train.tokens), 0),
    }
    past = reading.histories(known).take(asking)
    return Split(
        train=train,
        histories=past,
        targets=targets.take(asking),
        protocol=f"temporal from {_iso(cut)}",
        users=np.flatnonzero(asking),
        filter_seen=not repeats,
        seen=_further(past, seen.take(asking)) if seen is not None else None,
        spans={"train": span_of(timestamps[before]), "test": span_of(timestamps[within])},
        dropped={what: n for what, n in dropped.items() if n},
    )


def _targets(later: Sentences, seen: Sentences | None) -> Sentences:
    """Return the distinct items of each sentence in order, without those that the user has seen."""
    pairs = _pairs(later, later.vocabulary)
    first = np.zeros(len(pairs), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    if seen is not None:
        first &= ~np.isin(pairs, _pairs(seen, later.vocabulary))
    return dataclasses.replace(later.keep(first), weights=None, timestamps=None)


def _further(past: Sentences, seen: Sentences) -> Sentences | None:
    """Return the seen items that are not in the history itself; ``None`` where there are none."""
    new = ~np.isin(_pairs(seen, seen.vocabulary), _pairs(past, seen.vocabulary))
    return dataclasses.replace(seen.keep(new), weights=None, timestamps=None) if new.any() else None


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return one number for each token: its sentence and its code in a vocabulary, where that knows it."""
    code_of = vocabulary.encode(sentences.vocabulary.ids).astype(np.int64)
    code = code_of[sentences.tokens]
    owner = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return np.where(code >= 0, owner * len(vocabulary) + code, -1)


def _cuts(moments: Offsets, shares: list[float]) -> list[int]:
    """Return the moments from which on there are as nearly these shares of the events as can be."""
    if any(not 0 < share < 1 for share in shares):
        raise InputError(
            f"{max(shares):g} of the events to ask about; expected a share above 0 and below 1, "
            "that leaves something to train on"
        )
    distinct, first = np.unique(np.sort(moments), return_index=True)
    if len(distinct) < 2:
        raise InputError(
            f"{len(moments):,} events of {len(distinct)} moment; expected at least two to split between"
        )
    from_here = 1 - first[1:] / len(moments)
    chosen = [int(np.abs(from_here - share).argmin()) for share in shares]
    if len(set(chosen)) < len(chosen):
        raise InputError(
            f"{len(chosen)} windows would share their events, of {len(distinct):,} different moments; "
            "expected fewer or larger folds"
        )
    return [int(distinct[1:][index]) for index in chosen]


def _timestamps(interactions: Interactions) -> Offsets:
    given: object = interactions
    if not isinstance(given, Interactions):
        found = type(given).__name__
        raise InputTypeError(f"found {found}; expected Interactions, as readers.read_interactions makes them")
    if interactions.timestamp is None:
        raise InputError("a split by time needs timestamps; name the column with timestamp=")
    return interactions.timestamp


def _microseconds(name: str, moment: datetime | str) -> int:
    given: object = moment
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            given = moment
    if not isinstance(given, datetime):
        raise InputError(f"{name} is {moment!r}; expected a datetime, or ISO text such as '2024-05-01 12:00'")
    return int(microseconds([given])[0])


def _iso(moment: int | np.int64) -> str:
    whole = "us" if int(moment) % 1_000_000 else "s"
    return str(np.datetime64(int(moment), "us").astype(f"datetime64[{whole}]"))
