"""Metrics of the HTTP service, in the text format of Prometheus."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["CONTENT_TYPE_LATEST", "Metrics", "forget_worker"]

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters, gauges and histograms of one process of the service.

    With several workers, the environment variable ``PROMETHEUS_MULTIPROC_DIR`` names the folder in which all
    workers store their metrics. ``text`` then returns the combined metrics; the generation and the load time
    are those that a worker recorded last.

    >>> metrics = Metrics()
    >>> metrics.observe("/livez", "GET", 200, 0.001)
    >>> b'item2vec_requests_total{method="GET",route="/livez",status="200"} 1.0' in metrics.text()
    True
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "item2vec_requests_total", "Answered requests.", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "item2vec_request_seconds",
            "Seconds until an answer.",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "item2vec_requests_in_flight",
            "Requests in progress.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._refused = Counter(
            "item2vec_requests_refused_total",
            "Requests refused because of the load or the rate limit.",
            registry=registry,
        )
        self._degraded = Counter(
            "item2vec_degraded_answers_total",
            "Recommendations computed while a part of the service was unavailable.",
            ["part"],
            registry=registry,
        )
        self._generation = Gauge(
            "item2vec_model_generation",
            "Generation of the served version.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._loaded = Gauge(
            "item2vec_model_loaded_timestamp_seconds",
            "Time at which the served version was loaded.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request, and record its duration in seconds. ``route`` is the template of the path."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def begin(self) -> None:
        """Count a request in progress."""
        self._in_flight.inc()

    def end(self) -> None:
        """Count the end of a request that was in progress."""
        self._in_flight.dec()

    def refuse(self) -> None:
        """Count a request that was refused because of the load or the rate limit."""
        self._refused.inc()

    def degrade(self, part: str) -> None:
        """Count an answer that was computed while ``part``, such as the store, was unavailable."""
        self._degraded.labels(part).inc()

    def serve(self, generation: int | None, loaded_at: float) -> None:
        """Record the generation and the load time (seconds since 1970) of the served version."""
        self._generation.set(generation or 0)
        self._loaded.set(loaded_at)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_worker(process: int) -> None:
    """Remove the gauges of a worker that has ended. Its counters and histograms remain in the sums."""
    mark_process_dead(process)  # type: ignore[no-untyped-call]
