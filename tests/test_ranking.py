"""The k highest scores: worked examples, and a full sort."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec.ranking import top_k

INF = np.inf


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [
        ([0.1, 0.7, 0.3], 2, [1, 2]),
        ([0.7, 0.1, 0.7], 2, [0, 2]),  # equal scores: by row
        ([0.0, 0.0, 0.0, 0.0], 2, [0, 1]),
        ([0.1, -INF, 0.3], 3, [2, 0]),  # -inf is never returned
        ([-INF, -INF], 1, []),
        ([0.1], 5, [0]),
        ([], 1, []),
    ],
)
def test_worked_examples(scores, k, expected):
    assert top_k(np.array(scores), k).tolist() == expected


scores = st.lists(
    st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 1e-40, np.inf])
    | st.floats(allow_nan=False, width=32),
    max_size=60,
)


def best_by_sorting(values, k):
    rows = [row for row in range(len(values)) if values[row] > -np.inf]
    return sorted(rows, key=lambda row: (-values[row], row))[:k]


@examples(300)
@given(scores, st.integers(1, 70), st.sampled_from([np.float32, np.float64]))
def test_top_k_equals_the_head_of_a_full_sort(values, k, dtype):
    column = np.array(values, dtype=dtype)
    before = column.copy()
    assert top_k(column, k).tolist() == best_by_sorting(column.tolist(), k)
    assert column.tobytes() == before.tobytes()
