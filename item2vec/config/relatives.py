"""Settings of the relatives of word2vec that count co-occurrences: LSA and GloVe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from item2vec.arguments import checked
from item2vec.config.settings import Alpha, Epochs, Exponent, Finite, Flag, Patience, VectorSize, Window
from item2vec.config.training import TrainConfig, with_objective

__all__ = ["LSA", "GloVe", "OneStep"]


class OneStep(TrainConfig):
    """Settings of the objectives that are computed in one step, without epochs or initial vectors."""

    # Class variables, not settings.
    epochs: ClassVar[int] = 1  # type: ignore[misc]
    patience: ClassVar[None] = None  # type: ignore[misc]


@with_objective
class LSA(OneStep):
    """Settings of LSA: a truncated singular value decomposition of a matrix of weighted counts.

    Sources: Deerwester et al., Indexing by Latent Semantic Analysis, JASIS 1990; Levy & Goldberg, Neural Word
    Embedding as Implicit Matrix Factorization, NeurIPS 2014; Levy, Goldberg & Dagan, Improving Distributional
    Similarity with Lessons Learned from Word Embeddings, TACL 2015.

    >>> LSA(weighting="raw").vector_size
    64
    """

    objective: Literal["lsa"] = "lsa"
    """Factorise a matrix of co-occurrence counts."""
    matrix: Literal["items", "sentences"] = "items"
    """Matrix to factorise: "items" for the co-occurrences of items within ``window``, or "sentences" for the
    counts of items in sentences. By default "sentences" if the order of items in a sentence has no meaning,
    and ``window`` is not set; otherwise "items"."""
    weighting: Literal["raw", "tfidf", "ppmi"] = "ppmi"
    """Weighting of the counts: "raw" for none, "tfidf" for the inverse frequency of the contexts or items, or
    "ppmi" for positive pointwise mutual information."""
    power: Annotated[Finite, Field(ge=0, le=1)] = 0.5
    """Exponent of the singular values in the input vectors; their exponent in the output vectors is
    1 - ``power``. With matrix="sentences", both have the exponent ``power``."""
    vector_size: VectorSize = 64
    """Dimensions of an item vector: number of singular values kept."""
    window: Window = 10
    """Maximum distance, in positions, between an item and its neighbours in a sentence; ``"full"`` for the
    whole sentence. Not used with matrix="sentences"."""
    shrink_windows: Flag = True
    """Whether the weight of a neighbour at distance d is ``(window + 1 - d) / window``. This is its expected
    weight in word2vec, which draws the width of each window from 1 to ``window``. Otherwise, or with
    window="full", all weights are equal."""
    forward_only: Flag = False
    """Count only later items of a sentence as contexts of an item: input vectors then belong to the earlier
    item of a pair, output vectors to the later item. Not used with matrix="sentences"."""
    negative: Annotated[int, Field(ge=1, le=1000)] = 1
    """Shift of the pointwise mutual information by -log(negative), as in skip-gram with this number of
    negative samples (Levy & Goldberg, 2014). Used with weighting="ppmi"."""
    ns_exponent: Exponent = 0.5
    """Exponent of the counts of contexts in the pointwise mutual information. Used with weighting="ppmi"."""

    @checked
    def for_data(self, n_tokens: int, *, ordered: bool) -> Self:  # noqa: ARG002
        """Return the settings for the data: for unordered sentences, the default matrix is "sentences".

        The default does not change if ``window`` is set.

        >>> LSA().for_data(100, ordered=False).matrix, LSA(window=3).for_data(100, ordered=False).matrix
        ('sentences', 'items')
        """
        if ordered or {"matrix", "window"} & self.given().keys():
            return self
        return self.replace(matrix="sentences")


@with_objective
class GloVe(TrainConfig):
    """Settings of GloVe, which fits inner products plus biases to the logarithms of co-occurrence counts.

    Source: Pennington, Socher & Manning, GloVe: Global Vectors for Word Representation, EMNLP 2014.

    >>> GloVe(x_max=50).alpha
    0.1
    """

    objective: Literal["glove"] = "glove"
    """Fit inner products to the logarithms of co-occurrence counts."""
    vector_size: VectorSize = 64
    """Dimensions of an item vector."""
    window: Window = 10
    """Maximum distance, in positions, between an item and its neighbours in a sentence; ``"full"`` for the
    whole sentence. A neighbour at distance d adds 1 / d to the co-occurrence count."""
    forward_only: Flag = False
    """Count only later items of a sentence as contexts of an item: input vectors then belong to the earlier
    item of a pair, output vectors to the later item."""
    x_max: Annotated[Finite, Field(gt=0)] = 10.0
    """Count from which on a pair has the full weight 1 in the loss."""
    x_exponent: Annotated[Finite, Field(ge=0, le=1)] = 0.75
    """Exponent of count / ``x_max`` in the weight of a pair with a lower count."""
    alpha: Alpha = 0.1
    """Initial learning rate of AdaGrad."""
    epochs: Epochs = 25
    """Number of passes over the pairs of co-occurring items."""
    patience: Patience = None
    """Stop after this number of epochs without a higher NDCG on validation data; return the best epoch. By
    default, train for all epochs. Requires validation data."""
