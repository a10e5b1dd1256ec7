"""The trials of a study on the disk: a study that was killed goes on, and several processes may share it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import ConfigError, CorruptBundleError
from item2vec.tuning.trial import Trial

__all__ = ["Journal"]

WRITING = 1 << 40
"""The byte whose lock a process holds while it reads and appends; far beyond the end of the file."""
RUNNING = WRITING + 1
"""The byte of trial 0: a process holds the lock of a trial's byte as long as it runs the trial."""
FIELDS = ("number", "state", "score", "rungs", "reason", "seconds")


class Journal:
    """A file of JSON lines: what the study is about, then one trial a line, each flushed to the disk.

    Processes that share the file append in turn and never run the same trial at once. Both are seen to by
    locks (POSIX record locks), of which the kernel lets go when a process ends, however it ends. A last line
    that a killed process left half written is dropped.

    ``lag`` is how far behind its number the trials are that a suggestion depends on. It belongs to the study,
    so that the study goes on in the same way on a machine with more or fewer cores.

    Raises
    ------
    ConfigError
        If the file is that of another study: other data, seed, metric or settings.
    CorruptBundleError
        If this class has not written a line.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], lag: int) -> None:
        self.lag = lag
        self._path = path
        self._trials: dict[int, Trial] = {}
        self._claimed: set[int] = set()
        self._n_lines = 0
        self._n_read = 0
        # One descriptor only: to close another of the same file would release all locks of this process.
        self._descriptor = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if path is None:
            return
        with self._writing():
            lines = self._new_lines()
            if not lines:
                self._append({**about, "lag": lag})
                return
            found = _parsed(path, 1, lines[0])
            _check_same(path, found, about)
            self.lag = int(found.get("lag", lag))
            self._take(lines[1:])

    def close(self) -> None:
        """Let go of the file and all trials that were claimed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def trials(self) -> list[Trial]:
        """All finished trials, by their number."""
        return [self._trials[number] for number in sorted(self._trials)]

    def claim(self) -> int:
        """Return the lowest number that no process has finished, runs now, or this one has claimed before."""
        with self._writing():
            self._take(self._new_lines())
            number = 0
            while number in self._trials or number in self._claimed or not self._lock(RUNNING + number):
                number += 1
        self._claimed.add(number)
        return number

    def add(self, trial: Trial) -> None:
        """Remember a finished trial, and let go of its number."""
        settings = {"train": trial.config.train.model_dump(), "taste": trial.config.taste.model_dump()}
        with self._writing():
            self._take(self._new_lines())
            if trial.number not in self._trials:
                self._trials[trial.number] = trial
                self._append({name: getattr(trial, name) for name in FIELDS} | settings)
        self.release(trial.number)

    def settle(self, n_trials: int) -> bool:
        """Wait until no other process runs one of the first trials; return whether one is left to be run."""
        for number in range(n_trials if self._descriptor >= 0 else 0):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, RUNNING + number)
            self.release(number)
        with self._writing():
            self._take(self._new_lines())
        return any(n not in self._trials and n not in self._claimed for n in range(n_trials))

    def release(self, number: int) -> None:
        """Let go of a trial that was not finished, so that another process may run it."""
        if self._descriptor >= 0:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, RUNNING + number)

    def _lock(self, byte: int) -> bool:
        if self._descriptor < 0:
            return True
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._descriptor < 0:
            yield
            return
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, WRITING)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, WRITING)

    def _new_lines(self) -> list[bytes]:
        """Return the lines that were added since the last look; the caller holds the lock for writing."""
        if self._descriptor < 0:
            return []
        size = os.fstat(self._descriptor).st_size
        added = os.pread(self._descriptor, size - self._n_read, self._n_read)
        whole = added[: added.rfind(b"\n") + 1]
        if len(whole) < len(added):  # of a killed process: no other writes now
            os.ftruncate(self._descriptor, self._n_read + len(whole))
        self._n_read += len(whole)
        return whole.splitlines()

    def _take(self, lines: list[bytes]) -> None:
        assert self._path is not None or not lines
        for line in lines:
            self._n_lines += 1
            trial = _trial(self._path, self._n_lines + 1, line)
            self._trials.setdefault(trial.number, trial)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._descriptor < 0:
            return
        content = json.dumps(line, allow_nan=False).encode() + b"\n"
        self._n_read += os.pwrite(self._descriptor, content, self._n_read)
        self._n_lines += "number" in line
        os.fsync(self._descriptor)


def _check_same(path: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for name, value in about.items():
        if found.get(name) != value:
            raise ConfigError(
                f"{path} is a study with {name} {found.get(name)!r}, and this one has {value!r}; "
                "expected the same data and settings: give the new study a file of its own"
            )


def _parsed(path: Path | None, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise CorruptBundleError(f"{path} line {number} is not JSON: {error}; delete the study") from error
    if not isinstance(found, dict):
        raise CorruptBundleError(
            f"{path} line {number} is {found!r:.80}; expected an object; delete the study"
        )
    return found


def _trial(path: Path | None, number: int, line: bytes) -> Trial:
    found = _parsed(path, number, line)
    try:
        config = Config(train=TrainConfig(**found.pop("train")), taste=TasteConfig(**found.pop("taste")))
        return Trial(config=config, **{**found, "rungs": tuple(found["rungs"])})
    except (KeyError, TypeError, ConfigError) as error:
        raise CorruptBundleError(f"{path} line {number} is no trial: {error}; delete the study") from error
