"""Files: atomic and durable writes, validated reads, permissions, and the check that file locks work.

Arrays are stored as ``.npy`` without pickle, and text as UTF-8. JSON is read strictly. A folder is written
under a temporary name, flushed to the disk and renamed, so that readers never see a partially written folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.errors import (
    BundleExistsError,
    CorruptBundleError,
    PlatformError,
    WriteError,
    reason_of,
    short_repr,
)

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FILE_MODE",
    "FOLDER_MODE",
    "HAS_LOCKS",
    "READ_ONLY_MODE",
    "READ_REGULAR",
    "atomic_folder",
    "check_locks",
    "fcntl",
    "flush",
    "open_array",
    "parse_json",
    "read_ids",
    "read_text",
    "refusing_unreadable",
    "rename_into_place",
    "replace_bytes",
    "set_mode",
    "sha256",
    "shipped",
    "sync_folder",
    "unreadable",
    "write_array",
    "write_bytes",
    "write_ids",
    "write_json",
]

MAX_JSON_BYTES = 1 << 20
MAX_NPY_HEADER_BYTES = 4096
IDS_CHUNK_CHARACTERS = 1 << 16
HAS_LOCKS = fcntl is not None
"""Whether the system has POSIX file locks."""
# O_NONBLOCK: opening a FIFO without a writer would otherwise block. Windows has none of these flags.
READ_REGULAR = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
"""Flags of ``os.open`` for reading a file that should be a regular file."""
FOLDER_MODE, FILE_MODE, READ_ONLY_MODE = 0o755, 0o644, 0o444
"""Modes of published folders, of files that are replaced, and of files that are written once."""

# The header that np.save writes for a C-ordered array. NumPy's reader parses the header as a Python literal,
# which can raise almost any exception for a damaged header.
NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '(?P<dtype>[<|]\w{2,9})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[\d, ]{0,99})\), \} *\n",
    re.DOTALL,
)


def check_locks() -> None:
    """Raise ``PlatformError`` if the system has no POSIX file locks."""
    if not HAS_LOCKS:
        raise PlatformError(
            f"{sys.platform} has no POSIX file locks, which this operation requires; use Linux, macOS or "
            "WSL. The Python functions train, fit, evaluate and load, tune without study=, and "
            "Recommender.recommend need no locks"
        )


def flush(descriptor: int) -> None:
    """Flush a file or folder to the disk. On macOS, the cache of the disk is flushed, too."""
    if (command := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
        try:
            fcntl.fcntl(descriptor, command)
            return
        except OSError as error:
            if error.errno in {errno.EIO, errno.ENOSPC}:  # otherwise, the file system lacks the command
                raise
    os.fsync(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Set the mode of a new file or folder, independently of the umask; a setgid bit is kept.

    Raises
    ------
    WriteError
        If the mode cannot be set, or the file system ignores it. Other users could then not read the file.
    """
    reason = "the file system ignores modes"
    try:
        mode |= stat.S_IMODE(path.stat().st_mode) & stat.S_ISGID
        path.chmod(mode)
    except OSError as error:
        reason = reason_of(error)
    else:
        if not mode & ~path.stat().st_mode:
            return
    raise WriteError(
        f"{path} could not be set to mode {mode:04o} ({reason}), which other users need to read it: "
        "write to a file system that supports permissions, as the owner of the folder"
    )


def write_bytes(path: Path, content: bytes | memoryview, mode: int | None = None) -> None:
    """Write a new file and flush it to the disk. Without ``mode``, the umask determines the mode."""
    with path.open("xb") as file:
        if mode is not None:
            set_mode(path, mode)
        file.write(content)
        file.flush()
        flush(file.fileno())


def replace_bytes(path: Path, content: bytes | memoryview, mode: int | None = None) -> None:
    """Write a file as ``write_bytes`` does, but atomically, and replace an existing file."""
    staging = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        write_bytes(staging, content, mode)
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: Any, *, replace: bool = False) -> None:
    """Write a file of indented JSON with sorted keys; NaN and infinity raise ``ValueError``.

    The file must be new. With ``replace``, it is written atomically, and replaces an existing file.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (replace_bytes if replace else write_bytes)(path, text.encode() + b"\n")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array to a new little-endian, C-ordered ``.npy`` file, and flush it to the disk."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    with path.open("xb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        # Not np.save: if a write fails, it can lose the last 4 KB of an array without an error.
        file.write(array.reshape(-1).view(np.uint8).data)
        file.flush()
        flush(file.fileno())


def write_ids(path: Path, ids: Sequence[str]) -> None:
    """Write ids as one JSON string per line, so that ids may contain line breaks."""
    write_bytes(path, "".join(json.dumps(id_) + "\n" for id_ in ids).encode("ascii"))


def unreadable(path: Path, error: OSError) -> CorruptBundleError:
    """Return the error for a file or folder that cannot be read.

    If access is denied, the message names the path that denies access, with the mode and owner of this path.
    """
    message = f"{path} cannot be read: {reason_of(error)}"
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return CorruptBundleError(f"{message}; expected a file: check the path, or use another copy")
    if not isinstance(error, PermissionError):
        return CorruptBundleError(f"{message}; check the path, the disk and its mount")
    effective = os.access in os.supports_effective_ids
    absolute = path.absolute()
    folders = reversed(absolute.parents)
    closed = [one for one in folders if not os.access(one, os.X_OK, effective_ids=effective)]
    blocker = closed[0] if closed else absolute
    try:
        status = blocker.stat()
    except OSError:
        return CorruptBundleError(f"{message}; check its permissions")
    user = f", and this process runs as user {os.geteuid()}" if hasattr(os, "geteuid") else ""
    return CorruptBundleError(
        f"{message}: {blocker} has mode {stat.S_IMODE(status.st_mode):04o} and belongs to user "
        f"{status.st_uid}{user}; as its owner, run: chmod a+rX {blocker}"
    )


@contextlib.contextmanager
def refusing_unreadable() -> Iterator[None]:
    """Convert an ``OSError`` with a file name to the error of ``unreadable``, unless the file is missing."""
    try:
        yield
    except OSError as error:
        if error.filename is None or isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        raise unreadable(Path(os.fsdecode(error.filename)), error) from error


def read_text(path: Path, max_bytes: int | None = None) -> str:
    """Read UTF-8 text.

    Raises
    ------
    CorruptBundleError
        If the file cannot be read, is larger than ``max_bytes``, or is not UTF-8.
    """
    try:
        size = path.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise CorruptBundleError(
                f"{path} has {size:,} bytes; expected at most {max_bytes:,}: use another copy"
            )
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CorruptBundleError(f"{path} is not UTF-8 text: {error}; use another copy") from error
    except OSError as error:
        raise unreadable(path, error) from error


def parse_json(text: str, where: str | Path) -> Any:
    """Parse strict JSON.

    Raises
    ------
    CorruptBundleError
        If the text is not JSON, begins with a BOM, is nested too deeply, or contains NaN, infinity, a number
        with a fraction or exponent beyond the range of float64, an integer of more than 4,300 digits, or a
        repeated key. The message names the source of the text, ``where``.

    Examples
    --------
    >>> parse_json('{"a": 1, "a": 2}', "example")
    Traceback (most recent call last):
    item2vec.errors.CorruptBundleError: example is not strict JSON: key 'a' occurs twice
    """
    if text.startswith("\ufeff"):
        raise CorruptBundleError(f"{where} is not strict JSON: it begins with a byte order mark (BOM)")
    try:
        return _STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        raise CorruptBundleError(f"{where} is not strict JSON: {error}") from error


def read_ids(path: Path) -> tuple[str, ...]:
    """Read a file of ids that ``write_ids`` wrote; raise ``CorruptBundleError`` if it is damaged."""
    text = read_text(path)
    if text and not text.endswith("\n"):
        raise CorruptBundleError(f"{path} was truncated: it does not end with a line break; use another copy")
    ids: list[str] = []
    start = 0
    # Parsed in chunks, because parsing holds the GIL, and threads that serve requests would wait.
    while start < len(text):
        end = text.find("\n", min(start + IDS_CHUNK_CHARACTERS, len(text) - 1))
        lines = text[start:end].split("\n")
        chunk = parse_json("[" + ",".join(lines) + "]", path)
        if len(chunk) != len(lines) or set(map(type, chunk)) != {str}:
            raise CorruptBundleError(
                f"{path} has invalid lines; expected one JSON string per line: use another copy"
            )
        ids += chunk
        start = end + 1
    return tuple(ids)


def open_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Check the header and the size of a ``.npy`` file, and memory-map the file read-only.

    ``None`` in ``shape`` matches any length. Raise ``CorruptBundleError`` if the file cannot be read, or has
    another dtype, shape, order or size.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_NPY_HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable(path, error) from error
    header = NPY_HEADER.match(content)
    if header is None or header.end() != 10 + int.from_bytes(header["length"], "little"):
        raise CorruptBundleError(
            f"{path} has an invalid header; expected a C-ordered .npy file of version 1.0: use another copy"
        )
    expected = np.dtype(dtype).newbyteorder("<")
    dtype_text = header["dtype"].decode()
    lengths = tuple(map(int, re.findall("[0-9]+", header["shape"].decode())))
    fits = len(lengths) == len(shape) and all(n in {None, m} for n, m in zip(shape, lengths, strict=True))
    if dtype_text != expected.str or not fits:
        raise CorruptBundleError(
            f"{path} contains {dtype_text} of shape {lengths}; expected {expected.str} of shape {shape}: use "
            "another copy"
        )
    n_bytes = math.prod(lengths) * expected.itemsize
    if size != header.end() + n_bytes:
        raise CorruptBundleError(
            f"{path} has {size:,} bytes; expected {header.end() + n_bytes:,} by its header: use another copy"
        )
    if n_bytes == 0:
        return np.empty(lengths, dtype=expected)
    return np.memmap(path, dtype=expected, mode="r", offset=header.end(), shape=lengths)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to the disk, so that a rename in it survives a power loss."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder. Rename it to ``path`` if the block succeeds; otherwise, remove it.

    Raise ``BundleExistsError`` if ``path`` already exists.
    """
    if path.exists():
        raise BundleExistsError(f"{path} already exists; choose another path, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    staging.mkdir()
    try:
        yield staging
        sync_folder(staging)
        rename_into_place(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def rename_into_place(staging: Path, path: Path) -> None:
    """Rename a folder to a new path, and flush the parent folder; if the flush fails, undo the rename."""
    try:
        staging.rename(path)
    except OSError as error:
        if path.exists():
            raise BundleExistsError(f"{path} was written meanwhile; choose another path") from error
        raise
    try:
        sync_folder(path.parent)
    except OSError:
        path.rename(staging)
        raise


def shipped(name: str) -> Path:
    """Return the path of a data folder that belongs to the package, in an installed wheel or a checkout."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.is_dir() else package.parent / name


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {short_repr(key)} occurs twice")
    return value


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _finite_float(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text} is beyond the range of a 64-bit float")
    return value


# One decoder for all calls: json.loads with these options would create a decoder for each call.
_STRICT = json.JSONDecoder(
    object_pairs_hook=_distinct_keys, parse_constant=_no_constant, parse_float=_finite_float
)
