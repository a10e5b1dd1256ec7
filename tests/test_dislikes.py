"""Dislikes: histories without them, the step away from them, and items nearer to them than to the history."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Interactions, ItemVectors, NextItem, Sentences, Vocabulary
from item2vec.adapters import histories, sessions
from item2vec.adapters.histories import training_sentences, user_histories
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.dislikes import move_away, nearer_to_dislikes, split_dislikes
from item2vec.errors import ConfigError, InputError
from item2vec.evaluation import Popularity, temporal_split
from item2vec.histories import Histories, encode_histories
from item2vec.neighbours import table_for
from item2vec.prior import prior_for
from item2vec.taste import TasteReader, read_tastes, scored_matrix
from item2vec.training.corpus import prepare
from item2vec.types import Vocabulary as Ids
from item2vec.user_vectors import read_user_vectors

IDS = Vocabulary(tuple("abcdef"))


def of(rows, *, output=None, config=None):
    """Vectors with these input vectors, and the same output vectors unless there are others."""
    rows = np.array(rows, np.float32)
    output = rows if output is None else np.array(output, np.float32)
    return ItemVectors(Vocabulary(tuple("abcdef"[: len(rows)])), rows, output, np.ones(len(rows)), config)


def encoded(lists, weights=None):
    return encode_histories(IDS, [list(one) for one in lists], weights=weights)


@pytest.mark.parametrize(
    ("lists", "weights", "further", "liked", "disliked"),
    [
        (["ab", ""], None, None, ["ab", ""], ["", ""]),
        (["ab"], [[1, 0]], None, ["ab"], [""]),
        (["ab"], [[1, -2]], None, ["a"], ["b2"]),
        (["aba", "ba"], [[1, 1, -1], [1, 1]], None, ["b", "ba"], ["a1", ""]),  # in spite of the play before
        (["ab", "ba"], None, ["b", ""], ["a", "ba"], ["b1", ""]),
        (["ab", "b"], [[-2, 1], [-1]], ["c", "b"], ["b", ""], ["a2c1", "b1b1"]),
        (["a"], [[-0.0]], None, ["a"], [""]),
    ],
)
def test_worked_divisions_of_histories(lists, weights, further, liked, disliked):
    rows = further and [IDS.encode(list(ids)).astype(np.intp) for ids in further]
    rest, dislikes = split_dislikes(encoded(lists, weights), rows)
    assert ["".join(IDS.decode(own)) for own in np.split(rest.codes, rest.offsets[1:-1])] == liked
    found = [
        "".join(f"{IDS.ids[code]}{strength:g}" for code, strength in zip(*dislikes.of(n), strict=True))
        for n in range(len(lists))
    ]
    assert found == disliked
    assert rest.weights is None or (rest.weights >= 0).all()


ACROSS = [[1, 0], [0, 1], [-1, 0]]


@pytest.mark.parametrize(
    ("lists", "weights", "moved"),
    [
        ("a", None, [1, 0]),
        ("ab", [1, -1], [1.3, -0.3]),
        ("ab", [1, -2], [1.6, -0.6]),
        ("aab", [1, 1, -1], [1.3, -0.3]),
        ("abc", [1, -1, -1], [1.45, -0.15]),  # a - (b + c) / 2 = (1.5, -0.5)
        ("abc", [1, -1, 0], [1.3, -0.3]),  # an item of weight 0 is neither liked nor disliked
    ],
)
def test_worked_steps(lists, weights, moved):
    vectors, taste = of(ACROSS), TasteConfig(score="cosine", decay=1.0)
    users = read_user_vectors(
        *split_dislikes(encoded([lists], weights and [weights])), TasteReader.of(vectors, taste)
    )
    assert users.tastes.vectors[0] == pytest.approx(np.array(moved) / np.hypot(*moved))


def test_the_step_is_computed_with_scored_vectors_and_keeps_the_length():
    vectors = of([[3, 0], [0, 9]], output=[[0, 2], [5, 0]])
    users = read_user_vectors(
        *split_dislikes(encoded(["ab"], [[1, -1]])), TasteReader.of(vectors, TasteConfig(decay=1.0))
    )
    moved = np.array([3, 0]) + 0.3 * 3 * (np.array([0, 1]) - np.array([1, 0]))
    assert users.tastes.vectors[0] == pytest.approx(3 * moved / np.hypot(*moved))


def test_parts_with_separate_cosines_are_moved_separately():
    config = NextItem(vector_size=4, context_decay=(0.5, 0.9), tied=0, temperature=0.1)
    rows = [[1, 0, 0, 1], [0, 1, 0, 1]]
    vectors, taste = of(rows, config=config), TasteConfig(decay=(0.5, 0.9), part_weights=(1, 0))
    users = read_user_vectors(*split_dislikes(encoded(["ab"], [[1, -1]])), TasteReader.of(vectors, taste))
    assert users.tastes.vectors[0] == pytest.approx([*10 * np.array([1.3, -0.3]) / np.hypot(1.3, 0.3), 0, 0])


def test_a_history_of_dislikes_only_has_no_user_vector():
    users = read_user_vectors(
        *split_dislikes(encoded(["ab"], [[-1, -1]])), TasteReader.of(of(ACROSS), TasteConfig())
    )
    assert users.tastes.empty.tolist() == [True]
    assert not users.tastes.vectors.any()


@pytest.mark.parametrize(
    ("liked", "disliked", "demoted"),
    [
        ("a", "b", "bc"),
        ("ab", "c", "c"),
        ("b", "b", ""),  # equally near
        ("", "b", "bc"),  # cosine above 0.5
        ("", "a", "a"),
    ],
)
def test_worked_demotions(liked, disliked, demoted):
    angles = np.radians([0, 60.1, 90])
    matrix = 3 * np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    codes = [IDS.encode(list(ids)) for ids in (liked, disliked)]
    found = nearer_to_dislikes(matrix, np.arange(3), liked=codes[0], disliked=codes[1])
    assert "".join(IDS.decode(np.flatnonzero(found))) == demoted


tastes = st.builds(
    TasteConfig,
    score=st.sampled_from(["cosine", "output"]),
    decay=st.sampled_from([0.7, (0.5, 0.9)]),
    last_n=st.none() | st.just(2),
)
configs = st.none() | st.sampled_from(
    [
        NextItem(vector_size=4, context_decay=(0.5, 0.9), tied=0, similarity=name)
        for name in ("cosine", "inner")
    ]
)
entries = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-2.0, -1.0, 0.0, 1.0, 3.0])), max_size=7)


@examples(30)
@given(
    lists=st.lists(entries, min_size=1, max_size=4),
    taste=tastes,
    config=configs,
    interests=st.sampled_from([None, 1, 2, 3, "auto"]),
    seed=st.integers(0, 99),
)
def test_lengths_batches_and_shares(lists, taste, config, interests, seed):
    random = np.random.default_rng(seed)
    rows, output = random.normal(size=(2, 6, 4))
    vectors = of(rows, output=output, config=config)
    both = encoded(
        [[IDS.ids[code] for code, _ in one] for one in lists], [[w for _, w in one] for one in lists]
    )
    users = read_user_vectors(*split_dislikes(both), TasteReader.of(vectors, taste), interests)
    plain = read_tastes(vectors, taste, *users.histories[:2], weights=users.histories.weights)
    known = ~users.tastes.empty
    lengths = [np.linalg.norm(one.vectors[known], axis=1) for one in (users.tastes, plain)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)
    for number in np.flatnonzero(known):
        for item in range(6):
            _, shares = users.shares(number, vectors, taste, item)
            score = users.tastes.vectors[number] @ scored_matrix(vectors, taste)[item]
            assert shares.sum() == pytest.approx(score, abs=1e-4)
    for number in range(len(lists)):
        own = users.owners == number
        one = encoded([[IDS.ids[code] for code, _ in lists[number]]], [[w for _, w in lists[number]]])
        alone = read_user_vectors(*split_dislikes(one), TasteReader.of(vectors, taste), interests)
        assert np.array_equal(alone.tastes.vectors, users.tastes.vectors[own])


SHOP = {
    "user": ["u"] * 6 + ["v"],
    "item": [*list("abbcad"), "c"],
    "event": ["play", "skip", "play", "play", "play", "play", "skip"],
    "timestamp": [1, 2, 3, 4, 5, 6, 7],
}
RATED = {"play": 2, "skip": -0.5}


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({}, [("babcad", [-0.5, 2, 2, 2, 2, 2]), ("c", [-0.5])]),
        ({"max_length": 2}, [("bad", [-0.5, 2, 2]), ("c", [-0.5])]),
        ({"events": {"skip": -1}}, [("b", [-1]), ("c", [-1])]),
        ({"events": ["play"]}, [("abcad", [1] * 5), ("", [])]),
    ],
)
def test_events_of_negative_weight_are_dislikes_in_histories(settings_, expected):
    shaped = user_histories(
        Interactions.of(**SHOP, weight=[1] * 7), AdapterConfig(**{"events": RATED} | settings_)
    )
    split = np.split(shaped.weights, shaped.offsets[1:-1])
    assert [("".join(ids), own.tolist()) for ids, own in zip(shaped, split, strict=True)] == expected


def test_repeats_around_a_dislike_are_collapsed_as_in_training():
    shop = Interactions.of(
        user=["u"] * 3, item=["a"] * 3, event=["play", "skip", "play"], timestamp=[1, 2, 3]
    )
    shaped = user_histories(shop, AdapterConfig(events=RATED, collapse_repeats=True))
    assert (
        shaped.liked.lengths.tolist() == histories(shop, events=RATED, collapse_repeats=True).lengths.tolist()
    )
    assert shaped.weights.tolist() == [-0.5, 2]


def test_dislikes_are_neither_trained_nor_counted():
    shop = Interactions.of(**SHOP)
    assert list(histories(shop, events=RATED)) == [list("abcad")]
    assert list(sessions(shop, gap="1h", events=RATED)) == [list("abcad")]
    lists = Sentences.of([["a", "b", "c"], ["c", "a", "b"]])
    rated = dataclasses.replace(lists, weights=[1, 1, -1, -4, 1, 2])
    corpus = prepare(rated, NextItem())
    assert set(corpus.vocabulary.ids) == {"a", "b"}
    assert corpus.read_share == prepare(rated.liked, NextItem()).read_share
    assert table_for(rated, Ids(("a", "b", "c"))).items.tolist() == [1, 0]
    assert prior_for(rated, Ids(("a", "b", "c"))) == pytest.approx(np.log1p([2, 3, 0]))


@pytest.mark.parametrize("adapted", [histories, partial(sessions, gap="1h")])
def test_a_dislike_that_does_not_occur_is_logged(adapted, caplog):
    """It may be misspelt. It is no error, as an unknown event to train on is: there may be none so far."""
    shop = Interactions.of(**SHOP)
    assert list(adapted(shop, events=RATED)) == [list("abcad")]
    assert list(adapted(shop, events={"play": np.int32(2), "skip": np.float32(-0.5)})) == [list("abcad")]
    assert caplog.messages == []
    assert list(adapted(shop, events={"play": 1, "skipp": -1})) == [list("abcad")]
    (message,) = caplog.messages
    assert "no interaction has the event 'skipp'" in message
    assert "found the events 'play', 'skip': check the name" in message
    with pytest.raises(InputError, match="unknown event 'plays'"):
        adapted(shop, events={"plays": 1, "skip": -1})


def test_a_seen_event_that_does_not_occur_is_logged(caplog):
    shop = Interactions.of(**SHOP)
    training_sentences(shop, AdapterConfig(seen_events=["play", "skip"]))
    assert caplog.messages == []
    training_sentences(shop, AdapterConfig(seen_events=["play", "skipp"]))
    (message,) = caplog.messages
    assert "no interaction has the event 'skipp', which is in seen_events; found the events" in message


def test_dislikes_are_no_targets_and_baselines_do_not_return_them():
    day = 86_400_000_000
    events = Interactions.of(
        user=["u", "u", "u", "u", "v", "v"],
        item=["a", "b", "c", "d", "a", "e"],
        event=["play", "skip", "skip", "play", "play", "play"],
        timestamp=[day, 2 * day, 9 * day, 9 * day, day, day],
    )
    split = temporal_split(events, at="1970-01-08", adapter=AdapterConfig(events=RATED, seen_events=["buy"]))
    assert (list(split.histories), list(split.targets)) == ([["b", "a"]], [["d"]])
    lists = Sentences.of([["a", "b", "b", "e"]])
    for filter_seen, expected in ((True, "e"), (False, "ae")):
        best = Popularity(lists).recommend_many(split.histories, filter_seen=filter_seen)[0]
        assert "".join(one.item for one in best) == expected


def test_weights_of_events_must_be_finite():
    with pytest.raises(ConfigError, match="'dislike': -1"):
        AdapterConfig(events={"skip": -np.inf})


def test_the_step_is_free_without_dislikes():
    both = Histories(np.array([0, 1], np.int32), np.array([0, 2]))
    liked, dislikes = split_dislikes(both)
    read = read_tastes(of(ACROSS), TasteConfig(), *liked[:2])
    assert liked is both
    assert move_away(read, liked, dislikes, of(ACROSS), TasteConfig())[0] is read
