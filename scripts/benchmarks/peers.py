"""Ours and a peer in one run: interleaved, the median and the spread of their ratio."""

import statistics
import time


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ours, peer, repeats):
    """Return the seconds of each, run in turns, after one run of ours that compiles and warms up."""
    ours()
    times = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    return [a for a, _ in times], [b for _, b in times]


def ratio(ours, peer):
    """Return how many times as long the peer takes: median, least, most."""
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
