"""The command line: results on stdout, one line on stderr per error, and exit codes."""

import importlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from item2vec import Engine, Interactions, Items, Recommender, Sentences, load, publish, train
from item2vec.store import Store
from item2vec.versions import served_version

PLAYLISTS = [["a", "b", "c"], ["b", "c", "d"], ["c", "d", "a"], ["d", "a", "b"]] * 5


@pytest.fixture(scope="module")
def published_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "models"
    publish(Recommender(train(Sentences.of(PLAYLISTS), vector_size=4, workers=1)), folder)
    return folder


@pytest.fixture
def published(published_once, tmp_path):
    """Return the served version of a models folder in the current folder."""
    return served_version(shutil.copytree(published_once, tmp_path / "models"))


def test_playlists_to_similar_items(item2vec, tmp_path):
    (tmp_path / "lists.txt").write_text("head\n" + "".join(f"u {' '.join(one)}\n" for one in PLAYLISTS))
    (tmp_path / "songs.txt").write_text("a\tFirst\tSomebody\nb\tSecond\tElse\n")
    words = "train --playlists lists.txt --skip-lines 1 --skip-fields 1 --items songs.txt --epochs 2 --json"
    code, out, _ = item2vec(*words.split())
    assert (code, json.loads(out)["items"], json.loads(out)["tokens"]) == (0, 4, 60)
    code, out, _ = item2vec("similar", "c", "-k", "3", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert {row["item"]: row["title"] for row in rows} == {"a": "First", "b": "Second", "d": "d"}
    assert next(row for row in rows if row["item"] == "a")["artist"] == "Somebody"
    code, out, _ = item2vec("similar", "c")
    assert out.splitlines()[0].split() == ["rank", "item", "title", "artist", "score"]
    assert item2vec("export", "vectors.txt")[0] == 0
    assert (tmp_path / "vectors.txt").read_text().splitlines()[0] == "4 384"


def test_titles_are_printed_only_if_an_item_has_one(item2vec, published, tmp_path):
    def columns(*words):
        code, out, _ = item2vec(*words)
        assert code == 0
        return {*out.splitlines()[0].split()}

    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest(Interactions.of(user=["u"], item=["a"], timestamp=[1]))
        assert columns("recommend", "--user", "u") == {"rank", "item", "score", "source"}
        store.ingest_items(Items.of({"b": {"genre": "jazz"}}))
        assert columns("recommend", "--user", "u") == {"rank", "item", "genre", "score", "source"}
        assert columns("similar", "a", "--where", "genre=jazz") == {"rank", "item", "genre", "score"}
        store.ingest_items(Items.of({"b": {"title": "Blue"}}))
        assert columns("similar", "a", "--where", "genre=jazz") == {"rank", "item", "title", "genre", "score"}


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy_is_that_of_the_model(item2vec, published, method):
    words = f"analogy --positive a --positive b --negative c -k 2 --json --method {method}"
    code, out, _ = item2vec(*words.split())
    model = load(published.path)
    expected = model.analogy(positive=["a", "b"], negative=["c"], method=method, k=2)
    rows = [{"rank": 1, "item": expected[0].item, "score": expected[0].score}]
    assert (code, json.loads(out)) == (0, rows)  # of four items, those of the query are left out
    assert item2vec("analogy", "--positive", "a", "--json")[1] == item2vec("similar", "a", "--json")[1]
    assert item2vec("analogy", "--negative", "c")[0] == 2
    code, _, err = item2vec("analogy", "--positive", "a", "--method", "sum")
    assert code == 2
    assert "expected '3cosadd' or '3cosmul'" in err


def test_ingest_train_and_recommend_with_default_settings(item2vec, tmp_path):
    rows = [f"u{n},{item},{60 * k}" for n, one in enumerate(PLAYLISTS) for k, item in enumerate(one)]
    (tmp_path / "listens.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert json.loads(item2vec("ingest", "listens.csv", "--json")[1])["new"] == 60
    assert json.loads(item2vec("ingest", "listens.csv", "--json")[1])["new"] == 0
    assert item2vec("train")[0] == 0
    code, out, _ = item2vec("recommend", "--user", "u0", "--json")
    assert (code, [row["item"] for row in json.loads(out)]) == (0, ["d"])
    assert json.loads(item2vec("recommend", "a", "b", "c", "--json")[1])[0]["item"] == "d"
    for words, note in (
        (["--user", "nobody"], "user 'nobody' is unknown: the store has no interactions of this user"),
        (["TYPO"], "no item of the history is known to the model: 'TYPO'"),
    ):
        code, out, err = item2vec("recommend", *words, "--json")
        assert (code, json.loads(out)[0]["source"]) == (0, "popular")
        assert err == f"item2vec: {note}; popular items follow\n"
    for words in (["--user", "u0"], ["a", "TYPO"]):
        assert "popular" not in item2vec("recommend", *words, "--json")[2]
    code, out, err = item2vec("recommend", "")
    assert (code, out) == (2, "")
    assert "id at position 0 is empty" in err


def test_where_selects_items_by_their_attributes_in_the_store(item2vec, tmp_path, published):
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        store.upgrade()
        store.ingest_items(Items.of({"a": {"genre": "jazz"}, "b": {"genre": "jazz"}, "c": {"genre": "soul"}}))
    for words, expected in (
        ("similar a --where genre=jazz --json", {"b"}),
        ("similar a --where genre=jazz --where genre=soul --json", {"b", "c"}),
        ("recommend a --where genre=soul --json", {"c"}),
        ("recommend --user nobody --where genre=jazz --json", {"a", "b"}),
        ("recommend a --at-most genre=1 --exclude d --json", {"b", "c"}),
        ("recommend a --disliked d --interests 2 --where genre=jazz --where genre=soul --json", {"b", "c"}),
        ("recommend a d --interests auto --exclude c --json", {"b"}),
        ("similar a --allow b --allow c --deny c --boost b=2 --diversity 0.5 --popularity 0.1 --json", {"b"}),
    ):
        code, out, _ = item2vec(*words.split())
        assert (code, {row["item"] for row in json.loads(out)}) == (0, expected)
    for words in ("similar a --where gnere=jazz", "recommend --user u --where gnere=jazz"):
        code, out, err = item2vec(*words.split())
        assert (code, out) == (2, "")
        assert "no item has an attribute 'gnere'; did you mean 'genre'?" in err


def test_boosts_of_items_and_of_conditions(item2vec, tmp_path, published):
    places = {"models": "models", "store": f"sqlite:///{tmp_path}/item2vec.db"}
    with Store(places["store"]) as store:
        store.upgrade()
        songs = {"a": {}, "b": {"genre": "jazz", "at": "12:30"}, "c": {"at": "12:00"}, "d": {"genre": "jazz"}}
        store.ingest_items(Items.of(songs))
    words = "--boost genre=jazz:1.5 --boost genre=jazz:1.2 --boost at>=12:30:3 --boost c=0.5 --boost c=0.8"
    words += " --boost unknown:id=2 --json"
    jazz = {"genre": "jazz"}
    boost = [(jazz, 1.5), (jazz, 1.2), ({"at": {">=": "12:30"}}, 3), ("c", 0.5), ("c", 0.8)]
    with Engine(**places) as engine:
        for query, expected in (
            ("recommend a", engine.recommend(history=["a"], boost=boost)),
            ("similar a", engine.similar_items("a", boost=boost)),
        ):
            code, out, _ = item2vec(*query.split(), *words.split())
            assert code == 0
            assert [(row["item"], row["score"]) for row in json.loads(out)] == [
                (one.item, pytest.approx(one.score, abs=1e-4)) for one in expected
            ]
    code, _, err = item2vec("recommend", "a", "--where", "genre=jazz", "--boost", "genre=1.5")
    assert code == 2
    assert "--boost contains the attribute 'genre'; expected item ids; for a condition, pass" in err
    assert err.endswith(" --boost genre=VALUE:FACTOR\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("similar x", 2, "unknown item 'x' (4 known)"),
        ("similar a -k 0", 2, "--k is 0; expected an integer of at least 1"),
        ("similar a --models elsewhere", 2, "elsewhere contains no bundle; train one: item2vec train"),
        ("recommend a --interests 0", 2, "item2vec: --interests is 0; expected 'auto' or an integer"),
        ("recommend a --popularity -1", 2, "item2vec: --popularity is -1.0; expected"),
        ("recommend a --boost b=-1", 2, "item2vec: the factor of 'b' in --boost is -1.0; expected"),
        ("recommend", 2, "got neither item ids nor --user"),
        ("recommend a --where genre=jazz", 2, "item2vec db upgrade"),
        ("similar a --where genre=jazz", 2, "item2vec db upgrade"),
        ("recommend --user u --where jazz", 2, "expected NAME=VALUE"),
        ("recommend a --at-most genre", 2, "--at-most is 'genre'; expected an attribute and an integer"),
        (
            "recommend a --boost b=high",
            2,
            "--boost is 'b=high'; expected an item id and a number: --boost",
        ),
        ("recommend a --boost b:2", 2, "--boost is 'b:2'; expected an item id and a number"),
        ("recommend a --boost =2", 2, "--boost is '=2'; expected"),
        ("recommend a --boost genre=jazz:2", 2, "item2vec db upgrade"),
        ("recommend a --interests many", 2, "--interests is 'many'; expected an integer, or auto"),
        ("similar a --diversity 2", 2, "--diversity is 2.0; expected a number from 0 to 1"),
        ("recommend --user u", 2, "item2vec db upgrade"),
        ("train --playlists nowhere.txt", 2, "nowhere.txt"),
        ("train --playlists empty.txt", 2, "empty.txt contains no playlists"),
        ("train --playlists single.txt", 4, "no sentence has two"),
        ("train --playlists lists.txt --min-count 99", 4, "occurs 1 times; expected at least min_count=99"),
        ("train --playlists lists.txt --vector-size 0", 2, "--vector-size is 0"),
        ("train --playlists lists.txt --objective skipgrm", 2, "did you mean 'skipgram'"),
        (
            "train --playlists lists.txt --edges lists.txt",
            2,
            "got --playlists lists.txt and --edges lists.txt",
        ),
        ("train --playlists lists.txt --gap 30min", 2, "--gap does not apply to sentences from --playlists"),
        ("ingest bad.csv", 2, "bad.csv line 3"),
        ("ingest nowhere.csv", 2, "nowhere.csv"),
        ("db upgrade --store item2vec.db", 2, "sqlite:///item2vec.db"),
    ],
)
def test_invalid_input_is_one_line_on_stderr(item2vec, published, tmp_path, words, code, message):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "single.txt").write_text("a\nb\n")
    (tmp_path / "lists.txt").write_text("a b\nc d\n")
    (tmp_path / "bad.csv").write_text("user_id,item_id,timestamp\nu,a,1\nu,b,yesterday\n")
    exit_code, out, err = item2vec(*words.split())
    assert (exit_code, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("item2vec: ")


def test_a_damaged_model_is_exit_code_5(item2vec, published):
    vectors = published.path / "input.npy"
    vectors.chmod(0o644)
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    code, _, err = item2vec("similar", "a")
    assert code == 5
    assert "input.npy" in err


@pytest.mark.slow
@pytest.mark.parametrize("words", [("models", "list"), ("models", "show", "--json"), ("train", "--help")])
def test_a_closed_pipe_as_stdout_is_exit_code_1_without_a_traceback(tmp_path, published, words):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "item2vec", *words]
        done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_flags_override_variables_and_variables_override_the_file(item2vec, tmp_path, monkeypatch):
    (tmp_path / "lists.txt").write_text("".join(" ".join(one) + "\n" for one in PLAYLISTS))
    (tmp_path / "item2vec.toml").write_text('models = "of-file"\n[train]\nvector_size = 4\nepochs = 1\n')
    train_ = ("train", "--playlists", "lists.txt", "--json")
    assert json.loads(item2vec(*train_)[1])["path"].startswith("of-file/")
    item2vec("export", "v.txt")
    assert (tmp_path / "v.txt").read_text().startswith("4 4\n")
    monkeypatch.setenv("ITEM2VEC_VECTOR_SIZE", "6")
    monkeypatch.setenv("ITEM2VEC_MODELS", "of-variable")
    assert json.loads(item2vec(*train_)[1])["path"].startswith("of-variable/")
    item2vec("export", "v.txt")
    assert (tmp_path / "v.txt").read_text().startswith("4 6\n")
    item2vec(*train_, "--vector-size", "8", "--models", "of-flag")
    item2vec("export", "v.txt", "--models", "of-flag")
    assert (tmp_path / "v.txt").read_text().startswith("4 8\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modles = 'x'", "unknown key 'modles'; did you mean 'models'?"),
        ("[train]\nvectorsize = 3", "[train]: unknown setting 'vectorsize'; did you mean 'vector_size'?"),
        ("[taste]\ndecay = 2.0", "decay is 2.0"),
        ("[taste]\ndecay = [0.5, 2.0]", "[taste]: decay is 2.0; expected less than or equal to 1"),
        ("[taste]\ndecay = []", "decay is (); expected a list of values, such as (0.5, 0.9)"),
        (
            "[taste]\ndecay = '0.5,0.9'",
            "decay is '0.5,0.9'; expected a valid number, or 'learned', or",
        ),
        (
            "[train]\ncontext_decay = 0.5",
            "[train]: context_decay is 0.5; expected a list of values, such as (0.5, 0.9)",
        ),
        ("models = ", "is not valid TOML"),
    ],
)
def test_an_invalid_settings_file_is_refused(item2vec, tmp_path, content, message):
    (tmp_path / "lists.txt").write_text("a b\n")
    (tmp_path / "item2vec.toml").write_text(content)
    code, _, err = item2vec("train", "--playlists", "lists.txt")
    assert code == 2
    assert message in err


@pytest.mark.parametrize("flag", ["--reload-every", "--rate"])
@pytest.mark.parametrize("number", ["nan", "inf", "0", "-1"])
def test_serve_refuses_numbers_that_are_not_positive(item2vec, monkeypatch, flag, number):
    monkeypatch.setattr(importlib.import_module("item2vec.cli.serve"), "start", lambda **_: None)
    assert item2vec("serve", flag, "0.5") == (0, "", "")
    code, out, err = item2vec("serve", flag, number)
    assert (code, out) == (2, "")
    assert f"{flag} is {float(number)}; expected a number of" in err


def test_a_settings_file_that_is_not_utf_8_is_refused(item2vec, tmp_path):
    (tmp_path / "item2vec.toml").write_bytes(b"# caf\xe9\n")
    code, _, err = item2vec("train", "--playlists", "lists.txt")
    assert code == 2
    assert "item2vec.toml is not UTF-8 text" in err


def test_a_setting_of_another_objective_is_refused_by_the_name_of_its_flag_or_key(
    item2vec, tmp_path, monkeypatch
):
    (tmp_path / "lists.txt").write_text("a b\n")
    train_ = ("train", "--playlists", "lists.txt")
    for words, message in (
        (
            "--sample 0.1",
            "--sample is a setting of --objective skipgram or cbow, not of next_item;",
        ),
        (
            "--objective cbow --weight-decay 0.1",
            "--weight-decay is a setting of --objective next_item, not",
        ),
    ):
        code, out, err = item2vec(*train_, *words.split())
        assert (code, out) == (2, "")
        assert message in err
    (tmp_path / "item2vec.toml").write_text("[train]\ndropout = 0.2\nepochs = 1\n")
    code, _, err = item2vec(*train_, "--objective", "skipgram")
    assert code == 2
    assert "item2vec.toml [train]: dropout is a setting of --objective next_item, not of skipgram" in err
    (tmp_path / "item2vec.toml").write_text("[train]\nobjective = 'skipgram'\ndropout = 0.2\n")
    code, _, err = item2vec(*train_)
    assert code == 2
    assert "item2vec.toml [train]: dropout is a setting of objective='next_item', not of 'skipgram'" in err


def test_an_unknown_variable_is_refused(item2vec, monkeypatch):
    monkeypatch.setenv("ITEM2VEC_MODLES", "x")
    code, _, err = item2vec("db", "current")
    assert code == 2
    assert "did you mean 'ITEM2VEC_MODELS'?" in err


@pytest.mark.slow  # .ci/run also checks this, on the demo of the installed wheel
def test_the_models_of_the_demo_beat_popularity(item2vec, tmp_path):
    code, out, err = item2vec("demo", "--json")
    held_out = {row["model"]: row["ndcg@10"] for row in json.loads(out)["held_out"]}
    assert (code, err) == (0, "")
    ours, gensim = held_out["item2vec (next_item)"], held_out["gensim (skip-gram)"]
    assert ours == max(held_out.values()), "next_item is the best model"
    assert gensim > 2 * held_out["popularity"] > 2 * held_out["random"]
    assert (tmp_path / "item2vec-demo" / "models" / "CURRENT").is_file()
    assert item2vec("similar", "blue-harbour", "--models", "item2vec-demo/models")[0] == 0
