"""Table of the evaluations of several models on the same queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from item2vec.arguments import check_fields, checked
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY
from item2vec.evaluation.result import Evaluation, check_metric
from item2vec.figures import draw, metric_bars
from item2vec.notebook import html_table
from item2vec.types import as_history

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Table", "table"]

NOT_RANKED = frozenset(BEYOND_ACCURACY) - {"coverage", "serendipity"}
"""Metrics without a best value: whether high values are good depends on the purpose."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Evaluations of several models on the same queries: a row per model, and a column per metric.

    The columns are the metrics that all evaluations have. Notebooks display the highest value of a column in
    bold if the metric is an accuracy metric, coverage, serendipity or a custom metric. ``compare`` tests
    whether a difference is significant.

    Parameters
    ----------
    evaluations
        Mapping from model names to evaluations. See ``table``, which also accepts a list.

    Raises
    ------
    InputError
        If there is no evaluation; if a key is not a string, or a value is not an ``Evaluation``; if the
        queries of two evaluations differ; or if no metric is common to all evaluations.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Split, evaluate
    >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["b"], ["b"]]), "by hand")
    >>> Table({"popular": evaluate(Popularity(train), split, k=1, metrics=["hr"])}).best("hr@1")
    ('popular',)
    """

    evaluations: Mapping[str, Evaluation]

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.evaluations:
            raise InputError("evaluations is empty; expected at least one evaluation")
        items: Iterable[tuple[object, object]] = self.evaluations.items()
        for key, value in items:
            if not isinstance(key, str) or not isinstance(value, Evaluation):
                found = f"evaluations contain {short_repr(key)}: {short_repr(value)}"
                raise InputTypeError(f"{found}; expected a name (text) and an Evaluation")
        first_name, first = next(iter(self.evaluations.items()))
        for name, evaluation in self.evaluations.items():
            if parts := [part for part, of in first.queries.items() if of != evaluation.queries.get(part)]:
                found = f"the {' and '.join(parts)} of {first_name!r} and {name!r} differ"
                raise InputError(f"{found}; expected the same queries: evaluate all models on one split")
        if not self.metrics:
            metrics = (f"{name!r}: {short_repr([*one.metrics])}" for name, one in self.evaluations.items())
            raise InputError(
                f"no metric is common to all evaluations ({'; '.join(metrics)}); expected a common metric: "
                "evaluate all models with the same metrics and k"
            )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that all models have, such as ``hr@10``."""
        first, *others = self.evaluations.values()
        return tuple(name for name in first.metrics if all(name in other.metrics for other in others))

    @checked
    def best(self, metric: str) -> tuple[str, ...]:
        """Return the names of the models with the highest value of a metric.

        The result is empty for metrics without a best value: novelty, diversity, gini and popularity bias.

        Raises
        ------
        InputError
            If ``metric`` is not one of ``metrics``.
        """
        check_metric(metric, self.metrics)
        if metric.rpartition("@")[0] in NOT_RANKED:
            return ()
        values = {name: evaluation.metrics[metric] for name, evaluation in self.evaluations.items()}
        return tuple(name for name, value in values.items() if value == max(values.values()))

    def __len__(self) -> int:
        return len(self.evaluations)

    def __repr__(self) -> str:
        width = max(map(len, self.evaluations))
        lines = [" " * width + "".join(f"  {name:>{max(len(name), 6)}}" for name in self.metrics)]
        for name, evaluation in self.evaluations.items():
            values = (f"  {evaluation.metrics[metric]:{max(len(metric), 6)}.4f}" for metric in self.metrics)
            lines.append(f"{name:<{width}}" + "".join(values))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        best = {
            (row, column)
            for column, metric in enumerate(self.metrics, start=1)
            for row, name in enumerate(self.evaluations)
            if name in self.best(metric)
        }
        rows = [
            [name, *(evaluation.metrics[metric] for metric in self.metrics)]
            for name, evaluation in self.evaluations.items()
        ]
        n_queries = next(iter(self.evaluations.values())).n_queries
        return html_table(f"{n_queries:,} queries", rows, ["model", *self.metrics], best=best)

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a row per model: the column ``model``, and a column per metric."""
        from item2vec.readers.writing import data_frame

        columns = {
            metric: np.array([evaluation.metrics[metric] for evaluation in self.evaluations.values()])
            for metric in self.metrics
        }
        names = tuple(self.evaluations)
        return data_frame({"model": (np.arange(len(names), dtype=np.int32), names), **columns})

    @checked
    def plot(self, *, metrics: Iterable[str] | None = None) -> go.Figure:
        """Return a plotly figure: for each metric, a bar per model, with 95 % confidence intervals.

        Metrics of the whole catalogue (coverage, gini) have no interval. ``metrics`` contains the names of
        the metrics to show. By default, all metrics of the table are shown.

        Raises
        ------
        InputError
            If a metric was not evaluated for every model.
        MissingExtraError
            If plotly is not installed.
        """
        chosen = self.metrics if metrics is None else as_history(metrics, "metrics")
        return draw(metric_bars({name: part.estimates(chosen) for name, part in self.evaluations.items()}))


@checked
def table(evaluations: Mapping[str, Evaluation] | Sequence[Evaluation]) -> Table:
    """Return a ``Table`` of the evaluations of several models on one split.

    Parameters
    ----------
    evaluations
        Evaluations by the name of the model, or a list of evaluations. In a list, the name of each model is
        the name of its class.

    Raises
    ------
    InputError
        If two models in a list have the same name, or the evaluations are not valid for a ``Table``.

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Popularity, Random, Split, evaluate
    >>> train = Sentences.of([["a", "b"], ["c", "b"], ["a"]])
    >>> split = Split(train, Sentences.of([["c"], ["a"]]), Sentences.of([["b"], ["b"]]), "by hand")
    >>> table([evaluate(model(train), split, k=1, metrics=["hr"]) for model in (Popularity, Random)])
                  hr@1
    Popularity  1.0000
    Random      0.0000
    """
    if not isinstance(evaluations, Mapping):
        listed = evaluations
        evaluations = {}
        for evaluation in listed:
            name = getattr(evaluation, "model", "")
            if name in evaluations:
                raise InputError(
                    f"two evaluations have the name {name!r}; expected distinct names: pass a dict, with a "
                    "name for each evaluation"
                )
            evaluations[name] = evaluation
    return Table(dict(evaluations))
