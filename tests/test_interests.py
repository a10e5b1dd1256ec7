"""Interests: clusters of a history, and answers merged over them."""

import itertools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import ItemVectors, Recommender, Vocabulary
from item2vec.errors import InputError, InputTypeError
from item2vec.histories import Histories
from item2vec.interests import MAX_CLUSTERED, clusters, divide
from item2vec.sentences import offsets_of


def unit(*degrees):
    angles = np.radians(degrees)
    return np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)


def songs(*degrees, **more):
    rows = unit(*degrees)
    ids = Vocabulary(tuple("abcdefghijkl"[: len(rows)]))
    return Recommender(ItemVectors(ids, rows, None, np.arange(len(rows), 0, -1)), index="exact", **more)


def ids(answer):
    return "".join(one.item for one in answer)


@pytest.mark.parametrize(
    ("degrees", "n", "expected"),
    [
        ([0, 90, 10, 100], 2, [0, 1, 0, 1]),
        ([0, 90, 10, 100], 3, [0, 1, 0, 2]),
        ([90, 0, 10], 2, [0, 1, 1]),
        ([0, 90], 5, [0, 1]),
        ([0, 0, 0], 2, [0, 0, 1]),  # equal distances: the first pair
        ([0, 10, 20], 1, [0, 0, 0]),
        ([7], "auto", [0]),
        ([0, 90], "auto", [0, 0]),  # the distance is √2
        ([0, 0, 180, 180], "auto", [0, 0, 1, 1]),  # 2 √2
    ],
)
def test_worked_clusters(degrees, n, expected):
    assert clusters(unit(*degrees), n).tolist() == expected


def test_there_are_at_most_five_interests_by_default():
    around = unit(*range(0, 360, 45)).repeat(9, axis=0)  # neighbours have the distance 3 · 0.77
    assert len(set(clusters(around, "auto"))) == 5
    assert len(set(clusters(around[:36], "auto"))) == 4


def increase(vectors, first, second):
    """Return the increase of the sum of squares if two clusters are merged."""

    def squares(rows):
        return np.square(vectors[rows] - vectors[rows].mean(axis=0)).sum()

    return squares(first + second) - squares(first) - squares(second)


@examples(30)
@given(n_items=st.integers(1, 12), n=st.integers(1, 4), seed=st.integers(0, 999))
def test_clusters_are_merged_by_the_lowest_increase(n_items, n, seed):
    vectors = np.random.default_rng(seed).normal(size=(n_items, 3))
    groups = [[row] for row in range(n_items)]
    while len(groups) > n:
        pairs = itertools.combinations(range(len(groups)), 2)
        first, second = min(pairs, key=lambda pair: increase(vectors, groups[pair[0]], groups[pair[1]]))
        groups[first] += groups.pop(second)
    found = clusters(vectors.astype(np.float32), n)
    assert {tuple(np.flatnonzero(found == label)) for label in found} == {
        tuple(sorted(own)) for own in groups
    }
    assert list(dict.fromkeys(found.tolist())) == list(range(len(groups)))


def test_a_history_is_divided_in_its_order_with_its_weights():
    codes = np.array([0, 1, 0, 2, 3], np.int32)
    both = Histories(codes, np.array([0, 5, 5]), np.arange(5.0), np.arange(5) * 10)
    found = divide(both, unit(0, 90, 5, 80), 2)
    assert found.histories.codes.tolist() == [1, 3, 0, 0, 2]  # that of the newest entry first
    assert found.histories.offsets.tolist() == [0, 2, 5, 5]
    assert found.histories.weights.tolist() == [1, 4, 0, 2, 3]
    assert found.histories.timestamps.tolist() == [10, 40, 0, 20, 30]
    assert (found.owners.tolist(), found.medoids.tolist()) == ([0, 0, 1], [3, 2, -1])


def test_the_medoid_is_the_item_nearest_to_the_centre():
    found = divide(Histories(np.array([0, 1, 2], np.int32), np.array([0, 3])), unit(0, 20, 60), 1)
    assert found.medoids.tolist() == [1]


def test_items_older_than_the_clustered_ones_join_the_nearest_cluster():
    degrees = [3, 93, *[0, 90] * (MAX_CLUSTERED // 2)]
    rows = unit(*degrees) + np.arange(len(degrees))[:, None] * np.float32(1e-6)
    found = divide(Histories(np.arange(len(rows), dtype=np.int32), offsets_of([len(rows)])), rows, 2)
    assert (np.diff(found.histories.offsets) == len(rows) // 2).all()
    assert set(found.histories.codes[: len(rows) // 2] % 2) == {1}
    assert {0, 1} <= set(found.histories.codes)


# a b are near 0°, f g near 90°; c d e lie between, at 20°, 45° and 70°.
DEGREES = (0, 5, 20, 45, 70, 85, 90)


@pytest.mark.parametrize(
    ("interests", "expected"),
    [(None, "dce"), (1, "dce"), (2, "ced"), (3, "ced"), (9, "ced"), ("auto", "dce")],
)
def test_worked_answers(interests, expected):
    model = songs(*DEGREES, decay=1.0)
    assert ids(model.recommend(["a", "b", "f", "g"], interests=interests)) == expected


def test_the_score_is_that_of_the_best_interest():
    model = songs(*DEGREES, decay=1.0)
    found = model.recommend(["a", "b", "g"], interests=2, k=2)
    assert ids(found) == "fc"
    assert found[0].score == pytest.approx(np.cos(np.radians(5)))
    assert found[1].score == pytest.approx(np.cos(np.radians(17.5)))


def test_explain_names_the_interest():
    model = songs(*DEGREES, decay=1.0)
    best = dict(model.recommend(["a", "a", "b", "g"], interests=2, k=4))
    for item, interest, members in (("c", "b", {"a", "b"}), ("e", "g", {"g"})):
        shares = model.explain(["a", "a", "b", "g"], item, interests=2)
        assert {share.interest for share in shares} == {interest}
        assert {share.item for share in shares if share.share} == members
        assert sum(share.share for share in shares) == pytest.approx(best[item], abs=1e-6)
    assert {share.interest for share in model.explain(["a"], "c")} == {None}


@pytest.mark.parametrize(
    ("interests", "error", "message"),
    [
        (0, InputError, "interests is 0; expected 'auto' or an integer of at least 1"),
        ("all", InputTypeError, "interests is 'all'; expected 'auto'"),
        (1.5, InputTypeError, r"interests is 1\.5; expected 'auto'"),
        (True, InputTypeError, "interests is True; expected 'auto'"),
    ],
)
def test_other_interests_are_errors(interests, error, message):
    for call in (songs(0, 90).recommend, songs(0, 90).radio):
        with pytest.raises(error, match=message):
            call(["a"], interests=interests)
