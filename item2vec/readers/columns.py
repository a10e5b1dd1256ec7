"""Parsers that convert the values of a column to codes of ids, microseconds or weights.

A parser converts one batch at a time, and returns a mask of the bad rows. ``collecting.py`` drops the bad
rows. The parser of timestamps is in ``times.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from item2vec.arrays import Codes, Floats, Mask
from item2vec.errors import InputError, InvalidIdError, Remedy
from item2vec.types import MAX_ID_BYTES, Vocabulary

__all__ = [
    "Column",
    "IdColumn",
    "Mask",
    "Values",
    "WeightColumn",
    "are_ids",
    "array_of",
    "as_text",
    "id_text",
    "numeric",
    "value_text",
]

Values: TypeAlias = "pa.Array | Sequence[Any]"
"""One column of a batch: an Arrow array, or a sequence of Python objects."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
"""Pattern of decimal numbers in text, such as ``-1.5`` or ``1e5``, but not ``nan`` or ``inf``."""
_TEXT_KINDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
_ID_KINDS = (*_TEXT_KINDS, pa.types.is_integer, pa.types.is_floating)
_NUMBER_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


class Column(Protocol):
    """Parser of one column. It parses the column batch by batch, and concatenates the parsed batches.

    ``name`` is the name of the column. ``error`` is the class of the exception for an invalid value.
    """

    name: str
    error: type[InputError]

    def expected_for(self, value: Any, /) -> tuple[str, tuple[Remedy, ...]]:
        """Return a pair for an invalid value of the last batch: what was expected instead; and remedies."""
        ...

    def parse(self, values: Values) -> tuple[Any, Mask]:
        """Return the parsed batch, and a mask of the bad rows of the batch."""
        ...

    def append(self, parsed: Any) -> None:
        """Append a parsed batch without bad rows."""
        ...

    def finish(self) -> Any:
        """Return the concatenation of the appended batches."""
        ...


class IdColumn:
    """Parser of ids. Codes are assigned in the order in which the ids first appear in valid rows."""

    error: type[InputError] = InvalidIdError
    expected = f"an id: text of 1 to {MAX_ID_BYTES} UTF-8 bytes without NUL, or a whole number"

    def __init__(self, name: str) -> None:
        self.name = name
        self._indices: list[Codes] = []
        self._dictionaries: list[pa.Array] = []

    def expected_for(self, _value: Any, /) -> tuple[str, tuple[Remedy, ...]]:
        """Return a description of valid values, without remedies."""
        return self.expected, ()

    def parse(self, values: Values) -> tuple[tuple[Codes, pa.Array], Mask]:
        """Return a pair: the pair (codes, ids) of a batch; and a mask of the bad rows.

        The ids are the distinct ids of the batch. The code of a row is the position of its id among the ids,
        or the number of ids if the value of the row is null. Raise ``InputError`` if the type of the column
        is not text, integer or float, or if the text is not UTF-8.
        """
        array = array_of(values, id_text)
        if not any(is_kind(array.type) for is_kind in _ID_KINDS):
            raise InputError(
                f"column {self.name!r} is of type {array.type}; expected ids as text or whole numbers: "
                "convert the column"
            )
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
        """Return a pair: the code of each row of all appended batches; and the vocabulary of the codes."""
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


def are_ids(array: pa.Array) -> bool:
    """Return whether an Arrow array has the type string or large string, and each value is a valid id.

    >>> are_ids(pa.array(["a", "é"])), are_ids(pa.array(["a", ""])), are_ids(pa.array([1]))
    (True, False, False)
    """
    if array.null_count or not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return False
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    sizes = pc.min_max(pc.binary_length(array)).as_py()
    if not len(array):
        return True
    has_nul = pc.any(pc.match_substring(array, "\0")).as_py()
    return bool(sizes["min"] >= 1 and sizes["max"] <= MAX_ID_BYTES and not has_nul)


class WeightColumn:
    """Parser of weights: non-negative numbers that are finite as float32."""

    error: type[InputError] = InputError
    expected = "a finite number >= 0 (float32)"

    def __init__(self, name: str) -> None:
        self.name = name
        self._chunks: list[Floats] = []

    def expected_for(self, _value: Any, /) -> tuple[str, tuple[Remedy, ...]]:
        """Return a description of valid values, without remedies."""
        return self.expected, ()

    def parse(self, values: Values) -> tuple[Floats, Mask]:
        """Return the weights of a batch as float32, and a mask of the bad rows."""
        numbers, bad = _numbers(as_text(array_of(values, value_text), self.name), self.name)
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
    """Convert an integer or a UUID to text, and return text unchanged. Otherwise return ``None``."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, UUID) else None


def value_text(value: Any) -> str | None:
    """Convert a number, date or datetime to text, and return text unchanged. Otherwise return ``None``."""
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal | np.number | np.datetime64) and not isinstance(value, bool):
        return str(value)
    return None


def array_of(values: Values, text_of: Callable[[Any], str | None]) -> pa.Array:
    """Return a column as an Arrow array: dictionaries are decoded, and type null is cast to large strings.

    If a sequence of Python objects contains bytes, or Arrow cannot convert it to text, for example because it
    contains a number, ``text_of`` converts each object to text, or to ``None`` (null) if it is invalid.
    """
    if not isinstance(values, pa.Array):
        return _text_array(values, text_of)
    if pa.types.is_dictionary(values.type):
        return array_of(values.dictionary_decode(), text_of)
    return values.cast(pa.large_string()) if pa.types.is_null(values.type) else values


def as_text(array: pa.Array, name: str) -> pa.Array:
    """Cast an array of strings or of bytes to large strings; return an array of another type unchanged.

    Raise ``InputError`` if a value is not valid UTF-8.
    """
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
    """Cast ids to large strings. A float becomes null unless it is an integer of magnitude below 2**53."""
    array = as_text(array, name)
    if pa.types.is_floating(array.type):
        # pandas converts integers with missing values to floats
        numbers = array.to_numpy(zero_copy_only=False)
        whole = (np.abs(numbers) < 2.0**53) & (np.floor(numbers) == numbers)
        array = pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole)
    return array.cast(pa.large_string())


def _text_array(values: Sequence[Any], text_of: Callable[[Any], str | None]) -> pa.Array:
    # Arrow would read Python bytes as text.
    if not any(issubclass(kind, bytes | bytearray) for kind in {*map(type, values)}):
        with contextlib.suppress(pa.ArrowException, UnicodeEncodeError):
            return pa.array(values, pa.large_string())
    texts = [text_of(value) for value in values]
    return pa.array([text if text and _is_unicode(text) else None for text in texts], pa.large_string())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def numeric(array: pa.Array, name: str, expected: str) -> pa.Array:
    """Return an array of numbers unchanged. In an array of text, replace values that are not numbers by null.

    Spaces and tabs around text are removed. For an array of any other type, raise ``InputError``; its message
    contains ``expected``, a description of the types that the caller accepts.
    """
    if pa.types.is_large_string(array.type):
        text = pc.utf8_trim(array, " \t")
        return pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
    if not any(is_kind(array.type) for is_kind in _NUMBER_KINDS):
        raise InputError(f"column {name!r} is of type {array.type}; expected {expected}")
    return array


def _numbers(array: pa.Array, name: str) -> tuple[npt.NDArray[Any], Mask]:
    """Return the numbers of a column, and a mask of the rows without a finite number.

    The dtype is int64 if the type of the column is not float, and all values are integers in the range of
    int64. Otherwise it is float64.
    """
    kind = array.type
    array = numeric(array, name, "numbers or text")
    bad = array.is_null().to_numpy(zero_copy_only=False)
    try:
        whole = array.cast(pa.int64()) if not pa.types.is_floating(kind) else None
    except pa.ArrowInvalid:
        whole = None
    if whole is not None:
        return whole.fill_null(0).to_numpy(zero_copy_only=False), bad
    numbers = array.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return numbers, bad | ~np.isfinite(numbers)
