"""Masks over the rows of a model agree with a direct check of each item."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, Vocabulary
from item2vec.catalogue import Catalogue, Eligible
from item2vec.errors import InputError

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
