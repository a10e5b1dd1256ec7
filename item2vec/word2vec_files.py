"""Files of item vectors in the formats of word2vec and GloVe, and the files of counts beside them.

A text file has one row per line: an id and the numbers of its vector, separated by single spaces. A row of a
binary file is an id, a space, and little-endian float32 numbers; a line break may follow. The first line of
word2vec's formats contains the number of rows and the number of dimensions; GloVe's format has no such line.
Files may be compressed. A count file has a line "id count" per item, as written by word2vec.c
(``-save-vocab``) and gensim (``fvocab``).

In word2vec's formats, a space ends an id. An id that contains white space, or starts with ``%:``, is written
as ``%:`` and the percent-encoded id. All other ids are written and read unchanged, such as ``c%20d``.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

import numpy as np

from item2vec.arrays import Doubles, Floats
from item2vec.errors import InputError, short_repr
from item2vec.matrices import finite_rows
from item2vec.opening import check_file, open_bytes, reading
from item2vec.outputs import output
from item2vec.types import Vocabulary, check_ids

__all__ = ["check_limit", "counts_beside", "read_counts", "read_vectors", "write_counts", "write_vectors"]

log = logging.getLogger(__name__)

MAX_LINE = 1 << 24
"""Maximum length of a line in bytes, which also limits the memory that a damaged file can request."""
MAX_ENCODED_ID = 1 << 11
"""Upper bound of the size of an encoded id in bytes: ``%:``, and up to 3 bytes for each of 512 bytes."""
READ_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"
CHECKED_WITHOUT_CALL = 128
ENCODED = "%:"
_TO_ENCODE = {ord(character): f"%{ord(character):02X}" for character in "% \t\n\r\x0b\x0c"}
_WHITE_SPACE = re.compile("[ \t\n\r\x0b\x0c]")
_FOREIGN = {
    b"\xba\x16\x4f\x2f": "a model of fastText; expected word2vec or GloVe: use the .vec file beside it",
}

Row = tuple[int, bytes, "Sequence[bytes] | Floats"]
"""The line number (text) or row number (binary), the encoded id, and the numbers of the vector."""


class _Layout(NamedTuple):
    """The number of rows (``None`` in GloVe's format), the number of dimensions, and the format of a file."""

    n_rows: int | None
    size: int
    binary: bool

    def __str__(self) -> str:
        if self.n_rows is None:
            return "GloVe's text format"
        return f"word2vec's {'binary' if self.binary else 'text'} format"


def read_vectors(
    path: Path, *, binary: bool | None = None, limit: int | None = None, encoding: str = "utf-8"
) -> tuple[Vocabulary, Floats]:
    """Return the ids of a file and their vectors (float32, n items × dimensions), in the order of the rows.

    ``binary=None`` detects the format. With ``limit``, only the first ``limit`` rows are read. A row whose id
    occurs in an earlier row is dropped, and a warning contains the number and the first of these rows.

    Raises
    ------
    InputError
        If the file cannot be read or is malformed. The message names the line, or the row of a binary file.
    """
    check_limit(limit)
    layout: _Layout | None = None
    with reading(path):
        try:
            _check_format(path)
            layout = _layout_of(path, binary, encoding)
            n_rows = _most_rows(path, limit, encoding) if layout.n_rows is None else layout.n_rows
            matrix = _allocated(min(n_rows, limit or n_rows), layout.size)
            with open_bytes(path, encoding) as file:
                rows = (_binary_rows if layout.binary else _text_rows)(file, layout, limit)
                return _collected(path, rows, matrix, "row" if layout.binary else "line", encoding)
        except InputError:
            raise  # the file cannot be opened; the message contains its path
        except (ValueError, LookupError) as error:
            kind = layout or f"word2vec's {'binary' if binary else 'text'} format"
            raise InputError(f"{path} cannot be read in {kind}: {error}") from error


def check_limit(limit: int | None) -> None:
    """Raise ``InputError`` unless ``limit`` is an integer of at least 1, or ``None``."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f"limit is {limit!r}; expected a number of rows (an integer of at least 1), or None")


def write_vectors(path: Path, ids: Sequence[str], matrix: Floats, *, binary: bool) -> None:
    """Write ids and vectors in word2vec's text or binary format; compressed if the suffix is ``.gz``."""
    with _writing(path) as file:
        file.write(f"{len(ids)} {matrix.shape[1]}\n".encode())
        for id_, row in zip(ids, matrix, strict=True):
            numbers = (
                row.astype("<f4", copy=False).tobytes()
                if binary
                else " ".join(map(repr, row.tolist())).encode()
            )
            file.write(_encode_id(id_).encode() + b" " + numbers + b"\n")


def counts_beside(path: Path) -> Path:
    """Return the path of the count file that belongs to a vector file.

    >>> counts_beside(Path("vectors.txt")).name
    'vectors.txt.vocab'
    """
    return path.with_name(path.name + ".vocab")


def read_counts(path: Path, vocabulary: Vocabulary, encoding: str = "utf-8") -> Doubles:
    """Return the counts of the ids of a vocabulary, read from a count file (float64).

    The count of an id that the file does not contain is 1; a warning contains the number of such ids. Ids
    outside the vocabulary are ignored. ``InputError`` is raised if the file cannot be read or is malformed.
    """
    counts = np.full(len(vocabulary), np.nan)
    with reading(path), open_bytes(path, encoding) as file:
        numbered = _lines(file)
        while block := list(islice(numbered, 10_000)):
            found = [_count_of(path, number, line, encoding) for number, line in block]
            codes = vocabulary.encode([id_ for id_, _ in found])
            known = codes >= 0
            counts[codes[known]] = np.array([count for _, count in found])[known]
    missing = np.isnan(counts)
    if missing.any():
        first = vocabulary.ids[int(missing.argmax())]
        log.warning(
            "%s lacks the counts of %d out of %d items (first: %r); these counts are set to 1",
            path,
            missing.sum(),
            len(counts),
            first,
        )
    return np.where(missing, 1, counts)


def write_counts(path: Path, ids: Sequence[str], counts: Doubles) -> None:
    """Write a count file. Whole numbers are written without a fraction, as gensim requires."""
    with _writing(path) as file:
        for id_, count in zip(ids, counts.tolist(), strict=True):
            text = str(int(count)) if count.is_integer() else repr(count)
            file.write(f"{_encode_id(id_)} {text}\n".encode())


def _encode_id(id_: str) -> str:
    if id_.startswith(ENCODED) or _WHITE_SPACE.search(id_):
        return ENCODED + id_.translate(_TO_ENCODE)
    return id_


def _decode_id(text: str) -> str:
    """Return the id that ``_encode_id`` encodes as ``text``, or ``text`` itself if there is no such id."""
    if not text.startswith(ENCODED):
        return text
    id_ = unquote(text.removeprefix(ENCODED))
    return id_ if _encode_id(id_) == text else text


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with output(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        # Without name and time, equal vectors give equal files. Higher compression levels are slow.
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as compressed:
            yield compressed


def _allocated(n_rows: int, size: int) -> Floats:
    """Return an uninitialised matrix. The system allocates its memory when rows are written."""
    try:
        return np.empty((n_rows, size), np.float32)
    except (MemoryError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{n_rows:,} rows of {size:,} numbers do not fit into memory; use a file of fewer rows or, in "
            "Python, pass limit="
        ) from error


def _check_format(path: Path) -> None:
    """Raise ``ValueError`` for a binary model of fastText, with the advice to use its ``.vec`` file."""
    check_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise ValueError(f"it is {what}")


def _layout_of(path: Path, binary: bool | None, encoding: str) -> _Layout:
    with open_bytes(path, encoding) as file:
        first = _line(file, 1).removeprefix(BOM)
        fields = first.split()
        if len(fields) == 2 and all(re.fullmatch(rb"[-+]?\d+", field) for field in fields):
            n_rows, size = map(int, fields)
            if min(n_rows, size) < 1 or size > MAX_LINE // 2:
                raise ValueError(
                    f"line 1 declares {n_rows} × {size} numbers (rows × dimensions); expected 1 × 1 or more, "
                    f"and at most {MAX_LINE // 2:,} dimensions"
                )
            return _Layout(n_rows, size, _looks_binary(file, size) if binary is None else binary)
        size = _n_numbers(first.rstrip(b"\r\n ").split(b" "))
        if binary or not size:
            also = "" if binary else ", or an id and the components of its vector, separated by spaces"
            raise ValueError(
                f"line 1 is {short_repr(first)}; expected the number of rows and of dimensions{also}"
            )
        return _Layout(None, size, binary=False)


def _looks_binary(file: IO[bytes], size: int) -> bool:
    """Return whether the next line is probably binary: most of its last ``size`` fields are not numbers."""
    line = file.readline(MAX_LINE).rstrip(b"\r\n ")
    numbers = line.rsplit(b" ", size)[1:]
    return bool(line) and (not numbers or sum(map(_is_number, numbers)) * 2 < len(numbers))


def _n_numbers(fields: list[bytes]) -> int:
    """Return how many consecutive fields at the end of a line are numbers, not counting the first field."""
    return next((n for n, field in enumerate(reversed(fields[1:])) if not _is_number(field)), len(fields) - 1)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _most_rows(path: Path, limit: int | None, encoding: str) -> int:
    """Return an upper bound of the number of rows to read. Counting stops when it reaches ``limit``."""
    n_lines = 1
    with open_bytes(path, encoding) as file:
        while (limit is None or n_lines < limit) and (block := file.read(READ_BYTES)):
            n_lines += block.count(b"\n")
    return n_lines


def _line(file: IO[bytes], number: int) -> bytes:
    line = file.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise ValueError(f"line {number} is longer than {MAX_LINE:,} bytes; expected an id and its vector")
    return line


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the non-empty lines with their line numbers, without line breaks and trailing spaces."""
    number = 1
    while line := _line(file, number):
        if stripped := line.rstrip(b"\r\n "):
            yield number, stripped
        number += 1


def _text_rows(file: IO[bytes], layout: _Layout, limit: int | None) -> Iterator[Row]:
    n_read = 0
    numbered = _lines(file)
    if layout.n_rows is not None:
        next(numbered)
    for number, line in islice(numbered, limit):
        id_, *numbers = (line.removeprefix(BOM) if number == 1 else line).rsplit(b" ", layout.size)
        if len(numbers) < layout.size:
            raise ValueError(f"line {number} has {len(numbers)} numbers; expected {layout.size}")
        before = id_.split(b" ")
        if len(before) > 1 and (extra := _n_numbers(before)):
            raise ValueError(f"line {number} has {layout.size + extra} numbers; expected {layout.size}")
        n_read += 1
        if n_read > (layout.n_rows or n_read):
            raise ValueError(f"found more than the {layout.n_rows} rows that line 1 declares")
        yield number, id_, numbers
    if layout.n_rows is not None and n_read < min(layout.n_rows, limit or layout.n_rows):
        raise ValueError(f"found {n_read} rows; line 1 declares {layout.n_rows}")


def _binary_rows(file: IO[bytes], layout: _Layout, limit: int | None) -> Iterator[Row]:
    assert layout.n_rows is not None
    _line(file, 1)
    buffer, start, n_bytes = b"", 0, 4 * layout.size
    for number in range(1, min(layout.n_rows, limit or layout.n_rows) + 1):
        if len(buffer) - start < MAX_ENCODED_ID + 1 + n_bytes:
            buffer, start = buffer[start:] + file.read(READ_BYTES + n_bytes), 0
        blank = buffer.find(b" ", start, start + MAX_ENCODED_ID)
        end = blank + 1 + n_bytes
        if blank < 0 or end > len(buffer):
            raise ValueError(
                f"row {number} is incomplete; expected an id, a space and {layout.size} numbers of 4 bytes, "
                f"and {layout.n_rows} rows, as line 1 declares"
            )
        yield number, buffer[start:blank].lstrip(b"\n"), np.frombuffer(buffer, "<f4", layout.size, blank + 1)
        start = end
    if limit is None and (buffer[start:] + file.read(2)).strip(b"\n"):
        raise ValueError(f"found more than the {layout.n_rows} rows that line 1 declares")


def _collected(
    path: Path, rows: Iterable[Row], matrix: Floats, unit: str, encoding: str
) -> tuple[Vocabulary, Floats]:
    """Copy rows into ``matrix``, without the rows whose id occurs in an earlier row; return ids and vectors.

    ``ValueError`` is raised for an invalid id, and for a number that is not finite.
    """
    ids: dict[str, None] = {}
    numbers_of_rows = array("q")
    repeated = 0
    first_repeated = ""
    with np.errstate(over="ignore"):
        for number, raw, numbers in rows:
            id_ = _id_of(raw, f"{unit} {number}", encoding)
            if id_ in ids:
                repeated += 1
                first_repeated = first_repeated or f"{id_!r} in {unit} {number}"
                continue
            try:
                matrix[len(ids)] = numbers
            except ValueError as error:
                raise ValueError(f"{unit} {number}: {error}") from error
            ids[id_] = None
            numbers_of_rows.append(number)
    if repeated:
        log.warning(
            "%s contains %d rows whose id occurs in an earlier row (first: %s); they are dropped",
            path,
            repeated,
            first_repeated,
        )
    matrix = matrix[: len(ids)]
    finite = finite_rows(matrix)
    if not finite.all():
        row = int(finite.argmin())
        raise ValueError(
            f"{unit} {numbers_of_rows[row]} contains a number that is not finite; expected float32 numbers: "
            "remove the row"
        )
    known = tuple(ids)
    del ids  # freed before the vocabulary allocates another dictionary
    return Vocabulary(known), matrix


def _id_of(raw: bytes, where: str, encoding: str) -> str:
    try:
        id_ = _decode_id(raw.decode(encoding))
        if not 0 < len(raw) <= CHECKED_WITHOUT_CALL or b"\0" in raw:
            check_ids([id_])
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: {error}; convert the file to UTF-8 or, in Python, pass the encoding of the file as "
            "encoding="
        ) from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return id_


def _count_of(path: Path, number: int, line: bytes, encoding: str) -> tuple[str, float]:
    try:
        raw, count = line.rsplit(b" ", 1)
        value = float(count)
        if not 0 <= value < np.inf:
            raise ValueError(f"the count is {value}")
    except ValueError as error:
        raise InputError(
            f"{path}: line {number} is {short_repr(line)}; expected an id, a space, and a count >= 0: "
            "rename the file if it does not contain counts"
        ) from error
    try:
        return _id_of(raw, f"line {number}", encoding), value
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
