"""Sentences and recommendations computed by Spark executors equal those computed in this process."""

import os
import re
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sparks import ROOT, DiesOnce
from test_docs import OF_SPARK, blocks, shorten

import item2vec
from item2vec import (
    Interactions,
    Items,
    ItemVectors,
    Recommender,
    Vocabulary,
    publish,
    readers,
    recommend_all,
)
from item2vec.adapters import save_shards
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError, InvalidIdError, LockHeldError, NothingToTrainError
from item2vec.sharded import ShardedSentences
from item2vec.shards.locks import locked
from item2vec.spark import prepare, preparing, recommend

pytestmark = [pytest.mark.spark, pytest.mark.slow]

USERS = ["ann", "bob", "ümit", "\ufffd", "😀", *(f"u{number}" for number in range(35))]
ITEMS = ["\ufffd", "😀", "é", "z", *(f"i{number}" for number in range(20)), "rare"]
N_SHARDS = 5


def listens(seed=7, n=600):
    """Columns of events with equal timestamps, repeats, and items of equal counts."""
    random = np.random.default_rng(seed)
    users = random.choice(USERS, n)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return {
        "user": users.tolist(),
        "item": [*random.choice(ITEMS[:-1], n - 1), ITEMS[-1]],
        "timestamp": [start + timedelta(minutes=int(m)) for m in random.integers(0, 3_000, n)],
        "weight": random.integers(1, 9, n).astype(np.float32).tolist(),
        "event": ["gift", *random.choice(["play", "buy", "skip"], n - 1, p=[0.6, 0.3, 0.1])],  # in one shard
    }


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def in_order(spark, columns):
    """Return a DataFrame of two partitions, whose rows are in the order of the columns."""
    rows = pa.table(columns)
    half = len(rows) // 2
    return (
        spark.createDataFrame(rows.slice(0, half))
        .coalesce(1)
        .union(spark.createDataFrame(rows.slice(half)).coalesce(1))
    )


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_corpus(path, columns, adapter, n_shards=N_SHARDS):
    """Compare a corpus, the only file of its folder, with the one that ``save_shards`` writes."""
    assert names_in(path.parent) == [path.name]
    expected = path.with_name("expected")
    save_shards(Interactions.of(**columns), adapter, expected, shards=n_shards)
    assert contents(path) == contents(expected)


SETTINGS = {
    "every event": {},
    "filters": {
        "events": {"play": 1, "buy": 5, "gift": 2, "skip": -1},
        "min_item_count": 15,
        "min_user_count": 3,
        "min_length": 4,
        "max_length": 12,
        "collapse_repeats": True,
        "ordered": False,
    },
    "sessions of the last day": {"kind": "sessions", "gap": "2h", "days": 1},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_spark_writes_the_sentences_of_the_adapters(spark, tmp_path, name):
    columns, settings = listens(), SETTINGS[name]
    adapter = AdapterConfig(**settings)
    named = {"user": "user", "item": "item", "weight": "weight", "event": "event"}
    corpus = prepare(
        in_order(spark, columns), out=tmp_path / "corpus", shards=N_SHARDS, **named, adapter=adapter
    )
    check_corpus(tmp_path / "corpus", columns, adapter)
    assert isinstance(corpus, ShardedSentences)
    assert len(corpus.shards) == N_SHARDS


def test_ids_may_be_integers_and_timestamps_numbers(spark, tmp_path):
    """Without weights; more shards than users."""
    columns = {
        "user": [7, 7, 12],
        "item": [1, 2, 1],
        "timestamp": [1_700_000_002, 1_700_000_001, 1_700_000_000],
    }
    df = spark.createDataFrame(pa.table(columns))
    named = {"user": "user", "item": "item", "time_unit": "s"}
    corpus = prepare(df, out=tmp_path / "corpus", shards=9, **named)
    text = {name: list(map(str, columns[name])) for name in ("user", "item")}
    text["timestamp"] = [time * 1_000_000 for time in columns["timestamp"]]
    check_corpus(tmp_path / "corpus", text, AdapterConfig(), 9)
    assert corpus.columns == ("timestamps",)


def test_tasks_that_are_repeated_leave_the_same_corpus(spark, tmp_path, monkeypatch):
    map_batches = preparing.map_batches

    def dying(df, task):
        writes = type(task).__name__ in {"PartWriter", "VocabularyWriter", "ShardFinisher"}
        return map_batches(df, DiesOnce(task, tmp_path / f"died {type(task).__name__}") if writes else task)

    monkeypatch.setattr(preparing, "map_batches", dying)
    columns, adapter = listens(), AdapterConfig(min_item_count=2)
    named = {"user": "user", "item": "item", "timestamp": "timestamp"}
    path = tmp_path / "corpora" / "corpus"
    prepare(in_order(spark, columns), out=path, shards=2, **named, adapter=adapter)
    used = {name: columns[name] for name in ("user", "item", "timestamp")}
    check_corpus(path, used, adapter, 2)
    assert len(list(tmp_path.glob("died *"))) == 3


def test_the_files_of_a_killed_driver_are_removed_by_the_next_call(spark, tmp_path, monkeypatch):
    columns, named = listens(), {"user": "user", "item": "item", "weight": "weight", "event": "event"}
    df = in_order(spark, columns)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing._Preparation, "_finish", killed)
        patch.setattr(preparing.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            prepare(df, out=tmp_path / "corpus", shards=2, **named)
    assert len(names_in(tmp_path)) == 2
    prepare(df, out=tmp_path / "corpus", shards=2, **named)
    check_corpus(tmp_path / "corpus", columns, AdapterConfig(), 2)


def test_two_drivers_exclude_each_other(spark, tmp_path):
    (tmp_path / ".corpus.parts").mkdir()
    lock = locked(tmp_path / ".corpus.parts")
    df = spark.createDataFrame(pa.table({"user": ["u"], "item": ["a"]}))
    with pytest.raises(LockHeldError, match="another writer"):
        prepare(df, out=tmp_path / "corpus", user="user", item="item", timestamp=None)
    os.close(lock)
    assert names_in(tmp_path) == [".corpus.parts"]


def test_an_event_of_rare_items_is_known(spark, tmp_path):
    columns = listens()
    columns["item"][0] = "once"  # the only item with the event "gift"
    adapter = AdapterConfig(events=["play", "gift"], min_item_count=2)
    named = {"user": "user", "item": "item", "weight": "weight", "event": "event"}
    prepare(in_order(spark, columns), out=tmp_path / "corpus", shards=2, **named, adapter=adapter)
    check_corpus(tmp_path / "corpus", columns, adapter, 2)


BAD = {
    "no user": ({"user": [None, "u"]}, {}, InvalidIdError, "None; expected an id"),
    "an empty item": ({"item": ["a", ""]}, {"min_item_count": 2}, InvalidIdError, "''; expected an id"),
    "an unknown event": ({}, {"events": ["play", "plays"]}, InputError, "unknown event 'plays'"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_row_is_an_error_and_leaves_nothing(spark, tmp_path, name):
    changed, settings, kind, message = BAD[name]
    columns = {"user": ["u", "v"], "item": ["a", "b"], "timestamp": [1_700_000_000] * 2, "weight": [1.0, 1.0]}
    df = spark.createDataFrame(pa.table({**columns, "event": ["play"] * 2, **changed}))
    named = {"user": "user", "item": "item", "weight": "weight", "event": "event", "time_unit": "s"}
    with pytest.raises(kind, match=message) as caught:
        prepare(df, out=tmp_path / "corpus", shards=2, **named, adapter=AdapterConfig(**settings))
    assert "Traceback" not in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_dislike_that_does_not_occur_is_logged_as_by_the_adapters(spark, tmp_path, caplog):
    columns, adapter = listens(), AdapterConfig(events={"play": 1.0, "never": -1.0})
    named = {"user": "user", "item": "item", "weight": "weight", "event": "event"}
    prepare(in_order(spark, columns), out=tmp_path / "corpus", shards=2, **named, adapter=adapter)
    assert ["'never'" in message for message in caplog.messages] == [True]
    check_corpus(tmp_path / "corpus", columns, adapter, 2)


def test_no_events_are_nothing_to_train(spark, tmp_path):
    schema = pa.schema({"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.timestamp("us")})
    df = spark.createDataFrame(schema.empty_table())
    with pytest.raises(NothingToTrainError, match="the adapter settings select no interaction"):
        prepare(df, out=tmp_path / "corpus", shards=2, adapter=AdapterConfig(days=3))
    assert names_in(tmp_path) == []


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder: items in two genres, popularity as a fallback."""
    random = np.random.default_rng(3)
    vectors = ItemVectors(
        Vocabulary(tuple(ITEMS)), random.random((25, 6)), random.random((25, 6)), np.arange(25, 0, -1)
    )
    items = Items.of({item: {"genre": ["jazz", "soul"][len(item) % 2]} for item in ITEMS})
    model = Recommender(vectors, items=items, score="output", decay=0.8, adapter=AdapterConfig(max_length=9))
    folder = tmp_path_factory.mktemp("models") / "models"
    publish(model, folder)
    return folder, model


def sorted_rows(table):
    columns = ("user", "rank", "item", "score", "source")
    return sorted(zip(*(table[name].to_pylist() for name in columns), strict=True))


def test_spark_recommends_what_this_process_does(spark, tmp_path, models):
    folder, model = models
    columns = {name: values for name, values in listens().items() if name != "event"}
    columns["item"][:3] = ["unknown"] * 3
    rules = {"k": 4, "where": {"genre": "jazz"}, "deny": ["z"], "diversity": 0.2}
    recommend_all(model, Interactions.of(**columns), out=tmp_path, **rules)
    df = in_order(spark, columns)
    answers = recommend(df, model=folder, user="user", item="item", weight="weight", partitions=3, **rules)
    found = answers.toArrow()
    assert sorted_rows(found) == sorted_rows(pq.read_table(tmp_path / "part-00000.parquet"))
    assert answers.dtypes == [
        ("user", "string"),
        ("rank", "int"),
        ("item", "string"),
        ("score", "float"),
        ("source", "string"),
    ]
    order = list(zip(found["user"].to_pylist(), found["rank"].to_pylist(), strict=True))
    assert len(set(order)) == len(order)


def test_histories_may_be_arrays(spark, models):
    folder, model = models
    histories = {"ann": ["z", "é", "i3"], "bob": [], "cem": None, "dia": ["i1"]}
    schema = pa.schema([("user_id", pa.string()), ("items", pa.list_(pa.string()))])
    df = spark.createDataFrame(
        pa.table({"user_id": list(histories), "items": list(histories.values())}, schema=schema)
    )
    answers = recommend(df, model=folder, item="items", timestamp=None, k=2).toArrow()
    expected = [
        (user, rank, each.item, np.float32(each.score), each.source)
        for user, history in histories.items()
        for rank, each in enumerate(model.recommend(history or [], k=2), start=1)
    ]
    assert sorted_rows(answers) == expected
    times = pa.table(
        {"user": ["ann"], "item": [["z", "é", "i3"]], "at": [[3, 1, 2]], "weight": [[1.0, 0.5, 2.0]]}
    )
    named = {"user": "user", "timestamp": "at", "weight": "weight", "time_unit": "s"}
    answers = recommend(spark.createDataFrame(times), model=folder, item="item", k=3, **named).toArrow()
    alone = model.recommend(["é", "i3", "z"], weights=[0.5, 2.0, 1.0], k=3)
    assert answers["score"].to_pylist() == [np.float32(each.score) for each in alone]


def test_the_examples_of_the_documentation_run(spark, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    shorten(tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block, _ in blocks(OF_SPARK, "python"):
        # Java has another working folder
        absolute = re.sub(r'(?<=\(")(?=sample_data/|recommendations")', f"{tmp_path}/", block)
        exec(absolute, names)
    listens = readers.read_interactions("sample_data/listens.csv.gz")
    recommend_all(item2vec.load("models"), listens, k=10, out="here")
    assert sorted_rows(pq.read_table("here")) == sorted_rows(pq.read_table("recommendations"))
    assert names["answers"].count() == pq.read_table("here").num_rows


WRONG = {
    "a column that does not exist": (
        {"item": "song"},
        InputError,
        "no column 'song'; found user, item, at; name",
    ),
    "no time column": ({"timestamp": "timestamp"}, InputError, "or pass timestamp=None"),
    "numbers without a unit": (
        {},
        InputError,
        "of type bigint; expected the unit of the numbers",
    ),
    "an unknown unit": ({"time_unit": "h"}, ConfigError, "time_unit is 'h'"),
    "a unit of text": (
        {"timestamp": "item", "time_unit": "s"},
        InputError,
        "of type string; expected timestamps",
    ),
    "numbers as events": ({"time_unit": "s", "event": "weight"}, InputError, "no column 'weight'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_columns_are_checked_before_a_job_starts(spark, tmp_path, models, name):
    changed, kind, message = WRONG[name]
    df = spark.createDataFrame(pa.table({"user": ["u"], "item": ["a"], "at": [1]}))
    arguments = {"user": "user", "item": "item", "timestamp": "at", **changed}
    for call in (
        lambda: prepare(df, out=tmp_path / "corpus", **arguments),
        lambda: recommend(df, model=models[0], **arguments),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert message in str(caught.value)
    assert names_in(tmp_path) == []
