"""One nightly run: train, evaluate, and publish a new version if it passes the gates.

The steps are those of docs/retraining.md. The following functions carry them out, in the order of the calls:

1. ``Store.check_schema``; ``publishing.attempt`` locks the models folder (``locks.locked``), and removes
   temporary files of killed runs (``layout.sweep``). [parent]
2. ``record.begin`` removes temporary reports, and starts the record. The class ``Worker`` starts the process
   of the jobs. [parent]
3. ``rollbacks.held`` and ``gates.of_hold``. [parent]
4. ``Jobs.snapshot`` [worker], ``earlier_versions.read_earlier_results`` and ``gates.of_data``. [parent]
5. ``Jobs.train_and_evaluate``: ``jobs._split`` and ``jobs._sampled`` hold out the newest interactions
   (``_split_of_corpus`` those of a prepared corpus), ``fitting.fit`` trains on the remaining interactions,
   ``Study.of`` evaluates the model and the baselines. [worker]
   ``gates.of_evaluation``. [parent]
6. ``Jobs.train``: ``fitting.fit`` calls ``training.train_with_table`` and, for objectives with epochs,
   ``epochs.run_epochs``. ``drift.compare_models`` compares the model with the served version, and
   ``health.measure_health`` computes its statistics. [worker] ``gates.of_model``. [parent]
7. ``Jobs.write``: ``layout.with_layout`` computes the positions of the items, ``bundle.write`` writes
   the model to ``staging``. ``Record.draw_promoted`` lets ``Jobs.draw_page`` draw the HTML page [worker], and
   ``bundle.add_report`` adds the page to the bundle. [parent]
8. ``Attempt.commit`` checks for a hold again (``rollbacks.check_not_held``), lets another process read and
   query the bundle (``checking.run_canary``) [canary], moves the bundle to ``versions``, and replaces
   ``CURRENT`` (``layout.point_to``). [parent]
9. ``Record.end`` writes the report (``Record._write``) and the row of the store (``Record._write_to_store``),
   removes old reports (``Record._prune``), and copies the page from the version (``Record._add_page``).
   [parent] For a refused run, the page is drawn now. [worker] ``run._remove_checkpoint`` removes the states
   of finished trainings. [parent]
10. The lock is released. ``retention.gc`` removes old versions, and ``metrics_file._write`` writes the
    metrics. [parent]

[parent] is the process of the command, [worker] the process of the jobs, [canary] the process of the check.
The function ``_retrained`` carries out steps 1, 2 and 10, the class ``_Run`` steps 3 to 9.

A run that fails in step 1 or 2 leaves no report; the next run closes its row in the store, and removes its
temporary files. Step 9 records an error in steps 3 to 8. If there is an error, step 10 removes no versions.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from item2vec import bundle, versions
from item2vec.bundle.manifest import REPORT
from item2vec.config import RetrainConfig
from item2vec.errors import DurabilityError, GateRefusedError, Item2VecError, TrainingError
from item2vec.files import check_locks
from item2vec.retraining import gates, record
from item2vec.retraining import metrics_file as metrics
from item2vec.retraining.earlier_versions import (
    EarlierResults,
    EvaluationProtocol,
    protocol_of,
    read_earlier_results,
)
from item2vec.retraining.gates import Gate
from item2vec.retraining.messages import CheckpointName
from item2vec.retraining.record import Record
from item2vec.retraining.supervisor import Worker
from item2vec.store import Store
from item2vec.versions import Attempt, Version

__all__ = ["Retrained", "retrain"]

log = logging.getLogger("item2vec.retrain")


@dataclass(frozen=True)
class Retrained:
    """Result of a run that has published a version."""

    version: Version
    """The new version, which is now served."""
    report: dict[str, Any]
    """Report of the run."""
    path: Path
    """File of the report."""


def retrain(
    *,
    models: str | PathLike[str] = "models",
    store: str = "sqlite:///item2vec.db",
    config: RetrainConfig | None = None,
    force: str | None = None,
    now: datetime | None = None,
    metrics_file: str | PathLike[str] | None = None,
) -> Retrained:
    """Train on the interactions in the store, evaluate, and publish the model if it passes the gates.

    The run reads a snapshot of the store. It trains a model without the newest interactions, and evaluates
    this model and the baselines on the newest interactions. If the gates on the data and on the metrics are
    passed, the run trains a second model on all interactions that the adapter selects. If the second model
    passes its gates, too, the run writes the model to disk, lets another process read and query it, and
    publishes it in one atomic step. If ``config`` names a prepared corpus, the run trains on the corpus
    instead of the interactions in the store.

    A worker process trains and evaluates within the limits of ``config``. After a killed run no repair is
    necessary: start another run. From step 3 of docs/retraining.md on, a run writes a report to ``runs`` in
    the models folder and its outcome to the store, even if a gate rejects the model or the run fails.

    Parameters
    ----------
    models
        Folder of published versions. It is created if it does not exist.
    store
        URL of the SQL store.
    config
        Settings of the run; ``RetrainConfig()`` by default.
    force
        Reason for publishing the model even if it does not pass all gates. The reason is recorded. A model
        that cannot be trained, read back or queried is not published, and no model is published while a
        rollback holds promotions back.
    now
        Start time of the run; the current time by default. A datetime without a time zone is local time.
    metrics_file
        File for the textfile collector of Prometheus' node_exporter; its name ends with ``.prom``. The file
        is replaced at the end of the run, also after a refusal or an error. By default, no file is written.

    Raises
    ------
    ConfigError, InputError
        If a setting is invalid or does not fit the data, or a folder is not of the expected kind.
    GateRefusedError
        If a gate is not passed and ``force`` is ``None``, if the training failed, or if a rollback holds
        promotions back. The attribute ``report`` is the report of the run.
    NothingToTrainError
        If the store or the corpus holds no sentence of two items that occur at least ``min_count`` times.
    LockHeldError
        If another process or thread holds the lock of the models folder.
    RunFailedError
        If the worker process crashed, exceeded a limit of time or memory, or raised an unexpected error.
    PlatformError
        If the system has no POSIX file locks (Windows).
    DurabilityError
        If the new version is served, but the disk did not confirm that it will survive a power loss.
    StoreError, SchemaError, CorruptBundleError, WriteError
        If the database, the models folder or the disk fails. After every error except ``DurabilityError``,
        the served version is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import Config, TrainConfig, readers
    >>> folder = tempfile.mkdtemp()
    >>> listens = readers.read_interactions("sample_data/listens.csv.gz")
    >>> with Store(f"sqlite:///{folder}/item2vec.db") as store:
    ...     _ = store.upgrade()
    ...     _ = store.ingest(listens.take(listens.item < 300))  # fewer items, to save time
    >>> quick = Config(train=TrainConfig(vector_size=24, epochs=2))
    >>> quick = RetrainConfig(model=quick, layout=False, retention={"pages": False})
    >>> result = retrain(models=f"{folder}/models", store=f"sqlite:///{folder}/item2vec.db", config=quick)
    >>> result.version.generation, result.report["status"]
    (1, 'promoted')
    """
    check_locks()
    if force is not None:
        versions.check_reason(force)
    now = (now or datetime.now(UTC)).astimezone(UTC)
    with metrics.metrics_file(metrics_file, models) as measured:
        return _retrained(models, store, config or RetrainConfig(), force, now, measured)


def _retrained(
    models: str | PathLike[str],
    store: str,
    config: RetrainConfig,
    force: str | None,
    now: datetime,
    measured: metrics.Measured,
) -> Retrained:
    run: _Run | None = None
    try:
        with Store(store) as opened:
            opened.check_schema()
            with versions.attempt(models, command="retrain", room=_room(models)) as attempt:
                started = record.begin(opened, attempt, store_url=store, config=config, force=force, now=now)
                measured.record = started
                with Worker(config) as worker:
                    run = _Run(attempt, started, worker, store, config, force, now)
                    run.run()
    except BaseException as error:
        if run is None or run.published is None:
            raise
        # The new version is served. The next run completes the record, and removes the temporary files.
        log.warning("clean-up failed", extra={"facts": {"error": f"{type(error).__name__}: {error}"}})
    assert run is not None
    assert run.published is not None
    _remove_old_versions(models, config.retention.versions)
    return Retrained(run.published, run.record.report, run.record.path)


@dataclass
class _Run:
    """Steps 3 to 9 of one run."""

    attempt: Attempt
    record: Record
    worker: Worker
    store: str = field(repr=False)
    config: RetrainConfig
    force: str | None
    now: datetime

    protocol: EvaluationProtocol = field(init=False, repr=False)
    """Protocol of the evaluation. Set by ``_snapshot``."""
    earlier: EarlierResults = field(init=False, repr=False)
    """Results of earlier versions, with which gates compare the new version. Set by ``_snapshot``."""
    published: Version | None = None
    """The new version; ``None`` until it is served and the disk has confirmed the write."""

    def run(self) -> None:
        """Carry out steps 3 to 9.

        If ``CURRENT`` names the new version, but the disk has not confirmed the write, any error is converted
        to a ``DurabilityError``.
        """
        try:
            self._recorded()
        except DurabilityError:
            raise
        except BaseException as error:
            if self.published is not None or (served := self._served_if_new()) is None:
                raise
            raise DurabilityError(
                f"{served.id} is served, but the run ended ({_reason(error)}) before the disk confirmed the "
                "write; run item2vec retrain again"
            ) from error

    def _recorded(self) -> None:
        """Carry out steps 3 to 8, and complete the record (step 9) after success and after an error."""
        try:
            self.published = self._make_and_publish()
        except GateRefusedError as error:
            error.report = self.record.end("refused", self.worker, reason=str(error))
            if "evaluation" in self.record.report:  # else the run did not train
                _remove_checkpoint(self.config)
            raise
        except BaseException as error:
            hurried, served = not isinstance(error, Exception), self._served_if_new()
            status: record.Status = "failed" if served is None else "promoted"
            self.record.end(status, self.worker, version=served, reason=_reason(error), hurried=hurried)
            raise
        self.record.end("promoted", self.worker, version=self.published, reason=self.force)
        _remove_checkpoint(self.config)

    def _make_and_publish(self) -> Version:
        """Carry out steps 3 to 8: check for a hold, make a new version, and publish it."""
        models = self.attempt.models
        self._require([gates.of_hold(models, versions.held(models))], allow_force=False)
        self._snapshot()
        self._evaluate()
        self._train()
        self._write()
        self._add_page()
        return self._publish()

    def _snapshot(self) -> None:
        with self._phase("snapshot"):
            data = self.worker.snapshot(self.store, self.attempt.folder / "snapshot", self.now)
        self.record.report["data"] = data
        if data["future_example"] is not None:
            facts = {"n": data["future"], **data["future_example"]}
            log.warning("interactions dated a day or more in the future are ignored", extra={"facts": facts})
        self.protocol = protocol_of(self.config, data["split"])
        before, models = self.attempt.before, self.attempt.models
        self.earlier = read_earlier_results(before, models, self.protocol)
        self.record.report["live"] |= self.earlier
        self._require(gates.of_data(data, self.earlier, self.config.gates))

    def _evaluate(self) -> None:
        with self._phase("evaluate"), self._refusing_untrainable():
            evaluation = self.worker.train_and_evaluate()
        self.record.report["evaluation"] = {**evaluation, "protocol": self.protocol}
        self._require(gates.of_evaluation(evaluation, self.earlier, self.protocol, self.config.gates))

    def _train(self) -> None:
        served = self.attempt.before
        with self._phase("train"), self._refusing_untrainable():
            trained = self.worker.train(compared_with=served.path if served else None)
        self.record.report["model"] = trained
        if trained["live_fault"] is not None:
            facts = {"error": trained["live_fault"]}
            log.warning("the served version could not be compared with the new model", extra={"facts": facts})
        self._require(gates.of_model(trained, self.config.gates))

    def _write(self) -> None:
        with self._phase("write"):
            self.worker.write(self.attempt.bundle_path, self.record.note(), self.now)

    def _add_page(self) -> None:
        """Draw the HTML page, and add it to the bundle. If it cannot be drawn, the bundle has no page."""
        if self.config.retention.pages:
            with self._phase("draw"):
                page = self.attempt.folder / REPORT
                if self.record.draw_promoted(self.worker, page):
                    bundle.add_report(self.attempt.bundle_path, page)

    def _publish(self) -> Version:
        with self._phase("publish"):
            return self.attempt.commit()

    def _require(self, checked: Iterable[Gate], *, allow_force: bool = True) -> None:
        """Record gates. Raise ``GateRefusedError`` if a gate is not passed.

        If ``allow_force`` is True and the run is forced, a warning is logged instead.
        If a version is served, a warning names the gates that are passed because no result is comparable.
        """
        checked = list(checked)
        self.record.add_gates(checked)
        uncompared = {gate.name: gate.what for gate in checked if gate.is_uncompared}
        if uncompared and self.attempt.before is not None:
            log.warning("gates passed without a comparison with earlier runs", extra={"facts": uncompared})
        refusal = gates.refusal(checked)
        if refusal and (self.force is None or not allow_force):
            raise GateRefusedError(f"{refusal}; nothing was published")
        if refusal:
            log.warning(
                "gates overridden by force", extra={"facts": {"refused": refusal, "reason": self.force}}
            )

    @contextlib.contextmanager
    def _refusing_untrainable(self) -> Iterator[None]:
        """Convert ``TrainingError`` to ``GateRefusedError``. ``force`` does not apply: there is no model."""
        try:
            yield
        except TrainingError as error:
            self.record.add_gates([Gate.refused("training", str(error))])
            raise GateRefusedError(f"training: {error}; nothing was published") from error

    def _served_if_new(self) -> Version | None:
        """Return the new version if ``CURRENT`` names it, or may name it after a failed flush; else ``None``.

        An interrupted run may have replaced ``CURRENT`` before the interruption.
        """
        if self.attempt.committed is not None:
            return self.attempt.committed
        with contextlib.suppress(Item2VecError):
            version = versions.served_version(self.attempt.models)
            return version if version.id == self.attempt.id else None
        return None

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Log the start and the end of a phase, and record its duration in seconds.

        A phase that raises an error has neither a logged end nor a duration.
        """
        started = time.monotonic()
        log.info(name, extra={"facts": {"run": self.attempt.id}})
        yield
        seconds = round(time.monotonic() - started, 3)
        self.record.report["seconds"][name] = seconds
        log.info(f"{name} done", extra={"facts": {"run": self.attempt.id, "seconds": seconds}})


def _reason(error: BaseException) -> str:
    """Return the error of a failed run as text, for the record of the run."""
    return str(error) if isinstance(error, Item2VecError) else f"{type(error).__name__}: {error}"


def _remove_checkpoint(config: RetrainConfig) -> None:
    """Remove the states of the trainings of a run whose model was published or refused."""
    if config.checkpoint is None:
        return
    for name in get_args(CheckpointName):
        try:
            from item2vec.training.checkpoint import remove_checkpoint

            remove_checkpoint(Path(config.checkpoint) / name)
        except BaseException as error:  # noqa: BLE001 - this error does not change the outcome of the run
            facts = {"error": f"{type(error).__name__}: {error}"}
            log.warning("the checkpoint was not removed", extra={"facts": facts})


def _remove_old_versions(models: str | PathLike[str], keep: int) -> None:
    try:
        for version in versions.gc(models, keep=keep):
            log.info("old version removed", extra={"facts": {"version": version.id}})
    except BaseException as error:  # noqa: BLE001 - this error does not change the outcome of the run
        facts = {"error": f"{type(error).__name__}: {error}"}
        log.warning("old versions were not removed", extra={"facts": facts})


def _room(models: str | PathLike[str]) -> int:
    """Return an estimate of the disk space that a run needs for a snapshot and a new version, in bytes.

    The estimate is twice the size of the served version; 0 if no version is served or its size is unknown.
    """
    try:
        return 2 * sum(path.stat().st_size for path in versions.served_version(models).path.iterdir())
    except (Item2VecError, OSError):
        return 0
