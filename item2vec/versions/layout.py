"""The layout of a models folder: its files, the pointer ``CURRENT``, and clean-up after interrupted runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from item2vec.bundle.seal import FORMAT, read_sealed, sealed
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    DurabilityError,
    Item2VecError,
    WriteError,
)
from item2vec.files import sync_folder, write_bytes
from item2vec.versions.locks import locked

__all__ = [
    "Version",
    "current",
    "find",
    "generation_of",
    "make_folder",
    "next_generation",
    "point_to",
    "served",
    "sweep",
    "write_access",
]

CURRENT = "CURRENT"
VERSIONS = "versions"
STAGING = "staging"
DOOMED = ".gc-"
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION_ID = re.compile(r"g([0-9]{10})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Version:
    """One version of a model in a models folder.

    ``generation`` counts promotions and increases with each one. ``previous`` is the id of the version served
    before this one; it is ``None`` if there was none, or if this version is not the served one.

    >>> Version("g0000000001-0a1b2c3d", 1, Path("models/versions/g0000000001-0a1b2c3d"), "0" * 64, None).id
    'g0000000001-0a1b2c3d'
    """

    id: str
    generation: int
    path: Path
    manifest_sha256: str
    previous: str | None


def current(models: str | os.PathLike[str]) -> Version:
    """Return the served version.

    Raises
    ------
    BundleNotFoundError
        If nothing is published in this folder.
    CorruptBundleError
        If ``CURRENT`` is damaged.

    Examples
    --------
    >>> current("nowhere")
    Traceback (most recent call last):
    item2vec.errors.BundleNotFoundError: nothing is published in nowhere; train a model: item2vec train ...
    """
    version = served(Path(models))
    if version is None:
        raise BundleNotFoundError(
            f"nothing is published in {models}; train a model: "
            f"item2vec train --playlists FILE --models {models}"
        )
    return version


def served(models: Path) -> Version | None:
    """Return the version named by ``CURRENT``, or ``None`` if there is no ``CURRENT``."""
    path = models / CURRENT
    try:
        content, _ = read_sealed(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except CorruptBundleError as error:
        raise CorruptBundleError(
            f"{error}; to choose a version to serve, remove {path}, then: item2vec models rollback --to ID"
        ) from error
    match content:
        case {
            "format": 1,
            "version": str(id_),
            "generation": int(generation),
            "manifest_sha256": str(digest),
            "previous": (str() | None) as previous,
            **unexpected,
        } if (
            generation_of(id_) is not None
            and (previous is None or generation_of(previous) is not None)
            and SHA256.fullmatch(digest)
            and type(generation) is int
            and generation >= 1
            and not unexpected
        ):
            return Version(id_, generation, models / VERSIONS / id_, digest, previous)
    raise CorruptBundleError(
        f"{path} holds {str(content)[:200]}; expected format, version, generation, manifest_sha256, previous"
    )


def generation_of(version_id: str) -> int | None:
    """Return the generation encoded in a version's id, or ``None`` if the text is not such an id.

    >>> generation_of("g0000000012-0a1b2c3d"), generation_of("../g0000000012-0a1b2c3d")
    (12, None)
    """
    match = VERSION_ID.fullmatch(version_id)
    return int(match[1]) if match else None


def point_to(models: Path, version: Version) -> None:
    """Replace ``CURRENT`` atomically, so that it names this version. The caller holds the lock.

    Raises
    ------
    OSError
        If the write failed; ``CURRENT`` is unchanged.
    DurabilityError
        If ``CURRENT`` names the version, but the disk did not confirm that this survives a power loss; or if
        ``CURRENT`` cannot be read back to find out.
    """
    content = {
        "format": FORMAT,
        "version": version.id,
        "generation": version.generation,
        "manifest_sha256": version.manifest_sha256,
        "previous": version.previous,
    }
    written = models / f"{CURRENT}.{uuid.uuid4().hex}.tmp"
    write_bytes(written, sealed(content))
    read_sealed(written)
    try:
        written.replace(models / CURRENT)
        sync_folder(models)
    except OSError as error:
        if not _may_name(models, version):
            raise
        # Not undone: readers may have loaded the version already, and undoing needs a flush as well.
        raise DurabilityError(
            f"{models} serves version {version.id}, but the disk did not confirm the write "
            f"({error.strerror}); check the disk, then repeat the command"
        ) from error


def _may_name(models: Path, version: Version) -> bool:
    try:
        return served(models) == version
    except CorruptBundleError:
        return True


@contextlib.contextmanager
def write_access(models: Path, command: str) -> Iterator[None]:
    """Lock a models folder for writing, and remove the leftovers of interrupted runs.

    Raises
    ------
    BundleNotFoundError
        If the folder has no ``versions``.
    LockHeldError
        If another run holds the lock.
    WriteError
        If a read or write fails, here or in the block.
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
            "the served version is unchanged: check the disk, then run the command again"
        ) from error


def sweep(models: Path) -> None:
    """Remove the leftovers of interrupted runs. The caller holds the lock.

    A run keeps its folder ``staging/<id>`` until its version is served. A version in ``versions`` that still
    has such a folder was never served, and is removed. Sweep therefore before any change of ``CURRENT``.
    Versions in removal are named ``versions/.gc-<id>``.
    """
    for name in (STAGING, VERSIONS):
        if not stat.S_ISDIR((models / name).lstat().st_mode):
            raise ConfigError(f"{models / name} is not a folder; move it away; a new one will be created")
    version = served(models)
    served_id = None if version is None else version.id
    for attempt in (models / STAGING).iterdir():
        moved = models / VERSIONS / attempt.name
        is_folder = attempt.is_dir() and not attempt.is_symlink()
        if is_folder and generation_of(attempt.name) and attempt.name != served_id and moved.is_dir():
            # Moved before removal: a crash then leaves no partial version.
            moved.rename(attempt / "unserved")
        remove(attempt)
    for path in (models / VERSIONS).glob(f"{DOOMED}*"):
        remove(path)
    for pattern in (f"{CURRENT}.*.tmp", ".HOLD.*.tmp"):
        for written in models.glob(pattern):
            written.unlink()


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its content; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def find(models: Path, version_id: str) -> Path:
    """Return the folder of a version, which may be damaged; ``BundleNotFoundError`` if there is none."""
    path = models / VERSIONS / version_id
    if generation_of(version_id) is None or not os.path.lexists(path):
        raise BundleNotFoundError(f"{models} has no version {version_id!r}; see item2vec models list")
    return path


def next_generation(models: Path) -> int:
    """Return the next generation: one more than the highest in ``CURRENT`` and in the ids of versions."""
    version = served(models)
    generations = [generation_of(path.name) or 0 for path in (models / VERSIONS).iterdir()]
    return 1 + max([version.generation if version else 0, *generations])


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and flush the entry of each to the disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
