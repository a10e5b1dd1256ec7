"""Small stores and quick settings for nightly runs."""

import dataclasses
import json
import tempfile
import warnings
from functools import cache, lru_cache
from pathlib import Path

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
    layout=False,
)
TOML = """
layout = false
[train]
objective = "skipgram"
backend = "numba"
vector_size = 16
epochs = 10
[retention]
pages = false
"""


def changed(config=QUICK, **settings):
    """The quick settings with some settings of the model changed."""
    return config.replace(model=config.model.with_settings(**settings))


@cache
def made_listens(n_users=240, n_genres=6, *, seed=7, hours=30):
    """Listens of users who like one genre each, mostly in the order of the genre's songs."""
    random = np.random.default_rng(seed)
    users, items, timestamps = [], [], []
    for user in range(n_users):
        genre, song = user % n_genres, int(random.integers(24))
        for hour in np.sort(random.integers(0, hours * 3600, 16)):
            song = (song + 1) % 24 if random.random() < 0.8 else int(random.integers(24))
            users.append(f"u{user}")
            items.append(f"g{genre} s{song} é")
            timestamps.append(int(hour) * 1_000_000 + user)
    return Interactions.of(user=users, item=items, timestamp=np.array(timestamps))


def shuffled(listens, seed=1):
    """The same listens with the items shuffled among them."""
    return dataclasses.replace(listens, item=np.random.default_rng(seed).permutation(listens.item))


def cut(listens, share, seed=1):
    """A random sample of the listens."""
    rows = np.random.default_rng(seed).permutation(len(listens))[: int(share * len(listens))]
    return listens.take(np.sort(rows))


def fill(url, listens):
    """Create a store if necessary, and ingest listens; return its URL."""
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite") and not file.exists():
        file.write_bytes(_filled_file(listens))
        return url
    return _ingested(url, listens)


@lru_cache(maxsize=4)
def _filled_file(listens):
    """Return the content of a SQLite store with these listens only; many tests start from the same."""
    with tempfile.TemporaryDirectory() as folder:
        _ingested(f"sqlite:///{folder}/store.db", listens)
        return (Path(folder) / "store.db").read_bytes()


def _ingested(url, listens):
    with Store(url) as store:
        store.upgrade()
        store.ingest(listens)
    return url


class InProcessWorker(Worker):
    """Executes jobs in this process: starting another one takes four times as long as the jobs."""

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
