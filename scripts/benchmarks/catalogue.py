"""Cost of filters and inactive items: latency of ``engine.recommend`` relative to a plain request.

    scripts/benchmarks/catalogue.py [--items 200000] [--dimensions 64] [--requests 100] [--index exact]
                                    [--json FILE]

Model, SQLite store, users and attributes are synthetic. ``genre`` has ten values, so a filter on it selects a
tenth of the items. The kinds of requests alternate, so that other load affects all of them equally.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from item2vec import Engine, Interactions, Items, ItemVectors, Recommender, TrainConfig, Vocabulary, publish
from item2vec.store import Store

K = 10
EVENTS = 30
USERS = [f"user-{number}" for number in range(50)]
GENRES = 10


def random_model(arguments):
    random = np.random.default_rng(0)
    shape = (arguments.items, arguments.dimensions)
    vectors = ItemVectors(
        Vocabulary(tuple(f"item-{row}" for row in range(arguments.items))),
        random.normal(size=shape).astype(np.float32),
        random.normal(size=shape).astype(np.float32),
        np.sort(random.zipf(1.5, arguments.items).clip(max=10**6))[::-1].astype(np.float64),
        TrainConfig(vector_size=arguments.dimensions),
    )
    return Recommender(vectors, decay=0.7, index=arguments.index)


def fill(url, n_items):
    random = np.random.default_rng(1)
    genres, years = random.integers(GENRES, size=n_items), random.integers(1950, 2025, size=n_items)
    rows = {
        f"item-{row}": {"title": f"Item {row}", "genre": f"genre-{genre}", "year": year}
        for row, (genre, year) in enumerate(zip(genres.tolist(), years.tolist(), strict=True))
    }
    with Store(url) as store:
        store.upgrade()
        store.ingest_items(Items.of(rows))
        items = [f"item-{row}" for row in random.integers(n_items, size=len(USERS) * EVENTS)]
        times = np.arange(len(items)).astype("datetime64[us]")
        store.ingest(Interactions.of(user=np.repeat(USERS, EVENTS).tolist(), item=items, timestamp=times))


def measure(engines, n_requests):
    """Send requests of each kind in turn; return their milliseconds by kind."""
    kinds = {
        "plain": ("active", {}),
        "where genre is one of ten": ("active", {"where": {"genre": "genre-3"}}),
        "half of the items inactive": ("half", {}),
        "both": ("half", {"where": {"genre": "genre-3"}}),
    }
    took = {name: [] for name in kinds}
    for number in range(n_requests + 1):
        for name, (engine, rules) in kinds.items():
            started = time.perf_counter()
            items = engines[engine].recommend(USERS[number % len(USERS)], k=K, **rules)
            took[name].append(1e3 * (time.perf_counter() - started))
            assert len(items) == K
    return {name: times[1:] for name, times in took.items()}


def measure_changes(engine, n_items):
    """Return the milliseconds of the first request after an item is deactivated, or its attributes change."""
    deactivated, updated = [], []
    for number in range(10):
        engine.store.deactivate_items([f"item-{n_items // 2 - 1 - number}"])
        started = time.perf_counter()
        engine.recommend(USERS[number], k=K, where={"genre": "genre-3"})
        deactivated.append(1e3 * (time.perf_counter() - started))
        engine.store.ingest_items(Items.of({f"item-{number}": {"genre": "genre-3"}}))
        started = time.perf_counter()
        engine.recommend(USERS[number], k=K, where={"genre": "genre-3"})
        updated.append(1e3 * (time.perf_counter() - started))
    return {"where, after an item was deactivated": deactivated, "where, after new attributes": updated}


def run(arguments, folder):
    publish(random_model(arguments), folder / "models")
    urls = {name: f"sqlite:///{folder}/{name}.db" for name in ("active", "half")}
    for url in urls.values():
        fill(url, arguments.items)
    with Store(urls["half"]) as store:
        store.deactivate_items([f"item-{row}" for row in range(0, arguments.items, 2)])
    started = time.perf_counter()
    engines = {name: Engine(models=folder / "models", store=url) for name, url in urls.items()}
    print(f"two engines started in {time.perf_counter() - started:.1f} s")
    took = measure(engines, arguments.requests)
    took |= measure_changes(engines["active"], arguments.items)
    for engine in engines.values():
        engine.close()
    return took


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--index", choices=["exact", "annoy"], default="exact")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        took = run(arguments, Path(folder))
    plain = float(np.median(took["plain"]))
    print(f"{'':<38}{'p50 ms':>9}{'p99 ms':>9}{'x plain':>9}")
    for name, times in took.items():
        p50, p99 = np.percentile(times, [50, 99])
        print(f"{name:<38}{p50:>9.2f}{p99:>9.2f}{p50 / plain:>9.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(took, indent=1))


if __name__ == "__main__":
    main()
