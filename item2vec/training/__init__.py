"""Training of item vectors on sentences: ``train`` checks the arguments and runs the objective's trainer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Unpack

from item2vec.arguments import checked_except
from item2vec.arrays import Mask
from item2vec.config import (
    CBOW,
    LSA,
    Config,
    GloVe,
    NextItem,
    SkipGram,
    TasteConfig,
    TrainConfig,
    TrainSettings,
)
from item2vec.config.relatives import OneStep
from item2vec.config.tables import TableConfig
from item2vec.errors import ConfigError, InputTypeError, MissingExtraError, Remedy
from item2vec.items import Items
from item2vec.neighbours import NeighbourTable, table_for
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.training.attributes import ItemAttributes
from item2vec.training.averaging import check_processes
from item2vec.training.checkpoint import Checkpoint, identity_of
from item2vec.training.corpus import Corpus, prepare
from item2vec.training.epochs import AfterEpoch, run_epochs
from item2vec.training.tables import factorised, table_of
from item2vec.training.trainer import Trainer
from item2vec.training.validation import Validation
from item2vec.training.warm_start import Frozen, check_freeze, check_start, initialise
from item2vec.vectors import ItemVectors

__all__ = ["AfterEpoch", "train", "train_with_table"]


@checked_except("sentences", "start")
def train(
    sentences: Sentences | ShardedSentences,
    *,
    items: Items | None = None,
    config: TrainConfig | None = None,
    validation: Sentences | None = None,
    taste: TasteConfig | None = None,
    start: ItemVectors | None = None,
    freeze: bool = False,
    after_epoch: AfterEpoch | None = None,
    checkpoint: str | PathLike[str] | None = None,
    processes: int = 1,
    **settings: Unpack[TrainSettings],
) -> ItemVectors:
    """Learn an input and an output vector for each item.

    Parameters
    ----------
    sentences
        The training data. Tokens of weight 0 or less are not trained. In each epoch, the tokens of an
        unordered sentence are shuffled, and a token below the median weight of the trained tokens is read
        with the probability weight / median. LSA and GloVe shuffle once, and multiply counts by these
        probabilities. Tables of neighbours (transitions, linkprop, ease) leave out tokens of negative weight,
        and ignore all other weights.
        If the sentences are ``ShardedSentences``, one shard at a time is in memory. The order of the shards
        is drawn for each epoch, and the learning rate falls over all shards of all epochs. With
        ``workers=1``, a corpus of one shard gives the same bytes as the same sentences in memory. LSA and
        GloVe count pairs shard by shard, and keep the matrix of counts in memory. For a table of neighbours,
        the tokens of all shards are in memory; if there are more than 100 million tokens, the table is
        computed from a sample of the shards with about that many tokens.
    items
        Items with attributes. They are used only if ``attributes`` is set, such as ``attributes=["brand",
        "category"]`` (a setting of next_item). The vectors of an item are then the sums of its own vectors
        and the vectors of its attributes. A new item is outside the training vocabulary, for example because
        no sentence contains the item, or because the item occurs fewer than ``min_count`` times. The vectors
        of a new item are the sums of its attributes' vectors, and the count is 0.
    config
        Settings of training: ``NextItem`` (the default), ``SkipGram``, ``CBOW``, ``LSA``, ``GloVe``, or the
        settings of a table of neighbours (``Transitions``, ``LinkProp``, ``EASE``).
    validation
        Sentences whose last item is predicted from the items before it. After each epoch, HR@10 and NDCG@10
        of rankings of all items except those of the history are stored in ``.curve``, beside the training
        loss. With ``patience``, training stops after that many epochs without a higher NDCG, and the vectors
        of the best epoch are returned. Tokens of negative weight are left out.
    taste
        Settings of tastes in validation; the default is ``TasteConfig()``.
    start
        Initial vectors (warm start), such as the vectors of the previous training run. These vectors need the
        same ``vector_size`` and objective, and for next_item the same number of parts, ``similarity`` and
        ``tied``. Vectors from a file of word2vec, GloVe or gensim need only the same ``vector_size``. Such a
        file has no output vectors, so all output vectors are initialised as in training from scratch.
        Known items, which are the items of ``start``, begin with their vectors in ``start``. Any other item
        begins with the mean vector of the known items within three positions of its occurrences (or within
        ``window``, if ``window`` is smaller), or with a random vector if there are no such items. Items of
        ``start`` that are not in the training data are left out. ``start``
        changes neither the learning rate nor the number of epochs. With half of the epochs, next_item is
        nearly as accurate as after training from scratch; skip-gram gains little (docs/benchmarks/speed.md).
    freeze
        Whether known items keep their vectors of ``start``, bit for bit. These vectors are restored after
        each shard of an epoch. Other items still learn, and so do output vectors that ``start`` lacks.
    after_epoch
        Callback, called after each epoch with the number of completed epochs and the current vectors. If the
        callback raises an exception, training ends, and the exception propagates.
    checkpoint
        Folder to which the complete state is written after each shard of an epoch (after each epoch, if the
        sentences are in memory). If the process is killed, the same call continues from the last state, and
        with ``workers=1`` gives the same bytes as without the interruption. The folder is kept after
        training, so that the same call returns the same vectors at once. Remove the folder when the vectors
        are saved.
    processes
        Number of processes that train next_item. Each process trains different shards, at least one, with an
        equal share of the ``workers``. After each epoch, the vectors of the processes are merged: the row of
        an item in a process is weighted by the number of the item's tokens in the shards of the process. A
        temporary folder (``TMPDIR``) holds the shards and arrays. Not available with other objectives (merged
        vectors of skip-gram are much less accurate, see docs/benchmarks/shards.md), nor with ``checkpoint``,
        ``freeze`` or ``attributes``.
    **settings
        Fields of ``config`` to override, such as ``vector_size=64``.

    Returns
    -------
    ItemVectors
        One row per item that occurs at least ``min_count`` times, and in a sentence of two or more such
        tokens, most frequent first. If ``attributes`` is set, one row per new item of ``items`` follows,
        except new items without a trained attribute. Items whose vectors did not change are left out, such as
        items that subsampling skipped in every epoch, and their number is logged. Items that started from
        ``start`` are kept. With ``workers=1``, the same arguments give the same bytes in every run.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, ``patience`` is set without ``validation``, ``attributes`` is
        set without ``items``, ``start`` was trained with incompatible settings, ``freeze`` is set without
        ``start`` or with ``attributes``, ``checkpoint`` belongs to a run with other arguments (except
        ``workers`` and ``after_epoch``), ``checkpoint`` or ``start`` is set with LSA or a table of
        neighbours, or ``processes`` cannot be combined with a setting. Raised before training begins.
    InputTypeError
        If an argument has the wrong type.
    InputError
        If no item has an attribute of a name in ``attributes``, no sentence of ``validation`` has two items,
        there are fewer shards than ``processes``, a shard has too many tokens for next_item (more than
        2**31 - 1, or half as many in unordered sentences), sentences for transitions are unordered, or more
        than 20,000 items are left for EASE.
    NothingToTrainError
        If fewer than two different items are left in sentences of two or more tokens.
    MissingExtraError
        If ``backend`` is "gensim", and gensim cannot be imported.
    CorruptBundleError
        If the checkpoint or a shard is damaged.
    LockHeldError
        If another training run, in this or another process, uses the same checkpoint.
    WriteError
        If the checkpoint or the temporary folder of ``processes`` cannot be written.
    TrainingError
        If the trainer skipped tokens, a vector is not finite, no vector changed, a process failed, or the
        matrix of LSA or the table of neighbours is empty.

    Examples
    --------
    >>> from item2vec import adapters
    >>> playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"], ["d", "a"]])
    >>> train(playlists, vector_size=8, window=2, epochs=5, seed=7)
    ItemVectors(4 items × 8 dimensions, input and output)
    >>> items = Items.of({"a": {"genre": "jazz"}, "b": {"genre": "soul"}, "new": {"genre": "jazz"}})
    >>> vectors = train(playlists, items=items, attributes=["genre"], vector_size=8, epochs=5, seed=7)
    >>> vectors.counts[vectors.vocabulary.code("new")]
    np.float64(0.0)
    """
    model = Config(train=(config or TrainConfig()).replace(**settings), taste=taste or TasteConfig())
    return train_with_table(
        sentences,
        model,
        items=items,
        validation=validation,
        start=start,
        freeze=freeze,
        after_epoch=after_epoch,
        checkpoint=checkpoint,
        processes=processes,
    )[0]


def train_with_table(
    sentences: Sentences | ShardedSentences,
    model: Config,
    *,
    items: Items | None = None,
    validation: Sentences | None = None,
    start: ItemVectors | None = None,
    freeze: bool = False,
    after_epoch: AfterEpoch | None = None,
    checkpoint: str | PathLike[str] | None = None,
    processes: int = 1,
) -> tuple[ItemVectors, NeighbourTable | None]:
    """Return a pair: the result of ``train``; and the table of neighbours.

    ``model.taste.mixture`` is the weight of the table in scores. The table has a row per item of the vectors,
    and is ``None`` if its weight is 0. The default weight is 1 for the objectives transitions, linkprop and
    ease, and 0 for other objectives.

    >>> model = Config(train=TrainConfig(objective="linkprop", vector_size=8))
    >>> train_with_table(Sentences.of([["a", "b"], ["b", "c"]]), model)[1]
    NeighbourTable(3 items, 4 neighbour weights, decay=1.0)
    """
    config = model.train
    if config.patience is not None and validation is None:
        raise ConfigError(
            f"patience={config.patience} needs validation data",
            remedies=[
                Remedy("validation"),
                Remedy("patience", text="omit patience", otherwise="omit patience"),
            ],
        )
    if checkpoint is not None and isinstance(config, OneStep):
        raise ConfigError(
            f"checkpoint cannot be set with objective={config.objective!r}, which is computed in one step; "
            "omit checkpoint, or set another objective"
        )
    check_processes(processes, config, checkpoint=checkpoint is not None, freeze=freeze)
    if not isinstance(sentences, Sentences | ShardedSentences):
        raise InputTypeError(
            f"sentences is of type {type(sentences).__name__}; expected Sentences or ShardedSentences; build "
            "them with item2vec.adapters"
        )
    config = config.for_data(sentences.n_tokens, ordered=sentences.ordered)
    model.replace(train=config)  # raises an error if the taste does not fit these settings
    if start is not None:
        check_start(start, config)
    check_freeze(start, config, freeze=freeze)
    _check_items(items, config)
    corpus = prepare(sentences, config)
    measured = None if validation is None else Validation(validation, model.taste)

    mixture = model.taste.mixture_for(config)
    if isinstance(config, TableConfig):
        vectors, table = factorised(table_of(sentences, corpus.vocabulary, config), corpus, config)
        return _measured(vectors, measured, after_epoch), table if mixture else None
    if isinstance(config, LSA):
        from item2vec.training.lsa import factorise

        vectors = _measured(factorise(corpus, config), measured, after_epoch)
    else:
        of_each = config.replace(workers=max(1, config.workers // processes))
        trainer = _trainer(corpus, of_each, items)
        warm = None if start is None else initialise(trainer, corpus, config, start)
        frozen = Frozen.of(start, corpus) if freeze and start is not None else None
        saved = None
        if checkpoint is not None:
            identity = identity_of(config, sentences, measured, start, items, freeze=freeze)
            saved = Checkpoint(Path(checkpoint), identity)
        if processes == 1:
            with nullcontext() if saved is None else saved.locked():
                vectors = run_epochs(trainer, corpus, config, measured, after_epoch, warm, frozen, saved)
        else:
            vectors = _averaged(trainer, corpus, of_each, processes, measured, after_epoch, warm)
    return vectors, table_for(sentences, vectors.vocabulary) if mixture else None


def _averaged(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    processes: int,
    validation: Validation | None,
    after_epoch: AfterEpoch | None,
    warm: Mask | None,
) -> ItemVectors:
    """Train in several processes, which merge their arrays after each epoch; return the vectors."""
    from item2vec.training.nodes import averaging

    with averaging(trainer, corpus, config, processes) as (own, exchange):
        return run_epochs(trainer, own, config, validation, after_epoch, warm, exchange=exchange)


def _check_items(items: Items | None, config: TrainConfig) -> None:
    if not isinstance(config, NextItem) or not config.attributes:
        return
    if items is None:
        raise ConfigError(
            f"attributes={list(config.attributes)} needs items with these attributes",
            remedies=[Remedy("items"), Remedy("attributes", text="omit {}", otherwise="omit attributes")],
        )
    for name in config.attributes:
        items.column(name)  # raises an error for an unknown name


def _measured(
    vectors: ItemVectors, validation: Validation | None, after_epoch: AfterEpoch | None
) -> ItemVectors:
    """Call the callback with vectors that were computed in one step; return the vectors.

    With validation data, the curve of the vectors holds the metrics of this step as epoch 1.
    """
    if after_epoch is not None:
        after_epoch(1, vectors)
    return vectors if validation is None else replace(vectors, curve=(validation.measure(vectors, 1),))


def _trainer(corpus: Corpus, config: TrainConfig, items: Items | None) -> Trainer:
    """Return the trainer of an objective and backend; import only the libraries of this trainer."""
    if isinstance(config, NextItem):
        from item2vec.training.next_item import NextItemTrainer

        if items is None or not config.attributes:
            return NextItemTrainer(corpus, config)
        attributes = ItemAttributes.of(items, config.attributes, corpus.vocabulary)
        return NextItemTrainer(corpus, config, attributes)
    if isinstance(config, GloVe):
        from item2vec.training.glove_trainer import GloVeTrainer

        return GloVeTrainer(corpus, config)
    assert isinstance(config, SkipGram | CBOW)
    if config.backend == "numba":
        from item2vec.training.numba_trainer import NumbaTrainer

        return NumbaTrainer(corpus, config)
    try:
        from item2vec.training.gensim_trainer import GensimTrainer
    except ImportError as error:
        raise MissingExtraError(
            f"gensim cannot be imported ({error}), and backend='gensim' requires it; run pip install gensim",
            remedies=[Remedy("backend", "numba")],
        ) from error
    return GensimTrainer(corpus, config)
