"""Splits of sentences: what a model may learn from, what it is asked, and what truly came next."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from item2vec.adapters import histories
from item2vec.errors import InputError, LeakWarning
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal import span_of
from item2vec.interactions import Interactions
from item2vec.sentences import Sentences, offsets_of

__all__ = ["apart", "k_fold", "leave_last_out", "prefix_split", "random_split"]

Mask = npt.NDArray[np.bool_]

_REMEDY = "temporal_split(interactions) trains only on what came before its questions"


def leave_last_out(sentences: Sentences | Interactions, *, n: int = 1) -> Split:
    """Hold back the last ``n`` items of each sentence; train on, and ask with, what stands before them.

    Interactions are read as histories, oldest item first. Sentences of ``n`` items or fewer are trained on
    whole and not asked about.

    The training part holds what others did after the moments that are asked about, which flatters every
    model alike (Ji et al., A Critical Study on Data Leakage in Recommender System Offline Evaluation, TOIS
    41, 2023). A ``LeakWarning`` says so, with interactions also how much of it there is.

    Source: the protocol of Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section IV-B.

    Examples
    --------
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b"]]))
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    """
    _check_n(n)
    whole = histories(sentences) if isinstance(sentences, Interactions) else sentences
    asked = whole.lengths > n
    held_back = _last(whole, n) & np.repeat(asked, whole.lengths)
    train = whole.keep(~held_back)
    leak = f"leave-last-{n}-out trains on what others did after the moments that are asked about"
    spans = {}
    if whole.timestamps is not None and len(whole.tokens):
        known, wanted = whole.timestamps[~held_back], whole.timestamps[held_back]
        spans = {name: span_of(part) for name, part in (("train", known), ("asked", wanted)) if len(part)}
        if len(wanted):
            share = 100 * (wanted[::n] < known.max()).mean()
            leak += (
                f": {share:.0f} % of the questions were asked before the newest event of the training part"
            )
    leak = f"{leak}; {_REMEDY}"
    warnings.warn(leak, LeakWarning, stacklevel=2)
    return Split(
        train=train,
        histories=train.take(asked),
        targets=whole.keep(held_back).take(asked),
        protocol=f"leave-last-{n}-out",
        dropped=_counted("sentences too short to ask", ~asked),
        spans=spans,
        leak=leak,
    )


def prefix_split(sentences: Sentences, *, asked: Sentences | None = None, fraction: float = 0.1) -> Split:
    """Train on sessions, and ask every beginning of other sessions for the item that is clicked next.

    The sessions asked about are those given, or else the last ``fraction`` of the sentences, whose order is
    usually that of time. A session of ``L`` items asks ``L - 1`` questions, in order, with one target each;
    all of them have one asker, the number of the session. Items of the beginning may be the answer again.

    Source: Tan, Xu & Liu, Improved Recurrent Neural Networks for Session-based Recommendations, DLRS 2016,
    section 3.1; as asked in Wu et al., Session-based Recommendation with Graph Neural Networks, AAAI 2019.

    Examples
    --------
    >>> split = prefix_split(Sentences.of([["a", "b"]]), asked=Sentences.of([["b", "a", "b"], ["a"]]))
    >>> list(split.histories), list(split.targets), split.askers
    ([['b'], ['b', 'a']], [['a'], ['b']], array([0, 0]))
    """
    if asked is None:
        train, asked = _last_sentences(sentences, fraction)
    else:
        train = sentences
    session = np.repeat(np.arange(len(asked)), asked.lengths)
    start = asked.offsets[:-1][session]
    target = np.flatnonzero(np.arange(len(session)) > start)
    session, start = session[target], start[target]
    offsets = offsets_of(target - start)
    source = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], target - start)
    return Split(
        train=train,
        histories=asked.regroup(source, offsets),
        targets=asked.regroup(target, np.arange(len(target) + 1)),
        protocol="every prefix asks for the next",
        askers=session,
        filter_seen=False,
        dropped=_counted("sessions too short to ask", asked.lengths < 2),
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


def k_fold(sentences: Sentences, *, folds: int = 5, n: int = 1, seed: int = 1) -> list[Split]:
    """Hold back whole sentences in turn: train on the others, ask each held back for its last ``n`` items.

    So a model is asked by users it has never seen ("strong generalisation"). Each sentence is in one fold,
    drawn at random. Others' later behaviour is trained on, as in ``leave_last_out``, and warned of likewise.

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
        held_back = sentences.take(fold_of == fold)
        asked = held_back.lengths > n
        questions = held_back.take(asked)
        last = _last(questions, n)
        splits.append(
            Split(
                train=sentences.take(fold_of != fold),
                histories=questions.keep(~last),
                targets=questions.keep(last),
                protocol=f"leave-last-{n}-out of unseen sentences (fold {fold + 1} of {folds})",
                dropped=_counted("sentences too short to ask", ~asked),
                leak=leak,
            )
        )
    return splits


def apart(split: Split) -> dict[str, Split]:
    """Return the questions of a split apart: of cold users, for cold items, and warm ones; none is lost.

    ``"cold users"`` have no history item that is trained on; of the others, ``"cold items"`` have no target
    that is trained on, and no model that learns from sentences can find it. Empty parts are left out.

    Source: Schein et al., Methods and Metrics for Cold-Start Recommendations, SIGIR 2002.

    Examples
    --------
    >>> train = Sentences.of([["a", "b"]])
    >>> histories, targets = Sentences.of([["a"], ["z"], ["b"]]), Sentences.of([["b"], ["a"], ["z"]])
    >>> split = Split(train, histories, targets, "by hand")
    >>> {name: list(part.targets) for name, part in apart(split).items()}
    {'warm': [['b']], 'cold users': [['a']], 'cold items': [['z']]}
    """
    cold_user = split.cold_users()
    cold_item = split.cold_items() & ~cold_user
    parts = {"warm": ~cold_user & ~cold_item, "cold users": cold_user, "cold items": cold_item}
    return {name: split.take(part) for name, part in parts.items() if part.any()}


def _last(sentences: Sentences, n: int) -> Mask:
    """Return which tokens are among the last ``n`` of their sentence."""
    return np.repeat(sentences.offsets[1:], sentences.lengths) - np.arange(len(sentences.tokens)) <= n


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
