"""Segments divide the queries: every query is in exactly one segment of each kind."""

import dataclasses

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Sentences
from item2vec.errors import InputError
from item2vec.evaluation import Popularity, Random, Split, by_coldness, evaluate, segments

pytestmark = pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")

trained = st.lists(st.sampled_from("abcdef"), max_size=6)
targets = st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=3)
queries = st.lists(
    st.tuples(st.lists(st.sampled_from("abcxyz"), max_size=60), targets), min_size=1, max_size=12
)


def split_of(train, queries):
    """Return a split of (history, targets) pairs."""
    histories, targets = zip(*queries, strict=True)
    return Split(Sentences.of(train), Sentences.of(histories), Sentences.of(targets), "by hand")


def segments_of_popularity(train, queries, k=2):
    split = split_of(train, queries)
    parts = segments(evaluate(Popularity(split.train), split, k=k), split)
    return {(part.by, part.name): part for part in parts}


def test_history_lengths():
    lengths = [0, 1, 2, 4, 5, 9, 10, 19, 20, 49, 50, 60]
    parts = segments_of_popularity([["a", "b"]], [(["b"] * n, ["a"]) for n in lengths])
    counts = {name: part.n_queries for (by, name), part in parts.items() if by == "history length"}
    assert counts == {
        "0": 1, "1": 1, "2 to 4": 2, "5 to 9": 2, "10 to 19": 2, "20 to 49": 2, "50 or more": 2,
    }  # fmt: skip


def test_head_torso_and_tail_have_a_third_of_the_tokens_each():
    train = [["h"] * 4, ["t", "u"] * 2, ["p", "q", "r", "s"]]
    parts = segments_of_popularity(
        train, [([], ["h", "p"]), ([], ["t"]), ([], ["u"]), ([], ["q"]), ([], ["new"])]
    )
    counts = {name: part.n_queries for (by, name), part in parts.items() if by == "popularity"}
    assert counts == {"head": 1, "torso": 2, "tail": 2}
    assert parts["popularity", "head"].metrics["hr@2"] == 1  # Popularity recommends h and t
    assert parts["popularity", "torso"].metrics["hr@2"] == 1  # … or u, which has the same count
    assert parts["popularity", "tail"].metrics["hr@2"] == 0


def test_cold_and_warm():
    queries = [(["a"], ["b"]), (["a"], ["new", "b"]), (["a"], ["new"]), (["other"], ["b"]), ([], ["new"])]
    parts = segments_of_popularity([["a", "b"]], queries, k=1)
    own = {
        name: (part.n_queries, part.metrics["hr@1"]) for (by, name), part in parts.items() if by == "known"
    }
    assert own == {"warm": (2, 1.0), "cold users": (2, 0.5), "cold items": (1, 0.0)}
    histories, targets = (Sentences.of(part) for part in zip(*queries, strict=True))
    assert own.keys() == by_coldness(Split(Sentences.of([["a", "b"]]), histories, targets, "by hand")).keys()


@pytest.mark.parametrize("shards", [None, 2])
def test_an_item_that_is_only_disliked_in_training_is_cold(tmp_path, shards):
    """Training drops dislikes, so that the item has no vector and no count."""
    train = Sentences.of([["a", "b"], ["b", "a"], ["a", "c"]])
    weights = np.where(train.tokens == train.vocabulary.code("b"), -1, 1).astype(np.float32)
    train = dataclasses.replace(train, weights=weights)
    if shards:
        train.save(tmp_path / "corpus", shards=shards)
        train = Sentences.open(tmp_path / "corpus")
    histories, answers = Sentences.of([["c"], ["b"], ["c"]]), Sentences.of([["a"], ["c"], ["b"]])
    split = Split(train, histories, answers, "by hand")
    assert split.cold_items().tolist() == [False, False, True]
    assert split.cold_users().tolist() == [False, True, False]
    assert "trained on 4 tokens of 2 items" in repr(split)
    evaluation = evaluate(Popularity(train), split, k=2, metrics=["hr", "coverage"])
    assert evaluation.metrics["coverage@2"] == 1
    thirds = {part.name: part.n_queries for part in segments(evaluation, split) if part.by == "popularity"}
    assert thirds == {"head": 1, "tail": 2}


@examples(100)
@given(st.lists(trained, min_size=1, max_size=8), queries)
def test_every_query_is_in_one_segment(train, queries):
    split = split_of(train, queries)
    evaluation = evaluate(Random(split.train), split, k=(1, 3))
    parts = segments(evaluation, split)
    for by in ("history length", "popularity", "known"):
        own = [part for part in parts if part.by == by]
        assert sum(part.n_queries for part in own) == len(split)
        assert all(part.n_queries > 0 for part in own)
        for name, values in evaluation.per_query.items():
            mean = sum(part.n_queries * part.metrics[name] for part in own) / len(split)
            assert mean == pytest.approx(values.mean(), abs=1e-9)


def test_a_different_split_is_an_error():
    split = split_of([["a", "b"]], [(["a"], ["b"]), (["b"], ["a"])])
    evaluation = evaluate(Popularity(split.train), split)
    with pytest.raises(InputError, match="the evaluation has 2 queries and the split has 1"):
        segments(evaluation, split.take(np.array([0])))
