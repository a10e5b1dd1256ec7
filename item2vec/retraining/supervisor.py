"""The parent's side of the worker process: start it, call its jobs, limit its time and memory."""

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
from item2vec.errors import Item2VecError, RunFailedError
from item2vec.processes import module_command
from item2vec.retraining.messages import DataSummary, EvaluationResult, JobName, Request, TrainingResult

__all__ = ["Worker"]

POLL_SECONDS = 0.25
GIB = 1 << 30
SHARE_OF_MEMORY = 0.75
RESIDENT = ("RssAnon:", "RssShmem:")
"""Memory that counts against the limit. Pages of mapped files do not: the kernel can evict them."""


class Worker:
    """A worker process that executes one job at a time, within limits of time and memory.

    Each job is a method of ``jobs.Jobs`` with the same name, executed in the worker process. The process ends
    when its standard input is closed, and therefore never outlives this one. It inherits no file descriptor,
    and therefore never holds the lock of the models folder.

    Every job raises the error that it raised in the worker process, or ``RunFailedError`` if that process
    crashed, or exceeded a limit and was killed.

    Examples
    --------
    >>> with Worker(RetrainConfig(limits={"time": "1min"})) as worker:
    ...     worker.snapshot("sqlite:///nowhere/item2vec.db", Path("/nowhere"), datetime(2024, 1, 1))
    Traceback (most recent call last):
    item2vec.errors.SchemaError: sqlite:///nowhere/item2vec.db has no schema; expected revision ...
    """

    def __init__(self, config: RetrainConfig) -> None:
        self._limits = limits = config.limits
        self._deadline = time.monotonic() + seconds_of(limits.time, "limits.time")
        self._memory = int(limits.memory * GIB) if limits.memory else int(SHARE_OF_MEMORY * _machine_memory())
        self._buffer = b""
        self.peak = 0
        """Largest memory use observed so far, in bytes."""
        self._process = subprocess.Popen(
            **module_command("item2vec.retraining.worker_main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C in a terminal reaches this process alone, which then ends the worker.
            start_new_session=True,
        )
        self._send(config.model_dump(mode="json", exclude_unset=True))

    def snapshot(self, store: str, folder: Path, now: datetime) -> DataSummary:
        """Read the store (a URL) and write the snapshot into a new folder."""
        data: DataSummary = self._call("snapshot", store=store, folder=str(folder), now=now.isoformat())
        return data

    def evaluate(self) -> EvaluationResult:
        """Train on the past and evaluate on the newest interactions."""
        evaluation: EvaluationResult = self._call("evaluate")
        return evaluation

    def train(self, live: Path | None) -> TrainingResult:
        """Train the model to be served on everything, and compare it with the live version's bundle."""
        trained: TrainingResult = self._call("train", live=str(live) if live else None)
        return trained

    def write(self, folder: Path, note: Mapping[str, Any], now: datetime) -> None:
        """Write that model as a bundle; ``note`` becomes the note of its manifest."""
        self._call("write", folder=str(folder), note=note, now=now.isoformat())

    def draw_page(self, path: Path, report: Mapping[str, Any], now: datetime) -> bool:
        """Write the run's HTML page; return whether there was an evaluation to show."""
        drawn: bool = self._call("draw_page", path=str(path), report=report, now=now.isoformat())
        return drawn

    def _call(self, job: JobName, **arguments: Any) -> Any:
        request: Request = {"job": job, "arguments": arguments}
        self._send(request)
        reply = json.loads(self._receive(job))
        if "error" in reply:
            error: Item2VecError = getattr(errors, reply["error"])(reply["message"])
            error.exit_code = reply["exit_code"]
            raise error
        return reply["result"]

    def _send(self, value: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # _receive reports that the process has ended
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
                    raise RunFailedError(
                        f"the worker process ended in {job!r} by {self._exit()}; see its messages above"
                    )
                self._buffer += chunk
            self._check_limits(job)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _check_limits(self, job: str) -> None:
        used = _resident(self._process.pid)
        self.peak = max(self.peak, used)
        if used > self._memory:
            raise RunFailedError(
                f"{job!r} used {used / GIB:.2f} GiB; expected at most {self._memory / GIB:.2f}: raise memory "
                "in [limits], or train on fewer days"
            )
        if time.monotonic() > self._deadline:
            raise RunFailedError(
                f"{job!r} had not finished when the run reached its limit of {self._limits.time}: raise time "
                "in [limits], or train on fewer days"
            )

    def _exit(self) -> str:
        code = self._process.wait()
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _resident(pid: int) -> int:
    """Return the memory of a process that the kernel cannot evict, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(RESIDENT))


def _machine_memory() -> int:
    """Return the memory of the machine, or of the container if that is less, in bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return memory
    return min(memory, int(limit)) if limit.isdecimal() else memory
