"""Quality of models whose training sentences have joined pairs of items, compared with plain sentences.

    scripts/benchmarks/phrases.py --data DIR [--only SET …] [--seeds 3] [--json FILE]

The last item of each sentence of the training part is predicted; test parts are not read. Rankings of a model
of phrases are expanded to items, so that all models rank the same items. Objectives are skip-gram and
next_item with their defaults; sets are whole, except for the first 10,000 playlists of yes-small.
"""

import json
import warnings
from statistics import mean, stdev

import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import compare, evaluate, leave_last_out
from item2vec.phrases import PhraseRecommender, Phrases

READ = {
    "yes-small": lambda folder: sets.playlists(folder)[:10_000],
    "online-retail": sets.purchases,
    "amazon-beauty": sets.sequences,
    "sample_data": lambda folder: item2vec.adapters.playlists(folder / "playlists.jsonl"),
}
SETTINGS = {
    "count > 10": {"threshold": 10.0},
    "count > 100": {"threshold": 100.0},
    "npmi > .5": {"scoring": "npmi", "threshold": 0.5},
    "npmi > .7, two passes": {"scoring": "npmi", "threshold": 0.7, "passes": 2},
}


def evaluated(split, phrases, objective, seed):
    """Return the evaluation of a model of phrases, or of a plain model."""
    if phrases is None:
        return evaluate(item2vec.fit(split.train, objective=objective, seed=seed), split, k=10)
    model = item2vec.fit(phrases.join(split.train), objective=objective, seed=seed)
    return evaluate(PhraseRecommender(model, phrases), split, k=10)


def rows_of(name, data, seeds):
    """Yield a row per setting: joined pairs, share of joined tokens, NDCG@10 and its change."""
    sentences = READ[name](sets.folder_of(name, data))
    split = leave_last_out(leave_last_out(sentences).train)
    learned = {title: Phrases.learn(split.train, **chosen) for title, chosen in SETTINGS.items()}
    for objective in ("skipgram", "next_item"):
        plain = [evaluated(split, None, objective, seed) for seed in range(1, seeds + 1)]
        for title, phrases in {"plain": None, **learned}.items():
            results = (
                plain
                if phrases is None
                else [evaluated(split, phrases, objective, s + 1) for s in range(seeds)]
            )
            scores = [result.metrics["ndcg@10"] for result in results]
            joined = split.train if phrases is None else phrases.join(split.train)
            difference = compare(results[0], plain[0], "ndcg@10")
            row = {
                "set": name,
                "objective": objective,
                "sentences": title,
                "pairs": 0 if phrases is None else len(phrases),
                "joined": 1 - len(joined.tokens) / len(split.train.tokens),
                "ndcg@10": mean(scores),
                "sd": stdev(scores) if seeds > 1 else 0.0,
                "difference": difference.difference,
            }
            print(
                f"{name:<14} {objective:<10} {title:<24} {row['pairs']:>6} {row['joined']:>6.1%} "
                f"{row['ndcg@10']:.4f} ± {row['sd']:.4f}  {row['difference']:+.4f} "
                f"({difference.low:+.4f} to {difference.high:+.4f})",
                flush=True,
            )
            yield row


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SET", choices=READ, default=list(READ))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    rows = [row for name in options.only for row in rows_of(name, options.data, options.seeds)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
