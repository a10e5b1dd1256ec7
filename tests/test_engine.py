"""The engine serves users with the published model and the store."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from faults.promoted import captured_log, shared_model

from item2vec import Engine, Interactions, Items, Recommender, adapters, publish, train
from item2vec.conditions import parse
from item2vec.config import AdapterConfig
from item2vec.errors import BundleNotFoundError, InputError, InputTypeError, SchemaError, StoreError
from item2vec.store import Store
from item2vec.versions import served_version

FUTURE = datetime(9000, 1, 1)
GENRES = {"a": "jazz", "b": "jazz", "c": "rock", "d": "rock", "e": "rock"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    url = f"sqlite:///{folder}/item2vec.db"
    users = [f"u{number}" for number in range(20) for _ in range(3)]
    items = [item for number in range(20) for item in ("abc", "bcd", "cde", "dea")[number % 4]]
    listens = Interactions.of(user=users, item=items, timestamp=list(range(60)))
    with Store(url) as store:
        store.upgrade()
        store.ingest(listens)
        store.ingest_items(Items.of({item: {"genre": genre} for item, genre in GENRES.items()}))
        store.ingest(Interactions.of(user=["stranger"], item=["unheard-of"], timestamp=[0]))
        vectors = train(adapters.histories(listens), vector_size=8, workers=1)
    publish(Recommender(vectors), folder / "models")
    return {"models": folder / "models", "store": url}


@pytest.fixture
def second_store(places):
    """A second connection to the store, as of another process; the items are restored afterwards."""
    with Store(places["store"]) as store:
        yield store
        store.ingest_items(Items.of({item: {"genre": genre} for item, genre in GENRES.items()}))
        store.activate_items(list(GENRES))


def test_recommend_uses_the_history_of_the_user(places):
    with Engine(**places) as engine:
        assert engine.recommend(user="u0", k=10) == engine.model.recommend(["a", "b", "c"], k=10)
        assert items_of(engine.recommend("u0", filter_seen=False)) == set("abcde")


def test_where_combines_with_allow_and_deny(places):
    with Engine(**places) as engine:
        assert items_of(engine.recommend(user="u3", where={"genre": "jazz"}, k=10)) == {"b"}
        assert engine.recommend(user="u3", where={"genre": ["jazz", "rock"]}, deny=["b"], k=10) == [
            entry for entry in engine.recommend(user="u3", k=10) if entry.item != "b"
        ]
        assert engine.recommend(user="u3", where={"genre": "jazz"}, allow=["c"]) == []
        assert engine.recommend(user="u3", where={"genre": "polka"}) == []
        with pytest.raises(InputError, match="no item has an attribute 'gnere'; did you mean 'genre'"):
            engine.recommend(user="u3", where={"gnere": "jazz"})


@pytest.mark.parametrize("user", ["nobody", "stranger"])
def test_unknown_users_and_histories_get_popular_items(places, user):
    with Engine(**places) as engine:
        ranking = engine.recommend(user=user, k=3)
        assert [entry.source for entry in ranking] == ["popular"] * 3
        assert [entry.item for entry in ranking] == [entry.item for entry in engine.model.recommend([], k=3)]


def test_an_event_dated_in_the_future_is_seen_but_not_in_the_history(places, tmp_path):
    """Training ignores such an event, which would be the newest of the history."""
    listens = Interactions.of(
        user=["u"] * 3, item=["a", "b", "c"], timestamp=[datetime(2024, 1, 1), datetime(2024, 1, 2), FUTURE]
    )
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest(listens)
    with Engine(models=places["models"], store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        assert engine.recommend("u", k=9) == engine.model.recommend(["a", "b"], exclude=["c"], k=9)
        assert len(engine.explain("u", "d")) == 2


def test_a_history_without_timestamps_is_served_in_the_order_of_its_file(places, tmp_path):
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["u"] * 3, item=["c", "a", "b"]))
    with Engine(models=places["models"], store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        assert engine.recommend("u") == engine.model.recommend(["c", "a", "b"])
        assert engine.recommend_many(["nobody", "u"])[1] == engine.recommend("u")
        assert len(engine.explain("u", "d")) == 3


REQUESTS = {
    "user": lambda engine: engine.recommend(user="u0", k=10),
    "nobody": lambda engine: engine.recommend(user="nobody", k=10),
    "visitor": lambda engine: engine.recommend(history=["a", "b"], k=10),
    "new visitor": lambda engine: engine.recommend(history=[], k=10),
    "users": lambda engine: engine.recommend_many(["nobody", "u0"], k=10)[1],
    "similar": lambda engine: engine.similar_items("a", k=10),
    "analogy": lambda engine: engine.analogy(positive=["a", "b"], negative=["c"], k=10),
}


def items_of(ranking):
    return {entry.item for entry in ranking}


@pytest.mark.parametrize("request_items", REQUESTS.values(), ids=REQUESTS)
def test_inactive_items_are_never_returned(places, request_items):
    with Engine(**places, reload_every=None) as engine:
        engine.store.deactivate_items(["d"])
        without = request_items(engine)
        engine.store.activate_items(["d"])
        assert items_of(without) == items_of(request_items(engine)) - {"d"}
        assert "d" in items_of(request_items(engine))


def test_catalogue_changes_of_another_process_take_effect_after_a_check(places, second_store):
    with Engine(**places, reload_every=None) as engine, Engine(**places, reload_every=1e-9) as checking:
        second_store.deactivate_items(["d"])
        assert "d" in items_of(engine.recommend("u0", k=10))
        assert "d" not in items_of(checking.recommend("u0", k=10))
        engine.refresh()
        assert "d" not in items_of(engine.recommend("u0", k=10))
        second_store.ingest_items(Items.of({"e": {"genre": "jazz", "mood": "calm"}}))
        assert items_of(checking.recommend("u0", k=10, where={"mood": "calm"})) == {"e"}
        with pytest.raises(InputError, match="did you mean 'mood'"):
            checking.recommend("u0", where={"moood": "calm"})


def test_threads_see_their_own_catalogue_changes_at_once(places, second_store):
    def deactivate_and_request(item):
        for _ in range(5):
            engine.store.deactivate_items([item])
            assert item not in items_of(engine.recommend(history=[], k=10))
            engine.store.activate_items([item])
            assert item in items_of(engine.recommend(history=[], k=10))

    with Engine(**places, reload_every=None) as engine, ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(deactivate_and_request, item) for item in "abde"]:
            done.result()


def test_requests_do_not_read_the_catalogue(places, monkeypatch):
    with Engine(**places, reload_every=3600) as engine:
        expected = [request_items(engine) for request_items in REQUESTS.values()]
        narrowed = engine.recommend("u0", where={"genre": "rock"}, filter_seen=False)
        monkeypatch.setattr(Store, "catalogue", None)
        assert [request_items(engine) for request_items in REQUESTS.values()] == expected
        assert engine.recommend("u0", where={"genre": "rock"}, filter_seen=False) == narrowed


def test_the_previous_catalogue_is_used_while_the_store_fails(places, second_store, monkeypatch, caplog):
    def fail(*_):
        raise StoreError("the server restarts")

    with Engine(**places, reload_every=1e-9) as engine:
        expected = engine.recommend(history=["a"], k=10)
        monkeypatch.setattr(Store, "catalogue", fail)
        assert engine.recommend(history=["a"], k=10) == expected
        assert "still using Catalogue(" in caplog.text
        monkeypatch.undo()
        second_store.deactivate_items(["d"])
        assert "d" not in items_of(engine.recommend(history=["a"], k=10))


def test_one_request_at_a_time_waits_for_the_store(places, monkeypatch):
    entered, released = threading.Event(), threading.Event()

    def hang(*_):
        entered.set()
        assert released.wait(10)
        raise StoreError("the server does not respond")

    with Engine(**places, reload_every=1e-9) as engine, ThreadPoolExecutor(1) as thread:
        expected = engine.recommend(history=["a"], k=10)
        monkeypatch.setattr(Store, "catalogue", hang)
        first = thread.submit(engine.recommend, history=["a"], k=10)
        assert entered.wait(60)
        try:
            assert [engine.recommend(history=["a"], k=10) for _ in range(3)] == [expected] * 3
        finally:
            released.set()
        assert first.result() == expected


@pytest.fixture
def outage(monkeypatch):
    """Return a fake clock, the attempts to read the catalogue, and a read that fails."""
    clock, attempts = [1000.0], []

    def fail(*_):
        attempts.append(clock[0] - 1000)
        raise StoreError("the server restarts")

    monkeypatch.setattr("item2vec.catalogue_cache.time.monotonic", lambda: clock[0])
    return clock, attempts, fail


def test_the_catalogue_of_a_failing_store_is_read_at_increasing_intervals(places, monkeypatch, outage):
    clock, attempts, fail = outage
    original = Store.catalogue
    with Engine(**places, reload_every=2) as engine:

        def requests_until(second):
            while clock[0] < 1000 + second:
                clock[0] += 1
                engine.recommend(history=["a"])

        monkeypatch.setattr(Store, "catalogue", fail)
        engine.store.last_change = object()  # a change that failed
        requests_until(250)
        assert attempts == [1, 5, 13, 29, 61, 121, 181, 241]
        monkeypatch.setattr(Store, "catalogue", lambda *args: attempts.append("read") or original(*args))
        requests_until(301)
        assert attempts[8:] == ["read"]
        requests_until(305)
        assert attempts[8:] == ["read"] * 3


def test_a_change_that_succeeds_ends_the_wait_for_a_store_that_failed(places, monkeypatch, outage):
    clock, attempts, fail = outage
    original = Store.catalogue
    with Engine(**places, reload_every=2) as engine:
        monkeypatch.setattr(Store, "catalogue", fail)
        for _ in range(130):
            clock[0] += 1
            engine.recommend(history=["a"])
        assert attempts[-1] == 122
        engine.store.deactivate_items(["d"])
        for _ in range(3):  # one attempt per change, as the store may still fail
            assert "d" in items_of(engine.recommend(history=["a"], k=10))
        assert attempts[-2:] == [122, 130]
        monkeypatch.setattr(Store, "catalogue", original)
        engine.store.activate_items(["d"])
        engine.store.deactivate_items(["d"])
        assert "d" not in items_of(engine.recommend(history=["a"], k=10))
        engine.store.activate_items(["d"])
        assert "d" in items_of(engine.recommend(history=["a"], k=10))


def test_new_items_of_events_are_listed_at_once(places):
    with Engine(**places, reload_every=None) as engine:
        engine.store.ingest(Interactions.of(user=["newcomer"], item=["newest"], timestamp=[0]))
        assert "newest" in engine.catalogue.items.vocabulary


def test_a_history_in_place_of_a_user_is_passed_to_the_model(places):
    with Engine(**places) as engine:
        assert engine.recommend(history=["a", "b"], k=3) == engine.model.recommend(["a", "b"], k=3)
        assert engine.recommend(history=["a", "b"], exclude=["c"], where={"genre": "rock"}, k=10) == (
            engine.model.recommend(["a", "b"], exclude=["c"], allow=["c", "d", "e"], k=10)
        )
        for wrong in ({}, {"user": "u0", "history": ["a"]}):
            with pytest.raises(InputTypeError, match="expected one of the two"):
                engine.recommend(**wrong)


def test_recommend_many_agrees_with_recommend(places):
    users = ["u0", "nobody", "u3", "u0"]
    with Engine(**places) as engine:
        for rules in (
            {},
            {"filter_seen": False},
            {"where": {"genre": "rock"}, "deny": ["e"]},
            {"allow": ["d"]},
        ):
            one_by_one = [engine.recommend(user, k=3, **rules) for user in users]
            assert engine.recommend_many(users, k=3, **rules) == one_by_one
        excluded = [["d"], [], ["e"], ["d", "e"]]
        one_by_one = [engine.recommend(user, exclude=out) for user, out in zip(users, excluded, strict=True)]
        assert engine.recommend_many(users, exclude=excluded) == one_by_one
        assert engine.recommend_many([]) == []
        with pytest.raises(InputError, match="exclude has 1 lists for 2 users"):
            engine.recommend_many(["u0", "u3"], exclude=[["d"]])


@pytest.mark.parametrize("rule", ["exclude", "disliked"])
def test_a_query_of_one_user_takes_ids_and_not_a_list_per_user(places, rule):
    with Engine(**places) as engine:
        for wrong in ([("b",)], [["b"]]):
            with pytest.raises(InputTypeError, match=r"id at position 0 is .*; expected text"):
                engine.recommend(user="u0", **{rule: wrong})


def test_similar_items_and_analogy_take_conditions(places):
    with Engine(**places) as engine:
        assert engine.similar_items("a", k=2) == engine.model.similar_items("a", k=2)
        assert items_of(engine.similar_items("a", k=10, where={"genre": "jazz"})) == {"b"}
        assert items_of(engine.analogy(positive=["a"], negative=["c"], where={"genre": "rock"})) == {"d", "e"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"genre": {"!=": "jazz"}}, "cde"),
        ({"not": {"genre": "rock"}}, "ab"),
        ({"any": [{"genre": {"contains": "ja"}}, {"genre": {"in": ["polka"]}}]}, "ab"),
        (parse({"genre": {"<": "k"}}), "ab"),
    ],
)
def test_every_answer_takes_operators_and_groups(places, where, expected):
    with Engine(**places) as engine:
        rules = {"k": 10, "where": where}
        assert items_of(engine.recommend("nobody", **rules)) == {*expected}
        assert items_of(engine.recommend_many(["nobody", "u0"], **rules)[1]) == {*expected} - {*"abc"}
        assert items_of(engine.recommend(history=["a"], **rules)) == {*expected} - {"a"}
        assert items_of(engine.similar_items("a", **rules)) == {*expected} - {"a"}
        assert items_of(engine.analogy(positive=["a"], **rules)) == {*expected} - {"a"}
        for name in ("any", "not"):
            group = {"gnere": "jazz"} if name == "not" else [{"gnere": "jazz"}]
            with pytest.raises(InputError, match="did you mean 'genre'"):
                engine.recommend("u0", where={name: group})
        with pytest.raises(InputTypeError, match="genre is of type text, and cannot be compared by > 7"):
            engine.recommend("u0", where={"genre": {">": 7}})


def test_explain_uses_the_history_of_the_user(places):
    with Engine(**places) as engine:
        shares = engine.explain("u0", "d")
        assert shares == engine.model.explain(["a", "b", "c"], "d")
        (score,) = [entry.score for entry in engine.recommend("u0", k=10) if entry.item == "d"]
        assert sum(share.share for share in shares) == pytest.approx(score, abs=1e-6)
        assert engine.explain("nobody", "d") == []


@pytest.fixture
def shop(places, tmp_path):
    """A model that reads clicks, and purchases with weight 2; viewed and purchased items count as seen."""
    url = f"sqlite:///{tmp_path}/shop.db"
    events = ["view", "click", "purchase"]
    with Store(url) as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["u"] * 3, item=["a", "b", "c"], event=events, timestamp=[0, 1, 2]))
    with Engine(**places) as engine:
        vectors = engine.model.vectors
    adapter = AdapterConfig(events={"click": 1, "purchase": 2}, seen_events=["view", "purchase"])
    Recommender(vectors, adapter=adapter).save(tmp_path / "bundle")
    return {"models": tmp_path / "bundle", "store": url}


def test_histories_follow_the_adapter_settings_of_the_model(shop):
    with Engine(**shop) as engine:
        model = engine.model
        read = {"weights": [1, 2], "filter_seen": False, "k": 10}
        recommended = engine.recommend("u", k=10)
        assert recommended == model.recommend(["b", "c"], exclude=["a", "c"], **read)
        assert "b" in {item for item, _ in recommended}, "b was only clicked"
        assert engine.recommend("u", k=10, filter_seen=False) == model.recommend(
            ["b", "c"], weights=[1, 2], filter_seen=False, k=10
        )
        assert engine.explain("u", "d") == model.explain(["b", "c"], "d", weights=[1, 2])


def test_status_reports_a_new_version_and_a_failure_to_reload(places, tmp_path):
    models = shutil.copytree(places["models"], tmp_path / "models")
    with (
        captured_log() as (_, wait_for),
        Engine(models=models, store=places["store"], reload_every=0.005) as engine,
    ):
        first = engine.status()
        version = publish(shared_model(1, n_items=20), models)
        wait_for(f"now serving {version.id}")
        status = engine.status()
        assert engine.version == status["version"] == version.id != first["version"]
        assert (first["generation"], status["generation"], status["failure"]) == (1, 2, None)
        assert datetime.fromisoformat(first["loaded_at"]) < datetime.fromisoformat(status["loaded_at"])
        assert engine.recommend("u0", k=3) == shared_model(1, n_items=20).recommend([], k=3)
        (models / "CURRENT").unlink()
        wait_for("still serving")
        failure = json.loads(json.dumps(engine.status()))["failure"]
        assert "nothing is published" in failure["text"]
        assert datetime.fromisoformat(failure["since"]).tzinfo
        assert len(engine.recommend("u0", k=3)) == 3


def test_without_reload_every_the_model_stays_and_a_bundle_has_no_version(places, tmp_path):
    with Engine(**places, reload_every=None) as engine:
        model, version = engine.model, engine.version
        engine.model.save(tmp_path / "bundle")
        assert version == served_version(places["models"]).id
        assert engine.model is model
    with Engine(models=tmp_path / "bundle", store=places["store"]) as engine:
        status = engine.status()
        assert (engine.version, status["version"], status["generation"]) == (None, None, None)
        assert engine.recommend("u0", k=10) == model.recommend(["a", "b", "c"], k=10)


def test_errors_for_a_missing_model_or_schema_name_the_command_to_run(places, tmp_path):
    with pytest.raises(BundleNotFoundError, match="item2vec train"):
        Engine(models=tmp_path / "none", store=places["store"])
    with pytest.raises(SchemaError, match="item2vec db upgrade"):
        Engine(models=places["models"], store=f"sqlite:///{tmp_path}/empty.db")
