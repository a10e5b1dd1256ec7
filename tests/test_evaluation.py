"""Splits leak nothing, and metrics are what their definitions say."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec import Recommendation, Sentences
from item2vec.errors import InputError
from item2vec.evaluation import Popularity, Split, evaluate, leave_last_out

lists = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=10)


@settings(max_examples=200, deadline=None)
@given(lists, st.integers(1, 3))
def test_leave_last_out_holds_back_the_end_and_nothing_else(sentences, n):
    split = leave_last_out(Sentences.of(sentences), n=n)
    assert list(split.train) == [s[:-n] if len(s) > n else s for s in sentences]
    assert list(split.histories) == [s[:-n] for s in sentences if len(s) > n]
    assert list(split.targets) == [s[-n:] for s in sentences if len(s) > n]


@settings(max_examples=200, deadline=None)
@given(lists, lists, st.integers(1, 9), st.booleans())
def test_popularity_is_a_count(sentences, histories, k, filter_seen):
    counts = {}
    for item in (item for sentence in sentences for item in sentence):
        counts[item] = counts.get(item, 0) + 1
    answers = Popularity(Sentences.of(sentences)).recommend_many(histories, k=k, filter_seen=filter_seen)
    for history, answer in zip(histories, answers, strict=True):
        left = {item: n for item, n in counts.items() if not (filter_seen and item in history)}
        assert [score for _, score in answer] == sorted(left.values(), reverse=True)[:k]
        assert all(left[item] == score for item, score in answer)


class Fixed:
    """Gives every history the same answer."""

    def __init__(self, scores):
        self.answer = [Recommendation(item, score) for item, score in scores]

    def recommend_many(self, histories, *, k, filter_seen):
        return [self.answer[:k]] * len(histories)


@pytest.mark.parametrize(
    ("scores", "rank"),
    [
        ([("t", 3.0), ("a", 2.0)], 1),
        ([("a", 3.0), ("t", 2.0), ("b", 1.0)], 2),
        ([("t", 2.0), ("a", 2.0), ("b", 1.0)], 2),  # a tie counts against the model
        ([("t", 2.0), ("a", 2.0), ("b", 2.0)], 3),
        ([("a", 2.0), ("b", 1.0)], math.inf),
        ([], math.inf),
    ],
)
def test_ranks_by_hand(scores, rank):
    split = Split(Sentences.of([["h"]]), Sentences.of([["h"]]), Sentences.of([["t"]]), "by hand")
    found = evaluate(Fixed(scores), split, k=(1, 2, 3))
    assert found.ranks.tolist() == [rank]
    for k in (1, 2, 3):
        hit = rank <= k
        assert found.metrics[f"hr@{k}"] == hit
        assert found.metrics[f"ndcg@{k}"] == pytest.approx(1 / math.log2(rank + 1) if hit else 0)
        assert found.metrics[f"mrr@{k}"] == pytest.approx(1 / rank if hit else 0)


def test_a_tie_that_reaches_beyond_k_is_a_miss():
    split = Split(Sentences.of([["h"]]), Sentences.of([["h"]]), Sentences.of([["t"]]), "by hand")
    assert evaluate(Fixed([("t", 2.0), ("a", 2.0)]), split, k=1).metrics["hr@1"] == 0


def test_a_split_without_questions_is_an_error():
    with pytest.raises(InputError, match="no question to ask"):
        evaluate(Fixed([]), leave_last_out(Sentences.of([["a"]])))
    with pytest.raises(InputError, match="more than one target"):
        evaluate(Fixed([]), leave_last_out(Sentences.of([["a", "b", "c"]]), n=2))
    with pytest.raises(InputError, match="n is 0"):
        leave_last_out(Sentences.of([["a"]]), n=0)
