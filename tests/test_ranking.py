"""The best k are those that a full sort puts first, ties by row."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec.ranking import top_k

scores = st.lists(
    st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 1e-40, np.inf])
    | st.floats(allow_nan=False, width=32),
    max_size=60,
)


def best_by_sorting(values, k):
    rows = [row for row in range(len(values)) if values[row] > -np.inf]
    return sorted(rows, key=lambda row: (-values[row], row))[:k]


@settings(deadline=None, max_examples=300)
@given(scores, st.integers(1, 70), st.sampled_from([np.float32, np.float64]))
def test_top_k_is_a_sort_cut_off(values, k, dtype):
    column = np.array(values, dtype=dtype)
    before = column.copy()
    assert top_k(column, k).tolist() == best_by_sorting(column.tolist(), k)
    assert column.tobytes() == before.tobytes()


def test_nothing_but_ties():
    assert top_k(np.zeros(1000), 5).tolist() == [0, 1, 2, 3, 4]
    assert top_k(np.full(1000, -np.inf), 5).tolist() == []
