"""The tree of commands: the function that carries out each command, and the groups of commands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import typer

import item2vec
from item2vec.cli import (
    data,
    demo,
    evaluate,
    explore,
    map,  # noqa: A004
    models,
    prepare,
    recommend,
    retrain,
    runs,
    serve,
    train,
    tune,
    walks,
)
from item2vec.cli.remedies import Command, Group

__all__ = ["app", "environment_names", "root", "tree"]

app = typer.Typer(
    name="item2vec",
    cls=Group,
    help="A recommender engine for sequences: playlists, click sessions and walks over graphs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("playground")(explore.playground)
app.command("ingest")(data.ingest)
app.command("prepare")(prepare.prepare)
app.command("walks")(walks.walks)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("tune")(tune.tune)
app.command("retrain")(retrain.retrain)
app.command("similar")(recommend.similar)
app.command("analogy")(recommend.analogy)
app.command("recommend")(recommend.recommend)
app.command("map")(map.draw_map)
app.command("serve")(serve.serve)
app.command("explore")(explore.explore)
app.command("export")(train.export)
app.add_typer(models.models, name="models")
app.add_typer(runs.runs, name="runs")
app.add_typer(data.db, name="db")
for group in (app, models.models, runs.runs, data.db):
    for registered in group.registered_commands:
        registered.cls = Command


@cache
def root() -> Any:
    """Return the root command. It is cached, because typer needs 35 ms to build it."""
    return typer.main.get_command(app)


def tree(words: str = "item2vec", command: Any = None) -> Iterator[tuple[str, Any]]:
    """Yield a pair for each group and command: its full name, and the command object.

    An example of a full name is ``item2vec models list``. A group precedes its commands. ``command`` is the
    group to start from, by default the root, and ``words`` is the full name of this group.

    >>> [words for words, _ in tree()][:2]
    ['item2vec', 'item2vec demo']
    """
    command = root() if command is None else command
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from tree(f"{words} {name}", child)


def environment_names() -> set[str]:
    """Return the names of the environment variables that set options of the commands."""
    parameters = (parameter for _, command in tree() for parameter in command.params)
    return {parameter.envvar for parameter in parameters if isinstance(parameter.envvar, str)}


def _print_version(is_set: bool) -> None:
    if is_set:
        typer.echo(item2vec.__version__)
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A recommender engine for sequences: playlists, click sessions and walks over graphs.

    Flags override ITEM2VEC_* variables, which override item2vec.toml in the current folder.
    """
