"""Choice of the protocol of a tuning study, and the splits that hold out its validation queries."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from functools import partial
from typing import Literal, get_args

import numpy as np

from item2vec.adapters import histories
from item2vec.adapters.histories import training_sentences
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.evaluation.sentence_splits import (
    leave_last_out,
    prefix_split,
    prefixes,
    random_split,
    seen_targets,
)
from item2vec.evaluation.split import Split
from item2vec.evaluation.targets import first_positions, liked_tokens
from item2vec.evaluation.temporal_shards import several_per_user
from item2vec.evaluation.temporal_splits import Adapter, temporal_folds, temporal_split
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.types import Vocabulary

__all__ = ["Adapter", "Data", "Protocol", "hold_out", "is_split_by_time"]

log = logging.getLogger(__name__)

Protocol = Literal["last", "prefix", "temporal", "random"]
Data = Sentences | ShardedSentences | Interactions

ENOUGH_QUERIES = 5_000
LENGTH_PER_QUERY = 4
FOLDS = 3


def is_split_by_time(data: Data, protocol: Protocol | None) -> bool:
    """Return whether the protocol is ``temporal``, or is not given and the data can be split by time.

    Such data have timestamps and, in a corpus with user ids, one sentence per user.

    Raises
    ------
    ConfigError
        If the protocol is unknown, or is ``temporal`` and the data cannot be split by time.
    InputTypeError
        If ``data`` has the wrong type.
    """
    value: object = data
    if not isinstance(value, Data):
        raise InputTypeError(
            f"data is of type {type(value).__name__}; expected Sentences, ShardedSentences or Interactions: "
            "build sentences with item2vec.adapters"
        )
    if protocol is not None and protocol not in get_args(Protocol):
        raise ConfigError(f"protocol is {protocol!r}; expected one of {', '.join(get_args(Protocol))}")
    if protocol not in {None, "temporal"}:
        return False
    timed = data.timestamp is not None if isinstance(data, Interactions) else "timestamps" in data.columns
    several = timed and isinstance(data, ShardedSentences) and several_per_user(data)
    if protocol == "temporal" and not timed:
        raise ConfigError("protocol='temporal' needs timestamps, but the data have none; use protocol='last'")
    if protocol == "temporal" and several:
        raise ConfigError(
            "protocol='temporal' needs one sentence per user, but the corpus has several sentences of a "
            "user, such as sessions; use protocol='last'"
        )
    if several:
        log.info("validation is not split by time, because the corpus has several sentences of a user")
    return timed and not several


def hold_out(
    data: Sentences | Interactions,
    protocol: Protocol | None,
    *,
    by_time: bool,
    repeats: bool | None,
    adapter: Adapter | AdapterConfig,
    items: Items | None,
    seed: int,
) -> tuple[Protocol, list[Split], Split | None]:
    """Return a triple: the protocol; the folds, newest first; and the split of the search.

    The third element is ``None`` if the search uses the newest fold. If the last item of each sentence is
    not a valid target, but earlier items are, the only fold has these items as targets.

    ``by_time`` is the result of ``is_split_by_time``. If no protocol is given, sentences are not split by
    time if most of the queries would have no history, because models differ only in their answers to
    histories.
    """
    if by_time:
        splits = _temporal_folds(data, bool(repeats), adapter, items)
        if protocol == "temporal" or isinstance(data, Interactions) or not _lacks_histories(splits[0]):
            return "temporal", splits, None
    sentences = _sentences(data, adapter, items)
    chosen: Protocol = protocol or ("last" if sentences.ordered else "random")
    splits = _sentence_folds(sentences, chosen, repeats, seed)
    n = _n_last(sentences) if chosen == "last" else 1
    if not splits and chosen == "last":
        earlier = _last_items(sentences, max(n, 2), repeats=bool(repeats))
        return chosen, [earlier] if len(earlier) else [], None
    return chosen, splits, _last_items(sentences, n, repeats=bool(repeats)) if n > 1 else None


def _lacks_histories(split: Split) -> bool:
    n_empty = int(np.count_nonzero(split.histories.lengths == 0))
    lacks = n_empty > len(split) / 2
    if lacks:
        log.info(
            "validation is not split by time, because %s of %s queries would have no history: the sentences "
            "appear to be sessions",
            f"{n_empty:,}",
            f"{len(split):,}",
        )
    return lacks


def _sentences(
    data: Sentences | Interactions, adapter: Adapter | AdapterConfig, items: Items | None
) -> Sentences:
    if isinstance(data, Sentences):
        return data
    if isinstance(adapter, AdapterConfig):
        return training_sentences(data, adapter, items)
    return adapter(data)


def _events(sentences: Sentences) -> Interactions:
    """Return the tokens as interactions of one user per sentence. Dislikes are left out."""
    sentences = sentences.liked
    users = Vocabulary(tuple(map(str, range(len(sentences)))))
    user = np.repeat(np.arange(len(sentences), dtype=np.int32), sentences.lengths)
    return Interactions(
        users, sentences.vocabulary, user, sentences.tokens, sentences.timestamps, sentences.weights
    )


def _temporal_folds(
    data: Sentences | Interactions, repeats: bool, adapter: Adapter | AdapterConfig, items: Items | None
) -> list[Split]:
    """Return splits by time, newest first. The adapter is that of interactions; sentences are kept whole."""
    if isinstance(data, Sentences):
        adapter = partial(histories, ordered=data.ordered)
        data = _events(data)
    newest = temporal_split(data, repeats=repeats, adapter=adapter, items=items)
    if len(newest) < ENOUGH_QUERIES:
        with contextlib.suppress(InputError):  # raised if there are too few timestamps for several windows
            folds = temporal_folds(data, folds=FOLDS, repeats=repeats, adapter=adapter, items=items)
            return folds[::-1]
    return [newest]


def _sentence_folds(sentences: Sentences, protocol: Protocol, repeats: bool | None, seed: int) -> list[Split]:
    folds = [_fold(sentences, protocol, repeats, seed)]
    with contextlib.suppress(InputError):  # raised if there are too few sentences for another fold
        while len(folds) < FOLDS and 0 < sum(map(len, folds)) < ENOUGH_QUERIES:
            remaining = sentences if protocol == "random" else folds[-1].train.whole()
            folds.append(_fold(remaining, protocol, repeats, seed + len(folds)))
    return [fold for fold in folds if len(fold)]


def _fold(sentences: Sentences, protocol: Protocol, repeats: bool | None, seed: int) -> Split:
    """Return a split in which the user of a query is its sentence, with the same number in all folds."""
    if protocol == "random":
        split = random_split(sentences, fraction=0.1, seed=seed)
    elif protocol == "last":
        return _last_items(sentences, 1, repeats=bool(repeats))
    else:
        split = prefix_split(sentences)
        split = dataclasses.replace(split, users=np.asarray(split.users) + len(split.train))
    return _with_repeats(split, repeats)


def _with_repeats(split: Split, repeats: bool | None) -> Split:
    """Return the split with ``filter_seen=not repeats``; ``repeats=None`` keeps the split's ``filter_seen``.

    If recommendations exclude the items of the history, queries whose targets are all in the history are
    removed.
    """
    if repeats is not None:
        split = dataclasses.replace(split, filter_seen=not repeats)
    if not split.filter_seen:
        return split
    code_of = split.histories.vocabulary.encode(split.targets.vocabulary.ids).astype(np.int64)
    size = len(split.histories.vocabulary) + 1  # + 1 for targets that are in no history
    seen = np.repeat(np.arange(len(split)), split.histories.lengths) * size + split.histories.tokens
    query = np.repeat(np.arange(len(split)), split.targets.lengths)
    unseen = ~np.isin(query * size + code_of[split.targets.tokens], seen)
    return split.take(np.bincount(query, unseen, minlength=len(split)) > 0)


def _n_last(sentences: Sentences) -> int:
    """Return the number of items per sentence that are targets of the search.

    It is a quarter of the median length, but at least 1, and at most what gives 5,000 items in total.
    """
    typical = np.median(sentences.lengths) if len(sentences) else 0
    enough = -(-ENOUGH_QUERIES // max(len(sentences), 1))
    return int(np.clip(typical // LENGTH_PER_QUERY, 1, enough))


def _last_items(sentences: Sentences, n: int, *, repeats: bool) -> Split:
    """Hold out the last ``n`` items of each sentence that has more than ``n`` items.

    Each held-out item is the target of one query. The history of the query contains all earlier items of the
    sentence, including held-out items. The training part contains no held-out token. A held-out token of
    negative weight is not a target. Without ``repeats``, a held-out item that also occurs earlier in the
    sentence is not a target either.

    Several queries per sentence are more precise. But with ``n`` of 1, the training part contains each whole
    history, as in ``leave_last_out``.
    """
    whole = leave_last_out(sentences, n=n, repeats=True)
    ends = sentences.offsets[1:][sentences.lengths > n]
    last = (ends - 1 - np.arange(n)[:, None]).ravel()
    last = last[liked_tokens(sentences)[last]]
    positions = last if repeats else last[first_positions(sentences)[last] == last]
    histories, targets = prefixes(sentences, positions)
    return dataclasses.replace(
        whole,
        histories=histories,
        targets=targets,
        protocol="last item" if n == 1 else f"each of the last {n} items",
        users=np.searchsorted(sentences.offsets, positions, side="right") - 1,
        filter_seen=not repeats,
        dropped={**whole.dropped, **seen_targets(len(last) - len(positions))},
    )
