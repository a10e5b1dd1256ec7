"""Intervals have the nominal coverage, and p-values agree with an exact test."""

import itertools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from item2vec import Sentences
from item2vec.errors import InputError
from item2vec.evaluation import Evaluation, Popularity, Split, compare, evaluate
from item2vec.evaluation.bootstrap import intervals
from item2vec.evaluation.rankings import Rankings
from item2vec.types import Vocabulary

N_SIMULATED = 2000


def coverage(simulated, truth, users, **options):
    """Return the share of simulated data sets (queries × data sets) whose interval contains the true mean."""
    named = {f"hr@{n}": column for n, column in enumerate(simulated.T)}
    bounds = np.array(list(intervals(named, users, **options).values()))
    return np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1]))


def evaluation(values, users=None, name="ndcg@10"):
    """Return an evaluation with these values per query."""
    values = np.asarray(values, dtype=np.float64)
    empty = np.zeros((len(values), 0))
    rankings = Rankings(
        Vocabulary(()), empty.astype(np.int32), empty.astype(bool), np.ones(len(values), np.int64)
    )
    users = np.arange(len(values)) if users is None else np.asarray(users)
    queries = {"users": users.tobytes().hex()}
    return Evaluation({name: float(values.mean())}, {name: values}, rankings, users, queries)


def test_intervals_cover_hit_rates():
    hits = np.random.default_rng(1).random((200, N_SIMULATED)) < 0.3
    assert 0.93 < coverage(hits, 0.3, np.arange(200)) < 0.965
    assert 0.78 < coverage(hits, 0.3, np.arange(200), level=0.8) < 0.83


def test_intervals_cover_skewed_values():
    random = np.random.default_rng(2)
    ranks = random.integers(1, 11, (600, N_SIMULATED))
    values = np.where(random.random(ranks.shape) < 0.1, 1 / ranks, 0)
    truth = 0.1 * np.mean(1 / np.arange(1, 11))
    assert 0.93 < coverage(values, truth, np.arange(600)) < 0.965


def test_intervals_of_clustered_queries_cover_and_would_not_without_the_clusters():
    random = np.random.default_rng(3)
    n_of_user = random.integers(1, 20, 150)
    users = np.repeat(np.arange(150), n_of_user)
    taste = random.beta(1, 3, (150, N_SIMULATED))
    hits = random.random((len(users), N_SIMULATED)) < taste[users]
    assert 0.925 < coverage(hits, 0.25, users) < 0.965
    assert coverage(hits, 0.25, np.arange(len(users))) < 0.8


@pytest.mark.parametrize("p", [0.001, 0.005, 0.02, 0.99, 0.999])
def test_intervals_cover_rare_hits_and_rare_misses(p):
    hits = np.random.default_rng(4).random((200, N_SIMULATED)) < p
    assert coverage(hits, p, np.arange(200)) > 0.88


def test_intervals_of_constant_values_have_the_width_of_the_rule_of_three():
    values = {
        "hr@10": np.zeros(50),
        "ndcg@10": np.ones(50),
        "mrr@10": np.full(50, 0.1),
        "novelty@10": np.full(50, 3.0),
    }
    found = intervals(values, np.arange(50))
    exact = stats.binomtest(0, 50).proportion_ci(method="exact").high
    assert found["hr@10"] == (0, pytest.approx(exact))
    assert found["ndcg@10"] == (pytest.approx(1 - exact), 1)
    assert found["mrr@10"] == (pytest.approx(0.1 * (1 - exact)), pytest.approx(0.1 + 0.9 * exact))
    assert found["novelty@10"] == (3, 3)
    one_user = intervals({"hr@10": np.array([0.0, 1.0] * 500)}, np.zeros(1000, dtype=np.int64))["hr@10"]
    assert one_user[0] < 0.1 < 0.9 < one_user[1]


def test_intervals_do_not_depend_on_user_numbers_nor_on_other_metrics():
    random = np.random.default_rng(5)
    values, users = random.random(500), random.integers(0, 40, 500)
    alone = intervals({"hr@1": values}, users)["hr@1"]
    together = intervals({"mrr@1": values**2, "hr@1": values}, users * 1_000_003)["hr@1"]
    assert together == pytest.approx(alone)
    assert intervals({"hr@1": values}, users)["hr@1"] == alone
    assert intervals({"hr@1": values}, users, seed=2)["hr@1"] != alone
    assert alone[0] < values.mean() < alone[1]
    assert intervals({}, users) == {}


@pytest.mark.parametrize("users", [np.arange(60), np.repeat(np.arange(30), 4)], ids=["single", "clustered"])
def test_p_values_are_uniform_where_two_models_are_equally_good(users):
    random = np.random.default_rng(6)

    def model(hit_rates):
        hits = random.random(len(users)) < hit_rates[users]
        return evaluation(hits * random.random(len(users)), users)

    p_values = []
    for seed in range(150):
        first, second = (model(random.random(len(users))) for _ in range(2))
        p_values.append(compare(first, second, seed=seed).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) < 0.1) < 0.17


def test_a_real_difference_is_significant():
    random = np.random.default_rng(7)
    worse = random.random(300)
    found = compare(evaluation(worse + 0.1 * random.random(300)), evaluation(worse))
    assert found.p_value == pytest.approx(1e-4)
    assert 0.04 < found.low < found.difference < found.high < 0.06
    turned = compare(evaluation(worse), evaluation(worse + 0.1 * random.random(300)))
    assert turned.p_value == pytest.approx(1e-4)
    assert turned.high < 0


tenths = st.lists(st.integers(-4, 4).map(lambda n: n / 10), min_size=1, max_size=8)


@examples(60)
@given(tenths, st.integers(0, 3))
def test_p_values_agree_with_the_exact_randomisation_test(differences, seed):
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    exact = np.mean(np.array(sums) >= abs(sum(differences)) - 1e-9)
    first = evaluation(np.array(differences) + 0.5)
    found = compare(first, evaluation(np.full(len(differences), 0.5)), seed=seed).p_value
    assert found == pytest.approx(exact, abs=0.025)
    assert (found == 1) == (exact == 1)


def test_the_same_seed_gives_the_same_comparison():
    random = np.random.default_rng(8)
    first, second = evaluation(random.random(80)), evaluation(random.random(80))
    assert compare(first, second, seed=3) == compare(first, second, seed=3)
    assert compare(first, second, seed=3).p_value != compare(first, second, seed=4).p_value
    swapped = compare(second, first, seed=3)
    assert swapped.difference == -compare(first, second, seed=3).difference


def test_the_interval_of_equal_models_is_not_empty():
    found = compare(evaluation(np.full(50, 0.2)), evaluation(np.full(50, 0.2)))
    assert (found.difference, found.p_value) == (0, 1)
    assert found.low == pytest.approx(-0.071, abs=0.001)
    assert found.high == pytest.approx(0.071, abs=0.001)


def test_errors_of_compare_and_intervals():
    two, three = evaluation([0.0, 1.0]), evaluation([0.0, 1.0, 1.0])
    with pytest.raises(InputError, match=r"the users .* differ \(2 and 3 queries\); evaluate"):
        compare(two, three)
    message = "metric 'hr@5' has no values per query in the first evaluation; expected one of ndcg@10"
    with pytest.raises(InputError, match=message):
        compare(two, two, "hr@5")
    with pytest.raises(InputError, match="level is 95"):
        two.intervals(level=95)


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ({"histories": [["b"], ["b"]]}, "histories"),
        ({"targets": [["b"], ["c"]]}, "targets"),
        ({"targets": [["c"], ["b"]], "histories": [["b"], ["a"]]}, "histories and targets"),
        ({"users": [0, 0]}, "users"),
    ],
)
def test_evaluations_of_different_queries_are_not_compared(changed, differing):
    """The evaluations have equal numbers of queries and targets, but different contents."""
    train = Sentences.of([["a", "b", "c"]])

    def evaluated(histories=(["a"], ["b"]), targets=(["b"], ["a"]), users=(0, 1)):
        queries = Sentences.of(histories), Sentences.of(targets)
        return evaluate(Popularity(train), Split(train, *queries, "by hand", users=np.array(users)))

    assert compare(evaluated(), evaluated()).difference == 0
    with pytest.raises(InputError, match=f"the {differing} of the two evaluations differ"):
        compare(evaluated(), evaluated(**changed))


def test_models_of_different_training_parts_are_compared():
    queries = Sentences.of([["a"], ["b"]]), Sentences.of([["b"], ["a"]])
    trains = (Sentences.of([["a", "b", "c"]] * n) for n in (2, 1))
    first, second = (evaluate(Popularity(train), Split(train, *queries, "by hand")) for train in trains)
    assert compare(first, second).p_value == 1
