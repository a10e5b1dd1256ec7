"""Training corpus: item codes in flat arrays (``Sentences``), or in shards (``ShardedSentences``)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from item2vec.arguments import check_fields, check_rows, checked, row_indices
from item2vec.arrays import Codes, Floats, Mask, Offsets
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.shards.columns import COLUMNS, fault_of, fingerprint_of, offsets_of
from item2vec.shards.folder import is_sharded, read_sentences, refusing_inconsistent, write_sentences
from item2vec.shards.lazy import LazyShards, mapped
from item2vec.shards.manifest import Manifest
from item2vec.shards.writer import ShardWriter
from item2vec.types import Vocabulary, as_history

__all__ = ["Sentences", "ShardedSentences", "joined", "offsets_of"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Sentences(Sequence[list[str]]):
    """Sentences of items: ``tokens[offsets[i]:offsets[i + 1]]`` are the item codes of sentence ``i``.

    ``tokens`` (int32) holds the codes of all sentences: positions of items in ``vocabulary``. ``offsets``
    (int64) has length n sentences + 1, from 0 to the number of tokens. ``weights`` (float32) holds the
    training weight of each token, or is ``None``. A token of negative weight is a dislike: training skips it,
    and user vectors are moved away from its item. ``timestamps`` (int64) holds the time of each token's
    interaction in microseconds since 1970-01-01 UTC, or is ``None``. ``ordered=False`` means that the order
    of tokens in a sentence carries no information; training then shuffles each sentence, see ``train``.

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
        if fault := fault_of(self.tokens, self.offsets, self._columns(), len(self.vocabulary)):
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
    def shards(self) -> Sequence[Sentences]:
        """The sentences as the only shard, for code that also reads ``ShardedSentences``."""
        return (self,)

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of those columns among ``weights`` and ``timestamps`` that are not ``None``."""
        return tuple(self._columns())

    @property
    def lengths(self) -> Offsets:
        """Number of tokens in each sentence."""
        return np.diff(self.offsets)

    def counts(self) -> Offsets:
        """Return the number of occurrences of each item, indexed by code."""
        return np.bincount(self.tokens, minlength=len(self.vocabulary)).astype(np.int64)

    def fingerprint(self) -> str:
        """Return the SHA-256 digest of all fields in hexadecimal. Equal fields give equal digests.

        >>> Sentences.of([["a", "b"]]).fingerprint()[:8]
        '599ccbe5'
        """
        return fingerprint_of(self._arrays(), self.vocabulary.ids, ordered=self.ordered)

    def whole(self) -> Sentences:
        """Return these sentences, for code that also reads ``ShardedSentences``."""
        return self

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
        rows = row_indices(sentences, len(self), "sentences")
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
        both corpora have timestamps. The result is ordered if both corpora are ordered.

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
        return {name: column for name in COLUMNS if (column := getattr(self, name)) is not None}

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"tokens": self.tokens, "offsets": self.offsets, **self._columns()}

    @checked
    def save(self, path: str | PathLike[str], *, shards: int | None = None) -> None:
        """Write the sentences to a new folder, for ``Sentences.open``.

        If the path exists, ``BundleExistsError`` is raised; if it cannot be written, ``WriteError``.

        If ``shards`` is set, the sentences are written as ``ShardedSentences`` with this number of shards of
        about equally many tokens. If the process is killed, a repeated call writes only the missing shards.
        """
        if shards is None:
            write_sentences(Path(path), self.vocabulary.ids, self._arrays(), ordered=self.ordered)
            return
        with ShardWriter(
            path,
            self.vocabulary.ids,
            self.counts(),
            ordered=self.ordered,
            columns=self.columns,
            n_shards=shards,
            source=self.fingerprint(),
        ) as writer:
            ends = np.arange(1, shards) * len(self.tokens) // shards
            bounds = np.array([0, *np.searchsorted(self.offsets, ends), len(self)])
            writer.write_runs(bounds, **self._arrays())

    @classmethod
    @checked
    def open(cls, path: str | PathLike[str]) -> Sentences | ShardedSentences:
        """Open sentences as memory maps; verify the checksums. Each shard is verified at its first access.

        Raises
        ------
        BundleNotFoundError
            If the folder does not exist.
        CorruptBundleError
            If a file is missing, unreadable or damaged, or the folder has another kind or a newer format.
        """
        folder = Path(path)
        if is_sharded(folder):
            return ShardedSentences.open(folder)
        ids, arrays, ordered = read_sentences(folder)
        with refusing_inconsistent(folder):
            return cls(Vocabulary(ids), **arrays, ordered=ordered)


class ShardedSentences(Sequence[list[str]]):
    """Sentences in shards that are read one at a time, for corpora larger than the memory.

    ``Sentences.open`` opens a sharded corpus. ``shards`` is a sequence of ``Sentences``, memory-mapped or
    computed by ``derive``, of which only the shard accessed last is kept. Checksums of a shard are verified
    when its files are first accessed. All shards have the same ``vocabulary``, ``ordered`` and ``columns``.
    ``users`` holds the user id of each sentence, by shard; ``None`` if there are no user ids. A slice returns
    ``Sentences`` in memory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Sentences.of([["a", "b", "c"], ["b", "c"]]).save(f"{folder}/corpus", shards=2)
    ...     corpus = Sentences.open(f"{folder}/corpus")
    ...     corpus.shards[1], corpus[0], corpus.counts()
    (Sentences(1 sentences, 2 tokens, 3 items, lengths 2 to 2), ['a', 'b', 'c'], array([1, 2, 2]))
    """

    def __init__(self, vocabulary: Vocabulary, shards: Sequence[Sentences], manifest: Manifest) -> None:
        self.vocabulary, self.shards, self._manifest = vocabulary, shards, manifest
        self.ordered, self.columns = manifest.ordered, tuple(manifest.columns)
        self._starts = offsets_of([shard.n_sentences for shard in manifest.shards])
        self.users: Sequence[Sequence[str]] | None = None

    @classmethod
    @checked
    def open(cls, path: str | PathLike[str]) -> ShardedSentences:
        """Verify the vocabulary of a sharded corpus, and open the corpus as ``Sentences.open`` does."""
        from item2vec.shards.corpus import read_corpus

        folder = Path(path)
        manifest, vocabulary, users = read_corpus(folder)

        def shard(arrays: Mapping[str, npt.NDArray[Any]]) -> Sentences:
            with refusing_inconsistent(folder):
                return Sentences(vocabulary, **arrays, ordered=manifest.ordered)

        corpus = cls(vocabulary, mapped(folder, manifest, shard), manifest)
        corpus.users = users
        return corpus

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sentences: ...
    def __getitem__(self, index: int | slice) -> list[str] | Sentences:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        row = range(len(self))[index]
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self.shards[number][row - int(self._starts[number])]

    def __iter__(self) -> Iterator[list[str]]:
        return (sentence for shard in self.shards for sentence in shard)

    def __repr__(self) -> str:
        kind = "" if self.ordered else ", unordered"
        sizes = f"{len(self):,} sentences, {self.n_tokens:,} tokens, {len(self.vocabulary):,} items"
        return f"ShardedSentences({len(self.shards):,} shards, {sizes}{kind})"

    @property
    def n_tokens(self) -> int:
        """Number of tokens in all shards."""
        return sum(shard.n_tokens for shard in self._manifest.shards)

    @property
    def lengths(self) -> Offsets:
        """Number of tokens in each sentence."""
        return np.concatenate([shard.lengths for shard in self.shards])

    def counts(self) -> Offsets:
        """Return the number of occurrences of each item, indexed by code. The first call reads all shards."""
        return self._counts.copy()

    @cached_property
    def _counts(self) -> Offsets:
        counts = np.zeros(len(self.vocabulary), dtype=np.int64)
        for shard in self.shards:
            counts += np.bincount(shard.tokens, minlength=len(counts))
        return counts

    def fingerprint(self) -> str:
        """Return the hexadecimal SHA-256 of the manifest, which contains the checksums of all files."""
        return hashlib.sha256(json.dumps(self._manifest.as_json(), sort_keys=True).encode()).hexdigest()

    @checked
    def take(self, sentences: npt.NDArray[Any]) -> Sentences:
        """Return the sentences selected by a mask, or by positions and in the order of the positions.

        The vocabulary does not change. The selected sentences are read into memory.
        """
        rows = row_indices(sentences, len(self), "sentences")
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], self._starts)
        bounds[-1] = len(rows)
        used = np.flatnonzero(np.diff(bounds)).tolist() or [0]
        parts = [
            self.shards[number].take(rows[order[bounds[number] : bounds[number + 1]]] - self._starts[number])
            for number in used
        ]
        return joined(parts).take(np.argsort(order))

    def whole(self) -> Sentences:
        """Read all sentences into memory."""
        log.info("%r is read into memory", self)
        return joined(list(self.shards))

    @property
    def liked(self) -> ShardedSentences:
        """The sentences without the tokens of negative weight, see ``derive``; ``self`` without weights."""
        if "weights" not in self.columns:
            return self
        liked = self.derive(lambda _, shard: shard.liked)
        liked.users = self.users
        return liked

    @checked
    def derive(self, function: Callable[[int, Sentences], Sentences]) -> ShardedSentences:
        """Return a corpus whose shard ``number`` is computed by ``function(number, shard)`` when accessed.

        The function must be deterministic, and keep the vocabulary, ``ordered`` and the columns. To compute
        checksums, ``derive`` computes each shard once. In the result, ``users`` is ``None``.
        """
        shards = LazyShards(len(self.shards), lambda number: function(number, self.shards[number]))
        manifest = self._manifest.of_arrays(shard._arrays() for shard in shards)
        return ShardedSentences(self.vocabulary, shards, manifest)


def joined(parts: Sequence[Sentences]) -> Sentences:
    """Concatenate sentences with the same vocabulary and columns; see also ``Sentences.__add__``."""
    arrays = {name: np.concatenate([part._arrays()[name] for part in parts]) for name in parts[0]._arrays()}
    arrays["offsets"] = offsets_of(np.concatenate([part.lengths for part in parts]))
    return Sentences(parts[0].vocabulary, **arrays, ordered=parts[0].ordered)
