"""A published model and the SQL store, joined: recommendations for a user by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any

from item2vec.recommender import Recommender
from item2vec.store import Store
from item2vec.types import Recommendation, as_history, check_k
from item2vec.versions.live import Live

__all__ = ["Engine"]


class Engine:
    """Answers for users: their history from SQL, the published model, popularity where neither knows them.

    When another version is published, the engine takes it by itself, as ``Live`` does: no request fails or
    waits, each is answered by one version throughout, and if the new version cannot be loaded, the old one
    stays. Safe to share between threads, and with forked processes.

    Parameters
    ----------
    models
        A models folder, which is followed, or a single bundle, which is loaded once.
    store
        The SQL store's URL.
    reload_every
        Seconds between two looks at the models folder; with ``None``, the model stays as it is.

    Raises
    ------
    BundleNotFoundError
        If no model is published there.
    SchemaError
        If the store's schema is not this package's.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import Config, TrainConfig, adapters, fit, publish, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     _ = store.ingest(listens)
    >>> model = fit(adapters.histories(listens), Config(train=TrainConfig(epochs=5)))
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
        user: str,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a user, best first; exactly ``k`` if so many are eligible.

        A user without a history, or whose history the model does not know, gets the most popular items,
        marked ``source="popular"``. Items that the store holds as inactive are never returned.

        Parameters
        ----------
        where
            Attributes that an item must have, such as ``{"genre": "jazz"}``; a list means any of its values.
        exclude, allow, deny, filter_seen
            As in ``Recommender.recommend``.
        """
        check_k(k)
        history = self.store.history(user)
        if where:
            among = self.store.items_where(where)
            allow = among if allow is None else set(allow) & set(among)
        return self.model.recommend(
            history.items,
            k=k,
            exclude=exclude,
            allow=allow,
            deny=[*as_history(deny, "deny"), *self.store.inactive_items()],
            filter_seen=filter_seen,
            weights=history.weights,
            timestamps=history.timestamps,
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
