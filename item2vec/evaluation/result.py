"""Result of an evaluation: metrics, their values per query, and the rankings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Offsets
from item2vec.deprecated import Renamed
from item2vec.errors import InputError, short_repr
from item2vec.evaluation.bootstrap import intervals
from item2vec.evaluation.rankings import Rankings
from item2vec.figures import Estimates, draw, metric_bars
from item2vec.notebook import html_table
from item2vec.types import Vocabulary, as_history

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Evaluation", "check_metric"]


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
        User number of each query (int64). Confidence intervals resample users.
    queries
        Checksums of histories, targets and users, from ``Split.fingerprints``. ``compare`` and ``table``
        require equal checksums.
    exact
        Metrics of ``model.exact``; for a ``Recommender``, this is the same model with exact search. ``None``
        if the model has no attribute ``exact``, or if this attribute is ``None`` or the model itself.
    leaks
        Known reasons why the metrics are too high.
    model
        Name of the class of the model.
    user_ids
        Ids of the users, from ``Split.user_ids``; ``None`` if unknown.

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
    model: str = ""
    user_ids: Vocabulary | None = None

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

    def _repr_html_(self) -> str:
        rows = [[name, value, _interval(self._intervals.get(name))] for name, value in self.metrics.items()]
        title = f"{self.model or 'Evaluation'}: {self.n_queries:,} queries"
        leaks = html_table("known leaks", [[leak] for leak in self.leaks]) if self.leaks else ""
        return html_table(title, rows, ["metric", "mean", "95 % interval"]) + leaks

    @cached_property
    def _intervals(self) -> dict[str, tuple[float, float]]:
        return self.intervals()

    @checked
    def estimates(self, metrics: Iterable[str] | None = None) -> Estimates:
        """Return the value and the bounds of the 95 % confidence interval of each metric, by name.

        ``metrics`` contains the names of the metrics to return, such as ``hr@10``. By default, all metrics
        are returned. Bounds are ``None`` for metrics of the whole catalogue.

        Raises
        ------
        InputError
            If a metric was not evaluated.
        """
        names = list(self.metrics) if metrics is None else list(as_history(metrics, "metrics"))
        for name in names:
            check_metric(name, self.metrics)
        return {name: (self.metrics[name], *self._intervals.get(name, (None, None))) for name in names}

    @checked
    def plot(self, *, metrics: Iterable[str] | None = None) -> go.Figure:
        """Return a plotly figure: a bar per metric, with the 95 % confidence interval.

        Metrics of the whole catalogue (coverage, gini) have no interval. ``metrics`` contains the names of
        the metrics to show; by default, all metrics are shown. For several models, see ``Table.plot``.

        Raises
        ------
        InputError
            If a metric was not evaluated.
        MissingExtraError
            If plotly is not installed.
        """
        return draw(metric_bars({self.model or "model": self.estimates(metrics)}))

    @checked
    def to_frame(self, *, level: float = 0.95, seed: int = 1) -> pd.DataFrame:
        """Return a DataFrame with the columns ``metric k value low high``, a row per metric and cut-off.

        ``low`` and ``high`` are the bounds of the confidence interval, NaN for metrics of the whole
        catalogue. For ``level`` and ``seed``, see ``intervals``.

        Examples
        --------
        >>> from item2vec import Sentences
        >>> from item2vec.evaluation import Popularity, Split, evaluate
        >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
        >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["a"], ["c"]]), "by hand")
        >>> evaluate(Popularity(train), split, k=[1, 2], metrics=["hr", "coverage"]).to_frame()
             metric  k     value       low  high
        0        hr  1  0.500000  0.000000   1.0
        1  coverage  1  0.666667       NaN   NaN
        2        hr  2  1.000000  0.158114   1.0
        3  coverage  2  1.000000       NaN   NaN
        """
        from item2vec.readers.writing import data_frame

        bounds = self.intervals(level=level, seed=seed)
        parts = [name.rpartition("@") for name in self.metrics]
        names = tuple(dict.fromkeys(name for name, _, _ in parts))
        low_high = np.array([bounds.get(name, (np.nan, np.nan)) for name in self.metrics]).reshape(-1, 2)
        return data_frame(
            {
                "metric": (np.array([names.index(name) for name, _, _ in parts], np.int32), names),
                "k": np.array([int(k) for _, _, k in parts], np.int64),
                "value": np.array(list(self.metrics.values()), np.float64),
                "low": low_high[:, 0],
                "high": low_high[:, 1],
            }
        )

    def per_query_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a row per query: columns ``query`` and ``user``, and a column per metric.

        ``query`` is the position of the query in the split. ``user`` is the id of the user if the split has
        ``user_ids``, as the splits of ``Interactions`` by ``temporal_split`` have; otherwise, ``user`` is the
        user number. Metrics of the whole catalogue have no column.
        """
        from item2vec.readers.writing import data_frame

        numbers = self.users.astype(np.int32)
        users = self.users if self.user_ids is None else (numbers, self.user_ids.ids)
        return data_frame({"query": np.arange(self.n_queries), "user": users, **self.per_query})

    @checked
    def intervals(self, *, level: float = 0.95, seed: int = 1) -> dict[str, tuple[float, float]]:
        """Return the confidence interval of each metric in ``per_query``, by the bootstrap over users.

        The intervals describe the sampling error of the users. They do not include the randomness of
        training.

        Parameters
        ----------
        level
            Confidence level, above 0 and below 1.
        seed
            Seed of the resampling, at least 0.

        Raises
        ------
        InputError
            If ``level`` is out of range.
        ConfigError
            If ``seed`` is below 0.
        """
        return intervals(self.per_query, self.users, level=level, seed=seed)


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def check_metric(name: object, evaluated: Iterable[str]) -> None:
    """Raise ``InputError`` unless ``name`` is one of the evaluated metrics, such as ``hr@10``."""
    evaluated = list(evaluated)
    if not isinstance(name, str) or name not in evaluated:
        found = f"metric {short_repr(name)} was not evaluated"
        raise InputError(f"{found}; expected one of {', '.join(evaluated)}")
