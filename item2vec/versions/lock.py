"""The lock of a models folder: one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from item2vec.errors import LockHeldError

__all__ = ["locked"]


@contextlib.contextmanager
def locked(models: Path) -> Iterator[None]:
    """Hold the lock of an existing models folder; readers need none.

    The kernel lets go of it when the process ends, however it ends. The file ``LOCK`` is never removed: two
    runs could then each hold a lock, on two files of that name.

    Raises
    ------
    LockHeldError
        If another run holds it.

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
            raise LockHeldError(f"{path} is held by another run; try again when it has ended") from error
        try:
            yield
        finally:
            # Not left to close(): a child that is just being started may have a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
