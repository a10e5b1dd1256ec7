"""Answers as arrays and as a table are those of the lists."""

from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, ItemVectors, Recommender, Sentences, Vocabulary
from item2vec.answers import Answers
from item2vec.errors import InputError

IDS = tuple("abcdef")
TITLES = Items.of({"a": {"title": "Ceremony"}, "b": {"title": ""}, "z": {"title": "Unheard"}})


def model(**settings):
    random = np.random.default_rng(3)
    vectors = ItemVectors(Vocabulary(IDS), random.normal(size=(6, 4)), None, np.arange(6.0, 0, -1))
    return Recommender(vectors, **settings)


histories = st.lists(st.lists(st.sampled_from([*IDS, "unknown"]), max_size=4), max_size=6)


@examples(60)
@given(histories, st.integers(1, 8), st.booleans(), st.sets(st.sampled_from(IDS)))
def test_arrays_hold_the_lists(lists, k, filter_seen, denied):
    rules = {"k": k, "filter_seen": filter_seen, "deny": sorted(denied)}
    expected = model().recommend_many(lists, **rules)
    answers = model().recommend_many(lists, as_arrays=True, **rules)
    assert answers.items.shape == answers.scores.shape == (len(lists), k)
    assert (answers.items.dtype, answers.scores.dtype) == (np.int32, np.float32)
    assert np.array_equal(np.isnan(answers.scores), answers.items == -1)
    for row, entries in enumerate(expected):
        assert answers.items[row].tolist() == [
            *(IDS.index(entry.item) for entry in entries),
            *[-1] * (k - len(entries)),
        ]
        scores = np.array([entry.score for entry in entries], np.float32)
        assert answers.scores[row, : len(entries)].tobytes() == scores.tobytes()
        assert [entry.source for entry in answers[row]] == [entry.source for entry in entries]


def test_a_frame_has_a_row_per_item():
    answers = model(items=TITLES).recommend_many(
        Sentences.of([["a", "b", "c", "d"], []]), k=3, as_arrays=True
    )
    frame = answers.to_frame()
    assert list(frame.columns) == ["user", "rank", "item", "score", "source", "title"]
    assert frame["user"].tolist() == [0, 0, 1, 1, 1]
    assert frame["rank"].tolist() == [1, 2, 1, 2, 3]
    assert frame["item"].tolist()[2:] == ["a", "b", "c"]
    assert frame["source"].tolist() == ["model"] * 2 + ["popular"] * 3
    assert [title if isinstance(title, str) else None for title in frame["title"]] == [
        None,
        None,
        "Ceremony",
        None,
        None,
    ]


def test_no_histories_give_an_empty_frame_with_all_columns():
    answers = model().recommend_many([], k=3, as_arrays=True)
    assert answers.items.shape == (0, 3)
    assert list(answers.to_frame().columns) == ["user", "rank", "item", "score", "source", "title"]


def test_answers_are_immutable():
    answers = model().recommend_many([["a"]], as_arrays=True)
    for array in (answers.items, answers.scores):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        answers.items = None


def test_the_number_of_users_is_checked():
    answers = Answers.of([([0], [1.0], "model")], 1, Vocabulary(("a",)))
    with pytest.raises(InputError, match="2 users for 1 rankings"):
        replace(answers, users=("ann", "bob"))


def test_items_without_training_have_another_source():
    rankings = [([1, 0], [2.0, 1.0], "model"), ([1], [0.5], "popular")]
    answers = Answers.of(rankings, 2, Vocabulary(("a", "b")), untrained=np.array([False, True]))
    assert [[entry.source for entry in answer] for answer in (answers[0], answers[1])] == [
        ["attributes", "model"],
        ["popular"],
    ]
    assert answers.to_frame()["source"].tolist() == ["attributes", "model", "popular"]
