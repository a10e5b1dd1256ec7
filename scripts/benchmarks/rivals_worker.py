"""Train one model, compute its rankings, and write them with their cost. ``rivals.py`` starts this script.

    rivals_worker.py KIND FOLDER SETTINGS

It runs in the environment of the other libraries (or the project's, for item2vec), in its own process, so
that peak memory is separate. It has no access to the targets: FOLDER contains ``train.txt`` (item numbers of
one sequence per line, oldest first) and ``queries.txt`` (the line that each query continues). SETTINGS is
JSON.
"""

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

K = 10
MIB = 1024


def clocks():
    """Return wall-clock seconds, and core-seconds of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def peak():
    """Return the peak memory of this process, in MiB.

    On Linux, ``ru_maxrss`` includes the peak of the parent process, so ``VmHWM`` is read instead.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / MIB


def matrix(sequences):
    """Return the binary matrix of sequences × items."""
    from scipy import sparse

    rows = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    columns = np.concatenate(sequences)
    seen = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)))
    seen.data[:] = 1
    return seen


def item2vec_(settings):
    """Return fit and rank functions of item2vec, with any settings of ``fit``."""
    import item2vec

    def fit(sequences):
        sentences = item2vec.Sentences.of([[str(item) for item in sequence] for sequence in sequences])
        return item2vec.fit(sentences, **settings)

    def rank(model, sequences, queries):
        histories = item2vec.Sentences.of([[str(i) for i in sequences[row]] for row in queries])
        lists = model.recommend_many(histories, k=K, filter_seen=True)
        return [[int(entry.item) for entry in ranking] for ranking in lists]

    return fit, rank


def implicit_(settings):
    """Return fit and rank functions of implicit's ALS or BPR."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking

    settings = dict(settings)
    kinds = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}
    kind = kinds[settings.pop("model")]

    def fit(sequences):
        model, seen = kind(**settings, num_threads=2, random_state=1), matrix(sequences)
        model.fit(seen, show_progress=False)
        return model, seen

    def rank(fitted, sequences, queries):  # noqa: ARG001
        model, seen = fitted
        items, scores = model.recommend(queries, seen[queries], N=K, filter_already_liked_items=True)
        return [row[score > -1e30].tolist() for row, score in zip(items, scores, strict=True)]

    return fit, rank


def ease_by_hand(settings):
    """Return fit and rank functions of EASE: B = I − P·diag(1/P_jj), P = (XᵀX + λI)^-1; scores are X·B."""

    def fit(sequences):
        seen = matrix(sequences)
        gram = (seen.T @ seen).toarray()
        gram[np.diag_indices(len(gram))] += settings["regularization"]
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return seen, weights

    def rank(fitted, sequences, queries):
        seen, weights = fitted
        return best_unseen(lambda rows: seen[rows] @ weights, sequences, queries)

    return fit, rank


def lightgcn_(settings):
    """Return fit and rank functions of LightGCN."""
    from rivals_lightgcn import lightgcn

    def fit(sequences):
        return lightgcn(matrix(sequences), **settings)

    def rank(fitted, sequences, queries):
        users, items, _ = fitted
        return best_unseen(lambda rows: users[rows] @ items.T, sequences, queries)

    return fit, rank


def best_unseen(scores_of, sequences, queries):
    """Return the best items of each query that are not in its sequence; ``scores_of`` takes row numbers."""
    lists = []
    for start in range(0, len(queries), 1024):
        rows = queries[start : start + 1024]
        scores = scores_of(rows)
        for row, score in zip(rows, scores, strict=True):
            score[sequences[row]] = -np.inf
        best = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        lists += np.take_along_axis(best, order, axis=1).tolist()
    return lists


def rectools_(settings):
    """Return fit and rank functions of RecTools' EASE or SASRec."""
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset

    settings = dict(settings)
    if settings.pop("model") == "ease":
        from rectools.models import EASEModel as make  # noqa: N813
    else:
        from rivals_sasrec import sasrec as make

    def fit(sequences):
        lengths = [len(sequence) for sequence in sequences]
        days = np.concatenate([np.arange(length) for length in lengths])
        table = {
            Columns.User: np.repeat(np.arange(len(sequences)), lengths),
            Columns.Item: np.concatenate(sequences),
            Columns.Weight: 1.0,
            Columns.Datetime: np.datetime64("2000-01-01", "s") + days.astype("timedelta64[s]"),
        }
        dataset = Dataset.construct(pd.DataFrame(table))
        return make(**settings).fit(dataset), dataset

    def rank(fitted, sequences, queries):  # noqa: ARG001
        model, dataset = fitted
        users, inverse = np.unique(queries, return_inverse=True)
        table = model.recommend(users, dataset, k=K, filter_viewed=True, on_unsupported_targets="ignore")
        lists = table.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item].agg(list)
        return [lists.get(users[row], []) for row in inverse]

    return fit, rank


def gensim_(settings):
    """Return fit and rank functions of gensim: ``most_similar`` to the mean of the history's vectors."""
    from gensim.models import Word2Vec

    def fit(sequences):
        return Word2Vec([[str(item) for item in sequence] for sequence in sequences], **settings).wv

    def rank(vectors, sequences, queries):
        lists = []
        for row in queries:
            seen = {str(item) for item in sequences[row]}
            known = [vectors[item] for item in seen if item in vectors]
            taste = [np.mean(known, axis=0)] if known else []
            near = vectors.most_similar(positive=taste, topn=K + len(seen)) if known else []
            lists.append([int(item) for item, _ in near if item not in seen][:K])
        return lists

    return fit, rank


KINDS = {
    "item2vec": item2vec_,
    "implicit": implicit_,
    "rectools": rectools_,
    "gensim": gensim_,
    "by hand": ease_by_hand,
    "lightgcn": lightgcn_,
}


def main() -> None:
    kind, folder, settings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    warnings.simplefilter("ignore")
    sequences = [
        np.array(line.split(), dtype=np.int64) for line in (folder / "train.txt").read_text().splitlines()
    ]
    queries = np.array((folder / "queries.txt").read_text().split(), dtype=np.int64)
    fit, rank = KINDS[kind](settings)
    imported, started = peak(), clocks()
    model = fit(sequences)
    trained = clocks()
    lists = rank(model, sequences, queries)
    ranked = clocks()
    (seconds, core_seconds), (ranking_seconds, ranking_core_seconds) = trained - started, ranked - trained
    cost = {
        "training s": seconds,
        "training core-s": core_seconds,
        "answers s": ranking_seconds,
        "answers core-s": ranking_core_seconds,
        "peak MiB": peak(),
        "MiB before training": imported,
    }
    if kind == "rectools" and settings["model"] == "sasrec":
        cost |= model[0].fit_trainer.callbacks[0].summary()
    if kind == "lightgcn":
        cost |= model[-1]
    (folder / "lists.json").write_text(json.dumps(lists))
    (folder / "cost.json").write_text(json.dumps(cost))


if __name__ == "__main__":
    main()
