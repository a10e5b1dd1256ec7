"""Load what is published, list what there is, check it."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from item2vec import bundle
from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import BundleNotFoundError, CorruptBundleError
from item2vec.recommender import Recommender
from item2vec.versions.layout import CURRENT, VERSIONS, Version, current, find, generation_of
from item2vec.versions.locks import leased

__all__ = ["list_versions", "load", "load_served", "verify"]

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
    ...     playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"]] * 20)
    ...     _ = publish(fit(playlists, vector_size=24), models)
    ...     load(models).vectors
    ItemVectors(4 items × 24 dimensions, input and output)
    """
    folder = Path(path)
    if os.path.lexists(folder / CURRENT) or (folder / VERSIONS).is_dir():
        return load_served(folder)[1]
    return Recommender.from_parts(bundle.read(folder))


def load_served(models: str | os.PathLike[str]) -> tuple[Version, Recommender]:
    """Load what a models folder serves, and say which version that is.

    The version is leased until nothing of the model is used any more: it is not removed before that.

    Raises
    ------
    BundleNotFoundError, CorruptBundleError
        As for ``load``.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> with tempfile.TemporaryDirectory() as models:
    ...     published = publish(fit(adapters.playlists([["a", "b", "c"]] * 20)), models)
    ...     version, model = load_served(models)
    >>> version == published, len(model.vectors)
    (True, 3)
    """
    version, parts, lease = _read_published(Path(models), bundle.read)
    with lease:
        model = Recommender.from_parts(parts)
        # Not on the model: its vectors, which map the files, may be in use for longer.
        weakref.finalize(model.vectors, lease.pop_all().close)
    return version, model


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
        _, manifest, lease = _read_published(folder, bundle.verify)
        lease.close()
        return manifest
    path = find(folder, id)
    if path.is_symlink():
        raise CorruptBundleError(f"{path} is a symbolic link; expected a folder")
    with leased(path):
        return bundle.verify(path)


def _read_published(models: Path, read: Callable[..., Read]) -> tuple[Version, Read, contextlib.ExitStack]:
    """Read the published version, and lease it; if another one is published meanwhile, read that."""
    version = current(models)
    for _ in range(MAX_RETRIES):
        try:
            if version.path.is_symlink():
                raise CorruptBundleError(f"{version.path} is a symbolic link; expected a folder")
            with leased(version.path) as lease:
                return version, read(version.path, manifest_sha256=version.manifest_sha256), lease.pop_all()
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
