"""A vocabulary in an Arrow file: 10⁸ ids without a Python object for each id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from item2vec import files
from item2vec.arrays import Codes, Offsets
from item2vec.errors import CorruptBundleError, InputError, InputTypeError, InvalidIdError, short_repr
from item2vec.shards.hashing import Lookup, compact
from item2vec.shards.manifest import VOCABULARY
from item2vec.types import MAX_ID_BYTES, Vocabulary, as_history, as_texts, check_ids

__all__ = [
    "ArrowIds",
    "ArrowVocabulary",
    "open_vocabulary",
    "vocabulary_of",
    "write_counts",
    "write_vocabulary",
]

LARGEST_TUPLE = 1 << 21
"""Maximum number of ids (2,097,152) that are read into a ``Vocabulary``, because its look-ups are faster.
For more ids, an ``ArrowVocabulary`` is used."""

BLOCK = 1 << 16
"""Number of ids per record batch of a file, and per block of a look-up."""

SINGLE = 256
"""Up to this number, ids are read or looked up one by one, because this is then faster than in blocks."""

_HASHES, _CODES = "vocabulary.hashes.npy", "vocabulary.codes.npy"
_SCHEMA = pa.schema([("id", pa.string()), ("count", pa.int64())])


class ArrowIds(Sequence[str]):
    """Ids in an Arrow array, as a sequence of text. A slice returns a tuple.

    >>> ArrowIds(pa.chunked_array([["a", "b"], ["c"]]))[1:]
    ('b', 'c')
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: pa.ChunkedArray) -> None:
        self.array = array
        self._chunks = array.chunks
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._chunks)])

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self.listed(np.arange(len(self))[index]))
        row = range(len(self))[index]
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        id_: str = self._chunks[chunk][row - int(self._starts[chunk])].as_py()
        return id_

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block.to_pylist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrowIds):
            return self.array is other.array or bool(self.array.equals(other.array))
        if not isinstance(other, tuple) or len(self) != len(other):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"ArrowIds({len(self):,} ids)"

    def blocks(self) -> Iterator[pa.Array]:
        """Yield the ids in blocks of at most ``BLOCK``."""
        for chunk in self._chunks:
            for start in range(0, len(chunk), BLOCK):
                yield chunk.slice(start, BLOCK)

    def take(self, rows: npt.NDArray[Any]) -> pa.Array:
        """Return the ids at these positions, in the order of ``rows``, as an array of strings.

        Arrow's own ``take`` of a chunked array copies the whole array first.
        """
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        bounds = np.searchsorted(rows, self._starts)
        parts = [
            self._chunks[chunk].take(pa.array(rows[bounds[chunk] : bounds[chunk + 1]] - self._starts[chunk]))
            for chunk in np.flatnonzero(np.diff(bounds)).tolist()
        ]
        place = np.empty(len(rows), dtype=np.int64)
        place[order] = np.arange(len(rows))
        return pa.concat_arrays(parts or [pa.array([], pa.string())]).take(pa.array(place))

    def listed(self, rows: npt.NDArray[Any]) -> list[str]:
        """Return the ids at these positions, in the order of ``rows``."""
        if len(rows) <= SINGLE:
            return [self[row] for row in rows.tolist()]
        blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        return [id_ for block in blocks for id_ in self.take(block).to_pylist()]


class ArrowVocabulary(Vocabulary):
    """A vocabulary over Arrow strings, usually memory-mapped, for more ids than fit into memory as objects.

    An ``ArrowVocabulary`` has the methods of ``Vocabulary`` and equals a vocabulary of the same ids in the
    same order. ``ids`` is a lazy sequence. Ids are looked up by sorted hashes. If the hashes were not saved,
    they are computed at the first look-up. The constructor does not validate the ids.

    >>> songs = ArrowVocabulary(pa.chunked_array([["temptation", "blue-monday"]]))
    >>> songs.encode(["blue-monday", "unheard-of"])
    array([ 1, -1], dtype=int32)
    >>> songs == Vocabulary(("temptation", "blue-monday"))
    True
    """

    ids: ArrowIds
    _lookup: Lookup | None

    def __init__(self, ids: pa.ChunkedArray, lookup: Lookup | None = None) -> None:
        object.__setattr__(self, "ids", ArrowIds(ids))
        object.__setattr__(self, "_lookup", lookup)

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and self._codes([id_])[0] >= 0

    def encode(self, ids: Iterable[str]) -> Codes:
        """Return the codes of ids, in the same order; -1 for an unknown id."""
        if ids is self.ids:
            return np.arange(len(self), dtype=np.int32)
        if isinstance(ids, ArrowIds):
            parts = [self.lookup.find(block.cast(pa.binary()), self.ids.take) for block in ids.blocks()]
        else:
            texts = as_texts(ids)
            parts = [self._codes(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
        return np.concatenate([np.empty(0, dtype=np.int32), *parts])

    def decode(self, codes: Iterable[int]) -> list[str]:
        """Return the ids of codes, in the same order."""
        try:
            rows = codes if isinstance(codes, np.ndarray) else np.array(list(codes))
        except (TypeError, ValueError):
            rows = np.empty(1, dtype=object)
        if not rows.size:
            return []
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(self):
            expected = f"integers from 0 to {len(self) - 1}" if len(self) else "an empty list"
            raise InputError(f"codes are {short_repr(codes)}; expected {expected}")
        return self.ids.listed(rows)

    def take(self, codes: npt.NDArray[Any]) -> Vocabulary:
        """Return a vocabulary of the ids of these codes; the new codes follow the order of ``codes``."""
        if len(codes) <= LARGEST_TUPLE:
            return Vocabulary(tuple(self.decode(codes)))
        blocks = (codes[start : start + BLOCK] for start in range(0, len(codes), BLOCK))
        taken = ArrowVocabulary(pa.chunked_array([self.ids.take(block) for block in blocks]))
        taken.lookup.check_distinct(taken.ids.take)
        return taken

    @property
    def lookup(self) -> Lookup:
        """The sorted hashes of the ids."""
        lookup = self._lookup or Lookup.of(self.ids.blocks(), len(self))
        object.__setattr__(self, "_lookup", lookup)
        return lookup

    def _find(self, id_: str) -> int | None:
        code = int(self._codes([id_])[0])
        return code if code >= 0 else None

    def _codes(self, texts: Sequence[str]) -> Codes:
        if len(texts) <= SINGLE:
            codes = [self.lookup.find_one(text, self.ids.__getitem__) for text in texts]
            return np.array(codes, dtype=np.int32)
        encoded = pa.array([text.encode("utf-8", "surrogatepass") for text in texts], pa.binary())
        return self.lookup.find(encoded, self.ids.take)


def write_vocabulary(folder: Path, ids: Any, counts: Any = None) -> int:
    """Write ids and counts to new files of a folder. Return the number of ids.

    If ``counts`` is set, ``ids`` is a sequence of strings or an Arrow array. If ``counts`` is ``None``,
    ``ids`` is an iterable of Arrow record batches with the columns ``id`` and ``count``. If there are more
    than ``LARGEST_TUPLE`` ids, the files of the look-up are written, too.

    Raises
    ------
    InputError
        If an id is invalid or occurs twice, or if ids and counts have unsupported types or different lengths.
    """
    path = folder / VOCABULARY
    try:
        _write(path, _tables(ids, counts))
    except InputError:
        raise
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputTypeError(
            f"ids is {short_repr(ids)} and counts is {short_repr(counts)}; expected strings and integers, or "
            f"Arrow batches with the columns id and count ({error})"
        ) from error
    array = _mapped(path)
    if len(array) > LARGEST_TUPLE:
        vocabulary = ArrowVocabulary(array)
        vocabulary.lookup.check_distinct(vocabulary.ids.take)
        files.write_array(folder / _HASHES, vocabulary.lookup.hashes)
        files.write_array(folder / _CODES, vocabulary.lookup.codes)
    else:
        Vocabulary(tuple(array.to_pylist()))
    return len(array)


def vocabulary_of(ids: pa.ChunkedArray) -> Vocabulary:
    """Return a ``Vocabulary`` of up to ``LARGEST_TUPLE`` ids, or an ``ArrowVocabulary`` of more ids."""
    return Vocabulary(tuple(ids.to_pylist())) if len(ids) <= LARGEST_TUPLE else ArrowVocabulary(ids)


def write_counts(folder: Path, counts: Offsets) -> None:
    """Replace the counts in the vocabulary file of a folder. The ids do not change."""
    path, fresh = folder / VOCABULARY, folder / f".{VOCABULARY}.tmp"
    fresh.unlink(missing_ok=True)  # left by a process that was killed
    _write(fresh, _tables(_mapped(path), counts))
    fresh.replace(path)


def open_vocabulary(folder: Path, n_items: int) -> Vocabulary:
    """Open the vocabulary of a folder. The caller has verified the checksums of its files.

    Up to ``LARGEST_TUPLE`` ids are read into memory. More ids stay in the file, which is memory-mapped.

    Raises
    ------
    CorruptBundleError
        If the file is not an Arrow file of ids and counts, or the number of ids is not ``n_items``. Also if a
        file of the look-up is invalid.
    """
    path = folder / VOCABULARY
    try:
        array = _mapped(path)
        if len(array) != n_items:
            raise CorruptBundleError(
                f"{path} has {len(array):,} ids; expected {n_items:,}, as in corpus.json: use another copy"
            )
        if n_items <= LARGEST_TUPLE:
            return vocabulary_of(array)
    except (pa.ArrowInvalid, KeyError, InputError, UnicodeDecodeError) as error:
        raise CorruptBundleError(
            f"{path} is not an Arrow file of ids and counts: {error}; use another copy"
        ) from error
    if not (folder / _HASHES).exists():
        return ArrowVocabulary(array)
    hashes = files.open_array(folder / _HASHES, "<u8", (n_items,))
    codes = files.open_array(folder / _CODES, "<i4", (n_items,))
    # Views, because reading an element of a numpy.memmap takes ten times as long.
    return ArrowVocabulary(array, Lookup(hashes.view(np.ndarray), codes.view(np.ndarray)))


def _mapped(path: Path) -> pa.ChunkedArray:
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    if table.schema != _SCHEMA:
        raise pa.ArrowInvalid(f"columns are {_described(table.schema)}; expected {_described(_SCHEMA)}")
    return table["id"]


def _described(schema: pa.Schema) -> str:
    """Return the columns of a schema with their types, for a message."""
    columns = [f"{field.name} ({field.type}{'' if field.nullable else ', not null'})" for field in schema]
    return ", ".join(columns) or "missing"


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    with path.open("xb") as file:
        with pa.ipc.new_file(file, _SCHEMA) as writer:
            for block in _regular(tables):
                writer.write_batch(_compact(block))
        file.flush()
        files.flush(file.fileno())


def _tables(ids: Any, counts: Any) -> Iterator[pa.Table]:
    """Yield tables of ids and counts; an invalid id or a missing count raises an error."""
    if counts is None:
        for batch in ids:
            yield _checked(batch["id"], batch["count"])
    elif isinstance(ids, pa.Array | pa.ChunkedArray):
        yield _checked(ids, pa.array(counts))
    else:
        ids = ids if isinstance(ids, ArrowIds) else as_history(ids, "ids")
        counts = np.asarray(counts)
        if len(ids) != len(counts):
            raise InputError(f"{len(ids):,} ids and {len(counts):,} counts; expected equal numbers")
        for start in range(0, len(ids), BLOCK):
            block = ids[start : start + BLOCK]
            check_ids(block)
            yield _checked(pa.array(block, pa.string()), pa.array(counts[start : start + BLOCK]))


def _checked(ids: Any, counts: Any) -> pa.Table:
    table = pa.table({"id": ids, "count": counts}).cast(_SCHEMA)
    sizes = pc.min_max(pc.binary_length(table["id"])).as_py()
    nul = pc.any(pc.match_substring(table["id"], "\0")).as_py()
    if table["id"].null_count or table["count"].null_count or nul or sizes["min"] == 0:
        raise InvalidIdError(
            "an id is empty or null, or contains a NUL character, or a count is null; expected ids of 1 to "
            f"{MAX_ID_BYTES} UTF-8 bytes of text, each with a count"
        )
    if (sizes["max"] or 1) > MAX_ID_BYTES:
        raise InvalidIdError(f"an id has {sizes['max']:,} bytes; expected 1 to {MAX_ID_BYTES} UTF-8 bytes")
    return table


def _regular(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows in tables of ``BLOCK`` rows, so that the file does not depend on the input batches."""
    waiting = _SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= BLOCK:
            yield waiting.slice(0, BLOCK)
            waiting = waiting.slice(BLOCK)
    if len(waiting):
        yield waiting


def _compact(block: pa.Table) -> pa.RecordBatch:
    """Return the rows in one record batch with new buffers; ``hashing.compact`` states the reason."""
    ids = compact(pa.concat_arrays(block["id"].chunks))
    counts = pa.py_buffer(block["count"].to_numpy().astype("<i8").tobytes())
    return pa.record_batch([ids, pa.Array.from_buffers(pa.int64(), len(ids), [None, counts])], _SCHEMA)
