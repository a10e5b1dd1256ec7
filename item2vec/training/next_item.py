"""Training of next_item: the taste, a weighted mean of the vectors of a history, predicts the next item."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.config import NextItem
from item2vec.config.settings import Learned
from item2vec.errors import InputError, Remedy
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.attributes import Attributes, sums_of
from item2vec.kernels.blocks import BLOCK, RUN, Draws, Part, Rules
from item2vec.kernels.next_item import train_blocks
from item2vec.training.attributes import ItemAttributes, NewItems
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus, Piece
from item2vec.training.trainer import Arrays, Loss, WithState

__all__ = ["NextItemTrainer"]

MIN_WEIGHT = 1e-4  # with a fixed decay, a history ends before the first position with a lower weight
MIN_NORM = np.float32(1e-30)
MAX_TOKENS = 2**31 - 1  # token indices are int32
TASKS_PER_WORKER = 8
INITIAL_DECAY = 0.7  # learned position weights are initialised with powers of this decay
POSITION_RATE = 0.1


class NextItemTrainer(WithState):
    """Trains ``input`` and ``output`` (float32, n items × dimensions), one piece per call.

    The vectors are split into equal parts, one per entry of ``context_decay``. Each part is trained
    independently from a different random start. The parts form an ensemble, which is more accurate than each
    part. If there are no more workers than parts, at most one worker trains a part at a time, and the same
    corpus and settings give the same bytes for every such number of workers. Otherwise several workers update
    a part without locks (Niu et al., Hogwild!, NeurIPS 2011).

    In an unordered sentence, each item is predicted from up to ``window`` other items, which are drawn again
    in each epoch. A history has at most 10,000 items.

    Raises
    ------
    InputError
        If a shard has too many tokens for int32 indices.
    """

    def __init__(self, corpus: Corpus, config: NextItem, attributes: ItemAttributes | None = None) -> None:
        _check_size(max(corpus.sizes), ordered=corpus.ordered)
        n, n_parts = corpus.n_items, len(config.context_decay)
        shape = (n, n_parts, config.vector_size // n_parts)
        random = np.random.default_rng([config.seed, 4])
        cosine = config.similarity == "cosine"
        self._input = _random_rows(random, shape, unit=cosine)
        self._output = _random_rows(random, shape, unit=True) if cosine else np.zeros(shape, np.float32)
        self._attributes = attributes or ItemAttributes.none(n)
        self._shared_input, self._shared_output = np.zeros((2, self._attributes.n, *shape[1:]), np.float32)
        longest = min(corpus.longest - 1, MAX_SENTENCE_TOKENS)
        window = longest if config.window == "full" else min(config.window, longest)
        self._config = config
        self._parts = [
            self._part(number, decay, window, tied=number < config.tied)
            for number, decay in enumerate(config.context_decay)
        ]
        self._draws = _draws(corpus.frequency, config)
        self._ordered = corpus.ordered

    def _part(self, number: int, decay: float | Learned, window: int, *, tied: bool) -> Part:
        squares = np.zeros(len(self._input), np.float32)
        return Part(
            number,
            self._input,
            self._input if tied else self._output,
            squares,
            squares if tied else np.zeros_like(squares),
            positions := _log_weights(decay, window),
            np.zeros_like(positions),
            self._attributes_of_part(tied=tied),
        )

    def _attributes_of_part(self, *, tied: bool) -> Attributes:
        attributes, squares = self._attributes, np.zeros(self._attributes.n, np.float32)
        return Attributes(
            attributes.offsets[: len(self._input) + 1],
            attributes.codes,
            self._shared_input,
            self._shared_input if tied else self._shared_output,
            squares,
            squares if tied else np.zeros_like(squares),
            self._config.attributes_only,
        )

    @property
    def input(self) -> Floats:
        """Input vectors, without the vectors of the attributes."""
        return self._input.reshape(len(self._input), -1)

    @property
    def output(self) -> Floats:
        """Output vectors of the untied parts, without the vectors of the attributes.

        The columns of tied parts are not used.
        """
        return self._output.reshape(len(self._output), -1)

    @property
    def scored(self) -> Floats:
        """Output vectors for scoring, including the vectors of the attributes.

        In tied parts, the input vectors of items and attributes are also their output vectors. For cosines,
        each part of a row is scaled to length 1.
        """
        rows = self._with_tied_parts(self._input, self._output)
        if self._attributes.n:
            rows += self._output_sums[: len(rows)]
        return self._as_scored(rows)

    @property
    def input_of_attributes(self) -> Floats | None:
        """For each item, the sum of the input vectors of its attributes; ``None`` without attributes."""
        if not self._attributes.n:
            return None
        return self._input_sums[: len(self._input)].reshape(len(self._input), -1)

    @property
    def new_items(self) -> NewItems | None:
        """The new items and their vectors (see ``NewItems``); ``None`` if there are no new items."""
        if not self._attributes.new_items:
            return None
        input_, output = self._input_sums[len(self._input) :], self._output_sums[len(self._input) :]
        return NewItems(self._attributes.new_items, input_.reshape(len(input_), -1), self._as_scored(output))

    @property
    def _input_sums(self) -> Floats:
        return sums_of(self._attributes.offsets, self._attributes.codes, self._shared_input)

    @property
    def _output_sums(self) -> Floats:
        shared = self._with_tied_parts(self._shared_input, self._shared_output)
        return sums_of(self._attributes.offsets, self._attributes.codes, shared)

    def _with_tied_parts(self, input_: Floats, output: Floats) -> Floats:
        rows = output.copy()
        rows[:, : self._config.tied] = input_[:, : self._config.tied]
        return rows

    def _as_scored(self, rows: Floats) -> Floats:
        if self._config.similarity == "cosine":
            rows /= np.maximum(np.sqrt(np.einsum("ijk,ijk->ij", rows, rows)), MIN_NORM)[:, :, None]
        return rows.reshape(len(rows), -1)

    @property
    def positions(self) -> Floats | None:
        """Position weights (parts × positions), newest item first; ``None`` if no part learns its weights.

        In a part with a fixed decay, the weights are powers of the decay. The largest weight of each part is
        1. Beyond the last position of a part, weights are 0.
        """
        if "learned" not in self._config.context_decay:
            return None
        longest = max(len(part.positions) for part in self._parts)
        weights = np.zeros((len(self._parts), longest), np.float32)
        for line, part in zip(weights, self._parts, strict=True):
            line[: len(part.positions)] = np.exp(part.positions - part.positions.max())
        return weights

    @property
    def state(self) -> Arrays:
        """All matrices, the logarithms of the position weights, and the Adagrad accumulators of both."""
        arrays = {"input": self._input, "output": self._output}
        arrays |= {"attributes_input": self._shared_input, "attributes_output": self._shared_output}
        for part in self._parts:
            own, shared = part._asdict(), part.attributes._asdict()
            for name in ("input_squares", "output_squares", "positions", "position_squares"):
                arrays[f"{name}_{part.number}"] = own[name]
            for name in ("input_squares", "output_squares"):
                arrays[f"attributes_{name}_{part.number}"] = shared[name]
        return arrays

    def train_piece(self, piece: Piece) -> Loss:
        """Predict each token that has a history once in each part, in random order; return the losses.

        The learning rate decreases linearly, from block to block. Losses are averaged over the parts. The
        loss of a prediction is computed from the vectors at the start of its block, with dropout and sampled
        negatives.
        """
        config, n_parts = self._config, len(self._parts)
        histories_of = _ordered_histories if self._ordered else _unordered_histories
        tokens, n_before = histories_of(piece.tokens, piece.offsets)
        targets = np.flatnonzero(n_before).astype(np.int32)
        works = [self._work(part, piece, targets, n_before) for part in self._parts]
        n_blocks = -(-len(targets) // BLOCK)
        losses = np.zeros((n_parts, n_blocks))
        alpha = config.alpha - config.alpha_step * piece.position
        alpha_step = config.alpha_step * (piece.end - piece.start) / max(n_blocks, 1)

        def train(work: _Work, first: int, last: int, previous: Future[None] | None) -> None:
            if previous is not None and config.workers <= n_parts:
                previous.result()
            part, rules, order, seed = work
            blocks = (tokens, n_before, order, first, last)
            train_blocks(part, self._draws, rules, *blocks, seed, alpha, alpha_step, losses[part.number])

        bounds = np.linspace(0, n_blocks, _n_spans(config.workers, n_parts) + 1).astype(int).tolist()
        spans: list[Future[None]] = []
        last_of_part: list[Future[None] | None] = [None] * n_parts
        with ThreadPoolExecutor(config.workers) as threads:
            for first, last in pairwise(bounds):
                for i, work in enumerate(works):
                    last_of_part[i] = span = threads.submit(train, work, first, last, last_of_part[i])
                    spans.append(span)
        for span in spans:
            span.result()
        return Loss(float(losses.sum()) / n_parts, len(targets))

    def _work(self, part: Part, piece: Piece, targets: Codes, n_before: Codes) -> _Work:
        config = self._config
        random = np.random.default_rng(piece.entropy(config.seed, 5, piece.epoch, part.number))
        order = _in_runs(targets, n_before, random) if self._ordered else random.permutation(targets)
        seed = random.integers(2**64, dtype=np.uint64)
        return _Work(part, _rules(config, config.context_decay[part.number]), order, seed)


class _Work(NamedTuple):
    """The training of one part on one piece: the order of its predictions, and the seed of its draws."""

    part: Part
    rules: Rules
    order: Codes
    seed: np.uint64


def _n_spans(workers: int, n_parts: int) -> int:
    """Return the number of spans (tasks) into which the blocks of a piece are split to use all workers.

    Each part has this number of spans. The spans of a part are trained one after another, unless there are
    more workers than parts.

    >>> _n_spans(2, 3), _n_spans(2, 2), _n_spans(1, 3)
    (2, 1, 1)
    """
    if workers > n_parts:
        return TASKS_PER_WORKER * workers
    return 1 if n_parts % workers == 0 else workers


def _check_size(n_tokens: int, *, ordered: bool) -> None:
    most = MAX_TOKENS if ordered else MAX_TOKENS // 2  # unordered sentences are duplicated
    if n_tokens > most:
        kind = "ordered" if ordered else "unordered"
        raise InputError(
            f"found {n_tokens:,} tokens in {kind} sentences; expected at most {most:,} per shard for "
            "objective='next_item'; save the sentences in more shards (in Python, with Sentences.save; on "
            "the command line, with item2vec prepare)",
            remedies=[Remedy("objective", "skipgram", "or set {}")],
        )


def _random_rows(random: np.random.Generator, shape: tuple[int, ...], *, unit: bool) -> Floats:
    """Return uniform random rows with mean 0.

    With ``unit``, each part has a norm of about 1. Otherwise entries are within ± 0.5 / n, as in word2vec,
    where n is the number of dimensions of a part.
    """
    width = 2 * np.sqrt(3 / shape[2]) if unit else 1 / shape[2]
    rows: Floats = (random.random(shape, np.float32) - np.float32(0.5)) * np.float32(width)
    return rows


def _rules(config: NextItem, decay: float | Learned) -> Rules:
    cosine = config.similarity == "cosine"
    position_rate = POSITION_RATE if decay == "learned" else 0.0
    scale = 1 / config.temperature if cosine else 1.0
    return Rules(config.dropout, config.weight_decay, cosine, scale, position_rate)


def _log_weights(decay: float | Learned, window: int) -> Floats:
    """Return the logarithm of the initial weight of each position in a history, newest item first.

    A history has up to ``window`` positions. The weights are powers of ``decay``, or powers of 0.7 if the
    weights are learned. With a fixed decay, positions with a weight below 1e-4 are left out.
    """
    logs = np.arange(window) * np.log(INITIAL_DECAY if decay == "learned" else decay)
    kept: Floats = (logs if decay == "learned" else logs[logs >= np.log(MIN_WEIGHT)]).astype(np.float32)
    return kept


def _draws(frequency: Offsets, config: NextItem) -> Draws:
    """Return the distribution of negatives. If there are at most ``negative`` items, each is a negative."""
    if len(frequency) <= config.negative:
        return Draws(np.empty(0, np.uint64), np.zeros(len(frequency), np.float32), len(frequency))
    chances = frequency.astype(np.float64) ** config.ns_exponent
    expected = config.negative * chances / chances.sum()
    return Draws(item_alias_table(chances), np.log(expected).astype(np.float32), config.negative)


def _ordered_histories(tokens: Codes, offsets: Offsets) -> tuple[Codes, Codes]:
    """Return a pair of arrays: the tokens; and the number of tokens before each token in its sentence."""
    lengths = np.diff(offsets)
    return tokens, (np.arange(len(tokens)) - np.repeat(offsets[:-1], lengths)).astype(np.int32)


def _unordered_histories(tokens: Codes, offsets: Offsets) -> tuple[Codes, Codes]:
    """Return a pair of arrays: tokens, with each sentence twice in a row; and their history lengths.

    In the second copy of a sentence of n tokens, the n - 1 tokens before a token are exactly the other tokens
    of the sentence. Tokens of the first copy have a history of length 0, and so are not predicted.
    """
    lengths = np.diff(offsets)
    n = np.repeat(lengths, lengths)
    second = np.arange(len(tokens)) + np.repeat(offsets[1:], lengths)
    duplicated, n_before = np.empty(2 * len(tokens), np.int32), np.zeros(2 * len(tokens), np.int32)
    duplicated[second] = duplicated[second - n] = tokens
    n_before[second] = n - 1
    return duplicated, n_before


def _in_runs(targets: Codes, n_before: Codes, random: np.random.Generator) -> Codes:
    """Return the targets in random order of their runs: up to ``RUN`` successive targets of one sentence.

    Sentences are cut into runs at places that are drawn anew for each call. A target with a short history is
    a run of its own, because one more row is quickly read.
    """
    apart = (np.diff(targets, prepend=np.int32(-1)) != 1) | (n_before[targets] <= RUN)
    starts = np.flatnonzero(apart | (targets % RUN == random.integers(RUN))).astype(np.int32)
    order = random.permutation(np.arange(len(starts), dtype=np.int32))
    lengths = np.diff(starts, append=np.int32(len(targets)))[order]
    places = np.repeat(starts[order] - (np.cumsum(lengths, dtype=np.int32) - lengths), lengths)
    places += np.arange(len(targets), dtype=np.int32)
    ordered: Codes = targets[places]
    return ordered
