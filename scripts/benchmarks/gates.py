"""Metrics of healthy and broken models, and which of them the limits of the gates reject.

    scripts/benchmarks/gates.py --data DIR [--only SET …] [--objectives skipgram next_item] [--json FILE]

Each model is trained on the training part of a split, which is a split by time if events have timestamps.
"× popularity" is the ratio of the NDCG@10 of the model to the NDCG@10 of popularity, for users with a
history. The broken models are:

    untrained          the random initial vectors, with output vectors of zero
    alpha=1e-6         trained at a learning rate too small to move the vectors
    one epoch          training stopped after one epoch; not broken if the model beats popularity
    shuffled           trained on the same sentences after a permutation of all tokens
    alpha=5, alpha=100 diverged
    collapsed          all input rows equal, except for 10 % noise
    one direction      input rows stretched by 100 along one direction
    duplicates         a random third of the input rows replaced by one row
    garbage            random input and output vectors with the norms of healthy vectors

"refused by" lists the metrics outside their limits, and popularity if the model does not beat it by 5 %.
"""

import dataclasses
import json
import warnings

import numpy as np
import sets

import item2vec
from item2vec import CBOW, NextItem, SkipGram
from item2vec.config import GatesConfig
from item2vec.errors import LeakWarning, TrainingError
from item2vec.evaluation import Popularity, evaluate, leave_last_out, random_split, temporal_split
from item2vec.retraining.gates import of_health
from item2vec.retraining.health import measure_health

LIMITS = GatesConfig()
MAX_QUERIES = 4000
OBJECTIVES = {
    "skipgram": SkipGram(backend="numba"),
    "next_item": NextItem(),
    "gensim": SkipGram(backend="gensim"),
    "cbow": CBOW(backend="numba"),
}
TRAINED = {
    "healthy": {},
    "alpha=1e-6": {"alpha": 1e-6, "min_alpha": 0.0},
    "one epoch": {"epochs": 1},
    "shuffled": {},
    "alpha=5": {"alpha": 5.0},
    "alpha=100": {"alpha": 100.0},
}
COLUMNS = {
    "norm_median": "norm",
    "norm_max": "max",
    "norm_growth": "growth",
    "output_norm": "output",
    "effective_rank": "rank",
    "mean_cosine": "cosine",
    "duplicate_share": "equal",
    "self_retrieval": "self",
    "index_recall": "recall",
}


def by_time(folder):
    split = temporal_split(sets.ratings(folder), fraction=0.1)
    return split.take(~split.cold_users())


def repeats(folder):
    return leave_last_out(sets.purchases(folder), repeats=True)


def plays(folder):
    sentences = sets.plays(folder)
    return random_split(sentences.take(sentences.lengths >= 10), fraction=0.1, seed=1)


def listens(folder):
    """Return a split by time of this repository's sample_data."""
    events = item2vec.readers.read_interactions(
        folder / "listens.csv.gz", user="user_id", item="item_id", timestamp="timestamp"
    )
    split = temporal_split(events, fraction=0.1)
    return split.take(~split.cold_users())


FAMILIES = {
    "listens.csv.gz": listens,
    "ml-100k.inter": by_time,
    "sequences.txt": lambda folder: leave_last_out(sets.sequences(folder)),
    "histories.txt": repeats,
    "user_artists.dat": plays,
}


def shuffled(sentences):
    tokens = np.random.default_rng(5).permutation(sentences.tokens)
    return dataclasses.replace(sentences, tokens=tokens)


def broken_variants(vectors):
    """Yield (name, matrices) pairs of broken variants of healthy vectors."""
    random = np.random.default_rng(6)
    rows, shape = vectors.input, vectors.input.shape
    scale = np.linalg.norm(rows, axis=1).mean() / shape[1] ** 0.5
    n_parts = len(vectors.config.context_decay) if isinstance(vectors.config, NextItem) else 1
    width = 1 if vectors.config.backend == "gensim" else 0.5
    start = random.uniform(-width, width, shape) / (shape[1] / n_parts)
    yield "untrained", {"input": start, "output": np.zeros(shape)}
    row = random.normal(size=shape[1]) * scale
    yield "collapsed", {"input": row + 0.1 * scale * random.normal(size=shape)}
    unit = row / np.linalg.norm(row)
    yield "one direction", {"input": rows + 99 * np.outer(rows @ unit, unit)}
    equal = random.random((shape[0], 1)) < 1 / 3
    yield "duplicates", {"input": np.where(equal, rows[0], rows)}
    yield "garbage", dict(zip(("input", "output"), scale * random.normal(size=(2, *shape)), strict=True))


def variants(sentences, config):
    """Yield the name of each variant, and its vectors or the error that training raised."""
    for name, settings in TRAINED.items():
        corpus = shuffled(sentences) if name == "shuffled" else sentences
        try:
            vectors = item2vec.train(corpus, config=config.replace(**settings))
        except TrainingError as error:
            yield name, error
            continue
        yield name, vectors
        if name == "healthy":
            for broken, matrices in broken_variants(vectors):
                yield broken, dataclasses.replace(vectors, **matrices)


def ndcg(model, split):
    return evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"]


def measure(name, split, objectives):
    """Print and return the metrics of each variant of each objective on one set."""
    if len(split) > MAX_QUERIES:
        split = split.take(np.linspace(0, len(split) - 1, MAX_QUERIES).astype(np.intp))
    popular = ndcg(Popularity(split.train), split)
    rows = []
    print(f"\n{name}: {split}; popularity {popular:.4f}")
    print(f"  {'':<22}{'× popularity':>12}" + "".join(f"{column:>10}" for column in COLUMNS.values()))
    for objective in objectives:
        for variant, vectors in variants(split.train, OBJECTIVES[objective]):
            row = {"set": name, "objective": objective, "variant": variant}
            label = f"  {objective + ', ' + variant:<22}"
            if isinstance(vectors, TrainingError):
                rows.append({**row, "refused": ["training"]})
                print(f"{label:<24}  TrainingError: {str(vectors)[:90]}", flush=True)
                continue
            model = item2vec.Recommender(vectors)
            ratio = ndcg(model, split) / popular
            health = measure_health(model)
            gates = of_health(health, LIMITS)
            refused = [gate.name for gate in gates if not gate.passed]
            refused += ["popularity"] * (not ratio >= 1 + LIMITS.margin)
            rows.append({**row, "ratio": ratio, "refused": refused, **dataclasses.asdict(health)})
            cells = [_cell(getattr(health, column)) for column in COLUMNS]
            verdict = f"refused by {', '.join(refused)}" if refused else "accepted"
            print(f"{label:<24}{ratio:>12.2f}" + "".join(cells) + f"  {verdict}", flush=True)
    return rows


def _cell(value):
    return f"{'–':>10}" if value is None else f"{value:>10.3g}"


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SET", help="names of the data sets to use")
    parser.add_argument(
        "--objectives", nargs="+", default=["skipgram", "next_item"], choices=list(OBJECTIVES)
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    sample_data = sets.Path(__file__).resolve().parents[2] / "sample_data"
    measured = []
    for folder in [sample_data, *sorted(arguments.data.iterdir())]:
        family = next((read for file, read in FAMILIES.items() if (folder / file).is_file()), None)
        if family and (not arguments.only or folder.name in arguments.only):
            measured += measure(folder.name, family(folder), arguments.objectives)
    if not measured:
        parser.error(f"no set in {arguments.data}; expected folders such as movielens-100k")
    print(f"\n{LIMITS!r}")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
