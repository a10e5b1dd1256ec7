"""``Preparation``: one computation per model and catalogue, new items in the background, before a switch."""

import gc
import os
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

from item2vec import Engine, Interactions, ItemVectors, Recommender, Vocabulary
from item2vec.catalogue import Catalogue
from item2vec.durations import EPOCH
from item2vec.errors import StoreError
from item2vec.items import Items
from item2vec.preparation import Preparation
from item2vec.store import Store

SONGS = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "soul"}})
MORE = SONGS.updated(Items.of({"s3": {"genre": "soul"}}))


def model():
    return Recommender(ItemVectors(Vocabulary(("s1", "s2")), np.eye(2), None, np.ones(2)), items=SONGS)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "item2vec-new-items"]


@pytest.fixture
def counted(monkeypatch):
    """The calls of ``with_items``, each of which waits for ``release``, for ten seconds at most."""
    calls, release, plain = [], threading.Event(), Recommender.with_items

    def with_items(self, items, **options):
        calls.append(items)
        release.wait(10)
        return plain(self, items, **options)

    monkeypatch.setattr(Recommender, "with_items", with_items)
    yield calls, release
    release.set()


def test_the_same_model_is_returned_until_the_catalogue_changes():
    preparation, one = Preparation(wait=True), model()
    catalogue = Catalogue.of(SONGS)
    first = preparation.of(one, catalogue)
    assert preparation.of(one, catalogue) is first
    closed = Catalogue(SONGS, np.array([False, True]), revision=1)
    assert [found.item for found in preparation.of(one, closed).recommend([])] == ["s2"]
    assert preparation.of(one, Catalogue.of(MORE)).vocabulary.ids == ("s1", "s2", "s3")


def test_a_change_of_a_known_item_keeps_the_rows_of_the_new_items(counted):
    calls, release = counted
    release.set()
    preparation, one = Preparation(wait=True), model()
    titled = MORE.updated(Items.of({"s3": {"title": "Old", "genre": "soul"}}))
    first = preparation.of(one, Catalogue.of(titled))
    changes = {"s1": {"genre": "jazz", "price": 5}, "s3": {"genre": "soul"}, "s4": {}}
    second = preparation.of(one, Catalogue.of(MORE.updated(Items.of(changes))))
    assert second is not first
    assert (second.vectors is first.vectors, second.index is first.index) == (True, True)
    assert [found.item for found in second.recommend([], where={"price": 5})] == ["s1"]
    assert (first.described_items.title("s3"), second.described_items.title("s3")) == ("Old", "s3")
    assert len(calls) == 1
    other = preparation.of(one, Catalogue.of(MORE.updated(Items.of({"s3": {"genre": "jazz"}}))))
    assert (other.vectors.input[2] != first.vectors.input[2]).any()


def test_no_thread_starts_for_a_change_of_a_known_item(counted):
    calls, release = counted
    release.set()
    preparation, one = Preparation(wait=False), model()
    preparation.of(one, Catalogue.of(MORE))
    cheaper = Catalogue.of(MORE.updated(Items.of({"s1": {"price": 5}})))
    assert [found.item for found in preparation.of(one, cheaper).recommend([], where={"price": 5})] == ["s1"]
    for thread in threads():
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("inactive", "expected"), [("", "xy"), ("y", "wx"), ("xy", "vw"), ("uwxy", "vy"), ("uvwxy", "xy")]
)
def test_the_newest_active_items_get_rows(monkeypatch, inactive, expected):
    monkeypatch.setattr("item2vec.preparation.MAX_NEW_ITEMS", 2)
    newer = SONGS.updated(Items.of({item: {"genre": "soul"} for item in "uvwxy"} | {"z": {}}))
    catalogue = Catalogue(newer, np.array([id_ not in inactive for id_ in newer.vocabulary]), revision=1)
    assert Preparation(wait=True).of(model(), catalogue).vocabulary.ids[2:] == tuple(expected)


def test_the_newest_items_get_rows_also_after_a_restart(tmp_path, monkeypatch):
    """The ids are not in the order in which the items are added."""
    monkeypatch.setattr("item2vec.preparation.MAX_NEW_ITEMS", 2)
    places = {"models": tmp_path / "bundle", "store": f"sqlite:///{tmp_path}/item2vec.db"}
    model().save(places["models"])
    with Store(places["store"]) as store:
        store.upgrade()
        for item in "zyabx":
            store.ingest_items(Items.of({item: {"genre": "soul"}}))
        store.deactivate_items(["x"])
    with Engine(**places) as engine:
        assert engine.view().model.vocabulary.ids[2:] == ("a", "b")
        engine.add_items(Items.of({"c": {"genre": "soul"}, "a": {"genre": "jazz"}}))
        assert engine.view().model.vocabulary.ids[2:] == ("b", "c")
    with Engine(**places) as engine:
        assert engine.view().model.vocabulary.ids[2:] == ("b", "c")


def test_requests_wait_for_one_computation(counted):
    calls, release = counted
    preparation, one, catalogue, found = Preparation(wait=True), model(), Catalogue.of(MORE), []
    asking = [threading.Thread(target=lambda: found.append(preparation.of(one, catalogue))) for _ in range(4)]
    for thread in asking:
        thread.start()
    release.set()
    for thread in asking:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, found))) == 1


def test_new_items_are_added_in_a_thread(counted):
    calls, release = counted
    preparation, one, catalogue = Preparation(wait=False), model(), Catalogue.of(MORE)
    preparation.of(one, Catalogue.of(SONGS))  # the first call would wait
    for _ in range(3):
        assert preparation.of(one, catalogue).vocabulary.ids == ("s1", "s2")
    newest = Catalogue.of(MORE.updated(Items.of({"s4": {"genre": "jazz"}})))
    assert preparation.of(one, newest).vocabulary.ids == ("s1", "s2")
    (thread,) = threads()
    release.set()
    thread.join()
    assert preparation.of(one, newest).vocabulary.ids == ("s1", "s2", "s3", "s4")
    assert len(calls) <= 2
    assert threads() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_failed_is_followed_by_another(monkeypatch):
    """A catalogue that changes after the failure is prepared."""
    preparation, one = Preparation(wait=False), model()
    preparation.of(one, Catalogue.of(SONGS))
    keep, failures = preparation._keep, [MemoryError()]

    def failing(*arguments):
        if failures and threading.current_thread().name == "item2vec-new-items":
            raise failures.pop()
        return keep(*arguments)

    monkeypatch.setattr(preparation, "_keep", failing)
    for catalogue in (Catalogue.of(MORE), newest := Catalogue.of(MORE)):
        assert preparation.of(one, catalogue).vocabulary.ids == ("s1", "s2")
        for thread in threads():
            thread.join()
    assert preparation.of(one, newest).vocabulary.ids == ("s1", "s2", "s3")


def test_a_model_is_prepared_before_it_is_served(counted):
    calls, release = counted
    release.set()
    preparation, old, new = Preparation(wait=False), model(), model()
    preparation.of(old, Catalogue.of(SONGS))
    catalogue = Catalogue.of(MORE)
    preparation.of(old, catalogue)
    for thread in threads():
        thread.join()
    preparation.ahead(new)
    n_calls = len(calls)
    assert preparation.of(new, catalogue).vocabulary.ids == ("s1", "s2", "s3")
    assert len(calls) == n_calls


@pytest.mark.parametrize("items", [SONGS, MORE], ids=["known items", "a new item"])
def test_a_model_that_is_not_in_use_is_freed(items):
    preparation, one = Preparation(wait=True), model()
    preparation.of(one, Catalogue.of(items))
    vectors = weakref.ref(one.vectors)
    del one
    gc.collect()
    assert vectors() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_does_not_wait_for_a_computation_of_its_parent(counted):
    calls, release = counted
    preparation, one = Preparation(wait=True), model()
    computing = threading.Thread(target=preparation.of, args=(one, Catalogue.of(MORE)))
    computing.start()
    while not calls:
        assert computing.is_alive(), "the computation ended before the fork"
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        found = preparation.of(model(), Catalogue.of(SONGS)).vocabulary
        os._exit(0 if found.ids == ("s1", "s2") else 1)
    release.set()
    computing.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_items_without_attributes_are_looked_up_in_a_thread_after_each_read(tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise StoreError("the server restarts")

    def prepared(n_reads):
        preparation.of(one, catalogue, n_reads=n_reads)
        for thread in threads():
            thread.join()
        return preparation.of(one, catalogue, n_reads=n_reads)

    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest_items(SONGS.updated(Items.of({"s3": {}})))
        preparation, catalogue = Preparation(store, wait=False), store.catalogue()
        one = Recommender.from_parts(replace(model().parts, created_at=EPOCH))
        first = prepared(0)
        store.ingest(Interactions.of(user=["u", "u"], item=["s1", "s3"], timestamp=[1, 2]))
        assert prepared(0) is first
        monkeypatch.setattr("item2vec.together.first_users", fail)
        assert prepared(1) is first
        assert "were not looked up: the server restarts" in caplog.text
        monkeypatch.undo()
        second = prepared(2)
        assert second.vocabulary.ids == ("s1", "s2", "s3")
        store.ingest(Interactions.of(user=["v", "v"], item=["s2", "s3"], timestamp=[1, 2]))
        assert prepared(3) is second
        store.ingest_items(Items.of({"s4": {"genre": "soul"}}))
        catalogue = store.catalogue(catalogue)
        third = prepared(4)
        assert third.vocabulary.ids == ("s1", "s2", "s4", "s3")
        assert (third.vectors.input[3] != second.vectors.input[2]).any()
