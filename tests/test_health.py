"""Health statistics agree with their formulas, and distinguish sound models from broken ones."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import ItemVectors, Recommender, Sentences, Vocabulary, train
from item2vec.config import GatesConfig
from item2vec.errors import TrainingError
from item2vec.retraining import health as health_module
from item2vec.retraining.gates import of_health
from item2vec.retraining.health import measure_health

GENSIM = {"objective": "skipgram", "backend": "gensim", "epochs": 5}
OURS = {"objective": "skipgram", "backend": "numba"}
CBOW = {"objective": "cbow", "backend": "numba"}
NEXT_ITEM = {"objective": "next_item", "vector_size": 64}
INNER = NEXT_ITEM | {"similarity": "inner", "tied": 0}


def failed(health):
    """Return the names of the gates that a model with this health does not pass."""
    gates = of_health(health, GatesConfig())
    return [gate.name for gate in gates if not gate.passed]


def model_of(rows, output=None, *, config=None, counts=None, **how):
    rows = np.asarray(rows, dtype=np.float32)
    ids = tuple(f"i{row}" for row in range(len(rows)))
    counts = np.ones(len(rows)) if counts is None else counts
    return Recommender(ItemVectors(Vocabulary(ids), rows, output, counts, config), **how)


@functools.cache
def corpus():
    """Return histories of 12 items. The items of a history belong to one of 20 genres of 15 items."""
    random = np.random.default_rng(3)
    genres = random.integers(20, size=400)
    return Sentences.of([[f"{genre}-{item}" for item in random.integers(15, size=12)] for genre in genres])


@functools.cache
def trained(**settings):
    return train(corpus(), seed=1, workers=1, **settings)


def with_rows(vectors, **matrices):
    return Recommender(dataclasses.replace(vectors, **matrices))


@pytest.mark.parametrize("settings", [GENSIM, OURS, CBOW, NEXT_ITEM], ids=str)
def test_a_trained_model_passes_all_gates(settings):
    health = measure_health(Recommender(trained(**settings)))
    assert failed(health) == []
    assert json.loads(json.dumps(dataclasses.asdict(health)))["n_items"] == 300


@pytest.mark.parametrize("settings", [GENSIM, OURS, CBOW, INNER], ids=str)
def test_an_untrained_model_is_detected_by_its_norms(settings):
    health = measure_health(Recommender(trained(**{**settings, "alpha": 1e-7, "min_alpha": 0.0})))
    assert health.norm_growth == pytest.approx(1, abs=0.1)
    assert {"norm_growth", "output_norm"} <= set(failed(health))


@pytest.mark.parametrize(
    ("settings", "gate"),
    [(GENSIM, "norm_max"), (INNER, "norm_growth")],
    ids=str,
)
def test_a_diverged_model_is_detected(settings, gate):
    assert gate in failed(measure_health(Recommender(trained(**{**settings, "alpha": 100.0}))))


def test_collapsed_rows_are_detected():
    vectors = trained(**OURS)
    noise = np.random.default_rng(1).normal(size=vectors.input.shape)
    collapsed = measure_health(with_rows(vectors, input=vectors.input[0] + 0.01 * noise))
    assert failed(collapsed) == ["mean_cosine"]
    line = np.outer(np.linspace(-2, 2, len(vectors)), vectors.input[0])
    collinear = measure_health(with_rows(vectors, input=line + 1e-3 * noise))
    assert "effective_rank" in failed(collinear)
    assert measure_health(with_rows(vectors, input=np.ones(vectors.input.shape))).effective_rank == 0


def test_duplicate_rows_are_detected():
    vectors = trained(**OURS)
    rows = vectors.input.copy()
    rows[100:200] = rows[100]
    health = measure_health(with_rows(vectors, input=rows))
    assert health.duplicate_share == pytest.approx(99 / 300)
    assert failed(health) == ["duplicate_share"]


@examples(100)
@given(st.data(), st.integers(1, 40), st.integers(1, 5))
def test_duplicates_agree_with_a_set_of_rows(data, n, size):
    row = st.lists(st.sampled_from([-1.0, 0.0, -0.0, 1.0, 0.5]), min_size=size, max_size=size)
    rows = np.array(data.draw(st.lists(row, min_size=n, max_size=n)), dtype=np.float32)
    distinct = {tuple(values) for values in rows.tolist()}
    random = np.random.default_rng(data.draw(st.integers(0, 3)))
    assert health_module._duplicate_share(rows, random) == pytest.approx(1 - len(distinct) / n)


@examples(50)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_statistics_agree_with_their_formulas(n, size, seed):
    random = np.random.default_rng(seed)
    rows, output = random.normal(size=(2, n, size)).astype(np.float32)
    health = measure_health(model_of(rows, output))
    norms = np.linalg.norm(rows.astype(float), axis=1)
    assert health.norm_median == pytest.approx(np.median(norms))
    assert health.norm_max == pytest.approx(norms.max())
    assert health.norm_growth == pytest.approx(np.median(norms) * math.sqrt(3 * size))
    assert health.output_norm == pytest.approx(np.median(np.linalg.norm(output, axis=1)), rel=1e-5)
    units = rows / norms[:, None]
    cosines = [units[i] @ units[j] for i in range(n) for j in range(n) if i != j]
    assert health.mean_cosine == pytest.approx(np.mean(cosines) if cosines else 0, abs=1e-5)
    values = np.linalg.svd(units - units.mean(axis=0), compute_uv=False)
    shares = values[values > 1e-5] / values[values > 1e-5].sum()
    expected = np.exp(-(shares * np.log(shares)).sum()) if len(shares) else 0
    assert health.effective_rank == pytest.approx(expected, rel=1e-3)
    assert -1e-9 <= health.effective_rank_share <= 1 + 1e-9
    assert (health.self_retrieval, health.index_recall) == (1, 1)
    assert all(math.isfinite(value) for value in dataclasses.astuple(health))


def test_large_models_are_sampled():
    random = np.random.default_rng(5)
    rows = random.normal(size=(5000, 4))
    rows[4999] *= 1000
    health = measure_health(model_of(rows))
    assert health.norm_max == pytest.approx(np.linalg.norm(rows, axis=1).max())
    assert health.effective_rank_share > 0.99
    assert health == measure_health(model_of(rows), seed=1)
    assert health.mean_cosine != measure_health(model_of(rows), seed=2).mean_cosine


@pytest.mark.parametrize("score", ["cosine", "output"])
def test_an_index_of_low_recall_is_detected(score):
    random = np.random.default_rng(8)
    rows, output = random.normal(size=(2, 3000, 16)).astype(np.float32)
    model = model_of(rows, output, score=score, index="annoy")
    sound = measure_health(model)
    assert sound.self_retrieval >= 0.99
    assert 0.9 <= sound.index_recall <= 1
    hasty = dataclasses.replace(
        model.index, description=dataclasses.replace(model.index.description, search_k=1)
    )
    broken = measure_health(Recommender.from_parts(dataclasses.replace(model.parts, index=hasty)))
    assert "index_recall" in failed(broken)


def test_an_index_of_other_rows_is_detected():
    rows = np.random.default_rng(9).normal(size=(500, 16)).astype(np.float32)
    model, other = model_of(rows), model_of(rows[::-1].copy())
    swapped = Recommender.from_parts(dataclasses.replace(model.parts, index=other.index))
    assert failed(measure_health(swapped)) == ["self_retrieval"]


def test_equal_rows_count_as_retrieved():
    health = measure_health(model_of(np.repeat(np.random.default_rng(2).normal(size=(20, 4)), 5, axis=0)))
    assert health.self_retrieval == 1
    assert health.duplicate_share == pytest.approx(0.8)


def test_a_model_without_a_trained_input_vector_has_no_health():
    """A run refuses to publish after this error."""
    rows = np.array([[0, 0], [0, 0], [1, 2]])  # the last item is new
    with pytest.raises(TrainingError, match="none of the 2 items with a count above 0 has an input vector"):
        measure_health(model_of(rows, np.ones((3, 2), np.float32), counts=np.array([1.0, 1, 0])))


def test_items_without_an_input_vector_contribute_their_output_vector_only():
    random = np.random.default_rng(4)
    rows, output = random.normal(size=(2, 200, 16)).astype(np.float32)
    with_input = measure_health(model_of(rows[:120], output[:120]))
    rows[120:] = 0
    health = measure_health(model_of(rows, output, score="output"))
    assert health.n_items == 200
    assert health.norm_median == with_input.norm_median
    assert health.duplicate_share == 0
    assert health.self_retrieval == 1
    assert health.index_recall == 1
    assert health.effective_rank == pytest.approx(with_input.effective_rank)
    assert health.mean_cosine == pytest.approx(with_input.mean_cosine)
