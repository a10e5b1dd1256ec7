"""A recommender engine for sequences.

Playlists, click sessions and walks over graphs become sentences of items. Training learns vectors of the
items. A user's taste is the weighted mean of the vectors of the items in their history. The items with the
highest scores for this taste are recommended. Data passes through these files and packages::

    files, SQL ─▶ readers/, store/     ─▶ Interactions, Graph, Items   interactions.py, graph.py, items.py
      │  adapters/ for training, shaping.py for the events of a user
      ▼
    Sentences, histories               sentences.py: item codes in flat arrays
      │  training/, called by fitting.py
      ▼
    ItemVectors                        vectors.py: per item, an input vector and usually an output vector
      │  ranker.py: searches the index (index/) for the best rows; queries from taste.py and prior.py,
      │  bonuses from bonuses.py, rules of the request from rules.py
      ▼
    Recommender                        recommender.py: recommendations for a history
      │  bundle/ saves a model in a folder; versions/ publishes it
      ▼
    Engine                             engine.py: recommendations by user id; used by cli/ and service/

Importing this package loads no dependency. Each public name loads its module on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from item2vec import adapters, corpus, errors, evaluation, readers, spark
    from item2vec.batch import recommend_all
    from item2vec.config.model import Config
    from item2vec.config.relatives import LSA, GloVe
    from item2vec.config.taste import TasteConfig
    from item2vec.config.training import CBOW, NextItem, SkipGram, TrainConfig
    from item2vec.engine import Engine
    from item2vec.fitting import fit
    from item2vec.graph import Graph
    from item2vec.interactions import Interactions
    from item2vec.items import Items
    from item2vec.recommender import Recommender
    from item2vec.retraining import retrain
    from item2vec.sentences import Sentences
    from item2vec.training import train
    from item2vec.tuning import tune
    from item2vec.types import Recommendation, Share, Vocabulary
    from item2vec.vectors import ItemVectors
    from item2vec.versions import load, publish

__version__ = "0.1.0"

_MODULE_OF = {
    "CBOW": "config",
    "Config": "config",
    "Engine": "engine",
    "GloVe": "config",
    "Graph": "graph",
    "Interactions": "interactions",
    "ItemVectors": "vectors",
    "Items": "items",
    "LSA": "config",
    "NextItem": "config",
    "Recommendation": "types",
    "Recommender": "recommender",
    "Sentences": "sentences",
    "Share": "types",
    "SkipGram": "config",
    "TasteConfig": "config",
    "TrainConfig": "config",
    "Vocabulary": "types",
    "fit": "fitting",
    "load": "versions",
    "publish": "versions",
    "recommend_all": "batch",
    "retrain": "retraining",
    "train": "training",
    "tune": "tuning",
}
_PACKAGES = ("adapters", "corpus", "errors", "evaluation", "readers", "spark")

__all__ = [
    "CBOW",
    "LSA",
    "Config",
    "Engine",
    "GloVe",
    "Graph",
    "Interactions",
    "ItemVectors",
    "Items",
    "NextItem",
    "Recommendation",
    "Recommender",
    "Sentences",
    "Share",
    "SkipGram",
    "TasteConfig",
    "TrainConfig",
    "Vocabulary",
    "adapters",
    "corpus",
    "errors",
    "evaluation",
    "fit",
    "load",
    "publish",
    "readers",
    "recommend_all",
    "retrain",
    "spark",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"item2vec.{name}")
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f"item2vec.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'item2vec' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
