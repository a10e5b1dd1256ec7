"""Tastes: weights and vectors against slow loops, bit-identical in every batch."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec.config import NextItem, TasteConfig
from item2vec.errors import ConfigError
from item2vec.sentences import offsets_of
from item2vec.taste import TasteReader, decays, history_weights, read_tastes, scored_matrix, taste_matrix
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

DAY = 86_400_000_000
N_ITEMS = 40


def made_vectors(n_items=N_ITEMS, dims=6, seed=0):
    rng = np.random.default_rng(seed)
    known = Vocabulary(tuple(f"item-{row}" for row in range(n_items)))
    return ItemVectors(
        known, rng.normal(size=(n_items, dims)), rng.normal(size=(n_items, dims)), np.ones(n_items)
    )


def tastes_of(dims=6):
    """Strategy of tastes for vectors of ``dims`` dimensions: one decay, or several that divide them."""
    decay = st.sampled_from([1.0, 0.9, 0.5, 1e-3])
    several = st.sampled_from([parts for parts in (1, 2, 3, 5, 6) if dims % parts == 0]).flatmap(
        lambda parts: st.tuples(*[decay] * parts)
    )
    return st.builds(
        TasteConfig,
        score=st.sampled_from(["cosine", "output"]),
        decay=decay | several,
        half_life=st.sampled_from([None, 0.01, 7.0, 1e6]),
        last_n=st.sampled_from([None, 1, 3, 100]),
    )


tastes = tastes_of()


@st.composite
def histories(draw):
    """Strategy of batches of histories, some empty: rows, weights and timestamps of each."""
    batch = []
    for length in draw(st.lists(st.integers(0, 8), min_size=1, max_size=8)):
        rows = draw(st.lists(st.integers(0, N_ITEMS - 1), min_size=length, max_size=length))
        weights = draw(
            st.lists(st.sampled_from([0.0, 0.25, 1.0, 5.0, 1e6]), min_size=length, max_size=length)
        )
        days = draw(st.lists(st.integers(0, 40), min_size=length, max_size=length))
        batch.append((rows, weights, [18_000 * DAY + day * DAY // 3 for day in sorted(days)]))
    return batch


def columns_of(batch, weighted, timed):
    rows, weights, stamps = ([value for history in batch for value in history[column]] for column in range(3))
    offsets = offsets_of([len(history[0]) for history in batch])
    extra = {"weights": np.array(weights, dtype=np.float64)} if weighted else {}
    if timed:
        extra["timestamps"] = np.array(stamps, dtype=np.int64)
    return np.array(rows, dtype=np.int32), offsets, extra


def slow_parts(history, taste, decay, weighted, timed):
    rows, weights, stamps = history
    parts = []
    for position in range(len(rows)):
        steps_back = len(rows) - 1 - position
        part = decay**steps_back
        if taste.last_n is not None and steps_back >= taste.last_n:
            part = 0.0
        if timed and taste.half_life is not None:
            part *= 0.5 ** ((max(stamps) - stamps[position]) / DAY / taste.half_life)
        parts.append(part * weights[position] if weighted else part)
    return [part / sum(parts) for part in parts] if sum(parts) > 0 else parts


def slow_weights(history, taste, weighted, timed):
    """Return the weights of a history: one row per item, one column per decay."""
    several = taste.decay if isinstance(taste.decay, tuple) else [taste.decay]
    columns = [slow_parts(history, taste, decay, weighted, timed) for decay in several]
    return [list(row) for row in zip(*columns, strict=True)]


def slow_taste(history, weights, vectors, taste):
    dims = vectors.input.shape[1]
    total = [0.0] * dims
    for row, weight in zip(history[0], weights, strict=True):
        vector = vectors.input[row].tolist()
        length = math.hypot(*vector) if taste.score == "cosine" else 1.0
        for column, number in enumerate(vector):
            total[column] += weight[column * len(weight) // dims] * number / length
    length = math.hypot(*total)
    if taste.score == "cosine" and length > 1e-9:
        return [number / length for number in total], length
    return total, 1.0


@examples(200)
@given(histories(), tastes, st.booleans(), st.booleans())
def test_weights_equal_a_slow_loop(batch, taste, weighted, timed):
    _, offsets, extra = columns_of(batch, weighted, timed)
    parts = history_weights(offsets, taste, **extra)
    assert parts.shape == (offsets[-1], len(decays(taste)))
    expected = [
        part for history in batch for row in slow_weights(history, taste, weighted, timed) for part in row
    ]
    assert parts.ravel().tolist() == pytest.approx(expected, rel=1e-9, abs=1e-300)
    for start, end in pairwise(offsets):
        for column in parts[start:end].T:
            assert column.sum() == pytest.approx(1) or not column.any()


@examples(200)
@given(histories(), tastes, st.booleans(), st.booleans())
def test_tastes_equal_a_slow_loop(batch, taste, weighted, timed):
    vectors = made_vectors()
    rows, offsets, extra = columns_of(batch, weighted, timed)
    result = read_tastes(vectors, taste, rows, offsets, **extra)
    assert result.vectors.shape == (len(batch), 6)
    assert result.vectors.dtype == np.float32
    for number, history in enumerate(batch):
        weights = slow_weights(history, taste, weighted, timed)
        vector, length = slow_taste(history, weights, vectors, taste)
        assert result.empty[number] == (not any(map(any, weights)))
        assert result.vectors[number].tolist() == pytest.approx(vector, abs=1e-5)
        assert 1 / result.scales[number] == pytest.approx(length, rel=1e-5)


@examples(100)
@given(histories(), st.sampled_from([1, 2, 3, 16, 65]), st.booleans(), st.booleans(), st.data())
def test_a_taste_is_bit_identical_in_every_batch(batch, dims, weighted, timed, data):
    vectors, taste = made_vectors(dims=dims), data.draw(tastes_of(dims))
    rows, offsets, extra = columns_of(batch, weighted, timed)
    together = read_tastes(vectors, taste, rows, offsets, **extra)
    for number, history in enumerate(batch):
        rows, offsets, extra = columns_of([history], weighted, timed)
        alone = read_tastes(vectors, taste, rows, offsets, **extra)
        assert alone.vectors[0].tobytes() == together.vectors[number].tobytes()
        assert alone.scales[0].tolist() == together.scales[number].tolist()
        assert alone.empty[0] == together.empty[number]


@pytest.mark.parametrize(
    "taste",
    [
        TasteConfig(score="cosine", decay=1.0),
        TasteConfig(score="output"),
        TasteConfig(decay=0.999),
        TasteConfig(decay=(0.5, 1.0)),
        TasteConfig(last_n=50),
    ],
)
@pytest.mark.parametrize("dims", [2, 8, 64])
def test_long_histories_are_read_to_the_end(taste, dims):
    vectors = made_vectors(dims=dims)
    rng = np.random.default_rng(1)
    lengths = [3, 45_000, 0, 20_000, 1, 70_000, 0, 9_999, 12]
    rows = rng.integers(0, N_ITEMS, size=sum(lengths)).astype(np.int32)
    offsets = offsets_of(lengths)
    together = read_tastes(vectors, taste, rows, offsets)
    for number, (start, end) in enumerate(pairwise(offsets)):
        alone = read_tastes(vectors, taste, rows[start:end], np.array([0, end - start]))
        assert alone.vectors[0].tobytes() == together.vectors[number].tobytes()
        if end == start:
            assert together.empty[number]
            continue
        age = np.arange(end - start)[::-1]
        parts = np.power(decays(taste), age[:, None].astype(float))
        parts[age >= (taste.last_n or end - start)] = 0
        parts = np.repeat(parts / parts.sum(axis=0), dims // parts.shape[1], axis=1)
        mean = (parts * taste_matrix(vectors, taste)[rows[start:end]]).sum(axis=0)
        if taste.score == "cosine":
            mean /= np.linalg.norm(mean)
        assert together.vectors[number] == pytest.approx(mean, abs=1e-5)


def test_a_reader_of_many_histories_reads_each_as_a_reader_of_one():
    vectors, taste = made_vectors(), TasteConfig(decay=(0.5, 0.9), half_life=7.0)
    reader, rows = TasteReader.of(vectors, taste), np.arange(N_ITEMS, dtype=np.int32)
    for n, timed in ((3, False), (4, False), (3, True), (3, False), (4, False)):
        extra = {"timestamps": np.arange(n) * 9 * DAY} if timed else {}
        history = rows[:n], np.array([0, n])
        expected = read_tastes(vectors, taste, *history, **extra)
        assert reader.read(*history, **extra).vectors.tobytes() == expected.vectors.tobytes()


def test_a_long_history_with_decay_equals_its_newest_items():
    vectors = made_vectors()
    rows = np.zeros(45_000, dtype=np.int32)
    rows[-1] = 7
    taste = read_tastes(vectors, TasteConfig(score="cosine", decay=1e-9), rows, np.array([0, 45_000]))
    assert taste.vectors[0] == pytest.approx(vectors.unit_input[7], abs=1e-6)
    assert taste.weights.sum() == pytest.approx(1)


@examples(50)
@given(histories(), tastes)
def test_token_scores_add_up_to_the_score(batch, taste):
    vectors = made_vectors()
    rows, offsets, extra = columns_of(batch, weighted=True, timed=True)
    result = read_tastes(vectors, taste, rows, offsets, **extra)
    matrix = taste_matrix(vectors, taste).astype(np.float64)
    for number, (start, end) in enumerate(pairwise(offsets)):
        weights = np.repeat(result.weights[start:end], 6 // result.weights.shape[1], axis=1)
        scales = np.repeat(result.scales[number], 6 // result.weights.shape[1])
        shares = weights * matrix[rows[start:end]] * scales
        assert shares.sum(axis=0) == pytest.approx(result.vectors[number], abs=1e-5)


def next_item_vectors(input_, output, positions=None, **settings):
    rows = np.array(input_, dtype=float)
    ids = tuple("abcdef"[: len(rows)])
    config = NextItem(vector_size=rows.shape[1], **settings)
    return ItemVectors(
        Vocabulary(ids), rows, np.array(output, dtype=float), np.ones(len(rows)), config, positions=positions
    )


def test_learned_positions_weigh_the_steps_back():
    """The weights of four items, newest first, are 1, 3, 0 and 0. The fourth is beyond the last position."""
    positions = np.array([[1, 3, 0], [1, 1, 0]], dtype=np.float32)
    taste = TasteConfig(decay=("learned", 0.5))
    result = history_weights(np.array([0, 4]), taste, positions=positions)
    assert result[:, 0].tolist() == [0, 0, 0.75, 0.25]
    assert result[:, 1] == pytest.approx(np.array([1, 2, 4, 8]) / 15)
    with pytest.raises(
        ConfigError,
        match=r"needs position weights for each of its parts \(2\), and these vectors have them for 0",
    ):
        read_tastes(made_vectors(), taste, np.zeros(1, np.int32), np.array([0, 1]))


def test_a_score_of_cosine_is_the_mean_of_the_parts_cosines_over_the_temperature():
    vectors = next_item_vectors(
        [[3, 0, 1, 0], [0, 4, 1, 0]],
        [[1, 0, 0, 1], [0.6, 0.8, 1, 0]],
        temperature=0.1,
        context_decay=(1.0, 1.0),
    )
    taste = TasteConfig()
    tastes = read_tastes(vectors, taste, np.array([0, 1], np.int32), np.array([0, 2]))
    scores = tastes.vectors @ scored_matrix(vectors, taste).T
    # part 1: the taste (1.5, 2) has the unit vector (.6, .8); part 2: (1, 0)
    assert scores[0] == pytest.approx([(0.6 + 0) / 2 / 0.1, (1 + 1) / 2 / 0.1])
    assert 1 / tastes.scales[0] == pytest.approx([2.5 * 2 * 0.1, 1 * 2 * 0.1])
    weighed = TasteConfig(part_weights=(3, 1), decay=(1.0, 1.0))
    tastes = read_tastes(vectors, weighed, np.array([0, 1], np.int32), np.array([0, 2]))
    assert tastes.vectors @ scored_matrix(vectors, weighed)[0] == pytest.approx([0.75 * 0.6 / 0.1])


def test_a_part_with_a_zero_input_vector_adds_nothing():
    """The second part of item a was never trained: it adds 0 to scores, without a division by zero."""
    vectors = next_item_vectors([[1, 0, 0, 0], [0, 1, 0, 1]], [[1, 0, 0, 1]] * 2, context_decay=(1.0, 1.0))
    tastes = read_tastes(vectors, TasteConfig(), np.array([0], np.int32), np.array([0, 1]))
    assert tastes.vectors[0] == pytest.approx([1 / (2 * 0.07), 0, 0, 0])
    assert not tastes.empty[0]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("score", ["cosine", "output"])
def test_vectors_that_cancel_out_give_an_empty_taste(scale, score):
    vectors = ItemVectors(
        Vocabulary(("a", "b", "c")),
        np.array([[0.1, 0.7], [-0.1, -0.7], [0, 1]]) * scale,
        np.ones((3, 2)),
        np.ones(3),
    )
    rows, offsets = np.array([0, 1, 0, 1, 2, 2], dtype=np.int32), np.array([0, 2, 5, 6])
    result = read_tastes(vectors, TasteConfig(score=score, decay=1.0), rows, offsets)
    assert result.empty.tolist() == [True, False, False]
    assert np.isfinite(result.vectors).all()


def test_histories_of_weight_0_give_an_empty_taste():
    vectors = made_vectors()
    rows, offsets = np.array([1, 2, 3], dtype=np.int32), np.array([0, 0, 2, 2, 3, 3])
    result = read_tastes(
        vectors, TasteConfig(score="cosine"), rows, offsets, weights=np.array([0.0, 0.0, 1.0])
    )
    assert result.empty.tolist() == [True, True, True, False, True]
    assert result.weights.tolist() == [[0], [0], [1]]
    nothing = read_tastes(vectors, TasteConfig(score="cosine"), rows[:0], np.array([0]))
    assert nothing.vectors.shape == (0, 6)


def test_age_is_relative_to_the_newest_item_of_the_history():
    stamps = np.array([0, 7, 14, 100], dtype=np.int64) * DAY
    taste = TasteConfig(half_life=7, decay=1.0)
    result = history_weights(np.array([0, 3, 4]), taste, timestamps=stamps)
    assert result[:, 0] == pytest.approx([1 / 7, 2 / 7, 4 / 7, 1])
    ancient = np.array([0, 10**6], dtype=np.int64) * DAY
    result = history_weights(np.array([0, 2]), TasteConfig(half_life=1e-6), timestamps=ancient)
    assert result.tolist() == [[0], [1]]
    unordered = history_weights(np.array([0, 3]), taste, timestamps=stamps[[2, 0, 1]])
    assert unordered[:, 0] == pytest.approx([4 / 7, 1 / 7, 2 / 7])


@examples(50)
@given(histories(), tastes, st.sampled_from([2, 3, 6]))
def test_equal_decays_equal_one_decay(batch, taste, n_parts):
    single = taste.replace(decay=decays(taste)[0])
    rows, offsets, extra = columns_of(batch, weighted=True, timed=True)
    several = read_tastes(
        made_vectors(), single.replace(decay=(single.decay,) * n_parts), rows, offsets, **extra
    )
    expected = read_tastes(made_vectors(), single, rows, offsets, **extra)
    assert several.vectors.tobytes() == expected.vectors.tobytes()
    assert (several.weights == expected.weights).all()


def test_each_part_has_its_own_decay():
    vectors = made_vectors()
    rows, offsets = np.array([3, 1, 4, 1, 5], dtype=np.int32), np.array([0, 3, 5])
    two_parts = read_tastes(vectors, TasteConfig(decay=(0.5, 0.9)), rows, offsets).vectors
    for half, decay in ((slice(0, 3), 0.5), (slice(3, 6), 0.9)):
        alone = read_tastes(vectors, TasteConfig(decay=decay), rows, offsets).vectors
        assert two_parts[:, half].tobytes() == alone[:, half].tobytes()


@pytest.mark.parametrize("score", ["cosine", "output"])
def test_decays_that_do_not_divide_the_dimensions_are_rejected(score):
    vectors, taste = made_vectors(dims=8), TasteConfig(score=score, decay=(0.5, 0.7, 0.9))
    message = r"decay=\(0\.5, 0\.7, 0\.9\) needs 3 equal parts of the vectors, which have 8 dimensions"
    with pytest.raises(ConfigError, match=message):
        read_tastes(vectors, taste, np.array([0], dtype=np.int32), np.array([0, 1]))
    with pytest.raises(ConfigError, match=message):
        scored_matrix(vectors, taste)


def test_matrices_of_each_score():
    vectors = made_vectors()
    cosine, output = TasteConfig(score="cosine"), TasteConfig(score="output")
    assert taste_matrix(vectors, cosine) is scored_matrix(vectors, cosine) is vectors.unit_input
    assert (
        taste_matrix(vectors, output) is vectors.input,
        scored_matrix(vectors, output) is vectors.output,
    ) == (True, True)
    without = ItemVectors(vectors.vocabulary, vectors.input, None, vectors.counts)
    with pytest.raises(ConfigError, match="score='output' needs output vectors"):
        scored_matrix(without, output)
