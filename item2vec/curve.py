"""The training curve: the training loss and the validation metrics of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from item2vec.errors import InputError
from item2vec.figures import Chart, training_curve

__all__ = ["Epoch", "chart_of"]

LINES = {"loss": "loss", "ndcg@10": "ndcg", "hr@10": "hr"}


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of a training curve.

    Attributes
    ----------
    epoch
        Number of completed epochs, including this epoch.
    hr, ndcg
        HR@10 and NDCG@10 on the validation data after the epoch; ``None`` without validation data.
    loss
        Mean training loss of the epoch, in nats (GloVe: a squared error). ``None`` if the loss is not finite
        or was not measured, as for objectives that are computed in one step, such as LSA.

        - next_item: the sampled softmax loss of a prediction, averaged over the parts of the vectors.
        - Skip-gram and CBOW with ``backend="numba"``: the loss of a pair of centre and context (CBOW: of a
          window) and its negative samples, before the update for this pair or window. Only every n-th centre
          is measured, where n grows with the corpus, from 1 to 64.
        - Skip-gram and CBOW with ``backend="gensim"``: the same loss (with ``hs``, also the loss of
          hierarchical softmax) on a fixed random sample after the epoch, or for ``ShardedSentences`` the mean
          of these losses after each shard. Gensim's own sum of losses varies between runs with several
          workers, and stops changing near 2**27.
        - GloVe: half the weighted squared error of a pair, before the update for this pair.

        Losses of different objectives, backends and numbers of negative samples are not comparable.

    Examples
    --------
    >>> Epoch(epoch=1, loss=2.5).loss
    2.5
    """

    epoch: int
    hr: float | None = None
    ndcg: float | None = None
    loss: float | None = None


def chart_of(curve: Sequence[Epoch]) -> Chart:
    """Return a chart of the training loss and the validation metrics by epoch.

    Raises
    ------
    InputError
        If the curve is empty.

    Examples
    --------
    >>> [line["name"] for line in chart_of([Epoch(1, 0.2, 0.1, 2.5), Epoch(2, 0.3, 0.2, 2.0)])["data"]]
    ['loss', 'ndcg@10', 'hr@10']
    """
    if not curve:
        raise InputError(
            "the training curve is empty; expected at least one epoch: train with item2vec.train, and pass "
            "validation= for objectives without epochs, such as lsa"
        )
    values = {name: [getattr(point, of) for point in curve] for name, of in LINES.items()}
    return training_curve([point.epoch for point in curve], values)
