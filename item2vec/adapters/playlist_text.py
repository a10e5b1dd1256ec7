"""Read playlists from text with one playlist per line: detect the separator, and split lines into ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from item2vec.errors import InputError, Remedy
from item2vec.layouts import HEAD_LINES, layout_of, split_line

__all__ = ["find_separator", "text_playlists"]

_MARKS = ",;|"
_PADDING = re.compile(r" *([\t,;|]) *")


def text_playlists(
    name: str, lines: Iterator[tuple[int, str]], *, sep: str | None, skip_fields: int
) -> Iterator[tuple[str, list[str]]]:
    """Yield the place in the file, for error messages, and the ids of each line that has ids.

    The first ``skip_fields`` fields of a line, and empty fields, are dropped. If ``sep`` is ``None``, the
    separator is detected from the first 1,000 lines. Raise ``InputError`` if the separator is ambiguous, or a
    line starts as in another layout.
    """
    head = list(islice(lines, HEAD_LINES))
    found = find_separator([line for _, line in head], name) if sep is None else sep
    for number, line in chain(head, lines):
        where = f"{name} line {number}"
        if layout := layout_of(line):
            raise InputError(
                f"{where} starts with {line.strip()[:20]!r}, as in {layout}; expected ids in each line of a "
                "text file: save the playlists in one layout, such as JSON lines"
            )
        if sep is None and found == " " and (", " in line or "; " in line):
            mark = "," if ", " in line else ";"
            raise _ambiguous(where, f"spaces between ids, and {mark!r} before a space", mark)
        if ids := [id_ for id_ in split_line(line, found)[skip_fields:] if id_]:
            yield where, ids


def find_separator(lines: Sequence[str], name: str) -> str:
    r"""Return the separator between ids: a space (for spaces and tabs), a tab, or one of ``,;|``.

    Spaces beside a tab or one of ``,;|`` do not separate ids. ``name`` is the file name for error messages.
    The separator is

    - a tab if ids contain spaces: every line with spaces has a tab, and at least one of these lines has
      several tabs, or spaces before the first tab;
    - one of ``,;|`` if this character occurs, and no line contains spaces or tabs between ids;
    - otherwise spaces and tabs.

    Raises
    ------
    InputError
        If several separators are possible, for example in ``user<tab>a b c`` or ``user a,b,c``.

    Examples
    --------
    >>> find_separator(["s1, s2", "s3"], "x.txt"), find_separator(["s1 s2", "s3"], "x.txt")
    (',', ' ')
    >>> find_separator(["Blue Monday\tAge of Consent\tCeremony"], "x.txt")
    '\t'
    """
    lines = [_PADDING.sub(r"\1", line.strip(" \t\r\n")) for line in lines]
    blank, tab = (any(char in line for line in lines) for char in " \t")
    marks = [mark for mark in _MARKS if any(mark in line for line in lines)]
    if blank and tab:
        with_blank = [line for line in lines if " " in line]
        if all("\t" in line for line in with_blank) and any(
            line.count("\t") > 1 or " " in line.partition("\t")[0] for line in with_blank
        ):
            return "\t"
        raise _ambiguous(name, "spaces and tabs", "\t")
    if not (blank or tab):
        if len(marks) > 1:
            raise _ambiguous(name, " and ".join(map(repr, marks)), marks[0])
        return marks[0] if marks else " "
    for mark in marks:
        if _lists_in_fields(lines, mark):
            raise _ambiguous(name, f"{'tabs' if tab else 'spaces'} and {mark!r} in the same lines", mark)
    return " "


def _lists_in_fields(lines: Sequence[str], mark: str) -> bool:
    """Return whether lines consist of fields, some of which are lists (``user a,b,c``).

    Spaces or tabs separate the fields of a line; ``mark`` separates the elements of a list. Only lines with
    spaces or tabs count. The result is true if each of these lines has a field that contains the mark, and at
    least one field of these lines does not contain the mark. If there are no such lines, the result is false.
    """
    fields = [split_line(line, " ") for line in lines if " " in line or "\t" in line]
    return all(any(mark in field for field in line) for line in fields) and not all(
        mark in field for line in fields for field in line
    )


def _ambiguous(where: str, found: str, sep: str) -> InputError:
    return InputError(
        f"{where}: found {found}; expected one separator between ids",
        remedies=[Remedy("sep", sep), Remedy("sep", " ", "pass {} for spaces and tabs")],
    )
