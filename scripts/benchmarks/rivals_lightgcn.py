"""PyTorch Geometric's LightGCN with early stopping; used by ``rivals_worker.py`` only.

Settings as published (He et al., SIGIR 2020): 3 layers, 64 dimensions, Adam, a learning rate of 0.001,
batches of 2,048 pairs, one uniform negative per pair, and an L2 weight of 1e-4.
"""

import time

import numpy as np
import torch
from torch_geometric.nn import LightGCN

K = 10
HELD_OUT = 0.1


def lightgcn(seen, *, cap, epochs, patience, every=10, seed=1, layers=3, factors=64):
    """Train twice; return the embeddings of users and items, and a summary.

    The first training holds out a tenth of the interactions, to choose the number of epochs by NDCG@10. It
    ends ``patience`` epochs after the best one, after ``epochs``, or after ``cap`` seconds. The second
    training uses all interactions for this number of epochs.
    """
    held_out = np.random.default_rng(seed).random(seen.nnz) < HELD_OUT
    users, items = seen.nonzero()
    shape = (layers, factors, seed)
    started, best, chosen, epoch = time.perf_counter(), -1.0, every, 0
    for epoch, model, graph in training(users[~held_out], items[~held_out], seen.shape, *shape):
        if epoch % every:
            continue
        reached = ndcg(*embeddings(model, graph, seen.shape), (users, items), held_out)
        print(f"    epoch {epoch}: validation NDCG@10 {reached:.4f}", flush=True)
        if reached > best:
            best, chosen = reached, epoch
        if epoch >= min(epochs, chosen + patience) or time.perf_counter() - started > cap:
            break
    summary = {"epochs": epoch, "best epoch": chosen, "capped": time.perf_counter() - started > cap}
    for epoch, model, graph in training(users, items, seen.shape, *shape):
        if epoch == chosen:
            return *embeddings(model, graph, seen.shape), summary
    raise AssertionError("training does not end by itself")


def training(users, items, shape, layers, factors, seed):
    """Yield the number of the epoch, the model and its graph after each epoch, without end."""
    torch.manual_seed(seed)
    users, items = torch.as_tensor(users).long(), torch.as_tensor(items).long() + shape[0]
    graph = torch.cat((torch.stack((users, items)), torch.stack((items, users))), dim=1)
    model = LightGCN(sum(shape), factors, layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    epoch = 0
    while True:
        for pairs in torch.randperm(len(users)).split(2048):
            negative = torch.randint(shape[0], sum(shape), (len(pairs),))
            labels = torch.stack((users[pairs].repeat(2), torch.cat((items[pairs], negative))))
            positive, negative = model(graph, labels).chunk(2)
            loss = model.recommendation_loss(positive, negative, labels.unique(), lambda_reg=1e-4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
        yield epoch, model, graph


def embeddings(model, graph, shape):
    """Return the embeddings of users and items."""
    with torch.no_grad():
        final = model.get_embedding(graph)
    return final[: shape[0]].numpy(), final[shape[0] :].numpy()


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
