"""Training the taste vector itself: what a history's weighted mean predicts next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from item2vec.config import NextItem
from item2vec.errors import InputError
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.next_item import BLOCK, Draws, Part, Rules, train_blocks
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus
from item2vec.types import Codes, Floats, Offsets

__all__ = ["NextItemTrainer"]

LEAST_WEIGHT = 1e-4
MAX_PLACES = 2**31 - 1  # places are int32
TASKS_A_WORKER = 8


class NextItemTrainer:
    """Trains ``input`` and ``output`` (float32, n items × dimensions), an epoch a call.

    The matrices are cut into equal parts, one for each decay. Each is trained by itself, as if it were alone
    and from its own random start, so that together they are a committee, which errs less than any of its
    members. A worker trains a part; where there are more workers than parts, several write into one without
    waiting for each other (Niu et al., Hogwild!, NeurIPS 2011). Otherwise the same corpus and settings give
    the same bytes.

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
        self._input = (random.random(shape, np.float32) - np.float32(0.5)) / np.float32(shape[2])
        self._output = np.zeros(shape, np.float32)
        longest = min(int(np.diff(corpus.offsets).max()) - 1, MAX_SENTENCE_TOKENS)
        window = longest if config.window == "full" else min(config.window, longest)
        self._parts = [
            Part(
                number,
                self._input,
                self._output,
                np.zeros(n, np.float32),
                np.zeros(n, np.float32),
                _steps_back(decay, window),
            )
            for number, decay in enumerate(config.context_decay)
        ]
        self._draws = _draws(corpus.frequency, config)
        self._config = config
        self._ordered = corpus.ordered

    @property
    def input(self) -> Floats:
        """What an item is like."""
        return self._input.reshape(len(self._input), -1)

    @property
    def output(self) -> Floats:
        """What an item follows."""
        return self._output.reshape(len(self._output), -1)

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
        n_tasks = 1 if config.workers <= len(parts) else TASKS_A_WORKER * config.workers
        bounds = np.linspace(0, n_blocks, n_tasks + 1).astype(int).tolist()
        seeds = [own.integers(2**64, dtype=np.uint64) for own in random]
        rules = Rules(config.dropout, config.weight_decay)

        def train(task: int) -> float:
            span, i = divmod(task, len(parts))
            first, last = bounds[span], bounds[span + 1]
            return train_blocks(
                parts[i],
                self._draws,
                rules,
                tokens,
                before,
                orders[i],
                first,
                last,
                seeds[i],
                alpha,
                per_block,
            )

        with ThreadPoolExecutor(config.workers) as threads:
            for _ in threads.map(train, range(n_tasks * len(parts))):
                pass


def _check_places(n_tokens: int, *, ordered: bool) -> None:
    most = MAX_PLACES if ordered else MAX_PLACES // 2  # without order, each sentence stands twice in a row
    if n_tokens > most:
        kind = "ordered" if ordered else "unordered"
        raise InputError(
            f"found {n_tokens:,} tokens in {kind} sentences; expected at most {most:,} for "
            "objective='next_item'; train on fewer sentences, or set objective='skipgram'"
        )


def _steps_back(decay: float, window: int) -> Floats:
    """Return the weight of each step back, as far as it is worth reading."""
    weights = decay ** np.arange(window)
    return weights[weights >= LEAST_WEIGHT].astype(np.float32)


def _draws(frequency: npt.NDArray[np.int64], config: NextItem) -> Draws:
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
