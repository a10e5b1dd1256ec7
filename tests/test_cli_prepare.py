"""``item2vec prepare``, and the commands that read a corpus."""

import json

import pytest

from item2vec.cli.reading import default_protocol
from item2vec.cli.sources import Source
from item2vec.sentences import Sentences

ROWS = "who,what,when\n" + "".join(f"u{n % 3},i{n % 4},{1_700_000_000 + 3600 * n}\n" for n in range(24))


@pytest.fixture
def listens(tmp_path):
    (tmp_path / "listens.csv").write_text(ROWS)
    return ["listens.csv", "--user", "who", "--item", "what", "--timestamp", "when"]


def test_files_become_a_corpus_cut_by_the_settings_and_flags(item2vec, listens, tmp_path):
    (tmp_path / "item2vec.toml").write_text("[adapter]\nmax_length = 2\n")
    code, out, _ = item2vec("prepare", *listens, "--out", "corpus", "--shards", "2", "--json")
    facts = json.loads(out)
    assert code == 0
    assert {name: facts[name] for name in ("corpus", "shards", "sentences", "tokens", "items")} == {
        "corpus": "corpus",
        "shards": 2,
        "sentences": 3,
        "tokens": 6,
        "items": 4,
    }
    code, _, _ = item2vec("prepare", *listens, "--out", "visits", "--gap", "1h", "--driver", "memory")
    assert (code, len(Sentences.open(tmp_path / "visits"))) == (0, 24)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.csv", "--out", "x"], "no file 'missing.csv'; did you mean 'listens.csv'?"),
        (["listens.csv", "--out", "x"], "has no column 'user_id'; found 'who', 'what', 'when'"),
        (["listens.csv", "--out", "."], ". already exists; choose another path"),
        (["listens.csv", "--out", "x", "--memory", "2 pages"], "memory is '2 pages'; expected a size"),
        (["listens.csv", "--out", "x", "--driver", "spark"], "expected 'duckdb' or 'memory'"),
        (["listens.csv", "--out", "x", "--user", "who", "--item", "what"], "--timestamp"),
    ],
)
@pytest.mark.usefixtures("listens")
def test_invalid_input_has_exit_code_2(item2vec, tmp_path, words, message):
    code, out, err = item2vec("prepare", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "x").exists()


def test_commands_read_a_corpus(item2vec, listens):
    assert item2vec("prepare", *listens, "--out", "corpus", "--shards", "2")[0] == 0
    quick = ["--corpus", "corpus", "--objective", "skipgram", "--epochs", "1", "--vector-size", "4", "--json"]
    code, out, _ = item2vec("train", *quick)
    assert (code, json.loads(out)["tokens"]) == (0, 24)
    for words, message in {
        ("--corpus", "corpus", "--playlists", "x.txt"): "got --playlists x.txt and --corpus corpus; expected",
        ("--corpus", "corpus", "--gap", "30min"): "--gap does not apply to sentences from --corpus",
        ("--corpus", "nowhere"): "no folder nowhere",
    }.items():
        code, _, err = item2vec("evaluate", *words)
        assert code == 2
        assert message in err


def test_a_corpus_of_histories_is_split_by_time_as_the_store(item2vec, listens):
    assert item2vec("prepare", *listens, "--out", "corpus", "--shards", "2")[0] == 0
    assert item2vec("ingest", *listens)[0] == 0
    Sentences.open("corpus").whole().save("unsharded")
    quick = ("--objective", "skipgram", "--epochs", "1", "--vector-size", "4", "--repeats", "--json")
    splits = []
    for source in ([], ["--corpus", "corpus"], ["--corpus", "unsharded"]):
        for options in ([], ["--protocol", "temporal", "--fraction", "0.3"]):
            code, out, _ = item2vec("evaluate", *quick, *source, *options)
            assert code == 0
            splits.append(json.loads(out)["splits"])
    assert splits[0][0].startswith("Split(temporal from 2023-11-")
    assert splits[0] != splits[1]
    assert splits == splits[:2] * 3


def test_corpora_of_sessions_or_without_timestamps_are_not_split_by_time(item2vec, listens, tmp_path):
    assert item2vec("prepare", *listens, "--out", "visits", "--gap", "1h")[0] == 0
    visits = Sentences.open(tmp_path / "visits")
    visits.whole().save(tmp_path / "of no user", shards=2)
    plain = Sentences.of([["a", "b"], ["b", "a"]])
    plain.save(tmp_path / "plain", shards=2)
    source = Source(None, None, "", corpus=tmp_path / "visits")
    assert default_protocol(source, visits) == default_protocol(source, plain) == "leave-last-out"
    assert default_protocol(source, Sentences.open(tmp_path / "of no user")) == "temporal"
    for corpus, lacking in {
        "visits": "one sentence per user; the corpus has several sentences of a user, such as sessions",
        "plain": "timestamps; the sentences have none",
    }.items():
        for command in ("evaluate", "tune"):
            code, _, err = item2vec(command, "--corpus", corpus, "--protocol", "temporal")
            assert code == 2
            assert f"--protocol temporal requires {lacking}: use another protocol" in err
