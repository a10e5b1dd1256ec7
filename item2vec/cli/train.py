"""The commands ``train``, which publishes a model, and ``export``, which writes its vectors to a file."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import show
from item2vec.cli.padded import log_padded_ids
from item2vec.cli.parameters import ItemsFile, items_file, settings
from item2vec.cli.settings import computes_layout, location
from item2vec.cli.sources import Source, source_with_walks
from item2vec.config import Config

if TYPE_CHECKING:
    from item2vec.vectors import ItemVectors

__all__ = ["export", "train"]


@source_with_walks
@settings
@items_file
def train(
    *,
    source: Source,
    items: ItemsFile | None,
    config: Config,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Warm start: initialise training with the vectors of a bundle, a models folder, or a file "
            "or folder of vectors, usually with fewer --epochs.",
        ),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Freeze the vectors of --start; train only the other items.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Checkpoint folder: the state of the training is written after each shard of --corpus, or "
            "after each epoch of other input. After an interruption, the same command on the same input "
            "resumes the training. Remove the folder after the training. Unavailable for lsa, transitions, "
            "linkprop and ease.",
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of processes that train next_item. Each process trains its own shards of --corpus "
            "with an equal share of --workers. More than one requires next_item without --checkpoint, "
            "--freeze and --attributes.",
        ),
    ] = 1,
    layout: options.Layout = None,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a model and publish it.

    The sentences are playlists from a file, random walks over a graph, a corpus written by the command
    prepare or walks, or the histories in the store. During a hold, from "item2vec models rollback" until
    "item2vec models release", the command ends before training, with exit code 3.

    Example: item2vec train --playlists sample_data/playlists.jsonl --items sample_data/items.csv
    """
    from item2vec import fit, publish
    from item2vec.cli.reading import read_sentences
    from item2vec.cli.titles import read_titles_beside
    from item2vec.files import check_locks
    from item2vec.versions.rollbacks import check_no_hold

    folder = location("models", models)
    has_layout = computes_layout(layout)
    # Locks and the hold are checked before the training: publish would fail without locks, or during a hold.
    check_locks()
    check_no_hold(folder)
    titles, source = read_titles_beside(items, source)
    sentences, stored_items, adapter = read_sentences(source, seed=config.train.seed, now=datetime.now(UTC))
    start_vectors = None if start is None else _vectors_of(start)
    started = time.monotonic()
    titles = stored_items if titles is None else titles
    log_padded_ids("item", chain(sentences.vocabulary, () if titles is None else titles.vocabulary))
    model = fit(
        sentences,
        config,
        items=titles,
        start=start_vectors,
        freeze=freeze,
        adapter=adapter,
        checkpoint=checkpoint,
        processes=processes,
    )
    version = publish(model, folder, during_hold=False, layout=has_layout)
    facts = {
        "version": version.id,
        "path": str(version.path),
        "sentences": len(sentences),
        "tokens": sentences.n_tokens,
        "items": len(model.vectors),
        "seconds": round(time.monotonic() - started, 1),
    }
    show(facts, as_json=as_json)


def _vectors_of(path: Path) -> ItemVectors:
    from item2vec import ItemVectors, load
    from item2vec.vector_folders import is_folder_of_vectors

    is_model = not is_folder_of_vectors(path) and path.is_dir()
    return load(path).vectors if is_model or not path.exists() else ItemVectors.load(path)


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; an existing file is replaced.")
    ],
    binary: Annotated[
        bool, typer.Option(help="Use the binary format of word2vec instead of the text format.")
    ] = False,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the item vectors to a file in word2vec format.

    The number of training tokens of each item is written to FILE.vocab. Both files can be read by gensim
    (fvocab=) and other tools. The vectors are compressed if the suffix of FILE is .gz. An id with white space
    is percent-encoded, with the prefix %:, such as %:new%20order.

    Example: item2vec export vectors.txt
    """
    from item2vec import load

    vectors = load(location("models", models)).vectors
    vectors.save_word2vec(file, binary=binary)
    facts = {
        "file": str(file),
        "counts": f"{file}.vocab",
        "items": len(vectors),
        "dimensions": vectors.input.shape[1],
    }
    show(facts, as_json=as_json)
