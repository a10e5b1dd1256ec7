"""LightGCN from its equations, with early stopping; used by ``rivals_worker.py`` only.

Source: He et al., LightGCN, SIGIR 2020, equations 3 to 15. With the normalised adjacency matrix A of users
and items, the final embeddings are ``(E + A E + A² E + A³ E) / 4``. E is trained with the BPR loss by Adam.
Settings as published: 3 layers, 64 dimensions, a learning rate of 0.001, batches of 2,048 pairs, one uniform
negative per pair, and an L2 weight of 1e-4.
"""

import time

import numpy as np
from scipy import sparse

K = 10
HELD_OUT = 0.1
LAYERS, DIMENSIONS, RATE, BATCH, DECAY = 3, 64, 0.001, 2048, 1e-4


def lightgcn(seen, *, cap, epochs, patience, every=10, seed=1):
    """Train twice; return the embeddings of users and items, and a summary.

    The first training holds out a tenth of the interactions, to choose the number of epochs by NDCG@10. It
    ends ``patience`` epochs after the best one, after ``epochs``, or after ``cap`` seconds. The second
    training uses all interactions for this number of epochs.
    """
    held_out = np.random.default_rng(seed).random(seen.nnz) < HELD_OUT
    users, items = seen.nonzero()
    started, best, chosen, epoch = time.perf_counter(), -1.0, every, 0
    for epoch, graph, own in training(users[~held_out], items[~held_out], seen.shape, seed):
        if epoch % every:
            continue
        reached = ndcg(*embeddings(graph, own, seen.shape[0]), (users, items), held_out)
        print(f"    epoch {epoch}: validation NDCG@10 {reached:.4f}", flush=True)
        if reached > best:
            best, chosen = reached, epoch
        if epoch >= min(epochs, chosen + patience) or time.perf_counter() - started > cap:
            break
    summary = {"epochs": epoch, "best epoch": chosen, "capped": time.perf_counter() - started > cap}
    for epoch, graph, own in training(users, items, seen.shape, seed):
        if epoch == chosen:
            return *embeddings(graph, own, seen.shape[0]), summary
    raise AssertionError("training does not end by itself")


def training(users, items, shape, seed):
    """Yield the number of the epoch, A and E after each epoch, without end."""
    random, items, n = np.random.default_rng(seed), items + shape[0], sum(shape)
    graph = sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), (n, n))
    graph = graph + graph.T
    scales = sparse.diags(1 / np.sqrt(np.maximum(graph.sum(axis=1).A1, 1)).astype(np.float32))
    graph = (scales @ graph @ scales).tocsr()
    own = random.normal(scale=0.1, size=(n, DIMENSIONS)).astype(np.float32)
    mean, square, step, epoch = np.zeros_like(own), np.zeros_like(own), 0, 0
    while True:
        for pairs in np.split(random.permutation(len(users)), range(BATCH, len(users), BATCH)):
            u, i, j = users[pairs], items[pairs], random.integers(shape[0], n, len(pairs))
            final = propagated(graph, own)
            slope = -1 / (1 + np.exp(np.einsum("bd,bd->b", final[u], final[i] - final[j])))
            slope = (slope / len(pairs)).astype(np.float32)[:, None]
            gradient = np.zeros_like(own)
            np.add.at(gradient, u, slope * (final[i] - final[j]))
            np.add.at(gradient, i, slope * final[u])
            np.add.at(gradient, j, -slope * final[u])
            gradient = propagated(graph, gradient)
            rows, counts = np.unique(np.concatenate((u, i, j)), return_counts=True)
            gradient[rows] += (DECAY / len(pairs) * counts[:, None]).astype(np.float32) * own[rows]
            step += 1
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            own -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
        epoch += 1
        yield epoch, graph, own


def propagated(graph, own):
    """Return the mean of the embeddings of all layers. It is symmetric, and therefore also maps gradients."""
    layers = [own]
    for _ in range(LAYERS):
        layers.append(graph @ layers[-1])
    return sum(layers) / np.float32(LAYERS + 1)


def embeddings(graph, own, n_users):
    """Return the final embeddings of users and of items."""
    return np.split(propagated(graph, own), [n_users])


def ndcg(users, items, interactions, held_out):
    """Return the mean NDCG@10 of the held-out interactions, over the users who have some."""
    scores = users @ items.T
    trained, wanted = (tuple(column[mask] for column in interactions) for mask in (~held_out, held_out))
    scores[trained] = -np.inf
    best = np.argpartition(-scores, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    is_wanted = np.zeros(scores.shape, dtype=bool)
    is_wanted[wanted] = True
    hits = np.take_along_axis(is_wanted, np.take_along_axis(best, order, axis=1), axis=1)
    gains = 1 / np.log2(np.arange(2, K + 2))
    counts = is_wanted.sum(axis=1)
    ideal = np.append(0, np.cumsum(gains))[np.minimum(counts, K)]
    return float(((hits * gains).sum(axis=1)[counts > 0] / ideal[counts > 0]).mean())
