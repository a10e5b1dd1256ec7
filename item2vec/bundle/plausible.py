"""Check that the vectors of a model are small enough for finite scores."""

from __future__ import annotations

import numpy as np

from item2vec.errors import InputError
from item2vec.matrices import MAX_NORM, invalid_row
from item2vec.vectors import ItemVectors

__all__ = ["check_norms"]


def check_norms(vectors: ItemVectors) -> None:
    """Raise ``InputError`` if the norm of a vector, or the weight of a history position, is not below 1e18.

    With larger norms or weights, scores may not be finite.

    >>> from item2vec.types import Vocabulary
    >>> check_norms(ItemVectors(Vocabulary(("a", "b")), np.diag([1, 3e38]), None, np.array([2, 1])))
    Traceback (most recent call last):
    item2vec.errors.InputError: the input vector of 'b' has norm 3e+38; expected a norm below ...
    """
    for name, matrix in (("input", vectors.input), ("output", vectors.output)):
        if matrix is not None and (invalid := invalid_row(matrix)) is not None:
            row, norm = invalid
            raise InputError(
                f"the {name} vector of {vectors.vocabulary.ids[row]!r} has norm {norm:.3g}; expected a norm "
                f"below {MAX_NORM:.0e}: train again with a lower alpha"
            )
    if vectors.positions is not None and not bool(np.all(vectors.positions < MAX_NORM)):
        raise InputError(
            f"positions contains the weight {vectors.positions.max():.3g}; expected weights below "
            f"{MAX_NORM:.0e}: train again with a lower alpha"
        )
