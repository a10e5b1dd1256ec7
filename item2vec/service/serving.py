"""The engine of the service: it is opened in the background, and has fallbacks for a store that fails."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from item2vec.catalogue import Catalogue
from item2vec.catalogue_cache import CatalogueCache
from item2vec.engine import Engine
from item2vec.errors import BundleNotFoundError, InputError, Item2VecError, SchemaError, StoreError
from item2vec.files import refusing_unreadable
from item2vec.recommender import Recommender
from item2vec.rules import CHANGE_SCORES
from item2vec.service.explorer_data import Maps
from item2vec.service.item_search import ItemSearches
from item2vec.service.problems import WRONG_SCHEMA, Problem
from item2vec.store import Store
from item2vec.types import Recommendation
from item2vec.versions import load
from item2vec.versions.layout import find
from item2vec.versions.overview import Overview, overview
from item2vec.view import View

__all__ = ["Answered", "Serving"]

RETRY_SECONDS = 1.0
STORE_PAUSE_SECONDS = 1.0
STORE_WAIT_SECONDS = 1.0
STORE_THREADS = 8  # of Limits.threads (16); if the store does not respond, the others serve plain histories

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Answered:
    """Recommendations, and the view of the engine with which they were computed.

    ``degraded`` names the parts of the service that were unavailable. ``why`` maps the id of each item to the
    shares of its score (see ``types.Share``); it is empty if no explanations were computed.
    """

    view: View
    items: Sequence[Recommendation]
    degraded: tuple[str, ...] = ()
    why: Mapping[str, Any] = field(default_factory=dict)


class Serving:
    """An engine that is opened in the background, so that the process answers before a model is published.

    Parameters
    ----------
    models, store, reload_every
        Arguments of ``Engine``.
    """

    def __init__(self, models: str, store: str | None, *, reload_every: float = 2.0) -> None:
        self._arguments: dict[str, Any] = {
            "models": models,
            "store": store,
            "reload_every": reload_every,
            "wait_for_new_items": False,
        }
        self._engine: Engine | None = None
        self._store = None if store is None else Store(store)  # until a model is loaded
        self._catalogue: CatalogueCache | None = None  # of this store
        self._why_not_ready = "no model is loaded yet: the model is being loaded"
        self._failure = ""  # type and message of the error of the last attempt
        self._stopped = threading.Event()
        self._searches = ItemSearches()
        self.maps = Maps()
        self._store_paused_until = 0.0
        self._store_threads = threading.Semaphore(STORE_THREADS)
        self._thread = threading.Thread(target=self._open, name="item2vec-open", daemon=True)

    def start(self) -> None:
        """Open the engine in the background. After an error of any type, try again after one second."""
        self._thread.start()

    def close(self) -> None:
        """End the attempts to open the engine, and close the engine if it is open."""
        self._stopped.set()
        self._thread.join()
        if self._engine is not None:
            self._engine.close()
        if self._store is not None:
            self._store.close()

    @property
    def engine(self) -> Engine:
        """The engine. If no model is loaded yet, a ``Problem`` with status 503 is raised."""
        if self._engine is None:
            raise Problem(503, self._why_not_ready)
        return self._engine

    @property
    def store(self) -> Store:
        """The store, which needs no model.

        If the service has no store, ``InputError`` is raised; if the schema of the store is not the required
        one, ``SchemaError``.
        """
        if self._store is None:
            raise InputError("the service has no store; start it with item2vec serve --store URL")
        if self._engine is not None:
            return self._engine.store  # its schema was checked when the engine was opened
        self._store.check_schema()
        return self._store

    def listing(self) -> tuple[Catalogue, Recommender | None]:
        """Return the catalogue and the model; before a model is loaded, that of the store and ``None``.

        If there is neither a model nor a store, a ``Problem`` with status 503 is raised.
        """
        if self._engine is not None or self._store is None:
            view = self.engine.view()
            return view.catalogue, view.model
        cache = self._catalogue  # the thread that loads the model sets the attribute to None
        if cache is None:
            cache = self._catalogue = CatalogueCache(self.store, every=self._arguments["reload_every"])
        return cache.catalogue, None

    @property
    def is_ready(self) -> bool:
        """Whether a model is loaded, so that requests can be answered."""
        return self._engine is not None

    @property
    def has_store(self) -> bool:
        """Whether the service has a store with users and events."""
        return self._arguments["store"] is not None

    @property
    def degraded(self) -> list[str]:
        """The parts of the service that are unavailable.

        The list contains ``"store"`` for one second after the store could not be read, and ``"reload"`` if
        the new version could not be loaded. If no model is loaded yet, a ``Problem`` with status 503 is
        raised.
        """
        failed = ["reload"] if self.engine.status()["failure"] else []
        return (["store"] if time.monotonic() < self._store_paused_until else []) + failed

    def recommend(self, request: Mapping[str, Any], view: View | None = None) -> Answered:
        """Return recommendations for the fields of a request: ``user`` or ``history``, ``explain`` and rules.

        ``view`` is the current view by default. If the store fails, the recommendations for a user are the
        most popular items that the rules allow.
        """
        view = view or self.engine.view()
        rules = dict(request)
        user, history, explain = (rules.pop(name, None) for name in ("user", "history", "explain"))
        if user is None:
            return self._of_history(view, history, explain, rules)
        try:
            with self._reading_store():
                items = view.recommend(user, **rules)
                ids = [item.item for item in items] if explain else []
                why = view.explanations(user, ids, **_of_scores(rules)) if ids else []
                return Answered(view, items, (), dict(zip(ids, why, strict=True)))
        except StoreError as error:
            self._pause_store(error)
        return Answered(view, view.recommend(history=[], **rules), ("store",))

    def recommend_many(self, requests: Sequence[Mapping[str, Any]], view: View) -> list[Answered]:
        """Return recommendations for requests with equal rules, either all for users or all for histories.

        If there are several requests, histories must be lists of ids, and the results have no explanations.
        """
        if len(requests) == 1:
            return [self.recommend(requests[0], view)]
        own = {"user", "history", "explain"}
        rules = {name: value for name, value in requests[0].items() if name not in own}
        if "user" not in requests[0]:
            histories = [request["history"] for request in requests]
            return [Answered(view, items) for items in view.model.recommend_many(histories, **rules)]
        users = [request["user"] for request in requests]
        try:
            with self._reading_store():
                return [Answered(view, items) for items in view.recommend_many(users, **rules)]
        except StoreError as error:
            self._pause_store(error)
        return [self.recommend(request, view) for request in requests]

    @contextmanager
    def _reading_store(self) -> Iterator[None]:
        """Limit the number of threads that read the store in the block.

        Raise ``StoreError`` if the store has failed within the last second, or if the block has to wait for
        other threads for more than a second.
        """
        if time.monotonic() < self._store_paused_until:
            raise StoreError("the store has just failed")
        if not self._store_threads.acquire(timeout=STORE_WAIT_SECONDS):
            raise StoreError(f"{STORE_THREADS} other requests are reading the store, which is the limit")
        try:
            yield
        finally:
            self._store_threads.release()

    def _pause_store(self, error: StoreError) -> None:
        # For one second after a failure, requests do not read the store.
        if time.monotonic() >= self._store_paused_until:
            self._store_paused_until = time.monotonic() + STORE_PAUSE_SECONDS
            log.warning("users get the most popular items, because the store could not be read: %s", error)

    def _of_history(
        self, view: View, history: Sequence[Any], explain: bool | None, rules: dict[str, Any]
    ) -> Answered:
        tokens = [{"item": token} if isinstance(token, str) else token for token in history]
        ids = [token["item"] for token in tokens]
        columns: dict[str, Any] = {}
        if any(token.get("weight") is not None for token in tokens):
            columns["weights"] = [1.0 if token.get("weight") is None else token["weight"] for token in tokens]
        if any(token.get("timestamp") is not None for token in tokens):
            columns["timestamps"] = _timestamps(tokens)
        items = view.recommend(history=ids, **columns, **rules)
        own = columns | _of_scores(rules)
        why = {item.item: view.model.explain(ids, item.item, **own) for item in items} if explain else {}
        return Answered(view, items, (), why)

    def view_of(self, version: str) -> View:
        """Return a view of a version of the models folder, with the current catalogue.

        Raise a ``Problem`` with status 404 if there is no such version.
        """
        view = self.engine.view()
        if view.version == version:
            return view
        if version not in {row["id"] for row in self.versions()}:
            raise Problem(404, f"unknown version {version[:80]!r}; GET /v1/versions lists the known versions")
        return self.engine.view_of(_load(find(Path(self._arguments["models"]), version)), version)

    def versions(self) -> list[dict[str, Any]]:
        """Return the versions of the models folder as JSON values, newest first."""
        models = Path(self._arguments["models"])
        with refusing_unreadable():
            has_versions = (models / "versions").is_dir()
        rows = [_version(row) for row in overview(models)] if has_versions else []
        return rows[::-1]

    def runs(self, limit: int, *, id: int | None = None) -> list[dict[str, Any]]:  # noqa: A002 - as in Store
        """Return the latest ``limit`` nightly runs as JSON values, newest first; none without a store.

        With ``id``, return only the run with this id.
        """
        return [] if not self.has_store else [run.as_json() for run in self.store.runs(limit, id=id)]

    def search(self, query: str, k: int) -> tuple[View, list[str]]:
        """Return the current view, and the ids of the ``k`` items whose ids or titles best match a query."""
        view = self.engine.view()
        return view, self._searches.of(view).best(query, k=k)

    def _open(self) -> None:
        while not self._stopped.is_set():
            try:
                engine = self._opened()
            except Exception as error:  # noqa: BLE001 - after any error, another attempt is made
                self._record_failure(error)
                self._stopped.wait(RETRY_SECONDS)
            else:
                self._engine, self._catalogue = engine, None
                log.info("serving %s", engine.version)
                # Otherwise, the garbage collector would visit all ids and attributes while requests wait.
                gc.collect()
                gc.freeze()
                return

    def _opened(self) -> Engine:
        engine = Engine(**self._arguments)
        try:
            engine.view()  # waits until items that the model does not know have vectors
        except Exception:
            engine.close()
            raise
        return engine

    def _record_failure(self, error: Exception) -> None:
        """Log the error of an attempt to open the engine if it is new; ``/readyz`` names its type."""
        kind = type(error).__name__
        if self._failure != (failure := f"{kind}: {error}"):
            is_bug = not isinstance(error, Item2VecError)
            log.warning("no model is loaded yet: %s: %s", kind, error, exc_info=is_bug)
        self._failure = failure
        if isinstance(error, BundleNotFoundError):
            self._why_not_ready = "no model is published yet; run item2vec train, or item2vec retrain"
        elif isinstance(error, SchemaError):
            self._why_not_ready = f"no model is loaded: {WRONG_SCHEMA}"
        else:
            self._why_not_ready = f"no model is loaded: {kind}; the log of the service has the message"


def _of_scores(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that change scores. ``explain`` needs these rules, so that shares sum to the score."""
    return {name: value for name, value in rules.items() if name in CHANGE_SCORES}


def _timestamps(tokens: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the timestamps of a history that contains at least one timestamp.

    An item without a timestamp has the timestamp of the next item with one or, after the last of these, of
    the previous item, because histories are in the order of time.
    """
    given = [token.get("timestamp") for token in tokens]
    latest: int = next(value for value in reversed(given) if value is not None)
    timestamps = []
    for value in reversed(given):
        latest = latest if value is None else value
        timestamps.append(latest)
    return timestamps[::-1]


@lru_cache(maxsize=1)
def _load(path: Path) -> Recommender:
    return load(path)


def _version(row: Overview) -> dict[str, Any]:
    manifest = None if row.manifest is None else row.manifest.model_dump(mode="json")
    about: dict[str, Any] = {} if manifest is None else manifest
    train = about.get("train") or {}
    return {
        "id": row.version.id,
        "states": list(row.states),
        "created_at": about.get("created_at"),
        "items": about.get("n_items"),
        "size": row.size,
        "objective": train.get("objective"),
        "train": train,
        "taste": about.get("taste"),
        "index": about.get("index"),
    }
