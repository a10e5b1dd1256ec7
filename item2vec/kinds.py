r"""Recognition of file formats by the first bytes of a file.

>>> kind_of(b"PAR1\x15\x04").name, kind_of(b"user_id,item_id\n")
('a Parquet file', None)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "ARROW",
    "ARROW_STREAM",
    "BZIP2",
    "GZIP",
    "HEAD_BYTES",
    "PARQUET",
    "PICKLE",
    "XML",
    "XZ",
    "ZIP",
    "ZSTD",
    "Kind",
    "kind_of",
]

HEAD_BYTES = 4096
"""Number of bytes at the start of a file from which its format is recognised."""

_AS_TABLE = "export it as CSV or Parquet"


@dataclass(frozen=True, slots=True)
class Kind:
    """Format of a file: its name with an article, a pattern of its first bytes, and advice for messages."""

    name: str
    pattern: bytes
    advice: str = "use a text file, or extract the content"

    def matches(self, head: bytes) -> bool:
        """Return whether the first bytes of a file identify this format."""
        return re.match(self.pattern, head, re.DOTALL) is not None


PARQUET = Kind("a Parquet file", rb"PAR1")
ARROW = Kind("an Arrow IPC file", rb"ARROW1\0\0")
ARROW_STREAM = Kind("an Arrow IPC stream", rb"\xff\xff\xff\xff.{3}\0")
XML = Kind("an XML document", rb"(\xef\xbb\xbf)?\s*<\?xml\s", _AS_TABLE)
ZIP = Kind("a zip archive", rb"PK(\x03\x04|\x05\x06|\x07\x08)")
GZIP = Kind("a gzip file", rb"\x1f\x8b")
BZIP2 = Kind("a bzip2 file", rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")
XZ = Kind("an xz file", rb"\xfd7zXZ\0")
ZSTD = Kind("a zstd file", rb"(\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)", "decompress it with zstd -d")
PICKLE = Kind("a pickle", rb"\x80(\x02|\x03|[\x04\x05]\x95)", "save the table as Parquet or CSV")
_FOREIGN = (
    PICKLE,
    Kind("an encrypted Parquet file", rb"PARE", "export it without encryption"),
    Kind("a Feather file of version 1", rb"FEA1", "write it again as Feather version 2, or as Parquet"),
    # "ORC" alone may begin a header, such as "ORCID,item_id".
    Kind("an ORC file", rb"ORC.{0,12}?[\0-\x08\x0b\x0c\x0e-\x1f]", _AS_TABLE),
    Kind("an Avro file", rb"Obj\x01", _AS_TABLE),
    Kind("an Excel workbook (.xls)", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the sheet as CSV UTF-8"),
    Kind("a SQLite database", rb"SQLite format 3\0", "export the table as CSV, or pass a SQLAlchemy select"),
    Kind("an HDF5 file", rb"\x89HDF\r\n\x1a\n", _AS_TABLE),
    Kind("a NumPy array", rb"\x93NUMPY", "save the table as Parquet or CSV"),
    Kind("an R data file", rb"(RD[AX][23]\n|X\n\0\0\0[\x02\x03])", _AS_TABLE),
    Kind("a Stata file", rb"(<stata_dta>|[\x71-\x73][\x01\x02]\x01\0)", _AS_TABLE),
    Kind("an SPSS file", rb"\$FL[23]@\(#\)", _AS_TABLE),
    Kind("a SAS file", rb"\0{12}\xc2\xea\x81\x60", _AS_TABLE),
    Kind("a MATLAB file", rb"MATLAB 5\.0 MAT-file", _AS_TABLE),
    Kind("a PDF document", rb"%PDF-\d", _AS_TABLE),
    Kind("a tar archive", rb".{257}ustar[\0 ]", "extract it, and pass a file of the archive"),
    Kind("a 7-Zip archive", rb"7z\xbc\xaf\x27\x1c", "extract it, and pass a file of the archive"),
    Kind("a RAR archive", rb"Rar!\x1a\x07", "extract it, and pass a file of the archive"),
    Kind("an lz4 file", rb"\x04\x22\x4d\x18", "decompress it with lz4 -d"),
    Kind("a snappy file", rb"\xff\x06\0\0sNaPpY", "decompress it, or compress it with gzip"),
    Kind("a Unix compress file (.Z)", rb"\x1f\x9d", "decompress it with gzip -d"),
    Kind("an image", rb"(\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a)"),
    Kind(
        "an HTML page",
        rb"(?i)(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html[\s>])",
        "download the data file itself; the page may contain the link or an error message",
    ),
)
_KINDS = (PARQUET, ARROW, ARROW_STREAM, GZIP, BZIP2, XZ, ZSTD, ZIP, *_FOREIGN, XML)


def kind_of(head: bytes) -> Kind | None:
    """Return the format of a file that begins with ``head``; ``None`` for text and unknown formats."""
    return next((kind for kind in _KINDS if kind.matches(head)), None)
