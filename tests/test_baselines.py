"""Each baseline agrees with its definition in plain Python. All baselines meet common requirements."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from examples import examples
from hypothesis import given
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
def cases(draw):
    """Generate a training part with some ids of its vocabulary, and histories with known and unknown ids."""
    pool = draw(st.lists(ids, min_size=1, max_size=9, unique=True))
    known = draw(st.sets(st.sampled_from(pool), min_size=1).map(sorted))
    train = draw(st.lists(st.lists(st.sampled_from(known), max_size=8), max_size=8))
    histories = draw(st.lists(st.lists(st.sampled_from(pool), max_size=6), max_size=5))
    return pool, train, histories, draw(st.integers(1, 12)), draw(st.booleans())


def sentences_over(pool, lists):
    """Return sentences whose vocabulary is the whole pool, in order, even if some items do not occur."""
    return (Sentences.of([pool]) + Sentences.of(lists)).take(np.arange(1, len(lists) + 1))


def popular_first(pool, train):
    counts = Counter(item for sentence in train for item in sentence)
    return sorted(counts, key=lambda item: (-counts[item], pool.index(item)))


def expected(pool, train, score, history, k, filter_seen):
    """Return items by score, equal scores by popularity, followed by items without a score by popularity."""
    order = popular_first(pool, train)
    scored = {item: score.get(item, 0) or -(1 + place) / len(order) for place, item in enumerate(order)}
    left = [item for item in order if not (filter_seen and item in history)]
    return [(item, scored[item]) for item in sorted(left, key=lambda item: -scored[item])][:k]


def rankings_of(model, histories, k, filter_seen):
    """Return (item, score) pairs for each history."""
    rankings = model.recommend_many(histories, k=k, filter_seen=filter_seen)
    for ranking in rankings:
        assert all((entry.score < 0) <= (entry.source == "popular") for entry in ranking)
    return [[(entry.item, entry.score) for entry in ranking] for ranking in rankings]


@given(cases())
def test_popularity_counts_tokens(case):
    pool, train, histories, k, filter_seen = case
    counts = Counter(item for sentence in train for item in sentence)
    model = Popularity(sentences_over(pool, train))
    assert rankings_of(model, histories, k, filter_seen) == [
        expected(pool, train, counts, history, k, filter_seen) for history in histories
    ]


@given(cases(), st.data())
def test_recent_popularity_halves_with_age(case, data):
    pool, train, histories, k, filter_seen = case
    tokens = [item for sentence in train for item in sentence]
    ages = [data.draw(st.integers(0, 9) | st.just(5000)) for _ in tokens]  # 5000: the weight is 0
    scores = Counter()
    for item, age in zip(tokens, ages, strict=True):
        scores[item] += 0.5 ** (age - min(ages))
    timestamps = -np.array(ages, np.int64) * 3 * DAY
    model = RecentPopularity(replace(sentences_over(pool, train), timestamps=timestamps), half_life=3.0)
    assert rankings_of(model, histories, k, filter_seen) == [
        expected(pool, train, scores, history, k, filter_seen) for history in histories
    ]


@given(cases())
def test_recent_popularity_without_timestamps_decays_from_the_end(case):
    pool, train, histories, k, filter_seen = case
    scores = Counter()
    for sentence in train:
        for steps, item in enumerate(reversed(sentence)):
            scores[item] += 0.5**steps
    model = RecentPopularity(sentences_over(pool, train), decay=0.5)
    assert rankings_of(model, histories, k, filter_seen) == [
        expected(pool, train, scores, history, k, filter_seen) for history in histories
    ]


def test_worked_examples_of_recent_popularity():
    train = Sentences.of([["a", "b"], ["a"]])
    by_steps = dict(RecentPopularity(train).recommend_many([[]])[0])
    assert by_steps == pytest.approx({"a": 1.9, "b": 1.0})
    timed = replace(train, timestamps=np.array([7, 0, 14]) * DAY)
    by_age = dict(RecentPopularity(timed).recommend_many([[]])[0])
    assert by_age == pytest.approx({"a": 1.5, "b": 0.25})


def test_recent_popularity_reads_timestamps_to_the_microsecond():
    now = 1_700_000_000_000_000  # beyond the precision of float32
    lists = replace(Sentences.of([["a", "a", "b"]]), timestamps=np.array([now, now + 1, now + 3]))
    scores = dict(RecentPopularity(lists, half_life=1 / DAY).recommend_many([[]])[0])
    assert scores == pytest.approx({"b": 1, "a": 0.25 + 0.125})


def similar_items(train, item, n_neighbours, order):
    held = {other: {n for n, sentence in enumerate(train) if other in sentence} for other in order}
    similar = [
        (
            other,
            float(np.float32(len(held[item] & held[other]) / math.sqrt(len(held[item]) * len(held[other])))),
        )
        for other in order
        if other != item and held[item] & held[other]
    ]
    return sorted(similar, key=lambda pair: -pair[1])[:n_neighbours]


@given(cases(), st.integers(1, 9))
def test_item_knn_adds_up_similarities_to_the_history(case, n_neighbours):
    pool, train, histories, k, filter_seen = case
    order = popular_first(pool, train)
    model = ItemKNN(sentences_over(pool, train), k=n_neighbours)
    rankings = rankings_of(model, histories, k, filter_seen)
    for history, ranking in zip(histories, rankings, strict=True):
        scores = Counter()
        for item in set(history) & set(order):
            scores.update(dict(similar_items(train, item, n_neighbours, order)))
        assert ranking == expected(pool, train, scores, history, k, filter_seen)


@given(cases())
def test_markov_chain_scores_are_shares_of_transitions(case):
    pool, train, histories, k, filter_seen = case
    follows = Counter(pair for sentence in train for pair in pairwise(sentence))
    order = popular_first(pool, train)
    rankings = rankings_of(MarkovChain(sentences_over(pool, train)), histories, k, filter_seen)
    for history, ranking in zip(histories, rankings, strict=True):
        last = next((item for item in reversed(history) if item in order), None)
        total = sum(n for (item, _), n in follows.items() if item == last)
        shares = {after: n / total for (item, after), n in follows.items() if item == last}
        assert ranking == expected(pool, train, shares, history, k, filter_seen)


@given(cases(), st.integers(0, 2**32))
def test_random_draws_each_item_once_and_a_longer_ranking_begins_with_the_shorter(case, seed):
    pool, train, histories, k, filter_seen = case
    occurring = set(popular_first(pool, train))
    model = Random(sentences_over(pool, train), seed=seed)
    whole = rankings_of(model, histories, len(pool), filter_seen)
    for history, ranking in zip(histories, whole, strict=True):
        left = occurring - set(history) if filter_seen else occurring
        assert sorted(item for item, _ in ranking) == sorted(left)
        scores = [score for _, score in ranking]
        assert all(1 >= better > worse > 0 for better, worse in pairwise(scores))
    assert rankings_of(model, histories, k, filter_seen) == [ranking[:k] for ranking in whole]


def test_random_is_uniform_and_depends_on_the_seed():
    random = np.random.default_rng(5)
    train = Sentences.of([list("abcde")])
    histories = [[train.vocabulary.ids[code] for code in random.integers(0, 5, 12)] for _ in range(8000)]
    rankings = [Random(train, seed=seed).recommend_many(histories, k=2, filter_seen=False) for seed in (1, 2)]
    firsts = [Counter(tuple(entry.item for entry in ranking) for ranking in some) for some in rankings]
    for counts in firsts:  # 20 ordered pairs, 400 each: five standard deviations are 98
        assert len(counts) == 20
        assert all(abs(n - 400) < 98 for n in counts.values())
    same = sum(first[0].item == second[0].item for first, second in zip(*rankings, strict=True))
    assert abs(same - 1600) < 180


@pytest.mark.parametrize("kind", ALL)
@examples(40)
@given(cases())
def test_a_batch_gives_the_same_rankings_as_single_histories_and_as_sentences(kind, case):
    pool, train, histories, k, filter_seen = case
    model = kind(sentences_over(pool, train))
    batch = model.recommend_many(histories, k=k, filter_seen=filter_seen)
    assert batch == [
        model.recommend_many([history], k=k, filter_seen=filter_seen)[0] for history in histories
    ]
    assert batch == model.recommend_many(Sentences.of(histories), k=k, filter_seen=filter_seen)


@pytest.mark.parametrize("kind", ALL)
def test_rankings_have_k_trained_items_if_so_many_are_eligible(kind):
    train = sentences_over(["z", "a", "b", "c", "d"], [["a", "b", "a"], ["c", "d", "d"]])
    model = kind(train)
    assert [len(ranking) for ranking in model.recommend_many([["a", "a"], [], ["z", "?"]], k=3)] == [3, 3, 3]
    rankings = model.recommend_many([["a", "z"], list("abcd"), []], k=50)
    assert [sorted(item for item, _ in ranking) for ranking in rankings] == [list("bcd"), [], list("abcd")]
    repeated = model.recommend_many([["a", "b"]], k=50, filter_seen=False)[0]
    assert sorted(item for item, _ in repeated) == list("abcd")


@pytest.mark.parametrize("kind", ALL)
def test_training_tokens_of_negative_weight_are_left_out(kind, tmp_path):
    rated = [[("a", 1), ("b", -1), ("c", 2)], [("b", -2), ("a", 1)], [("c", 1), ("a", 3), ("d", -1)]]
    train = Sentences.of([[item for item, _ in row] for row in rated])
    weights = np.array([weight for row in rated for _, weight in row], np.float32)
    train = replace(train, weights=weights)
    train.save(tmp_path / "shards", shards=2)
    expected = kind(Sentences.of([["a", "c"], ["a"], ["c", "a"]])).recommend_many([["a"], ["b"]])
    for part in (train, Sentences.open(tmp_path / "shards")):
        model = kind(part)
        assert (model.vocabulary.ids, model.counts.tolist()) == (("a", "c"), [3, 2])
        assert model.recommend_many([["a"], ["b"]]) == expected


@pytest.mark.parametrize("kind", ALL)
def test_an_empty_training_part_gives_empty_rankings(kind):
    assert kind(Sentences.of([])).recommend_many([["a"], []], k=3) == [[], []]
    assert kind(Sentences.of([[], ["a"], []])).recommend_many([], k=3) == []


@pytest.mark.parametrize("kind", [ItemKNN, MarkovChain, Transitions, LinkPropagation, EASE])
def test_histories_without_known_items_get_popular_items(kind):
    model = kind(Sentences.of([["a", "b", "b"], ["c", "b"]]))
    for ranking in model.recommend_many([[], ["?"]], k=2):
        assert [(entry.item, entry.source) for entry in ranking] == [("b", "popular"), ("a", "popular")]
        assert [entry.score for entry in ranking] == [-1 / 3, -2 / 3]


@pytest.mark.parametrize("kind", ALL)
def test_errors_of_recommend_many(kind):
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
def test_errors_of_recent_popularity(settings_, message):
    with pytest.raises(InputError, match=message):
        RecentPopularity(Sentences.of([["a", "b"]]), **settings_)


def test_errors_of_item_knn():
    with pytest.raises(InputError, match="k is 0"):
        ItemKNN(Sentences.of([["a", "b"]]), k=0)
    with pytest.raises(InputError, match="max_items is 1; expected at least 2"):
        ItemKNN(Sentences.of([["a", "b"]]), max_items=1)


def test_item_knn_of_a_crawlers_history_finishes():
    """The 200,000 items of the history would make 20 thousand million pairs."""
    crawled = [str(number) for number in range(200_000)]
    model = ItemKNN(Sentences.of([["a", "b", "a"], crawled, ["b", "199999"], ["0", "c"]]))
    rankings = model.recommend_many([["a"], ["c"], ["199998"], ["100"]], k=1)
    assert [(ranking[0].item, ranking[0].source) for ranking in rankings] == [
        ("b", "model"),
        ("0", "model"),
        ("198000", "model"),
        ("a", "popular"),  # too far from the crawler's end to count
    ]


@given(cases(), st.integers(2, 9))
def test_item_knn_counts_the_newest_items_of_a_long_sentence(case, most):
    pool, train, histories, k, filter_seen = case
    ends = [next(s[n:] for n in range(len(s) + 1) if len(set(s[n:])) <= most) for s in train]
    order = popular_first(pool, train)
    rankings = rankings_of(ItemKNN(sentences_over(pool, train), max_items=most), histories, k, filter_seen)
    for history, ranking in zip(histories, rankings, strict=True):
        scores = Counter()
        for item in set(history) & set(order):
            scores.update(dict(similar_items(ends, item, 100, order)))
        assert ranking == expected(pool, train, scores, history, k, filter_seen)


def test_all_baselines_of_a_split_are_trained_on_its_training_part_only():
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
    assert all(sorted(item for item, _ in ranking) == ["a", "b"] for ranking in best.values())
    assert best["popularity"][0].item == "b"
    assert best["recent popularity"][0].item == "a"
