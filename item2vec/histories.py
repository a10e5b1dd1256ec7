"""``Histories``: histories encoded as item codes in flat arrays, with weights and timestamps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Mask, Offsets
from item2vec.errors import InputError, InputTypeError, listed
from item2vec.interactions import microseconds
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.types import Vocabulary, as_history

__all__ = ["Histories", "encode_histories"]

log = logging.getLogger(__name__)


class Histories(NamedTuple):
    """Histories encoded with the vocabulary of a model, oldest item first.

    ``codes[offsets[i]:offsets[i + 1]]`` (int32) are the item codes of history ``i``. ``weights`` (float64)
    and ``timestamps`` (int64 microseconds) have one value per entry of ``codes``. ``weights``
    is ``None`` for histories without weights, and ``timestamps`` for histories without timestamps. A negative
    weight marks a disliked item.
    """

    codes: Codes
    offsets: Offsets
    weights: Doubles | None = None
    timestamps: Offsets | None = None

    def keep(self, items: Mask) -> Histories:
        """Return the histories with only the entries that ``items`` marks (one flag per entry of ``codes``).

        The number of histories does not change.
        """
        return Histories(
            self.codes[items],
            offsets_of(items)[self.offsets],
            None if self.weights is None else self.weights[items],
            None if self.timestamps is None else self.timestamps[items],
        )


def encode_histories(
    vocabulary: Vocabulary,
    histories: Sentences | Iterable[Iterable[str]],
    *,
    weights: Iterable[Iterable[float]] | None = None,
    timestamps: Iterable[Iterable[Any]] | None = None,
) -> Histories:
    """Encode histories with their weights and timestamps.

    Items that are not in the vocabulary are dropped. Their number and the first ids are logged at DEBUG.

    If histories are lists of ids, ``weights`` and ``timestamps`` hold one list per history, with one value
    per item. If histories are ``Sentences``, their own weights and timestamps are used, and both arguments
    must be ``None``. ``ShardedSentences`` are read into memory, and are then treated in the same way. Weights
    are rounded to float32, the dtype of weights in ``Sentences``.

    Raises
    ------
    InputTypeError
        If ``histories`` is not a list of lists of ids, or a weight or a timestamp has the wrong type.
    InputError
        If weights or timestamps differ in length from the histories or are passed with ``Sentences``, a
        weight is not finite, or integer timestamps appear not to be microseconds (see
        ``interactions.microseconds``).

    Examples
    --------
    >>> encode_histories(Vocabulary(("a", "b")), [["b", "z"], ["z"], ["a"]])
    Histories(codes=array([1, 0], dtype=int32), offsets=array([0, 1, 1, 2]), weights=None, timestamps=None)
    """
    if isinstance(histories, str):
        raise InputTypeError(f"histories is the text {histories!r}; expected a list of lists of ids")
    if isinstance(histories, ShardedSentences):
        histories = histories.whole()
    if isinstance(histories, Sentences):
        if weights is not None or timestamps is not None:
            raise InputError(
                "found weights= or timestamps= together with Sentences, whose own weights and timestamps are "
                "used; expected neither: remove the arguments"
            )
        codes = vocabulary.encode(histories.vocabulary.ids)[histories.tokens]
        own_weights = None if histories.weights is None else histories.weights.astype(np.float64)
        encoded = Histories(codes, histories.offsets, own_weights, histories.timestamps)
        ids = chain.from_iterable(histories)
    else:
        lists = [as_history(history, "a history") for history in as_history(histories, "histories")]
        lengths = [len(history) for history in lists]
        encoded = Histories(
            vocabulary.encode(lists[0] if len(lists) == 1 else chain.from_iterable(lists)),
            offsets_of(lengths),
            None if weights is None else _joined("weights", map(_weights, weights), lengths),
            None if timestamps is None else _joined("timestamps", map(microseconds, timestamps), lengths),
        )
        ids = chain.from_iterable(lists)
    known = encoded.codes >= 0
    if bool(known.all()):
        return encoded
    if log.isEnabledFor(logging.DEBUG):
        _log_unknown(ids, known)
    return encoded.keep(known)


def _log_unknown(ids: Iterable[str], known: Mask) -> None:
    unknown = list(compress(ids, (~known).tolist()))
    message = "%d of %d items of histories are unknown, and are skipped: %s"
    log.debug(message, len(unknown), len(known), listed(unknown))


def _weights(weights: Iterable[float]) -> Doubles:
    if not isinstance(weights, np.ndarray):
        weights = as_history(weights, "weights")
    try:
        with np.errstate(over="ignore"):
            column = np.asarray(weights, dtype=np.float32).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"weights are {weights!r}; expected finite numbers") from error
    if not bool(np.isfinite(column).all()):
        raise InputError(
            f"weights contain {column[~np.isfinite(column)][0]} (as float32); expected finite numbers"
        )
    return column


def _joined(name: str, columns: Iterable[npt.NDArray[Any]], lengths: Sequence[int]) -> npt.NDArray[Any]:
    """Concatenate the columns of all histories; raise ``InputError`` if a length differs from ``lengths``."""
    arrays = list(columns)
    if [array.shape for array in arrays] == [(length,) for length in lengths]:
        return np.concatenate([np.empty(0, arrays[0].dtype if arrays else np.float64), *arrays])
    for number, (array, length) in enumerate(zip(arrays, lengths, strict=False)):
        if array.shape != (length,):
            raise InputError(
                f"{name} of history {number} have shape {array.shape}; expected ({length},), one per item"
            )
    raise InputError(f"found {name} of {len(arrays)} histories; expected {name} of {len(lengths)}")
