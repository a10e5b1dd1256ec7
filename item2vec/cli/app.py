"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

import item2vec
from item2vec.cli import data, demo, evaluate, model, models, retrain, tune

__all__ = ["app", "environment_names"]

app = typer.Typer(
    name="item2vec",
    help="A recommender engine for sequences: playlists, click sessions and walks over graphs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("ingest")(data.ingest)
app.command("train")(model.train)
app.command("evaluate")(evaluate.evaluate)
app.command("tune")(tune.tune)
app.command("retrain")(retrain.retrain)
app.command("similar")(model.similar)
app.command("recommend")(model.recommend)
app.command("export")(model.export)
app.add_typer(models.models, name="models")
app.add_typer(data.db, name="db")


def environment_names() -> set[str]:
    """Return the names of the environment variables that some command reads."""
    names = set()
    commands = [typer.main.get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        names |= {parameter.envvar for parameter in command.params if isinstance(parameter.envvar, str)}
    return names


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(item2vec.__version__)
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A recommender engine for sequences: playlists, click sessions and walks over graphs.

    Settings come from flags, then ITEM2VEC_* variables, then item2vec.toml in this folder.
    """
