"""How well vectors of nodes tell their labels: one-vs-rest logistic regression, as DeepWalk measures it.

The number of labels of each node is known, and as many of the most likely ones are predicted. Source:
Perozzi, Al-Rfou & Skiena, DeepWalk, KDD 2014, section 4.3 (Micro-F1 and Macro-F1).
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def f1_scores(vectors, labels, share, seed):
    """Return Micro-F1 and Macro-F1 in per cent, with this share of the nodes labelled.

    ``vectors`` is n nodes × dimensions, ``labels`` (bool) n nodes × labels.
    """
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    n_known = int(share * len(vectors))
    known, asked = shuffled[:n_known], shuffled[n_known:]
    scores = _design(vectors[asked]) @ _fit(_design(vectors[known]), labels[known])
    place = np.argsort(np.argsort(-scores, axis=1), axis=1)
    predicted = place < labels[asked].sum(axis=1)[:, None]
    right = (predicted & labels[asked]).sum(axis=0)
    named, true = predicted.sum(axis=0), labels[asked].sum(axis=0)
    each = 2 * right / np.maximum(named + true, 1)
    return 100 * 2 * right.sum() / (named.sum() + true.sum()), 100 * each.mean()


def _design(vectors):
    return np.column_stack((vectors, np.ones(len(vectors))))


def _fit(design, labels):
    """Return the weights of all labels' regressions at once (L2 penalty of 1, none on the constant)."""
    signs = np.where(labels, 1.0, -1.0)
    shape = (design.shape[1], labels.shape[1])
    penalised = np.ones((shape[0], 1))
    penalised[-1] = 0

    def loss(flat):
        weights = flat.reshape(shape)
        margins = signs * (design @ weights)
        value = np.logaddexp(0, -margins).sum() + 0.5 * (penalised * weights**2).sum()
        gradient = design.T @ (-signs * expit(-margins)) + penalised * weights
        return value, gradient.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x.reshape(shape)
