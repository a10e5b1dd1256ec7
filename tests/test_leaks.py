"""Leaks planted in a training part or a model are detected. Without a leak, nothing is reported."""

import numpy as np
import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from item2vec import Sentences, Vocabulary, train
from item2vec.evaluation.leaks import find_leaks, trained_beyond
from item2vec.evaluation.sentence_splits import k_fold, leave_last_out, prefix_split
from item2vec.evaluation.split import Split
from item2vec.vectors import ItemVectors

pytestmark = pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")


def sessions(n_items, *, n=400, length=12, seed=1):
    random = np.random.default_rng(seed)
    return Sentences.of([str(item) for item in row] for row in random.integers(n_items, size=(n, length)))


def planted(split, whole):
    return Split(whole, split.histories, split.targets, "by hand")


@pytest.mark.parametrize("n_items", [3, 10, 500])
@pytest.mark.parametrize("make", [leave_last_out, prefix_split, lambda s: k_fold(s)[0]])
def test_a_clean_split_has_no_leak(make, n_items):
    """With 3 items, every 5-gram occurs many times without a leak."""
    assert find_leaks(make(sessions(n_items))) == []


@pytest.mark.parametrize("n_items", [10, 500])
@pytest.mark.parametrize("make", [leave_last_out, prefix_split, lambda s: k_fold(s)[0]])
def test_a_planted_leak_is_detected(make, n_items):
    whole = sessions(n_items)
    split = make(whole)
    n = int((split.histories.lengths >= 4).sum())
    for leaking in (whole, split.train + whole, whole + whole):
        (message,) = find_leaks(planted(split, leaking))
        assert message.startswith(
            f"100 % of {n:,} queries with 4 or more history items occur in the training"
        )
        assert "temporal_split(interactions)" in message


@pytest.mark.parametrize(("share", "detected"), [(0.05, False), (0.3, True), (0.9, True)])
def test_a_partial_leak_is_detected_if_it_exceeds_natural_repetition(share, detected):
    whole = sessions(500)
    split = leave_last_out(whole)
    leaks = find_leaks(planted(split, split.train + whole[: int(share * len(whole))]))
    assert [message[:4] for message in leaks] == ([f"{100 * share:.0f} %"] if detected else [])


corpora = st.lists(st.lists(st.sampled_from("abc"), max_size=8), min_size=1, max_size=8)


@examples(150)
@given(corpora, corpora, st.data())
def test_the_reported_share_agrees_with_a_loop(corpus, histories, data):
    """The vocabularies of training part, histories and targets differ."""
    targets = [data.draw(st.lists(st.sampled_from("abcd"), max_size=2)) for _ in histories]
    queries = [
        (*h[-4:], t[0]) for h, t in zip(histories, targets, strict=True) if len(h) >= 4 and len(t) >= 1
    ]
    ngrams = [tuple(s[i : i + 5]) for s in corpus for i in range(len(s) - 4)]
    n_leaked = sum(query in ngrams for query in queries)
    leaks = find_leaks(Split(Sentences.of(corpus), Sentences.of(histories), Sentences.of(targets), "by hand"))
    if queries and n_leaked == len(queries) and len(set(ngrams)) == len(ngrams):
        assert leaks
    if leaks:
        assert leaks[0].startswith(f"{100 * n_leaked / len(queries):.0f} % of {len(queries)} queries")


def test_an_ngram_across_two_sentences_is_no_leak():
    history, target = Sentences.of([list("abcd")]), Sentences.of([["e"]])
    assert find_leaks(Split(Sentences.of([list("abcd"), ["e"]]), history, target, "by hand")) == []
    assert find_leaks(Split(Sentences.of([list("xabcde")]), history, target, "by hand"))


@pytest.mark.parametrize("length", [0, 3])
def test_short_histories_cannot_be_checked(length):
    short = leave_last_out(sessions(50, length=length + 1))
    assert find_leaks(planted(short, sessions(50, length=length + 1))) == []


# --- models

weights = st.floats(0, 100, width=32) | st.just(np.float32(0.1))


@examples(150)
@given(corpora, st.data())
def test_a_model_of_the_training_part_has_no_leak_and_one_token_more_is_detected(corpus, data):
    sentences = Sentences.of(corpus)
    n = len(sentences.tokens)
    assume(n)
    if data.draw(st.booleans()):
        drawn = np.array(data.draw(st.lists(weights, min_size=n, max_size=n)), dtype=np.float32)
        sentences = Sentences(sentences.vocabulary, sentences.tokens, sentences.offsets, drawn)
    counts = dict.fromkeys([*sentences.vocabulary.ids, "z"], 0.0)
    each = np.ones(n) if sentences.weights is None else sentences.weights
    for item, weight in reversed(
        [*zip([item for sentence in corpus for item in sentence], each, strict=True)]
    ):
        counts[item] += float(weight)

    def model():
        ids = tuple(data.draw(st.permutations([item for item, count in counts.items() if count])))
        if ids:
            return ItemVectors(
                Vocabulary(ids), np.ones((len(ids), 2)), None, np.array([counts[i] for i in ids])
            )
        return None

    assume(model())
    assert trained_beyond(model(), sentences) is None
    item = data.draw(st.sampled_from([*counts]))
    before = counts[item]
    counts[item] += 1
    message = trained_beyond(model(), sentences)
    assert message.startswith("the model was trained on ")
    assert f"item {item!r}: {counts[item]:,.10g} occurrences in the model, " in message
    if sentences.weights is None:
        assert (
            f"1 tokens more than the training part contains (item {item!r}: {before + 1:g} occurrences"
            in message
        )


def test_rounding_is_no_leak():
    one = Sentences.of([["a"] * 1000])
    weights = np.random.default_rng(1).random(1000).astype(np.float32)
    sentences = Sentences(one.vocabulary, one.tokens, one.offsets, weights)
    for count in (weights[::-1].sum(), weights.astype(np.float64)[::-1].sum(), weights.sum() * (1 + 1e-7)):
        model = ItemVectors(one.vocabulary, np.ones((1, 2)), None, np.array([count]))
        assert trained_beyond(model, sentences) is None


def test_fewer_items_and_tokens_are_no_leak():
    sentences = Sentences.of([["a", "b"], ["b", "c"]])
    few = ItemVectors(Vocabulary(("b",)), np.ones((1, 2)), None, np.array([1]))
    assert trained_beyond(few, sentences) is None


def test_a_model_trained_on_the_whole_data_is_detected():
    whole = sessions(20, n=40)
    split = leave_last_out(whole)
    settings = {"epochs": 1, "vector_size": 4, "seed": 1}
    assert trained_beyond(train(split.train, **settings), split.train) is None
    message = trained_beyond(train(whole, **settings), split.train)
    assert message.startswith("the model was trained on 40 tokens more than the training part contains")
