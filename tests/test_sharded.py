"""Splits, priors, tables, baselines and tuning read a sharded corpus as they read the same sentences."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import Recommender, files, fit, neighbours
from item2vec.adapters import save_shards
from item2vec.config import AdapterConfig, TasteConfig
from item2vec.errors import InputError
from item2vec.evaluation import (
    EASE,
    ItemKNN,
    LinkPropagation,
    MarkovChain,
    Popularity,
    RecentPopularity,
    Split,
    Transitions,
    baselines,
    evaluate,
    leave_last_out,
    prefix_split,
    shard_queries,
    temporal_split,
)
from item2vec.evaluation.leaks import find_leaks, trained_beyond
from item2vec.interactions import Interactions
from item2vec.neighbours import table_for
from item2vec.prior import prior_for, prior_of
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.sharded import ShardWriter
from item2vec.shards import arrow
from item2vec.tuning import problem
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

pytestmark = pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")


@pytest.fixture(scope="module", autouse=True)
def _fast_disk():
    """Do not flush files to the disk, which takes most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "flush", lambda descriptor: None)
        yield


@pytest.fixture(scope="module", params=["tuple", "mapped"])
def either(request):
    """Run a test with a vocabulary on each side of the switch between a tuple and a mapped file."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "mapped":
            patch.setattr(arrow, "LARGEST_TUPLE", 0)
        yield request.param


@st.composite
def corpora(draw):
    lists = draw(st.lists(st.lists(st.sampled_from("abcdef"), max_size=7), min_size=2, max_size=8))
    sentences = Sentences.of([*lists, list("abc"), list("cdb")])
    n = len(sentences.tokens)
    column = st.lists(st.integers(-1, 3), min_size=n, max_size=n)
    if draw(st.booleans()):
        sentences = dataclasses.replace(sentences, weights=np.array(draw(column), dtype=np.float32))
    if draw(st.booleans()):
        sentences = dataclasses.replace(sentences, timestamps=np.array(draw(column)) * 86_400_000_000)
    return sentences


def opened(sentences, folder, shards):
    sentences.save(folder / "corpus", shards=shards)
    return Sentences.open(folder / "corpus")


def parts(split):
    histories, targets = split.histories, split.targets
    return {
        **{name: list(getattr(split, name)) for name in ("train", "histories", "targets")},
        "columns": [
            None if column is None else column.tolist()
            for column in (histories.weights, histories.timestamps, targets.timestamps)
        ],
        **{name: getattr(split, name) for name in ("protocol", "filter_seen", "spans", "dropped", "leak")},
        "text": repr(split),
    }


@examples(15)
@given(sentences=corpora(), shards=st.integers(1, 4), n=st.integers(1, 2), repeats=st.booleans())
def test_leave_last_out_of_shards_equals_that_of_the_sentences(
    tmp_path_factory, either, sentences, shards, n, repeats
):
    corpus = opened(sentences, fresh_folder(tmp_path_factory), shards)
    expected = leave_last_out(sentences, n=n, repeats=repeats)
    found = leave_last_out(corpus, n=n, repeats=repeats)
    assert isinstance(found.train, ShardedSentences)
    assert parts(found) == parts(expected)
    assert found.cold_items().tolist() == expected.cold_items().tolist()
    if either == "tuple":
        assert found.fingerprints() == expected.fingerprints()


@examples(15)
@given(sentences=corpora(), shards=st.integers(1, 4), half_life=st.sampled_from([None, 2.0]))
def test_statistics_of_shards_equal_those_of_the_sentences(
    tmp_path_factory, either, sentences, shards, half_life
):
    corpus = opened(sentences, fresh_folder(tmp_path_factory), shards)
    vocabulary = Vocabulary(("x", "c", "a", "b"))
    expected = prior_for(sentences, vocabulary, half_life)
    np.testing.assert_allclose(prior_for(corpus, vocabulary, half_life), expected, rtol=1e-6)
    assert (prior_of(corpus, vocabulary, TasteConfig()) is None) == (sentences.timestamps is None)
    for unordered in (False, True):
        if unordered:
            sentences = dataclasses.replace(sentences, ordered=False)
            corpus = opened(sentences, fresh_folder(tmp_path_factory), shards)
        table, other = table_for(sentences, vocabulary), table_for(corpus, vocabulary)
        for name in ("offsets", "items", "weights"):
            assert getattr(table, name).tolist() == getattr(other, name).tolist()
    for count in (1, 3):
        vectors = ItemVectors(vocabulary, np.eye(4), None, np.full(4, count))
        assert trained_beyond(vectors, corpus) == trained_beyond(vectors, sentences)


def test_the_age_of_a_token_counts_from_the_newest_token_of_all_shards(tmp_path):
    days = np.array([0, 2, 4]) * 86_400_000_000
    sentences = dataclasses.replace(Sentences.of([["a"], ["b"], ["a"]]), timestamps=days)
    corpus = opened(sentences, tmp_path, 3)
    counts = np.expm1(prior_for(corpus, Vocabulary(("a", "b")), half_life=2.0))
    np.testing.assert_allclose(counts, [1.25, 0.5], rtol=1e-6)


@pytest.fixture(scope="module")
def played():
    """Sentences with repeats, some of them leaked, and a weight and a time per token."""
    random = np.random.default_rng(3)
    lists = [[f"i{n}" for n in random.integers(0, 30, random.integers(2, 12))] for _ in range(80)]
    sentences = Sentences.of([*lists, *lists[:20]])
    n = len(sentences.tokens)
    return dataclasses.replace(
        sentences,
        weights=random.integers(1, 4, n).astype(np.float32),
        timestamps=random.integers(0, 10**13, n),
    )


def disliked_now_and_then(sentences):
    weights = np.where(np.arange(len(sentences.tokens)) % 5, sentences.weights, -1).astype(np.float32)
    return dataclasses.replace(sentences, weights=weights)


@pytest.mark.usefixtures("either")
def test_shards_of_histories_have_the_answers_of_the_histories(tmp_path, played):
    """Weights (also of dislikes) and timestamps are read."""
    histories = disliked_now_and_then(played)
    corpus = opened(histories, tmp_path, 3)
    random, n_items = np.random.default_rng(5), len(played.vocabulary)
    vectors = ItemVectors(played.vocabulary, random.normal(size=(n_items, 8)), None, np.ones(n_items))
    model, baseline = Recommender(vectors, half_life=20.0), ItemKNN(played)
    assert model.recommend_many(corpus, k=5) == model.recommend_many(histories, k=5)
    assert model.tastes(corpus).tolist() == model.tastes(histories).tolist()
    for exclude in (None, histories[::-1]):
        sharded = None if exclude is None else opened(exclude, tmp_path / "excluded", 2)
        expected = baseline.recommend_many(histories, filter_seen=False, exclude=exclude)
        assert baseline.recommend_many(corpus, filter_seen=False, exclude=sharded) == expected
    with pytest.raises(InputError, match="together with Sentences, whose own weights"):
        model.recommend_many(corpus, weights=[[1.0]] * len(corpus))


def test_shards_without_dislikes_keep_their_users(tmp_path, played):
    histories = disliked_now_and_then(played)
    corpus = opened(histories, tmp_path, 3)
    assert list(corpus.liked) == list(histories.liked)
    assert corpus.liked.whole().weights.tolist() == histories.liked.weights.tolist()
    with ShardWriter(tmp_path / "rated", ["a", "b"], [1, 2], columns=["weights"], n_shards=2) as writer:
        for number, user in enumerate(["u", "v"]):
            columns = {"weights": np.array([1, -1], np.float32), "users": [user]}
            writer.write(number, np.array([number, 1 - number]), np.array([0, 2]), **columns)
        writer.finish()
    liked = Sentences.open(tmp_path / "rated").liked
    assert (list(liked), [list(users) for users in liked.users]) == ([["a"], ["b"]], [["u"], ["v"]])
    plain = opened(Sentences.of([["a"], ["b"]]), tmp_path / "plain", 2)
    assert plain.liked is plain


@pytest.mark.parametrize("model", [Popularity, RecentPopularity, ItemKNN, MarkovChain])
def test_an_evaluation_on_shards_equals_that_on_the_sentences(tmp_path, played, either, model):
    whole, sharded = leave_last_out(played), leave_last_out(opened(played, tmp_path, 3))
    expected, found = (evaluate(model(split.train), split, k=[1, 5]) for split in (whole, sharded))
    assert found.leaks == expected.leaks
    for name, values in expected.per_query.items():
        np.testing.assert_allclose(found.per_query[name], values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("timed", [True, False])
def test_an_evaluation_of_a_corpus_reads_a_shard_at_a_time(monkeypatch, tmp_path, played, timed):
    sentences = disliked_now_and_then(played)
    if not timed:
        sentences = dataclasses.replace(sentences, timestamps=None)
    whole, sharded = leave_last_out(sentences), leave_last_out(opened(sentences, tmp_path, 3))
    expected = [model.recommend_many([["i1", "i2"], []], k=99) for model in baselines(whole).values()]
    diversity = evaluate(Popularity(whole.train), whole, k=5, metrics=["diversity"]).metrics
    monkeypatch.setattr(ShardedSentences, "whole", None)
    found = [model.recommend_many([["i1", "i2"], []], k=99) for model in baselines(sharded).values()]
    assert found == expected
    assert evaluate(Popularity(sharded.train), sharded, k=5, metrics=["diversity"]).metrics == diversity


PAIRS = Sentences.of([["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]])


@pytest.mark.parametrize("kind", [ItemKNN, MarkovChain, Transitions, LinkPropagation, EASE])
def test_of_many_tokens_pairs_are_counted_in_evenly_spaced_shards(monkeypatch, tmp_path, kind):
    corpus = opened(PAIRS, tmp_path, 4)
    monkeypatch.setattr(neighbours, "MOST_TOKENS", 4)
    model = kind(corpus)
    assert sorted(model.vocabulary.ids) == list("abcdefgh")
    (first, *_), (other, *_), (third, *_) = model.recommend_many([["a"], ["c"], ["e"]])
    assert (first.item, first.source, third.item, third.source) == ("b", "model", "f", "model")
    assert other.source == "popular"


def test_of_many_tokens_diversity_is_that_in_evenly_spaced_shards(monkeypatch, tmp_path):
    class Pair:
        def recommend_many(self, histories, *, k, filter_seen):
            return [{"x": ["a", "b"], "y": ["c", "d"]}[history[0]][:k] for history in histories]

    histories, targets = Sentences.of([["x"], ["y"]]), Sentences.of([["a"], ["a"]])
    split = Split(opened(PAIRS, tmp_path, 4), histories, targets, "by hand")
    for most, expected in ((8, [0, 0]), (4, [0, 1])):
        monkeypatch.setattr(neighbours, "MOST_TOKENS", most)
        found = evaluate(Pair(), split, k=2, metrics=["diversity"])
        assert found.per_query["diversity@2"].tolist() == pytest.approx(expected)


def test_leaks_are_found_in_shards(tmp_path, played):
    corpus = opened(played, tmp_path, 3)
    clean = leave_last_out(played, repeats=True)
    for train in (played, corpus):
        split = dataclasses.replace(clean, train=train)
        (leak,) = find_leaks(split)
        assert "occur in the training part together with their target" in leak
    assert find_leaks(dataclasses.replace(clean, train=corpus)) == find_leaks(
        dataclasses.replace(clean, train=played)
    )


def test_queries_of_shards_are_a_sample(monkeypatch, tmp_path, played):
    monkeypatch.setattr(shard_queries, "MOST_QUERIES", 9)
    corpus = opened(played, tmp_path, 3)
    split = leave_last_out(corpus, repeats=True)
    assert len(split) == 9
    assert split.dropped["queries that are not in the sample of the shards"] == len(played) - 9
    complete = leave_last_out(played, repeats=True)
    assert list(split.train) == list(complete.train)
    queries = list(zip(complete.histories, complete.targets, strict=True))
    assert all(query in queries for query in zip(split.histories, split.targets, strict=True))


def test_the_last_sessions_of_each_shard_are_test_sessions(tmp_path):
    sessions = Sentences.of([[name, "x"] for name in "abcdefgh"])
    corpus = opened(sessions, tmp_path, 2)
    split = prefix_split(corpus, fraction=0.25)
    assert [sentence[0] for sentence in split.train] == list("abcefg")
    assert (list(split.histories), list(split.targets)) == ([["d"], ["h"]], [["x"], ["x"]])
    held_out = prefix_split(corpus, test=sessions[:1])
    assert list(held_out.train) == list(sessions)


@examples(30)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=9), fraction=st.floats(0.01, 0.99))
def test_small_shards_have_as_many_test_sessions_as_the_sentences(tmp_path_factory, sizes, fraction):
    sizes = [*sizes, 2]
    sessions = Sentences.of([[f"i{number}", "x"] for number in range(sum(sizes))])
    folder = fresh_folder(tmp_path_factory)
    ids, counts = sessions.vocabulary.ids, sessions.counts()
    with ShardWriter(folder / "corpus", ids, counts, n_shards=len(sizes)) as writer:
        writer.write_runs(offsets_of(sizes), sessions.tokens, sessions.offsets)
    found = prefix_split(Sentences.open(folder / "corpus"), fraction=fraction)
    assert len(found) == len(prefix_split(sessions, fraction=fraction)) >= 1
    assert len(found.train) == len(sessions) - len(found)
    assert {*map(tuple, found.train)} == {*map(tuple, sessions)} - {(own[0], "x") for own in found.histories}


def test_tables_of_many_tokens_are_computed_from_evenly_spaced_shards(monkeypatch, tmp_path, caplog):
    lists = Sentences.of([["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]])
    corpus = opened(lists, tmp_path, 4)
    monkeypatch.setattr(neighbours, "MOST_TOKENS", 4)
    with caplog.at_level(logging.INFO, "item2vec"):
        table = table_for(corpus, lists.vocabulary)
    expected = table_for(lists.take(np.array([0, 2])), lists.vocabulary)
    assert (table.items.tolist(), table.weights.tolist()) == (
        expected.items.tolist(),
        expected.weights.tolist(),
    )
    assert "2 of 4 shards" in caplog.text


@pytest.mark.parametrize("most", [50_000_000, 200])
def test_tuning_holds_out_the_same_queries_of_shards(monkeypatch, tmp_path, played, most):
    monkeypatch.setattr(problem, "MOST_SHARDED_TOKENS", most)
    corpus = opened(played, tmp_path, 3)
    arguments = {"metric": "ndcg@10", "seed": 1}
    found = problem.make_problem(corpus, max_tokens=10**9, **arguments)
    expected = problem.make_problem(played, max_tokens=most, **arguments)
    assert found.fingerprint() == expected.fingerprint()
    assert problem.n_readable(corpus) == min(most, len(played.tokens))


def test_a_model_of_one_shard_equals_the_model_of_the_sentences(tmp_path, played):
    settings = {"vector_size": 8, "epochs": 1, "workers": 1, "mixture": 0.5, "popularity": 0.3}
    whole = fit(played, objective="skipgram", **settings)
    corpus = opened(played, tmp_path, 1)
    model = fit(corpus, objective="skipgram", **settings)
    whole.save(tmp_path / "whole")
    model.save(tmp_path / "sharded")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name != "manifest.json"}
        for name in ("whole", "sharded")
    )
    assert first == second


@examples(15)
@given(data=st.data(), shards=st.integers(1, 4), repeats=st.booleans())
def test_temporal_split_of_shards_equals_that_of_the_interactions(tmp_path_factory, data, shards, repeats):
    n = data.draw(st.integers(8, 40))
    times = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    users, items = (data.draw(st.lists(st.sampled_from("abcde"), min_size=n, max_size=n)) for _ in "ui")
    days = (19_723 + np.array([*times, 0, 7, 9])) * 86_400_000_000  # from 2024-01-01 on
    interactions = Interactions.of(user=[*users, *"zzz"], item=[*items, *"xyw"], timestamp=days)
    folder = fresh_folder(tmp_path_factory) / "corpus"
    save_shards(interactions, AdapterConfig(), folder, shards=shards)
    corpus = Sentences.open(folder)
    cut = {"at": "2024-01-05", "until": data.draw(st.sampled_from([None, "2024-01-09"])), "repeats": repeats}
    whole, sharded = temporal_split(interactions, **cut), temporal_split(corpus, **cut)
    assert sorted(sharded.train) == sorted(whole.train)
    queries = [sorted(zip(split.histories, split.targets, strict=True)) for split in (whole, sharded)]
    assert queries[0] == queries[1]
    assert (sharded.spans, sharded.protocol, sharded.filter_seen) == (
        whole.spans,
        whole.protocol,
        whole.filter_seen,
    )
    without = "users without new items in the test part"
    assert sharded.dropped.get(without) == whole.dropped.get(without)
    assert parts(temporal_split(corpus.whole(), **cut)) == parts(sharded)
    share = {"fraction": 0.3, "repeats": True}
    assert temporal_split(corpus, **share).protocol == temporal_split(interactions, **share).protocol


def test_a_split_by_time_requires_timestamps_and_no_adapter(tmp_path, played):
    with pytest.raises(InputError, match="no timestamps"):
        temporal_split(opened(Sentences.of([["a"], ["b"]]), tmp_path, 2))
    corpus = opened(played, tmp_path / "played", 2)
    with pytest.raises(InputError, match="adapter"):
        temporal_split(corpus, adapter=AdapterConfig())
    for at in ("1900-01-01", "2100-01-01"):  # repeats=True would not help
        with pytest.raises(InputError, match=r"choose another cut-off$"):
            temporal_split(corpus, at=at)


def test_an_event_at_the_cut_off_is_not_trained(tmp_path):
    days = (19_723 + np.array([0, 1, 0, 1, 2])) * 86_400_000_000
    lists = dataclasses.replace(Sentences.of([["a", "b"], ["b", "a", "c"]]), timestamps=days)
    split = temporal_split(opened(lists, tmp_path, 2), at="2024-01-02")
    assert (list(split.train), list(split.histories)) == ([["a"], ["b"]], [["a"], ["b"]])
    assert list(split.targets) == [["b"], ["a", "c"]]
