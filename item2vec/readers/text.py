"""Table classes for text files: delimited text and JSON lines."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from item2vec.errors import InputError
from item2vec.opening import open_bytes, open_text, reading
from item2vec.readers.faults import Fault, short_repr
from item2vec.readers.table import BATCH_ROWS, Batch, bare

__all__ = ["DelimitedFile", "JsonLinesFile", "NotPlainError", "detect_separator"]

_SEPARATORS = "\t,;|"
_BLOCK_BYTES = 1 << 22
_ROWS_SEARCHED_FOR_KEYS = 1000


class NotPlainError(Exception):
    """``quick_batches`` cannot parse a delimited file. The error is caught within this package."""


class DelimitedFile:
    r"""Table of delimited text. A quoted field may contain separators and line breaks.

    Rows end with ``\n``, ``\r\n`` or ``\r``. Blank lines are skipped. Blanks around a field belong to the
    field. If a closing quote is not followed by a separator or the end of the row (``"Weird Al" Yankovic``),
    the quotes in this line are ordinary characters.
    """

    row_kind = "line"

    def __init__(
        self,
        path: Path,
        *,
        wanted: Iterable[str],
        sep: str | None,
        columns: Sequence[str] | None,
        encoding: str,
    ) -> None:
        self.name = str(path)
        self._path, self._encoding = path, encoding
        with reading(path), open_text(path, encoding, newline="") as file:
            first = next((line for line in file if not line.isspace()), None)
        if first is None:
            raise InputError(f"{path} is empty; expected rows{'' if columns else ' below a header'}")
        fits = _width_is(len(columns)) if columns is not None else _names_all(set(wanted))
        self.sep = _check_separator(sep) if sep is not None else detect_separator(first, fits)
        self._header_line = 0
        self.names = list(columns or ())
        if columns is None:
            self._header_line, self.names = next(self._records())

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with line numbers. Quoted fields are supported."""
        rows = self._records()
        if self._header_line:
            next(rows)
        while True:
            batch = self._batch(islice(rows, BATCH_ROWS), positions)
            if not (batch.numbers or batch.faults):
                return
            yield batch

    def quick_batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, without line numbers. Arrow's parser is faster than ``batches``.

        Raises
        ------
        NotPlainError
            If the file contains a quote, a ragged row, or text that is not UTF-8. The error may be raised
            after valid batches.
        """
        if codecs.lookup(self._encoding).name != "utf-8":
            raise NotPlainError
        names = [str(position) for position in range(len(self.names))]
        with reading(self._path), open_bytes(self._path) as file:
            if any(b'"' in block for block in iter(lambda: file.read(_BLOCK_BYTES), b"")):
                raise NotPlainError
            file.seek(0)
            try:
                with pa.csv.open_csv(
                    file,
                    pa.csv.ReadOptions(
                        column_names=names, skip_rows=self._header_line, block_size=_BLOCK_BYTES
                    ),
                    pa.csv.ParseOptions(delimiter=self.sep, quote_char=False),
                    pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.large_string()),
                        include_columns=[names[position] for position in positions],
                    ),
                ) as reader:
                    for batch in reader:
                        yield Batch(self.name, None, batch.columns)
            except pa.ArrowInvalid as error:
                raise NotPlainError from error

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        with reading(self._path), open_text(self._path, self._encoding, newline="") as file:
            for number, fields in _split(file, self.sep):
                is_blank = not fields or (fields != [""] and len(fields) == 1 and not fields[0].strip(" \t"))
                if not is_blank:
                    yield number, fields

    def _batch(self, rows: Iterator[tuple[int, list[str]]], positions: Sequence[int]) -> Batch:
        width = len(self.names)
        numbers: list[int] = []
        columns: list[list[str]] = [[] for _ in positions]
        faults: list[Fault] = []
        for number, fields in rows:
            if len(fields) != width:
                faults.append(self._ragged(number, fields))
                continue
            numbers.append(number)
            for column, position in zip(columns, positions, strict=True):
                column.append(fields[position])
        return Batch(self.name, numbers, columns, faults)

    def _ragged(self, number: int, fields: list[str]) -> Fault:
        expected = f"{len(self.names)} fields ({', '.join(map(short_repr, self.names[:10]))})"
        found = f"{len(fields)} fields ({', '.join(map(short_repr, fields[:10]))})"
        return Fault(self.name, self.row_kind, number, found, expected)


class JsonLinesFile:
    """Table of JSON lines, with one object per line. Blank lines are skipped."""

    row_kind = "line"

    def __init__(self, path: Path, encoding: str) -> None:
        self.name = str(path)
        self._path, self._encoding = path, encoding
        head = list(islice(self._lines(), _ROWS_SEARCHED_FOR_KEYS))
        if not head:
            raise InputError(f"{path} is empty; expected one JSON object per line")
        objects = [row for _, row in map(self._parsed, head) if isinstance(row, dict)]
        self.names = list(dict.fromkeys(key for row in objects for key in row))
        if not objects:
            raise InputError(str(self._parsed(head[0])[1]))

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with line numbers. The value of a missing key is ``None``."""
        keys = [self.names[position] for position in positions]
        lines = self._lines()
        while chunk := [self._parsed(line) for line in islice(lines, BATCH_ROWS)]:
            numbers = [number for number, row in chunk if isinstance(row, dict)]
            rows = [row for _, row in chunk if isinstance(row, dict)]
            faults = [row for _, row in chunk if isinstance(row, Fault)]
            yield Batch(self.name, numbers, [[row.get(key) for row in rows] for key in keys], faults, rows)

    def _lines(self) -> Iterator[tuple[int, str]]:
        with reading(self._path), open_text(self._path, self._encoding, newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield number, line

    def _parsed(self, numbered: tuple[int, str]) -> tuple[int, dict[str, Any] | Fault]:
        number, line = numbered
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return number, value
        return number, Fault(self.name, self.row_kind, number, short_repr(line.strip()), "a JSON object")


class _Lines:
    """Iterator that counts lines, and can push back lines of the current row."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._returned: list[str] = []
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back_all_but_first(self) -> str:
        """Push back all lines of the current row except the first line, and return the first line."""
        first, *rest = self.taken
        self._returned.extend(reversed(rest))
        self.number -= len(rest)
        return first


def _split(file: Iterator[str], sep: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the fields of each row.

    If the quotes of a row are malformed, its first line is split at every separator, inside quotes too.
    """
    lines = _Lines(file)
    rows = csv.reader(lines, delimiter=sep, strict=True)
    while True:
        number = lines.number + 1
        lines.taken.clear()
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield number, lines.give_back_all_but_first().rstrip("\r\n").split(sep)


def detect_separator(line: str, fits: Callable[[list[str]], bool]) -> str:
    """Return the first separator, or blank, that splits a line into fields accepted by ``fits``.

    If there is none, return the most frequent separator of the line.

    >>> detect_separator("id;title, artist;year", _width_is(3)), detect_separator("a,b,c;d", _width_is(3))
    (';', ',')
    """
    for sep in _SEPARATORS + " ":
        if fits(next(_split(iter([line]), sep))[1]):
            return sep
    return max(_SEPARATORS, key=line.count)


def _width_is(width: int) -> Callable[[list[str]], bool]:
    return lambda fields: len(fields) == width


def _names_all(wanted: set[str]) -> Callable[[list[str]], bool]:
    return lambda fields: wanted <= {*fields, *map(bare, fields)}


def _check_separator(sep: str) -> str:
    if len(sep) != 1 or sep in '"\r\n':
        raise InputError(f"sep is {sep!r}; expected one character, such as ',' or a tab")
    return sep
