"""Read the pickles that gensim's ``KeyedVectors.save`` writes, without executing them.

A pickle is a program that names functions and classes, and calls them. This reader replaces each name that
gensim writes by a class that records the arguments of the call; any other name is an error. If the matrix is
large, gensim writes it to a separate NumPy file beside the pickle.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Floats, Offsets
from item2vec.errors import InputError, short_repr
from item2vec.kernels.pickles import COUNTED, LINE, TWO_LINES, UNKNOWN, largest_memo_index
from item2vec.kinds import HEAD_BYTES, PICKLE
from item2vec.opening import open_bytes, reading
from item2vec.types import Vocabulary

__all__ = ["is_pickle", "read_keyed_vectors"]

_NUMBERS = re.compile("[fiu][1248]")
CONVERT = "load the file in gensim, and write its KeyedVectors with save or save_word2vec_format"


class _Recorded:
    """A recorded call in a pickle: its arguments, and the state of the created object (or ``None``)."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> _Recorded:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _KeyedVectors(_Recorded):
    pass


class _Array(_Recorded):
    pass


class _Buffer(_Recorded):
    pass


class _DType(_Recorded):
    pass


class _Encoded(_Recorded):
    pass


STAND_INS: Mapping[tuple[str, str], type[_Recorded]] = {
    ("gensim.models.keyedvectors", "KeyedVectors"): _KeyedVectors,
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Recorded,
    ("_codecs", "encode"): _Encoded,
    ("builtins", "frozenset"): _Recorded,
    ("__builtin__", "frozenset"): _Recorded,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Recorded for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}
"""The names that a pickle may contain, and the class that replaces each name."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Recorded]:
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise ValueError(
                f"it contains {short_repr(f'{module}.{name}')}; only KeyedVectors are read: {CONVERT}"
            ) from None


def _arguments() -> Offsets:
    """Return the table of arguments for ``largest_memo_index``."""
    arguments = np.full(256, UNKNOWN, dtype=np.int64)
    widths = {
        pickletools.TAKEN_FROM_ARGUMENT1: 1,
        pickletools.TAKEN_FROM_ARGUMENT4: 4,
        pickletools.TAKEN_FROM_ARGUMENT4U: 4,
        pickletools.TAKEN_FROM_ARGUMENT8U: 8,
    }
    for code in pickletools.opcodes:
        length = 0 if code.arg is None else code.arg.n
        if code.arg is pickletools.stringnl_noescape_pair:
            length = TWO_LINES
        elif length == pickletools.UP_TO_NEWLINE:
            length = LINE
        elif length < 0:
            length = COUNTED + widths[length]
        arguments[ord(code.code)] = length
    return arguments


def _check_memo(content: bytes) -> None:
    """Raise ``ValueError`` if the ``largest_memo_index`` of a pickle is larger than its number of bytes.

    ``pickle.Unpickler`` fills a table up to this index with null pointers: gigabytes, if the file is damaged.
    """
    index = largest_memo_index(np.frombuffer(content, np.uint8), _arguments())
    if index > len(content):
        raise ValueError(
            f"it stores an object at memo index {index:,}, beyond its {len(content):,} bytes; the file "
            "is damaged"
        )


def is_pickle(path: Path) -> bool:
    """Return whether a file, compressed or not, begins with the first bytes of a pickle."""
    with reading(path), open_bytes(path, "latin-1", accepted=PICKLE) as file:
        return PICKLE.matches(file.read(HEAD_BYTES))


def read_keyed_vectors(path: Path, *, limit: int | None = None) -> tuple[Vocabulary, Floats, Doubles]:
    """Return the vocabulary, the vectors (n items × dimensions) and the counts in a file of ``KeyedVectors``.

    Vectors in a separate ``.npy`` file are memory-mapped; vectors in an ``.npz`` file are read into memory.
    If the pickle contains no counts, all counts are 1. ``limit`` is the maximum number of items to return;
    ``None`` for all items.

    Raises
    ------
    InputError
        If the file does not contain ``KeyedVectors`` or is damaged, if the separate file of its vectors is
        missing, or if an id is invalid or occurs twice.
    """
    with reading(path), open_bytes(path, "latin-1", accepted=PICKLE) as file:
        try:
            content = file.read()
            _check_memo(content)
            keyed = _Reader(io.BytesIO(content)).load()
            if not isinstance(keyed, _KeyedVectors) or not isinstance(keyed.state, dict):
                raise ValueError(f"it contains an object of another class; {CONVERT}")
            ids = _ids_of(keyed.state.get("index_to_key"))
            matrix = _vectors_of(keyed.state, path)
            if matrix.ndim != 2 or len(matrix) != len(ids):
                found = f"{len(ids):,} keys and vectors of shape {matrix.shape}"
                raise ValueError(f"it contains {found}; expected a matrix with one row per key")
            counts = _counts_of(keyed.state.get("expandos"), len(ids))
        except InputError:
            raise
        except Exception as error:  # any exception can result from a damaged pickle
            reason = error if str(error) else type(error).__name__
            raise InputError(f"{path} is not a pickle of gensim's KeyedVectors: {reason!s:.300}") from error
    kept = slice(limit)
    try:
        return Vocabulary(ids[kept]), matrix[kept], counts[kept]
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error


def _ids_of(keys: Any) -> tuple[str, ...]:
    if not isinstance(keys, list) or not keys:
        raise ValueError(f"its keys are {short_repr(keys)}; expected a list of text: {CONVERT}")
    if set(map(type, keys)) != {str}:
        other = next(key for key in keys if type(key) is not str)
        raise ValueError(f"it contains the key {short_repr(other)}; expected keys of text")
    return tuple(keys)


def _vectors_of(state: dict[Any, Any], path: Path) -> npt.NDArray[Any]:
    if "vectors" not in (state.get("__numpys") or ()):
        return _array_of(state["vectors"])
    for suffix in (".vectors.npy", ".vectors.npz"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            with reading(beside):
                loaded = np.load(beside, mmap_mode="r", allow_pickle=False)
                matrix = loaded if suffix.endswith("y") else loaded["val"]
            if matrix.dtype.kind not in "fiu":
                raise ValueError(f"{beside.name} contains {matrix.dtype}; expected numbers")
            return np.asarray(matrix)
    raise InputError(
        f"{path} needs the file of its vectors, {path.name}.vectors.npy, which gensim wrote beside it; copy "
        "both files into one folder"
    )


def _counts_of(attributes: Any, n: int) -> Doubles:
    recorded = attributes.get("count") if isinstance(attributes, dict) else None
    if recorded is None:
        return np.ones(n)
    counts = _array_of(recorded).astype(np.float64)
    if counts.shape != (n,):
        raise ValueError(f"it contains counts of shape {counts.shape} for {n:,} keys; expected one per key")
    return counts


def _array_of(recorded: Any) -> npt.NDArray[Any]:
    """Return the array of numbers that a pickle describes."""
    if isinstance(recorded, _Array):
        _, shape, dtype, is_fortran, content = recorded.state
        order: Any = "F" if is_fortran else "C"
    elif isinstance(recorded, _Buffer):
        content, dtype, shape, order = recorded.args
    else:
        raise ValueError(f"it contains {short_repr(recorded)} in place of an array")
    if not isinstance(dtype, _DType) or not _NUMBERS.fullmatch(dtype.args[0]):
        raise ValueError("it contains an array of values that are not numbers; expected numbers")
    if isinstance(content, _Encoded):  # in a pickle of protocol 2
        content = content.args[0].encode("latin-1")
    numbers = np.frombuffer(content, np.dtype(dtype.args[0]).newbyteorder(dtype.state[1]))
    matrix: npt.NDArray[Any] = numbers.reshape(tuple(shape), order=order)
    return matrix
