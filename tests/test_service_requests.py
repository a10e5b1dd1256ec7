"""Requests of the service: histories with timestamps, boosts, new items."""

import json

import numpy as np
import pytest
from services import ids, is_problem, ready_client, wait_until_ready
from shops import open_shop
from starlette.testclient import TestClient

from item2vec import ItemVectors, Recommender, publish
from item2vec.service import Serving, create_app
from item2vec.types import Vocabulary


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    open_shop(folder, n_items=60)
    return Serving(f"{folder}/models", f"sqlite:///{folder}/item2vec.db")


@pytest.fixture(scope="module")
def client(serving):
    with ready_client(create_app(serving)) as client:
        yield client


def test_an_item_of_a_history_may_lack_a_timestamp(tmp_path):
    """It has the timestamp of the next item that has one or, at the end, of the previous one."""
    vectors = ItemVectors(Vocabulary(tuple("abcdef")), np.eye(6) + 0.1 * np.arange(6), None, np.ones(6))
    model = Recommender(vectors, half_life=86_400.0)
    publish(model, tmp_path / "models")
    days = {"a": None, "b": "2024-01-02", "c": None, "d": "2024-01-09", "e": None}
    history = [item if day is None else {"item": item, "timestamp": day} for item, day in days.items()]
    filled = np.array(["2024-01-02"] * 2 + ["2024-01-09"] * 3, dtype="datetime64[us]")
    with TestClient(create_app(Serving(f"{tmp_path}/models", None))) as client:
        wait_until_ready(client)
        request = {"history": history, "filter_seen": False, "k": 6, "explain": True}
        answer = client.post("/v1/recommendations", json=request).json()
    expected = model.recommend(list(days), timestamps=filled, filter_seen=False, k=6)
    assert [(item["item"], item["score"]) for item in answer["items"]] == [
        (item.item, item.score) for item in expected
    ]
    for item in answer["items"]:
        assert sum(share["share"] for share in item["why"]) == pytest.approx(item["score"], abs=1e-5)


def test_undated_and_dated_items_of_a_history_are_answered(client):
    history = ["909-steps", {"item": "blue-harbour", "timestamp": 1_714_557_600, "weight": 2}]
    assert len(ids(client.post("/v1/recommendations", json={"history": history, "k": 3}))) == 3


def test_a_boost_may_be_a_list_of_pairs(client, serving):
    pairs = [[{"genre": "techno"}, 3.0], ["909-steps", 0.5]]
    expected = [item.item for item in serving.engine.recommend("u42", boost=pairs, k=5)]
    assert ids(client.post("/v1/recommendations", json={"user": "u42", "boost": pairs, "k": 5})) == expected
    query = {"boost": json.dumps(pairs), "k": 5}
    assert ids(client.get("/v1/users/u42/recommendations", params=query)) == expected


def test_an_item_without_vectors_is_not_unknown(client):
    client.put("/v1/items/NEW", json={"title": "New"})
    for answer in (
        client.get("/v1/items/NEW/similar"),
        client.post("/v1/analogies", json={"positive": ["NEW"]}),
    ):
        assert "'NEW' has no vectors yet" in is_problem(answer, 404)["detail"]


def test_an_item_that_was_first_seen_in_an_event_is_listed_at_once(client):
    for item in ("NEVER", "SEEN"):
        client.post("/v1/events", json={"events": [{"user": "u", "item": item}]})
        assert client.get(f"/v1/items/{item}").json()["attributes"] == {}
