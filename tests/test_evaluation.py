"""Evaluation tells the truth: about ties, filters, approximation and leaks."""

import random as randomness
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import item2vec
from item2vec import Recommendation, Sentences
from item2vec.errors import ConfigError, InputError, LeakWarning
from item2vec.evaluation import METRICS, Popularity, Split, baselines, evaluate, leave_last_out

CATALOGUE = "abcdefghijkl"


class Scored:
    """Ranks its whole catalogue by fixed scores for each history; equals stand as luck will have it."""

    def __init__(self, scores_of, seed=0):
        self.scores_of = scores_of
        self.random = randomness.Random(seed)
        self.asked = []

    def recommend_many(self, histories, *, k, filter_seen):
        self.asked.append((len(histories), k))
        answers = []
        for history in histories:
            scores = self.scores_of[tuple(history)]
            left = [item for item in scores if not (filter_seen and item in history)]
            self.random.shuffle(left)
            left.sort(key=lambda item: -scores[item])
            answers.append([Recommendation(item, scores[item]) for item in left[:k]])
        return answers


class Fixed:
    """Gives every history the same answer."""

    def __init__(self, *entries):
        self.answer = [Recommendation(item, score) for item, score in entries]

    def recommend_many(self, histories, *, k, filter_seen):
        return [self.answer[:k]] * len(histories)


def split_of(*questions, train=(("a", "b"), ("h",)), **options):
    histories, targets = zip(*questions, strict=True)
    return Split(Sentences.of(train), Sentences.of(histories), Sentences.of(targets), "by hand", **options)


ONE = split_of((["h"], ["t"]))


@st.composite
def worlds(draw):
    """Questions, and scores with many ties of all items for each history."""
    histories = draw(
        st.lists(st.lists(st.sampled_from(CATALOGUE), max_size=3), min_size=1, max_size=5, unique_by=tuple)
    )
    targets = [draw(st.lists(st.sampled_from(CATALOGUE + "yz"), min_size=1, max_size=4)) for _ in histories]
    scores = {tuple(one): {item: float(draw(st.integers(0, 3))) for item in CATALOGUE} for one in histories}
    return histories, targets, scores


@pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
@settings(deadline=None, max_examples=200)
@given(worlds(), st.sampled_from(["against", "for"]), st.booleans(), st.integers(1, 14), st.integers(0, 9))
def test_evaluating_is_ranking_everything(world, ties, filter_seen, k, seed):
    histories, targets, scores = world
    split = split_of(*zip(histories, targets, strict=True), train=[list(CATALOGUE[:6])])
    found = evaluate(Scored(scores, seed), split, k=k, filter_seen=filter_seen, ties=ties)
    for question, (history, wanted) in enumerate(zip(histories, targets, strict=True)):
        of = scores[tuple(history)]
        left = [item for item in of if not (filter_seen and item in history)]
        ranked = sorted(left, key=lambda item: (-of[item], (item in wanted) == (ties == "against")))
        hits = [item in wanted for item in ranked][:k]
        assert found.rankings.hits[question].tolist() == hits + [False] * (k - len(hits))
        assert found.rankings.n_targets[question] == len(set(wanted))
        named = [code for code in found.rankings.items[question].tolist() if code >= 0]
        assert [of[item] for item in found.rankings.vocabulary.decode(named)] == [of[i] for i in ranked[:k]]
        assert found.per_query[f"recall@{k}"][question] == pytest.approx(sum(hits) / len(set(wanted)))
    assert set(found.metrics) == {f"{name}@{k}" for name in METRICS}


@pytest.mark.parametrize(
    ("scores", "against", "for_"),
    [
        ([("t", 3.0), ("a", 2.0)], 1, 1),
        ([("a", 3.0), ("t", 2.0), ("b", 1.0)], 2, 2),
        ([("t", 2.0), ("a", 2.0), ("b", 1.0)], 2, 1),
        ([("a", 2.0), ("b", 2.0), ("t", 2.0), ("c", 2.0)], None, 1),
        ([("x", 3.0), ("a", 2.0), ("b", 2.0), ("c", 2.0), ("d", 2.0), ("t", 2.0)], None, 2),
        ([("a", 2.0), ("b", 1.0)], None, None),
        ([], None, None),
    ],
)
def test_ties_by_hand(scores, against, for_):
    for ties, rank in (("against", against), ("for", for_)):
        found = evaluate(Fixed(*scores), ONE, k=(1, 2, 3), ties=ties).metrics
        assert [found[f"mrr@{k}"] for k in (1, 2, 3)] == [
            1 / rank if rank and rank <= k else 0 for k in (1, 2, 3)
        ]


def test_ties_beyond_what_a_model_is_asked_for_flatter_no_model():
    level = Fixed(("t", 1.0), *((f"i{n}", 1.0) for n in range(2000)))
    found = evaluate(level, ONE, k=2, ties="against")
    assert found.metrics["hr@2"] == 0
    assert (found.rankings.items >= 0).all()
    everything = split_of((["h"], [f"i{n}" for n in range(2000)]))
    assert evaluate(level, everything, k=2, ties="against").metrics["hr@2"] == 0
    assert evaluate(level, everything, k=2, ties="for").metrics["precision@2"] == 1


def test_only_questions_with_open_ties_are_asked_again():
    scores = {("a",): dict.fromkeys(CATALOGUE, 1.0), ("b",): {i: float(n) for n, i in enumerate(CATALOGUE)}}
    model = Scored(scores)
    evaluate(model, split_of((["a"], ["b"]), (["b"], ["c"])), k=2)
    assert model.asked == [(2, 3), (1, 6), (1, 12)]


def test_ties_count_for_whoever_says_so():
    class Baseline(Fixed):
        ties = "for"

    entries = [("a", 1.0), ("t", 1.0)]
    assert evaluate(Fixed(*entries), ONE, k=1).metrics["hr@1"] == 0
    assert evaluate(Baseline(*entries), ONE, k=1).metrics["hr@1"] == 1
    assert evaluate(Baseline(*entries), ONE, k=1, ties="against").metrics["hr@1"] == 0
    assert evaluate(Baseline(*entries), ONE, k=1, ties="as answered").metrics["hr@1"] == 0
    assert evaluate(Fixed(*entries[::-1]), ONE, k=1, ties="as answered").metrics["hr@1"] == 1


def test_an_item_named_twice_is_one_hit():
    found = evaluate(Fixed(("t", 3.0), ("t", 2.0), ("a", 1.0)), ONE, k=3)
    assert found.rankings.hits.tolist() == [[True, False, False]]
    assert found.metrics["recall@3"] == found.metrics["map@3"] == 1


def test_a_target_named_twice_is_one_target():
    found = evaluate(Fixed(("t", 3.0)), split_of((["h"], ["t", "u", "t"])), k=1)
    assert found.rankings.n_targets.tolist() == [2]
    assert found.metrics["recall@1"] == 0.5


def test_a_target_nobody_has_heard_of_is_a_miss():
    found = evaluate(Fixed(("a", 1.0), ("z", 0.5)), split_of((["h"], ["unheard-of"])), k=2)
    assert found.metrics["hr@2"] == 0
    assert found.rankings.vocabulary.decode(found.rankings.items[0]) == ["a", "z"]
    assert found.rankings.vocabulary.ids[:3] == ("a", "b", "h")


def test_seen_items_are_left_out_as_the_split_says():
    scores = {("a",): {"a": 2.0, "b": 1.0}}
    for told, asked, hit in ((True, None, 0), (False, None, 1), (True, False, 1), (False, True, 0)):
        split = split_of((["a"], ["a"]), filter_seen=told)
        assert evaluate(Scored(scores), split, k=1, filter_seen=asked).metrics["hr@1"] == hit


def test_askers_are_those_of_the_split():
    questions = [(["h"], ["t"])] * 3
    assert evaluate(Fixed(), split_of(*questions)).users.tolist() == [0, 1, 2]
    found = evaluate(Fixed(), split_of(*questions, users=np.array([7, 7, 9])), k=1)
    assert found.users.tolist() == [7, 7, 9]
    assert found.intervals()["hr@1"] == (0, pytest.approx(1 - 0.025**0.5))
    assert "coverage@1" not in found.intervals()


def test_deprecated_names_still_work_and_warn():
    found = evaluate(Fixed(), ONE)
    names = {
        (ONE, "askers"): ONE.users,
        (found, "askers"): found.users,
        (found, "per_question"): found.per_query,
        (found, "n_questions"): 1,
        (found, "answers"): found.rankings,
        (found, "questions"): found.queries,
        (item2vec.evaluation, "apart"): item2vec.evaluation.by_coldness,
        (item2vec.evaluation, "Answers"): item2vec.evaluation.Rankings,
    }
    for (owner, name), expected in names.items():
        with pytest.warns(DeprecationWarning, match=rf"\.{name} is deprecated; use ") as caught:
            assert getattr(owner, name) is expected
        assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(AttributeError, match=r"'item2vec\.evaluation' has no attribute 'answers'"):
        _ = item2vec.evaluation.answers


def test_many_questions_are_asked_in_blocks(monkeypatch):
    monkeypatch.setattr("item2vec.evaluation.rankings.QUERIES_PER_BLOCK", 2)
    scores = {(item,): {other: float(ord(other) % 3) for other in CATALOGUE} for item in "abcde"}
    questions = [([item], ["f", "b"]) for item in "abcde"]
    model = Scored(scores)
    found = evaluate(model, split_of(*questions), k=5)
    monkeypatch.undo()
    whole = evaluate(Scored(scores), split_of(*questions), k=5)
    assert [n for n, k in model.asked if k == 6] == [2, 2, 1]
    assert found.rankings.hits.tolist() == whole.rankings.hits.tolist()


def clusters(n=400, seed=1):
    """Walks within one of twenty groups of items."""
    random = np.random.default_rng(seed)
    return Sentences.of([[f"{g}-{i}" for i in random.integers(0, 30, 12)] for g in random.integers(0, 20, n)])


@pytest.fixture(scope="module")
def split():
    with warnings.catch_warnings(action="ignore", category=LeakWarning):
        return leave_last_out(clusters())


def test_approximation_shows_beside_exact_search(split):
    vectors = item2vec.train(split.train, vector_size=16, epochs=2, workers=1, seed=1)
    exact = item2vec.Recommender(vectors, index="exact")
    rough = item2vec.Recommender(vectors, index="annoy", recall=0.5)
    found = evaluate(rough, split)
    assert evaluate(exact, split).exact is None
    assert found.exact == evaluate(exact, split).metrics
    assert found.exact.keys() == found.metrics.keys()
    same = np.mean(found.rankings.items == evaluate(exact, split).rankings.items)
    assert (found.metrics == found.exact) == (same == 1)


def test_a_model_that_has_learned_from_the_answers_is_found_out(split):
    leaky = item2vec.Recommender(
        item2vec.train(clusters(), vector_size=8, epochs=1, workers=1, seed=1, min_count=1)
    )
    with pytest.warns(LeakWarning, match="learned from 400 tokens more than the training part") as warned:
        found = evaluate(leaky, split)
    assert warned[0].filename == __file__
    assert found.leaks[0] == split.leak
    assert "400 tokens more" in found.leaks[1]


def test_a_training_part_that_holds_the_answers_is_found_out(split):
    whole = Split(clusters(), split.histories, split.targets, "by hand")
    with pytest.warns(LeakWarning, match="stand in the training part with their target"):
        found = evaluate(Popularity(whole.train), whole)
    assert len(found.leaks) == 1


def test_a_clean_model_raises_no_alarm(split):
    vectors = item2vec.train(split.train, vector_size=8, epochs=1, workers=1, seed=1)
    with warnings.catch_warnings(action="error"):
        found = evaluate(item2vec.Recommender(vectors), split)
        for model in baselines(split).values():
            assert evaluate(model, split).leaks == (split.leak,)
    assert found.leaks == (split.leak,)


def test_vectors_of_another_kind_are_no_concern():
    class Foreign(Fixed):
        vectors = np.eye(2)

    assert evaluate(Foreign(), ONE).leaks == ()


def test_what_can_not_be_evaluated():
    empty = ONE.take(np.zeros(1, dtype=bool))
    for broken, error, message in (
        (lambda: evaluate(Fixed(), empty), InputError, r"Split\(by hand: 0 .* leaves no question to ask"),
        (lambda: evaluate(Fixed(), split_of((["h"], ["t"]), (["h"], []))), InputError, "question 1 has no"),
        (lambda: evaluate(Fixed(), ONE, k=0), InputError, "k is 0"),
        (lambda: evaluate(Fixed(), ONE, k=()), InputError, "k names no cut-off"),
        (
            lambda: evaluate(Fixed(), ONE, metrics=["ndgc"]),
            ConfigError,
            "unknown metric 'ndgc'; known are hr",
        ),
        (lambda: evaluate(Fixed(), ONE, ties="both"), ConfigError, "ties is 'both'; expected one of against"),
    ):
        with pytest.raises(error, match=message):
            broken()

    class Silent:
        def recommend_many(self, histories, *, k, filter_seen):
            return []

    with pytest.raises(InputError, match="Silent gave 0 answers to 1 histories"):
        evaluate(Silent(), ONE)


def test_a_split_whose_parts_do_not_fit_is_an_error():
    one, two = Sentences.of([["a"]]), Sentences.of([["a"], ["b"]])
    with pytest.raises(InputError, match="1 histories and 2 targets"):
        Split(two, one, two, "by hand")
    with pytest.raises(InputError, match="1 users of 2 questions"):
        Split(two, two, two, "by hand", users=np.array([1]))
    with pytest.raises(InputError, match="1 sentences of seen items for 2 questions"):
        Split(two, two, two, "by hand", seen=one)


def test_a_split_names_its_dates_and_what_it_dropped():
    spans = {"train": ("2020-01-01", "2020-02-01")}
    told = repr(split_of((["h"], ["t"]), spans=spans, dropped={"sentences too short to ask": 1200}))
    assert "train 2020-01-01 to 2020-02-01" in told
    assert "dropped 1,200 sentences too short to ask" in told
