"""What tuning costs beside training and measuring, and that a budget is kept.

    scripts/benchmarks/tuning.py --data DIR [--budget 60s]

Prints, for lastfm-sequences, how long item2vec.tune took beside its budget, and which share of its workers'
time went into trials; the rest is overhead: choosing settings, writing the study, waiting.
"""

import os
import tempfile
import time
from pathlib import Path

import sets

import item2vec
from item2vec.evaluation import leave_last_out


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds")
    arguments = parser.parse_args()
    train = leave_last_out(sets.sequences(arguments.data / "lastfm-sequences")).train
    jobs = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        found = item2vec.tune(train, budget=arguments.budget, study=Path(folder) / "study.jsonl")
        seconds = time.perf_counter() - started
    inside = sum(trial.seconds for trial in (*found.trials, *found.finals))
    print(f"{found!r}\n{seconds:.1f} s of a budget of {arguments.budget:.0f} s, {jobs} jobs")
    print(
        f"in trials {inside:.1f} s of {jobs * seconds:.1f} s of workers: "
        f"overhead {1 - inside / (jobs * seconds):.1%}"
    )


if __name__ == "__main__":
    main()
