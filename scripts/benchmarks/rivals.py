"""item2vec beside other recommenders in one run: quality, seconds and memory, on the TEST parts.

    scripts/benchmarks/rivals.py --data DIR --env FOLDER [--only SET …] [--rivals NAME …] [--json FILE]

``--env`` is a virtual environment for implicit, RecTools, torch and gensim; it is made where it is missing,
from the package index that pip is set up with. Each rival trains and answers in a process of its own on two
threads (``rivals_worker.py``), from the same files; one scorer judges all top tens, ours included. Settings
are the libraries' defaults, or larger models as published; nothing is chosen on the test. SASRec of 128
dimensions stops by NDCG@10 on the last item of every tenth user, which it does not train on, or at ``--cap``
seconds. On amazon-beauty its sequences are cut to 20 items where papers take 50, to get any epochs done on a
CPU. Seconds are of the wall clock and depend on what else runs; core-seconds are what the process used.
Libraries are loaded before the training is timed, except what item2vec loads or compiles when first needed.
A ``--json`` file that is there already is added to, so that some rivals can be run later.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import default_quality
import sets

from item2vec.errors import LeakWarning
from item2vec.evaluation import baselines, evaluate
from item2vec.types import Recommendation

WORKER = Path(__file__).with_name("rivals_worker.py")
PACKAGES = ("rectools[torch]", "gensim")
SHOWN = ("gensim", "implicit", "numpy", "pm-implicit", "pytorch-lightning", "rectools", "scipy", "torch")
SETS = ("movielens-100k", "amazon-beauty")

LARGER_SASREC = {
    "amazon-beauty": {
        "loss": "sampled_softmax",
        "n_negatives": 256,
        "session_max_len": 20,
        "dropout_rate": 0.5,
    },
    "movielens-100k": {"loss": "softmax", "session_max_len": 200},
}


def rivals(name, cap):
    """Return for each rival its kind and its settings."""
    sasrec = {"model": "sasrec", "n_blocks": 2, "n_factors": 128, "lr": 0.001, "batch_size": 128}
    sasrec |= LARGER_SASREC[name]
    return {
        "item2vec.fit(sentences)": ("item2vec", {"index": "exact", "seed": 1}),
        "gensim by hand, defaults": ("gensim", {}),
        "gensim by hand, 30 epochs": ("gensim", {"epochs": 30}),
        "implicit ALS, defaults": ("implicit", {"model": "als"}),
        "implicit ALS, 128 factors": ("implicit", {"model": "als", "factors": 128, "iterations": 30}),
        "implicit BPR, defaults": ("implicit", {"model": "bpr"}),
        "implicit BPR, 128 factors": ("implicit", {"model": "bpr", "factors": 128, "iterations": 100}),
        "RecTools EASE, defaults": ("rectools", {"model": "ease", "regularization": 500}),
        "EASE from its equation": ("by hand", {"regularization": 500}),
        "RecTools SASRec, 128 dimensions": (
            "rectools",
            {**sasrec, "epochs": 200, "patience": 10, "cap": cap},
        ),
        "RecTools SASRec, defaults": ("rectools", {"model": "sasrec", "epochs": 3, "cap": cap}),
    }


def prepared(env, torch):
    """Return the Python of the rivals' environment, made where it is missing; print what is in it."""
    python = env / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES, torch], check=True)
        # RecTools brings a fork of implicit of the same import name; the original's files are to win.
        subprocess.run([*pip, "--force-reinstall", "--no-deps", "implicit"], check=True)
    code = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {SHOWN!r}), sep=', ')"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"rivals' environment: {found}", flush=True)
    return python, found


def export(split, folder):
    """Write down what a rival may know: training sequences, and which of them each question continues."""
    code_of = {item: code for code, item in enumerate(split.train.vocabulary.ids)}
    sequences = [tuple(code_of[item] for item in sentence) for sentence in split.train]
    row_of = {sequence: row for row, sequence in enumerate(sequences)}
    questions = []
    for history in split.histories:
        asked = tuple(code_of[item] for item in history)
        if asked not in row_of:  # too short a history to train item2vec on
            row_of[asked] = len(sequences)
            sequences.append(asked)
        questions.append(row_of[asked])
    lines = [" ".join(map(str, sequence)) for sequence in sequences]
    (folder / "train.txt").write_text("\n".join(lines))
    (folder / "questions.txt").write_text("\n".join(map(str, questions)))


class Answered:
    """A model that gives the lists it was made of, in the order of the questions."""

    def __init__(self, lists, split):
        ids = split.train.vocabulary.ids
        had = [{*history} for history in split.histories]
        self.lists = [[ids[code] for code in one] for one in lists]
        assert not any(seen.intersection(one) for seen, one in zip(had, self.lists, strict=True))
        self.place = 0

    def recommend_many(self, histories, **_):
        block = self.lists[self.place : self.place + len(histories)]
        self.place += len(histories)
        return [[Recommendation(item, -place) for place, item in enumerate(one)] for one in block]


def run(python, kind, settings, folder):
    """Run one rival; return its lists and what they cost."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    # implicit asks for a BLAS of one thread, since it has threads of its own.
    threads["OPENBLAS_NUM_THREADS"] = "1" if kind == "implicit" else "2"
    environment = os.environ | threads | {"OMP_WAIT_POLICY": "passive"}
    if kind != "item2vec":
        environment.pop("PYTHONPATH", None)
    load = os.getloadavg()[0]
    started = time.perf_counter()
    done = subprocess.run(
        [python, WORKER, kind, folder, json.dumps(settings)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        return None, {"failed": done.stderr.strip().splitlines()[-1:], "exit": done.returncode}
    cost = json.loads((folder / "cost.json").read_text())
    # The mean of the load over the run is not to be had; the last quarter of an hour's is, at its end.
    cost["load"] = [load, os.getloadavg()[0 if time.perf_counter() - started < 180 else 1]]
    return json.loads((folder / "lists.json").read_text()), cost


def measure(name, python, arguments, measured):
    """Print and keep what each rival reaches on one set."""
    split, *_ = default_quality.SETS[name](sets.folder_of(name, arguments.data))
    print(f"\n{name}: {split}", flush=True)
    rows = measured.setdefault(name, {})
    for baseline, model in baselines(split).items():
        rows[f"({baseline})"] = {**evaluate(model, split, k=10, metrics=("hr", "ndcg")).metrics}
    for rival, (kind, settings) in rivals(name, arguments.cap).items():
        if arguments.rivals and not any(part in rival for part in arguments.rivals):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            export(split, folder)
            lists, cost = run(sys.executable if kind == "item2vec" else python, kind, settings, folder)
        row = rows[rival] = {"settings": settings, **cost}
        if lists is not None:
            found = evaluate(Answered(lists, split), split, k=10, metrics=("hr", "ndcg"))
            row |= found.metrics | {"intervals": found.intervals()}
        print(f"  {rival}: {json.dumps({key: row[key] for key in row if key != 'settings'})}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(measured, indent=1))


def print_table(name, rows):
    """Print all rivals on one set."""
    columns = (
        "training s",
        "training core-s",
        "answers s",
        "answers core-s",
        "peak MiB",
        "MiB before training",
    )
    print(f"\n{name}\n\n| model | settings | HR@10 | NDCG@10 | {' | '.join(columns)} | load | |")
    print(f"|{'---|' * (6 + len(columns))}")
    for rival, row in rows.items():
        settings = row.get("settings", {})
        shown = ", ".join(f"{key} {value}" for key, value in settings.items() if key not in {"model", "seed"})
        quality = [f"{row[key]:.4f}" if key in row else "failed" for key in ("hr@10", "ndcg@10")]
        costs = [f"{row[key]:,.{'0f' if row[key] >= 100 else '1f'}}" if key in row else "" for key in columns]
        load = " to ".join(f"{load:.1f}" for load in row.get("load", ()))
        notes = []
        if "epochs" in row:
            notes.append(f"{row['epochs']:.1f} epochs")
        if row.get("best epoch"):
            notes.append(f"best after {row['best epoch']:.1f}")
        if row.get("capped"):
            notes.append("stopped by the cap")
        cells = [rival, shown or "defaults" if settings or "load" in row else "", *quality, *costs, load]
        print(f"| {' | '.join([*cells, ', '.join(notes)])} |")


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--env", type=Path, required=True, help="folder of the rivals' virtual environment")
    parser.add_argument("--torch", default="torch", help='what pip is asked for, such as "torch==2.13.0+cpu"')
    parser.add_argument("--only", nargs="+", default=SETS, choices=SETS, metavar="SET")
    parser.add_argument("--rivals", nargs="+", metavar="NAME", help="parts of the names of those to run")
    parser.add_argument("--cap", type=float, default=720, help="seconds after which SASRec's training stops")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    python, versions = prepared(arguments.env.absolute(), arguments.torch)
    kept = arguments.json and arguments.json.exists()
    measured = (json.loads(arguments.json.read_text()) if kept else {}) | {"environment": versions}
    for name in arguments.only:
        measure(name, python, arguments, measured)
    for name in arguments.only:
        print_table(name, measured[name])


if __name__ == "__main__":
    main()
