"""Promote versions of a models folder, and wait for log messages of ``Live``."""

import contextlib
import logging
import threading
from dataclasses import replace

import numpy as np
from faults.child import HANGING

from item2vec import ItemVectors, Recommender, TrainConfig, Vocabulary, versions
from item2vec.versions.layout import point_to
from item2vec.versions.locks import locked


def shared_model(seed, n_items=600, size=64, **settings):
    """A model with the same items for every seed, but different rankings."""
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
    """Serve an existing version, like the last step of a publish."""
    with locked(models):
        before = versions.served_version(models)
        moved = replace(version, generation=before.generation + 1, previous=before.id)
        point_to(models, moved)
    return moved


@contextlib.contextmanager
def captured_log():
    """Yield a list of the messages logged by ``Live``, and a function that waits for a text in them."""
    logger = logging.getLogger("item2vec.versions.live")
    messages, condition = [], threading.Condition()

    class Capture(logging.Handler):
        def emit(self, record):
            with condition:
                messages.append(record.getMessage())
                condition.notify_all()

    def wait_for(text):
        with condition:
            assert condition.wait_for(lambda: any(text in line for line in messages), HANGING), messages

    handler, level = Capture(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield messages, wait_for
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
