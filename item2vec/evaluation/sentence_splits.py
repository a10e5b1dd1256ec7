"""Splits of sentences: leave-last-out, session prefixes, random items, and k folds of sentences."""

from __future__ import annotations

import warnings

import numpy as np

from item2vec.adapters import histories
from item2vec.arrays import Mask, Offsets
from item2vec.errors import InputError, LeakWarning
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal_splits import span_of
from item2vec.interactions import Interactions
from item2vec.kernels.grouping import label_pairs
from item2vec.sentences import Sentences, offsets_of

__all__ = [
    "first_positions",
    "k_fold",
    "leave_last_out",
    "prefix_split",
    "prefixes",
    "random_split",
    "seen_targets",
]


_REPEATS = ", repeats kept"
_REMEDY = "temporal_split(interactions) trains only on events before the test part"
_TOO_SHORT = "sentences too short for a query"
_SEEN_TARGETS = "targets in the history, which recommendations exclude"


def leave_last_out(sentences: Sentences | Interactions, *, n: int = 1, repeats: bool = False) -> Split:
    """Hold out the last ``n`` items of each sentence as targets; train on the items before them.

    The items before the targets are also the history. Interactions are read as histories, oldest item first.
    Sentences of ``n`` items or fewer are used for training only. Recommendations exclude the items of the
    history, so held-out items that are among them are no targets; ``dropped`` counts them. With ``repeats``
    they are targets, and recommendations exclude nothing.

    The training part contains what other users did after the time of a query, which raises the metrics of
    every model (Ji et al., A Critical Study on Data Leakage in Recommender System Offline Evaluation, TOIS
    41, 2023). A ``LeakWarning`` says so, and quantifies it if there are timestamps.

    Source: the protocol of Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section IV-B.

    Examples
    --------
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b"]]))
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b", "a", "b"]]))
    >>> list(split.train), list(split.targets), split.dropped
    ([['a', 'b'], ['b', 'a']], [['c']], {'targets in the history, which recommendations exclude': 1})
    """
    _check_n(n)
    whole = histories(sentences) if isinstance(sentences, Interactions) else sentences
    held_out, is_target = _held_out(whole, n, repeats)
    train, targets = whole.keep(~held_out), whole.keep(is_target)
    has_target = targets.lengths > 0
    leak = f"leave-last-{n}-out trains on what other users did after the time of a query"
    spans = {}
    if whole.timestamps is not None and len(whole.tokens):
        past, future = whole.timestamps[~held_out], whole.timestamps[is_target]
        spans = {name: span_of(part) for name, part in (("train", past), ("test", future)) if len(part)}
        if len(future):
            share = 100 * (future[targets.offsets[:-1][has_target]] < past.max()).mean()
            leak += f": {share:.0f} % of the queries are older than the newest event of the training part"
    leak = f"{leak}; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=2)
    return Split(
        train=train,
        histories=train.take(has_target),
        targets=targets.take(has_target),
        protocol=f"leave-last-{n}-out{_REPEATS if repeats else ''}",
        filter_seen=not repeats,
        dropped=_dropped(whole, n, held_out & ~is_target),
        spans=spans,
        leak=leak,
    )


def prefix_split(sentences: Sentences, *, test: Sentences | None = None, fraction: float = 0.1) -> Split:
    """Train on sessions, and predict the next item after every prefix of other sessions.

    The test sessions are ``test`` or, by default, the last ``fraction`` of the sentences, which are usually
    in order of time. A session of ``L`` items makes ``L - 1`` queries, in order, with one target each. They
    all have one user, the number of the session. Items of the prefix can be targets.

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
    positions = np.flatnonzero(np.arange(len(session)) > test.offsets[:-1][session])
    histories, targets = prefixes(test, positions)
    return Split(
        train=train,
        histories=histories,
        targets=targets,
        protocol="every prefix predicts the next item",
        users=session[positions],
        filter_seen=False,
        dropped=_counted("sessions too short for a query", test.lengths < 2),
    )


def random_split(sentences: Sentences, *, fraction: float = 0.2, seed: int = 1) -> Split:
    """Hold out a random share of the distinct items of each sentence; the others are history and training.

    An item is held out with all its tokens: at least one of two or more items, and never all of them.
    Sentences of one item are used for training only. This protocol is for sets, whose order has no meaning.
    In ordered sentences, the training part contains items after the targets; a ``LeakWarning`` says so.

    Source: Wang et al., Neural Graph Collaborative Filtering, SIGIR 2019, section 4.1 (80 % and 20 %).

    Examples
    --------
    >>> split = random_split(Sentences.of([["a", "b", "c"], ["b"]], ordered=False), fraction=0.3)
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    """
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
    is_target[first[pair_held_out]] = True
    train = sentences.keep(~pair_held_out[pair_of])
    leak = None
    if sentences.ordered:
        leak = (
            f"random-split of ordered sentences trains on items after the targets; {_REMEDY}; pass "
            "ordered=False for sentences whose order has no meaning"
        )
        warnings.warn(leak, LeakWarning, stacklevel=2)
    return Split(
        train=train,
        histories=train.take(long_enough),
        targets=sentences.keep(is_target).take(long_enough),
        protocol=f"random {100 * fraction:g} % of each sentence",
        dropped=_counted(_TOO_SHORT, ~long_enough),
        leak=leak,
    )


def k_fold(
    sentences: Sentences, *, folds: int = 5, n: int = 1, repeats: bool = False, seed: int = 1
) -> list[Split]:
    """Hold out whole sentences in turn: train on the others, and predict the last ``n`` items of each.

    The test users are therefore new to the model ("strong generalisation"). Each sentence is in one fold,
    assigned at random. As in ``leave_last_out``, the training part contains later behaviour of other users,
    and a ``LeakWarning`` says so; ``repeats`` has the same meaning, too.

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
    _check_n(n)
    if not 2 <= folds <= len(sentences):
        raise InputError(
            f"{folds} folds of {len(sentences):,} sentences; expected at least 2 folds, and no more folds "
            "than sentences"
        )
    fold_of = np.random.default_rng(seed).permutation(len(sentences)) % folds
    leak = f"k-fold trains on what other users did after the time of a query; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=2)
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
                dropped=_dropped(test, n, held_out & ~is_target),
                leak=leak,
            )
        )
    return splits


def prefixes(sentences: Sentences, positions: Offsets) -> tuple[Sentences, Sentences]:
    """Return a query for the token at each position: its sentence up to it as history, the token as target.

    >>> histories, targets = prefixes(Sentences.of([["a"], ["b", "c", "d"]]), np.array([3, 1]))
    >>> list(histories), list(targets)
    ([['b', 'c'], []], [['d'], ['b']])
    """
    start = np.repeat(sentences.offsets[:-1], sentences.lengths)[positions]
    offsets = offsets_of(positions - start)
    source = np.arange(offsets[-1])
    source += np.repeat(start - offsets[:-1], positions - start)
    return sentences.regroup(source, offsets), sentences.regroup(positions, np.arange(len(positions) + 1))


def first_positions(sentences: Sentences) -> Offsets:
    """Return, for each token, the position among all tokens where its item first occurs in its sentence.

    >>> first_positions(Sentences.of([["a", "b", "a"], ["a"]]))
    array([0, 1, 0, 3])
    """
    pairs = label_pairs(sentences.offsets, sentences.tokens, len(sentences.vocabulary))
    is_first = np.diff(np.maximum.accumulate(pairs), prepend=-1) > 0
    return np.flatnonzero(is_first)[pairs]


def seen_targets(n: int) -> dict[str, int]:
    """Return the entry of ``Split.dropped`` for ``n`` targets that recommendations exclude.

    >>> seen_targets(2), seen_targets(0)
    ({'targets in the history, which recommendations exclude': 2}, {})
    """
    return {_SEEN_TARGETS: n} if n else {}


def _held_out(sentences: Sentences, n: int, repeats: bool) -> tuple[Mask, Mask]:
    """Return the mask of held-out tokens (the last ``n`` of longer sentences), and that of targets."""
    end = np.repeat(sentences.offsets[1:] - n, sentences.lengths)
    long_enough = np.repeat(sentences.lengths > n, sentences.lengths)
    held_out = long_enough & (np.arange(len(sentences.tokens)) >= end)
    return held_out, held_out if repeats else held_out & (first_positions(sentences) >= end)


def _dropped(sentences: Sentences, n: int, seen: Mask) -> dict[str, int]:
    return _counted(_TOO_SHORT, sentences.lengths <= n) | seen_targets(int(np.count_nonzero(seen)))


def _last_sentences(sentences: Sentences, fraction: float) -> tuple[Sentences, Sentences]:
    _check_fraction(fraction)
    if len(sentences) < 2:
        raise InputError(f"{sentences!r} cannot be split; expected at least 2 sentences")
    n_test = min(max(round(fraction * len(sentences)), 1), len(sentences) - 1)
    return sentences[:-n_test], sentences[-n_test:]


def _counted(what: str, dropped: Mask) -> dict[str, int]:
    n = int(np.count_nonzero(dropped))
    return {what: n} if n else {}


def _check_n(n: int) -> None:
    if n < 1:
        raise InputError(f"n is {n}; expected at least 1 item to hold out")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; expected a share above 0 and below 1")
