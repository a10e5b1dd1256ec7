"""The arrays of sentences: dtypes on disk, checks of consistency, and a SHA-256 digest of all arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Offsets

__all__ = ["COLUMNS", "fault_of", "fingerprint_of", "offsets_of"]

COLUMNS = {"weights": "<f4", "timestamps": "<i8"}
"""Dtype on disk of each optional column. A column has one number per token."""


def fault_of(
    tokens: Codes, offsets: Offsets, columns: Mapping[str, npt.NDArray[Any]], n_items: int
) -> str | None:
    """Describe the first inconsistency of the arrays of sentences; return ``None`` if there is none.

    >>> fault_of(np.array([0, 2]), np.array([0, 2]), {}, n_items=2)
    'tokens are from 0 to 2; expected codes of the vocabulary, from 0 to 1'
    """
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
        found = f"start at {offsets[0]} and end at {offsets[-1]}" if len(offsets) else "are empty"
        return f"offsets {found}; expected offsets from 0 to {len(tokens)}, the number of tokens"
    if len(offsets) > 1 and int(np.diff(offsets).min()) < 0:
        return "offsets decrease; expected non-decreasing offsets"
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= n_items):
        found = f"tokens are from {tokens.min()} to {tokens.max()}"
        return f"{found}; expected codes of the vocabulary, from 0 to {n_items - 1}"
    for name, column in columns.items():
        if len(column) != len(tokens):
            return f"{len(column)} {name} for {len(tokens)} tokens; expected equal numbers"
    if "weights" in columns and not bool(np.isfinite(columns["weights"]).all()):
        return "a weight is not finite; expected finite numbers"
    return None


def fingerprint_of(arrays: Mapping[str, npt.NDArray[Any]], ids: Iterable[str], *, ordered: bool) -> str:
    """Return the SHA-256 digest of sentences in hexadecimal.

    ``arrays`` holds all arrays of the sentences by name. ``ids`` are the ids of the vocabulary, by code.
    """
    n_sentences, n_tokens = len(arrays["offsets"]) - 1, len(arrays["tokens"])
    shape = (ordered, n_sentences, n_tokens, "weights" in arrays)
    timed = b"timestamps" if "timestamps" in arrays else b""
    digest = hashlib.sha256(str(shape).encode() + timed)
    for name in ("tokens", "offsets", *COLUMNS):
        if name in arrays:
            array = arrays[name]
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    digest.update("".join(f"{len(id_.encode())}:{id_}" for id_ in ids).encode())
    return digest.hexdigest()


def offsets_of(lengths: Sequence[int] | npt.NDArray[Any]) -> Offsets:
    """Return the offsets of consecutive runs of these lengths: each run's start, and the end of the last run.

    >>> offsets_of([2, 0, 3])
    array([0, 2, 2, 5])
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    offsets[1:] = lengths
    np.add.accumulate(offsets, out=offsets)
    return offsets
