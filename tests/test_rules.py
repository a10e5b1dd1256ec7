"""The rules of a request: validation, and the items that an answer may contain."""

from dataclasses import fields

import numpy as np
import pytest

from item2vec import Engine, Interactions, Items, ItemVectors, Recommender, Vocabulary, load, publish
from item2vec.errors import InputError, InputTypeError
from item2vec.rules import RuleArguments, Rules
from item2vec.store import Store

SONGS = {
    "a": {"genre": "jazz", "year": 1959},
    "b": {"genre": ["jazz", "soul"], "year": 1990},
    "c": {"genre": "soul"},
    "d": {"genre": None, "year": 2001},
    "e": {"year": 1975},
}


def songs(**more):
    """A model in which songs follow in alphabetical order: a is nearest to b, then c, and so on."""
    angles = np.arange(5) / 5
    vectors = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    return Recommender(
        ItemVectors(Vocabulary(tuple("abcde")), vectors, None, np.arange(5, 0, -1)),
        **{"items": Items.of(SONGS), "index": "exact"} | more,
    )


def ids(answer):
    return "".join(one.item for one in answer)


CALLS = {
    "recommend": lambda model, **rules: model.recommend(["a"], **rules),
    "popular": lambda model, **rules: model.recommend([], exclude=["a"], **rules),
    "recommend_many": lambda model, **rules: model.recommend_many([["a"], ["a"]], **rules)[1],
    "similar_items": lambda model, **rules: model.similar_items("a", **rules),
    "analogy": lambda model, **rules: model.analogy(positive=["a"], **rules),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, "bcde"),
        ({"where": None, "allow": None, "deny": None}, "bcde"),
        ({"where": {"genre": "soul"}}, "bc"),
        ({"where": {"year": {">": 1960}}}, "bde"),
        ({"where": {"not": {"genre": "jazz"}}}, "c"),  # null never matches
        ({"where": {"genre": "polka"}}, ""),
        ({"where": {"year": {">": 1960}}, "deny": ["d", "unknown"]}, "be"),
        ({"where": {"year": {">": 1960}}, "allow": ["d", "c", "unknown"]}, "d"),
        ({"allow": []}, ""),
        ({"deny": ["b", "c"], "k": 1}, "d"),
        ({"at_most": {"genre": 1}}, "bde"),  # b is jazz and soul; d and e have no genre
        ({"at_most": {"genre": 1}, "k": 2}, "bd"),
        ({"at_most": {"genre": 1}, "deny": ["b"]}, "cde"),
        ({"at_most": {"genre": 2, "year": 1}}, "bcde"),
        ({"boost": {"e": 100.0, "unknown": 2.0}}, "ebcd"),
        ({"boost": {"b": 0.01}}, "cdeb"),
        ({"boost": [({"genre": "soul"}, 0.01)]}, "debc"),
        ({"boost": [({"genre": "soul"}, 0.01), ("c", 1e6)], "k": 2}, "cd"),
        ({"boost": [({"genre": "soul"}, 0.01), ({"genre": "jazz"}, 0.1)]}, "decb"),  # b: .01 · .1
        ({"diversity": 0}, "bcde"),
        ({"diversity": 1}, "becd"),  # after b, the farthest
        ({"diversity": 1, "k": 2, "where": {"year": {"<": 1999}}}, "be"),
        ({"diversity": 1, "at_most": {"genre": 1}}, "bed"),
    ],
)
def test_worked_answers(call, rules, expected):
    assert ids(call(songs(), **rules)) == expected


def test_a_negative_score_is_divided_by_a_boost():
    axes = np.array([[1, 0], [-1, 0], [-0.8, 0.6]], np.float32)
    model = Recommender(ItemVectors(Vocabulary(tuple("abc")), axes, None, np.ones(3)), index="exact")
    found = model.recommend(["a"], boost={"b": 2.0})
    assert (ids(found), [one.score for one in found]) == ("bc", pytest.approx([-0.5, -0.8]))
    assert model.similar_items("a", boost={"c": 0.5})[0].score == pytest.approx(-1)
    assert ids(model.similar_items("a", boost={"c": 0.5})) == "bc"


def test_popularity_of_a_request_replaces_the_weight_of_the_model():
    plain = songs()
    weighted = songs(popularity=0.5, prior=np.log1p(np.arange(5, 0, -1)).astype(np.float32))
    gains = dict(zip("abcde", 0.5 * np.log1p([5, 4, 3, 2, 1]), strict=True))
    before = dict(plain.recommend(["c"]))
    expected = {item: score + gains[item] for item, score in before.items()}
    assert dict(plain.recommend(["c"], popularity=0.5)) == pytest.approx(expected)
    assert dict(weighted.recommend(["c"])) == pytest.approx(expected)
    assert dict(weighted.recommend(["c"], popularity=0)) == pytest.approx(before)
    assert dict(weighted.recommend(["c"], popularity=0.5)) == dict(weighted.recommend(["c"]))
    cosines = dict(plain.similar_items("c"))
    assert weighted.similar_items("c") == plain.similar_items("c")
    found = dict(weighted.similar_items("c", popularity=0.5))
    assert found == pytest.approx({item: score + gains[item] for item, score in cosines.items()})


def test_diversity_is_maximal_marginal_relevance():
    rows = np.array([[1, 0], [0.8, 0.6], [0.8, 0.6], [0.6, -0.8], [0, 1]], np.float32)
    model = Recommender(ItemVectors(Vocabulary(tuple("abcde")), rows, None, np.ones(5)), index="exact")
    # The scores .8, .8, .6, 0 of b, c, d, e are scaled to 1, 1, .75, 0. Their cosines to b are 1, 1, 0, .6.
    assert ids(model.similar_items("a", diversity=0.5)) == "bdce"  # after b: c 0, d .375, e -.3
    assert ids(model.similar_items("a", diversity=0.1)) == "bcde"  # after b: c .8, d .675, e -.06


def test_a_cap_is_filled_from_below_the_pool():
    """Of 200 songs, the best 100 are by one artist, so that the second song by another is far below."""
    angles = np.linspace(0, 1.5, 200)
    rows = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    names = [f"s{row:03}" for row in range(200)]
    items = Items.of({name: {"artist": "one" if row < 100 else name} for row, name in enumerate(names)})
    vectors = ItemVectors(Vocabulary(tuple(names)), rows, None, np.ones(200))
    model = Recommender(vectors, index="exact", items=items)
    for rules in ({}, {"diversity": 0.2}):
        found = model.similar_items("s000", k=4, at_most={"artist": 1}, **rules)
        assert [one.item for one in found] == ["s001", "s100", "s101", "s102"]
        batch = model.recommend_many([["s000"], ["s150"]], k=4, at_most={"artist": 1}, **rules)
        assert [one.item for one in batch[0]] == ["s001", "s100", "s101", "s102"]
        assert batch[1] == model.recommend(["s150"], k=4, at_most={"artist": 1}, **rules)


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"at_most": {"genre": 0}}, InputError, "at_most of 'genre' is 0; expected at least 1"),
        ({"at_most": ["genre"]}, InputTypeError, r"expected a mapping of attributes to maximum numbers"),
        ({"at_most": {"genre": True}}, InputTypeError, "at_most is {'genre': True}"),
        ({"at_most": {"gnere": 1}}, InputError, "did you mean 'genre'"),
        ({"diversity": 1.5}, InputError, "diversity is 1.5; expected a number from 0 to 1"),
        ({"diversity": float("nan")}, InputError, "diversity is nan"),
        ({"diversity": "0.5"}, InputTypeError, "diversity is '0.5'"),
        ({"boost": {"b": 0}}, InputError, "the factor of 'b' in boost is 0; expected a number from 1e-06"),
        ({"boost": {"b": "2"}}, InputTypeError, "the factor of 'b' in boost is '2'"),
        ({"boost": "b"}, InputTypeError, "boost is 'b'; expected a mapping of item ids to factors"),
        ({"boost": ["b"]}, InputTypeError, "boost contains 'b'; expected a mapping"),
        ({"boost": [({"gnere": "jazz"}, 2)]}, InputError, "did you mean 'genre'"),
        ({"popularity": -1}, InputError, "popularity is -1; expected a number from 0 to 1e"),
    ],
)
def test_values_out_of_range_are_errors(rules, error, message):
    with pytest.raises(error, match=message):
        songs().recommend(["a"], **rules)
    with pytest.raises(error, match=message):
        songs().analogy(positive=["a"], **rules)


def test_rules_on_attributes_require_attributes_and_others_do_not():
    bare = songs(items=None)
    assert ids(bare.recommend(["a"], boost={"e": 100}, diversity=0.1, popularity=0.1, k=2)) == "eb"
    for rules in ({"at_most": {"genre": 1}}, {"boost": [({"genre": "soul"}, 2)]}):
        with pytest.raises(InputError, match="requires items with attributes, and the model has none"):
            bare.recommend(["a"], **rules)
    for rules in ({"where": {}}, {"where": {}, "boost": [({}, 2), ("e", 100)]}):
        expected = "ebcd" if "boost" in rules else "bcde"
        assert [ids(call(bare, **rules)) for call in CALLS.values()] == [expected] * len(CALLS)


@pytest.mark.parametrize("boost", [{"genre": 2}, [("b", 2), ("year", 2)]])
def test_a_boost_of_an_attribute_is_no_boost_of_an_item(boost, shop):
    name = "genre" if isinstance(boost, dict) else "year"
    message = (
        rf"boost contains the attribute '{name}'; expected item ids; for a condition, pass a pair "
        rf"\(\{{'{name}': value\}}, factor\)"
    )
    for call in CALLS.values():
        with pytest.raises(InputError, match=message):
            call(songs(), boost=boost)
    with pytest.raises(InputError, match=message):
        shop.recommend("u", boost=boost)
    listed = Items.of({"genre": {"genre": "jazz"}})
    assert ids(songs(items=listed).recommend(["a"], boost={"genre": 2, "e": 100})) == "ebcd"
    assert ids(songs(items=None).recommend(["a"], boost={"genre": 2, "e": 100})) == "ebcd"


def test_exclude_holds_ids_for_all_histories_or_a_list_for_each():
    model = songs()
    assert ids(model.recommend(["a"], exclude=["b"])) == "cde"
    assert ids(model.similar_items("a", exclude=(id_ for id_ in "bc"))) == "de"
    assert [ids(one) for one in model.recommend_many([["a"], ["b"]], exclude=[["b"], []])] == ["cde", "acde"]
    both = [["a"], ["a", "b"]]
    for given in (["b"], ("b",), iter(["b"]), [["b"], ["b"]]):
        assert [ids(one) for one in model.recommend_many(both, exclude=given)] == ["cde", "cde"]
    assert model.recommend_many(both, exclude=[]) == model.recommend_many(both)
    arrays = model.recommend_many(both, exclude=["b"], as_arrays=True)
    assert [ids(one) for one in arrays] == ["cde", "cde"]
    for wrong in ("b", [["b"]], ["b", ["c"]], [["b"], "c"], [["b"], [7]], [7]):
        with pytest.raises(InputError):
            model.recommend_many(both, exclude=wrong)
    for wrong in ({"exclude": "bc"}, {"deny": "bc"}, {"allow": 3}):
        with pytest.raises(InputTypeError, match="expected a list of ids"):
            model.recommend(["a"], **wrong)


@pytest.mark.parametrize("rule", ["exclude", "disliked"])
@pytest.mark.parametrize("wrong", [[("b",)], [["b"]], [("b",), "c"], [7]])
def test_a_single_query_takes_ids_and_not_a_list_per_history(rule, wrong):
    model = songs()
    for query in (model.recommend, lambda _, **rules: model.similar_items("a", **rules)):
        with pytest.raises(InputTypeError, match=r"id at position 0 is .*; expected text"):
            query(["a"], **{rule: wrong})


def test_eligible_and_where_are_combined():
    mask = np.array([True, True, False, True, True])
    assert ids(songs().recommend(["a"], eligible=mask, where={"genre": "soul"})) == "b"


def test_an_unknown_argument_is_an_error_that_names_the_nearest():
    model = songs()
    for call in CALLS.values():
        with pytest.raises(InputTypeError, match="unknown argument 'wher'; did you mean 'where'"):
            call(model, wher={})
    with pytest.raises(TypeError, match="did you mean 'filter_seen'"):
        model.recommend(["a"], filter_sen=False)
    with pytest.raises(InputError, match="'zzz'; expected where, exclude, allow, deny"):
        model.recommend(["a"], zzz=1)
    with pytest.raises(InputError, match="no item has an attribute 'gnere'; did you mean 'genre'"):
        model.recommend(["a"], where={"gnere": "jazz"})


def test_where_requires_attributes():
    with pytest.raises(InputError, match="the model has none; pass items= to Recommender or fit"):
        songs(items=None).recommend(["a"], where={"genre": "jazz"})
    with pytest.raises(InputError, match="the items have no attributes; load items with attributes"):
        songs(items=Items.of({"a": {}})).similar_items("a", where={"genre": "jazz"})


def test_items_of_the_model_without_attributes_match_as_null():
    known = songs(items=Items.of({"c": {"genre": "soul"}, "of another model": {"genre": "soul"}}))
    assert ids(known.recommend(["a"], where={"genre": "soul"})) == "c"
    assert ids(known.recommend(["a"], where={"not": {"genre": "jazz"}})) == "c"


def test_a_bundle_keeps_attributes_and_their_types(tmp_path):
    songs().save(tmp_path / "songs")
    loaded = load(tmp_path / "songs")
    for where in ({"genre": "soul"}, {"year": {"<": 1980}}, {"genre": {"contains": "jazz"}}):
        assert loaded.recommend(["c"], where=where) == songs().recommend(["c"], where=where) != []


def test_masks_are_computed_once_per_condition(monkeypatch):
    model = songs()
    expected = model.recommend(["a"], where={"genre": "soul"})
    monkeypatch.setattr(Items, "meets", None)
    assert model.recommend(["a"], where={"genre": ["soul"]}) == expected
    assert ids(model.similar_items("a", where={"genre": {"==": "soul"}})) == "bc"


def test_rules_are_values():
    assert Rules.of({}) is Rules.EMPTY
    given = {"where": {"genre": ["soul", "jazz"]}, "deny": iter("bc")}
    rules = Rules.of(given)
    assert rules == Rules.of({"where": {"genre": {"in": ["jazz", "soul"]}}, "deny": ["b", "c"]})
    assert len({rules, Rules.of({"deny": ["b", "c"]}), Rules.EMPTY}) == 3
    with pytest.raises(AttributeError):
        rules.deny = ()
    assert set(RuleArguments.__annotations__) == {field.name for field in fields(Rules)}


@pytest.fixture
def shop(tmp_path):
    """An engine whose store has events and no attributes; those of the model's items complete them."""
    publish(songs(), tmp_path / "models")
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["u"] * 2, item=["a", "d"], timestamp=[0, 1]))
    with Engine(models=tmp_path / "models", store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        yield engine


def test_the_engine_reads_attributes_that_the_store_lacks_from_the_model(shop):
    assert ids(shop.recommend("u", where={"genre": "soul"})) == "cb"
    assert ids(shop.recommend("u", at_most={"genre": 1})) == "ce"
    assert ids(shop.recommend("u", boost=[({"genre": "jazz"}, 100)])) == "bce"
    assert ids(shop.recommend(history=["a"], where={"year": {">": 1960}})) == "bde"
    shop.store.deactivate_items(["d"])
    assert ids(shop.recommend(history=["a"], where={"year": {">": 1960}})) == "be"
    assert ids(shop.recommend(history=["a"])) == "bce"
    shop.store.ingest_items(Items.of({"e": {"genre": "soul"}}))
    assert ids(shop.recommend("u", where={"genre": "soul"})) == "cbe"


def test_the_engine_has_the_same_rules(shop):
    assert ids(shop.recommend("u", exclude=["c"])) == "be"
    assert [ids(one) for one in shop.recommend_many(["u", "u"], exclude=[["c"], ["b", "e"]])] == ["be", "c"]
    for more in ({}, {"filter_seen": False, "deny": ["a", "d"]}):
        assert [ids(one) for one in shop.recommend_many(["u", "u"], exclude=iter("c"), **more)] == [
            "be",
            "be",
        ]
        assert shop.recommend_many(["u"], exclude=[], **more) == shop.recommend_many(["u"], **more)
    for wrong in ("c", [["c"]], 3):
        with pytest.raises(InputTypeError):
            shop.recommend("u", exclude=wrong)
    assert ids(shop.similar_items("a", deny=["b"], allow=["c", "b"])) == "c"
    assert ids(shop.analogy(positive=["a"], exclude=["b"])) == "cde"
    for request in (
        lambda: shop.recommend("u", wher={}),
        lambda: shop.recommend(history=["a"], wher={}),
        lambda: shop.recommend_many(["u"], wher={}),
        lambda: shop.similar_items("a", wher={}),
        lambda: shop.analogy(positive=["a"], wher={}),
    ):
        with pytest.raises(InputTypeError, match="did you mean 'where'"):
            request()
