"""Training corpus (``Sentences``): item codes in flat arrays."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.arguments import check_fields, check_rows, checked
from item2vec.arrays import Codes, Floats, Mask, Offsets
from item2vec.errors import BundleNotFoundError, CorruptBundleError, InputError
from item2vec.interactions import read_only
from item2vec.types import Vocabulary, as_history

__all__ = ["Sentences", "offsets_of"]

_FORMAT = 2
_READABLE = (1, _FORMAT)
_FILES = ("tokens.npy", "offsets.npy", "ids.jsonl")
_COLUMNS = {"weights": "<f4", "timestamps": "<i8"}
"""Dtype on disk of each optional column, which has one number per token. Format 1 has no timestamps."""


@dataclass(frozen=True, eq=False, repr=False)
class Sentences(Sequence[list[str]]):
    """Sentences of items: ``tokens[offsets[i]:offsets[i + 1]]`` are the item codes of sentence ``i``.

    ``tokens`` (int32) holds the codes of all sentences. ``offsets`` (int64) has length n sentences + 1, from
    0 to the number of tokens. ``weights`` (float32) holds the training weight of each token, or is ``None``.
    A token of negative weight is a dislike of its user; it is not trained, and a history moves away from it.
    ``timestamps`` (int64) holds the time of each token's interaction in microseconds since 1970-01-01 UTC, or
    is ``None``. ``ordered=False`` means that the order of tokens in a sentence carries no information;
    training then shuffles each sentence in each epoch.

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
        check_fields(self)
        object.__setattr__(self, "tokens", read_only(self.tokens, np.int32))
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))
        if self.weights is not None:
            object.__setattr__(self, "weights", read_only(self.weights, np.float32))
        if self.timestamps is not None:
            object.__setattr__(self, "timestamps", read_only(self.timestamps, np.int64))
        if fault := _fault(self):
            raise InputError(f"sentences are inconsistent: {fault}")

    @classmethod
    @checked
    def of(cls, sentences: Iterable[Iterable[str]], *, ordered: bool = True) -> Sentences:
        """Create sentences from lists of ids. Codes are assigned in order of first appearance."""
        lists = [as_history(sentence, "a sentence") for sentence in as_history(sentences, "sentences")]
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
        """Number of tokens in each sentence."""
        return np.diff(self.offsets)

    def counts(self) -> Offsets:
        """Return the number of occurrences of each item, indexed by code."""
        return np.bincount(self.tokens, minlength=len(self.vocabulary)).astype(np.int64)

    def fingerprint(self) -> str:
        """Return the SHA-256 digest of the content in hexadecimal. Equal sentences have equal digests.

        >>> Sentences.of([["a", "b"]]).fingerprint()[:8]
        '599ccbe5'
        """
        shape = (self.ordered, len(self), len(self.tokens), self.weights is not None)
        timed = b"" if self.timestamps is None else b"timestamps"
        digest = hashlib.sha256(str(shape).encode() + timed)
        arrays = (self.tokens, self.offsets, self.weights, self.timestamps)
        for array, dtype in zip(arrays, ("<i4", "<i8", "<f4", "<i8"), strict=True):
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype=dtype).data)
        digest.update("".join(f"{len(id_.encode())}:{id_}" for id_ in self.vocabulary.ids).encode())
        return digest.hexdigest()

    @property
    def liked(self) -> Sentences:
        """The sentences without the tokens of negative weight; ``self`` if no weight is negative."""
        weights = np.zeros(0) if self.weights is None else self.weights
        return self.keep(weights >= 0) if bool((weights < 0).any()) else self

    @checked
    def take(self, sentences: npt.NDArray[Any]) -> Sentences:
        """Return the sentences selected by a mask, or by positions and in the order of the positions.

        The vocabulary does not change.
        """
        check_rows(sentences, len(self), "sentences")
        rows = np.flatnonzero(sentences) if sentences.dtype == bool else np.asarray(sentences, dtype=np.int64)
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return self.regroup(source, offsets)

    @checked
    def keep(self, tokens: Mask) -> Sentences:
        """Return the sentences with only the tokens that a mask selects (one flag per token).

        The number of sentences does not change.
        """
        check_rows(tokens, len(self.tokens), "tokens")
        kept_before = np.concatenate(([0], np.cumsum(tokens, dtype=np.int64)))
        return self.regroup(np.flatnonzero(tokens), kept_before[self.offsets])

    def __add__(self, other: Sentences) -> Sentences:
        """Concatenate two corpora. The vocabulary is the union of the two vocabularies.

        If only one corpus has weights, the tokens of the other corpus have weight 1. Timestamps are kept if
        both corpora have timestamps.

        >>> list(Sentences.of([["a", "b"]]) + Sentences.of([["c", "a"]]))
        [['a', 'b'], ['c', 'a']]
        """
        ids = dict.fromkeys((*self.vocabulary.ids, *other.vocabulary.ids))
        vocabulary = Vocabulary(tuple(ids))
        code_of = vocabulary.encode(other.vocabulary.ids)
        weights = None
        if self.weights is not None or other.weights is not None:
            both = [np.ones(len(s.tokens)) if s.weights is None else s.weights for s in (self, other)]
            weights = np.concatenate(both).astype(np.float32)
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

    @checked
    def regroup(self, source: npt.NDArray[Any], offsets: Offsets) -> Sentences:
        """Return sentences of the tokens at positions ``source``, split at ``offsets``. Positions may repeat.

        >>> list(Sentences.of([["a", "b", "c"]]).regroup(np.array([0, 0, 1]), np.array([0, 1, 3])))
        [['a'], ['a', 'b']]
        """
        check_rows(source, len(self.tokens), "source")
        columns = {name: column[source] for name, column in self._columns().items()}
        return dataclasses.replace(self, tokens=self.tokens[source], offsets=offsets, **columns)

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the optional columns that are not ``None``, by name."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return {name: column for name, column in columns.items() if column is not None}

    @checked
    def save(self, path: str | PathLike[str]) -> None:
        """Write the sentences to a new folder, for ``Sentences.open``."""
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
    @checked
    def open(cls, path: str | PathLike[str]) -> Sentences:
        """Open saved sentences as read-only memory maps. The checksum of each file is verified first.

        Raises
        ------
        BundleNotFoundError
            If the folder does not exist.
        CorruptBundleError
            If a file is missing or damaged, or files are inconsistent with each other.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise BundleNotFoundError(f"no folder {folder}; expected a folder written by Sentences.save")
        text = files.read_text(folder / "sentences.json", files.MAX_JSON_BYTES)
        header = files.parse_json(text, folder / "sentences.json")
        try:
            if header["format"] not in _READABLE or header["kind"] != "sentences":
                raise CorruptBundleError(
                    f"{folder} has format {header['format']} and kind {header['kind']!r}; expected format 1 "
                    f"to {_FORMAT} and kind 'sentences': upgrade item2vec, or use a folder of Sentences.save"
                )
            names = header["columns"] if header["format"] > 1 else ["weights"] * header["weighted"]
            dtypes = {name: _COLUMNS[name] for name in names}
            for name in (*_FILES, *(f"{column}.npy" for column in dtypes)):
                if files.sha256(folder / name) != header["sha256"][name]:
                    raise CorruptBundleError(
                        f"{folder / name} does not have the SHA-256 in sentences.json: "
                        "the file was changed or damaged; use another copy of the folder"
                    )
            n_sentences, n_tokens = int(header["n_sentences"]), int(header["n_tokens"])
            vocabulary = Vocabulary(files.read_ids(folder / "ids.jsonl"))
            if len(vocabulary) != header["n_items"]:
                raise CorruptBundleError(
                    f"{folder} has {len(vocabulary)} ids; expected {header['n_items']}, as in "
                    "sentences.json: use another copy of the folder"
                )
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
            raise CorruptBundleError(
                f"{folder} does not contain valid sentences: {error}; check its permissions, or use "
                "another copy of the folder"
            ) from error


def offsets_of(lengths: Sequence[int] | npt.NDArray[Any]) -> Offsets:
    """Return the offsets of consecutive runs: the start of each run, and the end of the last run.

    >>> offsets_of([2, 0, 3])
    array([0, 2, 2, 5])
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    offsets[1:] = lengths
    np.add.accumulate(offsets, out=offsets)
    return offsets


def _fault(sentences: Sentences) -> str | None:
    tokens, offsets, weights = sentences.tokens, sentences.offsets, sentences.weights
    n_items = len(sentences.vocabulary)
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
        return f"offsets do not start at 0 and end at {len(tokens)}, the number of tokens"
    if len(offsets) > 1 and int(np.diff(offsets).min()) < 0:
        return "offsets decrease; expected non-decreasing offsets"
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= n_items):
        return f"a token is outside 0 … {n_items - 1}; expected codes of the vocabulary"
    for name, column in sentences._columns().items():
        if len(column) != len(tokens):
            return f"{len(column)} {name} for {len(tokens)} tokens; expected equal numbers"
    if weights is not None and not bool(np.isfinite(weights).all()):
        return "a weight is not finite; expected finite numbers"
    return None
