"""Dislikes and interests in every answer, against brute force, and radio."""

import tempfile

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Engine, Interactions, Items, ItemVectors, NextItem, Recommender, Vocabulary, publish
from item2vec.config import AdapterConfig
from item2vec.dislikes import split_dislikes
from item2vec.errors import InputError, InputTypeError, UnknownItemError
from item2vec.histories import encode_histories
from item2vec.neighbours import NeighbourTable
from item2vec.prior import queries_of
from item2vec.store import Store
from item2vec.taste import TasteReader, scored_matrix
from item2vec.user_vectors import read_user_vectors

ARTISTS = ("one", "two", None)


def songs(*degrees, **more):
    angles = np.radians(degrees)
    rows = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    ids = Vocabulary(tuple("abcdefghijkl"[: len(rows)]))
    return Recommender(
        ItemVectors(ids, rows, None, np.arange(len(rows), 0, -1)), **{"decay": 1.0, "index": "exact"} | more
    )


def ids(answer):
    return "".join(one.item for one in answer)


CIRCLE = (0, 15, 40, 60, 90, 120)


@pytest.mark.parametrize(
    ("history", "rules", "expected"),
    [
        ("a", {}, "bcdef"),
        ("a", {"disliked": []}, "bcdef"),
        ("a", {"disliked": ["f"]}, "bcde"),  # c d e: e is nearer to f, and last in any case
        ("c", {"disliked": ["a"]}, "defb"),  # b is nearer to a than to c
        ("c", {"disliked": ["a"], "k": 3}, "def"),
        ("c", {"disliked": ["a"], "allow": ["b", "f"]}, "fb"),
        ("cb", {"disliked": ["a"]}, "def"),
        ("ca", {"disliked": ["a"], "filter_seen": False}, "dcefb"),
        ("c", {"disliked": ["unknown"]}, "dbaef"),
        ("", {}, "abcdef"),
        ("", {"disliked": ["a"]}, "defbc"),  # those within less than 60 degrees last
        ("a", {"disliked": ["a"]}, "defbc"),
    ],
)
def test_worked_answers(history, rules, expected):
    model = songs(*CIRCLE)
    assert ids(model.recommend(list(history), **rules)) == expected
    assert ids(model.recommend_many([["b"], list(history)], **rules)[1]) == expected


def test_similar_items_and_analogies_have_dislikes():
    model = songs(*CIRCLE)
    assert ids(model.similar_items("c", disliked=["a"])) == "defb"
    assert ids(model.similar_items("c", disliked=["b"])) == "defa"
    assert ids(model.analogy(positive=["c"], negative=["e"], disliked=["b"])) == "dfa"
    assert model.similar_items("c", disliked=["a"], k=2) == model.similar_items("c", k=2, allow=["d", "e"])


def test_negative_weights_are_dislikes_of_this_strength():
    model = songs(*CIRCLE)
    assert model.recommend(["c", "a"], weights=[1, -1]) == model.recommend(["c"], disliked=["a"])
    scores = [dict(model.recommend(["c", "a"], weights=[1, -by]))["f"] for by in (1e-9, 0.5, 1, 2)]
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(np.cos(np.radians(80)), abs=1e-6)
    everything = model.recommend(["c", "a"], weights=[1, -1], filter_seen=False)
    assert ids(everything) == "dcefb"


def test_recommend_many_takes_dislikes_for_all_histories_or_for_each():
    model = songs(*CIRCLE)
    lists = [["c"], ["c"]]
    apart = model.recommend_many(lists, disliked=[["a"], []])
    assert apart == [model.recommend(["c"], disliked=["a"]), model.recommend(["c"])]
    assert model.recommend_many(lists, disliked=["a"]) == [apart[0]] * 2
    with pytest.raises(InputError, match=r"disliked has 1 lists; expected one per history \(2\)"):
        model.recommend_many(lists, disliked=[["a"]])
    for wrong in ("a", 3, [3]):
        with pytest.raises(InputTypeError, match="expected"):
            model.recommend(["c"], disliked=wrong)
    with pytest.raises(InputTypeError):
        model.recommend(["c"], disliked=[["a"]])


def test_demoted_items_are_the_last_to_be_selected():
    rows = ("one", "one", "one", "two", "two", "one")
    items = Items.of({item: {"artist": artist} for item, artist in zip("abcdef", rows, strict=True)})
    model = songs(*CIRCLE, items=items)
    assert ids(model.recommend(["c"], disliked=["a"], at_most={"artist": 1})) == "df"
    assert ids(model.recommend(["c"], disliked=["a"], at_most={"artist": 2})) == "defb"
    assert ids(model.recommend(["c"], disliked=["a"], boost={"b": 100})) == "defb"
    for diversity in (0.3, 1):
        assert ids(model.recommend(["c"], disliked=["a"], diversity=diversity))[-1] == "b"


def test_more_rows_are_read_until_enough_are_not_demoted():
    model = songs(0, 5, 10, 15, 20, 90, 170)
    raised = dict.fromkeys("bcde", 1000.0)
    for k, expected in ((1, "g"), (2, "ge"), (6, "gedcb")):
        assert ids(model.recommend(["f"], disliked=["a"], boost=raised, k=k)) == expected
        assert ids(model.recommend_many([["g"], ["f"]], disliked=["a"], boost=raised, k=k)[1]) == expected


@st.composite
def requests(draw):
    entry = st.tuples(st.integers(0, 29), st.sampled_from([1.0, 1.0, 2.0, 0.0, -1.0, -2.0]))
    return {
        "lists": draw(st.lists(st.lists(entry, max_size=6), min_size=1, max_size=3)),
        "disliked": draw(st.lists(st.integers(0, 29), max_size=2)),
        "interests": draw(st.sampled_from([None, None, 1, 2, 3, "auto"])),
        "filter_seen": draw(st.booleans()),
        "k": draw(st.sampled_from([1, 3, 10, 40])),
        "boost": draw(st.sampled_from([None, {"i03": 2.0, "i04": 0.5}])),
        "deny": draw(st.sampled_from([(), ("i01", "i02")])),
    }


tastes = st.fixed_dictionaries(
    {
        "score": st.sampled_from(["cosine", "output"]),
        "decay": st.sampled_from([1.0, (0.5, 0.9)]),
        "repeat_bonus": st.sampled_from([0.0, 2.0]),
        "mixture": st.sampled_from([0.0, 0.5]),
        "popularity": st.sampled_from([0.0, 0.7]),
        "index": st.sampled_from(["exact", "annoy"]),
    }
)


def model_of(seed, similarity, **taste):
    random = np.random.default_rng(seed)
    names = Vocabulary(tuple(f"i{row:02}" for row in range(30)))
    config = similarity and NextItem(vector_size=4, context_decay=(0.5, 0.9), tied=0, similarity=similarity)
    rows = random.integers(-1, 2, size=(2, 30, 4)) + random.normal(0, 0.01, (2, 30, 4))  # near-duplicates
    vectors = ItemVectors(names, *rows.astype(np.float32), np.arange(30, 0, -1), config)
    table = NeighbourTable(np.arange(0, 61, 2), random.integers(0, 30, 60), np.ones(60, np.float32), 1.0)
    prior = np.log1p(vectors.counts).astype(np.float32)
    return Recommender(vectors, neighbours=table, prior=prior, **taste)


def brute_force(model, entries, request):
    """Return the ranking of all eligible items, computed item by item."""
    names, taste, vectors = model.vocabulary, model.taste, model.vectors
    disliked = set(request["disliked"]) | {code for code, weight in entries if weight < 0}
    liked = [(code, weight) for code, weight in entries if code not in disliked]
    every = [(code, weight) for code, weight in entries if code not in request["disliked"] or weight < 0]
    every += [(code, -1.0) for code in request["disliked"]]
    one = encode_histories(names, [[names.ids[c] for c, _ in every]], weights=[[w for _, w in every]])
    users = read_user_vectors(*split_dislikes(one), TasteReader.of(vectors, taste), request["interests"])
    known = ~users.tastes.empty
    left = set(range(30)) - disliked - {names.code(item) for item in request["deny"]}
    if request["filter_seen"]:
        left -= {code for code, _ in entries}
    if known.any():
        products = queries_of(users.tastes.vectors[known], vectors, taste) @ model.index.matrix.T
        best = products.max(axis=0).astype(np.float64)
        plain = [[names.ids[c] for c, _ in liked]], {"weights": [[w for _, w in liked]], "filter_seen": False}
        without = Recommender(
            vectors, **taste.replace(mixture=0, repeat_bonus=0).model_dump(), prior=model.prior
        )
        everything = dict(model.recommend_many(plain[0], k=30, **plain[1])[0])
        fewer = dict(without.recommend_many(plain[0], k=30, **plain[1])[0])
        bonus = taste.repeat_bonus and request["filter_seen"]
        for code in range(30):
            item = names.ids[code]
            own = taste.repeat_bonus if bonus and any(c == code and w > 0 for c, w in liked) else 0
            best[code] += everything[item] - fewer[item] - own
    else:
        best = np.arange(30, 0, -1) / 465
    for item, factor in (request["boost"] or {}).items():
        code = names.code(item)
        best[code] *= factor if best[code] > 0 else 1 / factor
    matrix = scored_matrix(vectors, taste).astype(np.float64)
    units = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)

    def is_demoted(code):
        nearest = max((units[code] @ units[other] for other in disliked), default=-2)
        return nearest > 1e-6 + max((units[code] @ units[other] for other, _ in liked), default=0.5)

    return sorted(left, key=lambda code: (is_demoted(code), -best[code], code)), best, is_demoted


@examples(25)
@given(
    request=requests(),
    taste=tastes,
    similarity=st.sampled_from([None, "cosine", "inner"]),
    seed=st.integers(0, 20),
)
def test_answers_equal_brute_force_one_by_one_and_in_batches(request, taste, similarity, seed):
    model = model_of(seed, similarity, **taste)
    names = model.vocabulary.ids
    rules = {name: request[name] for name in ("interests", "filter_seen", "k", "boost", "deny")}
    rules["disliked"] = [names[code] for code in request["disliked"]]
    lists = [[names[code] for code, _ in entries] for entries in request["lists"]]
    weights = [[weight for _, weight in entries] for entries in request["lists"]]
    batch = model.recommend_many(lists, weights=weights, **rules)
    explained = {name: rules[name] for name in ("interests", "boost", "disliked")}
    for entries, ids_, own, found in zip(request["lists"], lists, weights, batch, strict=True):
        assert model.recommend(ids_, weights=own, **rules) == found
        expected, best, is_demoted = brute_force(model, entries, request)
        codes = [names.index(one.item) for one in found]
        assert len(codes) == min(request["k"], len(expected))
        assert set(codes) <= set(expected)
        assert [one.score for one in found] == pytest.approx(best[codes].tolist(), abs=2e-4)
        kinds = [is_demoted(code) for code in codes]
        assert kinds == sorted(kinds)
        for code, other in zip(codes, expected, strict=False):
            assert is_demoted(code) == is_demoted(other)
            assert best[code] == pytest.approx(best[other], abs=2e-4)
        if (
            found
            and found[0].source == "model"
            and (request["filter_seen"] is False or not taste["repeat_bonus"])
        ):
            shares = model.explain(ids_, found[0].item, weights=own, **explained)
            assert sum(share for _, share in shares) == pytest.approx(found[0].score, abs=2e-4)


def slow_radio(model, seed, n, **rules):
    history, chosen = list(seed), []
    for _ in range(n):
        chosen += model.recommend(history, k=1, **rules)
        history = [*seed, *(one.item for one in chosen)]
    return chosen


def test_a_radio_plays_the_best_item_after_those_before():
    model = songs(0, 10, 25, 45, 70, 100, 135, 175, decay=0.1)
    assert ids(model.radio("c", 4)) == "bade"
    assert model.radio(["a", "c"], 5) == slow_radio(model, "ac", 5)
    assert model.radio(["a", "zzz", "c"], 5) == model.radio(["a", "c"], 5) == model.radio(iter("ac"), n=5)
    rules = {"deny": ["b"], "disliked": ["h"], "interests": 2, "exclude": ["a"], "boost": {"f": 1.5}}
    assert model.radio("c", 4, **rules) == slow_radio(model, "c", 4, **rules)
    everything = model.radio("c", 50)
    assert sorted(ids(everything)) == list("abdefgh")
    assert ids(model.radio([], 3))[0] == "a"  # popular, then the taste
    assert model.radio([], 5) == slow_radio(model, [], 5)
    assert [song.source for song in model.radio([], 5)] == ["popular", *["model"] * 4]
    with pytest.raises(UnknownItemError, match="'zzz'"):
        model.radio("zzz")
    with pytest.raises(InputError, match="expected an integer of at least 1"):
        model.radio("a", 0)


def test_a_radio_takes_k_and_its_other_name_n(engine, recwarn):
    for radio in (songs(*CIRCLE).radio, engine.radio, engine.view().radio):
        four = radio("c", k=4)
        assert len(four) == 4
        assert radio("c", 4) == radio("c", n=4) == four
        assert radio("c") == radio("c", k=10)
        with pytest.raises(InputTypeError, match="got k=4 and n=4, two names of one argument; expected k"):
            radio("c", 4, k=4)
        with pytest.raises(InputError, match="k is 0; expected an integer of at least 1"):
            radio("c", k=0)
    assert not recwarn.list


def test_caps_and_diversity_of_a_radio_count_what_was_played():
    artists = [ARTISTS[row % 3] for row in range(8)]
    items = Items.of({item: {"artist": artist} for item, artist in zip("abcdefgh", artists, strict=True)})
    model = songs(0, 10, 25, 45, 70, 100, 135, 175, decay=0.1, items=items)
    played = model.radio("c", 8, at_most={"artist": 1})
    assert sorted(artists["abcdefgh".index(item)] or "" for item in ids(played)) == ["", "one", "two"]
    near, far = (ids(model.radio("c", 2, diversity=diversity)) for diversity in (0.0, 0.9))
    assert near == "ba"
    assert far == "bh"  # the one farthest from b
    assert ids(model.radio("c", 2, where={"artist": "one"})) == "da"


@pytest.fixture(scope="module")
def engine():
    """u plays c and skips a; v plays c; w skips a only."""
    adapter = AdapterConfig(events={"play": 1, "skip": -1}, seen_events=["buy"])
    events = Interactions.of(
        user=["u", "u", "v", "w"],
        item=["c", "a", "c", "a"],
        event=["play", "skip", "play", "skip"],
        timestamp=[1, 2, 3, 4],
    )
    with tempfile.TemporaryDirectory() as folder:
        publish(songs(*CIRCLE, adapter=adapter), f"{folder}/models")
        url = f"sqlite:///{folder}/item2vec.db"
        with Store(url) as store:
            store.upgrade()
            store.ingest(events)
        with Engine(models=f"{folder}/models", store=url) as engine:
            yield engine


def test_the_engine_reads_dislikes_from_the_events_of_a_user(engine):
    model = engine.model
    assert engine.recommend("u") == model.recommend(["c"], disliked=["a"], filter_seen=False)
    assert engine.recommend("v") == model.recommend(["c"], filter_seen=False)
    assert engine.recommend("w") == model.recommend([], disliked=["a"])
    assert engine.recommend("w")[0].source == "popular"
    assert engine.recommend_many(["u", "v"], disliked=[[], ["f"]], interests=2) == [
        model.recommend(["c"], disliked=["a"], filter_seen=False),
        model.recommend(["c"], disliked=["f"], filter_seen=False),
    ]
    shares = engine.explain("u", "d", interests="auto")
    assert [(share.item, share.interest) for share in shares] == [("c", "c"), ("a", "c")]
    assert sum(share for _, share in shares) == pytest.approx(dict(engine.recommend("u"))["d"], abs=1e-6)


def test_the_engine_has_a_radio_of_active_items(engine):
    assert engine.radio("c", 3) == engine.model.radio("c", 3)
    assert ids(engine.radio("c", 3, disliked=["f"])) == "bad"
    engine.store.deactivate_items(["a"])
    assert ids(engine.radio("b", 3)) == "cde"
