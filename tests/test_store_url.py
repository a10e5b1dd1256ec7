"""Database URLs, connections, and the messages for failed connections."""

import os
import pickle
import sys

import pytest
from databases import empty_schema, listens

from item2vec.errors import ConfigError, MissingExtraError, SchemaError, StoreError
from item2vec.store import Store
from item2vec.store.connect import parse_url
from item2vec.store.schema import Schema


def test_methods_require_a_schema(url):
    with Store(url) as store:
        assert store.current() is None
        for call in (store.summary, store.items, store.inactive_items, store.check_schema):
            with pytest.raises(SchemaError, match=r"has no schema; .* run item2vec db upgrade --store"):
                call()
        with pytest.raises(SchemaError):
            store.ensure_schema(create=False)
        store.ensure_schema(create=True)
        assert store.current() == store.head
        assert store.summary()["n_interactions"] == 0


def test_a_newer_schema_is_refused(store, sql, url):
    sql("UPDATE alembic_version SET version_num = 'zzz'")
    with Store(url) as later:
        with pytest.raises(SchemaError, match=f"has schema revision zzz; .* supports is {later.head}"):
            later.summary()
        with pytest.raises(SchemaError, match="pip install --upgrade item2vec"):
            later.upgrade()


def test_reading_creates_no_file(tmp_path):
    with Store(f"sqlite:///{tmp_path}/none.db") as store:
        assert store.current() is None
        with pytest.raises(SchemaError, match="no schema"):
            store.items()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("item2vec.db", "for a SQLite file write 'sqlite:///item2vec.db'"),
        ("/data/item2vec.db", "for a SQLite file write 'sqlite:////data/item2vec.db'"),
        ("sqlite://item2vec.db", "before the path, 'sqlite:///item2vec.db'"),
        ("sqlite://data/item2vec.db", "before the path, 'sqlite:///data/item2vec.db'"),
        ("sqlite://", "names no file path"),
        ("sqlite:///:memory:", "names no file path"),
        ("sqlite:///a.db?cache=shared", "has the parameters cache=shared; expected only timeout"),
        ("sqlite:///a.db?timeout=soon", "has the parameters timeout=soon; expected only timeout"),
        ("sqlite:///a.db?password=secret", r"has the parameters password=\*\*\*; expected only timeout"),
        ("mysql://ann:secret@db/shop", "unknown database 'mysql'"),
        ("postgres://ann:secret@db/shop", r"expected sqlite:///FILE or postgresql\+psycopg://"),
        ("postgresql+psycopg2://ann:secret@db/shop", "unknown database"),
        ("postgresql://ann:secret@db:port/shop", "is not a database URL"),
        ("://ann:secret@db/shop", "is not a database URL"),
        ("ann:secret@db/shop", "is not a database URL"),
        ("postgresql://ann:se@secret@db/shop", "as %40"),
        ("postgresql://db/shop?port=abc", "has the parameter port='abc'; expected an integer"),
        (
            "postgresql://db/shop?autocommit=secret",
            "has the parameters autocommit; expected parameters of libpq",
        ),
        ("postgresql://db/shop?row_factory=secret", "has the parameters row_factory"),
        ("postgresql://db/shop?prepare_threshold=secret", "has the parameters prepare_threshold"),
        ("postgresql://db/shop?connect_timeout=soon", "connect_timeout='soon'; expected an integer"),
        ("postgresql://db/shop?host=a:1&host=b:c", "invalid parameters"),
        ("postgresql://db/shop?host=a&host=b&port=1&port=2&port=3", "invalid parameters"),
        ("postgresql://ann@db:port/shop", "is not a database URL"),
        ("sqlite://ann:secret@/a.db", "contains a user, a password or a port"),
        (None, "store is None"),
        ("", "is not a database URL"),
    ],
)
def test_an_invalid_url_is_refused_with_the_right_spelling(url, message):
    with pytest.raises(ConfigError, match=message) as error:
        Store(url)
    assert "secret" not in str(error.value)


def test_a_password_is_never_shown(cluster):
    url = f"postgresql://ann:secret@/nowhere?host={cluster}&sslpassword=secret"
    store = Store(url)
    with pytest.raises(StoreError, match=r"nowhere|ann") as error:
        store.summary()
    assert "check that the server is running" in str(error.value)
    assert "secret" not in repr(store) + str(error.value)


def test_a_missing_driver_is_an_error_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'item2vec\[postgres\]'"):
        Store("postgresql+psycopg://ann@db/shop")


def test_a_server_that_refuses_is_an_error_with_advice():
    with (
        Store("postgresql://ann:secret@127.0.0.1:1/shop") as store,
        pytest.raises(StoreError, match=r"refused.*; check that the server is running") as error,
    ):
        store.upgrade()
    assert "secret" not in str(error.value)


def test_an_unknown_server_option_is_an_error(cluster):
    url = f"postgresql://postgres@/postgres?host={cluster}&colour=blue"
    with Store(url) as store, pytest.raises(StoreError, match="colour"):
        store.upgrade()


@pytest.mark.parametrize("revisions", [[], ["0003", "0004"]])
@pytest.mark.parametrize("lost", ["0007", "0006", "0005", None])
def test_a_lost_revision_is_an_error_with_advice(store, sql, url, revisions, lost):
    if lost is None:
        sql("DROP TABLE recommendation")
    else:
        Schema(parse_url(url)).downgrade(lost)
    sql("DELETE FROM alembic_version")
    for revision in revisions:
        sql(f"INSERT INTO alembic_version VALUES ('{revision}')")
    with Store(url) as later:
        for call in (later.summary, later.upgrade, later.current):
            with pytest.raises(
                SchemaError, match=r"in the table alembic_version; .*restore a backup"
            ) as raised:
                call()
        advice = str(raised.value).partition("run the SQL: ")[2]
        assert bool(advice) == (lost is not None)
        if advice:
            for statement in advice.split(";"):
                sql(statement)
            assert later.current() == lost
            assert later.upgrade() == later.head
            assert later.summary()["n_items"] == 0


def test_tables_without_alembic_version_are_an_error_with_advice(store, sql, url):
    sql("DROP TABLE alembic_version")
    with Store(url) as later, pytest.raises(SchemaError, match=r"use an empty database$"):
        later.upgrade()


@pytest.mark.parametrize("call", [Store.current, Store.upgrade, Store.summary])
def test_a_name_that_is_too_long_is_an_error(call):
    with (
        Store(f"sqlite:///{'a' * 300}") as store,
        pytest.raises(StoreError, match=r"a{300} cannot be read: File name too long; check the path"),
    ):
        call(store)


@pytest.mark.parametrize("call", [Store.current, Store.upgrade, Store.summary])
def test_a_missing_folder_is_an_error(tmp_path, call):
    with (
        Store(f"sqlite:///{tmp_path}/no/where.db") as store,
        pytest.raises(ConfigError, match=r"the folder .*/no does not exist; create it first"),
    ):
        call(store)


def test_a_relative_path_is_resolved_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Store("sqlite:///a.db") as store:
        store.upgrade()
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.close()
        assert store.summary()["n_items"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "elsewhere"]


def test_a_closed_store_opens_again(store):
    store.ingest(listens(("ann", "x", 1)))
    store.close()
    assert store.history("ann").items == ["x"]


def test_a_store_works_in_parent_and_child_after_a_fork(store):
    def ingest(user):
        new = [store.ingest(listens((user, "x", n))).n_new for n in range(20)]
        return new == [1] * 20 and store.history(user).timestamps.tolist() == list(range(20))

    assert ingest("before")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, pickle.dumps(ingest("child")))
        finally:
            os._exit(0)
    os.close(writer)
    assert ingest("parent")
    with os.fdopen(reader, "rb") as pipe:
        assert pickle.loads(pipe.read()) is True
    os.waitpid(child, 0)
    assert store.summary()["n_interactions"] == 60


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
def test_the_time_zone_of_the_server_changes_nothing(cluster, zone):
    with Store(f"{empty_schema(cluster)}%20-ctimezone%3D{zone}") as store:
        store.upgrade()
        store.ingest(listens(("ann", "x", -62_135_596_800_000_000), ("ann", "x", 253_402_300_799_999_999)))
        summary = store.summary()
    assert summary["first"] == "0001-01-01T00:00:00+00:00"
    assert summary["last"] == "9999-12-31T23:59:59.999999+00:00"
