"""The gates: what a new model must be shown to be before it is served.

Each is written positively: it is passed if a number is there, finite, and within its bounds. What cannot be
measured is not passed; but where there is nothing to compare with, a gate says so, and is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from item2vec.config import GatesConfig
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

Facts = Mapping[str, Any]

COUNTED = ("interactions", "users", "items")
READ = (0.99, 1.01)
SHARE_OF_SMALL = 0.2
"""Of the directions that are possible at all, what a model must use that is too small for the floor."""


@dataclass(frozen=True)
class Gate:
    """One condition, what was found, and whether that meets it.

    Examples
    --------
    >>> within("questions", 12, least=50, what="users that were asked")
    Gate(name='questions', passed=False, value=12.0, least=50, most=None, what='users that were asked')
    >>> within("norm", float("nan"), most=9, what="…").passed
    False
    """

    name: str
    passed: bool
    value: float | None
    least: float | None
    most: float | None
    what: str

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
    """Make a gate that only a finite number within its bounds passes."""
    if value is None:
        return Gate(name, False, None, least, most, what)
    found = float(value)
    enough = least is None or found >= least
    passed = math.isfinite(found) and enough and (most is None or found <= most)
    return Gate(name, passed, found, least, most, what)


def of_hold(hold: Hold | None) -> Gate:
    """Nothing is promoted after a rollback, until somebody says so."""
    if hold is None:
        return Gate("hold", True, None, None, None, "no rollback holds promotions back")
    why = f"{hold.version} was rolled back ({hold.reason}); when it may go on: item2vec models release"
    return Gate("hold", False, None, None, None, why)


def of_data(data: Facts, before: Facts, gates: GatesConfig) -> Iterator[Gate]:
    """Yield gates on how much there is to train on, against what the version before was made of."""
    for name in COUNTED:
        known = before.get("data", {}).get(name)
        if known is None:
            told = f"{data[name]:,}, and nothing is known of a version before"
            yield _nothing_before(f"{name}_growth", told)
            continue
        yield within(
            f"{name}_growth",
            data[name] / known,
            least=gates.min_growth,
            most=gates.max_growth,
            what=f"{data[name]:,}, and {known:,} for the version before",
        )


def of_evaluation(judged: Facts, before: Facts, protocol: Facts, gates: GatesConfig) -> Iterator[Gate]:
    """Yield gates on how the model did on what was held back."""
    yield within(
        "questions",
        judged["questions"],
        least=gates.min_queries,
        what=judged.get("why") or "users with a history that could be asked",
    )
    if not judged["questions"]:
        return
    metrics, metric = judged["metrics"], protocol["metric"]
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    yield Gate("finite", not wrong, None, None, None, f"metrics that are no numbers: {wrong or 'none'}")
    popularity = judged["baselines"]["popularity"][metric]
    yield within(
        "beats_popularity",
        metrics[metric],
        # Where popularity has no hit at all, it still takes one to be better.
        least=math.nextafter(popularity * (1 + gates.margin), math.inf),
        what=f"{metric}, of which popularity has {popularity:.4f}",
    )
    yield _against_live(metrics[metric], before, protocol, gates)
    yield _against_median(metrics[metric], before.get("promoted", ()), metric, gates)


def _against_live(value: float, before: Facts, protocol: Facts, gates: GatesConfig) -> Gate:
    """Compare with what the version before recorded, on days that it had not seen either."""
    recorded = before.get("evaluation")
    if recorded is None:
        return _nothing_before("against_live", "no evaluation of a version before is known")
    if recorded["protocol"] != protocol:
        return _nothing_before("against_live", "the version before was evaluated by another protocol")
    score = recorded["metrics"][protocol["metric"]]
    told = f"{protocol['metric']}, of which the version before recorded {score:.4f}"
    return within("against_live", value, least=score * (1 - gates.tolerance), what=told)


def _against_median(value: float, promoted: Sequence[Facts], metric: str, gates: GatesConfig) -> Gate:
    """Compare with several nights, since a fall within the tolerance of one night may follow another."""
    if not promoted:
        return _nothing_before("against_median", "no promotion evaluated by this protocol is known")
    scores = [one["score"] for one in promoted]
    intervals = [one["interval"] for one in promoted if one["interval"] is not None]
    what = f"{metric}, of which the last {len(scores)} promotions recorded a median of {median(scores):.4f}"
    least = least_score(scores, intervals, gates.tolerance)
    return within("against_median", value, least=least, what=what)


def least_score(scores: Sequence[float], intervals: Sequence[tuple[float, float]], tolerance: float) -> float:
    """Return the median score less the tolerance, or less half a median interval where that is more.

    Of few users a score is uncertain by more than the tolerance; noise alone is no reason to refuse.

    >>> round(least_score([0.2, 0.1, 0.21], [], tolerance=0.25), 3)
    0.15
    >>> round(least_score([0.2], [(0.1, 0.3)], tolerance=0.25), 3)
    0.1
    """
    middle = median(scores)
    noise = median((high - low) / 2 for low, high in intervals) if intervals else 0.0
    return middle - max(tolerance * middle, noise)


def _nothing_before(name: str, what: str) -> Gate:
    return Gate(name, True, None, None, None, what)


def of_model(trained: Facts, gates: GatesConfig) -> Iterator[Gate]:
    """Yield gates on the model that is to be served: whether all was read, and whether it is sound."""
    tokens = trained["tokens"]
    share = tokens["trained"] / tokens["expected"] if tokens["expected"] else None
    told = f"{tokens['trained']:,.0f} of {tokens['expected']:,.0f} tokens"
    yield within("tokens", share, least=READ[0], most=READ[1], what=f"{told} were trained")
    yield within(
        "read_share",
        trained["read_share"],
        least=gates.min_read_share,
        what="share of the tokens that an epoch reads; weights make it skip the others",
    )
    yield from of_health(trained["health"], gates)


def of_health(health: Facts, gates: GatesConfig) -> Iterator[Gate]:
    """Yield gates on what tells a sound model from one that is untrained, diverged or collapsed."""
    bounds: dict[str, tuple[float | None, float | None, str]] = {
        "norm_growth": (gates.min_norm_growth, None, "median length of a vector, over that of the start"),
        "norm_max": (None, gates.max_norm, "length of the longest vector"),
        "output_norm": (gates.min_output_norm, gates.max_norm, "median length of an output vector"),
        "effective_rank": (_least_rank(health, gates), None, "directions that the vectors spread over"),
        "mean_cosine": (None, gates.max_mean_cosine, "mean cosine of two different items"),
        "duplicate_share": (None, gates.max_duplicates, "vectors that equal another one"),
        "self_retrieval": (gates.min_self_retrieval, None, "items that are the nearest to themselves"),
        "index_recall": (gates.min_recall, None, "recall@10 of the index against exact search"),
    }
    for name, (least, most, what) in bounds.items():
        if name in {"norm_growth", "output_norm"} and health[name] is None:
            continue  # starts at length 1, or trained without output vectors
        yield within(name, health[name], least=least, most=most, what=what)


def _least_rank(health: Facts, gates: GatesConfig) -> float:
    """Return the floor of the effective rank: absolute, since it does not grow with the dimensions."""
    possible: int = min(health["vector_size"], health["n_items"] - 1)
    return min(gates.min_effective_rank, SHARE_OF_SMALL * possible)


def refusal(gates: Sequence[Gate]) -> str:
    """Say which gates were not passed, or nothing if all were."""
    return "; ".join(str(gate) for gate in gates if not gate.passed)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"
