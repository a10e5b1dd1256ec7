"""Items in the store, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa
from databases import listens
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from item2vec import Items
from item2vec.errors import InputError, InputTypeError, UnknownItemError
from item2vec.store import Ingested, catalogue

NOW = datetime(2024, 1, 1, tzinfo=UTC)
ON_EACH = examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])

SONGS = Items.of(
    {
        "s1": {"title": "Blue Monday", "genre": "synth-pop", "year": 1983, "live": False},
        "s2": {"genre": ["jazz", "soul"], "year": 1959.5, "tags": []},
        "s3": {"title": "", "genre": None, "name": {"nested": ["jazz"]}, "größe 😀 \"'\\": "jazz"},
        "s4": {},
    }
)


def assert_same_items(items, expected):
    order = sorted(range(len(expected)), key=expected.vocabulary.ids.__getitem__)
    assert items.vocabulary.ids == tuple(expected.vocabulary.ids[code] for code in order)
    assert items.titles == tuple(expected.titles[code] for code in order)
    assert list(items.attributes) == [expected.attributes[code] for code in order]
    assert [list(map(type, row.values())) for row in items.attributes] == [
        list(map(type, expected.attributes[code].values())) for code in order
    ]


def test_items_are_returned_unchanged(store):
    assert store.ingest_items(SONGS) == Ingested(4, 4, 0)
    assert_same_items(store.items(), SONGS)


def test_items_are_replaced_and_interactions_create_items_without_titles(store):
    store.ingest(listens(("ann", "s1", 1), ("ann", "s9", 2)))
    assert store.ingest_items(SONGS) == Ingested(4, 3, 1, n_changed=1)
    assert store.items().title("s1") == "Blue Monday"
    assert store.items().title("s9") == "s9"
    ingested = store.ingest_items(Items.of({"s1": {"genre": "pop"}}), replace=True)
    assert ingested == Ingested(1, 0, 1, n_changed=1)
    assert store.items().about("s1") == {"genre": "pop"}
    assert store.items().title("s1") == "s1"


def described(store):
    items = store.items()
    return dict(zip(items.vocabulary, zip(items.titles, items.attributes, strict=True), strict=True))


def test_an_update_changes_only_the_columns_that_are_given(store, monkeypatch):
    monkeypatch.setattr(catalogue, "ITEMS_PER_BATCH", 1)  # the columns are those of all batches
    table = {"title": "Table", "brand": "Oak", "price": 55.5, "stock": 3}
    store.ingest_items(Items.of({"i1": table, "i2": {"title": "Chair", "price": 20}}))
    store.ingest_items(Items.of({"i1": {"stock": 99}, "i2": {"price": 21}, "i3": {"stock": 1}}))
    assert described(store) == {
        "i1": ("Table", {"brand": "Oak", "stock": 99}),
        "i2": ("Chair", {"price": 21}),
        "i3": (None, {"stock": 1}),
    }
    store.ingest_items(Items.of({"i1": {}, "i2": {"title": "Stool"}}))
    assert described(store)["i1"] == (None, {"brand": "Oak", "stock": 99})
    assert described(store)["i2"] == ("Stool", {"price": 21})


def test_kept_attributes_keep_their_order(store):
    names = [f"attribute {n}" for n in range(12)]
    store.ingest_items(Items.of({"i": dict.fromkeys(names, 1)}))
    store.ingest_items(Items.of({"i": {"stock": 1}}))
    assert store.items().attribute_names == (*names, "stock")


def test_only_changed_items_get_a_new_revision(store, sql):
    store.ingest(listens(("ann", "s5", 1)))
    store.ingest_items(SONGS)
    known = store.catalogue()
    assert store.ingest_items(SONGS) == Ingested(4, 0, 4)
    assert store.catalogue(known) is known
    same = {"s1": {"year": 1983}, "s2": {"year": 1959}, "s4": {"year": 1.0}, "s5": {"year": 1}}
    assert store.ingest_items(Items.of(same)) == Ingested(4, 0, 4, n_changed=3)
    assert store.ingest_items(Items.of({"s4": {"year": 1}})) == Ingested(1, 0, 1, n_changed=1)
    assert sql("SELECT external_id, revision FROM item ORDER BY external_id") == [
        ("s1", 2),
        ("s2", 3),
        ("s3", 2),
        ("s4", 4),
        ("s5", 3),
    ]


def test_an_item_that_events_insert_during_an_update_gets_its_attributes(store, engine):
    store.ingest_items(SONGS)
    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO item (external_id) VALUES ('s9')"))
            later = thread.submit(store.ingest_items, Items.of({"s8": {"year": 1}, "s9": {"year": 2}}))
            wait([later], timeout=0.3)
        assert later.result() == Ingested(2, 1, 1, n_changed=1)
    assert store.items().about("s9") == {"year": 2}


def test_an_item_that_events_have_inserted_is_read(store):
    known = store.catalogue()
    store.ingest(listens(("ann", "s5", 1)))
    assert store.ingest_items(Items.of({"s5": {}})) == Ingested(1, 0, 1)
    assert store.catalogue(known).items.vocabulary.ids == ("s5",)


def test_items_are_deactivated_and_activated(store):
    store.ingest_items(SONGS)
    assert store.deactivate_items(["s3", "s1", "s3"]) == 2
    assert store.deactivate_items(["s1"]) == 0
    assert store.inactive_items() == ["s1", "s3"]
    assert store.items_where({}) == ["s2", "s4"]
    store.ingest_items(SONGS)
    assert store.inactive_items() == ["s1", "s3"]
    assert store.activate_items(["s1"]) == 1
    assert store.inactive_items() == ["s3"]
    assert len(store.items()) == 4


def test_with_an_unknown_item_none_is_deactivated(store):
    store.ingest_items(SONGS)
    with pytest.raises(UnknownItemError, match=r"unknown item 's11' \(4 known\); did you mean 's1'"):
        store.deactivate_items(["s1", "s11"])
    with pytest.raises(InputTypeError, match="expected a list of ids"):
        store.deactivate_items("s1")
    assert store.inactive_items() == []


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63)])
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 0.1, 1e300, 5e-324, float(2**53)])
    | st.sampled_from(
        ["", "jazz", "Jazz", "1", "true", "null", "é", 'a"b', "\\", "\n", "\u2028", "😀", "\x01"]
    )
)
names = st.sampled_from(["genre", "year", "a.b", 'a"b', "$", "", "ü", "\n"])
attributes = st.dictionaries(
    names,
    scalars | st.lists(scalars, max_size=3) | st.lists(st.lists(scalars, max_size=2), max_size=2),
    max_size=4,
)


@given(
    rows=st.lists(attributes, max_size=6),
    wanted=st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=2),
)
@ON_EACH
def test_items_where_agrees_with_items_in_memory(store, rows, wanted):
    items = Items.of({f"i{n}": row for n, row in enumerate([dict.fromkeys(wanted), *rows])})
    store.ingest_items(items, replace=True)
    of_earlier_examples = {*store.items().vocabulary} - {*items.vocabulary}
    selected = [item for item in store.items_where(wanted) if item not in of_earlier_examples]
    assert selected == sorted(items.where(wanted))
    stored = [store.items().about(item) for item in items.vocabulary]
    assert stored == [dict(row) for row in items.attributes]


@pytest.mark.parametrize("wanted", [True, 1, 1.0, [2, True]])
def test_true_equals_one_as_in_python_but_not_text(store, wanted):
    values = {"a": True, "b": 1, "c": 1.0, "d": "1", "e": "true", "f": False, "g": 0, "h": [True], "i": None}
    items = Items.of({name: {"x": value} for name, value in values.items()})
    store.ingest_items(items)
    assert store.items_where({"x": wanted}) == items.where({"x": wanted}) == ["a", "b", "c", "h"]
    assert store.items_where({"x": 0}) == items.where({"x": False}) == ["f", "g"]


@pytest.mark.parametrize("wanted", [float("nan"), float("inf"), 2**63, "a\0", "\ud800", None, []])
def test_a_value_that_cannot_be_stored_matches_no_item(store, wanted):
    store.ingest_items(SONGS)
    assert store.items_where({"genre": wanted}) == []
    assert store.items_where({"genre": [wanted, "jazz"]} if wanted != [] else {"genre": "jazz"}) == ["s2"]


@pytest.mark.parametrize("name", ["a\0", "\ud800", "gnere", 7, None])
def test_an_unknown_attribute_is_refused(store, name):
    store.ingest_items(SONGS)
    with pytest.raises(InputError, match="an attribute"):
        store.items_where({name: "jazz"})


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"year": {">": 1959, "<=": 1983}}, ["s1", "s2"]),
        ({"year": {"!=": 1983}}, ["s2"]),
        ({"not": {"live": True}}, ["s1"]),
        ({"genre": {"contains": "soul"}}, ["s2"]),
        ({"title": {"contains": "Monday"}}, ["s1"]),
        ({"any": [{"tags": {"!=": "x"}}, {"year": 1983}]}, ["s1", "s2"]),
    ],
)
def test_stored_attributes_keep_the_types_that_conditions_compare(store, where, expected):
    store.ingest_items(SONGS)
    assert store.items_where(where) == SONGS.where(where) == expected


def test_an_attribute_of_inactive_items_only_is_accepted(store):
    store.ingest_items(SONGS)
    store.deactivate_items(["s1"])
    assert store.items_where({"year": 1983}) == store.items_where({"live": False}) == []


CHANGES = {
    "a new item": lambda store: store.ingest_items(Items.of({"s5": {}})),
    "a new item in an event": lambda store: store.ingest(listens(("ann", "s5", 1))),
    "a new item that was shown": lambda store: store.impressions.record(
        ["ann"], [["s5"]], version=None, now=NOW
    ),
    "another attribute": lambda store: store.ingest_items(Items.of({"s4": {"genre": "soul"}})),
    "another title": lambda store: store.ingest_items(Items.of({"s4": {"title": "Ceremony"}})),
    "deactivated": lambda store: store.deactivate_items(["s1", "s2"]),
    "activated": lambda store: store.activate_items(["s3"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_changes_of_a_catalogue_are_read(store, change):
    store.ingest_items(SONGS)
    store.deactivate_items(["s3"])
    known = store.catalogue()
    assert store.catalogue(known) is known
    store.ingest(listens(("ann", "s1", 1)))
    assert store.catalogue(known) is known
    change(store)
    newer, whole = store.catalogue(known), store.catalogue()
    assert newer.revision == whole.revision == known.revision + 1
    assert_same_items(whole.items, newer.items)
    assert newer.where({}) == whole.where({})
    assert (newer.items is known.items) == (change in (CHANGES["deactivated"], CHANGES["activated"]))


def test_new_items_are_a_change_for_caches_and_new_events_are_not(store):
    store.ingest_items(SONGS)
    for items, is_change in (["s1"], False), (["s1", "new"], True), (["new"], False):
        before = store.last_change
        store.ingest(listens(*((f"u{items}", item, 1) for item in items)))
        assert (store.last_change is not before) is is_change
    for items, is_change in (["new"], False), (["newer"], True), (["newer"], False):
        before = store.last_change
        store.impressions.record(["ann"], [items], version=None, now=NOW)
        assert (store.last_change is not before) is is_change
        assert store.last_success is store.last_change


steps = st.lists(
    st.tuples(st.just("items"), st.dictionaries(st.sampled_from("abc"), attributes, min_size=1))
    | st.tuples(st.sampled_from(["in", "out", "read"]), st.sampled_from("abc"))
    | st.tuples(st.just("event"), st.sampled_from("abcd")),  # "d" is new
    max_size=10,
)


@given(steps=steps)
@ON_EACH
def test_a_catalogue_updated_by_changes_equals_the_whole_one(store, steps):
    store.ingest_items(Items.of({item: {} for item in "abc"}))
    known = store.catalogue()
    for step, what in steps:
        if step == "items":
            store.ingest_items(Items.of(what))
        elif step == "event":
            store.ingest(listens(("ann", what, 1)))
        elif step == "read":
            known = store.catalogue(known)
        else:
            (store.activate_items if step == "in" else store.deactivate_items)([what])
    newest, whole = store.catalogue(known), store.catalogue()
    assert_same_items(newest.items, whole.items)
    assert newest.active.tolist() == whole.active.tolist()


def test_after_a_restore_from_backup_the_whole_catalogue_is_read(store, sql):
    store.ingest_items(SONGS)
    store.deactivate_items(["s1"])
    known = store.catalogue()
    sql("UPDATE item SET active = :active, revision = 1", active=True)
    assert store.catalogue(known).where({}) == ["s1", "s2", "s3", "s4"]


def test_revisions_become_visible_in_ascending_order(store, engine):
    """A reader that reads the later of two revisions first would never read the earlier revision."""
    store.ingest_items(SONGS)
    seen = store.catalogue()
    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as connection:
            catalogue.set_active(connection, ["s1"], active=False)
            later = thread.submit(store.deactivate_items, ["s2"])
            wait([later], timeout=0.3)
            seen = store.catalogue(seen)
        assert later.result() == 1
    assert store.catalogue(seen).where({}) == ["s3", "s4"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"a": 1}, "genre has the unknown operator 'a'"),
        ([["jazz"]], r"an element of genre is \['jazz'\]"),
        (b"jazz", "genre is b'jazz'"),
        (datetime(2024, 1, 1), r"genre is datetime\.datetime\(2024, 1, 1"),
    ],
    ids=["operator", "list", "bytes", "time"],
)
def test_a_condition_of_another_type_is_refused(store, wanted, message):
    store.ingest_items(SONGS)
    with pytest.raises(InputTypeError, match=message):
        store.items_where({"genre": wanted})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"years": [1, float("inf")]}, "item 'bad': years is inf"),
        ({"year": 2**63}, "item 'bad': year is 9223372036854775808"),
        ({"genre": "a\0b"}, "item 'bad': genre"),
        ({"genre": ["\ud800"]}, "item 'bad': genre"),
        ({"a\0b": 1}, "an attribute name"),
        ({"title": "\ud800"}, "item 'bad': title"),
        ({"title": 7}, "item 'bad': title is 7, of type int; expected text"),
        ({"when": datetime(2024, 1, 1)}, "item 'bad': when"),
        ({"tags": {"a": {1: 2}}}, "item 'bad': tags"),
    ],
)
def test_attributes_that_a_database_would_change_are_refused(store, row, message):
    with pytest.raises(InputError, match=message):
        store.ingest_items(Items.of({"good": {"year": 1}, "bad": row}))
    assert len(store.items()) == 0


def test_attributes_of_numpy_are_stored_as_json(store):
    store.ingest_items(Items.of({"a": {"n": np.int64(3), "year": float("nan"), "tags": ("x", "y")}}))
    assert store.items().attributes == ({"n": 3, "year": None, "tags": ["x", "y"]},)


def test_recursive_attributes_are_refused(store):
    recursive = []
    recursive.append(recursive)
    with pytest.raises(InputTypeError, match="deep"):
        store.ingest_items(Items.of({"x": {"a": recursive}}))
