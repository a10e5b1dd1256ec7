"""Evaluation of a model and of all baselines on the same split, and a comparison with the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from item2vec.arguments import checked
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.evaluation.evaluate import evaluate
from item2vec.evaluation.item_models import baselines
from item2vec.evaluation.rankings import Rankings
from item2vec.evaluation.result import Evaluation
from item2vec.evaluation.significance import Comparison, compare
from item2vec.evaluation.split import Split
from item2vec.items import Items
from item2vec.progress import progress_bar
from item2vec.recommender import Recommender
from item2vec.sentences import offsets_of
from item2vec.types import check_k

__all__ = ["OURS", "Study"]

OURS = "item2vec"
"""Name of the evaluated model in tables and charts."""

RANKING_ARRAYS = ("items", "hits", "n_targets")


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Evaluations of a model and of the baselines on one split.

    Parameters
    ----------
    model, split
        The evaluated model, and the split on which it was evaluated.
    evaluation
        Evaluation of the model.
    baselines
        Evaluation of each baseline, by the name of the baseline; at least one.
    cutoffs
        Cut-offs ``k`` of the metrics, in ascending order.
    items
        Titles and attributes of the items, for display.

    Examples
    --------
    >>> from item2vec import Sentences, fit
    >>> listened = Sentences.of([["a", "b", "c"], ["b", "c", "d"], ["c", "d", "a"]] * 9)
    >>> split = Split(listened, Sentences.of([["a", "b"]]), Sentences.of([["c"]]), "by hand")
    >>> study = Study.of(fit(listened), split, k=1)
    >>> study.metric, study.beats_all
    ('ndcg@1', False)
    """

    model: Recommender
    split: Split
    evaluation: Evaluation
    baselines: Mapping[str, Evaluation]
    cutoffs: Sequence[int]
    items: Items | None = None

    @classmethod
    @checked
    def of(
        cls,
        model: Recommender,
        split: Split,
        *,
        k: int | Sequence[int] = (5, 10, 20),
        items: Items | None = None,
    ) -> Study:
        """Train all baselines on the training part of a split, and evaluate the model and the baselines.

        ``k`` is one cut-off of the metrics, or a sequence of cut-offs. By default, ``items`` are the items of
        the model.
        """
        cutoffs = sorted({check_k(cutoff) for cutoff in ([k] if isinstance(k, int) else k)})
        rivals = baselines(split)
        with progress_bar("evaluating", total=1 + len(rivals)) as advance:
            evaluation = evaluate(model, split, k=cutoffs)
            advance(OURS)
            evaluations = {}
            for name, rival in rivals.items():
                evaluations[name] = evaluate(rival, split, k=cutoffs)
                advance(name)
        return cls(model, split, evaluation, evaluations, cutoffs, items or model.items)

    @classmethod
    @checked
    def pooled(cls, studies: Sequence[Study]) -> Study:
        """Combine studies of several splits, such as the folds of a cross-validation, into one study.

        The result has the queries of all studies, and ``model``, ``split``, ``cutoffs`` and ``items`` of the
        first study. Metrics without values per query (``coverage``, ``gini``) are averaged over the studies.
        A single study is returned unchanged.

        Raises
        ------
        InputError
            If two studies differ in their baselines or metrics.
        InputTypeError
            If there is no study, or an element is not a ``Study``.
        """
        others: list[object] = [study for study in studies if not isinstance(study, Study)]
        if others:
            raise InputTypeError(
                f"studies contains {short_repr(others[0])}, of type {type(others[0]).__name__}; expected "
                "only elements of type Study"
            )
        if not studies:
            raise InputTypeError(f"studies is {short_repr(studies)}; expected at least one Study")
        first = studies[0]
        if len(studies) == 1:
            return first
        _check_alike(studies)
        return replace(
            first,
            evaluation=_pooled([study.evaluation for study in studies]),
            baselines={
                name: _pooled([study.baselines[name] for study in studies]) for name in first.baselines
            },
        )

    @property
    def k(self) -> int:
        """Cut-off of the main metric: the middle one of ``cutoffs``, or the lower of the two middle ones."""
        return self.cutoffs[(len(self.cutoffs) - 1) // 2]

    @property
    def metric(self) -> str:
        """Name of the main metric, by which models are compared: NDCG at ``k``."""
        return f"ndcg@{self.k}"

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """Evaluations of the model and of the baselines by name; the evaluation of the model comes first."""
        return {OURS: self.evaluation, **self.baselines}

    @cached_property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """95 % confidence intervals of the metrics that have values per query, by model and metric."""
        return {name: evaluation.intervals() for name, evaluation in self.evaluations.items()}

    @property
    def best_baseline(self) -> str:
        """Name of the baseline with the highest value of ``metric``."""
        return max(self.baselines, key=lambda name: self.baselines[name].metrics[self.metric])

    @cached_property
    def comparison(self) -> Comparison:
        """Paired comparison of the model with the best baseline in ``metric``."""
        return compare(self.evaluation, self.baselines[self.best_baseline], self.metric)

    @property
    def beats_all(self) -> bool:
        """Whether the 95 % interval of the difference from the best baseline is above 0."""
        return self.comparison.low > 0

    @property
    def verdict(self) -> str:
        """Comparison of the model with the best baseline, as a sentence."""
        comparison = self.comparison
        best = self.baselines[self.best_baseline].metrics[self.metric]
        if self.beats_all:
            claim = f"{OURS} beats all baselines"
        elif comparison.difference > 0:
            claim = f"{OURS} does not significantly beat all baselines"
        else:
            claim = f"{OURS} does not beat all baselines"
        return (
            f"{claim}: {self.metric} is {self.evaluation.metrics[self.metric]:.4f}, and {best:.4f} for the "
            f"best baseline, {self.best_baseline}; difference {comparison.difference:+.4f} (95 % interval "
            f"{comparison.low:+.4f} to {comparison.high:+.4f}, p = {comparison.p_value:.4f})"
        )


def _check_alike(studies: Sequence[Study]) -> None:
    """Raise ``InputError`` if a study has other baselines or metrics than the first study."""
    first = studies[0]
    for number, study in enumerate(studies):
        if study.baselines.keys() != first.baselines.keys():
            raise InputError(
                f"study {number} has the baselines {', '.join(study.baselines)}; expected those of study 0: "
                f"{', '.join(first.baselines)}"
            )
        for name, evaluation in study.evaluations.items():
            expected = first.evaluations[name].metrics
            if evaluation.metrics.keys() != expected.keys():
                raise InputError(
                    f"study {number} has the metrics {', '.join(evaluation.metrics)} of {name}; expected "
                    f"those of study 0: {', '.join(expected)}"
                )


def _pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    first = evaluations[0]
    per_query = {
        name: np.concatenate([evaluation.per_query[name] for evaluation in evaluations])
        for name in first.per_query
    }
    offsets = offsets_of([evaluation.users.max() + 1 for evaluation in evaluations])
    exact = [evaluation.exact for evaluation in evaluations if evaluation.exact is not None]
    return replace(
        first,
        metrics=_means([evaluation.metrics for evaluation in evaluations])
        | {name: float(values.mean()) for name, values in per_query.items()},
        per_query=per_query,
        rankings=Rankings(
            first.rankings.vocabulary,
            *(
                np.concatenate([getattr(evaluation.rankings, name) for evaluation in evaluations])
                for name in RANKING_ARRAYS
            ),
        ),
        users=np.concatenate(
            [evaluation.users + start for evaluation, start in zip(evaluations, offsets, strict=False)]
        ),
        queries={
            part: " ".join(evaluation.queries[part] for evaluation in evaluations) for part in first.queries
        },
        exact=_means(exact) if exact else None,
        user_ids=None,
        leaks=tuple(dict.fromkeys(leak for evaluation in evaluations for leak in evaluation.leaks)),
    )


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in metrics])) for name in metrics[0]}
