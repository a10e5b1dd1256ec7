"""``ItemQueries``: queries of a model by item, analogy, vector or user vector, with rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

import numpy.typing as npt

from item2vec.arguments import checked
from item2vec.arrays import NO_ROWS, Floats, Mask
from item2vec.conditions import Where
from item2vec.direction import Direction
from item2vec.errors import InputTypeError
from item2vec.geometry import Method, check_method, finite_vector, unit_query
from item2vec.histories import encode_histories
from item2vec.model_parts import ModelParts
from item2vec.row_rules import RowRules
from item2vec.rules import CHANGE_SCORES, RuleArguments, Rules
from item2vec.sentences import Sentences
from item2vec.types import Recommendation, as_history

if TYPE_CHECKING:
    from item2vec.ranker import Ranker

__all__ = ["ItemQueries"]


@checked
class ItemQueries(ModelParts):
    """The base class of ``Recommender``, with the queries by item, analogy, vector and user vector."""

    _ranker: Ranker

    def similar_items(
        self, item: str, *, k: int = 10, eligible: Mask | None = None, **rules: Unpack[RuleArguments]
    ) -> list[Recommendation]:
        """Return the ``k`` other items with the highest cosine of input vectors to an item, best first.

        If the item has no input vector, output vectors are compared. ``rules`` and ``eligible`` apply as in
        ``recommend``, with three exceptions: ``interests`` has no effect; ``disliked`` excludes and demotes
        items, but does not change scores; and without the rule ``popularity``, the prior is not added.

        Raises
        ------
        UnknownItemError
            If the item is unknown. The message suggests known ids with a similar spelling, if there are any.
        InputError
            If the item has no vector, or a rule is invalid.
        """
        return self.analogy(positive=[item], k=k, eligible=eligible, **rules)

    def analogy(
        self,
        *,
        positive: Iterable[str],
        negative: Iterable[str] = (),
        method: Method = "3cosadd",
        k: int = 10,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` items that best complete an analogy; see ``ItemVectors.analogy``.

        ``rules`` and ``eligible`` apply as in ``similar_items``. ``method="3cosmul"`` computes a score of
        every item, without the index, and does not accept the rule ``direction``.
        """
        check_method(method, with_direction=rules.get("direction") is not None)
        limits = self._row_rules(Rules.of(rules), eligible)
        positive = as_history(positive, "positive")
        if method == "3cosmul":
            scores, named = self.vectors.analogy_products(positive, negative)
            found = self._ranker.by_scores(scores, named, limits, n_positive=len(positive), k=k)
        else:
            target, named = self.vectors.analogy_target(positive, negative)
            found = self._ranker.near(target, named, limits, n_positive=len(positive), k=k)
        return found.listed(self.vectors)

    def nearest(
        self,
        vector: npt.ArrayLike,
        *,
        k: int = 10,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` items whose input vectors have the highest cosines to a vector, best first.

        ``rules`` and ``eligible`` apply as in ``similar_items``. For errors, see ``ItemVectors.nearest``.
        """
        limits = self._row_rules(Rules.of(rules), eligible)
        target = unit_query(vector, self.vectors.input.shape[1])
        return self._ranker.near(target, NO_ROWS, limits, n_positive=0, k=k).listed(self.vectors)

    def tastes(self, histories: Sentences | Iterable[Iterable[str]]) -> Floats:
        """Return the user vectors of histories (float32, n histories × dimensions).

        They are the user vectors of ``recommend`` without rules. The weights and timestamps of ``Sentences``
        and ``ShardedSentences`` (read into memory) are used. A history without a user vector, for example
        because no item is known, has a row of zeros. The inner product of a user vector and the vector of an
        item (the unit input vector for ``score="cosine"``, the output vector for ``score="output"``) is the
        score of the item before bonuses and the popularity prior are added.

        >>> import numpy as np
        >>> from item2vec import ItemVectors, Recommender, Vocabulary
        >>> model = Recommender(ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2)))
        >>> model.tastes([["b"], ["z"]])
        array([[0., 1.],
               [0., 0.]], dtype=float32)
        """
        return self._ranker.tastes(encode_histories(self.vectors.vocabulary, histories))

    def nearest_to_taste(
        self,
        taste: npt.ArrayLike,
        *,
        k: int = 10,
        eligible: Mask | None = None,
        **rules: Unpack[RuleArguments],
    ) -> list[Recommendation]:
        """Return the ``k`` items with the highest inner products with a user vector, best first.

        Parameters
        ----------
        taste
            A row of ``tastes``, or a difference of two rows.
        eligible
            The items that may be returned, as in ``recommend``.
        rules
            ``where exclude allow deny at_most diversity``, as in ``recommend``.

        Raises
        ------
        InputTypeError
            If a rule changes scores: ``boost popularity disliked interests direction``.
        InputError
            If ``taste`` does not have one finite number per dimension, or a rule is invalid.
        """
        if changing := [name for name in rules if name in CHANGE_SCORES and rules.get(name) is not None]:
            raise InputTypeError(
                f"found the rule {changing[0]}, which changes scores; expected rules that select items, such "
                "as where"
            )
        limits = self._row_rules(Rules.of(rules), eligible)
        vector = finite_vector(taste, self.vectors.input.shape[1])
        return self._ranker.near_taste(vector, limits, k=k).listed(self.vectors)

    def direction(self, where_a: Where, where_b: Where) -> Direction:
        """Return the direction from the items that meet ``where_a`` to the items that meet ``where_b``.

        The unit vectors of the active items of each group are averaged, and the direction is the mean of the
        second group minus the mean of the first group. Pass the direction as the rule ``direction``. A
        multiple, such as ``2 * direction``, moves a query farther.

        Raises
        ------
        InputError
            If a condition names an attribute that no item has, or one of the groups has no item with an input
            vector.

        Examples
        --------
        >>> import numpy as np
        >>> from item2vec import Items, ItemVectors, Recommender, Vocabulary
        >>> songs = Items.of({"a": {"year": 1985}, "b": {"year": 1995}, "c": {"year": 1986}, "d": {}})
        >>> rows = np.array([[1, 0.1], [1, 1], [0.9, 0], [0.8, 0.8]])
        >>> model = Recommender(ItemVectors(Vocabulary(tuple("abcd")), rows, None, np.ones(4)), items=songs)
        >>> nineties = model.direction({"year": {"<": 1990}}, {"year": {">=": 1990}})
        >>> [one.item for one in model.similar_items("a", k=2)]
        ['c', 'b']
        >>> [one.item for one in model.analogy(positive=["a"], direction=nineties, k=2)]
        ['b', 'd']
        """
        direction = self._row_rules(Rules.of({"direction": (where_a, where_b)}), None).direction
        assert direction is not None, "the rules contain a direction"
        return direction

    def _row_rules(self, rules: Rules, eligible: Mask | None) -> RowRules:
        raise NotImplementedError
