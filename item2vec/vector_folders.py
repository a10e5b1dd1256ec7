"""Folders of item vectors, with memory-mapped matrices.

::

    ids.jsonl        item ids in row order, one JSON string per line
    input.npy, counts.npy    arrays of ``ItemVectors``
    output.npy, positions.npy    arrays of ``ItemVectors``, if the vectors have them
    training.json    the settings of training, or null if they are unknown
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.config import TrainConfig, of_its_objective
from item2vec.errors import CorruptBundleError, Item2VecError, refusing_unwritable
from item2vec.files import (
    atomic_folder,
    open_array,
    parse_json,
    read_ids,
    read_text,
    write_array,
    write_bytes,
    write_ids,
)
from item2vec.opening import reading

__all__ = ["is_folder_of_vectors", "read_folder", "write_folder"]

IDS, TRAINING = "ids.jsonl", "training.json"
ARRAYS = {"input": (np.float32, 2), "output": (np.float32, 2), "counts": (np.float64, 1)}
ARRAYS |= {"positions": (np.float32, 2)}


def is_folder_of_vectors(path: Path) -> bool:
    """Return whether a path is a folder with the files ``ids.jsonl`` and ``training.json``.

    Raise ``InputError`` if this user may not look up the path.
    """
    with reading(path):
        return (path / IDS).is_file() and (path / TRAINING).is_file()


def write_folder(
    path: Path, ids: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]], config: TrainConfig | None
) -> None:
    """Write vectors to a new folder atomically.

    Raises
    ------
    BundleExistsError
        If the path exists.
    WriteError
        If a file cannot be written.
    """
    settings = None if config is None else config.model_dump(mode="json")
    advice = "check that the folder is writable and that the disk has free space"
    with refusing_unwritable(path, advice), atomic_folder(path) as folder:
        write_ids(folder / IDS, ids)
        for name, array in arrays.items():
            write_array(folder / f"{name}.npy", array)
        write_bytes(folder / TRAINING, json.dumps(settings).encode())


def read_folder(path: Path) -> tuple[tuple[str, ...], dict[str, npt.NDArray[Any]], TrainConfig | None]:
    """Return the ids; the memory-mapped arrays by name; and the training settings, or ``None`` if unknown.

    Raises
    ------
    CorruptBundleError
        If a required file is missing, or a file is damaged.
    """
    ids = read_ids(path / IDS)
    arrays = {
        name: open_array(path / f"{name}.npy", dtype, (None,) * n_dimensions)
        for name, (dtype, n_dimensions) in ARRAYS.items()
        if name in ("input", "counts") or (path / f"{name}.npy").is_file()
    }
    settings = parse_json(read_text(path / TRAINING), path / TRAINING)
    if settings is None:
        return ids, arrays, None
    try:
        return ids, arrays, TrainConfig(**of_its_objective(settings))
    except (Item2VecError, TypeError) as error:
        raise CorruptBundleError(f"{path / TRAINING} is invalid: {error}; use another copy") from error
