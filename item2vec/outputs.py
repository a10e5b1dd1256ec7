"""Write results, such as vectors, reports and settings, to files; create temporary folders."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from item2vec.errors import WriteError, reason_of
from item2vec.files import flush, set_mode, sync_folder

__all__ = ["output", "temporary_folder"]


@contextlib.contextmanager
def output(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file to write results to. A regular file is replaced atomically at the end of the block.

    A device or a pipe is written directly. A symbolic link is followed. Without ``mode``, a file that is
    replaced keeps its mode, and the umask determines the mode of a new file.

    Raises
    ------
    WriteError
        If the file cannot be created or written, for example because the folder does not exist, or the disk
        is full. A regular file that already exists is then unchanged, unless the error occurs in the final
        flush of the folder, after the replacement.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with output(Path(folder) / "result.txt") as file:
    ...         _ = file.write(b"result")
    ...     (Path(folder) / "result.txt").read_bytes()
    b'result'
    """
    try:
        with _in_place(path) if _is_special(path) else _replacing(path.resolve(), mode) as file:
            yield file
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{path} could not be written: {reason_of(error)}; {_advice(path)}") from error


@contextlib.contextmanager
def temporary_folder(prefix: str = "item2vec-") -> Iterator[Path]:
    """Yield a new temporary folder, and remove it at the end of the block.

    Raise ``WriteError`` if the folder cannot be created.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise WriteError(
            f"a temporary folder could not be created: {reason_of(error)}; check the space on the disk and "
            "the permissions, or set the environment variable TMPDIR to another folder"
        ) from error
    with folder as name:
        yield Path(name)


def _is_special(path: Path) -> bool:
    """Return whether a path is an existing device, pipe or folder."""
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def _in_place(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        yield file


@contextlib.contextmanager
def _replacing(path: Path, mode: int | None) -> Iterator[BinaryIO]:
    written = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        with written.open("xb") as file:
            yield file
            file.flush()
            flush(file.fileno())
        if mode is not None:
            set_mode(written, mode)
        elif path.exists():
            written.chmod(stat.S_IMODE(path.stat().st_mode))
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    sync_folder(path.parent)


def _advice(path: Path) -> str:
    folder = path.absolute().parent
    if not os.path.lexists(folder):
        return f"the folder {folder} does not exist; create it, or choose another file"
    with contextlib.suppress(PermissionError):  # of a folder that this user may not enter
        if path.is_dir():
            return "it is a folder; choose the name of a file"
    return "check the disk and the permissions of the folder, or choose another file"
