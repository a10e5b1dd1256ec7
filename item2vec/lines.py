"""Read text files in blocks of whole lines, with a maximum line length.

The maximum bounds memory: a file without line breaks, such as a decompressed gigabyte of zeros, raises an
error instead of being read as one very long line.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from item2vec.errors import InputError, Remedy
from item2vec.opening import open_text, reading

__all__ = [
    "MAX_LINE",
    "blocks_of_lines",
    "check_max_line",
    "count_lines",
    "lines_of",
    "numbered_blocks",
    "too_long",
]

MAX_LINE = 16 * 2**20
"""Default of ``max_line``, the maximum length of a line in bytes."""

_LEAST_MAX_LINE = 1 << 10
_BLOCK_BYTES = 1 << 22
_BOM = b"\xef\xbb\xbf"


def lines_of(path: Path, encoding: str = "utf-8", max_line: int = MAX_LINE) -> Iterator[tuple[int, str]]:
    r"""Yield a pair per line: the line number (from 1), and the text with the final ``\n``.

    Only ``\n`` ends a line. The last line of the file may lack it.

    Parameters
    ----------
    path
        A text file, which may be compressed.
    encoding
        Name of the encoding. Bytes that cannot be decoded become lone surrogates.
    max_line
        Maximum length of a line, in bytes of UTF-8.

    Raises
    ------
    InputError
        If the file cannot be read, or a line is longer than ``max_line``; the message states the number of
        this line.

    Examples
    --------
    >>> number, line = next(lines_of(Path("sample_data/items.csv")))
    >>> number, line.split(",")[0]
    (1, 'item_id')
    """
    for lines in numbered_blocks(path, encoding, max_line):
        yield from lines


def numbered_blocks(path: Path, encoding: str, max_line: int) -> Iterator[Iterator[tuple[int, str]]]:
    """Yield the results of ``lines_of`` in groups: an iterator for each few megabytes of text."""
    for number, block in blocks_of_lines(path, encoding, max_line):
        yield enumerate(io.StringIO(block.decode("utf-8", "surrogateescape"), newline="\n"), number)


def blocks_of_lines(
    path: Path, encoding: str, max_line: int, *, cr: bool = False
) -> Iterator[tuple[int, bytes]]:
    r"""Yield a pair per block of whole lines: the line number of the first line; and the bytes in UTF-8.

    Line numbers start at 1. Lines end at ``\n``; with ``cr``, also at ``\r``. The last line of the file may
    have no line break. A line of more than ``max_line`` bytes raises ``InputError``.
    """
    number, parts, held = 1, [b""], 0
    with reading(path), _utf8(path, encoding) as read:
        while chunk := read(min(_BLOCK_BYTES, max_line)):
            if cr and chunk.endswith(b"\r"):
                chunk += read(1)  # a line feed may follow
            first, end = _first_line_end(chunk, cr), _last_line_end(chunk, cr)
            if held + first > max_line:
                raise too_long(path, number, "line", max_line)
            if not end:
                parts.append(chunk)
                held += len(chunk)
                continue
            block = b"".join((*parts, chunk[:end]))
            parts, held = [chunk[end:]], len(chunk) - end
            yield number, block
            number += count_lines(block, cr=cr)
        if held:
            yield number, b"".join(parts)


def count_lines(block: bytes, *, cr: bool = False) -> int:
    r"""Return the number of line breaks in a block. With ``cr``, an ``\r`` without ``\n`` is counted, too."""
    n_lf = int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
    return n_lf + (block.count(b"\r") - block.count(b"\r\n") if cr and b"\r" in block else 0)


def too_long(path: Path | str, number: int, what: str, max_line: int) -> InputError:
    """Return the error for a line, or a row of several lines, that is longer than ``max_line``."""
    return InputError(
        f"{path} line {number}: a {what} of more than {max_line:,} bytes, the limit of a line; expected text "
        "with line ends",
        remedies=[Remedy("max_line", text="pass a larger {}")],
    )


def check_max_line(max_line: int) -> int:
    """Return ``max_line``; raise ``InputError`` unless it is an integer of at least 1,024 (bytes)."""
    if isinstance(max_line, bool) or not isinstance(max_line, int) or max_line < _LEAST_MAX_LINE:
        raise InputError(f"max_line is {max_line!r}; expected an integer >= {_LEAST_MAX_LINE}, in bytes")
    return max_line


@contextlib.contextmanager
def _utf8(path: Path, encoding: str) -> Iterator[Callable[[int], bytes]]:
    """Yield a function that reads the next part of a text file, and returns this part in UTF-8.

    The argument of the function is the maximum size of the part in bytes. If it is below 8, the part may have
    up to 8 bytes.
    """
    with open_text(path, encoding, newline="") as text:
        is_utf8 = codecs.lookup(text.encoding).name in ("utf-8", "utf-8-sig")

        def source(size: int) -> bytes:
            if is_utf8:
                return text.buffer.read(size)
            return text.read(max(1, size // 4)).encode("utf-8", "surrogateescape")  # at most 4 bytes each

        start = source(len(_BOM)).removeprefix(_BOM)

        def read(size: int) -> bytes:
            nonlocal start
            data, start = start + source(max(1, size - len(start))), b""
            return data

        yield read


def _first_line_end(chunk: bytes, cr: bool) -> int:
    """Return the length of the first line without the line break; the chunk's length if it has none."""
    ends = [chunk.find(b"\n"), chunk.find(b"\r") if cr else -1]
    return min((end for end in ends if end >= 0), default=len(chunk))


def _last_line_end(chunk: bytes, cr: bool) -> int:
    """Return the total length of the complete lines of a chunk.

    A carriage return at the end of the chunk is not counted as a line break, because a line feed may follow.
    """
    return max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, len(chunk) - 1) if cr else -1) + 1
