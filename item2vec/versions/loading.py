"""Load, list and verify the versions of a models folder."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from item2vec import bundle
from item2vec.arguments import checked
from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError
from item2vec.files import refusing_unreadable
from item2vec.recommender import Recommender
from item2vec.versions.layout import CURRENT, VERSIONS, Version, find, generation_of, served_version
from item2vec.versions.locks import leased

__all__ = ["list_versions", "load", "load_served", "verify"]

MAX_RETRIES = 5

Content = TypeVar("Content")


@refusing_unreadable()
@checked
def load(path: str | os.PathLike[str]) -> Recommender:
    """Load a model from a bundle, or the served version of a models folder.

    All files are compared with their checksums before use, and nothing is unpickled. The matrices are
    memory-mapped, so processes that load the same model share its memory.

    Raises
    ------
    BundleNotFoundError
        If the path holds neither a bundle nor a published version.
    CorruptBundleError
        If the bundle or the served version is damaged, or requires a newer version of item2vec. No other
        version is loaded in its place. Also if this user may not read a file or folder; the message names the
        path and the mode of this file or folder.

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


@refusing_unreadable()
@checked
def load_served(models: str | os.PathLike[str]) -> tuple[Version, Recommender]:
    """Load the served version of a models folder; return the version and its model.

    The version is leased until the model's vectors are garbage-collected. A leased version is not removed.

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
    version, parts, lease = _read_served(Path(models), bundle.read)
    with lease:
        model = Recommender.from_parts(parts)
        # The finalizer is attached to the vectors: they map the files, and may outlive the model.
        weakref.finalize(model.vectors, lease.pop_all().close)
    return version, model


@refusing_unreadable()
@checked
def list_versions(models: str | os.PathLike[str]) -> list[Version]:
    """Return all versions in a models folder, oldest first, including damaged versions.

    ``manifest_sha256`` is empty for a version whose manifest cannot be read. ``generation`` is the generation
    in the version id, and ``previous`` is always ``None``. A folder that does not exist has no versions.
    Raise ``ConfigError`` if ``models`` is a file, and ``CorruptBundleError`` if this user may not read the
    folder.
    """
    if Path(models).is_file():
        raise ConfigError(f"{models} is a file; expected a models folder: check the path")
    folder = Path(models) / VERSIONS
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        Version(path.name, generation, path, _digest(path), None)
        for path in paths
        if (generation := generation_of(path.name)) is not None
    ]


@refusing_unreadable()
@checked
def verify(models: str | os.PathLike[str], id: str | None = None) -> Manifest:  # noqa: A002 - as in Version
    """Check all files of a version, by default the served one, and return its manifest.

    Raises
    ------
    BundleNotFoundError
        If there is no version with this id, or ``id`` is ``None`` and no version is published.
    CorruptBundleError
        If the version is damaged or cannot be read, or requires a newer version of item2vec.
    """
    folder = Path(models)
    if id is None:
        _, manifest, lease = _read_served(folder, bundle.verify)
        lease.close()
        return manifest
    path = find(folder, id)
    if path.is_symlink():
        raise CorruptBundleError(
            f"{path} is a symbolic link; expected a folder: replace the link by the folder"
        )
    with leased(path):
        return bundle.verify(path)


def _read_served(models: Path, read: Callable[..., Content]) -> tuple[Version, Content, contextlib.ExitStack]:
    """Lease and read the served version; if this fails, and another version is now served, read that one."""
    version = served_version(models)
    for _ in range(MAX_RETRIES):
        try:
            if version.path.is_symlink():
                raise CorruptBundleError(
                    f"{version.path} is a symbolic link; expected a folder: replace the link by the folder"
                )
            with leased(version.path) as lease:
                return version, read(version.path, manifest_sha256=version.manifest_sha256), lease.pop_all()
        except (BundleNotFoundError, CorruptBundleError) as error:
            failed, version = version, served_version(models)
            if version == failed:
                message = f"{models} serves {version.id}, which cannot be loaded: {error}"
                raise CorruptBundleError(message) from error
    raise CorruptBundleError(
        f"{models}: {MAX_RETRIES} versions were served in succession, and none could be read; verify the "
        f"versions: item2vec models verify --all --models {models}"
    )


def _digest(path: Path) -> str:
    try:
        return read_manifest(path / "manifest.json")[1]
    except (OSError, CorruptBundleError):
        return ""
