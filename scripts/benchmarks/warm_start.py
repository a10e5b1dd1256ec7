"""Quality and time of warm starts from yesterday's vectors, compared with training from scratch.

    scripts/benchmarks/warm_start.py --data DIR [--only SET …] [--seeds 2] [--json FILE]

Yesterday's vectors are trained on each history without its last two items, and today's vectors on each
history without its last item. The last item is the target, ranked among all items. In the second half of each
table, a random tenth of the items was unknown yesterday; "of new items" are the queries with such a target.
Warm starts of skip-gram (numba) use a quarter of its learning rate, and warm starts of next_item use the full
rate. Seconds are core-seconds of training.
"""

import json
import time
import warnings

import numpy as np
import sets

import item2vec
from item2vec import NextItem, SkipGram, TrainConfig
from item2vec.errors import LeakWarning
from item2vec.evaluation import Split, evaluate, leave_last_out

OBJECTIVES = {
    "skipgram": (SkipGram(backend="numba"), 1 / 4),
    "next_item": (NextItem(), 1),
}
SHARES = {"1/4": 1 / 4, "1/2": 1 / 2, "all": 1}


def measure(split: Split, config: TrainConfig, slower: float, seed: int):
    """Yield the label of each training run, its metrics on all queries and on new items, and CPU seconds."""
    random = np.random.default_rng(seed)
    yesterday = leave_last_out(split.train).train
    new = random.random(len(yesterday.vocabulary)) < 0.1
    of_new = new[split.targets.tokens]
    with_new_targets = Split(
        split.train, split.histories.take(of_new), split.targets.take(of_new), split.protocol
    )

    def trained(name, sentences, **how):
        started = time.process_time()
        vectors = item2vec.train(sentences, config=config, seed=seed, **how)
        seconds = time.process_time() - started
        model = item2vec.Recommender(vectors, index="exact")
        evaluations = [evaluate(model, part, metrics=["hr", "ndcg"]) for part in (split, with_new_targets)]
        scores = [each.metrics[metric] for each in evaluations for metric in ("hr@10", "ndcg@10")]
        return vectors, (name, [*scores, seconds])

    for share, part in SHARES.items():
        yield trained(f"from scratch, {share} of the epochs", split.train, epochs=_epochs(config, part))[1]
    for unknown, items in (("", np.zeros_like(new)), (", a tenth unknown yesterday", new)):
        start, row = trained(f"yesterday's{unknown}", yesterday.keep(~items[yesterday.tokens]))
        yield row
        for share, part in SHARES.items():
            how = {"epochs": _epochs(config, part), "alpha": config.alpha * slower}
            yield trained(f"warm, {share}{unknown}", split.train, start=start, **how)[1]


def _epochs(config, part):
    return max(1, round(config.epochs * part))


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=["amazon-beauty", "lastfm-sequences"], metavar="SET")
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    measured = {}
    for name in arguments.only:
        split = leave_last_out(sets.sequences(arguments.data / name))
        for objective in arguments.objectives:
            config, slower = OBJECTIVES[objective]
            vectors = item2vec.train(split.train, config=config, epochs=1)
            item2vec.train(split.train, config=config, epochs=1, start=vectors)  # compiles all loops
            runs = [dict(measure(split, config, slower, seed)) for seed in range(1, arguments.seeds + 1)]
            rows = {label: np.mean([run[label] for run in runs], axis=0).tolist() for label in runs[0]}
            measured[f"{name}, {objective}"] = rows
            print(f"\n{name}, {objective}: {split}, mean of {arguments.seeds} seeds")
            print(f"  {'':<42}{'HR@10':>8}{'NDCG@10':>9}{'of new items':>17}{'CPU s':>9}")
            for label, (hr, ndcg, new_hr, new_ndcg, seconds) in rows.items():
                print(
                    f"  {label:<42}{hr:>8.4f}{ndcg:>9.4f}{new_hr:>9.4f}{new_ndcg:>8.4f}{seconds:>9.1f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
