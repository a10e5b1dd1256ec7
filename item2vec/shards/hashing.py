"""Look-up of ids by sorted 64-bit hashes, without a Python object per id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from item2vec.arrays import Codes, Words
from item2vec.errors import InputError, short_repr

__all__ = ["Lookup", "compact", "hash_of", "hashes_of", "string_buffers"]

_WORD = 8
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_FACTOR_OF_INT, _ALL_BITS = int(_FACTOR), 2**64 - 1

Take = Callable[[npt.NDArray[Any]], pa.Array]
"""A function that returns the ids of codes as an Arrow array of strings."""


def hashes_of(ids: pa.Array) -> Words:
    """Return a 64-bit hash of each string of an Arrow array (``string`` or ``binary``), by its UTF-8 bytes.

    >>> hashes_of(pa.array(["a", "b", "a"])).tolist()[::2] == [hashes_of(pa.array(["a"]))[0]] * 2
    True
    """
    if not len(ids):
        return np.empty(0, dtype=np.uint64)
    offsets, data = string_buffers(ids)
    padded = np.concatenate((data, np.zeros(_WORD, dtype=np.uint8)))
    words: Words = np.ndarray((len(data) + 1,), dtype="<u8", buffer=padded, strides=(1,))
    starts = offsets[:-1].astype(np.int64) - offsets[0]
    lengths = np.diff(offsets)
    hashes = lengths.astype(np.uint64) * _FACTOR
    rows = np.flatnonzero(lengths > 0)
    place = 0
    while len(rows):
        left = (lengths[rows] - place).clip(max=_WORD).astype(np.uint64)
        word = words[starts[rows] + place] & (~np.uint64(0) >> (np.uint64(_WORD) - left) * np.uint64(8))
        mixed = (hashes[rows] ^ word) * _FACTOR
        hashes[rows] = mixed ^ (mixed >> _SHIFT)
        place += _WORD
        rows = rows[lengths[rows] > place]
    return hashes


def hash_of(encoded: bytes) -> int:
    """Return the hash of one id, given in UTF-8; ``hashes_of`` returns the same hash.

    >>> bool(hash_of(b"a") == hashes_of(pa.array(["a"]))[0])
    True
    """
    value = len(encoded) * _FACTOR_OF_INT & _ALL_BITS
    for start in range(0, len(encoded), _WORD):
        word = int.from_bytes(encoded[start : start + _WORD], "little")
        mixed = (value ^ word) * _FACTOR_OF_INT & _ALL_BITS
        value = mixed ^ (mixed >> int(_SHIFT))
    return value


def string_buffers(ids: pa.Array) -> tuple[Codes, npt.NDArray[np.uint8]]:
    """Return a pair of arrays: the offsets of the strings in their buffer (int32); and the strings' bytes.

    ``ids`` must not be empty.

    >>> string_buffers(pa.array(["a", "bc", "d"])[1:])
    (array([1, 3, 4], dtype=int32), array([ 98,  99, 100], dtype=uint8))
    """
    _, offset_buffer, data_buffer = ids.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    return offsets, np.frombuffer(data_buffer or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]


def compact(ids: pa.Array) -> pa.Array:
    """Return the same strings in new buffers, which contain nothing else.

    When Arrow writes a slice, it pads the slice with the bytes that follow in the buffer. Without the copy,
    files of equal ids could therefore differ.
    """
    offsets, data = string_buffers(ids)
    buffers = (pa.py_buffer((offsets - offsets[0]).tobytes()), pa.py_buffer(data.tobytes()))
    return pa.StringArray.from_buffers(len(ids), *buffers)


@dataclass(frozen=True, eq=False)
class Lookup:
    """Index from ids to codes, by sorted 64-bit hashes.

    ``hashes`` holds the hashes of all ids in ascending order; ``codes[i]`` is the code of the id with the
    hash ``hashes[i]``. Different ids may have equal hashes.
    """

    hashes: Words
    codes: Codes

    @classmethod
    def of(cls, chunks: Iterable[pa.Array], n: int) -> Lookup:
        """Compute the look-up of ``n`` ids.

        The look-up takes 12 bytes per id, and up to 28 bytes per id while it is computed.
        """
        hashes = np.empty(n, dtype=np.uint64)
        start = 0
        for chunk in chunks:
            hashes[start : start + len(chunk)] = hashes_of(chunk)
            start += len(chunk)
        codes = np.argsort(hashes).astype(np.int32)
        return cls(hashes[codes], codes)

    def check_distinct(self, take: Take) -> None:
        """Raise ``InputError`` if an id occurs twice."""
        equal = np.flatnonzero(self.hashes[1:] == self.hashes[:-1])
        if not len(equal):
            return
        suspects = np.unique(self.codes[np.unique(np.concatenate((equal, equal + 1)))])
        seen: set[str] = set()
        for id_ in take(suspects).to_pylist():
            if id_ in seen:
                raise InputError(f"id {short_repr(id_)} occurs twice in a vocabulary; expected distinct ids")
            seen.add(id_)

    def find_one(self, id_: str, id_of: Callable[[int], str]) -> int:
        """Return the code of an id; -1 if it is unknown. ``id_of`` returns the id of a code."""
        # Without "surrogatepass", a lone surrogate would raise an error. No id contains a lone surrogate.
        value = hash_of(id_.encode("utf-8", "surrogatepass"))
        place = int(np.searchsorted(self.hashes, np.uint64(value)))
        while place < len(self.hashes) and int(self.hashes[place]) == value:
            if id_of(int(self.codes[place])) == id_:
                return int(self.codes[place])
            place += 1
        return -1

    def find(self, ids: pa.Array, take: Take) -> Codes:
        """Return the codes of the ids in an Arrow array of type ``binary``; -1 for an unknown id."""
        found = np.full(len(ids), -1, dtype=np.int32)
        hashes = hashes_of(ids)
        rows = np.arange(len(ids))
        places = np.searchsorted(self.hashes, hashes)
        while len(rows):  # repeats only if different ids have equal hashes
            inside = places < len(self.hashes)
            rows, places = rows[inside], places[inside]
            same_hash = self.hashes[places] == hashes[rows]
            rows, places = rows[same_hash], places[same_hash]
            if not len(rows):
                break
            codes = self.codes[places]
            known, wanted = take(codes).to_pylist(), ids.take(pa.array(rows)).to_pylist()
            same = np.fromiter(
                (a.encode() == b for a, b in zip(known, wanted, strict=True)), dtype=bool, count=len(rows)
            )
            found[rows[same]] = codes[same]
            rows, places = rows[~same], places[~same] + 1
        return found
