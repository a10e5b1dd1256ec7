"""Selection of k rows from a source: caps by attribute (``at_most``), and diversity."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.catalogue import Values
from item2vec.kernels.diversity import next_diverse
from item2vec.matrices import unit_rows
from item2vec.row_rules import RowRules
from item2vec.sources import Ranking, Source
from item2vec.vectors import ItemVectors

__all__ = ["select"]

OVER_FETCHED = 2
"""Without diversity, the first block has ``OVER_FETCHED * k`` rows."""

DEMOTION = 3.0
"""Subtracted from the relevance of demoted rows; exceeds 2, the range of marginal relevances."""

POOL = 50
POOL_PER_ITEM = 5


def select(source: Source, rules: RowRules, vectors: ItemVectors, k: int) -> list[Ranking]:
    """Return up to ``k`` rows for each query of a source, as ``at_most`` and ``diversity`` require.

    ``item2vec.rules.Rules`` describes both rules. Rows are read in blocks of doubling size until ``k`` rows
    are selected or no eligible row is left. With diversity, the first block is the pool of maximal marginal
    relevance, and rows of later blocks are selected in the order of the source: by score, demoted rows last.
    Without diversity, all rows are selected in this order, so that the result does not depend on the size of
    the blocks.
    """
    if not rules.caps and not rules.diversity:
        return source.best(k)
    pool = max(POOL, POOL_PER_ITEM * k) if rules.diversity else 0
    n = pool or OVER_FETCHED * k
    return [
        _select(_Stream(source, query, first, n, len(vectors)), rules, vectors, k, pool)
        for query, first in enumerate(source.best(n))
    ]


def _select(stream: _Stream, rules: RowRules, vectors: ItemVectors, k: int, pool: int) -> Ranking:
    caps = _Caps(rules.caps)
    for row in rules.selected.tolist():
        caps.admit(row)
    chosen: list[Ranking] = []
    n_left = k
    for block in stream.blocks():
        if pool and not chosen:
            positions = _most_diverse(block, vectors, rules, n_left, caps)
        else:
            positions = _first(block.rows, n_left, caps)
        demoted = None if block.demoted is None else block.demoted[positions]
        chosen.append(Ranking(block.rows[positions], block.scores[positions], block.source, demoted))
        n_left -= len(positions)
        if not n_left:
            break
        stream.leave_out(caps.full_rows())
    if len(chosen) == 1:
        return chosen[0]
    rows = np.concatenate([ranking.rows for ranking in chosen])
    scores = np.concatenate([ranking.scores for ranking in chosen])
    if not pool:
        # A later search, with more rows left out, may find a row that an approximate index missed before.
        demoted = np.concatenate([_is_demoted(ranking) for ranking in chosen])
        order = np.lexsort((rows, -scores, demoted))
        rows, scores = rows[order], scores[order]
    return Ranking(rows, scores, chosen[0].source)


def _is_demoted(ranking: Ranking) -> Mask:
    return np.zeros(len(ranking.rows), dtype=bool) if ranking.demoted is None else ranking.demoted


class _Stream:
    """The rows of one query in the order of the source, in blocks of doubling size."""

    def __init__(self, source: Source, query: int, first: Ranking, n: int, n_rows: int) -> None:
        self._source = source
        self._query = query
        self._first = first
        self._n = n
        self._n_rows = n_rows

    def blocks(self) -> Iterator[Ranking]:
        """Yield the first block, then blocks of the best rows that are not yet yielded and not left out."""
        block, n = self._first, self._n
        yield block
        source = self._source.take(self._query)
        while len(block.rows) == n:
            self.leave_out(block.rows)
            n *= 2
            (block,) = source.within(self._is_left).best(n)
            yield block

    def leave_out(self, rows: Rows) -> None:
        """Leave rows out of the later blocks."""
        self._is_left[rows] = False

    @cached_property
    def _is_left(self) -> Mask:
        return np.ones(self._n_rows, dtype=bool)


class _Caps:
    """For each capped attribute, the number of selected rows per value."""

    def __init__(self, caps: tuple[tuple[Values, int], ...]) -> None:
        self._caps: list[tuple[Values, int, dict[int, int]]] = [(values, most, {}) for values, most in caps]

    def admit(self, row: int) -> bool:
        """Count a row and return True; if one of its values has reached the limit, only return False."""
        own = [(values.of(row), most, counts) for values, most, counts in self._caps]
        if any(counts.get(value, 0) >= most for codes, most, counts in own for value in codes):
            return False
        for codes, _, counts in own:
            for value in codes:
                counts[value] = counts.get(value, 0) + 1
        return True

    def full_rows(self) -> Rows:
        """Return the rows with a value that has reached its limit."""
        parts = [np.empty(0, dtype=np.intp)]
        for values, most, counts in self._caps:
            is_full = np.zeros(int(values.codes.max(initial=0)) + 1, dtype=bool)
            is_full[[value for value, count in counts.items() if count >= most]] = True
            parts.append(values.rows_with(is_full))
        return np.concatenate(parts)


def _first(rows: Rows, k: int, caps: _Caps) -> list[int]:
    """Return the positions of the first ``k`` rows that the caps admit."""
    positions: list[int] = []
    for position, row in enumerate(rows.tolist()):
        if len(positions) == k:
            break
        if caps.admit(row):
            positions.append(position)
    return positions


def _most_diverse(pool: Ranking, vectors: ItemVectors, rules: RowRules, k: int, caps: _Caps) -> list[int]:
    """Return the positions of up to ``k`` rows of a pool, in order of maximal marginal relevance."""
    diversity, n_before = rules.diversity, len(rules.selected)
    units = _units(np.concatenate((rules.selected, pool.rows)), vectors)
    selected, units = units[:n_before], units[n_before:]
    relevance = (1 - diversity) * _scaled(pool.scores)
    if pool.demoted is not None:
        relevance[pool.demoted] -= DEMOTION
    nearest = np.full(len(pool.rows), -np.inf)
    is_left = np.ones(len(pool.rows), dtype=bool)
    positions: list[int] = []
    while len(positions) < k:
        position = next_diverse(units, relevance, nearest, is_left, diversity, selected)
        if position < 0:
            break
        is_left[position] = False
        is_admitted = caps.admit(int(pool.rows[position]))
        selected = units[position : position + is_admitted]
        if is_admitted:
            positions.append(position)
    return positions


def _scaled(scores: npt.NDArray[Any]) -> Doubles:
    """Return scores scaled to 0…1; if all scores are equal, all become 0."""
    if not len(scores):
        return np.zeros(0)
    least, most = float(scores.min()), float(scores.max())
    scaled: Doubles = (scores.astype(np.float64) - least) / (most - least or 1.0)
    return scaled


def _units(rows: Rows, vectors: ItemVectors) -> Floats:
    """Return the unit input vectors of rows.

    If at least one of the rows has no input vector, and there are output vectors, return the unit output
    vectors of all rows instead.
    """
    if vectors.output is not None and not vectors.has_input[rows].all():
        return unit_rows(vectors.output[rows])
    return unit_rows(vectors.input[rows])
