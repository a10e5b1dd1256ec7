"""Strict JSON: bounded depth, finite numbers, distinct keys, valid Unicode."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Never

from item2vec.errors import InputError, short_repr

__all__ = ["parse"]

LONGEST_NUMBER = 400
# An unclosed string matches up to the end of the body, so that the time is linear in the size of the body.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


def parse(body: bytes, *, max_depth: int = 32, what: str = "body") -> Any:
    """Parse JSON in UTF-8. ``what`` names the text in messages.

    Raises
    ------
    InputError
        If the body is not valid JSON in UTF-8, is nested more deeply than ``max_depth``, or contains NaN, an
        infinite number, an integer of more than 400 characters, a repeated key, or a lone surrogate.

    Examples
    --------
    >>> parse(b'{"k": 10}')
    {'k': 10}
    >>> parse(b'[[[]]]', max_depth=2)
    Traceback (most recent call last):
    item2vec.errors.InputError: the JSON is nested more than 2 levels deep; expected at most 2
    """
    if _depth_exceeds(body, max_depth):
        raise InputError(
            f"the JSON is nested more than {max_depth} levels deep; expected at most {max_depth}"
        )
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start} of the {what} is not UTF-8; expected JSON in UTF-8") from None
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_distinct,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise InputError(
            f"the {what} is not JSON: {error.msg} at character {error.pos}; expected JSON in UTF-8"
        ) from None
    except UnicodeEncodeError:
        raise InputError("the JSON contains a lone surrogate; expected valid Unicode text") from None
    return value


def _depth_exceeds(body: bytes, max_depth: int) -> bool:
    """Return whether brackets outside of strings are nested more deeply than ``max_depth``."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        first = match[0][0]
        depth += (first in b"[{") - (first in b"]}")
        if depth > max_depth:
            return True
    return False


def _refuse_constant(name: str) -> Never:
    raise InputError(f"the JSON contains {name}; expected finite numbers")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"the JSON contains the number {text[:80]}; expected at most 1.8e308 in magnitude")
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise InputError(
            f"the JSON contains an integer of {len(text):,} characters; expected at most {LONGEST_NUMBER}"
        )
    return int(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"the JSON repeats the key {short_repr(repeated)}; expected distinct keys")
    return value
