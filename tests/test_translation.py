"""Two catalogues in one space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge

from item2vec import ItemVectors, Sentences, Vocabulary, errors
from item2vec.translation import Translation, align, join_catalogues


def catalogue(name, matrix):
    ids = Vocabulary(tuple(f"{name}{row}" for row in range(len(matrix))))
    return ItemVectors(ids, np.asarray(matrix, np.float32), None, np.ones(len(matrix)))


def centred(vectors):
    unit = vectors.input / np.linalg.norm(vectors.input, axis=1, keepdims=True)
    unit = unit - unit.mean(axis=0)
    return unit / np.linalg.norm(unit, axis=1, keepdims=True)


def two(n_source=30, n_target=25, size=6, target_size=6, seed=1):
    random = np.random.default_rng(seed)
    return (
        catalogue("a", random.normal(size=(n_source, size))),
        catalogue("b", random.normal(size=(n_target, target_size))),
        [(f"a{row}", f"b{row}") for row in range(0, 20, 2)],
    )


@given(st.integers(0, 2**16))
def test_procrustes_is_that_of_scipy_and_orthogonal(seed):
    a, b, pairs = two(seed=seed)
    matrix = align(a, b, pairs).matrix
    rotation, _ = orthogonal_procrustes(centred(a)[0:20:2], centred(b)[0:20:2])
    np.testing.assert_allclose(matrix, rotation, atol=1e-4)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-5)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_ridge_is_that_of_scikit_learn_and_maps_between_dimensions(penalty):
    a, b, pairs = two(target_size=4)
    model = Ridge(alpha=penalty, fit_intercept=False).fit(centred(a)[0:20:2], centred(b)[0:20:2])
    translation = align(a, b, pairs, method="ridge", penalty=penalty)
    np.testing.assert_allclose(translation.matrix, model.coef_.T, atol=1e-5)
    assert translation.in_target_space().input.shape == (30, 4)


def test_a_rotated_catalogue_is_translated_exactly():
    random = np.random.default_rng(3)
    matrix = random.normal(size=(40, 6))
    rotation, _ = np.linalg.qr(random.normal(size=(6, 6)))
    a, b = catalogue("a", matrix), catalogue("b", matrix @ rotation)
    translation = align(a, b, [(f"a{row}", f"b{row}") for row in range(8)])
    rest = [(f"a{row}", f"b{row}") for row in range(8, 40)]
    for csls in (False, True):
        assert translation.precision(rest, k=[1, 3], csls=csls) == {"precision@1": 1.0, "precision@3": 1.0}
        assert [translation.translate(x, k=1, csls=csls)[0].item for x, _ in rest] == [y for _, y in rest]


def test_csls_is_that_of_its_definition():
    a, b, pairs = two()
    translation = align(a, b, pairs)
    x = centred(a) @ translation.matrix
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosines = x @ centred(b).T
    for row in range(len(a)):
        expected = [
            2 * cosines[row, other]
            - np.sort(cosines[row])[-10:].mean()
            - np.sort(cosines[:, other])[-10:].mean()
            for other in range(len(b))
        ]
        found = translation.translate(f"a{row}", k=25)
        assert [r.item for r in found] == [f"b{other}" for other in np.argsort(expected)[::-1]]
        np.testing.assert_allclose([r.score for r in found], sorted(expected)[::-1], atol=1e-5)
    plain = translation.translate("a3", k=2, csls=False)
    np.testing.assert_allclose([r.score for r in plain], np.sort(cosines[3])[::-1][:2], atol=1e-5)


def test_precision_counts_pairs_whose_target_is_among_the_best_k():
    a, b = catalogue("a", np.eye(4)), catalogue("b", [*np.eye(4)[:3], np.eye(4)[0]])
    translation = Translation(a, b, np.eye(4))
    ranks = [
        [r.item for r in translation.translate(f"a{row}", k=4, csls=False)].index(f"b{other}")
        for row, other in ((1, 1), (2, 1))
    ]
    assert ranks[0] == 0
    assert ranks[1] > 0
    assert translation.precision([("a1", "b1"), ("a2", "b1")], k=[1, 4], csls=False) == {
        "precision@1": 0.5,
        "precision@4": 1.0,
    }
    # b0 and b3 have equal vectors: the tie counts against the pair.
    assert translation.precision([("a0", "b0")], k=[1, 2], csls=False) == {
        "precision@1": 0.0,
        "precision@2": 1.0,
    }


def test_an_item_without_a_vector_is_neither_translated_nor_an_answer():
    a = catalogue("a", [[1, 0], [0, 0], [0, 1], [1, 1]])
    b = catalogue("b", [[0, 1], [1, 0], [0, 0], [1, 1]])
    translation = align(a, b, [("a0", "b1"), ("a2", "b0")])
    assert "b2" not in [item.item for item in translation.translate("a3", k=9)]
    with pytest.raises(errors.InputError, match="'a1' has no input vector"):
        translation.translate("a1")
    with pytest.raises(errors.InputError, match="'b2' of a pair has no input vector"):
        align(a, b, [("a0", "b2")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": []}, "pairs is empty"),
        ({"pairs": [("a0", "b99")]}, "unknown item 'b99'"),
        ({"pairs": [("a0",)]}, "expected two ids"),
        ({"pairs": ["ab"]}, "expected a list of ids"),
        ({"pairs": [("a0", 1)]}, "expected two ids"),
        ({"method": "pca"}, "expected 'procrustes' or 'ridge'"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"target": catalogue("b", np.ones((20, 3)) + np.eye(20, 3))}, "set method='ridge'"),
    ],
)
def test_errors_name_the_cause(change, message):
    a, b, pairs = two()
    arguments = {"source": a, "target": b, "pairs": pairs, **change}
    with pytest.raises((errors.InputError, errors.UnknownItemError), match=message):
        align(arguments.pop("source"), arguments.pop("target"), arguments.pop("pairs"), **arguments)


def test_joined_catalogues_replace_only_items_of_pairs():
    a = Sentences.of([["a1", "a2", "a1"]] * 200)
    b = Sentences.of([["b1", "b3"]] * 100)
    joined = join_catalogues(a, b, [("a1", "b1")], swap=0.25, seed=3)
    assert joined.lengths.tolist() == [3] * 200 + [2] * 100
    first = [sentence[0] for sentence in joined]
    assert {sentence[1] for sentence in joined} == {"a2", "b3"}
    assert set(first) == {"a1", "b1"}
    assert 0.15 < np.mean([item == "b1" for item in first[:200]]) < 0.35
    assert 0.15 < np.mean([item == "a1" for item in first[200:]]) < 0.35
    assert list(join_catalogues(a, b, [("a1", "b1")], swap=0.0)) == [*a, *b]
    with pytest.raises(errors.InputError, match="prefix"):
        join_catalogues(a, a, [])
    with pytest.raises(errors.InputError, match="swap is 2"):
        join_catalogues(a, b, [], swap=2)
