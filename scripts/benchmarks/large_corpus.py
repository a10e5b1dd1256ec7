"""Memory and speed of training over shards on a synthetic corpus that is larger than the memory.

    scripts/benchmarks/large_corpus.py write --out DIR [--tokens 1e9] [--items 1e6] [--shards 64]
    scripts/benchmarks/large_corpus.py train --out DIR [--objective skipgram] [--shards-read N] [--workers 2]
    scripts/benchmarks/large_corpus.py memory [--tokens 5e7] [--items 1e6] [--workers 2]

``write`` writes sentences of 5 to 35 tokens; the frequencies of the items follow Zipf's law with exponent
0.8, and an item is often followed by one near it. One shard at a time is in memory.

``train`` trains one epoch (64 dimensions) and prints tokens per second and the peak memory of the process:
VmHWM, which includes mapped pages of the corpus, and the peak of the memory that the kernel cannot evict.
With ``--checkpoint DIR``, the state is written after each shard, and a repeated run continues from the last
state. ``--shards-read N`` ends the epoch after N shards, and extrapolates the time of the epoch. For
next_item, a shard may have up to 2**31 - 1 tokens.

``memory`` trains on sentences of this kind in memory, as the reference of the speed.
"""

import argparse
import contextlib
import re
import threading
import time
from pathlib import Path

import numpy as np

from item2vec import NextItem, Sentences, SkipGram, TrainConfig
from item2vec.processes import resident_memory
from item2vec.sentences import offsets_of
from item2vec.sharded import ShardWriter
from item2vec.training import _trainer
from item2vec.training.checkpoint import Checkpoint
from item2vec.training.corpus import Reading, prepare
from item2vec.training.epochs import run_epochs
from item2vec.types import Vocabulary

CONFIGS = {
    "skipgram": SkipGram(backend="numba", vector_size=64, epochs=1, seed=1),
    "next_item": NextItem(vector_size=64, context_decay=("learned",), epochs=1, seed=1),
}


def shard(number: int, n_tokens: int, n_items: int):
    """Return the tokens and offsets of a shard; a power of uniform numbers gives Zipf's law."""
    random = np.random.default_rng([1, number])
    lengths = random.integers(5, 36, n_tokens // 20)
    n = int(lengths.sum())
    tokens = (n_items * random.random(n, np.float32) ** 5).astype(np.int32)
    near = np.flatnonzero(random.random(n, np.float32) < 0.5)[1:]
    tokens[near] = (tokens[near - 1] + random.integers(1, 4, len(near), dtype=np.int32)) % n_items
    return np.minimum(tokens, n_items - 1), offsets_of(lengths)


def write(arguments) -> None:
    n_items, n_shards, started = int(arguments.items), arguments.shards, time.perf_counter()
    n_tokens = int(arguments.tokens) // n_shards
    counts = np.zeros(n_items, np.int64)
    for number in range(n_shards):
        counts += np.bincount(shard(number, n_tokens, n_items)[0], minlength=n_items)
    order = np.argsort(-counts, kind="stable")
    code_of = np.empty(n_items, np.int32)
    code_of[order] = np.arange(n_items)
    ids = [f"item-{item}" for item in order.tolist()]
    source = f"{n_tokens} {n_items} {n_shards}"
    with ShardWriter(
        arguments.out, ids, counts[order], ordered=True, columns=[], n_shards=n_shards, source=source
    ) as writer:
        for number in range(n_shards):
            tokens, offsets = shard(number, n_tokens, n_items)
            writer.write(number, code_of[tokens], offsets)
        writer.finish()
    print(f"written in {time.perf_counter() - started:,.0f} s: {Sentences.open(arguments.out)}")


class Peak:
    """The peak of the resident memory that cannot be evicted, sampled by a thread."""

    def __init__(self) -> None:
        self.bytes, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.bytes = max(self.bytes, resident_memory(int(Path("/proc/self").readlink().name)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


class EnoughShardsError(Exception):
    """A number of shards has been read. The error ends the epoch."""


class Timed:
    """A trainer that measures the time of its pieces."""

    def __init__(self, trainer, most: int) -> None:
        self._trainer, self._most = trainer, most
        self.seconds, self.n_tokens, self.n_shards = 0.0, 0, 0
        self._last = 0.0

    def __getattr__(self, name):
        return getattr(self._trainer, name)

    def train_piece(self, piece):
        if self.n_shards == self._most:
            raise EnoughShardsError
        self._last = self._last or time.perf_counter()
        loss = self._trainer.train_piece(piece)
        now = time.perf_counter()  # from the second piece on, the time includes reading the shard
        self.seconds, self._last = self.seconds + now - self._last, now
        self.n_tokens, self.n_shards = self.n_tokens + len(piece.tokens), self.n_shards + 1
        return loss


def train(sentences, config: TrainConfig, most: int, folder: Path | None) -> None:
    """Train an epoch, and print memory and speed."""
    checkpoint = None if folder is None else Checkpoint(folder, {"sentences": sentences.fingerprint()})
    compile_loops(config)
    print(
        sentences, config.objective, f"{config.vector_size} dimensions, {config.workers} workers", flush=True
    )
    Path("/proc/self/clear_refs").write_text("5")  # reset VmHWM
    with Peak() as peak:
        started = time.perf_counter()
        corpus = prepare(sentences, config)
        prepared = time.perf_counter() - started
        trainer = Timed(_trainer(corpus, config, None), most)
        with contextlib.suppress(EnoughShardsError):
            run_epochs(trainer, corpus, config, None, None, checkpoint=checkpoint)
        took = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    mapped = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1e6
    share = trainer.n_tokens / corpus.n_tokens
    print(
        f"  prepared in {prepared:,.1f} s; {trainer.n_tokens:,} tokens ({share:.1%} of an epoch) at "
        f"{trainer.n_tokens / trainer.seconds / 1e6:.3f} M tokens/s; an epoch: "
        f"{trainer.seconds / share:,.0f} s; in all {took:,.1f} s\n"
        f"  peak {mapped:.2f} GB with mapped pages, {peak.bytes / 1e9:.2f} GB without",
        flush=True,
    )


def compile_loops(config: TrainConfig) -> None:
    """Train a tiny corpus, so that the compiled loops are in memory."""
    tiny = Sentences.of([[str(i + j) for j in range(6)] for i in range(50)])
    corpus = prepare(tiny, config)
    trainer = _trainer(corpus, config, None)
    trainer.train_piece(next(Reading(corpus, 1).pieces(1)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["write", "train", "memory"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tokens", type=float)
    parser.add_argument("--items", type=float, default=1e6)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--shards-read", type=int, default=10**9)
    parser.add_argument("--objective", choices=list(CONFIGS), default="skipgram")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    config = CONFIGS[arguments.objective].replace(workers=arguments.workers)
    if arguments.what == "write":
        arguments.tokens = arguments.tokens or 1e9
        write(arguments)
    elif arguments.what == "train":
        train(Sentences.open(arguments.out), config, arguments.shards_read, arguments.checkpoint)
    else:
        n_items, n_tokens = int(arguments.items), int(arguments.tokens or 5e7)
        tokens, offsets = shard(0, n_tokens, n_items)
        ids = Vocabulary(tuple(f"item-{item}" for item in range(n_items)))
        train(Sentences(ids, tokens, offsets), config, arguments.shards_read, arguments.checkpoint)


if __name__ == "__main__":
    main()
