"""The compiled blocks of next_item: equality with a NumPy reference that makes the same draws."""

import subprocess
import sys
import textwrap
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import TrainConfig
from item2vec.kernels import dense
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.attributes import Attributes
from item2vec.kernels.blocks import BLOCK, RUN, Draws, Part, Rules
from item2vec.kernels.next_item import train_blocks
from item2vec.training.next_item import _draws, _in_runs, _ordered_histories, _unordered_histories

GOLDEN, WORD = 0x9E3779B97F4A7C15, 1 << 64


def mixed(word):
    """splitmix64."""
    word %= WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


# --- the reference ---------------------------------------------------------------------------------


class Case:
    """Random matrices, settings, and a random corpus."""

    def __init__(
        self,
        lengths,
        n_items=9,
        dim=6,
        n_parts=1,
        number=0,
        decay=0.7,
        window=4,
        negative=5,
        dropout=0.3,
        weight_decay=0.01,
        cosine=False,
        tied=False,
        position_rate=0.0,
        squares=0.05,
        seed=5,
        n_attributes=0,
        attributes_only=0.0,
        runs=True,
    ):
        random = np.random.default_rng(seed)
        self.x, self.y = random.normal(0, 0.5, (2, n_items, n_parts, dim)).astype(np.float32)
        self.squares = (squares * (1 + random.random((2, n_items)))).astype(np.float32)
        self.number, self.seed, self.tied = number, seed, tied
        self.positions = (np.arange(window) * np.log(decay)).astype(np.float32)
        self.position_squares = np.full(window, squares, np.float32)
        self.rules = Rules(dropout, weight_decay, cosine, 3.0 if cosine else 1.0, position_rate)
        chances = random.random(n_items) + 0.1
        if negative is None:
            self.draws = Draws(np.empty(0, np.uint64), np.zeros(n_items, np.float32), n_items)
        else:
            log_expected = np.log(negative * chances / chances.sum()).astype(np.float32)
            self.draws = Draws(item_alias_table(chances), log_expected, negative)
        self.tokens = random.integers(0, n_items, sum(lengths)).astype(np.int32)
        _, self.n_before = _ordered_histories(self.tokens, np.cumsum([0, *lengths]))
        targets = np.flatnonzero(self.n_before).astype(np.int32)
        self.order = _in_runs(targets, self.n_before, random) if runs else random.permutation(targets)
        self.n_blocks = -(-len(self.order) // BLOCK)
        self.has = random.random((n_items, n_attributes)) < 0.4  # whether an item has an attribute
        self.shared = random.normal(0, 0.3, (2, n_attributes, n_parts, dim)).astype(np.float32)
        self.shared_squares = (squares * (1 + random.random((2, n_attributes)))).astype(np.float32)
        self.attributes_only = attributes_only

    def part(self, dtype=np.float32):
        """Return a part with copies of the arrays; a tied part has one matrix and one accumulator."""
        x, y, x_squares, y_squares = (a.astype(dtype) for a in (self.x, self.y, *self.squares))
        if self.tied:
            y, y_squares = x, x_squares
        positions = self.positions.astype(dtype), self.position_squares.astype(dtype)
        return Part(self.number, x, y, x_squares, y_squares, *positions, self.attributes(dtype))

    def attributes(self, dtype):
        x, y, x_squares, y_squares = (a.astype(dtype) for a in (*self.shared, *self.shared_squares))
        if self.tied:
            y, y_squares = x, x_squares
        offsets, codes = np.cumsum([0, *self.has.sum(axis=1)]), np.nonzero(self.has)[1].astype(np.int32)
        return Attributes(offsets, codes, x, y, x_squares, y_squares, self.attributes_only)

    def trained(self, alpha=0.05, alpha_step=0.0, first=0, last=None):
        """Return the part and the loss after the kernel."""
        part = self.part()
        last = self.n_blocks if last is None else last
        corpus = self.tokens, self.n_before, self.order
        losses = np.zeros(last)
        rates = alpha, alpha_step
        train_blocks(part, self.draws, self.rules, *corpus, first, last, np.uint64(self.seed), *rates, losses)
        return part, losses.sum()

    def expected(self, alpha=0.05, alpha_step=0.0):
        """Return the part and the loss after the reference."""
        part = self.part(np.float64)
        loss = 0.0
        for block in range(self.n_blocks):
            drawn = drawn_block(self, block)
            loss += loss_of(self, *rows_of(self, part, drawn), part.positions, drawn)
            step(self, part, drawn, alpha - alpha_step * block)
        return part, loss


class Drawn(NamedTuple):
    """The draws of a block: targets, their histories with dropout masks, negatives, items with own row."""

    indices: np.ndarray
    targets: np.ndarray
    contexts: list
    kept: list
    negatives: np.ndarray
    has_own: np.ndarray


def drawn_block(case, block):
    key = mixed(case.seed + GOLDEN * (block + 1))
    targets, contexts, kept = [], [], []
    for i, index in enumerate(case.order[block * BLOCK : (block + 1) * BLOCK]):
        state = mixed(key + GOLDEN * (i + 1))
        n = min(case.n_before[index], len(case.positions))
        mask = np.zeros(n)
        for j in range(n):
            state += GOLDEN
            mask[j] = mixed(state) >> 32 >= int(case.rules.dropout * 2**32)
        targets.append(case.tokens[index])
        contexts.append(case.tokens[index - n : index][::-1])
        kept.append(mask)
    drawn = [mixed(key ^ GOLDEN * (item + 1) % WORD) >> 32 for item in range(len(case.has))]
    has_own = (np.array(drawn) >= int(case.attributes_only * 2**32)) | ~case.has.any(axis=1)
    indices = case.order[block * BLOCK : (block + 1) * BLOCK]
    return Drawn(indices, np.array(targets), contexts, kept, negatives_of(case.draws, key), has_own)


def rows_of(case, part, drawn):
    """Return the input and output rows of the items: own vectors plus the vectors of their attributes."""
    own, shared = (part.input, part.output), (part.attributes.input, part.attributes.output)
    return [
        x[:, case.number] * drawn.has_own[:, None] + case.has @ s[:, case.number]
        for x, s in zip(own, shared, strict=True)
    ]


def negatives_of(draws, key):
    """Return the negatives that the kernel draws for a block."""
    if len(draws.table) == 0:
        return np.arange(draws.negative)
    negatives = []
    for k in range(draws.negative):
        bits = mixed(key - GOLDEN * (k + 1))
        item = (bits >> 32) * len(draws.table) >> 32
        kept = bits % (1 << 32) < int(draws.table[item]) % (1 << 32)
        negatives.append(item if kept else int(draws.table[item]) >> 32)
    return np.array(negatives)


def shares_of(positions, drawn):
    weights = [np.exp(positions[: len(kept)]) * kept for kept in drawn.kept]
    return [weight / weight.sum() if weight.any() else weight for weight in weights]


def unit(rows):
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    lengths[lengths == 0] = 1
    return rows / lengths, lengths


def softmax_of(case, x, y, positions, drawn):
    """Return tastes, output rows, and probabilities of targets (first column) and the negatives.

    The inner product of a taste and a row is the logit.
    """
    shares = shares_of(positions, drawn)
    tastes = np.array([share @ x[items] for items, share in zip(drawn.contexts, shares, strict=True)])
    items = np.column_stack((drawn.targets, np.tile(drawn.negatives, (len(drawn.targets), 1))))
    correction = case.draws.log_expected.astype(np.float64)[items]
    rows = y
    if case.rules.cosine:
        tastes, rows = unit(tastes)[0] * case.rules.scale, unit(y)[0]
        correction[:, 0] = 0
    logits = np.einsum("id,ikd->ik", tastes, rows[items]) - correction
    logits[:, 1:][items[:, 1:] == drawn.targets[:, None]] = -np.inf
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return tastes, rows, weights / weights.sum(axis=1, keepdims=True)


def loss_of(case, x, y, positions, drawn):
    return -np.log(softmax_of(case, x, y, positions, drawn)[2][:, 0]).sum()


def through_norm(gradient, rows):
    """Return the gradient with respect to rows, given the gradient with respect to unit rows."""
    directions, lengths = unit(rows)
    along = (gradient * directions).sum(axis=1, keepdims=True)
    return (gradient - directions * along) / lengths


def step(case, part, drawn, rate):
    """Train a part on a block: outputs once per occurrence, history items once per occurrence in a run."""
    x, y = rows_of(case, part, drawn)
    tastes, rows, chances = softmax_of(case, x, y, part.positions, drawn)
    shares = shares_of(part.positions, drawn)
    # A row shrinks if its gradient is not 0. That of a target is 0 if its probability is 1 in float32.
    missing = chances[:, 0].astype(np.float32).astype(float) - 1
    errors = chances[:, 1:] @ rows[drawn.negatives] + missing[:, None] * rows[drawn.targets]
    of_negatives, of_targets = chances[:, 1:].T @ tastes, missing[:, None] * tastes
    means = np.array([share @ x[items] for items, share in zip(drawn.contexts, shares, strict=True)])
    if case.rules.cosine:
        errors = through_norm(errors * case.rules.scale, means)
        of_negatives = through_norm(of_negatives, y[drawn.negatives])
        of_targets = through_norm(of_targets, y[drawn.targets])

    if case.rules.position_rate:
        slopes = np.zeros(len(part.positions))
        for error, mean, context, share in zip(errors, means, drawn.contexts, shares, strict=True):
            slopes[: len(share)] += share * ((x[context] - mean) @ error)
        part.position_squares[:] += slopes**2
        part.positions[:] -= case.rules.position_rate * slopes / np.sqrt(part.position_squares + 1e-10)

    def learn(row, matrix, squares, gradient):
        if gradient.any():
            squares[row] += (gradient**2).mean()
            shrunk = matrix[row, case.number] * (1 - rate * case.rules.weight_decay)
            matrix[row, case.number] = shrunk - rate * gradient / np.sqrt(squares[row] + 1e-10)

    def learn_all(items, gradients, matrix, squares, shared, shared_squares):
        """Train items once per occurrence, and attributes on their summed gradients."""
        of_attributes = np.zeros((case.has.shape[1], matrix.shape[2]))
        for item, gradient in zip(items, gradients, strict=True):
            of_attributes += np.outer(case.has[item], gradient)
            if drawn.has_own[item]:
                learn(item, matrix, squares, gradient)
        for attribute, gradient in enumerate(of_attributes):
            learn(attribute, shared, shared_squares, gradient)

    _, _, x_shared, y_shared, x_shared_squares, y_shared_squares, _ = part.attributes
    targets = np.concatenate((drawn.negatives, drawn.targets))
    of_outputs = np.concatenate((of_negatives, of_targets))
    learn_all(targets, of_outputs, part.output, part.output_squares, y_shared, y_shared_squares)
    tokens, of_inputs = gradients_of_runs(drawn, shares, errors)
    learn_all(case.tokens[tokens], of_inputs, part.input, part.input_squares, x_shared, x_shared_squares)


def gradients_of_runs(drawn, shares, errors):
    """Return the index of each token before a target, run by run, and its gradient, summed over the run."""
    tokens, gradients, start = [], [], 0
    for end in range(1, len(shares) + 1):
        if end < len(shares) and end - start < RUN and drawn.indices[end] == drawn.indices[end - 1] + 1:
            continue
        sums = {}
        for index, share, error in zip(
            drawn.indices[start:end], shares[start:end], errors[start:end], strict=True
        ):
            for j, weight in enumerate(share):
                sums[index - 1 - j] = sums.get(index - 1 - j, 0) + weight * error
        tokens += sorted(sums)
        gradients += [sums[token] for token in sorted(sums)]
        start = end
    return tokens, gradients


def arrays_of(part):
    return [*part[1:-1], *part.attributes[2:-1]]


def assert_equal(trained, expected, atol):
    for array, expected_array in zip(arrays_of(trained[0]), arrays_of(expected[0]), strict=True):
        np.testing.assert_allclose(array, expected_array, atol=atol, rtol=1e-3)
    assert trained[1] == pytest.approx(expected[1], rel=1e-5, abs=1e-5)


# --- equality with the reference -------------------------------------------------------------------


@st.composite
def cases(draw):
    n_parts = draw(st.integers(1, 3))
    # A row shrinks if its gradient is not 0. That of a cosine near 1 is 0 in float32 and not in float64, so
    # weight decay with cosines is left to test_many_blocks_equal_the_numpy_reference.
    cosine = draw(st.booleans())
    return Case(
        draw(st.lists(st.integers(1, 12), min_size=1, max_size=45)),
        n_items=draw(st.sampled_from([2, 3, 9, 40])),
        dim=draw(st.sampled_from([3, 4, 7, 16, 21, 33] if cosine else [1, 3, 4, 7, 16, 21, 33])),
        n_parts=n_parts,
        number=draw(st.integers(0, n_parts - 1)),
        decay=draw(st.sampled_from([0.3, 0.9, 1.0])),
        window=draw(st.sampled_from([1, 2, 5, 11])),
        negative=draw(st.sampled_from([None, 1, 2, 5, 16, 19, 64])),
        dropout=draw(st.sampled_from([0.0, 0.3, 0.9])),
        weight_decay=0.0 if cosine else draw(st.sampled_from([0.0, 0.01, 0.5])),
        cosine=cosine,
        tied=draw(st.booleans()),
        position_rate=draw(st.sampled_from([0.0, 0.1])),
        squares=draw(st.sampled_from([0.01, 1.0])),
        n_attributes=draw(st.sampled_from([0, 1, 5])),
        attributes_only=draw(st.sampled_from([0.0, 0.4])),
        runs=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32)),
    )


@examples(60)
@given(cases())
def test_training_equals_the_numpy_reference(case):
    assert_equal(case.trained(0.05, 0.01), case.expected(0.05, 0.01), atol=2e-4)


def test_a_target_with_a_probability_of_1_in_float32_does_not_shrink():
    """In float64, its probability is below 1, so that each of its predictions would shrink its row."""
    options = {"n_items": 2, "dim": 33, "n_parts": 2, "number": 1, "decay": 0.3, "window": 1}
    options |= {"negative": None, "dropout": 0.0, "weight_decay": 0.5, "tied": True, "squares": 0.01}
    case = Case([1, 1, 1, 12], **options, n_attributes=5, runs=False, seed=0)
    assert_equal(case.trained(0.05, 0.01), case.expected(0.05, 0.01), atol=2e-4)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize(("negative", "n_attributes"), [(None, 0), (30, 0), (30, 6)])
def test_many_blocks_equal_the_numpy_reference(negative, n_attributes, cosine):
    options = {"negative": negative, "weight_decay": 0.003, "cosine": cosine}
    options |= {"n_attributes": n_attributes}
    case = Case([20] * 130, n_items=50, dim=13, n_parts=2, number=1, **options)
    assert case.n_blocks == 10
    assert len(case.order) % BLOCK
    trained = case.trained(0.06, 0.004)
    part = trained[0]
    assert np.abs(part.input - case.x).max() > 0.3
    assert_equal(trained, case.expected(0.06, 0.004), atol=2e-3)
    assert np.array_equal(part.input[:, 0], case.x[:, 0]), "the other part must not change"
    assert np.array_equal(part.output[:, 0], case.y[:, 0])


def test_blocks_trained_in_two_calls_equal_blocks_trained_in_one():
    case = Case([20] * 60, n_items=50, dim=8, cosine=True, position_rate=0.1, n_attributes=5)
    whole, loss = case.trained(0.05, 0.01)
    part, first = case.trained(0.05, 0.01, last=2)
    _, case.x, case.y, *squares, case.positions, case.position_squares, attributes = part
    _, _, *shared, x_shared_squares, y_shared_squares, _ = attributes
    case.shared, case.shared_squares = np.array(shared), np.array([x_shared_squares, y_shared_squares])
    case.squares = np.array(squares)
    rest, second = case.trained(0.05, 0.01, first=2)
    for array, expected in zip(arrays_of(rest), arrays_of(whole), strict=True):
        assert array.tobytes() == expected.tobytes()
    assert first + second == pytest.approx(loss)


@examples(24)
@given(
    st.sampled_from([None, 1, 6, 20]),
    st.sampled_from([0.0, 0.5]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(0, 0.0), (4, 0.0), (4, 0.5)]),
    st.integers(0, 999),
)
def test_a_step_follows_the_numerical_gradient_of_the_loss(negative, dropout, cosine, tied, attributes, seed):
    """With accumulators so large that they hardly change, steps are proportional to gradients."""
    options = {"dropout": dropout, "weight_decay": 0.0, "squares": 1e6, "seed": seed}
    options |= {"cosine": cosine, "tied": tied, "position_rate": 10.0}
    options |= {"n_attributes": attributes[0], "attributes_only": attributes[1]}
    case = Case([5, 1, 7, 3], n_items=7, dim=3, negative=negative, **options)
    drawn = drawn_block(case, 0)
    start = case.part(np.float64)
    after, _ = case.trained(alpha=10.0)

    def loss():
        return loss_of(case, *rows_of(case, start, drawn), start.positions, drawn)

    def slope_of(matrix):
        slope = np.zeros_like(matrix)
        for index in np.ndindex(matrix.shape):
            value = matrix[index]
            matrix[index] = value + 1e-5
            ahead = loss()
            matrix[index] = value - 1e-5
            slope[index] = (ahead - loss()) / 2e-5
            matrix[index] = value
        return slope

    def learned(part):
        matrices = part.input, part.output, part.attributes.input, part.attributes.output
        squares = [array[:, None, None] for array in (*part[3:5], *part.attributes[4:6])]
        return [*zip(matrices, squares, strict=True), (part.positions, part.position_squares)]

    slopes = [slope_of(matrix) for matrix, _ in learned(start)]
    assert max(np.abs(slope).max() for slope in slopes[:1] + slopes[2:3] if slope.size) > 0.05
    for slope, (now, _), (before, squares) in zip(slopes, learned(after), learned(start), strict=True):
        atol = 5e-4 * max(1, np.abs(slope).max(initial=0))  # rows without an own vector may be short
        np.testing.assert_allclose((now - before) * np.sqrt(squares) / 10, -slope, atol=atol, rtol=1e-3)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_history_that_is_dropped_completely_changes_nothing(cosine):
    case = Case([2] * 30, dropout=0.999999, squares=0.0, cosine=cosine, position_rate=0.1)
    part, _ = case.trained()
    assert np.array_equal(part.input, case.x)
    assert np.array_equal(part.positions, case.positions)
    assert not part.input_squares.any()
    assert np.array_equal(part.output, case.y)
    assert not part.output_squares.any()


def test_items_of_another_sentence_are_not_read():
    """The input vectors of the other sentences are NaN."""
    case = Case([6, 6, 6], n_items=20, window=10, dropout=0.0)
    case.tokens[:] = np.repeat([0, 10, 5], 6) + np.tile(np.arange(6) % 5, 3)
    case.x[:5] = case.x[10:15] = np.nan
    case.order = np.arange(13, 18, dtype=np.int32)
    part, loss = case.trained()
    assert np.isfinite(part.output).all()
    assert np.isfinite(loss)
    assert np.isfinite(part.input[5:10]).all()
    assert (part.input[5:10] != case.x[5:10]).any()


def test_learned_positions_weigh_the_predictive_step_back_most():
    """Each item is determined by the item two steps back."""
    case = Case([40] * 40, n_items=8, dim=16, window=3, negative=None, dropout=0.0, cosine=True, tied=True)
    random = np.random.default_rng(0)
    even, odd = random.integers(0, 8, (2, 40)), random.integers(0, 8, (2, 40))
    starts = np.stack((even[0], odd[0]), axis=1)
    case.tokens[:] = ((starts[:, None, :] + np.arange(20)[None, :, None]) % 8).reshape(-1)
    case.rules = case.rules._replace(position_rate=0.1)
    part = case.part()
    for _ in range(20):
        corpus = case.tokens, case.n_before, case.order
        rates, losses = (0.08, 0.0), np.zeros(case.n_blocks)
        train_blocks(part, case.draws, case.rules, *corpus, 0, case.n_blocks, np.uint64(1), *rates, losses)
    assert int(np.argmax(part.positions)) == 1


@given(st.lists(st.integers(0, 6), max_size=8))
def test_ordered_histories_are_the_preceding_tokens_of_the_sentence(lengths):
    offsets = np.cumsum([0, *lengths])
    tokens = np.arange(offsets[-1], dtype=np.int32)
    read, before = _ordered_histories(tokens, offsets)
    sentences = [list(range(a, b)) for a, b in pairwise(offsets)]
    expected = [(token, sentence[:i]) for sentence in sentences for i, token in enumerate(sentence) if i]
    assert [(read[p], read[p - before[p] : p].tolist()) for p in np.flatnonzero(before)] == expected


@given(st.lists(st.integers(0, 6), max_size=8))
def test_unordered_histories_are_all_other_tokens_of_the_sentence(lengths):
    offsets = np.cumsum([0, *lengths])
    read, before = _unordered_histories(np.arange(offsets[-1], dtype=np.int32), offsets)
    sentences = [set(range(a, b)) for a, b in pairwise(offsets)]
    expected = [(t, sorted(sentence - {t})) for sentence in sentences for t in sentence if len(sentence) > 1]
    histories = [(read[p], sorted(read[p - before[p] : p].tolist())) for p in np.flatnonzero(before)]
    assert histories == sorted(expected)


# --- parts of the kernel ---------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.0, -0.5, -2.0])
def test_negatives_are_drawn_by_frequency_to_the_exponent(exponent):
    frequency = np.array([60, 40, 20, 10, 8, 5, 3, 2])
    draws = _draws(frequency, TrainConfig(negative=7, ns_exponent=exponent))
    chances = frequency**exponent / (frequency**exponent).sum()
    np.testing.assert_allclose(np.exp(draws.log_expected), 7 * chances, rtol=1e-6)
    seen, n_keys = np.zeros(8), 6000
    for key in np.random.default_rng(4).integers(2**64, size=n_keys, dtype=np.uint64).tolist():
        seen += np.bincount(negatives_of(draws, key), minlength=8)
    expected = 7 * n_keys * chances
    assert ((seen - expected) ** 2 / expected).sum() < 29.9  # 7 degrees of freedom, p = .0001


def test_with_few_items_all_items_are_negatives():
    draws = _draws(np.array([5, 3, 1]), TrainConfig(negative=3))
    assert (len(draws.table), draws.negative) == (0, 3)
    assert not draws.log_expected.any()


@given(st.lists(st.floats(-120, 0, width=32), min_size=1, max_size=40), st.floats(-50, 50, width=32))
def test_exponentials_equal_numpy(below, highest):
    scores = np.array(below, np.float32) + np.float32(highest)
    scores = np.minimum(scores, np.float32(highest))
    items = np.arange(len(scores), dtype=np.int32) % 5
    expected = np.exp(np.maximum((scores - np.float32(highest)).astype(np.float64), -87))
    expected[items == 2] = 0
    powers = np.empty(len(scores), np.int32)
    total = dense.exponentials(scores, items, 2, np.float32(highest), powers)
    np.testing.assert_allclose(scores, expected, rtol=5e-6)
    assert total == pytest.approx(expected.sum(), rel=1e-5)


@examples(60)
@given(st.integers(1, 19), st.integers(1, 19), st.integers(1, 70), st.booleans(), st.integers(0, 99))
def test_product_equals_numpy(n, inner, m, turned, seed):
    random = np.random.default_rng(seed)
    b = random.normal(size=(inner, m)).astype(np.float32)
    a = random.normal(size=(inner, n) if turned else (n, inner)).astype(np.float32)
    a = a.T if turned else a
    product = np.full((n, m), np.nan, np.float32)
    dense.product(a, b, np.empty((inner, dense.COLUMNS), np.float32), product)
    np.testing.assert_allclose(product, a.astype(np.float64) @ b, atol=1e-5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(0, 99))
def test_targets_are_ordered_by_runs(lengths, seed):
    """Runs are in random order. Within a run, targets are successive tokens of a sentence."""
    offsets = np.cumsum([0, *lengths])
    _, n_before = _ordered_histories(np.arange(offsets[-1], dtype=np.int32), offsets)
    targets = np.flatnonzero(n_before).astype(np.int32)
    ordered = _in_runs(targets, n_before, np.random.default_rng(seed))
    assert sorted(ordered) == targets.tolist()
    starts = ordered[np.diff(ordered, prepend=-1) != 1]
    assert len(set(starts[n_before[starts] > RUN + 1] % RUN)) <= 1


def test_runs_are_drawn_anew():
    random, n_before = np.random.default_rng(1), np.arange(100, dtype=np.int32)
    late = np.arange(20, 100, dtype=np.int32)
    starts = {int(_in_runs(late, n_before, random)[0]) % RUN for _ in range(200)}
    assert len(starts) == RUN


def test_short_histories_are_not_read_in_runs():
    n_before = np.arange(RUN + 1, dtype=np.int32)
    orders = [_in_runs(n_before[1:], n_before, np.random.default_rng(seed)) for seed in range(50)]
    assert any((np.diff(order) < 0).sum() > RUN // 2 for order in orders)


@pytest.mark.slow
def test_blocks_allocate_no_memory():
    """Nine blocks allocate as much of numba's memory as one."""
    code = textwrap.dedent("""
        import sys
        sys.path.insert(0, "tests")
        from numba.core.runtime import rtsys
        from test_kernels_next_item import Case
        case = Case([20] * 130, n_items=50)
        for last in (1, 1, 9):
            before = rtsys.get_allocation_stats()
            case.trained(last=last)
            after = rtsys.get_allocation_stats()
            print(after.alloc - before.alloc, after.mi_alloc - before.mi_alloc)
    """)
    run = subprocess.run(
        [sys.executable, "-c", code], env={"NUMBA_NRT_STATS": "1"}, capture_output=True, text=True, check=True
    )
    _, one_block, nine_blocks = (tuple(map(int, line.split())) for line in run.stdout.splitlines())
    assert min(one_block) > 0
    assert one_block == nine_blocks
