"""Locks: one writer at a time per models folder, and leases that keep a version while it is loaded."""

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

MAX_BYTES = 300
# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_TRIES = 10
PAUSE = 0.01


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


def leased(path: Path) -> contextlib.ExitStack:
    """Lease a version until what is returned is closed.

    Nothing is leased where there is nothing to be opened, or the version is just being removed. Whoever goes
    on to read it will find out, since no other version ever has its id.
    """
    lease = contextlib.ExitStack()
    with contextlib.suppress(OSError):
        descriptor = os.open(path / "manifest.json", READ)
        lease.callback(os.close, descriptor)
        _share(descriptor)
    return lease


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Tell whether nobody leases a version; if so, nobody can until the block ends."""
    try:
        descriptor = os.open(path / "manifest.json", READ)
    except OSError as error:
        # Nobody can have loaded a version without a manifest; of any other trouble nothing is known.
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


def _share(descriptor: int) -> None:
    """Lock, unless this file system has no locks, or somebody else's lock stays: serving matters more."""
    for _ in range(MAX_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Somebody looks whether it is leased; it is tried again.
            time.sleep(PAUSE)
        except OSError:
            return
