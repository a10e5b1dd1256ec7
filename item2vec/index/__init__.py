"""Maximum inner product search: return the rows of a matrix with the highest inner products with a query.

The inner product serves both kinds of scores. For cosines, the caller passes unit rows and unit queries; for
output scores, the caller passes unscaled output vectors. An index only proposes candidates: whatever the
index, the search in ``index/search.py`` applies the filters and computes exact scores.
"""

from __future__ import annotations

from item2vec.index.bonuses import Bonuses
from item2vec.index.building import build, load
from item2vec.index.search import Index, SearchResult, find, find_many

__all__ = ["Bonuses", "Index", "SearchResult", "build", "find", "find_many", "load"]
