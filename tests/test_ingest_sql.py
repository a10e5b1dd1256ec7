"""``ingest --from-sql`` from SQLite and PostgreSQL, and the section ``[ingest]`` of item2vec.toml."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from item2vec import readers
from item2vec.config import IngestConfig
from item2vec.errors import InputError, InputTypeError, StoreError
from item2vec.store import Store
from item2vec.store.source import reading_from, select_all

ROWS = [
    ("ann", 7, "2024-01-01 10:00:00", 2.5),
    ("bob", 8, "2024-01-02 11:00:00", 1.0),
    ("ann", 9, "2024-01-01 10:00:00", 0.5),
    ("50%", 7, "2024-01-03 12:00:00", 1.0),
]
NAMES = ("customer", "product", "at", "price")
FLAGS = ("--user", "customer", "--item", "product", "--timestamp", "at")


def raw(url):
    """Return an engine without any setting of the store."""
    return sa.create_engine(url, poolclass=sa.NullPool)


@pytest.fixture
def shop(new_url):
    """Return the URL of a database of a shop, with a table and a view of orders."""
    url = new_url()
    engine = raw(url)
    with engine.begin() as connection:
        moment = "TIMESTAMP" if engine.dialect.name == "postgresql" else "TEXT"
        connection.execute(
            sa.text(f'CREATE TABLE "Order s" (customer TEXT, product BIGINT, at {moment}, price NUMERIC)')
        )
        connection.execute(
            sa.text('INSERT INTO "Order s" VALUES (:customer, :product, :at, :price)'),
            [dict(zip(NAMES, row, strict=True)) for row in ROWS],
        )
        connection.execute(sa.text('CREATE VIEW recent AS SELECT * FROM "Order s" WHERE product < 9'))
    return url


def ingest(item2vec, *words):
    code, out, err = item2vec("ingest", *words, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    return [facts[name] for name in ("rows", "new", "duplicate", "repeats")]


def stored():
    with Store("sqlite:///item2vec.db") as store:
        return readers.to_frame(store.interactions()).sort_values(["user_id", "item_id"], ignore_index=True)


def test_a_query_gives_the_store_of_a_file_with_the_same_rows(item2vec, shop):
    query = 'SELECT * FROM "Order s" ORDER BY product'
    words = ("--from-sql", shop, "--query", query, *FLAGS, "--weight", "price")
    assert ingest(item2vec, *words) == [4, 4, 0, 0]
    assert ingest(item2vec, *words) == [4, 0, 4, 0], "an event is stored once"
    Path("orders.csv").write_text("\n".join(",".join(map(str, row)) for row in [NAMES, *ROWS]))
    file = ("orders.csv", *FLAGS, "--weight", "price")
    assert ingest(item2vec, *file) == [4, 0, 4, 0], "the keys are those of files"
    from_query = stored()
    assert ingest(item2vec, *file, "--store", "sqlite:///other.db") == [4, 4, 0, 0]
    with Store("sqlite:///other.db") as other:
        from_file = readers.to_frame(other.interactions())
    assert from_query.equals(from_file.sort_values(["user_id", "item_id"], ignore_index=True))


@pytest.mark.parametrize(("table", "n_rows"), [("Order s", 4), ("recent", 3)])
def test_a_table_or_a_view_is_read(item2vec, shop, table, n_rows):
    assert ingest(item2vec, "--from-sql", shop, "--table", table, *FLAGS) == [n_rows, n_rows, 0, 0]


def test_percent_and_colons_in_a_query_have_no_special_meaning(item2vec, shop):
    query = "SELECT *, ':x' AS note FROM \"Order s\" WHERE customer LIKE '%0\\%' ESCAPE '\\'"
    assert ingest(item2vec, "--from-sql", shop, "--query", query, *FLAGS) == [1, 1, 0, 0]
    assert stored().user_id.tolist() == ["50%"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--table", "recent"], "the query has no column 'user_id'; found 'customer', 'product', 'at'"),
        (["--table", "recent", "--user", "custmer"], "did you mean --user customer?"),
        (["--table", "resent", *FLAGS], "has no table 'resent'; did you mean 'recent'?"),
        (["--table", "nowhere.recent", *FLAGS], "nowhere"),
        (["--query", "SELECT x FROM recent", *FLAGS], "expected a query that this database accepts"),
        (["--query", "SELEKT", *FLAGS], "expected a query that this database accepts"),
        (["--query", 'DELETE FROM "Order s"', *FLAGS], "that only reads"),
        (["--query", "SELECT * FROM recent WHERE 1 = 0", *FLAGS], "the result of --from-sql has no rows"),
        (
            ["--query", "SELECT NULL AS customer, product, at FROM recent", *FLAGS],
            "the query row 0: customer None",
        ),
        (["--table", "recent", *FLAGS, "--time-unit", "h"], "--time-unit is 'h'"),
        (["--table", "recent", *FLAGS, "--sep", ","], "a separator can be set only for delimited text"),
    ],
)
def test_wrong_queries_and_columns_are_errors_that_change_nothing(item2vec, shop, words, message):
    code, out, err = item2vec("ingest", "--from-sql", shop, *words)
    assert (code, out) == (2, "")
    assert message in err
    with raw(shop).begin() as connection:
        assert connection.scalar(sa.text('SELECT count(*) FROM "Order s"')) == len(ROWS)


ENDLESS = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT CASE i WHEN 40000 THEN NULL ELSE 'u' || i END AS user_id, i AS item_id, i AS timestamp FROM n
"""


def test_rows_are_streamed(new_url):
    """The query never ends: reading ends at its bad row because rows are read in blocks."""
    url = new_url()
    raw(url).connect().close()
    with (
        reading_from(url) as connection,
        pytest.raises(InputError, match="the query row 39999: user_id None"),
    ):
        readers.read_interactions(ENDLESS, connection=connection)


def test_a_source_is_not_changed(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = path.read_bytes()
    with reading_from(f"sqlite:///{path}") as connection:
        assert select_all(connection, "t") == 'SELECT * FROM "t"'
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]
    for name in ("none.db", "no/folder/none.db"):
        with (
            pytest.raises(InputError, match=r"none\.db does not exist"),
            reading_from(f"sqlite:///{tmp_path}/{name}"),
        ):
            pass
    (tmp_path / "text.db").write_text("not a database" * 100)
    with (
        pytest.raises(StoreError, match="not a database"),
        reading_from(f"sqlite:///{tmp_path}/text.db") as connection,
    ):
        select_all(connection, "t")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "got no source of interactions; expected FILE, or --from-sql with --query or --table"),
        (["--query", "SELECT 1"], "got --query without --from-sql"),
        (["--table", "t"], "got --table without --from-sql"),
        (
            ["--from-sql", "sqlite:///x.db"],
            "got --from-sql with neither --query nor --table; expected --query SQL or --table NAME",
        ),
        (
            ["--from-sql", "sqlite:///x.db", "--query", "q", "--table", "t"],
            "got --from-sql with --query and --table",
        ),
        (
            ["a.csv", "--from-sql", "sqlite:///x.db", "--table", "t"],
            "got --from-sql and a.csv; expected one of them",
        ),
        (["--from-sql", "shop.db", "--table", "t"], "'shop.db' is not a database URL"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(item2vec, words, message):
    code, out, err = item2vec("ingest", *words)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("secret", ["postgresql://ann:Hunter2@127.0.0.1:1/shop", "postgresql:ann:Hunter2@db"])
def test_the_password_is_not_printed(item2vec, secret):
    code, out, err = item2vec("ingest", "--from-sql", secret, "--table", "t")
    assert code in {1, 2}
    assert "Hunter2" not in out + err


def test_a_query_requires_a_connection():
    with pytest.raises(InputTypeError, match="expected a SQLAlchemy connection"):
        readers.read_interactions("SELECT 1", connection=7)


CSV = "customer;product;at;price\nann;x;2024-01-01;3\nbob;y;2024-01-02;4\n"


def test_the_columns_of_the_settings_file_have_the_names_of_the_flags(item2vec, tmp_path):
    Path("orders.csv").write_text(CSV)
    toml = tmp_path / "item2vec.toml"
    toml.write_text(
        '[ingest]\nuser = "customer"\nitem = "product"\ntimestamp = "at"\nweight = "price"\nsep = ";"\n'
    )
    assert ingest(item2vec, "orders.csv") == [2, 2, 0, 0]
    assert stored().weight.tolist() == [3.0, 4.0]
    assert ingest(item2vec, "orders.csv", "--user", "product", "--store", "sqlite:///b.db") == [2, 2, 0, 0]
    with Store("sqlite:///b.db") as store:
        assert store.history("x").items == ["x"], "a flag precedes the file"
    assert ingest(item2vec, "orders.csv", "--no-timestamps", "--store", "sqlite:///c.db") == [2, 2, 0, 0]
    with Store("sqlite:///c.db") as store:
        assert store.interactions().timestamp is None
    toml.write_text('[ingest]\nno_timestamps = true\ncolumns = "user_id,item_id"')
    Path("pairs.csv").write_text("ann,x\nbob,y\n")
    assert ingest(item2vec, "pairs.csv", "--store", "sqlite:///d.db") == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("usr = 'customer'", "item2vec.toml [ingest]: unknown setting 'usr'; did you mean 'user'?"),
        ("user = 3", "user is 3; expected a valid string"),
        ("user = ''", "user is ''"),
        ("max_bad = 1.5", "max_bad is 1.5; expected less than or equal to 1"),
        ("max_bad = -0.1", "max_bad is -0.1; expected at least 0"),
        ("repeats = 'drop'", "repeats is 'drop'; expected 'keep' or 'merge'"),
        (
            "no_timestamps = true\ntimestamp = 'at'",
            "no_timestamps and timestamp='at' are both set; omit one of them",
        ),
    ],
)
def test_unknown_and_wrong_settings_are_refused_by_every_command(item2vec, tmp_path, toml, message):
    (tmp_path / "item2vec.toml").write_text(f"[ingest]\n{toml}\n")
    for command in (("ingest", "orders.csv"), ("train",)):
        code, out, err = item2vec(*command)
        assert (code, out) == (2, "")
        assert message in err


def test_the_settings_are_those_of_the_flags():
    from typer.main import get_command

    from item2vec.cli import app

    flags = {parameter.name for parameter in get_command(app).commands["ingest"].params}
    assert IngestConfig.model_fields.keys() <= flags
    assert np.isclose(IngestConfig().max_bad, readers.faults.MAX_BAD)
