"""Maps of a catalogue: item positions on a plane, with similar items close together, and drawings of maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from item2vec.arguments import checked
from item2vec.mapping.figure import figure_of
from item2vec.mapping.item_map import ItemMap, MapArguments, Mapped, joint_map, map_items
from item2vec.mapping.positions import Method, layout

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["ItemMap", "MapArguments", "figure_of", "layout", "map_items", "map_of"]


@checked
def map_of(
    models: Sequence[Mapped], *, labels: Sequence[str], method: Method = "tsne", seed: int = 1
) -> Figure:
    """Return a map of several catalogues as a plotly figure, coloured by catalogue.

    The vectors of the models must share a space: the models were trained together, or the vectors of all
    models were mapped to one space. ``labels`` are the names of the catalogues, one per model; ``method`` and
    ``seed`` are arguments of ``layout``.

    Raises
    ------
    InputError
        If there are no models, the labels are not one distinct name per model, or the vectors differ in their
        dimensions.
    ConfigError
        If the method is unknown.
    MissingExtraError
        If plotly, or the library of the method, is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from item2vec import ItemVectors, Recommender, Vocabulary
    >>> shops = [
    ...     Recommender(ItemVectors(Vocabulary((shop + "1", shop + "2")), np.eye(2), None, np.ones(2)))
    ...     for shop in "ab"
    ... ]
    >>> [trace.name for trace in map_of(shops, labels=["Shop A", "Shop B"]).data]
    ['Shop A', 'Shop B']
    """
    return figure_of(joint_map(models, labels, method=method, seed=seed))
