"""Recommendation quality (BENCHMARKS A1 to A5), compared with baselines and published results.

    scripts/benchmarks/quality.py --data DIR [--only SET …] [--budget 5min] [--seeds 3] [--json FILE]

``item2vec.tune`` chooses the settings of each set on validation data held out from the training part. The
test part is evaluated once, by models trained with several seeds. The files of a folder determine its
protocol:

    sequences.txt                        A1  next item, leave-last-out
    train_sessions.txt, test_pairs.txt   A2  every prefix of a session → next click
    train_full.tsv, test.tsv             A7  the same, with timestamps
    train.txt, test.txt                  A3  unordered sets
    user_artists.dat                     A3  the same, split here 8:1:1 at random
    histories.txt                        A4  repeat purchases
    *adjlist*, *labels*                  A5  graphs, node labels
"""

import json
import time
import warnings
from functools import partial
from statistics import mean, stdev

import node_labels
import numpy as np
import sets

import item2vec
from item2vec import adapters, readers
from item2vec.errors import LeakWarning
from item2vec.evaluation import Split, baselines, evaluate, leave_last_out, prefix_split, random_split

PUBLISHED = {
    "amazon-beauty": {
        "SASRec (2020)": (0.0605, 0.0318),
        "S3-Rec": (0.0647, 0.0327),
        "ActionPiece": (0.0775, 0.0424),
        "SASRec, sampled softmax (2025)": (0.0921, 0.0531),
    },
    "lastfm-sequences": {"SASRec (2020)": (0.0688, 0.0390), "S3-Rec": (0.0743, 0.0427)},
    "diginetica": {
        "Item-KNN": (0.3575, 0.1157),
        "GRU4Rec": (0.2945, 0.0833),
        "NARM": (0.4970, 0.1617),
        "SR-GNN": (0.5073, 0.1759),
        "GCE-GNN": (0.5422, 0.1904),
    },
    "yoochoose-100k": {
        "AR, first 387": (0.5917, 0.3160),
        "SR, first 387": (0.5607, 0.3275),
        "GRU4Rec, first 387": (0.5711, 0.3289),
        "VSKNN, first 387": (0.6098, 0.3342),
    },
    "gowalla": {
        "Item2Vec": (0.1326, 0.1057),
        "ItemCF": (0.1570, 0.1214),
        "BPR": (0.1627, 0.1378),
        "LightGCN": (0.1820, 0.1547),
        "SimpleX": (0.1872, 0.1557),
    },
    "lastfm-2k": {"BPR": (0.1761, 0.1674), "LightGCN": (0.2064, 0.1972)},
    "online-retail": {"gensim's defaults, last item": (0.249, None), "gensim, 140 epochs": (0.266, None)},
}
FIRST_QUERIES = {"yoochoose-100k": 387}
"""The number of queries of a set, from the first query on, for which recommendations are published."""
DEEPWALK_MICRO = (35.86, 38.51, 39.96, 40.76, 41.51, 41.85, 42.27, 42.35, 42.40)


def next_item(folder):
    """A1: next item, leave-last-out."""
    return leave_last_out(sets.sequences(folder)), ("hr@10", "ndcg@10"), {"metric": "ndcg@10"}


def sessions(folder):
    """A2: every prefix of a session."""
    protocol = "every prefix of a session"
    split = Split(sets.sessions(folder), *sets.session_queries(folder), protocol, filter_seen=False)
    return split, ("hr@20", "mrr@20"), {"metric": "mrr@20", "protocol": "prefix"}


def clicks(folder):
    """A7: every prefix of a session with timestamps."""
    train, test = (sets.clicks(folder, part) for part in ("train_full", "test"))
    return prefix_split(train, test=test), ("hr@20", "mrr@20"), {"metric": "mrr@20", "protocol": "prefix"}


def unordered(folder):
    """A3: published train and test parts."""
    (users, train), (test_users, targets) = (sets.places(folder, part) for part in ("train", "test"))
    sentence_of = {user: sentence for sentence, user in enumerate(users)}
    histories = train.take(np.array([sentence_of[user] for user in test_users]))
    split = Split(train, histories, targets, "published train and test parts")
    return split, ("recall@20", "ndcg@20"), {"metric": "ndcg@20"}


def plays(folder, number=1):
    """A3: a random 8:1:1 split; one tenth is the test part, and one is unused, as in the papers."""
    sentences = sets.plays(folder)
    sentences = sentences.take(sentences.lengths >= 10)
    tested = random_split(sentences, fraction=0.1, seed=2 * number - 1)
    train = random_split(tested.train, fraction=1 / 9, seed=2 * number).train
    split = Split(train, train, tested.targets, "random 8:1:1")
    return split, ("recall@10", "ndcg@10"), {"metric": "ndcg@10"}


def repeats(folder):
    """A4: repeat purchases."""
    split = leave_last_out(sets.purchases(folder), repeats=True)
    return split, ("hr@10", "ndcg@10"), {"metric": "hr@10", "repeats": True}


FAMILIES = {
    ("sequences.txt",): next_item,
    ("train_sessions.txt", "test_pairs.txt"): sessions,
    ("train_full.tsv", "test.tsv"): clicks,
    ("train.txt", "test.txt"): unordered,
    ("user_artists.dat",): plays,
    ("histories.txt",): repeats,
}


def measure(name, read, arguments):
    """Print and return the metrics of baselines, published models and item2vec on one set."""
    split, names, how = read()
    cutoff = int(names[0].partition("@")[2])
    print(f"\n{name}: {split}\n  {'model':<36}{names[0]:>16}{names[1]:>16}", flush=True)
    rows = {}

    def show(model, values):
        rows[model] = values
        cells = [f"{mean(v):.4f}±{stdev(v):.4f}" if len(v) > 1 else f"{v[0]:.4f}" for v in values if v]
        print(f"  {model:<36}" + "".join(f"{cell:>16}" for cell in cells), flush=True)

    def metrics_of(model, ties=None, queries=split):
        kinds = [metric.partition("@")[0] for metric in names]
        return evaluate(model, queries, k=cutoff, metrics=kinds, ties=ties).metrics

    for baseline, model in {}.items() if arguments.tuned_only else baselines(split).items():
        metrics = metrics_of(model)
        show(baseline, [[metrics[metric]] for metric in names])
        if baseline == "popularity":
            metrics = metrics_of(model, ties="against")
            show("popularity, ties against it", [[metrics[metric]] for metric in names])
    for model, values in PUBLISHED.get(name, {}).items():
        show(f"{model}, published", [[value] if value is not None else [] for value in values])
    started = time.perf_counter()
    study = arguments.studies / f"{name}.study" if arguments.studies else None
    tuned = item2vec.tune(split.train, budget=arguments.budget, seed=1, study=study, **how)
    tuning_seconds = time.perf_counter() - started
    n_first = FIRST_QUERIES.get(name, len(split))
    results, seconds, first = [], [], []
    for seed in range(1, arguments.seeds + 1):
        started = time.perf_counter()
        config = tuned.config.replace(train=tuned.config.train.replace(seed=seed))
        model = item2vec.fit(split.train, config)
        seconds.append(time.perf_counter() - started)
        results.append(metrics_of(model))
        first.append(metrics_of(model, queries=split.take(np.arange(n_first))))
    show("item2vec, tuned", [[metrics[metric] for metrics in results] for metric in names])
    if n_first < len(split):
        label = f"item2vec, tuned, first {n_first} queries"
        show(label, [[metrics[metric] for metrics in first] for metric in names])
    for objective in () if arguments.tuned_only else ("skipgram", "next_item"):
        config = item2vec.TrainConfig(objective=objective, backend="numba")
        default = metrics_of(item2vec.fit(split.train, item2vec.Config(train=config)))
        show(f"item2vec, {objective}, defaults", [[default[metric]] for metric in names])
    print(
        f"  {len(tuned.trials)} trials in {tuning_seconds:.0f} s, {how['metric']} on validation "
        f"{tuned.score:.4f}; training {mean(seconds):.1f} s"
    )
    print(f"  {_changed(tuned.config.train)}, {_changed(tuned.config.taste)}", flush=True)
    return {
        "set": name,
        "metrics": names,
        "rows": rows,
        "config": tuned.config.model_dump(),
        "seconds": seconds,
    }


def _changed(settings):
    """Return the settings that differ from the defaults, as text."""
    plain = type(settings)().model_dump()
    changed = {name: value for name, value in settings.model_dump().items() if value != plain[name]}
    return ", ".join(f"{name}={value!r}" for name, value in changed.items())


def graph(name, folder, n_shuffles):
    """A5: node classification with the vectors of random walks."""
    edges = readers.read_edges(next(folder.glob("*adjlist*")), format="adjacency")
    pairs = [line.split() for line in next(folder.glob("*labels*")).read_text().splitlines()]
    started = time.perf_counter()
    walks = adapters.walks(edges, walks_per_node=80, walk_length=40, seed=1)
    vectors = item2vec.train(walks, objective="skipgram", vector_size=128, window=10, epochs=1, seed=1)
    seconds = time.perf_counter() - started
    nodes = sorted({node for node, *_ in pairs})
    names = sorted({label for _, *labels in pairs for label in labels})
    row = {node: number for number, node in enumerate(nodes)}
    column = {label: number for number, label in enumerate(names)}
    labels = np.zeros((len(nodes), len(names)), dtype=bool)
    for node, *own in pairs:
        labels[row[node], [column[label] for label in own]] = True
    matrix = node_labels.node_vectors(vectors, nodes)
    print(f"\n{name}: {edges}, {seconds:.0f} s of walks and training; mean of {n_shuffles} shuffles")
    print(f"  {'labelled':>9}{'Micro-F1':>10}{'Macro-F1':>10}{'DeepWalk, Micro-F1':>20}", flush=True)
    rows = []
    for share, published in zip(node_labels.SHARES, DEEPWALK_MICRO, strict=True):
        scores = np.mean(
            [node_labels.f1_scores(matrix, labels, share, seed) for seed in range(n_shuffles)], axis=0
        )
        rows.append([share, *scores.tolist()])
        print(f"  {share:>9.0%}{scores[0]:>10.2f}{scores[1]:>10.2f}{published:>20}", flush=True)
    return {"set": name, "rows": rows, "seconds": seconds}


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SET", help="names of the data sets to use")
    parser.add_argument("--budget", default="5min", help="time budget for tuning each set")
    parser.add_argument("--tuned-only", action="store_true", help="skip baselines and default settings")
    parser.add_argument("--studies", type=sets.Path, help="folder of tuning studies, which are resumed")
    parser.add_argument("--splits", type=int, default=1, help="number of random splits of lastfm-2k")
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of trained models, for mean and standard deviation"
    )
    parser.add_argument(
        "--shuffles", type=int, default=10, help="number of shuffles of a graph's labelled nodes"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    measured = []
    for folder in sorted(arguments.data.iterdir()):
        if arguments.only and folder.name not in arguments.only:
            continue
        for files, read in FAMILIES.items():
            if all((folder / file).is_file() for file in files):
                splits = range(1, 1 + arguments.splits) if read is plays else [None]
                for number in splits:
                    split_of = partial(read, folder) if number is None else partial(read, folder, number)
                    measured.append(measure(folder.name, split_of, arguments))
                break
        else:
            if list(folder.glob("*adjlist*")) and list(folder.glob("*labels*")):
                measured.append(graph(folder.name, folder, arguments.shuffles))
    if not measured:
        parser.error(f"no set in {arguments.data}; expected folders such as amazon-beauty")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
