"""``fit``: train vectors and build a recommender in one call."""

from __future__ import annotations

from os import PathLike
from typing import Unpack

from item2vec.arguments import checked
from item2vec.config import AdapterConfig, Config, ModelSettings
from item2vec.index.building import check_kind
from item2vec.items import Items
from item2vec.prior import prior_of
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.training import train_with_table
from item2vec.vectors import ItemVectors

__all__ = ["fit"]


@checked
def fit(
    sentences: Sentences | ShardedSentences,
    config: Config | None = None,
    *,
    items: Items | None = None,
    validation: Sentences | None = None,
    start: ItemVectors | None = None,
    freeze: bool = False,
    adapter: AdapterConfig | None = None,
    checkpoint: str | PathLike[str] | None = None,
    processes: int = 1,
    **settings: Unpack[ModelSettings],
) -> Recommender:
    """Train vectors on sentences, and return a recommender.

    ``settings`` are the hyperparameters of training, user embeddings (taste) and index by name, and override
    ``config``. ``validation``, ``start``, ``freeze``, ``checkpoint`` and ``processes`` are arguments of
    ``train``, ``adapter`` is an argument of ``Recommender``, and ``items`` of both.

    The item–item table of neighbours is computed if its blending weight, ``mixture``, is above 0, which is
    the default for the objectives transitions, linkprop and ease. The popularity prior is computed
    (``prior.prior_of``) if its weight, ``popularity``, is above 0, or the sentences have timestamps.

    The errors are those of ``train`` and of ``Recommender``.

    >>> from item2vec import adapters
    >>> playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"]])
    >>> fit(playlists, objective="skipgram", vector_size=32, decay=0.5)
    Recommender(4 items × 32 dimensions, score='output', decay=0.5, index=exact)
    """
    config = (config or Config()).with_settings(**settings)
    check_kind(config.index)
    vectors, table = train_with_table(
        sentences,
        config,
        items=items,
        validation=validation,
        start=start,
        freeze=freeze,
        checkpoint=checkpoint,
        processes=processes,
    )
    return Recommender(
        vectors,
        **config.taste.model_dump(),
        index=config.index,
        items=items,
        adapter=adapter,
        neighbours=table,
        prior=prior_of(sentences, vectors.vocabulary, config.taste),
    )
