"""Requests and results that the two processes of a run exchange: JSON objects, one per line.

``supervisor.Worker`` sends a ``Request``, ``worker_main`` replies with ``Done`` or ``Failed``. Results are
stored in the run's report unchanged.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "DataSummary",
    "Done",
    "EvaluationResult",
    "Event",
    "Failed",
    "JobName",
    "Request",
    "TokenCounts",
    "TrainingResult",
]

JobName = Literal["snapshot", "evaluate", "train", "write", "draw_page"]
"""The methods of ``jobs.Jobs``, in the order of a run."""


class Request(TypedDict):
    """A call of a method of ``jobs.Jobs``."""

    job: JobName
    arguments: dict[str, Any]


class Done(TypedDict):
    """What the method returned."""

    result: Any


class Failed(TypedDict):
    """What the method raised."""

    error: str
    """Name of a class in ``item2vec.errors``."""
    message: str
    exit_code: int


class Event(TypedDict):
    """One interaction, as an example in a report."""

    user: str
    item: str
    timestamp: str
    """ISO 8601, UTC."""


class DataSummary(TypedDict):
    """Result of ``snapshot``: the interactions selected by ``[adapter]``."""

    interactions: int
    """Number of interactions."""
    users: int
    """Number of distinct users."""
    items: int
    """Number of distinct items."""
    first: str
    """Earliest timestamp, ISO 8601, UTC."""
    last: str
    """Latest timestamp."""
    future: int
    """Number of interactions ignored because of a date in the future."""
    future_example: Event | None
    """The earliest of the ignored interactions."""


class EvaluationResult(TypedDict):
    """Result of ``evaluate``. If nothing could be evaluated, only ``queries`` (0) and ``why`` are present."""

    queries: int
    """Number of users with a history and at least one target in the held-out part."""
    why: NotRequired[str]
    """Why there are no queries."""
    split: NotRequired[str]
    metrics: NotRequired[dict[str, float]]
    """Means over the queries by name, such as ``ndcg@10``."""
    intervals: NotRequired[dict[str, tuple[float, float]]]
    """95 % confidence intervals by metric; lists once they have been read from JSON."""
    baselines: NotRequired[dict[str, dict[str, float]]]
    """Metrics of each baseline, by its name."""
    verdict: NotRequired[str]
    """Comparison with the best baseline, in words."""
    leaks: NotRequired[list[str]]
    seconds: NotRequired[dict[str, float]]
    """Seconds spent in ``train`` and in ``evaluate``."""


class TokenCounts(TypedDict):
    """Tokens over all epochs: computed from the snapshot, and reported by the trainer."""

    expected: float
    trained: float


class TrainingResult(TypedDict):
    """Result of ``train``: the model to be served."""

    tokens: TokenCounts
    read_share: float
    """Expected tokens per epoch, as a share of what an epoch would read if all weights were equal."""
    items: int
    health: dict[str, Any]
    """Fields of ``health.Health``."""
    drift: dict[str, Any] | None
    """Fields of ``drift.Drift``; ``None`` if there is no live version, or it could not be compared."""
    live_fault: str | None
    """Why the live version could not be compared."""
