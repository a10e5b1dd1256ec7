"""A split: what a model may learn from, what it is asked, and what truly came next."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from item2vec.arrays import Mask, Offsets, Rows
from item2vec.errors import InputError
from item2vec.evaluation.deprecated import Renamed
from item2vec.interactions import read_only
from item2vec.sentences import Sentences

__all__ = ["Split"]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """What a model may learn from (``train``), and questions with known answers.

    Sentence ``i`` of ``histories`` is the query, with its weights and timestamps where there are any;
    sentence ``i`` of ``targets`` holds what truly came next.

    Parameters
    ----------
    protocol
        What was done, in words for a table: ``"leave-last-1-out"``.
    users
        Who asks question ``i`` (int64): questions of one user are not independent, and intervals resample
        users. ``None``: every question has an user of its own.
    filter_seen
        Whether the items of a history are to be left out of its answer.
    seen
        Further items that answers leave out with ``filter_seen``, one sentence per question, such as items
        that the user viewed where only purchases are a history. ``None``: the history alone.
    spans
        First and last timestamp of a part, as ISO text: ``{"train": (…, …), "asked": (…, …)}``; empty where
        there are no timestamps.
    dropped
        What was left out and how many of it: ``{"sentences too short to ask": 12}``.
    leak
        How the protocol itself flatters a model, and what to use instead; ``None`` if it does not.

    Examples
    --------
    >>> asked = Sentences.of([["a", "b"]])
    >>> Split(asked, asked, Sentences.of([["c"]]), "by hand")
    Split(by hand: 1 questions, 1 targets, trained on 2 tokens of 2 items)
    """

    train: Sentences
    histories: Sentences
    targets: Sentences
    protocol: str
    users: Offsets | None = None
    filter_seen: bool = True
    seen: Sentences | None = None
    spans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    leak: str | None = None

    askers = Renamed("users")

    def __post_init__(self) -> None:
        n = len(self.histories)
        if len(self.targets) != n:
            raise InputError(f"{n} histories and {len(self.targets)} targets; expected as many of each")
        if self.users is not None:
            object.__setattr__(self, "users", read_only(self.users, np.int64))
            if len(self.users) != n:
                raise InputError(f"{len(self.users)} users of {n} questions; expected one each")
        if self.seen is not None and len(self.seen) != n:
            raise InputError(f"{len(self.seen)} sentences of seen items for {n} questions; expected one each")

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        parts = [
            f"{len(self):,} questions, {len(self.targets.tokens):,} targets, trained on "
            f"{len(self.train.tokens):,} tokens of {np.count_nonzero(self.train.counts()):,} items"
        ]
        parts += [f"{name} {first} to {last}" for name, (first, last) in self.spans.items()]
        parts += [f"dropped {n:,} {what}" for what, n in self.dropped.items() if n]
        return f"Split({self.protocol}: {'; '.join(parts)})"

    def fingerprints(self) -> dict[str, str]:
        """Return a SHA-256 of each part of the questions: histories, targets, and who asks each.

        What the model learned from is no part of them: models of different training parts can be compared.

        >>> first, second = Sentences.of([["a"]]), Sentences.of([["b"]])
        >>> one, other = (Split(first, first, answer, "by hand").fingerprints() for answer in (first, second))
        >>> [part for part in one if one[part] != other[part]]
        ['targets']
        """
        users = np.arange(len(self)) if self.users is None else self.users
        return {
            "histories": self.histories.fingerprint(),
            "targets": self.targets.fingerprint(),
            "users": hashlib.sha256(users.astype("<i8").tobytes()).hexdigest(),
        }

    def cold_users(self) -> Mask:
        """Tell for each question whether no item of its history stands in the training part."""
        return ~self._any_trained(self.histories)

    def cold_items(self) -> Mask:
        """Tell for each question whether none of its targets stands in the training part."""
        return ~self._any_trained(self.targets)

    def _any_trained(self, sentences: Sentences) -> Mask:
        codes = self.train.vocabulary.encode(sentences.vocabulary.ids)
        trained = np.append(self.train.counts() > 0, False)[codes]
        owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
        return np.bincount(owners, trained[sentences.tokens], minlength=len(sentences)) > 0

    def as_sentences(self, most: int = 2000) -> Sentences:
        """Return some questions, evenly spread, as ``train`` takes validation: history, first target.

        >>> Split(one := Sentences.of([["a"]]), one, Sentences.of([["b", "c"]]), "by hand").as_sentences()[0]
        ['a', 'b']
        """
        places = np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.intp)
        return Sentences.of([[*self.histories[place], self.targets[place][0]] for place in places.tolist()])

    def take(self, questions: Mask | Rows) -> Split:
        """Return the same split with only these questions (a mask or positions)."""
        return dataclasses.replace(
            self,
            histories=self.histories.take(questions),
            targets=self.targets.take(questions),
            users=None if self.users is None else self.users[questions],
            seen=None if self.seen is None else self.seen.take(questions),
        )
