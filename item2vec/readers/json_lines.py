"""Table class for JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from item2vec.errors import InputError
from item2vec.lines import MAX_LINE, check_max_line, lines_of, numbered_blocks
from item2vec.readers.faults import Fault, short_repr
from item2vec.readers.table import Batch

__all__ = ["JsonLinesFile"]

_ROWS_SEARCHED_FOR_KEYS = 1000
_CHARACTERS_SEARCHED_FOR_KEYS = 1 << 26


class JsonLinesFile:
    """Table of JSON lines, with one object per line. Blank lines are skipped.

    The columns are the keys of the objects in the first 1,000 lines that are not blank. The search for keys
    ends earlier after more than 64 Mi characters. Keys that occur only in later lines are not columns.
    """

    kind = "JSON lines"
    row_kind = "line"

    def __init__(self, path: Path, encoding: str, max_line: int = MAX_LINE) -> None:
        self.name = str(path)
        self._path, self._encoding, self._max_line = path, encoding, check_max_line(max_line)
        names: dict[str, None] = {}
        fault, n_rows, n_characters = None, 0, 0
        for number, line in lines_of(path, encoding, max_line):
            if line.isspace():
                continue
            row = self._parsed(number, line)
            if isinstance(row, dict):
                names.update(dict.fromkeys(row))
            n_rows, n_characters = n_rows + 1, n_characters + len(line)
            fault = fault or (row if isinstance(row, Fault) else None)
            if n_rows == _ROWS_SEARCHED_FOR_KEYS or n_characters > _CHARACTERS_SEARCHED_FOR_KEYS:
                break
        if not n_rows:
            raise InputError(f"{path} is empty or has only blank lines; expected one JSON object per line")
        if fault and not names:
            raise fault.exception()
        self.names = list(names)

    def batches(self, positions: Sequence[int]) -> Iterator[Batch]:
        """Yield all rows in batches, with line numbers. The value of a missing key is ``None``.

        A line that is not a JSON object is reported in ``Batch.faults``.
        """
        keys = [self.names[position] for position in positions]
        for lines in numbered_blocks(self._path, self._encoding, self._max_line):
            parsed = [(number, self._parsed(number, line)) for number, line in lines if not line.isspace()]
            rows = [row for _, row in parsed if isinstance(row, dict)]
            numbers = [number for number, row in parsed if isinstance(row, dict)]
            faults = [row for _, row in parsed if isinstance(row, Fault)]
            yield Batch(self.name, numbers, [[row.get(key) for row in rows] for key in keys], faults, rows)

    def _parsed(self, number: int, line: str) -> dict[str, Any] | Fault:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        return Fault(self.name, self.row_kind, number, short_repr(line.strip()), "a JSON object")
