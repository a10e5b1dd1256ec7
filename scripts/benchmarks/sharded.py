"""Quality of training over shards and of next_item in several processes, compared with their references.

    scripts/benchmarks/sharded.py shards --data DIR [--only SET …] [--objectives …] [--seeds 3] [--json FILE]
    scripts/benchmarks/sharded.py averaged --data DIR [--only SET …] [--seeds 3] [--json FILE]

``shards``: NDCG@10 on the test part after training in memory, on 8 shards and on 64 shards. Shards are
contiguous runs of the sentences in a random order; "reordered" is training in memory in this order. First,
the script checks that one shard gives the same bytes as the sentences in memory (one worker, one epoch,
50,000 tokens).

``averaged``: NDCG@10 of next_item on 8 shards with 2 and 4 processes, which merge their arrays after each
epoch, compared with one process.
"""

import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import sets

import item2vec
from item2vec import NextItem, Sentences, SkipGram
from item2vec.errors import LeakWarning
from item2vec.evaluation import Split, evaluate, leave_last_out

OBJECTIVES = {"next_item": NextItem(), "skipgram": SkipGram(backend="numba")}
SETS = {"shards": ["amazon-beauty", "lastfm-sequences", "diginetica"]}
SETS["averaged"] = SETS["shards"][:2]


def split_of(name: str, data: Path) -> Split:
    """Return the training part and the test queries; of diginetica, the first 20,000 queries."""
    if name != "diginetica":
        return leave_last_out(sets.sequences(data / name))
    histories, targets = sets.session_queries(data / name)
    few = np.arange(len(histories)) < 20_000
    train = sets.sessions(data / name)
    return Split(train, histories.take(few), targets.take(few), "test sessions", filter_seen=False)


def ndcg(split: Split, sentences, config, **how) -> tuple[float, float]:
    """Train and evaluate; return NDCG@10 and the seconds of the training."""
    started = time.perf_counter()
    vectors = item2vec.train(sentences, config=config, **how)
    took = time.perf_counter() - started
    model = item2vec.Recommender(vectors, index="exact")
    return evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"], took


def reordered(sentences: Sentences) -> Sentences:
    """Return the sentences in a random order, that of the shards."""
    return sentences.take(np.random.default_rng(0).permutation(len(sentences)))


def in_shards(sentences: Sentences, n: int, folder: Path):
    """Return the reordered sentences as a sharded corpus."""
    path = folder / f"{n}-shards"
    if not path.exists():
        reordered(sentences).save(path, shards=n)
    return Sentences.open(path)


def check_one_shard(sentences: Sentences, config, folder: Path) -> None:
    """Exit unless one shard gives the bytes of the same sentences in memory."""
    few = sentences.take(np.flatnonzero(np.cumsum(sentences.lengths) < 50_000))
    few.save(folder / config.objective, shards=1)
    settings = {"config": config, "epochs": 1, "workers": 1, "seed": 1}
    whole, one = (item2vec.train(s, **settings) for s in (few, Sentences.open(folder / config.objective)))
    if (whole.input.tobytes(), whole.output.tobytes()) != (one.input.tobytes(), one.output.tobytes()):
        raise SystemExit(f"{config.objective}: one shard and the sentences in memory give different bytes")


def compare(name, split, ways, seeds, reference):
    """Print NDCG@10 of each way of training, its standard deviation, and its ratio to the reference."""
    values = {label: [train(seed) for seed in range(1, seeds + 1)] for label, train in ways.items()}
    print(
        f"\n{name}: {split}, {seeds} seeds\n  {'':<16}{'NDCG@10':>18}{'of ' + reference:>12}{'seconds':>10}"
    )
    of_reference = np.mean([value for value, _ in values[reference]])
    for label, measured in values.items():
        found, took = map(np.array, zip(*measured, strict=True))
        spread = found.std(ddof=1) if seeds > 1 else 0.0
        cells = f"{found.mean():.4f} ± {spread:.4f}"
        print(f"  {label:<16}{cells:>18}{found.mean() / of_reference:>12.1%}{took.mean():>10.1f}", flush=True)
    return values


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("what", choices=["shards", "averaged"])
    parser.add_argument("--only", nargs="+", metavar="SET")
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="fewer epochs, for a short run")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    measured = {}
    objectives = arguments.objectives if arguments.what == "shards" else ["next_item"]
    for name in arguments.only or SETS[arguments.what]:
        split = split_of(name, arguments.data)
        for objective in objectives:
            config = OBJECTIVES[objective]
            config = config if arguments.epochs is None else config.replace(epochs=arguments.epochs)
            with tempfile.TemporaryDirectory() as folder:
                measured[f"{name}, {objective}"] = measure(
                    arguments, f"{name}, {objective}", split, config, Path(folder)
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


def measure(arguments, name, split, config, folder):
    """Compare the ways of training on one set with one objective."""
    check_one_shard(split.train, config, folder)

    def way(sentences, **how):
        return lambda seed: ndcg(split, sentences, config.replace(seed=seed), **how)

    if arguments.what == "shards":
        ways = {"whole": way(split.train), "reordered": way(reordered(split.train))}
        ways |= {f"{n} shards": way(in_shards(split.train, n, folder)) for n in (8, 64)}
        return compare(name, split, ways, arguments.seeds, "whole")
    sharded = in_shards(split.train, 8, folder)
    ways = {"1 process": way(sharded)}
    ways |= {f"{n} processes": way(sharded, processes=n) for n in (2, 4)}
    return compare(name, split, ways, arguments.seeds, "1 process")


if __name__ == "__main__":
    main()
