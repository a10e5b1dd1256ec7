"""``Store.copy_to`` and ``item2vec db copy``, between all kinds of databases."""

import json

import numpy as np
import pytest
from databases import listens
from stores import NOW, RUN, connected, content, differences, fill
from strategies import ODD_IDS

from item2vec import Interactions, Items
from item2vec.errors import ConfigError, SchemaError, StoreError
from item2vec.store import Store, copying
from item2vec.store.connect import begin_as
from item2vec.store.tables import metadata

EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
WEIGHTS = [0, 0.1, 1 / 3, 1e-45, 1.1754944e-38, 3.4028235e38, 16_777_217, 1]
TIMESTAMPS = [EARLIEST, -1, 0, 1, 1_700_000_000_123_457, LATEST]
ATTRIBUTES = {
    "number": [0.1, 1e300, -0.0, 5e-324, 2**63 - 1, -(2**63), True, None],
    "text": [id_ for id_ in ODD_IDS if len(id_) < 20],
    "nested": {"": {"a": []}},
    "é": "",
}


@pytest.fixture
def other(other_url):
    """Yield a store without a schema, on each kind of database in turn."""
    with Store(other_url) as other:
        yield other


@pytest.fixture
def filled(store, engine):
    fill(store, engine)
    store.ingest(listens(*((f"u{n}", "x", timestamp) for n, timestamp in enumerate(TIMESTAMPS))))
    users = [f"w{n}" for n in range(len(WEIGHTS))]
    store.ingest(Interactions.of(user=users, item=users, timestamp=[7] * len(users), weight=WEIGHTS))
    store.ingest_items(Items.of({"x": {"title": "\t", **ATTRIBUTES}}))
    return store


def observable(store):
    """Return all data that callers can read from a store."""
    found = store.interactions()
    columns = [found.timestamp, found.weight, found.user, found.item, found.event, found.session]
    return (
        [column.tobytes() for column in columns],
        [found.users, found.items, found.events, found.sessions],
        [store.items().vocabulary, store.items().titles, repr(store.items().attributes)],
        [store.inactive_items(), store.summary(), store.runs(limit=999), store.promotions(limit=999)],
    )


def test_a_copy_has_the_same_content_and_schema(filled, engine, other, other_url):
    counts = filled.copy_to(other)
    assert counts == {name: n_rows for name, (n_rows, _) in content(engine).items()}
    assert observable(other) == observable(filled)
    with connected(other_url) as others:
        assert differences(others) == []


@pytest.mark.slow
def test_a_copy_of_the_copy_has_every_value(filled, engine, other, new_url):
    filled.copy_to(other)
    back_url = new_url()
    with Store(back_url) as back, connected(back_url) as there:
        other.copy_to(back)
        assert content(there) == content(engine)


@pytest.mark.parametrize("timestamps", [None, [5] * 9])
def test_a_copy_keeps_the_order_of_the_file(store, other, timestamps):
    plays = Interactions.of(user=["u"] * 9, item=[*"ihgfedcba"], timestamp=timestamps)
    store.ingest(plays)
    store.copy_to(other)
    assert other.history("u").items == [*"ihgfedcba"]
    assert (other.history("u").timestamps is None) is (timestamps is None)
    assert other.ingest(plays).n_duplicate == 9


def test_a_copy_keeps_unknown_attributes_apart_from_none(store, other, other_url):
    store.ingest(listens(("u", "x", 1)))
    store.ingest_items(Items.of({"y": {}}), replace=True)
    store.copy_to(other)
    assert store.catalogue().bare == other.catalogue().bare == {"y"}
    with connected(other_url) as others, others.begin() as connection:
        unknown = connection.exec_driver_sql("SELECT external_id FROM item WHERE attributes IS NULL")
        assert [*unknown.scalars()] == ["x"]


def test_a_copy_continues_the_sequences_of_the_source(filled, sql, other):
    for table in ("promotion", "run"):
        sql(f"DELETE FROM {table}")
    last = filled.begin_run(config={"models": "m", "host": "h"}, now=NOW)
    sql("DELETE FROM run")
    again = filled.interactions()
    filled.copy_to(other)
    assert other.begin_run(config={"models": "m", "host": "h"}, now=NOW) == last + 1
    assert other.ingest(listens(("new", "new", 1))).n_new == 1
    assert other.history("new").items == ["new"]
    assert other.ingest(again, source="later").n_new == len(again)


def test_an_empty_store_can_be_copied(store, other):
    assert set(store.copy_to(other).values()) == {0}
    assert other.ingest(listens(("ann", "x", 1))).n_new == 1


@pytest.mark.slow
def test_more_rows_than_a_batch_holds(store, other, monkeypatch):
    monkeypatch.setattr(copying, "ROWS_PER_BATCH", 100)
    n = 1_001
    numbers = np.arange(n)
    users, items = (numbers % 900).astype(str), (numbers % 70).astype(str)
    store.ingest(Interactions.of(user=users, item=items, timestamp=numbers))
    assert store.copy_to(other)["interaction"] == n
    found, expected = other.interactions(), store.interactions()
    assert np.array_equal(found.timestamp, expected.timestamp)
    assert np.array_equal(found.item, expected.item)


@pytest.mark.parametrize("table", ["item", "user_account", "run"])
def test_a_target_with_rows_is_refused_and_unchanged(store, other, other_url, table):
    store.ingest(listens(("ann", "x", 1)))
    other.upgrade()
    row = {"item": {"external_id": "y"}, "user_account": {"external_id": "bob"}, "run": RUN}[table]
    with connected(other_url) as others:
        with others.begin() as connection:
            connection.execute(metadata.tables[table].insert(), row)
        before = content(others)
        with pytest.raises(ConfigError, match=rf"has rows in table '{table}'; .* nothing was copied"):
            store.copy_to(other)
        assert content(others) == before


def test_a_store_is_not_copied_onto_itself(store, url):
    store.ingest(listens(("ann", "x", 1)))
    with Store(url) as itself, pytest.raises(ConfigError, match="expected an empty store"):
        store.copy_to(itself)
    assert store.history("ann").items == ["x"]


def test_a_source_without_a_schema_is_refused(url, other):
    with Store(url) as source, pytest.raises(SchemaError, match="has no schema; expected revision"):
        source.copy_to(other)
    assert other.current() is None


CHANGE = {
    "sqlite": "CREATE TRIGGER change AFTER INSERT ON interaction BEGIN "
    "UPDATE interaction SET {change} WHERE event_key = new.event_key; END",
    "postgresql": "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN new.{change}; RETURN new; END'; "
    "CREATE TRIGGER change BEFORE INSERT ON interaction FOR EACH ROW EXECUTE FUNCTION change()",
}
LOSE = {
    "sqlite": "CREATE TRIGGER lose BEFORE INSERT ON interaction WHEN new.weight = 3 "
    "BEGIN SELECT raise(IGNORE); END",
    "postgresql": "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN IF new.weight = 3 THEN RETURN NULL; END IF; RETURN new; END'; "
    "CREATE TRIGGER lose BEFORE INSERT ON interaction FOR EACH ROW EXECUTE FUNCTION lose()",
}
FAULTS = [CHANGE, LOSE]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_copy_that_differs_is_rolled_back(filled, other, other_url, fault):
    other.upgrade()
    with connected(other_url) as others:
        empty = content(others)
        with others.begin() as connection:
            statement = fault[others.dialect.name].format(change="weight = 9")
            connection.exec_driver_sql(statement)
        with pytest.raises(StoreError, match=r"table 'interaction' has .* the copy was rolled back"):
            filled.copy_to(other)
        assert content(others) == empty


def test_a_concurrent_write_is_not_copied(filled, engine, other):
    before = content(engine)
    n_late = []

    def write(_):
        if not n_late:
            n_late.append(filled.ingest(listens(("late", "late", 1))).n_new)

    other.upgrade()
    with (
        begin_as(filled._engine, "read").begin() as reader,
        begin_as(other._engine, "write").begin() as writer,
    ):
        counts = copying.copy(reader, writer, write)
    assert n_late == [1]
    assert counts == {name: n_rows for name, (n_rows, _) in before.items()}


def test_the_command_copies_and_refuses_a_second_copy(filled, other, other_url, item2vec, url):
    code, out, _ = item2vec("db", "copy", other_url, "--store", url, "--json")
    assert code == 0
    assert json.loads(out)["interaction"] == filled.summary()["n_interactions"]
    assert observable(other) == observable(filled)
    code, _, err = item2vec("db", "copy", other_url, "--store", url)
    assert code == 2
    assert "expected an empty store" in err
