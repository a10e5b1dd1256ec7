"""Read and change a models folder: find versions, point ``CURRENT`` to a version, remove temporary files."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from item2vec.arguments import checked
from item2vec.bundle.seal import FORMAT, read_sealed, sealed
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    DurabilityError,
    Item2VecError,
    WriteError,
    reason_of,
)
from item2vec.files import (
    FILE_MODE,
    FOLDER_MODE,
    refusing_unreadable,
    set_mode,
    sync_folder,
    write_bytes,
)
from item2vec.versions.locks import locked

__all__ = [
    "Version",
    "find",
    "generation_of",
    "is_served",
    "make_folder",
    "may_serve",
    "next_generation",
    "point_to",
    "served_version",
    "served_version_or_none",
    "settle_hold",
    "sweep",
    "write_access",
]

log = logging.getLogger(__name__)

CURRENT = "CURRENT"
HOLD = "HOLD"
NEXT_HOLD = "HOLD.next"
"""The hold of a rollback, until ``CURRENT`` is replaced and this file is renamed to ``HOLD``."""
VERSIONS = "versions"
STAGING = "staging"
DOOMED = ".gc-"
LONGEST_CONTENT = 400
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION_ID = re.compile(r"g([0-9]{10})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Version:
    """One version of a model in a models folder.

    ``generation`` is the number of the promotion, counted from 1. ``manifest_sha256`` is the SHA-256 of the
    manifest. ``previous`` is the id of the version that was served before; ``None`` if no version was served
    before, and for a version that is not served.

    >>> Version("g0000000001-0a1b2c3d", 1, Path("models/versions/g0000000001-0a1b2c3d"), "0" * 64, None).id
    'g0000000001-0a1b2c3d'
    """

    id: str
    generation: int
    path: Path
    manifest_sha256: str
    previous: str | None


@checked
def served_version(models: str | os.PathLike[str]) -> Version:
    """Return the served version of a models folder.

    Raises
    ------
    BundleNotFoundError
        If no version is published in this folder.
    CorruptBundleError
        If ``CURRENT`` is damaged or cannot be read.

    Examples
    --------
    >>> served_version("nowhere")
    Traceback (most recent call last):
    item2vec.errors.BundleNotFoundError: nothing is published in nowhere; train a model: item2vec train ...
    """
    version = served_version_or_none(Path(models))
    if version is None:
        raise BundleNotFoundError(
            f"nothing is published in {models}; train a model: "
            f"item2vec train --playlists FILE --models {models}, or item2vec retrain --models {models}"
        )
    return version


def served_version_or_none(models: Path) -> Version | None:
    """Return the version named by ``CURRENT``; ``None`` if ``CURRENT`` does not exist.

    Raise ``CorruptBundleError`` if ``CURRENT`` is damaged or cannot be read.
    """
    path = models / CURRENT
    remedy = f"remove {path}, then run: item2vec models rollback --to ID --reason TEXT --models {models}"
    content = read_state(path, remedy)
    if content is None:
        return None
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
        f"{path} contains {abbreviated(content)}; expected only the keys format (1), version (such as "
        "g0000000001-0a1b2c3d), previous (a version id, or null), generation (an integer of at least 1) "
        f"and manifest_sha256 (64 lower-case hexadecimal digits): {remedy}"
    )


def read_state(path: Path, remedy: str) -> dict[str, Any] | None:
    """Return the content of ``CURRENT`` or ``HOLD``; ``None`` if the file does not exist.

    Raise ``CorruptBundleError`` if the file is damaged or cannot be read. The message ends with ``remedy``,
    unless this user lacks the permission to read the file.
    """
    try:
        return read_sealed(path)[0]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except CorruptBundleError as error:
        if isinstance(error.__cause__, PermissionError):
            raise
        raise CorruptBundleError(f"{error}. Alternatively, {remedy}") from error


def abbreviated(content: dict[str, Any]) -> str:
    """Return the content of ``CURRENT`` or ``HOLD`` for a message: at most 400 characters."""
    text = str(content)
    return text if len(text) <= LONGEST_CONTENT else f"{text[: LONGEST_CONTENT - 1]}…"


def generation_of(version_id: str) -> int | None:
    """Return the generation that a version id contains; ``None`` if the text is not a version id.

    >>> generation_of("g0000000012-0a1b2c3d"), generation_of("../g0000000012-0a1b2c3d")
    (12, None)
    """
    match = VERSION_ID.fullmatch(version_id)
    return int(match[1]) if match else None


def point_to(models: Path, version: Version) -> None:
    """Replace ``CURRENT`` atomically, so that it names ``version``. The caller must hold the lock.

    Raises
    ------
    OSError, WriteError, CorruptBundleError
        If the write fails, or the new content cannot be read back. ``CURRENT`` is unchanged.
    DurabilityError
        If the flush fails after ``CURRENT`` was replaced, so that a power loss may undo the replacement. Also
        if ``CURRENT`` cannot be read after an error, so that it is unknown whether it was replaced.
    """
    content = {
        "format": FORMAT,
        "version": version.id,
        "generation": version.generation,
        "manifest_sha256": version.manifest_sha256,
        "previous": version.previous,
    }
    written = models / f"{CURRENT}.{uuid.uuid4().hex}.tmp"
    write_bytes(written, sealed(content), FILE_MODE)
    read_sealed(written)
    try:
        written.replace(models / CURRENT)
        sync_folder(models)
    except OSError as error:
        if not may_serve(models, version):
            raise
        # The replacement is not undone: other processes may already have loaded the version, and undoing also
        # requires a flush.
        raise DurabilityError(
            f"{models} serves version {version.id}, but the disk did not confirm the write "
            f"({reason_of(error)}), and a power loss may undo it; check the disk, then the served version: "
            f"item2vec models list --models {models}"
        ) from error


def may_serve(models: Path, version: Version) -> bool:
    """Return whether ``CURRENT`` names ``version``, or cannot be read."""
    try:
        return served_version_or_none(models) == version
    except CorruptBundleError:
        return True


@contextlib.contextmanager
def write_access(models: Path, command: str) -> Iterator[None]:
    """Hold the lock of a models folder during the block.

    After the lock is taken, and before the block begins, the temporary files of interrupted processes are
    removed (see ``sweep``). ``command`` names the caller in the lock file and in messages.

    Raises
    ------
    BundleNotFoundError
        If the folder ``versions`` does not exist.
    CorruptBundleError
        If ``CURRENT`` is damaged, or the folder or ``CURRENT`` cannot be read.
    ConfigError
        If ``staging`` or ``versions`` is not a folder.
    PlatformError
        If the system has no POSIX file locks.
    LockHeldError
        If another process or thread holds the lock.
    WriteError
        If an ``OSError`` occurs, for example because the disk is full, before or in the block.
    """
    try:
        with refusing_unreadable():
            (models / VERSIONS).lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleNotFoundError(
            f"{models} has no versions; train a model: "
            f"item2vec train --playlists FILE --models {models}, or item2vec retrain --models {models}"
        ) from error
    try:
        with locked(models, command):
            make_folder(models / STAGING)
            sweep(models)
            yield
    except Item2VecError:
        raise
    except OSError as error:
        raise WriteError(
            f"{command} in {models}: {error.filename or 'a file'} could not be written ({reason_of(error)}); "
            "the served version is unchanged: check the disk and the permissions, then run the command again"
        ) from error


def sweep(models: Path) -> None:
    """Remove the temporary files of interrupted processes. The caller must hold the lock.

    A process that publishes a version removes the folder ``staging/<id>`` only after the version is served. A
    version that still has such a folder, and is not served, was therefore never served, and is removed.
    This function must be called before ``CURRENT`` is changed, because a later call would otherwise remove a
    version that was served, but whose folder in ``staging`` remained after a crash. A version whose removal
    was interrupted is named ``versions/.gc-<id>``; its removal is completed.
    For ``HOLD.next``, see ``settle_hold``.

    Raises
    ------
    ConfigError
        If ``staging`` or ``versions`` is not a folder.
    CorruptBundleError
        If ``CURRENT`` is damaged or cannot be read.
    """
    for name in (STAGING, VERSIONS):
        if not stat.S_ISDIR((models / name).lstat().st_mode):
            raise _not_a_folder(models / name)
    version = served_version_or_none(models)
    served_id = None if version is None else version.id
    for attempt in (models / STAGING).iterdir():
        moved = models / VERSIONS / attempt.name
        is_folder = attempt.is_dir() and not attempt.is_symlink()
        if is_folder and generation_of(attempt.name) and attempt.name != served_id and moved.is_dir():
            # Moved before removal, so that a crash leaves no partial version in ``versions``.
            moved.rename(attempt / "unserved")
        remove(attempt)
    for path in (models / VERSIONS).glob(f"{DOOMED}*"):
        remove(path)
    for pattern in (f"{CURRENT}.*.tmp", ".HOLD.*.tmp"):
        for written in models.glob(pattern):
            written.unlink()
    settle_hold(models)


def settle_hold(models: Path) -> None:
    """Rename ``HOLD.next`` to ``HOLD``, or remove it if ``CURRENT`` still names the version to be replaced.

    In the latter case, the rollback was interrupted before it took effect. The caller must hold the lock.
    """
    path = models / NEXT_HOLD
    if not os.path.lexists(path):
        return
    content: dict[str, Any] = {}
    with contextlib.suppress(CorruptBundleError):  # a damaged hold becomes HOLD, and is reported there
        content = read_state(path, "") or {}
    if is_served(models, content.get("version", "")):
        path.unlink()
        facts = {"replaced": content["version"], "to": content.get("to")}
        log.warning("an interrupted rollback had no effect; run it again", extra={"facts": facts})
    else:
        path.replace(models / HOLD)
    sync_folder(models)


def remove(path: Path) -> None:
    """Remove a file, a symbolic link, or a folder with its content. Symbolic links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def find(models: Path, version_id: str) -> Path:
    """Return the folder of a version, without checking its content.

    Raises
    ------
    BundleNotFoundError
        If there is no version with this id.
    CorruptBundleError
        If ``CURRENT`` names this version, but the folder of the version is missing; or if this user may not
        enter the folder.
    """
    path = models / VERSIONS / version_id
    with refusing_unreadable(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if generation_of(version_id) is not None:
            path.lstat()
            return path
    if is_served(models, version_id):
        raise CorruptBundleError(
            f"{models} serves {version_id}, but {path} does not exist; restore this folder, or serve another "
            f"version: item2vec models rollback --to ID --reason TEXT --models {models}"
        )
    raise BundleNotFoundError(
        f"{models} has no version {version_id!r}; list the versions: item2vec models list --models {models}"
    )


def is_served(models: Path, version_id: str) -> bool:
    """Return whether ``CURRENT`` can be read and names a version."""
    with contextlib.suppress(CorruptBundleError):
        version = served_version_or_none(models)
        return version is not None and version.id == version_id
    return False


def next_generation(models: Path) -> int:
    """Return 1 plus the highest generation in ``CURRENT`` and in the version ids."""
    version = served_version_or_none(models)
    generations = [generation_of(path.name) or 0 for path in (models / VERSIONS).iterdir()]
    return 1 + max([version.generation if version else 0, *generations])


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and flush the directory entry of each new folder to the disk.

    All users can read a new folder, whatever the umask is. The mode of an existing folder is not changed.
    Raise ``ConfigError`` if the path, or one of its parents, exists, but is not a folder.
    """
    if not path.is_dir():
        make_folder(path.parent)
        try:
            path.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise _not_a_folder(path) from error
        set_mode(path, FOLDER_MODE)
        sync_folder(path.parent)


def _not_a_folder(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not a folder; move it elsewhere, then run the command again")
