"""A models folder whose pointer moves, and a way to wait until somebody who follows it says so."""

import contextlib
import logging
import threading
from dataclasses import replace

import numpy as np

from item2vec import ItemVectors, Recommender, TrainConfig, Vocabulary, versions
from item2vec.versions.layout import point_to
from item2vec.versions.locks import locked

SECONDS = 60


def shared_model(seed, n_items=600, size=64, **settings):
    """A model of the same items whatever the seed, whose answers tell it from those of other seeds."""
    random = np.random.default_rng(seed)
    vectors = ItemVectors(
        Vocabulary(tuple(f"item-{row}" for row in range(n_items))),
        random.normal(size=(n_items, size)),
        random.normal(size=(n_items, size)),
        random.integers(1, 1000, n_items).astype(np.float64),
        TrainConfig(vector_size=size, workers=1, seed=seed),
    )
    return Recommender(vectors, decay=0.7, **settings)


def seed_of(model):
    return model.vectors.config.seed


def promote(models, version):
    """Serve a version that is there already, as the last step of a publish does."""
    with locked(models):
        before = versions.current(models)
        moved = replace(version, generation=before.generation + 1, previous=before.id)
        point_to(models, moved)
    return moved


@contextlib.contextmanager
def heard():
    """Yield a list of what is logged by those who follow, and a function that waits for a text in it."""
    logger = logging.getLogger("item2vec.versions.live")
    said, condition = [], threading.Condition()

    class Ear(logging.Handler):
        def emit(self, record):
            with condition:
                said.append(record.getMessage())
                condition.notify_all()

    def wait_for(text):
        with condition:
            assert condition.wait_for(lambda: any(text in line for line in said), SECONDS), said

    ear, level = Ear(), logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    try:
        yield said, wait_for
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
