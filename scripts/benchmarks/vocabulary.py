"""Memory and look-up time of a vocabulary: a tuple of text against a mapped Arrow file with sorted hashes.

Each measurement runs in its own process. The ids are synthetic, of 20 bytes each, and not sorted.

    scripts/benchmarks/vocabulary.py --items 10000000
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

BATCH = 1 << 20
LOOKED_UP = 1_000_000


def batches(n_items: int) -> Iterator[pa.RecordBatch]:
    """Yield ids and counts in the order of codes."""
    for start in range(0, n_items, BATCH):
        codes = np.arange(start, min(start + BATCH, n_items))
        numbers = (codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(4)
        ids = pa.array([f"item{number:016x}" for number in numbers.tolist()])
        yield pa.record_batch({"id": ids, "count": pa.array(n_items - codes)})


def peak() -> float:
    """Return the peak of anonymous and mapped memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def anonymous() -> float:
    """Return the memory of this process that is not backed by a file, in GB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1e6


def write(folder: Path, n_items: int) -> None:
    """Write the vocabulary and print time and memory."""
    from item2vec.shards.arrow import write_vocabulary

    start = time.perf_counter()
    write_vocabulary(folder, batches(n_items))
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e9
    print(f"write: {time.perf_counter() - start:.1f} s, peak {peak():.2f} GB, files {size:.2f} GB")


def read(folder: Path, n_items: int, kind: str) -> None:
    """Open the vocabulary, look ids up, and print times and memory."""
    from item2vec.shards import arrow

    arrow.LARGEST_TUPLE = n_items if kind == "tuple" else 0
    before = anonymous()
    start = time.perf_counter()
    vocabulary = arrow.open_vocabulary(folder, n_items)
    codes = np.random.default_rng(1).integers(0, n_items, LOOKED_UP)
    vocabulary.encode(["first look-up"])
    opened, after = time.perf_counter() - start, anonymous()
    start = time.perf_counter()
    ids = vocabulary.decode(codes)
    decoded = time.perf_counter() - start
    start = time.perf_counter()
    found = vocabulary.encode(ids)
    encoded = time.perf_counter() - start
    assert np.array_equal(found, codes)
    start = time.perf_counter()
    for id_ in ids[:1000]:
        vocabulary.code(id_)
    single = time.perf_counter() - start
    micro = 1e6 / LOOKED_UP
    print(
        f"{kind}: opened in {opened:.2f} s, {after - before:.2f} GB not backed by the file, "
        f"decode {decoded * micro:.2f} µs, encode {encoded * micro:.2f} µs, one id {single * 1000:.0f} µs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--step", choices=["write", "tuple", "mapped"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "write":
        write(options.folder, options.items)
    elif options.step:
        read(options.folder, options.items, options.step)
    else:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("write", "tuple", "mapped"):
                command = [sys.executable, __file__, "--items", str(options.items)]
                subprocess.run([*command, "--step", step, "--folder", folder], check=True, env=os.environ)


if __name__ == "__main__":
    main()
