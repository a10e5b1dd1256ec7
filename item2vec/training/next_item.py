"""Training the taste vector itself: what a history's weighted mean predicts next."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.config import NextItem
from item2vec.config.settings import Learned
from item2vec.errors import InputError
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.next_item import BLOCK, Draws, Part, Rules, train_blocks
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus

__all__ = ["NextItemTrainer"]

LEAST_WEIGHT = 1e-4
SMALLEST = np.float32(1e-30)
MAX_PLACES = 2**31 - 1  # places are int32
TASKS_A_WORKER = 8
FIRST_DECAY = 0.7  # learned weights of the steps back start as its powers
POSITION_RATE = 0.1


class NextItemTrainer:
    """Trains ``input`` and ``output`` (float32, n items × dimensions), an epoch a call.

    The matrices are cut into equal parts, one for each ``context_decay``. Each is trained by itself, as if it
    were alone and from its own random start, so that together they are a committee, which errs less than any
    of its members. One worker at a time trains a part; where there are more workers than parts, several write
    into one without waiting for each other (Niu et al., Hogwild!, NeurIPS 2011). Otherwise the same corpus
    and settings give the same bytes, also with another number of workers.

    In sentences without order, an item is predicted from ``window`` of the others, drawn anew each epoch. No
    taste is read from more than 10,000 items.

    Raises
    ------
    InputError
        If there are too many tokens to number with int32.
    """

    def __init__(self, corpus: Corpus, config: NextItem) -> None:
        _check_places(len(corpus.tokens), ordered=corpus.ordered)
        n, n_parts = len(corpus.vocabulary), len(config.context_decay)
        shape = (n, n_parts, config.vector_size // n_parts)
        random = np.random.default_rng([config.seed, 4])
        unit = config.similarity == "cosine"
        self._input = _start(random, shape, unit=unit)
        self._output = _start(random, shape, unit=True) if unit else np.zeros(shape, np.float32)
        longest = min(int(np.diff(corpus.offsets).max()) - 1, MAX_SENTENCE_TOKENS)
        window = longest if config.window == "full" else min(config.window, longest)
        self._parts = [
            self._part(number, decay, window, tied=number < config.tied)
            for number, decay in enumerate(config.context_decay)
        ]
        self._draws = _draws(corpus.frequency, config)
        self._config = config
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
        )

    @property
    def input(self) -> Floats:
        """Input vectors, before an item is read."""
        return self._input.reshape(len(self._input), -1)

    @property
    def output(self) -> Floats:
        """Output vectors of the untied parts, as they are trained; those of tied parts are not used."""
        return self._output.reshape(len(self._output), -1)

    @property
    def scored(self) -> Floats:
        """Output vectors as they are scored: of tied parts the input; unit rows part by part for cosine."""
        rows = self._output.copy()
        rows[:, : self._config.tied] = self._input[:, : self._config.tied]
        if self._config.similarity == "cosine":
            rows /= np.maximum(np.sqrt(np.einsum("ijk,ijk->ij", rows, rows)), SMALLEST)[:, :, None]
        return rows.reshape(len(rows), -1)

    @property
    def positions(self) -> Floats | None:
        """Weight of each step back (parts × window), the newest first; ``None`` where none is learned."""
        if "learned" not in self._config.context_decay:
            return None
        longest = max(len(part.positions) for part in self._parts)
        weights = np.zeros((len(self._parts), longest), np.float32)
        for line, part in zip(weights, self._parts, strict=True):
            line[: len(part.positions)] = np.exp(part.positions - part.positions.max())
        return weights

    def train_epoch(self, number: int, tokens: Codes, offsets: Offsets) -> None:
        """Predict each token once, in an order drawn anew, at the epoch's part of the falling rate."""
        config, parts = self._config, self._parts
        tokens, before = (_one_by_one if self._ordered else _round)(tokens, offsets)
        places = np.flatnonzero(before).astype(np.int32)
        random = [np.random.default_rng([config.seed, 5, number, part.number]) for part in parts]
        orders = [own.permutation(places) for own in random]
        n_blocks = -(-len(places) // BLOCK)
        fall = config.alpha_step
        alpha, per_block = config.alpha - fall * number, fall / max(n_blocks, 1)
        n_spans = _n_spans(config.workers, len(parts))
        bounds = np.linspace(0, n_blocks, n_spans + 1).astype(int).tolist()
        seeds = [own.integers(2**64, dtype=np.uint64) for own in random]
        rules = [_rules(config, decay) for decay in config.context_decay]

        def train(span: int, i: int, previous: Future[None] | None) -> None:
            if previous is not None and config.workers <= len(parts):
                previous.result()
            first, last = bounds[span], bounds[span + 1]
            train_blocks(
                parts[i],
                self._draws,
                rules[i],
                tokens,
                before,
                orders[i],
                first,
                last,
                seeds[i],
                alpha,
                per_block,
            )

        spans: list[Future[None]] = []
        with ThreadPoolExecutor(config.workers) as threads:
            for span, i in np.ndindex(n_spans, len(parts)):
                spans.append(threads.submit(train, span, i, spans[-len(parts)] if span else None))
        for future in spans:
            future.result()


def _n_spans(workers: int, n_parts: int) -> int:
    """Return into how many spans of blocks an epoch of each part is cut, so that no worker is idle.

    A part's spans are trained in their order, unless there are more workers than parts.

    >>> _n_spans(2, 3), _n_spans(2, 2), _n_spans(1, 3)
    (2, 1, 1)
    """
    if workers > n_parts:
        return TASKS_A_WORKER * workers
    return 1 if n_parts % workers == 0 else workers


def _check_places(n_tokens: int, *, ordered: bool) -> None:
    most = MAX_PLACES if ordered else MAX_PLACES // 2  # without order, each sentence stands twice in a row
    if n_tokens > most:
        kind = "ordered" if ordered else "unordered"
        raise InputError(
            f"found {n_tokens:,} tokens in {kind} sentences; expected at most {most:,} for "
            "objective='next_item'; train on fewer sentences, or set objective='skipgram'"
        )


def _start(random: np.random.Generator, shape: tuple[int, ...], *, unit: bool) -> Floats:
    """Return uniform rows around 0: of length about 1 in each part, or as short as word2vec's."""
    width = 2 * np.sqrt(3 / shape[2]) if unit else 1 / shape[2]
    rows: Floats = (random.random(shape, np.float32) - np.float32(0.5)) * np.float32(width)
    return rows


def _rules(config: NextItem, decay: float | Learned) -> Rules:
    unit = config.similarity == "cosine"
    position_rate = POSITION_RATE if decay == "learned" else 0.0
    scale = 1 / config.temperature if unit else 1.0
    return Rules(config.dropout, config.weight_decay, unit, scale, position_rate)


def _log_weights(decay: float | Learned, window: int) -> Floats:
    """Return the logarithm of the weight of each step back; for a fixed decay, down to 1e-4."""
    logarithms = np.arange(window) * np.log(FIRST_DECAY if decay == "learned" else decay)
    kept = logarithms if decay == "learned" else logarithms[logarithms >= np.log(LEAST_WEIGHT)]
    found: Floats = kept.astype(np.float32)
    return found


def _draws(frequency: Offsets, config: NextItem) -> Draws:
    """Return how negatives are drawn; where there are no more items than negatives, all are taken."""
    if len(frequency) <= config.negative:
        return Draws(np.empty(0, np.uint64), np.zeros(len(frequency), np.float32), len(frequency))
    chances = frequency.astype(np.float64) ** config.ns_exponent
    expected = config.negative * chances / chances.sum()
    return Draws(item_alias_table(chances), np.log(expected).astype(np.float32), config.negative)


def _one_by_one(tokens: Codes, offsets: Offsets) -> tuple[Codes, Codes]:
    """Return the tokens, and how many of its sentence stand before each."""
    lengths = np.diff(offsets)
    return tokens, (np.arange(len(tokens)) - np.repeat(offsets[:-1], lengths)).astype(np.int32)


def _round(tokens: Codes, offsets: Offsets) -> tuple[Codes, Codes]:
    """Return each sentence twice in a row, and for its second turn all but the token itself as before it."""
    lengths = np.diff(offsets)
    n = np.repeat(lengths, lengths)
    second = np.arange(len(tokens)) + np.repeat(offsets[1:], lengths)
    twice, before = np.empty(2 * len(tokens), np.int32), np.zeros(2 * len(tokens), np.int32)
    twice[second] = twice[second - n] = tokens
    before[second] = n - 1
    return twice, before
