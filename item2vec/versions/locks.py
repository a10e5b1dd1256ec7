"""Locks of a models folder: the exclusive lock of the writer, and leases on loaded versions.

Both are ``flock`` locks, which the kernel releases when the process that holds them ends, even if the process
is killed. A lease is a shared lock on the ``manifest.json`` of a version. It prevents the removal of the
version, and requires only read permission.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from item2vec.errors import LockHeldError
from item2vec.files import FILE_MODE, HAS_LOCKS, READ_REGULAR, check_locks, fcntl, set_mode

__all__ = ["claimed", "leased", "locked"]

MAX_NOTE_BYTES = 300
LEASE_TRIES, LEASE_PAUSE = 10, 0.01
CLAIM_TRIES, CLAIM_PAUSE = 3, 0.002


@contextlib.contextmanager
def locked(folder: Path, command: str = "publish", *, name: str = "LOCK") -> Iterator[None]:
    """Hold the exclusive lock of an existing folder during the block. Readers do not need the lock.

    The lock file ``name`` is never deleted: otherwise, two processes could each lock a different file of that
    name. The file contains a note that names the process holding the lock and its ``command``. The note is
    used only in error messages.

    Raises
    ------
    PlatformError
        If the system has no POSIX file locks.
    LockHeldError
        If another process or thread holds the lock; this function does not wait. If the note can be read, the
        message names the process and, unless it is this process, the command that ends the process.
    OSError
        If the lock file cannot be opened.

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
    check_locks()
    path = folder / name
    # O_CLOEXEC: otherwise a child process would inherit the lock, and could hold it after this process ends.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        status = os.fstat(descriptor)
        if FILE_MODE & ~status.st_mode and status.st_uid == os.geteuid():
            set_mode(path, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(f"{path} is held by another run{_read_holder(descriptor)}") from error
        try:
            _write_note(descriptor, _holder_note(command))
            yield
        finally:
            _write_note(descriptor, "")
            # Closing does not release the lock if a forked child that has not yet called exec shares it.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def leased(path: Path) -> contextlib.ExitStack:
    """Lease the version in the folder ``path`` until the returned stack is closed.

    In the following cases, no lease is taken, and no error is raised:

    - The manifest cannot be opened. Reading the version then fails.
    - Another process holds the exclusive lock of the manifest, usually in order to remove the version.
      Reading a removed version fails. Version ids are not reused, so that no other version can be read.
    - The file system does not support locks. ``claimed`` then reports each version as leased.
    - The system has no POSIX file locks. Versions are then never removed.
    """
    lease = contextlib.ExitStack()
    if not HAS_LOCKS:
        return lease
    with contextlib.suppress(OSError):
        descriptor = os.open(path / "manifest.json", READ_REGULAR)
        lease.callback(os.close, descriptor)
        # If the lock is not taken, the version is loaded without a lease.
        _lock(descriptor, fcntl.LOCK_SH, tries=LEASE_TRIES, pause=LEASE_PAUSE)
    return lease


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield ``True`` if a version has no lease; no lease can then be taken until the block ends.

    Yield ``False`` if the version has a lease, or if this cannot be determined. A short claim of another
    process is waited for. Raise ``PlatformError`` if the system has no POSIX file locks.
    """
    check_locks()
    try:
        descriptor = os.open(path / "manifest.json", READ_REGULAR)
    except OSError as error:
        # A version without a manifest cannot be loaded. After any other error, the version may be leased.
        yield error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
        return
    try:
        yield _lock(descriptor, fcntl.LOCK_EX, tries=CLAIM_TRIES, pause=CLAIM_PAUSE)
    finally:
        os.close(descriptor)


def _holder_note(command: str) -> str:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"{_this_process()}: item2vec {command}, since {since}\n"


def _this_process() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _write_note(descriptor: int, text: str) -> None:
    # The lock is held even if the disk is too full for a note: removing old versions requires the lock.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _read_holder(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        note = os.pread(descriptor, MAX_NOTE_BYTES, 0).decode(errors="replace").strip()
        if (match := re.match(r"process (\d+) on ", note)) is not None:
            if note.startswith(_this_process()):
                return f" ({note}), a call in this process; wait until that call ends"
            return f" ({note}); wait until that process ends, or, on its host, end it: kill {match[1]}"
    return "; run the command again after that run has ended"


def _lock(descriptor: int, operation: int, *, tries: int, pause: float) -> bool:
    """Take a lock in at most ``tries`` attempts, with pauses in seconds; return whether the lock was taken.

    Another process may be in a ``claimed`` block, which is short. If the file system does not support locks,
    there is one attempt.
    """
    for _ in range(tries):
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(pause)
        except OSError:
            return False
    return False
