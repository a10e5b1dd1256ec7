"""``item2vec prepare`` on synthetic events: time and peak memory, against reading into memory.

    scripts/benchmarks/prepare_corpus.py [--events 1e6] [--memory 2GB] [--formats parquet csv] [--folder DIR]
                                         [--modes duckdb reading memory] [--json FILE]

The ids are text. Events are in random order, with timestamps within one year. A user has 50 events on
average, an item 100. There are at most 10⁶ items, whose frequencies follow Zipf's law. Each measurement runs
in its own process:

- ``duckdb``: ``corpus.prepare`` within ``--memory``;
- ``reading``: ``readers.read_interactions`` and ``adapters.histories``, the reference of the ratios;
- ``memory``: the in-memory driver, whose corpus is compared with that of DuckDB, sentence by sentence.

Seconds include reading and writing, but not the start of the process. Memory is the peak of the resident
memory of the process and its largest child. ``--modes`` selects the modes; ``reading`` takes about 100 bytes
of memory per event.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

BLOCK = 1_000_000


def events_of(n_events, block):
    """Return a table of the events of a block."""
    random = np.random.default_rng([7, block])
    n = min(BLOCK, n_events - block * BLOCK)
    n_items = max(10, min(10**6, n_events // 100))
    rank = np.minimum(np.exp(random.random(n) * np.log(n_items)), n_items - 1).astype(np.int64)
    ids = {
        "user_id": random.integers(0, max(1, n_events // 50), n),
        "item_id": rank * 7_919 % n_items,
    }
    texts = {
        name: pa.compute.binary_join_element_wise(name[:4], pa.array(codes).cast(pa.string()), "-")
        for name, codes in ids.items()
    }
    return pa.table({**texts, "timestamp": 1_700_000_000 + random.integers(0, 365 * 86_400, n)})


def write_events(path, n_events):
    """Write all events to a file, by the suffix of its name."""
    schema = events_of(1, 0).schema
    if path.suffix == ".parquet":
        writer = pa.parquet.ParquetWriter(path, schema)
    else:
        writer = pa.csv.CSVWriter(path, schema, write_options=pa.csv.WriteOptions(quoting_style="none"))
    with writer:
        for block in range(-(-n_events // BLOCK)):
            writer.write_table(events_of(n_events, block))


def work(mode, path, out, memory):
    """Carry out one measurement, and print its result as JSON."""
    from item2vec import adapters, corpus, readers

    started, cpu = time.perf_counter(), time.process_time()
    if mode == "reading":
        sentences = adapters.histories(readers.read_interactions(path))
    else:
        sentences = corpus.prepare(path, out=out, memory=memory, driver=mode)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    facts = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "mb": peak / 1024,
        "sentences": len(sentences),
        "tokens": sentences.n_tokens,
        "shards": len(sentences.shards),
    }
    print(json.dumps(facts))


def measured(mode, path, out, memory):
    command = [sys.executable, __file__, "--work", mode, "--file", path, "--out", out, "--memory", memory]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def compare(first, second):
    """Return the number of sentences of two corpora; raise an error if they differ."""
    from item2vec import Sentences

    ours, reference = Sentences.open(first), Sentences.open(second)
    assert ours.vocabulary == reference.vocabulary
    for one, other in zip(ours.shards, reference.shards, strict=True):
        assert all(a == b for a, b in zip(one, other, strict=True))
        assert np.array_equal(one.timestamps, other.timestamps)
    return len(ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--formats", nargs="+", default=["parquet", "csv"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--modes", nargs="+", default=["duckdb", "reading", "memory"])
    parser.add_argument("--json", type=Path)
    for hidden in ("--work", "--file", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.file, arguments.out, arguments.memory)
        return
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for suffix in arguments.formats:
            path = Path(folder, f"events.{suffix}")
            write_events(path, int(arguments.events))
            size = path.stat().st_size / 1e6
            print(f"{arguments.events:.0e} events, {suffix}, {size:,.0f} MB", flush=True)
            found = {}
            for mode in arguments.modes:
                found[mode] = facts = measured(mode, path, Path(folder, f"{suffix}-{mode}"), arguments.memory)
                results.append({"events": arguments.events, "format": suffix, "mode": mode, **facts})
                print(
                    f"  {mode:8} {facts['seconds']:7.1f} s, {facts['cpu']:7.1f} s of processors, "
                    f"{facts['mb']:6,.0f} MB, {facts['shards']} shards, {facts['tokens']:,} tokens",
                    flush=True,
                )
            if {"duckdb", "reading"} <= found.keys():
                ours, peer = found["duckdb"], found["reading"]
                print(f"  reading / duckdb: {peer['seconds'] / ours['seconds']:.2f} of time", end="")
                print(f", {peer['cpu'] / ours['cpu']:.2f} of processors", flush=True)
            if {"duckdb", "memory"} <= found.keys():
                equal = compare(*(Path(folder, f"{suffix}-{mode}") for mode in ("duckdb", "memory")))
                print(f"  {equal:,} sentences of both drivers are equal", flush=True)
            path.unlink()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
