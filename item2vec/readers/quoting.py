r"""Split rows of delimited text into fields by rules for quotes.

The separator has one or several characters. To read a line as text means that its quotes are ordinary
characters, and that the row ends with the line. The rules:

- A quote at the start of a line or directly after a separator opens a quoted field. The field may contain
  separators, line breaks, and pairs of quotes; a pair stands for one quote. The first quote that is not part
  of a pair closes the field, and must be at the end of a line or directly before a separator. A quote in a
  field that is not quoted is an ordinary character.
- If the closing quote is not at one of these places, as in ``"Weird Al" Yankovic``, or if no quote closes
  the field, the first line of the row is read as text.
- A quoted field that contains a line which is itself a row has a stray quote. The line is a row if it has as
  many fields as the header, and if it has numbers, dates and codes in the columns in which the first rows of
  the file have numbers, dates and codes. The line on which the quoted field begins, read as text, must have
  as many fields as the header, too. A row with a stray quote is bad, with one exception: if the separator is
  a tab or several characters, which do not occur in prose, the first line of the row is read as text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Dialect", "Row", "lines_in", "shapes_of"]

_INSIDE = re.compile('[^"]*+(?:""[^"]*+)*+')
_NUMBER_OR_DATE = re.compile(r"(?=\D*+\d)[-+.:/TZ\d ]++", re.ASCII)
_CODE = re.compile(r"(?=\D*+\d)\S++", re.ASCII)

Shape = re.Pattern[str] | None


class Row(NamedTuple):
    """Fields of a row, and the number of lines that the row spans.

    In a row with a stray quote, ``stray`` is the distance in lines from the first line of the row to the
    first line that is itself a row, or 1 if the quoted field is not closed within ``max_line`` bytes. The
    fields are those of the first line, read as text (``n_lines=1``). In any other row, ``stray`` is 0.
    """

    fields: list[str]
    n_lines: int
    stray: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """Rules of one file: the separator, whether quotes enclose fields, the number and shapes of the columns.

    ``width`` is the number of columns, or 0 before the header is read. ``shapes`` is the result of
    ``shapes_of``, or empty before the first rows are read.
    """

    sep: str
    quotes: bool
    width: int = 0
    shapes: Sequence[Shape] = ()

    def row(self, lines: Sequence[str], first: int, *, final: bool = True) -> Row | None:
        r"""Split the row that starts at the line with index ``first`` into fields.

        ``final`` states whether ``lines`` are the last lines of the file. If no quote in ``lines`` closes a
        quoted field of the row, the first line of the row is read as text if ``final`` is true, and the
        result is ``None`` if ``final`` is false.

        >>> Dialect(",", quotes=True).row(['a,"b\n', 'c",7" single\n'], 0)
        Row(fields=['a', 'b\nc', '7" single'], n_lines=2, stray=0)
        """
        line = lines[first]
        if not self.quotes or '"' not in line:
            return self.as_text(line)
        index, position, length = first, 0, _length(line)
        if len(self.sep) == 1:
            try:  # the common case: correct quotes in one line
                return Row(next(csv.reader((line[:length],), delimiter=self.sep, strict=True)), 1)
            except csv.Error:
                pass
        fields: list[str] = []
        stray = 0
        while True:
            if position < length and line[position] == '"':
                closed = _closing(lines, index, position + 1)
                if closed is None:
                    return self.as_text(lines[first]) if final else None
                last, end, value = closed
                length = _length(lines[last])
                if end < length and not lines[last].startswith(self.sep, end):
                    return self.as_text(lines[first])
                if not stray and len(fields) + 1 + line.count(self.sep, position) == self.width:
                    rows = (i for i in range(index + 1, last + 1) if self.is_row(lines[i]))
                    stray = next(rows, first) - first
                index, position, line = last, end, lines[last]
            else:
                end = line.find(self.sep, position, length)
                end = length if end < 0 else end
                value, position = line[position:end], end
            fields.append(value)
            if position == length:
                return self.as_text(lines[first], stray) if stray else Row(fields, index - first + 1)
            position += len(self.sep)

    def as_text(self, line: str, stray: int = 0) -> Row:
        """Split a line at every separator, and return a row with this ``stray``. Quotes are not special."""
        return Row(line[: _length(line)].split(self.sep), 1, stray)

    def is_row(self, line: str) -> bool:
        """Return whether a line, read as text, has ``width`` fields that match the shapes of the columns."""
        if line.count(self.sep) != self.width - 1:
            return False
        fields = self.as_text(line).fields
        return all(
            shape is None or shape.fullmatch(field.strip('" '))
            for shape, field in zip(self.shapes, fields, strict=False)
        )

    @property
    def reads_stray_quotes(self) -> bool:
        """Whether a line with a stray quote is read as text, because prose does not contain the separator."""
        return self.sep == "\t" or len(self.sep) > 1


def shapes_of(rows: Iterable[Sequence[str]], width: int) -> tuple[Shape, ...]:
    """Return the shape of each column: a pattern of numbers and dates, or of codes with a digit.

    All values of the column match the pattern. The shape of a column whose values match neither pattern is
    ``None``. Rows that do not have ``width`` fields are ignored.

    >>> shapes = shapes_of([["u1", "1983", "Low"], ["u2", "1984", "TV 42"]], 3)
    >>> [shape is not None for shape in shapes]
    [True, True, False]
    """
    columns = list(zip(*(row for row in rows if len(row) == width), strict=True))
    return tuple(
        next((shape for shape in (_NUMBER_OR_DATE, _CODE) if all(map(shape.fullmatch, column))), None)
        for column in columns
    )


def lines_in(block: bytes) -> list[str]:
    r"""Return the lines of a block, including their line endings: ``\n``, ``\r\n`` or ``\r``."""
    return list(io.StringIO(block.decode("utf-8", "surrogateescape"), newline=""))


def _closing(lines: Sequence[str], index: int, start: int) -> tuple[int, int, str] | None:
    """Find the quote that closes a field: the first quote that is not part of a pair.

    The content of the field begins at ``start`` in line ``index``. Return a triple: the index of the line
    that contains the closing quote; the position after this quote; and the content of the field. Return
    ``None`` if no quote closes the field.
    """
    parts = []
    while index < len(lines):
        line = lines[index]
        inside = _INSIDE.match(line, start)
        end = inside.end() if inside else start
        parts.append(line[start:end])
        if end < len(line):
            return index, end + 1, "".join(parts).replace('""', '"')
        index, start = index + 1, 0
    return None


def _length(line: str) -> int:
    """Return the length of a line without its line ending."""
    return len(line) - (2 if line.endswith("\r\n") else line.endswith(("\n", "\r")))
