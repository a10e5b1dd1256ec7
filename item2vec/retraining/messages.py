"""Messages between the parent and the worker process of a run: JSON objects, one per line.

``supervisor.Worker`` sends the settings of the run, then one ``Request`` per job. ``worker_main`` replies to
each request with ``Done`` or ``Failed``. The results of the jobs ``snapshot``, ``train_and_evaluate`` and
``train`` are copied into the report of the run.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "CheckpointName",
    "DataSummary",
    "Done",
    "EvaluationResult",
    "Event",
    "Failed",
    "JobName",
    "Request",
    "SplitName",
    "TokenCounts",
    "TrainingResult",
]

JobName = Literal["snapshot", "train_and_evaluate", "train", "write", "draw_page"]
"""Names of the methods of ``jobs.Jobs``, in the order in which a run calls them."""

CheckpointName = Literal["evaluation", "model"]
"""Subfolders of the folder ``checkpoint``: for the model that is evaluated, and for that to be published."""

SplitName = Literal["temporal", "leave-last-out", "random"]
"""Protocols by which a run holds out data, as in the command ``evaluate``."""


class Request(TypedDict):
    """A call of a method of ``jobs.Jobs``."""

    job: JobName
    arguments: dict[str, Any]


class Done(TypedDict):
    """Reply with the return value of the method."""

    result: Any


class Failed(TypedDict):
    """Reply with the error that the method raised.

    An ``OSError`` is reported as ``WriteError``, and any other error from outside ``item2vec.errors`` as
    ``RunFailedError``.
    """

    error: str
    """Name of a class in ``item2vec.errors``."""
    message: str
    """Message of the error."""
    exit_code: int
    """Exit code of the command, if the error ends the run."""


class Event(TypedDict):
    """One interaction, as an example in a report."""

    user: str
    item: str
    timestamp: str
    """Time of the interaction, ISO 8601, UTC."""


class DataSummary(TypedDict):
    """Result of ``Jobs.snapshot``.

    It holds counts and the time span of the interactions that the adapter settings select or, if the settings
    name a prepared corpus, of the tokens of the corpus.
    """

    interactions: int
    """Number of interactions, or of tokens of the corpus."""
    users: int
    """Number of distinct users, or of sentences of the corpus."""
    items: int
    """Number of distinct items."""
    first: str | None
    """Earliest timestamp, ISO 8601, UTC; ``None`` without timestamps."""
    last: str | None
    """Latest timestamp, ISO 8601, UTC; ``None`` without timestamps."""
    split: SplitName
    """Protocol by which the run holds out data."""
    future: int
    """Number of interactions excluded because of a date in the future."""
    future_example: Event | None
    """The earliest excluded interaction; ``None`` if none was excluded."""
    corpus: NotRequired[dict[str, str]]
    """Path (``path``) and SHA-256 (``fingerprint``) of the prepared corpus; only if the settings name one."""


class EvaluationResult(TypedDict):
    """Result of ``train_and_evaluate``.

    If no query remains, or the split or the training raises an ``InputError`` or a ``NothingToTrainError``,
    only ``queries`` (0) and ``why`` are present.
    """

    queries: int
    """Number of evaluated users (or sentences), each with a history and at least one target."""
    why: NotRequired[str]
    """Reason why nothing was evaluated."""
    split: NotRequired[str]
    """Description of the split."""
    metrics: NotRequired[dict[str, float]]
    """Metrics of the model by name, such as ``ndcg@10``."""
    intervals: NotRequired[dict[str, tuple[float, float]]]
    """95 % confidence intervals of the metrics that have values per query, by name. JSON represents an
    interval as a list of two numbers."""
    baselines: NotRequired[dict[str, dict[str, float]]]
    """Metrics of each baseline, by the name of the baseline."""
    verdict: NotRequired[str]
    """Comparison of the model with the best baseline, as a sentence."""
    leaks: NotRequired[list[str]]
    """Known leaks of test data into the training data, because of which the metrics are too high."""
    seconds: NotRequired[dict[str, float]]
    """Duration of the split and training (``train``) and of the evaluation (``evaluate``), in seconds."""


class TokenCounts(TypedDict):
    """Number of tokens that training reads, summed over all epochs."""

    expected: float
    """Expected number, computed from the training sentences."""
    trained: float
    """Number that the trainer reported."""


class TrainingResult(TypedDict):
    """Result of ``train``: properties of the model to be published."""

    tokens: TokenCounts
    read_share: float
    """Expected number of tokens that an epoch reads, relative to training with equal token weights. Tokens of
    a weight below the median are skipped at random."""
    items: int
    """Number of items in the model."""
    health: dict[str, Any]
    """Fields of ``health.Health``."""
    drift: dict[str, Any] | None
    """Fields of ``drift.Drift``. ``None`` if there is no served version, or it could not be compared."""
    live_fault: str | None
    """Reason why the served version could not be compared, or ``None``."""
