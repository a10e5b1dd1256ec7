"""The store under faults: killed processes, full disks, damaged files and concurrent writers."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from examples import examples
from faults import strace
from faults.child import run
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from item2vec import Interactions, Items, Vocabulary
from item2vec.errors import Item2VecError, StoreError
from item2vec.store import Store
from item2vec.store.connect import begin_as, make_engine, parse_url, retried

N = 20_000


def many(n=N, seed=7):
    """Return n distinct interactions, the same in every process."""
    rng = np.random.default_rng(seed)
    return Interactions(
        users=Vocabulary(tuple(f"u{number}" for number in range(2_000))),
        items=Vocabulary(tuple(f"i{number}" for number in range(500))),
        user=rng.integers(0, 2_000, n, dtype=np.int32),
        item=rng.integers(0, 500, n, dtype=np.int32),
        timestamp=np.arange(n),
    )


def content(store):
    rows = store.interactions()
    columns = [rows.timestamp.tolist(), rows.users.decode(rows.user), rows.items.decode(rows.item)]
    return sorted(zip(*columns, strict=True))


def expected(rows):
    return list(
        zip(rows.timestamp.tolist(), rows.users.decode(rows.user), rows.items.decode(rows.item), strict=True)
    )


def integrity(file):
    connection = sqlite3.connect(file)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from test_store_faults import many
from item2vec.store import Store
with Store({url!r}) as store:
    store.ingest(many().take(slice(0, 1000)))
    print("started", flush=True)
    store.ingest(many(), batch_size=500)
    print("finished", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches_before_the_kill", [0, 15])
def test_kill_9_during_ingest_loses_no_committed_batch(store, url, request, batches_before_the_kill):
    script = CHILD.format(tests=str(request.path.parent), url=url)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "started\n"
        while store.summary()["n_interactions"] < 1000 + 500 * batches_before_the_kill:
            pass
    finally:
        child.send_signal(signal.SIGKILL)
        assert "finished" not in child.stdout.read()
        child.wait()
        child.stdout.close()
    n_kept = store.summary()["n_interactions"]
    assert 1000 <= n_kept < N
    assert n_kept % 500 == 0
    if url.startswith("sqlite"):
        assert integrity(url.removeprefix("sqlite:///")) == [("ok",)]
    assert store.ingest(many()).n_new == N - n_kept
    assert content(store) == expected(many())


FLUSHED = """
import sys
sys.path.insert(0, {tests!r})
from test_store_faults import many
from item2vec.store import Store
with Store("sqlite:///" + sys.argv[1]) as store:
    store.upgrade()
    store.ingest(many(100), batch_size=5)
"""


@pytest.mark.slow
def test_each_batch_is_flushed_before_the_next_begins(memory, tmp_path, request):
    strace.require()
    traced = ["strace", "-f", "-y", "-s", "0", "-o", tmp_path / "trace", "-e", "trace=pwrite64,fdatasync"]
    run(FLUSHED.format(tests=str(request.path.parent)), memory / "store.db", prefix=traced)
    calls = (tmp_path / "trace").read_text()
    assert len(re.findall(r"fdatasync\(\d+<[^>]*store.db-wal>\) += 0", calls)) >= 20


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from test_store_faults import many
from item2vec.errors import StoreError
from item2vec.store import Store
with Store({url!r}) as store:
    store.ingest(many().take(slice(0, 1000)))
    store.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    try:
        store.ingest(many(), batch_size=2000)
    except StoreError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [700_000, 2_000_000])
def test_a_full_disk_is_an_error_that_damages_nothing(memory, request, limit):
    url = f"sqlite:///{memory}/store.db"
    with Store(url) as store:
        store.upgrade()
    script = FULL.format(tests=str(request.path.parent), url=url, limit=limit)
    message = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert "then run the same command again" in message
    assert integrity(memory / "store.db") == [("ok",)]
    with Store(url) as store:
        n_kept = store.summary()["n_interactions"]
        assert 1000 <= n_kept < N
        assert store.ingest(many()).n_new == N - n_kept
        assert content(store) == expected(many())


@pytest.mark.slow
def test_threads_that_ingest_the_same_rows_lose_nothing_and_count_correctly(store):
    rows = many(4_000)
    parts = [rows.take(np.random.default_rng(seed).permutation(4_000)[:3_000]) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        ingested = list(threads.map(lambda part: store.ingest(part, batch_size=300), parts))
    union = sorted({row for part in parts for row in expected(part)})
    assert content(store) == union
    assert sum(counts.n_new for counts in ingested) == len(union)


@pytest.mark.slow
def test_a_user_can_be_forgotten_during_ingest(store):
    rows = many(3_000)
    with ThreadPoolExecutor(3) as threads:
        ingests = [threads.submit(store.ingest, rows, batch_size=100, source=source) for source in ("a", "b")]
        while not all(ingest.done() for ingest in ingests):
            for number in range(0, 2_000, 50):
                store.forget_user(f"u{number}")
    kept = {row for row in expected(rows) if int(row[1][1:]) % 50}
    assert [ingest.result().n_rows for ingest in ingests] == [3_000, 3_000]
    assert kept <= {*content(store)} <= {*expected(rows)}


def test_a_lost_connection_is_reopened(cluster):
    schema = "lost"
    server = f"postgresql+psycopg://postgres@/postgres?host={cluster}"
    other_clients = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    disconnect = text(f"SELECT pg_terminate_backend(pid) {other_clients}")
    count = text(f"SELECT count(*) FROM {schema}.interaction")
    rows = many(5_000)
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, Store(f"{server}&options=-csearch_path%3D{schema}") as store:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        store.upgrade()
        connection.execute(disconnect)
        assert store.summary()["n_interactions"] == 0
        with ThreadPoolExecutor(1) as thread:
            ingest = thread.submit(store.ingest, rows, batch_size=500)
            for n_rows in (500, 2_000, 3_500):
                while not ingest.done() and connection.execute(count).scalar_one() < n_rows:
                    pass
                connection.execute(disconnect)
        assert ingest.result().n_rows == 5_000
        assert content(store) == expected(rows)
    engine.dispose()


def test_a_lock_that_is_not_released_is_an_error(memory):
    url = f"sqlite:///{memory}/store.db"
    with Store(url) as store, Store(f"{url}?timeout=0.01") as impatient:
        store.upgrade()
        holder = sqlite3.connect(memory / "store.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert impatient.summary()["n_interactions"] == 0
        with pytest.raises(
            StoreError, match="database is locked; another process is writing to the database"
        ):
            impatient.ingest(many(1))
        waiting = ThreadPoolExecutor(1).submit(store.ingest, many(1))
        holder.execute("COMMIT")
        assert waiting.result().n_new == 1
        holder.close()


@pytest.fixture
def impatient(memory):
    """Return the URL of a filled SQLite store, for connections that do not wait for locks."""
    url = f"sqlite:///{memory}/store.db?timeout=0"
    with Store(url) as store:
        store.upgrade()
        store.ingest(many(2_000))
    return url


@contextlib.contextmanager
def transactions(url, mode):
    engine = begin_as(make_engine(parse_url(url)), mode)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("mode", ["write", "migrate"])
def test_a_writer_takes_the_lock_before_it_reads(impatient, mode):
    with transactions(impatient, mode) as engine, engine.begin(), Store(impatient) as store:
        assert len(store.interactions()) == 2_000
        with pytest.raises(StoreError, match="locked"):
            store.ingest(many(1))


def test_a_writer_does_not_wait_for_a_reader(impatient):
    with transactions(impatient, "read") as engine, engine.begin() as connection, Store(impatient) as store:
        rows = connection.execute(text("SELECT item_id FROM interaction"))
        assert rows.fetchone()
        assert store.ingest(many(1_000, seed=8), source="later").n_new == 1_000
        assert len(rows.all()) == 1_999


def test_a_transaction_is_repeated_after_a_held_lock(impatient, memory):
    holder = sqlite3.connect(memory / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    attempts = []

    def transaction():
        attempts.append("one more")
        try:
            with engine.begin() as connection:
                return connection.execute(text("DELETE FROM interaction")).rowcount
        finally:
            if holder.in_transaction:
                holder.execute("ROLLBACK")

    with transactions(impatient, "write") as engine:
        assert retried(transaction) == 2_000
    assert len(attempts) == 2
    holder.close()


def test_a_transaction_is_not_repeated_after_a_permanent_error(impatient):
    attempts = []

    def transaction():
        attempts.append("one more")
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM nowhere"))

    with transactions(impatient, "write") as engine, pytest.raises(DBAPIError):
        retried(transaction)
    assert len(attempts) == 1


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    with Store(f"sqlite:///{folder}/store.db") as store:
        store.upgrade()
        store.ingest(many(300))
        store.ingest_items(Items.of({f"i{n}": {"title": f"Song {n}", "genre": ["jazz"]} for n in range(99)}))
    return folder / "store.db"


def call_all_methods(store):
    store.current()
    store.summary()
    store.interactions()
    store.history("u1")
    store.items()
    store.items_where({})
    store.inactive_items()
    store.ingest(many(400))
    store.ingest_items(Items.of({"i1": {"title": "x"}}))
    store.deactivate_items(["i1"])
    store.forget_user("u2")
    store.upgrade()


fractions = st.floats(0, 1, exclude_max=True)


@given(
    flips=st.lists(st.tuples(fractions, st.integers(0, 7)), min_size=1, max_size=20),
    cut=st.none() | fractions,
)
@example(
    flips=[(0.4375, 7)], cut=None
)  # damages the text of the schema, which SQLite's error message contains
@examples(60)
def test_a_damaged_file_raises_only_errors_of_this_package(healthy, flips, cut):
    damaged = healthy.with_name("damaged.db")
    content_ = bytearray(healthy.read_bytes())
    for fraction, bit in flips:
        content_[int(fraction * len(content_))] ^= 1 << bit
    damaged.write_bytes(content_ if cut is None else content_[: int(cut * len(content_))])
    for suffix in ("-wal", "-shm"):
        damaged.with_name(f"damaged.db{suffix}").unlink(missing_ok=True)
    with Store(f"sqlite:///{damaged}") as store, contextlib.suppress(Item2VecError):
        call_all_methods(store)


def test_a_file_that_is_not_a_database_is_an_error(tmp_path):
    (tmp_path / "store.db").write_text("user,item,timestamp\n" * 100)
    with Store(f"sqlite:///{tmp_path}/store.db") as store:
        for call in (store.upgrade, store.current, store.items):
            with pytest.raises(StoreError, match=r"file is not a database; .* check the path") as error:
                call()
            assert error.value.exit_code == 5
    assert (tmp_path / "store.db").read_text().startswith("user,item")


@pytest.mark.parametrize(
    ("damage", "call"),
    [
        ("UPDATE interaction SET user_id = 9", Store.interactions),
        ("UPDATE interaction SET occurred_at = 'then'", Store.interactions),
        ("UPDATE interaction SET occurred_at = 'then'", lambda store: store.history("ann")),
        ("UPDATE interaction SET occurred_at = 9e18", Store.summary),
        ("UPDATE interaction SET weight = 'much'", lambda store: store.history("ann")),
        ("UPDATE interaction SET weight = -1", Store.interactions),
        ("UPDATE item SET attributes = '{'", Store.items),
        ("UPDATE item SET attributes = '{'", lambda store: store.items_where({"a": 1})),
        ("UPDATE item SET external_id = ''", Store.items),
        ("UPDATE item SET external_id = X'ff'", Store.items),
    ],
)
def test_an_invalid_value_is_an_error(memory, damage, call):
    with Store(f"sqlite:///{memory}/store.db") as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["ann"], item=["x"], timestamp=[1]))
        connection = sqlite3.connect(memory / "store.db", isolation_level=None)
        connection.execute("PRAGMA writable_schema = ON")
        not_strict = "UPDATE sqlite_schema SET sql = replace(replace(sql, ',\n STRICT', ''), 'STRICT', '')"
        connection.execute(not_strict)
        connection.close()
        connection = sqlite3.connect(memory / "store.db", isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(damage)
        connection.close()
        with pytest.raises(StoreError, match=r"restore a backup|malformed JSON") as error:
            call(store)
        assert error.value.exit_code == 5 or "JSON" in str(error.value)
