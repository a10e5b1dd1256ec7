"""``Parts``: everything that a bundle stores of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from item2vec import index as indexes
from item2vec.arrays import Floats
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.errors import ConfigError
from item2vec.interactions import read_only
from item2vec.items import Items
from item2vec.neighbours import NeighbourTable
from item2vec.prior import check_prior
from item2vec.vectors import ItemVectors

__all__ = ["Parts"]


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a model: vectors, settings, index, and optional tables.

    Parameters
    ----------
    vectors
        Item vectors with their vocabulary.
    taste
        Settings for the computation of a query vector from a history.
    index
        Index over the rows of the matrix that ``item2vec.prior.searched_matrix`` returns.
    items
        Titles and attributes of the items; ``None`` if the model has none.
    adapter
        Settings for the conversion of a user's events to the history that the model reads.
    neighbours
        Table of neighbours; required if ``taste.mixture`` is positive, otherwise optional.
    prior
        Popularity prior (float32, one value per item); required if ``taste.popularity`` is positive.
    layout
        Positions of the items on a plane (float32, n items × 2), as returned by ``item2vec.mapping.layout``;
        optional.
    similar_index
        Index over the unit input vectors, for similar items; ``None`` if ``index`` holds these vectors, or if
        they are scanned.
    created_at
        Time of the creation of the bundle from which the parts were read; ``None`` if it is unknown.

    Raises
    ------
    ConfigError
        If a required part is missing; if ``neighbours``, ``prior``, ``layout`` or ``similar_index`` does not
        have one row or value per item; if the prior is not finite; or if ``adapter.days`` is set.

    Examples
    --------
    >>> import numpy as np
    >>> from item2vec import Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.array([2, 1]))
    >>> Parts(vectors, TasteConfig(score="cosine"), indexes.build(vectors.unit_input), items=None).vectors
    ItemVectors(2 items × 2 dimensions, input only)
    """

    vectors: ItemVectors
    taste: TasteConfig
    index: indexes.Index
    items: Items | None
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    neighbours: NeighbourTable | None = None
    prior: Floats | None = None
    layout: Floats | None = None
    similar_index: indexes.Index | None = None
    created_at: datetime | None = None

    def __post_init__(self) -> None:
        n_items, table = len(self.vectors), self.neighbours
        if self.prior is not None:
            object.__setattr__(self, "prior", read_only(self.prior, np.float32))
        check_prior(self.prior, self.taste, n_items)
        if table is None and self.taste.mixture:
            raise ConfigError(
                f"mixture={self.taste.mixture} requires a table of neighbours, and neighbours is None; pass "
                "a table, or use fit, which builds one"
            )
        if table is not None and len(table) != n_items:
            raise ConfigError(
                f"the table of neighbours has {len(table):,} rows; expected one for each of {n_items:,} "
                "items: build it with item2vec.neighbours.table_for(sentences, vectors.vocabulary)"
            )
        if self.layout is not None and self.layout.shape != (n_items, 2):
            raise ConfigError(
                f"layout has shape {self.layout.shape}; expected ({n_items}, 2), a position per item: "
                "compute it with item2vec.mapping.layout(vectors)"
            )
        if self.similar_index is not None and self.similar_index.matrix.shape != self.vectors.input.shape:
            raise ConfigError(
                f"the rows of similar_index have shape {self.similar_index.matrix.shape}; expected "
                f"{self.vectors.input.shape}, a unit vector per item: build it with "
                "item2vec.bundle.with_similar_index"
            )
        if self.adapter.days is not None:
            raise ConfigError(
                f"adapter has days={self.adapter.days}; expected a start time in place of days: pass "
                "adapter.resolved(interactions.timestamp)"
            )

    @property
    def unit_index(self) -> indexes.Index | None:
        """The index of the unit input vectors: ``index``, if it holds them; otherwise ``similar_index``."""
        holds_units = self.taste.score == "cosine" and not self.taste.popularity
        return self.index if holds_units else self.similar_index

    @property
    def exact(self) -> Parts:
        """The same parts with exact indexes."""
        index, similar = self.index, self.similar_index
        return replace(
            self,
            index=indexes.build(index.matrix, kind="exact"),
            similar_index=similar and indexes.build(similar.matrix, kind="exact"),
        )
