"""Recommendations by user id, from the published model and the SQL store."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from os import PathLike
from types import TracebackType
from typing import Any, Unpack

import numpy as np

from item2vec.arrays import Codes
from item2vec.catalogue import Catalogue, Eligible
from item2vec.config import AdapterConfig
from item2vec.durations import microseconds_of
from item2vec.errors import InputError, InputTypeError, StoreError
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import shape_histories
from item2vec.store import History, Store, latest_plausible
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_k
from item2vec.versions.live import Live

__all__ = ["Engine"]

log = logging.getLogger(__name__)


class Engine:
    """Recommendations for users, computed from the published model and the histories in the SQL store.

    When another version is published, it is loaded in the background; see ``Live``. Requests do not wait
    meanwhile, and each request uses a single version. If the new version cannot be loaded, the old one
    remains in use.

    The catalogue (active flags and attributes of the items) is cached in memory. A change made through
    ``store`` takes effect immediately, and a change by another process after at most ``reload_every``
    seconds. The first request after a change reads the changed rows. Instances may be shared between threads,
    and used in forked processes.

    Parameters
    ----------
    models
        A models folder, whose newly published versions are loaded, or a single bundle, which is loaded once.
    store
        URL of the SQL store.
    reload_every
        Seconds between two checks of the models folder, and of the catalogue in the store. If ``None``, they
        are checked only by ``refresh``.

    Raises
    ------
    BundleNotFoundError
        If no model is published in the folder.
    CorruptBundleError
        If the served version is damaged.
    SchemaError
        If the schema revision of the store is not the one that this version of item2vec requires.

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
        self._catalogue_cache = _CatalogueCache(self.store, every=reload_every)
        self._eligible: Eligible | None = None

    @property
    def model(self) -> Recommender:
        """The model in use. To make several calls on the same model, read this property once."""
        return self._live.model

    @property
    def version(self) -> str | None:
        """The id of the version in use; ``None`` for a single bundle."""
        version = self._live.version
        return None if version is None else version.id

    @property
    def catalogue(self) -> Catalogue:
        """The items of the store, with their attributes and active flags, at the current revision."""
        return self._catalogue_cache.catalogue

    def status(self) -> dict[str, Any]:
        """Return the version in use and the error of the last failed reload, as JSON values.

        The keys are ``version`` and ``generation``, which are ``None`` for a single bundle; ``loaded_at``;
        and ``failure``, which is ``None``, or a dict with the keys ``text`` and ``since``.
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
        filter_seen: bool = True,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a user, best first; fewer only if fewer are eligible.

        If the user has no history, or no item of it is in the model, the most popular items are returned,
        with ``source="popular"``. Inactive items are never returned.

        Parameters
        ----------
        user
            The id of a user. The user's events in the store become a history by the model's adapter settings.
        history
            Item ids, oldest first, in place of ``user``: for a visitor without a user id.
        k
            The number of items.
        filter_seen
            Exclude seen items: those of a user's events that the model's ``seen_events`` setting lists, by
            default all of them, and those of a visitor's ``history``.
        rules
            As in ``Recommender.recommend``. The attributes are those of the items in the store, or of the
            model's items if the store has no attributes: ``where={"genre": ["jazz", "soul"], "year": {">=":
            1990}}``; see ``item2vec.conditions``.

        Raises
        ------
        InputError
            If no item has an attribute named in ``where``.
        InputTypeError
            If both or neither of ``user`` and ``history`` are specified, an argument is unknown, or a value
            in ``where`` cannot be compared with the values of its attribute.
        """
        if (user is None) == (history is None):
            arguments = "neither a user nor" if user is None else "a user and"
            raise InputTypeError(f"got {arguments} a history; expected one of the two")
        if user is None:
            return self._serving().recommend(history or [], k=k, filter_seen=filter_seen, **rules)
        if rules.get("exclude") is not None:
            rules["exclude"] = [rules["exclude"]]
        return self.recommend_many([user], k=k, filter_seen=filter_seen, **rules)[0]

    def recommend_many(
        self,
        users: Iterable[str],
        *,
        k: int = 10,
        filter_seen: bool = True,
        **rules: Unpack[RuleArguments],
    ) -> list[list[Recommendation]]:
        """Return the recommendations of each user, as ``recommend`` does, in one faster batch.

        All users are served by the same model and catalogue. ``exclude`` holds a list of items per user, and
        ``disliked`` may do so; the other rules apply to all users.
        """
        check_k(k)
        model = self._serving()
        histories, seen = self._histories(users, model)
        if filter_seen:
            rules["exclude"] = _merge_excluded(rules.get("exclude"), seen)
            # With seen_events, the other items of the history stay eligible.
            filter_seen = model.adapter.seen_events is None
        return model.recommend_many(histories, k=k, filter_seen=filter_seen, **rules)

    def similar_items(
        self, item: str, *, k: int = 10, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return the ``k`` active items most similar to ``item``; see ``Recommender.similar_items``."""
        return self._serving().similar_items(item, k=k, **rules)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        k: int = 10,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` active items nearest to an analogy; see ``Recommender.analogy``."""
        return self._serving().analogy(positive=positive, negative=negative, k=k, **rules)

    def radio(
        self, seed: str | Iterable[str], n: int = 10, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return ``n`` active items that continue a playlist; see ``Recommender.radio``."""
        return self._serving().radio(seed, n, **rules)

    def explain(self, user: str, item: str, **rules: Unpack[RuleArguments]) -> list[Share]:
        """Return the contribution of each history item to the score of ``item``, in descending order.

        The history is that of the user, including inactive items. See ``Recommender.explain``.
        """
        model = self._serving()
        history, _ = self._histories([user], model)
        timestamps = None if history.timestamps is None else history.timestamps.view("datetime64[us]")
        return model.explain(history[0], item, weights=history.weights, timestamps=timestamps, **rules)

    def refresh(self) -> None:
        """Load a newly published version and changes of the catalogue now."""
        self._live.check()
        self._catalogue_cache.refresh()

    def _serving(self) -> Recommender:
        """Return the model with the attributes and active flags of the store."""
        model, catalogue, eligible = self.model, self._catalogue_cache.catalogue, self._eligible
        if eligible is None or not eligible.is_of(catalogue, model.vocabulary, model.items):
            self._eligible = eligible = Eligible(
                catalogue, model.vocabulary, attributes=model.items, before=eligible
            )
        return model.with_catalogue(eligible)

    def _histories(self, users: Iterable[str], model: Recommender) -> tuple[Sentences, Sentences]:
        """Return, for each user, the history that the model reads and the items that count as seen.

        Events with implausible times in the future count as seen only. Training excludes them as well.
        """
        user_ids = as_history(users, "users")
        sentences, codes, events = _sentences(self.store.histories(user_ids))
        adapter, items = model.adapter, self._catalogue_cache.catalogue.items
        seen = AdapterConfig(events=adapter.seen_events, group_by=adapter.group_by)
        counted = (sentences, codes)
        if sentences.timestamps is not None:
            plausible = sentences.timestamps < microseconds_of(latest_plausible(datetime.now(UTC)))
            sentences, codes = sentences.keep(plausible), codes[plausible]
        return (
            shape_histories(sentences, codes, events, adapter, items),
            shape_histories(*counted, events, seen, items),
        )

    def close(self) -> None:
        """Stop the background thread, and close the connections of the store."""
        self._live.close()
        self.store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _CatalogueCache:
    """A cache of the catalogue of a store. The first access after a change reads the changed rows."""

    def __init__(self, store: Store, *, every: float | None) -> None:
        self._store = store
        self._every = math.inf if every is None else every
        # A tuple, so that both values are replaced in one step.
        self._cached: tuple[object, Catalogue | None] = (None, None)
        self.refresh()

    @property
    def catalogue(self) -> Catalogue:
        """The current catalogue, or the last one read if the store is unavailable."""
        last_change, catalogue = self._cached
        if catalogue is None or last_change is not self._store.last_change:
            return self.refresh()
        if time.monotonic() >= self._next_check:
            try:
                return self.refresh()
            except StoreError as error:
                log.warning("still using %r: %s", catalogue, error)
        return catalogue

    def refresh(self) -> Catalogue:
        """Read the rows that have changed since the last refresh, and return the catalogue."""
        self._next_check = time.monotonic() + self._every
        last_change = self._store.last_change
        catalogue = self._store.catalogue(self._cached[1])
        self._cached = (last_change, catalogue)
        return catalogue


def _sentences(histories: Sequence[History]) -> tuple[Sentences, Codes, Vocabulary]:
    """Convert histories to sentences; also return the event code of each token, and the event vocabulary."""
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
    return sentences, events.encode(names), events


def _merge_excluded(exclude: Iterable[Iterable[str]] | None, seen: Sentences) -> list[list[str]]:
    """Return the union of excluded and seen items for each user."""
    excluded = [as_history(items, "exclude") for items in ([[]] * len(seen) if exclude is None else exclude)]
    if len(excluded) != len(seen):
        raise InputError(
            f"exclude has {len(excluded)} lists for {len(seen)} users; expected one list per user"
        )
    return [[*items, *seen_items] for items, seen_items in zip(excluded, seen, strict=True)]
