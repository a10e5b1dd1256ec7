"""Item vectors in another model: a classifier of playlists with random, frozen and fine-tuned embeddings.

    scripts/benchmarks/classifier.py [--data DIR] [--labelled N …] [--seeds 5] [--json FILE]

The classifier consists of an embedding layer, the mean of the embeddings of a playlist, and a linear softmax
layer, like an embedding bag of PyTorch or Keras. It is implemented with NumPy, and trained with Adam. It
predicts the main genre of a playlist from its first three songs. The embedding layer is initialised at
random, or with ``ItemVectors.embedding_matrix`` of skip-gram vectors of all playlists that are not in the
test part; the genres of these playlists are not used in the training of the vectors. If the embeddings are
frozen, only the softmax layer is trained.

A quarter of the playlists is the test part. A tenth is the validation part, on which the learning rate and
the number of steps are chosen. Intervals (95 %) are percentiles of a bootstrap over the test playlists, of
the accuracy averaged over seeds; each seed draws other labelled playlists.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from item2vec import adapters, readers, train

SONGS = 3
SIZE = 32
LABELLED = (24, 60, 240, 1000, 2600)
RATES = (0.01, 0.03, 0.1)
STEPS, EVERY, PATIENCE = 300, 10, 5
MODES = ("scratch", "frozen", "fine-tuned")


def examples_of(playlists, songs):
    """Return the first songs of each playlist, and the number of its main genre."""
    genre = {item: songs.about(item)["genre"] for item in songs.vocabulary}
    names = sorted(set(genre.values()))
    kept = [list(items) for items in playlists if len(items) >= SONGS]
    labels = [names.index(Counter(genre[item] for item in items).most_common(1)[0][0]) for items in kept]
    return kept, np.array(labels), len(names)


class Classifier:
    """An embedding bag and a softmax layer, trained by Adam on all examples in each step."""

    def __init__(self, embedding, n_classes, rate, *, freeze):
        self.parameters = [embedding.copy(), np.zeros((embedding.shape[1] + 1, n_classes), np.float32)]
        self.moments = [np.zeros((2, *each.shape), np.float32) for each in self.parameters]
        self.rate, self.freeze, self.n_steps = rate, freeze, 0

    def features(self, rows):
        """Return the means of embeddings, and a constant (n examples × dimensions + 1)."""
        means = self.parameters[0][rows].mean(axis=1)
        return np.column_stack((means, np.ones(len(rows), np.float32)))

    def probabilities(self, rows):
        logits = self.features(rows) @ self.parameters[1]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def step(self, rows, labels):
        """Take one gradient step on the mean cross entropy."""
        errors = self.probabilities(rows)
        errors[np.arange(len(rows)), labels] -= 1
        errors /= len(rows)
        gradients = [np.zeros_like(self.parameters[0]), self.features(rows).T @ errors]
        if not self.freeze:
            per_song = errors @ self.parameters[1][:-1].T / rows.shape[1]
            np.add.at(gradients[0], rows, per_song[:, None, :])
            gradients[0][0] = 0  # the padding row stays zero
        self.n_steps += 1
        for parameter, gradient, moments in zip(self.parameters, gradients, self.moments, strict=True):
            moments[0] += 0.1 * (gradient - moments[0])
            moments[1] += 0.001 * (gradient**2 - moments[1])
            mean, square = moments[0] / (1 - 0.9**self.n_steps), moments[1] / (1 - 0.999**self.n_steps)
            parameter[:] -= self.rate * mean / (np.sqrt(square) + 1e-8)


def fitted(embedding, labelled, validation, n_classes, *, freeze):
    """Return the parameters after training with the rate and steps that have the lowest validation loss."""
    best, lowest = None, np.inf
    for rate in RATES:
        model, since = Classifier(embedding, n_classes, rate, freeze=freeze), 0
        own = np.inf
        for number in range(STEPS):
            model.step(*labelled)
            if number % EVERY == EVERY - 1:
                chances = model.probabilities(validation[0])[np.arange(len(validation[1])), validation[1]]
                loss = -np.log(np.maximum(chances, 1e-9)).mean()
                since = 0 if loss < own else since + 1
                own = min(own, loss)
                if loss < lowest:
                    best, lowest = [each.copy() for each in model.parameters], loss
                if since == PATIENCE:
                    break
    model.parameters = best
    return model


def interval(correct, random):
    """Return the mean of ``correct`` over test playlists, with a 95 % bootstrap interval, in percent."""
    draws = random.integers(len(correct), size=(2000, len(correct)))
    low, high = np.percentile(correct[draws].mean(axis=1), [2.5, 97.5])
    return [round(100 * float(each), 1) for each in (correct.mean(), low, high)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "sample_data")
    parser.add_argument("--labelled", type=int, nargs="+", default=LABELLED)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    songs = readers.read_items(arguments.data / "items.csv")
    playlists, labels, n_classes = examples_of(adapters.playlists(arguments.data / "playlists.jsonl"), songs)
    order = np.random.default_rng(0).permutation(len(playlists))
    test, validation, pool = np.split(order, [len(order) // 4, len(order) // 4 + len(order) // 10])
    unlabelled = adapters.playlists([playlists[number] for number in (*validation, *pool)])
    vectors = train(unlabelled, objective="skipgram", backend="numba", vector_size=SIZE, workers=1, seed=7)
    ids = songs.vocabulary.ids
    trained = vectors.embedding_matrix(ids)
    row_of = {id_: row for row, id_ in enumerate(ids, 2)}
    rows = np.array([[row_of.get(item, 1) for item in items[:SONGS]] for items in playlists])
    results = {}
    for n in arguments.labelled:
        correct = {mode: [] for mode in MODES}
        for seed in range(arguments.seeds):
            random = np.random.default_rng(seed)
            chosen = random.choice(pool, min(n, len(pool)), replace=False)
            scratch = random.normal(scale=trained[2:].std(), size=trained.shape).astype(np.float32)
            scratch[0] = 0
            for mode in MODES:
                model = fitted(
                    scratch if mode == "scratch" else trained,
                    (rows[chosen], labels[chosen]),
                    (rows[validation], labels[validation]),
                    n_classes,
                    freeze=mode == "frozen",
                )
                found = model.probabilities(rows[test]).argmax(axis=1)
                correct[mode].append(found == labels[test])
        means = {mode: np.mean(found, axis=0) for mode, found in correct.items()}
        random = np.random.default_rng(1)
        results[n] = {mode: interval(mean, random) for mode, mean in means.items()}
        gains = {f"{mode} - scratch": means[mode] - means["scratch"] for mode in MODES[1:]}
        results[n] |= {name: interval(gain, random) for name, gain in gains.items()}
        print(n, results[n], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
