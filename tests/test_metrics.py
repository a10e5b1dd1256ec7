"""Metrics of accuracy against an independent library, and against the formulas written out."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec import metrics

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
def questions():
    """Lists of 10 of 30 items, best first, and one to eight targets each, some of which are in no list."""
    random = np.random.default_rng(7)
    lists = [random.permutation(30)[:10].tolist() for _ in range(300)]
    targets = [set(random.permutation(35)[: random.integers(1, 9)].tolist()) for _ in lists]
    return lists, targets


def arrays(lists, targets):
    hits = np.array(
        [[item in wanted for item in list_] for list_, wanted in zip(lists, targets, strict=True)]
    )
    return hits, np.array([len(wanted) for wanted in targets])


THEIRS = """
import json, sys
import ranx
wanted, given, names = json.load(sys.stdin)
run = ranx.Run(given)
ranx.evaluate(ranx.Qrels(wanted), run, names)
print(json.dumps({name: {q: float(value) for q, value in of.items()} for name, of in run.scores.items()}))
"""


def by_ranx(wanted, given_, names):
    """Return ranx's value of each metric for each question; not compiled, which would take half a minute."""
    done = subprocess.run(
        [sys.executable, "-c", THEIRS],
        input=json.dumps([wanted, given_, names]),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_every_metric_agrees_with_ranx(questions):
    lists, targets = questions
    wanted = {f"q{n}": {str(item): 1 for item in one} for n, one in enumerate(targets)}
    given_ = {f"q{n}": {str(item): -place for place, item in enumerate(one)} for n, one in enumerate(lists)}
    scores = by_ranx(wanted, given_, [f"{theirs}@{k}" for theirs in RANX.values() for k in CUTOFFS])
    hits, n_targets = arrays(lists, targets)
    for ours, theirs in RANX.items():
        for k in CUTOFFS:
            expected = [scores[f"{theirs}@{k}"][f"q{n}"] for n in range(len(lists))]
            found = metrics.ACCURACY[ours](hits, n_targets, k)
            assert found.tolist() == pytest.approx(expected, abs=1e-9, rel=0), (ours, k)
            assert np.ptp(found) > 0


@st.composite
def asked(draw):
    """Hits of some questions, with as many targets as are hit, or more."""
    places = draw(st.integers(1, 6))
    hits = draw(st.lists(st.lists(st.booleans(), min_size=places, max_size=places), max_size=5))
    n_targets = [max(1, sum(row)) + draw(st.integers(0, 3)) for row in hits]
    return np.array(hits, dtype=bool).reshape(-1, places), np.array(n_targets, dtype=np.int64)


def slowly(name, row, n_targets, k):
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


@settings(deadline=None, max_examples=200)
@given(asked(), st.integers(1, 9))
def test_every_metric_is_what_its_definition_says(case, k):
    hits, n_targets = case
    for name, metric in metrics.ACCURACY.items():
        found = metric(hits, n_targets, k)
        rows = zip(hits.tolist(), n_targets.tolist(), strict=True)
        assert found.dtype == np.float64
        assert found.tolist() == pytest.approx([slowly(name, row, n, k) for row, n in rows], abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(asked(), st.integers(1, 9))
def test_values_lie_between_0_and_1_and_hits_further_up_are_worth_no_less(case, k):
    hits, n_targets = case
    upwards = np.sort(hits, axis=1)[:, ::-1]
    for metric in metrics.ACCURACY.values():
        found = metric(hits, n_targets, k)
        assert ((found >= 0) & (found <= 1 + 1e-12)).all()
        assert (metric(upwards, n_targets, k) >= found - 1e-12).all()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 12) | st.just(math.inf), max_size=9), st.integers(1, 10), st.integers(1, 12))
def test_of_one_target_each_ranks_tell_all(ranks, places, k):
    hits = metrics.hits_of_ranks(np.array(ranks, dtype=np.float64), places)
    one = np.ones(len(ranks), dtype=np.int64)
    reached = [rank if rank <= min(k, places) else math.inf for rank in ranks]
    assert hits.shape == (len(ranks), places)
    assert metrics.hr(hits, one, k).tolist() == [rank < math.inf for rank in reached]
    assert metrics.recall(hits, one, k).tolist() == metrics.hr(hits, one, k).tolist()
    assert metrics.mrr(hits, one, k).tolist() == pytest.approx([1 / rank for rank in reached])
    assert metrics.mean_average_precision(hits, one, k).tolist() == metrics.mrr(hits, one, k).tolist()
    expected = [0 if rank == math.inf else 1 / math.log2(rank + 1) for rank in reached]
    assert metrics.ndcg(hits, one, k).tolist() == pytest.approx(expected)


def test_all_targets_first_are_worth_one():
    hits = np.array([[True, True, True, False]])
    for name in ("hr", "recall", "ndcg", "mrr", "map"):
        assert metrics.ACCURACY[name](hits, np.array([3]), 4).tolist() == [pytest.approx(1)]
    assert metrics.precision(hits, np.array([3]), 4).tolist() == [0.75]
    assert metrics.ndcg(hits, np.array([9]), 3).tolist() == [pytest.approx(1)]  # no more than 3 could be had
