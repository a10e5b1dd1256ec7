"""Recommendations of all users: every user once, equal to ``recommend``, also after SIGKILL."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from commands import item2vec  # noqa: F401 - a fixture
from disks import fill_at

from item2vec import (
    Engine,
    Interactions,
    Items,
    ItemVectors,
    Recommender,
    Sentences,
    publish,
    recommend_all,
)
from item2vec.adapters import save_shards
from item2vec.batch.users import Listed, Stored, _canonical
from item2vec.config import AdapterConfig
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    InputError,
    InputTypeError,
    LockHeldError,
    WriteError,
)
from item2vec.sharded import ShardWriter
from item2vec.store import Store
from item2vec.store.recommendations import users_of
from item2vec.store.tables import item, recommendation, user_account
from item2vec.versions.locks import locked

N_ITEMS = 30
KILLS = 2
WORKER = """
import sys, time
from test_batch import histories, model
from item2vec import batch
def slowly(*arguments, write=batch.write_parquet):
    time.sleep(0.02)
    write(*arguments)
batch.write_parquet = slowly
batch.recommend_all(model(), histories(), k=5, out=sys.argv[1], block_users=10, where={"even": [True, False]})
"""


def model(seed=1, **settings):
    random = np.random.default_rng(seed)
    items = Items.of({f"i{row}": {"even": row % 2 == 0} for row in range(N_ITEMS)})
    vectors = ItemVectors(items.vocabulary, random.normal(size=(N_ITEMS, 8)), None, np.ones(N_ITEMS))
    return Recommender(vectors, decay=0.8, items=items, **settings)


def histories(n=300):
    random = np.random.default_rng(2)
    return {
        f"user {number}": [f"i{row}" for row in random.integers(N_ITEMS + 5, size=random.integers(0, 6))]
        for number in range(n)
    }


def interactions(n=40):
    pairs = [(user, item) for user, own in histories(n).items() for item in own]
    return Interactions.of(
        user=[user for user, _ in pairs],
        item=[item for _, item in pairs],
        timestamp=list(range(len(pairs))),
        event=["view" if number % 3 else "buy" for number in range(len(pairs))],
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("part-*")}


def as_lists(frame):
    return {
        user: list(zip(own["item"], own["score"], own["source"], strict=True))
        for user, own in frame.groupby("user", sort=False)
    }


def expected(entries):
    return [(entry.item, np.float32(entry.score), entry.source) for entry in entries]


def test_files_hold_what_recommend_returns(tmp_path):
    own = histories(45)
    done = recommend_all(model(), own, k=5, out=tmp_path, block_users=10, deny=["i3"])
    assert len(contents(tmp_path)) == done.n_blocks == 5
    assert (done.n_users, done.n_resumed) == (45, 0)
    frame = pd.read_parquet(tmp_path)
    assert list(frame.columns) == ["user", "rank", "item", "score", "source"]
    assert len(frame) == done.n_rows
    found = as_lists(frame)
    assert list(found) == list(own)
    for user, history in own.items():
        assert found[user] == expected(model().recommend(history, k=5, deny=["i3"]))
    assert (frame.groupby("user")["rank"].apply(list).map(len) == 5).all()
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5] * 45


def test_blocks_do_not_change_the_rows(tmp_path):
    frames = []
    for size in (1, 7, 1000):
        recommend_all(model(), histories(25), k=4, out=tmp_path / str(size), block_users=size)
        frames.append(pd.read_parquet(tmp_path / str(size)))
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


@pytest.mark.parametrize("seen_events", [None, ["buy"]])
def test_interactions_are_read_by_the_adapter_of_the_model(tmp_path, seen_events):
    adapter = AdapterConfig(events=["view"], seen_events=seen_events)
    recommend_all(model(adapter=adapter), interactions(), k=5, out=tmp_path / "files")
    url = f"sqlite:///{tmp_path}/item2vec.db"
    with Store(url) as store:
        store.upgrade()
        store.ingest(interactions())
    publish(model(adapter=adapter), tmp_path / "models")
    found = as_lists(pd.read_parquet(tmp_path / "files"))
    with Engine(models=tmp_path / "models", store=url) as engine:
        for user in interactions().users.ids:
            assert found[user] == expected(engine.recommend(user, k=5))


def test_sentences_take_user_ids(tmp_path):
    sentences = Sentences.of([["i1"], ["i2", "i3"]])
    recommend_all(model(), sentences, k=2, out=tmp_path / "a", users=["ann", "bob"])
    recommend_all(model(), sentences, k=2, out=tmp_path / "b")
    assert pd.read_parquet(tmp_path / "a")["user"].tolist() == ["ann", "ann", "bob", "bob"]
    assert pd.read_parquet(tmp_path / "b")["user"].tolist() == ["0", "0", "1", "1"]
    for users in (["ann"], ["ann", "ann"]):
        with pytest.raises(InputError, match="1 of them distinct, for 2 histories"):
            recommend_all(model(), sentences, out=tmp_path / "c", users=users)


@pytest.mark.parametrize("bad", [7, None, "", "a\0b", "\ud800", "x" * 600])
def test_ids_of_users_are_checked_before_a_folder_is_made(tmp_path, bad):
    sentences = Sentences.of([["i1"], ["i2"]])
    with pytest.raises(InputError, match="id at position 1 "):
        recommend_all(model(), sentences, out=tmp_path / "files", users=["ann", bad])
    with pytest.raises(InputError, match="id at position 1 "):
        recommend_all(model(), {"ann": ["i1"], bad: ["i2"]}, out=tmp_path / "files")
    assert not (tmp_path / "files").exists()


def saved_corpus(folder, adapter=None):
    """Write the interactions of 40 users as a corpus of 64 shards, some of which are empty."""
    known = interactions()
    listens = dataclasses.replace(known, timestamp=known.timestamp**2 * 50_000)  # the pauses become longer
    save_shards(listens, adapter or AdapterConfig(), folder / "corpus", shards=64)
    return Sentences.open(folder / "corpus")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["histories", "sessions"])
def test_a_corpus_has_a_file_per_shard(tmp_path, kind):
    """Also of sessions: the sentences of a user are one history."""
    corpus = saved_corpus(tmp_path, AdapterConfig(kind=kind, gap="1s"))
    whole = {user: [] for user in interactions().users.ids}
    for shard, users in zip(corpus.shards, corpus.users, strict=True):
        for sentence, user in zip(shard, users, strict=True):
            whole[user] += sentence
    done = recommend_all(model(), corpus, k=5, out=tmp_path / "files", block_users=1)
    recommend_all(model(), whole, k=5, out=tmp_path / "whole")
    assert as_lists(pd.read_parquet(tmp_path / "files")) == as_lists(pd.read_parquet(tmp_path / "whole"))
    assert done.n_blocks == len(contents(tmp_path / "files")) == 64
    assert done.n_users == len(whole)
    assert (len(corpus) > len(whole)) == (kind == "sessions")
    for shard, file in zip(corpus.users, sorted((tmp_path / "files").glob("part-*")), strict=True):
        assert list(dict.fromkeys(pd.read_parquet(file)["user"])) == list(dict.fromkeys(shard))
    before = contents(tmp_path / "files")
    (tmp_path / "files" / "part-00007.parquet").unlink()
    assert recommend_all(model(), corpus, k=5, out=tmp_path / "files", block_users=1).n_resumed == 63
    assert contents(tmp_path / "files") == before


def test_the_recommendations_of_a_shard_are_written_block_by_block(tmp_path, monkeypatch):
    """Only those of ``block_users`` users are in memory."""
    save_shards(interactions(300), AdapterConfig(), tmp_path / "corpus", shards=1)
    answers, written = Listed.answers, []

    def measured(*arguments):
        written.append(sum(file.stat().st_size for file in (tmp_path / "files").glob(".part-*.tmp")))
        return answers(*arguments)

    monkeypatch.setattr(Listed, "answers", measured)
    done = recommend_all(
        model(), Sentences.open(tmp_path / "corpus"), k=5, out=tmp_path / "files", block_users=1
    )
    assert (done.n_blocks, len(written)) == (1, done.n_users)
    assert written == sorted(written)
    assert written[-1] > (tmp_path / "files" / "part-00000.parquet").stat().st_size / 2


def test_a_full_disk_leaves_no_part_of_the_manifest(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fill_at(patch, "_manifest.json")
        with pytest.raises(WriteError, match="could not be written: No space left"):
            recommend_all(model(), histories(5), out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["_LOCK"]
    assert recommend_all(model(), histories(5), out=tmp_path).n_users == 5


def test_files_are_readable_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        recommend_all(model(), histories(5), out=tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "part-00000.parquet").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("settings", [{}, {"max_length": 3, "collapse_repeats": True}])
def test_a_history_of_a_corpus_of_sessions_is_that_of_the_interactions(tmp_path, settings):
    """Sessions that overlap are merged by time; items beyond ``max_length`` still count as seen."""
    known = interactions()
    visits = Interactions.of(
        user=known.users.decode(known.user),
        item=[f"i{number % 7 // 2}" if number % 3 else f"i{number % 29}" for number in range(len(known))],
        timestamp=known.timestamp[::-1].copy(),
        session=[f"tab {number % 2}" for number in range(len(known))],
    )
    save_shards(visits, AdapterConfig(kind="sessions"), tmp_path / "corpus", shards=3)
    corpus, own = Sentences.open(tmp_path / "corpus"), model(adapter=AdapterConfig(**settings))
    recommend_all(own, corpus, k=9, out=tmp_path / "corpus answers")
    recommend_all(own, visits, k=9, out=tmp_path / "answers")
    found, wanted = (as_lists(pd.read_parquet(tmp_path / name)) for name in ("corpus answers", "answers"))
    assert found == wanted


def test_a_corpus_without_users_has_no_answers(tmp_path):
    Sentences.of([["i1", "i2"]]).save(tmp_path / "corpus", shards=1)
    with pytest.raises(InputError, match="has no user ids; expected a corpus that prepare"):
        recommend_all(model(), Sentences.open(tmp_path / "corpus"), out=tmp_path / "files")


@pytest.mark.parametrize("users", [["ann"], [None, "bob"], [1, 2], ["\ud800", "bob"]])
def test_users_of_a_shard_are_one_id_per_sentence(tmp_path, users):
    with ShardWriter(tmp_path / "corpus", ["a"], [2]) as writer, pytest.raises(InputError, match="users"):
        writer.write(0, np.zeros(2), np.array([0, 1, 2]), users=users)


def test_damaged_users_are_named(tmp_path):
    corpus = saved_corpus(tmp_path)
    file = tmp_path / "corpus" / "00003" / "users.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    assert len(corpus.users[2]) == len(corpus.shards[2])
    with pytest.raises(CorruptBundleError, match=re.escape(f"{file} does not have the SHA-256")):
        corpus.users[3]


def test_the_command_answers_the_users_of_a_corpus(tmp_path, item2vec):  # noqa: F811
    corpus = saved_corpus(tmp_path)
    publish(model(), tmp_path / "models")
    places = ("--models", str(tmp_path / "models"), "--corpus", str(tmp_path / "corpus"))
    code, out, _ = item2vec("recommend", "--all", "-k", "5", *places, "--out", str(tmp_path / "a"), "--json")
    assert code == 0
    assert json.loads(out)["n_blocks"] == 64
    recommend_all(model(), corpus, k=5, out=tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert item2vec("recommend", "--all", *places, "--to-store")[0] == 2
    assert item2vec("recommend", "i1", *places)[0] == 2


def test_the_command_without_attributes_gives_advice_that_it_accepts(tmp_path, item2vec):  # noqa: F811
    saved_corpus(tmp_path)
    publish(Recommender(model().vectors), tmp_path / "models")
    places = ("--models", str(tmp_path / "models"), "--corpus", str(tmp_path / "corpus"))
    code, _, err = item2vec("recommend", "--all", *places, "--out", "a", "--at-most", "artist=1")
    assert code == 2
    assert err.endswith("the model has none; train the model with --items FILE\n")


@pytest.mark.slow
def test_a_killed_run_resumes_with_every_user_once(tmp_path):
    """The process is killed with SIGKILL while it writes, and continues where it was."""
    arguments = {"k": 5, "block_users": 10, "where": {"even": [False, True]}}
    recommend_all(model(), histories(), out=tmp_path / "whole", **arguments)
    folder = tmp_path / "killed"
    finished = [0]
    for kill in range(KILLS):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))},
        )
        while worker.poll() is None and len(contents(folder)) <= finished[-1] + 3 * (kill > 0):
            time.sleep(0.005)
        worker.send_signal(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        finished.append(len(contents(folder)))
    (folder / ".part-00029.parquet.0.tmp").write_bytes(b"half")
    done = recommend_all(model(), histories(), out=folder, **arguments)
    assert 0 < done.n_resumed == finished[-1] < done.n_blocks == 30
    assert contents(folder) == contents(tmp_path / "whole")
    assert not list(folder.glob(".*.tmp"))
    frame = pd.read_parquet(folder)
    assert frame["user"].drop_duplicates().tolist() == list(histories())
    assert len(frame) == done.n_rows == 5 * 300
    again = recommend_all(model(), histories(), out=folder, **arguments)
    assert (again.n_resumed, again.n_rows) == (30, done.n_rows)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": 4}, "k"),
        ({"deny": ["i1"]}, "rules"),
        ({"filter_seen": False}, "filter_seen"),
        ({"version": "g2"}, "version"),
        ({"block_users": 3}, "block_users"),
    ],
)
def test_another_request_does_not_resume(tmp_path, change, named):
    recommend_all(model(), histories(5), k=5, out=tmp_path, block_users=2)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=f"in which {named} differed;"):
        recommend_all(model(), histories(5), **{"k": 5, "out": tmp_path, "block_users": 2} | change)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("size", [0, -1])
def test_blocks_without_users_are_refused(tmp_path, size):
    with pytest.raises(ConfigError, match=f"block_users is {size}; expected an integer of at least 1"):
        recommend_all(model(), histories(5), k=5, out=tmp_path / "files", block_users=size)
    assert not (tmp_path / "files").exists()


def test_another_model_or_other_histories_do_not_resume(tmp_path):
    recommend_all(model(), histories(5), out=tmp_path)
    with pytest.raises(ConfigError, match="in which model differed;"):
        recommend_all(model(seed=9), histories(5), out=tmp_path)
    with pytest.raises(ConfigError, match="in which histories differed;"):
        recommend_all(model(), histories(6), out=tmp_path)


@pytest.mark.parametrize("about", [{"attributes": {"even": False}}, {"title": "Another"}])
def test_other_items_of_the_model_do_not_resume(tmp_path, about):
    """Rules and ``group_by`` read titles and attributes."""
    own = model()
    recommend_all(own, histories(5), out=tmp_path, where={"even": True})
    rows = {id_: dict(own.items.about(id_)) for id_ in own.items.vocabulary.ids}
    rows["i0"] |= {"title": about.get("title")} | about.get("attributes", {})
    other = Recommender(own.vectors, decay=0.8, items=Items.of(rows))
    with pytest.raises(ConfigError, match="in which model differed;"):
        recommend_all(other, histories(5), out=tmp_path, where={"even": True})
    without = Recommender(own.vectors, decay=0.8)
    with pytest.raises(ConfigError, match="in which model and rules differed;"):
        recommend_all(without, histories(5), out=tmp_path)


def test_a_folder_of_an_earlier_version_is_refused(tmp_path):
    recommend_all(model(), histories(5), out=tmp_path)
    manifest = tmp_path / "_manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    with pytest.raises(ConfigError, match="has format 1, of another version of item2vec; expected format 2"):
        recommend_all(model(), histories(5), out=tmp_path)


@pytest.mark.parametrize("text", ["[]", "1", "{}", '{"histories": 3}'])
def test_a_manifest_of_another_shape_is_an_error(tmp_path, text):
    recommend_all(model(), histories(5), out=tmp_path)
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(CorruptBundleError, match=r"_manifest.json is .*; expected a JSON object"):
        recommend_all(model(), histories(5), out=tmp_path)


def test_a_call_whose_rules_do_not_suit_the_model_leaves_the_folder_empty(tmp_path):
    with pytest.raises(InputError):
        recommend_all(model(), histories(5), out=tmp_path, where={"gener": "jazz"})
    assert recommend_all(model(), histories(5), out=tmp_path).n_users == 5


def test_a_folder_of_other_files_and_a_damaged_file_are_errors(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        recommend_all(model(), histories(5), out=tmp_path)
    (tmp_path / "notes.txt").unlink()
    recommend_all(model(), histories(5), out=tmp_path)
    (tmp_path / "part-00000.parquet").write_bytes(b"no")
    with pytest.raises(CorruptBundleError, match="remove it"):
        recommend_all(model(), histories(5), out=tmp_path)


def test_a_second_process_does_not_write_to_the_folder(tmp_path):
    with locked(tmp_path, name="_LOCK"), pytest.raises(LockHeldError):
        recommend_all(model(), histories(5), out=tmp_path)


def test_an_error_of_the_given_histories_is_not_an_error_of_the_folder(tmp_path):
    def history():
        yield "i1"
        raise ConnectionError("the connection was lost")

    with pytest.raises(ConnectionError, match="the connection was lost"):
        recommend_all(model(), {"ann": history()}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [{}, {"out": "x", "to_store": Store("sqlite:///y.db")}])
def test_one_target_is_required(place):
    with pytest.raises(ConfigError, match="out and to_store; expected one"):
        recommend_all(model(), histories(5), **place)


@pytest.mark.parametrize("rules", [{"exclude": [["i1"], []]}, {"disliked": [["i1"], []]}])
def test_lists_per_user_are_refused(tmp_path, rules):
    with pytest.raises(InputError, match="a list of ids per user; expected one list of ids for all users"):
        recommend_all(model(), histories(5), out=tmp_path, **rules)


@pytest.mark.parametrize("disliked", [[7], ["i1", 7], [None], [b"i1"]])
def test_a_disliked_id_that_is_not_text_is_named(tmp_path, disliked):
    """Also in ``recommend_many``: the id is no list of disliked items of one history."""
    message = re.escape(f"id at position {len(disliked) - 1} is {disliked[-1]!r}, of type")
    with pytest.raises(InputTypeError, match=message):
        recommend_all(model(), histories(5), out=tmp_path / "files", disliked=disliked)
    assert not (tmp_path / "files").exists()
    with pytest.raises(InputTypeError, match=message):
        model().recommend_many([["i1"], ["i2"]], disliked=disliked)


@pytest.mark.parametrize("rules", [{}, {"deny": ["i2"]}, {"filter_seen": False}])
def test_exclude_holds_ids_for_all_users(tmp_path, rules):
    given = {"i2": ["i1"], "other": ["i1", "i3"]}
    recommend_all(model(), given, k=9, out=tmp_path / "files", exclude=iter(["i1", "i4"]), **rules)
    found = pd.read_parquet(tmp_path / "files").groupby("user")["item"].agg(list).to_dict()
    assert found == {
        user: [one.item for one in model().recommend(history, k=9, exclude=["i1", "i4"], **rules)]
        for user, history in given.items()
    }


def test_an_iterator_of_ids_applies_to_every_block(tmp_path):
    recommend_all(model(), histories(9), k=9, out=tmp_path, block_users=2, deny=iter(["i1", "i2"]))
    assert not set(pd.read_parquet(tmp_path)["item"]) & {"i1", "i2"}


def test_the_text_of_rules_does_not_depend_on_the_hash_seed():
    """The order of a set differs between processes."""
    letters = "abcdefghij"
    assert _canonical((frozenset(letters), "x")) == f"(({', '.join(map(repr, letters))}), 'x')"


@pytest.fixture
def filled(tmp_path):
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest(interactions())
        store.deactivate_items(["i1"])
        yield store


def stored(store, version="g1"):
    """The table of a version as (user, rank, item, score)."""
    joined = recommendation.join(user_account).join(item)
    select = (
        sa.select(
            user_account.c.external_id, recommendation.c.rank, item.c.external_id, recommendation.c.score
        )
        .select_from(joined)
        .where(recommendation.c.version == version)
        .order_by(user_account.c.id, recommendation.c.rank)
    )
    return store._data("read", lambda connection: [tuple(row) for row in connection.execute(select)])


def test_the_table_of_a_store_is_filled_once_per_version(filled):
    arguments = {"k": 5, "to_store": filled, "block_users": 7}
    done = recommend_all(model(), filled, version="g1", **arguments)
    rows = stored(filled)
    assert len(rows) == done.n_rows == 5 * done.n_users
    again = recommend_all(model(), filled, version="g1", **arguments)
    assert (again.n_rows, again.n_resumed) == (0, again.n_blocks)
    recommend_all(model(seed=5), filled, version="g2", **arguments)
    assert stored(filled) == rows
    assert "i1" not in {row[2] for row in rows}
    user = rows[0][0]
    filled._data(
        "write",
        lambda connection: connection.execute(
            sa.delete(recommendation).where(recommendation.c.version == "g1", recommendation.c.rank > 0)
        ),
    )
    filled.forget_user(user)
    assert recommend_all(model(), filled, version="g1", **arguments).n_users == done.n_users - 1
    assert stored(filled) == [row for row in rows if row[0] != user]


def test_rows_of_a_larger_k_are_refused_and_kept_rows_are_logged(filled, caplog):
    caplog.set_level("INFO", "item2vec")
    arguments = {"to_store": filled, "version": "g1", "block_users": 7}
    recommend_all(model(), filled, k=5, **arguments)
    assert "to replace" not in caplog.text
    rows = stored(filled)
    removal = "first delete the rows with version = 'g1' from the table recommendation"
    with pytest.raises(ConfigError, match=f"^k is 4, and .* up to 5 items per user; .*, or {removal}"):
        recommend_all(model(), filled, k=4, **arguments)
    assert recommend_all(model(), filled, k=6, **arguments).n_rows == 0
    assert "users who had recommendations of version g1 keep them" in caplog.text
    assert removal in caplog.text
    assert stored(filled) == rows


@pytest.mark.parametrize("k", [10_001, 10**9])
def test_k_of_arrays_is_bounded(tmp_path, k):
    message = f"k is {k:,}, and the model has 30 items; expected at most 10,000 for arrays"
    with pytest.raises(InputError, match=message):
        model().recommend_many([["i1"]], k=k, as_arrays=True)
    with pytest.raises(InputError, match=message):
        recommend_all(model(), histories(5), k=k, out=tmp_path / "files")
    assert model().recommend_many([["i1"]], k=10_000, as_arrays=True).items.shape == (1, 10_000)
    assert len(model().recommend_many([["i1"]], k=k)[0]) == N_ITEMS - 1


def test_blocks_without_users_are_not_resumed(filled):
    """Row numbers have gaps where users were deleted."""
    for user in users_of(filled, (8, 14)):
        filled.forget_user(user)
    arguments = {"k": 5, "to_store": filled, "version": "g1", "block_users": 7}
    first = recommend_all(model(), filled, **arguments)
    assert (first.n_blocks, first.n_resumed) == (5, 0)
    assert recommend_all(model(), filled, **arguments).n_resumed == 4


def test_users_are_for_sentences_only(filled, tmp_path):
    for target in ({"out": tmp_path / "files"}, {"to_store": filled, "version": "g1"}):
        with pytest.raises(InputError, match="users is given with histories of type Store"):
            recommend_all(model(), filled, users=["user 1"], **target)
    assert not (tmp_path / "files").exists()
    assert stored(filled) == []


def test_a_call_that_began_without_users_is_resumed(tmp_path):
    """Users who arrive after the first call are left out, as in any other store."""
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        for _ in range(2):
            done = recommend_all(model(), store, k=5, out=tmp_path / "files")
            assert (done.n_users, done.n_blocks) == (0, 0)
            store.ingest(interactions())


def test_files_and_table_of_a_store_agree_with_the_engine(filled, tmp_path):
    publish(model(), tmp_path / "models")
    recommend_all(model(), filled, k=5, out=tmp_path / "files", block_users=9)
    recommend_all(model(), filled, k=5, to_store=filled, version="g1", block_users=9)
    frame = pd.read_parquet(tmp_path / "files")
    own = zip(frame["user"], frame["rank"], frame["item"], map(float, frame["score"]), strict=True)
    assert sorted(own) == sorted(stored(filled))
    found = as_lists(frame)
    with Engine(models=tmp_path / "models", store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        for user in found:
            assert found[user] == expected(engine.recommend(user, k=5))
        answers = engine.recommend_many(list(found), k=5, as_arrays=True)
    assert answers.to_frame()["user"].tolist() == frame["user"].tolist()


def test_new_items_of_a_store_are_recommended_and_a_run_is_resumed_after_they_change(
    item2vec,  # noqa: F811
    tmp_path,
    filled,
):
    publish(model(), tmp_path / "models")
    filled.ingest_items(Items.of({"new 1": {"even": True}}))
    command = ("recommend", "--all", "--out", "recs", "-k", "40")
    assert item2vec(*command)[0] == 0
    filled.ingest_items(Items.of({"new 2": {"even": True}, "i2": {"even": False}}))
    (tmp_path / "recs" / "part-00000.parquet").unlink()
    assert item2vec(*command)[0] == 0
    recommend_all(model(), filled, k=40, out=tmp_path / "files")
    found = as_lists(pd.read_parquet(tmp_path / "recs"))
    assert as_lists(pd.read_parquet(tmp_path / "files")) == found
    with Engine(models=tmp_path / "models", store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        for user, answer in found.items():
            assert answer == expected(engine.recommend(user, k=40))
            assert {"new 1", "new 2"} <= {item for item, _, _ in answer}


def test_users_who_arrive_during_a_run_are_left_out(filled, tmp_path):
    recommend_all(model(), filled, k=5, out=tmp_path / "files", block_users=9)
    n_users = len(interactions().users)
    (tmp_path / "files" / "part-00002.parquet").unlink()
    filled.ingest(Interactions.of(user=["late"], item=["i2"], timestamp=[1], event=["view"]))
    done = recommend_all(model(), filled, k=5, out=tmp_path / "files", block_users=9)
    assert (done.n_users, done.n_resumed) == (n_users, done.n_blocks - 1)
    assert "late" not in set(pd.read_parquet(tmp_path / "files")["user"])


def test_users_who_arrive_while_the_table_is_filled_are_left_out(filled, monkeypatch):
    late = Interactions.of(user=["late"], item=["i2"], timestamp=[1], event=["view"])
    answers_of = Stored.answers_of

    def answers_while_a_user_arrives(*arguments):
        filled.ingest(late)
        return answers_of(*arguments)

    monkeypatch.setattr(Stored, "answers_of", answers_while_a_user_arrives)
    done = recommend_all(model(), filled, k=5, to_store=filled, version="g1", block_users=9)
    assert done.n_blocks * 9 > done.n_users, "the last block has free row numbers"
    assert len({row[0] for row in stored(filled)}) == done.n_users == len(interactions().users)


def test_the_command_writes_files_and_the_table(item2vec, tmp_path, filled):  # noqa: F811
    publish(model(), tmp_path / "models")
    code, out, _ = item2vec(
        "recommend", "--all", "--out", "recs", "-k", "3", "--where", "even=true", "--json"
    )
    summary = json.loads(out)
    assert code == 0
    assert summary["n_users"] == len(set(pd.read_parquet(tmp_path / "recs")["user"]))
    assert summary["n_rows"] == 3 * summary["n_users"]
    assert item2vec("recommend", "--all", "--out", "recs", "-k", "4")[0] == 2
    code, out, _ = item2vec("recommend", "--all", "--to-store", "-k", "3", "--json")
    assert (code, json.loads(out)["n_rows"]) == (0, len(stored(filled, summary["version"])))
    assert json.loads(out)["store"] == "sqlite:///item2vec.db"
    code, out, err = item2vec("recommend", "--all", "--to-store", "-k", "2")
    assert (code, out) == (2, "")
    assert "--k is 2, and the store has recommendations" in err
    for wrong, message in (
        (["--all"], "got neither --out nor --to-store; expected one of them"),
        (["--out", "x"], "got --out without --all; add --all, or omit --out"),
        (["--all", "--user", "u", "--out", "x"], "got --all together with --user or item ids; expected one"),
    ):
        code, _, err = item2vec("recommend", *wrong)
        assert code == 2
        assert message in err


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (["--log"], "--log"),
        (["--exclude-shown", "7d"], "--exclude-shown"),
        (["--items", "titles.csv"], "--items"),
        (["--items", "titles.csv", "--log"], "--log and --items"),
    ],
)
def test_options_of_one_user_are_refused_for_all_users(item2vec, options, flags):  # noqa: F811
    code, out, err = item2vec("recommend", "--all", "--out", "recs", *options)
    assert (code, out) == (2, "")
    assert f"got {flags} with --all; omit {flags}, or" in err
