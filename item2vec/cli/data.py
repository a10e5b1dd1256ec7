"""Commands around the SQL store: ingest, db."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.output import show
from item2vec.cli.settings import place

__all__ = ["db", "ingest"]

db = typer.Typer(help="Make, inspect and copy the SQL store.", no_args_is_help=True, rich_markup_mode=None)


def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV, TSV, JSON lines or Parquet.")],
    user: options.As.User = "user_id",
    item: options.As.Item = "item_id",
    timestamp: options.As.Timestamp = "timestamp",
    weight: options.As.Weight = None,
    event: options.As.Event = None,
    session: options.As.Session = None,
    columns: options.As.Columns = None,
    sep: options.As.Sep = None,
    encoding: options.As.Encoding = "utf-8",
    skip_bad_rows: options.As.SkipBad = False,
    items: options.ItemsFile = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Read interactions from files into the SQL store; rows that are there already change nothing.

    Example: item2vec ingest sample_data/listens.csv.gz --items sample_data/items.csv
    """
    from item2vec.cli.reading import read_titles
    from item2vec.readers import read_interactions
    from item2vec.store import Store

    with Store(place("store", store)) as opened:
        opened.ensure_schema(create=True)
        titles = None if items is None else read_titles(items)
        n_rows = n_new = 0
        for file in files:
            interactions = read_interactions(
                file,
                user=user,
                item=item,
                timestamp=timestamp,
                weight=weight,
                event=event,
                session=session,
                columns=columns.split(",") if columns else None,
                sep=sep,
                encoding=encoding,
                on_error="skip" if skip_bad_rows else "raise",
            )
            ingested = opened.ingest(interactions)
            n_rows, n_new = n_rows + ingested.n_rows, n_new + ingested.n_new
        if titles is not None:
            opened.ingest_items(titles)
        facts = {"rows": n_rows, "new": n_new, "duplicate": n_rows - n_new, **opened.summary()}
    show(facts, as_json=as_json)


@db.command()
def upgrade(store: options.Store = None, as_json: options.AsJson = False) -> None:
    """Bring the store's schema to this package's revision; a new store is made.

    Example: item2vec db upgrade --store sqlite:///item2vec.db
    """
    from item2vec.store import Store

    with Store(place("store", store)) as opened:
        before = opened.current()
        show({"before": before or "empty", "revision": opened.upgrade()}, as_json=as_json)


@db.command()
def current(store: options.Store = None, as_json: options.AsJson = False) -> None:
    """Show the store's schema revision, and the one that this package needs.

    Example: item2vec db current
    """
    from item2vec.store import Store

    with Store(place("store", store)) as opened:
        show({"revision": opened.current() or "empty", "needed": opened.head}, as_json=as_json)


@db.command()
def copy(
    to: Annotated[str, typer.Argument(metavar="TO-URL", help="The empty database to copy into.")],
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Copy the whole store into an empty database, of the same or the other kind, and compare the two.

    Example: item2vec db copy sqlite:///copy.db
    """
    from item2vec.store import Store

    with Store(place("store", store)) as opened, Store(to) as target:
        show(opened.copy_to(target), as_json=as_json)
