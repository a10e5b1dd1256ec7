"""Figures and tables of evaluations, curves and tunings; HTML of values in notebooks."""

import builtins
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest

from item2vec import Config, Interactions, Items, ItemVectors, Recommender, Sentences, Vocabulary, train
from item2vec.errors import InputError, InputTypeError, MissingExtraError
from item2vec.evaluation import (
    Evaluation,
    Popularity,
    Random,
    Split,
    Table,
    evaluate,
    leave_last_out,
    table,
    temporal_split,
)
from item2vec.figures import bars, metric_bars, training_curve, trials
from item2vec.tuning import Estimate, Trial, Tuning
from item2vec.tuning.importance import importances_of

HOSTILE = "<script>alert('x')</script>&"
SONGS = ["a", "b", "c", "d", HOSTILE]


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(2)
    return leave_last_out(Sentences.of([random.permutation(SONGS).tolist() for _ in range(30)]), repeats=True)


@pytest.fixture(scope="module")
def evaluations(split):
    return {
        "popular": evaluate(Popularity(split.train), split, k=(1, 3)),
        HOSTILE: evaluate(Random(split.train), split, k=(1, 3)),
    }


def test_a_frame_has_the_metrics_and_their_intervals(evaluations):
    evaluation = evaluations["popular"]
    frame = evaluation.to_frame(level=0.8, seed=3)
    assert list(frame) == ["metric", "k", "value", "low", "high"]
    assert [f"{row.metric}@{row.k}" for row in frame.itertuples()] == list(evaluation.metrics)
    assert frame["value"].tolist() == list(evaluation.metrics.values())
    bounds = evaluation.intervals(level=0.8, seed=3)
    for row in frame.itertuples():
        expected = bounds.get(f"{row.metric}@{row.k}", (np.nan, np.nan))
        np.testing.assert_equal((row.low, row.high), expected)


def test_values_per_query_are_joined_to_user_ids():
    days = np.array([f"2024-01-{day:02}" for day in (1, 2, 3, 4, 20, 21, 22)], "datetime64[us]")
    log = Interactions.of(
        user=["zoe", "ann", "zoe", "ann", "ann", "bob", "zoe"],
        item=["a", "b", "b", "a", "c", "a", "c"],
        timestamp=days.tolist(),
    )
    split = temporal_split(log, at="2024-01-15")
    frame = evaluate(Popularity(split.train), split, k=1, metrics=["hr", "coverage"]).per_query_frame()
    assert list(frame) == ["query", "user", "hr@1"]
    assert frame["user"].tolist() == ["zoe", "ann", "bob"]
    assert dict(zip(frame["user"], frame["hr@1"], strict=True))["bob"] in {0, 1}
    for query, user in zip(frame["query"], frame["user"], strict=True):
        events = zip(log.users.decode(log.user), log.items.decode(log.item), strict=True)
        own = [item for of, item in events if of == user]
        assert own[: len(split.histories[query])] == split.histories[query]


def test_users_without_ids_are_numbers(evaluations):
    assert evaluations["popular"].per_query_frame()["user"].tolist() == list(range(30))


def test_user_ids_that_do_not_cover_the_users_are_an_error():
    one = Sentences.of([["a"]])
    message = "found 1 user_ids and user numbers up to 1; expected users, with an id for each user"
    with pytest.raises(InputError, match=message):
        Split(one, one, one, "by hand", users=np.array([1]), user_ids=Vocabulary(("u",)))
    with pytest.raises(InputError, match="found 1 user_ids and no users"):
        Split(one, one, one, "by hand", user_ids=Vocabulary(("u",)))


def test_a_table_has_a_row_per_model_and_marks_the_best(evaluations):
    result = table(evaluations)
    frame = result.to_frame()
    assert frame["model"].tolist() == ["popular", HOSTILE]
    assert list(frame)[1:] == list(result.metrics) == list(evaluations["popular"].metrics)
    for name, row in zip(evaluations, frame.itertuples(index=False), strict=True):
        assert list(row[1:]) == list(evaluations[name].metrics.values())
    better = max(evaluations, key=lambda name: evaluations[name].metrics["mrr@3"])
    assert better in result.best("mrr@3")
    assert result.best("gini@3") == result.best("popularity-bias@3") == ()
    bold = Html(result._repr_html_()).bold
    assert f"{evaluations[better].metrics['mrr@3']:.4f}" in bold
    assert sum(len(result.best(metric)) for metric in result.metrics) == len(bold)


def test_a_table_of_a_list_names_models_by_their_class(evaluations):
    assert list(table(list(evaluations.values())).evaluations) == ["Popularity", "Random"]
    with pytest.raises(InputError, match="two evaluations have the name 'Random'; expected distinct names"):
        table([evaluations[HOSTILE]] * 2)


def test_errors_of_a_table(evaluations, split):
    popular = evaluations["popular"]
    other = evaluate(Popularity(split.train), split.take(np.arange(9)), k=3)
    with pytest.raises(InputError, match="histories and targets and users of 'a' and 'b' differ"):
        table({"a": popular, "b": other})
    with pytest.raises(InputError, match=r"no metric is common .*'a': .*hr@1.*'b': .*hr@2"):
        table({"a": popular, "b": evaluate(Popularity(split.train), split, k=2)})
    for hostile in ({}, []):
        with pytest.raises(InputError, match="evaluations is empty"):
            table(hostile)
    message = r"evaluations contain 'a': 3; expected a name \(text\) and an Evaluation"
    with pytest.raises(InputTypeError, match=message):
        table({"a": 3})
    with pytest.raises(InputError, match="metric 'hr@9' was not evaluated; expected one of hr@1"):
        table(evaluations).plot(metrics=["hr@9"])


def test_a_plot_shows_values_and_intervals_of_all_models(evaluations):
    figure = table(evaluations).plot(metrics=["ndcg@3", "coverage@3"])
    assert isinstance(figure, go.Figure)
    ndcg, coverage = figure.data
    values = dict(zip(ndcg.y, ndcg.x, strict=True))
    assert values["popular"] == pytest.approx(evaluations["popular"].metrics["ndcg@3"], rel=1e-5)
    low, high = evaluations["popular"].intervals()["ndcg@3"]
    place = ndcg.y.index("popular")
    assert ndcg.x[place] + ndcg.error_x.array[place] == pytest.approx(high, rel=1e-4)
    assert ndcg.x[place] - ndcg.error_x.arrayminus[place] == pytest.approx(low, rel=1e-4)
    assert coverage.error_x.array == (None, None)
    assert ndcg.y[0] == "&lt;script&gt;alert('x')&lt;/script&gt;&amp;"  # plotly renders tags
    assert "<script>alert" not in figure.to_json().replace("\\u003c", "<")
    alone = evaluations["popular"].plot(metrics=["hr@1"])
    assert [(bar.name, bar.y) for bar in alone.data] == [("hr@1", ("Popularity",))]


def test_a_curve_has_two_axes_if_there_are_metrics():
    both = training_curve([1, 2], {"loss": [2.0, 1.0], "ndcg@10": [0.1, None], "hr@10": [None, None]})
    assert [(line["name"], line["yaxis"], line["y"]) for line in both["data"]] == [
        ("loss", "y", [2.0, 1.0]),
        ("ndcg@10", "y2", [0.1, None]),
    ]
    for name in ("loss", "ndcg@10"):
        (line,) = training_curve([1], {name: [1.0]})["data"]
        assert line["yaxis"] == "y"


def test_names_and_titles_are_escaped():
    estimate = (0.2, 0.1, 0.3)
    charts = (
        training_curve([1], {HOSTILE: [1.0]}),
        metric_bars({HOSTILE: {HOSTILE: estimate}}),
        bars({HOSTILE: 0.5}, title=HOSTILE),
        trials([(0, 0.1, "complete", HOSTILE)], metric=HOSTILE, chosen=0, estimates={HOSTILE: estimate}),
    )
    for chart in charts:
        assert "<script>" not in str(chart)
        assert "&lt;script&gt;alert('x')&lt;/script&gt;&amp;" in str(chart).replace("\\'", "'")


def test_vectors_plot_their_curve():
    sentences = Sentences.of([["a", "b", "c"]] * 9)
    vectors = train(sentences, validation=sentences, vector_size=8, epochs=3, workers=1)
    loss, ndcg, hr = vectors.plot().data
    assert loss.y == tuple(point.loss for point in vectors.curve)
    assert (ndcg.name, hr.name, hr.x) == ("ndcg@10", "hr@10", (1, 2, 3))
    imported = ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2))
    with pytest.raises(InputError, match="the training curve is empty"):
        imported.plot()


def tuning():
    trials = (
        Trial(0, Config(), "complete", 0.1),
        Trial(1, Config().with_settings(epochs=3), "stopped", 0.05, reason="worse"),
        Trial(2, Config().with_settings(objective="cbow"), "complete", 0.3),
        Trial(3, Config(), "failed", 0.0, reason=HOSTILE),
    )
    estimates = Estimate(0.1, 0.05, 0.15), Estimate(0.3, 0.2, 0.4), Estimate(0.2, 0.1, 0.3)
    return Tuning(trials[2].config, "ndcg@10", "last", trials, *estimates, warnings=(HOSTILE,))


def test_a_tuning_plots_its_trials_and_the_chosen_one():
    figure = tuning().plot()
    traces = {trace.name: trace for trace in figure.data}
    assert traces["complete"].x == (0, 2)
    assert traces["best so far"].y == (0.1, 0.3)
    assert (traces["chosen trial"].x, traces["chosen trial"].y) == ((2,), (0.3,))
    assert traces["final comparison"].x == ("default", "chosen")
    assert traces["final comparison"].y == (0.1, 0.3)
    assert "objective=cbow" in traces["complete"].text[1]
    assert "<script>alert" not in figure.to_json().replace("\\u003c", "<")


def explained(scores, groups):
    """Return ε² from the definition: the mean squares of an analysis of variance."""
    kinds = sorted(set(groups))
    parts = [np.array([s for s, g in zip(scores, groups, strict=True) if g == kind]) for kind in kinds]
    within = sum(np.square(part - part.mean()).sum() for part in parts)
    total = np.square(np.array(scores) - np.mean(scores)).sum()
    mean_square = within / (len(scores) - len(kinds))
    return max(0.0, (total - within - (len(kinds) - 1) * mean_square) / total)


def trials_of(*rows, **fixed):
    """Return complete trials of skip-gram with these windows, negatives and scores."""
    base = Config().with_settings(objective="skipgram", **fixed)
    return tuple(
        Trial(number, base.with_settings(window=window, negative=negative), "complete", score)
        for number, (window, negative, score) in enumerate(rows)
    )


def test_importances_of_settings():
    random = np.random.default_rng(3)
    rows = [(1 + n % 12, 5 + n % 2, (n % 12 > 5) + random.normal(0, 0.2)) for n in range(48)]
    whole = Tuning(Config(), "ndcg@10", "last", trials_of(*rows), *[Estimate(0.1, 0, 0.2)] * 2, None)
    found, scores = whole.importances(), [score for _, _, score in rows]
    assert list(found) == ["window", "negative"]
    quarters = [(window - 1) // 3 for window, _, _ in rows]  # 1–3, 4–6, 7–9, 10–12
    assert found["window"] == pytest.approx(explained(scores, quarters))
    assert found["negative"] == pytest.approx(explained(scores, [negative for _, negative, _ in rows]))
    assert found["window"] > 0.7
    assert found["negative"] < 0.1
    (bar,) = whole.plot_importances().data
    assert (bar.y, bar.x[1]) == (("negative", "window"), pytest.approx(found["window"], rel=1e-5))
    assert "importance of settings" in Html(whole._repr_html_()).text


def test_importances_need_ten_complete_trials_and_different_values():
    rows = [(5, 3 + n % 5, float(n)) for n in range(10)]
    assert set(importances_of(trials_of(*rows))) == {"negative"}
    assert importances_of(trials_of(*rows[:9])) == {}
    stopped = [replace(trial, state="stopped") for trial in trials_of(*rows)]
    assert importances_of(stopped) == {}
    cbow = [Trial(9, Config().with_settings(objective="cbow"), "complete", 0.0)]
    assert set(importances_of([*trials_of(*rows), *cbow])) >= {"objective", "window"}
    assert importances_of(trials_of(*[(1 + n, 5, 0.5) for n in range(10)])) == {"window": 0.0}
    most_are_the_largest = [(min(2 + n, 6), 5, float(n > 3)) for n in range(20)]
    assert importances_of(trials_of(*most_are_the_largest)) == {"window": pytest.approx(1)}
    alternating = trials_of(*[(5, 3 + n % 2, float(n % 2)) for n in range(10)])
    assert importances_of(alternating) == {"negative": 1.0}
    better = [replace(trial, others=(replace(trial, score=9.0),)) for trial in alternating]
    assert importances_of(better) == {"negative": 0.0}  # the best taste of each trial counts


def test_bars_of_many_metrics_have_axes_of_their_own():
    chart = metric_bars({"m": {f"metric{n}@10": (n / 10, None, None) for n in range(7)}})
    assert [bar["xaxis"] for bar in chart["data"]] == ["x", "x2", "x3", "x4", "x5", "x6", "x7"]
    go.Figure(chart)


class Html(HTMLParser):
    """Elements and text of a fragment, which must be well formed."""

    def __init__(self, fragment):
        super().__init__()
        self.tags, self.text, self.bold, self.open = set(), "", [], []
        self.feed(fragment)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert not attributes
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "b" in self.open:
            self.bold.append(data)


def values(split, evaluations):
    vectors = ItemVectors(Vocabulary(tuple(SONGS)), np.eye(5), None, np.arange(5, 0, -1))
    items = Items.of({HOSTILE: {"title": HOSTILE, "genre": HOSTILE}})
    return {
        ItemVectors: vectors,
        Recommender: Recommender(vectors, items=items, index="exact"),
        Split: Split(
            split.train, split.histories, split.targets, HOSTILE, dropped={HOSTILE: 2}, leak=HOSTILE
        ),
        Evaluation: evaluations[HOSTILE],
        Table: table(evaluations),
        Tuning: tuning(),
    }


def test_notebooks_display_escaped_tables(split, evaluations):
    for kind, value in values(split, evaluations).items():
        fragment = value._repr_html_()
        page = Html(fragment)
        assert page.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "b"}, kind
        assert len(fragment) < 6000, kind
        assert page.text.strip()
    for kind in (ItemVectors, Split, Table, Tuning):
        assert HOSTILE in Html(values(split, evaluations)[kind]._repr_html_()).text, kind


def test_a_missing_plotly_is_named_with_the_command_that_installs_it(evaluations, monkeypatch):
    real = builtins.__import__

    def missing(name, *args):
        if name.startswith("plotly"):
            raise ModuleNotFoundError(name, name="plotly")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'item2vec\[report\]'"):
        evaluations["popular"].plot()
