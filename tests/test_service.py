"""The HTTP service: routes, shapes, errors, keys, limits and fallbacks, on a real store and models folder."""

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from services import ids, is_problem, ready_client, wait_until_ready, wait_until_whole
from shops import open_shop
from starlette.testclient import TestClient

from item2vec import Interactions, ItemVectors, Recommender, publish
from item2vec.errors import StoreError
from item2vec.items import Items
from item2vec.service import ApiKeys, Serving, create_app
from item2vec.service.answers import RunAnswer
from item2vec.service.metrics import Metrics
from item2vec.store import Store
from item2vec.store.runs import Run
from item2vec.store.tables import run

READ, WRITE = "a-key-that-only-reads", "a-key-that-also-writes"
SLASH = "a/b c%é"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    open_shop(folder, n_items=60)
    with Store(f"sqlite:///{folder}/item2vec.db") as store:
        store.ingest_items(Items.of({SLASH: {"title": "An id with a slash"}}))
    return folder


@pytest.fixture(scope="module")
def app(folder):
    return create_app(Serving(f"{folder}/models", f"sqlite:///{folder}/item2vec.db", reload_every=0.2))


@pytest.fixture(scope="module")
def client(app):
    with ready_client(app) as client:
        yield client


def test_health_names_the_served_version(client, app):
    assert client.get("/livez").json() == {"status": "alive"}
    ready = client.get("/readyz").json()
    assert ready.keys() == {"version", "generation", "loaded_at", "age_s", "degraded"}
    assert ready["version"] == app.state.serving.engine.version
    assert ready["generation"] == 1
    assert ready["degraded"] == []


def test_an_answer_is_that_of_the_engine(client, app):
    engine = app.state.serving.engine
    answer = client.get("/v1/users/u42/recommendations?k=5").json()
    assert answer["version"] == engine.version
    expected = engine.recommend("u42", k=5)
    assert [(item["item"], item["score"], item["source"]) for item in answer["items"]] == [
        (item.item, item.score, item.source) for item in expected
    ]
    assert answer["items"][0]["title"] == engine.model.items.title(expected[0].item)
    assert client.post("/v1/recommendations", json={"user": "u42", "k": 5}).json() == answer


def test_rules_in_a_query_are_those_of_a_body(client):
    denied = ids(client.get("/v1/users/u42/recommendations"))[:2]
    query = {"k": 3, "where": json.dumps({"year": {">=": 1970}}), "deny": denied, "filter_seen": "false"}
    body = {"user": "u42", "k": 3, "where": {"year": {">=": 1970}}, "deny": denied, "filter_seen": False}
    by_query, by_body = (
        client.get("/v1/users/u42/recommendations", params=query),
        client.post("/v1/recommendations", json=body),
    )
    assert ids(by_query) == ids(by_body)
    assert not set(denied) & set(ids(by_query))


def test_a_history_may_have_weights(client, app):
    model = app.state.serving.engine.model
    first, second = model.vocabulary.ids[:2]
    history = [{"item": first, "weight": 3}, second]
    answer = client.post("/v1/recommendations", json={"history": history, "k": 4})
    assert ids(answer) == [item.item for item in model.recommend([first, second], weights=[3, 1], k=4)]


def test_explanations_name_history_items(client, app):
    history = list(app.state.serving.engine.model.vocabulary.ids[:2])
    answer = client.post("/v1/recommendations", json={"history": history, "k": 2, "explain": True}).json()
    request = {"history": history, "k": 2, "explain": True, "version": answer["version"]}
    assert client.post("/explorer/compare", json=request).json() == answer
    for item in answer["items"]:
        assert {share["item"] for share in item["why"]} == set(history)
        assert all(share.keys() == {"item", "share"} for share in item["why"])
        assert sum(share["share"] for share in item["why"]) == pytest.approx(item["score"], abs=1e-5)


@pytest.mark.parametrize("of", ["history", "user"])
def test_explanations_add_up_to_scores_that_rules_change(client, app, of):
    ids_ = app.state.serving.engine.model.vocabulary.ids
    first = client.post("/v1/recommendations", json={"history": [], "k": 1}).json()["items"][0]["item"]
    request = {"history": list(ids_[:3])} if of == "history" else {"user": "u42"}
    rules = {"boost": {first: 2.0}, "disliked": [ids_[5]], "popularity": 0.3, "interests": 2}
    rules["direction"] = [{"genre": "techno"}, {"genre": "ambient"}]
    answer = client.post("/v1/recommendations", json={**request, **rules, "k": 5, "explain": True}).json()
    assert len(answer["items"]) == 5
    for item in answer["items"]:
        assert sum(share["share"] for share in item["why"]) == pytest.approx(item["score"], abs=1e-4)


def test_explanations_name_the_interest(client, app):
    model = app.state.serving.engine.model
    history = list(model.vocabulary.ids[:4])
    request = {"history": history, "interests": 2, "k": 3, "explain": True}
    for item in client.post("/v1/recommendations", json=request).json()["items"]:
        shares = model.explain(history, item["item"], interests=2)
        assert [(share["item"], share["share"], share["interest"]) for share in item["why"]] == [
            (share.item, share.share, share.interest) for share in shares
        ]


def test_a_get_request_has_no_unknown_query_parameters(client, app):
    routes = [path for path, methods in app.openapi()["paths"].items() if "get" in methods]
    tested = [re.sub(r"\{\w+\}", "x", path) for path in routes if path.startswith("/v1/")]
    assert {"/v1/items", "/v1/items/x", "/v1/versions", "/v1/runs"} < set(tested)
    for path in tested:
        (error,) = is_problem(client.get(path, params={"limt": 3}), 422)["errors"]
        assert (error["field"], error["found"]) == ("limt", "'3'"), path
    (error,) = is_problem(client.get("/v1/runs?limt=3"), 422)["errors"]
    assert error["expected"] == "a known name; did you mean 'limit'?"
    (error,) = is_problem(client.get("/v1/items?query=a&k=3"), 422)["errors"]
    assert error["expected"] == "'q', 'item' or 'k'"
    assert client.get("/livez?now=1").status_code == 200


def test_a_large_body_is_named_with_its_size(client):
    as_json = {"Content-Type": "application/json"}
    for length in (None, "70000000"):  # the second is refused before the body is read
        headers = as_json if length is None else as_json | {"Content-Length": length}
        refused = client.post("/v1/recommendations", content=b" " * ((1 << 20) + 1), headers=headers)
        size = "1,048,577" if length is None else "70,000,000"
        expected = f"the body has {size} bytes; expected at most 1,048,576 bytes"
        assert is_problem(refused, 413)["detail"] == expected


def test_a_user_without_history_gets_popular_items(client):
    answer = client.get("/v1/users/nobody/recommendations?k=3")
    assert len(ids(answer)) == 3
    assert {item["source"] for item in answer.json()["items"]} == {"popular"}


def test_a_batch_has_an_error_in_place_of_an_answer(client):
    requests = [
        {"user": "u42", "k": 2},
        {"k": 2},
        {"history": ["unknown"], "k": 0},
        {"user": "u7", "where": {"nothing": 1}},
    ]
    answers = client.post("/v1/recommendations/batch", json={"requests": requests}).json()["answers"]
    assert [answer.get("status", 200) for answer in answers] == [200, 422, 422, 422]
    assert len(answers[0]["items"]) == 2


def test_a_batch_has_the_answers_of_single_requests(client):
    song = ids(client.get("/v1/items?k=2"))
    rules = [{"k": 3}, {"k": 5}, {"k": 3, "explain": True}]
    whose = [{"user": "u42"}, {"user": "u7"}, {"history": song}, {"history": song[:1]}, {"history": []}]
    weighted = [{"history": [{"item": song[0], "weight": 2.0}, song[1]], "k": 3}] * 2
    requests = [{**who, **rule} for rule in rules for who in whose] + weighted
    answers = client.post("/v1/recommendations/batch", json={"requests": requests}).json()["answers"]
    assert answers == [client.post("/v1/recommendations", json=request).json() for request in requests]


def test_an_invalid_request_does_not_change_the_answers_of_its_group(client, app, monkeypatch):
    view = app.state.serving.engine.view()
    unknown = [{"user": f"u{number}", "where": {"nothing": 1}} for number in range(2)]
    requests = [{"user": "u7"}, {"user": "a\0b"}, {"user": "u42"}, *unknown]
    answers = client.post("/v1/recommendations/batch", json={"requests": requests}).json()["answers"]
    assert [answer.get("status", 200) for answer in answers] == [200, 422, 200, 422, 422]
    assert answers[0]["version"] == view.version


def test_similar_items_and_analogies(client, app):
    engine = app.state.serving.engine
    item, other = engine.model.vocabulary.ids[:2]
    expected = [found.item for found in engine.similar_items(item, k=3)]
    assert ids(client.get(f"/v1/items/{item}/similar?k=3")) == expected
    assert ids(client.post("/v1/similar", json={"item": item, "k": 3})) == expected
    analogy = client.post("/v1/analogies", json={"positive": [item], "negative": [other], "k": 3})
    assert ids(analogy) == [found.item for found in engine.analogy(positive=[item], negative=[other], k=3)]
    query = {"positive": [item, other], "negative": [expected[0]]}
    answer = client.post("/v1/analogies", json={**query, "method": "3cosmul"})
    assert ids(answer) == [found.item for found in engine.analogy(**query, method="3cosmul")]
    is_problem(client.post("/v1/analogies", json={**query, "method": "add"}), 422)
    is_problem(client.get("/v1/items/unknown-song/similar"), 404)


def test_unknown_items_of_a_query_are_named_by_field(client, app):
    known = app.state.serving.engine.model.vocabulary.ids[0]
    for path, body, fields in (
        ("similar", {"item": "nope"}, ["item"]),
        ("analogies", {"positive": [known, "nope"]}, ["positive[1]"]),
        ("analogies", {"positive": ["nope"], "negative": [known, "nope"]}, ["positive[0]", "negative[1]"]),
    ):
        problem = is_problem(client.post(f"/v1/{path}", json=body), 404)
        assert "unknown item 'nope'" in problem["detail"]
        assert [(error["field"], error["found"]) for error in problem["errors"]] == [
            (field, "'nope'") for field in fields
        ]


@pytest.mark.parametrize("field", ["explain", "filter_seen", "limit"])
def test_a_field_without_effect_is_refused(client, app, field):
    item = app.state.serving.engine.model.vocabulary.ids[0]
    for answer in (
        client.get(f"/v1/items/{item}/similar", params={field: "true"}),
        client.post("/v1/similar", json={"item": item, field: True}),
        client.post("/v1/analogies", json={"positive": [item], field: True}),
    ):
        (error,) = is_problem(answer, 422)["errors"]
        assert error["field"] == field


def test_a_direction_is_a_pair_of_conditions(client, app):
    engine = app.state.serving.engine
    pair = [{"genre": "techno"}, {"genre": "ambient"}]
    item = engine.model.vocabulary.ids[0]
    for path, query, call in (
        ("recommendations", {"history": [item]}, engine.recommend),
        ("analogies", {"positive": [item]}, engine.analogy),
    ):
        answer = client.post(f"/v1/{path}", json={**query, "direction": pair})
        assert ids(answer) == [found.item for found in call(**query, direction=pair)]
        is_problem(client.post(f"/v1/{path}", json={**query, "direction": pair[:1]}), 422)
    for path, expected in (
        ("users/u42/recommendations", engine.recommend("u42", direction=pair, k=4)),
        (f"items/{item}/similar", engine.similar_items(item, direction=pair, k=4)),
    ):
        answer = client.get(f"/v1/{path}", params={"direction": json.dumps(pair), "k": 4})
        assert ids(answer) == [found.item for found in expected]
        for wrong in ("[", json.dumps(pair[:1]), json.dumps(pair[0]), "[1, 2]", [json.dumps(pair)] * 2):
            is_problem(client.get(f"/v1/{path}", params={"direction": wrong}), 422)


def test_search_forgives_typing_errors(client):
    found = client.get("/v1/items", params={"q": "909 stpes", "k": 3}).json()["items"]
    assert found[0]["item"] == "909-steps"
    assert found[0].keys() == {"item", "title", "attributes", "count", "active"}
    assert client.get("/v1/items/909-steps").json() == found[0]
    assert len(client.get("/v1/items?k=4").json()["items"]) == 4


def test_an_item_is_changed_removed_and_returned(client, app):
    item = ids(client.post("/v1/recommendations", json={"history": []}))[0]
    assert client.put(f"/v1/items/{item}", json={"title": "New title"}).json()["title"] == "New title"
    before = client.get(f"/v1/items/{item}").json()
    assert client.delete(f"/v1/items/{item}").json()["active"] is False
    assert item not in ids(client.post("/v1/recommendations", json={"history": [], "k": 50}))
    assert client.put(f"/v1/items/{item}", json={"active": True}).json() == before
    assert item in ids(client.post("/v1/recommendations", json={"history": [], "k": 50}))
    is_problem(client.delete("/v1/items/unknown-song"), 404)


def test_a_change_of_one_item_leaves_the_facts_of_the_model_in_place(tmp_path):
    songs = Items.of({id_: {"title": id_.upper(), "genre": "jazz"} for id_ in "abc"})
    vectors = ItemVectors(songs.vocabulary, np.eye(3), None, np.ones(3))
    publish(Recommender(vectors, items=songs), f"{tmp_path}/models")
    url = f"sqlite:///{tmp_path}/shop.db"
    with Store(url) as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["u", "u"], item=["a", "b"]))
    with TestClient(create_app(Serving(f"{tmp_path}/models", url))) as client:
        wait_until_ready(client)
        before = client.get("/v1/items/a").json()
        assert (before["title"], before["attributes"]) == ("A", {"genre": "jazz"})
        for id_ in "bc":
            changed = client.put(f"/v1/items/{id_}", json={"title": "New"}).json()
            assert (changed["title"], changed["attributes"]) == ("New", {"genre": "jazz"})
        client.put("/v1/items/b", json={"attributes": {"genre": "soul"}})
        assert client.get("/v1/items/a").json() == before
        wanted = client.post("/v1/recommendations", json={"history": [], "where": {"genre": "jazz"}})
        assert sorted(ids(wanted)) == ["a", "c"]


def test_ids_that_paths_cannot_carry(client):
    assert client.get("/v1/items", params={"item": SLASH}).json()["items"][0]["item"] == SLASH
    assert client.put("/v1/items", json={"item": SLASH, "title": "Renamed"}).json()["title"] == "Renamed"
    assert client.request("DELETE", "/v1/items", params={"item": SLASH}).json()["active"] is False
    client.put("/v1/items", json={"item": SLASH, "active": True})


def test_events_are_stored_once_per_key(client, app):
    events = [
        {"user": "http", "item": "909-steps", "key": "k1"},
        {"user": "http", "item": "blue-harbour", "key": "k2", "timestamp": "2024-05-01T10:00:00Z"},
        {"user": "http", "item": "blue-harbour", "timestamp": 1_714_557_600_000},
    ]
    assert client.post("/v1/events", json={"events": events}).json() == {"new": 3, "known": 0}
    assert client.post("/v1/events", json={"events": events}).json() == {"new": 0, "known": 3}
    assert sorted(app.state.serving.engine.store.history("http").items) == [
        "909-steps",
        "blue-harbour",
        "blue-harbour",
    ]


INVALID = {
    "k of 0": ("k", {"user": "u42", "k": 0}),
    "k above the limit": ("k", {"user": "u42", "k": 1_001}),
    "a boolean as a number": ("k", {"user": "u42", "k": True}),
    "a number as text": ("k", {"user": "u42", "k": "5"}),
    "an unknown field": ("limit", {"user": "u42", "limit": 5}),
    "neither user nor history": ("body", {}),
    "both": ("body", {"user": "u42", "history": []}),
    "a number as an id": ("user", {"user": 42}),
    "an empty id": ("history[1]", {"history": ["a", ""]}),
    "a list": ("body", []),
    "diversity above 1": ("diversity", {"user": "u42", "diversity": 1.5}),
    "a long history": ("history", {"history": ["a"] * 10_001}),
}


@pytest.mark.parametrize(("field", "body"), INVALID.values(), ids=INVALID)
def test_invalid_input_names_the_field(client, field, body):
    problem = is_problem(client.post("/v1/recommendations", json=body), 422)
    named = [error["field"] for error in problem["errors"]]
    assert named == [field]
    assert all(error.keys() == {"field", "found", "expected"} for error in problem["errors"])


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "CURRENT", "~", "%ff", "x" * 2_000]
)
@pytest.mark.parametrize(
    "route", ["/v1/items/{}", "/v1/versions/{}", "/v1/runs/{}", "/explorer/{}", "/v1/items/{}/similar"]
)
def test_hostile_names_open_no_file(client, route, name):
    answer = client.get(route.format(name))
    assert answer.status_code in ({200, 404, 405} if name == ".." else {404, 422}), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/", "/v1/items/blue-harbour", "/v1/nothing"])
def test_head_is_get_without_a_body(client, path):
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.headers == got.headers
    assert (len(head.content), len(got.content)) == (0, int(head.headers["content-length"]))


def test_the_description_has_the_media_type_of_errors_and_the_fields_of_answers(client, app):
    description = app.openapi()
    components = description["components"]["schemas"]
    assert {
        re.sub(".*/", "", ref) for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(description))
    } <= set(components)
    for path, methods in description["paths"].items():
        for route in methods.values():
            for status, answer in route["responses"].items():
                assert status in {"200", "400"} or list(answer["content"]) == ["application/problem+json"]
            schemas = route["responses"]["200"]["content"].items()
            assert all(media == "text/plain" or schema["schema"] for media, schema in schemas), path
    version = client.get("/readyz").json()["version"]
    for path, route in (
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
        ("/v1/versions", "/v1/versions"),
        (f"/v1/versions/{version}", "/v1/versions/{version}"),
        ("/v1/runs", "/v1/runs"),
    ):
        answers = description["paths"][route]["get"]["responses"]["200"]["content"]["application/json"]
        schema = components[answers["schema"]["$ref"].rpartition("/")[2]]
        assert set(client.get(path).json()) == set(schema["properties"]) == set(schema["required"])
    now = datetime.now(UTC)
    run = Run(1, now, now, "promoted", version, None, {"run": version}, {}, {"ndcg@10": 0.5}).as_json()
    assert set(RunAnswer.model_validate(run, strict=True).model_dump()) == set(run)


def test_the_description_names_the_keys_only_if_keys_are_needed(app):
    assert "security" not in app.openapi()
    keyed = create_app(Serving("models", None), keys=ApiKeys.of([("read", READ)])).openapi()
    assert keyed["security"] == [{name: []} for name in keyed["components"]["securitySchemes"]]
    assert keyed["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in keyed["paths"]["/readyz"]["get"]


def test_unknown_routes_and_methods_are_problems(client):
    is_problem(client.get("/v1/nothing"), 404)
    for method, path, allowed in (
        ("DELETE", "/v1/recommendations", "POST"),
        ("HEAD", "/v1/recommendations", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("PATCH", "/v1/items/a", "DELETE, GET, HEAD, PUT"),
        ("PUT", "/openapi.json", "GET, HEAD"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed
    is_problem(client.delete("/v1/recommendations"), 405)
    is_problem(client.get("/v1/users/u42/recommendations?limit=5"), 422)


def test_versions_and_runs_are_listed(client, app):
    listed = client.get("/v1/versions").json()["versions"]
    assert [row["id"] for row in listed] == [app.state.serving.engine.version]
    assert client.get(f"/v1/versions/{listed[0]['id']}").json() == listed[0]
    assert client.get("/v1/runs").json() == {"runs": []}
    is_problem(client.get("/v1/runs/7"), 404)


def test_a_run_is_found_by_its_id_however_many_are_newer(tmp_path):
    engine = sa.create_engine(url := f"sqlite:///{tmp_path}/item2vec.db")
    with Store(url) as store:
        store.upgrade()
    with engine.begin() as connection:
        ended = {"started_at": datetime(2024, 1, 1, tzinfo=UTC), "status": "failed"}
        connection.execute(sa.insert(run), [ended | {"reason": f"fault {n}"} for n in range(1, 1_002)])
    engine.dispose()
    with TestClient(create_app(Serving(f"{tmp_path}/models", url))) as client:
        assert client.get("/v1/runs/1").json()["reason"] == "fault 1"
        for unknown in ("1002", "01", "-1", "1.0", "²", "9" * 30):
            is_problem(client.get(f"/v1/runs/{unknown}"), 404)


def test_metrics_count_requests_by_route(client):
    client.get("/v1/users/u42/recommendations")
    text = client.get("/metrics").text
    assert (
        'item2vec_requests_total{method="GET",route="/v1/users/{user}/recommendations",status="200"}' in text
    )
    assert "item2vec_model_generation 1.0" in text
    assert all(line.startswith(("#", "item2vec_")) for line in text.splitlines())


def test_the_guide_lists_every_metric():
    exported = re.findall(r"^# TYPE (\w+)", Metrics().text().decode(), flags=re.MULTILINE)
    page = (Path(__file__).parent.parent / "docs" / "serving.md").read_text()
    listed = re.findall(r"^\| `(item2vec_\w+)` \|", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted(name for name in exported if not name.endswith("_created"))


def test_every_route_but_livez_needs_a_key(folder):
    keys = ApiKeys.of([("read", READ), ("write", WRITE)])
    app = create_app(Serving(f"{folder}/models", f"sqlite:///{folder}/item2vec.db"), keys=keys)
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client, Authorization=f"Bearer {READ}")
        assert client.get("/livez").status_code == 200
        for route in [
            *app.openapi()["paths"],
            "/",
            "/docs",
            "/openapi.json",
            "/explorer/main.js",
            "/nothing",
        ]:
            if route != "/livez":
                problem = is_problem(client.get(route), 401)
                assert "WWW-Authenticate" in client.get(route, headers={"X-API-Key": "wrong"}).headers
                assert READ not in str(problem)
        assert client.get("/readyz", headers={"X-API-Key": READ}).status_code == 200
        event = {"events": [{"user": "u", "item": "909-steps", "key": "k9"}]}
        is_problem(client.post("/v1/events", json=event, headers={"X-API-Key": READ}), 403)
        is_problem(client.put("/v1/items/x", json={}, headers={"X-API-Key": READ}), 403)
        assert client.post("/v1/events", json=event, headers={"X-API-Key": WRITE}).status_code == 200


def test_without_the_store_users_get_popular_items(client, app, monkeypatch):
    engine = app.state.serving.engine

    def fail(*_, **__):
        raise StoreError("connection to postgresql://secret@db/ failed; start the server")

    monkeypatch.setattr(engine.store, "histories", fail)
    answer = client.get("/v1/users/u42/recommendations?k=3").json()
    assert answer["degraded"] == ["store"]
    assert {item["source"] for item in answer["items"]} == {"popular"}
    assert "degraded" not in client.post("/v1/recommendations", json={"history": ["909-steps"]}).json()
    assert client.get("/readyz").json()["degraded"] == ["store"]
    monkeypatch.setattr(engine.store, "ingest", fail)
    problem = is_problem(client.post("/v1/events", json={"events": [{"user": "u", "item": "i"}]}), 503)
    assert "secret" not in str(problem)
    monkeypatch.undo()
    wait_until_whole(client, "/v1/users/u42/recommendations?k=3")


def test_all_answers_without_the_store_are_counted(client, app, monkeypatch):
    def n_degraded():
        found = re.search(r'degraded_answers_total\{part="store"\} (\S+)', client.get("/metrics").text)
        return 0 if found is None else float(found[1])

    def fail(*_, **__):
        raise StoreError("no answer")

    monkeypatch.setattr(app.state.serving.engine.store, "histories", fail)
    before, user = n_degraded(), {"user": "u42"}
    client.get("/v1/users/u42/recommendations")
    assert n_degraded() == before + 1
    requests = [user, {"user": "u7"}, {**user, "k": 3}, {"history": []}]
    client.post("/v1/recommendations/batch", json={"requests": requests})
    assert n_degraded() == before + 4
    version = app.state.serving.engine.version
    client.post("/explorer/compare", json={**user, "version": version})
    assert n_degraded() == before + 5
    monkeypatch.undo()
    wait_until_whole(client, "/v1/users/u42/recommendations")


def test_a_new_version_is_served_without_a_restart(client, app, folder):
    model = app.state.serving.engine.model
    version = publish(Recommender.from_parts(model.parts), folder / "models")
    while client.get("/readyz").json()["version"] != version.id:
        time.sleep(0.01)
    assert client.get("/v1/users/u42/recommendations").json()["version"] == version.id


def test_before_a_model_is_published_the_service_is_not_ready(tmp_path):
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
    app = create_app(Serving(f"{tmp_path}/models", f"sqlite:///{tmp_path}/item2vec.db"))
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/livez").status_code == 200
        for route in ("/readyz", "/v1/users/u42/recommendations", "/v1/items?q=a"):
            assert "Retry-After" in client.get(route).headers
            is_problem(client.get(route), 503)
