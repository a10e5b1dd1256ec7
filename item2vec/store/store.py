"""``Store``: the public interface to interactions, items, users and runs in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from item2vec.arguments import checked, checked_except
from item2vec.catalogue import Catalogue
from item2vec.errors import ConfigError
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.progress import progress_bar
from item2vec.store import catalogue, copying, queries, runs, tables
from item2vec.store.connect import Mode, begin_as, make_engine, parse_url, retried, shown, translated
from item2vec.store.impressions import Impressions
from item2vec.store.ingest import Events, Ingested, RepeatPolicy
from item2vec.store.moments import Moments
from item2vec.store.notices import log_notices
from item2vec.store.queries import Ahead, History
from item2vec.store.read_only import exists
from item2vec.store.revisions import watched
from item2vec.store.runs import Promotion, Run
from item2vec.store.schema import Schema
from item2vec.store.types import utc
from item2vec.types import as_history, check_ids, check_k

__all__ = ["Store"]

T = TypeVar("T")


@checked
class Store:
    """Store of interactions, items, users and runs in a SQLite or PostgreSQL database.

    A store connects on the first call, and may be shared between threads and used after a fork. A call is one
    transaction, except that ``ingest`` and ``ingest_items`` use one transaction per batch. After a transient
    error, such as a held lock, a transaction is repeated a few times. Times that select interactions are in
    UTC if they are naive; all other times require a time zone.

    Parameters
    ----------
    url
        ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE`` (the extra ``postgres``).

    Raises
    ------
    ConfigError, MissingExtraError
        If the URL is invalid, or names a PostgreSQL database, and psycopg is not installed.
    SchemaError
        By methods that read or write data, if the schema is missing or its revision is not ``head``.
    StoreError
        By all methods, if the database fails, and by the constructor, if SQLite is too old.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> listens = Interactions.of(user=["ann", "bob", "ann"], item=["x", "x", "y"], timestamp=[3, 1, 2])
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     store.upgrade()
    ...     store.ingest(listens)
    ...     store.ingest_items(Items.of({"x": {"title": "Blue Monday", "genre": ["synth-pop", "dance"]}}))
    ...     store.history("ann").items
    '0007'
    Ingested(n_rows=3, n_new=3, n_duplicate=0, n_repeats=0, n_changed=0)
    Ingested(n_rows=1, n_new=0, n_duplicate=1, n_repeats=0, n_changed=1)
    ['y', 'x']
    """

    @checked_except("url")
    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._schema = Schema(self._url)
        self._engine = make_engine(self._url)
        self._process = os.getpid()
        self._inherited: list[sa.Engine] = []
        self._checked = False
        self.last_change = self.last_success = object()  # of items; the former may be a change that failed
        self.impressions = Impressions(self._data, self._insert_items)  # the items that were shown to users

    def __repr__(self) -> str:
        return f"Store({shown(self._url)!r})"

    @property
    def head(self) -> str:
        """The schema revision that this package requires."""
        return self._schema.head

    def current(self) -> str | None:
        """Return the schema revision of the database; ``None`` if there is no schema, or no SQLite file."""
        if self._engine.dialect.name == "sqlite" and not exists(Path(str(self._engine.url.database))):
            return None  # a connection would create the file
        return self._run("read", self._schema.current)

    def upgrade(self, *, backup: bool = True) -> str:
        """Create the schema, or migrate it to the required revision; return the revision.

        The migration is one transaction. With ``backup``, a SQLite file of an older revision is first copied
        to ``FILE.REVISION.backup``, where ``REVISION`` is the older revision.
        """
        return self._schema.upgrade(backup=backup)

    def check_schema(self) -> None:
        """Raise ``SchemaError`` unless the schema has the required revision."""
        self._schema.check(self.current())
        self._checked = True

    def ensure_schema(self, *, create: bool) -> None:
        """Call ``check_schema``. With ``create``, a missing schema is created first."""
        if create and self.current() is None:
            self.upgrade()
        self.check_schema()

    def ingest(
        self,
        interactions: Interactions,
        *,
        source: str = "ingest",
        repeats: RepeatPolicy | None = None,
        keys: Sequence[str] | None = None,
        batch_size: int = 50_000,
        now: datetime | None = None,
    ) -> Ingested:
        """Add interactions, and their users and items. Events that are already stored are skipped.

        After an interruption, repeat the call. Events of one user with equal timestamps, or without
        timestamps, keep the order of their rows. Warnings about implausible data, such as timestamps in the
        future, are logged. Raise ``InputError`` or ``ConfigError`` if an argument is invalid, or if only the
        new events or only the stored events have timestamps.

        Parameters
        ----------
        source
            Name of the source. The same event from two sources is stored twice.
        repeats
            Whether a row with the user, item, event name and timestamp of an earlier row is stored as another
            event (``"keep"``), or merged into the earlier row with the sum of the weights (``"merge"``). By
            default, repeats are merged if there are timestamps. With ``keys``, repeats are always kept.
        keys
            One key per row, which identifies the event in place of user, item, event name and timestamp.
        batch_size
            Maximum number of events per transaction. During larger batches, other writers wait longer.
        now
            Time of ingestion, with a time zone, to store with each row. The default is the current time.
        """
        check_ids([source])
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; expected at least 1")
        moments, now = Moments.of(interactions), utc(now or datetime.now(UTC))
        events = Events.of(interactions, moments, repeats, keys)
        log_notices(interactions, moments, events, by_default=repeats is None, now=now)
        facts, n_new = tables.BatchFacts(source, now, batch_id=secrets.randbits(63)), 0
        with progress_bar("ingesting", -(-len(events) // batch_size)) as advance:
            for batch in events.batches(batch_size):
                n_new += self._insert_items(partial(batch.insert, facts=facts))
                advance(f"{n_new:,} new")
        return Ingested(len(interactions), n_new, len(events) - n_new, events.n_repeats)

    def ingest_items(self, items: Items, *, replace: bool = False) -> Ingested:
        """Add new items, and update existing items, in batches.

        As in an SQL UPDATE of some columns, the attributes that at least one of ``items`` has are set, or
        removed if the item in ``items`` lacks them. All other attributes of an existing item are kept, and so
        are titles if none of ``items`` has a title. With ``replace``, the title and all attributes of an
        existing item are replaced. Active flags do not change; new items are active. Raise ``InputError`` if
        a title or an attribute is not a JSON value that both SQLite and PostgreSQL store unchanged.
        """
        n_new = n_changed = 0
        for upsert in catalogue.upserts(items, replace=replace):
            new, changed = self._change_items(upsert)
            n_new, n_changed = n_new + new, n_changed + changed
        return Ingested(len(items), n_new, len(items) - n_new, n_changed=n_changed)

    def deactivate_items(self, items: Iterable[str]) -> int:
        """Exclude items from all recommendations; return the number of items that were active.

        Raise ``UnknownItemError`` if an item is not in the store. No item is then changed.
        """
        return self._set_active(items, active=False)

    def activate_items(self, items: Iterable[str]) -> int:
        """Undo ``deactivate_items``, with the same errors; return the number of items that were inactive."""
        return self._set_active(items, active=True)

    def interactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        events: Iterable[str] | None = None,
    ) -> Interactions:
        """Return interactions with ``start <= timestamp < end`` and an event name in ``events``.

        By default, all interactions are returned. If the store has no timestamps, ``start`` and ``end`` raise
        ``InputError``, and the column of timestamps is ``None``. The column of events or sessions is ``None``
        if no row has a value; otherwise, a missing value is ``"none"``. The column of weights is ``None`` if
        all weights are 1. Rows are ordered by user, timestamp, position in their ingestion, and event key. A
        row takes 28 bytes of memory, and 42 bytes while the rows are sorted at the end.
        """
        names = None if events is None else as_history(events, "events")
        check_ids(names or ())
        return self._data("read", partial(queries.read_interactions, start=start, end=end, events=names))

    def snapshot(
        self, *, days: float | None = None, events: Iterable[str] | None = None, end: datetime | None = None
    ) -> tuple[Interactions, Items]:
        """Return the interactions before ``end`` (see ``interactions``) and all items, in one transaction.

        ``days`` selects the last ``days`` days, counted back from the newest interaction before ``end``. If
        the store has no timestamps, ``end`` is ignored, and ``days`` raises ``InputError``.
        """
        names = None if events is None else as_history(events, "events")
        check_ids(names or ())

        def read(connection: sa.Connection) -> tuple[Interactions, Items]:
            interactions = queries.read_snapshot(connection, days, end, names)
            return interactions, catalogue.read_items(connection)

        return self._data("read", read)

    def ahead(self, start: datetime) -> Ahead | None:
        """Return the number of interactions dated ``start`` or later, and the earliest; ``None`` if none."""
        return self._data("read", partial(queries.read_ahead, start=start))

    def history(self, user: str, *, limit: int | None = None) -> History:
        """Return the newest ``limit`` interactions of a user (``None``: all interactions), oldest first."""
        check_ids([user])
        limit = None if limit is None else check_k(limit)
        return self._data("read", partial(queries.read_history, user=user, limit=limit))

    def histories(self, users: Iterable[str], *, since: datetime | None = None) -> list[History]:
        """Return each user's history from ``since`` on; whole histories if the store has no timestamps."""
        check_ids(names := as_history(users, "users"))
        return self._data("read", partial(queries.read_histories, users=names, since=since))

    def items(self) -> Items:
        """Return all items, active and inactive, in ascending order of id."""
        return self._data("read", catalogue.read_items)

    def items_where(self, conditions: Mapping[str, Any]) -> list[str]:
        """Return the ids of active items that meet all conditions (see ``Items.where``), sorted."""
        return sorted(self.catalogue().where(conditions))

    def catalogue(self, known: Catalogue | None = None) -> Catalogue:
        """Return all items with their attributes and active flags, in the order in which they were added.

        With ``known``, a catalogue that an earlier call returned, only the items that were added or changed
        since are read; without such items, ``known`` is returned.
        """
        return self._data("read", partial(catalogue.read_catalogue, known=known))

    def inactive_items(self) -> list[str]:
        """Return the ids of inactive items, in ascending order."""
        return self._data("read", catalogue.inactive_items)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of interactions, users, items and inactive items, and first and last timestamp.

        The timestamps are ISO 8601 text; they are ``None`` if the store has no timestamps.
        """
        return self._data("read", queries.summary)

    def forget_user(self, user: str) -> int:
        """Delete a user and all rows of the user in all tables; return the number of deleted interactions.

        Models that were trained on these interactions are not changed.
        """
        check_ids([user])
        return self._data("write", partial(queries.forget_user, user=user))

    def begin_run(self, *, config: Mapping[str, Any], now: datetime) -> int:
        """Record the start of a run of ``retrain``; return the id of the run, for ``finish_run``.

        ``config`` holds the run's settings (JSON values), and must contain ``models`` (the models folder) and
        ``host``; otherwise, ``InputError`` is raised.
        """
        runs.check_config(config)
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
        """Record the outcome of a run. A second call with the same status changes nothing.

        Raise ``InputError`` if the run does not exist or has ended with another status, or if an argument is
        invalid, such as a gate that is not a JSON value.
        """
        check_ids([version] if version is not None else [])
        runs.check_run(status, reason, {"gates": gates, "metrics": metrics})
        outcome: dict[str, Any] = {"status": status, "version": version, "reason": reason}
        outcome |= {"gates": dict(gates), "metrics": dict(metrics), "finished_at": utc(now)}
        self._data("write", partial(runs.finish, run_id=run_id, outcome=outcome))

    def close_interrupted_runs(self, models: str, host: str, now: datetime) -> int:
        """Mark the unfinished runs of a models folder on a host as failed; return the number of runs."""
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
        """Record a change of ``CURRENT``. An existing record of the generation and version is not changed."""
        row = {"generation": generation, "version": version, "previous": previous, "run_id": run_id}
        row |= {"manifest_sha256": manifest_sha256, "actor": actor, "reason": reason, "promoted_at": utc(now)}
        runs.check_promotion(row)
        self._data("write", partial(runs.record, row=row))

    def runs(self, limit: int = 20, *, id: int | None = None) -> list[Run]:  # noqa: A002 - as in Run
        """Return the newest ``limit`` runs, newest first. With ``id``, return only the run with this id."""
        return self._data("read", partial(runs.runs, limit=check_k(limit), number=id))

    def promotions(self, limit: int = 20) -> list[Promotion]:
        """Return the newest ``limit`` promotions and rollbacks, newest first."""
        return self._data("read", partial(runs.promotions, limit=check_k(limit)))

    def copy_to(self, target: Store) -> dict[str, int]:
        """Copy all tables into an empty store, SQLite or PostgreSQL; return row counts by table.

        A missing schema of the target is created. The source is read from one snapshot, and the target is
        written in one transaction. Row counts and content hashes of all tables are compared before the
        commit. Raise ``ConfigError`` if a table of the target has rows.
        """
        self.check_schema()
        target.ensure_schema(create=True)
        with progress_bar("copying", None) as advance:
            return copying.copy_between(self._engine, target._engine, advance)

    def close(self) -> None:
        """Close all connections. A later call opens new connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_active(self, items: Iterable[str], *, active: bool) -> int:
        check_ids(ids := as_history(items, "items"))
        return self._change_items(partial(catalogue.set_active, ids=sorted(set(ids)), active=active))

    def _change_items(self, change: Callable[[sa.Connection], T]) -> T:
        try:
            result = self._data("write", change)
            self.last_success = object()
            return result
        finally:
            self.last_change = object()

    def _insert_items(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work``, which may insert items, in a transaction. If it does, this is a change of items."""
        result, has_inserted = self._data("write", partial(watched, work=work))
        if has_inserted:
            self.last_change = self.last_success = object()
        return result

    def _data(self, mode: Mode, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a transaction, and return the result. The first call first checks the schema."""
        if not self._checked:
            self.check_schema()
        return self._run(mode, work)

    def _run(self, mode: Mode, work: Callable[[sa.Connection], T]) -> T:
        if os.getpid() != self._process:
            # After a fork, the child must not use or close the parent's connections, because they hold locks.
            self._inherited.append(self._engine)
            self._engine, self._process = make_engine(self._url), os.getpid()

        def transaction() -> T:
            with begin_as(self._engine, mode).begin() as connection:
                return work(connection)

        with translated(shown(self._url)):
            return retried(transaction)
