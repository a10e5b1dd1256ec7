"""The trials of a study on the disk, so that a study that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import ConfigError, CorruptBundleError
from item2vec.tuning.trial import Trial

__all__ = ["Journal"]


class Journal:
    """A file of JSON lines: what the study is about, then one trial a line, each flushed to the disk.

    A last line that a killed process left half written is dropped.

    Raises
    ------
    ConfigError
        If the file is that of another study: other sentences, seed, metric or settings.
    CorruptBundleError
        If a line is none that this class has written.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path = path
        self.trials: list[Trial] = []
        if path is None:
            return
        whole = path.read_bytes() if path.exists() else b""
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            os.truncate(path, len(kept))
        lines = kept.splitlines()
        if not lines:
            self._append(dict(about))
            return
        _check_same(path, _parsed(path, 1, lines[0]), about)
        self.trials = [_trial(path, n, line) for n, line in enumerate(lines[1:], start=2)]

    def add(self, trial: Trial) -> None:
        """Remember a trial."""
        self.trials.append(trial)
        settings = {"train": trial.config.train.model_dump(), "taste": trial.config.taste.model_dump()}
        told = {
            name: getattr(trial, name) for name in ("number", "state", "score", "rungs", "reason", "seconds")
        }
        self._append({**told, **settings})

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        with self._path.open("ab") as file:
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _check_same(path: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    for name, value in about.items():
        if found.get(name) != value:
            raise ConfigError(
                f"{path} is a study with {name} {found.get(name)!r}, and this one has {value!r}; "
                "expected the same sentences and settings: give the new study a file of its own"
            )


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise CorruptBundleError(f"{path} line {number} is not JSON: {error}; delete the study") from error
    if not isinstance(found, dict):
        raise CorruptBundleError(
            f"{path} line {number} is {found!r:.80}; expected an object; delete the study"
        )
    return found


def _trial(path: Path, number: int, line: bytes) -> Trial:
    found = _parsed(path, number, line)
    try:
        config = Config(train=TrainConfig(**found.pop("train")), taste=TasteConfig(**found.pop("taste")))
        return Trial(config=config, **{**found, "rungs": tuple(found["rungs"])})
    except (KeyError, TypeError, ConfigError) as error:
        raise CorruptBundleError(f"{path} line {number} is no trial: {error}; delete the study") from error
