"""LSA: counts, weightings and truncated decomposition, against scikit-learn and slow references."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

import item2vec
from item2vec import LSA, Sentences, SkipGram, train
from item2vec.errors import ConfigError, TrainingError
from item2vec.evaluation import evaluate, leave_last_out
from item2vec.retraining.health import measure_health
from item2vec.training import lsa
from item2vec.training.cooccurrence import in_sentences, in_windows, linear, uniform
from item2vec.training.corpus import prepare

LISTS = st.lists(st.lists(st.integers(0, 7).map(str), min_size=2, max_size=9), min_size=1, max_size=8).filter(
    lambda lists: len({item for items in lists for item in items}) > 1
)
PLAYLISTS = [["a", "b", "c", "d"], ["b", "c", "e"], ["a", "c", "e", "d"], ["d", "e"], ["a", "b", "e"]] * 3


def counted(lists, window, weight_of, *, forward_only):
    """Count pairs with three loops; return the items, most frequent first, and the counts."""
    corpus = prepare(Sentences.of(lists), SkipGram())
    code = {item: row for row, item in enumerate(corpus.vocabulary.ids)}
    counts = np.zeros((len(code), len(code)))
    for items in lists:
        for i, j in itertools.combinations(range(len(items)), 2):
            if window is None or j - i <= window:
                counts[code[items[i]], code[items[j]]] += weight_of(j - i)
                counts[code[items[j]], code[items[i]]] += 0 if forward_only else weight_of(j - i)
    return corpus, counts


@given(LISTS, st.sampled_from([1, 2, 5, None]), st.booleans(), st.booleans(), st.integers(1, 4))
def test_window_counts_equal_three_loops(lists, window, shrink, forward_only, block):
    weight_of = linear(window) if shrink and window else uniform
    corpus, expected = counted(lists, window, weight_of, forward_only=forward_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("item2vec.training.cooccurrence.PAIRS_PER_BLOCK", block)
        found = in_windows(corpus, 1, window, weight_of, forward_only=forward_only)
    np.testing.assert_allclose(found.toarray(), expected)


def test_a_token_of_low_weight_counts_less():
    weights = np.array([1, 2, 2], dtype=np.float32)
    sentences = dataclasses.replace(Sentences.of([["a", "b", "c"]]), weights=weights)
    corpus = prepare(sentences, SkipGram())
    found = in_windows(corpus, 1, 1, uniform, forward_only=False)
    codes = corpus.vocabulary.encode(["a", "b", "c"])
    assert found[codes[0], codes[1]] == 0.5
    assert found[codes[1], codes[2]] == 1
    assert in_sentences(corpus)[codes].toarray().ravel().tolist() == [0.5, 1, 1]


def test_unordered_sentences_are_shuffled_and_counted_in_the_whole_sentence():
    sentences = Sentences.of([["a", "b", "c", "d", "e"]] * 200, ordered=False)
    corpus = prepare(sentences, SkipGram())
    near = in_windows(corpus, 1, 1, uniform, forward_only=False).toarray()
    whole = in_windows(corpus, 1, None, uniform, forward_only=False).toarray()
    assert near[~np.eye(5, dtype=bool)].min() > 40
    assert near[~np.eye(5, dtype=bool)].max() < 120
    assert (whole[~np.eye(5, dtype=bool)] == 200).all()


COUNTS = st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=4, max_size=4).map(np.array)


@given(COUNTS.filter(lambda counts: counts.any(axis=0).all() and counts.any(axis=1).all()), st.booleans())
def test_tfidf_is_that_of_scikit_learn(counts, by_item):
    config = LSA(weighting="tfidf", matrix="sentences" if by_item else "items")
    found = lsa.weighted(csr_array(counts.astype(float)), config).toarray()
    documents = counts.T if by_item else counts  # of the items as terms, or of the contexts as terms
    expected = TfidfTransformer(norm=None).fit_transform(documents).toarray()
    np.testing.assert_allclose(found, expected.T if by_item else expected)


@given(COUNTS.filter(np.any), st.integers(1, 5), st.sampled_from([0.0, 0.75, 1.0]))
def test_shifted_ppmi_equals_its_definition(counts, negative, exponent):
    found = lsa.weighted(
        csr_array(counts.astype(float)), LSA(negative=negative, ns_exponent=exponent)
    ).toarray()
    of_contexts = np.array([n**exponent if n else 0 for n in counts.sum(axis=0)])
    for item, context in itertools.product(range(4), range(4)):
        if not counts[item, context]:
            assert found[item, context] == 0
            continue
        joint = counts[item, context] / counts.sum()
        p_item, p_context = counts[item].sum() / counts.sum(), of_contexts[context] / of_contexts.sum()
        expected = max(0.0, np.log(joint / (p_item * p_context)) - np.log(negative))
        assert found[item, context] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("weighting", ["raw", "tfidf", "ppmi"])
def test_the_vectors_are_those_of_scikit_learn_up_to_signs(weighting, is_dense, monkeypatch):
    if not is_dense:
        monkeypatch.setattr(lsa, "DENSE_ELEMENTS", 0)
    config = LSA(weighting=weighting, vector_size=3, window=2, power=1.0)
    corpus = prepare(Sentences.of(PLAYLISTS), config)
    vectors = train(Sentences.of(PLAYLISTS), config=config)
    matrix = lsa.weighted(in_windows(corpus, 1, 2, linear(2), forward_only=False), config)
    model = TruncatedSVD(3, algorithm="arpack", random_state=1)
    expected = model.fit_transform(matrix)
    rows = vectors.vocabulary.encode(corpus.vocabulary.ids)
    np.testing.assert_allclose(np.abs(vectors.input[rows]), np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(np.abs(vectors.output[rows]), np.abs(model.components_.T), atol=1e-5)
    np.testing.assert_allclose(vectors.input @ vectors.output.T, expected @ model.components_, atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_inner_products_do_not_depend_on_the_power_and_approximate_the_matrix(power):
    config = LSA(weighting="raw", vector_size=8, window=2, power=power)
    vectors = train(Sentences.of(PLAYLISTS), config=config)
    counts = in_windows(prepare(Sentences.of(PLAYLISTS), config), 1, 2, linear(2), forward_only=False)
    np.testing.assert_allclose(vectors.input @ vectors.output.T, counts.toarray(), atol=1e-4)
    assert vectors.input.shape == (5, 8)  # five dimensions, padded


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_an_item_sentence_matrix_has_equal_inputs_and_outputs(power):
    config = LSA(matrix="sentences", weighting="raw", vector_size=5, power=power)
    vectors = train(Sentences.of(PLAYLISTS), config=config)
    counts = in_sentences(prepare(Sentences.of(PLAYLISTS), config)).toarray()
    values, basis = np.linalg.eigh(counts @ counts.T)
    expected = basis * np.maximum(values, 0) ** power @ basis.T
    np.testing.assert_allclose(vectors.input @ vectors.output.T, expected, atol=1e-4)
    assert (vectors.input == vectors.output).all()


def test_the_bytes_and_signs_are_reproducible(monkeypatch):
    once, again = (train(Sentences.of(PLAYLISTS), objective="lsa", vector_size=2) for _ in range(2))
    monkeypatch.setattr(lsa, "DENSE_ELEMENTS", 0)
    sparse = train(Sentences.of(PLAYLISTS), objective="lsa", vector_size=2)
    assert (once.input == again.input).all()
    np.testing.assert_allclose(once.input, sparse.input, atol=1e-5)


@pytest.mark.parametrize("is_dense", [True, False])
def test_items_outside_the_kept_dimensions_are_left_out(is_dense, monkeypatch, caplog):
    if not is_dense:
        monkeypatch.setattr(lsa, "DENSE_ELEMENTS", 0)
    lists = [["a", "b"], ["b", "a"]] * 20 + [["x", "y"]]
    with caplog.at_level(logging.WARNING):
        vectors = train(Sentences.of(lists), objective="lsa", weighting="raw", vector_size=2, window=1)
    assert set(vectors.vocabulary.ids) == {"a", "b"}
    assert "2 of 4 items left out" in caplog.text


def test_forward_windows_leave_first_items_without_outputs():
    vectors = train(
        Sentences.of([["a", "b"], ["a", "c"]]),
        objective="lsa",
        weighting="raw",
        vector_size=2,
        forward_only=True,
    )
    rows = vectors.vocabulary.encode(["a", "b"])
    assert vectors.has_input[rows].tolist() == [True, False]
    assert vectors.output.any(axis=1)[rows].tolist() == [False, True]


def test_unordered_sentences_factorise_the_item_sentence_matrix():
    sentences = Sentences.of(PLAYLISTS, ordered=False)
    assert train(sentences, objective="lsa", vector_size=2).config.matrix == "sentences"
    assert train(sentences, objective="lsa", vector_size=2, window=3).config.matrix == "items"


def test_weights_that_are_all_zero_are_an_error():
    with pytest.raises(TrainingError, match=r"all weights of weighting='ppmi' are 0; .* lower negative"):
        train(Sentences.of(PLAYLISTS), objective="lsa", negative=1000)
    pair = Sentences.of([["a", "b"]] * 9)  # each item occurs once in each sentence
    with pytest.raises(TrainingError, match="expected at least one above 0; set weighting='raw'"):
        train(pair, objective="lsa", matrix="sentences", vector_size=1)


def test_a_warm_start_is_an_error():
    vectors = train(Sentences.of(PLAYLISTS), objective="lsa", vector_size=2)
    with pytest.raises(ConfigError, match="computed in one step, without initial vectors; omit start"):
        train(Sentences.of(PLAYLISTS), objective="lsa", vector_size=2, start=vectors)


@pytest.mark.parametrize("setting", [{"epochs": 3}, {"alpha": 0.1}, {"patience": 2}, {"min_alpha": 0.1}])
def test_settings_of_descent_do_not_belong_to_lsa(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} is a setting of .*, not of 'lsa'"):
        LSA(**setting)


def test_validation_is_measured_once_and_the_callback_called_once():
    calls = []
    vectors = train(
        Sentences.of(PLAYLISTS),
        objective="lsa",
        vector_size=2,
        validation=Sentences.of(PLAYLISTS),
        after_epoch=lambda epoch, current: calls.append((epoch, len(current))),
    )
    assert [epoch.epoch for epoch in vectors.curve] == [1]
    assert calls == [(1, 5)]


def test_a_model_of_lsa_is_evaluated_saved_and_loaded(tmp_path):
    split = leave_last_out(Sentences.of(PLAYLISTS))
    model = item2vec.fit(split.train, objective="lsa", vector_size=3, power=0.25, window="full")
    model.save(tmp_path / "model")
    loaded = item2vec.load(tmp_path / "model")
    assert loaded.vectors.config == model.vectors.config
    assert (loaded.vectors.input == model.vectors.input).all()
    assert loaded.recommend(["a", "b"], k=2) == model.recommend(["a", "b"], k=2)
    assert evaluate(loaded, split).metrics == evaluate(model, split).metrics
    assert measure_health(loaded).norm_growth is None
