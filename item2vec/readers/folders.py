"""List the data files of a folder, and their partition columns, by the conventions of Spark and Hive."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from item2vec.errors import InputError
from item2vec.opening import reading

__all__ = ["data_files", "is_hidden", "partition_of"]

_NULL = "__HIVE_DEFAULT_PARTITION__"
_TABLE_FORMATS = {
    "_delta_log": "a Delta table, whose files also contain deleted and replaced rows; read it with the "
    "package deltalake, and pass the result of DeltaTable(…).to_pyarrow_table(), or export it as Parquet",
    ".hoodie": "a Hudi table, whose files also contain replaced rows; export its current version as Parquet",
    "metadata": "an Iceberg table, whose files also contain deleted and replaced rows; read it with the "
    "package pyiceberg, and pass the result of scan().to_arrow(), or export it as Parquet",
}


def data_files(folder: Path) -> list[Path]:
    """Return the paths of the files in a folder and in its subfolders, sorted.

    Files and folders whose names begin with ``_`` or ``.`` (``_SUCCESS``, ``_temporary``) are skipped.

    Raises
    ------
    InputError
        If the folder cannot be read or contains no data file, or if the folder or a subfolder contains a
        link to a folder, or is a Delta, Iceberg or Hudi table.
    """
    paths: list[Path] = []
    with reading(folder):
        for root, names, files in os.walk(folder, onerror=_raise):
            _check_format(Path(root), names)
            names[:] = [name for name in names if not is_hidden(name)]
            for name in names:
                if (link := Path(root, name)).is_symlink():
                    raise InputError(
                        f"{link} is a link to a folder; expected no links: pass the target of the link"
                    )
            paths += [Path(root, name) for name in files if not is_hidden(name)]
    if not paths:
        raise InputError(f"{folder} is a folder without data files; pass a file, or a folder of files")
    return sorted(paths)


def is_hidden(name: str) -> bool:
    """Return whether Spark and Hive skip a file or folder of this name.

    >>> is_hidden("_SUCCESS"), is_hidden(".part-0.crc"), is_hidden("part-0.parquet")
    (True, True, False)
    """
    return name.startswith(("_", "."))


def partition_of(file: Path, folder: Path) -> Mapping[str, str | None]:
    """Return the partition columns of a file: the subfolders ``key=value`` between ``folder`` and the file.

    The value of ``__HIVE_DEFAULT_PARTITION__`` is ``None``. Percent-encoded characters are decoded.

    >>> partition_of(Path("events/date=2024-03-01/country=C%C3%B4te/part-0"), Path("events"))
    {'date': '2024-03-01', 'country': 'Côte'}
    """
    pairs = (part.partition("=") for part in file.relative_to(folder).parts[:-1] if "=" in part)
    return {unquote(key): None if value == _NULL else unquote(value) for key, _, value in pairs}


def _check_format(folder: Path, names: list[str]) -> None:
    for name, description in _TABLE_FORMATS.items():
        if name in names and (name != "metadata" or any(_iceberg_metadata(folder / name))):
            raise InputError(f"{folder} is {description}")


def _iceberg_metadata(folder: Path) -> Iterator[str]:
    return (entry.name for entry in folder.iterdir() if re.search(r"\.metadata\.json$", entry.name))


def _raise(error: OSError) -> None:
    raise error
