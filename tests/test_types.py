"""``Vocabulary`` maps ids to codes byte for byte; invalid ids and values of ``k`` raise typed errors."""

from __future__ import annotations

import dataclasses

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MAX_ID_BYTES, NOT_TEXT, ODD_IDS, ids, illegal_ids

from item2vec import adapters
from item2vec.errors import InputError, InputTypeError, InvalidIdError, UnknownItemError, short_repr
from item2vec.shards.arrow import ArrowVocabulary
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_ids, check_k

distinct_ids = st.lists(ids, unique=True, max_size=30)


def test_odd_ids_stay_distinct():
    assert Vocabulary(ODD_IDS).ids == ODD_IDS
    assert Vocabulary(ODD_IDS).decode(Vocabulary(ODD_IDS).encode(ODD_IDS)) == list(ODD_IDS)


@given(distinct_ids, st.lists(ids))
def test_a_vocabulary_equals_a_dict(known, queried):
    vocabulary = Vocabulary(tuple(known))
    code_of = {id_: code for code, id_ in enumerate(known)}
    codes = vocabulary.encode(queried)
    assert codes.dtype == np.int32
    assert codes.tolist() == [code_of.get(id_, -1) for id_ in queried]
    assert vocabulary.decode(vocabulary.encode(known)) == list(vocabulary) == known
    assert len(vocabulary) == len(known)
    for id_ in queried:
        assert (id_ in vocabulary) == (id_ in code_of)
        if id_ in code_of:
            assert vocabulary.code(id_) == code_of[id_]
        else:
            with pytest.raises(UnknownItemError):
                vocabulary.code(id_)


@given(distinct_ids, st.data())
def test_take_renumbers_in_the_given_order(known, data):
    codes = data.draw(st.permutations(range(len(known))))
    some = codes[: data.draw(st.integers(0, len(known)))]
    assert Vocabulary(tuple(known)).take(np.array(some, dtype=np.int32)) == Vocabulary(
        tuple(known[code] for code in some)
    )


LISTED = [[-1], [0, 2], [True, False], [0.0], [None], ["a"], [[0]], [[0], [0, 1]]]


@pytest.mark.parametrize(
    "codes", [*LISTED, *map(np.array, LISTED[:-1]), [np.arange(2)], None, 3, np.array(0)]
)
def test_only_codes_of_the_vocabulary_are_decoded(codes):
    """-1 is the code of an unknown id, and must not become the last id."""
    for vocabulary in (Vocabulary(("a", "b")), ArrowVocabulary(pa.chunked_array([["a", "b"]]))):
        with pytest.raises(InputError, match="expected integers from 0 to 1"):
            vocabulary.decode(codes)
        if isinstance(codes, np.ndarray) and codes.ndim:
            with pytest.raises(InputError, match="expected integers from 0 to 1"):
                vocabulary.take(codes)


def test_an_empty_vocabulary_decodes_an_empty_list_only():
    for vocabulary in (Vocabulary(()), ArrowVocabulary(pa.chunked_array([], pa.string()))):
        assert vocabulary.decode([]) == []
        with pytest.raises(InputError, match=r"codes are \[0\]; expected an empty list"):
            vocabulary.decode([0])


@given(distinct_ids, illegal_ids, st.data())
def test_an_illegal_id_is_rejected_at_any_position(known, illegal, data):
    position = data.draw(st.integers(0, len(known)))
    with_illegal = [*known[:position], illegal, *known[position:]]
    with pytest.raises(InvalidIdError, match=f"position {position} "):
        check_ids(with_illegal)
    with pytest.raises(InvalidIdError):
        Vocabulary(tuple(with_illegal))


def test_surrogates_of_adjacent_ids_do_not_form_a_pair():
    with pytest.raises(InvalidIdError, match="position 0 contains a lone surrogate"):
        check_ids(["\ud83d", "\ude00"])


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_ids_are_limited_in_bytes(character):
    size = len(character.encode())
    check_ids([character * (MAX_ID_BYTES // size)])
    with pytest.raises(InvalidIdError, match=f"is {(MAX_ID_BYTES // size + 1) * size} bytes long"):
        check_ids([character * (MAX_ID_BYTES // size + 1)])


@given(st.lists(ids, min_size=1, unique=True), st.data())
def test_duplicate_ids_are_rejected(known, data):
    duplicate = data.draw(st.sampled_from(known))
    with pytest.raises(InputError, match="occurs twice") as caught:
        Vocabulary((*known, duplicate))
    assert short_repr(duplicate) in str(caught.value)


def test_an_unknown_id_raises_with_the_closest_known_ids():
    songs = Vocabulary(("blue-monday", "temptation", "age-of-consent", "Ceremony"))
    with pytest.raises(
        KeyError, match=r"unknown item 'blu-monday' \(4 known\); did you mean 'blue-monday'\?"
    ):
        songs.code("blu-monday")
    assert songs.closest(" CEREMONY") == ["Ceremony"]
    with pytest.raises(UnknownItemError, match="found no id with a similar spelling"):
        songs.code("x")


@pytest.mark.parametrize("wrong", [*NOT_TEXT, np.int64(1), b"temptation"])
def test_values_that_are_not_text_are_rejected_as_ids(wrong):
    songs = Vocabulary(("temptation", "1"))
    message = f"id at position 1 is .*, of type {type(wrong).__name__}; expected text"
    for read_ids in (songs.encode, Vocabulary.of, check_ids, lambda ids: Vocabulary(tuple(ids))):
        with pytest.raises(InputTypeError, match=message):
            read_ids(["temptation", wrong, "unheard-of"])
    for read_id in (songs.code, songs.closest):
        with pytest.raises(InputTypeError, match="expected text"):
            read_id(wrong)


def test_the_error_for_a_number_suggests_str():
    with pytest.raises(InputTypeError, match=r"id at position 0 is 7, of type int; .*; pass str\(id\)"):
        Vocabulary(("7",)).encode([7])


def test_numpy_strings_are_text():
    assert Vocabulary(("a", "b")).encode(np.array(["b", "z"])).tolist() == [1, -1]


def test_closest_compares_only_the_first_ids_of_about_the_same_length():
    many = Vocabulary((*(f"{number:0100d}" for number in range(5_000)), "y" * 100))
    assert many.closest("y" * 99) == []
    assert many.take(np.arange(4_000, 5_001)).closest("y" * 99) == ["y" * 100]


def test_vocabularies_are_values():
    one, same, other = Vocabulary(("a", "b")), Vocabulary(["a", "b"]), Vocabulary(("b", "a"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != ("a", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.ids = ()


@pytest.mark.parametrize("k", [1, 10, np.int64(3)])
def test_check_k_returns_an_int(k):
    assert check_k(k) == k
    assert type(check_k(k)) is int


@pytest.mark.parametrize("k", [0, -1, np.int32(0)])
def test_k_below_one_is_rejected(k):
    with pytest.raises(InputError, match=f"k is {k}"):
        check_k(k)


@pytest.mark.parametrize("k", [True, 1.0, "1", None, np.bool_(True), np.float64(2)])
def test_k_of_another_type_is_rejected(k):
    with pytest.raises(InputTypeError, match="expected an integer"):
        check_k(k)


def test_a_string_is_not_a_list_of_ids():
    with pytest.raises(InputTypeError, match=r"history is the text 'ab'; .* \['ab'\]"):
        as_history("ab")
    with pytest.raises(InputTypeError, match=r"history is 5, of type int; expected a list of ids"):
        as_history(5)
    assert as_history(iter(["ab"])) == ["ab"]


def test_a_mapping_is_not_a_list_of_ids():
    with pytest.raises(InputTypeError, match=r"history is the mapping \{'a': 5.0\}, .* pass the list of ids"):
        as_history({"a": 5.0})
    nodes = nx.Graph([("a", "b")]).nodes  # a mapping, and also a set
    assert as_history(nodes) == as_history({"a": 5.0, "b": 1.0}.keys()) == ["a", "b"]
    assert list(adapters.playlists([nodes])) == [["a", "b"]]


def test_recommendations_and_shares_unpack_and_are_immutable():
    for value in (Recommendation("a", 0.5), Share("a", 0.5)):
        item, number = value
        assert (item, number) == ("a", 0.5)
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.item = "b"


def test_a_list_of_recommendations_is_a_frame_of_records():
    listed = [Recommendation("a", 0.5), Recommendation("b", 0.25, "popular")]
    frame = pd.DataFrame(listed)
    assert list(frame) == ["item", "score", "source"]
    assert frame["source"].tolist() == ["model", "popular"]
    assert [tuple(one) for one in listed] == [("a", 0.5), ("b", 0.25)]
    assert dict(listed) == {"a": 0.5, "b": 0.25}
    with pytest.raises(ValueError, match="too many values"):
        (_only,) = listed[0]
