"""Accuracy metrics agree with worked examples, with an independent library, and with their formulas."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec.metrics.accuracy import (
    ACCURACY,
    hits_of_ranks,
    hr,
    mean_average_precision,
    mrr,
    ndcg,
    recall,
)

YES, NO = True, False
LOG3 = math.log2(3)


@pytest.mark.parametrize(
    ("hits", "n_targets", "k", "expected"),
    [  # ranking, best first             hr, recall, precision, ndcg, mrr, map
        ([YES, NO, NO], 1, 3, (1, 1, 1 / 3, 1, 1, 1)),
        ([NO, NO, YES], 1, 3, (1, 1, 1 / 3, 1 / 2, 1 / 3, 1 / 3)),  # ndcg: 1 / log2(rank 3 + 1)
        ([NO, NO, YES], 1, 2, (0, 0, 0, 0, 0, 0)),  # beyond the cut-off
        ([NO, NO], 1, 2, (0, 0, 0, 0, 0, 0)),
        ([YES, NO, YES], 2, 3, (1, 1, 2 / 3, (1 + 1 / 2) / (1 + 1 / LOG3), 1, (1 / 1 + 2 / 3) / 2)),
        ([NO, YES], 4, 2, (1, 1 / 4, 1 / 2, (1 / LOG3) / (1 + 1 / LOG3), 1 / 2, (1 / 2) / 4)),
        ([YES, YES, YES, NO], 3, 4, (1, 1, 3 / 4, 1, 1, 1)),
        ([YES, YES, YES], 9, 3, (1, 3 / 9, 1, 1, 1, 3 / 9)),  # ndcg: the best possible of 3 ranks
        ([YES], 2, 4, (1, 1 / 2, 1 / 4, 1 / (1 + 1 / LOG3), 1, 1 / 2)),  # a ranking shorter than k
    ],
)
def test_worked_examples(hits, n_targets, k, expected):
    values = {
        name: metric(np.array([hits]), np.array([n_targets]), k)[0] for name, metric in ACCURACY.items()
    }
    assert values == pytest.approx(dict(zip(ACCURACY, expected, strict=True)))


CUTOFFS = (1, 2, 3, 5, 8, 10, 15)
RANX = {
    "hr": "hit_rate",
    "recall": "recall",
    "precision": "precision",
    "ndcg": "ndcg",
    "mrr": "mrr",
    "map": "map",
}


@pytest.fixture(scope="module")
def rankings():
    """Return 300 rankings of 10 of 30 items, each with one to eight targets. Some targets are not ranked."""
    random = np.random.default_rng(7)
    items = [random.permutation(30)[:10].tolist() for _ in range(300)]
    targets = [set(random.permutation(35)[: random.integers(1, 9)].tolist()) for _ in items]
    return items, targets


RANX_CODE = """
import json, sys
import ranx
targets, scores, names = json.load(sys.stdin)
run = ranx.Run(scores)
ranx.evaluate(ranx.Qrels(targets), run, names)
print(json.dumps({name: {q: float(value) for q, value in of.items()} for name, of in run.scores.items()}))
"""


def by_ranx(targets, scores, names):
    """Return the values of ranx per metric and query, without compilation, which takes half a minute."""
    done = subprocess.run(
        [sys.executable, "-c", RANX_CODE],
        input=json.dumps([targets, scores, names]),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_metric_agrees_with_ranx(rankings):
    items, targets = rankings
    relevance = {f"q{n}": {str(item): 1 for item in query} for n, query in enumerate(targets)}
    scores = {f"q{n}": {str(item): -rank for rank, item in enumerate(query)} for n, query in enumerate(items)}
    theirs = by_ranx(relevance, scores, [f"{name}@{k}" for name in RANX.values() for k in CUTOFFS])
    hits = np.array(
        [[item in wanted for item in query] for query, wanted in zip(items, targets, strict=True)]
    )
    n_targets = np.array([len(query) for query in targets])
    for name, ranx_name in RANX.items():
        for k in CUTOFFS:
            expected = [theirs[f"{ranx_name}@{k}"][f"q{n}"] for n in range(len(items))]
            values = ACCURACY[name](hits, n_targets, k)
            assert values.tolist() == pytest.approx(expected, abs=1e-9, rel=0), (name, k)
            assert np.ptp(values) > 0


@st.composite
def queries(draw):
    """Generate hits of queries, and numbers of targets that are at least the numbers of hits."""
    places = draw(st.integers(1, 6))
    hits = draw(st.lists(st.lists(st.booleans(), min_size=places, max_size=places), max_size=5))
    n_targets = [max(1, sum(row)) + draw(st.integers(0, 3)) for row in hits]
    return np.array(hits, dtype=bool).reshape(-1, places), np.array(n_targets, dtype=np.int64)


def by_definition(name, row, n_targets, k):
    places = [place for place, hit in enumerate(row[:k], start=1) if hit]
    if name == "hr":
        return 1 if places else 0
    if name == "recall":
        return len(places) / n_targets
    if name == "precision":
        return len(places) / k
    if name == "mrr":
        return 1 / places[0] if places else 0
    if name == "map":
        return sum(sum(row[:place]) / place for place in places) / n_targets
    best = sum(math.log(2) / math.log(place + 1) for place in range(1, min(n_targets, k) + 1))
    return sum(math.log(2) / math.log(place + 1) for place in places) / best


@examples(200)
@given(queries(), st.integers(1, 9))
def test_every_metric_equals_its_definition(case, k):
    hits, n_targets = case
    for name, metric in ACCURACY.items():
        values = metric(hits, n_targets, k)
        rows = zip(hits.tolist(), n_targets.tolist(), strict=True)
        assert values.dtype == np.float64
        assert values.tolist() == pytest.approx(
            [by_definition(name, row, n, k) for row, n in rows], abs=1e-12
        )


@examples(100)
@given(queries(), st.integers(1, 9))
def test_values_are_between_0_and_1_and_do_not_decrease_if_hits_move_up(case, k):
    hits, n_targets = case
    upwards = np.sort(hits, axis=1)[:, ::-1]
    for metric in ACCURACY.values():
        values = metric(hits, n_targets, k)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert (metric(upwards, n_targets, k) >= values - 1e-12).all()


@examples(100)
@given(st.lists(st.integers(1, 12) | st.just(math.inf), max_size=9), st.integers(1, 10), st.integers(1, 12))
def test_metrics_of_one_target_follow_from_its_rank(ranks, places, k):
    hits = hits_of_ranks(np.array(ranks, dtype=np.float64), places)
    one = np.ones(len(ranks), dtype=np.int64)
    reached = [rank if rank <= min(k, places) else math.inf for rank in ranks]
    assert hits.shape == (len(ranks), places)
    assert hr(hits, one, k).tolist() == [rank < math.inf for rank in reached]
    assert recall(hits, one, k).tolist() == hr(hits, one, k).tolist()
    assert mrr(hits, one, k).tolist() == pytest.approx([1 / rank for rank in reached])
    assert mean_average_precision(hits, one, k).tolist() == mrr(hits, one, k).tolist()
    expected = [0 if rank == math.inf else 1 / math.log2(rank + 1) for rank in reached]
    assert ndcg(hits, one, k).tolist() == pytest.approx(expected)
