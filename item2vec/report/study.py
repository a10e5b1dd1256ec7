"""A model and the baselines, asked the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

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

__all__ = ["OURS", "Study"]

OURS = "item2vec"
"""What the model is called among the baselines."""

ANSWERS = ("items", "hits", "n_targets")


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """A model's evaluation beside those of the baselines, on one split.

    Parameters
    ----------
    model, split
        What was asked, and what it was asked.
    evaluation
        What the model's answers were worth.
    baselines
        The same of each baseline, by name; at least one.
    cutoffs
        The ``k`` of the metrics, ascending.
    items
        Titles and attributes, for people to read.

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
    def of(
        cls,
        model: Recommender,
        split: Split,
        *,
        k: int | Sequence[int] = (5, 10, 20),
        items: Items | None = None,
    ) -> Study:
        """Evaluate a model and all baselines."""
        cutoffs = sorted({k} if isinstance(k, int) else set(k))
        rivals = baselines(split)
        with progress_bar("evaluating", total=1 + len(rivals)) as advance:
            evaluation = evaluate(model, split, k=cutoffs)
            advance(OURS)
            of_rivals = {}
            for name, rival in rivals.items():
                of_rivals[name] = evaluate(rival, split, k=cutoffs)
                advance(name)
        return cls(model, split, evaluation, of_rivals, cutoffs, items or model.items)

    @classmethod
    def pooled(cls, studies: Sequence[Study]) -> Study:
        """Return one study of the questions of several, such as those of all folds; one alone stays as it is.

        ``model`` and ``split`` are the first one's. Metrics of the catalogue as a whole (``coverage``,
        ``gini``) are means over the studies.
        """
        first = studies[0]
        if len(studies) == 1:
            return first
        return replace(
            first,
            evaluation=_pooled([study.evaluation for study in studies]),
            baselines={
                name: _pooled([study.baselines[name] for study in studies]) for name in first.baselines
            },
        )

    @property
    def k(self) -> int:
        """The cut-off that is shown first: the middle one."""
        return self.cutoffs[(len(self.cutoffs) - 1) // 2]

    @property
    def metric(self) -> str:
        """By what the models are compared: NDCG at the middle cut-off."""
        return f"ndcg@{self.k}"

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """All evaluations by name, the model's first."""
        return {OURS: self.evaluation, **self.baselines}

    @cached_property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """The 95 % intervals of every model's metrics."""
        return {name: evaluation.intervals() for name, evaluation in self.evaluations.items()}

    @property
    def best_baseline(self) -> str:
        """The name of the best baseline."""
        return max(self.baselines, key=lambda name: self.baselines[name].metrics[self.metric])

    @cached_property
    def comparison(self) -> Comparison:
        """The model against the best baseline, question by question."""
        return compare(self.evaluation, self.baselines[self.best_baseline], self.metric)

    @property
    def beats_all(self) -> bool:
        """Whether the model is better than every baseline, by more than chance explains."""
        return self.comparison.low > 0

    @property
    def verdict(self) -> str:
        """How the model compares with the best baseline, in words."""
        by = self.comparison
        best = self.baselines[self.best_baseline].metrics[self.metric]
        if self.beats_all:
            said = f"{OURS} beats all baselines"
        elif by.difference > 0:
            said = f"{OURS} does not surely beat all baselines"
        else:
            said = f"{OURS} does not beat all baselines"
        return (
            f"{said}: {self.metric} {self.evaluation.metrics[self.metric]:.4f} against {best:.4f} of the "
            f"best, {self.best_baseline}; difference {by.difference:+.4f} (95 % interval {by.low:+.4f} "
            f"to {by.high:+.4f}, p = {by.p_value:.4f})"
        )


def _pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    first = evaluations[0]
    per_query = {
        name: np.concatenate([one.per_query[name] for one in evaluations]) for name in first.per_query
    }
    offsets = offsets_of([one.users.max() + 1 for one in evaluations])
    exact = [one.exact for one in evaluations if one.exact is not None]
    return replace(
        first,
        metrics=_means([one.metrics for one in evaluations])
        | {name: float(values.mean()) for name, values in per_query.items()},
        per_query=per_query,
        rankings=Rankings(
            first.rankings.vocabulary,
            *(np.concatenate([getattr(one.rankings, name) for one in evaluations]) for name in ANSWERS),
        ),
        users=np.concatenate([one.users + start for one, start in zip(evaluations, offsets, strict=False)]),
        queries={part: " ".join(one.queries[part] for one in evaluations) for part in first.queries},
        exact=_means(exact) if exact else None,
        leaks=tuple(dict.fromkeys(leak for one in evaluations for leak in one.leaks)),
    )


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}
