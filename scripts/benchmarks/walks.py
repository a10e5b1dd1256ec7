"""Steps of random walks per second, against PecanPy's SparseOTF in the same run (BENCHMARKS B4).

    scripts/benchmarks/walks.py [--nodes 100000] [--edges 2000000] [--repeats 3] [--json FILE]

The graph is synthetic, with power-law degrees. PecanPy compiles its loops on its first call, which is not
included. It walks once from each node, item2vec ten times; walks have 80 nodes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import peers

from item2vec import Graph, Vocabulary, adapters

# Names of NumPy 1 that nptyping, a dependency of PecanPy, needs on import.
NUMPY_1 = {
    "bool8": np.bool_, "object0": np.object_, "int0": np.intp, "uint0": np.uintp, "void0": np.void,
    "float_": np.float64, "longfloat": np.longdouble, "singlecomplex": np.complex64,
    "complex_": np.complex128, "cfloat": np.complex128, "clongfloat": np.clongdouble,
    "longcomplex": np.clongdouble, "string_": np.bytes_, "bytes0": np.bytes_, "unicode_": np.str_,
    "str0": np.str_,
}  # fmt: skip


def power_law(n_nodes, n_edges, seed):
    """Return a Chung–Lu graph: ends of edges are drawn in proportion to rank ** -0.6."""
    random = np.random.default_rng(seed)
    weight = (np.arange(n_nodes) + 10.0) ** -0.6
    ends = random.choice(n_nodes, size=(2, int(n_edges * 1.1)), p=weight / weight.sum()).astype(np.int32)
    source, target = random.permutation(n_nodes).astype(np.int32)[ends]
    keep = np.flatnonzero(source != target)[:n_edges]
    return Graph.from_codes(Vocabulary(tuple(map(str, range(n_nodes)))), source[keep], target[keep])


def peer_of(graph, p, q):
    """Return a PecanPy model of the same graph, or ``None`` if PecanPy is not installed."""
    for name, type_ in NUMPY_1.items():
        setattr(np, name, type_)
    try:
        from pecanpy import pecanpy
    except ImportError:
        return None
    theirs = pecanpy.SparseOTF(p, q, workers=2, verbose=False)
    with tempfile.NamedTemporaryFile("w", suffix=".edg") as file:
        source = np.repeat(np.arange(len(graph)), graph.degrees)
        once = source < graph.neighbours
        np.savetxt(file, np.column_stack((source[once], graph.neighbours[once])), fmt="%d", delimiter="\t")
        file.flush()
        theirs.read_edg(file.name, weighted=False, directed=False)
    return theirs


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    graph = power_law(arguments.nodes, arguments.edges, seed=7)
    print(graph)
    print(f"{'p, q':<10}{'ours M steps/s':>16}{'PecanPy M steps/s':>19}{'ratio':>8}{'(least–most)':>16}")
    rows = []
    for p, q in ((1.0, 1.0), (0.5, 2.0)):
        peer = peer_of(graph, p, q)
        if peer is None:
            sys.exit("PecanPy is not installed; install it in the same environment: pip install pecanpy")
        found = []

        def ours(p=p, q=q, found=found):
            found[:] = [adapters.walks(graph, walks_per_node=10, walk_length=80, p=p, q=q)]

        theirs = []

        def walk_peer(peer=peer, theirs=theirs):
            theirs[:] = [peer.simulate_walks(num_walks=1, walk_length=79)]

        walk_peer()
        times, peer_times = peers.interleaved(ours, walk_peer, arguments.repeats)
        steps = len(found[0].tokens) - len(found[0])
        peer_steps = sum(len(walk) - 1 for walk in theirs[0])
        rates = [steps / took / 1e6 for took in times]
        peer_rates = [peer_steps / took / 1e6 for took in peer_times]
        middle, least, most = peers.ratio(peer_rates, rates)
        rows.append({"p": p, "q": q, "ours": rates, "pecanpy": peer_rates, "ratio": middle})
        print(
            f"{f'{p}, {q}':<10}{statistics.median(rates):>16.1f}{statistics.median(peer_rates):>19.2f}"
            f"{middle:>8.1f}{f'({least:.1f}–{most:.1f})':>16}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
