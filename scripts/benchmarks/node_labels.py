"""Node classification: one-vs-rest logistic regression on node vectors, as in the evaluation of DeepWalk.

The number of labels of each node is known, and as many of the most likely labels are predicted. Source:
Perozzi, Al-Rfou & Skiena, DeepWalk, KDD 2014, section 4.3 (Micro-F1 and Macro-F1).
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PENALTIES = (0.2, 0.4, 0.8)
FOLDS = 2


def node_vectors(vectors, nodes):
    """Return the sum of the unit input and unit output vector of each node (n nodes × dimensions).

    The output vectors also describe the nodes (Levy, Goldberg & Dagan, TACL 2015, section 3.3: w + c).
    """
    rows = vectors.vocabulary.encode(nodes)
    return _unit(vectors.input[rows]) + _unit(vectors.output[rows])


def f1_scores(vectors, labels, share, seed):
    """Return Micro-F1 and Macro-F1 in per cent of regressions that are trained on this share of the nodes.

    ``vectors`` is n nodes × dimensions, ``labels`` (bool) n nodes × labels. The L2 penalty of the
    unit vectors is the one of ``PENALTIES`` with the highest Micro-F1 in a cross-validation of the training
    nodes.
    """
    vectors = _unit(vectors)
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    n_known = int(share * len(vectors))
    train, test = shuffled[:n_known], shuffled[n_known:]
    folds = [(np.delete(train, slice(fold, None, FOLDS)), train[fold::FOLDS]) for fold in range(FOLDS)]
    of_penalties = [
        np.mean([_scores(vectors, labels, *fold, penalty)[0] for fold in folds]) for penalty in PENALTIES
    ]
    return _scores(vectors, labels, train, test, PENALTIES[int(np.argmax(of_penalties))])


def _scores(vectors, labels, train, test, penalty):
    scores = _design(vectors[test]) @ _fit(_design(vectors[train]), labels[train], penalty)
    rank = np.argsort(np.argsort(-scores, axis=1), axis=1)
    is_predicted = rank < labels[test].sum(axis=1)[:, None]
    correct = (is_predicted & labels[test]).sum(axis=0)
    predicted, true = is_predicted.sum(axis=0), labels[test].sum(axis=0)
    per_label = 2 * correct / np.maximum(predicted + true, 1)
    return 100 * 2 * correct.sum() / (predicted.sum() + true.sum()), 100 * per_label.mean()


def _unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _design(vectors):
    return np.column_stack((vectors, np.ones(len(vectors))))


def _fit(design, labels, penalty):
    """Return the weights of the regressions of all labels (no L2 penalty on the intercept)."""
    signs = np.where(labels, 1.0, -1.0)
    shape = (design.shape[1], labels.shape[1])
    penalised = np.full((shape[0], 1), penalty)
    penalised[-1] = 0

    def loss(flat):
        weights = flat.reshape(shape)
        margins = signs * (design @ weights)
        value = np.logaddexp(0, -margins).sum() + 0.5 * (penalised * weights**2).sum()
        gradient = design.T @ (-signs * expit(-margins)) + penalised * weights
        return value, gradient.ravel()

    result = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return result.x.reshape(shape)
