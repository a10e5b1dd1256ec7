"""Items and contexts: prediction of held-out tags of artists from their other tags (lastfm-2k).

    scripts/benchmarks/contexts.py --data DIR [--seeds 3] [--json FILE]

A tenth of the distinct pairs of an artist and a tag is held out. Each artist with held-out tags is a query;
tags of the training part are not recommended again. The script compares the popularity of tags, item-kNN over
sets of tags, skip-gram on these sets, and skip-gram whose contexts are the tags.
"""

import json
from statistics import mean, stdev

import numpy as np
import sets

import item2vec
from item2vec import Sentences, Vocabulary, adapters, readers
from item2vec.contexts import ContextVectors
from item2vec.evaluation import ItemKNN, Popularity, Split, evaluate
from item2vec.sentences import offsets_of

SETTINGS = {"objective": "skipgram", "backend": "numba", "epochs": 20, "vector_size": 64}


def tagged(folder):
    """Return the artist and the tag of each distinct pair, as text."""
    rows = readers.read_interactions(
        folder / "user_taggedartists.dat", user="tagID", item="artistID", timestamp=None, sep="\t"
    )
    pairs = np.unique(np.column_stack((rows.item, rows.user)), axis=0)
    artists = [f"artist:{id_}" for id_ in rows.items.decode(pairs[:, 0])]
    return artists, [f"tag:{id_}" for id_ in rows.users.decode(pairs[:, 1])]


def by_artist(artists, tags, vocabulary):
    """Return the artists, and a sentence of the tags of each artist."""
    names, numbers = np.unique(artists, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    tokens = vocabulary.encode([tags[n] for n in order])
    return names.tolist(), Sentences(vocabulary, tokens, offsets_of(np.bincount(numbers)), ordered=False)


class ByContext:
    """Recommend contexts for a history that consists of a single item."""

    def __init__(self, vectors):
        self.vectors = vectors

    def recommend_many(self, histories, *, k, filter_seen, exclude):  # noqa: ARG002
        answers = []
        for (artist,), known in zip(histories, exclude, strict=True):
            seen = set(known)
            found = self.vectors.contexts_of(artist, k=k + len(seen)) if artist in self.vectors.items else []
            answers.append([item for item in found if item.item not in seen][:k])
        return answers


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    artists, tags = tagged(options.data / "lastfm-2k")
    vocabulary = Vocabulary.of(tags)
    found = {}
    for seed in range(1, options.seeds + 1):
        held = np.random.default_rng(seed).random(len(artists)) < 0.1
        known = [(a, t) for a, t, out in zip(artists, tags, held, strict=True) if not out]
        names, sentences = by_artist(*zip(*known, strict=True), vocabulary)
        rows = {name: number for number, name in enumerate(names)}
        hidden = [(a, t) for a, t, out in zip(artists, tags, held, strict=True) if out and a in rows]
        asked, targets = by_artist(*zip(*hidden, strict=True), vocabulary)
        seen = sentences.take(np.array([rows[name] for name in asked]))
        split = Split(sentences, Sentences.of([[name] for name in asked]), targets, "tags", seen=seen)
        by_tags = Split(sentences, seen, targets, "tags")
        pairs = adapters.pairs(*zip(*known, strict=True))
        vectors = ContextVectors.of(item2vec.train(pairs, **SETTINGS, forward_only=True, seed=seed))
        together = item2vec.train(sentences, **SETTINGS, window="full", seed=seed)
        for title, model, asked_split in (
            ("popularity", Popularity(sentences), by_tags),
            ("item-kNN over tags", ItemKNN(sentences), by_tags),
            ("skip-gram, tags of an artist", item2vec.Recommender(together, score="output"), by_tags),
            ("skip-gram, contexts", ByContext(vectors), split),
        ):
            metrics = evaluate(model, asked_split, k=10).metrics
            found.setdefault(title, []).append({m: metrics[m] for m in ("hr@10", "recall@10", "ndcg@10")})
    rows = []
    for title, scores in found.items():
        values = {metric: [score[metric] for score in scores] for metric in scores[0]}
        row = {metric: (mean(own), stdev(own)) for metric, own in values.items()}
        rows.append({"model": title} | row)
        print(f"{title:<30} " + "  ".join(f"{m} {v:.4f} ± {sd:.4f}" for m, (v, sd) in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
