"""Each baseline against its definition in plain Python, and what all of them promise."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ids

from item2vec import Sentences
from item2vec.durations import DAY
from item2vec.errors import InputError, InputTypeError
from item2vec.evaluation.baselines import (
    ItemKNN,
    MarkovChain,
    Popularity,
    Random,
    RecentPopularity,
)
from item2vec.evaluation.item_models import EASE, LinkPropagation, Transitions, baselines
from item2vec.evaluation.split import Split

ALL = [Popularity, RecentPopularity, ItemKNN, MarkovChain, Transitions, LinkPropagation, EASE, Random]


@st.composite
def questions(draw):
    """A training part over some of the ids of its vocabulary, and histories that also hold unknown ids."""
    pool = draw(st.lists(ids, min_size=1, max_size=9, unique=True))
    known = draw(st.sets(st.sampled_from(pool), min_size=1).map(sorted))
    train = draw(st.lists(st.lists(st.sampled_from(known), max_size=8), max_size=8))
    histories = draw(st.lists(st.lists(st.sampled_from(pool), max_size=6), max_size=5))
    return pool, train, histories, draw(st.integers(1, 12)), draw(st.booleans())


def sentences_over(pool, lists):
    """Sentences whose vocabulary holds the whole pool, in its order, whatever occurs."""
    return (Sentences.of([pool]) + Sentences.of(lists)).take(np.arange(1, len(lists) + 1))


def popular_first(pool, train):
    counts = Counter(item for sentence in train for item in sentence)
    return sorted(counts, key=lambda item: (-counts[item], pool.index(item)))


def expected(pool, train, score, history, k, filter_seen):
    """Items by score, equal ones by popularity; then those without a score by popularity."""
    order = popular_first(pool, train)
    scored = {item: score.get(item, 0) or -(1 + place) / len(order) for place, item in enumerate(order)}
    left = [item for item in order if not (filter_seen and item in history)]
    return [(item, scored[item]) for item in sorted(left, key=lambda item: -scored[item])][:k]


def pairs(answers):
    return [[(one.item, one.score) for one in answer] for answer in answers]


def ask(model, histories, k, filter_seen):
    answers = model.recommend_many(histories, k=k, filter_seen=filter_seen)
    for answer in answers:
        assert all((one.score < 0) <= (one.source == "popular") for one in answer)
    return pairs(answers)


@settings(deadline=None)
@given(questions())
def test_popularity_counts_tokens(question):
    pool, train, histories, k, filter_seen = question
    counts = Counter(item for sentence in train for item in sentence)
    model = Popularity(sentences_over(pool, train))
    assert ask(model, histories, k, filter_seen) == [
        expected(pool, train, counts, history, k, filter_seen) for history in histories
    ]


@settings(deadline=None)
@given(questions(), st.data())
def test_recent_popularity_halves_with_age(question, data):
    pool, train, histories, k, filter_seen = question
    tokens = [item for sentence in train for item in sentence]
    half_lives = [data.draw(st.integers(0, 9) | st.just(5000)) for _ in tokens]  # 5000: too old to count
    scores = Counter()
    for item, age in zip(tokens, half_lives, strict=True):
        scores[item] += 0.5 ** (age - min(half_lives))
    timestamps = -np.array(half_lives, np.int64) * 3 * DAY
    model = RecentPopularity(replace(sentences_over(pool, train), timestamps=timestamps), half_life=3.0)
    assert ask(model, histories, k, filter_seen) == [
        expected(pool, train, scores, history, k, filter_seen) for history in histories
    ]


@settings(deadline=None)
@given(questions())
def test_recent_popularity_without_timestamps_decays_from_the_end(question):
    pool, train, histories, k, filter_seen = question
    scores = Counter()
    for sentence in train:
        for steps, item in enumerate(reversed(sentence)):
            scores[item] += 0.5**steps
    model = RecentPopularity(sentences_over(pool, train), decay=0.5)
    assert ask(model, histories, k, filter_seen) == [
        expected(pool, train, scores, history, k, filter_seen) for history in histories
    ]


def test_recent_popularity_by_its_defaults():
    train = Sentences.of([["a", "b"], ["a"]])
    by_steps = dict(RecentPopularity(train).recommend_many([[]])[0])
    assert by_steps == pytest.approx({"a": 1.9, "b": 1.0})
    timed = replace(train, timestamps=np.array([7, 0, 14]) * DAY)
    by_age = dict(RecentPopularity(timed).recommend_many([[]])[0])
    assert by_age == pytest.approx({"a": 1.5, "b": 0.25})


def test_recent_popularity_reads_timestamps_to_the_microsecond():
    now = 1_700_000_000_000_000  # more than float32 or a rank in 24 bits could tell apart
    lists = replace(Sentences.of([["a", "a", "b"]]), timestamps=np.array([now, now + 1, now + 3]))
    scores = dict(RecentPopularity(lists, half_life=1 / DAY).recommend_many([[]])[0])
    assert scores == pytest.approx({"b": 1, "a": 0.25 + 0.125})


def likeness(train, item, n_neighbours, order):
    held = {other: {n for n, sentence in enumerate(train) if other in sentence} for other in order}
    alike = [
        (
            other,
            float(np.float32(len(held[item] & held[other]) / math.sqrt(len(held[item]) * len(held[other])))),
        )
        for other in order
        if other != item and held[item] & held[other]
    ]
    return sorted(alike, key=lambda pair: -pair[1])[:n_neighbours]


@settings(deadline=None)
@given(questions(), st.integers(1, 9))
def test_item_knn_adds_up_the_likeness_to_the_history(question, n_neighbours):
    pool, train, histories, k, filter_seen = question
    order = popular_first(pool, train)
    model = ItemKNN(sentences_over(pool, train), k=n_neighbours)
    answers = ask(model, histories, k, filter_seen)
    for history, answer in zip(histories, answers, strict=True):
        scores = Counter()
        for item in set(history) & set(order):
            scores.update(dict(likeness(train, item, n_neighbours, order)))
        assert answer == expected(pool, train, scores, history, k, filter_seen)


@settings(deadline=None)
@given(questions())
def test_markov_chain_is_the_share_of_transitions(question):
    pool, train, histories, k, filter_seen = question
    follows = Counter(pair for sentence in train for pair in pairwise(sentence))
    order = popular_first(pool, train)
    answers = ask(MarkovChain(sentences_over(pool, train)), histories, k, filter_seen)
    for history, answer in zip(histories, answers, strict=True):
        last = next((item for item in reversed(history) if item in order), None)
        total = sum(n for (item, _), n in follows.items() if item == last)
        shares = {after: n / total for (item, after), n in follows.items() if item == last}
        assert answer == expected(pool, train, shares, history, k, filter_seen)


@settings(deadline=None)
@given(questions(), st.integers(0, 2**32))
def test_random_draws_each_item_once_and_a_longer_answer_begins_with_the_shorter(question, seed):
    pool, train, histories, k, filter_seen = question
    occurring = set(popular_first(pool, train))
    model = Random(sentences_over(pool, train), seed=seed)
    whole = ask(model, histories, len(pool), filter_seen)
    for history, answer in zip(histories, whole, strict=True):
        left = occurring - set(history) if filter_seen else occurring
        assert sorted(item for item, _ in answer) == sorted(left)
        scores = [score for _, score in answer]
        assert all(1 >= better > worse > 0 for better, worse in pairwise(scores))
    assert ask(model, histories, k, filter_seen) == [answer[:k] for answer in whole]


def test_random_is_even_and_depends_on_the_seed():
    random = np.random.default_rng(5)
    train = Sentences.of([list("abcde")])
    histories = [[train.vocabulary.ids[code] for code in random.integers(0, 5, 12)] for _ in range(8000)]
    answers = [Random(train, seed=seed).recommend_many(histories, k=2, filter_seen=False) for seed in (1, 2)]
    firsts = [Counter(tuple(one.item for one in answer) for answer in some) for some in answers]
    for counts in firsts:  # 20 ordered pairs, 400 each: five standard deviations are 98
        assert len(counts) == 20
        assert all(abs(n - 400) < 98 for n in counts.values())
    same = sum(one[0].item == other[0].item for one, other in zip(*answers, strict=True))
    assert abs(same - 1600) < 180


@pytest.mark.parametrize("kind", ALL)
@settings(deadline=None, max_examples=40)
@given(questions())
def test_a_batch_is_answered_as_one_by_one_and_as_sentences(kind, question):
    pool, train, histories, k, filter_seen = question
    model = kind(sentences_over(pool, train))
    batch = model.recommend_many(histories, k=k, filter_seen=filter_seen)
    assert batch == [
        model.recommend_many([history], k=k, filter_seen=filter_seen)[0] for history in histories
    ]
    assert batch == model.recommend_many(Sentences.of(histories), k=k, filter_seen=filter_seen)


@pytest.mark.parametrize("kind", ALL)
def test_exactly_k_while_there_are_so_many_and_never_what_was_not_trained_on(kind):
    train = sentences_over(["z", "a", "b", "c", "d"], [["a", "b", "a"], ["c", "d", "d"]])
    model = kind(train)
    assert [len(answer) for answer in model.recommend_many([["a", "a"], [], ["z", "?"]], k=3)] == [3, 3, 3]
    answers = model.recommend_many([["a", "z"], list("abcd"), []], k=50)
    assert [sorted(item for item, _ in answer) for answer in answers] == [list("bcd"), [], list("abcd")]
    repeated = model.recommend_many([["a", "b"]], k=50, filter_seen=False)[0]
    assert sorted(item for item, _ in repeated) == list("abcd")


@pytest.mark.parametrize("kind", ALL)
def test_nothing_to_learn_from_is_nothing_to_answer(kind):
    assert kind(Sentences.of([])).recommend_many([["a"], []], k=3) == [[], []]
    assert kind(Sentences.of([[], ["a"], []])).recommend_many([], k=3) == []


@pytest.mark.parametrize("kind", [ItemKNN, MarkovChain, Transitions, LinkPropagation, EASE])
def test_histories_without_anything_known_are_answered_by_popularity(kind):
    model = kind(Sentences.of([["a", "b", "b"], ["c", "b"]]))
    for answer in model.recommend_many([[], ["?"]], k=2):
        assert [(one.item, one.source) for one in answer] == [("b", "popular"), ("a", "popular")]
        assert [one.score for one in answer] == [-1 / 3, -2 / 3]


@pytest.mark.parametrize("kind", ALL)
def test_what_cannot_be_asked_is_an_error(kind):
    model = kind(Sentences.of([["a", "b"]]))
    with pytest.raises(InputError, match="k is 0"):
        model.recommend_many([["a"]], k=0)
    with pytest.raises(InputTypeError, match="histories is the text 'ab'"):
        model.recommend_many("ab")
    with pytest.raises(InputTypeError, match="a history is the text 'ab'"):
        model.recommend_many(["ab"])


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"half_life": 0.0}, "half_life is 0.0"),
        ({"decay": 0.0}, "decay is 0.0"),
        ({"decay": 1.5}, "decay is 1.5"),
    ],
)
def test_settings_out_of_range_are_errors(settings_, message):
    with pytest.raises(InputError, match=message):
        RecentPopularity(Sentences.of([["a", "b"]]), **settings_)


def test_item_knn_needs_a_neighbour():
    with pytest.raises(InputError, match="k is 0"):
        ItemKNN(Sentences.of([["a", "b"]]), k=0)
    with pytest.raises(InputError, match="max_items is 1; expected at least 2"):
        ItemKNN(Sentences.of([["a", "b"]]), max_items=1)


def test_item_knn_of_a_crawlers_history_ends():
    """Its 200,000 items would be 40 thousand million pairs."""
    crawled = [str(number) for number in range(200_000)]
    model = ItemKNN(Sentences.of([["a", "b", "a"], crawled, ["b", "199999"], ["0", "c"]]))
    answers = model.recommend_many([["a"], ["c"], ["199998"], ["100"]], k=1)
    assert [(answer[0].item, answer[0].source) for answer in answers] == [
        ("b", "model"),
        ("0", "model"),
        ("198000", "model"),
        ("a", "popular"),  # too far from the crawler's end to count
    ]


@settings(deadline=None)
@given(questions(), st.integers(2, 9))
def test_item_knn_counts_the_newest_items_of_a_long_sentence(question, most):
    pool, train, histories, k, filter_seen = question
    ends = [next(s[n:] for n in range(len(s) + 1) if len(set(s[n:])) <= most) for s in train]
    order = popular_first(pool, train)
    answers = ask(ItemKNN(sentences_over(pool, train), max_items=most), histories, k, filter_seen)
    for history, answer in zip(histories, answers, strict=True):
        scores = Counter()
        for item in set(history) & set(order):
            scores.update(dict(likeness(ends, item, 100, order)))
        assert answer == expected(pool, train, scores, history, k, filter_seen)


def test_all_baselines_of_a_split_learn_from_its_training_part_alone():
    train = Sentences.of([["a", "b"], ["b", "a"], ["b"]])
    later = Sentences.of([["x"]])
    train = replace(train, timestamps=-np.array([0, 70, 70, 0, 70]) * DAY)
    models = baselines(Split(train, later, later, "by hand"))
    assert [type(model) for model in models.values()] == ALL
    assert list(models) == [
        "popularity", "recent popularity", "item-kNN", "Markov chain", "transitions", "link propagation",
        "EASE", "random",
    ]  # fmt: skip
    assert [model.ties for model in models.values()] == ["for"] + ["as answered"] * 7
    best = {name: model.recommend_many(later, k=5)[0] for name, model in models.items()}
    assert all(sorted(item for item, _ in answer) == ["a", "b"] for answer in best.values())
    assert best["popularity"][0].item == "b"
    assert best["recent popularity"][0].item == "a"
