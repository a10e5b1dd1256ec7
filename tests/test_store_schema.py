"""The schema that migrations create equals ``metadata``, and rejects invalid rows."""

from datetime import datetime

import pytest
import sqlalchemy as sa
from stores import PROMOTION, RECOMMENDATION, RUN, differences, fill

from item2vec.errors import InputError
from item2vec.store.tables import metadata


def test_migrations_create_the_tables_of_metadata(store, engine):
    assert differences(engine) == []


def test_every_constraint_has_a_name(store, engine):
    with engine.begin() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.tables:
            constraints = inspector.get_foreign_keys(table) + inspector.get_unique_constraints(table)
            constraints += inspector.get_check_constraints(table) + inspector.get_indexes(table)
            assert all(constraint["name"] for constraint in constraints)


def test_keys_are_compared_byte_by_byte(store, engine):
    keys = {"external_id", "event_key", "source", "event", "session", "version", "previous"}
    if engine.dialect.name == "sqlite":
        statement = "SELECT coalesce(sql, '') LIKE '%COLLATE%' FROM sqlite_schema"
        expected = {0}
    else:
        named = ", ".join(f"'{key}'" for key in keys)
        statement = (
            "SELECT collation_name FROM information_schema.columns "
            f"WHERE table_schema = current_schema AND column_name IN ({named})"
        )
        expected = {"C"}
    with engine.begin() as connection:
        assert {*connection.scalars(sa.text(statement))} == expected


def test_times_must_be_aware_and_are_returned_in_utc(store, engine):
    run = metadata.tables["run"]
    east = datetime.fromisoformat("2024-01-01T00:00:00.000001+05:00")
    with engine.begin() as connection:
        connection.execute(run.insert(), {"started_at": east, "status": "running"})
        (stored,) = connection.scalars(sa.select(run.c.started_at))
    assert stored == east
    assert stored.isoformat() == "2023-12-31T19:00:00.000001+00:00"
    with pytest.raises(sa.exc.StatementError) as error, engine.begin() as connection:
        connection.execute(run.insert(), {"started_at": datetime(2024, 1, 1), "status": "running"})
    assert isinstance(error.value.orig, InputError)


@pytest.mark.parametrize(
    ("table", "row", "change"),
    [
        ("run", RUN, {"status": "odd"}),
        ("run", RUN, {"metrics": [1]}),
        ("run", RUN, {"metrics": {"a": float("nan")}}),
        ("promotion", PROMOTION, {}),
        ("promotion", PROMOTION, {"generation": 0}),
        ("promotion", PROMOTION, {"generation": 2**63}),
        ("promotion", PROMOTION, {"generation": 2, "run_id": 7777}),
        ("promotion", PROMOTION, {"generation": 2, "manifest_sha256": "0"}),
        ("recommendation", RECOMMENDATION, {}),
        ("recommendation", RECOMMENDATION, {"rank": 0}),
        ("recommendation", RECOMMENDATION, {"version": "g2", "user_id": 7777}),
    ],
)
def test_invalid_rows_are_refused(store, engine, table, row, change):
    fill(store, engine)
    with pytest.raises((sa.exc.StatementError, InputError)), engine.begin() as connection:
        connection.execute(metadata.tables[table].insert(), {**row, **change})
