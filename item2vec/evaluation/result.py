"""Result of an evaluation: metrics, their values per query, and the rankings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Offsets
from item2vec.deprecated import Renamed
from item2vec.evaluation.bootstrap import intervals
from item2vec.evaluation.rankings import Rankings

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Result of ``evaluate``: metrics of one model on the queries of one split.

    Parameters
    ----------
    metrics
        Values of the metrics by name, such as ``hr@10``. Each is a mean over all queries, except for metrics
        of the whole catalogue (``coverage``, ``gini``).
    per_query
        Values per query (float64) of the metrics that are means over queries, by name.
    rankings
        Ranked items of every query.
    users
        User of each query (int64). Confidence intervals resample users.
    queries
        Checksums of the queries, from ``Split.fingerprints``. ``compare`` requires equal checksums.
    exact
        Metrics of the same model with exact search, if its index is approximate; else ``None``.
    leaks
        Known reasons why the metrics are too high.

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
        """Number of queries."""
        return len(self.users)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Evaluation({self.n_queries:,} queries: {metrics})"

    @checked
    def intervals(self, *, level: float = 0.95, seed: int = 1) -> dict[str, tuple[float, float]]:
        """Return the confidence interval of each metric in ``per_query``, by the bootstrap over users.

        The intervals describe the sampling error of the users. They do not include the randomness of
        training.
        """
        return intervals(self.per_query, self.users, level=level, seed=seed)
