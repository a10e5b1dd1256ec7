"""Models and metrics of one's own in ``evaluate``: each form of result, and errors that name the query."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Recommendation, Sentences, Vocabulary
from item2vec.answers import Answers
from item2vec.errors import ConfigError, InputError, InputTypeError, InvalidIdError
from item2vec.evaluation import METRICS, Popularity, Random, Split, compare, evaluate
from item2vec.metrics import ndcg

SONGS = "abcdef"
TRAIN = Sentences.of([list(SONGS), ["a", "b"], ["a"]])
SPLIT = Split(
    TRAIN,
    TRAIN.take(np.array([1, 2])),
    Sentences.of([["d", "c"], ["e"]]),
    "by hand",
    users=np.array([0, 1]),
    user_ids=Vocabulary(("ann", "bob")),
)
RANKED = [["c", "a", "d"], ["e"]]


class Returns:
    """Model that returns a given result, of which only the first ``k`` ranks are used."""

    def __init__(self, returned):
        self.returned = returned

    def recommend_many(self, histories, *, k, filter_seen):
        assert isinstance(histories, Sentences)
        return self.returned


def codes(fill=-1):
    rows = np.full((2, 3), fill)
    for row, ids in zip(rows, RANKED, strict=True):
        row[: len(ids)] = TRAIN.vocabulary.encode(ids)
    return rows


def ids(dtype, end):
    return np.array([RANKED[0], ["e", end, end]], dtype)


SCORES = np.array([[3.0, 2.0, 1.0], [1.0, np.nan, np.nan]])
FORMS = {
    "lists of ids": RANKED,
    "tuples of ids": tuple(map(tuple, RANKED)),
    "a generator of lists": (ranking for ranking in RANKED),
    "pairs": [[("c", 3), ("a", 2.0), ("d", np.float32(1))], [("e", 1)]],
    "lists as pairs": [[["c", 3], ["a", 2], ["d", 1]], [["e", 1]]],
    "recommendations": [[Recommendation(item, -n) for n, item in enumerate(row)] for row in RANKED],
    "an array of codes": codes(),
    "arrays of codes, one per query": [codes()[0], codes()[1][:1]],
    "codes and scores": (codes().astype(np.int32), SCORES.astype(np.float32)),
    "an array of ids": ids(str, ""),
    "an array of objects": ids(object, None),
    "ids and scores": (ids(object, None), SCORES),
    "answers": Answers.of(
        [([2, 0, 1], [3, 2, 1], "model"), ([3], [1], "popular")], 3, Vocabulary(("a", "d", "c", "e"))
    ),
}


@pytest.mark.parametrize("returned", FORMS.values(), ids=FORMS)
def test_each_form_of_result_is_evaluated_equally(returned):
    evaluation = evaluate(Returns(returned), SPLIT, k=(1, 3), metrics=["hr", "recall", "mrr"])
    assert evaluation.metrics == {
        "hr@1": 1.0, "recall@1": 0.75, "mrr@1": 1.0, "hr@3": 1.0, "recall@3": 1.0, "mrr@3": 1.0,
    }  # fmt: skip
    assert evaluation.rankings.hits.tolist() == [[True, False, True], [True, False, False]]


def test_items_of_equal_score_are_tied_and_ids_are_not():
    one = SPLIT.take(np.array([0]))
    assert evaluate(Returns([[("a", 1), ("c", 1)]]), one, k=1, ties="for").metrics["hr@1"] == 1
    assert evaluate(Returns([["a", "c"]]), one, k=1, ties="for").metrics["hr@1"] == 0


def test_items_outside_of_the_training_part_are_misses():
    evaluation = evaluate(Returns([["new"], ["e"]]), SPLIT, k=1, metrics=["hr", "novelty"])
    assert evaluation.per_query["hr@1"].tolist() == [0, 1]
    assert evaluation.rankings.vocabulary.ids[-1] == "new"


HOSTILE = {
    "none": (None, InputTypeError, r"Returns\.recommend_many returned None; expected a list"),
    "text": ("ab", InputTypeError, "returned 'ab'"),
    "dict": ({"a": 1}, InputTypeError, "returned {'a': 1}"),
    "number": (np.float64(1), InputTypeError, "expected a list with a ranking per history"),
    "a row too few": ([["a"]], InputError, "returned 1 rankings for 2 histories"),
    "codes too few": (codes()[:1], InputError, "returned 1 rankings for 2 histories"),
    "ranking of text": ([["a"], "e"], InputTypeError, "query 1: found 'e', of type str; expected a list"),
    "ranking of none": ([None, ["e"]], InputTypeError, "query 0: found None"),
    "too long": ([["a"], list("abcde")], InputError, "query 1: found 5 items; expected at most k=4"),
    "twice": ([["a", "c", "a"], ["e"]], InputError, "query 0: found item 'a' twice"),
    "twice as codes": (np.array([[1, 0], [4, 4]]), InputError, "query 1: found item 'e' twice"),
    "nan": ([[("a", 1.0)], [("e", np.nan)]], InputError, "query 1: found the score nan for item 'e'"),
    "nan in array": ((codes(), SCORES * np.nan), InputError, "query 0: found the score nan for item 'c'"),
    "shapes": ((codes(), SCORES[:, :2]), InputError, r"items of shape \(2, 3\) and scores of shape \(2, 2\)"),
    "code too high": (np.array([[0], [6]]), InputError, "query 1: found code 6; expected a position"),
    "code too low": (np.array([[-2], [0]]), InputError, "query 0: found code -2"),
    "gap": (np.array([[0, -1, 1], [2, 3, 4]]), InputError, "query 0: found padding at rank 2, before"),
    "numbers": ([[1, 2], [3]], InputTypeError, r"query 0: found \[1, 2\]; expected ids, or pairs"),
    "float codes": (np.zeros((2, 1)), InputTypeError, "query 0: found .* expected a row of ids, or of codes"),
    "mixed": ([["a", ("c", 1)], ["e"]], InputTypeError, "query 0"),
    "score of text": ([[("a", "high")], ["e"]], InputTypeError, "query 0: found"),
    "empty id": ([["a"], [""]], InvalidIdError, "query 1: id at position 0 is empty"),
    "id of bytes": ([[(b"a", 1)], ["e"]], InputTypeError, "query 0"),
    "scores of text": ((codes(), codes().astype(str)), InputTypeError, "query 0: found scores"),
}


@pytest.mark.parametrize(("returned", "error", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_result_is_a_typed_error_that_names_the_query(returned, error, message):
    with pytest.raises(error, match=message):
        evaluate(Returns(returned), SPLIT, k=3)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.sampled_from([*SONGS, "", "new", b"a"]),
    lambda part: st.lists(part, max_size=4) | st.tuples(part, part) | st.dictionaries(st.text(), part),
    max_leaves=12,
)


@examples(150)
@given(st.lists(anything, min_size=2, max_size=2) | anything)
def test_any_result_is_evaluated_or_a_typed_error(returned):
    try:
        evaluation = evaluate(Returns(returned), SPLIT, k=3, metrics=["hr"], ties="as answered")
    except InputError:
        return
    assert evaluation.rankings.hits.shape == (2, 3)


def second(hits, n_targets, k):
    """1 for a target on rank 2."""
    assert hits.shape[1] <= k
    assert not hits.flags.writeable
    return hits[:, 1].astype(float) if k > 1 else np.zeros(len(hits))


def test_an_own_metric_has_values_intervals_and_comparisons():
    evaluation = evaluate(Returns(RANKED), SPLIT, k=(1, 3), metrics=["hr", second, ndcg])
    assert list(evaluation.metrics) == ["hr@1", "second@1", "ndcg@1", "hr@3", "second@3", "ndcg@3"]
    other = evaluate(Returns([["a", "d"], ["a", "e"]]), SPLIT, k=(1, 3), metrics=[second])
    assert other.per_query["second@3"].tolist() == [1, 1]
    assert other.intervals()["second@3"] == (1.0, 1.0)
    assert compare(other, evaluation, "second@3").difference == 1
    expected = evaluate(Returns(RANKED), SPLIT, k=3, metrics=["ndcg"])
    assert evaluation.metrics["ndcg@3"] == expected.metrics["ndcg@3"]


def returning(value):
    def own(hits, n_targets, k):
        return value

    return own


def coverage(hits, n_targets, k):
    return np.zeros(len(hits))


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([returning(np.array([0.5, np.nan]))], InputError, "metric 'own' returned nan for query 1"),
        ([returning(np.array([np.inf, 0.5]))], InputError, "metric 'own' returned inf for query 0"),
        ([returning(0.5)], InputError, r"metric 'own' returned an array of shape \(1,\); expected \(2,\)"),
        ([returning(None)], InputError, "metric 'own' returned an array of shape"),
        ([returning(["a", "b"])], InputTypeError, "metric 'own': found"),
        (
            [lambda hits, n_targets, k: hits[:, 0]],
            ConfigError,
            "has the name '<lambda>'; expected a function made by def",
        ),
        ([coverage], ConfigError, "two metrics have the name 'coverage'"),
        ([returning([0, 0]), returning([1, 1])], ConfigError, "two metrics have the name 'own'"),
        ([3], ConfigError, "unknown metric 3; expected one of hr"),
    ],
)
def test_errors_of_own_metrics(metrics, error, message):
    with pytest.raises(error, match=message):
        evaluate(Returns(RANKED), SPLIT, k=3, metrics=metrics)


def test_baselines_are_evaluated_as_before():
    for model in (Popularity(TRAIN), Random(TRAIN)):
        evaluation = evaluate(model, SPLIT, k=3)
        assert {name.partition("@")[0] for name in evaluation.metrics} == set(METRICS)
        assert evaluation.model == type(model).__name__
