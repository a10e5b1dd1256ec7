"""Comparison of candidate defaults of next_item on all sets, on validation only.

    scripts/benchmarks/defaults.py --data DIR [--only SET …] [--workers 2] [--json FILE]

The reference is skip-gram with its defaults.

Test parts are not read. The validation part depends on the protocol of the set: the item before the last item
(leave-last-out), the tenth of the events before the last tenth (temporal), every prefix of the last tenth of
the training sessions, or a random tenth of each unordered sentence. Large sets are sampled: 200,000 tokens of
whole sentences, up to 4,000 queries. Values are NDCG@10 over all items and, in brackets, the percentage of
the NDCG@10 of the best settings on that set.
"""

import json
import time
import warnings
from statistics import mean

import numpy as np
import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import (
    Split,
    evaluate,
    leave_last_out,
    prefix_split,
    random_split,
    temporal_folds,
)

TOKENS = 200_000
MAX_QUERIES = 4_000
SKIPGRAM = "skip-gram"
CANDIDATES = {
    "the default": {},
    "learned, learned": {"context_decay": ("learned", "learned")},
    "learned, .98, learned; two tied": {"context_decay": ("learned", 0.98, "learned"), "tied": 2},
    "inner products, .3 .8 .98": {"similarity": "inner", "tied": 0, "context_decay": (0.3, 0.8, 0.98)},
    SKIPGRAM: {"objective": "skipgram", "backend": "numba"},
}


def last(sentences, *, repeats=False):
    """Return a split whose target is the item before the last; the last item is the test target."""
    split = leave_last_out(_sample(leave_last_out(sentences).train))
    return Split(split.train, split.histories, split.targets, split.protocol, filter_seen=not repeats)


def in_time(interactions):
    """Return a split whose targets are the tenth of the events before the last tenth, the test part."""
    before, _ = temporal_folds(interactions, folds=2, fraction=0.1)
    return before.take(~before.cold_users())


def prefixes(sentences):
    """Return a split of the last training sessions; large sets are reduced to their newest sessions."""
    newest = np.cumsum(sentences.lengths[::-1])[::-1] <= TOKENS
    return prefix_split(sentences.take(newest))


def tenth(sentences):
    """Return a split with a random tenth of each sentence as targets."""
    return random_split(_sample(sentences), fraction=0.1, seed=1)


SETS = {
    "amazon-beauty": lambda folder: last(sets.sequences(folder)),
    "lastfm-sequences": lambda folder: last(sets.sequences(folder)),
    "yes-small": lambda folder: last(sets.playlists(folder)),
    "online-retail": lambda folder: last(sets.purchases(folder), repeats=True),
    "sample_data": lambda folder: in_time(sets.listens(folder)),
    "movielens-100k": lambda folder: in_time(sets.ratings(folder)),
    "yoochoose-100k": lambda folder: prefixes(sets.clicks(folder, "train_full")),
    "diginetica": lambda folder: prefixes(sets.sessions(folder)),
    "gowalla": lambda folder: tenth(sets.places(folder, "train")[1]),
    "lastfm-2k": lambda folder: tenth(sets.plays(folder)),
}


def _sample(sentences):
    """Return a random sample of whole sentences with up to ``TOKENS`` tokens."""
    shuffled = np.random.default_rng(1).permutation(len(sentences))
    drawn = shuffled[np.cumsum(sentences.lengths[shuffled]) <= TOKENS]
    return sentences.take(np.sort(drawn))


def _sample_queries(split):
    return split.take(np.sort(np.random.default_rng(1).permutation(len(split))[:MAX_QUERIES]))


def measure(split, workers):
    """Return NDCG@10 of each candidate on one set."""
    scores = {}
    for name, settings in CANDIDATES.items():
        model = item2vec.fit(split.train, workers=workers, index="exact", **settings)
        scores[name] = evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"]
    return scores


def print_table(scores):
    best = {name: max(value for row, value in of.items() if row != SKIPGRAM) for name, of in scores.items()}
    print(
        f"\n| NDCG@10, % of the best | mean | worst | {' | '.join(scores)} |\n|{'---|' * (len(scores) + 3)}"
    )
    for row in next(iter(scores.values())):
        shares = [100 * scores[name][row] / best[name] for name in scores]
        cells = [f"{scores[name][row]:.4f} ({share:.0f})" for name, share in zip(scores, shares, strict=True)]
        print(f"| {row} | {mean(shares):.1f} | {min(shares):.0f} | {' | '.join(cells)} |")


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS, metavar="SET")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    scores = {}
    for name in arguments.only:
        started = time.perf_counter()
        split = _sample_queries(SETS[name](sets.folder_of(name, arguments.data)))
        print(f"{name}: {split}", flush=True)
        scores[name] = measure(split, arguments.workers)
        print(f"  {time.perf_counter() - started:.0f} s: {scores[name]}", flush=True)
    print_table(scores)
    if arguments.json:
        arguments.json.write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
