"""Tables of neighbours: worked examples, and equality with dense matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Sentences, Vocabulary
from item2vec.errors import InputError
from item2vec.neighbours import NeighbourTable, link_propagation, table_for, transitions

IDS = tuple("abcdefg")
lists = st.lists(st.lists(st.sampled_from(IDS), max_size=8), max_size=8)


def sentences_of(lists, *, ordered=True):
    """Return sentences whose vocabulary is ``IDS``."""
    every = Sentences.of([IDS, *lists], ordered=ordered)
    return every.take(np.arange(1, len(lists) + 1))


def rows_of(table):
    """Return the rows of a table as lists of pairs (code, weight)."""
    bounds = zip(table.offsets[:-1], table.offsets[1:], strict=True)
    return [
        list(zip(table.items[start:end].tolist(), table.weights[start:end].tolist(), strict=True))
        for start, end in bounds
    ]


def best_of(matrix, k):
    """Return the k largest positive entries of each row, as float32, best first; equal entries by column."""
    matrix = matrix.astype(np.float32)
    order = [np.argsort(-row, kind="stable")[:k] for row in matrix]
    return [
        [(int(column), float(row[column])) for column in columns if row[column] > 0]
        for row, columns in zip(matrix, order, strict=True)
    ]


def dense_transitions(lists, window, fade, smoothing):
    counts = np.zeros((len(IDS), len(IDS)))
    for sentence in lists:
        codes = [IDS.index(item) for item in sentence]
        for at, item in enumerate(codes):
            for later in range(at + 1, min(len(codes), at + window + 1)):
                weight = float(np.float32(fade ** (later - at - 1)))
                counts[item, codes[later]] += weight
                counts[codes[later], item] += float(np.float32(0.5 * fade ** (later - at - 1)))
    return counts / np.maximum(counts.sum(axis=1, keepdims=True) + smoothing, 1e-300)


def dense_links(lists):
    adjacency = np.array([[item in sentence for item in IDS] for sentence in lists], float).reshape(
        -1, len(IDS)
    )
    users, items = np.maximum(adjacency.sum(axis=1), 1), np.maximum(adjacency.sum(axis=0), 1)
    of_users = (users**-0.75).astype(np.float32).astype(float)
    matrix = np.diag(items**-0.5) @ adjacency.T @ np.diag(of_users) @ adjacency @ np.diag(items**-0.25)
    np.fill_diagonal(matrix, 0)
    return matrix


def assert_rows(table, matrix, k):
    """Compare weights up to rounding; rows must be sorted by weight, equal weights by code."""
    for row, expected, dense in zip(rows_of(table), best_of(matrix, k), matrix, strict=True):
        assert [weight for _, weight in row] == pytest.approx([w for _, w in expected], rel=1e-6)
        assert [dense[item] for item, _ in row] == pytest.approx([w for _, w in row], rel=1e-6)
        assert row == sorted(row, key=lambda pair: (-pair[1], pair[0]))
        assert len({item for item, _ in row}) == len(row)


def test_transitions_of_one_sentence():
    table = transitions(Sentences.of([["a", "b", "c"]]), window=2, fade=0.5, smoothing=1)
    # From a: b weighs 1, c .5. From b: c 1, and a, before it, .5. From c: b .5, a .25.
    expected = [
        [(1, 1 / 2.5), (2, 0.5 / 2.5)],
        [(2, 1 / 2.5), (0, 0.5 / 2.5)],
        [(1, 0.5 / 1.75), (0, 0.25 / 1.75)],
    ]
    assert [[item for item, _ in row] for row in rows_of(table)] == [[1, 2], [2, 0], [1, 0]]
    for row, wanted in zip(rows_of(table), expected, strict=True):
        assert [weight for _, weight in row] == pytest.approx([weight for _, weight in wanted])
    assert table.decay == 0.5


def test_a_repeated_item_is_its_own_neighbour_in_transitions_only():
    repeated = Sentences.of([["a", "a", "b"]])
    assert rows_of(transitions(repeated, window=1, smoothing=0))[0] == [
        (0, pytest.approx(1.5 / 2.5)), (1, pytest.approx(1 / 2.5))
    ]  # fmt: skip
    assert [item for item, _ in rows_of(link_propagation(repeated))[0]] == [1]


def test_transitions_end_with_the_sentence():
    table = transitions(Sentences.of([["a", "b"], ["c", "d"]]))
    assert [[item for item, _ in row] for row in rows_of(table)] == [[1], [0], [3], [2]]


def test_links_of_two_sentences():
    table = link_propagation(Sentences.of([["a", "b", "b"], ["b", "c"]]))
    by_two = 2**-0.75  # each sentence has two items
    assert rows_of(table)[0] == [(1, pytest.approx(by_two * 2**-0.25))]
    assert rows_of(table)[1] == [(item, pytest.approx(2**-0.5 * by_two)) for item in (0, 2)]
    assert table.decay == 1


@given(
    lists, st.integers(1, 6), st.sampled_from([1.0, 0.7, 0.3]), st.sampled_from([0.0, 5.0]), st.integers(1, 8)
)
def test_transitions_equal_a_dense_matrix(lists, window, fade, smoothing, k):
    table = transitions(sentences_of(lists), window=window, fade=fade, smoothing=smoothing, k=k)
    assert_rows(table, dense_transitions(lists, window, fade, smoothing), k)


@given(lists, st.integers(1, 8))
def test_links_equal_a_dense_matrix(lists, k):
    assert_rows(link_propagation(sentences_of(lists), k=k), dense_links(lists), k)


@given(lists.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_tables_are_bit_identical_for_any_order_of_sentences(orders):
    for build in (transitions, link_propagation):
        first, second = (rows_of(build(sentences_of(lists))) for lists in orders)
        assert first == second


@pytest.mark.slow
def test_a_very_long_sentence_is_cut_to_its_end():
    crawled = [str(number) for number in range(200_000)]
    lists = Sentences.of([["a", "b"], crawled, ["0", "a"]])
    linked, moved = link_propagation(lists), transitions(lists)
    assert len(linked.items) < 2000 * 200 + 10
    assert len(moved.items) < 200_000 * 10 + 10
    row = rows_of(linked)[lists.vocabulary.code("100")]
    assert row == []  # too far from the crawler's end to count


def test_table_for_uses_the_rows_of_a_vocabulary():
    vocabulary = Vocabulary(("c", "a", "never", "b"))
    lists = [["a", "x", "b"], ["c", "b"]]
    ordered = table_for(Sentences.of(lists), vocabulary)
    assert rows_of(ordered) == rows_of(
        transitions(Sentences(vocabulary, np.array([1, 3, 0, 3]), np.array([0, 2, 4])))
    )
    loose = table_for(Sentences.of(lists, ordered=False), vocabulary)
    assert (ordered.decay, loose.decay) == (0.5, 1.0)
    assert [[item for item, _ in row] for row in rows_of(loose)] == [[3], [3], [], [0, 1]]


@pytest.mark.parametrize("build", [transitions, link_propagation])
def test_no_sentences_give_an_empty_table(build):
    assert len(build(Sentences.of([]))) == 0
    assert build(Sentences.of([["a"], []])).offsets.tolist() == [0, 0]


def test_a_table_is_read_only():
    table = transitions(Sentences.of([["a", "b"]]))
    for array in (table.offsets, table.items, table.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert repr(table) == "NeighbourTable(2 items, 2 neighbour weights, decay=0.5)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": [0, 1]}, "expected non-decreasing integers from 0 to 2"),
        ({"offsets": [0, 2, 1, 2]}, "expected non-decreasing integers"),
        ({"offsets": []}, "expected non-decreasing integers"),
        ({"items": [0, 3]}, "neighbours range from 0 to 3; expected 0 to 2"),
        ({"items": [-1, 1]}, "neighbours range from -1"),
        ({"items": [1]}, r"items \(1,\), weights \(2,\)"),
        ({"weights": [[0.5, 0.1]]}, r"items \(2,\), weights \(1, 2\)"),
        ({"weights": [0.5, 0]}, "a weight is 0 or not finite"),
        ({"weights": [0.5, np.inf]}, "a weight is 0 or not finite"),
        ({"weights": [0.5, np.nan]}, "a weight is 0 or not finite"),
        ({"decay": 0.0}, "decay is 0.0"),
        ({"decay": 1.5}, "decay is 1.5"),
    ],
)
def test_inconsistent_arrays_are_rejected(changes, message):
    whole = {"offsets": [0, 1, 2, 2], "items": [1, 0], "weights": [0.5, 0.1], "decay": 0.5}
    assert len(NeighbourTable(**whole)) == 3
    with pytest.raises(InputError, match=message):
        NeighbourTable(**whole | changes)


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"fade": 0.0}, {"fade": 1.1}, {"smoothing": -1.0}, {"k": 0}]
)
def test_settings_out_of_range_are_errors(wrong):
    with pytest.raises(InputError):
        transitions(Sentences.of([["a", "b"]]), **wrong)
    with pytest.raises(InputError, match="max_items is 1"):
        link_propagation(Sentences.of([["a", "b"]]), max_items=1)
