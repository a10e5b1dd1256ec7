"""Sentences in a folder without shards, which ``Sentences.save`` writes by default."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from item2vec import files
from item2vec.errors import BundleNotFoundError, CorruptBundleError, refusing_unwritable
from item2vec.shards.columns import COLUMNS
from item2vec.shards.manifest import MANIFEST

__all__ = ["is_sharded", "read_sentences", "refusing_inconsistent", "write_sentences"]

_FORMAT = 2
_READABLE = (1, _FORMAT)
"""Formats that can be read. Folders of format 1 have no timestamps."""
_FILES = ("tokens.npy", "offsets.npy", "ids.jsonl")


def write_sentences(
    path: Path, ids: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]], *, ordered: bool
) -> None:
    """Write sentences to a new folder.

    ``arrays`` holds the arrays of the sentences by name. ``ids`` are the ids of the vocabulary, by code.

    Raises
    ------
    BundleExistsError
        If the path exists.
    WriteError
        If a file cannot be written.
    """
    with refusing_unwritable(path), files.atomic_folder(path) as folder:
        for name, array in arrays.items():
            files.write_array(folder / f"{name}.npy", array)
        files.write_ids(folder / "ids.jsonl", ids)
        header = {
            "format": _FORMAT,
            "kind": "sentences",
            "n_sentences": len(arrays["offsets"]) - 1,
            "n_tokens": len(arrays["tokens"]),
            "n_items": len(ids),
            "ordered": ordered,
            "columns": [name for name in arrays if name in COLUMNS],
            "sha256": {file.name: files.sha256(file) for file in folder.iterdir()},
        }
        files.write_json(folder / "sentences.json", header)


@files.refusing_unreadable()
def is_sharded(folder: Path) -> bool:
    """Return whether a folder contains a sharded corpus.

    Raises
    ------
    BundleNotFoundError
        If the folder does not exist.
    CorruptBundleError
        If this user may not enter the folder.
    """
    if not folder.is_dir():
        raise BundleNotFoundError(
            f"no folder {folder}; expected a folder that Sentences.save, prepare or walks wrote"
        )
    return (folder / MANIFEST).exists()


def read_sentences(folder: Path) -> tuple[tuple[str, ...], dict[str, npt.NDArray[Any]], bool]:
    """Return a triple: the ids; the memory-mapped arrays by name; and whether the sentences are ordered.

    Raises
    ------
    CorruptBundleError
        If a file is missing or damaged, or the folder has another kind or a newer format.
    """
    text = files.read_text(folder / "sentences.json", files.MAX_JSON_BYTES)
    header = files.parse_json(text, folder / "sentences.json")
    with refusing_inconsistent(folder):
        if header["format"] not in _READABLE or header["kind"] != "sentences":
            raise CorruptBundleError(
                f"{folder} has format {header['format']} and kind {header['kind']!r}; expected format 1 "
                f"to {_FORMAT} and kind 'sentences': upgrade item2vec, or use a folder of Sentences.save"
            )
        names = header["columns"] if header["format"] > 1 else ["weights"] * header["weighted"]
        dtypes = {name: COLUMNS[name] for name in names}
        for name in (*_FILES, *(f"{column}.npy" for column in dtypes)):
            if files.sha256(folder / name) != header["sha256"][name]:
                raise CorruptBundleError(
                    f"{folder / name} does not have the SHA-256 in sentences.json: "
                    "the file was changed or damaged; use another copy of the folder"
                )
        n_sentences, n_tokens = int(header["n_sentences"]), int(header["n_tokens"])
        ids = files.read_ids(folder / "ids.jsonl")
        if len(ids) != header["n_items"]:
            raise CorruptBundleError(
                f"{folder} has {len(ids)} ids; expected {header['n_items']}, as in "
                "sentences.json: use another copy of the folder"
            )
        arrays = {
            "tokens": files.open_array(folder / "tokens.npy", "<i4", (n_tokens,)),
            "offsets": files.open_array(folder / "offsets.npy", "<i8", (n_sentences + 1,)),
            **{
                name: files.open_array(folder / f"{name}.npy", dtype, (n_tokens,))
                for name, dtype in dtypes.items()
            },
        }
        return ids, arrays, bool(header["ordered"])


@contextlib.contextmanager
def refusing_inconsistent(folder: Path) -> Iterator[None]:
    """Raise ``CorruptBundleError`` in place of errors of the block that are caused by damaged files."""
    try:
        yield
    except CorruptBundleError:
        raise
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise CorruptBundleError(
            f"{folder} does not contain valid sentences: {type(error).__name__}: {error}; check the "
            "permissions of the folder, or use another copy"
        ) from error
