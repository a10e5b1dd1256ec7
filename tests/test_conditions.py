"""The language of ``where``: examples, errors, and agreement with a slow evaluation row by row."""

from __future__ import annotations

import operator
from math import nan

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, Vocabulary
from item2vec.catalogue import Catalogue, Eligible
from item2vec.conditions import Expression, condition_of, parse
from item2vec.errors import InputError, InputTypeError

SONGS = Items.of(
    {
        "a": {"title": "Blue Monday", "genre": "jazz", "year": 1959, "price": 1.5, "live": True},
        "b": {"title": "So What", "genre": "soul", "year": 1983, "price": 4, "live": False},
        "c": {"genre": "rock", "year": 1996, "price": None, "tags": ["loud", "long"], "sale": True},
        "d": {"genre": None, "tags": ["calm"], "out": "2024-03-01"},
        "e": {"tags": [], "year": nan, "out": "2023-12-24", "sizes": [36, 38]},
        "f": {"tags": ["calm", None], "sizes": [40], "mixed": "10"},
        "g": {"tags": None, "mixed": 10, "nested": {"x": 1}},
    }
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcdefg"),
        ({"genre": {"==": "jazz"}}, "a"),
        ({"genre": {"!=": "jazz"}}, "bc"),
        ({"genre": {"in": ["jazz", "rock"]}}, "ac"),
        ({"genre": {"not in": ["jazz", "rock"]}}, "b"),
        ({"genre": {"not in": []}}, "abc"),
        ({"genre": {"in": []}}, ""),
        ({"genre": {"!=": None}}, ""),
        ({"genre": {"not in": ["jazz", None]}}, ""),
        ({"not": {"genre": "jazz"}}, "bc"),
        ({"not": {"genre": ["jazz", None]}}, ""),
        ({"year": {">=": 1983}}, "bc"),
        ({"year": {">": 1983}}, "c"),
        ({"year": {"<": 1983}}, "a"),
        ({"year": {"<=": 1983.0}}, "ab"),
        ({"year": {">": 1982.5, "<": float("inf")}}, "bc"),
        ({"year": {">=": 1990, "<": 2000}}, "c"),
        ({"year": {">": None}}, ""),
        ({"not": {"year": {">": nan}}}, ""),
        ({"not": {"year": {">": 1983}}}, "ab"),
        ({"year": np.int64(1983)}, "b"),
        ({"live": True}, "a"),
        ({"live": np.bool_(False)}, "b"),
        ({"live": {">=": 1}}, "a"),
        ({"live": 1}, "a"),
        ({"live": {"in": [0, 1.0]}}, "ab"),
        ({"price": (1.5, 4.0, 7)}, "ab"),
        ({"genre": {"contains": "JA"}}, ""),
        ({"genre": "Jazz"}, ""),
        ({"out": {">=": "2024"}}, "d"),
        ({"title": {"contains": "Monday"}}, "a"),
        ({"title": "So What"}, "b"),
        ({"not": {"title": {"contains": "Monday"}}}, "b"),
        ({"genre": {"contains": ""}}, "abc"),
        ({"tags": "calm"}, "df"),
        ({"tags": {"contains": "calm"}}, "df"),
        ({"tags": {"contains": "cal"}}, ""),
        ({"tags": {"!=": "calm"}}, "ce"),
        ({"not": {"tags": {"contains": "calm"}}}, "ce"),
        ({"tags": {"!=": "loud"}}, "de"),
        ({"sizes": {">": 36, "<": 38}}, "e"),
        ({"sizes": {"contains": 40}}, "f"),
        ({"sizes": {"contains": "40"}}, ""),
        ({"mixed": 10}, "g"),
        ({"mixed": "10"}, "f"),
        ({"mixed": {"!=": 10}}, "f"),
        ({"mixed": {">": 9}}, "g"),
        ({"not": {"mixed": {">": 10}}}, "g"),
        ({"not": {"mixed": {"contains": "2"}}}, "f"),
        ({"nested": {"!=": 1}}, ""),
        ({"any": [{"price": {"<": 2}}, {"sale": True}]}, "ac"),
        ({"any": []}, ""),
        ({"all": []}, "abcdefg"),
        ({"not": {}}, ""),
        ({"all": [{"year": {">": 1960}}, {"year": {"<": 1990}}]}, "b"),
        ({"any": [{"genre": "jazz"}, {"tags": "calm"}], "not": {"title": {"contains": "Blue"}}}, ""),
        ({"not": {"not": {"genre": "jazz"}}}, "a"),
        ({"not": {"any": [{"genre": "jazz"}, {"year": 1983}]}}, "c"),
        ({"not": {"year": 1983, "genre": "jazz"}}, "abc"),
        ({"genre": "rock", "any": [{"year": 1996}, {"price": 3}], "sale": True}, "c"),
    ],
)
def test_examples_of_conditions(where, expected):
    assert SONGS.where(where) == list(expected)
    assert SONGS.where({"all": [where]}) == SONGS.where(parse(where)) == list(expected)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"genre": {">": 1990}}, r"genre is of type text, and cannot be compared by > 1990; expected text"),
        (
            {"year": {"<=": "1990"}},
            r"year is of type number, and cannot be compared by <= '1990'; expected a number",
        ),
        ({"live": {"<": "true"}}, r"live is of type boolean, and cannot be compared by < 'true'"),
        ({"tags": {">": 7}}, r"tags is of type list of text, and cannot"),
        (
            {"year": {"contains": "19"}},
            r"year is of type number, and cannot contain '19'; expected an attribute that",
        ),
        ({"genre": {"contains": 7}}, r"genre is of type text, and cannot contain 7; expected text"),
        ({"any": [{"not": {"genre": {"<": 2}}}, {}]}, r"genre is of type text"),
    ],
)
def test_a_comparison_across_types_names_the_type_of_the_attribute(where, message):
    with pytest.raises(InputTypeError, match=message):
        SONGS.where(where)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("genre", "where is 'genre'; expected a mapping"),
        (
            {"genre": {}},
            r"genre is \{\}; expected text, a number or a boolean, a list of these, or a mapping",
        ),
        (
            {"genre": {"=": 1}},
            r"genre has the unknown operator '='; .* operators ==, !=, >, >=, <, <=, in, not in, contains",
        ),
        ({"genre": {"in": "jazz"}}, "the operand of 'in' for genre is 'jazz'; expected a list"),
        ({"genre": {"==": ["jazz"]}}, r"the operand of '==' for genre is \['jazz'\]; expected text"),
        ({"genre": {">": ["jazz"]}}, "the operand of '>' for genre"),
        ({"genre": {"in": [["jazz"]]}}, "an element of the operand of 'in' for genre"),
        (
            {"any": {"genre": "jazz"}},
            "the value of 'any' is .*; expected a list of mappings .*'any' must be renamed",
        ),
        ({"all": "jazz"}, "the value of 'all' is 'jazz'; expected a list of mappings"),
        ({"any": ["jazz"]}, "a member of 'any' is 'jazz'; expected a mapping"),
        ({"not": "jazz"}, "the value of 'not' is 'jazz'; expected a mapping"),
        ({"not": {7: 1}}, "an attribute name is 7"),
    ],
)
def test_other_forms_are_errors(where, message):
    with pytest.raises(InputTypeError, match=message):
        parse(where)


@pytest.mark.parametrize(
    "where",
    [
        {"yaer": 1983},
        {"yaer": {">": 1}},
        {"any": [{"year": 1}, {"yaer": 1}]},
        {"not": {"all": [{"not": {"yaer": 1}}]}},
        {"genre": "polka", "all": [{"yaer": 1}]},
    ],
)
def test_an_unknown_attribute_is_an_error_in_every_group(where):
    with pytest.raises(InputError, match="no item has an attribute 'yaer'; did you mean 'year'"):
        SONGS.where(where)


def test_a_title_is_an_attribute_only_if_an_item_has_one():
    with pytest.raises(InputError, match="no item has an attribute 'title'"):
        Items.of({"a": {"genre": "jazz"}}).where({"title": "A"})
    with pytest.raises(InputError, match="did you mean 'title'"):
        SONGS.where({"titel": "A"})
    shadowed = Items(Vocabulary(("a",)), ("A",), ({"title": "B"},))
    assert shadowed.where({"title": "B"}) == ["a"]


def test_an_empty_title_is_no_title():
    songs = Items.of({"a": {"title": ""}, "b": {"title": "So What"}})
    assert songs.where({"title": {"!=": "Blue Monday"}}) == ["b"]


def test_conditions_nested_too_deep_are_errors():
    where = {}
    for _ in range(31):
        where = {"not": where}
    assert len(SONGS.where(where)) == 0
    for deeper in ({"not": where}, {"any": [where]}):
        with pytest.raises(InputError, match="more than 32 levels"):
            parse({"all": [deeper]})
    recursive = {}
    recursive["any"] = [recursive]
    with pytest.raises(InputError, match="more than 32 levels"):
        parse(recursive)


def test_conditions_are_equal_if_they_are_written_differently():
    assert hash(parse({"a": ["x", "y"]})) == hash(parse({"a": {"in": ("y", "x")}}))
    assert parse({"a": 1}) == parse({"a": {"==": True}}) == parse({"a": 1.0})
    assert parse({"a": {"!=": 1}}) == parse({"a": {"not in": [1]}}) != parse({"a": 1})
    assert parse({"a": 1}) != parse({"a": "1"})


def test_integers_beyond_the_precision_of_floats_are_compared_exactly():
    items = Items.of({"a": {"x": 2**53}, "b": {"x": 2**53 + 1}, "c": {"x": 2.0**53}})
    assert items.where({"x": 2**53 + 1}) == ["b"]
    assert items.where({"x": {">": 2**53}}) == ["b"]
    assert items.where({"x": {"<=": 2**53}}) == ["a", "c"]


# The slow reference: True, False, or None for unknown.

SCALARS = str | int | float
COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class CannotCompareError(Exception):
    pass


def is_null(value):
    return not isinstance(value, SCALARS) or value != value


def same_kind(left, right):
    return isinstance(left, str) == isinstance(right, str)


def any_of(truths):
    truths = list(truths)
    return True if True in truths else None if None in truths else False


def negated(truth):
    return None if truth is None else not truth


def all_of(truths):
    return negated(any_of(negated(truth) for truth in truths))


def of_value(name, value, wanted, *, in_list):
    """Compare a value of an item with a value of a condition."""
    if is_null(value) or is_null(wanted):
        return None
    if name == "==":
        return value == wanted
    if name == "contains":
        if in_list:
            return value == wanted
        return wanted in value if isinstance(value, str) and isinstance(wanted, str) else None
    return COMPARE[name](value, wanted) if same_kind(value, wanted) else None


def of_cell(name, cell, wanted):
    if name in ("!=", "not in"):
        return negated(of_cell({"!=": "==", "not in": "in"}[name], cell, wanted))
    if name == "in":
        # Without alternatives, a value is known to be none of them, and null is unknown.
        return any_of([*(of_cell("==", cell, one) for one in wanted), has_null(cell) and None])
    values = cell if isinstance(cell, list) else [cell]
    found = any_of(of_value(name, value, wanted, in_list=isinstance(cell, list)) for value in values)
    return None if is_null(wanted) else found


def has_null(cell):
    return any(map(is_null, cell)) if isinstance(cell, list) else is_null(cell)


def check_types(cells, name, wanted):
    values = [v for cell in cells for v in (cell if isinstance(cell, list) else [cell]) if not is_null(v)]
    comparable = not values or is_null(wanted) or any(same_kind(value, wanted) for value in values)
    if name in COMPARE and not comparable:
        raise CannotCompareError
    if name == "contains" and values and not is_null(wanted):
        texts = isinstance(wanted, str) and any(isinstance(value, str) for value in values)
        if not texts and not any(isinstance(cell, list) for cell in cells):
            raise CannotCompareError


def evaluate(where, row, rows):
    truths = []
    for name, value in where.items():
        if name == "not":
            truths.append(negated(evaluate(value, row, rows)))
        elif name in ("any", "all"):
            truths.append((any_of if name == "any" else all_of)(evaluate(one, row, rows) for one in value))
        else:
            plain = {"in" if isinstance(value, list) else "==": value}
            for of, wanted in (value if isinstance(value, dict) else plain).items():
                check_types([other.get(name) for other in rows.values()], of, wanted)
                truths.append(of_cell(of, row.get(name), wanted))
    return all_of(truths)


texts = st.sampled_from(["", "a", "ab", "b", "1"])
numbers = st.integers(-1, 2) | st.sampled_from([0.5, 1.0, True, False, 2**53, 2**53 + 1])
nulls = st.sampled_from([None, nan])
scalars = texts | numbers | nulls


def one_of(*strategies):
    """Choose each strategy equally often; ``|`` would choose among the members of all unions."""
    return st.sampled_from(strategies).flatmap(lambda chosen: chosen)


def cells_of(values):
    lists = st.lists(one_of(values, values, values, nulls), max_size=3)
    return one_of(values, values, values, lists, nulls | st.just({"n": 1}) | st.just([["a"]]))


# The values of each attribute, and the values with which conditions mostly compare it.
COLUMNS = {"text": texts, "number": numbers, "mixed": texts | numbers}


def leaves_of(name):
    values = one_of(*[COLUMNS[name]] * 9, scalars)
    several = st.lists(values, max_size=3)
    ordered = st.dictionaries(st.sampled_from([*COMPARE]), values, min_size=1, max_size=2)
    other = st.dictionaries(st.sampled_from(["==", "!=", "contains"]), values, min_size=1, max_size=1)
    listed = st.dictionaries(st.sampled_from(["in", "not in"]), several, min_size=1)
    return st.fixed_dictionaries({name: one_of(values, several, ordered, other, listed)})


leaves = one_of(*map(leaves_of, COLUMNS))
wheres = st.recursive(
    leaves,
    lambda inner: one_of(
        st.dictionaries(st.sampled_from(["any", "all"]), st.lists(inner, max_size=3)),
        st.builds(lambda one, other: one | {"not": other}, leaves, inner),
        st.builds(lambda other: {"not": other}, inner),
    ),
    max_leaves=4,
)
rows_of_columns = st.fixed_dictionaries(
    {}, optional={name: cells_of(values) for name, values in COLUMNS.items()}
)
tables = st.lists(rows_of_columns, min_size=3, max_size=8).map(
    lambda rows: {"typical": dict.fromkeys(COLUMNS), **{f"i{n}": row for n, row in enumerate(rows)}}
)


@examples(200)
@given(tables, wheres)
def test_conditions_agree_with_an_evaluation_row_by_row(rows, where):
    items = Items.of(rows)
    try:
        expected = [id_ for id_, row in rows.items() if evaluate(where, row, rows) is True]
    except CannotCompareError:
        with pytest.raises(InputTypeError, match="cannot"):
            items.where(where)
        return
    assert items.where(where) == expected
    # An item of the model that the catalogue does not list has no attributes.
    catalogue = Catalogue(items, np.ones(len(items), dtype=bool), revision=1)
    mask = Eligible(catalogue, Vocabulary((*rows, "unlisted"))).mask(where)
    unlisted = ["unlisted"] * (evaluate(where, {}, rows) is True)
    assert mask is None or [*np.array([*rows, "unlisted"])[mask]] == expected + unlisted
    assert mask is not None or len(expected) == len(rows)


SHOP = Items.of(
    {
        "a": {"title": "Deep Blue", "year": 1996, "price": 1.5, "in_stock": True, "genre": ["jazz", "soul"]},
        "b": {"title": "Blueprint", "year": 1983, "price": 20, "in_stock": False, "genre": ["rock"]},
        "c": {"title": "Night", "year": 2004, "code": "007", "sizes": [36, 38], "genre": []},
        "d": {"code": "x=y", "mixed": "10", "any": "thing"},
        "e": {"mixed": 10, "empty": None},
    }
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["genre=jazz"], "a"),
        (["genre=jazz", "genre=rock"], "ab"),
        (["genre!=rock"], "ac"),
        (["genre!=rock", "genre!=jazz"], "c"),
        (["genre~jazz", "genre~soul"], "a"),
        (["year=1996"], "a"),
        (["year==1996"], "a"),
        (["year = 1996.0"], "a"),
        (["year>=1990"], "ac"),
        (["year>=1990", "year<2000"], "a"),
        (["year>1996"], "c"),
        (["year<=1983"], "b"),
        (["year!=1983"], "ac"),
        (["price=1.5"], "a"),
        (["price<1e2", "in_stock=no"], "b"),
        (["in_stock=true"], "a"),
        (["in_stock=True"], "a"),
        (["in_stock!=1"], "b"),
        (["title~Blue"], "ab"),
        (["title~Blue", "title~Deep"], "a"),
        (["title~blue"], ""),
        (["genre=Jazz"], ""),
        (["genre~jaz"], ""),
        (["genre=jazz,rock"], ""),
        (["code=007"], "c"),
        (["code=7"], ""),
        (["code=x=y"], "d"),
        (["sizes=36"], "c"),
        (["sizes~38"], "c"),
        (["mixed=10"], "de"),
        (["mixed>9"], "e"),
        (["mixed!=10"], ""),
        (["mixed=ten"], ""),
        (["any=thing"], "d"),
        (["empty=1"], ""),
        (["genre=jazz", "year>2000"], ""),
    ],
)
def test_conditions_of_the_command_line_are_compared_by_type(texts, expected):
    assert SHOP.where(condition_of(map(Expression.of, texts), SHOP)) == list(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jazz", "the condition is 'jazz'; expected NAME=VALUE"),
        ("=jazz", "expected NAME=VALUE"),
        (" >= 3", "expected NAME=VALUE"),
        ("year=old", "year is of type number, and cannot be compared with 'old'; expected a number"),
        ("year>=", "year is of type number, and cannot be compared with ''"),
        ("year<nan", "year is of type number, and cannot be compared with 'nan'"),
        ("in_stock=maybe", "in_stock is of type boolean, .*; expected true or false"),
        ("yaer=1996", "no item has an attribute 'yaer'; did you mean 'year'"),
    ],
)
def test_invalid_conditions_of_the_command_line_are_errors(text, message):
    with pytest.raises(InputError, match=message):
        condition_of([Expression.of(text)], SHOP)
