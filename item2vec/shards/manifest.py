"""The manifest of a sharded corpus, the verification of checksums, and the memory maps of a shard."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.errors import CorruptBundleError
from item2vec.shards.columns import COLUMNS

__all__ = [
    "MANIFEST",
    "VOCABULARY",
    "Manifest",
    "ShardRecord",
    "map_shard",
    "read_manifest",
    "shard_files",
    "verify",
]

MANIFEST = "corpus.json"
VOCABULARY = "vocabulary.arrow"
USERS = "users.arrow"
MAX_MANIFEST_BYTES = 1 << 27
FORMAT = 1

_DIGEST = re.compile("[0-9a-f]{64}")
_LOOKUP_FILES = {"vocabulary.hashes.npy", "vocabulary.codes.npy"}


@dataclass(frozen=True)
class ShardRecord:
    """Size and checksums of a shard; ``sha256`` holds the SHA-256 of each file by name."""

    name: str
    n_sentences: int
    n_tokens: int
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """Contents of ``corpus.json``. ``sha256`` holds the SHA-256 of each file of the vocabulary by name."""

    ordered: bool
    columns: Sequence[str]
    n_items: int
    shards: Sequence[ShardRecord]
    sha256: Mapping[str, str]

    def of_arrays(self, shards: Iterable[Mapping[str, npt.NDArray[Any]]]) -> Manifest:
        """Return the manifest of a new corpus: the vocabulary is the same, the arrays of the shards differ.

        ``shards`` has the arrays of each shard by name. The new corpus has no users.
        """
        records = [
            ShardRecord(
                before.name,
                len(arrays["offsets"]) - 1,
                len(arrays["tokens"]),
                {f"{name}.npy": _digest_of(array) for name, array in arrays.items()},
            )
            for before, arrays in zip(self.shards, shards, strict=True)
        ]
        return replace(self, shards=records)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object."""
        return {
            "format": FORMAT,
            "kind": "corpus",
            "ordered": self.ordered,
            "columns": list(self.columns),
            "n_sentences": sum(shard.n_sentences for shard in self.shards),
            "n_tokens": sum(shard.n_tokens for shard in self.shards),
            "n_items": self.n_items,
            "shards": [asdict(shard) for shard in self.shards],
            "sha256": dict(self.sha256),
        }


def shard_files(columns: Sequence[str]) -> list[str]:
    """Return the names of the files of a shard, without the file of its users.

    >>> shard_files(["weights"])
    ['tokens.npy', 'offsets.npy', 'weights.npy']
    """
    return ["tokens.npy", "offsets.npy", *(f"{column}.npy" for column in columns)]


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``corpus.json``, and verify the files of the vocabulary.

    Raises
    ------
    CorruptBundleError
        If the manifest is damaged or has another kind or format, or if a file of the vocabulary is missing or
        does not have the checksum in the manifest.
    """
    path = folder / MANIFEST
    value = files.parse_json(files.read_text(path, MAX_MANIFEST_BYTES), path)
    try:
        if (value["format"], value["kind"]) != (FORMAT, "corpus"):
            raise CorruptBundleError(
                f"{path} has format {value['format']!r} and kind {value['kind']!r}; expected format {FORMAT} "
                "and kind 'corpus': upgrade item2vec, or use a folder of item2vec prepare"
            )
        shards = [ShardRecord(**shard) for shard in value["shards"]]
        manifest = Manifest(value["ordered"], value["columns"], value["n_items"], shards, value["sha256"])
        consistent = _is_valid(manifest) and manifest.as_json() == value
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, CorruptBundleError):
            raise
        raise CorruptBundleError(
            f"{path} is not a manifest of a corpus: {type(error).__name__}: {error}; use another copy of the "
            "folder"
        ) from error
    if not consistent:
        raise CorruptBundleError(
            f"{path} is damaged: an entry is invalid or unknown, or a total is not the sum over the shards; "
            "use another copy of the folder"
        )
    verify(folder, manifest.sha256)
    return manifest


def map_shard(folder: Path, shard: ShardRecord, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a shard as read-only memory maps. The caller has verified its checksums."""
    where = folder / shard.name
    return {
        "tokens": files.open_array(where / "tokens.npy", "<i4", (shard.n_tokens,)),
        "offsets": files.open_array(where / "offsets.npy", "<i8", (shard.n_sentences + 1,)),
        **{
            name: files.open_array(where / f"{name}.npy", COLUMNS[name], (shard.n_tokens,))
            for name in columns
        },
    }


def _digest_of(array: npt.NDArray[Any]) -> str:
    """Return the SHA-256 of the file that ``files.write_array`` would write for an array."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    digest = hashlib.sha256(header.getvalue())
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def verify(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raise ``CorruptBundleError`` if a file is missing or has another SHA-256."""
    for name, expected in sha256.items():
        try:
            found = files.sha256(folder / name)
        except OSError as error:
            raise files.unreadable(folder / name, error) from error
        if found != expected:
            raise CorruptBundleError(
                f"{folder / name} does not have the SHA-256 in {MANIFEST}: the file was changed or damaged; "
                "use another copy of the folder"
            )


def _is_valid(manifest: Manifest) -> bool:
    sizes = [manifest.n_items, *(n for shard in manifest.shards for n in (shard.n_sentences, shard.n_tokens))]
    digests = [*manifest.sha256.values(), *(d for shard in manifest.shards for d in shard.sha256.values())]
    vocabulary = set(manifest.sha256)
    return (
        type(manifest.ordered) is bool
        and len(manifest.shards) > 0
        and list(manifest.columns) == [name for name in COLUMNS if name in manifest.columns]
        and all(type(n) is int and n >= 0 for n in sizes)
        and all(_DIGEST.fullmatch(digest) for digest in digests)
        and vocabulary in ({VOCABULARY}, {VOCABULARY, *_LOOKUP_FILES})
        and all(shard.name == f"{number:05d}" for number, shard in enumerate(manifest.shards))
        and all({*shard.sha256} - {USERS} == {*shard_files(manifest.columns)} for shard in manifest.shards)
        and len({USERS in shard.sha256 for shard in manifest.shards}) == 1
    )
