"""Changes of items: the store merges the fields of several writers, and what was removed stays removed."""

import numpy as np
import pytest
from databases import listens
from services import ids, ready_client

from item2vec import Engine, Items, ItemVectors, Recommender, publish
from item2vec.errors import InputError
from item2vec.service import Serving, create_app
from item2vec.store.changes import change_item


@pytest.fixture
def models(tmp_path):
    """A models folder with a model that knows titles and attributes."""
    songs = Items.of({id_: {"title": id_.upper(), "genre": "jazz"} for id_ in "abc"})
    vectors = ItemVectors(songs.vocabulary, np.eye(3), None, np.ones(3))
    publish(Recommender(vectors, items=songs), tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def client_of(models, url):
    """Return a function that returns a client of a new service, whose catalogue is then stale."""
    return lambda: ready_client(create_app(Serving(str(models), url, reload_every=3600)))


def jazz(engine):
    return sorted(found.item for found in engine.recommend(history=[], k=9, where={"genre": "jazz"}))


REMOVALS = {
    "replaced by nothing": [lambda store: store.ingest_items(Items.of({"a": {}}), replace=True)],
    "removed by a file": [
        lambda store: store.ingest_items(Items.of({"a": {"genre": "jazz"}})),
        lambda store: store.ingest_items(Items.of({"a": {}, "b": {"genre": "soul"}})),
    ],
    "replaced by no attributes": [lambda store: change_item(store, "a", {"attributes": {}})],
}


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("changes", REMOVALS.values(), ids=REMOVALS)
def test_removed_attributes_are_not_those_of_the_model(store, url, models, changes, is_stored):
    if is_stored:
        store.ingest(listens(("u", "a", 1)))
    with Engine(models=models, store=url, reload_every=None) as engine:
        assert "a" in jazz(engine)
        for change in changes:
            change(engine.store)
        with Engine(models=models, store=url, reload_every=None) as reading_all:
            for each in (engine, reading_all):
                assert "a" not in jazz(each)
                assert each.view().items.about("a") == {}


EMPTY_CELL = Items.of({"a": {}, "x": {"in_stock": True}})
NOT_DESCRIBED = {
    "an event": lambda store: store.ingest(listens(("u", "a", 1))),
    "a title in a file": lambda store: store.ingest_items(Items.of({"a": {"title": "New"}})),
    "an empty cell in a file": lambda store: store.ingest_items(EMPTY_CELL),
    "an event, then an empty cell in a file": lambda store: (
        store.ingest(listens(("u", "a", 1))),
        store.ingest_items(EMPTY_CELL),
    ),
    "a new title": lambda store: change_item(store, "a", {"title": "New"}),
    "activated": lambda store: change_item(store, "a", {"active": True}),
}


@pytest.mark.parametrize("change", NOT_DESCRIBED.values(), ids=NOT_DESCRIBED)
def test_attributes_that_the_store_does_not_know_are_those_of_the_model(store, url, models, change):
    change(store)
    with Engine(models=models, store=url) as engine:
        assert jazz(engine) == ["a", "b", "c"]


WITHOUT_A_TITLE = {
    "an empty cell in a file": lambda store: store.ingest_items(Items.of({"a": {}, "x": {"title": "X"}})),
    "a replacement": lambda store: store.ingest_items(Items.of({"a": {}}), replace=True),
}


@pytest.mark.parametrize("change", WITHOUT_A_TITLE.values(), ids=WITHOUT_A_TITLE)
def test_a_removed_title_remains_removed(store, url, models, change):
    change_item(store, "a", {"title": None})
    change(store)
    with Engine(models=models, store=url) as engine:
        assert engine.view().items.title("a") == "a"


def test_a_field_of_an_item_is_changed(store):
    change_item(store, "x", {"title": "One", "attributes": {"year": 1983, "tags": []}})
    change_item(store, "x", {"title": "Two"})
    assert (store.items().title("x"), store.items().about("x")) == ("Two", {"year": 1983, "tags": []})
    change_item(store, "x", {"attributes": {"genre": "pop"}, "active": False})
    assert (store.items().title("x"), store.items().about("x")) == ("Two", {"genre": "pop"})
    assert store.inactive_items() == ["x"]
    change_item(store, "x", {"title": None})
    assert (store.items().title("x"), store.inactive_items()) == ("x", ["x"])
    known = store.catalogue()
    change_item(store, "y", {"active": False})
    assert store.catalogue(known).items.vocabulary.ids == ("x", "y")
    assert store.inactive_items() == ["x", "y"]


@pytest.mark.parametrize(
    ("id_", "fields"), [("", {}), ("x", {"title": "a\0"}), ("x", {"attributes": {"year": float("nan")}})]
)
def test_an_invalid_change_is_refused(store, id_, fields):
    with pytest.raises(InputError):
        change_item(store, id_, fields)
    assert len(store.items()) == 0


FIELDS = {"title": {"title": "New"}, "attributes": {"attributes": {"genre": "soul"}}}


@pytest.mark.parametrize("order", [["title", "attributes"], ["attributes", "title"]])
def test_a_service_keeps_the_changes_of_another_service(store, client_of, order):
    store.ingest_items(Items.of({"a": {"title": "Old", "genre": "jazz"}}))
    with client_of() as one, client_of() as other:
        for client, name in zip((one, other), order, strict=True):
            assert client.put("/v1/items/a", json=FIELDS[name]).status_code == 200
    assert (store.items().title("a"), store.items().about("a")) == ("New", {"genre": "soul"})


def test_a_service_keeps_the_changes_of_a_file(store, client_of):
    store.ingest_items(Items.of({"a": {"genre": "jazz", "stock": 3}}))
    with client_of() as client:
        store.ingest_items(Items.of({"a": {"stock": 2}}))
        changed = client.put("/v1/items/a", json={"title": "New"}).json()
    assert (changed["title"], changed["attributes"]) == ("New", {"genre": "jazz", "stock": 2})


def test_a_new_item_is_never_active_if_it_is_put_as_inactive(store, client_of):
    with client_of() as client:
        revision = store.catalogue().revision
        client.put("/v1/items/new", json={"title": "New", "attributes": {"genre": "jazz"}, "active": False})
    assert store.inactive_items() == ["new"]
    assert store.catalogue().revision == revision + 1  # a single transaction


def test_titles_and_attributes_are_removed_over_http(store, client_of):
    with client_of() as client:
        path = "/v1/items/a"
        assert client.get(path).json()["title"] == "A"
        for body, title, attributes in (
            ({"title": None}, None, {"genre": "jazz"}),
            ({"attributes": None, "active": None}, None, {"genre": "jazz"}),
            ({"attributes": {}}, None, {}),
            ({"title": "New"}, "New", {}),
            ({"attributes": {"title": "Newer", "year": 1}}, "Newer", {"year": 1}),
            ({"attributes": {"title": "Lost"}, "title": "Newest"}, "Newest", {}),
        ):
            answer = client.put(path, json=body).json()
            assert (answer["title"], answer["attributes"], answer["active"]) == (title, attributes, True)
            assert client.get(path).json() == answer
        wanted = client.post("/v1/recommendations", json={"history": [], "where": {"genre": "jazz"}})
        assert sorted(ids(wanted)) == ["b", "c"]
