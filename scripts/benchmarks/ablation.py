"""Ablation of next_item: change one setting at a time, and evaluate on validation.

    scripts/benchmarks/ablation.py --data DIR [--only SET ...] [--seeds 2] [--json FILE]

Sets, validation parts and samples are defined in ``defaults.py``; test parts are not read. The script prints
NDCG@10 over all queries, and its change from the default.
"""

import json
import time
import warnings
from statistics import mean, stdev

import defaults
import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import evaluate

SETS = ["amazon-beauty", "lastfm-sequences", "yoochoose-100k", "lastfm-2k"]
CHANGES = {
    "the default": {},
    "one tied part": {"context_decay": ("learned",), "tied": 1},
    "one untied part": {"context_decay": ("learned",)},
    "one untied part, 384 dimensions": {"context_decay": ("learned",), "vector_size": 384},
    "two parts, tied and untied, both learned": {"context_decay": ("learned", "learned")},
    "three parts, all learned": {"context_decay": ("learned",) * 3},
    "no part tied": {"tied": 0},
    "fixed decays .5, .98, .3": {"context_decay": (0.5, 0.98, 0.3)},
    "inner products": {"similarity": "inner", "tied": 0},
    "inner products, decays .3 .8 .98": {
        "similarity": "inner",
        "tied": 0,
        "context_decay": (0.3, 0.8, 0.98),
    },
    "temperature .05": {"temperature": 0.05},
    "temperature .1": {"temperature": 0.1},
    "64 dimensions each": {"vector_size": 192},
    "no dropout": {"dropout": 0.0},
    "dropout .1": {"dropout": 0.1},
    "no weight decay": {"weight_decay": 0.0},
    "128 negatives": {"negative": 128},
    "negatives drawn uniformly": {"ns_exponent": 0.0},
    "negatives drawn in proportion to frequency": {"ns_exponent": 1.0},
    "window of 20": {"window": 20},
    "half the epochs": {"epochs": 7},
    "twice the epochs": {"epochs": 30},
}
SKIPGRAM = {
    "skip-gram, defaults": {},
    "skip-gram, 128 dimensions, window 5": {"vector_size": 128, "window": 5},
    "the same, forward only": {"vector_size": 128, "window": 5, "forward_only": True},
}


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=SETS, choices=defaults.SETS, metavar="SET")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    rows = []
    for name in arguments.only:
        split = defaults.SETS[name](sets.folder_of(name, arguments.data))
        print(f"\n{name}: {split}\n  {'next_item':<56}{'NDCG@10':>16}{'':>8}{'s':>7}", flush=True)
        baseline = None
        for objective, changes in (("next_item", CHANGES), ("skipgram", SKIPGRAM)):
            for change, settings in changes.items():
                started = time.perf_counter()
                scores = []
                for seed in range(1, arguments.seeds + 1):
                    config = item2vec.TrainConfig(objective=objective, backend="numba", seed=seed, **settings)
                    model = item2vec.fit(split.train, item2vec.Config(train=config))
                    scores.append(evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"])
                seconds = (time.perf_counter() - started) / arguments.seeds
                baseline = baseline or mean(scores)
                spread = stdev(scores) if len(scores) > 1 else 0.0
                cell = f"{mean(scores):.4f}±{spread:.4f}"
                print(
                    f"  {change:<56}{cell:>16}{mean(scores) / baseline - 1:>+8.1%}{seconds:>7.0f}", flush=True
                )
                rows.append({"set": name, "change": change, "ndcg@10": scores})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
