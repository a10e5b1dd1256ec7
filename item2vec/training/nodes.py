"""Training of next_item in several processes of one machine, which exchange arrays in a temporary folder.

The process that calls ``averaging`` is the first one, and starts the others (``python -m
item2vec.training.nodes``). The folder contains the settings, the frequencies of the items, the initial
arrays, the shards of the other processes, the arrays that are exchanged, and the error output of the
processes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from item2vec import files
from item2vec.config import NextItem, TrainConfig
from item2vec.errors import InputError, Remedy, TrainingError
from item2vec.outputs import temporary_folder
from item2vec.processes import module_command
from item2vec.shards.lazy import LazyShards
from item2vec.training.averaging import Exchange, shards_of
from item2vec.training.corpus import Corpus, Shard
from item2vec.training.next_item import NextItemTrainer
from item2vec.training.state import NO_LOSS, State
from item2vec.training.stored import read_arrays, refusing_unwritable, write_arrays
from item2vec.training.trainer import Trainer
from item2vec.types import Vocabulary

__all__ = ["averaging"]


@contextlib.contextmanager
def averaging(
    trainer: Trainer, corpus: Corpus, config: TrainConfig, n: int
) -> Iterator[tuple[Corpus, Exchange]]:
    """Start ``n - 1`` processes; yield the corpus of this process (its shards) and its ``Exchange``.

    All processes train from the arrays of ``trainer``. The started processes are killed at the end of the
    block.

    Raises
    ------
    InputError
        If there are fewer shards with training tokens than processes.
    TrainingError
        If a process fails; raised by a call of the ``Exchange``.
    WriteError
        If the temporary folder cannot be created or written.
    """
    n_shards = int(np.count_nonzero(corpus.sizes))
    if n_shards < n:
        raise InputError(
            f"found {n_shards} shards with training tokens; expected at least processes={n}",
            remedies=[
                Remedy(
                    "sentences",
                    text=f"write the sentences with save(path, shards={2 * n}), and open them with "
                    "Sentences.open(path)",
                    otherwise=f"write a corpus of {2 * n} shards with item2vec prepare or item2vec walks, "
                    "and pass --corpus DIR",
                )
            ],
        )
    with temporary_folder() as folder, contextlib.ExitStack() as running:
        own = shards_of(corpus, 0, n)
        with refusing_unwritable(folder):
            _write_job(folder, trainer, corpus, config, n)
        children = [running.enter_context(_child(folder, rank)) for rank in range(1, n)]

        def check() -> None:
            for rank, child in enumerate(children, start=1):
                if child.poll():
                    errors = (folder / f"errors-{rank}.txt").read_text(errors="replace").splitlines()
                    raise TrainingError(
                        f"process {rank + 1} of {n} ended with code {child.returncode} "
                        f"({errors[-1] if errors else 'no message'}); train again, with fewer processes if "
                        "the memory is short"
                    )

        yield own, Exchange.of(folder, 0, n, own, trainer, check)


@contextlib.contextmanager
def _child(folder: Path, rank: int) -> Iterator[subprocess.Popen[bytes]]:
    command = module_command("item2vec.training.nodes", str(folder), str(rank), str(os.getpid()))
    with refusing_unwritable(folder):
        file = (folder / f"errors-{rank}.txt").open("wb")
    with file as errors:
        child = subprocess.Popen(
            **command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _write_job(folder: Path, trainer: Trainer, corpus: Corpus, config: TrainConfig, n: int) -> None:
    own = shards_of(corpus, 0, n).sizes
    for number, size in enumerate(corpus.sizes):
        if size and not own[number]:
            arrays = corpus.shards[number]._asdict()
            path = folder / f"shard-{number:05d}"
            path.mkdir()
            write_arrays(path, {name: array for name, array in arrays.items() if array is not None})
    (folder / "start").mkdir()
    write_arrays(folder / "start", trainer.state)
    write_arrays(folder, {"frequency": corpus.frequency, "sizes": np.array(corpus.sizes)})
    values = {"n": n, "longest": corpus.longest, "ordered": corpus.ordered}
    files.write_json(folder / "job.json", {**values, "config": config.model_dump(mode="json")})


def _read_job(folder: Path) -> tuple[Corpus, NextItem, int]:
    job: dict[str, Any] = files.parse_json(files.read_text(folder / "job.json"), folder / "job.json")
    frequency = files.open_array(folder / "frequency.npy", np.int64, (None,))
    sizes = files.open_array(folder / "sizes.npy", np.int64, (None,)).tolist()

    def shard(number: int) -> Shard:
        """Return a shard; copy tokens and offsets, because numba recompiles loops for read-only arrays."""
        path = folder / f"shard-{number:05d}"
        tokens = np.array(files.open_array(path / "tokens.npy", np.int32, (None,)))
        offsets = np.array(files.open_array(path / "offsets.npy", np.int64, (None,)))
        has_keep = (path / "keep.npy").exists()
        keep = files.open_array(path / "keep.npy", np.float64, (None,)) if has_keep else None
        return Shard(tokens, offsets, keep)

    shards = LazyShards(len(sizes), shard)
    corpus = Corpus(
        Vocabulary(()),
        shards,
        tuple(sizes),
        job["longest"],
        frequency.astype(np.float64),
        frequency,
        1.0,
        job["ordered"],
    )
    return corpus, NextItem(**job["config"]), job["n"]


def _train(folder: Path, rank: int, parent: int) -> None:
    """Train the shards of process ``rank``, and exchange arrays with the other processes after each epoch.

    The process exits if ``parent``, the process id of the first process, is no longer its parent.
    """

    def check() -> None:
        if os.getppid() != parent:
            sys.exit("the first process ended")

    corpus, config, n = _read_job(folder)
    own = shards_of(corpus, rank, n)
    trainer, state = NextItemTrainer(corpus, config), State.at_start(own, config)
    trainer.restore(read_arrays(folder / "start", trainer.state))
    exchange = Exchange.of(folder, rank, n, own, trainer, check)
    for piece in state.reading.pieces(config.epochs):
        check()
        state.add(piece, trainer.train_piece(piece))
        if piece.is_last:
            exchange(state, trainer)
            state.loss = NO_LOSS


if __name__ == "__main__":
    _train(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
