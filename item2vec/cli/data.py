"""The command ``ingest`` and the command group ``db``, which write to the SQL store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show
from item2vec.cli.parameters import ItemsFile, items_file
from item2vec.cli.settings import location
from item2vec.errors import ConfigError, InputError
from item2vec.items import Items

__all__ = ["db", "ingest"]

DEFAULT_TIMESTAMP = "timestamp"

db = typer.Typer(help="Create, migrate and copy the SQL store.", no_args_is_help=True, rich_markup_mode=None)


@items_file
def ingest(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="CSV, TSV, JSON lines, Parquet or Arrow files, also compressed; folders of them; patterns.",
        ),
    ],
    user: options.As.User = "user_id",
    item: options.As.Item = "item_id",
    timestamp: options.As.Timestamp = DEFAULT_TIMESTAMP,
    weight: options.As.Weight = None,
    event: options.As.Event = None,
    session: options.As.Session = None,
    columns: options.As.Columns = None,
    sep: options.As.Sep = None,
    encoding: options.As.Encoding = "utf-8",
    time_unit: options.As.TimeUnit = None,
    time_format: options.As.TimeFormat = None,
    no_timestamps: options.As.NoTimestamps = False,
    repeats: options.As.Repeats = None,
    no_quotes: options.As.NoQuotes = False,
    skip_bad_rows: options.As.SkipBad = False,
    max_bad: options.As.MaxBad = 0.05,
    max_line: options.As.MaxLine = "16MB",
    items: ItemsFile | None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Add interactions from files to the SQL store.

    An interaction that is already in the store is counted as a duplicate and not added again. Events of a
    user with equal timestamps keep the order of the file. Rows that repeat an earlier row of the same file
    are counted as repeats. --columns and --sep describe FILE; --encoding, --no-quotes and --max-line describe
    FILE and --items. An attribute of --items is a number, a boolean (true/false), or a list (--list-sep) if
    all its values are; otherwise it is text. The types are printed.

    Example: item2vec ingest sample_data/listens.csv.gz --items sample_data/items.csv
    """
    from item2vec.cli.titles import read_titles
    from item2vec.readers import read_interactions
    from item2vec.store import Store

    if no_timestamps and timestamp != DEFAULT_TIMESTAMP:
        raise ConfigError(f"got --no-timestamps and --timestamp {timestamp}; expected one of them")
    if repeats not in {None, "keep", "merge"}:
        raise ConfigError(f"--repeats is {repeats!r}; expected keep or merge")
    with Store(location("store", store)) as opened:
        opened.ensure_schema(create=True)
        text: dict[str, Any] = {
            "encoding": encoding,
            "quotes": not no_quotes,
            "max_line": options.size(max_line),
        }
        titles = None if items is None else read_titles(items, item=item, sep=sep, **text)
        n_rows = n_new = n_duplicate = n_repeats = 0
        for file in files:
            interactions = read_interactions(
                file,
                user=user,
                item=item,
                timestamp=None if no_timestamps else timestamp,
                weight=weight,
                event=event,
                session=session,
                columns=columns.split(",") if columns else None,
                sep=sep,
                time_unit=time_unit,
                time_format=time_format,
                on_error="skip" if skip_bad_rows else "raise",
                max_bad=max_bad,
                **text,
            )
            ingested = opened.ingest(interactions, repeats=repeats)  # type: ignore[arg-type]  # checked above
            n_rows, n_new = n_rows + ingested.n_rows, n_new + ingested.n_new
            n_duplicate += ingested.n_duplicate
            n_repeats += ingested.n_repeats
        if not n_rows:
            raise InputError(f"{', '.join(map(str, files))}: no row below the header; expected interactions")
        if titles is not None:
            opened.ingest_items(titles)
        counts = {"rows": n_rows, "new": n_new, "duplicate": n_duplicate, "repeats": n_repeats}
        facts = {**counts, **opened.summary()}
        if titles is not None:
            facts["attributes"] = _attributes(titles)
    show(facts, as_json=as_json)


def _attributes(items: Items) -> list[dict[str, Any]]:
    """Return the type of each attribute, its number of items with a value, and of distinct values."""
    columns = {name: items.column(name) for name in items.attribute_names}
    return [
        {
            "attribute": name,
            "type": column.type,
            "items": column.n_rows_with_values,
            "distinct": column.n_distinct,
        }
        for name, column in columns.items()
    ]


@db.command()
def upgrade(store: options.Store = None, as_json: options.AsJson = False) -> None:
    """Create the store, or migrate its schema to the newest revision.

    Example: item2vec db upgrade --store sqlite:///item2vec.db
    """
    from item2vec.store import Store

    with Store(location("store", store)) as opened:
        before = opened.current()
        show({"before": before or "empty", "revision": opened.upgrade()}, as_json=as_json)


@db.command()
def current(store: options.Store = None, as_json: options.AsJson = False) -> None:
    """Show the store's schema revision and the required revision.

    Example: item2vec db current
    """
    from item2vec.store import Store

    with Store(location("store", store)) as opened:
        show({"revision": opened.current() or "empty", "needed": opened.head}, as_json=as_json)


@db.command()
def copy(
    to: Annotated[str, typer.Argument(metavar="TO-URL", help="URL of an empty database.")],
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Copy the store into an empty database.

    Each of the two databases may be SQLite or PostgreSQL. The copy is committed only if the row count and
    the content hash of each table equal those of the original.

    Example: item2vec db copy sqlite:///copy.db
    """
    from item2vec.store import Store

    with Store(location("store", store)) as opened, Store(to) as target:
        show(opened.copy_to(target), as_json=as_json)
