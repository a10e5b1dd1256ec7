"""The training loss of each epoch: against NumPy, falling, equal in every run, and kept in bundles."""

import dataclasses
import json

import numpy as np
import pytest

from item2vec import Recommender, Sentences, load, train
from item2vec.config import CBOW, SkipGram
from item2vec.training.corpus import Reading, prepare
from item2vec.training.gensim_trainer import GensimTrainer, _paths
from item2vec.training.sampled_loss import Sample, Terms, loss_of

NEXT_ITEM = {
    "objective": "next_item",
    "dropout": 0.0,
    "vector_size": 12,
    "epochs": 6,
    "workers": 1,
    "seed": 3,
}
SKIPGRAM = {"objective": "skipgram", "vector_size": 12, "epochs": 6, "workers": 1, "seed": 3, "alpha": 0.1}
TRAINERS = {
    "next_item": NEXT_ITEM,
    "skipgram numba": SKIPGRAM | {"backend": "numba"},
    "cbow numba": SKIPGRAM | {"objective": "cbow", "backend": "numba"},
    "skipgram gensim": SKIPGRAM,
    "cbow gensim": SKIPGRAM | {"objective": "cbow"},
    "hierarchical softmax": SKIPGRAM | {"hs": True, "negative": 0},
    "both": SKIPGRAM | {"hs": True},
}


def walks(n=150, n_items=20, seed=0, **fields):
    starts = np.random.default_rng(seed).integers(0, n_items, n)
    sentences = [[str((start + step) % n_items) for step in range(6)] for start in starts]
    return dataclasses.replace(Sentences.of(sentences), **fields)


@pytest.mark.parametrize("setting", TRAINERS.values(), ids=TRAINERS)
def test_the_loss_falls_and_is_the_same_in_every_run(setting):
    curve = train(walks(), **setting).curve
    assert [(point.epoch, point.hr, point.ndcg) for point in curve] == [(n, None, None) for n in range(1, 7)]
    losses = [point.loss for point in curve]
    assert losses[-1] == min(losses)
    assert losses[-1] < 0.9 * losses[0]
    assert train(walks(), **setting).curve == curve


@pytest.mark.parametrize("workers", [2, 3])
def test_the_loss_of_next_item_does_not_depend_on_workers(workers):
    sentences = walks(300)
    one = train(sentences, **NEXT_ITEM).curve
    assert train(sentences, **NEXT_ITEM | {"workers": workers}).curve == one


def test_the_first_loss_of_next_item_is_that_of_random_vectors():
    """With a tiny learning rate: a target and 20 negatives, all items, of equal expected score."""
    setting = NEXT_ITEM | {"epochs": 1, "alpha": 1e-5, "min_alpha": 0, "similarity": "inner", "tied": 0}
    (point,) = train(walks(), **setting).curve
    assert point.loss == pytest.approx(np.log(20), abs=0.05)


def test_an_untrained_pair_of_word2vec_has_the_loss_of_six_coins():
    """Output vectors start at zero, so that each of the target and five negatives has probability .5."""
    setting = {"objective": "skipgram", "backend": "numba", "epochs": 1, "alpha": 1e-6, "min_alpha": 0}
    (point,) = train(walks(n_items=2000), **setting).curve
    assert point.loss == pytest.approx(6 * np.log(2), abs=0.01)


def test_a_sampled_loss_by_hand():
    source, rows = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 1.0], [3.0, 0.5], [0.0, 0.0]])
    terms = Terms(np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([1.0, -1.0, 1.0]))
    expected = (np.log(1 + np.exp(-3)) + np.log(1 + np.exp(4)) + np.log(2)) / 2
    assert loss_of(source, [(rows, terms)]) == pytest.approx(expected)


@pytest.mark.parametrize("mean", [True, False])
def test_a_window_of_cbow_has_the_mean_or_the_sum_of_its_contexts(mean):
    tokens, offsets = np.array([0, 1, 2, 3, 4], np.int32), np.array([0, 3, 5])
    config = CBOW(window=5, shrink_windows=False, cbow_mean=mean, negative=1)
    sample = Sample.of(tokens, offsets, np.ones(5), config)
    vectors = np.eye(5, dtype=np.float32)
    of = {0: [0, 1, 1, 0, 0], 1: [1, 0, 1, 0, 0], 2: [1, 1, 0, 0, 0], 3: [0, 0, 0, 0, 1], 4: [0, 0, 0, 1, 0]}
    for target, source in zip(sample.targets.tolist(), sample.sources(vectors), strict=True):
        expected = np.array(of[target], float)
        np.testing.assert_allclose(source, expected / expected.sum() if mean else expected)


@pytest.mark.parametrize("shrink", [True, False])
def test_sampled_pairs_are_in_a_window_of_one_sentence(shrink):
    tokens, offsets = np.arange(400, dtype=np.int32), np.arange(0, 401, 8)
    sample = Sample.of(tokens, offsets, np.ones(400), SkipGram(window=3, shrink_windows=shrink))
    distance = np.abs(sample.targets - sample.contexts)
    assert (sample.targets // 8 == sample.contexts // 8).all()
    assert set(distance.tolist()) == {1, 2, 3}
    near = np.mean(distance == 1)
    assert (near > 0.5) == shrink  # 11 / 18 of the pairs with shrunk windows, about a third without


def test_the_paths_of_hierarchical_softmax_have_gensims_likelihood():
    """The probabilities of all targets sum to 1; gensim's ``score`` is a log-likelihood."""
    config = SkipGram(hs=True, negative=0, window=1, shrink_windows=False, vector_size=6, workers=1)
    corpus = prepare(walks(40), config)
    trainer = GensimTrainer(corpus, config)
    trainer.train_piece(next(Reading(corpus, 1).pieces(1)))

    def losses(targets, contexts):
        paths = _paths(trainer._model, trainer._words, np.array(targets, np.int32))
        terms = [
            Terms(np.zeros(sum(own), int), paths.rows[own], paths.signs[own])
            for own in (paths.owners == number for number in range(len(targets)))
        ]
        rows = trainer.input[contexts]
        return [loss_of(rows[[n]], [(trainer._model.syn1, part)]) for n, part in enumerate(terms)]

    n = len(corpus.vocabulary)
    assert np.exp(-np.array(losses(range(n), [3] * n))).sum() == pytest.approx(1)
    expected = -float(trainer._model.score([["0", "1"]], total_sentences=1)[0])  # each item from the other
    assert sum(losses([0, 1], [1, 0])) == pytest.approx(expected, rel=0.03)  # gensim reads a table


def test_a_validated_epoch_has_a_loss_too():
    curve = train(walks(), validation=walks(20, seed=1), **NEXT_ITEM).curve
    assert all(point.loss > 0 and point.hr is not None and point.ndcg is not None for point in curve)
    assert [point.loss for point in curve] == [point.loss for point in train(walks(), **NEXT_ITEM).curve]


def test_the_curve_survives_a_bundle(tmp_path):
    vectors = train(walks(), **NEXT_ITEM)
    Recommender(vectors, index="exact").save(tmp_path / "model")
    assert load(tmp_path / "model").vectors.curve == vectors.curve
    curve = json.loads((tmp_path / "model" / "manifest.json").read_text())["curve"]
    assert curve[0] == [1, None, None, vectors.curve[0].loss]
