"""Which defaults suit item sequences: the same settings on every set, judged on validation only.

    scripts/benchmarks/defaults.py --data DIR [--json FILE]

From each set about 100,000 tokens of whole sentences are drawn. The last item of each sentence (of sets
without order, a tenth of the items) is held back, vectors are trained on the rest, and NDCG@10 over all items
is measured for several ways to read a taste. Test parts are never opened. A number in the table is the mean,
over the sets, of NDCG@10 in per cent of the best that any line reaches on that set.
"""

import json
import time
import warnings

import numpy as np
import sets

import item2vec
from item2vec import adapters
from item2vec.errors import LeakWarning
from item2vec.evaluation import evaluate, leave_last_out, random_split

TOKENS = 100_000
QUESTIONS = 4_000
BETTER = {"alpha": 0.05, "ns_exponent": 0.25}
TRAINING = {
    "gensim's defaults: 5 epochs, sample 1e-3": {"epochs": 5, "sample": 1e-3},
    "20 epochs, window 5, alpha .025, ns 0.75": {},
    "20 epochs, window 5, alpha .05, ns 0.75": {"alpha": 0.05},
    "20 epochs, window 5, alpha .05, ns 0.25": BETTER,
    "20 epochs, window 10, alpha .05, ns 0.25": BETTER | {"window": 10},
    "20 epochs, window 10, alpha .1, ns 0.25": BETTER | {"window": 10, "alpha": 0.1},
    "20 epochs, window 20, alpha .05, ns 0.25": BETTER | {"window": 20},
    "40 epochs, window 5, alpha .05, ns 0.25": BETTER | {"epochs": 40},
    "40 epochs, window 10, alpha .05, ns 0.25": BETTER | {"epochs": 40, "window": 10},
    "40 epochs, window 10, alpha .05, ns 0": BETTER | {"epochs": 40, "window": 10, "ns_exponent": 0.0},
    "40 epochs, window 10, alpha .05, ns 0.5": BETTER | {"epochs": 40, "window": 10, "ns_exponent": 0.5},
    "the same, 128 dimensions, ns 0.25": BETTER | {"epochs": 40, "window": 10, "vector_size": 128},
    "40 epochs, window 20, alpha .05, ns 0.25": BETTER | {"epochs": 40, "window": 20},
    "cbow, 40 epochs, window 10, alpha .05, ns 0.25": BETTER
    | {"epochs": 40, "window": 10, "objective": "cbow"},
}
TASTES = [{"score": "output", "decay": decay} for decay in (1.0, 0.9, 0.7, 0.5)]
TASTES += [{"score": "cosine", "decay": decay} for decay in (1.0, 0.7)]
PLAIN = {"epochs": 20, "window": 5, "alpha": 0.025, "ns_exponent": 0.75, "vector_size": 64}


def main() -> None:
    arguments = sets.arguments(__doc__).parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    found = {}
    for name, split in _splits(arguments.data).items():
        print(f"{name}: {split}", flush=True)
        for training, settings in TRAINING.items():
            started = time.perf_counter()
            vectors = item2vec.train(split.train, **PLAIN | settings)
            seconds = time.perf_counter() - started
            for taste in TASTES:
                model = item2vec.Recommender(vectors, **taste, index="exact")
                score = evaluate(model, split, metrics=["ndcg"]).metrics["ndcg@10"]
                found.setdefault((training, *taste.values()), {})[name] = score
            best = max(found[(training, *taste.values())][name] for taste in TASTES)
            print(f"  {training:<45}{best:>8.4f}{seconds:>8.1f} s", flush=True)
    _print_table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps([[*line, scores] for line, scores in found.items()], indent=1))


def _splits(data):
    orders = {
        "amazon-beauty": (sets.sequences, True),
        "lastfm-sequences": (sets.sequences, True),
        "movielens-100k": (lambda folder: adapters.histories(sets.ratings(folder)), True),
        "yes-small": (sets.playlists, True),
        "online-retail": (sets.purchases, False),
        "diginetica": (sets.sessions, False),
        "gowalla": (lambda folder: sets.places(folder, "train")[1], True),
        "lastfm-2k": (sets.plays, True),
    }
    return {name: _split(read(data / name), filter_seen) for name, (read, filter_seen) in orders.items()}


def _split(sentences, filter_seen):
    """Return the validation split of a sample; the last item of ordered sentences is the test's."""
    random = np.random.default_rng(1)
    if sentences.ordered:
        sentences = leave_last_out(sentences).train
    shuffled = random.permutation(len(sentences))
    drawn = shuffled[np.cumsum(sentences.lengths[shuffled]) <= TOKENS]
    sample = sentences.take(np.sort(drawn))
    if sample.ordered:
        split = leave_last_out(sample, repeats=not filter_seen)
    else:
        split = random_split(sample, fraction=0.1, seed=1)
    return split.take(np.sort(random.permutation(len(split))[:QUESTIONS]))


def _print_table(found):
    names = list(next(iter(found.values())))
    best = {name: max(scores[name] for scores in found.values()) for name in names}
    print(
        f"\n{'training':<45}{'score':<8}{'decay':>6}{'mean':>7}{'worst':>7}  "
        + " ".join(n[:8] for n in names)
    )
    lines = [(*line, [100 * scores[n] / best[n] for n in names]) for line, scores in found.items()]
    for training, score, decay, shares in sorted(lines, key=lambda line: -np.mean(line[-1])):
        each = " ".join(f"{share:>8.0f}" for share in shares)
        print(f"{training:<45}{score:<8}{decay:>6}{np.mean(shares):>7.1f}{min(shares):>7.0f}  {each}")


if __name__ == "__main__":
    main()
