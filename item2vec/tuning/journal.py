"""The trials of a study in a file, so that a killed study is resumed and several processes can share one."""

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
"""A process locks this byte, far beyond the end of the file, while it reads and appends."""
RUNNING = WRITING + 1
"""The byte of trial 0. A process locks the byte of a trial while it runs the trial."""
FIELDS = ("number", "state", "score", "rungs", "reason", "seconds")


class Journal:
    """A file of JSON lines: a header that identifies the study, and one line per trial, flushed to disk.

    Processes that share the file append in turn, and never run the same trial at once. Both rely on POSIX
    record locks, which the kernel releases when a process ends for any reason. An incomplete last line, left
    by a killed process, is removed.

    ``lag`` is the number of trials before a suggestion that it does not depend on. It is stored with the
    study, so that a resumed study makes the same suggestions on any number of cores.

    Raises
    ------
    ConfigError
        If the file belongs to another study: other data, seed, metric or settings.
    CorruptBundleError
        If a line was not written by this class.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], lag: int) -> None:
        self.lag = lag
        self._path = path
        self._trials: dict[int, Trial] = {}
        self._claimed: set[int] = set()
        self._n_lines = 0
        self._n_read = 0
        # One descriptor only: closing another one of the same file would release all locks of this process.
        self._descriptor = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if path is None:
            return
        with self._writing():
            lines = self._new_lines()
            if not lines:
                self._append({**about, "lag": lag})
                return
            header = _parsed(path, 1, lines[0])
            _check_same(path, header, about)
            self.lag = int(header.get("lag", lag))
            self._take(lines[1:])

    def close(self) -> None:
        """Close the file, which releases all claimed trials."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def trials(self) -> list[Trial]:
        """All finished trials, ordered by number."""
        return [self._trials[number] for number in sorted(self._trials)]

    def claim(self) -> int:
        """Claim and return the lowest number of a trial that is neither finished nor claimed."""
        with self._writing():
            self._take(self._new_lines())
            number = 0
            while number in self._trials or number in self._claimed or not self._lock(RUNNING + number):
                number += 1
        self._claimed.add(number)
        return number

    def add(self, trial: Trial) -> None:
        """Append a finished trial, and release its number."""
        settings = {"train": trial.config.train.model_dump(), "taste": trial.config.taste.model_dump()}
        others = [
            {"number": other.number, "score": other.score, "taste": other.config.taste.model_dump()}
            for other in trial.others
        ]
        with self._writing():
            self._take(self._new_lines())
            if trial.number not in self._trials:
                self._trials[trial.number] = trial
                self._append({name: getattr(trial, name) for name in FIELDS} | settings | {"others": others})
        self.release(trial.number)

    def settle(self, n_trials: int) -> bool:
        """Wait until no other process runs one of the first ``n_trials``; return whether any is left."""
        for number in range(n_trials if self._descriptor >= 0 else 0):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, RUNNING + number)
            self.release(number)
        with self._writing():
            self._take(self._new_lines())
        return any(n not in self._trials and n not in self._claimed for n in range(n_trials))

    def release(self, number: int) -> None:
        """Release an unfinished trial, so that another process can run it."""
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
        """Return the lines added since the last call; the caller holds the lock for writing."""
        if self._descriptor < 0:
            return []
        size = os.fstat(self._descriptor).st_size
        added = os.pread(self._descriptor, size - self._n_read, self._n_read)
        whole = added[: added.rfind(b"\n") + 1]
        if len(whole) < len(added):  # left by a killed process, since this one holds the lock
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


def _check_same(path: Path, header: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for name, value in about.items():
        if header.get(name) != value:
            raise ConfigError(
                f"{path} is a study with {name} {header.get(name)!r}; expected {value!r}: use the same data "
                "and settings, or another file for the new study"
            )


def _parsed(path: Path | None, number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise CorruptBundleError(f"{path} line {number} is not JSON: {error}; delete the study") from error
    if not isinstance(content, dict):
        raise CorruptBundleError(
            f"{path} line {number} is {content!r:.80}; expected an object; delete the study"
        )
    return content


def _trial(path: Path | None, number: int, line: bytes) -> Trial:
    fields = _parsed(path, number, line)
    try:
        config = Config(train=TrainConfig(**fields.pop("train")), taste=TasteConfig(**fields.pop("taste")))
        others = tuple(
            Trial(one["number"], config.replace(taste=TasteConfig(**one["taste"])), "complete", one["score"])
            for one in fields.pop("others", ())
        )
        return Trial(config=config, others=others, **{**fields, "rungs": tuple(fields["rungs"])})
    except (KeyError, TypeError, ConfigError) as error:
        raise CorruptBundleError(f"{path} line {number} is not a trial: {error}; delete the study") from error
