"""Limits of the HTTP service on requests, bodies and concurrency."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from item2vec.config.settings import Settings

__all__ = ["MAX_HEAD", "Limits"]

MAX_HEAD = 1 << 20  # bytes of the line and the headers of a request

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Limits(Settings):
    """Limits of the HTTP service.

    >>> Limits(max_k=50).max_history
    10000
    """

    max_k: Count = 1_000
    """Largest number of items in an answer."""
    max_history: Count = 10_000
    """Largest number of ids in a history or in another list of a request."""
    max_batch: Count = 1_000
    """Largest number of requests in a batch, and of events in a request."""
    max_body: Count = 1 << 20
    """Largest size of a request body in bytes."""
    max_depth: Count = 32
    """Largest nesting depth of the JSON in a request."""
    threads: Annotated[int, Field(ge=1, le=40)] = 16
    """Number of requests that are computed at the same time. The others wait for a thread."""
    max_wait: Seconds = 2.0
    """Seconds that a request may wait for a thread, until it gets status 503 with Retry-After."""
    max_in_flight: Count = 1_024
    """Largest number of requests in progress or waiting. Further requests get status 503 at once."""
    rate: Seconds | None = None
    """Largest number of requests per second of each API key, or of each address if there are no keys; further
    requests get status 429. With several workers, each worker has this limit."""
    body_timeout: Seconds = 10.0
    """Seconds until the body of a request must have arrived."""
    timeout: Seconds = 30.0
    """Seconds until the answer to a request must be ready."""
