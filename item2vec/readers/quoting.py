r"""Divide rows of delimited text into fields by rules for quotes.

The separator has one or several characters. The rules:

- A quote that directly follows a separator or a line start opens a quoted field. The field may contain
  separators, line breaks, and pairs of quotes, which stand for one quote. A quote directly before a separator
  or a line end closes the field. Any other quote is an ordinary character.
- If the quote that would close a field is not followed by a separator or a line end, as in
  ``"Weird Al" Yankovic``, or no quote closes the field, all quotes of the first line of the row are ordinary
  characters.
- A quoted field that contains a line which is itself a row has a stray quote. The line is a row if it has the
  number of fields of the header, and numbers, dates and codes in the columns in which the first rows of the
  file have them. The first line of the quoted field, read as text, must have this number of fields, too. A
  row with a stray quote is a bad row; but if the separator is a tab or several characters, which prose does
  not contain, the first line of the row is read as text.
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
    """Fields of a row, and the number of lines.

    ``stray`` is the offset of the first line that is itself a row, or 0 without a stray quote. The first line
    of a row with a stray quote is read as text (``n_lines=1``).
    """

    fields: list[str]
    n_lines: int
    stray: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """Rules of one file: the separator, whether quotes enclose fields, the number and shapes of the columns.

    ``width`` is 0 before the header is read. ``shapes`` may be empty.
    """

    sep: str
    quotes: bool
    width: int = 0
    shapes: Sequence[Shape] = ()

    def row(self, lines: Sequence[str], first: int, *, final: bool = True) -> Row | None:
        r"""Divide the row that starts with line ``first``. Return ``None`` if its end is not in ``lines``.

        ``final``: no lines follow, so that a quote that is not closed is an ordinary character.

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
        """Divide a line at every separator. Quotes are ordinary characters."""
        return Row(line[: _length(line)].split(self.sep), 1, stray)

    def is_row(self, line: str) -> bool:
        """Return whether a line, read as text, has the number and the shapes of the fields of a row."""
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
    """Return the pattern that all values of each column match: numbers and dates, or codes with a digit.

    For a column that matches neither pattern, the result contains ``None``.

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
    r"""Return the lines of a block, with line ends: ``\n``, ``\r\n`` or ``\r``."""
    return list(io.StringIO(block.decode("utf-8", "surrogateescape"), newline=""))


def _closing(lines: Sequence[str], index: int, start: int) -> tuple[int, int, str] | None:
    """Find the quote that closes a field. Return its line index, the position after it, and the field."""
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
    """Return the length of a line without its line end."""
    return len(line) - (2 if line.endswith("\r\n") else line.endswith(("\n", "\r")))
