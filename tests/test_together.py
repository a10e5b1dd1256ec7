"""New items without attributes get vectors from the items beside their first interactions in the store."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from databases import listens
from test_cold import items_of, vectors_of

from item2vec import Engine, Interactions, Items, Recommender, bundle
from item2vec.batch.users import Stored
from item2vec.config import AdapterConfig
from item2vec.durations import EPOCH
from item2vec.store import Store
from item2vec.store.first_users import N_FIRST
from item2vec.together import Together

CREATED = datetime(2024, 1, 1, tzinfo=UTC)
BEFORE = CREATED - timedelta(hours=1)


def model(created_at=CREATED, **adapter):
    vectors, settings = vectors_of(9), AdapterConfig(**adapter)
    parts = Recommender(vectors, items=items_of(9), score="output", adapter=settings).parts
    return Recommender.from_parts(replace(parts, created_at=created_at))


def together(store, *items, **adapter):
    return Together(store).of(model(**adapter), store.catalogue(), items)


def pairs(sql):
    return sql(
        "SELECT item.external_id, coalesce(user_account.external_id, '') FROM first_user "
        "JOIN item ON item.id = item_id LEFT JOIN user_account ON user_account.id = user_id ORDER BY 1, 2"
    )


@pytest.fixture
def served(store, url, tmp_path):
    bundle.write(model().parts, tmp_path / "bundle", now=CREATED)
    store.ingest_items(items_of(9))
    store.ingest(listens(("ann", "i0", 1), ("ann", "rare", 2), ("ann", "i8", 3)), now=BEFORE)
    with Engine(models=tmp_path / "bundle", store=url, reload_every=None) as served:
        yield served


def test_an_item_gets_the_mean_of_the_items_beside_its_first_interactions(served, url):
    bare = Items.of({"new": {}, "odd": {"genre": "polka"}, "lone": {}})
    served.add_items(bare)
    before = served.recommend("ann", k=99)
    with Store(url) as other:
        other.ingest(listens(("eve", "i2", 1), ("eve", "new", 2), ("eve", "i5", 3)))
        other.ingest(listens(("fay", "i1", 1), ("fay", "odd", 2), ("gus", "lone", 1), ("gus", "rare", 2)))
    assert served.recommend("ann", k=99) == before
    served.refresh()
    expected = served.model.with_items(bare, together={"new": ["i2", "i5"], "odd": ["i1"]})
    answer = served.recommend("ann", k=99)
    assert answer == expected.recommend(["i0", "i8"], k=99)
    assert {"new", "odd"} <= {one.item for one in answer if one.source == "model"}
    assert served.similar_items("new") == expected.similar_items("new")
    assert served.explain("ann", "new") == expected.explain(["i0", "i8"], "new")
    assert Stored.of(served.model, served.store).view.recommend("ann", k=99) == answer


def test_an_item_with_one_interaction_is_recommended_at_the_next_request(served):
    served.store.ingest(listens(("eve", "i2", 1), ("eve", "today", 2)))
    assert "today" in {one.item for one in served.recommend("ann", k=99)}


def test_an_item_that_training_could_read_gets_no_vectors(served):
    served.store.ingest(listens(("eve", "i2", 1), ("eve", "rare", 2), ("eve", "today", 3)))
    assert served.view().model.vocabulary.ids[9:] == ("today",)
    earlier = BEFORE - timedelta(hours=1)
    assert together(served.store, "rare", "today", created_at=earlier) == {
        "rare": ["i0", "i8", "i2", "today"],
        "today": ["i2", "rare"],
    }
    assert together(served.store, "rare", "today", created_at=None) == {}


def test_two_items_before_and_two_after_are_read_in_the_histories_of_the_model(store):
    plays = [(item, "play") for item in ["a", "b", "c", "new", "d", "e", "new", "f"]]
    history = [*plays[:2], ("disliked", "skip"), ("seen", "view"), *plays[2:]]
    rows = [("ann", item, time) for time, (item, _) in enumerate(history)]
    names = [name for _, name in history]
    store.ingest(listens(*rows, ("bob", "x", 1), ("bob", "new", 2), event=[*names, "play", "skip"]))
    store.ingest(listens(("eve", "y", 2 * 10**17), ("eve", "new", 1), event=["play"] * 2))
    events = {"play": 1, "skip": -1}
    assert together(store, "new", "unheard-of", events=events) == {"new": ["b", "c", "d", "e"]}
    since = EPOCH + timedelta(microseconds=5)
    assert together(store, "new", events=events, since=since) == {"new": ["d", "e"]}


def test_interactions_without_timestamps_count(store):
    store.ingest(Interactions.of(user=["ann"] * 3, item=["a", "new", "b"]))
    assert together(store, "new") == {"new": ["a", "b"]}


def test_histories_are_read_again_only_if_they_may_have_changed(store, monkeypatch):
    calls, histories = [], Store.histories

    def counted(self, users, **options):
        calls.append(users)
        return histories(self, users, **options)

    monkeypatch.setattr(Store, "histories", counted)
    one, finder = model(), Together(store)

    def found():
        return finder.of(one, store.catalogue(), ["new"]), len(calls)

    store.ingest(listens(("ann", "new", 1)))
    assert found() == ({"new": []}, 1)
    store.ingest(listens(("bob", "i1", 1)))
    assert found() == ({}, 1)
    store.ingest(listens(("ann", "i1", 2)))
    assert found() == ({"new": ["i1"]}, 2)
    store.ingest(listens(("bob", "new", 2)))
    assert found() == ({"new": ["i1", "i1"]}, 3)


def test_the_first_five_users_of_an_item_are_stored(store, sql):
    rows = [(f"u{n}", "x", 10 * n + repeat) for n in range(3) for repeat in range(2)]
    store.ingest(listens(*rows, ("u9", "y", 1)), batch_size=2)
    store.ingest(listens(*((f"v{n}", "x", n) for n in range(6, 0, -1)), ("u0", "x", 0)))
    first = ["u0", "u1", "u2", "v1"]  # u0 is earlier than v1 in the second call, and takes a place
    assert pairs(sql) == [*(("x", user) for user in first), ("y", "u9")]
    store.ingest(listens(("u1", "x", 99), ("w", "x", 100)))
    store.forget_user("u2")
    store.forget_user("w")
    assert pairs(sql) == [("x", ""), ("x", "u0"), ("x", "u1"), ("x", "v1"), ("y", "u9")]


def test_an_item_whose_first_users_were_all_deleted_is_not_new(store):
    store.ingest(listens(("ann", "rare", 1)), now=BEFORE)
    store.forget_user("ann")
    store.ingest(listens(("eve", "i2", 1), ("eve", "rare", 2)))
    assert together(store, "rare") == {}


def test_a_skipped_event_adds_no_user(store, sql):
    store.ingest(listens(("ann", "a", 1)), keys=["k1"])
    store.ingest(listens(("bob", "x", 1), ("bob", "b", 2)), keys=["k1", "k2"])
    assert pairs(sql) == [("a", "ann"), ("b", "bob")]


def test_events_that_arrive_late_or_without_timestamps_are_looked_up(store):
    one, finder = model(), Together(store)
    store.ingest(Interactions.of(user=["ann"], item=["new"]))
    assert finder.of(one, store.catalogue(), ["new"]) == {"new": []}
    store.ingest(Interactions.of(user=["ann"], item=["i1"]))
    assert finder.of(one, store.catalogue(), ["new"]) == {"new": ["i1"]}


def test_two_writers_of_the_same_items_both_succeed(store, url, sql):
    def ingest(writer):
        names = [f"{writer % 2}-{n}" for n in range(8)]
        rows = [(user, f"i{n}", n) for user in names[:: 1 - 2 * (writer % 2)] for n in range(40)]
        with Store(url) as own:
            return own.ingest(listens(*rows), source=str(writer), batch_size=80).n_new

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ingest, range(4))) == [320] * 4
    found = pairs(sql)
    assert len({item for item, _ in found}) == 40
    assert len(found) >= 40 * N_FIRST
