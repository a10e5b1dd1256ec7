"""Recognise the layout of a text file by its first line, and split lines into fields."""

from __future__ import annotations

from pathlib import Path

from item2vec.lines import MAX_LINE
from item2vec.opening import content_name, open_text, reading

__all__ = ["HEAD_LINES", "first_line", "layout_of", "split_line", "suffix_of"]

HEAD_LINES = 1000
"""Number of lines at the start of an edge list or playlist file from which the separator is detected."""

_FIRST_CHARACTERS = 4096
_STARTS = {
    "{": "JSON",
    "[playlist]": "PLS",
    "[": "JSON",
    "#extm3u": "M3U",
    "#extinf": "M3U",
    "<?xml": "XML",
    "<!doctype": "XML",
    "<html": "XML",
    "<playlist": "XML",
    "<graphml": "XML",
    "<gexf": "XML",
    "*vertices": "Pajek",
    "*network": "Pajek",
    "*arcs": "Pajek",
    "*edges": "Pajek",
    "%%matrixmarket": "Matrix Market",
}
_FIRST_OF_STARTS = frozenset(start[0] for start in _STARTS)


def first_line(path: Path, encoding: str, skip_lines: int = 0, comment: str | None = None) -> str:
    """Return the start of the first line that is not skipped, empty or a comment; "" if there is none."""
    with reading(path), open_text(path, encoding, newline="\n") as file:
        for _ in range(skip_lines):
            if not file.readline(MAX_LINE):
                break
        while line := file.readline(_FIRST_CHARACTERS):
            if not line.isspace() and not (comment and line.lstrip().startswith(comment)):
                return line.strip(" \t\r\n")
    return ""


def layout_of(line: str) -> str | None:
    """Return the layout that the start of a line indicates; ``None`` for a line of ids.

    >>> layout_of('{"items": []}'), layout_of(" [Playlist]"), layout_of("*Vertices 3"), layout_of("s1 s2")
    ('JSON', 'PLS', 'Pajek', None)
    """
    line = line.lstrip(" \t\r\n")
    if line[:1] not in _FIRST_OF_STARTS:
        return None
    start = line[:20].lower()
    return next((layout for mark, layout in _STARTS.items() if start.startswith(mark)), None)


def split_line(line: str, sep: str) -> list[str]:
    r"""Split a line into fields, and strip spaces, tabs and newline characters from each field.

    With ``sep=" "``, any run of spaces and tabs separates two fields.

    >>> split_line(" a, b c,,d", ","), split_line("a \t b  c", " ")
    (['a', 'b c', '', 'd'], ['a', 'b', 'c'])
    """
    if sep == " ":
        return [field for field in line.strip("\r\n").replace("\t", " ").split(" ") if field]
    line = line.strip(" \t\r\n")
    return [field.strip(" \t\r\n") for field in line.split(sep)]


def suffix_of(path: Path) -> str:
    """Return the suffix of a file name in lower case, without a compression suffix.

    For a zip archive with one file, the suffix is that of the file in the archive.

    >>> suffix_of(Path("lists.JSONL.gz"))
    '.jsonl'
    """
    return Path(content_name(path)).suffix
