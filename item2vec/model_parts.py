"""``ModelParts``: the parts of a model as read-only attributes."""

from __future__ import annotations

from item2vec.arrays import Floats
from item2vec.bundle import Parts
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.index import Index
from item2vec.items import Items
from item2vec.neighbours import NeighbourTable
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = ["ModelParts"]


class ModelParts:
    """The base class of ``Recommender`` with its read-only attributes.

    >>> import numpy as np
    >>> from item2vec import Recommender
    >>> model = Recommender(ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2)))
    >>> model.vocabulary is model.parts.vectors.vocabulary
    True
    """

    _parts: Parts

    @property
    def parts(self) -> Parts:
        """All parts of the model, as saved in a bundle."""
        return self._parts

    @property
    def vectors(self) -> ItemVectors:
        """The item vectors."""
        return self._parts.vectors

    @property
    def vocabulary(self) -> Vocabulary:
        """The items of the model, in the order of the rows."""
        return self._parts.vectors.vocabulary

    @property
    def taste(self) -> TasteConfig:
        """The settings of tastes and scores."""
        return self._parts.taste

    @property
    def index(self) -> Index:
        """The search index."""
        return self._parts.index

    @property
    def items(self) -> Items | None:
        """Titles and attributes of the items; ``None`` if the model has none."""
        return self._parts.items

    @property
    def adapter(self) -> AdapterConfig:
        """The settings with which events were converted to training sentences."""
        return self._parts.adapter

    @property
    def neighbours(self) -> NeighbourTable | None:
        """The table of neighbours for ``mixture``; ``None`` if the model has none."""
        return self._parts.neighbours

    @property
    def prior(self) -> Floats | None:
        """The popularity prior (float32, n items); ``None`` if the model has none."""
        return self._parts.prior
