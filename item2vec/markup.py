"""Read the elements of an XML file one by one. A file that declares entities is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.parsers import expat

from item2vec.errors import InputError
from item2vec.opening import open_bytes, reading

__all__ = ["xml_elements"]

_BLOCK_BYTES = 1 << 16


def xml_elements(
    path: Path, *, root: str, tags: Set[str], kind: str, advice: str
) -> Iterator[tuple[int, Element]]:
    """Yield a pair per complete element with one of the tags: the line number of its end; and the element.

    Names of elements are read without their namespace prefixes. Each yielded element is removed from its
    parent, so that the memory of the element can be freed. ``root`` is the name of the expected root element,
    ``kind`` is the name of the format with an article, and ``advice`` is the advice in the message if the
    file has another root element.

    Raises
    ------
    InputError
        If the file cannot be read, is not well-formed XML, has an unknown encoding, declares an entity, or
        has another root element.
    """
    reader = _Reader(tags)
    with reading(path), open_bytes(path) as file:
        while True:
            block = file.read(_BLOCK_BYTES)
            try:
                reader.parser.Parse(block, not block)
            except expat.ExpatError as error:
                raise InputError(
                    f"{path} line {error.lineno}: {expat.ErrorString(error.code)}; expected {kind}: "
                    "use another copy of the file"
                ) from error
            except _EntityError as error:
                raise InputError(
                    f"{path} line {reader.parser.CurrentLineNumber}: declaration of the entity "
                    f"{str(error)!r}; expected {kind} without entities: remove the declaration"
                ) from error
            except (LookupError, ValueError) as error:  # unknown encoding in the XML declaration
                raise InputError(f"{path}: {error}; expected {kind} in UTF-8: convert the file") from error
            if reader.root not in ("", root):
                raise InputError(
                    f"{path} is XML with the root element <{reader.root}>; expected {kind}: {advice}"
                )
            yield from reader.complete
            reader.complete.clear()
            if not block:
                return


class _EntityError(Exception):
    """An XML file declares an entity. The error is caught within this module."""


class _Reader:
    def __init__(self, tags: Set[str]) -> None:
        self.root = ""
        self.complete: list[tuple[int, Element]] = []
        self._tags = tags
        self._open: list[Element] = []
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EntityDeclHandler = self._entity

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].append(element)
        else:
            self.root = element.tag
        self._open.append(element)
        self._text.clear()

    def _end(self, _tag: str) -> None:
        element = self._open.pop()
        element.text = "".join(self._text)
        self._text.clear()
        if element.tag in self._tags:
            self.complete.append((self.parser.CurrentLineNumber, element))
            if self._open:
                del self._open[-1][-1]

    def _entity(self, name: str, *_: object) -> None:
        raise _EntityError(name)
