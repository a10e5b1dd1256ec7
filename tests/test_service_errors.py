"""Invalid input of the service: each answer lists the field, what was found and what was expected."""

import json

import pytest
from services import is_problem, ready_client

from item2vec.service import Serving, create_app

JARGON = ("function-", "constrained-", "Extra inputs", "Value error", "discriminator", "dictionary", "<id>")
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(served):
    app = create_app(Serving(f"{served}/models", f"sqlite:///{served}/item2vec.db"))
    with ready_client(app) as client:
        yield client


def fields(answer):
    problem = is_problem(answer, 422)
    assert all(error.keys() == {"field", "found", "expected"} for error in problem["errors"])
    assert not any(word in json.dumps(problem, ensure_ascii=False) for word in JARGON), problem
    return [error["field"] for error in problem["errors"]]


EVENT = {"user": "u", "item": "i"}
BODIES = {
    "an unknown attribute": ("recommendations", {"history": [], "where": {"nope": 1}}, "where"),
    "an unknown attribute of a user": ("recommendations", {"user": "u1", "where": {"nope": 1}}, "where"),
    "of at_most": ("recommendations", {"user": "u1", "at_most": {"nope": 1}}, "at_most"),
    "of boost": ("recommendations", {"history": [], "boost": [[{"nope": 1}, 2]]}, "boost"),
    "of direction": ("similar", {"item": "909-steps", "direction": [{"nope": 1}, {"nope": 2}]}, "direction"),
    "of an analogy": ("analogies", {"positive": ["909-steps"], "where": {"nope": 1}}, "where"),
    "another type": ("recommendations", {"history": [], "where": {"genre": {"<": 3}}}, "where"),
    "an unknown operator": ("recommendations", {"history": [], "where": {"year": {"~": 3}}}, "where"),
    "a NUL in a user": ("recommendations", {"user": "a\0b"}, "user"),
    "a NUL in an event": ("events", {"events": [EVENT, {**EVENT, "item": "a\0b"}]}, "events[1].item"),
    "a long id": ("events", {"events": [{**EVENT, "session": "é" * 400}]}, "events[0].session"),
    "a time": ("events", {"events": [EVENT, {**EVENT, "timestamp": "soon"}]}, "events[1].timestamp"),
    "a number as a time": ("events", {"events": [{**EVENT, "timestamp": 7}]}, "events[0].timestamp"),
    "a boolean as a time": ("events", {"events": [{**EVENT, "timestamp": True}]}, "events[0].timestamp"),
    "a time of a history": (
        "recommendations",
        {"history": ["a", {"item": "b", "timestamp": 1}]},
        "history[1].timestamp",
    ),
    "a weight": ("recommendations", {"history": ["a", {"item": "b", "weight": "2"}]}, "history[1].weight"),
    "a number in a history": ("recommendations", {"history": ["a", 5]}, "history[1]"),
    "too many interests": ("recommendations", {"user": "u", "interests": 99}, "interests"),
    "a factor": ("recommendations", {"user": "u", "boost": {"x": 0}}, "boost.x"),
    "an incomplete pair": ("recommendations", {"user": "u", "boost": [["x"]]}, "boost"),
    "an unknown name": ("events", {"events": [{**EVENT, "itm": "x"}]}, "events[0].itm"),
    "a name like a source": ("recommendations", {"user": "u", "query": 1}, "query"),
}


@pytest.mark.parametrize(("route", "body", "field"), BODIES.values(), ids=BODIES)
def test_an_error_names_the_field_of_a_body(client, route, body, field):
    assert fields(client.post(f"/v1/{route}", json=body)) == [field]


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"",
        b'{"user": "u", "user": "v"}',
        b'{"k": NaN}',
        b'{"user": "\xff"}',
        b"[" * 40,
        b"5",
        b'{"user": "\\ud800"}',
    ],
)
def test_a_body_that_is_not_strict_json_has_errors(client, text):
    for route in ("recommendations", "events", "recommendations/batch"):
        assert fields(client.post(f"/v1/{route}", content=text, headers=AS_JSON)) == ["body"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("users/a%00b/recommendations", "user"),
        ('users/u1/recommendations?where={"nope":1}', "where"),
        ("users/u1/recommendations?where=price<20", "where"),
        ('users/u1/recommendations?boost={"x":0}', "boost.x"),
        ("users/u1/recommendations?interests=99", "interests"),
        ("users/u1/recommendations?whre={}", "whre"),
        ("users/u1/recommendations?k=1&k=2", "k"),
        ("users/u1/recommendations?where={}&where={}", "where"),
        ("items?q=a&q=b", "q"),
        ("runs?limit=1&limit=2", "limit"),
    ],
)
def test_an_error_names_the_field_of_a_path_or_query(client, path, field):
    assert fields(client.get(f"/v1/{path}")) == [field]


def test_an_unknown_name_is_answered_with_the_nearest_known_one(client):
    for answer in (
        client.get("/v1/users/u1/recommendations?whre={}"),
        client.post("/v1/recommendations", json={"user": "u1", "whre": {}}),
    ):
        (error,) = is_problem(answer, 422)["errors"]
        assert (error["field"], error["expected"]) == ("whre", "a known name; did you mean 'where'?")
    text = is_problem(client.get("/v1/users/u1/recommendations?where=price<20"), 422)["errors"][0]["found"]
    assert text.startswith("the query parameter is not JSON")


def test_lists_may_be_repeated_in_a_query(client):
    found = [item["item"] for item in client.get("/v1/users/u1/recommendations?k=3").json()["items"]]
    rest = client.get("/v1/users/u1/recommendations", params={"deny": found[:2]}).json()["items"]
    assert rest[0]["item"] == found[2]


def test_a_repeated_id_removes_no_item(client):
    assert fields(client.delete("/v1/items?item=909-steps&item=blue-harbour")) == ["item"]
    assert client.get("/v1/items/blue-harbour").json()["active"]


def test_an_item_is_changed_by_valid_fields_only(client):
    assert fields(client.put("/v1/items/a%00b", json={})) == ["item"]
    assert fields(client.put("/v1/items/x", json={"title": "a\0b"})) == ["title"]
    assert fields(client.put("/v1/items/x", json={"attributes": {"a": "\0"}})) == ["attributes"]
    is_problem(client.get("/v1/items/x"), 404)


def test_an_invalid_element_of_a_batch_is_answered_in_its_place(client):
    requests = [{"user": "u1", "k": 1}, 5, None, {"user": "u1", "where": {"nope": 1}}]
    answers = client.post("/v1/recommendations/batch", json={"requests": requests}).json()["answers"]
    assert [answer.get("status", 200) for answer in answers] == [200, 422, 422, 422]
    assert [answer["errors"][0]["field"] for answer in answers[1:]] == ["body", "body", "where"]
    assert answers[1]["errors"][0]["expected"] == "a JSON object"


def test_ids_that_are_not_utf_8_are_refused(client):
    for byte in ("%ff", "%fe"):
        assert fields(client.put(f"/v1/items/{byte}", json={"title": byte})) == ["path"]
        assert fields(client.get(f"/v1/users/{byte}/recommendations")) == ["path"]
        assert fields(client.get(f"/v1/items?item={byte}")) == ["query"]
    is_problem(client.get("/v1/items/%EF%BF%BD"), 404)
    assert client.get("/v1/items?q=caf%C3%A9+noir").status_code == 200
