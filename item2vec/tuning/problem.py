"""Validation problem of a tuning study: training parts, and queries held out from the data."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass

import numpy as np

from item2vec.adapters import histories
from item2vec.arrays import Doubles, Offsets, Rows
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.errors import ConfigError, InputError, LeakWarning, Remedy, short_repr
from item2vec.evaluation.evaluate import Metric, metrics_by_name, values_of
from item2vec.evaluation.rankings import rank_all
from item2vec.evaluation.split import Split
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.matrices import sample_rows
from item2vec.metrics.accuracy import ACCURACY
from item2vec.neighbours import NeighbourTable, table_for
from item2vec.prior import prior_of
from item2vec.recommender import Recommender
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.tuning.folds import Adapter, Data, Protocol, hold_out, is_split_by_time
from item2vec.types import check_k
from item2vec.vectors import ItemVectors

__all__ = ["Problem", "make_problem", "n_readable", "parse_metric", "users_of"]

MAX_QUERIES = 20_000
MOST_SHARDED_TOKENS = 50_000_000
FEW_QUERIES = 3_000
DEFAULT_K = 10


@dataclass(frozen=True, eq=False)
class Problem:
    """Validation data and the metric.

    The search uses the split ``searched``, and the finals use ``folds``, newest first. ``searched`` is the
    newest fold, or has more queries per user than the newest fold. A user has the same number in all splits.
    ``few`` is a subset of the queries of ``searched``, used for intermediate scores and for the choice of a
    taste. ``few_rows`` are the positions of these queries in ``searched``. ``items`` are passed to the
    training. ``own`` is the custom metric of the caller, which may return any finite numbers; ``None`` if
    ``metric`` is a metric of ``ACCURACY``.
    """

    searched: Split
    folds: tuple[Split, ...]
    few: Split
    metric: str
    k: int
    protocol: Protocol
    few_rows: Rows
    items: Items | None = None
    own: Metric | None = None

    @property
    def timed(self) -> bool:
        """Whether histories have timestamps."""
        return self.few.histories.timestamps is not None

    @property
    def ordered(self) -> bool:
        """Whether the order of items in a sentence is meaningful."""
        return self.searched.train.ordered

    def unused_rows(self) -> Rows:
        """Return the positions, in ``searched``, of the queries of users who have no query in ``few``."""
        users = users_of(self.searched)
        return np.flatnonzero(~np.isin(users, users[self.few_rows]))

    def values(
        self, vectors: ItemVectors, taste: TasteConfig, split: Split, table: NeighbourTable | None = None
    ) -> Doubles:
        """Return the metric of each query (float64) for a ``Recommender`` with an exact index.

        ``table`` is the neighbour table of the training part. If it is ``None`` and the taste requires a
        table, the table is computed. The popularity prior is computed as in ``fit``.
        """
        train, vocabulary = split.train, vectors.vocabulary
        if taste.mixture and table is None:
            table = table_for(train, vocabulary)
        prior = prior_of(train, vocabulary, taste)
        model = Recommender(vectors, **taste.model_dump(), index="exact", neighbours=table, prior=prior)
        rankings = rank_all(model, split, self.k, ties="against")
        function = ACCURACY[self.metric] if self.own is None else self.own
        return values_of(self.metric, function, rankings.hits, rankings.n_targets, self.k)

    @property
    def repeats(self) -> bool:
        """Whether recommendations can contain items of the history."""
        return not self.few.filter_seen

    def score(
        self,
        vectors: ItemVectors,
        taste: TasteConfig,
        *,
        few: bool = False,
        table: NeighbourTable | None = None,
    ) -> float:
        """Return the mean of the metric over the queries of ``searched``, or over its ``few`` queries."""
        return float(self.values(vectors, taste, self.few if few else self.searched, table).mean())

    def fingerprint(self) -> str:
        """Return a checksum of the metric and of ``searched``: its sentences and ``filter_seen``."""
        split = self.searched
        digest = hashlib.sha256(f"{self.metric}@{self.k} {split.filter_seen}".encode())
        for sentences in (split.train, split.histories, split.targets):
            digest.update(sentences.fingerprint().encode())
        return digest.hexdigest()


def users_of(split: Split) -> Offsets:
    """Return the user of each query; if the users are unknown, the number of the query."""
    return np.arange(len(split)) if split.users is None else split.users


def parse_metric(metric: str | Metric, k: int | None = None) -> tuple[str, int]:
    """Return the name and the cut-off of a metric such as ``ndcg@10``, or of a function with cut-off ``k``.

    Raises
    ------
    ConfigError
        If the metric is unknown, has no cut-off, or is a text that is given together with ``k``.
    InputError
        If the cut-off is below 1.

    Examples
    --------
    >>> parse_metric("ndcg@10")
    ('ndcg', 10)
    """
    if not isinstance(metric, str):
        (name,) = metrics_by_name([metric])
        return name, check_k(DEFAULT_K if k is None else k)
    if k is not None:
        raise ConfigError(
            f"k is {short_repr(k)}, and metric is {short_repr(metric)}; expected k with a function only: "
            "omit k, and write the cut-off after @"
        )
    name, _, cutoff = metric.partition("@")
    if name not in ACCURACY or not cutoff.isdecimal():
        raise ConfigError(
            f"metric is {metric!r}; expected one of {', '.join(ACCURACY)}, followed by @ and k, "
            "such as ndcg@10",
            remedies=[Remedy("metric", text="or pass a function as {}")],
        )
    return name, check_k(int(cutoff))


def make_problem(
    data: Data,
    metric: str | Metric,
    *,
    k: int | None = None,
    protocol: Protocol | None = None,
    repeats: bool | None = None,
    adapter: Adapter | AdapterConfig = histories,
    items: Items | None = None,
    max_tokens: int,
    seed: int,
) -> Problem:
    """Hold out validation queries from the data, or from a sample of at most ``max_tokens`` tokens.

    The protocol determines the targets. ``last``: the last item of each sentence. ``prefix``: the next item
    after every prefix of the last tenth of the sentences. ``temporal``: all new items of each user in the
    last tenth of the events. ``random``: a random tenth of the items of each sentence. If ``protocol`` is
    ``None``, it is ``temporal`` for data with timestamps that are not sessions (see ``hold_out``); otherwise,
    ``last`` for ordered and ``random`` for unordered sentences. The parameters are those of ``tune``.

    If the newest fold has fewer than 5,000 queries, up to two further folds are added if possible: earlier
    time windows (``temporal``), other random tenths (``random``), or targets held out from the training part
    of the fold before (``last`` and ``prefix``). For ``last``, the search then uses each of the last few
    items of a sentence as a target, if sentences are long. Of a fold with more than 20,000 queries, 20,000
    random queries are used.

    Raises
    ------
    ConfigError
        If the metric or the protocol is invalid, or ``temporal`` is used without timestamps, or with a corpus
        that has several sentences of a user.
    InputError
        If ``data`` has the wrong type, the cut-off of the metric is below 1, no query can be held out, or a
        custom metric does not return a finite number per query.
    """
    name, k = parse_metric(metric, k)
    own = None if isinstance(metric, str) else metric
    by_time = is_split_by_time(data, protocol)
    random = np.random.default_rng([seed, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # a leak raises the scores of all configurations
        sample = _sample(data, max_tokens, random)
        chosen, splits, several = hold_out(
            sample, protocol, by_time=by_time, repeats=repeats, adapter=adapter, items=items, seed=seed
        )
    if not splits:
        raise InputError(
            f"protocol {chosen!r} makes 0 queries of {data!r}; expected at least one: use longer sentences "
            "or another protocol"
        )
    folds = tuple(split.take(sample_rows(random, len(split), MAX_QUERIES)) for split in splits)
    searched = several or folds[0]
    few_rows = sample_rows(random, len(searched), FEW_QUERIES)
    few = searched.take(few_rows)
    if own is not None:  # an invalid function is reported before the first training
        values_of(name, own, np.zeros((len(few), k), dtype=bool), few.targets.lengths, k)
    return Problem(searched, folds, few, name, k, chosen, few_rows, items, own)


def n_readable(data: Data) -> int:
    """Return the number of tokens or events that are read into memory.

    For ``ShardedSentences``, the number is at most 50 million.

    >>> n_readable(Sentences.of([["a", "b"]]))
    2
    """
    if isinstance(data, ShardedSentences):
        return min(data.n_tokens, MOST_SHARDED_TOKENS)
    return len(data) if isinstance(data, Interactions) else data.n_tokens


def _sample(data: Data, max_tokens: int, random: np.random.Generator) -> Sentences | Interactions:
    """Return the data or, if they have more than ``max_tokens`` tokens, a sample with at most this number.

    The sample contains random whole sentences, or all events of random users, in their original order. The
    result is in memory. Of ``ShardedSentences``, it has at most 50 million tokens.
    """
    max_tokens = min(max_tokens, n_readable(data))
    if isinstance(data, Interactions):
        lengths = np.bincount(data.user, minlength=len(data.users))
    else:
        lengths = data.lengths
    if lengths.sum() <= max_tokens:
        return data if isinstance(data, Interactions) else data.whole()
    shuffled = random.permutation(len(lengths))
    drawn = np.zeros(len(lengths), dtype=bool)
    drawn[shuffled[np.cumsum(lengths[shuffled]) <= max_tokens]] = True
    return data.take(drawn[data.user]) if isinstance(data, Interactions) else data.take(drawn)
