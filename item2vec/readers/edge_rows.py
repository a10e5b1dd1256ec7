"""Parse the nodes and the weights of edges from lines of text and from tuples."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from item2vec.errors import InputError, InputTypeError, Remedy
from item2vec.layouts import HEAD_LINES, layout_of, split_line
from item2vec.lines import lines_of
from item2vec.readers.columns import IdColumn, id_text
from item2vec.readers.faults import Fault, short_repr

__all__ = ["EdgeLines", "Row", "text_ids", "tuple_rows", "weight_of"]

Row = tuple[int, list[str], float | None]
"""A triple: the line or row number; a node, followed by its neighbours; and the weight of the edges.

The weight is ``None`` for edges without weights, and for a row without neighbours, which is a single node.
"""

_AS_ADJACENCY = Remedy(
    "format",
    "adjacency",
    "pass {} if each line is a node and its neighbours",
    "if each line is a node and its neighbours, rename the file to a name that ends in .adjlist",
)
_SEPARATORS = " \t,;|"
_SMALLEST, _LARGEST = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class EdgeLines:
    """An edge list or adjacency list without a header, and the options for reading the file.

    Spaces and tabs around fields are removed, also within quotes. Blank lines and lines that start with ``#``
    are skipped. If ``sep`` is ``None``, the separator is detected from the first 1,000 other lines.
    """

    path: Path
    sep: str | None
    encoding: str
    quotes: bool
    max_line: int

    def pairs(self, *, with_weights: bool) -> Iterator[Row]:
        """Yield the edge of each line ``a b`` or ``a b weight``, and the node of each line ``a``.

        If ``with_weights`` is false, the third field is ignored. Raise ``InputError`` for a line with more
        than three fields, or with an invalid weight.
        """
        name = str(self.path)
        for number, fields in self._rows(_is_pair):
            if len(fields) > 3:
                cut = ", …" if len(fields) > 5 else ""
                found = f"{len(fields)} fields ({', '.join(map(short_repr, fields[:5]))}{cut})"
                expected = "an edge 'a b' or 'a b weight'"
                raise Fault(name, "line", number, found, expected, remedies=(_AS_ADJACENCY,)).exception()
            weighted = len(fields) == 3 and with_weights
            yield number, fields[:2], weight_of(name, "line", number, fields[2]) if weighted else None

    def adjacencies(self) -> Iterator[Row]:
        """Yield the nodes of each line ``node neighbour neighbour …``."""
        for number, ids in self._rows(bool):
            yield number, ids, None

    def _rows(self, is_row: Callable[[list[str]], bool]) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the fields of each line.

        ``is_row`` returns whether the fields of a line are valid. It is used to detect the separator. Raise
        ``InputError`` if all lines are blank or comments, or if the detected separator is the space, and a
        line contains a comma or semicolon before a space.
        """
        lines = self._lines()
        head = list(islice(lines, HEAD_LINES))
        if not head:
            raise InputError(f"{self.path} contains no edges; expected lines of node ids, such as 'a b'")
        sep = self.sep or _separator([line for _, line in head], is_row, quotes=self.quotes)
        for number, line in chain(head, lines):
            if self.sep is None and sep == " " and (", " in line or "; " in line):
                mark = "," if ", " in line else ";"
                raise InputError(
                    f"{self.path} line {number}: found {mark!r} before a space, but the separator detected "
                    "from the first lines is a space; expected one separator between ids",
                    remedies=[Remedy("sep", mark), Remedy("sep", " ", "pass {} for spaces and tabs")],
                )
            yield number, _fields(line, sep, quotes=self.quotes)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each line that is neither blank nor a comment.

        Raise ``InputError`` for a line that starts like a file in another layout, such as JSON or Pajek.
        """
        for number, line in lines_of(self.path, self.encoding, self.max_line):
            text = line.strip(" \t\r\n")
            if layout := layout_of(text):
                found = f"a line that starts with {short_repr(text[:20])}, as in {layout}"
                raise Fault(str(self.path), "line", number, found, "node ids, such as 'a b'").exception()
            if text and not text.startswith("#"):
                yield number, text


def tuple_rows(source: Any, *, with_weights: bool) -> Iterator[Row]:
    """Yield the edge of each tuple ``(source, target)`` or ``(source, target, weight)``.

    For a tuple ``(node,)``, yield the node. If ``with_weights`` is false, weights are ignored. Raise
    ``InputTypeError`` if ``source`` is not iterable or is a dict, if an element is not a tuple (or another
    iterable, except a mapping) of one to three values, or if a node is neither an integer, nor a UUID, nor
    text. Raise ``InputError`` for an invalid weight.
    """
    name = type(source).__name__
    if not isinstance(source, Iterable) or isinstance(source, dict) or not getattr(source, "ndim", 1):
        raise InputTypeError(
            f"cannot read edges from {name}; expected a path, a DataFrame, a SQLAlchemy select, a graph of "
            "networkx or igraph, or tuples (a, b)"
        )
    for number, edge in enumerate(source):
        is_iterable = isinstance(edge, Iterable) and not isinstance(edge, str | Mapping)
        if not is_iterable or not 1 <= len(edge := tuple(edge)) <= 3:
            expected = "(source, target), (source, target, weight) or (node,)"
            raise InputTypeError(str(Fault(name, "row", number, short_repr(edge), expected)))
        weighted = len(edge) == 3 and with_weights
        weight = weight_of(name, "row", number, edge[2]) if weighted else None
        yield number, text_ids(name, "row", number, edge[:2]), weight


def text_ids(source: str, row_kind: str, number: int, nodes: Iterable[Any]) -> list[str]:
    """Convert nodes to ids: integers and UUIDs become text.

    Raise ``InputTypeError`` for a node that is neither an integer, nor a UUID, nor text.
    """
    ids = []
    for node in nodes:
        id_ = id_text(node)
        if id_ is None:
            found = f"node {short_repr(node)}"
            raise InputTypeError(str(Fault(source, row_kind, number, found, IdColumn.expected)))
        ids.append(id_)
    return ids


def weight_of(source: str, row_kind: str, number: int, value: Any) -> float:
    """Convert a weight to a float; raise ``InputError`` unless it is finite and above 0 as float32."""
    weight = _number(value)
    if not _SMALLEST <= weight <= _LARGEST:
        found = f"weight {short_repr(value)}"
        raise InputError(str(Fault(source, row_kind, number, found, "a finite number > 0 (float32)")))
    return weight


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_pair(fields: list[str]) -> bool:
    return len(fields) <= 2 or (len(fields) == 3 and not math.isnan(_number(fields[2])))


def _separator(lines: Sequence[str], is_row: Callable[[list[str]], bool], *, quotes: bool) -> str:
    """Return the first separator that splits at least one line, and with which each line is a valid row.

    The space does not qualify if, in any line, a field other than the last would end with a comma, semicolon
    or pipe. If no separator qualifies, return the first one that splits any line, or the space if none does.
    """
    splitting = []
    for sep in _SEPARATORS:
        rows = [_fields(line, sep, quotes=quotes) for line in lines]
        if any(len(row) > 1 for row in rows):
            padded = sep == " " and any(field.endswith((",", ";", "|")) for row in rows for field in row[:-1])
            if not padded and all(map(is_row, rows)):
                return sep
            splitting.append(sep)
    return splitting[0] if splitting else " "


def _fields(line: str, sep: str, *, quotes: bool) -> list[str]:
    if quotes and '"' in line and len(sep) == 1 and sep != " ":
        try:
            row = next(csv.reader([line], delimiter=sep, skipinitialspace=True, strict=True))
            return [field.strip(" \t") for field in row]
        except csv.Error:
            pass
    return split_line(line, sep)
