"""Which versions are kept, and how the others go."""

from __future__ import annotations

import os
from pathlib import Path

from item2vec.errors import ConfigError, WriteError
from item2vec.files import sync_folder
from item2vec.versions.layout import (
    DOOMED,
    VERSIONS,
    Version,
    current,
    exclusively,
    find,
    generation_of,
    make_folder,
    remove,
)
from item2vec.versions.loading import list_versions
from item2vec.versions.locks import claimed, leased

__all__ = ["gc", "pin", "pinned", "unpin"]

PINS = "pins"


def gc(models: str | os.PathLike[str], *, keep: int = 5) -> list[Version]:
    """Remove old versions, and return those that were removed.

    Never the one that is served, the one that was served before it, those that are pinned, those that
    somebody has loaded, or the ``keep`` newest.

    Raises
    ------
    ConfigError
        If ``keep`` is less than 1.
    BundleNotFoundError
        If nothing is published here: which version must stay is not known then.
    CorruptBundleError
        If ``CURRENT`` is damaged, for the same reason.
    LockHeldError
        If another run is publishing here.
    WriteError
        If the disk fails; the next run removes the rest.

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
    with exclusively(folder, "models gc"):
        active = current(folder)
        versions = list_versions(folder)
        needed = {active.id, active.previous, *(version.id for version in versions[-keep:])}
        return [version for version in versions if version.id not in needed and _removed(folder, version)]


def pin(models: str | os.PathLike[str], id: str) -> None:  # noqa: A002 - as in Version
    """Keep a version from being removed, until ``unpin``; a running publish does not matter.

    Raises
    ------
    BundleNotFoundError
        If there is no such version.
    WriteError
        If the disk is full or fails.

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
    # Leased: so it is not being removed while it is pinned.
    with leased(find(folder, id)):
        find(folder, id)
        try:
            make_folder(folder / PINS)
            (folder / PINS / id).touch()
            sync_folder(folder / PINS)
        except OSError as error:
            raise WriteError(f"{id} could not be pinned in {folder}: {error.strerror}") from error


def unpin(models: str | os.PathLike[str], id: str) -> None:  # noqa: A002 - as in Version
    """Let a version be removed again when it is old enough; one that is not pinned stays as it is.

    Raises
    ------
    BundleNotFoundError
        If there is no such version, and no pin of that name either.
    WriteError
        If the disk fails.

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
        raise WriteError(f"{id} could not be unpinned in {folder}: {error.strerror}") from error


def pinned(models: str | os.PathLike[str]) -> set[str]:
    """Return the ids of the versions that are pinned.

    >>> pinned("nowhere")
    set()
    """
    pins = Path(models) / PINS
    return {path.name for path in pins.iterdir() if generation_of(path.name)} if pins.is_dir() else set()


def _removed(models: Path, version: Version) -> bool:
    """Remove a version, unless somebody has it loaded or has pinned it; tell whether it was removed."""
    with claimed(version.path) as free:
        if not free or version.id in pinned(models):
            return False
        doomed = version.path.with_name(f"{DOOMED}{version.id}")
        version.path.rename(doomed)
        # Else a power loss could leave half of it under its name.
        sync_folder(models / VERSIONS)
        remove(doomed)
    return True
