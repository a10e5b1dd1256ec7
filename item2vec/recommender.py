"""A model that answers what comes next, what is alike, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from item2vec import bundle
from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import InputError
from item2vec.index import Index, build, find, find_many
from item2vec.interactions import microseconds
from item2vec.items import Items
from item2vec.ranking import top_k
from item2vec.sentences import Sentences, known_items, offsets_of
from item2vec.taste import Tastes, read_tastes, scored_matrix, taste_matrix
from item2vec.training import train
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_k
from item2vec.vectors import ItemVectors

__all__ = ["Recommender", "fit"]

Rows = npt.NDArray[np.intp]


class Recommender:
    """Item vectors, a way to read a taste from a history, and an index that finds the best items for it.

    Immutable; safe to share between threads.

    Parameters
    ----------
    vectors
        What training learned.
    score, decay, half_life, last_n
        How a history is read and items are scored: the fields of ``TasteConfig``. Unless told otherwise,
        vectors without an output matrix, such as those of a word2vec file, are scored by cosine, and those of
        next_item are read with the decays that they were trained with.
    index
        ``"exact"``; ``"annoy"``; or ``"auto"``, which is exact as long as that is as quick.
    recall
        Share of the true 10 best that an approximate index must find, measured when it is built.
    items
        Titles and attributes, kept with the model for people to read.

    Raises
    ------
    ConfigError
        If a setting is out of range, or the vectors have no output matrix for ``score="output"``.

    Examples
    --------
    >>> from item2vec import adapters, train
    >>> playlists = adapters.playlists([["a", "b", "c"], ["b", "c", "d"], ["a", "b", "d"]] * 20)
    >>> model = Recommender(train(playlists, vector_size=8, workers=1, seed=7), decay=0.8)
    >>> model
    Recommender(4 items × 8 dimensions, score='output', decay=0.8, index=exact)
    >>> len(model.recommend(["a", "b"], k=10))
    2
    """

    def __init__(
        self,
        vectors: ItemVectors,
        *,
        score: Literal["cosine", "output"] | None = None,
        decay: float | tuple[float, ...] | None = None,
        half_life: float | None = None,
        last_n: int | None = None,
        index: Literal["auto", "exact", "annoy"] = "auto",
        recall: float = 0.95,
        items: Items | None = None,
    ) -> None:
        score = score or ("cosine" if vectors.output is None else "output")
        if decay is None:
            decay = (vectors.config or TrainConfig()).taste_decay
        taste = TasteConfig(score=score, decay=decay, half_life=half_life, last_n=last_n)
        searched = scored_matrix(vectors, taste)
        built = build(searched, kind=index, queries=_typical_tastes(vectors, taste), recall=recall)
        self._take(bundle.Parts(vectors, taste, built, items))

    @classmethod
    def from_parts(cls, parts: bundle.Parts) -> Recommender:
        """Make a model of finished parts, as a bundle holds them."""
        model = cls.__new__(cls)
        model._take(parts)
        return model

    def _take(self, parts: bundle.Parts) -> None:
        self.parts = parts
        self.vectors = parts.vectors
        self.taste = parts.taste
        self.index = parts.index
        self.items = parts.items
        self._by_popularity: Rows = top_k(parts.vectors.counts, len(parts.vectors))

    def __repr__(self) -> str:
        n_items, size = self.vectors.input.shape
        told = f"score={self.taste.score!r}, decay={self.taste.decay}, index={self.index.kind}"
        return f"Recommender({n_items:,} items × {size} dimensions, {told})"

    @cached_property
    def _alike(self) -> Index:
        """What finds similar items; only on demand, since it may take a matrix of unit vectors in memory."""
        if self.taste.score == "cosine":
            return self.index
        return build(self.vectors.unit_input, kind="exact")

    @property
    def vocabulary(self) -> Vocabulary:
        """The items this model knows."""
        return self.vectors.vocabulary

    @property
    def exact(self) -> Recommender:
        """The same model with an exact index: itself, if it has one already."""
        if self.index.kind == "exact":
            return self
        return Recommender.from_parts(replace(self.parts, index=build(self.index.matrix, kind="exact")))

    def similar_items(self, item: str, *, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items nearest to one by the cosine of their input vectors, best first.

        Raises
        ------
        UnknownItemError
            If the model does not know the item; names the closest ids it knows.
        """
        return self.analogy(positive=[item], k=k)

    def analogy(
        self, *, positive: Iterable[str], negative: Iterable[str] = (), k: int = 10
    ) -> list[Recommendation]:
        """Return the ``k`` items nearest to the positive minus the negative ones, as in ``ItemVectors``."""
        check_k(k)
        target, named = self.vectors.analogy_target(positive, negative)
        return self._listed(*find(self._alike, target, k=k, excluded=named))

    def recommend(
        self,
        history: Iterable[str],
        *,
        k: int = 10,
        exclude: Iterable[str] = (),
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
        weights: Sequence[float] | npt.NDArray[Any] | None = None,
        timestamps: Sequence[Any] | npt.NDArray[Any] | None = None,
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a history, best first.

        Exactly ``k``, as long as so many items are eligible, whatever the filters and the index.

        Parameters
        ----------
        history
            Item ids, oldest first. Items the model does not know are skipped; if nothing is left, the most
            popular items answer, with ``source="popular"``.
        exclude, deny
            Items that are not to be returned: for this request, and as a rule. Unknown ones are ignored.
        allow
            If given, only these items may be returned.
        filter_seen
            Leave out the items of the history.
        weights
            How much each history item counts, in the same order; finite and not negative.
        timestamps
            When each was had (``datetime``, ``datetime64``, or microseconds since 1970), for ``half_life``.
        """
        check_k(k)
        history = as_history(history)
        codes = self.vocabulary.encode(history)
        known = codes >= 0
        rows = codes[known]
        tastes = read_tastes(
            self.vectors,
            self.taste,
            rows,
            offsets_of([len(rows)]),
            weights=None if weights is None else _weights(weights, len(history))[known],
            timestamps=None if timestamps is None else _moments(timestamps, len(history))[known],
        )
        barred = [self._rows(exclude, "exclude"), self._rows(deny, "deny")]
        excluded: Rows = np.concatenate([*barred, rows] if filter_seen else barred)
        allowed = None if allow is None else np.unique(self._rows(allow, "allow"))
        if tastes.empty[0]:
            return self._popular(k, excluded, allowed)
        return self._listed(*find(self.index, tastes.vectors[0], k=k, excluded=excluded, allowed=allowed))

    def recommend_many(
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        exclude: Iterable[Iterable[str]] | None = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
    ) -> list[list[Recommendation]]:
        """Return for each history what ``recommend`` would, much faster than one by one.

        ``exclude`` is a list of items for each history; ``allow`` and ``deny`` hold for all of them.
        """
        check_k(k)
        rows, offsets = known_items(self.vocabulary, histories)
        tastes = read_tastes(self.vectors, self.taste, rows, offsets)
        denied = self._rows(deny, "deny")
        allowed = None if allow is None else np.unique(self._rows(allow, "allow"))
        excluded: list[Rows] = [
            np.concatenate((denied, rows[left:right])) if filter_seen else denied
            for left, right in pairwise(offsets.tolist())
        ]
        if exclude is not None:
            own = [self._rows(items, "exclude") for items in exclude]
            if len(own) != len(excluded):
                raise InputError(
                    f"exclude has {len(own)} lists for {len(excluded)} histories; expected as many"
                )
            excluded = [np.concatenate(pair) for pair in zip(excluded, own, strict=True)]
        asked = np.flatnonzero(~tastes.empty)
        found = find_many(
            self.index,
            tastes.vectors[asked],
            k=k,
            excluded=[excluded[history] for history in asked],
            allowed=allowed,
        )
        answers = {
            history: self._listed(*answer) for history, answer in zip(asked.tolist(), found, strict=True)
        }
        return [
            answers[history] if history in answers else self._popular(k, excluded[history], allowed)
            for history in range(len(excluded))
        ]

    def explain(self, history: Iterable[str], item: str) -> list[Share]:
        """Return what each item of a history contributes to a recommendation, largest share first.

        The shares add up to the score that ``recommend`` gives the item. An item that stands in the history
        several times is named once, with the sum. Empty if the model knows nothing in the history.

        Raises
        ------
        UnknownItemError
            If the model does not know the item.
        """
        target = self.vocabulary.code(item)
        codes = self.vocabulary.encode(as_history(history))
        rows = codes[codes >= 0]
        tastes: Tastes = read_tastes(self.vectors, self.taste, rows, offsets_of([len(rows)]))
        if tastes.empty[0]:
            return []
        inputs = taste_matrix(self.vectors, self.taste)[rows].astype(np.float64)
        scored = scored_matrix(self.vectors, self.taste)[target].astype(np.float64)
        distinct, place = np.unique(rows, return_inverse=True)
        products = (inputs * scored).reshape(len(rows), tastes.weights.shape[1], -1).sum(axis=2)
        shares = np.bincount(place, (tastes.weights * products).sum(axis=1) / tastes.norms[0])
        order = np.argsort(-shares, kind="stable")
        ids = self.vocabulary.decode(distinct[order])
        return [Share(id_, float(share)) for id_, share in zip(ids, shares[order], strict=True)]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model into a new folder, whole or not at all; ``item2vec.load`` reads it back.

        Raises
        ------
        BundleExistsError
            If there is something at this path already.
        """
        bundle.write(self.parts, Path(path))

    def _rows(self, items: Iterable[str], name: str) -> Rows:
        codes = self.vocabulary.encode(as_history(items, name))
        return codes[codes >= 0].astype(np.intp)

    def _popular(self, k: int, excluded: Rows, allowed: Rows | None) -> list[Recommendation]:
        eligible = np.ones(len(self.vectors), dtype=bool)
        if allowed is not None:
            eligible[:] = False
            eligible[allowed] = True
        eligible[excluded] = False
        rows = self._by_popularity[eligible[self._by_popularity]][:k]
        return self._listed(rows, self.vectors.counts[rows] / max(self.vectors.counts.sum(), 1), "popular")

    def _listed(self, rows: Rows, scores: npt.NDArray[Any], source: str = "model") -> list[Recommendation]:
        ids = self.vocabulary.decode(rows)
        return [Recommendation(*pair, source) for pair in zip(ids, scores.tolist(), strict=True)]


def fit(
    sentences: Sentences,
    config: Config | None = None,
    *,
    items: Items | None = None,
    validation: Sentences | None = None,
    start: ItemVectors | None = None,
) -> Recommender:
    """Train on sentences and make a model of the vectors, in one call.

    ``validation`` and ``start`` are those of ``train``.

    >>> from item2vec import TrainConfig, adapters
    >>> fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]), Config(train=TrainConfig(sample=0)))
    Recommender(4 items × 64 dimensions, score='output', decay=0.7, index=exact)
    """
    config = config or Config()
    vectors = train(sentences, config=config.train, validation=validation, taste=config.taste, start=start)
    return Recommender(
        vectors, **config.taste.model_dump(exclude_unset=True), index=config.index, items=items
    )


def _typical_tastes(vectors: ItemVectors, taste: TasteConfig, n: int = 256) -> npt.NDArray[np.float32]:
    """Return tastes of one-item histories, of items drawn by popularity: what an index will be asked."""
    random = np.random.default_rng(0)
    chances = vectors.counts + 1
    rows = random.choice(len(vectors), size=min(n, len(vectors)), p=chances / chances.sum())
    return taste_matrix(vectors, taste)[rows]


def _weights(weights: Sequence[float] | npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    column = np.asarray(weights, dtype=np.float64)
    if column.shape != (n,) or not bool(np.all(np.isfinite(column) & (column >= 0))):
        raise InputError(f"weights are {weights!r}; expected {n} finite numbers >= 0, one a history item")
    return column


def _moments(timestamps: Sequence[Any] | npt.NDArray[Any], n: int) -> npt.NDArray[np.int64]:
    column = microseconds(timestamps)
    if column.shape != (n,):
        raise InputError(f"{column.size} timestamps for {n} history items; expected one each")
    return column
