"""What tuning is judged by: training parts, and questions with known answers, carved from the data."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from item2vec.adapters import histories
from item2vec.adapters.histories import training_sentences
from item2vec.arrays import Doubles, Offsets
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.errors import ConfigError, InputError, InputTypeError, LeakWarning
from item2vec.evaluation.rankings import rank_all
from item2vec.evaluation.sentence_splits import (
    first_places,
    leave_last_out,
    prefix_split,
    prefixes,
    random_split,
    repeated,
)
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal_splits import Adapter, temporal_folds, temporal_split
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.matrices import sample_rows
from item2vec.metrics.accuracy import ACCURACY
from item2vec.neighbours import NeighbourTable, table_for
from item2vec.prior import prior_for
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary, check_k
from item2vec.vectors import ItemVectors

__all__ = ["Adapter", "Data", "Problem", "Protocol", "make_problem", "parse_metric"]

Protocol = Literal["last", "prefix", "temporal", "random"]
Data = Sentences | Interactions

MOST_QUESTIONS = 20_000
FEW_QUESTIONS = 3_000
ENOUGH_QUESTIONS = 5_000
LENGTH_A_QUESTION = 4
SENTENCE_FOLDS = 2
TEMPORAL_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Problem:
    """Folds to be judged by, the newest first; the search sees that one alone.

    Each fold names its ``users``, by the same numbers in all folds. ``few`` are some questions of the newest
    fold, for looks in between.
    """

    folds: tuple[Split, ...]
    few: Split
    metric: str
    k: int
    protocol: Protocol

    @property
    def timed(self) -> bool:
        """Whether histories come with timestamps."""
        return self.few.histories.timestamps is not None

    @property
    def ordered(self) -> bool:
        """Whether the order in a sentence means something."""
        return self.folds[0].train.ordered

    def users(self, fold: int) -> Offsets:
        """Return who asks each question of a fold."""
        found = self.folds[fold].users
        return np.arange(len(self.folds[fold])) if found is None else found

    def values(
        self, vectors: ItemVectors, taste: TasteConfig, split: Split, table: NeighbourTable | None = None
    ) -> Doubles:
        """Return the metric of each question (float64), by the calls that serve, with an exact index.

        ``table`` is the split's table of neighbours; counted here if it is needed and not given, as the
        popularity prior is.
        """
        train, vocabulary = split.train, vectors.vocabulary
        if taste.mixture and table is None:
            table = table_for(train, vocabulary)
        prior = prior_for(train, vocabulary, taste.popularity_half_life) if taste.popularity else None
        model = Recommender(vectors, **taste.model_dump(), index="exact", neighbours=table, prior=prior)
        rankings = rank_all(model, split, self.k, filter_seen=split.filter_seen, ties="against")
        return ACCURACY[self.metric](rankings.hits, rankings.n_targets, self.k)

    @property
    def repeats(self) -> bool:
        """Whether items of a history may be answers again."""
        return not self.few.filter_seen

    def score(
        self,
        vectors: ItemVectors,
        taste: TasteConfig,
        *,
        few: bool = False,
        table: NeighbourTable | None = None,
    ) -> float:
        """Return the mean of the metric over the newest fold, or over a few of its questions."""
        return float(self.values(vectors, taste, self.few if few else self.folds[0], table).mean())

    def fingerprint(self) -> str:
        """Return a checksum of all that decides a score: what is learned from, queried, and measured."""
        newest = self.folds[0]
        digest = hashlib.sha256(f"{self.metric}@{self.k} {newest.filter_seen}".encode())
        for sentences in (newest.train, newest.histories, newest.targets):
            digest.update(sentences.fingerprint().encode())
        return digest.hexdigest()


def parse_metric(metric: str) -> tuple[str, int]:
    """Return the name and the cut-off of a metric such as ``ndcg@10``.

    >>> parse_metric("ndcg@10")
    ('ndcg', 10)
    """
    name, _, k = metric.partition("@")
    if name not in ACCURACY or not k.isdecimal():
        raise ConfigError(f"metric is {metric!r}; expected one of {', '.join(ACCURACY)}, such as ndcg@10")
    return name, check_k(int(k))


def make_problem(
    data: Data,
    metric: str,
    *,
    protocol: Protocol | None = None,
    repeats: bool | None = None,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
    max_tokens: int,
    seed: int,
) -> Problem:
    """Return the problem carved from (a sample of) the data.

    ``last``: the last items of each sentence; ``prefix``: each next click of the last tenth of the sentences;
    ``temporal``: all new items of each user in the last tenth of the events; ``random``: a random tenth of
    each sentence. Where this makes fewer than 5,000 questions, there are further folds: what is carved from
    the first one's training part, windows before, another random tenth. Of more than 20,000 questions of a
    fold as many are drawn.
    """
    name, k = parse_metric(metric)
    chosen = _checked(data, protocol)
    random = np.random.default_rng([seed, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # a choice among settings is not flattered by it
        sample = _sample(data, max_tokens, random)
        if chosen == "temporal":
            splits = _temporal_folds(_events(sample), bool(repeats), adapter, items)
        else:
            sentences = _sentences(sample, adapter, items)
            chosen = chosen or ("last" if sentences.ordered else "random")
            splits = _sentence_folds(sentences, chosen, repeats, seed)
    if not splits:
        raise InputError(f"protocol {chosen!r} of {data!r} leaves no question; expected longer ones")
    folds = tuple(_some(split, MOST_QUESTIONS, random) for split in splits)
    return Problem(folds, _some(folds[0], FEW_QUESTIONS, random), name, k, chosen)


def _checked(data: Data, protocol: Protocol | None) -> Protocol | None:
    """Return the protocol that is given, or temporal where there are timestamps; else it is still open."""
    given: object = data
    if not isinstance(given, Sentences | Interactions):
        raise InputTypeError(
            f"tune reads Sentences or Interactions, found {type(given).__name__}; see item2vec.adapters"
        )
    timed = (data.timestamps if isinstance(data, Sentences) else data.timestamp) is not None
    if protocol is None:
        return "temporal" if timed else None
    if protocol not in get_args(Protocol):
        raise ConfigError(f"protocol is {protocol!r}; expected one of {', '.join(get_args(Protocol))}")
    if protocol == "temporal" and not timed:
        raise ConfigError("protocol='temporal' needs timestamps, and there are none; expected 'last'")
    return protocol


def _sentences(data: Data, adapter: Adapter | AdapterConfig, items: Items | None) -> Sentences:
    if isinstance(data, Sentences):
        return data
    if isinstance(adapter, AdapterConfig):
        return training_sentences(data, adapter, items)
    return adapter(data)


def _events(data: Data) -> Interactions:
    """Return interactions; of sentences, each sentence is a user's."""
    if isinstance(data, Interactions):
        return data
    users = Vocabulary(tuple(map(str, range(len(data)))))
    user = np.repeat(np.arange(len(data), dtype=np.int32), data.lengths)
    return Interactions(users, data.vocabulary, user, data.tokens, data.timestamps, data.weights)


def _temporal_folds(
    interactions: Interactions, repeats: bool, adapter: Adapter | AdapterConfig, items: Items | None
) -> list[Split]:
    newest = temporal_split(interactions, repeats=repeats, adapter=adapter, items=items)
    if len(newest) < ENOUGH_QUESTIONS:
        with contextlib.suppress(InputError):  # too few timestamps for several windows
            several = partial(temporal_folds, folds=TEMPORAL_FOLDS, repeats=repeats)
            return several(interactions, adapter=adapter, items=items)[::-1]
    return [newest]


def _sentence_folds(sentences: Sentences, protocol: Protocol, repeats: bool | None, seed: int) -> list[Split]:
    folds = [_fold(sentences, protocol, repeats, seed)]
    with contextlib.suppress(InputError):  # too few sentences for another
        while len(folds) < SENTENCE_FOLDS and 0 < sum(map(len, folds)) < ENOUGH_QUESTIONS:
            left = sentences if protocol == "random" else folds[-1].train
            folds.append(_fold(left, protocol, repeats, seed + len(folds)))
    return [fold for fold in folds if len(fold)]


def _fold(sentences: Sentences, protocol: Protocol, repeats: bool | None, seed: int) -> Split:
    """Return a split with users: the numbers of sentences, which are the same ones in all folds."""
    if protocol == "random":
        split = random_split(sentences, fraction=0.1, seed=seed)
        split = dataclasses.replace(split, users=np.arange(len(split)))
    elif protocol == "last":
        return _last_items(sentences, repeats=bool(repeats))
    else:
        split = prefix_split(sentences)
        split = dataclasses.replace(split, users=np.asarray(split.users) + len(split.train))
    return _as_seen(split, repeats)


def _as_seen(split: Split, repeats: bool | None) -> Split:
    """Return the split with or without seen items as answers, and without questions that have only those."""
    if repeats is not None:
        split = dataclasses.replace(split, filter_seen=not repeats)
    if not split.filter_seen:
        return split
    code_of = split.histories.vocabulary.encode(split.targets.vocabulary.ids).astype(np.int64)
    size = len(split.histories.vocabulary) + 1  # one more, for a target that stands in no history
    seen = np.repeat(np.arange(len(split)), split.histories.lengths) * size + split.histories.tokens
    asking = np.repeat(np.arange(len(split)), split.targets.lengths)
    new = ~np.isin(asking * size + code_of[split.targets.tokens], seen)
    return split.take(np.bincount(asking, new, minlength=len(split)) > 0)


def _last_items(sentences: Sentences, *, repeats: bool) -> Split:
    """Return the split that leaves out the last item of each sentence; of few and long ones, the last few.

    With several, each is asked for with all that stands before it, so that a thousand users give as sure an
    answer as several thousand; training sees none of them. Without ``repeats``, an item that also stands
    before is not asked for.
    """
    typical = np.median(sentences.lengths) if len(sentences) else 0
    enough = -(-ENOUGH_QUESTIONS // max(len(sentences), 1))
    n = int(np.clip(typical // LENGTH_A_QUESTION, 1, enough))
    whole = leave_last_out(sentences, n=n, repeats=True)
    ends = sentences.offsets[1:][sentences.lengths > n]
    last = (ends - 1 - np.arange(n)[:, None]).ravel()
    asked = last if repeats else last[first_places(sentences)[last] == last]
    histories, targets = prefixes(sentences, asked)
    return dataclasses.replace(
        whole,
        histories=histories,
        targets=targets,
        protocol=f"each of the last {n} items",
        users=np.searchsorted(sentences.offsets, asked, side="right") - 1,
        filter_seen=not repeats,
        dropped={**whole.dropped, **repeated(len(last) - len(asked))},
    )


def _sample(data: Data, max_tokens: int, random: np.random.Generator) -> Data:
    """Return whole sentences, or users, drawn at random, in their order, that have about so many tokens."""
    if isinstance(data, Sentences):
        lengths = data.lengths
    else:
        lengths = np.bincount(data.user, minlength=len(data.users))
    if lengths.sum() <= max_tokens:
        return data
    shuffled = random.permutation(len(lengths))
    drawn = np.zeros(len(lengths), dtype=bool)
    drawn[shuffled[np.cumsum(lengths[shuffled]) <= max_tokens]] = True
    return data.take(drawn) if isinstance(data, Sentences) else data.take(drawn[data.user])


def _some(split: Split, most: int, random: np.random.Generator) -> Split:
    return split if len(split) <= most else split.take(sample_rows(random, len(split), most))
