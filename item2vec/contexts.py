"""Vectors of items and of their contexts, such as search words or hours, trained on pairs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from item2vec.arguments import check_fields, checked
from item2vec.arrays import Floats, Mask
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.matrices import unit_rows
from item2vec.ranking import top_k
from item2vec.types import Recommendation, Vocabulary, check_k
from item2vec.vectors import ItemVectors

__all__ = ["ContextVectors"]


@dataclass(frozen=True, eq=False, repr=False)
class ContextVectors:
    """Input vectors of items, and output vectors of contexts.

    With ``ns_exponent=1``, the inner product of an item and a context is high if they occur together more
    often than by chance. With enough dimensions, it approaches the pointwise mutual information of the item
    and the context minus log(``negative``), where ``negative`` is the number of negative samples in training.
    With a lower ``ns_exponent``, frequent contexts have higher inner products with all items.

    Source: Levy & Goldberg, Dependency-Based Word Embeddings, ACL 2014; Neural Word Embedding as Implicit
    Matrix Factorization, NIPS 2014, section 3.1.

    Attributes
    ----------
    items
        The items with their input vectors. ``items.similar_items`` compares items by their contexts.
    contexts
        The ids of the contexts.
    output
        Output vectors of the contexts (float32, n contexts × dimensions).

    Examples
    --------
    >>> from item2vec import adapters, train
    >>> shopping = adapters.pairs(
    ...     ["umbrella", "boots", "ice", "shorts"] * 50, ["rain", "rain", "sun", "sun"] * 50)
    >>> settings = {"objective": "skipgram", "backend": "numba", "forward_only": True}
    >>> vectors = ContextVectors.of(train(shopping, **settings, vector_size=8, workers=1, seed=7))
    >>> vectors
    ContextVectors(4 items, 2 contexts, 8 dimensions)
    >>> sorted(item for item, score in vectors.items_for("rain", k=2))
    ['boots', 'umbrella']
    >>> [context for context, score in vectors.contexts_of("ice", k=1)]
    ['sun']
    """

    items: ItemVectors
    contexts: Vocabulary
    output: Floats

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "output", read_only(self.output, np.float32))
        expected = (len(self.contexts), self.items.input.shape[1])
        if self.output.shape != expected:
            raise InputError(
                f"output has shape {self.output.shape}; expected {expected}, one row per context, with the "
                "dimensions of the item vectors"
            )
        if not bool(np.isfinite(self.output).all()):
            row = int(np.argmin(np.isfinite(self.output).all(axis=1)))
            raise InputError(
                f"row {row} of output contains a number that is not finite; expected finite numbers"
            )

    @classmethod
    @checked
    def of(cls, vectors: ItemVectors) -> ContextVectors:
        """Return the items and the contexts of vectors that were trained on ``adapters.pairs``.

        A row without an input vector is a context.

        Raises
        ------
        InputError
            If there is no output matrix, or each row has an input vector.
        """
        is_context = ~vectors.has_input
        if vectors.output is None or not is_context.any():
            raise InputError(
                "the vectors have no contexts, which are rows with only an output vector; expected skip-gram "
                'vectors of adapters.pairs, trained with backend="numba" and forward_only=True'
            )
        items, contexts = np.flatnonzero(~is_context), np.flatnonzero(is_context)
        named = dataclasses.replace(vectors.take(items), output=None)
        return cls(named, vectors.vocabulary.take(contexts), vectors.output[contexts])

    def __repr__(self) -> str:
        sizes = f"{len(self.items):,} items, {len(self.contexts):,} contexts"
        return f"ContextVectors({sizes}, {self.output.shape[1]} dimensions)"

    @checked
    def items_for(self, context: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items with the highest inner product with a context, best first."""
        scores = self.items.input @ self.output[self.contexts.code(context, "context")]
        return _best(scores, self.items.has_input, self.items.vocabulary, k)

    @checked
    def contexts_of(self, item: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` contexts with the highest inner product with an item, best first."""
        scores = self.output @ self.items[item]
        return _best(scores, np.ones(len(scores), dtype=bool), self.contexts, k)

    @checked
    def similar_contexts(self, context: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` other contexts with the highest cosine to a context, best first."""
        row = self.contexts.code(context, "context")
        unit = unit_rows(self.output)
        others = np.ones(len(unit), dtype=bool)
        others[row] = False
        return _best(unit @ unit[row], others, self.contexts, k)


def _best(scores: Floats, eligible: Mask, vocabulary: Vocabulary, k: int) -> list[Recommendation]:
    check_k(k)
    scores = np.where(eligible, scores, -np.inf)
    rows = top_k(scores, k)
    ids = vocabulary.decode(rows)
    return [Recommendation(id_, float(score)) for id_, score in zip(ids, scores[rows], strict=True)]
