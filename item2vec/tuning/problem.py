"""What tuning is judged by: a training part, and questions with known answers, carved from the sentences."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from item2vec.config import TasteConfig
from item2vec.errors import ConfigError, InputError, LeakWarning
from item2vec.evaluation.answers import ask
from item2vec.evaluation.split import Split
from item2vec.evaluation.splits import first_places, leave_last_out, prefixes, random_split, repeated
from item2vec.metrics import ACCURACY
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences
from item2vec.types import check_k
from item2vec.vectors import ItemVectors

__all__ = ["Carve", "Problem", "carve", "parse_metric"]

Carve = Callable[[Sentences], Split]

MOST_QUESTIONS = 20_000
FEW_QUESTIONS = 3_000
ENOUGH_QUESTIONS = 5_000
LENGTH_A_QUESTION = 10


@dataclass(frozen=True, eq=False)
class Problem:
    """A split to be judged by; ``few`` are some of its questions, for looks in between."""

    split: Split
    few: Split
    metric: str
    k: int

    def score(self, vectors: ItemVectors, taste: TasteConfig, *, few: bool = False) -> float:
        """Return the metric of a model of these vectors, by the calls that serve, with an exact index."""
        model = Recommender(vectors, **taste.model_dump(), index="exact")
        split = self.few if few else self.split
        answers = ask(model, split, self.k, filter_seen=split.filter_seen, ties="against")
        return float(ACCURACY[self.metric](answers.hits, answers.n_targets, self.k).mean())

    def fingerprint(self) -> str:
        """Return a checksum of all that decides a score: what is learned from, asked, and measured."""
        digest = hashlib.sha256(f"{self.metric}@{self.k} {self.split.filter_seen}".encode())
        for sentences in (self.split.train, self.split.histories, self.split.targets):
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


def carve(
    sentences: Sentences,
    metric: str,
    *,
    split: Carve | None = None,
    filter_seen: bool | None = None,
    max_tokens: int,
    seed: int,
) -> Problem:
    """Return the problem carved from (a sample of) the sentences.

    Sentences whose order means something lose their last item to validation; others a random tenth of their
    items. Of more than 20,000 questions as many are drawn.
    """
    name, k = parse_metric(metric)
    random = np.random.default_rng([seed, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # a choice among settings is not flattered by it
        part = _carve_by(split, seed, repeats=filter_seen is False)(_sample(sentences, max_tokens, random))
    if not len(part):
        raise InputError(
            f"{part.protocol} of {sentences!r} leaves no question to tune by; expected longer ones"
        )
    if filter_seen is not None:
        part = dataclasses.replace(part, filter_seen=filter_seen)
    part = _some(part, MOST_QUESTIONS, random)
    return Problem(part, _some(part, FEW_QUESTIONS, random), name, k)


def _carve_by(split: Carve | None, seed: int, *, repeats: bool) -> Carve:
    if split is not None:
        return split
    return lambda sentences: (
        _last_items(sentences, repeats=repeats)
        if sentences.ordered
        else random_split(sentences, fraction=0.1, seed=seed)
    )


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
        filter_seen=not repeats,
        dropped={**whole.dropped, **repeated(len(last) - len(asked))},
    )


def _sample(sentences: Sentences, max_tokens: int, random: np.random.Generator) -> Sentences:
    """Return whole sentences, drawn at random and in their order, that have about so many tokens."""
    if len(sentences.tokens) <= max_tokens:
        return sentences
    shuffled = random.permutation(len(sentences))
    drawn = shuffled[np.cumsum(sentences.lengths[shuffled]) <= max_tokens]
    return sentences.take(np.sort(drawn))


def _some(split: Split, most: int, random: np.random.Generator) -> Split:
    if len(split) <= most:
        return split
    return split.take(np.sort(random.choice(len(split), most, replace=False)))
