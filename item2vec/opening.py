"""Open input files for reading: file formats, decompression, text encodings, and typed errors.

All readers and adapters open input files with these functions, except for Parquet and Arrow IPC files,
which Arrow opens, and ``.npy`` and ``.npz`` files, which NumPy opens. The files of a bundle, which have
checksums, are read with ``files.py`` instead.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import difflib
import gzip
import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO

from item2vec.errors import InputError, Remedy, reason_of
from item2vec.kinds import BZIP2, GZIP, HEAD_BYTES, XML, XZ, ZIP, Kind, kind_of

__all__ = [
    "check_file",
    "content_name",
    "decompressors",
    "encoding_remedy",
    "file_kind",
    "open_bytes",
    "open_text",
    "reading",
]

_CONVERT = "convert the file to UTF-8"
_MOST_LAYERS = 3
_CHUNK = 1 << 20
_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
_MARKS = {  # UTF-32 first, because its mark begins with the mark of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UNMARKED = {"utf-16-le": re.compile(rb"([^\0]\0){4}"), "utf-16-be": re.compile(rb"(\0[^\0]){4}")}

decompressors: dict[Kind, Callable[[IO[bytes]], Any]] = {
    GZIP: lambda file: gzip.GzipFile(fileobj=file),
    BZIP2: bz2.BZ2File,
    XZ: lzma.LZMAFile,
}
"""Functions that decompress a file. The package ``readers`` adds a function for zstd, which needs pyarrow."""


NOT_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"


def encoding_remedy(byte: int) -> Remedy:
    """Return the remedy for a byte that cannot be decoded.

    The bytes 0x80 to 0x9f are control characters in Latin-1, and quotation marks and others in cp1252, except
    five bytes, which occur in older encodings of MS-DOS.

    >>> print(encoding_remedy(0x92))
    pass the encoding of the file, such as encoding='cp1252'
    """
    likely = "cp850" if byte in NOT_IN_CP1252 else "cp1252" if 0x80 <= byte <= 0x9F else "latin-1"
    return Remedy("encoding", likely, "pass the encoding of the file, such as {}", otherwise=_CONVERT)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors in opening, decompressing or decoding a file to ``InputError`` with the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise _missing_file(path) from error
    except (
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # raised by a decompressor
            raise _damaged(path, error) from error
        raise InputError(f"{path} cannot be read: {reason_of(error)}; {_advice(error)}") from error
    except UnicodeError as error:
        remedy = Remedy(
            "encoding", text="pass the encoding of the file as {}", otherwise="use a complete file"
        )
        raise InputError(f"{path} cannot be decoded: {error}", remedies=[remedy]) from error


def check_file(path: Path) -> None:
    """Raise ``InputError`` unless a path is an existing regular file, which can be read repeatedly."""
    with reading(path):
        try:
            mode = path.stat().st_mode
        except ValueError as error:
            raise InputError(f"{str(path)!r} is not a path: {error}; expected the path of a file") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; expected a file: pass one of its files")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{path} is a pipe or a device, which can be read only once; write its content to a "
            "file, and pass the file"
        )


def file_kind(path: Path) -> Kind | None:
    """Return the format of a file by its first bytes. A compressed file has the format of its compression."""
    check_file(path)
    with reading(path), path.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def content_name(path: Path) -> str:
    """Return the name of the content of a file, in lower case and without a compression suffix.

    The content of a zip archive with one file has the name of this file.

    >>> content_name(Path("data/Listens.JSONL.gz"))
    'listens.jsonl'
    """
    name = path.name.lower()
    if path.is_file() and file_kind(path) is ZIP:
        with reading(path), zipfile.ZipFile(path) as archive:
            name = Path(_only_member(archive, path).filename).name.lower()
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def open_bytes(path: Path, encoding: str = "utf-8", *, accepted: Kind | None = None) -> IO[bytes]:
    """Open a file for reading bytes. Compressed content is decompressed.

    The compression is detected by content, not by suffix: gzip, bzip2, xz, zip with one file, and zstd. Up to
    three nested compressions are removed. If ``encoding`` is UTF-8, text in UTF-16 or UTF-32 with a byte
    order mark is converted to UTF-8.

    Raises
    ------
    InputError
        If the path is not an existing regular file, if ``encoding`` is unknown, if a zip archive does not
        have exactly one unencrypted file, if the content has a recognised format that is neither XML nor
        ``accepted``, such as an Excel workbook, or if ``encoding`` is UTF-8 and the content appears to be
        UTF-16 without a byte order mark. ``reading`` converts all other errors, such as those of damaged or
        unreadable files.
    """
    check_file(path)
    file: IO[bytes] = path.open("rb")
    try:
        for layer in range(_MOST_LAYERS + 1):
            head = file.read(HEAD_BYTES)
            file.seek(0)
            kind = kind_of(head)
            if layer == _MOST_LAYERS or kind is None or not (kind is ZIP or kind in decompressors):
                break
            file = _decompressed(kind, file, path)
        if kind not in (None, XML, accepted):
            raise InputError(f"{path} {'contains' if layer else 'is'} {kind.name}; {kind.advice}")
        return _in_utf8(file, head, path) if _is_utf8(encoding) else file
    except BaseException:
        file.close()
        raise


def open_text(path: Path, encoding: str, newline: str) -> TextIO:
    """Open a text file. A UTF-8 byte order mark is skipped; undecodable bytes become lone surrogates."""
    codec = "utf-8-sig" if _is_utf8(encoding) else encoding
    file = open_bytes(path, encoding)
    try:
        return io.TextIOWrapper(file, codec, errors="surrogateescape", newline=newline)
    except LookupError as error:  # such as "hex", which is not a text encoding
        file.close()
        raise _unknown_encoding(error) from error


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}
    except (LookupError, TypeError, ValueError) as error:
        raise _unknown_encoding(error) from error


def _in_utf8(file: IO[bytes], head: bytes, path: Path) -> IO[bytes]:
    """Convert a file in UTF-16 or UTF-32 with a byte order mark to UTF-8; return other files unchanged.

    ``InputError`` is raised for text that appears to be UTF-16 without a byte order mark.
    """
    codec = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), None)
    if codec is None:
        likely = next((name for name, pattern in _UNMARKED.items() if pattern.match(head)), None)
        if likely is not None:
            remedy = Remedy("encoding", likely, otherwise=_CONVERT)
            raise InputError(f"{path} is text in {likely}, not in UTF-8", remedies=[remedy])
        return file
    text = io.TextIOWrapper(file, codec, errors="surrogateescape", newline="")

    def start() -> Callable[[], bytes]:
        text.seek(0)
        return lambda: text.read(_CHUNK).encode("utf-8", "surrogateescape")

    return _Layer(_Chunks(start), file)


def _decompressed(kind: Kind, file: IO[bytes], path: Path) -> _Layer:
    def start() -> Callable[[], bytes]:
        file.seek(0)
        if kind is ZIP:
            archive = zipfile.ZipFile(file)
            content: Any = archive.open(_only_member(archive, path))
        else:
            content = decompressors[kind](file)
        return lambda: bytes(content.read(_CHUNK))

    return _Layer(_Chunks(start), file)


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the single file of a zip archive.

    Folders and the files that macOS adds are ignored. ``InputError`` is raised if there is not exactly one
    file, if the file is encrypted, or if the archive is an office document, such as an Excel workbook.
    """
    members = [member for member in archive.infolist() if not _is_hidden(member.filename)]
    names = [member.filename for member in members]
    if "[Content_Types].xml" in names:
        raise InputError(f"{path} is an Excel workbook or Office document; save the sheet as CSV UTF-8")
    if "mimetype" in names:
        raise InputError(f"{path} is an OpenDocument file; save the sheet as CSV UTF-8")
    if len(members) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise InputError(
            f"{path} is a zip archive of {len(members)} files{f' ({listed})' if names else ''}; expected one "
            "file: extract the archive, and pass its files"
        )
    if members[0].flag_bits & 1:
        raise InputError(f"{path} is an encrypted zip archive; extract it, and pass the extracted file")
    return members[0]


def _is_hidden(member: str) -> bool:
    """Return whether a member of a zip archive is a folder, or one of the files that macOS adds."""
    return member.endswith(("/", "/.DS_Store")) or member.startswith(("__MACOSX/", ".DS_Store"))


class _Layer(io.BufferedReader):
    """A buffered reader of a raw file. ``close`` also closes the file from which the raw file reads."""

    def __init__(self, raw: Any, below: IO[bytes]) -> None:
        super().__init__(raw, _CHUNK)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


class _Chunks(io.RawIOBase):
    """A raw file that reads chunks of bytes. Its only supported seek is a rewind to the start.

    ``start`` rewinds the underlying file, and returns a function that returns the next chunk, ``b""`` at the
    end.
    """

    def __init__(self, start: Callable[[], Callable[[], bytes]]) -> None:
        self._start, self._next = start, start()
        self._rest = memoryview(b"")
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(self._next())
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        self._position += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only rewinding to the start is supported")
        self._next, self._rest, self._position = self._start(), memoryview(b""), 0
        return 0


def _missing_file(path: Path) -> InputError:
    """Return the error for a path that does not exist, with the most similar name in its folder, if any."""
    siblings: list[str] = []
    with contextlib.suppress(OSError):
        siblings = [entry.name for entry in path.parent.iterdir()]
    similar = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {str(path.parent / similar[0])!r}?" if similar else "expected an existing file"
    return InputError(f"no file {str(path)!r}; {hint}")


def _unknown_encoding(error: Exception) -> InputError:
    return InputError(f"{error}; expected an encoding such as 'utf-8' or 'latin-1'")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is truncated or damaged: {error}; use another copy of the file")


def _advice(error: OSError) -> str:
    return (
        "check that this user may read the file" if isinstance(error, PermissionError) else "check the path"
    )
