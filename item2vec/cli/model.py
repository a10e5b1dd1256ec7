"""Commands around a model: train, similar, recommend, export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import described, show, show_rows
from item2vec.cli.parameters import Source, settings, source_with_walks
from item2vec.cli.settings import place
from item2vec.config import Config
from item2vec.items import Items

__all__ = ["export", "recommend", "similar", "train"]


@source_with_walks
@settings
def train(
    *,
    source: Source,
    items: options.ItemsFile = None,
    config: Config,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A bundle or models folder whose vectors to go on from, with fewer --epochs.",
        ),
    ] = None,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a model and publish it: from a file of playlists, from a graph, or from the store's histories.

    Example: item2vec train --playlists sample_data/playlists.jsonl --items sample_data/items.csv
    """
    from item2vec import fit, load, publish
    from item2vec.cli.reading import read_sentences, read_titles

    sentences, known, adapter = read_sentences(source, seed=config.train.seed)
    begin = None if start is None else load(start).vectors
    started = time.monotonic()
    titles = read_titles(items) if items else known
    model = fit(sentences, config, items=titles, start=begin, adapter=adapter)
    version = publish(model, place("models", models))
    facts = {
        "version": version.id,
        "path": str(version.path),
        "sentences": len(sentences),
        "tokens": len(sentences.tokens),
        "items": len(model.vectors),
        "seconds": round(time.monotonic() - started, 1),
    }
    show(facts, as_json=as_json)


def similar(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item id.")],
    k: options.K = 10,
    where: options.Where = None,
    items: options.ItemsFile = None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the items nearest to one, by the cosine of their vectors.

    Example: item2vec similar blue-harbour -k 5
    """
    from item2vec import Engine, load

    if where:
        conditions = options.pairs(where)
        with Engine(models=place("models", models), store=place("store", store)) as engine:
            model = engine.model
            found = engine.similar_items(item, k=k, where=conditions)
    else:
        model = load(place("models", models))
        found = model.similar_items(item, k=k)
    show_rows(described(found, _titles(items, model.items)), as_json=as_json)


def recommend(
    history: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="A history, oldest first.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="A user whose history is in the store.")] = None,
    k: options.K = 10,
    where: options.Where = None,
    deny: Annotated[list[str] | None, typer.Option(metavar="ITEM", help="Never this item.")] = None,
    items: options.ItemsFile = None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend for a history given as item ids, or for a user of the store.

    Example: item2vec recommend --user u42 --where genre=jazz
    """
    from item2vec import Engine, load
    from item2vec.errors import ConfigError

    if (user is None) == (not history):
        raise ConfigError("expected either item ids or --user; try: item2vec recommend --help")
    if user is None and not where:
        model = load(place("models", models))
        found = model.recommend(history or [], k=k, deny=deny or [])
    else:
        conditions = options.pairs(where or [])
        with Engine(models=place("models", models), store=place("store", store)) as engine:
            model = engine.model
            found = engine.recommend(user, history=history or None, k=k, where=conditions, deny=deny or [])
    show_rows(described(found, _titles(items, model.items), with_source=True), as_json=as_json)


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write; an existing file is replaced.")
    ],
    binary: Annotated[bool, typer.Option(help="word2vec's binary format instead of text.")] = False,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the item vectors in word2vec's format, which gensim and many other tools read.

    Example: item2vec export vectors.txt
    """
    from item2vec import load

    vectors = load(place("models", models)).vectors
    vectors.save_word2vec(file, binary=binary)
    show({"file": str(file), "items": len(vectors), "dimensions": vectors.input.shape[1]}, as_json=as_json)


def _titles(file: Path | None, of_model: Items | None) -> Items | None:
    from item2vec.cli.reading import read_titles

    return of_model if file is None else read_titles(file)
