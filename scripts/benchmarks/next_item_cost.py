"""Where the time of training next_item goes: CPU time per prediction, and rate of products.

    OPENBLAS_NUM_THREADS=1 taskset -c 0 scripts/benchmarks/next_item_cost.py [--sentences 3000] [--json FILE]

Sentences of 60 items with Zipf popularity are trained in one thread with the default settings, except for
the window. The time of an epoch is half the difference between three epochs and one, in CPU time. A
prediction takes three products of small matrices per part, and reads and updates up to ``window`` rows of
history items; in ordered sentences, the rows are read once per run of predictions. With few items, all rows
stay in the processor's cache. The products are compared with BLAS.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numba import njit

import item2vec
from item2vec import NextItem, Sentences, Vocabulary
from item2vec.kernels.dense import COLUMNS, product

LENGTH = 60
UNORDERED = ((41_000, 1), (41_000, 20), (41_000, 50), (1_500, 50))
CASES = [(False, *case) for case in UNORDERED] + [(True, 41_000, 50), (True, 1_500, 50)]
SHAPES = {"scores": (256, 128, 512), "user vectors": (256, 512, 128), "output rows": (512, 256, 128)}
REPEATS = 100


@njit
def repeated(a, b, panel, out):
    for _ in range(REPEATS):
        product(a, b, panel, out)


def repeated_by_blas(a, b, _panel, out):
    for _ in range(REPEATS):
        np.dot(a, b, out=out)


def sentences_of(n_sentences, n_items, *, ordered):
    """Return sentences whose items are drawn with Zipf popularity."""
    shares = 1 / np.arange(1, n_items + 1) ** 0.8
    tokens = np.random.default_rng(1).choice(n_items, n_sentences * LENGTH, p=shares / shares.sum())
    offsets = np.arange(0, len(tokens) + 1, LENGTH)
    ids = tuple(f"i{number}" for number in range(n_items))
    return Sentences(Vocabulary(ids), tokens.astype(np.int32), offsets, ordered=ordered)


def seconds_of(call, *arguments):
    started = time.process_time()
    call(*arguments)
    return time.process_time() - started


def epoch_seconds(sentences, window):
    """Return the CPU seconds of an epoch."""

    def train(epochs):
        item2vec.train(sentences, window=window, epochs=epochs, workers=1, min_count=1)

    train(1)
    return (seconds_of(train, 3) - seconds_of(train, 1)) / 2


def rates():
    """Return the rate of each product in GFLOP/s, for the compiled loops and for BLAS; best of seven."""
    random, found = np.random.default_rng(1), {}
    for name, (rows, inner, columns) in SHAPES.items():
        a = random.normal(size=(rows, inner)).astype(np.float32)
        a = np.asfortranarray(a) if name == "output rows" else a
        b = random.normal(size=(inner, columns)).astype(np.float32)
        out, panel = np.empty((rows, columns), np.float32), np.empty((inner, COLUMNS), np.float32)
        repeated(a, b, panel, out)
        loops, blas = (
            min(seconds_of(call, a, b, panel, out) for _ in range(7)) for call in (repeated, repeated_by_blas)
        )
        operations = 2e-9 * rows * inner * columns * REPEATS
        found[name] = (operations / loops, operations / blas)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sentences", type=int, default=3_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    products = rates()
    print("| product | loops, GFLOP/s | BLAS, GFLOP/s |\n|---|---|---|")
    for name, (loops, blas) in products.items():
        print(f"| {name} | {loops:.0f} | {blas:.0f} |")
    columns = "sentences", "items", "window", "µs per prediction and part", "GFLOP/s of the three products"
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    epochs = []
    settings = NextItem()
    n_parts, size = len(settings.context_decay), settings.vector_size // len(settings.context_decay)
    for ordered, n_items, window in CASES:
        sentences = sentences_of(arguments.sentences, n_items, ordered=ordered)
        seconds = epoch_seconds(sentences, window) / (sentences.n_tokens * n_parts)
        rate = 6e-9 * settings.negative * size / seconds
        kind = "ordered" if ordered else "unordered"
        epochs.append({"kind": kind, "items": n_items, "window": window, "seconds": seconds, "rate": rate})
        print(f"| {kind} | {n_items:,} | {window} | {1e6 * seconds:.1f} | {rate:.0f} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"products": products, "epochs": epochs}))


if __name__ == "__main__":
    main()
