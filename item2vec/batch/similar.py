"""The similar users of ``recommend_all``: files of the nearest users, and the user vectors until then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from item2vec import files
from item2vec.arrays import Floats
from item2vec.batch.users import Listed, UserTastes
from item2vec.index.building import build_for_neighbours
from item2vec.index.results import SearchResults, row_lists
from item2vec.index.search import Index, search
from item2vec.matrices import unit_rows
from item2vec.outputs import output
from item2vec.progress import progress_bar
from item2vec.readers.writing import write_parquet

__all__ = ["FOLDER", "SimilarUsers"]

# Readers of Parquet folders, such as pandas and Spark, ignore names that begin with an underscore.
FOLDER = "_similar_users"
VECTORS = "_user_vectors"
USERS_AT_ONCE = 10_000
"""Number of users whose similar users are in memory at a time."""


@dataclass(frozen=True)
class SimilarUsers:
    """The files of the ``k`` most similar users of each user, in a folder of recommendations: one per block.

    The user vectors of a block are saved before the recommendations of the block are complete. When the
    vectors of all blocks are saved, ``write`` compares them, and removes them.
    """

    folder: Path
    k: int
    n_blocks: int

    @classmethod
    def unfinished(cls, folder: Path, k: int, n_blocks: int) -> SimilarUsers | None:
        """Return ``None`` if the files of all blocks exist; remove the vectors that they were made from.

        Files that a killed process has not completed are removed.
        """
        for leftover in (folder / FOLDER).glob(".*.tmp"):
            leftover.unlink()
        similar = cls(folder, k, n_blocks)
        if not all(similar._file(block).exists() for block in range(n_blocks)):
            return similar
        shutil.rmtree(folder / VECTORS, ignore_errors=True)
        return None

    def save(self, block: int, parts: Iterable[UserTastes]) -> None:
        """Save the user vectors of a block as unit vectors; those of an interrupted call are replaced."""
        ids, vectors = zip(*parts, strict=True)
        (self.folder / VECTORS).mkdir(exist_ok=True)
        files.replace_bytes(self._vectors(block), unit_rows(np.concatenate(vectors)).data)
        # Written last: if the ids of a block exist, its vectors exist.
        files.replace_bytes(self._ids(block), json.dumps([id_ for part in ids for id_ in part]).encode())

    def complete(self, block: int, parts: Iterable[Listed]) -> None:
        """Save the user vectors of a block whose recommendations are complete, if they are missing.

        They are missing if a file of similar users has been removed from a complete folder.
        """
        if not self._ids(block).exists():
            self.save(block, (part.tastes() for part in parts))

    def write(self) -> None:
        """Write the missing files, and remove the user vectors."""
        ids = [self._read_ids(block) for block in range(self.n_blocks)]
        users = [id_ for part in ids for id_ in part]
        index = build_for_neighbours(self._matrix(len(users)), k=self.k) if users else None
        (self.folder / FOLDER).mkdir(exist_ok=True)
        files.set_mode(self.folder / FOLDER, files.FOLDER_MODE)
        bounds = pairwise(accumulate(map(len, ids), initial=0))
        with progress_bar("similar users", self.n_blocks) as advance:
            for block, (start, stop) in enumerate(bounds):
                if not (path := self._file(block)).exists():
                    with output(path, files.FILE_MODE) as file:
                        starts = range(start, stop, USERS_AT_ONCE) or [start]
                        ends = [min(first + USERS_AT_ONCE, stop) for first in starts]
                        parts = zip(starts, ends, strict=True)
                        write_parquet(file, (self._columns(index, users, *part) for part in parts))
                advance(f"{stop:,} users")
        del index  # some file systems do not remove a file that is mapped
        shutil.rmtree(self.folder / VECTORS)

    def _columns(self, index: Index | None, users: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """Return the columns of a file for the users at positions ``start`` to ``stop - 1``."""
        found = self._nearest(index, start, stop)
        owners = np.repeat(np.arange(stop - start), np.diff(found.offsets))
        # Rounding may give parallel vectors a cosine above 1. After clipping, such users have equal scores.
        scores = np.clip(found.scores, -1, 1)
        order = np.lexsort((found.rows, -scores, owners))
        similar, codes = np.unique(found.rows[order], return_inverse=True)
        return {
            "user": (owners.astype(np.int32), users[start:stop]),
            "rank": (np.arange(len(owners)) - found.offsets[owners] + 1).astype(np.int32),
            "similar_user": (codes.astype(np.int32), [users[row] for row in similar.tolist()]),
            "score": scores[order],
        }

    def _nearest(self, index: Index | None, start: int, stop: int) -> SearchResults:
        if index is None or start == stop:
            return SearchResults.joined([])
        own = row_lists([[row] for row in range(start, stop)], len(index.matrix))
        return search(index, index.matrix[start:stop], k=self.k, excluded=own)

    def _matrix(self, n_users: int) -> Floats:
        """Return the unit vectors of all users (float32, n users × dimensions), mapped from one file."""
        path = self.folder / VECTORS / "all"
        with path.open("wb") as joined:
            for block in range(self.n_blocks):
                with self._vectors(block).open("rb") as vectors:
                    shutil.copyfileobj(vectors, joined)
        return np.memmap(path, dtype=np.float32, mode="r").reshape(n_users, -1)

    def _read_ids(self, block: int) -> list[str]:
        path = self._ids(block)
        ids: list[str] = files.parse_json(files.read_text(path), path)
        return ids

    def _file(self, block: int) -> Path:
        return self.folder / FOLDER / f"part-{block:05}.parquet"

    def _vectors(self, block: int) -> Path:
        return self.folder / VECTORS / f"{block:05}.vectors"

    def _ids(self, block: int) -> Path:
        return self.folder / VECTORS / f"{block:05}.json"
