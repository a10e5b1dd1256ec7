"""The table interface (``Table``, ``Batch``), and functions shared by the table classes.

The functions open compressed and encoded files, convert errors to ``InputError``, and find columns by name.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from item2vec.errors import InputError
from item2vec.readers.columns import Values
from item2vec.readers.faults import Fault, short_repr

__all__ = [
    "BATCH_ROWS",
    "Batch",
    "Table",
    "bare",
    "missing_file",
    "open_bytes",
    "open_text",
    "positions_of",
    "reading",
]

BATCH_ROWS = 1 << 14

_GZIP_MAGIC = b"\x1f\x8b"
_TYPED_CELL = re.compile(r"(.+):(?:token|float)(?:_seq)?")


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a table: the requested columns, and the faults of rows that cannot be parsed.

    ``numbers`` holds the line or row numbers, or is ``None`` if they are not counted. ``records`` holds the
    original objects of JSON lines, which may have different keys.
    """

    source: str
    numbers: Sequence[int] | None
    columns: Sequence[Values]
    faults: Sequence[Fault] = ()
    records: list[dict[str, Any]] | None = None


class Table(Protocol):
    """Table of rows with named columns, in a file, in memory or in a database.

    ``row_kind`` is the kind of row numbers: ``"line"`` for line numbers from 1, or ``"row"`` for row numbers
    from 0.
    """

    name: str
    row_kind: str
    names: list[str]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with the columns at the given positions of ``names``."""
        ...


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


def bare(cell: str) -> str:
    """Return a header cell without surrounding blanks and without RecBole's type suffix.

    >>> bare("user_id:token"), bare(" item_id"), bare("a:b")
    ('user_id', 'item_id', 'a:b')
    """
    cell = cell.strip()
    typed = _TYPED_CELL.fullmatch(cell)
    return typed[1] if typed else cell


def positions_of(table: Table, wanted: Mapping[str, str]) -> list[int]:
    """Return the position of each column in ``wanted``, which maps parameters to column names.

    A name matches a column exactly, or without its type suffix (see ``bare``).
    """
    return [_position(table, parameter, name) for parameter, name in wanted.items()]


def _position(table: Table, parameter: str, name: str) -> int:
    bare_names = [bare(cell) for cell in table.names]
    for names in (table.names, bare_names):
        if names.count(name) > 1:
            raise InputError(
                f"{table.name} has {names.count(name)} columns {name!r}; expected distinct names: "
                "rename the columns"
            )
        if name in names:
            return names.index(name)
    found = ", ".join(map(short_repr, bare_names[:20])) + (", …" if len(bare_names) > 20 else "")
    similar = difflib.get_close_matches(name.casefold(), [cell.casefold() for cell in bare_names], n=1)
    likely = next((cell for cell in bare_names if [cell.casefold()] == similar), None)
    hint = f"; did you mean {parameter}={likely!r}?" if likely else f"; name the column with {parameter}="
    if parameter == "timestamp":
        hint += " (timestamp=None if there is none)"
    raise InputError(f"{table.name} has no column {name!r}; found {found or 'none'}{hint}")
