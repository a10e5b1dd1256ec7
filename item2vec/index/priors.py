"""Search with a popularity prior that the approximate index does not include."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from item2vec.arrays import Floats, Mask, Rows
from item2vec.index.exact import ExactIndex
from item2vec.index.search import Index
from item2vec.kernels.compiled import view_of
from item2vec.kernels.rescoring import exact_scores

__all__ = ["PriorIndex", "with_prior"]

READ = 2
"""Initial number of rows per requested row to read from each of ``base`` and ``by_prior``; doubled later."""


@dataclass(frozen=True, eq=False)
class PriorIndex:
    """An approximate index over the rows of ``base``, each with its prior as an additional last dimension.

    The last element of a query is the weight of the prior. The best rows of ``base`` and the rows with the
    highest priors are read. Except for rows that ``base`` misses, no other row scores more than a bound: the
    lowest inner product among the best rows of ``base`` (or that of a group of equal rows of which ``base``
    returned only some, if it is higher), plus the weight times the next highest prior. The rows that score
    more than the bound are the candidates. The number of rows to read is doubled until there are ``n``
    candidates. A scan is requested if the number of rows to read reaches the number of all rows, if ``base``
    requests a scan, or if all elements of the query except the last are 0.

    Source: Fagin, Lotem & Naor, Optimal aggregation algorithms for middleware, PODS 2001 (the threshold
    algorithm).

    >>> from item2vec.index.building import build
    >>> prior = np.array([0, 5, 0], np.float32)
    >>> index = with_prior(build(np.eye(3, dtype=np.float32), kind="annoy"), prior)
    >>> index.matrix[1], index.by_prior.tolist()
    (array([0., 1., 0., 5.], dtype=float32), [1, 0, 2])
    """

    base: Index
    matrix: Floats
    largest_norm: float
    by_prior: Rows

    @property
    def n_built(self) -> int:
        """The number of rows over which the approximate index was built."""
        return self.base.n_built

    @property
    def kind(self) -> str:
        """The kind of ``base``, the index of the rows without the prior."""
        return self.base.kind

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:
        """Return about the best rows, at least ``n``, in any order; ``None`` to request a scan."""
        taste, weight = query[:-1], float(query[-1])
        n_read = READ * n
        while n_read < len(self.matrix) and taste.any():
            rows = self.base.candidates(taste, n_read, n_scanned)
            if rows is None:
                return None
            both = np.union1d(rows, self.by_prior[:n_read])
            scores = exact_scores(view_of(self.matrix), both, view_of(query[None]), np.zeros_like(both))
            read = both[np.isin(both, rows[rows < self.n_built])]
            products = scores[np.searchsorted(both, read)] - weight * self.matrix[read, -1]
            # Of a group of equal rows that ``base`` cut, the other rows have the same product.
            cut = products[self.are_cut(read, n_read)].max(initial=-np.inf)
            highest = max(products.min(initial=np.inf), cut)
            limit = highest + weight * self.matrix[self.by_prior[n_read], -1]
            best: Rows = both[scores > limit]
            if len(best) >= n:
                return best
            n_read *= 2
        return None

    def are_cut(self, rows: Rows, n: int) -> Mask:
        """Return, for each candidate of ``base``, whether ``base`` left out equal rows."""
        return self.base.are_cut(rows, n)

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """Write no file; return the description of an exact index, because ``base`` lacks the prior."""
        return ExactIndex(self.matrix, self.largest_norm).save(folder, prefix)


def with_prior(base: Index, prior: Floats) -> Index:
    """Return an index of the rows of ``base``, each with its prior (float32, n rows) as a last dimension.

    The result is exact if ``base`` is exact; otherwise, it is a ``PriorIndex``.
    """
    exact = ExactIndex.build(np.column_stack((base.matrix, prior)))
    if base.kind == "exact":
        return exact
    return PriorIndex(base, exact.matrix, exact.largest_norm, np.argsort(-prior, kind="stable"))
