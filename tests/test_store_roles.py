"""The roles of docs/postgresql.md have the privileges for their tasks, and no others."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from databases import listens
from sqlalchemy import create_engine

from item2vec import Items, ItemVectors, Recommender, Vocabulary, recommend_all
from item2vec.errors import StoreError
from item2vec.store import Store
from item2vec.store.changes import change_item
from item2vec.store.new_items import first_users

PAGE = Path(__file__).parent.parent / "docs" / "postgresql.md"
NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def as_role(cluster):
    """Create the database by the SQL of the page; return a function that opens it as a role."""
    create, grant = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    server = f"@/item2vec?host={cluster}"
    run(f"postgresql+psycopg://postgres@/postgres?host={cluster}", create)
    with Store(f"postgresql+psycopg://item2vec{server}") as owner:
        owner.upgrade()
    run(f"postgresql+psycopg://item2vec{server}", grant)
    return lambda role: Store(f"postgresql+psycopg://{role}{server}")


def run(url, statements):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements.split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()


def ingest(store):
    rows = listens(("ann", "x", 1), ("bob", "y", 2))
    for _ in range(2):
        assert store.ingest(rows, source=repr(store)).n_rows == 2
    store.ingest_items(Items.of({"x": {"title": "Blue Monday", "genre": "synth-pop"}}))
    store.deactivate_items(["y"])
    store.activate_items(["y"])


def read(store):
    store.check_schema()
    assert store.summary()["n_interactions"] == len(store.interactions())
    store.history("ann", limit=5)
    first_users(store, ["x"], after=NOW)
    store.items()
    store.inactive_items()
    store.items_where({"genre": "jazz"})


def record(store):
    run_id = store.begin_run(config={"models": "m", "host": repr(store)}, now=NOW)
    assert store.close_interrupted_runs("elsewhere", repr(store), NOW) == 0
    store.finish_run(run_id, status="promoted", version="g1", now=NOW)
    move = {"generation": run_id, "version": "g1", "previous": None, "manifest_sha256": "0" * 64}
    for _ in range(2):
        store.record_promotion(**move, run_id=run_id, actor="retrain", now=NOW)
    assert store.promotions()[0].run_id == store.runs()[0].id == run_id


def show(store):
    users, now = ["ann", repr(store)], datetime.now(UTC)
    assert store.impressions.record(users, [["x"], ["new"]], version="g1", now=now) == 2
    assert store.impressions.since(users, now) == [["x"], ["new"]]


def serve(store):
    ingest(store)
    change_item(store, "x", {"title": "Blue Monday", "active": True})
    store.runs(10)


def fill(store):
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    songs = ItemVectors(Vocabulary(("x", "y", f"new to {store!r}")), matrix, None, np.ones(3))
    done = recommend_all(Recommender(songs), store, k=1, to_store=store, version=repr(store))
    assert done.n_rows


def forget(store):
    store.impressions.delete(before=NOW)
    store.forget_user("ann")


WORK = (ingest, read, record, show, serve, fill, forget)
MAY = {
    "item2vec": {*WORK},
    "item2vec_ingest": {ingest, read},
    "item2vec_nightly": {read, record, fill},
    "item2vec_serving": {read, show},
    "item2vec_http": {ingest, read, serve},
}


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
@pytest.mark.parametrize("role", MAY)
def test_a_role_has_the_privileges_for_its_tasks_only(as_role, role, work):
    with as_role("item2vec") as owner:
        ingest(owner)
    with as_role(role) as store:
        if work in MAY[role]:
            work(store)
        else:
            with pytest.raises(StoreError, match=r"permission denied .*; this user lacks a privilege"):
                work(store)
