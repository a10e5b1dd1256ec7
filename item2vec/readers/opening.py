"""The interface of tables (``Table``, ``Batch``), and what their implementations share.

Opens files (gzip, encodings, readable errors), and finds columns by name.
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
    """Consecutive rows of a table: the requested columns, and the faults of rows that could not be split.

    ``numbers`` are the line or row numbers (``None`` if they are not counted). ``records`` are the original
    rows of sources whose rows may have different columns (JSON lines).
    """

    source: str
    numbers: Sequence[int] | None
    columns: Sequence[Values]
    faults: Sequence[Fault] = ()
    records: list[dict[str, Any]] | None = None


class Table(Protocol):
    """Rows with named columns, in a file, in memory or in a database.

    ``row_kind`` says how rows are numbered: ``"line"`` (line numbers, from 1) or ``"row"`` (from 0).
    """

    name: str
    row_kind: str
    names: list[str]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows, with the columns at these positions of ``names``."""
        ...


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of opening, decompressing or decoding a file to an ``InputError`` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut short or damaged: {error}; expected a complete .gz file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise InputError(f"{path} cannot be decoded: {error}; pass its encoding with encoding=") from error


def missing_file(path: Path) -> InputError:
    """Return the error for a path that is not a file, with the most similar name in its folder."""
    if path.exists():
        return InputError(f"{path} is neither a file nor a folder; write its content into a file first")
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    similar = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {str(path.parent / similar[0])!r}?" if similar else "expected an existing file"
    return InputError(f"no file {str(path)!r}; {hint}")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading; gzip is recognised by content, whatever the suffix, and decompressed."""
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return gzip.open(path) if compressed else path.open("rb")  # type: ignore[return-value]


def open_text(path: Path, encoding: str, newline: str) -> TextIO:
    """Open a file as text, without its byte order mark; undecodable bytes become lone surrogates."""
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        return io.TextIOWrapper(
            open_bytes(path), "utf-8-sig" if is_utf8 else encoding, errors="surrogateescape", newline=newline
        )
    except LookupError as error:
        raise InputError(f"{error}; expected an encoding such as 'utf-8' or 'latin-1'") from error


def bare(cell: str) -> str:
    """Return a header cell without surrounding blanks and RecBole's type suffix, if it has one.

    >>> bare("user_id:token"), bare(" item_id"), bare("a:b")
    ('user_id', 'item_id', 'a:b')
    """
    cell = cell.strip()
    typed = _TYPED_CELL.fullmatch(cell)
    return typed[1] if typed else cell


def positions_of(table: Table, wanted: Mapping[str, str]) -> list[int]:
    """Return the positions of columns (parameter → name); names match exactly, or without type suffix."""
    return [_position(table, parameter, name) for parameter, name in wanted.items()]


def _position(table: Table, parameter: str, name: str) -> int:
    bare_names = [bare(cell) for cell in table.names]
    for names in (table.names, bare_names):
        if names.count(name) > 1:
            raise InputError(f"{table.name} has {names.count(name)} columns {name!r}; expected one")
        if name in names:
            return names.index(name)
    found = ", ".join(map(short_repr, bare_names[:20])) + (", …" if len(bare_names) > 20 else "")
    similar = difflib.get_close_matches(name.casefold(), [cell.casefold() for cell in bare_names], n=1)
    likely = next((cell for cell in bare_names if [cell.casefold()] == similar), None)
    hint = f"; did you mean {parameter}={likely!r}?" if likely else f"; name the column with {parameter}="
    if parameter == "timestamp":
        hint += " (timestamp=None if there is none)"
    raise InputError(f"{table.name} has no column {name!r}; found {found or 'none'}{hint}")
