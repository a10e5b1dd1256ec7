"""Memory and speed of reading a graph from many rows of few distinct edges, with DuckDB and in memory.

    scripts/benchmarks/read_graph.py [--rows 2e7] [--edges 1e6] [--nodes 1e5] [--memory 1GB]

Each driver runs in a process of its own. "growth" is the peak of the resident memory minus that before.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from walk_shards import resident

from item2vec.corpus import read_graph

BLOCK = 1_000_000


def tables(n_rows, n_edges, n_nodes):
    """Yield blocks of rows: edges between random nodes, drawn again and again, with weights."""
    random = np.random.default_rng(1)
    ends = random.integers(0, n_nodes, (n_edges, 2))
    for _ in range(0, n_rows, BLOCK):
        rows = ends[random.integers(0, n_edges, BLOCK)]
        names = [pa.array([f"user-{node}" for node in column]) for column in rows.T.tolist()]
        yield pa.table([*names, random.random(BLOCK)], ["source", "target", "weight"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=2e7)
    parser.add_argument("--edges", type=float, default=1e6)
    parser.add_argument("--nodes", type=float, default=1e5)
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--measure", nargs=2, metavar=("DRIVER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        driver, file = arguments.measure
        read_graph("sample_data/friends.csv", driver=driver)  # imports and compiles
        Path("/proc/self/clear_refs").write_text("5")  # reset VmHWM
        before, started = resident("VmRSS"), time.perf_counter()
        graph = read_graph(file, driver=driver, memory=arguments.memory)
        took = time.perf_counter() - started
        growth = resident("VmHWM") - before
        print(f"{Path(file).suffix} {driver}: {took:.1f} s, growth {growth:.2f} GB, {graph}", flush=True)
        return
    with tempfile.TemporaryDirectory() as name:
        parquet, text = Path(name, "edges.parquet"), Path(name, "edges.csv")
        schema = pa.schema([("source", pa.string()), ("target", pa.string()), ("weight", pa.float64())])
        with pq.ParquetWriter(parquet, schema) as writer, csv.CSVWriter(text, schema) as lines:
            for table in tables(int(arguments.rows), int(arguments.edges), int(arguments.nodes)):
                writer.write_table(table, row_group_size=BLOCK // 8)
                lines.write_table(table)
        for file in (parquet, text):
            print(f"{file.name}: {file.stat().st_size / 1e9:.2f} GB", flush=True)
            for driver in ("duckdb", "memory"):
                words = [sys.executable, __file__, "--memory", arguments.memory, "--measure", driver, file]
                subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
