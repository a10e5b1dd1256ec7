"""Gates: conditions that a new model must meet before it is published.

A gate on a value is passed if the value was measured, is finite, and lies within the bounds. A gate that
compares a count or a score with earlier versions is also passed if no comparable result is known;
``Gate.what`` states this. Some gates, such as ``hold``, have no value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from item2vec.config import GatesConfig
from item2vec.errors import short_repr
from item2vec.retraining.earlier_versions import (
    COUNTED,
    EarlierResults,
    EvaluationProtocol,
    PromotedScore,
)
from item2vec.retraining.health import Health
from item2vec.retraining.messages import DataSummary, EvaluationResult, TrainingResult
from item2vec.versions import Hold

__all__ = [
    "Gate",
    "least_score",
    "of_data",
    "of_evaluation",
    "of_health",
    "of_hold",
    "of_model",
    "refusal",
    "within",
]

READ = (0.99, 1.01)
"""Lower and upper bound of the number of trained tokens, as a share of the expected number."""
SHARE_OF_SMALL = 0.2
"""Lower bound of the effective rank, as a share of its maximum, if this bound is below
``min_effective_rank``."""


@dataclass(frozen=True)
class Gate:
    """One condition, the measured value, and whether the value meets the condition.

    Examples
    --------
    >>> within("queries", 12, least=50, what="users with a history")
    Gate(name='queries', passed=False, value=12.0, least=50, most=None, what='users with a history')
    >>> within("norm", float("nan"), most=9, what="…").passed
    False
    """

    name: str
    passed: bool
    value: float | None
    """The measured value; ``None`` if it was not measured, or if the gate has no value."""
    least: float | None
    """Inclusive lower bound of the value; ``None`` without a lower bound."""
    most: float | None
    """Inclusive upper bound of the value; ``None`` without an upper bound."""
    what: str
    """Meaning of the value and, in a comparison, the reference value. Without a value: why the gate is passed
    or not passed."""

    @classmethod
    def accepted(cls, name: str, what: str) -> Gate:
        """Return a passed gate that has no value."""
        return cls(name, passed=True, value=None, least=None, most=None, what=what)

    @classmethod
    def refused(cls, name: str, what: str) -> Gate:
        """Return a gate that is not passed and has no value.

        >>> str(Gate.refused("hold", "g0000000001-0a1b2c3d was rolled back"))
        'hold: g0000000001-0a1b2c3d was rolled back'
        """
        return cls(name, passed=False, value=None, least=None, most=None, what=what)

    @property
    def is_uncompared(self) -> bool:
        """Whether the gate is passed because no comparable result of an earlier version is known."""
        compares = self.name.startswith("against_") or self.name.endswith("_growth")
        return compares and self.passed and self.value is None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: {self.what}"
        bounds = [
            f"{word} {_shown(bound)}"
            for word, bound in (("at least", self.least), ("at most", self.most))
            if bound is not None
        ]
        return f"{self.name} is {_shown(self.value)}, expected {' and '.join(bounds)} ({self.what})"


def within(
    name: str, value: float | None, *, least: float | None = None, most: float | None = None, what: str
) -> Gate:
    """Return a gate that is passed if the value is finite and within the inclusive bounds.

    The value ``None`` (not measured) does not pass.
    """
    if value is None:
        return Gate(name, False, None, least, most, what)
    value = float(value)
    enough = least is None or value >= least
    passed = math.isfinite(value) and enough and (most is None or value <= most)
    return Gate(name, passed, value, least, most, what)


def of_hold(models: Path, hold: Hold | None) -> Gate:
    """Return the gate ``hold``, which is passed if ``hold`` is ``None``.

    A rollback sets a hold, and the command ``models release`` removes the hold. The message of the gate
    names the folder ``models``.
    """
    if hold is None:
        return Gate.accepted("hold", "no rollback holds promotions back")
    why = (
        f"{hold.version} was rolled back ({hold.reason}); to allow promotions again, run: "
        f"item2vec models release --models {models}"
    )
    return Gate.refused("hold", why)


def of_data(data: DataSummary, earlier: EarlierResults, config: GatesConfig) -> Iterator[Gate]:
    """Yield the gates on the amount of data, relative to the counts of the served version."""
    for name in COUNTED:
        served = earlier.get("data", {}).get(name)
        if served is None:
            what = f"{data[name]:,} {name}; no count of the served version is known"
            yield Gate.accepted(f"{name}_growth", what)
            continue
        yield within(
            f"{name}_growth",
            data[name] / served,
            least=config.min_growth,
            most=config.max_growth,
            what=f"{data[name]:,} {name}; the count of the served version is {served:,}",
        )


def of_evaluation(
    evaluation: EvaluationResult, earlier: EarlierResults, protocol: EvaluationProtocol, config: GatesConfig
) -> Iterator[Gate]:
    """Yield the gates on the number of queries, and on the metrics on the held-out interactions.

    Without queries there are no metrics, and only the gate ``queries`` is yielded.
    """
    yield within(
        "queries",
        evaluation["queries"],
        least=config.min_queries,
        what=evaluation.get("why") or "users with a history and a target in the held-out part",
    )
    if not evaluation["queries"]:
        return
    metrics, metric = evaluation["metrics"], protocol["metric"]
    not_finite = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not_finite:
        yield Gate.refused("finite", f"metrics that are not finite: {', '.join(not_finite)}")
    else:
        yield Gate.accepted("finite", "every metric is finite")
    popularity = evaluation["baselines"]["popularity"][metric]
    yield within(
        "beats_popularity",
        metrics[metric],
        # nextafter excludes a score that equals the bound, also if popularity scores 0.
        least=math.nextafter(popularity * (1 + config.margin), math.inf),
        what=f"{metric}; the popularity baseline scores {popularity:.4f}",
    )
    yield _against_live(metrics[metric], earlier, protocol, config)
    yield _against_median(metrics[metric], earlier.get("promoted", []), metric, config)


def _against_live(
    score: float, earlier: EarlierResults, protocol: EvaluationProtocol, config: GatesConfig
) -> Gate:
    """Compare a score with the recorded score of the served version.

    The served version is not evaluated again, because it may have been trained on interactions that are now
    held out.
    """
    recorded = earlier.get("evaluation")
    if recorded is None:
        return Gate.accepted("against_live", "no evaluation of the served version is known")
    if recorded["protocol"] != protocol:
        what = "the served version was evaluated by another protocol"
        if (before := recorded["protocol"].get("split")) != protocol["split"]:
            what += f": its split is {short_repr(before)}, and that of this run is {protocol['split']!r}"
        return Gate.accepted("against_live", what)
    served = recorded["metrics"][protocol["metric"]]
    what = f"{protocol['metric']}; the served version scored {served:.4f} in its own run"
    return within("against_live", score, least=served * (1 - config.tolerance), what=what)


def _against_median(
    score: float, promoted: Sequence[PromotedScore], metric: str, config: GatesConfig
) -> Gate:
    """Compare a score with the median score of the last promoted versions.

    ``against_live`` alone would pass a long series of small losses.
    """
    if not promoted:
        return Gate.accepted("against_median", "no promotion evaluated by this protocol is known")
    scores = [promotion["score"] for promotion in promoted]
    intervals = [interval for promotion in promoted if (interval := promotion["interval"]) is not None]
    what = f"{metric}; the median of the last {len(scores)} promotions is {median(scores):.4f}"
    least = least_score(scores, intervals, config.tolerance)
    return within("against_median", score, least=least, what=what)


def least_score(scores: Sequence[float], intervals: Sequence[Sequence[float]], tolerance: float) -> float:
    """Return the lowest score that passes: the median score minus a permitted loss.

    The permitted loss is the larger of the tolerance, relative to the median, and half the median width of
    the intervals. With few users, a score varies by more than the tolerance even if the model is unchanged.

    >>> round(least_score([0.2, 0.1, 0.21], [], tolerance=0.25), 3)
    0.15
    >>> round(least_score([0.2], [(0.1, 0.3)], tolerance=0.25), 3)
    0.1
    """
    middle = median(scores)
    noise = median((high - low) / 2 for low, high in intervals) if intervals else 0.0
    return middle - max(tolerance * middle, noise)


def of_model(trained: TrainingResult, config: GatesConfig) -> Iterator[Gate]:
    """Yield the gates on the model to be published: ``tokens``, ``read_share``, and all of ``of_health``."""
    tokens = trained["tokens"]
    share = tokens["trained"] / tokens["expected"] if tokens["expected"] else None
    what = f"trained on {tokens['trained']:,.0f} of {tokens['expected']:,.0f} tokens"
    yield within("tokens", share, least=READ[0], most=READ[1], what=what)
    yield within(
        "read_share",
        trained["read_share"],
        least=config.min_read_share,
        what="share of the tokens that an epoch reads; the other tokens are skipped because of their weights",
    )
    yield from of_health(Health(**trained["health"]), config)


def of_health(health: Health, config: GatesConfig) -> Iterator[Gate]:
    """Yield the gates that distinguish sound vectors from untrained, diverged and collapsed vectors.

    The gate ``index_recall`` concerns the search index instead. The gates ``norm_growth`` and ``output_norm``
    are omitted if their value in ``health`` is ``None``.
    """
    bounds: dict[str, tuple[float | None, float | None, str]] = {
        "norm_growth": (config.min_norm_growth, None, "median norm of a vector / norm at initialisation"),
        "norm_max": (None, config.max_norm, "largest norm of a vector"),
        "output_norm": (config.min_output_norm, config.max_norm, "median norm of an output vector"),
        "effective_rank": (
            _least_rank(health, config),
            None,
            "effective number of directions over which the vectors spread",
        ),
        "mean_cosine": (None, config.max_mean_cosine, "mean cosine of two different items"),
        "duplicate_share": (None, config.max_duplicates, "share of vectors equal to an earlier vector"),
        "self_retrieval": (
            config.min_self_retrieval,
            None,
            "share of items whose nearest neighbour is the item itself, or an item with an equal vector",
        ),
        "index_recall": (config.min_recall, None, "recall@10 of the index relative to exact search"),
    }
    for name, (least, most, what) in bounds.items():
        value: float | None = getattr(health, name)
        if name in {"norm_growth", "output_norm"} and value is None:
            continue  # not defined for this model, see ``Health``
        yield within(name, value, least=least, most=most, what=what)


def _least_rank(health: Health, config: GatesConfig) -> float:
    """Return the lower bound of the effective rank.

    The bound is the lower of ``min_effective_rank`` and ``SHARE_OF_SMALL`` times the highest possible rank.
    """
    possible = min(health.vector_size, health.n_items - 1)
    return min(config.min_effective_rank, SHARE_OF_SMALL * possible)


def refusal(gates: Sequence[Gate]) -> str:
    """Return a description of the gates that are not passed; empty if all gates are passed."""
    return "; ".join(str(gate) for gate in gates if not gate.passed)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"
