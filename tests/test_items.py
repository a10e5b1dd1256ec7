"""Titles and attributes of items, and filters by attribute."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids

from item2vec.errors import InputError, InputTypeError, InvalidIdError
from item2vec.items import Items, is_same
from item2vec.types import Vocabulary

values = st.sampled_from(["jazz", "rock", "soul", 1, 2.5, None])
attributes = st.dictionaries(
    st.sampled_from(["genre", "mood"]), values | st.lists(values, max_size=3), max_size=2
)
conditions = st.dictionaries(
    st.sampled_from(["genre", "mood", "year"]), values | st.lists(values, max_size=3), max_size=2
)


def as_list(value):
    return value if isinstance(value, list) else [value]


SONGS = Items.of(
    {
        "a": {"title": "A", "genre": "jazz", "year": 1959},
        "b": {"genre": ["soul", "jazz"], "year": 1983},
        "c": {"genre": "soul", "live": True},
        "d": {"genre": None, "year": float("nan")},
    }
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "abcd"),
        ({"genre": "jazz"}, "ab"),
        ({"genre": ["jazz", "rock"]}, "ab"),
        ({"genre": ("jazz",)}, "ab"),
        ({"genre": {"soul", "rock"}}, "bc"),
        ({"genre": frozenset({"soul"})}, "bc"),
        ({"genre": "jazz", "year": 1983}, "b"),
        ({"genre": "rock"}, ""),
        ({"genre": []}, ""),
        ({"genre": None}, ""),
        ({"genre": [None, "soul"]}, "bc"),
        ({"year": float("nan")}, ""),
        ({"year": [float("nan"), 1959, None]}, "a"),
        ({"year": 1959.0}, "a"),
        ({"live": 1}, "c"),
    ],
)
def test_examples_of_conditions(conditions, expected):
    assert SONGS.where(conditions) == list(expected)
    assert SONGS.vocabulary.decode(np.flatnonzero(SONGS.meets(conditions))) == list(expected)


@examples(100)
@given(st.dictionaries(ids, attributes, max_size=8), conditions)
def test_where_equals_a_scan_of_all_items(rows, conditions):
    def matches(row):
        return all(
            (set(as_list(row.get(name))) - {None}) & set(as_list(value)) for name, value in conditions.items()
        )

    items = Items.of(rows)
    unknown = conditions.keys() - {name for row in rows.values() for name in row}
    if unknown:
        with pytest.raises(InputError, match="no item has an attribute"):
            items.where(conditions)
    else:
        assert items.where(conditions) == [id_ for id_, row in rows.items() if matches(row)]
    assert len(items) == len(rows)


@examples(50)
@given(st.dictionaries(ids, st.none() | st.text(min_size=1)), ids)
def test_the_title_of_an_item_without_one_is_its_id(titles, other):
    items = Items.of({id_: {"title": title} for id_, title in titles.items()})
    for id_ in [*titles, other]:
        assert items.title(id_) == (titles.get(id_) or id_)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yaer", "no item has an attribute 'yaer'; did you mean 'year'"),
        ("zzz", "no item has an attribute 'zzz'; expected genre, year"),
    ],
)
def test_an_unknown_attribute_error_suggests_names(name, message):
    songs = Items.of({"a": {"genre": "jazz"}, "b": {"year": 1983}})
    with pytest.raises(InputError, match=message):
        songs.where({"genre": "jazz", name: 1983})
    with pytest.raises(InputError, match=f"no item has an attribute '{name}', because the items have no"):
        Items.of({"a": {}}).where({name: 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "genre has the unknown operator 'a'"),
        ([["jazz"]], r"an element of genre is \['jazz'\]"),
        (b"jazz", "genre is b'jazz'"),
        (object(), "genre is <object object"),
    ],
    ids=["operator", "list", "bytes", "object"],
)
def test_conditions_of_other_types_are_errors(value, message):
    with pytest.raises(InputTypeError, match=message):
        Items.of({"a": {"genre": "jazz"}}).where({"genre": value})
    with pytest.raises(InputTypeError, match="an attribute name is 7"):
        Items.of({"a": {"genre": "jazz"}}).where({7: "jazz"})


@examples(50)
@given(st.dictionaries(ids, attributes, max_size=6), st.dictionaries(ids, attributes, max_size=4))
def test_updated_items_are_the_union_with_changes(old, new):
    before = Items.of(old)
    updated = before.updated(Items.of(new))
    assert dict(zip(updated.vocabulary, updated.attributes, strict=True)) == old | new
    assert updated.vocabulary.ids[: len(old)] == tuple(old)
    if old | new == old:
        assert updated is before


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ([0], [False]), ({"x": [1]}, {"x": [True]})])
def test_another_type_of_an_equal_value_is_a_change(old, new):
    before = Items.of({"a": {"live": old}, "b": {}})
    assert repr(before.updated(Items.of({"a": {"live": new}})).attributes) == repr(({"live": new}, {}))
    assert before.updated(Items.of({"a": {"live": old}})) is before


def test_inconsistent_columns_are_errors():
    with pytest.raises(InputError, match="2 ids, 1 titles and 2 dicts of attributes"):
        Items(Vocabulary(("a", "b")), ("A",), ({}, {}))
    with pytest.raises(InvalidIdError):
        Items.of({"": {}})


def test_values_of_numpy_and_pandas_become_json_values():
    frame = pd.DataFrame({"year": [1959, None], "title": ["A", None]}, index=["a", "b"])
    rows = frame.to_dict("index")
    rows["a"] |= {"n": np.int64(3), "price": np.float32(19.99), "live": np.bool_(True), "tags": ("x", "y")}
    rows["b"] |= {"n": pd.NA, "at": pd.NaT, "sizes": np.array([1.0, np.nan]), "about": {"n": np.str_("x")}}
    items = Items.of(rows)
    assert items.titles == ("A", None)
    assert is_same(
        items.attributes,
        (
            {"year": 1959.0, "n": 3, "price": 19.99, "live": True, "tags": ["x", "y"]},
            {"year": None, "n": None, "at": None, "sizes": [1.0, None], "about": {"n": "x"}},
        ),
    )
    for conditions in ({"n": 3}, {"n": {">=": 2}}, {"live": True}, {"price": {"<": 19.995}}, {"tags": "y"}):
        assert items.where(conditions) == ["a"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"n": {1}}, r"item 'b': n is \{1\} of type set; expected text, .* convert it, for example"),
        ({"n": Decimal("1.5")}, "item 'b': n is .* of type Decimal"),
        ({"n": date(2024, 1, 1)}, "item 'b': n is .* of type date"),
        ({"n": pd.Timestamp("2024-01-01")}, "item 'b': n is .* of type Timestamp"),
        ({"n": np.datetime64("2024-01-01", "ns")}, "item 'b': n is .* of type datetime64"),
        ({"n": [np.ones((1, 1))]}, "item 'b': n is .* of type ndarray"),
        ({"n": {"x": {1: 2}}}, "item 'b': n: a name is 1, of type int; expected text"),
        ({3: "x"}, "item 'b': the name of an attribute is 3, of type int; expected text"),
        ({"title": 7}, "item 'b': title is 7, of type int; expected text"),
    ],
)
def test_values_that_are_not_json_are_refused_at_once(row, message):
    with pytest.raises(InputTypeError, match=message):
        Items.of({"a": {"n": 1}, "b": row})


def test_infinite_values_are_refused():
    with pytest.raises(InputError, match="item 'a': n is inf; expected a finite number"):
        Items.of({"a": {"n": [1.0, np.float32("inf")]}})
