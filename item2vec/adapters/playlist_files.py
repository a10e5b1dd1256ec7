"""Read playlists from a file: text, JSON, or a playlist file of a media player (M3U, PLS, XSPF)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from item2vec.adapters.playlist_json import MAX_DOCUMENT, json_playlists, track_field
from item2vec.adapters.playlist_text import text_playlists
from item2vec.errors import ConfigError, InputError, short_repr
from item2vec.layouts import first_line, layout_of, suffix_of
from item2vec.lines import lines_of
from item2vec.markup import xml_elements
from item2vec.opening import encoding_remedy

__all__ = ["Located", "file_playlists"]

Located = Iterator[tuple[str, Iterable[str]]]
"""Iterator of pairs: the place of a playlist, for error messages; and the ids of the playlist."""

_SUFFIXES = {
    ".json": "JSON",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".m3u": "M3U",
    ".m3u8": "M3U",
    ".pls": "PLS",
    ".xspf": "XML",
}
_PLS_FILE = re.compile(r"file(\d{1,18})", re.IGNORECASE)


def file_playlists(
    path: Path,
    *,
    sep: str | None,
    encoding: str,
    skip_lines: int,
    skip_fields: int,
    unit: str | None,
    max_line: int,
) -> Located:
    """Yield the place and the ids of each playlist of a file. For the arguments, see ``playlists``.

    The start of the first non-blank line determines the layout. If this start indicates no layout, the suffix
    of the file name determines it. If the suffix does not indicate a layout either, the file is text with one
    playlist per line. If the suffix is that of M3U, a first line that starts with ``[`` does not indicate
    JSON, because it may be the name of a track's file.
    """
    layout = _layout(path, first_line(path, encoding, skip_lines))
    _check_options(path, layout, sep=sep, skip_fields=skip_fields, skip_lines=skip_lines, unit=unit)
    max_line = max(max_line, MAX_DOCUMENT) if layout == "JSON" else max_line
    lines = islice(_decoded_lines(path, encoding, max_line), skip_lines, None)
    name = str(path)
    if layout == "JSON":
        yield from json_playlists(name, lines, unit)
    elif layout == "M3U":
        yield name, _m3u(lines)
    elif layout == "PLS":
        yield name, _pls(name, lines)
    elif layout == "XML":
        yield name, _xspf(path, unit)
    else:
        yield from text_playlists(name, lines, sep=sep, skip_fields=skip_fields)


def _decoded_lines(path: Path, encoding: str, max_line: int) -> Iterator[tuple[int, str]]:
    """Yield numbered lines; raise ``InputError`` for bytes that cannot be decoded."""
    for number, line in lines_of(path, encoding, max_line):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            raise InputError(
                f"{path} line {number}: byte {byte:#04x} is not {encoding} text",
                remedies=[encoding_remedy(byte)],
            ) from None
        yield number, line


def _layout(path: Path, first: str) -> str | None:
    by_suffix = _SUFFIXES.get(suffix_of(path))
    by_content = layout_of(first)
    if by_content == "JSON" and by_suffix == "M3U" and first[:1] == "[":
        return by_suffix  # the name of a track's file may start with "["
    return by_content or by_suffix


def _check_options(
    path: Path, layout: str | None, *, sep: str | None, skip_fields: int, skip_lines: int, unit: str | None
) -> None:
    if layout not in {None, "JSON", "XML", "M3U", "PLS"}:
        raise InputError(
            f"{path} is in the layout {layout}; expected playlists as lines of ids, JSON, M3U, PLS or XSPF: "
            "convert the file"
        )
    options: dict[str, Any] = {"sep": sep, "skip_fields": skip_fields, "unit": unit, "skip_lines": skip_lines}
    applicable = {
        None: {"sep", "skip_fields", "skip_lines"},
        "JSON": {"unit", "skip_lines"},
        "XML": {"unit"},
    }.get(layout, {"skip_lines"})
    for option, value in options.items():
        if value and option not in applicable:
            name, kind = option.replace("_", " "), layout or "lines of ids"
            raise ConfigError(f"{name} is {value!r}, which does not apply to {kind} ({path}); omit it")


def _m3u(lines: Iterator[tuple[int, str]]) -> list[str]:
    stripped = (line.strip() for _, line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _pls(name: str, lines: Iterator[tuple[int, str]]) -> list[str]:
    files: dict[int, str] = {}
    for number, line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or key[0] in "[;#" or (equals and not key.lower().startswith("file")):
            continue
        found = _PLS_FILE.fullmatch(key)
        if not (found and equals and int(found[1]) not in files):
            raise InputError(
                f"{name} line {number}: found {short_repr(line.strip())}; expected File1=…, File2=…, "
                "with distinct numbers"
            )
        files[int(found[1])] = value
    return [files[number] for number in sorted(files)]


def _xspf(path: Path, unit: str | None) -> list[str]:
    """Return one id per track: the value of the field that ``unit`` names.

    If ``unit`` is ``None``, the id is the location of the track. Without a location, the id is ``title by
    creator``, or the title alone if the track has no creator. Raise ``InputError`` for a track that has
    neither a location nor a title, or lacks the named field.
    """
    ids = []
    tracks = xml_elements(
        path, root="playlist", tags={"track"}, kind="XSPF", advice="export the playlist as XSPF or M3U"
    )
    for position, (number, element) in enumerate(tracks):
        where = f"{path} line {number}"
        track: dict[str, str] = {}
        for child in element:
            track.setdefault(child.tag, (child.text or "").strip())
        if unit is not None:
            ids.append(track_field(where, position, track, unit))
        elif track.get("location"):
            ids.append(track["location"])
        elif track.get("title"):
            ids.append(" by ".join(filter(None, (track["title"], track.get("creator")))))
        else:
            found = ", ".join(map(short_repr, track)) or "none"
            raise InputError(
                f"{where}: track {position} has no location and no title; found the fields {found}; expected "
                "one of them, or another field with the ids, named by unit"
            )
    return ids
