"""Training with gensim: tokens read, errors, determinism, and what is learned."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import subprocess
import sys
import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from corpora import random_sentences, weighted
from examples import examples
from faults.child import HANGING
from gensim.models import Word2Vec
from hypothesis import given
from hypothesis import strategies as st
from strategies import ODD_IDS, corpora, fresh_folder

from item2vec import train
from item2vec.config import TasteConfig, TrainConfig
from item2vec.errors import ConfigError, InputError, InputTypeError, NothingToTrainError, TrainingError
from item2vec.sentences import Sentences, offsets_of
from item2vec.training import gensim_trainer
from item2vec.training.checks import check_tokens_read
from item2vec.training.corpus import Reading, prepare, split_long
from item2vec.vectors import ItemVectors

QUICK = {"objective": "skipgram", "vector_size": 4, "epochs": 3, "sample": 0, "workers": 1, "seed": 7}
OBJECTIVES = {
    "skipgram": {},
    "cbow": {"objective": "cbow"},
    "cbow, added": {"objective": "cbow", "cbow_mean": False},
    "hierarchical": {"hs": True, "negative": 0},
    "both losses": {"hs": True, "objective": "cbow"},
    "whole sentences": {"window": "full"},
    "even windows": {"shrink_windows": False},
}


def untrained(vectors):
    """Return the initial vectors of gensim."""
    config = vectors.config
    model = Word2Vec(vector_size=config.vector_size, min_count=1, seed=config.seed, sorted_vocab=0)
    model.build_vocab_from_freq({str(row): 1 for row in range(len(vectors))})
    return model.wv.vectors


def fingerprint(vectors):
    output = b"" if vectors.output is None else vectors.output.tobytes()
    return hashlib.sha256(
        vectors.input.tobytes() + output + repr(vectors.vocabulary.ids).encode()
    ).hexdigest()


@pytest.fixture
def trained_tokens(monkeypatch):
    """The tokens that gensim reports as trained and received, per epoch."""
    seen = []
    honest = Word2Vec.train

    def counted(self, *args, **kwargs):
        seen.append(honest(self, *args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(Word2Vec, "train", counted)
    return seen


# --- tokens read -----------------------------------------------------------------------------------


def slow_corpus(lists, min_count):
    """Return the number of trained tokens and of all tokens, per item."""
    occurs = Counter(id_ for sentence in lists for id_ in sentence)
    frequent = [[id_ for id_ in sentence if occurs[id_] >= min_count] for sentence in lists]
    return Counter(id_ for sentence in frequent if len(sentence) >= 2 for id_ in sentence), occurs


@examples(150)
@given(corpora(), st.integers(1, 4))
def test_rare_items_and_sentences_of_one_token_are_dropped(lists, min_count):
    trained, occurs = slow_corpus(lists, min_count)
    sentences, config = Sentences.of(lists), TrainConfig(min_count=min_count)
    if len(trained) < 2:
        with pytest.raises(NothingToTrainError):
            prepare(sentences, config)
        return
    corpus = prepare(sentences, config)
    assert dict(zip(corpus.vocabulary, corpus.frequency.tolist(), strict=True)) == trained
    assert corpus.frequency.tolist() == sorted(trained.values(), reverse=True)
    assert corpus.counts.tolist() == [occurs[id_] for id_ in corpus.vocabulary]
    read = [
        corpus.vocabulary.decode(corpus.shards[0].tokens[a:b]) for a, b in pairwise(corpus.shards[0].offsets)
    ]
    kept = [[id_ for id_ in sentence if occurs[id_] >= min_count] for sentence in lists]
    assert read == [sentence for sentence in kept if len(sentence) >= 2]


def test_every_token_of_a_long_history_is_trained(trained_tokens):
    """Without splitting, gensim would drop all but 10,000 tokens."""
    ids = [f"item-{number}" for number in range(25_000)]
    vectors = train(Sentences.of([ids, ids[:3]]), **QUICK | {"window": 2})
    assert trained_tokens == [(25_003, 25_003)] * 3
    assert set(vectors.vocabulary) == set(ids)
    assert (vectors.input != untrained(vectors)).any(axis=1).all()


@pytest.mark.parametrize("length", [9_999, 10_000, 10_001, 20_000, 20_001])
def test_sentences_are_split_where_gensim_would_truncate_them(trained_tokens, length):
    rng = np.random.default_rng(0)
    sentences = Sentences.of([[str(number) for number in rng.integers(0, 50, length)]] * 2 + [["1", "2"]])
    train(sentences, **QUICK | {"epochs": 2})
    assert trained_tokens == [(2 * length + 2, 2 * length + 2)] * 2


def test_unusual_ids_are_trained_saved_and_loaded_unchanged(tmp_path):
    lists = [[*ODD_IDS], [*ODD_IDS[::-1]], *pairwise(ODD_IDS)]
    Sentences.of(lists).save(tmp_path / "sentences")
    vectors = train(Sentences.open(tmp_path / "sentences"), **QUICK)
    assert sorted(vectors.vocabulary) == sorted(ODD_IDS)
    assert (vectors.input != untrained(vectors)).any(axis=1).all()
    for binary in (False, True):
        vectors.save_word2vec(tmp_path / "vectors", binary=binary)
        again = ItemVectors.load_word2vec(tmp_path / "vectors", binary=binary)
        assert again.vocabulary == vectors.vocabulary
        assert again.input.tobytes() == vectors.input.tobytes()


@examples(30)
@given(lists=corpora(min_sentences=1, min_length=2))
def test_any_valid_ids_are_trained_saved_and_loaded(tmp_path_factory, lists):
    folder = fresh_folder(tmp_path_factory)
    Sentences.of(lists).save(folder / "sentences")
    expected, _ = slow_corpus(lists, 1)
    if len(expected) < 2:
        return
    vectors = train(Sentences.open(folder / "sentences"), **QUICK | {"epochs": 30})
    assert set(vectors.vocabulary) == set(expected)
    vectors.save_word2vec(folder / "vectors")
    assert ItemVectors.load_word2vec(folder / "vectors").vocabulary == vectors.vocabulary


@examples(60)
@given(
    corpora(min_sentences=1, min_length=2),
    st.integers(1, 4),
    st.sampled_from([1e-6, 1e-3, 0.05, 0.5]),
    st.integers(0, 99),
)
def test_every_row_changes_and_errors_are_justified(lists, epochs, sample, seed):
    sentences = Sentences.of(lists)
    trained, _ = slow_corpus(lists, 1)
    if len(trained) < 2:
        return
    try:
        vectors = train(
            sentences, objective="skipgram", vector_size=3, epochs=epochs, sample=sample, seed=seed, workers=2
        )
    except TrainingError as error:
        assert "no vector changed" in str(error)  # noqa: PT017 - any other error is a bug
        return
    everything = prepare(sentences, vectors.config).vocabulary
    start = untrained(dataclasses.replace(vectors, vocabulary=everything, **all_rows(len(everything))))
    rows = everything.encode(vectors.vocabulary)
    assert (vectors.input != start[rows]).any(axis=1).all()
    assert rows.tolist() == sorted(rows.tolist())


def all_rows(n):
    return {"input": np.ones((n, 3)), "output": None, "counts": np.ones(n)}


def test_the_token_check_allows_for_subsampling():
    for seed in range(5):
        train(
            random_sentences(2_000, seed=seed),
            **QUICK | {"sample": 10.0 ** -(seed + 1), "seed": seed, "vector_size": 1},
        )


# --- nothing to train ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lists", [[], [[]], [["a"], ["b"], ["a"]], [["a", "a", "a"]], [["a", "a"], ["a"], ["b"]]]
)
def test_sentences_without_two_items_are_nothing_to_train(lists):
    with pytest.raises(NothingToTrainError, match="nothing to train on: Sentences"):
        train(Sentences.of(lists), **QUICK)


def test_the_error_for_a_high_min_count_names_the_highest_count():
    lists = [["a", "b"], ["c", "a"], ["a", "d"]]
    with pytest.raises(NothingToTrainError, match="occurs 3 times; expected at least min_count=4; lower"):
        train(Sentences.of(lists), min_count=4)
    with pytest.raises(NothingToTrainError, match="no sentence has two different items"):
        train(Sentences.of(lists), min_count=2)


def test_tokens_of_weight_0_are_dropped():
    sentences = Sentences.of([["a", "b", "x"], ["b", "c"], ["x", "a"]])
    vectors = train(weighted(sentences, [1, 1, 0, 1, 1, 0, 1]), **QUICK)
    assert set(vectors.vocabulary) == {"a", "b", "c"}
    with pytest.raises(NothingToTrainError, match="check the input"):
        train(weighted(sentences, [0] * 7), **QUICK)


def test_settings_are_checked_before_the_data():
    with pytest.raises(ConfigError, match="did you mean 'vector_size'"):
        train(None, vectorsize=3)
    with pytest.raises(ConfigError, match="patience=3 needs validation data"):
        train(None, patience=3)
    with pytest.raises(ConfigError, match="score='output' needs output vectors"):
        train(None, objective="cbow", hs=True, negative=0, taste=TasteConfig(score="output"))
    with pytest.raises(InputTypeError, match=r"sentences is of type list; .* item2vec\.adapters"):
        train([["a", "b"]])
    with pytest.raises(InputError, match="validation has no sentence of two"):
        train(random_sentences(), validation=Sentences.of([["a"]]))


# --- errors ----------------------------------------------------------------------------------------


def error_within(seconds, function):
    """Return the message of the error that a call raises; fail if it hangs."""
    raised = []

    def call():
        try:
            function()
        except TrainingError as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "training hangs"
    assert raised, "training ended without a TrainingError"
    return str(raised[0])


honest_epoch = gensim_trainer._Words.__iter__


@pytest.mark.parametrize("sample", [0, 1e-2])
def test_a_lost_sentence_is_detected(monkeypatch, sample):
    def lossy(self):
        sentences = honest_epoch(self)
        next(sentences)
        yield from sentences

    monkeypatch.setattr(gensim_trainer._Words, "__iter__", lossy)
    message = error_within(
        60, lambda: train(random_sentences(5_000), **QUICK | {"sample": sample, "epochs": 1})
    )
    assert "the vectors are incomplete" in message


@pytest.mark.parametrize(
    ("keep", "tolerance", "expected"),
    [(1.0, 1, r"expected 100\.0 ± 1\.0 of 100;"), (0.5, 41, r"expected 50\.0 ± 41\.0 of 100;")],
)
def test_an_error_shows_the_tolerance_of_the_number_of_tokens(keep, tolerance, expected):
    tokens, keep = np.zeros(100, np.int32), np.array([keep])
    mean = int(100 * keep[0])
    check_tokens_read("numba", 1, tokens, keep, trained=mean - tolerance, received=100)
    with pytest.raises(TrainingError, match=expected):
        check_tokens_read("numba", 1, tokens, keep, trained=mean - tolerance - 1, received=100)


def test_a_repeated_sentence_is_detected(monkeypatch):
    def repeating(self):
        sentences = list(honest_epoch(self))
        yield from [sentences[0], *sentences]

    monkeypatch.setattr(gensim_trainer._Words, "__iter__", repeating)
    assert "the vectors are incomplete" in error_within(60, lambda: train(random_sentences(), **QUICK))


@pytest.mark.parametrize("sample", [0, 1e-2])
def test_tokens_that_gensim_skips_are_detected(monkeypatch, sample):
    honest = Word2Vec._do_train_job

    def lazy(self, sentences, alpha, inits):
        trained, _ = honest(self, sentences[: len(sentences) // 2], alpha, inits)
        return trained, self._raw_word_count(sentences)

    monkeypatch.setattr(Word2Vec, "_do_train_job", lazy)
    message = error_within(
        60, lambda: train(random_sentences(3_000), **QUICK | {"sample": sample, "epochs": 1})
    )
    assert "the vectors are incomplete" in message


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("after", [0, 1_500])
def test_an_error_while_sentences_are_read_does_not_hang(monkeypatch, workers, after):
    def failing(self):
        for number, sentence in enumerate(honest_epoch(self)):
            if number == after:
                raise MemoryError("planted")
            yield sentence

    monkeypatch.setattr(gensim_trainer._Words, "__iter__", failing)
    message = error_within(60, lambda: train(random_sentences(20_000), **QUICK | {"workers": workers}))
    assert message == (
        "gensim failed in epoch 1: MemoryError('planted'); train again; or set backend='numba'"
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_worker_does_not_hang(monkeypatch, workers):
    honest, jobs = Word2Vec._do_train_job, iter(range(1_000))

    def failing(self, sentences, alpha, inits):
        if next(jobs) == 2:
            raise MemoryError("planted")
        return honest(self, sentences, alpha, inits)

    monkeypatch.setattr(Word2Vec, "_do_train_job", failing)
    message = error_within(60, lambda: train(random_sentences(30_000), **QUICK | {"workers": workers}))
    assert message == (
        "gensim failed in epoch 1: MemoryError('planted'); train again; or set backend='numba'"
    )


def test_vectors_that_are_not_finite_are_not_returned(monkeypatch):
    honest = Word2Vec.train

    def spoiling(self, *args, **kwargs):
        counts = honest(self, *args, **kwargs)
        self.syn1neg[1, 1] = np.nan
        return counts

    monkeypatch.setattr(Word2Vec, "train", spoiling)
    with pytest.raises(TrainingError, match=r"diverged in epoch 1: .*; lower alpha \(0\.0"):
        train(random_sentences(), **QUICK)


@pytest.mark.parametrize("setting", [{"sample": 1e-300}, {"alpha": 1e-30, "min_alpha": 0}])
def test_training_that_changes_no_vector_is_an_error(setting):
    with pytest.raises(TrainingError, match=r"no vector changed in 3 epochs.*sample=0"):
        train(random_sentences(), **QUICK | setting)


IN_A_CHILD = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from test_training import *
{code}
"""


def in_a_child(code, *, hash_seed="random"):
    command = [sys.executable, "-c", IN_A_CHILD.format(tests=os.path.dirname(__file__), code=code)]  # noqa: PTH120
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )


@pytest.mark.slow
def test_the_highest_learning_rates_do_not_crash():
    code = """
for settings in OBJECTIVES.values():
    for alpha in (100, 1000):
        many = {"alpha": alpha, "negative": settings.get("negative", 50)}
        vectors = train(random_sentences(), **QUICK | settings | many)
        assert np.isfinite(vectors.unit_input).all()
"""
    child = in_a_child(code)
    _, message = child.communicate(timeout=HANGING)
    assert (child.returncode, message) == (0, "")


# --- determinism -----------------------------------------------------------------------------------

PRINTS = """
for settings in OBJECTIVES.values():
    print(fingerprint(train(random_sentences(), **QUICK | settings)))
loose = random_sentences(ordered=False)
print(fingerprint(train(loose, **QUICK)))
print(fingerprint(train(weighted(loose, np.arange(len(loose.tokens)) % 5 + 1), **QUICK | {"sample": 0.01})))
print(fingerprint(train(loose, validation=loose, patience=1, **QUICK)))
"""


@pytest.mark.slow
def test_one_worker_gives_the_same_bytes_in_every_process():
    children = [in_a_child(PRINTS, hash_seed=seed) for seed in ("0", "4711")]
    outputs = [child.communicate(timeout=HANGING) for child in children]
    assert outputs[0] == outputs[1]
    printed, message = outputs[0]
    assert message == ""
    assert len(set(printed.split())) == len(OBJECTIVES) + 2  # patience did not stop, so it changed nothing


@pytest.mark.parametrize("settings_", OBJECTIVES.values(), ids=OBJECTIVES)
def test_another_seed_gives_other_vectors(settings_):
    vectors = [train(random_sentences(), **QUICK | settings_ | {"seed": seed}) for seed in (1, 2)]
    assert vectors[0].vocabulary == vectors[1].vocabulary
    assert not (vectors[0].input == vectors[1].input).any(axis=1).any()


# --- epochs ----------------------------------------------------------------------------------------


def test_unordered_sentences_are_shuffled_in_each_epoch():
    sentences = random_sentences(ordered=False)
    corpus = prepare(sentences, TrainConfig())
    (shard,) = corpus.shards
    epochs, again = (list(Reading(corpus, seed=3).pieces(4)) for _ in range(2))
    orders = set()
    for (tokens, offsets, *_), (same, *_) in zip(epochs, again, strict=True):
        assert tokens.tolist() == same.tolist()
        assert offsets.tolist() == shard.offsets.tolist()
        orders.add(tokens.tobytes())
        for start, end in pairwise(offsets):
            assert sorted(tokens[start:end]) == sorted(shard.tokens[start:end])
    assert len(orders) == 4
    assert shard.tokens.tobytes() not in orders
    assert next(Reading(corpus, seed=4).pieces(1)).tokens.tolist() != epochs[0][0].tolist()


def test_all_orders_of_a_sentence_are_equally_frequent():
    sentences = Sentences.of([["a", "b", "c"]] * 6_000, ordered=False)
    corpus = prepare(sentences, TrainConfig())
    tokens = next(Reading(corpus, seed=0).pieces(1)).tokens
    orders = Counter(map(tuple, tokens.reshape(-1, 3).tolist()))
    assert len(orders) == 6
    assert all(abs(count - 1000) < 6 * math.sqrt(1000 * 5 / 6) for count in orders.values())


def test_ordered_sentences_of_equal_weights_are_unchanged():
    sentences = random_sentences()
    for same in (sentences, weighted(sentences, [2.5] * len(sentences.tokens))):
        corpus = prepare(same, TrainConfig())
        for piece in Reading(corpus, seed=0).pieces(2):
            assert piece.tokens is corpus.shards[0].tokens
            assert piece.offsets is corpus.shards[0].offsets


@pytest.mark.parametrize("ordered", [True, False])
def test_tokens_below_the_median_weight_are_read_in_proportion(ordered):
    lists = [["a", "b", "c", "d"], ["d", "e", "a"]]
    column = [5, 1, 2.5, 0.5, 5, 4, 1]
    corpus = prepare(weighted(Sentences.of(lists, ordered=ordered), column), TrainConfig())
    n_epochs, seen = 3_000, Counter()
    for tokens, offsets, *_ in Reading(corpus, seed=0).pieces(n_epochs):
        assert offsets[0] == 0
        assert offsets[-1] == len(tokens)
        for number, (start, end) in enumerate(pairwise(offsets)):
            seen.update((number, id_) for id_ in corpus.vocabulary.decode(tokens[start:end]))
    positions = [(number, id_) for number, sentence in enumerate(lists) for id_ in sentence]
    for position, weight in zip(positions, column, strict=True):
        chance = min(1, weight / 2.5)
        assert abs(seen[position] - n_epochs * chance) <= 6 * math.sqrt(n_epochs * chance * (1 - chance))


@pytest.mark.parametrize("weight", [10, 1000, 1e38])
def test_one_large_weight_does_not_thin_the_other_tokens(weight):
    sentences = random_sentences()
    column = np.ones(len(sentences.tokens))
    column[17] = weight
    even, heavy = (train(one, **QUICK) for one in (sentences, weighted(sentences, column)))
    assert (heavy.tokens_read, heavy.read_share) == (even.tokens_read, 1.0)
    assert heavy.input.tobytes() == even.input.tobytes()


def test_clicks_of_weight_1_are_not_thinned_by_purchases_of_weight_5():
    sentences = random_sentences()
    column = np.where(np.arange(len(sentences.tokens)) % 10 < 4, 5, 1)
    assert train(weighted(sentences, column), **QUICK).read_share == 1.0


@examples(100)
@given(st.lists(st.floats(2**-90, 2**90, width=32), min_size=2, max_size=30), st.integers(0, 9))
def test_an_epoch_reads_more_than_half_of_the_tokens_of_positive_weight(column, n_zeros):
    ids = ["a", "b"] * len(column) + ["c"] * n_zeros
    column = [*column, *column[::-1], *[0] * n_zeros]
    corpus = prepare(weighted(Sentences.of([ids]), column), TrainConfig())
    positive = np.sort(np.float64(np.float32(column[: len(column) - n_zeros])))
    median = positive[(len(positive) - 1) // 2]
    expected = np.minimum(positive / median, 1)
    assert expected.mean() > 0.5
    assert corpus.read_share == pytest.approx(expected.sum() / len(column))


def test_counts_are_weighted():
    sentences = weighted(Sentences.of([["a", "b"], ["b", "c", "a"], ["c"]]), [1, 5, 0.5, 2, 1, 7])
    vectors = train(sentences, **QUICK | {"epochs": 50})
    assert dict(zip(vectors.vocabulary, vectors.counts.tolist(), strict=True)) == {
        "a": 2.0,
        "b": 5.5,
        "c": 9.0,
    }


@examples(60)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 15), st.integers(1, 12))
def test_an_epoch_passes_every_token_once_in_short_sentences(lengths, block, longest):
    tokens = np.arange(sum(lengths), dtype=np.int32)
    words = np.array([str(token) for token in tokens], dtype=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gensim_trainer, "TOKENS_PER_BLOCK", block)
        read = list(gensim_trainer._Words(words, tokens, split_long(offsets_of(lengths), longest)))
    pieces = split_long(offsets_of(lengths), longest)
    assert read == [words[start:end].tolist() for start, end in pairwise(pieces)]
    assert [word for sentence in read for word in sentence] == words.tolist()
    assert max(map(len, read), default=0) <= longest


# --- results ---------------------------------------------------------------------------------------


# If CBOW adds contexts up, all vectors share one long direction.
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "cbow, added"])
@pytest.mark.parametrize("ordered", [True, False])
def test_two_communities_separate(name, ordered):
    rng = np.random.default_rng(1)
    lists = [[f"{side}{row}" for row in rng.integers(0, 15, 8)] for side in "xy" for _ in range(300)]
    settings_ = {"vector_size": 8, "epochs": 10, "window": 5, "alpha": 0.025}
    vectors = train(Sentences.of(lists, ordered=ordered), **QUICK | OBJECTIVES[name] | settings_)
    side = np.array([id_[0] == "x" for id_ in vectors.vocabulary])
    cosines = vectors.unit_input @ vectors.unit_input.T
    within = cosines[side[:, None] == side].mean()
    across = cosines[side[:, None] != side].mean()
    assert within > across + 0.5
    assert all(item[0] == "x" for item, _ in vectors.similar_items("x0", k=14))


def test_output_vectors_score_neighbours():
    """a and b are neighbours, and so are c and d, but neither a nor b is a neighbour of c or d."""
    lists = [["a", "b"], ["c", "d"], ["e", "f"]] * 200
    vectors = train(Sentences.of(lists), **QUICK | {"vector_size": 16, "epochs": 20})
    scores = vectors.input @ vectors.output.T
    for one, other in ("ab", "cd", "ef"):
        row = scores[vectors.vocabulary.code(one)]
        assert vectors.vocabulary.ids[int(np.argmax(row))] == other


@pytest.mark.parametrize("settings_", OBJECTIVES.values(), ids=OBJECTIVES)
def test_output_vectors_need_negative_sampling(settings_):
    vectors = train(random_sentences(), **QUICK | settings_)
    assert (vectors.output is None) == (vectors.config.negative == 0)
    assert vectors.config == TrainConfig(**QUICK | settings_)


@pytest.mark.parametrize(
    "settings",
    [{"objective": "skipgram"}, {"objective": "cbow", "backend": "numba"}, {"vector_size": 8}],
    ids=str,
)
def test_tokens_read_counts_the_tokens_of_all_epochs(settings):
    sentences = Sentences.of([["a", "b", "c"], ["b", "c"], ["d"], ["d", "a", "b"]] * 9)
    assert train(sentences, epochs=3, workers=1, **settings).tokens_read == 3 * 8 * 9
