"""Masks over the rows of a model agree with a direct check of each item."""

import pickle

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, ItemVectors, Recommender, Vocabulary
from item2vec.catalogue import Catalogue, Eligible
from item2vec.errors import InputError, InputTypeError

genres = st.sampled_from(["jazz", "soul", None]) | st.lists(st.sampled_from(["jazz", "soul"]), max_size=2)
tables = st.dictionaries(st.sampled_from("abcdef"), st.tuples(genres, st.booleans()), max_size=6)


def catalogue_of(table, revision=1):
    items = Items.of(
        {"typical": {"genre": None}} | {id_: {"genre": genre} for id_, (genre, _) in table.items()}
    )
    return Catalogue(items, np.array([True, *(active for _, active in table.values())]), revision)


def expected_mask(table, ids, wanted):
    def fits(id_):
        genre, active = table.get(id_, (None, True))
        return active and (wanted is None or wanted in (genre if isinstance(genre, list) else [genre]))

    return [fits(id_) for id_ in ids]


def as_list(mask, ids):
    return [True] * len(ids) if mask is None else mask.tolist()


@examples(150)
@given(tables, tables, st.permutations("abcdefgh"), st.sampled_from([None, "jazz"]))
def test_masks_agree_with_a_check_of_each_item_also_after_changes(table, changed, ids, wanted):
    where = {} if wanted is None else {"genre": wanted}
    catalogue, vocabulary = catalogue_of(table), Vocabulary(tuple(ids))
    eligible = Eligible(catalogue, vocabulary)
    assert as_list(eligible.mask(where), ids) == expected_mask(table, ids, wanted)
    assert eligible.mask(where) is eligible.mask(where)
    newer = catalogue.updated(catalogue_of(changed, revision=2))
    assert newer.revision == 2
    for later in (Eligible(newer, vocabulary, before=eligible), Eligible(newer, vocabulary)):
        assert as_list(later.mask(where), ids) == expected_mask(table | changed, ids, wanted)
    other = Vocabulary(tuple(ids[::-2]))
    assert as_list(Eligible(newer, other, before=eligible).mask(where), other.ids) == expected_mask(
        table | changed, other.ids, wanted
    )


def test_masks_are_read_only():
    catalogue = catalogue_of({"a": ("jazz", True), "b": ("soul", False)})
    for mask in (catalogue.active, Eligible(catalogue, Vocabulary(("b", "a"))).mask({"genre": "jazz"})):
        with pytest.raises(ValueError, match="read-only"):
            mask[0] = True


def test_there_is_no_mask_if_every_row_is_allowed():
    eligible = Eligible(catalogue_of({"a": ("jazz", True)}), Vocabulary(("a", "unheard-of")))
    assert eligible.mask() is eligible.mask({}) is None
    assert eligible.mask({"genre": ["jazz", "soul"]}).tolist() == [True, False]
    assert eligible.mask({"genre": []}).tolist() == [False, False]


def test_a_misspelt_attribute_is_an_error():
    with pytest.raises(InputError, match="did you mean 'genre'"):
        Eligible(catalogue_of({}), Vocabulary(("a",))).mask({"gnere": "jazz"})


def model_of(index="exact", **rows):
    items = Items.of(rows)
    vectors = np.column_stack((np.cos(np.arange(len(rows))), np.sin(np.arange(len(rows)))))
    return Recommender(
        ItemVectors(items.vocabulary, vectors, None, np.ones(len(rows))), items=items, index=index
    )


described = st.fixed_dictionaries({}, optional={"title": st.sampled_from("xy"), "genre": genres})
rows = st.dictionaries(st.sampled_from("abcd"), described, max_size=4)


@examples(100)
@given(rows, rows)
def test_missing_titles_and_attributes_are_those_of_the_model(own, others):
    completed = Items.of(own).completed(Items.of(others))
    assert completed.vocabulary.ids == (*own, *(id_ for id_ in others if id_ not in own))
    for id_ in completed.vocabulary.ids:
        first, second = own.get(id_, {}), others.get(id_, {})
        assert completed.title(id_) == first.get("title", second.get("title", id_))
        described = [{name: row[name] for name in row if name != "title"} for row in (first, second)]
        assert completed.about(id_) == (described[0] or described[1])
    assert completed.completed(Items.of(others)) is completed


def test_items_that_are_known_to_have_no_attributes_get_none():
    listed = Items.of({"a": {}, "b": {}})
    others = Items.of({"a": {"title": "A", "genre": "jazz"}, "b": {"genre": "soul"}})
    catalogue = Catalogue(listed, np.ones(2, dtype=bool), 1, frozenset("a"))
    completed = catalogue.completed(others).items
    assert (completed.titles, completed.attributes) == (("A", None), ({}, {"genre": "soul"}))
    newer = catalogue.updated(Catalogue(listed, np.ones(2, dtype=bool), 2, frozenset("b")))
    assert newer.completed(others).items.attributes == ({"genre": "jazz"}, {})


def test_a_change_of_active_flags_keeps_the_completed_items():
    model = model_of(a={"genre": "jazz"}, b={"genre": "soul"})
    listed = Items.of({"a": {}, "b": {}})

    def eligible(active, bare=(), before=None):
        catalogue = Catalogue(listed, np.array(active), 1, frozenset(bare))
        return Eligible(catalogue, model.vocabulary, attributes=model.items, before=before)

    first = eligible([True, True])
    items = first.items
    unused = eligible([False, True], before=first)
    second = eligible([False, True], before=unused)
    assert second.items is items
    assert second.mask({"genre": ["jazz", "soul"]}).tolist() == [False, True]
    bare = eligible([True, True], bare="a", before=second)
    assert bare.items.attributes == ({}, {"genre": "soul"})


def test_a_change_of_one_item_of_the_store_leaves_the_attributes_of_the_others():
    model = model_of(a={"genre": "jazz"}, b={"genre": "soul"}, c={"genre": "jazz"})
    listed = Catalogue(Items.of({"a": {}, "b": {}}), np.ones(2, dtype=bool), 1)
    for catalogue in (
        listed,
        listed.updated(Catalogue(Items.of({"b": {"genre": "pop"}}), np.ones(1, bool), 2)),
    ):
        eligible = Eligible(catalogue, model.vocabulary, attributes=model.items)
        assert eligible.mask({"genre": "jazz"}).tolist() == [True, False, True]
        assert eligible.mask({"genre": "soul"}).tolist() == [False, catalogue is listed, False]
    assert eligible.mask({"genre": "pop"}).tolist() == [False, True, False]


def test_models_derived_from_a_model_keep_its_catalogue():
    rows = {id_: {"genre": "jazz" if code % 2 else "soul"} for code, id_ in enumerate("abcdefgh")}
    model = model_of("annoy", **rows)
    catalogue = Catalogue(Items.of({"b": {"genre": "pop"}, "c": {}}), np.array([True, False]), 1)
    served = model.with_catalogue(Eligible(catalogue, model.vocabulary, attributes=model.items))
    newer = served.with_items(Items.of({"new": {"genre": "jazz"}}))
    for derived in (served, served.exact, newer):
        found = [item for item, _ in derived.recommend(["a"], k=20)]
        assert "b" in found
        assert "c" not in found
        assert [item for item, _ in derived.recommend(["a"], k=20, where={"genre": "pop"})] == ["b"]
    assert "new" in [item for item, _ in newer.recommend(["a"], k=20, where={"genre": "jazz"})]


@pytest.mark.parametrize("index", ["exact", "faiss"])
def test_a_model_can_be_pickled_after_rules_on_attributes(index):
    rows = {id_: {"genre": "jazz" if code % 2 else "soul"} for code, id_ in enumerate("abcdefgh")}
    model = model_of(index, **rows)
    rules = {"where": {"genre": "jazz"}, "at_most": {"genre": 3}}
    for original in (model, model.with_items(Items.of({"new": {"genre": "jazz"}}))):
        found = original.recommend(["a"], **rules)
        assert len(found) == 3
        assert pickle.loads(pickle.dumps(original)).recommend(["a"], **rules) == found


def test_a_model_with_an_annoy_index_cannot_be_pickled():
    with pytest.raises(InputTypeError, match=r"cannot be pickled, .* use save\(\) and Recommender.load"):
        pickle.dumps(model_of("annoy", a={}, b={}))


def test_the_attributes_of_a_model_cannot_be_set():
    model = model_of(a={}, b={})
    for name in ("parts", "vectors", "taste", "index", "items", "adapter", "neighbours", "prior"):
        with pytest.raises(AttributeError):
            setattr(model, name, None)
