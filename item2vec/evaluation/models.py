"""The interface of a model, and checks of the rankings that a model returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from item2vec.answers import Answers
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.sentences import Sentences
from item2vec.types import Recommendation, Vocabulary, check_ids

__all__ = ["Model", "Ranking", "Returned", "check_rankings"]

Array = npt.NDArray[Any]
Returned = (
    Answers | Array | tuple[Array, Array] | Sequence[Sequence[Recommendation | str | tuple[str, float]]]
)
"""Types of the results of ``Model.recommend_many``."""


class Model(Protocol):
    """Interface of a model that can be evaluated: any object with the method ``recommend_many``.

    The result contains one ranking per history, best item first, of at most ``k`` distinct items. The result
    has one of the following types:

    - a list that contains a list for each history: of ``Recommendation``, of pairs (item, score), or of ids;
    - an array of ids or of codes (queries × ranks), or a pair of such an array and an array of scores. Codes
      are positions in the vocabulary of ``histories``. A row with fewer items than ranks is padded at its
      end: ids with ``None`` or empty texts, codes with -1;
    - ``item2vec.answers.Answers``.

    Items of equal score are tied (see ``ties`` of ``evaluate``). Rankings without scores have no ties.

    ``evaluate`` also reads these attributes of a model, if they exist: ``ties`` (the default tie rule),
    ``exact`` (another model, which is evaluated, too) and ``vectors`` (``ItemVectors``, whose counts are
    checked for a leak).

    Examples
    --------
    >>> from item2vec import Sentences
    >>> from item2vec.evaluation import Split, evaluate
    >>> class Newest:
    ...     def recommend_many(self, histories, *, k, filter_seen):
    ...         return [history[::-1][:k] for history in histories]
    >>> played = Sentences.of([["a", "b"], ["b", "a"]])
    >>> split = Split(played, played, Sentences.of([["b"], ["b"]]), "by hand", filter_seen=False)
    >>> evaluate(Newest(), split, k=2, metrics=["hr", "mrr"])
    Evaluation(2 queries: hr@2 1.0000, mrr@2 0.7500)
    """

    def recommend_many(
        self, histories: Sentences, *, k: int, filter_seen: bool, exclude: Sentences | None = None
    ) -> Returned:
        """Return up to ``k`` recommendations for each history, best first.

        If ``filter_seen`` is true, items of the history must not be recommended. ``exclude`` contains further
        items that must not be recommended, one sentence per history. ``exclude`` is passed only if
        ``Split.seen`` is not ``None``.
        """
        ...


class Ranking(NamedTuple):
    """The items of one ranking, best first, and their scores."""

    ids: Sequence[str]
    scores: Sequence[float]


def check_rankings(
    returned: object, model: object, queries: Sequence[int], k: int, vocabulary: Vocabulary
) -> list[Ranking]:
    """Check the result of ``recommend_many``, and return it as a list of rankings, one per query.

    ``queries`` holds the indices of the queries, for messages. Messages also contain the name of the class of
    ``model``. Codes in the result are positions in ``vocabulary``; codes in ``Answers`` are positions in
    ``Answers.vocabulary``.

    Raises
    ------
    InputTypeError
        If the result, or one of its rankings, does not have one of the types in ``Returned``, or the scores
        in an array are not numbers.
    InputError
        If the number of rankings is wrong, an array of scores does not have the shape of the items, or a
        ranking has more than ``k`` items, an item twice, an invalid id, a code outside of the vocabulary,
        padding before an item, or NaN as a score. If a ranking is invalid, the message contains the index of
        the query.
    """
    name = f"{type(model).__name__}.recommend_many"
    if isinstance(returned, Answers):
        vocabulary, returned = returned.vocabulary, (returned.items, returned.scores)
    items, scores = _parts(returned, name)
    if len(items) != len(queries):
        raise InputError(
            f"{name} returned {len(items)} rankings for {len(queries)} histories; expected one per history"
        )
    rankings = []
    for number, query in enumerate(queries):
        try:
            ranking = _ranking(items[number], None if scores is None else scores[number], vocabulary)
            _check(ranking, k)
        except InputError as error:
            raise type(error)(f"{name}, query {query}: {error}") from None
        rankings.append(ranking)
    return rankings


def _parts(returned: object, name: str) -> tuple[Sequence[Any] | Array, Array | None]:
    """Return a pair: the rankings; and the array of scores, or ``None`` if there is no separate array."""
    if _is_pair(returned):
        items, scores = returned
        if scores.shape != items.shape:
            raise InputError(
                f"{name} returned items of shape {items.shape} and scores of shape {scores.shape}; "
                "expected arrays of one shape, queries × ranks"
            )
        return items, scores
    if isinstance(returned, np.ndarray) and returned.ndim == 2:
        return returned, None
    if isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping | np.ndarray):
        return list(returned), None
    found = short_repr(returned)
    if isinstance(returned, np.ndarray):
        found = f"an array of shape {returned.shape}"
    raise InputTypeError(
        f"{name} returned {found}; expected a list with a ranking per history, or an array (queries × ranks)"
    )


def _is_pair(returned: object) -> TypeGuard[tuple[Array, Array]]:
    """Return whether a result is an array of items and an array of scores."""
    return (
        isinstance(returned, tuple)
        and len(returned) == 2
        and all(isinstance(part, np.ndarray) and part.ndim == 2 for part in returned)
    )


def _ranking(row: Any, scores: Array | None, vocabulary: Vocabulary) -> Ranking:
    if isinstance(row, np.ndarray):
        return _of_array(row, scores, vocabulary)
    if not isinstance(row, Sequence) or isinstance(row, str | bytes):
        found = f"{short_repr(row)}, of type {type(row).__name__}"
        raise InputTypeError(f"found {found}; expected a list of recommended items")
    if all(type(entry) is Recommendation for entry in row):
        return Ranking([entry.item for entry in row], [entry.score for entry in row])
    if all(isinstance(entry, str) for entry in row):
        return _unscored(row)
    return _of_pairs(row)


def _of_pairs(row: Sequence[Any]) -> Ranking:
    try:
        pairs = [(item, float(score)) for item, score in row]
    except (TypeError, ValueError):
        raise InputTypeError(
            f"found {short_repr(row)}; expected ids, or pairs of an id and a score"
        ) from None
    return Ranking([item for item, _ in pairs], [score for _, score in pairs])


def _of_array(row: Array, scores: Array | None, vocabulary: Vocabulary) -> Ranking:
    """Return the ranking of a row of ids or codes, without the padding."""
    if row.ndim != 1 or row.dtype.kind not in "iuUO":
        raise InputTypeError(
            f"found {short_repr(row)} of dtype {row.dtype}; expected a row of ids, or of codes (integers)"
        )
    if row.dtype.kind in "iu":
        outside = (row < -1) | (row >= len(vocabulary))
        if outside.any():
            raise InputError(
                f"found code {row[outside][0]}; expected a position in the vocabulary of {len(vocabulary):,} "
                "items, or -1 as padding at the end of the ranking"
            )
        filled = row >= 0
    else:
        filled = np.array([item is not None and item != "" for item in row], bool)
    n = int(filled.sum())
    if not filled[:n].all():
        rank = int(np.argmin(filled)) + 1
        raise InputError(f"found padding at rank {rank}, before an item; expected padding only at the end")
    ids = vocabulary.decode(row[:n]) if row.dtype.kind in "iu" else row[:n].tolist()
    if scores is None:
        return _unscored(ids)
    if scores.dtype.kind not in "iuf":
        raise InputTypeError(f"found scores {short_repr(scores)} of dtype {scores.dtype}; expected numbers")
    return Ranking(ids, scores[:n].tolist())


def _unscored(ids: Sequence[str]) -> Ranking:
    return Ranking(ids, range(0, -len(ids), -1))


def _check(ranking: Ranking, k: int) -> None:
    ids, scores = ranking
    check_ids(ids)
    if len(ids) > k:
        raise InputError(f"found {len(ids)} items; expected at most k={k}")
    if len(set(ids)) < len(ids):
        twice = next(item for place, item in enumerate(ids) if item in ids[:place])
        raise InputError(f"found item {twice!r} twice; expected distinct items")
    for item, score in zip(ids, scores, strict=True):
        if score != score:  # noqa: PLR0124 - NaN
            raise InputError(f"found the score nan for item {item!r}; expected a number")
