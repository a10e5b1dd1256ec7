"""Jobs of the nightly run: dates in the future, and the expected number of tokens per epoch."""

import dataclasses
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from nights import QUICK, changed, cut, fill, made_listens
from strategies import corpora

from item2vec import Interactions, Items, NextItem, Sentences, Vocabulary, train
from item2vec.config import AdapterConfig, Config, RetrainConfig, TrainConfig
from item2vec.errors import ConfigError, NothingToTrainError
from item2vec.retraining import jobs
from item2vec.sentences import joined
from item2vec.shards.lazy import LazyShards
from item2vec.store import Store
from item2vec.training.corpus import prepare

NOW = "1970-01-03T00:00:00+00:00"
HOUR = 3_600_000_000


def listens_at(*hours, item="late"):
    """Return interactions of one user at these hours after the start of 1970."""
    return Interactions.of(
        user=["ann"] * len(hours), item=[item] * len(hours), timestamp=[hour * HOUR for hour in hours]
    )


def snapshot(url, folder, now=NOW, **adapter):
    return jobs.Jobs(QUICK.replace(adapter=AdapterConfig(**adapter))).snapshot(
        url, str(folder / "snapshot"), now
    )


@pytest.mark.parametrize("days", [None, 0.5])
def test_interactions_dated_in_the_future_are_ignored_and_counted(days, url, tmp_path):
    fill(url, made_listens(60))
    (tmp_path / "before").mkdir()
    expected = snapshot(url, tmp_path / "before", days=days)
    assert (expected["future"], expected["future_example"]) == (0, None)
    fill(url, listens_at(1_130_000, 72, item="wrong"))
    data = snapshot(url, tmp_path, days=days)
    example = {"user": "ann", "item": "wrong", "timestamp": "1970-01-04T00:00:00+00:00"}
    assert data == expected | {"future": 2, "future_example": example}


@pytest.mark.parametrize(
    ("ordered", "protocol"), [(True, "leave-last-1-out"), (False, "random 10 % of each sentence held out")]
)
def test_without_timestamps_the_last_items_or_random_items_are_held_out(url, tmp_path, ordered, protocol):
    listens = cut(made_listens(60), 1.0)
    fill(url, dataclasses.replace(listens, timestamp=None))
    run = jobs.Jobs(QUICK.replace(adapter=AdapterConfig(ordered=ordered)))
    data = run.snapshot(url, str(tmp_path / "snapshot"), NOW)
    assert (data["interactions"], data["first"], data["last"], data["future"]) == (960, None, None, 0)
    evaluation = run.train_and_evaluate()
    assert evaluation["split"].startswith(f"Split({protocol}: ")
    assert evaluation["queries"] > 30
    assert evaluation["leaks"] or not ordered
    assert run.train(None)["items"] == data["items"]


def test_attributes_are_read_from_the_items_of_the_store(url, tmp_path):
    listens = made_listens(60)
    fill(url, listens)
    rows = {item: {"genre": item.split()[0]} for item in listens.items.ids}
    with Store(url) as store:
        store.ingest_items(Items.of(rows | {"new": {"genre": "g0"}, "odd": {"genre": "polka"}}))
    training = NextItem(attributes=("genre",), vector_size=24, epochs=1, workers=1)
    config = QUICK.replace(model=Config(train=training))
    run = jobs.Jobs(RetrainConfig.model_validate_json(config.model_dump_json(exclude_unset=True)))
    run.snapshot(url, str(tmp_path / "snapshot"), NOW)
    assert run.train_and_evaluate()["queries"]
    run.train(None)
    assert run.model.vectors.vocabulary.ids[-1] == "new"
    assert "odd" not in run.model.vectors


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"adapter": AdapterConfig(days=3)}, "days is 3, and the interactions have no timestamps"),
        ({"evaluation": {"days": 3.0}}, r"\[evaluation\] days is 3, and the interactions have no timestamps"),
    ],
)
def test_days_require_timestamps(tmp_path, settings, error):
    url = fill(
        f"sqlite:///{tmp_path}/item2vec.db", dataclasses.replace(cut(made_listens(60), 1.0), timestamp=None)
    )
    run = jobs.Jobs(QUICK.replace(**settings))

    def evaluate():
        run.snapshot(url, str(tmp_path / "snapshot"), NOW)
        run.train_and_evaluate()

    with pytest.raises(ConfigError, match=error):
        evaluate()


def test_less_than_a_day_ahead_is_not_the_future(tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens(60))
    fill(url, listens_at(49, 71))
    data = snapshot(url, tmp_path)
    assert (data["future"], data["last"]) == (0, "1970-01-03T23:00:00.000000+00:00")


def test_a_store_with_nothing_but_future_dates_is_an_error(tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens(60))
    with pytest.raises(
        NothingToTrainError, match=r"holds 0 .* without 960 dated a day or more ahead of 1960"
    ):
        snapshot(url, tmp_path, now="1960-01-01T00:00:00+00:00")


@pytest.mark.parametrize("adapter", [{"events": ["play"]}, {"events": {"play": 2.0}}])
def test_an_empty_store_is_nothing_to_train_on_whatever_events_are_selected(tmp_path, adapter):
    with Store(url := f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
    with pytest.raises(NothingToTrainError, match="holds 0 interactions"):
        snapshot(url, tmp_path, **adapter)


@examples(100)
@given(corpora(min_sentences=1, min_length=2), st.integers(1, 3), st.data())
def test_the_expected_tokens_per_epoch_agree_with_the_trainer(lists, min_count, data):
    sentences = Sentences.of(lists)
    n = len(sentences.tokens)
    weights = data.draw(st.lists(st.sampled_from([0, 0.25, 1, 5, 1e6]), min_size=n, max_size=n))
    sentences = dataclasses.replace(sentences, weights=np.array(weights, np.float32))
    expected = jobs._tokens_per_epoch(sentences, min_count)
    try:
        corpus = prepare(sentences, TrainConfig(min_count=min_count))
    except NothingToTrainError:
        return
    (shard,) = corpus.shards
    assert expected == pytest.approx(len(shard.tokens) if shard.keep is None else shard.keep.sum())
    assert jobs._read_share(sentences, min_count) == pytest.approx(corpus.read_share)


def test_the_expected_tokens_of_many_shards_take_the_memory_of_one():
    """All weights are distinct: their number must not matter."""
    n_shards, n = 60, 20_000
    vocabulary, offsets = Vocabulary(tuple("abcdefgh")), np.arange(0, n + 1, 10)

    def shard(number):
        random = np.random.default_rng(number)
        weights = random.exponential(size=n).astype(np.float32)
        return Sentences(vocabulary, random.integers(0, 8, n), offsets, weights)

    corpus = SimpleNamespace(vocabulary=vocabulary, shards=LazyShards(n_shards, shard))
    tracemalloc.start()
    found = jobs._tokens_per_epoch(corpus, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * n_shards * n
    assert found == pytest.approx(jobs._tokens_per_epoch(joined(list(corpus.shards)), 1), rel=1e-12)


def test_tokens_of_weight_0_lower_the_read_share(tmp_path):
    listens = cut(made_listens(60), 1.0)
    weights = (np.arange(len(listens)) % 4 == 0).astype(np.float32)
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", dataclasses.replace(listens, weight=weights))
    worker = jobs.Jobs(changed(objective="skipgram", epochs=1))
    worker.snapshot(url, str(tmp_path / "snapshot"), NOW)
    assert worker.train(None)["read_share"] == pytest.approx(0.25)
    assert train(Sentences.of([["a", "b"]]), objective="skipgram", epochs=1, sample=0).read_share == 1.0
