"""One nightly run: lock, snapshot, judge, gates, train, gates, verify, publish, log, prune."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec import versions
from item2vec.config import RetrainConfig
from item2vec.errors import DurabilityError, GateRefusedError, Item2VecError, TrainingError
from item2vec.retraining import gates, record
from item2vec.retraining.gates import Gate
from item2vec.retraining.record import Record
from item2vec.retraining.worker import Worker
from item2vec.store import Store
from item2vec.versions import Attempt, Version

__all__ = ["Retrained", "retrain"]

log = logging.getLogger("item2vec.retrain")


@dataclass(frozen=True)
class Retrained:
    """What came of a run: the version that is now served, and the run's report, which stands at ``path``."""

    version: Version
    report: dict[str, Any]
    path: Path


def retrain(
    *,
    models: str | PathLike[str] = "models",
    store: str = "sqlite:///item2vec.db",
    config: RetrainConfig | None = None,
    force: str | None = None,
    now: datetime | None = None,
) -> Retrained:
    """Train on what the store holds, judge the model, and publish it; or leave what is served as it is.

    A snapshot of the store is split by time; a model of the past is asked what came then, beside the
    baselines; if it passes the gates, a model of everything is trained, checked, read back from the disk, and
    published in one atomic step. All heavy work is done in a process of its own, within the limits of
    ``config``. A run that was killed at any moment is simply run again. The report of each run, also of one
    that was refused or failed, is in ``runs`` in the models folder, and the run itself in the store.

    Parameters
    ----------
    force
        A reason to publish although gates are not passed, for the record. What cannot be trained, read back
        or asked is never published, and neither is anything while a rollback holds promotions back.
    now
        When the run begins; the clock's time unless given.

    Raises
    ------
    GateRefusedError
        If a gate is not passed, or a rollback holds promotions back; ``.report`` has the numbers.
    NothingToTrainError
        If the store holds nothing to learn from.
    LockHeldError
        If another run holds the lock of the models folder.
    RunFailedError
        If the working process crashed, or took too long or too much memory.
    DurabilityError
        If the model is served, but the disk did not confirm that this will survive a power loss.
    StoreError, SchemaError, CorruptBundleError, WriteError
        If the database, the models folder or the disk fail. In all cases but ``DurabilityError`` nothing has
        changed for readers.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import Config, TrainConfig, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     _ = store.ingest(listens.take(listens.item < 300))  # some items, to be quick
    >>> quick = Config(train=TrainConfig(vector_size=24, epochs=2))
    >>> quick = RetrainConfig(model=quick, retention={"pages": False})
    >>> done = retrain(models=f"{folder}/models", store=f"sqlite:///{folder}/item2vec.db", config=quick)
    >>> done.version.generation, done.report["status"]
    (1, 'promoted')
    """
    config = config or RetrainConfig()
    if force is not None:
        versions.check_reason(force)
    now = (now or datetime.now(UTC)).astimezone(UTC)
    done: Retrained | None = None
    try:
        with Store(store) as opened:
            opened.check_schema()
            with versions.attempt(models, command="retrain", room=_room(models)) as staged:
                begun = record.begin(opened, staged, store_url=store, config=config, force=force, now=now)
                run = _Run(staged, begun, config, force, now)
                with Worker(config) as worker:
                    done = run.recorded(worker, store)
    except BaseException as error:
        if done is None:
            raise
        # It is served and recorded. What could not be cleaned up, the next run will.
        log.warning("not cleaned up", extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
    _remove_old_versions(models, config.retention.versions)
    return done


class _Run:
    """One run, from the snapshot to the promotion."""

    def __init__(
        self, staged: Attempt, begun: Record, config: RetrainConfig, force: str | None, now: datetime
    ) -> None:
        self.staged, self.record, self.config, self.force, self.now = staged, begun, config, force, now

    def recorded(self, worker: Worker, store: str) -> Retrained:
        """Do the run; however it ends, leave a record of it."""
        try:
            version = self._do(worker, store)
        except DurabilityError as error:
            self.record.end("promoted", worker, version=self.staged.committed, reason=str(error))
            raise
        except GateRefusedError as error:
            error.report = self.record.end("refused", worker, reason=str(error))
            raise
        except BaseException as error:
            told = str(error) if isinstance(error, Item2VecError) else f"{type(error).__name__}: {error}"
            if (found := self._promoted()) is not None:
                self.record.end("promoted", worker, version=found, reason=told, hurried=True)
                raise DurabilityError(
                    f"{found.id} is served, but the run was ended ({told}) before the disk confirmed it"
                ) from error
            self.record.end("failed", worker, reason=told, hurried=not isinstance(error, Exception))
            raise
        report = self.record.end("promoted", worker, version=version, reason=self.force)
        return Retrained(version, report, self.record.path)

    def _promoted(self) -> Version | None:
        """Return what is served, if it is this run's: one that is told to stop may have come that far."""
        with contextlib.suppress(Item2VecError):
            version = versions.current(self.staged.models)
            return version if version.id == self.staged.id else None
        return None

    def _do(self, worker: Worker, store: str) -> Version:
        report, before = self.record.report, self.record.before
        protocol = record.protocol(self.config)
        self._pass([gates.of_hold(versions.held(self.staged.models))], by_force=False)
        with self._phase("snapshot"):
            spool, now = str(self.staged.folder / "spool"), self.now.isoformat()
            report["data"] = worker.ask("snapshot", store=store, folder=spool, now=now)
            if report["data"]["future"]:
                facts = {"n": report["data"]["future"], **report["data"]["future_example"]}
                log.warning("interactions of the future are ignored", extra={"facts": facts})
        self._pass(gates.of_data(report["data"], before, self.config.gates))
        with self._phase("judge"), _refused_if_untrained(self.record):
            report["evaluation"] = worker.ask("judge") | {"protocol": protocol}
        self._pass(gates.of_evaluation(report["evaluation"], before, protocol, self.config.gates))
        served = self.staged.before
        with self._phase("train"), _refused_if_untrained(self.record):
            report["model"] = worker.ask("train", live=str(served.path) if served else None)
            if fault := report["model"]["live_fault"]:
                log.warning("the live version is damaged", extra={"facts": {"error": fault}})
        self._pass(gates.of_model(report["model"], self.config.gates))
        with self._phase("write"):
            note = self.record.note()
            worker.ask("write", folder=str(self.staged.bundle), note=note, now=self.now.isoformat())
        with self._phase("publish"):
            return self.staged.commit()

    def _pass(self, found: Iterable[Gate], *, by_force: bool = True) -> None:
        """Note what gates found; go no further if one is not passed, unless forced to."""
        found = list(found)
        self.record.add_gates(found)
        refusal = gates.refusal(found)
        if refusal and (self.force is None or not by_force):
            raise GateRefusedError(f"{refusal}; what was served still is")
        if refusal:
            log.warning("forced", extra={"facts": {"refused": refusal, "reason": self.force}})

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        log.info(name, extra={"facts": {"run": self.staged.id}})
        yield
        seconds = round(time.monotonic() - started, 3)
        self.record.report["seconds"][name] = seconds
        log.info(f"{name} done", extra={"facts": {"run": self.staged.id, "seconds": seconds}})


def _remove_old_versions(models: str | PathLike[str], keep: int) -> None:
    try:
        for version in versions.gc(models, keep=keep):
            log.info("removed", extra={"facts": {"version": version.id}})
    except BaseException as error:  # noqa: BLE001 - the run's outcome stands already
        facts = {"error": f"{type(error).__name__}: {error}"}
        log.warning("old versions were not removed", extra={"facts": facts})


def _room(models: str | PathLike[str]) -> int:
    """Return twice the size of what is served: for a version like it, and a snapshot; 0 if nothing is."""
    try:
        return 2 * sum(path.stat().st_size for path in versions.current(models).path.iterdir())
    except (Item2VecError, OSError):
        return 0


@contextlib.contextmanager
def _refused_if_untrained(begun: Record) -> Iterator[None]:
    """Let a training that went wrong be a refusal: there is nothing that could be published by force."""
    try:
        yield
    except TrainingError as error:
        begun.add_gates([Gate("training", False, None, None, None, str(error))])
        raise GateRefusedError(f"training: {error}; what was served still is") from error
