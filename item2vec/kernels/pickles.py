"""A scan of pickles for the indices at which they store objects in the memo of the unpickler."""

from __future__ import annotations

from item2vec.arrays import Bytes, Offsets
from item2vec.kernels.compiled import compiled, inlined

__all__ = ["COUNTED", "LINE", "TWO_LINES", "UNKNOWN", "largest_memo_index"]

COUNTED, LINE, TWO_LINES, UNKNOWN = 16, 32, 33, 64
"""Codes of the arguments of opcodes. ``COUNTED + n``: a length in n bytes, and then as many bytes. ``LINE``
and ``TWO_LINES``: one line, two lines. ``UNKNOWN``: the byte is not an opcode. A code below ``COUNTED`` is
the number of bytes of the argument."""
_STOP, _PUT, _LONG_BINPUT = b".pr"
_NEWLINE, _ZERO, _NINE = b"\n09"
_MOST = 2**58


@compiled
def largest_memo_index(content: Bytes, arguments: Offsets) -> int:
    r"""Return the largest memo index in the opcodes PUT and LONG_BINPUT of a pickle; 0 without such opcodes.

    The other opcodes that store an object in the memo are ignored, because their indices are small: BINPUT
    has an index of one byte, and MEMOIZE uses the number of objects stored so far.

    ``arguments`` (256 int64) maps each byte to the code of the argument of this opcode, such as ``LINE``, or
    to ``UNKNOWN``. The scan ends at the opcode STOP, at an unknown opcode, or at the end of the pickle.

    Examples
    --------
    >>> import numpy as np
    >>> arguments = np.zeros(256, dtype=np.int64)
    >>> arguments[ord("p")], arguments[ord("r")] = LINE, 4
    >>> int(largest_memo_index(np.frombuffer(b"Np12\nr\x07\x00\x00\x00.", np.uint8), arguments))
    12
    """
    at, largest = 0, 0
    while at < len(content):
        code, argument, start = content[at], arguments[content[at]], at + 1
        if code == _STOP or argument == UNKNOWN:
            break
        if argument >= LINE:
            number, at = _line(content, start)
            if argument == TWO_LINES:
                _, at = _line(content, at)
        else:
            number, at = _integer(content, start, argument % COUNTED)
            at += number if argument >= COUNTED else 0
        if code in (_PUT, _LONG_BINPUT):
            largest = max(largest, number)
    return largest


@inlined
def _line(content: Bytes, at: int) -> tuple[int, int]:
    """Return the number that the digits of a line form, at most ``2**58``, and the position after the line.

    Characters other than digits are skipped, because Python accepts spaces and underscores in a number.
    """
    number = 0
    while at < len(content) and content[at] != _NEWLINE:
        if _ZERO <= content[at] <= _NINE:
            number = min(number * 10 + int(content[at]) - _ZERO, _MOST)
        at += 1
    return number, at + 1


@inlined
def _integer(content: Bytes, at: int, width: int) -> tuple[int, int]:
    """Return the little-endian integer of ``width`` bytes, at most ``2**58``, and the position after it."""
    number = 0
    for place in range(min(at + width, len(content)) - 1, at - 1, -1):
        number = min(number * 256 + int(content[place]), _MOST)
    return number, at + width
