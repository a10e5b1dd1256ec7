"""``TimeColumn``: the parser of timestamps.

The first batch with valid timestamps determines whether a column holds dates or epoch numbers, and the unit
or the layout of the numbers (``unix_time.py``). A row whose timestamp contradicts this decision, in any
batch, is a bad row.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.arrays import Mask, Offsets
from item2vec.durations import TICKS, UNIT_NAMES
from item2vec.errors import InputError, Remedy
from item2vec.readers.columns import Values, array_of, as_text, value_text
from item2vec.readers.dates import (
    check_format,
    dates_of_format,
    dates_of_iso,
    dates_of_typed,
    format_of,
    is_placeholder,
    is_plausible,
)
from item2vec.readers.unix_time import (
    AGREEMENT,
    is_coarse,
    is_dated,
    is_recent,
    layout_of,
    numbers_of,
    unit_of,
)

__all__ = ["TimeColumn"]

_LOG = logging.getLogger("item2vec.readers")
_TEXTS_FOR_A_HINT = 100


class TimeColumn:
    """Parser of timestamps: ISO text, typed timestamps and epoch numbers, converted to microseconds.

    ``unit`` is the unit of all epoch numbers; ``form`` is the format of all timestamps, as in
    ``datetime.strptime``. If both are ``None``, the timestamps determine the unit or the format, by the rules
    in the notes of ``read_interactions``.
    """

    error: type[InputError] = InputError

    def __init__(self, name: str, unit: str | None = None, form: str | None = None) -> None:
        _check_given(unit, form)
        self.name = name
        self._unit, self._form = unit, form
        self._is_given = unit is not None or form is not None
        self._kind: Literal["dates", "numbers"] | None = "numbers" if unit else "dates" if form else None
        self._has_dates = False
        self._n_without_unit = self._n_placeholders = 0
        self._rejected: Sequence[str] = ()
        self._chunks: list[Offsets] = []

    def parse(self, values: Values) -> tuple[Offsets, Mask]:
        """Return the timestamps of a batch in microseconds, and a mask of the bad rows."""
        array = as_text(array_of(values, value_text), self.name)
        self._decide(array)
        micros, bad = self._converted(array)
        if self._kind != "numbers" and bad.any() and pa.types.is_large_string(array.type):
            self._rejected = array.filter(pa.array(bad)).drop_null()[:_TEXTS_FOR_A_HINT].to_pylist()
        return micros, self._without_placeholders(micros, bad)

    def append(self, parsed: Offsets) -> None:
        """Append a parsed batch without bad rows."""
        self.count(parsed)
        self._chunks.append(parsed)

    def finish(self) -> Offsets:
        """Return the timestamps of all appended batches in microseconds. See ``conclude`` for errors."""
        self.conclude()
        micros = np.concatenate([np.empty(0, dtype=np.int64), *self._chunks])
        self._chunks.clear()
        return micros

    def count(self, parsed: Offsets) -> None:
        """Count those timestamps of a batch (without bad rows) that later batches may prove to be invalid.

        Such timestamps are numbers without a unit, and placeholders.
        """
        if self._kind == "numbers" and self._unit is None and self._form is None:
            self._n_without_unit += len(parsed)
        self._n_placeholders += int(np.count_nonzero(is_placeholder(parsed[~is_plausible(parsed)])))

    def conclude(self) -> None:
        """Check the counts after the last batch. Log a warning if no number of the column has a unit.

        Raises
        ------
        InputError
            If later batches show that timestamps of the first batches are invalid.
        """
        if self._n_without_unit:
            self._report_numbers_without_unit()
        if self._has_dates and self._n_placeholders:
            raise InputError(
                f"column {self.name!r} begins with {self._n_placeholders:,} dates such as 1970-01-01, which "
                "usually stand for missing dates; expected a date in every row: remove these rows"
            )

    @property
    def unit(self) -> str | None:
        """Unit of the epoch numbers; ``None`` for dates, for counters, and while the unit is not known."""
        return self._unit if self._kind == "numbers" else None

    def expected_for(self, value: Any, /) -> tuple[str, tuple[Remedy, ...]]:
        """Return a pair for an invalid value of the last batch: what was expected instead; and remedies."""
        array = array_of([value], value_text)
        micros, bad = self._converted(array)
        if not bad[0] and is_placeholder(micros)[0]:
            return f"a date ({_day(micros)} usually stands for a missing date)", ()
        if self._form is not None:
            example = datetime(2017, 8, 23, 14, 17, 5, tzinfo=UTC).strftime(self._form)
            reason = "" if self._is_given else ", as in most rows"
            return f"a date of the format {self._form!r}, such as {example!r}{reason}", ()
        return self._expected_number(array) if self._kind == "numbers" else self._expected_date(array)

    def _decide(self, array: pa.Array) -> None:
        """Determine the kind, and the unit or layout, if they are still unknown."""
        if self._is_given:
            if _is_typed(array):
                raise InputError(
                    f"column {self.name!r} is of type {array.type}; time_unit and time_format apply to "
                    "numbers and text: remove them"
                )
            return
        self._kind = self._kind or _kind_of(array, self.name)
        if self._kind == "numbers" and self._unit is None and self._form is None and not _is_typed(array):
            numbers = numbers_of(array, self.name)
            self._form = layout_of(numbers)
            self._unit = None if self._form else unit_of(numbers, self.name)

    def _without_placeholders(self, micros: Offsets, bad: Mask) -> Mask:
        """Add the rows with placeholders of missing dates to the bad rows.

        They are added only if, in this or an earlier batch, at least 90 % of the other dates are from 1990 to
        2099. Otherwise, placeholders are ordinary dates.
        """
        unlikely = ~(bad | is_plausible(micros))
        missing = unlikely & is_placeholder(micros) if unlikely.any() else unlikely
        n_dates = np.count_nonzero(~bad & ~missing)
        n_plausible = n_dates - np.count_nonzero(unlikely & ~missing)
        self._has_dates |= bool(n_plausible >= max(1, AGREEMENT * n_dates))
        return bad | missing if self._has_dates else bad

    def _converted(self, array: pa.Array) -> tuple[Offsets, Mask]:
        is_text = pa.types.is_large_string(array.type)
        if self._form is not None and not _is_typed(array):
            digits = _without_decimals(array) if is_text else numbers_of(array, self.name).digits()
            return dates_of_format(digits, self._form)
        if self._kind == "dates" and is_text:
            return dates_of_iso(array)
        if self._kind == "dates" and _is_typed(array):
            return dates_of_typed(array)
        if self._kind == "numbers" and not _is_typed(array):
            return self._of_numbers(array)
        return np.zeros(len(array), dtype=np.int64), np.ones(len(array), dtype=bool)

    def _of_numbers(self, array: pa.Array) -> tuple[Offsets, Mask]:
        numbers = numbers_of(array, self.name)
        unit = self._unit or "s"
        micros, bad = numbers.microseconds(unit)
        bad |= is_coarse(array, numbers, unit)
        if not self._is_given:
            bad |= ~self._is_valid(micros)
        return micros, bad

    def _is_valid(self, micros: Offsets) -> Mask:
        """Return a mask of the valid dates of a column of numbers whose unit or format was not given."""
        if self._unit is None:
            return is_recent(micros)
        return is_dated(micros) | is_placeholder(micros)

    def _expected_number(self, array: pa.Array) -> tuple[str, tuple[Remedy, ...]]:
        numbers = numbers_of(array, self.name)
        unit = self._unit or "s"
        micros, bad = numbers.microseconds(unit)
        if not bad[0] and (self._is_given or self._is_valid(micros)[0]):
            rounded = "an epoch number with all digits, but this number is rounded to more than a second"
            return f"{rounded}: export the column as int64 or float64", ()
        years = "1 to 9999" if self._is_given else "1900 to 2199" if self._unit else "1900 to 2099"
        expected = f"an epoch number in {UNIT_NAMES[unit]} from {years}"
        if self._unit and not self._is_given:
            expected += ", as in most rows"
        shown = next((other for other in numbers.votes() if other != unit), unit)
        micros, bad = numbers.microseconds(shown)
        if not bad[0]:
            expected += f" (this number is {_day(micros)} in {UNIT_NAMES[shown]})"
        return expected, () if self._unit else (Remedy("time_unit", text="for another unit pass {}"),)

    def _expected_date(self, array: pa.Array) -> tuple[str, tuple[Remedy, ...]]:
        if self._kind == "dates" and _kind_of(array, self.name) == "numbers":
            return "a date from year 1 to 9999, as in most rows", ()
        remedies: tuple[Remedy, ...] = ()
        if re.search(r"\d", array[0].as_py() or ""):
            form = format_of(self._rejected)
            example = "pass the format of the dates as {}, such as '%d.%m.%Y %H:%M'"
            remedies = (Remedy("time_format", form) if form else Remedy("time_format", text=example),)
        return "ISO text or an epoch number", remedies

    def _report_numbers_without_unit(self) -> None:
        n_numbers = f"{self._n_without_unit:,}"
        if self._unit is None and self._form is None:
            message = (
                f"column {self.name!r}: no number is a date from 1990 to 2099 in any unit; {n_numbers} "
                "numbers were read as seconds since 1970"
            )
            remedies = [Remedy("time_unit", text="if they are dates, pass {}"), Remedy("time_format")]
            _LOG.warning("%s", InputError(message, remedies=remedies))
        else:
            agreed = f"in {UNIT_NAMES[self._unit]}" if self._unit else f"dates of the format {self._form!r}"
            raise InputError(
                f"column {self.name!r}: the first {n_numbers} numbers are not dates from 1990 to 2099 in any "
                f"unit, but later numbers are {agreed}; expected one unit or format in the whole column: "
                "correct the column",
                remedies=[Remedy("time_unit"), Remedy("time_format")],
            )


def _check_given(unit: str | None, form: str | None) -> None:
    if unit is not None and unit not in TICKS:
        raise InputError(f"time_unit is {unit!r}; expected 's', 'ms', 'us' or 'ns'")
    if unit is not None and form is not None:
        raise InputError(
            f"time_unit is {unit!r} and time_format is {form!r}; expected only one of them: epoch numbers "
            "have a unit, dates have a format"
        )
    if form is not None:
        check_format(form)


def _is_typed(array: pa.Array) -> bool:
    return bool(pa.types.is_timestamp(array.type) or pa.types.is_date(array.type))


def _kind_of(array: pa.Array, name: str) -> Literal["dates", "numbers"] | None:
    """Return the kind of a batch. For text, return the kind of most values; ``None`` if no value is valid."""
    if _is_typed(array):
        return "dates"
    numbers = numbers_of(array, name)
    n_numbers = np.count_nonzero(~numbers.bad)
    if not pa.types.is_large_string(array.type) or 2 * n_numbers > len(array):
        return "numbers"
    n_dates = np.count_nonzero(~dates_of_iso(array)[1])
    if not n_numbers and not n_dates:
        return None
    return "numbers" if n_numbers > n_dates else "dates"


def _without_decimals(array: pa.Array) -> pa.Array:
    """Remove ``.0`` from the text of whole numbers. pandas writes integers with missing values as floats."""
    return pc.replace_substring_regex(array, r"^([ \t]*\d+)\.0([ \t]*)$", r"\1\2")


def _day(micros: Offsets) -> str:
    return str(micros.astype("datetime64[us]").astype("datetime64[D]")[0])
