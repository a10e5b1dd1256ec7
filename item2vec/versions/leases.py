"""Leases: a reader holds on to the version that it uses, so that it is not removed meanwhile.

A lease is a shared lock on ``manifest.json``, which needs no right to write and ends with its process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["claimed", "leased"]

# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_TRIES = 10
PAUSE = 0.01


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
