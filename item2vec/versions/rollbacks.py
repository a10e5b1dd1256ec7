"""Roll back to another version, and put the replaced model on hold.

A model on hold cannot be published. Until the hold is ended by ``release``, the command line and nightly runs
do not publish other models, either.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from item2vec.arguments import checked
from item2vec.bundle.manifest import LAYOUT, REPORT, SIMILAR, Manifest, read_manifest
from item2vec.bundle.seal import FORMAT, sealed
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    GateRefusedError,
    InputError,
    LockHeldError,
    Remedy,
)
from item2vec.files import FILE_MODE, replace_bytes, sync_folder
from item2vec.versions.checking import manifest_of, run_canary
from item2vec.versions.layout import (
    CURRENT,
    HOLD,
    NEXT_HOLD,
    Version,
    abbreviated,
    find,
    generation_of,
    is_served,
    may_serve,
    next_generation,
    point_to,
    read_state,
    served_version_or_none,
    settle_hold,
    write_access,
)
from item2vec.versions.loading import list_versions

__all__ = [
    "Hold",
    "artefact_digest",
    "check_no_hold",
    "check_not_held",
    "check_reason",
    "held",
    "release",
    "rollback",
]

MAX_REASON = 1000


@dataclass(frozen=True)
class Hold:
    """The record of the last rollback, and of the models on hold.

    ``version`` is the id of the replaced version, ``to`` the id of its replacement, and ``at`` the time of
    the rollback. ``artefacts`` contains the digests of the models on hold. These are the models of all
    versions that a rollback has replaced since the last release, except the model of ``to``, and except
    versions with an unreadable manifest.

    >>> from datetime import UTC
    >>> why, at = "low diversity", datetime(2024, 2, 29, tzinfo=UTC)
    >>> Hold("g0000000002-0a1b2c3d", "g0000000001-0a1b2c3d", why, at, ()).reason
    'low diversity'
    """

    version: str
    to: str
    reason: str
    at: datetime
    artefacts: tuple[str, ...]


@checked
def held(models: str | os.PathLike[str]) -> Hold | None:
    """Return the hold of a models folder; ``None`` if there is no hold.

    Raises
    ------
    CorruptBundleError
        If ``HOLD`` is damaged or cannot be read. A damaged hold is not treated as a missing one.

    Examples
    --------
    >>> held("nowhere") is None
    True
    """
    following = _read_hold(Path(models) / NEXT_HOLD)
    if following is not None and not is_served(Path(models), following.version):
        return following
    return _read_hold(Path(models) / HOLD)


def _read_hold(path: Path) -> Hold | None:
    remedy = f"remove {path} to end the hold; the replaced models can then be published again"
    content = read_state(path, remedy)
    if content is None:
        return None
    match content:
        case {
            "format": 1,
            "version": str(version),
            "to": str(to),
            "reason": str(reason),
            "at": str(at),
            "artefacts": list(artefacts),
            **unexpected,
        } if (
            generation_of(version)
            and generation_of(to)
            and all(isinstance(digest, str) for digest in artefacts)
            and not unexpected
        ):
            try:
                return Hold(version, to, reason, datetime.fromisoformat(at), tuple(artefacts))
            except ValueError:
                pass
    raise CorruptBundleError(
        f"{path} contains {abbreviated(content)}; expected only the keys format (1), version and to (such as "
        "g0000000001-0a1b2c3d), reason (text), at (an ISO 8601 time) and artefacts (a list of text): "
        f"{remedy}"
    )


@checked
def release(models: str | os.PathLike[str]) -> Hold | None:
    """End the hold of a models folder; return the hold, or ``None`` if there was no hold.

    Raises
    ------
    CorruptBundleError
        If ``HOLD`` or ``CURRENT`` is damaged or cannot be read.
    BundleNotFoundError
        If the folder contains no versions.
    ConfigError
        If ``staging`` or ``versions`` is not a folder.
    PlatformError, LockHeldError, WriteError
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
    with write_access(folder, "models release"):
        hold = held(folder)
        if hold is not None:
            (folder / HOLD).unlink()
            sync_folder(folder)
    return hold


def write_hold(models: Path, hold: Hold) -> None:
    """Write ``HOLD.next``, which applies when ``CURRENT`` is replaced. The caller must hold the lock."""
    content = asdict(hold) | {"at": hold.at.isoformat(), "artefacts": list(hold.artefacts), "format": FORMAT}
    replace_bytes(models / NEXT_HOLD, sealed(content), FILE_MODE)


def check_no_hold(models: str | os.PathLike[str]) -> None:
    """Raise ``GateRefusedError`` if there is a hold, and ``CorruptBundleError`` if ``HOLD`` is damaged."""
    hold = held(models)
    if hold is not None:
        raise GateRefusedError(
            f"promotions are held back since the rollback of {hold.version} to {hold.to} at "
            f"{hold.at.isoformat(sep=' ')} ({hold.reason}); to allow them again: "
            f"item2vec models release --models {models}"
        )


def check_not_held(models: Path, manifest: Manifest) -> None:
    """Raise ``GateRefusedError`` if the model with this manifest is on hold."""
    hold = held(models)
    if hold is not None and artefact_digest(manifest) in hold.artefacts:
        raise GateRefusedError(
            f"the model is on hold since the rollback of {hold.version} at {hold.at.isoformat(sep=' ')} "
            f"({hold.reason}); to end the hold: item2vec models release --models {models}"
        )


def artefact_digest(manifest: Manifest) -> str:
    """Return a digest of the checksums of a model's files, except layout, page of the run, and similar index.

    Other fields of the manifest, such as settings, note and creation time, do not affect the digest.
    """
    left_out = {LAYOUT, REPORT} | SIMILAR
    files = {name: entry.sha256 for name, entry in manifest.files.items() if name not in left_out}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


@checked
def rollback(
    models: str | os.PathLike[str], *, to: str | None = None, reason: str, now: datetime | None = None
) -> Version:
    """Serve another version, and put the replaced model on hold until ``release``.

    A child process first reads and queries the version, as for ``publish``. Then the hold is written, and
    ``CURRENT`` is replaced atomically. If no version is served, because ``CURRENT`` is missing, the hold is
    not written, and no model is put on hold. After any error except ``DurabilityError``, the served version
    is unchanged.

    Parameters
    ----------
    models
        A models folder.
    to
        The id of the version to serve, other than the served version. The default is the previous version. If
        the previous version is missing, or newer than the served version, the default is the newest version
        that is older than the served version.
    reason
        The reason to store in the hold: text of 1 to 1,000 UTF-8 bytes.
    now
        The time to store in the hold, with a time zone; by default the current time.

    Returns
    -------
    Version
        The version that is served now. Its generation is the number of this promotion, which is higher than
        the generation in its id.

    Raises
    ------
    ConfigError
        If the version is already served, the reason is invalid (see ``check_reason``), or ``staging`` or
        ``versions`` is not a folder.
    InputError
        If ``now`` has no time zone.
    BundleNotFoundError
        If there is no version with this id, or, without ``to``, no older version or no served version.
    CorruptBundleError
        If the version is damaged or fails a query; the message lists the versions that can be served. Also
        if ``CURRENT`` is damaged, or the folder cannot be read.
    PlatformError
        If the system has no POSIX file locks.
    LockHeldError
        If another process or thread holds the lock of the folder, or a process without the lock has changed
        ``CURRENT``.
    WriteError
        If the disk is full or fails.
    DurabilityError
        If the version is served, but the disk did not confirm the flush of ``CURRENT``, so that a power loss
        may undo the rollback.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> with tempfile.TemporaryDirectory() as models:
    ...     first, second = publish(model, models), publish(model, models)
    ...     version = rollback(models, reason="low diversity")
    >>> version.id == first.id, version.generation, version.previous == second.id
    (True, 3, True)
    """
    folder, at = Path(models), now or datetime.now(UTC)
    check_reason(reason)
    if at.tzinfo is None:
        raise InputError(
            f"now is {at.isoformat()}; expected a time with a time zone, such as datetime.now(UTC)"
        )
    with write_access(folder, "models rollback"):
        before = served_version_or_none(folder)
        path = find(folder, _default_target(folder, before) if to is None else to)
        if before is not None and path.name == before.id:
            raise ConfigError(
                f"{folder} already serves {path.name}; pass the id of another version (to list them, run: "
                f"item2vec models list --models {folder})"
            )
        manifest, digest = _checked(folder, path, before)
        if before is None:
            version = Version(path.name, next_generation(folder), path, digest, None)
            point_to(folder, version)
        else:
            version = Version(path.name, next_generation(folder), path, digest, before.id)
            _switch(folder, before, version, _hold(folder, before, version, manifest, reason, at))
    return version


@checked
def check_reason(reason: str) -> None:
    """Raise ``ConfigError`` unless the reason has 1 to 1,000 UTF-8 bytes and no NUL character.

    A reason with a lone surrogate, which UTF-8 cannot encode, raises ``ConfigError``, too. White space at the
    start and the end of the reason is not counted. A reason that is not text raises ``InputTypeError``.
    """
    try:
        length = len(reason.strip().encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"the reason {reason!r} contains a lone surrogate; expected UTF-8 text") from error
    if not 0 < length <= MAX_REASON:
        raise ConfigError(f"the reason has {length:,} bytes; expected 1 to {MAX_REASON:,}")
    if "\0" in reason:
        raise ConfigError(f"the reason {reason!r} contains a NUL character; remove it")


def _default_target(models: Path, before: Version | None) -> str:
    """Return the default of ``to`` in ``rollback``."""
    if before is None:
        raise BundleNotFoundError(
            f"{models} serves no version; specify one: item2vec models rollback --to ID --reason TEXT "
            f"--models {models}"
        )
    generation = generation_of(before.id) or 0
    older = [version.id for version in list_versions(models) if version.generation < generation]
    if not older:
        raise BundleNotFoundError(
            f"{models} has no version older than {before.id}, the served one",
            remedies=[Remedy("to", text="specify another version with {}")],
        )
    # After a rollback, the previous version is the replaced one, and usually newer than the served version.
    return before.previous if before.previous in older else older[-1]


def _checked(models: Path, path: Path, before: Version | None) -> tuple[Manifest, str]:
    """Check a version in a child process; return its manifest, and the SHA-256 of the manifest."""
    try:
        manifest, digest = manifest_of(path)
        run_canary(path, digest)
    except CorruptBundleError as error:
        others = {version.path for version in list_versions(models)} - {path, before and before.path}
        sound = [other.name for other in sorted(others, reverse=True) if _is_sound(other)]
        hint = (
            f"versions that can be served: {', '.join(sound)}"
            if sound
            else "no other version can be served; publish a new version"
        )
        raise CorruptBundleError(f"{path.name} cannot be served ({hint}): {error}") from error
    return manifest, digest


def _is_sound(path: Path) -> bool:
    try:
        run_canary(path, manifest_of(path)[1])
    except CorruptBundleError:
        return False
    return True


def _hold(
    models: Path, before: Version, version: Version, manifest: Manifest, reason: str, at: datetime
) -> Hold:
    """Return a hold on the model of ``before`` and on the models already on hold.

    The model of ``version``, whose manifest is ``manifest``, is not put on hold.
    """
    artefacts: set[str] = set()
    # A rollback must remain possible if the served version or the hold is damaged.
    with contextlib.suppress(OSError, CorruptBundleError):
        artefacts.add(artefact_digest(read_manifest(before.path / "manifest.json")[0]))
    with contextlib.suppress(CorruptBundleError):
        earlier = held(models)
        artefacts |= set(earlier.artefacts if earlier else ())
    return Hold(before.id, version.id, reason, at, tuple(sorted(artefacts - {artefact_digest(manifest)})))


def _switch(models: Path, before: Version, version: Version, hold: Hold) -> None:
    """Write the hold to ``HOLD.next``, replace ``CURRENT``, then rename ``HOLD.next`` to ``HOLD``.

    The hold applies if and only if ``CURRENT`` was replaced: a crash leaves neither a rollback without its
    hold nor a hold without its rollback. An earlier hold remains until then.
    """
    try:
        write_hold(models, hold)
        if served_version_or_none(models) != before:
            raise LockHeldError(
                f"{models / CURRENT} was changed by a process without the lock; run the command again"
            )
        point_to(models, version)
    except BaseException:
        with contextlib.suppress(Exception):
            if not may_serve(models, version):
                (models / NEXT_HOLD).unlink(missing_ok=True)
                sync_folder(models)
        raise
    with contextlib.suppress(OSError):  # the hold applies already; the next writer renames the file
        settle_hold(models)
