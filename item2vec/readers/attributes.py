"""Convert attributes that are text in the source to numbers, booleans and lists."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from item2vec.errors import InputError
from item2vec.readers.table import bare

__all__ = ["declared_types", "typed"]

# At most 18 digits, so that integers fit into 64 bits. Text such as 007 or +7 is a code, not a number.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?")
_DECLARED = re.compile(r".+:((?:token|float)(?:_seq)?)")
_BOOLEANS = {"true", "false"}
_DECIMAL_COMMA = re.compile(r"-?\d{1,3}(\.?\d{3})*,\d+")
_MOST = 0.9
_LOG = logging.getLogger("item2vec.readers")


def declared_types(header: Iterable[str]) -> dict[str, str]:
    """Map attribute names to the type suffixes of a RecBole header. Names without a suffix are omitted.

    >>> declared_types(["item_id:token", "class:token_seq", "year"])
    {'item_id': 'token', 'class': 'token_seq'}
    """
    matches = [(bare(cell), _DECLARED.fullmatch(cell.strip())) for cell in header]
    return {name: match[1] for name, match in matches if match}


def typed(
    rows: Sequence[dict[str, Any]],
    declared: Mapping[str, str],
    *,
    list_sep: str | None = None,
    infer_types: bool = True,
) -> list[dict[str, Any]]:
    """Return the attributes of each item, in which text is converted to numbers, booleans and lists.

    ``declared`` maps attribute names to type suffixes of RecBole. If at least one text of an attribute
    contains ``list_sep``, all texts of the attribute are split at ``list_sep``. Otherwise, they are split at
    spaces if the suffix is ``token_seq`` or ``float_seq``. A list that has no elements after splitting is
    omitted. Raise ``InputError`` if ``list_sep`` is empty text.

    The type of an attribute is inferred from all its texts or list elements, by the rules of ``read_items``.
    If ``infer_types`` is false, or the suffix is ``token`` or ``token_seq``, the texts or list elements are
    not converted. A warning is logged if at least 90 % of the texts of an attribute are numbers and some of
    these have a decimal comma, because the texts are not converted.

    >>> typed([{"year": "1983", "code": "007", "on": "True"}, {"year": "2.5", "code": "8"}], {})
    [{'year': 1983, 'code': '007', 'on': True}, {'year': 2.5, 'code': '8'}]
    >>> typed([{"genres": "jazz|soul"}, {"genres": "pop"}, {"genres": "|"}], {}, list_sep="|")
    [{'genres': ['jazz', 'soul']}, {'genres': ['pop']}, {}]
    """
    if list_sep == "":
        raise InputError("list_sep is ''; expected the separator of list elements, such as '|'")
    values: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                values[name].add(value)
    converters = {}
    for name, distinct in values.items():
        suffix = declared.get(name, "")
        is_split = list_sep is not None and any(list_sep in value for value in distinct)
        sep = list_sep if is_split else " " if suffix.endswith("_seq") else None
        elements = distinct if sep is None else {part for value in distinct for part in _split(value, sep)}
        convert = _converter(elements) if infer_types and not suffix.startswith("token") else str
        converters[name] = _list_converter(convert, sep) if sep is not None else convert
        if sep is None and convert is str and not suffix.startswith("token"):
            _log_decimal_commas(rows, name, distinct)
    return [_converted(row, converters) for row in rows]


def _converter(texts: Iterable[str]) -> Callable[[str], Any]:
    """Return ``_number`` if all texts are numbers, ``_boolean`` if all are booleans, otherwise ``str``."""
    if all(map(_NUMBER.fullmatch, texts)):
        return _number
    return _boolean if all(text.lower() in _BOOLEANS for text in texts) else str


def _log_decimal_commas(rows: Sequence[Mapping[str, Any]], name: str, distinct: Iterable[str]) -> None:
    with_comma = {text for text in distinct if _DECIMAL_COMMA.fullmatch(text)}
    if not with_comma:
        return
    numbers = with_comma | {text for text in distinct if _NUMBER.fullmatch(text)}
    texts = [row[name] for row in rows if isinstance(row.get(name), str) and row[name]]
    if sum(text in numbers for text in texts) >= _MOST * len(texts):
        _LOG.warning(
            "attribute %r is text, because numbers have a decimal point: %s of %s values have a decimal "
            "comma, such as %r; to compare them as numbers, convert the column, for example with "
            "pandas.read_csv(..., decimal=',', thousands='.')",
            name,
            f"{sum(text in with_comma for text in texts):,}",
            f"{len(texts):,}",
            next(text for text in texts if text in with_comma),
        )


def _list_converter(convert: Callable[[str], Any], sep: str) -> Callable[[str], Any]:
    return lambda text: [convert(element) for element in _split(text, sep)]


def _converted(row: dict[str, Any], converters: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    new = {name: converters[name](value) if isinstance(value, str) else value for name, value in row.items()}
    return {name: value for name, value in new.items() if value != [] or row[name] == []}


def _split(text: str, sep: str) -> list[str]:
    return [part for element in text.split(sep) if (part := element.strip())]


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _boolean(text: str) -> bool:
    return text.lower() == "true"
