"""Convert typed timestamps, ISO text and text of a given format to microseconds since 1970 UTC.

Each function ``dates_of_…`` returns the microseconds and a mask of the bad rows. Dates from year 1 to 9999
are valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.arrays import Mask, Offsets
from item2vec.durations import DAY, EPOCH, PLAUSIBLE, SECOND, TICKS, microseconds_of
from item2vec.errors import InputError

__all__ = [
    "VALID",
    "check_format",
    "dates_of_format",
    "dates_of_iso",
    "dates_of_typed",
    "format_of",
    "is_placeholder",
    "is_plausible",
]

VALID = (-62_135_596_800, 253_402_300_800)
"""Start of year 1 and of year 10000, in seconds since 1970-01-01 UTC."""

_PLACEHOLDERS = [
    microseconds_of(datetime(*day)) // DAY
    for day in (
        (1, 1, 1),  # zero value of dates in .NET and Go
        (1753, 1, 1),  # oldest date of SQL Server
        (1899, 12, 30),  # day 0 of Excel
        (1900, 1, 1),
        (1969, 12, 31),  # epoch number -1, and epoch number 0 in time zones west of Greenwich
        (1970, 1, 1),
        (9999, 12, 31),
    )
]
_ISO_TYPES = [pa.timestamp(unit, zone) for unit in ("us", "ns") for zone in (None, "UTC")]
# fromisoformat accepts any separator between date and time, and reads the zone of 2024-01-01+02:00 as a time
_ISO_DATE = re.compile(r"[0-9W-]{7,10}(?:[Tt ]|$)")
_FIELDS = {"Y": r"(\d{4})", "f": r"(\d{1,6})"} | dict.fromkeys("mdHMS", r"(\d\d)")
_DAYS = ["d.m.Y", "m/d/Y", "d/m/Y", "Y/m/d", "d-m-Y", "m-d-Y", "d.m.y", "m/d/y", "d/m/y", "d b Y", "d-b-Y"]
_DAYS += ["b d, Y", "d B Y", "B d, Y", "Y.m.d", "Y-m-d", "a, d b Y"]
_TIMES = ("", " H:M", " H:M:S", " H:M:S.f", " I:M p", " I:M:S p", " H:M z", " H:M:S z", ", H:M", ", H:M:S")
_COMMON_FORMATS = tuple(
    re.sub("([a-zA-Z])", r"%\1", form)
    for form in [*(day + time for time in _TIMES for day in _DAYS), "a b d H:M:S z Y", "d/b/Y:H:M:S z"]
)


def dates_of_typed(array: pa.Array) -> tuple[Offsets, Mask]:
    """Convert an Arrow array of timestamps or dates. Nanoseconds are rounded down to microseconds."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    ticks = array.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    bad = array.is_null().to_numpy(zero_copy_only=False)
    unit = array.type.unit
    if unit == "ns":
        return ticks // 1000, bad
    start, end = (seconds * TICKS[unit] for seconds in VALID)
    bad = bad | (ticks < start) | (ticks >= end)
    return np.where(bad, 0, ticks) * (SECOND // TICKS[unit]), bad


def dates_of_iso(array: pa.Array) -> tuple[Offsets, Mask]:
    """Convert ISO 8601 text. Digits after the microseconds are ignored. Text without a time zone is UTC."""
    text = pc.utf8_trim(array, " \t")
    for kind in _ISO_TYPES:
        try:
            return dates_of_typed(text.cast(kind))
        except pa.ArrowInvalid:
            continue
    return _one_by_one(text, _microseconds_of_iso)


def dates_of_format(array: pa.Array, form: str) -> tuple[Offsets, Mask]:
    """Convert text in the format ``form`` of ``datetime.strptime``. Text without a time zone is UTC."""
    text = pc.utf8_trim(array, " \t")
    numeric = _as_iso(form)
    if numeric is None:
        return _one_by_one(text, lambda value: _microseconds_of_format(value, form))
    pattern, iso = numeric
    matches = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    micros, bad = dates_of_iso(pc.if_else(matches, pc.replace_substring_regex(text, pattern, iso), None))
    if bad.any():  # the pattern requires leading zeros, which strptime does not
        rows = np.flatnonzero(bad)
        others = text.take(pa.array(rows))
        micros[rows], bad[rows] = _one_by_one(others, lambda value: _microseconds_of_format(value, form))
    return micros, bad


def _one_by_one(text: pa.Array, convert: Callable[[str], int | None]) -> tuple[Offsets, Mask]:
    """Convert each distinct text once. ``convert`` returns ``None`` for text that is not a date."""
    encoded = text.dictionary_encode()
    values = [convert(value) for value in encoded.dictionary.to_pylist()]
    bad = np.array([value is None for value in values] + [True])
    micros = np.array([value or 0 for value in values] + [0], dtype=np.int64)
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    bad |= (micros < VALID[0] * SECOND) | (micros >= VALID[1] * SECOND)
    return micros[codes], bad[codes]


def _microseconds_of_iso(text: str) -> int | None:
    """Convert ISO text, or BigQuery's variant (``2024-01-01 12:00:00 UTC``), to microseconds.

    Return ``None`` for text that consists of digits only, such as ``20240101``, and for all other text.
    """
    if text.isdecimal() or not _ISO_DATE.match(text):
        return None
    try:
        return microseconds_of(datetime.fromisoformat(text.removesuffix(" UTC")))
    except ValueError:
        return None


def _microseconds_of_format(text: str, form: str) -> int | None:
    try:
        return microseconds_of(datetime.strptime(text, form))
    except (ValueError, OverflowError):
        return None


def _as_iso(form: str) -> tuple[str, str] | None:
    """Return a regular expression that matches text in a format, and the replacement that makes it ISO text.

    Return ``None`` unless the fields of the format are ``%Y``, ``%m`` and ``%d``, alone or with the fields of
    a time (``%H``, ``%H %M``, ``%H %M %S`` or ``%H %M %S %f``). The order of the fields does not matter.
    """
    parts = re.split("%(.)", form)
    literals, fields = parts[::2], parts[1::2]
    if sorted(fields) not in [sorted("Ymd" + time) for time in ("", "H", "HM", "HMS", "HMSf")]:
        return None
    groups = [*(_FIELDS[field] for field in fields), ""]
    pattern = "".join(re.escape(literal) + group for literal, group in zip(literals, groups, strict=True))
    order = {field: rf"\{number}" for number, field in enumerate(fields, start=1)}
    date = "-".join(order[field] for field in "Ymd")
    time = ":".join(order[field] for field in "HMS" if field in order)
    return f"^{pattern}$", f"{date}{'T' if time else ''}{time}" + (f".{order['f']}" if "f" in order else "")


def check_format(form: str) -> None:
    """Raise ``InputError`` if a format is invalid, names a time zone (``%Z``), or has no year."""
    expected = "expected a format of datetime.strptime with a year, such as '%d.%m.%Y %H:%M'"
    if not isinstance(form, str):
        raise InputError(f"time_format is {form!r}; {expected}")
    if "%Z" in form.replace("%%", ""):
        raise InputError(
            f"time_format is {form!r}, but names of time zones (%Z) are ambiguous; expected UTC offsets such "
            "as +0100: use %z"
        )
    day = EPOCH.replace(year=2017, month=8, day=23)
    try:
        year = datetime.strptime(day.strftime(form), form).year
    except (ValueError, re.error) as error:
        raise InputError(f"time_format is {form!r} ({error}); {expected}") from error
    if year != day.year:
        raise InputError(f"time_format is {form!r}; {expected}")


def format_of(texts: Sequence[str]) -> str | None:
    """Return the first of the common formats that fits all texts, or ``None`` if none of them does.

    >>> format_of(["01.08.2017 14:17"]), format_of(["01/02/2017"]), format_of(["01/02/2017", "13/02/2017"])
    ('%d.%m.%Y %H:%M', '%m/%d/%Y', '%d/%m/%Y')
    """
    return next((form for form in _COMMON_FORMATS if all(_fits(text, form) for text in texts)), None)


def _fits(text: str, form: str) -> bool:
    return _microseconds_of_format(text.strip(" \t"), form) is not None


def is_plausible(micros: Offsets) -> Mask:
    """Return a mask of the dates from 1990 to 2099."""
    return (micros >= PLAUSIBLE[0] * SECOND) & (micros < PLAUSIBLE[1] * SECOND)


def is_placeholder(micros: Offsets) -> Mask:
    """Return a mask of the dates on days that usually stand for a missing date, such as 1970-01-01."""
    placeholder = ~is_plausible(micros)
    rows = np.flatnonzero(placeholder)
    days = micros[rows] // DAY
    placeholder[rows] = np.isin(days, _PLACEHOLDERS)
    return placeholder
