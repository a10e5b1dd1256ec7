"""Warm start: initial vectors, results, and incompatible starts."""

import dataclasses
import json

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import corpora

from item2vec import Config, Items, Recommender, Sentences, TrainConfig, fit, load, publish, train
from item2vec.errors import ConfigError, InputTypeError, TrainingError
from item2vec.kernels.neighbours import add_near
from item2vec.training import _trainer
from item2vec.training.corpus import prepare
from item2vec.training.epochs import run_epochs
from item2vec.training.warm_start import Frozen, initialise
from item2vec.vectors import ItemVectors

TRAINERS = {
    "gensim": {"objective": "skipgram"},
    "numba": {"objective": "skipgram", "backend": "numba"},
    "cbow": {"backend": "numba", "objective": "cbow"},
    "next_item": {"objective": "next_item", "negative": 32, "similarity": "inner", "tied": 0},
}
COSINE = {"objective": "next_item", "negative": 32}
SMALL = {"vector_size": 16, "workers": 1, "seed": 7}
STILL = {"epochs": 1, "alpha": 1e-7, "min_alpha": 0}
"""A learning rate so low that vectors keep six digits of their initial values."""

trainers = pytest.mark.parametrize("how", TRAINERS.values(), ids=TRAINERS)


def ring(n=300, n_items=60, *, length=8, seed=0, without=()):
    """Random walks on a ring of items, in steps of one or two."""
    random = np.random.default_rng(seed)
    places = np.cumsum(random.integers(1, 3, (n, length)), axis=1) + random.integers(0, n_items, (n, 1))
    lists = [[f"item-{place % n_items}" for place in row] for row in places.tolist()]
    return Sentences.of([[item for item in sentence if item not in without] for sentence in lists])


def means_near(sentences, start, item, rows, reach=3):
    """Return the mean of the rows of known items within three positions of an item, by a slow loop."""
    near = [
        rows[start.vocabulary.code(other)]
        for sentence in sentences
        for position, token in enumerate(sentence)
        if token == item
        for other in sentence[max(0, position - reach) : position + reach + 1]
        if other in start
    ]
    return np.mean(near, axis=0)


def assert_same(vectors, expected):
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=3e-5)


@trainers
def test_known_items_start_at_their_vectors(how):
    start = train(ring(), **SMALL, **how, epochs=3)
    vectors = train(ring(seed=1), start=start, **SMALL, **how, **STILL)
    rows = start.vocabulary.encode(vectors.vocabulary.ids)
    assert len(vectors) == 60
    assert_same(vectors.input, start.input[rows])
    assert_same(vectors.output, start.output[rows])


def test_known_items_start_at_their_vectors_with_cosine():
    start = train(ring(), **SMALL, **COSINE, epochs=3)
    vectors = train(ring(seed=1), start=start, **SMALL, **COSINE, **STILL)
    rows = start.vocabulary.encode(vectors.vocabulary.ids)
    assert_same(vectors.input, start.input[rows])
    assert_same(vectors.output, start.output[rows])


@trainers
def test_new_items_start_at_the_mean_of_their_neighbours(how):
    new = ["item-5", "item-6", "item-40"]
    start = train(ring(without=new), **SMALL, **how, epochs=3)
    tonight = ring(seed=1)
    vectors = train(tonight, start=start, **SMALL, **how, **STILL)
    for item in new:
        row = vectors.vocabulary.code(item)
        assert_same(vectors.input[row], means_near(tonight, start, item, start.input))
        assert_same(vectors.output[row], means_near(tonight, start, item, start.output))


@trainers
def test_new_items_without_known_neighbours_start_at_random(how):
    start = train(ring(), **SMALL, **how, epochs=3)
    tonight = ring(seed=1) + Sentences.of([["x", "y", "z", "x"]] * 3)
    vectors = train(tonight, start=start, **SMALL, **how, **STILL)
    fresh = train(tonight, **SMALL, **how, epochs=1, alpha=3e-4)
    for item in "xyz":
        assert np.abs(fresh[item]).max() > 0.01
        moved = fresh[item] != 0  # at so low a rate, one part of next_item does not move at all
        np.testing.assert_allclose(vectors[item][moved], fresh[item][moved], rtol=0, atol=2e-3)


FORWARD = {
    "numba": {"backend": "numba", "forward_only": True, "objective": "skipgram"},
    "next_item": TRAINERS["next_item"],
}


@pytest.mark.parametrize("how", FORWARD.values(), ids=FORWARD)
def test_an_item_that_was_always_last_gets_an_input_vector(how):
    start = train(ring() + Sentences.of([["item-1", "z"]] * 9), **SMALL, **how, epochs=3)
    assert [item for item in start.vocabulary if not start.has_input[start.vocabulary.code(item)]] == ["z"]
    last, inside = (ring() + Sentences.of([sentence] * 9) for sentence in (["y", "z"], ["y", "z", "item-2"]))
    vectors = train(inside, start=start, **SMALL, **how, epochs=3)
    assert vectors.has_input.all()
    vectors = train(last, start=start, **SMALL, **how, **STILL)
    assert not vectors["z"].any()
    row = vectors.vocabulary.code("z")
    assert_same(vectors.output[row], start.output[start.vocabulary.code("z")])


@pytest.mark.parametrize("how", FORWARD.values(), ids=FORWARD)
def test_an_item_without_an_input_vector_starts_like_a_new_one(how):
    start = train(ring() + Sentences.of([["item-1", "z"]] * 9), **SMALL, **how, epochs=3)
    tonight = ring() + Sentences.of([["z", "item-2", "new"], ["z", "new"]] * 9)
    vectors = train(tonight, start=start, **SMALL, **how, **STILL)
    assert_same(vectors["z"], start["item-2"])
    assert_same(vectors["new"], start["item-2"])


@trainers
def test_items_without_sentences_are_left_out(how):
    start = train(ring(), **SMALL, **how, epochs=2)
    vectors = train(ring(seed=1, without=["item-3"]), start=start, **SMALL, **how, epochs=2)
    assert set(start.vocabulary) - set(vectors.vocabulary) == {"item-3"}


@trainers
def test_the_start_is_not_changed(how):
    start = train(ring(), **SMALL, **how, epochs=2)
    before = start.input.tobytes(), start.output.tobytes()
    train(ring(seed=1), start=start, **SMALL, **how, epochs=2)
    assert (start.input.tobytes(), start.output.tobytes()) == before


@trainers
def test_the_same_start_gives_the_same_bytes(how):
    start = train(ring(without=["item-5"]), **SMALL, **how, epochs=2)
    first, second = (train(ring(seed=1), start=start, **SMALL, **how, epochs=2) for _ in range(2))
    assert (first.input.tobytes(), first.output.tobytes()) == (
        second.input.tobytes(),
        second.output.tobytes(),
    )


@pytest.mark.parametrize("how", [TRAINERS["numba"], TRAINERS["next_item"]], ids=["numba", "next_item"])
def test_a_few_warm_epochs_reach_the_quality_of_many(how):
    validation = ring(200, 200, seed=9)
    start = train(ring(100, 200, without=["item-5"]), **SMALL, **how, epochs=40)

    def ndcg(epochs, start=None):
        vectors = train(
            ring(100, 200, seed=1), validation=validation, start=start, **SMALL, **how, epochs=epochs
        )
        return vectors.curve[-1].ndcg

    from_scratch = ndcg(40)
    assert ndcg(4, start) > 0.95 * from_scratch
    assert ndcg(4) < 0.8 * from_scratch


def test_known_items_that_are_never_read_keep_their_vectors():
    start = train(ring(), **SMALL, **TRAINERS["numba"], epochs=3)
    vectors = train(ring(40, seed=1), start=start, **SMALL, **TRAINERS["numba"], epochs=1, sample=1e-5)
    kept = [item for item in vectors.vocabulary if (vectors[item] == start[item]).all()]
    assert 0 < len(kept) < len(vectors) == 60


@trainers
def test_training_that_changes_no_vector_is_an_error(how):
    start = train(ring(), **SMALL, **how, epochs=3)
    with pytest.raises(TrainingError, match="no vector changed"):
        train(ring(), start=start, **SMALL, **how, epochs=1, alpha=1e-30, min_alpha=0)


def test_a_start_without_output_vectors_is_accepted():
    known = train(ring(), **SMALL, objective="skipgram", epochs=3)
    start = ItemVectors(known.vocabulary, known.input, None, known.counts)
    vectors = train(
        ring(seed=1), start=start, **SMALL, objective="skipgram", epochs=1, alpha=1e-5, min_alpha=0
    )
    assert_same(vectors.input, start.input[start.vocabulary.encode(vectors.vocabulary.ids)])
    assert 0 < np.abs(vectors.output).max() < 0.01
    hierarchical = {"objective": "skipgram", "hs": True, "negative": 0}
    assert train(ring(), start=known, **SMALL, epochs=1, **hierarchical).output is None


NEW = ["item-5", "item-6", "item-40"]
FROZEN = TRAINERS | {"cosine": COSINE}


def bits(vectors, items, name):
    return getattr(vectors, name)[vectors.vocabulary.encode(items)].tobytes()


@pytest.mark.parametrize("how", FROZEN.values(), ids=FROZEN)
def test_frozen_items_keep_their_vectors_bit_for_bit_and_new_ones_learn(how):
    start = train(ring(without=NEW), **SMALL, **how, epochs=3)
    vectors = train(ring(seed=1), start=start, freeze=True, **SMALL, **how, epochs=8)
    known = start.vocabulary.ids
    for name in ("input", "output"):
        assert bits(vectors, known, name) == bits(start, known, name)
    still = train(ring(seed=1), start=start, **SMALL, **how, **STILL)
    moved = train(ring(seed=1), start=start, **SMALL, **how, epochs=8)
    for item in NEW:
        assert np.abs(vectors[item] - still[item]).max() > 1e-3
    assert bits(moved, known, "input") != bits(start, known, "input")
    assert set(vectors.vocabulary) == {*known, *NEW}


@pytest.mark.parametrize("how", FROZEN.values(), ids=FROZEN)
def test_frozen_rows_are_restored_after_each_epoch(how):
    """The matrices of the trainer, next to which new items learn, contain the known vectors again."""
    start = train(ring(without=NEW), **SMALL, **how, epochs=3)
    corpus = prepare(ring(seed=1), TrainConfig(**SMALL, **how))
    trainer = _trainer(corpus, TrainConfig(**SMALL, **how), None)
    config = TrainConfig(**SMALL, **how, epochs=2)
    warm = initialise(trainer, corpus, config, start)
    run_epochs(trainer, corpus, config, None, None, warm, Frozen.of(start, corpus))
    row = corpus.vocabulary.code("item-1")
    assert trainer.input[row].tobytes() == start["item-1"].tobytes()


def test_new_items_learn_their_place_among_frozen_items():
    how = {**SMALL, "objective": "skipgram", "backend": "numba", "window": 2}
    start = train(ring(2000, without=["item-5"]), **how, epochs=20)
    vectors = train(ring(2000, seed=1), start=start, freeze=True, **how, epochs=10)
    near = {f"item-{place}" for place in range(11)}
    assert {one.item for one in vectors.similar_items("item-5", k=4)} <= near


@pytest.mark.parametrize("how", FROZEN.values(), ids=FROZEN)
@pytest.mark.parametrize("freeze", [False, True])
def test_training_starts_from_vectors_of_a_file(tmp_path, how, freeze):
    """Such vectors have no output matrix and no settings; the output vectors learn as from scratch."""
    known = train(ring(without=NEW), **SMALL, objective="skipgram", backend="numba", epochs=3)
    known.save_word2vec(tmp_path / "vectors.txt")
    start = ItemVectors.load(tmp_path / "vectors.txt")
    still = train(ring(seed=1), start=start, **SMALL, **how, epochs=1, alpha=1e-5, min_alpha=0)
    np.testing.assert_allclose(still["item-1"], start["item-1"], rtol=0, atol=1e-3)
    vectors = train(ring(seed=1), start=start, freeze=freeze, **SMALL, **how, epochs=2)
    same = bits(vectors, known.vocabulary.ids, "input") == bits(start, known.vocabulary.ids, "input")
    assert same == freeze
    assert np.abs(vectors.output[vectors.vocabulary.code("item-1")]).max() > 1e-3
    assert len(vectors) == 60


def test_frozen_vectors_without_new_items_learn_output_vectors():
    known = train(ring(), **SMALL, objective="skipgram", backend="numba", epochs=3)
    start = ItemVectors(known.vocabulary, known.input, None, known.counts)
    how = {"objective": "skipgram", "backend": "numba", "epochs": 2}
    vectors = train(ring(), start=start, freeze=True, **SMALL, **how)
    assert bits(vectors, known.vocabulary.ids, "input") == bits(known, known.vocabulary.ids, "input")
    assert np.abs(vectors.output).max() > 1e-3


def test_freeze_requires_a_start_and_no_attributes():
    with pytest.raises(ConfigError, match="freeze=True without start: no vectors to keep; pass start"):
        train(ring(50), freeze=True, **SMALL)
    items = Items.of({f"item-{number}": {"even": number % 2 == 0} for number in range(60)})
    start = train(ring(50), **SMALL, epochs=1)
    with pytest.raises(ConfigError, match="cannot be combined with attributes="):
        train(ring(50), start=start, freeze=True, items=items, attributes=["even"], **SMALL, epochs=1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"vector_size": 8}, "vectors of 16 dimensions; expected vector_size=8; set vector_size=16, or"),
        ({"objective": "cbow"}, "objective='next_item'; expected 'cbow', .* set the same objective, or"),
        ({"objective": "skipgram"}, "objective='next_item'; expected 'skipgram'"),
    ],
)
def test_an_incompatible_start_is_rejected(how, message):
    start = train(ring(50), **SMALL, epochs=1)
    with pytest.raises(ConfigError, match=message):
        train(ring(50), start=start, **SMALL | how)


def test_a_start_with_other_parts_is_rejected():
    how = SMALL | TRAINERS["next_item"] | {"epochs": 1}
    start = train(ring(50), **how)
    train(ring(50), start=start, **how, context_decay=(0.4, 0.8))
    with pytest.raises(ConfigError, match=r"context_decay=\('learned', .* expected 1 parts, as in \(0.7,\)"):
        train(ring(50), start=start, **how, context_decay=(0.7,))
    with pytest.raises(ConfigError, match="start was trained with similarity='inner'; expected 'cosine'"):
        train(ring(50), start=start, **how | {"similarity": "cosine"})
    with pytest.raises(ConfigError, match="start was trained with tied=0; expected 1; set the same tied"):
        train(ring(50), start=start, **how | {"tied": 1})


def test_a_recommender_as_start_is_rejected():
    start = train(ring(50), **SMALL, epochs=1)
    with pytest.raises(InputTypeError, match="start is of type Recommender; expected ItemVectors, such as"):
        train(ring(50), start=Recommender(start), **SMALL)


def test_fit_and_the_command_line_continue_from_a_model(item2vec, tmp_path):
    config = Config(train=TrainConfig(**SMALL, **STILL))
    start = train(ring(), **SMALL, epochs=3)
    model = fit(ring(), config, start=start)
    assert_same(model.vectors["item-1"], start["item-1"])
    publish(model, tmp_path / "yesterday")
    (tmp_path / "lists.txt").write_text("\n".join(" ".join(sentence) for sentence in ring()))
    words = "train --playlists lists.txt --start yesterday --vector-size 16 --epochs 1 --alpha 1e-7"
    code, out, _ = item2vec(*words.split(), "--min-alpha", "0", "--json")
    assert code == 0
    assert_same(load(json.loads(out)["path"]).vectors["item-1"], start["item-1"])
    start.save(tmp_path / "saved")
    start.save_word2vec(tmp_path / "vectors.bin", binary=True)
    for path in ("saved", "vectors.bin"):
        words = f"train --playlists lists.txt --start {path} --freeze --vector-size 16 --epochs 1 --json"
        code, out, _ = item2vec(*words.split())
        assert code == 0
        assert (load(json.loads(out)["path"]).vectors["item-1"] == start["item-1"]).all()
    code, _, error = item2vec(*["train", "--playlists", "lists.txt", "--start", "yesterday"])
    assert (code, "set vector_size=16" in error) == (2, True)


@given(corpora(), st.data())
@examples(60)
def test_add_near_equals_a_slow_loop(lists, data):
    sentences = Sentences.of(lists)
    n, reach = len(sentences.vocabulary), data.draw(st.integers(1, 9))
    known = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    row_of = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
    slot_of = np.where(known, -1, np.cumsum(~known) - 1).astype(np.int32)
    rows = np.eye(known.sum(), dtype=np.float32)
    expected = np.zeros(((~known).sum(), known.sum()), np.float32)
    for sentence in lists:
        codes = sentences.vocabulary.encode(sentence)
        for at, item in enumerate(codes):
            for other in codes[max(0, at - reach) : at + reach + 1]:
                if known[other] and not known[item]:
                    expected[slot_of[item], row_of[other]] += 1
    sums = np.zeros_like(expected)
    rows.flags.writeable = False
    n_added = add_near(sentences.tokens, sentences.offsets, row_of, slot_of, rows, sums, reach)
    assert (sums == expected).all()
    assert (n_added == expected.sum(axis=1)).all()


def test_a_start_of_unknown_training_is_accepted():
    start = dataclasses.replace(train(ring(), **SMALL, epochs=3), config=None)
    vectors = train(ring(seed=1), start=start, **SMALL, **STILL, objective="cbow")
    assert_same(vectors["item-1"], start["item-1"])
