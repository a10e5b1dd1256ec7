"""The popularity prior: counts, and equality with brute force for every index and filter."""

import dataclasses
import functools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from test_bonuses import IDS, N_ITEMS, choices, histories, table, vectors

from item2vec import ItemVectors, NextItem, Recommender, Sentences, Vocabulary, fit
from item2vec.config import TasteConfig
from item2vec.durations import DAY
from item2vec.errors import ConfigError
from item2vec.prior import prior_for, queries_of, searched_matrix, typical_queries
from item2vec.retraining.health import measure_health
from item2vec.taste import read_tastes

PRIOR = np.log1p(np.random.default_rng(5).integers(0, 50, N_ITEMS)).astype(np.float32)
SMALL = {"vector_size": 6, "context_decay": (0.5,), "epochs": 1, "workers": 1}


def timed(lists, days, **columns):
    return dataclasses.replace(Sentences.of(lists), timestamps=np.array(days) * DAY, **columns)


def counts(*arguments, **settings):
    return np.expm1(prior_for(*arguments, **settings).astype(np.float64))


def test_recent_tokens_count_more():
    lists = timed([["a", "a", "b"], ["b"]], [0, 10, 20, 10])
    abc = Vocabulary(("c", "b", "a"))
    assert counts(lists, abc) == pytest.approx([0, 2, 2])
    assert counts(lists, abc, half_life=10) == pytest.approx([0, 1.5, 0.75], rel=1e-6)
    assert counts(lists, abc, half_life=0.001) == pytest.approx([0, 1, 0])
    assert prior_for(lists, abc, half_life=10).dtype == np.float32


def test_age_is_relative_to_the_newest_token_even_of_an_unknown_item():
    lists = timed([["a", "unknown"]], [0, 10])
    assert counts(lists, Vocabulary(("a",)), half_life=10) == pytest.approx([0.5], rel=1e-6)


def test_weights_multiply_counts_and_no_timestamps_means_age_0():
    lists = Sentences.of([["a", "b"], ["b"]])
    weighted = dataclasses.replace(lists, weights=np.array([3, 0, 0.5], np.float32))
    ab = Vocabulary(("a", "b"))
    assert counts(lists, ab, half_life=1) == pytest.approx([1, 2])
    assert counts(weighted, ab) == pytest.approx([3, 0.5])
    dated = dataclasses.replace(weighted, timestamps=np.array([0, 10, 10]) * DAY)
    assert counts(dated, ab, half_life=10) == pytest.approx([1.5, 0.5])


def test_the_smallest_weight_of_the_prior_changes_no_score():
    lists = Sentences.of([["a", "b", "c"], ["b", "c", "d"]] * 10)
    weight = np.nextafter(0, 1).item()
    results = fit(lists, popularity=weight, **SMALL).recommend(["b"])
    assert results == fit(lists, **SMALL).recommend(["b"])
    assert {result.source for result in results} == {"model"}


def test_the_prior_of_no_sentences_is_zero():
    empty = dataclasses.replace(Sentences.of([]), timestamps=np.empty(0, np.int64))
    assert prior_for(empty, Vocabulary(("a",)), 1.0).tolist() == [0]


@functools.cache
def model(score, popularity, repeat_bonus, index):
    return Recommender(
        vectors(), score=score, decay=0.6, popularity=popularity, repeat_bonus=repeat_bonus, mixture=0.2,
        index=index, neighbours=table(True), prior=PRIOR,
    )  # fmt: skip


models = st.builds(
    model,
    st.sampled_from(["cosine", "output"]),
    st.sampled_from([0.3, 1.0, 20.0]),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from(["exact", "annoy"]),
)


def without_prior(recommender):
    return model(recommender.taste.score, 0.0, recommender.taste.repeat_bonus, "exact")


@examples(300)
@given(models, histories, st.integers(1, 40), choices, st.none() | choices, choices, st.booleans())
def test_recommendations_equal_brute_force(recommender, history, k, exclude, allow, deny, filter_seen):
    rules = {"exclude": exclude, "allow": allow, "deny": deny, "filter_seen": filter_seen}
    results = recommender.recommend(history, k=k, **rules)
    everything = without_prior(recommender).recommend(history, k=N_ITEMS, **rules)
    if not {*history} & {*IDS}:
        eligible = {item for item, _ in everything} & ({*IDS} if allow is None else {*allow}) - {
            *exclude,
            *deny,
        }
        by_prior = sorted(eligible, key=lambda item: (-PRIOR[IDS.index(item)], IDS.index(item)))
        assert [result.item for result in results] == by_prior[:k]
        assert {result.source for result in results} <= {"popular"}
        shares = np.expm1(PRIOR.astype(np.float64)) / np.expm1(PRIOR.astype(np.float64)).sum()
        assert [r.score for r in results] == pytest.approx([shares[IDS.index(r.item)] for r in results])
        return
    added = dict(zip(IDS, (recommender.taste.popularity * PRIOR).tolist(), strict=True))
    scores = {item: score + added[item] for item, score in everything}
    assert [result.score for result in results] == pytest.approx(
        sorted(scores.values(), reverse=True)[:k], abs=1e-3
    )
    assert [result.score for result in results] == pytest.approx(
        [scores[result.item] for result in results], abs=1e-3
    )
    assert len({result.item for result in results}) == len(results)
    assert {result.source for result in results} <= {"model"}


@examples(100)
@given(models, st.lists(histories, max_size=6), st.integers(1, 40), st.none() | choices, st.booleans())
def test_recommend_many_equals_recommend(recommender, lists, k, allow, filter_seen):
    rules = {"k": k, "allow": allow, "filter_seen": filter_seen}
    assert recommender.recommend_many(lists, **rules) == [
        recommender.recommend(history, **rules) for history in lists
    ]


@examples(100)
@given(models, histories.filter(lambda history: {*history} & {*IDS}), st.data())
def test_explain_lists_the_prior_as_a_separate_share(recommender, history, data):
    result = data.draw(st.sampled_from(recommender.recommend(history, k=20)))
    shares = recommender.explain(history, result.item)
    assert sum(share for _, share in shares) == pytest.approx(result.score, abs=1e-3)
    assert [share for _, share in shares] == sorted((share for _, share in shares), reverse=True)
    of_prior = [share for item, share in shares if item is None]
    assert of_prior == pytest.approx([recommender.taste.popularity * PRIOR[IDS.index(result.item)]])
    of_items = {item: share for item, share in shares if item is not None}
    assert of_items == pytest.approx(
        dict(map(tuple, without_prior(recommender).explain(history, result.item)))
    )


@pytest.mark.parametrize("index", ["exact", "annoy"])
@pytest.mark.parametrize("score", ["cosine", "output"])
def test_similar_items_do_not_depend_on_the_prior(score, index):
    recommender = model(score, 20.0, 0.0, index)
    for item in IDS[:24]:
        assert recommender.similar_items(item, k=5) == without_prior(recommender).similar_items(item, k=5)
    assert measure_health(recommender).self_retrieval == 1
    assert measure_health(recommender).index_recall == 1


def test_an_approximate_index_is_tuned_with_queries_that_contain_the_prior():
    taste = TasteConfig(score="output", popularity=3.0)
    alone = read_tastes(vectors(), taste, np.arange(N_ITEMS, dtype=np.int32), np.arange(N_ITEMS + 1))
    queries = {query.tobytes() for query in queries_of(alone.vectors, vectors(), taste)}
    assert {query.tobytes() for query in typical_queries(vectors(), taste)} <= queries


@pytest.mark.parametrize("score", ["cosine", "output"])
def test_the_prior_has_the_same_share_in_rows_and_queries(score):
    """Two parts of unit norm, compared by cosine."""
    parts = np.random.default_rng(3).normal(size=(N_ITEMS, 2, 4))
    rows = (parts / np.linalg.norm(parts, axis=2, keepdims=True)).reshape(N_ITEMS, 8).astype(np.float32)
    config = NextItem(vector_size=8, context_decay=(0.5, 0.9), temperature=0.1)
    two = ItemVectors(Vocabulary(tuple(IDS)), rows, rows, np.ones(N_ITEMS), config)
    taste = TasteConfig(score=score, decay=(0.5, 0.9), popularity=3.0)
    matrix = searched_matrix(two, taste, np.ones(N_ITEMS, np.float32))
    queries = typical_queries(two, taste)
    shares = [each[:, -1] / np.linalg.norm(each[:, :-1], axis=1) for each in (matrix, queries)]
    assert shares[0][0] == pytest.approx(shares[1][0])
    assert (matrix[:, -1] * queries[0, -1]).tolist() == pytest.approx([3.0] * N_ITEMS)


def test_a_prior_needs_a_finite_number_for_each_item():
    with pytest.raises(ConfigError, match=r"popularity=0.5 needs a prior, and prior is None; pass prior="):
        Recommender(vectors(), popularity=0.5)
    for wrong in (PRIOR[1:], PRIOR[:, None], np.where(PRIOR > 1, np.nan, PRIOR), PRIOR + np.inf):
        for popularity in (0.0, 0.5):
            with pytest.raises(
                ConfigError,
                match=r"(the prior has shape .*; expected .*, one|prior\[\d+\] is .*; expected a finite)",
            ):
                Recommender(vectors(), popularity=popularity, prior=wrong)
    assert "popularity=0.5)" in repr(Recommender(vectors(), popularity=0.5, prior=PRIOR))


def test_fit_counts_the_prior_on_the_training_sentences():
    lists = timed([["a", "b", "c"], ["b", "c"]] * 4, list(range(20)))
    made = fit(lists, popularity=0.5, popularity_half_life=2, **SMALL)
    assert made.prior.tolist() == prior_for(lists, made.vocabulary, 2).tolist()
    assert made.prior.tolist() != fit(lists, popularity=0.5, **SMALL).prior.tolist()
    undated = fit(dataclasses.replace(lists, timestamps=None), **SMALL)
    assert undated.prior is None
    assert made.exact.prior is made.prior
    assert not made.prior.flags.writeable


def test_recent_items_are_the_fallback_of_a_model_that_is_trained_on_timestamps():
    lists = timed([["a", "b"], ["a", "b"], ["a", "b"], ["c", "b"]], [0, 0, 0, 0, 0, 0, 20, 20])
    model = fit(lists, **SMALL)
    assert model.taste.popularity == 0
    assert model.prior.tolist() == prior_for(lists, model.vocabulary, 7.0).tolist()
    answer = model.recommend(["unheard-of"], k=3)
    assert [(one.item, one.source) for one in answer] == [(item, "popular") for item in "bca"]
    assert sum(one.score for one in answer) == pytest.approx(1)
    assert [one.item for one in model.recommend([], k=3, deny=["c"])] == ["b", "a"]
    slower = fit(lists, popularity_half_life=90.0, **SMALL)
    assert [one.item for one in slower.recommend([], k=3)] == ["b", "a", "c"]
    assert model.recommend(["a"], k=2) == fit(dataclasses.replace(lists, timestamps=None), **SMALL).recommend(
        ["a"], k=2
    )
    assert not model.prior.flags.writeable
