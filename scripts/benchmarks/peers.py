"""Measure two implementations alternately in one run, and compute the median and range of their ratio."""

import statistics
import time


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ours, peer, repeats):
    """Run item2vec once to compile it; then run item2vec and its peer in turn, and return their seconds."""
    ours()
    times = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    return [a for a, _ in times], [b for _, b in times]


def ratio(ours, peer):
    """Return the ratio of the peer's seconds to those of item2vec: median, minimum, maximum."""
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
