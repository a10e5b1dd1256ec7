"""Publish: a new version beside the old one, checked from the disk, then one atomic step."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from item2vec import bundle, files
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    DurabilityError,
    Item2VecError,
    LockHeldError,
    WriteError,
)
from item2vec.recommender import Recommender
from item2vec.versions.checking import manifest_of, try_out
from item2vec.versions.layout import (
    CURRENT,
    STAGING,
    VERSIONS,
    Version,
    make_folder,
    next_generation,
    point_to,
    served,
    sweep,
)
from item2vec.versions.locks import locked
from item2vec.versions.rollbacks import refuse_held

__all__ = ["Attempt", "attempt", "publish"]


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
    GateRefusedError
        If this very model was rolled back from, and not released since.
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
    # The input and output vectors, an index about as large, and as much again.
    with attempt(models, room=6 * model.vectors.input.nbytes) as new:
        bundle.write(model.parts, new.bundle, note=note, now=now or datetime.now(UTC))
        return new.commit()


class Attempt:
    """A version that is being made; ``attempt`` starts one.

    ``id`` is the version's, ``before`` what is served meanwhile (``None`` for nothing). All that is put into
    ``folder`` is removed in the end; the model is to be written to ``bundle``, which does not exist yet.
    """

    def __init__(self, models: Path) -> None:
        self.models = models
        self.before = served(models)
        self.generation = next_generation(models)
        self.id = f"g{self.generation:010}-{uuid.uuid4().hex[:8]}"
        self.folder = models / STAGING / self.id
        self.bundle = self.folder / "bundle"
        self.committed: Version | None = None

    def commit(self) -> Version:
        """Check what was written, from the disk and in another process, and make it what is served.

        Raises
        ------
        GateRefusedError, CorruptBundleError, WriteError, DurabilityError, LockHeldError
            As for ``publish``.
        """
        try:
            manifest, digest = manifest_of(self.bundle)
            refuse_held(self.models, manifest)
            try_out(self.bundle, digest)
        except CorruptBundleError as error:
            raise CorruptBundleError(f"nothing was published: {error}") from error
        version = Version(
            id=self.id,
            generation=self.generation,
            path=self.models / VERSIONS / self.id,
            manifest_sha256=digest,
            previous=self.before.id if self.before else None,
        )
        self.bundle.rename(version.path)
        files.sync_folder(self.folder)
        files.sync_folder(version.path.parent)
        if served(self.models) != self.before:
            raise LockHeldError(f"{self.models / CURRENT} was changed by a run that does not hold the lock")
        try:
            point_to(self.models, version)
        except DurabilityError:
            self.committed = version
            raise
        self.committed = version
        return version


@contextlib.contextmanager
def attempt(models: str | os.PathLike[str], *, command: str = "publish", room: int = 0) -> Iterator[Attempt]:
    """Hold a models folder while a new version is made in it, and remove all that is left of it afterwards.

    Parameters
    ----------
    models
        The folder; it is made if there is none.
    command
        What others who want the folder meanwhile are told is going on.
    room
        How many bytes must be free.

    Raises
    ------
    ConfigError, LockHeldError, CorruptBundleError, WriteError
        As for ``publish``. An ``OSError`` in the block becomes a ``WriteError``, until it has committed.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models, attempt(models) as new:
    ...     _ = bundle.write(model.parts, new.bundle)
    ...     new.commit().generation
    1
    """
    folder, new = Path(models), None
    if (folder / "manifest.json").exists():
        raise ConfigError(
            f"{folder} is a bundle; expected a models folder, such as {folder.parent / 'models'}"
        )
    try:
        make_folder(folder)
        with locked(folder, command):
            for name in (STAGING, VERSIONS):
                make_folder(folder / name)
            sweep(folder)
            _check_room(folder, room)
            new = Attempt(folder)
            try:
                make_folder(new.folder)
                yield new
            finally:
                with contextlib.suppress(Exception):
                    sweep(folder)
    except Item2VecError:
        raise
    except OSError as error:
        if new is not None and new.committed is not None:
            raise
        raise WriteError(
            f"nothing was published in {folder}: {error.filename or 'a file'} could not be written "
            f"({error.strerror}); what was served still is"
        ) from error


def _check_room(models: Path, room: int) -> None:
    devices = {(models / name).lstat().st_dev for name in ("", STAGING, VERSIONS)}
    if len(devices) > 1:
        raise ConfigError(f"{models} spans several file systems; a model can only be moved into place on one")
    free = shutil.disk_usage(models).free
    if free < room:
        raise WriteError(
            f"{models} has {free:,} bytes free; expected {room:,}: remove old versions first "
            f"(item2vec models gc --models {models})"
        )
