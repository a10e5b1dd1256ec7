"""Build training sentences from lists of ids, in a file or in memory."""

from __future__ import annotations

import codecs
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from itertools import count
from os import PathLike
from pathlib import Path

import numpy as np

from item2vec.adapters.playlist_files import Located, file_playlists
from item2vec.arguments import checked_except
from item2vec.errors import ConfigError, InputError, InputTypeError, short_repr
from item2vec.lines import MAX_LINE, check_max_line
from item2vec.sentences import Sentences
from item2vec.shaping import Grouping, check_least, check_shape, shape_training_sentences
from item2vec.types import Vocabulary, check_ids

__all__ = ["playlists"]


@checked_except("skip_lines", "skip_fields", "min_length", "max_length", "group_by")
def playlists(
    source: str | PathLike[str] | Iterable[Iterable[str]],
    *,
    skip_lines: int = 0,
    skip_fields: int = 0,
    sep: str | None = None,
    encoding: str = "utf-8",
    unit: str | None = None,
    max_line: int = MAX_LINE,
    min_length: int = 1,
    max_length: int | None = None,
    collapse_repeats: bool = False,
    group_by: Grouping | None = None,
    ordered: bool = True,
) -> Sentences:
    """Return one sentence per playlist. By default, the order and the repeats of items are kept.

    Playlists without items are dropped.

    Parameters
    ----------
    source
        An iterable of iterables of ids, or the path of a file, which may be compressed. The start of the
        first non-blank line determines the layout of the file. If this start indicates no layout, the suffix
        of the file name determines it:

        - JSON lines, or a JSON document, such as an array. A playlist is ``{"items": […]}`` or a list;
          ``{"playlists": [{"tracks": [{"track_uri": …}]}]}`` is the Million Playlist Dataset. Whole numbers
          are read as text.
        - M3U, PLS and XSPF: one playlist, whose items are the locations of the tracks. For a track in XSPF
          without a location, the item is ``title by creator``, or the title if the track has no creator. If
          the suffix is that of M3U, a first line that starts with ``[`` is a location, not JSON.
        - Otherwise text with one playlist per line.
    skip_lines, skip_fields
        Number of lines to skip at the start of a file (except XSPF), and number of fields to skip at the
        start of each line of text.
    sep
        Separator between ids in text; spaces and tabs around ids are removed. ``" "`` means spaces and tabs.
        ``None``: detected from the first 1,000 lines: a tab if ids contain spaces; a comma, semicolon or pipe
        if there are no spaces or tabs between ids; otherwise spaces and tabs.
    encoding
        Encoding of a file. XML states its own encoding.
    unit
        Name of the field that contains the item in a track of JSON or XSPF, such as ``"artist_name"``.
        ``None``: in JSON, tracks are ids, or have the field ``track_uri``; in XSPF, see above.
    max_line
        Maximum length of a line of a file, in bytes. For JSON lines, the limit is at least 256 MiB. A JSON
        document of several lines may have up to 256 Mi characters.
    min_length, max_length
        After ``group_by`` and ``collapse_repeats``, keep the last ``max_length`` items of each playlist
        (``None``: all). Then drop playlists of fewer than ``min_length`` items.
    collapse_repeats
        Whether to replace each run of equal items by one item.
    group_by
        A mapping from item ids to group ids, such as artists, or ``(items, attribute)`` with the name of an
        attribute of ``items``. Each item is replaced by its group. Items without a group are dropped.
    ordered
        Whether the order of items carries information. If False, training disregards the order, for example
        by shuffling the sentences, and ``objective="transitions"`` raises an error.

    Raises
    ------
    InputError
        If a file cannot be read, or contains no playlists; if a line is too long or cannot be parsed; if a
        track has no id; if the separator is ambiguous; or if no item has a group. A message about a file
        states its path and, if known, the line number.
    ConfigError
        If an argument has an invalid value, or does not apply to the layout of the source.
    InputTypeError
        If ``source`` is neither a path nor an iterable, a playlist is not a list of ids, an id or a group is
        not text, or another argument has the wrong type.
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
    if sep == "":
        raise ConfigError("sep is ''; expected a separator between ids, or None to detect it")
    _check_encoding(encoding)
    if isinstance(source, str | PathLike):
        located = file_playlists(
            Path(source),
            sep=sep,
            encoding=encoding,
            skip_lines=skip_lines,
            skip_fields=skip_fields,
            unit=unit,
            max_line=check_max_line(max_line),
        )
    else:
        _check_no_options(sep=sep, skip_lines=skip_lines, skip_fields=skip_fields, unit=unit)
        located = _numbered(source)
    sentences = _encoded(located, ordered)
    if isinstance(source, str | PathLike) and not len(sentences):
        raise InputError(
            f"{source} contains no playlists; expected at least one playlist with an id: check the file, and "
            "skip_lines and skip_fields if they are set"
        )
    return shape_training_sentences(
        sentences,
        min_length=min_length,
        max_length=max_length,
        collapse_repeats=collapse_repeats,
        group_by=group_by,
    )


def _encoded(located: Located, ordered: bool) -> Sentences:
    """Encode playlists one at a time, so that the ids of all playlists are never in memory together."""
    code_of: defaultdict[str, int] = defaultdict(count().__next__)
    tokens, offsets = array("i"), array("q", [0])
    for where, sentence in located:
        if isinstance(sentence, str):
            found = short_repr(sentence)
            raise InputTypeError(f"{where} is the text {found}; expected a list of ids such as [{found}]")
        if isinstance(sentence, Mapping) and not isinstance(sentence, Set):
            raise InputTypeError(
                f"{where} is the mapping {short_repr(sentence)}; expected a list of ids: pass the path of "
                "the file, or the lists, such as [line['items'] for line in lines]"
            )
        if not isinstance(sentence, Iterable):
            raise InputTypeError(f"{where} is {short_repr(sentence)}; expected a list of ids")
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
    if isinstance(source, Mapping) and not isinstance(source, Set):  # the nodes of networkx are both
        raise InputTypeError(
            f"source is the mapping {short_repr(source)}; expected a path, or a list of lists of ids, such "
            "as list(source.values())"
        )
    if not isinstance(source, Iterable) or not getattr(source, "ndim", 1):
        raise InputTypeError(f"source is {short_repr(source)}; expected a path, or a list of lists of ids")
    for number, sentence in enumerate(source):
        yield f"sentence {number}", sentence


def _check_no_options(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise ConfigError(
                f"{name.replace('_', ' ')} is {value!r}, which applies only to files; omit it for lists"
            )


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise ConfigError(
            f"encoding is {encoding!r}; expected an encoding such as 'utf-8' or 'latin-1'"
        ) from None
