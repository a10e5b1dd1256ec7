"""Split of the data into a training part and test queries with known targets."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from item2vec.arguments import check_fields, checked, checked_except
from item2vec.arrays import Mask, Offsets, Rows
from item2vec.deprecated import Renamed
from item2vec.errors import ConfigError, InputError
from item2vec.evaluation.targets import liked_counts
from item2vec.interactions import read_only
from item2vec.notebook import html_table
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.types import Vocabulary

__all__ = ["ColdTargets", "Split"]

ColdTargets = Literal["keep", "drop"]

_COLD_TARGETS = "targets that do not occur in the training part"
_COLD_QUERIES = "queries without a target that occurs in the training part"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A training part of the data, and queries, each with a history and known targets.

    Parameters
    ----------
    train
        Sentences of the training part.
    histories
        History of each query, with weights and timestamps if the data have them.
    targets
        Items that were held out for each query, and that a model should recommend, one sentence per query.
    protocol
        Name of the protocol for tables, such as ``"leave-last-1-out"``.
    users
        User number of each query (int64). Confidence intervals resample users, because the queries of one
        user are not independent. ``None``: every query belongs to a different user.
    user_ids
        Ids of the users: user number n has the id ``user_ids.ids[n]``. ``None`` if the ids are unknown.
    filter_seen
        Whether recommendations exclude the items of the history.
    seen
        Further items that recommendations exclude, one sentence per query: for example viewed items, if
        histories contain purchases only. ``None``: no further items.
    spans
        First and last timestamp of each part as ISO text: ``{"train": (…, …), "test": (…, …)}``. Empty if the
        data have no timestamps.
    dropped
        Numbers of omitted sentences, users, events, queries and targets by reason, such as
        ``{"sentences too short for a query": 12}``.
    leak
        Reason why the protocol makes metrics too high, and the protocol to use instead. ``None`` if the
        protocol has no known leak.

    Raises
    ------
    InputError
        If the histories, targets, users and seen items do not have one entry per query, or ``user_ids`` is
        passed without ``users`` or has no id for one of the user numbers.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b"]])
    >>> Split(playlists, playlists, Sentences.of([["c"]]), "by hand")
    Split(by hand: 1 queries, 1 targets, trained on 2 tokens of 2 items)
    """

    train: Sentences | ShardedSentences
    histories: Sentences
    targets: Sentences
    protocol: str
    users: Offsets | None = None
    filter_seen: bool = True
    seen: Sentences | None = None
    spans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    leak: str | None = None
    user_ids: Vocabulary | None = None

    askers = Renamed("users")

    def __post_init__(self) -> None:
        check_fields(self)
        n = len(self.histories)
        if len(self.targets) != n:
            raise InputError(
                f"found {n} histories and {len(self.targets)} sentences of targets; expected one sentence of "
                "targets per history"
            )
        if self.users is not None:
            object.__setattr__(self, "users", read_only(self.users, np.int64))
            if len(self.users) != n:
                raise InputError(f"found {len(self.users)} users for {n} queries; expected one per query")
        if self.user_ids is not None and _n_users(self.users) > len(self.user_ids):
            users = "no users" if self.users is None else f"user numbers up to {self.users.max()}"
            raise InputError(
                f"found {len(self.user_ids)} user_ids and {users}; expected users, with an id for each user"
            )
        if self.seen is not None and len(self.seen) != n:
            raise InputError(
                f"found {len(self.seen)} sentences of seen items for {n} queries; expected one per query"
            )

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        counts = liked_counts(self.train)
        parts = [
            f"{len(self):,} queries, {len(self.targets.tokens):,} targets, trained on "
            f"{counts.sum():,} tokens of {np.count_nonzero(counts):,} items"
        ]
        parts += [f"{name} {first} to {last}" for name, (first, last) in self.spans.items()]
        parts += [f"dropped {n:,} {what}" for what, n in self.dropped.items() if n]
        return f"Split({self.protocol}: {'; '.join(parts)})"

    def _repr_html_(self) -> str:
        counts = liked_counts(self.train)
        rows: list[tuple[str, object]] = [
            ("training sentences", len(self.train)),
            ("training tokens", int(counts.sum())),
            ("training items", int(np.count_nonzero(counts))),
            ("queries", len(self)),
            ("targets", len(self.targets.tokens)),
            ("cold users", int(self.cold_users().sum())),
            ("filter_seen", self.filter_seen),
        ]
        rows += [(name, f"{first} to {last}") for name, (first, last) in self.spans.items()]
        rows += [(f"dropped: {reason}", n) for reason, n in self.dropped.items() if n]
        rows += [("leak", self.leak)] if self.leak else []
        return html_table(f"Split: {self.protocol}", rows)

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 checksums of the histories, of the targets and of the users.

        The training part has no checksum, because models that were trained on different data can be compared.

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
        """Return a mask of the queries whose history contains no item with a liked training token."""
        return ~self._any_trained(self.histories)

    def cold_items(self) -> Mask:
        """Return a mask of the queries whose targets contain no item with a liked training token."""
        return ~self._any_trained(self.targets)

    def _any_trained(self, sentences: Sentences) -> Mask:
        owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
        return np.bincount(owners, self._trained(sentences), minlength=len(sentences)) > 0

    def _trained(self, sentences: Sentences) -> Mask:
        """Return a mask of the tokens whose item has a training token that is not a dislike."""
        codes = sentences.vocabulary.codes_in(self.train.vocabulary)
        trained: Mask = np.append(liked_counts(self.train) > 0, False)[codes][sentences.tokens]
        return trained

    @checked_except("min_history")
    def filtered(self, *, cold_targets: ColdTargets = "keep", min_history: int = 0) -> Split:
        """Return a copy without queries with short histories and, optionally, without cold targets.

        ``dropped`` of the copy also contains the numbers of the targets and queries that this method drops.

        Parameters
        ----------
        cold_targets
            Whether target items that do not occur in the training part are kept (``"keep"``) or dropped
            (``"drop"``). If they are kept, they are misses unless the model recommends them. If they are
            dropped, queries without other targets are dropped too.
        min_history
            Minimum number of items, without dislikes, in the history of a query; other queries are dropped.

        Raises
        ------
        ConfigError
            If a parameter is invalid.
        InputError
            If the split has queries, but the copy would have none.

        Examples
        --------
        >>> train = Sentences.of([["a", "b"], ["b"]])
        >>> split = Split(train, train, Sentences.of([["b", "new"], ["new"]]), "by hand")
        >>> for reason, n in split.filtered(cold_targets="drop").dropped.items():
        ...     print(n, reason)
        2 targets that do not occur in the training part
        1 queries without a target that occurs in the training part
        >>> list(split.filtered(min_history=2).histories)
        [['a', 'b']]
        """
        if cold_targets not in get_args(ColdTargets):
            raise ConfigError(f"cold_targets is {cold_targets!r}; expected 'keep' or 'drop'")
        if isinstance(min_history, bool) or not isinstance(min_history, int) or min_history < 0:
            raise ConfigError(f"min_history is {min_history!r}; expected an integer of at least 0")
        targets, dropped = self.targets, dict(self.dropped)
        is_short = self.histories.liked.lengths < min_history
        is_cold = np.zeros(len(self), dtype=bool)
        if cold_targets == "drop":
            trained = self._trained(targets)
            targets = targets.keep(trained)
            is_cold = targets.lengths == 0
            dropped[_COLD_TARGETS] = int((~trained).sum())
            dropped[_COLD_QUERIES] = int(is_cold.sum())
        too_short = int((is_short & ~is_cold).sum())
        dropped[f"queries with fewer than {min_history} items in the history"] = too_short
        kept = ~(is_short | is_cold)
        if len(self) and not kept.any():
            advice = ["use a lower min_history"] * (min_history > 0)
            advice += ["set cold_targets='keep'"] * (cold_targets == "drop")
            raise InputError(
                f"none of {len(self):,} queries is left with cold_targets={cold_targets!r} and "
                f"min_history={min_history}; expected at least one: {', or '.join(advice)}"
            )
        left = dataclasses.replace(self, targets=targets).take(kept)
        return dataclasses.replace(left, dropped={what: n for what, n in dropped.items() if n})

    @checked
    def as_sentences(self, most: int = 2000) -> Sentences:
        """Return at most ``most`` evenly spaced queries as validation sentences for ``item2vec.train``.

        Each sentence consists of the history of a query, followed by the first target of the query that is
        not of negative weight. Weights and timestamps of the histories are kept. A target has the weight 1
        if it has none, and the timestamp 0 if it has none.

        Raises
        ------
        InputError
            If one of these queries has no such target.

        Examples
        --------
        >>> history = Sentences.of([["a"]])
        >>> Split(history, history, Sentences.of([["b", "c"]]), "by hand").as_sentences()[0]
        ['a', 'b']
        """
        queries = np.linspace(0, len(self) - 1, min(max(most, 0), len(self))).astype(np.intp)
        histories, targets = self.histories.take(queries), self.targets.liked.take(queries)
        without = queries[targets.lengths == 0]
        if len(without):
            raise InputError(f"query {without[0]} has no target; expected at least one target per query")
        first = targets.regroup(targets.offsets[:-1], np.arange(len(queries) + 1))
        if histories.timestamps is not None and first.timestamps is None:
            first = dataclasses.replace(first, timestamps=np.zeros(len(queries), np.int64))
        n = len(histories.tokens)
        source = np.insert(np.arange(n), histories.offsets[1:], n + np.arange(len(queries)))
        return (histories + first).regroup(source, histories.offsets + np.arange(len(queries) + 1))

    @checked
    def take(self, queries: Mask | Rows) -> Split:
        """Return a split with the same training part, and the queries that a mask or positions select."""
        return dataclasses.replace(
            self,
            histories=self.histories.take(queries),
            targets=self.targets.take(queries),
            users=None if self.users is None else self.users[queries],
            seen=None if self.seen is None else self.seen.take(queries),
        )


def _n_users(users: Offsets | None) -> float:
    """Return the number of user ids that the user numbers require; infinite without user numbers."""
    return np.inf if users is None else float(users.max(initial=-1) + 1)
