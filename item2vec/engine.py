"""Recommendations by user id, from the published model and the SQL store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Unpack, overload

import numpy.typing as npt

from item2vec.answers import Answers
from item2vec.arguments import checked
from item2vec.catalogue import Catalogue
from item2vec.catalogue_cache import CatalogueCache
from item2vec.conditions import Where
from item2vec.direction import Direction
from item2vec.errors import InputError
from item2vec.geometry import Method
from item2vec.items import Items
from item2vec.periods import Moment, SimilarUser, Taste
from item2vec.preparation import Preparation
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments
from item2vec.store import Ingested, Store
from item2vec.types import Recommendation, Share
from item2vec.versions.live import Live
from item2vec.view import View

__all__ = ["Engine"]


@checked
class Engine:
    """Recommendations for users, computed from the published model and the histories in the SQL store.

    After a publication or a rollback, the engine hot-reloads the served version in a background thread; see
    ``Live``. Meanwhile, the loaded version answers requests, and each request uses a single version. If the
    new version cannot be loaded, the old version remains in use.

    The catalogue (active flags and attributes of the items) is cached in memory. A change made through
    ``store`` takes effect at the next request, and a change by another process after at most ``reload_every``
    seconds. The first request after a change reads the changed rows. Instances may be shared between threads,
    and used in forked processes.

    Parameters
    ----------
    models
        A models folder, whose newly published versions are loaded, or a single bundle, which is loaded once.
    store
        URL of the SQL store. ``None``: requests by user id are errors; all items of the model are active.
    reload_every
        Seconds between two checks of the models folder, and of the catalogue in the store. If ``None``, only
        ``refresh`` checks for new versions. Changes of the catalogue by other processes are then read by
        ``refresh``, and together with the next change through ``store``.
    wait_for_new_items
        Whether the first request after new items appear in the store waits for their vectors, which can take
        seconds. If false, a background thread computes the vectors, and results omit the new items until
        then. The first request of an engine always waits.

    Raises
    ------
    BundleNotFoundError
        If no model is published in the folder.
    CorruptBundleError
        If the served version or the bundle is damaged or cannot be read, or the version fails a query.
    ConfigError
        If ``reload_every`` is not a positive number, or ``store`` is not a valid URL.
    MissingExtraError
        If ``store`` is the URL of a PostgreSQL database, and psycopg is not installed.
    SchemaError
        If the schema revision of the store differs from the one that this version of item2vec requires.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> listens = listens.take(listens.item < 300)  # fewer items, to save time
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
        store: str | None = "sqlite:///item2vec.db",
        reload_every: float | None = 2.0,
        wait_for_new_items: bool = True,
    ) -> None:
        self._store = None if store is None else Store(store)
        self._preparation = Preparation(self._store, wait=wait_for_new_items)
        self._live = Live(models, every=reload_every, prepare=self._preparation.ahead)
        self._catalogue_cache: CatalogueCache | None = None
        if self._store is not None:
            self._store.check_schema()
            self._catalogue_cache = CatalogueCache(self._store, every=reload_every)

    @property
    def model(self) -> Recommender:
        """The model in use, without the catalogue of the store.

        Calls on this model ignore the active flags and the new items of the store; ``view().model`` applies
        them. For several calls on the same model, read this property once.
        """
        return self._live.model

    @property
    def version(self) -> str | None:
        """The id of the version in use; ``None`` for a single bundle."""
        version = self._live.version
        return None if version is None else version.id

    @property
    def store(self) -> Store:
        """The store; ``InputError`` is raised if the engine has no store."""
        if self._store is None:
            raise InputError(
                "the engine has no store; pass store= to Engine, or start the service with item2vec serve "
                "--store URL"
            )
        return self._store

    @property
    def catalogue(self) -> Catalogue:
        """The items of the store (or of the model, without a store), with attributes and active flags."""
        return self.view().catalogue

    def status(self) -> dict[str, Any]:
        """Return the version in use, and the error of the last load if the load failed, as JSON values.

        The keys are ``version``, ``generation``, ``loaded_at`` and ``failure``. ``version`` and
        ``generation`` are ``None`` for a single bundle. ``failure`` is ``None`` if the last load succeeded;
        otherwise, it is a dict with the keys ``text`` (the error) and ``since`` (its first occurrence).
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
        weights: Iterable[float] | None = None,
        timestamps: Iterable[Any] | None = None,
        k: int = 10,
        filter_seen: bool = True,
        log: bool = False,
        exclude_shown: str | float | timedelta | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` items with the highest scores for a user, best first.

        The result has fewer items only if fewer are eligible, or ``at_most`` admits fewer. If the history has
        no user vector, for example because the model contains none of its items, the most popular eligible
        items are returned, with ``source="popular"``. Inactive items are never returned.

        Parameters
        ----------
        user
            The id of a user. The adapter settings of the model convert the user's events in the store to a
            history. The history of an unknown user is empty.
        history
            Item ids, oldest first, in place of ``user``: for a visitor without a user id.
        weights, timestamps
            Weight and timestamp of each item of ``history``, as in ``Recommender.recommend``.
        k
            The maximum number of items to return.
        filter_seen
            Whether to exclude seen items. A user has seen the items of all events, or of the events that
            ``seen_events`` in the adapter settings of the model lists. A visitor has seen the items of
            ``history``.
        log
            Whether to record the returned items in the store, as impressions of the user. One transaction
            records the items after the result is computed. If the store cannot be written, a warning is
            logged, and the result is still returned.
        exclude_shown
            A duration such as ``"7d"``, a number of seconds, or a ``timedelta``: items that were shown to the
            user within this time before now are excluded. Items that were returned with ``log=True``
            count as shown. ``None``: shown items are not excluded.
        rules
            As in ``Recommender.recommend``, such as ``where={"genre": ["jazz", "soul"]}``. Attributes are
            read from the store, or from the model if the store has none.

        Raises
        ------
        InputError
            If no item has an attribute that a rule names, a number is out of range, ``weights`` or
            ``timestamps`` do not fit ``history``, or ``user`` is passed to an engine without a store.
        InputTypeError
            If both or neither of ``user`` and ``history`` are passed, ``log`` or ``exclude_shown`` is passed
            with ``history``, ``weights`` or ``timestamps`` is passed with ``user``, an argument is unknown or
            has the wrong type, or a value in ``where`` cannot be compared with the values of its attribute.
        ConfigError
            If ``exclude_shown`` is not a duration above 0 and below 1e12 seconds.
        StoreError
            If the store cannot be read.
        """
        own: dict[str, Any] = {"history": history, "weights": weights, "timestamps": timestamps}
        own |= {"log": log, "exclude_shown": exclude_shown}
        return self.view().recommend(user, **own, k=k, filter_seen=filter_seen, **rules)

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
        """Return the recommendations for each user, as in ``recommend``, computed in one batch.

        All users are served by the same model and catalogue. Each of ``exclude`` and ``disliked`` holds item
        ids for all users, or a list of item ids per user. The other rules apply to all users. The result is a
        list of recommendations per user or, with ``as_arrays``, an ``Answers`` with the user ids.
        """
        shown: dict[str, Any] = {"log": log, "exclude_shown": exclude_shown, "as_arrays": as_arrays}
        answers: list[list[Recommendation]] | Answers
        answers = self.view().recommend_many(users, k=k, filter_seen=filter_seen, **shown, **rules)
        return answers

    def similar_items(
        self, item: str, *, k: int = 10, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return the ``k`` active items most similar to ``item``; see ``Recommender.similar_items``."""
        return self.view().similar_items(item, k=k, **rules)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        method: Method = "3cosadd",
        k: int = 10,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` active items that best complete an analogy; see ``Recommender.analogy``."""
        return self.view().analogy(positive=positive, negative=negative, method=method, k=k, **rules)

    def nearest(
        self, vector: npt.ArrayLike, *, k: int = 10, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return the ``k`` active items nearest to an input vector; see ``Recommender.nearest``."""
        return self.view().model.nearest(vector, k=k, **rules)

    def direction(self, where_a: Where, where_b: Where) -> Direction:
        """Return the direction from the active items that meet ``where_a`` to those that meet ``where_b``.

        See ``Recommender.direction``.
        """
        return self.view().model.direction(where_a, where_b)

    def radio(
        self,
        seed: str | Iterable[str],
        n: int | None = None,
        *,
        k: int | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return ``k`` active items that continue a playlist; see ``Recommender.radio``."""
        return self.view().radio(seed, n, k=k, **rules)

    def explain(self, user: str, item: str, **rules: Unpack[RuleArguments]) -> list[Share]:
        """Return the contribution of each history item to the score of ``item``, in descending order.

        Inactive items of the user's history contribute as well. See ``Recommender.explain``.
        """
        return self.view().explain(user, item, **rules)

    def taste(self, user: str, *, since: Moment = None, until: Moment = None) -> Taste:
        """Return the taste (user embedding) of a user in the period ``since <= time < until``.

        The user's events of the period are converted to a history, as in ``recommend``. If ``since`` and
        ``until`` are ``None``, ``Taste.vector`` is exactly the user vector of ``recommend`` without rules.

        Parameters
        ----------
        user
            The id of a user.
        since, until
            A datetime or ISO 8601 text, in UTC if it has no time zone; or a duration before now: a
            ``timedelta``, or text such as "30d". ``None`` for no bound.

        Raises
        ------
        InputError
            If the user has no taste in the period, for example because the model contains no item that the
            user liked; if a bound is invalid, or ``since`` is not before ``until``; if a bound is passed, and
            the events in the store have no timestamps; or if the engine has no store.
        """
        return self.view().taste(user, since=since, until=until)

    def similar_users(
        self, user: str, *, since: Moment = None, until: Moment = None, k: int = 10
    ) -> list[SimilarUser]:
        """Return the ``k`` other users whose tastes have the highest cosine to a user's taste, best first.

        The call scans the histories of all users, in blocks of 1,000 users. All tastes are computed from the
        period ``since <= time < until``. Users without a taste in the period are omitted, so the result may
        be shorter. Ties are in the order of ingestion. The errors, and the arguments except ``k``, are those
        of ``taste``.
        """
        return self.view().similar_users(user, since=since, until=until, k=k)

    def refresh(self) -> None:
        """Check now for another served version and for changes to the catalogue, and load what has changed.

        If the version cannot be loaded, the old version remains in use, and ``status`` returns the failure.
        If the store cannot be read, ``StoreError`` is raised.
        """
        self._live.check()
        if self._catalogue_cache is not None:
            self._catalogue_cache.refresh()

    def view(self) -> View:
        """Return a view, whose queries all use the model and the catalogue that are current at this call."""
        served = self._live.served
        version = None if served.version is None else served.version.id
        return self.view_of(served.model, version, created_at=served.created_at)

    def view_of(self, model: Recommender, version: str | None, *, created_at: datetime | None = None) -> View:
        """Return a view of a model, such as an earlier version, with the current catalogue.

        ``version`` is the id of the version, and ``created_at`` its time of creation, if they are known.
        """
        cache = self._catalogue_cache
        if cache is None:
            items = Items.of({}) if model.items is None else model.items
            return View(model, version, Catalogue.of(items), None)
        catalogue = cache.catalogue
        prepared = self._preparation.of(model, catalogue, n_reads=cache.n_reads)
        return View(prepared, version, catalogue, self._store, created_at)

    def add_items(self, items: Items) -> Ingested:
        """Add items to the store, or update known items as ``Store.ingest_items`` does.

        If the model does not know an item, its vectors are computed as in ``Recommender.with_items``: from
        its attributes (``source="attributes"``) or, without a known attribute value, from the items beside
        its first interactions in the store (``source="model"``), if all of these were ingested after the
        model was created. If ``wait_for_new_items`` is true, the next result may already contain the item;
        otherwise, results may contain it as soon as a thread has computed its vectors. Items and interactions
        that another process adds have the same effect when the catalogue is next read. At most 20,000 unknown
        items with attributes and 1,000 without get vectors, the newest active ones first. If the model has
        the setting ``group_by``, no unknown item gets vectors. Without a store, ``InputError`` is raised.
        """
        return self.store.ingest_items(items)

    def close(self) -> None:
        """Stop the background thread, and close the connections of the store."""
        self._live.close()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
