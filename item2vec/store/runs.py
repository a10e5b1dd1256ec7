"""Write and read the records of ``retrain`` runs and of promotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from item2vec.errors import InputError
from item2vec.store.connect import undamaged
from item2vec.store.ids import insert_into
from item2vec.store.tables import promotion, run
from item2vec.store.values import check_text, check_value
from item2vec.types import check_ids

__all__ = [
    "Promotion",
    "Run",
    "begin",
    "check_config",
    "check_promotion",
    "check_run",
    "close_interrupted",
    "finish",
    "promotions",
    "record",
    "runs",
]

OUTCOMES = ("promoted", "refused", "failed")


@dataclass(frozen=True, slots=True)
class Run:
    """Record of a run of ``retrain``: times, settings and outcome.

    ``status`` is ``"running"``, ``"promoted"``, ``"refused"`` or ``"failed"``. ``version`` is the id of the
    promoted version; ``None`` if no version was promoted. ``reason`` is the reason of a refusal, failure,
    interruption or forced promotion; ``None`` for other runs. ``gates`` and ``metrics`` are the results by
    name.

    >>> from datetime import UTC
    >>> Run(1, datetime(2024, 1, 1, tzinfo=UTC), None, "running", None, None, {}, {}, {}).status
    'running'
    """

    id: int
    started_at: datetime
    finished_at: datetime | None
    status: str
    version: str | None
    reason: str | None
    config: Mapping[str, Any]
    gates: Mapping[str, Any]
    metrics: Mapping[str, Any]

    def _gates_with(self, *, passed: bool) -> list[str]:
        """Return the names of the passed or refused gates, in the order in which they were checked.

        >>> now = datetime(2024, 1, 1)
        >>> gates = {"queries": {"passed": True}, "finite": {"passed": False}}
        >>> Run(1, now, now, "refused", None, "finite", {}, gates, {})._gates_with(passed=False)
        ['finite']
        """
        return [
            name
            for name, gate in self.gates.items()
            if isinstance(gate, Mapping) and gate.get("passed") is passed
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values, for the command ``runs`` and for HTTP.

        ``run`` is the version id that the run reserved for its model. ``seconds`` is the duration; ``None``
        until the run has ended. ``passed`` holds the names of the gates that the model passed, and
        ``refused`` the names of the gates that it did not pass. ``metric`` is the name of the metric by which
        gates compare models, and ``value`` is the metric's value on the held-out interactions; both are
        ``None`` if the model was not evaluated.

        >>> metrics = {"ndcg@10": 0.5}
        >>> Run(1, datetime(2024, 1, 1), None, "failed", None, "", {}, {}, metrics).as_json()["value"]
        0.5
        """
        ended = self.finished_at
        metric = _metric_of(self.config)
        value = self.metrics.get(metric)
        return {
            "id": self.id,
            "run": self.config.get("run"),
            "started_at": self.started_at.isoformat(),
            "finished_at": None if ended is None else ended.isoformat(),
            "seconds": None if ended is None else (ended - self.started_at).total_seconds(),
            "status": self.status,
            "version": self.version,
            "reason": self.reason,
            "metric": None if value is None else metric,
            "value": value,
            "passed": self._gates_with(passed=True),
            "refused": self._gates_with(passed=False),
            "gates": dict(self.gates),
            "metrics": dict(self.metrics),
        }


@dataclass(frozen=True, slots=True)
class Promotion:
    """Record of a change of ``CURRENT`` in a models folder, by the promotion of a new version or a rollback.

    ``version`` is the id of the version that is served from then on, and ``previous`` the id of the replaced
    version; ``previous`` is ``None`` if no version was served. ``generation`` is the number of the change in
    its folder. ``run_id`` is the id of the run that promoted the version; ``None`` without a run.

    >>> from datetime import UTC
    >>> now = datetime(2024, 1, 1, tzinfo=UTC)
    >>> Promotion(2, "g0000000002-5f", "g0000000001-3c", "0" * 64, 1, "retrain", None, now).previous
    'g0000000001-3c'
    """

    generation: int
    version: str
    previous: str | None
    manifest_sha256: str
    run_id: int | None
    actor: str
    reason: str | None
    promoted_at: datetime


def check_config(config: Mapping[str, Any]) -> None:
    """Raise ``InputError`` if ``config`` lacks ``models`` or ``host``, or a value is not a JSON value."""
    if not {"models", "host"} <= config.keys():
        raise InputError(
            f"config has the keys {', '.join(map(str, config)) or '(none)'}; expected models and host as well"
        )
    check_value(dict(config), "config")


def check_promotion(row: Mapping[str, Any]) -> None:
    """Raise ``InputError`` if a version id or a text of a promotion cannot be stored in a database."""
    check_ids([row[name] for name in ("version", "previous") if row[name] is not None])
    for name in ("actor", "reason", "manifest_sha256"):
        check_text("" if name == "reason" and row[name] is None else row[name], name)


def check_run(status: str, reason: str | None, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ``InputError`` if the status is not an outcome, or if the reason or a value cannot be stored."""
    if status not in OUTCOMES:
        raise InputError(f"status is {status!r}; expected one of {', '.join(OUTCOMES)}")
    if reason is not None:
        check_text(reason, "reason")
    for name, value in values.items():
        check_value(dict(value), name)


def begin(connection: sa.Connection, config: Mapping[str, Any], now: datetime) -> int:
    """Record the start of a run; return its id."""
    row = {"started_at": now, "status": "running", "config": dict(config)}
    number: int = connection.execute(sa.insert(run).values(row).returning(run.c.id)).scalar_one()
    return number


def finish(connection: sa.Connection, run_id: int, outcome: Mapping[str, Any]) -> None:
    """Record the outcome of a run.

    If the run has ended already, the same status changes nothing. Raise ``InputError`` if the run has ended
    with another status, or does not exist.
    """
    running = (run.c.id == run_id) & (run.c.status == "running")
    if connection.execute(sa.update(run).where(running).values(**outcome)).rowcount:
        return
    status = connection.scalar(sa.select(run.c.status).where(run.c.id == run_id))
    if status != outcome["status"]:
        state = "does not exist" if status is None else f"has already ended with status {status!r}"
        raise InputError(f"run {run_id} {state}; expected the id of an unfinished run, from begin_run")


def close_interrupted(connection: sa.Connection, models: str, host: str, now: datetime) -> int:
    """Mark the unfinished runs of a models folder on a host as failed. Return the number of these runs."""
    running = sa.select(run.c.id, run.c.config).where(run.c.status == "running")
    with undamaged(connection):
        ids = [
            number
            for number, config in connection.execute(running)
            if (config.get("models"), config.get("host")) == (models, host)
        ]
    outcome = {"status": "failed", "reason": "interrupted", "finished_at": now}
    unfinished = run.c.id.in_(ids) & (run.c.status == "running")
    return connection.execute(sa.update(run).where(unfinished).values(outcome)).rowcount


def record(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    """Record a promotion. An existing record of the same generation and version is not changed."""
    insert = insert_into(connection, promotion).values(**row)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["generation", "version"]))


def _metric_of(config: Mapping[str, Any]) -> str:
    """Return the name of the metric by which the gates of a run compare models, by default ``"ndcg@10"``."""
    match config:
        case {"settings": {"evaluation": {"k": int(k)}}}:
            return f"ndcg@{k}"
    return "ndcg@10"


def runs(connection: sa.Connection, limit: int, number: int | None) -> list[Run]:
    """Return the newest ``limit`` runs, newest first. With ``number``, return only the run with this id.

    The list is empty if there is no run with this id.
    """
    selected = sa.select(run).order_by(run.c.id.desc()).limit(limit)
    with undamaged(connection):
        rows = connection.execute(selected if number is None else selected.where(run.c.id == number))
        return [Run(**row) for row in rows.mappings()]


def promotions(connection: sa.Connection, limit: int) -> list[Promotion]:
    """Return the newest ``limit`` promotions and rollbacks, newest first."""
    newest = [promotion.c[name].desc() for name in ("promoted_at", "generation", "version")]
    with undamaged(connection):
        rows = connection.execute(sa.select(promotion).order_by(*newest).limit(limit))
        return [Promotion(**row) for row in rows.mappings()]
