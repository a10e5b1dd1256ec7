"""Memory and speed of random walks that are written shard by shard, against walks in memory.

    scripts/benchmarks/walk_shards.py --out DIR [--nodes 1e6] [--edges 1e7] [--walks 10] [--length 100]
                                      [--shards 64] [--walks-in-memory 1]

The graph is that of walks.py. "peak" is VmHWM of the process, and the peak of the memory that the kernel
cannot evict; "before" is the memory with the graph, before the walks. In memory, there are
``--walks-in-memory`` walks per node in place of ``--walks``.
"""

import argparse
import re
import time
from pathlib import Path

from large_corpus import Peak
from walks import power_law

from item2vec import Graph, Sentences, adapters


def measured(name, n_steps, run):
    """Run a function, and print its speed and memory."""
    Path("/proc/self/clear_refs").write_text("5")  # reset VmHWM
    before = resident("VmRSS")
    with Peak() as peak:
        started = time.perf_counter()
        run()
        took = time.perf_counter() - started
    print(
        f"{name}: {n_steps:,} steps in {took:,.1f} s, {n_steps / took / 1e6:.1f} M steps/s; before "
        f"{before:.2f} GB, peak {resident('VmHWM'):.2f} GB, without mapped pages {peak.bytes / 1e9:.2f} GB",
        flush=True,
    )


def resident(name):
    """Return a figure of the memory of this process in GB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", status).group(1)) / 1e6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nodes", type=float, default=1e6)
    parser.add_argument("--edges", type=float, default=1e7)
    parser.add_argument("--walks", type=int, default=10)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--walks-in-memory", type=int, default=1)
    arguments = parser.parse_args()
    adapters.walks(Graph.of([("a", "b")]), walk_length=3)  # compiles the loops
    graph = power_law(int(arguments.nodes), int(arguments.edges), seed=7)
    print(graph, flush=True)
    settings = {"walk_length": arguments.length}

    def in_memory():
        adapters.walks(graph, walks_per_node=arguments.walks_in_memory, **settings)

    def in_shards():
        adapters.save_walks(
            graph, arguments.out, shards=arguments.shards, walks_per_node=arguments.walks, **settings
        )

    steps = len(graph) * arguments.length
    measured(f"{arguments.shards} shards", steps * arguments.walks, in_shards)
    measured("in memory", steps * arguments.walks_in_memory, in_memory)
    print(Sentences.open(arguments.out))


if __name__ == "__main__":
    main()
