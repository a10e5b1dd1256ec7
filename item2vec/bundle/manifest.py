"""Create, write and read the manifest of a bundle: the model's settings, and a checksum of each file."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)

from item2vec import __version__
from item2vec.bundle.seal import read_sealed, sealed
from item2vec.config import AdapterConfig, TasteConfig, Training, of_its_objective
from item2vec.errors import CorruptBundleError, InputError
from item2vec.files import MAX_JSON_BYTES
from item2vec.vectors import Epoch, ItemVectors

__all__ = [
    "LAYOUT",
    "REPORT",
    "SIMILAR",
    "UNITS",
    "FileEntry",
    "Manifest",
    "describe",
    "read_manifest",
    "sealed_manifest",
]

KNOWN_FEATURES = frozenset({"bonuses", "faiss", "layout", "popularity", "positions", "report", "similar"})
REQUIRED = frozenset({"counts.npy", "ids.jsonl", "input.npy"})
NEIGHBOURS = frozenset({"neighbours_items.npy", "neighbours_offsets.npy", "neighbours_weights.npy"})
UNITS = "unit_input.npy"
SIMILAR = frozenset({"similar_groups.npy", "similar_index.ann", "similar_index.faiss", UNITS})
LAYOUT = "layout.npy"
REPORT = "report.html"
OPTIONAL = frozenset(
    {
        "groups.npy",
        "index.ann",
        "index.faiss",
        "items.parquet",
        LAYOUT,
        "output.npy",
        "popularity.npy",
        "positions.npy",
        REPORT,
    }
)
ALLOWED = REQUIRED | NEIGHBOURS | SIMILAR | OPTIONAL

Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[int, Finite, Finite] | tuple[int, Finite | None, Finite | None, Finite | None]
UtcTime = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]


def _migrate_train(train: object) -> object:
    """Remove the fields of other objectives, which version 0.1.0 wrote to the training settings."""
    return of_its_objective(train) if isinstance(train, dict) else train


def _is_none(value: object) -> bool:
    return value is None


class FileEntry(BaseModel):
    """The size in bytes and the SHA-256 of a file.

    >>> FileEntry(size=0, sha256="0" * 64).size
    0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The content of ``manifest.json``.

    ``features`` lists the features that a reader of this bundle must support. ``created_at`` is the creation
    time; ``None`` if the writer stored no time. ``tokens`` is the sum of the item counts. ``train`` has the
    training settings; ``None`` if there are none, as for imported vectors. ``adapter`` contains the settings
    for the conversion of events to histories, and ``index`` the settings of the index. ``similar_index`` has
    the settings of the index of unit input vectors; without this index, the field is omitted, so that older
    releases read the manifest. ``neighbours_decay`` is the decay of the table of neighbours; ``None`` if
    there is no table. ``curve`` contains (epoch, hit rate, NDCG, loss) for each epoch. In ``curve``, unknown
    values are null, and version 0.1.0 wrote no loss. ``libraries`` contains the versions of Python and of
    libraries. ``note`` contains JSON values from the caller.

    Examples
    --------
    >>> from item2vec import Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> manifest = describe(vectors, TasteConfig(), index={}, files={}, note={"why": "an example"}, now=None)
    >>> manifest.n_items, manifest.vector_size, manifest.tokens, manifest.note
    (2, 2, 3.0, {'why': 'an example'})
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = 1
    features: tuple[str, ...] = ()
    created_at: UtcTime | None
    n_items: Count
    vector_size: Count
    tokens: Finite
    train: Annotated[Training, BeforeValidator(_migrate_train)] | None
    taste: TasteConfig
    adapter: AdapterConfig = AdapterConfig()
    index: dict[str, JsonValue]
    similar_index: dict[str, JsonValue] | None = Field(default=None, exclude_if=_is_none)
    neighbours_decay: Finite | None = None
    curve: tuple[Point, ...]
    libraries: dict[str, str]
    note: dict[str, JsonValue]
    files: dict[str, FileEntry]

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The training curve, ``curve``, as ``Epoch`` objects."""
        return tuple(Epoch(*point) for point in self.curve)


def describe(
    vectors: ItemVectors,
    taste: TasteConfig,
    adapter: AdapterConfig | None = None,
    *,
    index: Mapping[str, Any],
    similar_index: Mapping[str, Any] | None = None,
    neighbours_decay: float | None = None,
    has_prior: bool = False,
    has_layout: bool = False,
    files: Mapping[str, FileEntry],
    note: Mapping[str, Any],
    now: datetime | None,
) -> Manifest:
    """Return the manifest of a model with the given files.

    Raises
    ------
    InputError
        If a value is invalid, for example if the note contains values other than JSON values, or ``now`` has
        no time zone.
    """
    uses = {
        "bonuses": bool(taste.repeat_bonus or taste.mixture) or neighbours_decay is not None,
        "faiss": index.get("kind") == "faiss",
        "layout": has_layout,
        "popularity": has_prior,
        "positions": vectors.positions is not None,
        "similar": similar_index is not None,
    }
    try:
        return Manifest(
            features=tuple(name for name, is_used in uses.items() if is_used),
            created_at=now,
            n_items=len(vectors),
            vector_size=vectors.input.shape[1],
            tokens=float(vectors.counts.sum()),
            train=vectors.config,
            taste=taste,
            adapter=adapter or AdapterConfig(),
            index=dict(index),
            similar_index=None if similar_index is None else dict(similar_index),
            neighbours_decay=neighbours_decay,
            curve=tuple((point.epoch, point.hr, point.ndcg, point.loss) for point in vectors.curve),
            libraries=_libraries(),
            note=dict(note),
            files=dict(files),
        )
    except ValidationError as error:
        raise InputError(
            f"the manifest has invalid values: {_explain(error)}; correct note or now"
        ) from error


def sealed_manifest(manifest: Manifest) -> bytes:
    """Return the content of ``manifest.json``: the manifest as JSON, with its own SHA-256 checksum.

    Raises
    ------
    InputError
        If the note is not valid JSON, or the manifest is longer than 1 MiB.
    """
    try:
        content = manifest.model_dump(mode="json")
        text = sealed(content)
        Manifest.model_validate_json(json.dumps(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"the note is not JSON: {error}; expected text, finite numbers, booleans, None, lists and dicts"
        ) from error
    if len(text) > MAX_JSON_BYTES:
        raise InputError(
            f"the manifest has {len(text):,} bytes; expected at most {MAX_JSON_BYTES:,}: "
            "shorten the note or the training curve"
        )
    return text


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Read a manifest; return the manifest and the SHA-256 of its file.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the file does not exist.
    CorruptBundleError
        If the file cannot be read or is damaged, lists an unknown file or lacks a required one, or requires a
        feature of a newer version of item2vec.
    """
    content, digest = read_sealed(path)
    features = content.get("features")
    unknown = [name for name in features if name not in KNOWN_FEATURES] if isinstance(features, list) else []
    if unknown:
        raise CorruptBundleError(
            f"{path} was written by a newer version of item2vec: it requires {unknown}; upgrade item2vec"
        )
    try:
        # Strict validation accepts lists as tuples, and text as times, only in JSON text, not in objects.
        manifest = Manifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise CorruptBundleError(
            f"{path} is not a valid manifest: {_explain(error)}; use another copy of the bundle"
        ) from error
    listed = manifest.files.keys()
    if not REQUIRED <= listed <= ALLOWED:
        raise CorruptBundleError(
            f"{path} lists {sorted(listed)}; expected {sorted(REQUIRED)} and optionally "
            f"{sorted(ALLOWED - REQUIRED)}: use another copy of the bundle"
        )
    return manifest, digest


def _libraries() -> dict[str, str]:
    versions = {"item2vec": __version__, "numpy": np.__version__, "python": platform.python_version()}
    for name in ("annoy", "faiss-cpu", "gensim"):
        # For damaged metadata, ``version`` returns None or, in newer versions of Python, raises KeyError.
        with contextlib.suppress(PackageNotFoundError, KeyError):
            if found := version(name):
                versions[name] = found
    return versions


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False)
    texts = [f"{'.'.join(map(str, detail['loc'][:5]))}: {detail['msg']}" for detail in details[:3]]
    return "; ".join(texts + ([f"and {len(details) - 3} more errors"] if len(details) > 3 else []))
