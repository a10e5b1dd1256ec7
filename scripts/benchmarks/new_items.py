"""Quality of recommendations of new items, whose vectors are computed without training (BENCHMARKS A8).

    scripts/benchmarks/new_items.py --data DIR [--only SET …] [--seeds 3] [--models DIR] [--json FILE]

A seeded tenth of the items, the cold items, is removed from training and from histories. A query is a history
without its last item, the target. Cold targets are ranked among the cold items, and among all items. Warm
targets are ranked before and after the cold items are added. Vectors of cold items come from ``with_items``:

    attributes   ridge regression from attributes
    neighbours   the mean of the 20 items with the most similar attributes (Jaccard)
    together     the mean of the items before and after the first 5 occurrences of the cold item

``popularity`` ranks by the number of training tokens, which is 0 for cold items: its order among them is
random. With ``--models``, trained models are saved in a folder, and later runs load them.
"""

import json
import warnings
from pathlib import Path
from statistics import mean

import numpy as np
import sets

import item2vec
from item2vec import Items
from item2vec.errors import LeakWarning
from item2vec.evaluation import leave_last_out

SETS = ("amazon-beauty", "lastfm-sequences")
K = 10
N_NEIGHBOURS = 20
N_FIRST = 5


def items_of(folder):
    """Return the items with their attribute numbers."""
    numbers = json.loads((folder / "attributes.json").read_text())
    return Items.of({item: {"attribute": values} for item, values in numbers.items()})


def cold_codes(n_items, seed):
    """Return a seeded tenth of the item codes."""
    return np.random.default_rng(seed).choice(n_items, n_items // 10, replace=False)


def model_of(sentences, warm, items, seed, folder):
    """Train a model on the warm items, or load it."""
    if folder is not None and folder.exists():
        return item2vec.Recommender(item2vec.load(folder).vectors, items=items, index="exact")
    vectors = item2vec.train(sentences.keep(warm[sentences.tokens]), seed=seed)
    model = item2vec.Recommender(vectors, items=items, index="exact")
    if folder is not None:
        model.save(folder)
    return model


def nearest(items, vocabulary, cold):
    """Return, for each cold item, the warm items with the most similar attributes."""
    values = max(max(row["attribute"], default=0) for row in items.attributes) + 1
    indicators = np.zeros((len(items), values), dtype=np.float32)
    for row, attributes in zip(indicators, items.attributes, strict=True):
        row[attributes["attribute"]] = 1
    known = items.vocabulary.encode(vocabulary.ids)
    common = indicators[items.vocabulary.encode(cold)] @ indicators[known].T
    sizes = indicators.sum(axis=1)
    union = sizes[items.vocabulary.encode(cold), None] + sizes[known] - common
    best = np.argsort(-common / np.maximum(union, 1), axis=1, kind="stable")[:, :N_NEIGHBOURS]
    return {item: vocabulary.decode(rows) for item, rows in zip(cold, best, strict=True)}


def first_together(sentences, cold):
    """Return, for each cold item, the items before and after its first occurrences."""
    found = {item: [] for item in cold}
    n_seen = dict.fromkeys(cold, 0)
    for history in sentences:
        for place, item in enumerate(history):
            if n_seen.get(item, N_FIRST) < N_FIRST:
                n_seen[item] += 1
                found[item] += history[max(0, place - 2) : place] + history[place + 1 : place + 3]
    return found


def hits(model, histories, targets, **rules):
    """Return HR@10 and NDCG@10."""
    ranks = [
        next((rank for rank, found in enumerate(answer) if found.item == target), None)
        for answer, target in zip(model.recommend_many(histories, k=K, **rules), targets, strict=True)
    ]
    gains = [0 if rank is None else 1 / np.log2(rank + 2) for rank in ranks]
    return mean(rank is not None for rank in ranks), float(mean(gains))


def measure(name, seed, data, models):
    """Return the measurements of a set with one seed."""
    folder = sets.folder_of(name, data)
    sentences, items = sets.sequences(folder), items_of(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        split = leave_last_out(sentences)
    chosen = cold_codes(len(sentences.vocabulary), seed)
    warm = np.ones(len(sentences.vocabulary), dtype=bool)
    warm[chosen] = False
    cold = sentences.vocabulary.decode(chosen)
    removed = frozenset(cold)
    kept = None if models is None else models / f"{name}-{seed}"
    model = model_of(split.train, warm, items, seed, kept)
    targets = [target[0] for target in split.targets]
    histories = [[item for item in history if item not in removed] for history in split.histories]
    is_cold = [target in removed for target in targets]
    queries = {
        kind: [(h, t) for h, t, own in zip(histories, targets, is_cold, strict=True) if own is wanted]
        for kind, wanted in (("cold", True), ("warm", False))
    }
    bare = item2vec.Recommender(model.vectors, index="exact")
    plain = Items.of({item: {} for item in cold})
    ways = {
        "attributes": lambda: model.with_items(items.take(items.vocabulary.encode(cold))),
        "neighbours": lambda: bare.with_items(plain, together=nearest(items, model.vocabulary, cold)),
        "together": lambda: bare.with_items(plain, together=first_together(split.train, cold)),
    }
    rows = {"popularity": {"cold": (K / len(cold), None), "all": (0.0, 0.0)}}
    rows["popularity"]["warm"] = hits(model, [[]] * len(queries["warm"]), [t for _, t in queries["warm"]])
    rows["no new items"] = {"warm": hits(model, *zip(*queries["warm"], strict=True))}
    for way, make in ways.items():
        extended = make()
        histories, targets = zip(*queries["cold"], strict=True)
        rows[way] = {
            "cold": hits(extended, histories, targets, allow=cold),
            "all": hits(extended, histories, targets),
            "warm": hits(extended, *zip(*queries["warm"], strict=True)),
        }
    sizes = {"cold items": len(cold), "cold": len(queries["cold"]), "warm": len(queries["warm"])}
    return {"set": name, "seed": seed, "sizes": sizes, "rows": rows}


def printed(pair):
    """Return HR@10/NDCG@10 as text."""
    if pair is None:
        return ""
    return "/".join("" if value is None else f"{value:.4f}".removeprefix("0") for value in pair)


def main():
    """Measure all sets, and print a table."""
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--models", type=Path, help="folder of trained models")
    options = parser.parse_args()
    results = []
    for name in options.only:
        for seed in range(1, options.seeds + 1):
            result = measure(name, seed, options.data, options.models)
            results.append(result)
            sizes = ", ".join(f"{n:,} {what}" for what, n in result["sizes"].items())
            print(f"\n{name}, seed {seed} ({sizes})")
            print("| HR@10/NDCG@10 | among cold items | among all items | warm targets |")
            for way, row in result["rows"].items():
                cells = (printed(row.get(column)) for column in ("cold", "all", "warm"))
                print(f"| {way} | {' | '.join(cells)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
