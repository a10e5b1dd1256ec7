"""Splits that hold out tokens by their position in a sentence, or at random, and need no timestamps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from item2vec.adapters import histories
from item2vec.arguments import checked_except
from item2vec.arrays import Mask, Offsets
from item2vec.errors import InputError, LeakWarning
from item2vec.evaluation.shard_queries import changed, evenly_spaced, joined_queries, most_queries
from item2vec.evaluation.split import ColdTargets, Split
from item2vec.evaluation.targets import first_positions, liked_tokens
from item2vec.evaluation.times import span_of
from item2vec.interactions import Interactions
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.shaping import check_least

__all__ = [
    "k_fold",
    "leave_last_out",
    "prefix_split",
    "prefixes",
    "random_split",
    "seen_targets",
]


_REPEATS = ", repeats kept"
_REMEDY = "temporal_split(interactions), or --protocol temporal, trains only on events before the test part"
_TOO_SHORT = "sentences too short for a query"
_SEEN_TARGETS = "targets in the history, excluded from recommendations"
_DISLIKED = "held-out tokens of negative weight, which are not targets"
_NOT_SAMPLED = "queries that are not in the sample of the shards"
_REASONS = (_TOO_SHORT, _SEEN_TARGETS, _DISLIKED, _NOT_SAMPLED)


@checked_except("min_history")
def leave_last_out(
    sentences: Sentences | ShardedSentences | Interactions,
    *,
    n: int = 1,
    repeats: bool = False,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> Split:
    """Hold out the last ``n`` items of each sentence as targets, and train on the earlier items.

    The earlier items are also the history of the query. Interactions are converted to one sentence per user,
    oldest item first. Sentences of ``n`` items or fewer are used for training only.

    If ``repeats`` is false, recommendations exclude the items of the history. Held-out items that are in the
    history are therefore not targets, and ``dropped`` contains their number. If ``repeats`` is true, these
    items are targets, too, and recommendations exclude no items. Held-out tokens of negative weight
    (dislikes) are never targets; ``dropped`` contains their number. For ``cold_targets``, ``min_history`` and
    the errors that they raise, see ``Split.filtered``. If ``n`` is below 1, an ``InputError`` is raised.

    Of ``ShardedSentences``, about 100,000 queries at most are evaluated, evenly spaced in each shard. The
    training part of a shard is computed whenever the shard is accessed.

    The training part contains interactions of other users after the time of a query. This raises the metrics
    of every model (Ji et al., A Critical Study on Data Leakage in Recommender System Offline Evaluation, TOIS
    41, 2023). A ``LeakWarning`` reports this leak. If the data have timestamps, the warning contains the
    share of the queries whose first target is older than the newest event of the training part.

    Source: the protocol of Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section IV-B.

    Examples
    --------
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b"]]))
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b", "a", "b"]]))
    >>> list(split.train), list(split.targets), split.dropped
    ([['a', 'b'], ['b', 'a']], [['c']], {'targets in the history, excluded from recommendations': 1})
    """
    _check_n(n)
    whole = histories(sentences) if isinstance(sentences, Interactions) else sentences
    parts = [_held_out_part(shard, n, repeats, most_queries(whole)) for shard in whole.shards]
    leak = f"leave-last-{n}-out trains on interactions of other users after the time of a query"
    past, future, queried = (np.concatenate([part.times[name] for part in parts]) for name in range(3))
    spans = {name: span_of(part) for name, part in (("train", past), ("test", future)) if len(part)}
    if len(future):
        share = 100 * (queried < past.max()).mean()
        leak += f": {share:.0f} % of the queries are older than the newest event of the training part"
    leak = f"{leak}; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=3)
    return Split(
        train=changed(whole, lambda shard: shard.keep(~_held_out(shard, n, repeats)[0])),
        histories=joined_queries([part.histories for part in parts]),
        targets=joined_queries([part.targets for part in parts]),
        protocol=f"leave-last-{n}-out{_REPEATS if repeats else ''}",
        filter_seen=not repeats,
        dropped=_summed([part.dropped for part in parts]),
        spans=spans,
        leak=leak,
    ).filtered(cold_targets=cold_targets, min_history=min_history)


@checked_except("min_history")
def prefix_split(
    sentences: Sentences | ShardedSentences,
    *,
    test: Sentences | None = None,
    fraction: float = 0.1,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> Split:
    """Train on sessions, and predict the next item after every prefix of other sessions.

    The test sessions are ``test`` or, by default, the last ``fraction`` of the sentences, which should then
    be in order of time. A session of ``L`` items yields ``L - 1`` queries with one target each. All of these
    queries have the same user number: the index of the test session. Items of the prefix can be targets, and
    recommendations do not exclude them. Tokens of negative weight are not targets. Of ``ShardedSentences``,
    there are as many test sessions, but about 100,000 at most: the last sessions of each shard, in proportion
    to its number of sessions. For ``cold_targets`` and ``min_history`` (the minimum length of a prefix), see
    ``Split.filtered``. If ``test`` is ``None``, an ``InputError`` is raised for a ``fraction`` that is not
    between 0 and 1, and for fewer than 2 sentences.

    Source: Tan, Xu & Liu, Improved Recurrent Neural Networks for Session-based Recommendations, DLRS 2016,
    section 3.1; evaluated as in Wu et al., Session-based Recommendation with Graph Neural Networks, AAAI
    2019.

    Examples
    --------
    >>> split = prefix_split(Sentences.of([["a", "b"]]), test=Sentences.of([["b", "a", "b"], ["a"]]))
    >>> list(split.histories), list(split.targets), split.users
    ([['b'], ['b', 'a']], [['a'], ['b']], array([0, 0]))
    """
    if test is None:
        train, test = _last_sentences(sentences, fraction)
    else:
        train = sentences
    session = np.repeat(np.arange(len(test)), test.lengths)
    later = np.arange(len(session)) > test.offsets[:-1][session]
    liked = liked_tokens(test)
    positions = np.flatnonzero(later & liked)
    histories, targets = prefixes(test, positions)
    return Split(
        train=train,
        histories=histories,
        targets=targets,
        protocol="every prefix predicts the next item",
        users=session[positions],
        filter_seen=False,
        dropped=_counted("sessions too short for a query", test.lengths < 2)
        | _counted(_DISLIKED, later & ~liked),
    ).filtered(cold_targets=cold_targets, min_history=min_history)


@checked_except("min_history")
def random_split(
    sentences: Sentences,
    *,
    fraction: float = 0.2,
    seed: int = 1,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> Split:
    """Hold out a random share of the distinct items of each sentence as targets, and train on the others.

    The other items are also the history of the query. All tokens of a held-out item are held out. At least
    one item of a sentence is held out, and at least one remains. Sentences with a single distinct item are
    used for training only. Held-out tokens of negative weight (dislikes) are not targets. The protocol is
    intended for unordered sentences. If sentences are ordered, the training part contains items that occur
    after the targets, and a ``LeakWarning`` reports this leak. For ``cold_targets`` and ``min_history``, see
    ``Split.filtered``. An ``InputError`` is raised for a ``fraction`` that is not between 0 and 1, a
    ``ConfigError`` for a ``seed`` below 0.

    Source: Wang et al., Neural Graph Collaborative Filtering, SIGIR 2019, section 4.1 (80 % and 20 %).

    Examples
    --------
    >>> split = random_split(Sentences.of([["a", "b", "c"], ["b"]], ordered=False), fraction=0.3)
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    """
    check_least("seed", seed, 0)
    _check_fraction(fraction)
    sentence = np.repeat(np.arange(len(sentences)), sentences.lengths)
    pair, first, pair_of = np.unique(
        sentence * len(sentences.vocabulary) + sentences.tokens, return_index=True, return_inverse=True
    )
    owner = sentence[first]
    n_items = np.bincount(owner, minlength=len(sentences))
    long_enough = n_items >= 2
    n_held_out = np.clip(np.rint(fraction * n_items), 1, n_items - 1)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(pair)), owner))
    position = np.arange(len(pair)) - offsets_of(n_items)[:-1][owner]
    pair_held_out = np.zeros(len(pair), dtype=bool)
    pair_held_out[shuffled] = (position < n_held_out[owner]) & long_enough[owner]
    is_target = np.zeros(len(sentence), dtype=bool)
    held_out, liked = pair_held_out[pair_of], liked_tokens(sentences)
    candidates = np.flatnonzero(held_out & liked)
    is_target[candidates[np.unique(pair_of[candidates], return_index=True)[1]]] = True
    train, targets = sentences.keep(~held_out), sentences.keep(is_target)
    has_target = targets.lengths > 0
    leak = None
    if sentences.ordered:
        leak = (
            "random-split of ordered sentences: the training part contains items that occur after the "
            f"targets; {_REMEDY}; if the order of the items has no meaning, create the sentences with "
            "ordered=False, or set ordered = false in [adapter]"
        )
        warnings.warn(leak, LeakWarning, stacklevel=3)
    return Split(
        train=train,
        histories=train.take(has_target),
        targets=targets.take(has_target),
        protocol=f"random {100 * fraction:g} % of each sentence held out",
        users=np.flatnonzero(has_target[long_enough]),
        dropped=_counted(_TOO_SHORT, ~long_enough) | _counted(_DISLIKED, held_out & ~liked),
        leak=leak,
    ).filtered(cold_targets=cold_targets, min_history=min_history)


@checked_except("min_history")
def k_fold(
    sentences: Sentences,
    *,
    folds: int = 5,
    n: int = 1,
    repeats: bool = False,
    seed: int = 1,
    cold_targets: ColdTargets = "keep",
    min_history: int = 0,
) -> list[Split]:
    """Cross-validation: for each fold of sentences, train on the other folds, and predict the last items.

    Each sentence is assigned to one fold at random. The targets are the last ``n`` items of each sentence of
    the fold, except dislikes; sentences of ``n`` items or fewer yield no query. If there is one sentence per
    user, the test users do not occur in the training part ("strong generalisation"). As in
    ``leave_last_out``, the training part contains later interactions of other users, and a ``LeakWarning``
    reports this leak. ``n``, ``repeats``, ``cold_targets`` and ``min_history`` have the same meaning as in
    ``leave_last_out``. An ``InputError`` is raised if ``folds`` is below 2 or above the number of sentences,
    a ``ConfigError`` if ``seed`` is below 0.

    Source: Marlin, Collaborative Filtering: A Machine Learning Perspective, 2004; Liang et al., Variational
    Autoencoders for Collaborative Filtering, WWW 2018, section 4.

    Examples
    --------
    >>> for fold in k_fold(Sentences.of([["a", "b"], ["b", "c"], ["c", "a"]]), folds=3):
    ...     print(list(fold.train), list(fold.histories), list(fold.targets))
    [['b', 'c'], ['c', 'a']] [['a']] [['b']]
    [['a', 'b'], ['c', 'a']] [['b']] [['c']]
    [['a', 'b'], ['b', 'c']] [['c']] [['a']]
    """
    check_least("seed", seed, 0)
    _check_n(n)
    if not 2 <= folds <= len(sentences):
        raise InputError(
            f"folds is {folds}, and there are {len(sentences):,} sentences; expected at least 2 folds, and "
            "at most as many folds as sentences"
        )
    fold_of = np.random.default_rng(seed).permutation(len(sentences)) % folds
    leak = f"k-fold does not split by time: training folds contain interactions after a query; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=3)
    splits = []
    for fold in range(folds):
        test = sentences.take(fold_of == fold)
        held_out, is_target = _held_out(test, n, repeats)
        targets = test.keep(is_target)
        has_target = targets.lengths > 0
        splits.append(
            Split(
                train=sentences.take(fold_of != fold),
                histories=test.keep(~held_out).take(has_target),
                targets=targets.take(has_target),
                protocol=f"leave-last-{n}-out{_REPEATS if repeats else ''} of unseen sentences "
                f"(fold {fold + 1} of {folds})",
                filter_seen=not repeats,
                dropped=_dropped(test, n, held_out, is_target),
                leak=leak,
            ).filtered(cold_targets=cold_targets, min_history=min_history)
        )
    return splits


def prefixes(sentences: Sentences, positions: Offsets) -> tuple[Sentences, Sentences]:
    """Return a pair of ``Sentences``: the histories; and the targets of queries, one query per position.

    A position is an index into the tokens of all sentences. The token at the position is the target of the
    query. The history consists of the tokens before the target in the same sentence.

    >>> histories, targets = prefixes(Sentences.of([["a"], ["b", "c", "d"]]), np.array([3, 1]))
    >>> list(histories), list(targets)
    ([['b', 'c'], []], [['d'], ['b']])
    """
    start = np.repeat(sentences.offsets[:-1], sentences.lengths)[positions]
    offsets = offsets_of(positions - start)
    source = np.arange(offsets[-1])
    source += np.repeat(start - offsets[:-1], positions - start)
    return sentences.regroup(source, offsets), sentences.regroup(positions, np.arange(len(positions) + 1))


def seen_targets(n: int) -> dict[str, int]:
    """Return the entry of ``Split.dropped`` for ``n`` held-out items in the history; empty if ``n`` is 0.

    >>> seen_targets(2), seen_targets(0)
    ({'targets in the history, excluded from recommendations': 2}, {})
    """
    return {_SEEN_TARGETS: n} if n else {}


def _held_out(sentences: Sentences, n: int, repeats: bool) -> tuple[Mask, Mask]:
    """Return a pair of masks: of the held-out tokens; and of the held-out tokens that are targets.

    The last ``n`` tokens of sentences with more than ``n`` tokens are held out. The targets are the held-out
    tokens without negative weight and, if ``repeats`` is false, whose item does not occur in the remaining
    tokens of the sentence.
    """
    end = np.repeat(sentences.offsets[1:] - n, sentences.lengths)
    long_enough = np.repeat(sentences.lengths > n, sentences.lengths)
    held_out = long_enough & (np.arange(len(sentences.tokens)) >= end)
    liked = held_out & liked_tokens(sentences)
    return held_out, liked if repeats else liked & (first_positions(sentences) >= end)


class _HeldOut(NamedTuple):
    """Queries of a shard, and the numbers of omitted sentences, targets and queries by reason.

    ``times`` consists of three arrays: the first and the last timestamp of the training part, the first and
    the last timestamp of the targets, and the timestamp of the first target of each query. An array is empty
    if the data have no timestamps, or if there are no such tokens.
    """

    histories: Sentences
    targets: Sentences
    dropped: Mapping[str, int]
    times: tuple[Offsets, Offsets, Offsets]


def _held_out_part(shard: Sentences, n: int, repeats: bool, most: int) -> _HeldOut:
    held_out, is_target = _held_out(shard, n, repeats)
    targets = shard.keep(is_target)
    has_target = np.flatnonzero(targets.lengths > 0)
    queries = evenly_spaced(has_target, most)
    dropped = _dropped(shard, n, held_out, is_target) | {_NOT_SAMPLED: len(has_target) - len(queries)}
    none = np.empty(0, dtype=np.int64)
    times = none, none, none
    if shard.timestamps is not None:
        past, future = shard.timestamps[~held_out], shard.timestamps[is_target]
        times = _ends(past), _ends(future), future[targets.offsets[:-1][queries]]
    histories = shard.keep(~held_out).take(queries)
    return _HeldOut(histories, targets.take(queries), dropped, times)


def _summed(dropped: Sequence[Mapping[str, int]]) -> dict[str, int]:
    sums = {reason: sum(part.get(reason, 0) for part in dropped) for reason in _REASONS}
    return {reason: n for reason, n in sums.items() if n}


def _ends(times: Offsets) -> Offsets:
    return np.array([times.min(), times.max()]) if len(times) else times


def _dropped(sentences: Sentences, n: int, held_out: Mask, is_target: Mask) -> dict[str, int]:
    liked = liked_tokens(sentences)
    return (
        _counted(_TOO_SHORT, sentences.lengths <= n)
        | _counted(_SEEN_TARGETS, held_out & liked & ~is_target)
        | _counted(_DISLIKED, held_out & ~liked)
    )


def _last_sentences(
    sentences: Sentences | ShardedSentences, fraction: float
) -> tuple[Sentences | ShardedSentences, Sentences]:
    _check_fraction(fraction)
    if len(sentences) < 2:
        raise InputError(f"{sentences!r} cannot be split; expected at least 2 sentences")
    n_test = min(max(round(fraction * len(sentences)), 1), len(sentences) - 1)
    if isinstance(sentences, ShardedSentences):
        starts = offsets_of([len(shard) for shard in sentences.shards])
        shares = np.diff(n_test * starts // starts[-1])  # in proportion to the shards; the sum is n_test
        ends = (np.diff(starts) - np.minimum(shares, most_queries(sentences))).tolist()
        test = joined_queries([shard[end:] for shard, end in zip(sentences.shards, ends, strict=True)])
        return sentences.derive(lambda number, shard: shard[: ends[number]]), test
    return sentences[:-n_test], sentences[-n_test:]


def _counted(what: str, dropped: Mask) -> dict[str, int]:
    n = int(np.count_nonzero(dropped))
    return {what: n} if n else {}


def _check_n(n: int) -> None:
    if n < 1:
        raise InputError(f"n is {n}; expected at least 1 item to hold out")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; expected a number above 0 and below 1")
