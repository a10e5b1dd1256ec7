"""The commands ``explore`` and ``playground``, which start the explorer on a models folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.demo import publish_sample
from item2vec.cli.output import echo
from item2vec.cli.serve import start
from item2vec.cli.settings import location
from item2vec.files import refusing_unreadable

__all__ = ["explore", "playground"]

Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 chooses a free port.")]


def explore(*, port: Port = 8000, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Start the explorer on a models folder, without a store.

    The page shows recommendations for a history, similar items, analogies, a map of the catalogue, and the
    versions. Titles and attributes are read from the model.

    Example: item2vec explore --models models
    """
    start(models=location("models", models), store=None, port=port, as_json=as_json)


def playground(
    *,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the store and the models; created if missing.")
    ] = Path("item2vec-playground"),
    port: Port = 8000,
    as_json: options.AsJson = False,
) -> None:
    """Train a model on the sample data, and explore the model.

    If the folder already contains a published model, for example of an earlier playground, that model is
    served without training.

    Example: item2vec playground
    """
    models, store = folder / "models", f"sqlite:///{folder}/item2vec.db"
    with refusing_unreadable():
        is_published = (models / "CURRENT").exists()
    if not is_published:
        publish_sample(folder, (lambda _: None) if as_json else echo)
    start(models=str(models), store=store, port=port, as_json=as_json)
