"""The scan of a batch, in tiles and with filters, keeps every row that a full sort of each query returns."""

from functools import cached_property

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from item2vec.index import scan
from item2vec.index.bonuses import Bonuses
from item2vec.index.building import build
from item2vec.index.exact import ExactIndex
from item2vec.index.groups import GroupedIndex, Groups
from item2vec.index.priors import with_prior
from item2vec.index.results import row_lists
from item2vec.index.search import find, find_many
from item2vec.kernels.scanning import RowLists, keep_rows


@st.composite
def batches(draw):
    """Matrices and queries of small integers: many ties, and exact sums."""
    n_rows, dims, n_queries = draw(st.integers(1, 700)), draw(st.integers(1, 4)), draw(st.integers(2, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    matrix = random.integers(-3, 4, size=(n_rows, dims)).astype(np.float32)
    queries = draw(
        hnp.arrays(np.float32, (n_queries, dims), elements=st.integers(-3, 3)).filter(
            lambda array: array.any(axis=1).all()
        )
    )
    excluded = [random.integers(n_rows, size=size) for size in random.integers(0, 40, size=n_queries)]
    share = draw(st.sampled_from([None, 0.0, 0.1, 0.6, 1.0]))
    allowed = None if share is None else random.random(n_rows) < share
    bonuses = None
    if draw(st.booleans()):
        owners, rows = np.nonzero(random.random((n_queries, n_rows)) < 0.1)
        values = random.integers(0, 9, size=len(rows)).astype(np.float32)
        bonuses = Bonuses(rows, values, np.searchsorted(owners, np.arange(n_queries + 1)))
    return matrix, queries, draw(st.integers(1, 90)), excluded, allowed, bonuses


def by_sorting(matrix, query, k, excluded, allowed, bonus):
    scores = matrix @ query + bonus
    rows = np.arange(len(matrix)) if allowed is None else np.flatnonzero(allowed)
    rows = rows[~np.isin(rows, excluded)]
    return rows[np.lexsort((rows, -scores[rows]))][:k].tolist()


@examples(150)
@given(batches(), st.sampled_from([1, 1 << 18]))
def test_a_batch_equals_a_full_sort_of_each_query(batch, tile):
    matrix, queries, k, excluded, allowed, bonuses = batch
    dense = np.zeros((len(queries), len(matrix)), dtype=np.float32)
    if bonuses is not None:
        dense[bonuses.owners, bonuses.rows] = bonuses.values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "TILE_ELEMENTS", tile)
        found = find_many(
            build(matrix, kind="exact"), queries, k=k, excluded=excluded, allowed=allowed, bonuses=bonuses
        )
    for query, own, bonus, result in zip(queries, excluded, dense, found, strict=True):
        assert result.rows.tolist() == by_sorting(matrix, query, k, own, allowed, bonus)
        assert result.scores.tolist() == (matrix @ query + bonus)[result.rows].tolist()


class Unordered(ExactIndex):
    """An approximate index whose candidates are the best ``n`` rows, in any order."""

    kind = "unordered"

    def candidates(self, query, n, n_scanned):
        best = np.lexsort((np.arange(len(self.matrix)), -(self.matrix @ query)))[:n]
        return None if n_scanned < 300 else np.random.default_rng(n).permutation(best)


class Grouped(GroupedIndex, Unordered):
    """An approximate index that stores equal rows once, as those of FAISS and Annoy do."""

    @cached_property
    def groups(self):
        return Groups.of(self.matrix)

    def candidates(self, query, n, n_scanned):
        distinct = self.matrix[self.groups.first] @ query
        best = np.argsort(-distinct, kind="stable")[:n]
        return None if n_scanned < 300 else self.groups.rows_of(best, n)


@examples(150)
@given(batches())
def test_candidates_of_an_approximate_index_equal_a_full_sort(batch):
    matrix, queries, k, excluded, allowed, bonuses = batch
    dense = np.zeros((len(queries), len(matrix)), dtype=np.float32)
    if bonuses is not None:
        dense[bonuses.owners, bonuses.rows] = bonuses.values
    index = Unordered.build(matrix)
    found = find_many(index, queries, k=k, excluded=excluded, allowed=allowed, bonuses=bonuses)
    for query, own, bonus, result in zip(queries, excluded, dense, found, strict=True):
        assert result.rows.tolist() == by_sorting(matrix, query, k, own, allowed, bonus)
        assert result.scores.tolist() == (matrix @ query + bonus)[result.rows].tolist()


@examples(200)
@given(
    batches(),
    st.sampled_from([0.01, 0.5, 3.0]),
    st.sampled_from([Unordered, Grouped]),
    st.booleans(),
    st.sampled_from([0, 60]),
)
def test_a_prior_beside_an_approximate_index_equals_a_scan(batch, weight, kind, are_first_popular, n_seen):
    matrix, queries, k, excluded, allowed, _ = batch
    places = np.arange(len(matrix))
    prior = np.round(np.log1p(places[::-1] if are_first_popular else places), 2).astype(np.float32)
    weighted = np.column_stack((queries, np.full(len(queries), weight, np.float32)))
    scan_of_all = build(np.column_stack((matrix, prior)), kind="exact")
    best = [one.rows[:n_seen] for one in find_many(scan_of_all, weighted, k=60)]
    excluded = [np.append(*rows) for rows in zip(excluded, best, strict=True)]
    filters = {"k": k, "excluded": excluded, "allowed": allowed}
    found = find_many(with_prior(kind.build(matrix), prior), weighted, **filters)
    exact = find_many(scan_of_all, weighted, **filters)
    assert [one.rows.tolist() for one in found] == [one.rows.tolist() for one in exact]
    assert [one.scores.tobytes() for one in found] == [one.scores.tobytes() for one in exact]


@pytest.mark.parametrize("left_out", [{"excluded": range(5)}, {"allowed": range(5, 1000)}], ids=str)
def test_rows_of_high_prior_do_not_displace_better_rows_if_the_best_are_left_out(left_out):
    """The first search reads four rows by product, all left out, and four by prior, which score low."""
    matrix = np.arange(1000, 0, -1, dtype=np.float32)[:, None]
    prior = np.zeros(1000, dtype=np.float32)
    prior[-4:] = 1
    index = with_prior(Unordered.build(matrix), prior)
    best = find(index, np.array([1, 0.1], np.float32), k=1, **left_out)
    assert best.rows.tolist() == [5]


@pytest.mark.parametrize("kind", [Unordered, Grouped])
def test_equal_rows_are_ranked_by_their_prior(kind):
    """The index returns the first rows of a group, which have the lowest priors."""
    matrix = np.repeat(np.array([[3, 0], [2, 0], [1, 0], [-1, 0]], np.float32), 200, axis=0)
    prior = np.log1p(np.arange(800, dtype=np.float32) % 200)
    best = find(with_prior(kind.build(matrix), prior), np.array([1, 0, 0.1], np.float32), k=5)
    assert best.rows.tolist() == [199, 198, 197, 196, 195]


def test_a_prior_reads_more_rows_only_until_no_other_row_can_be_better():
    class Counted(Unordered):
        def candidates(self, query, n, n_scanned):
            requested.append(n)
            return super().candidates(query, n, n_scanned)

    matrix = np.column_stack((np.arange(1000, 0, -1), np.ones(1000))).astype(np.float32)
    prior = np.arange(1000, dtype=np.float32)  # the best row by product has the lowest prior
    index = with_prior(Counted.build(matrix), prior)
    # The row of rank r by product has the product 1,000 - r and the prior r; others score at most
    # 1,000 - n + weight * (999 - n), where n is the number of rows that were read.
    for weight, expected in ((0.0, [4]), (0.1, [4, 8, 16, 32, 64, 128]), (10.0, [4, 8, 16, 32, 64, 128])):
        requested = []
        query = np.array([1, 0, weight], np.float32)
        best = find(index, query, k=2)
        assert requested == expected
        assert best.rows.tolist() == ([0, 1] if weight < 1 else [999, 998])


@pytest.mark.parametrize("n_allowed", [1, 256, 257, 400, 900])
def test_a_scan_of_some_rows_equals_a_full_sort(n_allowed):
    random = np.random.default_rng(n_allowed)
    matrix = random.integers(-9, 10, size=(1000, 3)).astype(np.float32)
    query, excluded = np.array([1, -2, 3], np.float32), random.integers(1000, size=40)
    allowed = np.zeros(1000, dtype=bool)
    allowed[random.permutation(1000)[:n_allowed]] = True
    allowed[excluded[:20]] = True
    found = find(build(matrix, kind="exact"), query, k=30, excluded=excluded, allowed=allowed)
    assert found.rows.tolist() == by_sorting(matrix, query, 30, excluded, allowed, 0)
    assert found.scores.tolist() == (matrix[found.rows] @ query).tolist()


def test_near_equal_rows_of_a_batch_are_scored_one_by_one():
    random = np.random.default_rng(1)
    matrix = random.normal(size=(1, 33)) * (1 + 6e-8 * random.normal(size=(900, 33)))
    index = build(matrix.astype(np.float32), kind="exact")
    queries = index.matrix[:7]
    for query, together in zip(queries, find_many(index, queries, k=9), strict=True):
        alone = find(index, query, k=9)
        assert alone.rows.tolist() == together.rows.tolist()
        assert alone.scores.tobytes() == together.scores.tobytes()


def test_a_read_only_mask_is_used():
    allowed = np.arange(300) % 2 == 0
    allowed.flags.writeable = False
    index = build(np.eye(300, 4, dtype=np.float32))
    (found, _) = find_many(index, np.ones((2, 4), np.float32), k=3, allowed=allowed)
    assert found.rows.tolist() == [0, 2, 4]


def kept_rows(blocks, k, margin=0.0, excluded=((),), allowed=(), rows=()):
    """Return the rows that blocks of scores of one query keep, and the highest scores."""
    highest = np.full((1, k), -np.inf, np.float32)
    lists = row_lists([sorted(own) for own in excluded], 10**6)
    filters = (
        np.full(1, margin, np.float32),
        RowLists(*lists),
        np.array(allowed, dtype=bool),
        np.array(rows, dtype=np.intp),
    )
    kept, first = [], 0
    for block in blocks:
        kept += keep_rows(np.array([block], np.float32), first, *filters, highest)[1].tolist()
        first += len(block)
    return kept, sorted(highest[0].tolist())


@pytest.mark.parametrize(
    ("blocks", "arguments", "kept", "highest"),
    [
        ([[1, 5, 2], [4, 3]], {"k": 1}, [0, 1], [5]),
        ([[1, 5, 2], [4, 6]], {"k": 2}, [0, 1, 2, 3, 4], [5, 6]),
        ([[5, 5, 5]], {"k": 1}, [0, 1, 2], [5]),
        ([[5, 4, 2]], {"k": 1, "margin": 1}, [0, 1], [5]),
        ([[9, 5, 8]], {"k": 1, "excluded": [[0, 2]]}, [1], [5]),
        ([[9, 5], [8]], {"k": 1, "allowed": [False, True, False]}, [1], [5]),
        ([[1, 2]], {"k": 3, "rows": [40, 70], "excluded": [[40]]}, [70], [-np.inf, -np.inf, 2]),
        ([[0] * 70 + [1] + [0] * 70], {"k": 1}, [*range(71)], [1]),
    ],
    ids=["running best", "two best", "ties", "margin", "excluded", "allowed", "rows of columns", "chunks"],
)
def test_kept_rows(blocks, arguments, kept, highest):
    assert kept_rows(blocks, **arguments) == (kept, highest)


def test_more_entries_than_the_first_arrays_hold():
    kept, _ = kept_rows([range(5000)], k=3)
    assert kept == [*range(5000)]


@pytest.mark.parametrize("n_queries", [1, 3])
def test_a_wrong_signal_of_blas_is_no_warning(monkeypatch, n_queries):
    """OpenBLAS can signal an invalid operation although all numbers are finite: see docs/platforms.md."""
    dot = np.dot

    def signalling(*arrays, **options):
        np.subtract(np.inf, np.inf)  # sets the flag; NumPy warns unless the caller suppresses it
        return dot(*arrays, **options)

    monkeypatch.setattr(np, "dot", signalling)
    matrix = np.eye(5, dtype=np.float32)
    found = find_many(build(matrix, kind="exact"), matrix[:n_queries], k=1)
    assert [result.rows.tolist() for result in found] == [[row] for row in range(n_queries)]
