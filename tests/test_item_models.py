"""Transitions, link propagation and EASE agree with their definitions in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from test_baselines import cases, expected, popular_first, sentences_over
from test_neighbours import rows_of

from item2vec import Sentences
from item2vec.errors import InputError
from item2vec.evaluation import EASE, LinkPropagation, Split, Transitions, baselines, item_models
from item2vec.neighbours import link_propagation, transitions


def dense(build, train, order):
    """Return the neighbour table of a training part as a dense matrix, in the item order of the baselines."""
    lists = Sentences.of([order, *train]).take(np.arange(1, len(train) + 1))
    matrix = np.zeros((len(order), len(order)))
    for item, row in enumerate(rows_of(build(lists))):
        for other, weight in row:
            matrix[item, other] = weight
    return matrix


def assert_ranked(ranking, pool, train, scores, history, k, filter_seen):
    """Assert that a ranking agrees with the scores of all items, up to rounding."""
    order = popular_first(pool, train)
    by_item = {item: float(score) for item, score in zip(order, scores, strict=True) if score > 1e-9}
    wanted = expected(pool, train, by_item, history, k, filter_seen)
    assert [entry.score for entry in ranking] == pytest.approx(
        [score for _, score in wanted], rel=1e-5, abs=1e-7
    )
    for entry in ranking:
        assert by_item.get(entry.item, entry.score) == pytest.approx(entry.score, rel=1e-5)
        assert (entry.source == "popular") == (entry.item not in by_item)


@given(cases())
def test_transitions_add_up_decayed_rows(case):
    pool, train, histories, k, filter_seen = case
    order = popular_first(pool, train)
    matrix = dense(transitions, train, order)
    rankings = Transitions(sentences_over(pool, train)).recommend_many(
        histories, k=k, filter_seen=filter_seen
    )
    for history, ranking in zip(histories, rankings, strict=True):
        known = [order.index(item) for item in history if item in order]
        scores = sum(
            (0.5**back * matrix[item] for back, item in enumerate(reversed(known))), np.zeros(len(order))
        )
        assert_ranked(ranking, pool, train, scores, history, k, filter_seen)


@given(cases())
def test_link_propagation_adds_up_the_rows_of_distinct_items(case):
    pool, train, histories, k, filter_seen = case
    order = popular_first(pool, train)
    matrix = dense(link_propagation, train, order)
    model = LinkPropagation(sentences_over(pool, train))
    for history, ranking in zip(
        histories, model.recommend_many(histories, k=k, filter_seen=filter_seen), strict=True
    ):
        scores = matrix[[order.index(item) for item in {*history} & {*order}]].sum(axis=0)
        assert_ranked(ranking, pool, train, scores, history, k, filter_seen)


@given(cases())
def test_ease_is_the_closed_form_of_its_least_squares(case):
    """Column j minimises ‖x_j − X b‖² + l2 ‖b‖² over b with b_j = 0: solved here for each j separately."""
    pool, train, histories, k, filter_seen = case
    order, l2 = popular_first(pool, train), 3.0
    held = np.zeros((len(train), len(order)))
    for row, sentence in enumerate(train):
        held[row, [order.index(item) for item in sentence]] = 1
    matrix = np.zeros((len(order), len(order)))
    for item in range(len(order)):
        others = np.delete(np.arange(len(order)), item)
        known = held[:, others]
        matrix[others, item] = np.linalg.solve(
            known.T @ known + l2 * np.eye(len(others)), known.T @ held[:, item]
        )
    model = EASE(sentences_over(pool, train), l2=l2)
    rankings = model.recommend_many(histories, k=k, filter_seen=filter_seen)
    for history, ranking in zip(histories, rankings, strict=True):
        scores = matrix[[order.index(item) for item in {*history} & {*order}]].sum(axis=0)
        if not ((np.abs(scores) < 1e-5) & (scores != 0)).any():  # rounding decides which side of 0 it is
            assert_ranked(ranking, pool, train, scores, history, k, filter_seen)


def test_equal_scores_are_ordered_by_popularity():
    train = Sentences.of([["x", "b"], ["x", "a"], ["b"], ["a"], ["x", "c"], ["c"]])
    for model in (Transitions(train), LinkPropagation(train), EASE(train)):
        assert [entry.item for entry in model.recommend_many([["x"]], k=3)[0]] == ["b", "a", "c"]


def test_errors_of_ease(monkeypatch):
    lists = Sentences.of([["a", "b"], ["b", "c"]])
    with pytest.raises(InputError, match="l2 is 0"):
        EASE(lists, l2=0)
    monkeypatch.setattr(item_models, "EASE_MAX_ITEMS", 2)
    with pytest.raises(InputError, match="found 3 items; expected at most 2, because EASE inverts"):
        EASE(lists)


def test_baselines_depend_on_order_and_number_of_items(monkeypatch):
    ordered = Sentences.of([["a", "b"], ["b", "c"]])
    loose = Sentences.of([["a", "b"], ["b", "c"]], ordered=False)
    assert "transitions" in baselines(Split(ordered, ordered, ordered, "by hand"))
    assert "transitions" not in baselines(Split(loose, loose, loose, "by hand"))
    monkeypatch.setattr(item_models, "EASE_QUICK_ITEMS", 2)
    few = baselines(Split(ordered, ordered, ordered, "by hand"))
    assert "EASE" not in few
    assert [*few][-2:] == ["link propagation", "random"]
