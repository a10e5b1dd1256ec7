"""Phrases: frequent pairs of consecutive items, such as the songs of an album, joined into one token."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np

from item2vec import files
from item2vec.arguments import check_fields, checked
from item2vec.arrays import Codes, Doubles, Mask, Offsets
from item2vec.errors import CorruptBundleError, InputError, short_repr
from item2vec.outputs import output
from item2vec.sentences import Sentences
from item2vec.types import Recommendation, Vocabulary, as_history, check_ids, check_k

__all__ = ["PhraseRecommender", "Phrases"]

Scoring = Literal["count", "npmi"]
_FORMAT = 1


class _Pair(NamedTuple):
    first: str
    second: str
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Phrases:
    """Pairs of tokens that are joined into one token wherever they are consecutive.

    ``passes`` holds the pairs of each pass, with their scores. The tokens of a pair of a later pass may be
    joined tokens of an earlier pass, so that two passes join up to four items. In each pass, the pairs of a
    sentence are joined from left to right, and a token belongs to at most one pair.

    Source: Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, 2013,
    equation 6; Bouma, Normalized (Pointwise) Mutual Information in Collocation Extraction, 2009.

    Examples
    --------
    >>> sentences = Sentences.of([["side-a", "side-b", "x"], ["y", "side-a", "side-b"], ["x", "y"]])
    >>> phrases = Phrases.learn(sentences, min_count=1, threshold=1)
    >>> phrases
    Phrases(1 of 2 items)
    >>> joined = phrases.join(sentences)
    >>> joined[0]
    ['side-a + side-b', 'x']
    >>> phrases.expand(joined[0])
    ['side-a', 'side-b', 'x']
    """

    passes: tuple[Mapping[tuple[str, str], float], ...]
    delimiter: str = " + "

    def __post_init__(self) -> None:
        check_fields(self)
        frozen = tuple(MappingProxyType(dict(pairs)) for pairs in self.passes)
        object.__setattr__(self, "passes", frozen)
        Vocabulary(tuple(self.parts))  # raises an error for a joined token that is too long for an id

    @classmethod
    @checked
    def learn(
        cls,
        sentences: Sentences,
        *,
        min_count: float = 5,
        threshold: float | None = None,
        scoring: Scoring = "count",
        passes: int = 1,
        delimiter: str = " + ",
    ) -> Self:
        """Return the phrases of sentences: the consecutive pairs whose score is above ``threshold``.

        ``min_count``, ``threshold`` and ``scoring`` have the same meaning as in gensim's ``Phrases``, and
        select the same pairs. Tokens of negative weight are not joined.

        Parameters
        ----------
        sentences
            Ordered sentences.
        min_count
            With "count", the number that is subtracted from the count of each pair. With "npmi", the minimum
            count of a pair.
        threshold
            A pair is joined if its score is above this number. Default: 10 with "count", .5 with "npmi".
        scoring
            "count": (count of the pair - min_count) · V / (count of the first token · count of the second
            token), where V is the number of distinct tokens plus the number of distinct pairs. "npmi":
            normalised pointwise mutual information, from -1 to 1.
        passes
            Maximum number of passes. Each further pass joins the tokens of the previous pass by these rules.
        delimiter
            Text between the two ids of a pair in the id of the joined token.

        Raises
        ------
        InputError
            If the sentences are unordered, ``passes`` is below 1, ``scoring`` is unknown, or a joined token
            equals another token or is too long for an id.
        """
        if not sentences.ordered:
            raise InputError("unordered sentences have no consecutive tokens; expected ordered sentences")
        if scoring not in {"count", "npmi"}:
            raise InputError(f"scoring is {short_repr(scoring)}; expected 'count' or 'npmi'")
        if passes < 1:
            raise InputError(f"passes is {passes}; expected at least 1")
        threshold = threshold if threshold is not None else {"count": 10.0, "npmi": 0.5}[scoring]
        found: list[dict[tuple[str, str], float]] = []
        for _ in range(passes):
            pairs = {
                (first, second): score
                for first, second, score in _scored(sentences, min_count, scoring)
                if score > threshold
            }
            if not pairs:
                break
            sentences = _joined(sentences, pairs, delimiter)
            found.append(pairs)
        return cls(tuple(found), delimiter)

    def __len__(self) -> int:
        return sum(map(len, self.passes))

    def __repr__(self) -> str:
        lengths = sorted({len(parts) for parts in self.parts.values()})
        sizes = f" of {lengths[0]}" + (f" to {lengths[-1]}" if len(lengths) > 1 else "") if lengths else ""
        return f"Phrases({len(self):,}{sizes} items)"

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """The items of each joined token, in order."""
        parts: dict[str, tuple[str, ...]] = {}
        for first, second in (pair for pairs in self.passes for pair in pairs):
            joined = self._join(first, second)
            items = (*parts.get(first, (first,)), *parts.get(second, (second,)))
            if parts.setdefault(joined, items) != items:
                raise _ambiguous(joined, self.delimiter)
        return MappingProxyType(parts)

    @checked
    def join(self, sentences: Sentences) -> Sentences:
        """Join the pairs of ``passes`` in sentences, except pairs with a token of negative weight.

        A joined token has the largest weight and the last timestamp of the tokens that it replaces.

        Raises
        ------
        InputError
            If the sentences are unordered, or a joined token equals an item or is too long for an id.
        """
        if not sentences.ordered:
            raise InputError("unordered sentences have no consecutive tokens; expected ordered sentences")
        for pairs in self.passes:
            sentences = _joined(sentences, pairs, self.delimiter)
        return sentences

    @checked
    def join_history(self, history: Iterable[str]) -> list[str]:
        """Join the tokens of one history (oldest item first), as ``join`` does in a sentence.

        >>> Phrases(({("a", "b"): 12.0},)).join_history(["a", "b", "b", "a"])
        ['a + b', 'b', 'a']
        """
        tokens = list(as_history(history))
        check_ids(tokens)
        for pairs in self.passes:
            joined: list[str] = []
            position = 0
            while position < len(tokens):
                is_pair = tuple(tokens[position : position + 2]) in pairs
                joined.append(self._join(*tokens[position : position + 2]) if is_pair else tokens[position])
                position += 1 + is_pair
            tokens = joined
        return tokens

    @checked
    def expand(self, tokens: Iterable[str]) -> list[str]:
        """Replace each joined token by its items, in order.

        >>> Phrases(({("a", "b"): 12.0},)).expand(["a + b", "c"])
        ['a', 'b', 'c']
        """
        tokens = list(as_history(tokens))
        check_ids(tokens)
        return [item for token in tokens for item in self.parts.get(token, (token,))]

    @checked
    def save(self, path: str | PathLike[str]) -> None:
        """Write the phrases to a JSON file, which is replaced atomically, for ``Phrases.load``.

        Raises
        ------
        WriteError
            If the file cannot be written.
        """
        passes = [[[*pair, score] for pair, score in pairs.items()] for pairs in self.passes]
        content = {"format": _FORMAT, "kind": "phrases", "delimiter": self.delimiter, "passes": passes}
        with output(Path(path)) as file:
            file.write(json.dumps(content, ensure_ascii=False).encode())

    @classmethod
    @checked
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read phrases from a file that ``save`` wrote.

        Raises
        ------
        CorruptBundleError
            If the file is missing or unreadable, or was not written by ``save``.
        """
        content = files.parse_json(files.read_text(Path(path)), Path(path))
        try:
            if content["format"] != _FORMAT or content["kind"] != "phrases":
                raise ValueError(f"format {content['format']!r} and kind {content['kind']!r}")
            passes = [[_Pair(*row) for row in rows] for rows in content["passes"]]
            return cls(
                tuple({(row.first, row.second): float(row.score) for row in rows} for rows in passes),
                content["delimiter"],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CorruptBundleError(
                f"{path} contains no phrases ({error!r}); expected a file of Phrases.save: write it again"
            ) from error

    def _join(self, first: str, second: str) -> str:
        return f"{first}{self.delimiter}{second}"


class _Model(Protocol):
    """A model whose items are joined tokens, such as a ``Recommender``."""

    def recommend_many(
        self, histories: list[list[str]], *, k: int, filter_seen: bool
    ) -> list[list[Recommendation]]: ...


@checked
@dataclass(frozen=True)
class PhraseRecommender:
    """Recommend items with a model that was trained on joined tokens.

    The recommender joins the tokens of each history as ``Phrases.join_history`` does. It replaces each
    recommended token by the items of the token, in order. The score of an item is the highest score of a
    token that contains the item. Items of the history are excluded, unless ``filter_seen=False``.

    Parameters
    ----------
    model
        A model that was trained on ``phrases.join(sentences)``.
    phrases
        The ``Phrases`` with which the training sentences were joined.

    Examples
    --------
    >>> from item2vec import fit
    >>> sentences = Sentences.of([["side-a", "side-b", "x"], ["y", "side-a", "side-b"], ["x", "y"]] * 4)
    >>> phrases = Phrases.learn(sentences, min_count=1, threshold=1)
    >>> model = PhraseRecommender(fit(phrases.join(sentences), epochs=2), phrases)
    >>> sorted(item.item for item in model.recommend(["x"], k=3))
    ['side-a', 'side-b', 'y']
    """

    model: _Model
    phrases: Phrases

    def recommend(
        self, history: Iterable[str], *, k: int = 10, filter_seen: bool = True
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a history (oldest item first), or all eligible items if fewer."""
        return self.recommend_many([as_history(history)], k=k, filter_seen=filter_seen)[0]

    def recommend_many(
        self, histories: Iterable[Iterable[str]], *, k: int = 10, filter_seen: bool = True
    ) -> list[list[Recommendation]]:
        """Return the result of ``recommend`` for each history."""
        check_k(k)
        lists = [list(as_history(history)) for history in as_history(histories, "histories")]
        answers: list[list[Recommendation]] = [[] for _ in lists]
        open_rows, n_tokens = list(range(len(lists))), k
        while open_rows:
            joined = [self.phrases.join_history(lists[row]) for row in open_rows]
            found = self.model.recommend_many(joined, k=n_tokens, filter_seen=False)
            for row, tokens in zip(open_rows, found, strict=True):
                answers[row] = self._items(tokens, set(lists[row]) if filter_seen else set())[:k]
            open_rows = [
                row
                for row, tokens in zip(open_rows, found, strict=True)
                if len(answers[row]) < k and len(tokens) == n_tokens
            ]
            n_tokens *= 2
        return answers

    def _items(self, tokens: list[Recommendation], seen: set[str]) -> list[Recommendation]:
        best: dict[str, Recommendation] = {}
        for token in tokens:
            for item in self.phrases.expand([token.item]):
                if item not in seen:
                    best.setdefault(item, dataclasses.replace(token, item=item))
        return list(best.values())


def _scored(sentences: Sentences, min_count: float, scoring: Scoring) -> Iterable[_Pair]:
    """Return each distinct pair of consecutive tokens with its score."""
    first, second, counts = _pair_counts(sentences)
    item_counts = sentences.counts()
    n_first, n_second = item_counts[first].astype(np.float64), item_counts[second].astype(np.float64)
    if scoring == "count":
        n_distinct = np.count_nonzero(item_counts) + len(counts)
        scores = (counts - min_count) / (n_first * n_second) * n_distinct
    else:
        scores = _npmi(n_first, n_second, counts, len(sentences.tokens))
        scores[counts < min_count] = -np.inf
    ids = sentences.vocabulary.ids
    rows = zip(first.tolist(), second.tolist(), scores.tolist(), strict=True)
    return (_Pair(ids[a], ids[b], score) for a, b, score in rows)


def _npmi(n_first: Doubles, n_second: Doubles, n_pairs: Offsets, n_tokens: int) -> Doubles:
    """Return ln(p(a, b) / (p(a) p(b))) / -ln p(a, b) for each pair (a, b)."""
    p_pair = n_pairs / n_tokens
    information = np.log(p_pair / (n_first / n_tokens * (n_second / n_tokens)))
    return np.asarray(information / -np.log(p_pair))


def _pair_counts(sentences: Sentences) -> tuple[Codes, Codes, Offsets]:
    """Return three arrays: the first token of each distinct pair; the second token; and the count."""
    starts = np.flatnonzero(_starts_pair(sentences))
    n_items = max(len(sentences.vocabulary), 1)
    keys = sentences.tokens[starts].astype(np.int64) * n_items + sentences.tokens[starts + 1]
    distinct, counts = np.unique(keys, return_counts=True)
    return (distinct // n_items).astype(np.int32), (distinct % n_items).astype(np.int32), counts


def _starts_pair(sentences: Sentences) -> Mask:
    """Return a mask of the tokens that have a next token in their sentence, both of non-negative weight."""
    starts = np.ones(len(sentences.tokens), dtype=bool)
    ends = sentences.offsets[1:][sentences.lengths > 0]
    starts[ends - 1] = False
    if sentences.weights is not None:
        positive = sentences.weights >= 0
        starts &= positive
        starts[:-1] &= positive[1:]
    return starts


def _joined(sentences: Sentences, pairs: Mapping[tuple[str, str], float], delimiter: str) -> Sentences:
    """Return the sentences with these pairs joined, from left to right."""
    old = sentences.vocabulary
    known = [pair for pair in pairs if pair[0] in old and pair[1] in old]
    joined_ids = [f"{first}{delimiter}{second}" for first, second in known]
    if duplicate := next((id_ for id_ in joined_ids if id_ in old), None):
        raise _ambiguous(duplicate, delimiter)
    vocabulary = Vocabulary(tuple(dict.fromkeys((*old.ids, *joined_ids))))
    n_items = max(len(old), 1)
    keys = old.encode([a for a, _ in known]).astype(np.int64) * n_items + old.encode([b for _, b in known])
    order = np.argsort(keys)
    keys, new_codes = keys[order], vocabulary.encode(joined_ids)[order]

    starts = np.flatnonzero(_starts_pair(sentences))
    wanted = sentences.tokens[starts].astype(np.int64) * n_items + sentences.tokens[starts + 1]
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    is_pair = keys[place] == wanted if len(keys) else np.zeros(len(starts), dtype=bool)
    starts, place = _leftmost(starts[is_pair], place[is_pair])
    tokens = sentences.tokens.copy()
    tokens[starts + 1] = new_codes[place]
    kept = np.ones(len(tokens), dtype=bool)
    kept[starts] = False
    weights = sentences.weights
    if weights is not None:
        weights = weights.copy()
        weights[starts + 1] = np.maximum(weights[starts], weights[starts + 1])
    whole = dataclasses.replace(sentences, vocabulary=vocabulary, tokens=tokens, weights=weights)
    return whole.keep(kept)


def _leftmost(starts: Offsets, place: Offsets) -> tuple[Offsets, Offsets]:
    """Drop each pair that overlaps a kept pair to its left: every second pair in a run of adjacent starts."""
    if not len(starts):
        return starts, place
    is_first = np.diff(starts, prepend=starts[0] - 2) != 1
    first = np.maximum.accumulate(np.where(is_first, starts, 0))
    kept = (starts - first) % 2 == 0
    return starts[kept], place[kept]


def _ambiguous(joined: str, delimiter: str) -> InputError:
    return InputError(
        f"joined token {short_repr(joined)} equals another token; expected distinct tokens: set a delimiter "
        f"other than {delimiter!r}"
    )
