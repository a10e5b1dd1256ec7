"""``Answers``: recommendations for many histories, in arrays and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Floats, Mask, Rows
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.items import Items
from item2vec.types import Recommendation, Vocabulary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answers"]

MOST_COLUMNS = 10_000
"""Maximum ``k`` of arrays for models with fewer items; cells beyond the number of items stay empty."""


@dataclass(frozen=True, eq=False, repr=False)
class Answers:
    """The recommendations for n histories, with at most k items per history. Immutable.

    Attributes
    ----------
    items
        The recommended items as codes of ``vocabulary`` (int32, n × k): one row per history, best item first.
        A row with fewer than k items is padded with -1.
    scores
        The scores of the items (float32, n × k); NaN where ``items`` is -1.
    vocabulary
        The items of the model.
    source, sources
        ``sources`` holds the names of the sources, such as ``"model"`` and ``"popular"``. ``source`` holds
        the source of each item, as an index of ``sources`` (int8, n × k); -1 where ``items`` is -1.
    users
        The user id of each history (n); ``None`` if the histories have no user ids.
    titles
        Items with titles, for the column ``title`` of ``to_frame``; ``None`` if there are no titles.

    Examples
    --------
    >>> songs = Vocabulary(("a", "b", "c"))
    >>> answers = Answers.of([([2, 0], [0.5, 0.25], "model"), ([1], [0.1], "popular")], 2, songs)
    >>> answers
    Answers(2 × 2)
    >>> answers.items
    array([[ 2,  0],
           [ 1, -1]], dtype=int32)
    >>> answers[1]
    [Recommendation(item='b', score=0.10000000149011612, source='popular')]
    """

    items: Codes
    scores: Floats
    vocabulary: Vocabulary
    source: npt.NDArray[np.int8]
    sources: tuple[str, ...]
    users: tuple[str, ...] | None = None
    titles: Items | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", read_only(self.items, np.int32))
        object.__setattr__(self, "scores", read_only(self.scores, np.float32))
        object.__setattr__(self, "source", read_only(self.source, np.int8))
        if self.users is not None and len(self.users) != len(self.items):
            raise InputError(
                f"found {len(self.users):,} users for {len(self.items):,} rankings; expected one per ranking"
            )

    @classmethod
    def of(
        cls,
        rankings: Iterable[tuple[Rows | Sequence[int], npt.NDArray[Any] | Sequence[float], str]],
        k: int,
        vocabulary: Vocabulary,
        *,
        untrained: Mask | None = None,
        titles: Items | None = None,
    ) -> Answers:
        """Create an ``Answers`` from one ranking per history.

        A ranking is a tuple of the model rows of at most ``k`` items, the scores of these rows, and the name
        of the source. ``untrained`` (bool) has one flag per row of the model. For the rows that it marks,
        the source ``"model"`` is replaced by ``"attributes"``.

        Raises
        ------
        InputError
            If ``k``, the number of columns, exceeds both ``MOST_COLUMNS`` and the number of items.
        """
        if k > max(MOST_COLUMNS, len(vocabulary)):
            raise InputError(
                f"k is {k:,}, and the model has {len(vocabulary):,} items; expected at most "
                f"{max(MOST_COLUMNS, len(vocabulary)):,} for arrays, which have k columns: lower k"
            )
        columns = tuple(zip(*rankings, strict=True))
        all_rows, all_scores, of_answers = columns or ((), (), ())
        counts = np.array([len(rows) for rows in all_rows], dtype=np.int64)
        filled = np.arange(k) < counts[:, None]
        items = np.full(filled.shape, -1, dtype=np.int32)
        scores = np.full(filled.shape, np.nan, dtype=np.float32)
        items[filled] = np.concatenate([np.empty(0, np.int32), *all_rows])
        scores[filled] = np.concatenate([np.empty(0, np.float32), *all_scores])
        sources = tuple(dict.fromkeys(("model", "attributes", *of_answers)))
        of_rows = np.array([sources.index(source) for source in of_answers], dtype=np.int8)
        source = np.where(filled, of_rows[:, None], -1).astype(np.int8)
        if untrained is not None:
            source[(source == 0) & np.append(untrained, False)[items]] = 1
        return cls(items, scores, vocabulary, source, sources, titles=titles)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Answers({self.items.shape[0]:,} × {self.items.shape[1]:,})"

    def __getitem__(self, number: int) -> list[Recommendation]:
        """Return the recommendations for one history as a list; the scores are rounded to float32."""
        filled = self.items[number] >= 0
        ids = self.vocabulary.decode(self.items[number][filled])
        sources = [self.sources[code] for code in self.source[number][filled].tolist()]
        return list(map(Recommendation, ids, self.scores[number][filled].tolist(), sources))

    def columns(self) -> dict[str, Any]:
        """Return the columns of ``to_frame`` by name: an array, or a pair (codes, texts) for text.

        In a pair, the text of a cell is ``texts[code]``.

        >>> columns = Answers.of([([2, 0], [0.5, 0.25], "model")], 2, Vocabulary(("a", "b", "c"))).columns()
        >>> columns["rank"], columns["item"]
        (array([1, 2], dtype=int32), (array([2, 0], dtype=int32), ('a', 'b', 'c')))
        """
        owners, ranks = np.nonzero(self.items >= 0)
        codes = self.items[owners, ranks]
        return {
            "user": owners if self.users is None else (owners.astype(np.int32), self.users),
            "rank": (ranks + 1).astype(np.int32),
            "item": (codes, self.vocabulary.ids),
            "score": self.scores[owners, ranks],
            "source": (self.source[owners, ranks].astype(np.int32), self.sources),
            "title": (codes, self._titles()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with the columns ``user rank item score source title``.

        There is one row per recommended item. Rows are in the order of the histories, then of the ranks,
        which start at 1. ``user`` is the user id, or the index of the history if there are no user ids.
        The value of ``title`` is missing if the title of the item is unknown.

        >>> Answers.of([([2, 0], [0.5, 0.25], "model")], 2, Vocabulary(("a", "b", "c"))).to_frame()
           user  rank item  score source title
        0     0     1    c   0.50  model  None
        1     0     2    a   0.25  model  None
        """
        from item2vec.readers.writing import data_frame

        return data_frame(self.columns())

    def _titles(self) -> Sequence[str | None]:
        """Return the title of each item of ``vocabulary``; ``None`` for an item without a title."""
        if self.titles is None:
            return [None] * len(self.vocabulary)
        known = (*(title or None for title in self.titles.titles), None)
        return [known[code] for code in self.titles.vocabulary.encode(self.vocabulary.ids).tolist()]
