"""One rival: trains, answers, and writes down its lists and what they cost. ``rivals.py`` starts it.

    rivals_worker.py KIND FOLDER SETTINGS

It runs in the rivals' environment (or in the project's, for item2vec), in a process of its own, so that its
peak memory is its own. It knows no targets: FOLDER holds ``train.txt`` (a line of item numbers for each
sequence, oldest first) and ``questions.txt`` (which line each question continues). SETTINGS is JSON.
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
    """Return seconds of the wall clock, and of all cores that this process used."""
    return np.array([time.perf_counter(), time.process_time()])


def peak():
    """Return the most memory that this process has had, in MiB.

    Linux counts what its parent had before it as ``ru_maxrss``, and so that is no measure of it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / MIB


def matrix(sequences):
    """Return who had what, as ones."""
    from scipy import sparse

    rows = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    columns = np.concatenate(sequences)
    had = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)))
    had.data[:] = 1
    return had


def item2vec_(settings):
    """Ours: the default of ``fit``, or any settings of its ``Config``."""
    import item2vec

    def fit(sequences):
        sentences = item2vec.Sentences.of([[str(item) for item in sequence] for sequence in sequences])
        return item2vec.fit(sentences, **settings)

    def answer(model, sequences, questions):
        histories = item2vec.Sentences.of([[str(i) for i in sequences[row]] for row in questions])
        lists = model.recommend_many(histories, k=K, filter_seen=True)
        return [[int(entry.item) for entry in one] for one in lists]

    return fit, answer


def implicit_(settings):
    """ALS or BPR of implicit."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking

    settings = dict(settings)
    of = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}[settings.pop("model")]

    def fit(sequences):
        model, had = of(**settings, num_threads=2, random_state=1), matrix(sequences)
        model.fit(had, show_progress=False)
        return model, had

    def answer(fitted, sequences, questions):  # noqa: ARG001
        model, had = fitted
        items, scores = model.recommend(questions, had[questions], N=K, filter_already_liked_items=True)
        return [row[score > -1e30].tolist() for row, score in zip(items, scores, strict=True)]

    return fit, answer


def ease_by_hand(settings):
    """EASE from its equation: B = I − P·diag(1/P_jj), P = (XᵀX + λI)^-1; the scores are X·B."""

    def fit(sequences):
        had = matrix(sequences)
        gram = (had.T @ had).toarray()
        gram[np.diag_indices(len(gram))] += settings["regularization"]
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return had, weights

    def answer(fitted, sequences, questions):
        had, weights = fitted
        lists = []
        for start in range(0, len(questions), 1024):
            rows = questions[start : start + 1024]
            scores = had[rows] @ weights
            for row, score in zip(rows, scores, strict=True):
                score[sequences[row]] = -np.inf
            best = np.argpartition(-scores, K, axis=1)[:, :K]
            order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
            lists += np.take_along_axis(best, order, axis=1).tolist()
        return lists

    return fit, answer


def rectools_(settings):
    """EASE or SASRec of RecTools."""
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

    def answer(fitted, sequences, questions):  # noqa: ARG001
        model, dataset = fitted
        users, back = np.unique(questions, return_inverse=True)
        found = model.recommend(users, dataset, k=K, filter_viewed=True, on_unsupported_targets="ignore")
        lists = found.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item].agg(list)
        return [lists.get(users[place], []) for place in back]

    return fit, answer


def gensim_(settings):
    """Word2Vec as in a weekend project: taste is the mean of the vectors, ``most_similar`` the answer."""
    from gensim.models import Word2Vec

    def fit(sequences):
        return Word2Vec([[str(item) for item in sequence] for sequence in sequences], **settings).wv

    def answer(vectors, sequences, questions):
        lists = []
        for row in questions:
            had = {str(item) for item in sequences[row]}
            known = [vectors[item] for item in had if item in vectors]
            taste = [np.mean(known, axis=0)] if known else []
            near = vectors.most_similar(positive=taste, topn=K + len(had)) if known else []
            lists.append([int(item) for item, _ in near if item not in had][:K])
        return lists

    return fit, answer


KINDS = {
    "item2vec": item2vec_,
    "implicit": implicit_,
    "rectools": rectools_,
    "gensim": gensim_,
    "by hand": ease_by_hand,
}


def main() -> None:
    kind, folder, settings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    warnings.simplefilter("ignore")
    sequences = [
        np.array(line.split(), dtype=np.int64) for line in (folder / "train.txt").read_text().splitlines()
    ]
    questions = np.array((folder / "questions.txt").read_text().split(), dtype=np.int64)
    fit, answer = KINDS[kind](settings)
    imported, started = peak(), clocks()
    model = fit(sequences)
    trained = clocks()
    lists = answer(model, sequences, questions)
    answered = clocks()
    (seconds, core_seconds), (answer_seconds, answer_core_seconds) = trained - started, answered - trained
    cost = {
        "training s": seconds,
        "training core-s": core_seconds,
        "answers s": answer_seconds,
        "answers core-s": answer_core_seconds,
        "peak MiB": peak(),
        "MiB before training": imported,
    }
    if kind == "rectools" and settings["model"] == "sasrec":
        cost |= model[0].fit_trainer.callbacks[0].told()
    (folder / "lists.json").write_text(json.dumps(lists))
    (folder / "cost.json").write_text(json.dumps(cost))


if __name__ == "__main__":
    main()
