"""Serving at a constant rate during promotions and rollbacks: errors, mixed results, latency.

    scripts/benchmarks/serving.py [--items 20000] [--dimensions 64] [--rate 200] [--promotions 20]
                                  [--rollbacks 5] [--quiet 20] [--reload-every 1] [--json FILE]

Models, store and users are synthetic. A child process holds an ``Engine`` and sends it requests at scheduled
times; latency is measured from the scheduled time. Meanwhile, this process publishes and rolls back. Every
result, including scores, must equal the result of exactly one model.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from array import array
from pathlib import Path

import numpy as np

from item2vec import (
    Engine,
    Interactions,
    ItemVectors,
    Recommender,
    TrainConfig,
    Vocabulary,
    publish,
    versions,
)
from item2vec.store import Store

K = 10
USERS = [f"user-{number}" for number in range(200)]
EVENTS = 30
MIXED = -1


def random_model(arguments, seed):
    """Return a model of the same items for each seed, with different vectors."""
    random = np.random.default_rng(seed)
    shape = (arguments.items, arguments.dimensions)
    vectors = ItemVectors(
        Vocabulary(tuple(f"item-{row}" for row in range(arguments.items))),
        random.normal(size=shape).astype(np.float32),
        random.normal(size=shape).astype(np.float32),
        np.sort(random.zipf(1.5, arguments.items).clip(max=10**6))[::-1].astype(np.float64),
        TrainConfig(vector_size=arguments.dimensions, seed=seed),
    )
    return Recommender(vectors, decay=0.7)


def digest(user, ranking):
    text = json.dumps([user, [(entry.item, entry.score) for entry in ranking]])
    return hashlib.sha256(text.encode()).digest()


def fill(url, n_items):
    """Create a store with random events of each user; return the histories."""
    random = np.random.default_rng(0)
    items = {user: [f"item-{row}" for row in random.integers(n_items, size=EVENTS)] for user in USERS}
    with Store(url) as store:
        store.upgrade()
        store.ingest(
            Interactions.of(
                user=np.repeat(USERS, EVENTS).tolist(),
                item=[item for history in items.values() for item in history],
                timestamp=np.arange(len(USERS) * EVENTS),
            )
        )
        return {user: store.history(user) for user in USERS}


def memory():
    """Return this process's private memory, and its memory mapped from files, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kilobytes["Anonymous"] / 1024, (kilobytes["Rss"] - kilobytes["Anonymous"]) / 1024


def backend(locations, arguments, expected, pipe, ended):
    """Send requests at the planned times until ``ended``; send the measurements through the pipe."""
    random = np.random.default_rng(1)
    planned, latency, seeds = array("d"), array("d"), array("q")
    errors = []
    with Engine(**locations, reload_every=arguments.reload_every) as engine:
        for user in USERS:
            engine.recommend(user, k=K)
        before = memory()
        pipe.send("ready")
        start = time.monotonic()
        while not ended.is_set():
            user = USERS[random.integers(len(USERS))]
            due = start + len(planned) / arguments.rate
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                ranking = engine.recommend(user, k=K)
            except Exception as error:  # noqa: BLE001 - any error is counted
                errors.append(repr(error))
                ranking = []
            latency.append(time.monotonic() - due)
            planned.append(due)
            seeds.append(expected.get(digest(user, ranking), MIXED))
        pipe.send((planned, latency, seeds, errors, before, memory(), engine.status()))


def promote(folder, models, arguments):
    """Publish all models but the first, with rollbacks in between; return the seconds of each publish."""
    every = len(models[1:]) // arguments.rollbacks if arguments.rollbacks else 0
    took = []
    for number, model in enumerate(models[1:], 1):
        started = time.monotonic()
        publish(model, folder)
        took.append(time.monotonic() - started)
        time.sleep(1.5 * arguments.reload_every)
        if every and number % every == 0:
            versions.rollback(folder, reason="a benchmark")
            time.sleep(1.5 * arguments.reload_every)
    return took


def percentiles(latency):
    p50, p99 = np.percentile(latency, [50, 99])
    return {"n": len(latency), "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3, "max_ms": latency.max() * 1e3}


def measure(arguments, folder):
    locations = {"models": folder / "models", "store": f"sqlite:///{folder}/item2vec.db"}
    histories = fill(locations["store"], arguments.items)
    models = [random_model(arguments, seed) for seed in range(arguments.promotions + 1)]
    expected = {
        digest(user, model.recommend(history.items, k=K, weights=history.weights)): seed
        for seed, model in enumerate(models)
        for user, history in histories.items()
    }
    assert len(expected) == len(models) * len(USERS), "two models return the same result"
    publish(models[0], locations["models"])
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    ended = spawn.Event()
    process = spawn.Process(target=backend, args=(locations, arguments, expected, theirs, ended))
    process.start()
    pipe.recv()
    os.nice(10)  # the priority of the nightly run in docs/retraining.md
    time.sleep(arguments.quiet)
    began = time.monotonic()
    took = promote(locations["models"], models, arguments)
    ended.set()
    planned, latency, seeds, errors, before, after, status = pipe.recv()
    process.join()
    planned, latency, seeds = np.array(planned), np.array(latency), np.array(seeds)
    return {
        "answers": len(planned),
        "errors": errors,
        "mixed": int((seeds == MIXED).sum()) - len(errors),
        "versions_seen": len(set(seeds.tolist()) - {MIXED}),
        "changes_seen": int((np.diff(seeds) != 0).sum()),
        "quiet": percentiles(latency[planned < began]),
        "promoted": percentiles(latency[planned >= began]),
        "publish_s": float(np.median(took)),
        "private_mb": (before[0], after[0]),
        "mapped_mb": (before[1], after[1]),
        "status": status,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--promotions", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--quiet", type=float, default=20.0, help="seconds before the first promotion")
    parser.add_argument("--reload-every", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(arguments, Path(folder))
    print(f"{measured['answers']:,} requests: {len(measured['errors'])} errors, {measured['mixed']} mixed")
    for error in measured["errors"][:3]:
        print(error)
    print(
        f"{arguments.promotions} promotions, {arguments.rollbacks} rollbacks; a publish took "
        f"{measured['publish_s']:.1f} s; {measured['versions_seen']} models served, "
        f"{measured['changes_seen']} changes"
    )
    print(f"{'':<22}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name in ("quiet", "promoted"):
        n, *rest = measured[name].values()
        print(f"{name:<22}{n:>9,}" + "".join(f"{value:>9.2f}" for value in rest))
    for name in ("private", "mapped"):
        before, after = measured[f"{name}_mb"]
        print(f"{name + ' memory':<22}{before:>9.0f} MB before, {after:.0f} MB after")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
