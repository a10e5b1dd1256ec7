"""Training: sentences become item vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import ConfigError, InputTypeError
from item2vec.sentences import Sentences
from item2vec.training.corpus import prepare
from item2vec.training.validation import Validation
from item2vec.vectors import ItemVectors

__all__ = ["AfterEpoch", "train"]

AfterEpoch = Callable[[int, ItemVectors], None]


def train(
    sentences: Sentences,
    *,
    config: TrainConfig | None = None,
    validation: Sentences | None = None,
    taste: TasteConfig | None = None,
    after_epoch: AfterEpoch | None = None,
    **settings: Any,
) -> ItemVectors:
    """Learn an input and an output vector for each item.

    Parameters
    ----------
    sentences
        What to learn from. Read once for each epoch; unordered sentences are shuffled anew each time.
    config
        Settings as one value; ``settings`` (fields of ``TrainConfig``, such as ``vector_size=64``) change it.
    validation
        Sentences whose last item is to be predicted from the items before it. If given, HR@10 and NDCG@10
        over all items are measured after each epoch and kept in ``.curve``; with ``patience`` set, training
        stops when NDCG no longer rises, and the vectors of the best epoch are returned.
    taste
        How validation reads a history; the default is ``TasteConfig()``.
    after_epoch
        Called with the number of epochs done and the vectors as they are then. What it raises ends training,
        and is raised by ``train``.

    Returns
    -------
    ItemVectors
        One row for each item that occurs ``min_count`` times and beside another token, most frequent first.
        An item that subsampling skipped in every epoch has learned nothing, and is left out.
        With ``workers=1``, the same sentences and settings give the same bytes in every process.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range; nothing was done yet.
    NothingToTrainError
        If no sentence has two items left to learn from.
    TrainingError
        If tokens were lost on the way, or the vectors are not finite, or none of them moved.

    Examples
    --------
    >>> from item2vec import adapters
    >>> playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"], ["d", "a"]])
    >>> train(playlists, vector_size=8, window=2, epochs=5, sample=0, seed=7)
    ItemVectors(4 items × 8 dimensions, input and output)
    """
    config = (config or TrainConfig()).replace(**settings)
    if config.patience is not None and validation is None:
        raise ConfigError("patience needs validation= sentences to measure against")
    taste = Config(train=config, taste=taste or TasteConfig()).taste
    if not isinstance(sentences, Sentences):
        raise InputTypeError(
            f"train reads Sentences, found {type(sentences).__name__}; make them with item2vec.adapters"
        )
    corpus = prepare(sentences, config)
    judge = None if validation is None else Validation(validation, taste)

    from item2vec.training.gensim_trainer import train_gensim

    return train_gensim(corpus, config, judge, after_epoch)
