"""Loading and memory of worker processes that serve the same bundle, and the latency of each.

    scripts/benchmarks/workers.py --rows 1000000 --dimensions 64 [--workers 4] [--bundle DIR] [--queries 200]
                                  [--json FILE]

The model has unit rows of ``index_table.py`` as input and output vectors, and two FAISS indexes, one of them
for similar items. ``--bundle`` is created if it does not exist, which takes minutes for a million rows. Each
worker loads the bundle in a new process while earlier workers run; then one worker at a time serves requests,
and queries similar items after each. "shared" is memory that other processes map as well; "private" memory
belongs to one process. Both are read from ``/proc/PID/smaps_rollup`` while all workers run. "load" is the
elapsed time of ``item2vec.load``, checksums included, of files in the page cache.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from index_table import data

from item2vec import ItemVectors, Recommender, TasteConfig, Vocabulary, load
from item2vec.bundle import Parts, with_similar_index
from item2vec.config.adapter import AdapterConfig
from item2vec.index import build

K = 10
COLUMNS = ("load s", "CPU s", "first ms", "p50 ms", "p99 ms", "resident MB", "shared MB", "private MB")


def write_bundle(path, arguments):
    """Build a model with a FAISS index, and save it."""
    matrix, queries = data(arguments.rows, arguments.dimensions, "unit")
    started = time.perf_counter()
    index = build(matrix, kind="faiss", queries=queries[-256:])
    print(f"built in {time.perf_counter() - started:.0f} s: {index.description}", flush=True)
    vocabulary = Vocabulary(tuple(f"i{row}" for row in range(len(matrix))))
    vectors = ItemVectors(vocabulary, matrix, matrix, np.ones(len(matrix)))
    taste = TasteConfig(score="output", decay=0.9)
    parts = with_similar_index(Parts(vectors, taste, index, None, AdapterConfig()), kind="faiss", recall=0.95)
    Recommender.from_parts(parts).save(path)


def memory():
    """Return the resident, shared and private memory of this process, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    parts = [
        sum(kilobytes[f"{kind}_{state}"] for state in ("Clean", "Dirty")) for kind in ("Shared", "Private")
    ]
    return [size / 1024 for size in (kilobytes["Rss"], *parts)]


def serve(path, queries, pipe):
    """Load the bundle, answer requests when the parent asks for it, and report the memory."""
    started, cpu = time.perf_counter(), time.process_time()
    model = load(path)
    took = [time.perf_counter() - started, time.process_time() - cpu]
    pipe.send("loaded")
    pipe.recv()
    random, n_items = np.random.default_rng(5), len(model.vocabulary)
    seconds = []
    for _ in range(queries + 1):
        history = [f"i{row}" for row in random.integers(n_items, size=10)]
        started = time.thread_time()
        model.recommend(history, k=K)
        seconds.append((time.thread_time() - started) * 1000)
        model.similar_items(history[0], k=K)
    pipe.send("served")
    pipe.recv()
    pipe.send((*took, seconds[0], *np.percentile(seconds[1:], [50, 99]), *memory()))
    pipe.recv()


def measure(path, arguments):
    """Return the measurements of each worker."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(arguments.workers):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(path, arguments.queries, theirs))
        process.start()
        ours.recv()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.send("serve")
        pipe.recv()
    for pipe in pipes:
        pipe.send("report")
    figures = [pipe.recv() for pipe in pipes]
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send("end")
        process.join()
    return figures


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.bundle or Path(folder) / "model"
        if not path.exists():
            write_bundle(path, arguments)
        size = sum(file.stat().st_size for file in path.iterdir()) / 2**20
        figures = measure(path, arguments)
    print(f"{arguments.rows:,} rows × {arguments.dimensions}, a bundle of {size:,.0f} MB")
    print(f"{'worker':<8}" + "".join(f"{name:>13}" for name in COLUMNS))
    for number, row in enumerate(figures, 1):
        print(f"{number:<8}" + "".join(f"{value:13.2f}" for value in row))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
