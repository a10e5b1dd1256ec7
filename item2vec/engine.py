"""A published model and the SQL store, joined: recommendations for a user by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any

from item2vec.recommender import Recommender
from item2vec.store import Store
from item2vec.types import Recommendation, check_k
from item2vec.versions import load

__all__ = ["Engine"]


class Engine:
    """Answers for users: their history from SQL, the published model, popularity where neither knows them.

    Parameters
    ----------
    models
        A models folder (its published version is loaded), or a single bundle.
    store
        The SQL store's URL.

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
    >>> version = publish(fit(adapters.histories(listens)), f"{folder}/models")
    >>> with Engine(models=f"{folder}/models", store=f"sqlite:///{folder}/item2vec.db") as engine:
    ...     best = engine.recommend(user="u42", k=3)
    >>> len(best), best[0].source
    (3, 'model')
    """

    def __init__(
        self, *, models: str | PathLike[str] = "models", store: str = "sqlite:///item2vec.db"
    ) -> None:
        self.model: Recommender = load(models)
        self.store = Store(store)
        self.store.check_schema()

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
            deny=[*deny, *self.store.inactive_items()],
            filter_seen=filter_seen,
            weights=history.weights,
            timestamps=history.timestamps,
        )

    def close(self) -> None:
        """Close the store's connections."""
        self.store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
