"""Temporal splits of sentences, computed shard by shard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Offsets
from item2vec.errors import InputError, Remedy
from item2vec.evaluation.shard_queries import changed, evenly_spaced, joined_queries, most_queries
from item2vec.evaluation.split import Split
from item2vec.evaluation.targets import new_items
from item2vec.evaluation.times import iso, span_of
from item2vec.sentences import Sentences, ShardedSentences

__all__ = ["lacking_for_time", "sampled_times", "several_per_user", "split_shards"]

MOST_TIMES = 1_000_000
"""Minimum number of timestamps in the sample of a larger corpus; the maximum is about twice this number."""


def split_shards(sentences: Sentences | ShardedSentences, cut: int, end: int | None, repeats: bool) -> Split:
    """Split sentences, each the history of a user, at the timestamp ``cut`` (microseconds).

    Tokens before ``cut`` are in the training part. Tokens from ``cut`` on are in the test part, up to ``end``
    (exclusive) if ``end`` is not ``None``. Tokens of negative weight are left out. Unless ``repeats`` is set,
    items of the history are neither targets nor recommended. Of ``ShardedSentences``, the split has about
    100,000 queries at most, evenly spaced in each shard.

    Raises
    ------
    InputError
        If there are no timestamps, the training part or the test part is empty, or no user has a new item.
    """
    parts = [
        _ShardQueries.of(shard.liked, cut, end, repeats, most_queries(sentences))
        for shard in sentences.shards
    ]
    times = [np.concatenate([part.times[name] for part in parts]) for name in range(2)]
    has_tokens = all(map(len, times))
    if not has_tokens or not any(len(part.targets) for part in parts):
        raise InputError(
            f"the {'test part has no new item' if len(times[0]) else 'training part is empty'} with the "
            f"cut-off {iso(cut)}; expected tokens before the cut-off, and new items in the test part: choose "
            "another cut-off",
            remedies=[Remedy("repeats", True, "or set {}")] if has_tokens else [],
        )
    dropped = {
        "users without new items in the test part": sum(part.n_without for part in parts),
        "queries that are not in the sample of the shards": sum(part.n_omitted for part in parts),
    }
    return Split(
        train=changed(sentences, lambda shard: _before(shard.liked, cut)),
        histories=joined_queries([part.histories for part in parts]),
        targets=joined_queries([part.targets for part in parts]),
        protocol=f"temporal from {iso(cut)}",
        filter_seen=not repeats,
        spans={"train": span_of(times[0]), "test": span_of(times[1])},
        dropped={what: n for what, n in dropped.items() if n},
    )


class _ShardQueries(NamedTuple):
    """Queries of a shard, with counts and timestamps for the description of the split.

    ``n_without`` is the number of sentences with test tokens but without a target. ``n_omitted`` is the
    number of queries that are not in the sample. ``times`` consists of two arrays: the first and the last
    timestamp of the training part, and those of the test part. The array of a part without tokens is empty.
    """

    histories: Sentences
    targets: Sentences
    n_without: int
    n_omitted: int
    times: tuple[Offsets, Offsets]

    @classmethod
    def of(cls, shard: Sentences, cut: int, end: int | None, repeats: bool, most: int) -> _ShardQueries:
        times = _shard_times(shard)
        before = times < cut
        within = ~before if end is None else ~before & (times < end)
        past, future = shard.keep(before), shard.keep(within)
        targets = new_items(future, None if repeats else past)
        found = np.flatnonzero(targets.lengths > 0)
        rows = evenly_spaced(found, most)
        n_without = int(np.count_nonzero(future.lengths)) - len(found)
        return cls(
            past.take(rows),
            targets.take(rows),
            n_without,
            len(found) - len(rows),
            (_ends(times[before]), _ends(times[within])),
        )


def _ends(times: Offsets) -> Offsets:
    return np.array([times.min(), times.max()]) if len(times) else times


def _before(shard: Sentences, cut: int) -> Sentences:
    past = shard.keep(_shard_times(shard) < cut)
    return past.take(past.lengths > 0)


def _shard_times(shard: Sentences) -> Offsets:
    if shard.timestamps is None:
        raise InputError(
            "the sentences have no timestamps; a split by time requires them: use another split, or prepare "
            "the corpus from interactions with timestamps"
        )
    return shard.timestamps


def several_per_user(corpus: ShardedSentences) -> bool:
    """Return whether a user has several sentences, such as sessions; ``False`` if there are no user ids."""
    return any(len(set(users)) < len(users) for users in corpus.users or ())


def sampled_times(sentences: Sentences | ShardedSentences) -> Offsets:
    """Return the timestamps of one to two million evenly spaced tokens.

    With fewer than two million tokens, the timestamps of all tokens are returned.
    """
    step = max(1, sentences.n_tokens // MOST_TIMES)
    return np.concatenate([_shard_times(shard)[::step] for shard in sentences.shards])


def lacking_for_time(sentences: Sentences | ShardedSentences) -> str | None:
    """Return what a split by time requires and the sentences lack; ``None`` if they can be split by time.

    Each sentence must be the history of a user. Sentences without user ids are assumed to be histories.

    >>> lacking_for_time(Sentences.of([["a", "b"]]))
    'timestamps; the sentences have none'
    """
    if "timestamps" not in sentences.columns:
        return "timestamps; the sentences have none"
    if isinstance(sentences, ShardedSentences) and several_per_user(sentences):
        return "one sentence per user; the corpus has several sentences of a user, such as sessions"
    return None
