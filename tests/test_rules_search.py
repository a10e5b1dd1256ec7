"""Rules combined at random: answers equal a slow reference for every index, score and kind of request."""

import dataclasses
import functools
import typing

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Engine, Interactions, Items, ItemVectors, Recommender, Sentences, Vocabulary, publish
from item2vec.index.building import Kind
from item2vec.index.search import search
from item2vec.neighbours import NeighbourTable
from item2vec.store import Store

N_ITEMS = 90
IDS = [f"i{code:02}" for code in range(N_ITEMS)]
ROWS = {item: row for row, item in enumerate(IDS)}
KINDS = sorted(set(typing.get_args(Kind)) - {"auto"})
SONGS = {
    item: {
        "artist": None if row % 7 == 0 else f"artist {row % 5}",
        "genres": [genre for number, genre in enumerate(["jazz", "soul", "pop"]) if row >> number & 1],
        "year": 1950 + row % 60,
    }
    for item, row in ROWS.items()
    if row % 11
}


@functools.cache
def vectors(kind="exact"):
    """Vectors of which eleven are equal. Annoy may miss some of equal vectors under a filter."""
    random = np.random.default_rng(3)
    matrices = random.normal(size=(2, N_ITEMS, 6)).astype(np.float32)
    if kind == "exact":
        matrices[:, 80:] = matrices[:, :1]
    return ItemVectors(Vocabulary(tuple(IDS)), matrices[0], matrices[1], np.arange(N_ITEMS, 0, -1))


@functools.cache
def table():
    random = np.random.default_rng(4)
    neighbours = [np.sort(random.choice(N_ITEMS, 5, replace=False)) for _ in IDS]
    weights = random.random(5 * N_ITEMS)
    return NeighbourTable(np.arange(N_ITEMS + 1) * 5, np.concatenate(neighbours), weights, decay=0.5)


@functools.cache
def model(kind, score, popularity, mixture):
    """A model whose approximate index inspects all nodes, so that it misses no item."""
    prior = np.log1p(np.arange(N_ITEMS, 0, -1) ** 0.5).astype(np.float32)
    made = Recommender(
        vectors(kind),
        score=score,
        decay=0.6,
        popularity=popularity,
        prior=prior if popularity else None,
        mixture=mixture,
        repeat_bonus=mixture,
        neighbours=table() if mixture else None,
        index=kind,
        items=Items.of(SONGS),
    )
    if kind != "annoy":
        return made

    def patient(index):
        description = index.description
        all_nodes = dataclasses.replace(description, search_k=description.nodes * description.trees)
        return dataclasses.replace(index, description=all_nodes)

    similar = made.parts.similar_index
    indexes = {"index": patient(made.index), "similar_index": similar and patient(similar)}
    return Recommender.from_parts(dataclasses.replace(made.parts, **indexes))


models = st.builds(
    model,
    st.sampled_from(KINDS),
    st.sampled_from(["cosine", "output"]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 0.5]),
)
item_ids = st.sampled_from([*IDS, "unknown"])
histories = st.lists(item_ids, max_size=6)
wheres = st.sampled_from(
    [{"genres": "jazz"}, {"year": {"<": 1960}}, {"not": {"artist": "artist 1"}}, {"artist": ["artist 2"]}]
)
factors = st.sampled_from([0.1, 0.5, 1.0, 1.2, 3.0])
many_factors = st.sampled_from([number / 10 for number in range(1, 40)])
optional = {
    "where": wheres,
    "allow": st.sets(item_ids, min_size=20),
    "deny": st.sets(item_ids, max_size=20),
    "at_most": st.fixed_dictionaries(
        {}, optional={"artist": st.integers(1, 4), "genres": st.integers(1, 9), "year": st.integers(1, 2)}
    ),
    "diversity": st.sampled_from([0, 0.3, 0.7, 1]),
    "boost": st.dictionaries(item_ids, factors, max_size=4)
    | st.dictionaries(item_ids, many_factors, min_size=30, max_size=60)
    | st.lists(st.tuples(wheres | item_ids, factors), max_size=3),
    "popularity": st.sampled_from([0, 0.1, 0.5]),
}
rule_sets = st.fixed_dictionaries({}, optional=optional)
ks = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 11, N_ITEMS])


def is_met(where, item):
    song = SONGS.get(item, {})
    if where == {"genres": "jazz"}:
        return "jazz" in song.get("genres", [])
    if where == {"year": {"<": 1960}}:
        return song.get("year", 9999) < 1960
    if where == {"not": {"artist": "artist 1"}}:
        return song.get("artist") not in (None, "artist 1")
    return song.get("artist") in where["artist"]


def values_of(item, name):
    value = SONGS.get(item, {}).get(name)
    return value if isinstance(value, list) else [value] if value is not None else []


def factor_of(boost, item):
    product = 1.0
    for target, factor in boost.items() if isinstance(boost, dict) else boost:
        if target == item or (isinstance(target, dict) and is_met(target, item)):
            product *= factor
    return product


def prior_of(model, item):
    prior = model.prior
    return float(np.log1p(vectors().counts[ROWS[item]]) if prior is None else prior[ROWS[item]])


def reference(model, scores, rules, k, units):
    """Return the answer by the definition of the rules, from the score of each unseen item without rules."""

    def admits(item):
        return all(
            sum(value in values_of(other, name) for other in chosen) < most
            for name, most in rules.get("at_most", {}).items()
            for value in values_of(item, name)
        )

    def marginal(item):
        nearest = max((float(units[ROWS[item]] @ units[ROWS[other]]) for other in chosen), default=0.0)
        return (1 - diversity) * (scores[item] - least) / (most - least or 1.0) - diversity * nearest

    scores = {
        item: score
        for item, score in scores.items()
        if item in rules.get("allow", IDS) and item not in rules.get("deny", ())
        if "where" not in rules or is_met(rules["where"], item)
    }
    for item, score in scores.items():
        factor = factor_of(rules.get("boost", {}), item)
        scores[item] = score * factor if score > 0 else score / factor
    order = sorted(scores, key=lambda item: (-scores[item], ROWS[item]))
    chosen, diversity = [], rules.get("diversity", 0)
    pool = order[: max(50, 5 * k)] if diversity else []
    most, least = (scores[pool[0]], scores[pool[-1]]) if pool else (0, 0)
    left = [*pool]
    while left and len(chosen) < k:
        best = max(left, key=lambda item: (marginal(item), -pool.index(item)))
        left.remove(best)
        if admits(best):
            chosen.append(best)
    for item in order[len(pool) :]:
        if len(chosen) < k and admits(item):
            chosen.append(item)
    return [(item, scores[item]) for item in chosen]


def assert_equal(answer, expected):
    assert [one.item for one in answer] == [item for item, _ in expected]
    assert [one.score for one in answer] == pytest.approx([score for _, score in expected], abs=2e-5)


@examples(150)
@given(models, histories, ks, rule_sets, st.booleans())
def test_recommendations_equal_the_reference(model, history, k, rules, filter_seen):
    known = {*history} & {*IDS}
    if known and "popularity" in rules:
        # From a model without the prior: subtracting it from rounded scores would separate equal scores.
        taste = model.taste.model_dump(exclude={"popularity"})
        plain = Recommender(model.vectors, **taste, index="exact", neighbours=model.neighbours)
        scores = dict(plain.recommend(history, k=N_ITEMS, filter_seen=filter_seen))
        weight = rules["popularity"]
        scores = {item: score + weight * prior_of(model, item) for item, score in scores.items()}
    else:
        scores = dict(model.exact.recommend(history, k=N_ITEMS, filter_seen=filter_seen))
    answer = model.recommend(history, k=k, filter_seen=filter_seen, **rules)
    units = model.vectors.unit_input.astype(float)
    assert_equal(answer, reference(model, scores, rules, k, units))
    assert {one.source for one in answer} <= {"model" if known else "popular"}


@examples(80)
@given(models, st.sampled_from(IDS), st.sets(st.sampled_from(IDS), max_size=2), ks, rule_sets)
def test_similar_items_and_analogies_equal_the_reference(model, item, negative, k, rules):
    query = {"positive": [item], "negative": sorted(negative - {item} - {*IDS[80:], IDS[0]})}
    scores = dict(model.vectors.analogy(**query, k=N_ITEMS))
    weight = rules.get("popularity", 0)
    scores = {item: score + weight * prior_of(model, item) for item, score in scores.items()}
    expected = reference(model, scores, rules, k, model.vectors.unit_input.astype(float))
    found = model.analogy(**query, k=k, **rules)
    assert [one.score for one in found] == pytest.approx([score for _, score in expected], abs=2e-5)
    if not query["negative"]:
        assert model.similar_items(item, k=k, **rules) == found


@examples(60)
@given(models, st.lists(histories, max_size=5), ks, rule_sets, st.booleans(), st.data())
def test_a_batch_equals_single_requests_bit_for_bit(model, lists, k, rules, filter_seen, data):
    exclude = data.draw(st.lists(st.sets(item_ids), min_size=len(lists), max_size=len(lists)))
    alone = [
        model.recommend(history, k=k, filter_seen=filter_seen, exclude=own, **rules)
        for history, own in zip(lists, exclude, strict=True)
    ]
    for batch in (lists, Sentences.of(lists)):
        found = model.recommend_many(batch, k=k, filter_seen=filter_seen, exclude=exclude, **rules)
        assert found == alone
    for history, own, answer in zip(lists, exclude, alone, strict=True):
        items = {one.item for one in answer}
        assert not items & (own | rules.get("deny", set()) | ({*history} if filter_seen else set()))
        assert len(items) == len(answer)


@pytest.fixture
def searches(monkeypatch):
    """The keyword arguments of each search."""
    made = []

    def counted(*arguments, **more):
        made.append(more)
        return search(*arguments, **more)

    monkeypatch.setattr("item2vec.sources.search", counted)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_many_factors_take_two_searches(kind, searches, monkeypatch):
    """The answers are those of a search per factor, bit for bit."""
    made = model(kind, "output", 0.2, 0.5)
    boost = {item: 0.5 + row / 40 for item, row in ROWS.items() if row % 2}
    found = made.recommend(["i03", "i08"], k=20, boost=boost)
    assert len(searches) == 2
    assert made.recommend_many([["i08"], ["i03", "i08"], []], k=20, boost=boost)[1] == found
    shares = made.explain(["i03", "i08"], found[0].item, boost=boost)
    assert sum(share for _, share in shares) == pytest.approx(found[0].score, abs=1e-5)
    searches.clear()
    monkeypatch.setattr("item2vec.row_rules.FEW_FACTORS", N_ITEMS)
    assert made.recommend(["i03", "i08"], k=20, boost=boost) == found
    assert len(searches) == 1 + len(boost)


def test_the_products_of_four_conditions_take_a_search_each(searches):
    conditions = [{"genres": "jazz"}, {"genres": "soul"}, {"genres": "pop"}, {"year": {"<": 1960}}]
    boost = list(zip(conditions, [1.1, 1.3, 1.7, 1.9], strict=True))
    model("exact", "output", 0.2, 0.5).recommend_many([["i03"], ["i08"]], boost=boost)
    assert len(searches) == 1 + 15


@functools.cache
def large_model(kind):
    """A model with the recall of its index, which may miss items."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(400, 8)).astype(np.float32)
    items = {f"i{row}": {"artist": f"artist {row % 50}"} for row in range(400)}
    large = ItemVectors(Vocabulary(tuple(items)), rows, None, np.arange(400, 0, -1))
    return Recommender(large, index=kind, recall=0.5, items=Items.of(items))


@pytest.mark.parametrize("kind", KINDS)
@examples(40)
@given(st.integers(0, 399), st.sampled_from([1, 10, 60]), st.integers(1, 3), st.data())
def test_an_index_that_misses_items_gives_exactly_k_eligible_items(kind, row, k, most, data):
    model = large_model(kind)
    denied = data.draw(st.sets(st.sampled_from(model.vocabulary.ids), max_size=300))
    rules = {"deny": denied, "at_most": {"artist": most}, "boost": {"i7": 3.0, "i9": 0.1}}
    answer = model.recommend([f"i{row}"], k=k, **rules)
    eligible = [id_ for id_ in model.vocabulary if id_ not in denied and id_ != f"i{row}"]
    artists = [model.items.about(id_)["artist"] for id_ in eligible]
    assert len(answer) == min(k, sum(min(most, artists.count(artist)) for artist in {*artists}))
    assert {one.item for one in answer} <= {*eligible}
    chosen = [model.items.about(one.item)["artist"] for one in answer]
    assert all(chosen.count(artist) <= most for artist in chosen)
    scores = [one.score for one in answer]
    assert scores == sorted(scores, reverse=True)
    disliked = [[], [f"i{(row + 1) % 400}"]]
    for own in (rules, {}):
        batch = model.recommend_many([["i3"], [f"i{row}"]], k=k, disliked=disliked, **own)
        alone = [model.recommend([f"i{row}"], k=k, disliked=disliked[1], **own)]
        assert batch == [model.recommend(["i3"], k=k, **own), *alone]


INACTIVE = {"i02", "i05", "i40", "i77"}
LISTENED = {"u1": ["i03", "i20", "i41"], "u2": ["i40"], "u3": []}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with attributes, inactive items and histories in its store."""
    folder = tmp_path_factory.mktemp("rules")
    pairs = [(user, item) for user, items in LISTENED.items() for item in items]
    users, items = zip(*pairs, strict=True)
    publish(model("exact", "output", 0.0, 0.0), folder / "models")
    with Store(f"sqlite:///{folder}/item2vec.db") as store:
        store.upgrade()
        store.ingest_items(Items.of({item: SONGS.get(item, {}) for item in IDS}))
        store.ingest(Interactions.of(user=users, item=items, timestamp=range(len(items))))
        store.deactivate_items(INACTIVE)
    with Engine(models=folder / "models", store=f"sqlite:///{folder}/item2vec.db") as engine:
        yield engine


@examples(30)
@given(histories, ks, rule_sets, st.booleans())
def test_an_engine_applies_the_same_rules_to_active_items(engine, history, k, rules, filter_seen):
    local = model("exact", "output", 0.0, 0.0)
    active = {**rules, "deny": rules.get("deny", set()) | INACTIVE}

    def expected(history):
        return local.recommend(history, k=k, filter_seen=filter_seen, **active)

    request = {"k": k, "filter_seen": filter_seen, **rules}
    assert engine.recommend(history=history, **request) == expected(history)
    by_user = [expected(items) for items in LISTENED.values()]
    assert [engine.recommend(user, **request) for user in LISTENED] == by_user
    assert engine.recommend_many(list(LISTENED), **request) == by_user
    assert engine.similar_items("i03", k=k, **rules) == local.similar_items("i03", k=k, **active)
