"""Which numbers tell sound models from broken ones, and what their limits refuse.

    scripts/benchmarks/gates.py --data DIR [--only SET …] [--objectives skipgram next_item] [--json FILE]

Each model is trained on the training part of a split, by time where events have one. "× popularity" is its
NDCG@10 over that of popularity, of users with a history. Broken are:

    untrained          the random start, with output vectors of zero
    alpha=1e-6         trained at a rate at which nothing moves
    one epoch          stopped too soon; not broken where it beats popularity
    shuffled           trained on the same sentences after all items were permuted over them
    alpha=5, alpha=100 diverged
    collapsed          all input rows the same, but for a noise of a tenth
    one direction      input rows stretched a hundredfold along one direction
    duplicates         a third of the input rows, drawn at random, are one row
    garbage            random input and output vectors of healthy length

"refused by" names the numbers outside their limits, and popularity where the model does not beat it by 5 %.
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
MOST_QUESTIONS = 4000
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
    """sample_data of this repository."""
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


def spoilt(vectors):
    """Yield broken variants of healthy vectors."""
    random = np.random.default_rng(6)
    rows, shape = vectors.input, vectors.input.shape
    scale = np.linalg.norm(rows, axis=1).mean() / shape[1] ** 0.5
    n_parts = len(vectors.config.context_decay) if isinstance(vectors.config, NextItem) else 1
    width = 1 if vectors.config.backend == "gensim" else 0.5
    start = random.uniform(-width, width, shape) / (shape[1] / n_parts)
    yield "untrained", {"input": start, "output": np.zeros(shape)}
    one = random.normal(size=shape[1]) * scale
    yield "collapsed", {"input": one + 0.1 * scale * random.normal(size=shape)}
    unit = one / np.linalg.norm(one)
    yield "one direction", {"input": rows + 99 * np.outer(rows @ unit, unit)}
    equal = random.random((shape[0], 1)) < 1 / 3
    yield "duplicates", {"input": np.where(equal, rows[0], rows)}
    yield "garbage", dict(zip(("input", "output"), scale * random.normal(size=(2, *shape)), strict=True))


def variants(sentences, config):
    """Yield the name and the vectors of each variant, or the error that training ended with."""
    for name, settings in TRAINED.items():
        given = shuffled(sentences) if name == "shuffled" else sentences
        try:
            vectors = item2vec.train(given, config=config.replace(**settings))
        except TrainingError as error:
            yield name, error
            continue
        yield name, vectors
        if name == "healthy":
            for broken, matrices in spoilt(vectors):
                yield broken, dataclasses.replace(vectors, **matrices)


def ndcg(model, split):
    return evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"]


def measure(name, split, objectives):
    """Print and return the numbers of each variant of each objective on one set."""
    if len(split) > MOST_QUESTIONS:
        split = split.take(np.linspace(0, len(split) - 1, MOST_QUESTIONS).astype(np.intp))
    popular = ndcg(Popularity(split.train), split)
    found = []
    print(f"\n{name}: {split}; popularity {popular:.4f}")
    print(f"  {'':<22}{'× popularity':>12}" + "".join(f"{column:>10}" for column in COLUMNS.values()))
    for objective in objectives:
        for variant, vectors in variants(split.train, OBJECTIVES[objective]):
            row = {"set": name, "objective": objective, "variant": variant}
            label = f"  {objective + ', ' + variant:<22}"
            if isinstance(vectors, TrainingError):
                found.append({**row, "refused": ["training"]})
                print(f"{label:<24}  TrainingError: {str(vectors)[:90]}", flush=True)
                continue
            model = item2vec.Recommender(vectors)
            ratio = ndcg(model, split) / popular
            health = measure_health(model)
            gates = of_health(health, LIMITS)
            refused = [gate.name for gate in gates if not gate.passed]
            refused += ["popularity"] * (not ratio >= 1 + LIMITS.margin)
            found.append({**row, "ratio": ratio, "refused": refused, **dataclasses.asdict(health)})
            cells = [_cell(getattr(health, column)) for column in COLUMNS]
            told = f"refused by {', '.join(refused)}" if refused else "accepted"
            print(f"{label:<24}{ratio:>12.2f}" + "".join(cells) + f"  {told}", flush=True)
    return found


def _cell(value):
    return f"{'–':>10}" if value is None else f"{value:>10.3g}"


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SET", help="folders of the data to measure on")
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
