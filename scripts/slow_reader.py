"""Slow readers of delimited text and JSON lines, written from the documentation, one character at a time.

``fuzz_readers.py`` and the tests compare the readers of item2vec with ``expected_of``.
"""

from __future__ import annotations

import gzip
import io
import json
import string
import zlib
from dataclasses import dataclass, field

NAMES = ["user_id", "item_id", "n", "title"]


@dataclass
class Case:
    """A file, the arguments of the reader, and a description of both."""

    name: str
    content: bytes
    options: dict
    has_header: bool = True
    steps: list[str] = field(default_factory=list)


@dataclass
class Expected:
    """Pairs of user and item, the lines of bad rows, or the reason why the file is an error."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    error: str | None = None


def physical_lines(text):
    """Return pairs (start, end) of the lines without line ends."""
    lines, start, at = [], 0, 0
    while at < len(text):
        if text[at] in "\r\n":
            lines.append((start, at))
            if text[at : at + 2] == "\r\n":
                at += 1
            start = at + 1
        at += 1
    if start < len(text):
        lines.append((start, len(text)))
    return lines


def quoted_row(text, at, sep):
    """Return the fields, the spans of fields with line breaks, and the end of a row; None if malformed."""
    fields, spans = [], []
    while True:
        value = ""
        if text[at : at + 1] == '"':
            opening = at
            at += 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                if at >= len(text):
                    return None
                value += text[at]
                at += 2 if text[at] == '"' else 1
            at += 1
            if at < len(text) and text[at] not in "\r\n" and not text.startswith(sep, at):
                return None
            if "\n" in value or "\r" in value:
                spans.append((len(fields), opening, at))
        else:
            while at < len(text) and text[at] not in "\r\n" and not text.startswith(sep, at):
                value += text[at]
                at += 1
        fields.append(value)
        if at >= len(text) or text[at] in "\r\n":
            return fields, spans, at
        at += len(sep)


def is_number_or_date(value):
    return set(value) <= set("-+.:/TZ0123456789 ") and any(c in string.digits for c in value)


def is_code(value):
    return not set(value) & set(" \t\n\r\f\v") and any(c in string.digits for c in value)


def rows_of(text, sep, quotes, width, tests, first=0):
    """Yield (line number, fields, has a stray quote) of each row from line ``first``."""
    lines = physical_lines(text)
    index = first
    while index < len(lines):
        start, end = lines[index]
        found = quoted_row(text, start, sep) if quotes else None
        as_text = text[start:end].split(sep)
        number, index = index + 1, index + 1
        if found is None:
            if len(as_text) > 1 or as_text[0].strip(" \t"):
                yield number, as_text, False
            continue
        fields, spans, row_end = found
        stray = False
        for n_before, opening, closing in spans:
            opened = next(i for i, (a, b) in enumerate(lines) if a <= opening <= b)
            closed = next(i for i, (a, b) in enumerate(lines) if a <= closing - 1 <= b)
            rest = text[opening : lines[opened][1]]
            swallowed = [text[a:b].split(sep) for a, b in lines[opened + 1 : closed + 1]]
            stray = stray or (
                n_before + 1 + rest.count(sep) == width
                and any(
                    len(parts) == width
                    and all(
                        test is None or test(part.strip('" '))
                        for test, part in zip(tests, parts, strict=False)
                    )
                    for parts in swallowed
                )
            )
        if stray:
            yield number, as_text, True
            continue
        if text[start:end].strip(" \t") or len(fields) > 1:
            yield number, fields, False
        while index < len(lines) and lines[index][0] <= row_end:
            index += 1


def tests_of(text, sep, quotes, width, first):
    rows = []
    for _, fields, _ in rows_of(text, sep, quotes, 0, (), first):
        rows.append(fields)
        if len(rows) == 100:
            break
    columns = list(zip(*(fields for fields in rows if len(fields) == width), strict=True))
    return [
        next((t for t in (is_number_or_date, is_code) if all(map(t, column))), None) for column in columns
    ]


def is_id(value):
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    try:
        return isinstance(value, str) and 0 < len(value.encode()) <= 512 and "\0" not in value
    except UnicodeEncodeError:
        return False


def place(names, wanted):
    bare = [name.strip() for name in names]
    bare = [
        name.rpartition(":")[0] if name.endswith((":token", ":float")) and len(name) > 6 else name
        for name in bare
    ]
    for cells in (names, bare):
        if cells.count(wanted) > 1:
            return None
        if wanted in cells:
            return cells.index(wanted)
    return None


def expected_of_text(text, case):
    sep, quotes = case.options["sep"], case.options.get("quotes", True)
    strays_are_text = sep == "\t" or len(sep) > 1
    names, first = NAMES, 0
    if not any(line.strip() for line in text.replace("\r", "\n").split("\n")):
        return Expected(error="empty")
    if case.has_header:
        top = next(i for i, (start, end) in enumerate(physical_lines(text)) if text[start:end].strip(" \t"))
        width = len(next(rows_of(text, sep, quotes, 0, (), top))[1])
        start, names, stray = next(rows_of(text, sep, quotes, width, (), top))
        if stray and not strays_are_text:
            return Expected(error="header")
        following = [n for n, _, _ in rows_of(text, sep, quotes, width if stray else 0, (), start - 1)]
        first = following[1] - 1 if len(following) > 1 else len(text)
    user, item = place(names, "user_id"), place(names, "item_id")
    if user is None or item is None:
        return Expected(error="columns")
    found = Expected()
    tests = tests_of(text, sep, quotes, len(names), first)
    for number, fields, stray in rows_of(text, sep, quotes, len(names), tests, first):
        good = len(fields) == len(names) and not (stray and not strays_are_text)
        if good and is_id(fields[user]) and is_id(fields[item]):
            found.pairs.append((fields[user], fields[item]))
        else:
            found.bad.append(number)
    return found


def expected_of_json(text):
    found, keys = Expected(), set()
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        return Expected(error="empty")
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            found.bad.append(number)
            continue
        keys |= set(row)
        user, item = row.get("user_id"), row.get("item_id")
        if is_id(user) and is_id(item):
            found.pairs.append((str(user), str(item)))
        else:
            found.bad.append(number)
    return found if {"user_id", "item_id"} <= keys else Expected(error="columns")


def expected_of(case):
    content = case.content
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return Expected(error="gzip")
    encoding = case.options.get("encoding", "utf-8")
    try:
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        text = io.TextIOWrapper(io.BytesIO(content), codec, errors="surrogateescape", newline="").read()
    except UnicodeError:
        return Expected(error="encoding")
    return expected_of_json(text) if case.name.endswith(".jsonl") else expected_of_text(text, case)
