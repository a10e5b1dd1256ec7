"""Conditions on the attributes of items: the language of ``where``.

A condition is a mapping from attribute names to the values that an item must have; all entries must match:

    {"genre": ["jazz", "soul"],              any of these values
     "in_stock": True,                       this value
     "year": {">=": 1990, "<": 2000},        operators, which must all match
     "any": [{"price": {"<": 5}}, {"sale": True}],
     "all": [{"tags": "live"}, {"tags": "vinyl"}],
     "not": {"explicit": True}}

| operator | matches |
|---|---|
| ``==`` | an equal value; the same as the value without an operator |
| ``!=`` | no equal value |
| ``in`` | one of the values of a list; the same as the list without an operator |
| ``not in`` | none of the values of a list |
| ``> >= < <=`` | greater or smaller numbers, or texts in the order of code points (the order of ISO dates) |
| ``contains`` | a text with this substring, or a list with this element |

- **Groups.** ``any`` and ``all`` are lists of conditions. For ``any``, at least one of them must be true; for
  ``all``, all of them must be true. ``not`` is a condition that must be false. These three names are
  reserved: an attribute with one of these names must be renamed.
- **Lists.** An attribute that is a list matches if one of its elements matches. ``!=`` and ``not in`` are the
  negations of ``==`` and ``in``: they match if no element is equal. If there are several operators, each may
  match a different element.
- **Null.** A missing value, null and NaN never match, not even under ``!=``, ``not in`` and ``not``, as in
  SQL: a comparison with null is unknown, and the negation of unknown is unknown. ``any`` is true if a member
  is true, even if other members are unknown. A null in a list is an unknown element. An empty list is not
  null: none of its elements is equal to a value, so that ``!=`` matches.
- **Types.** Text and numbers are never equal. True equals 1, and False equals 0. Ordering (``> >= < <=``) by
  a value of a type that the attribute never has is an error, which names the types of the attribute. If an
  attribute has both texts and numbers, the ordering of its values of the other type is unknown.
- **Letters.** Texts are compared exactly: "Jazz" and "jazz" differ, also under ``contains``.
- **Titles.** The name ``title`` is the title of an item, unless an attribute has this name.

``columns.py`` contains the encoded values of an attribute, ``predicates.py`` the conditions, ``parsing.py``
the conversion of a mapping to a condition, and ``expressions.py`` the conditions of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from item2vec.conditions.columns import Column
from item2vec.conditions.expressions import Expression, condition_of
from item2vec.conditions.parsing import parse
from item2vec.conditions.predicates import Condition

__all__ = ["Column", "Condition", "Expression", "Where", "condition_of", "parse"]

Where = Mapping[str, Any] | Condition
"""A condition, or the mapping that describes it."""
