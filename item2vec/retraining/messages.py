"""Messages between the parent and the worker process of a run: JSON objects, one per line.

``supervisor.Worker`` sends a ``Request``. ``worker_main`` replies with ``Done`` or ``Failed``. Results are
copied into the report of the run.
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

JobName = Literal["snapshot", "train_and_evaluate", "train", "write", "draw_page"]
"""Names of the methods of ``jobs.Jobs``, in the order in which a run calls them."""


class Request(TypedDict):
    """A call of a method of ``jobs.Jobs``."""

    job: JobName
    arguments: dict[str, Any]


class Done(TypedDict):
    """Reply with the return value of the method."""

    result: Any


class Failed(TypedDict):
    """Reply with the error that the method raised."""

    error: str
    """Name of the error's class in ``item2vec.errors``."""
    message: str
    """Message of the error."""
    exit_code: int
    """Exit code of the command if the error ends the run."""


class Event(TypedDict):
    """One interaction, as an example in a report."""

    user: str
    item: str
    timestamp: str
    """Time of the interaction, ISO 8601, UTC."""


class DataSummary(TypedDict):
    """Result of ``Jobs.snapshot``.

    It holds counts and the time span of the interactions that the adapter settings select.
    """

    interactions: int
    """Number of interactions."""
    users: int
    """Number of distinct users."""
    items: int
    """Number of distinct items."""
    first: str | None
    """Earliest timestamp, ISO 8601, UTC; ``None`` without timestamps."""
    last: str | None
    """Latest timestamp, ISO 8601, UTC; ``None`` without timestamps."""
    future: int
    """Number of interactions excluded because of a date in the future."""
    future_example: Event | None
    """The earliest excluded interaction, or ``None``."""
    corpus: NotRequired[dict[str, str]]
    """The path and the fingerprint of the prepared corpus that takes the place of the interactions."""


class EvaluationResult(TypedDict):
    """Result of ``train_and_evaluate``. Without queries, only ``queries`` (0) and ``why`` are present."""

    queries: int
    """Number of users with a history and at least one target in the held-out part."""
    why: NotRequired[str]
    """Reason why there are no queries."""
    split: NotRequired[str]
    """Description of the split."""
    metrics: NotRequired[dict[str, float]]
    """Metrics of the model by name, such as ``ndcg@10``."""
    intervals: NotRequired[dict[str, tuple[float, float]]]
    """95 % confidence intervals of the metrics, by name. JSON represents each as a list of two numbers."""
    baselines: NotRequired[dict[str, dict[str, float]]]
    """Metrics of each baseline, by the name of the baseline."""
    verdict: NotRequired[str]
    """Comparison of the model with the best baseline, as a sentence."""
    leaks: NotRequired[list[str]]
    """Known reasons why the metrics are too high."""
    seconds: NotRequired[dict[str, float]]
    """Duration of the training (``train``) and of the evaluation (``evaluate``) in seconds."""


class TokenCounts(TypedDict):
    """Number of tokens over all epochs."""

    expected: float
    """Expected number, computed from the snapshot."""
    trained: float
    """Number reported by the trainer."""


class TrainingResult(TypedDict):
    """Result of ``train``: properties of the model to be published."""

    tokens: TokenCounts
    read_share: float
    """Expected number of tokens per epoch, as a share of that number if all weights were equal."""
    items: int
    """Number of items in the model."""
    health: dict[str, Any]
    """Fields of ``health.Health``."""
    drift: dict[str, Any] | None
    """Fields of ``drift.Drift``. ``None`` if there is no served version, or it could not be compared."""
    live_fault: str | None
    """Reason why the served version could not be compared, or ``None``."""
