"""Structure and quality of GloVe and of factorised PMI, compared with skip-gram.

    scripts/benchmarks/relatives.py --data DIR [--only SET …] [--seeds 3] [--without MODEL …] [--json FILE]
                                   [--picture FILE.svg] [--quality MODEL …]

The next item is predicted, leave-last-out, on the training part of leave-last-out (the validation part). Two
structures of a model are compared: its lists of the 10 nearest items, by cosine of input vectors, and its
inner products of input and output vectors. The inner products are correlated with the logarithms of
co-occurrence counts (window 5, both directions) and with pointwise mutual information (PMI), over all pairs
of items with a count of at least 2. Log count and PMI differ only by a constant per item. "Within items" is
the correlation after removing the means of items and of contexts; it is the same for log count and PMI.

With --quality, only the quality of these models is measured, with one seed. These models may include the
tables of neighbours (transitions, linkprop, ease), and their vectors alone.
"""

import json
import warnings
from pathlib import Path
from statistics import mean

import numpy as np
import sets

import item2vec
from item2vec import LSA, adapters
from item2vec.errors import LeakWarning
from item2vec.evaluation import EASE, ItemKNN, LinkPropagation, Transitions, evaluate, leave_last_out
from item2vec.training.cooccurrence import in_windows, linear
from item2vec.training.corpus import prepare

SETS = {
    "sample_data": lambda folder: adapters.playlists(folder / "playlists.jsonl"),
    "lastfm-sequences": sets.sequences,
    "yes-small": lambda folder: sets.playlists(folder)[:10_000],
    "amazon-beauty": sets.sequences,
    "movielens-100k": lambda folder: adapters.histories(sets.ratings(folder)),
}
SAME = {"window": 5, "vector_size": 64}
MODELS = {
    "skip-gram": {"objective": "skipgram", "backend": "numba", "ns_exponent": 0.5, **SAME},
    "GloVe": {"objective": "glove", **SAME},
    "PPMI": {"objective": "lsa", **SAME},
    "PPMI, forward": {"objective": "lsa", "forward_only": True, **SAME},
    "counts": {"objective": "lsa", "weighting": "raw", **SAME},
    "sentences, PPMI": {"objective": "lsa", "matrix": "sentences", "vector_size": 64},
    "sentences, PureSVD": {
        "objective": "lsa",
        "matrix": "sentences",
        "weighting": "raw",
        "power": 0,
        "vector_size": 64,
    },
    "next_item": {"objective": "next_item"},
}
TABLES = {name: {"objective": name} for name in ("transitions", "linkprop", "ease")}
VECTORS_OF_TABLES = {f"{name}, vectors": {**settings, "mixture": 0} for name, settings in TABLES.items()}
QUALITY = {**MODELS, **TABLES, **VECTORS_OF_TABLES}
COMPARED = ("skip-gram", "GloVe", "PPMI")
BASELINES = {"item-kNN": ItemKNN, "transitions": Transitions, "link propagation": LinkPropagation}
EASE_ITEMS = 4_000
DRAWN = 350


def pairs_of(train):
    """Return the vocabulary, and the codes, log counts and PMI of pairs with a count of at least 2."""
    corpus = prepare(train, LSA())
    counts = in_windows(corpus, 1, SAME["window"], linear(SAME["window"]), forward_only=False).tocoo()
    kept = (counts.data >= 2) & (counts.coords[0] != counts.coords[1])
    items, contexts = (codes[kept] for codes in counts.coords)
    totals = np.bincount(counts.coords[0], counts.data)
    of_contexts = totals**0.5
    chance = totals[items] * of_contexts[contexts] / of_contexts.sum()
    logs = np.log(counts.data[kept])
    return corpus.vocabulary, items, contexts, logs, logs - np.log(chance)


def products(vectors, vocabulary, items, contexts):
    """Return the inner product of input and output vectors of each pair; NaN for items left out."""
    rows = vectors.vocabulary.encode(vocabulary.ids)
    left, right = rows[items], rows[contexts]
    found = np.einsum("ij,ij->i", vectors.input[left], vectors.output[right]).astype(float)
    found[(left < 0) | (right < 0)] = np.nan
    return found


def correlation(a, b):
    """Return Pearson's correlation over the pairs for which both values are finite."""
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1])


def within(values, items, contexts, rounds=50):
    """Remove the means of items and of contexts in turn; NaN stays NaN."""
    known = np.isfinite(values)
    rest = np.where(known, values, 0.0)
    for codes in [items, contexts] * rounds:
        n = np.bincount(codes, known)
        rest -= known * (np.bincount(codes, rest) / np.maximum(n, 1))[codes]
    return np.where(known, rest, np.nan)


def neighbours(vectors, items, k=10):
    """Return the nearest items of each item, by cosine of input vectors."""
    return [{near.item for near in vectors.similar_items(item, k=k)} for item in items]


def overlap(a, b):
    """Return the mean share of common neighbours."""
    return mean(len(one & other) / len(one) for one, other in zip(a, b, strict=True))


def quality(model, split):
    """Return NDCG@10 and its 95 % interval."""
    found = evaluate(model, split, k=10, metrics=["ndcg"])
    return found.metrics["ndcg@10"], found.intervals()["ndcg@10"]


def measure(sentences, seeds, models):
    """Return structure and quality on one set, and the data of the picture."""
    split = leave_last_out(leave_last_out(sentences).train)
    vocabulary, items, contexts, logs, pmi = pairs_of(split.train)
    frequent = vocabulary.ids[:500]
    found = {"queries": len(split), "pairs": len(items), "correlations": {}, "ndcg": {}}
    rest = within(pmi, items, contexts)
    trained, points = {}, {}
    for seed in range(1, seeds + 1):
        for name, settings in models.items():
            if seed > 1 and (name not in COMPARED or settings["objective"] == "lsa"):
                continue
            vectors = item2vec.train(split.train, **settings, seed=seed)
            trained[name, seed] = vectors
            model = item2vec.Recommender(vectors, index="exact")
            found["ndcg"].setdefault(name, []).append(quality(model, split))
            if name in COMPARED:
                scores = products(vectors, vocabulary, items, contexts)
                inner = within(scores, items, contexts)
                points.setdefault(name, (rest, inner))
                row = correlation(scores, logs), correlation(scores, pmi), correlation(inner, rest)
                found["correlations"].setdefault(name, []).append(row)
    for name, baseline in BASELINES.items():
        found["ndcg"][name] = [quality(baseline(split.train), split)]
    if len(vocabulary) <= EASE_ITEMS:
        found["ndcg"]["EASE"] = [quality(EASE(split.train), split)]
    known = [item for item in frequent if all(item in trained[name, 1] for name in COMPARED)]
    near = {name: neighbours(trained[name, 1], known) for name in COMPARED}
    pairs = [("skip-gram", "GloVe"), ("skip-gram", "PPMI"), ("GloVe", "PPMI")]
    found["overlap"] = {" / ".join(pair): overlap(*(near[name] for name in pair)) for pair in pairs}
    if seeds > 1:
        again = neighbours(trained["skip-gram", 2], known)
        found["overlap"]["skip-gram, two seeds"] = overlap(near["skip-gram"], again)
    found["overlap"]["chance"] = 10 / (len(vocabulary) - 1)
    return found, points


def measure_quality(sentences, models):
    """Return the quality of models on one set."""
    split = leave_last_out(leave_last_out(sentences).train)
    found = {"queries": len(split), "pairs": 0, "correlations": {}, "overlap": {}, "ndcg": {}}
    for name in models:
        model = (
            EASE(split.train) if name == "EASE" else item2vec.fit(split.train, **QUALITY[name], index="exact")
        )
        found["ndcg"][name] = [quality(model, split)]
    return found


def picture(points, seed=1):
    """Return an SVG: the inner product of a pair by its PMI, both within items, in one panel per model."""
    width, height, gap = 250, 230, 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * width + 2 * gap + 60} {height + 70}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for panel, (name, (pmi, scores)) in enumerate(points.items()):
        finite = np.flatnonzero(np.isfinite(scores))
        drawn = np.random.default_rng(seed).choice(finite, min(DRAWN, len(finite)), replace=False)
        left, top = 40 + panel * (width + gap), 30
        (x_low, x_high), (y_low, y_high) = (np.percentile(v[finite], (0.5, 99.5)) for v in (pmi, scores))
        x = left + np.clip((pmi[drawn] - x_low) / (x_high - x_low), 0, 1) * width
        y = top + height - np.clip((scores[drawn] - y_low) / (y_high - y_low), 0, 1) * height
        r = correlation(pmi, scores)
        parts.append(
            f'<text x="{left}" y="{top - 10}">{name}: r = {r:.2f}</text>'
            f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="#888"/>'
            f'<text x="{left}" y="{top + height + 16}">{x_low:.1f}</text>'
            f'<text x="{left + width}" y="{top + height + 16}" text-anchor="end">{x_high:.1f}</text>'
            f'<text x="{left - 4}" y="{top + height}" text-anchor="end">{y_low:.1f}</text>'
            f'<text x="{left - 4}" y="{top + 10}" text-anchor="end">{y_high:.1f}</text>'
            f'<g fill="#3366aa" fill-opacity=".45">'
        )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in zip(x, y, strict=True)]
        parts.append("</g>")
    middle = 40 + (3 * width + 2 * gap) / 2
    parts.append(
        f'<text x="{middle}" y="{height + 62}" text-anchor="middle">pointwise mutual information of a pair; '
        "vertical: inner product of its input and output vectors, without the means of items</text></svg>"
    )
    return "\n".join(parts) + "\n"


def main():
    warnings.simplefilter("ignore", LeakWarning)  # the leak of leave-last-out affects all models alike
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without", nargs="+", choices=set(MODELS) - set(COMPARED), default=[])
    parser.add_argument("--picture", type=Path, help="SVG file of the first set")
    parser.add_argument("--quality", nargs="+", choices=[*QUALITY, "EASE"], metavar="MODEL")
    options = parser.parse_args()
    models = {name: settings for name, settings in MODELS.items() if name not in options.without}
    measured = {}
    for name in options.only:
        sentences = SETS[name](sets.folder_of(name, options.data))
        if options.quality:
            measured[name], points = measure_quality(sentences, options.quality), {}
        else:
            measured[name], points = measure(sentences, options.seeds, models)
        if options.picture and name == options.only[0]:
            options.picture.write_text(picture(points))
        print(f"\n{name}: {measured[name]['queries']:,} queries, {measured[name]['pairs']:,} pairs")
        for model, rows in measured[name]["correlations"].items():
            logs, pmi, inner = np.mean(rows, axis=0)
            print(
                f"  {model:20} correlation with log count {logs:.3f}, PMI {pmi:.3f}, within items {inner:.3f}"
            )
        for pair, share in measured[name]["overlap"].items():
            print(f"  {pair:24} common neighbours {share:.3f}")
        for model, rows in measured[name]["ndcg"].items():
            value = mean(row[0] for row in rows)
            low, high = rows[0][1]
            print(f"  {model:20} NDCG@10 {value:.4f} [{low:.4f}, {high:.4f}] ({len(rows)} seeds)", flush=True)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
