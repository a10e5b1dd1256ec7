"""Locks: one writer at a time per models folder, and leases that keep a version while it is loaded.

Both are ``flock`` locks: the kernel releases them when their process ends, however it ends. A lease is a
shared lock on ``manifest.json``, for which read permission is enough.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from item2vec.errors import LockHeldError

__all__ = ["claimed", "leased", "locked"]

MAX_NOTE_BYTES = 300
# O_NONBLOCK: opening a FIFO without a writer would otherwise block.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_TRIES = 10
PAUSE = 0.01


@contextlib.contextmanager
def locked(models: Path, command: str = "publish") -> Iterator[None]:
    """Hold the exclusive lock of an existing models folder, or fail at once; readers do not need it.

    ``LOCK`` is never deleted: otherwise two processes could each lock a different file of that name. Its
    content, a note that names the holder, is only used in error messages.

    Raises
    ------
    LockHeldError
        If another run holds the lock. The message names its process and how to end it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as models, locked(Path(models)):
    ...     try:
    ...         with locked(Path(models)):
    ...             pass
    ...     except LockHeldError:
    ...         print("already locked")
    already locked
    """
    path = models / "LOCK"
    # O_CLOEXEC: a child process that outlives this one would otherwise keep the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(f"{path} is held by another run{_read_holder(descriptor)}") from error
        try:
            _write_note(descriptor, _holder_note(command))
            yield
        finally:
            _write_note(descriptor, "")
            # Closing is not enough: a fork that has not yet called exec shares the descriptor and the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def leased(path: Path) -> contextlib.ExitStack:
    """Lease the version in this folder until the returned stack is closed.

    If the manifest cannot be opened, or the version is just being removed, nothing is leased and no error is
    raised: reading the version will then fail, because ids are never reused.
    """
    lease = contextlib.ExitStack()
    with contextlib.suppress(OSError):
        descriptor = os.open(path / "manifest.json", READ)
        lease.callback(os.close, descriptor)
        _lock_shared(descriptor)
    return lease


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield whether a version is free of leases; if it is, no lease is granted until the block ends."""
    try:
        descriptor = os.open(path / "manifest.json", READ)
    except OSError as error:
        # A version without a manifest cannot have been loaded. After any other error, assume a lease.
        yield error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _holder_note(command: str) -> str:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {platform.node()}: item2vec {command}, since {since}\n"


def _write_note(descriptor: int, text: str) -> None:
    # A full disk must not prevent locking: old versions are removed under this lock.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _read_holder(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        note = os.pread(descriptor, MAX_NOTE_BYTES, 0).decode(errors="replace").strip()
        if (match := re.match(r"process (\d+) on ", note)) is not None:
            return f" ({note}); wait until it has ended, or end it: kill {match[1]}"
    return "; try again when it has ended"


def _lock_shared(descriptor: int) -> None:
    """Take a shared lock; continue without it if the file system has no locks or an exclusive lock persists.

    Serving matters more than the lease.
    """
    for _ in range(MAX_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Another process holds ``claimed`` for a short time.
            time.sleep(PAUSE)
        except OSError:
            return
