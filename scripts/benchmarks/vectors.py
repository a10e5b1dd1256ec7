"""Seconds and peak memory of reading and writing files of item vectors, compared with gensim's reader.

Each reading runs in its own process, so that peak memory is separate. "growth" is the peak minus the memory
before reading, divided by the size of the matrix.

    scripts/benchmarks/vectors.py --items 262144 --size 100
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

from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

FORMATS = {
    "text": "vectors.txt",
    "text, gzip": "vectors.txt.gz",
    "binary": "vectors.bin",
    "GloVe": "glove.txt",
}


def status(name):
    """Return an entry of /proc/self/status in MiB; ``ru_maxrss`` would include the peak of the parent."""
    path = Path("/proc/self/status")
    if not path.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    (line,) = (line for line in path.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 2**10


def read(library, path):
    """Read a file; print seconds, memory before reading, peak memory (MiB), and the number of vectors."""
    binary = path.suffix == ".bin"
    if library == "gensim":
        from gensim.models import KeyedVectors

        options = {"no_header": True} if path.name == "glove.txt" else {}
        before, started = status("VmRSS"), time.perf_counter()
        vectors = KeyedVectors.load_word2vec_format(str(path), binary=binary, **options)
    else:
        before, started = status("VmRSS"), time.perf_counter()
        vectors = ItemVectors.load(path)
    print(json.dumps([time.perf_counter() - started, before, status("VmHWM"), len(vectors)]))


def write(folder, n_items, size):
    """Write the same random vectors in each format; return the seconds of each."""
    matrix = np.random.default_rng(1).normal(size=(n_items, size)).astype(np.float32).round(5)
    vectors = ItemVectors(
        Vocabulary(tuple(f"item-{n}" for n in range(n_items))), matrix, None, np.ones(n_items)
    )
    seconds = {}
    for kind, name in FORMATS.items():
        started = time.perf_counter()
        if kind == "GloVe":
            with (folder / name).open("w") as file:
                for id_, row in zip(vectors.vocabulary.ids, matrix, strict=True):
                    print(id_, *[f"{number:.5f}" for number in row.tolist()], file=file)
            continue
        vectors.save_word2vec(folder / name, binary=kind == "binary")
        (folder / f"{name}.vocab").unlink()
        seconds[kind] = time.perf_counter() - started
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=262_144)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read[0], Path(arguments.read[1]))
        return
    mib = 4 * arguments.items * arguments.size / 2**20
    figures = []
    print(f"{arguments.items:,} vectors of {arguments.size} dimensions: {mib:.0f} MiB")
    print(f"{'format':<12}{'file MB':>9}{'reader':>10}{'s':>7}{'peak MiB':>10}{'growth':>8}{'write s':>9}")
    with tempfile.TemporaryDirectory() as folder:
        written = write(Path(folder), arguments.items, arguments.size)
        for kind, name in FORMATS.items():
            path = Path(folder) / name
            for library in ("item2vec", "gensim"):
                command = [sys.executable, __file__, "--read", library, str(path)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                seconds, before, peak, n_read = found
                assert n_read == arguments.items
                growth = (peak - before) / mib
                figures.append(
                    {"format": kind, "reader": library, "s": seconds, "peak_mib": peak, "growth": growth}
                )
                writing = f"{written[kind]:>9.1f}" if library == "item2vec" and kind in written else ""
                print(
                    f"{kind:<12}{path.stat().st_size / 1e6:>9.0f}{library:>10}{seconds:>7.1f}{peak:>10.0f}"
                    f"{growth:>8.2f}{writing}"
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
