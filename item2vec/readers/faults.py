"""Faults: bad rows, described for error messages, and either raised or skipped and logged."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from item2vec.errors import InputError

__all__ = ["Fault", "FaultReport", "OnError", "short_repr"]

OnError = Literal["raise", "skip"]

_LOG = logging.getLogger("item2vec.readers")
_UNDECODED = re.compile("[\udc80-\udcff]")
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad row: its location, the value found there, and the value expected.

    ``number`` is the number of the first line of the row, from 1, in a text file (``row_kind="line"``), or of
    the row, from 0, in a table (``row_kind="row"``). ``error`` is the exception for ``on_error="raise"``.

    >>> print(Fault("listens.csv", "line", 7, "timestamp 'x'", "ISO text or an epoch number"))
    listens.csv line 7: timestamp 'x'; expected ISO text or an epoch number
    """

    source: str
    row_kind: str
    number: int
    found: str
    expected: str
    error: type[InputError] = InputError

    def __str__(self) -> str:
        return f"{self.source} {self.row_kind} {self.number}: {self.found}; expected {self.expected}"

    @classmethod
    def of_value(
        cls,
        source: str,
        row_kind: str,
        number: int,
        column: str,
        value: Any,
        expected: str,
        error: type[InputError],
    ) -> Fault:
        """Create the fault of a value; undecodable bytes in it are reported as such."""
        undecoded = _UNDECODED.search(value) if isinstance(value, str) else None
        if undecoded:
            byte = ord(undecoded[0]) - 0xDC00
            expected = (
                f"text (byte 0x{byte:02x} cannot be decoded; pass its encoding, as in encoding='latin-1')"
            )
        return cls(source, row_kind, number, f"{column} {short_repr(value)}", expected, error)


class FaultReport:
    """Raises the first fault, or counts and logs the faults of skipped rows."""

    def __init__(self, source: str, on_error: OnError, on_skip: Callable[[Fault], None] | None) -> None:
        if on_error not in ("raise", "skip"):
            raise InputError(f"on_error is {on_error!r}; expected 'raise' or 'skip'")
        self._source, self._on_error, self._on_skip = source, on_error, on_skip
        self._n_skipped = 0
        self._first: list[Fault] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Raise or record the faults of one batch, in the order of their rows."""
        for fault in sorted(faults, key=lambda fault: fault.number):
            if self._on_error == "raise":
                raise fault.error(str(fault))
            self._n_skipped += 1
            if self._on_skip:
                self._on_skip(fault)
            if len(self._first) < 3:
                self._first.append(fault)

    def log(self, n_read: int) -> None:
        """If rows were skipped, log one warning with their number and the first three faults."""
        if self._n_skipped:
            _LOG.warning(
                "%s: skipped %s of %s rows: %s",
                self._source,
                f"{self._n_skipped:,}",
                f"{n_read + self._n_skipped:,}",
                " · ".join(map(str, self._first)) + (" · …" if self._n_skipped > 3 else ""),
            )


def short_repr(value: Any) -> str:
    """Return the repr of a value, truncated to 80 characters, for error messages."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
