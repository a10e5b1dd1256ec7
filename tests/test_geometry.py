"""Similarities, distances, analogies and directions, against gensim and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, ItemVectors, Recommender, Vocabulary
from item2vec.direction import Direction
from item2vec.errors import InputError, InputTypeError, UnknownItemError

N, SIZE = 120, 8
IDS = [f"i{row}" for row in range(N)]
ROWS = np.random.default_rng(4).normal(size=(N, SIZE)).astype(np.float32)
OUTPUT = np.random.default_rng(5).normal(size=(N, SIZE)).astype(np.float32)
VECTORS = ItemVectors(Vocabulary(tuple(IDS)), ROWS, OUTPUT, np.arange(N, 0, -1))
ATTRIBUTES = Items.of({id_: {"year": 1980 + row % 20, "artist": row % 9} for row, id_ in enumerate(IDS)})
COSINE = Recommender(VECTORS, score="cosine", items=ATTRIBUTES, index="exact")
BY_OUTPUT = Recommender(VECTORS, score="output", items=ATTRIBUTES, index="exact")
EIGHTIES, NINETIES = {"year": {"<": 1990}}, {"year": {">=": 1990}}

some = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
ks = st.sampled_from([1, 5, N])


@pytest.fixture(scope="module")
def theirs():
    """The same vectors in gensim."""
    keyed = KeyedVectors(SIZE)
    keyed.add_vectors(IDS, ROWS)
    return keyed


def assert_same(found, expected):
    """Scores are equal by rank and by item: rounding may swap items whose scores are nearly equal."""
    for scores in ([score for _, score in expected], [dict(expected)[one.item] for one in found]):
        assert [one.score for one in found] == pytest.approx(scores, rel=1e-4, abs=1e-5)


@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`")
@examples(60)
@given(some, st.lists(st.sampled_from(IDS), max_size=3, unique=True), ks)
def test_analogies_are_those_of_gensim(theirs, positive, negative, k):
    negative = [id_ for id_ in negative if id_ not in positive]
    query = {"positive": positive, "negative": negative}
    expected = {
        "3cosadd": theirs.most_similar(**query, topn=N),
        "3cosmul": theirs.most_similar_cosmul(**query, topn=N),
    }
    for method, answer in expected.items():
        for model in (VECTORS, COSINE):
            found = model.analogy(**query, method=method, k=N)
            assert_same(found, answer)
            assert_same(model.analogy(**query, method=method, k=k), [tuple(one) for one in found[:k]])


@examples(40)
@given(st.sampled_from(IDS), st.sampled_from(IDS), st.lists(st.sampled_from(IDS), min_size=3, max_size=9))
def test_distances_and_ranks_are_those_of_gensim(theirs, item, other, several):
    np.testing.assert_allclose(VECTORS.distances(item), theirs.distances(item), atol=1e-6)
    np.testing.assert_allclose(
        VECTORS.distances(item, several), theirs.distances(item, several), rtol=0, atol=1e-6
    )
    if item != other:
        assert VECTORS.closer_than(item, other) == theirs.closer_than(item, other)
        assert VECTORS.rank(item, other) == theirs.rank(item, other)
    assert VECTORS.similarity(item, other) == pytest.approx(theirs.similarity(item, other), abs=1e-6)
    if len({*several}) == len(several):
        assert VECTORS.doesnt_match(several) == theirs.doesnt_match(several)


@examples(25)
@given(st.integers(0, 2**32 - 1), ks)
def test_neighbours_of_a_vector_are_those_of_gensim(theirs, seed, k):
    vector = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    expected = theirs.similar_by_vector(vector, topn=k)
    for model in (VECTORS, COSINE, BY_OUTPUT):
        assert_same(model.nearest(vector, k=k), expected)


def test_the_ranks_of_a_line():
    angles = np.radians([0, 10, 30, 70, 180])
    line = ItemVectors(
        Vocabulary(tuple("abcde")), np.column_stack((np.cos(angles), np.sin(angles))), None, np.ones(5)
    )
    assert [line.rank("a", other) for other in "bcde"] == [1, 2, 3, 4]
    assert line.closer_than("a", "d") == ["b", "c"]
    assert line.distances("a", ["a", "c", "e"]) == pytest.approx([0, 1 - math.cos(math.pi / 6), 2])
    assert line.doesnt_match(["a", "b", "e", "c"]) == "e"
    assert [one.item for one in line.nearest(np.array([1, 5]))] == ["d", "c", "b", "a", "e"]
    # 3CosMul of b + c - a: for d, (1 + cos 60°)(1 + cos 40°) / 2 / (1 + cos 70°); for e, whose cosine to a
    # is -1, the denominator is 1e-6
    opposite, other = line.analogy(positive=["b", "c"], negative=["a"], method="3cosmul")
    assert (opposite.item, other.item) == ("e", "d")
    expected = (1 + math.cos(angles[3] - angles[1])) * (1 + math.cos(angles[3] - angles[2])) / 2
    assert other.score == pytest.approx(expected / (1 + math.cos(angles[3])), rel=1e-4)
    products = [1 + math.cos(angles[4] - angles[place]) for place in (1, 2)]
    assert opposite.score == pytest.approx(products[0] * products[1] / 4 / 1e-6, rel=0.1)


def test_items_without_a_vector_have_no_distance():
    rows = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    gaps = ItemVectors(Vocabulary(("a", "b", "c")), rows, None, np.ones(3))
    assert np.isnan(gaps.distances("a")).tolist() == [False, True, False]
    assert gaps.closer_than("a", "c") == []
    assert [one.item for one in gaps.nearest(np.ones(2))] == ["c", "a"]
    assert [one.item for one in Recommender(gaps).nearest(np.ones(2))] == ["c", "a"]
    for call in (lambda: gaps.rank("a", "b"), lambda: gaps.doesnt_match(["a", "b", "c"])):
        with pytest.raises(InputError, match="item 'b' has no vector"):
            call()


def test_a_rank_compares_output_vectors_if_an_item_has_no_input_vector():
    angles = np.radians([0, 60, 90, 30])
    output = np.column_stack((np.cos(angles), np.sin(angles)))
    inputs = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    last = ItemVectors(Vocabulary(("a", "b", "last", "c")), inputs, output, np.ones(4))
    assert last.distances("a", ["last"]) == pytest.approx(1)
    assert last.closer_than("a", "last") == ["b", "c"]
    assert (last.rank("a", "last"), last.rank("last", "a"), last.rank("last", "b")) == (3, 3, 1)


def test_a_vector_is_not_compared_with_output_vectors():
    last = ItemVectors(
        Vocabulary(("a", "b")), np.array([[1, 0], [0, 0]]), np.array([[0, 1], [1, 0]]), np.ones(2)
    )
    for model in (last, Recommender(last)):
        assert [one.item for one in model.nearest(np.array([-1.0, 0]))] == ["a"]


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_rules_limit_the_answers_of_both_methods(method):
    query = {"positive": ["i1", "i2"], "negative": ["i3"], "method": method}
    plain = COSINE.analogy(**query, k=N)
    assert len(plain) == N - 3
    newer = [one for one in plain if int(one.item[1:]) % 20 >= 10]
    assert COSINE.analogy(**query, where=NINETIES, k=7) == newer[:7]
    denied = {plain[0].item, plain[3].item}
    assert COSINE.analogy(**query, deny=denied, k=N) == [one for one in plain if one.item not in denied]
    capped = COSINE.analogy(**query, at_most={"artist": 1}, k=N)
    firsts = {int(one.item[1:]) % 9: one for one in reversed(plain)}
    assert capped == sorted(firsts.values(), key=lambda one: -one.score)
    boosted = COSINE.analogy(**query, boost={plain[-1].item: 1e6}, k=1)
    assert boosted[0].item == plain[-1].item or plain[-1].score <= 0
    popular = COSINE.analogy(**query, popularity=0.5, k=N)
    scores = dict(map(tuple, plain))
    assert [one.score for one in popular] == pytest.approx(
        [scores[one.item] + 0.5 * math.log1p(N - int(one.item[1:])) for one in popular], abs=1e-5
    )
    disliked = COSINE.analogy(**query, disliked=[plain[0].item], k=N)
    assert plain[0].item not in {one.item for one in disliked}
    assert {one.source for one in plain} == {"model"}


def mean_units(matrix, rows):
    return np.mean([matrix[row] / np.linalg.norm(matrix[row]) for row in rows], axis=0)


OLD, NEW = ([row for row in range(N) if (row % 20 >= 10) == newer] for newer in (False, True))


def test_a_direction_is_the_difference_of_the_mean_unit_vectors():
    direction = COSINE.direction(EIGHTIES, NINETIES)
    for found, matrix in ((direction.input, ROWS), (direction.output, OUTPUT)):
        expected = mean_units(matrix, NEW) - mean_units(matrix, OLD)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    same = VECTORS.direction([IDS[row] for row in OLD], [IDS[row] for row in NEW])
    np.testing.assert_allclose(same.input, direction.input, atol=1e-6)
    np.testing.assert_allclose((direction * -3.0).output, -3 * direction.output)
    assert (
        Recommender(ItemVectors(VECTORS.vocabulary, ROWS, None, np.ones(N)))
        .vectors.direction(["i1"], ["i2"])
        .output
        is None
    )


@pytest.mark.parametrize("rows", [np.array([1, 2]), np.array([False, True, True])])
def test_an_error_of_a_direction_counts_the_items_of_the_group(rows):
    vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.array([[1, 0], [0, 0], [0, 0]]), None, np.ones(3))
    with pytest.raises(InputError, match="the second group of a direction has 2 items, and none has"):
        vectors.direction_between(np.array([0]), rows)


def test_a_direction_moves_the_query_of_an_analogy():
    direction = 2 * COSINE.direction(EIGHTIES, NINETIES)
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    scores = unit @ (unit[5] + direction.input) / np.linalg.norm(unit[5] + direction.input)
    expected = sorted(((IDS[row], scores[row]) for row in range(N) if row != 5), key=lambda one: -one[1])
    for answer in (
        VECTORS.analogy(positive=["i5"], direction=direction, k=N),
        COSINE.analogy(positive=["i5"], direction=direction, k=N),
        COSINE.similar_items("i5", direction=direction, k=N),
        BY_OUTPUT.similar_items("i5", direction=direction, k=N),
    ):
        assert_same(answer, expected)
    newer = COSINE.analogy(positive=["i5"], direction=direction, where=NINETIES, k=4)
    assert all(int(one.item[1:]) % 20 >= 10 for one in newer)


@pytest.mark.parametrize("model", [COSINE, BY_OUTPUT], ids=["cosine", "output"])
def test_a_direction_moves_a_user_vector_and_keeps_its_length(model):
    history, factor = ["i3", "i50", "i7"], 1.5
    direction = factor * model.direction(EIGHTIES, NINETIES)
    matrix, step = (VECTORS.unit_input, direction.input) if model is COSINE else (OUTPUT, direction.output)
    plain = {one.item: one.score for one in model.recommend(history, k=N, filter_seen=False)}
    taste = np.linalg.lstsq(matrix.astype(float), [plain[id_] for id_ in IDS], rcond=None)[0]
    moved = taste + np.linalg.norm(taste) * step
    moved *= np.linalg.norm(taste) / np.linalg.norm(moved)
    found = model.recommend(history, k=N, filter_seen=False, direction=direction)
    for item, score in found:
        assert score == pytest.approx(float(matrix[IDS.index(item)] @ moved), abs=1e-4)
    assert model.recommend_many([["i1"], history], k=5, direction=direction) == [
        model.recommend(one, k=5, direction=direction) for one in (["i1"], history)
    ]


def test_a_pair_of_conditions_is_a_direction():
    pair, direction = (EIGHTIES, NINETIES), COSINE.direction(EIGHTIES, NINETIES)
    assert COSINE.recommend(["i1"], direction=pair) == COSINE.recommend(["i1"], direction=direction)
    query = {"positive": ["i1"], "k": 5}
    assert COSINE.analogy(**query, direction=pair) == COSINE.analogy(**query, direction=direction)


@examples(25)
@given(
    st.sampled_from([COSINE, BY_OUTPUT]),
    some,
    st.lists(st.sampled_from(IDS), max_size=2),
    st.sampled_from([None, 2]),
    st.sampled_from([0.0, 0.4]),
)
def test_shares_sum_to_the_score_with_a_direction(model, history, disliked, interests, popularity):
    direction = COSINE.direction(EIGHTIES, NINETIES)
    if not set(history) - set(disliked):
        return
    rules = {"direction": direction, "disliked": disliked, "interests": interests, "popularity": popularity}
    for item, score in model.recommend(history, k=3, **rules):
        shares = model.explain(history, item, **rules)
        assert sum(share for _, share in shares) == pytest.approx(score, abs=1e-4)
        assert [one for one, _ in shares].count(None) == 1


def test_popular_answers_have_no_direction():
    direction = COSINE.direction(EIGHTIES, NINETIES)
    assert COSINE.recommend([], direction=direction) == COSINE.recommend([])


FOREIGN = Direction(np.ones(3, np.float32), None)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: VECTORS.analogy(positive=["i1"], method="add"), InputError, "expected '3cosadd' or '3cosm"),
        (lambda: COSINE.analogy(positive=["i1"], method="x"), InputError, "expected '3cosadd' or '3cosmul'"),
        (
            lambda: COSINE.analogy(positive=["i1"], method="3cosmul", direction=({}, {})),
            InputError,
            "takes no direction",
        ),
        (lambda: VECTORS.analogy(positive=["i1"], direction=FOREIGN), InputError, "has 3 dimensions"),
        (lambda: COSINE.recommend(["i1"], direction=FOREIGN), InputError, "is not a direction of this"),
        (
            lambda: BY_OUTPUT.recommend(["i1"], direction=FOREIGN),
            InputError,
            "is not a direction of this",
        ),
        (lambda: COSINE.recommend(["i1"], direction={"a": 1}), InputTypeError, "a pair of conditions"),
        (lambda: COSINE.direction({"year": 1}, {}), InputError, "first group of a direction has 0 items"),
        (lambda: COSINE.direction({"yaer": 1}, {}), InputError, "yaer"),
        (lambda: VECTORS.doesnt_match(["i1", "i2"]), InputError, "expected at least three"),
        (lambda: VECTORS.nearest(np.zeros(SIZE)), InputError, "vector is zero"),
        (lambda: VECTORS.nearest(np.ones(3)), InputError, "expected 8 finite numbers"),
        (lambda: COSINE.nearest(np.full(SIZE, np.inf)), InputError, "expected 8 finite numbers"),
        (lambda: VECTORS.rank("i1", "i9999"), UnknownItemError, "unknown item"),
    ],
)
def test_an_invalid_query_is_a_typed_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
