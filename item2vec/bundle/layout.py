"""Compute the positions of a model's items on a plane (the layout), before the model is published."""

from __future__ import annotations

import logging
from dataclasses import replace

from item2vec.bundle.parts import Parts
from item2vec.mapping import layout
from item2vec.mapping.positions import available_method

__all__ = ["with_layout"]

MAX_ITEMS = 1_000_000

log = logging.getLogger(__name__)


def with_layout(parts: Parts) -> Parts:
    """Return the model with a layout of its items. A model that already has a layout is returned unchanged.

    The layout is computed by t-SNE, or by principal components if openTSNE is not installed. If the
    computation fails, or the model has more than 1,000,000 items, a warning is logged, and the model is
    returned without a layout.

    Examples
    --------
    >>> import numpy as np
    >>> from item2vec import ItemVectors, Recommender, Vocabulary
    >>> parts = Recommender(ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2))).parts
    >>> with_layout(parts).layout.shape
    (2, 2)
    """
    if parts.layout is not None:
        return parts
    if len(parts.vectors) > MAX_ITEMS:
        facts = {"items": len(parts.vectors), "most": MAX_ITEMS}
        log.warning("the model is published without a layout: too many items", extra={"facts": facts})
        return parts
    try:
        return replace(parts, layout=layout(parts.vectors, method=available_method()))
    except Exception as error:  # noqa: BLE001 - the model is published without a map
        found = f"{type(error).__name__}: {error}"
        log.warning("the model is published without a layout", extra={"facts": {"error": found}})
        return parts
