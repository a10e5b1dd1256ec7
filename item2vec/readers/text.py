"""Table class for delimited text. The rules of quotes are in ``quoting.py``."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from item2vec.errors import InputError, Remedy, listed
from item2vec.lines import MAX_LINE, blocks_of_lines, check_max_line, count_lines, too_long
from item2vec.readers.faults import Fault
from item2vec.readers.quoting import Dialect, Row, lines_in, shapes_of
from item2vec.readers.structure import Structure, structure_of
from item2vec.readers.table import Batch, bare, one_ahead

__all__ = ["DelimitedFile", "detect_separator"]

_LOG = logging.getLogger("item2vec.readers")
_SEPARATORS = ("\t", ",", ";", "|", "::")
_STAND_IN = b"\x1f"
_EXCEL_SEPARATOR = re.compile(r"sep=([^\"]{1,8})", re.IGNORECASE)
_NO_QUOTES = Remedy("quotes", False, "read quotes as text with {}")
_ROWS_WITH_SHAPES = 100
_HEAD_BYTES = 1 << 18
_QUICK_COLUMNS = 10_000


class DelimitedFile:
    r"""Table of delimited text. A quoted field may contain separators and line breaks (see ``quoting.py``).

    Rows end with ``\n``, ``\r\n`` or ``\r``. Blank lines are skipped. Spaces around a field belong to the
    field. A first line ``sep=;``, which Excel writes, states the separator and is not a row.

    ``columns`` holds the column names of a file without a header. If ``sep`` is ``None``,
    ``detect_separator`` detects the separator in the first line. A separator fits if the fields of this line
    are as many as ``columns`` or, in a file with a header, contain the names in ``wanted``.

    Arrow parses blocks of rows. ``Dialect.row`` parses the blocks that Arrow cannot parse, or would parse by
    other rules.
    """

    kind = "delimited text"
    row_kind = "line"

    def __init__(
        self,
        path: Path,
        *,
        wanted: Iterable[str],
        sep: str | None,
        columns: Sequence[str] | None,
        encoding: str,
        quotes: bool = True,
        max_line: int = MAX_LINE,
    ) -> None:
        self.name = str(path)
        self._path, self._encoding, self._max_line = path, encoding, check_max_line(max_line)
        self._line, self._offset, lines, is_whole = self._head()
        fits = _width_is(len(columns)) if columns is not None else _names_all(set(wanted))
        if excel := _EXCEL_SEPARATOR.fullmatch(lines[0].rstrip("\r\n")):
            sep = excel[1] if sep is None else sep
            self._skip(lines, 1)
            self._skip(lines, next((i for i, line in enumerate(lines) if not line.isspace()), len(lines)))
        elif columns is not None:
            self._line, self._offset = 1, 0
        if not lines:
            raise InputError(f"{path} contains only {excel and excel[0]!r}; expected rows")
        self.sep = sep = detect_separator(lines[0], fits) if sep is None else _check_separator(sep)
        self.names = list(columns or self._header(lines, Dialect(sep, quotes)))
        rows = _some_rows(lines, Dialect(sep, quotes), final=is_whole)
        self._dialect = Dialect(sep, quotes, len(self.names), shapes_of(rows, len(self.names)))

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with line numbers. A thread parses the next batch in the meantime."""
        return one_ahead(self._batches(positions))

    def _head(self) -> tuple[int, int, list[str], bool]:
        """Read the start of the file, without blank lines at its start.

        Return a tuple of the line number and the byte offset of the first line that is not blank, a list of
        the lines that begins with this line, and whether the list extends to the end of the file.
        """
        line, offset, head = 1, 0, b""
        for number, block in blocks_of_lines(self._path, self._encoding, self._max_line, cr=True):
            if head:
                head += block
            elif text := block.lstrip(b" \t\r\n"):
                n_blank = len(block) - len(text)
                start = max(block.rfind(b"\n", 0, n_blank), block.rfind(b"\r", 0, n_blank)) + 1
                line, offset, head = (
                    number + count_lines(block[:start], cr=True),
                    offset + start,
                    block[start:],
                )
            else:
                offset += len(block)
            if len(head) > _HEAD_BYTES:
                end = head.find(b"\n", _HEAD_BYTES) + 1 or len(head)
                return line, offset, lines_in(head[:end]), False
        if not head:
            raise InputError(f"{self.name} is empty; expected rows")
        return line, offset, lines_in(head), True

    def _skip(self, lines: list[str], n: int) -> None:
        self._line += n
        self._offset += len(_encoded(lines[:n]))
        del lines[:n]

    def _header(self, lines: list[str], dialect: Dialect) -> list[str]:
        """Remove the header from the lines, and return the fields of the header."""
        header = _first_row(lines, dialect)
        header = _first_row(lines, Dialect(dialect.sep, dialect.quotes, len(header.fields)))
        if header.stray and not dialect.reads_stray_quotes:
            raise self._stray(self._line, header).exception()
        self._skip(lines, header.n_lines)
        return header.fields

    def _batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        number, held = self._line, b""
        parts: list[bytes] = []
        strays: list[int] = []
        for block in self._blocks():
            parts.append(block)
            if sum(map(len, parts)) < 2 * len(held):
                continue  # parsing again after each block would take quadratic time for a long row
            data = b"".join(parts)
            batch, held, number = self._divide(data, number, positions, strays, final=False)
            parts = [held]
            yield batch
        held = b"".join(parts)
        while held:
            batch, held, number = self._divide(held, number, positions, strays, final=True)
            yield batch
        if strays:
            note = "%s line %s: a stray quote was read as text (number of such lines: %s)"
            _LOG.warning(note, self.name, strays[0], f"{len(strays):,}")

    def _blocks(self) -> Iterator[bytes]:
        """Yield the part of the file after the header, in blocks of whole lines."""
        skip = self._offset
        for _, block in blocks_of_lines(self._path, self._encoding, self._max_line, cr=True):
            if skip < len(block):
                yield block[skip:]
            skip = max(0, skip - len(block))

    def _divide(
        self, data: bytes, number: int, positions: Sequence[int], strays: list[int], *, final: bool
    ) -> tuple[Batch, bytes, int]:
        """Parse a block. Return a triple: a batch of rows; the rest of the block; and the rest's line number.

        The rest is an incomplete last row, or empty. ``number`` is the line number of the start of the block.
        ``positions`` are the positions of the requested columns. ``final`` states whether the block ends with
        the file. If a line with a stray quote is read as text, its line number is added to ``strays``.
        """
        structure = None
        if 1 < self._dialect.width <= _QUICK_COLUMNS:
            structure = structure_of(data, self._dialect.sep, quotes=self._dialect.quotes)
        if structure is not None and structure.end:
            batch = self._quick_batch(structure, number, positions)
            if batch is not None:
                return batch, data[structure.end :], number + structure.n_lines
        return self._slow_batch(data, number, positions, strays, final=final)

    def _quick_batch(self, structure: Structure, number: int, positions: Sequence[int]) -> Batch | None:
        """Parse the complete rows of a block with Arrow.

        Return ``None`` if Arrow cannot parse the rows, for example because a row is not UTF-8 or has a wrong
        number of fields; or if a row of several lines has a stray quote or more than ``max_line`` bytes.
        """
        columns = _parsed_by_arrow(structure, self._dialect, positions)
        if columns is None:
            return None
        n_rows = len(columns[0])
        if n_rows == structure.n_lines:
            return Batch(self.name, range(number, number + n_rows), columns)
        lines = structure.lines_of_rows(self._dialect, self._max_line)
        if lines is None or len(lines) != n_rows:
            return None
        return Batch(self.name, (number + lines).tolist(), columns)

    def _slow_batch(
        self, data: bytes, number: int, positions: Sequence[int], strays: list[int], *, final: bool
    ) -> tuple[Batch, bytes, int]:
        dialect, lines = self._dialect, lines_in(data)
        numbers: list[int] = []
        columns: list[list[str]] = [[] for _ in positions]
        faults: list[Fault] = []
        index = 0
        while index < len(lines):
            row = dialect.row(lines, index, final=final)
            if row is None:
                if len(_encoded(lines[index:])) <= self._max_line:
                    break
                row = self._unclosed(lines[index], number + index)
            start, index = index, index + row.n_lines
            if row.n_lines > 1 and len(_encoded(lines[start:index])) > self._max_line:
                raise too_long(self.name, number + start, "row", self._max_line)
            if len(row.fields) == 1 and not lines[start].strip(" \t\r\n"):
                continue
            if row.stray and dialect.reads_stray_quotes:
                strays.append(number + start)
            if row.stray and not dialect.reads_stray_quotes:
                faults.append(self._stray(number + start, row))
            elif len(row.fields) != dialect.width:
                faults.append(self._ragged(number + start, row.fields))
            else:
                numbers.append(number + start)
                for column, position in zip(columns, positions, strict=True):
                    column.append(row.fields[position])
        return Batch(self.name, numbers, columns, faults), _encoded(lines[index:]), number + index

    def _unclosed(self, line: str, number: int) -> Row:
        """Handle a quoted field that is not closed within ``max_line`` bytes.

        If the separator is a tab or several characters, return the first line of the row, read as text, with
        ``stray=1``. Otherwise, raise ``InputError``.
        """
        if not self._dialect.reads_stray_quotes:
            error = too_long(self.name, number, "quoted field", self._max_line)
            error.remedies = (_NO_QUOTES, *error.remedies)
            raise error
        return self._dialect.as_text(line, stray=1)

    def _stray(self, number: int, row: Row) -> Fault:
        found = f"a quoted field that contains line {number + row.stray}, which is a row by itself"
        expected = "a closing quote before that line"
        return Fault(self.name, self.row_kind, number, found, expected, remedies=(_NO_QUOTES,))

    def _ragged(self, number: int, fields: list[str]) -> Fault:
        expected, found = (f"{len(row)} fields ({listed(row)})" for row in (self.names, fields))
        return Fault(self.name, self.row_kind, number, found, expected)


def _parsed_by_arrow(
    structure: Structure, dialect: Dialect, positions: Sequence[int]
) -> list[pa.Array] | None:
    data, delimiter = structure.text[: structure.end].tobytes(), structure.sep
    if len(delimiter) > 1:
        if _STAND_IN in data:
            return None
        data, delimiter = data.replace(delimiter, _STAND_IN), _STAND_IN
    names = [str(position) for position in range(dialect.width)]
    kept = sorted(set(positions))
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1),
            pa.csv.ParseOptions(
                delimiter=delimiter.decode(),
                quote_char='"' if structure.quoted else False,
                newlines_in_values=structure.quoted,
            ),
            pa.csv.ConvertOptions(
                column_types={names[position]: pa.large_string() for position in kept},
                include_columns=[names[position] for position in kept],
            ),
        )
    except pa.ArrowInvalid:
        return None
    return [table.column(names[position]).combine_chunks() for position in positions]


def _first_row(lines: Sequence[str], dialect: Dialect) -> Row:
    row = dialect.row(lines, 0)
    assert row is not None
    return row


def _some_rows(lines: Sequence[str], dialect: Dialect, *, final: bool) -> Iterator[list[str]]:
    index = 0
    for _ in range(_ROWS_WITH_SHAPES):
        row = dialect.row(lines, index, final=final) if index < len(lines) else None
        if row is None:
            return
        yield row.fields
        index += row.n_lines


def _encoded(lines: Sequence[str]) -> bytes:
    return "".join(lines).encode("utf-8", "surrogateescape")


def detect_separator(line: str, fits: Callable[[list[str]], bool]) -> str:
    """Return the separator of a line: the first one that splits the line into fields that ``fits`` accepts.

    The candidates are tab, comma, semicolon, pipe, ``::`` and space. If no candidate fits, return the one
    that is most frequent in the line; the space is not considered.

    >>> detect_separator("id;title, artist;year", _width_is(3)), detect_separator("a,b,c;d", _width_is(3))
    (';', ',')
    """
    for sep in (*_SEPARATORS, " "):
        if fits(_first_row([line], Dialect(sep, quotes=True)).fields):
            return sep
    return max(_SEPARATORS, key=line.count)


def _width_is(width: int) -> Callable[[list[str]], bool]:
    return lambda fields: len(fields) == width


def _names_all(wanted: set[str]) -> Callable[[list[str]], bool]:
    return lambda fields: wanted <= {*fields, *map(bare, fields)}


def _check_separator(sep: str) -> str:
    if not isinstance(sep, str) or not sep or any(mark in sep for mark in '"\r\n\0'):
        raise InputError(
            f"sep is {sep!r}; expected one or more characters, such as ',', a tab or '::', without double "
            "quotes, line breaks and NUL"
        )
    return sep
