"""The commands ``recommend`` and ``similar``, which query the served model."""

from __future__ import annotations

from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import described, show_rows
from item2vec.cli.parameters import ItemsFile, items_file_with_encoding
from item2vec.cli.settings import location
from item2vec.errors import ConfigError
from item2vec.items import Items

__all__ = ["recommend", "similar"]


@items_file_with_encoding
def recommend(
    *,
    history: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="Item ids of a history, oldest first.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Id of a user whose history is in the store.")] = None,
    k: options.K = 10,
    where: options.Where = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="ITEM", help="Id of an item to exclude; may be repeated.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Record the answer in the store, as shown.")] = False,
    exclude_shown: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Exclude items shown in this time, such as 7d.")
    ] = None,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend items for a user of the store, or for a history.

    With item ids and without --where, the store is not read, so inactive items may be recommended. Titles
    are read from the file --items if it is given, otherwise from the model, which stores the titles known at
    training time.

    Example: item2vec recommend --user u42 --where genre=jazz --where 'year>=1990'
    """
    from item2vec import Engine, load
    from item2vec.conditions import Expression, condition_of

    if (user is None) == (not history):
        got = "neither item ids nor --user" if user is None else "both item ids and --user"
        raise ConfigError(f"got {got}; expected one of them: see item2vec recommend --help")
    if user is None and (log or exclude_shown is not None):
        raise ConfigError("--log and --exclude-shown require --user; got item ids")
    denied = deny or []
    expressions = [Expression.of(condition) for condition in where or []]
    if user is None and not where:
        # No events and no attributes are needed, so the store is not opened.
        model = load(location("models", models))
        recommendations = model.recommend(history or [], k=k, deny=denied)
    else:
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            view = engine.view()
            model = view.model
            recommendations = view.recommend(
                user,
                history=history or None,
                k=k,
                log=log,
                exclude_shown=exclude_shown,
                where=condition_of(expressions, view.catalogue.items),
                deny=denied,
            )
    rows = described(recommendations, _titles(items, model.items), with_source=True, as_json=as_json)
    show_rows(rows, as_json=as_json)


@items_file_with_encoding
def similar(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Item id.")],
    k: options.K = 10,
    where: options.Where = None,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items most similar to an item, by cosine similarity.

    Without --where, the store is not read, so inactive items may be listed. Titles are read from the file
    --items if it is given, otherwise from the model, which stores the titles known at training time.

    Example: item2vec similar blue-harbour -k 5
    """
    from item2vec import Engine, load
    from item2vec.conditions import Expression, condition_of

    if where:
        expressions = [Expression.of(condition) for condition in where]
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            model = engine.model
            condition = condition_of(expressions, engine.catalogue.items)
            neighbours = engine.similar_items(item, k=k, where=condition)
    else:
        model = load(location("models", models))
        neighbours = model.similar_items(item, k=k)
    show_rows(described(neighbours, _titles(items, model.items), as_json=as_json), as_json=as_json)


def _titles(file: ItemsFile | None, model_items: Items | None) -> Items | None:
    """Return the items read from ``file``, or ``model_items`` if ``file`` is ``None``."""
    from item2vec.cli.titles import read_titles

    return model_items if file is None else read_titles(file)
