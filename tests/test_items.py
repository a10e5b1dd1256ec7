"""Titles are for people, attributes for filters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ids

from item2vec.errors import InputError, InvalidIdError
from item2vec.items import Items, meets
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
    assert meets("jazz", wanted)
    assert meets(["soul", "jazz"], wanted)
    assert not meets("soul", wanted)
    assert not meets(None, wanted)


def test_columns_must_fit():
    with pytest.raises(InputError, match="2 ids, 1 titles, 2 attributes"):
        Items(Vocabulary(("a", "b")), ("A",), ({}, {}))
    with pytest.raises(InvalidIdError):
        Items.of({"": {}})
