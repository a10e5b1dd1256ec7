"""An index returns the same rows and scores as a full sort, with any filter, one by one and in batches."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from item2vec.errors import ConfigError, InputError
from item2vec.index import faiss
from item2vec.index.building import build, load
from item2vec.index.exact import ExactIndex
from item2vec.index.groups import GroupedIndex, Groups
from item2vec.index.search import find, find_many

APPROXIMATE = ("faiss", "annoy")
KINDS = ("exact", *APPROXIMATE)


@pytest.fixture
def graphs_for_all_sizes(monkeypatch):
    """Search the graph of small matrices, too, for which a scan is faster."""
    monkeypatch.setattr(faiss, "SCANNED_PER_STEP", 1)


def clustered(n_rows, dims=64, seed=0):
    """Return vectors of low effective rank in clusters of about a hundred, similar to word2vec vectors."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(34, dims)) / np.sqrt(1 + np.arange(34))[:, None]
    centres = rng.normal(size=(max(2, n_rows // 100), 34))
    points = centres[rng.integers(len(centres), size=n_rows)] + 0.45 * rng.normal(size=(n_rows, 34))
    return (points @ basis + 0.3 * rng.normal(size=(n_rows, dims))).astype(np.float32)


def unit(matrix):
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def tastes(matrix, n, seed=1):
    """Return unit means of four rows, three of them near the first."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(matrix), size=n)
    near = np.argsort(-(matrix[first] @ matrix.T), axis=1)[:, 1:40]
    others = np.take_along_axis(near, rng.integers(near.shape[1], size=(n, 3)), axis=1)
    return unit(matrix[first] + matrix[others].sum(axis=1))


def best_by_sorting(matrix, query, k, excluded, allowed):
    rows = range(len(matrix)) if allowed is None else set(allowed)
    scored = [(sum(int(a) * int(b) for a, b in zip(matrix[row], query, strict=True)), row) for row in rows]
    eligible = [(score, row) for score, row in scored if row not in set(excluded)]
    eligible.sort(key=lambda pair: (-pair[0], pair[1]))
    return eligible[:k]


@st.composite
def searches(draw):
    """Matrices and queries of small integers: many ties, equal rows, zero rows, and exact sums."""
    n_rows, dims = draw(st.integers(1, 60)), draw(st.integers(1, 6))
    numbers = st.integers(-3, 3)
    matrix = draw(hnp.arrays(np.float32, (n_rows, dims), elements=numbers))
    query = draw(hnp.arrays(np.float32, dims, elements=numbers).filter(np.any))
    some_rows = st.lists(st.integers(0, n_rows - 1), max_size=2 * n_rows)
    most_rows = some_rows.map(lambda rows: [row for row in range(n_rows) if row not in rows])
    return matrix, query, draw(st.integers(1, 80)), draw(some_rows), draw(st.none() | some_rows | most_rows)


def as_mask(allowed, matrix):
    return None if allowed is None else np.isin(np.arange(len(matrix)), allowed)


@examples(300)
@given(searches())
def test_exact_search_equals_a_full_sort(search):
    matrix, query, k, excluded, allowed = search
    found = find(build(matrix, kind="exact"), query, k=k, excluded=excluded, allowed=allowed)
    expected = best_by_sorting(*search)
    assert found.rows.dtype == np.intp
    assert found.scores.dtype == np.float32
    masked = find(build(matrix), query, k=k, excluded=excluded, allowed=as_mask(allowed, matrix))
    assert masked.rows.tolist() == found.rows.tolist()
    assert masked.scores.tobytes() == found.scores.tobytes()
    assert list(zip(found.scores.tolist(), found.rows.tolist(), strict=True)) == expected


@pytest.mark.parametrize("kind", APPROXIMATE)
@pytest.mark.usefixtures("graphs_for_all_sizes")
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(searches())
def test_an_approximate_index_returns_the_scores_of_a_full_sort_and_only_eligible_rows(kind, search):
    matrix, query, k, excluded, allowed = search
    index = build(matrix, kind=kind, queries=query[None], recall=1.0)
    found = find(index, query, k=k, excluded=excluded, allowed=as_mask(allowed, matrix))
    expected = best_by_sorting(*search)
    assert found.scores.tolist() == [score for score, _ in expected]
    assert (matrix[found.rows] @ query).tolist() == found.scores.tolist()
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert not set(found.rows.tolist()) & set(excluded)
    assert allowed is None or set(found.rows.tolist()) <= set(allowed)


class PoorIndex(ExactIndex):
    """An index that returns half as many candidates as requested, which the protocol allows."""

    kind = "poor"

    def candidates(self, query, n, n_scanned):
        return np.arange(n // 2) if n <= len(self.matrix) else None


@examples(100)
@given(searches())
def test_a_poor_index_still_returns_k_results(search):
    matrix, query, k, excluded, allowed = search
    found = find(PoorIndex.build(matrix), query, k=k, excluded=excluded, allowed=as_mask(allowed, matrix))
    expected = best_by_sorting(*search)
    assert len(set(found.rows.tolist())) == len(expected)
    assert not set(found.rows.tolist()) & set(excluded)
    assert allowed is None or set(found.rows.tolist()) <= set(allowed)
    assert found.scores.tolist() == sorted((matrix[found.rows] @ query).tolist(), reverse=True)
    if allowed is not None and len(set(allowed)) < len(matrix) / 4:
        assert found.rows.tolist() == [row for _, row in expected]


@examples(40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 400), st.integers(1, 50))
def test_exact_search_agrees_with_float64_up_to_rounding(seed, dims, n_rows, k):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_rows, dims)).astype(np.float32)
    near_equal = rng.integers(n_rows, size=n_rows // 2)
    matrix[near_equal] = matrix[0] * (1 + 6e-8 * rng.normal(size=(len(near_equal), dims)))
    query = matrix[0] + np.float32(0.1) * matrix[-1]
    index = build(matrix, kind="exact")
    found, all_rows = find(index, query, k=k), find(index, query, k=n_rows)
    assert found.rows.tolist() == all_rows.rows[:k].tolist()
    truth = matrix.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(found.scores, np.sort(truth)[::-1][:k], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores, truth[found.rows], rtol=0, atol=1e-4)
    order = np.lexsort((found.rows, -found.scores))
    assert order.tolist() == list(range(min(k, n_rows)))


@pytest.mark.parametrize(
    ("kind", "n_rows"),
    [
        ("exact", 20_000),
        pytest.param("faiss", 6_500, marks=pytest.mark.slow),
        pytest.param("annoy", 8_000, marks=pytest.mark.slow),
    ],
)
def test_a_batch_equals_single_queries_bit_for_bit(kind, n_rows):
    matrix = clustered(n_rows, dims=24)
    matrix[5000:6000] = matrix[4999] * (1 + 6e-8 * np.random.default_rng(2).normal(size=(1000, 24)))
    queries = np.concatenate([tastes(unit(matrix), 430), matrix[4990:5010]])
    rng = np.random.default_rng(3)
    excluded = [rng.integers(n_rows, size=size) for size in rng.integers(0, 30, size=len(queries))]
    index = build(matrix, kind=kind, queries=queries)
    few, most = np.arange(0, n_rows, 9), np.arange(3000, n_rows)
    for allowed in (None, few, as_mask(most, matrix)):
        together = find_many(index, queries, k=10, excluded=excluded, allowed=allowed)
        for query, rows, found in zip(queries, excluded, together, strict=True):
            alone = find(index, query, k=10, excluded=rows, allowed=allowed)
            assert alone.rows.tolist() == found.rows.tolist()
            assert alone.scores.tobytes() == found.scores.tobytes()


def test_a_row_has_the_same_score_in_every_index_and_with_every_filter():
    matrix = clustered(1500)
    query = tastes(unit(matrix), 1)[0]
    indexes = [build(matrix, kind=kind) for kind in KINDS]
    rows = np.arange(1500)
    scores = {}
    for index in indexes:
        for k, allowed in ((1, None), (7, None), (1500, None), (50, rows[::5]), (50, rows[10:])):
            found = find(index, query, k=k, allowed=allowed)
            for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
                assert scores.setdefault(row, score) == score
    assert len(scores) == 1500


@pytest.mark.parametrize(("kind", "n_rows"), [("faiss", 5_000), ("annoy", 8_000)])
@pytest.mark.parametrize("lengths", ["one", pytest.param("many", marks=pytest.mark.slow)])
def test_an_approximate_index_reaches_the_requested_recall(kind, n_rows, lengths):
    matrix = clustered(n_rows)
    queries = tastes(unit(matrix), 600)
    if lengths == "one":
        matrix = unit(matrix)
    index = build(matrix, kind=kind, queries=queries[:256], recall=0.95)
    assert index.description.recall >= 0.95
    exact = build(matrix, kind="exact")
    half = np.random.default_rng(4).random(n_rows) < 0.5
    for n_excluded, allowed in ((0, None), (25, None), (0, half), (25, half)):
        best = find_many(exact, queries[256:], k=10 + n_excluded, allowed=allowed)
        excluded = [found.rows[:n_excluded] for found in best]
        approximate = find_many(index, queries[256:], k=10, excluded=excluded, allowed=allowed)
        hits = [np.isin(a.rows, b.rows[n_excluded:]).mean() for a, b in zip(approximate, best, strict=True)]
        assert np.mean(hits) >= 0.945
    effort = index.description.search_k if kind == "annoy" else index.description.effort
    assert effort < 0.2 * len(matrix)


@pytest.mark.slow
@pytest.mark.usefixtures("graphs_for_all_sizes")
@pytest.mark.parametrize("kind", APPROXIMATE)
@pytest.mark.parametrize("dims", [8, 64])
def test_many_equal_rows_hide_no_other_row(kind, dims):
    rng = np.random.default_rng(5)
    matrix = unit(rng.normal(size=(1500, dims)).astype(np.float32))
    crowd = rng.permutation(1500)[:500]
    matrix[crowd] = matrix[crowd[0]]
    index = build(matrix, kind=kind)
    found = find_many(index, matrix, k=10)
    assert index.description.nodes == 1001
    is_distinct = ~np.isin(np.arange(1500), crowd)
    retrieves_itself = np.array([result.rows[0] == row for row, result in enumerate(found)])
    assert retrieves_itself[is_distinct].mean() >= (0.999 if kind == "annoy" else 0.98)
    assert all(np.isin(found[row].rows, crowd).all() for row in crowd)
    assert find(index, matrix[crowd[0]], k=10).rows.tolist() == np.sort(crowd)[:10].tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("graphs_for_all_sizes")
@pytest.mark.parametrize("kind", APPROXIMATE)
@pytest.mark.parametrize("spread", [1e-5, 0.1])
def test_many_nearly_equal_rows_hide_no_other_row(kind, spread):
    """A query with an item's own vector retrieves the item, whatever recall is requested."""
    rng = np.random.default_rng(6)
    matrix = rng.normal(size=(1500, 16)).astype(np.float32)
    matrix[:500] = matrix[0] + spread * rng.normal(size=(500, 16))
    matrix = unit(matrix)
    found = find_many(build(matrix, kind=kind, recall=0.1), matrix, k=10)
    least = 0.998 if kind == "annoy" else 0.98
    assert np.mean([result.scores[0] > 1 - 1e-6 for result in found]) > least


@pytest.mark.usefixtures("graphs_for_all_sizes")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "matrix",
    [np.zeros((5, 3)), np.ones((300, 3)), np.eye(1), np.eye(40), np.eye(40)[:, :1], -np.ones((30, 2)) * 1e17],
    ids=["zeros", "all equal", "one", "unit", "one dimension", "long"],
)
def test_every_row_of_a_degenerate_matrix_is_found(kind, matrix, tmp_path):
    matrix = matrix.astype(np.float32)
    index = build(matrix, kind=kind)
    query = np.ones(matrix.shape[1], dtype=np.float32)
    assert find(index, query, k=1000).rows.tolist() == list(np.argsort(-(matrix @ query), kind="stable"))
    again = load(tmp_path, matrix, index.save(tmp_path))
    assert find(again, query, k=3).scores.tolist() == find(index, query, k=3).scores.tolist()


@pytest.mark.usefixtures("graphs_for_all_sizes")
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_index_returns_the_same_results(kind, tmp_path):
    matrix = clustered(3000, dims=20)
    matrix[100:200] = matrix[99]
    np.save(tmp_path / "matrix.npy", matrix)
    mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    index = build(mapped, kind=kind)
    (tmp_path / "saved").mkdir()
    again = load(tmp_path / "saved", mapped, index.save(tmp_path / "saved"))
    (tmp_path / "twice").mkdir()
    twice = load(tmp_path / "twice", matrix, again.save(tmp_path / "twice"))
    assert again.kind == kind
    for query in matrix[::50]:
        expected = find(index, query, k=10, excluded=[99])
        for loaded in (again, twice):
            found = find(loaded, query, k=10, excluded=[99])
            assert found.rows.tolist() == expected.rows.tolist()
            assert found.scores.tobytes() == expected.scores.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("faiss", "index.faiss"), ("annoy", "index.ann")])
def test_the_same_seed_builds_the_same_file(kind, name, tmp_path):
    matrix = clustered(2000, dims=10)

    def build_and_save(seed):
        folder = tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        description = build(matrix, kind=kind, seed=seed).save(folder)
        return (folder / name).read_bytes(), description

    assert build_and_save(7) == build_and_save(7)
    assert build_and_save(7)[0] != build_and_save(8)[0]


@pytest.mark.usefixtures("graphs_for_all_sizes")
def test_auto_depends_on_the_number_of_rows(monkeypatch):
    monkeypatch.setattr("item2vec.index.building.APPROXIMATE_FROM_ROWS", 500)
    matrix = clustered(500, dims=16)
    assert build(matrix[:-1]).kind == "exact"
    assert build(matrix).kind == "faiss"
    assert build(matrix[:50], kind="faiss").kind == "faiss"
    assert build(matrix, kind="exact").kind == "exact"


@pytest.mark.slow
@pytest.mark.usefixtures("graphs_for_all_sizes")
@pytest.mark.parametrize("kind", APPROXIMATE)
def test_threads_get_correct_results_while_another_saves(kind, tmp_path):
    matrix = clustered(4000, dims=32)
    queries = tastes(unit(matrix), 200)
    index = build(matrix, kind=kind, queries=queries)
    expected = [find(index, query, k=10).rows.tolist() for query in queries]
    done = threading.Event()

    def save_repeatedly(n=0):
        while not done.is_set():
            n += 1
            (tmp_path / str(n)).mkdir()
            index.save(tmp_path / str(n))
        return n

    def run_all_queries():
        return [find(index, query, k=10).rows.tolist() for query in queries]

    with ThreadPoolExecutor(9) as pool:
        saves = pool.submit(save_repeatedly)
        runs = [pool.submit(run_all_queries) for _ in range(8)]
        try:
            assert all(run.result() == expected for run in runs)
        finally:
            done.set()
    assert saves.result() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "query",
    [
        [np.nan, 0, 1],
        [np.nan] * 3,
        [0, 0, 0],
        [-0.0, 0, 0],
        [np.inf, 0, 1],
        [1e300, 0, 0],
        [1e30, 0, 0],
        [1, 2],
        [],
        5.0,
    ],
    ids=str,
)
def test_an_invalid_query_is_rejected(kind, query):
    index = build(np.eye(30, 3, dtype=np.float32), kind=kind)
    with pytest.raises(InputError, match="query"):
        find(index, np.array(query), k=2)
    with pytest.raises(InputError, match="query"):
        find(index, np.array(query), k=2, allowed=[0])
    if np.shape(query) == (3,):
        with pytest.raises(InputError, match="query 1 "):
            find_many(index, np.array([[1, 0, 0], query]), k=2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((0, 3), np.float32),
        np.zeros((3, 0), np.float32),
        np.zeros(3, np.float32),
        np.eye(3),
        np.array([[1, np.nan]], np.float32),
        np.array([[1, 1], [np.inf, 1]], np.float32),
        np.full((2, 2), 3e38, np.float32),
    ],
    ids=["no rows", "no dimensions", "flat", "float64", "nan", "inf", "diverged"],
)
def test_an_invalid_matrix_is_rejected(kind, matrix):
    with pytest.raises(InputError, match=r"expected .*float32|expected finite"):
        build(matrix, kind=kind)


def test_settings_are_checked():
    matrix = np.eye(3, dtype=np.float32)
    with pytest.raises(ConfigError, match="exact, faiss, annoy"):
        build(matrix, kind="hnsw")
    for recall in (0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="recall"):
            build(matrix, recall=recall)
    with pytest.raises(InputError, match="k is 0"):
        find(build(matrix), matrix[0], k=0)
    with pytest.raises(InputError, match="expected at most 4096"):
        build(np.ones((2, 4097), dtype=np.float32), kind="annoy")


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_row_numbers_may_have_any_integer_type(dtype):
    index = build(np.eye(3, dtype=np.float32))
    found = find(index, np.ones(3, np.float32), k=3, excluded=np.array([1, 1], dtype=dtype))
    assert found.rows.tolist() == [0, 2]
    found = find(index, np.ones(3, np.float32), k=3, allowed=np.array([2, 1, 2], dtype=dtype))
    assert found.rows.tolist() == [1, 2]


@pytest.mark.parametrize("rows", [[-1], [3], [0, 3]])
def test_row_numbers_out_of_range_fail_an_assertion(rows):
    index = build(np.eye(3, dtype=np.float32))
    for filters in ({"excluded": rows}, {"allowed": rows}):
        with pytest.raises(InputError, match="unknown items"):
            find(index, np.ones(3, np.float32), k=3, **filters)


@pytest.mark.parametrize("mask", [[True], [[True, True, True]], []])
def test_a_mask_of_the_wrong_shape_fails_an_assertion(mask):
    with pytest.raises(InputError, match="a mask of shape"):
        find(
            build(np.eye(3, dtype=np.float32)),
            np.ones(3, np.float32),
            k=3,
            allowed=np.array(mask, dtype=bool),
        )


def test_an_approximate_index_is_asked_for_as_many_rows_as_filters_require():
    class Counted(PoorIndex):
        def candidates(self, query, n, n_scanned):
            requested.append((n, n_scanned))
            return super().candidates(query, n, n_scanned) if n_scanned >= 2000 else None

    index = Counted.build(clustered(4000, dims=8))
    for n_allowed, n_excluded, expected in (
        (4000, 0, (5, 4000)),
        (4000, 3, (8, 4000)),
        (4000, 3000, (10, 4000)),  # excluded rows are rarely all among the best
        (2000, 0, (17, 4000)),  # 5 of 17 rows are allowed at worst: 8.5 - 2 standard deviations of 2.1
        (1000, 0, (36, 2000)),  # to scan some of the rows takes the time of 2 rows each, or of all rows
        (2000, 3, (20, 4000)),  # 17, and 3 excluded rows, of which each is one row
        (257, 0, (146, 514)),
        (256, 0, None),  # few rows are always scanned
    ):
        requested = []
        found = find(
            index,
            np.ones(8, np.float32),
            k=5,
            allowed=np.arange(4000) < n_allowed,
            excluded=np.arange(4000 - n_excluded, 4000),
        )
        assert requested[:1] == ([expected] if expected else [])
        assert len(found.rows) == 5


def test_a_filtered_search_is_repeated_only_if_equal_candidates_were_left_out():
    requested = []
    matrix = unit(clustered(3000, dims=8))
    matrix[1000:2000] = 0
    matrix[2000:] = matrix[0]
    groups_of_matrix = Groups.of(matrix)

    class Counted(GroupedIndex, ExactIndex):
        kind = "counted"
        groups = groups_of_matrix

        def candidates(self, query, n, n_scanned):
            requested.append(n)
            nodes = np.argsort(-(self.matrix[self.groups.first] @ query), kind="stable")[: n + 10]
            return self.groups.rows_of(nodes, n)

    index, exact = Counted.build(matrix), build(matrix, kind="exact")
    allowed = np.random.default_rng(3).random(3000) < 0.5
    allowed[2000:2100] = False
    far = np.flatnonzero(matrix[:1000] @ matrix[0] < 0)[:100]
    for row in (0, *far.tolist()):
        requested.clear()
        found, expected = (find(one, matrix[row], k=10, allowed=allowed) for one in (index, exact))
        assert found.rows.tolist() == expected.rows.tolist()
        assert (len(requested) > 1) == (row == 0)


def test_no_queries_give_no_results_and_no_allowed_rows_an_empty_one():
    index = build(np.eye(3, dtype=np.float32))
    assert find_many(index, np.empty((0, 3), np.float32), k=2) == []
    nothing = find(index, np.ones(3, np.float32), k=2, allowed=[])
    assert (nothing.rows.tolist(), nothing.scores.tolist()) == ([], [])
