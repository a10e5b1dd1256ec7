"""Search of items by id and title, tolerant of typing errors (trigrams)."""

from __future__ import annotations

import re
import threading
import unicodedata
import weakref
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Offsets
from item2vec.items import Items
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors
from item2vec.view import View

__all__ = ["ItemSearch", "ItemSearches"]

LONGEST_TEXT = 200
_WORD = re.compile(r"[^\W_]+")


class ItemSearch:
    """Index of the trigrams of ids and titles.

    The score of a text is the share of the query's trigrams that the text contains, similar to
    ``word_similarity`` of PostgreSQL's pg_trgm, plus a tenth of the share of the text's trigrams that the
    query contains, so that shorter texts come first. The score of an item is the larger of the scores of its
    id and its title; an id that equals the query has the highest score.

    Parameters
    ----------
    vocabulary
        Ids of the items that are searched.
    items
        The items with their titles, or ``None``.
    counts
        Number of tokens of each item of ``vocabulary``, or the sum of the weights of these tokens. Items with
        equal scores are in descending order of this number.

    Examples
    --------
    >>> ids = Vocabulary(("s1", "s2"))
    >>> titles = Items.of({"s1": {"title": "Blue Monday"}, "s2": {"title": "Bizarre Love Triangle"}})
    >>> ItemSearch(ids, titles, np.array([5, 3])).best("blue mnday", k=1)
    ['s1']
    """

    def __init__(self, vocabulary: Vocabulary, items: Items | None, counts: npt.ArrayLike) -> None:
        self._vocabulary = vocabulary
        self._counts: Doubles = np.asarray(counts, dtype=np.float64)
        texts, owners = list(vocabulary.ids), list(range(len(vocabulary)))
        if items is not None:
            for code, title in zip(
                vocabulary.encode(items.vocabulary.ids).tolist(), items.titles, strict=True
            ):
                if code >= 0 and title:
                    texts.append(title)
                    owners.append(code)
        self._owners: Codes = np.array(owners, dtype=np.int32)
        grams, documents = _trigrams(texts)
        self._lengths = np.bincount(documents, minlength=len(texts))
        order = np.argsort(grams, kind="stable")
        self._documents = documents[order].astype(np.int32)
        self._grams, starts = np.unique(grams[order], return_index=True)
        self._bounds: Offsets = np.append(starts, len(grams))

    def best(self, query: str, *, k: int = 10) -> list[str]:
        """Return the ids of up to ``k`` items that share a trigram with the query, best first.

        The item whose id is the query is the first.
        """
        wanted = np.unique(_trigrams([query])[0])
        if not len(wanted) or not len(self._grams):
            return []
        places = np.minimum(np.searchsorted(self._grams, wanted), len(self._grams) - 1)
        places = places[self._grams[places] == wanted]
        lists = [self._documents[self._bounds[place] : self._bounds[place + 1]] for place in places]
        documents, common = np.unique(np.concatenate([np.empty(0, np.int32), *lists]), return_counts=True)
        scores = common / len(wanted) + 0.1 * common / self._lengths[documents]
        items, inverse = np.unique(self._owners[documents], return_inverse=True)
        best = np.zeros(len(items))
        np.maximum.at(best, inverse, scores)
        best[items == self._vocabulary.encode([query])[0]] = np.inf
        order = np.lexsort((items, -self._counts[items], -best))[:k]
        return self._vocabulary.decode(items[order])


class ItemSearches:
    """The index of the items of the latest view.

    Requests wait only for the first index. When the items have changed, a thread computes a new index, and
    the old index remains in use until then. A change of active flags does not require a new index. A new
    model requires a new index, because items with equal scores are ordered by the counts of the model.

    >>> ItemSearches().is_computing
    False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A reference to the vectors would keep the files of a replaced version until the next search.
        self._last: tuple[weakref.ref[ItemVectors], Items | None, ItemSearch] | None = None
        self.is_computing = False

    def of(self, view: View) -> ItemSearch:
        """Return the index of the items of a view, or the previous index while the new one is computed."""
        with self._lock:
            is_computing = self.is_computing  # read first: a thread stores its index, then resets this flag
            last = self._last
            if last is None:
                return self._compute(view)
            is_current = last[0]() is view.model.vectors and last[1] is view.items
            if not is_current and not is_computing:
                self.is_computing = True
                name = "item2vec-item-search"
                threading.Thread(target=self._compute, args=(view,), name=name, daemon=True).start()
        return last[2]

    def _compute(self, view: View) -> ItemSearch:
        try:
            search = _search_of(view)
            self._last = (weakref.ref(view.model.vectors), view.items, search)
        finally:
            self.is_computing = False
        return search


def _search_of(view: View) -> ItemSearch:
    """Return an index of the items of the model and of the catalogue of a view."""
    known, listed = view.model.vocabulary, view.catalogue.items.vocabulary
    added = [id_ for id_ in listed.ids if id_ not in known]
    counts = np.append(view.model.vectors.counts, np.zeros(len(added)))
    return ItemSearch(Vocabulary((*known.ids, *added)), view.items, counts)


def _trigrams(texts: Iterable[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return two arrays: the distinct trigrams of each text; and the number of the text of each trigram.

    Trigrams are encoded as integers, and texts are numbered from 0. Texts are cut to 200 characters and
    case-folded, and accents are removed. Words are runs of letters and digits; other characters are removed,
    unless the text has no letters and digits, such as an emoji. Each word is preceded by two spaces, so that
    the start of a word counts more.
    """
    padded = [_padded(text) for text in texts]
    lengths = np.array([len(text) for text in padded])
    characters = np.frombuffer("".join(padded).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    if len(characters) < 3 or not padded:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    grams = characters[:-2] << 42 | characters[1:-1] << 21 | characters[2:]
    documents = np.repeat(np.arange(len(padded)), lengths)
    inside = documents[:-2] == documents[2:]
    distinct, codes = np.unique(grams[inside], return_inverse=True)
    pairs = np.unique(documents[:-2][inside] * np.int64(len(distinct)) + codes)
    return distinct[pairs % len(distinct)], pairs // len(distinct)


def _padded(text: str) -> str:
    folded = text[:LONGEST_TEXT].casefold()
    if not folded.isascii():
        folded = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    return "".join(f"  {word}" for word in _WORD.findall(folded) or folded.split())
