"""item2vec and other recommenders in one run: quality, seconds and memory, on the TEST parts.

    scripts/benchmarks/rivals.py --data DIR --env FOLDER [--only SET …] [--rivals NAME …] [--json FILE]

``--env`` is a virtual environment for implicit, RecTools, torch and gensim; it is created if missing, with
pip's configured package index. Each model is trained and queried in its own process with two threads
(``rivals_worker.py``), from the same files. All top tens, including ours, are evaluated by the same code.
Settings are the libraries' defaults, or larger models as published; no setting is chosen on the test part.
LightGCN is trained only on lastfm-2k, whose histories are unordered; SASRec is trained on the other sets.
SASRec with 128 dimensions stops early by NDCG@10 on the last item of every tenth user, which is held out, or
after ``--cap`` seconds. On amazon-beauty its sequences are cut to 20 items instead of the usual 50, to
complete some epochs on a CPU. Seconds are wall-clock time and depend on other load; core-seconds are the CPU
time of the process. The measured time of training excludes the import of libraries, except for the libraries
that item2vec imports or compiles on first use. An existing ``--json`` file is extended, so that models can be
added later.
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
SETS = ("movielens-100k", "amazon-beauty", "lastfm-2k")

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
    """Return the kind and the settings of each model, by its name."""
    models = {
        "item2vec.fit(sentences)": ("item2vec", {"index": "exact", "seed": 1}),
        "gensim directly, defaults": ("gensim", {}),
        "gensim directly, 30 epochs": ("gensim", {"epochs": 30}),
        "implicit ALS, defaults": ("implicit", {"model": "als"}),
        "implicit ALS, 128 factors": ("implicit", {"model": "als", "factors": 128, "iterations": 30}),
        "implicit BPR, defaults": ("implicit", {"model": "bpr"}),
        "implicit BPR, 128 factors": ("implicit", {"model": "bpr", "factors": 128, "iterations": 100}),
        "RecTools EASE, defaults": ("rectools", {"model": "ease", "regularization": 500}),
        "EASE from its equation": ("by hand", {"regularization": 500}),
    }
    if name == "lastfm-2k":  # unordered
        lightgcn = {"epochs": 1000, "patience": 100, "cap": cap}
        return models | {"LightGCN from its equations": ("lightgcn", lightgcn)}
    sasrec = {"model": "sasrec", "n_blocks": 2, "n_factors": 128, "lr": 0.001, "batch_size": 128}
    sasrec |= LARGER_SASREC[name] | {"epochs": 200, "patience": 10, "cap": cap}
    return models | {
        "RecTools SASRec, 128 dimensions": ("rectools", sasrec),
        "RecTools SASRec, defaults": ("rectools", {"model": "sasrec", "epochs": 3, "cap": cap}),
    }


def prepare(env, torch):
    """Create the environment if it is missing; return its Python and versions, and print the versions."""
    python = env / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES, torch], check=True)
        # RecTools installs a fork of implicit with the same import name; reinstall the original over it.
        subprocess.run([*pip, "--force-reinstall", "--no-deps", "implicit"], check=True)
    code = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {SHOWN!r}), sep=', ')"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    versions = done.stdout.strip()
    print(f"environment: {versions}", flush=True)
    return python, versions


def export(split, folder):
    """Write the training sequences, and the number of the sequence that each query continues."""
    code_of = {item: code for code, item in enumerate(split.train.vocabulary.ids)}
    sequences = [tuple(code_of[item] for item in sentence) for sentence in split.train]
    row_of = {sequence: row for row, sequence in enumerate(sequences)}
    queries = []
    for history in split.histories:
        codes = tuple(code_of[item] for item in history)
        if codes not in row_of:  # the history is too short for item2vec's training part
            row_of[codes] = len(sequences)
            sequences.append(codes)
        queries.append(row_of[codes])
    lines = [" ".join(map(str, sequence)) for sequence in sequences]
    (folder / "train.txt").write_text("\n".join(lines))
    (folder / "queries.txt").write_text("\n".join(map(str, queries)))


class Precomputed:
    """A model that returns precomputed rankings, in the order of the queries."""

    def __init__(self, lists, split):
        ids = split.train.vocabulary.ids
        seen = [{*history} for history in split.histories]
        self.lists = [[ids[code] for code in codes] for codes in lists]
        assert not any(items.intersection(ranking) for items, ranking in zip(seen, self.lists, strict=True))
        self.next = 0

    def recommend_many(self, histories, **_):
        block = self.lists[self.next : self.next + len(histories)]
        self.next += len(histories)
        return [[Recommendation(item, -rank) for rank, item in enumerate(ranking)] for ranking in block]


def run(python, kind, settings, folder):
    """Run one model; return its rankings and their cost."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    # implicit requires a single-threaded BLAS because it uses its own threads.
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
    # There is no mean load over the run, only over the last 1, 5 or 15 minutes.
    cost["load"] = [load, os.getloadavg()[0 if time.perf_counter() - started < 180 else 1]]
    return json.loads((folder / "lists.json").read_text()), cost


def measure(name, python, arguments, measured):
    """Print and store the metrics and cost of each model on one set."""
    split, metrics, *_ = default_quality.SETS[name](sets.folder_of(name, arguments.data))
    kinds = [metric.partition("@")[0] for metric in metrics]
    print(f"\n{name}: {split}", flush=True)
    rows = measured.setdefault(name, {})
    for baseline, model in baselines(split).items():
        rows[f"({baseline})"] = {**evaluate(model, split, k=10, metrics=kinds).metrics}
    for rival, (kind, settings) in rivals(name, arguments.cap).items():
        if arguments.rivals and not any(part in rival for part in arguments.rivals):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            export(split, folder)
            lists, cost = run(sys.executable if kind == "item2vec" else python, kind, settings, folder)
        row = rows[rival] = {"settings": settings, **cost}
        if lists is not None:
            evaluation = evaluate(Precomputed(lists, split), split, k=10, metrics=kinds)
            row |= evaluation.metrics | {"intervals": evaluation.intervals()}
        print(f"  {rival}: {json.dumps({key: row[key] for key in row if key != 'settings'})}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(measured, indent=1))


def print_table(name, rows):
    """Print a table of all models on one set."""
    first = "recall@10" if name == "lastfm-2k" else "hr@10"
    columns = {
        "training s": "training s",
        "training core-s": "training core-s",
        "answers s": "ranking s",
        "answers core-s": "ranking core-s",
        "peak MiB": "peak MiB",
        "MiB before training": "MiB before training",
    }
    heads = ["model", "settings", first.upper(), "NDCG@10", *columns.values(), "load", "notes"]
    print(f"\n{name}\n\n| {' | '.join(heads)} |")
    print(f"|{'---|' * len(heads)}")
    for rival, row in rows.items():
        settings = row.get("settings", {})
        shown = ", ".join(f"{key} {value}" for key, value in settings.items() if key not in {"model", "seed"})
        quality = [f"{row[key]:.4f}" if key in row else "failed" for key in (first, "ndcg@10")]
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
    parser.add_argument(
        "--env", type=Path, required=True, help="folder of the virtual environment for the other libraries"
    )
    parser.add_argument(
        "--torch", default="torch", help='requirement passed to pip, such as "torch==2.13.0+cpu"'
    )
    parser.add_argument("--only", nargs="+", default=SETS, choices=SETS, metavar="SET")
    parser.add_argument("--rivals", nargs="+", metavar="NAME", help="parts of the names of the models to run")
    parser.add_argument("--cap", type=float, default=720, help="time limit of SASRec's training, in seconds")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    python, versions = prepare(arguments.env.absolute(), arguments.torch)
    kept = arguments.json and arguments.json.exists()
    measured = (json.loads(arguments.json.read_text()) if kept else {}) | {"environment": versions}
    for name in arguments.only:
        measure(name, python, arguments, measured)
    for name in arguments.only:
        print_table(name, measured[name])


if __name__ == "__main__":
    main()
