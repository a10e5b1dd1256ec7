"""Journal of a tuning study: a file of its trials, to resume the study and to share it among processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import ConfigError, CorruptBundleError, TrainingError, WriteError, reason_of, short_repr
from item2vec.files import fcntl, flush, parse_json
from item2vec.tuning.trial import ERRORS, Trial

__all__ = ["Journal"]

WRITING = 1 << 40
"""Offset of the byte that a process locks while it reads and appends; far beyond the end of the file."""
RUNNING = WRITING + 1
"""Offset of the byte that a process locks while it runs trial 0. For trial n, the offset is RUNNING + n."""
FIELDS = ("number", "state", "score", "rungs", "reason", "seconds")
_NEXT = "delete the file, or choose another file for the study"


class Journal:
    """File of JSON lines: a header that identifies the study, and one line per trial, flushed to disk.

    POSIX record locks ensure that only one process at a time appends lines, and that only one process at a
    time runs a trial. The kernel releases the locks of a process when the process ends. An incomplete last
    line of a killed process is removed.

    The suggestion for trial n depends only on the trials up to n - ``lag``. The lag is stored in the header,
    so that a resumed study makes the same suggestions with any number of jobs. Without a file (``path`` is
    ``None``), trials are kept in memory only.

    Raises
    ------
    ConfigError
        If the file belongs to another study: other data, protocol, ``repeats``, seed, metric or fixed
        settings.
    CorruptBundleError
        If a line cannot be read as a header or a trial.
    WriteError
        If the file cannot be opened, for example because its folder does not exist, or cannot be written.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], lag: int) -> None:
        self.lag = lag
        self._path = path
        self._trials: dict[int, Trial] = {}
        self._claimed: set[int] = set()
        self._n_lines = 0
        self._n_read = 0
        # The file is opened only once, because under POSIX, closing any other descriptor of the file would
        # release all locks of the process.
        self._descriptor = -1
        if path is None:
            return
        with _refusing_unwritable(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
        """Close the file. This releases the locks of all claimed trials."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def trials(self) -> list[Trial]:
        """Finished (complete, stopped and failed) trials in ascending order of number."""
        return [self._trials[number] for number in sorted(self._trials)]

    def claim(self) -> int:
        """Claim the first trial that is neither finished nor claimed, and return its number."""
        with self._writing():
            self._take(self._new_lines())
            number = 0
            while number in self._trials or number in self._claimed or not self._lock(RUNNING + number):
                number += 1
        self._claimed.add(number)
        return number

    def add(self, trial: Trial) -> None:
        """Append a finished trial unless the file already contains the trial, and release the trial."""
        settings = {"train": trial.config.train.model_dump(), "taste": trial.config.taste.model_dump()}
        others = [
            {"number": other.number, "score": other.score, "taste": other.config.taste.model_dump()}
            for other in trial.others
        ]
        with self._writing():
            self._take(self._new_lines())
            if trial.number not in self._trials:
                self._trials[trial.number] = trial
                line = {name: getattr(trial, name) for name in FIELDS} | settings | {"others": others}
                if trial.state == "failed":
                    line["error"] = trial.error.__name__
                self._append(line)
        self.release(trial.number)

    def settle(self, n_trials: int) -> bool:
        """Wait until no other process runs one of the first ``n_trials`` trials.

        Return whether any of the first ``n_trials`` trials is neither finished nor claimed by this process.
        """
        for number in range(n_trials if self._descriptor >= 0 else 0):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, RUNNING + number)
            self.release(number)
        with self._writing():
            self._take(self._new_lines())
        return any(n not in self._trials and n not in self._claimed for n in range(n_trials))

    def release(self, number: int) -> None:
        """Release the lock of a trial. If the trial is unfinished, another process can then run it."""
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
        if self._path is None or self._descriptor < 0:
            yield
            return
        with _refusing_unwritable(self._path):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, WRITING)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, WRITING)

    def _new_lines(self) -> list[bytes]:
        """Return the lines after those already read or written; remove an incomplete last line from the file.

        The caller must hold the lock for writing.
        """
        if self._descriptor < 0:
            return []
        size = os.fstat(self._descriptor).st_size
        added = os.pread(self._descriptor, size - self._n_read, self._n_read)
        whole = added[: added.rfind(b"\n") + 1]
        if len(whole) < len(added):  # a living writer would hold the lock, so it was killed
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
        flush(self._descriptor)


@contextmanager
def _refusing_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"the study {path} could not be opened or written: {reason_of(error)}; check that its folder "
            "exists and is writable, and the space on the disk, or choose another file for the study"
        ) from error


def _check_same(path: Path, header: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for name, value in about.items():
        if header.get(name) != value:
            raise ConfigError(
                f"the study in {path} has {name} {header.get(name)!r}; expected {value!r}: use the same data "
                "and settings, or another file for the new study"
            )


def _parsed(path: Path | None, number: int, line: bytes) -> dict[str, Any]:
    try:
        content = parse_json(line.decode(), f"{path} line {number}")
    except UnicodeDecodeError as error:
        raise CorruptBundleError(f"{path} line {number} is not UTF-8 text: {_NEXT}") from error
    except CorruptBundleError as error:
        raise CorruptBundleError(f"{error}; expected a JSON object: {_NEXT}") from error
    if not isinstance(content, dict):
        raise CorruptBundleError(
            f"{path} line {number} is {short_repr(content)}; expected a JSON object: {_NEXT}"
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
        errors = {error.__name__: error for error in ERRORS}
        error = errors[fields.pop("error", TrainingError.__name__)]
        rungs = tuple(fields["rungs"])
        return Trial(config=config, others=others, error=error, **{**fields, "rungs": rungs})
    except (KeyError, TypeError, ConfigError) as error:
        raise CorruptBundleError(
            f"{path} line {number} is not a trial ({type(error).__name__}: {error}); expected a line of a "
            f"study: {_NEXT}"
        ) from error
