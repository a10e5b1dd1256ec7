"""Open input files for reading: decompression, text encodings, and typed errors.

All readers and adapters open the files of users with these functions. Files of a bundle are read by
``files.py``, which checks their checksums.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from item2vec.errors import InputError

__all__ = ["missing_file", "open_bytes", "open_text", "reading"]

_GZIP_MAGIC = b"\x1f\x8b"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors in opening, decompressing or decoding a file to ``InputError`` with the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged: {error}; expected a complete .gz file") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; check that this user may read the file"
        ) from error
    except UnicodeError as error:
        raise InputError(
            f"{path} cannot be decoded: {error}; pass the encoding of the file as encoding="
        ) from error


def missing_file(path: Path) -> InputError:
    """Return the error for a path that is not a file. The message suggests a similar name in the folder."""
    if path.exists():
        return InputError(f"{path} is neither a file nor a folder; write the content to a file first")
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    similar = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {str(path.parent / similar[0])!r}?" if similar else "expected an existing file"
    return InputError(f"no file {str(path)!r}; {hint}")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading bytes. Gzip is detected by content, not by suffix, and decompressed."""
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return gzip.open(path) if compressed else path.open("rb")  # type: ignore[return-value]


def open_text(path: Path, encoding: str, newline: str) -> TextIO:
    """Open a text file. A byte order mark is skipped, and undecodable bytes become lone surrogates."""
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        return io.TextIOWrapper(
            open_bytes(path), "utf-8-sig" if is_utf8 else encoding, errors="surrogateescape", newline=newline
        )
    except LookupError as error:
        raise InputError(f"{error}; expected an encoding such as 'utf-8' or 'latin-1'") from error
