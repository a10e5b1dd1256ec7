"""How the service opens its engine: errors of any type are named, logged once per cause, and tried again."""

import logging
import threading

import pytest
from faults.child import HANGING
from services import is_problem, wait_for_answer, wait_until_ready
from starlette.testclient import TestClient

from item2vec import Engine, Items, adapters, fit, publish
from item2vec.errors import StoreError
from item2vec.service import Serving, create_app
from item2vec.store import Store


class Attempts:
    """Attempts to open an engine; they fail with the error that was set last, unless it is ``None``."""

    def __init__(self):
        self.closed = []
        self.set(None)

    def set(self, error):
        self._state = error, threading.Semaphore(0)

    def fail(self):
        error, failed = self._state
        if error is not None:
            failed.release()
            raise error

    def wait_for(self, n):
        for _ in range(n):
            assert self._state[1].acquire(timeout=HANGING)


@pytest.fixture
def attempts(monkeypatch):
    attempts = Attempts()

    class Failing(Engine):
        def view(self):
            attempts.fail()
            return super().view()

        def close(self):
            attempts.closed.append(self)
            super().close()

    monkeypatch.setattr("item2vec.service.serving.Engine", Failing)
    monkeypatch.setattr("item2vec.service.serving.RETRY_SECONDS", 0.01)
    return attempts


@pytest.mark.parametrize("error", [MemoryError(), OSError("no file"), KeyError("bug"), StoreError("down")])
def test_after_an_error_of_any_type_the_engine_is_opened_again(served, attempts, caplog, error):
    kind = type(error).__name__
    attempts.set(error)
    app = create_app(Serving(f"{served}/models", None))
    caplog.set_level(logging.WARNING, "item2vec.service.serving")
    with TestClient(app, raise_server_exceptions=False) as client:
        attempts.wait_for(3)
        problem = is_problem(client.get("/readyz"), 503)
        assert problem["detail"].startswith(f"no model is loaded: {kind}; ")
        attempts.set(OSError("another cause"))
        attempts.wait_for(3)
        attempts.set(None)
        wait_until_ready(client)
        assert len(attempts.closed) >= 6
    logged = [(record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert logged == [
        (f"no model is loaded yet: {kind}: {error}", kind != "StoreError"),  # a bug needs its traceback
        ("no model is loaded yet: OSError: another cause", True),
    ]


def test_before_a_model_is_published_the_store_is_served(tmp_path):
    """A new shop collects its first events and items over HTTP, and trains its first model from them."""
    url = f"sqlite:///{tmp_path}/item2vec.db"
    with Store(url) as store:
        store.upgrade()
        store.ingest_items(Items.of({"old": {"title": "Old", "genre": "jazz"}}))
    app = create_app(Serving(f"{tmp_path}/models", url, reload_every=0.05))
    with TestClient(app, raise_server_exceptions=False) as client:
        events = {"events": [{"user": f"u{n}", "item": item} for n in range(30) for item in "abc"]}
        assert client.post("/v1/events", json=events).json() == {"new": 90, "known": 0}
        assert client.put("/v1/items/new", json={"title": "New"}).json()["title"] == "New"
        changed = client.put("/v1/items/old", json={"title": "Renamed"}).json()
        assert (changed["title"], changed["attributes"]) == ("Renamed", {"genre": "jazz"})
        assert client.delete("/v1/items/old").json()["active"] is False
        assert client.get("/v1/items/old").json()["active"] is False
        assert client.get("/v1/versions").json() == {"versions": []}
        assert client.get("/v1/runs").json() == {"runs": []}
        for route in ("/readyz", "/v1/users/u1/recommendations", "/v1/items?q=a", "/v1/items/unknown"):
            detail = is_problem(client.get(route), 503)["detail"]
            assert "yet" in detail
            assert "Error" not in detail
        wait_for_answer(client, "/readyz", lambda answer: "no model is published yet" in answer["detail"])
        with Store(url) as store:
            publish(fit(adapters.histories(store.interactions()), vector_size=8), tmp_path / "models")
        wait_until_ready(client)
        found = client.get("/v1/users/u1/recommendations?filter_seen=false").json()["items"]
        assert {item["item"] for item in found} == {"a", "b", "c"}
        assert client.get("/v1/items/new").json()["title"] == "New"


def test_without_a_store_events_are_refused(tmp_path):
    with TestClient(create_app(Serving(f"{tmp_path}/models", None))) as client:
        problem = is_problem(client.post("/v1/events", json={"events": [{"user": "u", "item": "i"}]}), 422)
        assert "no store" in problem["detail"]
        is_problem(client.get("/v1/items/i"), 503)
