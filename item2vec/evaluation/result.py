"""The result of an evaluation: metrics, their value for each query, and the rankings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from item2vec.arrays import Doubles, Offsets
from item2vec.evaluation.bootstrap import intervals
from item2vec.evaluation.deprecated import Renamed
from item2vec.evaluation.rankings import Rankings

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Metrics of one model on the queries of one split.

    Parameters
    ----------
    metrics
        Means over all queries by name, such as ``hr@10``.
    per_query
        The averaged values (float64, one per query), by name. Metrics of the whole catalogue (``coverage``,
        ``gini``) have none.
    rankings
        The ranked items of every query.
    users
        The user of each query (int64); intervals resample users.
    queries
        Checksums of the queries, as returned by ``Split.fingerprints``. ``compare`` requires equal ones.
    exact
        Metrics of the same model with exact search, if its index is approximate; else ``None``.
    leaks
        Known reasons why these metrics are too high.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split, evaluate
    >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["a"], ["c"]]), "by hand")
    >>> evaluate(Popularity(train), split, k=1, metrics=["hr"]).per_query["hr@1"]
    array([1., 0.])
    """

    metrics: Mapping[str, float]
    per_query: Mapping[str, Doubles]
    rankings: Rankings
    users: Offsets
    queries: Mapping[str, str]
    exact: Mapping[str, float] | None = None
    leaks: tuple[str, ...] = ()

    askers = Renamed("users")
    per_question = Renamed("per_query")
    n_questions = Renamed("n_queries")
    answers = Renamed("rankings")
    questions = Renamed("queries")

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.users)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Evaluation({self.n_queries:,} queries: {metrics})"

    def intervals(self, *, level: float = 0.95, seed: int = 1) -> dict[str, tuple[float, float]]:
        """Return a confidence interval for each metric, by the bootstrap over users.

        The intervals reflect the sample of users, not the randomness of training. Metrics of the whole
        catalogue have none.
        """
        return intervals(self.per_query, self.users, level=level, seed=seed)
