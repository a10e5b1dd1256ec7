"""One nightly run, in the order in which it is carried out.

The command ``item2vec retrain`` calls ``retrain``. That function carries out steps 1, 2 and 10, the class
``_Run`` the others. A job is a method of ``jobs.Jobs``: ``supervisor.Worker`` calls it in the worker process.

1. Check the schema of the store, lock the models folder, and remove leftovers of killed runs:
   ``versions.attempt``.
2. Start the record of the run, and read the results of earlier versions: ``record.begin``.
3. Refuse if a rollback holds promotions back: ``gates.of_hold``.
4. Take a snapshot of the store (job ``snapshot``), and check the amount of data: ``gates.of_data``.
5. Train on the past, and evaluate on the newest interactions (job ``evaluate``): ``gates.of_evaluation``.
6. Train the model to be served on everything (job ``train``), and check it: ``gates.of_model``.
7. Write that model as a bundle (job ``write``).
8. Read the bundle back in a separate process, and replace ``CURRENT``: ``Attempt.commit``.
9. Complete the record: report, row in the store, HTML page (job ``draw_page``): ``Record.end``.
10. Remove old versions: ``versions.gc``.

If one of the steps 3 to 8 raises, step 9 records the error. In any case the staging folder is removed and the
lock released.
"""

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
from item2vec.retraining.earlier_versions import protocol_of
from item2vec.retraining.gates import Gate
from item2vec.retraining.record import Record
from item2vec.retraining.supervisor import Worker
from item2vec.store import Store
from item2vec.versions import Attempt, Version

__all__ = ["Retrained", "retrain"]

log = logging.getLogger("item2vec.retrain")


@dataclass(frozen=True)
class Retrained:
    """The result of a run: the version now served, and the run's report, which is saved at ``path``."""

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
    """Train on the contents of the store, evaluate, and publish; or leave the served version in place.

    The run reads a snapshot of the store and splits it by time. It trains a model on the past, and evaluates
    it and the baselines on the newest interactions. If all gates are passed, it trains a model on everything,
    checks it, reads it back from the disk, and publishes it in one atomic step. Training and evaluation are
    done in a worker process, within the limits of ``config``. A run that was killed needs no repair: run it
    again. Every run leaves a report in ``runs`` in the models folder and a row in the store, also if it was
    refused or failed.

    Parameters
    ----------
    models
        Folder of published versions; created if it does not exist.
    store
        URL of the SQL store.
    config
        Settings; the defaults if not given.
    force
        Reason to publish even if gates are not passed; it is recorded. A model that cannot be trained, read
        back or queried is never published, and no model is while a rollback holds promotions back.
    now
        Start time of the run; by default the current time.

    Raises
    ------
    GateRefusedError
        If a gate is not passed, or a rollback holds promotions back; ``.report`` is the run's report.
    NothingToTrainError
        If the store holds no sentence of two items.
    LockHeldError
        If another run holds the lock of the models folder.
    RunFailedError
        If the worker process crashed, or exceeded a limit of time or memory.
    DurabilityError
        If the new version is served, but the disk did not confirm that it will survive a power loss.
    StoreError, SchemaError, CorruptBundleError, WriteError
        If the database, the models folder or the disk fails. After every error but ``DurabilityError`` the
        version served before is still served.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import Config, TrainConfig, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     _ = store.ingest(listens.take(listens.item < 300))  # a part of the items, to be quick
    >>> quick = Config(train=TrainConfig(vector_size=24, epochs=2))
    >>> quick = RetrainConfig(model=quick, retention={"pages": False})
    >>> result = retrain(models=f"{folder}/models", store=f"sqlite:///{folder}/item2vec.db", config=quick)
    >>> result.version.generation, result.report["status"]
    (1, 'promoted')
    """
    config = config or RetrainConfig()
    if force is not None:
        versions.check_reason(force)
    now = (now or datetime.now(UTC)).astimezone(UTC)
    result: Retrained | None = None
    try:
        with Store(store) as opened:
            opened.check_schema()
            with versions.attempt(models, command="retrain", room=_room(models)) as attempt:
                started = record.begin(opened, attempt, store_url=store, config=config, force=force, now=now)
                with Worker(config) as worker:
                    result = _Run(attempt, started, worker, store, config, force, now).run()
    except BaseException as error:
        if result is None:
            raise
        # The new version is served and recorded; the next run cleans up what this one could not.
        log.warning("clean-up failed", extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
    _remove_old_versions(models, config.retention.versions)
    return result


@dataclass
class _Run:
    """Steps 3 to 9 of one run."""

    attempt: Attempt
    record: Record
    worker: Worker
    store: str
    config: RetrainConfig
    force: str | None
    now: datetime

    def run(self) -> Retrained:
        """Carry out steps 3 to 8, then complete the record, whether they succeeded or raised."""
        try:
            version = self._promote()
        except DurabilityError as error:
            self.record.end("promoted", self.worker, version=self.attempt.committed, reason=str(error))
            raise
        except GateRefusedError as error:
            error.report = self.record.end("refused", self.worker, reason=str(error))
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, Item2VecError) else f"{type(error).__name__}: {error}"
            if (served := self._served_if_new()) is not None:
                self.record.end("promoted", self.worker, version=served, reason=reason, hurried=True)
                raise DurabilityError(
                    f"{served.id} is served, but the run ended ({reason}) before the disk confirmed it"
                ) from error
            self.record.end("failed", self.worker, reason=reason, hurried=not isinstance(error, Exception))
            raise
        report = self.record.end("promoted", self.worker, version=version, reason=self.force)
        return Retrained(version, report, self.record.path)

    def _promote(self) -> Version:
        """Carry out steps 3 to 8."""
        self._require([gates.of_hold(versions.held(self.attempt.models))], allow_force=False)
        self._snapshot()
        self._evaluate()
        self._train()
        self._write()
        return self._publish()

    def _snapshot(self) -> None:
        with self._phase("snapshot"):
            data = self.worker.snapshot(self.store, self.attempt.folder / "snapshot", self.now)
        self.record.report["data"] = data
        if data["future_example"] is not None:
            facts = {"n": data["future"], **data["future_example"]}
            log.warning("interactions dated in the future are ignored", extra={"facts": facts})
        self._require(gates.of_data(data, self.record.earlier, self.config.gates))

    def _evaluate(self) -> None:
        protocol = protocol_of(self.config)
        with self._phase("evaluate"), self._refusing_untrainable():
            evaluation = self.worker.evaluate()
        self.record.report["evaluation"] = {**evaluation, "protocol": protocol}
        self._require(gates.of_evaluation(evaluation, self.record.earlier, protocol, self.config.gates))

    def _train(self) -> None:
        live = self.attempt.before
        with self._phase("train"), self._refusing_untrainable():
            trained = self.worker.train(live.path if live else None)
        self.record.report["model"] = trained
        if trained["live_fault"] is not None:
            log.warning("the live version is damaged", extra={"facts": {"error": trained["live_fault"]}})
        self._require(gates.of_model(trained, self.config.gates))

    def _write(self) -> None:
        with self._phase("write"):
            self.worker.write(self.attempt.bundle_path, self.record.note(), self.now)

    def _publish(self) -> Version:
        with self._phase("publish"):
            return self.attempt.commit()

    def _require(self, checked: Iterable[Gate], *, allow_force: bool = True) -> None:
        """Record gates; raise if one is not passed, unless the run is forced."""
        checked = list(checked)
        self.record.add_gates(checked)
        refusal = gates.refusal(checked)
        if refusal and (self.force is None or not allow_force):
            raise GateRefusedError(f"{refusal}; nothing was published")
        if refusal:
            log.warning("forced", extra={"facts": {"refused": refusal, "reason": self.force}})

    @contextlib.contextmanager
    def _refusing_untrainable(self) -> Iterator[None]:
        """Turn a failed training into a refusal. It cannot be forced: there is no model to publish."""
        try:
            yield
        except TrainingError as error:
            self.record.add_gates([Gate.refused("training", str(error))])
            raise GateRefusedError(f"training: {error}; nothing was published") from error

    def _served_if_new(self) -> Version | None:
        """Return the served version if this run made it, as it may have before it was interrupted."""
        with contextlib.suppress(Item2VecError):
            version = versions.served_version(self.attempt.models)
            return version if version.id == self.attempt.id else None
        return None

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Log the start and the end of a phase, and record how many seconds it took."""
        started = time.monotonic()
        log.info(name, extra={"facts": {"run": self.attempt.id}})
        yield
        seconds = round(time.monotonic() - started, 3)
        self.record.report["seconds"][name] = seconds
        log.info(f"{name} done", extra={"facts": {"run": self.attempt.id, "seconds": seconds}})


def _remove_old_versions(models: str | PathLike[str], keep: int) -> None:
    try:
        for version in versions.gc(models, keep=keep):
            log.info("removed", extra={"facts": {"version": version.id}})
    except BaseException as error:  # noqa: BLE001 - the new version is served already
        facts = {"error": f"{type(error).__name__}: {error}"}
        log.warning("old versions were not removed", extra={"facts": facts})


def _room(models: str | PathLike[str]) -> int:
    """Return the bytes that a run needs for a new version and a snapshot: twice the served version's size."""
    try:
        return 2 * sum(path.stat().st_size for path in versions.served_version(models).path.iterdir())
    except (Item2VecError, OSError):
        return 0
