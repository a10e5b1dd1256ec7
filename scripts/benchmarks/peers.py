"""Timing of two implementations in one run: alternating, with the median and range of their ratio."""

import statistics
import time


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ours, peer, repeats):
    """Return the seconds of both, run alternately, after a run of ours that compiles and warms up."""
    ours()
    times = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    return [a for a, _ in times], [b for _, b in times]


def ratio(ours, peer):
    """Return the ratio of the peer's seconds to ours: median, minimum, maximum."""
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
