"""Impressions: what was shown is recorded in the store, and left out of later answers."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from databases import listens
from test_cold import items_of, vectors_of

from item2vec import Engine, Items, Recommender
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError, InputTypeError, InvalidIdError, StoreError
from item2vec.store import Store
from item2vec.store.impressions import Impressions

NOW = datetime(2024, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_items_shown_since_a_time_are_returned_per_user(store):
    shown = store.impressions
    assert shown.record(["ann", "bob"], [["y", "x"], ["x"]], version="g1", now=NOW) == 3
    assert shown.record(["ann"], [["z", "x"]], version=None, now=NOW + DAY) == 2
    assert shown.since(["ann", "bob", "eve", "ann"], NOW) == [["x", "y", "z"], ["x"], [], ["x", "y", "z"]]
    assert shown.since(["ann", "bob"], NOW + timedelta(microseconds=1)) == [["x", "z"], []]
    assert store.summary()["n_users"] == 2


def test_a_repeated_impression_is_recorded_once(store):
    for n_new in (2, 0):
        assert store.impressions.record(["ann"], [["x", "y", "x"]], version="g1", now=NOW) == n_new
    assert store.impressions.record(["ann"], [[]], version="g1", now=NOW) == 0


def test_impressions_are_deleted_by_age_and_with_their_user(store):
    for days in range(3):
        store.impressions.record(["ann", "bob"], [["x"], ["y"]], version="g1", now=NOW + days * DAY)
    assert store.impressions.delete(before=NOW + DAY) == 2
    assert store.forget_user("ann") == 0
    assert store.impressions.since(["ann", "bob"], NOW) == [[], ["y"]]
    assert store.impressions.delete(before=NOW + 9 * DAY) == 2


def test_impressions_are_no_interactions(store):
    store.ingest(listens(("ann", "x", 1)))
    store.impressions.record(["ann"], [["y"]], version="g1", now=NOW)
    assert store.history("ann").items == ["x"]
    assert len(store.interactions()) == 1


@pytest.mark.parametrize(
    ("users", "items", "version", "error", "match"),
    [
        (["ann"], [], "g1", InputError, "items has 0 lists for 1 users"),
        (["ann"], [[""]], "g1", InvalidIdError, "is empty"),
        ([""], [["x"]], "g1", InvalidIdError, "is empty"),
        (["ann"], [["x"]], "", InvalidIdError, "is empty"),
    ],
)
def test_invalid_impressions_are_refused(store, users, items, version, error, match):
    with pytest.raises(error, match=match):
        store.impressions.record(users, items, version=version, now=NOW)
    assert store.summary()["n_users"] == 0


@pytest.mark.parametrize("items", [["x"], []])
def test_a_time_without_a_time_zone_is_refused(store, items):
    with pytest.raises(InputError, match="time zone"):
        store.impressions.record(["ann"], [items], version="g1", now=datetime(2024, 1, 8))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "bundle"
    adapter = AdapterConfig()
    Recommender(vectors_of(9), items=items_of(9), score="output", adapter=adapter).save(path)
    return path


@pytest.fixture
def engine(store, url, bundle):
    store.ingest_items(items_of(9))
    store.ingest(listens(("ann", "i0", 1), ("bob", "i1", 1)))
    with Engine(models=bundle, store=url, reload_every=None) as engine:
        yield engine


def ids(answer):
    return [one.item for one in answer]


def test_an_answer_is_recorded_only_if_asked_and_left_out_for_a_while(engine):
    everything = ids(engine.recommend("ann", k=99))
    assert ids(engine.recommend("ann", k=3, exclude_shown="7d")) == everything[:3]
    first = ids(engine.recommend("ann", k=3, log=True))
    second = ids(engine.recommend("ann", k=3, exclude_shown="7d", log=True))
    assert (first, second) == (everything[:3], everything[3:6])
    assert ids(engine.recommend("ann", k=99, exclude_shown="7d")) == everything[6:]
    assert ids(engine.recommend("ann", k=99, exclude_shown=timedelta(days=7), filter_seen=False)) == [
        item for item in ids(engine.recommend("ann", k=99, filter_seen=False)) if item not in everything[:6]
    ]
    assert ids(engine.recommend("ann", k=99)) == everything
    assert engine.store.impressions.since(["ann"], NOW) == [sorted(everything[:6])]


def test_old_impressions_do_not_count(engine):
    everything = ids(engine.recommend("ann", k=99))
    old = datetime.now(UTC) - timedelta(days=8)
    engine.store.impressions.record(["ann"], [everything[:2]], version=None, now=old)
    assert ids(engine.recommend("ann", k=99, exclude_shown="7d")) == everything
    assert ids(engine.recommend("ann", k=99, exclude_shown="9d")) == everything[2:]
    assert ids(engine.recommend("ann", k=99, exclude_shown="99999d")) == everything[2:]


def test_many_answers_are_recorded_and_left_out_as_single_ones(engine):
    users = ["ann", "bob", "new"]
    first = engine.recommend_many(users, k=2, log=True)
    left = engine.recommend_many(users, k=99, exclude=[[], ["i5"], []], exclude_shown="1h")
    for user, own, later in zip(users, first, left, strict=True):
        assert not {*ids(own)} & {*ids(later)}
        denied = ["i5"] if user == "bob" else []
        assert engine.recommend(user, k=99, exclude=denied, exclude_shown="1h") == later


def test_a_store_that_refuses_the_write_does_not_break_the_answer(engine, monkeypatch, caplog):
    def refuse(*_, **__):
        raise StoreError("the disk is full")

    expected = engine.recommend("ann", k=3)
    monkeypatch.setattr(Impressions, "record", refuse)
    with caplog.at_level(logging.WARNING):
        assert engine.recommend("ann", k=3, log=True) == expected
    assert "the recommendations for 1 users were not recorded: the disk is full" in caplog.text


def test_only_a_user_has_impressions(engine):
    for wrong in ({"log": True}, {"exclude_shown": "7d"}):
        with pytest.raises(InputTypeError, match="log and exclude_shown require a user; got a history"):
            engine.recommend(history=["i0"], **wrong)
    with pytest.raises(ConfigError, match="exclude_shown is 'soon'; expected a duration above 0"):
        engine.recommend("ann", exclude_shown="soon")


def test_a_new_row_of_the_store_is_in_the_next_answer_until_it_is_deactivated(engine, url):
    assert "new" not in ids(engine.recommend("ann", k=99))
    engine.add_items(Items.of({"new": {"genre": "soul", "title": "New"}, "odd": {"genre": "polka"}}))
    answer = {one.item: one.source for one in engine.recommend("ann", k=99)}
    assert answer.pop("new") == "attributes"
    assert set(answer.values()) == {"model"}
    assert "odd" not in answer
    assert engine.catalogue.items.title("new") == "New"
    assert ids(engine.recommend("ann", k=99, where={"genre": "soul"}))[:1] != []
    assert "new" in ids(engine.recommend(history=["new", "i2"], k=99, filter_seen=False))
    assert engine.recommend(history=["new"], k=1)[0].source == "model"
    with Store(url) as other:
        other.deactivate_items(["new"])
        other.ingest_items(Items.of({"later": {"genre": "jazz"}}))
    engine.refresh()
    left = ids(engine.recommend("ann", k=99))
    assert "new" not in left
    assert "later" in left
    assert engine.model.vocabulary.ids == vectors_of(9).vocabulary.ids


def test_the_history_of_a_user_may_contain_new_items(engine):
    engine.add_items(Items.of({"new": {"genre": "soul"}}))
    engine.store.ingest(listens(("eve", "new", 1)))
    expected = engine.recommend(history=["new"], k=99)
    assert engine.recommend("eve", k=99) == expected
    assert expected[0].source == "model"
    assert "new" not in ids(expected)
    assert engine.explain("eve", "i2")[0].item == "new"
    assert engine.similar_items("new", k=1)[0].item in {"i2", "i5", "i8"}


def test_only_the_newest_items_get_vectors_if_there_are_too_many(engine, monkeypatch, caplog):
    monkeypatch.setattr("item2vec.preparation.MAX_NEW_ITEMS", 2)
    for number in range(4):
        engine.add_items(Items.of({f"new{number}": {"genre": "soul"}}))
    answer = ids(engine.recommend("ann", k=99))
    assert {item for item in answer if item.startswith("new")} == {"new2", "new3"}
    assert "4 items of the store are not in the model; only the newest 2 get vectors" in caplog.text


def test_items_are_not_added_to_a_model_of_groups(store, url, tmp_path):
    store.ingest_items(items_of(9))
    adapter = AdapterConfig(group_by="genre")
    Recommender(vectors_of(9), items=items_of(9), adapter=adapter).save(tmp_path / "bundle")
    store.ingest_items(items_of(3, "new"))
    with Engine(models=tmp_path / "bundle", store=url, reload_every=None) as engine:
        assert not {item for item in ids(engine.recommend("ann", k=99)) if item.startswith("new")}
