"""Small stores and quick settings for nightly runs."""

import dataclasses
import json
import warnings

import numpy as np

from item2vec import Config, Interactions, SkipGram
from item2vec.config import RetentionConfig, RetrainConfig
from item2vec.retraining import worker_main
from item2vec.retraining.jobs import Jobs
from item2vec.retraining.supervisor import Worker
from item2vec.store import Store

QUICK = RetrainConfig(
    model=Config(train=SkipGram(backend="numba", vector_size=16, epochs=10, workers=1)),
    retention=RetentionConfig(pages=False),
)
TOML = """
[train]
objective = "skipgram"
backend = "numba"
vector_size = 16
epochs = 10
[retention]
pages = false
"""


def changed(config=QUICK, **settings):
    """The quick settings, some of the model's changed."""
    return config.replace(model=config.model.with_settings(**settings))


def made_listens(n_users=240, n_genres=6, *, seed=7, hours=30):
    """Everybody likes one genre, and hears some of its songs in an order that is mostly the genre's own."""
    random = np.random.default_rng(seed)
    users, items, moments = [], [], []
    for user in range(n_users):
        genre, song = user % n_genres, int(random.integers(24))
        for hour in np.sort(random.integers(0, hours * 3600, 16)):
            song = (song + 1) % 24 if random.random() < 0.8 else int(random.integers(24))
            users.append(f"u{user}")
            items.append(f"g{genre} s{song} é")
            moments.append(int(hour) * 1_000_000 + user)
    return Interactions.of(user=users, item=items, timestamp=np.array(moments))


def shuffled(listens, seed=1):
    """The same, but nobody knows who heard what."""
    return dataclasses.replace(listens, item=np.random.default_rng(seed).permutation(listens.item))


def cut(listens, share, seed=1):
    """A random part of the rows."""
    rows = np.random.default_rng(seed).permutation(len(listens))[: int(share * len(listens))]
    return listens.take(np.sort(rows))


def fill(url, listens):
    """Make a store that holds these."""
    with Store(url) as store:
        store.upgrade()
        store.ingest(listens)
    return url


class Here(Worker):
    """Does the same jobs in this process: the start of another one takes four times as long as they do."""

    def __init__(self, config):
        self.jobs = Jobs(RetrainConfig.model_validate_json(config.model_dump_json(exclude_unset=True)))
        self.peak = 0

    def _send(self, value):
        self.request = json.loads(json.dumps(value))

    def _receive(self, job):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in the worker process, where they are not errors
            return json.dumps(worker_main._execute(self.jobs, self.request))

    def __exit__(self, *_):
        pass
