"""A published model and the SQL store, joined: recommendations for a user by name."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Mask
from item2vec.catalogue import Catalogue, Eligible
from item2vec.config import AdapterConfig
from item2vec.errors import InputError, InputTypeError, StoreError
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import shape_histories
from item2vec.store import History, Store
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_k
from item2vec.versions.live import Live

__all__ = ["Engine"]

log = logging.getLogger(__name__)


class Engine:
    """Answers for users: their history from SQL, the published model, popularity where neither knows them.

    When another version is published, the engine takes it by itself, as ``Live`` does: no request fails or
    waits, each is answered by one version throughout, and if the new version cannot be loaded, the old one
    stays. Which items are active, and their attributes, are held in memory, as masks over the model's rows:
    what another process changes is known after ``reload_every`` seconds at the latest, what is changed
    through ``store`` at once. The request that notices a change reads it. Safe to share between threads, and
    with forked processes.

    Parameters
    ----------
    models
        A models folder, which is followed, or a single bundle, which is loaded once.
    store
        The SQL store's URL.
    reload_every
        Seconds between two looks at the models folder, and between two at the store's catalogue; with
        ``None``, both stay as they are until ``refresh``.

    Raises
    ------
    BundleNotFoundError
        If no model is published there.
    SchemaError
        If the store's schema is not this package's.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     _ = store.ingest(listens)
    >>> model = fit(adapters.histories(listens), vector_size=16, epochs=1)
    >>> version = publish(model, f"{folder}/models")
    >>> with Engine(models=f"{folder}/models", store=f"sqlite:///{folder}/item2vec.db") as engine:
    ...     best = engine.recommend(user="u42", k=3)
    ...     status = engine.status()
    >>> len(best), best[0].source
    (3, 'model')
    >>> status["version"] == version.id, status["generation"], status["failure"]
    (True, 1, None)
    """

    def __init__(
        self,
        *,
        models: str | PathLike[str] = "models",
        store: str = "sqlite:///item2vec.db",
        reload_every: float | None = 2.0,
    ) -> None:
        self._live = Live(models, every=reload_every)
        self.store = Store(store)
        self.store.check_schema()
        self._items = _FollowedCatalogue(self.store, every=reload_every)
        self._eligible: Eligible | None = None

    @property
    def model(self) -> Recommender:
        """The model that answers now; take it once where several answers must go together."""
        return self._live.model

    @property
    def version(self) -> str | None:
        """The id of the version that answers now; ``None`` for a bundle."""
        version = self._live.version
        return None if version is None else version.id

    def status(self) -> dict[str, Any]:
        """Return what is served and since when, and what keeps a newer version from being, as JSON values.

        ``version`` and ``generation`` are ``None`` for a bundle; ``failure`` is ``None``, or holds ``text``
        and ``since``.
        """
        served, failure = self._live.served, self._live.failure
        return {
            "version": served.version and served.version.id,
            "generation": served.version and served.version.generation,
            "loaded_at": served.loaded_at.isoformat(),
            "failure": failure and {"text": failure.text, "since": failure.since.isoformat()},
        }

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Iterable[str] | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a user, best first; exactly ``k`` if so many are eligible.

        A user without a history, or whose history the model does not know, gets the most popular items,
        marked ``source="popular"``. Inactive items are never returned.

        Parameters
        ----------
        user
            Whose events the store holds. They become a history as the model's adapter settings say.
        history
            Item ids, oldest first, of a visitor who has no user id; in place of ``user``.
        where
            Attributes that an item must have, such as ``{"genre": "jazz"}``; a list means any of its values.
        exclude, allow, deny
            As in ``Recommender.recommend``.
        filter_seen
            Leave out the items of the history, and those of the user's other events, as the model's
            ``seen_events`` say.

        Raises
        ------
        InputError
            If no item has an attribute that ``where`` names.
        InputTypeError
            If neither a user nor a history is given, or both.
        """
        if (user is None) == (history is None):
            found = "neither a user nor" if user is None else "a user and"
            raise InputTypeError(f"found {found} a history; expected one of the two")
        rules: dict[str, Any] = {"k": k, "allow": allow, "deny": deny, "filter_seen": filter_seen}
        if user is not None:
            return self.recommend_many([user], where=where, exclude=[exclude], **rules)[0]
        model, eligible = self._served(where)
        return model.recommend(history or [], exclude=exclude, eligible=eligible, **rules)

    def recommend_many(
        self,
        users: Iterable[str],
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[Iterable[str]] | None = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
    ) -> list[list[Recommendation]]:
        """Return for each user what ``recommend`` returns, by one model and one catalogue, and faster.

        ``exclude`` holds a list of items per user; the other rules apply to all of them.
        """
        check_k(k)
        model, eligible = self._served(where)
        histories, seen = self._histories(users, model)
        if filter_seen:
            exclude = _both(exclude, seen)
        return model.recommend_many(
            histories,
            k=k,
            exclude=exclude,
            allow=allow,
            deny=deny,
            filter_seen=filter_seen,
            eligible=eligible,
        )

    def similar_items(
        self, item: str, *, k: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Recommendation]:
        """Return the ``k`` active items nearest to one, best first, as ``Recommender.similar_items``."""
        return self.analogy(positive=[item], k=k, where=where)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        k: int = 10,
        where: Mapping[str, Any] | None = None,
    ) -> list[Recommendation]:
        """Return the ``k`` active items nearest to the positive minus the negative ones, best first."""
        model, eligible = self._served(where)
        return model.analogy(positive=positive, negative=negative, k=k, eligible=eligible)

    def explain(self, user: str, item: str) -> list[Share]:
        """Return what each item of a user's history contributes to the score of an item, largest share first.

        As ``Recommender.explain``. The history may hold items that are no longer active.
        """
        model = self.model
        history, _ = self._histories([user], model)
        timestamps = None if history.timestamps is None else history.timestamps.view("datetime64[us]")
        return model.explain(history[0], item, weights=history.weights, timestamps=timestamps)

    def refresh(self) -> None:
        """Look now whether another version is published, and read what has changed in the catalogue."""
        self._live.check()
        self._items.look()

    def _served(self, where: Mapping[str, Any] | None) -> tuple[Recommender, Mask | None]:
        """Return the model, and which of its rows may be recommended, as they belong together."""
        model, catalogue, eligible = self.model, self._items.catalogue, self._eligible
        if (
            eligible is None
            or eligible.catalogue is not catalogue
            or eligible.vocabulary is not model.vocabulary
        ):
            self._eligible = eligible = Eligible(catalogue, model.vocabulary, before=eligible)
        return model, eligible.mask(where)

    def _histories(self, users: Iterable[str], model: Recommender) -> tuple[Sentences, Sentences]:
        """Return for each user the history that the model reads, and the items that count as seen."""
        names = as_history(users, "users")
        every, event, events = _sentences(self.store.histories(names))
        adapter, items = model.adapter, self._items.catalogue.items
        seen = AdapterConfig(events=adapter.seen_events, group_by=adapter.group_by)
        return (
            shape_histories(every, event, events, adapter, items),
            shape_histories(every, event, events, seen, items),
        )

    def close(self) -> None:
        """Follow the models folder no longer, and close the store's connections."""
        self._live.close()
        self.store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _FollowedCatalogue:
    """The catalogue of a store, of which the next request after a change reads what is new."""

    def __init__(self, store: Store, *, every: float | None) -> None:
        self._store = store
        self._every = math.inf if every is None else every
        self._known: tuple[object, Catalogue | None] = (
            None,
            None,
        )  # one reference: threads swap both at once
        self.look()

    @property
    def catalogue(self) -> Catalogue:
        """The newest catalogue that is known; if the store cannot be read just now, the one before."""
        last_change, catalogue = self._known
        if catalogue is None or last_change is not self._store.last_change:
            return self.look()
        if time.monotonic() >= self._next_look:
            try:
                return self.look()
            except StoreError as error:
                log.warning("still answering from %r: %s", catalogue, error)
        return catalogue

    def look(self) -> Catalogue:
        """Read what has changed since the last look, and return the catalogue."""
        self._next_look = time.monotonic() + self._every
        last_change = self._store.last_change
        catalogue = self._store.catalogue(self._known[1])
        self._known = (last_change, catalogue)
        return catalogue


def _sentences(histories: Sequence[History]) -> tuple[Sentences, Codes, Vocabulary]:
    """Return all events of users as sentences; the event of each token, and the names of events."""
    items = [item for history in histories for item in history.items]
    names = [event for history in histories for event in history.events]
    vocabulary, events = Vocabulary.of(items), Vocabulary.of(names)
    every = Sentences(
        vocabulary,
        vocabulary.encode(items),
        offsets_of([len(history) for history in histories]),
        np.concatenate([np.empty(0, np.float32), *(history.weights for history in histories)]),
        np.concatenate([np.empty(0, np.int64), *(history.timestamps for history in histories)]),
    )
    return every, events.encode(names), events


def _both(exclude: Iterable[Iterable[str]] | None, seen: Sentences) -> list[list[str]]:
    """Return for each user the items of both."""
    own = [as_history(one, "exclude") for one in ([[]] * len(seen) if exclude is None else exclude)]
    if len(own) != len(seen):
        raise InputError(f"exclude has {len(own)} lists for {len(seen)} users; expected as many")
    return [[*one, *further] for one, further in zip(own, seen, strict=True)]
