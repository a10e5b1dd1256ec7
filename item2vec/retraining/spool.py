"""The spool of a run: interactions in a private folder on disk, whose checksums are verified at each use."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.errors import CorruptBundleError
from item2vec.interactions import Interactions

__all__ = ["Spool"]


class Spool:
    """Interactions written to a new folder, one ``.npy`` file for each column.

    The columns are memory-mapped, so that the kernel can evict them while a model is trained. The folder is
    private to the user, because it holds the histories of all users.

    Examples
    --------
    >>> import tempfile
    >>> listens = Interactions.of(user=["u", "v"], item=["a", "b"], timestamp=np.array([1, 2]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     spool = Spool(listens, Path(folder) / "spool")
    ...     with spool.opened() as interactions:
    ...         print(len(interactions), type(interactions.item.base.base).__name__)
    2 memmap
    """

    def __init__(self, interactions: Interactions, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._digests: dict[Path, str] = {}
        for field in dataclasses.fields(interactions):
            column = getattr(interactions, field.name)
            if hasattr(column, "dtype"):
                path = folder / f"{field.name}.npy"
                # The checksum is computed from the column in memory, so that a faulty write is detected, too.
                self._digests[path] = _digest(column)
                files.write_array(path, column)
        self._interactions = self._map(interactions)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Interactions]:
        """Yield the interactions, memory-mapped. The files are checked before the block and after it.

        Results that were computed in the block are valid only if no error is raised.

        Raises
        ------
        CorruptBundleError
            If a file was changed since it was written, or cannot be read. If the block raised an exception,
            that exception is the ``__cause__``.
        """
        self._check()
        self._interactions = self._map(self._interactions)
        try:
            yield self._interactions
        except Exception as error:
            try:
                self._check()
            except CorruptBundleError as changed:
                raise changed from error
            raise
        self._check()

    def _map(self, interactions: Interactions) -> Interactions:
        """Return interactions whose columns are mapped anew, because a file may have been replaced."""
        columns: dict[str, Any] = {}
        for path in self._digests:
            column = getattr(interactions, path.stem)
            columns[path.stem] = files.open_array(path, column.dtype, column.shape)
        return dataclasses.replace(interactions, **columns)

    def _check(self) -> None:
        for path, expected in self._digests.items():
            column = getattr(self._interactions, path.stem)
            try:
                files.open_array(path, column.dtype, column.shape)
                found = _digest_on_disk(path, column.nbytes)
            except (CorruptBundleError, OSError) as error:
                raise _changed(str(error)) from error
            if found != expected:
                raise _changed(f"{path} has data of SHA-256 {found}; expected {expected}")


def _changed(what: str) -> CorruptBundleError:
    return CorruptBundleError(
        f"the snapshot of the store was changed during the run, so nothing was published: {what}. Check the "
        "disk, and that no other process writes to the models folder; then run the command again"
    )


def _digest(column: npt.NDArray[Any]) -> str:
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return hashlib.sha256(little.reshape(-1).view(np.uint8).data).hexdigest()


def _digest_on_disk(path: Path, n_bytes: int) -> str:
    """Return the SHA-256 of the last ``n_bytes`` bytes of a file, which hold the column.

    The file is not mapped, because access to the mapping of a truncated file kills the process (SIGBUS).
    """
    with path.open("rb") as file:
        file.seek(-n_bytes, os.SEEK_END)
        return hashlib.file_digest(file, "sha256").hexdigest()
