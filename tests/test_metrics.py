"""Metrics of one target are read off its rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec import metrics

ranks = st.lists(st.integers(1, 50) | st.just(math.inf), max_size=20)


@settings(deadline=None, max_examples=100)
@given(ranks, st.integers(1, 30))
def test_each_metric_is_a_sum_over_the_first_k_places(some, k):
    def summed(gain):
        return [sum(gain(place) for place in range(1, k + 1) if place == rank) for rank in some]

    column = np.array(some, dtype=np.float64)
    assert metrics.hr(column, k).tolist() == summed(lambda place: 1.0)
    assert metrics.mrr(column, k).tolist() == pytest.approx(summed(lambda place: 1 / place))
    assert metrics.ndcg(column, k).tolist() == pytest.approx(
        summed(lambda place: math.log(2) / math.log(place + 1))
    )


def test_the_first_place_is_worth_one():
    for metric in (metrics.hr, metrics.mrr, metrics.ndcg):
        assert metric(np.array([1]), 1).tolist() == [1.0]
        assert metric(np.array([2]), 1).tolist() == [0.0]
