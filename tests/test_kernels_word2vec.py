"""The compiled loops of word2vec: equality with a NumPy reference that makes the same draws."""

import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Sentences, SkipGram, TrainConfig
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.word2vec import TOKENS_PER_CHUNK, Model, Rules, padded, train_sentences
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Piece, Reading, prepare
from item2vec.training.numba_trainer import NumbaTrainer

GOLDEN, WORD = 0x9E3779B97F4A7C15, 1 << 64


def mixed(word):
    """splitmix64."""
    word %= WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


def bits(key, stream, count):
    return mixed(mixed(key + stream) + GOLDEN * count)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def negatives_of(table, rules, key, chunk):
    for k in range(rules.negative):
        drawn = bits(key, 3, chunk * rules.negative + k)
        item = (drawn >> 32) * len(table) >> 32
        kept = drawn % (1 << 32) < int(table[item]) % (1 << 32)
        yield item if kept else int(table[item]) >> 32


def windows_of(rules, table, keep, sentence, key):
    """Yield the centre, contexts and negatives of each chunk."""
    sentence = [
        item
        for index, item in enumerate(sentence)
        if len(keep) == 0 or bits(key, 1, index) >> 32 < int(keep[item])
    ]
    chunk = 0
    for i, centre in enumerate(sentence):
        width = 1 + ((bits(key, 2, i) >> 32) * rules.window >> 32) if rules.shrink else rules.window
        places = list(range(max(0, i - width), i if rules.forward else min(len(sentence), i + width + 1)))
        step = len(sentence) if rules.cbow else TOKENS_PER_CHUNK
        for start in range(0, len(places), step):
            contexts = [sentence[j] for j in places[start : start + step] if j != i]
            if contexts:
                yield centre, contexts, list(negatives_of(table, rules, key, chunk))
                chunk += 1


def learn_window(x, y, rules, centre, contexts, negatives, alpha):
    """Train both matrices (float64) on one window; return the losses before each update of a source."""
    targets = [centre] + [item for item in negatives if item != centre]
    label = np.array([1.0] + [0.0] * (len(targets) - 1))
    rows = y[targets].copy()
    if rules.cbow:
        mean = x[contexts].sum(axis=0) / (len(contexts) if rules.mean else 1)
        right = np.where(label, sigmoid(rows @ mean), sigmoid(-rows @ mean))
        gradient = alpha * (label - sigmoid(rows @ mean))
        error = gradient @ rows / (1 if rules.mean else len(contexts))
        np.add.at(x, contexts, error)
        np.add.at(y, targets, np.outer(gradient, mean))
        return [-np.log(right.clip(1e-7)).sum()]
    losses = []
    for context in contexts:
        right = np.where(label, sigmoid(rows @ x[context]), sigmoid(-rows @ x[context]))
        losses.append(-np.log(right.clip(1e-7)).sum())
        gradient = alpha * (label - sigmoid(rows @ x[context]))
        np.add.at(y, targets, np.outer(gradient, x[context]))
        x[context] += gradient @ rows
    return losses


def reference(x, y, rules, table, keep, tokens, offsets, seed, alpha, alpha_step):
    losses = []
    for number in range(len(offsets) - 1):
        key = mixed(seed + GOLDEN * (number + 1))
        sentence = tokens[offsets[number] : offsets[number + 1]].tolist()
        for centre, contexts, negatives in windows_of(rules, table, keep, sentence, key):
            rate = alpha - alpha_step * offsets[number]
            losses += learn_window(x, y, rules, centre, contexts, negatives, rate)
    return losses


def frozen(array, dtype):
    array = np.array(array, dtype)
    array.flags.writeable = False
    return array


class Case:
    """Random matrices, settings, and a corpus."""

    def __init__(self, sentences, n_items, dim, rules, keep=(), seed=5):
        random = np.random.default_rng(seed)
        self.rules, self.dim, self.seed = rules, dim, seed
        self.x, self.y = random.normal(0, 0.5, (2, n_items, dim)).astype(np.float32)
        self.table = item_alias_table(random.random(n_items) + 0.1)
        self.keep = np.array(keep, np.uint64)
        self.tokens = frozen([item for sentence in sentences for item in sentence], np.int32)
        self.offsets = frozen(np.cumsum([0, *map(len, sentences)]), np.int64)

    def trained(self, alpha, alpha_step=0.0):
        size = padded(self.dim)
        matrices = np.zeros((2, len(self.x), size), np.float32)
        matrices[:, :, : self.dim] = self.x, self.y
        flat = matrices.reshape(2, -1)
        model = Model(flat[0], flat[1], size, self.table, self.keep)
        n = len(self.offsets) - 1
        seed = np.uint64(self.seed)
        corpus = self.tokens, self.offsets
        read, *self.measured = train_sentences(model, self.rules, *corpus, 0, n, seed, alpha, alpha_step)
        assert not matrices[:, :, self.dim :].any()
        return matrices[:, :, : self.dim], read

    def expected(self, alpha, alpha_step=0.0):
        x, y = self.x.astype(np.float64), self.y.astype(np.float64)
        corpus = self.tokens, self.offsets, self.seed
        self.losses = reference(x, y, self.rules, self.table, self.keep, *corpus, alpha, alpha_step)
        return np.array([x, y])


def rules_of(window=3, shrink=False, forward=False, negative=5, cbow=False, mean=True):
    return Rules(window, shrink, forward, negative, cbow, mean, measured=1)


rules = st.builds(
    Rules,
    window=st.sampled_from([1, 2, 5, 100]),
    shrink=st.booleans(),
    forward=st.booleans(),
    negative=st.sampled_from([1, 2, 5, 6, 13]),
    cbow=st.booleans(),
    mean=st.booleans(),
    measured=st.just(1),
)
sentences_of = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=6)


@examples(80)
@given(sentences_of, st.sampled_from([1, 7, 16, 20, 64]), rules, st.lists(st.integers(0, 2**32), max_size=1))
def test_training_equals_the_numpy_reference(sentences, dim, rules, keep):
    case = Case(sentences, 7, dim, rules, keep * 7)
    trained, _ = case.trained(alpha=0.05, alpha_step=0.0005)
    np.testing.assert_allclose(trained, case.expected(0.05, 0.0005), atol=2e-5)
    np.testing.assert_allclose(
        case.measured, [sum(case.losses), len(case.losses)], rtol=0.02
    )  # of 1e-7 in a sigmoid


@pytest.mark.parametrize("cbow", [False, True])
def test_many_windows_equal_the_numpy_reference(cbow):
    random = np.random.default_rng(1)
    sentences = random.integers(0, 50, (40, 30)).tolist()
    case = Case(sentences, 50, 24, rules_of(window=5, shrink=True, cbow=cbow))
    trained, read = case.trained(alpha=0.02)
    assert read == 1200
    assert np.abs(trained - np.array([case.x, case.y])).max() > 0.2
    np.testing.assert_allclose(trained, case.expected(0.02), atol=1e-4)
    np.testing.assert_allclose(case.measured, [sum(case.losses), len(case.losses)], rtol=1e-4)


@pytest.mark.parametrize("cbow", [False, True])
def test_the_loss_of_some_centres_is_near_that_of_all(cbow):
    sentences = np.random.default_rng(1).integers(0, 50, (300, 9)).tolist()
    case = Case(sentences, 50, 24, rules_of(cbow=cbow))
    trained, _ = case.trained(0.02)
    total, n = case.measured
    case.rules = case.rules._replace(measured=4)
    again, _ = case.trained(0.02)
    assert (again == trained).all()
    some, n_some = case.measured
    assert abs(n_some / n - 1 / 4) < 0.02
    assert abs(some / n_some - total / n) < 0.02 * total / n


def test_a_wide_window_is_trained_in_chunks():
    case = Case([list(range(100))], 100, 8, rules_of(window=1000))
    np.testing.assert_allclose(case.trained(0.05)[0], case.expected(0.05), atol=1e-4)


@pytest.mark.parametrize("negative", [5, 8])
@pytest.mark.parametrize(("cbow", "mean"), [(False, True), (True, True), (True, False)])
def test_a_step_follows_the_numerical_gradient_of_the_loss(cbow, mean, negative):
    """As in gensim, contexts of a mean learn n times the gradient, and contexts of a sum 1 / n of it."""
    sentence = [0, 1, 2]
    case = Case([sentence], 12, 5, rules_of(negative=negative, cbow=cbow, mean=mean, forward=True))
    matrices = np.array([case.x, case.y], np.float64)
    step = np.zeros_like(matrices)
    for window in windows_of(case.rules, case.table, case.keep, sentence, mixed(case.seed + GOLDEN)):
        slope = np.zeros_like(matrices)
        for index in np.ndindex(matrices.shape):
            ahead, behind = matrices.copy(), matrices.copy()
            ahead[index] += 1e-6
            behind[index] -= 1e-6
            slope[index] = (loss(case.rules, *window, *ahead) - loss(case.rules, *window, *behind)) / 2e-6
        if cbow:
            slope[0] *= len(window[1]) if mean else 1 / len(window[1])
        step -= slope
    alpha = 0.001
    np.testing.assert_allclose((case.trained(alpha)[0] - matrices) / alpha, step, atol=5e-3)


def loss(rules, centre, contexts, negatives, x, y):
    rows = x[contexts]
    if rules.cbow:
        rows = rows.sum(axis=0, keepdims=True) / (len(contexts) if rules.mean else 1)
    wrong = [item for item in negatives if item != centre]
    return -np.log(sigmoid(rows @ y[centre])).sum() - np.log(sigmoid(-rows @ y[wrong].T)).sum()


@pytest.mark.parametrize("exponent", [0.75, 0.0, -0.5])
def test_negatives_are_drawn_by_count_to_the_exponent(exponent):
    counts = np.array([1000, 300, 100, 30, 10, 3, 1.0])
    table = item_alias_table(counts**exponent)
    drawn = np.zeros(len(counts))
    n = 20_000
    for chunk in range(n // 5):
        for item in negatives_of(table, rules_of(), 99, chunk):
            drawn[item] += 1
    expected = n * counts**exponent / (counts**exponent).sum()
    assert ((drawn - expected) ** 2 / expected).sum() < 27.9  # 6 degrees of freedom, p = .0001


def test_subsampling_follows_the_formula_of_gensim():
    random = np.random.default_rng(3)
    corpus = prepare(
        Sentences.of(random.zipf(1.5, (400, 50)).clip(1, 50).astype(str).tolist()), TrainConfig()
    )
    trainer = NumbaTrainer(corpus, SkipGram(sample=0.01, workers=1))
    share = corpus.frequency / corpus.frequency.sum()
    chance = np.minimum(np.sqrt(0.01 / share) + 0.01 / share, 1)
    rules = trainer._rules._replace(window=1)
    (shard,) = corpus.shards
    tokens, offsets = frozen(shard.tokens, np.int32), frozen(shard.offsets, np.int64)
    n = len(offsets) - 1
    read = [
        train_sentences(trainer._model, rules, tokens, offsets, 0, n, np.uint64(seed), 0.0, 0.0)[0]
        for seed in range(20)
    ]
    mean = corpus.frequency @ chance
    spread = np.sqrt(corpus.frequency @ (chance * (1 - chance)) / len(read))
    assert chance.min() < 0.5
    assert abs(np.mean(read) - mean) < 5 * spread + 1


def random_corpus(**settings):
    random = np.random.default_rng(8)
    config = SkipGram(**{"vector_size": 12, "workers": 1, "epochs": 2} | settings)
    sentences = Sentences.of(random.integers(0, 40, (100, 9)).astype(str).tolist())
    return prepare(sentences, config), config


def train_epochs(corpus, config):
    trainer = NumbaTrainer(corpus, config)
    for piece in Reading(corpus, config.seed).pieces(config.epochs):
        trainer.train_piece(piece)
    return trainer


@pytest.mark.slow
def test_one_worker_is_deterministic_in_every_process():
    code = textwrap.dedent("""
        import sys
        sys.path.insert(0, "tests")
        from test_kernels_word2vec import random_corpus, train_epochs
        trainer = train_epochs(*random_corpus())
        print((trainer.input.tobytes() + trainer.output.tobytes()).hex())
    """)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    trainer = train_epochs(*random_corpus())
    assert run.stdout.strip() == (trainer.input.tobytes() + trainer.output.tobytes()).hex()
    other = train_epochs(*random_corpus(seed=2))
    assert not np.array_equal(trainer.input, other.input)


def test_vectors_start_as_in_gensim():
    corpus, config = random_corpus()
    trainer = NumbaTrainer(corpus, config)
    assert trainer.input.shape == trainer.output.shape == (40, 12)
    assert not trainer.output.any()
    assert 0.9 / 24 < np.abs(trainer.input).max() <= 1 / 24
    assert abs(trainer.input.mean()) < 0.005


def test_the_learning_rate_decreases_linearly_over_all_epochs():
    corpus, config = random_corpus(alpha=0.0001, min_alpha=0.0, epochs=4)
    sums = []
    for piece in Reading(corpus, 1).pieces(4):
        trainer = NumbaTrainer(corpus, config)
        trainer.input[:] = 1  # the outputs then add up to about the sum of the rates
        trainer.train_piece(piece)
        sums.append(trainer.output.sum())
    np.testing.assert_allclose(np.array(sums) / sums[0], np.array([3.5, 2.5, 1.5, 0.5]) / 3.5, atol=0.05)


def test_every_token_is_read_once_by_many_threads(monkeypatch):
    monkeypatch.setattr("item2vec.training.numba_trainer.TOKENS_PER_TASK", 10)
    lengths = np.random.default_rng(2).integers(2, 30, 300)
    bounds = np.cumsum([0, *lengths])
    sentences = [[str(i) for i in range(a, b)] for a, b in pairwise(bounds)]
    one_worker, many_workers = (
        train_epochs(prepare(Sentences.of(sentences), config), config)
        for config in (SkipGram(vector_size=8, window=2, workers=w, epochs=2) for w in (1, 8))
    )
    assert np.abs(one_worker.output).max(axis=1).min() > 0
    np.testing.assert_allclose(
        many_workers.output, one_worker.output, atol=0.05 * np.abs(one_worker.output).max()
    )


def test_a_long_sentence_is_split_into_equal_pieces():
    n = MAX_SENTENCE_TOKENS
    sentence = [str(i % 7) for i in range(2 * n + 1)]
    config = SkipGram(vector_size=4, window=1, shrink_windows=False, workers=1, epochs=1)
    whole = train_epochs(prepare(Sentences.of([sentence]), config), config)
    corpus = prepare(Sentences.of([sentence]), config)
    trainer = NumbaTrainer(corpus, config)
    trainer.train_piece(Piece(corpus.shards[0].tokens, np.array([0, 6_667, 13_334, 20_001])))
    assert np.array_equal(whole.input, trainer.input)


def test_neighbours_are_learned():
    random = np.random.default_rng(4)
    group = random.integers(0, 5, 600)
    sentences = Sentences.of((group[:, None] * 8 + random.integers(0, 8, (600, 8))).astype(str).tolist())
    for objective in ("skipgram", "cbow"):
        config = TrainConfig(vector_size=16, epochs=10, workers=2, objective=objective)
        corpus = prepare(sentences, config)
        trainer = train_epochs(corpus, config)
        scores = trainer.input @ trainer.output.T
        of = np.array([int(item) // 8 for item in corpus.vocabulary.ids])
        same = of[:, None] == of[None, :]
        assert scores[same].min() > scores[~same].max()
