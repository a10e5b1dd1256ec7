"""Limits of the service on rates, threads, waiting requests and calls of the store."""

import json
import threading
import time

import pytest
from services import Process, is_problem, ready_client, wait_until_ready
from starlette.testclient import TestClient

from item2vec.errors import ConfigError, StoreError
from item2vec.service import ApiKeys, Limits, Serving, create_app
from item2vec.service.server import Settings, application

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


def nested(depth):
    """Return a condition whose JSON is nested so many levels deep."""
    where = {"genre": {"in": ["jazz"]}}
    for _ in range(depth - 3):
        where = {"not": where}
    return where


ITEM = "909-steps"
LARGE = {
    "k": {"history": [ITEM], "k": 1_200},
    "history": {"history": [ITEM] * 12_000},
    "deny": {"history": [ITEM], "deny": ["x"] * 12_000},
    "body": {"history": [ITEM], "where": nested(33)},
}
SMALL = {
    "k": {"history": [ITEM], "k": 13},
    "history": {"history": [ITEM] * 9},
    "deny": {"history": [ITEM], "deny": ["x"] * 9},
    "body": {"history": [ITEM], "where": nested(5)},
}
LOWERED = {"max_k": 12, "max_history": 8, "max_depth": 4, "max_body": 500}
RAISED = {"max_k": 1_200, "max_history": 12_000, "max_depth": 40, "max_body": 2 << 20}


def answers(served, limits, requests):
    """Return the errors of each request, alone and in a batch, and the status of a body of 1.2 MB."""
    app = create_app(Serving(f"{served}/models", None), limits=Limits(**limits))
    found = {}
    with ready_client(app) as client:
        for name, request in requests.items():
            one = client.post("/v1/recommendations", json=request)
            both = client.post("/v1/recommendations/batch", json={"requests": [request]})
            found[name] = [problems(one.json()), *map(problems, both.json().get("answers", [both.json()]))]
        query = {"where": json.dumps(requests["body"]["where"]), "k": requests["k"]["k"]}
        known = app.state.serving.engine.model.vocabulary.ids[0]
        found["query"] = [problems(client.get(f"/v1/items/{known}/similar", params=query).json())]
        large = client.post("/v1/recommendations", json={"history": [], "deny": ["x" * 500] * 2_500})
        return found, large.status_code


def problems(answer):
    return [(error["field"], error["expected"]) for error in answer.get("errors", [])]


def test_the_size_of_a_request_is_limited_as_configured(served):
    found, status = answers(served, RAISED, LARGE)
    assert found == {name: [[], []] for name in LARGE} | {"query": [[]]}
    assert status == 200
    for limits, requests in ((LOWERED, SMALL), ({}, LARGE)):
        found, status = answers(served, limits, requests)
        most = Limits(**limits)
        k, depth = ("k", f"at most {most.max_k:,}"), f"at most {most.max_depth}"
        assert found["k"] == [[k]] * 2
        for name in ("history", "deny"):
            assert found[name] == [[(name, f"at most {most.max_history:,} elements")]] * 2
        assert found["body"] == [[("body", depth)]] * 2
        assert found["query"] == [[k, ("where", depth)]]
        assert status == 413


@pytest.mark.parametrize(("name", "value"), [("max_k", 0), ("max_depth", 101), ("max_body", 0)])
def test_an_invalid_limit_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}; expected"):
        application(Settings(models="models", store=None, limits={name: value}))


@pytest.mark.slow
def test_the_command_sets_the_limits(served):
    words = ("--max-k", "12", "--max-history", "8", "--max-depth", "4", "--max-body", "1KB")
    service = Process(served, "serve", *words)
    assert service.get(f"/v1/items/{ITEM}/similar?k=12")[0] == 200
    assert service.get(f"/v1/items/{ITEM}/similar?k=13")[0] == 422
    assert service.stop() == 0


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
