"""The lock of a folder that one writer at a time fills: of shards, or of the states of a training run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from item2vec import files
from item2vec.errors import LockHeldError

__all__ = ["locked"]


def locked(folder: Path) -> int | None:
    """Lock a folder; return the descriptor that holds the lock, or ``None`` if the system has no locks.

    Raises
    ------
    LockHeldError
        If another writer, in this or another process, holds the lock.
    """
    if not files.HAS_LOCKS:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        files.fcntl.flock(descriptor, files.fcntl.LOCK_EX | files.fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        raise LockHeldError(
            f"another writer, in this or another process, holds the lock of {folder}; wait until that writer "
            "finishes, or close it"
        ) from error
    return descriptor
