"""Roll back to an earlier version, and hold back the one that was rolled back from until it is released."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.bundle.seal import FORMAT, read_sealed, sealed
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    GateRefusedError,
    InputError,
    LockHeldError,
)
from item2vec.files import replace_bytes, sync_folder
from item2vec.versions.checking import manifest_of, try_out
from item2vec.versions.layout import (
    CURRENT,
    Version,
    exclusively,
    find,
    generation_of,
    next_generation,
    point_to,
    served,
)
from item2vec.versions.loading import list_versions

__all__ = ["Hold", "artefact", "check_reason", "held", "refuse_held", "release", "rollback"]

HOLD = "HOLD"
MAX_REASON = 1000


@dataclass(frozen=True)
class Hold:
    """What a rollback has left behind: from which version, to which, why, and when.

    ``artefacts`` says which models are held back: one digest for each version that was rolled back from since
    the last release, except where its manifest could not be read any more.

    >>> from datetime import UTC
    >>> why, at = "jazz only", datetime(2024, 2, 29, tzinfo=UTC)
    >>> Hold("g0000000002-0a1b2c3d", "g0000000001-0a1b2c3d", why, at, ()).reason
    'jazz only'
    """

    version: str
    to: str
    reason: str
    at: datetime
    artefacts: tuple[str, ...]


def held(models: str | os.PathLike[str]) -> Hold | None:
    """Return the hold on a models folder, or ``None`` if there is none.

    Raises
    ------
    CorruptBundleError
        If ``HOLD`` is damaged: that there is none is never guessed.

    Examples
    --------
    >>> held("nowhere") is None
    True
    """
    path = Path(models) / HOLD
    try:
        content, _ = read_sealed(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except CorruptBundleError as error:
        raise CorruptBundleError(f"{error}; to end this hold all the same, remove {path}") from error
    match content:
        case {
            "format": 1,
            "version": str(version),
            "to": str(to),
            "reason": str(reason),
            "at": str(at),
            "artefacts": list(artefacts),
            **others,
        } if (
            generation_of(version)
            and generation_of(to)
            and all(isinstance(digest, str) for digest in artefacts)
            and not others
        ):
            try:
                return Hold(version, to, reason, datetime.fromisoformat(at), tuple(artefacts))
            except ValueError:
                pass
    raise CorruptBundleError(
        f"{path} holds {str(content)[:200]}; expected format, version, to, reason, at, artefacts"
    )


def release(models: str | os.PathLike[str]) -> Hold | None:
    """End the hold on a models folder, and return what it was; ``None`` if there was none.

    Raises
    ------
    CorruptBundleError
        If ``HOLD`` is damaged.
    BundleNotFoundError, LockHeldError, WriteError
        As for ``rollback``.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     _ = publish(model, models)
    ...     release(models) is None
    True
    """
    folder = Path(models)
    with exclusively(folder, "models release"):
        hold = held(folder)
        if hold is not None:
            (folder / HOLD).unlink()
            sync_folder(folder)
    return hold


def put_on_hold(models: Path, hold: Hold) -> None:
    """Write a hold, in place of one that may be there. The caller holds the lock."""
    content = asdict(hold) | {"at": hold.at.isoformat(), "artefacts": list(hold.artefacts), "format": FORMAT}
    replace_bytes(models / HOLD, sealed(content))


def refuse_held(models: Path, manifest: Manifest) -> None:
    """Raise ``GateRefusedError`` if this very model was rolled back from, and not released since."""
    hold = held(models)
    if hold is not None and artefact(manifest) in hold.artefacts:
        raise GateRefusedError(
            f"this very model was rolled back from ({hold.version}, {hold.at.isoformat(sep=' ')}: "
            f"{hold.reason}); to publish it all the same: item2vec models release --models {models}"
        )


def artefact(manifest: Manifest) -> str:
    """Return a digest of all of a model but when, why and from what it was made."""
    files = {name: entry.sha256 for name, entry in manifest.files.items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


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
