"""Gain of tuning within a budget: test metrics of the chosen settings and of the default.

    scripts/benchmarks/tuning.py --data DIR [--set NAME …] [--budget TIME …] [--seed N …] [--json FILE]

For each set, budget and seed, ``item2vec.tune`` reads the training part only. Then models with the default
and with the chosen settings are trained on this part and evaluated on the test part, each configuration once.
The script also prints the duration of tuning, and the share of the workers' time spent in trials. The rest of
the time is spent on choosing settings, writing the study, and waiting.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import sets

import item2vec
from item2vec import Config, readers
from item2vec.errors import LeakWarning, TuningWarning
from item2vec.evaluation import Split, evaluate, leave_last_out, temporal_split

SAMPLE = Path(__file__).parents[2] / "sample_data" / "listens.csv.gz"


def split_of(name: str, data: Path) -> tuple[Split, dict[str, object]]:
    """Return the split of a set, and the arguments of ``tune`` for its training part."""
    if name == "sample_data":
        return temporal_split(readers.read_interactions(SAMPLE)), {"protocol": "temporal"}
    if name == "movielens-100k":
        return temporal_split(sets.ratings(data / name)), {"protocol": "temporal"}
    if name == "online-retail":
        return leave_last_out(sets.purchases(data / name), repeats=True), {
            "protocol": "last",
            "repeats": True,
        }
    return leave_last_out(sets.sequences(data / name)), {"protocol": "last"}


def metrics_on_test(split: Split, config: Config) -> dict[str, float]:
    """Return HR@10 and NDCG@10 on the test part."""
    return dict(evaluate(item2vec.fit(split.train, config), split, metrics=["hr", "ndcg"]).metrics)


def row_of(
    name: str, split: Split, how: dict[str, object], budget: str, seed: int, tested: dict[Config, dict]
) -> dict[str, object]:
    """Tune once; return the metrics before and after. Metrics of configurations in ``tested`` are reused."""
    started = time.perf_counter()
    tuning = item2vec.tune(split.train, budget=budget, seed=seed, **how)
    seconds = time.perf_counter() - started
    default = tuning.trials[0].config
    for config in {default, tuning.config} - tested.keys():
        tested[config] = metrics_on_test(split, config)
    inside = sum(trial.seconds for trial in (*tuning.trials, *tuning.finals))
    return {
        "set": name,
        "budget": budget,
        "seed": seed,
        "seconds": round(seconds),
        "trials": len(tuning.trials),
        "in trials": round(inside / (seconds * len(os.sched_getaffinity(0))), 3),
        "gain on validation": repr(tuning.gain),
        "chosen": "default" if tuning.config == default else tuning.config.train.objective,
        **{f"default {metric}": round(value, 4) for metric, value in tested[default].items()},
        **{f"chosen {metric}": round(value, 4) for metric, value in tested[tuning.config].items()},
        "settings": tuning.config.to_toml(),
        "warnings": tuning.warnings,
    }


def main() -> None:
    parser: argparse.ArgumentParser = sets.arguments(__doc__)
    names = ["amazon-beauty", "lastfm-sequences", "sample_data", "online-retail", "movielens-100k"]
    parser.add_argument("--set", nargs="+", choices=names, default=names[:4])
    parser.add_argument("--budget", nargs="+", default=["30s", "2min", "6min"])
    parser.add_argument("--seed", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    warnings.simplefilter("ignore", TuningWarning)  # the rows contain the warnings
    rows = []
    for name in arguments.set:
        split, how = split_of(name, arguments.data)
        tested: dict[Config, dict] = {}
        for budget in arguments.budget:
            for seed in arguments.seed:
                rows.append(row_of(name, split, how, budget, seed, tested))
                print(" | ".join(str(v) for key, v in rows[-1].items() if key != "settings"), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
