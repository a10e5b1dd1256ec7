"""What there is in a models folder, for people who decide what to do with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.versions.layout import Version, served
from item2vec.versions.loading import list_versions
from item2vec.versions.locks import claimed
from item2vec.versions.retention import pinned
from item2vec.versions.rollbacks import artefact, held

__all__ = ["Overview", "overview"]

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Overview:
    """One version at a glance.

    ``states`` are of ``served previous pinned held leased damaged``; ``manifest`` is ``None`` where it cannot
    be read; ``size`` is in bytes. ``damaged`` is what a look at the manifest and at sizes tells: ``verify``
    reads everything.

    >>> version = Version("g0000000001-0a1b2c3d", 1, Path("models/versions/g0000000001-0a1b2c3d"), "", None)
    >>> Overview(version, None, 0, ("damaged",)).states
    ('damaged',)
    """

    version: Version
    manifest: Manifest | None
    size: int
    states: tuple[str, ...]


def overview(models: str | os.PathLike[str]) -> list[Overview]:
    """Return all versions in a models folder at a glance, oldest first; nothing that is damaged is an error.

    The generation of the served version is that of its promotion, which after a rollback is above the one in
    its id.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     versions = publish(model, models), publish(model, models)
    ...     [(one.version.generation, one.states) for one in overview(models)]
    [(1, ('previous',)), (2, ('served',))]
    """
    folder = Path(models)
    active, artefacts = _served(folder), _held(folder)
    found = []
    for version in list_versions(folder):
        manifest, sizes = _manifest(version.path), _sizes(version.path)
        is_active = active is not None and active.id == version.id
        shown = active if active is not None and is_active else version
        with claimed(version.path) as free:
            told = {
                "served": is_active,
                "previous": active is not None and active.previous == version.id,
                "pinned": version.id in pinned(folder),
                "held": manifest is not None and artefact(manifest) in artefacts,
                "leased": not free,
                "damaged": manifest is None
                or any(sizes.get(name) != entry.size for name, entry in manifest.files.items())
                or shown.manifest_sha256 != version.manifest_sha256,
            }
        states = tuple(state for state, holds in told.items() if holds)
        found.append(Overview(shown, manifest, sum(sizes.values()), states))
    return found


def _served(models: Path) -> Version | None:
    try:
        return served(models)
    except CorruptBundleError:
        return None


def _held(models: Path) -> tuple[str, ...]:
    try:
        hold = held(models)
    except CorruptBundleError:
        return ()
    return hold.artefacts if hold else ()


def _manifest(path: Path) -> Manifest | None:
    try:
        return None if path.is_symlink() else read_manifest(path / MANIFEST)[0]
    except (OSError, CorruptBundleError):
        return None


def _sizes(path: Path) -> dict[str, int]:
    """Return the size of each file of a version."""
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except OSError:
        return {}
