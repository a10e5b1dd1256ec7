"""Migrations keep all rows, and a failed migration is rolled back."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from databases import listens
from stores import LATER_TABLES, NOW, PROMOTION, connected, content, differences, fill
from strategies import ODD_IDS

from item2vec import Interactions, Items
from item2vec.errors import SchemaError, StoreError
from item2vec.files import shipped
from item2vec.store import Store, event_key
from item2vec.store.connect import parse_url
from item2vec.store.schema import Schema
from item2vec.store.tables import metadata

HEAD = Schema(parse_url("sqlite:///none.db")).head
ROUND_TRIP = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "later", "HEAD", None, None


def upgrade():
    rebuilt = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    for table, column in (("item", "artist"), ("user_account", "name"), ("interaction", "rating")):
        with op.batch_alter_table(table, recreate=rebuilt) as batch:
            batch.add_column(sa.Column(column, sa.Text()))


def downgrade():
    for table, column in (("interaction", "rating"), ("user_account", "name"), ("item", "artist")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
"""
HALFWAY = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "later", "HEAD", None, None


def upgrade():
    op.create_table("halfway", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("UPDATE item SET title = 'spoilt'")
    {fault}


def downgrade():
    op.drop_table("halfway")
"""

FAILS_AT_ITS_END = """

without_fault = upgrade


def upgrade():
    without_fault()
    raise RuntimeError("by hand")
"""


@pytest.fixture
def revise(url, tmp_path):
    """Return a function that adds a later revision to a copy of the released revisions."""
    return lambda later: with_later(url, tmp_path / "50% of revisions", later)


@pytest.fixture
def old(url, engine):
    """Return the schema of a filled store at the first revision."""
    with Store(url) as store:
        store.upgrade()
        fill(store, engine)
    schema = Schema(parse_url(url))
    schema.downgrade("0001")
    return schema


@pytest.fixture
def file(memory):
    """Return the URL of a filled SQLite store in a folder without other files."""
    url = f"sqlite:///{memory}/store.db"
    with Store(url) as store, connected(url) as engine:
        store.upgrade()
        fill(store, engine)
    return url


def copied(url, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(shipped("alembic"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Schema(parse_url(url), scripts=folder)


def with_later(url, folder, later):
    schema = copied(url, folder)
    (folder / "versions" / "later.py").write_text(later.replace("HEAD", HEAD))
    return Schema(schema.url, scripts=folder)


def primary_key_of_promotion(engine):
    with engine.begin() as connection:
        return sa.inspect(connection).get_pk_constraint("promotion")["constrained_columns"]


def tables(engine):
    with engine.begin() as connection:
        return {*sa.inspect(connection).get_table_names()}


def revision_of(engine):
    with engine.begin() as connection:
        return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def test_upgrading_a_current_schema_changes_nothing(store, engine):
    fill(store, engine)
    before = content(engine)
    assert store.upgrade() == store.head == store.current()
    assert content(engine) == before


def test_a_later_revision_up_and_down_keeps_every_row(store, engine, revise):
    fill(store, engine)
    before = content(engine)
    assert all(count for count, _ in before.values())
    schema = revise(ROUND_TRIP)
    for _ in range(2):
        assert schema.upgrade() == "later"
        assert content(engine) == before
        with engine.begin() as connection:
            assert "artist" in {column["name"] for column in sa.inspect(connection).get_columns("item")}
        with pytest.raises(
            SchemaError, match=r"has schema revision later; the newest revision .* supports is"
        ):
            store.check_schema()
        assert schema.downgrade(HEAD) == HEAD
        assert content(engine) == before
        assert differences(engine) == []
    store.check_schema()


def test_the_shipped_revisions_down_and_up_keep_every_row(store, url, engine):
    fill(store, engine)
    assert all(count > len(ODD_IDS) for count, _ in content(engine).values())
    kept = content(engine, without=LATER_TABLES)
    n_items = len({*store.interactions().items.ids})
    schema = Schema(parse_url(url))
    oldest_first = schema._revisions[::-1]
    for _ in range(2):
        for revision in oldest_first[-2::-1]:
            assert schema.downgrade(revision) == revision == revision_of(engine)
            assert content(engine, without=LATER_TABLES) == kept
        assert not LATER_TABLES & tables(engine)
        assert schema.upgrade(backup=False) == HEAD == revision_of(engine)
        assert content(engine, without=LATER_TABLES) == kept
        assert {name: content(engine)[name][0] for name in LATER_TABLES} == {
            "impression": 0,
            "first_user": n_items,
        }
        assert differences(engine) == []


def test_ids_are_not_reused_after_a_migration(old, url, engine):
    with engine.begin() as connection:
        newest = connection.scalar(sa.text("SELECT max(id) FROM run"))
        connection.execute(sa.text("DELETE FROM run WHERE id = :newest"), {"newest": newest})
    old.upgrade(backup=False)
    with Store(url) as store:
        assert store.begin_run(config={"models": "m", "host": "h"}, now=NOW) == newest + 1


def test_ids_of_items_are_not_reused_after_a_migration(old, sql):
    old.upgrade(backup=False)
    sql("INSERT INTO item (external_id) VALUES ('deleted')")
    ((newest,),) = sql("SELECT max(id) FROM item")
    sql("DELETE FROM item WHERE external_id = 'deleted'")
    sql("INSERT INTO item (external_id) VALUES ('later')")
    assert sql("SELECT max(id) FROM item") == [(newest + 1,)]


def test_items_of_an_older_schema_without_attributes_have_unknown_attributes(store, url, sql, engine):
    store.ingest(listens(("u", "x", 1)))
    store.ingest_items(Items.of({"y": {"genre": "pop"}, "z": {}}), replace=True)
    assert store.catalogue().bare == {"z"}
    schema, null = Schema(parse_url(url)), "SELECT external_id FROM item WHERE attributes IS NULL ORDER BY 1"
    assert sql(null) == [("x",)]
    schema.downgrade("0005")
    sql("INSERT INTO item (external_id) VALUES ('new')")
    assert sql(null) == []
    schema.upgrade(backup=False)
    assert sql(null) == [("new",), ("x",), ("z",)]
    assert store.catalogue().bare == frozenset()
    assert store.items().about("y") == {"genre": "pop"}
    assert differences(engine) == []


def test_items_of_an_older_schema_have_revision_0_and_later_changes_are_read(old, url):
    old.upgrade(backup=False)
    with Store(url) as store:
        known = store.catalogue()
        assert known.revision == 0
        assert (known.where({"genre": "synth-pop"}), store.inactive_items()) == (["x"], ["y"])
        store.activate_items(["y"])
        newer = store.catalogue(known)
        assert newer.revision == 1
        assert {*newer.where({})} - {*known.where({})} == {"y"}


def test_events_of_an_older_schema_keep_their_order_until_their_file_is_ingested_again(store, url, engine):
    rows = [("u", item, time) for time in (1, 2) for item in "hgfedcba"] + [("v", "x", 3)]
    store.ingest(listens(*rows))
    in_order_of_the_file = store.history("u").items
    assert in_order_of_the_file == [*"hgfedcba"] * 2
    schema = Schema(parse_url(url))
    schema.downgrade("0003")
    schema.upgrade(backup=False)
    by_key = sorted(rows[:-1], key=lambda row: (row[2], event_key(row[0], row[1], "none", row[2])))
    assert store.history("u").items == [row[1] for row in by_key] != in_order_of_the_file
    assert len(store.interactions().timestamp) == len(rows)
    assert store.ingest(listens(*rows)).n_new == 0
    assert store.history("u").items == in_order_of_the_file
    assert differences(engine) == []


def test_a_downgrade_fails_if_events_have_no_timestamps(store, url, engine):
    store.ingest(Interactions.of(user=["u"], item=["x"]))
    with pytest.raises(RuntimeError, match="rows without timestamps"):
        Schema(parse_url(url)).downgrade("0003")
    assert store.current() == HEAD
    assert differences(engine) == []
    assert store.history("u").timestamps is None


def test_a_downgrade_fails_if_two_folders_share_a_generation(store, url, engine):
    fill(store, engine)
    with engine.begin() as connection:
        connection.execute(metadata.tables["promotion"].insert(), {**PROMOTION, "version": "elsewhere"})
    before = content(engine)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"promotion"):
            Schema(parse_url(url)).downgrade("0001")
        assert content(engine) == before
        assert store.current() == HEAD
        assert differences(engine) == []
        assert tables(engine) == {*metadata.tables, "alembic_version"}


def test_downgrade_to_base_and_upgrade(store, url, engine):
    fill(store, engine)
    Schema(parse_url(url)).downgrade("base")
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    assert store.current() is None
    assert store.upgrade() == store.head
    assert {count for count, _ in content(engine).values()} == {0}


@pytest.mark.parametrize("fault", ["raise RuntimeError('by hand')", "op.execute('SELECT * FROM nowhere')"])
def test_a_migration_that_fails_changes_nothing(store, engine, revise, fault):
    fill(store, engine)
    before = content(engine)
    for _ in range(2):
        with pytest.raises((RuntimeError, StoreError), match=r"by hand|nowhere"):
            revise(HALFWAY.format(fault=fault)).upgrade(backup=False)
        assert store.current() == HEAD
        assert content(engine) == before
        assert "halfway" not in tables(engine)
    assert revise(HALFWAY.format(fault="pass")).upgrade(backup=False) == "later"


def test_a_shipped_revision_that_fails_changes_nothing(old, url, engine, tmp_path):
    before = content(engine, without=LATER_TABLES)
    failing = copied(url, tmp_path / "failing")
    (newest,) = (tmp_path / "failing" / "versions").glob(f"{HEAD}_*.py")
    newest.write_text(newest.read_text() + FAILS_AT_ITS_END)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="by hand"):
            failing.upgrade(backup=False)
        assert revision_of(engine) == "0001"
        assert primary_key_of_promotion(engine) == ["generation"]
        assert content(engine, without=LATER_TABLES) == before
        assert tables(engine) == {*metadata.tables, "alembic_version"} - LATER_TABLES
    assert old.upgrade(backup=False) == HEAD
    assert primary_key_of_promotion(engine) == ["generation", "version"]
    assert content(engine, without=LATER_TABLES) == before
    assert differences(engine) == []


@pytest.mark.parametrize("table", ["promotion", "interaction"])
def test_a_migration_that_loses_rows_is_rolled_back(store, engine, revise, table):
    fill(store, engine)
    before = content(engine)
    with pytest.raises(StoreError, match=rf"left 0 of \d+ rows in table '{table}'; .* rolled back"):
        revise(HALFWAY.format(fault=f"op.execute('DELETE FROM {table}')")).upgrade()
    assert content(engine) == before
    assert store.current() == HEAD


def test_a_migration_that_leaves_orphans_is_rolled_back(file, memory):
    orphaned = HALFWAY.format(fault="op.execute('UPDATE interaction SET item_id = 7777')")
    with pytest.raises(
        StoreError, match=r"in table 'interaction' that refer to missing rows in 'item'; .* rolled"
    ):
        with_later(file, memory / "alembic", orphaned).upgrade()
    with Store(file) as store:
        assert len(store.history("ann")) == 2


UPGRADE = """
import sys
from item2vec.store import Store
with Store({url!r}) as store:
    print("ready", flush=True)
    sys.stdin.read(1)
    print(store.upgrade(), flush=True)
"""


def upgrade_concurrently(url):
    """Upgrade in two concurrent processes; return the output of each."""
    command = [sys.executable, "-c", UPGRADE.format(url=url)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:
        child.stdin.write(".")
        child.stdin.flush()
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * 2
    return outputs


@pytest.mark.slow
def test_concurrent_upgrades_of_an_empty_database_all_succeed(url, engine):
    assert upgrade_concurrently(url) == [f"{HEAD}\n"] * 2
    assert differences(engine) == []


@pytest.mark.slow
def test_concurrent_upgrades_of_a_filled_store_all_succeed(old, url, engine):
    before = content(engine, without=LATER_TABLES)
    assert upgrade_concurrently(url) == [f"{HEAD}\n"] * 2
    assert content(engine, without=LATER_TABLES) == before
    assert differences(engine) == []


def test_an_upgrade_waits_for_a_writer(store, engine, revise):
    fill(store, engine)
    schema = revise(ROUND_TRIP)
    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as connection:
            connection.execute(metadata.tables["item"].insert(), {"external_id": "late"})
            upgrade = thread.submit(schema.upgrade, backup=False)
        assert upgrade.result() == "later"
    assert content(engine)["item"][0] == len(ODD_IDS) + 4


def test_only_an_older_sqlite_file_is_backed_up(file, memory):
    with Store(file) as store:
        store.upgrade()
        whole = store.summary()
    assert [path.name for path in memory.iterdir()] == ["store.db"]
    with_later(file, memory / "alembic", ROUND_TRIP).upgrade()
    assert {path.name for path in memory.iterdir()} == {"store.db", f"store.db.{HEAD}.backup", "alembic"}
    backup = memory / f"store.db.{HEAD}.backup"
    with Store(f"sqlite:///{backup}") as kept:
        assert kept.current() == HEAD
        assert kept.summary() == whole
        assert kept.history("ann").items == ["x", "z"]


def test_a_backup_that_cannot_be_written_stops_the_upgrade(file, memory):
    schema = with_later(file, memory / "alembic", ROUND_TRIP)
    (memory / f"store.db.{HEAD}.backup").mkdir()
    with pytest.raises(
        StoreError, match=r"store.db.\w+.backup could not be written: .* nothing was migrated"
    ):
        schema.upgrade()
    with Store(file) as store:
        assert store.current() == HEAD
    assert not [path for path in memory.iterdir() if path.suffix == ".tmp"]
    assert schema.upgrade(backup=False) == "later"


def test_a_revision_made_from_the_template_runs(file, memory):
    folder = memory / "alembic"
    schema = with_later(file, folder, HALFWAY.format(fault="pass"))
    command.revision(schema._config(), "Ratings & so on", rev_id="newest")
    assert Schema(schema.url, scripts=folder).upgrade() == "newest"
