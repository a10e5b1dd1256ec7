"""The store: what happened and what is known about items, in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from item2vec.catalogue import Catalogue
from item2vec.errors import ConfigError, InputError
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.progress import progress_bar
from item2vec.store import catalogue, copying, ingest, queries, runs
from item2vec.store.connect import Mode, begin_as, make_engine, parse_url, retried, shown, translated
from item2vec.store.ingest import Ingested
from item2vec.store.queries import Ahead, History
from item2vec.store.runs import Promotion, Run
from item2vec.store.schema import Schema
from item2vec.store.types import utc
from item2vec.store.values import check_text, check_value
from item2vec.types import as_history, check_ids, check_k

__all__ = ["Store"]

T = TypeVar("T")

ITEMS_A_BATCH = 10_000


class Store:
    """Interactions, items and users in a database: SQLite by default, PostgreSQL where that is outgrown.

    Connects when it is first used; may be shared between threads, and used after a fork. Everything is read
    in one transaction and written in one (``ingest``: one for each batch), which is run again a few times
    after an error that is known to pass, such as a lock that is held.

    Parameters
    ----------
    url
        ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE`` (the extra ``postgres``).

    Raises
    ------
    ConfigError
        If this is no such URL.
    SchemaError
        By everything that reads or writes, if the schema is missing, older or newer than this package.
    StoreError
        By everything, if the database fails; says what it said, and the next step.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> listens = Interactions.of(user=["ann", "bob", "ann"], item=["x", "x", "y"], timestamp=[3, 1, 2])
    >>> with Store(f"sqlite:///{folder.name}/item2vec.db") as store:
    ...     store.upgrade()
    ...     store.ingest(listens)
    ...     store.ingest_items(Items.of({"x": {"title": "Blue Monday", "genre": ["synth-pop", "dance"]}}))
    ...     store.history("ann").items
    ...     store.items_where({"genre": "dance"})
    '0003'
    Ingested(n_rows=3, n_new=3, n_duplicate=0)
    Ingested(n_rows=1, n_new=0, n_duplicate=1)
    ['y', 'x']
    ['x']
    >>> folder.cleanup()
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._schema = Schema(self._url)
        self._engine = make_engine(self._url)
        self._process = os.getpid()
        self._inherited: list[sa.Engine] = []
        self._checked = False
        self.last_change = object()  # another one after each change of items through this store

    def __repr__(self) -> str:
        return f"Store({shown(self._url)!r})"

    @property
    def head(self) -> str:
        """The schema revision that this package needs."""
        return self._schema.head

    def current(self) -> str | None:
        """Return the database's schema revision; ``None`` if it has no schema yet."""
        if self._engine.dialect.name == "sqlite" and not Path(str(self._engine.url.database)).exists():
            return None  # and asking must not make the file
        return self._run("read", self._schema.current)

    def upgrade(self, *, backup: bool = True) -> str:
        """Bring the schema to this package's revision, and return it; a new database gets its tables.

        All in one transaction that keeps others out: if it fails, nothing has changed. Of a SQLite file that
        has an older schema, a copy is left beside it as ``FILE.REVISION.backup``, unless ``backup=False``.
        """
        return self._schema.upgrade(backup=backup)

    def check_schema(self) -> None:
        """Raise ``SchemaError``, which names the command to run, unless the schema is this package's."""
        self._schema.check(self.current())
        self._checked = True

    def ensure_schema(self, *, create: bool) -> None:
        """Check the schema; with ``create``, an empty database gets its tables first."""
        if create and self.current() is None:
            self.upgrade()
        self.check_schema()

    def ingest(
        self,
        interactions: Interactions,
        *,
        source: str = "ingest",
        batch_size: int = 50_000,
        now: datetime | None = None,
    ) -> Ingested:
        """Add interactions; those that the store knows already change nothing.

        An event is known by its ``source`` and its ``event_key``: the same user, item, event and
        microsecond are one event, whose first weight and session count. Items and users that are new are
        added. Each batch is a transaction: what stops halfway is simply run again.

        Parameters
        ----------
        source
            Where they come from; the same event from two sources counts twice.
        batch_size
            Rows in a transaction. A larger one is a little faster, and keeps other writers waiting longer.
        now
            When they came in, for the record; the clock's time unless given.

        Raises
        ------
        InputError
            If the interactions have no timestamp, or one outside the years 1 to 9999.
        """
        check_ids([source])
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; expected a whole number of at least 1")
        ingest.check_timestamps(interactions)
        facts = (source, utc(now or datetime.now(UTC)), secrets.randbits(63))
        n_new = 0
        with progress_bar("ingesting", -(-len(interactions) // batch_size)) as advance:
            for batch in ingest.batches(interactions, batch_size):
                n_new += self._data("write", partial(batch.insert, facts=facts))
                advance(f"{n_new:,} new")
        return Ingested(len(interactions), n_new, len(interactions) - n_new)

    def ingest_items(self, items: Items) -> Ingested:
        """Add items, or replace the title and the attributes of known ones; all in batches, as ``ingest``.

        An item that is not active stays so.

        Raises
        ------
        InputError
            If an attribute is not text, a finite number, true, false, null, or lists or mappings of these.
        """
        rows = catalogue.check_items(items)
        n_new = 0
        for start in range(0, len(rows), ITEMS_A_BATCH):
            batch = rows[start : start + ITEMS_A_BATCH]
            n_new += self._change_items(partial(catalogue.upsert, rows=batch))
        return Ingested(len(rows), n_new, len(rows) - n_new)

    def deactivate_items(self, items: Iterable[str]) -> int:
        """Take items out of what is recommended, from now on; return how many were active until now.

        Raises
        ------
        UnknownItemError
            If the store does not know one of them; none has changed then.
        """
        return self._set_active(items, active=False)

    def activate_items(self, items: Iterable[str]) -> int:
        """Bring items back into what is recommended; return how many were not active until now."""
        return self._set_active(items, active=True)

    def interactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        events: Iterable[str] | None = None,
    ) -> Interactions:
        """Return all interactions with ``start <= timestamp < end`` (naive: UTC), or those of some events.

        In the order of user, time and event key, whatever order they came in; as they were when the
        transaction began. ``event``, ``session`` and ``weight`` are left out where none was ever given; where
        only some rows have one, the others read as ``"none"``. 28 bytes a row, half as much again at the end.
        """
        names = None if events is None else as_history(events, "events")
        check_ids(names or ())
        return self._data("read", partial(queries.read_interactions, start=start, end=end, events=names))

    def snapshot(
        self, *, days: float | None = None, events: Iterable[str] | None = None, end: datetime | None = None
    ) -> tuple[Interactions, Items]:
        """Return interactions, of the newest ``days`` or all, and all items, as they were at one moment.

        Days are counted from the last interaction before ``end``; the rest is as in ``interactions``.
        """
        names = None if events is None else as_history(events, "events")
        check_ids(names or ())

        def read(connection: sa.Connection) -> tuple[Interactions, Items]:
            start = None if days is None else queries.days_before_the_last(connection, days, end)
            found = queries.read_interactions(connection, start, end, names)
            return found, catalogue.read_items(connection)

        return self._data("read", read)

    def ahead(self, start: datetime) -> Ahead | None:
        """Count the interactions at or after ``start`` (naive: UTC), with an example; ``None`` for none."""
        return self._data("read", partial(queries.read_ahead, start=start))

    def history(self, user: str, *, limit: int | None = None) -> History:
        """Return a user's interactions, oldest first, or the newest ``limit``; none for an unknown user."""
        check_ids([user])
        limit = None if limit is None else check_k(limit)
        return self._data("read", partial(queries.read_history, user=user, limit=limit))

    def histories(self, users: Iterable[str]) -> list[History]:
        """Return what ``history`` returns for each user, as all of them were at one moment."""
        names = as_history(users, "users")
        check_ids(names)
        return self._data("read", partial(queries.read_histories, users=names))

    def items(self) -> Items:
        """Return all items, inactive ones too, in the order of their ids."""
        return self._data("read", catalogue.read_items)

    def items_where(self, conditions: Mapping[str, Any]) -> list[str]:
        """Return the ids of active items that meet all conditions, in their order; as in ``Items.where``."""
        return self.catalogue().where(conditions)

    def catalogue(self, known: Catalogue | None = None) -> Catalogue:
        """Return all items with their attributes, and which of them are active.

        Only what has changed since ``known``, an earlier answer, is read; if nothing has, it is returned.
        """
        return self._data("read", partial(catalogue.read_catalogue, known=known))

    def inactive_items(self) -> list[str]:
        """Return the ids of items that are not to be recommended, in their order."""
        return self._data("read", catalogue.inactive_items)

    def summary(self) -> dict[str, Any]:
        """Count interactions, users, items and inactive items; the first and last moment as ISO text."""
        return self._data("read", queries.summary)

    def forget_user(self, user: str) -> int:
        """Delete a user with their interactions and recommendations; return how many interactions.

        Models that were trained before keep what they learnt until the next training.
        """
        check_ids([user])
        return self._data("write", partial(queries.forget_user, user=user))

    def begin_run(self, *, config: Mapping[str, Any], now: datetime) -> int:
        """Note that a run of ``retrain`` begins; return its number, for ``finish_run``.

        ``config`` is what it runs with, as JSON; among it ``models``, the folder, and ``host``, by which
        ``close_interrupted_runs`` knows it again.
        """
        if not {"models", "host"} <= config.keys():
            raise InputError(f"config names {', '.join(config) or 'nothing'}; expected models and host too")
        check_value(dict(config), "config")
        return self._data("write", partial(runs.begin, config=config, now=utc(now)))

    def finish_run(
        self,
        run_id: int,
        *,
        status: Literal["promoted", "refused", "failed"],
        version: str | None = None,
        reason: str | None = None,
        gates: Mapping[str, Any] = MappingProxyType({}),
        metrics: Mapping[str, Any] = MappingProxyType({}),
        now: datetime,
    ) -> None:
        """Note how a run ended; once more with the same status changes nothing.

        Raises
        ------
        InputError
            If no such run is there or it has ended otherwise, or a value is no JSON, such as NaN.
        """
        check_ids([version] if version is not None else [])
        runs.check_run(status, reason, {"gates": gates, "metrics": metrics})
        ended = {"status": status, "version": version, "reason": reason, "finished_at": utc(now)}
        outcome = {**ended, "gates": dict(gates), "metrics": dict(metrics)}
        self._data("write", partial(runs.finish, run_id=run_id, outcome=outcome))

    def close_interrupted_runs(self, models: str, host: str, now: datetime) -> int:
        """Close as failed what still counts as running on this folder and host; return how many.

        For who holds the folder's lock: no other run can be alive then.
        """
        return self._data("write", partial(runs.close_interrupted, models=models, host=host, now=utc(now)))

    def record_promotion(
        self,
        *,
        generation: int,
        version: str,
        previous: str | None,
        manifest_sha256: str,
        run_id: int | None = None,
        actor: str,
        reason: str | None = None,
        now: datetime,
    ) -> None:
        """Record that a generation of ``CURRENT`` points at a version; the same once more changes nothing."""
        check_ids([version] if previous is None else [version, previous])
        for name, text in (("actor", actor), ("reason", reason or ""), ("manifest_sha256", manifest_sha256)):
            check_text(text, name)
        row = {"generation": generation, "version": version, "previous": previous, "run_id": run_id}
        row |= {"manifest_sha256": manifest_sha256, "actor": actor, "reason": reason, "promoted_at": utc(now)}
        self._data("write", partial(runs.record, row=row))

    def runs(self, limit: int = 20) -> list[Run]:
        """Return the newest runs, newest first."""
        return self._data("read", partial(runs.runs, limit=check_k(limit)))

    def promotions(self, limit: int = 20) -> list[Promotion]:
        """Return the newest promotions and rollbacks, newest first."""
        return self._data("read", partial(runs.promotions, limit=check_k(limit)))

    def copy_to(self, target: Store) -> dict[str, int]:
        """Copy everything into an empty store of either kind; return how many rows each table has.

        Read as it is at one moment, streamed, and written in one transaction, in which counts and content
        hashes of all tables are compared at the end: if anything fails, nothing was copied. A database
        without a schema gets one.

        Raises
        ------
        ConfigError
            If the target holds anything.
        """
        self.check_schema()
        target.ensure_schema(create=True)
        with progress_bar("copying", None) as advance:
            return copying.copy_between(self._engine, target._engine, advance)

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_active(self, items: Iterable[str], *, active: bool) -> int:
        ids = as_history(items, "items")
        check_ids(ids)
        return self._change_items(partial(catalogue.set_active, ids=sorted(set(ids)), active=active))

    def _change_items(self, change: Callable[[sa.Connection], int]) -> int:
        try:
            return self._data("write", change)
        finally:
            self.last_change = object()

    def _data(self, mode: Mode, work: Callable[[sa.Connection], T]) -> T:
        """Run a transaction on tables that are known to be there."""
        if not self._checked:
            self.check_schema()
        return self._run(mode, work)

    def _run(self, mode: Mode, work: Callable[[sa.Connection], T]) -> T:
        if os.getpid() != self._process:
            # A connection serves one process, and closing the parent's would break the parent's locks.
            self._inherited.append(self._engine)
            self._engine, self._process = make_engine(self._url), os.getpid()

        def transaction() -> T:
            with begin_as(self._engine, mode).begin() as connection:
                return work(connection)

        with translated(shown(self._url)):
            return retried(transaction)
