"""Phrases: frequent pairs of consecutive items as one token."""

import json
import math

import numpy as np
import pytest
from gensim.models import phrases as gensim_phrases
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Recommendation, Sentences, adapters, errors, fit
from item2vec.evaluation import evaluate, leave_last_out
from item2vec.phrases import PhraseRecommender, Phrases

LISTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), min_size=1, max_size=12)


def test_scores_of_a_worked_example():
    # 3 a, 3 b, 1 c; pairs: 2 (a, b), 1 (b, c), 1 (b, a): 3 items + 3 pairs = 6 distinct.
    sentences = Sentences.of([["a", "b", "c"], ["a", "b", "a"], ["b"]])
    counted = Phrases.learn(sentences, min_count=1, threshold=0.1)
    assert counted.passes == ({("a", "b"): pytest.approx((2 - 1) / (3 * 3) * 6)},)
    mutual = Phrases.learn(sentences, min_count=2, threshold=-1, scoring="npmi")
    expected = math.log((2 / 7) / (3 / 7 * 3 / 7)) / -math.log(2 / 7)
    assert mutual.passes == ({("a", "b"): pytest.approx(expected)},)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([["a", "b", "b", "a"]], [["a+b", "b", "a"]]),
        ([["a", "a", "a"]], [["a+a", "a"]]),
        ([["a", "a", "a", "a"]], [["a+a", "a+a"]]),
        ([["a"], ["b"]], [["a"], ["b"]]),
        ([[], ["c", "a", "b"], []], [[], ["c", "a+b"], []]),
        ([["a", "a", "b"]], [["a+a", "b"]]),
    ],
)
def test_pairs_are_joined_from_left_to_right_within_a_sentence(lists, expected):
    phrases = Phrases(({("a", "b"): 1.0, ("a", "a"): 1.0},), "+")
    assert list(phrases.join(Sentences.of(lists))) == expected
    assert [phrases.join_history(tokens) for tokens in lists] == expected
    assert [phrases.expand(tokens) for tokens in expected] == lists


@given(LISTS, st.sampled_from(["default", "npmi"]), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
def test_pairs_and_joined_sentences_are_those_of_gensim(lists, scoring, min_count, passes):
    threshold = {"default": 0.7, "npmi": 0.2}[scoring]
    ours = Phrases.learn(
        Sentences.of(lists),
        min_count=min_count,
        threshold=threshold,
        scoring={"default": "count"}.get(scoring, scoring),
        passes=passes,
        delimiter="+",
    )
    expected = lists
    for _ in range(passes):
        theirs = gensim_phrases.Phrases(
            expected, min_count=min_count, threshold=threshold, scoring=scoring, delimiter="+"
        )
        expected = [theirs[tokens] if tokens else [] for tokens in expected]
    joined = ours.join(Sentences.of(lists))
    assert list(joined) == expected
    assert [ours.join_history(tokens) for tokens in lists] == expected
    assert [ours.expand(tokens) for tokens in joined] == lists


def test_a_joined_token_has_the_largest_weight_and_the_last_timestamp():
    plain = Sentences.of([["a", "b", "c"], ["a", "b"]])
    sentences = Sentences(
        plain.vocabulary,
        plain.tokens,
        plain.offsets,
        weights=np.array([3, 2, 1, 1, -1]),
        timestamps=np.array([10, 20, 30, 40, 50]),
    )
    joined = Phrases(({("a", "b"): 1.0},)).join(sentences)
    assert list(joined) == [["a + b", "c"], ["a", "b"]]  # a dislike is not joined
    assert joined.weights.tolist() == [3, 1, 1, -1]
    assert joined.timestamps.tolist() == [20, 30, 40, 50]


def test_saved_phrases_are_equal(tmp_path):
    phrases = Phrases(({("a", "b"): 1.5}, {("a·b", "ü"): 0.1 + 0.2}), "·")
    phrases.save(tmp_path / "phrases.json")
    phrases.save(tmp_path / "phrases.json")
    loaded = Phrases.load(tmp_path / "phrases.json")
    assert (loaded.passes, loaded.delimiter) == (phrases.passes, phrases.delimiter)
    assert loaded.parts == {"a·b": ("a", "b"), "a·b·ü": ("a", "b", "ü")}


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"format": 2, "kind": "phrases", "delimiter": "+", "passes": []}']
    + [
        json.dumps({"format": 1, "kind": "phrases", "delimiter": "+", "passes": passes})
        for passes in (1, [[["a"]]], [3], [[["a", "b", 10**400]]])
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "phrases.json").write_text(content)
    with pytest.raises(errors.CorruptBundleError):
        Phrases.load(tmp_path / "phrases.json")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: Phrases.learn(Sentences.of([["a"]], ordered=False)), "unordered"),
        (lambda s: Phrases.learn(s, passes=0), "passes is 0"),
        (lambda s: Phrases.learn(s, scoring="pmi"), "expected 'count' or 'npmi'"),
        (lambda s: Phrases(({("a", "b"): 1.0},), "+").join(Sentences.of([["a+b"], ["a", "b"]])), "delimiter"),
        (lambda s: Phrases(({("a+b", "c"): 1.0, ("a", "b+c"): 1.0},), "+").parts, "delimiter"),
        (lambda s: Phrases(({("a" * 300, "b" * 300): 1.0},)), "603 bytes"),
    ],
)
def test_errors_name_the_cause(call, message):
    with pytest.raises(errors.InputError, match=message.replace("+", r"\+")):
        call(Sentences.of([["a", "b"]] * 9))


class Fixed:
    """A model with one order of tokens for every history."""

    def __init__(self, *tokens):
        self.tokens = tokens

    def recommend_many(self, histories, *, k, filter_seen):
        return [[Recommendation(t, 1.0 - n / 10) for n, t in enumerate(self.tokens[:k])] for _ in histories]


def test_answers_are_items_and_leave_out_the_history():
    phrases = Phrases(({("a", "b"): 1.0},), "+")
    model = PhraseRecommender(Fixed("a", "a+b", "c", "d"), phrases)
    answer = model.recommend(["c"], k=3)
    assert [tuple(item) for item in answer] == [("a", 1.0), ("b", 0.9), ("d", pytest.approx(0.7))]
    assert [item.item for item in model.recommend(["a", "b"], k=9)] == ["c", "d"]
    assert [item.item for item in model.recommend(["c"], k=9, filter_seen=False)] == ["a", "b", "c", "d"]


def test_a_model_of_phrases_can_be_evaluated():
    split = leave_last_out(adapters.playlists("sample_data/playlists.jsonl")[:400])
    phrases = Phrases.learn(split.train, min_count=2, threshold=5)
    assert len(phrases)
    model = PhraseRecommender(fit(phrases.join(split.train), epochs=1, vector_size=12, seed=1), phrases)
    answers = model.recommend_many([["blue-harbour"], []], k=7)
    assert [len(answer) for answer in answers] == [7, 7]
    assert evaluate(model, split, k=5).metrics["hr@5"] > 0
