"""Limits of the service on rates, threads, waiting requests and calls of the store."""

import threading
import time

import pytest
from services import is_problem, wait_until_ready
from starlette.testclient import TestClient

from item2vec.errors import StoreError
from item2vec.service import ApiKeys, Limits, Serving, create_app

READ, WRITE = "a-key-that-only-reads", "a-key-that-also-writes"


def test_each_key_has_its_own_rate(served):
    keys = ApiKeys.of([("read", READ), ("write", WRITE)])
    app = create_app(Serving(f"{served}/models", None), keys=keys, limits=Limits(rate=0.001))
    with TestClient(app, raise_server_exceptions=False) as client:
        statuses = [client.get("/docs", headers={"X-API-Key": READ}).status_code for _ in range(3)]
        assert statuses == [200, 429, 429]
        assert client.get("/docs", headers={"X-API-Key": WRITE}).status_code == 200
        refused = client.get("/docs", headers={"X-API-Key": READ})
        is_problem(refused, 429)
        assert 900 < int(refused.headers["Retry-After"]) <= 1_000
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"max_in_flight": 1}, 503),
        ({"threads": 1, "max_wait": 0.001}, 503),
        ({"threads": 1, "max_wait": 60}, 200),
    ],
    ids=["too many", "no free thread", "one waits for the other"],
)
def test_requests_above_the_limit_wait_or_are_refused(served, monkeypatch, limits, status):
    app = create_app(Serving(f"{served}/models", f"sqlite:///{served}/item2vec.db"), limits=Limits(**limits))
    entered, release = threading.Event(), threading.Event()
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        plain = app.state.serving.recommend

        def slow(*arguments):
            entered.set()
            release.wait()
            return plain(*arguments)

        monkeypatch.setattr(app.state.serving, "recommend", slow)
        first, second = ([], [])
        ask = "/v1/users/u42/recommendations"
        threads = [threading.Thread(target=lambda a=a: a.append(client.get(ask))) for a in (first, second)]
        threads[0].start()
        entered.wait()
        threads[1].start()
        if status == 503:
            threads[1].join()
            is_problem(second[0], 503)
            assert int(second[0].headers["Retry-After"]) >= 1
        assert client.get("/livez").status_code == 200
        release.set()
        for thread in threads:
            thread.join()
        assert [first[0].status_code, second[0].status_code] == [200, status]
        assert client.get("/v1/versions").status_code == 200


def test_a_store_that_does_not_answer_leaves_threads_to_histories(served, monkeypatch):
    """Eight requests wait for the store; the ninth is answered without it."""
    app = create_app(Serving(f"{served}/models", f"sqlite:///{served}/item2vec.db"))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        store, waiting, release = app.state.serving.engine.store, threading.Semaphore(0), threading.Event()

        def hang(*_, **__):
            waiting.release()
            release.wait()
            raise StoreError("no answer")

        monkeypatch.setattr(store, "histories", hang)
        monkeypatch.setattr("item2vec.service.serving.STORE_WAIT_SECONDS", 0.01)
        user = "/v1/users/u42/recommendations?k=3"
        threads = [threading.Thread(target=client.get, args=(user,)) for _ in range(8)]
        for thread in threads:
            thread.start()
            waiting.acquire()
        assert client.get(user).json()["degraded"] == ["store"]
        assert "degraded" not in client.post("/v1/recommendations", json={"history": ["909-steps"]}).json()
        release.set()
        for thread in threads:
            thread.join()
        monkeypatch.undo()
        while "degraded" in client.get(user).json():
            time.sleep(0.05)
