"""Read playlists from JSON lines and JSON documents, also in the layout of the Million Playlist Dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from item2vec.errors import InputError, Remedy, short_repr

__all__ = ["MAX_DOCUMENT", "json_playlists", "track_field"]

MAX_DOCUMENT = 256 * 2**20
"""Maximum length of a JSON document of several lines, in characters.

The maximum length of a single JSON line, in bytes, is the larger of this number and ``max_line``. Each line
and each document of several lines is read into memory as a whole.
"""

_DECODER = json.JSONDecoder(parse_int=lambda digits: str(int(digits)))
_BLANKS = re.compile(r"[ \t\r\n]*")
_EXPECTED = 'expected a list of ids, or {"items": ["id", …]}'


def json_playlists(
    name: str, lines: Iterator[tuple[int, str]], unit: str | None
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the place in the file, for error messages, and the items of each playlist.

    Whole numbers become text.

    If the first non-blank line is complete JSON, each line is a JSON value. Otherwise, the file is a
    sequence of JSON values, usually one. A value is a playlist, a list of playlists, or an object whose
    member ``playlists`` is a list of playlists. A playlist is a list of tracks, or an object whose member
    ``items`` or ``tracks`` is a list of tracks. A value that is a list is a list of playlists if an element
    is an object or a list; otherwise, the value is one playlist. ``unit`` is the name of the field of a track
    that contains the item (see ``playlists``).
    """
    number, first = next(((number, line) for number, line in lines if not line.isspace()), (0, ""))
    if not number:
        return
    numbered = chain([(number, first)], lines)
    for number, value in _values_of_lines(name, numbered) if _is_json(first) else _values(name, numbered):
        members = _members(value)
        if members is None:
            where = f"{name} line {number}"
            yield where, _items(where, value, unit)
        else:
            for position, playlist in enumerate(members):
                where = f"{name} line {number}, playlist {position}"
                yield where, _items(where, playlist, unit)


def track_field(where: str, position: int, track: Any, unit: str) -> Any:
    """Return the value of the field of a track that ``unit`` names.

    Raise ``InputError`` if the track is not an object with this field.

    ``where`` is the place of the playlist or of the track in the file, for messages; ``position`` is the
    index of the track in the playlist.
    """
    if not isinstance(track, dict):
        raise InputError(
            f"{where}: item {position} is {short_repr(track)}; expected an object with the field {unit!r}: "
            "omit unit if the items are ids"
        )
    if unit not in track:
        raise InputError(
            f"{where}: item {position} has no field {unit!r}; found {_names(track)}",
            remedies=[Remedy("unit", text="name a field of all items with {}")],
        )
    return track[unit]


def _is_json(line: str) -> bool:
    try:
        _DECODER.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _values_of_lines(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    for number, line in lines:
        if not line.isspace():
            try:
                yield number, _DECODER.decode(line)
            except json.JSONDecodeError as error:
                raise _invalid(name, number, error.msg, error.pos + 1) from None
            except (ValueError, RecursionError) as error:
                raise InputError(f"{name} line {number}: {error}; {_EXPECTED}") from None


def _values(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    """Yield the line number and the content of each JSON value of a text. The text is read into memory."""
    first, line = next(lines)
    parts, size = [line], len(line)
    for number, line in lines:
        parts.append(line)
        size += len(line)
        if size > MAX_DOCUMENT:
            raise InputError(
                f"{name} line {number}: found a JSON document of more than {MAX_DOCUMENT:,} characters; "
                "expected JSON lines, with one playlist per line: convert the file"
            )
    text = "".join(parts)
    position, number = _skip_blanks(text, 0), first
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _invalid(name, first + error.lineno - 1, error.msg, error.colno) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} line {number}: {error}; {_EXPECTED}") from None
        yield number, value
        end = _skip_blanks(text, end)
        number += text.count("\n", position, end)
        position = end


def _invalid(name: str, line: int, reason: str, character: int) -> InputError:
    return InputError(f"{name} line {line}: invalid JSON ({reason} at character {character}); {_EXPECTED}")


def _skip_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def _members(value: Any) -> list[Any] | None:
    """Return the playlists of a JSON value, or ``None`` if the value is one playlist."""
    if isinstance(value, dict) and isinstance(value.get("playlists"), list):
        return list(value["playlists"])
    if isinstance(value, list) and any(isinstance(member, dict | list) for member in value):
        return value
    return None


def _items(where: str, playlist: Any, unit: str | None) -> list[Any]:
    items = playlist
    if isinstance(playlist, dict):
        items = playlist.get("items", playlist.get("tracks"))
    if not isinstance(items, list):
        text = json.dumps(playlist)
        raise InputError(f"{where}: found {text[:60]}{'…' if len(text) > 60 else ''}; {_EXPECTED}")
    first = items[0] if items else None
    if unit is None and isinstance(first, dict):
        if "track_uri" not in first:
            raise InputError(
                f"{where}: found items with the fields {_names(first)}; expected ids",
                remedies=[Remedy("unit", _likely(first), "name the field of the item ids, such as {}")],
            )
        unit = "track_uri"
    if unit is None:
        return items
    return [track_field(where, position, item, unit) for position, item in enumerate(items)]


def _likely(item: dict[str, Any]) -> str:
    names = [key for key, value in item.items() if isinstance(value, str)]
    return next(
        (key for key in names if key.lower().endswith(("id", "uri", "url"))), names[0] if names else "id"
    )


def _names(item: dict[str, Any]) -> str:
    return (", ".join(map(repr, list(item)[:10])) or "none") + (", …" if len(item) > 10 else "")
