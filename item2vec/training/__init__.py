"""Training: sentences become item vectors."""

from __future__ import annotations

from typing import Any

from item2vec.config import CBOW, Config, NextItem, SkipGram, TasteConfig, TrainConfig
from item2vec.errors import ConfigError, InputTypeError
from item2vec.sentences import Sentences
from item2vec.training.corpus import Corpus, prepare
from item2vec.training.epochs import AfterEpoch, Trainer, run_epochs
from item2vec.training.validation import Validation
from item2vec.training.warm_start import begin, check_start
from item2vec.vectors import ItemVectors

__all__ = ["AfterEpoch", "train"]


def train(
    sentences: Sentences,
    *,
    config: TrainConfig | None = None,
    validation: Sentences | None = None,
    taste: TasteConfig | None = None,
    start: ItemVectors | None = None,
    after_epoch: AfterEpoch | None = None,
    **settings: Any,
) -> ItemVectors:
    """Learn an input and an output vector for each item.

    Parameters
    ----------
    sentences
        What to learn from. Read once for each epoch; unordered sentences are shuffled anew each time. A token
        below the median weight is skipped in some epochs: it is read with the probability weight / median.
    config
        Settings as one value; ``settings`` (fields of ``NextItem``, ``SkipGram`` or ``CBOW``, such as
        ``vector_size=64``) change it. Without an ``objective``, next_item is trained.
    validation
        Sentences whose last item is to be predicted from the items before it. If given, HR@10 and NDCG@10
        over all items are measured after each epoch and kept in ``.curve``; with ``patience`` set, training
        stops when NDCG no longer rises, and the vectors of the best epoch are returned.
    taste
        How validation reads a history; the default is ``TasteConfig()``.
    start
        Vectors to go on from, such as yesterday's: of the same ``vector_size`` and objective. Items that they
        know begin there; others at the mean of the known items within three places of them, or else at
        random. Items that are in no sentence are left out. The learning rate and the epochs are those of the
        settings: for next_item half of the epochs come close to training from scratch; skip-gram gains
        little (docs/benchmarks.md).
    after_epoch
        Called with the number of epochs done and the vectors as they are then. What it raises ends training,
        and is raised by ``train``.

    Returns
    -------
    ItemVectors
        One row for each item that occurs ``min_count`` times and beside another token, most frequent first.
        An item that subsampling skipped in every epoch has learned nothing, and is left out, unless ``start``
        says something of it.
        With ``workers=1``, the same sentences and settings give the same bytes in every process.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, or ``start`` was trained with other ones that a vector's
        meaning depends on; nothing was done yet.
    NothingToTrainError
        If no sentence has two items left to learn from.
    TrainingError
        If tokens were lost on the way, or the vectors are not finite, or none of them moved.

    Examples
    --------
    >>> from item2vec import adapters
    >>> playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"], ["d", "a"]])
    >>> train(playlists, vector_size=8, window=2, epochs=5, seed=7)
    ItemVectors(4 items × 8 dimensions, input and output)
    """
    whole = Config(train=(config or TrainConfig()).replace(**settings), taste=taste or TasteConfig())
    chosen = whole.train
    if chosen.patience is not None and validation is None:
        raise ConfigError("patience needs validation= sentences to measure against")
    if not isinstance(sentences, Sentences):
        raise InputTypeError(
            f"train reads Sentences, found {type(sentences).__name__}; make them with item2vec.adapters"
        )
    if not sentences.ordered:
        chosen = chosen.without_order()
    if start is not None:
        check_start(start, chosen)
    corpus = prepare(sentences, chosen)
    judge = None if validation is None else Validation(validation, whole.taste)

    trainer = _trainer(corpus, chosen)
    begun = None if start is None else begin(trainer, corpus, chosen, start)
    return run_epochs(trainer, corpus, chosen, judge, after_epoch, begun)


def _trainer(corpus: Corpus, config: TrainConfig) -> Trainer:
    """Return the trainer that the settings name; only its own libraries are loaded."""
    if isinstance(config, NextItem):
        from item2vec.training.next_item import NextItemTrainer

        return NextItemTrainer(corpus, config)
    assert isinstance(config, SkipGram | CBOW)
    if config.backend == "numba":
        from item2vec.training.numba_trainer import NumbaTrainer

        return NumbaTrainer(corpus, config)
    from item2vec.training.gensim_trainer import GensimTrainer

    return GensimTrainer(corpus, config)
