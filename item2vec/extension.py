"""``Extension``: adds rows for new items to a model, with vectors that are computed without training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from item2vec.bundle import Parts
from item2vec.cold import AttributeRegression, ColdVectors, mean_vectors
from item2vec.geometry import set_unit_input
from item2vec.index.extended import extended
from item2vec.items import Items
from item2vec.mapping.positions import beside, compared_matrix
from item2vec.matrices import unit_rows
from item2vec.prior import searched_matrix
from item2vec.row_rules import rows_of
from item2vec.taste import decays
from item2vec.types import Vocabulary

__all__ = ["NOTHING", "Extension"]

NOTHING: Mapping[str, Iterable[str]] = MappingProxyType({})


class Extension:
    """Add new items to a model.

    A ridge regression predicts the vectors of new items from their attributes. The regression is fitted on
    first use, and then reused. It is fitted to the attributes of the model's items or, if the model has no
    attributes, to the attributes of the items that are passed to ``applied``. An item without a known
    attribute value gets the mean of the vectors of the items that occurred together with it, scaled as in
    ``cold.mean_vectors``. An ``Engine`` reads these items from its store: those beside the first interactions
    with the new item, if these were ingested after the model was created.

    Parameters
    ----------
    parts
        The parts of a trained model.

    Examples
    --------
    >>> from item2vec import ItemVectors, Recommender
    >>> vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2))
    >>> songs = Items.of({"a": {"genre": "jazz"}, "b": {"genre": "soul"}})
    >>> parts = Recommender(vectors, items=songs).parts
    >>> more = Items.of({"c": {"genre": "soul"}, "d": {}, "e": {}})
    >>> added = Extension(parts).applied(parts, more, together={"d": ["a"]}).vectors
    >>> added.vocabulary.ids, added.counts
    (('a', 'b', 'c', 'd'), array([1., 1., 0., 1.]))
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._n_parts = len(decays(parts.taste))
        self._fitted: AttributeRegression | None = None

    def _regression(self, items: Items) -> AttributeRegression | None:
        """Return the regression; ``None`` if neither the model's items nor ``items`` have attributes."""
        if self._fitted is None:
            own = self.parts.items
            described = items if own is None or not own.attribute_names else own
            if described.attribute_names:
                self._fitted = AttributeRegression.fit(self.parts.vectors, described, n_parts=self._n_parts)
        return self._fitted

    def applied(self, parts: Parts, items: Items, *, together: Mapping[str, Iterable[str]]) -> Parts:
        """Return ``parts`` with a row for each new item of ``items``.

        ``parts`` are ``self.parts``, or the result of an earlier call. ``together`` maps the id of an item to
        the ids of the items that occurred together with it. An item that gets no vector is left out. A row
        that is predicted from attributes has count 0; any other new row has count 1.
        """
        new = _unknown(items, parts)
        if len(new) and (regression := self._regression(items)) is not None:
            parts = _with_rows(parts, new, regression.predict(new), count=0.0)
            new = _unknown(new, parts)
        near = [rows_of(parts.vectors.vocabulary, together.get(item, ())) for item in new.vocabulary]
        if any(map(len, near)):
            parts = _with_rows(
                parts, new, mean_vectors(parts.vectors, near, n_parts=self._n_parts), count=1.0
            )
        return parts


def _unknown(items: Items, parts: Parts) -> Items:
    return items.take(np.flatnonzero(parts.vectors.vocabulary.encode(items.vocabulary.ids) < 0))


def _with_rows(parts: Parts, items: Items, cold: ColdVectors, *, count: float) -> Parts:
    if not len(cold.positions):
        return parts
    added = items.take(cold.positions)
    vectors, n = parts.vectors, len(added)
    outputs = [matrix for matrix in (vectors.output, cold.output) if matrix is not None]
    longer = replace(
        vectors,
        vocabulary=Vocabulary((*vectors.vocabulary.ids, *added.vocabulary.ids)),
        input=np.concatenate((vectors.input, cold.input)),
        output=np.concatenate(outputs) if outputs else None,
        counts=np.append(vectors.counts, np.full(n, count)),
    )
    similar = parts.similar_index
    if similar is not None:
        set_unit_input(longer, np.concatenate((similar.matrix, unit_rows(cold.input))))
        similar = extended(similar, longer.unit_input)
    prior = None if parts.prior is None else np.append(parts.prior, np.zeros(n, dtype=np.float32))
    layout = parts.layout
    if layout is not None:
        unplaced = np.full((n, 2), np.nan, dtype=np.float32)
        layout = beside(compared_matrix(longer), longer.counts, np.concatenate((layout, unplaced)))
    table = parts.neighbours
    return replace(
        parts,
        vectors=longer,
        index=extended(parts.index, searched_matrix(longer, parts.taste, prior)),
        items=added if parts.items is None else parts.items.updated(added),
        neighbours=table
        and replace(table, offsets=np.append(table.offsets, np.repeat(table.offsets[-1:], n))),
        prior=prior,
        layout=layout,
        similar_index=similar,
    )
