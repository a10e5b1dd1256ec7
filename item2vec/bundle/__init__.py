"""Write and read bundles. A bundle is a folder that contains a model. Its files are written once.

::

    manifest.json    the model's settings, the size and SHA-256 of every other file, and its own SHA-256
    ids.jsonl        item ids in row order, one JSON string per line
    input.npy        float32, items × dimensions: input vectors
    output.npy       float32, items × dimensions: output vectors; optional
    positions.npy    float32, parts × positions: learned weights of history positions, newest first, for each
                     part of the vectors (one part per value of ``context_decay``); optional
    counts.npy       float64, one per item: frequencies in training
    items.parquet    titles and attributes of the items; optional
    popularity.npy   float32, one per item: the popularity prior; optional
    layout.npy       float32, items × 2: coordinates of the items on a plane, for maps; optional
    neighbours_offsets.npy, neighbours_items.npy, neighbours_weights.npy
                     int64, int32, float32: the table of neighbours; optional
    index.faiss or index.ann, and groups.npy
                     an approximate index; absent if the index is exact
    unit_input.npy, similar_index.faiss or similar_index.ann, similar_groups.npy
                     float32, items × dimensions: input vectors of length 1, and an approximate index of them,
                     for similar items; optional
    report.html      the HTML page of the nightly run that made the model; optional

Each file is checked when a bundle is read. A bundle with a damaged page is refused, too, because a damaged
file is a sign of a failing disk or an incomplete copy. Reading a bundle unpickles no objects and opens no
files outside its folder. Checksums detect damage, not tampering: load bundles only from trusted sources.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from item2vec import index as indexes
from item2vec.arrays import Floats
from item2vec.bundle.layout import with_layout
from item2vec.bundle.manifest import (
    ALLOWED,
    LAYOUT,
    REPORT,
    FileEntry,
    Manifest,
    describe,
    read_manifest,
    sealed_manifest,
)
from item2vec.bundle.parts import Parts
from item2vec.bundle.plausible import check_norms
from item2vec.bundle.similar import map_units, open_similar, with_similar_index, write_similar
from item2vec.bundle.tables import open_neighbours, write_neighbours
from item2vec.config import NextItem
from item2vec.errors import (
    BundleNotFoundError,
    CorruptBundleError,
    Item2VecError,
    Remedy,
    refusing_unwritable,
)
from item2vec.files import (
    FOLDER_MODE,
    READ_ONLY_MODE,
    atomic_folder,
    flush,
    open_array,
    read_ids,
    replace_bytes,
    set_mode,
    sha256,
    unreadable,
    write_array,
    write_bytes,
    write_ids,
)
from item2vec.prior import searched_matrix
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = [
    "Manifest",
    "Parts",
    "add_report",
    "read",
    "verify",
    "with_layout",
    "with_similar_index",
    "write",
]

MANIFEST = "manifest.json"
TRAIN_ONE = "train one: item2vec train --playlists FILE --models DIR"
OTHER_COPY = "use another copy of the bundle"


def write(parts: Parts, path: Path, *, note: Mapping[str, Any] = {}, now: datetime | None = None) -> Manifest:
    """Write a model to a new folder atomically, read it back from the disk, and return the manifest.

    All users can read the files, whatever the umask is, and the files are read-only. With the same versions
    of Python and the libraries, equal parts, notes and values of ``now`` produce identical files.

    Parameters
    ----------
    parts
        Model to write.
    path
        Folder to create.
    note
        JSON values to store in the manifest.
    now
        Creation time to store in the manifest, with a time zone; with ``None``, no time is stored.

    Raises
    ------
    BundleExistsError
        If ``path`` already exists.
    InputError
        If the norm of a vector or the weight of a history position is not below 1e18, the note contains
        values other than JSON values, the manifest is longer than 1 MiB, or ``now`` has no time zone.
    CorruptBundleError
        If the written files cannot be read back.
    WriteError
        If a file cannot be written, for example because the disk is full, or a mode cannot be set. After any
        error, no new file is left.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from item2vec import TasteConfig
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> parts = Parts(vectors, TasteConfig(score="cosine"), indexes.build(vectors.unit_input), items=None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = write(parts, Path(folder) / "songs", note={"why": "an example"})
    ...     read(Path(folder) / "songs").vectors, verify(Path(folder) / "songs") == manifest
    (ItemVectors(2 items × 2 dimensions, input only), True)
    """
    check_norms(parts.vectors)
    advice = "check the disk and the permissions of the folder"
    with refusing_unwritable(path, advice), atomic_folder(path) as folder:
        set_mode(folder, FOLDER_MODE)
        index_settings = _write_parts(parts, folder)
        # Without an approximate index, similar items are scanned.
        is_scanned = index_settings["kind"] == "exact"
        similar_settings = None if is_scanned else write_similar(parts.similar_index, folder)
        history_decay = None if parts.neighbours is None else parts.neighbours.decay
        entries = {path.name: _finish_file(path) for path in sorted(folder.iterdir())}
        manifest = describe(
            parts.vectors,
            parts.taste,
            parts.adapter,
            index=index_settings,
            similar_index=similar_settings,
            neighbours_decay=history_decay,
            has_prior=parts.prior is not None,
            has_layout=parts.layout is not None,
            files=entries,
            note=note,
            now=now,
        )
        write_bytes(folder / MANIFEST, sealed_manifest(manifest))
        _finish_file(folder / MANIFEST)
        read(folder)
    return manifest


def add_report(path: Path, page: Path) -> None:
    """Move the HTML page of a run into a bundle that is not published yet, and list it in the manifest.

    ``read`` checks the page, but does not return it: a model that is loaded and saved again has no page.

    Parameters
    ----------
    path
        Folder of the bundle.
    page
        File of the page, on the same file system.

    Raises
    ------
    CorruptBundleError
        If the manifest is damaged.
    InputError
        If the manifest is longer than 1 MiB with the page.
    WriteError
        If the disk fails, or a mode cannot be set. The bundle may then be incomplete: do not publish it.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import TasteConfig
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> parts = Parts(vectors, TasteConfig(score="cosine"), indexes.build(vectors.unit_input), items=None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, page = Path(folder) / "songs", Path(folder) / "page.html"
    ...     manifest, n_bytes = write(parts, path), page.write_text("<h1>Songs</h1>")
    ...     add_report(path, page)
    ...     sorted(verify(path).files.keys() - manifest.files.keys())
    ['report.html']
    """
    with refusing_unwritable(path, "check the disk and the permissions of the folder"):
        manifest, _ = read_manifest(path / MANIFEST)
        entries = {**manifest.files, REPORT: _finish_file(page)}
        features = (*manifest.features, "report")
        with_page = manifest.model_copy(update={"files": entries, "features": features})
        page.rename(path / REPORT)
        replace_bytes(path / MANIFEST, sealed_manifest(with_page))
        _finish_file(path / MANIFEST)


def read(path: Path, *, verify: bool = True, manifest_sha256: str | None = None) -> Parts:
    """Read and check a bundle.

    The matrices are memory-mapped, so processes that read the same bundle share its memory.

    Parameters
    ----------
    path
        Folder of the bundle.
    verify
        Whether to compare the SHA-256 of each file with the manifest. If false, only the checksum of the
        manifest, and the sizes and the structure of the other files are checked, which is faster.
    manifest_sha256
        Expected SHA-256 of the manifest; with ``None``, the SHA-256 of the manifest is not compared.

    Raises
    ------
    BundleNotFoundError
        If ``path`` contains no bundle.
    CorruptBundleError
        If a file cannot be read, or is missing, unexpected, damaged or inconsistent with other files, or if
        the bundle requires a newer version of item2vec.
    """
    return _read(path, verify, manifest_sha256)[1]


def verify(path: Path, *, manifest_sha256: str | None = None) -> Manifest:
    """Check a bundle with all checks of ``read``, and return its manifest. Errors are those of ``read``."""
    return _read(path, True, manifest_sha256)[0]


def _write_parts(parts: Parts, folder: Path) -> dict[str, Any]:
    """Write all files except the manifest and the similar index; return the settings of the index."""
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
    if parts.layout is not None:
        write_array(folder / LAYOUT, parts.layout)
    write_neighbours(parts.neighbours, folder)
    if parts.items is not None:
        _readers().write_items(parts.items, folder / "items.parquet")
    return parts.index.save(folder)


def _finish_file(path: Path) -> FileEntry:
    """Make a file readable by all users, and read-only; return its size and SHA-256."""
    set_mode(path, READ_ONLY_MODE)
    with path.open("rb") as file:
        flush(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = os.fstat(file.fileno())
        if hasattr(os, "posix_fadvise"):
            # Drop the file from the page cache, so that it is read back from the disk.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return FileEntry(size=status.st_size, sha256=digest)


def _read(path: Path, hashes: bool, manifest_sha256: str | None) -> tuple[Manifest, Parts]:
    try:
        manifest = _check_files(path, hashes, manifest_sha256)
        return manifest, _assemble(path, manifest)
    except (BundleNotFoundError, CorruptBundleError):
        raise
    except Item2VecError as error:
        raise CorruptBundleError(
            f"{path} contains an invalid model: {error}; use another copy of the bundle"
        ) from error
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from error


def _check_files(path: Path, hashes: bool, manifest_sha256: str | None) -> Manifest:
    """Compare the files of a bundle with its manifest, and return the manifest.

    Names and sizes are compared; if ``hashes`` is true, checksums are compared, too. The SHA-256 of the
    manifest must be ``manifest_sha256``, unless this argument is ``None``.
    """
    sizes = _regular_files(path)
    if sizes.pop(MANIFEST, None) is None:
        if ALLOWED & sizes.keys():
            raise CorruptBundleError(f"{path / MANIFEST} is missing; {OTHER_COPY}")
        raise _not_found(path)
    manifest, digest = read_manifest(path / MANIFEST)
    if manifest_sha256 not in {None, digest}:
        raise CorruptBundleError(
            f"{path / MANIFEST} has SHA-256 {digest}; expected {manifest_sha256}: the file was changed or "
            f"damaged; {OTHER_COPY}"
        )
    if sizes.keys() != manifest.files.keys():
        raise CorruptBundleError(
            f"{path} contains {sorted(sizes)}; expected the files that its manifest lists, "
            f"{sorted(manifest.files)}: {OTHER_COPY}"
        )
    for name, entry in manifest.files.items():
        if sizes[name] != entry.size:
            raise CorruptBundleError(
                f"{path / name} has {sizes[name]:,} bytes; expected {entry.size:,}: {OTHER_COPY}"
            )
        if hashes and sha256(path / name) != entry.sha256:
            raise CorruptBundleError(
                f"{path / name} is damaged: expected SHA-256 {entry.sha256}, as in the manifest; {OTHER_COPY}"
            )
    return manifest


def _regular_files(path: Path) -> dict[str, int]:
    """Return the sizes of the files in a folder, in bytes.

    Raises
    ------
    BundleNotFoundError
        If the folder does not exist, or is not a folder.
    CorruptBundleError
        If the folder contains anything but regular files.
    """
    try:
        with os.scandir(path) as entries:
            status_of = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    for name, status in status_of.items():
        if not stat.S_ISREG(status.st_mode):
            mode = stat.filemode(status.st_mode)
            raise CorruptBundleError(f"{path / name} has mode {mode}; expected a regular file: {OTHER_COPY}")
    return {name: status.st_size for name, status in status_of.items()}


def _not_found(path: Path) -> BundleNotFoundError:
    return BundleNotFoundError(
        f"{path} contains no bundle",
        remedies=[Remedy("", text=f"save a model there (model.save), or {TRAIN_ONE}", otherwise=TRAIN_ONE)],
    )


def _assemble(path: Path, manifest: Manifest) -> Parts:
    n_items, size = manifest.n_items, manifest.vector_size
    ids = read_ids(path / "ids.jsonl")
    if len(ids) != n_items:
        raise CorruptBundleError(
            f"{path / 'ids.jsonl'} has {len(ids):,} ids; expected {n_items:,}: {OTHER_COPY}"
        )
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
    check_norms(vectors)
    has_units = map_units(path, manifest, vectors)
    has_prior = "popularity.npy" in manifest.files
    prior = open_array(path / "popularity.npy", np.float32, (n_items,)) if has_prior else None
    index = indexes.load(path, searched_matrix(vectors, manifest.taste, prior), manifest.index)
    is_scanned = index.kind == "exact"  # the library is missing, which has been logged
    similar = open_similar(path, manifest, vectors) if has_units and not is_scanned else None
    items = _readers().open_items(path / "items.parquet") if "items.parquet" in manifest.files else None
    layout = open_array(path / LAYOUT, np.float32, (n_items, 2)) if LAYOUT in manifest.files else None
    neighbours = open_neighbours(path, manifest)
    further = (neighbours, prior, layout, similar, manifest.created_at)
    return Parts(vectors, manifest.taste, index, items, manifest.adapter, *further)


def _open_positions(path: Path, manifest: Manifest) -> Floats:
    parts = manifest.train.context_decay if isinstance(manifest.train, NextItem) else ()
    return open_array(path / "positions.npy", np.float32, (len(parts), None))


def _readers() -> ModuleType:
    # Imported on demand, because a model without items does not require pandas.
    return importlib.import_module("item2vec.readers")
