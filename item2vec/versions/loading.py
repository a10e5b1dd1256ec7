"""Load what is published, list what there is, check it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from item2vec import bundle
from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import BundleNotFoundError, CorruptBundleError
from item2vec.recommender import Recommender
from item2vec.versions.pointer import CURRENT, VERSIONS, Version, current, generation_of

__all__ = ["list_versions", "load", "verify"]

MAX_RETRIES = 5

Read = TypeVar("Read")


def load(path: str | os.PathLike[str]) -> Recommender:
    """Load a model: from a bundle, or from a models folder the version that is published there.

    Everything is checked before it is used, and nothing is ever unpickled. The matrices are mapped, so that
    processes that load the same model share its memory.

    Raises
    ------
    BundleNotFoundError
        If there is neither a bundle nor a published version at this path.
    CorruptBundleError
        If what is there is damaged. Another version is never loaded in its place.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> with tempfile.TemporaryDirectory() as models:
    ...     _ = publish(fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]] * 20)), models)
    ...     load(models).vectors
    ItemVectors(4 items × 64 dimensions, input and output)
    """
    folder = Path(path)
    if os.path.lexists(folder / CURRENT) or (folder / VERSIONS).is_dir():
        return Recommender.from_parts(_read_published(folder, bundle.read))
    return Recommender.from_parts(bundle.read(folder))


def list_versions(models: str | os.PathLike[str]) -> list[Version]:
    """Return all versions in a models folder, oldest first, whether they are sound or not.

    ``manifest_sha256`` is empty where there is no manifest to be read, and ``previous`` is ``None``.
    """
    folder = Path(models) / VERSIONS
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        Version(path.name, generation, path, _digest(path), None)
        for path in paths
        if (generation := generation_of(path.name)) is not None
    ]


def verify(models: str | os.PathLike[str], id: str | None = None) -> Manifest:  # noqa: A002 - as in Version
    """Check all of a version, by default the published one, and return its manifest.

    Raises
    ------
    BundleNotFoundError
        If there is no such version.
    CorruptBundleError
        If it is damaged.
    """
    folder = Path(models)
    if id is None:
        return _read_published(folder, bundle.verify)
    version = next((version for version in list_versions(folder) if version.id == id), None)
    if version is None:
        raise BundleNotFoundError(f"{folder} has no version {id!r}; see item2vec models list")
    return bundle.verify(version.path)


def _read_published(models: Path, read: Callable[..., Read]) -> Read:
    """Read the published version; if another one was published meanwhile and this one removed, read that."""
    version = current(models)
    for _ in range(MAX_RETRIES):
        try:
            if version.path.is_symlink():
                raise CorruptBundleError(f"{version.path} is a symbolic link; expected a folder")
            return read(version.path, manifest_sha256=version.manifest_sha256)
        except (BundleNotFoundError, CorruptBundleError) as error:
            tried, version = version, current(models)
            if version == tried:
                message = f"{models} serves {version.id}, which is damaged: {error}"
                raise CorruptBundleError(message) from error
    raise CorruptBundleError(f"{models} has served {MAX_RETRIES} versions in a row that could not be read")


def _digest(path: Path) -> str:
    try:
        return read_manifest(path / "manifest.json")[1]
    except (OSError, CorruptBundleError):
        return ""
