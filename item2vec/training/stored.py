"""Reading and writing of folders that hold one ``.npy`` file per array."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from item2vec import errors, files
from item2vec.training.trainer import Arrays

__all__ = ["read_arrays", "refusing_unwritable", "write_arrays"]


def refusing_unwritable(folder: Path) -> AbstractContextManager[None]:
    """Convert an ``OSError`` of the block to ``WriteError`` with advice on training."""
    return errors.refusing_unwritable(
        folder,
        "check the space on the disk and the permissions, and train again; with a checkpoint, training "
        "continues from the last state",
    )


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write each array to a new file in a folder."""
    for name, array in arrays.items():
        files.write_array(folder / f"{name}.npy", array)


def read_arrays(folder: Path, like: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Memory-map the arrays of a folder that ``like`` names; dtypes and shapes must be those of ``like``.

    Raises
    ------
    CorruptBundleError
        If a file is missing, damaged, or of another dtype or shape.
    """
    return {
        name: files.open_array(folder / f"{name}.npy", array.dtype, array.shape)
        for name, array in like.items()
    }
