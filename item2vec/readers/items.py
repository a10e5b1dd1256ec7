"""Read items from a table; write and read the items file of a bundle."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from item2vec import files
from item2vec.arguments import checked
from item2vec.arrays import python_scalar
from item2vec.errors import BundleExistsError, CorruptBundleError, InputError, WriteError, reason_of
from item2vec.items import Items
from item2vec.lines import MAX_LINE
from item2vec.readers.attributes import declared_types, typed
from item2vec.readers.collecting import faults_of
from item2vec.readers.columns import IdColumn, Values
from item2vec.readers.faults import Fault, FaultReport, short_repr
from item2vec.readers.parts import DelimitedParts
from item2vec.readers.table import Batch, Table, bare, positions_of
from item2vec.readers.tables import open_table
from item2vec.readers.text import DelimitedFile
from item2vec.types import Vocabulary

__all__ = ["open_items", "read_items", "write_items"]

_NESTED = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.DictionaryType)
_SCHEMA = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("attributes", pa.string(), nullable=False),
    ]
)


@checked
def read_items(
    source: str | PathLike[str] | Any,
    *,
    item: str = "item_id",
    title: str | None = "title",
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    encoding: str = "utf-8",
    quotes: bool = True,
    list_sep: str | None = None,
    max_line: int = MAX_LINE,
    connection: Any = None,
) -> Items:
    """Read titles and attributes of items from a source that ``read_interactions`` supports.

    All columns except ``item`` and ``title`` become attributes. Null, NaN, and empty fields of delimited text
    are missing values. If an item has several rows, the rows must be equal.

    An attribute of delimited text is a number if all values of the attribute are plain decimal numbers
    (``7``, ``-1.50``, but not ``007``, ``+7``, ``1e5`` or `` 7``) of at most 18 digits before the point. It
    is a boolean if all values are ``true`` or ``false``, in upper or lower case, and otherwise text. The
    header may have type suffixes of RecBole: an attribute ``:token`` is text, and an attribute ``:token_seq``
    or ``:float_seq`` is a list, whose elements are separated by spaces by default. Attributes from other
    sources are JSON values. Dates and UUIDs become text, and a float of 16 or 32 bits becomes the shortest
    decimal that identifies it, such as 19.99.

    Parameters
    ----------
    source
        As for ``read_interactions``.
    item, title
        Names of the columns of item ids and titles. With ``title=None``, or if ``title`` is ``"title"`` and
        there is no such column, items have no titles. Numbers in the column of titles become text.
    list_sep
        Separator of list elements, such as ``"|"``: an attribute that is text and contains the separator in
        at least one item is a list in all items. White space around elements is removed; empty elements are
        omitted. A list without elements is a missing value. The type of the elements of a list from delimited
        text follows the rules for attributes. ``None``: text is not split, except for attributes with the
        suffix ``:token_seq`` or ``:float_seq``.
    columns, sep, encoding, quotes, max_line, connection
        See ``read_interactions``.

    Raises
    ------
    InputError
        For the same reasons as in ``read_interactions``; or if a title is neither text nor a number, an
        attribute is not a JSON value, two columns have the same name, or two rows of an item differ.
    InputTypeError
        See ``read_interactions``.

    Examples
    --------
    >>> import pandas as pd
    >>> songs = pd.DataFrame({"id": ["s1", "s2"], "name": ["Blue Monday", None], "year": [1983, 1981]})
    >>> items = read_items(songs, item="id", title="name")
    >>> items
    Items(2 items, 1 titles, attributes: year)
    >>> items.where({"year": 1983})
    ['s1']
    """
    wanted = {"item": item} if title in (None, "title") else {"item": item, "title": title}
    table = open_table(
        source,
        wanted=wanted.values(),
        sep=sep,
        columns=columns,
        encoding=encoding,
        connection=connection,
        same_columns=True,
        quotes=quotes,
        max_line=max_line,
    )
    rows: dict[str, _Row] = {}
    for id_, row in _rows(table, positions_of(table, wanted), title):
        first = rows.setdefault(id_, row)
        if first[1:] != row[1:]:
            raise InputError(
                f"{table.name} {table.row_kind}s {first[0]} and {row[0]} describe item {id_!r} differently: "
                f"{_difference(first, row)}; expected one row per item, or equal rows"
            )
    is_delimited = isinstance(table, DelimitedFile | DelimitedParts)
    types = declared_types(table.names) if is_delimited else {}
    return Items(
        Vocabulary(tuple(rows)),
        tuple(row_title for _, row_title, _ in rows.values()),
        tuple(
            typed([row for _, _, row in rows.values()], types, list_sep=list_sep, infer_types=is_delimited)
        ),
    )


@checked
def write_items(items: Items, path: Path) -> None:
    """Write items to a new Parquet file, with columns ``item``, ``title`` and ``attributes`` (as JSON text).

    The file is flushed to disk.

    Raises
    ------
    InputError
        If a title is not valid UTF-8 text, or an attribute is not a JSON value.
    BundleExistsError
        If the file already exists.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "items.parquet"
    ...     write_items(Items.of({"s1": {"title": "Blue Monday", "year": 1983}}), path)
    ...     open_items(path)
    Items(1 items, 1 titles, attributes: year)
    """
    try:
        attributes = [json.dumps(dict(row), allow_nan=False) for row in items.attributes]
        columns = [
            pa.array(column, pa.string()) for column in (items.vocabulary.ids, items.titles, attributes)
        ]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"items cannot be written: {error}; expected titles that are text and attributes that are JSON "
            "values: convert them"
        ) from error
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=_SCHEMA), sink, write_page_checksum=True)
    try:
        files.write_bytes(path, sink.getvalue().to_pybytes())
    except FileExistsError as error:
        raise BundleExistsError(f"{path} already exists; choose another path, or remove it first") from error
    except OSError as error:
        raise WriteError(
            f"{path} could not be written: {reason_of(error)}; check that its folder exists and is writable, "
            "and the space on the disk"
        ) from error


@checked
def open_items(path: Path) -> Items:
    """Read a file that ``write_items`` wrote.

    Raises
    ------
    CorruptBundleError
        If the file is missing, cannot be read, is damaged, or is not an items file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "items.parquet"
    ...     write_items(Items.of({"s1": {"title": "Blue Monday"}}), path)
    ...     open_items(path).title("s1")
    'Blue Monday'
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_SCHEMA):
                raise CorruptBundleError(
                    f"{path} has columns {_described(file.schema_arrow)}; expected {_described(_SCHEMA)}: "
                    "restore it from a backup"
                )
            table = file.read()
            if len(table) != file.metadata.num_rows:
                raise InputError(f"only {len(table)} of {file.metadata.num_rows} rows could be read")
        table.validate(full=True)
        ids, titles, attributes = (list(_values(column)) for column in table.columns)
        parsed = tuple(files.parse_json(text, path) for text in attributes)
        if not all(isinstance(row, dict) for row in parsed):
            raise InputError("attributes are not JSON objects")
        return Items(Vocabulary(tuple(ids)), tuple(titles), parsed)
    except (pa.ArrowException, OSError, InputError, TypeError, UnicodeDecodeError) as error:
        raise CorruptBundleError(
            f"{path} is not a valid items file: {error}; check its permissions, or restore it from a backup"
        ) from error


_Row = tuple[int, str | None, dict[str, Any]]
"""Line or row number, title and attributes of an item."""


def _difference(first: _Row, second: _Row) -> str:
    """Return text that states the first property in which two rows of an item differ, and both values."""
    properties = [("title", first[1], second[1])]
    properties += [(name, first[2].get(name), second[2].get(name)) for name in first[2] | second[2]]
    name, old, new = next(found for found in properties if found[1] != found[2])
    return f"{name} {short_repr(old)} and {short_repr(new)}"


def _described(schema: pa.Schema) -> str:
    """Return the names and types of the columns of a file, for messages."""
    return ", ".join(f"{field.name} ({field.type}{', nullable' * field.nullable})" for field in schema)


def _rows(table: Table, positions: Sequence[int], title: str | None) -> Iterator[tuple[str, _Row]]:
    """Yield a pair per row: the item id; and a triple of the line or row number, title and attributes.

    ``positions`` holds the position of the column of ids. The position of the column of titles follows unless
    ``title`` is ``None`` or the default ``"title"``. Raise ``InputError`` if two columns have the same name,
    or if a row is invalid.
    """
    is_delimited = isinstance(table, DelimitedFile | DelimitedParts)
    names = [bare(name) if is_delimited else name for name in table.names]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(
            f"{table.name} has {names.count(repeated[0])} columns {repeated[0]!r}; expected distinct names: "
            "rename the columns"
        )
    item, title = names[positions[0]], names[positions[1]] if len(positions) > 1 else title
    is_missing = _is_empty if is_delimited else _is_null
    report = FaultReport(table.name, "raise", None)
    for batch in table.batches(range(len(names))):
        column = IdColumn(item)
        ids = dataclasses.replace(batch, columns=[batch.columns[positions[0]]])
        (codes, dictionary), bad = column.parse(ids.columns[0])
        report.add([*batch.faults, *faults_of(ids, table.row_kind, [column], [bad])])
        texts = dictionary.take(pa.array(codes)).to_pylist()
        for number, id_, record in zip(batch.numbers or (), texts, _records(batch, names), strict=True):
            present = {
                key: value
                for key, value in record.items()
                if (key != item or key == title) and not is_missing(value)
            }
            yield (
                id_,
                (number, *_title_and_attributes(present, title, (batch.source, table.row_kind, number))),
            )


def _records(batch: Batch, names: Sequence[str]) -> Iterable[dict[str, Any]]:
    if batch.records is not None:
        return batch.records
    columns = [
        _python_values(values, batch.source, name) for values, name in zip(batch.columns, names, strict=True)
    ]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _python_values(values: Values, source: str, name: str) -> Sequence[Any]:
    if not isinstance(values, pa.Array):
        return values
    try:
        cells = list(values.to_pylist())
    except (ValueError, OverflowError) as error:  # a date or time that Python cannot represent
        raise InputError(
            f"{source} column {name!r} of type {values.type}: {error}; expected years 1 to 9999"
        ) from error
    element = values.type
    while isinstance(element, _NESTED):
        element = element.value_type
    is_narrow = pa.types.is_float32(element) or pa.types.is_float16(element)
    return [_shortest(cell, element.to_pandas_dtype()) for cell in cells] if is_narrow else cells


def _shortest(cell: Any, number: Callable[[float], np.generic]) -> Any:
    """Convert the floats of a cell, each of type ``number``, to the shortest decimals that identify them."""
    if isinstance(cell, list):
        return [_shortest(element, number) for element in cell]
    return cell if cell is None else python_scalar(number(cell))


def _title_and_attributes(
    present: dict[str, Any], title: str | None, location: tuple[str, str, int]
) -> tuple[str | None, dict[str, Any]]:
    """Return the title and attributes of a row; raise ``InputError`` for the first invalid value.

    ``present`` maps the names of the columns to the values that are not missing.
    """
    attributes: dict[str, Any] = {}
    for name, value in present.items():
        try:
            attributes[name] = _title(value) if name == title else _json_value(value)
        except (ValueError, RecursionError) as error:
            expected = "a title: text or a number" if name == title else "a JSON value"
            raise Fault.of_value(*location, name, value, expected, InputError).exception() from error
    text = attributes.pop(title, None) if title is not None else None
    return text or None, attributes


def _is_null(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _is_empty(value: str) -> bool:
    return value == ""


def _title(value: Any) -> str:
    text = _json_value(value)
    if isinstance(text, bool | list | dict):
        raise ValueError
    return str(text)


def _json_value(value: Any) -> Any:
    """Convert a value to a JSON value; raise ``ValueError`` if JSON cannot represent the value."""
    for kinds, convert in _JSON_OF.items():
        if isinstance(value, kinds):
            return convert(value)
    raise ValueError


def _nullable(value: Any) -> Any:
    return None if value is None else _json_value(value)


def _text(value: str) -> str:
    value.encode()
    return str(value)


def _finite(value: float | Decimal) -> float:
    if not math.isfinite(value):
        raise ValueError
    return int(value) if isinstance(value, Decimal) and value == int(value) else float(value)


_JSON_OF: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    (bool, int): lambda value: value,
    (float, Decimal): _finite,
    np.generic: lambda value: _json_value(python_scalar(value)),
    date: lambda value: value.isoformat(),
    UUID: str,
    (list, tuple, np.ndarray): lambda value: [_nullable(element) for element in value],
    dict: lambda value: {_text(name): _nullable(member) for name, member in value.items()},
}


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """Yield the values of a column. Convert 1,000 at a time, because a conversion blocks other threads."""
    for start in range(0, len(column), 1_000):
        yield from column.slice(start, 1_000).to_pylist()
