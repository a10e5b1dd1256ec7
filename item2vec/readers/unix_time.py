"""Unix times, and dates such as 20240131, in a timestamp column: parsing, and the common unit or layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.arrays import Doubles, Mask, Offsets
from item2vec.durations import DAY, PLAUSIBLE, SECOND, TICKS, UNIT_NAMES
from item2vec.errors import InputError, Remedy
from item2vec.readers.columns import numeric
from item2vec.readers.dates import VALID, dates_of_format, is_placeholder

__all__ = [
    "AGREEMENT",
    "Numbers",
    "is_coarse",
    "is_dated",
    "is_recent",
    "layout_of",
    "numbers_of",
    "unit_of",
]

AGREEMENT = 0.9
"""Minimum share of the numbers of a batch that must be dates in one unit or layout.

Placeholders count as missing dates if at least this share of the other dates is plausible (times.py).
"""

_WHOLE = r"^[+-]?\d{1,18}$"
_YEARS_1900_TO_2200 = (-2_208_988_800 * SECOND, 7_258_118_400 * SECOND)
_AROUND_1970 = 48 * DAY
"""A number that is plausible in one unit is a date in the first 48 days of 1970 in the next smaller unit."""
_LAYOUTS = {
    f"%Y%m%d{time}": (19_000_101 * scale, 21_010_101 * scale)
    for time, scale in (("", 1), ("%H", 10**2), ("%H%M", 10**4), ("%H%M%S", 10**6))
}
_MISSING = (0, -1, 10_101, 99_991_231, 99_999_999)
"""Placeholders for a missing date in the layout YYYYMMDD. The dates lie outside the years of ``_LAYOUTS``."""
_FEW_EXPONENTS = 1000


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of a batch. Exact integers are stored separately from floats.

    ``whole`` holds the integers of integer columns and of text. ``real`` holds the numbers that are not in
    ``whole``, such as the values of float columns, and text with a decimal point or an exponent; it is NaN in
    the rows whose numbers are in ``whole``. ``real`` is ``None`` if all numbers are exact integers. ``bad``
    is a mask of the values that are not finite numbers.
    """

    whole: Offsets
    real: Doubles | None
    bad: Mask

    @property
    def sizes(self) -> npt.NDArray[Any]:
        """All numbers in one array, which is of floats unless all numbers are exact integers."""
        return self.whole if self.real is None else np.where(np.isnan(self.real), self.whole, self.real)

    def microseconds(self, unit: str) -> tuple[Offsets, Mask]:
        """Convert the numbers from ``unit`` to microseconds. Also return a mask of the bad rows.

        A row is bad if it has no finite number, or the date is not from year 1 to 9999. Exact integers in
        nanoseconds are rounded down, other numbers to the nearest microsecond.
        """
        start, end = (seconds * TICKS[unit] for seconds in VALID)
        start, end = max(start, -(2**63)), min(end, 2**63 - 1)
        bad = self.bad | (self.whole < start) | (self.whole >= end)
        micros = _scaled(np.where(bad, 0, self.whole), unit, rounding=0)
        if self.real is not None:
            is_real = ~np.isnan(self.real)
            with np.errstate(invalid="ignore"):
                bad |= is_real & ~((self.real >= start) & (self.real < end))
            rows = np.flatnonzero(is_real & ~bad)
            floor = np.floor(self.real[rows])
            micros[rows] = _scaled(floor.astype(np.int64), unit, rounding=500)
            if unit != "ns":
                rest = (self.real[rows] - floor) * (SECOND // TICKS[unit])
                micros[rows] += np.rint(rest).astype(np.int64)
        return micros, bad

    def votes(self) -> dict[str, int]:
        """Count the rows for which each unit is plausible (see ``PLAUSIBLE``). Omit counts of 0."""
        sizes, (first, last) = self.sizes, PLAUSIBLE
        counts = {
            unit: int(np.count_nonzero(~self.bad & (sizes >= first * ticks) & (sizes < last * ticks)))
            for unit, ticks in TICKS.items()
        }
        return {unit: count for unit, count in counts.items() if count}

    def digits(self) -> pa.Array:
        """Return integers, also those in ``real``, as decimal text. All other rows are null."""
        whole, missing = self.whole, self.bad
        if self.real is not None:
            with np.errstate(invalid="ignore"):
                is_integer = (np.abs(self.real) < 2.0**53) & (np.floor(self.real) == self.real)
            whole = np.where(is_integer, self.real, whole).astype(np.int64)
            missing = missing | ~(is_integer | np.isnan(self.real))
        return pa.array(whole, mask=missing).cast(pa.large_string())


def numbers_of(array: pa.Array, name: str) -> Numbers:
    """Parse a column of numbers or text. Raise ``InputError`` for a column of another type."""
    kind = array.type
    array = numeric(array, name, "dates, numbers or text")
    if pa.types.is_uint64(kind):
        array = pc.if_else(pc.less(array, pa.scalar(2**63, kind)), array, None)
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    try:
        if not pa.types.is_floating(kind):
            whole = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            return Numbers(whole, None, is_null)
    except pa.ArrowInvalid:
        pass
    if not pa.types.is_large_string(kind):
        real = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return Numbers(np.zeros(len(array), dtype=np.int64), real, is_null | ~np.isfinite(real))
    is_whole = pc.match_substring_regex(array, _WHOLE)
    integers = pc.replace_substring_regex(pc.if_else(is_whole, array, None), r"^\+", "")
    whole = integers.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    real = pc.if_else(is_whole, None, array).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Numbers(whole, real, is_null | np.isinf(real))


def unit_of(numbers: Numbers, name: str) -> str | None:
    """Return the common unit of the numbers, or ``None`` if no number has a plausible unit.

    Raises
    ------
    InputError
        If fewer than 90 % of the numbers, without placeholders, are dates (see ``is_dated``) in the unit that
        is plausible for most numbers.
    """
    votes = numbers.votes()
    if not votes:
        return None
    unit = max(votes, key=votes.__getitem__)
    micros, bad = numbers.microseconds(unit)
    n_numbers = int(np.count_nonzero(~numbers.bad)) - int(np.count_nonzero(~bad & is_placeholder(micros)))
    if int(np.count_nonzero(~bad & is_dated(micros))) >= AGREEMENT * n_numbers:
        return unit
    counts = ", ".join(f"{count:,} in {UNIT_NAMES[other]}" for other, count in votes.items())
    others = n_numbers - sum(votes.values())
    counts += f", {others:,} in no unit" if others > 0 else ""
    raise InputError(
        f"the {n_numbers:,} epoch numbers of column {name!r} have no common unit; dates from 1990 to 2099: "
        f"{counts}; expected one unit: correct the column",
        remedies=[Remedy("time_unit", unit, "pass the unit of all numbers, such as {}")],
    )


def is_dated(micros: Offsets) -> Mask:
    """Return a mask of the dates from 1900 to 2199.

    Placeholders, and all dates within 48 days of 1970-01-01, are not in the mask.
    """
    first, last = _YEARS_1900_TO_2200
    return (micros >= first) & (micros < last) & (np.abs(micros) >= _AROUND_1970) & ~is_placeholder(micros)


def is_recent(micros: Offsets) -> Mask:
    """Return a mask of the dates from 1900 to 2099.

    If no number of a column has a plausible unit, only these dates are valid.
    """
    return (micros >= _YEARS_1900_TO_2200[0]) & (micros < PLAUSIBLE[1] * SECOND)


def layout_of(numbers: Numbers) -> str | None:
    """Return the common format of numbers such as 20240131, or ``None`` if they have no common format.

    The format is ``"%Y%m%d"``, which ``%H``, ``%H%M`` or ``%H%M%S`` may follow. At least 90 % of the
    numbers must be dates from 1900 to 2100 in this format that are not within 48 days of 1970-01-01.
    Placeholders for a missing date are not counted: 0, -1, and dates such as 99991231 and 19700101.
    """
    sizes = numbers.sizes[~numbers.bad]
    for form, (start, end) in _LAYOUTS.items():
        n_missing = np.count_nonzero(np.isin(sizes // (start // 19_000_101), _MISSING))
        needed = max(1, AGREEMENT * (len(sizes) - n_missing))
        if np.count_nonzero((sizes >= start) & (sizes < end)) >= needed:
            micros, bad = dates_of_format(numbers.digits(), form)
            needed -= AGREEMENT * np.count_nonzero(~bad & is_placeholder(micros))
            return form if np.count_nonzero(~bad & is_dated(micros)) >= max(1, needed) else None
    return None


def is_coarse(array: pa.Array, numbers: Numbers, unit: str) -> Mask:
    """Return a mask of the numbers that are rounded to more than a second.

    These are float16 and float32 numbers whose distance to the next number of the type is above a second, and
    text in scientific notation, such as 1.70E+12, if the last digit of each of the first 1,000 such texts is
    worth more than a second.
    """
    if pa.types.is_float16(array.type) or pa.types.is_float32(array.type):
        narrow = np.float16 if pa.types.is_float16(array.type) else np.float32
        values = array.fill_null(0).to_numpy(zero_copy_only=False).astype(narrow)
        return np.asarray(np.spacing(np.abs(values)).astype(float) > TICKS[unit])
    coarse = np.zeros(len(array), dtype=bool)
    if pa.types.is_large_string(array.type) and numbers.real is not None:
        has_exponent = pc.fill_null(pc.match_substring(array, "e", ignore_case=True), False)
        has_exponent = has_exponent.to_numpy(zero_copy_only=False) & ~numbers.bad
        rows = np.flatnonzero(has_exponent)[:_FEW_EXPONENTS]
        if len(rows) and _finest_digit(array.take(rows).to_pylist()) > TICKS[unit]:
            coarse = has_exponent
    return coarse


def _finest_digit(texts: Sequence[str]) -> Decimal:
    exponents = [Decimal(text.strip(" \t")).as_tuple().exponent for text in texts]
    return Decimal(10) ** min(int(exponent) for exponent in exponents)


def _scaled(numbers: Offsets, unit: str, *, rounding: int) -> Offsets:
    return (numbers + rounding) // 1000 if unit == "ns" else numbers * (SECOND // TICKS[unit])
