"""Seconds to evaluate a model with all metrics at k = 5, 10, 20: for its rankings, and for all other work.

    scripts/benchmarks/evaluation.py [--users 20000] [--items 12000] [--json FILE]

Histories and targets are drawn by Zipf popularity, vectors at random. Compilation is not included.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from item2vec import ItemVectors, Recommender, Sentences, Vocabulary
from item2vec.evaluation import Popularity, Split, compare, evaluate, segments
from item2vec.evaluation.rankings import QUERIES_PER_BLOCK

CUTOFFS = (5, 10, 20)


def random_split_and_model(n_users, n_items, seed=7):
    """Return a split with about 9 history items per user, as in amazon-beauty, and a 64-dimensional model."""
    random = np.random.default_rng(seed)
    vocabulary = Vocabulary(tuple(map(str, range(n_items))))
    chances = 1 / (np.arange(n_items) + 10.0)
    lengths = random.geometric(1 / 8, n_users) + 1
    tokens = random.choice(n_items, lengths.sum(), p=chances / chances.sum())
    histories = Sentences(vocabulary, tokens, np.concatenate(([0], np.cumsum(lengths))))
    target_codes = random.choice(n_items, n_users, p=chances / chances.sum())
    targets = Sentences(vocabulary, target_codes, np.arange(n_users + 1))
    vectors = ItemVectors(
        vocabulary, random.standard_normal((n_items, 64)).astype(np.float32), None, histories.counts()
    )
    return Split(histories, histories, targets, "synthetic"), Recommender(vectors, index="exact")


def timed(call):
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def peak_megabytes():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def rank(model, histories):
    """Compute rankings in blocks as ``evaluate`` does, and discard them."""
    for start in range(0, len(histories), QUERIES_PER_BLOCK):
        model.recommend_many(histories[start : start + QUERIES_PER_BLOCK], k=max(CUTOFFS) + 1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split, model = random_split_and_model(arguments.users, arguments.items)
    evaluate(model, split.take(np.arange(10)), k=CUTOFFS)
    popular = evaluate(Popularity(split.train), split, k=CUTOFFS)
    before = peak_megabytes()
    _, ranking = timed(lambda: rank(model, split.histories))
    evaluation, total = timed(lambda: evaluate(model, split, k=CUTOFFS))
    peak = peak_megabytes()
    rows = {
        "evaluate, all metrics": total,
        "  the model's rankings": ranking,
        "  everything else": total - ranking,
        "intervals of all metrics": timed(evaluation.intervals)[1],
        "compare with popularity": timed(lambda: compare(evaluation, popular))[1],
        "segments": timed(lambda: segments(evaluation, split))[1],
    }
    print(f"{split!r}; {len(evaluation.metrics)} metrics")
    for name, seconds in rows.items():
        print(f"{name:<28}{seconds:>8.2f} s")
    print(f"{'peak memory':<28}{peak:>8.0f} MiB, of which {before:.0f} before the evaluation")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows | {"peak_mib": peak}, indent=1))


if __name__ == "__main__":
    main()
