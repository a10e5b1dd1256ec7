"""``Recommender``: recommendations for a history, similar items, analogies, and explanations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from item2vec import bundle
from item2vec.answers import Answers
from item2vec.arguments import checked
from item2vec.arrays import Floats, Mask
from item2vec.catalogue import Eligible
from item2vec.config.adapter import AdapterConfig
from item2vec.config.settings import Learned
from item2vec.config.tables import TableConfig
from item2vec.config.taste import TasteConfig
from item2vec.described import described, html_of
from item2vec.extension import NOTHING, Extension
from item2vec.histories import Histories, encode_histories
from item2vec.index.building import Kind, build
from item2vec.item_queries import ItemQueries
from item2vec.items import Items
from item2vec.mapping import MapArguments, figure_of, map_items
from item2vec.neighbours import NeighbourTable
from item2vec.prior import searched_matrix, typical_queries
from item2vec.ranker import Ranker
from item2vec.row_rules import RowRules
from item2vec.rules import RuleArguments, Rules
from item2vec.sentences import Sentences
from item2vec.types import Recommendation, Share, as_history, k_or_n
from item2vec.vectors import ItemVectors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Recommender"]


@checked
class Recommender(ItemQueries):
    """A model: item embeddings, the settings of user embeddings and scores, and a search index.

    Immutable and thread-safe.

    Parameters
    ----------
    vectors
        The result of training.
    score, decay, part_weights, half_life, last_n, repeat_bonus, mixture, popularity, popularity_half_life
        The fields of ``TasteConfig``, which describes their defaults. The defaults of decay, part weights and
        mixture depend on the training settings of ``vectors``. The default of score is ``"output"`` if the
        vectors have an output matrix, otherwise ``"cosine"``.
    index
        ``"exact"``, ``"faiss"``, ``"annoy"``, or ``"auto"``: FAISS if it is installed, the model has 50,000
        items or more, and a scan is slower; exact otherwise. If the index is approximate, but does not hold
        unit input vectors, a second index of this kind and recall holds them, for similar items.
    recall
        Minimum recall@10 of an approximate index relative to exact search, measured when the index is built.
    items
        Titles and attributes of the items, saved with the model.
    adapter
        The settings with which events were converted to training sentences. ``Engine`` applies these settings
        to the histories of users.
    neighbours
        The item–item table (neighbours of each item) that ``mixture`` blends into the score, with a row per
        row of ``vectors``; ``fit`` computes it. For the objectives transitions, linkprop and ease, a single
        ``decay`` also replaces the decay of the table.
    prior
        The popularity prior (float32, n items); ``fit`` computes it. The score of an item is increased by
        ``popularity`` times its prior.

    Raises
    ------
    ConfigError
        If a setting is out of range, or its data are missing: the output matrix for ``score="output"``, the
        table for ``mixture``, the prior for ``popularity``. Also if the table does not have one row per item,
        or the prior does not have one finite number per item.
    MissingExtraError
        If the library of the index is not installed.
    InputError
        If the index cannot be built.

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
        mixture: float | None = None,
        popularity: float = 0.0,
        popularity_half_life: float | None = None,
        index: Kind = "auto",
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
        taste = config.as_trained(
            vectors.config, has_output=vectors.output is not None, has_table=neighbours is not None
        )
        if isinstance(vectors.config, TableConfig) and isinstance(taste.decay, float):
            neighbours = neighbours and replace(neighbours, decay=taste.decay)
        searched = searched_matrix(vectors, taste, prior)
        built = build(searched, kind=index, queries=typical_queries(vectors, taste), recall=recall)
        parts = bundle.Parts(vectors, taste, built, items, adapter or AdapterConfig(), neighbours, prior)
        self._set_parts(bundle.with_similar_index(parts, kind=index, recall=recall))

    @classmethod
    @checked
    def from_parts(cls, parts: bundle.Parts) -> Recommender:
        """Return a model that consists of existing parts, such as the parts read from a bundle."""
        model = cls.__new__(cls)
        model._set_parts(parts)
        return model

    def _set_parts(self, parts: bundle.Parts) -> None:
        self._parts = parts
        self._ranker = Ranker(parts)
        self._catalogue: Eligible | None = None
        self._extension = Extension(parts)

    def __repr__(self) -> str:
        return described(self.parts)

    def _repr_html_(self) -> str:
        return html_of(self.parts)

    @property
    def exact(self) -> Recommender:
        """The model with exhaustive search; ``self`` if the index is already exact."""
        if self.index.kind == "exact":
            return self
        exact = Recommender.from_parts(self.parts.exact)
        exact._catalogue = self._catalogue
        return exact

    @property
    def described_items(self) -> Items | None:
        """The items whose attributes rules read: those of ``with_catalogue``, or else ``items``."""
        return self.items if self._catalogue is None else self._catalogue.items

    def with_catalogue(self, eligible: Eligible) -> Recommender:
        """Return the same model with the attributes and active flags of a store, in place of ``items``.

        Inactive items are never returned. The two models share all data.
        """
        model = copy(self)
        model._catalogue = eligible
        return model

    def with_items(self, items: Items, *, together: Mapping[str, Iterable[str]] = NOTHING) -> Recommender:
        """Return a model extended by new items, whose vectors are predicted without training.

        A ridge regression predicts the vectors of a new item from its attributes; see ``item2vec.cold``. A
        new item without a known attribute value gets the mean of the vectors of its co-occurring items
        (``together``). New items are scored exactly, and all rules apply to them. The vectors of other items
        stay the same.

        Parameters
        ----------
        items
            The items to add, with titles and attributes. Known items, and items without a predictable vector,
            are skipped.
        together
            Maps the id of a new item to the ids of co-occurring items.

        Examples
        --------
        >>> from item2vec import adapters, train
        >>> lists = adapters.playlists([["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"]] * 20)
        >>> genres = {"a": {"genre": "jazz"}, "b": {"genre": "jazz"}, "c": {"genre": "soul"}, "d": {}}
        >>> model = Recommender(train(lists, vector_size=8, workers=1, seed=7), items=Items.of(genres))
        >>> newer = model.with_items(Items.of({"new": {"genre": "jazz"}}))
        >>> [(item.item, item.source) for item in newer.recommend(["a", "b"], k=1)]
        [('new', 'attributes')]
        """
        parts = self._extension.applied(self.parts, items, together=together)
        if parts is self.parts:
            return self
        model = Recommender.from_parts(parts)
        model._extension = self._extension
        if self._catalogue is not None:
            model._catalogue = Eligible(self._catalogue.catalogue, model.vocabulary, attributes=model.items)
        return model

    def radio(
        self,
        seed: str | Iterable[str],
        n: int | None = None,
        *,
        k: int | None = None,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return ``k`` items (10 by default) that continue a playlist, in the order in which they are played.

        ``n`` is another name of ``k``. Each item is the best eligible item for the seed and the items before
        it; no item is repeated. ``at_most`` and ``diversity`` take all returned items into account. The seed
        is an item id, or the ids of a playlist, oldest first. An unknown item id raises ``UnknownItemError``,
        but unknown ids in a playlist are ignored. The result is shorter if ``at_most`` and the other filters
        admit fewer items. For ``eligible``, the rules and other errors, see ``recommend``.

        >>> import numpy as np
        >>> from item2vec import Vocabulary
        >>> rows = np.column_stack((np.cos(np.arange(5) / 5), np.sin(np.arange(5) / 5)))
        >>> model = Recommender(ItemVectors(Vocabulary(tuple("abcde")), rows, None, np.ones(5)), decay=0.1)
        >>> [song for song, score in model.radio("b", k=4)]
        ['a', 'c', 'd', 'e']
        """
        if isinstance(seed, str):
            self.vocabulary.code(seed)
        codes = self._encoded([seed] if isinstance(seed, str) else seed).codes
        played = self._ranker.radio(codes, self._row_rules(Rules.of(rules), eligible), k=k_or_n(k, n))
        return [song for ranking in played for song in ranking.listed(self.vectors)]

    def recommend(
        self,
        history: Iterable[str],
        *,
        k: int = 10,
        filter_seen: bool = True,
        weights: Iterable[float] | None = None,
        timestamps: Iterable[Any] | None = None,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` items with the highest scores for a history, best first.

        For exact and approximate indexes alike, the result has ``k`` items, unless fewer are eligible, or
        ``at_most`` admits fewer.

        Parameters
        ----------
        history
            Item ids, oldest first. Unknown items are skipped, and logged at DEBUG. If the history has no user
            vector (user embedding), for example because all items are unknown, the fallback is popularity:
            the most popular eligible items (by the prior, if there is one) are returned, with
            ``source="popular"``.
        filter_seen
            Whether to exclude the items of the history.
        weights
            Weight of each history item, in the same order: finite numbers, which are converted to float32. An
            item of negative weight is disliked, with the absolute weight as strength, and is never returned.
        timestamps
            Timestamp of each history item (``datetime``, ``datetime64``, or microseconds since 1970), for
            ``half_life``.
        eligible
            ``allow`` as a mask (bool, one flag per item of ``vocabulary``). Both filters may be combined.
        rules
            ``where exclude allow deny disliked at_most diversity boost popularity interests direction``; see
            ``item2vec.rules.Rules``. Rules on attributes require ``items``.

        Raises
        ------
        InputError
            If a number is out of range or not finite, no item has an attribute that a rule names, no item of
            a group of ``direction`` has an input vector, ``eligible`` has a wrong dtype or shape, timestamps
            are not in microseconds, or ``weights`` or ``timestamps`` differ in length from ``history``.
        InputTypeError
            If an argument is unknown, or has the wrong type.
        """
        encoded = self._encoded(history, weights, timestamps)
        limits = self._row_rules(Rules.of(rules), eligible)
        (ranking,) = self._ranker.rank(encoded, limits, k=k, filter_seen=filter_seen)
        return ranking.listed(self.vectors)

    @overload
    def recommend_many(
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        as_arrays: Literal[False] = False,
        filter_seen: bool = True,
        weights: Iterable[Iterable[float]] | None = None,
        timestamps: Iterable[Iterable[Any]] | None = None,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[list[Recommendation]]: ...
    @overload
    def recommend_many(
        self, histories: Sentences | Iterable[Iterable[str]], *, as_arrays: Literal[True], **arguments: Any
    ) -> Answers: ...
    def recommend_many(  # type: ignore[misc]
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        as_arrays: bool = False,
        filter_seen: bool = True,
        weights: Iterable[Iterable[float]] | None = None,
        timestamps: Iterable[Iterable[Any]] | None = None,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[list[Recommendation]] | Answers:
        """Recommend items for several histories at once, which is faster than one call per history.

        Items and scores equal those of ``recommend`` bit for bit. The weights and timestamps of ``Sentences``
        and ``ShardedSentences`` (read into memory) are used. For lists of ids, ``weights`` and ``timestamps``
        hold one list per history. Each of ``exclude`` and ``disliked`` holds ids for all histories, or one
        list of ids per history. ``eligible`` and the other rules apply to all histories. The result is a list
        per history or, with ``as_arrays`` (``k`` up to 10,000 or the number of items), an ``Answers``.
        """
        encoded = encode_histories(self.vocabulary, histories, weights=weights, timestamps=timestamps)
        limits = self._row_rules(Rules.of(rules, many=True), eligible)
        rankings = self._ranker.rank(encoded, limits, k=k, filter_seen=filter_seen)
        if as_arrays:
            found, untrained = [ranking[:3] for ranking in rankings], self.vectors.counts == 0
            return Answers.of(found, k, self.vocabulary, untrained=untrained, titles=self.described_items)
        return [ranking.listed(self.vectors) for ranking in rankings]

    def explain(
        self,
        history: Iterable[str],
        item: str,
        *,
        weights: Iterable[float] | None = None,
        timestamps: Iterable[Any] | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Share]:
        """Return the contribution of each history item to the score of an item, largest first.

        The shares sum to the score that ``recommend`` returns for the same history, weights, timestamps and
        rules, including bonuses and boosts. The contributions of repeated occurrences of an item are summed
        in one share. Disliked items have shares as well. With a popularity prior (a weight above 0) or a
        ``direction``, one share has ``item=None``, and holds the contributions of the prior and of the
        direction. With ``interests``, the shares refer to the interest whose user vector gives ``item`` the
        highest score, and ``interest`` is the central item of this interest. The list is empty if the history
        has no user vector, for example because all items are unknown.

        Raises ``UnknownItemError`` if ``item`` is unknown. For other errors, see ``recommend``.
        """
        row = self.vocabulary.code(item)
        limits = self._row_rules(Rules.of(rules), None)
        return self._ranker.explain(self._encoded(history, weights, timestamps), limits, row)

    def map(self, color: str | None = None, **selection: Unpack[MapArguments]) -> Figure:
        """Return a map of the items, on which similar items are close, as a plotly figure.

        ``color`` is the attribute that determines the colours. The other arguments, ``items where method
        seed``, are those of ``mapping.map_items``.
        """
        return figure_of(map_items(self, color, **selection))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model atomically into a new folder, for ``item2vec.load``.

        Raises ``BundleExistsError`` if the path exists, ``InputError`` if a title or an attribute cannot be
        stored, ``WriteError`` if the disk is full or fails, and ``CorruptBundleError`` if the written files
        cannot be read back.
        """
        bundle.write(self.parts, Path(path))

    def _encoded(self, history: Iterable[str], weights: Any = None, timestamps: Any = None) -> Histories:
        columns = {"weights": weights, "timestamps": timestamps}
        own = {name: [column] for name, column in columns.items() if column is not None}
        return encode_histories(self.vocabulary, [as_history(history)], **own)

    def _row_rules(self, rules: Rules, eligible: Mask | None) -> RowRules:
        """Convert the rules of a request to arrays, with the attributes of the catalogue or of ``items``."""
        catalogue = self._catalogue
        if catalogue is None and (rules.reads_attributes or (rules.boost and self.items)):
            catalogue = self._own_catalogue
        return RowRules.of(rules, self.vectors, catalogue, eligible)

    @cached_property
    def _own_catalogue(self) -> Eligible:
        return Eligible.of_model(self.items, self.vocabulary)
