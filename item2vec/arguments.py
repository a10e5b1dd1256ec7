"""Checks of the arguments of public functions: types by annotation, numeric arrays, and row indices."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt

from item2vec.errors import InputError, InputTypeError, short_repr

__all__ = ["as_array", "check_fields", "check_rows", "checked", "checked_except", "row_indices"]

T = TypeVar("T", bound=Callable[..., Any])

MOST = 2**63 - 1
"""Maximum magnitude of an integer argument. Arrays and SQL columns store integers as int64."""


class _Kind(NamedTuple):
    """A test for the values that an annotation accepts, and the description of these values in messages.

    A value whose type is in ``types`` is accepted without a call of ``accepts``.
    """

    accepts: Callable[[Any], bool]
    expected: str
    types: frozenset[type] = frozenset()


_Kinds = Mapping[str, _Kind]


def checked(target: T) -> T:
    """Check the types of arguments against the annotations; raise ``InputTypeError`` for a mismatch.

    The target is a function or a class. Of a class, ``__init__`` and the public methods are checked. Class
    methods and static methods are not checked: each of them must be decorated separately.

    An integer must fit into int64, and must not be a boolean. For a boolean, 0 and 1 are accepted. A number
    must not be NaN. A path must not contain a NUL or a lone surrogate. A value for a ``Literal`` needs the
    type of one of the options, but need not be one of them. The following are not checked: default values,
    elements of lists and dicts, arguments of ``**kwargs``, protocols, and annotations with a class that is
    imported for type checking only.

    >>> @checked
    ... def half(number: float | None) -> float:
    ...     return number / 2
    >>> half("a")
    Traceback (most recent call last):
    item2vec.errors.InputTypeError: number is 'a'; expected a number, or None
    """
    if isinstance(target, type):
        for name, method in list(vars(target).items()):
            is_checked = hasattr(method, "__wrapped__")  # decorated by ``checked_except``
            if inspect.isfunction(method) and not is_checked and (name == "__init__" or name[0] != "_"):
                setattr(target, name, checked(method))
        return target
    return checked_except()(target)


def checked_except(*unchecked: str) -> Callable[[T], T]:
    """Return a decorator that checks arguments as ``checked`` does, except those named in ``unchecked``.

    The decorated function checks the arguments in ``unchecked`` itself, with more specific messages.
    """

    def decorate(function: T) -> T:
        names = list(inspect.signature(function).parameters)

        @functools.cache  # annotations may name classes that are defined after the function
        def kinds() -> _Kinds:
            left_out = {*unchecked, "return"}
            annotations = {k: v for k, v in function.__annotations__.items() if k not in left_out}
            return _kinds_of(annotations, function.__globals__)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            _require(zip(names, args, strict=False), kinds())
            _require(kwargs.items(), kinds())
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def check_fields(record: object) -> None:
    """Check the fields of a dataclass as ``checked`` does, except arrays, which ``as_array`` converts."""
    kinds = _kinds_of_fields(type(record))  # type: ignore[arg-type]
    _require(((name, getattr(record, name)) for name in kinds), kinds)


@functools.cache
def _kinds_of_fields(record: type[Any]) -> _Kinds:
    annotations = {field.name: str(field.type) for field in dataclasses.fields(record)}
    kinds = _kinds_of(annotations, vars(sys.modules[record.__module__]))
    return {name: kind for name, kind in kinds.items() if "array" not in kind.expected}


def _require(values: Iterable[tuple[str, Any]], kinds: _Kinds) -> None:
    for name, value in values:
        kind = kinds.get(name)
        if kind is not None and type(value) not in kind.types and not kind.accepts(value):
            raise InputTypeError(f"{name} is {short_repr(value)}; expected {kind.expected}")


def _kinds_of(annotations: Mapping[str, str], space: dict[str, Any]) -> _Kinds:
    kinds = {}
    for name, text in annotations.items():
        try:
            kind = _kind_of(eval(text, space))  # noqa: S307 - an annotation of this package
        except NameError:  # a class that is imported for type checking only
            continue
        if kind is not _ANYTHING:
            kinds[name] = kind
    return kinds


def _kind_of(hint: Any) -> _Kind:
    outer, parts = get_origin(hint) or hint, get_args(hint)
    if outer in (Union, types.UnionType):
        return _union([_kind_of(part) for part in parts])
    if outer is Literal:
        return _instances(tuple({type(option) for option in parts}), " or ".join(map(repr, parts)))
    if outer is np.ndarray:
        return _array(parts[1])
    if outer is Iterable:
        return _Kind(_is_iterable, f"a list{_of_ids(hint)}", frozenset((list, tuple)))
    is_class = isinstance(outer, type) and not getattr(outer, "_is_protocol", False)
    return _KINDS.get(outer) or (_instances(outer, outer.__name__) if is_class else _ANYTHING)


def _union(kinds: list[_Kind]) -> _Kind:
    if _ANYTHING in kinds:
        return _ANYTHING
    if _PATH in kinds:
        kinds = [kind for kind in kinds if kind is not _TEXT]
    accepted = [kind.accepts for kind in kinds]
    *first, last = dict.fromkeys(kind.expected for kind in kinds)
    expected = f"{', '.join(first)}, or {last}" if first else last
    types_ = frozenset[type]().union(*(kind.types for kind in kinds))
    return _Kind(lambda value: any(accepts(value) for accepts in accepted), expected, types_)


def _instances(kinds: type | tuple[type, ...], expected: str) -> _Kind:
    types_ = frozenset(kinds if isinstance(kinds, tuple) else (kinds,))
    return _Kind(lambda value: isinstance(value, kinds), expected, types_)


def _of_ids(hint: Any) -> str:
    """Return the description of the elements of ``Iterable[str]`` and ``Iterable[Iterable[str]]``."""
    (element,) = get_args(hint) or (Any,)
    if element is str:
        return " of ids"
    return f" of lists{inner}" if get_origin(element) is Iterable and (inner := _of_ids(element)) else ""


def _array(dtype: Any) -> _Kind:
    element = next(iter(get_args(dtype)), Any)
    letters, of = "biufcmM", ""
    if isinstance(element, type) and issubclass(element, np.generic):
        integers = issubclass(element, np.integer)
        letters, of = ("b", " of booleans") if element is np.bool_ else ("biuf", " of numbers")
        letters, of = ("iu", " of integers") if integers else (letters, of)

    def accepts(value: object) -> bool:
        return isinstance(value, np.ndarray) and value.dtype.kind in letters and value.ndim > 0

    return _Kind(accepts, f"an array{of}")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1))


def _is_integer(value: Any) -> bool:
    integral = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return integral and -MOST <= value <= MOST


def _is_number(value: Any) -> bool:
    return not math.isnan(value) if isinstance(value, (float, np.floating)) else _is_integer(value)


def _is_path(value: object) -> bool:
    if isinstance(value, PathLike):
        value = value.__fspath__()
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and value.ndim == 0)


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, bytes)


_ANYTHING = _Kind(lambda _: True, "")
_TEXT = _instances(str, "text")
_PATH = _Kind(_is_path, "a path")
_KINDS: dict[Any, _Kind] = {
    Any: _ANYTHING,
    object: _ANYTHING,
    None: _instances(NoneType, "None"),
    NoneType: _instances(NoneType, "None"),
    int: _Kind(_is_integer, "an integer"),
    float: _Kind(_is_number, "a number"),
    bool: _Kind(_is_flag, "True or False", frozenset((bool,))),
    str: _TEXT,
    PathLike: _PATH,
    Path: _Kind(lambda value: isinstance(value, Path) and _is_path(value), "a pathlib.Path"),
    datetime: _instances(datetime, "a datetime"),
    Callable: _Kind(callable, "a function"),
    Mapping: _instances((dict, Mapping), "a dict"),
    Sequence: _Kind(_is_sequence, "a list", frozenset((list, tuple))),
}


def as_array(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a C-contiguous array of a dtype, without a copy if possible.

    With a float dtype, a number outside the range of the dtype becomes infinite (except an ``int`` outside
    the range of float64), and ``None`` becomes NaN.

    Raises
    ------
    InputTypeError
        If a value is neither a number nor the text of a number, except ``None`` with a float dtype; if rows
        differ in length; or if the dtype is an integer dtype, and a float is not finite or out of range, or a
        text is not an integer.
    InputError
        If the dtype is an integer dtype, and an integer is out of range or a float is not an integer; or if
        the dtype is a float dtype, and an ``int`` is outside the range of float64.

    Examples
    --------
    >>> as_array(["a"], np.float32)
    Traceback (most recent call last):
    item2vec.errors.InputTypeError: found ['a']; expected numbers that fit into float32
    """
    expected = f"expected numbers that fit into {np.dtype(dtype)}"
    try:
        with np.errstate(over="ignore", invalid="raise"):
            if np.dtype(dtype).kind not in "iu":
                return np.ascontiguousarray(values, dtype=dtype)
            given = np.atleast_1d(values)
            integers = np.ascontiguousarray(given, dtype=dtype)
    except OverflowError as error:
        raise InputError(f"found {short_repr(values)}; {expected}") from error
    except (TypeError, ValueError, FloatingPointError) as error:
        raise InputTypeError(f"found {short_repr(values)}; {expected}") from error
    if integers is not given:
        _check_unchanged(given, integers)
    return integers


def _check_unchanged(given: npt.NDArray[Any], integers: npt.NDArray[Any]) -> None:
    """Raise ``InputError`` if the conversion of numbers to an integer dtype changed a number."""
    is_safe = np.can_cast(given.dtype, integers.dtype) or given.dtype.kind not in "iuf"
    if not is_safe and not np.array_equal(given, integers):
        changed = given[given != integers][0]
        raise InputError(f"found {changed}; expected integers that fit into {integers.dtype}")


def check_rows(rows: npt.ArrayLike, n: int, name: str = "rows") -> None:
    """Raise ``InputError`` unless ``rows`` is a mask of ``n`` flags, or a list of row indices.

    Row indices are integers from ``-n`` to ``n - 1``. Negative indices count from the end, as in NumPy.

    >>> check_rows(np.array([-3, 2]), 3)
    >>> check_rows(np.array([3]), 3)
    Traceback (most recent call last):
    item2vec.errors.InputError: rows are array([3]); expected a mask of 3 flags, or row indices from -3 to 2
    """
    try:
        array = np.asarray(rows)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype == bool:
        good = array.shape == (n,)
    elif array.size:
        good = array.ndim == 1 and array.dtype.kind in "iu" and -n <= array.min() and array.max() < n
    else:
        good = array.ndim == 1 and array.dtype != object
    if not good:
        expected = f"a mask of {n} flags, or row indices from {-n} to {n - 1}" if n else "an empty list"
        raise InputError(f"{name} are {short_repr(rows)}; expected {expected}")


def row_indices(rows: npt.ArrayLike, n: int, name: str = "rows") -> npt.NDArray[np.int64]:
    """Return the indices from 0 to ``n - 1`` of rows that ``check_rows`` accepts (int64).

    >>> row_indices(np.array([True, False, True]), 3), row_indices(np.array([-1, 0]), 3)
    (array([0, 2]), array([2, 0]))
    """
    check_rows(rows, n, name)
    array = np.asarray(rows)
    if array.dtype == bool:
        return np.flatnonzero(array)
    indices = array.astype(np.int64)
    indices[indices < 0] += n
    return indices
