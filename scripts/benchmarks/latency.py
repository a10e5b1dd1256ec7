"""Latency and recall of single queries under filters, beside hnswlib and FAISS used by hand, on one core.

    taskset -c 0 scripts/benchmarks/latency.py --rows 100000 --dimensions 64 [--rules]

Vectors and queries are those of ``index_table.py`` (unit rows). Requests of all kinds are interleaved, in a
random order per query, because each leaves other data in the caches of the processor. Times are CPU times of
the calling thread, so that other work on the machine disturbs them little. "×" is the ratio to the median of
a plain search, or of a plain ``Recommender.recommend``. hnswlib is measured if it is installed. ``--rules``
measures the rules of ``Recommender.recommend`` as well.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from index_table import data

from item2vec import Items, ItemVectors, Recommender, Vocabulary
from item2vec.index import build, find

K = 10
SHARES = (0.5, 0.05, 0.005, 0.0001)


def rules(n_rows, random):
    """Return requests with rules by name. The attribute ``brand`` of ``catalogue`` has 1,000 values."""
    some = [f"i{row}" for row in random.integers(n_rows, size=20)]
    requests = {
        f"where, {share:g} %": {"where": {"rank": {"<": share / 100}}} for share in (50, 20, 10, 5, 0.5)
    }
    return requests | {
        "deny of 20 items": {"deny": some},
        "at_most 2 per brand": {"at_most": {"brand": 2}},
        "diversity of 0.3": {"diversity": 0.3},
        "popularity, no prior in the index": {"popularity": 0.01},
        "boost of one item": {"boost": {some[0]: 1.2}},
        "boost of 5 %": {"boost": [({"rank": {"<": 0.05}}, 1.2)]},
        "one disliked item": {"disliked": some[:1]},
    }


def catalogue(n_rows, random):
    """Return items with a brand, and a number drawn from 0 to 1."""
    ranks, brands = random.random(n_rows).tolist(), random.integers(1000, size=n_rows).tolist()
    pairs = enumerate(zip(ranks, brands, strict=True))
    return Items.of({f"i{row}": {"rank": rank, "brand": f"b{brand}"} for row, (rank, brand) in pairs})


def rows_of(index, query, **filters):
    return find(index, query, k=K, **filters).rows


def by_hand(matrix, effort):
    """Return search functions of FAISS (the graph of the index) and hnswlib at the same effort."""
    searches = {}
    try:
        import hnswlib
    except ImportError:
        return searches
    index = hnswlib.Index("ip", matrix.shape[1])
    index.init_index(len(matrix), M=16, ef_construction=128, random_seed=1)
    index.add_items(matrix)
    index.set_ef(effort)
    index.set_num_threads(1)
    searches["hnswlib by hand"] = lambda query: index.knn_query(query, K)[0][0]
    return searches


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rules", action="store_true", help="also measure the rules of recommend")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    matrix, queries = data(arguments.rows, arguments.dimensions, "unit")
    started = time.perf_counter()
    index = build(matrix, kind="faiss", queries=queries[-256:])
    exact = build(matrix, kind="exact")
    print(f"built in {time.perf_counter() - started:.0f} s: {index.description}", flush=True)
    random = np.random.default_rng(5)
    vectors = ItemVectors(
        Vocabulary(tuple(f"i{row}" for row in range(len(matrix)))), matrix, None, np.ones(len(matrix))
    )
    model = Recommender(vectors, score="cosine", index="exact")
    items = catalogue(len(matrix), random) if arguments.rules else None
    model = Recommender.from_parts(replace(model.parts, index=index, items=items))
    requests = {"Recommender.recommend": {}} | (rules(len(matrix), random) if arguments.rules else {})
    histories = [[f"i{row}" for row in rows] for rows in random.integers(len(matrix), size=(64, 10))]
    cases = {"index, plain": {}}
    for share in SHARES:
        cases[f"index, {100 * share:g} % allowed"] = {"allowed": random.random(len(matrix)) < share}
    took, hits = {}, defaultdict(list)
    hand = by_hand(matrix, index.description.effort)
    graph, faiss = index.graph, __import__("faiss")
    settings = faiss.SearchParametersHNSW(efSearch=index.description.effort)
    hand["FAISS by hand"] = lambda query: graph.search(query[None], K, params=settings)[1][0]

    def calls_of(number, query):
        """Return the calls for a query by name: a function, and the rows that it should return, if known."""
        best = find(exact, query, k=K + 500).rows
        calls = {name: (partial(search, query), best[:K]) for name, search in hand.items()}
        seen = random.integers(len(matrix), size=500)
        further = {
            "index, 500 best seen": {"excluded": best[:500]},
            "index, 500 others seen": {"excluded": seen},
        }
        for name, filters in (cases | further).items():
            truth = find(exact, query, k=K, **filters).rows
            calls[name] = (partial(rows_of, index, query, **filters), truth)
        calls["scan, plain"] = (partial(rows_of, exact, query), best[:K])
        history = histories[number % len(histories)]
        for name, given in requests.items():
            calls[name] = (partial(model.recommend, history, k=K, **given), None)
        return calls

    for number, query in enumerate(queries[: arguments.queries]):
        calls = calls_of(number, query)
        took |= {name: [] for name in calls if name not in took}
        for name in random.permutation(list(calls)).tolist():
            call, truth = calls[name]
            started = time.thread_time()
            rows = call()
            took[name].append(time.thread_time() - started)
            if truth is not None:
                hits[name].append(len(np.intersect1d(rows, truth)) / max(1, len(truth)))
    plain = {
        name: np.median(took["Recommender.recommend" if name in requests else "index, plain"])
        for name in took
    }
    print(f"{'':28} {'p50 ms':>8} {'p99 ms':>8} {'×':>7} {'recall':>7}")
    figures = {}
    for name, seconds in took.items():
        p50, p99 = np.percentile(seconds, [50, 99]) * 1000
        recall = float(np.mean(hits[name])) if hits[name] else float("nan")
        figures[name] = (p50, p99, recall)
        print(f"{name:28} {p50:8.3f} {p99:8.3f} {p50 / plain[name] / 1000:7.2f} {recall:7.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
