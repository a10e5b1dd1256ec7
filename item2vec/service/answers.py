"""Schemas of the answers of the HTTP service."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

__all__ = [
    "Alive",
    "Answer",
    "AnsweredItem",
    "BatchAnswer",
    "EventsAnswer",
    "ItemAnswer",
    "ProblemDetails",
    "Ready",
    "RunAnswer",
    "RunsAnswer",
    "SearchAnswer",
    "Share",
    "VersionAnswer",
    "VersionsAnswer",
]


class Share(BaseModel):
    """Contribution of a history item, or of a disliked item, to a score.

    ``item`` is null for the joint contribution of the popularity prior and of ``direction``. With the rule
    ``interests``, ``interest`` is the central item of the interest that gives the ranked item its score.
    """

    item: str | None
    share: float
    interest: str | None = None


class AnsweredItem(BaseModel):
    """A ranked item.

    ``why`` contains the shares of the score of a recommendation, if the request has ``explain``.
    """

    item: str
    score: float
    title: str | None = None
    source: str | None = None
    why: list[Share] | None = None


class Answer(BaseModel):
    """Recommendations, best first. ``degraded`` lists the parts of the service that were unavailable."""

    version: str | None
    items: list[AnsweredItem]
    degraded: list[str] | None = None


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class BatchAnswer(BaseModel):
    """The answer to each request of a batch, in the same order; for an invalid request, the error."""

    answers: list[Answer | ProblemDetails]


class EventsAnswer(BaseModel):
    """Numbers of new events, and of known events, which repeat a stored event or an event of the request."""

    new: int
    known: int


class ItemAnswer(BaseModel):
    """An item of the model or the store. ``count`` is the number of its tokens in training."""

    item: str
    title: str | None
    attributes: dict[str, Any]
    count: int
    active: bool


class SearchAnswer(BaseModel):
    """Items that match a search, best first."""

    items: list[ItemAnswer]


class Alive(BaseModel):
    """The process runs."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The served version; ``degraded`` lists the unavailable parts of the service."""

    version: str | None
    generation: int | None
    loaded_at: str
    age_s: float
    degraded: list[str]


class VersionAnswer(BaseModel):
    """A version of the models folder. Facts of a manifest that cannot be read are null."""

    id: str
    states: list[str]
    created_at: str | None
    items: int | None
    size: int
    objective: str | None
    train: dict[str, Any]
    taste: dict[str, Any] | None
    index: dict[str, Any] | None


class VersionsAnswer(BaseModel):
    """Versions, newest first."""

    versions: list[VersionAnswer]


class RunAnswer(BaseModel):
    """A nightly run, with the fields of ``Run.as_json``."""

    id: int
    run: str | None
    started_at: str
    finished_at: str | None
    seconds: float | None
    status: str
    version: str | None
    reason: str | None
    metric: str | None
    value: float | None
    passed: list[str]
    refused: list[str]
    gates: dict[str, Any]
    metrics: dict[str, Any]


class RunsAnswer(BaseModel):
    """Nightly runs, newest first."""

    runs: list[RunAnswer]
