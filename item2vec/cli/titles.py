"""Read the file of ``--items``: titles and attributes of items."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence
from typing import Any

from item2vec import readers
from item2vec.cli.parameters import ItemsFile
from item2vec.cli.remedies import remedies_for
from item2vec.cli.sources import Source
from item2vec.errors import InputError, Remedy, listed
from item2vec.items import Items
from item2vec.lines import MAX_LINE
from item2vec.opening import open_text, reading
from item2vec.readers.columns import Values
from item2vec.readers.faults import short_repr
from item2vec.readers.table import bare
from item2vec.readers.tables import open_table
from item2vec.readers.text import DelimitedFile

__all__ = ["read_titles", "read_titles_beside"]

log = logging.getLogger("item2vec.cli")

ITEM, TITLE = "item_id", "title"
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*")
ROWS_BELOW_HEADER = 100
ID_NAME = re.compile(r"(?:.*[^A-Za-z])?(?:id|ID|Id)|.*[a-z]I[dD]")
"""Names such as ``id``, ``song_id``, ``movieId``, ``ASIN ID``, but not words such as ``madrid``."""


@remedies_for(
    item="items_id",
    title="items_title",
    encoding="encoding",
    sep="items_sep",
    columns="items_columns",
    quotes="quotes",
    max_line="max_line",
)
def read_titles(
    file: ItemsFile,
    *,
    item: str = ITEM,
    sep: str | None = None,
    encoding: str | None = None,
    quotes: bool = True,
    max_line: int = MAX_LINE,
) -> Items:
    """Read items from a file.

    ``--items-id`` and ``--items-title`` name the columns of ids and titles; the file then has a header,
    unless ``--items-columns`` is set. Otherwise, for delimited text, these columns are inferred from the
    header, or from ``--items-columns``. The id column is the one that the argument ``item`` names, else
    "item_id", else the first column. The title column is "title", else the first column whose name ends in
    "title" or "name". Without these options, the first line is a header if a field equals the argument
    ``item``, "item_id" or "title", if the first field is a name such as "song_id", or if a field ends in
    "title" or "name" and the first field has no digit. Otherwise the columns are id, title, artist and
    further attributes, and a warning quotes the first line.

    For other formats, the id column is the one that ``item`` names if it exists, else "item_id", and the
    title column is "title".

    Parameters
    ----------
    file
        The file, and the options that describe it.
    item
        Preferred name of the id column.
    sep
        Separator of a file without a header if ``--items-sep`` is not set, and the first id would otherwise
        contain this separator.
    encoding
        Encoding of the file if ``file.encoding`` is ``None``.
    quotes, max_line
        See ``read_items``.

    Raises
    ------
    InputError
        If the file cannot be read, the separator of a file without a header is unknown, or the first line is
        probably a header with other names: it has no digits, and a column below it contains numbers.
    """
    options: dict[str, Any] = {"sep": file.sep, "columns": file.columns}
    options |= {"quotes": quotes, "max_line": max_line}
    options["encoding"] = file.encoding or encoding or "utf-8"
    item = file.id or item
    table = open_table(file.path, wanted=[item], connection=None, **options)
    if not isinstance(table, DelimitedFile):
        item = item if file.id or item in table.names else ITEM
        title = file.title or TITLE
        return readers.read_items(file.path, item=item, title=title, list_sep=file.list_sep, **options)
    names = [bare(name) for name in table.names]
    is_named = file.id is not None or file.title is not None
    has_header = file.columns is None and (is_named or _is_header(names, item))
    if not has_header and file.columns is None and _is_above_numbers(table):
        raise InputError(
            f"{file.path} has no column {ITEM!r}; found {listed(names)}",
            remedies=[
                Remedy("item", text="name the column of ids with {}"),
                Remedy("columns", text="name all columns with {} if the file has no header"),
            ],
        )
    if not has_header and file.sep is None:
        options["sep"] = _checked_separator(file, table.sep, sep, options["encoding"])
        names = [
            bare(name) for name in open_table(file.path, wanted=[item], connection=None, **options).names
        ]
    if not has_header and file.columns is None:
        log.warning("%s", _without_header(file, names))
        names = [*[ITEM, TITLE, "artist"][: len(names)], *(f"column_{n}" for n in range(4, len(names) + 1))]
        options["columns"] = names
    return readers.read_items(
        file.path,
        item=file.id or _id_column(names, item),
        title=file.title or _title_column(names),
        list_sep=file.list_sep,
        **options,
    )


def read_titles_beside(items: ItemsFile | None, source: Source) -> tuple[Items | None, Source]:
    """Read the items file of a command whose option ``--encoding`` describes the source and this file.

    Return a pair: the items; and the source. If the source is the store or a corpus, the option is removed
    from the source, because it describes only the items file. Without an items file, the items are ``None``,
    and the source is unchanged.
    """
    if items is None:
        return None, source
    options = dict(source.adapter_options)
    titles = read_titles(items, encoding=options.get("encoding"))
    if source.playlists is None and source.edges is None:
        options.pop("encoding", None)
    return titles, dataclasses.replace(source, adapter_options=options)


def _checked_separator(file: ItemsFile, detected: str, sep: str | None, encoding: str) -> str:
    """Return the separator of a file without a header.

    The separator is ``sep`` if the first id would otherwise contain ``sep``, else the detected separator. If
    ``sep`` is not used, raise ``InputError`` if the first line contains no separator, if the first id would
    contain ``::``, or if the detected separator is ``::`` and there are no ``--items-columns``.
    """
    with reading(file.path), open_text(file.path, encoding, newline="") as lines:
        line = next((line for line in lines if not line.isspace()), "").strip("\r\n")
    is_certain = detected != "::" or file.columns is not None
    first = line.split(detected)[0] if is_certain else line
    if sep is not None and sep in first:
        return sep
    if first == line or "::" in first:
        raise _without_separator(file, first)
    return detected


def _without_separator(file: ItemsFile, field: str) -> InputError:
    return InputError(
        f"{file.path} has no header, and the separator is unknown: the first item id would be "
        f"{short_repr(field)}; name the separator with --items-sep, such as '::'"
    )


def _without_header(file: ItemsFile, names: Sequence[str]) -> InputError:
    # The text of a warning. An error, because the command line renders the remedies of errors as flags.
    return InputError(
        f"{file.path} has no known header: its first line is read as an item: {listed(names)}",
        remedies=[
            Remedy("items_id", text="name the column of ids with {} if this line is a header"),
            Remedy("items_columns", text="name all columns with {} if it is not"),
        ],
    )


def _is_above_numbers(table: DelimitedFile) -> bool:
    """Return whether the first line has no digits, and most values of a column below it are numbers."""
    if any(map(str.isdigit, "".join(table.names))):
        return False
    batch = next(table.batches(range(len(table.names))), None)
    return batch is not None and any(map(_are_numbers, batch.columns))


def _are_numbers(column: Values) -> bool:
    texts = [text for text in map(str, column[:ROWS_BELOW_HEADER]) if text]
    return 2 * sum(NUMBER.fullmatch(text) is not None for text in texts) > len(texts)


def _is_header(names: Sequence[str], item: str) -> bool:
    if {item, ITEM, TITLE} & {*names} or ID_NAME.fullmatch(names[0]):
        return True
    # A title in a first row of data may end in "name". Such a row starts with an id, which usually has a
    # digit.
    return _title_column(names) != TITLE and not any(map(str.isdigit, names[0]))


def _id_column(names: Sequence[str], item: str) -> str:
    return next(name for name in (item, ITEM, names[0]) if name in names)


def _title_column(names: Sequence[str]) -> str:
    if TITLE in names:
        return TITLE
    return next((name for name in names if name.lower().endswith(("title", "name"))), TITLE)
