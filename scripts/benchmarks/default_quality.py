"""Quality of ``item2vec.fit(sentences)`` without settings, skip-gram and baselines, on the TEST parts.

    scripts/benchmarks/default_quality.py --data DIR [--only SET …] [--seed 1] [--default-only] [--json FILE]

The script chooses no settings. The held-out data are the last item of each sentence (amazon-beauty,
lastfm-sequences, yes-small; online-retail with repeats), the last tenth of the events (movielens-100k,
sample_data: users with a history), the published test part (diginetica and yoochoose-100k: every prefix of a
session; gowalla), or a random tenth (lastfm-2k). Items with equal scores are ranked above the target for
item2vec, and in the returned order for baselines. The last two columns are the seconds of training and of
the evaluation.
"""

import json
import time
import warnings

import quality
import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import baselines, evaluate, leave_last_out, temporal_split

DEFAULT, SKIPGRAM = "item2vec.fit(sentences)", "skip-gram, defaults"


def in_time(interactions):
    """Return a split whose test part is the last tenth of the events, with users who have a history."""
    split = temporal_split(interactions, fraction=0.1)
    return split.take(~split.cold_users()), ("hr@10", "ndcg@10")


def radio(folder):
    """Return a split with the last song of each playlist as target."""
    return leave_last_out(sets.playlists(folder)), ("hr@10", "ndcg@10")


SETS = {
    "amazon-beauty": quality.next_item,
    "lastfm-sequences": quality.next_item,
    "yes-small": radio,
    "online-retail": quality.repeats,
    "sample_data": lambda folder: in_time(sets.listens(folder)),
    "movielens-100k": lambda folder: in_time(sets.ratings(folder)),
    "yoochoose-100k": quality.clicks,
    "diginetica": quality.sessions,
    "gowalla": quality.unordered,
    "lastfm-2k": quality.plays,
}


def models(split, seed, default_only):
    """Yield (name, model) pairs, one at a time because some models are large."""
    yield DEFAULT, item2vec.fit(split.train, seed=seed, index="exact")
    if default_only:
        return
    vectors = item2vec.train(split.train, objective="skipgram", backend="numba", seed=seed)
    yield SKIPGRAM, item2vec.Recommender(vectors, index="exact")
    yield from baselines(split).items()


def measure(split, names, seed, default_only):
    """Print and return the two metrics of each model."""
    kinds, cutoffs = zip(*(name.split("@") for name in names), strict=True)
    rows = {}
    started = time.perf_counter()
    for name, model in models(split, seed, default_only):
        trained = time.perf_counter()
        evaluation = evaluate(model, split, k=int(cutoffs[0]), metrics=kinds)
        rows[name] = {metric: evaluation.metrics[metric] for metric in names}
        cells = "".join(f"{rows[name][metric]:>10.4f}" for metric in names)
        evaluated = time.perf_counter()
        print(f"  {name:<26}{cells}{trained - started:>8.1f} s{evaluated - trained:>8.1f} s", flush=True)
        started = time.perf_counter()
    return rows


def print_table(measured):
    """Print the second metric of every model on every set, and which models beat the default."""
    rows = list(dict.fromkeys(row for of_set in measured.values() for row in of_set["rows"]))
    print(f"\n| set | metric | {' | '.join(rows)} | default is below |\n|{'---|' * (len(rows) + 3)}")
    for name, of_set in measured.items():
        metric = of_set["metrics"][1]
        values = {row: scores[metric] for row, scores in of_set["rows"].items()}
        below = [
            f"{row} by {1 - values[DEFAULT] / value:.1%}"
            for row, value in values.items()
            if value > values[DEFAULT]
        ]
        cells = " | ".join(f"{values[row]:.4f}" if row in values else "–" for row in rows)
        print(f"| {name} | {metric.upper()} | {cells} | {', '.join(below) or '–'} |")


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS, metavar="SET")
    parser.add_argument("--seed", type=int, default=1, help="seed of the default's and skip-gram's training")
    parser.add_argument("--default-only", action="store_true", help="without skip-gram and the baselines")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    measured = {}
    for name in arguments.only:
        split, metrics, *_ = SETS[name](sets.folder_of(name, arguments.data))
        print(f"\n{name}: {split}\n  {'model':<26}" + "".join(f"{m:>10}" for m in metrics), flush=True)
        measured[name] = {
            "metrics": metrics,
            "rows": measure(split, metrics, arguments.seed, arguments.default_only),
        }
    print_table(measured)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
