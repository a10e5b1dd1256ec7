"""A backup of a store while another process ingests is one consistent state, on SQLite and PostgreSQL."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
from databases import NAMES
from faults.child import ENVIRONMENT
from stores import connected
from test_store_faults import content, expected, integrity, many

from item2vec.store import Store

BATCH = 250
N_ROWS = 1_000
N_ITEMS = 200
# Each source adds the same events; each batch of events, and each batch of items, is one transaction.
WRITER = """
import sys
from itertools import count
from test_store_faults import many
from item2vec import Items
from item2vec.store import Store
rows = many(1_000)
with Store(sys.argv[1]) as store:
    for number in count():
        store.ingest(rows, source=f"source {number}", batch_size=250)
        store.ingest_items(Items.of({f"i{n}": {"load": number} for n in range(200)}))
        print(number, flush=True)
"""


@contextmanager
def write_load(url):
    """Ingest in another process until the end of the block; wait for the first rows."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, url], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "0\n"
        yield writer
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()


def check_copy(copy):
    """Check that a copy has the present schema and whole transactions, and is writable; return its size."""
    with Store(copy) as store, connected(copy) as engine:
        store.check_schema()
        count = sa.text(
            "SELECT source, count(*) FROM interaction GROUP BY source ORDER BY length(source), source"
        )
        with engine.begin() as connection:
            batches = connection.execute(count).all()
        assert [n for _, n in batches[:-1]] == [N_ROWS] * (len(batches) - 1)
        assert batches[-1][1] % BATCH == 0
        items = store.items()
        loads = {items.about(f"i{n}").get("load") for n in range(N_ITEMS)}
        assert len(loads) == 1
        n_rows = store.summary()["n_interactions"]
        assert n_rows == sum(n for _, n in batches)
        newest = batches[-1][0]
        assert store.ingest(many(N_ROWS), source=newest).n_new == N_ROWS - batches[-1][1]
        assert content(store)[:: len(batches)] == expected(many(N_ROWS))
    return n_rows


def vacuum_into(file, copy):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))


def backup_api(file, copy):
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def db_copy(file, copy):
    with Store(f"sqlite:///{file}") as source, Store(f"sqlite:///{copy}") as target:
        source.copy_to(target)


@pytest.mark.slow
def test_backups_of_sqlite_during_ingest_are_consistent(memory):
    file, copies = memory / "store.db", [memory / f"copy-{number}.db" for number in range(3)]
    with Store(f"sqlite:///{file}") as store:
        store.upgrade()
    with write_load(f"sqlite:///{file}"):
        for back_up, copy in zip((vacuum_into, backup_api, db_copy), copies, strict=True):
            back_up(file, copy)
    assert [integrity(copy) for copy in copies] == [[("ok",)]] * 3
    first, second, third = (check_copy(f"sqlite:///{copy}") for copy in copies)
    assert N_ROWS <= first <= second <= third


def test_a_plain_copy_of_a_sqlite_file_in_use_is_no_backup(memory):
    file, copy = memory / "store.db", memory / "copy.db"
    with Store(f"sqlite:///{file}") as store:
        store.upgrade()
        store.ingest(many(100))
        shutil.copy(file, copy)
        with Store(f"sqlite:///{copy}") as copied:
            assert (copied.summary()["n_interactions"], store.summary()["n_interactions"]) == (0, 100)


@pytest.mark.slow
def test_a_dump_of_postgresql_during_ingest_is_consistent(server):
    names = [f"database_{next(NAMES)}" for _ in range(3)]
    url, *copies = (f"postgresql+psycopg://postgres@/{name}?host={server.folder}" for name in names)
    for name in names:
        server.program("createdb", "-T", "template0", "-E", "UTF8", name)
    with Store(url) as store:
        store.upgrade()
    dumps = [f"{server.folder}/{name}.dump" for name in names[1:]]
    with write_load(url):
        for dump in dumps:
            server.program("pg_dump", "--format=custom", f"--file={dump}", names[0])
    for name, dump in zip(names[1:], dumps, strict=True):
        server.program("pg_restore", "--exit-on-error", f"--dbname={name}", dump)
    first, second = map(check_copy, copies)
    assert N_ROWS <= first <= second
