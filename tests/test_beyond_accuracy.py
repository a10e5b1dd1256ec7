"""Metrics beyond accuracy agree with worked examples and with their definitions in plain Python."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Recommendation, Sentences
from item2vec.evaluation import Split, evaluate
from item2vec.metrics.beyond_accuracy import (
    coverage,
    diversity,
    gini,
    novelty,
    popularity_bias,
    serendipity,
)

EMPTY = -1
COUNTS = np.array([4, 2, 1, 1])
YES, NO = True, False


@pytest.mark.parametrize(
    ("metric", "rankings", "k", "rest", "expected"),
    [
        (coverage, [[0, 1], [0, 2]], 1, (COUNTS,), 1 / 4),
        (coverage, [[0, 1], [0, 2]], 2, (COUNTS,), 3 / 4),
        (coverage, [[0, 2, 3]], 3, (np.array([5, 5, 0, 0]),), 1 / 2),  # items 2 and 3 are not trained
        (coverage, [[EMPTY, EMPTY]], 2, (COUNTS,), 0),
        (gini, [[0, 1], [2, 3]], 2, (COUNTS,), 0),  # each item once
        (gini, [[0], [0]], 1, (COUNTS,), 3 / 4),  # one of four items has all exposure: 1 - 1 / 4
        (gini, [[EMPTY, EMPTY]], 2, (COUNTS,), 0),
        (novelty, [[0], [1], [2]], 1, (COUNTS, 4), [0, 1, 2]),  # in 4, 2 and 1 of 4 sentences
        (novelty, [[0, 2]], 2, (COUNTS, 4), [1]),  # the mean of 0 and 2 bits
        (novelty, [[0]], 1, (np.array([0]), 4), [2]),  # in no sentence: as if in one
        (novelty, [[EMPTY]], 1, (COUNTS, 4), [0]),
        (popularity_bias, [[0, 1]], 2, (COUNTS, 2.0), [1 / 2]),  # mean count 3, histories 2
        (popularity_bias, [[1, EMPTY]], 2, (COUNTS, 4.0), [-1 / 2]),
        (popularity_bias, [[EMPTY, EMPTY]], 2, (COUNTS, 2.0), [-1]),
        (diversity, [[0, 1, 2]], 3, (np.array([[0, 0.25, 0.5]]),), [3 / 4]),  # 1 - (0.25 + 0.5) / 3 pairs
        (diversity, [[0, 1, 2]], 2, (np.array([[0, 0.25, 0.5]]),), [3 / 4]),  # 1 - 0.25 / 1 pair
        (diversity, [[0, EMPTY]], 2, (np.zeros((1, 2)),), [0]),  # no pair
    ],
)
def test_worked_examples(metric, rankings, k, rest, expected):
    assert np.array(metric(np.array(rankings), k, *rest)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hits", "expected_items", "k", "value"),
    [
        ([YES, YES], [YES, NO], 2, 1 / 2),  # the first target is among the most popular items
        ([YES, NO], [NO, NO], 2, 1 / 2),
        ([YES, NO], [NO, NO], 1, 1),
        ([NO, NO], [NO, NO], 2, 0),
    ],
)
def test_worked_examples_of_serendipity(hits, expected_items, k, value):
    assert serendipity(np.array([hits]), np.array([expected_items]), k).tolist() == [value]


KNOWN = "abcdef"

sentences = st.lists(st.lists(st.sampled_from(KNOWN), max_size=5), min_size=1, max_size=6)
rankings = st.lists(st.sampled_from(KNOWN + "xyz"), max_size=6, unique=True)


class FixedRankings:
    """Model that returns given rankings, in the order of the queries."""

    def __init__(self, rankings):
        self.rankings = rankings

    def recommend_many(self, histories, *, k, filter_seen):
        return [
            [Recommendation(item, -float(rank)) for rank, item in enumerate(ranking)][:k]
            for ranking in self.rankings
        ]


@st.composite
def queries(draw):
    """Generate a training part, histories, targets, and rankings."""
    n = draw(st.integers(1, 4))
    histories = [draw(st.lists(st.sampled_from(KNOWN + "uv"), max_size=4)) for _ in range(n)]
    targets = [draw(st.lists(st.sampled_from(KNOWN + "xw"), min_size=1, max_size=3)) for _ in range(n)]
    return draw(sentences), histories, targets, [draw(rankings) for _ in range(n)]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def slow_coverage(rankings, k, counts, *_):
    recommended = {item for ranking in rankings for item in ranking[:k] if item in counts}
    return len(recommended) / max(len(counts), 1)


def slow_gini(rankings, k, counts, *_):
    """Return half the mean absolute difference of two exposures, divided by the mean exposure."""
    exposure = Counter(item for ranking in rankings for item in ranking[:k])
    values = [exposure[item] for item in counts]
    differences = sum(abs(a - b) for a in values for b in values)
    return differences / (2 * len(values) * sum(values)) if sum(values) else 0.0


def slow_novelty(rankings, k, counts, train, *_):
    n_holding = Counter(item for sentence in train for item in set(sentence))
    return mean(
        mean(math.log2(len(train) / max(n_holding[item], 1)) for item in ranking[:k]) for ranking in rankings
    )


def slow_diversity(rankings, k, counts, train, *_):
    def cosine(a, b):
        with_a, with_b = ({n for n, sentence in enumerate(train) if item in sentence} for item in (a, b))
        return len(with_a & with_b) / math.sqrt(len(with_a) * len(with_b)) if with_a and with_b else 0.0

    def of_ranking(ranking):
        pairs = list(itertools.combinations(ranking[:k], 2))
        return 1 - mean(cosine(a, b) for a, b in pairs) if pairs else 0.0

    return mean(of_ranking(ranking) for ranking in rankings)


def slow_popularity_bias(rankings, k, counts, train, histories, _):
    of_histories = [
        mean(counts[item] for item in history if item in counts)
        for history in histories
        if counts.keys() & history
    ]
    usual = mean(of_histories) if of_histories else mean(counts.values()) or 1
    return mean(mean(counts[item] for item in ranking[:k]) for ranking in rankings) / usual - 1


def slow_serendipity(rankings, k, counts, train, histories, targets):
    order = list(dict.fromkeys(itertools.chain(*train)))  # codes, and so ties, are in order of appearance
    popular = sorted(order, key=lambda item: -counts[item])[:k]
    return mean(
        len({item for item in ranking[:k] if item in wanted and item not in popular}) / k
        for ranking, wanted in zip(rankings, targets, strict=True)
    )


BY_DEFINITION = {
    "coverage": slow_coverage,
    "novelty": slow_novelty,
    "diversity": slow_diversity,
    "gini": slow_gini,
    "popularity-bias": slow_popularity_bias,
    "serendipity": slow_serendipity,
}


@pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
@examples(150)
@given(queries(), st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True))
def test_every_metric_equals_its_definition(case, cutoffs):
    train, histories, targets, rankings = case
    split = Split(Sentences.of(train), Sentences.of(histories), Sentences.of(targets), "by hand")
    evaluation = evaluate(FixedRankings(rankings), split, k=cutoffs, metrics=[*BY_DEFINITION])
    counts = Counter(itertools.chain(*train))
    for (name, definition), k in itertools.product(BY_DEFINITION.items(), cutoffs):
        expected = definition(rankings, k, counts, train, histories, targets)
        assert evaluation.metrics[f"{name}@{k}"] == pytest.approx(expected, abs=1e-12), (name, k)
        values = evaluation.per_query.get(f"{name}@{k}")
        assert (values is None) == (name in {"coverage", "gini"})
        assert values is None or values.mean() == pytest.approx(expected, abs=1e-12)


def test_novelty_counts_users_however_often_each_interacted():
    """All of four users have item a, two have b, one has c several times, and no user has d."""
    train = Sentences.of([["a", "b"], ["a", "b"], ["a", *"ccccc"], ["a"]])
    split = Split(train, Sentences.of([["a"]] * 4), Sentences.of([["d"]] * 4), "by hand")
    evaluation = evaluate(FixedRankings([["a"], ["b"], ["c"], ["d"]]), split, k=1, metrics=["novelty"])
    assert evaluation.per_query["novelty@1"].tolist() == [0, 1, 2, 2]


def test_a_k_beyond_the_last_rank_uses_all_ranks():
    items, similarity = np.array([[0, 1]], dtype=np.int32), np.array([[0.0, 0.5]])
    for metric, rest in (
        (coverage, (COUNTS,)),
        (gini, (COUNTS,)),
        (novelty, (COUNTS, 8)),
        (popularity_bias, (COUNTS, 2.0)),
        (diversity, (similarity,)),
    ):
        assert metric(items, 9, *rest) == metric(items, 2, *rest), metric


def test_the_gini_of_one_item_for_all_users_is_near_1():
    items = np.zeros((50, 1), dtype=np.int32)
    assert gini(items, 1, np.ones(100, dtype=np.int64)) == pytest.approx(0.99)
