"""Publish: a new version beside the old one, checked from the disk, then one atomic step."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from item2vec import bundle, files
from item2vec.errors import ConfigError, CorruptBundleError, Item2VecError, LockHeldError, WriteError
from item2vec.recommender import Recommender
from item2vec.versions.lock import locked
from item2vec.versions.pointer import CURRENT, VERSIONS, Version, generation_of, point_to, served

__all__ = ["publish", "sweep"]

STAGING = "staging"
CANARY_SECONDS = 600


def publish(
    model: Recommender,
    models: str | os.PathLike[str],
    *,
    note: Mapping[str, Any] = {},
    now: datetime | None = None,
) -> Version:
    """Make a model the one that is served from a models folder.

    The model is written beside the one that is served, flushed, read back from the disk, and asked a few
    questions in a process of its own. Then ``CURRENT`` is replaced: readers have the old model until that
    moment and the new one after it, whatever happens in between.

    Raises
    ------
    ConfigError
        If the folder is a bundle, or spans several file systems.
    LockHeldError
        If another run is publishing here.
    CorruptBundleError
        If ``CURRENT`` is damaged, or what was written cannot be read back or does not answer.
    WriteError
        If the disk is full or fails. In all these cases nothing has changed for readers.
    DurabilityError
        If the model is served, but the disk did not confirm that this will survive a power loss.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     publish(model, folder).generation, publish(model, folder).generation
    (1, 2)
    """
    folder = Path(models)
    if (folder / "manifest.json").exists():
        raise ConfigError(
            f"{folder} is a bundle; expected a models folder, such as {folder.parent / 'models'}"
        )
    try:
        _make_folder(folder)
        with locked(folder):
            return _publish(model, folder, note, now or datetime.now(UTC))
    except Item2VecError:
        raise
    except OSError as error:
        raise WriteError(
            f"nothing was published in {folder}: {error.filename or 'a file'} could not be written "
            f"({error.strerror}); what was served still is"
        ) from error


def sweep(models: Path) -> None:
    """Remove what runs that did not end well have left. The caller holds the lock.

    A run works in ``staging/<id>`` and leaves that folder, empty, in its place until its version is served:
    so a version that was moved into ``versions`` but never served is told from all others. Hence whoever
    changes ``CURRENT`` must sweep first.
    """
    for name in (STAGING, VERSIONS):
        if not stat.S_ISDIR((models / name).lstat().st_mode):
            raise ConfigError(f"{models / name} is not a folder; move it away, and it will be made anew")
    version = served(models)
    served_id = None if version is None else version.id
    for attempt in (models / STAGING).iterdir():
        if attempt.is_symlink() or not attempt.is_dir():
            attempt.unlink()
            continue
        moved = models / VERSIONS / attempt.name
        if generation_of(attempt.name) is not None and attempt.name != served_id and moved.is_dir():
            moved.rename(attempt / "unserved")
        shutil.rmtree(attempt)
    for written in models.glob(f"{CURRENT}.*.tmp"):
        written.unlink()


def _publish(model: Recommender, models: Path, note: Mapping[str, Any], now: datetime) -> Version:
    for name in (STAGING, VERSIONS):
        _make_folder(models / name)
    sweep(models)
    _check_room(model, models)
    before = served(models)
    version = _next_version(models, before)
    try:
        _make_folder(models / STAGING / version.id)
        version = _write(model, models, version, note, now)
        if served(models) != before:
            raise LockHeldError(f"{models / CURRENT} was changed by a run that does not hold the lock")
        point_to(models, version)
    except BaseException:
        with contextlib.suppress(Exception):
            sweep(models)
        raise
    with contextlib.suppress(OSError):
        (models / STAGING / version.id).rmdir()
    return version


def _next_version(models: Path, before: Version | None) -> Version:
    generations = [generation_of(path.name) or 0 for path in (models / VERSIONS).iterdir()]
    generation = 1 + max([before.generation if before else 0, *generations])
    id_ = f"g{generation:010}-{uuid.uuid4().hex[:8]}"
    return Version(id_, generation, models / VERSIONS / id_, "", before.id if before else None)


def _write(
    model: Recommender, models: Path, version: Version, note: Mapping[str, Any], now: datetime
) -> Version:
    """Write a version's bundle, check it, and move it to its place; return the version with its checksum."""
    attempt = models / STAGING / version.id
    written = attempt / "bundle"
    bundle.write(model.parts, written, note=note, now=now)
    digest = files.sha256(written / "manifest.json")
    _ask(written)
    written.rename(version.path)
    files.sync_folder(attempt)
    files.sync_folder(version.path.parent)
    return replace(version, manifest_sha256=digest)


def _ask(written: Path) -> None:
    """Let another process load a bundle and answer from it: a crash of a native library stays there."""
    command = [sys.executable, "-P", "-m", "item2vec.versions.canary", str(written)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    try:
        done = subprocess.run(  # noqa: S603 - our own module, in our own interpreter
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=CANARY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CorruptBundleError(
            f"the new model gave no answer within {CANARY_SECONDS} s; nothing was published"
        ) from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise CorruptBundleError(
            f"the new model does not answer (exit code {done.returncode}: {told[0]}); nothing was published"
        )


def _check_room(model: Recommender, models: Path) -> None:
    devices = {(models / name).lstat().st_dev for name in ("", STAGING, VERSIONS)}
    if len(devices) > 1:
        raise ConfigError(f"{models} spans several file systems; a model can only be moved into place on one")
    # The input and output vectors, an index about as large, and as much again.
    needed = 6 * model.vectors.input.nbytes
    free = shutil.disk_usage(models).free
    if free < needed:
        raise WriteError(f"{models} has {free:,} bytes free; expected {needed:,}: remove old versions first")


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each flushed into the one it is in."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        files.sync_folder(path.parent)
