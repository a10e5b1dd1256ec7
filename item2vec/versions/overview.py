"""Summarise the versions in a models folder: states, sizes and scores."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from item2vec import files
from item2vec.arguments import checked
from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.versions.layout import Version, served_version_or_none
from item2vec.versions.loading import list_versions
from item2vec.versions.locks import claimed
from item2vec.versions.retention import pinned
from item2vec.versions.rollbacks import artefact_digest, held

__all__ = ["NOTE", "Overview", "overview"]

MANIFEST = "manifest.json"
NOTE = "retrain"
"""Key in the note of a manifest under which a run of ``retrain`` stores its record."""

# Only one thread at a time claims versions: a second one would find the versions claimed, and take them for
# leased. A fork waits until no version is claimed. Otherwise, the child would inherit claim and lock.
_claiming = threading.RLock()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_claiming.acquire, after_in_parent=_claiming.release, after_in_child=_claiming.release
    )


@dataclass(frozen=True)
class Overview:
    """The summary of one version.

    ``states`` is a subset of ``served``, ``previous``, ``pinned``, ``held``, ``leased`` and ``damaged``. The
    state ``damaged`` is derived from the manifest, its checksum in ``CURRENT``, and the sizes of the listed
    files; only ``verify`` compares the checksums of all files. ``manifest`` is ``None`` if the manifest
    cannot be read. ``size`` is the sum of the file sizes in bytes.

    >>> version = Version("g0000000001-0a1b2c3d", 1, Path("models/versions/g0000000001-0a1b2c3d"), "", None)
    >>> Overview(version, None, 0, ("damaged",)).states
    ('damaged',)
    """

    version: Version
    manifest: Manifest | None
    size: int
    states: tuple[str, ...]

    @property
    def score(self) -> tuple[str, float] | None:
        """Metric and score of the version on held-out interactions, as recorded by its run of ``retrain``.

        ``None`` if the manifest contains no score.
        """
        match self.manifest.note.get(NOTE) if self.manifest else None:
            case {"evaluation": {"protocol": {"metric": str(metric)}, "metrics": dict(metrics)}}:
                score = metrics.get(metric)
                return (metric, score) if isinstance(score, float) else None
        return None


@checked
def overview(models: str | os.PathLike[str]) -> list[Overview]:
    """Return a summary of each version in a models folder, oldest first.

    The generation of the served version is the number of its latest promotion. After a rollback, this
    generation is higher than the generation in the version id. Damaged files raise no error. If ``CURRENT``
    is damaged, no version is marked as served or previous. If ``HOLD`` is damaged, no version is marked as
    held.

    Raises
    ------
    ConfigError
        If ``models`` is a file.
    CorruptBundleError
        If this user may not read the folders ``versions`` or ``pins``.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     versions = publish(model, models), publish(model, models)
    ...     [(row.version.generation, row.states) for row in overview(models)]
    [(1, ('previous',)), (2, ('served',))]
    """
    folder = Path(models)
    active, artefacts = _served(folder), _held_artefacts(folder)
    summaries = []
    for version in list_versions(folder):
        manifest, sizes = _manifest(version.path), _sizes(version.path)
        is_active = active is not None and active.id == version.id
        shown = active if active is not None and is_active else version
        # Without locks, no version is leased.
        with _claiming, claimed(version.path) if files.HAS_LOCKS else contextlib.nullcontext(True) as free:
            is_in_state = {
                "served": is_active,
                "previous": active is not None and active.previous == version.id,
                "pinned": version.id in pinned(folder),
                "held": manifest is not None and artefact_digest(manifest) in artefacts,
                "leased": not free,
                "damaged": manifest is None
                or any(sizes.get(name) != entry.size for name, entry in manifest.files.items())
                or shown.manifest_sha256 != version.manifest_sha256,
            }
        states = tuple(state for state, applies in is_in_state.items() if applies)
        summaries.append(Overview(shown, manifest, sum(sizes.values()), states))
    return summaries


def _served(models: Path) -> Version | None:
    try:
        return served_version_or_none(models)
    except CorruptBundleError:
        return None


def _held_artefacts(models: Path) -> tuple[str, ...]:
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
    """Return the sizes of a version's files in bytes, by name; empty if the folder cannot be read."""
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except OSError:
        return {}
