"""A complete nightly run at scale: ingest, each phase of retrain, and the worker's peak memory.

    scripts/benchmarks/retrain.py --rows 1000000 [--memory 4] [--objective next_item]

Synthetic listens with structure: popularity follows Zipf's law, and the next item is often close in the same
genre. Runs on SQLite, and on PostgreSQL if it is installed.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
from ingest import FIRST, cluster

import item2vec
from item2vec import Config, Interactions, TrainConfig, Vocabulary
from item2vec.config import LimitsConfig, RetentionConfig, RetrainConfig
from item2vec.durations import DAY
from item2vec.store import Store

N_USERS, N_ITEMS, N_GENRES = 50_000, 20_000, 200
DAYS = 90
PHASES = ("snapshot", "evaluate", "train", "write", "publish")


def synthetic(n_rows):
    """Return events in which each user moves through two genres, mostly between neighbouring items."""
    rng = np.random.default_rng(1)
    size = N_ITEMS // N_GENRES
    user = np.sort(rng.integers(0, N_USERS, n_rows)).astype(np.int32)
    genre = (user * 7 + (rng.random(n_rows) < 0.3) * 13) % N_GENRES
    position = np.minimum(rng.zipf(1.4, n_rows) - 1 + (user % 10), size - 1)
    return Interactions(
        users=Vocabulary(tuple(f"user-{number}" for number in range(N_USERS))),
        items=Vocabulary(tuple(f"item-{number}" for number in range(N_ITEMS))),
        user=user,
        item=(genre * size + position).astype(np.int32),
        timestamp=rng.integers(FIRST, FIRST + DAYS * DAY, n_rows),
    )


def measure(url, folder, rows, arguments):
    """Ingest and retrain; print the measurements."""
    with Store(url) as store:
        store.upgrade()
        start = time.perf_counter()
        store.ingest(rows)
        rate = len(rows) / (time.perf_counter() - start)
    train = TrainConfig(objective=arguments.objective, backend=arguments.backend)
    config = RetrainConfig(
        model=Config(train=train),
        retention=RetentionConfig(pages=False),
        limits=LimitsConfig(memory=arguments.memory),
    )
    start = time.perf_counter()
    done = item2vec.retrain(models=folder / f"models-{url[:6]}", store=url, config=config)
    total = time.perf_counter() - start
    report = done.report
    inner = report["evaluation"]["seconds"]
    seconds = [report["seconds"][phase] for phase in PHASES]
    numbers = "".join(f"{number:10.1f}" for number in (*seconds, total))
    print(
        f"{url.split(':')[0].split('+')[0]:<12}{rate:12,.0f}{numbers}{report['peak_memory'] / 2**20:10,.0f}"
    )
    scores = {name: one["ndcg@10"] for name, one in report["evaluation"]["baselines"].items()}
    print(
        f"{'':12}evaluate: training {inner['train']:.1f}, evaluation {inner['evaluate']:.1f} of "
        f"{report['evaluation']['queries']:,} queries; ndcg@10 "
        f"{report['evaluation']['metrics']['ndcg@10']:.4f}, popularity {scores['popularity']:.4f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--objective", default="skipgram")
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--memory", type=float, help="limit of the worker's memory, in GiB")
    arguments = parser.parse_args()
    print(
        f"{arguments.rows:,} rows, {arguments.objective} by {arguments.backend}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}"
    )
    print(
        f"{'seconds':<12}{'ingest /s':>12}" + "".join(f"{name:>10}" for name in (*PHASES, "all", "peak MiB"))
    )
    rows = synthetic(arguments.rows)
    with tempfile.TemporaryDirectory() as folder, cluster() as server:
        measure(f"sqlite:///{folder}/item2vec.db", Path(folder), rows, arguments)
        if server is None:
            print("postgresql is not installed")
        else:
            measure(server, Path(folder), rows, arguments)


if __name__ == "__main__":
    main()
