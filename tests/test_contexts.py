"""Item–context pairs: contexts are not items."""

import numpy as np
import pytest

from item2vec import ItemVectors, Vocabulary, adapters, errors, train
from item2vec.contexts import ContextVectors

COUNTS = np.array([[60, 20, 5, 5], [10, 60, 20, 10], [5, 10, 60, 30], [15, 5, 15, 70]])
SETTINGS = {"objective": "skipgram", "backend": "numba", "forward_only": True, "workers": 1, "seed": 7}


def sentences(counts, repeats):
    rows, columns = np.nonzero(counts)
    times = counts[rows, columns] * repeats
    chosen = np.random.default_rng(0).permutation(np.repeat(np.arange(len(rows)), times))
    return adapters.pairs([f"i{rows[n]}" for n in chosen], [f"c{columns[n]}" for n in chosen])


def test_a_pair_is_a_sentence_of_the_item_and_its_context():
    assert list(adapters.pairs(["a", "b"], ["x", "x"])) == [["a", "x"], ["b", "x"]]
    assert list(adapters.pairs([], [])) == []


def test_inner_products_approach_shifted_mutual_information():
    vectors = ContextVectors.of(
        train(
            sentences(COUNTS, 20),
            **SETTINGS,
            vector_size=8,
            negative=2,
            ns_exponent=1.0,
            alpha=0.05,
            epochs=40,
        )
    )
    # Levy & Goldberg, 2014, equation 7. As in word2vec.c, a negative equal to the positive is skipped.
    n_negatives = 2 * (COUNTS.sum(1, keepdims=True) - COUNTS) * COUNTS.sum(0) / COUNTS.sum()
    expected = np.log(COUNTS / n_negatives)
    rows = vectors.items.vocabulary.encode([f"i{n}" for n in range(4)])
    columns = vectors.contexts.encode([f"c{n}" for n in range(4)])
    products = vectors.items.input[rows] @ vectors.output[columns].T
    np.testing.assert_allclose(products, expected, atol=0.15)


def test_queries_are_those_of_a_worked_example():
    items = ItemVectors(Vocabulary(("a", "b", "c")), np.array([[1, 0], [0, 2], [3, 4]]), None, np.ones(3))
    vectors = ContextVectors(items, Vocabulary(("x", "y", "z")), np.array([[1, 0], [2, 0.5], [0, 1]]))
    assert [tuple(r) for r in vectors.items_for("x", k=2)] == [("c", 3.0), ("a", 1.0)]
    assert [tuple(r) for r in vectors.contexts_of("b", k=2)] == [("z", 2.0), ("y", 1.0)]
    assert [r.item for r in vectors.similar_contexts("x", k=9)] == ["y", "z"]
    for query in (vectors.items_for, vectors.similar_contexts):
        with pytest.raises(errors.UnknownItemError, match=r"unknown context 'w' \(3 known\); found no id"):
            query("w")
        with pytest.raises(errors.UnknownItemError, match=r"unknown context 'X'.*; did you mean 'x'"):
            query("X")
    with pytest.raises(errors.UnknownItemError, match="unknown item 'x'"):
        vectors.contexts_of("x")


def test_only_contexts_are_negative_samples():
    vectors = train(sentences(COUNTS, 2), **SETTINGS, vector_size=4, epochs=3)
    is_item = np.array([id_[0] == "i" for id_ in vectors.vocabulary.ids])
    assert vectors.output[~is_item].any(axis=1).all()
    assert not vectors.output[is_item].any()
    assert not vectors.input[~is_item].any()
    separated = ContextVectors.of(vectors)
    assert sorted(separated.items.vocabulary.ids) == ["i0", "i1", "i2", "i3"]
    assert sorted(separated.contexts.ids) == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adapters.pairs(["a"], []), "1 items and 0 contexts"),
        (lambda: adapters.pairs(["a", "b"], ["x", "a"]), "'a' is both an item and a context"),
        (lambda: adapters.pairs("ab", ["x", "y"]), "expected a list of ids"),
        (
            lambda: ContextVectors.of(ItemVectors(Vocabulary(("a",)), np.ones((1, 2)), None, np.ones(1))),
            "no contexts",
        ),
        (
            lambda: ContextVectors(
                ItemVectors(Vocabulary(("a",)), np.ones((1, 2)), None, np.ones(1)),
                Vocabulary(("x",)),
                np.ones((2, 2)),
            ),
            "output has shape",
        ),
    ],
)
def test_errors_name_the_cause(call, message):
    with pytest.raises(errors.InputError, match=message):
        call()
