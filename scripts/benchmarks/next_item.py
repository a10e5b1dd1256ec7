"""BENCHMARKS A1: the next item of amazon-beauty and lastfm-sequences, leave-last-out, over all items.

    scripts/benchmarks/next_item.py --data DIR [--json FILE]

Skip-gram of 64 dimensions, 30 epochs, recency decay 0.5, scored input → output; three seeds; public API only.
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import mean, stdev

import item2vec
from item2vec import adapters
from item2vec.evaluation import Popularity, evaluate, leave_last_out

SETS = {"amazon-beauty": (0.068, 0.038), "lastfm-sequences": (None, None)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("ITEM2VEC_BENCH_DATA"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not arguments.data:
        parser.error("where is the data? pass --data DIR, or set ITEM2VEC_BENCH_DATA")
    rows = []
    print(f"{'set':<18}{'model':<14}{'HR@10':>14}{'NDCG@10':>16}{'train s':>9}")
    for name in SETS:
        path = arguments.data / name / "sequences.txt"
        if not path.is_file():
            print(f"{name:<18}missing: {path}")
            continue
        split = leave_last_out(adapters.playlists(path, skip_fields=1))
        popular = evaluate(Popularity(split.train), split).metrics
        rows.append({"set": name, "model": "popularity", **popular})
        print(f"{name:<18}{'popularity':<14}{popular['hr@10']:>8.4f}{'':6}{popular['ndcg@10']:>10.4f}")
        hr, ndcg, seconds = [], [], []
        for seed in (1, 2, 3):
            started = time.perf_counter()
            vectors = item2vec.train(split.train, epochs=30, seed=seed)
            seconds.append(time.perf_counter() - started)
            model = item2vec.Recommender(vectors, score="output", decay=0.5)
            measured = evaluate(model, split).metrics
            hr.append(measured["hr@10"])
            ndcg.append(measured["ndcg@10"])
        rows.append({"set": name, "model": "skip-gram", "hr@10": hr, "ndcg@10": ndcg, "seconds": seconds})
        print(
            f"{'':<18}{'skip-gram':<14}{mean(hr):>8.4f}±{stdev(hr):.4f}"
            f"{mean(ndcg):>9.4f}±{stdev(ndcg):.4f}{mean(seconds):>9.1f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
