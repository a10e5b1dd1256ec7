"""The watchdog: a run's heavy work is done by a process of its own, which is ended when it takes too much."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from item2vec import errors
from item2vec.config import RetrainConfig
from item2vec.durations import seconds_of
from item2vec.errors import Item2VecError, RunFailedError
from item2vec.processes import module_command

__all__ = ["Worker"]

LOOK_EVERY = 0.25  # seconds
GIB = 1 << 30
SHARE_OF_MEMORY = 0.75
RESIDENT = ("RssAnon:", "RssShmem:")
"""Mapped files are left out: the kernel takes those pages back when it needs them."""


class Worker:
    """A process that does one job at a time, within limits of time and memory.

    Its standard input is its lifeline: when this process ends, however it ends, so does the worker. It shares
    no descriptor with this process, so that it cannot go on holding a lock.

    Examples
    --------
    >>> with Worker(RetrainConfig(limits={"time": "1min"})) as worker:
    ...     worker.ask("snapshot", store="sqlite:///nowhere/item2vec.db", folder="/nowhere", now="2024-01-01")
    Traceback (most recent call last):
    item2vec.errors.SchemaError: sqlite:///nowhere/item2vec.db has no schema yet; this package needs ...
    """

    def __init__(self, config: RetrainConfig) -> None:
        self._limits = limits = config.limits
        self._deadline = time.monotonic() + seconds_of(limits.time, "limits.time")
        self._memory = int(limits.memory * GIB) if limits.memory else int(SHARE_OF_MEMORY * _machine_memory())
        self._waiting = b""
        self.peak = 0
        """The most memory that was seen, in bytes."""
        self._process = subprocess.Popen(
            **module_command("item2vec.retraining.work"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C in a terminal is for this process, which then ends the worker.
            start_new_session=True,
        )
        self._say(config.model_dump(mode="json", exclude_unset=True))

    def ask(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Let the worker do a job, and return what it answers.

        Raises
        ------
        RunFailedError
            If it crashed, or was ended because it took too long or too much memory.
        Item2VecError
            Whatever the job raised.
        """
        self._say([job, arguments])
        answer = json.loads(self._answer(job))
        if "error" in answer:
            error: Item2VecError = getattr(errors, answer["error"])(answer["message"])
            error.exit_code = answer["exit_code"]
            raise error
        done: dict[str, Any] = answer["done"]
        return done

    def _say(self, value: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is noticed where its answer is awaited
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _answer(self, job: str) -> bytes:
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._waiting:
            if poll.poll(LOOK_EVERY * 1000):
                read = os.read(self._process.stdout.fileno(), 1 << 16)
                if not read:
                    raise RunFailedError(
                        f"the working process ended by {self._how()} in {job!r}; see its messages above"
                    )
                self._waiting += read
            self._look(job)
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def _look(self, job: str) -> None:
        used = _resident(self._process.pid)
        self.peak = max(self.peak, used)
        if used > self._memory:
            raise RunFailedError(
                f"{job!r} used {used / GIB:.2f} GiB; expected at most {self._memory / GIB:.2f}: raise memory "
                "in [limits], or train on fewer days"
            )
        if time.monotonic() > self._deadline:
            raise RunFailedError(
                f"{job!r} was not done after {self._limits.time}; raise time in [limits], or train on fewer "
                "days"
            )

    def _how(self) -> str:
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
    """Return how much memory of a process the kernel could not take back, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(RESIDENT))


def _machine_memory() -> int:
    """Return the memory of the machine, or of the container if that has less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return memory
    return min(memory, int(limit)) if limit.isdecimal() else memory
