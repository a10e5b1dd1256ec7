"""The record of a run: a report in the models folder, rows in the store, a note in the manifest."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import item2vec
from item2vec import files, versions
from item2vec.config import RetrainConfig
from item2vec.errors import MissingExtraError, SchemaError, StoreError
from item2vec.retraining.before import NOTE, RUNS, known_before
from item2vec.retraining.gates import Gate
from item2vec.retraining.worker import Worker
from item2vec.store import Store
from item2vec.store.connect import parse_url, shown
from item2vec.versions import Attempt, Version

__all__ = ["Record", "begin", "protocol", "rollback"]

SOON = 3  # seconds
IN_THE_NOTE = ("run", "started_at", "data", "gates", "forced")
OF_THE_EVALUATION = ("protocol", "questions", "metrics", "verdict")

log = logging.getLogger("item2vec.retrain")


@dataclass
class Record:
    """What is known of a run so far, and where it will be written.

    ``before`` is what is known of the version before, with which this one is compared.
    """

    store: Store
    run_id: int
    path: Path
    now: datetime
    before: Mapping[str, Any]
    report: dict[str, Any] = field(default_factory=dict)

    def add_gates(self, gates: Sequence[Gate]) -> None:
        """Note what gates found."""
        self.report["gates"] += [asdict(gate) for gate in gates]

    def note(self) -> dict[str, Any]:
        """Return what the manifest is to say of the run."""
        evaluation = self.report["evaluation"]
        metric = evaluation["protocol"]["metric"]
        found = {name: evaluation[name] for name in OF_THE_EVALUATION if name in evaluation}
        found["intervals"] = {metric: evaluation["intervals"][metric]} if "intervals" in evaluation else {}
        found["baselines"] = {name: one[metric] for name, one in evaluation.get("baselines", {}).items()}
        own = {name: self.report[name] for name in IN_THE_NOTE} | {"evaluation": found}
        own["data"] = {name: value for name, value in own["data"].items() if name != "future_example"}
        return {NOTE: _plain(own)}

    def end(
        self,
        status: Literal["promoted", "refused", "failed"],
        worker: Worker,
        *,
        version: Version | None = None,
        reason: str | None = None,
        hurried: bool = False,
    ) -> dict[str, Any]:
        """Write down how the run ended; what cannot be written is logged, and changes nothing.

        ``hurried``: without the page, and without waiting for a store that does not answer.
        """
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
        log_it = partial(self._log, status, version, reason, now)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("the report was not written", self._write),
            ("the store has no record of it", partial(_soon, log_it) if hurried else log_it),
            ("old reports were not removed", self._prune),
        ]
        if self.report["config"]["retention"]["pages"] and status != "failed" and not hurried:
            steps.append(("the page was not drawn", partial(self._draw, worker)))
        for told, step in steps:
            if not _done(step, told):
                break
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
        with contextlib.suppress(MissingExtraError):
            if worker.ask("page", path=page, run=self.report, now=self.now.isoformat())["drawn"]:
                self.report["page"] = page
                self._write()

    def _prune(self) -> None:
        paths = sorted(self.path.parent.glob("[0-9]*"))
        kept = sorted({path.stem for path in paths})[-self.report["config"]["retention"]["reports"] :]
        for path in paths:
            if path.stem not in kept:
                path.unlink()

    def _log(self, status: Any, version: Version | None, reason: str | None, now: datetime) -> None:
        if version is not None:
            _note_promotion(self.store, version, "retrain", run_id=self.run_id, reason=reason, now=now)
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
    """Begin the record of a run; end those of runs that were killed, and clear away what these have left."""
    folder, host = str(staged.models.resolve()), socket.gethostname()
    for unfinished in (staged.models / RUNS).glob(".*.tmp"):
        unfinished.unlink()
    if staged.before is not None:
        _note_what_is_served(store, staged.before, now)
    store.close_interrupted_runs(folder, host, now=now)
    settings = config.model_dump(mode="json")
    about = {"run": staged.id, "models": folder, "host": host, "pid": os.getpid(), "settings": settings}
    run_id = store.begin_run(config=about, now=now)
    before = known_before(staged.before, staged.models, protocol(config))
    report: dict[str, Any] = {
        "run": staged.id,
        "started_at": now.isoformat(),
        "item2vec": item2vec.__version__,
        "models": folder,
        "store": shown(parse_url(store_url)),
        "config": settings,
        "forced": force,
        "live": {"version": staged.before.id if staged.before else None, **before},
        "gates": [],
        "seconds": {},
    }
    path = staged.models / RUNS / f"{now:%Y%m%dT%H%M%SZ}-{staged.id}.json"
    return Record(store, run_id, path, now, before, report)


def _note_what_is_served(store: Store, served: Version, now: datetime) -> None:
    """Note a promotion that nobody did, such as that of a run which was killed just then."""
    made_by = next(
        (run for run in store.runs() if run.status == "running" and run.config.get("run") == served.id), None
    )
    if made_by is not None:
        told = "interrupted after it was promoted"
        store.finish_run(made_by.id, status="promoted", version=served.id, reason=told, now=now)
    _note_promotion(store, served, "found", run_id=made_by.id if made_by else None, reason=None, now=now)


def rollback(models: str | os.PathLike[str], store: str, *, to: str | None = None, reason: str) -> Version:
    """Serve an older version again, as ``versions.rollback`` does, and note it in the store.

    If there is no store, or it cannot be reached, that is no reason not to roll back.
    """
    version = versions.rollback(models, to=to, reason=reason)

    def note() -> None:
        with contextlib.suppress(SchemaError), Store(store) as opened:
            opened.check_schema()
            now = datetime.now(UTC)
            _note_promotion(opened, version, "rollback", run_id=None, reason=reason, now=now)

    _done(note, "the store has no record of it")
    return version


def protocol(config: RetrainConfig) -> dict[str, Any]:
    """Return all that two scores must have in common to be compared."""
    return {
        "metric": f"ndcg@{config.evaluation.k}",
        "evaluation": config.evaluation.model_dump(mode="json"),
        "adapter": config.adapter.model_dump(mode="json"),
    }


def _note_promotion(
    store: Store, version: Version, actor: str, *, run_id: int | None, reason: str | None, now: datetime
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


def _soon(step: Callable[[], None]) -> None:
    """Do it in a few seconds, or else let it be: whoever told this process to stop will not wait for long."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            step()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(SOON)
    if thread.is_alive():
        raise StoreError(f"no answer within {SOON} s; the next run will note how this one ended")


def _done(step: Callable[[], None], told: str) -> bool:
    """Do what comes after the fact; a fault is told and stops nothing, but being told to stop ends it all."""
    try:
        step()
    except BaseException as error:  # noqa: BLE001 - the run's outcome stands already
        log.warning(told, extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
        return isinstance(error, Exception)
    return True


def _plain(value: Any) -> Any:
    """Return the same as JSON can hold it: numbers that are none as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
