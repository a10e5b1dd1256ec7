"""Link prediction: evaluation of vectors of random walks, common neighbours and Adamic–Adar on hidden edges.

    scripts/benchmarks/links.py --data DIR [--only GRAPH …] [--seeds 3] [--json FILE]

A tenth of the edges is hidden. AUC compares the hidden edges with random pairs without an edge, ten per
hidden edge. HR@10, MRR@10 and NDCG@10 rank all nodes except the known neighbours of a node, for up to 2,000
nodes with hidden edges. Walks: 5 of 40 steps from each node, 128 dimensions, one epoch.
"""

import json

import numpy as np
import sets

import item2vec
from item2vec import adapters
from item2vec.evaluation import AdamicAdar, CommonNeighbours, Popularity, cosines, evaluate, hide_edges

READ = {"sample_data": sets.friends, "lastfm-2k": sets.friends, "blogcatalog": sets.adjacency}
OBJECTIVES = {
    "walks, next_item": {"objective": "next_item", "vector_size": 128},
    "walks, skip-gram": {"objective": "skipgram", "backend": "numba", "vector_size": 128},
}
MAX_QUERIES = 2_000


def models(hidden, walks, seed):
    """Yield the name of each model, the model, and its scores of pairs."""
    for name, settings in OBJECTIVES.items():
        vectors = item2vec.train(walks, **settings, epochs=1, seed=seed)
        yield f"{name}, cosine", item2vec.Recommender(vectors, score="cosine"), cosines(vectors)
        yield f"{name}, output", item2vec.Recommender(vectors, score="output"), None
    for name, baseline in {"common neighbours": CommonNeighbours, "Adamic–Adar": AdamicAdar}.items():
        model = baseline(hidden.known)
        yield name, model, model.score_pairs
    degrees = dict(zip(hidden.known.nodes.ids, hidden.known.degrees, strict=True))
    by_degree = lambda sources, targets: np.array(  # noqa: E731
        [degrees[a] * degrees[b] for a, b in zip(sources, targets, strict=True)]
    )
    yield "degree", Popularity(hidden.split().train), by_degree


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="GRAPH", choices=READ, default=list(READ))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name in options.only:
        graph = READ[name](sets.folder_of(name, options.data))
        found = {}
        for seed in range(1, options.seeds + 1):
            hidden = hide_edges(graph, seed=seed)
            random = np.random.default_rng(seed)
            walks = adapters.walks(hidden.known, walks_per_node=5, walk_length=40, seed=seed)
            split = hidden.split(walks)
            split = split.take(np.sort(random.permutation(len(split))[:MAX_QUERIES]))
            for title, model, score in models(hidden, walks, seed):
                metrics = evaluate(model, split, k=10).metrics
                auc = float("nan") if score is None else hidden.auc(score, seed=seed)
                row = {"auc": auc} | {m: metrics[m] for m in ("hr@10", "mrr@10", "ndcg@10")}
                found.setdefault(title, []).append(row)
        for title, scores in found.items():
            means = {metric: float(np.mean([row[metric] for row in scores])) for metric in scores[0]}
            spread = {m: float(np.std([row[m] for row in scores], ddof=len(scores) > 1)) for m in means}
            rows.append({"graph": name, "model": title, "means": means, "sd": spread})
            figures = "  ".join(f"{metric} {means[metric]:.4f} ± {spread[metric]:.4f}" for metric in means)
            print(f"{name:<12} {title:<26} {figures}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
