"""Faults: descriptions of bad rows. A fault is raised as an error, or counted and logged."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from item2vec.errors import InputError, Remedy, short_repr
from item2vec.opening import encoding_remedy

__all__ = ["MAX_BAD", "Fault", "FaultReport", "OnError", "short_repr"]

OnError = Literal["raise", "skip"]

MAX_BAD = 0.05
"""Default of ``max_bad``: the largest share of rows that may be skipped because they are bad."""

_LOG = logging.getLogger("item2vec.readers")
_UNDECODED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """Description of a bad row: the location, the value found, and the value expected.

    In a text file, ``row_kind`` is ``"line"``, and ``number`` is the number of the first line of the row,
    from 1. In any other table, ``row_kind`` is ``"row"``, and ``number`` is the row number, from 0. In a
    graph object, ``row_kind`` is ``"node"`` or ``"edge"``, and ``number`` is a position, from 0. ``error`` is
    the class of the exception that ``on_error="raise"`` raises. ``remedies`` are arguments that avoid the
    fault.

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
        """Create the fault of a value in a column. If a byte of the value is undecodable, name that byte."""
        undecoded = _UNDECODED.search(value) if isinstance(value, str) else None
        if undecoded:
            byte = ord(undecoded[0]) - 0xDC00
            expected = f"text (byte 0x{byte:02x} cannot be decoded)"
            remedies = (encoding_remedy(byte),)
        return cls(source, row_kind, number, f"{column} {short_repr(value)}", expected, error, remedies)


class FaultReport:
    """Handler of the faults of one source.

    With ``on_error="raise"``, the handler raises the first fault. With ``on_error="skip"``, it counts the
    skipped rows, calls ``on_skip`` with each fault, and logs the first three faults. ``max_bad`` is the
    largest share of rows that may be skipped.
    """

    def __init__(
        self,
        source: str,
        on_error: OnError,
        on_skip: Callable[[Fault], None] | None,
        max_bad: float = MAX_BAD,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise InputError(f"on_error is {on_error!r}; expected 'raise' or 'skip'")
        if isinstance(max_bad, bool) or not isinstance(max_bad, int | float) or not 0 <= max_bad <= 1:
            raise InputError(f"max_bad is {max_bad!r}; expected a share of rows from 0 to 1, such as 0.05")
        self._source, self._on_error, self._on_skip, self._max_bad = source, on_error, on_skip, max_bad
        self._n_skipped = 0
        self._first: list[Fault] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Handle the faults of a batch in row order: raise the first, or count each and call ``on_skip``."""
        for fault in sorted(faults, key=lambda fault: fault.number):
            if self._on_error == "raise":
                raise fault.exception()
            self._n_skipped += 1
            if self._on_skip:
                self._on_skip(fault)
            if len(self._first) < 3:
                self._first.append(fault)

    def finish(self, n_read: int) -> None:
        """If rows were skipped, log a warning with the number of skipped rows and the first three faults.

        ``n_read`` is the number of rows that were not skipped.

        Raises
        ------
        InputError
            If all rows were skipped, or the share of skipped rows is larger than ``max_bad``.
        """
        if not self._n_skipped:
            return
        n_rows = n_read + self._n_skipped
        share = self._n_skipped / n_rows
        skipped, summary = f"{self._n_skipped:,} of {n_rows:,} rows", self._summary()
        if not n_read:
            message = f"{self._source}: {skipped} are bad; expected at least one valid row: {summary.args[0]}"
            raise InputError(message, remedies=summary.remedies)
        if share > self._max_bad:
            allowed = math.ceil(share * 100) / 100
            text = "correct the rows, or allow more bad rows with {}"
            raise InputError(
                f"{self._source}: {skipped} are bad ({share * 100:.3g} %); expected at most "
                f"{self._max_bad * 100:.3g} %: {summary.args[0]}",
                remedies=[Remedy("max_bad", allowed, text, "correct the rows"), *summary.remedies],
            )
        _LOG.warning("%s: skipped %s: %s", self._source, skipped, summary)

    def _summary(self) -> InputError:
        """Return the first three faults as one error, with the remedies of the first fault."""
        messages = [fault.exception().args[0] for fault in self._first]
        further = [" · …"] if self._n_skipped > len(messages) else []
        return InputError(" · ".join(messages) + "".join(further), remedies=self._first[0].remedies)
