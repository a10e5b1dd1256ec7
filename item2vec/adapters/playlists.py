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
from item2vec.sentences import Sentences
from item2vec.shaping import Grouping, check_least, check_shape, shape_training_sentences
from item2vec.types import Vocabulary, check_ids

__all__ = ["playlists"]

Located = Iterator[tuple[str, Iterable[str]]]
"""Playlists, each with its location for error messages."""


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
    """Return one sentence per playlist, with its order and its repeats.

    Parameters
    ----------
    source
        The path of a file (also ``.gz``): JSON lines ``{"playlist_id": …, "items": […]}`` (``.jsonl``,
        ``.json``), or text with one playlist per line, ids separated by blanks or tabs, or by ``sep``. Or any
        iterable of iterables of ids, which is consumed.
    skip_lines, skip_fields
        Number of lines to skip at the top of a file, and of fields to skip at the start of each text line.
    min_length, max_length
        Drop shorter playlists; keep the last items of longer ones.
    collapse_repeats
        Collapse a run of equal items into one.
    group_by
        Replace items by groups, such as their artists: a mapping from item ids, or ``(items, attribute)``.
        Items without a group are dropped.
    ordered
        False: the order carries no information, and training reshuffles each sentence in each epoch.

    Raises
    ------
    InputError
        If a file cannot be read, or a line cannot be parsed; names the line.
    InputTypeError
        If an id is not text.
    InvalidIdError
        If an id is not valid; see ``Vocabulary``.

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
        raise ConfigError("sep and skip_fields apply to text files only; remove them")
    if path is not None:
        parse = _items_of_json if is_json else _splitter(sep, skip_fields)
        located = _lines(path, _checked_encoding(encoding), skip_lines, parse)
    else:
        located = _numbered(source)
    sentences = _encoded(located, ordered)
    if path is not None and not len(sentences):
        raise InputError(f"no playlist in {source}; expected lines of ids, or JSON lines with items")
    return shape_training_sentences(
        sentences,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
    )


def _encoded(located: Located, ordered: bool) -> Sentences:
    """Encode playlists one by one, so that memory holds only two arrays and the vocabulary."""
    code_of: defaultdict[str, int] = defaultdict(count().__next__)
    tokens, offsets = array("i"), array("q", [0])
    for where, sentence in located:
        if isinstance(sentence, str):
            raise InputTypeError(f"{where} is the text {sentence!r}; expected a list of ids, [{sentence!r}]")
        if not isinstance(sentence, Iterable):
            raise InputTypeError(f"{where} is {sentence!r}; expected a list of ids")
        ids = list(sentence)
        n_known = len(code_of)
        try:
            tokens.extend(map(code_of.__getitem__, ids))
        except TypeError:  # an unhashable object is not an id
            n_known = -1
        if len(code_of) > n_known:
            _check_new(ids, where)
        if ids:
            offsets.append(len(tokens))
    vocabulary = Vocabulary(tuple(map(str.__str__, code_of)))  # NumPy strings become str
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
    """Yield the playlist of each line that has one; only a line feed ends a line."""
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
            f"{path} line {number}: byte {error.object[error.start]:#04x} is not {encoding} text; "
            "pass the encoding of the file, such as encoding='latin-1'"
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
        raise InputError(f"{path} cannot be read beyond line {number}: {error}") from error


def _checked_encoding(encoding: str) -> str:
    """Return the encoding if it encodes a line feed as in ASCII, because lines are split before decoding."""
    try:
        if b"\n".decode(encoding) == "\n":
            return encoding
    except (LookupError, UnicodeError):
        pass
    raise ConfigError(f"encoding is {encoding!r}; expected one that extends ASCII, such as utf-8 or latin-1")


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _items_of_json(line: str) -> list[str]:
    playlist = json.loads(line) if line.strip() else {"items": []}
    items = playlist.get("items") if isinstance(playlist, dict) else None
    if not isinstance(items, list):
        raise ValueError(f"found {line[:60]!r}")
    return items


def _splitter(sep: str | None, skip_fields: int) -> Callable[[str], list[str]]:
    """Return a function that splits a line into ids, ignoring empty fields."""
    if sep == "":
        raise ConfigError("sep is ''; expected the text between ids, or None for blanks and tabs")
    if sep is None:
        return lambda line: [id_ for id_ in line.replace("\t", " ").split(" ") if id_][skip_fields:]
    return lambda line: [id_ for id_ in line.split(sep)[skip_fields:] if id_]
