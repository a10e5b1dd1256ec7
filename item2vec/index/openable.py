"""Files for libraries that open files by name only, such as Annoy.

Another process can replace the file at a path at any time. These functions return paths that always refer to
the same file: the path of an open descriptor (Linux, macOS), or a path in a private temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from item2vec.errors import InputError, Remedy

__all__ = ["new_path", "path_to", "refusing_unwritable"]

DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))
NAME = "index.ann"


@contextlib.contextmanager
def new_path() -> Iterator[Path]:
    """Yield the path of a new temporary file: in memory if the system supports it (Linux), else on disk.

    The file is removed at the end of the block; Windows keeps a file that is still mapped. A memory map or an
    open descriptor of the file stays valid.

    Raises
    ------
    InputError
        If the file cannot be created.

    Examples
    --------
    >>> with new_path() as path:
    ...     path.write_bytes(b"nodes"), path.read_bytes()
    (5, b'nodes')
    """
    with contextlib.ExitStack() as stack:
        with refusing_unwritable():
            path = _in_memory(stack) or _on_disk(stack)
        yield path


@contextlib.contextmanager
def refusing_unwritable() -> Iterator[None]:
    """Raise ``InputError`` if the block, which writes the temporary file, raises an ``OSError``."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the temporary file of an Annoy index could not be written ({error}): set TMPDIR to a writable "
            "folder with free space",
            remedies=[Remedy("index", "exact", otherwise="train the model with --index exact")],
        ) from error


@contextlib.contextmanager
def path_to(file: BinaryIO) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a pair: an open file, and a path that always refers to this open file.

    The path refers to the open file even if another process replaces ``file`` on disk. The open file is
    ``file``, or a temporary copy of ``file`` if the system has no paths of descriptors.

    Raises
    ------
    InputError
        If the copy cannot be written.
    """
    path = _descriptor_path(file)
    if path is not None:
        yield file, path
        return
    with new_path() as path:
        with refusing_unwritable(), path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        with path.open("rb") as copied:
            yield copied, path


def _in_memory(stack: contextlib.ExitStack) -> Path | None:
    if not hasattr(os, "memfd_create"):
        return None
    try:
        file = stack.enter_context(os.fdopen(os.memfd_create(NAME), "rb"))
    except OSError:  # a sandbox may refuse the system call
        return None
    return _descriptor_path(file)


def _on_disk(stack: contextlib.ExitStack) -> Path:
    # Windows does not remove a file that is still mapped; the folder then remains.
    folder = tempfile.TemporaryDirectory(prefix="item2vec-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder)) / NAME


def _descriptor_path(file: BinaryIO) -> Path | None:
    """Return the path of the descriptor of an open file, or ``None`` if the system has no such paths."""
    for folder in DESCRIPTORS:
        path = folder / str(file.fileno())
        with contextlib.suppress(OSError), path.open("rb") as same:
            if os.path.samestat(os.fstat(same.fileno()), os.fstat(file.fileno())):
                return path
    return None
