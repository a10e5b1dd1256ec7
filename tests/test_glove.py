"""GloVe: a step and an epoch against a NumPy reference, the loss, and models of GloVe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import item2vec
from item2vec import GloVe, Sentences, train
from item2vec.errors import TrainingError
from item2vec.kernels.glove import Pairs, State, fit_pairs
from item2vec.retraining.health import measure_health
from item2vec.training.cooccurrence import in_windows
from item2vec.training.corpus import Reading, prepare
from item2vec.training.glove_trainer import GloVeTrainer

PLAYLISTS = [["a", "b", "c", "d"], ["b", "c", "e"], ["a", "c", "e", "d"], ["d", "e"], ["a", "b", "e"]] * 3
QUICK = {"objective": "glove", "vector_size": 4, "epochs": 5, "workers": 1}


def random_state(n, size, seed):
    """Return vectors and biases of both kinds, and accumulators from 1 to 2."""
    random = np.random.default_rng(seed)
    shapes = [(n, size), (n, size), n, n]
    return State(
        *(random.normal(size=shape).astype(np.float32) for shape in shapes),
        *((1 + random.random(shape)).astype(np.float32) for shape in shapes),
    )


def random_pairs(n, n_pairs, seed):
    random = np.random.default_rng([seed, 1])
    codes = random.integers(0, n, (2, n_pairs)).astype(np.int32)
    return Pairs(*codes, *random.random((2, n_pairs), np.float32))


def reference(state, pairs, order, alpha):
    """Equation 8 and its gradient, pair by pair, in float64."""
    w, c, b, d, *squares = (array.astype(np.float64) for array in state)
    loss = 0.0
    for at in order:
        i, j, weight = pairs.items[at], pairs.contexts[at], float(pairs.weights[at])
        error = w[i] @ c[j] + b[i] + d[j] - float(pairs.logs[at])
        loss += weight / 2 * error**2
        gradients = [weight * error * c[j], weight * error * w[i], weight * error, weight * error]
        for values, square, row, gradient in zip((w, c, b, d), squares, (i, j, i, j), gradients, strict=True):
            values[row] -= alpha * gradient / np.sqrt(square[row])
            square[row] += gradient**2
    return loss, (w, c, b, d, *squares)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 20), st.integers(0, 2**20))
def test_steps_equal_a_numpy_reference(n, size, n_pairs, seed):
    state, pairs = random_state(n, size, seed), random_pairs(n, n_pairs, seed)
    order = np.random.default_rng([seed, 2]).permutation(n_pairs)
    expected_loss, expected = reference(state, pairs, order, 0.05)
    assert fit_pairs(state, pairs, order, 0.05) == pytest.approx(expected_loss, rel=1e-4)
    for found, wanted in zip(state, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 2**20), st.integers(0, 3), st.integers(0, 3))
def test_the_gradient_is_the_derivative_of_the_loss(seed, item, context):
    """A tiny step changes the loss by -alpha times the squared gradient, divided by the accumulators."""
    ones = *np.ones((2, 4, 3), np.float32), *np.ones((2, 4), np.float32)
    state = State(*random_state(4, 3, seed)[:4], *ones)
    pairs = Pairs(*np.array([[item], [context]], np.int32), *np.array([[1.5], [0.5]], np.float32))
    before = [array.copy() for array in state]
    loss = fit_pairs(state, pairs, np.array([0]), 1e-3)
    error = before[0][item] @ before[1][context] + before[2][item] + before[3][context] - 1.5
    assert loss == pytest.approx(0.25 * error**2, rel=1e-3, abs=1e-6)
    squared = sum(((new - old) ** 2).sum() for new, old in zip(state[:4], before[:4], strict=True)) / 1e-6
    later = fit_pairs(state, pairs, np.array([0]), 1e-3)
    assert later - loss == pytest.approx(-1e-3 * squared, rel=0.1, abs=1e-4)


def test_an_epoch_fits_each_pair_once():
    config = GloVe(vector_size=3, window=2, x_max=5, workers=1)
    corpus = prepare(Sentences.of(PLAYLISTS), config)
    trainer = GloVeTrainer(corpus, config)
    counts = in_windows(corpus, 1, 2, lambda step: 1 / step, forward_only=False).toarray()
    items, contexts = np.nonzero(counts)
    pairs = trainer._pairs
    np.testing.assert_array_equal(np.sort(pairs.items * 5 + pairs.contexts), np.sort(items * 5 + contexts))
    found = counts[pairs.items, pairs.contexts]
    np.testing.assert_allclose(pairs.logs, np.log(found), rtol=1e-6)
    np.testing.assert_allclose(pairs.weights, np.minimum(1, found / 5) ** 0.75, rtol=1e-6)
    state = State(*(array.copy() for array in trainer._state))
    order = np.random.default_rng([1, 3, 0]).permutation(len(pairs.items))
    loss, expected = reference(state, pairs, order, config.alpha)
    found = trainer.train_piece(next(Reading(corpus, 1).pieces(1)))
    assert (found.total, found.n) == (pytest.approx(loss, rel=1e-4), len(order))
    np.testing.assert_allclose(trainer.input, expected[0], atol=1e-5)
    np.testing.assert_allclose(trainer.output, expected[1], atol=1e-5)


def test_the_loss_falls_and_is_recorded():
    vectors = train(Sentences.of(PLAYLISTS), **QUICK | {"epochs": 30})
    losses = [epoch.loss for epoch in vectors.curve]
    assert len(losses) == 30
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 10


def test_the_model_fits_the_logarithms_of_the_counts():
    config = GloVe(vector_size=5, epochs=500, x_max=1, alpha=0.2, workers=1)
    corpus = prepare(Sentences.of(PLAYLISTS), config)
    trainer = GloVeTrainer(corpus, config)
    for piece in Reading(corpus, 1).pieces(config.epochs):
        trainer.train_piece(piece)
    pairs, state = trainer._pairs, trainer._state
    fitted = state.input @ state.output.T + state.input_bias[:, None] + state.output_bias
    np.testing.assert_allclose(fitted[pairs.items, pairs.contexts], pairs.logs, atol=0.1)


def test_one_worker_gives_the_same_bytes_and_a_seed_others():
    once, again, other = (train(Sentences.of(PLAYLISTS), **QUICK, seed=seed) for seed in (1, 1, 2))
    assert (once.input == again.input).all()
    assert (once.output == again.output).all()
    assert (once.input != other.input).any()
    several = train(Sentences.of(PLAYLISTS), **QUICK | {"workers": 3})
    np.testing.assert_allclose(several.curve[-1].loss, once.curve[-1].loss, rtol=0.5)


def test_an_item_without_pairs_in_a_matrix_has_no_vector_there():
    vectors = train(Sentences.of([["a", "b"], ["a", "c"]] * 3), **QUICK, forward_only=True)
    rows = vectors.vocabulary.encode(["a", "b", "c"])
    assert vectors.has_input[rows].tolist() == [True, False, False]
    assert vectors.output.any(axis=1)[rows].tolist() == [False, True, True]


def test_training_continues_from_vectors_and_keeps_frozen_ones():
    start = train(Sentences.of(PLAYLISTS), **QUICK)
    longer = Sentences.of([*PLAYLISTS, ["a", "new", "b"]])
    kept = train(longer, **QUICK, start=start, freeze=True)
    rows = kept.vocabulary.encode(start.vocabulary.ids)
    assert (kept.input[rows] == start.input).all()
    assert "new" in kept
    assert (train(longer, **QUICK, start=start).input[rows] != start.input).any()


def test_patience_stops_and_a_too_high_rate_is_an_error():
    stopped = train(
        Sentences.of(PLAYLISTS), **QUICK | {"epochs": 200, "patience": 1}, validation=Sentences.of(PLAYLISTS)
    )
    assert len(stopped.curve) < 200
    with pytest.raises(TrainingError, match="a vector is not finite; lower alpha"):
        train(Sentences.of(PLAYLISTS), **QUICK | {"alpha": 1000, "vector_size": 64, "epochs": 50})


def test_a_model_of_glove_is_saved_and_loaded(tmp_path):
    model = item2vec.fit(Sentences.of(PLAYLISTS), **QUICK, x_max=3, window="full")
    model.save(tmp_path / "model")
    loaded = item2vec.load(tmp_path / "model")
    assert loaded.vectors.config == model.vectors.config == GloVe(**QUICK, x_max=3, window="full")
    assert loaded.vectors.curve == model.vectors.curve
    assert loaded.recommend(["a"], k=3) == model.recommend(["a"], k=3)
    assert measure_health(loaded).norm_growth > 1
