"""Bundles: a model as a folder of plain files, written once, and checked before it is used.

::

    manifest.json    what the model is; size and SHA-256 of every other file; sealed with its own SHA-256
    ids.jsonl        the id of row 0, 1, …; one JSON string a line
    input.npy        float32, items × dimensions
    output.npy       the same shape; absent where training had no output vectors
    positions.npy    float32, parts × steps back: learned weights of a history; absent where none were learned
    counts.npy       float64, one an item
    items.parquet    titles and attributes; absent where the model has none
    popularity.npy   float32, one an item: the popularity prior; absent where the model has none
    neighbours_offsets.npy, neighbours_items.npy, neighbours_weights.npy
                     the table of neighbours (int64, int32, float32); absent where the model has none
    index.ann, groups.npy    an Annoy index; absent where the index is exact

Nothing in a bundle is ever unpickled, and nothing outside its folder is ever opened. Checksums find damage,
not malice: load bundles only from places that you trust.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from item2vec import index as indexes
from item2vec.arrays import Floats
from item2vec.bundle.manifest import (
    ALLOWED,
    FileEntry,
    Manifest,
    describe,
    read_manifest,
    sealed_manifest,
)
from item2vec.config import AdapterConfig, NextItem, TasteConfig
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError, Item2VecError, WriteError
from item2vec.files import (
    folder_written_whole,
    open_array,
    read_ids,
    sha256,
    write_array,
    write_bytes,
    write_ids,
)
from item2vec.interactions import read_only
from item2vec.items import Items
from item2vec.neighbours import NeighbourTable
from item2vec.prior import check_prior, searched_matrix
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = ["Manifest", "Parts", "read", "verify", "write"]

MANIFEST = "manifest.json"
NEIGHBOURS = ("offsets", "items", "weights")


@dataclass(frozen=True, eq=False)
class Parts:
    """What a model is made of.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> Parts(vectors, TasteConfig(score="cosine"), indexes.build(vectors.unit_input), items=None).vectors
    ItemVectors(2 items × 2 dimensions, input only)
    """

    vectors: ItemVectors
    taste: TasteConfig
    index: indexes.Index
    items: Items | None
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    neighbours: NeighbourTable | None = None
    prior: Floats | None = None

    def __post_init__(self) -> None:
        n_items, table = len(self.vectors), self.neighbours
        if self.prior is not None:
            object.__setattr__(self, "prior", read_only(self.prior, np.float32))
        check_prior(self.prior, self.taste, n_items)
        if table is None and self.taste.mixture:
            raise ConfigError(
                f"mixture={self.taste.mixture} adds a table of neighbours, and there is none; pass "
                "neighbours=, or use fit, which builds it"
            )
        if table is not None and len(table) != n_items:
            raise ConfigError(
                f"the table of neighbours has {len(table):,} rows; expected one for each of {n_items:,} "
                "items: build it with item2vec.neighbours.table_for(sentences, vectors.vocabulary)"
            )
        if self.adapter.days is not None:
            raise ConfigError(
                f"adapter has days={self.adapter.days}; a model needs the time from which they count: pass "
                "adapter.resolved(interactions.timestamp)"
            )


def write(parts: Parts, path: Path, *, note: Mapping[str, Any] = {}, now: datetime | None = None) -> Manifest:
    """Write a model into a new folder, whole or not at all, and read it back from the disk.

    Its files are read-only from then on. The same parts, note and ``now`` give the same bytes.

    Raises
    ------
    BundleExistsError
        If there is something at this path already.
    InputError
        If the note is not made of JSON values, or ``now`` has no time zone.
    WriteError
        If the disk is full or fails; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> parts = Parts(vectors, TasteConfig(score="cosine"), indexes.build(vectors.unit_input), items=None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = write(parts, Path(folder) / "songs", note={"why": "an example"})
    ...     read(Path(folder) / "songs").vectors, verify(Path(folder) / "songs") == manifest
    (ItemVectors(2 items × 2 dimensions, input only), True)
    """
    try:
        with folder_written_whole(path) as folder:
            about = _write_parts(parts, folder)
            history_decay = None if parts.neighbours is None else parts.neighbours.decay
            entries = {path.name: _finished(path) for path in sorted(folder.iterdir())}
            manifest = describe(
                parts.vectors,
                parts.taste,
                parts.adapter,
                index=about,
                neighbours_decay=history_decay,
                has_prior=parts.prior is not None,
                files=entries,
                note=note,
                now=now,
            )
            write_bytes(folder / MANIFEST, sealed_manifest(manifest))
            _finished(folder / MANIFEST)
            read(folder)
    except Item2VecError:
        raise
    except OSError as error:
        raise WriteError(f"{path} could not be written: {error.strerror}; nothing is left of it") from error
    return manifest


def read(path: Path, *, verify: bool = True, manifest_sha256: str | None = None) -> Parts:
    """Read a model; everything is checked before it is used.

    The matrices are mapped, not copied: processes that read the same bundle share its memory.

    Parameters
    ----------
    path
        The bundle's folder.
    verify
        Compare the SHA-256 of every file. Without it only sizes and structure are checked, which is quicker
        and trusts that nothing has changed on the disk.
    manifest_sha256
        What the manifest's own SHA-256 must be, where it is known from elsewhere.

    Raises
    ------
    BundleNotFoundError
        If there is no bundle at this path.
    CorruptBundleError
        If a file is missing, strange, damaged or does not fit the others, or a newer item2vec wrote it.
    """
    return _read(path, verify, manifest_sha256)[1]


def verify(path: Path, *, manifest_sha256: str | None = None) -> Manifest:
    """Check all of a bundle, as ``read`` does, and return its manifest."""
    return _read(path, True, manifest_sha256)[0]


def _write_parts(parts: Parts, folder: Path) -> dict[str, Any]:
    vectors = parts.vectors
    write_ids(folder / "ids.jsonl", vectors.vocabulary.ids)
    write_array(folder / "input.npy", vectors.input)
    write_array(folder / "counts.npy", vectors.counts)
    if vectors.output is not None:
        write_array(folder / "output.npy", vectors.output)
    if vectors.positions is not None:
        write_array(folder / "positions.npy", vectors.positions)
    if parts.prior is not None:
        write_array(folder / "popularity.npy", parts.prior)
    if parts.neighbours is not None:
        for name in NEIGHBOURS:
            write_array(folder / f"neighbours_{name}.npy", getattr(parts.neighbours, name))
    if parts.items is not None:
        _readers().write_items(parts.items, folder / "items.parquet")
    return parts.index.save(folder)


def _finished(path: Path) -> FileEntry:
    """Make a file that was flushed to the disk read-only, and return its size and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = os.fstat(file.fileno())
        os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode) & ~0o222)
        # So that reading it back tells what the disk holds, not what memory remembers.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return FileEntry(size=status.st_size, sha256=digest)


def _read(path: Path, hashes: bool, manifest_sha256: str | None) -> tuple[Manifest, Parts]:
    try:
        manifest = _checked(path, hashes, manifest_sha256)
        return manifest, _assembled(path, manifest)
    except (BundleNotFoundError, CorruptBundleError):
        raise
    except Item2VecError as error:
        raise CorruptBundleError(f"{path} does not hold a usable model: {error}") from error
    except OSError as error:
        raise CorruptBundleError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _checked(path: Path, hashes: bool, manifest_sha256: str | None) -> Manifest:
    sizes = _regular_files(path)
    if sizes.pop(MANIFEST, None) is None:
        if ALLOWED & sizes.keys():
            raise CorruptBundleError(f"{path / MANIFEST} is missing; use another copy of the bundle")
        raise _not_found(path)
    manifest, digest = read_manifest(path / MANIFEST)
    if manifest_sha256 not in {None, digest}:
        raise CorruptBundleError(f"{path / MANIFEST} has SHA-256 {digest}; expected {manifest_sha256}")
    if sizes.keys() != manifest.files.keys():
        raise CorruptBundleError(f"{path} holds {sorted(sizes)}; its manifest lists {sorted(manifest.files)}")
    for name, entry in manifest.files.items():
        if sizes[name] != entry.size:
            raise CorruptBundleError(f"{path / name} is {sizes[name]:,} bytes; expected {entry.size:,}")
        if hashes and sha256(path / name) != entry.sha256:
            raise CorruptBundleError(f"{path / name} is damaged: its SHA-256 is not {entry.sha256}")
    return manifest


def _regular_files(path: Path) -> dict[str, int]:
    """Return the size of each file in a folder that must hold nothing else."""
    try:
        with os.scandir(path) as entries:
            status_of = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    for name, status in status_of.items():
        if not stat.S_ISREG(status.st_mode):
            found = stat.filemode(status.st_mode)
            raise CorruptBundleError(f"{path / name} is not a regular file ({found}); bundles hold no others")
    return {name: status.st_size for name, status in status_of.items()}


def _not_found(path: Path) -> BundleNotFoundError:
    return BundleNotFoundError(
        f"there is no bundle at {path}; save a model there (model.save), or train one: "
        "item2vec train --playlists FILE --models DIR"
    )


def _assembled(path: Path, manifest: Manifest) -> Parts:
    n_items, size = manifest.n_items, manifest.vector_size
    ids = read_ids(path / "ids.jsonl")
    if len(ids) != n_items:
        raise CorruptBundleError(f"{path / 'ids.jsonl'} has {len(ids):,} ids; expected {n_items:,}")
    vectors = ItemVectors(
        vocabulary=Vocabulary(ids),
        input=open_array(path / "input.npy", np.float32, (n_items, size)),
        output=open_array(path / "output.npy", np.float32, (n_items, size))
        if "output.npy" in manifest.files
        else None,
        counts=open_array(path / "counts.npy", np.float64, (n_items,)),
        config=manifest.train,
        positions=_open_positions(path, manifest) if "positions.npy" in manifest.files else None,
        curve=manifest.epochs,
    )
    popular = "popularity.npy" in manifest.files
    prior = open_array(path / "popularity.npy", np.float32, (n_items,)) if popular else None
    index = indexes.load(path, searched_matrix(vectors, manifest.taste, prior), manifest.index)
    items = _readers().open_items(path / "items.parquet") if "items.parquet" in manifest.files else None
    return Parts(vectors, manifest.taste, index, items, manifest.adapter, _neighbours(path, manifest), prior)


def _neighbours(path: Path, manifest: Manifest) -> NeighbourTable | None:
    """Map the table of neighbours into memory, if the manifest lists one."""
    listed = {f"neighbours_{name}.npy" for name in NEIGHBOURS} & manifest.files.keys()
    if not listed and manifest.neighbours_decay is None:
        return None
    if len(listed) < len(NEIGHBOURS) or manifest.neighbours_decay is None:
        raise CorruptBundleError(
            f"{path} lists {sorted(listed)} and neighbours_decay={manifest.neighbours_decay}; expected three "
            "files and a decay, or none of them"
        )
    offsets = open_array(path / "neighbours_offsets.npy", np.int64, (manifest.n_items + 1,))
    n = int(offsets[-1])
    items = open_array(path / "neighbours_items.npy", np.int32, (n,))
    weights = open_array(path / "neighbours_weights.npy", np.float32, (n,))
    return NeighbourTable(offsets, items, weights, manifest.neighbours_decay)


def _open_positions(path: Path, manifest: Manifest) -> Floats:
    parts = manifest.train.context_decay if isinstance(manifest.train, NextItem) else ()
    return open_array(path / "positions.npy", np.float32, (len(parts), None))


def _readers() -> ModuleType:
    # Only here: a model without items is loaded without pandas.
    return importlib.import_module("item2vec.readers")
