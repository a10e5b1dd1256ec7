"""Evaluation: ties, filters, approximation and leaks."""

import random as randomness
import warnings

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

import item2vec
import item2vec.versions
from item2vec import Recommendation, Sentences
from item2vec.errors import ConfigError, InputError, LeakWarning
from item2vec.evaluation import METRICS, Popularity, Split, baselines, evaluate, leave_last_out

CATALOGUE = "abcdefghijkl"


class Scored:
    """Model with fixed scores for each history. Items of equal score are in random order."""

    def __init__(self, scores_of, seed=0):
        self.scores_of = scores_of
        self.random = randomness.Random(seed)
        self.calls = []

    def recommend_many(self, histories, *, k, filter_seen):
        self.calls.append((len(histories), k))
        rankings = []
        for history in histories:
            scores = self.scores_of[tuple(history)]
            left = [item for item in scores if not (filter_seen and item in history)]
            self.random.shuffle(left)
            left.sort(key=lambda item: -scores[item])
            rankings.append([Recommendation(item, scores[item]) for item in left[:k]])
        return rankings


class Fixed:
    """Model that returns the same ranking for every history."""

    def __init__(self, *entries):
        self.ranking = [Recommendation(item, score) for item, score in entries]

    def recommend_many(self, histories, *, k, filter_seen):
        return [self.ranking[:k]] * len(histories)


def split_of(*queries, train=(("a", "b"), ("h",)), **options):
    """Return a split of (history, targets) pairs."""
    histories, targets = zip(*queries, strict=True)
    return Split(Sentences.of(train), Sentences.of(histories), Sentences.of(targets), "by hand", **options)


ONE = split_of((["h"], ["t"]))


@pytest.mark.parametrize(
    ("ranking", "against", "for_"),
    [  # the model's ranking, and the rank of target t if ties count against and for it
        ([("t", 3.0), ("a", 2.0)], 1, 1),
        ([("a", 3.0), ("t", 2.0), ("b", 1.0)], 2, 2),
        ([("t", 2.0), ("a", 2.0), ("b", 1.0)], 2, 1),
        ([("a", 2.0), ("b", 2.0), ("t", 2.0), ("c", 2.0)], None, 1),
        ([("x", 3.0), ("a", 2.0), ("b", 2.0), ("c", 2.0), ("d", 2.0), ("t", 2.0)], None, 2),
        ([("a", 2.0), ("b", 1.0)], None, None),
        ([], None, None),
    ],
)
def test_worked_examples_of_ties(ranking, against, for_):
    for ties, rank in (("against", against), ("for", for_)):
        metrics = evaluate(Fixed(*ranking), ONE, k=(1, 2, 3), ties=ties).metrics
        assert [metrics[f"mrr@{k}"] for k in (1, 2, 3)] == [
            1 / rank if rank and rank <= k else 0 for k in (1, 2, 3)
        ]


@st.composite
def worlds(draw):
    """Generate histories, targets, and for each history scores of all items, many of which are equal."""
    histories = draw(
        st.lists(st.lists(st.sampled_from(CATALOGUE), max_size=3), min_size=1, max_size=5, unique_by=tuple)
    )
    targets = [draw(st.lists(st.sampled_from(CATALOGUE + "yz"), min_size=1, max_size=4)) for _ in histories]
    scores = {
        tuple(history): {item: float(draw(st.integers(0, 3))) for item in CATALOGUE} for history in histories
    }
    return histories, targets, scores


@pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
@examples(200)
@given(worlds(), st.sampled_from(["against", "for"]), st.booleans(), st.integers(1, 14), st.integers(0, 9))
def test_evaluation_equals_a_full_sort(world, ties, filter_seen, k, seed):
    histories, targets, scores = world
    split = split_of(*zip(histories, targets, strict=True), train=[list(CATALOGUE[:6])])
    evaluation = evaluate(Scored(scores, seed), split, k=k, filter_seen=filter_seen, ties=ties)
    for query, (history, wanted) in enumerate(zip(histories, targets, strict=True)):
        score_of = scores[tuple(history)]
        left = [item for item in score_of if not (filter_seen and item in history)]
        ranked = sorted(left, key=lambda item: (-score_of[item], (item in wanted) == (ties == "against")))
        hits = [item in wanted for item in ranked][:k]
        assert evaluation.rankings.hits[query].tolist() == hits + [False] * (k - len(hits))
        assert evaluation.rankings.n_targets[query] == len(set(wanted))
        recommended = [code for code in evaluation.rankings.items[query].tolist() if code >= 0]
        assert [score_of[item] for item in evaluation.rankings.vocabulary.decode(recommended)] == [
            score_of[i] for i in ranked[:k]
        ]
        assert evaluation.per_query[f"recall@{k}"][query] == pytest.approx(sum(hits) / len(set(wanted)))
    assert set(evaluation.metrics) == {f"{name}@{k}" for name in METRICS}


def test_ties_beyond_the_longest_ranking_count_against_the_model():
    level = Fixed(("t", 1.0), *((f"i{n}", 1.0) for n in range(2000)))
    evaluation = evaluate(level, ONE, k=2, ties="against")
    assert evaluation.metrics["hr@2"] == 0
    assert (evaluation.rankings.items >= 0).all()
    everything = split_of((["h"], [f"i{n}" for n in range(2000)]))
    assert evaluate(level, everything, k=2, ties="against").metrics["hr@2"] == 0
    assert evaluate(level, everything, k=2, ties="for").metrics["precision@2"] == 1


def test_only_queries_with_open_ties_are_requested_again():
    scores = {("a",): dict.fromkeys(CATALOGUE, 1.0), ("b",): {i: float(n) for n, i in enumerate(CATALOGUE)}}
    model = Scored(scores)
    evaluate(model, split_of((["a"], ["b"]), (["b"], ["c"])), k=2)
    assert model.calls == [(2, 3), (1, 6), (1, 12)]


def test_the_attribute_ties_of_a_model_is_the_default():
    class Baseline(Fixed):
        ties = "for"

    entries = [("a", 1.0), ("t", 1.0)]
    assert evaluate(Fixed(*entries), ONE, k=1).metrics["hr@1"] == 0
    assert evaluate(Baseline(*entries), ONE, k=1).metrics["hr@1"] == 1
    assert evaluate(Baseline(*entries), ONE, k=1, ties="against").metrics["hr@1"] == 0
    assert evaluate(Baseline(*entries), ONE, k=1, ties="as answered").metrics["hr@1"] == 0
    assert evaluate(Fixed(*entries[::-1]), ONE, k=1, ties="as answered").metrics["hr@1"] == 1


def test_a_repeated_target_counts_once():
    evaluation = evaluate(Fixed(("t", 3.0)), split_of((["h"], ["t", "u", "t"])), k=1)
    assert evaluation.rankings.n_targets.tolist() == [2]
    assert evaluation.metrics["recall@1"] == 0.5


def test_an_unknown_target_is_a_miss():
    evaluation = evaluate(Fixed(("a", 1.0), ("z", 0.5)), split_of((["h"], ["unknown"])), k=2)
    assert evaluation.metrics["hr@2"] == 0
    assert evaluation.rankings.vocabulary.decode(evaluation.rankings.items[0]) == ["a", "z"]
    assert evaluation.rankings.vocabulary.ids[:3] == ("a", "b", "h")


def test_seen_items_are_excluded_as_the_split_says():
    scores = {("a",): {"a": 2.0, "b": 1.0}}
    for default, argument, hit in ((True, None, 0), (False, None, 1), (True, False, 1), (False, True, 0)):
        split = split_of((["a"], ["a"]), filter_seen=default)
        assert evaluate(Scored(scores), split, k=1, filter_seen=argument).metrics["hr@1"] == hit


def test_users_are_those_of_the_split():
    queries = [(["h"], ["t"])] * 3
    assert evaluate(Fixed(), split_of(*queries)).users.tolist() == [0, 1, 2]
    evaluation = evaluate(Fixed(), split_of(*queries, users=np.array([7, 7, 9])), k=1)
    assert evaluation.users.tolist() == [7, 7, 9]
    assert evaluation.intervals()["hr@1"] == (0, pytest.approx(1 - 0.025**0.5))
    assert "coverage@1" not in evaluation.intervals()


def test_deprecated_names_still_work_and_warn():
    evaluation = evaluate(Fixed(), ONE)
    names = {
        (ONE, "askers"): ONE.users,
        (evaluation, "askers"): evaluation.users,
        (evaluation, "per_question"): evaluation.per_query,
        (evaluation, "n_questions"): 1,
        (evaluation, "answers"): evaluation.rankings,
        (evaluation, "questions"): evaluation.queries,
        (item2vec.evaluation, "apart"): item2vec.evaluation.by_coldness,
        (item2vec.evaluation, "Answers"): item2vec.evaluation.Rankings,
        (item2vec.versions, "current"): item2vec.versions.served_version,
    }
    for (owner, name), expected in names.items():
        with pytest.warns(DeprecationWarning, match=rf"\.{name} is deprecated; use ") as caught:
            assert getattr(owner, name) is expected
        assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(AttributeError, match=r"'item2vec\.evaluation' has no attribute 'answers'"):
        _ = item2vec.evaluation.answers


def test_many_queries_are_requested_in_blocks(monkeypatch):
    monkeypatch.setattr("item2vec.evaluation.rankings.QUERIES_PER_BLOCK", 2)
    scores = {(item,): {other: float(ord(other) % 3) for other in CATALOGUE} for item in "abcde"}
    queries = [([item], ["f", "b"]) for item in "abcde"]
    model = Scored(scores)
    evaluation = evaluate(model, split_of(*queries), k=5)
    monkeypatch.undo()
    whole = evaluate(Scored(scores), split_of(*queries), k=5)
    assert [n for n, k in model.calls if k == 6] == [2, 2, 1]
    assert evaluation.rankings.hits.tolist() == whole.rankings.hits.tolist()


def clusters(n=400, seed=1):
    """Return random walks, each within one of twenty groups of items."""
    random = np.random.default_rng(seed)
    return Sentences.of([[f"{g}-{i}" for i in random.integers(0, 30, 12)] for g in random.integers(0, 20, n)])


@pytest.fixture(scope="module")
def split():
    with warnings.catch_warnings(action="ignore", category=LeakWarning):
        return leave_last_out(clusters())


def test_an_approximate_index_is_compared_with_exact_search(split):
    vectors = item2vec.train(split.train, vector_size=16, epochs=2, workers=1, seed=1)
    exact = item2vec.Recommender(vectors, index="exact")
    rough = item2vec.Recommender(vectors, index="annoy", recall=0.5)
    evaluation = evaluate(rough, split)
    assert evaluate(exact, split).exact is None
    assert evaluation.exact == evaluate(exact, split).metrics
    assert evaluation.exact.keys() == evaluation.metrics.keys()
    same = np.mean(evaluation.rankings.items == evaluate(exact, split).rankings.items)
    assert (evaluation.metrics == evaluation.exact) == (same == 1)


def test_a_model_trained_on_the_targets_is_detected(split):
    leaky = item2vec.Recommender(
        item2vec.train(clusters(), vector_size=8, epochs=1, workers=1, seed=1, min_count=1)
    )
    with pytest.warns(LeakWarning, match="trained on 400 tokens more than the training part") as warned:
        evaluation = evaluate(leaky, split)
    assert warned[0].filename == __file__
    assert evaluation.leaks[0] == split.leak
    assert "400 tokens more" in evaluation.leaks[1]


def test_a_training_part_with_the_targets_is_detected(split):
    whole = Split(clusters(), split.histories, split.targets, "by hand")
    with pytest.warns(LeakWarning, match="occur in the training part together with their target"):
        evaluation = evaluate(Popularity(whole.train), whole)
    assert len(evaluation.leaks) == 1


def test_a_clean_model_has_no_leak(split):
    vectors = item2vec.train(split.train, vector_size=8, epochs=1, workers=1, seed=1)
    with warnings.catch_warnings(action="error"):
        evaluation = evaluate(item2vec.Recommender(vectors), split)
        for model in baselines(split).values():
            assert evaluate(model, split).leaks == (split.leak,)
    assert evaluation.leaks == (split.leak,)


def test_vectors_of_another_type_are_not_checked():
    class Foreign(Fixed):
        vectors = np.eye(2)

    assert evaluate(Foreign(), ONE).leaks == ()


@pytest.mark.parametrize(
    ("split", "options", "error", "message"),
    [
        (ONE.take(np.zeros(1, dtype=bool)), {}, InputError, r"Split\(by hand: 0 .* has no query; expected"),
        (split_of((["h"], ["t"]), (["h"], [])), {}, InputError, "query 1 has no target"),
        (ONE, {"k": 0}, InputError, "k is 0"),
        (ONE, {"k": ()}, InputError, "k is empty; expected at least one cut-off"),
        (ONE, {"metrics": ["ndgc"]}, ConfigError, "unknown metric 'ndgc'; expected one of hr"),
        (ONE, {"ties": "both"}, ConfigError, "ties is 'both'; expected one of 'against'"),
    ],
)
def test_errors_of_evaluate(split, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(Fixed(), split, **options)


def test_a_model_without_rankings_is_an_error():
    class Silent:
        def recommend_many(self, histories, *, k, filter_seen):
            return []

    with pytest.raises(InputError, match=r"Silent\.recommend_many returned 0 rankings for 1 histories"):
        evaluate(Silent(), ONE)


def test_a_split_whose_parts_do_not_fit_is_an_error():
    one, two = Sentences.of([["a"]]), Sentences.of([["a"], ["b"]])
    with pytest.raises(InputError, match="1 histories and 2 sentences of targets"):
        Split(two, one, two, "by hand")
    with pytest.raises(InputError, match="found 1 users for 2 queries"):
        Split(two, two, two, "by hand", users=np.array([1]))
    with pytest.raises(InputError, match="1 sentences of seen items for 2 queries"):
        Split(two, two, two, "by hand", seen=one)


def test_the_repr_of_a_split_shows_spans_and_dropped_counts():
    spans = {"train": ("2020-01-01", "2020-02-01")}
    text = repr(split_of((["h"], ["t"]), spans=spans, dropped={"sentences too short for a query": 1200}))
    assert "train 2020-01-01 to 2020-02-01" in text
    assert "dropped 1,200 sentences too short for a query" in text
