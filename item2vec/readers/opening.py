"""Files opened whatever their compression, encoding and state; columns found by name."""

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
from item2vec.readers.faults import Fault, shown

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
    """Some consecutive rows: the columns that were asked for, and the rows that could not even be split.

    ``numbers`` are the rows' line or row numbers (``None`` where they are not known); ``records`` the rows as
    they came, where each has its own columns (JSON).
    """

    source: str
    numbers: Sequence[int] | None
    columns: Sequence[Values]
    faults: Sequence[Fault] = ()
    records: list[dict[str, Any]] | None = None


class Table(Protocol):
    """Rows with named columns, in a file, in memory or in a database.

    ``unit`` is what its rows are counted in: ``"line"`` (from 1) or ``"row"`` (from 0).
    """

    name: str
    row_kind: str
    names: list[str]

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows, with the columns at these positions of ``names``."""
        ...


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an ``InputError`` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut short or damaged: {error}; expected a whole .gz file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise InputError(f"{path} cannot be decoded: {error}; name its encoding with encoding=") from error


def missing_file(path: Path) -> InputError:
    """Return the error of a path that is no file, with the nearest name in its folder."""
    if path.exists():
        return InputError(f"{path} is neither a file nor a folder; write its content into a file first")
    siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {str(path.parent / nearest[0])!r}?" if nearest else "expected an existing file"
    return InputError(f"no file {str(path)!r}; {hint}")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, decompressed if it is a gzip file, whatever it is called."""
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return gzip.open(path) if compressed else path.open("rb")  # type: ignore[return-value]


def open_text(path: Path, encoding: str, newline: str) -> TextIO:
    """Open a file as text, without its byte order mark; bytes that are not text become lone surrogates."""
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        return io.TextIOWrapper(
            open_bytes(path), "utf-8-sig" if is_utf8 else encoding, errors="surrogateescape", newline=newline
        )
    except LookupError as error:
        raise InputError(f"{error}; expected an encoding such as 'utf-8' or 'latin-1'") from error


def bare(cell: str) -> str:
    """Return a header cell without blanks around it, and without its type where it is typed.

    >>> bare("user_id:token"), bare(" item_id"), bare("a:b")
    ('user_id', 'item_id', 'a:b')
    """
    cell = cell.strip()
    typed = _TYPED_CELL.fullmatch(cell)
    return typed[1] if typed else cell


def positions_of(table: Table, wanted: Mapping[str, str]) -> list[int]:
    """Return where the wanted columns stand (parameter → name); names match as they are, or without type."""
    return [_position(table, parameter, name) for parameter, name in wanted.items()]


def _position(table: Table, parameter: str, name: str) -> int:
    bare_names = [bare(cell) for cell in table.names]
    for names in (table.names, bare_names):
        if names.count(name) > 1:
            raise InputError(f"{table.name} has {names.count(name)} columns {name!r}; expected one")
        if name in names:
            return names.index(name)
    found = ", ".join(map(shown, bare_names[:20])) + (", …" if len(bare_names) > 20 else "")
    nearest = difflib.get_close_matches(name.casefold(), [cell.casefold() for cell in bare_names], n=1)
    close = next((cell for cell in bare_names if [cell.casefold()] == nearest), None)
    hint = f"; did you mean {parameter}={close!r}?" if close else f"; name the column with {parameter}="
    if parameter == "timestamp":
        hint += " (timestamp=None if there is none)"
    raise InputError(f"{table.name} has no column {name!r}; found {found or 'none'}{hint}")
