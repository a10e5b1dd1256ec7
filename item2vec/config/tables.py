"""Settings of the objectives whose model is a table of neighbours: transitions, link propagation and EASE."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from item2vec.config.relatives import OneStep
from item2vec.config.settings import Finite, VectorSize, Window
from item2vec.config.training import with_objective

__all__ = ["EASE", "LinkProp", "TableConfig", "Transitions"]

MaxNeighbours = Annotated[int, Field(ge=1, le=100_000)]
MaxItems = Annotated[int, Field(ge=2, le=100_000)]


class TableConfig(OneStep):
    """Settings of the objectives whose model is a table of neighbours.

    The vectors are the factors of a truncated singular value decomposition of the table.
    """

    table_decay: ClassVar[float] = 1.0
    """Default ``TasteConfig.decay``: the weight of a history item is multiplied by it for each newer item."""

    vector_size: VectorSize = 64
    """Dimensions of an item vector: number of singular values kept."""
    power: Annotated[Finite, Field(ge=0, le=1)] = 0.5
    """Exponent of the singular values in the input vectors; their exponent in the output vectors is
    1 - ``power``."""
    max_neighbours: MaxNeighbours = 200
    """Maximum number of neighbours of an item in the table; the largest weights are kept."""

    @property
    def taste_decay(self) -> float:
        """Default ``TasteConfig.decay``: the decay of the table."""
        return self.table_decay


@with_objective
class Transitions(TableConfig):
    """Settings of transitions: a table of the weighted counts of the items before and after an item.

    A related method is the Markov chain with skipping in Shani, Heckerman & Brafman, An MDP-based recommender
    system, JMLR 2005.

    >>> Transitions(window=3).taste_decay
    0.5
    """

    table_decay: ClassVar[float] = 0.5

    objective: Literal["transitions"] = "transitions"
    """Count the items that follow or precede an item, for ordered sentences."""
    window: Window = 5
    """Maximum distance, in positions, between an item and its neighbours in a sentence; ``"full"`` for the
    whole sentence."""
    fade: Annotated[Finite, Field(gt=0, le=1)] = 0.7
    """Decay per step of distance: a neighbour s steps after the item counts ``fade ** (s - 1)``; a neighbour
    s steps before the item counts half as much."""
    smoothing: Annotated[Finite, Field(ge=0, le=1e9)] = 5.0
    """Number added to the sum of an item's counts. The counts are then divided by this sum, so that rare
    items have less weight."""


@with_objective
class LinkProp(TableConfig):
    """Settings of link propagation: a table of co-occurrences, normalised by degrees.

    The table contains a weight per pair of items, summed over the sentences that contain both items. The
    degrees are the number of sentences of an item, and the number of distinct items of a sentence.

    Source: Fu et al., Revisiting Neighborhood-based Link Prediction for Collaborative Filtering, WWW 2022.

    >>> LinkProp(max_neighbours=50).taste_decay
    1.0
    """

    objective: Literal["linkprop"] = "linkprop"
    """Propagate links between the items of a sentence, for sets of items."""
    max_items: MaxItems = 2000
    """Maximum number of distinct items of a sentence that are counted; the last ones are kept."""


@with_objective
class EASE(TableConfig):
    """Settings of EASE: a linear model that reconstructs each item of a sentence from the other items.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.

    >>> EASE(l2=100.0).max_neighbours
    400
    """

    objective: Literal["ease"] = "ease"
    """Compute, in closed form, the linear weights between items that reconstruct sentences best."""
    l2: Annotated[Finite, Field(ge=0.001, le=1e9)] = 250.0
    """Regularisation: number added to the diagonal of the matrix of co-occurrence counts."""
    max_neighbours: MaxNeighbours = 400
    """Maximum number of neighbours of an item in the table; the largest absolute weights are kept,
    including negative weights."""
    max_items: MaxItems = 2000
    """Maximum number of distinct items of a sentence that are counted; the last ones are kept."""
