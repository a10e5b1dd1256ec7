"""Bonuses: equality with brute force for every index and filter."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from test_index import PoorIndex, as_mask, searches

from item2vec import ItemVectors, Recommender, Sentences, Vocabulary, bonuses, fit
from item2vec.bonuses import history_bonuses, token_bonuses
from item2vec.config import TasteConfig
from item2vec.durations import DAY
from item2vec.errors import ConfigError
from item2vec.histories import encode_histories
from item2vec.index import Bonuses, build, find_many
from item2vec.neighbours import NeighbourTable, link_propagation, table_for, transitions

N_ITEMS = 30
IDS = [f"i{code:02}" for code in range(N_ITEMS)]


def bonuses_of(rows):
    """Return bonuses from one dictionary (row → value) per query."""
    pairs = [sorted(bonus.items()) for bonus in rows]
    flat = [pair for row in pairs for pair in row]
    return Bonuses(
        np.array([row for row, _ in flat], np.intp),
        np.array([value for _, value in flat], np.float32),
        np.cumsum([0, *map(len, pairs)]),
    )


def sorted_with(bonus, matrix, query, k, excluded, allowed):
    scores = matrix @ query + [bonus.get(row, 0) for row in range(len(matrix))]
    rows = set(range(len(matrix)) if allowed is None else allowed) - set(excluded)
    return sorted((-float(scores[row]), row) for row in rows)[:k]


@st.composite
def cases(draw):
    matrix, *rest = draw(searches())
    values = st.integers(0, 20)
    return matrix, *rest, draw(st.dictionaries(st.integers(0, len(matrix) - 1), values, max_size=8))


@examples(300)
@given(cases(), st.sampled_from(["exact", "annoy"]))
def test_bonuses_are_added_before_the_cut_to_k(case, kind):
    matrix, query, k, excluded, allowed, bonus = case
    index = build(matrix, kind=kind, queries=query[None], recall=1.0)
    rules = {"k": k, "excluded": [excluded], "allowed": as_mask(allowed, matrix)}
    results = find_many(index, query[None], **rules, bonuses=bonuses_of([bonus]))[0]
    expected = sorted_with(bonus, matrix, query, k, excluded, allowed)
    assert results.scores.dtype == np.float32
    assert results.scores.tolist() == [-score for score, _ in expected]
    assert len({*results.rows.tolist()}) == len(expected)
    if kind == "exact":
        assert results.rows.tolist() == [row for _, row in expected]


@examples(100)
@given(cases())
def test_a_poor_index_never_misses_a_row_with_a_bonus(case):
    matrix, query, k, excluded, allowed, bonus = case
    index = PoorIndex.build(matrix)
    rules = {"k": k, "excluded": [excluded], "allowed": as_mask(allowed, matrix)}
    results = find_many(index, query[None], **rules, bonuses=bonuses_of([bonus]))[0]
    plain = find_many(index, query[None], **rules)[0]
    open_rows = set(range(len(matrix)) if allowed is None else allowed) - {*excluded}
    least = sorted_with(
        bonus, matrix, query, k, {*range(len(matrix))} - {*bonus, *plain.rows.tolist()}, open_rows
    )
    rows, scores = results.rows.tolist(), results.scores.tolist()
    assert len({*rows}) == len(rows) == min(k, len(open_rows))
    assert {*rows} <= open_rows
    assert scores == [float(matrix[row] @ query) + bonus.get(row, 0) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(score >= -worst for score, (worst, _) in zip(scores, least, strict=False))


@pytest.mark.parametrize("make", [PoorIndex.build, lambda matrix: build(matrix, kind="exact")])
def test_an_excluded_row_is_not_returned_whatever_its_bonus(make):
    matrix = np.eye(64, dtype=np.float32)
    rules = {"k": 3, "excluded": [[2]], "bonuses": bonuses_of([{2: 9, 4: 5}])}
    for allowed in (None, as_mask([0, 1, 2, 4], matrix)):
        results = find_many(make(matrix), matrix[:1], allowed=allowed, **rules)[0]
        assert (results.rows.tolist(), results.scores.tolist()) == ([4, 0, 1], [5, 1, 0])


@pytest.mark.parametrize("kind", ["exact", "annoy"])
def test_find_many_is_bit_identical_to_single_queries(kind):
    random = np.random.default_rng(4)
    matrix = random.normal(size=(400, 24)).astype(np.float32)
    queries = random.normal(size=(60, 24)).astype(np.float32)
    index = build(matrix, kind=kind, queries=queries)
    added = bonuses_of(
        [dict(zip(random.integers(0, 400, 9).tolist(), random.random(9), strict=True)) for _ in queries]
    )
    batch = find_many(index, queries, k=7, excluded=[[row, 5] for row in range(60)], bonuses=added)
    for row, results in enumerate(batch):
        alone = find_many(
            index, queries[[row]], k=7, excluded=[[row, 5]], bonuses=added.take(np.array([row]))
        )[0]
        assert alone.rows.tolist() == results.rows.tolist()
        assert alone.scores.tobytes() == results.scores.tobytes()


@functools.cache
def vectors() -> ItemVectors:
    random = np.random.default_rng(0)
    matrices = random.normal(size=(2, N_ITEMS, 6)).astype(np.float32)
    matrices[:, 24:] = matrices[:, :1]  # six items share the vectors of the first
    return ItemVectors(Vocabulary(tuple(IDS)), matrices[0], matrices[1], np.arange(N_ITEMS, 0, -1))


@functools.cache
def table(ordered) -> NeighbourTable:
    random = np.random.default_rng(1)
    lists = [[IDS[code] for code in random.integers(0, N_ITEMS - 4, 5)] for _ in range(25)]
    return table_for(Sentences.of(lists, ordered=ordered), vectors().vocabulary)


@functools.cache
def model(score, repeat_bonus, mixture, ordered, index, **taste):
    return Recommender(
        vectors(), score=score, decay=0.6, repeat_bonus=repeat_bonus, mixture=mixture, index=index,
        neighbours=table(ordered), **taste,
    )  # fmt: skip


models = st.builds(
    model,
    st.sampled_from(["cosine", "output"]),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.2, 2.0]),
    st.booleans(),
    st.sampled_from(["exact", "annoy"]),
)
histories = st.lists(st.sampled_from([*IDS, "unknown"]), max_size=8)
choices = st.sets(st.sampled_from([*IDS, "unknown"]))


def dense(table):
    matrix = np.zeros((len(table), len(table)))
    for item, (start, end) in enumerate(zip(table.offsets[:-1], table.offsets[1:], strict=True)):
        matrix[item, table.items[start:end]] = table.weights[start:end]
    return matrix


def plain_bonus(model, history, filter_seen):
    """Return the bonus of every item by its definition, in double precision."""
    known = [IDS.index(item) for item in history if item in IDS]
    decay = model.neighbours.decay
    p = sum(
        (decay**back * dense(model.neighbours)[item] for back, item in enumerate(known[::-1])),
        np.zeros(N_ITEMS),
    )
    p = p / (p.sum() or 1)
    bonus = model.taste.mixture * np.log(1 + p / bonuses.FLOOR)
    if not filter_seen:
        bonus[known] += model.taste.repeat_bonus
    return bonus


@examples(300)
@given(models, histories, st.integers(1, 40), choices, st.none() | choices, choices, st.booleans())
def test_recommendations_equal_brute_force(model, history, k, exclude, allow, deny, filter_seen):
    rules = {"k": k, "exclude": exclude, "allow": allow, "deny": deny, "filter_seen": filter_seen}
    results = model.recommend(history, **rules)
    without = Recommender(vectors(), score=model.taste.score, decay=0.6, index="exact")
    everything = without.recommend(history, **(rules | {"k": N_ITEMS}))
    if not {*history} & {*IDS}:
        assert results == everything[:k]
        return
    bonus = dict(zip(IDS, plain_bonus(model, history, filter_seen), strict=True))
    scores = {item: score + bonus[item] for item, score in everything}
    assert [result.score for result in results] == pytest.approx(
        sorted(scores.values(), reverse=True)[:k], abs=1e-4
    )
    assert [result.score for result in results] == pytest.approx(
        [scores[result.item] for result in results], abs=1e-4
    )
    assert len({result.item for result in results}) == len(results)
    assert {result.source for result in results} <= {"model"}


@examples(100)
@given(
    models, st.lists(histories, max_size=6), st.integers(1, 40), st.none() | choices, choices, st.booleans()
)
def test_recommend_many_equals_recommend(model, lists, k, allow, deny, filter_seen):
    rules = {"k": k, "allow": allow, "deny": deny, "filter_seen": filter_seen}
    alone = [model.recommend(history, **rules) for history in lists]
    assert model.recommend_many(lists, **rules) == alone
    assert model.recommend_many(Sentences.of(lists), **rules) == alone


@examples(100)
@given(models, histories.filter(lambda history: {*history} & {*IDS}), st.booleans(), st.data())
def test_shares_add_up_to_the_score(model, history, filter_seen, data):
    chosen = data.draw(st.sampled_from(model.recommend(history, k=20, filter_seen=filter_seen)))
    shares = model.explain(history, chosen.item)
    assert sum(share for _, share in shares) == pytest.approx(chosen.score, abs=1e-4)
    assert {item for item, _ in shares} == {*history} & {*IDS}


def test_explain_divides_the_mixture_in_proportion_to_contributions():
    rows = NeighbourTable([0, 1, 2, 2], [2, 2], [0.5, 0.25], decay=0.5)
    read = encode_histories(Vocabulary(("a", "b", "c")), [["a", "b"]])
    shares = token_bonuses(read, TasteConfig(mixture=2.0), rows, 2)
    assert shares == pytest.approx(math.log1p(1 / bonuses.FLOOR) * np.array([1.0, 1.0]))  # .5 · .5 = .25
    assert token_bonuses(read, TasteConfig(mixture=2.0), rows, 0).tolist() == [0, 0]


@pytest.mark.parametrize("index", ["exact", "annoy"])
def test_items_of_weight_0_get_no_repeat_bonus(index):
    recommender = model("output", 3.0, 0.0, True, index)
    plain = Recommender(vectors(), score="output", decay=0.6, index="exact")
    rules = {"k": N_ITEMS, "filter_seen": False}

    def gains(recommender, **more):
        before = dict(plain.recommend(["i01", "i02", "i03"], **rules | more))
        after = dict(recommender.recommend(["i01", "i02", "i03"], **rules | more))
        return {item for item in IDS if after[item] > before[item] + 1}

    assert gains(recommender) == {"i01", "i02", "i03"}
    assert gains(recommender, weights=[1, 0, 0.5]) == {"i01", "i03"}
    assert recommender.recommend(["i01"], k=5) == plain.recommend(["i01"], k=5)  # seen items are left out


def test_last_n_limits_the_repeat_bonus_and_decay_does_not():
    read = encode_histories(Vocabulary(("a", "b", "c")), [["a", "b", "c"], ["c"]])
    newest = history_bonuses(read, TasteConfig(repeat_bonus=1.0, last_n=2), None, repeats=True)
    assert (newest.rows.tolist(), newest.offsets.tolist()) == ([1, 2, 2], [0, 2, 3])
    long = encode_histories(Vocabulary(("a", "b")), [["a"] + ["b"] * 5000])
    every = history_bonuses(long, TasteConfig(repeat_bonus=1.0, decay=0.1), None, repeats=True)
    assert every.rows.tolist() == [0, 1]


def test_the_mixture_uses_weights_and_timestamps_of_the_history():
    rows, vocabulary = table(True), vectors().vocabulary
    taste = TasteConfig(mixture=1.0, half_life=1.0)

    def read(items, **more):
        return history_bonuses(encode_histories(vocabulary, [items], **more), taste, rows, repeats=False)

    alone = read(["i02"])
    for same in (
        read(["i05", "i02"], weights=[[0, 1]]),
        read(["i05", "i02"], timestamps=[np.array([0, 9000 * DAY])]),
    ):
        for name in ("rows", "values", "offsets"):
            assert np.array_equal(getattr(same, name), getattr(alone, name))
    mixed = read(["i05", "i02"])
    assert len(mixed.rows) > len(alone.rows)


def test_negative_weights_lower_a_sum_to_0_at_most():
    # Sums of the rows of a and b: c .5 - .5, d -.25, e .5 - .5 + .25, f .5 + .25.
    rows = NeighbourTable(
        [0, 4, 7, 8, 8, 8, 8], [5, 2, 4, 3, 5, 2, 4, 4], [0.5, 0.5, 0.5, -0.25, 0.25, -0.5, -0.5, 0.25],
        decay=1.0,
    )  # fmt: skip
    read = encode_histories(Vocabulary(tuple("abcdef")), [["a", "b", "c"]])
    found = history_bonuses(read, TasteConfig(mixture=1.0), rows, repeats=False)
    assert found.rows.tolist() == [4, 5]
    assert found.values == pytest.approx(np.log1p(np.array([0.25, 0.75]) / bonuses.FLOOR))
    shares = token_bonuses(read, TasteConfig(mixture=1.0), rows, 4)
    assert shares == pytest.approx(found.values[0] * np.array([2.0, -2.0, 1.0]))
    assert token_bonuses(read, TasteConfig(mixture=1.0), rows, 3).tolist() == [0, 0, 0]


def test_a_very_long_history_whose_end_has_no_neighbours():
    rows = NeighbourTable([0, 1, 1], [1], [0.5], decay=0.5)
    read = encode_histories(Vocabulary(("a", "b")), [["a"] + ["b"] * 1070, ["a"] + ["b"] * 3000])
    results = history_bonuses(read, TasteConfig(mixture=1.0), rows, repeats=False)
    assert results.rows.tolist() == [1]  # beyond the smallest number, nothing is left
    assert results.values.tolist() == pytest.approx([math.log1p(1 / bonuses.FLOOR)])


def test_without_bonuses_nothing_is_computed():
    read = encode_histories(vectors().vocabulary, [["i01"]])
    assert history_bonuses(read, TasteConfig(), table(True), repeats=True) is None
    assert history_bonuses(read, TasteConfig(repeat_bonus=1.0), None, repeats=False) is None


def test_an_empty_taste_is_answered_by_popularity_even_if_neighbours_are_known():
    opposite = ItemVectors(
        Vocabulary(("a", "b", "c")), np.array([[1, 0], [-1, 0], [0, 1]], np.float32), None, np.ones(3)
    )
    rows = NeighbourTable([0, 1, 1, 1], [2], [0.5], decay=1.0)
    recommender = Recommender(opposite, decay=1.0, mixture=1.0, neighbours=rows)
    assert [result.source for result in recommender.recommend(["a", "b"])] == ["popular"]
    assert recommender.explain(["a", "b"], "c") == []


def test_a_mixture_needs_a_table_of_the_same_items():
    with pytest.raises(
        ConfigError, match=r"mixture=0.5 requires a table of neighbours, and neighbours is None; pass"
    ):
        Recommender(vectors(), mixture=0.5)
    with pytest.raises(ConfigError, match="the table of neighbours has 2 rows; expected one for each of 30"):
        Recommender(vectors(), mixture=0.5, neighbours=NeighbourTable([0, 0, 0], [], [], decay=0.5))
    assert "repeat_bonus=2.0, mixture=0.5)" in repr(
        Recommender(vectors(), repeat_bonus=2, mixture=0.5, neighbours=table(True))
    )


@pytest.mark.parametrize("ordered", [True, False])
def test_fit_counts_the_table_on_what_it_trains_on(ordered):
    lists = Sentences.of([["a", "b", "c"], ["b", "c", "d"], ["a", "c"]] * 5, ordered=ordered)
    small = {"vector_size": 6, "context_decay": (0.5,), "epochs": 1}
    made = fit(lists, mixture=0.5, repeat_bonus=1, **small)
    assert made.neighbours.decay == (0.5 if ordered else 1.0)
    build_ = transitions if ordered else link_propagation
    codes = made.vocabulary.encode(lists.vocabulary.ids)[lists.tokens]
    same = build_(Sentences(made.vocabulary, codes, lists.offsets, ordered=ordered))
    assert same.items.tolist() == made.neighbours.items.tolist()
    assert fit(lists, **small).neighbours is None
    assert made.exact.neighbours is made.neighbours
    assert dataclasses.replace(made.parts, items=None).neighbours is made.neighbours
