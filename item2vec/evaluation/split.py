"""A split of the data: a training part, and test queries with known targets."""

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
    """A training part (``train``), and queries: histories with known targets.

    Sentence ``i`` of ``histories`` is query ``i``, with weights and timestamps if there are any; sentence
    ``i`` of ``targets`` holds the items that the user interacted with next.

    Parameters
    ----------
    protocol
        A description of the split for tables: ``"leave-last-1-out"``.
    users
        The user of each query (int64). Queries of one user are not independent, so intervals resample users.
        ``None``: every query has its own user.
    filter_seen
        Whether recommendations exclude the items of the history.
    seen
        Further items that recommendations exclude, one sentence per query: for example
        viewed items, if a history holds purchases only. ``None``: the history alone.
    spans
        First and last timestamp of each part, as ISO text: ``{"train": (…, …), "test": (…, …)}``; empty
        without timestamps.
    dropped
        What the split omits, and how much of it: ``{"sentences too short for a query": 12}``.
    leak
        Why this protocol makes metrics too high, and the protocol to use instead; ``None`` if it does not.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b"]])
    >>> Split(playlists, playlists, Sentences.of([["c"]]), "by hand")
    Split(by hand: 1 queries, 1 targets, trained on 2 tokens of 2 items)
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
            raise InputError(
                f"found {n} histories and {len(self.targets)} targets; expected one sentence of targets per "
                "history"
            )
        if self.users is not None:
            object.__setattr__(self, "users", read_only(self.users, np.int64))
            if len(self.users) != n:
                raise InputError(f"found {len(self.users)} users for {n} queries; expected one per query")
        if self.seen is not None and len(self.seen) != n:
            raise InputError(
                f"found {len(self.seen)} sentences of seen items for {n} queries; expected one per query"
            )

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        parts = [
            f"{len(self):,} queries, {len(self.targets.tokens):,} targets, trained on "
            f"{len(self.train.tokens):,} tokens of {np.count_nonzero(self.train.counts()):,} items"
        ]
        parts += [f"{name} {first} to {last}" for name, (first, last) in self.spans.items()]
        parts += [f"dropped {n:,} {what}" for what, n in self.dropped.items() if n]
        return f"Split({self.protocol}: {'; '.join(parts)})"

    def fingerprints(self) -> dict[str, str]:
        """Return a SHA-256 of each part of the queries: histories, targets and users.

        The training part is not included: models of different training parts can be compared.

        >>> a, b = Sentences.of([["a"]]), Sentences.of([["b"]])
        >>> first, second = (Split(a, a, targets, "by hand").fingerprints() for targets in (a, b))
        >>> [part for part in first if first[part] != second[part]]
        ['targets']
        """
        users = np.arange(len(self)) if self.users is None else self.users
        return {
            "histories": self.histories.fingerprint(),
            "targets": self.targets.fingerprint(),
            "users": hashlib.sha256(users.astype("<i8").tobytes()).hexdigest(),
        }

    def cold_users(self) -> Mask:
        """Return, for each query, whether no item of its history is in the training part."""
        return ~self._any_trained(self.histories)

    def cold_items(self) -> Mask:
        """Return, for each query, whether none of its targets is in the training part."""
        return ~self._any_trained(self.targets)

    def _any_trained(self, sentences: Sentences) -> Mask:
        codes = self.train.vocabulary.encode(sentences.vocabulary.ids)
        trained = np.append(self.train.counts() > 0, False)[codes]
        owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
        return np.bincount(owners, trained[sentences.tokens], minlength=len(sentences)) > 0

    def as_sentences(self, most: int = 2000) -> Sentences:
        """Return evenly spaced queries, ``most`` at the most, as validation for ``train``.

        Each sentence is a history followed by its first target.

        >>> history = Sentences.of([["a"]])
        >>> Split(history, history, Sentences.of([["b", "c"]]), "by hand").as_sentences()[0]
        ['a', 'b']
        """
        queries = np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.intp)
        return Sentences.of([[*self.histories[query], self.targets[query][0]] for query in queries.tolist()])

    def take(self, queries: Mask | Rows) -> Split:
        """Return the same split with only these queries (a mask or positions)."""
        return dataclasses.replace(
            self,
            histories=self.histories.take(queries),
            targets=self.targets.take(queries),
            users=None if self.users is None else self.users[queries],
            seen=None if self.seen is None else self.seen.take(queries),
        )
