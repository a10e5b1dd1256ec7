"""Faults: descriptions of bad rows, which are raised as errors, or counted and logged."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from item2vec.errors import InputError, Remedy
from item2vec.opening import ENCODING

__all__ = ["Fault", "FaultReport", "OnError", "short_repr"]

OnError = Literal["raise", "skip"]

_LOG = logging.getLogger("item2vec.readers")
_UNDECODED = re.compile("[\udc80-\udcff]")
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """Description of a bad row: the location, the value found, and the value expected.

    In a text file, ``row_kind`` is ``"line"``, and ``number`` is the number of the first line of the row,
    from 1. In a table, ``row_kind`` is ``"row"``, and ``number`` is the row number, from 0. ``error`` is the
    exception that ``on_error="raise"`` raises, with ``remedies``: arguments that avoid the fault.

    >>> print(Fault("listens.csv", "line", 7, "timestamp 'x'", "ISO text or an epoch number"))
    listens.csv line 7: timestamp 'x'; expected ISO text or an epoch number
    """

    source: str
    row_kind: str
    number: int
    found: str
    expected: str
    error: type[InputError] = InputError
    remedies: tuple[Remedy, ...] = ()

    def __str__(self) -> str:
        return str(self.exception())

    def exception(self) -> InputError:
        """Return the exception for this fault."""
        message = f"{self.source} {self.row_kind} {self.number}: {self.found}; expected {self.expected}"
        return self.error(message, remedies=self.remedies)

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
        remedies: tuple[Remedy, ...] = (),
    ) -> Fault:
        """Create the fault of a value. The fault states the first byte that cannot be decoded, if any."""
        undecoded = _UNDECODED.search(value) if isinstance(value, str) else None
        if undecoded:
            byte = ord(undecoded[0]) - 0xDC00
            expected = f"text (byte 0x{byte:02x} cannot be decoded)"
            remedies = (ENCODING,)
        return cls(source, row_kind, number, f"{column} {short_repr(value)}", expected, error, remedies)


class FaultReport:
    """Handler of faults: raises the first fault, or counts skipped rows and logs their faults."""

    def __init__(self, source: str, on_error: OnError, on_skip: Callable[[Fault], None] | None) -> None:
        if on_error not in ("raise", "skip"):
            raise InputError(f"on_error is {on_error!r}; expected 'raise' or 'skip'")
        self._source, self._on_error, self._on_skip = source, on_error, on_skip
        self._n_skipped = 0
        self._first: list[Fault] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Raise the first fault of a batch, or record all faults of the batch in row order."""
        for fault in sorted(faults, key=lambda fault: fault.number):
            if self._on_error == "raise":
                raise fault.exception()
            self._n_skipped += 1
            if self._on_skip:
                self._on_skip(fault)
            if len(self._first) < 3:
                self._first.append(fault)

    def log(self, n_read: int) -> None:
        """If rows were skipped, log a warning with the number of these rows and the first three faults."""
        if self._n_skipped:
            _LOG.warning(
                "%s: skipped %s of %s rows: %s",
                self._source,
                f"{self._n_skipped:,}",
                f"{n_read + self._n_skipped:,}",
                self._summary(),
            )

    def _summary(self) -> InputError:
        """Return the first three faults as one error. The command line renders its remedies as flags."""
        messages = [fault.exception().args[0] for fault in self._first]
        further = [" · …"] if self._n_skipped > len(messages) else []
        return InputError(" · ".join(messages) + "".join(further), remedies=self._first[0].remedies)


def short_repr(value: Any) -> str:
    """Return the repr of a value, truncated to 80 characters, for error messages."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
