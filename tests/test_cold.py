"""New items: vectors by ridge regression or as means, and models with rows for them."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, ItemVectors, Recommender, Vocabulary, load
from item2vec.cold import AttributeRegression, mean_vectors
from item2vec.errors import ConfigError
from item2vec.index.building import build
from item2vec.index.exact import ExactIndex
from item2vec.index.extended import extended
from item2vec.index.search import find
from item2vec.neighbours import NeighbourTable

GENRES = ("jazz", "rock", "soul")


def vectors_of(n, *, size=4, output=True, seed=0):
    """Return vectors of items that lie near the vector of their genre, item number modulo 3."""
    random = np.random.default_rng(seed)
    centres = 3 * random.normal(size=(2, 3, size))
    matrices = centres[:, np.arange(n) % 3] + random.normal(size=(2, n, size))
    ids = Vocabulary(tuple(f"i{number}" for number in range(n)))
    return ItemVectors(ids, matrices[0], matrices[1] if output else None, np.arange(n, 0, -1))


def items_of(n, prefix="i"):
    return Items.of(
        {f"{prefix}{k}": {"genre": GENRES[k % 3], "tags": ["x", "y"][: k % 2 + 1]} for k in range(n)}
    )


def ridge(vectors, items, new, *, n_parts, penalty):
    """Solve the regression with dense matrices; return the parts of the input, then of the output."""
    names = [("genre", genre) for genre in GENRES] + [("tags", tag) for tag in "xy"]

    def features(rows):
        has = np.array([[v == row[n] or v in row[n] for n, v in names] for row in rows.attributes])
        pairs = [has[:, i] & has[:, j] for i, j in combinations(range(len(names)), 2)]
        return has, np.column_stack(pairs)

    def matrix_of(rows):
        common = features(items)[1].sum(axis=0) >= 5
        has, pairs = features(rows)
        return np.column_stack((has, pairs[:, common], np.ones(len(has)))).astype(float)

    def parts(matrix):
        return np.asarray(matrix, dtype=np.float64).reshape(len(matrix), n_parts, -1)

    known, wanted = matrix_of(items), matrix_of(new)
    weights = vectors.counts / (vectors.counts + 3)
    gram = known.T @ (known * weights[:, None]) + penalty * weights.mean() * np.eye(known.shape[1])
    found = []
    for matrix in (vectors.input, vectors.output):
        own = parts(matrix)
        lengths = np.linalg.norm(own, axis=2)
        unit = (own / lengths[:, :, None]).reshape(len(own), -1)
        predicted = parts(wanted @ np.linalg.solve(gram, known.T @ (unit * weights[:, None])))
        scales = np.median(lengths, axis=0) / np.linalg.norm(predicted, axis=2)
        found.append((predicted * scales[:, :, None]).reshape(len(predicted), -1))
    return found


@pytest.mark.parametrize("n_parts", [1, 2])
@pytest.mark.parametrize("rows_per_block", [1, 5, 4096])
def test_the_regression_is_that_of_dense_matrices(monkeypatch, n_parts, rows_per_block):
    monkeypatch.setattr("item2vec.cold.ROWS_PER_BLOCK", rows_per_block)
    vectors, items, new = vectors_of(17), items_of(17), items_of(7, "new")
    cold = AttributeRegression.fit(vectors, items, n_parts=n_parts).predict(new)
    expected = ridge(vectors, items, new, n_parts=n_parts, penalty=3.0)
    assert cold.positions.tolist() == [*range(7)]
    np.testing.assert_allclose(cold.input, expected[0], rtol=1e-4)
    np.testing.assert_allclose(cold.output, expected[1], rtol=1e-4)


def test_an_item_without_a_known_value_gets_no_vector():
    regression = AttributeRegression.fit(vectors_of(6), items_of(6))
    new = Items.of({"a": {"genre": "polka"}, "b": {"year": 1999}, "c": {}, "d": {"genre": ["polka", "soul"]}})
    assert regression.predict(new).positions.tolist() == [3]
    assert len(regression.predict(Items.of({})).input) == 0


def test_only_the_values_of_the_most_items_are_features():
    items = Items.of({"i0": {"g": "a"}, "i1": {"g": "b"}, "i2": {"g": "b"}, "unknown": {"g": "a"}})
    assert AttributeRegression.fit(vectors_of(4), items, max_values=1).features == {
        frozenset({("g", "b")}): 0
    }


def test_items_without_both_vectors_are_not_learned_from():
    vectors = vectors_of(6)
    blind = vectors.input.copy()
    blind[5] = 0
    with_blind = dataclasses.replace(vectors, input=blind)
    found = AttributeRegression.fit(with_blind, items_of(6)).weights
    assert np.array_equal(found, AttributeRegression.fit(vectors.take(np.arange(5)), items_of(6)).weights)


@pytest.mark.parametrize("settings_", [{"penalty": 0.0}, {"penalty": float("inf")}, {"max_values": 0}])
def test_impossible_settings_are_refused(settings_):
    with pytest.raises(ConfigError, match="expected a finite penalty above 0"):
        AttributeRegression.fit(vectors_of(3), items_of(3), **settings_)


def test_the_mean_of_vectors_has_their_median_length():
    rows = np.array([[2, 0], [0, 4], [0, 0]])
    vectors = ItemVectors(Vocabulary(("a", "b", "c")), rows, rows[[1, 0, 0]], np.ones(3))
    cold = mean_vectors(vectors, [np.array([0, 1, 1]), np.array([2]), np.array([], dtype=int), np.array([0])])
    assert cold.positions.tolist() == [0, 3]
    np.testing.assert_allclose(cold.input, [[3 / 5**0.5, 6 / 5**0.5], [3, 0]], rtol=1e-6)
    np.testing.assert_allclose(cold.output, [[6 / 5**0.5, 3 / 5**0.5], [0, 3]], rtol=1e-6)


def test_a_new_item_is_recommended_and_can_be_queried():
    model = Recommender(vectors_of(9), items=items_of(9), score="output")
    newer = model.with_items(Items.of({"new": {"genre": "soul", "title": "New"}, "odd": {"genre": "polka"}}))
    assert newer.vocabulary.ids == (*model.vocabulary.ids, "new")
    assert newer.vectors.counts[-1] == 0
    found = {one.item: one.source for one in newer.recommend(["i2"], k=10)}
    assert found.pop("new") == "attributes"
    assert set(found.values()) == {"model"}
    assert newer.recommend(["new"], k=1)[0].source == "model"
    assert {one.item for one in newer.similar_items("new", k=3)} == {"i2", "i5", "i8"}
    assert newer.explain(["new"], "i2")[0].item == "new"
    assert newer.items.title("new") == "New"
    assert len(newer.recommend([], k=99)) == 10
    assert newer.recommend([], k=99)[-1].item == "new"


def test_the_model_itself_does_not_change_and_known_items_are_left_out():
    model = Recommender(vectors_of(9), items=items_of(9))
    before = model.recommend(["i1"], k=9)
    assert model.with_items(items_of(9)) is model
    newer = model.with_items(Items.of({"new": {"genre": "soul"}}))
    assert newer.with_items(Items.of({"later": {"genre": "jazz"}})).vocabulary.ids[-2:] == ("new", "later")
    assert model.recommend(["i1"], k=9) == before
    assert "new" not in model.vocabulary


def test_an_item_without_attributes_gets_the_mean_of_its_company():
    model = Recommender(vectors_of(9), items=items_of(9), score="output")
    company = {"new": ["i2", "unheard-of", "i5"], "alone": ["unheard-of"], "both": ["i0"]}
    more = Items.of({"new": {}, "alone": {}, "both": {"genre": "soul"}})
    newer = model.with_items(more, together=company)
    assert newer.vocabulary.ids[9:] == ("both", "new")
    assert newer.vectors.counts[9:].tolist() == [0, 1]
    mean = mean_vectors(model.vectors, [np.array([2, 5])])
    np.testing.assert_allclose(newer.vectors.output[-1:], mean.output, rtol=1e-5)
    plain = Recommender(vectors_of(9)).with_items(more, together=company)
    assert plain.vocabulary.ids[9:] == ("new", "both")


def test_the_attributes_of_the_added_items_are_used_if_the_model_has_none():
    known = Recommender(vectors_of(9), items=items_of(9)).with_items(items_of(3, "new"))
    both = items_of(9).updated(items_of(3, "new"))
    assert np.array_equal(Recommender(vectors_of(9)).with_items(both).vectors.input, known.vectors.input)


def test_a_saved_model_has_the_added_items(tmp_path):
    newer = Recommender(vectors_of(60), items=items_of(60), index="annoy").with_items(items_of(4, "new"))
    newer.save(tmp_path / "bundle")
    again = load(tmp_path / "bundle")
    assert again.recommend(["i1", "new2"], k=20) == newer.exact.recommend(["i1", "new2"], k=20)


def test_the_base_of_an_extended_index_is_the_index_that_was_built():
    matrix = vectors_of(90).unit_output
    base = build(matrix[:60], kind="annoy")
    once = extended(base, matrix[:80])
    twice = extended(once, matrix)
    assert (twice.kind, twice.base) == ("annoy", base)
    assert {*range(60, 90)} <= {*twice.candidates(matrix[0], 3, 90).tolist()}
    assert extended(build(matrix[:60], kind="exact"), matrix).candidates(matrix[0], 3, 90) is None


def test_added_rows_do_not_replace_the_candidates_of_the_index():
    """The nearest rows of the index are excluded by the filter, and enough added rows are allowed."""

    class Nearest(ExactIndex):
        kind = "nearest"

        def candidates(self, query, n, n_scanned):
            return None if n > 20 else np.argsort(-(self.matrix @ query), kind="stable")[:n]

    ones = np.ones((40, 1), dtype=np.float32)
    matrix = np.concatenate((np.arange(40, 0, -1, dtype=np.float32)[:, None], 0.5 * ones[:5]))
    index = extended(Nearest.build(matrix[:40]), matrix)
    allowed = np.arange(45) >= 12
    assert find(index, ones[0], k=5, allowed=allowed).rows.tolist() == [12, 13, 14, 15, 16]


tastes = st.fixed_dictionaries(
    {
        "score": st.sampled_from(["output", "cosine"]),
        "decay": st.sampled_from([1.0, (0.5, 0.9)]),
        "repeat_bonus": st.sampled_from([0.0, 2.0]),
        "mixture": st.sampled_from([0.0, 0.5]),
        "popularity": st.sampled_from([0.0, 0.7]),
        "index": st.sampled_from(["exact", "annoy"]),
    }
)
ALL = [*(f"i{k}" for k in range(30)), *(f"new{k}" for k in range(6))]
some = st.lists(st.sampled_from(ALL), max_size=8)


@given(
    taste=tastes,
    histories=st.lists(some, min_size=1, max_size=3),
    deny=some,
    allow=st.none() | some,
    where=st.sampled_from([None, {"genre": "soul"}, {"tags": "y"}]),
    filter_seen=st.booleans(),
    k=st.integers(1, 40),
)
@examples(25)
def test_an_added_item_obeys_all_rules_as_in_a_model_of_all_items(
    taste, histories, deny, allow, where, filter_seen, k
):
    table = NeighbourTable(np.arange(31), np.arange(30) // 2, np.full(30, 0.5), decay=0.5)
    prior = np.linspace(1, 0, 30, dtype=np.float32)
    model = Recommender(vectors_of(30), items=items_of(30), neighbours=table, prior=prior, **taste)
    newer = model.with_items(items_of(6, "new"))
    assert newer.index.kind == taste["index"]
    whole = Recommender.from_parts(
        dataclasses.replace(newer.parts, index=build(newer.index.matrix, kind="exact"))
    )
    rules = {"k": k, "deny": deny, "allow": allow, "where": where, "filter_seen": filter_seen}
    found = newer.recommend_many(histories, **rules)
    expected = whole.recommend_many(histories, **rules)
    assert [newer.recommend(history, **rules) for history in histories] == found
    if taste["index"] == "exact" or k >= 36:
        assert found == expected
    for one, best, history in zip(found, expected, histories, strict=True):
        items = [recommendation.item for recommendation in one]
        assert len(items) == len(best)
        assert not {*items} & ({*deny} | ({*history} if filter_seen else set()))
        assert allow is None or {*items} <= {*allow}
        added = {r.item for r in best if r.item.startswith("new")}
        assert added <= {*items} or best[0].source == "popular"
        assert {r.source for r in one if r.item.startswith("new")} <= {"attributes", "popular"}
