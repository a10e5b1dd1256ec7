"""Titles are for people, attributes for filters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ids

from item2vec.errors import InputError, InputTypeError, InvalidIdError
from item2vec.items import Items
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


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(ids, attributes, max_size=8), conditions)
def test_where_finds_what_looking_at_each_item_finds(rows, asked):
    def fits(row):
        return all(
            (set(as_list(row.get(name))) - {None}) & set(as_list(wanted)) for name, wanted in asked.items()
        )

    items = Items.of(rows)
    unknown = asked.keys() - {name for row in rows.values() for name in row}
    if unknown:
        with pytest.raises(InputError, match="no item has an attribute"):
            items.where(asked)
    else:
        assert items.where(asked) == [id_ for id_, row in rows.items() if fits(row)]
    assert len(items) == len(rows)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(ids, st.none() | st.text(min_size=1)), ids)
def test_an_item_without_a_title_goes_by_its_id(titles, other):
    items = Items.of({id_: {"title": title} for id_, title in titles.items()})
    for id_ in [*titles, other]:
        assert items.title(id_) == (titles.get(id_) or id_)


@pytest.mark.parametrize("wanted", [("jazz",), {"jazz"}, frozenset({"jazz"}), ["rock", "jazz"], "jazz"])
def test_any_of_several_values_will_do(wanted):
    songs = Items.of({"a": {"x": "jazz"}, "b": {"x": ["soul", "jazz"]}, "c": {"x": "soul"}, "d": {"x": None}})
    assert songs.where({"x": wanted}) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yaer", "no item has an attribute 'yaer'; did you mean 'year'"),
        ("zzz", "no item has an attribute 'zzz'; known: genre, year"),
    ],
)
def test_a_misspelt_attribute_is_answered_with_the_nearest_names(name, words):
    songs = Items.of({"a": {"genre": "jazz"}, "b": {"year": 1983}})
    with pytest.raises(InputError, match=words):
        songs.where({"genre": "jazz", name: 1983})
    with pytest.raises(InputError, match=f"no item has an attribute '{name}', or any other"):
        Items.of({"a": {}}).where({name: 1})


@pytest.mark.parametrize("wanted", [{"a": 1}, [["jazz"]], b"jazz", object()])
def test_a_condition_of_another_type_is_refused(wanted):
    with pytest.raises(InputTypeError, match="genre is"):
        Items.of({"a": {"genre": "jazz"}}).where({"genre": wanted})
    with pytest.raises(InputTypeError, match="attribute name is 7"):
        Items.of({"a": {"genre": "jazz"}}).where({7: "jazz"})


def test_nothing_equals_what_is_not_a_number():
    nan = float("nan")
    assert Items.of({"a": {"x": nan}}).where({"x": nan}) == []
    assert Items.of({"a": {"x": nan}, "b": {"x": 1}}).where({"x": [nan, 1, None]}) == ["b"]


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(ids, attributes, max_size=6), st.dictionaries(ids, attributes, max_size=4))
def test_updated_items_are_those_of_both_tables(old, new):
    before = Items.of(old)
    found = before.updated(Items.of(new))
    assert dict(zip(found.vocabulary, found.attributes, strict=True)) == old | new
    assert found.vocabulary.ids[: len(old)] == tuple(old)
    if old | new == old:
        assert found is before


def test_columns_must_fit():
    with pytest.raises(InputError, match="2 ids, 1 titles, 2 attributes"):
        Items(Vocabulary(("a", "b")), ("A",), ({}, {}))
    with pytest.raises(InvalidIdError):
        Items.of({"": {}})
