"""Training and a recommender in one call."""

from __future__ import annotations

from item2vec.config import AdapterConfig, Config
from item2vec.items import Items
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences
from item2vec.training import train
from item2vec.vectors import ItemVectors

__all__ = ["fit"]


def fit(
    sentences: Sentences,
    config: Config | None = None,
    *,
    items: Items | None = None,
    validation: Sentences | None = None,
    start: ItemVectors | None = None,
    adapter: AdapterConfig | None = None,
) -> Recommender:
    """Train on sentences and make a model of the vectors, in one call.

    ``validation`` and ``start`` are those of ``train``; ``items`` and ``adapter`` those of ``Recommender``.

    >>> from item2vec import TrainConfig, adapters
    >>> fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]), Config(train=TrainConfig(sample=0)))
    Recommender(4 items × 64 dimensions, score='output', decay=0.7, index=exact)
    """
    config = config or Config()
    vectors = train(sentences, config=config.train, validation=validation, taste=config.taste, start=start)
    return Recommender(
        vectors,
        **config.taste.model_dump(exclude_unset=True),
        index=config.index,
        items=items,
        adapter=adapter,
    )
