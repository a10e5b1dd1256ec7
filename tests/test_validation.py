"""Validation: equality with a slow loop, ties, and early stopping."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import train
from item2vec.config import TasteConfig, TrainConfig
from item2vec.sentences import Sentences
from item2vec.training.validation import Validation
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors


def slow_validation(lists, vectors, taste):
    """Return HR@10 and NDCG@10, by a slow loop."""
    hits = gains = 0.0
    rows = {id_: row for row, id_ in enumerate(vectors.vocabulary)}
    unit = vectors.input / np.linalg.norm(vectors.input, axis=1, keepdims=True)
    matrix, scored = (unit, unit) if taste.score == "cosine" else (vectors.input, vectors.output)
    evaluated = [sentence for sentence in lists if len(sentence) >= 2]
    for *history, target in evaluated:
        rows_of_history = [rows[id_] for id_ in history if id_ in rows]
        if target not in rows or not rows_of_history:
            continue
        parts = [taste.decay**age for age in reversed(range(len(rows_of_history)))]
        mean = sum(
            part * matrix[row].astype(float) for part, row in zip(parts, rows_of_history, strict=True)
        ) / sum(parts)
        scores = scored.astype(float) @ mean
        better = sum(
            scores[row] >= scores[rows[target]]
            for row in range(len(rows))
            if row != rows[target] and row not in rows_of_history
        )
        if better < 10:
            hits += 1
            gains += 1 / math.log2(better + 2)
    return hits / len(evaluated), gains / len(evaluated)


@examples(60)
@given(
    st.lists(st.lists(st.integers(0, 33), max_size=6), min_size=1, max_size=12).filter(
        lambda lists: max(map(len, lists)) > 1
    ),
    st.sampled_from(["cosine", "output"]),
    st.sampled_from([1.0, 0.5]),
    st.integers(1, 100),
)
def test_validation_equals_a_slow_loop(codes, score, decay, block):
    """Items from 30 on have no vector."""
    rng = np.random.default_rng(3)
    vectors = ItemVectors(
        Vocabulary(tuple(f"item-{row}" for row in range(30))),
        rng.normal(size=(30, 5)),
        rng.normal(size=(30, 5)),
        np.ones(30),
    )
    lists = [[f"item-{code}" for code in sentence] for sentence in codes]
    taste = TasteConfig(score=score, decay=decay)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("item2vec.training.validation.SCORES_PER_BLOCK", block)
        epoch = Validation(Sentences.of(lists), taste).measure(vectors, 3)
    assert (epoch.hr, epoch.ndcg) == pytest.approx(slow_validation(lists, vectors, taste))
    assert epoch.epoch == 3


def test_disliked_items_are_neither_history_nor_target():
    vectors = ItemVectors(Vocabulary(tuple("abcd")), np.eye(4)[[0, 1, 0, 1]], None, np.ones(4))
    rated = dataclasses.replace(Sentences.of([list("badb")]), weights=np.array([-1, 1, 1, -1]))
    liked = Sentences.of([["a", "d"]])
    results = [Validation(part, TasteConfig(score="cosine")) for part in (rated, liked)]
    assert [list(result.sentences) for result in results] == [[["a", "d"]]] * 2
    assert results[0].measure(vectors, 1) == results[1].measure(vectors, 1)


def test_a_tie_counts_against_the_target():
    rows = np.ones((20, 2), dtype=np.float32)
    vectors = ItemVectors(Vocabulary(tuple(f"item-{row}" for row in range(20))), rows, None, np.ones(20))
    assert (
        Validation(Sentences.of([["item-0", "item-1"]]), TasteConfig(score="cosine")).measure(vectors, 1).hr
        == 0
    )


def chained(n, seed):
    """Walks on a ring of 40 items: the next item is one of the two that follow."""
    rng = np.random.default_rng(seed)
    starts, steps = rng.integers(0, 40, n), rng.integers(1, 3, size=(n, 8))
    return Sentences.of(
        [
            [f"item-{(start + step) % 40}" for step in np.cumsum(steps[row])]
            for row, start in enumerate(starts)
        ]
    )


STOPPING = {"objective": "skipgram", "workers": 1, "seed": 7, "vector_size": 3, "epochs": 30, "alpha": 0.4}


def test_the_curve_is_measured_after_each_epoch():
    held_out = chained(100, seed=1)
    vectors = train(chained(100, seed=0), validation=held_out, **STOPPING)
    assert [epoch.epoch for epoch in vectors.curve] == list(range(1, 31))
    last = Validation(held_out, TasteConfig()).measure(vectors, 30)
    assert vectors.curve[-1] == dataclasses.replace(last, loss=vectors.curve[-1].loss)
    assert train(chained(100, seed=0), **STOPPING).input.tobytes() == vectors.input.tobytes()


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_patience_stops_and_keeps_the_best_epoch(patience):
    sentences, held_out = chained(100, seed=0), chained(100, seed=1)
    taste = TasteConfig(decay=0.5)
    full = train(sentences, validation=held_out, taste=taste, **STOPPING).curve
    best, stop = 0, len(full)
    for number, epoch in enumerate(full):
        if epoch.ndcg > full[best].ndcg:
            best = number
        if number - best >= patience:
            stop = number + 1
            break
    assert best < stop - 1, "the example must have something to stop for"
    vectors = train(sentences, validation=held_out, taste=taste, patience=patience, **STOPPING)
    assert vectors.curve == full[:stop]
    measured = Validation(held_out, taste).measure(vectors, best + 1)
    assert dataclasses.replace(measured, loss=full[best].loss) == full[best]
    assert vectors.config == TrainConfig(patience=patience, **STOPPING)
