"""The commands ``recommend`` and ``similar``, which query the served model."""

from __future__ import annotations

from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import described, show_rows
from item2vec.cli.parameters import ItemsFile, items_file_with_encoding
from item2vec.cli.rules import RuleOptions, rule_options
from item2vec.cli.settings import location
from item2vec.errors import ConfigError
from item2vec.items import Items

__all__ = ["recommend", "similar"]


@rule_options
@items_file_with_encoding
def recommend(
    *,
    history: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="Item ids of a history, oldest first.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Id of a user whose history is in the store.")] = None,
    k: options.K = 10,
    rules: RuleOptions,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend items for a user of the store, or for a history.

    With item ids and without --where and --at-most, the store is not read, so inactive items may be
    recommended. Titles are read from the file --items if it is given, otherwise from the model, which stores
    the titles known at training time.

    Example: item2vec recommend --user u42 --where genre=jazz --where 'year>=1990'
    """
    from item2vec import Engine, load

    if (user is None) == (not history):
        got = "neither item ids nor --user" if user is None else "both item ids and --user"
        raise ConfigError(f"got {got}; expected one of them: see item2vec recommend --help")
    if user is None and not rules.read_attributes:
        # No events and no attributes are needed, so the store is not opened.
        model = load(location("models", models))
        recommendations = model.recommend(history or [], k=k, **rules.arguments())
    else:
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            model = engine.model
            recommendations = engine.recommend(
                user, history=history or None, k=k, **rules.arguments(engine.items)
            )
    rows = described(recommendations, _titles(items, model.items), with_source=True, as_json=as_json)
    show_rows(rows, as_json=as_json)


@rule_options
@items_file_with_encoding
def similar(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Item id.")],
    k: options.K = 10,
    rules: RuleOptions,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items most similar to an item, by cosine similarity.

    Without --where and --at-most, the store is not read, so inactive items may be listed. Titles are read
    from the file --items if it is given, otherwise from the model, which stores the titles known at training
    time.

    Example: item2vec similar blue-harbour -k 5
    """
    from item2vec import Engine, load

    if rules.read_attributes:
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            model = engine.model
            neighbours = engine.similar_items(item, k=k, **rules.arguments(engine.items))
    else:
        model = load(location("models", models))
        neighbours = model.similar_items(item, k=k, **rules.arguments())
    show_rows(described(neighbours, _titles(items, model.items), as_json=as_json), as_json=as_json)


def _titles(file: ItemsFile | None, model_items: Items | None) -> Items | None:
    """Return the items read from ``file``, or ``model_items`` if ``file`` is ``None``."""
    from item2vec.cli.titles import read_titles

    return model_items if file is None else read_titles(file)
