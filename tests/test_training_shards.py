"""Training over shards: the corpus, the learning rates, bytes, checkpoints and refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import weakref
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from corpora import random_sentences, weighted
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import corpora

from item2vec import files, train
from item2vec.config import CBOW, NextItem, SkipGram, TrainConfig
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    InputError,
    LockHeldError,
    NothingToTrainError,
    TrainingError,
    WriteError,
)
from item2vec.sentences import Sentences
from item2vec.shards.lazy import LazyShards
from item2vec.training import gensim_trainer, next_item, nodes, numba_trainer
from item2vec.training.averaging import merged, shards_of
from item2vec.training.checkpoint import Checkpoint, remove_checkpoint
from item2vec.training.corpus import Reading, prepare
from item2vec.training.epochs import run_epochs
from item2vec.training.median import lower_median
from item2vec.training.next_item import NextItemTrainer
from item2vec.training.numba_trainer import NumbaTrainer
from item2vec.training.trainer import Loss

OWN_SKIPGRAM = {"objective": "skipgram", "backend": "numba"}
OBJECTIVES = {
    "next_item": {},
    "next_item, other parts": {"context_decay": (0.5, "learned"), "similarity": "inner", "tied": 1},
    "skipgram": OWN_SKIPGRAM,
    "skipgram, subsampled": OWN_SKIPGRAM | {"sample": 0.01, "forward_only": True},
    "cbow": {"objective": "cbow", "backend": "numba"},
    "gensim": {"objective": "skipgram"},
    "gensim, both losses": {"objective": "cbow", "hs": True},
    "glove": {"objective": "glove"},
}
QUICK = {"vector_size": 8, "epochs": 3, "workers": 1, "seed": 7}


def in_shards(sentences, n, folder):
    sentences.save(folder, shards=n)
    return Sentences.open(folder)


def cut(sentences, cuts):
    """The same sentences as shards in memory, without a folder."""
    bounds = [0, *sorted(cuts), len(sentences)]
    shards = [sentences[start:end] for start, end in pairwise(bounds)]
    return SimpleNamespace(vocabulary=sentences.vocabulary, ordered=sentences.ordered, shards=shards)


def fingerprint(vectors):
    output = b"" if vectors.output is None else vectors.output.tobytes()
    positions = b"" if vectors.positions is None else vectors.positions.tobytes()
    rest = repr((vectors.vocabulary.ids, vectors.counts.tolist(), vectors.curve, vectors.tokens_read))
    return hashlib.sha256(vectors.input.tobytes() + output + positions + rest.encode()).hexdigest()


class Diverging:
    """A trainer whose second epoch writes numbers that are not finite."""

    positions = input_of_attributes = new_items = None

    def __init__(self, n_items):
        self.input, self.output = np.zeros((2, n_items, 4), np.float32)
        self.scored = self.output
        self.arrays = []

    def train_piece(self, piece):
        self.arrays.append(weakref.ref(piece.tokens))
        self.input += np.nan if (piece.epoch, piece.start) > (1, 0.5) else 1
        return Loss(1.0, 1)


# --- the corpus ------------------------------------------------------------------------------------


@examples(120)
@given(corpora(min_sentences=1), st.integers(1, 3), st.booleans(), st.data())
def test_shards_are_prepared_as_the_whole(lists, min_count, ordered, data):
    whole = Sentences.of(lists, ordered=ordered)
    numbers = st.sampled_from([-1, 0, 0.25, 1, 3, 1e6])
    if data.draw(st.booleans()):
        n = len(whole.tokens)
        whole = weighted(whole, data.draw(st.lists(numbers, min_size=n, max_size=n)))
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=4))
    config = TrainConfig(min_count=min_count)
    try:
        expected = prepare(whole, config)
    except NothingToTrainError:
        with pytest.raises(NothingToTrainError):
            prepare(cut(whole, cuts), config)
        return
    found = prepare(cut(whole, cuts), config)
    assert found.vocabulary == expected.vocabulary
    assert found.frequency.tolist() == expected.frequency.tolist()
    assert found.counts.tolist() == pytest.approx(expected.counts.tolist())
    assert found.read_share == pytest.approx(expected.read_share)
    assert (found.longest, found.n_tokens) == (expected.longest, expected.n_tokens)
    assert found.sizes == tuple(len(shard.tokens) for shard in found.shards)
    (one,) = expected.shards
    assert np.concatenate([shard.tokens for shard in found.shards]).tolist() == one.tokens.tolist()
    lengths = np.concatenate([np.diff(shard.offsets) for shard in found.shards])
    assert lengths.tolist() == np.diff(one.offsets).tolist()
    keeps = [np.ones(len(s.tokens)) if s.keep is None else s.keep for s in (*found.shards, one)]
    assert np.concatenate(keeps[:-1]).tolist() == keeps[-1].tolist()


def test_weights_are_compared_with_the_median_of_all_shards():
    sentences = weighted(Sentences.of([["a", "b"], ["a", "b", "c"]]), [1, 1, 4, 4, 2])
    corpus = prepare(cut(sentences, [1]), TrainConfig())
    assert [shard.keep.tolist() for shard in corpus.shards] == [[0.5, 0.5], [1, 1, 1]]
    assert corpus.read_share == 0.8


@examples(60)
@given(st.lists(st.lists(st.floats(2**-140, 2**120, width=32), max_size=9), min_size=1, max_size=5))
def test_the_median_of_blocks_is_the_lower_middle_number(blocks):
    numbers = sorted(number for block in blocks for number in block)
    if numbers:
        arrays = [np.array(block, np.float32) for block in blocks]
        assert lower_median(lambda: arrays) == numbers[(len(numbers) - 1) // 2]


def test_each_epoch_reads_every_shard_once_in_another_order():
    sentences = random_sentences(120)
    corpus = prepare(cut(sentences, [20, 40, 40, 60, 80, 100]), TrainConfig())
    assert corpus.sizes[2] == 0
    pieces = list(Reading(corpus, seed=3).pieces(5))
    orders = [[piece.shard for piece in pieces if piece.epoch == epoch] for epoch in range(5)]
    assert [sorted(order) for order in orders] == [[0, 1, 3, 4, 5, 6]] * 5
    assert len({tuple(order) for order in orders}) > 3
    for piece in pieces:
        assert piece.tokens.tolist() == corpus.shards[piece.shard].tokens.tolist()
    assert [piece.is_last for piece in pieces] == ([False] * 5 + [True]) * 5


def test_one_shard_at_a_time_is_in_memory():
    sentences, seen, alive = random_sentences(120), [], []
    trainer = Diverging(30)

    def shard(number):
        alive.append(sum(earlier() is not None for earlier in (*seen, *trainer.arrays)))
        shard = sentences[20 * number : 20 * number + 20]
        seen.append(weakref.ref(shard.tokens))
        return shard

    config = TrainConfig(**QUICK)
    sharded = SimpleNamespace(vocabulary=sentences.vocabulary, ordered=True, shards=LazyShards(6, shard))
    with pytest.raises(TrainingError, match="diverged"):
        run_epochs(trainer, prepare(sharded, config), config, None, None)
    assert 3 * 6 < len(seen) <= 4 * 6 + 2
    assert max(alive) == 0


# --- learning rates --------------------------------------------------------------------------------


def slow_rates(config, sizes_of_epochs):
    """Return the learning rates before and after each shard, from the rate of every single token."""
    n = sum(sizes_of_epochs[0])
    falls = (config.alpha - config.min_alpha) / (config.epochs * n)
    rate, rates = config.alpha, []
    for sizes in sizes_of_epochs:
        for size in sizes:
            first = rate
            for _ in range(size):
                rate -= falls
            rates.append((first, rate))
    return rates


RATES = {"skipgram": (SkipGram(backend="numba"), NumbaTrainer), "next_item": (NextItem(), NextItemTrainer)}
RATES["gensim"] = (CBOW(), gensim_trainer.GensimTrainer)


@pytest.mark.parametrize("name", RATES)
def test_the_learning_rate_falls_over_all_shards(monkeypatch, name):
    config, kind = RATES[name]
    config = config.replace(epochs=3, workers=1, vector_size=6, alpha=0.09)
    corpus, rates = prepare(cut(random_sentences(120), [10, 40, 70]), config), []

    def read_sentences(_model, _rules, tokens, offsets, first, last, _seed, alpha, step):
        rates.append((alpha, alpha - step * offsets[last]))
        return int(offsets[last] - offsets[first]), 0.0, 0

    def train_blocks(part, _draws, _rules, _tokens, _before, _order, first, last, _seed, alpha, step, losses):
        if part.number == 0:
            assert (first, last) == (0, len(losses))
            rates.append((alpha, alpha - step * last))

    def gensims(self, sentences, *, total_words, start_alpha, **_):
        rates.append((start_alpha, self.min_alpha))
        return total_words, total_words

    monkeypatch.setattr(numba_trainer, "train_sentences", read_sentences)
    monkeypatch.setattr(next_item, "train_blocks", train_blocks)
    monkeypatch.setattr(gensim_trainer._Word2Vec, "train", gensims)
    trainer, pieces = kind(corpus, config), list(Reading(corpus, 1).pieces(3))
    for piece in pieces:
        trainer.train_piece(piece)
    sizes = [[len(piece.tokens) for piece in pieces if piece.epoch == epoch] for epoch in range(3)]
    np.testing.assert_allclose(rates, slow_rates(config, sizes), rtol=1e-9)


@pytest.mark.parametrize("objective", [OWN_SKIPGRAM, {}], ids=["skipgram", "next_item"])
def test_shards_have_different_random_numbers(objective):
    """Two equal shards give different updates, each from the same start."""
    sentences = random_sentences(120)
    config = TrainConfig(**QUICK | objective)
    corpus = prepare(cut(sentences + sentences, [len(sentences)]), config)
    kind, inputs = NumbaTrainer if objective else NextItemTrainer, set()
    first, second = Reading(corpus, 1).pieces(1)
    assert first.tokens.tolist() == second.tokens.tolist()
    for piece in (first, second._replace(start=0.0, end=0.5)):
        trainer = kind(corpus, config)
        trainer.train_piece(piece)
        inputs.add(trainer.output.tobytes())
    assert len(inputs) == 2


# --- one shard -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ordered", "unordered, weighted"])
def test_one_shard_gives_the_bytes_of_sentences_in_memory(tmp_path, kind):
    sentences = random_sentences(120, ordered=kind == "ordered")
    if not sentences.ordered:
        sentences = weighted(sentences, np.arange(len(sentences.tokens)) % 5 - 0.5)
    sharded = in_shards(sentences, 1, tmp_path / "one")
    lsa = [{"objective": "lsa", "matrix": matrix} for matrix in ("items", "sentences")]
    for objective in (*OBJECTIVES.values(), *lsa):
        config = TrainConfig(**{n: v for n, v in QUICK.items() if n != "epochs"} | objective)
        if objective not in lsa:
            config = config.replace(epochs=3)
        expected = fingerprint(train(sentences, config=config))
        assert fingerprint(train(sharded, config=config)) == expected, objective


def test_lsa_and_glove_count_the_pairs_of_all_shards(tmp_path):
    sentences = random_sentences(120)
    sharded = in_shards(sentences, 4, tmp_path / "four")
    for objective in ({"objective": "lsa"}, {"objective": "lsa", "matrix": "sentences"}):
        whole, parts = (train(one, vector_size=4, seed=7, **objective) for one in (sentences, sharded))
        np.testing.assert_allclose(parts.input, whole.input, atol=1e-4)
    whole, parts = (train(one, objective="glove", epochs=60, vector_size=8) for one in (sentences, sharded))
    assert parts.curve[-1].loss == pytest.approx(whole.curve[-1].loss, rel=0.2)
    assert parts.tokens_read == whole.tokens_read


# --- checkpoints -----------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a training after a number of states."""


def killed_after(monkeypatch, n, **arguments):
    """Train until ``n`` states are written."""
    honest, written = Checkpoint.save, []

    def save(self, state, trainer):
        honest(self, state, trainer)
        written.append(state)
        if len(written) == n:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save)
        with pytest.raises(Killed):
            train(**arguments)


@pytest.mark.parametrize(
    "name", ["next_item, other parts", "skipgram, subsampled", "gensim, both losses", "glove"]
)
def test_a_training_goes_on_from_each_state(tmp_path, monkeypatch, name):
    monkeypatch.setattr(files, "flush", lambda _: None)  # the time of the disk
    objective = OBJECTIVES[name]
    sentences = weighted(loose := random_sentences(60, ordered=False), np.arange(len(loose.tokens)) % 3 + 1)
    sharded = in_shards(sentences, 3, tmp_path / "corpus")
    arguments = {"sentences": sharded, **QUICK, **objective, "checkpoint": tmp_path / "checkpoint"}
    expected = train(sharded, **QUICK | objective)
    for n in (1, 1, 2, 3):  # a third of the epochs, in the first, at the end of the second, in the last
        killed_after(monkeypatch, n, **arguments)
        assert len(list((tmp_path / "checkpoint").iterdir())) == 1
    assert fingerprint(train(**arguments)) == fingerprint(expected)
    monkeypatch.setattr("item2vec.training.state.State.add", None)  # no piece is trained again
    assert fingerprint(train(**arguments)) == fingerprint(expected)


@pytest.mark.parametrize("n", [5, 11])
def test_the_best_epoch_is_kept_in_the_checkpoint(tmp_path, monkeypatch, n):
    monkeypatch.setattr(files, "flush", lambda _: None)
    sentences, held_out = random_sentences(60), random_sentences(40, seed=2)
    sharded = in_shards(sentences, 2, tmp_path / "corpus")
    arguments = {"sentences": sharded, **QUICK, "alpha": 0.9, "epochs": 12, "patience": 4}
    arguments |= {"validation": held_out, "context_decay": (0.5, "learned")}
    expected = train(**arguments)
    best = max(expected.curve, key=lambda epoch: epoch.ndcg).epoch
    assert best < len(expected.curve) - 1
    arguments["checkpoint"] = tmp_path / "checkpoint"
    (tmp_path / "checkpoint" / f"best-{best:08d}").mkdir(parents=True)  # of a state that was not written
    killed_after(monkeypatch, min(n, 2 * len(expected.curve) - 1), **arguments)
    assert fingerprint(train(**arguments)) == fingerprint(expected)
    assert sorted(path.name[:5] for path in (tmp_path / "checkpoint").iterdir()) == ["best-", "state"]


CHILD = """
import os, signal
from item2vec import Sentences, files, train

honest, written = files.write_array, []

def write_array(path, array):
    honest(path, array)
    written.append(path)
    if len(written) == {n}:
        os.kill(os.getpid(), signal.SIGKILL)

files.write_array = write_array
train(Sentences.open({corpus!r}), **{settings!r}, checkpoint={checkpoint!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [pytest.param(OWN_SKIPGRAM, id="skipgram"), pytest.param({}, id="next_item")],
)
def test_a_killed_process_goes_on_with_the_same_bytes(tmp_path, objective):
    """SIGKILL while the third state is written; this process goes on from the second one."""
    sharded, checkpoint = in_shards(random_sentences(120), 4, tmp_path / "corpus"), tmp_path / "checkpoint"
    n_arrays, settings = 3 if objective else 17, QUICK | objective
    code = CHILD.format(
        n=2 * n_arrays + 2, corpus=str(tmp_path / "corpus"), checkpoint=str(checkpoint), settings=settings
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    names = sorted(path.name[:14] for path in checkpoint.iterdir())
    assert names == [".state-0000000", "state-00000002"]
    resumed = train(sharded, **settings, checkpoint=checkpoint)
    assert [path.name for path in checkpoint.iterdir()] == ["state-00000012"]
    assert fingerprint(resumed) == fingerprint(train(sharded, **settings))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    sentences, other = random_sentences(120), random_sentences(120, seed=1)
    arguments = QUICK | OWN_SKIPGRAM | {"checkpoint": tmp_path / "checkpoint"}
    start = train(sentences, **arguments)
    with pytest.raises(ConfigError, match=r"training run with sentences '.*'; expected '.*'; remove .*point"):
        train(other, **arguments)
    with pytest.raises(ConfigError, match="a training run with vector_size 8; expected 9; remove"):
        train(sentences, **arguments | {"vector_size": 9})
    with pytest.raises(ConfigError, match="a training run with start None; expected"):
        train(sentences, **arguments, start=start)
    with pytest.raises(ConfigError, match="a training run with validation None; expected"):
        train(sentences, **arguments, validation=other)
    with pytest.raises(ConfigError, match="checkpoint cannot be set with objective='lsa'"):
        train(sentences, objective="lsa", checkpoint=tmp_path / "checkpoint")
    assert fingerprint(train(sentences, **arguments | {"workers": 2})) == fingerprint(start)


def test_two_trainings_do_not_share_a_checkpoint(tmp_path):
    """Each would remove the states of the other."""
    sentences, refused = random_sentences(120), []
    arguments = QUICK | OWN_SKIPGRAM | {"checkpoint": tmp_path / "checkpoint"}

    def train_again(epoch, _):
        with pytest.raises(LockHeldError, match=r"holds the lock of .*checkpoint; wait until"):
            train(sentences, **arguments)
        refused.append(epoch)

    first = train(sentences, **arguments, after_epoch=train_again)
    assert refused == [1, 2, 3]
    assert fingerprint(train(sentences, **arguments)) == fingerprint(first)


def test_a_damaged_checkpoint_is_an_error(tmp_path):
    sentences = random_sentences(120)
    arguments = QUICK | OWN_SKIPGRAM | {"checkpoint": tmp_path / "checkpoint"}
    train(sentences, **arguments)
    (state,) = (tmp_path / "checkpoint").iterdir()
    saved = json.loads((state / "state.json").read_text())
    (state / "state.json").write_text(json.dumps(saved | {"loss": 10**400}))
    with pytest.raises(CorruptBundleError, match="is not a training state"):
        train(sentences, **arguments)
    (state / "output.npy").unlink()
    with pytest.raises(CorruptBundleError, match=r"output\.npy"):
        train(sentences, **arguments)
    (state / "state.json").write_text('{"format": 1, "identity": {}}')
    with pytest.raises(ConfigError, match="a training run with sentences None"):
        train(sentences, **arguments)
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="could not be written"):
        train(sentences, **arguments | {"checkpoint": tmp_path / "file"})


def test_the_states_of_a_checkpoint_are_removed_and_other_files_are_kept(tmp_path):
    folder = tmp_path / "checkpoint"
    train(random_sentences(40), **QUICK | OWN_SKIPGRAM, checkpoint=folder)
    (folder / "notes").touch()
    assert remove_checkpoint(folder)
    assert [path.name for path in folder.iterdir()] == ["notes"]
    (folder / "notes").unlink()
    assert not remove_checkpoint(folder)
    assert not folder.exists()
    assert not remove_checkpoint(folder)


# --- limits ----------------------------------------------------------------------------------------


def test_the_limit_of_next_item_applies_to_a_shard():
    config = NextItem(vector_size=6)
    corpus = prepare(cut(random_sentences(120), [50]), config)
    NextItemTrainer(dataclasses.replace(corpus, sizes=(2**31 - 1, 2**31 - 1)), config)
    with pytest.raises(InputError, match=r"expected at most 2,147,483,647 per shard .* in more shards"):
        NextItemTrainer(dataclasses.replace(corpus, sizes=(5, 2**31)), config)


# --- several processes -----------------------------------------------------------------------------

SMALL = QUICK | {"context_decay": (0.5, "learned"), "epochs": 2}


def slow_average(sharded, config, n):
    """Train next_item as ``n`` processes do, one after another in this process."""
    corpus = prepare(sharded, config)
    trainers = [NextItemTrainer(corpus, config) for _ in range(n)]
    parts = [shards_of(corpus, rank, n) for rank in range(n)]
    readings = [Reading(part, config.seed).pieces(config.epochs) for part in parts]
    counts = []
    for part in parts:
        tokens = [shard.tokens for shard, size in zip(corpus.shards, part.sizes, strict=True) if size]
        counts.append(np.bincount(np.concatenate(tokens), minlength=corpus.n_items))
    curve, start = [], {name: trainers[0].state[name].copy() for name in ("input", "output")}
    for _ in range(config.epochs):
        losses = []
        for trainer, reading in zip(trainers, readings, strict=True):
            while not (piece := next(reading)).is_last:
                losses.append(trainer.train_piece(piece))
            losses.append(trainer.train_piece(piece))
        curve.append(sum(loss.total for loss in losses) / sum(loss.n for loss in losses))
        arrays = merged([trainer.state for trainer in trainers], counts, start)
        start = {name: arrays[name] for name in ("input", "output")}
        for trainer in trainers:
            trainer.restore(arrays)
    return trainers[0], curve


def test_changes_of_rows_are_weighted_by_the_tokens_of_an_item(monkeypatch):
    monkeypatch.setattr("item2vec.training.averaging.ROWS_PER_BLOCK", 64)
    rng, shape = np.random.default_rng(0), (200, 2, 3)
    states = [
        {"input": rng.random(shape, np.float32), "input_squares_0": rng.random(200, np.float32)}
        | {"positions_0": rng.random(4, np.float32), "attributes_input": np.zeros((0, 2, 3), np.float32)}
        for _ in range(3)
    ]
    start, counts = {"input": rng.random(shape, np.float32)}, [rng.integers(0, 4, 200) for _ in range(3)]
    found, totals = merged(states, counts, start), sum(counts)
    assert (totals == 0).any()
    for row in range(200):
        shares = [count[row] / totals[row] if totals[row] else 1 / 3 for count in counts]
        sums = zip(shares, states, strict=True)
        mean = sum(share * state["input_squares_0"][row] for share, state in sums)
        np.testing.assert_allclose(found["input_squares_0"][row], mean, rtol=1e-6)
        before, sums = start["input"][row], zip(shares, states, strict=True)
        change = sum(share * (state["input"][row] - before) for share, state in sums)
        change /= sum(share**2 for share in shares)
        np.testing.assert_allclose(found["input"][row], before + change, atol=1e-6)
    shares = [count.sum() / totals.sum() for count in counts]
    mean = sum(share * state["positions_0"] for share, state in zip(shares, states, strict=True))
    np.testing.assert_allclose(found["positions_0"], mean, rtol=1e-6)


def test_shards_are_dealt_to_processes():
    corpus = prepare(cut(random_sentences(120), [10, 10, 30, 60, 90]), TrainConfig())
    dealt = [np.flatnonzero(shards_of(corpus, rank, 2).sizes).tolist() for rank in range(2)]
    assert dealt == [[0, 3, 5], [2, 4]]
    assert shards_of(corpus, 1, 2).sizes[2] == corpus.sizes[2]


def test_processes_average_after_each_epoch(tmp_path):
    sharded = in_shards(random_sentences(120), 5, tmp_path / "corpus")
    vectors = train(sharded, **SMALL, processes=2)
    expected, losses = slow_average(sharded, TrainConfig(**SMALL), 2)
    assert vectors.input.tobytes() == expected.input.tobytes()
    assert vectors.output.tobytes() == expected.scored.tobytes()
    assert vectors.tokens_read == 2 * sharded.n_tokens
    assert [point.loss for point in vectors.curve] == pytest.approx(losses)


def test_a_process_that_ends_ends_the_training(tmp_path, monkeypatch):
    sharded, honest = in_shards(random_sentences(120), 2, tmp_path / "corpus"), subprocess.Popen
    children = []

    def popen(**arguments):
        children.append(honest(**arguments))
        children[0].kill()
        return children[0]

    monkeypatch.setattr(nodes.subprocess, "Popen", lambda args, **rest: popen(args=args, **rest))
    with pytest.raises(TrainingError, match=r"process 2 of 2 ended with code -9 \(no message\); train again"):
        train(sharded, **SMALL, processes=2)


@pytest.mark.parametrize("missing", ["temporary folder", "file of errors"])
def test_processes_without_a_temporary_folder(tmp_path, monkeypatch, missing):
    sharded = in_shards(random_sentences(120), 2, tmp_path / "corpus")
    if missing == "temporary folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    else:
        monkeypatch.setattr(nodes, "_write_job", lambda folder, *rest: (folder / "errors-1.txt").mkdir())
    with pytest.raises(WriteError, match=r"could not be (created: No such file|written: Is a dir).*; check"):
        train(sharded, **SMALL, processes=2)


def test_processes_are_refused_where_they_do_harm(tmp_path):
    sentences = random_sentences(120)
    for objective in ("skipgram", "cbow"):
        with pytest.raises(ConfigError, match=rf"processes=2 .*{objective}.* are less accurate .*12 % lower"):
            train(sentences, objective=objective, processes=2)
    with pytest.raises(ConfigError, match="processes=2 cannot be set with objective='glove', which counts"):
        train(sentences, objective="glove", processes=2)
    with pytest.raises(ConfigError, match="cannot be combined with checkpoint; set processes=1, or omit"):
        train(sentences, processes=2, checkpoint=tmp_path / "checkpoint")
    with pytest.raises(ConfigError, match="processes is 0; expected an integer of at least 1"):
        train(sentences, processes=0)
    with pytest.raises(InputError, match=r"found 1 shards .* at least processes=2; .*save\(path, shards=4\)"):
        train(sentences, processes=2)
