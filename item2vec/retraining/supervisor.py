"""Control of the worker process by its parent: start it, call its jobs, limit its time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from item2vec import errors
from item2vec.config import RetrainConfig
from item2vec.durations import seconds_of
from item2vec.errors import CorruptBundleError, Item2VecError, RunFailedError
from item2vec.processes import module_command, resident_memory, usable_memory
from item2vec.retraining.messages import DataSummary, EvaluationResult, JobName, Request, TrainingResult

__all__ = ["Worker"]

POLL_SECONDS = 0.25
GIB = 1 << 30
SHARE_OF_MEMORY = 0.75


class Worker:
    """A worker process that executes one job at a time, within limits of time and memory.

    Each job method calls the method of ``jobs.Jobs`` of the same name in the worker process. The worker
    process ends when its standard input is closed, so it does not outlive its parent. It inherits only the
    standard error stream of the parent, so it does not hold the lock of the models folder. At the end of the
    ``with`` block, the worker process is killed.

    A job method raises the item2vec error that the job raised in the worker process, and ``WriteError`` for
    an ``OSError`` of the job. It raises ``CorruptBundleError`` if SIGBUS killed the worker process: a mapped
    file was truncated, or the disk failed. It raises ``RunFailedError`` if the worker process ended for
    another reason, or is killed because it exceeded a limit, and for any other error of the job.

    Examples
    --------
    >>> with Worker(RetrainConfig(limits={"time": "1min"})) as worker:
    ...     worker.snapshot("sqlite:///nowhere.db", Path("/nowhere"), datetime(2024, 1, 1))
    Traceback (most recent call last):
    item2vec.errors.SchemaError: sqlite:///nowhere.db has no schema; expected revision ...
    """

    def __init__(self, config: RetrainConfig) -> None:
        self._limits = limits = config.limits
        self._deadline = time.monotonic() + seconds_of(limits.time, "limits.time")
        self._memory = int(limits.memory * GIB) if limits.memory else int(SHARE_OF_MEMORY * usable_memory())
        self._buffer = b""
        self.peak = 0
        """Maximum of the observed memory use of the worker process, in bytes."""
        self._process = subprocess.Popen(
            **module_command("item2vec.retraining.worker_main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # In its own session, the worker does not receive Ctrl-C. The parent kills the worker.
            start_new_session=True,
        )
        self._send(config.model_dump(mode="json", exclude_unset=True))

    def snapshot(self, store: str, folder: Path, now: datetime) -> DataSummary:
        """Read the store at the URL ``store``, and summarise the data to train on; see ``Jobs.snapshot``.

        If the settings name no prepared corpus, the interactions are written into the new folder ``folder``.
        """
        data: DataSummary = self._call("snapshot", store=store, folder=str(folder), now=now.isoformat())
        return data

    def train_and_evaluate(self) -> EvaluationResult:
        """Train without the held-out interactions, and evaluate the model and all baselines on them."""
        evaluation: EvaluationResult = self._call("train_and_evaluate")
        return evaluation

    def train(self, *, compared_with: Path | None) -> TrainingResult:
        """Train the model to be published from scratch, on all selected interactions; measure its health.

        ``compared_with`` is the path of the bundle of the served version, from which the drift of the new
        model is measured; ``None`` if no version is served.
        """
        bundle = str(compared_with) if compared_with else None
        trained: TrainingResult = self._call("train", compared_with=bundle)
        return trained

    def write(self, folder: Path, note: Mapping[str, Any], now: datetime) -> None:
        """Write the model that ``train`` has made as a bundle, with ``note`` in its manifest."""
        self._call("write", folder=str(folder), note=note, now=now.isoformat())

    def draw_page(self, path: Path, report: Mapping[str, Any], now: datetime) -> bool:
        """Write the HTML page of the run, and return True. If nothing was evaluated, only return False."""
        drawn: bool = self._call("draw_page", path=str(path), report=report, now=now.isoformat())
        return drawn

    def _call(self, job: JobName, **arguments: Any) -> Any:
        request: Request = {"job": job, "arguments": arguments}
        self._send(request)
        try:
            reply = json.loads(self._receive(job))
        except RunFailedError:
            self._process.kill()  # the run may continue without this job, but not beside it
            raise
        if "error" in reply:
            error: Item2VecError = getattr(errors, reply["error"])(reply["message"])
            error.exit_code = reply["exit_code"]
            raise error
        return reply["result"]

    def _send(self, value: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # _receive raises the error
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _receive(self, job: str) -> bytes:
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._buffer:
            if poll.poll(POLL_SECONDS * 1000):
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._ended(job)
                self._buffer += chunk
            self._check_limits(job)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _check_limits(self, job: str) -> None:
        used = resident_memory(self._process.pid)
        self.peak = max(self.peak, used)
        if used > self._memory:
            raise RunFailedError(
                f"job {job!r} used {used / GIB:.2f} GiB; expected at most {self._memory / GIB:.2f} GiB: "
                "raise memory in [limits], or train on less data: set days in [adapter], or prepare a "
                "smaller corpus"
            )
        if time.monotonic() > self._deadline:
            raise RunFailedError(
                f"job {job!r} was not finished when the run reached its time limit of {self._limits.time}: "
                "raise time in [limits], or train on less data: set days in [adapter], or prepare a smaller "
                "corpus"
            )

    def _ended(self, job: str) -> Item2VecError:
        """Return the error for a worker process that ended during a job."""
        code = self._process.wait()
        ending = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGBUS:
            return CorruptBundleError(
                f"job {job!r} ended with {ending} while it read a memory-mapped file: the file was "
                "truncated, or the disk failed; check the disk, and that no other process writes to the "
                "models folder or to the prepared corpus, then run the command again"
            )
        return RunFailedError(
            f"the worker process ended in job {job!r} with {ending}; see its messages above"
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
