"""Check whether Arrow's parser splits a block of delimited text by the rules of ``quoting.py``.

A set of positions in the block is an array of 64-bit words, with one bit per byte. The bit operations on
words follow the method of Langdale and Lemire (Parsing gigabytes of JSON per second, VLDB Journal 2019).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Bytes
from item2vec.readers.quoting import Dialect, lines_in

__all__ = ["Structure", "structure_of"]

Bits: TypeAlias = npt.NDArray[np.uint64]
Positions: TypeAlias = npt.NDArray[np.int64]

_ONE, _LAST = np.uint64(1), np.uint64(63)


@dataclass(frozen=True, slots=True)
class Structure:
    """Rows and quotes of a block that Arrow splits by the rules of ``quoting.py``.

    ``text`` is the block, followed by a line feed. ``sep`` is the separator. ``quoted`` states whether
    quotes delimit fields; otherwise all quotes are ordinary characters. ``inside`` holds the positions inside
    quoted fields. ``end`` is the number of bytes of the complete rows of the block, and ``n_lines`` is the
    number of lines of the complete rows.
    """

    text: Bytes
    sep: bytes
    quoted: bool
    inside: Bits
    end: int
    n_lines: int

    def lines_of_rows(self, dialect: Dialect, max_line: int) -> Positions | None:
        """Return the index of the first line of each complete row. Blank lines are not rows.

        Return ``None`` if a row of several lines is longer than ``max_line`` bytes, or has a stray quote.
        """
        text, is_end = self.text, self.text == ord("\n")
        starts = np.append(0, np.flatnonzero(is_end[: self.end]) + 1)[: self.n_lines]
        is_blank = is_end[starts] | ((text[starts] == ord("\r")) & is_end[starts + 1])
        inside = np.unpackbits(self.inside.view(np.uint8), bitorder="little")[starts - 1] == 1
        inside[0] = False
        lines = np.flatnonzero(~inside & ~is_blank)
        bounds = np.append(starts[~inside], self.end)
        if not inside.any():
            return lines
        if np.diff(bounds).max() > max_line:
            return None
        separators = np.flatnonzero(text[: self.end] == self.sep[0])
        n_separators = np.diff(np.searchsorted(separators, np.append(starts, self.end)))
        suspects = starts[inside & (n_separators == dialect.width - 1)]
        for row in np.unique(np.searchsorted(bounds, suspects)).tolist():
            divided = dialect.row(lines_in(text[bounds[row - 1] : bounds[row]].tobytes()), 0)
            if divided is None or divided.stray:
                return None
        return lines


def structure_of(data: bytes, sep: str, *, quotes: bool) -> Structure | None:
    r"""Return the structure of a block, or ``None`` if the block must be split by ``Dialect.row``.

    The result is ``None`` if the block begins with a byte order mark, if the block contains a carriage return
    without a line feed, or if the block contains quotes and the separator has several bytes. Any other block
    with quotes has a structure in two cases. Either the block follows RFC 4180: if quotes are numbered from
    0, every quote with an even number opens a field or is the second quote of a pair, and every other quote
    closes a field or is the first quote of a pair. Or no quote is at the start of a line or directly after a
    separator, so that all quotes are ordinary characters.

    >>> found = structure_of(b'"a\nb",c\nd,"e', ",", quotes=True)
    >>> found.quoted, found.n_lines, found.end
    (True, 2, 8)
    >>> structure_of(b'"a"b,c\n', ",", quotes=True) is None
    True
    """
    separator = sep.encode()
    has_quotes = quotes and b'"' in data
    # Arrow would remove a byte order mark.
    if (has_quotes and len(separator) > 1) or data.startswith(codecs.BOM_UTF8):
        return None
    text = np.frombuffer(data + b"\n", np.uint8)
    ends, returns = _positions(text, "\n"), _positions(text, "\r")
    if (returns & ~_before(ends)).any():
        return None
    inside = np.zeros_like(ends)
    if not has_quotes:
        return _structure(text, separator, ends, inside, quoted=False)
    found, around = _positions(text, '"'), ends | _positions(text, sep)
    if not (found & _after(around)).any():
        return _structure(text, separator, ends, inside, quoted=False)
    inside = _parity(found)
    opens_field = _after(around | found)
    closes_field = _before(around | found | returns)
    if (found & inside & ~opens_field).any() or (found & ~inside & ~closes_field).any():
        return None
    return _structure(text, separator, ends, inside, quoted=True)


def _structure(text: Bytes, sep: bytes, ends: Bits, inside: Bits, *, quoted: bool) -> Structure:
    """Return the structure of a block. ``text`` is the block, followed by a line feed."""
    end = min(_last(ends & ~inside) + 1, len(text) - 1)
    n_lines = int(np.count_nonzero(text[:end] == ord("\n"))) + bool(end and text[end - 1] != ord("\n"))
    return Structure(text, sep, quoted, inside, end, n_lines)


def _positions(text: Bytes, character: str) -> Bits:
    """Return the positions of an ASCII character in a text."""
    bits = np.zeros(-(-len(text) // 64) * 8, np.uint8)
    packed = np.packbits(text == ord(character), bitorder="little")
    bits[: len(packed)] = packed
    return bits.view("<u8")


def _after(bits: Bits) -> Bits:
    """Return the positions directly after the given positions, and also position 0."""
    shifted = bits << _ONE
    shifted[1:] |= bits[:-1] >> _LAST
    shifted[0] |= _ONE
    return shifted


def _before(bits: Bits) -> Bits:
    """Return the positions directly before the given positions."""
    shifted = bits >> _ONE
    shifted[:-1] |= bits[1:] << _LAST
    return shifted


def _parity(bits: Bits) -> Bits:
    """Return each position ``p`` for which an odd number of the given positions are at most ``p``."""
    parity = bits.copy()
    for step in (1, 2, 4, 8, 16, 32):
        parity ^= parity << np.uint64(step)
    odd = np.bitwise_xor.accumulate(parity >> _LAST)
    parity[1:] ^= np.uint64(0) - odd[:-1]
    return parity


def _last(bits: Bits) -> int:
    """Return the last of the given positions, or -1 if there is none."""
    words = np.flatnonzero(bits)
    return int(words[-1]) * 64 + int(bits[words[-1]]).bit_length() - 1 if len(words) else -1
