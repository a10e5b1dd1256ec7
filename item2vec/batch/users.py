"""The users of ``recommend_all`` and their histories: in memory, in a sharded corpus, or in a store."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from item2vec.adapters.histories import user_histories
from item2vec.answers import Answers
from item2vec.arrays import Floats
from item2vec.config import AdapterConfig
from item2vec.errors import InputError
from item2vec.interactions import Interactions
from item2vec.preparation import Preparation
from item2vec.recommender import Recommender
from item2vec.rules import Rules, is_per_history
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.shaping import shape_histories
from item2vec.store import Store
from item2vec.store.recommendations import UserRange, count_users, last_user, users_of
from item2vec.types import as_history, as_texts, check_ids, check_k
from item2vec.view import View

__all__ = ["Listed", "Request", "Stored", "UserTastes", "Users", "answers_of", "digest_of", "users_in"]

UserTastes = tuple[Sequence[str], Floats]
"""User ids, and the user vector of each of these users (float32, n users × dimensions)."""


@dataclass(frozen=True)
class Request:
    """The arguments of ``recommend_many`` that apply to all users."""

    k: int
    filter_seen: bool
    rules: Mapping[str, Any]

    @classmethod
    def of(cls, k: int, filter_seen: bool, rules: Mapping[str, Any]) -> Request:
        """Return a request in which rules that are iterators have been read into lists.

        ``exclude`` becomes a part of ``deny``. Raise ``InputError`` if ``k`` is invalid, or ``exclude`` or
        ``disliked`` has a list per user, and ``InputTypeError`` if an id in one of them is not text.
        """
        read = {name: list(rule) if isinstance(rule, Iterator) else rule for name, rule in rules.items()}
        for name in ("exclude", "disliked"):
            ids = [] if read.get(name) is None else as_history(read[name], name)
            if is_per_history(ids):
                raise InputError(f"{name} has a list of ids per user; expected one list of ids for all users")
            as_texts(ids)
        if (excluded := read.pop("exclude", None)) is not None:
            denied = read.get("deny")
            read["deny"] = [*excluded, *(() if denied is None else as_history(denied, "deny"))]
        return cls(check_k(k), filter_seen, read)

    def described(self) -> dict[str, Any]:
        """Return the request as JSON values, with a digest of the rules. For errors, see ``Rules.of``."""
        rules: Any = dict(self.rules)
        digest = digest_of([_canonical(Rules.of(rules, many=True))])
        return {"k": self.k, "filter_seen": self.filter_seen, "rules": digest}


class Users(Protocol):
    """The histories of numbered users. In a store, the numbers are row numbers, which may have gaps."""

    @property
    def n_users(self) -> int:
        """The number of users."""

    def n_blocks(self, size: int) -> int:
        """Return the number of blocks of ``size`` user numbers; for a sharded corpus, of shards."""

    def parts(self, block: int, size: int) -> Iterator[Listed]:
        """Yield the users of a block with their histories, in one or several parts."""

    def described(self) -> dict[str, Any]:
        """Return JSON values that identify the users and their histories."""


@dataclass(frozen=True)
class Listed:
    """Histories in memory, in the order of ``users``.

    ``seen`` holds the items that each user has seen. If ``seen`` is ``None``, a user has seen the items of
    the history.
    """

    model: Recommender
    users: Sequence[str]
    histories: Sentences
    seen: Sentences | None = None

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    def n_blocks(self, size: int) -> int:
        """Return the number of blocks of ``size`` users."""
        return -(-len(self.users) // size)

    def parts(self, block: int, size: int) -> Iterator[Listed]:
        """Yield the users of a block."""
        yield self.part(slice(block * size, (block + 1) * size))

    def part(self, rows: slice) -> Listed:
        """Return the users at positions ``rows``."""
        seen = None if self.seen is None else self.seen[rows]
        return Listed(self.model, self.users[rows], self.histories[rows], seen)

    def answers(self, request: Request) -> Answers:
        """Return the recommendations for all these users."""
        rules, filter_seen = dict(request.rules), request.filter_seen
        if filter_seen and self.seen is not None:
            # If the model has seen_events, items of the history without such an event stay eligible.
            rules["exclude"], filter_seen = self.seen, self.model.adapter.seen_events is None
        answers = self.model.recommend_many(
            self.histories, k=request.k, as_arrays=True, filter_seen=filter_seen, **rules
        )
        return dataclasses.replace(answers, users=tuple(self.users))

    def tastes(self) -> UserTastes:
        """Return the users who have a user vector, and these vectors (see ``Recommender.tastes``)."""
        vectors = self.model.tastes(self.histories)
        known = np.flatnonzero(vectors.any(axis=1))
        return [self.users[row] for row in known.tolist()], vectors[known]

    def described(self) -> dict[str, Any]:
        """Return digests of the users and their histories."""
        return {"users": digest_of(self.users), "histories": self.histories.fingerprint()}


@dataclass(frozen=True)
class _Sharded:
    """Histories in a sharded corpus. A block is a shard, whose users are processed ``size`` at a time.

    A history consists of all sentences of a user, oldest item first, and is then shaped by the adapter
    settings of the model. ``users`` holds, for each shard, the user id of each sentence.
    """

    model: Recommender
    corpus: ShardedSentences
    users: Sequence[Sequence[str]]

    @classmethod
    def of(cls, model: Recommender, corpus: ShardedSentences) -> _Sharded:
        if corpus.users is None:
            raise InputError(
                f"{corpus!r} has no user ids; expected a corpus that prepare, adapters.save_shards or "
                "spark.prepare wrote"
            )
        return cls(model, corpus, corpus.users)

    @property
    def n_users(self) -> int:
        return sum(len(_starts_of_runs(users)) for users in self.users)

    def n_blocks(self, size: int) -> int:
        del size
        return len(self.users)

    def parts(self, block: int, size: int) -> Iterator[Listed]:
        users, shard = self.users[block], self.corpus.shards[block]
        starts = _starts_of_runs(users)
        # The sentences of a user are consecutive; together, they contain the items that the user has seen.
        seen = _oldest_first(dataclasses.replace(shard, offsets=shard.offsets[[*starts, len(users)]]))
        # The items of a corpus have already been replaced by groups.
        histories = shape_histories(seen, None, None, self.model.adapter.replace(group_by=None))
        further = seen if len(histories.tokens) < len(seen.tokens) else None
        listed = Listed(self.model, [users[start] for start in starts], histories, further)
        for start in range(0, len(starts) or 1, size):
            yield listed.part(slice(start, start + size))

    def described(self) -> dict[str, Any]:
        return {"corpus": self.corpus.fingerprint()}


@dataclass(frozen=True)
class Stored:
    """Histories of those users of a store who have a row number (``user_account.id``) of at most ``last``.

    A block consists of the users with row numbers in one range, so that some blocks may have no users.
    """

    view: View
    store: Store
    last: int

    @classmethod
    def of(cls, model: Recommender, store: Store, last: int | None = None) -> Stored:
        """Return the users up to row number ``last`` (default: all), with a view of the model and store.

        As in an ``Engine``, the model of the view has rows for the new items of the store.
        """
        catalogue = store.catalogue()
        serving = Preparation(store, wait=True).of(model, catalogue)
        return cls(View(serving, None, catalogue, store), store, last_user(store) if last is None else last)

    @property
    def n_users(self) -> int:
        """The number of users."""
        return count_users(self.store, self.last)

    def n_blocks(self, size: int) -> int:
        """Return the number of blocks of ``size`` row numbers."""
        return -(-self.last // size)

    def numbers(self, block: int, size: int) -> UserRange:
        """Return the range of row numbers of a block; the last block ends at ``last``."""
        return block * size + 1, min((block + 1) * size, self.last)

    def parts(self, block: int, size: int) -> Iterator[Listed]:
        """Yield the users of a block with their histories."""
        yield self._listed(users_of(self.store, self.numbers(block, size)))

    def answers_of(self, users: Iterable[str], request: Request) -> Answers:
        """Return the recommendations for these users."""
        return self._listed(users).answers(request)

    def _listed(self, users: Iterable[str]) -> Listed:
        names = list(users)
        histories, seen = self.view.histories(names)
        return Listed(self.view.model, names, histories, seen)

    def described(self) -> dict[str, Any]:
        """Return JSON values that identify the users: the store and the highest row number."""
        return {"store": repr(self.store), "last_user": self.last}


def answers_of(model: Recommender, interactions: Interactions, request: Request) -> Answers:
    """Return the recommendations for all users of these interactions, as ``recommend_all`` writes them."""
    return _listed(interactions, model).answers(request)


def users_in(
    histories: Interactions | Sentences | ShardedSentences | Mapping[str, Iterable[str]],
    model: Recommender,
    names: Sequence[str] | None,
) -> Users:
    """Return the users of histories in memory or in a corpus. ``names`` are the user ids of ``Sentences``."""
    if isinstance(histories, ShardedSentences):
        return _Sharded.of(model, histories)
    return _listed(histories, model, names)


def _listed(
    histories: Interactions | Sentences | Mapping[str, Iterable[str]],
    model: Recommender,
    users: Sequence[str] | None = None,
) -> Listed:
    if isinstance(histories, Interactions):
        adapter, items = model.adapter, model.items
        seen = AdapterConfig(events=adapter.seen_events, group_by=adapter.group_by)
        read = user_histories(histories, adapter, items)
        return Listed(model, histories.users.ids, read, user_histories(histories, seen, items))
    if isinstance(histories, Mapping):
        check_ids(ids := list(histories))
        return Listed(model, ids, Sentences.of(histories.values()))
    names = list(map(str, range(len(histories)))) if users is None else as_history(users, "users")
    check_ids(names)
    if len(set(names)) != len(names) or len(names) != len(histories):
        raise InputError(
            f"users has {len(names):,} ids, {len(set(names)):,} of them distinct, for {len(histories):,} "
            "histories; expected one distinct id per history"
        )
    return Listed(model, names, histories)


def _starts_of_runs(users: Sequence[str]) -> list[int]:
    """Return the position of the first sentence of each user; ``users`` holds the user of each sentence.

    >>> _starts_of_runs(["a", "a", "b"])
    [0, 2]
    """
    return [place for place in range(len(users)) if place == 0 or users[place] != users[place - 1]]


def _oldest_first(histories: Sentences) -> Sentences:
    """Return histories in order of time, if they have timestamps. Items of equal time keep their order.

    >>> visits = Sentences.of([["a", "b", "c"]])
    >>> list(_oldest_first(dataclasses.replace(visits, timestamps=np.array([0, 2, 1]))))
    [['a', 'c', 'b']]
    """
    times = histories.timestamps
    if times is None:
        return histories
    owner = np.repeat(np.arange(len(histories)), histories.lengths)
    if not bool(((times[1:] < times[:-1]) & (owner[1:] == owner[:-1])).any()):
        return histories
    return histories.regroup(np.lexsort((times, owner)), histories.offsets)


def _canonical(value: object) -> str:
    """Return a text that identifies a value. The order of sets, which varies by process, does not matter."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_canonical(part)}" for name, part in value.items()) + "}"
    if isinstance(value, frozenset | tuple | list):
        parts = [_canonical(part) for part in value]
        return f"({', '.join(sorted(parts) if isinstance(value, frozenset) else parts)})"
    return repr(value)


def digest_of(texts: Iterable[str]) -> str:
    """Return the SHA-256 of a sequence of texts in hexadecimal."""
    return hashlib.sha256("".join(f"{len(text.encode())}:{text}" for text in texts).encode()).hexdigest()
