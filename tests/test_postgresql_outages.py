"""A PostgreSQL server restarts or is killed: idle connections afterwards, and requests meanwhile."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from databases import empty_schema
from faults.promoted import shared_model
from test_store_faults import content, expected, many

from item2vec import Engine, Interactions
from item2vec.errors import StoreError
from item2vec.store import Store

N_CONNECTIONS = 4
HISTORY = ["item-3", "item-5"]


@pytest.fixture(scope="module")
def places(server, tmp_path_factory):
    """A model and a store on PostgreSQL, in which the user u0 has a history."""
    model, url = tmp_path_factory.mktemp("outages") / "model", empty_schema(server.folder)
    shared_model(1).save(model)
    with Store(url) as store:
        store.upgrade()
        store.ingest(
            Interactions.of(user=["u0"] * 3, item=["item-1", "item-2", "item-4"], timestamp=[1, 2, 3])
        )
    return {"models": model, "store": url}


def fill_pool(store):
    """Open several connections of a store at a time, and leave them idle in its pool."""
    with ExitStack() as stack:
        for _ in range(N_CONNECTIONS):
            stack.enter_context(store._engine.connect())
    assert store._engine.pool.checkedin() == N_CONNECTIONS


@pytest.mark.slow
@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_no_request_fails_after_an_outage(server, places, how):
    with Engine(**places, reload_every=1e-9) as engine, ThreadPoolExecutor(N_CONNECTIONS) as threads:
        ranking = engine.recommend("u0", k=5)
        fill_pool(engine.store)
        with server.outage(how):
            pass
        assert list(threads.map(lambda _: engine.recommend("u0", k=5), range(20))) == [ranking] * 20


@pytest.mark.slow
def test_requests_during_an_outage(server, places, caplog):
    caplog.set_level(logging.INFO)
    with Engine(**places, reload_every=1e-9) as engine:
        of_user, of_history = engine.recommend("u0"), engine.recommend(history=HISTORY)
        similar = engine.similar_items("item-1")
        fill_pool(engine.store)
        with server.outage("killed"):
            for _ in range(3):
                with pytest.raises(StoreError, match="check that the server is running"):
                    engine.recommend("u0")
                with pytest.raises(StoreError, match="check that the server is running"):
                    engine.store.deactivate_items([of_history[0].item])
                assert engine.recommend(history=HISTORY) == of_history
                assert engine.similar_items("item-1") == similar
            with pytest.raises(StoreError, match="check that the server is running"):
                Engine(**places)
        assert caplog.text.count("still using Catalogue") == 1
        assert engine.recommend("u0") == of_user
        with Store(places["store"]) as other:
            other.deactivate_items(["item-4"])
            engine.refresh()
            assert "item-4" not in {entry.item for entry in engine.recommend(history=HISTORY, k=600)}
            other.activate_items(["item-4"])


def test_an_interrupted_ingest_loses_no_committed_batch(server):
    url, rows = empty_schema(server.folder), many(5_000)
    with Store(url) as store, Store(url) as observer, ThreadPoolExecutor(1) as thread:
        store.upgrade()
        ingest = thread.submit(store.ingest, rows, batch_size=500)
        while observer.summary()["n_interactions"] < 1_000 and not ingest.done():
            pass
        with server.outage("restarted"):
            error = ingest.exception()
        assert error is None or (isinstance(error, StoreError) and error.exit_code == 1)
        n_kept = observer.summary()["n_interactions"]
        assert n_kept % 500 == 0
        assert n_kept >= 1_000
        assert store.ingest(rows, batch_size=500).n_new == 5_000 - n_kept
        assert content(store) == expected(rows)


def test_limits_of_connections(places):
    limits = {"connect_timeout": "10", "tcp_user_timeout": "30000", "keepalives_idle": "60"}
    own = {"connect_timeout": "7", "tcp_user_timeout": "5000", "keepalives_idle": "9"}
    for url, expected_limits in (
        (places["store"], limits),
        (places["store"] + "".join(f"&{name}={value}" for name, value in own.items()), own),
    ):
        with Store(url) as store, store._engine.connect() as connection:
            parameters = connection.connection.dbapi_connection.info.get_parameters()
            assert {name: parameters[name] for name in limits} == expected_limits
