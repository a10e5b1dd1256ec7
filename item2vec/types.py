"""Basic types: ids and their dense codes, recommendations, and the validation of ids and ``k``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes
from item2vec.errors import (
    InputError,
    InputTypeError,
    InvalidIdError,
    UnknownItemError,
    short_repr,
)

__all__ = [
    "Recommendation",
    "Share",
    "Vocabulary",
    "as_history",
    "as_texts",
    "check_ids",
    "check_k",
    "k_or_n",
]

T = TypeVar("T")

MAX_ID_BYTES = 512
MAX_CLOSEST_CHARACTERS = 200_000
ENCODED_BLOCK = 1 << 13


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommended item with its score and its source.

    ``score`` ranks the items of one result and is not a probability. A score of ``Recommender.recommend`` is
    a cosine or an inner product, depending on the ``score`` setting of the model, plus the repeat bonus, the
    mixture and the popularity prior of the model, and changed by the rule ``boost``. Other functions, such as
    ``Translation.translate``, describe their scores.

    ``source`` is ``"model"``, ``"attributes"`` for an item outside the training vocabulary, whose vectors
    usually come from its attributes, or ``"popular"`` if the history has no user vector, for example because
    no item is known. The score of a popular item is its share of the training tokens. If the popularity prior
    of the model has a half-life, these tokens are discounted by age.

    A recommendation unpacks to ``item, score``:

    >>> item, score = Recommendation("blue-monday", 0.5)
    >>> item
    'blue-monday'

    A DataFrame of a list of recommendations has the columns ``item score source``.
    """

    item: str
    score: float
    source: str = "model"

    def __getitem__(self, place: int) -> str | float:
        """Return the item (0) or the score (1)."""
        # There is no __iter__, because pandas would otherwise read a list of recommendations as pairs, not as
        # records.
        return (self.item, self.score)[place]

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[str | float]: ...


@dataclass(frozen=True, slots=True)
class Share:
    """The contribution of one item to a recommendation's score; the contributions sum to the score.

    ``item`` is an item of the history or a disliked item; ``None`` for the joint contribution of the
    popularity prior and the rule ``direction``. With the rule ``interests``, ``interest`` is the central item
    of the interest that gives the recommended item its highest score; otherwise it is ``None``.

    >>> item, share = Share("age-of-consent", 0.25)
    >>> share
    0.25
    """

    item: str | None
    share: float
    interest: str | None = None

    def __iter__(self) -> Iterator[str | float | None]:
        yield self.item
        yield self.share


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary:
    """A mapping between ids and dense codes ``0 .. n-1``.

    ``ids[code]`` is the id of a code. Ids are compared byte by byte, without case folding or normalisation.

    Raises
    ------
    InputTypeError
        If an id is not text.
    InvalidIdError
        If an id is empty, contains a NUL or a lone surrogate, or is longer than 512 UTF-8 bytes.
    InputError
        If an id occurs twice.

    Examples
    --------
    >>> songs = Vocabulary(("temptation", "blue-monday"))
    >>> songs.encode(["blue-monday", "unheard-of"])
    array([ 1, -1], dtype=int32)
    >>> songs.decode([1, 0])
    ['blue-monday', 'temptation']
    >>> songs
    Vocabulary(2 ids: 'temptation', 'blue-monday')
    """

    ids: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(as_history(self.ids, "ids")))
        check_ids(self.ids)
        if len(self._code_of) != len(self.ids):
            seen: set[str] = set()
            duplicate = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise InputError(
                f"id {short_repr(duplicate)} occurs twice in a vocabulary; expected distinct ids"
            )

    @classmethod
    def of(cls, ids: Iterable[str]) -> Vocabulary:
        """Return a vocabulary of the distinct ids, in order of first appearance.

        >>> Vocabulary.of(["b", "a", "b"]).ids
        ('b', 'a')
        """
        return cls(tuple(dict.fromkeys(as_texts(ids))))

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {id_: code for code, id_ in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._code_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids == other.ids

    def __hash__(self) -> int:
        return hash((len(self), *self.ids[:3]))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.ids[:3])) + (", …" if len(self) > 3 else "")
        return f"Vocabulary({len(self):,} ids: {shown})" if len(self) else "Vocabulary(0 ids)"

    def code(self, id_: str, kind: str = "item") -> int:
        """Return the code of a known id.

        For an unknown id, raise ``UnknownItemError``. The message names the ``kind`` of the ids, and similar
        ids.
        """
        as_texts([id_])
        code = self._find(id_)
        if code is None:
            raise UnknownItemError(self._unknown(id_, kind))
        return code

    def _find(self, id_: str) -> int | None:
        return self._code_of.get(id_)

    def encode(self, ids: Iterable[str]) -> Codes:
        """Return the codes of ids, in the same order; -1 for an unknown id.

        Raises
        ------
        InputTypeError
            If an id is not text. Such a value would never match an id, and must not be treated as unknown.
        """
        ids = as_texts(ids)
        codes = np.empty(len(ids), dtype=np.int32)
        # Ids are encoded in blocks, because a call of fromiter blocks the other threads.
        for start in range(0, len(ids), ENCODED_BLOCK):
            block = ids[start : start + ENCODED_BLOCK]
            codes[start : start + len(block)] = np.fromiter(
                map(self._code_of.get, block, repeat(-1)), dtype=np.int32, count=len(block)
            )
        return codes

    def decode(self, codes: Iterable[int]) -> list[str]:
        """Return the ids of codes, in the same order."""
        ids = self.ids
        try:
            codes = codes.tolist() if isinstance(codes, np.ndarray) else list(codes)
            if codes and (min(codes) < 0 or isinstance(codes[0], bool)):
                raise IndexError  # a list would count a negative code from its end
            return [ids[code] for code in codes]
        except (IndexError, TypeError, ValueError) as error:
            expected = f"integers from 0 to {len(ids) - 1}" if ids else "an empty list"
            raise InputError(f"codes are {short_repr(codes)}; expected {expected}") from error

    def codes_in(self, other: Vocabulary) -> Codes:
        """Return, for each code, the code of the same id in another vocabulary; -1 if the id is not there.

        The ids of the smaller vocabulary are looked up in the larger one.

        Raises
        ------
        InputTypeError
            If ``other`` is not a vocabulary.

        Examples
        --------
        >>> Vocabulary(("a", "b", "c")).codes_in(Vocabulary(("c", "a")))
        array([ 1, -1,  0], dtype=int32)
        """
        if not isinstance(other, Vocabulary):
            raise InputTypeError(f"other is {short_repr(other)}; expected a Vocabulary")
        if len(self) <= len(other):
            return other.encode(self.ids)
        own = self.encode(other.ids)
        codes = np.full(len(self), -1, dtype=np.int32)
        codes[own[own >= 0]] = np.flatnonzero(own >= 0)
        return codes

    def take(self, codes: npt.NDArray[Any]) -> Vocabulary:
        """Return a new vocabulary of the ids of these codes, renumbered in this order."""
        return Vocabulary(tuple(self.decode(codes)))

    def closest(self, id_: str, n: int = 3) -> list[str]:
        """Return up to ``n`` known ids with a similar spelling, most similar first.

        The ratio of ``difflib.SequenceMatcher`` must be at least 0.6. Case, and white space at the start and
        the end, are ignored. Only ids whose length differs by at most 3 characters are compared. Of these
        ids, only the first ones are compared, with about 200,000 characters in total, so that a call takes a
        fraction of a second.
        """
        as_texts([id_])
        check_k(n)
        wanted = id_.strip().casefold()
        near = (known for known in self.ids if abs(len(known) - len(wanted)) <= 3)
        first = islice(near, MAX_CLOSEST_CHARACTERS // (len(wanted) + 1))
        by_folded = {known.strip().casefold(): known for known in first}
        return [by_folded[match] for match in difflib.get_close_matches(wanted, by_folded, n=n, cutoff=0.6)]

    def _unknown(self, id_: str, kind: str) -> str:
        unknown = f"unknown {kind} {id_!r} ({len(self):,} known)"
        closest = self.closest(id_)
        if not closest:
            return f"{unknown}; found no id with a similar spelling: check the id"
        return f"{unknown}; did you mean {' or '.join(map(repr, closest))}?"


def check_ids(ids: Sequence[str]) -> None:
    """Raise an error for ids that SQL, JSON or files cannot preserve byte for byte.

    Raises
    ------
    InputTypeError
        If an id is not text.
    InvalidIdError
        If an id is empty, contains a NUL or a lone surrogate, or is longer than 512 UTF-8 bytes.

    Examples
    --------
    >>> check_ids(["01", "1", "a b"])
    >>> check_ids(["a", ""])
    Traceback (most recent call last):
    item2vec.errors.InvalidIdError: id at position 1 is empty; ids are 1 to 512 UTF-8 bytes of text
    """
    ids = as_texts(ids)
    try:
        joined = "".join(ids)
        joined.encode()
    except UnicodeEncodeError:
        joined = "\0"
    longest = max(map(len, ids), default=1) if "\0" not in joined else 0
    if longest * 4 <= MAX_ID_BYTES and "" not in ids and "\0" not in joined:
        return
    for position, id_ in enumerate(ids):
        fault = _fault_of_id(id_)
        if fault:
            raise InvalidIdError(f"id at position {position} {fault}; ids are 1 to 512 UTF-8 bytes of text")


def as_texts(ids: Iterable[str]) -> Sequence[str]:
    """Return ids as a list; raise ``InputTypeError`` if an id is not text.

    Each distinct type is checked once, which is ten times as fast as a check of each id.
    """
    ids = as_history(ids, "ids")
    if all(issubclass(kind, str) for kind in set(map(type, ids))):
        return ids
    position = next(number for number, id_ in enumerate(ids) if not isinstance(id_, str))
    value: object = ids[position]
    remedy = "; pass str(id)" if isinstance(value, int | np.integer) else ""
    raise InputTypeError(
        f"id at position {position} is {value!r:.60}, of type {type(value).__name__}; expected text{remedy}"
    )


def _fault_of_id(id_: str) -> str | None:
    if not id_:
        return "is empty"
    if "\0" in id_:
        return f"contains a NUL character: {id_!r}"
    try:
        size = len(id_.encode())
    except UnicodeEncodeError:
        return f"contains a lone surrogate: {id_!r}"
    return f"is {size:,} bytes long: {id_[:40]!r}…" if size > MAX_ID_BYTES else None


def as_history(items: Iterable[T], name: str = "history") -> Sequence[T]:
    """Return ids, or lists of ids, as a list; ``name`` is the name of the argument in messages.

    ``InputTypeError`` is raised for a value that cannot be iterated, for a string, which would be read
    character by character, and for a mapping, whose values would be ignored.
    """
    if isinstance(items, str):
        raise InputTypeError(
            f"{name} is the text {short_repr(items)}; expected a list of ids, such as [{short_repr(items)}]"
        )
    if isinstance(items, Mapping) and not isinstance(items, Set):  # the nodes of networkx are both
        raise InputTypeError(
            f"{name} is the mapping {short_repr(items)}, whose values would be ignored; expected a list: "
            "pass the list of ids"
        )
    if not isinstance(items, Iterable):
        raise InputTypeError(
            f"{name} is {short_repr(items)}, of type {type(items).__name__}; expected a list of ids"
        )
    if isinstance(items, np.ndarray) and items.ndim == 0:
        raise InputTypeError(f"{name} is {short_repr(items)}, without dimensions; expected a list of ids")
    return list(items)


def k_or_n(k: int | None, n: int | None) -> int:
    """Return ``k``, which may be given by its other name ``n``; 10 if both are ``None``.

    ``InputTypeError`` is raised if both are given.
    """
    if k is not None and n is not None:
        raise InputTypeError(f"got k={k} and n={n}, two names of one argument; expected k only")
    return next((given for given in (k, n) if given is not None), 10)


def check_k(k: int) -> int:
    """Return ``k`` as an ``int``, capped at 2^63 - 1; raise an error unless ``k`` is an integer >= 1.

    Examples
    --------
    >>> check_k(10)
    10
    >>> check_k(0)
    Traceback (most recent call last):
    item2vec.errors.InputError: k is 0; expected an integer of at least 1
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise InputTypeError(f"k is {short_repr(k)}; expected an integer of at least 1")
    if k < 1:
        raise InputError(f"k is {short_repr(int(k))}; expected an integer of at least 1")
    return min(int(k), 2**63 - 1)
