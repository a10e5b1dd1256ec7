"""The command ``ingest``, which adds data to the SQL store, and the group ``db``, which manages the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.interactions import interactions_format
from item2vec.cli.output import show
from item2vec.cli.padded import log_padded_ids
from item2vec.cli.parameters import ItemsFile, items_file
from item2vec.cli.settings import location
from item2vec.config import IngestConfig
from item2vec.errors import ConfigError, InputError, Item2VecError
from item2vec.items import Items

if TYPE_CHECKING:
    from item2vec.interactions import Interactions

__all__ = ["columns_of", "db", "ingest"]

db = typer.Typer(help="Create, migrate and copy the SQL store.", no_args_is_help=True, rich_markup_mode=None)


@items_file
@interactions_format
def ingest(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE…]",
            help="CSV, TSV, JSON lines, Parquet or Arrow files, folders of such files, or patterns of paths. "
            "Text files may be compressed.",
        ),
    ] = None,
    from_sql: Annotated[
        str | None,
        typer.Option(
            "--from-sql",
            metavar="URL",
            help="SQLite or PostgreSQL database to read instead of files; requires --query or --table.",
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="SQL", help="SELECT statement that returns the interactions."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="NAME", help="Table or view that contains the interactions."),
    ] = None,
    read: IngestConfig,
    items: ItemsFile | None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Add interactions and items to the store.

    Ingestion is idempotent: an interaction that is already in the store is skipped, and counted as a
    duplicate. Events of a user with equal timestamps keep the order of the rows. Rows with the user, item,
    event and timestamp of an earlier row of the same file are counted as repeats (see --repeats).

    --items without FILE adds only items. An update of known items changes only the attributes in the file.
    Without --items-id, the id column is that of --item, if --items has it.

    --columns and --sep describe FILE; --encoding, --no-quotes and --max-line describe FILE and --items. In
    delimited text, the types of the attributes in --items are inferred: list if any value contains
    --list-sep, number or boolean (true/false) if all values are, otherwise text. The command prints the
    types.

    With --from-sql, the command reads the rows in blocks, in one read-only transaction. The password may be
    stored in ~/.pgpass instead of the URL. The flags that describe interactions are also environment
    variables, and keys of [ingest] in item2vec.toml.

    Example: item2vec ingest sample_data/listens.csv.gz --items sample_data/items.csv
    """
    from item2vec.cli.titles import read_titles
    from item2vec.store import Store
    from item2vec.store.values import check_dated

    source = _source(files or [], from_sql, query, table, only_items=items is not None)
    _check_readable(files or [], read.encoding)
    sep = options.separator(read.sep)
    text: dict[str, Any] = {
        "encoding": read.encoding,
        "quotes": not read.no_quotes,
        "max_line": options.size(read.max_line),
    }
    with Store(location("store", store)) as opened:
        opened.ensure_schema(create=True)
        titles = None if items is None else read_titles(items, item=read.item, sep=sep, **text)
        n_rows = n_new = n_duplicate = n_repeats = 0
        ingested_items = None
        stored: list[str] = []
        with _naming(stored):
            read_batches = _interactions(source, sep=sep, **columns_of(read), **text)
            batches = filter(lambda named: len(named[1]) > 0, read_batches)
            # The first file with rows is read and checked before any change, because it may be invalid.
            batch = next(batches, None)
            if source and batch is None:
                raise _no_rows(files or [])
            if items is not None and titles is not None:
                if batch is not None:
                    stored_events = opened.summary()
                    is_dated = stored_events["first"] is not None if stored_events["n_interactions"] else None
                    check_dated(batch[1].timestamp is not None, is_dated)
                # Items are added before interactions, which would insert the ids of their items.
                ingested_items = opened.ingest_items(titles)
                stored.append(str(items.path))
            while batch is not None:
                name, interactions = batch
                ingested = opened.ingest(interactions, repeats=read.repeats)
                n_rows, n_new = n_rows + ingested.n_rows, n_new + ingested.n_new
                n_duplicate += ingested.n_duplicate
                n_repeats += ingested.n_repeats
                stored.append(name)
                log_padded_ids("user", interactions.users)
                log_padded_ids("item", interactions.items, lambda: opened.items().vocabulary)
                batch = next(batches, None)
        if titles is not None:
            log_padded_ids("item", titles.vocabulary, lambda: opened.items().vocabulary)
        counts = {"rows": n_rows, "new": n_new, "duplicate": n_duplicate, "repeats": n_repeats}
        facts = {**counts, **opened.summary()}
        if titles is not None and ingested_items is not None:
            facts["items_new"], facts["items_changed"] = ingested_items.n_new, ingested_items.n_changed
            facts["items_unchanged"] = ingested_items.n_duplicate - ingested_items.n_changed
            facts["attributes"] = _attributes(titles)
    show(facts, as_json=as_json)


@dataclass(frozen=True)
class _Query:
    """A database to read interactions from, and either an SQL query or the name of a table."""

    url: str = field(repr=False)
    query: str | None
    table: str | None


def _source(
    files: list[Path], from_sql: str | None, query: str | None, table: str | None, *, only_items: bool
) -> list[Path] | _Query:
    """Return the files, or the query. Raise ``ConfigError`` unless exactly one source is specified.

    With ``only_items``, no source is an empty list of files.
    """
    if from_sql is None:
        for flag, value in (("--query", query), ("--table", table)):
            if value is not None:
                raise ConfigError(f"got {flag} without --from-sql; add --from-sql URL, or omit {flag}")
        if not files and not only_items:
            raise ConfigError(
                "got no source of interactions; expected FILE, or --from-sql with --query or --table, or "
                "--items FILE to add only items"
            )
        return files
    if files:
        raise ConfigError(f"got --from-sql and {files[0]}; expected one of them")
    if (query is None) == (table is None):
        found = "neither --query nor --table" if query is None else "--query and --table"
        raise ConfigError(f"got --from-sql with {found}; expected --query SQL or --table NAME")
    return _Query(from_sql, query, table)


def _check_readable(files: list[Path], encoding: str) -> None:
    """Raise ``InputError`` unless all files exist and can be opened, before the first one is stored."""
    from item2vec.opening import file_kind
    from item2vec.readers.tables import data_files_of

    for file in data_files_of(files, encoding):
        file_kind(file)


@contextlib.contextmanager
def _naming(stored: list[str]) -> Iterator[None]:
    """Add the names of the stored files to the message of an error of the block."""
    try:
        yield
    except Item2VecError as error:
        if stored:
            error.args = (f"{error.args[0]} (stored: {', '.join(stored)})", *error.args[1:])
        raise


def _no_rows(files: list[Path]) -> InputError:
    named = ", ".join(map(str, files))
    found = f"found no rows in {named}" if named else "the result of --from-sql has no rows"
    return InputError(f"{found}; expected interactions")


def _interactions(source: list[Path] | _Query, **arguments: Any) -> Iterator[tuple[str, Interactions]]:
    """Yield the name and the interactions of each file, or of the query."""
    from item2vec.readers import read_interactions
    from item2vec.store.source import reading_from, select_all

    if not isinstance(source, _Query):
        for file in source:
            yield str(file), read_interactions(file, **arguments)
        return
    with reading_from(source.url) as connection:
        query = source.query or select_all(connection, source.table or "")
        interactions = read_interactions(query, connection=connection, **arguments)
    yield "the query", interactions


def columns_of(read: IngestConfig) -> dict[str, Any]:
    """Return the arguments of ``read_interactions`` that describe columns, timestamps and bad rows."""
    names = ("user", "item", "weight", "event", "session", "columns", "time_unit", "time_format", "max_bad")
    return {name: getattr(read, name) for name in names} | {
        "timestamp": None if read.no_timestamps else read.timestamp,
        "on_error": "skip" if read.skip_bad_rows else "raise",
    }


def _attributes(items: Items) -> list[dict[str, Any]]:
    """Return a row per attribute: name, type, number of items with a value, and number of distinct values."""
    rows = []
    for name in items.attribute_names:
        column = items.column(name)
        # A column has no kinds if its values, such as objects, cannot be compared.
        objects = [] if column.kinds else [repr(row[name]) for row in items.attributes if row.get(name)]
        rows.append(
            {
                "attribute": name,
                "type": "object" if objects else column.type,
                "items": len(objects) or column.n_rows_with_values,
                "distinct": len(set(objects)) or column.n_distinct,
            }
        )
    return rows


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
    """Show the schema revision of the store and the required revision.

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
