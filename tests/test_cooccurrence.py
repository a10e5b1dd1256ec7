"""Co-occurrence loops: equality with dense matrices and sets."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from item2vec.kernels.compiled import view_of
from item2vec.kernels.cooccurrence import (
    SparseRows,
    best_sums,
    first_occurrences,
    nearest,
    newest_items,
    pair_cosines,
    sentences_of_items,
)
from item2vec.sentences import offsets_of

N_ITEMS = 9
lists = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=7), max_size=12)


def flat(rows):
    """Return the tokens and offsets of rows as views, for which the loops of baselines are compiled."""
    tokens = np.array([item for row in rows for item in row], np.int32)
    return view_of(tokens), view_of(offsets_of([len(row) for row in rows]))


def rows_of_nearest(*arguments):
    return SparseRows(*map(view_of, nearest(*arguments)))


def holders(rows, n_items=N_ITEMS):
    return [{number for number, row in enumerate(rows) if item in row} for item in range(n_items)]


def cosine(a, b):
    return len(a & b) / math.sqrt(len(a) * len(b)) if a and b else 0.0


def neighbours(rows, k, n_items=N_ITEMS):
    """Return pairs (item, cosine) of the neighbours of each item, best first, by the definition."""
    held = holders(rows, n_items)
    result = []
    for item in range(n_items):
        row = [
            (other, float(np.float32(cosine(held[item], held[other]))))
            for other in range(n_items)
            if other != item and held[item] & held[other]
        ]
        result.append(sorted(row, key=lambda pair: (-pair[1], pair[0]))[:k])
    return result


def as_lists(rows):
    return [
        list(zip(rows.items[start:end].tolist(), rows.scores[start:end].tolist(), strict=True))
        for start, end in zip(rows.starts, rows.ends, strict=True)
    ]


@given(lists)
def test_sentences_of_items_equal_sets(rows):
    offsets, sentences = sentences_of_items(*flat(rows), N_ITEMS)
    result = [sentences[offsets[item] : offsets[item + 1]].tolist() for item in range(N_ITEMS)]
    assert result == [sorted(held) for held in holders(rows)]
    back_offsets, items = sentences_of_items(sentences, offsets, len(rows))
    back = [items[back_offsets[row] : back_offsets[row + 1]].tolist() for row in range(len(rows))]
    assert back == [sorted(set(row)) for row in rows]


@given(lists, st.integers(1, N_ITEMS + 1))
def test_newest_items_cuts_sentences_to_their_longest_end(rows, most):
    ends = [next(row[n:] for n in range(len(row) + 1) if len(set(row[n:])) <= most) for row in rows]
    tokens, offsets = newest_items(*flat(rows), N_ITEMS, most)
    assert (tokens.tolist(), offsets.tolist()) == tuple(part.tolist() for part in flat(ends))


@given(lists, st.integers(1, N_ITEMS + 2))
def test_nearest_equals_the_cosines_of_sets(rows, k):
    assert as_lists(nearest(*flat(rows), N_ITEMS, k)) == neighbours(rows, k)


@given(lists, lists, st.integers(1, N_ITEMS), st.data())
def test_sums_are_exact_and_ordered(rows, histories, k, data):
    sizes = [data.draw(st.integers(0, N_ITEMS)) for _ in histories]
    near = neighbours(rows, k)
    expected = []
    for history, size in zip(histories, sizes, strict=True):
        parts = {}
        for item in sorted(set(history)):
            for other, score in near[item]:
                parts.setdefault(other, []).append(score)
        sums = [(other, math.fsum(scores)) for other, scores in parts.items()]
        expected.append(sorted(sums, key=lambda pair: (-pair[1], pair[0]))[:size])
    alike = rows_of_nearest(*flat(rows), N_ITEMS, k)
    once = first_occurrences(*flat(histories), N_ITEMS)
    assert as_lists(best_sums(*flat(histories), once, alike, np.array(sizes, np.int64))) == expected


def test_nearest_and_sums_equal_a_matrix_product():
    random = np.random.default_rng(3)
    n_items, k = 300, 40
    rows = [random.zipf(1.3, size).clip(1, n_items) - 1 for size in random.integers(0, 60, 500)]
    tokens, offsets = flat(rows)
    held = sparse.csr_matrix((np.ones(len(tokens)), tokens, offsets), (len(rows), n_items), copy=True)
    held.sum_duplicates()
    held.data[:] = 1
    together = (held.T @ held).toarray()
    n = np.maximum(together.diagonal(), 1)
    cosines = (together / np.sqrt(n[:, None] * n)).astype(np.float32)
    np.fill_diagonal(cosines, 0)
    kept = np.zeros_like(cosines)
    for item, row in enumerate(as_lists(nearest(tokens, offsets, n_items, k))):
        order = np.argsort(-cosines[item], kind="stable")[:k]
        order = order[cosines[item, order] > 0]
        assert [other for other, _ in row] == order.tolist()
        kept[item, order] = cosines[item, order]
    sums = (held @ kept).astype(np.float64)
    alike = rows_of_nearest(tokens, offsets, n_items, k)
    once = first_occurrences(tokens, offsets, n_items)
    best = best_sums(tokens, offsets, once, alike, np.full(len(rows), n_items, np.int64))
    for number, row in enumerate(as_lists(best)):
        result = np.zeros(n_items)
        result[[item for item, _ in row]] = [score for _, score in row]
        np.testing.assert_allclose(result, sums[number], rtol=1e-6, atol=1e-12)
        assert [score for _, score in row] == sorted(result[result > 0], reverse=True)


@given(lists, st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.integers(0, N_ITEMS - 1)), max_size=20))
def test_pair_cosines_equal_the_cosines_of_sets(rows, pairs):
    held = holders(rows)
    a, b = np.array(pairs, np.int32).reshape(-1, 2).T.copy()
    expected = [cosine(held[first], held[second]) for first, second in pairs]
    assert pair_cosines(a, b, *sentences_of_items(*flat(rows), N_ITEMS)).tolist() == expected


@given(
    st.sets(st.integers(0, 2000), max_size=20),
    st.sets(st.integers(0, 2000), max_size=400),
    st.booleans(),
)
def test_cosines_of_a_short_list_and_a_long_one(short, long, complement):
    long = set(range(2001)) - long if complement else long
    held = [short, long]
    offsets = offsets_of([len(numbers) for numbers in held])
    sentences = np.array([number for numbers in held for number in sorted(numbers)], np.int32)
    both_ways = pair_cosines(np.array([0, 1], np.int32), np.array([1, 0], np.int32), offsets, sentences)
    assert both_ways.tolist() == [cosine(short, long)] * 2
