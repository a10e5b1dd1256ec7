"""The compiled trainers, through ``train``: determinism, tokens read, results, errors and memory."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from faults.child import HANGING, needs_proc
from hypothesis import given
from hypothesis import strategies as st
from strategies import corpora

from item2vec import train
from item2vec.config import NextItem, TasteConfig, TrainConfig
from item2vec.errors import InputError, NothingToTrainError, TrainingError
from item2vec.sentences import Sentences
from item2vec.taste import read_tastes, scored_matrix
from item2vec.training import _trainer
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Reading, prepare
from item2vec.training.epochs import run_epochs
from item2vec.training.next_item import NextItemTrainer, _check_size
from item2vec.training.trainer import Loss
from item2vec.training.validation import Validation
from item2vec.types import Vocabulary

SKIPGRAM = {"backend": "numba", "objective": "skipgram"}
CBOW = {"backend": "numba", "objective": "cbow"}
NEXT_ITEM = {"objective": "next_item"}
OWN = {"skipgram": SKIPGRAM, "cbow": CBOW, "next_item": NEXT_ITEM}
FORWARD = {"forward_only": True}
UNTIED = {"tied": 0}
QUICK = {"vector_size": 8, "epochs": 3, "workers": 1, "seed": 7}

every_trainer = pytest.mark.parametrize("own", OWN.values(), ids=OWN)


def random_sentences(n=200, n_items=30, *, seed=0, ordered=True):
    rng = np.random.default_rng(seed)
    lists = [[f"item-{row}" for row in rng.integers(0, n_items, rng.integers(2, 12))] for _ in range(n)]
    return Sentences.of(lists, ordered=ordered)


def ring(n, n_items=12, *, seed=0):
    """Walks on a ring: each item is followed by the next one."""
    starts = np.random.default_rng(seed).integers(0, n_items, n)
    return Sentences.of([[f"item-{(start + i) % n_items}" for i in range(7)] for start in starts])


def weighted(sentences, column):
    return dataclasses.replace(sentences, weights=np.array(column, dtype=np.float32))


def untrained(sentences, config):
    corpus = prepare(sentences, config)
    return corpus.vocabulary, _trainer(corpus, config, None).input.copy()


def fingerprint(vectors):
    held = vectors.input.tobytes() + vectors.output.tobytes() + repr(vectors.vocabulary.ids).encode()
    return hashlib.sha256(held).hexdigest()


def scores_after(vectors, history, taste):
    rows = vectors.vocabulary.encode(history)
    read = read_tastes(vectors, taste, rows, np.array([0, len(rows)]))
    scores = read.vectors[0] @ scored_matrix(vectors, taste).T
    return dict(zip(vectors.vocabulary.ids, scores.tolist(), strict=True))


def in_a_child(code, **environment):
    intro = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"  # noqa: PTH120
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{intro}from test_training_own import *\n{code}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def printed_by(child):
    printed, stderr = child.communicate(timeout=HANGING)
    assert (child.returncode, stderr) == (0, "")
    return printed.split()


# --- determinism -----------------------------------------------------------------------------------

SETTINGS = [
    SKIPGRAM,
    SKIPGRAM | {"sample": 0.01},
    SKIPGRAM | {"forward_only": True, "window": "full"},
    CBOW,
    CBOW | {"cbow_mean": False},
    NEXT_ITEM,
    NEXT_ITEM | {"negative": 7, "workers": 2},
    NEXT_ITEM | {"context_decay": (0.8,), "window": "full"},
    NEXT_ITEM | {"context_decay": (0.5, "learned"), "tied": 2, "temperature": 0.2},
    NEXT_ITEM | {"similarity": "inner"},
]


def fingerprints():
    loose = random_sentences(ordered=False)
    heavier = weighted(loose, np.arange(len(loose.tokens)) % 5 + 1)
    return [
        fingerprint(train(sentences, **QUICK | setting))
        for setting in SETTINGS
        for sentences in (random_sentences(), heavier)
    ]


@pytest.mark.slow
def test_every_process_trains_the_same_bytes_from_the_cache():
    ours = fingerprints()  # from now on all is in the cache
    code = """
from item2vec.kernels.next_item import train_blocks
from item2vec.kernels.word2vec import train_sentences
print(*fingerprints())
for kernel in (train_blocks, train_sentences):
    print(len(kernel.signatures), sum(kernel.stats.cache_hits.values()), len(kernel.stats.cache_misses))
"""
    *theirs, a, b, c, d, e, f = printed_by(in_a_child(code, PYTHONHASHSEED="4711"))
    assert theirs == ours
    assert len(set(ours)) == len(ours)
    assert [a, b, c] == ["1", "1", "0"]
    assert [d, e, f] == ["1", "1", "0"]


@pytest.mark.parametrize("n_parts", [2, 3])
def test_next_item_is_the_same_with_as_many_workers_as_parts(n_parts):
    settings = QUICK | NEXT_ITEM | {"context_decay": ("learned",) * n_parts, "vector_size": 12}
    prints = {
        fingerprint(train(random_sentences(), **settings | {"workers": n})) for n in range(1, n_parts + 1)
    }
    assert len(prints) == 1


def test_spans_of_a_part_are_trained_in_order(monkeypatch):
    """Two workers share three parts: the second half of a part starts after its first half."""
    config = NextItem(**{**QUICK, "vector_size": 12, "workers": 2}, context_decay=("learned",) * 3)
    corpus = prepare(random_sentences(2000), config)
    log, second_half = [], threading.Event()

    def logged(part, draws, rules, tokens, before, order, first, last, *rest):
        log.append(("start", part.number, first))
        if part.number == 2:
            if first > 0:
                second_half.set()
            else:
                second_half.wait(timeout=0.2)  # the time that a worker has to start the second half too early
        log.append(("end", part.number, last))

    monkeypatch.setattr("item2vec.training.next_item.train_blocks", logged)
    trainer = NextItemTrainer(corpus, config)
    trainer.train_piece(next(Reading(corpus, 1).pieces(1)))
    for number in range(3):
        spans = [(kind, position) for kind, part, position in log if part == number]
        assert [kind for kind, _ in spans] == ["start", "end", "start", "end"]
        assert spans[1][1] == spans[2][1]


def test_a_tied_part_has_one_matrix_and_one_accumulator():
    config = NextItem(vector_size=8, context_decay=(0.5, 0.5), tied=1)
    tied, untied = NextItemTrainer(prepare(random_sentences(), config), config)._parts
    assert tied.input is tied.output
    assert tied.input_squares is tied.output_squares
    assert untied.input is not untied.output
    assert untied.input_squares is not untied.output_squares


@pytest.mark.slow
def test_a_process_that_compiles_trains_the_same_bytes(tmp_path):
    """New machine code is linked in another way than cached code."""
    code, cache = "print(*fingerprints())", {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert printed_by(in_a_child(code, **cache)) == printed_by(in_a_child(code, **cache)) == fingerprints()


@every_trainer
def test_another_seed_trains_other_bytes(own):
    vectors = [train(random_sentences(), **QUICK | own | {"seed": seed}) for seed in (1, 2)]
    assert vectors[0].vocabulary == vectors[1].vocabulary
    assert not (vectors[0].input == vectors[1].input).any(axis=1).any()
    assert not (vectors[0].output == vectors[1].output).any(axis=1).any()


@every_trainer
def test_many_threads_learn_as_well_as_one(own):
    sentences, held_out = ring(400), ring(60, seed=1)
    for workers in (1, 8):
        options = {"vector_size": 16, "epochs": 8, "workers": workers, "window": 1}
        forward = {} if own is NEXT_ITEM else FORWARD
        vectors = train(sentences, validation=held_out, **own | options | forward)
        assert vectors.curve[-1].hr == 1
        assert vectors.curve[-1].ndcg > 0.9


# --- tokens read -----------------------------------------------------------------------------------


@every_trainer
@examples(40)
@given(corpora(min_sentences=1, min_length=2), st.integers(1, 3), st.booleans(), st.booleans())
def test_every_item_is_kept_and_learns(own, lists, min_count, ordered, forward_only):
    sentences = Sentences.of(lists, ordered=ordered)
    forward = {} if own is NEXT_ITEM else {"forward_only": forward_only}
    config = TrainConfig(**QUICK | own | forward | {"min_count": min_count})
    try:
        vocabulary, start = untrained(sentences, config)
    except NothingToTrainError:
        with pytest.raises(NothingToTrainError):
            train(sentences, config=config)
        return
    vectors = train(sentences, config=config)
    assert vectors.vocabulary == vocabulary
    moved = (vectors.input != start).any(axis=1)
    assert moved.any()
    if not (ordered if own is NEXT_ITEM else forward_only):  # items that are always last are kept
        assert moved.all()
    assert (vectors.has_input == moved & vectors.input.any(axis=1)).all()
    assert (vectors.has_input | vectors.output.any(axis=1)).all()
    assert np.isfinite(vectors.input).all()
    assert np.isfinite(vectors.output).all()


@pytest.mark.parametrize("own", [SKIPGRAM | FORWARD, NEXT_ITEM], ids=["skipgram", "next_item"])
def test_an_item_that_is_always_last_can_be_recommended(own):
    vectors = train(Sentences.of([["a", "b"], ["c", "d"]] * 100), **QUICK | own)
    assert set(vectors.vocabulary) == {"a", "b", "c", "d"}
    scores = scores_after(vectors, ["a"], TasteConfig(score="output", decay=vectors.config.taste_decay))
    assert max(scores, key=scores.get) == "b"


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize(
    "own",
    [SKIPGRAM | FORWARD, NEXT_ITEM | UNTIED, NEXT_ITEM | UNTIED | {"similarity": "inner"}],
    ids=["skipgram", "next_item", "inner"],
)
def test_an_item_that_is_always_last_has_no_input_vector(own, patience):
    sentences = Sentences.of([["a", "b"], ["c", "d"], ["a", "c", "b"]] * 100)
    after = []
    vectors = train(
        sentences,
        validation=sentences,
        after_epoch=lambda _, now: after.append(now),
        **QUICK | own | {"patience": patience},
    )
    for now in (vectors, *after):
        has_input = dict(zip(now.vocabulary, now.has_input.tolist(), strict=True))
        assert has_input == {"a": True, "b": False, "c": True, "d": False}
    assert [item for item, _ in vectors.similar_items("d", k=3)] != []


def test_an_item_that_is_always_last_has_input_vectors_in_tied_parts():
    """In a tied part, the vector of an item as a target is its input vector."""
    vectors = train(Sentences.of([["a", "b"], ["c", "d"], ["a", "c", "b"]] * 100), **QUICK | NEXT_ITEM)
    tied, untied = np.split(vectors.input[vectors.vocabulary.encode(["a", "b", "c", "d"])], 2, axis=1)
    assert tied.any(axis=1).tolist() == [True] * 4
    assert untied.any(axis=1).tolist() == [True, False, True, False]


@every_trainer
def test_items_that_no_epoch_reads_are_left_out(own):
    """A token of a millionth of the median weight is not read in three epochs."""
    sentences = Sentences.of([["a", "b", "x", "c"], ["b", "c"], ["c", "a"]] * 20)
    light = np.where(sentences.tokens == sentences.vocabulary.code("x"), 1e-6, 1.0)
    vectors = train(weighted(sentences, light), **QUICK | own)
    assert set(vectors.vocabulary) == {"a", "b", "c"}


@pytest.mark.parametrize("own", [SKIPGRAM | FORWARD, NEXT_ITEM], ids=["skipgram", "next_item"])
def test_a_heavier_item_scores_higher(own):
    """b follows a as often as c does, but b's token is read with probability 0.1."""
    sentences = Sentences.of([["a", "b"], ["a", "c"]] * 300)
    light = np.where(sentences.tokens == sentences.vocabulary.code("b"), 0.1, 1.0)
    taste = TasteConfig(decay=0.5)
    decay = {"context_decay": (0.5,)} if own is NEXT_ITEM else {}
    setting = QUICK | own | decay | {"epochs": 10, "ns_exponent": 0.0}
    even = scores_after(train(sentences, **setting), ["a"], taste)
    uneven = scores_after(train(weighted(sentences, light), **setting), ["a"], taste)
    assert abs(even["b"] - even["c"]) < 0.5
    assert uneven["c"] - uneven["b"] > 1


@pytest.mark.parametrize(("length", "window"), [(45_000, 2), (1_000, "full")])
@every_trainer
def test_a_long_sentence_is_read_completely(own, length, window):
    ids = [f"item-{number}" for number in range(length)]
    small = {"vector_size": 4, "epochs": 3, "negative": 20 if own is NEXT_ITEM else 1}
    config = TrainConfig(**QUICK | own | small | {"window": window})
    vocabulary, start = untrained(Sentences.of([ids]), config)
    vectors = train(Sentences.of([ids]), config=config)
    assert vectors.vocabulary == vocabulary
    rest = slice(0, -1 if own is NEXT_ITEM else None)  # nothing follows the last item
    assert (vectors.input != start)[rest].any(axis=1).all()


# --- results ---------------------------------------------------------------------------------------


def hit_rate_at_1(vectors, sentences, taste):
    hits = 0
    for sentence in sentences:
        scores = scores_after(vectors, sentence[:-1], taste)
        hits += max(scores.keys() - {*sentence[:-1]}, key=scores.get) == sentence[-1]
    return hits / len(sentences)


def test_next_item_learns_a_chain():
    vectors = train(ring(300, 40), **QUICK | NEXT_ITEM | {"vector_size": 32, "epochs": 15, "negative": 20})
    taste = TasteConfig(decay=vectors.config.taste_decay)
    assert hit_rate_at_1(vectors, ring(100, 40, seed=1), taste) > 0.97


@pytest.mark.parametrize("own", [SKIPGRAM, CBOW, NEXT_ITEM | UNTIED], ids=OWN)
def test_forward_only_scores_are_directed(own):
    """With forward_only, a predicts b; b does not predict a."""
    rng = np.random.default_rng(3)
    random_rows = [[f"item-{item}" for item in rng.integers(0, 20, 4)] for _ in range(400)]
    sentences = Sentences.of([[*row[:2], "a", "b", *row[2:]] for row in random_rows])
    setting = {"vector_size": 16, "epochs": 10, "window": 1, "negative": 5}
    vectors = train(sentences, **QUICK | setting | own | ({} if "tied" in own else FORWARD))
    taste = TasteConfig(score="output", decay=vectors.config.taste_decay)
    after_a, after_b = scores_after(vectors, ["a"], taste), scores_after(vectors, ["b"], taste)
    assert max(after_a, key=after_a.get) == "b"
    rest = [score for item, score in after_b.items() if item not in "ab"]
    assert after_b["a"] < min(rest)
    if "tied" not in own:
        both_ways = train(sentences, **QUICK | setting | own)
        after_b = scores_after(both_ways, ["b"], taste)
        assert max(after_b, key=after_b.get) == "a"


def test_without_order_each_item_predicts_the_others():
    """x is always first; without order, y and z predict it too."""
    rng = np.random.default_rng(5)
    groups = [["x", "y", "z"], ["u", "v", "w"]]
    lists = [[group[0], *rng.permutation(group[1:])] for group in groups * 150]
    setting = QUICK | NEXT_ITEM | {"epochs": 10, "negative": 3}
    for ordered in (True, False):
        vectors = train(Sentences.of(lists, ordered=ordered), **setting)
        taste = TasteConfig(decay=vectors.config.taste_decay)
        scores = scores_after(vectors, ["y", "z"], taste)
        best = max(scores.keys() - {"y", "z"}, key=scores.get)
        assert (best == "x") is not ordered
        forth, back = (scores_after(vectors, pair, taste)["x"] for pair in (["y", "z"], ["z", "y"]))
        assert abs(forth - back) < 1


def test_two_items_can_be_trained():
    for own in OWN.values():
        vectors = train(Sentences.of([["a", "b"]] * 200), **QUICK | own)
        assert set(vectors.vocabulary) == {"a", "b"}
        scores = scores_after(vectors, ["a"], TasteConfig(decay=vectors.config.taste_decay))
        assert scores["b"] > scores["a"]


# --- validation ------------------------------------------------------------------------------------

STOPPING = {"vector_size": 4, "epochs": 25, "workers": 1, "seed": 7, "window": 1}


@pytest.mark.parametrize(
    "own", [SKIPGRAM | {"alpha": 0.4}, CBOW | {"alpha": 0.4}, NEXT_ITEM | {"alpha": 0.3}], ids=OWN
)
def test_the_best_epoch_is_kept(own):
    sentences, held_out = ring(60, 40), ring(60, 40, seed=1)
    seen = {}
    setting = STOPPING | own
    decay = {"decay": TrainConfig(**setting).taste_decay}
    full = train(
        sentences,
        validation=held_out,
        taste=TasteConfig(**decay),
        after_epoch=lambda n, vectors: seen.update({n: vectors}),
        **setting,
    )
    assert [epoch.epoch for epoch in full.curve] == list(range(1, 26)) == list(seen)
    last = Validation(held_out, TasteConfig(**decay)).measure(full, 25)
    assert full.curve[-1] == dataclasses.replace(last, loss=full.curve[-1].loss)
    assert len({fingerprint(vectors) for vectors in seen.values()}) == 25
    assert fingerprint(seen[25]) == fingerprint(full) == fingerprint(train(sentences, **setting))
    best, stop = 0, 25
    for number, epoch in enumerate(full.curve):
        if epoch.ndcg > full.curve[best].ndcg:
            best = number
        if number - best >= 2:
            stop = number + 1
            break
    assert best + 1 < stop < 25, "the example must have something to stop for"
    early = train(sentences, validation=held_out, taste=TasteConfig(**decay), patience=2, **setting)
    assert early.curve == full.curve[:stop]
    assert fingerprint(early) == fingerprint(seen[best + 1])


@every_trainer
def test_an_exception_of_a_callback_ends_training(own):
    def stop(number, vectors):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(random_sentences(), after_epoch=stop, **QUICK | own)


# --- errors and memory -----------------------------------------------------------------------------


@pytest.mark.parametrize("negative", [2, 50])
@pytest.mark.parametrize("alpha", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize("own", [*OWN.values(), CBOW | {"cbow_mean": False}], ids=[*OWN, "cbow, added"])
def test_no_learning_rate_gives_vectors_that_are_not_finite(own, alpha, negative):
    try:
        vectors = train(random_sentences(), **QUICK | own | {"alpha": alpha, "negative": negative})
    except TrainingError as error:
        assert "diverged in epoch " in str(error)  # noqa: PT017 - any other error is a bug
        assert f"lower alpha ({alpha})" in str(error)  # noqa: PT017
        return
    for matrix in (vectors.input, vectors.output, vectors.unit_input):
        assert np.isfinite(matrix).all()


class Diverging:
    """A trainer whose second epoch writes a number that is not finite."""

    positions = input_of_attributes = new_items = None

    def __init__(self, n_items, name, number):
        self.input, self.output = np.zeros((2, n_items, 4), np.float32)
        self.scored = self.output
        self.name, self.number = name, number

    def train_piece(self, piece):
        self.input += 1
        if piece.epoch == 1:
            getattr(self, self.name)[3, 2] = self.number
        return Loss(1.0, 1)


@pytest.mark.parametrize("name", ["input", "output"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_the_error_for_divergence_names_the_epoch(name, number):
    config = TrainConfig(**QUICK | {"alpha": 0.5})
    corpus, seen = prepare(random_sentences(), config), []
    trainer = Diverging(len(corpus.vocabulary), name, number)
    with pytest.raises(TrainingError, match=r"diverged in epoch 2: .*; lower alpha \(0\.5\)"):
        run_epochs(trainer, corpus, config, None, lambda epoch, vectors: seen.append(epoch))
    assert seen == [1]


def test_next_item_rejects_more_tokens_than_int32_can_index():
    _check_size(2**31 - 1, ordered=True)
    _check_size(2**30 - 1, ordered=False)
    with pytest.raises(InputError, match=r"found 2,147,483,648 tokens in ordered .* at most 2,147,483,647"):
        _check_size(2**31, ordered=True)
    with pytest.raises(
        InputError,
        match=r"1,073,741,824 tokens in unordered .* at most 1,073,741,823 per shard .* more shards",
    ):
        _check_size(2**30, ordered=False)


def test_the_window_of_next_item_is_at_most_10_000_items():
    sentences = Sentences.of([[f"item-{i % 7}" for i in range(MAX_SENTENCE_TOKENS + 100)]])
    for window in ("full", 1_000_000):
        config = TrainConfig(**QUICK | NEXT_ITEM | {"context_decay": (1.0,), "window": window})
        trainer = NextItemTrainer(prepare(sentences, config), config)
        assert len(trainer._parts[0].positions) == MAX_SENTENCE_TOKENS


@pytest.mark.parametrize(
    ("own", "alpha"),
    [(SKIPGRAM, 1e-9), (CBOW, 1e-9), (SKIPGRAM, 1e-30), (SKIPGRAM | FORWARD, 1e-30), (NEXT_ITEM, 1e-30)],
)
def test_training_that_changes_no_vector_is_an_error(own, alpha):
    with pytest.raises(TrainingError, match="no vector changed in 3 epochs"):
        train(random_sentences(), **QUICK | own | {"alpha": alpha, "min_alpha": 0})


def test_one_epoch_of_next_item_on_four_items_is_valid():
    """Only output vectors change: they start at zero, and input vectors learn from them."""
    vectors = train(Sentences.of([["a", "b", "c"], ["b", "c", "d"]]), **QUICK | {"epochs": 1})
    assert set(vectors.vocabulary) == {"a", "b", "c", "d"}
    assert vectors.output.any(axis=1).all()


def kilobytes(name):
    """Return the memory of this process: current (VmRSS) or peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def megabytes_of_a_training(setting):
    """Return the size of matrices and corpus, and the peak memory of training."""
    train(ring(20), **QUICK | setting)  # libraries and machine code are loaded
    n_items, n_tokens = 50_000, 1_000_000
    tokens = np.random.default_rng(0).integers(0, n_items, n_tokens).astype(np.int32)
    vocabulary = Vocabulary(tuple(map(str, range(n_items))))
    sentences = Sentences(vocabulary, tokens, np.arange(0, n_tokens + 1, 20))
    before = kilobytes("VmRSS")
    vectors = train(sentences, vector_size=64, epochs=1, workers=2, **setting)
    held = vectors.input.nbytes + vectors.output.nbytes + tokens.nbytes
    return held / 2**20, (kilobytes("VmHWM") - before) / 2**10


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(
    "setting",
    [
        SKIPGRAM | {"window": 1, "negative": 1},
        (NEXT_ITEM | {"window": 2, "negative": 4}),
    ],
    ids=["skipgram", "next_item"],
)
def test_memory_is_at_most_three_times_the_matrices_and_the_corpus(setting):
    held, grown = map(float, printed_by(in_a_child(f"print(*megabytes_of_a_training({setting!r}))")))
    assert held == pytest.approx(28.2, abs=0.1)
    assert 0.8 * held < grown < 3 * held


def test_a_callback_sees_the_vectors_after_a_first_epoch_of_one_block():
    """Output vectors start at zero, so input vectors do not change before the second block."""
    sentences, seen = random_sentences(20), []
    settings = TrainConfig(**QUICK, **NEXT_ITEM)
    vectors = train(sentences, config=settings, after_epoch=lambda epoch, now: seen.append((epoch, now)))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert vectors.has_input.any()
    assert train(sentences, config=settings.replace(epochs=1)).output.any()
