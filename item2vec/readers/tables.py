"""``open_table`` chooses the table class of a source, and joins the tables of several sources."""

from __future__ import annotations

import codecs
import dataclasses
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, TypeAlias

import pandas as pd
import pyarrow as pa

from item2vec.errors import InputError, InputTypeError
from item2vec.kinds import ARROW, ARROW_STREAM, HEAD_BYTES, PARQUET, XML, ZSTD
from item2vec.lines import MAX_LINE
from item2vec.opening import content_name, decompressors, file_kind, open_bytes, reading
from item2vec.readers.columnar import ArrowFile, ArrowTable, PandasTable, ParquetFile, QueryTable, SelectTable
from item2vec.readers.faults import short_repr
from item2vec.readers.folders import data_files, is_hidden, partition_of
from item2vec.readers.json_lines import JsonLinesFile
from item2vec.readers.parts import Part, joined
from item2vec.readers.table import Table
from item2vec.readers.text import DelimitedFile

__all__ = ["data_files_of", "open_table", "parquet_files"]

_File: TypeAlias = "tuple[Path, Mapping[str, str | None]]"
"""A data file, and the values of its partition columns by name."""

_JSON, _TEXT = JsonLinesFile.kind, DelimitedFile.kind
_FORMAT_OF_SUFFIX = {".parquet": PARQUET.name, ".feather": ARROW.name, ".arrow": ARROW.name}
_GLOB = re.compile(r"[*?\[]")
_JSON_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*["}]')


def _unzstd(file: IO[bytes]) -> pa.NativeFile:
    # Arrow closes its input when the stream is garbage-collected, but the caller closes this file.
    unclosed = SimpleNamespace(read=file.read, closed=False, close=lambda: None)
    return pa.CompressedInputStream(pa.PythonFile(unclosed, "r"), "zstd")


decompressors[ZSTD] = _unzstd


def open_table(
    source: Any,
    *,
    wanted: Iterable[str],
    sep: str | None,
    columns: Sequence[str] | None,
    encoding: str,
    connection: Any,
    same_columns: bool = False,
    quotes: bool = True,
    max_line: int = MAX_LINE,
) -> Table:
    """Open a source that ``read_interactions`` accepts, as a table. For most arguments, see that function.

    ``wanted`` holds the names of the columns to read. The separator of delimited text is detected from these
    names. If there are several files or DataFrames, each must have the columns that are read; only files of
    JSON lines after the first file may lack them. If ``same_columns`` is true, ``batches`` also raises
    ``InputError`` for a file or DataFrame with a column that the first one lacks.
    """
    wanted = list(wanted)
    for name in wanted:
        if not isinstance(name, str):
            raise InputTypeError(
                f"the name of a column is {short_repr(name)}, of type {type(name).__name__}; expected text"
            )
    opener = _Opener(wanted, sep, columns, encoding, connection, quotes, max_line)
    if isinstance(source, str) and connection is not None:
        return opener.open_query(source)
    if isinstance(source, str | PathLike):
        path = Path(source)
        files = _files_of(path, encoding)
        if files == [(path, {})]:
            return opener.open_file(path)
        return _joined(str(path), [partial(opener.open_part, *file) for file in files], same_columns)
    if isinstance(source, list | tuple) or (isinstance(source, Iterator) and not _is_arrow(source)):
        return _joined("", opener.openers(source), same_columns)
    return opener.open_memory(source)


def data_files_of(sources: Iterable[str | PathLike[str]], encoding: str) -> list[Path]:
    """Return the data files of paths, folders and patterns, in the order in which they are read."""
    return [file for source in sources for file, _ in _files_of(Path(source), encoding)]


def parquet_files(sources: Iterable[Any], encoding: str) -> list[Path]:
    """Return the data files of sources if all are Parquet files without partition columns.

    Otherwise, return an empty list.
    """
    files: list[_File] = []
    for source in sources:
        if not isinstance(source, str | PathLike):
            return []
        files += _files_of(Path(source), encoding)
    is_plain = all(not partition and file_kind(file) is PARQUET for file, partition in files)
    return [file for file, _ in files] if is_plain else []


@dataclass(frozen=True, slots=True)
class _Opener:
    """The arguments of ``open_table``, and methods that open the table of one file, DataFrame or query."""

    wanted: Sequence[str]
    sep: str | None
    columns: Sequence[str] | None
    encoding: str
    connection: Any
    quotes: bool
    max_line: int

    def openers(self, sources: Iterable[Any]) -> Iterator[Callable[[], Part]] | list[Callable[[], Part]]:
        """Return one function per table of several sources. Each call of a function opens its table.

        The result is a list if the sources are paths, and an iterator if the sources are DataFrames.
        """
        sources = iter(sources)
        head = list(islice(sources, 1))
        if head and isinstance(head[0], str | PathLike):
            files = (file for path in chain(head, sources) for file in self._files_of_element(path))
            return [partial(self.open_part, *file) for file in files]
        frames = enumerate(chain(head, sources))
        return (partial(self._open_frame, frame, number) for number, frame in frames)

    def open_part(self, path: Path, partition: Mapping[str, str | None]) -> Part:
        """Open one of several files. The partition columns are not read from the file."""
        wanted = [name for name in self.wanted if name not in partition]
        return dataclasses.replace(self, wanted=wanted).open_file(path), partition

    def open_file(self, path: Path) -> Table:
        """Open a file as a table. The format is detected from the first bytes or the suffix of the file."""
        format_ = _format_of(path, self.encoding)
        if format_ in (None, _TEXT):
            return DelimitedFile(
                path,
                wanted=self.wanted,
                sep=self.sep,
                columns=self.columns,
                encoding=self.encoding,
                quotes=self.quotes,
                max_line=self.max_line,
            )
        self._check_named_columns(path)
        if format_ == _JSON:
            return JsonLinesFile(path, self.encoding, self.max_line)
        return ParquetFile(path) if format_ == PARQUET.name else ArrowFile(path, file_kind(path) or ARROW)

    def open_query(self, query: str) -> Table:
        """Return the table of the result of a SQL query."""
        self._check_named_columns("a query")
        return QueryTable(query, self.connection)

    def open_memory(self, source: Any) -> Table:
        """Return the table of a DataFrame, of another object that exports Arrow streams, or of a select."""
        self._check_named_columns(type(source).__name__)
        if hasattr(source, "compile") and hasattr(source, "selected_columns"):
            return SelectTable(source, self.connection)
        if isinstance(source, pd.DataFrame):
            return PandasTable(source)
        if _is_arrow(source):
            return ArrowTable(source)
        raise InputTypeError(
            f"cannot read rows from {type(source).__name__}; expected the path of a file, a DataFrame "
            "(pandas, polars, Arrow), a SQLAlchemy select with a connection, or a list of paths or DataFrames"
        )

    def _files_of_element(self, path: Any) -> list[_File]:
        if not isinstance(path, str | PathLike):
            raise InputTypeError(
                f"a source is {short_repr(path)}, of type {type(path).__name__}; expected a path, because "
                "the first source is a path"
            )
        return _files_of(Path(path), self.encoding)

    def _open_frame(self, frame: Any, number: int) -> Part:
        table = self.open_memory(frame)
        table.name = f"{table.name} {number}"
        return table, {}

    def _check_named_columns(self, name: object) -> None:
        given = [
            *(["a separator"] if self.sep is not None else []),
            *(["column names"] if self.columns is not None else []),
        ]
        if given:
            raise InputError(
                f"{name} has named columns; {' and '.join(given)} can be set only for delimited text: omit "
                f"{'them' if len(given) > 1 else 'the option'}"
            )


def _joined(name: str, openers: Any, same_columns: bool) -> Table:
    """Return the table of several parts. The table can be read repeatedly if ``openers`` is a list.

    ``openers`` are functions that open a part. ``name`` is the name of the source, or "" for several sources.
    For ``same_columns``, see ``Parts``. Raise ``InputError`` if there are no openers.
    """
    remaining = iter(openers)
    if (open_first := next(remaining, None)) is None:
        raise InputError("found no sources; expected at least one path or DataFrame")
    first = open_first()

    def parts() -> Iterator[Part]:
        yield first
        for open_part in openers[1:] if isinstance(openers, list) else remaining:
            yield open_part()

    name = f"{name} ({Path(first[0].name).name}, …)" if name else f"{first[0].name}, …"
    return joined(name, first, parts, same_columns=same_columns)


def _files_of(source: Path, encoding: str) -> list[_File]:
    """Return the data files of a path, with their partition columns.

    The path names a file or a folder. If neither exists, and the path contains ``*``, ``?`` or ``[``, it is a
    pattern.
    """
    with reading(source):
        is_folder = source.is_dir()
    if is_folder:
        files = [(file, partition_of(file, source)) for file in data_files(source)]
        return _of_one_format(source, files, encoding)
    if os.path.lexists(source) or not _GLOB.search(str(source)):
        return [(source, {})]
    shows_hidden = is_hidden(source.name)
    found = [Path(path) for path in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207 (allows an absolute pattern)
    found = [path for path in found if shows_hidden or not is_hidden(path.name)]
    if not found:
        raise InputError(f"no file matches {str(source)!r}; expected a file, a folder or a pattern of files")
    return _of_one_format(source, [file for path in found for file in _files_of(path, encoding)], encoding)


def _of_one_format(source: Path, files: Sequence[_File], encoding: str) -> list[_File]:
    """Return the files that are not empty text files.

    Raise ``InputError`` if there are no such files, or if these files have different formats or, for
    delimited text, different suffixes.
    """
    labels = {path: _label_of(path, encoding) for path, _ in files}
    filled = [(path, partition) for path, partition in files if labels[path]]
    if not filled:
        raise InputError(f"{source} contains only empty files; expected rows")
    first = filled[0][0]
    for path, _ in filled:
        if labels[path] != labels[first]:
            raise InputError(
                f"{source} contains files of different formats: {first} ({labels[first]}) and {path} "
                f"({labels[path]}); expected one format: pass a pattern, such as "
                f"{str(path.parent / f'*{path.suffix}')!r}"
            )
    return filled


def _format_of(path: Path, encoding: str) -> str | None:
    """Return the name of the format of a file, or ``None`` if a text file contains only white space."""
    kind = file_kind(path)
    if kind in (PARQUET, ARROW, ARROW_STREAM):
        return kind.name if kind is PARQUET else ARROW.name
    if kind is None and path.suffix.lower() in _FORMAT_OF_SUFFIX:
        return _FORMAT_OF_SUFFIX[path.suffix.lower()]
    with reading(path), open_bytes(path, encoding) as file:
        head = file.read(HEAD_BYTES)
    if XML.matches(head):
        raise InputError(f"{path} is {XML.name}; {XML.advice}")
    if len(head) < HEAD_BYTES and not head.removeprefix(codecs.BOM_UTF8).strip():
        return None
    is_json = content_name(path).endswith((".jsonl", ".ndjson", ".json")) or _JSON_OBJECT.match(head)
    return _JSON if is_json else _TEXT


def _label_of(path: Path, encoding: str) -> str:
    """Return the format of a file and, for delimited text, the suffix; "" for an empty text file."""
    format_ = _format_of(path, encoding)
    suffix = f" {Path(content_name(path)).suffix}" if format_ == _TEXT else ""
    return f"{format_ or ''}{suffix}".strip()


def _is_arrow(source: Any) -> bool:
    return hasattr(source, "__arrow_c_stream__")
