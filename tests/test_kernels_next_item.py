"""next_item's compiled blocks against the same in slow NumPy, with the same draws."""

import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec import TrainConfig
from item2vec.kernels import next_item as kernel
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.next_item import BLOCK, Draws, Part, Rules, train_blocks
from item2vec.training.next_item import _draws, _one_by_one, _round

GOLDEN, WORD = 0x9E3779B97F4A7C15, 1 << 64


def mixed(word):
    """splitmix64."""
    word %= WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


# --- the reference ---------------------------------------------------------------------------------


class Case:
    """Random matrices, and a corpus of sentences to predict within."""

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
        squares=0.05,
        seed=5,
    ):
        random = np.random.default_rng(seed)
        self.x, self.y = random.normal(0, 0.5, (2, n_items, n_parts, dim)).astype(np.float32)
        self.squares = (squares * (1 + random.random((2, n_items)))).astype(np.float32)
        self.number, self.seed = number, seed
        self.steps_back = (decay ** np.arange(window)).astype(np.float32)
        self.rules = Rules(dropout, weight_decay)
        chances = random.random(n_items) + 0.1
        if negative is None:
            self.draws = Draws(np.empty(0, np.uint64), np.zeros(n_items, np.float32), n_items)
        else:
            log_expected = np.log(negative * chances / chances.sum()).astype(np.float32)
            self.draws = Draws(item_alias_table(chances), log_expected, negative)
        self.tokens = random.integers(0, n_items, sum(lengths)).astype(np.int32)
        _, self.before = _one_by_one(self.tokens, np.cumsum([0, *lengths]))
        self.order = random.permutation(np.flatnonzero(self.before)).astype(np.int32)
        self.n_blocks = -(-len(self.order) // BLOCK)

    def trained(self, alpha=0.05, fall=0.0, first=0, last=None):
        """Return matrices, accumulators and the loss, as the kernel leaves them."""
        x, y, (x_squares, y_squares) = self.x.copy(), self.y.copy(), self.squares.copy()
        part = Part(self.number, x, y, x_squares, y_squares, self.steps_back)
        last = self.n_blocks if last is None else last
        corpus = self.tokens, self.before, self.order
        loss = train_blocks(
            part, self.draws, self.rules, *corpus, first, last, np.uint64(self.seed), alpha, fall
        )
        return x, y, x_squares, y_squares, loss

    def expected(self, alpha=0.05, fall=0.0):
        """Return the same, slowly."""
        x, y, x_squares, y_squares = (a.astype(np.float64) for a in (self.x, self.y, *self.squares))
        loss = 0.0
        for block in range(self.n_blocks):
            draws = drawn(self, block)
            here = x[:, self.number], y[:, self.number]
            loss += loss_of(*here, *draws, self.draws.log_expected)
            step(*here, x_squares, y_squares, *draws, self, alpha - fall * block)
        return x, y, x_squares, y_squares, loss


def drawn(case, block):
    """Return a block's targets, the items before each of them with their shares, and the negatives."""
    key = mixed(case.seed + GOLDEN * (block + 1))
    targets, contexts, shares = [], [], []
    for i, place in enumerate(case.order[block * BLOCK : (block + 1) * BLOCK]):
        state = mixed(key + GOLDEN * (i + 1))
        n = min(case.before[place], len(case.steps_back))
        share = np.zeros(n)
        for j in range(n):
            state += GOLDEN
            if mixed(state) >> 32 >= int(case.rules.dropout * 2**32):
                share[j] = case.steps_back[j]
        targets.append(case.tokens[place])
        contexts.append(case.tokens[place - n : place][::-1])
        shares.append(share / share.sum() if share.any() else share)
    return np.array(targets), contexts, shares, negatives_of(case.draws, key)


def negatives_of(draws, key):
    if len(draws.table) == 0:
        return np.arange(draws.negative)
    negatives = []
    for k in range(draws.negative):
        bits = mixed(key - GOLDEN * (k + 1))
        item = (bits >> 32) * len(draws.table) >> 32
        kept = bits % (1 << 32) < int(draws.table[item]) % (1 << 32)
        negatives.append(item if kept else int(draws.table[item]) >> 32)
    return np.array(negatives)


def tastes_of(x, contexts, shares):
    return np.array([share @ x[context] for context, share in zip(contexts, shares, strict=True)])


def softmax_of(x, y, targets, contexts, shares, negatives, log_expected):
    """Return tastes, and the chances of each target (first column) and the negatives other than it."""
    tastes = tastes_of(x, contexts, shares)
    items = np.column_stack((targets, np.tile(negatives, (len(targets), 1))))
    logits = np.einsum("id,ikd->ik", tastes, y[items]) - log_expected[items]
    logits[:, 1:][items[:, 1:] == targets[:, None]] = -np.inf
    weights = np.exp(logits)
    return tastes, weights / weights.sum(axis=1, keepdims=True)


def loss_of(x, y, *block):
    return -np.log(softmax_of(x, y, *block)[1][:, 0]).sum()


def step(x, y, x_squares, y_squares, targets, contexts, shares, negatives, case, rate):
    """Change the matrices by a block: each occurrence of an item in turn, as the kernel does."""
    tastes, chances = softmax_of(
        x, y, targets, contexts, shares, negatives, case.draws.log_expected.astype(np.float64)
    )
    missing = chances[:, 0] - 1
    errors = chances[:, 1:] @ y[negatives] + missing[:, None] * y[targets]
    changes = chances[:, 1:].T @ tastes

    def learn(row, matrix, squares, gradient):
        if gradient.any():
            squares[row] += (gradient**2).mean()
            shrunk = matrix[row] * (1 - rate * case.rules.weight_decay)
            matrix[row] = shrunk - rate * gradient / np.sqrt(squares[row] + 1e-10)

    for item, change in zip(negatives, changes, strict=True):
        learn(item, y, y_squares, change)
    for target, lack, taste in zip(targets, missing, tastes, strict=True):
        learn(target, y, y_squares, lack * taste)
    for error, context, share in zip(errors, contexts, shares, strict=True):
        for item, part in zip(context, share, strict=True):
            learn(item, x, x_squares, part * error)


def agree(found, expected, atol):
    for ours, theirs in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol, rtol=1e-4)
    assert found[4] == pytest.approx(expected[4], rel=1e-5, abs=1e-5)


# --- the kernel against it -------------------------------------------------------------------------


@st.composite
def cases(draw):
    n_parts = draw(st.integers(1, 3))
    return Case(
        draw(st.lists(st.integers(1, 12), min_size=1, max_size=45)),
        n_items=draw(st.sampled_from([2, 3, 9, 40])),
        dim=draw(st.sampled_from([1, 3, 4, 7, 16, 21, 33])),
        n_parts=n_parts,
        number=draw(st.integers(0, n_parts - 1)),
        decay=draw(st.sampled_from([0.3, 0.9, 1.0])),
        window=draw(st.sampled_from([1, 2, 5, 11])),
        negative=draw(st.sampled_from([None, 1, 2, 5, 16, 19, 64])),
        dropout=draw(st.sampled_from([0.0, 0.3, 0.9])),
        weight_decay=draw(st.sampled_from([0.0, 0.01, 0.5])),
        squares=draw(st.sampled_from([0.01, 1.0])),
        seed=draw(st.integers(0, 2**32)),
    )


@settings(deadline=None, max_examples=60)
@given(cases())
def test_training_is_the_reference(case):
    agree(case.trained(0.05, 0.01), case.expected(0.05, 0.01), atol=2e-4)


@pytest.mark.parametrize("negative", [None, 30])
def test_many_blocks_stay_with_the_reference(negative):
    case = Case([20] * 130, n_items=50, dim=13, n_parts=2, number=1, negative=negative, weight_decay=0.003)
    assert case.n_blocks == 10
    assert len(case.order) % BLOCK
    found = case.trained(0.05, 0.004)
    assert np.abs(found[0] - case.x).max() > 0.3
    agree(found, case.expected(0.05, 0.004), atol=2e-3)
    assert np.array_equal(found[0][:, 0], case.x[:, 0]), "the other part is another's"
    assert np.array_equal(found[1][:, 0], case.y[:, 0])


def test_blocks_trained_in_spans_are_those_trained_at_once():
    case = Case([20] * 60, n_items=50, dim=8)
    whole = case.trained(0.05, 0.01)
    case.x, case.y, *squares, first = case.trained(0.05, 0.01, last=2)
    case.squares = np.array(squares)
    *rest, second = case.trained(0.05, 0.01, first=2)
    for one, other in zip(whole, rest, strict=False):
        assert one.tobytes() == other.tobytes()
    assert first + second == pytest.approx(whole[4])


@settings(deadline=None, max_examples=12)
@given(st.sampled_from([None, 1, 6, 20]), st.sampled_from([0.0, 0.5]), st.integers(0, 999))
def test_a_step_goes_down_the_gradient_of_the_loss(negative, dropout, seed):
    """With accumulators so large that they hardly grow, steps are gradients."""
    lengths = [5, 1, 7, 3]
    options = {"dropout": dropout, "weight_decay": 0.0, "squares": 1e6, "seed": seed}
    case = Case(lengths, n_items=7, dim=3, negative=negative, **options)
    both = np.array([case.x[:, 0], case.y[:, 0]], np.float64)
    block = (*drawn(case, 0), case.draws.log_expected)
    slope = np.zeros_like(both)
    for place in np.ndindex(both.shape):
        ahead, behind = both.copy(), both.copy()
        ahead[place] += 1e-5
        behind[place] -= 1e-5
        slope[place] = (loss_of(*ahead, *block) - loss_of(*behind, *block)) / 2e-5
    found = np.array(case.trained(alpha=10.0)[:2])[:, :, 0]
    step = (found - both) * np.sqrt(case.squares)[:, :, None] / 10
    assert np.abs(slope).max() > 0.05
    np.testing.assert_allclose(step, -slope, atol=1e-4)


def test_a_context_wholly_overlooked_changes_nothing():
    case = Case([2] * 30, dropout=0.999999, squares=0.0)
    x, y, x_squares, y_squares, _ = case.trained()
    assert np.array_equal(x, case.x)
    assert np.array_equal(y, case.y)
    assert not x_squares.any()
    assert not y_squares.any()


def test_items_of_another_sentence_are_not_read():
    """The first sentence's items are poison to whatever reads their input vectors."""
    case = Case([6, 6, 6], n_items=20, window=10, dropout=0.0)
    case.tokens[:] = np.repeat([0, 10, 5], 6) + np.tile(np.arange(6) % 5, 3)
    case.x[:5] = case.x[10:15] = np.nan
    case.order = np.arange(13, 18, dtype=np.int32)
    x, y, *_, loss = case.trained()
    assert np.isfinite(y).all()
    assert np.isfinite(loss)
    assert np.isfinite(x[5:10]).all()
    assert (x[5:10] != case.x[5:10]).any()


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=8))
def test_each_token_has_its_own_sentence_before_it(lengths):
    offsets = np.cumsum([0, *lengths])
    tokens = np.arange(offsets[-1], dtype=np.int32)
    read, before = _one_by_one(tokens, offsets)
    sentences = [list(range(a, b)) for a, b in pairwise(offsets)]
    expected = [(token, sentence[:i]) for sentence in sentences for i, token in enumerate(sentence) if i]
    assert [(read[p], read[p - before[p] : p].tolist()) for p in np.flatnonzero(before)] == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=8))
def test_a_token_without_order_has_all_others_before_it(lengths):
    offsets = np.cumsum([0, *lengths])
    read, before = _round(np.arange(offsets[-1], dtype=np.int32), offsets)
    sentences = [set(range(a, b)) for a, b in pairwise(offsets)]
    expected = [(t, sorted(sentence - {t})) for sentence in sentences for t in sentence if len(sentence) > 1]
    found = [(read[p], sorted(read[p - before[p] : p].tolist())) for p in np.flatnonzero(before)]
    assert found == sorted(expected)


# --- its parts -------------------------------------------------------------------------------------


def memory_of(n_negatives, dim):
    floats = {"dtype": np.float32}
    return kernel._Memory(
        np.empty((BLOCK, 4), **floats),
        np.empty((BLOCK, dim), **floats),
        np.empty((BLOCK, dim), **floats),
        np.arange(n_negatives, dtype=np.int32),
        np.empty((n_negatives, dim), **floats),
        np.empty((dim, n_negatives), **floats),
        np.empty((n_negatives, dim), **floats),
        np.empty((BLOCK, n_negatives), **floats),
        np.empty(BLOCK, **floats),
        np.empty(n_negatives, np.int32),
    )


@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.0, -0.5, -2.0])
def test_negatives_are_drawn_by_frequency_to_the_exponent(exponent):
    frequency = np.array([60, 40, 20, 10, 8, 5, 3, 2])
    draws = _draws(frequency, TrainConfig(negative=7, ns_exponent=exponent))
    chances = frequency**exponent / (frequency**exponent).sum()
    np.testing.assert_allclose(np.exp(draws.log_expected), 7 * chances, rtol=1e-6)
    case, memory = Case([2], n_items=8), memory_of(7, 6)
    part = Part(0, case.x, case.y, *case.squares, case.steps_back)
    seen, n_keys = np.zeros(8), 6000
    for key in np.random.default_rng(4).integers(2**64, size=n_keys, dtype=np.uint64):
        kernel._draw(part, draws, memory, key)
        seen += np.bincount(memory.negatives, minlength=8)
    expected = 7 * n_keys * chances
    assert ((seen - expected) ** 2 / expected).sum() < 29.9  # 7 degrees of freedom, p = .0001
    assert np.array_equal(memory.rows, case.y[memory.negatives, 0])
    assert np.array_equal(memory.columns, memory.rows.T)


def test_few_items_are_all_told_apart():
    draws = _draws(np.array([5, 3, 1]), TrainConfig(negative=3))
    assert (len(draws.table), draws.negative) == (0, 3)
    assert not draws.log_expected.any()


@settings(deadline=None)
@given(st.lists(st.floats(-120, 0, width=32), min_size=1, max_size=40), st.floats(-50, 50, width=32))
def test_exponentials(below, highest):
    scores = np.array(below, np.float32) + np.float32(highest)
    scores = np.minimum(scores, np.float32(highest))
    items = np.arange(len(scores), dtype=np.int32) % 5
    expected = np.exp(np.maximum((scores - np.float32(highest)).astype(np.float64), -87))
    expected[items == 2] = 0
    powers = np.empty(len(scores), np.int32)
    total = kernel._exponentials(scores, items, 2, np.float32(highest), powers)
    np.testing.assert_allclose(scores, expected, rtol=5e-6)
    assert total == pytest.approx(expected.sum(), rel=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 19), st.integers(1, 19), st.integers(1, 37), st.booleans(), st.integers(0, 99))
def test_products(n, inner, m, turned, seed):
    random = np.random.default_rng(seed)
    b = random.normal(size=(inner, m)).astype(np.float32)
    a = random.normal(size=(inner, n) if turned else (n, inner)).astype(np.float32)
    a = a.T if turned else a
    product = np.full((n, m), np.nan, np.float32)
    kernel._product(a, b, product)
    np.testing.assert_allclose(product, a.astype(np.float64) @ b, atol=1e-5)


def test_nothing_is_allocated_for_a_block():
    """A block more asks numba's memory for nothing more."""
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
    _, one, nine = (tuple(map(int, line.split())) for line in run.stdout.splitlines())
    assert min(one) > 0
    assert one == nine
