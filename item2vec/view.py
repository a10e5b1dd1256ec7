"""``View``: the queries of an engine, answered by one model version and one catalogue."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Unpack, overload

import numpy as np

from item2vec.answers import Answers
from item2vec.arguments import checked
from item2vec.arrays import Codes, Floats
from item2vec.catalogue import Catalogue
from item2vec.config import AdapterConfig
from item2vec.durations import EARLIEST, EPOCH, microseconds_of, seconds_of
from item2vec.errors import InputError, InputTypeError, StoreError
from item2vec.geometry import Method
from item2vec.items import Items
from item2vec.periods import Moment, Period, SimilarUser, Taste, most_similar
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments, is_per_history
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import shape_histories
from item2vec.store import History, Store, latest_plausible
from item2vec.store.recommendations import last_user, users_of
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_k

__all__ = ["View"]

USERS_PER_BLOCK = 1_000

logger = logging.getLogger(__name__)


@checked
@dataclass(frozen=True, eq=False)
class View:
    """A model version and a catalogue, which answer any number of queries. Immutable.

    ``Engine.view`` returns the current view. All results of a view come from the same model and the same
    catalogue, even while another version is published. A query reads users, histories and impressions from
    the store at the time of the query. A query with ``log=True`` also records impressions; no query writes
    anything else.

    Parameters
    ----------
    model
        The model of the version; if there is a store, with rows for the new items of the catalogue, and masks
        of its active items (see ``Preparation``).
    version
        The id of the version; ``None`` for a single bundle.
    catalogue
        The items of the store with their active flags; if there is no store, the items of the model.
    store
        The store of the users' histories. If it is ``None``, the queries of users raise ``InputError``.
    created_at
        The time of the version's creation; ``None`` if it is unknown.
    """

    model: Recommender
    version: str | None
    catalogue: Catalogue
    store: Store | None
    created_at: datetime | None = None

    @property
    def items(self) -> Items | None:
        """The items of the catalogue, completed by those of the model; see ``Items.completed``.

        The result is ``None`` if no item has a title or an attribute.
        """
        items = self.model.described_items or self.catalogue.items
        return items if items.is_described else None

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Iterable[str] | None = None,
        weights: Iterable[float] | None = None,
        timestamps: Iterable[Any] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        log: bool = False,
        exclude_shown: str | float | timedelta | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a user or a history, best first; see ``Engine.recommend``."""
        if (user is None) == (history is None):
            arguments = "neither a user nor" if user is None else "a user and"
            raise InputTypeError(f"got {arguments} a history; expected one of the two")
        if history is not None:
            if log or exclude_shown is not None:
                raise InputTypeError("log and exclude_shown require a user; got a history")
            own: dict[str, Any] = {"weights": weights, "timestamps": timestamps}
            return self.model.recommend(history, k=k, filter_seen=filter_seen, **own, **rules)
        if weights is not None or timestamps is not None:
            raise InputTypeError("got weights or timestamps for a user; expected them with history= only")
        if (excluded := rules.get("exclude")) is not None:
            rules["exclude"] = [as_history(excluded, "exclude")]
        if (disliked := rules.get("disliked")) is not None:
            rules["disliked"] = [as_history(disliked, "disliked")]
        shown: dict[str, Any] = {"log": log, "exclude_shown": exclude_shown}
        answers: list[list[Recommendation]]
        answers = self.recommend_many([str(user)], k=k, filter_seen=filter_seen, **shown, **rules)
        return answers[0]

    @overload
    def recommend_many(
        self,
        users: Iterable[str],
        *,
        k: int = 10,
        as_arrays: Literal[False] = False,
        filter_seen: bool = True,
        log: bool = False,
        exclude_shown: str | float | timedelta | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[list[Recommendation]]: ...
    @overload
    def recommend_many(
        self, users: Iterable[str], *, as_arrays: Literal[True], **arguments: Any
    ) -> Answers: ...
    def recommend_many(  # type: ignore[misc]
        self,
        users: Iterable[str],
        *,
        k: int = 10,
        as_arrays: bool = False,
        filter_seen: bool = True,
        log: bool = False,
        exclude_shown: str | float | timedelta | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[list[Recommendation]] | Answers:
        """Return the recommendations of each user; see ``Engine.recommend_many``."""
        check_k(k)
        names = as_history(users, "users")
        histories, seen = self.histories(names)
        if filter_seen:
            rules["exclude"] = _merged(rules.get("exclude"), seen)
            # With seen_events, only the items of these events are excluded, not the whole history.
            filter_seen = self.model.adapter.seen_events is None
        if exclude_shown is not None:
            age = timedelta(seconds=seconds_of(exclude_shown, "exclude_shown"))
            rules["exclude"] = _merged(rules.get("exclude"), self._shown(names, age))
        request: dict[str, Any] = {"k": k, "filter_seen": filter_seen, **rules}
        answers: list[list[Recommendation]] | Answers
        if as_arrays:
            arrays: Answers = self.model.recommend_many(histories, as_arrays=True, **request)
            answers = replace(arrays, users=tuple(names))
        else:
            answers = self.model.recommend_many(histories, **request)
        if log:
            self._record(names, [answers[number] for number in range(len(names))])
        return answers

    def similar_items(
        self, item: str, *, k: int = 10, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return the ``k`` active items most similar to ``item``; see ``Recommender.similar_items``."""
        return self.model.similar_items(item, k=k, **rules)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        method: Method = "3cosadd",
        k: int = 10,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` active items nearest to an analogy; see ``Recommender.analogy``."""
        return self.model.analogy(positive=positive, negative=negative, method=method, k=k, **rules)

    def radio(
        self,
        seed: str | Iterable[str],
        n: int | None = None,
        *,
        k: int | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return ``k`` active items that continue a playlist; see ``Recommender.radio``."""
        return self.model.radio(seed, n, k=k, **rules)

    def explain(self, user: str, item: str, **rules: Unpack[RuleArguments]) -> list[Share]:
        """Return the contribution of each history item to the score of ``item``; see ``Engine.explain``."""
        return self.explanations(user, [item], **rules)[0]

    def explanations(
        self, user: str, items: Iterable[str], **rules: Unpack[RuleArguments]
    ) -> list[list[Share]]:
        """Return the result of ``explain`` for each item; the user's history is read once."""
        history, _ = self.histories([user])
        timestamps = None if history.timestamps is None else history.timestamps.view("datetime64[us]")
        own: dict[str, Any] = {"weights": history.weights, "timestamps": timestamps, **rules}
        return [self.model.explain(history[0], item, **own) for item in items]

    def history(self, user: str) -> list[str]:
        """Return the history that the model reads: disliked items, then the others, both oldest first."""
        return list(self.histories([user])[0][0])

    def taste(self, user: str, *, since: Moment = None, until: Moment = None) -> Taste:
        """Return the taste of a user in the period ``since <= time < until``; see ``Engine.taste``."""
        return self._taste_of(Period.of(since, until, datetime.now(UTC)), user)

    def similar_users(
        self, user: str, *, since: Moment = None, until: Moment = None, k: int = 10
    ) -> list[SimilarUser]:
        """Return the ``k`` other users with the most similar tastes; see ``Engine.similar_users``."""
        check_k(k)
        period = Period.of(since, until, datetime.now(UTC))
        return most_similar(self._taste_of(period, user), self._tastes_of(period), k)

    def _taste_of(self, period: Period, user: str) -> Taste:
        return Taste.of(user, self._histories_of(period, [user]), self.model, period)

    def _tastes_of(self, period: Period) -> Iterator[tuple[list[str], Floats]]:
        """Yield pairs: the ids of a block of users in the store; and the tastes of the users in a period."""
        assert self.store is not None, "_events raises an error without a store"
        for start in range(1, last_user(self.store) + 1, USERS_PER_BLOCK):
            users = list(users_of(self.store, (start, start + USERS_PER_BLOCK - 1)))
            yield users, self.model.tastes(self._histories_of(period, users))

    def _shown(self, users: Sequence[str], age: timedelta) -> list[list[str]]:
        assert self.store is not None, "histories raises an error without a store"
        now = datetime.now(UTC)
        return self.store.impressions.since(users, now - min(age, now - EPOCH))

    def _record(self, users: Sequence[str], answers: Sequence[Sequence[Recommendation]]) -> None:
        """Record the recommendations as impressions. If the store fails, a warning is logged."""
        assert self.store is not None, "histories raises an error without a store"
        items = [[one.item for one in answer] for answer in answers]
        try:
            self.store.impressions.record(users, items, version=self.version, now=datetime.now(UTC))
        except StoreError as error:
            logger.warning("the recommendations for %d users were not recorded: %s", len(users), error)

    def histories(self, users: Iterable[str]) -> tuple[Sentences, Sentences]:
        """Return a pair, with a sentence per user: the histories that the model reads; and the seen items.

        Events with implausible times in the future count only as seen; training excludes these events, too.
        If the system clock is behind the time of the version's creation, the time of creation is used as the
        current time, because training included the events up to this time.
        """
        events = self._events(users)
        adapter, items = self.model.adapter, self.catalogue.items
        seen = AdapterConfig(events=adapter.seen_events, group_by=adapter.group_by)
        return self._plausible(events).shaped(adapter, items), events.shaped(seen, items)

    def _histories_of(self, period: Period, users: Iterable[str]) -> Sentences:
        """Return, for each user, the history that the model reads from the events of a period."""
        since = None if period.start is None else EPOCH + timedelta(microseconds=max(period.start, EARLIEST))
        events = self._plausible(self._events(users, since)).between(period.start, period.end)
        return events.shaped(self.model.adapter, self.catalogue.items)

    def _events(self, users: Iterable[str], since: datetime | None = None) -> _Events:
        user_ids = as_history(users, "users")
        if self.store is None:
            raise InputError(
                "the engine has no store, so it cannot read the histories of users; open the engine with a "
                "store or, for recommendations, pass a history instead of a user"
            )
        return _Events.of(self.store.histories(user_ids, since=since))

    def _plausible(self, events: _Events) -> _Events:
        if events.sentences.timestamps is None:
            return events
        now = datetime.now(UTC)
        now = now if self.created_at is None else max(now, self.created_at)
        return events.between(None, microseconds_of(latest_plausible(now)))


class _Events(NamedTuple):
    """The events of several users: a sentence per user, the event code of each token, and the event names."""

    sentences: Sentences
    codes: Codes
    names: Vocabulary

    @classmethod
    def of(cls, histories: Sequence[History]) -> _Events:
        items = [item for history in histories for item in history.items]
        names = [event for history in histories for event in history.events]
        vocabulary, events = Vocabulary.of(items), Vocabulary.of(names)
        timestamps = [history.timestamps for history in histories if history.timestamps is not None]
        dated = len(timestamps) == len(histories)
        sentences = Sentences(
            vocabulary,
            vocabulary.encode(items),
            offsets_of([len(history) for history in histories]),
            np.concatenate([np.empty(0, np.float32), *(history.weights for history in histories)]),
            np.concatenate([np.empty(0, np.int64), *timestamps]) if dated else None,
        )
        return cls(sentences, events.encode(names), events)

    def between(self, start: int | None, end: int | None) -> _Events:
        """Return the events with ``start <= timestamp < end``; a bound of ``None`` is not applied."""
        if start is None and end is None:
            return self
        if (timestamps := self.sentences.timestamps) is None:
            raise InputError(
                "the events in the store have no timestamps; a period requires them: omit since and until"
            )
        kept = np.ones(len(timestamps), dtype=bool)
        if start is not None:
            kept &= timestamps >= start
        if end is not None:
            kept &= timestamps < end
        return _Events(self.sentences.keep(kept), self.codes[kept], self.names)

    def shaped(self, adapter: AdapterConfig, items: Items) -> Sentences:
        return shape_histories(self.sentences, self.codes, self.names, adapter, items)


def _merged(exclude: Iterable[Any] | None, seen: Collection[Sequence[str]]) -> list[list[str]]:
    """Return, for each user, the ids of ``exclude`` followed by those of ``seen``.

    ``exclude`` holds ids for all users, or a list of ids per user.
    """
    given = [] if exclude is None else as_history(exclude, "exclude")
    excluded = [
        as_history(own, "exclude") for own in (given if is_per_history(given) else [given] * len(seen))
    ]
    if len(excluded) != len(seen):
        raise InputError(
            f"exclude has {len(excluded)} lists for {len(seen)} users; expected one list per user, or one "
            "list of ids"
        )
    return [[*items, *seen_items] for items, seen_items in zip(excluded, seen, strict=True)]
