"""A models folder in the hands of one writer: made, locked, and swept of what ended runs have left."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from item2vec import files
from item2vec.errors import BundleNotFoundError, ConfigError, Item2VecError, WriteError
from item2vec.versions.lock import locked
from item2vec.versions.pointer import CURRENT, VERSIONS, generation_of, served

__all__ = ["STAGING", "exclusively", "find", "make_folder", "next_generation", "sweep"]

STAGING = "staging"
DOOMED = ".gc-"


@contextlib.contextmanager
def exclusively(models: Path, command: str) -> Iterator[None]:
    """Hold the lock of a models folder, with what ended runs have left swept.

    Raises
    ------
    BundleNotFoundError
        If there are no versions in this folder.
    LockHeldError
        If another run holds the lock.
    WriteError
        If the system refuses a read or a write, here or in the block.
    """
    if not (models / VERSIONS).is_dir():
        raise BundleNotFoundError(
            f"{models} has no versions; train a model: item2vec train --playlists FILE --models {models}"
        )
    try:
        with locked(models, command):
            make_folder(models / STAGING)
            sweep(models)
            yield
    except Item2VecError:
        raise
    except OSError as error:
        raise WriteError(
            f"{command} in {models}: {error.filename or 'a file'} could not be written ({error.strerror}); "
            "what was served still is: check the disk, then run it again"
        ) from error


def sweep(models: Path) -> None:
    """Remove what runs that did not end well have left. The caller holds the lock.

    A run works in ``staging/<id>`` and leaves that folder in its place until its version is served: so a
    version that was moved into ``versions`` but never served is told from all others. Hence whoever changes
    ``CURRENT`` must sweep first. A version that is being removed is called ``versions/.gc-<id>``.
    """
    for name in (STAGING, VERSIONS):
        if not stat.S_ISDIR((models / name).lstat().st_mode):
            raise ConfigError(f"{models / name} is not a folder; move it away, and it will be made anew")
    version = served(models)
    served_id = None if version is None else version.id
    for attempt in (models / STAGING).iterdir():
        moved = models / VERSIONS / attempt.name
        is_folder = attempt.is_dir() and not attempt.is_symlink()
        if is_folder and generation_of(attempt.name) and attempt.name != served_id and moved.is_dir():
            moved.rename(attempt / "unserved")
        remove(attempt)
    for path in (models / VERSIONS).glob(f"{DOOMED}*"):
        remove(path)
    for pattern in (f"{CURRENT}.*.tmp", ".HOLD.*.tmp"):
        for written in models.glob(pattern):
            written.unlink()


def remove(path: Path) -> None:
    """Remove a folder with all that is in it, or whatever else this is; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def find(models: Path, version_id: str) -> Path:
    """Return the folder of a version, sound or not; raise ``BundleNotFoundError`` if there is none."""
    path = models / VERSIONS / version_id
    if generation_of(version_id) is None or not os.path.lexists(path):
        raise BundleNotFoundError(f"{models} has no version {version_id!r}; see item2vec models list")
    return path


def next_generation(models: Path) -> int:
    """Return the number of the next promotion: above all that were, and all that versions are named after."""
    before = served(models)
    generations = [generation_of(path.name) or 0 for path in (models / VERSIONS).iterdir()]
    return 1 + max([before.generation if before else 0, *generations])


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each flushed into the one it is in."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        files.sync_folder(path.parent)
