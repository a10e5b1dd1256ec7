"""Tables of neighbours as models: EASE in closed form, scores by hand, vectors, bundles, and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_neighbours import IDS, dense_links, dense_transitions, lists, rows_of, sentences_of

import item2vec
from item2vec import Config, Recommender, Sentences, TasteConfig, TrainConfig, fit, train
from item2vec.bonuses import FLOOR
from item2vec.config.relatives import OneStep
from item2vec.config.tables import TableConfig
from item2vec.errors import ConfigError, InputError, TrainingError
from item2vec.evaluation import evaluate, leave_last_out
from item2vec.neighbours import link_propagation, transitions
from item2vec.training import ease as ease_module
from item2vec.training import train_with_table
from item2vec.training.ease import ease
from item2vec.tuning.sampler import Sampler
from item2vec.tuning.starts import starts_of
from item2vec.tuning.trial import Trial

OBJECTIVES = ("transitions", "linkprop", "ease")
PLAYLISTS = [["a", "b", "c"], ["b", "c", "d"], ["a", "c", "d"], ["d", "e"]] * 5


def dense(table):
    """Return a table as a matrix."""
    matrix = np.zeros((len(table), len(table)))
    for item, row in enumerate(rows_of(table)):
        for other, weight in row:
            matrix[item, other] = weight
    return matrix


def ease_by_columns(lists, l2):
    """Return the weights that reconstruct each item from the others by ridge regression, column by column."""
    held = np.array([[item in sentence for item in IDS] for sentence in lists], float).reshape(-1, len(IDS))
    matrix = np.zeros((len(IDS), len(IDS)))
    for item in range(len(IDS)):
        others = np.delete(np.arange(len(IDS)), item)
        known = held[:, others]
        gram = known.T @ known + l2 * np.eye(len(others))
        matrix[others, item] = np.linalg.solve(gram, known.T @ held[:, item])
    return matrix


def test_ease_of_one_pair():
    # Two of three sentences hold "a" and "b", one holds "b" only: b = (x_a · x_b) / (x_a · x_a + l2).
    table = ease(Sentences.of([["a", "b"], ["b", "a", "a"], ["b"]]), l2=1.0)
    assert rows_of(table) == [[(1, pytest.approx(2 / (2 + 1)))], [(0, pytest.approx(2 / (3 + 1)))]]
    assert table.decay == 1


@given(lists, st.sampled_from([0.5, 3.0, 100.0]), st.integers(1, 8))
def test_ease_is_a_ridge_regression_per_item(lists, l2, k):
    expected = ease_by_columns(lists, l2)
    found = dense(ease(sentences_of(lists), l2=l2, k=k))
    for row, wanted in zip(found, expected, strict=True):
        largest = np.sort(np.abs(wanted))[::-1][:k]
        assert np.sort(np.abs(row))[::-1][: len(largest)] == pytest.approx(largest, abs=1e-7)
        assert row[row != 0] == pytest.approx(wanted[row != 0], abs=1e-7)


def test_ease_counts_the_end_of_a_long_sentence():
    short = ease(Sentences.of([["a", "b", "c"]]), l2=1.0, max_items=2)
    assert [[item for item, _ in row] for row in rows_of(short)] == [[], [2], [1]]


def test_ease_refuses_too_many_items_and_small_l2(monkeypatch):
    monkeypatch.setattr(ease_module, "EASE_MAX_ITEMS", 2)
    with pytest.raises(
        InputError, match=r"found 3 items; expected at most 2, .* 0.0 GB; raise min_count=, or set obj"
    ):
        fit(Sentences.of([["a", "b", "c"]] * 2), objective="ease")
    with pytest.raises(InputError, match=r"l2 is 1e-300; expected a number from 0.001 to 1e\+09"):
        ease(Sentences.of([["a", "b"]] * 2), l2=1e-300)


REFERENCES = {
    "transitions": lambda lists: dense_transitions(lists, 2, 0.5, 1.0),
    "linkprop": dense_links,
    "ease": lambda lists: ease_by_columns(lists, 2.0),
}
GIVEN = {
    "transitions": {"window": 2, "fade": 0.5, "smoothing": 1.0},
    "linkprop": {},
    "ease": {"l2": 2.0},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("decay", [None, 0.8])
def test_recommendations_are_scores_of_the_table_by_hand(objective, decay):
    model = fit(Sentences.of(PLAYLISTS), objective=objective, vector_size=3, decay=decay, **GIVEN[objective])
    codes = [IDS.index(item) for item in model.vocabulary.ids]
    table = REFERENCES[objective](PLAYLISTS)[np.ix_(codes, codes)]
    factor = decay or (0.5 if objective == "transitions" else 1.0)
    for history in (["a"], ["a", "b"], ["e", "x", "c"]):
        rows = [model.vocabulary.ids.index(item) for item in history if item != "x"]
        weights = factor ** np.arange(len(rows))[::-1]
        sums = np.maximum(weights @ table[rows], 0)
        p = sums / sums.sum()
        vectors = weights / weights.sum() @ model.vectors.input[rows] @ model.vectors.output.T
        scores = np.log1p(p / FLOOR) + 0.001 * vectors
        found = {entry.item: entry.score for entry in model.recommend(history, k=9)}
        expected = dict(zip(model.vocabulary.ids, scores, strict=True))
        assert found == pytest.approx({item: expected[item] for item in found}, rel=1e-4)
        assert {*found} == {*model.vocabulary.ids} - {*history}
        by_hand = [expected[item] for item in found]
        assert by_hand == pytest.approx(sorted(by_hand, reverse=True), rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_all_dimensions_reproduce_the_table(objective, power):
    config = Config().with_settings(objective=objective, vector_size=5, power=power)
    vectors, table = train_with_table(Sentences.of(PLAYLISTS), config)
    assert vectors.input @ vectors.output.T == pytest.approx(dense(table), abs=1e-5)
    left, values, _ = np.linalg.svd(dense(table))
    assert np.linalg.norm(vectors.input, axis=0) == pytest.approx(values**power, rel=1e-4)
    assert np.abs(vectors.input.T @ left).max(axis=0) == pytest.approx(values**power, rel=1e-3)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_gives_the_vectors_and_the_table_of_fit(objective):
    lists = Sentences.of(PLAYLISTS)
    vectors, model = (
        train(lists, objective=objective, vector_size=2),
        fit(lists, objective=objective, vector_size=2),
    )
    assert (vectors.input == model.vectors.input).all()
    assert (vectors.output == model.vectors.output).all()
    assert (vectors.counts == model.vectors.counts).all()
    assert vectors.tokens_read == len(lists.tokens)
    built = {"transitions": transitions, "linkprop": link_propagation, "ease": ease}[objective]
    codes = vectors.vocabulary.encode(lists.vocabulary.ids)[lists.tokens]
    assert rows_of(model.neighbours) == rows_of(built(Sentences(vectors.vocabulary, codes, lists.offsets)))
    assert model.taste.mixture == 1
    assert [entry.item for entry in model.similar_items("a", k=9)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_without_a_mixture_the_vectors_answer_alone(objective):
    alone = fit(Sentences.of(PLAYLISTS), objective=objective, vector_size=2, mixture=0)
    assert (alone.neighbours, alone.taste.mixture) == (None, 0)
    vectors = Recommender(train(Sentences.of(PLAYLISTS), objective=objective, vector_size=2))
    assert not vectors.taste.mixture
    assert vectors.recommend(["a"]) == alone.recommend(["a"])


def test_items_of_small_groups_are_kept():
    pairs = [[f"{number}", f"{number}'"] for number in range(40)]
    for objective in OBJECTIVES:
        model = fit(Sentences.of([*pairs, *pairs]), objective=objective, vector_size=4)
        assert len(model.vectors) == 80
        assert [model.recommend([one], k=1)[0].item for one, _ in pairs] == [other for _, other in pairs]
        assert [model.recommend([one], k=1)[0].item for _, one in pairs] == [other for other, _ in pairs]


def test_items_without_neighbours_are_left_out(caplog):
    lists = Sentences.of([["a", "b"], ["a", "b"], ["c", "c"]])
    for objective in ("linkprop", "ease"):
        assert fit(lists, objective=objective).vocabulary.ids == ("a", "b")
        assert caplog.messages[-1] == "1 of 3 items left out: they have no neighbours"
    with pytest.raises(TrainingError, match=r"objective='ease' found no neighbours; expected two different"):
        fit(Sentences.of([["a", "a"], ["b", "b"]]), objective="ease")


def test_transitions_need_an_order():
    with pytest.raises(InputError, match=r"expected ordered sentences; set objective='linkprop'"):
        train(Sentences.of(PLAYLISTS, ordered=False), objective="transitions")
    assert len(train(Sentences.of(PLAYLISTS, ordered=False), objective="linkprop", vector_size=2)) == 5


def test_rare_and_disliked_items_are_not_counted():
    weights = np.where(np.arange(15) == 14, -1.0, 1.0)
    lists = Sentences.of(
        [["a", "b", "rare"], ["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"], ["c", "a", "b", "c"]][:6]
    )
    plain = fit(lists.take(np.arange(5)), objective="transitions", min_count=2)
    assert plain.vocabulary.ids == ("a", "b")
    disliked = Sentences(lists.vocabulary, lists.tokens, lists.offsets, weights=weights)
    assert "c" in fit(disliked, objective="transitions").vocabulary
    table = fit(disliked, objective="transitions", window=1).neighbours
    assert len(table.items) == len(fit(disliked.liked, objective="transitions", window=1).neighbours.items)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_saved_and_a_published_model_give_the_same_answers(objective, tmp_path):
    model = fit(Sentences.of(PLAYLISTS), objective=objective, vector_size=3, decay=0.9, **GIVEN[objective])
    model.save(tmp_path / "one")
    item2vec.publish(model, tmp_path / "models")
    for loaded in (item2vec.load(tmp_path / "one"), item2vec.load(tmp_path / "models")):
        assert loaded.vectors.config == TrainConfig(objective=objective, vector_size=3, **GIVEN[objective])
        assert loaded.recommend(["b", "e"]) == model.recommend(["b", "e"])
        assert (loaded.taste.mixture, loaded.neighbours.decay) == (1, 0.9)
        best = loaded.recommend(["a", "b"])[0]
        shares = loaded.explain(["a", "b"], best.item)
        assert sum(share for _, share, *_ in shares) == pytest.approx(best.score, rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_validation_is_one_epoch(objective):
    vectors = train(
        Sentences.of(PLAYLISTS), objective=objective, vector_size=4, validation=Sentences.of(PLAYLISTS)
    )
    (epoch,) = vectors.curve
    assert (epoch.epoch, epoch.loss) == (1, None)
    assert 0 < epoch.ndcg <= epoch.hr <= 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_evaluation_and_tuning(objective):
    lists = Sentences.of([[chr(97 + (start + step) % 12) for step in range(5)] for start in range(12)] * 4)
    split = leave_last_out(lists)
    found = evaluate(
        fit(split.train, objective=objective, l2=1.0)
        if objective == "ease"
        else fit(split.train, objective=objective),
        split,
        k=3,
    )
    assert found.metrics["hr@3"] > 0.9
    tuning = item2vec.tune(lists, trials=3, objective=objective, jobs=1)
    assert {trial.config.train.objective for trial in tuning.trials} == {objective}
    assert {trial.state for trial in tuning.trials} == {"complete"}
    again = Config.model_validate(tuning.config.model_dump())
    assert fit(lists, again).neighbours is not None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_suggestions_of_tuning_differ_and_are_valid(objective):
    fixed = {"objective": objective}
    sampler = Sampler(starts_of(fixed), fixed, seed=1, n_tokens=10**6)
    suggested = []
    for number in range(15):
        suggested.append(sampler.suggest(number))
        score = suggested[-1].train.max_neighbours / 2000
        sampler.observe([Trial(number, suggested[-1], "complete", score)])
    assert {config.train.objective for config in suggested} == {objective}
    assert len(set(suggested)) > 12
    assert objective not in starts_of({})


def test_settings_of_tables():
    assert issubclass(TableConfig, OneStep)
    assert TrainConfig(objective="transitions").taste_decay == 0.5
    assert TrainConfig(objective="ease").taste_decay == TrainConfig(objective="linkprop").taste_decay == 1
    assert TasteConfig().mixture is None
    assert TasteConfig(mixture=0).mixture_for(TrainConfig(objective="ease")) == 0
    vectors = train(Sentences.of(PLAYLISTS), objective="ease", vector_size=2)
    with pytest.raises(ConfigError, match=r"objective='ease' is computed in one step, without initial"):
        train(Sentences.of(PLAYLISTS), objective="ease", vector_size=2, start=vectors)


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("transitions", {"window": 0}),
        ("transitions", {"smoothing": np.nan, "fade": 2}),
        ("linkprop", {"window": 5}),
        ("linkprop", {"epochs": 1}),
        ("ease", {"l2": 0}),
        ("ease", {"patience": 1}),
        ("ease", {"decay": "learned"}),
    ],
)
def test_invalid_settings_are_errors_of_one_line(objective, settings):
    with pytest.raises(ConfigError) as error:
        fit(Sentences.of(PLAYLISTS), objective=objective, **settings)
    assert all(name in str(error.value) for name in settings)
    assert "\n" not in str(error.value)


def test_a_window_may_cover_whole_sentences():
    whole = fit(Sentences.of(PLAYLISTS), objective="transitions", window="full").neighbours
    assert rows_of(whole) == rows_of(
        fit(Sentences.of(PLAYLISTS), objective="transitions", window=3).neighbours
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_shards_give_the_table_of_the_same_sentences(objective, tmp_path):
    lists = Sentences.of(PLAYLISTS)
    lists.save(tmp_path / "corpus", shards=3)
    config = Config().with_settings(objective=objective, vector_size=3)
    vectors, table = train_with_table(Sentences.open(tmp_path / "corpus"), config)
    _, whole = train_with_table(lists, config)
    order = vectors.vocabulary.encode(fit(lists, config).vocabulary.ids)
    assert dense(table.take(order)) == pytest.approx(dense(whole))
    with pytest.raises(ConfigError, match=f"checkpoint cannot be set with objective='{objective}'"):
        train(lists, objective=objective, checkpoint=tmp_path / "state")
