"""Sequences of shards that are read, or computed, when they are accessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy.typing as npt

from item2vec.shards.manifest import Manifest, map_shard, verify

__all__ = ["LazyShards", "mapped"]

S = TypeVar("S")


class LazyShards(Sequence[S]):
    """A sequence of ``n`` shards; ``load(number)`` returns a shard. Only the shard accessed last is kept.

    >>> shards = LazyShards(3, lambda number: f"shard {number}")
    >>> shards[-1], shards[:2]
    ('shard 2', ['shard 0', 'shard 1'])
    """

    def __init__(self, n: int, load: Callable[[int], S]) -> None:
        self._n, self._load = n, load
        self._recent: tuple[int, S] | None = None

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> list[S]: ...
    def __getitem__(self, index: int | slice) -> S | list[S]:
        if isinstance(index, slice):
            return [self[number] for number in range(self._n)[index]]
        number = range(self._n)[index]
        recent = self._recent
        if recent is None or recent[0] != number:
            self._recent = recent = None  # release the shard before the next shard is read
            self._recent = recent = (number, self._load(number))
        return recent[1]

    def __iter__(self) -> Iterator[S]:
        return (self[number] for number in range(self._n))


def mapped(
    folder: Path, manifest: Manifest, make: Callable[[Mapping[str, npt.NDArray[Any]]], S]
) -> LazyShards[S]:
    """Return the sequence of shards; ``make`` creates a shard from its memory-mapped arrays by name.

    The checksums of a shard are verified at its first access.
    """
    verified: set[int] = set()

    def load(number: int) -> S:
        shard = manifest.shards[number]
        if number not in verified:
            verify(folder / shard.name, shard.sha256)
            verified.add(number)
        return make(map_shard(folder, shard, manifest.columns))

    return LazyShards(len(manifest.shards), load)
