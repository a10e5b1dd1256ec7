"""No item is lost without a message: cuts of long sentences, the first windows of a training, weights."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import train
from item2vec.errors import TrainingError
from item2vec.sentences import Sentences, offsets_of
from item2vec.training import numba_trainer
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, split_long
from item2vec.types import Vocabulary

ONE_EPOCH = {"vector_size": 4, "window": 2, "epochs": 1, "sample": 0, "workers": 1}
CUT = MAX_SENTENCE_TOKENS
AROUND_THE_CUT = st.one_of(
    st.sampled_from([2, 3, CUT - 1, CUT, CUT + 1, 2 * CUT, 2 * CUT + 1, 3 * CUT + 1]), st.integers(1, 3 * CUT)
)

every_backend = pytest.mark.parametrize("backend", ["gensim", "numba"])
every_objective = pytest.mark.parametrize("objective", ["skipgram", "cbow"])


def distinct(lengths):
    """Return sentences in which each item occurs once."""
    n = sum(lengths)
    return Sentences(
        Vocabulary(tuple(map(str, range(n)))), np.arange(n, dtype=np.int32), offsets_of(list(lengths))
    )


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- the cut ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(2, 15))
def test_pieces_are_few_balanced_and_never_of_one_token(lengths, longest):
    offsets = offsets_of(lengths)
    pieces = split_long(offsets, longest)
    assert set(offsets) <= set(pieces)
    for start, length in zip(offsets, lengths, strict=False):
        inside = pieces[(pieces >= start) & (pieces <= start + length)]
        sizes = np.diff(np.unique(inside))
        assert sizes.sum() == length
        assert len(sizes) == -(-length // longest)
        assert length <= longest or (sizes.min() >= 2 or longest == 2)
        assert sizes.max(initial=0) - sizes.min(initial=longest) <= 1
    assert len(pieces) - 1 == sum(max(1, -(-length // longest)) for length in lengths)


@pytest.mark.slow
@every_objective
@every_backend
@examples(6)
@given(st.lists(AROUND_THE_CUT, min_size=1, max_size=2), st.integers(0, 9))
def test_every_item_of_a_sentence_of_two_tokens_is_trained_in_one_epoch(backend, objective, lengths, seed):
    sentences = distinct([*lengths, CUT + 1])
    vectors = train(sentences, backend=backend, objective=objective, seed=seed, **ONE_EPOCH)
    long_enough = np.repeat(sentences.lengths >= 2, sentences.lengths)
    expected = sentences.vocabulary.decode(sentences.tokens[long_enough])
    assert set(vectors.vocabulary) == set(expected)
    assert vectors.output.any(axis=1).all()


@pytest.mark.parametrize("length", [20_001, 30_001])
@every_backend
def test_the_last_item_of_a_long_sentence_has_an_input_vector(backend, length):
    vectors = train(distinct([length]), backend=backend, objective="skipgram", **ONE_EPOCH)
    assert vectors.has_input[vectors.vocabulary.code(str(length - 1))]


# --- the first windows -----------------------------------------------------------------------------


@every_objective
@every_backend
def test_an_item_of_the_first_windows_is_kept_by_its_output_vector(backend, objective, caplog):
    """Gradients of input vectors are zero as long as output vectors are zero."""
    vectors = train(distinct([2_000]), backend=backend, objective=objective, **ONE_EPOCH)
    first = vectors.vocabulary.code("0")
    assert not vectors.has_input[first]
    assert vectors.output[first].any()
    assert vectors.has_input.mean() > 0.9
    assert vectors.similar_items("0", k=3) != []
    assert warnings_of(caplog) == []


def test_two_epochs_give_every_item_an_input_vector():
    for backend in ("gensim", "numba"):
        vectors = train(distinct([2_000]), backend=backend, objective="skipgram", **ONE_EPOCH | {"epochs": 2})
        assert vectors.has_input.all()


# --- messages --------------------------------------------------------------------------------------


@every_backend
def test_items_that_subsampling_skips_are_logged(caplog, backend):
    """With subsampling, an output vector may come from negative samples only, so no item is kept by it."""
    config = {"backend": backend, "objective": "skipgram", "sample": 1e-3}
    sentences = Sentences.of([[str(i % 50) for i in range(100)]])
    vectors = train(sentences, **ONE_EPOCH | config)
    lost = 50 - len(vectors)
    assert lost > 0
    (message,) = warnings_of(caplog)
    assert message.startswith(f"{lost} of 50 items left out after 1 epochs (subsampling skipped them")


@pytest.mark.parametrize("own", [{"objective": "skipgram"}, {"objective": "next_item", "window": 2}])
def test_items_that_weights_suppress_are_logged(caplog, own):
    sentences = Sentences.of([["a", "b", "x", "c"], ["b", "c"], ["c", "a"]] * 20)
    light = np.where(sentences.tokens == sentences.vocabulary.code("x"), 1e-6, 1.0)
    sentences = dataclasses.replace(sentences, weights=light)
    vectors = train(sentences, vector_size=6, epochs=2, workers=1, **own)
    assert "x" not in vectors
    assert warnings_of(caplog) == [
        "1 of 4 items left out after 2 epochs (because of their weights, no epoch read them next to another "
        "item); most frequent: 'x'; raise epochs to keep them"
    ]


def test_an_item_left_alone_by_weights_is_not_kept_as_a_negative(caplog):
    """A token whose neighbours were all skipped is not trained, but may be drawn as a negative."""
    sentences = Sentences.of([["x", "y"], *[["a", "b", "c"], ["b", "c", "a"]] * 20])
    light = np.where(sentences.tokens == sentences.vocabulary.code("y"), 1e-6, 1.0)
    sentences = dataclasses.replace(sentences, weights=light)
    vectors = train(sentences, objective="skipgram", vector_size=4, epochs=1, workers=1)
    assert set(vectors.vocabulary) == {"a", "b", "c"}
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("sample", [0, 1e-3])
def test_tokens_that_numba_skips_are_an_error(monkeypatch, sample):
    honest = numba_trainer.train_sentences

    def lossy(model, rules, tokens, offsets, first, last, *rest):
        return honest(model, rules, tokens, offsets, first + 2_000, last, *rest)

    monkeypatch.setattr(numba_trainer, "train_sentences", lossy)
    rng = np.random.default_rng(0)
    sentences = Sentences.of([[str(item) for item in rng.integers(0, 500, 4)] for _ in range(4_000)])
    with pytest.raises(TrainingError, match=r"numba trained .* the vectors are incomplete"):
        train(sentences, objective="skipgram", backend="numba", vector_size=4, epochs=1, sample=sample)
