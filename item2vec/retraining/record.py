"""Record of a run: the report in the models folder, the rows in the store, and the note in the manifest."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import item2vec
from item2vec import files, versions
from item2vec.bundle.manifest import REPORT
from item2vec.config import RetrainConfig
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    MissingExtraError,
    SchemaError,
    StoreError,
    WriteError,
    reason_of,
)
from item2vec.retraining.earlier_versions import RUNS, name_of_last_promoted, report_order
from item2vec.retraining.gates import Gate
from item2vec.retraining.supervisor import Worker
from item2vec.store import Store, latest_plausible
from item2vec.store.connect import parse_url, shown
from item2vec.versions import Attempt, Version
from item2vec.versions.checking import manifest_of
from item2vec.versions.layout import write_access
from item2vec.versions.overview import NOTE

__all__ = ["Record", "begin", "remove_old_reports", "rollback"]

STORE_SECONDS = 3
"""Time limit in seconds for the write to the store at the end of an interrupted run."""
IN_THE_NOTE = ("run", "started_at", "data", "gates", "forced")
EVALUATION_IN_THE_NOTE = ("protocol", "queries", "metrics", "verdict")
NOT_DRAWN = "the page was not drawn"

Status = Literal["promoted", "refused", "failed"]

log = logging.getLogger("item2vec.retrain")


@dataclass
class Record:
    """The report of a run, to which each step adds its results, and the locations where it is stored."""

    store: Store
    run_id: int
    """Id of the run's row in the store."""
    path: Path
    """File of the report."""
    now: datetime
    """Start time of the run."""
    report: dict[str, Any] = field(default_factory=dict)
    """Contents of the report."""
    started: float = field(default_factory=time.monotonic)
    """Start of the run by the monotonic clock, in seconds."""

    def add_gates(self, gates: Sequence[Gate]) -> None:
        """Append gates to the report."""
        self.report["gates"] += [asdict(gate) for gate in gates]

    def note(self) -> dict[str, Any]:
        """Return the note for the manifest: the origin, data, gates and main scores of the version.

        Later runs compare their results with the data and the scores (see ``earlier_versions``).
        """
        evaluation = self.report["evaluation"]
        metric = evaluation["protocol"]["metric"]
        short = {name: evaluation[name] for name in EVALUATION_IN_THE_NOTE if name in evaluation}
        short["intervals"] = {metric: evaluation["intervals"][metric]} if "intervals" in evaluation else {}
        short["baselines"] = {
            name: metrics[metric] for name, metrics in evaluation.get("baselines", {}).items()
        }
        note = {name: self.report[name] for name in IN_THE_NOTE} | {"evaluation": short}
        note["data"] = {name: value for name, value in note["data"].items() if name != "future_example"}
        return {NOTE: _plain(note)}

    def draw_promoted(self, worker: Worker, page: Path) -> bool:
        """Draw the HTML page of a run whose version is about to be published; return whether it was drawn.

        The page states the outcome that the publication will have. There is no page if nothing was evaluated,
        or if the extra ``report`` is not installed. If the drawing fails, a warning is logged.
        """
        promoted = _plain(self.report | {"status": "promoted", "reason": self.report["forced"]})
        try:
            return self._draw(worker, page, promoted)
        except Exception as error:  # noqa: BLE001 - the version is published without a page
            log.warning(NOT_DRAWN, extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
            return False

    def end(
        self,
        status: Status,
        worker: Worker,
        *,
        version: Version | None = None,
        reason: str | None = None,
        hurried: bool = False,
    ) -> dict[str, Any]:
        """Complete the report and return it. Record the outcome of the run, and remove old reports.

        The report is written to the models folder, the outcome to the store, and the HTML page beside the
        report: a copy of the page in ``version``, or, without ``version``, a page that is drawn now. If one
        of these steps fails, a warning is logged, and the outcome of the run does not change. If SIGTERM or
        Ctrl-C interrupts a step, the remaining steps are skipped.

        ``hurried`` is True if SIGTERM or Ctrl-C interrupted the run. The write to the store then takes at
        most ``STORE_SECONDS``, and no page is written. There is no page either if the run failed, if
        ``version`` has no page, if nothing was evaluated, if the extra ``report`` is not installed, or if the
        setting ``pages`` is False.
        """
        # The time is not read from the clock, which may have been set back during the run.
        now = self.now + timedelta(seconds=time.monotonic() - self.started)
        self.report |= {
            "status": status,
            "reason": reason,
            "version": version.id if version else None,
            "finished_at": now.isoformat(),
            "peak_memory": worker.peak,
            "page": None,
        }
        self.report = _plain(self.report)
        to_store = partial(self._write_to_store, status, version, reason, now)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("the report was not written", self._write),
            ("the run was not recorded in the store", partial(_briefly, to_store) if hurried else to_store),
            ("old reports were not removed", self._prune),
        ]
        if self.report["config"]["retention"]["pages"] and status != "failed" and not hurried:
            steps.append((NOT_DRAWN, partial(self._add_page, worker, version)))
        for warning, step in steps:
            if not _attempted(step, warning):
                break
        facts = {"run": self.report["run"], "reason": reason, "report": str(self.path)}
        log.info(status, extra={"facts": facts})
        return self.report

    def _write(self) -> None:
        if not self.path.parent.is_dir():
            self.path.parent.mkdir()
            files.set_mode(self.path.parent, files.FOLDER_MODE)
            files.sync_folder(self.path.parent.parent)
        text = json.dumps(self.report, indent=1, ensure_ascii=False, allow_nan=False)
        files.replace_bytes(self.path, text.encode() + b"\n", files.FILE_MODE)

    def _add_page(self, worker: Worker, version: Version | None) -> None:
        """Copy the page of a promoted run from its version, or draw the page of a refused run."""
        page = self.path.with_suffix(".html")
        if version is None:
            is_added = self._draw(worker, page, self.report)
        elif is_added := (version.path / REPORT).exists():
            files.replace_bytes(page, (version.path / REPORT).read_bytes(), files.FILE_MODE)
        if is_added:
            self.report["page"] = str(page)
            self._write()

    def _draw(self, worker: Worker, page: Path, report: Mapping[str, Any]) -> bool:
        with contextlib.suppress(MissingExtraError):
            return worker.draw_page(page, report, self.now)
        return False

    def _prune(self) -> None:
        keep = self.report["config"]["retention"]["reports"]
        _remove_reports(self.path.parent, keep, newest=self.path.stem)

    def _write_to_store(
        self, status: Status, version: Version | None, reason: str | None, now: datetime
    ) -> None:
        if version is not None:
            _record_promotion(self.store, version, "retrain", run_id=self.run_id, reason=reason, now=now)
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
    store: Store, attempt: Attempt, *, store_url: str, config: RetrainConfig, force: str | None, now: datetime
) -> Record:
    """Remove temporary reports and complete the records of killed runs; begin the record of this run."""
    folder, host = str(attempt.models.resolve()), socket.gethostname()
    for unfinished in (attempt.models / RUNS).glob(".*.tmp"):
        unfinished.unlink()
    if attempt.before is not None:
        _check_clock(attempt.before, now)
        _record_served(store, attempt.before, now)
    store.close_interrupted_runs(folder, host, now=now)
    settings = config.model_dump(mode="json")
    about = {"run": attempt.id, "models": folder, "host": host, "pid": os.getpid(), "settings": settings}
    run_id = store.begin_run(config=about, now=now)
    report: dict[str, Any] = {
        "run": attempt.id,
        "started_at": now.isoformat(),
        "item2vec": item2vec.__version__,
        "models": folder,
        "store": shown(parse_url(store_url)),
        "config": settings,
        "forced": force,
        "live": {"version": attempt.before.id if attempt.before else None},
        "gates": [],
        "seconds": {},
    }
    path = attempt.models / RUNS / f"{now:%Y%m%dT%H%M%SZ}-{attempt.id}.json"
    return Record(store, run_id, path, now, report)


def _check_clock(served: Version, now: datetime) -> None:
    """Log a warning if ``now`` is a day or more before the creation of the served version."""
    with contextlib.suppress(CorruptBundleError):
        created_at = manifest_of(served.path)[0].created_at
        if created_at is not None and created_at >= latest_plausible(now):
            facts = {"clock": now.isoformat(), "version": served.id, "created_at": created_at.isoformat()}
            log.warning(
                "the system clock is a day or more behind the creation time of the served version",
                extra={"facts": facts},
            )


def _record_served(store: Store, served: Version, now: datetime) -> None:
    """Record the promotion of the served version, unless it has been recorded.

    The record is missing if the run was killed after the promotion, or another command made the version. If
    the store still contains the run of the version as running, its row is completed with the status
    ``promoted``.
    """
    made_by = next(
        (run for run in store.runs() if run.status == "running" and run.config.get("run") == served.id), None
    )
    if made_by is not None:
        reason = "the run was interrupted after the promotion"
        store.finish_run(made_by.id, status="promoted", version=served.id, reason=reason, now=now)
    _record_promotion(store, served, "found", run_id=made_by.id if made_by else None, reason=None, now=now)


def remove_old_reports(models: str | os.PathLike[str], *, keep: int) -> list[str]:
    """Remove the JSON reports and the HTML pages of all but the newest ``keep`` runs.

    The report and the page of the last promoted run are kept, too: the metrics file contains the time of the
    last promotion, which is read from this report. Return the names of the removed reports, without suffix.

    Raises
    ------
    ConfigError
        If ``keep`` is less than 1, or ``staging`` or ``versions`` in the models folder is not a folder.
    BundleNotFoundError
        If the models folder has no versions.
    CorruptBundleError
        If ``CURRENT`` is damaged, or the models folder cannot be read.
    PlatformError
        If the system has no POSIX file locks (Windows).
    LockHeldError
        If another process or thread holds the lock of the models folder.
    WriteError
        If the disk fails. Some reports may then already be removed.
    """
    if keep < 1:
        raise ConfigError(f"reports is {keep}; expected at least 1")
    folder = Path(models) / RUNS
    with write_access(Path(models), "models gc"):
        try:
            return _remove_reports(folder, keep)
        except OSError as error:
            raise WriteError(
                f"old reports in {folder} could not be removed: {reason_of(error)}; check the permissions"
            ) from error


def _remove_reports(folder: Path, keep: int, newest: str | None = None) -> list[str]:
    """Remove the files of all but the newest ``keep`` reports and the newest report of a promoted run.

    Return the removed names, without suffix. ``newest`` is the name, without suffix, of a report that counts
    as the newest, even if ``report_order`` puts other reports after it.
    """
    paths = sorted(folder.glob("[0-9]*"), key=report_order)
    stems = dict.fromkeys(path.stem for path in paths if path.stem != newest)
    old = [*stems, *([newest] if newest else [])][:-keep]
    promoted = name_of_last_promoted(folder)
    removed = [stem for stem in old if stem != promoted]
    for path in paths:
        if path.stem in removed:
            path.unlink()
    return removed


def rollback(models: str | os.PathLike[str], store: str, *, to: str | None = None, reason: str) -> Version:
    """Serve another version by ``versions.rollback``, and record the promotion in the store.

    If the store has no schema of this release, the rollback succeeds without a record. If the record cannot
    be written for another reason, the rollback succeeds too, and a warning is logged.

    Raises
    ------
    Item2VecError
        As for ``versions.rollback``.
    """
    version = versions.rollback(models, to=to, reason=reason)

    def record() -> None:
        with contextlib.suppress(SchemaError), Store(store) as opened:
            opened.check_schema()
            now = datetime.now(UTC)
            _record_promotion(opened, version, "rollback", run_id=None, reason=reason, now=now)

    _attempted(record, "the rollback was not recorded in the store")
    return version


def _record_promotion(
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


def _briefly(step: Callable[[], None]) -> None:
    """Run a step in a thread and wait at most ``STORE_SECONDS``; raise ``StoreError`` on timeout.

    Errors of the step are ignored. The time is limited because a service manager sends SIGKILL shortly after
    SIGTERM.
    """

    def quietly() -> None:
        with contextlib.suppress(Exception):
            step()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    if thread.is_alive():
        raise StoreError(
            f"the database did not respond within {STORE_SECONDS} s; the next run will complete this record"
        )


def _attempted(step: Callable[[], None], warning: str) -> bool:
    """Run a step, and log its error as a warning. Return False if SIGTERM or Ctrl-C interrupted the step."""
    try:
        step()
    except BaseException as error:  # noqa: BLE001 - this error does not change the outcome of the run
        log.warning(warning, extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
        return isinstance(error, Exception)
    return True


def _plain(value: Any) -> Any:
    """Convert a value to strict JSON types: NaN and infinite numbers become text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
