"""The input of the service: strict JSON, API keys, item search, timestamps and query parameters."""

import gc
import json
import threading
import weakref
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from item2vec import ItemVectors, Recommender
from item2vec.catalogue import Catalogue
from item2vec.errors import ConfigError, InputError
from item2vec.items import Items
from item2vec.service import Serving, create_app
from item2vec.service.instants import instant
from item2vec.service.item_search import ItemSearch, ItemSearches
from item2vec.service.keys import ApiKeys, key_of
from item2vec.service.schemas import Event
from item2vec.service.strict_json import parse
from item2vec.types import Vocabulary
from item2vec.view import View

REFUSED = {
    "not JSON": (b"{", "not JSON"),
    "empty": (b"", "not JSON"),
    "a byte that is not UTF-8": (b'"\xff"', "UTF-8"),
    "UTF-16": ('{"k": 1}'.encode("utf-16"), "UTF-8"),
    "NaN": (b'{"k": NaN}', "finite"),
    "infinity": (b"[-Infinity]", "finite"),
    "a float above the largest": (b"1e999", "1.8e308"),
    "an integer of 5,000 digits": (b"1" * 5_000, "5,000 characters"),
    "a repeated key": (b'{"k": 1, "k": 2}', "repeats the key 'k'"),
    "a lone surrogate": (rb'"\ud800"', "surrogate"),
    "100,000 levels of lists": (b"[" * 100_000, "deep"),
    "100,000 levels of objects": (b'{"a":' * 100_000, "deep"),
    "one level too many": (b"[" * 33 + b"]" * 33, "deep"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_invalid_json_is_refused(body, message):
    with pytest.raises(InputError, match=message):
        parse(body)


def test_brackets_in_strings_are_not_levels():
    text = json.dumps({"a": "[" * 100 + '"' + "\\" + "{" * 100})
    assert parse(text.encode()) == json.loads(text)
    assert parse(b"[" * 32 + b"]" * 32)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_valid_json_is_parsed_as_by_json(value):
    assert parse(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), max_depth=50
    ) == json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def test_an_unclosed_string_of_escapes_is_scanned_in_linear_time():
    """In quadratic time, this test would run for minutes."""
    with pytest.raises(InputError):
        parse(b'"' + b'\\"' * 500_000)


def test_an_unreadable_key_file_is_named(tmp_path):
    message = r"API key file .*none cannot be read \(FileNotFoundError\); expected a UTF-8 text file: check"
    with pytest.raises(ConfigError, match=message):
        ApiKeys.read(tmp_path / "none")


def test_keys_are_read_from_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# nightly job\nwrite  a-key-that-writes-events\n\nread a-key-that-only-reads\n")
    keys = ApiKeys.read(file)
    assert keys.right_of("a-key-that-writes-events") == "write"
    assert keys.right_of("a-key-that-only-reads") == "read"
    assert keys.right_of("a-key-that-only-read") is None
    assert "a-key" not in repr(keys)


@pytest.mark.parametrize(
    "line", ["secret-key-without-a-right", "admin secret-key-of-an-admin", "read short", "read"]
)
def test_an_invalid_line_of_keys_is_refused_without_showing_it(tmp_path, line):
    (tmp_path / "keys").write_text(f"read a-key-that-only-reads\n{line}\n")
    with pytest.raises(ConfigError, match=rf"line 2 of the API key file {tmp_path / 'keys'} is") as refused:
        ApiKeys.read(tmp_path / "keys")
    assert "secret" not in str(refused.value)
    assert "short" not in str(refused.value)


def test_a_file_without_keys_is_refused(tmp_path):
    (tmp_path / "keys").write_text("# none\n")
    for path in (tmp_path / "keys", tmp_path / "missing"):
        with pytest.raises(ConfigError):
            ApiKeys.read(path)


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("Basic OmFiYw==", "abc"),
        ("Basic %%%", None),
        ("Bearer ", None),
        ("Bearer", None),
        ("Basic dXNlcjo=", None),  # "user:", without a password
        ("Basic dXNlcg==", None),  # "user"
        ("Digest x", None),
        (None, None),
    ],
)
def test_the_key_of_a_request(authorization, expected):
    assert key_of(authorization, None) == expected
    assert key_of(authorization, "") == expected
    assert key_of(authorization, "another") == "another"


SONGS = Items.of(
    {
        "blue-monday": {"title": "Blue Monday"},
        "blue-train": {"title": "Blue Train"},
        "cafe": {"title": "Café Bleu"},
        "s4": {"title": "Monday, Monday"},
        "訪問": {},
        "🎸": {},
        "s6": {"title": "★ ★★"},
        "s6-live": {"title": "S6"},
    }
)
SEARCH = ItemSearch(SONGS.vocabulary, SONGS, np.array([5, 9, 1, 1, 1, 1, 1, 9]))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("blue monday", "blue-monday"),
        ("blue mnday", "blue-monday"),  # a missing letter
        ("bleu train", "blue-train"),  # transposed letters
        ("CAFE", "cafe"),  # case and accents
        ("blu", "blue-train"),  # of two prefixes, the more frequent item
        ("s4", "s4"),  # an id
        ("訪問", "訪問"),
        ("🎸", "🎸"),
        ("★★", "s6"),
        ("s6", "s6"),  # an id before an equal title
    ],
)
def test_search_tolerates_typing_errors(query, first):
    assert SEARCH.best(query, k=1) == [first]


@pytest.mark.parametrize("query", ["", "   ", "!?", "zzz"])
def test_a_search_without_a_match_is_empty(query):
    assert SEARCH.best(query) == []


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=6), st.text(max_size=8))
def test_search_is_the_definition(ids, query):
    """An item that shares a trigram with the query is found; the item whose id is the query is the first."""
    ids = [id_ for id_ in ids if "\0" not in id_ and id_.isprintable()]
    found = ItemSearch(Vocabulary(tuple(ids)), None, np.ones(len(ids))).best(query, k=10)
    assert set(found) <= set(ids)
    assert len(set(found)) == len(found)
    if query in ids and any(character.isalnum() for character in query):
        assert found[0] == query


def test_a_new_model_orders_equal_scores_by_its_own_counts():
    songs = Items.of({"a": {"title": "Blue"}, "b": {"title": "Blue"}})
    catalogue, searches = Catalogue.of(songs), ItemSearches()

    def found(counts):
        model = Recommender(ItemVectors(songs.vocabulary, np.eye(2), None, np.array(counts)))
        view = View(model, None, catalogue, None)
        searches.of(view)
        for thread in threading.enumerate():
            if thread.name == "item2vec-item-search":
                thread.join()
        return searches.of(view).best("blue")

    assert found([2, 1]) == ["a", "b"]
    assert found([1, 2]) == ["b", "a"]


def test_the_item_search_does_not_keep_the_vectors_of_a_replaced_version():
    songs, searches = Items.of({"a": {"title": "Blue"}}), ItemSearches()

    def searched():
        model = Recommender(ItemVectors(songs.vocabulary, np.eye(1), None, np.ones(1)))
        assert searches.of(View(model, None, Catalogue.of(songs), None)).best("blue") == ["a"]
        return weakref.ref(model.vectors)

    kept = searched()
    gc.collect()
    assert kept() is None


def test_simultaneous_requests_start_one_computation(monkeypatch):
    """Both requests ask at the same time whether an index is being computed, unless a lock prevents it."""
    songs = Items.of({"a": {"title": "Blue"}})
    searches, both_ask, computed = ItemSearches(), threading.Barrier(2), []

    def view():
        model = Recommender(ItemVectors(songs.vocabulary, np.eye(1), None, np.ones(1)))
        return View(model, None, Catalogue.of(songs), None)

    def asked(own):
        value = own.__dict__["is_computing"]
        with suppress(threading.BrokenBarrierError):
            both_ask.wait(0.3)
        return value

    searches.of(view())
    monkeypatch.setattr(ItemSearches, "_compute", lambda own, view: computed.append(view))
    flag = property(asked, lambda own, value: own.__dict__.update(is_computing=value))
    monkeypatch.setattr(ItemSearches, "is_computing", flag, raising=False)
    newer = view()
    requests = [threading.Thread(target=searches.of, args=(newer,)) for _ in range(2)]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    for computation in threading.enumerate():
        if computation.name == "item2vec-item-search":
            computation.join()
    assert len(computed) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1704067200.0", 1_704_067_200_000_000),
        ("1.7040672e9", 1_704_067_200_000_000),
        ("1704067200123.0", 1_704_067_200_123_000),
        ("1704067200123456.0", 1_704_067_200_123_456),
        ("1.704067200140891e18", 1_704_067_200_140_891),  # the nearest float64 is 120 ns less
        ("1704067200.5", None),
        ("1704067200123456.5", None),
        ("-1.0", None),
        ("1e20", None),
        ("true", None),
    ],
)
def test_a_timestamp_may_be_a_float_without_a_fraction(text, expected):
    fields = parse(b'{"user": "u", "item": "i", "timestamp": %s}' % text.encode())
    if expected is None:
        with pytest.raises(ValidationError, match="timestamp"):
            Event.model_validate(fields)
    else:
        assert Event.model_validate(fields).timestamp == expected


@pytest.mark.parametrize("value", ["yesterday", 20240101, 10**18 * 7, 5, "2024-13-01"])
def test_an_unclear_timestamp_is_refused(value):
    with pytest.raises(InputError, match="expected ISO 8601"):
        instant(value)


def test_query_parameters_are_json_or_lists_of_plain_values():
    def is_plain(schema):
        if members := schema.get("anyOf") or schema.get("oneOf"):
            return all(map(is_plain, members))
        if schema["type"] == "array":
            return is_plain(schema["items"])
        return schema["type"] in {"string", "integer", "number", "boolean", "null"}

    as_json = set()
    for path, methods in create_app(Serving("models", None)).openapi()["paths"].items():
        for parameter in [one for route in methods.values() for one in route.get("parameters", [])]:
            if "content" in parameter:
                assert not is_plain(parameter["content"]["application/json"]["schema"])
                as_json.add(parameter["name"])
            else:
                assert is_plain(parameter["schema"]), (path, parameter)
    assert as_json == {"where", "at_most", "boost", "direction"}
