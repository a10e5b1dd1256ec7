"""Comparison of objectives on random walks: skip-gram, and next_item with and without the order of the walk.

    scripts/benchmarks/walk_objectives.py --data DIR [--only SET …] [--seeds 3] [--json FILE]

Link prediction (karate, the friends of sample_data, lastfm-2k): a tenth of the edges is hidden, and walks
use the others. AUC compares the cosines of hidden edges with cosines of pairs without an edge; HR@10 is the
share of hidden neighbours among the 10 nearest non-neighbours of a node. Node classification (blogcatalog,
one epoch only): Micro-F1 and Macro-F1 of one-vs-rest logistic regression on the input vectors, with half of
the nodes labelled. There are 5 walks of 40 nodes from each node, and vectors have 128 dimensions. All other
settings are the defaults of each objective, except as named in the rows.
"""

import json
import time
from statistics import mean

import node_labels
import numpy as np
import sets

import item2vec
from item2vec import Graph, adapters

SKIPGRAM = {"objective": "skipgram", "backend": "numba", "vector_size": 128}
NEXT_ITEM = {"objective": "next_item", "vector_size": 128, "context_decay": (0.5, 0.9)}
OBJECTIVES = {
    "skip-gram": SKIPGRAM,
    "skip-gram, one epoch": SKIPGRAM | {"epochs": 1},
    "skip-gram, five epochs": SKIPGRAM | {"epochs": 5},
    "next_item": NEXT_ITEM,
    "next_item, one epoch": NEXT_ITEM | {"epochs": 1},
    "next_item, one epoch, unordered": NEXT_ITEM | {"epochs": 1, "context_decay": (1.0, 1.0)},
}
WALKS = {"walks_per_node": 5, "walk_length": 40}


def hide(graph, share, seed):
    """Return the graph without this share of its edges, and the hidden edges (pairs of node numbers)."""
    source = np.repeat(np.arange(len(graph)), graph.degrees)
    edges = np.column_stack((source, graph.neighbours))[source < graph.neighbours]
    hidden = np.random.default_rng(seed).permutation(len(edges)) < share * len(edges)
    known = Graph.from_codes(graph.nodes, *edges[~hidden].astype(np.int32).T)
    return known, edges[hidden]


def similarities(graph, vectors):
    """Return the cosine of each pair of nodes; 0 for nodes without a vector."""
    rows = np.zeros((len(graph), vectors.input.shape[1]))
    rows[graph.nodes.encode(vectors.vocabulary.ids)] = vectors.unit_input
    return rows @ rows.T


def hidden_edges(graph, known, hidden, scores):
    """Return AUC over all pairs without a known edge, and HR@10 over the ends of the hidden edges."""
    n = len(graph)
    taken = np.eye(n, dtype=bool)
    taken[np.repeat(np.arange(n), known.degrees), known.neighbours] = True
    true = np.zeros((n, n), dtype=bool)
    true[hidden[:, 0], hidden[:, 1]] = true[hidden[:, 1], hidden[:, 0]] = True
    upper = np.triu(~taken)
    positive, negative = scores[upper & true], np.sort(scores[upper & ~true])
    ranks = [np.searchsorted(negative, positive, side) for side in ("left", "right")]
    auc = np.mean(ranks) / len(negative)
    nearest = np.argsort(-np.where(taken, -np.inf, scores), axis=1, kind="stable")[:, :10]
    hit_rate = np.take_along_axis(true, nearest, axis=1).sum() / true.sum()
    return float(auc), float(hit_rate)


def labels_of(folder, nodes):
    """Return the labels of the nodes (bool, nodes × labels)."""
    pairs = [line.split() for line in next(folder.glob("*labels*")).read_text().splitlines()]
    names = sorted({label for _, *own in pairs for label in own})
    row, column = ({name: number for number, name in enumerate(of)} for of in (nodes, names))
    labels = np.zeros((len(nodes), len(names)), dtype=bool)
    for node, *own in pairs:
        labels[row[node], [column[label] for label in own]] = True
    return labels


def trained(graph, objective, seed):
    """Return vectors trained on random walks, and the seconds of training."""
    walks = adapters.walks(graph, **WALKS, seed=seed)
    if objective.endswith("unordered"):
        walks = item2vec.Sentences(walks.vocabulary, walks.tokens, walks.offsets, ordered=False)
    started = time.perf_counter()
    vectors = item2vec.train(walks, **OBJECTIVES[objective], seed=seed)
    return vectors, time.perf_counter() - started


def friendships(read):
    """Return a function that measures link prediction on a graph: AUC and HR@10 of an objective."""

    def measure(folder, objective, seed):
        graph = read(folder)
        known, hidden = hide(graph, 0.1, seed)
        vectors, seconds = trained(known, objective, seed)
        auc, hit_rate = hidden_edges(graph, known, hidden, similarities(graph, vectors))
        return {"AUC": auc, "HR@10": hit_rate, "seconds": seconds}

    return measure


def labels(folder, objective, seed):
    """Return Micro-F1 and Macro-F1, the mean of two shuffles of the nodes."""
    graph = sets.adjacency(folder)
    vectors, seconds = trained(graph, objective, seed)
    matrix = node_labels.node_vectors(vectors, graph.nodes.ids)
    of_nodes = labels_of(folder, graph.nodes.ids)
    scores = [node_labels.f1_scores(matrix, of_nodes, 0.5, shuffle) for shuffle in range(2)]
    micro, macro = np.mean(scores, axis=0).tolist()
    return {"Micro-F1": micro, "Macro-F1": macro, "seconds": seconds}


SETS = {
    "karate": friendships(sets.adjacency),
    "sample_data": friendships(sets.friends),
    "lastfm-2k": friendships(sets.friends),
    "blogcatalog": labels,
}


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS, metavar="SET")
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of seeds for hidden edges, walks and training"
    )
    arguments = parser.parse_args()
    rows = []
    print("| graph | objective | first metric | second metric | seconds |\n|---|---|---|---|---|")
    for name in arguments.only:
        folder = sets.folder_of(name, arguments.data)
        for objective, settings in OBJECTIVES.items():
            if SETS[name] is labels and settings.get("epochs") != 1:
                continue
            found = [SETS[name](folder, objective, 1 + seed) for seed in range(arguments.seeds)]
            values = {metric: mean(one[metric] for one in found) for metric in found[0]}
            rows.append({"graph": name, "objective": objective, "found": found})
            first, second, seconds = values
            cells = f"{first} {values[first]:.4g} | {second} {values[second]:.4g} | {values[seconds]:.1f}"
            print(f"| {name} | {objective} | {cells} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
