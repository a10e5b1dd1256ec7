"""``Recommender``: recommendations for a history, similar items, analogies, and explanations."""

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
from item2vec.arrays import Floats, Mask, Rows
from item2vec.bonuses import history_bonuses, token_bonuses
from item2vec.config.adapter import AdapterConfig
from item2vec.config.settings import Learned
from item2vec.config.taste import TasteConfig
from item2vec.errors import InputError
from item2vec.index.building import build
from item2vec.index.search import Index, find, find_many
from item2vec.items import Items
from item2vec.neighbours import NeighbourTable
from item2vec.prior import popularity_shares, queries_of, searched_matrix, typical_queries
from item2vec.ranking import top_k
from item2vec.sentences import Histories, Sentences, encode_histories
from item2vec.taste import Tastes, read_tastes, token_scores
from item2vec.types import Recommendation, Share, Vocabulary, as_history, check_k
from item2vec.vectors import ItemVectors

__all__ = ["Recommender"]


class Recommender:
    """A model: item vectors, the settings of tastes and scores, and a search index.

    Immutable and thread-safe.

    Parameters
    ----------
    vectors
        The result of training.
    score, decay, part_weights, half_life, last_n, repeat_bonus, mixture, popularity, popularity_half_life
        The fields of ``TasteConfig``. By default, score, decay and part weights of next_item vectors are
        taken from the training settings. Vectors without an output matrix are scored by cosine by default.
    index
        ``"exact"``, ``"annoy"``, or ``"auto"``: exact if a scan is as fast as Annoy.
    recall
        Minimum recall@10 of an approximate index against exact search, measured when it is built.
    items
        Titles and attributes of the items, saved with the model.
    adapter
        The settings that turned events into training sentences. ``Engine`` applies them to users' histories.
    neighbours
        The table of neighbours for ``mixture``, with a row per row of ``vectors``; computed by ``fit``.
    prior
        The popularity prior (float32, n items), added to scores times ``popularity``; computed by ``fit``.

    Raises
    ------
    ConfigError
        If a setting is out of range, or its data are missing: the output matrix for ``score="output"``, the
        table for ``mixture``, the prior for ``popularity``.

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

    def __init__(  # noqa: PLR0913 - all settings are keyword arguments with defaults
        self,
        vectors: ItemVectors,
        *,
        score: Literal["cosine", "output"] | None = None,
        decay: float | Learned | tuple[float | Learned, ...] | None = None,
        part_weights: tuple[float, ...] | None = None,
        half_life: float | None = None,
        last_n: int | None = None,
        repeat_bonus: float = 0.0,
        mixture: float = 0.0,
        popularity: float = 0.0,
        popularity_half_life: float | None = None,
        index: Literal["auto", "exact", "annoy"] = "auto",
        recall: float = 0.95,
        items: Items | None = None,
        adapter: AdapterConfig | None = None,
        neighbours: NeighbourTable | None = None,
        prior: Floats | None = None,
    ) -> None:
        config = TasteConfig(
            score=score,
            decay=decay,
            part_weights=part_weights,
            half_life=half_life,
            last_n=last_n,
            repeat_bonus=repeat_bonus,
            mixture=mixture,
            popularity=popularity,
            popularity_half_life=popularity_half_life,
        )
        taste = config.as_trained(vectors.config, has_output=vectors.output is not None)
        searched = searched_matrix(vectors, taste, prior)
        built = build(searched, kind=index, queries=typical_queries(vectors, taste), recall=recall)
        self._set_parts(
            bundle.Parts(vectors, taste, built, items, adapter or AdapterConfig(), neighbours, prior)
        )

    @classmethod
    def from_parts(cls, parts: bundle.Parts) -> Recommender:
        """Return a model of existing parts, such as those read from a bundle."""
        model = cls.__new__(cls)
        model._set_parts(parts)
        return model

    def _set_parts(self, parts: bundle.Parts) -> None:
        self.parts = parts
        self.vectors = parts.vectors
        self.taste = parts.taste
        self.index = parts.index
        self.items = parts.items
        self.adapter = parts.adapter
        self.neighbours = parts.neighbours
        self.prior = parts.prior
        self._popularity = popularity_shares(parts.vectors, self.taste, self.prior)
        self._by_popularity: Rows = top_k(self._popularity, len(self._popularity))

    def __repr__(self) -> str:
        taste, (n_items, size) = self.taste, self.vectors.input.shape
        about = f"score={taste.score!r}, decay={taste.decay}, index={self.index.kind}"
        added = [name for name in ("repeat_bonus", "mixture", "popularity") if getattr(taste, name)]
        about += "".join(f", {name}={getattr(taste, name)}" for name in added)
        return f"Recommender({n_items:,} items × {size} dimensions, {about})"

    @cached_property
    def _input_index(self) -> Index:
        """Index of the unit input vectors: ``index``, or an exact index that is built on first use."""
        searched = self.taste.score == "cosine" and not self.taste.popularity
        return self.index if searched else build(self.vectors.unit_input, kind="exact")

    @cached_property
    def _output_index(self) -> Index:
        """Exact index of the unit output vectors, for items without an input vector. Built on first use."""
        return build(self.vectors.unit_output, kind="exact")

    @property
    def vocabulary(self) -> Vocabulary:
        """The items of the model, in the order of the rows."""
        return self.vectors.vocabulary

    @property
    def exact(self) -> Recommender:
        """The same model with an exact index; the model itself if its index is exact."""
        if self.index.kind == "exact":
            return self
        return Recommender.from_parts(replace(self.parts, index=build(self.index.matrix, kind="exact")))

    def similar_items(self, item: str, *, k: int = 10, eligible: Mask | None = None) -> list[Recommendation]:
        """Return the ``k`` items with the highest cosine of input vectors to an item, best first.

        ``eligible`` (bool, one flag per item of ``vocabulary``) limits which items may be returned.

        Raises
        ------
        UnknownItemError
            If the item is unknown. The message suggests the closest known ids.
        """
        return self.analogy(positive=[item], k=k, eligible=eligible)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        k: int = 10,
        eligible: Mask | None = None,
    ) -> list[Recommendation]:
        """Return the result of ``ItemVectors.analogy``, limited to ``eligible`` as in ``similar_items``."""
        check_k(k)
        target, named = self.vectors.analogy_target(positive, negative)
        allowed = self._allowed(None, eligible)
        index = self._input_index if self.vectors.has_input[named].all() else self._output_index
        return self._listed(*find(index, target, k=k, excluded=named, allowed=allowed))

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
        eligible: Mask | None = None,
    ) -> list[Recommendation]:
        """Return the ``k`` items with the highest scores for a history, best first.

        The result has ``k`` items, or all eligible items if there are fewer, for all filters and indexes.

        Parameters
        ----------
        history
            Item ids, oldest first. Unknown items are ignored. If no item is known, the most popular eligible
            items (by the prior, if there is one) are returned, with ``source="popular"``.
        exclude, deny
            Items that may not be returned. In ``recommend_many``, ``exclude`` has a list per history, and
            ``deny`` applies to all histories.
        allow
            If given, only these items may be returned.
        filter_seen
            Whether to exclude the items of the history.
        weights
            Weight of each history item, in the same order: finite, not negative, converted to float32.
        timestamps
            Time of each history item (``datetime``, ``datetime64``, or microseconds since 1970), for
            ``half_life``.
        eligible
            ``allow`` as a mask (bool, one flag per item of ``vocabulary``). Both filters may be combined.
        """
        histories = self._encoded(history, weights, timestamps)
        return self._recommendations(
            histories,
            k=k,
            exclude=[self._rows(exclude, "exclude")],
            allowed=self._allowed(allow, eligible),
            deny=deny,
            filter_seen=filter_seen,
        )[0]

    def recommend_many(
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        exclude: Iterable[Iterable[str]] | None = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        filter_seen: bool = True,
        weights: Iterable[Sequence[float] | npt.NDArray[Any]] | None = None,
        timestamps: Iterable[Sequence[Any] | npt.NDArray[Any]] | None = None,
        eligible: Mask | None = None,
    ) -> list[list[Recommendation]]:
        """Return the result of ``recommend``, bit for bit, for each history; faster than a call per history.

        ``Sentences`` contain weights and timestamps; for lists of ids, ``weights`` and ``timestamps`` hold
        one list per history. ``exclude`` holds one list of items per history; ``allow``, ``deny`` and
        ``eligible`` apply to all histories.
        """
        encoded = encode_histories(self.vocabulary, histories, weights=weights, timestamps=timestamps)
        return self._recommendations(
            encoded,
            k=k,
            exclude=None if exclude is None else [self._rows(items, "exclude") for items in exclude],
            allowed=self._allowed(allow, eligible),
            deny=deny,
            filter_seen=filter_seen,
        )

    def explain(
        self,
        history: Iterable[str],
        item: str,
        *,
        weights: Sequence[float] | npt.NDArray[Any] | None = None,
        timestamps: Sequence[Any] | npt.NDArray[Any] | None = None,
    ) -> list[Share]:
        """Return the contribution of each history item to the score of an item, largest first.

        The shares sum to the score that ``recommend`` returns for the same history, weights and timestamps,
        including bonuses. An item that occurs several times in the history has one share, which is the sum.
        The share of the popularity prior has ``item=None``. The list is empty if no history item is known.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        """
        target = self.vocabulary.code(item)
        histories = self._with_input(self._encoded(history, weights, timestamps))
        tastes = self._tastes(histories)
        if tastes.empty[0]:
            return []
        distinct, inverse = np.unique(histories.codes, return_inverse=True)
        of_tokens = token_scores(self.vectors, self.taste, histories.codes, tastes, target)
        of_tokens += token_bonuses(histories, self.taste, self.neighbours, target)
        shares = list(map(Share, self.vocabulary.decode(distinct), np.bincount(inverse, of_tokens).tolist()))
        if self.taste.popularity and self.prior is not None:
            shares.append(Share(None, self.taste.popularity * float(self.prior[target])))
        return sorted(shares, key=lambda share: -share.share)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model atomically into a new folder; ``item2vec.load`` reads it back.

        Raises
        ------
        BundleExistsError
            If the path exists.
        """
        bundle.write(self.parts, Path(path))

    def _encoded(
        self,
        history: Iterable[str],
        weights: Sequence[float] | npt.NDArray[Any] | None,
        timestamps: Sequence[Any] | npt.NDArray[Any] | None,
    ) -> Histories:
        return encode_histories(
            self.vocabulary,
            [as_history(history)],
            weights=None if weights is None else [weights],
            timestamps=None if timestamps is None else [timestamps],
        )

    def _with_input(self, histories: Histories) -> Histories:
        """Return histories without the items that have no input vector; these items count as unknown."""
        has_input = self.vectors.has_input
        return histories if bool(has_input.all()) else histories.keep(has_input[histories.codes])

    def _tastes(self, histories: Histories) -> Tastes:
        codes, offsets, weights, timestamps = histories
        return read_tastes(self.vectors, self.taste, codes, offsets, weights=weights, timestamps=timestamps)

    def _recommendations(
        self,
        histories: Histories,
        *,
        k: int,
        exclude: Sequence[Rows] | None,
        allowed: Mask | None,
        deny: Iterable[str],
        filter_seen: bool,
    ) -> list[list[Recommendation]]:
        check_k(k)
        excluded = self._excluded(histories, exclude, self._rows(deny, "deny"), filter_seen)
        readable = self._with_input(histories)
        tastes = self._tastes(readable)
        queried = np.flatnonzero(~tastes.empty)
        bonuses = history_bonuses(readable, self.taste, self.neighbours, repeats=not filter_seen)
        results = find_many(
            self.index,
            queries_of(tastes.vectors[queried], self.vectors, self.taste),
            k=k,
            excluded=[excluded[history] for history in queried],
            allowed=allowed,
            bonuses=None if bonuses is None else bonuses.take(queried),
        )
        result_of = dict(zip(queried.tolist(), results, strict=True))
        return [
            self._listed(*result_of[history]) if history in result_of else self._popular(k, rows, allowed)
            for history, rows in enumerate(excluded)
        ]

    def _excluded(
        self, histories: Histories, exclude: Sequence[Rows] | None, denied: Rows, filter_seen: bool
    ) -> list[Rows]:
        """Return the rows to exclude from each ranking: denied ones, its list in ``exclude``, its history."""
        codes, bounds = histories.codes, pairwise(histories.offsets.tolist())
        seen = [codes[left:right] if filter_seen else denied[:0] for left, right in bounds]
        if exclude is not None and len(exclude) != len(seen):
            raise InputError(f"exclude has {len(exclude)} lists; expected one per history ({len(seen)})")
        own = [denied[:0]] * len(seen) if exclude is None else exclude
        return [np.concatenate((denied, *pair)) for pair in zip(own, seen, strict=True)]

    def _rows(self, items: Iterable[str], name: str) -> Rows:
        codes = self.vocabulary.encode(as_history(items, name))
        return codes[codes >= 0].astype(np.intp)

    def _allowed(self, allow: Iterable[str] | None, eligible: Mask | None) -> Mask | None:
        """Return the mask of rows that may be returned, or ``None`` for all rows."""
        if eligible is not None and (eligible.dtype != bool or eligible.shape != (len(self.vectors),)):
            raise InputError(
                f"eligible is {eligible.dtype} of shape {eligible.shape}; expected bool, one flag per item "
                f"({len(self.vectors):,})"
            )
        eligible = self.vectors.with_vector(eligible)
        if allow is None:
            return eligible
        allowed = np.zeros(len(self.vectors), dtype=bool)
        allowed[self._rows(allow, "allow")] = True
        return allowed if eligible is None else allowed & eligible

    def _popular(self, k: int, excluded: Rows, allowed: Mask | None) -> list[Recommendation]:
        eligible = np.ones(len(self.vectors), dtype=bool) if allowed is None else allowed.copy()
        eligible[excluded] = False
        rows = self._by_popularity[eligible[self._by_popularity]][:k]
        return self._listed(rows, self._popularity[rows], "popular")

    def _listed(self, rows: Rows, scores: npt.NDArray[Any], source: str = "model") -> list[Recommendation]:
        ids = self.vocabulary.decode(rows)
        return [Recommendation(*pair, source) for pair in zip(ids, scores.tolist(), strict=True)]
