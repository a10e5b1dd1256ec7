"""The lock of a models folder: one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from item2vec.errors import LockHeldError

__all__ = ["locked"]

MAX_BYTES = 300


@contextlib.contextmanager
def locked(models: Path, command: str = "publish") -> Iterator[None]:
    """Hold the lock of an existing models folder; readers need none.

    The kernel lets go of it when the process ends, however it ends. The file ``LOCK`` is never removed: two
    runs could then each hold a lock, on two files of that name. What it holds is only for people to read.

    Raises
    ------
    LockHeldError
        If another run holds it; says which one, and how to end it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as models, locked(Path(models)):
    ...     try:
    ...         with locked(Path(models)):
    ...             pass
    ...     except LockHeldError:
    ...         print("one at a time")
    one at a time
    """
    path = models / "LOCK"
    # O_CLOEXEC: a child that outlives this process would go on holding the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(f"{path} is held by another run{_holder(descriptor)}") from error
        try:
            _note(descriptor, _about(command))
            yield
        finally:
            _note(descriptor, "")
            # Not left to close(): a child that is just being started may have a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _about(command: str) -> str:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {platform.node()}: item2vec {command}, since {since}\n"


def _note(descriptor: int, text: str) -> None:
    # A full disk must not keep anybody from the lock: old versions are removed under it, too.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _holder(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        told = os.pread(descriptor, MAX_BYTES, 0).decode(errors="replace").strip()
        if (match := re.match(r"process (\d+) on ", told)) is not None:
            return f" ({told}); wait until it has ended, or end it: kill {match[1]}"
    return "; try again when it has ended"
