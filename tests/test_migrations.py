"""Migrations keep what is there, leave nothing behind if they fail, and are the only way a schema is made."""

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from item2vec import Interactions, Items
from item2vec.errors import InputError, SchemaError, StoreError
from item2vec.files import shipped
from item2vec.store import Store
from item2vec.store.connect import begin_as, make_engine, parse_url
from item2vec.store.schema import Schema
from item2vec.store.tables import metadata

ROUND_TRIP = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


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

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade():
    op.create_table("halfway", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("UPDATE item SET title = 'spoilt'")
    {fault}


def downgrade():
    op.drop_table("halfway")
"""


NOW = datetime(2024, 1, 1, tzinfo=UTC)
RUN = {"started_at": NOW, "status": "promoted", "gates": {"recall": 0.5}}
PROMOTION = {
    "generation": 1,
    "version": "g1",
    "manifest_sha256": "0" * 64,
    "run_id": 1,
    "actor": "test",
    "promoted_at": NOW,
}
RECOMMENDATION = {"version": "g1", "user_id": 1, "rank": 1, "item_id": 2, "score": 0.5}


@contextmanager
def connected(url):
    engine = begin_as(make_engine(parse_url(url)), "write")
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def engine(url):
    with connected(url) as engine:
        yield engine


@pytest.fixture
def revise(url, tmp_path):
    """A function that adds a second revision to a copy of the shipped ones."""
    return lambda second: with_second(url, tmp_path / "50% of revisions", second)


@pytest.fixture
def file(memory):
    """The URL of a filled SQLite store, whose folder holds nothing else."""
    url = f"sqlite:///{memory}/store.db"
    with Store(url) as store, connected(url) as engine:
        store.upgrade()
        fill(store, engine)
    return url


def with_second(url, folder, second):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(shipped("alembic"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_second.py").write_text(second)
    return Schema(parse_url(url), scripts=folder)


def fill(store, engine):
    """Put something into every table."""
    columns = {"weight": [1.5, 2, 3], "session": ["s", "s", "t"]}
    users, items = ["ann", "bob", "ann"], ["x", "y", "z"]
    store.ingest(Interactions.of(user=users, item=items, timestamp=[1, 2, 3], **columns))
    store.ingest_items(Items.of({"x": {"title": "Blue Monday", "genre": ["synth-pop"]}}))
    store.deactivate_items(["y"])
    with engine.begin() as connection:
        for name, row in (("run", RUN), ("promotion", PROMOTION), ("recommendation", RECOMMENDATION)):
            connection.execute(metadata.tables[name].insert(), row)


def content(engine):
    """Row counts and content hashes of every table, by the columns of the first revision."""
    found = {}
    with engine.begin() as connection:
        for name, table in metadata.tables.items():
            rows = sorted(map(repr, connection.execute(sa.select(table))))
            found[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


def differences(engine):
    """Between the tables in code and those in the database, CHECKs and SQLite's options included."""
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            there = {check["name"] for check in inspector.get_check_constraints(table.name)}
            meant = {check.name for check in table.constraints if _is_check_of(check, engine.dialect.name)}
            found += [(table.name, name) for name in there ^ meant]
            options = inspector.get_table_options(table.name)
            if engine.dialect.name == "sqlite":
                meant = {
                    name: value for name, value in table.kwargs.items() if name != "sqlite_autoincrement"
                }
                found += [(table.name, options)] * (options != meant)
    return found


def _is_check_of(constraint, dialect):
    if not isinstance(constraint, sa.CheckConstraint):
        return False
    return constraint._ddl_if is None or constraint._ddl_if.dialect == dialect


def test_the_tables_in_code_are_the_tables_that_migrations_make(store, engine):
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


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(store, engine):
    fill(store, engine)
    before = content(engine)
    assert store.upgrade() == store.head == store.current()
    assert content(engine) == before


def test_up_down_and_up_again_keeps_every_row(store, engine, revise):
    fill(store, engine)
    before = content(engine)
    assert all(count for count, _ in before.values())
    schema = revise(ROUND_TRIP)
    for _ in range(2):
        assert schema.upgrade() == "0002"
        assert content(engine) == before
        with engine.begin() as connection:
            assert "artist" in {column["name"] for column in sa.inspect(connection).get_columns("item")}
        with pytest.raises(SchemaError, match=r"revision 0002, which this package .* does not know"):
            store.check_schema()
        assert schema.downgrade("0001") == "0001"
        assert content(engine) == before
        assert differences(engine) == []
    store.check_schema()


def test_down_to_nothing_and_up_again(store, url, engine):
    fill(store, engine)
    Schema(parse_url(url)).downgrade("base")
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    assert store.current() is None
    assert store.upgrade() == store.head
    assert {count for count, _ in content(engine).values()} == {0}


@pytest.mark.parametrize("fault", ["raise RuntimeError('by hand')", "op.execute('SELECT * FROM nowhere')"])
def test_a_failing_migration_leaves_nothing_behind(store, engine, revise, fault):
    fill(store, engine)
    before = content(engine)
    for _ in range(2):
        with pytest.raises((RuntimeError, StoreError), match=r"by hand|nowhere"):
            revise(HALFWAY.format(fault=fault)).upgrade(backup=False)
        assert store.current() == "0001"
        assert content(engine) == before
        with engine.begin() as connection:
            assert "halfway" not in sa.inspect(connection).get_table_names()
    assert revise(HALFWAY.format(fault="pass")).upgrade(backup=False) == "0002"


@pytest.mark.parametrize("table", ["promotion", "interaction"])
def test_a_migration_that_loses_rows_is_rolled_back(store, engine, revise, table):
    fill(store, engine)
    before = content(engine)
    with pytest.raises(StoreError, match=rf"left 0 of \d rows in '{table}'; rolled back"):
        revise(HALFWAY.format(fault=f"op.execute('DELETE FROM {table}')")).upgrade()
    assert content(engine) == before
    assert store.current() == "0001"


def test_a_migration_that_leaves_orphans_is_rolled_back(file, memory):
    orphaned = HALFWAY.format(fault="op.execute('UPDATE interaction SET item_id = 77')")
    with pytest.raises(StoreError, match="left 'interaction' without its 'item'; rolled back"):
        with_second(file, memory / "alembic", orphaned).upgrade()
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


def test_upgrades_at_once_all_succeed(url, engine):
    command = [sys.executable, "-c", UPGRADE.format(url=url)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(3)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 3
    for child in children:
        child.stdin.write(".")
        child.stdin.flush()
    assert [child.communicate()[0] for child in children] == ["0001\n"] * 3
    assert [child.returncode for child in children] == [0] * 3
    assert differences(engine) == []


def test_an_upgrade_waits_for_a_writer(store, engine, revise):
    fill(store, engine)
    schema = revise(ROUND_TRIP)
    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as connection:
            connection.execute(metadata.tables["item"].insert(), {"external_id": "late"})
            upgrade = thread.submit(schema.upgrade, backup=False)
        assert upgrade.result() == "0002"
    assert content(engine)["item"][0] == 4


def test_a_backup_is_left_beside_an_older_file_and_only_then(file, memory):
    with Store(file) as store:
        store.upgrade()
        whole = store.summary()
    assert [path.name for path in memory.iterdir()] == ["store.db"]
    with_second(file, memory / "alembic", ROUND_TRIP).upgrade()
    assert {path.name for path in memory.iterdir()} == {"store.db", "store.db.0001.backup", "alembic"}
    backup = memory / "store.db.0001.backup"
    with Store(f"sqlite:///{backup}") as kept:
        assert kept.current() == "0001"
        assert kept.summary() == whole
        assert kept.history("ann").items == ["x", "z"]


def test_a_backup_that_cannot_be_written_stops_the_upgrade(file, memory):
    schema = with_second(file, memory / "alembic", ROUND_TRIP)
    (memory / "store.db.0001.backup").mkdir()
    with pytest.raises(StoreError, match=r"store.db.0001.backup cannot be written .* nothing was migrated"):
        schema.upgrade()
    with Store(file) as store:
        assert store.current() == "0001"
    assert not [path for path in memory.iterdir() if path.suffix == ".tmp"]
    assert schema.upgrade(backup=False) == "0002"


def test_the_template_makes_a_revision_that_runs(file, memory):
    folder = memory / "alembic"
    schema = with_second(file, folder, HALFWAY.format(fault="pass"))
    command.revision(schema._config(), "Ratings & so on", rev_id="0003")
    assert Schema(schema.url, scripts=folder).upgrade() == "0003"


def test_moments_must_be_aware_and_come_back_in_utc(store, engine):
    run = metadata.tables["run"]
    east = datetime.fromisoformat("2024-01-01T00:00:00.000001+05:00")
    with engine.begin() as connection:
        connection.execute(run.insert(), {"started_at": east, "status": "running"})
        (back,) = connection.scalars(sa.select(run.c.started_at))
    assert back == east
    assert back.isoformat() == "2023-12-31T19:00:00.000001+00:00"
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
        ("promotion", PROMOTION, {"generation": 2, "run_id": 77}),
        ("promotion", PROMOTION, {"generation": 2, "manifest_sha256": "0"}),
        ("recommendation", RECOMMENDATION, {}),
        ("recommendation", RECOMMENDATION, {"rank": 0}),
        ("recommendation", RECOMMENDATION, {"version": "g2", "user_id": 77}),
    ],
)
def test_rows_that_mean_nothing_are_refused(store, engine, table, row, change):
    fill(store, engine)
    with pytest.raises((sa.exc.StatementError, InputError)), engine.begin() as connection:
        connection.execute(metadata.tables[table].insert(), {**row, **change})
