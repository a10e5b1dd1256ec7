"""Roll back: a version that was there before is served again, as a generation of its own."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError, InputError, LockHeldError
from item2vec.files import sync_folder
from item2vec.versions.folder import exclusively, find, next_generation
from item2vec.versions.holds import HOLD, Hold, artefact, held, put_on_hold
from item2vec.versions.loading import list_versions
from item2vec.versions.pointer import CURRENT, Version, generation_of, point_to, served
from item2vec.versions.trial import manifest_of, try_out

__all__ = ["rollback"]

MAX_REASON = 1000


def rollback(
    models: str | os.PathLike[str], *, to: str | None = None, reason: str, now: datetime | None = None
) -> Version:
    """Serve an older version again, and hold back the one that was served until ``release``.

    That version is checked first and asked a few questions, as a new one would be. Readers have one model
    until ``CURRENT`` is replaced, and the other from then on.

    Parameters
    ----------
    models
        A models folder.
    to
        Which version: any but the served one. By default the one that was served before, or, if that is not
        older than the served one, the newest that is.
    reason
        Why, for those who find the hold.
    now
        The time of the hold.

    Returns
    -------
    Version
        What is served now; its generation is that of this promotion, above the one in its id.

    Raises
    ------
    ConfigError
        If that version is served already, or no reason is given.
    BundleNotFoundError
        If there is no such version, or none that is older.
    CorruptBundleError
        If that version is damaged or does not answer; names those that do. Also if ``CURRENT`` is damaged.
    LockHeldError
        If another run is publishing here.
    WriteError
        If the disk is full or fails. In all these cases nothing has changed for readers.
    DurabilityError
        If it is served, but the disk did not confirm that this will survive a power loss.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     first, second = publish(model, models), publish(model, models)
    ...     version = rollback(models, reason="everybody got jazz")
    >>> version.id == first.id, version.generation, version.previous == second.id
    (True, 3, True)
    """
    folder, at = Path(models), now or datetime.now(UTC)
    _check_words(reason, at)
    with exclusively(folder, "models rollback"):
        before = served(folder)
        path = find(folder, _older(folder, before) if to is None else to)
        if before is not None and path.name == before.id:
            raise ConfigError(f"{folder} serves {path.name} already; see item2vec models list")
        manifest, digest = _tried(folder, path, before)
        if before is None:
            version = Version(path.name, next_generation(folder), path, digest, None)
            point_to(folder, version)
        else:
            version = Version(path.name, next_generation(folder), path, digest, before.id)
            _switch(folder, before, version, _hold(folder, before, version, manifest, reason, at))
    return version


def check_reason(reason: str) -> None:
    """Refuse a reason that nobody could read (``ConfigError``): empty, not text, or over 1,000 bytes."""
    try:
        length = len(reason.strip().encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"the reason {reason!r} is not UTF-8 text") from error
    if not 0 < length <= MAX_REASON:
        raise ConfigError(f"the reason has {length:,} bytes; expected 1 to {MAX_REASON:,}: say why")
    if "\0" in reason:
        raise ConfigError(f"the reason {reason!r} holds a NUL; expected text")


def _check_words(reason: str, at: datetime) -> None:
    check_reason(reason)
    if at.tzinfo is None:
        raise InputError(f"now is {at.isoformat()}; expected a time zone, such as datetime.now(UTC)")


def _older(models: Path, before: Version | None) -> str:
    """Return the id of the version to go back to where none is named."""
    if before is None:
        raise BundleNotFoundError(f"{models} serves nothing; say which one: item2vec models rollback --to ID")
    generation = generation_of(before.id) or 0
    older = [version.id for version in list_versions(models) if version.generation < generation]
    if not older:
        raise BundleNotFoundError(
            f"{models} has no version older than {before.id}, which is served; name another one with --to"
        )
    # After a rollback, the previous version is the one that was rolled back from.
    return before.previous if before.previous in older else older[-1]


def _tried(models: Path, path: Path, before: Version | None) -> tuple[Manifest, str]:
    """Try a version out; return its manifest and its checksum."""
    try:
        manifest, digest = manifest_of(path)
        try_out(path, digest)
    except CorruptBundleError as error:
        others = {version.path for version in list_versions(models)} - {path, before and before.path}
        sound = [other.name for other in sorted(others, reverse=True) if _is_sound(other)]
        told = f"these can: {', '.join(sound)}" if sound else "nor can any other one"
        raise CorruptBundleError(f"{path.name} cannot be served ({told}): {error}") from error
    return manifest, digest


def _is_sound(path: Path) -> bool:
    try:
        try_out(path, manifest_of(path)[1])
    except CorruptBundleError:
        return False
    return True


def _hold(
    models: Path, before: Version, version: Version, manifest: Manifest, reason: str, at: datetime
) -> Hold:
    """Return the hold on what is served and on what was held before, but not on what will be served."""
    artefacts: set[str] = set()
    # Neither damage to the version that is to go nor to an older hold may keep anybody from rolling back.
    with contextlib.suppress(OSError, CorruptBundleError):
        artefacts.add(artefact(read_manifest(before.path / "manifest.json")[0]))
    with contextlib.suppress(CorruptBundleError):
        earlier = held(models)
        artefacts |= set(earlier.artefacts if earlier else ())
    return Hold(before.id, version.id, reason, at, tuple(sorted(artefacts - {artefact(manifest)})))


def _switch(models: Path, before: Version, version: Version, hold: Hold) -> None:
    """Put what is served on hold, then serve the other one: so that no promotion can come between the two."""
    was_held = os.path.lexists(models / HOLD)
    try:
        put_on_hold(models, hold)
        if served(models) != before:
            raise LockHeldError(f"{models / CURRENT} was changed by a run that does not hold the lock")
        point_to(models, version)
    except BaseException:
        with contextlib.suppress(Exception):
            if not was_held and served(models) == before:
                (models / HOLD).unlink(missing_ok=True)
                sync_folder(models)
        raise
