"""``HOLD``: after a rollback, what was rolled back from is not published again until somebody releases it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from item2vec.bundle.manifest import Manifest
from item2vec.bundle.seal import FORMAT, read_sealed, sealed
from item2vec.errors import CorruptBundleError, GateRefusedError
from item2vec.files import replace_bytes, sync_folder
from item2vec.versions.folder import exclusively
from item2vec.versions.pointer import generation_of

__all__ = ["HOLD", "Hold", "artefact", "held", "put_on_hold", "refuse_held", "release"]

HOLD = "HOLD"


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
