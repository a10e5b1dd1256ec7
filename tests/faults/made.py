"""Small models with random vectors, for tests and for the processes that they start."""

import numpy as np

from item2vec import Items, ItemVectors, NextItem, Recommender, Vocabulary
from item2vec.vectors import Epoch


def made_vectors(n_items=40, size=8, *, seed=0, output=True):
    random = np.random.default_rng(seed)
    return ItemVectors(
        Vocabulary(tuple(f"song {seed}-{row} é" for row in range(n_items))),
        random.normal(size=(n_items, size)),
        random.normal(size=(n_items, size)) if output else None,
        np.sort(random.integers(1, 1000, n_items))[::-1].astype(np.float64),
        config := NextItem(vector_size=size, workers=1, seed=seed),
        (Epoch(1, 0.1, 0.05, 2.5), Epoch(2, 1 / 3, 0.1), Epoch(3, loss=1 / 7)),
        positions=np.linspace(0.6, 0.9, len(config.context_decay))[:, None] ** np.arange(20),
    )


def made_model(n_items=40, size=8, *, seed=0, score="output", index="exact", items=False):
    vectors = made_vectors(n_items, size, seed=seed, output=score == "output")
    rows = {id_: {"title": id_.title(), "genre": "jazz"} for id_ in vectors.vocabulary.ids[::2]}
    attributes = Items.of(rows) if items else None
    return Recommender(vectors, score=score, decay=0.7, index=index, items=attributes)


def all_rankings(model):
    """Rankings of a model for many histories and items, for comparison with another model."""
    ids = model.vocabulary.ids
    histories = [[id_] for id_ in ids] + [list(ids[:5]), [], ["unheard-of"]]
    return model.recommend_many(histories, k=5), [model.similar_items(id_, k=5) for id_ in ids[:20]]
