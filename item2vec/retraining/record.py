"""The record of a run: a report in the models folder, rows in the store, a note in the manifest."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import item2vec
from item2vec import files, versions
from item2vec.bundle.manifest import read_manifest
from item2vec.config import RetentionConfig, RetrainConfig
from item2vec.errors import CorruptBundleError, MissingExtraError, SchemaError
from item2vec.retraining.gates import Gate
from item2vec.retraining.worker import Worker
from item2vec.store import Store
from item2vec.store.connect import parse_url, shown
from item2vec.versions import Attempt, Version

__all__ = ["Record", "begin", "protocol", "prune", "record_rollback"]

RUNS = "runs"
IN_THE_NOTE = ("run", "started_at", "data", "gates", "forced")
OF_THE_EVALUATION = ("protocol", "questions", "metrics", "verdict")

log = logging.getLogger("item2vec.retrain")


@dataclass
class Record:
    """What is known of a run so far, and where it will be written.

    ``live`` is what the served version notes of itself, empty if it says nothing that can be read;
    ``live_bundle`` its folder, or ``None``.
    """

    store: Store
    run_id: int
    path: Path
    now: datetime
    live: Mapping[str, Any]
    live_bundle: str | None
    report: dict[str, Any] = field(default_factory=dict)

    def add_gates(self, gates: Sequence[Gate]) -> None:
        """Note what gates found."""
        self.report["gates"] += [asdict(gate) for gate in gates]

    def note(self) -> dict[str, Any]:
        """Return what the manifest is to say of the run."""
        evaluation = self.report["evaluation"]
        metric = evaluation["protocol"]["metric"]
        found = {name: evaluation[name] for name in OF_THE_EVALUATION if name in evaluation}
        found["baselines"] = {name: one[metric] for name, one in evaluation.get("baselines", {}).items()}
        note: dict[str, Any] = _plain(
            {name: self.report[name] for name in IN_THE_NOTE} | {"evaluation": found}
        )
        return note

    def end(
        self,
        status: Literal["promoted", "refused", "failed"],
        worker: Worker,
        *,
        version: Version | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Write down how the run ended; what cannot be written is logged, and changes nothing."""
        now = datetime.now(UTC)
        self.report |= {
            "status": status,
            "reason": reason,
            "version": version.id if version else None,
            "finished_at": now.isoformat(),
            "peak_memory": worker.peak,
            "page": None,
        }
        self.report = _plain(self.report)
        with _noncritical("the report was not written"):
            self._write()
        with _noncritical("the store has no record of it"):
            self._log(status, version, reason, now)
        # Last, because it takes long and matters least.
        if self.report["config"]["evaluation"]["report"] and status != "failed":
            with _noncritical("the page was not drawn"), contextlib.suppress(MissingExtraError):
                self._draw(worker)
        facts = {"run": self.report["run"], "reason": reason, "report": str(self.path)}
        log.info(status, extra={"facts": facts})
        return self.report

    def _write(self) -> None:
        if not self.path.parent.is_dir():
            self.path.parent.mkdir()
            files.sync_folder(self.path.parent.parent)
        text = json.dumps(self.report, indent=1, ensure_ascii=False, allow_nan=False)
        files.replace_bytes(self.path, text.encode() + b"\n")

    def _draw(self, worker: Worker) -> None:
        page = str(self.path.with_suffix(".html"))
        if worker.ask("page", path=page, run=self.report, now=self.now.isoformat())["drawn"]:
            self.report["page"] = page
            self._write()

    def _log(self, status: Any, version: Version | None, reason: str | None, now: datetime) -> None:
        if version is not None:
            _record(self.store, version, actor="retrain", run_id=self.run_id, reason=reason, now=now)
        evaluation = self.report.get("evaluation", {})
        gates = {gate["name"]: gate for gate in self.report["gates"]}
        self.store.finish_run(
            self.run_id,
            status=status,
            version=version.id if version else None,
            reason=reason,
            gates=gates,
            metrics=evaluation.get("metrics", {}),
            now=now,
        )


def begin(
    store: Store, staged: Attempt, *, store_url: str, config: RetrainConfig, force: str | None, now: datetime
) -> Record:
    """Begin the record of a run; close those of runs that were killed, and note a promotion they did not."""
    folder, host = str(staged.models.absolute()), socket.gethostname()
    for unfinished in (staged.models / RUNS).glob(".*.tmp"):
        unfinished.unlink()
    store.close_interrupted_runs(folder, host, now=now)
    if staged.before is not None:
        _record(store, staged.before, actor="found", run_id=None, reason=None, now=now)
    settings = config.model_dump(mode="json")
    about = {"models": folder, "host": host, "pid": os.getpid(), "settings": settings}
    run_id = store.begin_run(config=about, now=now)
    live, live_bundle = _live(staged.before)
    report: dict[str, Any] = {
        "run": staged.id,
        "started_at": now.isoformat(),
        "item2vec": item2vec.__version__,
        "models": folder,
        "store": shown(parse_url(store_url)),
        "config": settings,
        "forced": force,
        "live": {"version": staged.before.id if staged.before else None, **live},
        "gates": [],
        "seconds": {},
    }
    path = staged.models / RUNS / f"{now:%Y%m%dT%H%M%SZ}-{staged.id}.json"
    return Record(store, run_id, path, now, live, live_bundle, report)


def record_rollback(store: str, version: Version, reason: str) -> None:
    """Note a rollback in the store, if there is one that can be reached."""
    with (
        _noncritical("the store has no record of it"),
        contextlib.suppress(SchemaError),
        Store(store) as opened,
    ):
        opened.check_schema()
        now = datetime.now(UTC)
        _record(opened, version, actor="rollback", run_id=None, reason=reason, now=now)


def protocol(config: RetrainConfig) -> dict[str, Any]:
    """Return all that two scores must have in common to be compared."""
    return {
        "metric": f"ndcg@{config.evaluation.k}",
        "evaluation": config.evaluation.model_dump(mode="json", exclude={"report"}),
        "adapter": config.adapter.model_dump(mode="json"),
    }


def prune(models: Path, retention: RetentionConfig) -> None:
    """Remove old versions and old reports."""
    with _noncritical("old versions were not removed"):
        for version in versions.gc(models, keep=retention.versions):
            log.info("removed", extra={"facts": {"version": version.id}})
    with _noncritical("old reports were not removed"):
        paths = sorted((models / RUNS).glob("[0-9]*"))
        newest = sorted({path.stem for path in paths})[-retention.reports :]
        for path in paths:
            if path.stem not in newest:
                path.unlink()


def _live(before: Version | None) -> tuple[Mapping[str, Any], str | None]:
    """Return what the served version says of itself; nothing where it is damaged, and to be replaced."""
    if before is None:
        return {}, None
    try:
        return read_manifest(before.path / "manifest.json")[0].note, str(before.path)
    except (OSError, CorruptBundleError) as error:
        facts = {"version": before.id, "error": str(error)}
        log.warning("the live version is damaged", extra={"facts": facts})
        return {}, None


def _record(
    store: Store, version: Version, *, actor: str, run_id: int | None, reason: str | None, now: datetime
) -> None:
    store.record_promotion(
        generation=version.generation,
        version=version.id,
        previous=version.previous,
        manifest_sha256=version.manifest_sha256,
        run_id=run_id,
        actor=actor,
        reason=reason,
        now=now,
    )


@contextlib.contextmanager
def _noncritical(told: str) -> Iterator[None]:
    """Go on when something fails that comes after the fact."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - the run's outcome stands already
        log.warning(told, extra={"facts": {"error": f"{type(error).__name__}: {error}"}})


def _plain(value: Any) -> Any:
    """Return the same as JSON can hold it: numbers that are none as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
