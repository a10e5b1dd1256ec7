"""A snapshot on the disk: interactions written into a folder, and mapped from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from item2vec import files
from item2vec.interactions import Interactions

__all__ = ["spooled"]


def spooled(interactions: Interactions, folder: Path) -> Interactions:
    """Write the columns of interactions into a new folder, and return the same ones mapped from there.

    >>> import tempfile
    >>> listens = Interactions.of(user=["ann", "bob"], item=["x", "y"], timestamp=[1, 2])
    >>> with tempfile.TemporaryDirectory() as place:
    ...     spooled(listens, Path(place) / "spool").timestamp.tolist()
    [1, 2]
    """
    folder.mkdir()
    mapped: dict[str, Any] = {}
    for field in dataclasses.fields(interactions):
        column = getattr(interactions, field.name)
        if hasattr(column, "dtype"):
            path = folder / f"{field.name}.npy"
            files.write_array(path, column)
            mapped[field.name] = files.open_array(path, column.dtype, column.shape)
    return dataclasses.replace(interactions, **mapped)
