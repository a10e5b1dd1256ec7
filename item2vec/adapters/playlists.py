"""Training sentences from lists of ids, in a file or in memory."""

from __future__ import annotations

import gzip
import json
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np

from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.opening import ENCODING
from item2vec.sentences import Sentences
from item2vec.shaping import Grouping, check_least, check_shape, shape_training_sentences
from item2vec.types import Vocabulary, check_ids

__all__ = ["playlists"]

Located = Iterator[tuple[str, Iterable[str]]]
"""Pairs of a location, for error messages, and a playlist."""


def playlists(
    source: str | PathLike[str] | Iterable[Iterable[str]],
    *,
    skip_lines: int = 0,
    skip_fields: int = 0,
    sep: str | None = None,
    encoding: str = "utf-8",
    min_length: int = 1,
    max_length: int | None = None,
    collapse_repeats: bool = False,
    group_by: Grouping | None = None,
    ordered: bool = True,
) -> Sentences:
    """Return one sentence per playlist. The order and the repeats of items are kept.

    Parameters
    ----------
    source
        An iterable of iterables of ids, or the path of a file, which may be compressed (``.gz``). A file with
        suffix ``.jsonl`` or ``.json`` contains JSON lines ``{"playlist_id": …, "items": […]}``. Any other
        file contains text with one playlist per line.
    skip_lines, skip_fields
        Number of lines to skip at the start of a file, and number of fields to skip at the start of each line
        of text.
    sep, encoding
        Separator between ids in text (``None``: blanks and tabs), and encoding of a file.
    min_length, max_length
        Drop playlists of fewer than ``min_length`` items. Keep the last ``max_length`` items of a playlist.
    collapse_repeats
        Whether to replace each run of equal items by one item.
    group_by
        A mapping from item ids to group ids, such as artists, or ``(items, attribute)``. Items are replaced
        by their groups. Items without a group are dropped.
    ordered
        Whether the order of items carries information. If False, training shuffles each sentence in each
        epoch.

    Raises
    ------
    InputError
        If a file cannot be read, or a line cannot be parsed. The message states the line number.
    InputTypeError
        If an id is not text.
    InvalidIdError
        If an id is invalid (see ``Vocabulary``).

    Examples
    --------
    >>> playlists([["a", "b", "b"], ["c", "a"]], collapse_repeats=True)
    Sentences(2 sentences, 4 tokens, 3 items, lengths 2 to 2)
    >>> playlists("sample_data/playlists.jsonl")[0][:2]
    ['march-of-the-bone-king', 'doomed-warlord']
    """
    check_least("skip_lines", skip_lines, 0)
    check_least("skip_fields", skip_fields, 0)
    check_shape(min_length, max_length, group_by)
    path = Path(source) if isinstance(source, str | PathLike) else None
    is_json = path is not None and path.name.removesuffix(".gz").endswith((".jsonl", ".json"))
    if (sep is not None or skip_fields) and (path is None or is_json):
        raise ConfigError(
            f"found the separator {sep!r} and {skip_fields} fields to skip, which apply only to text files "
            "that are not JSON; expected none: omit them"
        )
    if path is not None:
        parse = _items_of_json if is_json else _splitter(sep, skip_fields)
        located = _lines(path, _checked_encoding(encoding), skip_lines, parse)
    else:
        located = _numbered(source)
    sentences = _encoded(located, ordered)
    if path is not None and not len(sentences):
        raise InputError(f"{source} contains no playlists; expected lines of ids, or JSON lines with items")
    return shape_training_sentences(
        sentences,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
    )


def _encoded(located: Located, ordered: bool) -> Sentences:
    """Encode playlists one at a time. Memory is needed for two arrays and the vocabulary only."""
    code_of: defaultdict[str, int] = defaultdict(count().__next__)
    tokens, offsets = array("i"), array("q", [0])
    for where, sentence in located:
        if isinstance(sentence, str):
            raise InputTypeError(f"{where} is the text {sentence!r}; expected a list such as [{sentence!r}]")
        if not isinstance(sentence, Iterable):
            raise InputTypeError(f"{where} is {sentence!r}; expected a list of ids")
        ids = list(sentence)
        n_known = len(code_of)
        try:
            tokens.extend(map(code_of.__getitem__, ids))
        except TypeError:  # an id is unhashable; _check_new raises an error for it
            n_known = -1
        if len(code_of) > n_known:
            _check_new(ids, where)
        if ids:
            offsets.append(len(tokens))
    vocabulary = Vocabulary(tuple(map(str.__str__, code_of)))  # converts NumPy strings to str
    return Sentences(vocabulary, np.array(tokens, np.int32), np.array(offsets, np.int64), ordered=ordered)


def _check_new(ids: list[str], where: str) -> None:
    try:
        check_ids(ids)
    except InputError as error:
        raise type(error)(f"{where}: {error}") from None


def _numbered(source: object) -> Located:
    if not isinstance(source, Iterable):
        raise InputTypeError(f"source is {source!r}; expected a path, or a list of lists of ids")
    for number, sentence in enumerate(source):
        yield f"sentence {number}", sentence


def _lines(path: Path, encoding: str, skip: int, parse: Callable[[str], Iterable[str]]) -> Located:
    """Yield the playlist of each line that is not empty. Only a line feed ends a line."""
    number = 0
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, start=1):
                line = raw.decode(encoding).removesuffix("\n").removesuffix("\r")
                if number == 1:
                    line = line.removeprefix("\ufeff")
                if number > skip and line and (items := parse(line)):
                    yield f"{path} line {number}", items
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} line {number}: byte {error.object[error.start]:#04x} is not {encoding} text",
            remedies=[ENCODING],
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} line {number}: {error}; expected {{'items': ['id', …]}}") from None
    except FileNotFoundError:
        raise InputError(
            f"no file {str(path)!r}; expected the path of a file, or a list of lists of ids"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read beyond line {number}: {error}; "
            "check that the file is readable and complete"
        ) from error


def _checked_encoding(encoding: str) -> str:
    """Return the encoding; raise ``ConfigError`` unless it encodes a line feed as in ASCII.

    Files are split into lines before they are decoded.
    """
    try:
        if b"\n".decode(encoding) == "\n":
            return encoding
    except (LookupError, UnicodeError):
        pass
    raise ConfigError(
        f"encoding is {encoding!r}; expected an encoding that extends ASCII, such as utf-8 or latin-1"
    )


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _items_of_json(line: str) -> list[str]:
    playlist = json.loads(line) if line.strip() else {"items": []}
    items = playlist.get("items") if isinstance(playlist, dict) else None
    if not isinstance(items, list):
        raise ValueError(f"found {line[:60]!r}")
    return items


def _splitter(sep: str | None, skip_fields: int) -> Callable[[str], list[str]]:
    """Return a function that splits a line into ids and drops empty fields."""
    if sep == "":
        raise ConfigError("sep is ''; expected a separator between ids, or None for blanks and tabs")
    if sep is None:
        return lambda line: [id_ for id_ in line.replace("\t", " ").split(" ") if id_][skip_fields:]
    return lambda line: [id_ for id_ in line.split(sep)[skip_fields:] if id_]
