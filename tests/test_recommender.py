"""Recommendations equal a brute-force computation, for any history, filters and index."""

import dataclasses
import functools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import ItemVectors, Recommender, Sentences, Vocabulary, fit
from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.durations import DAY
from item2vec.errors import ConfigError, InputError, InputTypeError, UnknownItemError

N_ITEMS = 40
IDS = [f"i{code:02}" for code in range(N_ITEMS)]


@functools.cache
def vectors(seed: int = 0) -> ItemVectors:
    random = np.random.default_rng(seed)
    matrices = random.normal(size=(2, N_ITEMS, 6)).astype(np.float32)
    matrices[:, 30:] = matrices[:, :1]  # ten items share the vectors of the first
    return ItemVectors(Vocabulary(tuple(IDS)), matrices[0], matrices[1], np.arange(N_ITEMS, 0, -1))


@functools.cache
def model(score: str, decay: float | tuple[float, ...], index: str) -> Recommender:
    """Return a model that misses no item: Annoy inspects all nodes, and FAISS scans so few rows."""
    made = Recommender(vectors(), score=score, decay=decay, index=index)
    if index != "annoy":
        return made
    description = made.index.description
    all_nodes = dataclasses.replace(description, search_k=description.nodes * description.trees)
    return Recommender.from_parts(
        dataclasses.replace(made.parts, index=dataclasses.replace(made.index, description=all_nodes))
    )


models = st.builds(
    model,
    st.sampled_from(["cosine", "output"]),
    st.sampled_from([1.0, 0.5, (0.4, 0.9), (1.0, 0.01, 0.6)]),
    st.sampled_from(["exact", "annoy"]),
)
histories = st.lists(st.sampled_from([*IDS, "unknown", "Ünknown"]), max_size=8)
choices = st.sets(st.sampled_from([*IDS, "unknown"]))


def brute_force(model, history, k, excluded, allow):
    """Return the score of every eligible item by definition, in float64, and the number of results."""
    known = [item for item in history if item in model.vocabulary]
    matrix = model.vectors.input.astype(float)
    scored = matrix if model.taste.score == "cosine" else model.vectors.output.astype(float)
    if model.taste.score == "cosine":
        matrix = scored = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    taste = np.zeros(6)
    decays = model.taste.decay if isinstance(model.taste.decay, tuple) else (model.taste.decay,)
    for part, decay in enumerate(decays):
        columns = slice(part * 6 // len(decays), (part + 1) * 6 // len(decays))
        weights = [decay**back for back in range(len(known))][::-1]
        for weight, item in zip(weights, known, strict=True):
            taste[columns] += weight / sum(weights) * matrix[IDS.index(item), columns]
    if model.taste.score == "cosine":
        taste = taste / np.linalg.norm(taste)
    eligible = [item for item in IDS if item not in excluded and (allow is None or item in allow)]
    scores = {item: float(scored[IDS.index(item)] @ taste) for item in eligible}
    return scores, min(k, len(eligible))


@examples(300)
@given(models, histories, st.integers(1, 60), choices, st.none() | choices, choices, st.booleans())
def test_recommendations_with_filters_equal_brute_force(model, history, k, exclude, allow, deny, filter_seen):
    found = model.recommend(history, k=k, exclude=exclude, allow=allow, deny=deny, filter_seen=filter_seen)
    excluded = exclude | deny | (set(history) if filter_seen else set())
    if not set(history) & set(IDS):
        eligible = [item for item in IDS if item not in excluded and (allow is None or item in allow)]
        assert [one.item for one in found] == eligible[:k]  # in order of counts
        assert {one.source for one in found} <= {"popular"}
        return
    scores, n = brute_force(model, history, k, excluded, allow)
    assert len(found) == n
    assert {one.source for one in found} <= {"model"}
    assert [one.score for one in found] == pytest.approx([scores[one.item] for one in found], abs=1e-5)
    best = sorted(scores.values(), reverse=True)[:n]
    assert [one.score for one in found] == pytest.approx(best, abs=1e-5)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.item for one in found}) == n


@pytest.mark.parametrize("index", ["exact", "annoy"])
def test_excluded_rows_do_not_hide_an_equal_row(index):
    """The first search of an index returns two of eleven equal rows, and both are excluded."""
    made = model("cosine", 1.0, index)
    for rules in ({"deny": ["i00", "i30"]}, {"allow": [*IDS[1:30], *IDS[31:]]}):
        (found,) = made.recommend(["i00"], k=1, filter_seen=False, **rules)
        assert (found.item, round(found.score, 5)) == ("i31", 1.0)


@examples(100)
@given(
    models, st.lists(histories, max_size=6), st.integers(1, 50), st.none() | choices, choices, st.booleans()
)
def test_recommend_many_equals_recommend(model, lists, k, allow, deny, filter_seen):
    filters = {"k": k, "allow": allow, "deny": deny, "filter_seen": filter_seen}
    one_by_one = [model.recommend(history, **filters) for history in lists]
    assert model.recommend_many(lists, **filters) == one_by_one
    assert model.recommend_many(Sentences.of(lists), **filters) == one_by_one


@examples(50)
@given(models, histories.filter(lambda history: set(history) & set(IDS)), st.data())
def test_shares_add_up_to_the_score(model, history, data):
    best = data.draw(st.sampled_from(model.recommend(history, k=20)))
    shares = model.explain(history, best.item)
    assert sum(share for _, share in shares) == pytest.approx(best.score, abs=1e-5)
    assert [item for item, _ in shares] == list(dict.fromkeys(item for item, _ in shares))
    assert {item for item, _ in shares} == set(history) & set(IDS)


def test_a_share_is_the_weighted_inner_product_summed_over_parts():
    two_parts = model("output", (0.4, 0.9), "exact")
    weights = np.array([[0.4**2, 0.4, 1], [0.9**2, 0.9, 1]])
    weights /= weights.sum(axis=1, keepdims=True)
    output = vectors().output[7].reshape(2, 3)
    expected = dict.fromkeys(["i01", "i02"], 0.0)
    for place, item in enumerate(["i01", "i02", "i01"]):
        dots = (vectors().input[IDS.index(item)].reshape(2, 3) * output).sum(axis=1)
        expected[item] += float(weights[:, place] @ dots)
    assert {
        share.item: share.share for share in two_parts.explain(["i01", "i02", "i01"], "i07")
    } == pytest.approx(expected, rel=1e-5)


@st.composite
def weighted_histories(draw):
    """Histories as lists of (item, weight, day)."""
    row = st.tuples(
        st.sampled_from([*IDS, "unknown"]), st.sampled_from([0.0, 0.1, 1.0, 7.0]), st.integers(0, 40)
    )
    return draw(st.lists(st.lists(row, max_size=6), min_size=1, max_size=4))


@examples(100)
@given(weighted_histories(), st.sampled_from(["cosine", "output"]), st.sampled_from(["exact", "annoy"]))
def test_weights_and_timestamps_have_the_same_effect_in_every_method(rows, score, index):
    model = Recommender(vectors(), score=score, decay=0.8, half_life=3.0, index=index)
    items, weights, days = ([[row[place] for row in one] for one in rows] for place in range(3))
    times = [np.array(one, "datetime64[D]") for one in days]
    alone = [
        model.recommend(one, weights=weight, timestamps=time)
        for one, weight, time in zip(items, weights, times, strict=True)
    ]
    assert model.recommend_many(items, weights=weights, timestamps=times) == alone
    flat = dataclasses.replace(
        Sentences.of(items),
        weights=np.array([weight for one in weights for weight in one]),
        timestamps=np.array([day * DAY for one in days for day in one], np.int64),
    )
    assert model.recommend_many(flat) == alone
    for one, weight, time, (best, *_) in zip(items, weights, times, alone, strict=True):
        if best.source == "model":
            shares = model.explain(one, best.item, weights=weight, timestamps=time)
            assert sum(share for _, share in shares) == pytest.approx(best.score, abs=1e-4)


def test_a_zero_weight_or_an_old_timestamp_removes_an_item_from_the_taste():
    model = Recommender(vectors(), score="output", decay=1.0, half_life=1.0, index="exact")
    alone = model.recommend_many([["i03"]], exclude=[["i05"]])
    times = [np.array(["2024-01-01", "2024-01-01"], "datetime64[D]")]
    assert model.recommend_many([["i05", "i03"]], weights=[[0, 1]], timestamps=times) == alone
    times = [np.array(["1900-01-01", "2024-01-01"], "datetime64[D]")]
    assert model.recommend_many([["i05", "i03"]], timestamps=times) == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [[1.0]]}, r"weights of history 0 have shape \(1,\); expected \(2,\)"),
        ({"weights": [[1.0, 1.0]]}, "found weights of 1 histories; expected weights of 2"),
        ({"weights": [[1.0, 1.0], [-np.inf]]}, "expected finite numbers"),
        ({"weights": [["a", 1.0], [1.0]]}, "expected finite numbers"),
        ({"timestamps": [[1, 2], [3, 4]]}, r"timestamps of history 1 have shape \(2,\); expected \(1,\)"),
    ],
)
def test_weights_and_timestamps_must_match_the_histories(arguments, message):
    with pytest.raises(InputError, match=message):
        model("output", 1.0, "exact").recommend_many([["i01", "i02"], ["i03"]], **arguments)
    with pytest.raises(InputError, match="together with Sentences, whose own weights"):
        model("output", 1.0, "exact").recommend_many(Sentences.of([["i01"]]), **arguments)


@pytest.mark.parametrize("read", [list, Sentences.of])
def test_unknown_items_of_histories_are_logged_once_per_request(caplog, read):
    batch = read([["i01", "x"], ["y", "i02", "y"]])
    made = model("output", 1.0, "exact")
    with caplog.at_level("INFO", "item2vec"):
        expected = made.recommend_many(batch)
    assert not caplog.records
    with caplog.at_level("DEBUG", "item2vec"):
        assert made.recommend_many(batch) == expected
        made.recommend(["i01"])
    (message,) = caplog.messages
    assert message == "3 of 5 items of histories are unknown, and are skipped: 'x', 'y', 'y'"


def test_an_item_without_an_input_vector_is_ignored_in_a_history_but_can_be_recommended():
    complete = vectors()
    rows = complete.input.copy()
    rows[2] = 0
    model = Recommender(dataclasses.replace(complete, input=rows), score="output", decay=0.5, index="exact")
    assert {one.source for one in model.recommend(["i02"], k=3)} == {"popular"}
    assert "i02" not in {one.item for one in model.recommend(["i02"], k=N_ITEMS)}
    assert model.recommend(["i05", "i02"], k=5) == model.recommend(["i05"], k=5, exclude=["i02"])
    assert "i02" in {one.item for one in model.recommend(["i05"], k=N_ITEMS)}
    assert model.explain(["i05", "i02"], "i07") == model.explain(["i05"], "i07")
    outputs = complete.output / np.linalg.norm(complete.output, axis=1, keepdims=True)
    nearest = [IDS[row] for row in np.argsort(-(outputs @ outputs[2]), kind="stable") if row != 2]
    assert [one.item for one in model.similar_items("i02", k=5)] == nearest[:5]


def test_exclude_applies_per_history():
    rankings = model("cosine", 1.0, "exact").recommend_many([["i01"], ["i01"]], k=40, exclude=[["i02"], []])
    assert "i02" not in {item for item, _ in rankings[0]}
    assert "i02" in {item for item, _ in rankings[1]}
    with pytest.raises(InputError, match="exclude has 1 lists; expected one per history"):
        model("cosine", 1.0, "exact").recommend_many([["i01"], ["i01"]], exclude=[[]])


@pytest.mark.parametrize("index", ["exact", "faiss", "annoy"])
def test_similar_items_and_analogy_leave_out_the_query_items(index):
    cosines = model("cosine", 1.0, index)
    assert [item for item, _ in cosines.similar_items("i03", k=5)] == [
        item for item, _ in vectors().similar_items("i03", k=5)
    ]
    found = cosines.analogy(positive=["i01", "i02"], negative=["i03"], k=60)
    assert {item for item, _ in found} == set(IDS) - {"i01", "i02", "i03"}
    assert cosines.similar_items("i00", k=1)[0].score == pytest.approx(1.0, abs=1e-6)  # i30 shares its vector


def test_half_life_weights_recent_items_more():
    decaying = Recommender(vectors(), half_life=1.0)
    day = 86_400_000_000
    balanced = decaying.recommend(["i01", "i02"], timestamps=[0, 0], k=5)
    assert balanced == decaying.recommend(["i01", "i02"], k=5)
    late = decaying.recommend(["i01", "i02"], timestamps=[0, 60 * day], k=5, filter_seen=False)
    alone = decaying.recommend(["i02"], k=5, filter_seen=False)
    assert [item for item, _ in late] == [item for item, _ in alone]
    weighted = decaying.recommend(["i01", "i02"], weights=[0, 3], k=5, filter_seen=False)
    assert weighted == alone


def test_a_history_whose_vectors_cancel_out_gets_the_popular_items():
    opposite = ItemVectors(
        Vocabulary(("a", "b", "c")),
        np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32),
        None,
        np.array([1, 1, 9]),
    )
    found = Recommender(opposite, decay=1.0).recommend(["a", "b"], k=3)
    assert [(one.item, one.source) for one in found] == [("c", "popular")]
    assert found[0].score == pytest.approx(9 / 11)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.recommend(["i01"], k=0), InputError, "k is 0; expected an integer of at least 1"),
        (lambda m: m.recommend(["i01"], k=True), InputTypeError, "k is True"),
        (lambda m: m.recommend("i01"), InputTypeError, r"expected a list of ids, such as \['i01'\]"),
        (lambda m: m.recommend_many("i01"), InputTypeError, "list of lists"),
        (lambda m: m.recommend_many(["i01"]), InputTypeError, "list of ids"),
        (lambda m: m.recommend(["i01"], weights=[float("nan")]), InputError, "finite"),
        (
            lambda m: m.recommend(["i01"], weights=[1, 2]),
            InputError,
            r"weights of history 0 have shape \(2,\); expected \(1,\)",
        ),
        (
            lambda m: m.recommend(["i01"], timestamps=[1, 2]),
            InputError,
            r"timestamps of history 0 have shape \(2,\); expected \(1,\)",
        ),
        (
            lambda m: m.similar_items("i0l"),
            UnknownItemError,
            r"unknown item 'i0l' \(40 known\); did you mean 'i",
        ),
        (
            lambda m: m.explain(["i01"], "nothing like it"),
            UnknownItemError,
            "found no id with a similar",
        ),
        (lambda m: m.analogy(positive=[]), InputError, "at least one positive item"),
    ],
)
def test_invalid_arguments_raise_typed_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(model("cosine", 1.0, "exact"))


def test_output_scores_need_output_vectors():
    input_only = ItemVectors(Vocabulary(("a", "b")), np.eye(2, dtype=np.float32), None, np.ones(2))
    with pytest.raises(ConfigError, match="needs output vectors"):
        Recommender(input_only, score="output")
    with pytest.raises(ConfigError, match="score is 'outptu'; expected 'cosine' or 'output'; did you mean"):
        Recommender(input_only, score="outptu")


def test_next_item_vectors_use_the_settings_of_their_training_by_default():
    def made(**training):
        return dataclasses.replace(vectors(), config=TrainConfig(vector_size=6, **training))

    inner = {"objective": "next_item", "similarity": "inner"}
    ours = made(**inner, context_decay=(0.4, 0.9))
    assert Recommender(ours).taste.decay == (0.4, 0.9)
    assert Recommender(ours).recommend(["i01", "i02"]) == Recommender(vectors(), decay=(0.4, 0.9)).recommend(
        ["i01", "i02"]
    )
    assert Recommender(ours, decay=0.5).taste.decay == 0.5
    assert Recommender(made(**inner, context_decay=(0.4,))).taste.decay == 0.4
    assert (
        Recommender(made(objective="cbow")).taste
        == Recommender(vectors()).taste
        == TasteConfig(score="output", decay=0.7)
    )
    assert "decay=(0.4, 0.9)" in repr(Recommender(ours))


@pytest.mark.parametrize("score", ["cosine", "output"])
def test_decays_that_do_not_divide_the_dimensions_are_rejected(score):
    with pytest.raises(ConfigError, match=r"4 equal parts .* which have 6 dimensions"):
        Recommender(vectors(), score=score, decay=(0.5, 0.6, 0.7, 0.8))


def test_fit_equals_train_and_recommender():
    playlists = Sentences.of([["a", "b", "c"], ["b", "c", "d"], ["a", "c"]] * 10)
    config = Config(train=TrainConfig(vector_size=8, workers=1), taste=TasteConfig(score="output", decay=0.5))
    made = fit(playlists, config)
    assert (made.taste, made.vectors.config) == (config.taste, config.train)
    assert made.recommend(["a"], k=2) == fit(playlists, config).recommend(["a"], k=2)
