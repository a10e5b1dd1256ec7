"""Remove old versions, and protect pinned versions from removal."""

from __future__ import annotations

import os
from pathlib import Path

from item2vec.arguments import checked
from item2vec.errors import ConfigError, WriteError, reason_of
from item2vec.files import refusing_unreadable, sync_folder
from item2vec.versions.layout import (
    DOOMED,
    VERSIONS,
    Version,
    find,
    generation_of,
    make_folder,
    remove,
    served_version,
    write_access,
)
from item2vec.versions.loading import list_versions
from item2vec.versions.locks import claimed, leased

__all__ = ["gc", "pin", "pinned", "unpin"]

PINS = "pins"


@checked
def gc(models: str | os.PathLike[str], *, keep: int = 5) -> list[Version]:
    """Remove old versions, and return the removed versions.

    The following versions are kept: the served and the previous version, the ``keep`` newest versions, pinned
    versions, and versions loaded by a process.

    Raises
    ------
    ConfigError
        If ``keep`` is less than 1, or ``staging`` or ``versions`` is not a folder.
    BundleNotFoundError
        If no version is published.
    CorruptBundleError
        If ``CURRENT`` is damaged, so that the served version is unknown, or if the folder cannot be read.
    PlatformError
        If the system has no POSIX file locks.
    LockHeldError
        If another process or thread holds the lock of the folder.
    WriteError
        If the disk fails. Some versions may already be removed; a later call completes the removal.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     generations = [publish(model, models).generation for _ in range(4)]
    ...     [version.generation for version in gc(models, keep=1)]
    [1, 2]
    """
    if keep < 1:
        raise ConfigError(f"keep is {keep}; expected at least 1")
    folder = Path(models)
    with write_access(folder, "models gc"):
        active = served_version(folder)
        versions = list_versions(folder)
        kept = {active.id, active.previous, *(version.id for version in versions[-keep:])}
        return [version for version in versions if version.id not in kept and _remove(folder, version)]


@checked
def pin(models: str | os.PathLike[str], id: str) -> None:  # noqa: A002 - as in Version
    """Protect a version from removal until ``unpin``. The lock of the models folder is not required.

    Raises
    ------
    BundleNotFoundError
        If there is no version with this id.
    CorruptBundleError
        If this user may not enter the folder.
    ConfigError
        If ``pins`` is not a folder.
    WriteError
        If the disk is full or fails, or this user may not write to the folder.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     version = publish(model, models)
    ...     pin(models, version.id)
    ...     pinned(models) == {version.id}
    True
    """
    folder = Path(models)
    # The lease prevents the removal of the version before the pin is written.
    with leased(find(folder, id)):
        find(folder, id)
        try:
            make_folder(folder / PINS)
            (folder / PINS / id).touch()
            sync_folder(folder / PINS)
        except OSError as error:
            raise WriteError(
                f"{id} could not be pinned in {folder}: {reason_of(error)}; check the disk and the "
                "permissions"
            ) from error


@checked
def unpin(models: str | os.PathLike[str], id: str) -> None:  # noqa: A002 - as in Version
    """End the protection of a pinned version; a version that is not pinned is left unchanged.

    Raises
    ------
    BundleNotFoundError
        If there is neither a version nor a pin with this id.
    CorruptBundleError
        If this user may not read the folder.
    WriteError
        If the disk fails, or this user may not write to the folder.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     version = publish(model, models)
    ...     pin(models, version.id)
    ...     unpin(models, version.id)
    ...     pinned(models)
    set()
    """
    folder = Path(models)
    if id not in pinned(folder):
        find(folder, id)
        return
    try:
        (folder / PINS / id).unlink(missing_ok=True)
        sync_folder(folder / PINS)
    except OSError as error:
        raise WriteError(
            f"{id} could not be unpinned in {folder}: {reason_of(error)}; check the disk and the permissions"
        ) from error


@refusing_unreadable()
@checked
def pinned(models: str | os.PathLike[str]) -> set[str]:
    """Return the ids of the pinned versions. The set is empty if no version is pinned.

    Raise ``CorruptBundleError`` if this user may not read the folder.

    >>> pinned("nowhere")
    set()
    """
    pins = Path(models) / PINS
    return {path.name for path in pins.iterdir() if generation_of(path.name)} if pins.is_dir() else set()


def _remove(models: Path, version: Version) -> bool:
    """Remove a version unless it is leased or pinned; return whether it was removed."""
    with claimed(version.path) as free:
        if not free or version.id in pinned(models):
            return False
        doomed = version.path.with_name(f"{DOOMED}{version.id}")
        version.path.rename(doomed)
        # Without this flush, a power loss could leave a partial version under its id.
        sync_folder(models / VERSIONS)
        remove(doomed)
    return True
