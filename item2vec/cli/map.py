"""The command ``map``, which draws the items of a model on a plane."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import show
from item2vec.cli.remedies import is_given
from item2vec.cli.settings import location
from item2vec.errors import ConfigError, InputError

__all__ = ["draw_map"]

KINDS = (".html", ".svg", ".png")


def draw_map(
    context: typer.Context,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="File to write; its suffix is .html (interactive), .svg or .png."
        ),
    ],
    color: Annotated[
        str | None, typer.Option("--color", metavar="NAME", help="Attribute that determines the colours.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Draw only items whose attribute in the model meets a condition, such as genre=jazz or "
            "'year>=1990'; may be repeated, as in recommend.",
        ),
    ] = None,
    method: Annotated[str, typer.Option(metavar="tsne|umap|pca", help="Method of the layout.")] = "tsne",
    layout_seed: Annotated[int, typer.Option(help="Seed of the layout.")] = 1,
    models: options.Models = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="DIR", help="Bundle to draw instead of the served version in --models."
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw a map of the items, in which similar items are close.

    Titles and attributes are read from the model. The layout that is stored in the model is drawn, if there
    is one. With --where, or with another --method or --layout-seed than the default, a new layout is
    computed.

    Example: item2vec map --out map.html --color genre
    """
    from item2vec import load
    from item2vec.conditions import Expression, condition_of
    from item2vec.items import Items
    from item2vec.mapping import map_items
    from item2vec.mapping.figure import page_of
    from item2vec.mapping.picture import picture_of
    from item2vec.mapping.positions import used_method
    from item2vec.outputs import output

    kind = out.suffix.lower()
    if kind not in KINDS:
        raise ConfigError(f"--out is {str(out)!r}; expected a name that ends in {', '.join(KINDS)}")
    if model is not None and is_given(context, "models"):
        raise ConfigError("got both --model and --models; expected one of them")
    loaded = load(model or location("models", models))
    expressions = tuple(map(Expression.of, where or ()))
    conditions = condition_of(expressions, loaded.items or Items.of({})) if expressions else None
    drawn = map_items(loaded, color, where=conditions, method=method, seed=layout_seed)  # type: ignore[arg-type]
    if not len(drawn):
        raise InputError("no selected item has a vector; expected at least one: change --where")
    content = page_of(drawn) if kind == ".html" else picture_of(drawn, "svg" if kind == ".svg" else "png")
    with output(out) as file:
        file.write(content)
    used = used_method(method, len(drawn))  # type: ignore[arg-type]
    facts = {"file": str(out), "items": len(drawn), "color": color, "method": used, "bytes": len(content)}
    show(facts, as_json=as_json)
