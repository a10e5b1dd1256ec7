"""Column parsers.

A parser converts each batch of source values to codes, microseconds or weights, and returns a mask of the bad
rows, which ``collecting.py`` drops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.arrays import Codes, Floats, Mask, Offsets
from item2vec.durations import SECOND, microseconds_of
from item2vec.errors import InputError, InvalidIdError
from item2vec.types import MAX_ID_BYTES, Vocabulary

__all__ = ["Column", "IdColumn", "Mask", "TimeColumn", "Values", "WeightColumn", "id_text"]

Values: TypeAlias = "pa.Array | Sequence[Any]"
"""One column of a batch: an Arrow array, or a sequence of Python objects."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INT64_END = 2.0**63
_TEXT_KINDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
_ID_KINDS = (*_TEXT_KINDS, pa.types.is_integer, pa.types.is_floating)
_NUMBER_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


class Column(Protocol):
    """Parser of one column, which parses batches and concatenates the parsed batches.

    ``expected`` describes a valid value in error messages. ``error`` is the type of the exception for an
    invalid value.
    """

    name: str
    expected: str
    error: type[InputError]

    def parse(self, values: Values) -> tuple[Any, Mask]:
        """Return the parsed batch, and a mask of its bad rows."""
        ...

    def append(self, parsed: Any) -> None:
        """Append a parsed batch without bad rows."""
        ...

    def finish(self) -> Any:
        """Return the concatenation of the appended batches."""
        ...


class IdColumn:
    """Parser of ids. Codes are assigned in order of first appearance."""

    error: type[InputError] = InvalidIdError
    expected = f"an id: text of 1 to {MAX_ID_BYTES} UTF-8 bytes, or a whole number"

    def __init__(self, name: str) -> None:
        self.name = name
        self._indices: list[Codes] = []
        self._dictionaries: list[pa.Array] = []

    def parse(self, values: Values) -> tuple[tuple[Codes, pa.Array], Mask]:
        """Return the codes and the dictionary of a batch, and a mask of its bad rows."""
        array = _array(values, id_text)
        if not any(is_kind(array.type) for is_kind in _ID_KINDS):
            raise InputError(f"column {self.name!r} is of type {array.type}; expected text or whole numbers")
        encoded = array.dictionary_encode()
        ids = _ids_as_text(encoded.dictionary, self.name)
        size = pc.binary_length(ids).fill_null(0).to_numpy(zero_copy_only=False)
        nul = pc.match_substring(ids, "\0").fill_null(False).to_numpy(zero_copy_only=False)
        bad_ids = np.append((size == 0) | (size > MAX_ID_BYTES) | nul, True)
        indices = encoded.indices.fill_null(len(ids)).to_numpy(zero_copy_only=False)
        return (indices, ids), bad_ids[indices]

    def append(self, parsed: tuple[Codes, pa.Array]) -> None:
        """Append a parsed batch without bad rows."""
        indices, ids = parsed
        self._indices.append(indices)
        self._dictionaries.append(ids)

    def finish(self) -> tuple[Codes, Vocabulary]:
        """Return the codes of all appended batches, and the common vocabulary."""
        if not self._indices:
            return np.empty(0, dtype=np.int32), Vocabulary(())
        sizes = [len(ids) for ids in self._dictionaries]
        joined = pa.concat_arrays(self._dictionaries)
        self._dictionaries.clear()
        joined = joined.dictionary_encode()
        code_of = np.split(joined.indices.to_numpy(), np.cumsum(sizes[:-1]))
        codes = np.empty(sum(map(len, self._indices)), dtype=np.int32)
        end = len(codes)
        while self._indices:
            indices = self._indices.pop()
            codes[end - len(indices) : end] = code_of.pop()[indices]
            end -= len(indices)
        return codes, Vocabulary(tuple(joined.dictionary.to_pylist()))


class TimeColumn:
    """Parser of timestamps: ISO text, typed timestamps and epoch numbers, converted to microseconds."""

    error: type[InputError] = InputError
    expected = "ISO text or an epoch number (the same kind in all rows)"

    def __init__(self, name: str) -> None:
        self.name = name
        self._kind: Literal["datetime", "epoch"] | None = None
        self._chunks: list[npt.NDArray[Any]] = []

    def parse(self, values: Values) -> tuple[npt.NDArray[Any], Mask]:
        """Return a batch in microseconds, or as unscaled epoch numbers, and a mask of its bad rows."""
        array = _as_text(_array(values, _value_text), self.name)
        kind = _kind_of(array)
        self._kind = self._kind or kind
        if pa.types.is_large_string(array.type):
            return _epochs(array, self.name) if self._kind == "epoch" else _microseconds_of_text(array)
        if kind != self._kind:
            return np.zeros(len(array), dtype=np.int64), np.ones(len(array), dtype=bool)
        return _epochs(array, self.name) if kind == "epoch" else _microseconds(array)

    def append(self, parsed: npt.NDArray[Any]) -> None:
        """Append a parsed batch without bad rows."""
        self._chunks.append(parsed)

    def finish(self) -> Offsets:
        """Return the appended batches in microseconds.

        The largest epoch number determines the unit of all epoch numbers.
        """
        chunks = [chunk for chunk in self._chunks if len(chunk)]
        if self._kind == "epoch" and chunks:
            largest = max(max(-float(chunk.min()), float(chunk.max())) for chunk in chunks)
            chunks = [_scaled(chunk, largest) for chunk in chunks]
        return np.concatenate([np.empty(0, dtype=np.int64), *chunks])


class WeightColumn:
    """Parser of weights, which are finite, non-negative numbers."""

    error: type[InputError] = InputError
    expected = "a finite number >= 0"

    def __init__(self, name: str) -> None:
        self.name = name
        self._chunks: list[Floats] = []

    def parse(self, values: Values) -> tuple[Floats, Mask]:
        """Return a batch as float32, and a mask of its bad rows."""
        numbers, bad = _numbers(_as_text(_array(values, _value_text), self.name), self.name)
        with np.errstate(over="ignore"):
            weights = numbers.astype(np.float32)
        return weights, bad | ~np.isfinite(weights) | (weights < 0)

    def append(self, parsed: Floats) -> None:
        """Append a parsed batch without bad rows."""
        self._chunks.append(parsed)

    def finish(self) -> Floats:
        """Return the concatenation of the appended batches."""
        return np.concatenate([np.empty(0, dtype=np.float32), *self._chunks])


def id_text(value: Any) -> str | None:
    """Convert an integer or a UUID to text. Text is returned unchanged; other values become ``None``."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, UUID) else None


def _value_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal | np.number | np.datetime64) and not isinstance(value, bool):
        return str(value)
    return None


def _array(values: Values, text_of: Callable[[Any], str | None]) -> pa.Array:
    if not isinstance(values, pa.Array):
        return _text_array(values, text_of)
    if pa.types.is_dictionary(values.type):
        return _array(values.dictionary_decode(), text_of)
    return values.cast(pa.large_string()) if pa.types.is_null(values.type) else values


def _as_text(array: pa.Array, name: str) -> pa.Array:
    """Cast text and bytes of any Arrow type to large strings; return other types unchanged."""
    if not any(is_kind(array.type) for is_kind in _TEXT_KINDS):
        return array
    try:
        text = array.cast(pa.large_string())
        text.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"column {name!r} contains bytes that are not UTF-8 text: {error}; convert the column to UTF-8"
        ) from error
    return text


def _ids_as_text(array: pa.Array, name: str) -> pa.Array:
    """Cast ids to large strings. Numbers that are not integers become null."""
    array = _as_text(array, name)
    if pa.types.is_floating(array.type):
        # pandas stores integers with missing values as floats
        numbers = array.to_numpy(zero_copy_only=False)
        whole = (np.abs(numbers) < 2.0**53) & (np.floor(numbers) == numbers)
        array = pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole)
    return array.cast(pa.large_string())


def _text_array(values: Sequence[Any], text_of: Callable[[Any], str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.large_string())
    except (pa.ArrowException, UnicodeEncodeError):
        texts = [text_of(value) for value in values]
        return pa.array([text if text and _is_unicode(text) else None for text in texts], pa.large_string())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _numbers(array: pa.Array, name: str) -> tuple[npt.NDArray[Any], Mask]:
    """Return the numbers, and a mask of the missing and non-finite numbers.

    The dtype is int64 if all numbers are integers, otherwise float64.
    """
    kind = array.type
    if pa.types.is_large_string(kind):
        text = pc.utf8_trim(array, " \t")
        array = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
    elif not any(is_kind(kind) for is_kind in _NUMBER_KINDS):
        raise InputError(f"column {name!r} is of type {kind}; expected numbers or text")
    bad = array.is_null().to_numpy(zero_copy_only=False)
    try:
        whole = array.cast(pa.int64()) if not pa.types.is_floating(kind) else None
    except pa.ArrowInvalid:
        whole = None
    if whole is not None:
        return whole.fill_null(0).to_numpy(zero_copy_only=False), bad
    numbers = array.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return numbers, bad | ~np.isfinite(numbers)


def _epochs(array: pa.Array, name: str) -> tuple[npt.NDArray[Any], Mask]:
    """Return unscaled epoch numbers, and a mask of the numbers that are invalid or outside int64."""
    if pa.types.is_uint64(array.type):
        array = pc.if_else(pc.less(array, pa.scalar(1 << 63, pa.uint64())), array, None)
    numbers, bad = _numbers(array, name)
    if numbers.dtype.kind == "f":
        bad = bad | ~(np.abs(numbers) < _INT64_END)
    return np.where(bad, 0, numbers), bad


def _scaled(numbers: npt.NDArray[Any], largest: float) -> Offsets:
    if largest >= 1e17:
        return np.rint(numbers / 1000).astype(np.int64) if numbers.dtype.kind == "f" else numbers // 1000
    factor = SECOND if largest < 1e11 else 1_000 if largest < 1e14 else 1
    scaled = numbers * factor
    return np.rint(scaled).astype(np.int64) if scaled.dtype.kind == "f" else scaled


def _microseconds(array: pa.Array) -> tuple[Offsets, Mask]:
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    bad = array.is_null().to_numpy(zero_copy_only=False)
    ticks = array.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if array.type.unit == "ns":
        return ticks // 1000, bad
    factor = {"s": SECOND, "ms": 1_000, "us": 1}[array.type.unit]
    bad = bad | (np.abs(ticks.astype(np.float64)) >= _INT64_END / factor)
    return np.where(bad, 0, ticks) * factor, bad


def _microseconds_of_text(array: pa.Array) -> tuple[Offsets, Mask]:
    text = pc.utf8_trim(array, " \t")
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return _microseconds(text.cast(kind))
        except pa.ArrowInvalid:
            continue
    return _microseconds(pa.array(map(_microseconds_of_iso, text.to_pylist()), pa.timestamp("us")))


def _microseconds_of_iso(text: str | None) -> int | None:
    """Convert ISO text, or BigQuery's variant (``2024-01-01 12:00:00 UTC``), to microseconds.

    Other text becomes ``None``.
    """
    if not text or text.isdecimal():
        return None
    try:
        return microseconds_of(datetime.fromisoformat(text.removesuffix(" UTC")))
    except ValueError:
        return None


def _kind_of(array: pa.Array) -> Literal["datetime", "epoch"] | None:
    """Return the kind of the timestamps in a column.

    The kind follows from the Arrow type or, in a column of text, from the first valid value.
    """
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return "datetime"
    if not pa.types.is_large_string(array.type):
        return "epoch"
    for text in array:
        value = (text.as_py() or "").strip(" \t")
        if re.match(_NUMBER, value, re.ASCII):
            return "epoch"
        if _microseconds_of_iso(value) is not None:
            return "datetime"
    return None
