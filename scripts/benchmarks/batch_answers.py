"""Recommendations for many users in one call, compared with implicit's ``recommend`` on equal factors.

    scripts/benchmarks/batch_answers.py [--users 100000] [--items 50000] [--size 64] [--rounds 3]
                                        [--env DIR] [--threads N] [--only NAME] [--json FILE]

Vectors and histories are synthetic, seen items are filtered, and the index is exact. ``--env`` is a virtual
environment with implicit; without it, only item2vec is measured. implicit receives the taste vectors as user
factors; item2vec computes the taste vectors from the histories. ``--threads`` sets the number of threads of
both libraries; without it, each library uses its default. Every measurement runs in its own process, and
methods alternate; the table shows the fastest round. "CPU s" is the processor time of all threads, which
other processes affect less. "memory" is the peak minus the memory before the call.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

K = 10


def status(name):
    """Return an entry of /proc/self/status in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 2**10


def write_data(folder, arguments):
    """Write clustered item factors and the histories of all users."""
    random = np.random.default_rng(7)
    n_clusters = max(2, arguments.items // 100)
    centres = random.normal(size=(n_clusters, arguments.size))
    cluster = random.integers(n_clusters, size=arguments.items)
    factors = centres[cluster] + 0.7 * random.normal(size=(arguments.items, arguments.size))
    lengths = np.clip(random.geometric(1 / 30, arguments.users), 1, 500)
    drawn = random.zipf(1.3, 2 * lengths.sum()) - 1
    codes = drawn[drawn < arguments.items][: lengths.sum()]
    np.save(folder / "factors.npy", factors.astype(np.float32))
    np.save(folder / "codes.npy", random.permutation(arguments.items)[codes].astype(np.int32))
    np.save(folder / "offsets.npy", np.concatenate(([0], np.cumsum(lengths))))


def read_model(folder):
    """Return a model of the factors with an exact index, and the histories as ``Sentences``."""
    from item2vec import ItemVectors, Recommender, Sentences, Vocabulary

    factors, codes, offsets = (np.load(folder / f"{name}.npy") for name in ("factors", "codes", "offsets"))
    vocabulary = Vocabulary(tuple(f"item-{row}" for row in range(len(factors))))
    vectors = ItemVectors(vocabulary, factors, factors, np.bincount(codes, minlength=len(factors)) + 1.0)
    model = Recommender(vectors, score="output", decay=0.9, index="exact")
    return model, Sentences(vocabulary, codes, offsets)


def of_item2vec(folder, **options):
    model, histories = read_model(folder)
    model.recommend_many(histories[:1000], k=K, **options)  # loads the compiled code
    return lambda: model.recommend_many(histories, k=K, **options)


def of_implicit(folder, *, threads):
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    codes, offsets = np.load(folder / "codes.npy"), np.load(folder / "offsets.npy")
    model = BayesianPersonalizedRanking(num_threads=threads)
    model.item_factors, model.user_factors = np.load(folder / "factors.npy"), np.load(folder / "tastes.npy")
    seen = csr_matrix(
        (np.ones(len(codes), np.float32), codes, offsets), shape=(len(offsets) - 1, len(model.item_factors))
    )
    model.recommend(np.arange(1000), seen[:1000], N=K)
    return lambda: model.recommend(np.arange(seen.shape[0]), seen, N=K, filter_already_liked_items=True)


def rows_of(result):
    """Return the first items of each answer, for the comparison of results."""
    if isinstance(result, tuple):
        return result[0]
    if isinstance(result, list):
        return np.array([[int(entry.item[5:]) for entry in answer] for answer in result])
    return result.items


METHODS = {
    "item2vec, lists": lambda folder, _: of_item2vec(folder),
    "item2vec, as_arrays": lambda folder, _: of_item2vec(folder, as_arrays=True),
    "implicit": lambda folder, threads: of_implicit(folder, threads=threads),
}


def measure(name, folder, threads):
    """Run one method in this process, and print its seconds and memory."""
    call = METHODS[name](folder, threads)
    before, started = status("VmRSS"), time.perf_counter()
    highest, done = [before], threading.Event()

    def watch():
        while not done.wait(0.02):
            highest[0] = max(highest[0], status("VmRSS"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu = time.process_time()
    result = call()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    done.set()
    watcher.join()
    rows = rows_of(result)
    np.save(folder / f"{name}.npy", rows)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "mb": highest[0] - before}))


def run(name, folder, arguments):
    """Measure one method in a new process."""
    python = arguments.env / "bin" / "python" if name == "implicit" else sys.executable
    environment = dict(os.environ)
    if arguments.threads:
        environment |= dict.fromkeys(
            ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(arguments.threads)
        )
    if name == "implicit":
        environment["OPENBLAS_NUM_THREADS"] = "1"  # implicit has its own threads, and warns otherwise
    command = [python, __file__, "--measure", name, "--folder", folder, "--threads", str(arguments.threads)]
    output = subprocess.run(
        [str(part) for part in command], check=True, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout
    return json.loads(output.splitlines()[-1])


def compare(arguments, folder):
    write_data(folder, arguments)
    model, histories = read_model(folder)
    from item2vec.taste import read_tastes

    tastes = read_tastes(model.vectors, model.taste, histories.tokens, histories.offsets)
    np.save(folder / "tastes.npy", tastes.vectors)
    names = [name for name in METHODS if name != "implicit" or arguments.env]
    if arguments.only:
        names = [name for name in names if name in arguments.only]
    rounds = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name in names:
            rounds[name].append(run(name, folder, arguments))
            print(name, rounds[name][-1], file=sys.stderr)
    threads = arguments.threads or "default"
    print(
        f"{arguments.users:,} users, {arguments.items:,} items × {arguments.size}, k={K}, {threads} threads"
    )
    print(f"{'':<22}{'seconds':>9}{'CPU s':>9}{'users/s':>11}{'memory MB':>11}{'same rows':>11}")
    reference = np.load(folder / f"{names[0]}.npy")
    for name in names:
        best = min(round_["seconds"] for round_ in rounds[name])
        cpu = min(round_["cpu"] for round_ in rounds[name])
        memory = max(round_["mb"] for round_ in rounds[name])
        same = (np.sort(np.load(folder / f"{name}.npy"), axis=1) == np.sort(reference, axis=1)).mean()
        print(
            f"{name:<22}{best:>9.2f}{cpu:>9.2f}{arguments.users / best:>11,.0f}{memory:>11.0f}{same:>11.4f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rounds, indent=1))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=0, help="number of threads; 0: the default of each library"
    )
    parser.add_argument("--env", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.folder, arguments.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))


if __name__ == "__main__":
    main()
