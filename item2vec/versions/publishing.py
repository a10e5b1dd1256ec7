"""Publish a model: write a new version, read it back and check it, then replace ``CURRENT`` atomically."""

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
from item2vec.arguments import checked
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    DurabilityError,
    Item2VecError,
    LockHeldError,
    WriteError,
    reason_of,
)
from item2vec.recommender import Recommender
from item2vec.versions.checking import manifest_of, run_canary
from item2vec.versions.layout import (
    CURRENT,
    STAGING,
    VERSIONS,
    Version,
    make_folder,
    next_generation,
    point_to,
    served_version_or_none,
    sweep,
)
from item2vec.versions.locks import locked
from item2vec.versions.rollbacks import check_no_hold, check_not_held

__all__ = ["Attempt", "attempt", "publish"]


@checked
def publish(
    model: Recommender,
    models: str | os.PathLike[str],
    *,
    note: Mapping[str, Any] = {},
    now: datetime | None = None,
    during_hold: bool = True,
    layout: bool = True,
) -> Version:
    """Write a model to a models folder as a new version, and serve it.

    Folders are created with mode 0755, files with 0444, and ``CURRENT`` with 0644, whatever the umask is, so
    that every user who may enter the models folder can load the version. The mode of an existing models
    folder is not changed.

    The files are flushed to the disk, and a child process reads them back and queries the model. Then
    ``CURRENT`` is replaced atomically, so that readers load either the complete old version or the complete
    new version. After any error except ``DurabilityError``, the served version is unchanged. Only ``retrain``
    adds an HTML page, ``report.html``, to a version.

    Parameters
    ----------
    model
        The model to serve.
    models
        The models folder. A missing folder is created.
    note
        JSON values to store in the manifest.
    now
        The creation time to store in the manifest; by default the current time.
    during_hold
        Whether to publish during a hold, that is, between a rollback and the next ``release``. The models on
        hold, which rollbacks have replaced, are refused in any case. The command line and nightly runs
        publish nothing during a hold.
    layout
        Whether to compute the positions of the items on a plane, for maps, if the model has no positions. If
        the computation fails, or there are more than 1,000,000 items, a warning is logged, and the model is
        published without positions.

    Raises
    ------
    ConfigError
        In three cases: the path, or ``staging`` or ``versions`` in it, is a file instead of a folder; the
        folder is a bundle; or the folder spans several file systems.
    InputError
        If ``note`` contains values other than JSON values, the manifest is longer than 1 MiB, ``now`` has no
        time zone, or the norm of a vector or the weight of a position is not below 1e18.
    PlatformError
        If the system has no POSIX file locks (Windows).
    LockHeldError
        If another process or thread holds the lock of the folder, or a process without the lock has changed
        ``CURRENT``.
    GateRefusedError
        If the model is on hold after a rollback, or, without ``during_hold``, if there is a hold.
    CorruptBundleError
        If ``CURRENT`` or ``HOLD`` is damaged, the folder cannot be read, or the written version cannot be
        read back or fails a query.
    WriteError
        If the disk fails or has too little space, or a mode cannot be set.
    DurabilityError
        If the model is served, but the disk did not confirm the flush of ``CURRENT``, so that a power loss
        may undo the publication.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     publish(model, folder).generation, publish(model, folder).generation
    (1, 2)
    """
    parts = bundle.with_layout(model.parts) if layout else model.parts
    # Estimated size: input and output vectors and an index of similar size; with a similar index, also unit
    # vectors and this index. Twice that is required.
    n_matrices = 3 if parts.similar_index is None else 5
    with attempt(models, room=2 * n_matrices * model.vectors.input.nbytes) as new:
        if not during_hold:
            check_no_hold(new.models)
        bundle.write(parts, new.bundle_path, note=note, now=now or datetime.now(UTC))
        return new.commit()


class Attempt:
    """A version that is being written, yielded by ``attempt``.

    ``models`` is the models folder. ``id`` and ``generation`` are those of the new version. ``before`` is the
    version that is served at the start; ``None`` if no version is published. The caller writes the model as a
    new bundle at ``bundle_path``. ``folder`` contains temporary files, and is removed when the block of
    ``attempt`` ends. ``committed`` is ``None`` until the new version is served, and then the new version.
    """

    def __init__(self, models: Path) -> None:
        self.models = models
        self.before = served_version_or_none(models)
        self.generation = next_generation(models)
        self.id = f"g{self.generation:010}-{uuid.uuid4().hex[:8]}"
        self.folder = models / STAGING / self.id
        self.bundle_path = self.folder / "bundle"
        self.committed: Version | None = None

    def commit(self) -> Version:
        """Check the written bundle in a child process that reads it back from the disk; then serve it.

        Raises
        ------
        GateRefusedError
            If the model is on hold after a rollback.
        CorruptBundleError, WriteError, DurabilityError, LockHeldError
            As for ``publish``.
        """
        try:
            manifest, digest = manifest_of(self.bundle_path)
            check_not_held(self.models, manifest)
            run_canary(self.bundle_path, digest)
        except CorruptBundleError as error:
            raise CorruptBundleError(f"nothing was published: {error}") from error
        version = Version(
            id=self.id,
            generation=self.generation,
            path=self.models / VERSIONS / self.id,
            manifest_sha256=digest,
            previous=self.before.id if self.before else None,
        )
        self.bundle_path.rename(version.path)
        files.sync_folder(self.folder)
        files.sync_folder(version.path.parent)
        if served_version_or_none(self.models) != self.before:
            raise LockHeldError(
                f"{self.models / CURRENT} was changed by a process without the lock; run the command again"
            )
        try:
            point_to(self.models, version)
        except DurabilityError:
            self.committed = version
            raise
        self.committed = version
        return version


@contextlib.contextmanager
@checked
def attempt(models: str | os.PathLike[str], *, command: str = "publish", room: int = 0) -> Iterator[Attempt]:
    """Lock a models folder and yield an ``Attempt`` to write a version; remove temporary files at the end.

    Parameters
    ----------
    models
        The models folder. A missing folder is created.
    command
        Name of the calling command, to store in ``LOCK`` for the error messages of other processes.
    room
        The required free space on the disk, in bytes.

    Raises
    ------
    ConfigError, PlatformError, LockHeldError, CorruptBundleError, WriteError
        As for ``publish``. An ``OSError`` in the block is raised as a ``WriteError``, unless the new version
        is already served.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models, attempt(models) as new:
    ...     _ = bundle.write(model.parts, new.bundle_path)
    ...     new.commit().generation
    1
    """
    folder, new = Path(models), None
    with files.refusing_unreadable():
        is_bundle = (folder / "manifest.json").exists()
    if is_bundle:
        raise ConfigError(
            f"{folder} is a bundle; expected a models folder, such as {folder.parent / 'models'}"
        )
    files.check_locks()
    try:
        make_folder(folder)
        with locked(folder, command):
            for name in (STAGING, VERSIONS):
                make_folder(folder / name)
            sweep(folder)
            _open_to_readers(folder / VERSIONS)
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
            f"({reason_of(error)}); the served version is unchanged: check the disk and the permissions, "
            "then run the command again"
        ) from error


def _open_to_readers(versions: Path) -> None:
    """Let all users read a folder that an earlier release may have created under a restrictive umask."""
    if files.FOLDER_MODE & ~versions.stat().st_mode:
        files.set_mode(versions, files.FOLDER_MODE)


def _check_room(models: Path, room: int) -> None:
    devices = {(models / name).lstat().st_dev for name in ("", STAGING, VERSIONS)}
    if len(devices) > 1:
        raise ConfigError(
            f"{models} spans several file systems; expected one, because versions are renamed between its "
            "folders: move all of it to one file system"
        )
    free = shutil.disk_usage(models).free
    if free < room:
        raise WriteError(
            f"the file system of {models} has {free:,} bytes of free space; expected at least {room:,}: "
            f"remove old versions first (item2vec models gc --models {models})"
        )
