"""Intermediate files of one shard, which executors write before the vocabulary of the corpus is known.

The folder of these files has a temporary name until all files are complete.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from item2vec import files
from item2vec.arrays import Offsets
from item2vec.errors import BundleExistsError
from item2vec.sentences import Sentences
from item2vec.shards.columns import COLUMNS
from item2vec.shards.manifest import USERS
from item2vec.shards.users import write_users

__all__ = ["Part", "read_counts", "write_counts"]

log = logging.getLogger(__name__)

COUNTS = pa.schema([("id", pa.string()), ("count", pa.int64())])
ITEMS = "items.arrow"
DTYPES = {"tokens": "<i4", "offsets": "<i8", **COLUMNS}


@dataclass(frozen=True)
class Part:
    """The sentences of a shard, the user of each sentence, and the items of the shard with their counts.

    The item codes of the sentences are positions in the list of the items of this shard.
    """

    folder: Path
    shard: int

    @property
    def path(self) -> Path:
        """The folder that contains the files of this shard."""
        return self.folder / str(self.shard)

    def write(self, sentences: Sentences, counts: Offsets, users: Sequence[str]) -> None:
        """Write the files, unless another execution of the same task has written them."""
        arrays = {name: getattr(sentences, name) for name in DTYPES}
        ids = pa.array(sentences.vocabulary.ids, pa.string())
        try:
            with files.atomic_folder(self.path) as folder:
                write_counts(folder / ITEMS, [pa.record_batch([ids, pa.array(counts)], COUNTS)])
                write_users(folder, users, len(sentences))
                for name, array in arrays.items():
                    if array is not None:
                        files.write_array(folder / f"{name}.npy", array)
        except BundleExistsError:
            log.info("shard %d was written by another execution of the task", self.shard)

    def items(self) -> pa.Table:
        """Return the id and the count of each item, in the order of the codes."""
        return read_counts(self.path / ITEMS)

    def users(self) -> pa.ChunkedArray:
        """Return the user of each sentence."""
        return _mapped(self.path / USERS)["id"]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of the sentences by name, memory-mapped."""
        paths = {name: self.path / f"{name}.npy" for name in DTYPES}
        return {n: files.open_array(path, DTYPES[n], (None,)) for n, path in paths.items() if path.exists()}


def write_counts(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches of ids and counts atomically as an Arrow file; return the number of rows."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    n_rows = 0
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, COUNTS) as writer:
        for batch in batches:
            writer.write_batch(batch.rename_columns(COUNTS.names).cast(COUNTS))
            n_rows += batch.num_rows
    temporary.replace(path)
    return n_rows


def read_counts(path: Path) -> pa.Table:
    """Memory-map the rows of a file that ``write_counts`` wrote."""
    return _mapped(path)


def _mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
