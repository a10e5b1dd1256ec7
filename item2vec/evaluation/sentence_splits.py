"""Splits of sentences: what a model may learn from, what it is asked, and what truly came next."""

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
    "first_places",
    "k_fold",
    "leave_last_out",
    "prefix_split",
    "prefixes",
    "random_split",
    "repeated",
]


_REPEATS = ", repeats kept"
_REMEDY = "temporal_split(interactions) trains only on what came before its questions"


def leave_last_out(sentences: Sentences | Interactions, *, n: int = 1, repeats: bool = False) -> Split:
    """Hold back the last ``n`` items of each sentence; train on, and ask with, what stands before them.

    Interactions are read as histories, oldest item first. Sentences of ``n`` items or fewer are trained on
    whole and not asked about. Answers leave out the items of the history, so held back items that are among
    them are no targets; they are counted in ``dropped``. With ``repeats`` they are targets, and answers leave
    nothing out.

    The training part holds what others did after the moments that are asked about, which flatters every
    model alike (Ji et al., A Critical Study on Data Leakage in Recommender System Offline Evaluation, TOIS
    41, 2023). A ``LeakWarning`` says so, with interactions also how much of it there is.

    Source: the protocol of Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section IV-B.

    Examples
    --------
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b"]]))
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    >>> again = leave_last_out(Sentences.of([["a", "b", "c"], ["b", "a", "b"]]))
    >>> list(again.train), list(again.targets), again.dropped
    ([['a', 'b'], ['b', 'a']], [['c']], {'targets in the history, which answers leave out': 1})
    """
    _check_n(n)
    whole = histories(sentences) if isinstance(sentences, Interactions) else sentences
    held_back, wanted = _held_back(whole, n, repeats)
    train, targets = whole.keep(~held_back), whole.keep(wanted)
    asked = targets.lengths > 0
    leak = f"leave-last-{n}-out trains on what others did after the moments that are asked about"
    spans = {}
    if whole.timestamps is not None and len(whole.tokens):
        known, later = whole.timestamps[~held_back], whole.timestamps[wanted]
        spans = {name: span_of(part) for name, part in (("train", known), ("test", later)) if len(part)}
        if len(later):
            share = 100 * (later[targets.offsets[:-1][asked]] < known.max()).mean()
            leak += (
                f": {share:.0f} % of the questions were asked before the newest event of the training part"
            )
    leak = f"{leak}; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=2)
    return Split(
        train=train,
        histories=train.take(asked),
        targets=targets.take(asked),
        protocol=f"leave-last-{n}-out{_REPEATS if repeats else ''}",
        filter_seen=not repeats,
        dropped=_dropped(whole, n, held_back & ~wanted),
        spans=spans,
        leak=leak,
    )


def prefix_split(sentences: Sentences, *, test: Sentences | None = None, fraction: float = 0.1) -> Split:
    """Train on sessions, and ask every beginning of other sessions for the item that is clicked next.

    The sessions asked about are those given, or else the last ``fraction`` of the sentences, whose order is
    usually that of time. A session of ``L`` items asks ``L - 1`` questions, in order, with one target each;
    all of them have one user, the number of the session. Items of the beginning may be the answer again.

    Source: Tan, Xu & Liu, Improved Recurrent Neural Networks for Session-based Recommendations, DLRS 2016,
    section 3.1; as asked in Wu et al., Session-based Recommendation with Graph Neural Networks, AAAI 2019.

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
    later = np.flatnonzero(np.arange(len(session)) > test.offsets[:-1][session])
    histories, targets = prefixes(test, later)
    return Split(
        train=train,
        histories=histories,
        targets=targets,
        protocol="every prefix asks for the next",
        users=session[later],
        filter_seen=False,
        dropped=_counted("sessions too short to ask", test.lengths < 2),
    )


def random_split(sentences: Sentences, *, fraction: float = 0.2, seed: int = 1) -> Split:
    """Hold back a random share of the distinct items of each sentence; train on, and ask with, the others.

    An item is held back with all its tokens: at least one of two or more items, and never all. Sentences of
    one item are trained on whole and not asked about. This is for sets, whose order means nothing: of
    ordered sentences the training part holds what came after the items asked for, and a ``LeakWarning``
    says so.

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
    asked = n_items >= 2
    n_held = np.clip(np.rint(fraction * n_items), 1, n_items - 1)
    drawn = np.lexsort((np.random.default_rng(seed).random(len(pair)), owner))
    place = np.arange(len(pair)) - offsets_of(n_items)[:-1][owner]
    held_pair = np.zeros(len(pair), dtype=bool)
    held_pair[drawn] = (place < n_held[owner]) & asked[owner]
    once = np.zeros(len(sentence), dtype=bool)
    once[first[held_pair]] = True
    train = sentences.keep(~held_pair[pair_of])
    leak = None
    if sentences.ordered:
        leak = (
            "random-split of ordered sentences trains on what came after the items that are asked for; "
            f"{_REMEDY}; sentences without order say ordered=False"
        )
        warnings.warn(leak, LeakWarning, stacklevel=2)
    return Split(
        train=train,
        histories=train.take(asked),
        targets=sentences.keep(once).take(asked),
        protocol=f"random {100 * fraction:g} % of each sentence",
        dropped=_counted("sentences too short to ask", ~asked),
        leak=leak,
    )


def k_fold(
    sentences: Sentences, *, folds: int = 5, n: int = 1, repeats: bool = False, seed: int = 1
) -> list[Split]:
    """Hold back whole sentences in turn: train on the others, ask each held back for its last ``n`` items.

    So a model is asked by users it has never seen ("strong generalisation"). Each sentence is in one fold,
    drawn at random. Others' later behaviour is trained on, as in ``leave_last_out``, and warned of likewise;
    ``repeats`` as there.

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
        raise InputError(f"{folds} folds of {len(sentences):,} sentences; expected 2 to as many as sentences")
    fold_of = np.random.default_rng(seed).permutation(len(sentences)) % folds
    leak = f"k-fold trains on what others did after the moments that are asked about; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=2)
    splits = []
    for fold in range(folds):
        unseen = sentences.take(fold_of == fold)
        held_back, wanted = _held_back(unseen, n, repeats)
        targets = unseen.keep(wanted)
        asked = targets.lengths > 0
        splits.append(
            Split(
                train=sentences.take(fold_of != fold),
                histories=unseen.keep(~held_back).take(asked),
                targets=targets.take(asked),
                protocol=f"leave-last-{n}-out{_REPEATS if repeats else ''} of unseen sentences "
                f"(fold {fold + 1} of {folds})",
                filter_seen=not repeats,
                dropped=_dropped(unseen, n, held_back & ~wanted),
                leak=leak,
            )
        )
    return splits


def prefixes(sentences: Sentences, targets: Offsets) -> tuple[Sentences, Sentences]:
    """Return a question for each token at these places: all of its sentence before it, and the token alone.

    >>> histories, targets = prefixes(Sentences.of([["a"], ["b", "c", "d"]]), np.array([3, 1]))
    >>> list(histories), list(targets)
    ([['b', 'c'], []], [['d'], ['b']])
    """
    start = np.repeat(sentences.offsets[:-1], sentences.lengths)[targets]
    offsets = offsets_of(targets - start)
    source = np.arange(offsets[-1])
    source += np.repeat(start - offsets[:-1], targets - start)
    return sentences.regroup(source, offsets), sentences.regroup(targets, np.arange(len(targets) + 1))


def first_places(sentences: Sentences) -> Offsets:
    """Return for each token the place, among all tokens, where its sentence first has the item.

    >>> first_places(Sentences.of([["a", "b", "a"], ["a"]]))
    array([0, 1, 0, 3])
    """
    pairs = label_pairs(sentences.offsets, sentences.tokens, len(sentences.vocabulary))
    is_first = np.diff(np.maximum.accumulate(pairs), prepend=-1) > 0
    return np.flatnonzero(is_first)[pairs]


def repeated(n: int) -> dict[str, int]:
    """Return what ``Split.dropped`` says of targets that no answer could hold.

    >>> repeated(2), repeated(0)
    ({'targets in the history, which answers leave out': 2}, {})
    """
    return {"targets in the history, which answers leave out": n} if n else {}


def _held_back(sentences: Sentences, n: int, repeats: bool) -> tuple[Mask, Mask]:
    """Return which tokens are held back, the last ``n`` of longer sentences; and which are targets."""
    end = np.repeat(sentences.offsets[1:] - n, sentences.lengths)
    long_enough = np.repeat(sentences.lengths > n, sentences.lengths)
    held_back = long_enough & (np.arange(len(sentences.tokens)) >= end)
    return held_back, held_back if repeats else held_back & (first_places(sentences) >= end)


def _dropped(sentences: Sentences, n: int, seen: Mask) -> dict[str, int]:
    short = _counted("sentences too short to ask", sentences.lengths <= n)
    return short | repeated(int(np.count_nonzero(seen)))


def _last_sentences(sentences: Sentences, fraction: float) -> tuple[Sentences, Sentences]:
    _check_fraction(fraction)
    if len(sentences) < 2:
        raise InputError(f"{sentences!r} to split; expected at least 2 sentences")
    n_asked = min(max(round(fraction * len(sentences)), 1), len(sentences) - 1)
    return sentences[:-n_asked], sentences[-n_asked:]


def _counted(what: str, dropped: Mask) -> dict[str, int]:
    n = int(np.count_nonzero(dropped))
    return {what: n} if n else {}


def _check_n(n: int) -> None:
    if n < 1:
        raise InputError(f"n is {n}; expected at least 1 item to hold back")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; expected a share above 0 and below 1")
