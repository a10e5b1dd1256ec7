"""Maximum inner product search: which rows of a matrix have the highest inner products with a query.

One metric serves both scores. For cosines, the caller passes unit rows and unit queries; for output scores,
the rows unscaled. Whatever the index, ``index/search.py`` filters the candidates and scores them exactly.
"""

from __future__ import annotations

from item2vec.index.bonuses import Bonuses
from item2vec.index.building import build, load
from item2vec.index.search import Index, SearchResult, find, find_many

__all__ = ["Bonuses", "Index", "SearchResult", "build", "find", "find_many", "load"]
