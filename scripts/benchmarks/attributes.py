"""Quality and time of next_item with attributes of the items, compared with training without them.

    scripts/benchmarks/attributes.py --data DIR [--only SET …] [--seeds 3] [--validation] [--json FILE]

Leave-last-out on sequences.txt: the last item of each history is the target, ranked among all items that the
history does not contain. The attributes of the items are read from attributes.json. Queries are grouped by
the number of occurrences of their target in the training part. With --validation, the last item of each
history is removed first, so that settings are chosen on targets that are not test targets. Gains are relative
to training without attributes. The interval is a 95 % interval, over users, of the difference of means over
seeds.
"""

import json
import time
import warnings
from itertools import pairwise

import numpy as np
import sets

import item2vec
from item2vec import Items
from item2vec.errors import LeakWarning
from item2vec.evaluation import evaluate, leave_last_out

SETS = ["amazon-beauty", "lastfm-sequences"]
OCCURRENCES = (0, 1, 5, 10, 20, 50)
"""Minimum number of occurrences of the targets of each group of queries."""
WITHOUT = "without attributes"


def items_of(folder):
    """Return the items with the attribute "labels", a list of text."""
    rows = json.loads((folder / "attributes.json").read_text())
    return Items.of({item: {"labels": [str(label) for label in labels]} for item, labels in rows.items()})


def measure(split, seeds, **how):
    """Return HR@10 and NDCG@10 of each query (means over seeds), and CPU seconds of each training run."""
    metrics, seconds = [], []
    for seed in range(1, seeds + 1):
        started = time.process_time()
        vectors = item2vec.train(split.train, seed=seed, **how)
        seconds.append(time.process_time() - started)
        evaluation = evaluate(item2vec.Recommender(vectors, index="exact"), split, metrics=["hr", "ndcg"])
        metrics.append([evaluation.per_query[name] for name in ("hr@10", "ndcg@10")])
        print(f"  seed {seed}: {evaluation}, {seconds[-1]:.1f} s", flush=True)
    return np.mean(metrics, axis=0), float(np.mean(seconds))


def groups_of(split):
    """Yield the name and the queries of each group: all queries, and by occurrences of their target."""
    counts = np.append(split.train.counts(), 0)
    codes = split.train.vocabulary.encode(split.targets.vocabulary.ids)[split.targets.tokens]
    occurrences = counts[codes]
    yield "all targets", np.ones(len(split), bool)
    for low, high in pairwise((*OCCURRENCES, np.inf)):
        name = f"{low} to {high - 1} occurrences" if high < np.inf else f"{low} or more occurrences"
        yield (name if low else "no occurrence"), (occurrences >= low) & (occurrences < high)


def interval(differences, seed=1, resamples=2000):
    """Return the 95 % interval of a mean over users."""
    random = np.random.default_rng(seed)
    means = [random.choice(differences, len(differences)).mean() for _ in range(resamples)]
    return np.quantile(means, [0.025, 0.975])


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=SETS, choices=SETS, metavar="SET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--validation", action="store_true", help="use the item before the last one as target"
    )
    parser.add_argument("--attributes-only", nargs="+", type=float, default=[None], metavar="P")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings of all models, as JSON")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    measured = {}
    for name in arguments.only:
        split = leave_last_out(sets.sequences(arguments.data / name))
        split = leave_last_out(split.train) if arguments.validation else split
        items, workers = items_of(arguments.data / name), {"workers": 1, **arguments.settings}
        item2vec.train(
            split.train, items=items, attributes=["labels"], **(workers | {"epochs": 1})
        )  # compiles the loops
        print(f"\n{name}: {split}, mean of {arguments.seeds} seeds\n {WITHOUT}")
        without, seconds = measure(split, arguments.seeds, **workers)
        for share in arguments.attributes_only:
            own = {} if share is None else {"attributes_only": share}
            print(f" with attributes {own or ''}")
            how = {"items": items, "attributes": ["labels"], **own, **workers}
            with_, seconds_with = measure(split, arguments.seeds, **how)
            print(f"  {'':<24}{'queries':>8}{'HR@10':>16}{'gain':>8}{'NDCG@10':>16}{'gain':>8}  interval")
            for group, chosen in groups_of(split):
                before, after = without[:, chosen].mean(axis=1), with_[:, chosen].mean(axis=1)
                low, high = interval(with_[1, chosen] - without[1, chosen]) if chosen.any() else (0, 0)
                gain = np.divide(after - before, before, out=np.zeros(2), where=before > 0)
                print(
                    f"  {group:<24}{chosen.sum():>8,}"
                    + "".join(
                        f"{b:>8.4f}{a:>8.4f}{g:>+8.1%}" for b, a, g in zip(before, after, gain, strict=True)
                    )
                    + f"  {low:+.4f} to {high:+.4f}",
                    flush=True,
                )
                row = {"without": before.tolist(), "with": after.tolist(), "interval": [low, high]}
                measured.setdefault(f"{name}, {share}", {})[group] = row
            print(f"  CPU seconds of a training run: {seconds:.1f} without, {seconds_with:.1f} with")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
