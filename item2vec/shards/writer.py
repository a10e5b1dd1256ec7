"""Write a sharded corpus shard by shard. The folder of the corpus appears when the corpus is complete."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.arguments import as_array, checked
from item2vec.errors import (
    BundleExistsError,
    CorruptBundleError,
    InputError,
    refusing_unwritable,
    short_repr,
)
from item2vec.shards.columns import COLUMNS, fault_of
from item2vec.shards.locks import locked
from item2vec.shards.manifest import (
    FORMAT,
    MANIFEST,
    VOCABULARY,
    Manifest,
    ShardRecord,
    map_shard,
    shard_files,
    verify,
)
from item2vec.types import as_history

__all__ = ["ShardWriter", "check_absent", "shard_of"]

log = logging.getLogger(__name__)

MOST_SHARDS = 100_000
_HEADER, _RECORD = "header.json", "shard.json"
_TOKENS_PER_BLOCK = 1 << 22


@checked
def shard_of(user: str, n_shards: int) -> int:
    """Return the number of a user's shard: the first 32 bits of the MD5 of the id, modulo ``n_shards``.

    >>> [shard_of(user, 4) for user in ("ann", "bob", "ümit")]
    [2, 0, 2]
    """
    if n_shards < 1:
        raise InputError(f"n_shards is {n_shards}; expected at least 1")
    digest = hashlib.md5(user.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % n_shards


def check_absent(path: Path) -> None:
    """Raise ``BundleExistsError`` if a path exists, and ``WriteError`` if this user may not look it up."""
    with refusing_unwritable(path):
        if path.exists():
            raise BundleExistsError(f"{path} already exists; choose another path, or remove it first")


class ShardWriter:
    """Writes a sharded corpus, which ``Sentences.open`` opens, one shard at a time.

    Shards are written to the folder ``.NAME.partial`` beside ``path``, and ``finish`` renames this folder to
    ``path``. If the process ends earlier, a new writer with the same arguments keeps the complete shards
    whose checksums are correct. A writer with other arguments removes all shards. A pickled copy of a writer
    can write shards in another process while the original writer holds the lock of the folder.

    Parameters
    ----------
    path
        Folder to create. It must not exist.
    ids, counts
        Ids by code, and the number of occurrences of each id: sequences or Arrow arrays. If ``counts`` is
        ``None``, ``ids`` is an iterable of Arrow record batches with the columns ``id`` and ``count``, which
        need not fit into memory. ``save_shards``, ``corpus.prepare`` and ``spark.prepare`` order ids by
        descending count, ties by the UTF-8 bytes of the id.
    ordered
        Whether the order of the items in a sentence has a meaning, as for ``Sentences``.
    columns
        Names of the columns of the tokens besides the item codes: ``"weights"``, ``"timestamps"``, both, or
        (by default) none. Every shard must have exactly these columns.
    n_shards
        Number of shards of the corpus: 1 to 100,000.
    source
        Text that identifies the data and the settings. Complete shards of another ``source`` are removed.

    Raises
    ------
    BundleExistsError
        If ``path`` exists.
    LockHeldError
        If another writer, in this or another process, holds the lock of the folder.
    InputError
        If ``ids``, ``counts``, ``columns`` or ``n_shards`` are invalid.
    WriteError
        If a file or folder cannot be written; also raised by ``write``, ``write_runs`` and ``finish``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from item2vec.sentences import Sentences
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ShardWriter(f"{folder}/corpus", ["a", "b"], [2, 1], n_shards=2) as writer:
    ...         for number in writer.missing():
    ...             writer.write(number, np.array([0, 1][number:]), np.array([0, 2 - number]))
    ...         writer.finish()
    ...     list(Sentences.open(f"{folder}/corpus"))
    [['a', 'b'], ['b']]
    """

    @checked
    def __init__(
        self,
        path: str | PathLike[str],
        ids: Any,
        counts: Any = None,
        *,
        ordered: bool = True,
        columns: Sequence[str] = (),
        n_shards: int = 1,
        source: str = "",
    ) -> None:
        if unknown := [name for name in columns if name not in [*COLUMNS]]:
            raise InputError(f"columns contains {unknown[0]!r}; expected only {' and '.join(COLUMNS)}")
        if not 1 <= n_shards <= MOST_SHARDS:
            raise InputError(f"n_shards is {n_shards}; expected 1 to {MOST_SHARDS:,}")
        self.path, self.ordered, self.n_shards = Path(path), ordered, n_shards
        self.columns = [name for name in COLUMNS if name in columns]
        self.folder = self.path.parent / f".{self.path.name}.partial"
        check_absent(self.path)
        with refusing_unwritable(self.path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = locked(self.folder)
        try:
            with refusing_unwritable(self.path):
                self._begin(ids, counts, source)
        except BaseException:
            self.close()
            raise

    def _begin(self, ids: Any, counts: Any, source: str) -> None:
        from item2vec.shards.arrow import write_vocabulary

        fresh = self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self.n_items = write_vocabulary(fresh, ids, counts)
        self.sha256 = {file.name: files.sha256(file) for file in sorted(fresh.iterdir())}
        header = {
            "format": FORMAT,
            "ordered": self.ordered,
            "columns": self.columns,
            "n_shards": self.n_shards,
            "source": hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest(),
            "sha256": self.sha256,
        }
        if not self._has_header(header):
            for leftover in {*self.folder.iterdir()} - {fresh}:
                _remove(leftover)
            files.write_json(self.folder / _HEADER, header, replace=True)
        for file in fresh.iterdir():
            file.replace(self.folder / file.name)
        self._remove_incomplete()

    def _has_header(self, header: dict[str, Any]) -> bool:
        """Return whether the folder has this header; ``False`` if the file is missing or damaged."""
        path = self.folder / _HEADER
        try:
            return bool(files.parse_json(files.read_text(path), path) == header)
        except CorruptBundleError:
            return False

    def _remove_incomplete(self) -> None:
        kept = {_HEADER, *self.sha256}
        for number in range(self.n_shards):
            if not self.is_complete(number):
                continue
            try:
                record = self._record(number)
                verify(self.folder / record.name, record.sha256)
                kept.add(record.name)
            except CorruptBundleError as error:
                log.warning("%s; the shard will be written again", error)
        if complete := len(kept) - 1 - len(self.sha256):
            log.info("%s: %s of %s shards are complete", self.path, complete, self.n_shards)
        for leftover in self.folder.iterdir():
            if leftover.name not in kept:
                _remove(leftover)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    @checked
    def is_complete(self, number: int) -> bool:
        """Return whether a shard was written completely."""
        return (self.folder / _name(number) / _RECORD).exists()

    def missing(self) -> list[int]:
        """Return the numbers of the shards that are not complete."""
        return [number for number in range(self.n_shards) if not self.is_complete(number)]

    @checked
    def write(
        self,
        number: int,
        tokens: npt.NDArray[Any],
        offsets: npt.NDArray[Any],
        weights: npt.NDArray[Any] | None = None,
        timestamps: npt.NDArray[Any] | None = None,
        users: Any = None,
    ) -> None:
        """Write a shard and flush it to the disk; do nothing if the shard is complete.

        ``users`` holds the id of the user of each sentence: a sequence or an Arrow array. A corpus with users
        in only some of its shards cannot be opened.

        Raises
        ------
        InputError
            If the arrays are invalid, or inconsistent with each other or with the columns and the ids of the
            corpus, if ``users`` does not have one id per sentence, if ``number`` is out of range, or if the
            corpus is finished.
        """
        if not 0 <= number < self.n_shards:
            raise InputError(f"number is {number}; expected 0 to {self.n_shards - 1}")
        self._check_unfinished()
        if self.is_complete(number):
            return
        given = {"weights": weights, "timestamps": timestamps}
        columns = {
            name: as_array(column, COLUMNS[name]) for name, column in given.items() if column is not None
        }
        if [*columns] != self.columns:
            raise InputError(f"shard {number} has columns {[*columns]}; expected {self.columns}")
        tokens, offsets = as_array(tokens, "<i4"), as_array(offsets, "<i8")
        flat = all(array.ndim == 1 for array in (tokens, offsets, *columns.values()))
        not_flat = "an array is not one-dimensional; expected one-dimensional arrays"
        fault = fault_of(tokens, offsets, columns, self.n_items) if flat else not_flat
        if fault:
            raise InputError(f"shard {number} is inconsistent: {fault}")
        path = self.folder / _name(number)
        try:
            with refusing_unwritable(path), files.atomic_folder(path) as folder:
                arrays = (tokens, offsets, *columns.values())
                for name, array in zip(shard_files(self.columns), arrays, strict=True):
                    files.write_array(folder / name, array)
                if users is not None:
                    from item2vec.shards.users import write_users

                    write_users(folder, users, len(offsets) - 1)
                sha256 = {file.name: files.sha256(file) for file in sorted(folder.iterdir())}
                record = ShardRecord(_name(number), len(offsets) - 1, len(tokens), sha256)
                files.write_json(folder / _RECORD, asdict(record))
        except BundleExistsError:  # another call wrote the same shard meanwhile
            log.info("shard %s was written by another call", number)

    @checked
    def write_runs(
        self,
        bounds: npt.NDArray[Any],
        tokens: npt.NDArray[Any],
        offsets: npt.NDArray[Any],
        weights: npt.NDArray[Any] | None = None,
        timestamps: npt.NDArray[Any] | None = None,
        users: Any = None,
    ) -> None:
        """Write the missing shards from the arrays of all sentences, then call ``finish``.

        Shard n consists of the sentences from ``bounds[n]`` to ``bounds[n + 1]`` (exclusive).

        Raises
        ------
        InputError
            If ``bounds`` does not have ``n_shards + 1`` ascending numbers, the first 0 and the last the
            number of sentences, or if ``write`` or ``finish`` raises this error.
        BundleExistsError
            If ``path`` exists.
        """
        bounds, offsets = as_array(bounds, "<i8"), as_array(offsets, "<i8")
        ends = [0, *bounds.reshape(-1).tolist(), len(offsets) - 1]
        is_valid = ends[:2] == [0, 0] and ends[-2] == ends[-1] and ends == sorted(ends)
        if bounds.shape != (self.n_shards + 1,) or not is_valid:
            raise InputError(
                f"bounds has shape {bounds.shape} and the values {short_repr(bounds)}; expected "
                f"{self.n_shards + 1} ascending numbers, the first 0 and the last {ends[-1]}"
            )
        names = None if users is None else as_history(users, "users")
        for number in self.missing():
            part = offsets[bounds[number] : bounds[number + 1] + 1]
            run = slice(int(part[0]), int(part[-1]))
            of_tokens = {"weights": weights, "timestamps": timestamps}
            given = {name: column[run] for name, column in of_tokens.items() if column is not None}
            owners = None if names is None else names[bounds[number] : bounds[number + 1]]
            self.write(number, tokens[run], part - part[0], **given, users=owners)
        self.finish()

    @checked
    def finish(self, *, recount: bool = False) -> None:
        """Write the manifest, rename the folder to ``path``, and release the lock.

        If ``recount`` is True, the number of occurrences of each id in the shards replaces the count of the
        id. This is for callers that do not count the items before they write the shards.

        Raises
        ------
        InputError
            If shards are missing, or if the corpus is finished.
        BundleExistsError
            If ``path`` exists.
        """
        self._check_unfinished()
        if missing := self.missing():
            raise InputError(
                f"{len(missing)} of {self.n_shards} shards are missing, the first is {missing[0]}; write the "
                "missing shards, then call finish again"
            )
        with refusing_unwritable(self.path):
            self._finish(recount)
        self.close()

    def _finish(self, recount: bool) -> None:
        records = [self._record(number) for number in range(self.n_shards)]
        if recount:
            self._recount(records)
        manifest = Manifest(self.ordered, self.columns, self.n_items, records, self.sha256)
        for leftover in self.folder.glob(".*.tmp"):  # left by killed processes
            _remove(leftover)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        files.write_json(self.folder / MANIFEST, manifest.as_json())
        files.sync_folder(self.folder)
        files.rename_into_place(self.folder, self.path)
        # Removed after the rename: if the process is killed before it, a later writer keeps all shards.
        (self.path / _HEADER).unlink()
        for record in records:
            (self.path / record.name / _RECORD).unlink()

    def _recount(self, records: Sequence[ShardRecord]) -> None:
        from item2vec.shards.arrow import write_counts

        counts = np.zeros(self.n_items, dtype=np.int64)
        for record in records:
            tokens = map_shard(self.folder, record, self.columns)["tokens"]
            for start in range(0, len(tokens), _TOKENS_PER_BLOCK):
                block = tokens[start : start + _TOKENS_PER_BLOCK]
                counts += np.bincount(block, minlength=self.n_items)
        write_counts(self.folder, counts)
        self.sha256[VOCABULARY] = files.sha256(self.folder / VOCABULARY)

    def close(self) -> None:
        """Release the lock of the folder. Complete shards remain for a later writer."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _check_unfinished(self) -> None:
        if not (self.folder / _HEADER).exists():
            raise InputError(f"{self.path} is already finished; create a writer for another path")

    def _record(self, number: int) -> ShardRecord:
        path = self.folder / _name(number) / _RECORD
        return ShardRecord(**files.parse_json(files.read_text(path), path))


def _name(number: int) -> str:
    return f"{number:05d}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
