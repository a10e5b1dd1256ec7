"""Embedding matrices for other models, and subsets of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from item2vec import ItemVectors, Vocabulary
from item2vec.errors import InputError, UnknownItemError

VECTORS = ItemVectors(
    Vocabulary(("a", "b", "c", "last")),
    np.array([[1, 2], [3, 4], [5, 0], [0, 0]]),
    np.ones((4, 2)),
    np.array([4, 3, 2, 1]),
)
MEAN = [3, 2]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, [[0, 0], MEAN, [5, 0], MEAN, [1, 2], MEAN]),
        ({"padding": False}, [MEAN, [5, 0], MEAN, [1, 2], MEAN]),
        ({"unknown": "zeros"}, [[0, 0], [0, 0], [5, 0], [0, 0], [1, 2], [0, 0]]),
        ({"unknown": "zeros", "padding": False}, [[0, 0], [5, 0], [0, 0], [1, 2], [0, 0]]),
    ],
)
def test_rows_follow_the_vocabulary_of_the_caller(how, expected):
    matrix = VECTORS.embedding_matrix(["c", "new", "a", "last"], **how)
    assert matrix.tolist() == expected
    # as torch.from_numpy, nn.Embedding.from_pretrained and Keras require
    assert (matrix.dtype, matrix.flags.c_contiguous, matrix.flags.writeable) == (np.float32, True, True)
    assert matrix.flags.owndata
    matrix[:] = 9
    assert VECTORS["a"].tolist() == [1, 2]


def test_without_an_unknown_row_every_id_has_a_vector():
    assert VECTORS.embedding_matrix(iter(["b", "b"]), unknown=None).tolist() == [[0, 0], [3, 4], [3, 4]]
    assert VECTORS.embedding_matrix([], unknown=None, padding=False).shape == (0, 2)
    with pytest.raises(UnknownItemError, match="unknown item 'new'"):
        VECTORS.embedding_matrix(["a", "new"], unknown=None)
    with pytest.raises(InputError, match="item 'last' has no input vector"):
        VECTORS.embedding_matrix(["a", "last"], unknown=None)
    with pytest.raises(InputError, match="expected 'mean', 'zeros', or None"):
        VECTORS.embedding_matrix(["a"], unknown="noise")


def test_a_subset_has_the_known_ids_in_their_order():
    some = VECTORS.select(iter(["c", "new", "a", "c"]))
    assert some.vocabulary.ids == ("c", "a")
    assert (some.input.tolist(), some.counts.tolist()) == ([[5, 0], [1, 2]], [2, 4])
    assert some.output.shape == (2, 2)
    with pytest.raises(InputError, match="none of 2 ids is known; expected ids such as 'a'"):
        VECTORS.select(["x", "y"])
