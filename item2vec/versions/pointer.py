"""``CURRENT``, the one small file that says which version is served."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from item2vec.bundle.seal import FORMAT, read_sealed, sealed
from item2vec.errors import BundleNotFoundError, CorruptBundleError, DurabilityError
from item2vec.files import sync_folder, write_bytes

__all__ = ["Version", "current", "generation_of", "point_to", "served"]

CURRENT = "CURRENT"
VERSIONS = "versions"
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION_ID = re.compile(r"g([0-9]{10})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Version:
    """One version of a model in a models folder.

    ``generation`` counts promotions, so that a later one is higher; ``previous`` is the id of the version
    that was served before, where this one is served and there was one.

    >>> Version("g0000000001-0a1b2c3d", 1, Path("models/versions/g0000000001-0a1b2c3d"), "0" * 64, None).id
    'g0000000001-0a1b2c3d'
    """

    id: str
    generation: int
    path: Path
    manifest_sha256: str
    previous: str | None


def current(models: str | os.PathLike[str]) -> Version:
    """Return the version that is served.

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
    """Return the version that ``CURRENT`` names, or ``None`` if there is no ``CURRENT``."""
    path = models / CURRENT
    try:
        content, _ = read_sealed(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except CorruptBundleError as error:
        raise CorruptBundleError(
            f"{error}; to choose a version anew, remove {path}, then: item2vec models rollback --to ID"
        ) from error
    match content:
        case {
            "format": 1,
            "version": str(id_),
            "generation": int(generation),
            "manifest_sha256": str(digest),
            "previous": (str() | None) as previous,
            **others,
        } if (
            generation_of(id_) is not None
            and (previous is None or generation_of(previous) is not None)
            and SHA256.fullmatch(digest)
            and type(generation) is int
            and generation >= 1
            and not others
        ):
            return Version(id_, generation, models / VERSIONS / id_, digest, previous)
    raise CorruptBundleError(
        f"{path} holds {str(content)[:200]}; expected format, version, generation, manifest_sha256, previous"
    )


def generation_of(version_id: str) -> int | None:
    """Return the generation that a version was made as, or ``None`` if this is no version's id.

    >>> generation_of("g0000000012-0a1b2c3d"), generation_of("../g0000000012-0a1b2c3d")
    (12, None)
    """
    match = VERSION_ID.fullmatch(version_id)
    return int(match[1]) if match else None


def point_to(models: Path, version: Version) -> None:
    """Make a version the one that is served, atomically. The caller holds the lock.

    Raises
    ------
    OSError
        If that failed; what was served still is.
    DurabilityError
        If it is served, but the disk did not confirm that this will survive a power loss; or if the disk
        does not even tell what is served.
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
        # Never undone: readers may hold it already, and undoing would have to be flushed as well.
        raise DurabilityError(
            f"version {version.id} was put in place in {models}, but the disk did not confirm it "
            f"({error.strerror}); check the disk, then do it again"
        ) from error


def _may_name(models: Path, version: Version) -> bool:
    try:
        return served(models) == version
    except CorruptBundleError:
        return True
