"""Limits of the HTTP service on rate, concurrency, sizes and times."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated

from pydantic import Field

from item2vec.config.settings import Settings

__all__ = ["MAX_HEAD", "Limits", "in_use"]

MAX_HEAD = 1 << 20  # bytes of the request line and the headers

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Limits(Settings):
    """Limits of one process of the HTTP service. With several workers, each worker has these limits.

    >>> Limits(max_k=50).max_history
    10000
    """

    max_k: Count = 1_000
    """Largest ``k`` of a request. The search of items returns at most 1,000 items, whatever this limit is."""
    max_history: Count = 10_000
    """Largest number of items in a history, and of ids in ``exclude``, ``allow``, ``deny`` or ``disliked``.
    A list in query parameters has at most 1,000 ids, whatever this limit is."""
    max_batch: Count = 1_000
    """Largest number of requests in a batch, and of events in a request. The schemas limit both to 1,000."""
    max_body: Count = 1 << 20
    """Largest size of a request body in bytes."""
    max_depth: Annotated[int, Field(ge=1, le=100)] = 32
    """Largest nesting depth of the JSON in a request body or a query parameter."""
    threads: Annotated[int, Field(ge=1, le=40)] = 16
    """Number of requests that are computed at the same time. Further requests wait for a thread."""
    max_wait: Seconds = 2.0
    """Seconds that a request may wait for a thread. Then it gets status 503 with Retry-After."""
    max_in_flight: Count = 1_024
    """Largest number of requests in progress or waiting. Further requests get status 503 at once."""
    rate: Seconds | None = None
    """Largest number of requests per second of each API key, or of each client address if there are no keys.
    Further requests get status 429. ``None``: no limit."""
    body_timeout: Seconds = 10.0
    """Seconds within which the body of a request must arrive. Otherwise, the request gets status 408."""
    timeout: Seconds = 30.0
    """Seconds from the start of the computation within which the answer must be ready. Otherwise, the request
    gets status 503."""


in_use: ContextVar[Limits] = ContextVar("limits", default=Limits())  # noqa: B039 - immutable
"""Limits of the service that reads a request; ``StrictRoute`` sets them before it validates the request."""
