"""The exchange of arrays between processes that train next_item on different shards.

After each epoch, each process writes its arrays to a shared folder, waits for the arrays of the other
processes, and merges all of them. The merged arrays are equal in all processes. In the merged row of an item,
the row of each process is weighted by the number of the item's tokens in the shards of the process. A process
that never reads an item therefore does not change the row of the item. ``merged`` defines the weights.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from item2vec import files
from item2vec.arrays import Doubles, Floats, Offsets
from item2vec.config import CBOW, NextItem, SkipGram, TrainConfig
from item2vec.errors import ConfigError, Remedy
from item2vec.shaping import check_least
from item2vec.training.corpus import Corpus
from item2vec.training.state import State
from item2vec.training.stored import read_arrays, refusing_unwritable, write_arrays
from item2vec.training.trainer import Arrays, Loss, Trainer

__all__ = ["Exchange", "check_processes", "merged", "shards_of"]

SECONDS_PER_LOOK = 0.02
ROWS_PER_BLOCK = 1 << 12

_ONE_PROCESS = Remedy("processes", 1, "set {}")
_NEXT_ITEM = Remedy("objective", "next_item", "set {}")


def check_processes(n: int, config: TrainConfig, *, checkpoint: bool, freeze: bool) -> None:
    """Raise ``ConfigError`` unless ``n`` processes can train with these settings."""
    check_least("processes", n, 1)
    if n == 1:
        return
    if isinstance(config, SkipGram | CBOW):
        raise ConfigError(
            f"processes={n} cannot be set with objective={config.objective!r}: merged vectors of word2vec "
            "are less accurate (skip-gram in 2 processes: 12 % lower NDCG@10)",
            remedies=[_ONE_PROCESS, _NEXT_ITEM],
        )
    if not isinstance(config, NextItem):
        raise ConfigError(
            f"processes={n} cannot be set with objective={config.objective!r}, which counts all pairs in "
            "one process",
            remedies=[_ONE_PROCESS, _NEXT_ITEM],
        )
    other = {"checkpoint": checkpoint, "freeze": freeze, "attributes": bool(config.attributes)}
    for name, is_set in other.items():
        if is_set:
            raise ConfigError(
                f"processes={n} cannot be combined with {name}",
                remedies=[_ONE_PROCESS, Remedy(name, text=f"omit {name}", otherwise=f"omit {name}")],
            )


def merged(states: Sequence[Arrays], counts: Sequence[Offsets], start: Arrays) -> dict[str, Floats]:
    """Merge the arrays of several next_item trainers that started from the same arrays.

    ``counts`` holds, for each trainer, the number of tokens of each item in the trainer's shards. In arrays
    with a row per item, each row is weighted by these counts, or equally if no trainer has a token of the
    item. The learned weights of the steps back are weighted by each trainer's total number of tokens.

    A merged array is the weighted mean of the trainers' arrays, unless it is one of the matrices in
    ``start``, which holds the values at the start of the epoch. A row of such a matrix changes by the
    weighted mean of the trainers' changes, multiplied by the effective number of trainers,
    1 / sum(weights**2). With equal weights, this product is the sum of the changes.

    >>> states = [{"input": np.array([[3.0], [2.0]], np.float32)}, {"input": np.ones((2, 1), np.float32)}]
    >>> start = {"input": np.ones((2, 1), np.float32)}
    >>> merged(states, [np.array([1, 1]), np.array([1, 0])], start)["input"].tolist()
    [[3.0], [2.0]]
    """
    by_item = np.array(counts, dtype=np.float64)
    by_item[:, by_item.sum(axis=0) == 0] = 1
    by_item /= by_item.sum(axis=0)
    of_all = np.array([count.sum() for count in counts], dtype=np.float64)
    of_all /= of_all.sum()
    n_effective = 1 / np.square(by_item).sum(axis=0)
    means = {
        name: _weighted(
            [state[name] for state in states],
            by_item if name.startswith(("input", "output")) else of_all[:, None],
        )
        for name in states[0]
    }
    for name, before in start.items():
        for rows in _blocks(len(before)):
            change = (means[name][rows] - before[rows]).reshape(len(before[rows]), -1)
            change *= n_effective[rows, None].astype(np.float32)
            means[name][rows] = before[rows] + change.reshape(before[rows].shape)
    return means


def _weighted(arrays: Sequence[Floats], weights: Doubles) -> Floats:
    """Return the weighted sum of arrays.

    ``weights`` has a row per array, and either one column or a column per row of the arrays.
    """
    total = np.empty_like(arrays[0])
    weights = np.broadcast_to(weights, (len(arrays), len(total)))
    shape = (-1,) + (1,) * (total.ndim - 1)
    for rows in _blocks(len(total)):
        total[rows] = sum(
            weight[rows].reshape(shape) * array[rows] for array, weight in zip(arrays, weights, strict=True)
        )
    return total


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + ROWS_PER_BLOCK) for start in range(0, n, ROWS_PER_BLOCK))


def shards_of(corpus: Corpus, rank: int, n: int) -> Corpus:
    """Return the corpus of process ``rank`` (from 0): every ``n``-th of the shards with training tokens.

    The first of these shards has index ``rank`` among the shards with training tokens. All other shards keep
    their numbers, but have size 0, and are therefore not read.
    """
    chosen = set(np.flatnonzero(corpus.sizes)[rank::n].tolist())
    sizes = tuple(size if number in chosen else 0 for number, size in enumerate(corpus.sizes))
    return replace(corpus, sizes=sizes)


@dataclass
class Exchange:
    """Merges the arrays of process ``rank`` (from 0) with those of the other ``n - 1`` processes.

    An instance is called after each epoch. ``folder`` is shared by all processes. ``counts`` holds the number
    of tokens of each item in the shards of this process, and ``start`` copies of the matrices at the start of
    the epoch. ``check`` is called repeatedly while the process waits. It raises an exception if another
    process has failed. ``n_done`` is the number of completed exchanges, and ``tokens_read`` the number of
    tokens that all processes had read by the last exchange.
    """

    folder: Path
    rank: int
    n: int
    counts: Offsets
    start: Arrays
    check: Callable[[], None]
    n_done: int = 0
    tokens_read: int = 0

    @classmethod
    def of(
        cls, folder: Path, rank: int, n: int, own: Corpus, trainer: Trainer, check: Callable[[], None]
    ) -> Exchange:
        """Return the exchange of a process that trains the shards ``own`` from the arrays of ``trainer``."""
        counts = np.zeros(own.n_items, np.int64)
        for number in np.flatnonzero(own.sizes).tolist():
            counts += np.bincount(own.shards[number].tokens, minlength=len(counts))
        return cls(folder, rank, n, counts, _matrices(trainer), check)

    def __call__(self, state: State, trainer: Trainer) -> None:
        """Merge the arrays, losses and numbers of tokens of all processes into ``trainer`` and ``state``.

        Raises
        ------
        WriteError
            If the folder cannot be written.
        TrainingError
            If another process has failed; raised by ``check`` in the first process.
        """
        totals = np.array([state.tokens_read - self.tokens_read, state.loss.total, state.loss.n])
        arrays = {**trainer.state, "counts": self.counts, "read": state.read, "totals": totals}
        own = self._path(self.n_done, self.rank)
        with refusing_unwritable(own), files.atomic_folder(own) as folder:
            write_arrays(folder, arrays)
        paths = [self._path(self.n_done, rank) for rank in range(self.n)]
        while not all(path.exists() for path in paths):
            self.check()
            time.sleep(SECONDS_PER_LOOK)
        messages = [read_arrays(path, arrays) for path in paths]
        states = [{name: message[name] for name in trainer.state} for message in messages]
        trainer.restore(merged(states, [message["counts"] for message in messages], self.start))
        self.start = _matrices(trainer)
        tokens, loss, n_losses = np.sum([message["totals"] for message in messages], axis=0)
        state.read[:] = np.any([message["read"] for message in messages], axis=0)
        state.loss = Loss(float(loss), int(n_losses))
        state.tokens_read = self.tokens_read = self.tokens_read + int(tokens)
        self._remove(self.n_done - 1)
        self.n_done += 1

    def _path(self, number: int, rank: int) -> Path:
        return self.folder / f"epoch-{number:04d}" / f"process-{rank:04d}"

    def _remove(self, number: int) -> None:
        """Remove this process's arrays of an earlier epoch, which all processes have read."""
        shutil.rmtree(self._path(number, self.rank), ignore_errors=True)


def _matrices(trainer: Trainer) -> Arrays:
    """Return copies of the input and output matrices."""
    return {name: trainer.state[name].copy() for name in ("input", "output")}
