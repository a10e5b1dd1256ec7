"""Fill every table of a store, and compare contents and schemas."""

import hashlib
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from strategies import ODD_IDS

from item2vec import Interactions, Items
from item2vec.store.connect import begin_as, make_engine, parse_url
from item2vec.store.tables import metadata

NOW = datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
LATER = datetime(2024, 1, 2, tzinfo=UTC)
RUN = {"started_at": NOW, "status": "promoted", "gates": {"recall": 0.5}}
PROMOTION = {
    "generation": 1,
    "version": "g1",
    "manifest_sha256": "0" * 64,
    "run_id": 1,
    "actor": "test",
    "promoted_at": NOW,
}
ADDED = {"revision", "position", "dated"}
"""Columns that revisions after the first have added."""
RECOMMENDATION = {"version": "g1", "user_id": 1, "rank": 1, "item_id": 2, "score": 0.5}
IMPRESSION = {"user_id": 1, "shown_at": NOW, "item_id": 2}
LATER_TABLES = {"impression", "first_user"}
"""Tables that revisions after the first have added."""


@contextmanager
def connected(url):
    engine = begin_as(make_engine(parse_url(url)), "write")
    try:
        yield engine
    finally:
        engine.dispose()


def fill(store, engine):
    """Insert rows into every table, with unusual ids in every column of ids."""
    columns = {"weight": [1.5, 2, 3], "session": ["s", "s", "t"]}
    users, items = ["ann", "bob", "ann"], ["x", "y", "z"]
    store.ingest(Interactions.of(user=users, item=items, timestamp=[1, 2, 3], **columns))
    odd = dict.fromkeys(("user", "item", "event", "session"), ODD_IDS)
    store.ingest(Interactions.of(**odd, timestamp=[-1] * len(ODD_IDS)), source=ODD_IDS[-1])
    store.ingest_items(Items.of({"x": {"title": "Blue Monday", "genre": ["synth-pop"], "\n": [0.1, None]}}))
    store.deactivate_items(["y"])
    with engine.begin() as connection:
        of_table = {"run": RUN, "promotion": PROMOTION, "recommendation": RECOMMENDATION}
        for name, row in of_table.items():
            connection.execute(metadata.tables[name].insert(), row)
            if name == "promotion":
                named = [
                    {"generation": n, "version": id_, "previous": id_} for n, id_ in enumerate(ODD_IDS, 2)
                ]
            else:
                named = [{"version": id_} for id_ in ODD_IDS]
            connection.execute(metadata.tables[name].insert(), [{**row, **names} for names in named])
        shown = [{**IMPRESSION, "item_id": n, "version": id_} for n, id_ in enumerate(ODD_IDS, 1)]
        connection.execute(
            metadata.tables["impression"].insert(),
            [{**IMPRESSION, "shown_at": LATER, "version": None}, *shown],
        )


def content(engine, *, without=()):
    """Return the row count and content hash of each table, over the columns in ``metadata``.

    Columns that a downgrade drops are omitted, and the tables in ``without``.
    """
    contents = {}
    with engine.begin() as connection:
        for name, table in metadata.tables.items():
            if name in without:
                continue
            columns = [column for column in table.columns if column.name not in ADDED]
            rows = sorted(repr(_values(row)) for row in connection.execute(sa.select(*columns)))
            contents[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return contents


def _values(row):
    """Return the values of a row. Unknown attributes of an item are {}, as before revision 0006."""
    values = row._asdict()
    if "attributes" in values:
        values["attributes"] = values["attributes"] or {}
    return values


def differences(engine):
    """Return the differences between ``metadata`` and the database, with keys, CHECKs and SQLite options."""
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        result = compare_metadata(context, metadata)
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            key = inspector.get_pk_constraint(table.name)
            result += [(table.name, key)] * (key["constrained_columns"] != table.primary_key.columns.keys())
            numbered = engine.dialect.name == "sqlite" and table.kwargs.get("sqlite_autoincrement")
            result += [(table.name, key)] * (key["name"] != (None if numbered else table.primary_key.name))
            actual = {check["name"] for check in inspector.get_check_constraints(table.name)}
            expected = {check.name for check in table.constraints if _is_check_of(check, engine.dialect.name)}
            result += [(table.name, name) for name in actual ^ expected]
            options = inspector.get_table_options(table.name)
            if engine.dialect.name == "sqlite":
                expected = {
                    name: value for name, value in table.kwargs.items() if name != "sqlite_autoincrement"
                }
                result += [(table.name, options)] * (options != expected)
    return result


def _is_check_of(constraint, dialect):
    if not isinstance(constraint, sa.CheckConstraint):
        return False
    return constraint._ddl_if is None or constraint._ddl_if.dialect == dialect
