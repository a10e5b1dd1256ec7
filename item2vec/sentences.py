"""The training corpus: sequences of item codes in two flat arrays; and encoded histories."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets
from item2vec.errors import BundleNotFoundError, CorruptBundleError, InputError, InputTypeError
from item2vec.interactions import microseconds, read_only
from item2vec.types import Vocabulary, as_history

__all__ = ["Histories", "Sentences", "encode_histories", "offsets_of"]

_FORMAT = 2
_READABLE = (1, _FORMAT)
_FILES = ("tokens.npy", "offsets.npy", "ids.jsonl")
_COLUMNS = {"weights": "<f4", "timestamps": "<i8"}
"""Optional columns with one number per token, and their dtypes on disk; format 1 has no timestamps."""


@dataclass(frozen=True, eq=False, repr=False)
class Sentences(Sequence[list[str]]):
    """Sentences of items: ``tokens[offsets[i]:offsets[i + 1]]`` are the codes of sentence ``i``, in order.

    ``tokens`` is int32 (n tokens), ``offsets`` int64 (n sentences + 1, from 0 to n tokens). ``weights``
    (float32, one per token, or ``None``) is the training weight of a token. ``timestamps`` (int64
    microseconds since 1970-01-01 UTC, one per token, or ``None``) is the time of its interaction.
    ``ordered=False`` means that the order within a sentence carries no information; training then reshuffles
    each sentence in each epoch.

    An integer index returns a list of ids, a slice returns ``Sentences``.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b", "c"], ["b", "c"]])
    >>> playlists
    Sentences(2 sentences, 5 tokens, 3 items, lengths 2 to 3)
    >>> playlists[1]
    ['b', 'c']
    >>> playlists.counts()
    array([1, 2, 2])
    """

    vocabulary: Vocabulary
    tokens: Codes
    offsets: Offsets
    weights: Floats | None = None
    timestamps: Offsets | None = None
    ordered: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", read_only(self.tokens, np.int32))
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))
        if self.weights is not None:
            object.__setattr__(self, "weights", read_only(self.weights, np.float32))
        if self.timestamps is not None:
            object.__setattr__(self, "timestamps", read_only(self.timestamps, np.int64))
        fault = _fault(self)
        if fault:
            raise InputError(f"sentences are inconsistent: {fault}")

    @classmethod
    def of(cls, sentences: Iterable[Iterable[str]], *, ordered: bool = True) -> Sentences:
        """Create sentences from lists of ids; codes are assigned in order of first appearance."""
        lists = [as_history(sentence, "a sentence") for sentence in sentences]
        ids = [id_ for sentence in lists for id_ in sentence]
        vocabulary = Vocabulary.of(ids)
        tokens = vocabulary.encode(ids)
        return cls(vocabulary, tokens, offsets_of([len(sentence) for sentence in lists]), ordered=ordered)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sentences: ...
    def __getitem__(self, index: int | slice) -> list[str] | Sentences:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        row = range(len(self))[index]
        return self.vocabulary.decode(self.tokens[self.offsets[row] : self.offsets[row + 1]])

    def __iter__(self) -> Iterator[list[str]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        kind = "" if self.ordered else ", unordered"
        spread = f", lengths {self.lengths.min()} to {self.lengths.max()}" if len(self) else ""
        sizes = f"{len(self):,} sentences, {len(self.tokens):,} tokens, {len(self.vocabulary):,} items"
        return f"Sentences({sizes}{spread}{kind})"

    @property
    def lengths(self) -> Offsets:
        """The number of tokens of each sentence."""
        return np.diff(self.offsets)

    def counts(self) -> Offsets:
        """Return the number of occurrences of each item, by code."""
        return np.bincount(self.tokens, minlength=len(self.vocabulary)).astype(np.int64)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content in hexadecimal; equal sentences have equal fingerprints.

        >>> Sentences.of([["a", "b"]]).fingerprint()[:8]
        '599ccbe5'
        """
        shape = (self.ordered, len(self), len(self.tokens), self.weights is not None)
        timed = b"" if self.timestamps is None else b"timestamps"
        digest = hashlib.sha256(str(shape).encode() + timed)
        columns = [
            (self.tokens, "<i4"),
            (self.offsets, "<i8"),
            (self.weights, "<f4"),
            (self.timestamps, "<i8"),
        ]
        for array, dtype in columns:
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype=dtype).data)
        digest.update("".join(f"{len(id_.encode())}:{id_}" for id_ in self.vocabulary.ids).encode())
        return digest.hexdigest()

    def take(self, sentences: npt.NDArray[Any]) -> Sentences:
        """Return the sentences at these positions (or in a mask), in this order, with the same vocabulary."""
        rows = np.flatnonzero(sentences) if sentences.dtype == bool else np.asarray(sentences, dtype=np.int64)
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return self.regroup(source, offsets)

    def keep(self, tokens: Mask) -> Sentences:
        """Return the sentences reduced to the tokens that the mask (one flag per token) selects."""
        kept_before = np.concatenate(([0], np.cumsum(tokens, dtype=np.int64)))
        return self.regroup(np.flatnonzero(tokens), kept_before[self.offsets])

    def __add__(self, other: Sentences) -> Sentences:
        """Concatenate two corpora; the vocabulary is the union of both.

        If only one has weights, the tokens of the other get weight 1. Timestamps are kept if both have them.

        >>> list(Sentences.of([["a", "b"]]) + Sentences.of([["c", "a"]]))
        [['a', 'b'], ['c', 'a']]
        """
        ids = dict.fromkeys((*self.vocabulary.ids, *other.vocabulary.ids))
        vocabulary = Vocabulary(tuple(ids))
        code_of = vocabulary.encode(other.vocabulary.ids)
        weights = None
        if self.weights is not None or other.weights is not None:
            parts = [np.ones(len(s.tokens)) if s.weights is None else s.weights for s in (self, other)]
            weights = np.concatenate(parts).astype(np.float32)
        timestamps = None
        if self.timestamps is not None and other.timestamps is not None:
            timestamps = np.concatenate((self.timestamps, other.timestamps))
        return Sentences(
            vocabulary,
            np.concatenate((self.tokens, code_of[other.tokens])),
            np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:])),
            weights,
            timestamps,
            ordered=self.ordered and other.ordered,
        )

    def regroup(self, source: npt.NDArray[Any], offsets: Offsets) -> Sentences:
        """Return sentences of the tokens at positions ``source``, cut at ``offsets``; positions may repeat.

        >>> list(Sentences.of([["a", "b", "c"]]).regroup(np.array([0, 0, 1]), np.array([0, 1, 3])))
        [['a'], ['a', 'b']]
        """
        columns = {name: column[source] for name, column in self._columns().items()}
        return dataclasses.replace(self, tokens=self.tokens[source], offsets=offsets, **columns)

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the optional columns that are not ``None``, by name."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return {name: column for name, column in columns.items() if column is not None}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the sentences to a new folder, which ``open`` memory-maps."""
        with files.atomic_folder(Path(path)) as folder:
            files.write_array(folder / "tokens.npy", self.tokens)
            files.write_array(folder / "offsets.npy", self.offsets)
            for name, column in self._columns().items():
                files.write_array(folder / f"{name}.npy", column)
            files.write_ids(folder / "ids.jsonl", self.vocabulary.ids)
            header = {
                "format": _FORMAT,
                "kind": "sentences",
                "n_sentences": len(self),
                "n_tokens": len(self.tokens),
                "n_items": len(self.vocabulary),
                "ordered": self.ordered,
                "columns": [*self._columns()],
                "sha256": {file.name: files.sha256(file) for file in folder.iterdir()},
            }
            files.write_json(folder / "sentences.json", header)

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Sentences:
        """Memory-map saved sentences, read-only, after verifying the checksum of every file.

        Raises
        ------
        BundleNotFoundError
            If the folder does not exist.
        CorruptBundleError
            If a file is missing, altered, or inconsistent with the others.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise BundleNotFoundError(f"no folder {folder}; expected one written by Sentences.save")
        text = files.read_text(folder / "sentences.json", files.MAX_JSON_BYTES)
        header = files.parse_json(text, folder / "sentences.json")
        try:
            if header["format"] not in _READABLE or header["kind"] != "sentences":
                raise CorruptBundleError(
                    f"{folder} has format {header['format']} and kind {header['kind']!r}; expected kind "
                    f"'sentences' in a format up to {_FORMAT}"
                )
            names = header["columns"] if header["format"] > 1 else ["weights"] * header["weighted"]
            dtypes = {name: _COLUMNS[name] for name in names}
            for name in (*_FILES, *(f"{column}.npy" for column in dtypes)):
                if files.sha256(folder / name) != header["sha256"][name]:
                    raise CorruptBundleError(f"{folder / name} is damaged: its SHA-256 is not as recorded")
            n_sentences, n_tokens = int(header["n_sentences"]), int(header["n_tokens"])
            vocabulary = Vocabulary(files.read_ids(folder / "ids.jsonl"))
            if len(vocabulary) != header["n_items"]:
                raise CorruptBundleError(f"{folder} has {len(vocabulary)} ids; expected {header['n_items']}")
            return cls(
                vocabulary,
                files.open_array(folder / "tokens.npy", "<i4", (n_tokens,)),
                files.open_array(folder / "offsets.npy", "<i8", (n_sentences + 1,)),
                **{
                    n: files.open_array(folder / f"{n}.npy", dtype, (n_tokens,))
                    for n, dtype in dtypes.items()
                },
                ordered=bool(header["ordered"]),
            )
        except CorruptBundleError:
            raise
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise CorruptBundleError(f"{folder} does not contain valid sentences: {error}") from error


def offsets_of(lengths: Sequence[int] | npt.NDArray[Any]) -> Offsets:
    """Return the start of each of consecutive runs of these lengths, and the end of the last.

    >>> offsets_of([2, 0, 3])
    array([0, 2, 2, 5])
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Histories(NamedTuple):
    """Histories encoded with a model's vocabulary, oldest item first.

    ``codes[offsets[i]:offsets[i + 1]]`` (int32) are the items of history ``i``. ``weights`` (float64) and
    ``timestamps`` (int64 microseconds) have one entry per item, or are ``None``.
    """

    codes: Codes
    offsets: Offsets
    weights: Doubles | None = None
    timestamps: Offsets | None = None

    def keep(self, items: Mask) -> Histories:
        """Return the histories reduced to the items that the mask (one flag per item) selects."""
        return Histories(
            self.codes[items],
            offsets_of(items)[self.offsets],
            None if self.weights is None else self.weights[items],
            None if self.timestamps is None else self.timestamps[items],
        )


def encode_histories(
    vocabulary: Vocabulary,
    histories: Sentences | Iterable[Iterable[str]],
    *,
    weights: Iterable[Sequence[float] | npt.NDArray[Any]] | None = None,
    timestamps: Iterable[Sequence[Any] | npt.NDArray[Any]] | None = None,
) -> Histories:
    """Encode histories, with their weights and timestamps; drop items that are not in the vocabulary.

    ``Sentences`` already contain weights and timestamps. For lists of ids, pass one list of weights or
    timestamps per history, of the same length. Weights are rounded to float32, their type in ``Sentences``.

    Raises
    ------
    InputError
        If weights or timestamps differ in length from the histories, or are passed along with ``Sentences``.

    Examples
    --------
    >>> encode_histories(Vocabulary(("a", "b")), [["b", "z"], ["z"], ["a"]])
    Histories(codes=array([1, 0], dtype=int32), offsets=array([0, 1, 1, 2]), weights=None, timestamps=None)
    """
    if isinstance(histories, str):
        raise InputTypeError(f"histories is the text {histories!r}; expected a list of lists of ids")
    if isinstance(histories, Sentences):
        if weights is not None or timestamps is not None:
            raise InputError("Sentences contain weights and timestamps; pass neither of them separately")
        codes = vocabulary.encode(histories.vocabulary.ids)[histories.tokens]
        own_weights = None if histories.weights is None else histories.weights.astype(np.float64)
        encoded = Histories(codes, histories.offsets, own_weights, histories.timestamps)
    else:
        lists = [as_history(history, "a history") for history in as_history(histories, "histories")]
        lengths = [len(history) for history in lists]
        encoded = Histories(
            vocabulary.encode(item for history in lists for item in history),
            offsets_of(lengths),
            None if weights is None else _joined("weights", map(_weights, weights), lengths),
            None if timestamps is None else _joined("timestamps", map(microseconds, timestamps), lengths),
        )
    return encoded.keep(encoded.codes >= 0)


def _weights(weights: Sequence[float] | npt.NDArray[Any]) -> Doubles:
    try:
        with np.errstate(over="ignore"):
            column = np.asarray(weights, dtype=np.float32).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"weights are {weights!r}; expected finite numbers >= 0") from error
    if not bool(np.all(np.isfinite(column) & (column >= 0))):
        raise InputError(f"weights are {weights!r}; expected finite numbers >= 0")
    return column


def _joined(name: str, columns: Iterable[npt.NDArray[Any]], lengths: Sequence[int]) -> npt.NDArray[Any]:
    """Concatenate one column per history; each must have the length of its history."""
    parts = list(columns)
    if [part.shape for part in parts] != [(length,) for length in lengths]:
        found = ", ".join(str(part.size) for part in parts[:5])
        expected = ", ".join(map(str, lengths[:5]))
        raise InputError(
            f"{name} of {found} numbers for histories of {expected} items; expected equal lengths"
        )
    return np.concatenate([np.empty(0, parts[0].dtype if parts else np.float64), *parts])


def _fault(sentences: Sentences) -> str | None:
    tokens, offsets, weights = sentences.tokens, sentences.offsets, sentences.weights
    n_items = len(sentences.vocabulary)
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
        return f"offsets must run from 0 to {len(tokens)}, the number of tokens"
    if len(offsets) > 1 and int(np.diff(offsets).min()) < 0:
        return "offsets decrease"
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= n_items):
        return f"a token is outside 0 … {n_items - 1}"
    for name, column in sentences._columns().items():
        if len(column) != len(tokens):
            return f"{len(column)} {name} for {len(tokens)} tokens"
    if weights is not None and not bool(np.all(np.isfinite(weights) & (weights >= 0))):
        return "weights must be finite and non-negative"
    return None
