"""Folders of arrays by name, as ``.npy`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from item2vec import files
from item2vec.training.trainer import Arrays

__all__ = ["read_arrays", "write_arrays"]


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write new files to a folder."""
    for name, array in arrays.items():
        files.write_array(folder / f"{name}.npy", array)


def read_arrays(folder: Path, like: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Memory-map the arrays with the names, dtypes and shapes of ``like``.

    Raises
    ------
    CorruptBundleError
        If a file is missing, damaged, or of another dtype or shape.
    """
    return {
        name: files.open_array(folder / f"{name}.npy", array.dtype, array.shape)
        for name, array in like.items()
    }
