"""Files that are written whole or not at all, and read only after they were checked.

Arrays are ``.npy`` without pickle, texts are UTF-8, JSON is strict. A folder is written beside its place,
flushed to the disk, and renamed into it, so that no reader ever sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.errors import BundleExistsError, CorruptBundleError

__all__ = [
    "folder_written_whole",
    "open_array",
    "parse_json",
    "read_ids",
    "read_text",
    "sha256",
    "shipped",
    "sync_folder",
    "write_array",
    "write_bytes",
    "write_ids",
    "write_json",
]

MAX_JSON_BYTES = 1 << 20
MAX_NPY_HEADER_BYTES = 4096


def write_bytes(path: Path, content: bytes) -> None:
    """Write a new file and flush it to the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys; NaN and infinity are refused (``ValueError``)."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as little-endian, C-ordered ``.npy`` and flush it to the disk."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    with path.open("xb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def write_ids(path: Path, ids: Sequence[str]) -> None:
    """Write ids as one JSON string a line, so that any legal id survives, line breaks included."""
    write_bytes(path, "".join(json.dumps(id_) + "\n" for id_ in ids).encode("ascii"))


def read_text(path: Path, max_bytes: int | None = None) -> str:
    """Read UTF-8 text; refuse a file that is missing, larger than ``max_bytes``, or not UTF-8."""
    try:
        size = path.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise CorruptBundleError(f"{path} is {size:,} bytes; expected at most {max_bytes:,}")
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CorruptBundleError(f"{path} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise CorruptBundleError(f"{path} cannot be read: {error.strerror}") from error


def parse_json(text: str, where: str | Path) -> Any:
    """Parse JSON strictly: no NaN or infinity, no number beyond float64, no key twice, bounded nesting.

    Examples
    --------
    >>> parse_json('{"a": 1}', "example")
    {'a': 1}
    >>> parse_json('{"a": 1, "a": 2}', "example")
    Traceback (most recent call last):
    item2vec.errors.CorruptBundleError: example is not strict JSON: key 'a' occurs twice
    """
    try:
        return json.loads(
            text, object_pairs_hook=_distinct_keys, parse_constant=_no_constant, parse_float=_finite_float
        )
    except (ValueError, RecursionError) as error:
        raise CorruptBundleError(f"{where} is not strict JSON: {error}") from error


def read_ids(path: Path) -> tuple[str, ...]:
    """Read what ``write_ids`` wrote."""
    lines = read_text(path).split("\n")
    if lines.pop() != "":
        raise CorruptBundleError(f"{path} does not end with a line break; it was cut short")
    ids = parse_json("[" + ",".join(lines) + "]", path)
    if len(ids) != len(lines) or not all(type(id_) is str for id_ in ids):
        raise CorruptBundleError(f"{path} is not one JSON string a line")
    return tuple(ids)


def open_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Map a ``.npy`` file read-only, after its header and its exact size were checked.

    ``None`` in ``shape`` stands for any length along that axis.
    """
    expected = f"{np.dtype(dtype)} of shape {tuple('any' if n is None else n for n in shape)}"
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"npy version {version}")
            found_shape, fortran, found_dtype = np.lib.format.read_array_header_1_0(
                file, max_header_size=MAX_NPY_HEADER_BYTES
            )
            start = file.tell()
            size = os.fstat(file.fileno()).st_size
    except (ValueError, EOFError, SyntaxError) as error:
        raise CorruptBundleError(f"{path} is not a plain .npy file: {error}") from error
    except OSError as error:
        raise CorruptBundleError(f"{path} cannot be read: {error.strerror}") from error
    fits = len(found_shape) == len(shape) and all(
        want is None or want == have for want, have in zip(shape, found_shape, strict=True)
    )
    if fortran or found_dtype != np.dtype(dtype) or not fits:
        raise CorruptBundleError(f"{path} holds {found_dtype} of shape {found_shape}; expected {expected}")
    n_bytes = int(np.prod(found_shape, dtype=object)) * found_dtype.itemsize
    if size != start + n_bytes:
        raise CorruptBundleError(f"{path} is {size:,} bytes; its header promises {start + n_bytes:,}")
    if n_bytes == 0:
        return np.empty(found_shape, dtype=found_dtype)
    return np.memmap(path, dtype=found_dtype, mode="r", offset=start, shape=found_shape)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it survives a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield an empty folder to write into, which becomes ``path`` if the block succeeds, and is removed if not.

    Raises
    ------
    BundleExistsError
        If ``path`` exists already.
    """
    if path.exists():
        raise BundleExistsError(f"{path} exists already; choose another path, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    staging.mkdir()
    try:
        yield staging
        sync_folder(staging)
        staging.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        if path.exists():
            raise BundleExistsError(f"{path} was written by somebody else meanwhile") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def shipped(name: str) -> Path:
    """Return the folder ``name`` that ships with the package: in a checkout its root, in a wheel inside it."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.is_dir() else package.parent / name


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return value


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond the range of a 64-bit float")
    return value
