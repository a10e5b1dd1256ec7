"""Similar users of ``recommend_all``: the cosines of all pairs, also after an interruption."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from commands import item2vec  # noqa: F401 - a fixture
from test_batch import contents, filled, histories, interactions, model  # noqa: F401 - filled is a fixture

from item2vec import Engine, ItemVectors, Recommender, Sentences, Vocabulary, publish, recommend_all
from item2vec.adapters import save_shards
from item2vec.batch import similar
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError

ARGUMENTS = {"k": 3, "block_users": 10, "similar_users": np.int64(4)}


def own():
    """Return the histories of users without a user vector, of equal users, and of others."""
    return {
        "unknown": ["x"],
        "nothing": [],
        "twin": ["i1", "i2"],
        **histories(30),
        "other twin": ["i1", "i2"],
    }


def files_of(folder):
    """Return the content of each file of recommendations and of similar users."""
    return contents(folder), contents(folder / "_similar_users")


def by_user(folder):
    frame = pd.read_parquet(folder / "_similar_users")
    assert list(frame.columns) == ["user", "rank", "similar_user", "score"]
    return {
        user: list(zip(rows["rank"], rows["similar_user"], rows["score"], strict=True))
        for user, rows in frame.groupby("user", sort=False)
    }


def expected(users, vectors, k):
    """Return the most similar users by the cosines of all pairs, rounded, so that equal users are ties."""
    known = [row for row in range(len(users)) if vectors[row].any()]
    units = vectors[known].astype(float)
    units /= np.sqrt((units * units).sum(axis=1, keepdims=True))
    found = {}
    for position, row in enumerate(known):
        cosines = (units * units[position]).sum(axis=1).round(6)
        others = [other for other in np.argsort(-cosines, kind="stable") if other != position][:k]
        found[users[row]] = [(users[known[other]], cosines[other]) for other in others]
    return found


@pytest.mark.parametrize("size", [10, np.int64(100)])
def test_similar_users_have_the_highest_cosines(tmp_path, monkeypatch, size):
    monkeypatch.setattr(similar, "USERS_AT_ONCE", 7)
    recommend_all(model(), own(), **ARGUMENTS | {"block_users": size}, out=tmp_path)
    found, wanted = by_user(tmp_path), expected(list(own()), model().tastes(own().values()), k=4)
    assert list(found) == list(wanted)
    assert {"unknown", "nothing"}.isdisjoint(found)
    assert found["twin"][0][1] == "other twin"
    for user, rows in found.items():
        ranks, others, scores = zip(*rows, strict=True)
        assert (ranks, others) == ((1, 2, 3, 4), tuple(other for other, _ in wanted[user]))
        np.testing.assert_allclose(scores, [cosine for _, cosine in wanted[user]], atol=2e-6)
    assert len(contents(tmp_path / "_similar_users")) == len(contents(tmp_path))


def test_a_cosine_above_1_by_rounding_is_1(tmp_path):
    """The users b and c are equal. Without clipping, c is nearer to b than a is, whose vector is parallel."""
    vectors = np.array([[-0.9011489, 0.43350962], [-0.9011489, 0.43350974]], np.float32)
    parallel = Recommender(ItemVectors(Vocabulary(("x", "y")), vectors, None, np.ones(2)))
    recommend_all(parallel, {"a": ["x"], "c": ["y"], "b": ["y"]}, similar_users=2, out=tmp_path)
    assert by_user(tmp_path)["b"] == [(1, "a", 1), (2, "c", 1)]


def test_recommendations_are_those_of_a_call_without_similar_users(tmp_path):
    recommend_all(model(), own(), **ARGUMENTS, out=tmp_path / "with")
    recommend_all(model(), own(), **ARGUMENTS | {"similar_users": None}, out=tmp_path / "without")
    names = {path.name for path in (tmp_path / "without").iterdir()}
    assert names == {"_LOCK", "_manifest.json", *contents(tmp_path / "without")}
    assert {path.name for path in (tmp_path / "with").iterdir()} == names | {"_similar_users"}
    assert contents(tmp_path / "with") == contents(tmp_path / "without")
    assert pd.read_parquet(tmp_path / "with").equals(pd.read_parquet(tmp_path / "without"))
    assert "similar_users" not in json.loads((tmp_path / "without" / "_manifest.json").read_text())


def test_files_of_similar_users_are_readable_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        recommend_all(model(), histories(5), k=1, similar_users=1, out=tmp_path)
    finally:
        os.umask(before)
    folder = tmp_path / "_similar_users"
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())] == [0o755, 0o644]


class KilledError(Exception):
    """Stands for SIGKILL."""


@pytest.mark.parametrize(
    ("owner", "name", "call", "n_resumed"),
    [
        (similar.SimilarUsers, "save", 3, 2),
        (similar.files, "replace_bytes", 5, 1),  # the first call writes the manifest
        (similar, "build_for_neighbours", 1, 4),
        (similar, "write_parquet", 3, 4),
        (similar.shutil, "rmtree", 1, 4),
    ],
)
def test_an_interrupted_call_is_resumed(tmp_path, monkeypatch, owner, name, call, n_resumed):
    """Whether user vectors are being saved, or compared, or removed."""
    recommend_all(model(), own(), **ARGUMENTS, out=tmp_path / "whole")
    real, calls = getattr(owner, name), []

    def killed(*arguments, **settings):
        calls.append(name)
        if len(calls) == call:
            raise KilledError
        return real(*arguments, **settings)

    folder = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KilledError):
            recommend_all(model(), own(), **ARGUMENTS, out=folder)
    assert list((folder / "_user_vectors").iterdir())
    for part in ("_user_vectors", "_similar_users"):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / ".part.0.tmp").write_bytes(b"half")
    done = recommend_all(model(), own(), **ARGUMENTS, out=folder)
    assert done.n_resumed == n_resumed
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert {path.name for path in folder.rglob("[._]*")} == {"_LOCK", "_manifest.json", "_similar_users"}


def test_a_removed_file_of_similar_users_is_written_again(tmp_path):
    recommend_all(model(), own(), **ARGUMENTS, out=tmp_path)
    before = files_of(tmp_path)
    (tmp_path / "_similar_users" / "part-00002.parquet").unlink()
    assert recommend_all(model(), own(), **ARGUMENTS, out=tmp_path).n_resumed == 4
    assert files_of(tmp_path) == before
    assert not (tmp_path / "_user_vectors").exists()


@pytest.mark.parametrize(("first", "second"), [(None, 4), (4, 5), (4, None)])
def test_another_number_of_similar_users_does_not_resume(tmp_path, first, second):
    recommend_all(model(), own(), **ARGUMENTS | {"similar_users": first}, out=tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(ConfigError, match="in which similar_users differed;"):
        recommend_all(model(), own(), **ARGUMENTS | {"similar_users": second}, out=tmp_path)
    assert files_of(tmp_path) == before


def test_similar_users_of_another_call_are_refused(tmp_path):
    """``rm recs/*`` leaves their folder."""
    recommend_all(model(), own(), **ARGUMENTS, out=tmp_path)
    for file in [*tmp_path.glob("part-*"), tmp_path / "_manifest.json"]:
        file.unlink()
    with pytest.raises(ConfigError, match="contains '_similar_users' and no _manifest"):
        recommend_all(model(seed=2), own(), **ARGUMENTS, out=tmp_path)


@pytest.mark.parametrize(("users", "n_blocks"), [({}, 0), ({"ann": ["x"]}, 1), ({"ann": ["i1"]}, 1)])
def test_users_without_others_have_no_similar_users(tmp_path, users, n_blocks):
    done = recommend_all(model(), users, **ARGUMENTS, out=tmp_path)
    assert done.n_blocks == n_blocks == len(contents(tmp_path / "_similar_users"))
    assert not n_blocks or by_user(tmp_path) == {}


def test_users_of_a_store_have_the_similar_users_of_the_engine(filled, tmp_path):  # noqa: F811
    """Their histories are shaped by the adapter settings of the model."""
    own_model = model(adapter=AdapterConfig(events=["view"], max_length=2))
    publish(own_model, tmp_path / "models")
    recommend_all(own_model, filled, k=5, out=tmp_path / "files", block_users=9, similar_users=3)
    found = by_user(tmp_path / "files")
    with Engine(models=tmp_path / "models", store=f"sqlite:///{tmp_path}/item2vec.db") as engine:
        for user, rows in found.items():
            wanted = engine.similar_users(user, k=3)
            assert [one for _, one, _ in rows] == [one.user for one in wanted]
            np.testing.assert_allclose(
                [score for *_, score in rows], [one.score for one in wanted], atol=1e-6
            )
        for user in set(interactions().users.ids) - set(found):
            with pytest.raises(InputError, match="has no taste"):
                engine.similar_users(user)


def test_users_of_a_corpus_have_the_similar_users_of_their_histories(tmp_path):
    save_shards(interactions(), AdapterConfig(), tmp_path / "corpus", shards=2)
    corpus = Sentences.open(tmp_path / "corpus")
    recommend_all(model(), corpus, k=3, out=tmp_path / "files", block_users=7, similar_users=3)
    users = [user for shard in corpus.users for user in shard]
    wanted = expected(users, model().tastes(corpus), k=3)
    found = by_user(tmp_path / "files")
    assert {user: [one for _, one, _ in rows] for user, rows in found.items()} == {
        user: [one for one, _ in rows] for user, rows in wanted.items()
    }
    assert len(contents(tmp_path / "files" / "_similar_users")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "files", "similar_users": 0}, "similar_users is 0; expected an integer of at least 1"),
        ({"similar_users": 2}, "got similar_users with to_store, .* expected similar_users with out"),
    ],
)
def test_arguments_that_give_no_similar_users_are_refused(filled, tmp_path, monkeypatch, arguments, message):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    target = {} if "out" in arguments else {"to_store": filled, "version": "g1"}
    with pytest.raises(ConfigError, match=message):
        recommend_all(model(), filled, **target, **arguments)
    assert not (tmp_path / "files").exists()


def test_the_command_writes_similar_users(item2vec, tmp_path, filled):  # noqa: F811
    publish(model(), tmp_path / "models")
    command = ("recommend", "--all", "-k", "3", "--similar-users", "2")
    code, out, _ = item2vec(*command, "--out", "recs", "--json")
    assert (code, json.loads(out)["similar_users"]) == (0, "recs/_similar_users")
    recommend_all(model(), filled, k=3, out=tmp_path / "files", similar_users=2)
    assert contents(tmp_path / "recs/_similar_users") == contents(tmp_path / "files/_similar_users")
    save_shards(interactions(), AdapterConfig(), tmp_path / "corpus", shards=2)
    assert item2vec(*command, "--corpus", "corpus", "--out", "others")[0] == 0
    assert len(by_user(tmp_path / "others")) > 2
    for words, message in (
        (
            [*command, "--to-store"],
            "got --similar-users together with --to-store; expected",
        ),
        (["recommend", "i1", "--similar-users", "2"], "got --similar-users without --all"),
        ([*command[:-1], "0", "--out", "x"], "--similar-users is 0; expected an integer of at least 1"),
    ):
        code, out, err = item2vec(*words)
        assert (code, out) == (2, "")
        assert message in err
