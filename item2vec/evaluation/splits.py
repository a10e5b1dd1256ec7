"""Splits: what a model may learn from, what it is asked, and what truly came next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.errors import InputError
from item2vec.sentences import Sentences

__all__ = ["Split", "leave_last_out"]


@dataclass(frozen=True, eq=False)
class Split:
    """What a model may learn from (``train``), and questions with known answers.

    Sentence ``i`` of ``histories`` is asked; sentence ``i`` of ``targets`` is what truly came next.

    >>> asked = Sentences.of([["a", "b"]])
    >>> Split(asked, asked, Sentences.of([["c"]]), "by hand").protocol
    'by hand'
    """

    train: Sentences
    histories: Sentences
    targets: Sentences
    protocol: str

    def __post_init__(self) -> None:
        if len(self.histories) != len(self.targets):
            raise InputError(
                f"{len(self.histories)} histories and {len(self.targets)} targets; expected as many of each"
            )


def leave_last_out(sentences: Sentences, *, n: int = 1) -> Split:
    """Hold back the last ``n`` items of each sentence; train on, and ask with, what stands before them.

    Sentences of ``n`` items or fewer are trained on whole and not asked about. Others' later behaviour is in
    the training part, which flatters every model alike; where moments are known, split by time instead.

    Source: the protocol of Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, section IV-B.

    Examples
    --------
    >>> split = leave_last_out(Sentences.of([["a", "b", "c"], ["b"]]))
    >>> list(split.train), list(split.histories), list(split.targets)
    ([['a', 'b'], ['b']], [['a', 'b']], [['c']])
    """
    if n < 1:
        raise InputError(f"n is {n}; expected at least 1 item to hold back")
    asked = sentences.lengths > n
    from_end = np.repeat(sentences.offsets[1:], sentences.lengths) - 1 - np.arange(len(sentences.tokens))
    held_back = (from_end < n) & np.repeat(asked, sentences.lengths)
    train = sentences.keep(~held_back)
    return Split(
        train=train,
        histories=train.take(asked),
        targets=sentences.keep(held_back).take(asked),
        protocol=f"leave-last-{n}-out",
    )
