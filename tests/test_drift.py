"""Drift between two models does not depend on rotation, row order or norms."""

import dataclasses
import json

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import ItemVectors, Recommender, Vocabulary
from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.retraining import drift as drift_module
from item2vec.retraining.drift import compare_models


def model_of(rows, *, ids=None, counts=None):
    rows = np.asarray(rows, dtype=np.float32)
    ids = ids or [f"i{row}" for row in range(len(rows))]
    counts = np.full(len(rows), 20.0) if counts is None else counts
    return Recommender(ItemVectors(Vocabulary(tuple(ids)), rows, None, counts))


def normal(n, size, seed=1):
    return np.random.default_rng(seed).normal(size=(n, size))


def rotation_of(size, seed=2):
    return np.linalg.qr(normal(size, size, seed))[0]


@examples(30)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 70), st.integers(0, 99))
def test_rotation_order_and_norms_are_no_drift(n, size, k, seed):
    rows = normal(n, size, seed)
    order = np.random.default_rng(seed).permutation(n)
    lengths = np.random.default_rng(seed + 1).uniform(0.5, 2, (n, 1))
    ids = [f"i{row}" for row in order]
    rotated = model_of(((rows * lengths) @ rotation_of(size, seed))[order], ids=ids)
    drift = compare_models(rotated, model_of(rows), k=k)
    assert drift.cosine == pytest.approx(1, abs=1e-5)
    assert drift.overlap is not None
    if size > 2:  # in one or two dimensions many cosines tie up to rounding
        assert drift.overlap == pytest.approx(1, abs=0.05)
    assert (drift.n_common, drift.new_share, drift.gone_share, drift.popularity_shift) == (n, 0, 0, 0)


def test_a_model_does_not_drift_from_itself():
    model = model_of(normal(300, 16))
    drift = compare_models(model, model)
    assert drift.overlap == 1
    assert drift.overlap_by_popularity == (1.0,) * 10
    assert drift.popularity_changes == ()
    assert len(drift.movers) == 20
    assert drift.movers[0].cosine == pytest.approx(1, abs=1e-6)


def test_independent_vectors_agree_by_chance_alone():
    drift = compare_models(model_of(normal(2000, 8)), model_of(normal(2000, 8, seed=3)))
    assert drift.overlap == pytest.approx(10 / 1999, abs=0.005)
    assert drift.cosine == pytest.approx(0.85 * (8 / 2000) ** 0.5, abs=0.02)


def test_a_planted_mover_comes_first():
    rows = normal(400, 8)
    moved = rows @ rotation_of(8) + 0.05 * normal(400, 8, seed=4)
    moved[7] *= -1
    rare = np.full(400, 20.0)
    rare[9] = 3
    moved[9] *= -1
    drift = compare_models(model_of(moved, counts=rare), model_of(rows))
    first = drift.movers[0]
    assert (first.item, first.count, first.live_count) == ("i7", 20, 20)
    assert first.cosine < -0.9 < 0.9 < drift.movers[1].cosine
    assert "i9" not in {mover.item for mover in drift.movers}
    assert list(first.live_neighbours) == [
        similar.item for similar in model_of(rows).similar_items("i7", k=5)
    ]
    assert not set(first.neighbours) & set(first.live_neighbours)
    assert [mover.cosine for mover in drift.movers] == sorted(mover.cosine for mover in drift.movers)


def test_only_common_items_are_compared():
    rows = normal(60, 8)
    ids = [f"i{row}" for row in range(60)]
    crowd = np.repeat(rows[25:35], 5, axis=0) + 1e-3 * normal(50, 8, seed=5)
    new = model_of(
        np.concatenate((crowd, (rows @ rotation_of(8))[20:])),
        ids=[*(f"new{row}" for row in range(50)), *ids[20:]],
    )
    drift = compare_models(new, model_of(rows, ids=ids), k=5)
    assert (drift.n_items, drift.n_live_items, drift.n_common) == (90, 60, 40)
    assert (drift.new_share, drift.gone_share) == (pytest.approx(50 / 90), pytest.approx(20 / 60))
    assert drift.overlap == 1
    assert drift.cosine == pytest.approx(1, abs=1e-5)
    assert {mover.item for mover in drift.movers} <= set(ids[20:])


def test_models_without_common_items():
    drift = compare_models(model_of(normal(5, 4), ids=list("abcde")), model_of(normal(3, 4), ids=list("xyz")))
    assert (drift.n_common, drift.new_share, drift.gone_share) == (0, 1, 1)
    assert (drift.overlap, drift.overlap_by_popularity, drift.cosine, drift.movers) == (None, (), None, ())
    assert drift.popularity_shift == pytest.approx(1)
    assert {change.item for change in drift.popularity_changes} == set("abcdexyz")


def test_models_with_one_common_item():
    drift = compare_models(model_of([[1, 2]], ids=["a"]), model_of([[2, 1], [1, 0]], ids=["b", "a"]))
    assert (drift.n_common, drift.overlap) == (1, None)
    assert drift.cosine == pytest.approx(1)
    assert drift.movers[0].neighbours == ()


def test_vectors_of_different_dimensions_are_not_aligned():
    rows = normal(50, 8)
    wider = np.hstack((rows, np.zeros((50, 4)))) @ rotation_of(12)
    drift = compare_models(model_of(wider), model_of(rows))
    assert drift.overlap == 1
    assert (drift.cosine, drift.movers) == (None, ())


def test_popularity_changes_cover_new_and_gone_items():
    new = model_of(normal(3, 2), ids=["a", "b", "n"], counts=[6, 2, 2])
    live = model_of(normal(3, 2), ids=["b", "a", "g"], counts=[8, 10, 2])
    drift = compare_models(new, live)
    shares = {change.item: (change.share, change.live_share) for change in drift.popularity_changes}
    assert shares == {"a": (0.6, 0.5), "b": (0.2, 0.4), "n": (0.2, 0), "g": (0, 0.1)}
    assert [change.item for change in drift.popularity_changes][:2] in (["b", "n"], ["n", "b"])
    assert drift.popularity_shift == pytest.approx(0.3)


def test_deciles_go_from_frequent_to_rare():
    rows = normal(1000, 8)
    moved = rows.copy()
    moved[500:] = normal(500, 8, seed=6)  # row 0 is the most frequent
    counts = np.arange(1000, 0, -1)
    drift = compare_models(model_of(moved, counts=counts), model_of(rows, counts=counts), k=5)
    assert len(drift.overlap_by_popularity) == 10
    assert min(drift.overlap_by_popularity[:5]) > 0.2 > 0.1 > max(drift.overlap_by_popularity[5:])


def test_large_models_are_sampled(monkeypatch):
    for name, value in {"MAX_QUERIES": 50, "MIN_QUERIES": 20, "MAX_ALIGNED": 100}.items():
        monkeypatch.setattr(drift_module, name, value)
    rows = normal(3000, 8)
    moved = rows @ rotation_of(8)
    counts = np.arange(3000, 0, -1)
    drift = compare_models(model_of(moved, counts=counts), model_of(rows, counts=counts))
    assert (drift.overlap, drift.cosine) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=1e-5))
    assert all(mover.count > 2900 for mover in drift.movers)


def test_the_same_seed_gives_the_same_result(monkeypatch):
    monkeypatch.setattr(drift_module, "MAX_QUERIES", 30)
    monkeypatch.setattr(drift_module, "MIN_QUERIES", 30)
    new, live = model_of(normal(200, 4)), model_of(normal(200, 4) + 0.2 * normal(200, 4, seed=7))
    first, again, other = (compare_models(new, live, seed=seed) for seed in (1, 1, 2))
    assert json.dumps(dataclasses.asdict(first)) == json.dumps(dataclasses.asdict(again))
    assert first.overlap != other.overlap
    with pytest.raises((ConfigError, InputError)):
        compare_models(new, live, k=0)


def test_items_without_an_input_vector_are_not_compared():
    rows, output = normal(300, 8), normal(300, 8, seed=4)
    rows[200:], output = 0, output.astype(np.float32)
    vocabulary = Vocabulary(tuple(f"i{row}" for row in range(300)))
    model = Recommender(ItemVectors(vocabulary, rows, output, np.full(300, 20.0)))
    drift = compare_models(model, model_of(normal(300, 8)))
    assert (drift.n_common, drift.new_share, drift.gone_share) == (300, 0, 0)
    assert (drift.overlap, drift.cosine) == (1, pytest.approx(1, abs=1e-6))
    assert {mover.item for mover in drift.movers} <= set(vocabulary.ids[:200])


@pytest.mark.parametrize(
    ("served", "arguments", "error", "message"),
    [
        (
            model_of([[1, 2], [2, 1]]),
            {"seed": -1},
            ConfigError,
            "seed is -1; expected an integer of at least 0",
        ),
        (model_of([[1, 2], [2, 1]]), {"k": 0}, InputError, "k is 0; expected an integer of at"),
        (None, {}, InputTypeError, "served is None; expected Recommender"),
    ],
)
def test_arguments_are_checked(served, arguments, error, message):
    with pytest.raises(error, match=message):
        compare_models(model_of([[1, 2], [2, 1]]), served, **arguments)
